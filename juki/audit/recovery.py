"""Finds the end of a log that was left behind, and mends what a crash may have left unfinished.

A frame cut off at the very end was never acknowledged (its fsync cannot have returned): it is cut
away. Anything else that is wrong stops the start: Tampered, with file and byte.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from juki.audit.head import SignedHead, read_head
from juki.audit.port import AuditPosition
from juki.audit.segment import (
    GENESIS,
    HEADER_BYTES,
    Tampered,
    TornTail,
    last_chain_hash,
    pack_header,
    read_frames,
    read_header,
    segment_path,
    segments,
)
from juki.durable import sync_directory


@dataclass(frozen=True, slots=True)
class LogEnd:
    """Where writing goes on: the last segment and the last record (sequence 0: none yet)."""

    segment: int
    position: AuditPosition


def recover(directory: Path) -> LogEnd:
    """The end of the log in `directory`, whole and durable; an empty directory begins a log.

    Reads the last segment in full and of the others what links them (`juki audit verify` reads
    everything). Raises Tampered, and OSError.
    """
    paths = segments(directory)
    head = read_head(directory)
    if paths and paths[-1].stat().st_size < HEADER_BYTES:
        # Begun by a rotation that did not end; a segment gets records only after its header.
        paths.pop().unlink()
    if not paths:
        genesis = AuditPosition(0, GENESIS)
        first = segment_path(directory, 0)
        if head is not None and head.position != genesis:
            raise Tampered(first, 0, "the records the signed head speaks of are missing")
        create_segment(directory, 0, genesis)
        return LogEnd(0, genesis)

    before = GENESIS
    for path in paths[:-1]:
        _, linked = _read_header(path)
        if linked != before:
            raise Tampered(path, 0, "the segment does not continue the one before")
        before = last_chain_hash(path)
    return LogEnd(len(paths) - 1, _recover_last(paths[-1], before, head))


def create_segment(directory: Path, number: int, position: AuditPosition) -> None:
    """Make segment `number`, empty and durable with its name, to go on after `position`.

    Raises OSError; FileExistsError where there is one already.
    """
    with segment_path(directory, number).open("xb") as file:
        file.write(pack_header(position.sequence + 1, position.chain_hash))
        file.flush()
        os.fsync(file.fileno())
    sync_directory(directory)


def _recover_last(path: Path, before: bytes, head: SignedHead | None) -> AuditPosition:
    first_sequence, chain_hash = _read_header(path)
    if chain_hash != before:
        raise Tampered(path, 0, "the segment does not continue the one before")
    position = AuditPosition(first_sequence - 1, chain_hash)
    end = HEADER_BYTES
    with path.open("r+b") as file:
        file.seek(HEADER_BYTES)
        _check_against_head(path, end, position, head)
        try:
            for frame in read_frames(path, file, chain_hash):
                position = AuditPosition(position.sequence + 1, frame.chain_hash)
                end = frame.end
                _check_against_head(path, frame.offset, position, head)
        except TornTail as torn:
            end = torn.offset
        if head is not None and head.position.sequence > position.sequence:
            raise Tampered(path, end, "the records the signed head speaks of are missing")
        file.truncate(end)
        os.fsync(file.fileno())
    return position


def _check_against_head(
    path: Path, offset: int, position: AuditPosition, head: SignedHead | None
) -> None:
    if head is None or head.position.sequence != position.sequence:
        return
    if head.position != position:
        raise Tampered(path, offset, "the record is not the one the signed head speaks of")


def _read_header(path: Path) -> tuple[int, bytes]:
    try:
        with path.open("rb") as file:
            return read_header(path, file)
    except TornTail:
        raise Tampered(path, 0, "the header is cut off") from None
