"""Reads and writes the stream, the residents and the events, for `cs_gateway.writer`."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Connection, Engine, Row, bindparam, delete, func, insert, select, update
from sqlalchemy.exc import SQLAlchemyError

from cs_gateway import places
from cs_gateway.covered import GATEWAY_SECTION, code_message, open_code, open_resident
from cs_gateway.ports import GatewayCustody
from cs_gateway.records import Resident
from cs_gateway.tables import (
    CODE_POOL,
    CODE_REQUEST,
    DATA_KEY,
    GATEWAY_STATE,
    OUTBOX,
    RECOVERED,
    REGISTER_EVENT,
    REGISTER_ROOT,
    RESIDENT,
)
from juki.domain.change import RecordState
from juki.domain.envelope import GENESIS_DIGEST, StreamPosition
from juki.domain.errors import JukiError, Reason
from juki.store.data_keys import KeyStore, SealingKeys
from juki.store.root import RegisterRoot, RowChanges, row_bytes
from juki.store.sealing import seal_id
from juki.v1 import identification_pb2

_EVENT: Final = tuple(column.name for column in REGISTER_EVENT.columns)

_EVENTS: Final = select(
    REGISTER_EVENT.c.event_key,
    REGISTER_EVENT.c.content,
    REGISTER_EVENT.c.record_key,
    REGISTER_EVENT.c.epoch,
    REGISTER_EVENT.c.sequence,
).where(REGISTER_EVENT.c.event_key.in_(bindparam("keys", expanding=True)))
_RESIDENTS: Final = select(
    RESIDENT.c.record_key,
    RESIDENT.c.code_key,
    RESIDENT.c.information,
    RESIDENT.c.state,
    RESIDENT.c.last_digest,
    RESIDENT.c.number_pending,
)
_RESIDENTS_BY_RECORD: Final = _RESIDENTS.where(
    RESIDENT.c.record_key.in_(bindparam("keys", expanding=True))
)
_RESIDENTS_BY_CODE: Final = _RESIDENTS.where(
    RESIDENT.c.code_key.in_(bindparam("keys", expanding=True))
)
_UPDATE_RESIDENT: Final = (
    update(RESIDENT)
    .where(RESIDENT.c.record_key == bindparam("key"))
    .values(
        code_key=bindparam("code_key"),
        information=bindparam("information"),
        state=bindparam("state"),
        last_digest=bindparam("last_digest"),
        number_pending=bindparam("number_pending"),
    )
)
_UNUSED_CODES: Final = select(CODE_POOL).where(
    CODE_POOL.c.code_key.in_(bindparam("keys", expanding=True)), CODE_POOL.c.used_at.is_(None)
)
_USE_CODES: Final = (
    update(CODE_POOL)
    .where(CODE_POOL.c.code_key.in_(bindparam("keys", expanding=True)))
    .values(used_at=bindparam("now"))
)
_STORED_INFORMATION: Final = select(RESIDENT.c.information).where(
    RESIDENT.c.record_key.in_(bindparam("keys", expanding=True))
)


@dataclass(frozen=True, slots=True)
class TakenEvent:
    """An event that was taken in earlier, and its notification."""

    content: bytes
    record_key: bytes
    epoch: int
    sequence: int


@dataclass(frozen=True, slots=True)
class Adoption:
    """A recovered notification whose register event has come again."""

    epoch: int
    sequence: int
    stand_in_key: bytes
    """Record key that stood in for the resident's until now; empty when it was known."""

    record_key: bytes


