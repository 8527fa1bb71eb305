"""What indicators cost: 500 symbols over ten years, ours and plain pandas-ta.

``python -m benchmarks.indicators`` prints processor time, so that a busy machine matters
little. pandas-ta is called per symbol with TA-Lib switched on, as its users do; it is
measured on a part of the symbols and scaled up, in the same run.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from time import process_time
from typing import Any

import numpy as np
import pandas as pd
import pandas_ta

from trading_assets.core.indicators import compute_indicators, indicators_as_of
from trading_assets.core.panel import Panel
from trading_assets.models.tables import CORPORATE_ACTIONS
from trading_assets.sessions import trading_calendar

SYMBOLS = 500
SESSIONS = 2_520
SAMPLED_SYMBOLS = 20
LAST_DAY = date(2024, 6, 28)
ROUNDS = 3
THEIRS: Any = pandas_ta  # it does not say what it exports
TARGET_RATIO = 40.0
TARGET_SECONDS = 0.5

NAMES = (
    "sma_20",
    "sma_50",
    "sma_200",
    "ema_12",
    "ema_26",
    "rsi_14",
    "macd_12_26_9",
    "bb_20_2",
    "atr_14",
    "supertrend_10_3",
    "adx_14",
    "stoch_14_3_3",
    "obv",
)
"""19 outputs, and the two directions that come with ADX."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table.

    Attributes:
        cpu_seconds: For all symbols and sessions.
        target: What it should stay at or below, or reach; empty for what has none.
        is_met: None where there is no target.
    """

    name: str
    cpu_seconds: float
    target: str = ""
    is_met: bool | None = None


def run() -> list[Row]:
    """What the same outputs cost: pandas-ta, our pass over arrays, our table of a range."""
    bars = _market()
    panel = Panel.of(bars, CORPORATE_ACTIONS.empty())
    first, last = bars["session"].iloc[0].date(), bars["session"].iloc[-1].date()
    calendar = trading_calendar()
    names = [name for name in NAMES if name != "obv"]
    no_actions = CORPORATE_ACTIONS.empty()

    ours = _best(lambda: compute_indicators(panel, NAMES))
    table = _best(lambda: indicators_as_of(bars, no_actions, first, last, names, calendar))
    sample = [own for _, own in bars.groupby("symbol", sort=False)][:SAMPLED_SYMBOLS]
    _plain(sample[0])  # what it compiles on its first call is not counted
    plain = _best(lambda: [_plain(own) for own in sample], rounds=1)
    plain *= SYMBOLS / SAMPLED_SYMBOLS
    ratio = plain / ours
    return [
        Row(f"pandas-ta per symbol ({SAMPLED_SYMBOLS} symbols, scaled)", plain),
        Row(
            "compute_indicators",
            ours,
            f"at most {TARGET_SECONDS} s",
            ours <= TARGET_SECONDS,
        ),
        Row(
            f"... {ratio:.0f} x less than pandas-ta",
            ours,
            f"at least {TARGET_RATIO:.0f} x",
            ratio >= TARGET_RATIO,
        ),
        Row("indicators_as_of, a table of the range", table, "at most 1 s", table <= 1),
    ]


def main() -> None:
    """Print the table."""
    print(f"Indicators, {SYMBOLS} symbols x {SESSIONS:,} sessions, 19 outputs")
    for row in run():
        verdict = {None: "", True: "met", False: "MISSED"}[row.is_met]
        print(f"  {row.name:<46}{row.cpu_seconds:8.3f} s  {row.target:<14}{verdict}")


def _best(work: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Processor seconds of the quickest of *rounds* calls."""
    seconds: list[float] = []
    for _ in range(rounds):
        start = process_time()
        work()
        seconds.append(process_time() - start)
    return min(seconds)


def _market() -> pd.DataFrame:
    calendar = trading_calendar()
    end = calendar.position(LAST_DAY) + 1
    days = np.array(calendar.sessions[end - SESSIONS : end], dtype="datetime64[ns]")
    draw = np.random.default_rng(1)
    shape = SYMBOLS, SESSIONS
    close = 50 * np.exp(np.cumsum(draw.standard_t(4, shape) * 0.012, axis=1))
    opens = close * np.exp(draw.normal(0, 0.004, shape))
    reach = np.abs(draw.normal(0, 0.006, (2, *shape)))
    names = np.array([f"S{number:03}" for number in range(SYMBOLS)], dtype=object)
    columns = {
        "open": opens,
        "high": np.maximum(opens, close) * np.exp(reach[0]),
        "low": np.minimum(opens, close) * np.exp(-reach[1]),
        "close": close,
        "volume": np.floor(draw.lognormal(14, 0.5, shape)),
    }
    return pd.DataFrame(
        {"symbol": np.repeat(names, SESSIONS), "session": np.tile(days, SYMBOLS)}
        | {name: values.ravel() for name, values in columns.items()}
    )


def _plain(bars: pd.DataFrame) -> pd.DataFrame:
    """The same outputs as one would write them with pandas-ta alone."""
    high, low, close = bars["high"], bars["low"], bars["close"]
    return pd.concat(
        [
            *(THEIRS.sma(close, length, talib=True) for length in (20, 50, 200)),
            *(THEIRS.ema(close, length, talib=True) for length in (12, 26)),
            THEIRS.rsi(close, 14, talib=True),
            THEIRS.macd(close, 12, 26, 9, talib=True),
            THEIRS.bbands(close, 20, 2, 2, ddof=0, talib=True),
            THEIRS.atr(high, low, close, 14, talib=True),
            THEIRS.supertrend(high, low, close, length=10, multiplier=3.0),
            THEIRS.adx(high, low, close, 14, talib=True),
            THEIRS.stoch(high, low, close, 14, 3, 3, talib=True),
            THEIRS.obv(close, bars["volume"], talib=True),
        ],
        axis=1,
    )


if __name__ == "__main__":
    main()
