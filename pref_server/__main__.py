"""Composition root of a prefectural server: `python -m pref_server --config FILE`."""

from __future__ import annotations

import argparse
import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from prometheus_client import CollectorRegistry

from juki.config import load_config
from juki.custody.client import CustodyClient
from juki.custody.tls import channel_credentials, server_credentials
from juki.log import configure_logging
from juki.process import announce_ready, stop_all, wait_for_stop
from juki.register.data_key import open_sealer
from juki.register.disputes import DisputeBook
from juki.register.intake import NotificationIntake
from juki.register.persons import PersonRegister
from juki.register.probes import register_probes
from juki.register.returns import ReturnBox
from juki.register.service import IntakeMetrics, NotificationIntakeServicer
from juki.register.signers import SignerDirectory
from juki.rpc.call import current_request_id
from juki.rpc.channel import open_channel
from juki.rpc.health import HealthMonitor, HealthReportServicer
from juki.rpc.identity import IdentityKind
from juki.rpc.metrics_http import serve_metrics
from juki.rpc.names import gateway_identity, national_identity, prefecture_identity
from juki.rpc.server import EVERY_KIND, JukiServer, ServerSettings
from juki.store.engine import migrate, open_engine
from juki.v1 import codes_pb2_grpc, health_pb2_grpc, intake_pb2_grpc
from pref_server.callers import PrefecturalCallers
from pref_server.codes import CodeForwarder
from pref_server.config import PrefecturalConfiguration
from pref_server.relay import Relay, RelayMetrics
from pref_server.returns import ReturnsFollower

GATEWAYS = frozenset({IdentityKind.CS_GATEWAY})


def main() -> None:
    """Builds every part, serves until SIGTERM, and ends in good order."""
    parser = argparse.ArgumentParser(prog="pref_server", description=__doc__)
    parser.add_argument("--config", type=Path, required=True)
    configure_logging(request_id=current_request_id)
    config = load_config(parser.parse_args().config, PrefecturalConfiguration)
    registry = CollectorRegistry()
    roots_pem = config.roots_pem.read_bytes()
    roots = [
        certificate.public_bytes(Encoding.DER)
        for certificate in x509.load_pem_x509_certificates(roots_pem)
    ]
    custody = CustodyClient(config.custody_socket)
    engine = open_engine(config.database_url)
    migrate(engine, "prefectural")
    sealer = open_sealer(engine, custody)
    signers = SignerDirectory(roots, lambda: datetime.datetime.now(datetime.UTC))
    signers.load(engine)
    returns = ReturnBox(engine)
    callers = PrefecturalCallers(config.prefecture)
    intake = NotificationIntake(
        engine=engine,
        sealer=sealer,
        custody=custody,
        signers=signers,
        register=PersonRegister(sealer),
        disputes=DisputeBook(),
        issuer=prefecture_identity(config.prefecture, config.trust_domain),
        identity_of=lambda municipality: gateway_identity(municipality, config.trust_domain),
        # The nation, which sees all claims, reports; here they are only kept.
        deliver=lambda connection, reports: None,
    )
    channel = open_channel(
        config.nation.address,
        config.nation.server_name,
        channel_credentials(custody, roots_pem),
    )
    nation = intake_pb2_grpc.NotificationIntakeServiceStub(channel)
    relay = Relay(
        engine=engine,
        sealer=sealer,
        nation=nation,
        nation_identity=national_identity(config.trust_domain),
        signers=signers,
        returns=returns,
        metrics=RelayMetrics(registry),
    )
    intake.on_commit(lambda committed: relay.wake())
    follower = ReturnsFollower(
        engine=engine, nation=nation, returns=returns, municipalities=callers.municipalities
    )
    monitor = HealthMonitor(register_probes(engine, custody), registry=registry)
    server = JukiServer(
        ServerSettings(
            config.listen_address,
            worker_threads=config.worker_threads,
            trust_domain=config.trust_domain,
        ),
        server_credentials(custody, roots_pem),
        {
            "juki.v1.NotificationIntakeService": GATEWAYS,
            "juki.v1.CodeService": GATEWAYS,
            "juki.v1.HealthReportService": EVERY_KIND,
        },
        health_servicer=monitor.servicer,
        registry=registry,
    )
    intake_pb2_grpc.add_NotificationIntakeServiceServicer_to_server(
        NotificationIntakeServicer(
            intake=intake,
            engine=engine,
            sealer=sealer,
            returns=returns,
            metrics=IntakeMetrics(registry),
            check_caller=callers.check,
            recipient_of=callers.recipient,
        ),
        server.grpc_server,
    )
    codes_pb2_grpc.add_CodeServiceServicer_to_server(
        CodeForwarder(codes_pb2_grpc.CodeServiceStub(channel), callers.check), server.grpc_server
    )
    health_pb2_grpc.add_HealthReportServiceServicer_to_server(
        HealthReportServicer(monitor), server.grpc_server
    )
    metrics = serve_metrics(registry, config.metrics_port)
    relay.start()
    follower.start()
    server.start()
    monitor.check_now()
    monitor.start()
    announce_ready(port=server.port, metrics_port=metrics.port, serving=monitor.serving)
    wait_for_stop()
    stop_all([monitor.stop, server.stop, follower.stop, relay.stop, metrics.close, channel.close])


if __name__ == "__main__":
    main()
