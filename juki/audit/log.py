"""The audit log in files: one durable record a call, one fsync for all who wait (group commit).

With `signing` the log is published too: its Merkle tree and signed checkpoints follow the records
off the path of those who append (`juki.audit.publishing`).

A log belongs to one process; a server with several worker processes gives each a directory of its
own. A thread that appends queues its record and waits; one writer thread takes all that is queued,
writes and syncs it at once, and lets those threads go while the next gather.
"""

from __future__ import annotations

import errno
import fcntl
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Final, Self

from juki.audit.checkpoint import CheckpointSigning
from juki.audit.encoding import SEED_BYTES, encode
from juki.audit.port import AuditPosition, AuditRecord, AuditUnavailable
from juki.audit.publishing import Publisher
from juki.audit.recovery import create_segment, recover
from juki.audit.segment import MAX_RECORD_BYTES, pack_frame, segment_path
from juki.domain.errors import JukiError, Reason

DEFAULT_SEGMENT_BYTES: Final = 64 * 1024 * 1024
"""Read in full at every start: about 0.1 s of batches of 1,000, 1.5 s of single look-ups."""

_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_ROOM_BYTES: Final = 64 * 1024
"""A disk has room while this is free, beside what it last did not take."""
_FULL: Final = "the audit log's disk is full"


def _held_lock() -> threading.Lock:
    lock = threading.Lock()
    lock.acquire()
    return lock


@dataclass(slots=True)
class _Waiting:
    record: bytes
    position: AuditPosition | None = None
    """Set once the record is durable; None after a commit means it is not."""

    committed: threading.Lock = field(default_factory=_held_lock)
    """Released by the writer, whichever way the commit went."""


