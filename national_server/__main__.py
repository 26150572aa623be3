"""Composition root of the national server: `python -m national_server --config FILE`."""

from __future__ import annotations

import argparse
import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from prometheus_client import CollectorRegistry

from juki.config import load_config
from juki.custody.client import CustodyClient
from juki.custody.port import INDIVIDUAL_NUMBER
from juki.custody.tls import server_credentials
from juki.log import configure_logging
from juki.process import announce_ready, stop_all, wait_for_stop
from juki.register.data_key import open_sealer
from juki.register.disputes import DisputeBook
from juki.register.intake import Committed, NotificationIntake
from juki.register.persons import PersonRegister
from juki.register.probes import register_probes
from juki.register.returns import ReturnBox
from juki.register.service import IntakeMetrics, NotificationIntakeServicer
from juki.register.signers import SignerDirectory
from juki.rpc.call import current_request_id
from juki.rpc.health import HealthMonitor, HealthReportServicer
from juki.rpc.identity import IdentityKind
from juki.rpc.metrics_http import serve_metrics
from juki.rpc.names import gateway_identity, national_identity
from juki.rpc.server import EVERY_KIND, JukiServer, ServerSettings
from juki.store.engine import migrate, open_engine
from juki.v1 import codes_pb2_grpc, health_pb2_grpc, intake_pb2_grpc
from national_server.callers import check_caller, recipient
from national_server.code_pool import CodePool
from national_server.codes_service import CodeServicer, NationalCodeRegistry
from national_server.config import NationalConfiguration
from national_server.numbers import NumberMaker
from national_server.reports import GovernorReports

PREFECTURES = frozenset({IdentityKind.PREFECTURE_SERVER})


def main() -> None:
    """Builds every part, serves until SIGTERM, and ends in good order."""
    parser = argparse.ArgumentParser(prog="national_server", description=__doc__)
    parser.add_argument("--config", type=Path, required=True)
    configure_logging(request_id=current_request_id)
    config = load_config(parser.parse_args().config, NationalConfiguration)
    registry = CollectorRegistry()
    roots_pem = config.roots_pem.read_bytes()
    roots = [
        certificate.public_bytes(Encoding.DER)
        for certificate in x509.load_pem_x509_certificates(roots_pem)
    ]
    custody = CustodyClient(config.custody_socket)
    engine = open_engine(config.database_url)
    migrate(engine, "national")
    sealer = open_sealer(engine, custody)
    signers = SignerDirectory(roots, lambda: datetime.datetime.now(datetime.UTC))
    signers.load(engine)
    returns = ReturnBox(engine)
    intake = NotificationIntake(
        engine=engine,
        sealer=sealer,
        custody=custody,
        signers=signers,
        register=PersonRegister(sealer, NationalCodeRegistry()),
        disputes=DisputeBook(),
        issuer=national_identity(config.trust_domain),
        identity_of=lambda municipality: gateway_identity(municipality, config.trust_domain),
        deliver=GovernorReports(returns).deliver,
    )

    def wake_followers(committed: Committed) -> None:
        if committed.reports:
            returns.wake()

    intake.on_commit(wake_followers)
    monitor = HealthMonitor(register_probes(engine, custody), registry=registry)
    server = JukiServer(
        ServerSettings(
            config.listen_address,
            worker_threads=config.worker_threads,
            trust_domain=config.trust_domain,
        ),
        server_credentials(custody, roots_pem),
        {
            "juki.v1.NotificationIntakeService": PREFECTURES,
            "juki.v1.CodeService": PREFECTURES,
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
            check_caller=check_caller,
            recipient_of=recipient,
        ),
        server.grpc_server,
    )
    codes_pb2_grpc.add_CodeServiceServicer_to_server(
        CodeServicer(
            CodePool(engine, sealer, custody.random),
            NumberMaker(engine, sealer, lambda messages: custody.mac(INDIVIDUAL_NUMBER, messages)),
            check_caller,
            registry,
        ),
        server.grpc_server,
    )
    health_pb2_grpc.add_HealthReportServiceServicer_to_server(
        HealthReportServicer(monitor), server.grpc_server
    )
    metrics = serve_metrics(registry, config.metrics_port)
    server.start()
    monitor.check_now()
    monitor.start()
    announce_ready(port=server.port, metrics_port=metrics.port, serving=monitor.serving)
    wait_for_stop()
    stop_all([monitor.stop, server.stop, metrics.close])


if __name__ == "__main__":
    main()
