"""How far the stream is known, for whoever waits for it to move."""

from __future__ import annotations

import dataclasses
import threading
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Standing:
    """Where the stream stands; instants are microseconds since 1970-01-01 UTC."""

    epoch: int = 1
    issued_through: int = 0
    prefecture_epoch: int = 1
    prefecture_through: int = 0
    nation_epoch: int = 1
    nation_through: int = 0
    nation_receipt_at: int | None = None
    numbers_pending: int = 0
    codes_available: int = 0


class Progress:
    """The standing, with waiting; every change wakes all who wait."""

    def __init__(self, standing: Standing) -> None:
        self._changed = threading.Condition(threading.RLock())
        self._standing = standing
        self._version = 0
        self._closed = False

    @property
    def standing(self) -> Standing:
        """The standing now."""
        with self._changed:
            return self._standing

    @property
    def version(self) -> int:
        """A count of the changes so far."""
        with self._changed:
            return self._version

    def move(self, **changes: int | None) -> None:
        """Replaces fields of the standing."""
        with self._changed:
            following = dataclasses.replace(self._standing, **changes)  # type: ignore[arg-type]
            if following != self._standing:
                self._standing = following
                self._version += 1
                self._changed.notify_all()

    def add_numbers_pending(self, difference: int) -> None:
        """Counts records that got or lost a pending number."""
        with self._changed:
            self.move(numbers_pending=max(0, self._standing.numbers_pending + difference))

    def wait(self, seen: int, timeout: float) -> tuple[int, Standing]:
        """The version and standing once the version differs from `seen`, or after `timeout` s."""
        with self._changed:
            self._changed.wait_for(lambda: self._version != seen or self._closed, timeout)
            return self._version, self._standing

    def close(self) -> None:
        """Wakes all who wait, for good."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
