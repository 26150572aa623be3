"""What one run of changes reads and writes: read in a few queries, written in a few statements."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from sqlalchemy import Connection, Table, delete, insert, select, update

from juki.register import tables as t
from juki.register.held import HeldClaim, Person, claim_place, held_claim
from juki.store.chunks import chunks, select_by_key
from juki.store.root import RowChanges, row_bytes
from juki.store.sealing import Sealer, seal_id
from juki.store.upsert import upsert


class CodeRegistry(Protocol):
    """What the nation knows of the codes and numbers it gave out; a prefecture has none."""

    def allotted(self, connection: Connection, code_blinds: set[bytes]) -> dict[bytes, str]:
        """The municipality that each of the codes was allotted to; unknown codes are left out."""

    def generated(self, connection: Connection, number_blinds: set[bytes]) -> dict[bytes, bytes]:
        """For those of the numbers that were generated: the blind code each was generated for."""

    def replaced(self, connection: Connection, number_blinds: set[bytes]) -> dict[bytes, bytes]:
        """For those of the numbers that were replaced: the number each was replaced by."""


class WorkingSet:
    """The persons that a run's codes and numbers lead to, and what the run changes of them."""

    def __init__(
        self,
        connection: Connection,
        sealer: Sealer,
        registry: CodeRegistry | None,
        *,
        take_ordinal: Callable[[Connection], int],
        received_at: int,
        changes: RowChanges,
    ) -> None:
        """`received_at` is in microseconds since 1970-01-01 UTC."""
        self._changes = changes
        self._connection = connection
        self._sealer = sealer
        self._registry = registry
        self._take_ordinal = take_ordinal
        self._received_at = received_at
        self._by_code: dict[bytes, int] = {}
        self._by_number: dict[bytes, int] = {}
        self._persons: dict[int, Person] = {}
        self._touched: dict[int, Person] = {}
        self._dirty_claims: dict[tuple[int, str], HeldClaim] = {}
        self._stored_claims: dict[tuple[int, str], bytes] = {}
        """Claims as they stand in the table: what each counts by in the register root."""

        self._stored_keys: dict[str, dict[bytes, int]] = {}
        """Blind codes and numbers as they stand in their tables, by table."""

        self._new_codes: dict[bytes, int] = {}
        self._new_numbers: dict[bytes, int] = {}
        self.allotted_to: dict[bytes, str] = {}
        """At the nation: the municipality that each code of the run was allotted to."""

        self.made_for: dict[bytes, bytes] = {}
        """At the nation: the code that each number of the run was generated for."""

        self.replaced_by: dict[bytes, bytes] = {}
        """At the nation: the number that replaced each former number of the run."""

        self.merged: list[int] = []
        """Ordinals that ceased to be."""

    def load(self, codes: set[bytes], numbers: set[bytes], former_numbers: set[bytes]) -> None:
        """Reads every person that the codes and numbers lead to."""
        connection = self._connection
        numbers = numbers | former_numbers
        if self._registry is not None:
            self.allotted_to = self._registry.allotted(connection, codes)
            self.made_for = self._registry.generated(connection, numbers)
            self.replaced_by = self._registry.replaced(connection, former_numbers)
        self._by_code = select_by_key(
            connection,
            t.person_code.c.code_blind,
            t.person_code.c.ordinal,
            codes.union(self.made_for.values()),
        )
        self._by_number = select_by_key(
            connection, t.person_number.c.number_blind, t.person_number.c.ordinal, numbers
        )
        self._stored_keys = {
            "person_code": dict(self._by_code),
            "person_number": dict(self._by_number),
        }
        self._load_persons({*self._by_code.values(), *self._by_number.values()})

    def holder_of_code(self, code: bytes) -> Person | None:
        """The person with this code, now or before."""
        ordinal = self._by_code.get(code)
        return None if ordinal is None else self._persons[ordinal]

    def holder_of_number(self, number: bytes) -> Person | None:
        """The person with this number, now or before."""
        ordinal = self._by_number.get(number)
        return None if ordinal is None else self._persons[ordinal]

    def has_number(self, person: Person) -> bool:
        """Whether any number is known as the person's."""
        if person.ordinal in self._by_number.values():
            return True
        held = select(t.person_number.c.ordinal).where(t.person_number.c.ordinal == person.ordinal)
        return self._connection.scalar(held.limit(1)) is not None

    def new_person(self) -> Person:
        """A person not yet known, kept once something of them is."""
        return Person(self._take_ordinal(self._connection))

    def keep(self, person: Person, held: HeldClaim, codes: Sequence[bytes], number: bytes) -> None:
        """Keeps the claim of a change; its codes and its number, if any, are the person's."""
        ordinal = person.ordinal
        for code in codes:
            if self._by_code.get(code) != ordinal:
                self._by_code[code] = self._new_codes[code] = ordinal
        if number and number not in self._by_number:
            self._by_number[number] = self._new_numbers[number] = ordinal
        self._persons[ordinal] = self._touched[ordinal] = person
        self._keep_claim(person, held)

    def merge(self, other: Person, person: Person, claims: dict[str, HeldClaim]) -> None:
        """`other` turned out to be `person`, who now has `claims`."""
        connection, into = self._connection, person.ordinal
        for municipality, held in claims.items():
            self._dirty_claims.pop((other.ordinal, municipality), None)
            if person.claims.get(municipality) is not held:
                self._keep_claim(person, held)
        for mapping in (self._by_code, self._by_number, self._new_codes, self._new_numbers):
            for blind, ordinal in mapping.items():
                if ordinal == other.ordinal:
                    mapping[blind] = into
        for table in (t.person_code, t.person_number):
            self._hand_over(table, other.ordinal, into)
        for table in (t.claim, t.residency):
            connection.execute(delete(table).where(table.c.ordinal == other.ordinal))
        for key in [key for key in self._stored_claims if key[0] == other.ordinal]:
            self._changes.remove("claim", self._stored_claims.pop(key))
        if other.stored_residency is not None:
            self._changes.remove("residency", row_bytes(other.ordinal, *other.stored_residency))
        self._changes.add("person_merge", row_bytes(other.ordinal, into, self._received_at))
        connection.execute(
            insert(t.person_merge).values(
                merged=other.ordinal, into=into, merged_at=self._received_at
            )
        )
        self._touched.pop(other.ordinal, None)
        self.merged.append(other.ordinal)

    def _hand_over(self, table: Table, ordinal: int, into: int) -> None:
        """All of a person's codes or numbers in the table are another's from now on."""
        stored = self._stored_keys[table.name]
        (key,) = table.primary_key
        for blind in self._connection.scalars(select(key).where(table.c.ordinal == ordinal)):
            self._changes.remove(table.name, row_bytes(bytes(blind), ordinal))
            self._changes.add(table.name, row_bytes(bytes(blind), into))
            stored[bytes(blind)] = into
        self._connection.execute(
            update(table).where(table.c.ordinal == ordinal).values(ordinal=into)
        )

    def write(self) -> list[Person]:
        """Writes what changed; the persons whose record was touched."""
        connection, changes = self._connection, self._changes
        for table, column, ordinals in (
            (t.person_code, "code_blind", self._new_codes),
            (t.person_number, "number_blind", self._new_numbers),
        ):
            stored = self._stored_keys.get(table.name, {})
            for blind, ordinal in ordinals.items():
                if blind in stored:
                    changes.remove(table.name, row_bytes(blind, stored[blind]))
                changes.add(table.name, row_bytes(blind, ordinal))
            rows = [{column: blind, "ordinal": ordinal} for blind, ordinal in ordinals.items()]
            upsert(connection, table, rows)
        upsert(
            connection,
            t.claim,
            [self._claim_row(ordinal, held) for (ordinal, _), held in self._dirty_claims.items()],
        )
        return list(self._touched.values())

    def _keep_claim(self, person: Person, held: HeldClaim) -> None:
        municipality = held.claim.municipality
        person.claims[municipality] = self._dirty_claims[person.ordinal, municipality] = held

    def _load_persons(self, ordinals: set[int]) -> None:
        persons = self._persons
        for chunk in chunks(ordinals):
            for row in self._connection.execute(
                select(t.claim).where(t.claim.c.ordinal.in_(chunk))
            ):
                person = persons.get(row.ordinal)
                if person is None:
                    person = persons[row.ordinal] = Person(row.ordinal)
                person.claims[row.municipality] = held_claim(row, self._sealer)
                key = row.ordinal, row.municipality
                self._stored_claims[key] = seal_id(bytes(row.information_sealed))
            for row in self._connection.execute(
                select(t.residency).where(t.residency.c.ordinal.in_(chunk))
            ):
                person = persons.get(row.ordinal)
                if person is not None:
                    person.stored_residency = (row.status, row.municipality, row.dispute_id)
                    person.dispute_id = row.dispute_id
        if not persons.keys() >= ordinals:
            raise self._sealer.tampering("a person of the register has lost every claim")

    def _claim_row(self, ordinal: int, held: HeldClaim) -> dict[str, Any]:
        claim = held.claim
        sealed = self._sealer.seal(
            held.information, claim_place(ordinal, claim, held.epoch, held.sequence)
        )
        stored = self._stored_claims.get((ordinal, claim.municipality))
        if stored is not None:
            self._changes.remove("claim", stored)
        self._changes.add("claim", seal_id(sealed))
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
            "information_sealed": sealed,
        }
