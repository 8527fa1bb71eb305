"""What Dagster itself costs per materialization: assets of our shape that do nothing.

``python -m benchmarks.floor`` runs them on our run history and a sample of them on
Dagster's own SQLite storage, and prints both and their ratio.
"""

import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, time
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, process_time

import dagster as dg
import yaml

from trading_assets.defs.run_history import RUN_ENVIRONMENT
from trading_assets.sessions import trading_calendar

INSTANCE = Path(__file__).parents[1] / "dagster.yaml"
MARKET_START = date(2018, 1, 2)  # six years before the strategy, as by default
STRATEGY_START = date(2024, 1, 2)
LAST_DAY = date(2026, 12, 31)
SYMBOLS = 10
SESSIONS = 252
SAMPLE_SESSIONS = 10  # Dagster's own storage needs minutes for a year
TIMEZONE = "Etc/GMT-3"
RANGE_START = "dagster/asset_partition_range_start"
RANGE_END = "dagster/asset_partition_range_end"
OUR_STORAGE = yaml.safe_load(INSTANCE.read_text())["storage"]
STOCK_STORAGE = {"sqlite": {"base_dir": {"env": "DAGSTER_HOME"}}}
AS_IT_COMES = dict.fromkeys(RUN_ENVIRONMENT, "0")
WHOLE_RANGE = dg.BackfillPolicy.single_run()


@dataclass(frozen=True, slots=True)
class Timing:
    """What some runs took.

    Attributes:
        wall_seconds: By the clock on the wall.
        cpu_seconds: Of this process, all threads.
        materializations: How many they recorded.
    """

    wall_seconds: float
    cpu_seconds: float
    materializations: int

    @property
    def wall_ms(self) -> float:
        """Wall clock per materialization, milliseconds."""
        return self.wall_seconds / self.materializations * 1000

    @property
    def cpu_ms(self) -> float:
        """Processor time per materialization, milliseconds."""
        return self.cpu_seconds / self.materializations * 1000


def run_floor(home: Path, symbols: int, sessions: int) -> Timing:
    """What a market, a view and a book run over a range take when the assets do nothing.

    Args:
        home: An empty folder, for the Dagster instance.
        symbols: How many symbols, 1 to 1,000.
        sessions: How many sessions from `STRATEGY_START`, 1 to 700.
    """
    return run_ranges(home, OUR_STORAGE, RUN_ENVIRONMENT, symbols, sessions)


def main() -> None:
    """Print what a materialization costs on our run history, and on Dagster's own."""
    with TemporaryDirectory() as home:
        floor = run_floor(Path(home), SYMBOLS, SESSIONS)
    with TemporaryDirectory() as home:
        ours = run_floor(Path(home), SYMBOLS, SAMPLE_SESSIONS)
    with TemporaryDirectory() as home:
        stock = run_ranges(Path(home), STOCK_STORAGE, AS_IT_COMES, SYMBOLS, SAMPLE_SESSIONS)
    print(line("floor, our run history", floor))
    print(line("sample, our run history", ours))
    print(line("sample, Dagster's SQLite storage", stock))
    print(f"ratio of the samples: {stock.wall_ms / ours.wall_ms:.0f} x")
    print(f"ratio to the floor: {stock.wall_ms / floor.wall_ms:.0f} x")


def line(name: str, timing: Timing) -> str:
    """*timing* as one line of a report."""
    return (
        f"{name}: {timing.materializations:,} materializations in"
        f" {timing.wall_seconds:.2f} s, each {timing.wall_ms:.3f} ms"
        f" ({timing.cpu_ms:.3f} ms of processor)"
    )


