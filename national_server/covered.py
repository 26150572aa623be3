"""What of the nation's database lies under register roots."""

from __future__ import annotations

from typing import Any, Final

from juki.register.covered import REGISTER
from juki.store.root import CoveredTable, Section, plain
from juki.store.sealing import Sealer, seal_id
from national_server import tables as t
from national_server.code_pool import GRANTED_SECTION, open_allotment
from national_server.number_registry import opened_number


def _allotment(row: Any, sealer: Sealer) -> bytes:
    open_allotment(row, sealer)
    return seal_id(bytes(row.codes_sealed))


def _number(row: Any, sealer: Sealer) -> bytes:
    opened_number(row, sealer)
    return seal_id(bytes(row.number_sealed))


SECTIONS: Final = (
    REGISTER,
    Section(
        GRANTED_SECTION,
        (
            CoveredTable(t.allotment, _allotment),
            plain(t.allotted_code),
            CoveredTable(t.individual_number, _number),
            plain(t.number_remake),
            plain(t.remake_request),
        ),
    ),
)
"""The register's own, and those of codes and numbers."""
