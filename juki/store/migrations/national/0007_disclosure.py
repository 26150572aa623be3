"""Disclosure and correction requests; notifications are found by their digest."""

import sqlalchemy as sa
from alembic import op

from juki.store.engine import BIG

revision = "national_0007"
down_revision = "national_0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Creates the table of acts, and the index that a person's change history is followed by."""
    op.create_table(
        "person_request_act",
        sa.Column("id", sa.String(20), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("act", sa.SmallInteger, nullable=False),
        sa.Column("municipality", sa.String(6), nullable=False),
        sa.Column("request_id", sa.String(64), nullable=False),
        sa.Column("acted_at", BIG, nullable=False),
        sa.Column("content_sealed", sa.LargeBinary, nullable=False),
        sa.UniqueConstraint("municipality", "request_id", name="one_act_a_request_id"),
    )
    op.create_index("person_request_by_act", "person_request_act", ["act", "id"])
    op.create_index("notification_by_digest", "notification", ["digest"])


def downgrade() -> None:
    """Drops them."""
    op.drop_index("notification_by_digest", "notification")
    op.drop_table("person_request_act")
