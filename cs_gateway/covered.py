"""What of the gateway's database lies under its register root, and what each row counts by."""

from __future__ import annotations

from typing import Any, Final

from cs_gateway import places
from cs_gateway.tables import CODE_POOL, OUTBOX, REGISTER_EVENT, RESIDENT
from juki.store.root import CoveredTable, Section, plain, row_bytes
from juki.store.sealing import Sealer, seal_id

GATEWAY_SECTION: Final = "gateway"


def open_resident(row: Any, sealer: Sealer) -> bytes:
    """The information of a row of RESIDENT.

    Raises:
        JukiError: TAMPERING_DETECTED when the row is not as it was sealed.
    """
    place = places.resident_information(
        bytes(row.record_key),
        bytes(row.code_key),
        row.state,
        bytes(row.last_digest),
        row.number_pending,
    )
    return sealer.open(bytes(row.information), place)


def open_outbox(row: Any, sealer: Sealer) -> bytes:
    """The serialised `SignedNotification` of a row of OUTBOX; raises TAMPERING_DETECTED."""
    place = places.outbox_envelope(row.epoch, row.sequence, bytes(row.digest), row.issued_at)
    return sealer.open(bytes(row.envelope), place)


def open_code(row: Any, sealer: Sealer) -> str:
    """The digits of a row of CODE_POOL; raises TAMPERING_DETECTED."""
    place = places.pooled_code(bytes(row.code_key), row.allotted_at)
    return sealer.open(bytes(row.code), place).decode()


def code_message(sealed: bytes, used_at: int | None, voided_at: int | None) -> bytes:
    """What a row of CODE_POOL counts by: these two change, and are not bound to the code."""
    return row_bytes(seal_id(sealed), used_at, voided_at)


def _resident(row: Any, sealer: Sealer) -> bytes:
    open_resident(row, sealer)
    return seal_id(bytes(row.information))


def _outbox(row: Any, sealer: Sealer) -> bytes:
    open_outbox(row, sealer)
    return seal_id(bytes(row.envelope))


def _code(row: Any, sealer: Sealer) -> bytes:
    open_code(row, sealer)
    return code_message(bytes(row.code), row.used_at, row.voided_at)


SECTIONS: Final = (
    Section(
        GATEWAY_SECTION,
        (
            CoveredTable(RESIDENT, _resident),
            CoveredTable(OUTBOX, _outbox),
            CoveredTable(CODE_POOL, _code),
            plain(REGISTER_EVENT),
        ),
    ),
)
"""The gateway's one section."""
