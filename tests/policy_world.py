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

NEITHER_NAMES = '["NAME", "BIRTH_DATE", "SEX", "ADDRESS", "CHANGE"]'
NO_CODE_NAMES = '["NAME", "BIRTH_DATE", "SEX", "ADDRESS", "INDIVIDUAL_NUMBER", "CHANGE"]'

ROW = {1: "77", 2: "1-2", 3: "4-3", 4: "1-2", 5: "1", 6: "1"}
"""The row of each Appended Table that the world grants."""


def _grant(provision: str, affair: str = "", more: str = "") -> str:
    if affair[1:2] == ":":
        table, _, item = affair.partition(":")
        basis = f'table = {table}\nitem = "{item}"'
    else:
        basis = f'provision = "{provision}"\naffair = "{affair}"'
    keys = more or 'search_keys = ["FOUR_ITEMS"]'
    return f"[[agency.grant]]\n{basis}\n{keys}\n"


def _agency(identity: str, more: str, *grants: str) -> str:
    return f'[[agency]]\nidentity = "{identity}"\nname = "試験"\n{more}\n' + "".join(grants)


def _affair(provision: str, identifier: str, more: str) -> str:
    return (
        f'[[affair]]\nprovision = "{provision}"\nid = "{identifier}"\ntext = "試験に関する事務"\n'
        f'recipient = "試験"\ninstrument = "平成十五年条例第三十号"\n{more}\n'
    )


_NUMBER_KEYS = 'search_keys = ["FOUR_ITEMS", "INDIVIDUAL_NUMBER"]'
_CODE_KEYS = 'search_keys = ["FOUR_ITEMS", "INDIVIDUAL_NUMBER", "RESIDENT_RECORD_CODE"]'
_ORDINANCE = f"promulgated = 2003-03-20\nfrom = 2003-04-01\nfields = {NEITHER_NAMES}"
_NUMBER_ORDINANCE = (
    f"promulgated = 2015-10-01\nfrom = 2016-01-01\nfields = {NO_CODE_NAMES}\n"
    "number_ordinance = true"
)
_OWN_NUMBER_ORDINANCE = _NUMBER_ORDINANCE + '\nof = "{}"'
_ORDER = 'number_use_item = "46"\nlikened_to = "1:77"'

WORLD = "".join(
    (
        _agency(
            MINISTRY,
            'kind = "national_agency"',
            _grant("30-9", "1:41"),
            _grant("30-15-2(1)", "order-1", _NUMBER_KEYS),
            _grant("37(2)", "housing-survey"),
        ),
        _agency(
            PENSION,
            'kind = "corporation"',
            _grant("30-9", "1:77", f'individual_number = {{item = "46"}}\n{_NUMBER_KEYS}'),
        ),
        _agency(
            DIGITAL,
            'kind = "digital_agency"',
            _grant("30-9-2(1)"),
            _grant("30-9-2(1)", "number-21.2"),
            _grant("30-9-2(2)", "", "search_keys = []"),
        ),
        _agency(
            J_LIS,
            'kind = "j_lis"',
            _grant("30-9-2(3)", "", _CODE_KEYS),
            _grant("30-15(3)", "30-42.4", _CODE_KEYS),
            _grant("30-15(4)", "jpki-8"),
            _grant("30-15(5)", "number-8.2", _CODE_KEYS),
        ),
        _agency(
            TOYOTA,
            f'kind = "mayor"\nplace = "232114"\ngovernor = "{GOVERNOR_OF_AICHI}"',
            _grant("", "2:1-2"),
            _grant("30-10(1)(ii)", "toyota-2015.42", _NUMBER_KEYS),
            _grant("30-10(1)(iii)", "", _NUMBER_KEYS),
            _grant("30-10(1)(iv)", "", _CODE_KEYS),
            _grant("", "4:1-2"),
            _grant("30-12(1)(ii)", "toyota-2015.42", _NUMBER_KEYS),
            _grant("30-12(1)(iii)", "", _NUMBER_KEYS),
            _grant("30-12(1)(iv)", "", _CODE_KEYS),
            _grant("30-13(1)", "aichi-2003.1"),
            _grant("30-13(3)", "shizuoka-2003.30"),
            _grant("30-14", "hamamatsu-2004.5"),
            _grant("30-15-2(1)", "order-1", _NUMBER_KEYS),
        ),
        _agency(
            TOYOTA_BOARD,
            f'kind = "municipal_body"\nplace = "232114"\ngovernor = "{GOVERNOR_OF_AICHI}"',
            _grant("", "2:3-2"),
        ),
        _agency(
            AICHI,
            'kind = "governor"\nplace = "23"',
            _grant("", "3:4-3", f'individual_number = {{item = "24"}}\n{_NUMBER_KEYS}'),
            _grant("30-11(1)(ii)", "aichi-2015.9", _NUMBER_KEYS),
            _grant("30-11(1)(iii)", "", _CODE_KEYS),
            _grant("30-13(2)", "shizuoka-2003.30"),
            _grant("", "5:1"),
            _grant("30-15(1)(ii)", "aichi-2015.9", _NUMBER_KEYS),
            _grant("30-15(1)(iii)", "aichi-sakura"),
            _grant("30-15(1)(iv)", "", "search_keys = []"),
            _grant("30-15-2(1)", "order-1", _NUMBER_KEYS),
            _grant("30-15-2(2)", "order-2", _NUMBER_KEYS),
        ),
        _agency(
            AICHI_BOARD,
            'kind = "prefectural_body"\nplace = "23"',
            _grant(
                "", "6:1", f'individual_number = {{ordinance = "aichi-2015.9"}}\n{_NUMBER_KEYS}'
            ),
            _grant("30-15(2)(ii)", "aichi-2003.1"),
            _grant("30-15-2(3)", "order-3", _NUMBER_KEYS),
        ),
        *(
            _affair(provision, identifier, more)
            for provision, identifier, more in (
                ("30-10(1)(ii)", "toyota-2015.42", _OWN_NUMBER_ORDINANCE.format("232114")),
                ("30-12(1)(ii)", "toyota-2015.42", _OWN_NUMBER_ORDINANCE.format("232114")),
                ("30-11(1)(ii)", "aichi-2015.9", _OWN_NUMBER_ORDINANCE.format("23")),
                ("30-15(1)(ii)", "aichi-2015.9", _OWN_NUMBER_ORDINANCE.format("23")),
                ("30-13(1)", "aichi-2003.1", f'{_ORDINANCE}\nof = "23"'),
                ("30-13(2)", "shizuoka-2003.30", f'{_ORDINANCE}\nof = "22"'),
                ("30-13(3)", "shizuoka-2003.30", f'{_ORDINANCE}\nof = "22"'),
                ("30-14", "hamamatsu-2004.5", f'{_ORDINANCE}\nof = "221309"'),
                ("30-15(1)(iii)", "aichi-sakura", 'of = "23"'),
                ("30-15(2)(ii)", "aichi-2003.1", f'{_ORDINANCE}\nof = "23"'),
                ("30-15-2(1)", "order-1", _ORDER),
                ("30-15-2(2)", "order-2", _ORDER),
                ("30-15-2(3)", "order-3", _ORDER),
                ("37(2)", "housing-survey", ""),
            )
        ),
        """
[[consent]]
affair = "aichi-sakura"
reference = "file 12, no. 1"
person = 71
from = 2026-04-01

[[consent]]
affair = "aichi-sakura"
reference = "file 12, no. 2"
person = 72
until = 2026-05-27
""",
    )
)


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
