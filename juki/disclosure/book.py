"""The book of requests: acts are kept durably, each decided on the acts before it.

An act under a request id that was used before gives the first outcome again; with another content
it is refused. One transaction a act, under the lock of the section's root.
"""

from __future__ import annotations

import datetime
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from types import SimpleNamespace
from typing import Any, Final

from sqlalchemy import Connection, Engine, Table, exists, func, insert, select

from juki.disclosure.acts import (
    CLOSING,
    OFFICE,
    Act,
    ActContent,
    ActKind,
    StoredRequest,
    after,
    begun,
)
from juki.disclosure.tables import DISCLOSURE_SECTION, place_of_act
from juki.domain.errors import JukiError, Reason
from juki.domain.person_request import RequestKind, japanese_day
from juki.store.root import RegisterRoot, RowChanges
from juki.store.sealing import Sealer, seal_id

_LETTERS: Final = {RequestKind.DISCLOSURE: "D", RequestKind.CORRECTION: "C"}
_KINDS: Final = {letter: kind for kind, letter in _LETTERS.items()}
_EPOCH: Final = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
MAX_PAGE: Final = 1000

Clock = Callable[[], datetime.datetime]
"""Now, aware."""


@dataclass(frozen=True, slots=True)
class Doing:
    """Who does an act, under which id."""

    municipality: str
    """Six digits, or `OFFICE`."""

    request_id: str


