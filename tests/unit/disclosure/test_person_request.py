"""Disclosure and correction requests: what follows what, and when it is due."""

from __future__ import annotations

import datetime
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from juki.domain.errors import InvalidValue, JukiError, Reason
from juki.domain.person_request import (
    CORRECTION_OUTCOMES,
    PersonRequest,
    RefusalGround,
    RequestKind,
    RequestState,
    japanese_day,
)

DAY = datetime.timedelta(days=1)
SOME_DAY = datetime.date(2026, 11, 1)
days = st.dates(datetime.date(2003, 8, 25), datetime.date(2150, 1, 1))


def received(fee: int = 0, *, other_way: bool = False) -> PersonRequest:
    return PersonRequest.disclosure(SOME_DAY, fee_yen=fee, other_way_agreed=other_way)


def disclosed() -> PersonRequest:
    return received().disclose(SOME_DAY, in_writing=True)


def test_the_day_of_receipt_is_the_first_of_the_thirty_days() -> None:
    assert received().due_on == datetime.date(2026, 11, 30)


@given(days)
def test_thirty_days_pass_and_a_request_is_overdue(day: datetime.date) -> None:
    request = PersonRequest.disclosure(day)
    assert not request.overdue(day + 29 * DAY)
    assert request.overdue(day + 30 * DAY)


@given(days, st.integers(30, 4000), st.integers(0, 29))
def test_an_extension_with_reasons_moves_the_last_day(
    day: datetime.date, longer: int, told_after: int
) -> None:
    until = day + longer * DAY
    request = PersonRequest.disclosure(day).extend(day + told_after * DAY, until, "理由")
    assert request.state is RequestState.EXTENDED
    assert not request.overdue(until)
    assert request.overdue(until + DAY)


@pytest.mark.parametrize("words", ["", "   ", "\n", "　"])
def test_an_extension_needs_reasons(words: str) -> None:
    with pytest.raises(InvalidValue):
        received().extend(SOME_DAY, SOME_DAY + 60 * DAY, words)


def test_an_extension_is_told_within_the_thirty_days_and_ends_after_them() -> None:
    until = SOME_DAY + 60 * DAY
    received().extend(SOME_DAY + 29 * DAY, until, "reasons")
    with pytest.raises(JukiError) as refused:
        received().extend(SOME_DAY + 30 * DAY, until, "reasons")
    assert refused.value.reason is Reason.REQUEST_STATE
    with pytest.raises(InvalidValue):
        received().extend(SOME_DAY, SOME_DAY + 29 * DAY, "reasons")


def test_a_limit_is_extended_once() -> None:
    request = received().extend(SOME_DAY, SOME_DAY + 60 * DAY, "reasons")
    with pytest.raises(JukiError):
        request.extend(SOME_DAY, SOME_DAY + 90 * DAY, "again")


def test_what_is_late_is_still_disclosed() -> None:
    request = received().disclose(SOME_DAY + 100 * DAY, in_writing=True)
    assert request.state is RequestState.DISCLOSED
    assert not request.overdue(SOME_DAY + 200 * DAY)


def test_nothing_is_disclosed_before_the_fee_is_paid() -> None:
    with pytest.raises(JukiError) as refused:
        received(300).disclose(SOME_DAY, in_writing=True)
    assert refused.value.reason is Reason.FEE_NOT_PAID
    with pytest.raises(InvalidValue):
        received(300).pay(SOME_DAY, 299)
    paid = received(300).pay(SOME_DAY, 300)
    assert paid.disclose(SOME_DAY, in_writing=True).state is RequestState.DISCLOSED


def test_where_the_act_asks_no_fee_none_is_taken() -> None:
    with pytest.raises(JukiError):
        received(0).pay(SOME_DAY, 300)
    with pytest.raises(JukiError):
        received(0).refuse(SOME_DAY, RefusalGround.FEE_NOT_PAID, "reasons")


