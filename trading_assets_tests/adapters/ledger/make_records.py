"""Valid records and rows for tests of the ledger: name only what a test is about."""

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from trading_assets.adapters.ledger.store import SessionRecord
from trading_assets.models.base import Side
from trading_assets.models.order import Leg, OrderStatus, OrderType, TimeInForce

FIRST = date(2024, 1, 2)
STRATEGY = "trend"
LANE = "simulated"

type Row = dict[str, Any]


def day(number: int) -> date:
    """The session with this number; 0 is the first."""
    return FIRST + timedelta(days=number)


def make_records(
    days: Iterable[int], book: str = "book", **changes: str
) -> list[SessionRecord]:
    """Walks through *days*, their hashes and states named after *book*."""
    return [
        SessionRecord(
            session=day(number),
            previous_hash=f"{book} {number - 1}",
            book_hash=f"{book} {number}",
            spec_hash=changes.get("spec_hash", "spec"),
            state=f'{{"book": "{book}", "day": {number}}}',
        )
        for number in days
    ]


def make_order(number: int, **changes: Any) -> Row:
    """A market order decided at the close of day *number*."""
    decided_at = datetime(2024, 1, 2, 21, tzinfo=UTC) + timedelta(days=number)
    return {
        "order_id": f"trend-{day(number)}-AAPL-entry",
        "session": day(number),
        "symbol": "AAPL",
        "leg": Leg.ENTRY,
        "side": Side.BUY,
        "shares": 10,
        "order_type": OrderType.MARKET,
        "limit_price": None,
        "stop_price": None,
        "tif": TimeInForce.DAY,
        "status": OrderStatus.SUBMITTED,
        "reason": "rules say BUY",
        "decided_at": decided_at,
        "submitted_at": decided_at,
        "broker_order_id": "",
        "spec_hash": "spec",
        **changes,
    }


def make_fill(number: int, **changes: Any) -> Row:
    """An execution at the open of day *number*."""
    return {
        "fill_id": f"trend-{day(number)}-AAPL-entry-1",
        "session": day(number),
        "symbol": "AAPL",
        "order_id": f"trend-{day(number)}-AAPL-entry",
        "side": Side.BUY,
        "shares": 10,
        "price": 101.25,
        "commission": 1.0,
        "filled_at": datetime(2024, 1, 2, 14, 30, tzinfo=UTC) + timedelta(days=number),
        **changes,
    }


def make_trade(number: int, **changes: Any) -> Row:
    """A trade that was closed on day *number*."""
    return {
        "session": day(number),
        "trade_id": f"trend-{day(number)}-AAPL-exit-1",
        "symbol": "AAPL",
        "opened_session": FIRST,
        "closed_session": day(number),
        "side": Side.BUY,
        "shares": 10,
        "entry_price": 100.0,
        "exit_price": 110.0,
        "pnl": 100.0,
        "commission": 2.0,
        "exit_reason": "exit",
        **changes,
    }


def make_positions(
    number: int, symbols: Sequence[str] = ("AAPL",), **changes: Any
) -> list[Row]:
    """What is held at the close of day *number*."""
    return [
        {
            "session": day(number),
            "symbol": symbol,
            "shares": 10,
            "average_cost": 100.0,
            "close": 101.0,
            "market_value": 1010.0,
            "unrealized_pnl": 10.0,
            "is_stale": False,
            **changes,
        }
        for symbol in symbols
    ]


def make_portfolio(number: int, **changes: Any) -> Row:
    """The book at the close of day *number*."""
    return {
        "session": day(number),
        "cash": 99_000.0,
        "market_value": 1010.0,
        "equity": 100_010.0,
        "gross_exposure_frac": 0.0101,
        "realized_pnl": 0.0,
        "unrealized_pnl": 10.0,
        "commission_paid": 1.0,
        "drawdown_frac": 0.0,
        "book_hash": f"book {number}",
        **changes,
    }
