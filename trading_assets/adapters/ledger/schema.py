"""The tables of the ledger, as the newest migration leaves them."""

import operator
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, SupportsFloat, SupportsIndex, override

import sqlalchemy as sa

from trading_assets.models.table import Column, Table
from trading_assets.models.tables import (
    BOOK_EVENTS,
    FILLS,
    ORDER_EVENTS,
    ORDERS,
    PORTFOLIO,
    POSITIONS,
    TRADES,
)

REVISIONS = ("0001", "0002", "0003", "0004", "0005", "0006", "0007", "0008")
"""Every migration there is, oldest first; spares most starts the import of Alembic."""

HEAD = REVISIONS[-1]
VERSION_TABLE = "ledger_version"
"""Ours alone: Dagster may keep its history, and its own version, in the same database."""

BOOK = ("strategy", "lane")
NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class Whole(sa.types.TypeDecorator[int]):
    """A whole number; SQLite would file a numpy integer away as bytes."""

    impl = sa.BigInteger
    cache_ok = True

    @override
    def process_bind_param(
        self, value: SupportsIndex | None, dialect: sa.Dialect
    ) -> int | None:
        return None if value is None else operator.index(value)


class Number(sa.types.TypeDecorator[float]):
    """A number; one that is not a number is stored as NULL."""

    impl = sa.Double
    cache_ok = True

    @override
    def process_bind_param(
        self, value: SupportsFloat | None, dialect: sa.Dialect
    ) -> float | None:
        # psycopg2 writes numbers down as they print, and those of numpy print their type.
        number = None if value is None else float(value)
        return None if number != number else number  # noqa: PLR0124 - only NaN does


