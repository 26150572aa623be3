"""Households: who lives together, with sexes and ages that add up to Japan's age pyramid.

Shares of household types after the census of 2020 (average size 2.2); the ages of heads in
`age_tables` are fitted so that the people in the households follow the population estimates.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import Final

from juki.domain.four_items import Sex
from juki.population.age_tables import HEAD_AGES, HouseholdType
from juki.population.decks import deck, draw

_OLDEST: Final = 109


class Relation(StrEnum):
    """Relation to the head of the household (続柄)."""

    HEAD = "HEAD"
    SPOUSE = "SPOUSE"
    CHILD = "CHILD"
    PARENT = "PARENT"


@dataclass(frozen=True, slots=True)
class Member:
    """A place in a household, before it has a name."""

    relation: Relation
    sex: Sex
    age: int
    """Completed years."""


_TYPES_AND_BANDS: Final = deck(
    [
        ((kind, first_age), weight)
        for kind, bands in HEAD_AGES.items()
        for first_age, weight in bands.items()
    ],
    1 << 16,
)
_HUSBAND_OLDER_BY: Final = deck(
    [(-4, 3), (-3, 4), (-2, 7), (-1, 10), (0, 19), (1, 15), (2, 12), (3, 9), (4, 7), (5, 5),
     (6, 3), (8, 3), (10, 2), (13, 1)]
)  # fmt: skip
_MOTHER_AT_FIRST_BIRTH: Final = deck(
    [(20, 3), (22, 5), (24, 8), (25, 9), (26, 10), (27, 11), (28, 12), (29, 12), (30, 11), (31, 9),
     (32, 8), (33, 6), (35, 6), (37, 4), (39, 2), (41, 1)]
)  # fmt: skip
_YEARS_BETWEEN_CHILDREN: Final = deck([(1, 2), (2, 7), (3, 6), (4, 3), (5, 2), (7, 1)])
_CHILDREN: Final = deck([(1, 38), (2, 45), (3, 14), (4, 3)])
_CHILDREN_OF_ONE_PARENT: Final = deck([(1, 65), (2, 28), (3, 7)])


def _other(sex: Sex) -> Sex:
    return Sex.FEMALE if sex is Sex.MALE else Sex.MALE


def _sex_of_one_living_alone(random: Random, age: int) -> Sex:
    men_in_a_hundred = 59 if age < 65 else 42 if age < 75 else 28 if age < 85 else 20
    return Sex.MALE if random.random() * 100 < men_in_a_hundred else Sex.FEMALE


def _children(random: Random, mother_age: int, most: int) -> list[Member]:
    """Up to `most` children, the eldest first; grown-up ones move out or stay."""
    members: list[Member] = []
    age = mother_age - draw(random, _MOTHER_AT_FIRST_BIRTH)
    for _ in range(most):
        if age < 0:
            break
        sex = Sex.MALE if random.random() < 0.512 else Sex.FEMALE
        if not members or age < 24 or random.random() < 0.3:
            members.append(Member(Relation.CHILD, sex, age))
        age -= draw(random, _YEARS_BETWEEN_CHILDREN)
    if not members:
        members.append(Member(Relation.CHILD, Sex.FEMALE if most % 2 else Sex.MALE, 0))
    return members


def _couple(random: Random, husband_age: int) -> list[Member]:
    wife_age = max(18, husband_age - draw(random, _HUSBAND_OLDER_BY))
    husband_heads = random.random() < 0.93
    if husband_heads:
        return [
            Member(Relation.HEAD, Sex.MALE, husband_age),
            Member(Relation.SPOUSE, Sex.FEMALE, wife_age),
        ]
    return [
        Member(Relation.HEAD, Sex.FEMALE, wife_age),
        Member(Relation.SPOUSE, Sex.MALE, husband_age),
    ]


def _mother_age(members: list[Member]) -> int:
    return next(member.age for member in members if member.sex is Sex.FEMALE)


def _parents(random: Random, head_age: int) -> list[Member]:
    """One or two parents of the head or the spouse; mothers outlive fathers."""
    age = min(_OLDEST, head_age + 23 + int(random.random() * 11))
    mother = Member(Relation.PARENT, Sex.FEMALE, age)
    father = Member(Relation.PARENT, Sex.MALE, min(_OLDEST, age + int(random.random() * 6)))
    chance = random.random() * 100
    if chance < (48 if age < 75 else 25):
        return [mother, father]
    return [father] if chance > 88 else [mother]


def compose(random: Random) -> list[Member]:
    """The members of one household, its head first; never empty."""
    kind, band = draw(random, _TYPES_AND_BANDS)
    age = band + int(random.random() * 5)
    return compose_of(random, kind, age)


def compose_of(random: Random, kind: HouseholdType, age: int) -> list[Member]:
    """The members of a household of the given type; `age` is the head's or the husband's."""
    if kind is HouseholdType.ONE_PERSON:
        return [Member(Relation.HEAD, _sex_of_one_living_alone(random, age), age)]
    if kind is HouseholdType.ONE_PARENT:
        sex = Sex.FEMALE if random.random() < 0.85 else Sex.MALE
        mother_age = age if sex is Sex.FEMALE else max(18, age - 3)
        children = _children(random, mother_age, draw(random, _CHILDREN_OF_ONE_PARENT))
        return [Member(Relation.HEAD, sex, age), *children]
    members = _couple(random, age)
    if kind is HouseholdType.COUPLE:
        return members
    members += _children(random, _mother_age(members), draw(random, _CHILDREN))
    if kind is HouseholdType.THREE_GENERATIONS:
        members += _parents(random, age)
    return members
