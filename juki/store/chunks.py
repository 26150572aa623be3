"""Look-ups of many keys at once, in statements of a size that every database takes."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, Final, TypeVar

from sqlalchemy import ColumnElement, Connection, select

_Key = TypeVar("_Key", bytes, int)
_CHUNK: Final = 500
"""Keys a statement; few sizes make few statements to prepare."""


def chunks(keys: Collection[_Key]) -> Iterator[list[_Key]]:
    """The keys in order, in lists of at most 500."""
    ordered = sorted(keys)
    for start in range(0, len(ordered), _CHUNK):
        yield ordered[start : start + _CHUNK]


def select_by_key(
    connection: Connection,
    key: ColumnElement[Any],
    value: ColumnElement[Any],
    wanted: Collection[bytes],
) -> dict[bytes, Any]:
    """The value beside each of the keys, both columns of one table; unknown keys are left out."""
    found: dict[bytes, Any] = {}
    for chunk in chunks(wanted):
        rows = connection.execute(select(key, value).where(key.in_(chunk)))
        found.update((bytes(row_key), row_value) for row_key, row_value in rows)
    return found
