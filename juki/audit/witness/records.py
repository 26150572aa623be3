"""What a witness keeps of the logs that it watches: durable, and never taken back.

Below one directory, a directory for each log, named by its origin:

    latest      the checkpoint last co-signed, with the log's signature and the cosignature
    history     such checkpoints of the past, at most one each five minutes, with a line "=" after
                each: so that what was rewritten later can be told to be between two of them
    alarms/     a file for each thing that no honest log shows: what was co-signed, and what came

A witness that has lost its `latest` would co-sign anything: where `history` is there without it
nothing is co-signed.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from juki.audit.checkpoint import SignedCheckpoint
from juki.audit.witness.cosignature import cosigned_at
from juki.domain.errors import InvalidValue, JukiError, Reason
from juki.durable import sync_directory

HISTORY_SECONDS: Final = 300
"""At least this long between two checkpoints of the history."""

MOST_ALARMS: Final = 1000
"""Of one log; nobody fills a disk with alarms."""

_LATEST: Final = "latest"
_HISTORY: Final = "history"
_ALARMS: Final = "alarms"
_END: Final = "=\n"


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something that no honest log shows."""

    reason: Reason
    seconds: int
    """When it was seen, since 1970-01-01 UTC."""

    seen: SignedCheckpoint
    """What was co-signed before."""

    offered: SignedCheckpoint
    """What the log showed then, under its signature."""

    proof: tuple[bytes, ...] = ()
    """With what it was to be shown that the one continues the other."""

    def __str__(self) -> str:
        proof = "".join(f"{one.hex()}\n" for one in self.proof)
        parts = (f"{self.reason.value}\ntime {self.seconds}\n", self.seen.note, self.offered.note)
        return _END.join((*parts, proof))


class WitnessRecords:
    """The records of one witness; safe for threads, one process at a time."""

    def __init__(self, directory: Path) -> None:
        """Raises JukiError (STORE_UNAVAILABLE) when another process uses the directory."""
        self._directory = directory
        self._lock = threading.Lock()
        self._latest: dict[str, SignedCheckpoint] = {}
        self._kept_at: dict[str, int] = {}
        """When the last checkpoint of a log's history was co-signed."""
        try:
            directory.mkdir(parents=True, exist_ok=True, mode=0o750)
            self._descriptor = os.open(
                directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640
            )
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise _unusable(error) from error

    def close(self) -> None:
        """Lets another process use the directory."""
        os.close(self._descriptor)

    def latest(self, origin: str) -> SignedCheckpoint | None:
        """The checkpoint last co-signed of a log; None for a log never seen.

        Raises JukiError (TAMPERING_DETECTED) where what was kept is missing or cannot be read.
        """
        with self._lock:
            return self._read_latest(origin)

    def keep(self, note: SignedCheckpoint) -> None:
        """Makes a co-signed checkpoint the latest, durable when this returns.

        Its last signature is the cosignature. Raises InvalidValue where it would go back, and
        JukiError (STORE_UNAVAILABLE), after which nobody may be given the cosignature.
        """
        with self._lock:
            origin = note.checkpoint.origin
            before = self._read_latest(origin)
            if before is not None and goes_back(before, note):
                raise InvalidValue("a witness does not go back")
            directory = self._directory / directory_name(origin)
            try:
                if before is None:
                    directory.mkdir(exist_ok=True, mode=0o750)
                    sync_directory(self._directory)
                _replace(directory / _LATEST, note.note)
                self._latest[origin] = note
                self._keep_in_history(directory, note)
            except OSError as error:
                raise _unusable(error) from error

    def raise_alarm(self, alarm: Alarm) -> Path | None:
        """Keeps the evidence, durably; gives its file, None where the same is kept already."""
        folder = self._directory / directory_name(alarm.offered.checkpoint.origin) / _ALARMS
        content = (
            f"{alarm.reason.value}\n{alarm.seen.checkpoint.text}{alarm.offered.checkpoint.text}"
        )
        path = folder / f"{hashlib.sha256(content.encode()).hexdigest()[:16]}.txt"
        with self._lock:
            try:
                folder.mkdir(exist_ok=True, mode=0o750)
                sync_directory(folder.parent)
                if path.exists() or len(list(folder.glob("*.txt"))) >= MOST_ALARMS:
                    return None
                _replace(path, str(alarm))
            except OSError as error:
                raise _unusable(error) from error
        return path

    def alarms(self) -> list[Path]:
        """The evidence that nobody has taken away yet, of every log."""
        return sorted(self._directory.glob(f"*/{_ALARMS}/*.txt"))

    def _read_latest(self, origin: str) -> SignedCheckpoint | None:
        if origin not in self._latest:
            try:
                found = read_latest(self._directory, origin)
            except OSError as error:
                raise _unusable(error) from error
            if found is None:
                return None
            self._latest[origin] = found
        return self._latest[origin]

    def _keep_in_history(self, directory: Path, note: SignedCheckpoint) -> None:
        now, origin = cosigned_at(note.signatures[-1]), note.checkpoint.origin
        if origin not in self._kept_at:
            past = list(_history(directory))
            self._kept_at[origin] = cosigned_at(past[-1].signatures[-1]) if past else 0
        if now - self._kept_at[origin] < HISTORY_SECONDS:
            return
        path = directory / _HISTORY
        begun = path.exists()
        with path.open("a", encoding="utf-8") as file:
            if begun and not _ends_whole(path):
                file.write(f"\n\n{_END}")  # ends what a crash left by half; it is read as nothing
            file.write(f"{note.note}{_END}")
            file.flush()
            os.fsync(file.fileno())
        if not begun:
            sync_directory(directory)
        self._kept_at[origin] = now


