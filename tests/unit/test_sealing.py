"""Sealed columns open in their own place only; blind indexes are equal for equal values only."""

from __future__ import annotations

import dataclasses
import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from juki.domain.change import ChangeReason, RecordState
from juki.domain.errors import JukiError, Reason
from juki.domain.residency import Claim
from juki.register.held import claim_place
from juki.register.streams import envelope_place
from juki.store.sealing import BLIND_LENGTH, Sealer

KEY = bytes(range(32))
SEALER = Sealer(KEY)
SECRET = "山田　花子".encode()
CLAIM = Claim(
    "221309", RecordState.CURRENT, datetime.date(2026, 4, 1), ChangeReason.BIRTH, moved_from=""
)


def envelope(sequence: int) -> bytes:
    return envelope_place(
        "221309",
        1,
        sequence,
        digest=bytes(32),
        receipt_id=1,
        received_at=1,
        dispute_reason=None,
    )


def place_of(ordinal: int = 7, epoch: int = 1, sequence: int = 42, **changed: object) -> bytes:
    return claim_place(ordinal, dataclasses.replace(CLAIM, **changed), epoch, sequence)  # type: ignore[arg-type]


HOME = place_of()


def is_tampering(sealer: Sealer, sealed: bytes, place: bytes) -> bool:
    with pytest.raises(JukiError) as refused:
        sealer.open(sealed, place)
    assert SECRET.decode() not in str(refused.value)
    return refused.value.reason is Reason.TAMPERING_DETECTED


@settings(deadline=None)
@given(st.binary(max_size=500), st.binary(max_size=60))
def test_a_sealed_value_opens_in_its_place(plaintext: bytes, place: bytes) -> None:
    sealed = SEALER.seal(plaintext, place)
    assert SEALER.open(sealed, place) == plaintext
    assert Sealer(KEY).open(sealed, place) == plaintext


def test_the_same_value_is_never_sealed_the_same_twice() -> None:
    assert len({SEALER.seal(SECRET, HOME) for _ in range(100)}) == 100


@pytest.mark.parametrize(
    "place",
    [
        place_of(ordinal=8),
        place_of(municipality="221007"),
        place_of(epoch=2),
        place_of(sequence=41),
        place_of(state=RecordState.DIED, deleted_on=datetime.date(2026, 4, 2)),
        envelope(42),
        b"",
    ],
    ids=[
        "another row",
        "another municipality",
        "another epoch",
        "an older version",
        "another state",
        "another column",
        "none",
    ],
)
def test_a_value_moved_to_another_place_is_tampering(place: bytes) -> None:
    assert is_tampering(SEALER, SEALER.seal(SECRET, HOME), place)


def test_values_swapped_between_two_rows_are_both_tampering() -> None:
    places = [envelope(sequence) for sequence in (1, 2)]
    first, second = (SEALER.seal(SECRET, place) for place in places)
    assert is_tampering(SEALER, second, places[0])
    assert is_tampering(SEALER, first, places[1])


def test_a_value_cut_off_anywhere_is_tampering() -> None:
    sealed = SEALER.seal(SECRET, HOME)
    for length in range(len(sealed)):
        assert is_tampering(SEALER, sealed[:length], HOME)
    assert is_tampering(SEALER, sealed + b"\0", HOME)


def test_every_flipped_bit_is_tampering() -> None:
    sealed = SEALER.seal(SECRET, HOME)
    for position in range(len(sealed)):
        for bit in range(8):
            damaged = bytearray(sealed)
            damaged[position] ^= 1 << bit
            assert is_tampering(SEALER, bytes(damaged), HOME)


def test_a_value_under_another_key_version_or_another_key_is_tampering() -> None:
    sealed = SEALER.seal(SECRET, HOME)
    assert is_tampering(Sealer(KEY, key_version=2), sealed, HOME)
    assert is_tampering(Sealer(bytes(32)), sealed, HOME)
    relabelled = Sealer(KEY, key_version=2).seal(SECRET, HOME)[:5] + sealed[5:]
    assert is_tampering(Sealer(KEY, key_version=2), relabelled, HOME)


kinds = st.sampled_from(["code", "number"])


@settings(deadline=None)
@given(kinds, st.text(max_size=20), kinds, st.text(max_size=20))
def test_blind_indexes_are_equal_for_equal_values_of_one_kind_only(
    kind: str, value: str, other_kind: str, other_value: str
) -> None:
    one, other = SEALER.blind(kind, value), SEALER.blind(other_kind, other_value)
    assert len(one) == BLIND_LENGTH
    assert (one == other) == ((kind, value) == (other_kind, other_value))


def test_a_blind_index_cannot_be_made_without_the_key() -> None:
    assert SEALER.blind("code", "24727059608") != Sealer(bytes(32)).blind("code", "24727059608")


def test_the_places_of_a_register_never_meet() -> None:
    """No claim of one row may pass for that of another by the way its parts are written."""
    places = [
        place_of(ordinal, epoch, sequence, municipality=municipality)
        for ordinal in (1, 11, 111)
        for municipality in ("221309", "221007")
        for epoch in (1, 11)
        for sequence in (1, 11, 111)
    ]
    assert len(set(places)) == len(places)
