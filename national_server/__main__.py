"""Composition root of the national server: `python -m national_server --config FILE`."""

from __future__ import annotations

import datetime
import sys
import time
from contextlib import ExitStack

from prometheus_client import CollectorRegistry
from sqlalchemy import Connection, Engine

from juki.audit.witness.offering import OfferedLog
from juki.audit.witness.running import Witnessing
from juki.audit.witness.service import WITNESS_SERVICE
from juki.custody.client import CustodyClient
from juki.custody.port import INDIVIDUAL_NUMBER, Custody
from juki.custody.roots import load_roots
from juki.disclosure.running import add_disclosure_service
from juki.disclosure.service import CALLERS as COUNTERS
from juki.disclosure.service import DISCLOSURE_SERVICE
from juki.disclosure.words import J_LIS
from juki.domain.codes import ResidentRecordCode
from juki.domain.legal_basis import LegalBasis, Tier
from juki.evidence.workers import evidence_workers
from juki.index.reading import LookedUp
from juki.lookup.running import CALLERS, Answerer, Answering
from juki.lookup.service import LOOKUP_SERVICE, RAW_METHODS, Given
from juki.process import run_server
from juki.register.data_key import open_sealing_keys
from juki.register.disputes import DisputeBook
from juki.register.intake import Committed, NotificationIntake
from juki.register.keeping import checkpoint_signing
from juki.register.persons import PersonRegister
from juki.register.probes import register_probes
from juki.register.returns import ReturnBox
from juki.register.service import IntakeMetrics, NotificationIntakeServicer
from juki.register.signers import SignerDirectory
from juki.register.states import present_information
from juki.register.tables import data_key
from juki.revocation.running import Revocation
from juki.revocation.service import REVOCATION_SERVICE
from juki.rpc.health import HealthMonitor
from juki.rpc.identity import Identity, IdentityKind
from juki.rpc.names import gateway_identity, national_identity, prefecture_identity
from juki.rpc.server import EVERY_KIND, JukiServer, ServerSettings
from juki.rpc.serving import HEALTH_REPORT_SERVICE, start_serving
from juki.rpc.tls_ending import listening
from juki.store.engine import migrate, open_engine
from juki.store.keeping import keep_register
from juki.store.rewrapping import start_rewrapping
from juki.store.sealing import Sealer
from juki.store.verification import RootedDatabase
from juki.v1 import codes_pb2_grpc, digital_agency_pb2_grpc, identification_pb2, intake_pb2_grpc
from juki.worker import Worker
from national_server.callers import check_caller, recipient
from national_server.code_pool import CodePool
from national_server.codes_service import CodeServicer, GrantServicer, NationalCodeRegistry
from national_server.config import NationalConfiguration
from national_server.confirmations import Confirmations
from national_server.covered import SECTIONS
from national_server.digital_agency import (
    DIGITAL_AGENCY_SERVICE,
    GIVES,
    DigitalAgencyServicer,
)
from national_server.given_codes import CodeOf, GivenCodes
from national_server.grants import GrantBook
from national_server.numbers import NumberMaker
from national_server.reports import GovernorReports
from national_server.tables import person_request_act, register_root

PREFECTURES = frozenset({IdentityKind.PREFECTURE_SERVER})
BODIES = frozenset({IdentityKind.AGENCY})


