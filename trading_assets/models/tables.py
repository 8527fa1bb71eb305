"""Every table that we keep, on one page."""

from trading_assets.models.account import Account, AccountPosition
from trading_assets.models.bar import Bar, CorporateAction, Coverage
from trading_assets.models.chart import Chart
from trading_assets.models.fill import BookEvent, Fill
from trading_assets.models.indicator import Indicators
from trading_assets.models.order import Order, OrderEvent
from trading_assets.models.outcome import SignalOutcome
from trading_assets.models.portfolio import Performance, Portfolio, Position, Trade
from trading_assets.models.signal import Signal
from trading_assets.models.symbol import Listing
from trading_assets.models.table import Table

BOOK = ("strategy", "lane")

BARS = Table(
    "bars", Bar, ("symbol", "session"), ("symbol", "session"), wall_clock=("recorded_at",)
)
CORPORATE_ACTIONS = Table(
    "corporate_actions",
    CorporateAction,
    ("symbol", "ex_session", "kind"),
    ("symbol", "ex_session"),
)
INDICATORS = Table(
    "indicators",
    Indicators,
    ("symbol", "session"),
    ("symbol", "session"),
    is_open_ended=True,
)
CHARTS = Table(
    "charts",
    Chart,
    ("strategy", "symbol", "session", "timeframe"),
    ("strategy", "timeframe", "symbol", "session"),
)
SIGNALS = Table(
    "signals", Signal, ("strategy", "symbol", "session"), ("strategy", "symbol", "session")
)
SIGNAL_OUTCOMES = Table(
    "signal_outcomes",
    SignalOutcome,
    ("strategy", "symbol", "session", "horizon_sessions"),
    ("strategy", "symbol", "session"),
)
ORDERS = Table("orders", Order, (*BOOK, "order_id"), (*BOOK, "session"))
ORDER_EVENTS = Table(
    "order_events", OrderEvent, (*BOOK, "order_id", "seq"), (*BOOK, "session")
)
FILLS = Table("fills", Fill, (*BOOK, "fill_id"), (*BOOK, "session"))
BOOK_EVENTS = Table("book_events", BookEvent, (*BOOK, "event_id"), (*BOOK, "session"))
TRADES = Table("trades", Trade, (*BOOK, "trade_id"), (*BOOK, "closed_session"))
POSITIONS = Table("positions", Position, (*BOOK, "session", "symbol"), (*BOOK, "session"))
PORTFOLIO = Table("portfolio", Portfolio, (*BOOK, "session"), (*BOOK, "session"))
PERFORMANCE = Table("performance", Performance, BOOK, BOOK, wall_clock=("computed_at",))
COVERAGE = Table(
    "coverage",
    Coverage,
    ("asset", "strategy", "symbol", "session"),
    ("asset", "strategy", "symbol", "session"),
)
SYMBOLS = Table("symbols", Listing, ("con_id",), ("con_id",), wall_clock=("recorded_at",))

ACCOUNT = Table(
    "account",
    Account,
    ("account", "session"),
    ("account", "session"),
    wall_clock=("recorded_at",),
)
ACCOUNT_POSITIONS = Table(
    "account_positions",
    AccountPosition,
    ("account", "session", "symbol", "con_id"),
    ("account", "session"),
)

TABLES = (
    BARS,
    CORPORATE_ACTIONS,
    INDICATORS,
    CHARTS,
    SIGNALS,
    ORDERS,
    ORDER_EVENTS,
    FILLS,
    BOOK_EVENTS,
    TRADES,
    POSITIONS,
    PORTFOLIO,
    PERFORMANCE,
    SIGNAL_OUTCOMES,
    COVERAGE,
    SYMBOLS,
    ACCOUNT,
    ACCOUNT_POSITIONS,
)
