"""A run: rows of the index sorted by pseudonym, in a file that never changes.

Layout (integers little-endian, as the machine's own):

    header     magic "JUKIRUN1" (8), version (4), bits of the directory (4), rows (8), first and
               last sequence covered (8 each), CRC-32 of the directory (4), of the rows (4), and of
               those 48 bytes (4)
    directory  2^bits + 1 numbers (8): the first row of each part of the prefixes' range
    rows       prefix (8), packed position (8), ascending by both

Prefixes are evenly spread, so a part holds about 128 rows: a person is found with one read in the
directory and few in one page of the rows. Read with pread and not mapped: a file that was cut off
is an error to be told, not a signal.
"""

from __future__ import annotations

import os
import struct
import weakref
import zlib
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, overload

import numpy as np

from juki.audit.persons.rows import Numbers

ROW_BYTES: Final = 16

_MAGIC: Final = b"JUKIRUN1"
_VERSION: Final = 1
_HEADER: Final = struct.Struct("<8sIIQQQIII")
_NUMBER: Final = struct.Struct("<Q")
_ROW: Final = struct.Struct("<QQ")
_ROWS_A_PART: Final = 128
_MAX_BITS: Final = 32
_CHECK_BYTES: Final = 1 << 22
_NEWEST_FIRST: Final = 1024
"""Rows of one person read at once."""


class DamagedRun(Exception):  # noqa: N818 - a state of a derived file, which is then made anew
    """A run is not what was written."""


class _Prefixes(Sequence[int]):
    """The prefixes of some rows of a file, read when asked for: for bisect."""

    def __init__(self, run: Run, start: int, stop: int) -> None:
        self._run, self._start, self._stop = run, start, stop

    def __len__(self) -> int:
        return self._stop - self._start

    @overload
    def __getitem__(self, index: int) -> int: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[int]: ...
    def __getitem__(self, index: int | slice) -> int | Sequence[int]:
        assert isinstance(index, int)
        return self._run.row(self._start + index)[0]


class _Positions(_Prefixes):
    """Their positions."""

    @overload
    def __getitem__(self, index: int) -> int: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[int]: ...
    def __getitem__(self, index: int | slice) -> int | Sequence[int]:
        assert isinstance(index, int)
        return self._run.row(self._start + index)[1]


