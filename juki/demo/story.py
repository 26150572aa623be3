"""The story: a birth, a move between two prefectures, a death; each seen at the nation."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import cycle

from juki.demo.gateway import Register
from juki.demo.load import LoadedPerson
from juki.demo.towns import CHIYODA, HAMAMATSU, NAMES, SHIBUYA
from juki.domain.errors import JukiError, Reason
from juki.v1 import identification_pb2, register_pb2
from juki.wire import four_items_to_proto

_REASONS = identification_pb2


@dataclass(frozen=True, slots=True)
class Step:
    """One event of the story and how long it took to be known."""

    what: str
    acknowledged_ms: float
    """Until it was durable in the gateway's outbox."""

    national_ms: float
    """Until the nation's signed receipt was back in the gateway."""


@dataclass(slots=True)
class People:
    """The people the story is about, by what the registers know of them."""

    born: register_pb2.EventOutcome
    moved: register_pb2.EventOutcome
    died: register_pb2.EventOutcome


class Story:
    """Plays events through the gateways and times them."""

    def __init__(
        self, registers: dict[str, Register], people: dict[str, list[LoadedPerson]]
    ) -> None:
        self._registers = registers
        self._people = people
        self._counter = 0
        self.steps: list[Step] = []

    def play(self) -> People:
        """A birth in Hamamatsu, a move from Hamamatsu to Shibuya, a death in Chiyoda."""
        return People(self._birth(), self._move(), self._death())

    def _birth(self) -> register_pb2.EventOutcome:
        mother = self._people[HAMAMATSU][0]
        event = self._event("newborn-1", _REASONS.CHANGE_REASON_BIRTH)
        items = four_items_to_proto(mother.resident.four_items)
        family, _, _ = items.name.written.partition("\u3000")
        family_reading, _, _ = items.name.reading.partition("\u3000")
        items.name.Clear()
        items.name.written = f"{family}\u3000光"
        items.name.reading = f"{family_reading}\u3000ヒカリ"
        items.birth_date.year, items.birth_date.month, items.birth_date.day = 2026, 11, 20
        event.four_items.CopyFrom(items)
        outcome = self._send(HAMAMATSU, event, "birth (出生)")
        return self._with_number(HAMAMATSU, event.event_id, outcome)

    def _with_number(
        self, municipality: str, event_id: str, outcome: register_pb2.EventOutcome
    ) -> register_pb2.EventOutcome:
        """The entry is valid before its number exists; the number follows by a notification."""
        register = self._registers[municipality]
        started = time.monotonic()
        deadline = started + 30
        while not outcome.individual_number:
            if time.monotonic() > deadline:
                raise JukiError(Reason.UPSTREAM_UNAVAILABLE, "no Individual Number was designated")
            time.sleep(0.02)
            outcome = register.event(event_id).outcome
        at = register.wait_national(register.progress.issued)
        self.steps.append(
            Step(
                f"its Individual Number designated (個人番号の指定), {NAMES[municipality]}",
                (time.monotonic() - started) * 1000,
                max(0.0, at - started) * 1000,
            )
        )
        return outcome

    def _move(self) -> register_pb2.EventOutcome:
        person = self._people[HAMAMATSU][1]
        before = self._registers[HAMAMATSU].event(person.event_id).outcome
        out = self._event(person.resident.record_id, _REASONS.CHANGE_REASON_MOVING_OUT)
        out.moved_to = SHIBUYA
        self._send(HAMAMATSU, out, "moving out to 渋谷区 (転出)")
        arrival = self._event("newcomer-1", _REASONS.CHANGE_REASON_MOVING_IN)
        arrival.four_items.CopyFrom(four_items_to_proto(person.resident.four_items))
        new_home = self._people[SHIBUYA][0].resident.four_items.address
        arrival.four_items.address.municipality = new_home.municipality.digits
        arrival.four_items.address.town = new_home.town
        arrival.four_items.address.remainder = new_home.remainder
        arrival.resident_record_code = before.resident_record_code
        arrival.individual_number = before.individual_number
        arrival.moved_from = HAMAMATSU
        return self._send(SHIBUYA, arrival, "moving in from 浜松市 (転入)")

    def _death(self) -> register_pb2.EventOutcome:
        person = self._people[CHIYODA][2]
        event = self._event(person.resident.record_id, _REASONS.CHANGE_REASON_DEATH)
        self._send(CHIYODA, event, "death (死亡)")
        return self._registers[CHIYODA].event(person.event_id).outcome

    def propagation(self, count: int, told: Callable[[], None]) -> list[float]:
        """`count` single address changes over all gateways, one after the other; milliseconds until
        each was known nationally, the nation's receipt back in the gateway included."""
        times = []
        order = cycle(self._registers)
        positions = dict.fromkeys(self._registers, 10)
        for _ in range(count):
            code = next(order)
            person = self._people[code][positions[code]]
            positions[code] += 1
            event = self._event(person.resident.record_id, _REASONS.CHANGE_REASON_ADDRESS_CHANGE)
            items = four_items_to_proto(person.resident.four_items)
            items.address.remainder = f"{positions[code]}番地"
            event.four_items.CopyFrom(items)
            times.append(self._timed(code, event)[1].national_ms)
            told()
        return times

    def _send(
        self, code: str, event: register_pb2.RegisterEvent, what: str
    ) -> register_pb2.EventOutcome:
        outcome, step = self._timed(code, event)
        self.steps.append(Step(f"{what}, {NAMES[code]}", step.acknowledged_ms, step.national_ms))
        return outcome

    def _timed(
        self, code: str, event: register_pb2.RegisterEvent
    ) -> tuple[register_pb2.EventOutcome, Step]:
        register = self._registers[code]
        started = time.monotonic()
        (outcome,) = register.record(event)
        acknowledged = time.monotonic()
        known = register.wait_national(outcome.notification.sequence)
        return outcome, Step("", (acknowledged - started) * 1000, (known - started) * 1000)

    def _event(
        self, record_id: str, reason: identification_pb2.ChangeReason.ValueType
    ) -> register_pb2.RegisterEvent:
        self._counter += 1
        today = datetime.date(2026, 11, 24)
        return register_pb2.RegisterEvent(
            event_id=f"story-{self._counter}",
            record_id=record_id,
            reason=reason,
            event_date=identification_pb2.CalendarDate(
                year=today.year, month=today.month, day=today.day
            ),
        )
