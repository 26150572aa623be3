"""What the demo saw, and whether it held."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field

from juki.demo.checks import Check
from juki.demo.story import Step


@dataclass
class DemoResult:
    """Everything the demo saw."""

    steps: list[Step] = field(default_factory=list)
    propagation_ms: list[float] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    loaded: int = 0
    load_seconds: float = 0.0
    total_seconds: float = 0.0

    @property
    def held(self) -> bool:
        """Whether everything in the story held."""
        return bool(self.checks) and all(check.held for check in self.checks)

    def percentile(self, percent: int) -> float:
        """A percentile of the propagation in milliseconds."""
        return statistics.quantiles(self.propagation_ms, n=100)[percent - 1]
