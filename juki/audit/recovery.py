"""Finds the end of a log that was left behind, and mends what a crash may have left unfinished.

A frame cut off at the very end was never acknowledged (its fsync cannot have returned): it is cut
away. Anything else that is wrong stops the start: Tampered, with file and byte.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from juki.audit.checkpoint import read_checkpoint
from juki.audit.port import AuditPosition
from juki.audit.segment import (
    HEADER_BYTES,
    Tampered,
    TornTail,
    pack_header,
    read_frames,
    read_header,
    segment_path,
    segments,
)
from juki.audit.tiles import PUBLIC_DIRECTORY
from juki.durable import sync_directory


@dataclass(frozen=True, slots=True)
class LogEnd:
    """Where writing goes on: the last segment and the last record (sequence 0: none yet)."""

    segment: int
    position: AuditPosition


def recover(directory: Path, archive_directory: Path | None = None) -> LogEnd:
    """The end of the log in `directory`, whole and durable; an empty directory begins a log.

    Reads the headers of all segments and the whole of the last one. That no record the checkpoint
    speaks of is missing is held here; that they are the same ones, where the tree is taken up
    (`juki.audit.publishing`). Raises Tampered, and OSError.
    """
    paths = segments(directory, archive_directory)
    signed = read_checkpoint(directory / PUBLIC_DIRECTORY)
    covered = 0 if signed is None else signed.checkpoint.size
    if paths and paths[-1].stat().st_size < HEADER_BYTES:
        # Begun by a rotation that did not end; a segment gets records only after its header.
        paths.pop().unlink()
    if not paths:
        if covered:
            first = segment_path(directory, 0)
            raise Tampered(first, 0, "the records the checkpoint speaks of are missing")
        create_segment(directory, 0, AuditPosition(0))
        return LogEnd(0, AuditPosition(0))

    before = 0
    for path in paths:
        first_sequence = _read_header(path)
        is_first = path == segment_path(directory, 0)
        if first_sequence <= before or is_first != (first_sequence == 1):
            raise Tampered(path, 0, "the segment does not continue the one before")
        before = first_sequence
    return LogEnd(int(paths[-1].stem), _recover_last(paths[-1], before, covered))


def create_segment(directory: Path, number: int, position: AuditPosition) -> None:
    """Make segment `number`, empty and durable with its name, to go on after `position`.

    Raises OSError; FileExistsError where there is one already.
    """
    with segment_path(directory, number).open("xb") as file:
        file.write(pack_header(position.sequence + 1))
        file.flush()
        os.fsync(file.fileno())
    sync_directory(directory)


def _recover_last(path: Path, first_sequence: int, covered: int) -> AuditPosition:
    sequence = first_sequence - 1
    end = HEADER_BYTES
    with path.open("r+b") as file:
        file.seek(HEADER_BYTES)
        try:
            for frame in read_frames(path, file):
                sequence += 1
                end = frame.end
        except TornTail as torn:
            end = torn.offset
        if covered > sequence:
            raise Tampered(path, end, "records the checkpoint speaks of are missing")
        file.truncate(end)
        os.fsync(file.fileno())
    return AuditPosition(sequence)


def _read_header(path: Path) -> int:
    try:
        with path.open("rb") as file:
            return read_header(path, file)
    except TornTail:
        raise Tampered(path, 0, "the header is cut off") from None
