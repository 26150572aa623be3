"""Reads from the database how far the stream is known, at start."""

from __future__ import annotations

from sqlalchemy import select

from cs_gateway.progress import Standing
from cs_gateway.store import GatewayStore
from cs_gateway.tables import GATEWAY_STATE


def read_standing(store: GatewayStore) -> Standing:
    """The standing; `codes_available` is told by the pool."""
    with store.read() as connection:
        row = connection.execute(select(GATEWAY_STATE)).one()
    return Standing(
        epoch=row.epoch,
        issued_through=row.sequence,
        prefecture_epoch=row.prefecture_epoch,
        prefecture_through=row.prefecture_through,
        nation_epoch=row.nation_epoch,
        nation_through=row.nation_through,
        nation_receipt_at=row.nation_receipt_at,
        numbers_pending=store.count_numbers_pending(),
    )
