"""The policy agrees with a second, literal reading of the Act, whatever is registered and asked.

The registries here are made past the loader, so that grants stand in them that it would refuse: no
registration, however wrong, makes a field leave that no provision gives.
"""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from juki.domain.errors import JukiError
from juki.domain.legal_basis import Decision, Field, LegalBasis, Manner, SearchKey, Tier
from juki.domain.residency import ResidencyStatus
from juki.index.wire import FieldMask, PersonKeys, pack_value
from juki.policy.calendar import ALWAYS, Period
from juki.policy.evaluator import Policy
from juki.policy.provisions import Place, RecipientKind
from juki.policy.registry import (
    Agency,
    Consent,
    Grant,
    NumberCitation,
    RegisteredAffair,
    Registry,
)
from juki.policy.revisions import shipped_law
from juki.v1 import identification_pb2 as pb
from tests.literal_law import Answer, Refused, literal_answer
from tests.people import person
from tests.policy_world import (
    GOVERNOR_OF_AICHI,
    GOVERNOR_OF_SHIZUOKA,
    WORLD,
    Question,
    policy_of,
)

LAW = shipped_law()
WORLD_POLICY = policy_of(WORLD)
BODY = "spiffe://agency.juki.example/anybody"

PROTO_FIELDS = {field.name.lower(): field for field in Field}
EVERYTHING_OF_A_PERSON = pack_value(
    ResidencyStatus.RESIDENT,
    person(1, former_code="24727059608", former_number="123456789018").SerializeToString(),
    PersonKeys((), (), ()),
)

INSTANTS = [
    int(datetime.datetime.fromisoformat(text + "+09:00").timestamp()) * 10**9
    for text in (
        "2026-02-13T23:59:59",
        "2026-03-31T23:59:59",
        "2026-04-01T00:00:00",
        "2026-05-28T12:00:00",
        "2027-03-31T23:59:59",
        "2027-04-01T00:00:00",
    )
]
PERIODS = st.sampled_from(
    [ALWAYS, ALWAYS, Period(datetime.date(2026, 4, 1), datetime.date(2027, 3, 31))]
)
FIELDS = st.frozensets(st.sampled_from(Field))
PLACES = ["", "22", "23", "221309", "232114"]
RIGHT_PLACES = {
    Place.ANYWHERE: ("", "23"),
    Place.SAME_PREFECTURE: ("23", "23"),
    Place.OTHER_PREFECTURE: ("22", "23"),
    Place.OTHER_MUNICIPALITY: ("221309", "232114"),
}
"""The answerer's and the asker's."""

GOVERNORS = st.sampled_from([None, GOVERNOR_OF_AICHI, GOVERNOR_OF_SHIZUOKA])

ROWS = sorted(LAW.tables.affairs)
ITEMS = sorted(LAW.tables.number_use)
AFFAIRS = ["", "one", "two", "number-21.2", "jpki-8", "jpki-9", "30-42.4", "number-8.2"]
UNREAL = ["30-10(2)", "30-8", "37(1)", "30-16"]
PROVISIONS = [name for name, one in LAW.provisions.by_basis.items() if not one.table]
BASES = st.one_of(
    st.sampled_from(ROWS).map(LegalBasis.of_row),
    st.builds(LegalBasis, st.sampled_from([*PROVISIONS, *UNREAL]), st.sampled_from(AFFAIRS)),
    st.builds(LegalBasis, st.sampled_from(PROVISIONS), st.sampled_from(["", "one"])),
)


def affairs_of(basis: LegalBasis, of: str) -> st.SearchStrategy[RegisteredAffair]:
    return st.builds(
        RegisteredAffair,
        basis=st.just(basis),
        text=st.just("試験"),
        recipient=st.just("試験"),
        instrument=st.just("試験"),
        promulgated=st.none(),
        period=PERIODS,
        of=st.just(of),
        fields=st.none() | FIELDS,
        number_use_item=st.sampled_from([None, None, "46", "999"]),
        number_ordinance=st.booleans(),
        likened_to=st.none(),
    )


