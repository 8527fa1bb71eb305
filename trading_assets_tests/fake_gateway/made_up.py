"""Bars that never were, to try a client against by hand."""

from datetime import date

import numpy as np
import pandas as pd

SESSIONS = 504
MINUTES = 390
DAILY_MOVE = 0.012
MINUTE_MOVE = 0.0004
SHARES_PER_SESSION = 1_000_000.0


def made_up_bars(seed: int, price: float, last: date) -> pd.DataFrame:
    """Sessions up to *last*, which closes at *price*; the same for the same *seed*."""
    days = pd.bdate_range(end=last, periods=SESSIONS)
    steps = np.random.default_rng(seed).normal(0.0, DAILY_MOVE, (SESSIONS, 4))
    close = price * np.exp(np.cumsum(steps[:, 0]) - steps[:, 0].sum())
    opened = close * np.exp(steps[:, 1] / 2)
    body = np.stack([opened, close])
    return pd.DataFrame(
        {
            "open": opened,
            "high": body.max(axis=0) * (1 + np.abs(steps[:, 2]) / 2),
            "low": body.min(axis=0) * (1 - np.abs(steps[:, 3]) / 2),
            "close": close,
            "volume": SHARES_PER_SESSION,
        },
        index=days,
    ).round(2)


def made_up_minutes(seed: int, bars: pd.DataFrame, sessions: int = 5) -> pd.DataFrame:
    """The minutes of the last *sessions* of *bars*, from their open to their close."""
    days = pd.DatetimeIndex(bars.tail(sessions).index)
    return pd.concat([_minutes_of(seed, on, pd.Series(bars.loc[on])) for on in days])


def _minutes_of(seed: int, on: pd.Timestamp, bar: pd.Series) -> pd.DataFrame:
    start = on.replace(hour=9, minute=30).tz_localize("US/Eastern").tz_convert("UTC")
    noise = np.random.default_rng(seed).normal(0.0, MINUTE_MOVE, MINUTES).cumsum()
    path = np.linspace(bar["open"], bar["close"], MINUTES) * (1 + noise - noise[-1])
    close = path.clip(bar["low"], bar["high"]).round(2)
    opened = np.concatenate([[bar["open"]], close[:-1]])
    body = np.stack([opened, close])
    return pd.DataFrame(
        {
            "open": opened,
            "high": body.max(axis=0),
            "low": body.min(axis=0),
            "close": close,
            "volume": bar["volume"] // MINUTES,
        },
        index=pd.date_range(start, periods=MINUTES, freq="min"),
    )