def test_it_is_in_writing_unless_the_person_agreed_otherwise() -> None:
    with pytest.raises(JukiError) as refused:
        received().disclose(SOME_DAY, in_writing=False)
    assert refused.value.reason is Reason.REQUEST_STATE
    assert received(other_way=True).disclose(SOME_DAY, in_writing=False).state.name == "DISCLOSED"


def test_a_refusal_says_why() -> None:
    with pytest.raises(InvalidValue):
        received().refuse(SOME_DAY, RefusalGround.WITHDRAWN, " ")
    refused = received().refuse(SOME_DAY, RefusalGround.WITHDRAWN, "取下げ")
    assert (refused.state, refused.ground) == (RequestState.REFUSED, RefusalGround.WITHDRAWN)


def test_only_who_received_a_disclosure_asks_for_a_correction() -> None:
    for other in (received(), received().refuse(SOME_DAY, RefusalGround.WITHDRAWN, "x")):
        with pytest.raises(JukiError):
            PersonRequest.correction(SOME_DAY, other)
    correction = PersonRequest.correction(SOME_DAY, disclosed())
    with pytest.raises(InvalidValue):
        PersonRequest.correction(SOME_DAY, correction)


def test_a_correction_is_investigated_before_it_is_answered_in_words() -> None:
    correction = PersonRequest.correction(SOME_DAY, disclosed())
    with pytest.raises(JukiError):
        correction.answer(SOME_DAY, RequestState.CORRECTED, "words")
    investigating = correction.investigate(SOME_DAY)
    with pytest.raises(InvalidValue):
        investigating.answer(SOME_DAY, RequestState.CORRECTED, "")
    with pytest.raises(InvalidValue):
        investigating.answer(SOME_DAY, RequestState.DISCLOSED, "words")
    for outcome in CORRECTION_OUTCOMES:
        assert not investigating.answer(SOME_DAY, outcome, "words").state.is_open


def test_an_act_does_not_lie_before_the_one_before_it() -> None:
    with pytest.raises(InvalidValue):
        received().disclose(SOME_DAY - DAY, in_writing=True)


def test_a_day_is_one_of_japan() -> None:
    evening = datetime.datetime(2026, 11, 1, 15, 0, tzinfo=datetime.UTC)
    assert japanese_day(evening) == datetime.date(2026, 11, 2)
    assert japanese_day(evening - datetime.timedelta(seconds=1)) == datetime.date(2026, 11, 1)
    with pytest.raises(InvalidValue):
        japanese_day(evening.replace(tzinfo=None))


ACTS: dict[str, Callable[[PersonRequest, datetime.date], PersonRequest]] = {
    "pay": lambda r, on: r.pay(on, 300),
    "extend": lambda r, on: r.extend(on, r.due_on + DAY, "reasons"),
    "disclose": lambda r, on: r.disclose(on, in_writing=True),
    "refuse": lambda r, on: r.refuse(on, RefusalGround.WITHDRAWN, "reasons"),
    "investigate": lambda r, on: r.investigate(on),
    "answer": lambda r, on: r.answer(on, RequestState.NOT_CORRECTED, "words"),
}


@given(
    st.booleans(),
    st.sampled_from([0, 300]),
    st.lists(st.tuples(st.sampled_from(sorted(ACTS)), st.integers(0, 40)), max_size=12),
)
def test_whatever_is_tried_a_request_ends_once_and_never_opens_again(
    correction: bool, fee: int, tried: list[tuple[str, int]]
) -> None:
    start = PersonRequest.correction(SOME_DAY, disclosed()) if correction else received(fee)
    request, on = start, SOME_DAY
    for name, later in tried:
        on += later * DAY
        before = request
        try:
            request = ACTS[name](request, on)
        except JukiError:
            continue
        assert before.state.is_open
        assert request.kind is before.kind
        assert request.received_on == SOME_DAY
        assert request.due_on >= before.due_on
        if request.state is RequestState.DISCLOSED:
            assert request.fee_settled
        if request.kind is RequestKind.CORRECTION:
            assert name in ("investigate", "answer")
        else:
            assert name not in ("investigate", "answer")
    assert not (request.overdue(on) and not request.state.is_open)