def grants_of(basis: LegalBasis) -> st.SearchStrategy[Grant]:
    cited = NumberCitation("46")
    row = basis.row
    if row is not None:
        lines = [line for line in LAW.permissions.by_row[row] if line.items]
        if lines:
            cited = NumberCitation(lines[0].items[0], lines[0].body)
    citations = st.one_of(
        st.none(),
        st.just(cited),
        st.builds(NumberCitation, st.sampled_from([*ITEMS, "999"])),
        st.builds(NumberCitation, st.none(), st.just(""), st.sampled_from(["two", "three"])),
    )
    return st.builds(
        Grant,
        basis=st.just(basis),
        search_keys=st.sampled_from([frozenset(SearchKey), frozenset({SearchKey.FOUR_ITEMS})]),
        fields=st.none() | FIELDS,
        number=citations,
        code_key_basis=st.sampled_from([None, "permission 12"]),
        period=PERIODS,
    )


@st.composite
def worlds(draw: st.DrawFn) -> tuple[Registry, Question]:
    """Somebody is granted a basis, rightly or wrongly, and asks on it, in the right way or not.

    Mostly all but one thing is as the provision has it, or nearly every question were refused.
    """
    basis = draw(BASES)
    provision = LAW.provisions.by_basis.get(basis.provision)
    kind, tier = draw(st.sampled_from(RecipientKind)), draw(st.sampled_from(Tier))
    manner, key = draw(st.sampled_from(Manner)), draw(st.sampled_from([None, *SearchKey]))
    answerer, own, governor, via = (
        draw(st.sampled_from(PLACES)),
        draw(st.sampled_from(PLACES)),
        draw(GOVERNORS),
        draw(GOVERNORS),
    )
    at, of = draw(st.sampled_from(INSTANTS)), draw(st.sampled_from(PLACES))
    if provision is not None and draw(st.integers(0, 4)):
        recipient = draw(st.sampled_from(provision.recipients))
        kind = draw(st.sampled_from(sorted(recipient.kinds)))
        tier = draw(st.sampled_from(sorted(provision.answered_by)))
        answerer, own = RIGHT_PLACES[recipient.place]
        governor = GOVERNOR_OF_AICHI
        via = governor if recipient.route == "through_governor" else None
        of = answerer if provision.ordinance_of_answerer else own
        manner, at = provision.manner, draw(st.sampled_from(INSTANTS[1:-1]))
        key = draw(st.sampled_from(SearchKey)) if manner is Manner.LOOK_UP else None
        # Then one thing is wrong, or none is.
        match draw(st.integers(0, 11)):
            case 0:
                kind = draw(st.sampled_from(RecipientKind))
            case 1:
                tier = draw(st.sampled_from(Tier))
            case 2:
                answerer = draw(st.sampled_from(PLACES))
                of = draw(st.sampled_from([of, answerer]))
            case 3:
                via = draw(GOVERNORS)
            case 4:
                governor = draw(GOVERNORS)
            case 5:
                of = draw(st.sampled_from(PLACES))
            case 6:
                manner = draw(st.sampled_from(Manner))
            case 7:
                at = draw(st.sampled_from(INSTANTS))
            case 8:
                own = draw(st.sampled_from(PLACES))
                of = draw(st.sampled_from([of, own]))
    agency = Agency(
        BODY,
        "試験",
        kind,
        own,
        governor,
        {basis: (draw(grants_of(basis)),)} if draw(st.integers(0, 15)) else {},
        draw(st.sampled_from([None] * 9 + list(Tier))),
    )
    affairs = {basis: draw(affairs_of(basis, of))} if draw(st.integers(0, 5)) else {}
    other = LegalBasis("30-15(1)(ii)", "two")
    if basis != other:
        affairs[other] = draw(affairs_of(other, draw(st.sampled_from(["23", *PLACES]))))
    consents = {basis: (Consent("1", 71, draw(PERIODS)), Consent("2", 72, draw(PERIODS)))}
    question = Question(BODY, basis, tier, answerer, via, key, draw(FIELDS), manner, at)
    return Registry({BODY: agency}, affairs, consents), question


def by_policy(policy: Policy, question: Question) -> Decision | None:
    try:
        return question.ask(policy)
    except JukiError:
        return None


def by_the_letter(registry: Registry, question: Question) -> Answer | None:
    try:
        return literal_answer(LAW, registry, question)
    except Refused:
        return None


