"""The registered bodies: which identity may ask for which affairs, read from a TOML file.

The file is an operator's; a mistake in it stops the start with the file and the place named.
Nothing is granted that is not written there, and nothing written there goes beyond the tables.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from juki.domain import legal_basis
from juki.domain.errors import JukiError, Reason
from juki.domain.legal_basis import AffairReference, SearchKey, Tier
from juki.policy.tables import LegalTables

_IDENTITY: Final = re.compile(r"spiffe://[a-z0-9.-]+/[A-Za-z0-9._/-]+")

ROUTE_OF_TABLE: Final = {
    1: Tier.NATIONAL,
    2: Tier.NATIONAL,
    3: Tier.NATIONAL,
    4: Tier.NATIONAL,  # through the governor of the asking body's prefecture
    5: Tier.PREFECTURAL,
    6: Tier.PREFECTURAL,
}
"""The tier that answers an affair of each Appended Table (articles 30-9 to 30-15)."""

THROUGH_GOVERNOR: Final = 4
"""The table whose bodies ask "by way of the governor of the other prefecture" (30-12 (1)(i))."""

_ORDINARY_FIELDS: Final = frozenset(legal_basis.Field) - {
    legal_basis.Field.RESIDENT_RECORD_CODE,
    legal_basis.Field.INDIVIDUAL_NUMBER,
}


@dataclass(frozen=True, slots=True)
class Grant:
    """What a body may ask for one affair."""

    affair: legal_basis.Affair
    fields: frozenset[legal_basis.Field]
    """Fields that may leave; INDIVIDUAL_NUMBER is among them only where its use is cited."""

    number_use_item: str | None
    """The row of My Number Act's appended table under which the body may use the number."""

    search_keys: frozenset[SearchKey]


@dataclass(frozen=True, slots=True)
class Agency:
    """A registered body (the recipient of a provision, or a department of the governor)."""

    identity: str
    name: str
    tier: Tier
    governor: str | None
    """The prefectural server by way of which its Table 4 requests come, if it has any."""

    grants: Mapping[AffairReference, Grant]


def load_registry(path: Path, tables: LegalTables) -> Mapping[str, Agency]:
    """Agencies by identity.

    Raises JukiError (CONFIGURATION_INVALID) naming the file and the key when a key is unknown, a
    row does not exist in the tables, a grant goes beyond them, or no agency is registered at all.
    """
    try:
        text = path.read_text(encoding="utf-8")
        entries = _RegistryFile.model_validate(tomllib.loads(text)).agency
    except OSError as error:
        raise _invalid(path, f"cannot be read ({error.strerror})") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise _invalid(path, f"is not TOML: {error}") from None
    except ValidationError as error:
        raise _invalid(path, "; ".join(_complaints(error))) from None
    if not entries:
        raise _invalid(path, "registers no agency: an empty policy refuses to start")

    agencies: dict[str, Agency] = {}
    for entry in entries:
        if entry.identity in agencies:
            raise _invalid(path, f"{entry.identity} is registered twice")
        grants: dict[AffairReference, Grant] = {}
        for grant in entry.grant:
            try:
                built = grant.build(tables, entry)
            except ValueError as error:
                raise _invalid(
                    path, f"{entry.identity}, table {grant.table} item {grant.item}: {error}"
                ) from None
            if built.affair.reference in grants:
                raise _invalid(path, f"{entry.identity}: {built.affair.reference} stands twice")
            grants[built.affair.reference] = built
        agencies[entry.identity] = Agency(
            entry.identity,
            entry.name,
            Tier[entry.route.upper()],
            entry.governor,
            MappingProxyType(grants),
        )
    return MappingProxyType(agencies)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class _NumberUseCitation(_Strict):
    item: str


def _search_key(name: object) -> SearchKey:
    if isinstance(name, str) and name in SearchKey.__members__:
        return SearchKey[name]
    raise ValueError(f"is none of {', '.join(SearchKey.__members__)}")


def _field(name: object) -> legal_basis.Field:
    if isinstance(name, str) and name in legal_basis.Field.__members__:
        return legal_basis.Field[name]
    raise ValueError(f"is none of {', '.join(legal_basis.Field.__members__)}")


class _GrantEntry(_Strict):
    table: int
    item: str
    individual_number: _NumberUseCitation | None = None
    search_keys: list[Annotated[SearchKey, BeforeValidator(_search_key)]] = Field(min_length=1)
    resident_record_code_basis: str | None = Field(default=None, min_length=1)
    """The separate permission to search by the code (Art. 30-37, 30-38 forbid asking for it)."""

    fields_: list[Annotated[legal_basis.Field, BeforeValidator(_field)]] | None = Field(
        default=None, alias="fields"
    )
    """Narrows the grant; absent means all that the provision gives."""

    def build(self, tables: LegalTables, agency: _AgencyEntry) -> Grant:
        """The grant, checked against the tables; raises ValueError saying what is wrong."""
        affair = tables.affairs.get(AffairReference(self.table, self.item))
        if affair is None:
            raise ValueError("no such row in the Appended Tables")
        if ROUTE_OF_TABLE[self.table] is not Tier[agency.route.upper()]:
            raise ValueError(f"table {self.table} is not answered on the {agency.route} route")
        if self.table == THROUGH_GOVERNOR and agency.governor is None:
            raise ValueError("table 4 needs the governor's server by way of which requests come")
        cited = self.individual_number
        if cited is not None and cited.item not in tables.number_use:
            raise ValueError(f"no item {cited.item} in the number-use table of My Number Act")
        keys = frozenset(self.search_keys)
        if SearchKey.INDIVIDUAL_NUMBER in keys and cited is None:
            raise ValueError("INDIVIDUAL_NUMBER is a search key only where its use is cited")
        if (SearchKey.RESIDENT_RECORD_CODE in keys) != (
            self.resident_record_code_basis is not None
        ):
            raise ValueError("RESIDENT_RECORD_CODE as a search key and its basis go together")
        allowed = _ORDINARY_FIELDS
        if cited is not None:
            allowed |= {legal_basis.Field.INDIVIDUAL_NUMBER}
        fields = allowed if self.fields_ is None else frozenset(self.fields_)
        if beyond := fields - allowed:
            names = ", ".join(field.name for field in sorted(beyond))
            raise ValueError(f"{names} cannot be granted here")
        return Grant(affair, fields, None if cited is None else cited.item, keys)


class _AgencyEntry(_Strict):
    identity: str = Field(pattern=_IDENTITY.pattern)
    name: str = Field(min_length=1)
    route: Literal["national", "prefectural"]
    governor: str | None = Field(default=None, pattern=_IDENTITY.pattern)
    grant: list[_GrantEntry] = Field(min_length=1)

    @model_validator(mode="after")
    def _no_way_round_through_itself(self) -> Self:
        if self.governor == self.identity:
            raise ValueError("a body is not its own way through the governor")
        return self


class _RegistryFile(_Strict):
    agency: list[_AgencyEntry] = Field(default_factory=list)


def _complaints(error: ValidationError) -> Iterator[str]:
    for fault in error.errors(include_url=False, include_input=False):
        where = ".".join(str(part) for part in fault["loc"])
        what = "unknown key" if fault["type"] == "extra_forbidden" else fault["msg"]
        yield f"{where}: {what}"


def _invalid(path: Path, what: str) -> JukiError:
    return JukiError(Reason.CONFIGURATION_INVALID, f"{path.name}: {what}")
