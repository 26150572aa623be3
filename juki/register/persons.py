"""Applies verified notifications to the persons of a register, a run at a time.

Everything of a run is read in a few queries, decided in memory and written in a few statements, all
inside the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from sqlalchemy import Connection, delete, func, insert, select, update

from juki.domain.change import ChangeKind, ChangeReason, RecordState
from juki.domain.residency import Claim, DisputeReason, Residency, apply_change, derive
from juki.register import tables as t
from juki.register.values import RecordChange
from juki.store.sealing import Sealer
from juki.store.upsert import upsert


class CodeRegistry(Protocol):
    """What the nation knows of the codes and numbers it gave out; a prefecture has none."""

    def allotted(self, connection: Connection, code_blinds: set[bytes]) -> set[bytes]:
        """Those of the codes that were allotted to some municipality."""

    def generated(self, connection: Connection, number_blinds: set[bytes]) -> dict[bytes, bytes]:
        """For those of the numbers that were generated: the blind code each was generated for."""


@dataclass(slots=True)
class HeldClaim:
    """A claim with the identification information that its last notification gave."""

    claim: Claim
    epoch: int
    sequence: int
    information: bytes


@dataclass(slots=True)
class Person:
    """A person as the register holds them, by their stable internal ordinal."""

    ordinal: int
    claims: dict[str, HeldClaim] = field(default_factory=dict)
    residency: Residency | None = None
    dispute_id: str | None = None


@dataclass(slots=True)
class Outcome:
    """What applying a run did."""

    disputed: dict[int, DisputeReason]
    """By position in the run: the notifications that cannot be true."""

    persons: list[Person]
    """Every person whose record was touched, with their residency derived anew."""

    merged: list[int]
    """Ordinals that ceased to be, because a code change showed two to be one person."""


class PersonRegister:
    """Persons, their codes and numbers, the claims on them, and the residency derived from those.

    One writer at a time: the caller holds the process's intake lock.
    """

    def __init__(self, sealer: Sealer, registry: CodeRegistry | None = None) -> None:
        self._sealer = sealer
        self._registry = registry
        self._next_ordinal = 0

    def apply(
        self, connection: Connection, run: Sequence[RecordChange | None], received_at: int
    ) -> Outcome:
        """Applies a run of one municipality's changes, in order; `None` marks what is no change."""
        work = _Run(self, connection, self._sealer, self._registry, received_at)
        return work.apply(run)

    def take_ordinal(self, connection: Connection) -> int:
        """A new person's ordinal; ordinals rise and are never used twice."""
        if self._next_ordinal == 0:
            highest = max(
                connection.scalar(select(func.max(table.c[column]))) or 0
                for table, column in (
                    (t.person_code, "ordinal"),
                    (t.person_merge, "merged"),
                    (t.residency, "ordinal"),
                )
            )
            self._next_ordinal = highest + 1
        ordinal = self._next_ordinal
        self._next_ordinal += 1
        return ordinal

    def forget_ordinals(self) -> None:
        """After a rollback: the next ordinal is read from the database again."""
        self._next_ordinal = 0


