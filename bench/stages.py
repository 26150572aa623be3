"""What each stage of a look-up costs, as the server that is measured counts it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families

from juki.lookup.metrics import STAGES

_METRIC: Final = "juki_lookup_stage_seconds"


@dataclass(slots=True)
class StageTimes:
    """Seconds and number of each stage, added up over measurements."""

    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(STAGES, 0.0))
    counts: dict[str, float] = field(default_factory=lambda: dict.fromkeys(STAGES, 0.0))

    def add(self, before: StageTimes, after: StageTimes) -> None:
        """What was spent between two readings."""
        for stage in STAGES:
            self.seconds[stage] += after.seconds[stage] - before.seconds[stage]
            self.counts[stage] += after.counts[stage] - before.counts[stage]

    def microseconds(self, stage: str, persons: int) -> float:
        """Of one call's stage, for each of its persons."""
        count = self.counts[stage]
        return 1e6 * self.seconds[stage] / count / persons if count else 0.0


def read_stages(port: int) -> StageTimes:
    """The server's counters since its start, from its loopback port for Prometheus."""
    with urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        text = answer.read().decode()
    times = StageTimes()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == f"{_METRIC}_sum":
                times.seconds[sample.labels["stage"]] = sample.value
            elif sample.name == f"{_METRIC}_count":
                times.counts[sample.labels["stage"]] = sample.value
    return times
