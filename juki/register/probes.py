"""Probes of a register's server: just signed, written and read (invariant 8)."""

from __future__ import annotations

import os
from collections.abc import Callable

from sqlalchemy import Engine, delete, insert, select

from juki.custody.port import SIGNING, Custody
from juki.domain.errors import JukiError, Reason
from juki.register import tables as t
from juki.store.engine import now_microseconds
from juki.store.space import require_space


def register_probes(engine: Engine, custody: Custody) -> dict[str, Callable[[], None]]:
    """Probes "sign", "write" and "read"."""

    def sign() -> None:
        custody.sign(SIGNING, [os.urandom(32)])

    def write() -> None:
        require_space(engine)
        with engine.begin() as connection:
            connection.execute(delete(t.probe))
            connection.execute(insert(t.probe).values(id=1, written_at=now_microseconds()))

    def read() -> None:
        with engine.connect().execution_options(read_only=True) as connection:
            if connection.execute(select(t.data_key.c.version)).first() is None:
                raise JukiError(Reason.STORE_UNAVAILABLE, "the register has no data key")

    return {"sign": sign, "write": write, "read": read}
