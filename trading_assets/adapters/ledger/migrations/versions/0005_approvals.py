"""What waits for a person before it is sent, and what was said of it."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "approval_proposals",
        sa.Column("lane", sa.String(), nullable=False),
        sa.Column("order_id", sa.String(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("strategy", sa.String(), nullable=False),
        sa.Column("account", sa.String(), nullable=False),
        sa.Column("session", sa.Date(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("payload_hash", sa.String(), nullable=False),
        sa.Column("close", sa.Double(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("reasoning", sa.Text(), nullable=False),
        sa.Column("proposed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("lane", "order_id", "number", name="pk_approval_proposals"),
    )
    op.create_index(
        "ix_approval_proposals_expires_at", "approval_proposals", ["expires_at"]
    )
    op.create_table(
        "approval_rulings",
        sa.Column("lane", sa.String(), nullable=False),
        sa.Column("order_id", sa.String(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("who", sa.String(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint(
            "lane", "order_id", "number", "seq", name="pk_approval_rulings"
        ),
        sa.ForeignKeyConstraint(
            ["lane", "order_id", "number"],
            [
                "approval_proposals.lane",
                "approval_proposals.order_id",
                "approval_proposals.number",
            ],
            name="fk_approval_rulings_approval_proposals",
        ),
    )
    op.create_table(
        "session_approvals",
        sa.Column("strategy", sa.String(), nullable=False),
        sa.Column("lane", sa.String(), nullable=False),
        sa.Column("session", sa.Date(), nullable=False),
        sa.Column("rule", sa.String(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("strategy", "lane", "session", name="pk_session_approvals"),
    )
