"""People for the benches: synthetic residents with codes and numbers, handed over in one file."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Final

from juki.domain.codes import IndividualNumber, LocalGovernmentCode, ResidentRecordCode
from juki.domain.municipalities import register_keepers
from juki.domain.residency import ResidencyStatus
from juki.index.port import PersonState
from juki.population.residents import generate
from juki.v1 import identification_pb2 as pb
from juki.wire import four_items_to_proto

SEED: Final = 22
PREFECTURE: Final = "22"
_FRAME: Final = struct.Struct(">QI")


def write_people(path: Path, people: int) -> list[int]:
    """Writes `people` residents of one prefecture (mode 0600); returns their Individual Numbers.

    Raises JukiError (CONFIGURATION_INVALID) without the development extra.
    """
    random = Random(SEED)  # noqa: S311 - made-up people
    code_bodies = random.sample(range(10**10), people)
    number_bodies = random.sample(range(10**11), people)
    municipalities = sorted(LocalGovernmentCode(digits) for digits in register_keepers(PREFECTURE))
    numbers: list[int] = []
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        for ordinal, resident in enumerate(generate(municipalities, people, SEED), 1):
            items = four_items_to_proto(resident.four_items)
            number = IndividualNumber.from_body(number_bodies[ordinal - 1])
            numbers.append(int(number))
            information = pb.IdentificationInformation(
                name=items.name,
                birth_date=items.birth_date,
                sex=items.sex,
                address=items.address,
                resident_record_code=ResidentRecordCode.from_body(code_bodies[ordinal - 1]).digits,
                individual_number=number.digits,
                change=pb.ChangeInformation(
                    kind=pb.CHANGE_KIND_ENTRY,
                    reason=pb.CHANGE_REASON_MOVING_IN,
                    event_date=pb.CalendarDate(year=2026, month=4, day=1),
                ),
            ).SerializeToString()
            file.write(_FRAME.pack(ordinal, len(information)) + information)
    return numbers


def read_people(path: Path) -> Iterator[PersonState]:
    """The residents of a file that `write_people` wrote."""
    with path.open("rb") as file:
        while head := file.read(_FRAME.size):
            ordinal, length = _FRAME.unpack(head)
            yield PersonState(ordinal, ResidencyStatus.RESIDENT, file.read(length))
