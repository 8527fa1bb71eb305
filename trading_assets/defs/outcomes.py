"""Outcomes of a strategy's signals, as far as the bars that are stored tell them.

Every signal is looked at again until its longest horizon is over; what is over stays as
it is while signals and bars do. A horizon that is not over has no row, and `coverage` says
how far it has come.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from itertools import groupby

import dagster as dg
import numpy as np
import pandas as pd

from trading_assets.adapters.storage.port import Between, Replacement, Warehouse
from trading_assets.core.calibration import HORIZON
from trading_assets.core.outcomes import (
    HORIZONS,
    OUTCOME_VERSION,
    bars_since,
    outcomes_of,
)
from trading_assets.core.panel import Panel
from trading_assets.defs.coverage import (
    bars_told,
    never_made,
    replace_if_same,
    require,
    waiting,
)
from trading_assets.defs.lanes import OWNERS, Lane, Market
from trading_assets.defs.partitions import Requested, looking_ahead
from trading_assets.defs.telling import check, tell
from trading_assets.models.bar import CoverageStatus
from trading_assets.models.tables import (
    BARS,
    CORPORATE_ACTIONS,
    COVERAGE,
    SIGNAL_OUTCOMES,
    SIGNALS,
)
from trading_assets.sessions import LAST_DAY
from trading_assets.strategies.spec import fingerprint

LONGEST = HORIZONS[-1]
TOLD = {
    "return %": "return_frac",
    "alpha %": "alpha_frac",
    "R": "r_multiple",
    "ended by": "first_touch",
}
"""Of the horizon that analysts are judged by, on each partition that has come so far."""


@dataclass(frozen=True, slots=True, eq=False)
class Followed:
    """Signals and what became of them.

    Attributes:
        signals: `signals` rows, and of each ``bars_since``, those that its symbol has had,
            and ``sessions_since``, those in which it could have had one.
        outcomes: `signal_outcomes` rows.
    """

    signals: pd.DataFrame
    outcomes: pd.DataFrame


def outcomes_version(lane: Lane) -> str:
    """Of what makes outcomes from signals and bars."""
    return fingerprint(OUTCOME_VERSION, HORIZONS, lane.spec.costs, lane.spec.benchmark)


def outcomes_asset(market: Market, lane: Lane) -> dg.AssetsDefinition:
    """The asset ``<s>/signal_outcomes``."""
    key = lane.key("signal_outcomes")

    @dg.asset(
        name="signal_outcomes",
        key_prefix=lane.name,
        group_name=lane.name,
        partitions_def=lane.partitions,
        deps=[
            lane.key("signals"),
            dg.AssetDep("bars", partition_mapping=looking_ahead(LONGEST)),
        ],
        # Not the policy of `bars`: a backfill from the UI then makes all bars first.
        backfill_policy=dg.BackfillPolicy.multi_run(100_000),
        check_specs=[
            dg.AssetCheckSpec(
                "resolved",
                asset=key,
                description="Every horizon that is over by the exchange's calendar is over "
                "by the symbol's own bars; one whose share was not traded warns.",
            )
        ],
        code_version=outcomes_version(lane),
        description="What became of each signal after 5, 20 and 60 sessions; a horizon "
        "that is not over has no row.",
        pool=f"{lane.name}_view",
        kinds={"python", "duckdb"},
        owners=OWNERS,
    )
    def signal_outcomes(
        context: dg.AssetExecutionContext, warehouse: dg.ResourceParam[Warehouse]
    ) -> dg.MaterializeResult:
        requested, current = Requested.of(context), market.current()
        symbols = requested.symbols
        window = lane.calendar.between(requested.first, max(requested.last, current))
        with waiting(requested, current):
            with warehouse.snapshot():
                require(warehouse, requested, asset="signals", strategy=lane.name)
                as_read = bars_told(warehouse, symbols, window)
                followed = follow(
                    lane, warehouse, symbols, requested.first, requested.last, current
                )
            rows = requested.only(followed.outcomes)
            coverage = _coverage(lane, requested, followed, rows)
            replace_if_same(
                warehouse,
                symbols,
                window,
                as_read,
                Replacement(SIGNAL_OUTCOMES, requested.frame(strategy=lane.name), rows),
                coverage,
            )
        judged = rows[rows["horizon_sessions"] == HORIZON]
        tell(context, requested, judged, TOLD)
        touched = judged["first_touch"].value_counts()
        overdue = _overdue(requested.only(followed.signals))
        return dg.MaterializeResult(
            metadata={
                "outcomes": len(rows),
                **{f"ended by {own}": int(count) for own, count in touched.items()},
            },
            check_results=[check("resolved", overdue, warns=True)],
        )

    return signal_outcomes


def follow(
    lane: Lane,
    warehouse: Warehouse,
    symbols: Sequence[str],
    first: date,
    last: date,
    current: date,
) -> Followed:
    """What became of the stored signals of a range, as the stored bars tell it.

    Bars behind a session of which nobody has asked whether there was one are not looked
    at: they may be of another number than they seem.

    Args:
        current: The last session that has closed; further, nobody can have asked.
    """
    within = {"symbol": list(symbols), "session": Between(first, last)}
    signals = warehouse.read(SIGNALS, {"strategy": lane.name, **within})
    benchmark = lane.spec.benchmark
    wanted = sorted({*symbols, *([benchmark] if benchmark else ())})
    later = {"symbol": wanted, "session": Between(first, LAST_DAY)}
    bars = warehouse.read(BARS, later)
    actions = warehouse.read(CORPORATE_ACTIONS, {"symbol": wanted})
    sessions = lane.calendar.between(first, max(last, current))
    ends = _ends(never_made(warehouse, sessions, wanted, asset="bars"))
    bars = bars[~(bars["session"] >= bars["symbol"].map(ends))]
    panel = Panel.of(bars, actions)
    outcomes = outcomes_of(
        signals,
        panel,
        lane.spec.costs,
        benchmark=Panel.of(bars[bars["symbol"] == benchmark], actions),
    )
    days = pd.DatetimeIndex(list(sessions))
    asked_to = days.searchsorted(signals["symbol"].map(ends).fillna(pd.Timestamp.max))
    since = asked_to - 1 - days.searchsorted(signals["session"])
    followed = signals.assign(bars_since=bars_since(panel, signals), sessions_since=since)
    return Followed(followed, outcomes)


def stale_outcomes(
    lane: Lane, warehouse: Warehouse, last: date, current: date
) -> list[tuple[date, date]]:
    """Ranges up to *last* whose outcomes are not as signals and bars tell them now.

    They are worked out to be compared: that takes less time than to remember what became
    stale, and misses nothing. No range goes over a session that has no signals yet.
    """
    sessions = lane.calendar.between(lane.start, last)
    within = Between(lane.start, last)
    with warehouse.snapshot():
        followed = follow(lane, warehouse, lane.symbols, lane.start, last, current)
        stored = warehouse.read(
            SIGNAL_OUTCOMES,
            {"strategy": lane.name, "symbol": lane.symbols, "session": within},
        )
        covered = warehouse.read(
            COVERAGE,
            {
                "asset": "signal_outcomes",
                "strategy": lane.name,
                "symbol": lane.symbols,
                "session": within,
                "content_hash": outcomes_version(lane),
            },
            ["symbol", "session"],
        )
        never = never_made(
            warehouse, sessions, lane.symbols, asset="signals", strategy=lane.name
        )
    by = ["symbol", "session"]
    uncovered = followed.signals[by].merge(covered, how="left", on=by, indicator=True)
    uncovered = uncovered.loc[uncovered["_merge"] == "left_only", "session"]
    differing = _differing(followed.outcomes, stored)
    stale = {day.date() for day in (*uncovered.unique(), *differing)}
    unseen = {day.date() for day, _ in never}
    return [
        (own[0], own[-1])
        for is_unseen, run in groupby(sessions, key=unseen.__contains__)
        if not is_unseen and (own := [day for day in run if day in stale])
    ]


def _differing(left: pd.DataFrame, right: pd.DataFrame) -> Sequence[pd.Timestamp]:
    """Sessions of rows that only one of both has, to the last bit."""
    hashes = [pd.util.hash_pandas_object(own, index=False) for own in (left, right)]
    only = [
        own.loc[~of.isin(other), "session"]
        for own, of, other in ((left, *hashes), (right, *reversed(hashes)))
    ]
    return [pd.Timestamp(day) for day in pd.concat(only).unique()]


def _ends(never: pd.MultiIndex) -> pd.Series:
    """The first session that was *never* asked for, by symbol."""
    sessions, symbols = (never.get_level_values(level) for level in (0, 1))
    first = pd.Series(pd.DatetimeIndex(sessions), index=symbols, dtype="datetime64[ns]")
    return first.groupby(level=0).min()


def _coverage(
    lane: Lane, requested: Requested, followed: Followed, rows: pd.DataFrame
) -> Replacement:
    """`coverage` of *requested*: how many horizons are over, and why not all of them."""
    by = ["session", "symbol"]
    partitions = requested.frame(asset="signal_outcomes", strategy=lane.name)
    counts = rows.groupby(by).size().rename("rows").reset_index()
    since = followed.signals[[*by, "bars_since"]]
    told = partitions.merge(counts, how="left", on=by).merge(since, how="left", on=by)
    told["rows"] = told["rows"].fillna(0).astype("int64")
    waits = (told["bars_since"].astype("Int64").astype(str) + f" of {LONGEST} bars").where(
        told["bars_since"].notna(), "no signal"
    )
    is_over = told["rows"] == len(HORIZONS)
    statuses = (CoverageStatus.MISSING.value, CoverageStatus.OK.value)
    coverage = told.drop(columns="bars_since").assign(
        status=np.where(told["rows"] > 0, statuses[1], statuses[0]),
        reason=waits.where(~is_over, ""),
        content_hash=outcomes_version(lane),
    )
    return Replacement(COVERAGE, partitions, coverage)


def _overdue(signals: pd.DataFrame) -> pd.DataFrame:
    """Signals that should be resolved by now, and whose share has too few bars."""
    is_due = signals["sessions_since"] >= LONGEST
    late = is_due & (signals["bars_since"] < LONGEST)
    return signals.loc[late, ["symbol", "session", "action", "bars_since"]]