class Instant(sa.types.TypeDecorator[datetime]):
    """A point in time, in UTC; SQLite would forget the zone."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    @override
    def process_bind_param(
        self, value: datetime | None, dialect: sa.Dialect
    ) -> datetime | None:
        return None if value is None else value.astimezone(UTC)

    @override
    def process_result_value(
        self, value: datetime | None, dialect: sa.Dialect
    ) -> datetime | None:
        if value is None or value.tzinfo is not None:
            return value
        return value.replace(tzinfo=UTC)


TYPES: Mapping[str, type[sa.types.TypeEngine[Any]]] = {
    "BOOLEAN": sa.Boolean,
    "BIGINT": Whole,
    "DOUBLE": Number,
    "TIMESTAMPTZ": Instant,
    "DATE": sa.Date,
    "VARCHAR": sa.String,
}

METADATA = sa.MetaData(naming_convention=NAMING)

BOOK_SESSIONS = sa.Table(
    "book_sessions",
    METADATA,
    sa.Column("strategy", sa.String, primary_key=True),
    sa.Column("lane", sa.String, primary_key=True),
    sa.Column("session", sa.Date, primary_key=True),
    sa.Column("generation", Whole, primary_key=True, autoincrement=False),
    sa.Column("previous_hash", sa.String, nullable=False),
    sa.Column("book_hash", sa.String, nullable=False),
    sa.Column("spec_hash", sa.String, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("recorded_at", Instant, nullable=False),
)
"""Every walk through every session of every book, and the book it ended with."""


def _of_a_book(table: Table) -> sa.Table:
    """*table* as the ledger keeps it: by generation, and tied to the walk that made it."""
    walk = {
        "generation": Column("BIGINT", is_nullable=False),
        "session": Column("DATE", is_nullable=False),
    }
    columns = {**{name: table.columns[name] for name in BOOK}, **walk, **table.columns}
    key = (*table.key, "generation")
    stored = sa.Table(
        table.name,
        METADATA,
        *(
            sa.Column(name, TYPES[column.sql_type], nullable=column.is_nullable)
            for name, column in columns.items()
        ),
        sa.PrimaryKeyConstraint(*key),
        sa.ForeignKeyConstraint(
            [*BOOK, "session", "generation"],
            [f"book_sessions.{name}" for name in (*BOOK, "session", "generation")],
        ),
    )
    if "session" not in key:
        sa.Index(None, *(stored.c[name] for name in (*BOOK, "session")))
    return stored


BOOK_TABLES: Mapping[str, sa.Table] = {
    table.name: _of_a_book(table)
    for table in (
        ORDERS,
        ORDER_EVENTS,
        FILLS,
        BOOK_EVENTS,
        TRADES,
        POSITIONS,
        PORTFOLIO,
    )
}
"""What the simulated broker records, by name of the table."""

ORDER_INTENTS = sa.Table(
    "order_intents",
    METADATA,
    sa.Column("order_id", sa.String, primary_key=True),
    sa.Column("strategy", sa.String, nullable=False),
    sa.Column("lane", sa.String, nullable=False),
    sa.Column("account", sa.String, nullable=False),
    sa.Column("client_id", Whole, nullable=False),
    sa.Column("broker_order_id", Whole, nullable=False),
    sa.Column("order_ref", sa.String, nullable=False),
    sa.Column("payload", sa.Text, nullable=False),
    sa.Column("payload_hash", sa.String, nullable=False),
    sa.Column("recorded_at", Instant, nullable=False),
    sa.UniqueConstraint(
        "account", "client_id", "broker_order_id", name="uq_order_intents_broker_order_id"
    ),
    sa.UniqueConstraint("account", "order_ref", name="uq_order_intents_order_ref"),
)
"""Orders that we have committed ourselves to, each before anybody has heard of it."""

ORDER_FACTS = sa.Table(
    "order_facts",
    METADATA,
    sa.Column(
        "order_id",
        sa.String,
        sa.ForeignKey("order_intents.order_id", name="fk_order_facts_order_intents"),
        primary_key=True,
    ),
    sa.Column("seq", Whole, primary_key=True, autoincrement=False),
    sa.Column("kind", sa.String, nullable=False),
    sa.Column("perm_id", Whole, nullable=False),
    sa.Column("code", Whole, nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("filled_shares", Number, nullable=True),
    sa.Column("terms", sa.Text, nullable=True),
    sa.Column("at", Instant, nullable=False),
    sa.Column("source", sa.String, nullable=False),
)
"""What we did about an order and heard of it, numbered from 1."""

EXECUTIONS = sa.Table(
    "executions",
    METADATA,
    sa.Column("account", sa.String, primary_key=True),
    sa.Column("exec_key", sa.String, primary_key=True),
    sa.Column("correction", Whole, primary_key=True, autoincrement=False),
    sa.Column("order_ref", sa.String, nullable=False),
    sa.Column("perm_id", Whole, nullable=False),
    sa.Column("con_id", Whole, nullable=False),
    sa.Column("symbol", sa.String, nullable=False),
    sa.Column("currency", sa.String, nullable=False),
    sa.Column("side", sa.String, nullable=False),
    sa.Column("shares", Number, nullable=False),
    sa.Column("price", Number, nullable=False),
    sa.Column("at", Instant, nullable=False),
)
"""What was traded in an account, by whomever; a correction is a row of its own."""

sa.Index(None, EXECUTIONS.c.account, EXECUTIONS.c.order_ref)

COMMISSIONS = sa.Table(
    "commissions",
    METADATA,
    sa.Column("account", sa.String, primary_key=True),
    sa.Column("exec_key", sa.String, primary_key=True),
    sa.Column("correction", Whole, primary_key=True, autoincrement=False),
    sa.Column("commission", Number, nullable=False),
    sa.Column("currency", sa.String, nullable=False),
    sa.Column("at", Instant, nullable=False),
)
"""What an execution has cost; told before or after it, so it is tied to nothing."""

ORDER_REFUSALS = sa.Table(
    "order_refusals",
    METADATA,
    sa.Column("order_id", sa.String, primary_key=True),
    sa.Column("strategy", sa.String, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("at", Instant, nullable=False),
)
"""Orders that were decided and then not sent after all: halted meanwhile, or too late."""

LEDGER_ACCOUNTS = sa.Table(
    "ledger_accounts",
    METADATA,
    sa.Column("account", sa.String, primary_key=True),
    sa.Column("is_live", sa.Boolean, nullable=False),
    sa.Column("recorded_at", Instant, nullable=False),
)
"""Accounts whose orders are in this ledger: all for paper, or all for real money."""

HALTS = sa.Table(
    "halts",
    METADATA,
    sa.Column("seq", Whole, primary_key=True, autoincrement=False),
    sa.Column("strategy", sa.String, nullable=False),
    sa.Column("is_halt", sa.Boolean, nullable=False),
    sa.Column("session", sa.Date, nullable=False),
    sa.Column("who", sa.String, nullable=False),
    sa.Column("why", sa.Text, nullable=False),
    sa.Column("at", Instant, nullable=False),
)
"""What was halted and what was let go on again, numbered from 1.