class _Run:
    def __init__(
        self,
        register: PersonRegister,
        connection: Connection,
        sealer: Sealer,
        registry: CodeRegistry | None,
        received_at: int,
    ) -> None:
        self._register = register
        self._connection = connection
        self._sealer = sealer
        self._registry = registry
        self._received_at = received_at
        self._by_code: dict[bytes, int] = {}
        self._by_number: dict[bytes, int] = {}
        self._persons: dict[int, Person] = {}
        self._touched: dict[int, Person] = {}
        self._dirty_claims: dict[tuple[int, str], HeldClaim] = {}
        self._new_codes: dict[bytes, int] = {}
        self._new_numbers: dict[bytes, int] = {}
        self._allotted: set[bytes] = set()
        self._generated: dict[bytes, bytes] = {}
        self._merged: list[int] = []

    def apply(self, run: Sequence[RecordChange | None]) -> Outcome:
        changes = [change for change in run if change is not None]
        disputed: dict[int, DisputeReason] = {}
        blinds = {id(change): self._blinds(change) for change in changes}
        self._load(changes, blinds)
        for position, change in enumerate(run):
            if change is None:
                continue
            reason = self._apply_one(change, *blinds[id(change)])
            if reason is not None:
                disputed[position] = reason
        for person in self._touched.values():
            person.residency = derive(held.claim for held in person.claims.values())
        self._write()
        return Outcome(disputed, list(self._touched.values()), self._merged)

    def _blinds(self, change: RecordChange) -> tuple[bytes, bytes, bytes]:
        blind = self._sealer.blind
        return (
            blind("code", change.code),
            blind("code", change.former_code) if change.former_code else b"",
            blind("number", change.number) if change.number else b"",
        )

    def _load(
        self, changes: Sequence[RecordChange], blinds: dict[int, tuple[bytes, bytes, bytes]]
    ) -> None:
        codes = {b for code, former, _ in blinds.values() for b in (code, former) if b}
        numbers = {number for _, _, number in blinds.values() if number}
        connection = self._connection
        self._by_code = _select_map(connection, t.person_code, "code_blind", codes)
        self._by_number = _select_map(connection, t.person_number, "number_blind", numbers)
        self._load_persons({*self._by_code.values(), *self._by_number.values()})
        if self._registry is not None:
            self._allotted = self._registry.allotted(connection, codes)
            self._generated = self._registry.generated(connection, numbers)

    def _load_persons(self, ordinals: set[int]) -> None:
        for chunk in _chunks(sorted(ordinals)):
            for row in self._connection.execute(
                select(t.claim).where(t.claim.c.ordinal.in_(chunk))
            ):
                person = self._persons.setdefault(row.ordinal, Person(row.ordinal))
                person.claims[row.municipality] = _held(row, self._sealer)
            statement = select(t.residency.c.ordinal, t.residency.c.dispute_id).where(
                t.residency.c.ordinal.in_(chunk)
            )
            for ordinal, dispute_id in self._connection.execute(statement):
                self._persons.setdefault(ordinal, Person(ordinal)).dispute_id = dispute_id

    def _apply_one(
        self, change: RecordChange, code: bytes, former: bytes, number: bytes
    ) -> DisputeReason | None:
        if change.impossible:
            return DisputeReason.IMPOSSIBLE_VALUE
        if self._registry is not None and code not in self._allotted:
            return DisputeReason.CODE_NOT_ALLOTTED
        person = self._resolve(change, code, former, number)
        if isinstance(person, DisputeReason):
            return person
        held = person.claims.get(change.municipality)
        following = apply_change(
            held.claim if held else None,
            municipality=change.municipality,
            reason=change.reason,
            event_date=change.event_date,
            moved_from=change.moved_from,
            moved_to=change.moved_to,
        )
        if isinstance(following, DisputeReason):
            return following
        conflict = self._number_conflict(person, change, number)
        if conflict is None and change.reason.kind is ChangeKind.CODE_CHANGE:
            conflict = self._join_holder_of(code, person)
        if conflict is not None:
            return conflict
        if self._by_code.get(code) != person.ordinal:
            self._by_code[code] = self._new_codes[code] = person.ordinal
        if number and number not in self._by_number:
            self._by_number[number] = self._new_numbers[number] = person.ordinal
        self._persons[person.ordinal] = self._touched[person.ordinal] = person
        person.claims[change.municipality] = self._dirty_claims[
            person.ordinal, change.municipality
        ] = HeldClaim(following, change.epoch, change.sequence, change.information)
        return None

    def _resolve(
        self, change: RecordChange, code: bytes, former: bytes, number: bytes
    ) -> Person | DisputeReason:
        key = former if change.reason.kind is ChangeKind.CODE_CHANGE else code
        ordinal = self._by_code.get(key)
        if ordinal is None and change.reason is ChangeReason.MOVING_IN and number:
            # The code may have changed on the way by a notification that is still to come.
            ordinal = self._by_number.get(number)
        if ordinal is not None:
            return self._persons[ordinal]
        if change.reason.kind is not ChangeKind.ENTRY:
            return DisputeReason.NO_ENTRY
        return Person(self._register.take_ordinal(self._connection))

    def _number_conflict(
        self, person: Person, change: RecordChange, number: bytes
    ) -> DisputeReason | None:
        if not number:
            return None
        holder = self._by_number.get(number)
        if holder is not None:
            return None if holder == person.ordinal else DisputeReason.NUMBER_TAKEN
        if self._registry is None or change.reason is ChangeReason.MOVING_IN:
            # A carried number was generated for the person's first code, which may not be known yet.
            known = self._registry is None or number in self._generated
            return None if known else DisputeReason.NUMBER_NOT_GENERATED
        generated_for = self._generated.get(number)
        if generated_for is None:
            return DisputeReason.NUMBER_NOT_GENERATED
        own = generated_for == self._sealer.blind("code", change.code)
        if own or self._by_code.get(generated_for) == person.ordinal:
            return None
        return DisputeReason.NUMBER_NOT_GENERATED

    def _join_holder_of(self, code: bytes, person: Person) -> DisputeReason | None:
        holder = self._by_code.get(code)
        if holder is not None and holder != person.ordinal:
            other = self._persons[holder]
            if person.claims.keys() & other.claims.keys():
                return DisputeReason.CODE_TAKEN
            self._merge(other, person)
        return None

    def _merge(self, other: Person, person: Person) -> None:
        """`other` was entered under the new code before the change that links it was known."""
        connection, into = self._connection, person.ordinal
        for municipality, held in other.claims.items():
            person.claims[municipality] = self._dirty_claims[into, municipality] = held
            self._dirty_claims.pop((other.ordinal, municipality), None)
        for mapping in (self._by_code, self._by_number, self._new_codes, self._new_numbers):
            for blind, ordinal in mapping.items():
                if ordinal == other.ordinal:
                    mapping[blind] = into
        for table in (t.person_code, t.person_number):
            connection.execute(
                update(table).where(table.c.ordinal == other.ordinal).values(ordinal=into)
            )
        for table in (t.claim, t.residency):
            connection.execute(delete(table).where(table.c.ordinal == other.ordinal))
        connection.execute(
            insert(t.person_merge).values(
                merged=other.ordinal, into=into, merged_at=self._received_at
            )
        )
        self._touched.pop(other.ordinal, None)
        self._merged.append(other.ordinal)

    def _write(self) -> None:
        connection = self._connection
        if self._new_codes:
            upsert(
                connection,
                t.person_code,
                [{"code_blind": b, "ordinal": o} for b, o in self._new_codes.items()],
            )
        if self._new_numbers:
            upsert(
                connection,
                t.person_number,
                [{"number_blind": b, "ordinal": o} for b, o in self._new_numbers.items()],
            )
        if self._dirty_claims:
            upsert(
                connection,
                t.claim,
                [self._claim_row(o, held) for (o, _), held in self._dirty_claims.items()],
            )

    def _claim_row(self, ordinal: int, held: HeldClaim) -> dict[str, Any]:
        claim = held.claim
        return {
            "ordinal": ordinal,
            "municipality": claim.municipality,
            "state": int(claim.state),
            "entered_on": claim.entered_on,
            "entered_by": int(claim.entered_by),
            "moved_from": claim.moved_from,
            "deleted_on": claim.deleted_on,
            "moved_to": claim.moved_to,
            "epoch": held.epoch,
            "sequence": held.sequence,
            "information_sealed": self._sealer.seal(
                held.information,
                claim_place(ordinal, claim.municipality, held.epoch, held.sequence),
            ),
        }