class RequestBook:
    """Requests of one tier; safe to share between threads."""

    def __init__(
        self, engine: Engine, sealer: Sealer, tables: tuple[Table, Table], clock: Clock
    ) -> None:
        """`tables`: the tier's own `person_request_act` and `register_root`."""
        self._engine = engine
        self._sealer = sealer
        self._table, root = tables
        self._clock = clock
        self._root = RegisterRoot(sealer, root, DISCLOSURE_SECTION)
        self._lock = threading.Lock()

    def now(self) -> datetime.datetime:
        """The book's clock."""
        return self._clock()

    def receive(self, kind: RequestKind, doing: Doing, content: ActContent) -> StoredRequest:
        """Takes a request in; repeated, the first one.

        Raises:
            JukiError: REQUEST_ID_REUSED with another content; for a correction, REQUEST_STATE or
                RECORD_NOT_FOUND unless it is about a disclosure that was made.
        """
        with self._lock, self._engine.begin() as connection:
            changes = self._root.begin(connection)
            held = self._held(connection, doing, content, ActKind.RECEIVED)
            if held is not None:
                return held
            act = Act(
                1, ActKind.RECEIVED, doing.municipality, doing.request_id, self._clock(), content
            )
            about = None
            if kind is RequestKind.CORRECTION:
                about = self._read(connection, content.disclosure_id).request
            request = begun(kind, act, about)
            new_id = self._next_id(connection, kind, act.acted_at)
            self._write(connection, changes, new_id, act)
            changes.write(connection)
        return StoredRequest(new_id, (act,), request)

    def act(self, id_: str, kind: ActKind, doing: Doing, content: ActContent) -> StoredRequest:
        """Does an act; repeated, the request as it was after the first time.

        Raises:
            JukiError: RECORD_NOT_FOUND, REQUEST_ID_REUSED, or what `PersonRequest` raises.
        """
        with self._lock, self._engine.begin() as connection:
            changes = self._root.begin(connection)
            held = self._held(connection, doing, content, kind)
            if held is not None:
                if held.id != id_:
                    raise _reused()
                return held
            stored = self._read(connection, id_)
            act = Act(
                len(stored.acts) + 1,
                kind,
                doing.municipality,
                doing.request_id,
                self._clock(),
                content,
            )
            request = after(stored.request, act)
            self._write(connection, changes, id_, act)
            changes.write(connection)
        return StoredRequest(id_, (*stored.acts, act), request)

    def done(self, doing: Doing, content: ActContent, kind: ActKind) -> StoredRequest | None:
        """The request as it was after the act of that id, if it was done; REQUEST_ID_REUSED."""
        with self._engine.connect().execution_options(read_only=True) as connection:
            return self._held(connection, doing, content, kind)

    def read(self, id_: str) -> StoredRequest:
        """A request; raises JukiError RECORD_NOT_FOUND or TAMPERING_DETECTED."""
        with self._engine.connect().execution_options(read_only=True) as connection:
            return self._read(connection, id_)

    def requests(
        self,
        *,
        municipality: str | None = None,
        open_only: bool = False,
        limit: int = MAX_PAGE,
        after_id: str = "",
    ) -> list[StoredRequest]:
        """Requests by number, of one municipality's counters or of all."""
        table, later = self._table, self._table.alias()
        statement = select(table.c.id).where(
            table.c.act == int(ActKind.RECEIVED), table.c.id > after_id
        )
        if municipality is not None:
            statement = statement.where(table.c.municipality == municipality)
        if open_only:
            closing = [int(kind) for kind in CLOSING]
            statement = statement.where(
                ~exists().where(later.c.id == table.c.id, later.c.act.in_(closing))
            )
        with self._engine.connect().execution_options(read_only=True) as connection:
            ids = list(connection.scalars(statement.order_by(table.c.id).limit(limit)))
            rows = connection.execute(
                select(table).where(table.c.id.in_(ids)).order_by(table.c.id, table.c.number)
            ).all()
            return [
                self._stored(connection, id_, list(own))
                for id_, own in groupby(rows, key=lambda row: str(row.id))
            ]

    def _held(
        self, connection: Connection, doing: Doing, content: ActContent, kind: ActKind
    ) -> StoredRequest | None:
        table = self._table
        found = connection.execute(
            select(table.c.id, table.c.number).where(
                table.c.municipality == doing.municipality,
                table.c.request_id == doing.request_id,
            )
        ).first()
        if found is None:
            return None
        stored = self._read(connection, found.id, through=found.number)
        act = stored.acts[-1]
        if act.kind is not kind or act.content.digest != content.digest:
            raise _reused()
        return stored

    def _read(
        self, connection: Connection, id_: str, *, through: int | None = None
    ) -> StoredRequest:
        table = self._table
        statement = select(table).where(table.c.id == id_).order_by(table.c.number)
        if through is not None:
            statement = statement.where(table.c.number <= through)
        rows = connection.execute(statement).all()
        if not rows:
            raise JukiError(Reason.RECORD_NOT_FOUND, "there is no such request")
        return self._stored(connection, id_, rows)

    def _stored(self, connection: Connection, id_: str, rows: Sequence[Any]) -> StoredRequest:
        acts = tuple(self._acts(rows))
        if [act.number for act in acts] != list(range(1, len(acts) + 1)):
            raise self._sealer.tampering("a request has lost an act")
        first, *following = acts
        kind = _KINDS[id_[0]]
        about = None
        if kind is RequestKind.CORRECTION:
            about = self._read(connection, first.content.disclosure_id).request
        request = begun(kind, first, about)
        for act in following:
            request = after(request, act)
        return StoredRequest(id_, acts, request)

    def _acts(self, rows: Sequence[Any]) -> Iterator[Act]:
        for row in rows:
            opened = self._sealer.open(bytes(row.content_sealed), place_of_act(row))
            yield Act(
                row.number,
                ActKind(row.act),
                row.municipality,
                row.request_id,
                _EPOCH + datetime.timedelta(microseconds=row.acted_at),
                ActContent.from_bytes(opened),
            )

    def _next_id(self, connection: Connection, kind: RequestKind, at: datetime.datetime) -> str:
        prefix = f"{_LETTERS[kind]}-{japanese_day(at).year}-"
        column = self._table.c.id
        last = connection.scalar(select(func.max(column)).where(column.startswith(prefix)))
        return f"{prefix}{int(last.removeprefix(prefix)) + 1 if last else 1:08d}"

    def _write(self, connection: Connection, changes: RowChanges, id_: str, act: Act) -> None:
        row = SimpleNamespace(
            id=id_,
            number=act.number,
            act=int(act.kind),
            municipality=act.municipality,
            request_id=act.request_id,
            acted_at=(act.acted_at - _EPOCH) // datetime.timedelta(microseconds=1),
        )
        sealed = self._sealer.seal(act.content.to_bytes(), place_of_act(row))
        connection.execute(insert(self._table).values(**vars(row), content_sealed=sealed))
        changes.add(self._table.name, seal_id(sealed))


def office(request_id: str) -> Doing:
    """The discloser's own act."""
    return Doing(OFFICE, request_id)


def _reused() -> JukiError:
    return JukiError(Reason.REQUEST_ID_REUSED, "the request id was used for another act")
