"""Brings a database under a new data key, its blind indexes under a new index key, row by row, or
its roots under a new root key, all at once.

The first two are done in small transactions, in the order of the tables, and go on where they were
when they are begun again: a row tells by itself under which version it stands. Roots are carried on
with each transaction.

Data keys: the running server goes on; it opens rows under either version and seals under the new
one. Index keys: a mark in every root keeps servers from writing until all rows are re-keyed. Root
keys: every row is read twice in one transaction, which holds every section's lock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Table, func, select, tuple_, update

from juki.store.data_keys import KeyPurpose, KeyStore, SealingKeys
from juki.store.root import CoveredTable, RegisterRoot, RootState, RowChanges, recompute
from juki.store.sealing import Element, Sealer, element_of, reblinder, sealed_under
from juki.store.verification import RootedDatabase

_BATCH: Final = 500
Told = Callable[[int], None]
"""Hears of rows as they are done or passed over."""


@dataclass(frozen=True, slots=True)
class _Place:
    """A table and the root it is under, if any."""

    section: str
    covered: CoveredTable


def count_sealed(database: RootedDatabase) -> int:
    """Rows that `reseal` reads."""
    return _count(database, lambda covered: bool(covered.sealed))


def count_blind(database: RootedDatabase) -> int:
    """Rows with blind indexes."""
    return _count(database, lambda covered: bool(covered.blinds))


def reseal(database: RootedDatabase, sealing: SealingKeys, told: Told = lambda rows: None) -> int:
    """Seals every row under the newest data key; gives how many were under older ones.

    Raises:
        JukiError: TAMPERING_DETECTED when a row does not open: it stays as it is.
    """
    changed = 0
    for place in _places(database):
        covered = place.covered
        if not covered.sealed:
            continue
        keys = list(covered.table.primary_key)
        after: tuple[Any, ...] | None = None
        while True:
            sealing.refresh()
            with _batch(database, place.section) as batch:
                beyond = None if after is None else tuple_(*keys) > tuple_(*after)
                rows = batch.rows(covered.table, keys, beyond)
                for row in rows:
                    if (
                        sealed_under(bytes(getattr(row, covered.sealed)))
                        < sealing.sealer.key_version
                    ):
                        batch.replace(covered, row, {})
                        changed += 1
            told(len(rows))
            if len(rows) < _BATCH:
                break
            after = tuple(getattr(rows[-1], key.name) for key in keys)
    return changed


def rekey_index(database: RootedDatabase, keys: KeyStore, told: Told = lambda rows: None) -> int:
    """Brings every blind index under the next index key; gives its version.

    Begins a new version, or goes on with one that was begun. Servers write nothing meanwhile; those
    of the nation and of prefectures take the new key up by themselves, a gateway is to be started
    anew.

    Raises:
        JukiError: TAMPERING_DETECTED when a row does not open: it stays as it is.
    """
    index_key, version = keys.pending_index()
    reblind = reblinder(index_key, version)
    for section in database.sections:
        with _batch(database, section.name) as batch:
            batch.mark(version)
    for place in _places(database):
        covered = place.covered
        if not covered.blinds:
            continue
        first = covered.table.c[covered.blinds[0]]
        while True:
            with _batch(database, place.section) as batch:
                rows = batch.rows(covered.table, [first], first < bytes([version]))
                for row in rows:
                    blinds = {name: reblind(bytes(getattr(row, name))) for name in covered.blinds}
                    batch.replace(covered, row, blinds)
            told(len(rows))
            if len(rows) < _BATCH:
                break
    keys.finish_index()
    return version


def rekey_root(database: RootedDatabase, keys: KeyStore, told: Told = lambda rows: None) -> int:
    """Brings every root under a new key, all of them or none; gives the key's version.

    Servers write nothing meanwhile, and take the new key up within seconds. `told` hears of each
    row twice: what is there is compared with the roots first, so that a new key hides nothing.

    Raises:
        JukiError: TAMPERING_DETECTED when a row does not open, or a table is not as its root says.
    """
    sealer = database.sealer
    with database.engine.begin() as connection:
        root_key, version = keys.make_next_within(connection, KeyPurpose.ROOT)
        following = element_of(root_key)
        for section in database.sections:
            root = RegisterRoot(sealer, database.root_table, section.name)
            state = root.lock(connection).state
            element = sealer.element(state.root_version)
            tables = {}
            for covered in section.tables:
                name = covered.table.name
                if _sum(connection, sealer, covered, element, told) != state.of(name):
                    raise sealer.tampering(f"{name} is not as its root says")
                tables[name] = _sum(connection, sealer, covered, following, told)
            generation = state.generation + 1
            root.store(connection, RootState(generation, tables, state.index_version, version))
    return version


def _sum(
    connection: Connection, sealer: Sealer, covered: CoveredTable, element: Element, told: Told
) -> tuple[int, int]:
    def unreadable(row: str) -> None:
        raise sealer.tampering(f"{row} does not open")

    return recompute(connection, sealer, covered, element, told=told, unreadable=unreadable)


@contextmanager
def _batch(database: RootedDatabase, section: str) -> Iterator[_Batch]:
    """One transaction, which holds its section's lock, if any, from its first statement on."""
    sealer = database.sealer
    root = RegisterRoot(sealer, database.root_table, section) if section else None
    with database.engine.begin() as connection:
        changes = None if root is None else root.lock(connection)
        yield _Batch(connection, sealer, root, changes)
        if changes is not None:
            changes.write(connection)


