"""Bars to portfolio against Dagster's own floor, and an evening, on two homes of our own.

``python -m benchmarks.spine`` alternates our graph with the same graph of assets that do
nothing: the same keys, edges, partitions, run history and launcher, no checks.
"""

import os
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter, process_time
from typing import TYPE_CHECKING

import dagster as dg

from trading_assets.defs.instance import prepare_environment
from trading_assets.defs.resources import Settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

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
def world(symbols: tuple[str, ...]) -> "Iterator[tuple[dg.Definitions, Market]]":
    """A home of its own with one strategy of *symbols*, and its code location."""
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
        fast_paths.install()
        market = market_of(settings)
        yield definitions_of(settings, market), market


def hollow(definitions: dg.Definitions) -> dg.Definitions:
    """The same graph with assets that do nothing."""
    specs = [spec for own in definitions.assets or () for spec in own.specs]  # pyright: ignore[reportAttributeAccessIssue] - assets all

    def nothing_for(spec: dg.AssetSpec) -> dg.AssetsDefinition:
        @dg.asset(
            key=spec.key,
            deps=list(spec.deps),
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
        work = Backfill.of(Settings.from_environment(), market, market.lanes[0])
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


def alternated(
    ours: Callable[[], Timing], floor: Callable[[], Timing]
) -> list[tuple[Timing, Timing]]:
    """Pairs of timings, one right after the other, so that a busy machine slows both."""
    return [(ours(), floor()) for _ in range(ROUNDS)]


def _ours() -> Timing:
    with world(SYMBOLS) as (definitions, market):
        year(definitions, market, WARM_UP)
        return year(definitions, market)


def _floor() -> Timing:
    with world(SYMBOLS) as (definitions, market):
        nothing = hollow(definitions)
        year(nothing, market, WARM_UP)
        return year(nothing, market)


def main() -> None:
    """Print the ratio to the floor, and what an evening takes."""
    pairs = alternated(_ours, _floor)
    ratios = [ours.wall / floor.wall for ours, floor in pairs]
    ours, floor = pairs[0]
    print(f"Bars to portfolio, {len(SYMBOLS)} symbols x a year, no charts")
    for name, timings in (
        ("ours", [o for o, _ in pairs]),
        ("floor", [f for _, f in pairs]),
    ):
        wall, cpu = median(t.wall for t in timings), median(t.cpu for t in timings)
        each = wall / timings[0].materializations * 1000
        print(f"  {name:6} {wall:6.2f} s wall {cpu:6.2f} s CPU {each:7.3f} ms each")
    print(
        f"  ratio  {median(ratios):6.2f} x   (target {TARGET}; "
        f"{min(ratios):.2f} to {max(ratios):.2f} in {ROUNDS} pairs; "
        f"{ours.materializations} and {floor.materializations} materializations)"
    )
    ten = evening(SYMBOLS)
    hundred = evening((*(f"S{number:03}" for number in range(99)), "SPY"))
    print("An evening with its charts, market to portfolio")
    print(f"  10 symbols   {ten:6.1f} s   (target 60)")
    print(f"  100 symbols  {hundred:6.1f} s   {hundred / ten:.1f} x")


if __name__ == "__main__":
    main()
