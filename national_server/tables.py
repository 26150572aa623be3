"""Tables of the national server: the register's, and those of codes and numbers."""

from __future__ import annotations

from sqlalchemy import Column, Index, Integer, LargeBinary, String, Table, UniqueConstraint

from juki.disclosure.tables import person_request_act as shared_request_act
from juki.register.tables import metadata as register_metadata
from juki.revocation.tables import revocation_list
from juki.store.engine import BIG
from juki.store.schema import copy_of

metadata = copy_of(register_metadata)
"""The register's tables and, below, what only the nation keeps."""
revocation_list.to_metadata(metadata)
person_request_act = shared_request_act.to_metadata(metadata)

register_root = metadata.tables["register_root"]

allotment = Table(
    "allotment",
    metadata,
    Column("municipality", String(6), primary_key=True),
    Column("request_id", String(64), primary_key=True),
    Column("count", Integer, nullable=False),
    # The codes as decimal values of 8 bytes each, sealed.
    Column("codes_sealed", LargeBinary, nullable=False),
    Column("allotted_at", BIG, nullable=False),
)

allotted_code = Table(
    "allotted_code",
    metadata,
    Column("code_blind", LargeBinary, primary_key=True),
    Column("municipality", String(6), nullable=False),
)

individual_number = Table(
    "individual_number",
    metadata,
    # Every number ever made, old and new.
    Column("number_blind", LargeBinary, primary_key=True),
    Column("code_blind", LargeBinary, nullable=False),
    # 0 for the first number of a code; each re-made one counts on.
    Column("generation", Integer, nullable=False),
    Column("number_sealed", LargeBinary, nullable=False),
    Column("made_at", BIG, nullable=False),
    UniqueConstraint("code_blind", "generation", name="one_number_a_generation"),
)

number_remake = Table(
    "number_remake",
    metadata,
    # A number is replaced once; the request and its answer stand in the transaction of the change.
    Column("former_blind", LargeBinary, primary_key=True),
    Column("number_blind", LargeBinary, nullable=False, unique=True),
    Column("remade_at", BIG, nullable=False),
)

remake_request = Table(
    "remake_request",
    metadata,
    Column("municipality", String(6), primary_key=True),
    Column("request_id", String(64), primary_key=True),
    Column("code_blind", LargeBinary, nullable=False),
    Column("former_blind", LargeBinary, nullable=False),
)

grant_serial = Table(
    "grant_serial",
    metadata,
    Column("prefecture", String(2), primary_key=True),
    # Of the last grant given through this prefecture.
    Column("serial", BIG, nullable=False),
)

given_code = Table(
    "given_code",
    metadata,
    # Identity of the body that was given the code (Art. 30-9-2 (1)).
    Column("body", String(255), primary_key=True),
    Column("ordinal", BIG, primary_key=True, autoincrement=False, index=True),
    # Of the change that the body is to be told; empty where there is none.
    Column("change_key", String(34), nullable=False),
    Column("codes_sealed", LargeBinary, nullable=False),
    Index("given_code_by_change", "body", "change_key"),
)
