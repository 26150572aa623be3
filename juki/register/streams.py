"""Streams as they are stored: heads, and what is held of a run already."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, insert, select, update

from juki.domain.envelope import StreamLink, StreamPosition
from juki.register import tables as t
from juki.v1 import notification_pb2


def read_position(connection: Connection, municipality: str) -> StreamPosition:
    """How far the municipality's stream is held."""
    row = connection.execute(
        select(t.stream).where(t.stream.c.municipality == municipality)
    ).first()
    return StreamPosition(row.epoch, row.sequence, bytes(row.digest)) if row else StreamPosition()


def write_position(connection: Connection, municipality: str, position: StreamPosition) -> None:
    """Moves the head of the municipality's stream."""
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


def envelope_place(municipality: str, epoch: int, sequence: int) -> bytes:
    """The place that a sealed envelope is bound to."""
    return b"notification.envelope|%s|%d|%d" % (municipality.encode(), epoch, sequence)


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
