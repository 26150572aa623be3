"""Applies verified notifications to the persons of a register, a run at a time.

Everything of a run is read in a few queries, decided in memory and written in a few statements, all
inside the caller's transaction. The outcome rests on what each municipality said in its own order,
not on how the streams of several municipalities happen to interleave: codes, code changes and
numbers link records to persons whenever they come, and residencies are derived from claims alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, func, select

from juki.domain.change import ChangeKind, ChangeReason
from juki.domain.residency import DisputeReason, apply_change, derive
from juki.register import tables as t
from juki.register.held import HeldClaim, Person
from juki.register.joining import joined_claims
from juki.register.values import RecordChange
from juki.register.working_set import CodeRegistry, WorkingSet
from juki.store.root import RowChanges
from juki.store.sealing import Sealer

_CARRYING: Final = frozenset({ChangeReason.MOVING_IN, ChangeReason.EX_OFFICIO_ENTRY})
"""Entries of a person who brings their Individual Number along."""


@dataclass(slots=True)
class Outcome:
    """What applying a run did."""

    disputed: dict[int, DisputeReason]
    """By position in the run: the notifications that cannot be true."""

    persons: list[Person]
    """Every person whose record was touched, with their residency derived anew."""

    merged: list[int]
    """Ordinals that ceased to be, because two persons were shown to be one."""


class PersonRegister:
    """Persons, their codes and numbers, the claims on them, and the residency derived from those.

    One writer at a time: the caller holds the process's intake lock.
    """

    def __init__(self, sealer: Sealer, registry: CodeRegistry | None = None) -> None:
        self._sealer = sealer
        self._registry = registry
        self._next_ordinal = 0

    def apply(
        self,
        connection: Connection,
        run: Sequence[RecordChange | None],
        received_at: int,
        changes: RowChanges,
    ) -> Outcome:
        """Applies a run of one municipality's changes, in order; `None` marks what is no change.

        `received_at` is in microseconds since 1970-01-01 UTC; `changes` hears of every row.
        """
        work = WorkingSet(
            connection,
            self._sealer,
            self._registry,
            take_ordinal=self.take_ordinal,
            received_at=received_at,
            changes=changes,
        )
        return _Run(work, self._sealer, knows_codes=self._registry is not None).apply(run)

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


@dataclass(frozen=True, slots=True)
class _Keys:
    """A change's codes and number as blind values; empty where it has none."""

    code: bytes
    former_code: bytes
    number: bytes
    former_number: bytes


