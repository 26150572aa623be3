"""Records by their sequence, one at a time or in a row: from segments in use and archived ones.

Nothing is verified here beyond what is needed to find a record (`juki audit verify` does that):
this is for what is derived from the log, and for showing single records of it.
"""

from __future__ import annotations

import os
import threading
import weakref
import zlib
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from juki.audit.archive import ARCHIVE_SUFFIX, SEGMENT_SUFFIX, Archive, first_sequence_of
from juki.audit.segment import (
    AFTER_RECORD_BYTES,
    BEFORE_RECORD_BYTES,
    HEADER_BYTES,
    MAX_RECORD_BYTES,
    Tampered,
    TornTail,
    read_header,
    segments,
)
from juki.domain.errors import JukiError, Reason

_STEP_BYTES: Final = 16 * 1024
"""An offset is remembered for each so many bytes of a segment."""

_READ_BYTES: Final = 1 << 20
_OPEN_FILES: Final = 256


class SegmentInUse:
    """A segment that is not archived: it may still grow. Safe to share between threads."""

    def __init__(self, path: Path) -> None:
        """Raises Tampered, TornTail (no whole header yet), OSError."""
        self.path = path
        with path.open("rb") as file:
            self.first_sequence = read_header(path, file)
            self._descriptor = os.dup(file.fileno())
        # Whoever still reads it when it is let go keeps it open.
        self.close = weakref.finalize(self, os.close, self._descriptor)
        self._lock = threading.Lock()
        self._sequences = [self.first_sequence]
        self._offsets = [HEADER_BYTES]
        """Where the records of `_sequences` begin."""

    def record(self, sequence: int) -> bytes:
        """One record; raises JukiError (RECORD_NOT_FOUND), Tampered, OSError."""
        for found, record in self.records_from(sequence):
            if found == sequence:
                return record
            break
        raise JukiError(Reason.RECORD_NOT_FOUND, "the segment has no such record")

    def records_from(self, sequence: int) -> Iterator[tuple[int, bytes]]:
        """The records from `sequence` on that are whole; raises Tampered, OSError."""
        with self._lock:
            near = max(bisect_right(self._sequences, sequence) - 1, 0)
            at, offset = self._sequences[near], self._offsets[near]
        buffer, start = b"", offset
        want = _STEP_BYTES
        while True:
            inside = offset - start
            head = buffer[inside : inside + BEFORE_RECORD_BYTES]
            if len(head) == BEFORE_RECORD_BYTES:
                length = self._length(head, offset)
                whole = BEFORE_RECORD_BYTES + length + AFTER_RECORD_BYTES
                if inside + whole <= len(buffer):
                    body = inside + BEFORE_RECORD_BYTES
                    offset += whole
                    self._remember(at + 1, offset)
                    if at >= sequence:
                        yield at, buffer[body : body + length]
                    at += 1
                    continue
                want = max(want, whole)
            more = os.pread(self._descriptor, max(want, _STEP_BYTES), offset)
            if len(more) <= len(buffer) - inside:
                return  # no more than was there already: the rest is not written yet
            buffer, start = more, offset
            want = min(want * 2, _READ_BYTES)

    def _length(self, head: bytes, offset: int) -> int:
        length = int.from_bytes(head[:4], "big")
        if zlib.crc32(head[:4]) != int.from_bytes(head[4:], "big") or length > MAX_RECORD_BYTES:
            raise Tampered(self.path, offset, "the length of a record does not match its check")
        return length

    def _remember(self, sequence: int, offset: int) -> None:
        if offset >= self._offsets[-1] + _STEP_BYTES:
            with self._lock:
                if offset >= self._offsets[-1] + _STEP_BYTES:
                    self._sequences.append(sequence)
                    self._offsets.append(offset)


