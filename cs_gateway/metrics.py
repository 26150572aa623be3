"""The gateway's Prometheus metrics; no label ever names a person."""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from cs_gateway.progress import Progress

_PROPAGATION_SECONDS: Final = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 300, 1800, 3600, 86400)


class GatewayMetrics:
    """Counters and gauges of one gateway process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._events = Counter(
            "juki_gateway_events",
            "Register events by source and outcome: taken, repeated or the reason of the refusal.",
            ["source", "outcome"],
            registry=registry,
        )
        self._issued = Counter(
            "juki_gateway_notifications_issued",
            "Notifications made durable in the outbox.",
            registry=registry,
        )
        self._outbox_depth = Gauge(
            "juki_gateway_outbox_depth",
            "Notifications that the prefecture has not acknowledged.",
            registry=registry,
        )
        self.oldest_unacknowledged = Gauge(
            "juki_gateway_oldest_unacknowledged_seconds",
            "Age of the oldest notification that the prefecture has not acknowledged.",
            registry=registry,
        )
        self._codes_available = Gauge(
            "juki_gateway_codes_available", "Unused resident record codes.", registry=registry
        )
        self.codes_low = Gauge(
            "juki_gateway_codes_low",
            "1 while the pool is below its low-water mark.",
            registry=registry,
        )
        self._numbers_pending = Gauge(
            "juki_gateway_numbers_pending",
            "Current records without an Individual Number.",
            registry=registry,
        )
        self.worker_failures = Counter(
            "juki_gateway_worker_failures",
            "Failures of the gateway's workers (relay, returns, codes, numbers) by reason.",
            ["reason"],
            registry=registry,
        )
        self.lost_upstream = Counter(
            "juki_gateway_prefecture_lost_notifications",
            "Times that the prefecture expected less than it had acknowledged.",
            registry=registry,
        )
        self.disputes_open = Gauge(
            "juki_gateway_disputes_open", "Disputes that stand.", registry=registry
        )
        self.propagation = Histogram(
            "juki_notification_propagation_seconds",
            "From a notification's issue to the arrival of the nation's receipt for it.",
            buckets=_PROPAGATION_SECONDS,
            registry=registry,
        )

    def count_event(self, source: str, outcome: str, count: int = 1) -> None:
        """Counts events of "rpc" or "file" by outcome."""
        self._events.labels(source, outcome).inc(count)

    def issued(self, count: int) -> None:
        """Counts notifications made durable."""
        self._issued.inc(count)

    def follow(self, progress: Progress) -> None:
        """Lets the gauges read the standing whenever they are collected."""
        self._codes_available.set_function(lambda: progress.standing.codes_available)
        self._numbers_pending.set_function(lambda: progress.standing.numbers_pending)
        self._outbox_depth.set_function(lambda: outbox_depth(progress))


def outbox_depth(progress: Progress) -> int:
    """Notifications of the current epoch that the prefecture has not acknowledged."""
    standing = progress.standing
    if standing.prefecture_epoch != standing.epoch:
        return standing.issued_through
    return standing.issued_through - standing.prefecture_through
