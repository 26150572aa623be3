"""Evidence that outlives keys and algorithms: chains, heads, certificates, time stamps."""

import sqlalchemy as sa
from alembic import op

revision = "national_0004"
down_revision = "national_0003"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Creates the tables."""
    for name in ("evidence_chain", "evidence_renewal"):
        op.create_table(
            name,
            sa.Column("municipality", sa.String(length=6), nullable=False),
            sa.Column("hash_algorithm", sa.SmallInteger(), nullable=False),
            sa.Column("epoch", sa.Integer(), nullable=False),
            sa.Column("sequence", BIG, nullable=False),
            sa.Column("digest", sa.LargeBinary(), nullable=False),
            sa.PrimaryKeyConstraint("municipality"),
        )
    op.create_table(
        "evidence_head",
        sa.Column("municipality", sa.String(length=6), nullable=False),
        sa.Column("hash_algorithm", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("epoch", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("sequence", BIG, autoincrement=False, nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("stamped_by", BIG, nullable=True),
        sa.PrimaryKeyConstraint("municipality", "hash_algorithm", "epoch", "sequence"),
    )
    op.create_index("ix_evidence_head_stamped_by", "evidence_head", ["stamped_by"])
    op.create_table(
        "archived_certificate",
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        sa.Column("key_id", sa.LargeBinary(), nullable=False),
        sa.Column("certificate", sa.LargeBinary(), nullable=False),
        sa.Column("issuer_certificates", sa.LargeBinary(), nullable=False),
        sa.Column("stamped_by", BIG, nullable=True),
        sa.PrimaryKeyConstraint("fingerprint"),
    )
    op.create_index("ix_archived_certificate_key_id", "archived_certificate", ["key_id"])
    op.create_index("ix_archived_certificate_stamped_by", "archived_certificate", ["stamped_by"])
    op.create_table(
        "time_stamp",
        sa.Column("serial", BIG, autoincrement=False, nullable=False),
        sa.Column("signed", sa.LargeBinary(), nullable=False),
        sa.Column("hash_algorithm", sa.SmallInteger(), nullable=False),
        sa.Column("certificate_fingerprint", sa.LargeBinary(), nullable=False),
        sa.Column("made_at", BIG, nullable=False),
        sa.Column("expires_at", BIG, nullable=False),
        sa.Column("renewed_by", BIG, nullable=True),
        sa.PrimaryKeyConstraint("serial"),
    )
    op.create_index("ix_time_stamp_renewed_by", "time_stamp", ["renewed_by"])


def downgrade() -> None:
    """Drops them."""
    for name in (
        "time_stamp",
        "archived_certificate",
        "evidence_head",
        "evidence_renewal",
        "evidence_chain",
    ):
        op.drop_table(name)
