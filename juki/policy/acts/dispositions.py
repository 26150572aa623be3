"""The kinds of dispositions: which give and which only take away, and each in words."""

from __future__ import annotations

from typing import Final

from juki.policy.acts.terms import basis_text, fields_text
from juki.v1 import acts_pb2 as pb

TAKES_AWAY: Final = frozenset(
    {
        "narrow_grant",
        "revoke_grant",
        "withdraw_ordinance",
        "withdraw_body",
        "withdraw_department",
        "withdraw_operator",
    }
)
"""One officer is enough for these; whatever is not named here gives, and needs two."""


def gives(act: pb.AdministrativeAct) -> bool:
    """Whether any disposition gives anybody anything."""
    return any(one.WhichOneof("kind") not in TAKES_AWAY for one in act.dispositions)


def in_words(disposition: pb.ActDisposition) -> str:  # noqa: PLR0911 - one case a kind
    """One disposition in a line, for whoever has to approve it."""
    match disposition.WhichOneof("kind"):
        case "register_body":
            body = disposition.register_body
            way = f", by way of {body.governor}" if body.governor else ""
            kind = " ".join(filter(None, (body.recipient_kind, body.place, body.route)))
            return f"register body {body.identity} ({body.name}) {kind}{way}"
        case "register_department":
            office = disposition.register_department
            return f"register department {office.office!r} of {office.body}"
        case "register_operator":
            operator = disposition.register_operator
            of = f", department {operator.office!r}" if operator.office else ""
            return f"register operator {operator.operator!r} of {operator.body}{of}"
        case "grant_affair":
            grant = disposition.grant_affair
            return f"grant {grant.body} {basis_text(grant.basis)}: {fields_text(grant.terms)}"
        case "narrow_grant":
            narrowed = disposition.narrow_grant
            basis = basis_text(narrowed.basis)
            return f"narrow {basis} of {narrowed.body} to: {fields_text(narrowed.terms)}"
        case "revoke_grant":
            revoked = disposition.revoke_grant
            return f"revoke {basis_text(revoked.basis)} of {revoked.body}"
        case "register_ordinance":
            ordinance = disposition.register_ordinance
            affairs = ", ".join(one.affair for one in ordinance.affairs)
            return f"register ordinance {ordinance.ordinance} ({ordinance.instrument}): {affairs}"
        case "withdraw_ordinance":
            return f"withdraw ordinance {disposition.withdraw_ordinance.ordinance}"
        case "withdraw_body":
            return f"withdraw body {disposition.withdraw_body.identity}"
        case "withdraw_department":
            left = disposition.withdraw_department
            return f"withdraw department {left.office!r} of {left.body}"
        case "withdraw_operator":
            gone = disposition.withdraw_operator
            return f"withdraw operator {gone.operator!r} of {gone.body}"
    return "nothing"
