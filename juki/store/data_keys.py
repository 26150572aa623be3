"""Data keys: made by the token, stored wrapped, unwrapped into memory; how often each may seal."""

from __future__ import annotations

import itertools
import threading
from enum import StrEnum
from typing import Any, Final, Protocol

from sqlalchemy import (
    Column,
    Connection,
    Engine,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    func,
    insert,
    select,
    update,
)

from juki.domain.errors import JukiError, Reason
from juki.store.engine import BIG, now_microseconds
from juki.store.sealing import Sealer

_LAST_INDEX_VERSION: Final = 255
"""A byte of each blind index tells its version."""

WRAPPING: Final = "wrapping"
"""Label of the token's key that wraps data keys."""


class KeyPurpose(StrEnum):
    """What a data key is for; each purpose has keys of its own, which rotate by themselves."""

    COLUMNS = "columns"
    """Sealing of columns: the newest version seals, all open."""

    INDEX = "index"
    """Blind indexes: all versions in turn, see `juki.store.sealing.Sealer.blind`."""

    ROOT = "root"
    """What rows count for in the register root."""

    INDEX_NEXT = "index-next"
    """The next version of INDEX, while the blind indexes are being re-keyed."""

    PSEUDONYMS = "pseudonyms"
    """Pseudonyms of persons in the audit log."""


class NewDataKey(Protocol):
    """A data key in the clear, for memory only, and as the token wrapped it."""

    @property
    def plaintext(self) -> bytes:
        """The key, 32 bytes."""

    @property
    def wrapped(self) -> bytes:
        """What may be stored."""


class KeyWrapping(Protocol):
    """What of custody is needed here."""

    def new_data_key(self, wrapping_key: str) -> NewDataKey:
        """A fresh 32-byte key, and the same key wrapped by the token."""

    def unwrap_data_key(self, wrapping_key: str, wrapped: bytes) -> bytes:
        """The 32-byte key that `wrapped` holds."""


def data_key_table(metadata: MetaData) -> Table:
    """The table of the data keys, the same in every database."""
    return Table(
        "data_key",
        metadata,
        Column("purpose", String(16), primary_key=True),
        Column("version", Integer, primary_key=True, autoincrement=False),
        Column("wrapped", LargeBinary, nullable=False),
        Column("created_at", BIG, nullable=False),
        # How many seals the processes of this database have taken out for themselves, see below.
        Column("seals_reserved", BIG, nullable=False, default=0, server_default="0"),
    )


