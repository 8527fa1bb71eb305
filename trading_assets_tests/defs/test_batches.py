"""Questions in batches: half the price, exactly once, and filed to their partitions."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest.mock import patch

import dagster as dg
import pytest
import sqlalchemy as sa

from trading_assets.adapters.analysts.batching import (
    MISSED_FOR,
    SEARCH,
    Looking,
    cancel,
    forget,
)
from trading_assets.adapters.analysts.port import Asking
from trading_assets.adapters.ledger.engine import ledger_url, open_engine
from trading_assets.adapters.models import prices
from trading_assets.defs.batches import (
    BatchWork,
    batches_sensor,
    rectangles,
    takes_batches,
)
from trading_assets.defs.jobs import view_job_name
from trading_assets.errors import BudgetSpent, InvalidInput, ModelUnavailable
from trading_assets.models.batch import BatchStatus, ItemStatus
from trading_assets.models.tables import SIGNALS
from trading_assets_tests.defs.asking_in_batches import batch_work
from trading_assets_tests.defs.shelf import Made, Shelf
from trading_assets_tests.defs.test_model_signals import BUY
from trading_assets_tests.defs.test_model_signals import READS as READER
from trading_assets_tests.defs.world import World
from trading_assets_tests.fake_models import FakeModels, Fate

HAIKU, LUNA = "anthropic/claude-haiku-5-5", "openai/gpt-6-luna"
BY_LUNA = READER.replace(HAIKU, LUNA)
PROVIDERS = pytest.mark.parametrize("model", [HAIKU, LUNA])
EACH = pytest.mark.parametrize("model", [HAIKU, pytest.param(LUNA, marks=pytest.mark.long)])


@pytest.fixture
def models() -> Iterator[FakeModels]:
    with FakeModels() as fake:
        fake.says = lambda _: json.dumps(BUY)
        keys = {
            "ANTHROPIC_API_KEY": "a-secret",
            "ANTHROPIC_BASE_URL": fake.url("anthropic"),
        }
        with patch.dict(os.environ, keys):
            yield fake


@pytest.fixture
def home(shelf: Shelf, tmp_path: Path) -> Path:
    """Of a market whose bars and indicators are made."""
    return shelf.take(tmp_path / "world", Made.MARKET, [READER]).home


def world_of(home: Path, models: FakeModels, strategy: str = READER) -> World:
    world = World(home)
    world.write_strategy(strategy, "s0.yaml")
    world.models_at = models.url("anthropic")
    return world


def submit(world: World, work: BatchWork, sessions: int = 2) -> list[str]:
    days = world.lane_sessions
    return work.submit(days[0], days[sessions - 1], work.lane.symbols, "run-1").batches


def rows(world: World, table: str) -> list[sa.Row[tuple[object, ...]]]:
    engine = open_engine(ledger_url(world.settings.ledger))
    with engine.connect() as connection:
        found = connection.execute(sa.text(f"SELECT * FROM {table}")).all()  # noqa: S608 - ours
    engine.dispose()
    return list(found)


@dataclass(slots=True)
class Clock:
    """That of this machine, and some time later."""

    ahead: timedelta = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def wait(self, some_time: timedelta) -> None:
        self.ahead += some_time


def child(
    world: World,
    models: FakeModels,
    what: str,
    commits: str = "",
    *,
    dies_sending: bool = False,
) -> int:
    """Have another process do it; how it ended.

    Args:
        commits: To the ledger, after which it dies; empty for none.
        dies_sending: Whether it dies with the first byte that it sends.
    """
    command = [sys.executable, "-m", "trading_assets_tests.defs.asking_in_batches"]
    asked = [
        str(world.home),
        models.url("anthropic"),
        what,
        *([commits] if commits else []),
    ]
    running = subprocess.Popen(
        [*command, *asked], env=world.process_environment, cwd=Path(__file__).parents[2]
    )

    def kill(method: str, _path: str) -> None:
        if method == "POST":
            running.kill()
            running.wait()
            raise ConnectionAbortedError

    if dies_sending:
        models.batches.before = kill
    try:
        return running.wait(timeout=120)
    finally:
        running.kill()
        models.batches.before = lambda _method, _path: None


@PROVIDERS
def test_a_range_is_asked_in_one_batch_at_half_price_and_its_signals_ask_nobody(
    home: Path, models: FakeModels, model: str
) -> None:
    world = world_of(home, models, READER.replace(HAIKU, model))
    with batch_work(world, models.url("anthropic")) as work:
        batch_ids = submit(world, work)
        looked = work.poll()
        again = submit(world, work)

    assert len(batch_ids) == 1
    assert again == []
    assert "6 answers filed" in looked.says
    assert len(models.batches.asked) == len(set(models.batches.asked)) == 6
    for attempt in rows(world, "analyst_attempts"):
        usage = _usage(attempt)
        assert attempt.charged_usd == prices.cost_usd(model, usage, is_batch=True)
        assert attempt.charged_usd == pytest.approx(prices.cost_usd(model, usage) / 2)

    days = world.lane_sessions
    made = world.run(
        view_job_name("reader"), days[0], days[1], work.lane.symbols, ["reader/signals"]
    )
    signals = world.warehouse.read(SIGNALS)
    assert made.success
    assert models.requests == []
    assert set(signals["action"]) == {"BUY"}
    assert (signals["cost_usd"] > 0).all()


def _usage(attempt: sa.Row[tuple[object, ...]]) -> prices.Usage:
    names = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens")
    return prices.Usage(**{name: getattr(attempt, name) for name in names})


def test_a_panel_is_asked_in_stages_and_a_faulty_reply_once_more(
    home: Path, models: FakeModels
) -> None:
    panel = READER.replace("kind: llm", "kind: panel")
    world = world_of(home, models, panel)
    said = iter(["no JSON at all"])
    models.says = lambda _: next(said, json.dumps(BUY))
    with batch_work(world, models.url("anthropic")) as work:
        days = world.lane_sessions
        work.submit(days[0], days[0], ["AAA"], "run-1")
        sizes = [len(it.items) for it in models.batches.kept.values()]
        for _ in range(6):
            work.poll()
        kept = work.finished()

    sizes = [len(it.items) for it in models.batches.kept.values()]
    assert sizes == [2, 1, 1, 1, 1]  # readers, a repair, consolidation, risk, decision
    assert kept == {"run-1": [(days[0], "AAA")]}
    assert len({it.run_id for it in rows(world, "analyst_attempts")}) == 1


def test_what_is_out_is_asked_by_nobody_else(home: Path, models: FakeModels) -> None:
    world = world_of(home, models)
    models.batches.ends_after = 99
    with batch_work(world, models.url("anthropic")) as work:
        (batch_id,) = submit(world, work)
        assert submit(world, work) == []
        assert "in_progress: 0 of 6" in work.poll().says

    days = world.lane_sessions
    made = world.run(
        view_job_name("reader"), days[0], days[2], work.lane.symbols, ["reader/signals"]
    )

    assert not made.success
    assert len(models.requests) == 3  # of the third session, which is in no batch
    assert len(world.warehouse.read(SIGNALS)) == 3
    told = [it.step_failure_data.error for it in made.all_events if it.is_step_failure]
    assert batch_id in str(told)


@EACH
def test_what_errored_or_expired_is_asked_again_and_not_without_end(
    home: Path, models: FakeModels, model: str
) -> None:
    world = world_of(home, models, READER.replace(HAIKU, model))
    ends = {0: Fate.ERRORED, 1: Fate.EXPIRED, 2: Fate.TWICE}
    models.batches.fate = lambda batch, item: (
        Fate.ERRORED
        if batch and item == 0
        else ends.get(item, Fate.SUCCEEDED)
        if not batch
        else Fate.SUCCEEDED
    )
    with batch_work(world, models.url("anthropic")) as work:
        submit(world, work)
        said = [work.poll().says for _ in range(5)]
        counts = [len(it.items) for it in models.batches.kept.values()]

    assert counts == [6, 2, 1]
    assert "1 are left to be asked alone" in " ".join(said)
    assert said[-1] == "no batch is out"
    paid = [it for it in rows(world, "analyst_attempts") if it.charged_usd > 0]
    assert len(paid) == 5


def test_lines_that_are_missing_are_looked_for_and_then_count_as_paid(
    home: Path, models: FakeModels
) -> None:
    world = world_of(home, models)
    models.batches.fate = lambda batch, item: (
        Fate.MISSING if (batch, item) == (0, 3) else Fate.SUCCEEDED
    )
    clock = Clock()
    with batch_work(world, models.url("anthropic"), now=clock) as work:
        (batch_id,) = submit(world, work)
        assert "1 results are missing, looked 1 times" in work.poll().says
        for _ in range(4):
            work.poll()
        assert len(models.batches.kept) == 1  # minutes are no reason to give it up
        clock.wait(MISSED_FOR)
        work.poll()
        counts = work.desk.batches.counts()[batch_id]

    assert counts == {ItemStatus.ANSWERED: 5, ItemStatus.FAILED: 1}
    assert [len(it.items) for it in models.batches.kept.values()] == [6, 1]
    lost = [it for it in rows(world, "analyst_attempts") if it.is_charge_estimated]
    assert lost[0].charged_usd == lost[0].estimated_usd > 0


@EACH
def test_a_batch_whose_answer_was_lost_is_found_and_not_sent_again(
    home: Path, models: FakeModels, model: str
) -> None:
    world = world_of(home, models, READER.replace(HAIKU, model))
    models.batches.drops_after_create = True
    with batch_work(world, models.url("anthropic")) as work:
        (batch_id,) = submit(world, work)
        before = work.desk.batches.batch(batch_id)
        assert submit(world, work) == []
        work.poll()
        work.poll()
        after = work.desk.batches.batch(batch_id)

    assert (before.status, before.remote_id) == (BatchStatus.SUBMITTING, "")
    assert after.status is BatchStatus.FILED
    assert len(models.batches.kept) == 1


@pytest.mark.long
def test_whoever_dies_before_sending_has_sent_nothing_and_a_person_decides(
    home: Path, models: FakeModels
) -> None:
    world = world_of(home, models)

    assert child(world, models, "submit", dies_sending=True) == -signal.SIGKILL

    assert models.batches.kept == {}
    with batch_work(world, models.url("anthropic")) as work:
        (batch,) = work.desk.batches.batches("reader")
        assert submit(world, work) == []
        assert "not found yet" in work.poll().says
        late = Looking(
            work.desk,
            now=lambda: batch.submitted_at + SEARCH + timedelta(seconds=1),
        )
        assert late.poll(batch).status is BatchStatus.LOST
        assert submit(world, work) == []
        forget(work.desk, batch.batch_id, "it is not on their page")
        assert len(submit(world, work)) == 1


def test_whoever_dies_after_sending_has_not_sent_it_twice(
    home: Path, models: FakeModels
) -> None:
    world = world_of(home, models, BY_LUNA)

    # The second commit would be that it has arrived.
    assert child(world, models, "submit", commits="1") == -signal.SIGKILL

    with batch_work(world, models.url("anthropic")) as work:
        (batch,) = work.desk.batches.batches("reader")
        assert (batch.status, batch.remote_id) == (BatchStatus.SUBMITTING, "")
        assert submit(world, work) == []
        work.poll()
        work.poll()
        assert len(work.finished()["run-1"]) == 6
    assert len(models.batches.kept) == 1
    assert len(rows(world, "analyst_attempts")) == 6


@pytest.mark.long
def test_whoever_dies_while_filing_has_lost_nothing(home: Path, models: FakeModels) -> None:
    world = world_of(home, models)
    with batch_work(world, models.url("anthropic")) as work:
        (batch_id,) = submit(world, work)

    assert child(world, models, "poll", commits="2") == -signal.SIGKILL

    with batch_work(world, models.url("anthropic")) as work:
        before = work.desk.batches.counts()[batch_id]
        work.poll()
        after = work.desk.batches.counts()[batch_id]
    assert before == {ItemStatus.ANSWERED: 2, ItemStatus.OUT: 4}
    assert after == {ItemStatus.ANSWERED: 6}
    assert len(models.batches.asked) == 6
    assert len(rows(world, "analyst_opinions")) == 6
    assert len(rows(world, "analyst_attempts")) == 6


def test_a_budget_of_a_cent_sends_nothing(home: Path, models: FakeModels) -> None:
    limited = "max_tokens: 1000, budget: {strategy_usd: 0.0001}"
    world = world_of(home, models, READER.replace("max_tokens: 1000", limited))
    with (
        batch_work(world, models.url("anthropic")) as work,
        pytest.raises(BudgetSpent, match=r"strategy_usd is 0\.0001"),
    ):
        submit(world, work)

    assert models.batches.kept == {}
    assert rows(world, "analyst_batches") == rows(world, "analyst_calls") == []


def test_an_estimate_is_half_of_what_asking_alone_costs(
    home: Path, models: FakeModels
) -> None:
    world = world_of(home, models)
    days = world.lane_sessions
    with batch_work(world, models.url("anthropic")) as work:
        batched = work.estimate(days[0], days[1], work.lane.symbols)
        briefings = work._briefings(work._range(days[0], days[1], work.lane.symbols))
        alone = work.reader.estimate(briefings, Asking(work.desk))

    assert batched.questions == alone.questions == 6
    assert batched.expected_usd == pytest.approx(alone.expected_usd / 2)
    assert models.batches.requests == []


@EACH
def test_a_batch_that_is_cancelled_keeps_what_was_answered_and_goes_no_further(
    home: Path, models: FakeModels, model: str
) -> None:
    world = world_of(home, models, READER.replace(HAIKU, model))
    models.batches.ends_after = 99
    with batch_work(world, models.url("anthropic")) as work:
        (batch_id,) = submit(world, work)
        cancel(work.desk, batch_id)
        work.poll()
        counts = work.desk.batches.counts()[batch_id]
        work.poll()

    assert counts == {ItemStatus.ANSWERED: 1, ItemStatus.CANCELLED: 5}
    assert len(models.batches.kept) == 1
    assert sum(it.charged_usd > 0 for it in rows(world, "analyst_attempts")) == 1


def test_a_server_that_is_down_is_told_of_and_nothing_is_written(
    home: Path, models: FakeModels
) -> None:
    world = world_of(home, models)
    models.batches.hangs_up = True
    with batch_work(world, models.url("anthropic")) as work:
        with pytest.raises(ModelUnavailable, match="did not answer"):
            submit(world, work)
        assert rows(world, "analyst_batches") == []
        models.batches.hangs_up = False
        submit(world, work)
        models.batches.hangs_up = True
        assert "did not answer" in work.poll().says


def test_compatible_servers_take_no_batches(home: Path, models: FakeModels) -> None:
    world = world_of(home, models, READER.replace(HAIKU, "compatible/some"))

    assert not takes_batches(world.lane("reader"))
    assert world.definitions.get_repository_def().has_sensor_def("reader_batches") is False
    with (
        batch_work(world, models.url("anthropic")) as work,
        pytest.raises(InvalidInput, match=r"compatible/… models take no batches"),
    ):
        submit(world, work)


def test_the_sensor_files_and_asks_for_the_view_once(
    home: Path, models: FakeModels
) -> None:
    world = world_of(home, models)
    view = world.definitions.resolve_job_def(view_job_name("reader"))
    sensor = batches_sensor(world.lane("reader"), view)
    cursor = None

    def tick(work: BatchWork) -> dg.SensorResult | dg.SkipReason:
        context = dg.build_sensor_context(
            instance=world.instance,
            cursor=cursor,
            resources={"warehouse": world.warehouse, "analysts": work.desk},
        )
        told = sensor(context)
        assert isinstance(told, dg.SensorResult | dg.SkipReason)
        return told

    with batch_work(world, models.url("anthropic")) as work:
        assert isinstance(tick(work), dg.SkipReason)
        models.batches.ends_after = 1
        submit(world, work)
        waiting, done = tick(work), tick(work)
        assert isinstance(waiting, dg.SensorResult)
        assert isinstance(done, dg.SensorResult)
        cursor = done.cursor
        after = tick(work)
        assert isinstance(after, dg.SensorResult)

    assert "in_progress" in str(waiting.skip_reason)
    (request,) = done.run_requests or ()
    days = world.lane_sessions
    assert request.tags["dagster/asset_partition_range_start"] == f"{days[0]}|AAA"
    assert request.tags["dagster/asset_partition_range_end"] == f"{days[1]}|CCC"
    assert not after.run_requests


def test_rectangles_hold_what_is_there_and_nothing_else(home: Path) -> None:
    bare = World(home)
    lane, days = bare.lane("reader"), bare.lane_sessions
    places = [(day, own) for day in days[:3] for own in ("AAA", "BBB", "CCC")]
    places.remove((days[1], "BBB"))

    found = list(rectangles(lane, places))

    covered = [
        (day, own)
        for first, last, symbols in found
        for day in lane.calendar.between(first, last)
        for own in symbols
    ]
    assert sorted(covered) == sorted(places)
