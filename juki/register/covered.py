"""What of the register lies under its root: every table that decides what is held of whom."""

from __future__ import annotations

from typing import Any, Final

from juki.domain.envelope import StreamPosition
from juki.register import tables as t
from juki.register.held import held_claim
from juki.register.streams import open_envelope, stream_message
from juki.store.root import CoveredTable, Section, plain
from juki.store.sealing import Sealer, seal_id

REGISTER_SECTION: Final = "register"
"""Name of the section that the intake writes."""


def _claim(row: Any, sealer: Sealer) -> bytes:
    held_claim(row, sealer)
    return seal_id(bytes(row.information_sealed))


def _notification(row: Any, sealer: Sealer) -> bytes:
    open_envelope(row, sealer)
    return seal_id(bytes(row.envelope_sealed))


def _stream(row: Any, _sealer: Sealer) -> bytes:
    position = StreamPosition(row.epoch, row.sequence, bytes(row.digest))
    return stream_message(row.municipality, position)


REGISTER: Final = Section(
    REGISTER_SECTION,
    (
        CoveredTable(t.claim, _claim),
        CoveredTable(t.notification, _notification),
        CoveredTable(t.stream, _stream),
        plain(t.person_code),
        plain(t.person_number),
        plain(t.person_merge),
        plain(t.residency),
        plain(t.receipt),
    ),
)
"""The prefecture's and the nation's."""
