"""The code location: what is drawn, what marks it stale, and what loading it costs."""

import dataclasses
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from trading_assets_tests.defs.world import CROSS, World


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World.made(tmp_path_factory.mktemp("world"))


# What is drawn

ASSETS = """
market: bars, 123 from 2024-01-02|AAA to 2024-02-29|CCC
  stops at complete
  stops at consistent
  tells of gaps
  tells of jumps
  tells of restatements
market: indicators, 123 from 2024-01-02|AAA to 2024-02-29|CCC
  <- bars, 500 sessions
  stops at finite
cross: cross/daily_chart, 60 from 2024-02-01|AAA to 2024-02-29|CCC
  <- bars, 520 sessions
  <- indicators
  tells of stored
cross: cross/weekly_chart, 60 from 2024-02-01|AAA to 2024-02-29|CCC
  <- bars, 1575 sessions
  <- indicators
  tells of stored
cross: cross/signals, 60 from 2024-02-01|AAA to 2024-02-29|CCC
  <- bars
  <- cross/daily_chart
  <- cross/weekly_chart
  <- indicators
  stops at levels
cross: cross/orders, 20 from 2024-02-01 to 2024-02-29
  <- bars, every symbol
  <- cross/signals, every symbol
cross: cross/fills, 20 from 2024-02-01 to 2024-02-29
  <- bars, every symbol
  <- cross/orders
cross: cross/portfolio, 20 from 2024-02-01 to 2024-02-29
  <- bars, every symbol
  <- cross/fills
  stops at balances
  tells of marks
cross: cross/performance, once
  <- cross/fills, all of it
  <- cross/portfolio, all of it
cross: cross/signal_outcomes, 60 from 2024-02-01|AAA to 2024-02-29|CCC
  <- bars, and 60 sessions after it
  <- cross/signals
  tells of resolved
cross: cross/calibration, once
  <- cross/signal_outcomes, all of it
ranges: ranges/daily_chart, 40 from 2024-02-01|AAA to 2024-02-29|CCC
  <- bars, 520 sessions
  <- indicators
  tells of stored
ranges: ranges/weekly_chart, 40 from 2024-02-01|AAA to 2024-02-29|CCC
  <- bars, 1575 sessions
  <- indicators
  tells of stored
ranges: ranges/signals, 40 from 2024-02-01|AAA to 2024-02-29|CCC
  <- bars
  <- indicators
  <- ranges/daily_chart
  <- ranges/weekly_chart
  stops at levels
ranges: ranges/orders, 20 from 2024-02-01 to 2024-02-29
  <- bars, every symbol
  <- indicators, every symbol
  <- ranges/signals, every symbol
ranges: ranges/fills, 20 from 2024-02-01 to 2024-02-29
  <- bars, every symbol
  <- ranges/orders
ranges: ranges/portfolio, 20 from 2024-02-01 to 2024-02-29
  <- bars, every symbol
  <- ranges/fills
  stops at balances
  tells of marks
ranges: ranges/performance, once
  <- ranges/fills, all of it
  <- ranges/portfolio, all of it
ranges: ranges/signal_outcomes, 40 from 2024-02-01|AAA to 2024-02-29|CCC
  <- bars, and 60 sessions after it
  <- ranges/signals
  tells of resolved
ranges: ranges/calibration, once
  <- ranges/signal_outcomes, all of it
"""
"""Sizing of `ranges` asks for volatility, so its orders rest on indicators too."""

JOBS = """
cross_book: fills orders performance portfolio
cross_outcomes: calibration signal_outcomes
cross_view: daily_chart signals weekly_chart
market: bars indicators
ranges_book: fills orders performance portfolio
ranges_outcomes: calibration signal_outcomes
ranges_view: daily_chart signals weekly_chart
at 15 17 * * 1-5 America/New_York: cross_view
at 5 17 * * 1-5 America/New_York: market
at 15 17 * * 1-5 America/New_York: ranges_view
cross_book_follows: cross_book
cross_outcomes_follow: cross_outcomes
evening_missed: nothing
held_back_notices: nothing
market_hours: nothing
ranges_book_follows: ranges_book
ranges_outcomes_follow: ranges_outcomes
run_failed: nothing
"""


def test_everything_loads(world: World) -> None:
    dg.Definitions.validate_loadable(world.definitions)


