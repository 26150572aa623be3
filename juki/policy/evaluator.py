"""Decides each call by the law of its day: may this body ask this, this way, and what leaves.

Deny by default: what no provision in force grants is refused, before any look-up.
"""

from __future__ import annotations

import datetime
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn, Self

from juki.domain.errors import JukiError, Reason
from juki.domain.legal_basis import (
    Decision,
    Field,
    LegalBasis,
    Manner,
    PersonCondition,
    SearchKey,
    Tier,
    Withheld,
    WithheldReason,
)
from juki.policy.calendar import date_of, day_number
from juki.policy.numbers import Case, number_usable
from juki.policy.provisions import (
    AffairKind,
    Persons,
    Place,
    Provision,
    Recipient,
    Route,
    row_names,
)
from juki.policy.registry import Agency, Grant, RegisteredAffair, Registry
from juki.policy.registry_file import load_registry
from juki.policy.revisions import Law, law_of, load_laws

MAX_CACHED_DECISIONS: Final = 65_536
"""Above it the cache starts anew: 128 field sets a grant would otherwise add up."""

_Question = tuple[
    str, LegalBasis, frozenset[Field], SearchKey | None, Tier, str, str | None, Manner
]


@dataclass(frozen=True, slots=True)
class Standing:
    """All that a granted question stands on, for a decision and for explaining it."""

    case: Case
    day: datetime.date
    recipient: Recipient
    number_usable: bool


class _Day:
    """What one day's law has been asked so far."""

    __slots__ = ("decisions", "number", "registry")

    def __init__(self, number: int, registry: Registry) -> None:
        self.number = number
        self.registry = registry
        self.decisions: dict[_Question, Decision] = {}


class Policy:
    """The registered bodies under the law, revision by revision; safe to share between threads."""

    def __init__(self, laws: Sequence[Law], registry: Registry) -> None:
        """`laws` oldest first. Raises JukiError (CONFIGURATION_INVALID) if nobody is registered."""
        if not registry.agencies or not laws:
            raise JukiError(
                Reason.CONFIGURATION_INVALID, "an empty policy refuses to start: no agency"
            )
        self._laws = tuple(laws)
        self._registry = registry
        self._day = _Day(-1, registry)
        self._turning = threading.Lock()

    @classmethod
    def load(cls, registry: Path, revisions: Path | None = None) -> Self:
        """The policy of a registry file under the shipped law and the revisions in a directory.

        Raises JukiError (CONFIGURATION_INVALID).
        """
        laws = load_laws(revisions)
        return cls(laws, load_registry(registry, laws))

    @property
    def laws(self) -> tuple[Law, ...]:
        """The loaded revisions of the law, oldest first."""
        return self._laws

    @property
    def registry(self) -> Registry:
        """What is registered now."""
        return self._registry

    def take_over(self, registry: Registry) -> None:
        """Decides from now on by another registry.

        By one that registers nobody every call is refused: the last body may be withdrawn.
        """
        with self._turning:
            self._registry = registry
            self._day = _Day(-1, registry)

    def decide(
        self,
        identity: str,
        basis: LegalBasis,
        fields: frozenset[Field],
        key: SearchKey | None,
        tier: Tier,
        *,
        at: int,
        place: str = "",
        via: str | None = None,
        manner: Manner = Manner.LOOK_UP,
    ) -> Decision:
        """The decision for one call of `identity` that arrived at `tier` at the instant `at`.

        `at` is in nanoseconds since 1970-01-01 UTC; the law is that of its day in Japan. `key` is
        None only where nobody is looked up (statistics, push). `place` says who answers: nothing
        for the nation, two digits for a prefecture, the six digits of a municipality's code. `via`
        is the identity of the prefectural server that relayed the request, None for a direct call.
        Raises JukiError with AGENCY_NOT_REGISTERED, AFFAIR_UNKNOWN, AFFAIR_NOT_GRANTED,
        ROUTE_NOT_PERMITTED, SEARCH_KEY_NOT_GRANTED or AGGREGATES_ONLY; then nothing is looked up.
        """
        number = day_number(at)
        day = self._day
        if day.number != number:
            day = self._turn(number)
        question = (identity, basis, fields, key, tier, place, via, manner)
        decision = day.decisions.get(question)
        if decision is None:
            standing = stand(
                self._laws,
                day.registry,
                question,
                date_of(number),
            )
            decision = _answer(standing, fields)
            if len(day.decisions) >= MAX_CACHED_DECISIONS:
                day.decisions.clear()
            day.decisions[question] = decision
        return decision

    def _turn(self, number: int) -> _Day:
        """Another day than the last call's: what was decided so far is not asked any more."""
        with self._turning:
            if self._day.number == number:
                return self._day
            day = _Day(number, self._registry)
            # A call that arrived before midnight and is decided after it must not undo the change.
            if number > self._day.number:
                self._day = day
            return day


