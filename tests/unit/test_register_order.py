"""The register in the end is the same however the streams of municipalities interleave.

Each municipality's own order is kept; across municipalities there is none (invariant 3). Left out
of the stories is only a municipality that contradicts itself: that enters a person under a new code
while its own record of them under the former one stands. Either the entry or the code change is
disputed then, whichever comes later.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select

from juki.domain.codes import ResidentRecordCode
from juki.domain.residency import ResidencyStatus
from juki.register import tables as t
from juki.register.covered import REGISTER, REGISTER_SECTION
from juki.register.disputes import DisputeBook
from juki.register.held import held_claim
from juki.register.persons import PersonRegister
from juki.register.values import RecordChange
from juki.store.engine import migrate, open_engine
from juki.store.root import RegisterRoot
from juki.store.verification import RootedDatabase, verify
from juki.v1 import notification_pb2
from national_server.codes_service import NationalCodeRegistry
from tests.life_stories import MUNICIPALITIES, Life, R, Stock, Story, stories
from tests.register_fixtures import Hosts, Nation

CODES_EACH = 40
EXAMPLES = 60
REGISTER_TABLES = (
    *(t.person_code, t.person_number, t.claim, t.residency, t.person_merge),
    *(t.dispute, t.return_item),
)


class Registers:
    """A nation's and a prefecture's register over one empty database, and what they hold."""

    def __init__(self, nation: Nation) -> None:
        self.engine, self.sealer = nation.engine, nation.sealer
        codes = {m: sorted(nation.codes(m, CODES_EACH)) for m in MUNICIPALITIES}
        numbers: dict[str, str] = {}
        for municipality, own in codes.items():
            made = nation.numbers.make(municipality, [ResidentRecordCode(code) for code in own])
            numbers |= {code: number.digits for code, number in zip(own, made, strict=True)}
        self.stock = Stock(codes, numbers)
        self._names = {self.sealer.blind("code", code): code for code in numbers} | {
            self.sealer.blind("number", number): number for number in numbers.values()
        }

    def after(self, runs: Sequence[Sequence[RecordChange]], *, nation: bool) -> dict[str, Any]:
        """What an empty register holds after `runs`."""
        register = PersonRegister(self.sealer, NationalCodeRegistry() if nation else None)
        book = DisputeBook()
        with self.engine.begin() as connection:
            for table in (*REGISTER_TABLES, t.register_root):
                connection.execute(delete(table))
        root = RegisterRoot(self.sealer, t.register_root, REGISTER_SECTION)
        for moment, run in enumerate(runs):
            with self.engine.begin() as connection:
                changes = root.begin(connection)
                outcome = register.apply(connection, run, moment, changes)
                book.record(connection, run, outcome, moment, changes)
                changes.write(connection)
        database = RootedDatabase(self.engine, self.sealer, t.register_root, [REGISTER])
        assert verify(database, None).findings == []
        return self._held()

    def _held(self) -> dict[str, Any]:
        with self.engine.connect().execution_options(read_only=True) as connection:
            keys: dict[int, list[str]] = {}
            for table in (t.person_code, t.person_number):
                for blind, ordinal in connection.execute(select(table)):
                    keys.setdefault(ordinal, []).append(self._names[bytes(blind)])
            names = {ordinal: tuple(sorted(found)) for ordinal, found in keys.items()}
            claims = {
                (names[row.ordinal], row.municipality): (
                    *(row.state, row.entered_on, row.entered_by, row.moved_from),
                    *(row.deleted_on, row.moved_to, row.epoch, row.sequence),
                    held_claim(row, self.sealer).information,
                )
                for row in connection.execute(select(t.claim))
            }
            residencies = {
                names[row.ordinal]: (ResidencyStatus(row.status), row.municipality)
                for row in connection.execute(select(t.residency))
            }
            reports = [
                (row.ordinal, notification_pb2.DisputeReport.FromString(row.report))
                for row in connection.execute(select(t.dispute).where(t.dispute.c.is_open))
            ]
            disputes = sorted(
                (
                    names.get(ordinal, ()),
                    report.reason,
                    tuple(report.municipalities),
                    # A person's dispute may rest on other notifications of the same municipalities.
                    report.dispute_id if ordinal is None else "",
                )
                for ordinal, report in reports
            )
        assert residencies.keys() == {person for person, _ in claims} == set(names.values())
        return {"residencies": residencies, "claims": claims, "disputes": disputes}


@pytest.fixture(scope="module")
def registers() -> Iterator[Registers]:
    engine = open_engine("sqlite://")
    migrate(engine, "national")
    yield Registers(Nation(engine, Hosts()))
    engine.dispose()


def streams(story: Story) -> list[list[RecordChange]]:
    """The story taken apart by municipality."""
    return [
        [change for change in story.changes if change.municipality == municipality]
        for municipality in MUNICIPALITIES
        if any(change.municipality == municipality for change in story.changes)
    ]


def interleaved(story: Story, chance: random.Random) -> list[list[RecordChange]]:
    """Runs of random length of the streams, in a random order that keeps each stream's own."""
    waiting = [list(stream) for stream in streams(story)]
    runs = []
    while waiting:
        stream = chance.choice(waiting)
        length = chance.randint(1, len(stream))
        runs.append(stream[:length])
        del stream[:length]
        waiting = [one for one in waiting if one]
    return runs


