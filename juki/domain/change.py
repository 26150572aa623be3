"""Change information (変更情報) and the state machine of one municipality's resident record."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType
from typing import Final

from juki.domain.codes import IndividualNumber, ResidentRecordCode
from juki.domain.errors import JukiError, Reason


class ChangeKind(IntEnum):
    """What a change did to the record; values are those of `juki.v1.ChangeKind`."""

    ENTRY = 1
    DELETION = 2
    CORRECTION = 3
    CODE_CHANGE = 4
    NUMBER_CHANGE = 5


class ChangeReason(IntEnum):
    """Why the record changed (異動事由; Enforcement Regulation Art. 11).

    Values are those of `juki.v1.ChangeReason`; the tens digit is the kind.
    """

    MOVING_IN = 11
    BIRTH = 12
    EX_OFFICIO_ENTRY = 13
    MOVING_OUT = 21
    DEATH = 22
    EX_OFFICIO_DELETION = 23
    ADDRESS_CHANGE = 31
    MINOR_CORRECTION = 32
    EX_OFFICIO_CORRECTION = 33
    CODE_CHANGE_REQUEST = 41
    EX_OFFICIO_CODE_ENTRY = 42
    NUMBER_DESIGNATION = 51
    NUMBER_CHANGE_REQUEST = 52
    EX_OFFICIO_NUMBER_CHANGE = 53

    @property
    def kind(self) -> ChangeKind:
        """The kind that the reason belongs to."""
        return _KIND_OF_TENS[self // 10]

    @property
    def remakes_number(self) -> bool:
        """Whether another number replaces one that may have leaked (My Number Act Art. 7(2))."""
        return self in (
            ChangeReason.NUMBER_CHANGE_REQUEST,
            ChangeReason.EX_OFFICIO_NUMBER_CHANGE,
        )


_KIND_OF_TENS: Final = {int(kind): kind for kind in ChangeKind}


@dataclass(frozen=True, slots=True)
class ChangeInformation:
    """Event, reason and date of a change, and the old value when a code or number changed."""

    reason: ChangeReason
    event_date: datetime.date
    former_code: ResidentRecordCode | None = None
    former_number: IndividualNumber | None = None

    @property
    def kind(self) -> ChangeKind:
        """What the change did."""
        return self.reason.kind


class RecordState(IntEnum):
    """State of the record that one municipality keeps of one person."""

    ABSENT = 0
    """The municipality has never entered the person."""

    CURRENT = 1
    """Entered, not deleted (現存)."""

    MOVED_OUT = 2
    """Deleted because the person moved away."""

    DIED = 3
    """Deleted because the person died."""

    DELETED = 4
    """Deleted ex officio."""


_ENTRIES: Final = frozenset(r for r in ChangeReason if r.kind is ChangeKind.ENTRY)
_CURRENT_CHANGES: Final = {
    reason: RecordState.CURRENT
    for reason in ChangeReason
    if reason.kind in (ChangeKind.CORRECTION, ChangeKind.CODE_CHANGE, ChangeKind.NUMBER_CHANGE)
}

TRANSITIONS: Final = MappingProxyType(
    {
        RecordState.ABSENT: dict.fromkeys(_ENTRIES, RecordState.CURRENT),
        RecordState.CURRENT: {
            ChangeReason.MOVING_OUT: RecordState.MOVED_OUT,
            ChangeReason.DEATH: RecordState.DIED,
            ChangeReason.EX_OFFICIO_DELETION: RecordState.DELETED,
            **_CURRENT_CHANGES,
        },
        # A person is born once; whoever comes back moves in or is entered ex officio.
        RecordState.MOVED_OUT: {
            ChangeReason.MOVING_IN: RecordState.CURRENT,
            ChangeReason.EX_OFFICIO_ENTRY: RecordState.CURRENT,
        },
        RecordState.DELETED: {
            ChangeReason.MOVING_IN: RecordState.CURRENT,
            ChangeReason.EX_OFFICIO_ENTRY: RecordState.CURRENT,
        },
        # A death recorded by mistake is undone ex officio only (職権回復).
        RecordState.DIED: {ChangeReason.EX_OFFICIO_ENTRY: RecordState.CURRENT},
    }
)
"""From state by reason to state; what is absent is impossible."""


def next_state(state: RecordState, reason: ChangeReason) -> RecordState:
    """The record's state after `reason`.

    Raises:
        JukiError: IMPOSSIBLE_EVENT when the state does not allow it (a second entry, a death after
            deletion, a correction of a record that is not there, ...).
    """
    following = TRANSITIONS[state].get(reason)
    if following is None:
        raise JukiError(
            Reason.IMPOSSIBLE_EVENT,
            "the state of the record does not allow this event",
            {"state": state.name, "event": reason.name},
        )
    return following
