"""The last step of every server's start: health report, metrics, and answering."""

from __future__ import annotations

from contextlib import ExitStack

from prometheus_client import CollectorRegistry

from juki.rpc.health import HealthMonitor, HealthReportServicer
from juki.rpc.metrics_http import serve_metrics
from juki.rpc.server import JukiServer
from juki.v1 import health_pb2_grpc

HEALTH_REPORT_SERVICE = "juki.v1.HealthReportService"


def start_serving(
    stack: ExitStack,
    server: JukiServer,
    monitor: HealthMonitor,
    registry: CollectorRegistry,
    metrics_port: int,
) -> dict[str, object]:
    """Starts a server to which every service has been added; the stack stops it.

    Returns what the ready line tells: ports, and whether every probe has just passed.
    """
    health_pb2_grpc.add_HealthReportServiceServicer_to_server(
        HealthReportServicer(monitor), server.grpc_server
    )
    metrics = serve_metrics(registry, metrics_port)
    stack.callback(metrics.close)
    server.start()
    stack.callback(server.stop)
    monitor.check_now()
    monitor.start()
    stack.callback(monitor.stop)
    return {"port": server.port, "metrics_port": metrics.port, "serving": monitor.serving}
