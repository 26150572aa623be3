"""Health means working: probes that really sign, write and read decide whether a server serves.

A monitor runs every probe each interval, each on a thread of its own so that one that hangs holds
up neither the others nor the verdict; interval and deadline together are under the 5 seconds within
which a fault must show. It starts as NOT_SERVING and serves only while every probe
passed at its last run. The result goes to `grpc.health.v1.Health`, to the gauge `juki_health` and
to `HealthReportService`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NoReturn

import grpc
import structlog
from grpc_health.v1 import health, health_pb2
from prometheus_client import CollectorRegistry, Gauge

from juki.domain.errors import JukiError, Reason
from juki.log import exception_types
from juki.v1 import health_pb2 as report_pb2
from juki.v1 import health_pb2_grpc as report_pb2_grpc

Probe = Callable[[], None]
"""Returns when the thing works, raises anything when it does not."""

_LOG = structlog.get_logger("juki.health")
_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The last result of one probe."""

    name: str
    passed: bool
    checked_at: datetime
    duration_seconds: float


class _PolledHealth(health.HealthServicer):
    """`grpc.health.v1.Health` without `Watch`.

    Each watcher would hold a thread of the server's pool for as long as it likes, so that a few
    of them would silence the server. The protocol provides for UNIMPLEMENTED: clients poll.
    """

    def Watch(  # noqa: N802 - name of the contract
        self,
        request: health_pb2.HealthCheckRequest,
        context: grpc.ServicerContext,
        send_response_callback: object = None,
    ) -> NoReturn:
        context.abort(grpc.StatusCode.UNIMPLEMENTED, "poll Check instead")


class HealthMonitor:
    """Runs named probes; tells the standard health servicer, the gauge and the report.

    Raises `JukiError(CONFIGURATION_INVALID)` without probes: nothing checked is not health.
    """

    def __init__(
        self,
        probes: Mapping[str, Probe],
        *,
        registry: CollectorRegistry,
        interval_seconds: float = 1.0,
        deadline_seconds: float = 3.0,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        if not probes:
            raise JukiError(Reason.CONFIGURATION_INVALID, "a server needs at least one probe")
        self.servicer: health.HealthServicer = _PolledHealth()
        """The servicer of `grpc.health.v1.Health`; the empty service name is the whole server."""
        self._probes = dict(probes)
        self._interval = interval_seconds
        self._deadline = deadline_seconds
        self._clock = clock
        self._results: dict[str, CheckResult] = {}
        self._running: dict[str, _Run] = {}
        self._stopped = threading.Event()
        self._round = threading.Lock()
        self._thread = threading.Thread(target=self._loop, name="juki-health", daemon=True)
        self._gauge = Gauge(
            "juki_health", "1 while a check passes, 0 otherwise.", ("check",), registry=registry
        )
        for name in self._probes:
            self._gauge.labels(name).set(0)
        self.servicer.set("", _NOT_SERVING)

    def start(self) -> None:
        """Starts the rounds in the background."""
        self._thread.start()

    def stop(self) -> None:
        """Answers NOT_SERVING from now on and ends the rounds; waits for the round under way."""
        self._stopped.set()
        self.servicer.enter_graceful_shutdown()
        if self._thread.is_alive():
            self._thread.join()

    def check_now(self) -> bool:
        """Runs one round, at most the deadline long; returns whether the server serves."""
        with self._round:
            due = time.monotonic() + self._deadline
            for name, probe in self._probes.items():
                # A probe that still hangs from an earlier round is not started on top of itself.
                if name not in self._running or self._running[name].done.is_set():
                    self._running[name] = _Run(probe, self._clock())
            for name, run in self._running.items():
                run.done.wait(max(0.0, due - time.monotonic()))
                self._record(name, run)
            self.servicer.set("", _SERVING if self.serving else _NOT_SERVING)
            return self.serving

    @property
    def serving(self) -> bool:
        """Whether every probe passed when it last ran."""
        results = self._results
        return len(results) == len(self._probes) and all(r.passed for r in results.values())

    def results(self) -> list[CheckResult]:
        """The last result of each probe that has run, in the order of the probes."""
        return [self._results[name] for name in self._probes if name in self._results]

    def _record(self, name: str, run: _Run) -> None:
        passed = run.done.is_set() and run.error is None
        previous = self._results.get(name)
        if not passed and (previous is None or previous.passed):
            why = exception_types(run.error) if run.error else "deadline passed"
            _LOG.error("health check failed", check=name, why=why)
        elif passed and previous is not None and not previous.passed:
            _LOG.info("health check passes again", check=name)
        duration = run.duration_seconds if run.done.is_set() else self._deadline
        self._results = {
            **self._results,
            name: CheckResult(name, passed, run.started_at, duration),
        }
        self._gauge.labels(name).set(1 if passed else 0)

    def _loop(self) -> None:
        while not self._stopped.is_set():
            self.check_now()
            self._stopped.wait(self._interval)


class _Run:
    """One run of a probe on a thread of its own, which an exiting process does not wait for."""

    def __init__(self, probe: Probe, started_at: datetime) -> None:
        self.started_at = started_at
        self.done = threading.Event()
        self.error: Exception | None = None
        self.duration_seconds = 0.0
        self._probe = probe
        threading.Thread(target=self._run, name="juki-probe", daemon=True).start()

    def _run(self) -> None:
        started = time.perf_counter()
        try:
            self._probe()
        except Exception as error:  # any failure means the same: it does not work
            self.error = error
        self.duration_seconds = time.perf_counter() - started
        self.done.set()


class HealthReportServicer(report_pb2_grpc.HealthReportServiceServicer):
    """Serves `juki.v1.HealthReportService` from a monitor."""

    def __init__(self, monitor: HealthMonitor) -> None:
        self._monitor = monitor

    def GetHealthReport(  # noqa: N802 - name of the contract
        self, request: report_pb2.GetHealthReportRequest, context: grpc.ServicerContext
    ) -> report_pb2.GetHealthReportResponse:
        """The last result of each check."""
        response = report_pb2.GetHealthReportResponse(serving=self._monitor.serving)
        for result in self._monitor.results():
            check = response.checks.add(
                name=result.name, passed=result.passed, duration_seconds=result.duration_seconds
            )
            check.checked_at.FromDatetime(result.checked_at)
        return response