def read_latest(records: Path, origin: str) -> SignedCheckpoint | None:
    """The checkpoint of a log last co-signed, from a witness's directory; None without one.

    Raises JukiError (TAMPERING_DETECTED) where what was kept is missing or cannot be read.
    """
    directory = records / directory_name(origin)
    try:
        note = SignedCheckpoint.parse((directory / _LATEST).read_text(encoding="utf-8"))
        cosigned_at(note.signatures[-1])
    except FileNotFoundError:
        if any(_history(directory)):
            raise _lost(f"{directory.name}/{_LATEST}") from None
        return None
    except (InvalidValue, UnicodeDecodeError):
        raise _lost(f"{directory.name}/{_LATEST}") from None
    if note.checkpoint.origin != origin:
        raise _lost(f"{directory.name}/{_LATEST}")
    return note


def read_records(records: Path) -> Iterator[SignedCheckpoint]:
    """Every checkpoint in a witness's directory, of every log, as far as it is whole."""
    for directory in sorted(path for path in records.iterdir() if path.is_dir()):
        yield from _history(directory)
        latest = directory / _LATEST
        if latest.exists():
            try:
                yield SignedCheckpoint.parse(latest.read_text(encoding="utf-8"))
            except (InvalidValue, UnicodeDecodeError):
                raise _lost(f"{directory.name}/{_LATEST}") from None


def goes_back(before: SignedCheckpoint, after: SignedCheckpoint) -> bool:
    """Whether a checkpoint is of a shorter log, or of another one of the same length."""
    old, new = before.checkpoint, after.checkpoint
    return new.size < old.size or (new.size == old.size and new.root != old.root)


def directory_name(origin: str) -> str:
    """The name of a log's directory: its origin made harmless, and a part of its hash."""
    return f"{re.sub('[^A-Za-z0-9.-]', '_', origin)[:80]}-{_short_hash(origin)}"


def _short_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _history(directory: Path) -> Iterator[SignedCheckpoint]:
    try:
        text = (directory / _HISTORY).read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return
    for part in text.split(f"\n{_END}")[:-1]:
        try:
            note = SignedCheckpoint.parse(f"{part}\n")
            cosigned_at(note.signatures[-1])
        except InvalidValue:  # cut off by a crash; it was never co-signed for anybody
            continue
        yield note


def _ends_whole(path: Path) -> bool:
    end = f"\n{_END}".encode()
    with path.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - len(end)))
        return file.read() == end


def _replace(path: Path, text: str) -> None:
    temporary = path.with_name(f"{path.name}.new")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync_directory(path.parent)


def _lost(file: str) -> JukiError:
    return JukiError(
        Reason.TAMPERING_DETECTED,
        "what this witness co-signed before is missing or cannot be read",
        {"file": file},
    )


def _unusable(error: OSError) -> JukiError:
    if isinstance(error, BlockingIOError):
        return JukiError(Reason.STORE_UNAVAILABLE, "another process keeps these witness records")
    return JukiError(
        Reason.STORE_UNAVAILABLE, f"the witness records cannot be kept ({error.strerror})"
    )
