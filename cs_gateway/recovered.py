"""Recognises events that had become notifications before a restore, when the register repeats them.

A notification carries neither the register's event id nor its record id. So what was fetched back
from the prefecture waits here until the register sends the event again: the same reason, date,
items and codes, for the same record or for one not known yet.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import select

from cs_gateway.events import PreparedEvent
from cs_gateway.store import GatewayStore
from cs_gateway.tables import RECOVERED
from juki.domain.change import ChangeKind, ChangeReason
from juki.store.sealing import Sealer
from juki.v1 import identification_pb2, notification_pb2


@dataclass(slots=True)
class RecoveredNotification:
    """One notification that waits for its event."""

    epoch: int
    sequence: int
    record_key: bytes
    record_known: bool
    """Whether `record_key` is the register's own record; else it only stands in for it."""


class RecoveredTail:
    """The waiting notifications; empty but after a restore."""

    def __init__(self, store: GatewayStore) -> None:
        self._sealer = store.sealer
        self._waiting: dict[bytes, list[RecoveredNotification]] = defaultdict(list)
        statement = select(RECOVERED).order_by(RECOVERED.c.epoch, RECOVERED.c.sequence)
        with store.read() as connection:
            for row in connection.execute(statement):
                self._waiting[bytes(row.content_key)].append(
                    RecoveredNotification(
                        row.epoch, row.sequence, bytes(row.record_key), row.record_known
                    )
                )

    def match(self, event: PreparedEvent, *, known: bool) -> RecoveredNotification | None:
        """The notification that `event` had made, taken out of those that wait.

        `known` tells whether the gateway holds the event's record.
        """
        if not self._waiting:
            return None
        waiting = self._waiting.get(event_content_key(self._sealer, event), [])
        for found in waiting:
            fits = found.record_key == event.record_key if known else not found.record_known
            if fits and (known or event.reason.kind is ChangeKind.ENTRY):
                waiting.remove(found)
                if not found.record_known:
                    self._adopt(found.record_key, event.record_key)
                return found
        return None

    def settle(self) -> None:
        """Forgets empty lists, so that a recovered gateway is as fast as any."""
        for key in [key for key, waiting in self._waiting.items() if not waiting]:
            del self._waiting[key]

    def _adopt(self, stand_in: bytes, record_key: bytes) -> None:
        for waiting in self._waiting.values():
            for other in waiting:
                if other.record_key == stand_in:
                    other.record_key, other.record_known = record_key, True


def event_content_key(sealer: Sealer, event: PreparedEvent) -> bytes:
    """Blind key over what an event and its notification both say."""
    message = event.message
    return _content_key(
        sealer,
        event.reason,
        message.event_date,
        _items(message.four_items) if message.HasField("four_items") else b"",
        (message.moved_from, message.moved_to),
    )


def notification_content_key(sealer: Sealer, change: notification_pb2.RecordChange) -> bytes:
    """The same key, from the notification."""
    information = change.information
    reason = ChangeReason(information.change.reason)
    items = b""
    if reason.kind in (ChangeKind.ENTRY, ChangeKind.CORRECTION):
        items = _items(
            identification_pb2.FourItems(
                name=information.name,
                birth_date=information.birth_date,
                sex=information.sex,
                address=information.address,
            )
        )
    moves = (change.moved_from, change.moved_to)
    return _content_key(sealer, reason, information.change.event_date, items, moves)


def _items(items: identification_pb2.FourItems) -> bytes:
    return items.SerializeToString(deterministic=True)


def _content_key(
    sealer: Sealer,
    reason: ChangeReason,
    date: identification_pb2.CalendarDate,
    items: bytes,
    moves: Iterable[str],
) -> bytes:
    text = "|".join(
        [str(reason.value), f"{date.year}-{date.month}-{date.day}", *moves, items.hex()]
    )
    return sealer.blind("recovered", hashlib.sha256(text.encode()).hexdigest())
