"""Requests of persons, and what is held on them, over SQLite and PostgreSQL."""

from __future__ import annotations

import datetime
from dataclasses import replace

import pytest
from sqlalchemy import select, update

from juki.disclosure.acts import ActContent, ActKind
from juki.disclosure.book import Doing, RequestBook, office
from juki.disclosure.held import PersonRecords
from juki.domain.change import ChangeReason
from juki.domain.codes import ResidentRecordCode
from juki.domain.errors import JukiError, Reason
from juki.domain.person_request import RequestKind, RequestState, japanese_day
from juki.domain.residency import ResidencyStatus
from juki.v1 import disclosure_pb2, identification_pb2
from national_server.tables import person_request_act, register_root
from tests.register_fixtures import Nation
from tests.revocation_fixtures import SetClock
from tests.stream import information

HERE, THERE = "221309", "131016"
BORN = identification_pb2.BirthDate(year=1985, month=4, day=2)
SUBJECT = disclosure_pb2.DisclosureSubject(
    individual_number="123456789018",
    birth_date=BORN,
    identity_document=disclosure_pb2.IDENTITY_DOCUMENT_PASSPORT,
)


class Counter:
    """A book of requests, and acts on it."""

    def __init__(self, nation: Nation) -> None:
        self.clock = SetClock(datetime.datetime(2026, 11, 1, 3, 0, tzinfo=datetime.UTC))
        self.nation = nation
        self.book = self.again()
        self._acts = 0

    def again(self) -> RequestBook:
        """The book as a process started anew has it."""
        tables = (person_request_act, register_root)
        return RequestBook(self.nation.engine, self.nation.sealer, tables, self.clock)

    def doing(self, municipality: str = HERE) -> Doing:
        self._acts += 1
        return Doing(municipality, f"request-{self._acts:04d}")


@pytest.fixture
def counter(nation: Nation) -> Counter:
    return Counter(nation)


RECEIPT = ActContent(digest=b"d" * 32, subject=SUBJECT.SerializeToString(), fee_yen=300)
PAID = ActContent(digest=b"p" * 32, fee_yen=300)
DISCLOSED = ActContent(digest=b"e" * 32, way=1, document=b"document")


def disclosed(counter: Counter) -> str:
    stored = counter.book.receive(RequestKind.DISCLOSURE, counter.doing(), RECEIPT)
    counter.book.act(stored.id, ActKind.FEE_PAID, counter.doing(), PAID)
    counter.book.act(stored.id, ActKind.DISCLOSED, counter.doing(), DISCLOSED)
    return stored.id


def test_a_request_is_kept_with_all_its_acts_and_read_back_by_another_process(
    counter: Counter,
) -> None:
    id_ = disclosed(counter)
    assert id_ == "D-2026-00000001"
    stored = counter.again().read(id_)
    assert [act.kind for act in stored.acts] == [
        ActKind.RECEIVED,
        ActKind.FEE_PAID,
        ActKind.DISCLOSED,
    ]
    assert stored.request.state is RequestState.DISCLOSED
    assert stored.acts[0].content == RECEIPT
    assert stored.acts[2].content.document == b"document"


def test_an_act_repeated_under_its_id_is_done_once_and_gives_the_first_outcome(
    counter: Counter,
) -> None:
    doing, paying = counter.doing(), counter.doing()
    first = counter.book.receive(RequestKind.DISCLOSURE, doing, RECEIPT)
    counter.book.act(first.id, ActKind.FEE_PAID, paying, PAID)
    counter.book.act(first.id, ActKind.DISCLOSED, counter.doing(), DISCLOSED)
    counter.clock.advance(days=3)
    again = counter.again().receive(RequestKind.DISCLOSURE, doing, RECEIPT)
    assert again == first
    assert counter.book.act(first.id, ActKind.FEE_PAID, paying, PAID).request.state.is_open
    assert len(counter.book.read(first.id).acts) == 3
    with pytest.raises(JukiError) as refused:
        counter.book.receive(RequestKind.DISCLOSURE, doing, replace(RECEIPT, digest=b"o" * 32))
    assert refused.value.reason is Reason.REQUEST_ID_REUSED
    with pytest.raises(JukiError) as refused:
        counter.book.act(first.id, ActKind.REFUSED, paying, PAID)
    assert refused.value.reason is Reason.REQUEST_ID_REUSED


