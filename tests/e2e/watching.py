"""Watches a network while a fuse blows: intake, look-ups and health, each asked all the time."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import grpc

from juki.demo.checks import PensionBody
from juki.demo.gateway import Register
from juki.domain.errors import JukiError
from juki.localnet.network import LocalNetwork
from juki.rpc.errors import details_of
from juki.v1 import health_pb2, health_pb2_grpc
from tests.planted_person import planted_birth

_PAUSE_SECONDS = 0.2


@dataclass(frozen=True)
class Seen:
    """One answer, or one refusal."""

    asked_at: float
    answered_at: float
    """Monotonic seconds."""
    refusal: str
    """The reason; empty for an answer."""
    facts: frozenset[str] = frozenset()
    """Of health: the checks that failed."""


@dataclass
class Watch:
    """Asks one thing again and again on a thread of its own."""

    ask: Callable[[], frozenset[str]]
    seen: list[Seen] = field(default_factory=list)
    _stopping: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to ask."""
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End; waits for the question under way."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()

    def since(self, when: float) -> list[Seen]:
        """What was asked from `when` on."""
        return [one for one in list(self.seen) if one.asked_at >= when]

    def _run(self) -> None:
        while not self._stopping.is_set():
            begin = time.monotonic()
            facts: frozenset[str] = frozenset()
            refusal = ""
            try:
                facts = self.ask()
            except JukiError as error:
                refusal = error.reason.value
            except grpc.RpcError as error:
                reason = details_of(error).reason
                refusal = reason.value if reason else "no answer"
            self.seen.append(Seen(begin, time.monotonic(), refusal, facts))
            self._stopping.wait(_PAUSE_SECONDS)


def in_words(seen: list[Seen], good: str) -> str:
    """How many were answered, and how the others were refused."""
    if not seen:
        return "none came back"
    counted = Counter(one.refusal or good for one in seen)
    longest = max((one.answered_at - one.asked_at for one in seen), default=0.0)
    parts = [f"{count} {what}" for what, count in sorted(counted.items(), key=lambda p: -p[1])]
    return f"{', '.join(parts)} (longest {longest:.1f} s)"


class NetworkWatch:
    """Events handed in at the gateway, look-ups at the nation, and the health of both."""

    def __init__(self, network: LocalNetwork, municipality: str) -> None:
        self.register = Register(network, municipality)
        self.body = PensionBody(network)
        self.acknowledged: list[int] = []
        """Sequences of the events that the gateway took."""
        self._numbers = itertools.count(1)
        self._channels = {
            host: network.channel(caller, host)
            for host, caller in (
                (f"cs-{municipality}", f"cs-{municipality}-register"),
                ("national", "agency-nenkin"),
            )
        }
        self.individual_number = ""
        self.intake = Watch(self._hand_in)
        self.lookups = Watch(self._look_up)
        self.health = {
            host: Watch(lambda channel=channel: self._failing(channel))  # type: ignore[misc]
            for host, channel in self._channels.items()
        }

    def start(self) -> None:
        """Begin to ask everything."""
        for watch in (self.intake, self.lookups, *self.health.values()):
            watch.start()

    def close(self) -> None:
        """End every question and every channel."""
        for watch in (self.intake, self.lookups, *self.health.values()):
            watch.stop()
        for channel in self._channels.values():
            channel.close()
        self.body.close()
        self.register.close()

    def red_since(self, host: str, when: float) -> tuple[float, frozenset[str]] | None:
        """When the host's health was first seen red after `when`, and which checks failed."""
        for one in self.health[host].since(when):
            if one.refusal or one.facts:
                return one.answered_at, one.facts
        return None

    def is_green(self, host: str) -> bool:
        """Whether the last look at the host's health found it serving."""
        last = self.health[host].seen[-1:]
        return bool(last) and not last[0].refusal and not last[0].facts

    def _hand_in(self) -> frozenset[str]:
        event = planted_birth()
        number = next(self._numbers)
        event.event_id, event.record_id = f"fuse-{number}", f"88{number:08d}"
        (outcome,) = self.register.record(event)
        self.acknowledged.append(outcome.notification.sequence)
        return frozenset()

    def _look_up(self) -> frozenset[str]:
        self.body.batch([self.individual_number])
        return frozenset()

    def _failing(self, channel: grpc.Channel) -> frozenset[str]:
        stub = health_pb2_grpc.HealthReportServiceStub(channel)
        report = stub.GetHealthReport(health_pb2.GetHealthReportRequest(), timeout=5)
        failing = frozenset(check.name for check in report.checks if not check.passed)
        return failing or (frozenset() if report.serving else frozenset({"not serving"}))
