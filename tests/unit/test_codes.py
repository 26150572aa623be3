"""The three codes: what can be built, what cannot, and what they show of themselves."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from juki.domain.codes import IndividualNumber, LocalGovernmentCode, ResidentRecordCode
from juki.domain.errors import InvalidValue

code_bodies = st.integers(0, 10**10 - 1)
number_bodies = st.integers(0, 10**11 - 1)


def with_digit(digits: str, position: int, shift: int) -> str:
    """`digits` with one digit changed by 1 to 9."""
    changed = (int(digits[position]) + shift) % 10
    return f"{digits[:position]}{changed}{digits[position + 1 :]}"


@pytest.mark.parametrize("digits", ["621498320257", "123456789018", "983205673214", "454972364860"])
def test_published_individual_numbers_are_valid(digits: str) -> None:
    assert IndividualNumber(digits).digits == digits


@pytest.mark.parametrize("digits", ["24727059608", "24846016224", "25208017643"])
def test_published_resident_record_codes_are_valid(digits: str) -> None:
    assert ResidentRecordCode(digits).digits == digits


@pytest.mark.parametrize("digits", ["221309", "221007", "131016", "011002", "220001", "473821"])
def test_published_local_government_codes_are_valid(digits: str) -> None:
    assert str(LocalGovernmentCode(digits)) == digits


def undetected(digits: str, weights: list[int], position: int, shift: int) -> bool:
    """Whether the rule "0 if the remainder is at most 1" hides a change of a body's digit.

    Remainders 0 and 1 share the check digit 0; every other change of one digit moves it.
    """
    changed = with_digit(digits, position, shift)

    def remainder(body: str) -> int:
        return sum(int(d) * w for d, w in zip(body, weights, strict=True)) % 11

    return {remainder(digits[:-1]), remainder(changed[:-1])} == {0, 1}


@settings(deadline=None)
@given(code_bodies, st.integers(0, 10), st.integers(1, 9))
def test_a_single_changed_digit_of_a_resident_record_code_is_noticed(
    body: int, position: int, shift: int
) -> None:
    digits = ResidentRecordCode.from_body(body).digits
    changed = with_digit(digits, position, shift)
    weights = [5, 4, 3, 2, 7, 6, 5, 4, 3, 2]
    if position < 10 and undetected(digits, weights, position, shift):
        assert ResidentRecordCode(changed)
        return
    with pytest.raises(InvalidValue):
        ResidentRecordCode(changed)


@settings(deadline=None)
@given(number_bodies, st.integers(0, 11), st.integers(1, 9))
def test_a_single_changed_digit_of_an_individual_number_is_noticed(
    body: int, position: int, shift: int
) -> None:
    digits = IndividualNumber.from_body(body).digits
    changed = with_digit(digits, position, shift)
    weights = [6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2]
    if position < 11 and undetected(digits, weights, position, shift):
        assert IndividualNumber(changed)
        return
    with pytest.raises(InvalidValue):
        IndividualNumber(changed)


@pytest.mark.parametrize("code", ["221309", "131016", "473821"])
def test_a_changed_check_digit_of_a_local_government_code_is_noticed(code: str) -> None:
    for shift in range(1, 10):
        with pytest.raises(InvalidValue):
            LocalGovernmentCode(with_digit(code, 5, shift))


@settings(deadline=None)
@given(code_bodies)
def test_a_code_survives_the_way_through_its_decimal_value(body: int) -> None:
    code = ResidentRecordCode.from_body(body)
    assert ResidentRecordCode.from_int(int(code)) == code


@settings(deadline=None)
@given(number_bodies)
def test_a_number_survives_the_way_through_its_decimal_value(body: int) -> None:
    number = IndividualNumber.from_body(body)
    assert IndividualNumber.from_int(int(number)) == number


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2472705960",
        "247270596080",
        "2472705960x",
        "24727059608\n",
        " 24727059608",
        "+2472705960",
        "２４７２７０５９６０８",
        "٢٤٧٢٧٠٥٩٦٠٨",
    ],
)
def test_what_is_not_eleven_ascii_digits_is_no_resident_record_code(text: str) -> None:
    with pytest.raises(InvalidValue):
        ResidentRecordCode(text)


@pytest.mark.parametrize("text", ["", "12345678901", "1234567890181", "１２３４５６７８９０１８"])
def test_what_is_not_twelve_ascii_digits_is_no_individual_number(text: str) -> None:
    with pytest.raises(InvalidValue):
        IndividualNumber(text)


@pytest.mark.parametrize("text", ["", "22130", "2213090", "２２１３０９", "480002", "001007"])
def test_what_names_no_prefecture_is_no_local_government_code(text: str) -> None:
    with pytest.raises(InvalidValue):
        LocalGovernmentCode(text)


def test_a_prefecture_is_told_from_its_municipalities() -> None:
    assert LocalGovernmentCode("220001").is_prefecture
    assert not LocalGovernmentCode("221309").is_prefecture
    assert LocalGovernmentCode("221309").prefecture == "22"


@settings(deadline=None)
@given(code_bodies)
def test_a_resident_record_code_shows_no_digit_of_itself(body: int) -> None:
    code = ResidentRecordCode.from_body(body)
    for text in (repr(code), str(code), f"{code}", repr([code])):
        assert not any(character.isdigit() for character in text)


@settings(deadline=None)
@given(number_bodies)
def test_an_individual_number_shows_no_digit_of_itself(body: int) -> None:
    number = IndividualNumber.from_body(body)
    for text in (repr(number), str(number), f"{number}", repr({"n": number})):
        assert not any(character.isdigit() for character in text)


@pytest.mark.parametrize("kind", [ResidentRecordCode, IndividualNumber])
def test_a_refusal_does_not_repeat_the_refused_digits(
    kind: type[ResidentRecordCode] | type[IndividualNumber],
) -> None:
    for text in ("24727059609", "123456789019", "98765"):
        with pytest.raises(InvalidValue) as refused:
            kind(text)
        assert text not in str(refused.value)
        assert text not in str(refused.value.metadata)
