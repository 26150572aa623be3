"""The gateway's tables: its stream's state, residents, outbox, events, codes, receipts, disputes.

Everything personal is sealed and bound to its place (see `cs_gateway.places`); ids that the
municipality's register gave are kept as blind indexes only. Instants are microseconds since
1970-01-01 UTC.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    Boolean,
    Column,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
)

from juki.revocation.tables import revocation_list
from juki.store.data_keys import data_key_table
from juki.store.engine import BIG
from juki.store.root import root_table

METADATA: Final = MetaData()
revocation_list.to_metadata(METADATA)

DATA_KEY: Final = data_key_table(METADATA)
"""The gateway's data keys, wrapped by the token."""

REGISTER_ROOT: Final = root_table(METADATA)
"""The root of the tables in `cs_gateway.covered`."""


class Bytes(LargeBinary):
    """A binary column whose values reach the driver, and come back, as they are.

    Both drivers take and give `bytes`; wrapping each value costs a tenth of the intake's time.
    """

    cache_ok = True

    def bind_processor(self, dialect: Dialect) -> None:
        """Nothing to do."""

    def result_processor(self, dialect: Dialect, coltype: object) -> None:
        """Nothing to do."""


GATEWAY_STATE: Final = Table(
    "gateway_state",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("municipality", String(6), nullable=False),
    Column("epoch", BIG, nullable=False),
    Column("sequence", BIG, nullable=False),
    Column("digest", Bytes, nullable=False),
    Column("prefecture_epoch", BIG, nullable=False),
    Column("prefecture_through", BIG, nullable=False),
    Column("nation_epoch", BIG, nullable=False),
    Column("nation_through", BIG, nullable=False),
    Column("nation_receipt_at", BIG),
    Column("returns_cursor", BIG, nullable=False),
)
"""One row, id 1. The writer moves epoch, sequence and digest; relay and returns the rest."""

RESIDENT: Final = Table(
    "resident",
    METADATA,
    Column("record_key", Bytes, primary_key=True),
    Column("code_key", Bytes, nullable=False),
    Column("information", Bytes, nullable=False),
    Column("state", Integer, nullable=False),
    Column("last_digest", Bytes, nullable=False),
    Column("number_pending", Boolean, nullable=False),
    Index("ix_resident_code_key", "code_key"),
    Index("ix_resident_number_pending", "number_pending"),
)
"""The record as last notified; `record_key` is blind, `information` sealed."""

OUTBOX: Final = Table(
    "outbox",
    METADATA,
    Column("epoch", BIG, primary_key=True, autoincrement=False),
    Column("sequence", BIG, primary_key=True, autoincrement=False),
    Column("digest", Bytes, nullable=False),
    Column("issued_at", BIG, nullable=False),
    Column("envelope", Bytes, nullable=False),
)
"""Every notification ever issued, as a sealed `SignedNotification`."""

REGISTER_EVENT: Final = Table(
    "register_event",
    METADATA,
    Column("event_key", Bytes, primary_key=True),
    Column("content", Bytes, nullable=False),
    Column("record_key", Bytes, nullable=False),
    Column("epoch", BIG, nullable=False),
    Column("sequence", BIG, nullable=False),
)
"""Events taken in: `event_key` blind, `content` a keyed digest, so that a repeat is recognised."""

RECOVERED: Final = Table(
    "recovered",
    METADATA,
    Column("epoch", BIG, primary_key=True, autoincrement=False),
    Column("sequence", BIG, primary_key=True, autoincrement=False),
    Column("content_key", Bytes, nullable=False),
    Column("record_key", Bytes, nullable=False),
    Column("record_known", Boolean, nullable=False),
)
"""Notifications fetched back from the prefecture whose register events are not known again yet."""

CODE_POOL: Final = Table(
    "code_pool",
    METADATA,
    Column("code_key", Bytes, primary_key=True),
    Column("code", Bytes, nullable=False),
    Column("allotted_at", BIG, nullable=False),
    Column("used_at", BIG),
    Column("voided_at", BIG),
    Index("ix_code_pool_used_at", "used_at"),
)
"""Resident record codes allotted to the municipality, sealed; used and voided ones stay."""

CODE_REQUEST: Final = Table(
    "code_request",
    METADATA,
    Column("request_id", String(64), primary_key=True),
    Column("wanted", Integer, nullable=False),
    Column("asked_at", BIG, nullable=False),
    Column("answered_at", BIG),
)
"""Requests for codes, written before they are sent, so that a crash repeats the same one."""

RECEIPT: Final = Table(
    "receipt",
    METADATA,
    Column("tier", String(16), primary_key=True),
    Column("epoch", BIG, primary_key=True, autoincrement=False),
    Column("last_sequence", BIG, primary_key=True, autoincrement=False),
    Column("first_sequence", BIG, primary_key=True, autoincrement=False),
    Column("signed_receipt", Bytes, nullable=False),
    Column("arrived_at", BIG, nullable=False),
)
"""Signed receipts, tier "prefecture" or "nation"."""

DISPUTE: Final = Table(
    "dispute",
    METADATA,
    Column("position", BIG, primary_key=True),
    Column("dispute_id", String(128), nullable=False, unique=True),
    Column("report", Bytes, nullable=False),
    Column("resolved", Boolean, nullable=False),
)
"""Dispute reports as last told; they name notifications, not persons."""

DROP_FILE: Final = Table(
    "drop_file",
    METADATA,
    Column("id", BIG, primary_key=True),
    Column("name", String(255), nullable=False),
    Column("file_identity", String(100), nullable=False),
    Column("byte_offset", BIG, nullable=False),
    Column("lines", BIG, nullable=False),
    Column("accepted", BIG, nullable=False),
    Column("quarantined", BIG, nullable=False),
    Column("first_epoch", BIG),
    Column("first_sequence", BIG),
    Column("last_epoch", BIG),
    Column("last_sequence", BIG),
    Column("finished_at", BIG),
    Column("refusal", String(64), nullable=False, server_default=""),
    Index("ix_drop_file_name", "name"),
)
"""Drop files and how far each has been taken in."""

QUARANTINED_LINE: Final = Table(
    "quarantined_line",
    METADATA,
    Column("file_id", BIG, ForeignKey("drop_file.id"), primary_key=True, autoincrement=False),
    Column("line_number", BIG, primary_key=True, autoincrement=False),
    Column("reason", String(64), nullable=False),
    Column("line", Bytes, nullable=False),
)
"""Refused lines of drop files, sealed, until an operator exports them."""
