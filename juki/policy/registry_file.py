"""Reads the registry: a TOML file of bodies with their grants, registered affairs, and consents.

The file is an operator's; a mistake in it stops the start with the file and the place named.
Nothing is granted that is not written there, and nothing written there goes beyond the law: each
grant must be possible under a revision of the law that is loaded.
"""

from __future__ import annotations

import datetime
import re
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError, model_validator
from pydantic import Field as Column

from juki.domain.errors import InvalidValue, JukiError, Reason
from juki.domain.legal_basis import (
    AffairReference,
    Field,
    LegalBasis,
    SearchKey,
    Tier,
)
from juki.policy.calendar import Period
from juki.policy.checking import complaint
from juki.policy.provisions import AffairKind, RecipientKind
from juki.policy.registry import (
    Agency,
    Consent,
    Grant,
    NumberCitation,
    RegisteredAffair,
    Registry,
)
from juki.policy.revisions import Law

_IDENTITY: Final = re.compile(r"spiffe://[a-z0-9.-]+/[A-Za-z0-9._/-]+")
_PREFECTURE: Final = re.compile(r"0[1-9]|[1-3][0-9]|4[0-7]")
_MUNICIPALITY: Final = re.compile(r"(0[1-9]|[1-3][0-9]|4[0-7])[0-9]{4}")
_PREFECTURAL: Final = (RecipientKind.GOVERNOR, RecipientKind.PREFECTURAL_BODY)
_MUNICIPAL: Final = (RecipientKind.MAYOR, RecipientKind.MUNICIPAL_BODY)


