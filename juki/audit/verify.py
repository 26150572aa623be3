"""Verifies a whole audit log from its first record, or from a checkpoint that is trusted.

Every record is read once as a stream, its leaf is computed, and the tree over the leaves is held
against all that is published: bundles, tiles of every level, checkpoint and its signatures.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec
from google.protobuf.message import DecodeError

from juki.audit.archive import ARCHIVE_SUFFIX, Archive
from juki.audit.checkpoint import (
    CHECKPOINT_FILE,
    Checkpoint,
    NoteKey,
    SignedCheckpoint,
    read_checkpoint,
    signed_by,
)
from juki.audit.encoding import RecordParts, split
from juki.audit.leaves import leaf_data
from juki.audit.published import PublishedTree
from juki.audit.reading import files_of, first_sequence_of_segment
from juki.audit.segment import (
    HEADER_BYTES,
    Tampered,
    TornTail,
    read_frames,
    read_header,
    segment_path,
)
from juki.audit.tiles import PUBLIC_DIRECTORY, TILE_DIRECTORY
from juki.audit.witness.checking import check_cosigned
from juki.domain.errors import InvalidValue
from juki.v1 import audit_pb2

_PROGRESS_BYTES: Final = 1 << 20


class CheckpointStatus(StrEnum):
    """What is known of the checkpoint."""

    ABSENT = "absent"
    UNVERIFIED = "unverified"
    """It agrees with the records; no key was given to verify its signature."""

    VERIFIED = "verified"


@dataclass(frozen=True, slots=True)
class Problem:
    """The first thing found wrong, after which nothing can be trusted."""

    file: str
    """Below the log's directory."""

    offset: int
    what: str
    entry: int | None = None
    """Sequence of the record, where it is about one."""


@dataclass(slots=True)
class VerificationReport:
    """What was verified, counted up to the end or to the first problem."""

    segments: int = 0
    records: int = 0
    entries: int = 0
    """Persons looked up, over all records."""

    refused: int = 0
    """Records of refused calls."""

    bytes_read: int = 0
    since: int = 0
    """Records taken from the trusted checkpoint, not read again."""

    checkpoint: CheckpointStatus = CheckpointStatus.ABSENT
    origin: str = ""
    size: int = 0
    """Records the checkpoint covers."""

    signers: list[str] = field(default_factory=list)
    """Names of the keys whose signatures of the checkpoint were verified."""

    witnesses: list[str] = field(default_factory=list)
    """Names of those whose cosignatures stand beside the log and match."""

    torn_tail: Problem | None = None
    """A frame unfinished at the very end: being written now, or left by a crash. It was never
    acknowledged, and is no problem; the next start cuts it away."""

    problem: Problem | None = None


