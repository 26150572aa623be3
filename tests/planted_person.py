"""A made-up person whose data can be told from everybody else's, for tests of the whole network."""

from __future__ import annotations

from juki.v1 import identification_pb2, register_pb2

MUNICIPALITY = "221309"
NAME = "蠣崎　紫苑"
READING = "カキザキ　シオン"
TOWN = "幻想台九丁目"
REMAINDER = "七七番地の四二"


def planted_birth() -> register_pb2.RegisterEvent:
    event = register_pb2.RegisterEvent(
        event_id="planted-1",
        record_id="7777700001",
        reason=identification_pb2.CHANGE_REASON_BIRTH,
        event_date=identification_pb2.CalendarDate(year=2026, month=4, day=1),
    )
    items = event.four_items
    items.name.written, items.name.reading = NAME, READING
    items.birth_date.year, items.birth_date.month, items.birth_date.day = 2026, 4, 1
    items.sex = identification_pb2.SEX_FEMALE
    items.address.municipality = MUNICIPALITY
    items.address.town, items.address.remainder = TOWN, REMAINDER
    return event
