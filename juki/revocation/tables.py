"""The newest revocation list of each authority, so that no restart goes back to an older one."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, LargeBinary, MetaData, Table

from juki.store.engine import BIG

metadata: Final = MetaData()

revocation_list: Final = Table(
    "revocation_list",
    metadata,
    # Subject key identifier of the authority's certificate.
    Column("issuer_key_id", LargeBinary, primary_key=True),
    Column("number", BIG, nullable=False),
    # A serialised `SignedRevocationList`.
    Column("signed", LargeBinary, nullable=False),
)
