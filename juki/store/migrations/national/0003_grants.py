"""Serials of what the nation grants through each prefecture."""

import sqlalchemy as sa
from alembic import op

revision = "national_0003"
down_revision = "national_0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Creates the table of serials."""
    op.create_table(
        "grant_serial",
        sa.Column("prefecture", sa.String(length=2), nullable=False),
        sa.Column("serial", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.PrimaryKeyConstraint("prefecture"),
    )


def downgrade() -> None:
    """Drops it."""
    op.drop_table("grant_serial")
