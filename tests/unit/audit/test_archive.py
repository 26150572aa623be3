"""Archived segments: the same records in less room, and nothing altered in them unnoticed."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from juki.audit.archive import Archive, archive_segment, open_segment_records
from juki.audit.encoding import decode
from juki.audit.log import FileAuditLog
from juki.audit.port import AuditRecord
from juki.audit.reading import LogRecords
from juki.audit.segment import HEADER_BYTES, Tampered, segments
from juki.domain.errors import JukiError, Reason

MakeRecord = Callable[..., AuditRecord]
SINGLE = 400
"""Records of one person each, between batches."""


def unlike(n: int) -> int:
    """How many persons the n-th record has: none, one, or so many that it fills a block."""
    return (1, 1, 0, 1, 1, 5_000)[n % 6] if n % 60 == 5 else n % 2


@pytest.fixture
def log(tmp_path: Path, record: MakeRecord) -> Iterator[FileAuditLog]:
    with FileAuditLog(tmp_path / "log", segment_bytes=100_000, sync=lambda _: None) as made:
        for n in range(SINGLE):
            made.append(record(f"request-{n}", unlike(n)))
        yield made


def finished(log_directory: Path) -> list[Path]:
    return segments(log_directory)[:-1]


def test_an_archive_holds_every_record_and_what_links_the_segments(
    log: FileAuditLog, tmp_path: Path
) -> None:
    paths = finished(tmp_path / "log")
    assert len(paths) >= 2
    for path in paths:
        before = list(open_segment_records(path))
        opening = path.read_bytes()[:HEADER_BYTES]
        made = archive_segment(path)
        assert made == path.with_suffix(".arc")
        assert not path.exists()
        assert list(open_segment_records(made)) == before
        archive = Archive(made)
        assert (archive.opening, archive.closing) == (opening, b"")
        for sequence, record in random.Random(1).sample(before, 20):
            assert archive.record(sequence) == record
        for sequence in (0, before[0][0] - 1, before[-1][0] + 1):
            with pytest.raises(JukiError) as refused:
                archive.record(sequence)
            assert refused.value.reason is Reason.RECORD_NOT_FOUND
        archive.close()


def test_single_look_ups_shrink_to_less_than_half(tmp_path: Path, record: MakeRecord) -> None:
    with FileAuditLog(tmp_path, segment_bytes=300_000, sync=lambda _: None) as made:
        for n in range(2_000):
            made.append(record(f"request-{n}"))
    path = finished(tmp_path)[0]
    size = path.stat().st_size
    assert archive_segment(path).stat().st_size < size / 2


@pytest.mark.parametrize("place", range(40))
def test_no_byte_of_an_archive_is_altered_unnoticed(
    log: FileAuditLog, tmp_path: Path, place: int
) -> None:
    path = archive_segment(finished(tmp_path / "log")[0])
    data = bytearray(path.read_bytes())
    # The ends byte by byte, the middle here and there.
    edge = (*range(0, 30, 3), *range(-30, 0, 3))
    at = edge[place] if place < len(edge) else random.Random(place).randrange(len(data))
    data[at] ^= 1 << place % 8
    path.write_bytes(data)
    with pytest.raises(Tampered) as found:
        list(open_segment_records(path))
    assert found.value.path == path


@pytest.mark.parametrize("cut", [0, 1, 28, 500, -1, -100])
def test_an_archive_that_was_cut_off_is_told(log: FileAuditLog, tmp_path: Path, cut: int) -> None:
    path = archive_segment(finished(tmp_path / "log")[0])
    os.truncate(path, cut % path.stat().st_size)
    with pytest.raises(Tampered):
        list(open_segment_records(path))


def test_a_segment_that_is_not_whole_is_not_archived(log: FileAuditLog, tmp_path: Path) -> None:
    for path in finished(tmp_path / "log")[:2]:
        data = path.read_bytes()
        path.write_bytes(data[:-5] if path.name.startswith("00000000") else data[:200] + data[201:])
        with pytest.raises(Tampered):
            archive_segment(path)
        assert path.exists()
        assert not path.with_suffix(".arc").exists()


def test_what_a_crash_left_of_archiving_is_in_nobodys_way(
    log: FileAuditLog, tmp_path: Path
) -> None:
    path = finished(tmp_path / "log")[0]
    before = list(open_segment_records(path))
    path.with_suffix(".arc-new").write_bytes(b"half an archive")
    assert list(open_segment_records(archive_segment(path))) == before
    assert not path.with_suffix(".arc-new").exists()


@pytest.mark.parametrize("moved", [False, True])
def test_records_are_read_by_sequence_from_both_forms(
    log: FileAuditLog, tmp_path: Path, record: MakeRecord, moved: bool
) -> None:
    cold = tmp_path / "archive"
    cold.mkdir()
    records = LogRecords(tmp_path / "log", cold)
    expected = [record(f"request-{n}", unlike(n)) for n in range(SINGLE)]

    def check() -> None:
        for n in random.Random(2).sample(range(SINGLE), 60):
            assert decode(records.record(n + 1)) == expected[n]
        assert [decode(data) for _, data in records.records_from(1)] == expected
        late = list(records.records_from(SINGLE - 5))
        assert [sequence for sequence, _ in late] == list(range(SINGLE - 5, SINGLE + 1))

    check()
    for path in finished(tmp_path / "log")[:2]:
        made = archive_segment(path)
        if moved:
            made.rename(cold / made.name)
    check()
    log.append(record("one more"))
    assert decode(records.record(SINGLE + 1)).request_id == "one more"
    with pytest.raises(JukiError) as refused:
        records.record(SINGLE + 2)
    assert refused.value.reason is Reason.RECORD_NOT_FOUND
    records.close()


def test_a_frame_half_written_is_not_a_record_yet(tmp_path: Path, record: MakeRecord) -> None:
    with FileAuditLog(tmp_path, sync=lambda _: None) as log:
        for n in range(3):
            log.append(record(f"request-{n}", 100))
    path = segments(tmp_path)[0]
    whole = path.read_bytes()
    path.write_bytes(whole[:-7])
    records = LogRecords(tmp_path)
    assert [sequence for sequence, _ in records.records_from(1)] == [1, 2]
    with path.open("ab") as file:
        file.write(whole[-7:])
    assert [sequence for sequence, _ in records.records_from(1)] == [1, 2, 3]
    records.close()
