"""Articles 30-9 to 30-15-2 and 37 (2) once more: slow, literal, and not from the data file.

Written article by article from the Act's text. It shares the registry's values and the tables of
rows with the policy, and none of its rules: the two have to agree on every question.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from juki.domain.legal_basis import Field, Manner, PersonCondition, SearchKey, Tier
from juki.policy.provisions import RecipientKind as Kind
from juki.policy.registry import Agency, Grant, RegisteredAffair, Registry
from juki.policy.revisions import Law
from tests.policy_world import Question

JAPAN = datetime.timezone(datetime.timedelta(hours=9))
CODE, NUMBER = Field.RESIDENT_RECORD_CODE, Field.INDIVIDUAL_NUMBER
EVERYTHING = frozenset(Field)

NATIONAL = (Kind.NATIONAL_AGENCY, Kind.CORPORATION, Kind.DIGITAL_AGENCY)
MUNICIPAL = (Kind.MAYOR, Kind.MUNICIPAL_BODY)
PREFECTURAL = (Kind.GOVERNOR, Kind.PREFECTURAL_BODY)

REGISTERED_AFFAIRS = (
    *("30-10(1)(ii)", "30-11(1)(ii)", "30-12(1)(ii)", "30-13(1)", "30-13(2)", "30-13(3)", "30-14"),
    *("30-15(1)(ii)", "30-15(1)(iii)", "30-15(2)(ii)", "30-15(5)", "30-15-2(1)", "30-15-2(2)"),
    *("30-15-2(3)", "37(2)"),
)
"""Where the Act leaves the affair to an ordinance, an order, a consent, or a body's duties."""

CERTIFICATION_ARTICLES = (
    *("8", "11", "12", "13", "15.2", "16-7", "16-10", "16-11", "16-14.2", "18.4", "18.5", "27"),
    *("30", "31", "34.2", "35-7", "35-10", "35-14.2", "37.3"),
)


@dataclass(frozen=True)
class Answer:
    """What the Act gives, and of whom."""

    fields: frozenset[Field]
    persons: PersonCondition | None


class Refused(Exception):  # noqa: N818 - named for what happened
    """The Act does not let this be answered."""


