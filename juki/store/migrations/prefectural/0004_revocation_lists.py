"""The newest certificate revocation list of each issuing authority."""

import sqlalchemy as sa
from alembic import op

revision = "prefectural_0004"
down_revision = "prefectural_0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Creates the table of revocation lists."""
    op.create_table(
        "revocation_list",
        sa.Column("issuer_key_id", sa.LargeBinary(), nullable=False),
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("signed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("issuer_key_id"),
    )


def downgrade() -> None:
    """Drops it."""
    op.drop_table("revocation_list")