def test_the_same_id_of_another_municipality_is_another_act(counter: Counter) -> None:
    one = counter.book.receive(RequestKind.DISCLOSURE, Doing(HERE, "same-request"), RECEIPT)
    other = counter.book.receive(RequestKind.DISCLOSURE, Doing(THERE, "same-request"), RECEIPT)
    assert one.id != other.id


def test_what_is_not_allowed_leaves_nothing_behind(counter: Counter) -> None:
    stored = counter.book.receive(RequestKind.DISCLOSURE, counter.doing(), RECEIPT)
    with pytest.raises(JukiError) as refused:
        counter.book.act(stored.id, ActKind.DISCLOSED, counter.doing(), DISCLOSED)
    assert refused.value.reason is Reason.FEE_NOT_PAID
    assert len(counter.book.read(stored.id).acts) == 1


def test_open_requests_are_listed_until_they_are_answered_and_thirty_days_make_them_overdue(
    counter: Counter,
) -> None:
    done = disclosed(counter)
    owed = counter.book.receive(RequestKind.DISCLOSURE, counter.doing(), RECEIPT).id
    theirs = counter.book.receive(RequestKind.DISCLOSURE, counter.doing(THERE), RECEIPT).id
    assert [one.id for one in counter.book.requests()] == [done, owed, theirs]
    assert [one.id for one in counter.book.requests(open_only=True)] == [owed, theirs]
    assert [one.id for one in counter.book.requests(municipality=HERE, limit=1)] == [done]
    assert [one.id for one in counter.book.requests(municipality=HERE, after_id=done)] == [owed]
    counter.clock.advance(days=29)
    today = japanese_day(counter.clock())
    assert not any(one.request.overdue(today) for one in counter.book.requests())
    counter.clock.advance(days=1)
    today = japanese_day(counter.clock())
    overdue = [one.id for one in counter.book.requests() if one.request.overdue(today)]
    assert overdue == [owed, theirs]
    until = datetime.date(2026, 12, 31)
    with pytest.raises(JukiError):
        counter.book.act(
            owed, ActKind.EXTENDED, office("extension-1"), ActContent(until=until, words="理由")
        )


def test_the_office_extends_with_reasons_and_answers_a_correction_in_writing(
    counter: Counter,
) -> None:
    book = counter.book
    id_ = book.receive(RequestKind.DISCLOSURE, counter.doing(), RECEIPT).id
    until = datetime.date(2026, 12, 28)
    extension = ActContent(until=until, words="磁気ディスクの復旧に時間を要するため")
    book.act(id_, ActKind.EXTENDED, office("extension-1"), extension)
    stored = book.read(id_)
    assert (stored.request.due_on, stored.words) == (until, extension.words)

    about = ActContent(digest=b"c" * 32, disclosure_id=id_, words="住所が違う")
    with pytest.raises(JukiError) as refused:
        book.receive(RequestKind.CORRECTION, counter.doing(), about)
    assert refused.value.reason is Reason.REQUEST_STATE
    about = replace(about, disclosure_id=disclosed(counter))
    correction = book.receive(RequestKind.CORRECTION, counter.doing(), about)
    assert correction.id == "C-2026-00000001"
    book.act(correction.id, ActKind.INVESTIGATION_BEGUN, office("begin-1"), ActContent())
    answer = ActContent(outcome=int(RequestState.CORRECTED), words="市が職権で修正した")
    book.act(correction.id, ActKind.ANSWERED, office("answer-1"), answer)
    stored = counter.again().read(correction.id)
    assert (stored.request.state, stored.words) == (RequestState.CORRECTED, answer.words)


def test_a_row_that_was_altered_or_taken_away_is_told(counter: Counter) -> None:
    counter.nation.tampered_with = True
    id_ = disclosed(counter)
    table = person_request_act
    with counter.nation.engine.begin() as connection:
        connection.execute(update(table).where(table.c.number == 1).values(acted_at=1))
    with pytest.raises(JukiError) as refused:
        counter.book.read(id_)
    assert refused.value.reason is Reason.TAMPERING_DETECTED
    other = disclosed(counter)
    with counter.nation.engine.begin() as connection:
        connection.execute(table.delete().where(table.c.id == other, table.c.number == 2))
    with pytest.raises(JukiError) as refused:
        counter.book.read(other)
    assert refused.value.reason is Reason.TAMPERING_DETECTED


def test_nothing_of_the_person_stands_in_the_rows(counter: Counter) -> None:
    correction = ActContent(disclosure_id=disclosed(counter), words="髙橋の髙")
    counter.book.receive(RequestKind.CORRECTION, counter.doing(), correction)
    with counter.nation.engine.connect() as connection:
        stored = repr(connection.execute(select(person_request_act)).all())
    for personal in ("123456789018", "髙", "document"):
        assert personal not in stored
        assert repr(personal.encode())[2:-1] not in stored


