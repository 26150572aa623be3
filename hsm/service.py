"""The worker's event loop: one thread, many callers, fair turns, bounded buffers."""

from __future__ import annotations

import selectors
import socket
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress

import structlog
from google.protobuf.message import DecodeError

from hsm.operations import Job, Operations
from hsm.permissions import Permissions
from hsm.refusing import error_response
from hsm.sockets import Door, SocketRole, refusal_of_caller
from juki.custody.framing import frame, take_frames
from juki.domain.errors import JukiError, Reason
from juki.v1 import custody_pb2 as pb

_READ_BYTES = 1 << 18
_MOST_JOBS = 64
"""Requests of one caller accepted before more is read from it."""
_MOST_UNSENT_BYTES = 1 << 22
"""Responses waiting for one caller before more is read from it."""
_MOST_CONNECTIONS = 256
"""Connections of all callers together; one more is refused."""
_LOOK_UP_SECONDS = 0.5
"""How often an idle loop looks up from its sockets to tell that it lives."""

_log = structlog.get_logger(__name__)


class _Connection:
    """One caller: what it has sent, what it is owed."""

    def __init__(self, peer: socket.socket, permissions: Permissions) -> None:
        self.peer = peer
        self.permissions = permissions
        self.received = bytearray()
        self.unsent = bytearray()
        self.jobs = 0
        self.closing = False
        """No more is read; closed as soon as everything owed is sent."""

    def events(self) -> int:
        wanted = 0
        if not self.closing and self.jobs < _MOST_JOBS and len(self.unsent) < _MOST_UNSENT_BYTES:
            wanted |= selectors.EVENT_READ
        if self.unsent:
            wanted |= selectors.EVENT_WRITE
        return wanted


class Service:
    """Serves `Operations` on several sockets until `stop`.

    `look_up` is called between slices of work, and twice a second without any.
    """

    def __init__(
        self, operations: Operations, doors: Sequence[Door], look_up: Callable[[], None]
    ) -> None:
        self._operations = operations
        self._look_up = look_up
        self._selector = selectors.DefaultSelector()
        self._jobs: deque[tuple[_Connection, Job]] = deque()
        self._connections: set[_Connection] = set()
        self._stopping = False
        self._wake_reader, self._wake_writer = socket.socketpair()
        self._wake_reader.setblocking(False)
        self._wake_writer.setblocking(False)
        self._selector.register(self._wake_reader, selectors.EVENT_READ)
        for door in doors:
            self._selector.register(door.listener, selectors.EVENT_READ, door.role)

    def stop(self) -> None:
        """Ask the loop to finish its jobs and end; safe from a signal handler."""
        self._stopping = True
        with suppress(OSError):
            self._wake_writer.send(b"\0")

    def run(self) -> None:
        """Serve until stopped; then answer what was accepted."""
        try:
            while not self._stopping or self._jobs:
                for key, events in self._selector.select(0 if self._jobs else _LOOK_UP_SECONDS):
                    self._ready(key, events)
                self._take_turn()
                self._look_up()
        finally:
            self._close()

    def _ready(self, key: selectors.SelectorKey, events: int) -> None:
        if isinstance(key.data, SocketRole):
            self._accept(key.fileobj, key.data)  # type: ignore[arg-type]
        elif isinstance(key.data, _Connection):
            if events & selectors.EVENT_WRITE:
                self._send(key.data)
            if events & selectors.EVENT_READ:
                self._receive(key.data)
        else:
            self._wake_reader.recv(64)

    def _accept(self, listener: socket.socket, role: SocketRole) -> None:
        try:
            peer, _ = listener.accept()
        except OSError:  # the caller has gone again, or descriptors are short for the moment
            return
        peer.setblocking(False)
        connection = _Connection(peer, role.permissions)
        self._connections.add(connection)
        self._selector.register(peer, selectors.EVENT_READ, connection)
        refusal = refusal_of_caller(peer, role)
        if refusal is None and len(self._connections) > _MOST_CONNECTIONS:
            _log.warning("too many connections", socket=role.path.name)
            refusal = JukiError(Reason.CUSTODY_UNAVAILABLE, "custody has too many callers")
        if refusal is not None:
            self._refuse(connection, refusal)

    def _receive(self, connection: _Connection) -> None:
        if connection.closing or connection.peer.fileno() < 0:
            return
        try:
            data = connection.peer.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._drop(connection)
            return
        connection.received += data
        try:
            for message in take_frames(connection.received):
                request = pb.CustodyRequest.FromString(message)
                job = self._operations.perform(request, connection.permissions)
                self._jobs.append((connection, job))
                connection.jobs += 1
        except DecodeError:
            self._refuse(
                connection, JukiError(Reason.MALFORMED_MESSAGE, "a request cannot be decoded")
            )
        except JukiError as error:
            self._refuse(connection, error)
        self._watch(connection)

    def _take_turn(self) -> None:
        """Advance the oldest job by one slice; what is left of it queues behind the others."""
        if not self._jobs:
            return
        connection, job = self._jobs.popleft()
        if connection.peer.fileno() < 0:  # the caller has gone
            job.close()
            return
        try:
            next(job)
        except StopIteration as done:
            connection.jobs -= 1
            connection.unsent += frame(done.value.SerializeToString())
            self._send(connection)
        else:
            self._jobs.append((connection, job))

    def _refuse(self, connection: _Connection, error: JukiError) -> None:
        """Answer the connection as a whole and close it once that is sent."""
        connection.closing = True
        connection.unsent += frame(error_response(error).SerializeToString())
        self._send(connection)

    def _send(self, connection: _Connection) -> None:
        try:
            sent = connection.peer.send(connection.unsent)
            del connection.unsent[:sent]
        except BlockingIOError:
            pass
        except OSError:
            self._drop(connection)
            return
        if connection.closing and not connection.unsent and not connection.jobs:
            self._drop(connection)
            return
        self._watch(connection)

    def _watch(self, connection: _Connection) -> None:
        if connection.peer.fileno() < 0:
            return
        wanted = connection.events()
        registered = self._selector.get_map().get(connection.peer)
        if not wanted:
            if registered is not None:
                self._selector.unregister(connection.peer)
        elif registered is None:
            self._selector.register(connection.peer, wanted, connection)
        elif registered.events != wanted:
            self._selector.modify(connection.peer, wanted, connection)

    def _drop(self, connection: _Connection) -> None:
        if connection.peer.fileno() < 0:
            return
        if self._selector.get_map().get(connection.peer) is not None:
            self._selector.unregister(connection.peer)
        connection.peer.close()
        self._connections.discard(connection)

    def _close(self) -> None:
        for connection in list(self._connections):
            self._drop(connection)
        self._selector.close()
        self._wake_reader.close()
        self._wake_writer.close()
