"""The provisions of the Act as data: who may be given what, by whom, on which way.

Basic Resident Registration Act, articles 30-9 to 30-15-2 and 37 (2): `juki/data/provisions.toml`.
A file that is not understood stops the start.
"""

from __future__ import annotations

import datetime
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError
from pydantic import Field as Column

from juki.domain.errors import JukiError, Reason
from juki.domain.legal_basis import Field, Manner, Tier
from juki.policy.calendar import Period


class RecipientKind(StrEnum):
    """Who asks, in the Act's own kinds."""

    NATIONAL_AGENCY = "national_agency"
    """国の機関."""
    CORPORATION = "corporation"
    """A corporation (法人) that Appended Table 1 names."""
    DIGITAL_AGENCY = "digital_agency"
    """デジタル庁, a national agency too."""
    GOVERNOR = "governor"
    """都道府県知事."""
    PREFECTURAL_BODY = "prefectural_body"
    """An executive body of a prefecture other than the governor."""
    MAYOR = "mayor"
    """市町村長."""
    MUNICIPAL_BODY = "municipal_body"
    """An executive body of a municipality other than the mayor."""
    J_LIS = "j_lis"
    """機構: the Japan Agency for Local Authority Information Systems itself."""


class Place(StrEnum):
    """Where the asker stands to whoever answers."""

    ANYWHERE = "anywhere"
    SAME_PREFECTURE = "same_prefecture"
    OTHER_PREFECTURE = "other_prefecture"
    OTHER_MUNICIPALITY = "other_municipality"


class Route(StrEnum):
    """On which way the request comes."""

    DIRECT = "direct"
    THROUGH_GOVERNOR = "through_governor"
    """By way of the governor of the asker's prefecture (都道府県知事を経て)."""


class Persons(StrEnum):
    """Of whom alone: conditions that hold for each person (`PersonCondition`)."""

    NOTIFIED_BY_OWN_PREFECTURE = "notified_by_own_prefecture"
    NOTIFIED_BY_ANOTHER_PREFECTURE = "notified_by_another_prefecture"
    MOVED_ABROAD = "moved_abroad"
    CONSENTED = "consented"


class NumberRule(StrEnum):
    """When the Individual Number is among what is given."""

    NEVER = "never"
    BY_ARTICLE_9_1 = "9(1)"
    """The recipient may use it by My Number Act 9 (1): a cited row of that Act's table."""
    BY_ARTICLE_9_2 = "9(2)"
    """The affair itself is one of an ordinance under My Number Act 9 (2)."""
    BY_EITHER = "9(1) or 9(2)"
    UNCONDITIONAL = "unconditional"


class AffairKind(StrEnum):
    """What the affair of a basis is."""

    NONE = "none"
    """The provision alone says all."""
    TABLE = "table"
    """A row of an Appended Table."""
    ORDINANCE = "ordinance"
    """Registered: of an ordinance (条例)."""
    NUMBER_ORDINANCE = "number_ordinance"
    """Registered: of an ordinance under My Number Act 9 (2)."""
    ORDER = "order"
    """Registered: a quasi-statutory affair (準法定事務) of a ministerial order."""
    CONSENT = "consent"
    """Registered: what persons consented to."""
    DUTIES = "duties"
    """Registered: affairs under a national agency's jurisdiction (所掌事務)."""
    LISTED = "listed"
    """One that the provision lists, or none."""
    LISTED_OR_ORDER = "listed_or_order"
    """One that the provision lists, or a registered one of a ministerial order, or none."""


_REGISTERED: Final = frozenset(
    {
        AffairKind.ORDINANCE,
        AffairKind.NUMBER_ORDINANCE,
        AffairKind.ORDER,
        AffairKind.CONSENT,
        AffairKind.DUTIES,
    }
)
_TIERS: Final = {
    "nation": Tier.NATIONAL,
    "prefecture": Tier.PREFECTURAL,
    "municipality": Tier.MUNICIPAL,
}


_HEADS: Final = frozenset({RecipientKind.MAYOR, RecipientKind.GOVERNOR})
_OTHER_BODIES: Final = frozenset({RecipientKind.MUNICIPAL_BODY, RecipientKind.PREFECTURAL_BODY})


def row_names(kind: RecipientKind, recipients: str) -> bool:
    """Whether a row's upper column, in the Act's words, names bodies of that kind.

    Told apart are heads of local government (市町村長, 指定都市の長, 都道府県知事) and their other
    executive bodies (教育委員会, 監査委員, 執行機関). Which national body a row names is said by
    the registration alone.
    """
    if kind in _OTHER_BODIES:
        return "委員" in recipients or "執行機関" in recipients
    if kind in _HEADS:
        return "長" in recipients or "知事" in recipients
    return True


@dataclass(frozen=True, slots=True)
class Recipient:
    """Some of a provision's recipients, and on which conditions they are answered."""

    kinds: frozenset[RecipientKind]
    place: Place
    persons: frozenset[Persons]
    route: Route


