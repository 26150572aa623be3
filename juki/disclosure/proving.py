"""Inclusion proofs of what is disclosed: that each entry stands in the log, for all to check."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from juki.audit.checkpoint import SignedCheckpoint, read_checkpoint
from juki.audit.persons.port import HistoryEntry, RecordReader
from juki.audit.proof import prove_record
from juki.audit.tiles import PUBLIC_DIRECTORY
from juki.domain.errors import JukiError

WAIT_SECONDS: Final = 10.0
"""A checkpoint is made every second; a log whose token does not sign has none for longer."""

_LOOK_SECONDS: Final = 0.05
_ATTEMPTS: Final = 5
"""While the log grows, a tile of the checkpoint just read may have been replaced by a wider one."""


class EntryProver:
    """Proves entries of one log; safe to share between threads."""

    def __init__(self, audit_directory: Path, records: RecordReader) -> None:
        self._public = audit_directory / PUBLIC_DIRECTORY
        self._records = records

    def __call__(self, entries: Sequence[HistoryEntry]) -> list[str]:
        """The proof of each entry as JSON, all under one checkpoint; empty for an entry that none
        covers in time.

        Raises:
            JukiError: TAMPERING_DETECTED, what is published is not what the log holds.
        """
        if not entries:
            return []
        self._covering(max(entry.position.sequence for entry in entries))
        for attempt in range(1, _ATTEMPTS + 1):
            signed = read_checkpoint(self._public)
            if signed is None:
                return [""] * len(entries)
            try:
                return [self._proof(entry, signed) for entry in entries]
            except JukiError:
                if attempt == _ATTEMPTS:
                    raise
        raise AssertionError("every attempt ends")

    def _covering(self, sequence: int) -> None:
        until = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < until:
            signed = read_checkpoint(self._public)
            if signed is not None and signed.checkpoint.size >= sequence:
                return
            time.sleep(_LOOK_SECONDS)

    def _proof(self, entry: HistoryEntry, signed: SignedCheckpoint) -> str:
        sequence, index = entry.position.sequence, entry.position.index
        if sequence > signed.checkpoint.size:
            return ""
        record = self._records.record(sequence)
        proof = prove_record(self._public, record, sequence, index, signed)
        return json.dumps(proof, ensure_ascii=False)
