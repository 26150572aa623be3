"""The server's own duties: ports, health, reflection, metrics, order of the chain, stopping."""

from __future__ import annotations

import socket
import threading
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest
from cryptography import x509
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from prometheus_client import CollectorRegistry

from juki.domain.errors import JukiError, Reason
from juki.rpc.channel import ChannelSettings, open_channel
from juki.rpc.errors import reason_of
from juki.rpc.health import HealthMonitor, HealthReportServicer
from juki.rpc.identity import IdentityKind
from juki.rpc.interceptors import OpenCalls, interceptor_chain
from juki.rpc.interceptors.errors import ErrorInterceptor
from juki.rpc.interceptors.identity import IdentityInterceptor
from juki.rpc.interceptors.message import MessageInterceptor
from juki.rpc.interceptors.metrics import MetricsInterceptor
from juki.rpc.metrics_http import serve_metrics
from juki.rpc.server import JukiServer, ServerSettings
from juki.v1 import health_pb2 as report_pb2
from tests.revocation_fixtures import NothingRevoked

PREFECTURE = "spiffe://pref22.juki.example/server"


def test_the_chain_counts_then_maps_then_identifies_then_parses() -> None:
    """Metrics outermost so that refusals are counted; errors next so that every refusal further
    in becomes a status; identity before message so that no stranger's bytes are parsed."""
    chain = interceptor_chain(
        {"a.B": {IdentityKind.AGENCY}},
        revocation=NothingRevoked(),
        open_calls=OpenCalls(NothingRevoked(), CollectorRegistry()),
        registry=CollectorRegistry(),
        maximum_message_bytes=1,
    )
    assert [type(link) for link in chain] == [
        MetricsInterceptor,
        ErrorInterceptor,
        IdentityInterceptor,
        MessageInterceptor,
    ]


def test_a_server_without_an_allow_list_refuses_to_be_built() -> None:
    with pytest.raises(JukiError) as caught:
        JukiServer(
            ServerSettings("127.0.0.1:0"),
            grpc.ssl_server_credentials([(b"", b"")]),
            {},
            health_servicer=HealthMonitor(
                {"a": lambda: None}, registry=CollectorRegistry()
            ).servicer,
            revocation=NothingRevoked(),
            registry=CollectorRegistry(),
        )
    assert caught.value.reason is Reason.CONFIGURATION_INVALID


def test_a_port_that_is_taken_is_refused(start: Callable[..., Any]) -> None:
    first = start()
    with pytest.raises(JukiError) as caught:
        start(address=f"127.0.0.1:{first.server.port}")
    assert caught.value.reason is Reason.CONFIGURATION_INVALID


def test_a_method_nobody_serves_is_counted_without_its_name(harness: Any) -> None:
    call = harness.channel(PREFECTURE).unary_unary("/juki.test.v1.ProbeService/Nonsense")
    with pytest.raises(grpc.RpcError) as caught:
        call(b"")
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
    labels = {"service": "unknown", "method": "unknown", "code": "UNIMPLEMENTED", "reason": ""}
    assert harness.registry.get_sample_value("juki_rpc_requests_total", labels) == 1
    assert b"Nonsense" not in _scrape(harness.registry)


def test_calls_are_timed(harness: Any) -> None:
    harness.stub().One(harness.request())
    labels = {"service": "juki.test.v1.ProbeService", "method": "One"}
    name = "juki_rpc_duration_seconds_count"
    assert harness.registry.get_sample_value(name, labels) == 1


def _scrape(registry: CollectorRegistry) -> bytes:
    server = serve_metrics(registry)
    try:
        url = f"http://127.0.0.1:{server.port}/metrics"
        with urllib.request.urlopen(url, timeout=10) as response:
            body: bytes = response.read()
            return body
    finally:
        server.close()


def test_metrics_are_served_on_the_loopback_address(harness: Any) -> None:
    harness.stub().One(harness.request())
    assert b"juki_rpc_requests_total{" in _scrape(harness.registry)


