"""Custody's front: owns the unix sockets, watches over the workers, and never loads the module.

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
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import structlog

from hsm.configuration import Configuration
from hsm.link import Kind, Message
from hsm.post import Post
from hsm.refusing import refuse_next
from hsm.sockets import Door, listen
from hsm.worker_process import WorkerProcess
from juki.domain.errors import JukiError, Reason

_FAILURES_TO_OPEN = 3
"""Workers lost in a row before callers are refused at once."""
_LONGEST_WAIT_SECONDS = 1.0
_OPENING_WAIT_SECONDS = 0.2
"""While no worker is ready the circuit may have to open before anything is heard."""

_log = structlog.get_logger("hsm.front")


class Front:
    """Serves a configuration until `stop`; `announce` hears a line when its state changes."""

    def __init__(
        self, file: Path, configuration: Configuration, announce: Callable[[str], None]
    ) -> None:
        self._file = file
        self._token = configuration.token
        self._roles = [one.role() for one in configuration.sockets]
        self._announce = announce
        self._announced: set[str] = set()
        self._doors: list[Door] = []
        self._refusing = False
        self._stopping = False
        self._selector = selectors.DefaultSelector()
        self._wake_reader, self._wake_writer = socket.socketpair()
        self._wake_reader.setblocking(False)
        self._wake_writer.setblocking(False)
        self._selector.register(self._wake_reader, selectors.EVENT_READ)
        self._posts = [
            Post(self._hire, lambda worker: self._selector.unregister(worker.link))
            for _ in range(self._token.workers)
        ]

    def stop(self) -> None:
        """Ask the workers to finish and end; safe from a signal handler."""
        self._stopping = True
        with suppress(OSError):
            self._wake_writer.send(b"\0")

    def run(self) -> None:
        """Serve until stopped; raises CONFIGURATION_INVALID where it can never begin to."""
        try:
            for role in self._roles:
                self._doors.append(Door(listen(role), role))
            while not self._stopping:
                self._start_what_is_due()
                for post in self._posts:
                    self._take(post.judge())
                self._open_or_close_circuit()
                for key, _ in self._selector.select(self._seconds_to_next()):
                    self._ready(key)
            self._end_workers()
        finally:
            for worker in self._workers():
                worker.kill()
            for door in self._doors:
                door.listener.close()
                door.role.path.unlink(missing_ok=True)
            self._selector.close()

    def _hire(self) -> WorkerProcess:
        return WorkerProcess(self._file, self._doors, self._token.silence_seconds)

    def _workers(self) -> list[WorkerProcess]:
        return [post.worker for post in self._posts if post.worker is not None]

    def _start_what_is_due(self) -> None:
        """One worker opens the token at a time: a wrong PIN is tried by one, and heard of."""
        for post in self._posts:
            if any(one.is_opening for one in self._posts):
                return
            worker = post.start_if_due()
            if worker is not None:
                self._selector.register(worker.link, selectors.EVENT_READ, post)

    def _ready(self, key: selectors.SelectorKey) -> None:
        if isinstance(key.data, Post):
            self._take(key.data.hear())
        elif isinstance(key.data, Door):
            refuse_next(key.data, self._refusal())
        else:
            self._wake_reader.recv(64)

    def _take(self, messages: Sequence[Message]) -> None:
        for message in messages:
            if message.kind is Kind.READY:
                self._announce_once("custody ready")
            elif message.kind is Kind.NOT_OPENED and not self._announced:
                self._announce_once("custody waits for its token")
            elif message.kind is Kind.MISCONFIGURED and "custody ready" not in self._announced:
                raise JukiError(Reason.CONFIGURATION_INVALID, message.text)

    def _announce_once(self, line: str) -> None:
        if line not in self._announced:
            self._announced.add(line)
            self._announce(line)

    def _open_or_close_circuit(self) -> None:
        """Accept callers, in order to refuse them, only while no worker will soon."""
        refusing = not any(post.is_ready for post in self._posts) and not self._callers_may_wait()
        if refusing == self._refusing:
            return
        self._refusing = refusing
        _log.warning("callers refused" if refusing else "callers served", why=self._why())
        for door in self._doors:
            if refusing:
                self._selector.register(door.listener, selectors.EVENT_READ, door)
            else:
                self._selector.unregister(door.listener)

    def _callers_may_wait(self) -> bool:
        """Whether a worker is to be expected within a moment."""
        if any(post.cannot_open for post in self._posts):
            return False
        if all(post.failures == 0 for post in self._posts):
            return True  # the first start, however long it takes on a busy machine
        least_failures = min(post.failures for post in self._posts)
        waited = time.monotonic() - max(post.lost_at for post in self._posts)
        return least_failures < _FAILURES_TO_OPEN and waited < self._token.patience_seconds

    def _why(self) -> str:
        """What went wrong last, with those that tried to open the token first."""
        told = sorted(self._posts, key=lambda post: (post.cannot_open, post.failures))
        return told[-1].why

    def _refusal(self) -> JukiError:
        return JukiError(Reason.CUSTODY_UNAVAILABLE, f"custody is out of service: {self._why()}")

    def _seconds_to_next(self) -> float:
        """How long nothing is to be done but listen."""
        opening = any(post.is_opening for post in self._posts)
        # A post that is vacant while another worker opens the token waits for that one.
        acting = [post for post in self._posts if post.worker is not None or not opening]
        until = min(post.seconds_to_next() for post in acting)
        if not any(post.is_ready for post in self._posts):
            until = min(until, _OPENING_WAIT_SECONDS)
        return min(max(until, 0.01), _LONGEST_WAIT_SECONDS)

    def _end_workers(self) -> None:
        """Have the workers finish what they accepted, as long as they live."""
        for worker in self._workers():
            worker.ask_to_end()
        for worker in self._workers():
            is_open = True
            while is_open and worker.seconds_left() > 0:
                with selectors.DefaultSelector() as selector:
                    selector.register(worker.link, selectors.EVENT_READ)
                    selector.select(worker.seconds_left())
                _, is_open = worker.hear()
