"""The four items as registers have them: unknown dates, rare characters, and what cannot be."""

from __future__ import annotations

import dataclasses
import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from juki.domain.codes import LocalGovernmentCode
from juki.domain.errors import InvalidValue
from juki.domain.four_items import (
    MAX_ADDRESS_PART_LENGTH,
    MAX_NAME_LENGTH,
    Address,
    BirthDate,
    FourItems,
    PersonName,
    Sex,
)

HAMAMATSU = LocalGovernmentCode("221309")
CONTROL = [chr(c) for c in (*range(0x20), 0x7F)]


def test_a_birth_date_may_lack_its_day_or_its_month_and_day() -> None:
    assert BirthDate(1901, 3).day == 0
    assert BirthDate(1901) == BirthDate(1901, 0, 0)


def test_a_day_of_an_unknown_month_is_refused() -> None:
    with pytest.raises(InvalidValue):
        BirthDate(1901, 0, 5)


@pytest.mark.parametrize(
    ("year", "month", "day"),
    [(1849, 1, 1), (2201, 1, 1), (1985, 13, 1), (1985, -1, 0), (1985, 2, 30), (1900, 2, 29)],
)
def test_a_date_outside_the_calendar_is_refused(year: int, month: int, day: int) -> None:
    with pytest.raises(InvalidValue):
        BirthDate(year, month, day)


@settings(deadline=None)
@given(st.dates(datetime.date(1850, 1, 1), datetime.date(2200, 12, 31)))
def test_every_day_of_the_calendar_is_a_birth_date(day: datetime.date) -> None:
    assert BirthDate(day.year, day.month, day.day)


@pytest.mark.parametrize(
    "written", ["髙﨑　邉\U000e0101子", "𠮷野　櫻", "O'BRIEN MARY-JANE", "葛\U000e0100"]
)
def test_names_are_kept_as_written(written: str) -> None:
    assert PersonName(written).written == written


@pytest.mark.parametrize("character", CONTROL)
@pytest.mark.parametrize(
    "part", ["written", "reading", "alphabet", "common_name", "former_surname"]
)
def test_no_part_of_a_name_has_a_control_character(part: str, character: str) -> None:
    parts = {"written": "山田　花子", part: f"山{character}田"}
    with pytest.raises(InvalidValue):
        PersonName(**parts)


@pytest.mark.parametrize("character", CONTROL)
@pytest.mark.parametrize("part", ["town", "remainder"])
def test_no_part_of_an_address_has_a_control_character(part: str, character: str) -> None:
    parts = {"town": "元城町", "remainder": "", part: f"元{character}城"}
    with pytest.raises(InvalidValue):
        Address(HAMAMATSU, **parts)


@pytest.mark.parametrize("nothing", ["", " ", "　"])
def test_a_name_and_a_town_must_be_there(nothing: str) -> None:
    with pytest.raises(InvalidValue):
        PersonName(nothing)
    with pytest.raises(InvalidValue):
        Address(HAMAMATSU, nothing)


def test_the_longest_name_and_address_are_kept_and_one_character_more_is_refused() -> None:
    assert PersonName("𠮷" * MAX_NAME_LENGTH)
    assert Address(HAMAMATSU, "元" * MAX_ADDRESS_PART_LENGTH, "元" * MAX_ADDRESS_PART_LENGTH)
    for part in ("written", "reading", "alphabet", "common_name", "former_surname"):
        with pytest.raises(InvalidValue):
            PersonName(**{"written": "山", part: "𠮷" * (MAX_NAME_LENGTH + 1)})
    for part in ("town", "remainder"):
        with pytest.raises(InvalidValue):
            Address(HAMAMATSU, **{"town": "元", part: "元" * (MAX_ADDRESS_PART_LENGTH + 1)})


def test_nothing_personal_is_shown_or_said_in_a_refusal() -> None:
    items = FourItems(
        PersonName("山田　花子", "ヤマダ　ハナコ", "YAMADA", "ヤマ", "田中"),
        BirthDate(1985, 4, 2),
        Sex.FEMALE,
        Address(HAMAMATSU, "元城町", "103番地の2"),
    )
    for value in (items, items.name, items.birth_date, items.address):
        for personal in ("山田", "ヤマ", "YAMADA", "田中", "1985", "元城町", "103"):
            assert personal not in repr(value)
            assert personal not in str(value)
    with pytest.raises(InvalidValue) as refused:
        PersonName("山田\n花子")
    assert "山田" not in str(refused.value)


def test_the_four_items_cannot_be_changed() -> None:
    name = PersonName("山田　花子")
    with pytest.raises(dataclasses.FrozenInstanceError):
        name.written = "田中　花子"  # type: ignore[misc]
