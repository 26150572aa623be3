"""A person's history: every look-up of them, under every key, in pages, and of nobody else."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from juki.audit.archive import archive_segment
from juki.audit.encoding import decode
from juki.audit.log import FileAuditLog
from juki.audit.persons.following import LogFollower
from juki.audit.persons.history import PersonHistory
from juki.audit.persons.index import FilePersonIndex
from juki.audit.persons.port import EntryPosition, History, HistoryEntry, HistoryPage
from juki.audit.port import AuditRecord
from juki.audit.pseudonym import Pseudonymiser
from juki.audit.reading import LogRecords
from juki.audit.segment import segments
from juki.domain.errors import InvalidValue
from juki.domain.legal_basis import AffairReference, Field, SearchKey
from juki.domain.outcome import Outcome

MakeRecord = Callable[..., AuditRecord]
KEYS = [Pseudonymiser(bytes([n]) * 32, n) for n in (1, 2, 3)]


class Office:
    def __init__(self, directory: Path, record: MakeRecord) -> None:
        self.record = record
        self.log = FileAuditLog(directory / "log", segment_bytes=20_000, sync=lambda _: None)
        self.directory = directory
        self.records = LogRecords(directory / "log")
        self.index = FilePersonIndex(directory / "index", self.records, flush_rows=50)
        self.history: History = PersonHistory(self.index, lambda: KEYS)

    def look_up(self, ordinals: list[int], key: Pseudonymiser = KEYS[0], **changes: object) -> int:
        fields = {
            "pseudonyms": key.pseudonyms(ordinals),
            "outcomes": bytes([Outcome.FOUND]) * len(ordinals),
            "pseudonym_key": key.version,
        }
        return self.log.append(self.record(**(fields | changes))).sequence

    def catch_up(self) -> None:
        LogFollower(self.index, self.records, lambda: self.log.position.sequence).catch_up()

    def pages(self, ordinal: int, limit: int) -> Iterator[HistoryPage]:
        page = self.history.history(ordinal, limit=limit)
        yield page
        while page.next_page_token:
            page = self.history.history(ordinal, limit=limit, page_token=page.next_page_token)
            yield page


@pytest.fixture
def office(tmp_path: Path, record: MakeRecord) -> Iterator[Office]:
    made = Office(tmp_path, record)
    yield made
    made.index.close()
    made.records.close()
    made.log.close()


def test_an_entry_tells_who_asked_when_under_which_article_and_what_was_given(
    office: Office,
) -> None:
    office.look_up(
        [7, 8],
        KEYS[1],
        request="pension-2026",
        time_unix_nanos=1_793_000_000_000_000_123,
        affair=AffairReference(1, "57-31"),
        granted_fields=frozenset({Field.ADDRESS, Field.NAME}),
    )
    office.catch_up()
    page = office.history.history(8)
    assert page.entries == (
        HistoryEntry(
            position=EntryPosition(1, 1),
            time_unix_nanos=1_793_000_000_000_000_123,
            body_identity="spiffe://agency.juki.example/nenkin",
            office="第一課",
            operator="operator-7",
            article="30-9",
            affair="1:57-31",
            search_key=SearchKey.INDIVIDUAL_NUMBER,
            given_fields=(Field.NAME, Field.ADDRESS),
            outcome=Outcome.FOUND,
            request_id="pension-2026",
            key_version=2,
        ),
    )
    assert (page.complete_to, page.next_page_token) == (1, "")


def test_a_disputed_person_was_given_to_nobody(office: Office) -> None:
    office.look_up([7], outcomes=bytes([Outcome.DISPUTED]))
    office.catch_up()
    (entry,) = office.history.history(7).entries
    assert (entry.outcome, entry.given_fields) == (Outcome.DISPUTED, ())


def test_a_history_goes_on_over_a_change_of_the_key(office: Office) -> None:
    written = [office.look_up([7, n % 3 + 7], KEYS[n // 4 % 3]) for n in range(30)]
    office.catch_up()
    for limit in (1, 2, 7, 1000):
        found = [entry for page in office.pages(7, limit) for entry in page.entries]
        positions = [entry.position for entry in found]
        assert positions == sorted(positions, reverse=True)
        expected = [(sequence, 0) for sequence in written]
        expected += [(sequence, 1) for n, sequence in enumerate(written) if n % 3 == 0]
        assert sorted((one.sequence, one.index) for one in positions) == sorted(expected)
    assert {entry.key_version for entry in found} == {1, 2, 3}


def test_a_page_begun_stays_true_while_the_log_grows(office: Office) -> None:
    for _ in range(10):
        office.look_up([7])
    office.catch_up()
    first = office.history.history(7, limit=4)
    office.look_up([7])
    office.catch_up()
    second = office.history.history(7, limit=100, page_token=first.next_page_token)
    assert [entry.position.sequence for entry in second.entries] == list(range(6, 0, -1))
    assert second.complete_to == 11


def test_the_index_tells_what_a_reading_of_the_whole_log_tells(office: Office) -> None:
    chance = random.Random(3)
    for _ in range(200):
        persons = [chance.randint(1, 12) for _ in range(chance.randint(0, 6))]
        outcomes = [chance.choice([Outcome.FOUND, Outcome.DISPUTED]) for _ in persons]
        office.look_up(persons, chance.choice(KEYS), outcomes=bytes(outcomes))
    office.catch_up()
    for ordinal in range(1, 14):
        found = office.history.history(ordinal, limit=1000).entries
        assert [entry.position for entry in found] == read_whole(office, ordinal)


def read_whole(office: Office, ordinal: int) -> list[EntryPosition]:
    """Literally every entry of every record whose pseudonym is the person's, the newest first."""
    wanted = {key.version: key.pseudonyms([ordinal]) for key in KEYS}
    found = []
    for sequence, data in office.records.records_from(1):
        record = decode(data)
        for index in range(len(record.outcomes)):
            if record.pseudonyms[16 * index : 16 * index + 16] == wanted[record.pseudonym_key]:
                found.append(EntryPosition(sequence, index))
    return found[::-1]


