"""The two workers that keep a register's evidence: one stamps it, one renews its chains."""

from __future__ import annotations

from prometheus_client import CollectorRegistry
from pydantic import Field
from sqlalchemy import Engine

from juki.config import Configuration
from juki.custody.port import Custody
from juki.evidence.hashing import HashAlgorithm
from juki.evidence.renewal import EvidenceRenewal
from juki.evidence.stamping import EvidenceMetrics, TimeStamper
from juki.register.intake import NotificationIntake
from juki.store.sealing import Sealer
from juki.worker import Worker


class EvidenceConfiguration(Configuration):
    """How evidence is kept."""

    hash_algorithm: HashAlgorithm = HashAlgorithm.SHA_256
    """1: SHA-256, 2: SHA-512, 3: SHA3-512. Another one than before is taken up while notifications
    go on; go back to none that is weak."""

    interval_seconds: float = Field(default=3600.0, gt=0)
    """Between two time stamps."""


def evidence_workers(
    config: EvidenceConfiguration,
    *,
    engine: Engine,
    sealer: Sealer,
    custody: Custody,
    intake: NotificationIntake,
    issuer: str,
    registry: CollectorRegistry,
) -> tuple[Worker, Worker]:
    """`issuer` is the server's URI identity."""
    metrics = EvidenceMetrics(registry)
    stamper = TimeStamper(
        engine=engine,
        custody=custody,
        issuer=issuer,
        metrics=metrics,
        algorithm=config.hash_algorithm,
        interval_seconds=config.interval_seconds,
    )
    renewal = EvidenceRenewal(
        engine=engine,
        sealer=sealer,
        algorithm=config.hash_algorithm,
        intake_paused=intake.paused,
        metrics=metrics,
    )
    return (
        Worker("time-stamps", stamper.work, wake=stamper.wake),
        Worker("evidence-renewal", renewal.work, wake=renewal.wake),
    )
