"""Panels of one symbol for tests of charts."""

from datetime import date
from typing import Any

import numpy as np
import pandas as pd

from trading_assets.core.panel import Panel

DEFAULT_CHART = (
    "sma_20",
    "sma_50",
    "sma_200",
    "bb_20_2",
    "volume",
    "rsi_14",
    "macd_12_26_9",
)


def walk(
    count: int,
    *,
    price: float = 40.0,
    step_frac: float = 0.02,
    volume: float = 1e6,
    seed: int = 1,
    symbol: str = "AAA",
    end: str = "2024-05-15",
) -> Panel:
    """*count* weekdays of a random walk up to *end*, ending at *price*."""
    random = np.random.default_rng(seed)
    last = np.datetime64(end)
    days = np.arange(last - 2 * count - 7, last + 1)
    days = days[np.is_busday(days)][-count:]
    steps = np.cumsum(random.standard_t(4, count) * step_frac)
    close = price * np.exp(steps - steps[-1])
    opened = np.r_[close[:1], close[:-1]]
    high = np.maximum(opened, close) * np.exp(abs(random.normal(0, step_frac / 3, count)))
    low = np.minimum(opened, close) * np.exp(-abs(random.normal(0, step_frac / 3, count)))
    volumes = np.floor(volume * np.exp(random.normal(0, 0.5, count)))
    return panel_of(days, opened, high, low, close, volumes, symbol=symbol)


def panel_of(days: Any, *fields: Any, symbol: str = "AAA") -> Panel:
    """Bars with *fields* open, high, low, close and volume, and no corporate action."""
    sessions = np.asarray(days, dtype="datetime64[D]")
    values = [np.asarray(field, dtype=np.float64) for field in fields]
    ones = np.ones(len(sessions))
    offsets = np.array([0, len(sessions)])
    return Panel((symbol,), offsets, sessions, *values, ones, ones)


def bars_of(panel: Panel) -> pd.DataFrame:
    """The `bars` rows that a panel of one symbol was made from."""
    fields = ("open", "high", "low", "close", "volume")
    frame = pd.DataFrame({field: getattr(panel, field) for field in fields})
    sessions = panel.sessions.astype("datetime64[ns]")
    return frame.assign(symbol=panel.symbols[0], session=sessions)


def actions_of(*rows: tuple[str, date, str, float]) -> pd.DataFrame:
    """`corporate_actions` rows: symbol, first session without it, kind and value."""
    frame = pd.DataFrame(list(rows), columns=["symbol", "ex_session", "kind", "value"])
    return frame.assign(ex_session=frame["ex_session"].astype("datetime64[ns]"))