class KeyStore:
    """The data keys of one database."""

    def __init__(self, engine: Engine, table: Table, custody: KeyWrapping) -> None:
        self._engine = engine
        self._table = table
        self._custody = custody

    def newest(self, purpose: KeyPurpose) -> tuple[bytes, int]:
        """The newest key (32 bytes) of a purpose and its version; made when there is none.

        Raises:
            JukiError: CUSTODY_UNAVAILABLE, or TAMPERING_DETECTED when the stored key was not
                wrapped by this host's token.
        """
        with self._engine.begin() as connection:
            version = self._newest_version(connection, purpose)
            if version == 0:
                return self._make(connection, purpose, 1), 1
            return self._unwrap(connection, purpose, version), version

    def newest_version(self, purpose: KeyPurpose) -> int:
        """The newest version of a purpose; 0 when there is none."""
        with self._engine.connect().execution_options(read_only=True) as connection:
            return self._newest_version(connection, purpose)

    def make_next(self, purpose: KeyPurpose) -> tuple[bytes, int]:
        """A new version of a purpose, durable when this returns."""
        with self._engine.begin() as connection:
            return self.make_next_within(connection, purpose)

    def make_next_within(self, connection: Connection, purpose: KeyPurpose) -> tuple[bytes, int]:
        """A new version of a purpose, if the transaction comes to its end."""
        version = self._newest_version(connection, purpose) + 1
        return self._make(connection, purpose, version), version

    def all_of(self, purpose: KeyPurpose) -> dict[int, bytes]:
        """Every version of a purpose, oldest first."""
        table = self._table
        statement = (
            select(table.c.version, table.c.wrapped)
            .where(table.c.purpose == purpose.value)
            .order_by(table.c.version)
        )
        with self._engine.connect().execution_options(read_only=True) as connection:
            rows = connection.execute(statement).all()
        unwrap = self._custody.unwrap_data_key
        return {row.version: unwrap(WRAPPING, bytes(row.wrapped)) for row in rows}

    def find(self, purpose: KeyPurpose, version: int) -> bytes | None:
        """One version of a purpose; None when there is no such one."""
        with self._engine.connect().execution_options(read_only=True) as connection:
            row = connection.execute(
                select(self._table.c.wrapped).where(*self._is(purpose, version))
            ).first()
        return None if row is None else self._custody.unwrap_data_key(WRAPPING, bytes(row.wrapped))

    def prepare(self) -> None:
        """Makes those keys that a `Sealer` needs and the database does not have yet."""
        with self._engine.begin() as connection:
            for purpose in (KeyPurpose.COLUMNS, KeyPurpose.INDEX, KeyPurpose.ROOT):
                if self._newest_version(connection, purpose) == 0:
                    self._make(connection, purpose, 1)

    def pending_index(self) -> tuple[bytes, int]:
        """The next index key and its version: one that was begun, or a new one."""
        pending, version = KeyPurpose.INDEX_NEXT, self.newest_version(KeyPurpose.INDEX_NEXT)
        if version == 0:
            version = self.newest_version(KeyPurpose.INDEX) + 1
            if version > _LAST_INDEX_VERSION:
                raise JukiError(Reason.CONFIGURATION_INVALID, "no further index key can be told")
            with self._engine.begin() as connection:
                return self._make(connection, pending, version), version
        key = self.find(pending, version)
        assert key is not None, "a version that was read before is there"
        return key, version

    def finish_index(self) -> None:
        """The pending index key is the newest of INDEX from now on."""
        table = self._table
        with self._engine.begin() as connection:
            connection.execute(
                update(table)
                .where(table.c.purpose == KeyPurpose.INDEX_NEXT.value)
                .values(purpose=KeyPurpose.INDEX.value)
            )

    def reserve(self, version: int, step: int) -> int:
        """Counts `step` seals of a version of COLUMNS as used; the number used up so far."""
        table = self._table
        with self._engine.begin() as connection:
            reserved: int = connection.execute(
                update(table)
                .where(*self._is(KeyPurpose.COLUMNS, version))
                .values(seals_reserved=table.c.seals_reserved + step)
                .returning(table.c.seals_reserved)
            ).scalar_one()
        return reserved

    def _newest_version(self, connection: Connection, purpose: KeyPurpose) -> int:
        table = self._table
        statement = select(func.max(table.c.version)).where(table.c.purpose == purpose.value)
        return connection.scalar(statement) or 0

    def _unwrap(self, connection: Connection, purpose: KeyPurpose, version: int) -> bytes:
        row = connection.execute(
            select(self._table.c.wrapped).where(*self._is(purpose, version))
        ).one()
        return self._custody.unwrap_data_key(WRAPPING, bytes(row.wrapped))

    def _make(self, connection: Connection, purpose: KeyPurpose, version: int) -> bytes:
        key = self._custody.new_data_key(WRAPPING)
        connection.execute(
            insert(self._table).values(
                purpose=purpose.value,
                version=version,
                wrapped=key.wrapped,
                created_at=now_microseconds(),
                seals_reserved=0,
            )
        )
        return key.plaintext

    def _is(self, purpose: KeyPurpose, version: int) -> tuple[Any, Any]:
        return self._table.c.purpose == purpose.value, self._table.c.version == version