The strategy is empty for all of them.
"""

SESSION_HALTS = sa.Table(
    "session_halts",
    METADATA,
    sa.Column("strategy", sa.String, primary_key=True),
    sa.Column("lane", sa.String, primary_key=True),
    sa.Column("session", sa.Date, primary_key=True),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("recorded_at", Instant, nullable=False),
)
"""Sessions of simulated books that were decided under a halt, for whoever walks again."""

ADOPTIONS = sa.Table(
    "adoptions",
    METADATA,
    sa.Column("account", sa.String, primary_key=True),
    sa.Column("seq", Whole, primary_key=True, autoincrement=False),
    sa.Column("kind", sa.String, nullable=False),
    sa.Column("symbol", sa.String, nullable=False),
    sa.Column("con_id", Whole, nullable=False),
    sa.Column("shares", Number, nullable=False),
    sa.Column("price", Number, nullable=True),
    sa.Column("strategy", sa.String, nullable=False),
    sa.Column("exec_key", sa.String, nullable=False),
    sa.Column("who", sa.String, nullable=False),
    sa.Column("why", sa.Text, nullable=False),
    sa.Column("at", Instant, nullable=False),
)
"""Shares in an account that no order of ours explains, and who took them for granted.

Signed; numbered from 1 by account. With a strategy they are in its book as well.
"""

ACCOUNT_SNAPSHOTS = sa.Table(
    "account_snapshots",
    METADATA,
    sa.Column("account", sa.String, primary_key=True),
    sa.Column("session", sa.Date, primary_key=True),
    sa.Column("recorded_at", Instant, primary_key=True),
    sa.Column("content", sa.Text, nullable=False),
)
"""What a broker said of an account after a session, as JSON; nobody can ask it again."""

NOTICES = sa.Table(
    "notices",
    METADATA,
    sa.Column("seq", Whole, primary_key=True, autoincrement=False),
    sa.Column("topic", sa.String, nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("is_sent", sa.Boolean, nullable=False),
    sa.Column("at", Instant, nullable=False),
)
"""What people were told, and what was held back because they had just been told."""

sa.Index(None, NOTICES.c.topic, NOTICES.c.seq)

ANALYST_TEXTS = sa.Table(
    "analyst_texts",
    METADATA,
    sa.Column("sha256", sa.String, primary_key=True),
    sa.Column("text", sa.Text, nullable=False),
)
"""What models were told and asked, each text once, by its hash."""


def _text_hash(name: str) -> sa.Column[str]:
    key = sa.ForeignKey("analyst_texts.sha256", name=f"fk_analyst_calls_{name}")
    return sa.Column(name, sa.String, key, nullable=False)


ANALYST_CALLS = sa.Table(
    "analyst_calls",
    METADATA,
    sa.Column("call_id", sa.String, primary_key=True),
    sa.Column("question_key", sa.String, nullable=False),
    sa.Column("number", Whole, nullable=False),
    sa.Column("strategy", sa.String, nullable=False),
    sa.Column("symbol", sa.String, nullable=False),
    sa.Column("session", sa.Date, nullable=False),
    sa.Column("role", sa.String, nullable=False),
    sa.Column("parents", sa.Text, nullable=False),
    sa.Column("prompt_version", sa.String, nullable=False),
    sa.Column("table_hash", sa.String, nullable=False),
    sa.Column("is_blind", sa.Boolean, nullable=False),
    sa.Column("run_id", sa.String, nullable=False),
    sa.Column("model", sa.String, nullable=False),
    _text_hash("system_hash"),
    _text_hash("shared_hash"),
    _text_hash("task_hash"),
    _text_hash("schema_hash"),
    sa.Column("schema_name", sa.String, nullable=False),
    sa.Column("image_hashes", sa.Text, nullable=False),
    sa.Column("effort", sa.String, nullable=False),
    sa.Column("max_tokens", Whole, nullable=False),
    sa.Column("sample", Whole, nullable=False),
    sa.Column("asked_at", Instant, nullable=False),
    sa.Column("outcome", sa.String, nullable=True),
    sa.Column("text", sa.Text, nullable=True),
    sa.Column("reason", sa.Text, nullable=True),
    sa.Column("model_asked", sa.String, nullable=True),
    sa.Column("model_answered", sa.String, nullable=True),
    sa.Column("input_tokens", Whole, nullable=True),
    sa.Column("cache_read_tokens", Whole, nullable=True),
    sa.Column("cache_write_tokens", Whole, nullable=True),
    sa.Column("output_tokens", Whole, nullable=True),
    sa.Column("cost_usd", Number, nullable=True),
    sa.Column("price_version", sa.String, nullable=True),
    sa.Column("latency_seconds", Number, nullable=True),
    sa.Column("answered_at", Instant, nullable=True),
    sa.UniqueConstraint(
        "question_key", "number", name="uq_analyst_calls_question_key_number"
    ),
)
"""Every time that a question was put to models, numbered from 1 for each question.