class _Run:
    def __init__(self, work: WorkingSet, sealer: Sealer, *, knows_codes: bool) -> None:
        self._work = work
        self._sealer = sealer
        self._knows_codes = knows_codes

    def apply(self, run: Sequence[RecordChange | None]) -> Outcome:
        keyed = [
            (position, change, self._keys(change))
            for position, change in enumerate(run)
            if change is not None and not change.impossible
        ]
        disputed = {
            position: DisputeReason.IMPOSSIBLE_VALUE
            for position, change in enumerate(run)
            if change is not None and change.impossible
        }
        self._work.load(
            {code for _, _, keys in keyed for code in (keys.code, keys.former_code) if code},
            {keys.number for _, _, keys in keyed if keys.number},
            {keys.former_number for _, _, keys in keyed if keys.former_number},
        )
        for position, change, keys in keyed:
            reason = self._apply_one(change, keys)
            if reason is not None:
                disputed[position] = reason
        persons = self._work.write()
        for person in persons:
            person.residency = derive(held.claim for held in person.claims.values())
        return Outcome(disputed, persons, self._work.merged)

    def _keys(self, change: RecordChange) -> _Keys:
        blind = self._sealer.blind
        return _Keys(
            blind("code", change.code),
            blind("code", change.former_code) if change.former_code else b"",
            blind("number", change.number) if change.number else b"",
            blind("number", change.former_number) if change.former_number else b"",
        )

    def _apply_one(self, change: RecordChange, keys: _Keys) -> DisputeReason | None:
        if self._knows_codes and not self._may_use_code(change, keys):
            return DisputeReason.CODE_NOT_ALLOTTED
        person = self._find(change, keys)
        if person is None:
            if change.reason.kind is not ChangeKind.ENTRY:
                return DisputeReason.NO_ENTRY
            person = self._work.new_person()
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
        others = self._others_shown(person, change, keys)
        conflict = self._check_number(person, others, change, keys) or self._join(
            person, others, change
        )
        if conflict is not None:
            return conflict
        codes = [keys.code]
        if change.reason in _CARRYING and keys.number in self._work.made_for:
            # The number's own code is the person's too, though its notifications may be to come.
            codes.append(self._work.made_for[keys.number])
        self._work.keep(
            person,
            HeldClaim(following, change.epoch, change.sequence, change.information),
            codes,
            keys.number,
        )
        return None

    def _may_use_code(self, change: RecordChange, keys: _Keys) -> bool:
        owner = self._work.allotted_to.get(keys.code)
        if change.reason is ChangeReason.CODE_CHANGE_REQUEST:
            # The mayor picks one of those allotted to him (Art. 30-4): else two would become one.
            return owner == change.municipality
        return owner is not None

    def _find(self, change: RecordChange, keys: _Keys) -> Person | None:
        code = keys.former_code or keys.code
        person = self._work.holder_of_code(code)
        if person is None and change.reason in _CARRYING and keys.number:
            # The code may have changed on the way by a notification that is still to come.
            person = self._holder_of_number(keys.number)
        return person

    def _holder_of_number(self, number: bytes) -> Person | None:
        """Who has the number, or the code that the nation generated it for."""
        holder = self._work.holder_of_number(number)
        made_for = self._work.made_for.get(number)
        if holder is None and made_for is not None:
            return self._work.holder_of_code(made_for)
        return holder

    def _others_shown(self, person: Person, change: RecordChange, keys: _Keys) -> list[Person]:
        """Who the change shows to be the same person, entered elsewhere before it was known."""
        other = None
        if change.reason.kind is ChangeKind.CODE_CHANGE:
            other = self._work.holder_of_code(keys.code)
        elif keys.number and self._work.made_for.get(keys.number, keys.code) == keys.code:
            other = self._work.holder_of_number(keys.number)
        if other is None or other is person:
            return []
        if change.reason.kind in (ChangeKind.CODE_CHANGE, ChangeKind.NUMBER_CHANGE):
            return [other]
        # Where each has a number already, the one may have been written for the other's.
        return [other] if change.reason in _CARRYING and not self._work.has_number(person) else []

    def _check_number(
        self, person: Person, others: list[Person], change: RecordChange, keys: _Keys
    ) -> DisputeReason | None:
        if not keys.number:
            return None
        made_for = self._work.made_for.get(keys.number)
        if self._knows_codes and made_for is None:
            return DisputeReason.NUMBER_NOT_GENERATED
        if (
            self._knows_codes
            and change.reason.remakes_number
            # The nation made this very number in the former one's place, before anybody said so.
            and self._work.replaced_by.get(keys.former_number) != keys.number
        ):
            return DisputeReason.NUMBER_NOT_GENERATED
        holder = self._holder_of_number(keys.number)
        if holder is None:
            own = made_for in (None, keys.code) or change.reason in _CARRYING
            return None if own else DisputeReason.NUMBER_NOT_GENERATED
        if holder is person or holder in others:
            return None
        known = self._work.holder_of_number(keys.number) is not None
        return DisputeReason.NUMBER_TAKEN if known else DisputeReason.NUMBER_NOT_GENERATED

    def _join(
        self, person: Person, others: list[Person], change: RecordChange
    ) -> DisputeReason | None:
        for other in others:
            claims = joined_claims(person, other, change)
            if claims is None:
                by_code = change.reason.kind is ChangeKind.CODE_CHANGE
                return DisputeReason.CODE_TAKEN if by_code else DisputeReason.NUMBER_TAKEN
            self._work.merge(other, person, claims)
        return None
