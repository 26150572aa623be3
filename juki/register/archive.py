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


def read_following(  # noqa: PLR0917 - a place in a stream, in the order of its key
    engine: Engine, sealer: Sealer, municipality: str, epoch: int, sequence: int, limit: int
) -> tuple[int, int, list[notification_pb2.SignedNotification]]:
    """Up to `limit` notifications after a place, all of one epoch: that and the first sequence.

    None at the end of the stream. An epoch is read to its end; the next begins with its start.
    Epoch 0 stands before the first.

    Raises:
        JukiError: As `read_run` does.
    """
    epoch = max(epoch, 1)
    run = read_run(engine, sealer, municipality, epoch, sequence + 1, limit)
    if run:
        return epoch, sequence + 1, run
    return epoch + 1, 1, read_run(engine, sealer, municipality, epoch + 1, 1, limit)
