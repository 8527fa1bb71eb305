"""Our run history answers as Dagster's own SQLite storage does.

Every scenario is stored in both, event by event in Dagster's, and what can be read from
them, through the interface and from the tables, is compared.
"""

import contextlib
import multiprocessing
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import psutil
import pytest
from dagster._core.definitions.asset_checks.asset_check_spec import AssetCheckKey
from dagster._core.events import DagsterEventType
from dagster._core.storage.event_log.base import EventRecordsFilter
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from dagster._core.storage.partition_status_cache import (
    get_and_update_asset_status_cache_value,
)
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from dagster._serdes import serialize_value
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trading_assets.defs import run_history
from trading_assets.defs.event_texts import OWN_OF_MATERIALIZATION
from trading_assets.defs.run_history import (
    IDLE_RUNS,
    RUN_ENVIRONMENT,
    HeldDatabases,
    PooledSqliteEventLogStorage,
    PooledSqliteRunStorage,
    PooledSqliteStorage,
)
from trading_assets.errors import InvalidInput

LONG = os.environ.get("TRADING_TEST_PROFILE") == "long"
ROOT = Path(__file__).parents[2]
RANGE_START = "dagster/asset_partition_range_start"
RANGE_END = "dagster/asset_partition_range_end"

SESSIONS = dg.DailyPartitionsDefinition(start_date="2024-01-01", end_date="2024-02-01")
CELLS = dg.MultiPartitionsDefinition(
    {"session": SESSIONS, "symbol": dg.StaticPartitionsDefinition(["AAPL", "MSFT"])}
)
WHOLE = dg.BackfillPolicy.single_run()
BARS, SEEN, BOOK = dg.AssetKey("bars"), dg.AssetKey("seen"), dg.AssetKey(["s", "book"])
CHECK = AssetCheckKey(BARS, "bars_make_sense")


@dg.asset(key=BARS, partitions_def=CELLS, backfill_policy=WHOLE, code_version="1")
def bars(context: dg.AssetExecutionContext) -> None:
    context.log.info("a line that is no event of Dagster's")
    for cell in context.partition_keys:
        context.add_asset_metadata({"rows": len(cell), "of": cell}, partition_key=cell)


@dg.asset(key=BOOK, partitions_def=SESSIONS, backfill_policy=WHOLE)
def book(context: dg.AssetExecutionContext) -> None:
    context.log_event(dg.AssetObservation(SEEN, metadata={"at": 1.5}))
    if "fail" in context.run.tags:
        raise RuntimeError("as asked")


