"""Tables of the register; the same at the prefecture and at the nation.

Personal columns are sealed (`…_sealed`) or blind (`…_blind`); the rest says nothing of a person.
Instants are microseconds since 1970-01-01 UTC; municipalities are six digits.
"""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    Column,
    Date,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
)

from juki.store.data_keys import data_key_table
from juki.store.engine import BIG
from juki.store.root import root_table

metadata = MetaData()

data_key = data_key_table(metadata)
register_root = root_table(metadata)

probe = Table(
    "probe",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("written_at", BIG, nullable=False),
)

stream = Table(
    "stream",
    metadata,
    Column("municipality", String(6), primary_key=True),
    Column("epoch", Integer, nullable=False),
    Column("sequence", BIG, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    # How far the stream is relayed to the next tier, with its receipt; unused at the nation.
    Column("relayed_epoch", Integer, nullable=False, default=0),
    Column("relayed_sequence", BIG, nullable=False, default=0),
)

receipt = Table(
    "receipt",
    metadata,
    Column("id", BIG, primary_key=True),
    Column("municipality", String(6), nullable=False),
    Column("signed", LargeBinary, nullable=False),
)

notification = Table(
    "notification",
    metadata,
    Column("municipality", String(6), primary_key=True),
    Column("epoch", Integer, primary_key=True, autoincrement=False),
    Column("sequence", BIG, primary_key=True, autoincrement=False),
    Column("digest", LargeBinary, nullable=False),
    Column("envelope_sealed", LargeBinary, nullable=False),
    Column("receipt_id", BIG, nullable=False),
    Column("received_at", BIG, nullable=False),
    Column("dispute_reason", SmallInteger),
    # A person's notifications are followed back by the digest of the one before (disclosure).
    Index("notification_by_digest", "digest"),
)

signing_certificate = Table(
    "signing_certificate",
    metadata,
    Column("key_id", LargeBinary, primary_key=True),
    Column("identity", String(255), nullable=False),
    Column("certificate", LargeBinary, nullable=False),
    Column("issuer_certificates", LargeBinary, nullable=False),
)

person_code = Table(
    "person_code",
    metadata,
    Column("code_blind", LargeBinary, primary_key=True),
    Column("ordinal", BIG, nullable=False, index=True),
)

person_number = Table(
    "person_number",
    metadata,
    Column("number_blind", LargeBinary, primary_key=True),
    Column("ordinal", BIG, nullable=False, index=True),
)

claim = Table(
    "claim",
    metadata,
    Column("ordinal", BIG, primary_key=True, autoincrement=False),
    Column("municipality", String(6), primary_key=True),
    Column("state", SmallInteger, nullable=False),
    Column("entered_on", Date, nullable=False),
    Column("entered_by", SmallInteger, nullable=False),
    Column("moved_from", String(6), nullable=False),
    Column("deleted_on", Date),
    Column("moved_to", String(6), nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("sequence", BIG, nullable=False),
    Column("information_sealed", LargeBinary, nullable=False),
)

residency = Table(
    "residency",
    metadata,
    Column("ordinal", BIG, primary_key=True, autoincrement=False),
    Column("status", SmallInteger, nullable=False),
    Column("municipality", String(6), nullable=False),
    Column("dispute_id", String(64)),
    Index("residency_by_status", "status"),
)

person_merge = Table(
    "person_merge",
    metadata,
    Column("merged", BIG, primary_key=True, autoincrement=False),
    Column("into", BIG, nullable=False),
    Column("merged_at", BIG, nullable=False),
)

dispute = Table(
    "dispute",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("ordinal", BIG, index=True),
    Column("reason", SmallInteger, nullable=False),
    Column("report", LargeBinary, nullable=False),
    Column("is_open", Boolean, nullable=False),
)

return_item = Table(
    "return_item",
    metadata,
    Column("cursor", BIG, primary_key=True),
    # A prefecture's two digits at the nation, a municipality's six at the prefecture.
    Column("recipient", String(6), nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Index("return_item_by_recipient", "recipient", "cursor"),
)

evidence_chain = Table(
    "evidence_chain",
    metadata,
    Column("municipality", String(6), primary_key=True),
    # Which hash function the chain is kept under (`juki.v1.HashAlgorithm`).
    Column("hash_algorithm", SmallInteger, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("sequence", BIG, nullable=False),
    Column("digest", LargeBinary, nullable=False),
)

evidence_renewal = Table(
    "evidence_renewal",
    metadata,
    # A chain under another hash function, on its way through the archive.
    Column("municipality", String(6), primary_key=True),
    Column("hash_algorithm", SmallInteger, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("sequence", BIG, nullable=False),
    Column("digest", LargeBinary, nullable=False),
)

evidence_head = Table(
    "evidence_head",
    metadata,
    Column("municipality", String(6), primary_key=True),
    Column("hash_algorithm", SmallInteger, primary_key=True, autoincrement=False),
    Column("epoch", Integer, primary_key=True, autoincrement=False),
    Column("sequence", BIG, primary_key=True, autoincrement=False),
    Column("digest", LargeBinary, nullable=False),
    # Serial of the time stamp over it; none yet where it is empty.
    Column("stamped_by", BIG, index=True),
)

archived_certificate = Table(
    "archived_certificate",
    metadata,
    # SHA-256 of the certificate: a key's renewed certificates all stay.
    Column("fingerprint", LargeBinary, primary_key=True),
    Column("key_id", LargeBinary, nullable=False, index=True),
    Column("certificate", LargeBinary, nullable=False),
    Column("issuer_certificates", LargeBinary, nullable=False),
    Column("stamped_by", BIG, index=True),
)

time_stamp = Table(
    "time_stamp",
    metadata,
    Column("serial", BIG, primary_key=True, autoincrement=False),
    Column("signed", LargeBinary, nullable=False),
    Column("hash_algorithm", SmallInteger, nullable=False),
    Column("certificate_fingerprint", LargeBinary, nullable=False),
    Column("made_at", BIG, nullable=False),
    # When the first certificate of its signing key's chain ends.
    Column("expires_at", BIG, nullable=False),
    # Serial of the time stamp that proves its time from then on.
    Column("renewed_by", BIG, index=True),
)
