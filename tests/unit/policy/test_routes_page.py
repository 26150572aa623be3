"""docs/routes.md names every provision of the data: who answers, on which way, by which service."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from juki.domain.legal_basis import Manner, Tier
from juki.lookup.service import LOOKUP_SERVICE
from juki.policy.provisions import Provision, RecipientKind, Route
from juki.policy.revisions import load_laws
from national_server.digital_agency import DIGITAL_AGENCY_SERVICE
from pref_server.governor_relay import RELAY_SERVICE
from pref_server.statistics import STATISTICS_SERVICE

PAGE: Final = Path(__file__).parents[3] / "docs" / "routes.md"
TABLE: Final = re.compile(r"^<!-- routes -->\n(.*?)^<!-- end -->", re.MULTILINE | re.DOTALL)
TIERS: Final = {
    Tier.NATIONAL: "nation",
    Tier.PREFECTURAL: "prefecture",
    Tier.MUNICIPAL: "municipality",
}


def name(service: str) -> str:
    return f"`{service.rpartition('.')[2]}`"


def way(provision: Provision) -> str:
    if provision.manner is Manner.PUSH:
        return "sent without being asked"
    if all(one.route is Route.THROUGH_GOVERNOR for one in provision.recipients):
        return "by way of the asker's governor"
    if provision.own_use:
        of = provision.recipients[0].kinds
        return "J-LIS's own use" if of == {RecipientKind.J_LIS} else "the governor's own use"
    return "directly"


def served_by(provision: Provision) -> str:
    if Tier.MUNICIPAL in provision.answered_by:
        return "not served yet"
    if provision.manner is Manner.PUSH:
        return name(DIGITAL_AGENCY_SERVICE)
    if provision.manner is Manner.STATISTICS:
        return name(STATISTICS_SERVICE)
    if provision.recipients[0].route is Route.THROUGH_GOVERNOR:
        return f"{name(RELAY_SERVICE)}, then {name(LOOKUP_SERVICE)}"
    return name(LOOKUP_SERVICE)


def rows() -> str:
    (law,) = load_laws(None)
    lines = ["| provision | answered by | way | service |", "|---|---|---|---|"]
    for provision in law.provisions.by_basis.values():
        answerers = ", ".join(TIERS[tier] for tier in sorted(provision.answered_by))
        cells = (provision.basis, answerers, way(provision), served_by(provision))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def test_the_page_of_routes_says_what_the_data_say() -> None:
    found = TABLE.search(PAGE.read_text(encoding="utf-8"))
    assert found is not None
    assert found[1] == rows()


def test_no_provision_mixes_ways_that_one_cell_cannot_tell() -> None:
    (law,) = load_laws(None)
    for provision in law.provisions.by_basis.values():
        assert len({one.route for one in provision.recipients}) == 1
