"""What of the nation's database lies under register roots."""

from __future__ import annotations

from typing import Final

from juki.disclosure.tables import disclosure_section
from juki.register.covered import REGISTER
from juki.store.root import Section, plain, sealed
from national_server import tables as t
from national_server.code_pool import GRANTED_SECTION, place_of_allotment
from national_server.given_codes import SECTION as GIVEN
from national_server.number_registry import place_of_number

SECTIONS: Final = (
    REGISTER,
    Section(
        GRANTED_SECTION,
        (
            sealed(t.allotment, "codes_sealed", place_of_allotment),
            plain(t.allotted_code, blinds=("code_blind",)),
            sealed(
                t.individual_number,
                "number_sealed",
                place_of_number,
                blinds=("number_blind", "code_blind"),
            ),
            plain(t.number_remake, blinds=("former_blind", "number_blind")),
            plain(t.remake_request, blinds=("code_blind", "former_blind")),
        ),
    ),
    disclosure_section(t.person_request_act),
    GIVEN,
)
"""The register's own, those of codes and numbers, persons' requests, and codes given to bodies."""
