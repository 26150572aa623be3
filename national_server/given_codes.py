"""Whom the nation gave which resident record code (Art. 30-9-2 (1)), and which have changed since.

A row is one person's code with one body. It holds, sealed, the code that the body has and, where
that is not the person's any more, the one that it is to be told: so nothing is lost if the server
ends, and what was not acknowledged is told again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Engine, select

from juki.domain.codes import ResidentRecordCode
from juki.index.reading import LookedUp
from juki.register.intake import Committed
from juki.register.tables import person_merge
from juki.store.root import RegisterRoot, RowChanges, Section, sealed
from juki.store.sealing import Sealer, seal_id
from juki.store.upsert import upsert
from juki.v1 import identification_pb2
from national_server.tables import given_code, register_root

GIVEN_SECTION: Final = "given"
_PAGE: Final = 500
_ROUND_SECONDS: Final = 1.0
_TABLE: Final = "given_code"
CodeOf = Callable[[Connection, int], ResidentRecordCode | None]
"""The present code of the person with this ordinal; None where nobody can say."""


def place_of_given(row: Any) -> bytes:
    """The place that the sealed codes of a row are bound to: all the rest of it."""
    return b"given_code.codes|%b|%d|%b" % (row.body.encode(), row.ordinal, row.change_key.encode())


SECTION: Final = Section(GIVEN_SECTION, (sealed(given_code, "codes_sealed", place_of_given),))


@dataclass(frozen=True, slots=True)
class CodeChange:
    """A body has one code of a person, and the person has another."""

    key: str
    """34 hexadecimal digits; the same change has the same key."""

    ordinal: int
    former: ResidentRecordCode
    code: ResidentRecordCode


@dataclass(slots=True)
class _Row:
    body: str
    ordinal: int
    change_key: str
    codes_sealed: bytes = b""


class GivenCodes:
    """The codes that bodies were given; safe to share between threads."""

    def __init__(self, engine: Engine, sealer: Sealer, code_of: CodeOf) -> None:
        self._engine = engine
        self._sealer = sealer
        self._code_of = code_of
        self._root = RegisterRoot(sealer, register_root, GIVEN_SECTION)
        self._lock = threading.Lock()
        self._touched: set[int] = set()
        self._looked_at_all = False
        self._woken = threading.Event()
        self.on_change: Callable[[], None] = lambda: None
        """Told after codes of the register have changed."""

    def note(self, body: str, looked_up: LookedUp) -> None:
        """Keeps which codes an answer gives the body, durable when this returns.

        Raises:
            JukiError: STORE_UNAVAILABLE: the answer must not go then.
        """
        given = dict(_codes_in(looked_up))
        if not given:
            return
        with self._engine.begin() as connection:
            changes = self._root.begin(connection)
            for ordinal, code in given.items():
                self._put(connection, changes, _Row(body, ordinal, ""), code, None)
            changes.write(connection)

    def follow(self, committed: Committed) -> None:
        """After a commit of the register: its persons are looked at in the next round."""
        with self._lock:
            self._touched.update(person.ordinal for person in committed.outcome.persons)
            self._touched.update(committed.outcome.merged)
        self._woken.set()

    def work(self) -> None:
        """A worker's round. The first looks at everybody: an end may have come before a round.

        Raises:
            JukiError: STORE_UNAVAILABLE, TAMPERING_DETECTED; the next round tries again.
        """
        if not self._looked_at_all:
            self.refresh_all()
            self._looked_at_all = True
        self._woken.wait(_ROUND_SECONDS)
        self._woken.clear()
        with self._lock:
            touched, self._touched = self._touched, set()
        try:
            changed = self._refresh(touched)
        except Exception:
            with self._lock:
                self._touched |= touched
            raise
        if changed:
            self.on_change()

    def wake(self) -> None:
        """Ends the pause of a round."""
        self._woken.set()

    def refresh_all(self) -> None:
        """Looks at everybody: what was committed just before an end was not followed."""
        after = 0
        while True:
            with self._engine.connect().execution_options(read_only=True) as connection:
                ordinals = connection.scalars(
                    select(given_code.c.ordinal)
                    .distinct()
                    .where(given_code.c.ordinal > after)
                    .order_by(given_code.c.ordinal)
                    .limit(_PAGE)
                ).all()
            if not ordinals:
                return
            self._refresh(ordinals)
            after = ordinals[-1]

    def changed(self, body: str, but: set[str]) -> list[CodeChange]:
        """Up to 500 changes that the body has not acknowledged, but those with these keys."""
        statement = (
            select(given_code)
            .where(given_code.c.body == body, given_code.c.change_key != "")
            .order_by(given_code.c.ordinal)
        )
        found: list[CodeChange] = []
        with self._engine.connect().execution_options(read_only=True) as connection:
            for row in connection.execute(statement):
                if row.change_key not in but:
                    former, code = self._codes(row)
                    assert code is not None, "a change has a new code"
                    found.append(CodeChange(row.change_key, row.ordinal, former, code))
                    if len(found) == _PAGE:
                        break
        return found

    def acknowledge(self, body: str, keys: Sequence[str]) -> None:
        """The body has these changes; keys that are not its own, or not known, say nothing."""
        statement = select(given_code).where(
            given_code.c.body == body, given_code.c.change_key.in_(set(keys) - {""})
        )
        with self._engine.begin() as connection:
            changes = self._root.begin(connection)
            for row in connection.execute(statement).all():
                _, code = self._codes(row)
                assert code is not None, "a change has a new code"
                self._put(connection, changes, _Row(body, row.ordinal, ""), code, None)
            changes.write(connection)

    def _refresh(self, ordinals: Iterable[int]) -> bool:
        """Whether a code that somebody was given is another now."""
        wanted = set(ordinals)
        if not wanted:
            return False
        some = False
        with self._engine.begin() as connection:
            rows = connection.execute(
                select(given_code).where(given_code.c.ordinal.in_(wanted))
            ).all()
            if not rows:
                return False
            changes = self._root.begin(connection)
            for row in rows:
                some |= self._refresh_row(connection, changes, row)
            changes.write(connection)
        return some

    def _refresh_row(self, connection: Connection, changes: RowChanges, row: Any) -> bool:
        former, told = self._codes(row)
        code = self._code_of(connection, _survivor(connection, row.ordinal))
        if code is None or code == (told or former):
            return False
        if code == former:  # changed and changed back, before anybody was told
            self._put(connection, changes, _Row(row.body, row.ordinal, ""), former, None)
            return False
        text = f"{row.body}|{row.ordinal}|{former.digits}|{code.digits}"
        key = self._sealer.blind("code-change", text).hex()
        self._put(connection, changes, _Row(row.body, row.ordinal, key), former, code)
        return True

    def _put(
        self,
        connection: Connection,
        changes: RowChanges,
        row: _Row,
        former: ResidentRecordCode,
        code: ResidentRecordCode | None,
    ) -> None:
        where = given_code.c.body == row.body, given_code.c.ordinal == row.ordinal
        for held in connection.scalars(select(given_code.c.codes_sealed).where(*where)):
            changes.remove(_TABLE, seal_id(bytes(held)))
        text = former.digits + ("" if code is None else code.digits)
        row.codes_sealed = self._sealer.seal(text.encode(), place_of_given(row))
        changes.add(_TABLE, seal_id(row.codes_sealed))
        values = {
            "body": row.body,
            "ordinal": row.ordinal,
            "change_key": row.change_key,
            "codes_sealed": row.codes_sealed,
        }
        upsert(connection, given_code, [values])

    def _codes(self, row: Any) -> tuple[ResidentRecordCode, ResidentRecordCode | None]:
        text = self._sealer.open(bytes(row.codes_sealed), place_of_given(row)).decode()
        return ResidentRecordCode(text[:11]), ResidentRecordCode(text[11:]) if text[11:] else None


def _codes_in(looked_up: LookedUp) -> Iterator[tuple[int, ResidentRecordCode]]:
    for at, information in enumerate(looked_up.information):
        if information:
            ordinal = int.from_bytes(looked_up.ordinals[8 * at : 8 * at + 8])
            read = identification_pb2.IdentificationInformation.FromString(information)
            if read.resident_record_code:
                yield ordinal, ResidentRecordCode(read.resident_record_code)


def _survivor(connection: Connection, ordinal: int) -> int:
    """The person that this one turned out to be."""
    while True:
        statement = select(person_merge.c.into).where(person_merge.c.merged == ordinal)
        into = connection.scalar(statement)
        if into is None:
            return ordinal
        ordinal = into