def claim_place(ordinal: int, municipality: str, epoch: int, sequence: int) -> bytes:
    """The place that a claim's sealed information is bound to: row, column and version."""
    return b"claim.information|%d|%s|%d|%d" % (ordinal, municipality.encode(), epoch, sequence)


def _held(row: Any, sealer: Sealer) -> HeldClaim:
    claim = Claim(
        row.municipality,
        RecordState(row.state),
        row.entered_on,
        ChangeReason(row.entered_by),
        moved_from=row.moved_from,
        deleted_on=row.deleted_on,
        moved_to=row.moved_to,
    )
    place = claim_place(row.ordinal, row.municipality, row.epoch, row.sequence)
    return HeldClaim(claim, row.epoch, row.sequence, sealer.open(row.information_sealed, place))


def _chunks(values: list[Any], size: int = 500) -> list[list[Any]]:
    return [values[start : start + size] for start in range(0, len(values), size)]


def _select_map(
    connection: Connection, table: Any, column: str, keys: set[bytes]
) -> dict[bytes, int]:
    found: dict[bytes, int] = {}
    for chunk in _chunks(sorted(keys)):
        statement = select(table.c[column], table.c.ordinal).where(table.c[column].in_(chunk))
        found.update((bytes(blind), ordinal) for blind, ordinal in connection.execute(statement))
    return found
