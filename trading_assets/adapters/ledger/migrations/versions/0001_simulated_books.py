"""The simulated broker's books.

Every table repeats what its model says. Later changes of the models are later migrations:
this one stays as it is.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    _make_book_sessions()
    _make_orders()
    _make_order_events()
    _make_fills()
    _make_book_events()
    _make_trades()
    _make_positions()
    _make_portfolio()


def _make_book_sessions() -> None:
    op.create_table(
        "book_sessions",
        *_walk(),
        sa.Column("previous_hash", sa.String(), nullable=False),
        sa.Column("book_hash", sa.String(), nullable=False),
        sa.Column("spec_hash", sa.String(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint(
            "strategy", "lane", "session", "generation", name="pk_book_sessions"
        ),
    )


def _make_orders() -> None:
    _make(
        "orders",
        ("order_id",),
        sa.Column("order_id", sa.String(), nullable=False),
        sa.Column("symbol", sa.String(), nullable=False),
        sa.Column("leg", sa.String(), nullable=False),
        sa.Column("side", sa.String(), nullable=False),
        sa.Column("shares", sa.BigInteger(), nullable=False),
        sa.Column("order_type", sa.String(), nullable=False),
        sa.Column("limit_price", sa.Double(), nullable=True),
        sa.Column("stop_price", sa.Double(), nullable=True),
        sa.Column("tif", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("submitted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("broker_order_id", sa.String(), nullable=False),
        sa.Column("spec_hash", sa.String(), nullable=False),
    )


def _make_order_events() -> None:
    _make(
        "order_events",
        ("order_id", "seq"),
        sa.Column("order_id", sa.String(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("shares", sa.BigInteger(), nullable=False),
        sa.Column("price", sa.Double(), nullable=True),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
    )


def _make_fills() -> None:
    _make(
        "fills",
        ("fill_id",),
        sa.Column("fill_id", sa.String(), nullable=False),
        sa.Column("symbol", sa.String(), nullable=False),
        sa.Column("order_id", sa.String(), nullable=False),
        sa.Column("side", sa.String(), nullable=False),
        sa.Column("shares", sa.BigInteger(), nullable=False),
        sa.Column("price", sa.Double(), nullable=False),
        sa.Column("commission", sa.Double(), nullable=False),
        sa.Column("filled_at", sa.DateTime(timezone=True), nullable=False),
    )


def _make_book_events() -> None:
    _make(
        "book_events",
        ("event_id",),
        sa.Column("event_id", sa.String(), nullable=False),
        sa.Column("symbol", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("shares_delta", sa.BigInteger(), nullable=False),
        sa.Column("cash", sa.Double(), nullable=False),
    )


def _make_trades() -> None:
    _make(
        "trades",
        ("trade_id",),
        sa.Column("trade_id", sa.String(), nullable=False),
        sa.Column("symbol", sa.String(), nullable=False),
        sa.Column("opened_session", sa.Date(), nullable=False),
        sa.Column("closed_session", sa.Date(), nullable=False),
        sa.Column("side", sa.String(), nullable=False),
        sa.Column("shares", sa.BigInteger(), nullable=False),
        sa.Column("entry_price", sa.Double(), nullable=False),
        sa.Column("exit_price", sa.Double(), nullable=False),
        sa.Column("pnl", sa.Double(), nullable=False),
        sa.Column("commission", sa.Double(), nullable=False),
        sa.Column("exit_reason", sa.String(), nullable=False),
    )


def _make_positions() -> None:
    _make(
        "positions",
        ("session", "symbol"),
        sa.Column("symbol", sa.String(), nullable=False),
        sa.Column("shares", sa.BigInteger(), nullable=False),
        sa.Column("average_cost", sa.Double(), nullable=False),
        sa.Column("close", sa.Double(), nullable=False),
        sa.Column("market_value", sa.Double(), nullable=False),
        sa.Column("unrealized_pnl", sa.Double(), nullable=False),
        sa.Column("is_stale", sa.Boolean(), nullable=False),
    )


def _make_portfolio() -> None:
    _make(
        "portfolio",
        ("session",),
        sa.Column("cash", sa.Double(), nullable=False),
        sa.Column("market_value", sa.Double(), nullable=False),
        sa.Column("equity", sa.Double(), nullable=False),
        sa.Column("gross_exposure_frac", sa.Double(), nullable=False),
        sa.Column("realized_pnl", sa.Double(), nullable=False),
        sa.Column("unrealized_pnl", sa.Double(), nullable=False),
        sa.Column("commission_paid", sa.Double(), nullable=False),
        sa.Column("drawdown_frac", sa.Double(), nullable=False),
        sa.Column("book_hash", sa.String(), nullable=False),
    )


def _make(name: str, key: tuple[str, ...], *columns: sa.Column[object]) -> None:
    walk = ["strategy", "lane", "session", "generation"]
    op.create_table(
        name,
        *_walk(),
        *columns,
        sa.PrimaryKeyConstraint("strategy", "lane", *key, "generation", name=f"pk_{name}"),
        sa.ForeignKeyConstraint(
            walk,
            [f"book_sessions.{column}" for column in walk],
            name=f"fk_{name}_book_sessions",
        ),
    )
    if "session" not in key:
        op.create_index(
            f"ix_{name}_strategy_lane_session", name, ["strategy", "lane", "session"]
        )


def _walk() -> list[sa.Column[object]]:
    return [
        sa.Column("strategy", sa.String(), nullable=False),
        sa.Column("lane", sa.String(), nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("session", sa.Date(), nullable=False),
    ]
