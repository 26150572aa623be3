"""Health sees a disk that is nearly full before the database does."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from sqlalchemy import Engine

from juki.domain.errors import JukiError, Reason

LEAST_FREE_BYTES: Final = 8 * 1024 * 1024
"""Twice what a write-ahead file of SQLite grows to before it is emptied."""


def require_space(engine: Engine) -> None:
    """Raises STORE_UNAVAILABLE where the disk of an SQLite database has no room left.

    A transaction that fits into the write-ahead file as it is still succeeds on a full disk, so
    that a probe that writes does not notice. PostgreSQL's disk is its own server's.
    """
    file = engine.url.database
    if engine.url.get_backend_name() != "sqlite" or not file or file == ":memory:":
        return
    disk = os.statvfs(Path(file).parent)
    if disk.f_bavail * disk.f_frsize < LEAST_FREE_BYTES:
        raise JukiError(Reason.STORE_UNAVAILABLE, "the database's disk is full")
