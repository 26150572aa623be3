"""Who may ask what, row by row of the Appended Tables, and what never leaves."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from juki.domain.errors import JukiError, Reason
from juki.domain.legal_basis import (
    ARTICLE_OF_TABLE,
    AffairReference,
    Decision,
    Field,
    LegalBasis,
    SearchKey,
    Tier,
    WithheldReason,
)
from juki.policy import evaluator
from juki.policy.evaluator import Policy
from juki.policy.number_permissions import load_number_permissions
from juki.policy.tables import load_tables

TABLES = load_tables()
AFFAIRS = TABLES.affairs
PERMISSIONS = load_number_permissions(TABLES)
ROWS = sorted(AFFAIRS)
ALL_FIELDS = frozenset(Field)
FOUR_ITEMS = frozenset({Field.NAME, Field.BIRTH_DATE, Field.SEX, Field.ADDRESS})

NATIONAL_BODY = "spiffe://agency.juki.example/everything-national"
PREFECTURE = "spiffe://agency.juki.example/governor-of-aichi"
MUNICIPAL_BODY = "spiffe://agency.juki.example/a-town-of-aichi"
DEPARTMENT = "spiffe://pref22.juki.example/department"
MUNICIPAL_BOARD = "spiffe://agency.juki.example/a-towns-board-of-education"
PREFECTURAL_BOARD = "spiffe://agency.juki.example/aichis-board-of-education"
COMMITTEE = "spiffe://pref22.juki.example/committee"
GOVERNOR_OF_AICHI = "spiffe://pref23.juki.example/server"
OTHER_GOVERNOR = "spiffe://pref13.juki.example/server"

PENSION = "spiffe://agency.juki.example/nenkin"
PENSION_AFFAIR = AffairReference(1, "77")
NOON = 1_780_000_000 * 10**9  # 2026-05-28 in Japan
PASSPORTS = "spiffe://agency.juki.example/gaimu"
PASSPORT_AFFAIR = AffairReference(1, "41")


def items_of(row: AffairReference) -> tuple[str, ...]:
    """By which items of My Number Act's table the row's whole recipient may use the number."""
    lines = PERMISSIONS.by_row[row]
    return next((line.items for line in lines if not line.body), ())


def cites_number_use(row: AffairReference) -> bool:
    return bool(items_of(row))


ASKERS = {
    1: NATIONAL_BODY,
    2: MUNICIPAL_BODY,
    3: PREFECTURE,
    4: MUNICIPAL_BODY,
    5: DEPARTMENT,
    6: COMMITTEE,
}


BOARDS = {2: MUNICIPAL_BOARD, 3: PREFECTURAL_BOARD, 4: MUNICIPAL_BOARD}


def asker_of(affair: AffairReference) -> str:
    named = AFFAIRS[affair].recipient
    if affair.table in BOARDS and named.endswith("委員会") and "知事" not in named:
        return BOARDS[affair.table]
    return ASKERS[affair.table]


def place_of(affair: AffairReference) -> str:
    return "22" if affair.table >= 5 else ""


def right_tier(affair: AffairReference) -> Tier:
    return Tier.PREFECTURAL if affair.table >= 5 else Tier.NATIONAL


def right_way(affair: AffairReference) -> str | None:
    return GOVERNOR_OF_AICHI if affair.table == 4 else None


def agency_with(identity: str, rows: list[AffairReference], more: str) -> str:
    text = f'[[agency]]\nidentity = "{identity}"\nname = "試験"\n{more}\n'
    for row in rows:
        text += f'[[agency.grant]]\ntable = {row.table}\nitem = "{row.item}"\n'
        if cites_number_use(row):
            text += f'individual_number = {{item = "{items_of(row)[0]}"}}\n'
            text += 'search_keys = ["INDIVIDUAL_NUMBER", "FOUR_ITEMS"]\n'
        else:
            text += 'search_keys = ["FOUR_ITEMS"]\n'
    return text


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Policy:
    """A registry in which each of the 652 rows is granted to somebody."""
    path = tmp_path_factory.mktemp("registry") / "agencies.toml"
    town = f'place = "232025"\ngovernor = "{GOVERNOR_OF_AICHI}"'
    bodies = {
        NATIONAL_BODY: 'kind = "national_agency"',
        MUNICIPAL_BODY: f'kind = "mayor"\n{town}',
        MUNICIPAL_BOARD: f'kind = "municipal_body"\n{town}',
        PREFECTURE: 'kind = "governor"\nplace = "23"',
        PREFECTURAL_BOARD: 'kind = "prefectural_body"\nplace = "23"',
        DEPARTMENT: 'kind = "governor"\nplace = "22"',
        COMMITTEE: 'kind = "prefectural_body"\nplace = "22"',
    }
    text = "".join(
        agency_with(identity, [row for row in ROWS if asker_of(row) == identity], more)
        for identity, more in bodies.items()
    )
    path.write_text(text, encoding="utf-8")
    return Policy.load(path)


@pytest.fixture(scope="module")
def demo() -> Policy:
    return Policy.load(Path("deploy/demo/agencies.toml"))


def refusal(
    policy: Policy,
    identity: str,
    affair: AffairReference,
    *,
    key: SearchKey = SearchKey.FOUR_ITEMS,
    tier: Tier = Tier.NATIONAL,
    via: str | None = None,
    place: str = "",
) -> Reason:
    with pytest.raises(JukiError) as refused:
        policy.decide(identity, LegalBasis.of_row(affair), FOUR_ITEMS, key, tier, via=via, at=NOON)
    return refused.value.reason


def ask(policy: Policy, affair: AffairReference, fields: frozenset[Field] = ALL_FIELDS) -> Decision:
    return policy.decide(
        asker_of(affair),
        LegalBasis.of_row(affair),
        fields,
        SearchKey.FOUR_ITEMS,
        right_tier(affair),
        via=right_way(affair),
        at=NOON,
        place=place_of(affair),
    )


@pytest.mark.parametrize("affair", ROWS, ids=str)
def test_a_granted_body_is_answered_on_the_right_way_only(
    everything: Policy, affair: AffairReference
) -> None:
    asker, tier, way = asker_of(affair), right_tier(affair), right_way(affair)
    place = place_of(affair)
    decision = everything.decide(
        asker,
        LegalBasis.of_row(affair),
        FOUR_ITEMS,
        SearchKey.FOUR_ITEMS,
        tier,
        via=way,
        at=NOON,
        place=place_of(affair),
    )
    assert decision.granted == FOUR_ITEMS
    assert decision.withheld == ()
    assert decision.article == ARTICLE_OF_TABLE[affair.table]

    for wrong_tier in set(Tier) - {tier}:
        reason = refusal(everything, asker, affair, tier=wrong_tier, via=way, place=place)
        assert reason is Reason.ROUTE_NOT_PERMITTED
    for wrong_way in {None, GOVERNOR_OF_AICHI, OTHER_GOVERNOR} - {way}:
        reason = refusal(everything, asker, affair, tier=tier, via=wrong_way, place=place)
        assert reason is Reason.ROUTE_NOT_PERMITTED


@pytest.mark.parametrize("table", range(1, 7))
def test_every_table_has_rows_with_and_without_a_number_use_basis(table: int) -> None:
    assert {cites_number_use(row) for row in ROWS if row.table == table} == {True, False}


def test_table_4_asked_directly_at_the_nation_is_refused(everything: Policy) -> None:
    affair = AffairReference(4, "1-12")
    assert refusal(everything, MUNICIPAL_BODY, affair) is Reason.ROUTE_NOT_PERMITTED


def test_a_town_asks_about_its_own_prefecture_directly_and_about_others_by_way_of_the_governor(
    everything: Policy,
) -> None:
    within, beyond = map(LegalBasis.of_row, (AffairReference(2, "1-2"), AffairReference(4, "1-2")))
    key, tier = SearchKey.FOUR_ITEMS, Tier.NATIONAL
    assert (
        everything.decide(MUNICIPAL_BODY, within, FOUR_ITEMS, key, tier, at=NOON).granted
        == FOUR_ITEMS
    )
    assert (
        everything.decide(
            MUNICIPAL_BODY, beyond, FOUR_ITEMS, key, tier, via=GOVERNOR_OF_AICHI, at=NOON
        ).granted
        == FOUR_ITEMS
    )


@given(affair=st.sampled_from(ROWS), fields=st.frozensets(st.sampled_from(Field)))
def test_no_table_ever_gives_the_resident_record_code(
    everything: Policy, affair: AffairReference, fields: frozenset[Field]
) -> None:
    decision = ask(everything, affair, fields)
    assert Field.RESIDENT_RECORD_CODE not in decision.granted
    assert not decision.code_in_change


@given(affair=st.sampled_from(ROWS), fields=st.frozensets(st.sampled_from(Field)))
def test_the_number_is_given_exactly_where_its_use_is_cited(
    everything: Policy, affair: AffairReference, fields: frozenset[Field]
) -> None:
    decision = ask(everything, affair, fields)
    given_number = Field.INDIVIDUAL_NUMBER in decision.granted
    assert given_number == (cites_number_use(affair) and Field.INDIVIDUAL_NUMBER in fields)
    assert decision.number_in_change == (given_number and Field.CHANGE in fields)


@given(affair=st.sampled_from(ROWS), fields=st.frozensets(st.sampled_from(Field)))
def test_every_field_asked_for_is_granted_or_named_once_as_withheld(
    everything: Policy, affair: AffairReference, fields: frozenset[Field]
) -> None:
    decision = ask(everything, affair, fields)
    withheld = [entry.field for entry in decision.withheld]
    assert sorted([*decision.granted, *withheld]) == sorted(fields)


@given(
    identity=st.sampled_from([*ASKERS.values(), *BOARDS.values(), "spiffe://x.example/y"]),
    affair=st.sampled_from(ROWS),
    key=st.sampled_from(SearchKey),
    tier=st.sampled_from(Tier),
    via=st.sampled_from([None, GOVERNOR_OF_AICHI, OTHER_GOVERNOR]),
    place=st.sampled_from(["", "22", "23"]),
)
def test_whatever_is_not_granted_is_refused(
    everything: Policy,
    identity: str,
    affair: AffairReference,
    key: SearchKey,
    tier: Tier,
    via: str | None,
    place: str,
) -> None:
    keys = {SearchKey.FOUR_ITEMS}
    if cites_number_use(affair):
        keys.add(SearchKey.INDIVIDUAL_NUMBER)
    permitted = (
        identity == asker_of(affair)
        and tier is right_tier(affair)
        and (affair.table <= 4 or place == "22")
        and via == right_way(affair)
        and key in keys
    )
    try:
        everything.decide(
            identity,
            LegalBasis.of_row(affair),
            FOUR_ITEMS,
            key,
            tier,
            via=via,
            at=NOON,
            place=place,
        )
        answered = True
    except JukiError:
        answered = False
    assert answered == permitted


def test_an_unregistered_caller_is_refused(demo: Policy) -> None:
    stranger = "spiffe://agency.juki.example/stranger"
    assert refusal(demo, stranger, PENSION_AFFAIR) is Reason.AGENCY_NOT_REGISTERED


def test_a_repealed_item_is_unknown(demo: Policy) -> None:
    assert refusal(demo, PENSION, AffairReference(1, "4")) is Reason.AFFAIR_UNKNOWN


def test_the_pension_service_may_not_ask_for_passports(demo: Policy) -> None:
    assert refusal(demo, PENSION, PASSPORT_AFFAIR) is Reason.AFFAIR_NOT_GRANTED


def test_the_passport_office_may_not_search_by_individual_number(demo: Policy) -> None:
    key = SearchKey.INDIVIDUAL_NUMBER
    assert refusal(demo, PASSPORTS, PASSPORT_AFFAIR, key=key) is Reason.SEARCH_KEY_NOT_GRANTED


def test_no_pension_office_searches_by_resident_record_code(demo: Policy) -> None:
    key = SearchKey.RESIDENT_RECORD_CODE
    assert refusal(demo, PENSION, PENSION_AFFAIR, key=key) is Reason.SEARCH_KEY_NOT_GRANTED


def test_the_passport_office_is_told_why_code_and_number_are_withheld(demo: Policy) -> None:
    decision = demo.decide(
        PASSPORTS,
        LegalBasis.of_row(PASSPORT_AFFAIR),
        ALL_FIELDS,
        SearchKey.FOUR_ITEMS,
        Tier.NATIONAL,
        at=NOON,
    )
    assert decision.granted == FOUR_ITEMS | {Field.CHANGE}
    assert [(entry.field, entry.reason, entry.article) for entry in decision.withheld] == [
        (Field.RESIDENT_RECORD_CODE, WithheldReason.CODE_NOT_PROVIDED, "30-9"),
        (Field.INDIVIDUAL_NUMBER, WithheldReason.NO_NUMBER_USE_BASIS, "30-9"),
    ]


def test_a_registration_may_give_less_than_the_law(demo: Policy) -> None:
    decision = demo.decide(
        "spiffe://agency.juki.example/houmu",
        LegalBasis("30-9", "1:30"),
        frozenset({Field.NAME, Field.CHANGE}),
        SearchKey.FOUR_ITEMS,
        Tier.NATIONAL,
        at=NOON,
    )
    assert decision.granted == {Field.NAME}
    assert [entry.reason for entry in decision.withheld] == [WithheldReason.OUTSIDE_GRANT]


def test_the_pension_service_gets_the_number_and_former_numbers_only_when_it_asks(
    demo: Policy,
) -> None:
    for fields in (frozenset({Field.CHANGE}), frozenset({Field.CHANGE, Field.INDIVIDUAL_NUMBER})):
        decision = demo.decide(
            PENSION,
            LegalBasis.of_row(PENSION_AFFAIR),
            fields,
            SearchKey.INDIVIDUAL_NUMBER,
            Tier.NATIONAL,
            at=NOON,
        )
        assert decision.granted == fields
        assert decision.number_in_change == (Field.INDIVIDUAL_NUMBER in fields)


def test_a_repeated_question_is_answered_from_the_cache_and_refusals_are_not_kept(
    demo: Policy,
) -> None:
    basis = LegalBasis.of_row(PENSION_AFFAIR)
    ask_pension = (PENSION, basis, FOUR_ITEMS, SearchKey.FOUR_ITEMS, Tier.NATIONAL)
    assert demo.decide(*ask_pension, at=NOON) is demo.decide(*ask_pension, at=NOON + 1)
    for _ in range(2):
        assert refusal(demo, PENSION, PASSPORT_AFFAIR) is Reason.AFFAIR_NOT_GRANTED


def test_a_full_cache_starts_anew_and_decides_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluator, "MAX_CACHED_DECISIONS", 2)
    policy = Policy.load(Path("deploy/demo/agencies.toml"))
    answers = [
        policy.decide(
            PENSION,
            LegalBasis.of_row(PENSION_AFFAIR),
            frozenset({field}),
            SearchKey.FOUR_ITEMS,
            Tier.NATIONAL,
            at=NOON,
        )
        for field in [*Field, *Field]
    ]
    assert answers[: len(Field)] == answers[len(Field) :]
