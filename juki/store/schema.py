"""A server's own schema: shared tables and its own, in one metadata for its migrations."""

from __future__ import annotations

from sqlalchemy import MetaData


def copy_of(shared: MetaData) -> MetaData:
    """A metadata with copies of the shared tables, to which a server adds its own."""
    combined = MetaData()
    for table in shared.sorted_tables:
        table.to_metadata(combined)
    return combined
