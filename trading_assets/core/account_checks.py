"""An account held against our own books: shares, and what a day has earned."""

import pandas as pd

from trading_assets.core.order_states import SHARE_TOLERANCE

LEAST_DIFFERENCE = 1.0
"""Account currency: below it, nobody minds."""

MARKS_FRAC = 0.001
"""Of the positions' worth: the broker marks at last prices, we mark at closes."""


def unexplained_positions(positions: pd.DataFrame) -> pd.DataFrame:
    """`account_positions` rows of which the broker holds other than we expect.

    Returns:
        ``account``, ``session``, ``symbol``, ``shares``, ``expected_shares``.
    """
    away = (positions["shares"] - positions["expected_shares"]).abs()
    columns = ["account", "session", "symbol", "shares", "expected_shares"]
    return positions.loc[away > SHARE_TOLERANCE, columns]


def pnl_differences(
    account: pd.DataFrame, portfolio: pd.DataFrame, accounts: "pd.Series[str]"
) -> pd.DataFrame:
    """Sessions of which broker and books tell another profit of the day.

    Of an account in which anything else is held the two can't be compared; so of a first
    session, or where the broker did not say.

    Args:
        account: `account` rows.
        portfolio: `portfolio` rows of every strategy traded there, the session before the
            first of *account* included.
        accounts: Where each strategy is traded, by its name.

    Returns:
        ``account``, ``session``, ``daily_pnl``, ``ours`` and ``difference``, one row per
        fault.
    """
    ordered = portfolio.sort_values("session")
    change = ordered.groupby("strategy")["equity"].diff()
    days = ordered.assign(ours=change, account=ordered["strategy"].map(accounts))
    ours = (
        days.dropna(subset=["ours"])
        .groupby(["account", "session"])["ours"]
        .sum()
        .reset_index()
    )
    both = account.merge(ours, on=["account", "session"]).dropna(subset=["daily_pnl"])
    difference = both["daily_pnl"] - both["ours"]
    worth = both["gross_position_value"].fillna(0.0).abs()
    allowed = (worth * MARKS_FRAC).clip(lower=LEAST_DIFFERENCE)
    found = both.assign(difference=difference)[difference.abs() > allowed]
    return found[["account", "session", "daily_pnl", "ours", "difference"]]
