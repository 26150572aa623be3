"""The register root, and how often a data key has sealed."""

import sqlalchemy as sa
from alembic import op

from juki.store.engine import BIG

revision = "prefectural_0005"
down_revision = "prefectural_0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the roots and the counter."""
    op.create_table(
        "register_root",
        sa.Column("section", sa.String(16), primary_key=True),
        sa.Column("generation", BIG, nullable=False),
        sa.Column("state_sealed", sa.LargeBinary, nullable=False),
    )
    op.add_column("data_key", sa.Column("seals_reserved", BIG, nullable=False, server_default="0"))


def downgrade() -> None:
    """Drops them."""
    op.drop_column("data_key", "seals_reserved")
    op.drop_table("register_root")
