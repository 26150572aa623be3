"""Keeps the pool of codes filled: asks the nation for an allotment before the pool runs dry."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog

from cs_gateway.code_pool import CodePool
from cs_gateway.metrics import GatewayMetrics
from cs_gateway.ports import Upstream

_LOG: Final = structlog.get_logger(__name__)
_MOST_AT_ONCE: Final = 50_000
_IDLE_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class PoolMarks:
    """When the pool is refilled, and how far."""

    low_water: int = 500
    target: int = 2000


class Replenishment:
    """One round asks for one allotment, if the pool is low or events wait for codes."""

    def __init__(
        self,
        municipality: str,
        pool: CodePool,
        upstream: Upstream,
        marks: PoolMarks,
        metrics: GatewayMetrics,
        *,
        random_bytes: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._municipality = municipality
        self._pool = pool
        self._upstream = upstream
        self._marks = marks
        self._metrics = metrics
        self._random_bytes = random_bytes

    def work(self) -> None:
        """Waits until codes are short, then fetches some.

        Raises:
            JukiError: UPSTREAM_UNAVAILABLE and whatever the nation refuses with.
        """
        wanted = self._pool.wait_until_short(self._marks.low_water, _IDLE_SECONDS)
        available = self._pool.available
        low = available < self._marks.low_water
        self._metrics.codes_low.set(int(low))
        if not low and wanted == 0:
            return
        if low:
            _LOG.warning("codes_below_low_water", available=available, waiting=wanted)
        count = min(max(self._marks.target - available, 0) + wanted, _MOST_AT_ONCE)
        request_id, count = self._pool.open_request(self._random_bytes(16).hex(), max(count, 1))
        values = self._upstream.allot_codes(self._municipality, request_id, count)
        added = self._pool.add_allotment(request_id, values)
        _LOG.info("codes_allotted", added=added, available=self._pool.available)
        self._metrics.codes_low.set(int(self._pool.available < self._marks.low_water))
