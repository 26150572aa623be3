"""Where a person lives, derived from the claims of municipalities, in whatever order they came."""

from __future__ import annotations

import datetime
import itertools
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from juki.domain.change import ChangeReason, RecordState
from juki.domain.residency import (
    Claim,
    DisputeReason,
    Residency,
    ResidencyStatus,
    apply_change,
    derive,
)
from juki.v1 import notification_pb2

A, B, C, D = "221309", "221007", "131016", "011002"
R = ChangeReason


def day(number: int) -> datetime.date:
    return datetime.date(2026, 4, 1) + datetime.timedelta(days=number)


def after(
    municipality: str, *events: tuple[ChangeReason, int] | tuple[ChangeReason, int, str]
) -> Claim:
    """The claim of a municipality after events: reason, day, and where from or where to."""
    claim: Claim | None = None
    for reason, number, *other in events:
        following = apply_change(
            claim,
            municipality=municipality,
            reason=reason,
            event_date=day(number),
            moved_from=other[0] if other and reason is R.MOVING_IN else "",
            moved_to=other[0] if other and reason is R.MOVING_OUT else "",
        )
        assert isinstance(following, Claim)
        claim = following
    assert claim is not None
    return claim


def in_any_order(claims: Iterable[Claim]) -> Residency:
    """The residency, the same in every order of the claims."""
    (result,) = {derive(order) for order in itertools.permutations(claims)}
    return result


def test_dispute_reasons_are_those_of_the_contract() -> None:
    for reason in DisputeReason:
        assert notification_pb2.DisputeReason.Name(reason) == f"DISPUTE_REASON_{reason.name}"
    assert len(DisputeReason) == len(notification_pb2.DisputeReason.values()) - 1


def test_one_claim_is_a_resident() -> None:
    assert derive([after(A, (R.BIRTH, 0))]) == Residency(ResidencyStatus.RESIDENT, A)


def test_a_moves_entry_before_its_deletion_is_a_pending_transfer_not_a_dispute() -> None:
    claims = [after(A, (R.BIRTH, 0)), after(B, (R.MOVING_IN, 5, A))]
    assert in_any_order(claims) == Residency(ResidencyStatus.PENDING_TRANSFER, B)


def test_a_moves_deletion_before_its_entry_is_a_pending_transfer() -> None:
    claims = [after(A, (R.BIRTH, 0), (R.MOVING_OUT, 5, B))]
    assert in_any_order(claims) == Residency(ResidencyStatus.PENDING_TRANSFER, A)


def test_a_move_with_both_its_notifications_leaves_one_resident() -> None:
    claims = [after(A, (R.BIRTH, 0), (R.MOVING_OUT, 5, B)), after(B, (R.MOVING_IN, 5, A))]
    assert in_any_order(claims) == Residency(ResidencyStatus.RESIDENT, B)


def test_two_claims_are_disputed() -> None:
    claims = [after(A, (R.BIRTH, 0)), after(B, (R.EX_OFFICIO_ENTRY, 5))]
    assert in_any_order(claims) == Residency(
        ResidencyStatus.DISPUTED, "", DisputeReason.TWO_CLAIMS, (B, A)
    )


def test_an_entry_that_names_another_origin_disputes_the_claim_that_stands() -> None:
    claims = [after(A, (R.BIRTH, 0)), after(B, (R.MOVING_IN, 5, C))]
    assert in_any_order(claims).dispute is DisputeReason.TWO_CLAIMS


def test_an_entry_older_than_the_claim_it_names_takes_nobody_over() -> None:
    claims = [after(A, (R.BIRTH, 5)), after(B, (R.MOVING_IN, 4, A))]
    assert in_any_order(claims).dispute is DisputeReason.TWO_CLAIMS


def test_a_claim_after_death_in_another_municipality_is_disputed() -> None:
    claims = [after(A, (R.BIRTH, 0), (R.DEATH, 3)), after(B, (R.EX_OFFICIO_ENTRY, 5))]
    assert in_any_order(claims) == Residency(
        ResidencyStatus.DISPUTED, "", DisputeReason.CLAIM_AFTER_DEATH, (B, A)
    )


def test_moving_in_from_where_the_person_died_is_disputed() -> None:
    claims = [after(A, (R.BIRTH, 0), (R.DEATH, 3)), after(B, (R.MOVING_IN, 5, A))]
    assert in_any_order(claims).dispute is DisputeReason.CLAIM_AFTER_DEATH


