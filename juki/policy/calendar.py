"""Days in Japan: law begins and ends at midnight, Japan Standard Time (UTC+9, no summer time)."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Final

_DAY_SECONDS: Final = 86_400
_JAPAN_AHEAD_SECONDS: Final = 9 * 3_600
_NANOS: Final = 1_000_000_000
_EPOCH: Final = datetime.date(1970, 1, 1).toordinal()


def day_number(unix_nanos: int) -> int:
    """The day in Japan of an instant, counted from 1970-01-01: one division, for the hot path."""
    return (unix_nanos // _NANOS + _JAPAN_AHEAD_SECONDS) // _DAY_SECONDS


def date_of(number: int) -> datetime.date:
    """The date of a day number."""
    return datetime.date.fromordinal(number + _EPOCH)


@dataclass(frozen=True, slots=True)
class Period:
    """The days on which a rule is in force, first and last day included; None: no limit."""

    first: datetime.date | None = None
    last: datetime.date | None = None

    def __contains__(self, day: object) -> bool:
        return (
            isinstance(day, datetime.date)
            and (self.first is None or self.first <= day)
            and (self.last is None or day <= self.last)
        )

    def overlaps(self, other: Period) -> bool:
        """Whether there is a day in both."""
        return not (
            (self.last is not None and other.first is not None and self.last < other.first)
            or (other.last is not None and self.first is not None and other.last < self.first)
        )

    def __str__(self) -> str:
        if self.first is None and self.last is None:
            return "without limit of time"
        return f"from {self.first or 'ever'} to {self.last or 'further notice'}"


ALWAYS: Final = Period()
