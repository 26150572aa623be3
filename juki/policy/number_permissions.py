"""For which rows of the Appended Tables the Individual Number may be used: the reviewed mapping.

The Act gives the number only to a recipient that "can use it under My Number Act Art. 9 (1)"
(Art. 30-9, 30-10 to 30-12, 30-15). `juki/data/number_permissions.tsv` says for each row of
Appended Tables 1 to 6 whether that is so, by which item of My Number Act's appended table, and
why; `juki/data/number_use_accounted.tsv` says the same from the other side, item by item. How the
mapping was made: docs/number-use.md. What is not granted there is no.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from juki.domain.errors import InvalidValue, JukiError, Reason
from juki.domain.legal_basis import AffairReference
from juki.policy.tables import LegalTables, shipped

PERMISSIONS_FILE: Final = "number_permissions.tsv"
ACCOUNTED_FILE: Final = "number_use_accounted.tsv"

_PERMISSION_COLUMNS: Final = ("table", "item", "verdict", "number_use_item", "body", "reason")
_ACCOUNT_COLUMNS: Final = ("item", "granted_by", "undetermined_in", "reason")


class Verdict(StrEnum):
    """What the review of a row came to."""

    GRANT = "grant"
    DENIAL = "denial"
    """No item names this body with this affair."""

    UNDETERMINED = "undetermined"
    """Only a part is covered, or the texts do not settle it: treated as no."""


@dataclass(frozen=True, slots=True)
class NumberPermission:
    """A line of the mapping: the verdict on a row, or on one of the bodies that the row names."""

    reference: AffairReference
    verdict: Verdict
    items: tuple[str, ...]
    """Of My Number Act's appended table; none unless the verdict is a grant."""

    body: str
    """The one body that the verdict is about; empty: the whole recipient."""

    reason: str


@dataclass(frozen=True, slots=True)
class NumberUseAccount:
    """What became of an item of My Number Act's appended table in the mapping."""

    item: str
    granted_by: tuple[AffairReference, ...]
    undetermined_in: tuple[AffairReference, ...]
    """Rows that the item covers in part, or perhaps: no number for them."""

    reason: str
    """Why no row is granted by it; empty where one is."""


@dataclass(frozen=True, slots=True)
class NumberPermissions:
    """The mapping as a whole, read only."""

    by_row: Mapping[AffairReference, tuple[NumberPermission, ...]]
    """In the order of the file; a row has several only where its recipient is split by body."""

    accounts: Mapping[str, NumberUseAccount]

    def permits(self, row: AffairReference, item: str, body: str = "") -> bool:
        """Whether that item lets that body use the number for that row; absent means no.

        `body` is as the mapping writes it, empty for a grant to the whole recipient.
        """
        return any(
            line.verdict is Verdict.GRANT and line.body == body and item in line.items
            for line in self.by_row.get(row, ())
        )

    def verdict(self, row: AffairReference) -> Verdict:
        """The verdict on the row: a grant if it is one for anybody named there, and absent: no."""
        verdicts = {line.verdict for line in self.by_row.get(row, ())}
        return next((verdict for verdict in Verdict if verdict in verdicts), Verdict.UNDETERMINED)

    def carried_over(self, before: LegalTables, after: LegalTables) -> NumberPermissions:
        """What still holds under later tables for which no mapping was reviewed.

        A verdict stays where its row and every item it cites are word for word the same;
        all else is absent, and absent means no.
        """
        kept = {
            row: lines
            for row, lines in self.by_row.items()
            if after.affairs.get(row) == before.affairs.get(row)
            and all(
                after.number_use.get(item) == before.number_use.get(item)
                for line in lines
                for item in line.items
            )
        }
        return NumberPermissions(MappingProxyType(kept), self.accounts)


