"""Keeps the index up with its log: reads what became durable, a quarter of a second behind."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Final

from juki.audit.persons.index import FilePersonIndex
from juki.audit.reading import LogRecords

_LOOK_SECONDS: Final = 0.25
_BATCH_BYTES: Final = 1 << 20
_MERGE_LOOK_SECONDS: Final = 1.0
_NICENESS: Final = 10


class LogFollower:
    """Adds records to the index; `work` is a worker's round.

    It reads the log's own files, whether they were written a moment ago or before the last start:
    there is one way into the index, and an append waits for nothing of it.
    """

    def __init__(
        self, index: FilePersonIndex, records: LogRecords, durable_to: Callable[[], int]
    ) -> None:
        """`durable_to` gives the sequence of the log's last durable record."""
        self._index = index
        self._records = records
        self._durable_to = durable_to
        self._woken = threading.Event()

    def work(self) -> None:
        """One round: up to the end, then a pause."""
        self.catch_up()
        self._woken.wait(_LOOK_SECONDS)

    def wake(self) -> None:
        """Ends the pause of a round, and all that follow."""
        self._woken.set()

    def catch_up(self) -> None:
        """Adds what is durable now; returns early when woken. Raises as reading and adding do."""
        durable_to = self._durable_to()
        while self._index.complete_to() < durable_to and not self._woken.is_set():
            self._add_from(self._index.complete_to() + 1, durable_to)

    def _add_from(self, sequence: int, durable_to: int) -> None:
        batch: list[tuple[int, bytes]] = []
        size = 0
        for found, record in self._records.records_from(sequence):
            batch.append((found, record))
            size += len(record)
            if size >= _BATCH_BYTES or found == durable_to:
                if not self._index.add(batch) or found == durable_to or self._woken.is_set():
                    return
                batch, size = [], 0
        self._index.add(batch)


class RunMerger:
    """Merges runs in the background; `work` is a worker's round."""

    def __init__(self, index: FilePersonIndex) -> None:
        self._index = index
        self._woken = threading.Event()
        self._lowered = False

    def work(self) -> None:
        """Merges one group, or looks again after a second."""
        if not self._lowered:
            # On Linux a thread has a niceness of its own: who merges gives way to who answers.
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
            self._lowered = True
        if not self._index.merge_once():
            self._woken.wait(_MERGE_LOOK_SECONDS)

    def wake(self) -> None:
        """Ends the pause of a round."""
        self._woken.set()
