"""Synthetic residents: the same for a seed, plausible as a nation, untidy as real registers are."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from functools import cache

import pytest

from juki.domain.codes import LocalGovernmentCode
from juki.domain.errors import InvalidValue, JukiError, Reason
from juki.domain.four_items import Sex
from juki.domain.municipalities import municipality_directory
from juki.domain.search_keys import name_key
from juki.population.age_tables import PYRAMID
from juki.population.decks import apportion, deck, seeded
from juki.population.households import Relation
from juki.population.names import name_tables
from juki.population.residents import DEFAULT_AS_OF, Resident, generate, generate_prefecture

HAMAMATSU = LocalGovernmentCode("221309")
NUMAZU = LocalGovernmentCode("222038")
KOSUGE = LocalGovernmentCode("194425")

FINGERPRINT = (
    "import hashlib;from juki.domain.codes import LocalGovernmentCode as C;"
    "from juki.population.drop_file import entry_line as l;"
    "from juki.population.residents import generate as g;"
    "print(hashlib.sha256(b''.join(l(r,'e','2026-10-01')"
    " for r in g([C('222038'),C('221309')],300,7))).hexdigest())"
)


@cache
def shizuoka() -> tuple[Resident, ...]:
    return tuple(generate_prefecture("22", 20_000, seed=22))


def age(resident: Resident) -> int:
    return DEFAULT_AS_OF.year - resident.four_items.birth_date.year


def households(residents: tuple[Resident, ...]) -> list[list[Resident]]:
    grouped: dict[tuple[str, int], list[Resident]] = {}
    for resident in residents:
        key = (resident.register.digits, resident.household_id)
        grouped.setdefault(key, []).append(resident)
    return list(grouped.values())


def test_the_same_seed_makes_the_same_people_and_another_seed_others() -> None:
    first = list(generate([NUMAZU, HAMAMATSU], 500, seed=7))
    assert first == list(generate([HAMAMATSU, NUMAZU, NUMAZU], 500, seed=7))
    assert first != list(generate([NUMAZU, HAMAMATSU], 500, seed=8))


def test_the_same_people_come_whatever_the_hash_seed_of_the_process() -> None:
    outputs = {
        subprocess.run(
            [sys.executable, "-c", FINGERPRINT],
            env={
                **os.environ,
                "PYTHONHASHSEED": hash_seed,
                "PYTHONPATH": os.pathsep.join(sys.path),
            },
            capture_output=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "2")
    }
    assert len(outputs) == 1


@pytest.mark.parametrize("number", [0, 1, 34, 1001])
def test_exactly_the_number_asked_for_is_generated(number: int) -> None:
    assert len(list(generate_prefecture("22", number, seed=1))) == number


def test_every_municipality_of_the_prefecture_has_residents() -> None:
    expected = {entry.code for entry in municipality_directory().municipalities_of("22")}
    assert {resident.register for resident in shizuoka()} == expected


def test_an_address_in_a_designated_city_bears_the_code_of_a_ward() -> None:
    directory = municipality_directory()
    for resident in shizuoka():
        code = resident.four_items.address.municipality
        assert directory.keeper_of(code) == resident.register
        assert not directory.wards_of(code)


def test_a_ward_alone_is_generated_into_the_register_of_its_city() -> None:
    ward = LocalGovernmentCode("221384")
    residents = list(generate([ward], 50, seed=1))
    assert {resident.register for resident in residents} == {HAMAMATSU}
    assert {resident.four_items.address.municipality for resident in residents} == {ward}


def test_record_numbers_are_unique_in_a_register_and_have_ten_digits() -> None:
    keys = {(resident.register, resident.record_id) for resident in shizuoka()}
    assert len(keys) == len(shizuoka())
    assert all(len(r.record_id) == 10 and r.record_id.isdecimal() for r in shizuoka())


def test_a_household_has_one_head_and_one_address() -> None:
    for members in households(shizuoka()):
        assert [m.relation for m in members].count(Relation.HEAD) == 1
        assert members[0].relation is Relation.HEAD
        assert len({m.four_items.address for m in members}) == 1


def test_households_are_as_large_as_in_the_census() -> None:
    sizes = Counter(len(members) for members in households(shizuoka()))
    number = sum(sizes.values())
    assert 2.1 < len(shizuoka()) / number < 2.4
    assert 0.34 < sizes[1] / number < 0.42
    assert max(sizes) <= 8


def test_japanese_children_bear_the_surname_of_the_head_and_are_younger() -> None:
    for head, *others in households(shizuoka()):
        surname = head.four_items.name.written.split("\u3000")[0]
        for child in others:
            if child.relation is Relation.CHILD and not child.four_items.name.alphabet:
                assert child.four_items.name.written.split("\u3000")[0] == surname
                assert age(head) - age(child) >= 12


def test_no_two_japanese_members_of_a_household_bear_one_name() -> None:
    for members in households(shizuoka()):
        names = [m.four_items.name.written for m in members if not m.four_items.name.alphabet]
        assert len(set(names)) == len(names)


def test_nobody_under_eighteen_lives_alone() -> None:
    alone = [members[0] for members in households(shizuoka()) if len(members) == 1]
    # The household at the end of each register may be cut short, but never to a child.
    assert min(map(age, alone)) >= 17


def test_ages_and_sexes_follow_the_pyramid_of_the_nation() -> None:
    people = Counter(
        (resident.four_items.sex, min(age(resident) // 5, 20)) for resident in shizuoka()
    )
    total = sum(map(sum, PYRAMID.values()))
    for sex, key in ((Sex.MALE, "men"), (Sex.FEMALE, "women")):
        for band, thousands in enumerate(PYRAMID[key]):
            share = people[sex, band] / len(shizuoka())
            assert abs(share - thousands / total) < 0.006, f"{key} from {band * 5}"


def test_one_to_three_of_a_hundred_are_foreign_residents_some_with_a_common_name() -> None:
    foreign = [r.four_items.name for r in shizuoka() if r.four_items.name.alphabet]
    assert 0.01 < len(foreign) / len(shizuoka()) < 0.03
    assert any(name.common_name for name in foreign)
    assert any(name.written == name.alphabet for name in foreign)
    assert any(name.written != name.alphabet for name in foreign)


def test_some_have_a_former_surname_and_some_an_unknown_day_or_month_of_birth() -> None:
    assert any(r.four_items.name.former_surname for r in shizuoka())
    births = [(age(r), r.four_items.birth_date) for r in shizuoka()]
    assert any(date.month == 0 for _, date in births)
    assert any(date.month != 0 and date.day == 0 for _, date in births)
    assert all(years >= 79 for years, date in births if date.day == 0)


@pytest.mark.parametrize(
    "variant", ["髙", "﨑", "邉", "邊", "齋", "濱", "澤", "𠮷", "辻\U000e0100"]
)
def test_variants_of_surnames_occur(variant: str) -> None:
    assert any(variant in written for written, _ in name_tables().surnames)


def test_variants_and_variation_sequences_reach_the_residents_and_fold_to_the_usual_name() -> None:
    surnames = {r.four_items.name.written.split("\u3000")[0] for r in shizuoka()}
    assert {"髙橋", "高橋"} <= surnames
    assert name_key("髙橋") == name_key("高橋")
    assert any("\U000e0100" <= c <= "\U000e01ef" for surname in surnames for c in surname)


def test_every_name_of_a_japanese_resident_has_a_reading_in_katakana() -> None:
    for resident in shizuoka():
        name = resident.four_items.name
        if not name.alphabet:
            assert all("ァ" <= c <= "ヺ" or c in "ー\u3000" for c in name.reading)
            assert name.written.count("\u3000") == name.reading.count("\u3000") == 1


def test_a_village_without_towns_still_has_addresses() -> None:
    residents = list(generate([KOSUGE], 5, seed=1))
    assert {resident.four_items.address.town for resident in residents} == {"小菅村"}


def test_impossible_requests_are_refused_before_the_first_resident() -> None:
    with pytest.raises(InvalidValue):
        generate([], 1, seed=1)
    with pytest.raises(InvalidValue):
        generate([NUMAZU], -1, seed=1)
    with pytest.raises(JukiError) as refusal:
        generate([LocalGovernmentCode("220001")], 1, seed=1)
    assert refusal.value.reason is Reason.UNKNOWN_MUNICIPALITY


def test_without_the_development_extra_the_refusal_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name_tables.cache_clear()
    monkeypatch.setitem(sys.modules, "japanese_personal_name_dataset", None)
    with pytest.raises(JukiError, match=r"juki\[dev\]") as refusal:
        generate([NUMAZU], 1, seed=1)
    assert refusal.value.reason is Reason.CONFIGURATION_INVALID


def test_the_random_sequence_of_a_seed_is_fixed_for_ever() -> None:
    assert seeded(7, "221309").random() == 0.927598631739748


def test_a_deck_holds_each_card_in_proportion() -> None:
    assert Counter(deck([("a", 1), ("b", 3), ("c", 0)], 8)) == {"a": 2, "b": 6}


def test_shares_add_up_exactly() -> None:
    assert apportion(10, [1, 1, 1]) == [4, 3, 3]
    assert sum(apportion(12345, [7, 11, 13, 0])) == 12345
