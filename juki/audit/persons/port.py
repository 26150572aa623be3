"""What is asked of the private index: the entries of a pseudonym, the history of a person.

The index is derived from the log's segments and kept apart from everything that is public: it
leads from a person to who asked about them. It may run some seconds behind the log; every answer
says up to which record it is complete.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from juki.domain.legal_basis import Field, SearchKey
from juki.domain.outcome import Outcome

DEFAULT_PAGE_ENTRIES: Final = 100
MAX_PAGE_ENTRIES: Final = 1_000


@dataclass(frozen=True, slots=True, order=True)
class EntryPosition:
    """Where one person's entry stands in a log; later entries compare greater."""

    sequence: int
    """Of the record: 1 for the first of the log."""

    index: int
    """Of the person in the record: 0 for its first."""


class PersonIndex(Protocol):
    """From a pseudonym to its entries; safe to share between threads."""

    def entries(
        self,
        pseudonym: bytes,
        key_version: int,
        *,
        limit: int = DEFAULT_PAGE_ENTRIES,
        before: EntryPosition | None = None,
    ) -> Sequence[EntryPosition]:
        """Up to `limit` entries of a pseudonym (16 bytes, made with that version of the key).

        The newest first; with `before` those older than it, so that the last of a page asks for the
        next. Each was compared with the record itself. What a record holds of nobody (an outcome
        that names no one person) is not indexed.

        Raises:
            InvalidValue: Not 16 bytes, or a limit below 1.
            JukiError: TAMPERING_DETECTED, a record cannot be read back; STORE_UNAVAILABLE.
        """
        ...

    def complete_to(self) -> int:
        """Sequence of the last record up to which nothing is missing; 0 before the first."""
        ...


class RecordReader(Protocol):
    """Records of a log by their sequence, from segments in use and from archived ones."""

    def record(self, sequence: int) -> bytes:
        """The bytes of a durable record, an `AuditRecord` message.

        Raises:
            JukiError: RECORD_NOT_FOUND, the log has no such record; TAMPERING_DETECTED, it cannot
                be read back.
        """
        ...


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One look-up of one person, as the log holds it."""

    position: EntryPosition
    time_unix_nanos: int
    body_identity: str
    """URI of the body's certificate."""

    office: str
    operator: str
    article: str
    """The provision it was answered under, for example "30-9"."""

    affair: str
    """The written affair: "1:77" for a row of the Appended Tables, else its registered id; empty
    where the provision alone says all."""

    search_key: SearchKey | None
    """By what the person was looked up."""

    given_fields: tuple[Field, ...]
    """The fields given, ascending; none unless the outcome is FOUND."""

    outcome: Outcome
    request_id: str
    key_version: int
    """Of the key under the entry's pseudonym."""

    via: str = ""
    """Identity of the governor's server by way of which the body asked; empty for a direct call."""


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """Entries of one person, the newest first."""

    entries: tuple[HistoryEntry, ...]
    next_page_token: str
    """Asks for the older ones; empty where there are none."""

    complete_to: int
    """Sequence of the last record the page is sure to take into account."""


class History(Protocol):
    """Who was given a person's data: for disclosure to that person (Act Art. 30-32)."""

    def history(
        self, ordinal: int, *, limit: int = DEFAULT_PAGE_ENTRIES, page_token: str = ""
    ) -> HistoryPage:
        """The entries of the person with this ordinal, under every version of the pseudonym key.

        Raises:
            InvalidValue: Nobody's ordinal (0), a limit outside 1 to `MAX_PAGE_ENTRIES`, or a
                page token that is not one of ours.
            JukiError: As `PersonIndex.entries`; CUSTODY_UNAVAILABLE, the keys cannot be had.
        """
        ...
