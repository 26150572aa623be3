"""What is measured of lookups; labels are bounded and say nothing of a person or a body."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram

from juki.domain.errors import Reason
from juki.domain.legal_basis import ARTICLE_OF_TABLE, LegalBasis
from juki.domain.outcome import Outcome

STAGES: Final = ("parse", "decide", "look_up", "record", "join")
_STAGE_SECONDS: Final = (
    0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
    0.1, 0.5, 1,
)  # fmt: skip
_PERSONS: Final = (1, 10, 100, 500, 1_000, 2_000, 5_000, 10_000)
_NO_TABLE: Final = "none"


class LookupMetrics:
    """`juki_lookups_total{outcome,table}`, `juki_lookup_refusals_total{reason,table}`,
    `juki_lookup_batch_persons`, `juki_lookup_stage_seconds{stage}`.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        lookups = Counter(
            "juki_lookups_total",
            "Persons looked up, by outcome and Appended Table (none: another provision).",
            ("outcome", "table"),
            registry=registry,
        )
        self._refusals = Counter(
            "juki_lookup_refusals_total",
            "Calls refused by policy or for want of a record, by reason and Appended Table.",
            ("reason", "table"),
            registry=registry,
        )
        self._persons = Histogram(
            "juki_lookup_batch_persons",
            "Persons asked for in one call or chunk.",
            buckets=_PERSONS,
            registry=registry,
        )
        stages = Histogram(
            "juki_lookup_stage_seconds",
            "Duration in seconds of each stage of a call or chunk.",
            ("stage",),
            buckets=_STAGE_SECONDS,
            registry=registry,
        )
        # Made once: looking up a label costs as much as counting.
        self._stages = {stage: stages.labels(stage) for stage in STAGES}
        self._lookups = {
            table: [
                (bytes([outcome]), lookups.labels(outcome.name.lower(), str(table)))
                for outcome in Outcome
            ]
            for table in (*ARTICLE_OF_TABLE, _NO_TABLE)
        }

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Times the block as one of `STAGES`, also when it raises."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self._stages[name].observe(time.perf_counter() - started)

    def answered(self, basis: LegalBasis, outcomes: bytes) -> None:
        """Counts one recorded call or chunk."""
        self._persons.observe(len(outcomes))
        for outcome, counter in self._lookups[_table_of(basis)]:
            number = outcomes.count(outcome)
            if number:
                counter.inc(number)

    def refused(self, basis: LegalBasis | None, reason: Reason) -> None:
        """Counts one refused call or chunk."""
        self._refusals.labels(reason.value, str(_table_of(basis))).inc()


def _table_of(basis: LegalBasis | None) -> int | str:
    row = None if basis is None else basis.row
    return _NO_TABLE if row is None else row.table