def test_the_assets_are_the_ones_that_are_drawn_here(world: World) -> None:
    assert "\n".join(drawn_assets(world)) == ASSETS.strip()


def test_jobs_schedules_and_sensors_are_the_ones_that_are_written_here(
    world: World,
) -> None:
    assert "\n".join(drawn_jobs(world)) == JOBS.strip()


def test_lineage_read_backwards_from_a_fill_reaches_the_bars(world: World) -> None:
    graph = world.definitions.resolve_asset_graph()
    above = graph.get_ancestor_asset_keys(dg.AssetKey(["cross", "fills"]))

    assert {key.to_user_string() for key in above} == {
        "bars",
        "indicators",
        "cross/daily_chart",
        "cross/weekly_chart",
        "cross/signals",
        "cross/orders",
    }


def test_every_asset_says_what_it_is_whose_and_of_what_kind(world: World) -> None:
    for asset in world.definitions.assets or ():
        assert isinstance(asset, dg.AssetsDefinition)
        (spec,) = asset.specs
        assert spec.description, spec.key
        assert spec.owners, spec.key
        assert spec.kinds, spec.key
        assert spec.code_version, spec.key
        assert asset.op.pool, spec.key


# What marks it stale

BARS, INDICATORS = "bars", "indicators"
CHARTS = {"cross/daily_chart", "cross/weekly_chart"}
SIGNALS, ORDERS, FILLS = "cross/signals", "cross/orders", "cross/fills"
PORTFOLIO, PERFORMANCE = "cross/portfolio", "cross/performance"
OUTCOMES = {"cross/signal_outcomes", "cross/calibration"}


@pytest.mark.parametrize(
    ("before", "after", "changed"),
    [
        pytest.param("fast: 3", "fast: 4", {INDICATORS, SIGNALS}, id="a rule's parameter"),
        pytest.param(
            "sma_cross, fast: 3, slow: 8",
            "breakout, entry_bars: 4, exit_bars: 3",
            {INDICATORS, SIGNALS},
            id="another rule",
        ),
        pytest.param(
            "benchmark: AAA",
            "benchmark: AAA\nindicators: [rsi_7]",
            {INDICATORS},
            id="an indicator more",
        ),
        pytest.param(
            "risk: {",
            "costs: {slippage_bps: 2}\nrisk: {",
            {ORDERS, FILLS, PORTFOLIO, *OUTCOMES},
            id="costs",
        ),
        pytest.param(
            "max_positions: 2", "max_positions: 1", {ORDERS, PORTFOLIO}, id="a limit"
        ),
        pytest.param("shares: 100", "shares: 99", {ORDERS, PORTFOLIO}, id="sizing"),
        pytest.param(
            "bracket: false", "bracket: true", {ORDERS, PORTFOLIO}, id="execution"
        ),
        pytest.param(
            "capital: 50000",
            "capital: 1",
            {ORDERS, PORTFOLIO, PERFORMANCE},
            id="capital",
        ),
        pytest.param("daily_sessions: 20", "daily_sessions: 21", CHARTS, id="charts"),
        pytest.param("[sma_5, ", "[sma_5, ema_5, ", CHARTS, id="a line in the charts"),
        pytest.param(
            "benchmark: AAA",
            "benchmark: BBB",
            {PERFORMANCE, *OUTCOMES},
            id="benchmark",
        ),
        pytest.param(
            "name: cross", "name: cross\ndescription: as before", set(), id="words"
        ),
        pytest.param(
            "start: 2024-02-01", "start: '2024-02-01'", set(), id="another spelling"
        ),
    ],
)
def test_a_change_of_the_strategy_marks_exactly_what_depends_on_it(
    tmp_path: Path, before: str, after: str, changed: set[str]
) -> None:
    """Dagster marks what is further downstream on its own."""
    world = World.made(tmp_path)
    versions = code_versions(world)
    assert before in CROSS

    world.write_strategy(CROSS.replace(before, after), "s0.yaml")
    world.forget_code()

    now = code_versions(world)
    assert {key for key, version in now.items() if version != versions[key]} == changed


