"""A channel that goes over to a new connection when its certificate or the roots have changed.

grpc fixes a channel's credentials when it is made. So behind this channel there is another one,
replaced by a new one, already connected, while calls go on; the old one is closed when the last of
its calls has ended. Where no new connection can be made the old one stays in use.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Hashable
from typing import Any

import grpc

from juki.domain.errors import JukiError

LOOK_AGAIN_SECONDS = 2.0
_CONNECT_SECONDS = 10.0
DRAIN_SECONDS = 3600.0
"""After so long what still runs on an old connection, an endless stream, is cut and opened anew by
whoever reads it."""

_log = logging.getLogger(__name__)
"""The standard library's, since this runs in processes of bodies, which may print results."""


class _Inner:
    """A channel of grpc's and how many calls run on it."""

    def __init__(self, channel: grpc.Channel) -> None:
        self.channel = channel
        self.calls = 0
        self.close_at = 0.0
        self.methods: dict[_Method, Any] = {}


class RenewingChannel(grpc.Channel):
    """A `grpc.Channel` for any stubs; the caller closes it."""

    def __init__(
        self,
        open_inner: Callable[[], grpc.Channel],
        version: Callable[[], Hashable],
        *,
        look_again_seconds: float = LOOK_AGAIN_SECONDS,
        drain_seconds: float = DRAIN_SECONDS,
    ) -> None:
        """`version` tells by its value whether what `open_inner` opens would differ.

        Raises what either raises: a channel that cannot be made at first is not made.
        """
        self._open_inner = open_inner
        self._version = version
        self._look_again_seconds = look_again_seconds
        self._drain_seconds = drain_seconds
        self._lock = threading.Lock()
        self._opened_version = version()
        self._inner = _Inner(open_inner())
        self._old: list[_Inner] = []
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="channel-renewal", daemon=True)
        self._thread.start()

    def unary_unary(self, *arguments: Any, **options: Any) -> Any:
        """See `grpc.Channel`."""
        return _UnaryResponse(self, lambda channel: channel.unary_unary(*arguments, **options))

    def stream_unary(self, *arguments: Any, **options: Any) -> Any:
        """See `grpc.Channel`."""
        return _UnaryResponse(self, lambda channel: channel.stream_unary(*arguments, **options))

    def unary_stream(self, *arguments: Any, **options: Any) -> Any:
        """See `grpc.Channel`."""
        return _StreamResponse(self, lambda channel: channel.unary_stream(*arguments, **options))

    def stream_stream(self, *arguments: Any, **options: Any) -> Any:
        """See `grpc.Channel`."""
        return _StreamResponse(self, lambda channel: channel.stream_stream(*arguments, **options))

    def subscribe(self, *arguments: Any, **options: Any) -> None:
        """See `grpc.Channel`; of the connection in use now."""
        self._inner.channel.subscribe(*arguments, **options)

    def unsubscribe(self, *arguments: Any, **options: Any) -> None:
        """See `grpc.Channel`."""
        self._inner.channel.unsubscribe(*arguments, **options)

    def close(self) -> None:
        """Ends every call and closes every connection."""
        self._closing.set()
        with self._lock:
            inner = [self._inner, *self._old]
        for one in inner:
            one.channel.close()

    def __enter__(self) -> RenewingChannel:
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        self.close()

    def begin_call(self) -> _Inner:
        """The connection to call on, kept open until `end_call`."""
        with self._lock:
            inner = self._inner
            inner.calls += 1
            return inner

    def end_call(self, inner: _Inner) -> None:
        """Says that a call has ended."""
        with self._lock:
            inner.calls -= 1

    def _watch(self) -> None:
        while not self._closing.wait(self._look_again_seconds):
            try:
                self._renew()
            except Exception as error:  # whatever it is, the connection in use goes on being used
                reason = error.reason if isinstance(error, JukiError) else type(error).__name__
                _log.warning("channel not renewed: %s", reason)
            self._close_what_has_ended()

    def _renew(self) -> None:
        version = self._version()
        if version == self._opened_version:
            return
        fresh = _Inner(self._open_inner())
        try:
            grpc.channel_ready_future(fresh.channel).result(timeout=_CONNECT_SECONDS)
        except BaseException:
            fresh.channel.close()
            raise
        with self._lock:
            old, self._inner = self._inner, fresh
            old.close_at = time.monotonic() + self._drain_seconds
            self._old.append(old)
            self._opened_version = version
        if self._closing.is_set():  # closed meanwhile
            fresh.channel.close()
        _log.info("channel renewed")

    def _close_what_has_ended(self) -> None:
        now = time.monotonic()
        with self._lock:
            ended = [one for one in self._old if one.calls == 0 or now >= one.close_at]
            self._old = [one for one in self._old if one not in ended]
        for one in ended:
            one.channel.close()


class _Method:
    """A method of a service, on whichever connection is in use when it is called."""

    def __init__(self, outer: RenewingChannel, make: Callable[[grpc.Channel], Any]) -> None:
        self._outer = outer
        self._make = make

    def _on(self, inner: _Inner) -> Any:
        method = inner.methods.get(self)
        if method is None:
            method = inner.methods[self] = self._make(inner.channel)
        return method

    def _begin(self, start: Callable[[Any], Any]) -> Any:
        """A call that goes on after this returns."""
        inner = self._outer.begin_call()
        try:
            call = start(self._on(inner))
        except BaseException:
            self._outer.end_call(inner)
            raise
        if not call.add_callback(lambda: self._outer.end_call(inner)):
            self._outer.end_call(inner)
        return call


class _UnaryResponse(_Method):
    """Of methods with one response: the forms of grpc's own multi-callables."""

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        inner = self._outer.begin_call()
        try:
            return self._on(inner)(*arguments, **options)
        finally:
            self._outer.end_call(inner)

    def with_call(self, *arguments: Any, **options: Any) -> Any:
        inner = self._outer.begin_call()
        try:
            return self._on(inner).with_call(*arguments, **options)
        finally:
            self._outer.end_call(inner)

    def future(self, *arguments: Any, **options: Any) -> Any:
        return self._begin(lambda method: method.future(*arguments, **options))


class _StreamResponse(_Method):
    """Of methods with a stream of responses."""

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        return self._begin(lambda method: method(*arguments, **options))
