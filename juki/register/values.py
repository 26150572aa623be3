"""From the wire to the domain: what a notification says, checked value by value."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Final

from protovalidate import Validator

from juki.domain.change import ChangeKind, ChangeReason
from juki.domain.codes import IndividualNumber, LocalGovernmentCode, ResidentRecordCode
from juki.domain.errors import InvalidValue
from juki.domain.municipalities import municipality_directory
from juki.v1 import identification_pb2, notification_pb2
from juki.wire import four_items_from_proto

_VALIDATOR: Final = Validator()


@dataclass(frozen=True, slots=True)
class RecordChange:
    """A record change with its place in the stream; `impossible` when a value cannot be."""

    municipality: str
    epoch: int
    sequence: int
    reason: ChangeReason
    event_date: datetime.date
    code: str
    former_code: str
    number: str
    moved_from: str
    moved_to: str
    information: bytes
    """Serialised `juki.v1.IdentificationInformation`."""

    impossible: bool = False
    former_number: str = ""
    """The number that a re-made one replaces."""

    def __repr__(self) -> str:
        return f"RecordChange({self.municipality}, {self.epoch}, {self.sequence})"


def record_change(notification: notification_pb2.Notification) -> RecordChange:
    """What a notification with a record change says; impossible values are marked, not raised.

    A well-signed notification with impossible content consumes its sequence and is disputed, so
    that nothing poisons a stream.
    """
    content = notification.record_change
    information = content.information
    change = information.change
    impossible = False
    try:
        reason = ChangeReason(change.reason)
        event_date = datetime.date(
            change.event_date.year, change.event_date.month, change.event_date.day
        )
        _check(notification, reason)
    except (ValueError, OverflowError):  # a month of the wire may exceed a C integer
        impossible, reason, event_date = True, ChangeReason.MINOR_CORRECTION, datetime.date.min
    return RecordChange(
        notification.municipality,
        notification.epoch,
        notification.sequence,
        reason,
        event_date,
        information.resident_record_code,
        change.former_resident_record_code,
        information.individual_number,
        content.moved_from,
        content.moved_to,
        information.SerializeToString(),
        impossible,
        change.former_individual_number,
    )


def _check(notification: notification_pb2.Notification, reason: ChangeReason) -> None:
    content = notification.record_change
    information = content.information
    change = information.change
    if _VALIDATOR.collect_violations(content, fail_fast=True):
        raise InvalidValue("a value breaks the contract")
    if change.kind != int(reason.kind):
        raise InvalidValue("the kind of the change is not that of its reason")
    items = four_items_from_proto(information)
    if not _keeps(notification.municipality, items.address.municipality):
        raise InvalidValue("the address lies outside the issuing municipality")
    ResidentRecordCode(information.resident_record_code)
    if information.individual_number:
        IndividualNumber(information.individual_number)
    for other in (content.moved_from, content.moved_to):
        if other:
            LocalGovernmentCode(other)
    _check_former_number(information, reason)
    if (reason.kind is ChangeKind.CODE_CHANGE) != bool(change.former_resident_record_code):
        raise InvalidValue("a code change, and nothing else, names the former code")
    if change.former_resident_record_code:
        ResidentRecordCode(change.former_resident_record_code)
        if change.former_resident_record_code == information.resident_record_code:
            raise InvalidValue("a code change names two codes")
    if reason.kind is ChangeKind.NUMBER_CHANGE and not information.individual_number:
        raise InvalidValue("a number change names the number")


def _check_former_number(
    information: identification_pb2.IdentificationInformation, reason: ChangeReason
) -> None:
    former = information.change.former_individual_number
    if reason.remakes_number != bool(former):
        raise InvalidValue("the change of a number, and nothing else, names the former number")
    if former:
        IndividualNumber(former)
        if former == information.individual_number:
            raise InvalidValue("a change of the number names two numbers")


def _keeps(municipality: str, address: LocalGovernmentCode) -> bool:
    """Whether the municipality keeps the register of addresses in that code."""
    entry = municipality_directory().get(address)
    return entry is not None and (entry.parent or entry.code).digits == municipality
