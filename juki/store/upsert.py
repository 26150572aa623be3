"""Insert-or-replace and counting on, by primary key, the same on SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Column, Connection, Table
from sqlalchemy.dialects import postgresql, sqlite


def upsert(connection: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    """Inserts `rows`; where the primary key is held already, its other columns are replaced."""
    if not rows:
        return
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    statement = dialect.insert(table)
    keys = [column.name for column in table.primary_key]
    changed = {name: statement.excluded[name] for name in rows[0] if name not in keys}
    connection.execute(
        statement.on_conflict_do_update(index_elements=keys, set_=changed), list(rows)
    )


def count_on(connection: Connection, counter: Column[int], **key: Any) -> int:
    """Adds 1 to the counter of the row with this primary key, begun at 1; the new value.

    Whoever else counts the same row on waits until this transaction ends.
    """
    table = counter.table
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    statement = dialect.insert(table).values({**key, counter.name: 1})
    statement = statement.on_conflict_do_update(
        index_elements=list(key), set_={counter.name: counter + 1}
    )
    return int(connection.execute(statement.returning(counter)).scalar_one())
