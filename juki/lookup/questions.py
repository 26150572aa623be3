"""From request bytes to a question: parsed, and held against the contract's rules by hand.

protovalidate takes several times as long as the whole rest of a single lookup. So the rules that a
sound request keeps are checked here; whatever does not pass is put before protovalidate, which has
the last word and names what is broken.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from google.protobuf.message import DecodeError, Message
from protovalidate import Validator

from juki.domain.errors import InvalidValue, JukiError, Reason
from juki.domain.four_items import FourItems
from juki.domain.legal_basis import AffairReference, Field, LegalBasis, SearchKey
from juki.rpc.errors import FieldViolation, InvalidFields
from juki.v1 import identification_pb2, lookup_pb2
from juki.wire import four_items_from_proto

MAXIMUM_KEYS: Final = 10_000
MAXIMUM_FOUR_ITEMS: Final = 1_000
DEFAULT_CHUNK_SIZE: Final = 1_000

_ITEM: Final = re.compile(r"[0-9]{1,3}(-[0-9]{1,3}){0,3}")
_PROVISION: Final = re.compile(r"[0-9]{1,3}(-[0-9]{1,3}){0,3}(\([0-9]{1,2}\))?(\([ivx]{1,5}\))?")
_MAXIMUM_PROVISION: Final = 32
_IDENTITY: Final = re.compile(r"spiffe://[a-z0-9.-]+(/[a-z0-9-]+)+")
_MAXIMUM_IDENTITY: Final = 255
_AFFAIR_ID: Final = re.compile(r"[A-Za-z0-9.-]{0,64}")
_INDIVIDUAL_NUMBER: Final = re.compile(r"[0-9]{12}")
_RESIDENT_RECORD_CODE: Final = re.compile(r"[0-9]{11}")
_MUNICIPALITY: Final = re.compile(r"[0-9]{6}")

MessageT = TypeVar("MessageT", bound=Message)


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of a question, all of one kind."""

    kind: SearchKey
    values: Sequence[int]
    """Decimal values of codes or numbers; empty for the four items."""

    four_items: Sequence[FourItems | None] = ()
    """None stands for items that no register can hold: they find nobody."""

    def __len__(self) -> int:
        return len(self.values) or len(self.four_items)

    def part(self, start: int, end: int) -> Keys:
        """The keys from `start` to before `end`."""
        return Keys(self.kind, self.values[start:end], self.four_items[start:end])

    def __repr__(self) -> str:
        return f"Keys({self.kind.name}, {len(self)})"


@dataclass(frozen=True, slots=True)
class Question:
    """One call's question."""

    basis: LegalBasis | None
    """None where the call names a row as none can be written, for example item "0"."""

    request_id: str
    office: str
    operator: str
    fields: frozenset[Field]
    keys: Keys
    on_behalf_of: str = ""
    """The body that asks by way of the caller; empty where the caller asks for itself."""


class RequestReader:
    """Reads the four requests of `LookupService`; safe to share between threads.

    Every method raises JukiError: MALFORMED_MESSAGE, or INVALID_FIELD (`InvalidFields`).
    """

    def __init__(self) -> None:
        self._validator = Validator()

    def single(self, data: bytes) -> Question:
        """A `LookupRequest`."""
        request = _parse(lookup_pb2.LookupRequest, data)
        kind = request.WhichOneof("key")
        keeps = _context_keeps(request) and (
            (kind == "individual_number" and _whole(_INDIVIDUAL_NUMBER, request.individual_number))
            or (
                kind == "resident_record_code"
                and _whole(_RESIDENT_RECORD_CODE, request.resident_record_code)
            )
            or (kind == "four_items" and _four_items_keep(request.four_items))
        )
        if not keeps:
            self._complain(request)
        if kind == "individual_number":
            keys = Keys(SearchKey.INDIVIDUAL_NUMBER, (int(request.individual_number),))
        elif kind == "resident_record_code":
            keys = Keys(SearchKey.RESIDENT_RECORD_CODE, (int(request.resident_record_code),))
        else:
            keys = Keys(SearchKey.FOUR_ITEMS, (), _domain_items((request.four_items,)))
        return _question(request.context, keys)

    def batch(self, data: bytes) -> Question:
        """A `BatchLookupRequest`."""
        request = _parse(lookup_pb2.BatchLookupRequest, data)
        if not _batch_keeps(request):
            self._complain(request)
        return _question(request.context, _batch_keys(request))

    def stream(self, data: bytes) -> tuple[Question, int]:
        """A `StreamLookupRequest`: its question, and how many answers go into a chunk."""
        request = _parse(lookup_pb2.StreamLookupRequest, data)
        if not (
            request.HasField("batch")
            and _batch_keeps(request.batch)
            and request.chunk_size <= MAXIMUM_KEYS
        ):
            self._complain(request)
        question = _question(request.batch.context, _batch_keys(request.batch))
        return question, request.chunk_size or DEFAULT_CHUNK_SIZE

    def exchange(self, data: bytes) -> tuple[Question, int]:
        """An `ExchangeLookupRequest`: its question, and the caller's number of the chunk."""
        request = _parse(lookup_pb2.ExchangeLookupRequest, data)
        if not (request.HasField("batch") and _batch_keeps(request.batch)):
            self._complain(request)
        return _question(request.batch.context, _batch_keys(request.batch)), request.chunk_id

    def _complain(self, request: Message) -> None:
        """Raises what protovalidate finds broken; returns where it finds nothing."""
        violations = self._validator.collect_violations(request)
        if violations:
            raise InvalidFields(
                [
                    FieldViolation(_path(violation.proto.field), violation.proto.rule_id)
                    for violation in violations
                ]
            )