def test_another_source_of_bars_marks_the_bars(tmp_path: Path) -> None:
    world = World.made(tmp_path)
    versions = code_versions(world)

    world.forget_code()
    settings = dataclasses.replace(world.settings, market_data="simulated")
    world.__dict__["settings"] = settings

    now = code_versions(world)
    assert {key for key, version in now.items() if version != versions[key]} == {BARS}


def code_versions(world: World) -> dict[str, str | None]:
    return {
        spec.key.to_user_string(): spec.code_version
        for asset in world.definitions.assets or ()
        if isinstance(asset, dg.AssetsDefinition)
        for spec in asset.specs
    }


# What loading costs

HEAVY = {
    "anthropic",
    "backtrader",
    "duckdb",
    "empyrical",
    "exchange_calendars",
    "genai_prices",
    "imagecodecs",
    "matplotlib",
    "mlflow",
    "mplfinance",
    "numba",
    "openai",
    "pandas_ta",
    "scipy",
    "talib",
    "trading_assets.adapters.brokers.simulated",
    "trading_assets.adapters.ledger.migrations",
    "trading_assets.adapters.storage.duckdb_tables",
}


def test_nothing_heavy_is_imported_by_loading_the_code_location(world: World) -> None:
    program = "import sys, trading_assets.definitions as d; print(*sys.modules)"
    ran = subprocess.run(
        [sys.executable, "-c", program],
        env=world.process_environment,
        capture_output=True,
        text=True,
        check=True,
    )

    assert HEAVY.isdisjoint(ran.stdout.split())
    assert ran.stderr == ""


def drawn_assets(world: World) -> Iterator[str]:
    """Each asset: its group, what it rests on and by which partitions, its checks."""
    for asset in world.definitions.assets or ():
        assert isinstance(asset, dg.AssetsDefinition)
        (spec,) = asset.specs
        yield f"{spec.group_name}: {spec.key.to_user_string()}, {drawn_partitions(asset)}"
        for parent in sorted(spec.deps, key=lambda dep: dep.asset_key):
            how = drawn_mapping(parent.partition_mapping)
            yield f"  <- {parent.asset_key.to_user_string()}{how}"
        for check in sorted(asset.check_specs, key=lambda check: check.name):
            yield f"  {'stops at' if check.blocking else 'tells of'} {check.name}"


def drawn_partitions(asset: dg.AssetsDefinition) -> str:
    partitions = asset.partitions_def
    if partitions is None:
        return "once"
    with dg.partition_loading_context(effective_dt=datetime(2024, 3, 1, tzinfo=UTC)):
        first, *_, last = partitions.get_partition_keys()
        return f"{len(partitions.get_partition_keys())} from {first} to {last}"


def drawn_mapping(mapping: Any) -> str:
    if isinstance(mapping, dg.MultiPartitionMapping):
        sessions = mapping.downstream_mappings_by_upstream_dimension["session"]
        symbols = mapping.downstream_mappings_by_upstream_dimension["symbol"]
        assert isinstance(symbols.partition_mapping, dg.IdentityPartitionMapping)
        offset: Any = sessions.partition_mapping
        if offset.end_offset:
            return f", and {offset.end_offset} sessions after it"
        return f", {1 - offset.start_offset} sessions" if offset.start_offset else ""
    if isinstance(mapping, dg.MultiToSingleDimensionPartitionMapping):
        return ", every symbol"
    if isinstance(mapping, dg.AllPartitionMapping):
        return ", all of it"
    assert mapping is None
    return ""


def drawn_jobs(world: World) -> Iterator[str]:
    repository = world.definitions.get_repository_def()
    for job in sorted(repository.get_all_jobs(), key=lambda job: job.name):
        if job.name != "__ASSET_JOB":
            assert job.executor_def is dg.in_process_executor
            made = sorted(key.path[-1] for key in job.asset_layer.selected_asset_keys)
            yield f"{job.name}: {' '.join(made)}"
    for schedule in sorted(repository.schedule_defs, key=lambda own: own.name):
        crons = schedule.cron_schedule
        cron = crons if isinstance(crons, str) else ", ".join(crons)
        yield f"at {cron} {schedule.execution_timezone}: {schedule.job_name}"
    for sensor in sorted(repository.sensor_defs, key=lambda own: own.name):
        targets = " ".join(target.job_name for target in sensor.targets)
        yield f"{sensor.name}: {targets or 'nothing'}"
