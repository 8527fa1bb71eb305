"""Bars to portfolio against Dagster's own floor, and an evening, on homes of our own.

``python -m benchmarks.spine`` alternates our graph with the same graph of assets that do
nothing: the same keys, partitions, run history and launcher, no checks. That graph is
timed twice: as Dagster runs it, each partition depending on its namesake, and with our
edges and our fast paths through Dagster, without which those edges take it minutes.
"""

import os
import warnings
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter, process_time
from typing import TYPE_CHECKING

import dagster as dg

from trading_assets.defs.instance import prepare_environment
from trading_assets.defs.resources import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from trading_assets.defs.backfill import Backfill, Part
    from trading_assets.defs.lanes import Market

SYMBOLS = ("AAPL", "AMZN", "GOOGL", "JPM", "KO", "MSFT", "NVDA", "PG", "SPY", "XOM")
FIRST, LAST = date(2024, 1, 2), date(2025, 1, 2)
WARM_UP = date(2024, 1, 3)
"""Through which both make their stores first: a home is made once, and used for years."""

ROUNDS = 3
TARGET = 1.3

STRATEGY = """\
name: measured
universe: [{symbols}]
start: {first}
analyst: {{kind: rules, rule: trend}}
sizing: {{kind: risk_fraction, risk_frac: 0.006}}
benchmark: SPY
"""


@dataclass(frozen=True, slots=True)
class Timing:
    """What the three runs over a range took together, seconds."""

    wall: float
    cpu: float
    materializations: int


@contextmanager
def world(
    symbols: tuple[str, ...], *, is_fast: bool = True
) -> "Iterator[tuple[dg.Definitions, Market]]":
    """A home of its own with one strategy of *symbols*, and its code location.

    Args:
        symbols: The strategy's universe.
        is_fast: Whether this process takes our fast paths through Dagster; for good.
    """
    from trading_assets.defs import fast_paths  # noqa: PLC0415 - after the environment
    from trading_assets.defs.location import definitions_of, market_of  # noqa: PLC0415

    with TemporaryDirectory() as folder:
        home = Path(folder)
        (home / "strategies").mkdir()
        text = STRATEGY.format(symbols=", ".join(symbols), first=FIRST)
        (home / "strategies" / "measured.yaml").write_text(text)
        for name in ("DAGSTER_HOME", "TRADING_MARKET_DATA"):
            os.environ.pop(name, None)
        settings = Settings.from_environment(
            {
                "TRADING_HOME": str(home),
                "TRADING_STRATEGIES": str(home / "strategies"),
                "TRADING_MARKET_START": FIRST.isoformat(),
            }
        )
        prepare_environment(settings)
        warnings.filterwarnings("ignore", category=dg.BetaWarning)
        warnings.filterwarnings("ignore", message=".*varying BackfillPolicies")
        if is_fast:
            fast_paths.install()
        market = market_of(settings)
        yield definitions_of(settings, market), market


def hollow(definitions: dg.Definitions, *, with_edges: bool) -> dg.Definitions:
    """The same graph with assets that do nothing.

    Args:
        definitions: Of the code location.
        with_edges: Whether lookbacks are kept; else partitions depend on their namesakes.
    """
    specs = [spec for own in definitions.assets or () for spec in own.specs]  # pyright: ignore[reportAttributeAccessIssue] - assets all

    def nothing_for(spec: dg.AssetSpec) -> dg.AssetsDefinition:
        @dg.asset(
            key=spec.key,
            deps=[dep if with_edges else dep.asset_key for dep in spec.deps],
            partitions_def=spec.partitions_def,
            group_name=spec.group_name,
            backfill_policy=dg.BackfillPolicy.single_run(),
        )
        def nothing() -> None:
            """Nothing is made."""

        return nothing

    return dg.Definitions(
        assets=[nothing_for(spec) for spec in specs], jobs=list(definitions.jobs or ())
    )


