"""Verifies a whole audit log from its first byte, reading it once as a stream."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from google.protobuf.message import DecodeError

from juki.audit.head import HEAD_FILE, HeadVerifier, SignedHead, read_head
from juki.audit.port import AuditPosition
from juki.audit.segment import (
    GENESIS,
    Frame,
    Tampered,
    TornTail,
    read_frames,
    read_header,
    segment_path,
    segments,
)
from juki.v1 import audit_pb2

_PROGRESS_BYTES: Final = 1 << 20


class HeadStatus(StrEnum):
    """What is known of the signed head."""

    ABSENT = "absent"
    UNVERIFIED = "unverified"
    """It agrees with the chain; no key was given to verify its signature."""

    VERIFIED = "verified"


@dataclass(frozen=True, slots=True)
class Problem:
    """The first thing found wrong, after which nothing can be trusted."""

    file: str
    offset: int
    what: str


@dataclass(slots=True)
class VerificationReport:
    """What a log holds, counted up to the end or to the first problem."""

    segments: int = 0
    records: int = 0
    entries: int = 0
    """Persons looked up, over all records."""

    refused: int = 0
    """Records of refused calls."""

    bytes_read: int = 0
    head: HeadStatus = HeadStatus.ABSENT
    head_time_unix_nanos: int = 0
    torn_tail: Problem | None = None
    """A frame unfinished at the very end: being written now, or left by a crash. It was never
    acknowledged, and is no problem; the next start cuts it away."""

    problem: Problem | None = None


def verify(
    directory: Path,
    *,
    verify_signature: HeadVerifier | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> VerificationReport:
    """Verify the log in `directory`, which may be in use.

    With `verify_signature` a signed head must be there and its signature good; without, what a cut
    off tail took away can go unnoticed. `progress` is told bytes as they are read. Raises OSError.
    """
    report = VerificationReport()
    try:
        # Read before the records: a log in use only grows beyond it.
        head = read_head(directory)
        if head is not None:
            _verify_signature(directory, head, verify_signature, report)
        elif verify_signature is not None:
            raise Tampered(directory / HEAD_FILE, 0, "there is no signed head")
        _ChainReader(head, report, progress).read(directory)
    except Tampered as found:
        report.problem = Problem(found.path.name, found.offset, found.what)
    return report


def _verify_signature(
    directory: Path,
    head: SignedHead,
    verify_signature: HeadVerifier | None,
    report: VerificationReport,
) -> None:
    report.head = HeadStatus.UNVERIFIED
    report.head_time_unix_nanos = head.time_unix_nanos
    if verify_signature is not None:
        if not verify_signature(head.digest, head.signature, head.key_id):
            raise Tampered(directory / HEAD_FILE, 0, "the signature of the head does not match")
        report.head = HeadStatus.VERIFIED


class _ChainReader:
    """Follows the chain through the segments and counts what it holds."""

    def __init__(
        self,
        head: SignedHead | None,
        report: VerificationReport,
        progress: Callable[[int], None],
    ) -> None:
        self._head = head
        self._report = report
        self._progress = progress
        self._position = AuditPosition(0, GENESIS)
        self._end = 0
        self._untold = 0

    def read(self, directory: Path) -> None:
        paths = segments(directory)
        if not paths:
            raise Tampered(segment_path(directory, 0), 0, "there is no segment")
        for path in paths:
            self._report.segments += 1
            self._end = 0
            try:
                self._read_segment(path)
            except TornTail as torn:
                if path != paths[-1]:
                    raise Tampered(path, torn.offset, "the segment is cut off") from None
                what = "an unfinished frame, never acknowledged"
                self._report.torn_tail = Problem(path.name, torn.offset, what)
        if self._head is not None and self._head.position.sequence > self._position.sequence:
            what = "records that the signed head speaks of are cut off"
            raise Tampered(paths[-1], self._end, what)

    def _read_segment(self, path: Path) -> None:
        with path.open("rb") as file:
            first_sequence, chain_hash = read_header(path, file)
            if (first_sequence, chain_hash) != (
                self._position.sequence + 1,
                self._position.chain_hash,
            ):
                raise Tampered(path, 0, "the segment does not continue the one before")
            self._advance(file.tell())
            for frame in read_frames(path, file, chain_hash):
                self._position = AuditPosition(self._position.sequence + 1, frame.chain_hash)
                self._compare_with_head(path, frame.offset)
                self._count(path, frame)
                self._advance(frame.end)

    def _advance(self, end: int) -> None:
        self._report.bytes_read += end - self._end
        self._untold += end - self._end
        self._end = end
        if self._untold >= _PROGRESS_BYTES:  # a bar drawn per record would cost more than reading
            self._progress(self._untold)
            self._untold = 0

    def _compare_with_head(self, path: Path, offset: int) -> None:
        if self._head is None or self._head.position.sequence != self._position.sequence:
            return
        if self._head.position != self._position:
            raise Tampered(path, offset, "the record is not the one the signed head speaks of")

    def _count(self, path: Path, frame: Frame) -> None:
        try:
            record = audit_pb2.AuditRecord.FromString(frame.record)
        except DecodeError:
            raise Tampered(path, frame.offset, "the record cannot be decoded") from None
        self._report.records += 1
        self._report.entries += len(record.outcomes)
        self._report.refused += bool(record.refusal_reason)
