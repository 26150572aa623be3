"""Composition root of a prefectural server: `python -m pref_server --config FILE`."""

from __future__ import annotations

import datetime
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack

import grpc
from prometheus_client import CollectorRegistry
from sqlalchemy import Engine

from juki.audit.witness.offering import OfferedLog
from juki.audit.witness.running import Witnessing, worker_of
from juki.audit.witness.watching import LogWatcher, OwnLog
from juki.custody.client import CustodyClient
from juki.custody.port import Custody
from juki.custody.roots import load_roots
from juki.disclosure.running import add_disclosure_service
from juki.disclosure.service import DISCLOSURE_SERVICE
from juki.disclosure.words import governor
from juki.domain.legal_basis import Tier
from juki.evidence.workers import evidence_workers
from juki.lookup.running import CALLERS, Answerer, Answering
from juki.lookup.service import LOOKUP_SERVICE, RAW_METHODS
from juki.process import run_server
from juki.register.data_key import open_sealing_keys
from juki.register.disputes import DisputeBook
from juki.register.intake import NotificationIntake
from juki.register.keeping import checkpoint_signing
from juki.register.persons import PersonRegister
from juki.register.probes import register_probes
from juki.register.returns import ReturnBox
from juki.register.service import IntakeMetrics, NotificationIntakeServicer
from juki.register.signers import SignerDirectory
from juki.register.tables import data_key
from juki.revocation.running import Revocation
from juki.revocation.service import REVOCATION_SERVICE
from juki.rpc.custody_channel import open_custody_channel
from juki.rpc.health import HealthMonitor
from juki.rpc.identity import IdentityKind
from juki.rpc.names import gateway_identity, national_identity, prefecture_identity
from juki.rpc.server import EVERY_KIND, JukiServer, ServerSettings
from juki.rpc.serving import HEALTH_REPORT_SERVICE, start_serving
from juki.rpc.tls_ending import listening
from juki.server_config import PeerConfiguration
from juki.store.engine import migrate, open_engine
from juki.store.keeping import keep_register
from juki.store.rewrapping import start_rewrapping
from juki.store.sealing import Sealer
from juki.store.verification import RootedDatabase
from juki.v1 import (
    codes_pb2_grpc,
    intake_pb2_grpc,
    lookup_pb2_grpc,
    relay_pb2_grpc,
    statistics_pb2_grpc,
)
from juki.worker import Worker
from pref_server.callers import PrefecturalCallers
from pref_server.codes import CodeForwarder
from pref_server.config import PrefecturalConfiguration
from pref_server.covered import SECTIONS
from pref_server.governor_relay import RELAY_SERVICE, GovernorRelay
from pref_server.grants import GrantKeeper
from pref_server.relay import Relay, RelayMetrics
from pref_server.residents import count_residents
from pref_server.returns import ReturnsFollower
from pref_server.statistics import STATISTICS_SERVICE, Count, Statistics
from pref_server.tables import person_request_act, register_root

GATEWAYS = frozenset({IdentityKind.CS_GATEWAY})
BODIES = frozenset({IdentityKind.AGENCY})
PREFECTURES = frozenset({IdentityKind.PREFECTURE_SERVER})


