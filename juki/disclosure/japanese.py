"""Dates, instants and numbers as a Japanese reader expects them."""

from __future__ import annotations

import datetime
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from juki.domain.person_request import JAPAN
from juki.v1 import identification_pb2

_ERAS: Final = (
    (datetime.date(2019, 5, 1), "令和"),
    (datetime.date(1989, 1, 8), "平成"),
    (datetime.date(1926, 12, 25), "昭和"),
    (datetime.date(1912, 7, 30), "大正"),
    (datetime.date(1868, 10, 23), "明治"),
)


def era_year(day: datetime.date) -> str:
    """For example 令和8年 or 平成元年; years before Meiji stay Gregorian."""
    for start, era in _ERAS:
        if day >= start:
            year = day.year - start.year + 1
            return f"{era}{'元' if year == 1 else year}年"
    return f"{day.year}年"


def date(day: datetime.date) -> str:
    """For example 令和8年4月1日."""
    return f"{era_year(day)}{day.month}月{day.day}日"


def calendar_date(message: identification_pb2.CalendarDate) -> str:
    """A date of the contract; one that is in no calendar as its figures."""
    try:
        return date(datetime.date(message.year, message.month, message.day))
    except (ValueError, OverflowError):
        return f"{message.year}-{message.month}-{message.day}"


def birth_date(message: identification_pb2.BirthDate) -> str:
    """A date of birth, which may lack its day or month."""
    try:
        day = datetime.date(message.year, message.month or 12, message.day or 28)
    except (ValueError, OverflowError):
        return f"{message.year}-{message.month}-{message.day}"
    if not message.month:
        return f"{era_year(day)}（月日不詳）"
    return date(day) if message.day else f"{era_year(day)}{message.month}月（日不詳）"


def instant(message: Timestamp) -> str:
    """For example 令和8年11月24日 22時05分09秒, in Japan."""
    there = message.ToDatetime(tzinfo=datetime.UTC).astimezone(JAPAN)
    return f"{date(there.date())} {there.hour}時{there.minute:02d}分{there.second:02d}秒"


def grouped(digits: str) -> str:
    """A code or number in groups of four."""
    return " ".join(digits[start : start + 4] for start in range(0, len(digits), 4))
