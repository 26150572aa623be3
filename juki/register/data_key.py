"""The register's data keys: made by the token, stored wrapped, unwrapped at start."""

from __future__ import annotations

from sqlalchemy import Engine

from juki.custody.port import Custody
from juki.register import tables as t
from juki.store.data_keys import KeyStore, SealingKeys
from juki.store.sealing import Sealer


def open_sealing_keys(engine: Engine, custody: Custody) -> SealingKeys:
    """The sealer of this register's columns, and what keeps it supplied."""
    keys = KeyStore(engine, t.data_key, custody)
    keys.prepare()
    return SealingKeys(keys)


def open_sealer(engine: Engine, custody: Custody) -> Sealer:
    """The sealer of this register's columns."""
    return open_sealing_keys(engine, custody).sealer
