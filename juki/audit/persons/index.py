"""The private index in files: a tail in memory over sorted runs, one manifest naming them.

Derived from the log: whatever of it is missing, cut off or not of this log is dropped at the start
and read again from the records. One process writes it; any number of threads ask.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from juki.audit.persons.manifest import ListedRun, read_manifest, write_manifest
from juki.audit.persons.merging import choose, merge, sort_rows
from juki.audit.persons.port import DEFAULT_PAGE_ENTRIES, EntryPosition, RecordReader
from juki.audit.persons.rows import pack_position, prefix_of, rows_of, unpack_position
from juki.audit.persons.run import DamagedRun, Run, write_run
from juki.audit.persons.tail import Tail
from juki.audit.port import PSEUDONYM_BYTES
from juki.domain.errors import InvalidValue, JukiError, Reason
from juki.v1 import audit_pb2

FLUSH_ROWS: Final = 1 << 20
"""16 MiB in memory; a run of the smallest size class."""

FLUSH_RECORDS: Final = 1 << 18
"""Records that a start may have to read again, at most."""

_LOG: Final = structlog.get_logger(__name__)
_RUN_SUFFIX: Final = ".run"
_ABOVE_ALL: Final = 1 << 64


@dataclass(frozen=True, slots=True)
class _Content:
    """What a query looks into; replaced whole."""

    runs: tuple[Run, ...]
    listed: tuple[ListedRun, ...]
    """The entry of the manifest for each run."""

    tail: Tail


@dataclass(frozen=True, slots=True)
class IndexSize:
    """How large the index is."""

    entries: int
    runs: int
    bytes: int
    """On disk."""


class FilePersonIndex:
    """`PersonIndex` over files; `add` is for one thread, `merge_once` for another."""

    def __init__(
        self,
        directory: Path,
        reader: RecordReader,
        *,
        flush_rows: int = FLUSH_ROWS,
        flush_records: int = FLUSH_RECORDS,
    ) -> None:
        """Takes up the index in `directory` (made 0700), or begins one.

        Raises JukiError (STORE_UNAVAILABLE) when another process has it, or its files cannot be
        used. `reader` reads the log that the index is of.
        """
        self._directory = directory
        self._reader = reader
        self._flush_rows = flush_rows
        self._flush_records = flush_records
        self._changing = threading.Lock()
        """Held to change which runs there are."""
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            directory.chmod(0o700)
            self._lock_descriptor = _lock(directory / "lock")
        except OSError as error:
            raise _unusable(error) from error
        try:
            self._content = self._take_up()
        except BaseException as error:
            os.close(self._lock_descriptor)
            if isinstance(error, OSError):
                raise _unusable(error) from error
            raise

    def complete_to(self) -> int:
        """See `PersonIndex`."""
        return self._content.tail.complete_to

    def entries(
        self,
        pseudonym: bytes,
        key_version: int,
        *,
        limit: int = DEFAULT_PAGE_ENTRIES,
        before: EntryPosition | None = None,
    ) -> Sequence[EntryPosition]:
        """See `PersonIndex`."""
        found = self.records(pseudonym, key_version, limit=limit, before=before)
        return [position for position, _ in found]

    def records(
        self,
        pseudonym: bytes,
        key_version: int,
        *,
        limit: int = DEFAULT_PAGE_ENTRIES,
        before: EntryPosition | None = None,
    ) -> list[tuple[EntryPosition, audit_pb2.AuditRecord]]:
        """As `entries`, with the record of each, which had to be read anyway."""
        if len(pseudonym) != PSEUDONYM_BYTES:
            raise InvalidValue("a pseudonym has 16 bytes")
        if limit < 1:
            raise InvalidValue("a page has one entry at least")
        below = _ABOVE_ALL if before is None else pack_position(before)
        found: list[tuple[EntryPosition, audit_pb2.AuditRecord]] = []
        sequence, record = 0, audit_pb2.AuditRecord()
        for packed in self._candidates(prefix_of(pseudonym), below):
            position = unpack_position(packed)
            if position.sequence != sequence:
                sequence = position.sequence
                record = audit_pb2.AuditRecord.FromString(self._reader.record(sequence))
            at = PSEUDONYM_BYTES * position.index
            if (
                record.pseudonym_key == key_version
                and record.pseudonyms[at : at + PSEUDONYM_BYTES] == pseudonym
            ):
                found.append((position, record))
                if len(found) == limit:
                    break
        return found

    def add(self, records: Sequence[tuple[int, bytes]]) -> bool:
        """Adds durable records (sequence, bytes) that follow those it has.

        False where they do not follow: runs were dropped meanwhile, and `complete_to` went back.
        Raises JukiError (TAMPERING_DETECTED) for bytes that are no record, OSError.
        """
        prefixes, positions = rows_of(records)
        with self._changing:
            tail = self._content.tail
            if not records or records[0][0] != tail.complete_to + 1:
                return not records
            if self._is_due(tail):  # the last flush failed: memory is not the place to wait for it
                self._flush()
                tail = self._content.tail
            last_sequence, last_record = records[-1]
            tail.add(prefixes, positions, last_sequence, last_record)
            if self._is_due(tail):
                self._flush()
        return True

    def merge_once(self) -> bool:
        """Merges a group of runs; whether there was one. Raises OSError."""
        group = choose(self._content.runs, self._flush_rows)
        if not group:
            return False
        path = self._new_path()
        try:
            merged = merge(group, path)
        except DamagedRun as damaged:
            path.unlink(missing_ok=True)
            self._find_damage(damaged)
            return True
        with self._changing:
            content = self._content
            if group[0] not in content.runs:  # dropped meanwhile
                path.unlink()
                return True
            start = content.runs.index(group[0])
            stop = start + len(group)
            last_record = content.listed[stop - 1].last_record
            self._replace(
                (*content.runs[:start], merged, *content.runs[stop:]),
                (
                    *content.listed[:start],
                    ListedRun(path.name, last_record),
                    *content.listed[stop:],
                ),
                content.tail,
            )
        for run in group:
            run.path.unlink(missing_ok=True)
        return True

    def check(self) -> bool:
        """Reads every run whole; drops from the first damaged one on. Whether all were good."""
        for run in self._content.runs:
            try:
                run.check()
            except DamagedRun as damaged:
                self._find_damage(damaged)
                return False
        return True

    def size(self) -> IndexSize:
        """How large it is now."""
        content = self._content
        rows = sum(run.rows for run in content.runs) + content.tail.rows
        return IndexSize(rows, len(content.runs), sum(run.bytes for run in content.runs))

    def flush(self) -> None:
        """Writes what is in memory to a run; raises OSError."""
        with self._changing:
            if self._content.tail.records:
                self._flush()

    def close(self) -> None:
        """Writes what is in memory and lets the files go; raises OSError."""
        try:
            self.flush()
        finally:
            os.close(self._lock_descriptor)

    def _candidates(self, prefix: int, below: int) -> Iterator[int]:
        content = self._content
        yield from content.tail.positions(prefix, below)
        for run in reversed(content.runs):
            if pack_position(EntryPosition(run.first_sequence, 0)) < below:
                try:
                    yield from run.positions(prefix, below)
                except DamagedRun as damaged:
                    self._find_damage(damaged)
                    raise JukiError(
                        Reason.STORE_UNAVAILABLE, "a part of the person index is being made anew"
                    ) from None

    def _is_due(self, tail: Tail) -> bool:
        return tail.rows >= self._flush_rows or tail.records >= self._flush_records

    def _flush(self) -> None:
        content = self._content
        tail = content.tail
        path = self._new_path()
        run = write_run(
            path,
            tail.rows,
            tail.first_sequence,
            tail.complete_to,
            [sort_rows(*tail.columns())],
        )
        self._replace(
            (*content.runs, run),
            (*content.listed, ListedRun(path.name, tail.last_record_digest())),
            Tail(tail.complete_to),
        )

    def _replace(self, runs: tuple[Run, ...], listed: tuple[ListedRun, ...], tail: Tail) -> None:
        write_manifest(self._directory, listed)
        self._content = _Content(runs, listed, tail)

    def _find_damage(self, damaged: DamagedRun) -> None:
        """Drops the first damaged run and all after it; they are read again from the log."""
        with self._changing:
            content = self._content
            for number, run in enumerate(content.runs):
                try:
                    run.check()
                except DamagedRun:
                    self._cut(content.runs, content.listed, number, str(damaged))
                    return

    def _cut(
        self, runs: tuple[Run, ...], listed: tuple[ListedRun, ...], number: int, why: str
    ) -> None:
        _LOG.warning("person_index_dropped_runs", why=why, kept=number, dropped=len(runs) - number)
        complete_to = runs[number - 1].last_sequence if number else 0
        self._replace(runs[:number], listed[:number], Tail(complete_to))
        for run in runs[number:]:
            run.path.unlink(missing_ok=True)

    def _take_up(self) -> _Content:
        listed = read_manifest(self._directory)
        runs: list[Run] = []
        complete_to = 0
        for one in listed:
            try:
                run = Run(self._directory / Path(one.name).name)
            except (DamagedRun, FileNotFoundError) as damaged:
                _LOG.warning("person_index_dropped_runs", why=str(damaged), kept=len(runs))
                break
            if run.first_sequence != complete_to + 1:
                break
            runs.append(run)
            complete_to = run.last_sequence
        while runs and not self._is_of_this_log(complete_to, listed[len(runs) - 1]):
            _LOG.warning("person_index_dropped_runs", why="not of this log", kept=len(runs) - 1)
            runs.pop()
            complete_to = runs[-1].last_sequence if runs else 0
        kept = tuple(listed[: len(runs)])
        write_manifest(self._directory, kept)
        names = {one.name for one in kept}
        for path in self._directory.glob(f"*{_RUN_SUFFIX}"):
            if path.name not in names:
                path.unlink()
        self._made = max((int(Path(name).stem) for name in names), default=0)
        return _Content(tuple(runs), kept, Tail(complete_to))

    def _is_of_this_log(self, sequence: int, listed: ListedRun) -> bool:
        try:
            record = self._reader.record(sequence)
        except JukiError as error:
            if error.reason is Reason.RECORD_NOT_FOUND:
                return False
            raise
        return hashlib.sha256(record).hexdigest() == listed.last_record

    def _new_path(self) -> Path:
        with _COUNTING:
            self._made += 1
            return self._directory / f"{self._made:08d}{_RUN_SUFFIX}"


_COUNTING: Final = threading.Lock()


def _lock(path: Path) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _unusable(error: OSError) -> JukiError:
    if isinstance(error, BlockingIOError):
        return JukiError(Reason.STORE_UNAVAILABLE, "another process writes this person index")
    return JukiError(
        Reason.STORE_UNAVAILABLE, f"the person index cannot be opened ({error.strerror})"
    )