def test_a_metrics_port_that_is_taken_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(JukiError):
        serve_metrics(CollectorRegistry(), taken.getsockname()[1])


def test_health_is_not_serving_until_every_probe_has_passed(harness: Any) -> None:
    agency = harness.channel("spiffe://agency.juki.example/pension-service")
    stub = health_pb2_grpc.HealthStub(agency)
    request = health_pb2.HealthCheckRequest()
    assert stub.Check(request).status == health_pb2.HealthCheckResponse.NOT_SERVING
    assert harness.monitor.check_now()
    assert stub.Check(request).status == health_pb2.HealthCheckResponse.SERVING


def test_health_is_polled_since_watchers_would_hold_the_servers_threads(harness: Any) -> None:
    stub = health_pb2_grpc.HealthStub(harness.channel(PREFECTURE))
    with pytest.raises(grpc.RpcError) as caught:
        list(stub.Watch(health_pb2.HealthCheckRequest(), timeout=10))
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert harness.log.getvalue() == ""


def test_the_health_of_an_unknown_service_is_not_found_and_counted(harness: Any) -> None:
    stub = health_pb2_grpc.HealthStub(harness.channel(PREFECTURE))
    with pytest.raises(grpc.RpcError) as caught:
        stub.Check(health_pb2.HealthCheckRequest(service="nonsense"))
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    labels = {
        "service": "grpc.health.v1.Health",
        "method": "Check",
        "code": "NOT_FOUND",
        "reason": "",
    }
    assert harness.registry.get_sample_value("juki_rpc_requests_total", labels) == 1


def test_the_contracts_are_not_told_unless_configured(harness: Any) -> None:
    stub = reflection_pb2_grpc.ServerReflectionStub(harness.channel(PREFECTURE))
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    with pytest.raises(grpc.RpcError) as caught:
        list(stub.ServerReflectionInfo(iter([request])))
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_the_contracts_are_told_to_those_configured_only(start: Callable[..., Any]) -> None:
    harness = start(reflection_callers=frozenset({IdentityKind.PREFECTURE_SERVER}))
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    stub = reflection_pb2_grpc.ServerReflectionStub(harness.channel(PREFECTURE))
    (response,) = stub.ServerReflectionInfo(iter([request]))
    names = [service.name for service in response.list_services_response.service]
    assert "juki.test.v1.ProbeService" in names
    agency = harness.channel("spiffe://agency.juki.example/pension-service")
    stub = reflection_pb2_grpc.ServerReflectionStub(agency)
    with pytest.raises(grpc.RpcError) as caught:
        list(stub.ServerReflectionInfo(iter([request])))
    assert reason_of(caught.value) is Reason.IDENTITY_NOT_PERMITTED


def test_a_stopping_server_lets_running_calls_finish(harness: Any) -> None:
    running = threading.Event()
    go_on = threading.Event()

    def work(_: grpc.ServicerContext) -> None:
        running.set()
        go_on.wait(10)

    harness.probe.actions["work"] = work
    call = harness.stub().One.future(harness.request("work"))
    assert running.wait(10)
    stopper = threading.Thread(target=harness.server.stop, args=(10,))
    stopper.start()
    go_on.set()
    assert call.result(timeout=10).word == "work"
    stopper.join(10)
    assert not stopper.is_alive()


