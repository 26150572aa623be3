"""A process that appends look-ups and keeps their index up, until it is killed.

`python -m tests.index_writer DIRECTORY PERSONS`: prints a line for each record that is durable.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

from juki.audit.log import FileAuditLog
from juki.audit.persons.following import LogFollower, RunMerger
from juki.audit.persons.index import FilePersonIndex
from juki.audit.port import AuditRecord
from juki.audit.pseudonym import Pseudonymiser
from juki.audit.reading import LogRecords
from juki.domain.legal_basis import AffairReference, SearchKey
from juki.domain.outcome import Outcome
from juki.worker import Worker

KEY = Pseudonymiser(b"k" * 32, 1)
FLUSH_ROWS = 64


def record(ordinals: list[int]) -> AuditRecord:
    return AuditRecord(
        time_unix_nanos=1_793_000_000_000_000_000,
        body_identity="spiffe://agency.juki.example/nenkin",
        request_id="request-1",
        affair=AffairReference(1, "77"),
        search_key=SearchKey.INDIVIDUAL_NUMBER,
        article="30-9",
        pseudonyms=KEY.pseudonyms(ordinals),
        pseudonym_key=1,
        outcomes=bytes([Outcome.FOUND]) * len(ordinals),
    )


def main(directory: Path, persons: int) -> None:
    log = FileAuditLog(directory / "log", segment_bytes=1 << 24)
    records = LogRecords(directory / "log")
    index = FilePersonIndex(directory / "index", records, flush_rows=FLUSH_ROWS)
    follower = LogFollower(index, records, lambda: log.position.sequence)
    merger = RunMerger(index)
    # Both at once and without a pause: whatever is under way when the process is killed, is.
    Worker("follower", follower.catch_up).start()
    Worker("merger", merger.work, wake=merger.wake).start()
    while True:
        ordinals = [random.randint(1, persons) for _ in range(random.randint(1, 60))]
        sequence = log.append(record(ordinals)).sequence
        print(sequence, index.complete_to(), index.size().runs, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
