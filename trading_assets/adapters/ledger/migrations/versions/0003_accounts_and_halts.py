"""Accounts at a broker, halts, and what people were told."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    _make_refusals()
    _make_accounts()
    _make_halts()
    _make_notices()


def _make_refusals() -> None:
    op.create_table(
        "order_refusals",
        sa.Column("order_id", sa.String(), nullable=False),
        sa.Column("strategy", sa.String(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("order_id", name="pk_order_refusals"),
    )


def _make_accounts() -> None:
    op.create_table(
        "ledger_accounts",
        sa.Column("account", sa.String(), nullable=False),
        sa.Column("is_live", sa.Boolean(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("account", name="pk_ledger_accounts"),
    )
    op.create_table(
        "adoptions",
        sa.Column("account", sa.String(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("symbol", sa.String(), nullable=False),
        sa.Column("con_id", sa.BigInteger(), nullable=False),
        sa.Column("shares", sa.Double(), nullable=False),
        sa.Column("price", sa.Double(), nullable=True),
        sa.Column("strategy", sa.String(), nullable=False),
        sa.Column("exec_key", sa.String(), nullable=False),
        sa.Column("who", sa.String(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("account", "seq", name="pk_adoptions"),
    )
    op.create_table(
        "account_snapshots",
        sa.Column("account", sa.String(), nullable=False),
        sa.Column("session", sa.Date(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint(
            "account", "session", "recorded_at", name="pk_account_snapshots"
        ),
    )


def _make_halts() -> None:
    op.create_table(
        "halts",
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("strategy", sa.String(), nullable=False),
        sa.Column("is_halt", sa.Boolean(), nullable=False),
        sa.Column("session", sa.Date(), nullable=False),
        sa.Column("who", sa.String(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_halts"),
    )
    op.create_table(
        "session_halts",
        sa.Column("strategy", sa.String(), nullable=False),
        sa.Column("lane", sa.String(), nullable=False),
        sa.Column("session", sa.Date(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("strategy", "lane", "session", name="pk_session_halts"),
    )


def _make_notices() -> None:
    op.create_table(
        "notices",
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("topic", sa.String(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("is_sent", sa.Boolean(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_notices"),
    )
    op.create_index("ix_notices_topic_seq", "notices", ["topic", "seq"])
