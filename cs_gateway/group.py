"""The notifications of one transaction of the writer, while they are being made."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from cs_gateway import places
from cs_gateway.events import PreparedEvent
from cs_gateway.records import Change, Resident, apply_event, designate_number
from cs_gateway.recovered import RecoveredTail
from cs_gateway.signing import StreamSigner
from cs_gateway.store import Adoption, GatewayStore, GroupWrite, TakenEvent
from juki.domain.change import RecordState
from juki.domain.envelope import StreamPosition, notification_digest
from juki.domain.errors import JukiError, Reason
from juki.v1 import notification_pb2

_JAPAN: Final = datetime.timezone(datetime.timedelta(hours=9))


@dataclass(slots=True)
class Designation:
    """An Individual Number for a record that waits for one."""

    record_key: bytes
    code_key: bytes
    """The code that the number was generated for; another one by now makes the number stale."""

    number: str

    def __repr__(self) -> str:
        return "Designation(…)"


@dataclass(frozen=True, slots=True)
class Written:
    """What became of one event or designation."""

    refusal: Reason | None = None
    epoch: int = 0
    sequence: int = 0
    code: str = ""
    """The record's resident record code as it stands now."""

    number: str = ""
    repeated: bool = False
    """Whether it had been taken in before."""

    def __repr__(self) -> str:
        return f"Written({self.refusal or (self.epoch, self.sequence)})"