@dataclass(slots=True)
class GroupWrite:
    """All that one transaction of the writer stores."""

    before: StreamPosition
    """The head that the group was built upon; another head in the database fences us off."""

    after: StreamPosition
    outbox: list[dict[str, Any]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    new_residents: list[Resident] = field(default_factory=list)
    changed_residents: list[Resident] = field(default_factory=list)
    used_codes: list[bytes] = field(default_factory=list)
    adoptions: list[Adoption] = field(default_factory=list)
    recovered: list[dict[str, Any]] = field(default_factory=list)
    void_unused_codes: bool = False


class GatewayStore:
    """The gateway's database."""

    def __init__(self, engine: Engine, sealing: SealingKeys) -> None:
        self.engine = engine
        self.sealing = sealing
        self.sealer = sealing.sealer
        self.root = RegisterRoot(self.sealer, REGISTER_ROOT, GATEWAY_SECTION)
        # SQLite lets writers wait by sleeping; one lock in the process hands over at once.
        self._write_lock = threading.Lock()

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A durable transaction.

        Raises:
            JukiError: STORE_UNAVAILABLE; what was written may or may not be durable then.
        """
        try:
            with self._write_lock, self.engine.begin() as connection:
                yield connection
        except SQLAlchemyError as error:
            # A driver's text may quote parameters, which are personal: only the kind is told.
            raise _unavailable(error) from None

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that only reads.

        Raises:
            JukiError: STORE_UNAVAILABLE.
        """
        try:
            with self.engine.connect() as connection:
                yield connection.execution_options(read_only=True)
        except SQLAlchemyError as error:
            raise _unavailable(error) from None

    def head(self) -> StreamPosition:
        """The head of the gateway's own stream."""
        with self.read() as connection:
            row = connection.execute(
                select(GATEWAY_STATE.c.epoch, GATEWAY_STATE.c.sequence, GATEWAY_STATE.c.digest)
            ).one()
        return StreamPosition(row.epoch, row.sequence, bytes(row.digest))

    def group_context(
        self,
        event_keys: Sequence[bytes],
        record_keys: Sequence[bytes],
        code_keys: Sequence[bytes],
    ) -> tuple[dict[bytes, TakenEvent], dict[bytes, Resident]]:
        """Events taken in before, and the residents by record or by code."""
        taken: dict[bytes, TakenEvent] = {}
        residents: dict[bytes, Resident] = {}
        with self.read() as connection:
            if event_keys:
                for row in connection.execute(_EVENTS, {"keys": event_keys}).all():
                    taken[bytes(row.event_key)] = TakenEvent(
                        bytes(row.content), bytes(row.record_key), row.epoch, row.sequence
                    )
            for statement, keys in (
                (_RESIDENTS_BY_RECORD, record_keys),
                (_RESIDENTS_BY_CODE, code_keys),
            ):
                if keys:
                    for found in connection.execute(statement, {"keys": keys}).all():
                        resident = self._resident(found)
                        residents[resident.record_key] = resident
        return taken, residents

    def is_recovered(self, content_key: bytes) -> bool:
        """Whether a notification with this content was fetched back and waits for its event."""
        statement = select(RECOVERED.c.sequence).where(RECOVERED.c.content_key == content_key)
        with self.read() as connection:
            return connection.execute(statement.limit(1)).first() is not None

    def taken_event(self, event_key: bytes) -> TakenEvent | None:
        """The event with this blind key, if it was taken in."""
        return self.group_context([event_key], [], [])[0].get(event_key)

    def resident(self, record_key: bytes) -> Resident | None:
        """The resident with this blind key."""
        return self.group_context([], [record_key], [])[1].get(record_key)

    def residents_without_number(self, limit: int, after: bytes = b"") -> list[Resident]:
        """Current residents whose number is pending, by record key, from after `after`."""
        statement = (
            _RESIDENTS.where(RESIDENT.c.number_pending, RESIDENT.c.record_key > after)
            .order_by(RESIDENT.c.record_key)
            .limit(limit)
        )
        with self.read() as connection:
            return [self._resident(row) for row in connection.execute(statement)]

    def count_numbers_pending(self) -> int:
        """How many current residents have no number yet."""
        with self.read() as connection:
            return (
                connection.scalar(
                    select(func.count()).select_from(RESIDENT).where(RESIDENT.c.number_pending)
                )
                or 0
            )

    def unused_among(self, code_keys: Sequence[bytes]) -> list[bytes]:
        """Which of these codes are in the pool, unused."""
        statement = select(CODE_POOL.c.code_key).where(
            CODE_POOL.c.code_key.in_(code_keys), CODE_POOL.c.used_at.is_(None)
        )
        with self.read() as connection:
            return [bytes(key) for key in connection.scalars(statement)]

    def record_is_known(self, record_key: bytes) -> bool:
        """Whether a record key is the register's own, not one that stands in after a restore."""
        statement = select(RECOVERED.c.epoch).where(
            RECOVERED.c.record_key == record_key, ~RECOVERED.c.record_known
        )
        with self.read() as connection:
            return connection.execute(statement.limit(1)).first() is None

    def commit(self, group: GroupWrite, now: int) -> None:
        """Stores a group durably, or nothing of it.

        Raises:
            JukiError: STORE_UNAVAILABLE, also when the stream's head is no longer the one that the
                group was built upon (another process has written).
        """
        new = [self._resident_row(r) for r in group.new_residents]
        changed = [
            {"key" if name == "record_key" else name: value for name, value in row.items()}
            for row in (self._resident_row(r) for r in group.changed_residents)
        ]
        with self.write() as connection:
            changes = self.root.begin(connection)
            fenced = connection.execute(
                update(GATEWAY_STATE)
                .where(
                    GATEWAY_STATE.c.epoch == group.before.epoch,
                    GATEWAY_STATE.c.sequence == group.before.sequence,
                )
                .values(
                    epoch=group.after.epoch,
                    sequence=group.after.sequence,
                    digest=group.after.digest,
                )
            )
            if fenced.rowcount != 1:
                raise JukiError(Reason.STORE_UNAVAILABLE, "another process moved the stream's head")
            if group.outbox:
                for row in group.outbox:
                    changes.add("outbox", seal_id(row["envelope"]))
                connection.execute(insert(OUTBOX), group.outbox)
            if group.events:
                for row in group.events:
                    changes.add("register_event", row_bytes(*(row[name] for name in _EVENT)))
                connection.execute(insert(REGISTER_EVENT), group.events)
            if new:
                connection.execute(insert(RESIDENT), new)
            if changed:
                _take_off(connection, [row["key"] for row in changed], changes)
                connection.execute(_UPDATE_RESIDENT, changed)
            for row in (*new, *changed):
                changes.add("resident", seal_id(row["information"]))
            if group.used_codes:
                _use_codes(connection, group.used_codes, now, changes)
            if group.recovered:
                connection.execute(insert(RECOVERED), group.recovered)
            for adoption in group.adoptions:
                _adopt(connection, adoption, changes)
            if group.void_unused_codes:
                _void_codes(connection, now, changes)
            changes.write(connection)

    def _resident(self, row: Row[*tuple[Any, ...]]) -> Resident:
        record_key = bytes(row.record_key)
        information = identification_pb2.IdentificationInformation.FromString(
            open_resident(row, self.sealer)
        )
        return Resident(
            record_key,
            RecordState(row.state),
            information,
            bytes(row.last_digest),
            row.number_pending,
            bytes(row.code_key),
        )

    def _resident_row(self, resident: Resident) -> dict[str, Any]:
        key = resident.record_key
        return {
            "record_key": key,
            "code_key": resident.code_key,
            "information": self.sealer.seal(
                resident.information.SerializeToString(),
                places.resident_information(
                    key,
                    resident.code_key,
                    resident.state.value,
                    resident.last_digest,
                    resident.number_pending,
                ),
            ),
            "state": resident.state.value,
            "last_digest": resident.last_digest,
            "number_pending": resident.number_pending,
        }


def open_store(engine: Engine, custody: GatewayCustody, municipality: str) -> GatewayStore:
    """The municipality's store; the first time with a fresh data key, wrapped by the token.

    Raises:
        JukiError: CONFIGURATION_INVALID when the database is another municipality's,
            CUSTODY_UNAVAILABLE.
    """
    with engine.begin() as connection:
        held = connection.scalar(select(GATEWAY_STATE.c.municipality))
        if held is None:
            connection.execute(
                insert(GATEWAY_STATE).values(
                    id=1,
                    municipality=municipality,
                    epoch=1,
                    sequence=0,
                    digest=GENESIS_DIGEST,
                    prefecture_epoch=1,
                    prefecture_through=0,
                    nation_epoch=1,
                    nation_through=0,
                    returns_cursor=0,
                )
            )
    if held not in (None, municipality):
        raise JukiError(Reason.CONFIGURATION_INVALID, "the database is another municipality's")
    keys = KeyStore(engine, DATA_KEY, custody)
    keys.prepare()
    return GatewayStore(engine, SealingKeys(keys))


def unused_codes(store: GatewayStore) -> Iterable[tuple[bytes, str]]:
    """Blind key and digits of every code that may still be given."""
    statement = select(CODE_POOL).where(
        CODE_POOL.c.used_at.is_(None), CODE_POOL.c.voided_at.is_(None)
    )
    with store.read() as connection:
        rows = connection.execute(statement).all()
    for row in rows:
        yield bytes(row.code_key), open_code(row, store.sealer)


def _take_off(connection: Connection, record_keys: list[bytes], changes: RowChanges) -> None:
    """Residents as they stand: their rows are to be changed or deleted."""
    for sealed in connection.scalars(_STORED_INFORMATION, {"keys": record_keys}):
        changes.remove("resident", seal_id(bytes(sealed)))


def _use_codes(
    connection: Connection, code_keys: list[bytes], now: int, changes: RowChanges
) -> None:
    rows = connection.execute(_UNUSED_CODES, {"keys": code_keys}).all()
    if len(rows) != len(code_keys):
        raise JukiError(Reason.STORE_UNAVAILABLE, "a code of the pool was used before")
    connection.execute(_USE_CODES, {"keys": code_keys, "now": now})
    for row in rows:
        sealed = bytes(row.code)
        changes.remove("code_pool", code_message(sealed, None, row.voided_at))
        changes.add("code_pool", code_message(sealed, now, row.voided_at))


def _adopt(connection: Connection, adoption: Adoption, changes: RowChanges) -> None:
    connection.execute(
        delete(RECOVERED).where(
            RECOVERED.c.epoch == adoption.epoch, RECOVERED.c.sequence == adoption.sequence
        )
    )
    if adoption.stand_in_key:
        # The resident was written anew under its own key, since the sealed value is bound to it.
        _take_off(connection, [adoption.stand_in_key], changes)
        connection.execute(delete(RESIDENT).where(RESIDENT.c.record_key == adoption.stand_in_key))
        connection.execute(
            update(RECOVERED)
            .where(RECOVERED.c.record_key == adoption.stand_in_key)
            .values(record_key=adoption.record_key, record_known=True)
        )


def _void_codes(connection: Connection, now: int, changes: RowChanges) -> None:
    unused = select(CODE_POOL.c.code).where(
        CODE_POOL.c.used_at.is_(None), CODE_POOL.c.voided_at.is_(None)
    )
    for sealed in connection.scalars(unused):
        changes.remove("code_pool", code_message(bytes(sealed), None, None))
        changes.add("code_pool", code_message(bytes(sealed), None, now))
    connection.execute(
        update(CODE_POOL)
        .where(CODE_POOL.c.used_at.is_(None), CODE_POOL.c.voided_at.is_(None))
        .values(voided_at=now)
    )
    # An open request may have been answered, and its codes used, after the backup was made.
    connection.execute(
        update(CODE_REQUEST).where(CODE_REQUEST.c.answered_at.is_(None)).values(answered_at=now)
    )


def _unavailable(error: SQLAlchemyError) -> JukiError:
    return JukiError(
        Reason.STORE_UNAVAILABLE, "the database does not answer", {"kind": type(error).__name__}
    )
