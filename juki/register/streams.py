"""Streams as they are stored: heads, and what is held of a run already."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, insert, select, update

from juki.domain.envelope import StreamLink, StreamPosition
from juki.register import tables as t
from juki.store.root import RowChanges, row_bytes
from juki.store.sealing import Sealer
from juki.v1 import notification_pb2


def read_position(connection: Connection, municipality: str) -> StreamPosition:
    """How far the municipality's stream is held."""
    row = connection.execute(
        select(t.stream).where(t.stream.c.municipality == municipality)
    ).first()
    return StreamPosition(row.epoch, row.sequence, bytes(row.digest)) if row else StreamPosition()


def write_position(
    connection: Connection,
    municipality: str,
    before: StreamPosition,
    position: StreamPosition,
    changes: RowChanges,
) -> None:
    """Moves the head of the municipality's stream."""
    if before.epoch:
        changes.remove("stream", stream_message(municipality, before))
    changes.add("stream", stream_message(municipality, position))
    values = {
        "epoch": position.epoch,
        "sequence": position.sequence,
        "digest": position.digest,
    }
    changed = connection.execute(
        update(t.stream).where(t.stream.c.municipality == municipality).values(values)
    )
    if changed.rowcount == 0:
        connection.execute(
            insert(t.stream).values(
                municipality=municipality, relayed_epoch=0, relayed_sequence=0, **values
            )
        )


def stream_message(municipality: str, position: StreamPosition) -> bytes:
    """What the head of a stream counts by in the register root: all but how far it is relayed."""
    return row_bytes(municipality, position.epoch, position.sequence, position.digest)


def envelope_place(
    municipality: str,
    epoch: int,
    sequence: int,
    *,
    digest: bytes,
    receipt_id: int,
    received_at: int,
    dispute_reason: int | None,
) -> bytes:
    """The place that a sealed envelope is bound to: all the rest of its row, written once."""
    return b"notification.envelope|%b|%d|%d|%b|%d|%d|%d" % (
        municipality.encode(),
        epoch,
        sequence,
        digest,
        receipt_id,
        received_at,
        dispute_reason or 0,
    )


def open_envelope(row: Any, sealer: Sealer) -> bytes:
    """The serialised `SignedNotification` of a row of the table `notification`.

    Raises:
        JukiError: TAMPERING_DETECTED when the row is not as it was sealed.
    """
    place = envelope_place(
        row.municipality,
        row.epoch,
        row.sequence,
        digest=bytes(row.digest),
        receipt_id=row.receipt_id,
        received_at=row.received_at,
        dispute_reason=row.dispute_reason,
    )
    return sealer.open(bytes(row.envelope_sealed), place)


def held_of(
    connection: Connection,
    municipality: str,
    position: StreamPosition,
    links: Sequence[StreamLink],
) -> dict[tuple[int, int], tuple[bytes, int]]:
    """Digest and receipt of those of the run that are held already."""
    first = links[0]
    if (first.epoch, first.sequence) > (position.epoch, position.sequence):
        return {}
    table = t.notification
    statement = select(table.c.sequence, table.c.digest, table.c.receipt_id).where(
        table.c.municipality == municipality,
        table.c.epoch == first.epoch,
        table.c.sequence.in_([link.sequence for link in links]),
    )
    return {
        (first.epoch, row.sequence): (bytes(row.digest), row.receipt_id)
        for row in connection.execute(statement)
    }


def read_receipts(
    connection: Connection, ids: Iterable[int]
) -> list[notification_pb2.SignedReceipt]:
    """The receipts with these ids, in their order."""
    wanted = list(ids)
    if not wanted:
        return []
    statement = select(t.receipt.c.id, t.receipt.c.signed).where(t.receipt.c.id.in_(wanted))
    found = {row.id: bytes(row.signed) for row in connection.execute(statement)}
    return [notification_pb2.SignedReceipt.FromString(found[one]) for one in wanted]