def agree(policy: Policy, registry: Registry, question: Question) -> bool:
    """Asserts that both say the same; returns whether it was an answer."""
    decision, answer = by_policy(policy, question), by_the_letter(registry, question)
    assert (decision is None) == (answer is None)
    if decision is None or answer is None:
        return False
    assert decision.granted == answer.fields
    assert decision.persons == answer.persons
    assert {one.field for one in decision.withheld} == question.fields - answer.fields
    leaves_only(answer.fields, decision)
    return True


def leaves_only(fields: frozenset[Field], decision: Decision) -> None:
    """Asserts that the bytes of a person who has everything carry these fields and no other."""
    cut = FieldMask.of_decision(decision).cut(EVERYTHING_OF_A_PERSON)
    given = pb.IdentificationInformation.FromString(cut)
    assert {PROTO_FIELDS[field.name] for field, _ in given.ListFields()} == fields
    if given.change.former_individual_number:
        assert {Field.CHANGE, Field.INDIVIDUAL_NUMBER} <= fields
    if given.change.former_resident_record_code:
        assert {Field.CHANGE, Field.RESIDENT_RECORD_CODE} <= fields


@settings(max_examples=400, deadline=None)
@given(worlds())
def test_whatever_is_registered_no_field_leaves_that_the_letter_does_not_give(
    world: tuple[Registry, Question],
) -> None:
    registry, question = world
    agree(Policy([LAW], registry), registry, question)


@settings(max_examples=400, deadline=None)
@given(
    who=st.sampled_from(sorted(WORLD_POLICY.registry.agencies)),
    data=st.data(),
    key=st.sampled_from([None, *SearchKey]),
    fields=FIELDS,
    manner=st.sampled_from(Manner),
    at=st.sampled_from(INSTANTS),
)
def test_in_a_sound_world_both_agree_on_every_way_and_time(
    who: str,
    data: st.DataObject,
    key: SearchKey | None,
    fields: frozenset[Field],
    manner: Manner,
    at: int,
) -> None:
    registry = WORLD_POLICY.registry
    granted = st.sampled_from(sorted(registry.agencies[who].grants))
    anything = st.sampled_from(
        sorted({basis for agency in registry.agencies.values() for basis in agency.grants})
    )
    question = Question(
        who,
        data.draw(granted | anything),
        tier=data.draw(st.sampled_from(Tier)),
        place=data.draw(st.sampled_from(PLACES)),
        via=data.draw(GOVERNORS),
        key=key,
        fields=fields,
        manner=manner,
        at=at,
    )
    agree(WORLD_POLICY, registry, question)


def test_both_answer_every_right_question_of_the_world() -> None:
    """So that agreeing is not agreeing to refuse: each grant of the world is answered some way."""
    registry = WORLD_POLICY.registry
    for agency in registry.agencies.values():
        for basis in agency.grants:
            answered = [
                agree(
                    WORLD_POLICY,
                    registry,
                    Question(agency.identity, basis, tier, place, via, key, manner=manner),
                )
                for tier in Tier
                for place in PLACES
                for via in (None, GOVERNOR_OF_AICHI, GOVERNOR_OF_SHIZUOKA)
                for key in (None, *SearchKey)
                for manner in Manner
            ]
            assert any(answered), f"{agency.identity} {basis}"
            assert not all(answered)


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_both_agree_on_the_number_of_every_row(row: object) -> None:
    """Under every citation that the reviewed mapping knows, and one that it does not."""
    basis = LegalBasis.of_row(row)  # type: ignore[arg-type]
    provision = LAW.provisions.by_basis[basis.provision]
    items = {item for line in LAW.permissions.by_row[row] for item in line.items}  # type: ignore[index]
    for cited in [None, *sorted(items), "999"]:
        for kind in RecipientKind:
            if provision.recipient(kind) is None:
                continue
            place = "23" if kind in ("governor", "prefectural_body") else "232114"
            grant = Grant(
                basis,
                frozenset(SearchKey),
                number=None if cited is None else NumberCitation(cited),
            )
            agency = Agency(BODY, "試験", kind, place, GOVERNOR_OF_AICHI, {basis: (grant,)})
            registry = Registry({BODY: agency}, {}, {})
            (tier,) = provision.answered_by
            via = GOVERNOR_OF_AICHI if provision.basis == "30-12(1)(i)" else None
            answerer = "23" if tier is Tier.PREFECTURAL else ""
            policy = Policy([LAW], registry)
            for key in SearchKey:
                agree(policy, registry, Question(BODY, basis, tier, answerer, via, key))
