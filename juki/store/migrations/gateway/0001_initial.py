"""The gateway's first tables."""

import sqlalchemy as sa
from alembic import op

from juki.store.engine import BIG

revision = "gateway_0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Creates every table of `cs_gateway.tables`."""
    op.create_table(
        "gateway_state",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("municipality", sa.String(6), nullable=False),
        sa.Column("epoch", BIG, nullable=False),
        sa.Column("sequence", BIG, nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("wrapped_data_key", sa.LargeBinary, nullable=False),
        sa.Column("prefecture_epoch", BIG, nullable=False),
        sa.Column("prefecture_through", BIG, nullable=False),
        sa.Column("nation_epoch", BIG, nullable=False),
        sa.Column("nation_through", BIG, nullable=False),
        sa.Column("nation_receipt_at", BIG),
        sa.Column("returns_cursor", BIG, nullable=False),
    )
    _create_register_tables()
    _create_code_tables()
    _create_return_tables()
    _create_drop_tables()


def _create_register_tables() -> None:
    op.create_table(
        "resident",
        sa.Column("record_key", sa.LargeBinary, primary_key=True),
        sa.Column("code_key", sa.LargeBinary, nullable=False),
        sa.Column("information", sa.LargeBinary, nullable=False),
        sa.Column("state", sa.Integer, nullable=False),
        sa.Column("last_digest", sa.LargeBinary, nullable=False),
        sa.Column("number_pending", sa.Boolean, nullable=False),
    )
    op.create_index("ix_resident_code_key", "resident", ["code_key"])
    op.create_index("ix_resident_number_pending", "resident", ["number_pending"])
    op.create_table(
        "outbox",
        sa.Column("epoch", BIG, primary_key=True, autoincrement=False),
        sa.Column("sequence", BIG, primary_key=True, autoincrement=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("issued_at", BIG, nullable=False),
        sa.Column("envelope", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "register_event",
        sa.Column("event_key", sa.LargeBinary, primary_key=True),
        sa.Column("content", sa.LargeBinary, nullable=False),
        sa.Column("record_key", sa.LargeBinary, nullable=False),
        sa.Column("epoch", BIG, nullable=False),
        sa.Column("sequence", BIG, nullable=False),
    )
    op.create_table(
        "recovered",
        sa.Column("epoch", BIG, primary_key=True, autoincrement=False),
        sa.Column("sequence", BIG, primary_key=True, autoincrement=False),
        sa.Column("content_key", sa.LargeBinary, nullable=False),
        sa.Column("record_key", sa.LargeBinary, nullable=False),
        sa.Column("record_known", sa.Boolean, nullable=False),
    )


def _create_code_tables() -> None:
    op.create_table(
        "code_pool",
        sa.Column("code_key", sa.LargeBinary, primary_key=True),
        sa.Column("code", sa.LargeBinary, nullable=False),
        sa.Column("allotted_at", BIG, nullable=False),
        sa.Column("used_at", BIG),
        sa.Column("voided_at", BIG),
    )
    op.create_index("ix_code_pool_used_at", "code_pool", ["used_at"])
    op.create_table(
        "code_request",
        sa.Column("request_id", sa.String(64), primary_key=True),
        sa.Column("wanted", sa.Integer, nullable=False),
        sa.Column("asked_at", BIG, nullable=False),
        sa.Column("answered_at", BIG),
    )


def _create_return_tables() -> None:
    op.create_table(
        "receipt",
        sa.Column("tier", sa.String(16), primary_key=True),
        sa.Column("epoch", BIG, primary_key=True, autoincrement=False),
        sa.Column("last_sequence", BIG, primary_key=True, autoincrement=False),
        sa.Column("first_sequence", BIG, primary_key=True, autoincrement=False),
        sa.Column("signed_receipt", sa.LargeBinary, nullable=False),
        sa.Column("arrived_at", BIG, nullable=False),
    )
    op.create_table(
        "dispute",
        sa.Column("position", BIG, primary_key=True),
        sa.Column("dispute_id", sa.String(128), nullable=False, unique=True),
        sa.Column("report", sa.LargeBinary, nullable=False),
        sa.Column("resolved", sa.Boolean, nullable=False),
    )


def _create_drop_tables() -> None:
    op.create_table(
        "drop_file",
        sa.Column("id", BIG, primary_key=True),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("file_identity", sa.String(100), nullable=False),
        sa.Column("byte_offset", BIG, nullable=False),
        sa.Column("lines", BIG, nullable=False),
        sa.Column("accepted", BIG, nullable=False),
        sa.Column("quarantined", BIG, nullable=False),
        sa.Column("first_epoch", BIG),
        sa.Column("first_sequence", BIG),
        sa.Column("last_epoch", BIG),
        sa.Column("last_sequence", BIG),
        sa.Column("finished_at", BIG),
        sa.Column("refusal", sa.String(64), nullable=False, server_default=""),
    )
    op.create_index("ix_drop_file_name", "drop_file", ["name"])
    op.create_table(
        "quarantined_line",
        sa.Column(
            "file_id", BIG, sa.ForeignKey("drop_file.id"), primary_key=True, autoincrement=False
        ),
        sa.Column("line_number", BIG, primary_key=True, autoincrement=False),
        sa.Column("reason", sa.String(64), nullable=False),
        sa.Column("line", sa.LargeBinary, nullable=False),
    )


def downgrade() -> None:
    """Drops them again; for tests only, since it loses the register."""
    for table in (
        "quarantined_line",
        "drop_file",
        "dispute",
        "receipt",
        "code_request",
        "code_pool",
        "recovered",
        "register_event",
        "outbox",
        "resident",
        "gateway_state",
    ):
        op.drop_table(table)