@dataclass(frozen=True, slots=True)
class _Batch:
    """Some rows of one table, read and written."""

    connection: Connection
    sealer: Sealer
    root: RegisterRoot | None
    changes: RowChanges | None

    def mark(self, index_version: int) -> None:
        """From now on only those write to the section who blind under this version."""
        assert self.changes is not None, "only a section has a mark"
        assert self.root is not None, "only a section has a mark"
        state = self.changes.state
        if state.index_version < index_version:
            following = replace(state, generation=state.generation + 1, index_version=index_version)
            self.root.store(self.connection, following)

    def rows(
        self, table: Table, order: list[Any], condition: ColumnElement[bool] | None
    ) -> list[Any]:
        """Up to 500 rows, by attribute."""
        statement = select(table).order_by(*order).limit(_BATCH)
        if condition is not None:
            statement = statement.where(condition)
        found = self.connection.execute(statement)
        return [SimpleNamespace(**row._mapping) for row in found]

    def replace(self, covered: CoveredTable, row: Any, values: dict[str, Any]) -> None:
        """Puts `values` into the row, and seals its sealed column anew for its place after that."""
        sealer, table = self.sealer, covered.table
        before = covered.message(row, sealer) if self.changes is not None else b""
        following = SimpleNamespace(**{**vars(row), **values})
        if covered.sealed:
            plaintext = sealer.open(bytes(getattr(row, covered.sealed)), covered.place(row))
            values = {**values, covered.sealed: sealer.seal(plaintext, covered.place(following))}
            following = SimpleNamespace(**{**vars(row), **values})
        condition = [column == getattr(row, column.name) for column in table.primary_key]
        self.connection.execute(update(table).where(*condition).values(values))
        if self.changes is not None:
            self.changes.remove(table.name, before)
            self.changes.add(table.name, covered.message(following, sealer))


def _places(database: RootedDatabase) -> Iterator[_Place]:
    for section in database.sections:
        for covered in section.tables:
            yield _Place(section.name, covered)
    for covered in database.outside:
        yield _Place("", covered)


def _count(database: RootedDatabase, wanted: Callable[[CoveredTable], bool]) -> int:
    with database.engine.connect().execution_options(read_only=True) as connection:
        return sum(
            connection.scalar(select(func.count()).select_from(place.covered.table)) or 0
            for place in _places(database)
            if wanted(place.covered)
        )
