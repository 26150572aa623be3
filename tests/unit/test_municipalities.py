"""The directory of municipalities: counts of the law's world, keepers and wards."""

from __future__ import annotations

from collections import Counter

import pytest

from juki.domain.codes import LocalGovernmentCode
from juki.domain.errors import InvalidValue, JukiError, Reason
from juki.domain.municipalities import MunicipalityKind, municipality_directory

HAMAMATSU = LocalGovernmentCode("221309")
CHUO_WARD = LocalGovernmentCode("221384")
SHIZUOKA_PREFECTURE = LocalGovernmentCode("220001")


def test_the_nation_has_1741_municipalities_47_prefectures_and_171_wards() -> None:
    directory = municipality_directory()
    kinds = Counter(entry.kind for entry in directory.entries.values())
    assert len(directory.keepers()) == 1741
    assert kinds[MunicipalityKind.PREFECTURE] == 47
    assert kinds[MunicipalityKind.WARD] == 171
    assert kinds[MunicipalityKind.DESIGNATED_CITY] == 20
    assert len(directory.entries) == 1965


def test_shizuoka_has_35_municipalities() -> None:
    assert len(municipality_directory().municipalities_of("22")) == 35


def test_every_municipality_belongs_to_exactly_one_prefecture() -> None:
    directory = municipality_directory()
    listed = [m for n in range(1, 48) for m in directory.municipalities_of(f"{n:02d}")]
    assert listed == list(directory.keepers())


def test_a_ward_keeps_no_register_and_its_keeper_is_the_designated_city() -> None:
    directory = municipality_directory()
    assert directory.is_register_keeper(HAMAMATSU)
    assert not directory.is_register_keeper(CHUO_WARD)
    assert directory.keeper_of(CHUO_WARD) == HAMAMATSU
    assert directory.keeper_of(HAMAMATSU) == HAMAMATSU


def test_every_ward_has_its_city_in_its_own_prefecture() -> None:
    directory = municipality_directory()
    for entry in directory.entries.values():
        if entry.kind is MunicipalityKind.WARD:
            assert entry.parent is not None
            assert directory.is_register_keeper(entry.parent)
            assert entry.parent.prefecture == entry.code.prefecture


def test_a_special_ward_of_tokyo_keeps_its_own_register() -> None:
    chiyoda = LocalGovernmentCode("131016")
    assert municipality_directory().is_register_keeper(chiyoda)
    assert municipality_directory().address_codes_of(chiyoda) == (chiyoda,)


def test_addresses_of_a_designated_city_bear_the_codes_of_its_wards() -> None:
    codes = municipality_directory().address_codes_of(HAMAMATSU)
    assert [code.digits for code in codes] == ["221384", "221392", "221406"]


@pytest.mark.parametrize("digits", ["220001", "016951"])
def test_a_prefecture_and_the_northern_territories_keep_no_register(digits: str) -> None:
    code = LocalGovernmentCode(digits)
    assert municipality_directory().get(code) is not None
    assert not municipality_directory().is_register_keeper(code)
    with pytest.raises(JukiError) as refusal:
        municipality_directory().keeper_of(code)
    assert refusal.value.reason is Reason.UNKNOWN_MUNICIPALITY


def test_an_abolished_ward_is_unknown() -> None:
    old_ward = LocalGovernmentCode("221317")  # Naka-ku of Hamamatsu, until 2023
    assert municipality_directory().get(old_ward) is None
    with pytest.raises(JukiError) as refusal:
        municipality_directory().by_code(old_ward)
    assert refusal.value.reason is Reason.UNKNOWN_MUNICIPALITY


def test_a_prefecture_is_two_digits() -> None:
    with pytest.raises(InvalidValue):
        municipality_directory().municipalities_of("48")


def test_the_name_of_a_municipality_begins_its_addresses() -> None:
    assert municipality_directory().by_code(HAMAMATSU).full_name == "静岡県浜松市"
    assert municipality_directory().by_code(SHIZUOKA_PREFECTURE).full_name == "静岡県"
