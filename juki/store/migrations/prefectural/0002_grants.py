"""What the nation granted through the prefecture, kept against a loss of the nation's."""

import sqlalchemy as sa
from alembic import op

revision = "prefectural_0002"
down_revision = "prefectural_0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Creates the table of grants."""
    op.create_table(
        "national_grant",
        sa.Column(
            "serial",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("key_id", sa.LargeBinary(), nullable=False),
        sa.Column("signed_sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("serial"),
    )


def downgrade() -> None:
    """Drops it."""
    op.drop_table("national_grant")
