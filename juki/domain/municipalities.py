"""The directory of prefectures, municipalities and wards, and who of them keeps a register.

Source: `juki/data/municipalities.tsv` (local government codes, JIS X 0401 and 0402).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Final

from juki.domain.codes import LocalGovernmentCode
from juki.domain.errors import InvalidValue, JukiError, Reason

_COLUMNS: Final = ("code6", "prefecture", "name", "kana", "kind", "parent")


class MunicipalityKind(StrEnum):
    """What a local government code stands for."""

    PREFECTURE = "prefecture"
    DESIGNATED_CITY = "designated_city"
    MUNICIPALITY = "municipality"
    """City, town, village or special ward of Tokyo."""
    WARD = "ward"
    """Ward of a designated city (行政区): stands in addresses, keeps no register of its own."""
    NORTHERN_TERRITORIES = "northern_territories"
    """The six villages that have a code and no residents."""


_KEEPER_KINDS: Final = frozenset({MunicipalityKind.DESIGNATED_CITY, MunicipalityKind.MUNICIPALITY})


@dataclass(frozen=True, slots=True)
class Municipality:
    """One line of the directory."""

    code: LocalGovernmentCode
    prefecture_name: str
    name: str
    """Without the district (郡); empty for a prefecture."""
    kana: str
    """Reading in full-width katakana."""
    kind: MunicipalityKind
    parent: LocalGovernmentCode | None
    """The designated city of a ward, else None."""

    @property
    def keeps_register(self) -> bool:
        """Whether it is one of the municipalities that keep a resident register (Act Art. 5)."""
        return self.kind in _KEEPER_KINDS

    @property
    def full_name(self) -> str:
        """Prefecture and name as they begin an address, without the city of a ward."""
        return f"{self.prefecture_name}{self.name}"


class MunicipalityDirectory:
    """Look-ups over the whole directory; immutable."""

    def __init__(self, entries: Mapping[LocalGovernmentCode, Municipality]) -> None:
        self._entries = MappingProxyType(dict(entries))
        self._by_digits = {code.digits: entry for code, entry in self._entries.items()}
        wards: dict[LocalGovernmentCode, list[Municipality]] = {}
        keepers: dict[str, list[Municipality]] = {}
        for entry in self._entries.values():
            if entry.parent is not None:
                wards.setdefault(entry.parent, []).append(entry)
            if entry.keeps_register:
                keepers.setdefault(entry.code.prefecture, []).append(entry)
        self._wards = {city: tuple(found) for city, found in wards.items()}
        self._keepers = {prefecture: tuple(found) for prefecture, found in keepers.items()}

    @property
    def entries(self) -> Mapping[LocalGovernmentCode, Municipality]:
        """Every line of the directory by code, in the order of the codes."""
        return self._entries

    def get(self, code: LocalGovernmentCode) -> Municipality | None:
        """The entry of `code`, None if the code is not in the directory."""
        return self._by_digits.get(code.digits)

    def by_code(self, code: LocalGovernmentCode) -> Municipality:
        """The entry of `code`.

        Raises:
            JukiError: UNKNOWN_MUNICIPALITY if the code is not in the directory.
        """
        entry = self._by_digits.get(code.digits)
        if entry is None:
            raise JukiError(Reason.UNKNOWN_MUNICIPALITY, "no municipality has this code")
        return entry

    def is_register_keeper(self, code: LocalGovernmentCode) -> bool:
        """Whether `code` is one of the 1,741 municipalities; a ward or a prefecture is not."""
        entry = self._by_digits.get(code.digits)
        return entry is not None and entry.keeps_register

    def keeper_of(self, code: LocalGovernmentCode) -> LocalGovernmentCode:
        """The municipality that keeps the register of an address in `code`.

        A ward's is its designated city; a municipality's is itself.

        Raises:
            JukiError: UNKNOWN_MUNICIPALITY if the code is unknown, a prefecture's, or one of the
                Northern Territories.
        """
        entry = self.by_code(code)
        if entry.parent is not None:
            return entry.parent
        if not entry.keeps_register:
            raise JukiError(Reason.UNKNOWN_MUNICIPALITY, "this code keeps no resident register")
        return entry.code

    def keepers(self) -> tuple[Municipality, ...]:
        """The 1,741 municipalities in the order of their codes."""
        return tuple(entry for entry in self._entries.values() if entry.keeps_register)

    def municipalities_of(self, prefecture: str) -> tuple[Municipality, ...]:
        """The municipalities of a prefecture ("01" to "47"), in the order of their codes.

        Raises:
            InvalidValue: if the two digits name no prefecture.
        """
        try:
            return self._keepers[prefecture]
        except KeyError:
            raise InvalidValue("a prefecture is two digits from 01 to 47") from None

    def wards_of(self, city: LocalGovernmentCode) -> tuple[Municipality, ...]:
        """The wards of a designated city in the order of their codes; empty for any other."""
        return self._wards.get(city, ())

    def address_codes_of(self, keeper: LocalGovernmentCode) -> tuple[LocalGovernmentCode, ...]:
        """The codes that stand in addresses of one register: the wards', or the municipality's."""
        return tuple(ward.code for ward in self.wards_of(keeper)) or (keeper,)


@cache
def municipality_directory() -> MunicipalityDirectory:
    """The directory read once from the package's data.

    Raises:
        JukiError: CONFIGURATION_INVALID if the file is damaged.
    """
    text = resources.files("juki.data").joinpath("municipalities.tsv").read_text(encoding="utf-8")
    header, *lines = text.splitlines()
    if tuple(header.split("\t")) != _COLUMNS:
        raise JukiError(Reason.CONFIGURATION_INVALID, "municipalities.tsv has other columns")
    rows = [line.split("\t") for line in lines]
    cities = {
        (row[1], row[2]): LocalGovernmentCode(row[0])
        for row in rows
        if row[4] == MunicipalityKind.DESIGNATED_CITY
    }
    entries: dict[LocalGovernmentCode, Municipality] = {}
    for digits, prefecture_name, name, kana, kind, parent in sorted(rows):
        code = LocalGovernmentCode(digits)
        if code in entries:
            raise JukiError(Reason.CONFIGURATION_INVALID, "municipalities.tsv repeats a code")
        entries[code] = Municipality(
            code=code,
            prefecture_name=prefecture_name,
            name=name,
            kana=kana,
            kind=MunicipalityKind(kind),
            parent=cities[prefecture_name, parent] if parent else None,
        )
    return MunicipalityDirectory(entries)


@cache
def register_keepers(prefecture: str) -> frozenset[str]:
    """Six-digit codes of the prefecture's municipalities that keep a register; wards do not."""
    return frozenset(
        entry.code.digits for entry in municipality_directory().municipalities_of(prefecture)
    )
