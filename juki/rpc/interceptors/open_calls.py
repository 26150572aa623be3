"""Open streams: how many there may be, and the end of those whose caller has been revoked since."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import grpc
from prometheus_client import CollectorRegistry, Counter

from juki.domain.errors import JukiError, Reason
from juki.rpc.identity import Caller
from juki.rpc.revocation_check import RevocationCheck

_GRACE_SECONDS: Final = 1.5
"""So long a stream has to end with its reason; then it is cancelled without one."""


class OpenCalls:
    """Streams under way; `sweep` cuts those whose callers may not be served any more.

    A handler that is about to answer, to read, or to ask whether the call is active ends with the
    reason. One that waits for a client which sends nothing, or takes nothing off, is cancelled.
    """

    def __init__(
        self,
        revocation: RevocationCheck,
        registry: CollectorRegistry,
        monotonic: Callable[[], float] = time.monotonic,
        *,
        most: int = 12,
        most_of_one: int = 4,
    ) -> None:
        """`most` streams are open at once, `most_of_one` of them by one identity.

        Each holds a thread: no caller, and not all of them together, may take every thread there
        is.
        """
        self._most = most
        self._most_of_one = most_of_one
        self._revocation = revocation
        self._monotonic = monotonic
        self._open: set[OpenCall] = set()
        self._lock = threading.Lock()
        self._cut = Counter(
            "juki_streams_cut_total",
            "Open streams ended because the caller may not be served any more, by reason.",
            ("reason",),
            registry=registry,
        )

    @contextmanager
    def opened(self, context: grpc.ServicerContext, caller: Caller) -> Iterator[OpenCall]:
        """Keeps a stream under watch for the block.

        Raises:
            JukiError: OVERLOADED where the caller, or everybody together, has as many as may be.
        """
        one = OpenCall(context, caller)
        with self._lock:
            own = sum(other.caller.identity == caller.identity for other in self._open)
            if own >= self._most_of_one or len(self._open) >= self._most:
                raise JukiError(Reason.OVERLOADED, "too many streams are open")
            self._open.add(one)
        try:
            yield one
        finally:
            with self._lock:
                self._open.discard(one)

    def sweep(self) -> None:
        """Asks for every open stream again; to be called at each new list and every second."""
        with self._lock:
            under_way = list(self._open)
        for one in under_way:
            if one.refusal is not None:
                if self._monotonic() - one.cut_at > _GRACE_SECONDS:
                    one.context.cancel()  # type: ignore[no-untyped-call]
                continue
            try:
                self._revocation.refuse_caller(
                    one.caller.certificate, one.caller.identity.uri, must_be_fresh=True
                )
            except JukiError as error:
                one.cut_at, one.refusal = self._monotonic(), error
                self._cut.labels(error.reason).inc()


class OpenCall:
    """One stream under way."""

    def __init__(self, context: grpc.ServicerContext, caller: Caller) -> None:
        self.context: grpc.ServicerContext = context
        self.caller = caller
        self.refusal: JukiError | None = None
        """Why it is to end."""
        self.cut_at = 0.0

    def refuse_cut(self) -> None:
        """Raises why the stream is to end, if it is."""
        if self.refusal is not None:
            raise self.refusal

    def requests(self, requests: Iterator[Any]) -> Iterator[Any]:
        """The requests, until the stream is cut."""
        for request in requests:
            self.refuse_cut()
            yield request

    def seen_by_handler(self) -> Any:
        """The call's context, which is no longer active once the stream is cut."""
        return _Context(self)


class _Context:
    def __init__(self, call: OpenCall) -> None:
        self._call = call

    def __getattr__(self, name: str) -> Any:
        return getattr(self._call.context, name)

    def is_active(self) -> bool:
        return self._call.refusal is None and self._call.context.is_active()
