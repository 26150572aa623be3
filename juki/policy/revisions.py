"""Revisions of the law: the shipped one, and later ones loaded ahead of the day they become law.

A later revision is a directory named by its first day in force, for example `2026-08-22`. It holds
the files that change (`provisions.toml`, `legal_affairs.tsv`, `number_use.tsv`,
`number_permissions.tsv`); what it does not hold stays as in the revision before it.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

from juki.domain.errors import JukiError, Reason
from juki.policy.provisions import Provision, Provisions, parse_provisions
from juki.policy.tables import (
    AFFAIRS_FILE,
    NUMBER_USE_FILE,
    LegalTables,
    load_tables,
    shipped,
)

PROVISIONS_FILE: Final = "provisions.toml"
REVISION_FILES: Final = (PROVISIONS_FILE, AFFAIRS_FILE, NUMBER_USE_FILE)
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")

Read = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Law:
    """One revision: what is law from its first day until the next revision's."""

    first_day: datetime.date
    provisions: Provisions
    tables: LegalTables

    def provision(self, basis: str, day: datetime.date) -> Provision | None:
        """The provision, where it is in force on that day."""
        found = self.provisions.by_basis.get(basis)
        return None if found is None or day not in found.period else found


def shipped_law() -> Law:
    """The revision that comes with the package."""
    return _law(shipped, None)


def load_laws(directory: Path | None) -> tuple[Law, ...]:
    """The shipped revision and those in the directory, oldest first.

    Raises JukiError (CONFIGURATION_INVALID) naming what is not a revision, or wrong in one.
    """
    laws = [shipped_law()]
    read: Read = shipped
    for path in _revisions(directory):
        read = _reader(path, read)
        laws.append(_law(read, _first_day(path)))
    for earlier, later in pairwise(laws):
        if later.first_day <= earlier.first_day:
            raise _invalid(f"revision {later.first_day} is not later than {earlier.first_day}")
    return tuple(laws)


def load_revision(directory: Path) -> Law:
    """One revision's directory by itself, over the shipped files."""
    if not _DATE.fullmatch(directory.name) or not directory.is_dir():
        raise _invalid(f"{directory.name} is no directory named by a date")
    return _law(_reader(directory, shipped), _first_day(directory))


def law_of(laws: Sequence[Law], day: datetime.date) -> Law | None:
    """The revision in force on a day; None before the first."""
    return next((law for law in reversed(laws) if law.first_day <= day), None)


def _revisions(directory: Path | None) -> Iterator[Path]:
    if directory is None:
        return
    try:
        entries = sorted(directory.iterdir())
    except OSError as error:
        raise _invalid(f"{directory.name} cannot be read ({error.strerror})") from None
    for path in entries:
        if not _DATE.fullmatch(path.name) or not path.is_dir():
            raise _invalid(f"{path.name} is no directory named by a date")
        for file in path.iterdir():
            if file.name not in REVISION_FILES:
                raise _invalid(f"{path.name}/{file.name} is no file of a revision")
        yield path


def _first_day(directory: Path) -> datetime.date:
    try:
        return datetime.date.fromisoformat(directory.name)
    except ValueError:
        raise _invalid(f"{directory.name} is no date") from None


def _reader(directory: Path, before: Read) -> Read:
    def read(name: str) -> str:
        path = directory / name
        try:
            return path.read_text(encoding="utf-8") if path.exists() else before(name)
        except (OSError, UnicodeDecodeError):
            raise _invalid(f"{directory.name}/{name} cannot be read") from None

    return read


def _law(read: Read, first_day: datetime.date | None) -> Law:
    where = PROVISIONS_FILE if first_day is None else f"{first_day}/{PROVISIONS_FILE}"
    provisions = parse_provisions(read(PROVISIONS_FILE), where)
    return Law(first_day or provisions.in_force_from, provisions, load_tables(read))


def _invalid(what: str) -> JukiError:
    return JukiError(Reason.CONFIGURATION_INVALID, f"revisions of the law: {what}")