`model` is who was asked first and `model_asked` whom the answer is from. Without an outcome
the call was never finished. Texts lie in `analyst_texts`; `shared_hash` is that of a JSON
list of texts and of pictures by label and hash.
"""

sa.Index(None, ANALYST_CALLS.c.strategy, ANALYST_CALLS.c.session, ANALYST_CALLS.c.symbol)

ANALYST_ATTEMPTS = sa.Table(
    "analyst_attempts",
    METADATA,
    sa.Column(
        "call_id",
        sa.String,
        sa.ForeignKey("analyst_calls.call_id", name="fk_analyst_attempts_analyst_calls"),
        primary_key=True,
    ),
    sa.Column("number", Whole, primary_key=True, autoincrement=False),
    sa.Column("strategy", sa.String, nullable=False),
    sa.Column("run_id", sa.String, nullable=False),
    sa.Column("model", sa.String, nullable=False),
    sa.Column("key_id", sa.String, nullable=False),
    sa.Column("is_schema_sent", sa.Boolean, nullable=False),
    sa.Column("estimated_usd", Number, nullable=False),
    sa.Column("charged_usd", Number, nullable=False),
    sa.Column("is_charge_estimated", sa.Boolean, nullable=False),
    sa.Column("price_version", sa.String, nullable=False),
    sa.Column("asked_at", Instant, nullable=False),
    sa.Column("outcome", sa.String, nullable=False),
    sa.Column("status", Whole, nullable=True),
    sa.Column("request_id", sa.String, nullable=True),
    sa.Column("rate_limits", sa.Text, nullable=True),
    sa.Column("input_tokens", Whole, nullable=True),
    sa.Column("cache_read_tokens", Whole, nullable=True),
    sa.Column("cache_write_tokens", Whole, nullable=True),
    sa.Column("output_tokens", Whole, nullable=True),
    sa.Column("latency_seconds", Number, nullable=True),
    sa.Column("reply", sa.LargeBinary, nullable=True),
    sa.Column("error", sa.Text, nullable=True),
    sa.Column("settled_at", Instant, nullable=True),
)
"""Every request to a model, written before it is sent and completed after it, from 1.

One that was never settled is `ambiguous_billed` from the beginning. `charged_usd` is what
counts against budgets: the estimate, until the cost is known. `reply` is gzipped.
"""

sa.Index(
    None,
    *(
        ANALYST_ATTEMPTS.c[name]
        for name in ("strategy", "asked_at", "run_id", "charged_usd")
    ),
)

ANALYST_SPENDING = sa.Table(
    "analyst_spending",
    METADATA,
    sa.Column("strategy", sa.String, primary_key=True),
    sa.Column("day", sa.Date, primary_key=True),
    sa.Column("run_id", sa.String, primary_key=True),
    sa.Column("charged_usd", Number, nullable=False),
)
"""The sum of `charged_usd` over attempts, by strategy, day in UTC, and run.

Written along with every attempt, so that a budget is looked up and not added up.
"""

ANALYST_OPINIONS = sa.Table(
    "analyst_opinions",
    METADATA,
    sa.Column("strategy", sa.String, primary_key=True),
    sa.Column("symbol", sa.String, primary_key=True),
    sa.Column("session", sa.Date, primary_key=True),
    sa.Column("seq", Whole, primary_key=True, autoincrement=False),
    sa.Column("signal", sa.Text, nullable=False),
    sa.Column("call_ids", sa.Text, nullable=False),
    sa.Column("version_hash", sa.String, nullable=False),
    sa.Column("run_id", sa.String, nullable=False),
    sa.Column("recorded_at", Instant, nullable=False),
)
"""What models have made of a symbol at a close: the signal as JSON, numbered from 1.

