"""The newest entries, in memory until there are enough of them for a run."""

from __future__ import annotations

import hashlib
import threading

import numpy as np

from juki.audit.persons.rows import Numbers

_FIRST_ROWS = 1 << 12


class Tail:
    """Rows in the order of their positions; one thread adds, any number read."""

    def __init__(self, complete_to: int) -> None:
        """`complete_to` is the sequence of the last record before it."""
        self.first_sequence = complete_to + 1
        self._lock = threading.Lock()
        self._prefixes: Numbers = np.empty(_FIRST_ROWS, dtype=np.uint64)
        self._positions: Numbers = np.empty(_FIRST_ROWS, dtype=np.uint64)
        self._rows = 0
        self._complete_to = complete_to
        self._last_record = b""

    def add(
        self, prefixes: Numbers, positions: Numbers, last_sequence: int, last_record: bytes
    ) -> None:
        """Adds the rows of the records up to `last_sequence`, whose bytes are `last_record`."""
        with self._lock:
            rows = self._rows + len(prefixes)
            if rows > len(self._prefixes):
                room = max(rows, 2 * len(self._prefixes))
                # Readers go on with the arrays they have.
                self._prefixes = np.resize(self._prefixes, room)
                self._positions = np.resize(self._positions, room)
            self._prefixes[self._rows : rows] = prefixes
            self._positions[self._rows : rows] = positions
            self._rows = rows
            self._complete_to = last_sequence
            self._last_record = last_record

    @property
    def rows(self) -> int:
        """How many entries it holds."""
        return self._rows

    @property
    def complete_to(self) -> int:
        """Sequence of the last record it covers."""
        return self._complete_to

    @property
    def records(self) -> int:
        """How many records it covers."""
        return self._complete_to - self.first_sequence + 1

    def last_record_digest(self) -> str:
        """SHA-256 of the last record it covers, hexadecimal."""
        return hashlib.sha256(self._last_record).hexdigest()

    def columns(self) -> tuple[Numbers, Numbers]:
        """Prefixes and positions of all rows."""
        with self._lock:
            return self._prefixes[: self._rows], self._positions[: self._rows]

    def positions(self, prefix: int, below: int) -> list[int]:
        """Packed positions under a prefix that are less than `below`, the greatest first."""
        prefixes, positions = self.columns()
        found = positions[prefixes == np.uint64(prefix)][::-1]
        if not below >> 64:
            found = found[found < np.uint64(below)]
        return [int(position) for position in found]
