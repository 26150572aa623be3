"""The gateway checks events by hand; what the contract's rules refuse, it refuses too."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from protovalidate import Validator

from cs_gateway.events import EventChecker
from juki.domain.change import ChangeReason
from juki.domain.codes import LocalGovernmentCode
from juki.domain.errors import JukiError
from juki.store.sealing import Sealer
from juki.v1 import identification_pb2, register_pb2

VALIDATOR = Validator()
CHECKER = EventChecker(LocalGovernmentCode("221309"), Sealer(bytes(32)))

texts = st.sampled_from(["", "山田　太郎", "葛\U000e0100城", "あ" * 200, "あ" * 201, "x"])
codes = st.sampled_from(
    ["", "24727059608", "24727059609", "2472705960", "abc", "２４７２７０５９６０８"]
)
numbers = st.sampled_from(["", "123456789018", "123456789019", "12345678901", "x" * 12])
municipalities = st.sampled_from(["", "221309", "221384", "131016", "999999", "22130", "abcdef"])
small = st.sampled_from([0, 1, 2, 12, 13, 29, 31, 32, 99])
years = st.sampled_from([0, 1849, 1850, 1985, 2026, 2200, 2201])


@st.composite
def four_items(draw: st.DrawFn) -> identification_pb2.FourItems:
    items = identification_pb2.FourItems()
    if draw(st.integers(0, 9)):
        items.name.written = draw(texts)
        items.name.reading = draw(texts)
        items.name.common_name = draw(texts)
    if draw(st.integers(0, 9)):
        items.birth_date.year = draw(years)
        items.birth_date.month = draw(small)
        items.birth_date.day = draw(small)
    items.sex = identification_pb2.Sex.ValueType(draw(st.sampled_from([0, 1, 2, 3, 4])))
    if draw(st.integers(0, 9)):
        items.address.municipality = draw(municipalities)
        items.address.town = draw(texts)
        items.address.remainder = draw(texts)
    return items


@st.composite
def events(draw: st.DrawFn) -> register_pb2.RegisterEvent:
    event = register_pb2.RegisterEvent(
        event_id=draw(st.sampled_from(["", "e", "e" * 64, "e" * 65])),
        record_id=draw(st.sampled_from(["", "r", "r" * 32, "r" * 33])),
        reason=identification_pb2.ChangeReason.ValueType(
            draw(st.sampled_from([0, 10, *map(int, ChangeReason), 99]))
        ),
        resident_record_code=draw(codes),
        individual_number=draw(numbers),
        moved_from=draw(municipalities),
        moved_to=draw(municipalities),
    )
    if draw(st.integers(0, 9)):
        event.event_date.year = draw(years)
        event.event_date.month = draw(small)
        event.event_date.day = draw(small)
    if draw(st.booleans()):
        event.four_items.CopyFrom(draw(four_items()))
    return event


@st.composite
def nearly_right_events(draw: st.DrawFn) -> register_pb2.RegisterEvent:
    """A birth that is right in itself but, at most, for one field."""
    event = right_birth()
    broken = draw(events())
    field = draw(st.sampled_from([one.name for one in event.DESCRIPTOR.fields]))
    if broken.DESCRIPTOR.fields_by_name[field].message_type is None:
        setattr(event, field, getattr(broken, field))
    elif broken.HasField(field):
        getattr(event, field).CopyFrom(getattr(broken, field))
    else:
        event.ClearField(field)
    return event


def right_birth() -> register_pb2.RegisterEvent:
    event = register_pb2.RegisterEvent(
        event_id="event-1", record_id="0000000001", reason=identification_pb2.CHANGE_REASON_BIRTH
    )
    event.event_date.year, event.event_date.month, event.event_date.day = 2026, 4, 1
    items = event.four_items
    items.name.written, items.sex = "山田　太郎", identification_pb2.SEX_MALE
    items.birth_date.year, items.birth_date.month, items.birth_date.day = 2026, 4, 1
    items.address.municipality, items.address.town = "221309", "元城町"
    return event


def accepted(event: register_pb2.RegisterEvent) -> bool:
    try:
        CHECKER.prepare(event)
    except JukiError:
        return False
    return True


def test_a_right_event_is_accepted_by_both() -> None:
    assert accepted(right_birth())
    assert not VALIDATOR.collect_violations(right_birth())


@given(st.one_of(nearly_right_events(), events()))
def test_what_the_contract_refuses_the_gateway_refuses(event: register_pb2.RegisterEvent) -> None:
    violations = VALIDATOR.collect_violations(event)
    assert not (violations and accepted(event)), [one.proto.rule_id for one in violations]
