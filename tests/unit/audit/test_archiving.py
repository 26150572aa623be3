"""Finished segments are archived and moved by themselves, and never before everyone is done."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from juki.audit.archiving import SegmentArchiver
from juki.audit.encoding import decode
from juki.audit.log import FileAuditLog
from juki.audit.port import AuditRecord
from juki.audit.reading import LogRecords, first_sequence_of_segment

MakeRecord = Callable[..., AuditRecord]
RECORDS = 100


@pytest.fixture
def log(tmp_path: Path, record: MakeRecord) -> Iterator[FileAuditLog]:
    with FileAuditLog(tmp_path / "log", segment_bytes=3_000, sync=lambda _: None) as made:
        for n in range(RECORDS):
            made.append(record(f"request-{n}"))
        yield made


def names(directory: Path, suffix: str) -> list[str]:
    return sorted(path.name for path in directory.glob(f"*{suffix}"))


def read(*directories: Path) -> list[str]:
    records = LogRecords(*directories)
    found = [decode(data).request_id for _, data in records.records_from(1)]
    records.close()
    return found


def test_every_segment_but_the_one_in_use_is_archived(log: FileAuditLog, tmp_path: Path) -> None:
    before = names(tmp_path / "log", ".seg")
    archiver = SegmentArchiver(tmp_path / "log", lambda: log.position.sequence)
    while archiver.archive_once():
        pass
    assert names(tmp_path / "log", ".seg") == before[-1:]
    assert names(tmp_path / "log", ".arc") == [name[:-3] + "arc" for name in before[:-1]]
    assert read(tmp_path / "log") == [f"request-{n}" for n in range(RECORDS)]


def test_a_segment_somebody_still_reads_stays(log: FileAuditLog, tmp_path: Path) -> None:
    segments = sorted((tmp_path / "log").glob("*.seg"))
    done_to = first_sequence_of_segment(segments[3]) - 1
    archiver = SegmentArchiver(tmp_path / "log", lambda: done_to)
    while archiver.archive_once():
        pass
    assert names(tmp_path / "log", ".seg")[0] == segments[3].name
    done_to -= 1
    archiver = SegmentArchiver(tmp_path / "log", lambda: done_to)
    assert not archiver.archive_once()


def test_archives_are_moved_to_where_the_old_ones_are_kept(
    log: FileAuditLog, tmp_path: Path
) -> None:
    cold = tmp_path / "cold"
    plain = SegmentArchiver(tmp_path / "log", lambda: log.position.sequence)
    assert plain.archive_once()  # archived before a directory was configured
    archiver = SegmentArchiver(tmp_path / "log", lambda: log.position.sequence, cold)
    while archiver.archive_once():
        pass
    assert names(tmp_path / "log", ".arc") == []
    assert len(names(cold, ".arc")) == len(list(cold.iterdir())) > 2
    assert read(tmp_path / "log", cold) == [f"request-{n}" for n in range(RECORDS)]


def test_a_crash_between_archive_and_removal_loses_and_doubles_nothing(
    log: FileAuditLog, tmp_path: Path
) -> None:
    segment = tmp_path / "log" / "00000000.seg"
    kept = tmp_path / "kept"
    shutil.copyfile(segment, kept)
    archiver = SegmentArchiver(tmp_path / "log", lambda: log.position.sequence)
    assert archiver.archive_once()
    kept.rename(segment)
    assert read(tmp_path / "log") == [f"request-{n}" for n in range(RECORDS)]
    assert archiver.archive_once()
    assert not segment.exists()
    assert read(tmp_path / "log") == [f"request-{n}" for n in range(RECORDS)]
