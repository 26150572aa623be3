"""What is known of the call being served; follows it through interceptors, handler and logs.

grpcio runs every step of one call in the same `contextvars.Context`, response iterators included,
so a context variable set at its start is seen to its end and by no other call. Threads that a
handler starts itself do not see it.
"""

from __future__ import annotations

import re
import secrets
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Protocol, cast

import grpc

from juki.domain.errors import JukiError, Reason
from juki.rpc.identity import Identity

REQUEST_ID_METADATA = "juki-request-id"
"""Metadata key under which a caller may hand on the request id it works under."""

_PASSED_ON_SECONDS = 60.0
_REQUEST_ID = re.compile(r"[0-9a-f]{16,64}\Z")


@dataclass(frozen=True, slots=True)
class MethodName:
    """Full service name and method, `juki.v1.HealthReportService` and `GetHealthReport`."""

    service: str
    method: str

    @classmethod
    def parse(cls, path: str) -> MethodName:
        """Reads the form of the wire, `/service/method`."""
        service, _, method = path.removeprefix("/").rpartition("/")
        return cls(service, method)

    def __str__(self) -> str:
        return f"{self.service}/{self.method}"


@dataclass(slots=True)
class Call:
    """One call while it is served."""

    name: MethodName
    context: grpc.ServicerContext
    identity: Identity | None = None
    """Set once the allow-list has let the caller pass."""
    code: grpc.StatusCode = grpc.StatusCode.OK
    reason: Reason | None = None
    """Why it was refused."""
    _request_id: str | None = None

    @property
    def request_id(self) -> str:
        """The caller's request id if it sent a well-formed one, otherwise a random one.

        Made when first asked for: most calls log nothing.
        """
        if self._request_id is None:
            self._request_id = self._received_request_id() or secrets.token_hex(16)
        return self._request_id

    def _received_request_id(self) -> str | None:
        metadata: Any = self.context.invocation_metadata() or ()
        for key, value in metadata:
            if key == REQUEST_ID_METADATA and isinstance(value, str) and _REQUEST_ID.match(value):
                return value
        return None


class _HasCode(Protocol):
    def code(self) -> grpc.StatusCode | None: ...


def code_of(context: grpc.ServicerContext) -> grpc.StatusCode | None:
    """The status a handler has set so far; the type stubs of grpcio lack `code`."""
    return cast(_HasCode, context).code()


_current: ContextVar[Call | None] = ContextVar("juki_call", default=None)


def begin_call(name: MethodName, context: grpc.ServicerContext) -> Call:
    """Makes the call the current one; done once, by the outermost interceptor."""
    call = Call(name, context)
    _current.set(call)
    return call


def current_call() -> Call:
    """The call being served. Raises `JukiError(INTERNAL)` outside of one."""
    call = _current.get()
    if call is None:
        raise JukiError(Reason.INTERNAL, "no call is being served here")
    return call


def current_identity() -> Identity:
    """Who is calling. Raises `JukiError(INTERNAL)` where no allow-list has let anyone pass."""
    identity = current_call().identity
    if identity is None:
        raise JukiError(Reason.INTERNAL, "the caller has not been identified")
    return identity


def current_request_id() -> str | None:
    """The request id for log lines; None outside of a call."""
    call = _current.get()
    return None if call is None else call.request_id


def seconds_left(context: grpc.ServicerContext) -> float:
    """Seconds that the caller still waits, at most the limit of a call that is passed on."""
    remaining = context.time_remaining()
    return _PASSED_ON_SECONDS if remaining is None else min(_PASSED_ON_SECONDS, remaining)
