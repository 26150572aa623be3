"""Archives finished segments in the background, and moves them where the old ones are kept."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from juki.audit.archive import ARCHIVE_SUFFIX, SEGMENT_SUFFIX, archive_segment
from juki.audit.reading import first_sequence_of_segment
from juki.durable import sync_directory
from juki.worker import Worker

_LOOK_SECONDS: Final = 1.0
_NICENESS: Final = 10
_UNFINISHED: Final = f"{ARCHIVE_SUFFIX}-new"


class SegmentArchiver:
    """Archives every segment that is finished and done with; `work` is a worker's round."""

    def __init__(
        self,
        directory: Path,
        done_to: Callable[[], int],
        archive_directory: Path | None = None,
    ) -> None:
        """`done_to` gives the sequence of the last record that nobody reads from a segment as such
        any more; with `archive_directory` (made 0750) archives are moved there.
        """
        self._directory = directory
        self._done_to = done_to
        self._archive_directory = archive_directory
        if archive_directory is not None:
            archive_directory.mkdir(mode=0o750, parents=True, exist_ok=True)
        self._woken = threading.Event()
        self._lowered = False

    def work(self) -> None:
        """Archives one segment, or looks again after a second. Raises Tampered, OSError."""
        if not self._lowered:
            # On Linux a thread has a niceness of its own: who compresses gives way to who answers.
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
            self._lowered = True
        if not self.archive_once():
            self._woken.wait(_LOOK_SECONDS)

    def wake(self) -> None:
        """Ends the pause of a round."""
        self._woken.set()

    def archive_once(self) -> bool:
        """Archives the oldest segment that is due; whether there was one."""
        found = sorted(self._directory.glob(f"*{SEGMENT_SUFFIX}"))
        # The last one is being written; the one after a segment tells where that one ends.
        if len(found) >= 2 and first_sequence_of_segment(found[1]) - 1 <= self._done_to():
            made = found[0].with_suffix(ARCHIVE_SUFFIX)
            if made.exists():  # a crash came between the two: the archive is whole and compared
                found[0].unlink()
                sync_directory(self._directory)
            else:
                made = archive_segment(found[0])
            self._move(made)
            return True
        for left in self._directory.glob(f"*{ARCHIVE_SUFFIX}"):
            if self._archive_directory is not None:
                self._move(left)
        return False

    def _move(self, archived: Path) -> None:
        """Copies, makes the copy durable, and only then removes: readers find one or the other."""
        if self._archive_directory is None:
            return
        target = self._archive_directory / archived.name
        temporary = target.with_suffix(_UNFINISHED)
        shutil.copyfile(archived, temporary)
        temporary.chmod(0o640)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(target)
        sync_directory(self._archive_directory)
        archived.unlink()
        sync_directory(self._directory)


def start_archiving(
    stack: ExitStack,
    directory: Path,
    done_to: Callable[[], int],
    archive_directory: Path | None = None,
) -> None:
    """Archives the finished segments of a log while the server runs; stopped by the stack."""
    archiver = SegmentArchiver(directory, done_to, archive_directory)
    worker = Worker("audit-archiving", archiver.work, wake=archiver.wake)
    worker.start()
    stack.callback(worker.close)
