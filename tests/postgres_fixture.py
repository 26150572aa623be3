"""A throw-away PostgreSQL server for tests: Debian's PostgreSQL 15, on a unix socket of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

_BINARIES = Path("/usr/lib/postgresql/15/bin")


def _as_postgres(*command: str) -> list[str]:
    # PostgreSQL refuses to run as root, so a root test run steps down to Debian's account for it.
    return ["runuser", "-u", "postgres", "--", *command] if os.geteuid() == 0 else [*command]


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The server's socket directory; the server ends with the test session."""
    if not _BINARIES.is_dir():
        pytest.skip("PostgreSQL 15 is not installed")
    # Not under pytest's own temporary directory: its parents are closed to other accounts, and a
    # socket's path may have 107 bytes only.
    home = Path(tempfile.mkdtemp(prefix="juki-pg-", dir="/tmp"))
    if os.geteuid() == 0:
        shutil.chown(home, "postgres", "postgres")
    data = home / "data"
    control = str(_BINARIES / "pg_ctl")
    options = f"-c listen_addresses='' -c unix_socket_directories={home}"
    try:
        subprocess.run(
            _as_postgres(
                str(_BINARIES / "initdb"),
                *("-D", str(data), "-U", "juki", "-A", "trust", "-E", "UTF8", "--locale=C"),
            ),
            check=True,
            capture_output=True,
            cwd="/",
        )
        subprocess.run(
            _as_postgres(
                control, "-D", str(data), "-l", str(home / "log"), "-o", options, "-w", "start"
            ),
            check=True,
            stdout=subprocess.DEVNULL,
            cwd="/",
        )
        yield str(home)
    finally:
        subprocess.run(
            _as_postgres(control, "-D", str(data), "-m", "immediate", "-w", "stop"),
            check=False,
            capture_output=True,
            cwd="/",
        )
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def postgres_url(postgres_server: str) -> str:
    """URL of a fresh, empty database."""
    return make_database(postgres_server)


@pytest.fixture
def new_postgres_url(postgres_server: str) -> Callable[[], str]:
    """A maker of fresh, empty databases, for tests that need several."""
    return lambda: make_database(postgres_server)


def make_database(socket_directory: str) -> str:
    """Creates an empty database in the server and gives its URL."""
    name = f"juki_{uuid.uuid4().hex[:12]}"
    administration = create_engine(
        f"postgresql+psycopg://juki@/postgres?host={socket_directory}", isolation_level="AUTOCOMMIT"
    )
    with administration.connect() as connection:
        connection.execute(text(f'CREATE DATABASE "{name}"'))
    administration.dispose()
    return f"postgresql+psycopg://juki@/{name}?host={socket_directory}"
