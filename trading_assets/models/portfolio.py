"""What we have and what it is worth."""

from datetime import date, datetime

from pydantic import Field

from trading_assets.models.base import Lane, Side, StrategyName, Symbol, Value


class Position(Value):
    """Shares held at a session's close; a flat symbol has no row.

    Attributes:
        shares: Signed.
        average_cost: Of the remaining first-in-first-out lots, without commission.
        close: The mark: the session's close, or the last one, split-adjusted.
        is_stale: The symbol had no bar in the session, so the mark is older.
    """

    strategy: StrategyName
    lane: Lane
    session: date
    symbol: Symbol
    shares: int
    average_cost: float
    close: float
    market_value: float
    unrealized_pnl: float
    is_stale: bool


class Portfolio(Value):
    """A book at a session's close, account currency.

    Attributes:
        gross_exposure_frac: Sum of absolute market values over equity.
        realized_pnl: First in, first out, before commission, since the start.
        commission_paid: Since the start.
        drawdown_frac: Fall from the highest equity so far; 0 at a new high.
        book_hash: Of all that led here; equal hashes are equal books.
        generation: How often the session has been walked anew.
    """

    strategy: StrategyName
    lane: Lane
    session: date
    cash: float
    market_value: float
    equity: float
    gross_exposure_frac: float
    realized_pnl: float
    unrealized_pnl: float
    commission_paid: float
    drawdown_frac: float
    book_hash: str
    generation: int


class Trade(Value):
    """What one exit closed, matched with its entries first in first out.

    Attributes:
        opened_session: Of the oldest share that the exit closed.
        side: BUY for a trade that was long.
        shares: Closed by the exit.
        entry_price: Mean over those shares, currency per share.
        pnl: Before commission.
        commission: The shares' part of what entry and exit cost.
        exit_reason: The leg that ended it.
    """

    strategy: StrategyName
    lane: Lane
    trade_id: str
    symbol: Symbol
    opened_session: date
    closed_session: date
    side: Side
    shares: int
    entry_price: float
    exit_price: float
    pnl: float
    commission: float
    exit_reason: str


class Performance(Value):
    """A strategy's record in one row; None where a figure is undefined.

    Ratios are annual, from daily returns: 252 sessions, no risk-free rate, ddof 1.
    """

    strategy: StrategyName
    lane: Lane
    total_return_frac: float | None
    cagr_frac: float | None
    volatility_frac: float | None
    sharpe: float | None
    sortino: float | None
    calmar: float | None
    max_drawdown_frac: float | None
    max_drawdown_sessions: int | None
    trades: int
    win_rate_frac: float | None
    profit_factor: float | None
    expectancy: float | None
    average_win: float | None
    average_loss: float | None
    exposure_frac: float | None
    turnover: float | None
    alpha_frac: float | None
    beta: float | None
    benchmark_return_frac: float | None
    benchmark_max_drawdown_frac: float | None
    final_equity: float | None
    sessions: int = Field(ge=0)
    first_session: date | None
    last_session: date | None
    computed_at: datetime
