"""The officers' list as its file is now: an appointment counts without a restart."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import structlog

from juki.domain.errors import JukiError
from juki.policy.acts.officers import Officer, load_officers

_LOG: Final = structlog.get_logger(__name__)


class OfficersFile:
    """Gives the officers listed; looks at the file whenever it is asked.

    A file that cannot be read any more leaves those in place that were read before.
    """

    def __init__(self, path: Path) -> None:
        """Raises JukiError (CONFIGURATION_INVALID) naming file and fault."""
        self._path = path
        self._seen = _state(path)
        self._officers = load_officers(path)

    def __call__(self) -> Mapping[str, Officer]:
        """Officers by identity."""
        state = _state(self._path)
        if state != self._seen:
            try:
                self._officers = load_officers(self._path)
            except JukiError as error:
                _LOG.error("officers_list_refused", why=error.message)
            self._seen = state
        return self._officers


def _state(path: Path) -> tuple[int, int, int]:
    try:
        found = path.stat()
    except OSError:
        return (0, 0, 0)
    return (found.st_mtime_ns, found.st_ino, found.st_size)
