"""The archived form of a finished segment: its records, compressed in blocks that open one by one.

A segment `00000012.seg` that is full becomes `00000012.arc` (integers big-endian):

    header   magic "JUKIARC1" (8), version (4), first sequence (8), length of the opening (4),
             length of the closing (4), CRC-32 of those (4)
    opening  the header of the segment, byte for byte
    closing  nothing in this version
    blocks   each a Zstandard frame of about 64 KiB of records: length (4), record, ...
    index    of each block: offset (8), length (4), CRC-32 (4), first sequence (8), raw length (4)
    footer   offset of the index (8), blocks (4), records (8), CRC-32 of opening, closing and index
             (4), CRC-32 of those (4)

Checks of frames are left out: they follow from the records. One record costs one block.
An archive takes the segment's place only after it was read back whole and compared.
"""

from __future__ import annotations

import os
import struct
import weakref
import zlib
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import zstandard

from juki.audit.segment import (
    HEADER_BYTES,
    MAX_RECORD_BYTES,
    Tampered,
    TornTail,
    read_frames,
    read_header,
)
from juki.domain.errors import JukiError, Reason
from juki.durable import sync_directory

ARCHIVE_SUFFIX: Final = ".arc"
SEGMENT_SUFFIX: Final = ".seg"

_MAGIC: Final = b"JUKIARC1"
_VERSION: Final = 1
_HEADER: Final = struct.Struct(">8sIQIII")
_FOOTER: Final = struct.Struct(">QIQII")
_BLOCK: Final = struct.Struct(">QIIQI")
_LENGTH: Final = struct.Struct(">I")
_BLOCK_BYTES: Final = 64 * 1024
_LEVEL: Final = 3
_MAX_LINK_BYTES: Final = 1024
_MAX_RAW_BYTES: Final = _BLOCK_BYTES + MAX_RECORD_BYTES + _LENGTH.size


@dataclass(frozen=True, slots=True)
class _Block:
    offset: int
    length: int
    check: int
    first_sequence: int
    raw_length: int


class Archive:
    """One archived segment, open for reading; safe to share between threads."""

    def __init__(self, path: Path) -> None:
        """Opens and checks header, index and footer; raises Tampered, OSError."""
        self.path = path
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        # Whoever still reads it when it is let go keeps it open.
        self.close = weakref.finalize(self, os.close, self._descriptor)
        size = os.fstat(self._descriptor).st_size
        first, opening, closing = _unpack_header(path, self._read(0, _HEADER.size))
        if opening > _MAX_LINK_BYTES or closing > _MAX_LINK_BYTES:
            raise Tampered(self.path, 0, "the header of the archive is impossible")
        footer_at = size - _FOOTER.size
        if footer_at < _HEADER.size:
            raise Tampered(self.path, size, "the archive is cut off")
        foot = self._read(footer_at, _FOOTER.size)
        index_at, count, self.records, links_check, check = _FOOTER.unpack(foot)
        blocks_at = _HEADER.size + opening + closing
        if check != zlib.crc32(foot[:-4]) or index_at + count * _BLOCK.size != footer_at:
            raise Tampered(self.path, footer_at, "the footer of the archive does not match")
        links = self._read(_HEADER.size, opening + closing)
        index = self._read(index_at, count * _BLOCK.size)
        if links_check != zlib.crc32(links + index):
            raise Tampered(self.path, index_at, "the index of the archive does not match its check")
        self.first_sequence = first
        self.opening = links[:opening]
        self.closing = links[opening:]
        self._blocks = [_Block(*fields) for fields in _BLOCK.iter_unpack(index)]
        self._firsts = [block.first_sequence for block in self._blocks]
        at = blocks_at
        for block in self._blocks:  # no byte of the file is left over
            if block.offset != at or block.raw_length > _MAX_RAW_BYTES:
                raise Tampered(self.path, at, "the blocks of the archive do not join")
            at += block.length
        if at != index_at:
            raise Tampered(self.path, at, "the blocks of the archive do not join")

    def record(self, sequence: int) -> bytes:
        """One record; raises JukiError (RECORD_NOT_FOUND), Tampered, OSError."""
        if not self.first_sequence <= sequence < self.first_sequence + self.records:
            raise JukiError(Reason.RECORD_NOT_FOUND, "the segment has no such record")
        block = self._blocks[bisect_right(self._firsts, sequence) - 1]
        raw = self._open_block(block)
        at, found = 0, block.first_sequence
        while at < len(raw):
            (length,) = _LENGTH.unpack_from(raw, at)
            at += _LENGTH.size
            if found == sequence:
                return raw[at : at + length]
            at += length
            found += 1
        raise Tampered(self.path, block.offset, "a record is missing from its block")

    def records_from(self, sequence: int) -> Iterator[tuple[int, bytes]]:
        """The records from `sequence` on, in order; raises Tampered, OSError."""
        start = max(bisect_right(self._firsts, sequence) - 1, 0)
        expected = self._firsts[start] if self._firsts else self.first_sequence
        for block in self._blocks[start:]:
            if block.first_sequence != expected:
                raise Tampered(self.path, block.offset, "records are missing before the block")
            for found, record in self._records_of(block):
                expected = found + 1
                if found >= sequence:
                    yield found, record
        if expected != self.first_sequence + self.records:
            raise Tampered(self.path, 0, "the archive has not the records it speaks of")

    def _records_of(self, block: _Block) -> Iterator[tuple[int, bytes]]:
        raw = self._open_block(block)
        at, sequence = 0, block.first_sequence
        while at < len(raw):
            (length,) = _LENGTH.unpack_from(raw, at)
            at += _LENGTH.size
            yield sequence, raw[at : at + length]
            at += length
            sequence += 1
        if at != len(raw):
            raise Tampered(self.path, block.offset, "a record is cut off in its block")

    def _open_block(self, block: _Block) -> bytes:
        data = self._read(block.offset, block.length)
        if zlib.crc32(data) != block.check:
            raise Tampered(self.path, block.offset, "a block does not match its check")
        try:
            # A decompressor of its own per call: they are not safe to share between threads.
            raw = zstandard.ZstdDecompressor().decompress(data, max_output_size=_MAX_RAW_BYTES)
        except zstandard.ZstdError:
            raise Tampered(self.path, block.offset, "a block cannot be opened") from None
        if len(raw) != block.raw_length:
            raise Tampered(
                self.path, block.offset, "a block has another length than its index says"
            )
        return raw

    def _read(self, offset: int, length: int) -> bytes:
        data = os.pread(self._descriptor, length, offset)
        if len(data) < length:
            raise Tampered(self.path, offset, "the archive is cut off")
        return data


