"""What of a prefecture's database lies under register roots."""

from __future__ import annotations

from typing import Any, Final

from juki.register.covered import REGISTER
from juki.store.root import CoveredTable, Section
from juki.store.sealing import Sealer, seal_id
from pref_server.grants import GRANTS_SECTION, open_grant
from pref_server.tables import national_grant


def _grant(row: Any, sealer: Sealer) -> bytes:
    open_grant(row, sealer)
    return seal_id(bytes(row.signed_sealed))


SECTIONS: Final = (REGISTER, Section(GRANTS_SECTION, (CoveredTable(national_grant, _grant),)))
"""The register's own, and that of the nation's grants."""
