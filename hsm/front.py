"""Custody's front: owns the unix sockets, watches over the worker, and never loads the module.

While a worker is ready it answers the callers itself, at the front's own listening sockets; the
front only listens to its signs of life. A worker that is silent for too long, has lost its token or
has died is replaced; callers ride over that, waiting in the sockets' queues. Where it takes longer,
the circuit is open: the front answers every caller at once with the reason, until a worker is
ready.
"""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import structlog

from hsm.backoff import Backoff
from hsm.configuration import Configuration
from hsm.link import Kind, Message
from hsm.refusing import refuse_next
from hsm.sockets import Door, listen
from hsm.worker_process import WorkerProcess
from juki.domain.errors import JukiError, Reason

_RIDE_SECONDS = 2.0
"""How long callers wait for a replaced worker before they are refused."""
_FAILURES_TO_OPEN = 3
"""Workers lost in a row before callers are refused at once."""
_STEADY_SECONDS = 10.0
"""After this long without a fault the next one is the first again."""
_LONGEST_WAIT_SECONDS = 1.0

_log = structlog.get_logger("hsm.front")


class Front:
    """Serves a configuration until `stop`; `announce` hears a line when its state changes."""

    def __init__(
        self,
        file: Path,
        configuration: Configuration,
        announce: Callable[[str], None],
    ) -> None:
        self._file = file
        self._silence_seconds = configuration.token.silence_seconds
        self._announce = announce
        self._selector = selectors.DefaultSelector()
        self._doors: list[Door] = []
        self._worker: WorkerProcess | None = None
        self._ending: WorkerProcess | None = None
        """A worker that was killed and has not ended yet."""
        self._backoff = Backoff()
        self._next_start = self._lost_at = self._ready_at = time.monotonic()
        self._why = "its token is being opened"
        """What went wrong last, for callers."""
        self._cannot_open = False
        """Whether the worker said that the token cannot be opened."""
        self._has_served = False
        self._told_to_wait = False
        self._refusing = False
        self._stopping = False
        self._wake_reader, self._wake_writer = socket.socketpair()
        self._wake_reader.setblocking(False)
        self._wake_writer.setblocking(False)
        self._selector.register(self._wake_reader, selectors.EVENT_READ)
        self._roles = [one.role() for one in configuration.sockets]

    def stop(self) -> None:
        """Ask the worker to finish and end; safe from a signal handler."""
        self._stopping = True
        with suppress(OSError):
            self._wake_writer.send(b"\0")

    def run(self) -> None:
        """Serve until stopped; raises CONFIGURATION_INVALID where it can never begin to."""
        try:
            for role in self._roles:
                self._doors.append(Door(listen(role), role))
            while not self._stopping:
                self._supervise()
                self._open_or_close_circuit()
                for key, _ in self._selector.select(self._seconds_to_next()):
                    self._ready(key)
            self._end_worker()
        finally:
            if self._worker is not None:
                self._worker.kill()
            for door in self._doors:
                door.listener.close()
                door.role.path.unlink(missing_ok=True)
            self._selector.close()

    def _supervise(self) -> None:
        """Start a worker that is due, replace one that is silent."""
        now = time.monotonic()
        worker = self._worker
        if worker is None:
            if self._ending is not None and self._ending.kill():
                self._ending = None
            if now >= self._next_start and self._ending is None:
                self._worker = WorkerProcess(self._file, self._doors, self._silence_seconds)
                self._selector.register(self._worker.link, selectors.EVENT_READ, self._worker)
            return
        if worker.seconds_left() > 0:
            if worker.ready and now - self._ready_at > _STEADY_SECONDS:
                self._backoff.succeeded()
            return
        # What it said while this process had no turn counts as said in time.
        self._hear(worker)
        if self._worker is worker and worker.seconds_left() <= 0:
            self._replace("the module hangs")

    def _ready(self, key: selectors.SelectorKey) -> None:
        if isinstance(key.data, WorkerProcess):
            if key.data is self._worker:
                self._hear(key.data)
        elif isinstance(key.data, Door):
            refuse_next(key.data, self._refusal())
        else:
            self._wake_reader.recv(64)

    def _hear(self, worker: WorkerProcess) -> None:
        messages, is_open = worker.hear()
        for message in messages:
            self._take(message)
            if self._worker is not worker:
                return
        if not is_open:
            self._replace("the worker has ended")

    def _take(self, message: Message) -> None:
        if message.kind is Kind.READY:
            self._cannot_open = False
            self._ready_at = time.monotonic()
            _log.info("token open", failures_before=self._backoff.failures)
            if not self._has_served:
                self._has_served = True
                self._announce("custody ready")
        elif message.kind is Kind.NOT_OPENED:
            self._why, self._cannot_open = message.text, True
            if not self._has_served and not self._told_to_wait:
                self._told_to_wait = True
                self._announce("custody waits for its token")
        elif message.kind is Kind.MISCONFIGURED:
            if not self._has_served:
                raise JukiError(Reason.CONFIGURATION_INVALID, message.text)
            self._cannot_open = True
            self._replace(message.text)
        elif message.kind is Kind.LOST:
            self._replace(message.text)

    def _replace(self, why: str) -> None:
        """End the worker and have another started after a pause."""
        worker = self._worker
        if worker is None:
            return
        now = time.monotonic()
        if worker.ready:
            self._lost_at = now
        self._why = why
        pause = self._backoff.failed()
        self._next_start = now + pause
        _log.error("worker replaced", why=why, pause_seconds=pause, process=worker.pid)
        self._selector.unregister(worker.link)
        self._worker = None
        if not worker.kill():
            _log.error("worker does not end", process=worker.pid)
            self._ending = worker

    def _open_or_close_circuit(self) -> None:
        """Accept callers, in order to refuse them, only while no worker will soon."""
        is_ready = self._worker is not None and self._worker.ready
        waited = time.monotonic() - self._lost_at
        may_ride = self._backoff.failures < _FAILURES_TO_OPEN and (
            waited < _RIDE_SECONDS or not (self._has_served or self._backoff.failures)
        )
        refusing = not is_ready and (self._cannot_open or not may_ride)
        if refusing == self._refusing:
            return
        self._refusing = refusing
        _log.warning("callers refused" if refusing else "callers served", why=self._why)
        for door in self._doors:
            if refusing:
                self._selector.register(door.listener, selectors.EVENT_READ, door)
            else:
                self._selector.unregister(door.listener)

    def _refusal(self) -> JukiError:
        return JukiError(Reason.CUSTODY_UNAVAILABLE, f"custody is out of service: {self._why}")

    def _seconds_to_next(self) -> float:
        """How long nothing is to be done but listen."""
        if self._worker is not None and self._worker.ready:
            until = self._worker.seconds_left()
        elif self._worker is not None:
            # The circuit may have to open before the worker has been silent for too long.
            until = min(self._worker.seconds_left(), 0.2)
        else:
            until = self._next_start - time.monotonic()
        return min(max(until, 0.01), _LONGEST_WAIT_SECONDS)

    def _end_worker(self) -> None:
        """Have the worker finish what it accepted, as long as it lives."""
        worker = self._worker
        if worker is None:
            return
        worker.ask_to_end()
        is_open = True
        while is_open and worker.seconds_left() > 0:
            self._selector.select(worker.seconds_left())
            _, is_open = worker.hear()
