"""A gateway's stream made by hand: notifications signed in a real token."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field

from juki.custody.port import SIGNING, Custody
from juki.custody.verify import fingerprint
from juki.domain.change import ChangeReason
from juki.domain.envelope import GENESIS_DIGEST, notification_digest
from juki.v1 import identification_pb2, notification_pb2

SOME_DAY = datetime.date(2026, 4, 1)


def information(
    code: str,
    reason: ChangeReason,
    *,
    municipality: str = "221309",
    number: str = "",
    name: str = "山田　花子",
    event_date: datetime.date = SOME_DAY,
    former_code: str = "",
) -> identification_pb2.IdentificationInformation:
    """Identification information of a made-up person after a change."""
    message = identification_pb2.IdentificationInformation(
        name=identification_pb2.PersonName(written=name, reading="ヤマダ　ハナコ"),
        birth_date=identification_pb2.BirthDate(year=1985, month=4, day=2),
        sex=identification_pb2.SEX_FEMALE,
        address=identification_pb2.Address(
            municipality=municipality, town="元城町", remainder="103番地の2"
        ),
        resident_record_code=code,
        individual_number=number,
    )
    message.change.kind = identification_pb2.ChangeKind.ValueType(int(reason.kind))
    message.change.reason = identification_pb2.ChangeReason.ValueType(int(reason))
    message.change.event_date.year = event_date.year
    message.change.event_date.month = event_date.month
    message.change.event_date.day = event_date.day
    message.change.former_resident_record_code = former_code
    return message


@dataclass
class Stream:
    """One municipality's stream; `add` chains and signs."""

    municipality: str
    custody: Custody
    epoch: int = 1
    sequence: int = 0
    digest: bytes = GENESIS_DIGEST
    sent: list[notification_pb2.SignedNotification] = field(default_factory=list)

    @property
    def certificates(self) -> list[bytes]:
        """The signing certificate's chain."""
        return self.custody.certificate_chain(SIGNING)

    def add(
        self,
        message: identification_pb2.IdentificationInformation,
        *,
        moved_from: str = "",
        moved_to: str = "",
        predecessor: notification_pb2.SignedNotification | None = None,
    ) -> notification_pb2.SignedNotification:
        """The next notification of the stream; `predecessor` is the person's last one."""
        notification = self._next()
        notification.record_change.information.CopyFrom(message)
        notification.record_change.moved_from = moved_from
        notification.record_change.moved_to = moved_to
        if predecessor is not None:
            digest = notification_digest(predecessor.notification)
            notification.record_change.person_predecessor_digest = digest
        return self._finish(notification)

    def start_epoch(
        self, *, known_sequence: int, known_digest: bytes
    ) -> notification_pb2.SignedNotification:
        """The signed act that begins the next epoch."""
        previous, self.epoch, self.sequence, self.digest = (
            self.epoch,
            self.epoch + 1,
            0,
            known_digest,
        )
        notification = self._next()
        start = notification.epoch_start
        start.previous_epoch = previous
        start.last_known_sequence = known_sequence
        start.last_known_digest = known_digest
        start.reason = "restored from backup"
        start.declared_by = "operator-7"
        return self._finish(notification)

    def sign(self, serialised: bytes) -> notification_pb2.SignedNotification:
        """An envelope over any bytes."""
        (signature,) = self.custody.sign(SIGNING, [notification_digest(serialised)])
        return notification_pb2.SignedNotification(
            notification=serialised,
            key_id=fingerprint(self.certificates[0]),
            signature=signature,
        )

    def _next(self) -> notification_pb2.Notification:
        notification = notification_pb2.Notification(
            municipality=self.municipality,
            epoch=self.epoch,
            sequence=self.sequence + 1,
            predecessor_digest=self.digest,
        )
        notification.issued_at.GetCurrentTime()
        return notification

    def _finish(
        self, notification: notification_pb2.Notification
    ) -> notification_pb2.SignedNotification:
        serialised = notification.SerializeToString()
        self.sequence = notification.sequence
        self.digest = notification_digest(serialised)
        signed = self.sign(serialised)
        self.sent.append(signed)
        return signed
