"""Checks a register's event by itself and prepares it for the writer."""

from __future__ import annotations

import datetime
import hashlib
from dataclasses import dataclass
from typing import Final

from juki.domain.change import ChangeKind, ChangeReason
from juki.domain.codes import IndividualNumber, LocalGovernmentCode, ResidentRecordCode
from juki.domain.errors import InvalidValue, JukiError, Reason
from juki.domain.municipalities import municipality_directory
from juki.store.sealing import Sealer
from juki.v1 import identification_pb2, register_pb2
from juki.wire import four_items_from_proto

_MAX_EVENT_ID: Final = 64
_MAX_RECORD_ID: Final = 32
_CARRIES_CODE: Final = frozenset({ChangeReason.MOVING_IN, ChangeReason.EX_OFFICIO_ENTRY})
_NOT_THE_REGISTERS: Final = frozenset(
    {
        # The gateway itself designates numbers once the nation has generated them.
        ChangeReason.NUMBER_DESIGNATION,
    }
)


@dataclass(frozen=True, slots=True)
class PooledCode:
    """An unused code of the pool that one event has reserved."""

    key: bytes
    """Its blind index."""

    digits: str

    def __repr__(self) -> str:
        return "PooledCode(…)"


@dataclass(slots=True)
class PreparedEvent:
    """An event that is right in itself; whether the record allows it, the writer decides."""

    message: register_pb2.RegisterEvent
    reason: ChangeReason
    event_key: bytes
    """Blind index of the register's event id."""

    content: bytes
    """Keyed digest of the whole event."""

    record_key: bytes
    """Blind index of the register's record id."""

    carried_code_key: bytes = b""
    """Blind index of the code that the person carries; empty when none."""

    code: PooledCode | None = None
    """The code reserved for it, if it may need one."""

    number: str = ""
    """The Individual Number generated for `code`, or re-made; empty when not asked for."""

    former_number: str = ""
    """The number that `number` was made to replace."""

    def __repr__(self) -> str:
        return f"PreparedEvent({self.reason.name})"

    @property
    def may_need_code(self) -> bool:
        """Whether a code of the pool is needed, unless the record has one already."""
        if self.reason.kind is ChangeKind.ENTRY:
            return not self.carried_code_key
        return self.reason.kind is ChangeKind.CODE_CHANGE


class EventChecker:
    """Checks events of one municipality's register against the domain's rules."""

    def __init__(self, municipality: LocalGovernmentCode, sealer: Sealer) -> None:
        self._municipality = municipality
        self._sealer = sealer

    def prepare(self, event: register_pb2.RegisterEvent) -> PreparedEvent:
        """The event, checked.

        Raises:
            JukiError: INVALID_FIELD for a value that cannot be, IMPOSSIBLE_EVENT for a reason that
                is not the register's to give (first numbers are designated by the gateway).
        """
        event.DiscardUnknownFields()
        _check_ids(event)
        reason = _reason(event)
        if reason in _NOT_THE_REGISTERS:
            raise JukiError(Reason.IMPOSSIBLE_EVENT, "first numbers are designated by the gateway")
        _check_date(event.event_date)
        self._check_four_items(event, reason)
        carried = self._check_codes(event, reason)
        self._check_moves(event, reason)
        blind = self._sealer.blind
        whole = hashlib.sha256(event.SerializeToString(deterministic=True)).hexdigest()
        return PreparedEvent(
            message=event,
            reason=reason,
            event_key=blind("event_id", event.event_id),
            content=blind("event_content", whole),
            record_key=blind("record_id", event.record_id),
            carried_code_key=blind("code", carried) if carried else b"",
        )

    def _check_four_items(self, event: register_pb2.RegisterEvent, reason: ChangeReason) -> None:
        wanted = reason.kind in (ChangeKind.ENTRY, ChangeKind.CORRECTION)
        if event.HasField("four_items") is not wanted:
            raise InvalidValue("the four items belong to entries and corrections, and only to them")
        if wanted:
            items = four_items_from_proto(event.four_items)
            # In a designated city the ward's code stands in the address.
            keeper = municipality_directory().keeper_of(items.address.municipality)
            if keeper != self._municipality:
                raise InvalidValue("the address lies outside the municipality")

    def _check_codes(self, event: register_pb2.RegisterEvent, reason: ChangeReason) -> str:
        code, number = event.resident_record_code, event.individual_number
        if (code or number) and reason not in _CARRIES_CODE:
            raise InvalidValue("only a person who moves in or is entered carries a code")
        if number and not code:
            raise InvalidValue("an Individual Number is given without its resident record code")
        if event.moved_from and reason is ChangeReason.MOVING_IN and not code:
            # Act Art. 30-3: only a first-time resident is given a code.
            raise InvalidValue("a person from another municipality carries a code")
        if code:
            ResidentRecordCode(code)
        if number:
            IndividualNumber(number)
        return code

    def _check_moves(self, event: register_pb2.RegisterEvent, reason: ChangeReason) -> None:
        for digits, allowed in (
            (event.moved_from, ChangeReason.MOVING_IN),
            (event.moved_to, ChangeReason.MOVING_OUT),
        ):
            if not digits:
                continue
            if reason is not allowed:
                raise InvalidValue("a municipality of a move is given for an event that is none")
            if LocalGovernmentCode(digits) == self._municipality:
                raise InvalidValue("a move leads from the municipality to itself")


def _check_ids(event: register_pb2.RegisterEvent) -> None:
    if not 1 <= len(event.event_id) <= _MAX_EVENT_ID:
        raise InvalidValue("an event id has 1 to 64 characters")
    if not 1 <= len(event.record_id) <= _MAX_RECORD_ID:
        raise InvalidValue("a record id has 1 to 32 characters")


def _reason(event: register_pb2.RegisterEvent) -> ChangeReason:
    try:
        return ChangeReason(event.reason)
    except ValueError:
        raise InvalidValue("the reason of the event is missing or unknown") from None


def _check_date(date: identification_pb2.CalendarDate) -> None:
    if not 1850 <= date.year <= 2200:
        raise InvalidValue("the date of the event lies outside 1850 to 2200")
    try:
        datetime.date(date.year, date.month, date.day)
    except (ValueError, OverflowError):  # a month of the wire may exceed a C integer
        raise InvalidValue("the date of the event is not in the calendar") from None