def stand(
    laws: Sequence[Law], registry: Registry, question: _Question, day: datetime.date
) -> Standing:
    """What the question stands on that day; raises JukiError as `Policy.decide` does."""
    identity, basis, _, key, tier, place, via, manner = question
    agency = registry.agencies.get(identity)
    if agency is None:
        _refuse(Reason.AGENCY_NOT_REGISTERED, "the caller is not a registered body")
    law = law_of(laws, day)
    provision = None if law is None else law.provision(basis.provision, day)
    if law is None or provision is None:
        _refuse(Reason.AFFAIR_UNKNOWN, f"{basis.provision} gives nothing, or not on that day")
    affair = registry.affairs.get(basis)
    _affair_exists(law, provision, basis, affair, day)
    grant = agency.grant(basis, day)
    if grant is None:
        named = basis.row or basis
        _refuse(Reason.AFFAIR_NOT_GRANTED, f"the caller is not registered for {named}")
    recipient = provision.recipient(agency.kind)
    row = basis.row
    if (
        recipient is None
        or not _ordinance_reaches(provision, affair, agency, place)
        or (row is not None and not row_names(agency.kind, law.tables.affairs[row].recipient))
    ):
        _refuse(Reason.AFFAIR_NOT_GRANTED, f"{basis} is not answered to such a body")
    if not _came_the_right_way(provision, recipient, agency, (tier, place, via)):
        named = basis.row or basis
        _refuse(Reason.ROUTE_NOT_PERMITTED, f"{named} is not answered to this caller this way")
    if manner is not provision.manner:
        if provision.manner is Manner.STATISTICS:
            _refuse(Reason.AGGREGATES_ONLY, f"{basis} gives totals only")
        _refuse(Reason.ROUTE_NOT_PERMITTED, f"{basis} is not for a {manner.lower()}")
    case = Case(law, registry, provision, agency, grant, affair)
    usable = number_usable(case, day)
    if manner is Manner.LOOK_UP and (
        key is None or not _key_granted(grant, key, provision, usable)
    ):
        name = "nothing" if key is None else key.name
        _refuse(Reason.SEARCH_KEY_NOT_GRANTED, f"{name} is no search key for {basis}")
    return Standing(case, day, recipient, usable)


def _affair_exists(
    law: Law,
    provision: Provision,
    basis: LegalBasis,
    affair: RegisteredAffair | None,
    day: datetime.date,
) -> None:
    row = basis.row
    if row is not None:
        if row not in law.tables.affairs:
            _refuse(Reason.AFFAIR_UNKNOWN, f"{row} is no row of the Appended Tables")
        return
    if affair is not None:
        if day not in affair.period:
            _refuse(Reason.AFFAIR_UNKNOWN, f"{basis} is not in force on that day")
        return
    unregistered = provision.affair in (AffairKind.LISTED, AffairKind.LISTED_OR_ORDER)
    if provision.is_registered or (
        basis.affair and not (unregistered and basis.affair in provision.listed)
    ):
        _refuse(Reason.AFFAIR_UNKNOWN, f"{basis} names no affair that is registered or listed")


