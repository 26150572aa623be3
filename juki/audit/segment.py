"""The file format of the log, version 2: segments of frames, one frame a record.

A log is a directory of segments `00000000.seg`, `00000001.seg`, ... A segment is a header of 24
bytes, then frames to its end (integers big-endian):

    header  magic "JUKIAUD1" (8), version (4), sequence of its first record (8),
            CRC-32 of those 20 bytes (4)
    frame   record length (4), CRC-32 of the length (4), record, CRC-32 of the record (4)

The check of the length tells a frame cut off by a crash from a length altered afterwards: only the
first may be mended. The checks are against accidents; what was altered on purpose is told by the
Merkle tree over the records (`juki.audit.tree`), which the checkpoint signs.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from juki.domain.errors import JukiError, Reason

MAX_RECORD_BYTES: Final = 16 * 1024 * 1024

_MAGIC: Final = b"JUKIAUD1"
_VERSION: Final = 2
_HEADER: Final = struct.Struct(">8sIQI")
_BEGINNING: Final = struct.Struct(">8sI")
_LENGTH: Final = struct.Struct(">II")
HEADER_BYTES: Final = _HEADER.size

BEFORE_RECORD_BYTES: Final = _LENGTH.size
"""Of a frame, before its record: the length and its check."""

AFTER_RECORD_BYTES: Final = 4
"""Of a frame, after its record: the record's check."""


class TornTail(Exception):  # noqa: N818 - a state of the file, not yet an error
    """The segment ends in the middle of a header or frame; `offset` is where that one begins."""

    def __init__(self, offset: int) -> None:
        super().__init__(offset)
        self.offset = offset


class Tampered(JukiError):  # noqa: N818 - named for what was found
    """The log is not what was written; says in which file and at which byte."""

    def __init__(self, path: Path, offset: int, what: str) -> None:
        super().__init__(
            Reason.TAMPERING_DETECTED,
            f"{path.name} at byte {offset}: {what}",
            {"file": path.name, "offset": str(offset)},
        )
        self.path = path
        self.offset = offset
        self.what = what


@dataclass(frozen=True, slots=True)
class Frame:
    """One record as read back."""

    offset: int
    end: int
    """The byte after the frame."""

    record: bytes


def segment_path(directory: Path, number: int) -> Path:
    """The file of segment `number` (0, 1, ...)."""
    return directory / f"{number:08d}.seg"


def segments(directory: Path, archive_directory: Path | None = None) -> list[Path]:
    """The segments in use, in order; the oldest ones may be archived, there or in another place.

    Raises Tampered when one is missing between others or before the first.
    """
    found = sorted(directory.glob("*.seg"))
    first = int(found[0].stem) if found and found[0].stem.isdigit() else 0
    if first:
        name = f"{first - 1:08d}.arc"
        if not any(
            (place / name).exists() for place in (directory, archive_directory or directory)
        ):
            raise Tampered(found[0], 0, f"segment {first - 1:08d} is missing before it")
    for number, path in enumerate(found, first):
        if path != segment_path(directory, number):
            raise Tampered(path, 0, f"segment {number:08d} is missing before it")
    return found


def pack_header(first_sequence: int) -> bytes:
    """The header of a segment whose first record will be `first_sequence`."""
    head = _HEADER.pack(_MAGIC, _VERSION, first_sequence, 0)[:-4]
    return head + zlib.crc32(head).to_bytes(4, "big")


def pack_frame(record: bytes) -> bytes:
    """The frame of a record."""
    length = len(record).to_bytes(4, "big")
    crc32 = zlib.crc32
    return b"".join(
        (length, crc32(length).to_bytes(4, "big"), record, crc32(record).to_bytes(4, "big"))
    )


def read_header(path: Path, file: BinaryIO) -> int:
    """The first sequence; raises TornTail (0) or Tampered, also for a format not known."""
    data = file.read(HEADER_BYTES)
    if len(data) >= _BEGINNING.size:
        magic, version = _BEGINNING.unpack_from(data)
        if magic != _MAGIC:
            raise Tampered(path, 0, "this is not the header of an audit segment")
        if version != _VERSION:
            raise Tampered(path, 0, f"audit log format {version} is not known, only {_VERSION}")
    if len(data) < HEADER_BYTES:
        raise TornTail(0)
    first_sequence: int = _HEADER.unpack(data)[2]
    if data != pack_header(first_sequence):
        raise Tampered(path, 0, "the header does not match its check")
    return first_sequence


def read_frames(path: Path, file: BinaryIO, offset: int = HEADER_BYTES) -> Iterator[Frame]:
    """The frames from `offset` on, where the file stands; each against its checks.

    Raises TornTail when the file ends within a frame, Tampered when anything else is wrong.
    """
    while head := file.read(BEFORE_RECORD_BYTES):
        if len(head) < BEFORE_RECORD_BYTES:
            raise TornTail(offset)
        length, check = _LENGTH.unpack(head)
        if check != zlib.crc32(head[:4]) or length > MAX_RECORD_BYTES:
            raise Tampered(path, offset, "the length of a record does not match its check")
        body = file.read(length + AFTER_RECORD_BYTES)
        if len(body) < length + AFTER_RECORD_BYTES:
            raise TornTail(offset)
        record = body[:length]
        if zlib.crc32(record).to_bytes(4, "big") != body[length:]:
            raise Tampered(path, offset, "the record does not match its check")
        end = offset + len(head) + len(body)
        yield Frame(offset, end, record)
        offset = end
