"""Starts the private index of a server's log: the same for every tier that answers look-ups."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from prometheus_client import CollectorRegistry, Gauge

from juki.audit.persons.following import LogFollower, RunMerger
from juki.audit.persons.history import PersonHistory
from juki.audit.persons.index import FilePersonIndex
from juki.audit.pseudonym import Pseudonymiser
from juki.audit.reading import LogRecords
from juki.worker import Worker


def start_person_index(
    stack: ExitStack,
    *,
    directory: Path,
    audit_directory: Path,
    durable_to: Callable[[], int],
    pseudonymisers: Callable[[], Sequence[Pseudonymiser]],
    registry: CollectorRegistry,
    archive_directory: Path | None = None,
) -> PersonHistory:
    """Takes up the index in `directory`, and keeps it up with the log while the server runs.

    The log must be open already. `durable_to` gives the sequence of its last durable record,
    `pseudonymisers` one of each version of the key. What the stack stops: the workers, then the
    index, which first writes what it has in memory. Raises JukiError (STORE_UNAVAILABLE).
    """
    records = LogRecords(audit_directory, archive_directory)
    stack.callback(records.close)
    index = FilePersonIndex(directory, records)
    stack.callback(index.close)
    behind = Gauge(
        "juki_person_index_behind_records",
        "Durable records of the audit log that the person index does not hold yet.",
        registry=registry,
    )
    behind.set_function(lambda: max(0, durable_to() - index.complete_to()))
    entries = Gauge(
        "juki_person_index_entries", "Entries the person index holds.", registry=registry
    )
    entries.set_function(lambda: index.size().entries)
    size = Gauge("juki_person_index_bytes", "Size of the person index's files.", registry=registry)
    size.set_function(lambda: index.size().bytes)
    follower, merger = LogFollower(index, records, durable_to), RunMerger(index)
    for worker in (
        Worker("person-index", follower.work, wake=follower.wake),
        Worker("person-index-merging", merger.work, wake=merger.wake),
    ):
        worker.start()
        stack.callback(worker.close)
    return PersonHistory(index, pseudonymisers)