def serve(config: PrefecturalConfiguration, stack: ExitStack) -> dict[str, object]:
    """Builds and starts every part; each is stopped by the stack, the last one first."""
    registry = CollectorRegistry()
    roots = load_roots(config.roots_pem)
    custody = stack.enter_context(CustodyClient(config.custody_socket))
    engine = open_engine(config.database_url)
    stack.callback(engine.dispose)
    migrate(engine, "prefectural")
    sealing = open_sealing_keys(engine, custody)
    sealer = sealing.sealer
    keeper = keep_register(
        stack,
        RootedDatabase(engine, sealer, register_root, SECTIONS),
        sealing,
        config.register_root,
        signing=checkpoint_signing(custody),
        registry=registry,
    )
    to_nation = open_custody_channel(
        config.nation.address, config.nation.server_name, custody, roots
    )
    stack.callback(to_nation.close)
    revocation = Revocation(
        engine=engine,
        roots_der=roots.der,
        clock=_utc_now,
        registry=registry,
        custody=custody,
    )
    channel = revocation.follow(to_nation, national_identity(config.trust_domain))
    signers = SignerDirectory(roots.der, _utc_now, revocation.book)
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
        evidence_algorithm=config.evidence.hash_algorithm,
    )
    nation = intake_pb2_grpc.NotificationIntakeServiceStub(channel)
    grants = GrantKeeper(
        engine=engine,
        sealer=sealer,
        nation=codes_pb2_grpc.GrantServiceStub(channel),
        nation_identity=national_identity(config.trust_domain),
        prefecture=config.prefecture,
        signers=signers,
    )
    relay = Relay(
        engine=engine,
        sealer=sealer,
        nation=nation,
        nation_identity=national_identity(config.trust_domain),
        signers=signers,
        own_certificates=intake.certificates_of,
        sign_receipt=intake.sign_receipt,
        returns=returns,
        confirm_grants=grants.confirm,
        metrics=RelayMetrics(registry),
    )
    intake.on_commit(lambda committed: relay.wake())
    own_host = f"pref{config.prefecture}.{config.trust_domain}"
    answering = None
    if config.lookups is not None:
        answering = Answering(
            stack,
            config.lookups,
            Answerer(Tier.PREFECTURAL, config.prefecture, own_host),
            engine=engine,
            sealing=sealing,
            custody=custody,
            roots_der=roots.der,
            revocation=revocation.book,
            registry=registry,
        )
        intake.on_commit(answering.follow)
    follower = ReturnsFollower(
        engine=engine, nation=nation, returns=returns, municipalities=callers.municipalities
    )
    probes = register_probes(engine, custody) | {
        "root": keeper.check,
        "revocation": revocation.probe(own_host),
    }
    if answering is not None:
        probes["audit"] = answering.audit.check
    watching = _witnessing(stack, config, custody, signers, nation=channel, registry=registry)
    probes |= {name: part.check for name, part in watching.items()}
    monitor = HealthMonitor(probes, registry=registry)
    server = JukiServer(
        ServerSettings(
            config.listen_address,
            worker_threads=config.worker_threads,
            trust_domain=config.trust_domain,
            raw=RAW_METHODS,
        ),
        listening(config.tls, custody, roots),
        {
            "juki.v1.NotificationIntakeService": GATEWAYS,
            "juki.v1.CodeService": GATEWAYS,
            REVOCATION_SERVICE: GATEWAYS | PREFECTURES,
            **(
                {}
                if answering is None
                else {
                    LOOKUP_SERVICE: CALLERS,
                    RELAY_SERVICE: BODIES,
                    DISCLOSURE_SERVICE: GATEWAYS,
                    STATISTICS_SERVICE: BODIES,
                }
            ),
            HEALTH_REPORT_SERVICE: EVERY_KIND,
        },
        health_servicer=monitor.servicer,
        revocation=revocation.book,
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
        CodeForwarder(codes_pb2_grpc.CodeServiceStub(channel), grants, callers.check),
        server.grpc_server,
    )

    def open_neighbour(code: str, peer: PeerConfiguration) -> grpc.Channel:
        to_peer = open_custody_channel(peer.address, peer.server_name, custody, roots)
        stack.callback(to_peer.close)
        return revocation.follow(to_peer, prefecture_identity(code, config.trust_domain))

    if answering is not None and config.lookups is not None:
        answering.serve(server)
        add_disclosure_service(
            stack,
            server,
            answering,
            engine=engine,
            sealer=sealer,
            tables=(person_request_act, register_root),
            name=governor(config.prefecture),
            identity=prefecture_identity(config.prefecture, config.trust_domain),
            trust_domain=config.trust_domain,
            audit_directory=config.lookups.audit_directory,
            clock=_utc_now,
            serves=lambda municipality: municipality in callers.municipalities,
        )
        _serve_bodies(
            server,
            config,
            answering,
            _counting(engine, sealer),
            _answerers(config, channel, open_neighbour),
        )
    revocation.serve(server, lambda: intake.certificates_of(()))
    revocation.start(stack, server)
    for worker in (
        *([] if answering is None else [answering.worker()]),
        *(worker_of(part, name) for name, part in watching.items()),
        Worker("relay", relay.work, wake=relay.wake, failed=relay.failed),
        Worker("returns", follower.work, wake=follower.cut),
        Worker("grants", grants.work, wake=grants.wake),
        *evidence_workers(
            config.evidence,
            engine=engine,
            sealer=sealer,
            custody=custody,
            intake=intake,
            issuer=prefecture_identity(config.prefecture, config.trust_domain),
            registry=registry,
        ),
    ):
        worker.start()
        stack.callback(worker.close)
    start_rewrapping(stack, engine, data_key.c.wrapped, custody)
    return start_serving(stack, server, monitor, registry, config.metrics_port)


