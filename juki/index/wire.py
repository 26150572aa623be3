"""A person's value in the index: protobuf wire bytes cut so that a field mask is a slice.

`IdentificationInformation` is taken apart into pieces, each a complete occurrence of one field.
Parsers merge an embedded message that occurs more than once (protobuf encoding, "Last One Wins"),
so the change information is three pieces: itself, the former number and the former code. Any
selection of pieces, joined, is the message with everything else cleared.

    value = status (1) | codes (1) | numbers (1) | four-items keys (2) | ends of pieces (9 x 2)
            | pieces | the person's own keys: 8 bytes a code or number, 16 a four-items key

All integers big-endian. The pieces stand in the order of what is given most often, so that the
usual answers are one slice from the start. The keys are for updates, which must find the old ones.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, Self

from google.protobuf.message import Message

from juki.domain.errors import InvalidValue
from juki.domain.legal_basis import Decision, Field, PersonCondition
from juki.domain.residency import ResidencyStatus
from juki.v1 import identification_pb2

NUMBER_KEY: Final = struct.Struct(">Q")
"""Key of a code or number (its decimal value), and of an ordinal."""
FOUR_ITEMS_KEY_BYTES: Final = 16

_HEADER: Final = struct.Struct(">BBBH9H")
_ENDS_AT: Final = 5
_LARGEST: Final = 0xFFFF

_ADDRESS_BOUNDS: Final = struct.Struct(">2H")
_ADDRESS_BOUNDS_AT: Final = _ENDS_AT + 2 * 2
"""Where the ends of the pieces before the address and of the address stand, in `Piece`'s order."""
_ONE_BYTE_LENGTH: Final = 2 + 0x7F
"""A piece no longer than this says the length of what it holds in one byte."""
_SIX_CHARACTERS: Final = b"\x0a\x06"
"""`Address.municipality`: field 1, six bytes."""


class Piece(IntEnum):
    """The pieces in their order in a value."""

    NAME = 0
    BIRTH_DATE = 1
    SEX = 2
    ADDRESS = 3
    CHANGE = 4
    """Kind, reason and date; neither former code nor former number."""
    INDIVIDUAL_NUMBER = 5
    FORMER_NUMBER = 6
    RESIDENT_RECORD_CODE = 7
    FORMER_CODE = 8


_PIECE_OF_FIELD: Final = {
    Field.NAME: Piece.NAME,
    Field.BIRTH_DATE: Piece.BIRTH_DATE,
    Field.SEX: Piece.SEX,
    Field.ADDRESS: Piece.ADDRESS,
    Field.CHANGE: Piece.CHANGE,
    Field.INDIVIDUAL_NUMBER: Piece.INDIVIDUAL_NUMBER,
    Field.RESIDENT_RECORD_CODE: Piece.RESIDENT_RECORD_CODE,
}


@dataclass(frozen=True, slots=True)
class PersonKeys:
    """The keys that lead to one person: codes and numbers in 8 bytes, four items in 16."""

    codes: tuple[bytes, ...]
    numbers: tuple[bytes, ...]
    four_items: tuple[bytes, ...]

    def __repr__(self) -> str:
        return "PersonKeys(…)"


class FieldMask:
    """Which pieces of a value an answer holds; made once per decision, not per person."""

    __slots__ = ("_pieces", "admits", "cut")

    def __init__(
        self, pieces: Iterable[Piece], admits: Callable[[bytes, bytes], bool] | None = None
    ) -> None:
        self._pieces = frozenset(pieces)
        self.admits = admits
        """Whether the decision speaks of the person with this key (8 bytes, the ordinal) and this
        value; None: of everybody."""

        self.cut: Callable[[bytes], bytes] = _cutter(_runs(self._pieces))
        """Cuts the wire bytes of the masked message out of a value."""

    @classmethod
    def of(
        cls,
        granted: AbstractSet[Field],
        *,
        number_in_change: bool,
        code_in_change: bool,
        persons: PersonCondition | None = None,
    ) -> Self:
        """The mask of granted fields; the former values need the change information as well."""
        pieces = {_PIECE_OF_FIELD[field] for field in granted}
        if Field.CHANGE in granted and number_in_change:
            pieces.add(Piece.FORMER_NUMBER)
        if Field.CHANGE in granted and code_in_change:
            pieces.add(Piece.FORMER_CODE)
        return cls(pieces, None if persons is None else _admitting(persons))

    @classmethod
    def of_decision(cls, decision: Decision) -> Self:
        """The mask of what a decision grants."""
        return cls.of(
            decision.granted,
            number_in_change=decision.number_in_change,
            code_in_change=decision.code_in_change,
            persons=decision.persons,
        )

    def __repr__(self) -> str:
        return f"FieldMask({', '.join(piece.name for piece in sorted(self._pieces))})"


def pack_value(status: ResidencyStatus, information: bytes, keys: PersonKeys) -> bytes:
    """The value of a person; `information` is empty where nothing may be given.

    Raises InvalidValue for a person too large for the layout (64 KiB; valid ones have 6 at most).
    """
    ends = []
    end = _HEADER.size
    pieces = cut_pieces(information) if information else [b""] * len(Piece)
    for piece in pieces:
        end += len(piece)
        ends.append(end)
    counts = (len(keys.codes), len(keys.numbers), len(keys.four_items))
    if end > _LARGEST or max(counts) > 0xFF:
        raise InvalidValue("a person is too large for the index")
    return b"".join(
        (
            _HEADER.pack(int(status), *counts, *ends),
            *pieces,
            *keys.codes,
            *keys.numbers,
            *keys.four_items,
        )
    )


