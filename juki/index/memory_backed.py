"""Whether a directory is memory-backed: what lies in the clear must never reach a disk."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from juki.domain.errors import JukiError, Reason

_MEMORY_BACKED: Final = frozenset({"tmpfs", "ramfs"})
_ESCAPED: Final = re.compile(r"\\([0-7]{3})")


def require_memory_backed(directory: Path, mounts: Path = Path("/proc/self/mountinfo")) -> None:
    """Raises JukiError (CONFIGURATION_INVALID) unless `directory` lies on tmpfs or ramfs.

    tmpfs may be swapped out: a host with swap must encrypt it, which is not looked at here.
    """
    place = directory.resolve()
    if _file_system(place, mounts.read_text(encoding="utf-8")) not in _MEMORY_BACKED:
        raise JukiError(
            Reason.CONFIGURATION_INVALID,
            "the index directory is not on memory-backed storage (tmpfs)",
            {"directory": str(place)},
        )


def _file_system(place: Path, mountinfo: str) -> str:
    """Type of the file system that holds `place`: the longest mount point above it, last mounted.

    Lines are those of proc_pid_mountinfo(5): the mount point is the fifth field, the type the first
    after " - ".
    """
    best, kind = -1, ""
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        point = Path(_ESCAPED.sub(lambda code: chr(int(code[1], 8)), before.split()[4]))
        if place.is_relative_to(point) and len(point.parts) >= best:
            best, kind = len(point.parts), after.split()[0]
    return kind
