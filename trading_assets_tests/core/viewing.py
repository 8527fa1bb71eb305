"""Views for tests: closes per symbol, one per day from `FIRST` on."""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta

import pandas as pd

from trading_assets.core.panel import Panel
from trading_assets.core.views import Views, views_of

FIRST = date(2024, 1, 2)

type Closes = Mapping[str, Sequence[float]]
type Columns = Mapping[str, Mapping[str, Sequence[float | None]]]


def day(number: int) -> date:
    """The day with this *number*, counted from 0."""
    return FIRST + timedelta(days=number)


def make_panel(
    closes: Closes, splits: Mapping[tuple[str, int], float] | None = None
) -> Panel:
    """Bars with a high 1 above and a low 1 below the close, and 100 shares a day.

    Args:
        splits: New shares per old one, by symbol and number of the day.
    """
    bars = pd.DataFrame(
        [
            (symbol, day(n), close, close + 1, close - 1, close, 100.0)
            for symbol, each in closes.items()
            for n, close in enumerate(each)
        ],
        columns=["symbol", "session", "open", "high", "low", "close", "volume"],
    ).astype({"session": "datetime64[ns]"})
    actions = pd.DataFrame(
        [(s, day(n), "split", ratio) for (s, n), ratio in (splits or {}).items()],
        columns=["symbol", "ex_session", "kind", "value"],
    ).astype({"ex_session": "datetime64[ns]"})
    return Panel.of(bars, actions)


def make_indicators(columns: Columns) -> pd.DataFrame:
    """`indicators` rows: per symbol, columns with one value per day."""
    return pd.concat(
        [
            pd.DataFrame(own, dtype="float64").assign(
                symbol=symbol,
                session=lambda frame: pd.to_datetime([day(n) for n in range(len(frame))]),
            )
            for symbol, own in columns.items()
        ]
        or [pd.DataFrame({"symbol": [], "session": pd.to_datetime([])})],
        ignore_index=True,
    )


def make_views(
    closes: Sequence[float] | Closes,
    columns: Mapping[str, Sequence[float | None]] | None = None,
) -> Views:
    """Views of all days; with a plain list of *closes*, of the one symbol AAA."""
    if isinstance(closes, Mapping):
        symbols, indicators = closes, {}
    else:
        symbols, indicators = {"AAA": closes}, {"AAA": columns or {}}
    frame = make_indicators(indicators if columns else {})
    return views_of(make_panel(symbols), frame, day(0), day(9_999))
