"""The register root; data keys in a table of their own, with how often each has sealed."""

import sqlalchemy as sa
from alembic import op

from juki.store.engine import BIG

revision = "gateway_0003"
down_revision = "gateway_0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the root and moves the data key."""
    op.create_table(
        "register_root",
        sa.Column("section", sa.String(16), primary_key=True),
        sa.Column("generation", BIG, nullable=False),
        sa.Column("state_sealed", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "data_key",
        sa.Column("purpose", sa.String(16), primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("wrapped", sa.LargeBinary, nullable=False),
        sa.Column("created_at", BIG, nullable=False),
        sa.Column("seals_reserved", BIG, nullable=False, server_default="0"),
    )
    op.execute(
        "INSERT INTO data_key (purpose, version, wrapped, created_at)"
        " SELECT 'columns', 1, wrapped_data_key, 0 FROM gateway_state"
    )
    op.drop_column("gateway_state", "wrapped_data_key")


def downgrade() -> None:
    """Moves the data key back and drops the root."""
    op.add_column(
        "gateway_state",
        sa.Column("wrapped_data_key", sa.LargeBinary, nullable=False, server_default=""),
    )
    op.execute(
        "UPDATE gateway_state SET wrapped_data_key ="
        " (SELECT wrapped FROM data_key WHERE purpose = 'columns' AND version = 1)"
    )
    op.drop_table("data_key")
    op.drop_table("register_root")
