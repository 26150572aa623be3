"""The one writer of the stream: events of many callers become one durable, signed transaction."""

from __future__ import annotations

import queue
import threading
from collections.abc import Sequence, Set
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Final

import structlog

from cs_gateway.code_pool import CodePool
from cs_gateway.events import PooledCode, PreparedEvent
from cs_gateway.group import Designation, NotificationGroup, Written
from cs_gateway.metrics import GatewayMetrics
from cs_gateway.ports import Clock
from cs_gateway.progress import Progress
from cs_gateway.recovered import RecoveredTail
from cs_gateway.signing import StreamSigner
from cs_gateway.store import GatewayStore, GroupWrite
from juki.domain.envelope import StreamPosition
from juki.domain.errors import JukiError, Reason

_LOG: Final = structlog.get_logger(__name__)
GROUP_EVENTS: Final = 512
"""Events in one transaction, roughly: a caller's events are never split over two."""

QUEUED_EVENTS: Final = 20_000
"""Events that may wait for the writer before callers are told to come back."""


@dataclass(slots=True)
class _Job:
    items: Sequence[PreparedEvent | Designation]
    outcome: Future[list[Written]] = field(default_factory=Future)


class StreamWriter:
    """A thread that drains what callers hand in and commits it in groups."""

    def __init__(
        self,
        *,
        municipality: str,
        store: GatewayStore,
        signer: StreamSigner,
        pool: CodePool,
        clock: Clock,
        progress: Progress,
        metrics: GatewayMetrics,
    ) -> None:
        self._municipality = municipality
        self._store = store
        self._signer = signer
        self._pool = pool
        self._clock = clock
        self._progress = progress
        self._metrics = metrics
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._waiting = 0
        self._lock = threading.Lock()
        self._head: StreamPosition | None = None
        self._halted: Reason | None = None
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="stream-writer")

    def start(self) -> None:
        """Reads the stream's head and starts the thread."""
        self._recovered = RecoveredTail(self._store)
        self._recovered_is_stale = False
        self._head = self._store.head()
        self._thread.start()

    def halt(self, reason: Reason) -> None:
        """Refuses every further event with `reason`: the stream must not go on as it is."""
        with self._lock:
            self._halted = reason

    def check(self) -> None:
        """Raises while every event is refused: a probe of health."""
        with self._lock:
            if self._halted is not None:
                raise _behind(self._halted)

    def close(self) -> None:
        """Writes what was handed in, then ends the thread."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self._jobs.put(None)
        self._thread.join()

    def write(self, items: Sequence[PreparedEvent | Designation]) -> Future[list[Written]]:
        """Hands in events, to be written in this order in one transaction.

        The future gives one outcome for each once they are durable, or fails with a `JukiError` for
        all of them: CUSTODY_UNAVAILABLE or STORE_UNAVAILABLE.

        Raises:
            JukiError: OVERLOADED when too many wait already.
        """
        job = _Job(items)
        with self._lock:
            if self._halted is not None:
                self._pool.give_back(_codes(items))
                raise _behind(self._halted)
            if self._closed or self._waiting >= QUEUED_EVENTS:
                self._pool.give_back(_codes(items))
                raise JukiError(Reason.OVERLOADED, "the gateway takes in no more for now")
            self._waiting += len(items)
            self._jobs.put(job)
        return job.outcome

    def _run(self) -> None:
        ended = False
        while not ended:
            job = self._jobs.get()
            if job is None:
                return
            group = [job]
            size = len(job.items)
            while size < GROUP_EVENTS:
                try:
                    following = self._jobs.get_nowait()
                except queue.Empty:
                    break
                if following is None:
                    ended = True
                    break
                group.append(following)
                size += len(following.items)
            with self._lock:
                self._waiting -= size
            self._write_group(group)

    def _write_group(self, jobs: list[_Job]) -> None:
        items = [item for job in jobs for item in job.items]
        try:
            if self._head is None:
                # After a commit whose outcome is not known.
                head = self._store.head()
                self._pool.reload()
                self._head = head
            if self._recovered_is_stale:
                self._recovered = RecoveredTail(self._store)
                self._recovered_is_stale = False
            group = NotificationGroup(
                self._municipality, self._store, self._head, self._recovered, self._clock()
            )
            outcomes = group.build(items)
            written = group.seal(self._signer)
            if written is not None:
                self._commit(written, group)
            self._recovered.settle()
            self._pool.forget_used(group.used_codes)
            self._pool.give_back(_codes(items, except_keys=group.used_codes))
        except Exception as error:
            refusal = error if isinstance(error, JukiError) else None
            _LOG.error(
                "group_refused",
                events=len(items),
                reason=refusal.reason.value if refusal else Reason.INTERNAL.value,
                kind=type(error).__name__,
            )
            self._recovered_is_stale = True
            if self._head is not None:
                self._pool.give_back(_codes(items))
            else:
                # Which codes were used is only known from the database: the next reload tells.
                self._pool.forget_used(code.key for code in _codes(items))
            failure = refusal or JukiError(Reason.INTERNAL, "the group could not be written")
            for job in jobs:
                job.outcome.set_exception(failure)
            return
        start = 0
        for job in jobs:
            job.outcome.set_result(outcomes[start : start + len(job.items)])
            start += len(job.items)

    def _commit(self, written: GroupWrite, group: NotificationGroup) -> None:
        self._head = None
        self._store.commit(written, group.now)
        self._head = written.after
        self._metrics.issued(len(written.outbox))
        self._progress.add_numbers_pending(group.pending_difference)
        self._progress.move(epoch=written.after.epoch, issued_through=written.after.sequence)


def _behind(reason: Reason) -> JukiError:
    return JukiError(reason, "the gateway's stream is behind the prefecture's")


def _codes(
    items: Sequence[PreparedEvent | Designation], except_keys: Set[bytes] = frozenset()
) -> list[PooledCode]:
    return [
        item.code
        for item in items
        if isinstance(item, PreparedEvent)
        and item.code is not None
        and item.code.key not in except_keys
    ]
