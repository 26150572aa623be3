"""Opens a tier's database and brings its schema up to date."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Final

from alembic import command
from alembic.config import Config
from sqlalchemy import (
    URL,
    BigInteger,
    Engine,
    ExceptionContext,
    Integer,
    create_engine,
    event,
    make_url,
)
from sqlalchemy.exc import InterfaceError, OperationalError

from juki.domain.errors import JukiError, Reason

BIG: Final = BigInteger().with_variant(Integer, "sqlite")
"""64-bit integer that SQLite, too, can number by itself."""

_MIGRATIONS: Final = Path(__file__).parent / "migrations"


def now_microseconds() -> int:
    """The system clock, in microseconds since 1970-01-01 UTC: how instants are stored."""
    return time.time_ns() // 1000


def open_engine(url: str | URL) -> Engine:
    """An engine for `sqlite:///path` or `postgresql+psycopg://…`, durable at each commit.

    A database that is down, restarts or refuses connections raises JukiError STORE_UNAVAILABLE from
    whatever is under way; after a commit that failed so, what was written may be durable or not.
    """
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        engine = create_engine(parsed, connect_args={"timeout": 30.0})
        event.listen(engine, "connect", _configure_sqlite)
        event.listen(engine, "begin", _begin_immediately)
    else:
        engine = create_engine(parsed, pool_pre_ping=True, pool_size=10, max_overflow=10)
    event.listen(engine, "handle_error", _refuse_while_unavailable)
    return engine


def migrate(engine: Engine, schema: str) -> None:
    """Brings the database to the newest revision of `schema`: gateway, prefectural or national."""
    config = Config()
    config.set_main_option("path_separator", "os")
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.set_main_option("version_locations", str(_MIGRATIONS / schema))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _refuse_while_unavailable(context: ExceptionContext) -> None:
    # The pool's own probe of an idle connection opens another one when the first has died.
    if context.is_pre_ping:
        return
    unavailable = isinstance(context.sqlalchemy_exception, OperationalError | InterfaceError)
    if unavailable or context.is_disconnect:
        # The driver's text may quote parameters, which are personal: only the kind is told.
        raise JukiError(
            Reason.STORE_UNAVAILABLE,
            "the database does not answer",
            {"kind": type(context.original_exception).__name__},
        )


def _configure_sqlite(connection: Any, _record: Any) -> None:
    # The driver must not open transactions of its own: see _begin_immediately.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.execute("PRAGMA temp_store=MEMORY")
    cursor.close()


def _begin_immediately(connection: Any) -> None:
    # Taking the write lock at BEGIN avoids the deadlock of two readers that both want to write.
    options = connection.get_execution_options()
    connection.exec_driver_sql("BEGIN" if options.get("read_only") else "BEGIN IMMEDIATE")
