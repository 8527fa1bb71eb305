"""Markets for tests of indicators: seeded walks, splits, and the sample data."""

import os
from collections.abc import Iterable
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from trading_assets.core.panel import FIELDS, Panel
from trading_assets.models.tables import CORPORATE_ACTIONS
from trading_assets.sessions import trading_calendar

LAST = date(2024, 6, 28)
SAMPLES = Path(
    os.environ.get("TRADING_SAMPLE_DATA", Path(__file__).parents[2] / "../shared/data")
)
IS_LONG = os.environ.get("TRADING_TEST_PROFILE") == "long"

type Action = tuple[str, str, str, float]


def walk(
    seed: int, count: int, *, symbol: str = "AAA", last: date = LAST, drift: float = 0.0
) -> pd.DataFrame:
    """*count* daily bars up to *last* whose close walks at random."""
    calendar = trading_calendar()
    end = calendar.position(last)
    draw = np.random.default_rng(seed)
    close = 50 * np.exp(np.cumsum(drift + draw.standard_t(4, count) * 0.012))
    opens = np.r_[50.0, close[:-1]] * np.exp(draw.normal(0, 0.004, count))
    reach = np.abs(draw.normal(0, 0.006, (2, count)))
    days = calendar.sessions[end - count + 1 : end + 1]
    return pd.DataFrame(
        {
            "symbol": symbol,
            "session": pd.to_datetime(pd.Series(days)),
            "open": opens,
            "high": np.maximum(opens, close) * np.exp(reach[0]),
            "low": np.minimum(opens, close) * np.exp(-reach[1]),
            "close": close,
            "volume": np.floor(draw.lognormal(14, 0.5, count)),
        }
    )


def actions(rows: Iterable[Action] = ()) -> pd.DataFrame:
    """`corporate_actions` rows of (symbol, ex_session, kind, value)."""
    columns = ["symbol", "ex_session", "kind", "value"]
    return CORPORATE_ACTIONS.conform(
        pd.DataFrame(list(rows), columns=columns).assign(source="test")
    )


def as_traded(bars: pd.DataFrame, ex_session: str, ratio: float) -> pd.DataFrame:
    """*bars* of one scale as they were traded before a split of *ratio*."""
    before = bars["session"] < pd.Timestamp(ex_session)
    traded = bars.copy()
    traded.loc[before, list(FIELDS[:4])] *= ratio
    traded.loc[before, "volume"] /= ratio
    return traded


def panel(*bars: pd.DataFrame) -> Panel:
    """A panel of *bars* to which nothing happened."""
    return Panel.of(pd.concat(bars), actions())


def sample(symbol: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Bars and actions of *symbol* from the sample data; skips the test without them."""
    file = SAMPLES / "daily" / f"{symbol}.csv"
    if not file.exists():
        pytest.skip(f"no sample data at {SAMPLES}; set TRADING_SAMPLE_DATA")
    bars = pd.read_csv(file, parse_dates=["date"]).rename(columns={"date": "session"})
    happened = pd.read_csv(SAMPLES / "actions" / f"{symbol}.csv")
    rows = happened[["ex_date", "kind", "value"]].itertuples(index=False, name=None)
    return bars.assign(symbol=symbol), actions((symbol, *row) for row in rows)
