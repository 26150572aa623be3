"""Reads one line of a drop file: one register event as JSON."""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Mapping
from typing import Any, Final

from juki.domain.change import ChangeReason
from juki.domain.errors import InvalidValue, JukiError, Reason
from juki.domain.four_items import Sex
from juki.v1 import identification_pb2, register_pb2

MAX_LINE_BYTES: Final = 16 * 1024

_TEXTS: Final = frozenset(
    {"event_id", "record_id", "resident_record_code", "individual_number", "moved_from", "moved_to"}
)
_KEYS: Final = _TEXTS | {"reason", "event_date", "name", "birth_date", "sex", "address"}
_NAME_KEYS: Final = frozenset({"written", "reading", "alphabet", "common_name", "former_surname"})
_ADDRESS_KEYS: Final = frozenset({"municipality", "town", "remainder"})
_ITEM_KEYS: Final = ("name", "birth_date", "sex", "address")
_BIRTH_DATE: Final = re.compile(r"([0-9]{4})(?:-([0-9]{2})(?:-([0-9]{2}))?)?\Z")
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}\Z")


def parse_line(line: bytes) -> register_pb2.RegisterEvent:
    """The event that a line states.

    Raises:
        JukiError: MESSAGE_TOO_LARGE, MALFORMED_MESSAGE (not UTF-8, not a JSON object, unknown or
            repeated keys) or INVALID_FIELD. Never quotes the line.
    """
    if len(line) > MAX_LINE_BYTES:
        raise JukiError(Reason.MESSAGE_TOO_LARGE, "a line has more than 16 KiB")
    try:
        values = json.loads(line.decode("utf-8"), object_pairs_hook=_once_each)
    except (UnicodeDecodeError, ValueError, RecursionError):
        raise JukiError(Reason.MALFORMED_MESSAGE, "a line is no JSON object in UTF-8") from None
    if not isinstance(values, dict):
        raise JukiError(Reason.MALFORMED_MESSAGE, "a line is no JSON object in UTF-8")
    _check_keys(values, _KEYS)
    event = register_pb2.RegisterEvent(
        reason=_member(ChangeReason, values.get("reason")),  # type: ignore[arg-type]
        event_date=_date(values.get("event_date")),
        **{key: _text(values, key) for key in _TEXTS if key in values},  # type: ignore[arg-type]
    )
    given = [key for key in _ITEM_KEYS if key in values]
    if given:
        if len(given) != len(_ITEM_KEYS):
            raise InvalidValue("the four items are given in part")
        event.four_items.CopyFrom(_four_items(values))
    return event


def _four_items(values: Mapping[str, Any]) -> identification_pb2.FourItems:
    name, address = _object(values["name"], _NAME_KEYS), _object(values["address"], _ADDRESS_KEYS)
    return identification_pb2.FourItems(
        name=identification_pb2.PersonName(**{key: _text(name, key) for key in name}),
        birth_date=_birth_date(values["birth_date"]),
        sex=_member(Sex, values["sex"]),  # type: ignore[arg-type]
        address=identification_pb2.Address(**{key: _text(address, key) for key in address}),
    )


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ValueError("a key is repeated")
    return values


def _check_keys(values: Mapping[str, Any], known: frozenset[str]) -> None:
    if not values.keys() <= known:
        raise JukiError(Reason.MALFORMED_MESSAGE, "a line has an unknown key")


def _object(value: Any, known: frozenset[str]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InvalidValue("a name or an address is not an object")
    _check_keys(value, known)
    return value


def _text(values: Mapping[str, Any], key: str) -> str:
    value = values[key]
    if not isinstance(value, str):
        raise InvalidValue("a value is not a text")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise InvalidValue("a text has half a character") from None
    return value


def _member(members: type[ChangeReason] | type[Sex], value: Any) -> int:
    if not isinstance(value, str) or value not in members.__members__:
        raise InvalidValue("a reason or a sex is missing or unknown")
    return members[value].value


def _date(value: Any) -> identification_pb2.CalendarDate:
    if not isinstance(value, str) or not _DATE.match(value):
        raise InvalidValue("the date of the event is missing or not written YYYY-MM-DD")
    try:
        date = datetime.date.fromisoformat(value)
    except ValueError:
        raise InvalidValue("the date of the event is not in the calendar") from None
    return identification_pb2.CalendarDate(year=date.year, month=date.month, day=date.day)


def _birth_date(value: Any) -> identification_pb2.BirthDate:
    match = _BIRTH_DATE.match(value) if isinstance(value, str) else None
    if match is None:
        raise InvalidValue("a birth date is not written YYYY, YYYY-MM or YYYY-MM-DD")
    year, month, day = (int(part or 0) for part in match.groups())
    if (match[2] is not None and month == 0) or (match[3] is not None and day == 0):
        raise InvalidValue("an unknown month or day is left out, not written as zero")
    return identification_pb2.BirthDate(year=year, month=month, day=day)
