"""What is run as one piece.

An evening is three runs: the market, then each strategy's view, then its book. Dagster
can't hold both kinds of partitions in one run. What became of earlier signals is a fourth,
which nothing of the evening waits for.
"""

from collections.abc import Sequence
from datetime import date

import dagster as dg

from trading_assets.defs.lanes import MARKET, Lane

MODULE = "trading_assets.definitions"
LOCATION = "trading_assets"
"""As in workspace.yaml, so that the web server finds the job of a run."""

RANGE_START = "dagster/asset_partition_range_start"
RANGE_END = "dagster/asset_partition_range_end"
RANGE = "trading/range"
"""Tag of a run: the sessions it was asked for."""
LAUNCHED_BY = "trading/launched_by"
"""Tag of a run: who asked for it; only a schedule's view is followed by its book."""
SCHEDULE = "schedule"
BACKFILL = "backfill"
APPROVAL = "approval"
TRADE = "trade"
EVENINGS = (SCHEDULE, TRADE)
"""Who asks for an evening as it is now: halts bind it, and people are asked."""

ACCOUNT = "account"
"""The asset of the broker's own word, and its group."""

ACCOUNT_JOB = "account_snapshot"
"""The job that makes it: a job can't bear the name of a step."""

MARKET_ASSETS = ("bars", "indicators")
CHARTS = ("daily_chart", "weekly_chart")
VIEW = (*CHARTS, "signals")
PERFORMANCE = "performance"
BOOK = ("orders", "fills", "portfolio", PERFORMANCE)
TRACKED = "tracked"
CALIBRATION = "calibration"
OUTCOMES = ("signal_outcomes", CALIBRATION)
UNPARTITIONED = frozenset({PERFORMANCE, CALIBRATION})
"""Assets that ride along: made once, whatever range a run is over."""


def market_job() -> dg.JobDefinition:
    """Bars and indicators of every symbol."""
    return dg.define_asset_job(  # pyright: ignore[reportReturnType] - resolved with the assets
        MARKET,
        dg.AssetSelection.assets(*MARKET_ASSETS),
        description="Bars and indicators of every symbol that a strategy asks for.",
        executor_def=dg.in_process_executor,
    )


def account_job() -> dg.JobDefinition:
    """What the broker says of the accounts that are traded."""
    return dg.define_asset_job(  # pyright: ignore[reportReturnType] - as above
        ACCOUNT_JOB,
        dg.AssetSelection.assets(ACCOUNT),
        description="What the broker says it holds, held against what we have done.",
        executor_def=dg.in_process_executor,
    )


def view_job(lane: Lane) -> dg.JobDefinition:
    """A strategy's charts and signals."""
    return dg.define_asset_job(  # pyright: ignore[reportReturnType] - as above
        view_job_name(lane.name),
        dg.AssetSelection.assets(*map(lane.key, VIEW)),
        description=f"What {lane.name} sees, and thinks of it.",
        executor_def=dg.in_process_executor,
    )


def book_job(lane: Lane) -> dg.JobDefinition:
    """A strategy's orders, fills, portfolio and performance."""
    return dg.define_asset_job(  # pyright: ignore[reportReturnType] - as above
        book_job_name(lane.name),
        dg.AssetSelection.assets(*(own.key(name) for own in lane.books for name in BOOK)),
        description=f"What {lane.name} does about it, and what comes of that.",
        executor_def=dg.in_process_executor,
    )


def tracking_job(lane: Lane) -> dg.JobDefinition:
    """A strategy's sessions at an experiment tracker."""
    return dg.define_asset_job(  # pyright: ignore[reportReturnType] - as above
        tracking_job_name(lane.name),
        dg.AssetSelection.assets(*(own.key(TRACKED) for own in lane.books)),
        description=f"Tells an experiment tracker of the sessions of {lane.name}.",
        executor_def=dg.in_process_executor,
    )


def outcomes_job(lane: Lane) -> dg.JobDefinition:
    """What became of a strategy's signals, and how far its analyst can be trusted."""
    return dg.define_asset_job(  # pyright: ignore[reportReturnType] - as above
        outcomes_job_name(lane.name),
        dg.AssetSelection.assets(*map(lane.key, OUTCOMES)),
        description=f"What became of what {lane.name} thought.",
        executor_def=dg.in_process_executor,
    )


def view_job_name(strategy: str) -> str:
    """Of the job that makes a strategy's charts and signals."""
    return f"{strategy}_view"


def book_job_name(strategy: str) -> str:
    """Of the job that makes a strategy's orders, fills, portfolio and performance."""
    return f"{strategy}_book"


def tracking_job_name(strategy: str) -> str:
    """Of the job that tells an experiment tracker of a strategy's sessions."""
    return f"{strategy}_tracking"


def outcomes_job_name(strategy: str) -> str:
    """Of the job that says what became of a strategy's signals."""
    return f"{strategy}_outcomes"


def range_tags(
    first: date, last: date, symbols: Sequence[str] = (), *, launched_by: str
) -> dict[str, str]:
    """Tags of a run over sessions *first* to *last* and, if there are any, *symbols*.

    Dagster takes a range whose ends are swapped, or are no partitions, for a success
    without work: give sessions of the calendar, and symbols ascending and adjacent.
    """
    start, end = first.isoformat(), last.isoformat()
    suffixes = (f"|{symbols[0]}", f"|{symbols[-1]}") if symbols else ("", "")
    return {
        RANGE_START: start + suffixes[0],
        RANGE_END: end + suffixes[1],
        RANGE: f"{start}..{end}",
        LAUNCHED_BY: launched_by,
    }
