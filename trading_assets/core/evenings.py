"""Which sessions an evening still has to make."""

from collections.abc import Iterable
from datetime import date

import pandas as pd

from trading_assets.models.bar import CoverageStatus
from trading_assets.sessions import TradingCalendar

LATE_SESSIONS = 10
"""How far back a market run asks again for bars that were not there in time."""


def to_make(
    calendar: TradingCalendar, start: date, made: Iterable[date], last_closed: date
) -> tuple[date, date] | None:
    """From the session after the last one made to the last one that closed.

    Args:
        calendar: Of the exchange.
        start: First session there may be.
        made: Sessions that are there, in any order.
        last_closed: The last session whose close has passed.

    Returns:
        First and last session, or None if nothing is left to make.
    """
    latest = max(made, default=None)
    first = start if latest is None else max(start, calendar.offset(latest, 1))
    return (first, last_closed) if first <= last_closed else None


def market_to_make(
    calendar: TradingCalendar,
    start: date,
    symbols: Iterable[str],
    coverage: pd.DataFrame,
    last_closed: date,
) -> tuple[date, date] | None:
    """As `to_make`, from the symbol that is furthest behind.

    When there is a new session to make, gaps of the last few are asked about again: their
    bars may have come late. A symbol of which nothing is known gets its whole history.

    Args:
        calendar: Of the exchange.
        start: First session of the market.
        symbols: Those that there should be bars of.
        coverage: `coverage` rows of bars: columns symbol, session and status.
        last_closed: The last session whose close has passed.
    """
    told = coverage.groupby("symbol")["session"].max().reindex(list(symbols))
    if told.isna().any():
        return to_make(calendar, start, (), last_closed)
    missing = to_make(calendar, start, [told.min().date()], last_closed)
    if missing is None:
        return None
    since = calendar.offset(missing[0], -LATE_SESSIONS)
    is_late = (coverage["session"] >= pd.Timestamp(max(since, start))) & coverage[
        "status"
    ].isin([CoverageStatus.MISSING.value, CoverageStatus.ENDED.value])
    late = coverage.loc[is_late, "session"]
    return (min(missing[0], late.min().date()) if len(late) else missing[0], last_closed)