def year(definitions: dg.Definitions, market: "Market", last: date = LAST) -> Timing:
    """Bars to portfolio from `FIRST` to *last*, without charts, in three runs."""
    from trading_assets.defs.jobs import (  # noqa: PLC0415 - after the environment
        BACKFILL,
        book_job_name,
        range_tags,
        view_job_name,
    )
    from trading_assets.defs.launch import Progress, run_job  # noqa: PLC0415

    (lane,) = market.lanes
    calendar = lane.calendar
    first, last = calendar.on_or_after(FIRST), calendar.on_or_before(last)
    symbols, books = market.symbols, [lane.key(n) for n in ("orders", "fills", "portfolio")]
    parts: list[tuple[str, tuple[str, ...], list[dg.AssetKey]]] = [
        ("market", symbols, [dg.AssetKey("bars"), dg.AssetKey("indicators")]),
        (view_job_name(lane.name), symbols, [lane.key("signals")]),
        (book_job_name(lane.name), (), books),
    ]
    made = 0

    def count(progress: Progress) -> None:
        nonlocal made
        made += progress.materialized

    with dg.DagsterInstance.get() as instance:
        wall, cpu = perf_counter(), process_time()
        for job, own, assets in parts:
            tags = range_tags(first, last, own, launched_by=BACKFILL)
            run_job(definitions, instance, job, tags, assets=assets, watch=count)
        return Timing(perf_counter() - wall, process_time() - cpu, made)


def evening(symbols: tuple[str, ...]) -> float:
    """Wall seconds of one session with its charts, after a year of bars."""
    from trading_assets.defs.backfill import Backfill  # noqa: PLC0415 - after the environment

    with world(symbols) as (definitions, market), dg.DagsterInstance.get() as instance:
        work = Backfill.of(Settings.from_environment(), market, market.lanes[0].history)
        lane = market.lanes[0]
        before = lane.calendar.offset(lane.start, 20)
        tonight = lane.calendar.offset(before, 1)
        _all(work.parts(lane.start, before, with_charts=False), work, definitions, instance)
        started = perf_counter()
        _all(work.parts(tonight, tonight, with_charts=True), work, definitions, instance)
        return perf_counter() - started


def _all(
    parts: "Iterable[Part]",
    work: "Backfill",
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
) -> None:
    for part in parts:
        work.run(definitions, instance, part, lambda _: None)


def alternated(*graphs: "Callable[[], Timing]") -> list[tuple[Timing, ...]]:
    """Rounds of timings, one right after the other, so that a busy machine slows all.

    Each has a process of its own, for what one loads or patches is not another's.
    """
    return [tuple(map(_in_its_own_process, graphs)) for _ in range(ROUNDS)]


def _in_its_own_process(graph: "Callable[[], Timing]") -> Timing:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(graph).result()


def ours() -> Timing:
    """Our graph."""
    with world(SYMBOLS) as (definitions, market):
        year(definitions, market, WARM_UP)
        return year(definitions, market)


def floor() -> Timing:
    """The graph that does nothing, as Dagster runs it."""
    with world(SYMBOLS, is_fast=False) as (definitions, market):
        nothing = hollow(definitions, with_edges=False)
        year(nothing, market, WARM_UP)
        return year(nothing, market)


def fast_floor() -> Timing:
    """The graph that does nothing, with our edges and our fast paths."""
    with world(SYMBOLS) as (definitions, market):
        nothing = hollow(definitions, with_edges=True)
        year(nothing, market, WARM_UP)
        return year(nothing, market)


def main() -> None:
    """Print the ratio to the floor, and what an evening takes."""
    rounds = alternated(ours, floor, fast_floor)
    print(f"Bars to portfolio, {len(SYMBOLS)} symbols x a year, no charts")
    names = ("ours", "floor: Dagster's own", "floor on our fast paths")
    for name, timings in zip(names, zip(*rounds, strict=True), strict=True):
        wall, cpu = median(t.wall for t in timings), median(t.cpu for t in timings)
        made = timings[0].materializations
        print(
            f"  {name:24} {wall:6.2f} s wall {cpu:6.2f} s CPU "
            f"{wall / made * 1000:7.3f} ms each of {made:,}"
        )
    for at, target in ((1, f"; target {TARGET}"), (2, "")):
        ratios = [timings[0].wall / timings[at].wall for timings in rounds]
        print(
            f"  ours to {names[at]:24} {median(ratios):6.2f} x   "
            f"({min(ratios):.2f} to {max(ratios):.2f} in {ROUNDS} rounds{target})"
        )
    ten = evening(SYMBOLS)
    hundred = evening((*(f"S{number:03}" for number in range(99)), "SPY"))
    print("An evening with its charts, market to portfolio")
    print(f"  10 symbols   {ten:6.1f} s   (target 60)")
    print(f"  100 symbols  {hundred:6.1f} s   {hundred / ten:.1f} x")


if __name__ == "__main__":
    main()