class LogRecords:
    """`RecordReader` over the directories of a log; safe to share between threads.

    Only the last segment is being written. A record that was written and not yet made durable may
    be read: who asks knows up to where the log is durable.
    """

    def __init__(self, directory: Path, archive_directory: Path | None = None) -> None:
        """`archive_directory` is where archived segments may have been moved to."""
        self._directories = [directory, *([archive_directory] if archive_directory else [])]
        self._lock = threading.Lock()
        self._firsts: list[int] = []
        """First sequence of each segment, by its number."""

        self._open: OrderedDict[int, SegmentInUse | Archive] = OrderedDict()

    def record(self, sequence: int) -> bytes:
        """See `RecordReader`; raises OSError where a file cannot be read."""
        number = self._last_known(sequence)
        if number is not None:
            try:
                return self._file(number).record(sequence)
            except JukiError as error:
                if error.reason is not Reason.RECORD_NOT_FOUND:
                    raise
        later = self._number_of(sequence)  # in a segment begun since it was last looked
        if later is None or later == number:
            raise JukiError(Reason.RECORD_NOT_FOUND, "the log has no such record")
        return self._file(later).record(sequence)

    def records_from(self, sequence: int) -> Iterator[tuple[int, bytes]]:
        """Every whole record from `sequence` on, in order, through all segments.

        Raises:
            Tampered: A file cannot be read as what it should be.
            OSError: It cannot be read at all.
        """
        number = self._number_of(sequence)
        while number is not None:
            for found, record in self._file(number).records_from(sequence):
                yield found, record
                sequence = found + 1
            following = number + 1
            if not self._knows(following) or self._firsts[following] != sequence:
                return
            number = following

    def close(self) -> None:
        """Gives all files back; nobody may be reading."""
        with self._lock:
            while self._open:
                self._open.popitem()[1].close()

    def _number_of(self, sequence: int) -> int | None:
        """The segment a record stands in, or would stand in."""
        while self._knows(len(self._firsts)):
            pass
        return self._last_known(sequence)

    def _last_known(self, sequence: int) -> int | None:
        with self._lock:
            number = bisect_right(self._firsts, sequence) - 1
        return number if number >= 0 else None

    def _knows(self, number: int) -> bool:
        """Whether the segment is there; its first sequence is known then."""
        with self._lock:
            if number < len(self._firsts):
                return True
        try:
            first = self._first_sequence_of(number)
        except (FileNotFoundError, TornTail):
            return False
        with self._lock:
            if number == len(self._firsts):
                self._firsts.append(first)
        return True

    def _file(self, number: int) -> SegmentInUse | Archive:
        with self._lock:
            found = self._open.get(number)
            if found is not None and (isinstance(found, Archive) or found.path.exists()):
                self._open.move_to_end(number)
                return found
            try:
                made = _open(self._path(number))
            except FileNotFoundError:  # archived or moved between the two looks, or not there
                made = _open(self._path(number))
            self._open[number] = made
            while len(self._open) > _OPEN_FILES:
                self._open.popitem(last=False)
            return made

    def _first_sequence_of(self, number: int) -> int:
        return first_sequence_of_segment(self._path(number))

    def _path(self, number: int) -> Path:
        """The file of a segment, the archived form where there are both; FileNotFoundError."""
        names = (f"{number:08d}{ARCHIVE_SUFFIX}", f"{number:08d}{SEGMENT_SUFFIX}")
        for _ in range(2):  # it may be archived or moved between two looks
            for name in names:
                for directory in self._directories:
                    if (directory / name).exists():
                        return directory / name
        raise FileNotFoundError(names[-1])


def _open(path: Path) -> SegmentInUse | Archive:
    return Archive(path) if path.suffix == ARCHIVE_SUFFIX else SegmentInUse(path)


def first_sequence_of_segment(path: Path) -> int:
    """The first sequence of a segment in either form; raises Tampered, TornTail, OSError."""
    if path.suffix == ARCHIVE_SUFFIX:
        return first_sequence_of(path)
    with path.open("rb") as file:
        return read_header(path, file)


def files_of(directory: Path, archive_directory: Path | None = None) -> list[Path]:
    """The files of a log in order, archived segments first; raises Tampered when one is missing."""
    in_use = segments(directory, archive_directory)
    first = int(in_use[0].stem) if in_use else 0
    found = []
    for number in range(first):
        name = f"{number:08d}{ARCHIVE_SUFFIX}"
        places = (directory / name, (archive_directory or directory) / name)
        there = next((path for path in places if path.exists()), None)
        if there is None:
            raise Tampered(places[0], 0, "the archived segment is missing")
        found.append(there)
    return found + in_use