The newest counts; older ones were asked anew since.
"""

APPROVAL_PROPOSALS = sa.Table(
    "approval_proposals",
    METADATA,
    sa.Column("lane", sa.String, primary_key=True),
    sa.Column("order_id", sa.String, primary_key=True),
    sa.Column("number", Whole, primary_key=True, autoincrement=False),
    sa.Column("strategy", sa.String, nullable=False),
    sa.Column("account", sa.String, nullable=False),
    sa.Column("session", sa.Date, nullable=False),
    sa.Column("payload", sa.Text, nullable=False),
    sa.Column("payload_hash", sa.String, nullable=False),
    sa.Column("close", Number, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("reasoning", sa.Text, nullable=False),
    sa.Column("proposed_at", Instant, nullable=False),
    sa.Column("expires_at", Instant, nullable=False),
)
"""Orders that wait for a person, an entry with its legs or an exit.

Numbered from 1: an order that is decided anew with another content is asked about anew.
"""

sa.Index(None, APPROVAL_PROPOSALS.c.expires_at)

APPROVAL_RULINGS = sa.Table(
    "approval_rulings",
    METADATA,
    sa.Column("lane", sa.String, primary_key=True),
    sa.Column("order_id", sa.String, primary_key=True),
    sa.Column("number", Whole, primary_key=True, autoincrement=False),
    sa.Column("seq", Whole, primary_key=True, autoincrement=False),
    sa.Column("state", sa.String, nullable=False),
    sa.Column("who", sa.String, nullable=False),
    sa.Column("why", sa.Text, nullable=False),
    sa.Column("at", Instant, nullable=False),
    sa.ForeignKeyConstraint(
        ["lane", "order_id", "number"],
        [f"approval_proposals.{name}" for name in ("lane", "order_id", "number")],
        name="fk_approval_rulings_approval_proposals",
    ),
)
"""What was said of a proposal and what became of it, numbered from 1."""

SESSION_APPROVALS = sa.Table(
    "session_approvals",
    METADATA,
    sa.Column("strategy", sa.String, primary_key=True),
    sa.Column("lane", sa.String, primary_key=True),
    sa.Column("session", sa.Date, primary_key=True),
    sa.Column("rule", sa.String, nullable=False),
    sa.Column("recorded_at", Instant, nullable=False),
)
"""Sessions of simulated books whose orders waited for a person, for whoever walks again."""

ANALYST_BATCHES = sa.Table(
    "analyst_batches",
    METADATA,
    sa.Column("batch_id", sa.String, primary_key=True),
    sa.Column("strategy", sa.String, nullable=False),
    sa.Column("run_id", sa.String, nullable=False),
    sa.Column("model", sa.String, nullable=False),
    sa.Column("key_id", sa.String, nullable=False),
    sa.Column("remote_id", sa.String, nullable=False),
    sa.Column("status", sa.String, nullable=False),
    sa.Column("questions", Whole, nullable=False),
    sa.Column("estimated_usd", Number, nullable=False),
    sa.Column("is_cancelled", sa.Boolean, nullable=False),
    sa.Column("looks", Whole, nullable=False),
    sa.Column("why", sa.Text, nullable=False),
    sa.Column("submitted_at", Instant, nullable=False),
    sa.Column("version_hash", sa.String, nullable=False, server_default=""),
    sa.Column("missed_at", Instant, nullable=True),
)
"""Every batch of questions, written before it is sent.

`remote_id` is the provider's name of it, empty until it is known. `version_hash` is of the
analyst that asked, and `missed_at` when results were first missing.
"""

sa.Index(None, ANALYST_BATCHES.c.strategy, ANALYST_BATCHES.c.submitted_at)

ANALYST_BATCH_ITEMS = sa.Table(
    "analyst_batch_items",
    METADATA,
    sa.Column(
        "batch_id",
        sa.String,
        sa.ForeignKey(
            "analyst_batches.batch_id", name="fk_analyst_batch_items_analyst_batches"
        ),
        primary_key=True,
    ),
    sa.Column("custom_id", sa.String, primary_key=True),
    sa.Column("symbol", sa.String, primary_key=True),
    sa.Column("session", sa.Date, primary_key=True),
    sa.Column("question_key", sa.String, nullable=False),
    sa.Column(
        "call_id",
        sa.String,
        sa.ForeignKey("analyst_calls.call_id", name="fk_analyst_batch_items_analyst_calls"),
        nullable=False,
    ),
    sa.Column("status", sa.String, nullable=False),
    sa.Column("estimated_usd", Number, nullable=False),
    sa.Column("price_version", sa.String, nullable=False),
)
"""Which question of a batch is for which symbol and session.

Two shares that look alike may share a question, and its call.
"""

sa.Index(None, ANALYST_BATCH_ITEMS.c.question_key, ANALYST_BATCH_ITEMS.c.status)