def serve(config: NationalConfiguration, stack: ExitStack) -> dict[str, object]:
    """Builds and starts every part; each is stopped by the stack, the last one first."""
    registry = CollectorRegistry()
    roots = load_roots(config.roots_pem)
    custody = stack.enter_context(CustodyClient(config.custody_socket))
    engine = open_engine(config.database_url)
    stack.callback(engine.dispose)
    migrate(engine, "national")
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
    revocation = Revocation(
        engine=engine, roots_der=roots.der, clock=_utc_now, registry=registry, custody=custody
    )
    returns = ReturnBox(engine)
    signers = SignerDirectory(roots.der, _utc_now, revocation.book)
    signers.load(engine)
    intake = _intake(
        config=config,
        signers=signers,
        custody=custody,
        engine=engine,
        sealer=sealer,
        returns=returns,
    )
    answering = Answering(
        stack,
        config,
        Answerer(Tier.NATIONAL, "", f"national.{config.trust_domain}"),
        engine=engine,
        sealing=sealing,
        custody=custody,
        roots_der=roots.der,
        revocation=revocation.book,
        registry=registry,
    )

    given_codes = GivenCodes(engine, sealer, _code_of(sealer))

    def follow(committed: Committed) -> None:
        answering.follow(committed)
        given_codes.follow(committed)
        if committed.reports:
            returns.wake()

    intake.on_commit(follow)
    confirmations = Confirmations(engine, registry)

    def check_confirmed_caller(identity: Identity, municipality: str) -> None:
        check_caller(identity, municipality)
        confirmations.require(recipient(identity))

    witnessing = None
    if config.witness_directory is not None:
        witnessing = Witnessing(
            stack,
            config.witness_directory,
            custody=custody,
            signers=signers,
            identity=national_identity(config.trust_domain),
            registry=registry,
        )
    probes = register_probes(engine, custody) | {
        "audit": answering.audit.check,
        "root": keeper.check,
        "revocation": revocation.probe(f"national.{config.trust_domain}"),
    }
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
            "juki.v1.NotificationIntakeService": PREFECTURES,
            "juki.v1.CodeService": PREFECTURES,
            "juki.v1.GrantService": PREFECTURES,
            LOOKUP_SERVICE: CALLERS,
            DIGITAL_AGENCY_SERVICE: BODIES,
            **({} if config.disclosure_fee is None else {DISCLOSURE_SERVICE: COUNTERS}),
            **({} if witnessing is None else {WITNESS_SERVICE: PREFECTURES}),
            REVOCATION_SERVICE: PREFECTURES,
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
            check_caller=check_confirmed_caller,
            recipient_of=recipient,
        ),
        server.grpc_server,
    )
    grants = GrantBook(
        engine=engine,
        sealer=sealer,
        custody=custody,
        signers=signers,
        identity=national_identity(config.trust_domain),
        registry=registry,
    )
    codes_pb2_grpc.add_GrantServiceServicer_to_server(
        GrantServicer(grants, confirmations), server.grpc_server
    )
    codes_pb2_grpc.add_CodeServiceServicer_to_server(
        CodeServicer(
            pool=CodePool(engine, sealer, custody.random),
            numbers=NumberMaker(
                engine, sealer, lambda messages: custody.mac(INDIVIDUAL_NUMBER, messages)
            ),
            grants=grants,
            confirmations=confirmations,
            check_caller=check_caller,
            registry=registry,
        ),
        server.grpc_server,
    )
    answering.serve(server, given=_note_given(given_codes))
    digital_agency_pb2_grpc.add_DigitalAgencyServiceServicer_to_server(
        DigitalAgencyServicer(
            given=given_codes,
            policy=answering.policy,
            admit=answering.admit,
            audit=answering.audit,
            pseudonymiser=answering.pseudonym_keys.newest,
            clock=time.time_ns,
        ),
        server.grpc_server,
    )
    if witnessing is not None:
        witnessing.serve(server.grpc_server, OfferedLog(config.audit_directory))
    if config.disclosure_fee is not None:
        add_disclosure_service(
            stack,
            server,
            answering,
            engine=engine,
            sealer=sealer,
            tables=(person_request_act, register_root),
            name=J_LIS,
            identity=national_identity(config.trust_domain),
            trust_domain=config.trust_domain,
            audit_directory=config.audit_directory,
            clock=_utc_now,
            fee_yen=config.disclosure_fee.yen,
        )
    revocation.serve(server, lambda: intake.certificates_of(()))
    revocation.start(stack, server)
    for worker in (
        answering.worker(),
        Worker("given-codes", given_codes.work, wake=given_codes.wake),
        *evidence_workers(
            config.evidence,
            engine=engine,
            sealer=sealer,
            custody=custody,
            intake=intake,
            issuer=national_identity(config.trust_domain),
            registry=registry,
        ),
    ):
        worker.start()
        stack.callback(worker.close)
    start_rewrapping(stack, engine, data_key.c.wrapped, custody)
    return start_serving(stack, server, monitor, registry, config.metrics_port)


def _intake(
    *,
    config: NationalConfiguration,
    signers: SignerDirectory,
    custody: Custody,
    engine: Engine,
    sealer: Sealer,
    returns: ReturnBox,
) -> NotificationIntake:
    return NotificationIntake(
        engine=engine,
        sealer=sealer,
        custody=custody,
        signers=signers,
        register=PersonRegister(sealer, NationalCodeRegistry()),
        disputes=DisputeBook(),
        issuer=national_identity(config.trust_domain),
        identity_of=lambda municipality: gateway_identity(municipality, config.trust_domain),
        receipted_by=lambda municipality: prefecture_identity(
            municipality[:2], config.trust_domain
        ),
        deliver=GovernorReports(returns).deliver,
        evidence_algorithm=config.evidence.hash_algorithm,
    )


def _code_of(sealer: Sealer) -> CodeOf:
    """The present code of a person of the register."""

    def code_of(connection: Connection, ordinal: int) -> ResidentRecordCode | None:
        information = present_information(connection, sealer, ordinal)
        if information is None:
            return None
        read = identification_pb2.IdentificationInformation.FromString(information)
        return ResidentRecordCode(read.resident_record_code)

    return code_of


def _note_given(given_codes: GivenCodes) -> Given:
    """Of all that are given codes, the Digital Agency is told of changes."""

    def note(body: str, basis: LegalBasis, looked_up: LookedUp) -> None:
        if basis.provision == GIVES:
            given_codes.note(body, looked_up)

    return note


def _utc_now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


if __name__ == "__main__":
    sys.exit(run_server("national_server", NationalConfiguration, serve))