@dg.asset_check(asset=BARS)
def bars_make_sense(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
    for cell in ("2024-01-02|AAPL", "2024-01-02|MSFT"):
        context.op_execution_context.log_event(
            dg.AssetCheckEvaluation(
                asset_key=BARS,
                check_name="bars_make_sense",
                passed=cell.endswith("L"),
                metadata={},
                partition=cell,
            )
        )
    return dg.AssetCheckResult(passed=True, metadata={"broken": 0})


DEFINITIONS = dg.Definitions(
    assets=[bars, book],
    asset_checks=[bars_make_sense],
    jobs=[
        dg.define_asset_job("market", dg.AssetSelection.assets(BARS)),
        dg.define_asset_job("books", dg.AssetSelection.assets(BOOK)),
    ],
)


def execute(
    instance: dg.DagsterInstance, job: str, first: str, last: str, **tags: str
) -> dg.ExecuteInProcessResult:
    return DEFINITIONS.resolve_job_def(job).execute_in_process(
        instance=instance,
        tags={RANGE_START: first, RANGE_END: last, **tags},
        raise_on_error=False,
    )


Story = Sequence[tuple[dg.DagsterRun, Sequence[dg.EventLogEntry]]]


@pytest.fixture(scope="module")
def story() -> Story:
    """Runs as they happened, and every event of each."""
    with dg.DagsterInstance.ephemeral() as instance:
        results = [
            execute(instance, "market", "2024-01-02|AAPL", "2024-01-04|MSFT"),
            execute(instance, "books", "2024-01-02", "2024-01-03"),
            execute(instance, "books", "2024-01-04", "2024-01-05", fail="yes"),
            execute(instance, "market", "2024-01-03|AAPL", "2024-01-03|AAPL"),
        ]
        return [
            (without_snapshots(result.dagster_run), instance.all_logs(result.run_id))
            for result in results
        ]


def without_snapshots(run: dg.DagsterRun) -> dg.DagsterRun:
    """*run* as an instance accepts it that has not seen its job."""
    return run._replace(job_snapshot_id=None, execution_plan_snapshot_id=None)


def settings_of(home: Path, *, ours: bool) -> str:
    ours_yaml = (ROOT / "dagster.yaml").read_text()
    custom = ours_yaml[ours_yaml.index("storage:\n") : ours_yaml.index("# A pool")]
    if ours:
        return ours_yaml.replace("{env: DAGSTER_HOME}", str(home))
    return ours_yaml.replace(custom, f"storage: {{sqlite: {{base_dir: {home}}}}}\n\n")


@contextlib.contextmanager
def history(home: Path, *, ours: bool = True) -> Iterator[dg.DagsterInstance]:
    home.mkdir(exist_ok=True)
    draft = home / f"dagster.yaml.{os.getpid()}.{threading.get_ident()}"
    draft.write_text(settings_of(home, ours=ours))
    draft.replace(home / "dagster.yaml")  # others may be reading it
    with dg.DagsterInstance.from_config(str(home)) as instance:
        yield instance


def tell(instance: dg.DagsterInstance, story: Story, batch: int = 1) -> None:
    """Store *story* in batches of at most *batch* events; 1 stores them one by one."""
    for run, events in story:
        instance.run_storage.add_run(run)
        for first in range(0, len(events), batch):
            part = events[first : first + batch]
            if batch == 1:
                instance.event_log_storage.store_event(part[0])
            else:
                instance.event_log_storage.store_event_batch(part)


TABLES = (
    "event_logs",
    "asset_keys",
    "asset_event_tags",
    "asset_check_executions",
    "alembic_version",
    "dynamic_partitions",
    "concurrency_slots",
    "concurrency_limits",
)


def tables(home: Path) -> dict[str, list[Any]]:
    """What the files of *home* hold, but for the instants at which rows were written."""
    files = sorted((home / "history/runs").glob("*.db"))
    found: dict[str, list[Any]] = {}
    for file in files:
        with contextlib.closing(sqlite3.connect(file)) as connection:
            connection.row_factory = sqlite3.Row
            layout = connection.execute("SELECT name, sql FROM sqlite_master ORDER BY name")
            found[f"{file.name} layout"] = sorted(tuple(row) for row in layout)
            for table in TABLES:
                rows = [dict(row) for row in connection.execute(f"SELECT * FROM {table}")]  # noqa: S608 - our own list
                for row in rows:
                    for column in ("create_timestamp", "update_timestamp"):
                        row.pop(column, None)
                found[f"{file.name} {table}"] = rows
    return found


def answers(instance: dg.DagsterInstance, story: Story) -> dict[str, Any]:
    """What the interface says of everything in *story*."""
    log = instance.event_log_storage
    run_ids = [run.run_id for run, _ in story]
    unfinished = (
        log.get_latest_asset_partition_materialization_attempts_without_materializations
    )
    first = run_ids[0]
    page = log.get_records_for_run(first, limit=7)
    return {
        "logs": {run: log.get_logs_for_run(run) for run in run_ids},
        "page": page,
        "next page": log.get_records_for_run(first, cursor=page.cursor, limit=7),
        "last page": log.get_records_for_run(first, limit=5, ascending=False),
        "of a type": log.get_logs_for_run(
            first, of_type=DagsterEventType.ASSET_MATERIALIZATION, limit=3
        ),
        "no such run": log.get_logs_for_run("never-started"),
        "stats": [log.get_stats_for_run(run) for run in run_ids],
        "steps": [log.get_step_stats_for_run(run) for run in run_ids],
        "run ids": sorted(log.get_all_run_ids()),  # pyright: ignore[reportAttributeAccessIssue]
        "assets": log.all_asset_keys(),
        "records": [
            (
                record.storage_id,
                record.asset_entry.last_materialization_record,
                record.asset_entry.last_run_id,
                record.asset_entry.cached_status,
                record.asset_entry.asset_details is None,
            )
            for record in log.get_asset_records([BARS, BOOK, SEEN])
        ],
        "latest": log.get_latest_materialization_events([BARS, BOOK, SEEN]),
        "partitions": [
            sorted(log.get_materialized_partitions(key)) for key in (BARS, BOOK)
        ],
        "latest ids": log.get_latest_storage_id_by_partition(
            BARS, DagsterEventType.ASSET_MATERIALIZATION
        ),
        "latest tags": log.get_latest_tags_by_partition(
            BARS, DagsterEventType.ASSET_MATERIALIZATION, ["dagster/data_version"]
        ),
        "tags": [dict(tags) for tags in log.get_event_tags_for_asset(BARS)],
        "tags of a symbol": log.get_event_tags_for_asset(
            BARS, filter_tags={"dagster/partition/symbol": "MSFT"}
        ),
        "fetched": log.fetch_materializations(
            dg.AssetRecordsFilter(asset_key=BARS, asset_partitions=["2024-01-03|AAPL"]), 10
        ),
        "fetched by page": log.fetch_materializations(BARS, 3, cursor=None, ascending=True),
        "observed": log.fetch_observations(SEEN, 10),
        "across runs": sorted(  # runs of the same second are in any order
            log.get_event_records(EventRecordsFilter(DagsterEventType.STEP_START)),
            key=lambda record: (record.run_id, record.storage_id),
        ),
        "statuses": log.fetch_run_status_changes(DagsterEventType.RUN_FAILURE, 10),
        "all statuses": [
            log.fetch_run_status_changes(DagsterEventType.RUN_SUCCESS, 1, ascending=True),
            log.fetch_run_status_changes(DagsterEventType.RUN_START, 10),
        ],
        "planned": log.get_latest_planned_materialization_info(BOOK, "2024-01-04"),
        "unfinished": unfinished(BOOK),
        "checks": [
            record._replace(create_timestamp=0)
            for record in log.get_asset_check_execution_history(CHECK, 10)
        ],
        "latest check": {
            key: record._replace(create_timestamp=0)
            for key, record in log.get_latest_asset_check_execution_by_key([CHECK]).items()
        },
        "status": get_and_update_asset_status_cache_value(instance, BARS, CELLS),
        "last id": log.get_maximum_record_id(),
        "dynamic": log.get_dynamic_partitions("symbols"),
        "pools": log.get_pool_limits(),
        "slots": [
            log.get_concurrency_info(key) for key in sorted(log.get_concurrency_keys())
        ],
    }


@pytest.fixture(scope="module")
def stock_home(story: Story, tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("stock")
    with history(home, ours=False) as instance:
        tell(instance, story)
    return home


def as_stock(stock_home: Path, tmp_path: Path) -> Path:
    """A copy of what Dagster's own storage holds, to be changed."""
    return Path(shutil.copytree(stock_home, tmp_path / "stock"))


class TestSameAnswers:
    """Whatever is stored, both storages hold and say the same."""

    @pytest.mark.parametrize("batch", [1, 2, 7, 1000])
    def test_tables_are_those_of_single_events(
        self, story: Story, stock_home: Path, tmp_path: Path, batch: int
    ) -> None:
        with history(tmp_path / "ours") as instance:
            tell(instance, story, batch)

        assert tables(tmp_path / "ours") == tables(stock_home)

    def test_every_question_has_the_same_answer(
        self, story: Story, stock_home: Path, tmp_path: Path
    ) -> None:
        stock = as_stock(stock_home, tmp_path)
        with history(tmp_path / "ours") as ours, history(stock, ours=False) as stocks:
            tell(ours, story, batch=5)

            assert answers(ours, story) == answers(stocks, story)

    def test_each_reads_what_the_other_wrote(
        self, story: Story, stock_home: Path, tmp_path: Path
    ) -> None:
        stock = as_stock(stock_home, tmp_path)
        with history(tmp_path / "ours") as ours:
            tell(ours, story, batch=50)
        with history(tmp_path / "ours", ours=False) as read_by_stock:
            by_stock = answers(read_by_stock, story)
        with history(stock) as read_by_ours:
            by_ours = answers(read_by_ours, story)

        assert by_ours == by_stock

    @settings(
        max_examples=60 if LONG else 6,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
    @given(cuts=st.lists(st.integers(1, 120), max_size=12))
    def test_any_cut_into_batches_stores_the_same(
        self,
        story: Story,
        stock_home: Path,
        tmp_path_factory: pytest.TempPathFactory,
        cuts: list[int],
    ) -> None:
        home = tmp_path_factory.mktemp("cut")
        events = [event for _, of_run in story for event in of_run]
        bounds = [0, *sorted({cut for cut in cuts if cut < len(events)}), len(events)]
        with history(home) as ours:
            for first, last in pairwise(bounds):
                ours.event_log_storage.store_event_batch(events[first:last])

        assert tables(home) == tables(stock_home)

    @pytest.mark.parametrize(
        "change",
        [
            pytest.param(lambda log, _: log.wipe_asset(BARS), id="wipe an asset"),
            pytest.param(lambda log, run: log.delete_events(run), id="delete a run"),
            pytest.param(lambda log, _: log.wipe(), id="wipe everything"),
            pytest.param(
                lambda log, _: log.wipe_asset_cached_status(BARS), id="forget a status"
            ),
            pytest.param(
                lambda log, _: log.add_dynamic_partitions("symbols", ["A", "B"]),
                id="add partitions",
            ),
            pytest.param(
                lambda log, run: (
                    log.set_concurrency_slots("warehouse", 1),
                    log.claim_concurrency_slot("warehouse", run, "bars"),
                    log.claim_concurrency_slot("warehouse", "other", "bars"),
                    log.free_concurrency_slots_for_run(run),
                ),
                id="take turns in a pool",
            ),
            pytest.param(
                lambda log, _: log.initialize_concurrency_limit_to_default("warehouse"),
                id="a pool of the default size",
            ),
            pytest.param(lambda log, _: log.upgrade(), id="upgrade"),
            pytest.param(lambda log, _: log.reindex_assets(force=True), id="reindex"),
        ],
    )
    def test_a_change_leaves_the_same(
        self,
        story: Story,
        stock_home: Path,
        tmp_path: Path,
        change: Callable[[Any, str], object],
    ) -> None:
        stock = as_stock(stock_home, tmp_path)
        run_id = story[0][0].run_id
        with history(tmp_path / "ours") as ours, history(stock, ours=False) as stocks:
            tell(ours, story, batch=1000)
            for instance in (ours, stocks):
                get_and_update_asset_status_cache_value(instance, BARS, CELLS)
                change(instance.event_log_storage, run_id)

            assert without_clocks(answers(ours, story)) == without_clocks(
                answers(stocks, story)
            )

    def test_an_asset_that_was_wiped_comes_back(
        self, story: Story, stock_home: Path, tmp_path: Path
    ) -> None:
        stock = as_stock(stock_home, tmp_path)
        again = [event._replace(timestamp=time.time() + 60) for event in story[3][1]]
        with history(tmp_path / "ours") as ours, history(stock, ours=False) as stocks:
            tell(ours, story, batch=1000)
            for instance in (ours, stocks):
                instance.event_log_storage.wipe_asset(BARS)
            ours.event_log_storage.store_event_batch(again)
            for event in again:
                stocks.event_log_storage.store_event(event)

            assert answers(ours, story) == answers(stocks, story)


def without_clocks(found: dict[str, Any]) -> dict[str, Any]:
    """*found* without the instants at which a wipe or a claim happened."""
    slots = [
        (
            info.concurrency_key,
            info.limit,
            info.slot_count,
            [(slot.run_id, slot.step_key) for slot in info.claimed_slots],
            [(step.run_id, step.step_key) for step in info.pending_steps],
        )
        for info in found["slots"]
    ]
    return {**found, "slots": slots}


class TestTexts:
    """Events are serialised as Dagster does, also where neighbours share an envelope."""

    def test_every_event_is_stored_as_dagster_serialises_it(self, story: Story) -> None:
        events = [event for _, of_run in story for event in of_run]

        texts = [row.event for row in run_history._event_rows(events)]

        assert texts == [serialize_value(event) for event in events]

    def test_text_that_looks_like_an_envelope_is_left_alone(self, story: Story) -> None:
        event = next(e for e in story[0][1] if e.dagster_event_type in MATERIALIZED)
        awkward = event._replace(
            user_message='"event_specific_data": null, "timestamp": 0.0',
            job_name="\\",
            timestamp=1e9 / 3,
        )

        texts = [row.event for row in run_history._event_rows([event, awkward, event])]

        assert texts == [serialize_value(e) for e in (event, awkward, event)]

    def test_whatever_is_told_of_a_partition_is_written(self, story: Story) -> None:
        event = next(e for e in story[0][1] if e.dagster_event_type in MATERIALIZED)
        value = dg.MetadataValue
        told = [
            {"close": value.float(1 / 3), "rows": value.int(3)},
            {"close": value.float(float("nan")), "best": value.float(float("inf"))},
            {"close": value.float(float(np.float64(0.1)) * 1e300)},
            {"action": value.text('a "quoted" €\n'), "none": value.text("")},
            {'"odd" \\ name': value.md("| a |"), "chart": value.path("charts/a.png")},
            {"many": value.json({"b": [1, None], "a": "x"}), "told": value.bool(True)},
            {OWN_OF_MATERIALIZATION: value.text(OWN_OF_MATERIALIZATION)},
            {},
        ]
        events = [with_metadata(event, metadata) for metadata in told]
        other = with_metadata(event, {}, description=OWN_OF_MATERIALIZATION)

        texts = [row.event for row in run_history._event_rows([*events, other, event])]

        assert texts == [serialize_value(each) for each in (*events, other, event)]


def with_metadata(
    event: dg.EventLogEntry, metadata: dict[str, Any], description: str | None = None
) -> dg.EventLogEntry:
    """*event* of a materialization of which something else is told."""
    of_dagster = event.dagster_event
    assert of_dagster is not None
    data = of_dagster.step_materialization_data
    made = data.materialization._replace(metadata=metadata, description=description)
    specific = data._replace(materialization=made)
    return event._replace(dagster_event=of_dagster._replace(event_specific_data=specific))


MATERIALIZED = (DagsterEventType.ASSET_MATERIALIZATION,)


class TestAtomicity:
    """A batch is there as a whole or not at all."""

    def test_a_batch_that_fails_leaves_nothing(self, story: Story, tmp_path: Path) -> None:
        events = list(story[0][1])
        broken = events[5]._replace(run_id=events[5].run_id, level=object())  # pyright: ignore[reportArgumentType]
        with history(tmp_path / "ours") as ours:
            log = ours.event_log_storage
            with pytest.raises(Exception, match="Unhandled value type"):
                log.store_event_batch([*events, broken])

            assert log.get_logs_for_run(events[0].run_id) == []
            assert log.get_maximum_record_id() is None

    def test_a_full_index_takes_back_what_the_run_was_told(
        self, story: Story, tmp_path: Path
    ) -> None:
        events = story[0][1]
        with history(tmp_path / "ours") as ours:
            log = ours.event_log_storage
            index = tmp_path / "ours/history/runs/index.db"
            with contextlib.closing(sqlite3.connect(index)) as connection:
                connection.execute(
                    "CREATE TRIGGER full BEFORE INSERT ON asset_event_tags"
                    " BEGIN SELECT RAISE(ABORT, 'full'); END"
                )
                with pytest.raises(Exception, match="full"):
                    log.store_event_batch(events)
                connection.execute("DROP TRIGGER full")

            assert log.get_logs_for_run(events[0].run_id) == []
            log.store_event_batch(events)
            assert log.get_logs_for_run(events[0].run_id) == list(events)


class TestWatching:
    """Whoever watches a run is told each event once, in order, from any process."""

    @pytest.fixture
    def two(self, tmp_path: Path) -> Iterator[list[PooledSqliteEventLogStorage]]:
        storages = [PooledSqliteEventLogStorage(str(tmp_path)) for _ in range(2)]
        yield storages
        for storage in storages:
            storage.dispose()

    def test_a_watcher_hears_what_another_storage_writes(
        self, story: Story, two: list[PooledSqliteEventLogStorage]
    ) -> None:
        web, run = two
        heard: list[dg.EventLogEntry] = []
        events = story[0][1]
        run.store_event_batch(events[:5])
        cursor = web.get_records_for_run(events[0].run_id).cursor

        web.watch(events[0].run_id, cursor, lambda event, _: heard.append(event))
        run.store_event(events[5])
        run.store_event_batch(events[6:])
        wait_until(lambda: len(heard) >= len(events) - 5)

        assert heard == list(events[5:])

    def test_an_ended_watch_hears_no_more(
        self, story: Story, two: list[PooledSqliteEventLogStorage]
    ) -> None:
        web, run = two
        heard: dict[str, list[str]] = {"stays": [], "leaves": []}
        run_id, events = story[0][0].run_id, story[0][1]
        stays, leaves = (
            lambda _, cursor: heard["stays"].append(cursor),
            lambda _, cursor: heard["leaves"].append(cursor),
        )
        web.watch(run_id, None, stays)
        web.watch(run_id, None, leaves)
        run.store_event(events[0])
        wait_until(lambda: len(heard["stays"]) == len(heard["leaves"]) == 1)

        web.end_watch(run_id, leaves)
        run.store_event(events[1])
        wait_until(lambda: len(heard["stays"]) == 2)

        assert heard == {"stays": ["1", "2"], "leaves": ["1"]} or len(heard["leaves"]) == 1

    def test_a_watcher_that_fails_does_not_silence_others(
        self, story: Story, two: list[PooledSqliteEventLogStorage]
    ) -> None:
        web, run = two
        heard: list[str] = []
        run_id, events = story[0][0].run_id, story[0][1]

        def fails(_event: dg.EventLogEntry, _cursor: str) -> None:
            raise RuntimeError("as asked")

        web.watch(run_id, None, fails)
        web.watch(run_id, None, lambda _, cursor: heard.append(cursor))
        run.store_event_batch(events[:3])
        wait_until(lambda: len(heard) == 3)

        assert len(heard) == 3

    def test_nobody_watching_leaves_no_thread(
        self, story: Story, two: list[PooledSqliteEventLogStorage]
    ) -> None:
        web, _ = two
        run_id = story[0][0].run_id

        def callback(_event: dg.EventLogEntry, _cursor: str) -> None:
            """Hear nothing."""

        web.watch(run_id, None, callback)
        web.end_watch(run_id, callback)
        wait_until(lambda: "run-history" not in {t.name for t in threading.enumerate()})

        assert "run-history" not in {t.name for t in threading.enumerate()}


def wait_until(holds: Callable[[], bool], seconds: float = 20) -> None:
    until = time.monotonic() + seconds
    while not holds() and time.monotonic() < until:
        time.sleep(0.02)


class TestFiles:
    """Files are held open, but not too many, and never ones that are gone."""

    def test_only_so_many_runs_stay_open(self, tmp_path: Path) -> None:
        storage = PooledSqliteEventLogStorage(str(tmp_path))
        for run in range(IDLE_RUNS + 5):
            storage.get_logs_for_run(f"run-{run}")

        held = open_databases(tmp_path)
        storage.dispose()

        assert len(held) == IDLE_RUNS
        assert "run-0.db" not in held

    def test_dispose_closes_every_file(self, story: Story, tmp_path: Path) -> None:
        with history(tmp_path / "ours") as ours:
            tell(ours, story, batch=1000)
            ours.event_log_storage.watch("a-run", None, lambda *_: None)
            assert open_databases(tmp_path)

        assert open_databases(tmp_path) == set()

    def test_a_disposed_storage_opens_again(self, story: Story, tmp_path: Path) -> None:
        storage = PooledSqliteEventLogStorage(str(tmp_path))
        storage.store_event_batch(story[0][1])
        storage.dispose()

        assert storage.get_logs_for_run(story[0][0].run_id) == list(story[0][1])
        storage.dispose()

    def test_a_file_wiped_by_another_process_is_opened_anew(
        self, story: Story, tmp_path: Path
    ) -> None:
        run_id, events = story[0][0].run_id, story[0][1]
        holding = PooledSqliteEventLogStorage(str(tmp_path))
        other = PooledSqliteEventLogStorage(str(tmp_path))
        holding.store_event_batch(events)

        other.wipe()
        other.store_event_batch(events[:2])
        holding.store_event(events[2])

        assert other.get_logs_for_run(run_id) == list(events[:3])
        holding.dispose()
        other.dispose()

    def test_a_home_that_was_removed_is_laid_out_again(
        self, story: Story, tmp_path: Path
    ) -> None:
        storage = PooledSqliteEventLogStorage(str(tmp_path))
        storage.store_event_batch(story[0][1])
        for file in tmp_path.iterdir():
            file.unlink()

        storage.store_event_batch(story[0][1])

        assert storage.has_asset_key(BARS)
        storage.dispose()

    def test_a_thread_joins_its_own_transaction(self, tmp_path: Path) -> None:
        held = HeldDatabases()
        path = str(tmp_path / "a.db")
        with held.transaction(path) as connection:
            connection.exec_driver_sql("CREATE TABLE t (x)")
        with contextlib.suppress(RuntimeError), held.transaction(path) as outer:
            with held.transaction(path) as inner:
                inner.exec_driver_sql("INSERT INTO t VALUES (1)")
            assert outer is inner
            raise RuntimeError

        with held.transaction(path) as connection:
            assert connection.exec_driver_sql("SELECT count(*) FROM t").scalar() == 0
        held.close()


def open_databases(folder: Path) -> set[str]:
    files = (Path(file.path) for file in psutil.Process().open_files())
    return {
        file.name
        for file in files
        if file.is_relative_to(folder) and file.suffix == ".db" and file.name != "index.db"
    }


WRITE = """
import sys
from trading_assets_tests.defs.test_run_history import write_runs
write_runs(*sys.argv[1:])
"""


def child(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WRITE, *arguments],
        cwd=ROOT,
        env={**os.environ, **RUN_ENVIRONMENT},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def write_runs(home: str, runs: str) -> None:
    """In a child: one range after another, and a question after each."""
    with history(Path(home)) as instance:
        for _ in range(int(runs)):
            result = execute(instance, "market", "2024-01-02|AAPL", "2024-01-31|MSFT")
            assert result.success
            assert len(instance.event_log_storage.get_materialized_partitions(BARS)) == 60
            sys.stdout.write(result.run_id + "\n")
            sys.stdout.flush()


class TestManyWriters:
    """Threads and processes share a home without waiting for ever or losing anything."""

    def test_processes_write_at_once(self, tmp_path: Path) -> None:
        runs = 6 if LONG else 2
        children = [child(str(tmp_path / "ours"), str(runs)) for _ in range(4)]
        outputs = [process.communicate(timeout=120) for process in children]

        assert [process.returncode for process in children] == [0] * 4, outputs
        assert not any("locked" in errors for _, errors in outputs)
        with history(tmp_path / "ours") as ours:
            log = ours.event_log_storage
            written = [run for out, _ in outputs for run in out.split()]
            stats = [log.get_stats_for_run(run).materializations for run in written]
            assert stats == [60] * (4 * runs)
            of_bars = log.fetch_materializations(BARS, 10_000).records
            assert len(of_bars) == 60 * 4 * runs

    def test_threads_write_and_read_at_once(self, story: Story, tmp_path: Path) -> None:
        storage = PooledSqliteEventLogStorage(str(tmp_path))
        failures: list[BaseException] = []

        def work(number: int) -> None:
            try:
                for event in story[0][1]:
                    storage.store_event(event._replace(run_id=f"run-{number}"))
                    storage.get_logs_for_run(f"run-{(number + 1) % 8}")
                    storage.get_materialized_partitions(BARS)
            except BaseException as failure:  # noqa: BLE001 - reported below
                failures.append(failure)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert failures == []
        assert [len(storage.get_logs_for_run(f"run-{n}")) for n in range(8)] == [
            len(story[0][1])
        ] * 8
        storage.dispose()

    def test_several_may_lay_out_the_same_file(self, tmp_path: Path) -> None:
        storages = [PooledSqliteEventLogStorage(str(tmp_path)) for _ in range(6)]
        for run in range(10):
            together = threading.Barrier(len(storages))
            with ThreadPoolExecutor(len(storages)) as pool:
                found = [
                    pool.submit(
                        lambda log, run: (together.wait(), log.get_logs_for_run(run)),  # noqa: B023 - awaited below
                        storage,
                        f"run-{run}",
                    )
                    for storage in storages
                ]
            assert [one.result()[1] for one in found] == [[]] * len(storages)

        for storage in storages:
            storage.dispose()

    def test_a_killed_run_leaves_what_it_had_stored(self, tmp_path: Path) -> None:
        home = tmp_path / "ours"
        process = child(str(home), "1000")
        assert process.stdout is not None
        done = process.stdout.readline().strip()
        process.send_signal(signal.SIGKILL)
        process.wait()

        for file in (home / "history/runs").glob("*.db"):
            with contextlib.closing(sqlite3.connect(file)) as connection:
                assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        with history(home) as ours:
            assert ours.event_log_storage.get_stats_for_run(done).materializations == 60
            for run in ours.get_runs():
                ours.event_log_storage.get_logs_for_run(run.run_id)
            assert execute(ours, "market", "2024-01-02|AAPL", "2024-01-02|AAPL").success

    def test_a_forked_child_opens_its_own(self, story: Story, tmp_path: Path) -> None:
        storage = PooledSqliteEventLogStorage(str(tmp_path))
        storage.store_event_batch(story[0][1][:3])
        forked = multiprocessing.get_context("fork").Process(
            target=storage.store_event_batch, args=(story[0][1][3:],)
        )
        forked.start()
        forked.join()

        assert forked.exitcode == 0
        assert storage.get_logs_for_run(story[0][0].run_id) == list(story[0][1])
        storage.dispose()


class TestInstance:
    """`dagster.yaml` makes an instance with our storage."""

    @pytest.fixture
    def home(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        shutil.copy(ROOT / "dagster.yaml", tmp_path)
        monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
        for name, value in RUN_ENVIRONMENT.items():
            monkeypatch.setenv(name, value)
        return tmp_path

    def test_the_file_of_the_repository_names_our_storage(self, home: Path) -> None:
        with dg.DagsterInstance.from_config(str(home)) as instance:
            assert isinstance(instance.event_log_storage, PooledSqliteEventLogStorage)
            assert isinstance(instance.run_storage, PooledSqliteRunStorage)
            assert instance.telemetry_enabled is False
            assert instance.nux_enabled is False
            assert (home / "history/runs/index.db").exists()

    def test_a_process_that_is_handed_the_instance_has_our_storage(
        self, home: Path
    ) -> None:
        with dg.DagsterInstance.from_config(str(home)) as instance:
            reference = instance.get_ref()
        with dg.DagsterInstance.from_ref(reference) as handed:
            assert isinstance(handed.event_log_storage, PooledSqliteEventLogStorage)

    def test_a_range_plans_each_asset_once(self, home: Path) -> None:
        with dg.DagsterInstance.from_config(str(home)) as instance:
            run = execute(instance, "market", "2024-01-02|AAPL", "2024-01-31|MSFT")
            planned = instance.all_logs(
                run.run_id, of_type=DagsterEventType.ASSET_MATERIALIZATION_PLANNED
            )

            assert len(planned) == 1
            assert len(instance.get_materialized_partitions(BARS)) == 60

    def test_runs_are_those_of_stock_run_storage(self, home: Path) -> None:
        with dg.DagsterInstance.from_config(str(home)) as instance:
            run = execute(instance, "books", "2024-01-02", "2024-01-03")
            stock = DagsterSqliteStorage(str(home)).run_storage

            assert [known.run_id for known in stock.get_runs()] == [run.run_id]
            assert stock.get_runs() == instance.run_storage.get_runs()
            assert stock.get_run_tag_keys() == instance.run_storage.get_run_tag_keys()

    @pytest.mark.parametrize(
        "make",
        [
            PooledSqliteEventLogStorage,
            PooledSqliteStorage,
            PooledSqliteRunStorage.from_local,
        ],
    )
    def test_another_dagster_is_refused(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        make: Callable[[str], object],
    ) -> None:
        monkeypatch.setattr(run_history, "installed_dagster", "1.13.28")

        with pytest.raises(InvalidInput, match=r"serves dagster 1\.13\.27, and 1\.13\.28"):
            make(str(tmp_path))

    def test_the_parent_class_is_the_one_we_know(self) -> None:
        assert issubclass(PooledSqliteEventLogStorage, SqliteEventLogStorage)