def test_an_affair_outside_the_tables_and_the_way_it_was_asked_are_told(office: Office) -> None:
    office.look_up(
        [7], affair=None, affair_id="aichi-2016-39", via="spiffe://pref22.example/server"
    )
    office.catch_up()
    (entry,) = office.history.history(7).entries
    assert (entry.affair, entry.via) == ("aichi-2016-39", "spiffe://pref22.example/server")


def test_archiving_changes_no_history(office: Office) -> None:
    for n in range(300):
        office.look_up([7, n + 8])
    office.catch_up()
    before = [page.entries for page in office.pages(7, 100)]
    finished = segments(office.directory / "log")[:-1]
    assert finished
    for path in finished:
        archive_segment(path)
    assert [page.entries for page in office.pages(7, 100)] == before


def test_who_was_never_looked_up_has_no_history(office: Office) -> None:
    office.look_up([7])
    office.catch_up()
    assert office.history.history(8) == HistoryPage((), "", 1)


def test_nobody_has_no_history(office: Office) -> None:
    office.look_up([0], outcomes=bytes([Outcome.NOT_FOUND]))
    office.catch_up()
    with pytest.raises(InvalidValue):
        office.history.history(0)


@pytest.mark.parametrize("token", ["x", "AAAA", "あ", "A" * 100, "AAAAAAAAAAEAAAA"])
def test_a_page_token_of_somebody_else_is_refused(office: Office, token: str) -> None:
    with pytest.raises(InvalidValue):
        office.history.history(7, page_token=token)


@pytest.mark.parametrize("limit", [0, -1, 1001])
def test_a_page_has_a_bound(office: Office, limit: int) -> None:
    with pytest.raises(InvalidValue):
        office.history.history(7, limit=limit)
