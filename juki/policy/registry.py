"""The registered bodies, their grants, the affairs of ordinances and orders, and the consents.

What stands here is a statement of fact about who asks; what follows from it is for the law of the
day to say (`juki.policy.evaluator`). Read from an operator's file by `juki.policy.registry_file`.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass

from juki.domain.legal_basis import AffairReference, Field, LegalBasis, SearchKey, Tier
from juki.policy.calendar import ALWAYS, Period
from juki.policy.provisions import RecipientKind


@dataclass(frozen=True, slots=True)
class NumberCitation:
    """On what the recipient may use the Individual Number for this affair: one of the two."""

    item: str | None = None
    """A row of My Number Act's appended table (Art. 9 (1))."""

    body: str = ""
    """With an item: which body of a row that names several, as the reviewed mapping writes it."""

    ordinance: str | None = None
    """The registered id of an affair of an ordinance under Art. 9 (2)."""


@dataclass(frozen=True, slots=True)
class Grant:
    """What a body may ask on one basis, never more than the provision gives."""

    basis: LegalBasis
    search_keys: frozenset[SearchKey]
    fields: frozenset[Field] | None = None
    """Narrows what leaves; None: all that the provision gives."""

    number: NumberCitation | None = None
    code_key_basis: str | None = None
    """The separate permission to search by the code (Art. 30-37, 30-38 forbid asking for it)."""

    period: Period = ALWAYS


@dataclass(frozen=True, slots=True)
class Agency:
    """A registered body (the recipient of a provision, or whoever uses its own information)."""

    identity: str
    name: str
    kind: RecipientKind
    place: str
    """Two digits for a prefecture's body, six for a municipality's, nothing for the others."""

    governor: str | None
    """The prefectural server by way of which requests come where the law says so."""

    grants: Mapping[LegalBasis, tuple[Grant, ...]]
    """For each basis, grants whose periods do not overlap."""

    tier: Tier | None = None
    """The one tier it may ask, where its registration says so."""

    @property
    def prefecture(self) -> str:
        """Two digits; nothing for a national body."""
        return self.place[:2]

    def grant(self, basis: LegalBasis, day: datetime.date) -> Grant | None:
        """The grant in force on that day."""
        return next((one for one in self.grants.get(basis, ()) if day in one.period), None)


@dataclass(frozen=True, slots=True)
class RegisteredAffair:
    """An affair that is no row of the Act's tables: of an ordinance, a ministerial order, …"""

    basis: LegalBasis
    text: str
    """The affair in the instrument's own words."""

    recipient: str
    """Who may ask, in the instrument's own words."""

    instrument: str
    """The ordinance or order with its number, for example 平成15年静岡県条例第30号."""

    promulgated: datetime.date | None
    period: Period
    of: str = ""
    """Whose ordinance, or to whom persons consented: as `Agency.place`; nothing: the nation's."""

    fields: frozenset[Field] | None = None
    """What the instrument lets be given; None: it says nothing of it."""

    number_use_item: str | None = None
    """The row of My Number Act's table under which the number may be used for it (Art. 9 (1))."""

    number_ordinance: bool = False
    """Whether the ordinance is one under My Number Act Art. 9 (2)."""

    likened_to: AffairReference | None = None
    """For a quasi-statutory affair: the row to which it is likened (30-15-2 (1))."""


@dataclass(frozen=True, slots=True)
class Consent:
    """One person's consent to the use of their information for an affair (30-15 (1)(iii))."""

    reference: str
    """Where the written consent is filed."""

    person: int
    """The person's stable internal id at the prefecture; it never leaves."""

    period: Period

    def __repr__(self) -> str:
        return f"Consent({self.reference})"


@dataclass(frozen=True, slots=True)
class Registry:
    """All that is registered."""

    agencies: Mapping[str, Agency]
    affairs: Mapping[LegalBasis, RegisteredAffair]
    consents: Mapping[LegalBasis, tuple[Consent, ...]]
