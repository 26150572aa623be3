"""What of a prefecture's database lies under register roots."""

from __future__ import annotations

from typing import Final

from juki.disclosure.tables import disclosure_section
from juki.register.covered import REGISTER
from juki.store.root import Section, sealed
from pref_server.grants import GRANTS_SECTION, place_of_grant
from pref_server.tables import national_grant, person_request_act

SECTIONS: Final = (
    REGISTER,
    Section(GRANTS_SECTION, (sealed(national_grant, "signed_sealed", place_of_grant),)),
    disclosure_section(person_request_act),
)
"""The register's own, that of the nation's grants, and that of persons' requests."""