def first_sequence_of(path: Path) -> int:
    """The first sequence of an archived segment; raises Tampered, OSError."""
    with path.open("rb") as file:
        return _unpack_header(path, file.read(_HEADER.size))[0]


def open_segment_records(path: Path) -> Iterator[tuple[int, bytes]]:
    """Every record of a segment in either form, as (sequence, record bytes), in order.

    A segment in use ends where its last whole frame ends. Raises Tampered, OSError.
    """
    if path.suffix == ARCHIVE_SUFFIX:
        archive = Archive(path)
        try:
            yield from archive.records_from(0)
        finally:
            archive.close()
        return
    with path.open("rb") as file:
        try:
            first = read_header(path, file)
            for sequence, frame in enumerate(read_frames(path, file), first):
                yield sequence, frame.record
        except TornTail:
            return


def archive_path(segment: Path) -> Path:
    """Where the archived form of a segment stands."""
    return segment.with_suffix(ARCHIVE_SUFFIX)


def archive_segment(path: Path) -> Path:
    """Puts the archived form in the place of a finished segment; the archive's path.

    The archive is durable and was compared with the segment, record by record, before the segment
    goes. Raises Tampered when the segment is not whole, OSError; the segment then stays.
    """
    made = archive_path(path)
    temporary = made.with_suffix(".arc-new")
    with path.open("rb") as file:
        opening = file.read(HEADER_BYTES)
    try:
        _write(path, temporary, opening, closing=b"")
    except TornTail as torn:
        raise Tampered(path, torn.offset, "the segment is cut off") from None
    _compare(path, temporary)
    temporary.replace(made)
    sync_directory(path.parent)
    path.unlink()
    sync_directory(path.parent)
    return made


def _unpack_header(path: Path, head: bytes) -> tuple[int, int, int]:
    """First sequence, lengths of opening and closing."""
    if len(head) < _HEADER.size:
        raise Tampered(path, 0, "the archive is cut off")
    magic, version, first, opening, closing, check = _HEADER.unpack(head)
    if magic != _MAGIC or version != _VERSION or check != zlib.crc32(head[:-4]):
        raise Tampered(path, 0, "this is not the header of an archived segment")
    return first, opening, closing


def _write(path: Path, into: Path, opening: bytes, closing: bytes) -> None:
    descriptor = os.open(into, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o640)
    with path.open("rb") as segment, os.fdopen(descriptor, "wb") as file:
        first = read_header(path, segment)
        head = _HEADER.pack(_MAGIC, _VERSION, first, len(opening), len(closing), 0)[:-4]
        file.write(head + _LENGTH.pack(zlib.crc32(head)) + opening + closing)
        compress = zstandard.ZstdCompressor(level=_LEVEL).compress
        index: list[bytes] = []
        records = 0
        gathered: list[bytes] = []
        size = 0

        def finish_block() -> None:
            raw = b"".join(gathered)
            data = compress(raw)
            index.append(
                _BLOCK.pack(
                    file.tell(),
                    len(data),
                    zlib.crc32(data),
                    first + records - len(gathered) // 2,
                    len(raw),
                )
            )
            file.write(data)

        for frame in read_frames(path, segment):
            gathered += (_LENGTH.pack(len(frame.record)), frame.record)
            size += len(frame.record)
            records += 1
            if size >= _BLOCK_BYTES:
                finish_block()
                gathered, size = [], 0
        if gathered:
            finish_block()
        joined = b"".join(index)
        foot = _FOOTER.pack(
            file.tell(), len(index), records, zlib.crc32(opening + closing + joined), 0
        )[:-4]
        file.write(joined + foot + _LENGTH.pack(zlib.crc32(foot)))
        file.flush()
        os.fsync(file.fileno())


def _compare(segment: Path, archived: Path) -> None:
    """Reads both; raises Tampered where they differ."""
    archive = Archive(archived)
    try:
        there = archive.records_from(0)
        for one, other in zip(open_segment_records(segment), there, strict=True):
            if one != other:
                raise Tampered(archived, 0, "the archive is not what the segment holds")
    except ValueError:  # zip: one ended before the other
        raise Tampered(archived, 0, "the archive has not as many records") from None
    finally:
        archive.close()
