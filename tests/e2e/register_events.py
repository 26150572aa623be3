"""The events that a register hands in during a test: whole lives, the same by seed."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from random import Random

from juki.domain.change import ChangeKind, ChangeReason
from juki.v1 import identification_pb2, register_pb2

_FIRST_DAY = datetime.date(2026, 4, 1)
_ENTRIES = (ChangeReason.BIRTH, ChangeReason.EX_OFFICIO_ENTRY)
_CORRECTIONS = (
    ChangeReason.ADDRESS_CHANGE,
    ChangeReason.ADDRESS_CHANGE,
    ChangeReason.MINOR_CORRECTION,
    ChangeReason.EX_OFFICIO_CORRECTION,
)
_ENDS = (ChangeReason.DEATH, ChangeReason.EX_OFFICIO_DELETION)
_LIVES_AT_ONCE = 6
LARGEST_CALL = 8
"""Events in one call."""

Call = list[register_pb2.RegisterEvent]
"""Events handed in by one call."""


def lanes_of_calls(
    municipality: str, label: str, seed: int, events: int, lanes: int
) -> list[list[Call]]:
    """`events` events in so many lanes: a person's are all in one, in their order.

    Half of the calls bring one event, the others two to eight. `label` keeps the ids of one
    stream apart from another's.
    """
    found = []
    for lane in range(lanes):
        share = events // lanes + (lane < events % lanes)
        random = Random(f"{seed}/{label}/{municipality}/{lane}")
        prefix = f"{label}-{municipality[2:5]}-{lane}"
        found.append(_calls(random, list(_events(random, municipality, prefix, share))))
    return found


def _calls(random: Random, events: Sequence[register_pb2.RegisterEvent]) -> list[Call]:
    calls = []
    position = 0
    while position < len(events):
        size = 1 if random.random() < 0.5 else random.randint(2, LARGEST_CALL)
        calls.append(list(events[position : position + size]))
        position += size
    return calls


def _events(
    random: Random, municipality: str, prefix: str, count: int
) -> Iterator[register_pb2.RegisterEvent]:
    """`count` events of several lives going on at once."""
    lives: list[Iterator[register_pb2.RegisterEvent]] = []
    person = 0
    for number in range(count):
        event = None
        while event is None:
            if len(lives) < _LIVES_AT_ONCE:
                person += 1
                lives.append(_life(random, municipality, f"{prefix}-{person}"))
            life = random.choice(lives)
            event = next(life, None)
            if event is None:
                lives.remove(life)
        event.event_id = f"{prefix}-{number}"
        yield event


def _life(
    random: Random, municipality: str, record_id: str
) -> Iterator[register_pb2.RegisterEvent]:
    reasons = [random.choice(_ENTRIES)]
    reasons += [random.choice(_CORRECTIONS) for _ in range(random.randint(1, 5))]
    if random.random() < 0.4:
        reasons.append(random.choice(_ENDS))
    for step, reason in enumerate(reasons):
        day = _FIRST_DAY + datetime.timedelta(days=step)
        event = register_pb2.RegisterEvent(
            record_id=record_id,
            reason=identification_pb2.ChangeReason.ValueType(int(reason)),
            event_date=identification_pb2.CalendarDate(year=day.year, month=day.month, day=day.day),
        )
        if reason.kind in (ChangeKind.ENTRY, ChangeKind.CORRECTION):
            event.four_items.CopyFrom(_four_items(random, municipality))
        yield event


def _four_items(random: Random, municipality: str) -> identification_pb2.FourItems:
    return identification_pb2.FourItems(
        name=identification_pb2.PersonName(written="山田　花子", reading="ヤマダ　ハナコ"),
        birth_date=identification_pb2.BirthDate(year=1985, month=4, day=2),
        sex=identification_pb2.SEX_FEMALE,
        address=identification_pb2.Address(
            municipality=municipality,
            town="元城町",
            # Drawn from many, so that one event's notification is hardly another's.
            remainder=f"{random.randrange(1, 10**6)}番地",
        ),
    )
