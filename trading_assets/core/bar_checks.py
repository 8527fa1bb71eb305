"""What is wrong with bars: gaps, bars that can't be, and jumps that nothing explains.

The frames that these functions return are short and fit to be shown to a person.
"""

from collections.abc import Sequence
from datetime import date

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from trading_assets.core.panel import FIELDS, Panel
from trading_assets.models.bar import CoverageStatus

JUMP_THRESHOLD_FRAC = 0.35
BARS_ASSET = "bars"


def unexplained_gaps(
    coverage: pd.DataFrame, symbols: Sequence[str], sessions: Sequence[date]
) -> pd.DataFrame:
    """Partitions of bars of which nothing is known: the step that makes them never ran.

    Args:
        coverage: `coverage` rows, also of other assets, symbols and sessions.
        symbols: Which should be there.
        sessions: Which should be there.

    Returns:
        ``symbol``, ``session``: one row per missing partition, in that order.
    """
    known = coverage.loc[coverage["asset"] == BARS_ASSET, ["symbol", "session"]]
    wanted = _partitions(symbols, sessions)
    found = wanted.merge(known.drop_duplicates(), how="left", indicator=True)
    is_unknown = found["_merge"] == "left_only"
    return found.loc[is_unknown, ["symbol", "session"]].reset_index(drop=True)


def explained_gaps(
    coverage: pd.DataFrame, symbols: Sequence[str], sessions: Sequence[date]
) -> pd.DataFrame:
    """Partitions without a bar whose coverage says why, neighbours in one row.

    Args:
        coverage: `coverage` rows, also of other assets, symbols and sessions.
        symbols: Which to look at.
        sessions: Which to look at, consecutive.

    Returns:
        ``symbol``, ``status``, ``first_session``, ``last_session``, ``sessions`` (how
        many), ``reason``: one row per run of sessions with the same status and reason,
        ordered by symbol and session.
    """
    own = coverage.loc[coverage["asset"] == BARS_ASSET]
    told = _partitions(symbols, sessions).merge(own, how="left")
    is_new = pd.Series(data=False, index=told.index)
    for column in ("symbol", "status", "reason"):
        is_new |= told[column] != told[column].shift()
    told["run"] = is_new.cumsum()
    gaps = told[told["status"].notna() & (told["status"] != CoverageStatus.OK)]
    runs = gaps.groupby("run", sort=True).agg(
        symbol=("symbol", "first"),
        status=("status", "first"),
        first_session=("session", "first"),
        last_session=("session", "last"),
        sessions=("session", "size"),
        reason=("reason", "first"),
    )
    return runs.reset_index(drop=True)


def vanished_bars(bars: pd.DataFrame, coverage: pd.DataFrame) -> pd.DataFrame:
    """Partitions that coverage calls ``ok`` and that have no bar all the same.

    Args:
        bars: `bars` rows of the same symbols and sessions as *coverage*.
        coverage: `coverage` rows, also of other assets.

    Returns:
        ``symbol``, ``session``: one row per lost bar, in that order.
    """
    is_promised = (coverage["asset"] == BARS_ASSET) & (
        coverage["status"] == CoverageStatus.OK
    )
    promised = coverage.loc[is_promised, ["symbol", "session"]]
    found = promised.merge(bars[["symbol", "session"]], how="left", indicator=True)
    lost = found.loc[found["_merge"] == "left_only", ["symbol", "session"]]
    return lost.sort_values(["symbol", "session"], ignore_index=True)


def inconsistent_bars(bars: pd.DataFrame) -> pd.DataFrame:
    """Bars that can't be.

    Args:
        bars: `bars` rows of any symbols, in any order.

    Returns:
        ``symbol``, ``session``, open to volume, and ``problem`` in words; ordered by
        symbol and session.
    """
    is_wrong = are_inconsistent(bars[list(FIELDS)].to_numpy(dtype=np.float64))
    wrong = bars.loc[is_wrong, ["symbol", "session", *FIELDS]]
    wrong = wrong.sort_values(["symbol", "session"], ignore_index=True)
    values = wrong[list(FIELDS)].to_numpy(dtype=np.float64).tolist()
    wrong["problem"] = [", ".join(inconsistencies(*row)) for row in values]
    return wrong


