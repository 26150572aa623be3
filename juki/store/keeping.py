"""Keeps a database's seals and root in order while its server runs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge

from juki.config import Configuration
from juki.domain.errors import JukiError, Reason
from juki.store.checkpoint import (
    CheckpointFile,
    CheckpointSigning,
    Standing,
    sections_of,
    standing,
)
from juki.store.data_keys import SealingKeys
from juki.store.verification import RootedDatabase, Verification, snapshot, verify
from juki.worker import Worker

_LOG: Final = structlog.get_logger("juki.register_root")
_ROUND_SECONDS: Final = 1.0


class RegisterRootConfiguration(Configuration):
    """Where checkpoints of the register root go, and how often the register is verified."""

    checkpoint_file: Path | None = None
    """Outside of the database, best on another disk or a write-once medium; None for nowhere."""

    checkpoint_seconds: float = 3600.0
    verify_seconds: float = 86_400.0
    """From the end of one walk over the whole register to the next; the first is at the start."""


class RegisterRootMetrics:
    """What is told of the register root."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.tampering = Counter(
            "juki_register_tampering",
            "Sealed values that did not open, and tables that were not as their root says.",
            registry=registry,
        )
        self.restored = Gauge(
            "juki_register_restored",
            "1 when the database was older at the start than its last checkpoint, else 0.",
            registry=registry,
        )
        self.checkpoint_time = Gauge(
            "juki_register_checkpoint_timestamp_seconds",
            "When the last checkpoint was written, in seconds since 1970-01-01 UTC.",
            registry=registry,
        )
        self.verified_time = Gauge(
            "juki_register_verified_timestamp_seconds",
            "When the whole register was last verified, in seconds since 1970-01-01 UTC.",
            registry=registry,
        )


class RegisterKeeper:
    """Writes checkpoints, verifies the register in the background, keeps data keys supplied."""

    def __init__(
        self,
        database: RootedDatabase,
        sealing: SealingKeys,
        configuration: RegisterRootConfiguration,
        *,
        signing: CheckpointSigning,
        metrics: RegisterRootMetrics,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._sealing = sealing
        self._configuration = configuration
        self._signing = signing
        self._metrics = metrics
        self._ticks = ticks
        path = configuration.checkpoint_file
        self._checkpoints = None if path is None else CheckpointFile(path)
        self._stopping = threading.Event()
        self._checkpoint_due = ticks() + configuration.checkpoint_seconds
        self._verify_due = ticks()
        self._last: Verification | None = None
        sealing.sealer.on_tampering = metrics.tampering.inc

    def start(self) -> None:
        """Compares the database with its last checkpoint, and writes the next.

        Raises:
            JukiError: TAMPERING_DETECTED when the database is another one than the checkpoint's.
                One that is older as a whole is taken for restored, which is said.
        """
        if self._checkpoints is None:
            return
        held = self._checkpoints.read()
        found = standing(self._sections(), held[-1] if held else None)
        if found is Standing.FORKED:
            self._metrics.tampering.inc()
            raise JukiError(
                Reason.TAMPERING_DETECTED, "the register's roots are not those of the checkpoint"
            )
        is_restored = found is Standing.RESTORED
        if is_restored:
            _LOG.warning("restored from an older state", checkpoint=held[-1].number)
        self._metrics.restored.set(is_restored)
        self._write(restored=is_restored)

    def work(self) -> None:
        """One round, a second long while there is nothing to do."""
        self._stopping.wait(_ROUND_SECONDS)
        self._sealing.refresh()
        if self._ticks() >= self._checkpoint_due:
            self._checkpoint_due = self._ticks() + self._configuration.checkpoint_seconds
            self._write(restored=False)
        if self._ticks() >= self._verify_due and not self._stopping.is_set():
            self._verify()
            self._verify_due = self._ticks() + self._configuration.verify_seconds

    def wake(self) -> None:
        """Ends a round under way soon."""
        self._stopping.set()

    def check(self) -> None:
        """Raises while the last verification stands that found something: a probe of health."""
        if self._last is not None and self._last.findings:
            raise JukiError(
                Reason.TAMPERING_DETECTED, "the register is not as its root says; see the log"
            )

    def finish(self) -> None:
        """The last checkpoint, at an orderly end."""
        try:
            self._write(restored=False)
        except JukiError as error:
            _LOG.warning("no checkpoint at the end", reason=error.reason.value)

    def _sections(self) -> dict[str, tuple[int, str]]:
        database = self._database
        sealer = database.sealer
        with snapshot(database.engine) as connection:
            return sections_of(database.states(connection), sealer)

    def _write(self, *, restored: bool) -> None:
        if self._checkpoints is not None:
            written = self._checkpoints.append(self._sections(), self._signing, restored=restored)
            self._metrics.checkpoint_time.set(written.time / 1_000_000)

    def _verify(self) -> None:
        last = self._checkpoints.read() if self._checkpoints is not None else []
        pause = _Pause(self._stopping)
        try:
            found = verify(self._database, last[-1] if last else None, pause)
        except _StoppedError:
            return
        for finding in found.findings:
            _LOG.error("tampering detected", finding=finding)
            self._metrics.tampering.inc()
        self._last = found
        self._metrics.verified_time.set(self._signing.clock() / 1_000_000)


class _StoppedError(Exception):
    """The server ends: a walk under way is given up."""


class _Pause:
    """Leaves the server as much time as the walk takes."""

    def __init__(self, stopping: threading.Event) -> None:
        self._stopping = stopping
        self._since = time.monotonic()

    def __call__(self, rows: int) -> None:
        if self._stopping.wait(time.monotonic() - self._since):
            raise _StoppedError
        self._since = time.monotonic()


def keep_register(
    stack: ExitStack,
    database: RootedDatabase,
    sealing: SealingKeys,
    configuration: RegisterRootConfiguration,
    *,
    signing: CheckpointSigning,
    registry: CollectorRegistry,
) -> RegisterKeeper:
    """A keeper at work; the stack ends it, after whatever is started later."""
    keeper = RegisterKeeper(
        database,
        sealing,
        configuration,
        signing=signing,
        metrics=RegisterRootMetrics(registry),
    )
    keeper.start()
    stack.callback(keeper.finish)
    worker = Worker("register-root", keeper.work, wake=keeper.wake)
    worker.start()
    stack.callback(worker.close)
    return keeper
