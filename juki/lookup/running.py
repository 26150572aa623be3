"""What every tier that answers look-ups starts: policy, index, audit log, person index, service."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import grpc
from prometheus_client import CollectorRegistry
from pydantic import model_validator
from sqlalchemy import Engine

from juki.audit.archiving import start_archiving
from juki.audit.checkpoint import CheckpointKey, CheckpointSigning, audit_origin
from juki.audit.log import FileAuditLog
from juki.audit.persons.running import start_person_index
from juki.audit.port import AuditLog
from juki.audit.pseudonym import Pseudonymiser
from juki.config import Configuration
from juki.custody.port import Custody
from juki.custody.signing import DocumentSigner
from juki.domain.legal_basis import Tier
from juki.index.lmdb_index import LmdbIndex
from juki.index.reading import PersonReader
from juki.lookup.metrics import LookupMetrics
from juki.lookup.service import Admit, Given, LookupService
from juki.policy.acts.config import ActsConfiguration
from juki.policy.acts.opening import who_may_ask
from juki.policy.acts.verification import OfficerRevocation
from juki.policy.evaluator import Policy
from juki.register.intake import Committed
from juki.register.pseudonym_keys import PseudonymKeys
from juki.register.states import all_states, state_of
from juki.rpc.identity import IdentityKind
from juki.rpc.server import JukiServer
from juki.store.data_keys import SealingKeys
from juki.v1 import lookup_pb2_grpc
from juki.worker import Worker

CALLERS: Final = frozenset({IdentityKind.AGENCY, IdentityKind.PREFECTURE_SERVER})
"""Who may call, for a server's allow-list; what each may ask is for policy to decide.

A prefectural server asks for bodies of its municipalities, where the law has them ask by way of it.
"""


class LookupConfiguration(Configuration):
    """What a server that answers look-ups is told."""

    acts: ActsConfiguration | None = None
    """The register of bodies and their grants, by signed administrative acts."""

    agencies: Path | None = None
    """In its place a TOML file that nobody has signed: for development and tests."""

    law_revisions: Path | None = None
    """Directory of later revisions of the law, each in a directory named by its first day."""

    audit_directory: Path
    audit_archive_directory: Path | None = None
    """Where archived segments of the log are moved to; they stay beside it by default."""

    person_index_directory: Path
    """Of the private index from persons to the audit log's entries; made for the server alone."""

    index_directory: Path
    """On memory-backed storage: the index holds identification information in the clear."""

    @model_validator(mode="after")
    def _one_register(self) -> Self:
        if (self.acts is None) == (self.agencies is None):
            raise ValueError("either acts or agencies says who may ask")
        return self


@dataclass(frozen=True, slots=True)
class Answerer:
    """Who answers."""

    tier: Tier
    place: str
    """Nothing for the nation, two digits for a prefecture."""

    host: str
    """Of its identity, for example `pref22.juki.example`: its log is named after it."""


def add_lookup_service(
    server: grpc.Server,
    *,
    index: PersonReader,
    policy: Policy,
    audit: AuditLog,
    pseudonymiser: Callable[[], Pseudonymiser],
    registry: CollectorRegistry,
    tier: Tier = Tier.NATIONAL,
    place: str = "",
    clock: Callable[[], int] = time.time_ns,
    admit: Admit = lambda identity, office, operator: None,
    given: Given | None = None,
) -> None:
    """Adds `juki.v1.LookupService` to a server whose settings name `RAW_METHODS` as raw."""
    lookup_pb2_grpc.add_LookupServiceServicer_to_server(
        LookupService(
            index=index,
            policy=policy,
            audit=audit,
            pseudonymiser=pseudonymiser,
            clock=clock,
            metrics=LookupMetrics(registry),
            tier=tier,
            place=place,
            admit=admit,
            given=given,
        ),
        server,
    )


class Answering:
    """The parts that answer look-ups from one register; the stack given stops each."""

    def __init__(
        self,
        stack: ExitStack,
        config: LookupConfiguration,
        answerer: Answerer,
        *,
        engine: Engine,
        sealing: SealingKeys,
        custody: Custody,
        roots_der: Sequence[bytes],
        revocation: OfficerRevocation,
        registry: CollectorRegistry,
    ) -> None:
        """Loads the policy, builds the index from the register, opens the log.

        Raises JukiError (CONFIGURATION_INVALID, STORE_UNAVAILABLE, AUDIT_UNAVAILABLE,
        TAMPERING_DETECTED).
        """
        self._answerer = answerer
        self._registry = registry
        unsigned = None
        if config.agencies is not None:  # read before anything else is opened
            unsigned = Policy.load(config.agencies, config.law_revisions)
        self.index = LmdbIndex(config.index_directory)
        stack.callback(self.index.close)
        self.index.rebuild(all_states(engine, sealing.sealer))
        self.pseudonym_keys = PseudonymKeys(sealing.keys)
        self.audit = FileAuditLog(
            config.audit_directory,
            signing=checkpoint_signing(custody, answerer.host),
            archive_directory=config.audit_archive_directory,
        )
        stack.callback(self.audit.close)
        start_archiving(
            stack,
            config.audit_directory,
            lambda: self.audit.published_to,
            config.audit_archive_directory,
        )
        askers = who_may_ask(
            stack,
            config.acts,
            unsigned,
            identity=f"spiffe://{answerer.host}/server",
            roots_der=roots_der,
            revocation=revocation,
            custody=custody,
            audit=self.audit,
            law_revisions=config.law_revisions,
        )
        self.policy = askers.policy
        self.admit = askers.admit
        self.history = start_person_index(
            stack,
            directory=config.person_index_directory,
            audit_directory=config.audit_directory,
            archive_directory=config.audit_archive_directory,
            durable_to=lambda: self.audit.position.sequence,
            pseudonymisers=self.pseudonym_keys.every,
            registry=registry,
        )

    def follow(self, committed: Committed) -> None:
        """Brings the index to what an intake has committed."""
        outcome = committed.outcome
        self.index.apply([state_of(person) for person in outcome.persons], outcome.merged)

    def serve(
        self,
        server: JukiServer,
        clock: Callable[[], int] = time.time_ns,
        given: Given | None = None,
    ) -> None:
        """Adds `juki.v1.LookupService` to a server whose settings name `RAW_METHODS` as raw."""
        add_lookup_service(
            server.grpc_server,
            tier=self._answerer.tier,
            place=self._answerer.place,
            index=self.index,
            policy=self.policy,
            audit=self.audit,
            pseudonymiser=self.pseudonym_keys.newest,
            registry=self._registry,
            clock=clock,
            admit=self.admit,
            given=given,
        )

    def worker(self) -> Worker:
        """Takes up newer pseudonym keys; to be started by the root."""
        keys = self.pseudonym_keys
        return Worker("pseudonym-keys", keys.work, wake=keys.wake)


def checkpoint_signing(custody: Custody, host: str) -> CheckpointSigning:
    """Checkpoints are signed in the token, under the key of the server's receipts."""
    signer = DocumentSigner(custody)

    def key() -> CheckpointKey:
        using = signer.key
        return CheckpointKey(using.key_id, lambda digest: custody.sign(using.name, [digest])[0])

    return CheckpointSigning(audit_origin(host), key)
