"""A small world of its own: a folder of CSV bars, two strategies, and a Dagster to run.

Everything lies under one temporary folder; bars are cut from seeded walks, and each test
changes the files that it is about.
"""

import atexit
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from functools import cache, cached_property
from pathlib import Path
from typing import Any
from unittest.mock import patch

import dagster as dg
import numpy as np
import pandas as pd

from trading_assets.adapters.brokers.choice import Brokers
from trading_assets.adapters.brokers.port import Broker
from trading_assets.adapters.storage.port import Warehouse
from trading_assets.defs import fast_paths
from trading_assets.defs.backfill import Backfill
from trading_assets.defs.jobs import (
    BOOK,
    RANGE_END,
    RANGE_START,
    book_job_name,
    outcomes_job_name,
    view_job_name,
)
from trading_assets.defs.lanes import MARKET, Lane, Market
from trading_assets.defs.launch import QUIET, Progress
from trading_assets.defs.location import definitions_of, market_of
from trading_assets.defs.resources import Settings, WarehouseResource, brokers_resource
from trading_assets.defs.run_history import RUN_ENVIRONMENT
from trading_assets.models.base import Lane as BookLane
from trading_assets.models.tables import TABLES
from trading_assets.sessions import trading_calendar

SYMBOLS = ("AAA", "BBB", "CCC")
OUTCOMES = "signal_outcomes"
FIELDS = ("open", "high", "low", "close", "volume")
MARKET_START = date(2024, 1, 2)
START = date(2024, 2, 1)
"""First session of both strategies, 22 sessions after the market's."""

CROSS = """\
name: cross
universe: [AAA, BBB, CCC]
start: 2024-02-01
capital: 50000
benchmark: AAA
analyst: {kind: rules, rule: sma_cross, fast: 3, slow: 8}
charts: {daily_sessions: 20, weekly_weeks: 10, indicators: [sma_5, volume], draw: none}
sizing: {kind: fixed_shares, shares: 100}
risk: {min_risk_reward: 0, min_profit_frac: 0, max_positions: 2, max_weight_frac: 0.5}
execution: {broker: simulated, order: market_next_open, bracket: false}
"""
RANGES = """\
name: ranges
universe: [AAA, CCC]
start: 2024-02-01
capital: 50000
benchmark: BBB
analyst: {kind: rules, rule: breakout, entry_bars: 4, exit_bars: 3}
charts: {daily_sessions: 20, weekly_weeks: 10, indicators: [ema_5, volume], draw: none}
sizing: {kind: volatility_target, annual_volatility_frac: 0.2, window_sessions: 5}
risk: {min_risk_reward: 0, min_profit_frac: 0, max_positions: 1}
execution: {broker: simulated, order: stop_at_entry, bracket: true}
"""

fast_paths.install()


def walk(seed: int, count: int) -> pd.DataFrame:
    """*count* bars from the market's start on, in cents, restless enough to trade."""
    draw = np.random.default_rng(seed)
    sessions = trading_calendar().sessions
    at = trading_calendar().position(MARKET_START)
    path = 40 * np.exp(np.cumsum(draw.normal(0, 0.02, (count, 2)).ravel()))
    opens, closes = path.reshape(count, 2).round(2).T
    reach = np.abs(draw.normal(0, 0.4, (2, count))).round(2)
    index = pd.Index(sessions[at : at + count], name="date")
    columns = {
        "open": opens,
        "high": (np.maximum(opens, closes) + reach[0]).round(2),
        "low": (np.minimum(opens, closes) - reach[1]).round(2),
        "close": closes,
        "volume": draw.integers(10_000, 99_999, count),
    }
    return pd.DataFrame(columns, index=index)


