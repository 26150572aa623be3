"""Which codes were given to whom, and which have changed since."""

import sqlalchemy as sa
from alembic import op

from juki.store.engine import BIG

revision = "national_0008"
down_revision = "national_0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Creates the table of given codes."""
    op.create_table(
        "given_code",
        sa.Column("body", sa.String(255), primary_key=True),
        sa.Column("ordinal", BIG, primary_key=True, autoincrement=False),
        sa.Column("change_key", sa.String(34), nullable=False),
        sa.Column("codes_sealed", sa.LargeBinary, nullable=False),
    )
    op.create_index("ix_given_code_ordinal", "given_code", ["ordinal"])
    op.create_index("given_code_by_change", "given_code", ["body", "change_key"])


def downgrade() -> None:
    """Drops it."""
    op.drop_table("given_code")
