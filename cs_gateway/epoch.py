"""Starts a new epoch after a restore: fetches back what the backup lacks, voids the pool of codes.

A restored gateway may have used codes and issued notifications that its backup does not know. So
the prefecture's copy of the stream is fetched and applied first; then a signed `EpochStart` begins
the next epoch, and every unused code is voided. Afterwards the register repeats its events since
the backup: those that had become notifications are recognised (`cs_gateway.recovered`).

The gateway must not be running; a running one is fenced off and refuses from then on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import structlog
from google.protobuf.timestamp_pb2 import Timestamp
from protovalidate import Validator

from cs_gateway import places
from cs_gateway.ports import Clock, Upstream
from cs_gateway.records import Resident
from cs_gateway.recovered import notification_content_key
from cs_gateway.signing import StreamSigner
from cs_gateway.store import GatewayStore, GroupWrite
from juki.domain.change import ChangeKind, ChangeReason, RecordState, next_state
from juki.domain.envelope import (
    GENESIS_DIGEST,
    StreamLink,
    StreamPosition,
    follow,
    notification_digest,
)
from juki.domain.errors import InvalidValue, JukiError, Reason
from juki.v1 import intake_pb2, notification_pb2

_LOG: Final = structlog.get_logger(__name__)
_FETCH: Final = 500


@dataclass(frozen=True, slots=True)
class EpochStarted:
    """What the start of an epoch did."""

    epoch: int
    recovered: int
    """Notifications fetched back."""


class EpochStarter:
    """Recovers one municipality's stream and starts its next epoch."""

    def __init__(
        self,
        municipality: str,
        store: GatewayStore,
        signer: StreamSigner,
        upstream: Upstream,
        clock: Clock,
    ) -> None:
        self._municipality = municipality
        self._store = store
        self._signer = signer
        self._upstream = upstream
        self._clock = clock

    def start(
        self, reason: str, operator: str, *, without_prefecture: bool = False
    ) -> EpochStarted:
        """Recovers, then begins the next epoch; safe to repeat when it fails half-way.

        `reason` and `operator` go into the signed record, which must name no person but the
        operator's id. `without_prefecture` goes on although the prefecture does not answer: what
        the backup lacks is then unknown here, and repeated events are notified a second time.

        Raises:
            JukiError: UPSTREAM_UNAVAILABLE, CUSTODY_UNAVAILABLE, STORE_UNAVAILABLE; or
                SEQUENCE_CONFLICT when events were taken in after the restore that contradict the
                prefecture's copy: restore again, and start the epoch before taking in events;
                or INVALID_FIELD for a reason or an operator that the record cannot hold.
        """
        recovered = 0
        try:
            recovered = self._recover()
        except JukiError as error:
            if error.reason is not Reason.UPSTREAM_UNAVAILABLE or not without_prefecture:
                raise
            _LOG.warning("epoch_starts_without_the_prefecture")
        before = self._store.head()
        now = self._clock()
        notification = notification_pb2.Notification(
            municipality=self._municipality,
            epoch=before.epoch + 1,
            sequence=1,
            predecessor_digest=before.digest,
            issued_at=Timestamp(seconds=now // 1_000_000, nanos=now % 1_000_000 * 1000),
            epoch_start=notification_pb2.EpochStart(
                previous_epoch=before.epoch,
                last_known_sequence=before.sequence,
                last_known_digest=before.digest if before.sequence else b"",
                reason=reason,
                declared_by=operator,
            ),
        )
        if Validator().collect_violations(notification.epoch_start):
            # Once signed it would stand at the head of a stream that no tier takes.
            raise InvalidValue("reason (1 to 200 characters) or operator (1 to 100) do not fit")
        return self._begin(before, notification.SerializeToString(), recovered, now)

    def _begin(
        self, before: StreamPosition, notification: bytes, recovered: int, now: int
    ) -> EpochStarted:
        digest = notification_digest(notification)
        key_id, (signature,) = self._signer.sign([digest])
        signed = notification_pb2.SignedNotification(
            notification=notification, key_id=key_id, signature=signature
        )
        after = StreamPosition(before.epoch + 1, 1, digest)
        group = GroupWrite(before, after, void_unused_codes=True)
        group.outbox.append(self._outbox_row(after, signed, now))
        self._store.commit(group, now)
        _LOG.warning("epoch_started", epoch=after.epoch, recovered=recovered)
        return EpochStarted(after.epoch, recovered)

    def _recover(self) -> int:
        """Fetches and applies what the prefecture holds beyond our head; gives how much."""
        held = self._upstream.get_stream_head(self._municipality)
        total = 0
        while True:
            head = self._store.head()
            if held.epoch == 0 or (held.epoch, held.sequence) <= (head.epoch, head.sequence):
                self._check_common(head, held)
                return total
            run = self._fetch(head.epoch, head.sequence + 1)
            if not run and head.epoch < held.epoch:
                run = self._fetch(head.epoch + 1, 1)
            if not run:
                raise JukiError(Reason.UPSTREAM_UNAVAILABLE, "the prefecture gives too little back")
            self._apply(run, head)
            total += len(run)

    def _check_common(self, head: StreamPosition, held: intake_pb2.GetStreamHeadResponse) -> None:
        same_place = (held.epoch, held.sequence) == (head.epoch, head.sequence)
        if same_place and held.digest and held.digest != head.digest:
            raise _diverged()

    def _fetch(self, epoch: int, first_sequence: int) -> list[notification_pb2.SignedNotification]:
        request = intake_pb2.FetchNotificationsRequest(
            municipality=self._municipality,
            epoch=epoch,
            first_sequence=first_sequence,
            limit=_FETCH,
        )
        return list(self._upstream.fetch_notifications(request).notifications)

    def _apply(self, run: list[notification_pb2.SignedNotification], head: StreamPosition) -> None:
        """Stores a run with the residents as it leaves them, in one transaction.

        Every signature is our own and every digest follows, so that nobody can slip in a record.
        """
        now = self._clock()
        group = GroupWrite(head, head)
        residents: dict[bytes, Resident] = {}
        held: set[bytes] = set()
        for signed in run:
            message = notification_pb2.Notification.FromString(signed.notification)
            digest = notification_digest(signed.notification)
            if message.municipality != self._municipality:
                raise JukiError(Reason.SIGNER_MISMATCH, "a notification of another municipality")
            self._signer.check(signed.key_id, digest, signed.signature)
            group.after = _following(group.after, message, digest)
            group.outbox.append(self._outbox_row(group.after, signed, _microseconds(message)))
            if message.HasField("record_change"):
                self._apply_change(message, digest, residents, held, group)
        group.new_residents = [r for r in residents.values() if r.record_key not in held]
        group.changed_residents = [r for r in residents.values() if r.record_key in held]
        self._store.commit(group, now)

    def _apply_change(
        self,
        message: notification_pb2.Notification,
        digest: bytes,
        residents: dict[bytes, Resident],
        held: set[bytes],
        group: GroupWrite,
    ) -> None:
        blind = self._store.sealer.blind
        change = message.record_change
        information = change.information
        reason = ChangeReason(information.change.reason)
        code_key = blind("code", information.resident_record_code)
        former = information.change.former_resident_record_code
        resident = self._find(blind("code", former) if former else code_key, residents, held)
        stand_in = resident is None
        if resident is None:
            place = f"{message.epoch}|{message.sequence}"
            record_key = blind("recovered_record", place)
            state = RecordState.ABSENT
        else:
            record_key, state = resident.record_key, resident.state
        following = next_state(state, reason)
        pending = following is RecordState.CURRENT and not information.individual_number
        residents[record_key] = Resident(
            record_key, following, information, digest, pending, code_key
        )
        if reason is not ChangeReason.NUMBER_DESIGNATION:
            known = not stand_in and self._known(record_key, group)
            group.recovered.append(
                {
                    "epoch": message.epoch,
                    "sequence": message.sequence,
                    "content_key": notification_content_key(self._store.sealer, change),
                    "record_key": record_key,
                    "record_known": known,
                }
            )
        if reason.kind in (ChangeKind.ENTRY, ChangeKind.CODE_CHANGE):
            group.used_codes += self._store.unused_among([code_key])

    def _find(
        self, code_key: bytes, residents: dict[bytes, Resident], held: set[bytes]
    ) -> Resident | None:
        found = [r for r in residents.values() if r.code_key == code_key]
        if not found:
            stored = self._store.group_context([], [], [code_key])[1]
            found = [r for r in stored.values() if r.record_key not in residents]
            held.update(r.record_key for r in found)
        current = [r for r in found if r.state is RecordState.CURRENT]
        candidates = current or found
        return candidates[-1] if candidates else None

    def _known(self, record_key: bytes, group: GroupWrite) -> bool:
        """Whether the key is the register's own, not one that only stands in."""
        if any(row["record_key"] == record_key for row in group.recovered):
            return all(
                row["record_known"] for row in group.recovered if row["record_key"] == record_key
            )
        return self._store.record_is_known(record_key)

    def _outbox_row(
        self,
        position: StreamPosition,
        signed: notification_pb2.SignedNotification,
        issued_at: int,
    ) -> dict[str, object]:
        place = places.outbox_envelope(
            position.epoch, position.sequence, position.digest, issued_at
        )
        return {
            "epoch": position.epoch,
            "sequence": position.sequence,
            "digest": position.digest,
            "issued_at": issued_at,
            "envelope": self._store.sealer.seal(signed.SerializeToString(), place),
        }


def _following(
    head: StreamPosition, message: notification_pb2.Notification, digest: bytes
) -> StreamPosition:
    link = StreamLink(
        epoch=message.epoch,
        sequence=message.sequence,
        predecessor_digest=message.predecessor_digest,
        digest=digest,
        starts_epoch=message.HasField("epoch_start"),
        last_known_sequence=message.epoch_start.last_known_sequence,
    )
    try:
        return follow(head, link)
    except JukiError as error:
        if error.reason is Reason.PREDECESSOR_MISMATCH and head.digest != GENESIS_DIGEST:
            raise _diverged() from None
        raise


def _diverged() -> JukiError:
    return JukiError(
        Reason.SEQUENCE_CONFLICT, "events taken in since the restore contradict the prefecture"
    )


def _microseconds(message: notification_pb2.Notification) -> int:
    return message.issued_at.seconds * 1_000_000 + message.issued_at.nanos // 1000
