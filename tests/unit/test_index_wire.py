"""A mask is a slice: what is cut out of a value is the message with everything else cleared."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from juki.domain.errors import InvalidValue
from juki.domain.legal_basis import Decision, Field, PersonCondition
from juki.domain.residency import ResidencyStatus
from juki.index.wire import FieldMask, PersonKeys, keys_of_value, pack_value
from juki.v1 import identification_pb2 as pb
from tests.people import informations, person

NO_KEYS = PersonKeys((), (), ())
PROTO_FIELD = {
    Field.NAME: "name",
    Field.BIRTH_DATE: "birth_date",
    Field.SEX: "sex",
    Field.ADDRESS: "address",
    Field.RESIDENT_RECORD_CODE: "resident_record_code",
    Field.INDIVIDUAL_NUMBER: "individual_number",
    Field.CHANGE: "change",
}
MASKS = st.tuples(st.frozensets(st.sampled_from(list(Field))), st.booleans(), st.booleans())


def masked(
    information: pb.IdentificationInformation,
    granted: frozenset[Field],
    number_in_change: bool,
    code_in_change: bool,
) -> pb.IdentificationInformation:
    """The same by clearing fields of the message."""
    left = pb.IdentificationInformation()
    left.CopyFrom(information)
    for field, name in PROTO_FIELD.items():
        if field not in granted:
            left.ClearField(name)
    if left.HasField("change") and not number_in_change:
        left.change.ClearField("former_individual_number")
    if left.HasField("change") and not code_in_change:
        left.change.ClearField("former_resident_record_code")
    return left


@given(informations, MASKS)
def test_what_a_mask_cuts_out_is_the_message_with_the_other_fields_cleared(
    information: pb.IdentificationInformation, mask: tuple[frozenset[Field], bool, bool]
) -> None:
    granted, number_in_change, code_in_change = mask
    value = pack_value(ResidencyStatus.RESIDENT, information.SerializeToString(), NO_KEYS)
    cut = FieldMask.of(
        granted, number_in_change=number_in_change, code_in_change=code_in_change
    ).cut(value)
    assert pb.IdentificationInformation.FromString(cut) == masked(information, *mask)


@given(
    informations,
    st.lists(st.binary(min_size=8, max_size=8), max_size=4),
    st.lists(st.binary(min_size=8, max_size=8), max_size=4),
    st.lists(st.binary(min_size=16, max_size=16), max_size=4),
)
def test_a_value_remembers_the_keys_it_was_entered_under(
    information: pb.IdentificationInformation,
    codes: list[bytes],
    numbers: list[bytes],
    four_items: list[bytes],
) -> None:
    keys = PersonKeys(tuple(codes), tuple(numbers), tuple(four_items))
    value = pack_value(ResidencyStatus.RESIDENT, information.SerializeToString(), keys)
    assert keys_of_value(value) == keys


def test_former_values_do_not_leave_without_the_change_information() -> None:
    mask = FieldMask.of_decision(
        Decision(frozenset({Field.NAME}), (), "30-9", number_in_change=True, code_in_change=True)
    )
    former = person(1, former_code="24727059608", former_number="123456789018")
    value = pack_value(ResidencyStatus.RESIDENT, former.SerializeToString(), NO_KEYS)
    assert pb.IdentificationInformation.FromString(mask.cut(value)) == pb.IdentificationInformation(
        name=former.name
    )


def test_a_person_too_large_for_the_layout_is_refused() -> None:
    large = person(1, remainder="番" * 30_000)
    with pytest.raises(InvalidValue):
        pack_value(ResidencyStatus.RESIDENT, large.SerializeToString(), NO_KEYS)


def test_neither_keys_nor_masks_show_a_person() -> None:
    keys = PersonKeys((b"12345678",), (), ())
    assert repr(keys) == "PersonKeys(…)"


def admits(
    status: ResidencyStatus, information: pb.IdentificationInformation, **of: object
) -> bool:
    value = pack_value(status, information.SerializeToString(), NO_KEYS)
    mask = FieldMask.of(
        {Field.NAME}, number_in_change=False, code_in_change=False, persons=PersonCondition(**of)
    )
    assert mask.admits is not None
    return mask.admits((7).to_bytes(8, "big"), value)


@given(informations, st.sampled_from(["22", "23"]), st.sampled_from(["", "字", "字" * 200]))
def test_a_condition_goes_by_the_prefecture_that_notified_the_address(
    information: pb.IdentificationInformation, prefecture: str, town: str
) -> None:
    information.address.municipality = f"{prefecture}1309"
    information.address.town = town
    resident = ResidencyStatus.RESIDENT
    assert admits(resident, information, notified_by="22") == (prefecture == "22")
    assert admits(resident, information, not_notified_by="22") == (prefecture != "22")


def test_nobody_is_admitted_whose_prefecture_is_not_known() -> None:
    nowhere = pb.IdentificationInformation()
    assert not admits(ResidencyStatus.RESIDENT, nowhere, notified_by="22")
    assert not admits(ResidencyStatus.RESIDENT, nowhere, not_notified_by="22")


@pytest.mark.parametrize("status", ResidencyStatus)
def test_cards_abroad_are_for_those_who_moved_abroad(status: ResidencyStatus) -> None:
    admitted = {ResidencyStatus.MOVED_ABROAD, ResidencyStatus.DISPUTED}
    assert admits(status, person(1), moved_abroad=True) == (status in admitted)


@pytest.mark.parametrize("status", ResidencyStatus)
def test_a_consent_speaks_of_nobody_else_not_even_that_they_are_disputed(
    status: ResidencyStatus,
) -> None:
    assert admits(status, person(1), named=frozenset({7}))
    assert not admits(status, person(1), named=frozenset({8}))
    assert not admits(status, person(1), named=frozenset())
