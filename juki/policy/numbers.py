"""Whether a recipient may use the Individual Number for an affair (My Number Act Art. 9)."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from juki.domain.legal_basis import LegalBasis
from juki.policy.provisions import NumberRule, Provision
from juki.policy.registry import Agency, Grant, NumberCitation, RegisteredAffair, Registry
from juki.policy.revisions import Law


@dataclass(frozen=True, slots=True)
class Case:
    """A grant with all that the law and the registry say about it."""

    law: Law
    registry: Registry
    provision: Provision
    agency: Agency
    grant: Grant
    affair: RegisteredAffair | None


def number_usable(case: Case, day: datetime.date) -> bool:
    """Whether the number is among what the provision gives to this body for this affair that day.

    A citation counts only where the law of the day has what it cites.
    """
    rule, affair, cited = case.provision.number, case.affair, case.grant.number
    if rule in (NumberRule.NEVER, NumberRule.UNCONDITIONAL):
        return rule is NumberRule.UNCONDITIONAL
    ordinance = affair is not None and affair.number_ordinance
    if rule is NumberRule.BY_ARTICLE_9_2:
        return ordinance
    by_item = (affair is not None and affair.number_use_item in case.law.tables.number_use) or (
        cited is not None and cited_item_holds(case.law, case.grant.basis, cited)
    )
    if rule is NumberRule.BY_ARTICLE_9_1:
        return by_item
    return by_item or ordinance or (cited is not None and own_ordinance(case, cited, day))


def cited_item_holds(law: Law, basis: LegalBasis, cited: NumberCitation) -> bool:
    """Whether the cited row of My Number Act's table is law, and reaches this affair.

    For a row of the Appended Tables the reviewed mapping says so.
    """
    if cited.item is None or cited.item not in law.tables.number_use:
        return False
    row = basis.row
    return row is None or law.permissions.permits(row, cited.item, cited.body)


def own_ordinance(case: Case, cited: NumberCitation, day: datetime.date | None) -> bool:
    """Whether the cited affair is registered, of an ordinance of the body's own under Art. 9 (2).

    `day` None asks whether there is one at all, in force or not.
    """
    return any(
        basis.affair == cited.ordinance
        and affair.number_ordinance
        and affair.of == case.agency.prefecture
        and (day is None or day in affair.period)
        for basis, affair in case.registry.affairs.items()
    )