@dataclass(frozen=True, slots=True)
class Provision:
    """One item or sub-item of the Act."""

    basis: str
    japanese: str
    english: str
    own_use: bool
    """Whether the holder uses it (利用); otherwise it is provided to another (提供)."""

    manner: Manner
    answered_by: frozenset[Tier]
    affair: AffairKind
    table: int
    """The Appended Table, 0 where it refers to none."""

    ordinance_of_answerer: bool
    """Whose ordinance or consent the affair is: the answerer's, or else the recipient's."""

    listed: frozenset[str]
    fields: frozenset[Field]
    """What can be given at all; the number further depends on `number`."""

    former_code: bool
    """Whether former codes go with the code although no change information does (30-9-2 (2))."""

    number: NumberRule
    withheld_by: str
    """The clause that withholds the code, and the number without a basis to use it."""

    recipients: tuple[Recipient, ...]
    period: Period

    @property
    def is_registered(self) -> bool:
        """Whether its affairs are registered ones."""
        return self.affair in _REGISTERED

    @property
    def may_be_registered(self) -> bool:
        """Whether an affair of it can be registered."""
        return self.is_registered or self.affair is AffairKind.LISTED_OR_ORDER

    def recipient(self, kind: RecipientKind) -> Recipient | None:
        """The conditions for askers of that kind, None where it may not ask."""
        return next((one for one in self.recipients if kind in one.kinds), None)


@dataclass(frozen=True, slots=True)
class Provisions:
    """The provisions of one revision of the Act."""

    in_force_from: datetime.date
    by_basis: Mapping[str, Provision]
    no_basis: Mapping[str, str]
    """Paragraphs that give nothing, with the reason."""


def parse_provisions(text: str, where: str) -> Provisions:
    """Reads a provisions file; raises JukiError (CONFIGURATION_INVALID) naming it and the place."""
    try:
        file = _File.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise _invalid(where, f"is not TOML: {error}") from None
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False)
        told = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in faults)
        raise _invalid(where, told) from None
    provisions: dict[str, Provision] = {}
    for entry in file.provision:
        if entry.basis in provisions:
            raise _invalid(where, f"{entry.basis} stands twice")
        try:
            provisions[entry.basis] = entry.build()
        except ValueError as error:
            raise _invalid(where, f"{entry.basis}: {error}") from None
    if not provisions:
        raise _invalid(where, "holds no provision")
    return Provisions(
        file.in_force_from,
        MappingProxyType(provisions),
        MappingProxyType({one.provision: one.why for one in file.no_basis}),
    )


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _field(name: Any) -> Field:
    if isinstance(name, str) and name in Field.__members__:
        return Field[name]
    raise ValueError(f"is none of {', '.join(Field.__members__)}")


def _tier(name: Any) -> Tier:
    if name in _TIERS:
        return _TIERS[name]
    raise ValueError(f"is none of {', '.join(_TIERS)}")


class _RecipientEntry(_Strict):
    kinds: list[RecipientKind] = Column(min_length=1)
    place: Place = Place.ANYWHERE
    persons: list[Persons] = Column(default_factory=list)
    route: Route = Route.DIRECT


class _ProvisionEntry(_Strict):
    basis: str
    japanese: str = Column(min_length=1)
    english: str = Column(min_length=1)
    act: str = Column(pattern="^(provide|use)$")
    manner: Manner
    answered_by: list[Annotated[Tier, BeforeValidator(_tier)]] = Column(min_length=1)
    affair: str
    listed: list[str] = Column(default_factory=list)
    fields_: list[Annotated[Field, BeforeValidator(_field)]] | None = Column(
        default=None, alias="fields"
    )
    code: bool
    former_code: bool = False
    number: NumberRule
    withheld_by: str
    recipient: list[_RecipientEntry] = Column(min_length=1)
    first: datetime.date | None = Column(default=None, alias="in_force_from")
    last: datetime.date | None = Column(default=None, alias="in_force_until")

    def build(self) -> Provision:
        name, _, rest = self.affair.partition(":")
        kind = AffairKind(name)
        if (kind is AffairKind.TABLE) != rest.isdigit() or (
            (kind in (AffairKind.ORDINANCE, AffairKind.NUMBER_ORDINANCE, AffairKind.CONSENT))
            != (rest in ("answerer", "recipient"))
        ):
            raise ValueError(f"affair {self.affair} is not understood")
        fields = frozenset(Field) if self.fields_ is None else frozenset(self.fields_)
        if not self.code:
            fields -= {Field.RESIDENT_RECORD_CODE}
        if self.number is NumberRule.NEVER:
            fields -= {Field.INDIVIDUAL_NUMBER}
        recipients = tuple(
            Recipient(frozenset(one.kinds), one.place, frozenset(one.persons), one.route)
            for one in self.recipient
        )
        return Provision(
            basis=self.basis,
            japanese=self.japanese,
            english=self.english,
            own_use=self.act == "use",
            manner=self.manner,
            answered_by=frozenset(self.answered_by),
            affair=kind,
            table=int(rest) if kind is AffairKind.TABLE else 0,
            ordinance_of_answerer=rest == "answerer",
            listed=frozenset(self.listed),
            fields=fields,
            former_code=self.former_code,
            number=self.number,
            withheld_by=self.withheld_by,
            recipients=recipients,
            period=Period(self.first, self.last),
        )


class _NoBasisEntry(_Strict):
    provision: str
    why: str


class _File(_Strict):
    in_force_from: datetime.date
    provision: list[_ProvisionEntry]
    no_basis: list[_NoBasisEntry] = Column(default_factory=list)


def _invalid(where: str, what: str) -> JukiError:
    return JukiError(Reason.CONFIGURATION_INVALID, f"{where}: {what}")
