"""How witnessing goes, in numbers."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge

from juki.audit.checkpoint import SignedCheckpoint
from juki.audit.witness.cosignature import cosigned_at
from juki.domain.errors import Reason


class WitnessMetrics:
    """Of one server, as a witness and as one that is watched."""

    def __init__(self, registry: CollectorRegistry, standing: Callable[[], int]) -> None:
        """`standing` tells how many alarms nobody has dealt with yet."""
        Gauge(
            "juki_witness_alarms_standing",
            "Alarms whose evidence nobody has taken away yet.",
            registry=registry,
        ).set_function(lambda: float(standing()))
        self.alarms = Counter(
            "juki_witness_alarms_total",
            "Times that a watched log showed what no honest log shows, by reason.",
            ["reason"],
            registry=registry,
        )
        self.failed = Counter(
            "juki_witness_failed_total",
            "Rounds of co-signing that failed, by reason.",
            ["reason"],
            registry=registry,
        )
        self._cosigned_at = Gauge(
            "juki_witness_cosigned_timestamp_seconds",
            "When a checkpoint of a log was last co-signed here.",
            ["origin"],
            registry=registry,
        )
        self._size = Gauge(
            "juki_witness_cosigned_size",
            "Entries of the log in the checkpoint last co-signed here.",
            ["origin"],
            registry=registry,
        )

    def alarmed(self, reason: Reason) -> None:
        """Counts an alarm."""
        self.alarms.labels(reason).inc()

    def cosigned(self, signed: SignedCheckpoint) -> None:
        """Notes a checkpoint whose last line is the cosignature made here."""
        origin = signed.checkpoint.origin
        self._size.labels(origin).set(signed.checkpoint.size)
        self._cosigned_at.labels(origin).set(cosigned_at(signed.signatures[-1]))
