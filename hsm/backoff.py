"""Growing pauses between tries: a short fault is over in a moment, a long one costs little."""

from __future__ import annotations

FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 2.0
"""A token that is back is noticed within this, plus the time of one opening."""


class Backoff:
    """Counts failures in a row and says how long to wait before the next try."""

    def __init__(
        self, first: float = FIRST_PAUSE_SECONDS, longest: float = LONGEST_PAUSE_SECONDS
    ) -> None:
        self._first = first
        self._longest = longest
        self.failures = 0
        """Failures since the last success."""

    def failed(self) -> float:
        """One more failure; the pause before the next try, in seconds."""
        self.failures += 1
        # The exponent is bounded so that a fault of weeks makes no huge number.
        return min(self._first * float(1 << min(self.failures - 1, 30)), self._longest)

    def succeeded(self) -> None:
        """The next failure is the first again."""
        self.failures = 0