class Life:
    """Someone who moved from one municipality to another, and married."""

    def __init__(self, nation: Nation) -> None:
        self.code = nation.code(HERE)
        (number,) = nation.numbers.make(HERE, _codes(self.code))
        self.number = number.digits
        here, there = nation.stream(HERE), nation.stream(THERE)

        def info(
            reason: ChangeReason, day: int, municipality: str = HERE, name: str = "髙橋　花子"
        ) -> identification_pb2.IdentificationInformation:
            return information(
                self.code,
                reason,
                municipality=municipality,
                number=self.number,
                name=name,
                event_date=datetime.date(2026, 4, day),
            )

        born = here.add(info(ChangeReason.BIRTH, 1))
        named = here.add(info(ChangeReason.NUMBER_DESIGNATION, 2), predecessor=born)
        left = here.add(info(ChangeReason.MOVING_OUT, 3), moved_to=THERE, predecessor=named)
        other = nation.code(HERE)
        here.add(information(other, ChangeReason.BIRTH, municipality=HERE, name="別人"))
        nation.submit(here)
        came = there.add(info(ChangeReason.MOVING_IN, 4, THERE), moved_from=HERE, predecessor=left)
        married = info(ChangeReason.MINOR_CORRECTION, 5, THERE, name="駿河　花子")
        there.add(married, predecessor=came)
        nation.submit(there)

    def subject(self, **key: str) -> disclosure_pb2.DisclosureSubject:
        key = key or {"individual_number": self.number}
        return disclosure_pb2.DisclosureSubject(
            **key,
            birth_date=BORN,
            identity_document=disclosure_pb2.IDENTITY_DOCUMENT_PASSPORT,
        )


def _codes(code: str) -> list[ResidentRecordCode]:
    return [ResidentRecordCode(code)]


def test_all_that_is_held_and_every_change_is_found_across_municipalities(nation: Nation) -> None:
    life = Life(nation)
    records = PersonRecords(nation.engine, nation.sealer)
    for key in ({"individual_number": life.number}, {"resident_record_code": life.code}):
        person = records.find(life.subject(**key))
        assert person is not None
        assert person.status is ResidencyStatus.RESIDENT
        assert person.municipality == THERE
        assert {held.claim.municipality for held in person.claims} == {HERE, THERE}
        assert person.complete
        told = [
            (one.municipality, one.change.information.change.reason) for one in person.notifications
        ]
        assert told == [
            (THERE, ChangeReason.MINOR_CORRECTION),
            (THERE, ChangeReason.MOVING_IN),
            (HERE, ChangeReason.MOVING_OUT),
            (HERE, ChangeReason.NUMBER_DESIGNATION),
            (HERE, ChangeReason.BIRTH),
        ]
        names = [one.change.information.name.written for one in person.notifications]
        assert names == ["駿河　花子"] + ["髙橋　花子"] * 4


def test_a_mistyped_number_discloses_nobody_else(nation: Nation) -> None:
    life = Life(nation)
    records = PersonRecords(nation.engine, nation.sealer)
    subject = life.subject()
    subject.birth_date.day = 3
    with pytest.raises(JukiError) as refused:
        records.find(subject)
    assert refused.value.reason is Reason.PERSON_NOT_IDENTIFIED


def test_of_whom_nothing_is_held_nothing_is_found(nation: Nation) -> None:
    records = PersonRecords(nation.engine, nation.sealer)
    assert records.find(SUBJECT) is None


def test_a_history_with_a_notification_that_is_not_here_is_said_to_be_incomplete(
    nation: Nation,
) -> None:
    elsewhere = nation.stream(THERE)
    code = nation.code(HERE)
    unknown = elsewhere.add(information(code, ChangeReason.BIRTH, municipality=THERE))
    here = nation.stream(HERE)
    here.add(information(code, ChangeReason.MOVING_IN, municipality=HERE), predecessor=unknown)
    nation.submit(here)
    person = PersonRecords(nation.engine, nation.sealer).find(
        disclosure_pb2.DisclosureSubject(
            resident_record_code=code,
            birth_date=BORN,
            identity_document=disclosure_pb2.IDENTITY_DOCUMENT_PASSPORT,
        )
    )
    assert person is not None
    assert not person.complete
    assert len(person.notifications) == 1
