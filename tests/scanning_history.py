"""A person's history by reading the whole log: right and slow, where there is no private index.

The cost is that of decoding every record. `juki.audit.persons` answers the same question, as
`History` too, from an index.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from juki.audit.encoding import decode
from juki.audit.persons.port import (
    DEFAULT_PAGE_ENTRIES,
    MAX_PAGE_ENTRIES,
    EntryPosition,
    HistoryEntry,
    HistoryPage,
)
from juki.audit.port import PSEUDONYM_BYTES, AuditRecord
from juki.audit.pseudonym import Pseudonymiser
from juki.audit.reading import LogRecords
from juki.domain.errors import InvalidValue
from juki.domain.outcome import Outcome

_OF_ONE: Final = frozenset({Outcome.FOUND, Outcome.DISPUTED})
"""Outcomes that name one person."""


class ScanningHistory:
    """`juki.audit.persons.port.History` over the segments of a log, which may be in use."""

    def __init__(self, directory: Path, every: Callable[[], Sequence[Pseudonymiser]]) -> None:
        """`every` gives a pseudonymiser of each version of the key."""
        self._directory = directory
        self._every = every

    def history(
        self, ordinal: int, *, limit: int = DEFAULT_PAGE_ENTRIES, page_token: str = ""
    ) -> HistoryPage:
        """The person's entries, the newest first; raises as the port says."""
        if ordinal < 1 or not 1 <= limit <= MAX_PAGE_ENTRIES:
            raise InvalidValue("a history is one person's, in pages of 1 to 1,000")
        before = _position(page_token)
        wanted = {one.version: one.pseudonyms([ordinal]) for one in self._every()}
        found: list[HistoryEntry] = []
        last = 0
        for sequence, record in self._records():
            last = sequence
            pseudonym = wanted.get(record.pseudonym_key)
            if pseudonym is not None and pseudonym in record.pseudonyms:
                found += _entries(sequence, record, pseudonym)
        older = [e for e in reversed(found) if before is None or e.position < before]
        page = older[:limit]
        token = ""
        if len(older) > limit:
            token = f"{page[-1].position.sequence}.{page[-1].position.index}"
        return HistoryPage(tuple(page), token, last)

    def _records(self) -> Iterator[tuple[int, AuditRecord]]:
        # A record that is being written now is left out: nobody was answered on it yet.
        for sequence, record in LogRecords(self._directory).records_from(1):
            yield sequence, decode(record)


def _entries(sequence: int, record: AuditRecord, pseudonym: bytes) -> list[HistoryEntry]:
    entries = []
    for index, value in enumerate(record.outcomes):
        start = index * PSEUDONYM_BYTES
        outcome = Outcome(value)
        if record.pseudonyms[start : start + PSEUDONYM_BYTES] == pseudonym and outcome in _OF_ONE:
            given = sorted(record.granted_fields) if outcome is Outcome.FOUND else ()
            entries.append(
                HistoryEntry(
                    EntryPosition(sequence, index),
                    record.time_unix_nanos,
                    record.body_identity,
                    record.office,
                    record.operator,
                    record.article,
                    "" if record.affair is None else str(record.affair),
                    record.search_key,
                    tuple(given),
                    outcome,
                    record.request_id,
                    record.pseudonym_key,
                )
            )
    return entries


def _position(token: str) -> EntryPosition | None:
    if not token:
        return None
    sequence, dot, index = token.partition(".")
    if not dot or not all(p.isascii() and p.isdigit() and len(p) < 20 for p in (sequence, index)):
        raise InvalidValue("the page token is none of ours")
    return EntryPosition(int(sequence), int(index))
