"""Makes Individual Numbers from resident record codes (My Number Act Art. 8).

A keyed one-way conversion whose key never leaves the token: HMAC-SHA256 over code and counter,
reduced without bias to 11 digits, then the check digit. A number that any person has or had is
passed over by counting on. The registry of every number ever made decides, inside a transaction.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Final

from sqlalchemy import Connection, Engine, insert, select

from juki.domain.change import RecordState
from juki.domain.codes import IndividualNumber, ResidentRecordCode
from juki.domain.errors import JukiError, Reason
from juki.store.engine import now_microseconds
from juki.store.sealing import Sealer
from national_server import tables as t
from national_server.code_pool import municipality_of_codes

_BODIES: Final = 10**11
"""Numbers there are: eleven digits before the check digit."""

_FAIR: Final = 2**64 // _BODIES * _BODIES
_FIRST_GENERATION: Final = 0
_CHUNK: Final = 500

Mac = Callable[[Sequence[bytes]], list[bytes]]
"""HMAC-SHA256 of each message under the token's key for Individual Numbers."""


def body_of(mac: bytes) -> int | None:
    """The 11 digits that a 32-byte MAC gives without bias; `None` if all its parts are unfair."""
    for start in range(0, len(mac), 8):
        value = int.from_bytes(mac[start : start + 8], "big")
        if value < _FAIR:
            return value % _BODIES
    return None


class NumberMaker:
    """Makes and keeps Individual Numbers; the same code gives the same number again."""

    def __init__(self, engine: Engine, sealer: Sealer, mac: Mac) -> None:
        self._engine = engine
        self._sealer = sealer
        self._mac = mac
        self._lock = threading.Lock()

    def make(
        self, municipality: str, codes: Sequence[ResidentRecordCode]
    ) -> list[IndividualNumber]:
        """The first number of each code, made now or before.

        Raises:
            JukiError: CODE_NOT_ALLOTTED unless each code was allotted to the municipality or
                stands on its register.
        """
        blinds = [self._sealer.blind("code", code.digits) for code in codes]
        with self._lock, self._engine.begin() as connection:
            self._check_own(connection, municipality, blinds)
            numbers = self._made(connection, blinds)
            missing = {b: c for b, c in zip(blinds, codes, strict=True) if b not in numbers}
            numbers |= self._make_missing(connection, missing)
        return [numbers[blind] for blind in blinds]

    def _check_own(self, connection: Connection, municipality: str, blinds: list[bytes]) -> None:
        owners = municipality_of_codes(connection, blinds)
        foreign = [blind for blind in blinds if owners.get(blind) != municipality]
        for start in range(0, len(foreign), _CHUNK):
            chunk = foreign[start : start + _CHUNK]
            person_code, claim = t.metadata.tables["person_code"], t.metadata.tables["claim"]
            statement = (
                select(person_code.c.code_blind)
                .join(claim, claim.c.ordinal == person_code.c.ordinal)
                .where(
                    person_code.c.code_blind.in_(chunk),
                    claim.c.municipality == municipality,
                    claim.c.state == int(RecordState.CURRENT),
                )
            )
            held = {bytes(blind) for blind in connection.scalars(statement)}
            if not held.issuperset(chunk):
                raise JukiError(
                    Reason.CODE_NOT_ALLOTTED,
                    "a code was not allotted to this municipality, nor stands on its register",
                )

    def _made(self, connection: Connection, blinds: list[bytes]) -> dict[bytes, IndividualNumber]:
        table = t.individual_number
        made: dict[bytes, IndividualNumber] = {}
        for start in range(0, len(blinds), _CHUNK):
            statement = select(table.c.code_blind, table.c.number_sealed).where(
                table.c.code_blind.in_(blinds[start : start + _CHUNK]),
                table.c.generation == _FIRST_GENERATION,
            )
            for code_blind, sealed in connection.execute(statement):
                digits = self._sealer.open(bytes(sealed), _place(bytes(code_blind)))
                made[bytes(code_blind)] = IndividualNumber(digits.decode())
        return made

    def _make_missing(
        self, connection: Connection, missing: dict[bytes, ResidentRecordCode]
    ) -> dict[bytes, IndividualNumber]:
        made: dict[bytes, IndividualNumber] = {}
        taken: set[bytes] = set()
        counter = 0
        while missing:
            candidates = self._candidates(missing, counter)
            number_blinds = {
                blind: self._sealer.blind("number", number.digits)
                for blind, number in candidates.items()
            }
            taken |= generated_codes(connection, set(number_blinds.values())).keys()
            for blind, number in candidates.items():
                if number_blinds[blind] not in taken:
                    taken.add(number_blinds[blind])
                    made[blind] = number
                    del missing[blind]
            counter += 1
        self._insert(connection, made)
        return made

    def _candidates(
        self, missing: dict[bytes, ResidentRecordCode], counter: int
    ) -> dict[bytes, IndividualNumber]:
        messages = [code.digits.encode() + counter.to_bytes(4, "big") for code in missing.values()]
        bodies = [body_of(mac) for mac in self._mac(messages)]
        return {
            blind: IndividualNumber.from_body(body)
            for blind, body in zip(missing, bodies, strict=True)
            if body is not None
        }

    def _insert(self, connection: Connection, made: dict[bytes, IndividualNumber]) -> None:
        if not made:
            return
        now = now_microseconds()
        connection.execute(
            insert(t.individual_number),
            [
                {
                    "number_blind": self._sealer.blind("number", number.digits),
                    "code_blind": blind,
                    "generation": _FIRST_GENERATION,
                    "number_sealed": self._sealer.seal(number.digits.encode(), _place(blind)),
                    "made_at": now,
                }
                for blind, number in made.items()
            ],
        )


def generated_codes(connection: Connection, number_blinds: set[bytes]) -> dict[bytes, bytes]:
    """For those of the numbers that were made: the blind code each was made from."""
    wanted = sorted(number_blinds)
    found: dict[bytes, bytes] = {}
    table = t.individual_number
    for start in range(0, len(wanted), _CHUNK):
        statement = select(table.c.number_blind, table.c.code_blind).where(
            table.c.number_blind.in_(wanted[start : start + _CHUNK])
        )
        found.update((bytes(n), bytes(c)) for n, c in connection.execute(statement))
    return found


def _place(code_blind: bytes) -> bytes:
    return b"individual_number.number|" + code_blind.hex().encode() + b"|0"
