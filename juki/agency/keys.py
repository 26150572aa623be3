"""Reads search keys from what people have: a number typed or piped in, JSON, the rows of a CSV."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping
from typing import Final

from juki.agency.client import Key
from juki.domain.codes import IndividualNumber, LocalGovernmentCode
from juki.domain.errors import InvalidValue
from juki.domain.four_items import Address, BirthDate, FourItems, PersonName, Sex

NUMBER_COLUMN: Final = "individual_number"
FOUR_ITEMS_COLUMNS: Final = ("name", "birth_date", "sex", "municipality", "town", "remainder")

_SEXES: Final = {"1": Sex.MALE, "2": Sex.FEMALE, "3": Sex.NOT_RECORDED}
_SEXES_BY_NAME: Final = {sex.name.lower(): sex for sex in Sex}


def individual_number(text: str) -> IndividualNumber:
    """An Individual Number as people write it: full-width digits, spaces and hyphens are allowed.

    Raises InvalidValue for a wrong length or check digit, before anybody is asked.
    """
    plain = unicodedata.normalize("NFKC", text)
    return IndividualNumber("".join(c for c in plain if c not in " -\n\r\t"))


def four_items(values: Mapping[str, object]) -> FourItems:
    """The four items from `FOUR_ITEMS_COLUMNS`; `remainder` may be absent.

    `birth_date` is written 1950-04-01, with 00 for an unknown month or day; `sex` 1, 2 or 3, or
    male, female, not_recorded; `municipality` is a local government code of six digits. Raises
    InvalidValue.
    """
    missing = [name for name in FOUR_ITEMS_COLUMNS[:-1] if not values.get(name)]
    if missing:
        raise InvalidValue(f"the four items lack {', '.join(missing)}")
    text = {name: str(values.get(name) or "") for name in FOUR_ITEMS_COLUMNS}
    sex = _SEXES.get(text["sex"]) or _SEXES_BY_NAME.get(text["sex"].lower())
    if sex is None:
        raise InvalidValue("sex is 1 (male), 2 (female) or 3 (not recorded)")
    return FourItems(
        PersonName(text["name"]),
        _birth_date(text["birth_date"]),
        sex,
        Address(LocalGovernmentCode(text["municipality"]), text["town"], text["remainder"]),
    )


def four_items_from_json(text: str) -> FourItems:
    """The four items from one JSON object; raises InvalidValue."""
    try:
        values = json.loads(text)
    except json.JSONDecodeError:
        raise InvalidValue("the four items are not JSON") from None
    if not isinstance(values, dict):
        raise InvalidValue("the four items are one JSON object")
    unknown = values.keys() - set(FOUR_ITEMS_COLUMNS)
    if unknown:
        raise InvalidValue("the four items have a key that is not known")
    return four_items(values)


def key_of_row(row: Mapping[str, str]) -> Key:
    """The key of a CSV row: its number where it has that column, otherwise its four items."""
    if NUMBER_COLUMN in row:
        return individual_number(row[NUMBER_COLUMN] or "")
    return four_items(row)


def _birth_date(text: str) -> BirthDate:
    parts = text.split("-")
    if len(parts) != 3 or not all(part.isascii() and part.isdigit() for part in parts):
        raise InvalidValue("a date of birth is written 1950-04-01")
    year, month, day = (int(part) for part in parts)
    return BirthDate(year, month, day)
