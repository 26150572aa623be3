"""Numbers re-made for leaked ones (My Number Act Art. 7(2))."""

import sqlalchemy as sa
from alembic import op

revision = "national_0002"
down_revision = "national_0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Creates the tables of replaced numbers and of the requests for them."""
    op.create_table(
        "number_remake",
        sa.Column("former_blind", sa.LargeBinary(), nullable=False),
        sa.Column("number_blind", sa.LargeBinary(), nullable=False),
        sa.Column(
            "remade_at", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False
        ),
        sa.PrimaryKeyConstraint("former_blind"),
        sa.UniqueConstraint("number_blind"),
    )
    op.create_table(
        "remake_request",
        sa.Column("municipality", sa.String(length=6), nullable=False),
        sa.Column("request_id", sa.String(length=64), nullable=False),
        sa.Column("code_blind", sa.LargeBinary(), nullable=False),
        sa.Column("former_blind", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("municipality", "request_id"),
    )


def downgrade() -> None:
    """Drops them."""
    op.drop_table("remake_request")
    op.drop_table("number_remake")
