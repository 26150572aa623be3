"""How the audit log and its private index grow: bytes a person, and the time of a history.

Records are made by the real encoder and framed as the log frames them, at the mixed sizes of real
use; they are written in bulk, without the hand-over to the log's writer and the fsync of each
commit, which would take hours and add no byte. Finished segments are archived, and the index
follows and merges, by the code of the server. The tree is counted by arithmetic.
"""

from __future__ import annotations

import os
import random
import resource
import statistics
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
from prometheus_client import CollectorRegistry

from bench.machine import Machine
from juki.audit.archiving import SegmentArchiver
from juki.audit.encoding import SEED_BYTES, encode
from juki.audit.log import DEFAULT_SEGMENT_BYTES, FileAuditLog
from juki.audit.persons.following import LogFollower
from juki.audit.persons.history import PersonHistory
from juki.audit.persons.index import FilePersonIndex
from juki.audit.persons.running import start_person_index
from juki.audit.port import AuditPosition, AuditRecord
from juki.audit.pseudonym import Pseudonymiser
from juki.audit.reading import LogRecords
from juki.audit.recovery import create_segment
from juki.audit.segment import pack_frame, segment_path
from juki.domain.legal_basis import AffairReference, Field, SearchKey
from juki.domain.outcome import Outcome

BATCH: Final = 1_000
SINGLE_SHARE: Final = 0.04
"""Of the persons: local bodies' 57.5 million of 1,407.5 million look-ups a year (fiscal 2019)."""

_NOT_FOUND_SHARE: Final = 0.01
_TIMED: Final = 300
_TIMED_COLD: Final = 60
_VISIBLE: Final = 20
_FREQUENT: Final = 1
"""Ordinal of a person who is looked up over and over."""

_FREQUENT_EVERY: Final = 10_000
_STEP: Final = 250_000
"""Persons between two looks at archiving and merging."""

TILE_BYTES_A_RECORD: Final = 2 + 69 + 32 * 256 / 255
"""Of the public files: the entry of the bundle with its length, the hash and those above it."""

_FIELDS: Final = frozenset({Field.NAME, Field.BIRTH_DATE, Field.SEX, Field.ADDRESS})
_AFFAIRS: Final = tuple(AffairReference(1, item) for item in ("77", "57-31", "3"))
_BODIES: Final = ("nenkin", "gaimu", "houmu", "aichi-zeimu")


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds."""

    median: float
    p99: float
    worst: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Latency:
        """From seconds."""
        ordered = sorted(seconds)
        p99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
        return cls(statistics.median(ordered) * 1e3, p99 * 1e3, ordered[-1] * 1e3)


@dataclass(frozen=True, slots=True)
class Stage:
    """What the log and the index are at a number of entries."""

    entries: int
    """Persons looked up."""

    records: int
    archives: int
    """Bytes of the archived segments and the one in use."""

    tiles: int
    """Bytes of the public files, by arithmetic."""

    index: int
    runs: int
    append_seconds: float
    index_seconds: float
    merge_seconds: float
    archive_seconds: float
    history_entries: float
    """Entries of a history, in the mean of those that were timed."""

    warm: Latency
    cold: Latency
    """With none of the files in the page cache."""

    frequent: Latency
    """The newest hundred entries of a person who has many more."""

    @property
    def bytes_a_person(self) -> float:
        """All parts together."""
        return (self.archives + self.tiles + self.index) / self.entries

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self) | {"bytes_a_person": self.bytes_a_person}


@dataclass(slots=True)
class GrowthFigures:
    """All of it."""

    machine: Machine
    single_share: float
    stages: list[Stage] = field(default_factory=list)
    visible: Latency | None = None
    """From the return of an append, with fsync, until the history shows it."""

    memory_megabytes: float = 0.0
    """Resident, at most."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "machine": self.machine.as_dict(),
            "single_share": self.single_share,
            "stages": [stage.as_dict() for stage in self.stages],
            "visible": None if self.visible is None else asdict(self.visible),
            "memory_megabytes": self.memory_megabytes,
        }


