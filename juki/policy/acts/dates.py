"""Dates of acts: days of Japan Standard Time as instants, and the periods between them."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, replace
from typing import Final

from juki.domain.errors import InvalidValue

JST: Final = datetime.timezone(datetime.timedelta(hours=9), "JST")
"""Japan Standard Time, which has no summer time; the law is decided by it."""


def midnight(date: str) -> datetime.datetime:
    """The beginning of a day written YYYY-MM-DD; raises InvalidValue for a day that is none."""
    try:
        day = datetime.date.fromisoformat(date)
    except ValueError:
        raise InvalidValue("a date of an act is no day of the calendar") from None
    return datetime.datetime.combine(day, datetime.time(), JST)


def end_of(last_day: str) -> datetime.datetime | None:
    """The first instant after a last day; None where there is no last day."""
    return midnight(last_day) + datetime.timedelta(days=1) if last_day else None


def of_nanos(unix_nanos: int) -> datetime.datetime:
    """An instant in UTC."""
    return datetime.datetime.fromtimestamp(unix_nanos // 1_000_000_000, datetime.UTC).replace(
        microsecond=unix_nanos // 1000 % 1_000_000
    )


@dataclass(frozen=True, slots=True)
class Period:
    """From an instant on, up to another that no longer belongs to it."""

    begins: datetime.datetime
    ends: datetime.datetime | None = None
    """None: it does not end."""

    def covers(self, instant: datetime.datetime) -> bool:
        """Whether the instant lies within."""
        return self.begins <= instant and (self.ends is None or instant < self.ends)

    def overlaps(self, other: Period) -> bool:
        """Whether some instant lies within both."""
        if self.begins == self.ends or other.begins == other.ends:
            return False
        return (self.ends is None or other.begins < self.ends) and (
            other.ends is None or self.begins < other.ends
        )

    def common(self, other: Period) -> Period | None:
        """The instants that lie within both; None where there are none."""
        if not self.overlaps(other):
            return None
        ends = [one for one in (self.ends, other.ends) if one is not None]
        return Period(max(self.begins, other.begins), min(ends, default=None))

    def cut(self, instant: datetime.datetime) -> Period | None:
        """The period ended at an instant; None where it begins only later.

        One that begins at that very instant is left without any: it has been, and is over.
        """
        if self.begins > instant:
            return None
        if self.ends is not None and self.ends <= instant:
            return self
        return replace(self, ends=instant)
