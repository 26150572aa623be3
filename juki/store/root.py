"""The register root: a keyed digest over all rows, carried on in the transaction of each change.

Every row counts for 256 bits of HMAC under a key that only the server's memory holds; the root of a
table is their sum modulo 2^256 and their number (MSet-Add-Hash of Clarke, Devadas, van Dijk,
Gassend and Suh, 2003). A change adds the new row and takes off the old one. The sums are stored
sealed, with a generation that rises with each transaction, since differences of open sums would
tell what rows count for. A row that was put back, swapped, doubled or deleted leaves the sum of
the rows that are there another than the stored one; a root put back with its rows has a lower
generation than the last checkpoint outside of the database.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any, Final

from sqlalchemy import (
    Column,
    Connection,
    LargeBinary,
    MetaData,
    Select,
    String,
    Table,
    insert,
    select,
    update,
)

from juki.domain.errors import JukiError, Reason
from juki.store.engine import BIG
from juki.store.sealing import Element, Sealer, seal_id

_MODULUS: Final = 2**256
_SUM_BYTES: Final = 32
_COUNT_BYTES: Final = 8
_PAGE: Final = 1000
"""Rows read at once."""

Value = int | str | bytes | None
"""What a column of a covered row may hold."""


def root_table(metadata: MetaData) -> Table:
    """The table of the roots, the same in every database."""
    return Table(
        "register_root",
        metadata,
        Column("section", String(16), primary_key=True),
        Column("generation", BIG, nullable=False),
        Column("state_sealed", LargeBinary, nullable=False),
    )


def row_bytes(*values: Value) -> bytes:
    """The values of a row one after the other, so that no two rows give the same bytes."""
    parts = []
    for value in values:
        if value is None:
            parts.append(b"-")
        elif isinstance(value, bytes):
            parts.append(b"%d:%b" % (len(value), value))
        else:
            data = str(value).encode()
            parts.append(b"%d:%b" % (len(data), data))
    return b"".join(parts)


@dataclass(frozen=True, slots=True)
class CoveredTable:
    """A table under a root."""

    table: Table
    message: Callable[[Any, Sealer], bytes]
    """What tells a row (all columns, by attribute) from every other: its plain values, or the
    `seal_id` of the sealed one, to which the others are bound; raises TAMPERING_DETECTED where that
    does not open.
    """

    sealed: str = ""
    """Name of the sealed column, if there is one."""

    place: Callable[[Any], bytes] = lambda row: b""
    """The place that the sealed value of a row is bound to."""

    blinds: tuple[str, ...] = ()
    """Names of the columns of blind indexes; the first one's version is that of all of them."""


def plain(table: Table, blinds: tuple[str, ...] = ()) -> CoveredTable:
    """A table without a sealed column, whose rows count by their values."""
    names = tuple(column.name for column in table.columns)

    def message(row: Any, _sealer: Sealer) -> bytes:
        return row_bytes(*(getattr(row, name) for name in names))

    return CoveredTable(table, message, blinds=blinds)


def sealed(
    table: Table, column: str, place: Callable[[Any], bytes], blinds: tuple[str, ...] = ()
) -> CoveredTable:
    """A table whose rows count by their sealed column, to which all the others are bound."""

    def message(row: Any, sealer: Sealer) -> bytes:
        value = bytes(getattr(row, column))
        sealer.open(value, place(row))
        return seal_id(value)

    return CoveredTable(table, message, column, place, blinds)


@dataclass(frozen=True, slots=True)
class Section:
    """Tables that change together under one lock, and so have one root."""

    name: str
    tables: tuple[CoveredTable, ...]


@dataclass(slots=True)
class RootState:
    """The sums and counts of a section's tables."""

    generation: int = 0
    tables: dict[str, tuple[int, int]] = field(default_factory=dict)
    """By table: sum of its rows modulo 2^256, and their number."""

    index_version: int = 1
    """Of the index key under which the section is written from now on."""

    root_version: int = 1
    """Of the key that the sums are under."""

    def of(self, table: str) -> tuple[int, int]:
        """Sum and number of a table's rows."""
        return self.tables.get(table, (0, 0))

    def commitment(self, sealer: Sealer, section: str) -> bytes:
        """32 bytes that tell this state from every other, and nothing else, to outsiders."""
        message = row_bytes("commitment", section, self.generation, self.to_bytes())
        return sealer.element(self.root_version)(message).to_bytes(32, "big")

    def to_bytes(self) -> bytes:
        """For storage."""
        return bytes([self.index_version, self.root_version]) + b"".join(
            bytes([len(name)])
            + name.encode()
            + total.to_bytes(_SUM_BYTES, "big")
            + count.to_bytes(_COUNT_BYTES, "big", signed=True)
            for name, (total, count) in sorted(self.tables.items())
        )

    @classmethod
    def from_bytes(cls, generation: int, data: bytes) -> RootState:
        """What `to_bytes` gave."""
        tables: dict[str, tuple[int, int]] = {}
        at = 2
        while at < len(data):
            start = at + 1 + data[at]
            end = start + _SUM_BYTES
            at, name = end + _COUNT_BYTES, data[at + 1 : start].decode()
            count = int.from_bytes(data[end:at], "big", signed=True)
            tables[name] = (int.from_bytes(data[start:end], "big"), count)
        return cls(generation, tables, data[0], data[1])