def is_disputed(value: bytes) -> bool:
    """Whether nothing of this person may be given."""
    return value[0] == ResidencyStatus.DISPUTED


def prefecture_of(value: bytes) -> bytes:
    """Two digits: whose governor notified the person's present information (通知都道府県).

    The register holds an address to lie in the municipality that notified it. The address is its
    piece's only field, the local government code that begins it the address's first. Empty for a
    person without an address.
    """
    start, end = _ADDRESS_BOUNDS.unpack_from(value, _ADDRESS_BOUNDS_AT)
    at = start + (2 if end - start <= _ONE_BYTE_LENGTH else 3)  # tag and length of the address
    if value[at : at + 2] != _SIX_CHARACTERS or at + 8 > end:
        return b""
    return value[at + 2 : at + 4]


def _admitting(persons: PersonCondition) -> Callable[[bytes, bytes], bool]:
    by, not_by = persons.notified_by.encode(), persons.not_notified_by.encode()
    named = None if persons.named is None else {NUMBER_KEY.pack(one) for one in persons.named}
    abroad, disputed = int(ResidencyStatus.MOVED_ABROAD), int(ResidencyStatus.DISPUTED)

    def admits(ordinal: bytes, value: bytes) -> bool:
        if named is not None and ordinal not in named:
            return False
        if value[0] == disputed:
            return True  # nothing is given of them, and whoever keeps registers has to know
        if persons.moved_abroad and value[0] != abroad:
            return False
        if not by and not not_by:
            return True
        prefecture = prefecture_of(value)
        # Nobody whose prefecture is not known is admitted to either.
        return bool(prefecture) and (not by or prefecture == by) and prefecture != not_by

    return admits


def keys_of_value(value: bytes) -> PersonKeys:
    """The keys under which the value's person was entered."""
    _, codes, numbers, four_items, *ends = _HEADER.unpack_from(value)
    numbers_at = ends[-1] + codes * NUMBER_KEY.size
    four_items_at = numbers_at + numbers * NUMBER_KEY.size
    end = four_items_at + four_items * FOUR_ITEMS_KEY_BYTES
    return PersonKeys(
        _split(value[ends[-1] : numbers_at], NUMBER_KEY.size),
        _split(value[numbers_at:four_items_at], NUMBER_KEY.size),
        _split(value[four_items_at:end], FOUR_ITEMS_KEY_BYTES),
    )


def cut_pieces(information: bytes) -> list[bytes]:
    """The pieces of a serialised `juki.v1.IdentificationInformation`, in the order of `Piece`."""
    whole = identification_pb2.IdentificationInformation.FromString(information)
    pieces = [b""] * len(Piece)
    info = identification_pb2.IdentificationInformation
    # An embedded message that is there but empty stays there.
    if whole.HasField("name"):
        pieces[Piece.NAME] = _bytes_of(info(name=whole.name))
    if whole.HasField("birth_date"):
        pieces[Piece.BIRTH_DATE] = _bytes_of(info(birth_date=whole.birth_date))
    if whole.HasField("address"):
        pieces[Piece.ADDRESS] = _bytes_of(info(address=whole.address))
    pieces[Piece.SEX] = _bytes_of(info(sex=whole.sex))
    pieces[Piece.INDIVIDUAL_NUMBER] = _bytes_of(info(individual_number=whole.individual_number))
    pieces[Piece.RESIDENT_RECORD_CODE] = _bytes_of(
        info(resident_record_code=whole.resident_record_code)
    )
    if whole.HasField("change"):
        change = info(change=whole.change)
        former_code = change.change.former_resident_record_code
        former_number = change.change.former_individual_number
        change.change.ClearField("former_resident_record_code")
        change.change.ClearField("former_individual_number")
        pieces[Piece.CHANGE] = change.SerializeToString()
        made = identification_pb2.ChangeInformation
        if former_number:
            pieces[Piece.FORMER_NUMBER] = _bytes_of(
                info(change=made(former_individual_number=former_number))
            )
        if former_code:
            pieces[Piece.FORMER_CODE] = _bytes_of(
                info(change=made(former_resident_record_code=former_code))
            )
    return pieces


def _bytes_of(message: Message) -> bytes:
    return message.SerializeToString()


def _split(joined: bytes, size: int) -> tuple[bytes, ...]:
    return tuple(joined[at : at + size] for at in range(0, len(joined), size))


def _runs(pieces: AbstractSet[Piece]) -> list[tuple[int, int]]:
    """Neighbouring pieces as (first, last)."""
    runs: list[tuple[int, int]] = []
    for piece in sorted(pieces):
        if runs and runs[-1][1] == piece - 1:
            runs[-1] = (runs[-1][0], int(piece))
        else:
            runs.append((int(piece), int(piece)))
    return runs


def _cutter(runs: Sequence[tuple[int, int]]) -> Callable[[bytes], bytes]:
    if not runs:
        return lambda _value: b""
    pieces_at = _HEADER.size
    if len(runs) == 1 and runs[0][0] == 0:
        high = _ENDS_AT + 2 * runs[0][1]
        low = high + 1

        def cut_lead(value: bytes) -> bytes:
            return value[pieces_at : value[high] << 8 | value[low]]

        return cut_lead

    def cut_runs(value: bytes) -> bytes:
        ends = (pieces_at, *_HEADER.unpack_from(value)[4:])
        return b"".join([value[ends[first] : ends[last + 1]] for first, last in runs])

    return cut_runs
