"""The register's data key: made once by the token, stored wrapped, unwrapped into memory at start."""

from __future__ import annotations

from sqlalchemy import Engine, insert, select

from juki.custody.port import WRAPPING, Custody
from juki.register import tables as t
from juki.store.engine import now_microseconds
from juki.store.sealing import Sealer


def open_sealer(engine: Engine, custody: Custody) -> Sealer:
    """The sealer of this register's columns; on first start its data key is made and stored.

    Raises:
        JukiError: CUSTODY_UNAVAILABLE, or TAMPERING_DETECTED when the stored key was not wrapped
            by this host's token.
    """
    with engine.begin() as connection:
        row = connection.execute(
            select(t.data_key.c.version, t.data_key.c.wrapped).order_by(t.data_key.c.version.desc())
        ).first()
        if row is not None:
            plaintext = custody.unwrap_data_key(WRAPPING, bytes(row.wrapped))
            return Sealer(plaintext, row.version)
        key = custody.new_data_key(WRAPPING)
        connection.execute(
            insert(t.data_key).values(version=1, wrapped=key.wrapped, created_at=now_microseconds())
        )
        return Sealer(key.plaintext, 1)
