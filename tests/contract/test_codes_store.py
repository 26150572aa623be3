"""Codes and numbers over a real database: each given once, also under concurrency."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine, func, select

from juki.domain.change import ChangeReason
from juki.domain.codes import IndividualNumber, ResidentRecordCode
from juki.domain.errors import JukiError, Reason
from national_server import tables as t
from national_server.code_pool import CodePool
from national_server.numbers import NumberMaker, body_of
from tests.register_fixtures import Hosts, Nation
from tests.stream import information

HERE, THERE = "221309", "221007"


def count(engine: Engine, table: object) -> int:
    with engine.connect() as connection:
        return connection.scalar(select(func.count()).select_from(table)) or 0  # type: ignore[arg-type]


def test_an_allotment_is_repeated_for_its_request_and_refused_for_another_count(
    nation: Nation,
) -> None:
    first = nation.pool.allot(HERE, "request-1", 50)
    assert nation.pool.allot(HERE, "request-1", 50) == first
    with pytest.raises(JukiError) as refused:
        nation.pool.allot(HERE, "request-1", 51)
    assert refused.value.reason is Reason.REQUEST_ID_REUSED
    assert not set(nation.pool.allot(THERE, "request-1", 50)) & set(first)
    assert count(nation.engine, t.allotted_code) == 100


def test_four_threads_never_get_the_same_code(nation: Nation) -> None:
    def take(municipality: str) -> list[ResidentRecordCode]:
        return [
            code
            for _ in range(5)
            for code in nation.pool.allot(municipality, secrets.token_hex(16), 20)
        ]

    with ThreadPoolExecutor(4) as pool:
        taken = [code for codes in pool.map(take, [HERE, THERE, "131016", HERE]) for code in codes]
    assert len(taken) == len(set(taken)) == count(nation.engine, t.allotted_code) == 400


def test_the_same_request_from_four_threads_is_allotted_once(nation: Nation) -> None:
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: nation.pool.allot(HERE, "one", 30), range(4)))
    assert answers == [answers[0]] * 4
    assert count(nation.engine, t.allotted_code) == 30


def test_a_code_drawn_again_is_passed_over(nation: Nation) -> None:
    """A generator that repeats itself once."""
    drawn = [value.to_bytes(8, "little") for value in (7, 8, 7, 9, 9, 10)]

    def random(length: int) -> bytes:
        taken, drawn[:] = drawn[: length // 8], drawn[length // 8 :]
        return b"".join(taken)

    pool = CodePool(nation.engine, nation.sealer, random)
    assert [int(code) // 10 for code in pool.allot(HERE, "first", 2)] == [7, 8]
    assert [int(code) // 10 for code in pool.allot(HERE, "second", 2)] == [9, 10]


def test_a_value_that_would_favour_some_codes_is_drawn_again(nation: Nation) -> None:
    draws = [
        (2**64 - 1).to_bytes(8, "little"),
        (2**64 // 10**10 * 10**10 + 5).to_bytes(8, "little"),
    ]
    draws.append((12).to_bytes(8, "little"))
    pool = CodePool(nation.engine, nation.sealer, lambda _: draws.pop(0))
    assert [int(code) // 10 for code in pool.allot(HERE, "fair", 1)] == [12]


def test_a_crash_during_an_allotment_leaves_nothing_of_it(
    nation: Nation, monkeypatch: pytest.MonkeyPatch
) -> None:
    class CrashError(Exception):
        pass

    def crash(*_: object) -> None:
        raise CrashError

    with monkeypatch.context() as patched:
        patched.setattr(nation.pool, "_draw_unused", lambda *_: [ResidentRecordCode.from_body(1)])
        patched.setattr("national_server.code_pool._Keeping.codes", crash)
        with pytest.raises(CrashError):
            nation.pool.allot(HERE, "request", 1)
    assert count(nation.engine, t.allotment) == count(nation.engine, t.allotted_code) == 0
    assert len(nation.pool.allot(HERE, "request", 3)) == 3


def test_the_same_code_gets_the_same_number_and_different_codes_different_ones(
    nation: Nation,
) -> None:
    codes = nation.pool.allot(HERE, "request", 100)
    numbers = nation.numbers.make(HERE, codes)
    assert len(set(numbers)) == 100
    assert nation.numbers.make(HERE, codes[::-1]) == numbers[::-1]
    assert count(nation.engine, t.individual_number) == 100


def test_numbers_made_by_four_threads_at_once_are_one_a_code(nation: Nation) -> None:
    codes = nation.pool.allot(HERE, "request", 60)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: nation.numbers.make(HERE, codes), range(4)))
    assert answers == [answers[0]] * 4
    assert count(nation.engine, t.individual_number) == 60


def test_a_code_of_another_municipality_gets_no_number_until_the_person_lives_here(
    nation: Nation,
) -> None:
    (code,) = nation.pool.allot(HERE, "request", 1)
    with pytest.raises(JukiError) as refused:
        nation.numbers.make(THERE, [code])
    assert refused.value.reason is Reason.CODE_NOT_ALLOTTED
    there = nation.stream(THERE)
    there.add(information(code.digits, ChangeReason.MOVING_IN, municipality=THERE))
    nation.submit(there)
    assert nation.numbers.make(THERE, [code]) == nation.numbers.make(HERE, [code])


class Colliding:
    """A conversion that gives every code the same number at first, and its own later."""

    def __init__(self, collisions: int) -> None:
        self.collisions = collisions

    def __call__(self, messages: Sequence[bytes]) -> list[bytes]:
        return [self._one(message) for message in messages]

    def _one(self, message: bytes) -> bytes:
        code, counter = message[:11], int.from_bytes(message[11:], "big")
        body = 5 if counter < self.collisions else int(code) * 10 % 10**11 + counter
        return body.to_bytes(8, "big") + bytes(24)


@pytest.mark.parametrize("together", [True, False], ids=["in one request", "one by one"])
def test_a_number_that_somebody_has_is_passed_over_by_counting_on(
    engine: Engine, hosts: Hosts, together: bool
) -> None:
    nation = Nation(engine, hosts, mac=Colliding(2))
    codes = nation.pool.allot(HERE, "request", 6)
    if together:
        numbers = nation.numbers.make(HERE, codes)
    else:
        numbers = [nation.numbers.make(HERE, [code])[0] for code in codes]
    assert len(set(numbers)) == 6
    assert numbers[0] == IndividualNumber.from_body(5)
    assert nation.numbers.make(HERE, codes) == numbers


def test_a_mac_without_a_fair_part_is_passed_over(engine: Engine, hosts: Hosts) -> None:
    unfair = b"\xff" * 32

    def mac(messages: Sequence[bytes]) -> list[bytes]:
        return [
            unfair if message.endswith(b"\0\0\0\0") else message[:8] + bytes(24)
            for message in messages
        ]

    assert body_of(unfair) is None
    nation = Nation(engine, hosts, mac=mac)
    (code,) = nation.pool.allot(HERE, "request", 1)
    (number,) = nation.numbers.make(HERE, [code])
    assert number == IndividualNumber.from_body(
        int.from_bytes(code.digits[:8].encode(), "big") % 10**11
    )


def test_a_crash_while_numbers_are_made_leaves_none_of_them(
    nation: Nation, monkeypatch: pytest.MonkeyPatch
) -> None:
    codes = nation.pool.allot(HERE, "request", 3)
    genuine = NumberMaker._keep

    def crash_after(*arguments: object) -> None:
        genuine(*arguments)  # type: ignore[arg-type]
        raise RuntimeError

    with monkeypatch.context() as patched:
        patched.setattr(NumberMaker, "_keep", crash_after)
        with pytest.raises(RuntimeError):
            nation.numbers.make(HERE, codes)
    assert count(nation.engine, t.individual_number) == 0
    assert len(nation.numbers.make(HERE, codes)) == 3
