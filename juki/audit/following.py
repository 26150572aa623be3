"""Reads the records of a log in order from its segments, as far as they are known to be durable."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from juki.audit.segment import (
    HEADER_BYTES,
    Tampered,
    TornTail,
    read_frames,
    read_header,
    segment_path,
    segments,
)


@dataclass(frozen=True, slots=True)
class FoundRecord:
    """A record and where it stands."""

    sequence: int
    record: bytes
    path: Path
    offset: int
    """Where its frame begins."""


class SegmentFollower:
    """Goes on where it stopped; for one thread."""

    def __init__(self, directory: Path, sequence: int, archives: Path | None = None) -> None:
        """The first record read will be `sequence` (1: the log's first).

        Raises Tampered when the segment it stands in is missing or archived, OSError.
        """
        self._directory = directory
        self._sequence = sequence
        number = _segment_of(directory, sequence, archives)
        self._number = number
        self._file = self._open(number)
        self._offset = HEADER_BYTES
        self._at = read_header(segment_path(directory, number), self._file)
        """Sequence of the record at `_offset`."""

    def read(self, up_to: int) -> Iterator[FoundRecord]:
        """The records up to and including `up_to`, which must be durable.

        Raises Tampered when one of them is not there or not what was written, OSError.
        """
        while self._sequence <= up_to:
            path = segment_path(self._directory, self._number)
            self._file.seek(self._offset)
            try:
                for frame in read_frames(path, self._file, self._offset):
                    self._offset = frame.end
                    self._at += 1
                    if self._at > self._sequence:
                        self._sequence += 1
                        yield FoundRecord(self._at - 1, frame.record, path, frame.offset)
                    if self._sequence > up_to:
                        return
            except TornTail as torn:
                raise Tampered(path, torn.offset, "the segment is cut off") from None
            self._go_on(path)

    def close(self) -> None:
        """Gives the file back."""
        self._file.close()

    def _go_on(self, path: Path) -> None:
        following = segment_path(self._directory, self._number + 1)
        if not following.exists():
            raise Tampered(path, self._offset, "records that were durable are missing")
        self._file.close()
        self._number += 1
        self._file = self._open(self._number)
        if read_header(following, self._file) != self._at:
            raise Tampered(following, 0, "the segment does not continue the one before")
        self._offset = HEADER_BYTES

    def _open(self, number: int) -> BinaryIO:
        # Not buffered: what is read ahead of the durable end may be cut off and written anew.
        return segment_path(self._directory, number).open("rb", buffering=0)


def _segment_of(directory: Path, sequence: int, archives: Path | None) -> int:
    """The last segment that begins at or before a record; raises Tampered, OSError."""
    for path in reversed(segments(directory, archives)):
        with path.open("rb") as file:
            try:
                first = read_header(path, file)
            except TornTail:
                continue  # begun by a rotation that did not end
        if first <= sequence:
            return int(path.stem)
    raise Tampered(segment_path(directory, 0), 0, "the segment of a record is missing")