def verify(
    directory: Path,
    *,
    keys: Sequence[ec.EllipticCurvePublicKey] = (),
    witnesses: Sequence[NoteKey] = (),
    since: SignedCheckpoint | None = None,
    archive_directory: Path | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> VerificationReport:
    """Verify the log in `directory`, which may be in use.

    With `keys` a checkpoint must be there, signed by one of them; with `witnesses` each of them
    must have signed it too. Without, what a cut off tail took away can go unnoticed. `since` is a
    checkpoint whose records are trusted: only what came after is read, and that the log still
    begins with them is proven from the tiles. `progress` is told bytes as they are read.
    `archive_directory` is where archived segments may have been moved to. Raises OSError.
    """
    report = VerificationReport()
    try:
        # Read before the records: a log in use only grows beyond it.
        signed = read_checkpoint(directory / PUBLIC_DIRECTORY)
        _verify_signatures(directory, signed, keys, witnesses, report)
        checkpoint = None if signed is None else signed.checkpoint
        files = files_of(directory, archive_directory)
        _Reader(directory, files, checkpoint, since, report, progress).read()
        if checkpoint is not None:
            report.witnesses = check_cosigned(directory, checkpoint.size, keys)
    except Tampered as found:
        report.problem = _problem(directory, found)
    return report


def _problem(directory: Path, found: Tampered) -> Problem:
    entry = found.metadata.get("entry")
    file = found.path
    name = file.relative_to(directory) if file.is_relative_to(directory) else file
    return Problem(str(name), found.offset, found.what, None if entry is None else int(entry))


def _verify_signatures(
    directory: Path,
    signed: SignedCheckpoint | None,
    keys: Sequence[ec.EllipticCurvePublicKey],
    witnesses: Sequence[NoteKey],
    report: VerificationReport,
) -> None:
    path = directory / PUBLIC_DIRECTORY / CHECKPOINT_FILE
    if signed is None:
        if keys or witnesses or (directory / PUBLIC_DIRECTORY / TILE_DIRECTORY).exists():
            raise Tampered(path, 0, "there is no checkpoint")
        return
    report.checkpoint = CheckpointStatus.UNVERIFIED
    report.origin = signed.checkpoint.origin
    report.size = signed.checkpoint.size
    own = [NoteKey(report.origin, key) for key in keys]
    try:
        found = signed_by(signed, [*own, *witnesses])
    except InvalidValue as error:
        raise Tampered(path, 0, str(error)) from None
    if keys:
        if not any(key in found for key in own):
            raise Tampered(path, 0, "the checkpoint is not signed by a key of the log")
        report.checkpoint = CheckpointStatus.VERIFIED
    for witness in witnesses:
        if witness not in found:
            raise Tampered(path, 0, f"the checkpoint is not signed by {witness.name}")
    report.signers = [key.name for key in found]


class _Reader:
    """Goes through the segments, counts what they hold, and lets the tree be compared."""

    def __init__(  # noqa: PLR0917 - made in one place
        self,
        directory: Path,
        files: list[Path],
        checkpoint: Checkpoint | None,
        since: SignedCheckpoint | None,
        report: VerificationReport,
        progress: Callable[[int], None],
    ) -> None:
        self._directory = directory
        self._files = files
        self._checkpoint = checkpoint
        self._since = None if since is None else since.checkpoint
        self._report = report
        self._progress = progress
        self._tree = PublishedTree(directory, checkpoint)
        self._sequence = 0
        self._end = 0
        self._untold = 0

    def read(self) -> None:
        paths = self._files
        if not paths:
            raise Tampered(segment_path(self._directory, 0), 0, "there is no segment")
        number = self._begin(paths)
        for path in paths[number:]:
            self._report.segments += 1
            self._end = 0
            try:
                if path.suffix == ARCHIVE_SUFFIX:
                    self._read_archive(path)
                else:
                    self._read_segment(path)
            except TornTail as torn:
                if path != paths[-1]:
                    raise Tampered(path, torn.offset, "the segment is cut off") from None
                what = "an unfinished frame, never acknowledged"
                self._report.torn_tail = Problem(path.name, torn.offset, what)
        if self._report.size > self._sequence:
            what = "records that the checkpoint speaks of are cut off"
            raise Tampered(paths[-1], self._end, what)
        self._tree.finish()
        self._progress(self._untold)

    def _begin(self, paths: list[Path]) -> int:
        """Where reading begins: with the trusted checkpoint, or with the first segment."""
        if self._since is None:
            return 0
        if self._checkpoint is None or self._since.size > self._checkpoint.size:
            path = self._directory / PUBLIC_DIRECTORY / CHECKPOINT_FILE
            raise Tampered(path, 0, "the log is shorter than the trusted checkpoint")
        self._tree.restore(self._since)
        self._report.since = self._since.size
        wanted = self._tree.size + 1
        for number in reversed(range(len(paths))):
            try:
                first = first_sequence_of_segment(paths[number])
            except TornTail:
                continue
            if first <= wanted:
                self._sequence = first - 1
                return number
        raise Tampered(paths[0], 0, "the first segment is missing")

    def _read_segment(self, path: Path) -> None:
        with path.open("rb") as file:
            first_sequence = read_header(path, file)
            if first_sequence != self._sequence + 1:
                raise Tampered(path, 0, "the segment does not continue the one before")
            self._advance(HEADER_BYTES)
            try:
                for frame in read_frames(path, file):
                    self._take(path, frame.offset, frame.record)
                    self._advance(frame.end)
            except Tampered as found:
                found.metadata.setdefault("entry", str(self._sequence + 1))
                raise

    def _read_archive(self, path: Path) -> None:
        archive = Archive(path)
        try:
            if archive.first_sequence != self._sequence + 1:
                raise Tampered(path, 0, "the segment does not continue the one before")
            for _, record in archive.records_from(0):
                self._take(path, 0, record)
        except Tampered as found:
            found.metadata.setdefault("entry", str(self._sequence + 1))
            raise
        finally:
            archive.close()
        self._advance(path.stat().st_size)

    def _take(self, path: Path, offset: int, record: bytes) -> None:
        if self._sequence >= self._tree.size:
            try:
                parts = split(record)
            except (ValueError, DecodeError):
                raise Tampered(path, offset, "the record cannot be decoded") from None
            self._tree.append(leaf_data(parts), path, offset)
            if self._since is not None and self._tree.size <= self._since.size:
                self._tree.compare_root(self._since)
            else:
                self._count(parts)
        self._sequence += 1

    def _count(self, parts: RecordParts) -> None:
        self._report.records += 1
        self._report.entries += len(parts.outcomes)
        if not parts.outcomes:
            facts = audit_pb2.AuditRecord.FromString(parts.facts)
            self._report.refused += bool(facts.refusal_reason)

    def _advance(self, end: int) -> None:
        self._report.bytes_read += end - self._end
        self._untold += end - self._end
        self._end = end
        if self._untold >= _PROGRESS_BYTES:  # a bar drawn per record would cost more than reading
            self._progress(self._untold)
            self._untold = 0
