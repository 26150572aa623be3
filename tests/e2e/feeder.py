"""Hands one municipality's events in from several threads until each is acknowledged."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import grpc

from juki.demo.gateway import Register
from juki.domain.errors import JukiError, Reason
from juki.rpc.errors import details_of
from juki.v1 import register_pb2
from tests.e2e.register_events import Call

_COME_BACK = frozenset(
    {
        Reason.CODE_POOL_EMPTY,
        Reason.OVERLOADED,
        Reason.CUSTODY_UNAVAILABLE,
        Reason.STORE_UNAVAILABLE,
    }
)
"""Refusals that a register answers by handing the same events in again."""

_PAUSE_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """What the register was told when its event was taken."""

    epoch: int
    sequence: int
    code: str


class Feeder:
    """Threads that hand in; they go no further than they are allowed to.

    Everything readable is guarded by `changed`, which wakes whoever waits at each change.
    """

    def __init__(
        self, register: Register, lanes: list[list[Call]], changed: threading.Condition
    ) -> None:
        self.register = register
        self.changed = changed
        self.events: dict[str, register_pb2.RegisterEvent] = {
            event.event_id: event for lane in lanes for call in lane for event in call
        }
        self.acknowledged: dict[str, Acknowledgement] = {}
        self.pending: set[str] = set()
        """Handed in and neither acknowledged nor refused yet."""

        self.failures = 0
        self.faults: list[BaseException] = []
        """What must not happen; a lane that meets one ends."""

        self._allowed = 0
        self._handed_in = 0
        self._idle = 0
        self._lanes = len(lanes)
        self._stopping = False
        self._threads = [
            threading.Thread(target=self._run, args=(lane,), name="lane", daemon=True)
            for lane in lanes
        ]

    def start(self) -> None:
        """Starts the threads; nothing is handed in until `allow`."""
        for thread in self._threads:
            thread.start()

    def allow(self, events: int) -> None:
        """Lets them hand in up to so many events in all."""
        with self.changed:
            self._allowed = max(self._allowed, events)
            self.changed.notify_all()

    def allow_more(self, events: int) -> None:
        """Lets them hand in so many more than they have."""
        self.allow(self._handed_in + events)

    def stop(self) -> None:
        """Ends the threads, done or not."""
        with self.changed:
            self._stopping = True
            self.changed.notify_all()
        for thread in self._threads:
            thread.join()

    @property
    def total(self) -> int:
        """All events there are."""
        return len(self.events)

    @property
    def is_spent(self) -> bool:
        """Whether every thread waits to be allowed more, or is done; all it handed in is taken."""
        return self._idle == self._lanes

    @property
    def is_done(self) -> bool:
        """Whether every event is acknowledged."""
        return len(self.acknowledged) == len(self.events)

    def _run(self, lane: list[Call]) -> None:
        try:
            for call in lane:
                if not self._take_leave(call) or not self._hand_in(call):
                    return
        except BaseException as error:  # shown by the test's own thread
            with self.changed:
                self.faults.append(error)
        finally:
            with self.changed:
                self._idle += 1
                self.changed.notify_all()

    def _take_leave(self, call: Call) -> bool:
        with self.changed:
            self._idle += 1
            self.changed.notify_all()
            self.changed.wait_for(
                lambda: self._stopping or self._handed_in + len(call) <= self._allowed
            )
            self._idle -= 1
            if self._stopping:
                return False
            self._handed_in += len(call)
            self.pending.update(event.event_id for event in call)
            return True

    def _hand_in(self, call: Call) -> bool:
        while True:
            try:
                self._note(self.register.record(*call))
            except grpc.RpcError as error:
                refusal = details_of(error)
                if refusal.code not in (
                    grpc.StatusCode.UNAVAILABLE,
                    grpc.StatusCode.RESOURCE_EXHAUSTED,
                ):
                    raise AssertionError(f"{refusal.code} {refusal.reason}") from error
            except JukiError as error:
                if error.reason not in _COME_BACK:
                    raise
            else:
                return True
            with self.changed:
                self.failures += 1
                self.changed.notify_all()
                if self.changed.wait_for(lambda: self._stopping, _PAUSE_SECONDS):
                    return False

    def _note(self, outcomes: list[register_pb2.EventOutcome]) -> None:
        with self.changed:
            for outcome in outcomes:
                self.pending.discard(outcome.event_id)
                self.acknowledged[outcome.event_id] = Acknowledgement(
                    outcome.notification.epoch,
                    outcome.notification.sequence,
                    outcome.resident_record_code,
                )
            self.changed.notify_all()


def wait_for(
    feeders: list[Feeder], condition: Callable[[], bool], what: str, seconds: float = 120.0
) -> None:
    """Returns when `condition` holds; looked at whenever a feeder moves and ten times a second.

    Fails when it does not come to hold in time, or when a feeder met a fault.
    """
    changed = feeders[0].changed
    deadline = time.monotonic() + seconds
    while not condition():
        for feeder in feeders:
            if feeder.faults:
                raise feeder.faults[0]
        if time.monotonic() > deadline:
            raise AssertionError(f"this did not come to hold in time: {what}")
        with changed:
            changed.wait(0.1)