class FileAuditLog:
    """An `AuditLog` over segment files; safe to share between threads.

    A write that the full disk did not take is cut off again, and its callers get AuditUnavailable;
    once there is room the log goes on. After any other failure of a write or an fsync nothing is
    ever appended again (what the kernel did with the pages is unknown, and a second fsync may claim
    a success that is none): every caller gets AuditUnavailable until the process starts anew and
    the log is recovered.
    """

    def __init__(
        self,
        directory: Path,
        *,
        signing: CheckpointSigning | None = None,
        segment_bytes: int = DEFAULT_SEGMENT_BYTES,
        sync: Callable[[int], None] = os.fdatasync,
        random: Callable[[int], bytes] = os.urandom,
        archive_directory: Path | None = None,
    ) -> None:
        """Open or begin the log in `directory`; `random` gives so many bytes, for salts.

        `archive_directory` is where archived segments may have been moved to.
        Raises Tampered when the log is not what was written, AuditUnavailable when another process
        writes it or the files cannot be used.
        """
        self._directory = directory
        self._segment_bytes = segment_bytes
        self._sync = sync
        self._random = random
        self._queue: SimpleQueue[_Waiting | None] = SimpleQueue()
        """Ends with None, put when the log is closed."""
        self._closing = threading.Lock()
        """Held to put anything into the queue, so that nothing follows its end."""
        self._closed = False
        self._failure: str | None = None
        self._wanted = 0
        """Bytes of the last append, where the disk was too full for it."""
        try:
            directory.mkdir(parents=True, exist_ok=True, mode=0o750)
            self._lock_descriptor = _lock(directory / "lock")
        except OSError as error:
            raise _unusable(error) from error
        try:
            end = recover(directory, archive_directory)
            self._segment = end.segment
            self._position = end.position
            self._descriptor = self._open_segment(end.segment)
        except BaseException as error:
            os.close(self._lock_descriptor)
            if isinstance(error, OSError):
                raise _unusable(error) from error
            raise
        self._writer = threading.Thread(target=self._write_queue, name="audit-writer", daemon=True)
        self._writer.start()
        self._publisher: Publisher | None = None
        if signing is not None:
            publisher = Publisher(
                directory, lambda: self._position.sequence, signing, archive_directory
            )
            try:
                publisher.start()
            except BaseException as error:
                self.close()
                if isinstance(error, OSError):
                    raise _unusable(error) from error
                raise
            self._publisher = publisher

    @property
    def position(self) -> AuditPosition:
        """The last durable record; sequence 0 before the first."""
        return self._position

    @property
    def failure(self) -> str | None:
        """Why nothing can be appended any more, in general words; None while the log works."""
        return self._failure

    @property
    def waiting(self) -> int:
        """How many records wait for the commit after the one under way."""
        return self._queue.qsize()

    @property
    def checkpoint_failed(self) -> bool:
        """Whether the tree could not be published or signed when it was last tried."""
        return self._publisher is not None and self._publisher.failed

    @property
    def published_to(self) -> int:
        """Sequence up to which publishing needs no segment any more: those may be archived."""
        return self._position.sequence if self._publisher is None else self._publisher.done_to

    def check(self) -> None:
        """Raises AuditUnavailable when nothing can be appended now: a probe of health.

        That is also so while the disk has no room left, whether anybody appends or not.
        """
        if self._failure is not None or self._closed:
            raise AuditUnavailable(self._failure or "the audit log is closed")
        if not self._has_room():
            raise AuditUnavailable(_FULL)

    def append(self, record: AuditRecord) -> AuditPosition:
        """Return once `record` is durable.

        Raises AuditUnavailable, and JukiError (MESSAGE_TOO_LARGE) above 16 MiB (about a million
        entries).
        """
        waiting = _Waiting(encode(record, self._random(SEED_BYTES)))
        if len(waiting.record) > MAX_RECORD_BYTES:
            raise JukiError(Reason.MESSAGE_TOO_LARGE, "the audit record of the call is too large")
        with self._closing:
            if self._closed:
                raise AuditUnavailable("the audit log is closed")
            self._queue.put(waiting)
        waiting.committed.acquire()
        if waiting.position is None:
            raise AuditUnavailable(self._failure or _FULL)
        return waiting.position

    def close(self) -> None:
        """Commit what waits, publish it, release the files; later appends are refused."""
        with self._closing:
            if self._closed:
                return
            self._closed = True
            self._queue.put(None)
        self._writer.join()
        if self._publisher is not None:
            self._publisher.stop()
        os.close(self._descriptor)
        os.close(self._lock_descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _write_queue(self) -> None:
        """The writer thread: commit whatever has gathered, until the queue's end."""
        open_ended = True
        while open_ended:
            batch = [self._queue.get()]
            with suppress(Empty):
                while True:
                    batch.append(self._queue.get_nowait())
            open_ended = batch[-1] is not None
            waiting = [one for one in batch if one is not None]
            try:
                if waiting and self._failure is None:
                    self._commit(waiting)
            except Exception as error:  # whatever it is, those who wait must be told
                self._failure = f"the audit log failed ({type(error).__name__})"
            for one in waiting:
                one.committed.release()

    def _commit(self, batch: list[_Waiting]) -> None:
        frames: list[bytes] = []
        positions: list[AuditPosition] = []
        sequence = self._position.sequence
        for waiting in batch:
            sequence += 1
            frames.append(pack_frame(waiting.record))
            positions.append(AuditPosition(sequence))
        end = os.fstat(self._descriptor).st_size
        written = False
        try:
            _write_all(self._descriptor, b"".join(frames))
            written = True
            self._sync(self._descriptor)
        except OSError as error:
            if error.errno in _NO_ROOM and not written:
                # Nobody was told of any of it, and nothing of it was given to the disk yet.
                os.ftruncate(self._descriptor, end)
                self._wanted = sum(map(len, frames))
            else:
                self._failure = f"the audit log cannot be written ({error.strerror})"
            return
        self._wanted = 0
        self._position = positions[-1]
        for waiting, position in zip(batch, positions, strict=True):
            waiting.position = position
        if os.fstat(self._descriptor).st_size >= self._segment_bytes:
            self._rotate()

    def _has_room(self) -> bool:
        disk = os.statvfs(self._directory)
        return disk.f_bavail * disk.f_frsize >= self._wanted + _ROOM_BYTES

    def _rotate(self) -> None:
        try:
            create_segment(self._directory, self._segment + 1, self._position)
            following = self._open_segment(self._segment + 1)
            os.close(self._descriptor)
            self._segment += 1
            self._descriptor = following
        except OSError as error:
            self._failure = f"no new audit segment can be begun ({error.strerror})"

    def _open_segment(self, number: int) -> int:
        path = segment_path(self._directory, number)
        return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _lock(path: Path) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _unusable(error: OSError) -> AuditUnavailable:
    if isinstance(error, BlockingIOError):
        return AuditUnavailable("another process writes this audit log")
    return AuditUnavailable(f"the audit log cannot be opened ({error.strerror})")
