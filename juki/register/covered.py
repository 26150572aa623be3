"""What of the register lies under its root: every table that decides what is held of whom."""

from __future__ import annotations

from typing import Any, Final

from juki.domain.envelope import StreamPosition
from juki.register import tables as t
from juki.register.held import place_of_claim
from juki.register.streams import place_of_envelope, stream_message
from juki.store.root import CoveredTable, Section, plain, sealed
from juki.store.sealing import Sealer

REGISTER_SECTION: Final = "register"
"""Name of the section that the intake writes."""


def _stream(row: Any, _sealer: Sealer) -> bytes:
    position = StreamPosition(row.epoch, row.sequence, bytes(row.digest))
    return stream_message(row.municipality, position)


REGISTER: Final = Section(
    REGISTER_SECTION,
    (
        sealed(t.claim, "information_sealed", place_of_claim),
        sealed(t.notification, "envelope_sealed", place_of_envelope),
        CoveredTable(t.stream, _stream),
        plain(t.person_code, blinds=("code_blind",)),
        plain(t.person_number, blinds=("number_blind",)),
        plain(t.person_merge),
        plain(t.residency),
        plain(t.receipt),
    ),
)
"""The prefecture's and the nation's."""
