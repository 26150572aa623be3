"""Explains a decision field by field: which provision grants or refuses it, in words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from juki.domain.errors import JukiError, Reason
from juki.domain.legal_basis import (
    Decision,
    Field,
    LegalBasis,
    Manner,
    PersonCondition,
    SearchKey,
    Tier,
)
from juki.policy import wording
from juki.policy.calendar import date_of, day_number
from juki.policy.evaluator import Policy
from juki.policy.provisions import NumberRule, Place, Provision, Route
from juki.policy.registry import Agency, Grant, RegisteredAffair
from juki.policy.revisions import Law, law_of
from juki.policy.wording import Words


@dataclass(frozen=True, slots=True)
class Inquiry:
    """A question to explain; what is None is taken as the provision would have it."""

    identity: str
    basis: LegalBasis
    at: int
    """Nanoseconds since 1970-01-01 UTC."""

    fields: frozenset[Field] = frozenset(Field)
    key: SearchKey | None = None
    tier: Tier | None = None
    place: str | None = None
    via: str | None = None
    direct: bool = False
    """Asked directly even where the law wants the way by the governor."""

    manner: Manner | None = None


@dataclass(frozen=True, slots=True)
class FieldLine:
    """One field's outcome."""

    field: Field
    granted: bool
    article: str
    why: Words


@dataclass(frozen=True, slots=True)
class Explanation:
    """The decision in words."""

    granted: bool
    reason: Reason | None
    """Why the whole call is refused; None where it is answered."""

    refusal: Words | None
    detail: str
    facts: tuple[tuple[Words, Words], ...]
    """Named facts in their order: the provision, the affair, the way, of whom, since when."""

    lines: tuple[FieldLine, ...]
    persons: PersonCondition | None


def explain(policy: Policy, inquiry: Inquiry) -> Explanation:
    """Decides the inquiry as a call would be, and says what decided it; raises nothing of law."""
    day = date_of(day_number(inquiry.at))
    law = law_of(policy.laws, day)
    provision = None if law is None else law.provision(inquiry.basis.provision, day)
    agency = policy.registry.agencies.get(inquiry.identity)
    affair = policy.registry.affairs.get(inquiry.basis)
    asked = inquiry if provision is None else _filled(inquiry, provision, agency, affair)
    facts = tuple(_facts(asked, law, provision, agency, affair))
    try:
        decision = policy.decide(
            asked.identity,
            asked.basis,
            asked.fields,
            asked.key,
            asked.tier or Tier.NATIONAL,
            at=asked.at,
            place=asked.place or "",
            via=asked.via,
            manner=asked.manner or Manner.LOOK_UP,
        )
    except JukiError as error:
        refusal = wording.REFUSAL_WORDS.get(error.reason, Words(error.message, error.message))
        lines = tuple(
            FieldLine(field, False, asked.basis.provision, refusal)
            for field in sorted(asked.fields)
        )
        return Explanation(False, error.reason, refusal, error.message, facts, lines, None)
    grant = None if agency is None else agency.grant(asked.basis, day)
    of_whom = Words("対象者", "of whom"), wording.persons(decision.persons)
    lines = tuple(_lines(decision, asked.fields, provision, grant, affair))
    return Explanation(True, None, None, "", (*facts, of_whom), lines, decision.persons)


def _filled(
    inquiry: Inquiry,
    provision: Provision,
    agency: Agency | None,
    affair: RegisteredAffair | None,
) -> Inquiry:
    """What was not said, as the provision would have it."""
    recipient = None if agency is None else provision.recipient(agency.kind)
    manner = inquiry.manner or provision.manner
    place = inquiry.place
    if place is None:
        place = ""
        if provision.ordinance_of_answerer and affair is not None:
            place = affair.of
        elif recipient is not None and recipient.place is Place.SAME_PREFECTURE and agency:
            place = agency.prefecture
    by_governor = recipient is not None and recipient.route is Route.THROUGH_GOVERNOR
    via = inquiry.via
    if via is None and by_governor and agency is not None and not inquiry.direct:
        via = agency.governor
    key = inquiry.key
    if key is None and manner is Manner.LOOK_UP:
        key = SearchKey.FOUR_ITEMS
    tier = inquiry.tier or min(provision.answered_by)
    return replace(inquiry, manner=manner, place=place, via=via, key=key, tier=tier)