def literal_answer(law: Law, registry: Registry, question: Question) -> Answer:
    """The answer to the question by the letter of the Act; raises Refused."""
    day = datetime.datetime.fromtimestamp(question.at // 10**9, JAPAN).date()
    if day < datetime.date(2026, 2, 14):
        raise Refused  # the text at hand is that in force from 2026-02-14
    body = registry.agencies.get(question.who)
    if body is None:
        raise Refused
    grants = [one for one in body.grants.get(question.basis, ()) if day in one.period]
    if not grants:
        raise Refused
    return _Reading(law, registry, question, day, body, grants[0]).read()


class _Reading:
    def __init__(
        self,
        law: Law,
        registry: Registry,
        question: Question,
        day: datetime.date,
        body: Agency,
        grant: Grant,
    ) -> None:
        self.law, self.registry, self.question = law, registry, question
        self.day, self.body, self.grant = day, body, grant
        found = None
        if question.basis.provision in REGISTERED_AFFAIRS:
            found = registry.affairs.get(question.basis)
        if found is not None and day not in found.period:
            raise Refused
        self.affair: RegisteredAffair | None = found
        self.own = body.place[:2]

    def read(self) -> Answer:
        provision, persons = self.question.basis.provision, None
        manner = Manner.LOOK_UP
        match provision:
            case "30-9":
                # 機構は、別表第一の上欄に掲げる国の機関又は法人から同表の下欄に掲げる事務
                self.by_the_nation(NATIONAL)
                self.in_table(1)
                # 住民票コード以外のもの … 番号利用法第九条第一項の規定により … 場合に限り
                number, gives = self.nine_one(), EVERYTHING - {CODE}
            case "30-9-2(1)":
                self.by_the_nation((Kind.DIGITAL_AGENCY,))
                self.named("number-21.2", "number-21-2.1")
                number, gives = False, frozenset({CODE})
            case "30-9-2(2)":
                self.by_the_nation((Kind.DIGITAL_AGENCY,))
                self.named()
                number, gives, manner = False, frozenset({CODE}), Manner.PUSH
            case "30-9-2(3)":
                self.by_the_nation((Kind.J_LIS,))
                self.named()
                number, gives = True, EVERYTHING
            case "30-10(1)(i)" | "30-10(1)(ii)" | "30-10(1)(iii)" | "30-10(1)(iv)":
                number, gives, abroad = self.municipality(provision, 2, "30-10(1)")
                persons = PersonCondition(notified_by=self.own, moved_abroad=abroad)
            case "30-12(1)(i)" | "30-12(1)(ii)" | "30-12(1)(iii)" | "30-12(1)(iv)":
                number, gives, abroad = self.municipality(provision, 4, "30-12(1)")
                persons = PersonCondition(not_notified_by=self.own, moved_abroad=abroad)
            case "30-11(1)(i)" | "30-11(1)(ii)" | "30-11(1)(iii)":
                number, gives = self.other_prefecture(provision)
                persons = PersonCondition(not_notified_by=self.own)
            case "30-13(1)" | "30-13(2)" | "30-13(3)" | "30-14":
                self.by_ordinance(provision)
                number, gives = False, EVERYTHING - {CODE, NUMBER}
            case "30-15(1)(i)" | "30-15(1)(ii)" | "30-15(1)(iii)" | "30-15(1)(iv)":
                number, gives = self.governor_uses(provision), EVERYTHING - {CODE}
                if provision == "30-15(1)(iii)":
                    persons = self.consented()
                if provision == "30-15(1)(iv)":
                    manner = Manner.STATISTICS
            case "30-15(2)(i)" | "30-15(2)(ii)":
                self.in_the_own_prefecture((Kind.PREFECTURAL_BODY,))
                if provision == "30-15(2)(i)":
                    self.in_table(6)
                else:
                    self.registered(of=self.question.place)
                number, gives = self.nine_one() or self.nine_two(), EVERYTHING - {CODE}
            case "30-15(3)" | "30-15(4)" | "30-15(5)":
                self.by_the_nation((Kind.J_LIS,))
                number, gives = self.own_work(provision), EVERYTHING
            case "30-15-2(1)":
                self.by_the_nation((*NATIONAL, *MUNICIPAL, *PREFECTURAL))
                self.registered()
                if self.body.kind in PREFECTURAL:
                    persons = PersonCondition(not_notified_by=self.own)
                number, gives = True, EVERYTHING - {CODE}
            case "30-15-2(2)" | "30-15-2(3)":
                kind = Kind.GOVERNOR if provision.endswith("(2)") else Kind.PREFECTURAL_BODY
                self.in_the_own_prefecture((kind,))
                self.registered()
                number, gives = True, EVERYTHING - {CODE}
            case "37(2)":
                # 国の行政機関は … 都道府県知事又は機構に対し
                self.must(self.question.tier in (Tier.NATIONAL, Tier.PREFECTURAL))
                self.must(self.question.via is None)
                self.must(self.body.kind in (Kind.NATIONAL_AGENCY, Kind.DIGITAL_AGENCY))
                self.registered()
                number, gives = False, EVERYTHING - {CODE, NUMBER}
            case _:
                raise Refused
        self.must(self.body.tier in (None, self.question.tier))
        self.must(self.question.manner is manner)
        if manner is Manner.LOOK_UP:
            self.key(number, gives)
        fields = self.question.fields & (gives if number else gives - {NUMBER})
        if self.grant.fields is not None:
            fields &= self.grant.fields
        if self.affair is not None and self.affair.fields is not None:
            fields &= self.affair.fields
        return Answer(fields, persons)

    def municipality(
        self, provision: str, table: int, before: str
    ) -> tuple[bool, frozenset[Field], bool]:
        """30-10 (1) and 30-12 (1): number usable, what is given, whether of people abroad only."""
        item = provision.removeprefix(before)
        through_governor = table == 4 and item in ("(i)", "(iv)")
        kinds = MUNICIPAL if item in ("(i)", "(ii)") else (Kind.MAYOR,)
        self.by_the_nation(kinds, through_governor=through_governor)
        if item == "(i)":
            self.in_table(table)
            return self.nine_one(), EVERYTHING - {CODE}, False
        if item == "(ii)":
            self.registered(of=self.body.place)
            return self.affair_is_nine_two(), EVERYTHING - {CODE}, False
        self.named()
        if item == "(iii)":
            return True, EVERYTHING - {CODE}, True
        return True, EVERYTHING, False

    def other_prefecture(self, provision: str) -> tuple[bool, frozenset[Field]]:
        """30-11 (1)."""
        if provision == "30-11(1)(i)":
            self.by_the_nation(PREFECTURAL)
            self.in_table(3)
            return self.nine_one(), EVERYTHING - {CODE}
        if provision == "30-11(1)(ii)":
            self.by_the_nation(PREFECTURAL)
            self.registered(of=self.body.place)
            return self.affair_is_nine_two(), EVERYTHING - {CODE}
        self.by_the_nation((Kind.GOVERNOR,))
        self.named()
        return True, EVERYTHING

    def by_ordinance(self, provision: str) -> None:
        """30-13 and 30-14: the answerer's own ordinance names body and affair."""
        question, place = self.question, self.question.place
        self.must(bool(place) and bool(self.body.place))
        self.registered(of=place)
        if provision == "30-14":
            self.must(question.tier is Tier.MUNICIPAL and question.via is None)
            self.must(self.body.kind in MUNICIPAL and self.body.place != place)
            return
        self.must(question.tier is Tier.PREFECTURAL)
        if provision == "30-13(1)":
            self.must(self.body.kind in MUNICIPAL and self.own == place)
            self.must(question.via is None)
        elif provision == "30-13(2)":
            self.must(self.body.kind in PREFECTURAL and self.own != place)
            self.must(question.via is None)
        else:
            self.must(self.body.kind in MUNICIPAL and self.own != place)
            self.must(question.via is not None and question.via == self.body.governor)

    def governor_uses(self, provision: str) -> bool:
        """30-15 (1): whether the number may be used."""
        self.in_the_own_prefecture((Kind.GOVERNOR,))
        if provision == "30-15(1)(i)":
            self.in_table(5)
        elif provision == "30-15(1)(iv)":
            self.named()
        else:
            self.registered(of=self.question.place)
        return self.nine_one() or self.nine_two()

    def own_work(self, provision: str) -> bool:
        """30-15 (3) to (5): J-LIS's own affairs; whether with the number."""
        if provision == "30-15(3)":
            self.named("30-42.4", "30-44-11.3")
            return True
        if provision == "30-15(4)":
            self.named(*(f"jpki-{article}" for article in CERTIFICATION_ARTICLES))
            return False
        if self.affair is None:
            self.named("number-8.2", "number-16-2")
        return True

    def by_the_nation(self, kinds: tuple[Kind, ...], *, through_governor: bool = False) -> None:
        question = self.question
        self.must(question.tier is Tier.NATIONAL and self.body.kind in kinds)
        if through_governor:
            self.must(question.via is not None and question.via == self.body.governor)
        else:
            self.must(question.via is None)

    def in_the_own_prefecture(self, kinds: tuple[Kind, ...]) -> None:
        question = self.question
        self.must(question.tier is Tier.PREFECTURAL and self.body.kind in kinds)
        self.must(question.via is None)
        self.must(bool(question.place) and question.place == self.own)

    def in_table(self, table: int) -> None:
        row = self.question.basis.row
        if row is None or row.table != table or row not in self.law.tables.affairs:
            raise Refused
        names = self.law.tables.affairs[row].recipient
        if self.body.kind in (Kind.MAYOR, Kind.GOVERNOR):
            self.must("長" in names or "知事" in names)
        if self.body.kind in (Kind.MUNICIPAL_BODY, Kind.PREFECTURAL_BODY):
            self.must("委員" in names or "執行機関" in names)

    def registered(self, *, of: str | None = None) -> None:
        if self.affair is None or (of is not None and self.affair.of != of):
            raise Refused

    def named(self, *affairs: str) -> None:
        if self.affair is None:
            self.must(self.question.basis.affair in ("", *affairs))

    def nine_one(self) -> bool:
        """番号利用法第九条第一項の規定により個人番号を利用することができる場合."""
        if self.affair is not None and self.affair.number_use_item in self.law.tables.number_use:
            return True
        cited = self.grant.number
        if cited is None or cited.item not in self.law.tables.number_use:
            return False
        row = self.question.basis.row
        if row is None:
            return True
        return any(
            line.verdict == "grant" and cited.item in line.items and line.body == cited.body
            for line in self.law.permissions.by_row.get(row, ())
        )

    def affair_is_nine_two(self) -> bool:
        return self.affair is not None and self.affair.number_ordinance

    def nine_two(self) -> bool:
        """番号利用法第九条第二項: by the affair itself, or an ordinance of the prefecture's own."""
        if self.affair_is_nine_two():
            return True
        cited = self.grant.number
        if cited is None or cited.ordinance is None:
            return False
        for basis, affair in self.registry.affairs.items():
            ours = affair.number_ordinance and affair.of == self.own and self.day in affair.period
            if basis.affair == cited.ordinance and ours:
                return True
        return False

    def consented(self) -> PersonCondition:
        consents = self.registry.consents.get(self.question.basis, ())
        return PersonCondition(
            named=frozenset(one.person for one in consents if self.day in one.period)
        )

    def key(self, number: bool, gives: frozenset[Field]) -> None:
        key = self.question.key
        self.must(key in self.grant.search_keys)
        if key is SearchKey.INDIVIDUAL_NUMBER:
            self.must(number)
        if key is SearchKey.RESIDENT_RECORD_CODE:
            # 30-37, 30-38: only whom the code is given to, or who is separately permitted
            self.must(CODE in gives or self.grant.code_key_basis is not None)

    @staticmethod
    def must(holds: bool) -> None:
        if not holds:
            raise Refused
