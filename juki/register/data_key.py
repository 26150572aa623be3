"""The register's data key: made once by the token, stored wrapped, unwrapped at start."""

from __future__ import annotations

from enum import StrEnum

from sqlalchemy import Engine, insert, select

from juki.custody.port import WRAPPING, Custody
from juki.register import tables as t
from juki.store.engine import now_microseconds
from juki.store.sealing import Sealer


class KeyPurpose(StrEnum):
    """What a data key is for; each purpose has keys of its own, which rotate by themselves."""

    COLUMNS = "columns"
    """Sealing and blind indexes of the register's columns."""

    PSEUDONYMS = "pseudonyms"
    """Pseudonyms of persons in the audit log."""


def open_data_key(engine: Engine, custody: Custody, purpose: KeyPurpose) -> tuple[bytes, int]:
    """The newest data key (32 bytes) of a purpose and its version; made when there is none.

    Raises:
        JukiError: CUSTODY_UNAVAILABLE, or TAMPERING_DETECTED when the stored key was not wrapped
            by this host's token.
    """
    table = t.data_key
    newest = (
        select(table.c.version, table.c.wrapped)
        .where(table.c.purpose == purpose.value)
        .order_by(table.c.version.desc())
    )
    with engine.begin() as connection:
        row = connection.execute(newest).first()
        if row is not None:
            return custody.unwrap_data_key(WRAPPING, bytes(row.wrapped)), row.version
        key = custody.new_data_key(WRAPPING)
        connection.execute(
            insert(table).values(
                purpose=purpose.value,
                version=1,
                wrapped=key.wrapped,
                created_at=now_microseconds(),
            )
        )
        return key.plaintext, 1


def open_sealer(engine: Engine, custody: Custody) -> Sealer:
    """The sealer of this register's columns."""
    key, version = open_data_key(engine, custody, KeyPurpose.COLUMNS)
    return Sealer(key, version)
