"""What is held on a person: found by what they state, records, and the whole change history.

A person's notifications are not listed anywhere. Each names the digest of the person's last one
that its issuer knew; so the history is followed back from what wrote each municipality's record
last. Everything is opened in its place: what was altered is told, not disclosed.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import ColumnElement, Connection, Engine, or_, select, tuple_

from juki.domain.errors import JukiError, Reason
from juki.domain.legal_basis import SearchKey
from juki.domain.outcome import Outcome
from juki.domain.residency import ResidencyStatus
from juki.index.reading import PersonReader
from juki.index.wire import FieldMask
from juki.register import tables as t
from juki.register.held import HeldClaim, held_claim
from juki.register.streams import open_envelope
from juki.store.sealing import Sealer
from juki.v1 import disclosure_pb2, identification_pb2, notification_pb2
from juki.wire import four_items_from_proto

_MOST_CHANGES: Final = 10_000
"""Nobody's life has more; a chain that leads further is broken off."""

_NOTHING: Final = FieldMask(())


@dataclass(frozen=True, slots=True)
class HeldNotification:
    """One notification about a person, as stored."""

    municipality: str
    epoch: int
    sequence: int
    issued_at: datetime.datetime
    received_at: int
    """Microseconds since 1970-01-01 UTC."""

    change: notification_pb2.RecordChange
    disputed: bool

    def __repr__(self) -> str:
        return f"HeldNotification({self.municipality}, {self.epoch}, {self.sequence})"


@dataclass(frozen=True, slots=True)
class HeldPerson:
    """All that is held on one person."""

    ordinal: int
    ordinals: tuple[int, ...]
    """Theirs, and those that turned out to be theirs."""

    status: ResidencyStatus
    municipality: str
    """Whose record is the current one; empty where that is disputed."""

    claims: tuple[HeldClaim, ...]
    notifications: tuple[HeldNotification, ...]
    """The newest first."""

    complete: bool
    """Whether every notification that another one names was found."""

    def __repr__(self) -> str:
        return "HeldPerson(…)"


def search_key(subject: disclosure_pb2.DisclosureSubject) -> SearchKey:
    """By what the person is found."""
    return {
        "individual_number": SearchKey.INDIVIDUAL_NUMBER,
        "resident_record_code": SearchKey.RESIDENT_RECORD_CODE,
    }.get(subject.WhichOneof("key") or "", SearchKey.FOUR_ITEMS)


class PersonRecords:
    """Reads the register of one tier for disclosure."""

    def __init__(self, engine: Engine, sealer: Sealer, index: PersonReader | None = None) -> None:
        """Without an index, at a tier that keeps none, the four items are refused."""
        self._engine = engine
        self._sealer = sealer
        self._index = index

    def find(self, subject: disclosure_pb2.DisclosureSubject) -> HeldPerson | None:
        """Everything held on the person; None where nothing is.

        Raises:
            JukiError: PERSON_NOT_IDENTIFIED where several answer, or the date of birth is not that
                of the record; TAMPERING_DETECTED.
        """
        ordinal = self._ordinal(subject)
        if not ordinal:
            return None
        with self._engine.connect().execution_options(read_only=True) as connection:
            person = self._read(connection, ordinal)
        if not any(_born(claim, subject.birth_date) for claim in person.claims):
            raise _not_identified("the date of birth is not that of the record")
        return person

    def _ordinal(self, subject: disclosure_pb2.DisclosureSubject) -> int:
        """The person's internal id; 0 for nobody."""
        key = subject.WhichOneof("key")
        if key == "four_items":
            return self._by_four_items(subject.four_items)
        if key == "individual_number":
            blind = self._sealer.blind("number", subject.individual_number)
            statement = select(t.person_number.c.ordinal).where(
                t.person_number.c.number_blind == blind
            )
        else:
            blind = self._sealer.blind("code", subject.resident_record_code)
            statement = select(t.person_code.c.ordinal).where(t.person_code.c.code_blind == blind)
        with self._engine.connect().execution_options(read_only=True) as connection:
            return connection.scalar(statement) or 0

    def _by_four_items(self, message: identification_pb2.FourItems) -> int:
        if self._index is None:
            raise _not_identified("here persons are found by number or code only")
        found = self._index.by_four_items([four_items_from_proto(message)], _NOTHING)
        if found.outcomes[0] == Outcome.AMBIGUOUS:
            raise _not_identified("several persons answer to the four items")
        return int.from_bytes(found.ordinals, "big")

    def _read(self, connection: Connection, ordinal: int) -> HeldPerson:
        residency = connection.execute(
            select(t.residency).where(t.residency.c.ordinal == ordinal)
        ).first()
        rows = connection.execute(
            select(t.claim).where(t.claim.c.ordinal == ordinal).order_by(t.claim.c.municipality)
        ).all()
        if residency is None or not rows:
            raise self._sealer.tampering("a person of the register has lost every claim")
        claims = tuple(held_claim(row, self._sealer) for row in rows)
        notifications, complete = self._follow(connection, claims)
        return HeldPerson(
            ordinal,
            _all_ordinals(connection, ordinal),
            ResidencyStatus(residency.status),
            residency.municipality,
            claims,
            notifications,
            complete,
        )

    def _follow(
        self, connection: Connection, claims: Sequence[HeldClaim]
    ) -> tuple[tuple[HeldNotification, ...], bool]:
        table = t.notification
        places = [(held.claim.municipality, held.epoch, held.sequence) for held in claims]
        key = tuple_(table.c.municipality, table.c.epoch, table.c.sequence)
        condition: ColumnElement[bool] = key.in_(places)
        found: dict[bytes, HeldNotification] = {}
        wanted: set[bytes] = set()
        missing = False
        while len(found) < _MOST_CHANGES:
            rows = connection.execute(select(table).where(condition)).all()
            missing |= bool(wanted - {bytes(row.digest) for row in rows})
            wanted = set()
            for row in rows:
                held = self._opened(row)
                if held is not None:
                    found[bytes(row.digest)] = held
                    if held.change.person_predecessor_digest:
                        wanted.add(held.change.person_predecessor_digest)
            wanted -= found.keys()
            if not wanted:
                break
            condition = or_(*(table.c.digest == digest for digest in wanted))
        newest_first = sorted(
            found.values(), key=lambda one: (one.issued_at, one.epoch, one.sequence), reverse=True
        )
        return tuple(newest_first), not missing and not wanted

    def _opened(self, row: object) -> HeldNotification | None:
        signed = notification_pb2.SignedNotification.FromString(open_envelope(row, self._sealer))
        notification = notification_pb2.Notification.FromString(signed.notification)
        if notification.WhichOneof("content") != "record_change":
            return None
        return HeldNotification(
            notification.municipality,
            notification.epoch,
            notification.sequence,
            notification.issued_at.ToDatetime(tzinfo=datetime.UTC),
            row.received_at,  # type: ignore[attr-defined]
            notification.record_change,
            row.dispute_reason is not None,  # type: ignore[attr-defined]
        )


def _all_ordinals(connection: Connection, ordinal: int) -> tuple[int, ...]:
    table, known, fresh = t.person_merge, [ordinal], [ordinal]
    while fresh:
        fresh = list(connection.scalars(select(table.c.merged).where(table.c.into.in_(fresh))))
        known += fresh
    return tuple(known)


def _born(held: HeldClaim, birth_date: identification_pb2.BirthDate) -> bool:
    information = identification_pb2.IdentificationInformation.FromString(held.information)
    return information.birth_date == birth_date


def _not_identified(message: str) -> JukiError:
    return JukiError(Reason.PERSON_NOT_IDENTIFIED, message)
