"""The legal basis of a provision: affairs of the Appended Tables, fields, keys, decisions.

Basic Resident Registration Act (住民基本台帳法), articles 30-9 to 30-15 and Appended Tables 1 to 6
(別表第一 to 別表第六).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Final, Self

from juki.domain.errors import InvalidValue

ARTICLE_OF_TABLE: Final = {
    1: "30-9",
    2: "30-10(1)(i)",
    3: "30-11(1)(i)",
    4: "30-12(1)(i)",
    5: "30-15(1)(i)",
    6: "30-15(2)(i)",
}
"""The provision of the Act that refers to each Appended Table."""

_ITEM: Final = re.compile(r"[1-9][0-9]{0,2}(-[1-9][0-9]{0,2})?")


def is_item(text: str) -> bool:
    """Whether `text` is an item of an appended table as written here: "77", 二の二 being "2-2"."""
    return _ITEM.fullmatch(text) is not None


class Field(IntEnum):
    """A part of the identification information (本人確認情報) that can be asked for."""

    NAME = 1
    BIRTH_DATE = 2
    SEX = 3
    ADDRESS = 4
    RESIDENT_RECORD_CODE = 5
    INDIVIDUAL_NUMBER = 6
    CHANGE = 7
    """Change information (変更情報); former codes and numbers in it are masked separately."""

    __hash__ = int.__hash__  # Enum's own is a Python call, and field sets lie on the hot path


class SearchKey(IntEnum):
    """By what a person is looked up."""

    INDIVIDUAL_NUMBER = 1
    RESIDENT_RECORD_CODE = 2
    FOUR_ITEMS = 3

    __hash__ = int.__hash__


class Tier(IntEnum):
    """The tier that answers: a prefecture from its own store, or the nation."""

    NATIONAL = 1
    PREFECTURAL = 2

    __hash__ = int.__hash__


@dataclass(frozen=True, slots=True, order=True)
class AffairReference:
    """A row of the Appended Tables: table 1 to 6 and item, 五十七の三十一 being "57-31"."""

    table: int
    item: str

    def __post_init__(self) -> None:
        if self.table not in ARTICLE_OF_TABLE:
            raise InvalidValue("an Appended Table has a number from 1 to 6")
        if not is_item(self.item):
            raise InvalidValue('an item of an Appended Table is written like "77" or "57-31"')

    @classmethod
    def parse(cls, text: str) -> Self:
        """The reference written `table:item`, for example "1:77"; raises InvalidValue."""
        table, _, item = text.partition(":")
        return cls(int(table) if table.isascii() and table.isdigit() else 0, item)

    def __str__(self) -> str:
        return f"{self.table}:{self.item}"


@dataclass(frozen=True, slots=True)
class Affair:
    """One legal affair (法令事務): who may ask (recipient) and for what, in the Act's own words."""

    reference: AffairReference
    article: str
    recipient: str
    affair: str


class WithheldReason(StrEnum):
    """Why a field that was asked for is absent from the answer."""

    CODE_NOT_PROVIDED = "CODE_NOT_PROVIDED"
    """The provision excludes the resident record code."""

    NO_NUMBER_USE_BASIS = "NO_NUMBER_USE_BASIS"
    """The recipient has no basis in My Number Act Art. 9 for this affair."""

    OUTSIDE_GRANT = "OUTSIDE_GRANT"
    """The body's registration for this affair does not cover the field."""


@dataclass(frozen=True, slots=True)
class Withheld:
    """A field asked for and not granted, with the provision that withholds it."""

    field: Field
    reason: WithheldReason
    article: str


@dataclass(frozen=True, slots=True)
class Decision:
    """What one call is answered: decided once for the whole call, never per person."""

    granted: frozenset[Field]
    withheld: tuple[Withheld, ...]
    """In the order of the fields' numbers."""

    article: str
    """The provision of the Act under which the answer is given."""

    number_in_change: bool
    """Whether former Individual Numbers stay in the change information."""

    code_in_change: bool
    """Whether former resident record codes stay in the change information."""
