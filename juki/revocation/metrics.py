"""What operators see of the revocation lists: how long each still counts, and what was refused."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge

from juki.domain.errors import Reason
from juki.revocation.lists import RevocationList


class RevocationMetrics:
    """`juki_crl_next_update_seconds{authority}` falls to 0 before everyone below is refused."""

    def __init__(self, registry: CollectorRegistry, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._next_update = Gauge(
            "juki_crl_next_update_seconds",
            "Time until the newest revocation list of an authority is stale, below 0 after.",
            ("authority",),
            registry=registry,
        )
        self._number = Gauge(
            "juki_crl_number",
            "Number of the newest revocation list of an authority.",
            ("authority",),
            registry=registry,
        )
        self._revoked = Gauge(
            "juki_crl_revoked_certificates",
            "Certificates on the newest revocation list of an authority.",
            ("authority",),
            registry=registry,
        )
        self._refused = Counter(
            "juki_crl_refused_total",
            "Revocation lists that were not taken in, by reason.",
            ("reason",),
            registry=registry,
        )

    def follow(self, one: RevocationList) -> None:
        """Shows a list that has just been taken in."""
        self._next_update.labels(one.authority).set_function(partial(self._seconds_left, one))
        self._number.labels(one.authority).set(one.number)
        self._revoked.labels(one.authority).set(len(one.revoked))

    def _seconds_left(self, one: RevocationList) -> float:
        return (one.next_update - self._clock()).total_seconds()

    def refused(self, reason: Reason) -> None:
        """Counts a list, or a round, that was refused."""
        self._refused.labels(reason).inc()
