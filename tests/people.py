"""Identification information for tests: hypothesis strategies, and a few known people."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hypothesis import strategies as st

from juki.domain.codes import IndividualNumber, ResidentRecordCode
from juki.v1 import identification_pb2 as pb

MEMORY = Path("/dev/shm")
"""Where the index may lie."""


@contextmanager
def memory_directory() -> Iterator[Path]:
    """A directory on memory-backed storage, gone after the block."""
    with tempfile.TemporaryDirectory(dir=MEMORY, prefix="juki-test-") as name:
        yield Path(name)


def code(body: int) -> str:
    """A valid resident record code."""
    return ResidentRecordCode.from_body(body).digits


def number(body: int) -> str:
    """A valid Individual Number."""
    return IndividualNumber.from_body(body).digits


def person(
    body: int,
    *,
    written: str = "",
    reading: str = "",
    alphabet: str = "",
    town: str = "追手町",
    remainder: str = "5番1号",
    former_code: str = "",
    former_number: str = "",
    reason: pb.ChangeReason.ValueType = pb.CHANGE_REASON_MOVING_IN,
    kind: pb.ChangeKind.ValueType = pb.CHANGE_KIND_ENTRY,
) -> pb.IdentificationInformation:
    """One person; `body` makes code and number."""
    return pb.IdentificationInformation(
        name=pb.PersonName(
            written=written or f"駿河　太郎{body}",
            reading=reading or "スルガ　タロウ",
            alphabet=alphabet,
        ),
        birth_date=pb.BirthDate(year=1950 + body % 60, month=1 + body % 12, day=1 + body % 28),
        sex=pb.SEX_MALE,
        address=pb.Address(municipality="221309", town=town, remainder=remainder),
        resident_record_code=code(body),
        individual_number=number(body),
        change=pb.ChangeInformation(
            kind=kind,
            reason=reason,
            event_date=pb.CalendarDate(year=2026, month=4, day=1),
            former_resident_record_code=former_code,
            former_individual_number=former_number,
        ),
    )


def four_items_of(information: pb.IdentificationInformation) -> pb.FourItems:
    """What a body asks by."""
    return pb.FourItems(
        name=information.name,
        birth_date=information.birth_date,
        sex=information.sex,
        address=information.address,
    )


_TEXT = st.text(
    st.characters(min_codepoint=0x20, exclude_categories=["Cs", "Cc"]), min_size=1, max_size=40
)
_MAYBE = st.one_of(st.just(""), _TEXT)
_DATES = st.builds(
    pb.CalendarDate,
    year=st.integers(1850, 2200),
    month=st.integers(1, 12),
    day=st.integers(1, 31),
)
_CODES = st.integers(0, 10**10 - 1).map(code)
_NUMBERS = st.integers(0, 10**11 - 1).map(number)

informations = st.builds(
    pb.IdentificationInformation,
    name=st.none()
    | st.builds(
        pb.PersonName,
        written=_TEXT,
        reading=_MAYBE,
        alphabet=_MAYBE,
        common_name=_MAYBE,
        former_surname=_MAYBE,
    ),
    birth_date=st.none()
    | st.builds(
        pb.BirthDate,
        year=st.integers(1850, 2200),
        month=st.integers(0, 12),
        day=st.integers(0, 31),
    ),
    sex=st.sampled_from(pb.Sex.values()),
    address=st.none()
    | st.builds(pb.Address, municipality=st.just("221309"), town=_TEXT, remainder=_MAYBE),
    resident_record_code=st.just("") | _CODES,
    individual_number=st.just("") | _NUMBERS,
    change=st.none()
    | st.builds(
        pb.ChangeInformation,
        kind=st.sampled_from(pb.ChangeKind.values()),
        reason=st.sampled_from(pb.ChangeReason.values()),
        event_date=st.none() | _DATES,
        former_resident_record_code=st.just("") | _CODES,
        former_individual_number=st.just("") | _NUMBERS,
    ),
)
"""Whatever the contract can hold, sensible or not."""
