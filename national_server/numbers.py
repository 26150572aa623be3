"""Makes Individual Numbers from resident record codes (My Number Act Art. 7, 8).

A keyed one-way conversion whose key never leaves the token: HMAC-SHA256 over code and counter,
reduced without bias to 11 digits, then the check digit. A number that any person has or had is
passed over by counting on. The registry of every number ever made decides, inside a transaction
that excludes every other that makes numbers, in whatever process.

How often a number is passed over: n codes thrown at N bodies collide in about n * n / 2 / N pairs.
With n = 125 million residents and N = 10 ** 11 bodies that is 1.5625e16 / 2e11 = 78,125 collisions
by the time the last of them has a number, each resolved by one more HMAC; the last code meets a
taken body with a chance of n / N = 1 in 800, so two steps in a row are 1 in 640,000.

A number that may have leaked (Art. 7(2)) is re-made from the person's code by counting on beyond
all that were made, its own former one included; it is the next generation, and every number stays
in the registry for good. A number is replaced once: whoever asks again is given the same answer.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from sqlalchemy import Connection, Engine

from juki.domain.codes import IndividualNumber, ResidentRecordCode
from juki.domain.errors import JukiError, Reason
from juki.store.root import RegisterRoot, RowChanges
from juki.store.sealing import Sealer
from national_server.code_pool import GRANTED_SECTION, Within, nothing_else
from national_server.number_registry import (
    check_own,
    generated_codes,
    is_persons,
    keep_numbers,
    keep_replacement,
    keep_request,
    lock_registry,
    newest_numbers,
    next_generation,
    open_number,
    replacements,
)
from national_server.tables import register_root

BODIES: Final = 10**11
"""Numbers there are: eleven digits before the check digit."""

_FIRST_GENERATION: Final = 0

Mac = Callable[[Sequence[bytes]], list[bytes]]
"""HMAC-SHA256 of each message under the token's key for Individual Numbers."""


def body_of(mac: bytes, bodies: int = BODIES) -> int | None:
    """A value below `bodies` from a 32-byte MAC without bias; `None` if all its parts are unfair.

    Each 8 bytes are a value below 2 ** 64; those from the largest multiple of `bodies` on would
    favour the small remainders and are passed over (for 10 ** 11: 1 in 338 million).
    """
    fair = 2**64 // bodies * bodies
    for start in range(0, len(mac), 8):
        value = int.from_bytes(mac[start : start + 8], "big")
        if value < fair:
            return value % bodies
    return None


class NumberMaker:
    """Makes and keeps Individual Numbers; the same code gives the same number again."""

    def __init__(self, engine: Engine, sealer: Sealer, mac: Mac, *, bodies: int = BODIES) -> None:
        """`bodies` narrows the space of numbers, for tests of collisions."""
        self._engine = engine
        self._sealer = sealer
        self._mac = mac
        self._bodies = bodies
        self._root = RegisterRoot(sealer, register_root, GRANTED_SECTION)
        self._lock = threading.Lock()

    def make(
        self,
        municipality: str,
        codes: Sequence[ResidentRecordCode],
        within: Within = nothing_else,
    ) -> list[IndividualNumber]:
        """The number of each code, made now or before; the newest where one was re-made.

        `within` is called inside the transaction.

        Raises:
            JukiError: CODE_NOT_ALLOTTED unless each code was allotted to the municipality or
                stands on its register.
        """
        blinds = [self._sealer.blind("code", code.digits) for code in codes]
        with self._transaction() as (connection, changes):
            within(connection)
            check_own(connection, municipality, blinds)
            numbers = newest_numbers(connection, self._sealer, blinds)
            missing = {b: c for b, c in zip(blinds, codes, strict=True) if b not in numbers}
            made = self._convert(connection, missing)
            self._keep(connection, made, _FIRST_GENERATION, changes)
        numbers |= made
        return [numbers[blind] for blind in blinds]

    def remake(
        self,
        municipality: str,
        request_id: str,
        code: ResidentRecordCode,
        former: IndividualNumber,
        within: Within = nothing_else,
    ) -> IndividualNumber:
        """The number that replaces `former`, which may have leaked; made now or before.

        `code` is the person's code now, which need not be the one that `former` was made from.

        Raises:
            JukiError: CODE_NOT_ALLOTTED unless the code was allotted to the municipality or stands
                on its register, RECORD_NOT_FOUND unless the former number is that person's,
                REQUEST_ID_REUSED when the id was used for another person or number.
        """
        code_blind = self._sealer.blind("code", code.digits)
        former_blind = self._sealer.blind("number", former.digits)
        with self._transaction() as (connection, changes):
            within(connection)
            check_own(connection, municipality, [code_blind])
            request = municipality, request_id
            keep_request(connection, request, code_blind, former_blind, changes)
            if not is_persons(connection, former_blind, code_blind):
                raise JukiError(
                    Reason.RECORD_NOT_FOUND, "the former number is not that of the code's person"
                )
            held = replacements(connection, {former_blind}).get(former_blind)
            if held is not None:
                return open_number(connection, self._sealer, held)
            made = self._convert(connection, {code_blind: code})
            self._keep(connection, made, next_generation(connection, code_blind), changes)
            number = made[code_blind]
            number_blind = self._sealer.blind("number", number.digits)
            keep_replacement(connection, former_blind, number_blind, changes)
        return number

    @contextmanager
    def _transaction(self) -> Iterator[tuple[Connection, RowChanges]]:
        with self._lock, self._engine.begin() as connection:
            lock_registry(connection)
            changes = self._root.begin(connection)
            yield connection, changes
            changes.write(connection)

    def _convert(
        self, connection: Connection, codes: dict[bytes, ResidentRecordCode]
    ) -> dict[bytes, IndividualNumber]:
        """A number never made before for each of the codes, by the blind code."""
        missing = dict(codes)
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
        return made

    def _candidates(
        self, missing: dict[bytes, ResidentRecordCode], counter: int
    ) -> dict[bytes, IndividualNumber]:
        messages = [code.digits.encode() + counter.to_bytes(4, "big") for code in missing.values()]
        bodies = [body_of(mac, self._bodies) for mac in self._mac(messages)]
        return {
            blind: IndividualNumber.from_body(body)
            for blind, body in zip(missing, bodies, strict=True)
            if body is not None
        }

    def _keep(
        self,
        connection: Connection,
        made: dict[bytes, IndividualNumber],
        generation: int,
        changes: RowChanges,
    ) -> None:
        keep_numbers(connection, self._sealer, made, generation, changes)