def run_ranges(
    home: Path,
    storage: Mapping[str, object],
    environment: Mapping[str, str],
    symbols: int,
    sessions: int,
) -> Timing:
    """What the three runs take on any storage.

    Args:
        home: A folder for the Dagster instance; a second call adds to its history.
        storage: The section ``storage`` of `dagster.yaml`.
        environment: Variables that are set while they run.
        symbols: How many symbols, 1 to 1,000.
        sessions: How many sessions from `STRATEGY_START`, 1 to 700.
    """
    names = [f"S{number:03}" for number in range(symbols)]
    ranges = _ranges(names, sessions)
    definitions = _definitions(names)
    settings = {**yaml.safe_load(INSTANCE.read_text()), "storage": dict(storage)}
    (home / "dagster.yaml").write_text(yaml.safe_dump(settings))
    with (
        _environment({**environment, "DAGSTER_HOME": str(home)}),
        dg.DagsterInstance.from_config(str(home)) as instance,
    ):
        wall, cpu, made = perf_counter(), process_time(), 0
        for job, (start, end) in ranges.items():
            result = definitions.resolve_job_def(job).execute_in_process(
                instance=instance, tags={RANGE_START: start, RANGE_END: end}
            )
            made += sum(event.is_step_materialization for event in result.all_events)
        return Timing(perf_counter() - wall, process_time() - cpu, made)


def _ranges(symbols: list[str], sessions: int) -> dict[str, tuple[str, str]]:
    """First and last partition of each job, in the order in which they run."""
    days = trading_calendar().between(STRATEGY_START, LAST_DAY)[:sessions]
    first, last = days[0].isoformat(), days[-1].isoformat()
    cells = (f"{first}|{symbols[0]}", f"{last}|{symbols[-1]}")
    return {"market": cells, "view": cells, "book": (first, last)}


@contextmanager
def _environment(variables: Mapping[str, str]) -> Generator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _definitions(symbols: list[str]) -> dg.Definitions:
    """Market, view and book of one strategy, with partitions as ours are."""
    market = _by_symbol(MARKET_START, symbols)
    view, book = _by_symbol(STRATEGY_START, symbols), _sessions(STRATEGY_START)
    bars = _asset(["bars"], market)
    indicators = _asset(["indicators"], market, bars)
    signals = _asset(["floor", "signals"], view, indicators)
    all_symbols = dg.MultiToSingleDimensionPartitionMapping("session")
    signals_of_session = dg.AssetDep(signals, partition_mapping=all_symbols)
    orders = _asset(["floor", "orders"], book, signals_of_session)
    fills = _asset(["floor", "fills"], book, orders)
    portfolio = _asset(["floor", "portfolio"], book, fills)
    performance = _asset(["floor", "performance"], None, portfolio)
    jobs = {
        "market": [bars, indicators],
        "view": [signals],
        "book": [orders, fills, portfolio, performance],
    }
    return dg.Definitions(
        assets=[asset for assets in jobs.values() for asset in assets],
        jobs=[dg.define_asset_job(job, selection=assets) for job, assets in jobs.items()],
    )


def _asset(
    key: list[str],
    partitions: dg.PartitionsDefinition | None,
    *deps: dg.AssetsDefinition | dg.AssetDep,
) -> dg.AssetsDefinition:
    @dg.asset(
        key=key,
        group_name="market" if len(key) == 1 else key[0],
        partitions_def=partitions,
        backfill_policy=WHOLE_RANGE,
        deps=deps,
    )
    def nothing() -> None:
        """Nothing."""

    return nothing


def _sessions(first: date) -> dg.DailyPartitionsDefinition:
    closures = trading_calendar().weekday_closures(first, LAST_DAY)
    return dg.DailyPartitionsDefinition(
        start_date=first.isoformat(),
        timezone=TIMEZONE,
        exclusions=["0 0 * * 6,0", *(datetime.combine(day, time.min) for day in closures)],
    )


def _by_symbol(first: date, symbols: list[str]) -> dg.MultiPartitionsDefinition:
    return dg.MultiPartitionsDefinition(
        {"session": _sessions(first), "symbol": dg.StaticPartitionsDefinition(symbols)}
    )


if __name__ == "__main__":
    main()