def load_registry(path: Path, laws: Sequence[Law]) -> Registry:
    """What the file registers.

    Raises JukiError (CONFIGURATION_INVALID) naming the file and the key when a key is unknown, a
    grant goes beyond every loaded revision of the law, or no body is registered at all.
    """
    try:
        text = path.read_text(encoding="utf-8")
        file = RegistryFile.model_validate(tomllib.loads(text))
    except OSError as error:
        raise _invalid(path, f"cannot be read ({error.strerror})") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise _invalid(path, f"is not TOML: {error}") from None
    except ValidationError as error:
        raise _invalid(path, "; ".join(_complaints(error))) from None
    try:
        return file.build(laws)
    except ValueError as error:
        raise _invalid(
            path, error.message if isinstance(error, JukiError) else str(error)
        ) from None


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class _Dated(_Strict):
    first: datetime.date | None = Column(default=None, alias="from")
    last: datetime.date | None = Column(default=None, alias="until")
    """The last day in force, itself included."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.first is not None and self.last is not None and self.last < self.first:
            raise ValueError("ends before it begins")
        return self

    @property
    def period(self) -> Period:
        return Period(self.first, self.last)


def _search_key(name: object) -> SearchKey:
    if isinstance(name, str) and name in SearchKey.__members__:
        return SearchKey[name]
    raise ValueError(f"is none of {', '.join(SearchKey.__members__)}")


def _field(name: object) -> Field:
    if isinstance(name, str) and name in Field.__members__:
        return Field[name]
    raise ValueError(f"is none of {', '.join(Field.__members__)}")


def _kind(name: object) -> RecipientKind:
    if isinstance(name, str) and name in tuple(RecipientKind):
        return RecipientKind(name)
    raise ValueError(f"is none of {', '.join(RecipientKind)}")


_Fields = list[Annotated[Field, BeforeValidator(_field)]]


class _NumberUseCitation(_Strict):
    item: str | None = None
    body: str = ""
    ordinance: str | None = None

    @model_validator(mode="after")
    def _one_of_the_two(self) -> Self:
        if (self.item is None) == (self.ordinance is None):
            raise ValueError("cites an item of the table or an ordinance, one of the two")
        if self.body and self.item is None:
            raise ValueError("names a body only beside an item of the table")
        return self


class _GrantEntry(_Dated):
    table: int | None = None
    item: str | None = None
    provision: str | None = None
    affair: str = ""
    individual_number: _NumberUseCitation | None = None
    search_keys: list[Annotated[SearchKey, BeforeValidator(_search_key)]] = Column(
        default_factory=list
    )
    resident_record_code_basis: str | None = Column(default=None, min_length=1)
    fields_: _Fields | None = Column(default=None, alias="fields")

    @model_validator(mode="after")
    def _one_basis(self) -> Self:
        row = (self.table is not None, self.item is not None)
        if row != ((self.provision is None,) * 2):
            raise ValueError("stands on a table and item, or else on a provision")
        return self

    def __str__(self) -> str:
        if self.provision is not None:
            return f"{self.provision} {self.affair}".strip()
        return f"table {self.table} item {self.item}"

    def build(self) -> Grant:
        """The grant; raises ValueError where its basis cannot be written."""
        if self.provision is not None:
            basis = LegalBasis(self.provision, self.affair)
        else:
            basis = LegalBasis.of_row(AffairReference(self.table or 0, self.item or ""))
        cited = self.individual_number
        return Grant(
            basis,
            frozenset(self.search_keys),
            None if self.fields_ is None else frozenset(self.fields_),
            None if cited is None else NumberCitation(cited.item, cited.body, cited.ordinance),
            self.resident_record_code_basis,
            self.period,
        )


class _AgencyEntry(_Strict):
    identity: str = Column(pattern=_IDENTITY.pattern)
    name: str = Column(min_length=1)
    kind: Annotated[RecipientKind, BeforeValidator(_kind)] = RecipientKind.CORPORATION
    """Unsaid, the kind that the law gives least to."""

    place: str = ""
    route: Literal["national", "prefectural", "municipal"] | None = None
    governor: str | None = Column(default=None, pattern=_IDENTITY.pattern)
    grant: list[_GrantEntry] = Column(min_length=1)

    @model_validator(mode="after")
    def _place_and_way(self) -> Self:
        if self.governor == self.identity:
            raise ValueError("a body is not its own way through the governor")
        wanted = "nothing"
        good = self.place == ""
        if self.kind in _PREFECTURAL:
            wanted, good = "a prefecture's two digits", bool(_PREFECTURE.fullmatch(self.place))
        elif self.kind in _MUNICIPAL:
            wanted, good = "a municipality's six digits", bool(_MUNICIPALITY.fullmatch(self.place))
        if not good:
            raise ValueError(f"the place of a {self.kind} is {wanted}")
        return self

    def build(self) -> Agency:
        """The body with its grants; raises ValueError."""
        grants: dict[LegalBasis, tuple[Grant, ...]] = {}
        for entry in self.grant:
            try:
                grant = entry.build()
            except ValueError as error:
                message = error.message if isinstance(error, InvalidValue) else str(error)
                raise ValueError(f"{self.identity}, {entry}: {message}") from None
            before = grants.get(grant.basis, ())
            if any(grant.period.overlaps(other.period) for other in before):
                affair = grant.basis.row or grant.basis
                raise ValueError(f"{self.identity}: {affair} stands twice for one day")
            grants[grant.basis] = (*before, grant)
        return Agency(
            self.identity,
            self.name,
            self.kind,
            self.place,
            self.governor,
            MappingProxyType(grants),
            None if self.route is None else Tier[self.route.upper()],
        )


class _AffairEntry(_Dated):
    id: str = Column(min_length=1)
    provision: str
    text: str = Column(min_length=1)
    recipient: str = ""
    instrument: str = Column(min_length=1)
    promulgated: datetime.date | None = None
    of: str = ""
    fields_: _Fields | None = Column(default=None, alias="fields")
    number_use_item: str | None = None
    number_ordinance: bool = False
    likened_to: str | None = None

    def build(self) -> RegisteredAffair:
        """The affair; raises ValueError where its basis cannot be written."""
        return RegisteredAffair(
            LegalBasis(self.provision, self.id),
            self.text,
            self.recipient,
            self.instrument,
            self.promulgated,
            self.period,
            self.of,
            None if self.fields_ is None else frozenset(self.fields_),
            self.number_use_item,
            self.number_ordinance,
            None if self.likened_to is None else AffairReference.parse(self.likened_to),
        )


class _ConsentEntry(_Dated):
    affair: str
    reference: str = Column(min_length=1)
    person: int = Column(ge=1)


class RegistryFile(_Strict):
    """The file's shape."""

    agency: list[_AgencyEntry] = Column(default_factory=list)
    affair: list[_AffairEntry] = Column(default_factory=list)
    consent: list[_ConsentEntry] = Column(default_factory=list)

    def build(self, laws: Sequence[Law]) -> Registry:
        """The registry, each entry held against the loaded law; raises ValueError."""
        if not self.agency:
            raise ValueError("registers no agency: an empty policy refuses to start")
        agencies: dict[str, Agency] = {}
        for entry in self.agency:
            if entry.identity in agencies:
                raise ValueError(f"{entry.identity} is registered twice")
            agencies[entry.identity] = entry.build()
        registry = Registry(
            MappingProxyType(agencies),
            MappingProxyType(self._affairs(laws)),
            MappingProxyType(self._consents()),
        )
        for agency in agencies.values():
            for grants in agency.grants.values():
                for grant in grants:
                    _possible(laws, registry, agency, grant)
        for basis in registry.consents:
            if basis not in registry.affairs:
                raise ValueError(f"consents name {basis.affair}, which is no registered affair")
        return registry

    def _affairs(self, laws: Sequence[Law]) -> dict[LegalBasis, RegisteredAffair]:
        affairs: dict[LegalBasis, RegisteredAffair] = {}
        for entry in self.affair:
            try:
                affair = entry.build()
            except ValueError as error:
                message = error.message if isinstance(error, InvalidValue) else str(error)
                raise ValueError(f"affair {entry.id}: {message}") from None
            if affair.basis in affairs:
                raise ValueError(f"affair {affair.basis} is registered twice")
            faults = [_affair_fault(law, affair) for law in laws]
            if None not in faults:
                raise ValueError(f"affair {affair.basis}: {faults[-1]}")
            affairs[affair.basis] = affair
        return affairs

    def _consents(self) -> dict[LegalBasis, tuple[Consent, ...]]:
        consents: dict[LegalBasis, tuple[Consent, ...]] = {}
        for entry in self.consent:
            basis = LegalBasis("30-15(1)(iii)", entry.affair)
            one = Consent(entry.reference, entry.person, entry.period)
            consents[basis] = (*consents.get(basis, ()), one)
        return consents


