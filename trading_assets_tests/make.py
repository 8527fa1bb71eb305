"""Valid values for tests: name only what a test is about.

A market is written as candles per symbol, one per session from `FIRST` on; days are
numbered from 0, and None is a session without a bar.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any, NamedTuple

import pandas as pd

from trading_assets.core.filling import Ticket
from trading_assets.core.market_days import MarketDays, market_days
from trading_assets.models.order import Leg, OrderType, TimeInForce
from trading_assets.models.signal import Signal
from trading_assets.models.tables import BARS, CORPORATE_ACTIONS, SIGNALS
from trading_assets.sessions import trading_calendar
from trading_assets.strategies.spec import StrategySpec

type OHLC = tuple[float, float, float, float]
type Candles = Mapping[str, Sequence[OHLC | None]]

FIRST = date(2024, 1, 2)
"""A Tuesday, and the first session of its year."""

REFERENCE: Mapping[str, Any] = {
    "name": "reference",
    "universe": ("AAA",),
    "start": FIRST,
    "analyst": {"kind": "rules", "rule": "sma_cross", "fast": 10, "slow": 50},
    "sizing": {"kind": "fixed_shares", "shares": 100},
    "risk": {
        "min_risk_reward": 0,
        "min_profit_frac": 0,
        "max_positions": None,
        "max_weight_frac": None,
        "cash_check": False,
    },
    "execution": {"broker": "simulated", "order": "market_next_open", "bracket": False},
    "costs": {"commission": "none", "slippage_bps": 0, "dividends": "ignore"},
}
"""The strategy against which everything is checked from outside."""

MERGED = ("risk", "execution", "costs")
"""Sections of which a test names single keys."""


class Said(NamedTuple):
    """An analyst's view of *symbol* at the close of day number *day*."""

    day: int
    symbol: str
    action: str | None
    score: float | None = 50.0
    entry: float | None = None
    stop: float | None = None
    target: float | None = None


class Happened(NamedTuple):
    """A corporate action before the open of day number *day*."""

    day: int
    symbol: str
    kind: str
    value: float


def flat(price: float) -> OHLC:
    """A candle that never moved."""
    return (price, price, price, price)


def make_sessions(count: int, first: date = FIRST) -> tuple[date, ...]:
    """*count* sessions from *first* on."""
    calendar = trading_calendar()
    at = calendar.position(first)
    return calendar.sessions[at : at + count]


def make_bars(candles: Candles, *, first: date = FIRST) -> pd.DataFrame:
    """`bars` rows of *candles*."""
    sessions = make_sessions(_days(candles), first)
    rows = [
        (symbol, session, *candle)
        for symbol, own in candles.items()
        for session, candle in zip(sessions, own, strict=False)
        if candle is not None
    ]
    frame = pd.DataFrame(
        rows, columns=["symbol", "session", "open", "high", "low", "close"]
    )
    recorded_at = datetime(2024, 1, 1, tzinfo=UTC)
    return BARS.conform(frame.assign(volume=1e6, source="test", recorded_at=recorded_at))


def make_actions(happened: Iterable[Happened], *, first: date = FIRST) -> pd.DataFrame:
    """`corporate_actions` rows of what *happened*."""
    listed = list(happened)
    sessions = make_sessions(1 + max((it.day for it in listed), default=0), first)
    rows = [(it.symbol, sessions[it.day], it.kind, it.value) for it in listed]
    frame = pd.DataFrame(rows, columns=["symbol", "ex_session", "kind", "value"])
    return CORPORATE_ACTIONS.conform(frame.assign(source="test"))


def make_signals(said: Iterable[Said], *, first: date = FIRST) -> pd.DataFrame:
    """`signals` rows of what was *said*."""
    listed = list(said)
    sessions = make_sessions(1 + max((it.day for it in listed), default=0), first)
    rows = [
        {
            "strategy": "reference",
            "symbol": it.symbol,
            "session": sessions[it.day],
            "action": it.action,
            "confidence": None if it.action is None else "MEDIUM",
            "confidence_score": it.score,
            "entry": it.entry,
            "stop_loss": it.stop,
            "take_profit": it.target,
            "risk_reward": None,
            "reasoning": "",
            "analyst": "rules:test",
            "model": "",
            "prompt_version": "",
            "call_id": "",
            "cost_usd": 0.0,
            "input_tokens": 0,
            "output_tokens": 0,
            "latency_seconds": 0.0,
            "is_abstention": it.action is None,
            "is_out_of_sample": True,
            "inputs_hash": "",
        }
        for it in listed
    ]
    return SIGNALS.conform(pd.DataFrame(rows, columns=list(SIGNALS.columns)))


def make_days(
    candles: Candles,
    *,
    said: Iterable[Said] = (),
    happened: Iterable[Happened] = (),
    volatility: pd.DataFrame | None = None,
    trust: pd.DataFrame | None = None,
    first: date = FIRST,
    walked: slice = slice(None),
) -> MarketDays:
    """What the walk looks at; *walked* cuts a part out of its days."""
    return market_days(
        sessions=make_sessions(_days(candles), first)[walked],
        symbols=list(candles),
        bars=make_bars(candles, first=first),
        actions=make_actions(happened, first=first),
        signals=make_signals(said, first=first),
        volatility=volatility,
        trust=trust,
        calendar=trading_calendar(),
    )


def make_signal(**changes: Any) -> Signal:
    """A model's opinion of one symbol."""
    plain: dict[str, Any] = {
        "strategy": "made",
        "symbol": "AAA",
        "session": FIRST,
        "action": "BUY",
        "confidence": "MEDIUM",
        "confidence_score": 60.0,
        "entry": 10.0,
        "stop_loss": 9.0,
        "take_profit": 12.0,
        "risk_reward": 2.0,
        "reasoning": "It rises.",
        "analyst": "llm",
        "model": "some-model",
        "prompt_version": "p1",
        "call_id": "call-1",
        "cost_usd": 0.01,
        "input_tokens": 4000,
        "output_tokens": 500,
        "latency_seconds": 2.5,
        "is_abstention": False,
        "is_out_of_sample": True,
        "inputs_hash": "0123",
    }
    return Signal.model_validate({**plain, **changes})


def make_spec(**changes: Any) -> StrategySpec:
    """The reference strategy with *changes*; risk, execution and costs key by key."""
    merged = {
        section: {**REFERENCE[section], **changes.pop(section, {})} for section in MERGED
    }
    return StrategySpec(**{**REFERENCE, **changes, **merged})


def make_ticket(leg: Leg = Leg.ENTRY, sign: int = 1, **changes: Any) -> Ticket:
    """An order for 10 shares of AAA; its type follows from the prices it names."""
    limit, stop = changes.pop("limit", None), changes.pop("stop", None)
    symbol = changes.get("symbol", "AAA")
    given: dict[str, Any] = {
        "order_id": f"reference-{symbol}-{leg.value}",
        "symbol": symbol,
        "shares": 10,
        "order_type": ORDER_TYPES[limit is not None, stop is not None],
        "tif": TimeInForce.GTC if leg in {Leg.STOP, Leg.TARGET} else TimeInForce.DAY,
    }
    return Ticket(
        leg=leg, sign=sign, limit_price=limit, stop_price=stop, **{**given, **changes}
    )


ORDER_TYPES = {
    (False, False): OrderType.MARKET,
    (True, False): OrderType.LIMIT,
    (False, True): OrderType.STOP,
    (True, True): OrderType.STOP_LIMIT,
}


def _days(candles: Candles) -> int:
    return max((len(own) for own in candles.values()), default=0)
