"""What of a prefecture's database lies under register roots."""

from __future__ import annotations

from typing import Final

from juki.register.covered import REGISTER
from juki.store.root import Section, sealed
from pref_server.grants import GRANTS_SECTION, place_of_grant
from pref_server.tables import national_grant

SECTIONS: Final = (
    REGISTER,
    Section(GRANTS_SECTION, (sealed(national_grant, "signed_sealed", place_of_grant),)),
)
"""The register's own, and that of the nation's grants."""
