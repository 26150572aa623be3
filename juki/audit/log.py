"""The audit log in files: hash-chained, one fsync for all who wait (group commit).

A log belongs to one process; a server with several worker processes gives each a directory of its
own. Every thread that appends queues its record and then waits for the commit lock; whoever gets
it commits all that is queued, and the others find theirs done when their turn comes.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from juki.audit.encoding import encode
from juki.audit.head import HeadKeeper, HeadSigning
from juki.audit.port import AuditPosition, AuditRecord, AuditUnavailable
from juki.audit.recovery import create_segment, recover
from juki.audit.segment import MAX_RECORD_BYTES, pack_frame, segment_path
from juki.domain.errors import JukiError, Reason

DEFAULT_SEGMENT_BYTES: Final = 64 * 1024 * 1024
"""Read in full at every start, so a bound on the time that takes (about 0.1 s)."""


@dataclass(slots=True)
class _Waiting:
    record: bytes
    position: AuditPosition | None = field(default=None)
    """Set once the record is durable; None after a commit means it is not."""


class FileAuditLog:
    """An `AuditLog` over segment files; safe to share between threads.

    After a write or an fsync failed, nothing is ever appended again (what the kernel did with the
    pages is unknown, and a second fsync may claim a success that is none): every caller gets
    AuditUnavailable until the process starts anew and the log is recovered.
    """

    def __init__(
        self,
        directory: Path,
        *,
        head_signing: HeadSigning | None = None,
        segment_bytes: int = DEFAULT_SEGMENT_BYTES,
        sync: Callable[[int], None] = os.fdatasync,
    ) -> None:
        """Open or begin the log in `directory`.

        Raises Tampered when the log is not what was written, AuditUnavailable when another process
        writes it or the files cannot be used.
        """
        self._directory = directory
        self._segment_bytes = segment_bytes
        self._sync = sync
        self._queue: deque[_Waiting] = deque()
        self._commit_lock = threading.Lock()
        self._failure: str | None = None
        self._closed = False
        try:
            directory.mkdir(parents=True, exist_ok=True, mode=0o750)
            self._lock_descriptor = _lock(directory / "lock")
        except OSError as error:
            raise _unusable(error) from error
        try:
            end = recover(directory)
            self._segment = end.segment
            self._position = end.position
            self._descriptor = self._open_segment()
        except BaseException as error:
            os.close(self._lock_descriptor)
            if isinstance(error, OSError):
                raise _unusable(error) from error
            raise
        self._head: HeadKeeper | None = None
        if head_signing is not None:
            self._head = HeadKeeper(directory, lambda: self._position, head_signing)
            try:
                self._head.start()
            except BaseException:
                self._release("the head could not be signed")
                raise

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
        return len(self._queue)

    @property
    def head_failed(self) -> bool:
        """Whether the head could not be signed or written when it was last tried."""
        return self._head is not None and self._head.failed

    def append(self, record: AuditRecord) -> AuditPosition:
        """Return once `record` is durable.

        Raises AuditUnavailable, and JukiError (MESSAGE_TOO_LARGE) above 16 MiB (about a million
        entries).
        """
        waiting = _Waiting(encode(record))
        if len(waiting.record) > MAX_RECORD_BYTES:
            raise JukiError(Reason.MESSAGE_TOO_LARGE, "the audit record of the call is too large")
        self._queue.append(waiting)
        with self._commit_lock:
            if waiting.position is None:
                self._commit_queue()
        if waiting.position is None:
            raise AuditUnavailable(self._failure or "the record did not become durable")
        return waiting.position

    def close(self) -> None:
        """Sign the last head and release the files; later appends are refused."""
        if self._head is not None:
            self._head.stop()
        self._release("the audit log is closed")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _commit_queue(self) -> None:
        """Make everything queued durable; the caller holds the commit lock."""
        batch = []
        while self._queue:
            batch.append(self._queue.popleft())
        if self._failure is not None:
            return
        frames: list[bytes] = []
        positions: list[AuditPosition] = []
        sequence, chain_hash = self._position.sequence, self._position.chain_hash
        for waiting in batch:
            frame, chain_hash = pack_frame(waiting.record, chain_hash)
            sequence += 1
            frames.append(frame)
            positions.append(AuditPosition(sequence, chain_hash))
        self._failure = "a write to the audit log did not end"  # stands if anything below raises
        try:
            _write_all(self._descriptor, b"".join(frames))
            self._sync(self._descriptor)
        except OSError as error:
            self._failure = f"the audit log cannot be written ({error.strerror})"
            return
        self._failure = None
        self._position = positions[-1]
        for waiting, position in zip(batch, positions, strict=True):
            waiting.position = position
        if os.fstat(self._descriptor).st_size >= self._segment_bytes:
            self._rotate()

    def _rotate(self) -> None:
        try:
            create_segment(self._directory, self._segment + 1, self._position)
            os.close(self._descriptor)
            self._segment += 1
            self._descriptor = self._open_segment()
        except OSError as error:
            self._failure = f"no new audit segment can be begun ({error.strerror})"

    def _open_segment(self) -> int:
        return os.open(
            segment_path(self._directory, self._segment), os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC
        )

    def _release(self, why: str) -> None:
        with self._commit_lock:
            if self._closed:
                return
            self._closed = True
            self._failure = why
            os.close(self._descriptor)
            os.close(self._lock_descriptor)


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
