"""The one writer of the stream: events of many callers become one durable, signed transaction."""

from __future__ import annotations

import datetime
import queue
import threading
from collections.abc import Sequence, Set
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Final

import structlog
from google.protobuf.timestamp_pb2 import Timestamp

from cs_gateway import places
from cs_gateway.code_pool import CodePool
from cs_gateway.events import PooledCode, PreparedEvent
from cs_gateway.metrics import GatewayMetrics
from cs_gateway.ports import Clock
from cs_gateway.progress import Progress
from cs_gateway.records import Change, Resident, apply_event, designate_number
from cs_gateway.recovered import RecoveredTail
from cs_gateway.signing import StreamSigner
from cs_gateway.store import Adoption, GatewayStore, GroupWrite, TakenEvent
from juki.domain.change import RecordState
from juki.domain.envelope import StreamPosition, notification_digest
from juki.domain.errors import JukiError, Reason
from juki.v1 import notification_pb2

_LOG: Final = structlog.get_logger(__name__)
_JAPAN: Final = datetime.timezone(datetime.timedelta(hours=9))
GROUP_EVENTS: Final = 512
"""Events in one transaction, roughly: a caller's events are never split over two."""

QUEUED_EVENTS: Final = 20_000
"""Events that may wait for the writer before callers are told to come back."""


@dataclass(slots=True)
class Designation:
    """An Individual Number for a record that waits for one."""

    record_key: bytes
    code_key: bytes
    """The code that the number was generated for; another one by now makes the number stale."""

    number: str

    def __repr__(self) -> str:
        return "Designation(…)"