class Run:
    """One run, open for reading; safe to share between threads."""

    def __init__(self, path: Path) -> None:
        """Checks the header and the length, not the rows; raises DamagedRun, OSError."""
        self.path = path
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        # Whoever still reads it when it is let go keeps it open.
        self.close = weakref.finalize(self, os.close, self._descriptor)
        head = self._read(0, _HEADER.size)
        magic, version, bits, rows, first, last, directory, content, check = _HEADER.unpack(head)
        if magic != _MAGIC or version != _VERSION or check != zlib.crc32(head[:-4]):
            raise DamagedRun(f"{path.name}: not the header of a run")
        if bits > _MAX_BITS:
            raise DamagedRun(f"{path.name}: an impossible directory")
        self.rows: int = rows
        self.first_sequence: int = first
        self.last_sequence: int = last
        self._bits: int = bits
        self._checks = (directory, content)
        self._rows_at = _HEADER.size + ((1 << bits) + 1) * _NUMBER.size
        self.bytes = self._rows_at + rows * ROW_BYTES
        if os.fstat(self._descriptor).st_size != self.bytes:
            raise DamagedRun(f"{path.name}: not as long as it says")

    def row(self, number: int) -> tuple[int, int]:
        """Prefix and packed position of one row."""
        prefix, position = _ROW.unpack(self._read(self._rows_at + number * ROW_BYTES, ROW_BYTES))
        return prefix, position

    def positions(self, prefix: int, below: int) -> Iterator[int]:
        """Packed positions under a prefix that are less than `below`, the greatest first."""
        start, stop = self._part(prefix)
        prefixes = _Prefixes(self, start, stop)
        stop = start + bisect_right(prefixes, prefix)
        start += bisect_left(prefixes, prefix)
        stop = start + bisect_left(_Positions(self, start, stop), below)
        while stop > start:
            at = max(start, stop - _NEWEST_FIRST)
            _, positions = self.columns(at, stop)
            yield from positions[::-1].tolist()
            stop = at

    def lower_bound(self, prefix: int) -> int:
        """Number of the first row whose prefix is not less than `prefix` (0 to 2^64)."""
        if prefix >> 64:
            return self.rows
        start, stop = self._part(prefix)
        return start + bisect_left(_Prefixes(self, start, stop), prefix)

    def columns(self, start: int, stop: int) -> tuple[Numbers, Numbers]:
        """Prefixes and positions of rows; raises DamagedRun, OSError."""
        data = self._read(self._rows_at + start * ROW_BYTES, (stop - start) * ROW_BYTES)
        both = np.frombuffer(data, dtype=np.uint64).reshape(-1, 2)
        return both[:, 0], both[:, 1]

    def check(self) -> None:
        """Reads all of it; raises DamagedRun where a byte is not what was written."""
        for at, end, expected in (
            (_HEADER.size, self._rows_at, self._checks[0]),
            (self._rows_at, self.bytes, self._checks[1]),
        ):
            found = 0
            for offset in range(at, end, _CHECK_BYTES):
                found = zlib.crc32(self._read(offset, min(_CHECK_BYTES, end - offset)), found)
            if found != expected:
                raise DamagedRun(f"{self.path.name}: the content does not match its check")

    def _part(self, prefix: int) -> tuple[int, int]:
        part = prefix >> (64 - self._bits)
        data = self._read(_HEADER.size + part * _NUMBER.size, 2 * _NUMBER.size)
        start, stop = struct.unpack("<QQ", data)
        if not start <= stop <= self.rows:
            raise DamagedRun(f"{self.path.name}: the directory is impossible")
        return start, stop

    def _read(self, offset: int, length: int) -> bytes:
        data = os.pread(self._descriptor, length, offset)
        while len(data) < length:  # a single call gives at most 2 GiB
            more = os.pread(self._descriptor, length - len(data), offset + len(data))
            if not more:
                raise DamagedRun(f"{self.path.name}: cut off")
            data += more
        return data


def write_run(
    path: Path,
    rows: int,
    first_sequence: int,
    last_sequence: int,
    sorted_parts: Iterable[tuple[Numbers, Numbers]],
) -> Run:
    """Makes a run of `rows` rows durable, apart from its name in the directory; opens it.

    `sorted_parts` gives prefixes and positions in ascending order, part after part; no prefix
    stands in two parts. Raises OSError; a run left unfinished is written over or removed later.
    """
    bits = max(0, (rows // _ROWS_A_PART).bit_length())
    parts = 1 << bits
    shift = np.uint64(64 - bits)
    counts = np.zeros(parts, dtype=np.int64)
    directory_bytes = (parts + 1) * _NUMBER.size
    written = check = 0
    flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
    with os.fdopen(os.open(path, flags, 0o600), "w+b") as file:
        file.seek(_HEADER.size + directory_bytes)
        for prefixes, positions in sorted_parts:
            if bits:
                _count(counts, prefixes >> shift)
            data = np.column_stack((prefixes, positions)).tobytes()
            check = zlib.crc32(data, check)
            file.write(data)
            written += len(prefixes)
        assert written == rows, "as many rows as were announced"
        if not bits:
            counts[0] = rows
        directory = np.zeros(parts + 1, dtype=np.uint64)
        np.cumsum(counts, out=directory[1:], dtype=np.uint64)
        head = _HEADER.pack(
            _MAGIC,
            _VERSION,
            bits,
            rows,
            first_sequence,
            last_sequence,
            zlib.crc32(directory.tobytes()),
            check,
            0,
        )[:-4]
        file.seek(0)
        file.write(head + zlib.crc32(head).to_bytes(4, "little") + directory.tobytes())
        file.flush()
        os.fsync(file.fileno())
    return Run(path)


def _count(counts: np.ndarray, parts: Numbers) -> None:
    """Adds how often each part occurs; `parts` is ascending."""
    if len(parts):
        first = int(parts[0])
        found = np.bincount((parts - parts[0]).astype(np.int64))
        counts[first : first + len(found)] += found
