"""The table of disclosure and correction requests; the same at the prefecture and at the nation.

A request is the row of its receipt and one row for each act after it; rows are written once. What
says anything of a person is sealed.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import (
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    UniqueConstraint,
)

from juki.store.engine import BIG
from juki.store.root import Section, sealed

metadata = MetaData()

person_request_act = Table(
    "person_request_act",
    metadata,
    # For example "D-2026-00000012": disclosure; "C-…": correction.
    Column("id", String(20), primary_key=True),
    # 1 for the receipt, then counted on.
    Column("number", Integer, primary_key=True, autoincrement=False),
    # A value of `ActKind`.
    Column("act", SmallInteger, nullable=False),
    # The municipality whose counter acts, six digits; "office" for the discloser's own acts.
    Column("municipality", String(6), nullable=False),
    # The counter's id of the act.
    Column("request_id", String(64), nullable=False),
    Column("acted_at", BIG, nullable=False),
    # What was said and answered: a sealed JSON object.
    Column("content_sealed", LargeBinary, nullable=False),
    UniqueConstraint("municipality", "request_id", name="one_act_a_request_id"),
    Index("person_request_by_act", "act", "id"),
)


def place_of_act(row: Any) -> bytes:
    """The place that the sealed content of a row is bound to: all the rest of it."""
    return b"person_request_act.content|%b|%d|%d|%b|%b|%d" % (
        row.id.encode(),
        row.number,
        row.act,
        row.municipality.encode(),
        row.request_id.encode(),
        row.acted_at,
    )


DISCLOSURE_SECTION: Final = "disclosure"
"""Name of the section of the register root."""


def disclosure_section(table: Table) -> Section:
    """The section over a tier's own copy of the table."""
    return Section(DISCLOSURE_SECTION, (sealed(table, "content_sealed", place_of_act),))
