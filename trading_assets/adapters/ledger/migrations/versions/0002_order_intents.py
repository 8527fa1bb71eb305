"""Orders at a real broker: intents, facts, executions and what they cost."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    _make_order_intents()
    _make_order_facts()
    _make_executions()
    _make_commissions()


def _make_order_intents() -> None:
    op.create_table(
        "order_intents",
        sa.Column("order_id", sa.String(), nullable=False),
        sa.Column("strategy", sa.String(), nullable=False),
        sa.Column("lane", sa.String(), nullable=False),
        sa.Column("account", sa.String(), nullable=False),
        sa.Column("client_id", sa.BigInteger(), nullable=False),
        sa.Column("broker_order_id", sa.BigInteger(), nullable=False),
        sa.Column("order_ref", sa.String(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("payload_hash", sa.String(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("order_id", name="pk_order_intents"),
        sa.UniqueConstraint(
            "account",
            "client_id",
            "broker_order_id",
            name="uq_order_intents_broker_order_id",
        ),
        sa.UniqueConstraint("account", "order_ref", name="uq_order_intents_order_ref"),
    )


def _make_order_facts() -> None:
    op.create_table(
        "order_facts",
        sa.Column("order_id", sa.String(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("perm_id", sa.BigInteger(), nullable=False),
        sa.Column("code", sa.BigInteger(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("filled_shares", sa.Double(), nullable=True),
        sa.Column("terms", sa.Text(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("order_id", "seq", name="pk_order_facts"),
        sa.ForeignKeyConstraint(
            ["order_id"], ["order_intents.order_id"], name="fk_order_facts_order_intents"
        ),
    )


def _make_executions() -> None:
    op.create_table(
        "executions",
        sa.Column("account", sa.String(), nullable=False),
        sa.Column("exec_key", sa.String(), nullable=False),
        sa.Column("correction", sa.BigInteger(), nullable=False),
        sa.Column("order_ref", sa.String(), nullable=False),
        sa.Column("perm_id", sa.BigInteger(), nullable=False),
        sa.Column("con_id", sa.BigInteger(), nullable=False),
        sa.Column("symbol", sa.String(), nullable=False),
        sa.Column("currency", sa.String(), nullable=False),
        sa.Column("side", sa.String(), nullable=False),
        sa.Column("shares", sa.Double(), nullable=False),
        sa.Column("price", sa.Double(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("account", "exec_key", "correction", name="pk_executions"),
    )
    op.create_index(
        "ix_executions_account_order_ref", "executions", ["account", "order_ref"]
    )


def _make_commissions() -> None:
    op.create_table(
        "commissions",
        sa.Column("account", sa.String(), nullable=False),
        sa.Column("exec_key", sa.String(), nullable=False),
        sa.Column("correction", sa.BigInteger(), nullable=False),
        sa.Column("commission", sa.Double(), nullable=False),
        sa.Column("currency", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("account", "exec_key", "correction", name="pk_commissions"),
    )
