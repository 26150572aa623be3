"""Revisions of the law: the shipped one, and later ones loaded ahead of the day they become law.

A later revision is a directory named by its first day in force, for example `2026-08-22`. It holds
the files that change (`provisions.toml`, `legal_affairs.tsv`, `number_use.tsv`); what it does not
hold stays as in the revision before it. Where it brings no reviewed mapping of its own
(`number_permissions.tsv` with `number_use_accounted.tsv`), a verdict on the Individual Number holds
on only for rows and items that stay word for word the same; all else gives no number.
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
from juki.policy.number_permissions import (
    ACCOUNTED_FILE,
    PERMISSIONS_FILE,
    NumberPermissions,
    load_number_permissions,
)
from juki.policy.provisions import Provision, Provisions, parse_provisions
from juki.policy.tables import (
    AFFAIRS_FILE,
    NUMBER_USE_FILE,
    LegalTables,
    load_tables,
    shipped,
)

PROVISIONS_FILE: Final = "provisions.toml"
REVISION_FILES: Final = (
    PROVISIONS_FILE,
    AFFAIRS_FILE,
    NUMBER_USE_FILE,
    PERMISSIONS_FILE,
    ACCOUNTED_FILE,
)
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")

Read = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Law:
    """One revision: what is law from its first day until the next revision's."""

    first_day: datetime.date
    provisions: Provisions
    tables: LegalTables
    permissions: NumberPermissions

    def provision(self, basis: str, day: datetime.date) -> Provision | None:
        """The provision, where it is in force on that day."""
        found = self.provisions.by_basis.get(basis)
        return None if found is None or day not in found.period else found


def shipped_law() -> Law:
    """The revision that comes with the package."""
    provisions = parse_provisions(shipped(PROVISIONS_FILE), PROVISIONS_FILE)
    tables = load_tables()
    return Law(provisions.in_force_from, provisions, tables, load_number_permissions(tables))


def load_laws(directory: Path | None) -> tuple[Law, ...]:
    """The shipped revision and those in the directory, oldest first.

    Raises JukiError (CONFIGURATION_INVALID) naming what is not a revision, or wrong in one.
    """
    laws = [shipped_law()]
    read: Read = shipped
    for path in _revisions(directory):
        read = _reader(path, read)
        laws.append(_revised(laws[-1], path, read))
    for earlier, later in pairwise(laws):
        if later.first_day <= earlier.first_day:
            raise _invalid(f"revision {later.first_day} is not later than {earlier.first_day}")
    return tuple(laws)


def load_revision(directory: Path) -> Law:
    """One revision's directory by itself, over the shipped law."""
    if not _DATE.fullmatch(directory.name) or not directory.is_dir():
        raise _invalid(f"{directory.name} is no directory named by a date")
    return _revised(shipped_law(), directory, _reader(directory, shipped))


def _revised(before: Law, directory: Path, read: Read) -> Law:
    first_day = _first_day(directory)
    where = f"{directory.name}/{PROVISIONS_FILE}"
    tables = load_tables(read)
    if (directory / PERMISSIONS_FILE).exists():
        permissions = load_number_permissions(tables, read)
    else:
        permissions = before.permissions.carried_over(before.tables, tables)
    return Law(first_day, parse_provisions(read(PROVISIONS_FILE), where), tables, permissions)


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


def _invalid(what: str) -> JukiError:
    return JukiError(Reason.CONFIGURATION_INVALID, f"revisions of the law: {what}")
