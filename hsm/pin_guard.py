"""Keeps custody from using up a PIN's attempts: one that was refused is not tried again.

What is kept is which file was refused (inode, size, time of change), beside the sockets, so that a
replaced worker and a restarted custody know it too. Nothing of the PIN itself is kept.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

_LOCKED_PAUSE_SECONDS = 30.0
"""For tokens that say they are locked only when asked to log in: the pause between askings."""


@dataclass(frozen=True)
class _Refusal:
    """A refused PIN file."""

    inode: int
    size: int
    changed: int
    """Time of the file's last change, in nanoseconds."""
    locked: bool
    """Whether the token answered that its PIN is locked."""
    warned: bool
    """Whether the token said afterwards that attempts were used up (CKF_USER_PIN_COUNT_LOW)."""
    at: float
    """When, in seconds since 1970."""


class PinGuard:
    """Remembers the PIN file that the token refused."""

    def __init__(
        self, pin_file: Path, memory: Path, clock: Callable[[], float] = time.time
    ) -> None:
        self.pin_file = pin_file
        self._memory = memory
        self._clock = clock
        self._kept = self._read()

    def forbids(self, *, warned: bool) -> bool:
        """Whether the PIN in the file was refused and nothing has changed since.

        `warned` is whether the token says now that attempts were used up. Where it said so after
        the refusal and says so no more, an officer has set the PIN anew, maybe to this one.
        """
        kept = self._kept
        if kept is None or self._identity() != (kept.inode, kept.size, kept.changed):
            return False
        if kept.locked:
            # A locked PIN cannot be locked further; an officer may have unlocked it meanwhile.
            return abs(self._clock() - kept.at) < _LOCKED_PAUSE_SECONDS
        return not (kept.warned and not warned)

    def refused(self, *, locked: bool, warned: bool) -> None:
        """The token has refused the PIN in the file, or has locked it."""
        inode, size, changed = self._identity()
        self._kept = _Refusal(inode, size, changed, locked, warned, self._clock())
        # Where nothing can be written, this worker at least keeps its own attempts to one.
        with suppress(OSError):
            self._memory.write_text(json.dumps(asdict(self._kept)), encoding="ascii")

    def accepted(self) -> None:
        """The token has taken the PIN."""
        self._kept = None
        with suppress(OSError):
            self._memory.unlink(missing_ok=True)

    def _identity(self) -> tuple[int, int, int]:
        try:
            state = self.pin_file.stat()
        except OSError:
            return (0, 0, 0)
        return (state.st_ino, state.st_size, state.st_mtime_ns)

    def _read(self) -> _Refusal | None:
        try:
            return _Refusal(**json.loads(self._memory.read_text(encoding="ascii")))
        except (OSError, ValueError, TypeError):
            return None
