"""Composition root of the gateway process: `python -m cs_gateway --config cs.toml`."""

from __future__ import annotations

import datetime
import random
import sys
from contextlib import ExitStack
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from prometheus_client import CollectorRegistry
from sqlalchemy import Engine

from cs_gateway.config import GatewayConfiguration
from cs_gateway.drop_folder import DropFolder
from cs_gateway.drop_store import DropStore
from cs_gateway.gateway import Gateway, GatewayOptions
from cs_gateway.probes import gateway_probes
from cs_gateway.receipts import CertifiedReceipts
from cs_gateway.replenishment import PoolMarks
from cs_gateway.service import ALLOWED_CALLERS, RAW_METHODS, SERVICE, RegisterService
from cs_gateway.upstream import PrefectureClient
from juki.custody.client import CustodyClient
from juki.custody.tls import channel_credentials, server_credentials
from juki.domain.codes import LocalGovernmentCode
from juki.process import run_server
from juki.rpc.channel import open_channel
from juki.rpc.health import HealthMonitor, HealthReportServicer
from juki.rpc.metrics_http import serve_metrics
from juki.rpc.server import EVERY_KIND, JukiServer, ServerSettings
from juki.store.engine import migrate, now_microseconds, open_engine
from juki.v1 import health_pb2_grpc, register_pb2_grpc


@dataclass(frozen=True, slots=True)
class GatewayParts:
    """Real objects behind the gateway's ports."""

    options: GatewayOptions
    custody: CustodyClient
    engine: Engine
    upstream: PrefectureClient
    verify: CertifiedReceipts
    roots_pem: bytes


def open_parts(config: GatewayConfiguration, stack: ExitStack) -> GatewayParts:
    """Opens custody, database (migrated) and the channel to the prefecture; `stack` closes them."""
    roots_pem = config.roots_pem.read_bytes()
    roots = [
        certificate.public_bytes(Encoding.DER)
        for certificate in x509.load_pem_x509_certificates(roots_pem)
    ]
    custody = stack.enter_context(CustodyClient(config.custody_socket))
    engine = open_engine(config.database_url)
    stack.callback(engine.dispose)
    migrate(engine, "gateway")
    channel = open_channel(
        config.upstream.address,
        config.upstream.server_name,
        channel_credentials(custody, roots_pem),
    )
    stack.callback(channel.close)
    return GatewayParts(
        options=GatewayOptions(
            municipality=LocalGovernmentCode(config.municipality),
            trust_domain=config.trust_domain,
            wards=config.wards,
            marks=PoolMarks(config.low_water, config.target),
        ),
        custody=custody,
        engine=engine,
        upstream=PrefectureClient(channel),
        verify=CertifiedReceipts(roots, lambda: datetime.datetime.now(datetime.UTC)),
        roots_pem=roots_pem,
    )


def serve(config: GatewayConfiguration, stack: ExitStack) -> dict[str, object]:
    """Builds and starts every part; each is stopped by the stack, the last one first."""
    registry = CollectorRegistry()
    parts = open_parts(config, stack)
    gateway = Gateway(
        parts.options,
        engine=parts.engine,
        custody=parts.custody,
        upstream=parts.upstream,
        verify=parts.verify,
        registry=registry,
        clock=now_microseconds,
        choices=random.SystemRandom(),
    )
    if config.drop_folder is not None:
        folder = DropFolder(
            config.drop_folder.directory,
            gateway.intake,
            DropStore(gateway.store),
            now_microseconds,
        )
        gateway.watch(folder, config.drop_folder.poll_seconds)
    health = HealthMonitor(gateway_probes(gateway.store, gateway.signer), registry=registry)
    server = JukiServer(
        ServerSettings(
            address=config.listen_address,
            worker_threads=config.worker_threads,
            raw=RAW_METHODS,
            trust_domain=config.trust_domain,
        ),
        server_credentials(parts.custody, parts.roots_pem),
        {SERVICE: ALLOWED_CALLERS, "juki.v1.HealthReportService": EVERY_KIND},
        health_servicer=health.servicer,
        registry=registry,
    )
    service = RegisterService(
        parts.options.municipality,
        gateway.store,
        gateway.intake,
        gateway.progress,
    )
    register_pb2_grpc.add_ResidentRegisterServiceServicer_to_server(service, server.grpc_server)
    health_pb2_grpc.add_HealthReportServiceServicer_to_server(
        HealthReportServicer(health), server.grpc_server
    )
    metrics = serve_metrics(registry, config.metrics_port)
    stack.callback(metrics.close)
    gateway.start()
    stack.callback(gateway.close)
    server.start()
    stack.callback(server.stop)
    stack.callback(service.close)
    health.start()
    stack.callback(health.stop)
    host = config.listen_address.rpartition(":")[0]
    return {"address": f"{host}:{server.port}", "metrics": f"127.0.0.1:{metrics.port}"}


if __name__ == "__main__":
    sys.exit(run_server("cs_gateway", GatewayConfiguration, serve))
