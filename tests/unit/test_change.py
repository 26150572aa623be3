"""The state machine of one municipality's record, held against a table written out by hand."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from juki.domain.change import (
    TRANSITIONS,
    ChangeKind,
    ChangeReason,
    RecordState,
    next_state,
)
from juki.domain.errors import JukiError, Reason
from juki.v1 import identification_pb2

R = ChangeReason
REASONS = [
    *(R.MOVING_IN, R.BIRTH, R.EX_OFFICIO_ENTRY),
    *(R.MOVING_OUT, R.DEATH, R.EX_OFFICIO_DELETION),
    *(R.ADDRESS_CHANGE, R.MINOR_CORRECTION, R.EX_OFFICIO_CORRECTION),
    *(R.CODE_CHANGE_REQUEST, R.EX_OFFICIO_CODE_ENTRY),
    *(R.NUMBER_DESIGNATION, R.NUMBER_CHANGE_REQUEST, R.EX_OFFICIO_NUMBER_CHANGE),
]

# Columns as in REASONS. A absent, C current, M moved out, D died, X deleted; - impossible.
#             entry   deletion  correction  code   number
TABLE = {
    "ABSENT": "C C C   - - -     - - -      - -    - - -",
    "CURRENT": "- - -   M D X     C C C      C C    C C C",
    "MOVED_OUT": "C - C   - - -     - - -      - -    - - -",
    "DIED": "- - C   - - -     - - -      - -    - - -",
    "DELETED": "C - C   - - -     - - -      - -    - - -",
}
LETTERS = {
    "C": RecordState.CURRENT,
    "M": RecordState.MOVED_OUT,
    "D": RecordState.DIED,
    "X": RecordState.DELETED,
}
CELLS = [
    (RecordState[state], reason, LETTERS.get(letter))
    for state, row in TABLE.items()
    for reason, letter in zip(REASONS, row.split(), strict=True)
]


def test_the_table_has_every_state_and_every_reason() -> None:
    assert {RecordState[name] for name in TABLE} == set(RecordState) == set(TRANSITIONS)
    assert sorted(REASONS) == sorted(ChangeReason)
    assert len(CELLS) == len(RecordState) * len(ChangeReason)


@pytest.mark.parametrize(("state", "reason", "following"), CELLS)
def test_each_event_leads_where_the_table_says(
    state: RecordState, reason: ChangeReason, following: RecordState | None
) -> None:
    if following is not None:
        assert next_state(state, reason) is following
        return
    with pytest.raises(JukiError) as refused:
        next_state(state, reason)
    assert refused.value.reason is Reason.IMPOSSIBLE_EVENT


def test_reasons_and_kinds_are_those_of_the_contract() -> None:
    for reason in ChangeReason:
        assert identification_pb2.ChangeReason.Name(reason) == f"CHANGE_REASON_{reason.name}"
        assert identification_pb2.ChangeKind.Name(reason.kind) == f"CHANGE_KIND_{reason.kind.name}"
    assert len(ChangeReason) == len(identification_pb2.ChangeReason.values()) - 1
    assert len(ChangeKind) == len(identification_pb2.ChangeKind.values()) - 1


@settings(deadline=None)
@given(st.lists(st.sampled_from(REASONS), max_size=40))
def test_no_history_has_a_second_entry_a_second_birth_or_anything_after_death(
    reasons: list[ChangeReason],
) -> None:
    state, history = RecordState.ABSENT, []
    for reason in reasons:
        try:
            state = next_state(state, reason)
        except JukiError:
            continue
        history.append(reason)
    entered = False
    for position, reason in enumerate(history):
        if reason.kind is ChangeKind.ENTRY:
            assert not entered
            entered = True
        else:
            assert entered
        if reason.kind is ChangeKind.DELETION:
            entered = False
        if position and history[position - 1] is R.DEATH:
            assert reason is R.EX_OFFICIO_ENTRY
    assert history.count(R.BIRTH) <= 1
