"""What models were asked, what they said, and what it cost."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "analyst_texts",
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("sha256", name="pk_analyst_texts"),
    )
    _make_calls()
    _make_attempts()
    op.create_table(
        "analyst_spending",
        sa.Column("strategy", sa.String(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("charged_usd", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("strategy", "day", "run_id", name="pk_analyst_spending"),
    )


def _make_calls() -> None:
    op.create_table(
        "analyst_calls",
        sa.Column("call_id", sa.String(), nullable=False),
        sa.Column("question_key", sa.String(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("strategy", sa.String(), nullable=False),
        sa.Column("symbol", sa.String(), nullable=False),
        sa.Column("session", sa.Date(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("parents", sa.Text(), nullable=False),
        sa.Column("prompt_version", sa.String(), nullable=False),
        sa.Column("table_hash", sa.String(), nullable=False),
        sa.Column("is_blind", sa.Boolean(), nullable=False),
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("system_hash", sa.String(), nullable=False),
        sa.Column("shared_hash", sa.String(), nullable=False),
        sa.Column("task_hash", sa.String(), nullable=False),
        sa.Column("schema_hash", sa.String(), nullable=False),
        sa.Column("schema_name", sa.String(), nullable=False),
        sa.Column("image_hashes", sa.Text(), nullable=False),
        sa.Column("effort", sa.String(), nullable=False),
        sa.Column("max_tokens", sa.BigInteger(), nullable=False),
        sa.Column("sample", sa.BigInteger(), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("outcome", sa.String(), nullable=True),
        sa.Column("text", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("model_asked", sa.String(), nullable=True),
        sa.Column("model_answered", sa.String(), nullable=True),
        *_tokens(),
        sa.Column("cost_usd", sa.Double(), nullable=True),
        sa.Column("price_version", sa.String(), nullable=True),
        sa.Column("latency_seconds", sa.Double(), nullable=True),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("call_id", name="pk_analyst_calls"),
        *(
            sa.ForeignKeyConstraint(
                [name], ["analyst_texts.sha256"], name=f"fk_analyst_calls_{name}"
            )
            for name in ("system_hash", "shared_hash", "task_hash", "schema_hash")
        ),
        sa.UniqueConstraint(
            "question_key", "number", name="uq_analyst_calls_question_key_number"
        ),
    )
    op.create_index(
        "ix_analyst_calls_strategy_session_symbol",
        "analyst_calls",
        ["strategy", "session", "symbol"],
    )


def _make_attempts() -> None:
    op.create_table(
        "analyst_attempts",
        sa.Column("call_id", sa.String(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("strategy", sa.String(), nullable=False),
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("key_id", sa.String(), nullable=False),
        sa.Column("is_schema_sent", sa.Boolean(), nullable=False),
        sa.Column("estimated_usd", sa.Double(), nullable=False),
        sa.Column("charged_usd", sa.Double(), nullable=False),
        sa.Column("is_charge_estimated", sa.Boolean(), nullable=False),
        sa.Column("price_version", sa.String(), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.Column("status", sa.BigInteger(), nullable=True),
        sa.Column("request_id", sa.String(), nullable=True),
        sa.Column("rate_limits", sa.Text(), nullable=True),
        *_tokens(),
        sa.Column("latency_seconds", sa.Double(), nullable=True),
        sa.Column("reply", sa.LargeBinary(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("call_id", "number", name="pk_analyst_attempts"),
        sa.ForeignKeyConstraint(
            ["call_id"],
            ["analyst_calls.call_id"],
            name="fk_analyst_attempts_analyst_calls",
        ),
    )
    op.create_index(
        "ix_analyst_attempts_strategy_asked_at_run_id_charged_usd",
        "analyst_attempts",
        ["strategy", "asked_at", "run_id", "charged_usd"],
    )


def _tokens() -> list[sa.Column[int]]:
    names = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens")
    return [sa.Column(name, sa.BigInteger(), nullable=True) for name in names]