@dataclass
class World:
    """One home with its strategies and its market.

    Attributes:
        count: Sessions that the market has bars of, from `MARKET_START` on.
        now: The clock of steps; None for the real one.
        models_at: Where models of ``anthropic/`` are.
    """

    home: Path
    count: int = 34
    resources: Mapping[str, Any] = field(default_factory=dict)
    market_start: date = MARKET_START
    now: Callable[[], datetime] | None = None
    models_at: str = ""

    @classmethod
    def made(
        cls,
        home: Path,
        *,
        count: int = 34,
        strategies: Iterable[str] = (CROSS, RANGES),
        resources: Mapping[str, Any] | None = None,
    ) -> "World":
        """A fresh one: bars of `SYMBOLS`, a split of BBB and a dividend of AAA."""
        world = cls(home, count, resources or {})
        for folder in ("strategies", "market/daily", "market/actions"):
            home.joinpath(folder).mkdir(parents=True)
        for number, text in enumerate(strategies):
            world.write_strategy(text, f"s{number}.yaml")
        for seed, symbol in enumerate(SYMBOLS):
            world.write_bars(symbol, walk(seed + 1, count))
        world.split("BBB", world.sessions[30], 2)
        world.write_actions("AAA", [(world.sessions[33], "dividend", 0.25)])
        return world

    def copied(self, home: Path) -> "World":
        """The same world at another home, with everything made in it so far."""
        shutil.copytree(self.home, home, ignore=shutil.ignore_patterns("dagster"))
        return World(home, self.count, self.resources)

    # The outside

    def write_strategy(self, text: str, name: str) -> Path:
        """Put a strategy file into the folder."""
        path = self.home / "strategies" / name
        path.write_text(text)
        return path

    def write_bars(self, symbol: str, bars: pd.DataFrame) -> None:
        """Make *bars* the file of *symbol*."""
        bars.to_csv(self.daily(symbol))

    def write_actions(self, symbol: str, rows: Sequence[tuple[date, str, float]]) -> None:
        """Make *rows* the actions of *symbol*."""
        frame = pd.DataFrame(rows, columns=["ex_date", "kind", "value"])
        frame.to_csv(self.home / "market" / "actions" / f"{symbol}.csv", index=False)

    def daily(self, symbol: str) -> Path:
        """The file with the bars of *symbol*."""
        return self.home / "market" / "daily" / f"{symbol}.csv"

    def bars(self, symbol: str) -> pd.DataFrame:
        """The bars of *symbol*, as the file has them."""
        return pd.read_csv(self.daily(symbol), index_col="date")

    def restate(self, symbol: str, session: date, factor: float = 1.1) -> None:
        """Multiply the prices of one bar, as a vendor does who was wrong."""
        bars = self.bars(symbol)
        prices = list(FIELDS[:4])
        bars.loc[str(session), prices] = (bars.loc[str(session), prices] * factor).round(2)
        self.write_bars(symbol, bars)

    def split(self, symbol: str, ex_session: date, ratio: int) -> None:
        """Split *symbol* from *ex_session* on, prices and volumes included."""
        bars = self.bars(symbol)
        after = bars.index >= str(ex_session)
        bars.loc[after, list(FIELDS[:4])] = (
            bars.loc[after, list(FIELDS[:4])] / ratio
        ).round(2)
        bars.loc[after, "volume"] *= ratio
        self.write_bars(symbol, bars)
        self.write_actions(symbol, [(ex_session, "split", ratio)])

    # What there is

    @property
    def environment(self) -> dict[str, str]:
        """What names this world to a process."""
        return {
            "TRADING_HOME": str(self.home),
            "TRADING_STRATEGIES": str(self.home / "strategies"),
            "TRADING_MARKET_DATA": f"csv:{self.home / 'market'}",
            "TRADING_MARKET_START": self.market_start.isoformat(),
            "ANTHROPIC_BASE_URL": self.models_at,
        }

    @property
    def process_environment(self) -> dict[str, str]:
        """The environment of a child that works in this world, from our own source."""
        ours = ("TRADING_", "DAGSTER_", "MLFLOW_")
        kept = {name: own for name, own in os.environ.items() if not name.startswith(ours)}
        paths = [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
        return {**kept, **self.environment, "PYTHONPATH": os.pathsep.join(paths)}

    @cached_property
    def settings(self) -> Settings:
        return Settings.from_environment(self.environment)

    @cached_property
    def market(self) -> Market:
        market = market_of(self.settings)
        return market if self.now is None else replace(market, now=self.now)

    @cached_property
    def definitions(self) -> dg.Definitions:
        made = definitions_of(self.settings, self.market)
        if not self.resources:
            return made
        return dg.Definitions(
            assets=made.assets,
            jobs=made.jobs,
            schedules=made.schedules,
            sensors=made.sensors,
            resources={**(made.resources or {}), **self.resources},
            executor=made.executor,
        )

    @cached_property
    def instance(self) -> dg.DagsterInstance:
        folder = self.home / "dagster"
        if not folder.exists():
            shutil.copytree(_empty_history(), folder)
        return _instance_at(folder)

    @cached_property
    def warehouse(self) -> Warehouse:
        return WarehouseResource(path=str(self.settings.warehouse)).create_resource(None)

    @cached_property
    def brokers(self) -> Brokers:
        return brokers_resource(self.settings).create_resource(None)

    @cached_property
    def broker(self) -> Broker:
        return self.brokers.of(self.market.lanes[0].spec, BookLane.SIMULATED)

    @property
    def sessions(self) -> Sequence[date]:
        """Every session that the market has bars of."""
        calendar = trading_calendar()
        at = calendar.position(MARKET_START)
        return calendar.sessions[at : at + self.count]

    @property
    def lane_sessions(self) -> Sequence[date]:
        """Those of them from the strategies' start on."""
        return [session for session in self.sessions if session >= START]

    def lane(self, name: str) -> Lane:
        """The lane of the strategy *name*."""
        found = self.market.lane(name)
        assert found is not None
        return found

    def forget_code(self) -> None:
        """Load strategies anew, as a new process does."""
        for name in ("settings", "market", "definitions"):
            self.__dict__.pop(name, None)

    def tables(
        self, *, without: Iterable[str] = ("charts", OUTCOMES)
    ) -> dict[str, pd.DataFrame]:
        """Every table but its wall clock; charts depend on which run was an evening's.

        So do outcomes: on how often they were looked at.
        """
        with self.warehouse.snapshot():
            read = {
                table.name: self.warehouse.read(table).drop(columns=list(table.wall_clock))
                for table in TABLES
                if table.name not in without
            }
        coverage = read["coverage"]
        of_these = coverage[~coverage["asset"].isin(list(without))]
        return read | {"coverage": of_these.reset_index(drop=True)}

    # Runs

    def run(
        self,
        job: str,
        first: date,
        last: date,
        symbols: Sequence[str] = (),
        assets: Sequence[str] | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> dg.ExecuteInProcessResult:
        """Run a job over a range, to whatever end."""
        suffixes = (f"|{symbols[0]}", f"|{symbols[-1]}") if symbols else ("", "")
        keys = None if assets is None else [dg.AssetKey(own.split("/")) for own in assets]
        with patch.dict(os.environ, RUN_ENVIRONMENT):
            return self.definitions.resolve_job_def(job).execute_in_process(
                instance=self.instance,
                tags={
                    RANGE_START: f"{first}{suffixes[0]}",
                    RANGE_END: f"{last}{suffixes[1]}",
                },
                run_config={**QUIET, **(config or {})},
                asset_selection=keys,
                raise_on_error=False,
            )

    def make_market(
        self,
        first: date | None = None,
        last: date | None = None,
        symbols: Sequence[str] = (),
    ) -> dg.ExecuteInProcessResult:
        """Bars and indicators of a range; all of it if none is named."""
        own = symbols or self.market.symbols
        return self.run(MARKET, first or self.sessions[0], last or self.sessions[-1], own)

    def make_view(
        self,
        name: str,
        first: date | None = None,
        last: date | None = None,
        symbols: Sequence[str] = (),
    ) -> dg.ExecuteInProcessResult:
        """Charts and signals of a range."""
        own, days = symbols or self.lane(name).symbols, self.lane_sessions
        return self.run(view_job_name(name), first or days[0], last or days[-1], own)

    def make_book(
        self,
        name: str,
        first: date | None = None,
        last: date | None = None,
        *,
        only: Sequence[str] = BOOK,
    ) -> dg.ExecuteInProcessResult:
        """Orders to performance of a range, or *only* some of them."""
        days = self.lane_sessions
        assets = [f"{name}/{asset}" for asset in only]
        return self.run(
            book_job_name(name), first or days[0], last or days[-1], assets=assets
        )

    def make_outcomes(
        self,
        name: str,
        first: date | None = None,
        last: date | None = None,
        symbols: Sequence[str] = (),
        *,
        only: Sequence[str] = (OUTCOMES,),
    ) -> dg.ExecuteInProcessResult:
        """Outcomes of the signals of a range, and with *only* (…) also their picture."""
        own, days = symbols or self.lane(name).symbols, self.lane_sessions
        job, assets = outcomes_job_name(name), [f"{name}/{asset}" for asset in only]
        return self.run(job, first or days[0], last or days[-1], own, assets)

    def make_all(self, first: date | None = None, last: date | None = None) -> None:
        """The market, then each strategy's view and book, in one range each."""
        assert self.make_market(last=last).success
        for lane in self.market.lanes:
            assert self.make_view(lane.name, first, last).success
            assert self.make_book(lane.name, first, last).success

    def backfill(self, name: str) -> Backfill:
        """What the command of this name works with."""
        return Backfill.of(self.settings, self.market, self.lane(name).history)

    def backfilled(
        self,
        name: str,
        first: date,
        last: date,
        symbols: tuple[str, ...] = (),
        *,
        outcomes: bool = False,
    ) -> list[str]:
        """Run the parts of a backfill, as the command does; the titles of what was run.

        Without its *outcomes*, which most tests are not about.
        """
        work, titles = self.backfill(name), []
        for part in work.parts(first, last, symbols, with_charts=True):
            if part.job == outcomes_job_name(name) and not outcomes:
                continue
            told: list[Progress] = []
            with patch.dict(os.environ, RUN_ENVIRONMENT):
                work.run(self.definitions, self.instance, part, told.append)
            assert sum(own.materialized for own in told) == part.materializations
            titles.append(part.title)
        return titles


def _instance_at(folder: Path) -> dg.DagsterInstance:
    storage = {
        "module": "trading_assets.defs.run_history",
        "class": "PooledSqliteStorage",
        "config": {"base_dir": str(folder)},
    }
    no_logs = {
        "module": "dagster._core.storage.noop_compute_log_manager",
        "class": "NoOpComputeLogManager",
    }
    settings = {
        "storage": {"custom": storage},
        "compute_logs": no_logs,
        "telemetry": {"enabled": False},
    }
    return dg.DagsterInstance.local_temp(str(folder), overrides=settings)


@cache
def _empty_history() -> Path:
    """A run history without a run: to lay one out takes much longer than to copy it."""
    folder = Path(tempfile.mkdtemp(prefix="trading-history-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    _instance_at(folder).dispose()
    return folder


def assert_same_tables(
    found: Mapping[str, pd.DataFrame], expected: Mapping[str, pd.DataFrame]
) -> None:
    """Every table is the other's, to the last bit."""
    assert found.keys() == expected.keys()
    for name, rows in found.items():
        pd.testing.assert_frame_equal(
            rows, expected[name], check_exact=True, obj=f"table {name}"
        )


def faults_of(result: dg.ExecuteInProcessResult) -> str:
    """What the failed steps of a run said, and which checks stopped it."""
    told = []
    for event in result.all_events:
        if event.is_step_failure and event.step_failure_data.error:
            error = event.step_failure_data.error
            told.append((error.cause or error).message.strip())
    return "\n".join(told)


def verdicts(result: dg.ExecuteInProcessResult) -> dict[str, bool]:
    """Whether each check of a run has passed, by asset and name."""
    return {
        f"{own.asset_key.to_user_string()}:{own.check_name}": own.passed
        for own in result.get_asset_check_evaluations()
    }


def made_by(result: dg.ExecuteInProcessResult) -> set[str]:
    """Assets that a run materialized."""
    return {
        event.asset_key.to_user_string()
        for event in result.get_asset_materialization_events()
        if event.asset_key
    }