def test_a_death_known_before_the_deletion_of_the_move_that_preceded_it_is_no_dispute() -> None:
    claims = [after(A, (R.BIRTH, 0)), after(B, (R.MOVING_IN, 5, A), (R.DEATH, 9))]
    assert in_any_order(claims) == Residency(ResidencyStatus.DECEASED, B)


def test_a_death_undone_ex_officio_leaves_a_resident() -> None:
    claims = [after(A, (R.BIRTH, 0), (R.DEATH, 3), (R.EX_OFFICIO_ENTRY, 4))]
    assert in_any_order(claims) == Residency(ResidencyStatus.RESIDENT, A)


CHAIN = {
    "A1": (A, (R.BIRTH, 0)),
    "A2": (A, (R.MOVING_OUT, 5, B)),
    "B1": (B, (R.MOVING_IN, 5, A)),
    "B2": (B, (R.MOVING_OUT, 9, C)),
    "C1": (C, (R.MOVING_IN, 9, B)),
}


@pytest.mark.parametrize(
    "arrival",
    [
        order
        for order in itertools.permutations(CHAIN)
        if order.index("A1") < order.index("A2") and order.index("B1") < order.index("B2")
    ],
)
def test_a_chain_of_moves_ends_in_the_last_municipality_in_any_order(
    arrival: tuple[str, ...],
) -> None:
    events: dict[str, list[tuple[ChangeReason, int] | tuple[ChangeReason, int, str]]] = {}
    residency = None
    for number, name in enumerate(arrival, start=1):
        municipality, event = CHAIN[name]
        events.setdefault(municipality, []).append(event)
        residency = derive([after(one, *history) for one, history in events.items()])
        if {"A1", "B1", "C1"} <= set(arrival[:number]):
            assert residency.status is not ResidencyStatus.DISPUTED
            assert residency.municipality == C
    assert residency == Residency(ResidencyStatus.RESIDENT, C)


def test_while_the_middle_of_a_chain_is_missing_its_ends_are_two_claims() -> None:
    claims = [after(A, (R.BIRTH, 0)), after(C, (R.MOVING_IN, 9, B))]
    assert in_any_order(claims).dispute is DisputeReason.TWO_CLAIMS


def test_the_middle_of_a_chain_may_have_ended_before_the_first_deletion_comes() -> None:
    moved_on = after(B, (R.MOVING_IN, 5, A), (R.MOVING_OUT, 9, C))
    assert in_any_order([after(A, (R.BIRTH, 0)), moved_on]) == Residency(
        ResidencyStatus.PENDING_TRANSFER, B
    )
    claims = [after(A, (R.BIRTH, 0)), moved_on, after(C, (R.MOVING_IN, 9, B))]
    assert in_any_order(claims) == Residency(ResidencyStatus.PENDING_TRANSFER, C)


def test_a_mistaken_entry_undone_ex_officio_leaves_the_person_where_they_were() -> None:
    undone = after(B, (R.MOVING_IN, 5, A), (R.EX_OFFICIO_DELETION, 6))
    assert in_any_order([after(A, (R.BIRTH, 0)), undone]) == Residency(ResidencyStatus.RESIDENT, A)


@pytest.mark.parametrize("back", [5, 9])
def test_a_person_who_came_back_lives_where_they_came_back_to(back: int) -> None:
    """Also where both moves were on one day."""
    here = after(A, (R.BIRTH, 0), (R.MOVING_OUT, 5, B), (R.MOVING_IN, back, B))
    there = after(B, (R.MOVING_IN, 5, A), (R.MOVING_OUT, back, A))
    assert in_any_order([here, there]) == Residency(ResidencyStatus.RESIDENT, A)


def test_two_who_took_the_person_over_from_each_other_on_one_day_are_disputed() -> None:
    circle = [after(A, (R.MOVING_IN, 5, B)), after(B, (R.MOVING_IN, 5, A))]
    expected = Residency(ResidencyStatus.DISPUTED, "", DisputeReason.TWO_CLAIMS, (B, A))
    assert in_any_order(circle) == expected
    # A place that the person left long ago decides nothing between them.
    assert in_any_order([*circle, after(D, (R.BIRTH, 0), (R.MOVING_OUT, 1, A))]) == expected


