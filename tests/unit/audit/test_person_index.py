"""The private index against a plain dictionary, over every way it can be left behind."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from juki.audit.log import FileAuditLog
from juki.audit.persons.following import LogFollower
from juki.audit.persons.index import FilePersonIndex
from juki.audit.persons.manifest import MANIFEST_FILE
from juki.audit.persons.port import EntryPosition, PersonIndex
from juki.audit.port import AuditRecord
from juki.audit.reading import LogRecords
from juki.domain.errors import InvalidValue, JukiError, Reason
from juki.domain.outcome import Outcome

MakeRecord = Callable[..., AuditRecord]

ALIKE = b"\x80alike!!"
"""Three persons whose pseudonyms begin with the same 8 bytes; three others."""
PERSONS = [
    *(ALIKE + bytes([n]) * 8 for n in range(3)),
    bytes(16),
    b"\xff" * 16,
    b"\x7f" * 16,
]
VERSIONS = (1, 2)


class Desk:
    """A log, its index, and what both must hold."""

    def __init__(self, directory: Path, record: MakeRecord) -> None:
        self.directory = directory
        self._record = record
        self.log = FileAuditLog(directory / "log", segment_bytes=3000, sync=lambda _: None)
        self.records = LogRecords(directory / "log")
        self.model: dict[tuple[bytes, int], list[EntryPosition]] = defaultdict(list)
        self.index = self.opened()

    def opened(self) -> FilePersonIndex:
        return FilePersonIndex(
            self.directory / "index", self.records, flush_rows=8, flush_records=20
        )

    def append(
        self, persons: list[int], version: int = 1, outcome: Outcome = Outcome.FOUND
    ) -> None:
        sequence = self.log.append(
            self._record(
                f"request-{len(persons)}",
                pseudonyms=b"".join(PERSONS[n] for n in persons),
                outcomes=bytes([outcome]) * len(persons),
                pseudonym_key=version if persons else 0,
            )
        ).sequence
        if outcome in {Outcome.FOUND, Outcome.DISPUTED}:
            for at, n in enumerate(persons):
                self.model[PERSONS[n], version].append(EntryPosition(sequence, at))

    def catch_up(self) -> None:
        LogFollower(self.index, self.records, lambda: self.log.position.sequence).catch_up()

    def crash(self) -> None:
        """The process ends without a word: what was in memory is gone, the lock with it."""
        os.close(self.index._lock_descriptor)

    def check(self) -> None:
        self.catch_up()
        port: PersonIndex = self.index
        assert port.complete_to() == self.log.position.sequence
        for pseudonym in PERSONS:
            for version in VERSIONS:
                expected = self.model[pseudonym, version][::-1]
                assert port.entries(pseudonym, version, limit=10_000) == expected
                assert list(self.paged(pseudonym, version, 3)) == expected

    def paged(self, pseudonym: bytes, version: int, limit: int) -> Iterator[EntryPosition]:
        before = None
        while page := self.index.entries(pseudonym, version, limit=limit, before=before):
            assert len(page) <= limit
            yield from page
            before = page[-1]

    def close(self) -> None:
        self.index.close()
        self.records.close()
        self.log.close()


@pytest.fixture(autouse=True, scope="module")
def _merged_in_many_parts() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("juki.audit.persons.merging._ROWS_AT_ONCE", 4)
        patch.setattr("juki.audit.persons.run._ROWS_A_PART", 2)
        patch.setattr("juki.audit.persons.run._NEWEST_FIRST", 2)
        yield


@pytest.fixture
def desk(tmp_path: Path, record: MakeRecord) -> Iterator[Desk]:
    made = Desk(tmp_path, record)
    yield made
    made.close()


APPEND = st.tuples(
    st.just("append"),
    st.lists(st.integers(0, len(PERSONS) - 1), max_size=12),
    st.sampled_from(VERSIONS),
    st.sampled_from([Outcome.FOUND, Outcome.FOUND, Outcome.NOT_FOUND, Outcome.DISPUTED]),
)
STEPS = st.lists(
    st.one_of(
        APPEND,
        APPEND,
        APPEND,
        st.sampled_from(
            [
                ("catch_up",),
                ("flush",),
                ("merge",),
                ("stop",),
                ("crash",),
                ("lose",),
                ("cut",),
                ("alter",),
            ]
        ),
    ),
    min_size=10,
    max_size=100,
)


@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=STEPS)
def test_whatever_happens_the_index_says_what_the_log_says(
    steps: list[tuple[object, ...]], record: MakeRecord
) -> None:
    directory = Path(tempfile.mkdtemp())
    desk = Desk(directory, record)
    few = pytest.MonkeyPatch()
    few.setattr("juki.audit.persons.merging.FAN", 2)
    try:
        for step, *given_with in steps:
            if step == "append":
                desk.append(*given_with)  # type: ignore[arg-type]
            elif step == "catch_up":
                desk.catch_up()
            elif step == "flush":
                desk.index.flush()
            elif step == "merge":
                while desk.index.merge_once():
                    pass
            elif step == "stop":
                desk.index.close()
                desk.index = desk.opened()
            else:
                desk.crash()
                runs = sorted((directory / "index").glob("*.run"))
                damage(str(step), runs)
                desk.index = desk.opened()
                assert desk.index.check() or step == "alter"
        desk.check()
    finally:
        few.undo()
        desk.close()
        shutil.rmtree(directory)


def damage(how: str, runs: list[Path]) -> None:
    if not runs or how == "crash":
        return
    run = runs[len(runs) // 2]
    if how == "lose":
        run.unlink()
    elif how == "cut":
        os.truncate(run, run.stat().st_size // 2)
    else:
        data = bytearray(run.read_bytes())
        data[len(data) // 2] ^= 0x55
        run.write_bytes(data)


def test_entries_come_newest_first_and_name_record_and_place(desk: Desk) -> None:
    desk.append([3, 4])
    desk.append([5, 3, 3])
    desk.catch_up()
    assert desk.index.entries(PERSONS[3], 1) == [
        EntryPosition(2, 2),
        EntryPosition(2, 1),
        EntryPosition(1, 0),
    ]


def test_pseudonyms_that_begin_alike_give_no_false_entries(desk: Desk) -> None:
    for n in range(3):
        desk.append([n, n])
    for _ in range(2):
        desk.catch_up()
        for n in range(3):
            found = desk.index.entries(PERSONS[n], 1)
            assert found == [EntryPosition(n + 1, 1), EntryPosition(n + 1, 0)]
        desk.index.flush()


def test_an_entry_is_found_under_the_version_of_its_key_only(desk: Desk) -> None:
    desk.append([3], version=1)
    desk.append([3], version=2)
    desk.catch_up()
    assert desk.index.entries(PERSONS[3], 1) == [EntryPosition(1, 0)]
    assert desk.index.entries(PERSONS[3], 2) == [EntryPosition(2, 0)]
    assert desk.index.entries(PERSONS[3], 3) == []


@pytest.mark.parametrize("outcome", [Outcome.NOT_FOUND, Outcome.AMBIGUOUS])
def test_look_ups_that_found_nobody_are_not_indexed(desk: Desk, outcome: Outcome) -> None:
    desk.append([3, 3], outcome=outcome)
    desk.catch_up()
    assert desk.index.complete_to() == 1
    assert desk.index.entries(PERSONS[3], 1) == []
    assert desk.index.size().entries == 0


def test_refused_calls_count_as_taken_in(desk: Desk, record: MakeRecord) -> None:
    desk.log.append(record("refused", 0, article="", refusal=Reason.AFFAIR_NOT_GRANTED))
    desk.catch_up()
    assert desk.index.complete_to() == 1


def test_the_index_and_every_file_of_it_are_for_the_server_alone(desk: Desk) -> None:
    for _ in range(40):
        desk.append([0, 1, 2, 3, 4, 5])
        desk.catch_up()
    while desk.index.merge_once():
        pass
    directory = desk.directory / "index"
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    names = {path.suffix or path.name for path in directory.iterdir()}
    assert names == {".run", MANIFEST_FILE, "lock"}
    for path in directory.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_directory_that_was_open_to_others_is_closed(tmp_path: Path, record: MakeRecord) -> None:
    (tmp_path / "index").mkdir(mode=0o755)
    desk = Desk(tmp_path, record)
    assert stat.S_IMODE((tmp_path / "index").stat().st_mode) == 0o700
    desk.close()


def test_made_anew_the_index_is_the_same(desk: Desk) -> None:
    for n in range(60):
        desk.append([n % 6, (n * 5) % 6, 2], version=1 + n // 40)
        desk.catch_up()
        desk.index.merge_once()
    desk.check()
    desk.index.close()
    shutil.rmtree(desk.directory / "index")
    desk.index = desk.opened()
    assert desk.index.complete_to() == 0
    desk.check()


def test_merging_leaves_few_runs_and_every_row(desk: Desk) -> None:
    for _ in range(300):
        desk.append([0, 1, 2, 3, 4, 5])
        desk.catch_up()
    entries = desk.index.size().entries
    while desk.index.merge_once():
        pass
    size = desk.index.size()
    assert size.entries == entries == 1800
    assert size.runs <= 7 * 3
    assert len(list((desk.directory / "index").glob("*.run"))) == size.runs
    desk.check()


@pytest.mark.parametrize("other_records", [0, 9, 12])
def test_an_index_of_another_log_is_not_believed(
    desk: Desk, record: MakeRecord, other_records: int
) -> None:
    for _ in range(10):
        desk.append([0, 1, 2, 3])
    desk.catch_up()
    desk.close()
    shutil.rmtree(desk.directory / "log")
    (desk.directory / "index").rename(desk.directory / "kept")
    other = Desk(desk.directory, record)
    for _ in range(other_records):
        other.append([4, 5])
    other.index.close()
    shutil.rmtree(desk.directory / "index")
    (desk.directory / "kept").rename(desk.directory / "index")
    other.index = other.opened()
    assert other.index.complete_to() == 0
    other.check()
    other.close()
    desk.log, desk.records, desk.index = other.log, other.records, other.index
    desk.close = lambda: None  # type: ignore[method-assign]


def test_a_restored_shorter_log_takes_the_index_back_with_it(
    desk: Desk, record: MakeRecord
) -> None:
    for _ in range(10):
        desk.append([0, 1, 2, 3])
    desk.log.close()
    shutil.copytree(desk.directory / "log", desk.directory / "backup")
    desk.log = FileAuditLog(desk.directory / "log", segment_bytes=3000, sync=lambda _: None)
    kept = {key: list(positions) for key, positions in desk.model.items()}
    for _ in range(30):
        desk.append([0, 1, 2, 3])
    desk.catch_up()
    desk.close()
    shutil.rmtree(desk.directory / "log")
    (desk.directory / "backup").rename(desk.directory / "log")
    restored = Desk(desk.directory, record)
    assert restored.index.complete_to() <= 10
    restored.model.update(kept)
    restored.check()
    restored.close()
    desk.close = lambda: None  # type: ignore[method-assign]


def test_a_run_with_an_altered_byte_is_not_merged_into_a_good_one(desk: Desk) -> None:
    while desk.index.size().runs < 8:
        desk.append([0, 1, 2, 3])
        desk.catch_up()
    damage("alter", sorted((desk.directory / "index").glob("*.run")))
    while desk.index.merge_once():
        pass
    assert desk.index.size().runs == 4
    desk.check()


def test_one_process_has_the_index(desk: Desk) -> None:
    with pytest.raises(JukiError) as refused:
        desk.opened()
    assert refused.value.reason is Reason.STORE_UNAVAILABLE


def test_a_damaged_run_is_told_and_made_anew(desk: Desk) -> None:
    for _ in range(10):
        desk.append([0, 1, 2, 4])
    desk.catch_up()
    run = min((desk.directory / "index").glob("*.run"))
    os.truncate(run, run.stat().st_size - 100)
    with pytest.raises(JukiError) as refused:
        desk.index.entries(b"\xff" * 16, 1)
    assert refused.value.reason is Reason.STORE_UNAVAILABLE
    assert desk.index.complete_to() == 0
    desk.check()


def test_what_is_no_pseudonym_is_refused(desk: Desk) -> None:
    with pytest.raises(InvalidValue):
        desk.index.entries(bytes(8), 1)
    with pytest.raises(InvalidValue):
        desk.index.entries(bytes(16), 1, limit=0)
