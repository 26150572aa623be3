"""The file format of the log: segments of hash-chained frames.

A log is a directory of segments `00000000.seg`, `00000001.seg`, ... A segment is a header of 56
bytes, then frames to its end (integers big-endian):

    header  magic "JUKIAUD1" (8), version (4), sequence of its first record (8),
            chain hash before it (32), CRC-32 of those 52 bytes (4)
    frame   record length (4), CRC-32 of the length (4), record, chain hash (32)

The chain hash is SHA-256(previous chain hash || record bytes). The check of the length tells a
frame cut off by a crash from a length altered afterwards: only the first may be mended.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from juki.domain.errors import JukiError, Reason

GENESIS: Final = hashlib.sha256(b"juki audit log, version 1").digest()
"""The chain hash before the first record of any log."""

MAX_RECORD_BYTES: Final = 16 * 1024 * 1024

_MAGIC: Final = b"JUKIAUD1"
_VERSION: Final = 1
_HEADER: Final = struct.Struct(">8sIQ32sI")
_LENGTH: Final = struct.Struct(">II")
HEADER_BYTES: Final = _HEADER.size
_HASH_BYTES: Final = 32


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
    chain_hash: bytes


def segment_path(directory: Path, number: int) -> Path:
    """The file of segment `number` (0, 1, ...)."""
    return directory / f"{number:08d}.seg"


def segments(directory: Path) -> list[Path]:
    """The segments in order; raises Tampered when one is missing between others."""
    found = sorted(directory.glob("*.seg"))
    for number, path in enumerate(found):
        if path != segment_path(directory, number):
            raise Tampered(path, 0, f"segment {number:08d} is missing before it")
    return found


def pack_header(first_sequence: int, chain_hash: bytes) -> bytes:
    """The header of a segment whose first record will be `first_sequence`."""
    head = _HEADER.pack(_MAGIC, _VERSION, first_sequence, chain_hash, 0)
    return head[:-4] + zlib.crc32(head[:-4]).to_bytes(4, "big")


def pack_frame(record: bytes, chain_hash: bytes) -> tuple[bytes, bytes]:
    """The frame of `record` after `chain_hash`, and the chain hash that follows."""
    length = len(record).to_bytes(4, "big")
    following = next_chain_hash(chain_hash, record)
    return b"".join((length, zlib.crc32(length).to_bytes(4, "big"), record, following)), following


def next_chain_hash(chain_hash: bytes, record: bytes) -> bytes:
    """SHA-256(previous chain hash || record bytes)."""
    digest = hashlib.sha256(chain_hash)
    digest.update(record)
    return digest.digest()


def read_header(path: Path, file: BinaryIO) -> tuple[int, bytes]:
    """First sequence and chain hash before it; raises TornTail (0) or Tampered."""
    data = file.read(HEADER_BYTES)
    if len(data) < HEADER_BYTES:
        raise TornTail(0)
    magic, version, first_sequence, chain_hash, _ = _HEADER.unpack(data)
    if magic != _MAGIC or version != _VERSION:
        raise Tampered(path, 0, "this is not the header of an audit segment")
    if data != pack_header(first_sequence, chain_hash):
        raise Tampered(path, 0, "the header does not match its check")
    return first_sequence, chain_hash


def read_frames(path: Path, file: BinaryIO, chain_hash: bytes) -> Iterator[Frame]:
    """The frames after the header, each checked against the chain.

    Raises TornTail when the file ends within a frame, Tampered when anything else is wrong.
    """
    offset = HEADER_BYTES
    while head := file.read(_LENGTH.size):
        if len(head) < _LENGTH.size:
            raise TornTail(offset)
        length, check = _LENGTH.unpack(head)
        if check != zlib.crc32(head[:4]) or length > MAX_RECORD_BYTES:
            raise Tampered(path, offset, "the length of a record does not match its check")
        body = file.read(length + _HASH_BYTES)
        if len(body) < length + _HASH_BYTES:
            raise TornTail(offset)
        record = body[:length]
        chain_hash = next_chain_hash(chain_hash, record)
        if body[length:] != chain_hash:
            raise Tampered(path, offset, "the record does not match the chain")
        end = offset + len(head) + len(body)
        yield Frame(offset, end, record, chain_hash)
        offset = end


def last_chain_hash(path: Path) -> bytes:
    """The chain hash a finished segment ends with: its last frame's, or its header's if empty."""
    with path.open("rb") as file:
        _, chain_hash = read_header(path, file)
        end = file.seek(0, 2)
        if end > HEADER_BYTES:
            file.seek(max(HEADER_BYTES, end - _HASH_BYTES))
            chain_hash = file.read()
    return chain_hash