def _affair_fault(law: Law, affair: RegisteredAffair) -> str | None:  # noqa: PLR0911
    provision = law.provisions.by_basis.get(affair.basis.provision)
    if provision is None or provision.affair in (
        AffairKind.NONE,
        AffairKind.TABLE,
        AffairKind.LISTED,
    ):
        return f"{affair.basis.provision} refers to no registered affair"
    if affair.number_use_item is not None and affair.number_use_item not in law.tables.number_use:
        return f"no item {affair.number_use_item} in the number-use table of My Number Act"
    if affair.likened_to is not None and affair.likened_to not in law.tables.affairs:
        return "is likened to no row of the Appended Tables"
    if provision.affair is AffairKind.NUMBER_ORDINANCE and not affair.number_ordinance:
        return "must be of an ordinance under My Number Act 9 (2)"
    if provision.affair is AffairKind.ORDER and (
        affair.number_use_item is None or affair.likened_to is None
    ):
        return "a quasi-statutory affair names its number-use item and the row it is likened to"
    if affair.fields is not None and affair.fields - provision.fields:
        return "lets more be given than the provision"
    ordinance = (AffairKind.ORDINANCE, AffairKind.NUMBER_ORDINANCE)
    if provision.affair in ordinance and (affair.promulgated is None or affair.fields is None):
        return "an ordinance's affair names the day of promulgation and the fields"
    if provision.affair in (*ordinance, AffairKind.CONSENT) and not affair.of:
        return "says not whose it is"
    return None


def _possible(laws: Sequence[Law], registry: Registry, agency: Agency, grant: Grant) -> None:
    """Raises ValueError where no loaded revision of the law allows the grant."""
    faults = [complaint(law, registry, agency, grant) for law in laws]
    if None not in faults:
        row = grant.basis.row
        where = str(grant.basis) if row is None else f"table {row.table} item {row.item}"
        raise ValueError(f"{agency.identity}, {where}: {faults[-1]}")


def _complaints(error: ValidationError) -> Iterator[str]:
    for fault in error.errors(include_url=False, include_input=False):
        where = ".".join(str(part) for part in fault["loc"])
        what = "unknown key" if fault["type"] == "extra_forbidden" else fault["msg"]
        yield f"{where}: {what}"


def _invalid(path: Path, what: str) -> JukiError:
    return JukiError(Reason.CONFIGURATION_INVALID, f"{path.name}: {what}")
