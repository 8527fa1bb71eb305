"""Books held against the fills and events that should explain them.

Written apart from the walk: it sums what was recorded, and knows nothing of how it came.
"""

import pandas as pd

from trading_assets.models.base import Side

CENT = 0.005
"""Half of the smallest difference that is one."""


def cash_differences(
    portfolio: pd.DataFrame, fills: pd.DataFrame, book_events: pd.DataFrame, capital: float
) -> pd.DataFrame:
    """Sessions whose cash is not capital + fills - commissions + book events.

    Args:
        portfolio: `portfolio` rows of one book, any sessions of it.
        fills: All `fills` of that book up to the last of these sessions.
        book_events: All its `book_events` up to then.
        capital: What the book started with, account currency.

    Returns:
        ``session``, ``cash``, ``explained`` and ``difference``, one row per fault.
    """
    moved = pd.concat(
        [
            pd.Series(-_signed(fills) * fills["price"] - fills["commission"])
            .groupby(fills["session"])
            .sum(),
            book_events.groupby("session")["cash"].sum(),
        ]
    )
    by_session = moved.groupby(level=0).sum().sort_index().cumsum()
    explained = capital + _as_of(by_session, portfolio["session"])
    found = portfolio[["session", "cash"]].assign(explained=explained)
    found["difference"] = found["cash"] - found["explained"]
    return found[found["difference"].abs() > CENT]


def began_with(
    portfolio: pd.DataFrame, cash_faults: pd.DataFrame, capital: float
) -> float | None:
    """Another capital than *capital*, if that alone explains what `cash_differences` found.

    Args:
        portfolio: `portfolio` rows of which the cash was explained.
        cash_faults: What was found in them.
        capital: What they were held against, account currency.
    """
    difference = cash_faults["difference"]
    if not len(portfolio) or len(difference) < len(portfolio):
        return None
    shift = float(difference.iloc[0])
    return capital + shift if (difference - shift).abs().max() <= CENT else None


def share_differences(
    positions: pd.DataFrame, fills: pd.DataFrame, book_events: pd.DataFrame
) -> pd.DataFrame:
    """Symbols whose shares at the last session are not what fills and events add up to.

    Args:
        positions: `positions` rows of one book at one session.
        fills: All `fills` of that book through that session.
        book_events: All its `book_events` through that session.

    Returns:
        ``symbol``, ``shares``, ``explained``, one row per fault.
    """
    moved = pd.concat(
        [
            pd.Series(_signed(fills)).groupby(fills["symbol"]).sum(),
            book_events.groupby("symbol")["shares_delta"].sum(),
        ]
    )
    explained = moved.groupby(level=0).sum().rename("explained")
    held = positions.set_index("symbol")["shares"]
    both = pd.concat([held, explained], axis=1).fillna(0).astype("int64")
    wrong = both[both["shares"] != both["explained"]]
    return wrong.rename_axis("symbol").sort_index().reset_index()


def equity_differences(portfolio: pd.DataFrame, positions: pd.DataFrame) -> pd.DataFrame:
    """Sessions whose equity is not cash plus what the positions are worth.

    Returns:
        ``session``, ``equity``, ``explained``, one row per fault.
    """
    worth = (positions["shares"] * positions["close"]).groupby(positions["session"]).sum()
    held = portfolio["session"].map(worth).fillna(0.0)
    found = portfolio[["session", "equity"]].assign(explained=portfolio["cash"] + held)
    return found[(found["equity"] - found["explained"]).abs() > CENT]


def _signed(fills: pd.DataFrame) -> "pd.Series[int]":
    shares = fills["shares"]
    return shares.where(fills["side"] == Side.BUY.value, -shares).astype("int64")


def _as_of(
    by_session: "pd.Series[float]", sessions: "pd.Series[pd.Timestamp]"
) -> "pd.Series[float]":
    """The last value at or before each of *sessions*; 0 before the first."""
    at = by_session.index.searchsorted(sessions, side="right")
    padded = [0.0, *by_session.tolist()]
    return pd.Series([padded[i] for i in at], index=sessions.index)