def suspicious_jumps(
    bars: pd.DataFrame,
    actions: pd.DataFrame,
    threshold_frac: float = JUMP_THRESHOLD_FRAC,
) -> pd.DataFrame:
    """Closes far from the close before, which no split and no spin-off explains.

    The close before is brought to the scale of the later one, so that a split is seen
    through, and a split that the prices never made shows as a jump of its own.

    Args:
        bars: `bars` rows. The first bar of each symbol is compared with nothing: give
            the bar before the range you ask about too.
        actions: All `corporate_actions` rows of their symbols.
        threshold_frac: Change of the close beyond which it is suspicious, above 0.

    Returns:
        ``symbol``, ``session``, ``close``, ``previous_session``, ``previous_close`` (in
        the scale of *session*), ``change_frac``; ordered by symbol and session.
    """
    panel = Panel.of(bars, actions)
    previous = np.arange(len(panel.sessions)) - 1
    step = panel.price_ratio / panel.price_ratio[previous]
    before = panel.close[previous] / step
    change_frac = panel.close / before - 1
    change_frac[panel.offsets[:-1]] = 0.0
    at = np.flatnonzero(np.abs(change_frac) > threshold_frac)
    symbols = np.repeat(np.array(panel.symbols, dtype=object), np.diff(panel.offsets))
    return pd.DataFrame(
        {
            "symbol": symbols[at],
            "session": panel.sessions[at].astype("datetime64[ns]"),
            "close": panel.close[at],
            "previous_session": panel.sessions[previous[at]].astype("datetime64[ns]"),
            "previous_close": before[at],
            "change_frac": change_frac[at],
        }
    )


def are_inconsistent(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether each bar can't be: exactly then `inconsistencies` finds something.

    Args:
        values: `FIELDS` of one bar per row.
    """
    open_, high, low, close, volume = values.T
    is_possible = (
        np.isfinite(values).all(axis=1)
        & (values[:, :4] > 0).all(axis=1)
        & (volume >= 0)
        & (low <= np.minimum(open_, close))
        & (high >= np.maximum(open_, close))
    )
    return ~is_possible


def inconsistencies(
    open_: float, high: float, low: float, close: float, volume: float
) -> list[str]:
    """What is wrong with a bar, in words; nothing if it may be right.

    Args:
        open_: Currency per share, as are *high*, *low* and *close*.
        volume: Shares.
    """
    prices = {"open": open_, "high": high, "low": low, "close": close}
    cells = prices | {"volume": volume}
    problems = [
        f"{name} must be a number" for name, cell in cells.items() if not np.isfinite(cell)
    ]
    problems += [
        f"{name} must be above 0, is {price:g}"
        for name, price in prices.items()
        if price <= 0
    ]
    if volume < 0:
        problems.append(f"volume must not be below 0, is {volume:g}")
    for name in ("open", "close"):
        if prices[name] < low:
            problems.append(f"low {low} is above {name} {prices[name]}")
        if prices[name] > high:
            problems.append(f"high {high} is below {name} {prices[name]}")
    if high < low:
        problems.append(f"high {high} is below low {low}")
    return problems


def _partitions(symbols: Sequence[str], sessions: Sequence[date]) -> pd.DataFrame:
    names = sorted(set(symbols))
    days = np.array(sorted(set(sessions)), dtype="datetime64[ns]")
    return pd.DataFrame(
        {
            "symbol": np.repeat(np.array(names, dtype=object), len(days)),
            "session": np.tile(days, len(names)),
        }
    )