def told(runs: Sequence[Sequence[RecordChange]]) -> list[str]:
    return [f"{c.municipality} {c.sequence} {c.reason.name}" for run in runs for c in run]


@pytest.mark.parametrize("nation", [True, False], ids=["nation", "prefecture"])
@settings(
    deadline=None,
    max_examples=EXAMPLES,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(data=st.data(), chance=st.randoms(use_true_random=False))
def test_every_interleaving_of_the_streams_ends_in_the_same_register(
    registers: Registers, nation: bool, data: st.DataObject, chance: random.Random
) -> None:
    story = data.draw(stories(registers.stock))
    in_true_order = [[change] for change in story.changes]
    expected = registers.after(in_true_order, nation=nation)
    if not story.is_contradictory:
        assert expected["disputes"] == []
        assert sorted(expected["residencies"].values()) == sorted(story.truth)
    whole_streams = list(itertools.permutations(streams(story)))
    for runs in (
        *chance.sample(whole_streams, min(4, len(whole_streams))),
        *(interleaved(story, chance) for _ in range(4)),
    ):
        note(f"true order: {told(in_true_order)}\nas arrived: {told(runs)}")
        assert registers.after(runs, nation=nation) == expected


def ending(registers: Registers, changes: Sequence[RecordChange], *, nation: bool) -> Any:
    """The residencies and the reasons of the open disputes after the changes, one by one."""
    held = registers.after([[change] for change in changes], nation=nation)
    return list(held["residencies"].values()), [reason for _, reason, *_ in held["disputes"]]


both_tiers = pytest.mark.parametrize("nation", [True, False], ids=["nation", "prefecture"])
A, B = MUNICIPALITIES[:2]


def moved(registers: Registers, *, number: bool = False) -> Story:
    """A birth in A, there a code change, and a move to B under the new code."""
    story, life = Story(), Life("甲", home=A)
    life.code = story.fresh_code(registers.stock, A)
    story.tell(life, A, R.BIRTH)
    if number:
        life.number = registers.stock.numbers[life.code]
        story.tell(life, A, R.NUMBER_DESIGNATION)
    former, life.code = life.code, story.fresh_code(registers.stock, A)
    story.tell(life, A, R.CODE_CHANGE_REQUEST, former_code=former)
    story.tell(life, A, R.MOVING_OUT, moved_to=B)
    story.tell(life, B, R.MOVING_IN, moved_from=A)
    return story


@both_tiers
def test_an_entry_under_a_code_whose_change_is_still_to_come_becomes_the_same_person(
    registers: Registers, nation: bool
) -> None:
    *in_a, in_b = moved(registers).changes
    assert ending(registers, [in_b, *in_a[:1]], nation=nation)[0] == [
        (ResidencyStatus.RESIDENT, B),
        (ResidencyStatus.RESIDENT, A),
    ]
    assert ending(registers, [in_b, *in_a[:2]], nation=nation) == (
        [(ResidencyStatus.PENDING_TRANSFER, B)],
        [],
    )
    assert ending(registers, [in_b, *in_a], nation=nation) == ([(ResidencyStatus.RESIDENT, B)], [])


@both_tiers
def test_a_number_carried_under_a_new_code_leads_to_the_same_person(
    registers: Registers, nation: bool
) -> None:
    *in_a, in_b = moved(registers, number=True).changes
    # The nation knows which code the number was made for; a prefecture once it is designated.
    first = ending(registers, [in_b, in_a[0]], nation=nation)[0]
    assert len(first) == (1 if nation else 2)
    assert ending(registers, [in_b, *in_a[:2]], nation=nation) == (
        [(ResidencyStatus.PENDING_TRANSFER, B)],
        [],
    )


def test_a_code_change_cannot_make_two_residents_one(registers: Registers) -> None:
    """The new code is another person's, allotted to another municipality."""
    story, one, other = Story(), Life("甲", home=A), Life("乙", home=B)
    one.code, other.code = (story.fresh_code(registers.stock, m) for m in (A, B))
    story.tell(one, A, R.BIRTH)
    story.tell(other, B, R.BIRTH)
    former, one.code = one.code, other.code
    story.tell(one, A, R.CODE_CHANGE_REQUEST, former_code=former)
    for changes in (story.changes, [story.changes[i] for i in (0, 2, 1)]):
        assert ending(registers, changes, nation=True) == (
            [(ResidencyStatus.RESIDENT, A), (ResidencyStatus.RESIDENT, B)],
            [notification_pb2.DISPUTE_REASON_CODE_NOT_ALLOTTED],
        )


@both_tiers
def test_a_municipality_cannot_change_one_of_its_residents_codes_to_anothers(
    registers: Registers, nation: bool
) -> None:
    story, one, other = Story(), Life("甲", home=A), Life("乙", home=A)
    one.code, other.code = (story.fresh_code(registers.stock, A) for _ in range(2))
    story.tell(one, A, R.BIRTH)
    story.tell(other, A, R.BIRTH)
    story.tell(other, A, R.MOVING_OUT, moved_to=B)
    story.tell(other, B, R.MOVING_IN, moved_from=A)
    former, one.code = one.code, other.code
    story.tell(one, A, R.CODE_CHANGE_REQUEST, former_code=former)
    assert ending(registers, story.changes, nation=nation) == (
        [(ResidencyStatus.RESIDENT, A), (ResidencyStatus.RESIDENT, B)],
        [notification_pb2.DISPUTE_REASON_CODE_TAKEN],
    )


@both_tiers
def test_a_second_code_given_by_mistake_is_undone_ex_officio(
    registers: Registers, nation: bool
) -> None:
    """B took a person from A for a first-time resident, then restored the true code."""
    story, life = Story(), Life("甲", home=A)
    code = life.code = story.fresh_code(registers.stock, A)
    story.tell(life, A, R.BIRTH)
    story.tell(life, A, R.MOVING_OUT, moved_to=B)
    mistaken = life.code = story.fresh_code(registers.stock, B)
    story.tell(life, B, R.MOVING_IN, moved_from=A)
    life.code = code
    story.tell(life, B, R.EX_OFFICIO_CODE_ENTRY, former_code=mistaken)
    in_a, in_b = story.changes[:2], story.changes[2:]
    for changes in (in_a + in_b, in_b + in_a):
        assert ending(registers, changes, nation=nation) == ([(ResidencyStatus.RESIDENT, B)], [])


@both_tiers
def test_numbers_exchanged_within_a_household_do_not_make_two_people_one(
    registers: Registers, nation: bool
) -> None:
    story, one, other = Story(), Life("甲", home=A), Life("乙", home=A)
    for life in (one, other):
        life.code = story.fresh_code(registers.stock, A)
        story.tell(life, A, R.MOVING_IN)
        life.number = registers.stock.numbers[life.code]
        story.tell(life, A, R.NUMBER_DESIGNATION)
        story.tell(life, A, R.MOVING_OUT, moved_to=B)
    one.number, other.number = other.number, one.number
    for life in (one, other):
        story.tell(life, B, R.MOVING_IN, moved_from=A)
    assert ending(registers, story.changes, nation=nation) == (
        [(ResidencyStatus.PENDING_TRANSFER, A)] * 2,
        [notification_pb2.DISPUTE_REASON_NUMBER_TAKEN] * 2,
    )


@both_tiers
def test_a_carried_number_leads_to_one_person_even_before_its_designation_is_known(
    registers: Registers, nation: bool
) -> None:
    """Born in C, from there to A, where the code changed, and on to B, whose entry comes first."""
    story, life, third = Story(), Life("甲"), MUNICIPALITIES[2]
    life.code = story.fresh_code(registers.stock, third)
    story.tell(life, third, R.BIRTH)
    life.number = registers.stock.numbers[life.code]
    story.tell(life, third, R.NUMBER_DESIGNATION)
    story.tell(life, third, R.MOVING_OUT, moved_to=A)
    story.tell(life, A, R.MOVING_IN, moved_from=third)
    former, life.code = life.code, story.fresh_code(registers.stock, A)
    story.tell(life, A, R.CODE_CHANGE_REQUEST, former_code=former)
    story.tell(life, A, R.MOVING_OUT, moved_to=B)
    story.tell(life, B, R.MOVING_IN, moved_from=A)
    first, in_b = story.changes[0], story.changes[-1]
    in_a, rest = story.changes[3:6], story.changes[1:3]
    assert ending(registers, [in_b, first, *in_a, *rest], nation=nation) == (
        [(ResidencyStatus.RESIDENT, B)],
        [],
    )
