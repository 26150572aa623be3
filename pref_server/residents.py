"""Counts a municipality's residents by sex and age band, from the sealed register."""

from __future__ import annotations

import datetime
from collections import Counter
from typing import Final, NamedTuple

from sqlalchemy import Engine, select

from juki.domain.change import RecordState
from juki.domain.four_items import BirthDate, Sex
from juki.domain.residency import ResidencyStatus
from juki.register import tables as t
from juki.register.held import held_claim
from juki.store.sealing import Sealer
from juki.v1 import identification_pb2
from juki.wire import four_items_from_proto

BAND_YEARS: Final = 5
OLDEST_BAND: Final = 85
"""The last band has no upper end: there are few above, and the oldest are known by name."""

_PAGE: Final = 2_000
_LIVING_HERE: Final = (ResidencyStatus.RESIDENT, ResidencyStatus.PENDING_TRANSFER)


class Cell(NamedTuple):
    """One sex and one age band."""

    sex: Sex
    youngest: int
    """Age in whole years."""


CELLS: Final = tuple(
    Cell(sex, youngest) for sex in Sex for youngest in range(0, OLDEST_BAND + 1, BAND_YEARS)
)


def count_residents(
    engine: Engine, sealer: Sealer, municipality: str, day: datetime.date
) -> Counter[Cell]:
    """How many live in the municipality (six digits) as its register now says, by age on `day`.

    Who is between two municipalities is counted where they are entered; the dispute of who is
    claimed by two is not ours to settle: they are counted nowhere.

    Raises:
        JukiError: TAMPERING_DETECTED when a stored record does not open in its place.
    """
    counts: Counter[Cell] = Counter()
    claim, residency = t.claim, t.residency
    statement = (
        select(claim)
        .join(
            residency,
            (claim.c.ordinal == residency.c.ordinal)
            & (claim.c.municipality == residency.c.municipality),
        )
        .where(
            claim.c.municipality == municipality,
            claim.c.state == RecordState.CURRENT,
            residency.c.status.in_(_LIVING_HERE),
        )
        .order_by(claim.c.ordinal)
        .limit(_PAGE)
    )
    after = 0
    while True:
        with engine.connect().execution_options(read_only=True) as connection:
            rows = connection.execute(statement.where(claim.c.ordinal > after)).all()
        if not rows:
            return counts
        for row in rows:
            information = identification_pb2.IdentificationInformation.FromString(
                held_claim(row, sealer).information
            )
            items = four_items_from_proto(information)
            counts[Cell(items.sex, _band(age(items.birth_date, day)))] += 1
        after = rows[-1].ordinal


def age(born: BirthDate, day: datetime.date) -> int:
    """Whole years of age on a day; an unknown month or day of birth counts as the first."""
    before_birthday = (day.month, day.day) < (born.month or 1, born.day or 1)
    return max(0, day.year - born.year - before_birthday)


def _band(years: int) -> int:
    return min(years // BAND_YEARS * BAND_YEARS, OLDEST_BAND)
