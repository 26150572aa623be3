"""Logs of numbered records: what is appended under faults, and read back after them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

from juki.audit.encoding import decode
from juki.audit.port import AuditRecord
from juki.audit.segment import read_frames, read_header, segments
from juki.domain.legal_basis import AffairReference, Field, SearchKey
from juki.domain.outcome import Outcome

SEGMENT_BYTES: Final = 700
"""A few records: segments are begun several times in a run."""

_TIME: Final = 1_793_000_000_000_000_000


def numbered_record(number: int) -> AuditRecord:
    """A call for 0 to 2 persons; its request id is the number."""
    persons = number % 3
    return AuditRecord(
        time_unix_nanos=_TIME + number,
        body_identity="spiffe://agency.juki.example/nenkin",
        request_id=str(number),
        affair=AffairReference(1, "77"),
        search_key=SearchKey.INDIVIDUAL_NUMBER,
        office="office",
        operator="operator-7",
        article="30-9",
        requested_fields=frozenset({Field.NAME}),
        granted_fields=frozenset({Field.NAME}),
        pseudonyms=b"".join(
            hashlib.sha256(f"{number}/{person}".encode()).digest()[:16] for person in range(persons)
        ),
        pseudonym_key=1 if persons else 0,
        outcomes=bytes([Outcome.FOUND]) * persons,
    )


def records_in(directory: Path) -> list[AuditRecord]:
    """Every record of a log at rest, in order; raises TornTail where one is unfinished."""
    found: list[AuditRecord] = []
    for path in segments(directory):
        with path.open("rb") as file:
            read_header(path, file)
            found += [decode(frame.record) for frame in read_frames(path, file)]
    return found