def _witnessing(
    stack: ExitStack,
    config: PrefecturalConfiguration,
    custody: Custody,
    signers: SignerDirectory,
    *,
    nation: grpc.Channel,
    registry: CollectorRegistry,
) -> dict[str, LogWatcher | OwnLog]:
    """What watches the nation's audit log, and has the one here watched by the nation."""
    if config.witness_directory is None:
        return {}
    witnessing = Witnessing(
        stack,
        config.witness_directory,
        custody=custody,
        signers=signers,
        identity=prefecture_identity(config.prefecture, config.trust_domain),
        registry=registry,
    )
    above = national_identity(config.trust_domain)
    parts: dict[str, LogWatcher | OwnLog] = {"witness": witnessing.watch(nation, above)}
    if config.lookups is not None:
        own_log = OfferedLog(config.lookups.audit_directory)
        parts["witnessed"] = witnessing.show(nation, above, own_log)
    return parts


def _counting(engine: Engine, sealer: Sealer) -> Count:
    return lambda municipality, day: count_residents(engine, sealer, municipality, day)


def _serve_bodies(
    server: JukiServer,
    config: PrefecturalConfiguration,
    answering: Answering,
    count: Count,
    answerers: Mapping[str, tuple[str, lookup_pb2_grpc.LookupServiceStub]],
) -> None:
    """What registered bodies are served besides look-ups: passing on, and the governor's totals."""
    relay_pb2_grpc.add_GovernorRelayServiceServicer_to_server(
        GovernorRelay(
            identity=prefecture_identity(config.prefecture, config.trust_domain),
            policy=answering.policy,
            audit=answering.audit,
            answerers=answerers,
            clock=time.time_ns,
            admit=answering.admit,
        ),
        server.grpc_server,
    )
    statistics_pb2_grpc.add_StatisticsServiceServicer_to_server(
        Statistics(
            prefecture=config.prefecture,
            policy=answering.policy,
            audit=answering.audit,
            count=count,
            clock=time.time_ns,
            admit=answering.admit,
        ),
        server.grpc_server,
    )


def _answerers(
    config: PrefecturalConfiguration,
    nation: grpc.Channel,
    open_neighbour: Callable[[str, PeerConfiguration], grpc.Channel],
) -> dict[str, tuple[str, lookup_pb2_grpc.LookupServiceStub]]:
    """Who answers what this prefecture passes on: the nation, and the other prefectures."""
    neighbours = {
        code: (
            prefecture_identity(code, config.trust_domain),
            lookup_pb2_grpc.LookupServiceStub(open_neighbour(code, peer)),
        )
        for code, peer in config.prefectures.items()
    }
    stub = lookup_pb2_grpc.LookupServiceStub(nation)
    return {"": (national_identity(config.trust_domain), stub), **neighbours}


def _utc_now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


if __name__ == "__main__":
    sys.exit(run_server("pref_server", PrefecturalConfiguration, serve))
