"""`AgencyClient`: asks for persons' identification information, one or many, typed."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self, TypeAlias, cast

import grpc

from juki.agency.config import AgencyConfiguration
from juki.custody.client import CustodyClient
from juki.custody.roots import load_roots
from juki.domain.codes import IndividualNumber, ResidentRecordCode
from juki.domain.errors import InvalidValue
from juki.domain.four_items import FourItems
from juki.domain.legal_basis import Field, LegalBasis
from juki.domain.outcome import Outcome
from juki.rpc.custody_channel import open_custody_channel
from juki.rpc.errors import refusals_of_peer
from juki.v1 import identification_pb2, lookup_pb2, lookup_pb2_grpc
from juki.wire import four_items_to_proto

Key: TypeAlias = IndividualNumber | ResidentRecordCode | FourItems
"""What a person is looked up by."""


@dataclass(frozen=True, slots=True)
class Purpose:
    """On what basis of the law, and for which fields, a body asks."""

    basis: LegalBasis
    fields: frozenset[Field]


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer for one person."""

    outcome: Outcome
    information: identification_pb2.IdentificationInformation | None
    """The granted fields; None unless FOUND."""

    def __repr__(self) -> str:
        return f"Answer({self.outcome.name})"


@dataclass(frozen=True, slots=True)
class Answers:
    """The answers to one call, in the order of its keys."""

    persons: tuple[Answer, ...]
    withheld: tuple[tuple[Field, str], ...]
    """Fields asked for and not given, each with the provision that withholds it."""


class AgencyClient:
    """Lookups of one body; safe to share between threads.

    Every method raises JukiError with the server's reason, for example AFFAIR_NOT_GRANTED, or
    UPSTREAM_UNAVAILABLE where the server does not answer. Unavailability is tried again first.
    """

    def __init__(
        self,
        channel: grpc.Channel,
        *,
        office: str,
        operator: str,
        new_request_id: Callable[[], str] = lambda: secrets.token_hex(16),
        timeout_seconds: float = 30.0,
    ) -> None:
        """`channel` carries the body's client certificate; office and operator are recorded."""
        self._stub = lookup_pb2_grpc.LookupServiceStub(channel)
        self._office = office
        self._operator = operator
        self._new_request_id = new_request_id
        self._timeout = timeout_seconds

    @classmethod
    @contextmanager
    def connect(cls, config: AgencyConfiguration) -> Iterator[Self]:
        """A client over mutual TLS, for the block; its key signs in the body's own token."""
        with CustodyClient(config.custody_socket) as custody:
            channel = open_custody_channel(
                config.nation.address,
                config.nation.server_name,
                custody,
                load_roots(config.roots_pem),
            )
            try:
                yield cls(channel, office=config.office, operator=config.operator)
            finally:
                channel.close()

    def lookup(self, purpose: Purpose, key: Key) -> Answers:
        """One person by one key."""
        request = lookup_pb2.LookupRequest(context=self._context(purpose))
        if isinstance(key, IndividualNumber):
            request.individual_number = key.digits
        elif isinstance(key, ResidentRecordCode):
            request.resident_record_code = key.digits
        else:
            request.four_items.CopyFrom(four_items_to_proto(key))
        with refusals_of_peer():
            response = self._stub.Lookup(request, timeout=self._timeout)
        return _answers([response.result], response.withheld)

    def lookup_batch(self, purpose: Purpose, keys: Sequence[Key]) -> Answers:
        """Many persons by keys of one kind: up to 10,000 numbers or codes, 1,000 four items.

        Raises InvalidValue for no keys or for keys of several kinds.
        """
        request = lookup_pb2.BatchLookupRequest(context=self._context(purpose))
        kinds = {type(key) for key in keys}
        if len(kinds) != 1:
            raise InvalidValue("the keys of a batch are of one kind")
        if kinds == {FourItems}:
            request.four_items.values.extend(
                four_items_to_proto(key) for key in keys if isinstance(key, FourItems)
            )
        else:
            by_number = kinds == {IndividualNumber}
            wanted = request.individual_numbers if by_number else request.resident_record_codes
            wanted.values.extend(int(key) for key in keys if not isinstance(key, FourItems))
        with refusals_of_peer():
            response = self._stub.BatchLookup(request, timeout=self._timeout)
        return _answers(response.results, response.withheld)

    def _context(self, purpose: Purpose) -> lookup_pb2.LookupContext:
        basis, row = purpose.basis, purpose.basis.row
        return lookup_pb2.LookupContext(
            affair=None
            if row is None
            else lookup_pb2.AffairReference(table=row.table, item=row.item),
            basis=None
            if row is not None
            else lookup_pb2.LegalBasisReference(provision=basis.provision, affair=basis.affair),
            request_id=self._new_request_id(),
            office=self._office,
            operator=self._operator,
            fields=cast("list[lookup_pb2.Field.ValueType]", sorted(purpose.fields)),
        )


def _answers(
    results: Sequence[lookup_pb2.LookupResult], withheld: Sequence[lookup_pb2.WithheldField]
) -> Answers:
    return Answers(
        tuple(
            Answer(
                Outcome(result.outcome),
                result.information if result.HasField("information") else None,
            )
            for result in results
        ),
        tuple((Field(one.field), one.article) for one in withheld),
    )
