"""Lookups at the nation: the service over its index, its policy and its audit log."""

from __future__ import annotations

import time
from collections.abc import Callable

import grpc
from prometheus_client import CollectorRegistry

from juki.audit.port import AuditLog
from juki.audit.pseudonym import Pseudonymiser
from juki.domain.legal_basis import Tier
from juki.index.reading import PersonReader
from juki.lookup.metrics import LookupMetrics
from juki.lookup.service import LOOKUP_SERVICE, RAW_METHODS, Admit, LookupService
from juki.policy.evaluator import Policy
from juki.rpc.identity import IdentityKind
from juki.v1 import lookup_pb2_grpc

__all__ = ["CALLERS", "LOOKUP_SERVICE", "RAW_METHODS", "add_lookup_service"]

CALLERS = frozenset({IdentityKind.AGENCY})
"""Who may call, for the server's allow-list; what each may ask is for policy to decide."""


def add_lookup_service(
    server: grpc.Server,
    *,
    index: PersonReader,
    policy: Policy,
    audit: AuditLog,
    pseudonymiser: Callable[[], Pseudonymiser],
    registry: CollectorRegistry,
    clock: Callable[[], int] = time.time_ns,
    admit: Admit = lambda identity, office, operator: None,
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
            tier=Tier.NATIONAL,
            admit=admit,
        ),
        server,
    )
