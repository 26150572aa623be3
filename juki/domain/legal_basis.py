"""The legal basis of a provision: provisions, affairs, fields, search keys, decisions.

Basic Resident Registration Act (住民基本台帳法), articles 30-9 to 30-15-2 and 37 (2), and
Appended Tables 1 to 6 (別表第一 to 別表第六).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from functools import lru_cache
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

_TABLE_OF_ARTICLE: Final = {article: table for table, article in ARTICLE_OF_TABLE.items()}

_ITEM: Final = re.compile(r"[1-9][0-9]{0,2}(-[1-9][0-9]{0,2})?")
_PROVISION: Final = re.compile(
    r"[1-9][0-9]{0,2}(-[1-9][0-9]{0,2}){0,3}(\([1-9][0-9]?\))?(\([ivx]{1,5}\))?"
)
_AFFAIR_ID: Final = re.compile(r"[A-Za-z0-9.-]{0,64}")


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
    """The tier that answers from its own store: the nation, a prefecture, or a municipality."""

    NATIONAL = 1
    PREFECTURAL = 2
    MUNICIPAL = 3

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


@dataclass(frozen=True, slots=True, order=True)
class LegalBasis:
    """On what a call stands: a provision of the Act and the affair it refers to.

    Raises InvalidValue for what cannot be written, and for a provision that refers to an Appended
    Table without a row of that table.
    """

    provision: str
    """Article, paragraph and item: "30-9", "30-10(1)(iv)", "30-15-2(1)", "37(2)"."""

    affair: str = ""
    """A row of the provision's table ("1:77"), the registered id of the affair of an ordinance, a
    ministerial order or a consent, or nothing where the provision alone says all."""

    def __post_init__(self) -> None:
        if _PROVISION.fullmatch(self.provision) is None:
            raise InvalidValue('a provision is written like "30-9" or "30-10(1)(iv)"')
        table = _TABLE_OF_ARTICLE.get(self.provision)
        if table is not None:
            if AffairReference.parse(self.affair).table != table:
                raise InvalidValue(f"{self.provision} refers to a row of Appended Table {table}")
        elif _AFFAIR_ID.fullmatch(self.affair) is None:
            raise InvalidValue("the id of an affair has at most 64 letters, digits, '-' and '.'")

    @classmethod
    def of_row(cls, row: AffairReference) -> LegalBasis:
        """The basis of a row of the Appended Tables."""
        return _basis_of_row(row)

    @classmethod
    def parse(cls, text: str) -> LegalBasis:
        """The basis written "1:77" (a row), "30-10(1)(iv)", or "30-14 hamamatsu-2004.5".

        Raises InvalidValue.
        """
        if ":" in text and " " not in text:
            return cls.of_row(AffairReference.parse(text))
        provision, _, affair = text.partition(" ")
        return cls(provision, affair)

    @property
    def row(self) -> AffairReference | None:
        """The row of the Appended Tables; None for every other basis."""
        if self.provision not in _TABLE_OF_ARTICLE:
            return None
        return _row(self.affair)

    def __str__(self) -> str:
        return f"{self.provision} {self.affair}" if self.affair else self.provision


@lru_cache(maxsize=4096)
def _basis_of_row(row: AffairReference) -> LegalBasis:
    return LegalBasis(ARTICLE_OF_TABLE[row.table], str(row))


@lru_cache(maxsize=4096)
def _row(text: str) -> AffairReference:
    return AffairReference.parse(text)


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

    OUTSIDE_PROVISION = "OUTSIDE_PROVISION"
    """The provision gives other fields only."""

    OUTSIDE_GRANT = "OUTSIDE_GRANT"
    """The body's registration for this affair, or the ordinance, does not cover the field."""


@dataclass(frozen=True, slots=True)
class Withheld:
    """A field asked for and not granted, with the provision that withholds it."""

    field: Field
    reason: WithheldReason
    article: str


class Manner(StrEnum):
    """What is done with the information."""

    LOOK_UP = "LOOK_UP"
    """Single persons are looked up and answered (提供, 利用)."""

    STATISTICS = "STATISTICS"
    """Totals are made (統計資料の作成); nothing of a single person leaves."""

    PUSH = "PUSH"
    """The holder of the information sends it on its own (30-9-2 (2))."""


@dataclass(frozen=True, slots=True)
class PersonCondition:
    """Of whom a decision speaks; everybody else is answered "not found" under it.

    Prefectures are the two digits of their local government codes. 通知都道府県 is the prefecture
    whose governor notified the person's information to the nation (30-10 (1)).
    """

    notified_by: str = ""
    """Only persons whom this prefecture notified."""

    not_notified_by: str = ""
    """Only persons whom another prefecture than this notified."""

    moved_abroad: bool = False
    """Only those who moved abroad (国外転出者)."""

    named: frozenset[int] | None = None
    """Only the persons with these internal ids: those who consented (30-15 (1)(iii))."""


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

    persons: PersonCondition | None = None
    """Of whom; None: of anybody."""

    aggregates_only: bool = False
    """Whether only totals may be made of it."""