def load_number_permissions(
    tables: LegalTables, read: Callable[[str], str] = shipped
) -> NumberPermissions:
    """The mapping in the files that `read` gives by name, checked against the tables.

    Raises JukiError (CONFIGURATION_INVALID) naming file and line: each row stands exactly once, or
    once for each of its bodies; a grant cites items that exist, nothing else cites any; each item
    is accounted for once, and agrees with the rows.
    """
    by_row: dict[AffairReference, tuple[NumberPermission, ...]] = {}
    for where, cells in _rows(PERMISSIONS_FILE, read(PERMISSIONS_FILE), _PERMISSION_COLUMNS):
        line = _permission(where, cells, tables)
        lines = by_row.get(line.reference, ())
        if lines and (not line.body or any(other.body in ("", line.body) for other in lines)):
            raise _invalid(where, f"{line.reference} stands twice")
        by_row[line.reference] = (*lines, line)
    if missing := [row for row in tables.affairs if row not in by_row]:
        raise _invalid(PERMISSIONS_FILE, f"has no verdict for {missing[0]}")
    return NumberPermissions(
        MappingProxyType(by_row), _accounts(read(ACCOUNTED_FILE), by_row, tables)
    )


def _permission(where: str, cells: list[str], tables: LegalTables) -> NumberPermission:
    table, item, word, cited, body, reason = cells
    row = _reference(where, f"{table}:{item}")
    if row not in tables.affairs:
        raise _invalid(where, f"{row} is no row of the Appended Tables")
    if word not in tuple(Verdict):
        raise _invalid(where, f"verdict is none of {', '.join(Verdict)}")
    verdict = Verdict(word)
    items = tuple(cited.split(",")) if cited else ()
    if (verdict is Verdict.GRANT) != bool(items):
        raise _invalid(where, "a grant, and nothing but a grant, cites an item")
    for one in items:
        if one not in tables.number_use:
            raise _invalid(where, f"no item {one} in the number-use table of My Number Act")
    if len(set(items)) != len(items):
        raise _invalid(where, "cites an item twice")
    if not reason:
        raise _invalid(where, "has no reason")
    return NumberPermission(row, verdict, items, body, reason)


def _accounts(
    text: str,
    by_row: Mapping[AffairReference, tuple[NumberPermission, ...]],
    tables: LegalTables,
) -> Mapping[str, NumberUseAccount]:
    granted: dict[str, set[AffairReference]] = {item: set() for item in tables.number_use}
    undetermined: set[AffairReference] = set()
    for row, lines in by_row.items():
        for line in lines:
            for item in line.items:
                granted[item].add(row)
            if line.verdict is Verdict.UNDETERMINED:
                undetermined.add(row)

    accounts: dict[str, NumberUseAccount] = {}
    for where, (item, granted_by, undetermined_in, reason) in _rows(
        ACCOUNTED_FILE, text, _ACCOUNT_COLUMNS
    ):
        if item not in tables.number_use or item in accounts:
            raise _invalid(where, f"item {item} does not exist or stands twice")
        account = NumberUseAccount(
            item, _references(where, granted_by), _references(where, undetermined_in), reason
        )
        if set(account.granted_by) != granted[item]:
            raise _invalid(where, f"item {item} is not granted by the rows that cite it")
        if not undetermined.issuperset(account.undetermined_in):
            raise _invalid(where, f"item {item} names a row that is not undetermined")
        if bool(account.granted_by) == bool(reason):
            raise _invalid(where, f"item {item} is granted by a row, or else says why by none")
        accounts[item] = account
    if missing := [item for item in tables.number_use if item not in accounts]:
        raise _invalid(ACCOUNTED_FILE, f"does not account for item {missing[0]}")
    return MappingProxyType(accounts)


def _references(where: str, text: str) -> tuple[AffairReference, ...]:
    rows = tuple(_reference(where, one) for one in text.split(",")) if text else ()
    if len(set(rows)) != len(rows):
        raise _invalid(where, "names a row twice")
    return rows


def _reference(where: str, text: str) -> AffairReference:
    try:
        return AffairReference.parse(text)
    except InvalidValue:
        raise _invalid(where, "names no row of the Appended Tables") from None


def _rows(name: str, text: str, columns: tuple[str, ...]) -> Iterator[tuple[str, list[str]]]:
    header, *lines = text.split("\n")
    if tuple(header.split("\t")) != columns:
        raise _invalid(f"{name}:1", "has other columns than expected")
    if not lines or lines.pop() != "":
        raise _invalid(name, "is cut off: the last line has no end")
    for number, line in enumerate(lines, start=2):
        cells = line.split("\t")
        if len(cells) != len(columns):
            raise _invalid(f"{name}:{number}", "has a column too many or too few")
        yield f"{name}:{number}", cells


def _invalid(where: str, what: str) -> JukiError:
    return JukiError(Reason.CONFIGURATION_INVALID, f"{where} {what}")
