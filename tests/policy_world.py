"""A registry in which every provision of the Act is granted to somebody, and questions on it."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from juki.domain.legal_basis import Decision, Field, LegalBasis, Manner, SearchKey, Tier
from juki.policy.evaluator import Policy

MINISTRY = "spiffe://agency.juki.example/ministry"
PENSION = "spiffe://agency.juki.example/pension"
DIGITAL = "spiffe://agency.juki.example/digital"
J_LIS = "spiffe://national.juki.example/j-lis"
TOYOTA = "spiffe://agency.juki.example/toyota"
TOYOTA_BOARD = "spiffe://agency.juki.example/toyota-board-of-education"
AICHI = "spiffe://agency.juki.example/aichi"
AICHI_BOARD = "spiffe://agency.juki.example/aichi-board-of-education"

GOVERNOR_OF_AICHI = "spiffe://pref23.juki.example/server"
GOVERNOR_OF_SHIZUOKA = "spiffe://pref22.juki.example/server"

NOON = 1_780_000_000 * 10**9
"""2026-05-28 in Japan."""

ALL = frozenset(Field)
NO_CODE = ALL - {Field.RESIDENT_RECORD_CODE}
NEITHER = NO_CODE - {Field.INDIVIDUAL_NUMBER}
CODE_ALONE = frozenset({Field.RESIDENT_RECORD_CODE})
FOUR = frozenset({Field.NAME, Field.BIRTH_DATE, Field.SEX, Field.ADDRESS})

EXAMPLE = Path("deploy/policy/example.toml")
WORLD = EXAMPLE.read_text(encoding="utf-8")


def policy_of(text: str) -> Policy:
    """The policy of a registry's text."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "agencies.toml"
        path.write_text(text, encoding="utf-8")
        return Policy.load(path)


@dataclass(frozen=True)
class Question:
    """Everything that a decision goes by."""

    who: str
    basis: LegalBasis
    tier: Tier = Tier.NATIONAL
    place: str = ""
    via: str | None = None
    key: SearchKey | None = SearchKey.FOUR_ITEMS
    fields: frozenset[Field] = ALL
    manner: Manner = Manner.LOOK_UP
    at: int = NOON

    def but(self, **other: object) -> Self:
        """The same question with something else about it."""
        return replace(self, **other)  # type: ignore[arg-type]

    def ask(self, policy: Policy) -> Decision:
        """The decision; raises JukiError."""
        return policy.decide(
            self.who,
            self.basis,
            self.fields,
            self.key,
            self.tier,
            at=self.at,
            place=self.place,
            via=self.via,
            manner=self.manner,
        )
