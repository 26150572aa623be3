"""What one event makes of one resident's record: the change that is notified."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from cs_gateway.events import PreparedEvent
from juki.domain.change import ChangeKind, ChangeReason, RecordState, next_state
from juki.domain.errors import JukiError, Reason
from juki.v1 import identification_pb2, notification_pb2

_ENTRY_FROM_FOUR_ITEMS: Final = (ChangeKind.ENTRY, ChangeKind.CORRECTION)


@dataclass(slots=True)
class Resident:
    """The municipality's record of one person, as last notified."""

    record_key: bytes
    state: RecordState
    information: identification_pb2.IdentificationInformation
    last_digest: bytes
    """Digest of the person's last notification; empty before the first."""

    number_pending: bool
    code_key: bytes
    """Blind index of the person's code."""

    def __repr__(self) -> str:
        return f"Resident({self.state.name})"


@dataclass(slots=True)
class Change:
    """A resident after an event, and the content of the notification that says so."""

    resident: Resident
    content: notification_pb2.RecordChange
    used_code: bool = False
    """Whether the event's reserved code was given to the person."""


def apply_event(
    resident: Resident | None, event: PreparedEvent, person_predecessor: bytes
) -> Change:
    """What `event` makes of the record.

    `person_predecessor` is the digest of the person's last notification, b"" for the first; the
    caller sets `resident.last_digest` once the new notification's digest is known.

    Raises:
        JukiError: RECORD_NOT_FOUND, IMPOSSIBLE_EVENT, CODE_POOL_EMPTY, or OVERLOADED when the
            record changed while the nation re-made its number.
    """
    reason = event.reason
    if resident is None and reason.kind is not ChangeKind.ENTRY:
        raise JukiError(Reason.RECORD_NOT_FOUND, "the municipality holds no such record")
    state = next_state(resident.state if resident else RecordState.ABSENT, reason)
    information = identification_pb2.IdentificationInformation()
    if resident is not None:
        information.CopyFrom(resident.information)
    change = information.change
    change.Clear()
    change.kind = reason.kind.value  # type: ignore[assignment]
    change.reason = reason.value  # type: ignore[assignment]
    change.event_date.CopyFrom(event.message.event_date)
    if reason.kind in _ENTRY_FROM_FOUR_ITEMS:
        _take_four_items(information, event.message.four_items)
    code_key = resident.code_key if resident else b""
    used_code = False
    if event.carried_code_key:
        code_key = event.carried_code_key
        if information.resident_record_code != event.message.resident_record_code:
            information.individual_number = ""
        information.resident_record_code = event.message.resident_record_code
        if event.message.individual_number:
            information.individual_number = event.message.individual_number
    elif reason.kind is ChangeKind.CODE_CHANGE or resident is None:
        if event.code is None:
            raise JukiError(Reason.CODE_POOL_EMPTY, "the pool of codes is used up")
        used_code = True
        code_key = event.code.key
        if resident is not None:
            change.former_resident_record_code = information.resident_record_code
        else:
            information.individual_number = event.number
        information.resident_record_code = event.code.digits
    elif reason.remakes_number:
        _take_remade_number(information, event)
    following = Resident(
        record_key=event.record_key,
        state=state,
        information=information,
        last_digest=b"",
        number_pending=state is RecordState.CURRENT and not information.individual_number,
        code_key=code_key,
    )
    content = notification_pb2.RecordChange(
        information=information,
        person_predecessor_digest=person_predecessor,
        moved_from=event.message.moved_from,
        moved_to=event.message.moved_to,
    )
    return Change(following, content, used_code)


def designate_number(resident: Resident, number: str, event_date: tuple[int, int, int]) -> Change:
    """The first designation of the person's number (My Number Act Art. 7(1)).

    Raises:
        JukiError: IMPOSSIBLE_EVENT when the record is not current or has a number already.
    """
    if not resident.number_pending:
        raise JukiError(Reason.IMPOSSIBLE_EVENT, "the record waits for no number")
    state = next_state(resident.state, ChangeReason.NUMBER_DESIGNATION)
    information = identification_pb2.IdentificationInformation()
    information.CopyFrom(resident.information)
    information.individual_number = number
    year, month, day = event_date
    information.change.CopyFrom(
        identification_pb2.ChangeInformation(
            kind=identification_pb2.CHANGE_KIND_NUMBER_CHANGE,
            reason=identification_pb2.CHANGE_REASON_NUMBER_DESIGNATION,
            event_date=identification_pb2.CalendarDate(year=year, month=month, day=day),
        )
    )
    following = Resident(resident.record_key, state, information, b"", False, resident.code_key)
    content = notification_pb2.RecordChange(
        information=information, person_predecessor_digest=resident.last_digest
    )
    return Change(following, content)


def _take_remade_number(
    information: identification_pb2.IdentificationInformation, event: PreparedEvent
) -> None:
    former = information.individual_number
    if not former:
        raise JukiError(Reason.IMPOSSIBLE_EVENT, "the record has no number that could have leaked")
    if not event.number or event.former_number != former:
        raise JukiError(Reason.OVERLOADED, "the record changed while its number was re-made")
    information.change.former_individual_number = former
    information.individual_number = event.number


def _take_four_items(
    information: identification_pb2.IdentificationInformation,
    items: identification_pb2.FourItems,
) -> None:
    information.name.CopyFrom(items.name)
    information.birth_date.CopyFrom(items.birth_date)
    information.sex = items.sex
    information.address.CopyFrom(items.address)
