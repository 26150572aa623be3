"""Reads stored notifications back, in the order of their stream."""

from __future__ import annotations

from sqlalchemy import Engine, select

from juki.register import tables as t
from juki.register.streams import open_envelope
from juki.store.sealing import Sealer
from juki.v1 import notification_pb2


def read_run(  # noqa: PLR0917 - a run's identity, in the order of its key
    engine: Engine, sealer: Sealer, municipality: str, epoch: int, first_sequence: int, limit: int
) -> list[notification_pb2.SignedNotification]:
    """Up to `limit` notifications of one epoch from `first_sequence` on, as they were received.

    Raises:
        JukiError: TAMPERING_DETECTED when a stored envelope does not open in its place.
    """
    table = t.notification
    statement = (
        select(table)
        .where(
            table.c.municipality == municipality,
            table.c.epoch == epoch,
            table.c.sequence >= first_sequence,
        )
        .order_by(table.c.sequence)
        .limit(limit)
    )
    with engine.connect().execution_options(read_only=True) as connection:
        rows = connection.execute(statement).all()
    return [
        notification_pb2.SignedNotification.FromString(open_envelope(row, sealer)) for row in rows
    ]
