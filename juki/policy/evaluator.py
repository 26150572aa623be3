"""Decides each call: is this body, affair, way and search key granted, and which fields leave.

Deny by default: what is not found in the registry is refused, before any look-up.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final, NoReturn, Self

from juki.domain.errors import JukiError, Reason
from juki.domain.legal_basis import (
    AffairReference,
    Decision,
    Field,
    LegalBasis,
    Manner,
    SearchKey,
    Tier,
    Withheld,
    WithheldReason,
)
from juki.policy.registry import ROUTE_OF_TABLE, THROUGH_GOVERNOR, Agency, Grant, load_registry
from juki.policy.tables import LegalTables, load_tables

MAX_CACHED_DECISIONS: Final = 65_536
"""Above it the cache starts anew: 128 field sets a grant would otherwise add up."""

_EXCLUSION_CLAUSE: Final = {
    1: "30-9",
    2: "30-10(1)",
    3: "30-11(1)",
    4: "30-12(1)",
    5: "30-15(1)",
    6: "30-15(2)",
}
"""Where the Act excludes the code, and makes the number depend on My Number Act Art. 9.

For Table 6 the code is already outside what the governor provides: 30-15 (1) defines it so for (2).
"""

_Question = tuple[str, LegalBasis, frozenset[Field], SearchKey, Tier, str, str | None, Manner]


class Policy:
    """The registered bodies under the law's tables; safe to share between threads."""

    def __init__(self, tables: LegalTables, agencies: Mapping[str, Agency]) -> None:
        """Raises JukiError (CONFIGURATION_INVALID) if `agencies` is empty."""
        if not agencies:
            raise JukiError(
                Reason.CONFIGURATION_INVALID, "an empty policy refuses to start: no agency"
            )
        self._affairs = tables.affairs
        self._agencies = agencies
        self._decisions: dict[_Question, Decision] = {}

    @classmethod
    def load(cls, registry: Path) -> Self:
        """The policy of a registry file; raises JukiError (CONFIGURATION_INVALID)."""
        tables = load_tables()
        return cls(tables, load_registry(registry, tables))

    def decide(
        self,
        identity: str,
        basis: LegalBasis,
        fields: frozenset[Field],
        key: SearchKey,
        tier: Tier,
        *,
        at: int,
        place: str = "",
        via: str | None = None,
        manner: Manner = Manner.LOOK_UP,
    ) -> Decision:
        """The decision for one call of `identity` that arrived at `tier` at the instant `at`.

        `at` is in nanoseconds since 1970-01-01 UTC. `place` says who answers: nothing for the
        nation, two digits for a prefecture, the six digits of a municipality's code. `via` is the
        identity of the prefectural server that relayed the request, None for a direct call. Raises
        JukiError with AGENCY_NOT_REGISTERED, AFFAIR_UNKNOWN, AFFAIR_NOT_GRANTED,
        ROUTE_NOT_PERMITTED, SEARCH_KEY_NOT_GRANTED or AGGREGATES_ONLY; then nothing is looked up.
        """
        question = (identity, basis, fields, key, tier, place, via, manner)
        decision = self._decisions.get(question)
        if decision is None:
            affair = basis.row
            if affair is None:
                _refuse(Reason.AFFAIR_UNKNOWN, f"{basis.provision} is not answered here")
            decision = _answer(self._grant(identity, affair, key, tier, via), fields)
            if len(self._decisions) >= MAX_CACHED_DECISIONS:
                self._decisions.clear()
            self._decisions[question] = decision
        return decision

    def _grant(
        self, identity: str, affair: AffairReference, key: SearchKey, tier: Tier, via: str | None
    ) -> Grant:
        agency = self._agencies.get(identity)
        if agency is None:
            _refuse(Reason.AGENCY_NOT_REGISTERED, "the caller is not a registered body")
        if affair not in self._affairs:
            _refuse(Reason.AFFAIR_UNKNOWN, f"{affair} is no row of the Appended Tables")
        grant = agency.grants.get(affair)
        if grant is None:
            _refuse(Reason.AFFAIR_NOT_GRANTED, f"the caller is not registered for {affair}")
        governor = agency.governor if affair.table == THROUGH_GOVERNOR else None
        if tier is not ROUTE_OF_TABLE[affair.table] or tier is not agency.tier or via != governor:
            _refuse(Reason.ROUTE_NOT_PERMITTED, f"{affair} is not answered to this caller this way")
        if key not in grant.search_keys:
            _refuse(Reason.SEARCH_KEY_NOT_GRANTED, f"{key.name} is no search key for {affair}")
        return grant


def _answer(grant: Grant, fields: frozenset[Field]) -> Decision:
    table = grant.affair.reference.table
    number_is_cited = grant.number_use_item is not None
    # The law's own exclusions are applied here again, whatever the grant was made from.
    granted = (fields & grant.fields) - {Field.RESIDENT_RECORD_CODE}
    if not number_is_cited:
        granted -= {Field.INDIVIDUAL_NUMBER}
    withheld = tuple(
        Withheld(field, _why_withheld(field, number_is_cited), _EXCLUSION_CLAUSE[table])
        for field in sorted(fields - granted)
    )
    return Decision(
        granted=granted,
        withheld=withheld,
        article=grant.affair.article,
        number_in_change={Field.CHANGE, Field.INDIVIDUAL_NUMBER} <= granted,
        code_in_change=False,  # none of the six tables gives the code, former or present
    )


def _why_withheld(field: Field, number_is_cited: bool) -> WithheldReason:
    if field is Field.RESIDENT_RECORD_CODE:
        return WithheldReason.CODE_NOT_PROVIDED
    if field is Field.INDIVIDUAL_NUMBER and not number_is_cited:
        return WithheldReason.NO_NUMBER_USE_BASIS
    return WithheldReason.OUTSIDE_GRANT


def _refuse(reason: Reason, message: str) -> NoReturn:
    raise JukiError(reason, message)
