"""What is published follows the log: through key rotations, archives, crashes and failures."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from juki.audit.archiving import SegmentArchiver
from juki.audit.checkpoint import (
    CheckpointSigning,
    NoteKey,
    SignedCheckpoint,
    read_checkpoint,
    signed_by,
)
from juki.audit.log import FileAuditLog
from juki.audit.port import AuditRecord
from juki.audit.proof import prove
from juki.audit.reading import LogRecords
from juki.audit.segment import segments
from juki.audit.verify import verify
from juki.domain.errors import InvalidValue, JukiError, Reason
from tests.audit_keys import ORIGIN, key_of

MakeRecord = Callable[..., AuditRecord]


def grow(
    directory: Path, record: MakeRecord, signing: CheckpointSigning, start: int, end: int
) -> None:
    with FileAuditLog(
        directory, signing=signing, segment_bytes=8_000, sync=lambda _descriptor: None
    ) as log:
        for n in range(start, end):
            log.append(record(f"request-{n}", n % 3))


def published(directory: Path) -> dict[str, bytes]:
    public = directory / "public"
    return {
        str(path.relative_to(public)): path.read_bytes()
        for path in public.rglob("*")
        if path.is_file()
    }


def test_archived_segments_are_verified_and_proven_from(
    tmp_path: Path, record: MakeRecord, signing: CheckpointSigning
) -> None:
    for archives in (None, tmp_path / "old"):
        directory = tmp_path / f"log-{archives is None}"
        with FileAuditLog(
            directory,
            signing=signing,
            segment_bytes=8_000,
            sync=lambda _descriptor: None,
            archive_directory=archives,
        ) as log:
            for n in range(600):
                log.append(record(f"request-{n}", n % 3))
            assert log.published_to == 0, "nothing is published yet: nothing may be archived"
        grow(directory, record, signing, 600, 601)
        with FileAuditLog(directory, signing=signing) as log:
            archiver = SegmentArchiver(directory, lambda: log.published_to, archives)
            while archiver.archive_once():
                pass
        assert 0 < len(segments(directory, archives)) < 30
        with FileAuditLog(directory, signing=signing, archive_directory=archives) as log:
            assert log.append(record("request-601", 2)).sequence == 602
        report = verify(directory, archive_directory=archives)
        assert report.problem is None
        assert report.records == report.size == 602
        assert prove(directory, LogRecords(directory, archives), 3, 1)["sequence"] == 3

        old = sorted((archives or directory).glob("*.arc"))[1]
        content = old.read_bytes()
        for offset in range(0, len(content), 97):
            old.write_bytes(content[:offset] + bytes([content[offset] ^ 1]) + content[offset + 1 :])
            problem = verify(directory, archive_directory=archives).problem
            assert problem is not None
            assert problem.file.endswith(old.name)
        old.unlink()
        assert verify(directory, archive_directory=archives).problem is not None


def test_a_rotated_key_signs_from_then_on_and_old_notes_keep_theirs(
    tmp_path: Path, record: MakeRecord
) -> None:
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    in_use = key_of(keys[0])
    signing = CheckpointSigning(ORIGIN, lambda: in_use, interval_seconds=3600.0)
    notes = []
    for private in keys:
        in_use = key_of(private)
        with FileAuditLog(tmp_path, signing=signing) as log:
            log.append(record())
        found = read_checkpoint(tmp_path / "public")
        assert found is not None
        notes.append(found)
    known = [NoteKey(ORIGIN, private.public_key()) for private in keys]
    assert [signed_by(note, known) for note in notes] == [[known[0]], [known[1]]]
    assert verify(tmp_path, keys=[keys[0].public_key()]).problem is not None
    report = verify(tmp_path, keys=[keys[0].public_key(), keys[1].public_key()])
    assert report.problem is None
    assert report.signers == [ORIGIN]


def test_a_note_is_read_in_one_way_only(tmp_path: Path, signing: CheckpointSigning) -> None:
    FileAuditLog(tmp_path, signing=signing).close()
    note = (tmp_path / "public" / "checkpoint").read_text()
    assert SignedCheckpoint.parse(note).note == note
    for other in (
        note.replace("\n0\n", "\n00\n"),
        note.replace("\n0\n", "\n-1\n"),
        note[:-1],
        note + "\n",
        note.replace("— ", "- "),
        note.replace("\n\n", "\n"),
        "\n" + note,
        "",
    ):
        with pytest.raises(InvalidValue):
            SignedCheckpoint.parse(other)


@pytest.mark.parametrize("damage", ["gone", "empty", "zeros", "left", "ahead"])
def test_partial_files_that_a_crash_left_are_made_right(
    tmp_path: Path, record: MakeRecord, signing: CheckpointSigning, damage: str
) -> None:
    directory = tmp_path / "log"
    for start, end in pairwise((0, 300, 310)):
        grow(directory, record, signing, start, end)
    whole = published(directory)
    public = directory / "public"
    for path in [one for one in public.rglob("*") if one.is_file() and ".p" in str(one.parent)]:
        if damage == "gone":
            path.unlink()
        elif damage == "empty":
            path.write_bytes(b"")
        elif damage == "zeros":
            path.write_bytes(bytes(path.stat().st_size))
        elif damage == "left":
            path.with_name(f".{path.name}.new").write_bytes(b"torn")
            stale = public / "tile" / "0" / "000.p"
            stale.mkdir(exist_ok=True)
            (stale / "44").write_bytes(b"")
        else:
            shutil.copy(path, path.with_name("200"))
    FileAuditLog(directory, signing=signing).close()
    assert verify(directory).problem is None
    again = {name: content for name, content in published(directory).items() if "/." not in name}
    assert again.items() <= whole.items() | {("checkpoint", again["checkpoint"])}
    assert {"tile/0/001.p/54", "tile/entries/001.p/54", "tile/1/000.p/1"} <= again.keys()


def test_a_disk_too_full_to_publish_is_told_and_made_good(
    tmp_path: Path, record: MakeRecord, signing: CheckpointSigning
) -> None:
    with FileAuditLog(tmp_path, signing=signing) as log:
        log.append(record())
        obstacle = tmp_path / "public" / "tile"
        obstacle.write_bytes(b"")
        assert not log.checkpoint_failed
    assert log.checkpoint_failed
    obstacle.unlink()
    FileAuditLog(tmp_path, signing=signing).close()
    report = verify(tmp_path)
    assert report.problem is None
    assert report.size == 1


def test_a_log_of_another_origin_is_not_gone_on_with(
    tmp_path: Path, signing: CheckpointSigning
) -> None:
    FileAuditLog(tmp_path, signing=signing).close()
    with pytest.raises(JukiError) as refused:
        FileAuditLog(tmp_path, signing=CheckpointSigning("other.example/audit", signing.key))
    assert refused.value.reason is Reason.TAMPERING_DETECTED
