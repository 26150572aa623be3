"""The history of a person: their entries under every version of the pseudonym key, read back."""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Callable, Sequence
from typing import Final

from juki.audit.persons.index import FilePersonIndex
from juki.audit.persons.port import (
    DEFAULT_PAGE_ENTRIES,
    MAX_PAGE_ENTRIES,
    EntryPosition,
    HistoryEntry,
    HistoryPage,
)
from juki.audit.pseudonym import Pseudonymiser
from juki.domain.errors import InvalidValue
from juki.domain.legal_basis import Field, SearchKey
from juki.domain.outcome import Outcome
from juki.v1 import audit_pb2

_TOKEN: Final = struct.Struct(">QI")


class PersonHistory:
    """`History` over the private index; safe to share between threads."""

    def __init__(
        self, index: FilePersonIndex, pseudonymisers: Callable[[], Sequence[Pseudonymiser]]
    ) -> None:
        """`pseudonymisers` gives one of each version of the key."""
        self._index = index
        self._pseudonymisers = pseudonymisers

    def history(
        self, ordinal: int, *, limit: int = DEFAULT_PAGE_ENTRIES, page_token: str = ""
    ) -> HistoryPage:
        """See `History`."""
        if ordinal < 1:
            raise InvalidValue("ordinal 0 is nobody's")
        if not 1 <= limit <= MAX_PAGE_ENTRIES:
            raise InvalidValue("a page has 1 to 1,000 entries", {"field": "limit"})
        before = _read_token(page_token) if page_token else None
        complete_to = self._index.complete_to()
        found: list[tuple[EntryPosition, audit_pb2.AuditRecord]] = []
        for pseudonymiser in self._pseudonymisers():
            found += self._index.records(
                pseudonymiser.pseudonyms([ordinal]),
                pseudonymiser.version,
                limit=limit + 1,
                before=before,
            )
        found.sort(key=lambda one: one[0], reverse=True)
        more = len(found) > limit
        entries = tuple(_entry(position, record) for position, record in found[:limit])
        token = _make_token(entries[-1].position) if more else ""
        return HistoryPage(entries, token, complete_to)


def _entry(position: EntryPosition, record: audit_pb2.AuditRecord) -> HistoryEntry:
    outcome = Outcome(record.outcomes[position.index])
    given = record.granted_fields if outcome is Outcome.FOUND else ()
    return HistoryEntry(
        position=position,
        time_unix_nanos=record.time_unix_nanos,
        body_identity=record.body_identity,
        office=record.office,
        operator=record.operator,
        article=record.article,
        affair=(
            f"{record.affair_table}:{record.affair_item}"
            if record.affair_table
            else record.affair_id
        ),
        search_key=SearchKey(record.search_key) if record.search_key else None,
        given_fields=tuple(sorted(map(Field, given))),
        outcome=outcome,
        request_id=record.request_id,
        key_version=record.pseudonym_key,
        via=record.via,
    )


def _make_token(position: EntryPosition) -> str:
    return base64.urlsafe_b64encode(_TOKEN.pack(position.sequence, position.index)).decode()


def _read_token(token: str) -> EntryPosition:
    try:
        return EntryPosition(*_TOKEN.unpack(base64.b64decode(token, altchars=b"-_", validate=True)))
    except (binascii.Error, struct.error, ValueError):
        raise InvalidValue("not a page token of ours", {"field": "page_token"}) from None