def test_streams_that_never_end_leave_threads_for_everybody_else(harness: Any) -> None:
    """Of eight threads six may be held by streams, and two by one caller's."""
    end = threading.Event()
    stubs = [harness.stub(f"spiffe://pref{number}.juki.example/server") for number in range(21, 25)]

    def refused(stub: Any) -> Reason | None:
        with pytest.raises(grpc.RpcError) as caught:
            next(stub.Exchange(iter([harness.request("no")])))
        return reason_of(caught.value)

    calls = []
    try:
        for stub in stubs[:3]:
            for _ in range(2):
                calls.append(stub.Exchange(_first_then_silence(harness, end)))
                assert next(calls[-1]).word == "begin"
            assert refused(stub) is Reason.OVERLOADED
        assert refused(stubs[3]) is Reason.OVERLOADED
        assert stubs[3].One(harness.request("still")).word == "still"
    finally:
        end.set()
    for call in calls:
        assert list(call) == []
    assert next(stubs[3].Exchange(iter([harness.request("again")]))).word == "again"


def _first_then_silence(harness: Any, end: threading.Event) -> Iterator[Any]:
    yield harness.request("begin")
    end.wait(20)


def test_a_channel_tries_again_while_the_peer_is_unavailable(harness: Any) -> None:
    attempts: list[int] = []

    def fail_twice(_: grpc.ServicerContext) -> None:
        attempts.append(1)
        if len(attempts) < 3:
            raise JukiError(Reason.STORE_UNAVAILABLE, "not yet")

    harness.probe.actions["flaky"] = fail_twice
    key, chain = harness.authority.leaf(x509.UniformResourceIdentifier(PREFECTURE))
    credentials = grpc.ssl_channel_credentials(harness.authority.certificate(), key, chain)
    settings = ChannelSettings(first_backoff_seconds=0.01, maximum_backoff_seconds=0.05)
    address = f"127.0.0.1:{harness.server.port}"
    with open_channel(address, "national.juki.example", credentials, settings) as channel:
        stub = harness.services.ProbeServiceStub(channel)
        assert stub.One(harness.request("flaky")).word == "flaky"
    assert len(attempts) == 3


def _monitor(probes: dict[str, Callable[[], None]], **settings: Any) -> tuple[Any, Any]:
    registry = CollectorRegistry()
    return HealthMonitor(probes, registry=registry, **settings), registry


def test_one_failing_probe_is_enough_not_to_serve() -> None:
    broken = threading.Event()
    broken.set()

    def sign() -> None:
        if broken.is_set():
            raise OSError("token gone")

    monitor, registry = _monitor({"sign": sign, "read": lambda: None})
    assert not monitor.serving
    assert not monitor.check_now()
    assert registry.get_sample_value("juki_health", {"check": "sign"}) == 0
    assert registry.get_sample_value("juki_health", {"check": "read"}) == 1
    broken.clear()
    assert monitor.check_now()
    assert registry.get_sample_value("juki_health", {"check": "sign"}) == 1


def test_a_probe_that_hangs_fails_and_is_not_started_on_top_of_itself() -> None:
    release = threading.Event()
    starts: list[int] = []

    def hang() -> None:
        starts.append(1)
        release.wait(30)

    monitor, _ = _monitor({"write": hang, "read": lambda: None}, deadline_seconds=0.05)
    assert not monitor.check_now()
    assert not monitor.check_now()
    assert len(starts) == 1
    assert [(r.name, r.passed) for r in monitor.results()] == [("write", False), ("read", True)]
    release.set()


def test_a_monitor_checks_in_the_background_until_stopped() -> None:
    rounds = threading.Semaphore(0)
    monitor, _ = _monitor({"write": lambda: rounds.release(1)}, interval_seconds=0.01)
    monitor.start()
    for _ in range(3):
        assert rounds.acquire(timeout=10)
    monitor.stop()
    assert monitor.serving


def test_nothing_checked_is_not_health() -> None:
    with pytest.raises(JukiError):
        _monitor({})


def test_the_report_names_each_check() -> None:
    monitor, _ = _monitor({"sign": lambda: None})
    monitor.check_now()
    servicer = HealthReportServicer(monitor)
    report = servicer.GetHealthReport(report_pb2.GetHealthReportRequest(), None)  # type: ignore[arg-type]
    assert report.serving
    assert [(check.name, check.passed) for check in report.checks] == [("sign", True)]
