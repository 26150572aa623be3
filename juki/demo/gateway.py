"""A municipality's resident register as the demo plays it: hands events in, watches them travel."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc

from juki.domain.errors import JukiError, Reason
from juki.localnet.network import LocalNetwork
from juki.rpc.reasons import reason_of_number
from juki.v1 import register_pb2, register_pb2_grpc


@dataclass
class Progress:
    """How far the municipality's stream is known, as last told."""

    issued: int = 0
    prefecture: int = 0
    nation: int = 0
    numbers_pending: int = 0
    codes: int = 0


@dataclass
class _Arrivals:
    """When the nation's receipt first covered a sequence."""

    times: list[tuple[int, float]] = field(default_factory=list)

    def when(self, sequence: int) -> float | None:
        for through, at in self.times:
            if through >= sequence:
                return at
        return None


class Register:
    """The register's side of one CS gateway; closes its channel at the end."""

    def __init__(self, network: LocalNetwork, municipality: str) -> None:
        self.municipality = municipality
        self.progress = Progress()
        self._channel = network.channel(f"cs-{municipality}-register", f"cs-{municipality}")
        self._stub = register_pb2_grpc.ResidentRegisterServiceStub(self._channel)
        self._changed = threading.Condition()
        self._arrivals = _Arrivals()
        self._call: Any = None
        self._closed = False
        self._thread = threading.Thread(target=self._follow, name="progress", daemon=True)
        self._thread.start()

    def record(self, *events: register_pb2.RegisterEvent) -> list[register_pb2.EventOutcome]:
        """Hands events in; each acknowledged one is durable in the gateway's outbox.

        Raises:
            JukiError: The reason of the first event that was refused.
        """
        response = self._stub.RecordEvents(
            register_pb2.RecordEventsRequest(events=events), timeout=60
        )
        for outcome in response.outcomes:
            if outcome.refusal:
                raise JukiError(reason_of_number(outcome.refusal), "an event was refused")
        return list(response.outcomes)

    def event(self, event_id: str) -> register_pb2.GetEventResponse:
        """What became of one event."""
        return self._stub.GetEvent(register_pb2.GetEventRequest(event_id=event_id), timeout=30)

    def events(self, event_ids: Sequence[str]) -> list[register_pb2.GetEventResponse]:
        """What became of many."""
        futures = [
            self._stub.GetEvent.future(register_pb2.GetEventRequest(event_id=one), timeout=60)
            for one in event_ids
        ]
        return [future.result() for future in futures]

    def wait_national(self, sequence: int, seconds: float = 60.0) -> float:
        """Returns when the nation's receipt for `sequence` reached the gateway (monotonic seconds).

        Raises:
            JukiError: UPSTREAM_UNAVAILABLE when it does not come in time.
        """
        deadline = time.monotonic() + seconds
        with self._changed:
            while True:
                at = self._arrivals.when(sequence)
                if at is not None:
                    return at
                left = deadline - time.monotonic()
                if left <= 0:
                    raise JukiError(
                        Reason.UPSTREAM_UNAVAILABLE, "the nation's receipt did not come in time"
                    )
                self._changed.wait(left)

    def close(self) -> None:
        """Ends the stream and the channel."""
        self._closed = True
        if self._call is not None:
            self._call.cancel()
        self._thread.join(5)
        self._channel.close()

    def _follow(self) -> None:
        while not self._closed:
            try:
                call = self._stub.FollowProgress(
                    register_pb2.FollowProgressRequest(), wait_for_ready=True
                )
                self._call = call
                for item in call:
                    self._note(item)
            except grpc.RpcError:
                time.sleep(0.2)

    def _note(self, item: register_pb2.FollowProgressResponse) -> None:
        now = time.monotonic()
        with self._changed:
            if item.nation_through > self.progress.nation:
                self._arrivals.times.append((item.nation_through, now))
            self.progress = Progress(
                item.issued_through,
                item.prefecture_through,
                item.nation_through,
                item.numbers_pending,
                item.codes_available,
            )
            self._changed.notify_all()
