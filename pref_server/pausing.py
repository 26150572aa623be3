"""How long a background thread waits after failures before it tries again."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final

LONGEST_PAUSE_SECONDS: Final = 5.0
"""A nation that came back is found again within this time."""

_FIRST_PAUSE_SECONDS: Final = 0.2
_MOST_DOUBLINGS: Final = 12
"""So that no count of failures, however long an outage, overflows."""


def pause_after(failures: int, choose: Callable[[float, float], float] = random.uniform) -> float:
    """Seconds to wait after so many failures in a row: exponential, the upper half at random."""
    doubled = _FIRST_PAUSE_SECONDS * 2 ** min(failures, _MOST_DOUBLINGS)
    longest = min(LONGEST_PAUSE_SECONDS, doubled)
    return choose(longest / 2, longest)
