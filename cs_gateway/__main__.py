"""Composition root of the gateway process: `python -m cs_gateway --config cs.toml`."""

from __future__ import annotations

import datetime
import random
import sys
from contextlib import ExitStack
from dataclasses import dataclass

import grpc
from prometheus_client import CollectorRegistry
from sqlalchemy import Engine

from cs_gateway.config import GatewayConfiguration
from cs_gateway.covered import SECTIONS
from cs_gateway.drop_folder import DropFolder
from cs_gateway.drop_store import DropStore
from cs_gateway.gateway import Gateway, GatewayOptions
from cs_gateway.probes import gateway_probes
from cs_gateway.receipts import CertifiedReceipts
from cs_gateway.replenishment import PoolMarks
from cs_gateway.service import ALLOWED_CALLERS, RAW_METHODS, SERVICE, RegisterService
from cs_gateway.tables import DATA_KEY, REGISTER_ROOT
from cs_gateway.upstream import PrefectureClient
from juki.custody.client import CustodyClient
from juki.custody.roots import Roots, load_roots
from juki.domain.codes import LocalGovernmentCode
from juki.process import run_server
from juki.register.keeping import checkpoint_signing
from juki.register.signers import SignerDirectory
from juki.revocation.running import Revocation
from juki.rpc.custody_channel import open_custody_channel
from juki.rpc.health import HealthMonitor
from juki.rpc.names import prefecture_identity
from juki.rpc.server import EVERY_KIND, JukiServer, ServerSettings
from juki.rpc.serving import HEALTH_REPORT_SERVICE, start_serving
from juki.rpc.tls_ending import listening
from juki.store.engine import migrate, now_microseconds, open_engine
from juki.store.keeping import keep_register
from juki.store.rewrapping import start_rewrapping
from juki.store.verification import RootedDatabase
from juki.v1 import register_pb2_grpc


@dataclass(frozen=True, slots=True)
class GatewayParts:
    """Real objects behind the gateway's ports."""

    options: GatewayOptions
    custody: CustodyClient
    engine: Engine
    channel: grpc.Channel
    """To the prefecture."""
    upstream: PrefectureClient
    roots: Roots


def open_parts(config: GatewayConfiguration, stack: ExitStack) -> GatewayParts:
    """Opens custody, database (migrated) and the channel to the prefecture; `stack` closes them."""
    roots = load_roots(config.roots_pem)
    custody = stack.enter_context(CustodyClient(config.custody_socket))
    engine = open_engine(config.database_url)
    stack.callback(engine.dispose)
    migrate(engine, "gateway")
    channel = open_custody_channel(
        config.upstream.address, config.upstream.server_name, custody, roots
    )
    stack.callback(channel.close)
    return GatewayParts(
        options=GatewayOptions(
            municipality=LocalGovernmentCode(config.municipality),
            trust_domain=config.trust_domain,
            marks=PoolMarks(config.low_water, config.target),
        ),
        custody=custody,
        engine=engine,
        channel=channel,
        upstream=PrefectureClient(channel),
        roots=roots,
    )


def serve(config: GatewayConfiguration, stack: ExitStack) -> dict[str, object]:
    """Builds and starts every part; each is stopped by the stack, the last one first."""
    registry = CollectorRegistry()
    parts = open_parts(config, stack)
    revocation = Revocation(
        engine=parts.engine,
        roots_der=parts.roots.der,
        clock=_utc_now,
        registry=registry,
    )
    channel = revocation.follow(
        parts.channel, prefecture_identity(config.municipality[:2], config.trust_domain)
    )
    gateway = Gateway(
        parts.options,
        engine=parts.engine,
        custody=parts.custody,
        upstream=PrefectureClient(channel),
        verify=CertifiedReceipts(SignerDirectory(parts.roots.der, _utc_now, revocation.book)),
        registry=registry,
        clock=now_microseconds,
        choices=random.SystemRandom(),
    )
    keeper = keep_register(
        stack,
        RootedDatabase(parts.engine, gateway.store.sealer, REGISTER_ROOT, SECTIONS),
        gateway.store.sealing,
        config.register_root,
        signing=checkpoint_signing(parts.custody),
        registry=registry,
    )
    if config.drop_folder is not None:
        folder = DropFolder(
            config.drop_folder.directory,
            gateway.intake,
            DropStore(gateway.store),
            now_microseconds,
        )
        gateway.watch(folder, config.drop_folder.poll_seconds)
    own_host = f"pref{config.municipality[:2]}.{config.trust_domain}"
    probes = {
        **gateway_probes(gateway.store, gateway.signer, gateway.writer),
        "root": keeper.check,
        "revocation": revocation.probe(own_host),
    }
    monitor = HealthMonitor(probes, registry=registry)
    server = JukiServer(
        ServerSettings(
            address=config.listen_address,
            worker_threads=config.worker_threads,
            raw=RAW_METHODS,
            trust_domain=config.trust_domain,
        ),
        listening(config.tls, parts.custody, parts.roots),
        {SERVICE: ALLOWED_CALLERS, HEALTH_REPORT_SERVICE: EVERY_KIND},
        health_servicer=monitor.servicer,
        revocation=revocation.book,
        registry=registry,
    )
    service = RegisterService(
        parts.options.municipality,
        gateway.store,
        gateway.intake,
        gateway.progress,
    )
    register_pb2_grpc.add_ResidentRegisterServiceServicer_to_server(service, server.grpc_server)
    revocation.start(stack, server)
    gateway.start()
    stack.callback(gateway.close)
    start_rewrapping(stack, parts.engine, DATA_KEY.c.wrapped, parts.custody)
    facts = start_serving(stack, server, monitor, registry, config.metrics_port)
    stack.callback(service.close)
    return facts


def _utc_now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


if __name__ == "__main__":
    sys.exit(run_server("cs_gateway", GatewayConfiguration, serve))
