"""Counts and times every call, refusals by reason; begins the call's record.

Labels are bounded: names of registered methods, the 17 status codes and our reasons. What a TLS
handshake refuses never comes here; that is counted by nobody in this process.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import grpc
from prometheus_client import CollectorRegistry, Counter, Histogram

from juki.rpc.call import Call, MethodName, begin_call, code_of
from juki.rpc.interceptors.wrapping import (
    Handler,
    WrappingInterceptor,
    behaviour_of,
    with_behaviour,
)

_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_UNKNOWN = "unknown"


class MetricsInterceptor(WrappingInterceptor):
    """`juki_rpc_requests_total{service,method,code,reason}`, `juki_rpc_duration_seconds{…}`.

    A call whose response stream the client leaves early counts as CANCELLED; a stream's duration
    runs from its first step to its last.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__()
        self._requests = Counter(
            "juki_rpc_requests_total",
            "Calls answered, by status code and reason of refusal.",
            ("service", "method", "code", "reason"),
            registry=registry,
        )
        self._duration = Histogram(
            "juki_rpc_duration_seconds",
            "Duration of calls in seconds, from handler start to the last response.",
            ("service", "method"),
            buckets=_BUCKETS,
            registry=registry,
        )

    def unknown_method(self) -> None:
        self._requests.labels(_UNKNOWN, _UNKNOWN, "UNIMPLEMENTED", "").inc()

    def wrap(self, name: MethodName, handler: Handler) -> Handler:
        behaviour = behaviour_of(handler)
        duration = self._duration.labels(name.service, name.method)
        succeeded = self._requests.labels(name.service, name.method, "OK", "")

        def finish(call: Call, started: float) -> None:
            duration.observe(time.perf_counter() - started)
            # A handler may also set a code and return, as the standard health service does.
            code = code_of(call.context) if call.code is grpc.StatusCode.OK else call.code
            if code is None or code is grpc.StatusCode.OK:
                succeeded.inc()
                return
            self._requests.labels(name.service, name.method, code.name, call.reason or "").inc()

        def unary(request: Any, context: grpc.ServicerContext) -> Any:
            started = time.perf_counter()
            call = begin_call(name, context)
            try:
                return behaviour(request, context)
            finally:
                finish(call, started)

        def stream(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
            started = time.perf_counter()
            call = begin_call(name, context)
            try:
                yield from behaviour(request, context)
            except GeneratorExit:
                call.code = grpc.StatusCode.CANCELLED
                raise
            finally:
                finish(call, started)

        return with_behaviour(handler, stream if handler.response_streaming else unary)
