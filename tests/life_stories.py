"""Made-up lives over several municipalities, told as each of their registers would notify them."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field, replace

from hypothesis import strategies as st

from juki.domain.change import ChangeReason
from juki.domain.residency import ResidencyStatus
from juki.register.values import RecordChange, record_change
from juki.v1 import notification_pb2
from tests.stream import information

R = ChangeReason
MUNICIPALITIES = ("221309", "221007", "131016", "011002")
_START = datetime.date(2026, 4, 1)


@dataclass
class Stock:
    """Codes of each municipality's pool, and the number that the nation makes of each code."""

    codes: dict[str, list[str]]
    numbers: dict[str, str]


@dataclass
class Story:
    """Every municipality's notifications, in the true order of what happened."""

    changes: list[RecordChange] = field(default_factory=list)
    truth: list[tuple[ResidencyStatus, str]] = field(default_factory=list)
    """What each person's residency is in the end, where nobody contradicts anybody."""

    is_contradictory: bool = False
    """Whether some municipality claimed a person who lived elsewhere, or had died."""

    used_codes: dict[str, int] = field(default_factory=dict)
    _sequences: dict[str, int] = field(default_factory=dict)

    def tell(self, life: Life, municipality: str, reason: ChangeReason, **more: str) -> None:
        """One notification of a municipality about a person."""
        content = notification_pb2.RecordChange(
            information=information(
                life.code,
                reason,
                municipality=municipality,
                number=life.number,
                # What the register holds differs each time, so that a mix-up shows.
                name=f"{life.name}　{len(self.changes)}",
                event_date=_START + datetime.timedelta(days=life.day),
                former_code=more.get("former_code", ""),
            ),
            moved_from=more.get("moved_from", ""),
            moved_to=more.get("moved_to", ""),
        )
        self._sequences[municipality] = self._sequences.get(municipality, 0) + 1
        self.changes.append(
            record_change(
                notification_pb2.Notification(
                    municipality=municipality,
                    epoch=1,
                    sequence=self._sequences[municipality],
                    record_change=content,
                )
            )
        )
        assert not self.changes[-1].impossible

    def fresh_code(self, stock: Stock, municipality: str) -> str:
        """A code of the municipality's pool that the story has not used yet."""
        position = self.used_codes.get(municipality, 0)
        self.used_codes[municipality] = position + 1
        return stock.codes[municipality][position]


@dataclass
class Life:
    """One person as they are at a moment of the story."""

    name: str
    code: str = ""
    number: str = ""
    home: str = ""
    day: int = 0
    status: ResidencyStatus = ResidencyStatus.RESIDENT
    last: str = ""
    """The municipality that deleted the person last."""

    lived_in: set[str] = field(default_factory=set)
    false_claims: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Municipalities that claim the person wrongly, with the code and number they know."""


@st.composite
def stories(
    draw: st.DrawFn, stock: Stock, *, contradictions: bool = True, persons: int = 2
) -> Story:
    """A story of some persons, each in their own time."""
    story = Story()
    for number in range(draw(st.integers(1, persons))):
        _live(draw, story, stock, Life("甲乙丙丁"[number]), contradictions=contradictions)
    return story


def _live(draw: st.DrawFn, story: Story, stock: Stock, life: Life, *, contradictions: bool) -> None:
    life.home = draw(st.sampled_from(MUNICIPALITIES))
    life.code = story.fresh_code(stock, life.home)
    story.tell(life, life.home, draw(st.sampled_from([R.BIRTH, R.MOVING_IN, R.EX_OFFICIO_ENTRY])))
    steps = ["correct", "designate", "change code", "move", "move", "move", "abroad", "die"]
    steps += ["delete"] + (["contradict", "withdraw"] if contradictions else [])
    for step in draw(st.lists(st.sampled_from(steps), max_size=9)):
        life.day += draw(st.integers(0, 1))
        _step(draw, story, stock, life, step)
    story.truth.append((life.status, life.home or life.last))


def _step(draw: st.DrawFn, story: Story, stock: Stock, life: Life, step: str) -> None:
    others = [m for m in MUNICIPALITIES if m != life.home and m not in life.false_claims]
    if step == "contradict":
        if others:
            municipality = draw(st.sampled_from(others))
            life.false_claims[municipality] = life.code, life.number
            story.is_contradictory = True
            story.tell(life, municipality, R.EX_OFFICIO_ENTRY)
    elif step == "withdraw":
        if life.false_claims:
            municipality = draw(st.sampled_from(sorted(life.false_claims)))
            code, number = life.false_claims.pop(municipality)
            known = replace(life, code=code, number=number)
            story.tell(known, municipality, R.EX_OFFICIO_DELETION)
    elif life.status is ResidencyStatus.DECEASED:
        return
    elif not life.home:
        _come_back(draw, story, life, others)
    elif step == "move":
        if others:
            _move(draw, story, life, draw(st.sampled_from(others)))
    elif step == "correct":
        reason = draw(st.sampled_from([R.ADDRESS_CHANGE, R.MINOR_CORRECTION]))
        story.tell(life, life.home, reason)
    elif step == "designate":
        if not life.number:
            life.number = stock.numbers[life.code]
            story.tell(life, life.home, R.NUMBER_DESIGNATION)
    elif step == "change code":
        former, life.code = life.code, story.fresh_code(stock, life.home)
        story.tell(life, life.home, R.CODE_CHANGE_REQUEST, former_code=former)
    else:
        _leave(story, life, step)


def _leave(story: Story, life: Life, step: str) -> None:
    reason, status = {
        "abroad": (R.MOVING_OUT, ResidencyStatus.MOVED_ABROAD),
        "die": (R.DEATH, ResidencyStatus.DECEASED),
        "delete": (R.EX_OFFICIO_DELETION, ResidencyStatus.DELETED),
    }[step]
    story.tell(life, life.home, reason)
    life.last, life.home, life.status = life.home, "", status


def _come_back(draw: st.DrawFn, story: Story, life: Life, places: list[str]) -> None:
    if not places:
        return
    life.day += 1
    life.home = draw(st.sampled_from(places))
    life.status = ResidencyStatus.RESIDENT
    story.tell(life, life.home, draw(st.sampled_from([R.MOVING_IN, R.EX_OFFICIO_ENTRY])))


def _move(draw: st.DrawFn, story: Story, life: Life, to: str) -> None:
    known = draw(st.booleans())
    story.tell(life, life.home, R.MOVING_OUT, moved_to=to if known else "")
    former, life.home = life.home, to
    # Nobody comes back to where they left on the same day.
    life.day += 1 if to in life.lived_in else draw(st.integers(0, 1))
    life.lived_in.add(former)
    story.tell(life, to, R.MOVING_IN, moved_from=former)