@dataclass(frozen=True, slots=True)
class Written:
    """What became of one event or designation."""

    refusal: Reason | None = None
    epoch: int = 0
    sequence: int = 0
    code: str = ""
    """The record's resident record code as it stands now."""

    number: str = ""
    repeated: bool = False
    """Whether it had been taken in before."""

    def __repr__(self) -> str:
        return f"Written({self.refusal or (self.epoch, self.sequence)})"


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
                raise JukiError(self._halted, "the gateway's stream is behind the prefecture's")
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
            group = _Group(
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

    def _commit(self, written: GroupWrite, group: _Group) -> None:
        self._head = None
        self._store.commit(written, group.now)
        self._head = written.after
        self._metrics.issued(len(written.outbox))
        self._progress.add_numbers_pending(group.pending_difference)
        self._progress.move(epoch=written.after.epoch, issued_through=written.after.sequence)


class _Group:
    """The notifications of one transaction while they are being made."""

    def __init__(
        self,
        municipality: str,
        store: GatewayStore,
        head: StreamPosition,
        recovered: RecoveredTail,
        now: int,
    ) -> None:
        self.now = now
        self.used_codes: set[bytes] = set()
        self.pending_difference = 0
        self._municipality = municipality
        self._store = store
        self._before = head
        self._head = head
        self._issued_at = Timestamp(seconds=now // 1_000_000, nanos=now % 1_000_000 * 1000)
        today = datetime.datetime.fromtimestamp(now / 1_000_000, _JAPAN).date()
        self._today = (today.year, today.month, today.day)
        self._taken: dict[bytes, TakenEvent] = {}
        self._residents: dict[bytes, Resident] = {}
        self._held: set[bytes] = set()
        self._changed: dict[bytes, Resident] = {}
        self._of_code: dict[bytes, dict[bytes, Resident]] = {}
        self._notifications: list[tuple[int, bytes, bytes]] = []
        self._events: list[dict[str, object]] = []
        self._recovered = recovered
        self._adoptions: list[Adoption] = []

    def build(self, items: Sequence[PreparedEvent | Designation]) -> list[Written]:
        """One outcome for each item; the accepted ones have their notifications made."""
        events = [item for item in items if isinstance(item, PreparedEvent)]
        self._taken, self._residents = self._store.group_context(
            [event.event_key for event in events],
            list({item.record_key for item in items}),
            list({event.carried_code_key for event in events if event.carried_code_key}),
        )
        self._held = set(self._residents)
        for resident in self._residents.values():
            self._of_code.setdefault(resident.code_key, {})[resident.record_key] = resident
        return [
            self._event(item) if isinstance(item, PreparedEvent) else self._designation(item)
            for item in items
        ]

    def _event(self, event: PreparedEvent) -> Written:
        taken = self._taken.get(event.event_key) or self._adopt(event)
        if taken is not None:
            if taken.content != event.content:
                return Written(Reason.EVENT_CONFLICT)
            return _written(
                taken.epoch, taken.sequence, self._residents.get(taken.record_key), repeated=True
            )
        resident = self._residents.get(event.record_key)
        try:
            predecessor = self._predecessor(event, resident)
            change = apply_event(resident, event, predecessor)
        except JukiError as error:
            return Written(error.reason)
        self._append(change)
        if change.used_code and event.code is not None:
            self.used_codes.add(event.code.key)
        epoch, sequence = self._head.epoch, self._head.sequence
        self._remember(event, TakenEvent(event.content, event.record_key, epoch, sequence))
        return _written(epoch, sequence, change.resident)

    def _adopt(self, event: PreparedEvent) -> TakenEvent | None:
        """The notification that this event made before a restore, if it was fetched back."""
        found = self._recovered.match(event, known=event.record_key in self._residents)
        if found is None:
            return None
        stand_in = b"" if found.record_known else found.record_key
        self._adoptions.append(Adoption(found.epoch, found.sequence, stand_in, event.record_key))
        if stand_in:
            resident = self._store.resident(stand_in)
            if resident is None:
                raise JukiError(Reason.INTERNAL, "a recovered notification has no resident")
            resident.record_key = event.record_key
            self._residents[event.record_key] = resident
            self._changed[event.record_key] = resident
        taken = TakenEvent(event.content, event.record_key, found.epoch, found.sequence)
        self._remember(event, taken)
        return taken

    def _remember(self, event: PreparedEvent, taken: TakenEvent) -> None:
        self._taken[event.event_key] = taken
        self._events.append(
            {
                "event_key": event.event_key,
                "content": taken.content,
                "record_key": taken.record_key,
                "epoch": taken.epoch,
                "sequence": taken.sequence,
            }
        )

    def _predecessor(self, event: PreparedEvent, resident: Resident | None) -> bytes:
        others = [
            other
            for key, other in self._of_code.get(event.carried_code_key, {}).items()
            if key != event.record_key
        ]
        if any(other.state is RecordState.CURRENT for other in others):
            raise JukiError(Reason.IMPOSSIBLE_EVENT, "another current record has this code")
        if resident is not None:
            return resident.last_digest
        # A person who comes back may be given a new record id: the chain of the person goes on.
        return others[-1].last_digest if others else b""

    def _designation(self, designation: Designation) -> Written:
        resident = self._residents.get(designation.record_key)
        if resident is None or resident.code_key != designation.code_key:
            return Written(Reason.RECORD_NOT_FOUND)
        try:
            change = designate_number(resident, designation.number, self._today)
        except JukiError as error:
            return Written(error.reason)
        self._append(change)
        return _written(self._head.epoch, self._head.sequence, change.resident)

    def _append(self, change: Change) -> None:
        sequence = self._head.sequence + 1
        notification = notification_pb2.Notification(
            municipality=self._municipality,
            epoch=self._head.epoch,
            sequence=sequence,
            predecessor_digest=self._head.digest,
            issued_at=self._issued_at,
            record_change=change.content,
        ).SerializeToString()
        digest = notification_digest(notification)
        self._notifications.append((sequence, digest, notification))
        self._head = StreamPosition(self._head.epoch, sequence, digest)
        resident = change.resident
        resident.last_digest = digest
        before = self._residents.get(resident.record_key)
        self.pending_difference += resident.number_pending - bool(before and before.number_pending)
        if before is not None:
            self._of_code.get(before.code_key, {}).pop(resident.record_key, None)
        self._of_code.setdefault(resident.code_key, {})[resident.record_key] = resident
        self._residents[resident.record_key] = resident
        self._changed[resident.record_key] = resident

    def seal(self, signer: StreamSigner) -> GroupWrite | None:
        """All that is to be stored, signed and sealed; None when nothing was accepted."""
        if not self._events and not self._notifications:
            return None
        key_id, signatures = b"", list[bytes]()
        if self._notifications:
            key_id, signatures = signer.sign([digest for _, digest, _ in self._notifications])
        seal = self._store.sealer.seal
        epoch = self._head.epoch
        outbox = [
            {
                "epoch": epoch,
                "sequence": sequence,
                "digest": digest,
                "issued_at": self.now,
                "envelope": seal(
                    notification_pb2.SignedNotification(
                        notification=notification, key_id=key_id, signature=signature
                    ).SerializeToString(),
                    places.outbox_envelope(epoch, sequence),
                ),
            }
            for (sequence, digest, notification), signature in zip(
                self._notifications, signatures, strict=True
            )
        ]
        changed = self._changed.values()
        return GroupWrite(
            before=self._before,
            after=self._head,
            outbox=outbox,
            events=self._events,
            new_residents=[r for r in changed if r.record_key not in self._held],
            changed_residents=[r for r in changed if r.record_key in self._held],
            used_codes=list(self.used_codes),
            adoptions=self._adoptions,
        )


def _written(
    epoch: int, sequence: int, resident: Resident | None, *, repeated: bool = False
) -> Written:
    code = resident.information.resident_record_code if resident else ""
    number = resident.information.individual_number if resident else ""
    return Written(None, epoch, sequence, code, number, repeated)


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
