"""Takes in files that the register drops: JSON Lines, at least once, each line by itself.

A writer writes under another name and renames to `….jsonl` when the file is whole. Files are taken
in by name order. Results: `acknowledged/<name>.ack.json` with counts and sequences, and for refused
lines `quarantine/<name>.reasons.json` with line numbers and reasons, never their content. The
refused lines themselves are sealed in the database, to be exported by an operator. The file is
removed once all this is durable.

Limits: a line of 16 KiB (a longer one is refused by itself), a file of 64 MiB and 1,000,000 lines
(a larger one is refused as a whole and renamed to `<name>.refused`), a name of 200 bytes in UTF-8
(another one is set aside as `name-<digest>.refused`).
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Final

import structlog

from cs_gateway.drop_line import parse_line
from cs_gateway.drop_store import DropProgress, DropStore, RefusedLine
from cs_gateway.intake import Intake, PendingOutcomes
from cs_gateway.ports import Clock
from juki.domain.errors import JukiError, Reason
from juki.durable import sync_directory
from juki.v1 import register_pb2
from juki.worker import Worker

_LOG: Final = structlog.get_logger(__name__)
SUFFIX: Final = ".jsonl"
MAX_FILE_BYTES: Final = 64 * 1024 * 1024
MAX_LINES: Final = 1_000_000
_FILE_WAITS: Final = frozenset(
    {
        Reason.CODE_POOL_EMPTY,
        Reason.GRANTS_NOT_CONFIRMED,
        Reason.UPSTREAM_UNAVAILABLE,
        Reason.OVERLOADED,
        Reason.CUSTODY_UNAVAILABLE,
        Reason.STORE_UNAVAILABLE,
    }
)
_MAX_NAME: Final = 200
_LINES_AT_ONCE: Final = 512
_CHUNKS_UNDER_WAY: Final = 2


@dataclass(slots=True)
class _Chunk:
    """Some lines on their way through the writer."""

    line_numbers: list[int]
    """Of the lines that became events, in their order."""

    lines: list[bytes]
    refused: list[RefusedLine]
    line_count: int
    byte_count: int
    pending: PendingOutcomes


class DropFolder:
    """One folder that is watched."""

    def __init__(
        self,
        directory: Path,
        intake: Intake,
        store: DropStore,
        clock: Clock,
        *,
        failed: Callable[[Reason], None] = lambda _: None,
    ) -> None:
        self._directory = directory
        self._intake = intake
        self._store = store
        self._clock = clock
        self._failed = failed
        self._stopping = threading.Event()
        for name in ("acknowledged", "quarantine"):
            (directory / name).mkdir(parents=True, exist_ok=True)

    def worker(self, poll_seconds: float) -> Worker:
        """A thread that looks for files every `poll_seconds`."""

        def work() -> None:
            if not self.take_in_all():
                self._stopping.wait(poll_seconds)

        return Worker("drop-folder", work, wake=self._stopping.set, failed=self._failed)

    def take_in_all(self) -> int:
        """Takes in every file that lies there; gives how many there were.

        Raises:
            JukiError: What stands in the way for now (custody, database, codes); the file stays and
                is resumed where it was.
            OSError: A file could not be read or removed; the others were taken in.
        """
        with os.scandir(self._directory) as entries:
            dropped = sorted(
                entry.name
                for entry in entries
                if entry.name.endswith(SUFFIX) and entry.is_file(follow_symlinks=False)
            )
        names = [name for name in dropped if _can_be_kept(name)]
        for name in set(dropped).difference(names):
            self._refuse_name(name)
        unreadable: OSError | None = None
        for name in names:
            if self._stopping.is_set():
                break
            try:
                self._take_in(self._directory / name)
            except OSError as error:
                # A file that cannot be read or removed does not hold up the others.
                unreadable = error
        if unreadable is not None:
            raise unreadable
        return len(names)

    def _take_in(self, path: Path) -> None:
        with path.open("rb") as file:
            facts = os.fstat(file.fileno())
            identity = f"{facts.st_ino}:{facts.st_size}:{facts.st_mtime_ns}"
            progress = self._store.open_file(path.name, identity)
            if not progress.finished:
                if facts.st_size > MAX_FILE_BYTES or _lines(file) > MAX_LINES:
                    progress = replace(progress, refusal=Reason.MESSAGE_TOO_LARGE.value)
                else:
                    progress = self._take_in_lines(file, progress)
                if self._stopping.is_set():
                    return
                self._store.save(progress, (), finished_at=self._clock())
        self._tell(path, progress)
        _LOG.info(
            "drop_file_taken_in",
            lines=progress.lines,
            accepted=progress.accepted,
            quarantined=progress.quarantined,
            refusal=progress.refusal,
        )

    def _take_in_lines(self, file: BinaryIO, progress: DropProgress) -> DropProgress:
        file.seek(progress.byte_offset)
        under_way: deque[_Chunk] = deque()
        next_line = progress.lines + 1
        while not self._stopping.is_set():
            lines = list(islice(file, _LINES_AT_ONCE))
            if lines:
                under_way.append(self._hand_in(lines, next_line))
                next_line += len(lines)
            if not under_way:
                return progress
            if not lines or len(under_way) >= _CHUNKS_UNDER_WAY:
                progress = self._settle(under_way.popleft(), progress)
        return progress

    def _hand_in(self, lines: Sequence[bytes], first_number: int) -> _Chunk:
        events: list[register_pb2.RegisterEvent] = []
        numbers: list[int] = []
        kept: list[bytes] = []
        refused: list[RefusedLine] = []
        for number, line in enumerate(lines, start=first_number):
            if not line.strip():
                continue
            try:
                events.append(parse_line(line.rstrip(b"\r\n")))
            except JukiError as error:
                refused.append(RefusedLine(number, error.reason, line))
            else:
                numbers.append(number)
                kept.append(line)
        return _Chunk(
            line_numbers=numbers,
            lines=kept,
            refused=refused,
            line_count=len(lines),
            byte_count=sum(map(len, lines)),
            pending=self._intake.hand_in(events, "file"),
        )

    def _settle(self, chunk: _Chunk, progress: DropProgress) -> DropProgress:
        refused = list(chunk.refused)
        for number, line, written in zip(
            chunk.line_numbers, chunk.lines, chunk.pending.wait(), strict=True
        ):
            if written.refusal is None:
                progress = progress.with_notification(written.epoch, written.sequence)
            elif written.refusal in _FILE_WAITS:
                # Not the line's fault: the file waits for codes, or for the nation.
                raise JukiError(written.refusal, "the file's next line must wait")
            else:
                refused.append(RefusedLine(number, written.refusal, line))
        progress = replace(
            progress,
            lines=progress.lines + chunk.line_count,
            byte_offset=progress.byte_offset + chunk.byte_count,
            quarantined=progress.quarantined + len(refused),
        )
        self._store.save(progress, refused, finished_at=None)
        return progress

    def _refuse_name(self, name: str) -> None:
        """Sets a file aside whose name cannot be stored; its lines are not read."""
        digest = hashlib.sha256(os.fsencode(name)).hexdigest()[:16]
        acknowledgement = {
            "file": ascii(name),
            "lines": 0,
            "accepted": 0,
            "quarantined": 0,
            "refusal": Reason.INVALID_FIELD.value,
        }
        _write_durably(
            self._directory / "acknowledged" / f"name-{digest}.ack.json", acknowledgement
        )
        (self._directory / name).rename(self._directory / f"name-{digest}.refused")
        sync_directory(self._directory)
        self._failed(Reason.INVALID_FIELD)
        _LOG.warning("drop_file_name_refused", set_aside_as=f"name-{digest}.refused")

    def _tell(self, path: Path, progress: DropProgress) -> None:
        """Writes the results, then removes the file; repeated after a crash in between."""
        reasons_file = self._directory / "quarantine" / f"{path.name}.reasons.json"
        if progress.quarantined:
            reasons = [
                {"line": number, "reason": reason}
                for number, reason in self._store.reasons(progress.file_id)
            ]
            _write_durably(reasons_file, reasons)
        else:
            # Of an earlier file of this name, which has been dropped again, corrected.
            reasons_file.unlink(missing_ok=True)
        _write_durably(
            self._directory / "acknowledged" / f"{path.name}.ack.json",
            {
                "file": path.name,
                "lines": progress.lines,
                "accepted": progress.accepted,
                "quarantined": progress.quarantined,
                "refusal": progress.refusal,
                "first": _reference(progress.first),
                "last": _reference(progress.last),
            },
        )
        if progress.refusal:
            path.rename(path.with_name(f"{path.name}.refused"))
        else:
            path.unlink()
        sync_directory(self._directory)


def _can_be_kept(name: str) -> bool:
    """Whether a name can be stored, and results be named after it: UTF-8, 200 bytes at most."""
    try:
        return len(name.encode("utf-8")) <= _MAX_NAME
    except UnicodeEncodeError:
        return False


def _lines(file: BinaryIO) -> int:
    file.seek(0)
    count = 0
    while block := file.read(1024 * 1024):
        count += block.count(b"\n")
    return count


def _reference(position: tuple[int, int] | None) -> dict[str, int] | None:
    return None if position is None else {"epoch": position[0], "sequence": position[1]}


def _write_durably(path: Path, content: Any) -> None:
    temporary = path.with_name(f"{path.name}.tmp")
    with temporary.open("w", encoding="utf-8") as file:
        json.dump(content, file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync_directory(path.parent)
