"""Every item and sub-item of 30-9 to 30-15-2 and 37 (2): a grant and a refusal, each named.

A case is one sentence of the law. The last tests hold that no provision of the data is without one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from juki.domain.errors import JukiError, Reason
from juki.domain.legal_basis import (
    Field,
    LegalBasis,
    Manner,
    PersonCondition,
    SearchKey,
    Tier,
)
from juki.policy.evaluator import Policy
from juki.policy.provisions import Provisions, parse_provisions
from juki.policy.registry import Registry
from juki.policy.tables import shipped
from tests.policy_world import (
    AICHI,
    AICHI_BOARD,
    ALL,
    CODE_ALONE,
    DIGITAL,
    GOVERNOR_OF_AICHI,
    GOVERNOR_OF_SHIZUOKA,
    J_LIS,
    MINISTRY,
    NEITHER,
    NO_CODE,
    PENSION,
    TOYOTA,
    TOYOTA_BOARD,
    WORLD,
    Question,
    policy_of,
)

PREFECTURAL, MUNICIPAL = Tier.PREFECTURAL, Tier.MUNICIPAL
NUMBER, CODE = SearchKey.INDIVIDUAL_NUMBER, SearchKey.RESIDENT_RECORD_CODE

OWN_PEOPLE = PersonCondition(notified_by="23")
OTHER_PEOPLE = PersonCondition(not_notified_by="23")


def question(who: str, provision: str, affair: str = "") -> Question:
    return Question(who, LegalBasis(provision, affair))


def at_aichi(who: str, provision: str, affair: str = "") -> Question:
    return question(who, provision, affair).but(tier=PREFECTURAL, place="23")


TABLE_1 = question(PENSION, "30-9", "1:77")
PASSPORTS = question(MINISTRY, "30-9", "1:41")
DIGITAL_CODE = question(DIGITAL, "30-9-2(1)", "number-21.2")
PUSHED_CODE = question(DIGITAL, "30-9-2(2)").but(manner=Manner.PUSH, key=None)
J_LIS_FOR_DIGITAL = question(J_LIS, "30-9-2(3)")
TABLE_2 = question(TOYOTA, "30-10(1)(i)", "2:1-2")
TABLE_2_BOARD = question(TOYOTA_BOARD, "30-10(1)(i)", "2:3-2")
ORDINANCE_WITHIN = question(TOYOTA, "30-10(1)(ii)", "toyota-2015.42")
CARDS_WITHIN = question(TOYOTA, "30-10(1)(iii)")
REGISTER_WITHIN = question(TOYOTA, "30-10(1)(iv)")
TABLE_3 = question(AICHI, "30-11(1)(i)", "3:4-3")
ORDINANCE_OF_AICHI = question(AICHI, "30-11(1)(ii)", "aichi-2015.9")
REGISTERS_OF_TOWNS = question(AICHI, "30-11(1)(iii)")
TABLE_4 = question(TOYOTA, "30-12(1)(i)", "4:1-2").but(via=GOVERNOR_OF_AICHI)
ORDINANCE_BEYOND = question(TOYOTA, "30-12(1)(ii)", "toyota-2015.42")
CARDS_BEYOND = question(TOYOTA, "30-12(1)(iii)")
REGISTER_BEYOND = question(TOYOTA, "30-12(1)(iv)").but(via=GOVERNOR_OF_AICHI)
OWN_TOWN = at_aichi(TOYOTA, "30-13(1)", "aichi-2003.1")
OTHER_PREFECTURE = question(AICHI, "30-13(2)", "shizuoka-2003.30").but(tier=PREFECTURAL, place="22")
OTHER_TOWN = question(TOYOTA, "30-13(3)", "shizuoka-2003.30").but(
    tier=PREFECTURAL, place="22", via=GOVERNOR_OF_AICHI
)
TOWN_TO_TOWN = question(TOYOTA, "30-14", "hamamatsu-2004.5").but(tier=MUNICIPAL, place="221309")
TABLE_5 = at_aichi(AICHI, "30-15(1)(i)", "5:1")
OWN_ORDINANCE = at_aichi(AICHI, "30-15(1)(ii)", "aichi-2015.9")
CONSENT = at_aichi(AICHI, "30-15(1)(iii)", "aichi-sakura")
STATISTICS = at_aichi(AICHI, "30-15(1)(iv)").but(manner=Manner.STATISTICS, key=None)
TABLE_6 = at_aichi(AICHI_BOARD, "30-15(2)(i)", "6:1")
BOARD_BY_ORDINANCE = at_aichi(AICHI_BOARD, "30-15(2)(ii)", "aichi-2003.1")
SUPPLEMENT = question(J_LIS, "30-15(3)", "30-42.4")
CERTIFICATION = question(J_LIS, "30-15(4)", "jpki-8")
NUMBERS = question(J_LIS, "30-15(5)", "number-8.2")
QUASI_STATUTORY = question(MINISTRY, "30-15-2(1)", "order-1")
QUASI_STATUTORY_OWN = at_aichi(AICHI, "30-15-2(2)", "order-2")
QUASI_STATUTORY_BOARD = at_aichi(AICHI_BOARD, "30-15-2(3)", "order-3")
MATERIALS = question(MINISTRY, "37(2)", "housing-survey")


@dataclass(frozen=True)
class Granted:
    sentence: str
    question: Question
    fields: frozenset[Field]
    persons: PersonCondition | None = None


@dataclass(frozen=True)
class Refused:
    sentence: str
    question: Question
    reason: Reason


ABROAD_WITHIN = PersonCondition(notified_by="23", moved_abroad=True)
ABROAD_BEYOND = PersonCondition(not_notified_by="23", moved_abroad=True)

GRANTED = [
    Granted("30-9: the pension service is given all but the code", TABLE_1, NO_CODE),
    Granted("30-9: passports are given neither code nor number", PASSPORTS, NEITHER),
    Granted("30-9: who may use the number may search by it", TABLE_1.but(key=NUMBER), NO_CODE),
    Granted("30-9-2(1): the Digital Agency is given the code alone", DIGITAL_CODE, CODE_ALONE),
    Granted("30-9-2(2): a changed code is pushed", PUSHED_CODE, CODE_ALONE),
    Granted("30-9-2(3): J-LIS uses all that it holds to do so", J_LIS_FOR_DIGITAL, ALL),
    Granted("30-10(1)(i): Table 2, of the own prefecture's people", TABLE_2, NEITHER, OWN_PEOPLE),
    Granted("30-10(1)(i): a board whom the row names", TABLE_2_BOARD, NEITHER, OWN_PEOPLE),
    Granted("30-10(1)(ii): the number by the own ordinance", ORDINANCE_WITHIN, NO_CODE, OWN_PEOPLE),
    Granted("30-10(1)(iii): cards of people abroad", CARDS_WITHIN, NO_CODE, ABROAD_WITHIN),
    Granted(
        "30-10(1)(iv): a mayor's register work, with the code", REGISTER_WITHIN, ALL, OWN_PEOPLE
    ),
    Granted("30-10(1)(iv): by the code", REGISTER_WITHIN.but(key=CODE), ALL, OWN_PEOPLE),
    Granted("30-11(1)(i): Table 3, of other prefectures' people", TABLE_3, NO_CODE, OTHER_PEOPLE),
    Granted("30-11(1)(ii): a prefecture's ordinance", ORDINANCE_OF_AICHI, NO_CODE, OTHER_PEOPLE),
    Granted("30-11(1)(iii): help with accurate registers", REGISTERS_OF_TOWNS, ALL, OTHER_PEOPLE),
    Granted("30-12(1)(i): Table 4 by way of the governor", TABLE_4, NEITHER, OTHER_PEOPLE),
    Granted("30-12(1)(ii): the own ordinance, directly", ORDINANCE_BEYOND, NO_CODE, OTHER_PEOPLE),
    Granted("30-12(1)(iii): cards abroad, directly", CARDS_BEYOND, NO_CODE, ABROAD_BEYOND),
    Granted("30-12(1)(iv): register work by the governor", REGISTER_BEYOND, ALL, OTHER_PEOPLE),
    Granted("30-13(1): a town of the prefecture", OWN_TOWN, NEITHER),
    Granted("30-13(2): another prefecture", OTHER_PREFECTURE, NEITHER),
    Granted("30-13(3): a town of another prefecture by its governor", OTHER_TOWN, NEITHER),
    Granted("30-14: another town", TOWN_TO_TOWN, NEITHER),
    Granted("30-15(1)(i): Table 5, the governor's own use", TABLE_5, NEITHER),
    Granted("30-15(1)(ii): own use with the number by 9 (2)", OWN_ORDINANCE, NO_CODE),
    Granted(
        "30-15(1)(iii): of those whose consent stands that day",
        CONSENT,
        NEITHER,
        PersonCondition(named=frozenset({71})),
    ),
    Granted("30-15(1)(iv): statistics", STATISTICS, NEITHER),
    Granted("30-15(2)(i): Table 6, the number by the ordinance", TABLE_6, NO_CODE),
    Granted("30-15(2)(ii): a board that the ordinance names", BOARD_BY_ORDINANCE, NEITHER),
    Granted("30-15(3): the supplementary register", SUPPLEMENT, ALL),
    Granted(
        "30-15(4): certification, without the number",
        CERTIFICATION,
        ALL - {Field.INDIVIDUAL_NUMBER},
    ),
    Granted("30-15(5): making numbers", NUMBERS, ALL),
    Granted("30-15-2(1): a national agency", QUASI_STATUTORY, NO_CODE),
    Granted("30-15-2(1): a municipality, of anybody", QUASI_STATUTORY.but(who=TOYOTA), NO_CODE),
    Granted(
        "30-15-2(1): a prefecture, of other prefectures' people",
        QUASI_STATUTORY.but(who=AICHI),
        NO_CODE,
        OTHER_PEOPLE,
    ),
    Granted("30-15-2(2): the governor's own use", QUASI_STATUTORY_OWN, NO_CODE),
    Granted("30-15-2(3): a board of the prefecture", QUASI_STATUTORY_BOARD, NO_CODE),
    Granted("37(2): materials from the nation", MATERIALS, NEITHER),
    Granted(
        "37(2): materials from a prefecture", MATERIALS.but(tier=PREFECTURAL, place="22"), NEITHER
    ),
]

NOT_GRANTED = Reason.AFFAIR_NOT_GRANTED
NOT_THIS_WAY = Reason.ROUTE_NOT_PERMITTED
NOT_BY_THIS_KEY = Reason.SEARCH_KEY_NOT_GRANTED

REFUSED = [
    Refused("30-9: an affair of another body", TABLE_1.but(who=MINISTRY), NOT_GRANTED),
    Refused("30-9: not by the code", TABLE_1.but(key=CODE), NOT_BY_THIS_KEY),
    Refused("30-9: not by the number without its use", PASSPORTS.but(key=NUMBER), NOT_BY_THIS_KEY),
    Refused("30-9: not from a prefecture", TABLE_1.but(tier=PREFECTURAL, place="23"), NOT_THIS_WAY),
    Refused(
        "30-9-2(1): nobody but the Digital Agency", DIGITAL_CODE.but(who=MINISTRY), NOT_GRANTED
    ),
    Refused(
        "30-9-2(1): for nothing but what My Number Act names",
        question(DIGITAL, "30-9-2(1)", "number-19"),
        Reason.AFFAIR_UNKNOWN,
    ),
    Refused(
        "30-9-2(2): a push is no look-up",
        PUSHED_CODE.but(manner=Manner.LOOK_UP, key=SearchKey.FOUR_ITEMS),
        NOT_THIS_WAY,
    ),
    Refused("30-9-2(3): nobody but J-LIS", J_LIS_FOR_DIGITAL.but(who=DIGITAL), NOT_GRANTED),
    Refused("30-10(1)(i): not by the governor", TABLE_2.but(via=GOVERNOR_OF_AICHI), NOT_THIS_WAY),
    Refused(
        "30-10(1)(i): not a board for the mayor's row", TABLE_2.but(who=TOYOTA_BOARD), NOT_GRANTED
    ),
    Refused("30-10(1)(ii): not a prefecture", ORDINANCE_WITHIN.but(who=AICHI), NOT_GRANTED),
    Refused("30-10(1)(iii): not by the code", CARDS_WITHIN.but(key=CODE), NOT_BY_THIS_KEY),
    Refused(
        "30-10(1)(iii): no other body than the mayor",
        CARDS_WITHIN.but(who=TOYOTA_BOARD),
        NOT_GRANTED,
    ),
    Refused(
        "30-10(1)(iv): no other body than the mayor",
        REGISTER_WITHIN.but(who=TOYOTA_BOARD),
        NOT_GRANTED,
    ),
    Refused(
        "30-10(1)(iv): not from a prefecture",
        REGISTER_WITHIN.but(tier=PREFECTURAL, place="23"),
        NOT_THIS_WAY,
    ),
    Refused("30-11(1)(i): not a municipality", TABLE_3.but(who=TOYOTA), NOT_GRANTED),
    Refused("30-11(1)(i): not by the code", TABLE_3.but(key=CODE), NOT_BY_THIS_KEY),
    Refused(
        "30-11(1)(ii): before the ordinance",
        ORDINANCE_OF_AICHI.but(at=1_451_573_999 * 10**9),
        Reason.AFFAIR_UNKNOWN,
    ),
    Refused(
        "30-11(1)(iii): no other body than the governor",
        REGISTERS_OF_TOWNS.but(who=AICHI_BOARD),
        NOT_GRANTED,
    ),
    Refused("30-12(1)(i): not directly", TABLE_4.but(via=None), NOT_THIS_WAY),
    Refused(
        "30-12(1)(i): not by another governor", TABLE_4.but(via=GOVERNOR_OF_SHIZUOKA), NOT_THIS_WAY
    ),
    Refused(
        "30-12(1)(ii): not by way of the governor",
        ORDINANCE_BEYOND.but(via=GOVERNOR_OF_AICHI),
        NOT_THIS_WAY,
    ),
    Refused("30-12(1)(iii): not a governor", CARDS_BEYOND.but(who=AICHI), NOT_GRANTED),
    Refused("30-12(1)(iv): not directly", REGISTER_BEYOND.but(via=None), NOT_THIS_WAY),
    Refused("30-13(1): not in another prefecture", OWN_TOWN.but(place="22"), NOT_GRANTED),
    Refused("30-13(1): not by the number", OWN_TOWN.but(key=NUMBER), NOT_BY_THIS_KEY),
    Refused("30-13(2): not in the own prefecture", OTHER_PREFECTURE.but(place="23"), NOT_GRANTED),
    Refused(
        "30-13(2): not from the nation", OTHER_PREFECTURE.but(tier=Tier.NATIONAL), NOT_THIS_WAY
    ),
    Refused("30-13(3): not directly", OTHER_TOWN.but(via=None), NOT_THIS_WAY),
    Refused("30-14: not from a prefecture", TOWN_TO_TOWN.but(tier=PREFECTURAL), NOT_THIS_WAY),
    Refused("30-14: not another town's ordinance", TOWN_TO_TOWN.but(place="221325"), NOT_GRANTED),
    Refused("30-15(1)(i): not in another prefecture", TABLE_5.but(place="22"), NOT_THIS_WAY),
    Refused("30-15(1)(i): not a board", TABLE_5.but(who=AICHI_BOARD), NOT_GRANTED),
    Refused("30-15(1)(ii): not by the code", OWN_ORDINANCE.but(key=CODE), NOT_BY_THIS_KEY),
    Refused(
        "30-15(1)(iii): an affair nobody consented to",
        at_aichi(AICHI, "30-15(1)(iii)", "other"),
        Reason.AFFAIR_UNKNOWN,
    ),
    Refused(
        "30-15(1)(iv): nothing of a single person, ever",
        STATISTICS.but(manner=Manner.LOOK_UP, key=SearchKey.FOUR_ITEMS),
        Reason.AGGREGATES_ONLY,
    ),
    Refused("30-15(2)(i): not the governor", TABLE_6.but(who=AICHI), NOT_GRANTED),
    Refused(
        "30-15(2)(ii): not by the number without its use",
        BOARD_BY_ORDINANCE.but(key=NUMBER),
        NOT_BY_THIS_KEY,
    ),
    Refused(
        "30-15(3): for nothing else", question(J_LIS, "30-15(3)", "30-43"), Reason.AFFAIR_UNKNOWN
    ),
    Refused("30-15(4): not by the number", CERTIFICATION.but(key=NUMBER), NOT_BY_THIS_KEY),
    Refused("30-15(5): nobody but J-LIS", NUMBERS.but(who=MINISTRY), NOT_GRANTED),
    Refused(
        "30-15-2(1): an affair no order names",
        question(MINISTRY, "30-15-2(1)", "order-9"),
        Reason.AFFAIR_UNKNOWN,
    ),
    Refused(
        "30-15-2(1): a board of a prefecture no order names",
        QUASI_STATUTORY.but(who=AICHI_BOARD),
        NOT_GRANTED,
    ),
    Refused(
        "30-15-2(2): not from the nation",
        QUASI_STATUTORY_OWN.but(tier=Tier.NATIONAL, place=""),
        NOT_THIS_WAY,
    ),
    Refused("30-15-2(3): not the governor", QUASI_STATUTORY_BOARD.but(who=AICHI), NOT_GRANTED),
    Refused("37(2): not a corporation", MATERIALS.but(who=PENSION), NOT_GRANTED),
    Refused(
        "37(2): not from a municipality",
        MATERIALS.but(tier=MUNICIPAL, place="221309"),
        NOT_THIS_WAY,
    ),
]


@pytest.fixture(scope="module")
def policy() -> Policy:
    return policy_of(WORLD)


@pytest.fixture(scope="module")
def provisions() -> Provisions:
    return parse_provisions(shipped("provisions.toml"), "provisions.toml")


@pytest.mark.parametrize("case", GRANTED, ids=lambda case: case.sentence)
def test_granted(policy: Policy, case: Granted) -> None:
    decision = case.question.ask(policy)
    assert decision.granted == case.fields
    assert {one.field for one in decision.withheld} == ALL - case.fields
    assert decision.persons == case.persons
    assert decision.article == case.question.basis.provision == case.sentence.partition(":")[0]
    assert decision.aggregates_only == (decision.article == "30-15(1)(iv)")


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.sentence)
def test_refused(policy: Policy, case: Refused) -> None:
    assert case.question.basis.provision == case.sentence.partition(":")[0]
    with pytest.raises(JukiError) as refused:
        case.question.ask(policy)
    assert refused.value.reason is case.reason


def test_every_provision_has_a_grant_and_a_refusal(provisions: Provisions) -> None:
    wanted = set(provisions.by_basis)
    assert {case.question.basis.provision for case in GRANTED} == wanted
    assert {case.question.basis.provision for case in REFUSED} == wanted


def test_no_paragraph_of_the_act_is_left_out(provisions: Provisions) -> None:
    """Written from the Act: every paragraph and item from 30-9 to 30-15-2, and 37 (2)."""
    act = {"30-9", "30-14", "37(2)", "30-10(2)", "30-11(2)", "30-12(2)"}
    act |= {f"30-9-2({number})" for number in (1, 2, 3)}
    act |= {f"30-10(1)({item})" for item in ("i", "ii", "iii", "iv")}
    act |= {f"30-11(1)({item})" for item in ("i", "ii", "iii")}
    act |= {f"30-12(1)({item})" for item in ("i", "ii", "iii", "iv")}
    act |= {f"30-13({number})" for number in (1, 2, 3)}
    act |= {f"30-15(1)({item})" for item in ("i", "ii", "iii", "iv")}
    act |= {f"30-15(2)({item})" for item in ("i", "ii")}
    act |= {f"30-15({number})" for number in (3, 4, 5)}
    act |= {f"30-15-2({number})" for number in (1, 2, 3)}
    assert act == set(provisions.by_basis) | set(provisions.no_basis)


@pytest.mark.parametrize("provision", ["30-10(2)", "30-11(2)", "30-12(2)", "30-8", "37(1)"])
def test_other_paragraphs_give_nothing(policy: Policy, provision: str) -> None:
    with pytest.raises(JukiError) as refused:
        question(TOYOTA, provision).ask(policy)
    assert refused.value.reason is Reason.AFFAIR_UNKNOWN


def test_former_codes_go_with_the_code_only(policy: Policy) -> None:
    assert REGISTER_WITHIN.ask(policy).code_in_change
    assert PUSHED_CODE.ask(policy).code_in_change
    assert not TABLE_2.ask(policy).code_in_change
    assert not CARDS_WITHIN.ask(policy).code_in_change


@pytest.mark.parametrize(
    ("own", "home"),
    [
        (OTHER_PREFECTURE.but(place="23"), 'id = "shizuoka-2003.30"\n#\nof = "23"'),
        (OTHER_TOWN.but(place="23"), 'id = "shizuoka-2003.30"\n#\nof = "23"'),
        (TOWN_TO_TOWN.but(place="232114"), 'id = "hamamatsu-2004.5"\n#\nof = "232114"'),
    ],
    ids=["30-13(2)", "30-13(3)", "30-14"],
)
def test_what_is_for_others_is_not_for_the_own_even_by_an_own_ordinance(
    own: Question, home: str
) -> None:
    identifier, _, of = home.partition("\n#\n")
    head, tail = WORLD.split(f'provision = "{own.basis.provision}"\n{identifier}', 1)
    old = 'of = "221309"' if own.basis.provision == "30-14" else 'of = "22"'
    world = head + f'provision = "{own.basis.provision}"\n{identifier}' + tail.replace(old, of, 1)
    with pytest.raises(JukiError) as refused:
        own.ask(policy_of(world))
    assert refused.value.reason is Reason.ROUTE_NOT_PERMITTED


def test_another_prefectures_ordinance_gives_no_number(policy: Policy) -> None:
    basis = LegalBasis("30-15(1)(ii)", "aichi-2015.9")
    affairs = dict(policy.registry.affairs)
    affairs[basis] = replace(affairs[basis], of="22")
    for other in list(affairs):
        if other.affair == basis.affair and other != basis:
            del affairs[other]
    changed = Registry(policy.registry.agencies, affairs, policy.registry.consents)
    assert Field.INDIVIDUAL_NUMBER in TABLE_6.ask(policy).granted
    assert Field.INDIVIDUAL_NUMBER not in TABLE_6.ask(Policy(policy.laws, changed)).granted