class SealAllowance:
    """Bounds how often a data key seals, over all processes and restarts.

    With random nonces of 96 bits a key may seal 2^32 times (NIST SP 800-38D, section 8.3). Counted
    durably, a step ahead: what a process had taken out and not used when it ended is lost, which
    errs on the safe side. A new version is due at `rotate_at`, long before.
    """

    def __init__(
        self,
        keys: KeyStore,
        *,
        step: int = 2**20,
        rotate_at: int = 2**30,
        refuse_at: int = 2**32,
    ) -> None:
        self._keys = keys
        self._step = step
        self._rotate_at = rotate_at
        self._refuse_at = refuse_at
        self._lock = threading.Lock()
        self._spent: dict[int, itertools.count[int]] = {}
        self._granted: dict[int, int] = {}
        self._total: dict[int, int] = {}
        self._at: dict[int, int] = {}

    def open(self, version: int) -> None:
        """Takes out the first step of a version, outside of any transaction."""
        with self._lock:
            if version not in self._granted:
                self._take(version)

    def spend(self, version: int) -> None:
        """See `juki.store.sealing.SealBudget`; next(count) is atomic, so threads count right."""
        at = next(self._spent[version])
        self._at[version] = at
        if at > self._granted[version]:
            raise JukiError(
                Reason.STORE_UNAVAILABLE, "the data key has no seals left to this process"
            )

    def top_up(self, version: int) -> None:
        """Takes out a further step when half of the last one is used; outside of transactions."""
        with self._lock:
            short = self._granted[version] - self._at.get(version, 0) < self._step // 2
            if short and self._total[version] + self._step <= self._refuse_at:
                self._take(version)

    def is_used_up(self, version: int) -> bool:
        """Whether a new version is due."""
        return self._total[version] >= self._rotate_at

    def _take(self, version: int) -> None:
        self._total[version] = self._keys.reserve(version, self._step)
        self._spent.setdefault(version, itertools.count(1))
        self._granted[version] = self._granted.get(version, 0) + self._step


def open_sealer(keys: KeyStore, allowance: SealAllowance) -> Sealer:
    """The sealer of a database whose keys are prepared."""
    columns = keys.all_of(KeyPurpose.COLUMNS)
    newest = max(columns)
    allowance.open(newest)
    root_key, root_version = keys.newest(KeyPurpose.ROOT)
    return Sealer(
        columns[newest],
        newest,
        older=columns,
        index_keys=list(keys.all_of(KeyPurpose.INDEX).values()),
        root_key=root_key,
        root_version=root_version,
        find=lambda version: keys.find(KeyPurpose.COLUMNS, version),
        budget=allowance,
    )


class SealingKeys:
    """A database's sealer with what keeps it supplied."""

    def __init__(
        self,
        keys: KeyStore,
        allowance: SealAllowance | None = None,
        *,
        takes_up_index: bool = True,
    ) -> None:
        """The keys must be prepared.

        `takes_up_index` says whether a process that runs may blind under a new index key from one
        transaction to the next: not one that keeps blind indexes in memory.
        """
        self.keys = keys
        self._takes_up_index = takes_up_index
        self._allowance = allowance or SealAllowance(keys)
        self.sealer = open_sealer(keys, self._allowance)

    def refresh(self) -> None:
        """Takes up a newer version, makes one when the present is used up, tops up the allowance.

        To be called every second or so, outside of transactions.
        """
        if (
            self._takes_up_index
            and self.keys.newest_version(KeyPurpose.INDEX) > self.sealer.index_version
        ):
            self.sealer.use_index(list(self.keys.all_of(KeyPurpose.INDEX).values()))
        if self.keys.newest_version(KeyPurpose.ROOT) > self.sealer.root_version:
            root_key, version = self.keys.newest(KeyPurpose.ROOT)
            self.sealer.use_root(version, root_key)
        newest = self.keys.newest_version(KeyPurpose.COLUMNS)
        if newest > self.sealer.key_version:
            self._take_up(newest)
        if self._allowance.is_used_up(self.sealer.key_version):
            self.rotate()
        self._allowance.top_up(self.sealer.key_version)

    def rotate(self) -> int:
        """A new version of the columns' key, which seals from now on; gives the version."""
        _, version = self.keys.make_next(KeyPurpose.COLUMNS)
        self._take_up(version)
        return version

    def _take_up(self, version: int) -> None:
        key = self.keys.find(KeyPurpose.COLUMNS, version)
        assert key is not None, "a version that was read before is there"
        self._allowance.open(version)
        self.sealer.use(version, key)
