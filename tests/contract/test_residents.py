"""Residents are counted from the register as it is, over a real database."""

from __future__ import annotations

import datetime

import pytest
from sqlalchemy import update

from juki.domain.change import ChangeReason
from juki.domain.errors import JukiError, Reason
from juki.domain.four_items import BirthDate, Sex
from juki.register import tables as t
from juki.v1 import identification_pb2, notification_pb2
from pref_server.residents import Cell, age, count_residents
from tests.register_fixtures import Nation
from tests.stream import Stream, information

HERE, THERE = "221309", "221007"
DAY = datetime.date(2026, 4, 1)
"""Whom `information` makes up, a woman born on 1985-04-02, is 40 on it and 41 the day after."""


def born(
    nation: Nation, stream: Stream, year: int = 1985
) -> tuple[str, notification_pb2.SignedNotification]:
    """Somebody's code, and the entry that the nation has taken in."""
    code = nation.code(stream.municipality)
    message = information(code, ChangeReason.BIRTH, municipality=stream.municipality)
    message.birth_date.year = year
    message.sex = identification_pb2.SEX_MALE if year % 2 == 0 else identification_pb2.SEX_FEMALE
    entry = stream.add(message)
    nation.submit(stream, entry)
    return code, entry


@pytest.mark.parametrize(
    ("birth", "day", "years"),
    [
        (BirthDate(1985, 4, 2), datetime.date(2026, 4, 1), 40),
        (BirthDate(1985, 4, 2), datetime.date(2026, 4, 2), 41),
        (BirthDate(2024, 2, 29), datetime.date(2025, 2, 28), 0),
        (BirthDate(2024, 2, 29), datetime.date(2025, 3, 1), 1),
        (BirthDate(1940), datetime.date(2026, 1, 1), 86),
        (BirthDate(1940, 5), datetime.date(2026, 5, 1), 86),
        (BirthDate(2027, 1, 1), datetime.date(2026, 5, 1), 0),
    ],
)
def test_age_is_in_whole_years_and_unknown_parts_of_a_birthday_are_the_first(
    birth: BirthDate, day: datetime.date, years: int
) -> None:
    assert age(birth, day) == years


def test_residents_are_counted_by_municipality_sex_and_age(nation: Nation) -> None:
    here, there = nation.stream(HERE), nation.stream(THERE)
    for year in (1985, 1985, 1986, 2025, 1901, 1930):
        born(nation, here, year)
    born(nation, there)
    assert count_residents(nation.engine, nation.sealer, HERE, DAY) == {
        Cell(Sex.FEMALE, 40): 2,
        Cell(Sex.MALE, 35): 1,
        Cell(Sex.FEMALE, 0): 1,
        Cell(Sex.FEMALE, 85): 1,
        Cell(Sex.MALE, 85): 1,
    }
    assert count_residents(nation.engine, nation.sealer, THERE, DAY) == {Cell(Sex.FEMALE, 40): 1}


def test_who_moved_or_died_is_counted_where_they_live_or_nowhere(nation: Nation) -> None:
    here, there = nation.stream(HERE), nation.stream(THERE)
    (mover, entry), (dead, last) = born(nation, here), born(nation, here)
    left = here.add(information(mover, ChangeReason.MOVING_OUT), moved_to=THERE, predecessor=entry)
    nation.submit(here, left, here.add(information(dead, ChangeReason.DEATH), predecessor=last))
    # Out of the one and not yet in the other: on no register.
    assert not count_residents(nation.engine, nation.sealer, HERE, DAY)
    assert not count_residents(nation.engine, nation.sealer, THERE, DAY)
    arrived = information(mover, ChangeReason.MOVING_IN, municipality=THERE)
    nation.submit(there, there.add(arrived, moved_from=HERE))
    assert not count_residents(nation.engine, nation.sealer, HERE, DAY)
    assert count_residents(nation.engine, nation.sealer, THERE, DAY) == {Cell(Sex.FEMALE, 40): 1}


def test_who_is_entered_before_the_deletion_is_counted_once(nation: Nation) -> None:
    here, there = nation.stream(HERE), nation.stream(THERE)
    mover, _ = born(nation, here)
    arrived = information(
        mover,
        ChangeReason.MOVING_IN,
        municipality=THERE,
        event_date=datetime.date(2026, 5, 1),
    )
    nation.submit(there, there.add(arrived, moved_from=HERE))
    assert not count_residents(nation.engine, nation.sealer, HERE, DAY)
    assert count_residents(nation.engine, nation.sealer, THERE, DAY) == {Cell(Sex.FEMALE, 40): 1}


def test_who_two_municipalities_claim_is_counted_in_neither(nation: Nation) -> None:
    here, there = nation.stream(HERE), nation.stream(THERE)
    code, _ = born(nation, here)
    claimed = information(code, ChangeReason.EX_OFFICIO_ENTRY, municipality=THERE)
    nation.submit(there, there.add(claimed))
    assert not count_residents(nation.engine, nation.sealer, HERE, DAY)
    assert not count_residents(nation.engine, nation.sealer, THERE, DAY)


def test_a_record_that_was_tampered_with_is_not_counted_but_reported(nation: Nation) -> None:
    born(nation, nation.stream(HERE))
    nation.tampered_with = True
    with nation.engine.begin() as connection:
        connection.execute(update(t.claim).values(entered_on=datetime.date(2020, 1, 1)))
    with pytest.raises(JukiError) as refused:
        count_residents(nation.engine, nation.sealer, HERE, DAY)
    assert refused.value.reason is Reason.TAMPERING_DETECTED