def _facts(
    asked: Inquiry,
    law: Law | None,
    provision: Provision | None,
    agency: Agency | None,
    affair: RegisteredAffair | None,
) -> Iterator[tuple[Words, Words]]:
    day = date_of(day_number(asked.at))
    if agency is not None:
        kind = wording.KIND_WORDS[agency.kind]
        yield (
            Words("求める者", "who asks"),
            Words(f"{agency.name}（{kind.japanese}）", f"{agency.identity}, {kind.english}"),
        )
    if provision is not None:
        where = wording.article(provision.basis)
        yield (
            Words("根拠", "provision"),
            Words(
                f"{where.japanese}：{provision.japanese}", f"{where.english}: {provision.english}"
            ),
        )
    row = asked.basis.row
    if row is not None and law is not None and row in law.tables.affairs:
        text, where = law.tables.affairs[row], wording.row(row.table, row.item)
        yield (
            Words("事務", "affair"),
            Words(f"{where.japanese}（{text.recipient}）：{text.affair}", where.english),
        )
    elif affair is not None:
        yield (
            Words("事務", "affair"),
            Words(
                f"{affair.instrument}：{affair.text}",
                f"registered as {asked.basis.affair}, in force {affair.period}",
            ),
        )
    elif asked.basis.affair:
        yield Words("事務", "affair"), Words(asked.basis.affair, "named by the provision itself")
    if provision is not None and asked.tier is not None:
        route = Route.DIRECT if asked.via is None else Route.THROUGH_GOVERNOR
        yield Words("経路", "way"), wording.way(asked.tier, asked.place or "", route)
    if asked.key is not None:
        yield Words("検索キー", "search key"), wording.KEY_WORDS[asked.key]
    since = "" if law is None else f"{law.first_day}"
    yield (
        Words("基準日", "day"),
        Words(
            f"{day}（日本時間）。{since}施行の法令による" if since else f"{day}（日本時間）",
            f"{day} in Japan, by the law in force from {since or 'no day known'}",
        ),
    )


def _lines(
    decision: Decision,
    fields: frozenset[Field],
    provision: Provision | None,
    grant: Grant | None,
    affair: RegisteredAffair | None,
) -> Iterator[FieldLine]:
    withheld = {one.field: one for one in decision.withheld}
    for field in sorted(fields):
        if field in withheld:
            one = withheld[field]
            yield FieldLine(field, False, one.article, wording.WITHHELD_WORDS[one.reason])
        else:
            why = _given(decision, field, provision, grant, affair)
            yield FieldLine(field, True, decision.article, why)


def _given(
    decision: Decision,
    field: Field,
    provision: Provision | None,
    grant: Grant | None,
    affair: RegisteredAffair | None,
) -> Words:
    if decision.aggregates_only:
        return Words("統計にのみ用いる", "for totals only")
    if field is Field.INDIVIDUAL_NUMBER and provision is not None:
        return _number_given(provision, grant, affair)
    if field is Field.RESIDENT_RECORD_CODE and decision.code_in_change:
        return Words("新旧の住民票コード", "the code, and former ones")
    if field is Field.CHANGE and not decision.number_in_change:
        return Words("従前の個人番号を除く", "without former numbers")
    return Words("この規定による", "under this provision")


def _number_given(
    provision: Provision, grant: Grant | None, affair: RegisteredAffair | None
) -> Words:
    item = grant.number.item if grant is not None and grant.number is not None else None
    if item is None and affair is not None:
        item = affair.number_use_item
    if provision.number is NumberRule.UNCONDITIONAL and item is None:
        return Words("この規定による", "under this provision")
    if item is not None:
        return Words(
            f"番号利用法第九条第一項、別表{item.replace('-', 'の')}の項",
            f"My Number Act Art. 9 (1), its table's item {item}",
        )
    return Words("番号利用法第九条第二項の条例", "an ordinance under My Number Act Art. 9 (2)")
