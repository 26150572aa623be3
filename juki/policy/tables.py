"""The law's tables: Appended Tables 1 to 6, and the number-use table of My Number Act.

The files as shipped are `juki/data/legal_affairs.tsv` (key: table and item) and
`juki/data/number_use.tsv` (key: item; My Number Act Art. 9 (1)). A row that is not
understood stops the start.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from types import MappingProxyType
from typing import Final

from juki.domain.errors import InvalidValue, JukiError, Reason
from juki.domain.legal_basis import ARTICLE_OF_TABLE, Affair, AffairReference, is_item


@dataclass(frozen=True, slots=True)
class NumberUse:
    """A row of the appended table of My Number Act: who may use Individual Numbers, for what."""

    item: str
    user: str
    affair: str


@dataclass(frozen=True, slots=True)
class LegalTables:
    """Both tables, read only."""

    affairs: Mapping[AffairReference, Affair]
    number_use: Mapping[str, NumberUse]


AFFAIRS_FILE: Final = "legal_affairs.tsv"
NUMBER_USE_FILE: Final = "number_use.tsv"


def shipped(name: str) -> str:
    """The text of a data file as shipped."""
    return files("juki").joinpath("data", name).read_text(encoding="utf-8")


def load_tables(read: Callable[[str], str] = shipped) -> LegalTables:
    """The tables in the files that `read` gives by name, by default the shipped ones.

    Raises JukiError (CONFIGURATION_INVALID) naming file and line.
    """
    affairs: dict[AffairReference, Affair] = {}
    text = read(AFFAIRS_FILE)
    for where, row in _rows(
        AFFAIRS_FILE, text, ("table", "item", "article", "recipient", "affair")
    ):
        table, item, article, recipient, words = row
        try:
            reference = AffairReference(int(table), item)
        except (InvalidValue, ValueError):
            raise _invalid(where, "names no row of the Appended Tables") from None
        if article != ARTICLE_OF_TABLE[reference.table]:
            raise _invalid(where, f"article {article} does not belong to table {table}")
        if reference in affairs:
            raise _invalid(where, f"{reference} stands twice")
        affairs[reference] = Affair(reference, article, recipient, words)

    uses: dict[str, NumberUse] = {}
    text = read(NUMBER_USE_FILE)
    for where, (item, user, words) in _rows(NUMBER_USE_FILE, text, ("item", "user", "affair")):
        if not is_item(item) or item in uses:
            raise _invalid(where, f"item {item} is malformed or stands twice")
        uses[item] = NumberUse(item, user, words)
    return LegalTables(MappingProxyType(affairs), MappingProxyType(uses))


def _rows(name: str, text: str, columns: tuple[str, ...]) -> Iterator[tuple[str, list[str]]]:
    header, *lines = text.split("\n")
    if tuple(header.split("\t")) != columns:
        raise _invalid(f"{name}:1", "has other columns than expected")
    if not lines or lines.pop() != "":
        raise _invalid(name, "is cut off: the last line has no end")
    for number, line in enumerate(lines, start=2):
        row = line.split("\t")
        if len(row) != len(columns) or not all(row):
            raise _invalid(f"{name}:{number}", "has an empty or a missing column")
        yield f"{name}:{number}", row


def _invalid(where: str, what: str) -> JukiError:
    return JukiError(Reason.CONFIGURATION_INVALID, f"{where} {what}")