def measure_growth(
    entries: int,
    *,
    directory: Path | None = None,
    single_share: float = SINGLE_SHARE,
    seed: int = 1,
    progress: Callable[[str, float], None] = lambda *_: None,
    looked: Callable[[Stage], None] = lambda _: None,
) -> GrowthFigures:
    """Grows a log to `entries` persons looked up, in a temporary directory that is removed.

    Looks at 1, 10, 100, ... million and at the end. `progress` is told what is being done and which
    part of the whole is, `looked` each stage as it is reached. About 40 bytes
    of disk a person are needed, and 16 more while runs merge.
    """
    figures = GrowthFigures(Machine.this(), single_share)
    with tempfile.TemporaryDirectory(prefix="juki-growth-", dir=directory) as place:
        growth = _Growth(
            Path(place),
            figures,
            single_share=single_share,
            seed=seed,
            progress=progress,
            looked=looked,
        )
        growth.run(entries)
    with tempfile.TemporaryDirectory(prefix="juki-visible-", dir=directory) as place:
        figures.visible = Latency.of(_visible_after(Path(place)))
    figures.memory_megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return figures


class _BulkLog:
    """Writes the segments of a log without waiting for the disk."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        self._directory = directory
        self._segment = 0
        self._file = self._begin()
        self.sequence = 0

    def append(self, record: AuditRecord) -> None:
        """Writes a record as `FileAuditLog` does."""
        self._file.write(pack_frame(encode(record, os.urandom(SEED_BYTES))))
        self.sequence += 1
        if self._file.tell() >= DEFAULT_SEGMENT_BYTES:
            self._file.close()
            self._segment += 1
            self._file = self._begin()

    def flush(self) -> None:
        """Lets readers see what was written."""
        self._file.flush()

    def close(self) -> None:
        """Gives the file back."""
        self._file.close()

    def _begin(self) -> BinaryIO:
        position = AuditPosition(self.sequence if self._segment else 0)
        create_segment(self._directory, self._segment, position)
        return segment_path(self._directory, self._segment).open("ab")


class _Growth:
    """One log that grows, with its index."""

    def __init__(
        self,
        directory: Path,
        figures: GrowthFigures,
        *,
        single_share: float,
        seed: int,
        progress: Callable[[str, float], None],
        looked: Callable[[Stage], None],
    ) -> None:
        self._looked = looked
        self._directory = directory
        self._figures = figures
        self._single_share = single_share
        self._progress = progress
        self._key = Pseudonymiser(bytes(range(32)), 1)
        self._chance = random.Random(seed)  # noqa: S311 - sample data
        self._numbers = np.random.default_rng(seed)
        self._time = 1_793_000_000_000_000_000
        self._seconds = dict.fromkeys(("append", "index", "merge", "archive"), 0.0)

    def run(self, entries: int) -> None:
        """Grows to `entries`, a tenth as many persons as there are entries."""
        looks = [10**n for n in range(6, 20) if 10**n < entries] + [entries]
        self._persons = max(entries // 10, 1)
        with ExitStack() as stack:
            log = _BulkLog(self._directory / "log")
            stack.callback(log.close)
            records = LogRecords(self._directory / "log")
            stack.callback(records.close)
            index = FilePersonIndex(self._directory / "index", records)
            stack.callback(index.close)
            follower = LogFollower(index, records, lambda: log.sequence)
            archiver = SegmentArchiver(self._directory / "log", lambda: log.sequence)
            history = PersonHistory(index, lambda: [self._key])
            done = 0
            for look in looks:
                while done < look:
                    step = min(_STEP, look - done)
                    self._spend("append", partial(self._append, log, step))
                    self._spend("index", follower.catch_up)
                    while self._spend("merge", index.merge_once):
                        pass
                    while self._spend("archive", archiver.archive_once):
                        pass
                    done += step
                    self._progress(f"{done:,} of {entries:,} entries", done / entries)
                self._figures.stages.append(self._look(done, log, index, history))
                self._looked(self._figures.stages[-1])

    def _spend(self, on: str, do: Callable[[], Any]) -> Any:
        started = time.perf_counter()
        try:
            return do()
        finally:
            self._seconds[on] += time.perf_counter() - started

    def _append(self, log: _BulkLog, persons: int) -> None:
        single = int(persons * self._single_share)
        ordinals = self._numbers.integers(1, self._persons + 1, persons, dtype=np.uint64)
        missing = self._numbers.random(persons) < _NOT_FOUND_SHARE
        ordinals[missing] = 0
        ordinals[::_FREQUENT_EVERY] = _FREQUENT
        pseudonyms = self._key.pseudonyms(ordinals)
        found = np.where(missing, int(Outcome.NOT_FOUND), int(Outcome.FOUND))
        outcomes = found.astype(np.uint8).tobytes()
        at = 0
        for size in self._sizes(persons - single, single):
            end = at + size
            log.append(
                self._record(pseudonyms[at * 16 : end * 16], outcomes[at:end], single=size == 1)
            )
            at = end
        log.flush()

    def _sizes(self, batched: int, single: int) -> Iterator[int]:
        """Batches with the single look-ups spread between them."""
        batches = [BATCH] * (batched // BATCH) + [batched % BATCH] * (batched % BATCH > 0)
        between, left = divmod(single, max(len(batches), 1))
        for number, size in enumerate(batches or [0]):
            if size:
                yield size
            for _ in range(between + (number < left)):
                yield 1

    def _record(self, pseudonyms: bytes, outcomes: bytes, *, single: bool) -> AuditRecord:
        self._time += self._chance.randrange(10**6, 10**8)
        return AuditRecord(
            time_unix_nanos=self._time,
            body_identity=f"spiffe://agency.juki.example/{self._chance.choice(_BODIES)}",
            request_id=str(uuid.UUID(int=self._chance.getrandbits(128))),
            affair=self._chance.choice(_AFFAIRS),
            search_key=SearchKey.INDIVIDUAL_NUMBER,
            office=f"第{self._chance.randrange(1, 40)}課",
            operator=f"operator-{self._chance.randrange(2_000)}" if single else "",
            article="30-9",
            requested_fields=_FIELDS,
            granted_fields=_FIELDS,
            pseudonyms=pseudonyms,
            pseudonym_key=1,
            outcomes=outcomes,
        )

    def _look(
        self, entries: int, log: _BulkLog, index: FilePersonIndex, history: PersonHistory
    ) -> Stage:
        index.flush()
        found: list[int] = []
        warm = [self._time_one(history, found) for _ in range(_TIMED)]
        files = [path for path in self._directory.rglob("*") if path.is_file()]
        cold: list[float] = []
        for _ in range(_TIMED_COLD):
            _forget(files)
            cold.append(self._time_one(history, []))
        frequent = [self._time_one(history, [], _FREQUENT) for _ in range(_TIMED_COLD)]
        size = index.size()
        records = log.sequence
        return Stage(
            entries=entries,
            records=records,
            archives=sum(path.stat().st_size for path in (self._directory / "log").glob("0*")),
            tiles=int(records * TILE_BYTES_A_RECORD),
            index=size.bytes,
            runs=size.runs,
            append_seconds=self._seconds["append"],
            index_seconds=self._seconds["index"],
            merge_seconds=self._seconds["merge"],
            archive_seconds=self._seconds["archive"],
            history_entries=statistics.fmean(found),
            warm=Latency.of(warm),
            cold=Latency.of(cold),
            frequent=Latency.of(frequent),
        )

    def _time_one(
        self, history: PersonHistory, found: list[int], ordinal: int | None = None
    ) -> float:
        ordinal = ordinal or self._chance.randint(1, self._persons)
        started = time.perf_counter()
        page = history.history(ordinal)
        elapsed = time.perf_counter() - started
        found.append(len(page.entries))
        return elapsed


def _forget(files: Sequence[Path]) -> None:
    """Takes files out of the page cache (posix_fadvise(2)); what is not yet written stays."""
    for path in files:
        try:
            descriptor = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            continue
        try:
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)


def _visible_after(directory: Path) -> list[float]:
    """Seconds from an append's return until the person's history shows it, as a server has it."""
    key = Pseudonymiser(bytes(range(32)), 1)
    found = []
    with ExitStack() as stack:
        log = FileAuditLog(directory / "log")
        stack.callback(log.close)
        history = start_person_index(
            stack,
            directory=directory / "index",
            audit_directory=directory / "log",
            durable_to=lambda: log.position.sequence,
            pseudonymisers=lambda: [key],
            registry=CollectorRegistry(),
        )
        for ordinal in range(1, _VISIBLE + 1):
            log.append(
                AuditRecord(
                    time_unix_nanos=time.time_ns(),
                    body_identity="spiffe://agency.juki.example/nenkin",
                    request_id=str(ordinal),
                    affair=AffairReference(1, "77"),
                    search_key=SearchKey.INDIVIDUAL_NUMBER,
                    article="30-9",
                    pseudonyms=key.pseudonyms([ordinal]),
                    pseudonym_key=1,
                    outcomes=bytes([Outcome.FOUND]),
                )
            )
            started = time.perf_counter()
            while not history.history(ordinal).entries:
                time.sleep(0.005)
            found.append(time.perf_counter() - started)
    return found