class RowChanges:
    """What one transaction changes of a section's rows."""

    __slots__ = ("_element", "_root", "_sums", "state")

    def __init__(self, root: RegisterRoot, state: RootState, sealer: Sealer) -> None:
        self._root = root
        self._element = sealer.element(state.root_version)
        self._sums: dict[str, list[int]] = {}
        self.state = state
        """As it was when the transaction began."""

    def add(self, table: str, message: bytes) -> None:
        """A row more; `message` as its `CoveredTable` has it."""
        sums = self._sums.setdefault(table, [0, 0])
        sums[0] += self._element(table.encode() + b"\0" + message)
        sums[1] += 1

    def remove(self, table: str, message: bytes) -> None:
        """A row less, as it stood."""
        sums = self._sums.setdefault(table, [0, 0])
        sums[0] -= self._element(table.encode() + b"\0" + message)
        sums[1] -= 1

    def write(self, connection: Connection) -> None:
        """Carries the root on, at the end of the transaction; without changes nothing happens."""
        if self._sums:
            tables = dict(self.state.tables)
            for name, (total, count) in self._sums.items():
                before = tables.get(name, (0, 0))
                tables[name] = ((before[0] + total) % _MODULUS, before[1] + count)
            generation = self.state.generation + 1
            self._root.store(connection, replace(self.state, generation=generation, tables=tables))


class RegisterRoot:
    """The stored root of one section."""

    def __init__(self, sealer: Sealer, table: Table, section: str) -> None:
        self._sealer = sealer
        self._table = table
        self._section = section
        self._seen = 0
        self._select = select(table.c.generation, table.c.state_sealed).where(
            table.c.section == section
        )
        self._select_and_lock = self._select.with_for_update()

    def begin(self, connection: Connection) -> RowChanges:
        """Takes the section's lock for the transaction, before any of its rows is read.

        Raises:
            JukiError: TAMPERING_DETECTED when the stored root does not open, or is older than one
                that this process has seen: the database was put back under a running server;
                STORE_UNAVAILABLE while the blind indexes are being re-keyed, and until this
                process has taken up a new key of the root.
        """
        changes = self.lock(connection)
        if changes.state.index_version != self._sealer.index_version:
            raise JukiError(
                Reason.STORE_UNAVAILABLE, "the blind indexes are under another key; try again later"
            )
        return changes

    def lock(self, connection: Connection) -> RowChanges:
        """As `begin`, whatever key the blind indexes are under."""
        sealer = self._sealer
        fresh = RootState(index_version=sealer.index_version, root_version=sealer.root_version)
        state = self._state(connection, self._select_and_lock) or fresh
        if state.generation < self._seen:
            raise self._sealer.tampering("the register's root is older than it was")
        self._seen = state.generation
        return RowChanges(self, state, self._sealer)

    def read(self, connection: Connection) -> RootState | None:
        """The root as it is stored; None where there is none yet."""
        return self._state(connection, self._select)

    def _state(self, connection: Connection, statement: Select[Any]) -> RootState | None:
        row = connection.execute(statement).first()
        if row is None:
            return None
        place = self._place(row.generation)
        data = self._sealer.open(bytes(row.state_sealed), place)
        return RootState.from_bytes(row.generation, data)

    def store(self, connection: Connection, state: RootState) -> None:
        """Puts a root in the place of the one before it."""
        table, place = self._table, self._place(state.generation)
        values = {
            "generation": state.generation,
            "state_sealed": self._sealer.seal(state.to_bytes(), place),
        }
        if state.generation > 1:
            changed = connection.execute(
                update(table)
                .where(
                    table.c.section == self._section,
                    table.c.generation == state.generation - 1,
                )
                .values(values)
            )
            if changed.rowcount == 1:
                return
            raise self._sealer.tampering("the register's root was moved during a transaction")
        connection.execute(insert(table).values(section=self._section, **values))

    def _place(self, generation: int) -> bytes:
        return b"register_root.state|%s|%d" % (self._section.encode(), generation)


def recompute(
    connection: Connection,
    sealer: Sealer,
    covered: CoveredTable,
    element: Element,
    *,
    told: Callable[[int], None],
    unreadable: Callable[[str], None],
) -> tuple[int, int]:
    """Sum and number of the rows that are there, in the connection's transaction.

    Each counts for what `element` says.
    `told` hears of rows as they are read; `unreadable` of each row that does not open, by its place
    in the table's order, which names nobody.
    """
    name = covered.table.name
    prefix = name.encode() + b"\0"
    total = count = 0
    statement = select(covered.table).order_by(*covered.table.primary_key)
    with connection.execute(statement, execution_options={"stream_results": True}) as rows:
        for page in rows.partitions(_PAGE):
            for columns in page:
                row = SimpleNamespace(**columns._mapping)
                count += 1
                try:
                    total += element(prefix + covered.message(row, sealer))
                except JukiError as error:
                    if error.reason is not Reason.TAMPERING_DETECTED:
                        raise
                    unreadable(f"{name}, row {count}")
            told(len(page))
    return total % _MODULUS, count
