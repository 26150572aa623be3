"""The conversion of codes to numbers: uniform, keyed, and unique in a space far too narrow.

Keys and codes are fixed, so that each of these says the same on every run.
"""

from __future__ import annotations

import hashlib
import hmac
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import func, select

from juki.domain.codes import IndividualNumber, ResidentRecordCode, modulus_11_check_digit
from juki.store.engine import migrate, open_engine
from national_server import tables as t
from national_server.numbers import BODIES, NumberMaker, body_of
from tests.register_fixtures import Hosts, Nation

CODES = 200_000
MUNICIPALITY = "221309"


def bodies(key: bytes, codes: range = range(CODES)) -> np.ndarray:
    """The first body of each code, under a key in the open."""
    found = []
    for body in codes:
        text = f"{body:010d}"
        message = f"{text}{modulus_11_check_digit(text)}".encode() + bytes(4)
        converted = body_of(hmac.digest(key, message, "sha256"))
        assert converted is not None
        found.append(converted)
    return np.array(found, dtype=np.int64)


@pytest.fixture(scope="module")
def numbers() -> np.ndarray:
    """The bodies of codes that follow each other, the least random there are."""
    return bodies(bytes(32))


def chi_square(values: np.ndarray, bins: int) -> float:
    """Pearson's statistic of values below `bins` against equal shares."""
    expected = len(values) / bins
    counts = np.bincount(values, minlength=bins)
    return float(((counts - expected) ** 2 / expected).sum())


@pytest.mark.parametrize("place", range(11))
def test_every_digit_is_uniform_at_every_place(numbers: np.ndarray, place: int) -> None:
    # 9 degrees of freedom: above 33.7 once in 10,000.
    assert chi_square(numbers // 10**place % 10, 10) < 33.7


@pytest.mark.parametrize("divisor", [BODIES // 1000, 1], ids=["highest digits", "lowest digits"])
def test_a_thousand_bins_are_filled_evenly(numbers: np.ndarray, divisor: int) -> None:
    # 999 degrees of freedom: between 839 and 1173 but for once in 5,000 on either side.
    assert 839 < chi_square(numbers // divisor % 1000, 1000) < 1173


def test_neighbouring_codes_have_numbers_that_say_nothing_of_each_other(
    numbers: np.ndarray,
) -> None:
    steps = np.diff(numbers) % BODIES
    assert 839 < chi_square(steps // (BODIES // 1000), 1000) < 1173


def test_equal_codes_under_another_key_give_unrelated_numbers(numbers: np.ndarray) -> None:
    others = bodies(b"\1" * 32)
    # By chance 200,000 pairs agree anywhere with 1 in 500,000.
    assert not (numbers == others).any()
    differences = (others - numbers) % BODIES
    assert 839 < chi_square(differences // (BODIES // 1000), 1000) < 1173
    agreeing = sum(int((numbers // 10**n % 10 == others // 10**n % 10).sum()) for n in range(11))
    # A tenth of 2.2 million digits by chance, 220,000, give or take 445.
    assert abs(agreeing - 220_000) < 4 * 445


def test_the_reduction_favours_no_body_at_the_edge_of_fairness() -> None:
    fair = 2**64 // BODIES * BODIES
    assert body_of((fair - 1).to_bytes(8, "big") + bytes(24)) == BODIES - 1
    assert body_of(fair.to_bytes(8, "big") + (7).to_bytes(8, "big") + bytes(16)) == 7
    # Of the values below `fair` each body has as many as any other.
    assert fair % BODIES == 0


def test_thousands_of_collisions_are_counted_on_from_until_every_code_has_its_own_number(
    tmp_path: Path,
) -> None:
    """4,000 codes in 5,000 bodies; a nation's 125 million in 10 ** 11 is far roomier."""
    engine = open_engine(f"sqlite:///{tmp_path / 'nation.sqlite'}")
    migrate(engine, "national")
    asked: Counter[int] = Counter()

    def mac(messages: Sequence[bytes]) -> list[bytes]:
        asked.update(int.from_bytes(message[11:], "big") for message in messages)
        return [hmac.digest(b"narrow", message, hashlib.sha256) for message in messages]

    nation = Nation(engine, Hosts())
    maker = NumberMaker(engine, nation.sealer, mac, bodies=5_000)
    codes = [ResidentRecordCode(code) for code in nation.codes(MUNICIPALITY, 4_000)]
    numbers: list[IndividualNumber] = []
    for start in range(0, len(codes), 500):
        numbers += maker.make(MUNICIPALITY, codes[start : start + 500])
    assert len(set(numbers)) == 4_000
    assert all(int(number.digits[:11]) < 5_000 for number in numbers)
    collisions = sum(count for counter, count in asked.items() if counter > 0)
    # N (H(N) - H(N - n)) - n for N = 5,000 and n = 4,000: about 4,046.
    assert 3_000 < collisions < 5_500
    assert maker.make(MUNICIPALITY, codes) == numbers
    remade = [maker.remake(MUNICIPALITY, f"request-{n}", codes[n], numbers[n]) for n in range(100)]
    assert not set(remade) & set(numbers)
    with engine.connect() as connection:
        held = connection.scalar(select(func.count()).select_from(t.individual_number))
    assert held == 4_100
    engine.dispose()


def test_about_78_thousand_collisions_are_to_be_expected_in_the_nation() -> None:
    residents = 125_000_000
    assert residents**2 // 2 // BODIES == 78_125
