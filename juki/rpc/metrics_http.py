"""Serves a process's Prometheus metrics over plain HTTP, on the loopback address by default."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, start_http_server

from juki.domain.errors import JukiError, Reason


@dataclass(frozen=True, slots=True)
class MetricsServer:
    """A running metrics endpoint."""

    port: int
    """The port bound."""
    _server: WSGIServer
    _thread: threading.Thread

    def close(self) -> None:
        """Stops answering and frees the port."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def serve_metrics(
    registry: CollectorRegistry, port: int = 0, address: str = "127.0.0.1"
) -> MetricsServer:
    """Serves `registry` at `http://address:port/metrics`; port 0 takes a free one.

    Prometheus runs on the same host; nobody else is to read the figures. Raises
    `JukiError(CONFIGURATION_INVALID)` if the port is taken.
    """
    try:
        server, thread = start_http_server(port, addr=address, registry=registry)
    except OSError as error:
        raise JukiError(
            Reason.CONFIGURATION_INVALID, "the address of the metrics cannot be bound"
        ) from error
    return MetricsServer(server.server_port, server, thread)
