"""Which runs make up the index: a small file, replaced whole."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from juki.durable import sync_directory

MANIFEST_FILE: Final = "manifest"
_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class ListedRun:
    """A run, and by what it is known to belong to the log."""

    name: str
    last_record: str
    """SHA-256 of the last record it covers, hexadecimal: the log may have been another since."""


def read_manifest(directory: Path) -> list[ListedRun]:
    """The runs, the oldest first; none where there is no manifest or none that can be read."""
    try:
        content = json.loads((directory / MANIFEST_FILE).read_text(encoding="utf-8"))
        if content["version"] != _VERSION:
            return []
        return [ListedRun(str(one["name"]), str(one["last_record"])) for one in content["runs"]]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return []


def write_manifest(directory: Path, runs: Sequence[ListedRun]) -> None:
    """Replaces the manifest, durably, together with the names of the runs; raises OSError."""
    content = {
        "version": _VERSION,
        "runs": [{"name": run.name, "last_record": run.last_record} for run in runs],
    }
    temporary = directory / f"{MANIFEST_FILE}.new"
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
    with os.fdopen(os.open(temporary, flags, 0o600), "w", encoding="utf-8") as file:
        json.dump(content, file)
        file.flush()
        os.fsync(file.fileno())
    sync_directory(directory)  # the runs' names, before anything speaks of them
    temporary.replace(directory / MANIFEST_FILE)
    sync_directory(directory)
