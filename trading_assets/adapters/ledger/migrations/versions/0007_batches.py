"""Questions that are asked in batches."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "analyst_batches",
        sa.Column("batch_id", sa.String(), nullable=False),
        sa.Column("strategy", sa.String(), nullable=False),
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("key_id", sa.String(), nullable=False),
        sa.Column("remote_id", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("questions", sa.BigInteger(), nullable=False),
        sa.Column("estimated_usd", sa.Double(), nullable=False),
        sa.Column("is_cancelled", sa.Boolean(), nullable=False),
        sa.Column("looks", sa.BigInteger(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("submitted_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("batch_id", name="pk_analyst_batches"),
    )
    op.create_index(
        "ix_analyst_batches_strategy_submitted_at",
        "analyst_batches",
        ["strategy", "submitted_at"],
    )
    op.create_table(
        "analyst_batch_items",
        sa.Column("batch_id", sa.String(), nullable=False),
        sa.Column("custom_id", sa.String(), nullable=False),
        sa.Column("symbol", sa.String(), nullable=False),
        sa.Column("session", sa.Date(), nullable=False),
        sa.Column("question_key", sa.String(), nullable=False),
        sa.Column("call_id", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("estimated_usd", sa.Double(), nullable=False),
        sa.Column("price_version", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint(
            "batch_id", "custom_id", "symbol", "session", name="pk_analyst_batch_items"
        ),
        sa.ForeignKeyConstraint(
            ["batch_id"],
            ["analyst_batches.batch_id"],
            name="fk_analyst_batch_items_analyst_batches",
        ),
        sa.ForeignKeyConstraint(
            ["call_id"],
            ["analyst_calls.call_id"],
            name="fk_analyst_batch_items_analyst_calls",
        ),
    )
    op.create_index(
        "ix_analyst_batch_items_question_key_status",
        "analyst_batch_items",
        ["question_key", "status"],
    )
