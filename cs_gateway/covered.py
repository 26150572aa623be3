"""What of the gateway's database lies under its register root, and what each row counts by."""

from __future__ import annotations

from typing import Any, Final

from cs_gateway import places
from cs_gateway.tables import (
    CODE_POOL,
    OUTBOX,
    QUARANTINED_LINE,
    RECOVERED,
    REGISTER_EVENT,
    RESIDENT,
)
from juki.store.root import CoveredTable, Section, plain, row_bytes, sealed
from juki.store.sealing import Sealer, seal_id

GATEWAY_SECTION: Final = "gateway"


def place_of_resident(row: Any) -> bytes:
    """The place of a row of RESIDENT."""
    return places.resident_information(
        bytes(row.record_key),
        bytes(row.code_key),
        row.state,
        bytes(row.last_digest),
        row.number_pending,
    )


def open_resident(row: Any, sealer: Sealer) -> bytes:
    """The information of a row of RESIDENT.

    Raises:
        JukiError: TAMPERING_DETECTED when the row is not as it was sealed.
    """
    return sealer.open(bytes(row.information), place_of_resident(row))


def place_of_outbox(row: Any) -> bytes:
    """The place of a row of OUTBOX."""
    return places.outbox_envelope(row.epoch, row.sequence, bytes(row.digest), row.issued_at)


def open_outbox(row: Any, sealer: Sealer) -> bytes:
    """The serialised `SignedNotification` of a row of OUTBOX; raises TAMPERING_DETECTED."""
    return sealer.open(bytes(row.envelope), place_of_outbox(row))


def place_of_code(row: Any) -> bytes:
    """The place of a row of CODE_POOL."""
    return places.pooled_code(bytes(row.code_key), row.allotted_at)


def open_code(row: Any, sealer: Sealer) -> str:
    """The digits of a row of CODE_POOL; raises TAMPERING_DETECTED."""
    return sealer.open(bytes(row.code), place_of_code(row)).decode()


def code_message(value: bytes, used_at: int | None, voided_at: int | None) -> bytes:
    """What a row of CODE_POOL counts by: these two change, and are not bound to the code."""
    return row_bytes(seal_id(value), used_at, voided_at)


def _code(row: Any, sealer: Sealer) -> bytes:
    open_code(row, sealer)
    return code_message(bytes(row.code), row.used_at, row.voided_at)


def _place_of_line(row: Any) -> bytes:
    return places.quarantined_line(row.file_id, row.line_number)


SECTIONS: Final = (
    Section(
        GATEWAY_SECTION,
        (
            sealed(RESIDENT, "information", place_of_resident, blinds=("record_key", "code_key")),
            sealed(OUTBOX, "envelope", place_of_outbox),
            CoveredTable(CODE_POOL, _code, "code", place_of_code, blinds=("code_key",)),
            plain(REGISTER_EVENT, blinds=("event_key", "content", "record_key")),
        ),
    ),
)
"""The gateway's one section."""

OUTSIDE: Final = (
    plain(RECOVERED, blinds=("content_key", "record_key")),
    sealed(QUARANTINED_LINE, "line", _place_of_line),
)
"""Sealed or blind, but passing: under no root."""