def _parse(kind: type[MessageT], data: bytes) -> MessageT:
    try:
        return kind.FromString(data)
    except DecodeError:
        # What the parser says may quote the bytes.
        raise JukiError(
            Reason.MALFORMED_MESSAGE, "the bytes are not a message of the expected type"
        ) from None


def _question(context: lookup_pb2.LookupContext, keys: Keys) -> Question:
    return Question(
        _basis(context),
        context.request_id,
        context.office,
        context.operator,
        frozenset(map(Field, context.fields)),
        keys,
        context.on_behalf_of,
    )


def _basis(context: lookup_pb2.LookupContext) -> LegalBasis | None:
    try:
        if context.HasField("basis"):
            return LegalBasis(context.basis.provision, context.basis.affair)
        return LegalBasis.of_row(AffairReference(context.affair.table, context.affair.item))
    except InvalidValue:
        return None


def _batch_keys(request: lookup_pb2.BatchLookupRequest) -> Keys:
    kind = request.WhichOneof("keys")
    if kind == "individual_numbers":
        return Keys(SearchKey.INDIVIDUAL_NUMBER, list(request.individual_numbers.values))
    if kind == "resident_record_codes":
        return Keys(SearchKey.RESIDENT_RECORD_CODE, list(request.resident_record_codes.values))
    return Keys(SearchKey.FOUR_ITEMS, (), _domain_items(request.four_items.values))


def _domain_items(
    messages: Sequence[identification_pb2.FourItems],
) -> Sequence[FourItems | None]:
    items: list[FourItems | None] = []
    for message in messages:
        try:
            items.append(four_items_from_proto(message))
        except InvalidValue:  # a date or a municipality that does not exist
            items.append(None)
    return items


def _context_keeps(
    request: lookup_pb2.LookupRequest | lookup_pb2.BatchLookupRequest,
) -> bool:
    context = request.context
    fields = context.fields
    return (
        request.HasField("context")
        and context.HasField("affair") != context.HasField("basis")
        and (_affair_keeps(context.affair) if context.HasField("affair") else True)
        and (_basis_keeps(context.basis) if context.HasField("basis") else True)
        and 8 <= len(context.request_id) <= 64
        and 1 <= len(context.office) <= 64
        and 1 <= len(context.operator) <= 64
        and 1 <= len(fields) <= len(Field)
        and len(set(fields)) == len(fields)
        and all(1 <= field <= len(Field) for field in fields)
        and (not context.on_behalf_of or _identity_keeps(context.on_behalf_of))
    )


def _identity_keeps(uri: str) -> bool:
    return len(uri) <= _MAXIMUM_IDENTITY and _whole(_IDENTITY, uri)


def _affair_keeps(affair: lookup_pb2.AffairReference) -> bool:
    return 1 <= affair.table <= 6 and _whole(_ITEM, affair.item)


def _basis_keeps(basis: lookup_pb2.LegalBasisReference) -> bool:
    return (
        len(basis.provision) <= _MAXIMUM_PROVISION
        and _whole(_PROVISION, basis.provision)
        and _whole(_AFFAIR_ID, basis.affair)
    )


def _batch_keeps(request: lookup_pb2.BatchLookupRequest) -> bool:
    kind = request.WhichOneof("keys")
    if not _context_keeps(request):
        return False
    if kind == "individual_numbers":
        return 1 <= len(request.individual_numbers.values) <= MAXIMUM_KEYS
    if kind == "resident_record_codes":
        return 1 <= len(request.resident_record_codes.values) <= MAXIMUM_KEYS
    return (
        kind == "four_items"
        and 1 <= len(request.four_items.values) <= MAXIMUM_FOUR_ITEMS
        and all(map(_four_items_keep, request.four_items.values))
    )


def _four_items_keep(items: identification_pb2.FourItems) -> bool:
    name, birth, address = items.name, items.birth_date, items.address
    return (
        items.HasField("name")
        and items.HasField("birth_date")
        and items.HasField("address")
        and 1 <= len(name.written) <= 200
        and len(name.reading) <= 200
        and len(name.alphabet) <= 200
        and len(name.common_name) <= 200
        and len(name.former_surname) <= 200
        and 1850 <= birth.year <= 2200
        and birth.month <= 12
        and birth.day <= 31
        and 1 <= items.sex <= 3
        and _whole(_MUNICIPALITY, address.municipality)
        and 1 <= len(address.town) <= 200
        and len(address.remainder) <= 200
    )


def _whole(pattern: re.Pattern[str], text: str) -> bool:
    return pattern.fullmatch(text) is not None


def _path(field: Any) -> str:
    """`batch.four_items.values[3].sex`; there are no maps in these contracts, only lists."""
    if field is None:
        return ""
    return ".".join(
        element.field_name
        if element.subscript is None
        else f"{element.field_name}[{element.subscript.value}]"
        for element in field.elements
    )
