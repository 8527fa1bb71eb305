"""What every step writes beside its rows, and what the next one asks for before it starts.

A partition without a row may be as it should be: its symbol was not listed, its bar was
rejected. One without coverage was never made; the step after it waits, or fails by name.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date

import dagster as dg
import numpy as np
import pandas as pd

from trading_assets.adapters.storage.port import Between, Replacement, Warehouse
from trading_assets.defs.partitions import Requested
from trading_assets.errors import (
    DataMissing,
    GatewayUnreachable,
    MarketDataUnreadable,
    NoAnswer,
    OrdersPaused,
    OrderUnresolved,
    StoreBusy,
    ToolUnavailable,
)
from trading_assets.models.bar import CoverageStatus
from trading_assets.models.tables import COVERAGE
from trading_assets.sessions import LAST_DAY

OUTDATED = "outdated"
"""In the place of a version: made once, and of bars that have changed since."""

SAYS_OF_BARS = ("symbol", "session", "status", "content_hash")
RESTING = ["indicators", "signals"]
"""Assets whose rows are made from bars."""

OUT_OF_REACH = (
    StoreBusy,
    GatewayUnreachable,
    NoAnswer,
    OrdersPaused,
    OrderUnresolved,
    ToolUnavailable,
)
"""Held by others, or not to be heard just now: it may well be different in a minute."""

RETRIES = 3
FIRST_RETRY_SECONDS = 5
WAIT_TRIES = 8
WAIT_SECONDS = 45
SHOWN = 5


def covered(
    requested: Requested,
    rows: pd.DataFrame,
    *,
    asset: str,
    strategy: str = "",
    why: str,
    version: str = "",
) -> Replacement:
    """`coverage` of *requested*: ``ok`` where there is a row, else ``missing`` and *why*.

    Args:
        version: Of what was made, for those who need to know it is of today's.
    """
    partitions = requested.frame(asset=asset, strategy=strategy)
    found = set(_keys(rows))
    is_there = np.array([key in found for key in _keys(partitions)], dtype=bool)
    coverage = partitions.assign(
        rows=is_there.astype("int64"),
        status=np.where(is_there, CoverageStatus.OK.value, CoverageStatus.MISSING.value),
        reason=np.where(is_there, "", why),
        content_hash=version,
    )
    return Replacement(COVERAGE, partitions, coverage)


def outdated(warehouse: Warehouse, told: pd.DataFrame) -> Replacement:
    """`coverage` of what rests on bars that are about to change: to be made again.

    Once the new bars are stored nobody could tell that a change was one, so it is marked
    with them, for every strategy and to the end: whoever requires a version finds none.

    Args:
        warehouse: With the bars as they were.
        told: `coverage` rows of the bars that are about to be stored.
    """
    key, says = list(SAYS_OF_BARS[:2]), list(SAYS_OF_BARS[2:])
    bars = {"asset": "bars", "symbol": sorted(set(told["symbol"]))}
    within = {"session": Between(told["session"].min(), told["session"].max())}
    stored = (
        warehouse.read(COVERAGE, bars | within, columns=[*key, *says])
        if len(told)
        else COVERAGE.empty()[[*key, *says]]
    )
    both = told[[*key, *says]].merge(stored, how="left", on=key, suffixes=("", "_stored"))
    was = both[[f"{name}_stored" for name in says]].to_numpy()
    since = both[(both[says] != was).any(axis=1)].groupby("symbol")["session"].min()
    resting = COVERAGE.empty()
    if len(since):
        later = Between(since.min().date(), LAST_DAY)
        where = {"asset": RESTING, "symbol": list(since.index), "session": later}
        resting = warehouse.read(COVERAGE, where)
    changed = pd.to_datetime(resting["symbol"].map(since))
    is_touched = resting["session"] >= changed
    rows = resting[is_touched].assign(
        content_hash=OUTDATED,
        reason="bars have changed since " + changed[is_touched].dt.strftime("%Y-%m-%d"),
    )
    return Replacement(COVERAGE, rows[list(COVERAGE.partition)], rows)


def outdated_signals(
    warehouse: Warehouse, strategy: str, symbols: Sequence[str], first: date, last: date
) -> pd.Series:
    """The first session of a range from which signals rest on older bars, by symbol."""
    where = {
        "asset": "signals",
        "strategy": strategy,
        "symbol": list(symbols),
        "session": Between(first, last),
        "content_hash": OUTDATED,
    }
    marked = warehouse.read(COVERAGE, where, columns=["symbol", "session"])
    return marked.groupby("symbol")["session"].min().dt.date


def bars_told(
    warehouse: Warehouse, symbols: Sequence[str], window: Sequence[date]
) -> pd.DataFrame:
    """What was said of the bars of *window* when they were stored: of their content."""
    within = Between(window[0], window[-1])
    where = {"asset": "bars", "symbol": list(symbols), "session": within}
    return warehouse.read(COVERAGE, where, columns=list(SAYS_OF_BARS))


def replace_if_same(
    warehouse: Warehouse,
    symbols: Sequence[str],
    window: Sequence[date],
    as_read: pd.DataFrame,
    *replacements: Replacement,
) -> None:
    """Replace what was made from bars, unless they have changed since they were read.

    Else it would be stored over the mark that tells it is of the older ones.

    Args:
        as_read: What `bars_told` gave when the bars were read.

    Raises:
        StoreBusy: If they have changed: what was made is to be made again.
    """
    with warehouse.transaction():
        if not as_read.equals(bars_told(warehouse, symbols, window)):
            raise StoreBusy(
                f"bars from {window[0]} to {window[-1]} were changed while they were read"
            )
        warehouse.replace(*replacements)


def require(
    warehouse: Warehouse,
    requested: Requested,
    *,
    asset: str,
    strategy: str = "",
    symbols: tuple[str, ...] | None = None,
    window: Sequence[date] | None = None,
    version: str | None = None,
) -> None:
    """Refuse to start before *asset* has been made for every partition that is read.

    Args:
        symbols: Those needed; None for the requested ones.
        window: Sessions needed; None for the requested ones.
        version: Of which it must have been made; None for any.

    Raises:
        DataMissing: Naming the partitions that were never made.
    """
    wanted = requested.symbols if symbols is None else symbols
    never = never_made(
        warehouse,
        requested.sessions if window is None else window,
        wanted,
        asset=asset,
        strategy=strategy,
        version=version,
    )
    if len(never):
        keys = [f"{day:%Y-%m-%d}|{symbol}" for day, symbol in never[:SHOWN]]
        more = f" and {len(never) - SHOWN} more" if len(never) > SHOWN else ""
        owner = f"{strategy}/{asset}" if strategy else asset
        as_is = "" if version is None else " as the strategies need it now"
        raise DataMissing(
            f"{owner} was never materialized{as_is} for {', '.join(keys)}{more}"
        )


def missing(
    warehouse: Warehouse,
    sessions: Sequence[date],
    symbols: Sequence[str],
    *,
    asset: str,
    version: str | None = None,
    statuses: Sequence[str] | None = None,
) -> list[date]:
    """Those of *sessions* for which *asset* has not been made for all *symbols*.

    Args:
        version: Of which it must have been made; None for any.
        statuses: Of coverage that is settled; None for any, also of gaps.
    """
    never = never_made(
        warehouse,
        sessions,
        symbols,
        asset=asset,
        strategy="",
        version=version,
        statuses=statuses,
    )
    return sorted({day.date() for day, _ in never})


def never_made(
    warehouse: Warehouse,
    sessions: Sequence[date],
    symbols: Sequence[str],
    *,
    asset: str,
    strategy: str = "",
    version: str | None = None,
    statuses: Sequence[str] | None = None,
) -> pd.MultiIndex:
    """Session and symbol of what has no coverage, or one of another version or status."""
    where = {
        "asset": asset,
        "strategy": strategy,
        "symbol": list(symbols),
        "session": Between(sessions[0], sessions[-1]),
    }
    if version is not None:
        where["content_hash"] = version
    if statuses is not None:
        where["status"] = list(statuses)
    coverage = warehouse.read(COVERAGE, where, columns=["session", "symbol"])
    if len(coverage) == len(sessions) * len(symbols):
        return pd.MultiIndex.from_frame(coverage[:0])
    wanted = pd.MultiIndex.from_product([pd.to_datetime(list(sessions)), list(symbols)])
    return wanted.difference(pd.MultiIndex.from_frame(coverage))


@contextmanager
def reaching_out(context: dg.AssetExecutionContext) -> Iterator[None]:
    """Have a step tried again, later each time, when a source or a store is out of reach.

    What a source says of one symbol is an answer, and the same one the next time.
    """
    try:
        yield
    except (MarketDataUnreadable, StoreBusy) as error:
        seconds = FIRST_RETRY_SECONDS * 2**context.retry_number
        raise dg.RetryRequested(RETRIES, seconds) from error


@contextmanager
def waiting(requested: Requested, current: date) -> Iterator[None]:
    """Have a step tried again later when what it needs is not there yet.

    Tonight's inputs may be minutes away, so a step of the *current* session waits for
    them; a step of any other session fails at once, by name. A store that others hold, a
    gateway that is down and an order that is in doubt are always worth another try.
    """
    try:
        yield
    except OUT_OF_REACH as error:
        raise dg.RetryRequested(WAIT_TRIES, WAIT_SECONDS) from error
    except DataMissing as missing:
        if requested.last < current:
            raise
        raise dg.RetryRequested(WAIT_TRIES, WAIT_SECONDS) from missing


def _keys(rows: pd.DataFrame) -> Iterable[tuple[int, str]]:
    """Session and symbol of each row, as what can be looked up."""
    sessions = rows["session"].to_numpy().astype("int64").tolist()
    return zip(sessions, rows["symbol"], strict=True)