@pytest.mark.parametrize(
    ("last", "status"),
    [
        ((R.MOVING_OUT, 5), ResidencyStatus.MOVED_ABROAD),
        ((R.MOVING_OUT, 5, B), ResidencyStatus.PENDING_TRANSFER),
        ((R.DEATH, 5), ResidencyStatus.DECEASED),
        ((R.EX_OFFICIO_DELETION, 5), ResidencyStatus.DELETED),
    ],
)
def test_without_a_standing_claim_the_last_deletion_says_what_became_of_the_person(
    last: tuple[ChangeReason, int] | tuple[ChangeReason, int, str], status: ResidencyStatus
) -> None:
    earlier = after(B, (R.BIRTH, 0), (R.MOVING_OUT, 1, A))
    claims = [earlier, after(A, (R.MOVING_IN, 1, B), last)]
    assert in_any_order(claims) == Residency(status, A)


@pytest.mark.parametrize(
    ("events", "reason", "expected"),
    [
        ((), R.ADDRESS_CHANGE, DisputeReason.NO_ENTRY),
        ((), R.DEATH, DisputeReason.NO_ENTRY),
        (((R.BIRTH, 0),), R.MOVING_IN, DisputeReason.SECOND_ENTRY),
        (((R.BIRTH, 0),), R.BIRTH, DisputeReason.SECOND_ENTRY),
        (((R.BIRTH, 0), (R.DEATH, 1)), R.DEATH, DisputeReason.AFTER_DELETION),
        (((R.BIRTH, 0), (R.DEATH, 1)), R.MOVING_IN, DisputeReason.AFTER_DELETION),
        (((R.BIRTH, 0), (R.MOVING_OUT, 1)), R.DEATH, DisputeReason.AFTER_DELETION),
        (((R.BIRTH, 0), (R.MOVING_OUT, 1)), R.BIRTH, DisputeReason.AFTER_DELETION),
    ],
)
def test_an_impossible_change_says_why(
    events: tuple[tuple[ChangeReason, int], ...], reason: ChangeReason, expected: DisputeReason
) -> None:
    claim = after(A, *events) if events else None
    assert apply_change(claim, municipality=A, reason=reason, event_date=day(9)) is expected


def test_a_deletion_ends_its_issuers_claim_and_a_new_entry_begins_another() -> None:
    gone = after(A, (R.BIRTH, 0), (R.MOVING_OUT, 5, B))
    assert (gone.stands, gone.deleted_on, gone.moved_to) == (False, day(5), B)
    back = after(A, (R.BIRTH, 0), (R.MOVING_OUT, 5, B), (R.MOVING_IN, 9, B))
    assert (back.stands, back.entered_on, back.entered_by) == (True, day(9), R.MOVING_IN)
    assert (back.moved_from, back.deleted_on, back.moved_to) == (B, None, "")


any_day = st.integers(0, 4).map(day)
any_claim = st.builds(
    Claim,
    municipality=st.sampled_from([A, B, C, D]),
    state=st.sampled_from([state for state in RecordState if state is not RecordState.ABSENT]),
    entered_on=any_day,
    entered_by=st.sampled_from([R.MOVING_IN, R.BIRTH, R.EX_OFFICIO_ENTRY]),
    moved_from=st.sampled_from(["", A, B, C, D]),
    deleted_on=any_day,
    moved_to=st.sampled_from(["", A, B, C, D]),
)


@settings(deadline=None, max_examples=300)
@given(
    st.lists(any_claim, min_size=1, max_size=4, unique_by=lambda claim: claim.municipality),
    st.randoms(use_true_random=False),
)
def test_the_residency_rests_on_the_set_of_claims_alone(
    claims: list[Claim], random: object
) -> None:
    expected = derive(claims)
    shuffled = list(claims)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert derive(shuffled) == expected
    assert derive(iter(claims)) == expected


@settings(deadline=None, max_examples=300)
@given(st.lists(any_claim, min_size=1, max_size=4, unique_by=lambda claim: claim.municipality))
def test_a_residency_is_either_disputed_or_rests_on_one_of_the_claims(claims: list[Claim]) -> None:
    residency = derive(claims)
    by_municipality = {claim.municipality: claim for claim in claims}
    if residency.status is ResidencyStatus.DISPUTED:
        assert residency.municipality == ""
        assert residency.dispute is not None
        assert len(residency.disputing) >= 2
        assert set(residency.disputing) <= by_municipality.keys()
        assert list(residency.disputing) == sorted(residency.disputing)
        return
    assert (residency.dispute, residency.disputing) == (None, ())
    speaking = by_municipality[residency.municipality]
    if residency.status is ResidencyStatus.RESIDENT:
        assert speaking.stands
        assert sum(claim.stands for claim in claims) == 1