class NotificationGroup:
    """Events and designations in order, the residents as they leave them, and what is to be stored.

    Used once, by the writer's thread.
    """

    def __init__(
        self,
        municipality: str,
        store: GatewayStore,
        head: StreamPosition,
        recovered: RecoveredTail,
        now: int,
    ) -> None:
        self.now = now
        self.used_codes: set[bytes] = set()
        self.pending_difference = 0
        self._municipality = municipality
        self._store = store
        self._before = head
        self._head = head
        self._issued_at = Timestamp(seconds=now // 1_000_000, nanos=now % 1_000_000 * 1000)
        today = datetime.datetime.fromtimestamp(now / 1_000_000, _JAPAN).date()
        self._today = (today.year, today.month, today.day)
        self._taken: dict[bytes, TakenEvent] = {}
        self._residents: dict[bytes, Resident] = {}
        self._held: set[bytes] = set()
        self._changed: dict[bytes, Resident] = {}
        self._of_code: dict[bytes, dict[bytes, Resident]] = {}
        self._notifications: list[tuple[int, bytes, bytes]] = []
        self._events: list[dict[str, object]] = []
        self._recovered = recovered
        self._adoptions: list[Adoption] = []

    def build(self, items: Sequence[PreparedEvent | Designation]) -> list[Written]:
        """One outcome for each item; the accepted ones have their notifications made."""
        events = [item for item in items if isinstance(item, PreparedEvent)]
        self._taken, self._residents = self._store.group_context(
            [event.event_key for event in events],
            list({item.record_key for item in items}),
            list({event.carried_code_key for event in events if event.carried_code_key}),
        )
        self._held = set(self._residents)
        for resident in self._residents.values():
            self._of_code.setdefault(resident.code_key, {})[resident.record_key] = resident
        return [
            self._event(item) if isinstance(item, PreparedEvent) else self._designation(item)
            for item in items
        ]

    def _event(self, event: PreparedEvent) -> Written:
        taken = self._taken.get(event.event_key) or self._adopt(event)
        if taken is not None:
            if taken.content != event.content:
                return Written(Reason.EVENT_CONFLICT)
            return _written(
                taken.epoch, taken.sequence, self._residents.get(taken.record_key), repeated=True
            )
        resident = self._residents.get(event.record_key)
        try:
            predecessor = self._predecessor(event, resident)
            change = apply_event(resident, event, predecessor)
        except JukiError as error:
            return Written(error.reason)
        self._append(change)
        if change.used_code and event.code is not None:
            self.used_codes.add(event.code.key)
        epoch, sequence = self._head.epoch, self._head.sequence
        self._remember(event, TakenEvent(event.content, event.record_key, epoch, sequence))
        return _written(epoch, sequence, change.resident)

    def _adopt(self, event: PreparedEvent) -> TakenEvent | None:
        """The notification that this event made before a restore, if it was fetched back."""
        found = self._recovered.match(event, known=event.record_key in self._residents)
        if found is None:
            return None
        stand_in = b"" if found.record_known else found.record_key
        self._adoptions.append(Adoption(found.epoch, found.sequence, stand_in, event.record_key))
        if stand_in:
            resident = self._store.resident(stand_in)
            if resident is None:
                raise JukiError(Reason.INTERNAL, "a recovered notification has no resident")
            resident.record_key = event.record_key
            self._residents[event.record_key] = resident
            self._changed[event.record_key] = resident
        taken = TakenEvent(event.content, event.record_key, found.epoch, found.sequence)
        self._remember(event, taken)
        return taken

    def _remember(self, event: PreparedEvent, taken: TakenEvent) -> None:
        self._taken[event.event_key] = taken
        self._events.append(
            {
                "event_key": event.event_key,
                "content": taken.content,
                "record_key": taken.record_key,
                "epoch": taken.epoch,
                "sequence": taken.sequence,
            }
        )

    def _predecessor(self, event: PreparedEvent, resident: Resident | None) -> bytes:
        others = [
            other
            for key, other in self._of_code.get(event.carried_code_key, {}).items()
            if key != event.record_key
        ]
        if any(other.state is RecordState.CURRENT for other in others):
            raise JukiError(Reason.IMPOSSIBLE_EVENT, "another current record has this code")
        if resident is not None:
            return resident.last_digest
        # A person who comes back may be given a new record id: the chain of the person goes on.
        return others[-1].last_digest if others else b""

    def _designation(self, designation: Designation) -> Written:
        resident = self._residents.get(designation.record_key)
        if resident is None or resident.code_key != designation.code_key:
            return Written(Reason.RECORD_NOT_FOUND)
        try:
            change = designate_number(resident, designation.number, self._today)
        except JukiError as error:
            return Written(error.reason)
        self._append(change)
        return _written(self._head.epoch, self._head.sequence, change.resident)

    def _append(self, change: Change) -> None:
        sequence = self._head.sequence + 1
        notification = notification_pb2.Notification(
            municipality=self._municipality,
            epoch=self._head.epoch,
            sequence=sequence,
            predecessor_digest=self._head.digest,
            issued_at=self._issued_at,
            record_change=change.content,
        ).SerializeToString()
        digest = notification_digest(notification)
        self._notifications.append((sequence, digest, notification))
        self._head = StreamPosition(self._head.epoch, sequence, digest)
        resident = change.resident
        resident.last_digest = digest
        before = self._residents.get(resident.record_key)
        self.pending_difference += resident.number_pending - bool(before and before.number_pending)
        if before is not None:
            self._of_code.get(before.code_key, {}).pop(resident.record_key, None)
        self._of_code.setdefault(resident.code_key, {})[resident.record_key] = resident
        self._residents[resident.record_key] = resident
        self._changed[resident.record_key] = resident

    def seal(self, signer: StreamSigner) -> GroupWrite | None:
        """All that is to be stored, signed and sealed; None when nothing was accepted."""
        if not self._events and not self._notifications:
            return None
        key_id, signatures = b"", list[bytes]()
        if self._notifications:
            key_id, signatures = signer.sign([digest for _, digest, _ in self._notifications])
        seal = self._store.sealer.seal
        epoch = self._head.epoch
        outbox = [
            {
                "epoch": epoch,
                "sequence": sequence,
                "digest": digest,
                "issued_at": self.now,
                "envelope": seal(
                    notification_pb2.SignedNotification(
                        notification=notification, key_id=key_id, signature=signature
                    ).SerializeToString(),
                    places.outbox_envelope(epoch, sequence, digest, self.now),
                ),
            }
            for (sequence, digest, notification), signature in zip(
                self._notifications, signatures, strict=True
            )
        ]
        changed = self._changed.values()
        return GroupWrite(
            before=self._before,
            after=self._head,
            outbox=outbox,
            events=self._events,
            new_residents=[r for r in changed if r.record_key not in self._held],
            changed_residents=[r for r in changed if r.record_key in self._held],
            used_codes=list(self.used_codes),
            adoptions=self._adoptions,
        )


def _written(
    epoch: int, sequence: int, resident: Resident | None, *, repeated: bool = False
) -> Written:
    code = resident.information.resident_record_code if resident else ""
    number = resident.information.individual_number if resident else ""
    return Written(None, epoch, sequence, code, number, repeated)
