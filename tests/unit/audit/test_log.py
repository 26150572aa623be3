"""An acknowledged record is in the file and in its order, whoever else was appending."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from juki.audit.checkpoint import CheckpointKey, CheckpointSigning, read_checkpoint
from juki.audit.encoding import decode, encode
from juki.audit.log import FileAuditLog
from juki.audit.port import AuditLog, AuditPosition, AuditRecord, AuditUnavailable
from juki.audit.segment import MAX_RECORD_BYTES, read_frames, read_header, segments
from juki.audit.verify import verify
from juki.domain.errors import InvalidValue, JukiError, Reason
from juki.domain.legal_basis import SearchKey
from juki.domain.outcome import Outcome
from juki.v1 import lookup_pb2

MakeRecord = Callable[..., AuditRecord]


def fail_with_eio(_descriptor: int) -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


def read_back(directory: Path) -> dict[AuditPosition, AuditRecord]:
    found = {}
    sequence = 0
    for path in segments(directory):
        with path.open("rb") as file:
            assert read_header(path, file) == sequence + 1
            for frame in read_frames(path, file):
                sequence += 1
                found[AuditPosition(sequence)] = decode(frame.record)
    return found


def test_a_record_reads_back_as_it_was_appended(tmp_path: Path, record: MakeRecord) -> None:
    outcomes = bytes([Outcome.FOUND, Outcome.NOT_FOUND, Outcome.AMBIGUOUS])
    answered = record("a", 3, outcomes=outcomes)
    refused = record(
        "b",
        0,
        affair=None,
        search_key=None,
        article="30-13(3)",
        affair_id="a-1.2",
        refusal=Reason.AGENCY_NOT_REGISTERED,
    )
    with FileAuditLog(tmp_path) as log:
        port: AuditLog = log
        positions = [port.append(answered), port.append(refused)]
    assert read_back(tmp_path) == dict(zip(positions, [answered, refused], strict=True))
    report = verify(tmp_path)
    assert report.problem is None
    assert (report.records, report.entries, report.refused) == (2, 3, 1)


def test_a_log_goes_on_where_it_was_left(tmp_path: Path, record: MakeRecord) -> None:
    for n in range(5):
        with FileAuditLog(tmp_path) as log:
            assert log.append(record(f"request-{n}")).sequence == n + 1
    assert [entry.request_id for entry in read_back(tmp_path).values()] == [
        f"request-{n}" for n in range(5)
    ]


def test_segments_follow_each_other_when_they_are_full(tmp_path: Path, record: MakeRecord) -> None:
    for _ in range(2):
        with FileAuditLog(tmp_path, segment_bytes=1000) as log:
            for n in range(20):
                log.append(record(f"request-{n}"))
    assert len(segments(tmp_path)) > 5
    assert len(read_back(tmp_path)) == 40
    assert verify(tmp_path).problem is None


@pytest.mark.parametrize("segment_bytes", [2_000, 1 << 26])
def test_everything_sixteen_threads_were_told_is_durable_is_there(
    tmp_path: Path, record: MakeRecord, segment_bytes: int
) -> None:
    start = threading.Barrier(16)
    with FileAuditLog(tmp_path, segment_bytes=segment_bytes) as log:

        def append_many(thread: int) -> dict[AuditPosition, AuditRecord]:
            start.wait()
            records = [record(f"{thread}/{n}", n % 4) for n in range(25)]
            return {log.append(entry): entry for entry in records}

        with ThreadPoolExecutor(16) as pool:
            acknowledged = list(pool.map(append_many, range(16)))
        assert log.position.sequence == 400
    found = read_back(tmp_path)
    assert sum(map(len, acknowledged)) == len(found) == 400
    for told in acknowledged:
        assert told.items() <= found.items()
        sequences = [position.sequence for position in told]
        assert sequences == sorted(sequences), "what one thread appends stands in its order"


def test_those_who_wait_share_one_sync(tmp_path: Path, record: MakeRecord) -> None:
    syncs: list[int] = []
    first_is_syncing, others_wait = threading.Event(), threading.Event()

    def sync(descriptor: int) -> None:
        syncs.append(descriptor)
        if len(syncs) == 1:
            first_is_syncing.set()
            assert others_wait.wait(60)
        os.fdatasync(descriptor)

    with FileAuditLog(tmp_path, sync=sync) as log, ThreadPoolExecutor(9) as pool:
        first = pool.submit(log.append, record("first"))
        assert first_is_syncing.wait(60)
        others = [pool.submit(log.append, record(f"other-{n}")) for n in range(8)]
        while log.waiting < 8:
            threading.Event().wait(0.001)
        others_wait.set()
        assert first.result().sequence == 1
        assert sorted(other.result().sequence for other in others) == list(range(2, 10))
    assert len(syncs) == 2


def test_nothing_is_acknowledged_before_its_sync_returned(
    tmp_path: Path, record: MakeRecord
) -> None:
    synced_sizes: list[int] = []

    def sync(descriptor: int) -> None:
        os.fdatasync(descriptor)
        synced_sizes.append(os.fstat(descriptor).st_size)

    with FileAuditLog(tmp_path, sync=sync) as log:
        for n in range(3):
            log.append(record(f"request-{n}"))
            assert len(synced_sizes) == n + 1
            assert segments(tmp_path)[0].stat().st_size == synced_sizes[-1]


def test_after_a_failed_sync_nothing_is_acknowledged_any_more(
    tmp_path: Path, record: MakeRecord
) -> None:
    attempts = []

    def fail_the_second(descriptor: int) -> None:
        attempts.append(descriptor)
        if len(attempts) == 2:
            fail_with_eio(descriptor)

    with FileAuditLog(tmp_path, sync=fail_the_second) as log:
        log.append(record("good"))
        for _ in range(3):
            with pytest.raises(AuditUnavailable) as refused:
                log.append(record("lost"))
            assert refused.value.reason is Reason.AUDIT_UNAVAILABLE
        assert log.failure is not None
        assert log.position.sequence == 1
    assert len(attempts) == 2, "the same file is never synced again"


def test_every_thread_waiting_on_a_failed_sync_is_refused(
    tmp_path: Path, record: MakeRecord
) -> None:
    with FileAuditLog(tmp_path, sync=fail_with_eio) as log, ThreadPoolExecutor(8) as pool:
        for future in [pool.submit(log.append, record(f"r{n}")) for n in range(8)]:
            assert isinstance(future.exception(), AuditUnavailable)


def test_a_segment_that_cannot_be_begun_stops_the_log_but_not_what_was_acknowledged(
    tmp_path: Path, record: MakeRecord
) -> None:
    with FileAuditLog(tmp_path, segment_bytes=1) as log:
        (tmp_path / "00000001.seg").write_bytes(b"")
        assert log.append(record()).sequence == 1
        with pytest.raises(AuditUnavailable, match="no new audit segment"):
            log.append(record())
    with FileAuditLog(tmp_path) as log:
        assert log.append(record()).sequence == 2


def test_a_log_is_whole_again_at_the_start_after_a_failed_sync(
    tmp_path: Path, record: MakeRecord
) -> None:
    with FileAuditLog(tmp_path) as log:
        log.append(record("good"))
    with FileAuditLog(tmp_path, sync=fail_with_eio) as log, pytest.raises(AuditUnavailable):
        log.append(record("written, never acknowledged"))
    with FileAuditLog(tmp_path) as log:
        log.append(record("after"))
    assert verify(tmp_path).problem is None


def test_two_writers_never_share_a_log(tmp_path: Path, record: MakeRecord) -> None:
    with FileAuditLog(tmp_path), pytest.raises(AuditUnavailable, match="another process"):
        FileAuditLog(tmp_path)
    with FileAuditLog(tmp_path) as log:
        log.append(record())


def test_a_closed_log_refuses(tmp_path: Path, record: MakeRecord) -> None:
    log = FileAuditLog(tmp_path)
    log.close()
    log.close()
    with pytest.raises(AuditUnavailable, match="closed"):
        log.append(record())


def test_a_directory_that_cannot_be_used_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(AuditUnavailable, match="cannot be opened"):
        FileAuditLog(tmp_path / "file")


def test_a_record_too_large_is_refused_and_the_log_goes_on(
    tmp_path: Path, record: MakeRecord
) -> None:
    with FileAuditLog(tmp_path) as log:
        with pytest.raises(JukiError) as refused:
            log.append(record(operator="x" * MAX_RECORD_BYTES))
        assert refused.value.reason is Reason.MESSAGE_TOO_LARGE
        assert log.append(record()).sequence == 1


def test_entries_that_do_not_match_are_no_record(record: MakeRecord) -> None:
    with pytest.raises(InvalidValue):
        record(pseudonyms=b"x" * 17, outcomes=b"\x01")
    for outcome in (0, 5, 255):
        with pytest.raises(InvalidValue):
            record("r", 2, outcomes=bytes([1, outcome]))


def test_pseudonyms_do_not_show_in_the_repr_of_a_record(record: MakeRecord) -> None:
    assert "pseudonyms" not in repr(record("r", 2))


def test_encoding_keeps_every_search_key(record: MakeRecord) -> None:
    for key in SearchKey:
        entry = record(search_key=key)
        assert decode(encode(entry, bytes(16))) == entry


def test_outcomes_are_those_of_the_contract() -> None:
    assert {f"LOOKUP_OUTCOME_{o.name}": int(o) for o in Outcome} == {
        name: number for name, number in lookup_pb2.LookupOutcome.items() if number
    }


def test_the_checkpoint_covers_what_was_appended_when_the_log_is_closed(
    tmp_path: Path, record: MakeRecord, signing: CheckpointSigning
) -> None:
    with FileAuditLog(tmp_path, signing=signing) as log:
        first = read_checkpoint(tmp_path / "public")
        assert first is not None
        assert first.checkpoint.size == 0
        position = log.append(record())
    last = read_checkpoint(tmp_path / "public")
    assert last is not None
    assert last.checkpoint.size == position.sequence == 1


def test_the_checkpoint_is_written_while_the_log_is_in_use(
    tmp_path: Path, record: MakeRecord, signing: CheckpointSigning
) -> None:
    signed = threading.Event()
    calls = []
    key = signing.key()

    def sign(digest: bytes) -> bytes:
        calls.append(digest)
        if len(calls) == 2:
            raise JukiError(Reason.CUSTODY_UNAVAILABLE, "custody is being restarted")
        if len(calls) == 3:
            signed.set()
        return key.sign(digest)

    often = CheckpointSigning(
        signing.origin, lambda: CheckpointKey(key.key_id, sign), interval_seconds=0.005
    )
    with FileAuditLog(tmp_path, signing=often) as log:
        log.append(record())
        assert signed.wait(60), "the failed second attempt was not repeated"
    assert len(calls) == 3, "an unchanged log is not signed again"
    assert not log.checkpoint_failed
    assert verify(tmp_path).problem is None


def test_a_log_whose_checkpoint_cannot_be_signed_does_not_start(
    tmp_path: Path, signing: CheckpointSigning
) -> None:
    def sign(_digest: bytes) -> bytes:
        raise JukiError(Reason.CUSTODY_UNAVAILABLE, "no custody")

    refusing = CheckpointSigning(signing.origin, lambda: CheckpointKey(bytes(32), sign))
    with pytest.raises(JukiError, match="CUSTODY_UNAVAILABLE"):
        FileAuditLog(tmp_path, signing=refusing)
    FileAuditLog(tmp_path).close()
