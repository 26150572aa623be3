"""Tables of the prefectural server: the register's and its own."""

from __future__ import annotations

from sqlalchemy import Column, Integer, LargeBinary, Table

from juki.disclosure.tables import person_request_act as shared_request_act
from juki.register.tables import metadata as register_metadata
from juki.revocation.tables import revocation_list
from juki.store.engine import BIG
from juki.store.schema import copy_of

metadata = copy_of(register_metadata)
"""The register's tables and, below, what only a prefecture keeps."""
revocation_list.to_metadata(metadata)
person_request_act = shared_request_act.to_metadata(metadata)

register_root = metadata.tables["register_root"]

upstream_cursor = Table(
    "upstream_cursor",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    # The last item of the nation's returns that is queued here.
    Column("cursor", BIG, nullable=False),
)

national_grant = Table(
    "national_grant",
    metadata,
    Column("serial", BIG, primary_key=True, autoincrement=False),
    Column("key_id", LargeBinary, nullable=False),
    # The serialised `SignedGrant`: codes and numbers.
    Column("signed_sealed", LargeBinary, nullable=False),
)
