"""Reads the outbox and stores what is known of it at the next tiers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, and_, insert, or_, select, update

from cs_gateway.covered import open_outbox
from cs_gateway.store import GatewayStore
from cs_gateway.tables import GATEWAY_STATE, OUTBOX, RECEIPT
from juki.v1 import notification_pb2

RUN_NOTIFICATIONS: Final = 500
RUN_BYTES: Final = 3 * 1024 * 1024
PREFECTURE: Final = "prefecture"
NATION: Final = "nation"


@dataclass(frozen=True, slots=True)
class OutboxRun:
    """A run of the stream, all of one epoch, in order."""

    epoch: int
    first_sequence: int
    oldest_issued_at: int
    """Microseconds since 1970-01-01 UTC."""

    notifications: list[notification_pb2.SignedNotification]

    @property
    def last_sequence(self) -> int:
        """The sequence of the run's last notification."""
        return self.first_sequence + len(self.notifications) - 1


class Outbox:
    """The notifications that the gateway issued, and their receipts."""

    def __init__(self, store: GatewayStore) -> None:
        self._store = store

    def run_after(self, epoch: int, sequence: int) -> OutboxRun | None:
        """The run that follows a position; None when nothing does."""
        statement = (
            select(OUTBOX)
            .where(
                or_(
                    OUTBOX.c.epoch > epoch,
                    and_(OUTBOX.c.epoch == epoch, OUTBOX.c.sequence > sequence),
                )
            )
            .order_by(OUTBOX.c.epoch, OUTBOX.c.sequence)
            .limit(RUN_NOTIFICATIONS)
        )
        with self._store.read() as connection:
            rows = connection.execute(statement).all()
        if not rows:
            return None
        first = rows[0]
        notifications: list[notification_pb2.SignedNotification] = []
        size = 0
        for row in rows:
            size += len(row.envelope)
            if row.epoch != first.epoch or (notifications and size > RUN_BYTES):
                break
            notifications.append(self._open(row))
        return OutboxRun(first.epoch, first.sequence, first.issued_at, notifications)

    def _open(self, row: Any) -> notification_pb2.SignedNotification:
        return notification_pb2.SignedNotification.FromString(open_outbox(row, self._store.sealer))

    def digest(self, epoch: int, sequence: int) -> bytes | None:
        """The digest of one notification; None when it was never issued here."""
        statement = select(OUTBOX.c.digest).where(
            OUTBOX.c.epoch == epoch, OUTBOX.c.sequence == sequence
        )
        with self._store.read() as connection:
            digest = connection.scalar(statement)
        return None if digest is None else bytes(digest)

    def issue_instants(self, epoch: int, first: int, last: int) -> list[int]:
        """When the notifications of a run were issued, in microseconds since 1970-01-01 UTC."""
        statement = select(OUTBOX.c.issued_at).where(
            OUTBOX.c.epoch == epoch, OUTBOX.c.sequence.between(first, last)
        )
        with self._store.read() as connection:
            return list(connection.scalars(statement))

    def store_prefecture_receipts(
        self,
        receipts: Sequence[tuple[notification_pb2.Receipt, bytes]],
        epoch: int,
        through: int,
        now: int,
    ) -> None:
        """Stores receipts and how far they reach, in one transaction."""
        with self._store.write() as connection:
            for receipt, signed in receipts:
                store_receipt(connection, PREFECTURE, receipt, signed, now)
            connection.execute(
                update(GATEWAY_STATE)
                .where(
                    _earlier(
                        GATEWAY_STATE.c.prefecture_epoch,
                        GATEWAY_STATE.c.prefecture_through,
                        epoch,
                        through,
                    )
                )
                .values(prefecture_epoch=epoch, prefecture_through=through)
            )


def store_receipt(
    connection: Connection,
    tier: str,
    receipt: notification_pb2.Receipt,
    signed: bytes,
    now: int,
) -> None:
    """Stores a receipt unless it is held already."""
    key = {
        "tier": tier,
        "epoch": receipt.epoch,
        "first_sequence": receipt.first_sequence,
        "last_sequence": receipt.last_sequence,
    }
    held = connection.scalar(
        select(RECEIPT.c.tier).where(*(RECEIPT.c[name] == value for name, value in key.items()))
    )
    if held is None:
        connection.execute(insert(RECEIPT).values(**key, signed_receipt=signed, arrived_at=now))


def advance_nation(connection: Connection, epoch: int, through: int, now: int) -> None:
    """Moves on how far the nation knows the stream."""
    connection.execute(
        update(GATEWAY_STATE)
        .where(
            _earlier(GATEWAY_STATE.c.nation_epoch, GATEWAY_STATE.c.nation_through, epoch, through)
        )
        .values(nation_epoch=epoch, nation_through=through, nation_receipt_at=now)
    )


def _earlier(epoch_column: Any, sequence_column: Any, epoch: int, sequence: int) -> Any:
    return or_(epoch_column < epoch, and_(epoch_column == epoch, sequence_column < sequence))
