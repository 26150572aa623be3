"""The four items (基本4情報): name, date of birth, sex and address, as untidy as registers are.

Everything is stored as written; nothing here normalises. Search keys are made in `search_keys`.
"""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from juki.domain.codes import LocalGovernmentCode
from juki.domain.errors import InvalidValue

MAX_NAME_LENGTH: Final = 200
"""Unicode code points, variation selectors included; the longest juki names stay well below."""

MAX_ADDRESS_PART_LENGTH: Final = 200
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


def _check_text(value: str, limit: int, what: str, *, required: bool = False) -> None:
    if required and not value.strip():
        raise InvalidValue(f"{what} is missing")
    if len(value) > limit:
        raise InvalidValue(f"{what} is longer than {limit} characters")
    if _CONTROL.search(value):
        raise InvalidValue(f"{what} has a control character")


class Sex(IntEnum):
    """Sex as recorded (男女の別); values are those of `juki.v1.Sex`."""

    MALE = 1
    FEMALE = 2
    NOT_RECORDED = 3


@dataclass(frozen=True, slots=True)
class PersonName:
    """A name as written (氏名), ideographic variation sequences kept."""

    written: str
    """Family and given name as on the record, with one U+3000 between them where it has one."""

    reading: str = ""
    """Reading (振り仮名) in full-width katakana; empty where none is recorded."""

    alphabet: str = ""
    """A foreign resident's name in the alphabet, as on the residence card."""

    common_name: str = ""
    """Common name (通称) of a foreign resident."""

    former_surname: str = ""
    """Former surname (旧氏) recorded on request."""

    def __post_init__(self) -> None:
        _check_text(self.written, MAX_NAME_LENGTH, "the name", required=True)
        for part in (self.reading, self.alphabet, self.common_name, self.former_surname):
            _check_text(part, MAX_NAME_LENGTH, "a part of the name")

    def __repr__(self) -> str:
        return "PersonName(…)"


@dataclass(frozen=True, slots=True, order=True)
class BirthDate:
    """Date of birth; month and day are 0 where the register does not know them."""

    year: int
    month: int = 0
    day: int = 0

    def __post_init__(self) -> None:
        if not 1850 <= self.year <= 2200:
            raise InvalidValue("a year of birth lies outside 1850 to 2200")
        if not 0 <= self.month <= 12:
            raise InvalidValue("a month of birth lies outside 0 (unknown) to 12")
        if not 0 <= self.day <= 31:
            raise InvalidValue("a day of birth lies outside 0 (unknown) to 31")
        if self.month == 0 and self.day != 0:
            raise InvalidValue("a day of birth is given though the month is unknown")
        if self.day != 0:
            try:
                datetime.date(self.year, self.month, self.day)
            except ValueError:
                raise InvalidValue("a date of birth is not in the calendar") from None

    def __repr__(self) -> str:
        return "BirthDate(…)"


@dataclass(frozen=True, slots=True)
class Address:
    """Address (住所) in three parts, so that what millions share is stored once."""

    municipality: LocalGovernmentCode
    """The municipality; in a designated city the ward."""

    town: str
    """Town (町字) as written, for example 追手町 or 大字上原字南."""

    remainder: str = ""
    """Block, lot and building (番地, 方書) as written."""

    def __post_init__(self) -> None:
        _check_text(self.town, MAX_ADDRESS_PART_LENGTH, "the town of an address", required=True)
        _check_text(self.remainder, MAX_ADDRESS_PART_LENGTH, "the remainder of an address")

    def __repr__(self) -> str:
        return "Address(…)"


@dataclass(frozen=True, slots=True)
class FourItems:
    """Name, date of birth, sex and address of one person."""

    name: PersonName
    birth_date: BirthDate
    sex: Sex
    address: Address

    def __repr__(self) -> str:
        return "FourItems(…)"
