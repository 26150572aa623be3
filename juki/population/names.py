"""Names: Japanese by frequency and generation, variants included; foreign residents' names.

Surnames with their frequency and the rarer given names come from the package
japanese-personal-name-dataset (MIT), a development extra imported only when people are generated.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Final

from juki.domain.errors import JukiError, Reason
from juki.domain.four_items import PersonName, Sex
from juki.population.decks import deck, draw
from juki.population.name_tables import FOREIGN_NAMES, GIVEN_NAMES, SURNAME_VARIANTS

SPACE: Final = "\u3000"

_SURNAME_CARDS: Final = 1 << 18
"""Enough that a variant with some 500 bearers in the nation still gets a card."""

_SHARE_OF_FREQUENT_GIVEN_NAMES: Final = 0.72

_TO_KATAKANA: Final = {code: chr(code + 0x60) for code in range(0x3041, 0x3097)}

Spelling = tuple[str, str]
"""As written, and its reading in katakana (empty where none)."""


@dataclass(frozen=True, slots=True)
class ForeignNames:
    """Names usual in one country: alphabet and kanji (empty where none)."""

    surnames: tuple[Spelling, ...]
    men: tuple[Spelling, ...]
    women: tuple[Spelling, ...]


@dataclass(frozen=True, slots=True)
class NameTables:
    """Decks to draw names from."""

    surnames: tuple[Spelling, ...]
    generations: tuple[int, ...]
    frequent: dict[Sex, tuple[tuple[Spelling, ...], ...]]
    """By sex, one tuple a generation."""
    rare: dict[Sex, tuple[Spelling, ...]]
    countries: tuple[ForeignNames, ...]


def _with_variants(written: str, reading: str, bearers: int) -> list[tuple[Spelling, int]]:
    """The surname as usual and with each variant of one of its characters."""
    spellings: list[tuple[Spelling, int]] = []
    usual = bearers * 1000
    for character, variants in SURNAME_VARIANTS.items():
        if character in written:
            for variant, permille in variants.items():
                spelling = written.replace(character, variant, 1)
                spellings.append(((spelling, reading), bearers * permille))
                usual -= bearers * permille
    return [((written, reading), usual), *spellings]


def _spellings(words: str) -> tuple[Spelling, ...]:
    pairs = (word.partition("/") for word in words.split())
    return tuple((first.replace("_", " "), second) for first, _, second in pairs)


@cache
def name_tables() -> NameTables:
    """The decks, made once.

    Raises:
        JukiError: CONFIGURATION_INVALID if the development extra is not installed.
    """
    try:
        from japanese_personal_name_dataset import load_dataset
    except ImportError:
        raise JukiError(
            Reason.CONFIGURATION_INVALID,
            "generating people needs the development extra: pip install 'juki[dev]'",
        ) from None
    men, women, surnames = load_dataset(kind="opti", include_last_names=True)
    weighted = [
        pair
        for written, entry in surnames.items()
        for pair in _with_variants(
            written, entry["reading"].translate(_TO_KATAKANA), int(entry["count"])
        )
    ]
    return NameTables(
        surnames=deck(weighted, _SURNAME_CARDS),
        generations=tuple(GIVEN_NAMES["men"]),
        frequent={
            sex: tuple(_spellings(words) for words in GIVEN_NAMES[key].values())
            for sex, key in ((Sex.MALE, "men"), (Sex.FEMALE, "women"))
        },
        rare={
            sex: tuple(
                (written, reading.translate(_TO_KATAKANA))
                for reading, entry in names.items()
                for written in entry["kanji"][:12]
            )
            for sex, names in ((Sex.MALE, men), (Sex.FEMALE, women))
        },
        countries=deck(
            (ForeignNames(_spellings(last), _spellings(man), _spellings(woman)), weight)
            for weight, last, man, woman in FOREIGN_NAMES
        ),
    )


def given_name(random: Random, tables: NameTables, sex: Sex, birth_year: int) -> Spelling:
    """A given name plausible for the sex and the year of birth."""
    if random.random() < _SHARE_OF_FREQUENT_GIVEN_NAMES:
        generation = max(0, bisect_right(tables.generations, birth_year) - 1)
        return draw(random, tables.frequent[sex][generation])
    return draw(random, tables.rare[sex])


def japanese_name(surname: Spelling, given: Spelling, former_surname: str = "") -> PersonName:
    """A name as on the record of a Japanese resident."""
    return PersonName(
        written=f"{surname[0]}{SPACE}{given[0]}",
        reading=f"{surname[1]}{SPACE}{given[1]}",
        former_surname=former_surname,
    )


def foreign_name(
    random: Random, tables: NameTables, country: ForeignNames, surname: Spelling, sex: Sex
) -> PersonName:
    """A foreign resident's name: in kanji where the card has it, else in the alphabet.

    One in three with a name in kanji, one in twelve of the others, has a common name (通称).
    """
    given = draw(random, country.men if sex is Sex.MALE else country.women)
    alphabet = f"{surname[0]} {given[0]}"
    in_kanji = bool(surname[1] and given[1])
    common_name = ""
    if random.random() < (0.33 if in_kanji else 0.08):
        japanese = draw(random, tables.surnames)
        common_name = f"{japanese[0]}{SPACE}{draw(random, tables.rare[sex])[0]}"
    return PersonName(
        written=f"{surname[1]}{SPACE}{given[1]}" if in_kanji else alphabet,
        alphabet=alphabet,
        common_name=common_name,
    )
