"""PostgreSQL as a process of the test's own: killed with `kill -9`, started again, asked."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

_BINARIES = Path("/usr/lib/postgresql/15/bin")
_SECONDS = 60.0


class PostgresProcess:
    """One postmaster over one data directory; databases by name."""

    def __init__(self, *options: str) -> None:
        """`options` are further ones of the postmaster, such as "-c", "log_statement=all"."""
        self._options = options
        if not _BINARIES.is_dir():
            pytest.skip("PostgreSQL 15 is not installed")
        # Not under pytest's own temporary directory: its parents are closed to other accounts, and
        # a socket's path may have 107 bytes only.
        self._home = Path(tempfile.mkdtemp(prefix="juki-kill-", dir="/tmp"))
        self._account: list[str] = []
        if os.geteuid() == 0:
            # PostgreSQL refuses to run as root: Debian's account for it runs it. By way of a
            # command that becomes the server: Popen's own `user` forks, which no process may do
            # once gRPC's threads run in it.
            shutil.chown(self._home, "postgres", "postgres")
            self._account = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        self._data = self._home / "data"
        self._postmaster: subprocess.Popen[bytes] | None = None
        self._engines: dict[str, Engine] = {}
        subprocess.run(
            [
                *self._account,
                str(_BINARIES / "initdb"),
                *("-D", str(self._data), "-U", "juki", "-A", "trust", "-E", "UTF8", "--locale=C"),
            ],
            check=True,
            capture_output=True,
            cwd="/",
        )

    @property
    def home(self) -> Path:
        """Everything that it writes: data directory, log, sockets."""
        return self._home

    @property
    def pids(self) -> list[int]:
        """The postmaster's process and those that it started."""
        assert self._postmaster is not None
        children = Path(f"/proc/{self._postmaster.pid}/task/{self._postmaster.pid}/children")
        return [self._postmaster.pid, *map(int, children.read_text().split())]

    def start(self) -> None:
        """Starts the postmaster and returns when it answers.

        A predecessor that was killed leaves backends behind which still hold its shared memory:
        the new postmaster refuses to start until the last of them has noticed and ended.
        """
        deadline = time.monotonic() + _SECONDS
        while not self._answers():
            if self._postmaster is None or self._postmaster.poll() is not None:
                self._launch()
            if time.monotonic() > deadline:
                raise AssertionError("PostgreSQL did not start; its log says why")
            time.sleep(0.05)

    def _launch(self) -> None:
        with (self._home / "log").open("ab") as log:
            self._postmaster = subprocess.Popen(
                [
                    *self._account,
                    str(_BINARIES / "postgres"),
                    *("-D", str(self._data), "-k", str(self._home)),
                    *("-c", "listen_addresses="),
                    *self._options,
                ],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                cwd="/",
            )

    def kill_postmaster(self) -> None:
        """`kill -9` of the postmaster, and its end awaited; its backends end by themselves."""
        assert self._postmaster is not None
        self._postmaster.kill()
        self._postmaster.wait()

    def kill_backend(self, database: str, choose: random.Random) -> None:
        """`kill -9` of a backend at work for `database`; the postmaster then ends all the others.

        Returns when the postmaster has taken the kill in, so that a connection made from then on
        is one of the time after.
        """
        deadline = time.monotonic() + _SECONDS
        with self.engine(database).connect() as connection:
            while not (pids := _pids_of_backends(connection)):
                # Right after another kill: the server has not connected again yet.
                assert time.monotonic() < deadline
                connection.rollback()
                time.sleep(0.01)
            os.kill(choose.choice(pids), signal.SIGKILL)
            try:
                while time.monotonic() < deadline:
                    connection.execute(text("SELECT 1"))
            except OperationalError:
                connection.invalidate()
                return
        raise AssertionError("the postmaster did not reset its backends")

    def create_database(self, name: str) -> str:
        """Creates an empty database and gives its URL."""
        administration = create_engine(
            self._url("postgres"), isolation_level="AUTOCOMMIT", poolclass=NullPool
        )
        with administration.connect() as connection:
            connection.execute(text(f'CREATE DATABASE "{name}"'))
        administration.dispose()
        return self._url(name)

    def engine(self, database: str) -> Engine:
        """An engine of the test's own; every connection is a new one."""
        if database not in self._engines:
            self._engines[database] = create_engine(self._url(database), poolclass=NullPool)
        return self._engines[database]

    def stop(self) -> None:
        """Ends the server and removes everything of it."""
        postmaster = self._postmaster
        if postmaster is not None and postmaster.poll() is None:
            postmaster.send_signal(signal.SIGQUIT)
            postmaster.wait()
        shutil.rmtree(self._home, ignore_errors=True)

    def _answers(self) -> bool:
        probe = create_engine(self._url("postgres"), poolclass=NullPool)
        try:
            with probe.connect():
                return True
        except OperationalError:
            return False
        finally:
            probe.dispose()

    def _url(self, database: str) -> str:
        return f"postgresql+psycopg://juki@/{database}?host={self._home}"


def _pids_of_backends(connection: Connection) -> list[int]:
    """Backends of the connection's database that are at work, or all others where none is."""
    found = connection.execute(
        text(
            "SELECT pid, state IN ('active', 'idle in transaction') AS busy"
            " FROM pg_stat_activity WHERE backend_type = 'client backend'"
            " AND datname = current_database() AND pid <> pg_backend_pid() ORDER BY pid"
        )
    ).all()
    return [row.pid for row in found if row.busy] or [row.pid for row in found]
