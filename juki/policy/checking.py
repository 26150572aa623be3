"""Whether a grant can stand under a revision of the law, and if not, what is wrong with it."""

from __future__ import annotations

from juki.domain.legal_basis import Field, Manner, SearchKey
from juki.policy.numbers import Case, cited_item_holds, own_ordinance
from juki.policy.provisions import AffairKind, NumberRule, Provision, Route, row_names
from juki.policy.registry import Agency, Grant, RegisteredAffair, Registry
from juki.policy.revisions import Law

_ROUTE_NAME = {1: "national", 2: "prefectural", 3: "municipal"}


def complaint(law: Law, registry: Registry, agency: Agency, grant: Grant) -> str | None:
    """What is wrong with the grant under this law, None where nothing is."""
    provision = law.provisions.by_basis.get(grant.basis.provision)
    if provision is None:
        return f"{grant.basis.provision} is no provision under which anything is given"
    affair = registry.affairs.get(grant.basis) if provision.may_be_registered else None
    case = Case(law, registry, provision, agency, grant, affair)
    return (
        _asker(provision, agency, affair)
        or _affair(case)
        or _number(case)
        or _keys(provision, grant, affair)
        or _fields(provision, grant, affair)
    )


def _affair(case: Case) -> str | None:
    law, provision, grant, affair = case.law, case.provision, case.grant, case.affair
    row = grant.basis.row
    if row is not None and row not in law.tables.affairs:
        return "no such row in the Appended Tables"
    if row is not None and not row_names(case.agency.kind, law.tables.affairs[row].recipient):
        return f"the row names other recipients than a {case.agency.kind}"
    if provision.is_registered and affair is None:
        return "no such affair is registered"
    named = grant.basis.affair
    if row is None and not provision.is_registered and named and affair is None:
        if provision.affair is AffairKind.NONE:
            return f"{provision.basis} refers to no affair"
        if named not in provision.listed:
            return f"{provision.basis} does not list {named}"
    return None


def _asker(provision: Provision, agency: Agency, affair: RegisteredAffair | None) -> str | None:
    recipient = provision.recipient(agency.kind)
    if recipient is None:
        return f"{provision.basis} is not answered to a {agency.kind}"
    if agency.tier is not None and agency.tier not in provision.answered_by:
        return f"{provision.basis} is not answered on the {_ROUTE_NAME[agency.tier]} route"
    if recipient.route is Route.THROUGH_GOVERNOR and agency.governor is None:
        return f"{provision.basis} needs the governor's server by way of which requests come"
    if (
        affair is not None
        and provision.affair is AffairKind.NUMBER_ORDINANCE
        and affair.of != agency.place
    ):
        return "the ordinance is not the body's own"
    return None


def _number(case: Case) -> str | None:
    provision, cited = case.provision, case.grant.number
    fault = None
    if cited is None:
        pass
    elif provision.number not in (NumberRule.BY_ARTICLE_9_1, NumberRule.BY_EITHER):
        fault = f"{provision.basis} asks for no number-use citation"
    elif cited.item is not None:
        if cited.item not in case.law.tables.number_use:
            fault = f"no item {cited.item} in the number-use table of My Number Act"
        elif not cited_item_holds(case.law, case.grant.basis, cited):
            fault = f"item {cited.item} of the number-use table does not reach this affair"
    elif provision.number is not NumberRule.BY_EITHER:
        fault = "an ordinance under 9 (2) is no number-use basis here"
    elif not own_ordinance(case, cited, None):
        fault = f"no ordinance under 9 (2) of the body's own is registered as {cited.ordinance}"
    return fault


def _keys(provision: Provision, grant: Grant, affair: RegisteredAffair | None) -> str | None:
    keys = grant.search_keys
    if provision.manner is not Manner.LOOK_UP:
        return "search_keys: nobody is looked up" if keys else None
    if not keys:
        return "search_keys: at least one"
    if SearchKey.INDIVIDUAL_NUMBER in keys and not number_possible(provision, grant, affair):
        return "INDIVIDUAL_NUMBER is a search key only where its use is cited"
    separately = grant.code_key_basis is not None
    gives_code = Field.RESIDENT_RECORD_CODE in provision.fields
    if not gives_code and (SearchKey.RESIDENT_RECORD_CODE in keys) != separately:
        return "RESIDENT_RECORD_CODE as a search key and its basis go together"
    return None


def _fields(provision: Provision, grant: Grant, affair: RegisteredAffair | None) -> str | None:
    allowed = provision.fields
    if not number_possible(provision, grant, affair):
        allowed -= {Field.INDIVIDUAL_NUMBER}
    if affair is not None and affair.fields is not None:
        allowed &= affair.fields
    if grant.fields is not None and (beyond := grant.fields - allowed):
        return f"{', '.join(field.name for field in sorted(beyond))} cannot be granted here"
    return None


def number_possible(provision: Provision, grant: Grant, affair: RegisteredAffair | None) -> bool:
    """Whether anything is cited on which the number could be used."""
    if provision.number is NumberRule.NEVER:
        return False
    if provision.number is NumberRule.UNCONDITIONAL or grant.number is not None:
        return True
    return affair is not None and (affair.number_ordinance or affair.number_use_item is not None)
