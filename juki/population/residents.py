"""Synthetic residents, household by household: the same people for the same seed, everywhere.

The people of a municipality depend on the seed, the municipality, its number of residents and the
versions of the two data packages; so municipalities can be generated apart, in any process.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from juki.domain.codes import LocalGovernmentCode
from juki.domain.errors import InvalidValue
from juki.domain.four_items import Address, BirthDate, FourItems, PersonName, Sex
from juki.domain.municipalities import municipality_directory
from juki.population.decks import apportion, draw, seeded
from juki.population.households import Member, Relation, compose
from juki.population.names import (
    ForeignNames,
    NameTables,
    Spelling,
    foreign_name,
    given_name,
    japanese_name,
    name_tables,
)
from juki.population.towns import Town, address, towns

DEFAULT_AS_OF: Final = datetime.date(2026, 10, 1)
"""The day on which the ages hold: a constant, so that a seed means the same people for ever."""

_DAYS_PER_YEAR: Final = 365.25
_FOREIGN_SHARE: Final = 0.042
"""Of households whose head is 20 to 54: some 2 % of all residents."""

_FORMER_SURNAME_SHARE: Final = 0.012


@dataclass(frozen=True, slots=True)
class Resident:
    """One synthetic resident."""

    household_id: int
    """Counts from 1 within one register."""

    relation: Relation
    register: LocalGovernmentCode
    """The municipality that keeps the record; the address may bear the code of a ward."""

    record_id: str
    """The municipality's own number of the record: 10 decimal digits, unique in the register."""

    four_items: FourItems


def generate(
    municipalities: Sequence[LocalGovernmentCode],
    residents: int,
    seed: int,
    *,
    as_of: datetime.date = DEFAULT_AS_OF,
) -> Iterator[Resident]:
    """Exactly `residents` people, shared out over the municipalities by their number of towns.

    Municipality by municipality in the order of codes, household by household. A designated city
    stands for all its wards; a ward alone is allowed.

    Raises:
        InvalidValue: for no municipality or a negative number of residents.
        JukiError: UNKNOWN_MUNICIPALITY for a code that keeps no register; CONFIGURATION_INVALID
            without the development extra. Both before the first resident.
    """
    if not municipalities:
        raise InvalidValue("people are generated in at least one municipality")
    if residents < 0:
        raise InvalidValue("a number of residents is not negative")
    directory = municipality_directory()
    codes_by_keeper: dict[LocalGovernmentCode, set[LocalGovernmentCode]] = {}
    for code in municipalities:
        keeper = directory.keeper_of(code)
        codes_by_keeper.setdefault(keeper, set()).update(directory.address_codes_of(code))
    all_towns = towns(directory, sorted({c for found in codes_by_keeper.values() for c in found}))
    by_register = {
        keeper: tuple(town for code in sorted(codes_by_keeper[keeper]) for town in all_towns[code])
        for keeper in sorted(codes_by_keeper)
    }
    return _registers(by_register, name_tables(), residents, seed, as_of)


def generate_prefecture(
    prefecture: str, residents: int, seed: int, *, as_of: datetime.date = DEFAULT_AS_OF
) -> Iterator[Resident]:
    """As `generate`, over all municipalities of a prefecture ("01" to "47").

    Raises:
        InvalidValue: if the two digits name no prefecture; else as `generate`.
    """
    found = municipality_directory().municipalities_of(prefecture)
    return generate([entry.code for entry in found], residents, seed, as_of=as_of)


def _registers(
    by_register: Mapping[LocalGovernmentCode, tuple[Town, ...]],
    tables: NameTables,
    residents: int,
    seed: int,
    as_of: datetime.date,
) -> Iterator[Resident]:
    shares = apportion(residents, [len(found) for found in by_register.values()])
    for (register, found), share in zip(by_register.items(), shares, strict=True):
        households = _Households(seeded(seed, register.digits), found, tables, as_of)
        yield from households.residents(register, share)


class _Households:
    """One register's households in a row."""

    def __init__(
        self,
        random: Random,
        register_towns: tuple[Town, ...],
        tables: NameTables,
        as_of: datetime.date,
    ) -> None:
        self._random = random
        self._towns = register_towns
        self._tables = tables
        self._as_of = as_of.toordinal()
        self._birth_dates: dict[int, BirthDate] = {}

    def residents(self, register: LocalGovernmentCode, number: int) -> Iterator[Resident]:
        """The first `number` residents; the last household may be cut short."""
        household_id = count = 0
        while count < number:
            household_id += 1
            members = compose(self._random)
            home = self._home(members)
            for member, name, birth_date in self._people(members):
                if count == number:
                    return
                count += 1
                yield Resident(
                    household_id=household_id,
                    relation=member.relation,
                    register=register,
                    record_id=f"{count:010d}",
                    four_items=FourItems(name, birth_date, member.sex, home),
                )

    def _home(self, members: Sequence[Member]) -> Address:
        in_building = self._random.random() < (0.62 if len(members) == 1 else 0.35)
        return address(self._random, draw(self._random, self._towns), in_building=in_building)

    def _people(self, members: Sequence[Member]) -> Iterator[tuple[Member, PersonName, BirthDate]]:
        random = self._random
        if 20 <= members[0].age < 55 and random.random() < _FOREIGN_SHARE:
            country = draw(random, self._tables.countries)
            surname = draw(random, country.surnames)
            for member in members:
                yield member, self._foreign(member, country, surname), self._born(member.age)
            return
        surname = draw(random, self._tables.surnames)
        # Parents living with a daughter keep their own surname.
        parents = draw(random, self._tables.surnames) if random.random() < 0.15 else surname
        taken: set[Spelling] = set()
        for member in members:
            birth_date = self._born(member.age)
            own = parents if member.relation is Relation.PARENT else surname
            given = given_name(random, self._tables, member.sex, birth_date.year)
            while given in taken:
                given = given_name(random, self._tables, member.sex, birth_date.year)
            taken.add(given)
            yield member, japanese_name(own, given, self._former_surname(member)), birth_date

    def _foreign(self, member: Member, country: ForeignNames, surname: Spelling) -> PersonName:
        own = (
            draw(self._random, country.surnames) if member.relation is Relation.SPOUSE else surname
        )
        return foreign_name(self._random, self._tables, country, own, member.sex)

    def _former_surname(self, member: Member) -> str:
        if member.relation is not Relation.SPOUSE or member.sex is not Sex.FEMALE:
            return ""
        if member.age > 75 or self._random.random() >= _FORMER_SURNAME_SHARE:
            return ""
        return draw(self._random, self._tables.surnames)[0]

    def _born(self, age: int) -> BirthDate:
        """A birth date of that age; of a few old people the day or the month is not known."""
        days = int((age + self._random.random()) * _DAYS_PER_YEAR)
        known = self._birth_dates.get(days)
        if known is None:
            date = datetime.date.fromordinal(self._as_of - days)
            known = self._birth_dates[days] = BirthDate(date.year, date.month, date.day)
        if age >= 80:
            chance = self._random.random()
            if chance < 0.008:
                return BirthDate(known.year)
            if chance < 0.024:
                return BirthDate(known.year, known.month)
        return known
