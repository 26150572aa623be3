"""An audit record as bytes: the protobuf message `juki.v1.AuditRecord` in one fixed order.

The facts (everything that is about the call as a whole) come first, then pseudonyms and outcomes of
the persons, last the salt seed. So the facts can be committed to, and shown, without the persons.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass, field
from typing import Final, cast

from juki.audit.port import PSEUDONYM_BYTES, AuditRecord
from juki.domain.errors import InvalidValue, Reason
from juki.domain.legal_basis import AffairReference, Field, SearchKey
from juki.v1 import audit_pb2, lookup_pb2

SEED_BYTES: Final = 16
"""Of the secret that the salts of a record's leaves are derived from."""

_PSEUDONYMS_TAG: Final = b"\x6a"
_OUTCOMES_TAG: Final = b"\x72"
_SEED: Final = b"\x8a\x01" + bytes([SEED_BYTES])
"""Field 17 with its length, before the seed."""


@dataclass(frozen=True, slots=True)
class RecordParts:
    """A record's bytes, taken apart for its leaf of the Merkle tree."""

    facts: bytes
    """`AuditRecord` without pseudonyms, outcomes and seed."""

    pseudonyms: bytes = field(repr=False)
    """16 bytes a person."""

    outcomes: bytes = field(repr=False)
    """A byte a person."""

    seed: bytes = field(repr=False)


def encode(record: AuditRecord, seed: bytes) -> bytes:
    """The record's bytes, as hashed and written; `seed` is 16 random bytes of its own.

    Raises InvalidValue for a seed of another length.
    """
    if len(seed) != SEED_BYTES:
        raise InvalidValue("a record's salt seed has 16 bytes")
    return _encode_facts(record) + _persons(record.pseudonyms, record.outcomes) + _SEED + seed


def split(data: bytes) -> RecordParts:
    """The parts of `encode`'s bytes; raises ValueError (or DecodeError) for any other order."""
    message = audit_pb2.AuditRecord.FromString(data)
    pseudonyms, outcomes, seed = message.pseudonyms, message.outcomes, message.salt_seed
    rest = _persons(pseudonyms, outcomes) + _SEED + seed
    if (
        len(seed) != SEED_BYTES
        or len(pseudonyms) != PSEUDONYM_BYTES * len(outcomes)
        or not data.endswith(rest)
    ):
        raise ValueError("an audit record is not in its fixed order")
    return RecordParts(data[: -len(rest)], pseudonyms, outcomes, seed)


def _persons(pseudonyms: bytes, outcomes: bytes) -> bytes:
    if not outcomes:
        return b""
    return b"".join(
        (
            _PSEUDONYMS_TAG,
            _varint(len(pseudonyms)),
            pseudonyms,
            _OUTCOMES_TAG,
            _varint(len(outcomes)),
            outcomes,
        )
    )


def _varint(number: int) -> bytes:
    digits = bytearray()
    while number > 0x7F:
        digits.append(number & 0x7F | 0x80)
        number >>= 7
    digits.append(number)
    return bytes(digits)


def _encode_facts(record: AuditRecord) -> bytes:
    affair = record.affair
    return audit_pb2.AuditRecord(
        time_unix_nanos=record.time_unix_nanos,
        body_identity=record.body_identity,
        office=record.office,
        operator=record.operator,
        affair_table=0 if affair is None else affair.table,
        affair_item="" if affair is None else affair.item,
        article=record.article,
        affair_id=record.affair_id,
        request_id=record.request_id,
        search_key=cast("audit_pb2.AuditSearchKey.ValueType", record.search_key or 0),
        requested_fields=_numbers(record.requested_fields),
        granted_fields=_numbers(record.granted_fields),
        refusal_reason=record.refusal or "",
        pseudonym_key=record.pseudonym_key,
        via=record.via,
        passed_on_to=record.passed_on_to,
        act_digest=record.act_digest,
    ).SerializeToString()


def decode(data: bytes) -> AuditRecord:
    """The record of `encode`; raises ValueError (or DecodeError) for anything else."""
    message = audit_pb2.AuditRecord.FromString(data)
    affair = None
    if message.affair_table:
        affair = AffairReference(message.affair_table, message.affair_item)
    return AuditRecord(
        time_unix_nanos=message.time_unix_nanos,
        body_identity=message.body_identity,
        request_id=message.request_id,
        affair=affair,
        search_key=SearchKey(message.search_key) if message.search_key else None,
        office=message.office,
        operator=message.operator,
        article=message.article,
        affair_id=message.affair_id,
        requested_fields=frozenset(map(Field, message.requested_fields)),
        granted_fields=frozenset(map(Field, message.granted_fields)),
        refusal=Reason(message.refusal_reason) if message.refusal_reason else None,
        pseudonyms=message.pseudonyms,
        pseudonym_key=message.pseudonym_key,
        outcomes=message.outcomes,
        via=message.via,
        passed_on_to=message.passed_on_to,
        act_digest=message.act_digest,
    )


def _numbers(fields: Set[Field]) -> list[lookup_pb2.Field.ValueType]:
    return cast("list[lookup_pb2.Field.ValueType]", sorted(fields))