def _ordinance_reaches(
    provision: Provision, affair: RegisteredAffair | None, agency: Agency, place: str
) -> bool:
    """Whether it is the ordinance of whom the provision says: the answerer, or the recipient."""
    if affair is None or provision.affair not in (
        AffairKind.ORDINANCE,
        AffairKind.NUMBER_ORDINANCE,
        AffairKind.CONSENT,
    ):
        return True
    return affair.of == (place if provision.ordinance_of_answerer else agency.place)


def _came_the_right_way(
    provision: Provision, recipient: Recipient, agency: Agency, way: tuple[Tier, str, str | None]
) -> bool:
    tier, place, via = way
    through_governor = recipient.route is Route.THROUGH_GOVERNOR
    governor = agency.governor if through_governor else None
    return (
        tier in provision.answered_by
        and agency.tier in (None, tier)
        and via == governor
        and not (through_governor and governor is None)
        and _stands_there(recipient.place, agency, place)
    )


def _stands_there(wanted: Place, agency: Agency, answerer: str) -> bool:
    if wanted is Place.ANYWHERE:
        return True
    if not agency.place or not answerer:
        return False
    if wanted is Place.SAME_PREFECTURE:
        return agency.prefecture == answerer
    if wanted is Place.OTHER_PREFECTURE:
        return agency.prefecture != answerer
    return agency.place != answerer  # Place.OTHER_MUNICIPALITY


def _key_granted(grant: Grant, key: SearchKey, provision: Provision, usable: bool) -> bool:
    if key not in grant.search_keys:
        return False
    if key is SearchKey.INDIVIDUAL_NUMBER:
        return usable
    if key is SearchKey.RESIDENT_RECORD_CODE:
        return Field.RESIDENT_RECORD_CODE in provision.fields or grant.code_key_basis is not None
    return True


def _answer(standing: Standing, fields: frozenset[Field]) -> Decision:
    case = standing.case
    provision, affair = case.provision, case.affair
    granted = fields & provision.fields
    if not standing.number_usable:
        granted -= {Field.INDIVIDUAL_NUMBER}
    for narrowed in (case.grant.fields, None if affair is None else affair.fields):
        if narrowed is not None:
            granted &= narrowed
    withheld = tuple(
        Withheld(field, _why_withheld(field, standing), provision.withheld_by)
        for field in sorted(fields - granted)
    )
    code = Field.RESIDENT_RECORD_CODE in granted
    return Decision(
        granted=granted,
        withheld=withheld,
        article=provision.basis,
        number_in_change={Field.CHANGE, Field.INDIVIDUAL_NUMBER} <= granted,
        code_in_change=code and (Field.CHANGE in granted or provision.former_code),
        persons=_condition(standing),
        aggregates_only=provision.manner is Manner.STATISTICS,
    )


def _why_withheld(field: Field, standing: Standing) -> WithheldReason:
    given = standing.case.provision.fields
    if field is Field.INDIVIDUAL_NUMBER and not standing.number_usable:
        return WithheldReason.NO_NUMBER_USE_BASIS
    if field not in given:
        if field is Field.RESIDENT_RECORD_CODE:
            return WithheldReason.CODE_NOT_PROVIDED
        return WithheldReason.OUTSIDE_PROVISION
    return WithheldReason.OUTSIDE_GRANT


def _condition(standing: Standing) -> PersonCondition | None:
    wanted = standing.recipient.persons
    if not wanted:
        return None
    own = standing.case.agency.prefecture
    consents = standing.case.registry.consents.get(standing.case.grant.basis, ())
    return PersonCondition(
        notified_by=own if Persons.NOTIFIED_BY_OWN_PREFECTURE in wanted else "",
        not_notified_by=own if Persons.NOTIFIED_BY_ANOTHER_PREFECTURE in wanted else "",
        moved_abroad=Persons.MOVED_ABROAD in wanted,
        named=frozenset(one.person for one in consents if standing.day in one.period)
        if Persons.CONSENTED in wanted
        else None,
    )


def _refuse(reason: Reason, message: str) -> NoReturn:
    raise JukiError(reason, message)
