"""What goes wrong with batches: nothing is paid twice, and nothing paid is lost."""

import json
import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from unittest.mock import patch

import dagster as dg
import pytest
from click.testing import CliRunner

from trading_assets.adapters.analysts import batching
from trading_assets.adapters.analysts.batching import (
    BUDGET_REST,
    FIRST_REST,
    LONGEST_REST,
    MISSED_FOR,
    SEARCH,
    Batching,
    cancel,
    forget,
)
from trading_assets.adapters.analysts.chart_reader import ChartReader
from trading_assets.adapters.analysts.port import Briefings
from trading_assets.adapters.models.access import BASE_URLS
from trading_assets.commands import batches as prompt
from trading_assets.core.briefing import Briefing
from trading_assets.defs.batches import TICK, BatchWork, Requests, _tick
from trading_assets.errors import ModelUnavailable
from trading_assets.models.batch import BatchStatus, ItemStatus
from trading_assets.models.question import Provider
from trading_assets_tests.defs.asking_in_batches import batch_work
from trading_assets_tests.defs.shelf import Made, Shelf
from trading_assets_tests.defs.test_batches import (
    BY_LUNA,
    HAIKU,
    LUNA,
    Clock,
    rows,
    submit,
    world_of,
)
from trading_assets_tests.defs.test_model_signals import BUY
from trading_assets_tests.defs.test_model_signals import READS as READER
from trading_assets_tests.defs.world import World
from trading_assets_tests.fake_models import FakeModels, Fate
from trading_assets_tests.fake_models.wire import Response

PANEL = READER.replace("kind: llm", "kind: panel")
PROVIDERS = pytest.mark.parametrize("model", [HAIKU, LUNA])


@pytest.fixture
def models() -> Iterator[FakeModels]:
    with FakeModels() as fake:
        fake.says = lambda _: json.dumps(BUY)
        yield fake


@pytest.fixture
def home(shelf: Shelf, tmp_path: Path) -> Path:
    return shelf.take(tmp_path / "world", Made.MARKET, [READER]).home


def changed(world: World, strategy: str, name: str = "s0.yaml") -> World:
    """The same world after a person has written a file."""
    world.write_strategy(strategy, name)
    world.forget_code()
    return world


def statuses(work: BatchWork) -> list[BatchStatus]:
    return [it.status for it in work.desk.batches.batches("reader")]


def spent(world: World) -> float:
    return sum(it.charged_usd for it in rows(world, "analyst_spending"))


def places_of(told: dg.SensorResult | dg.SkipReason) -> list[str]:
    """First of each range that a tick asked for."""
    assert isinstance(told, dg.SensorResult)
    found = told.run_requests or ()
    return [it.tags["dagster/asset_partition_range_start"] for it in found]


# Sending


@pytest.mark.parametrize("status", [408, 409, 499, 500, 502, 504])
def test_a_batch_that_may_have_arrived_is_looked_for_and_not_sent_again(
    home: Path, models: FakeModels, status: int
) -> None:
    world = world_of(home, models)
    models.batches.takes_and_answers_with = status
    with batch_work(world, models.url("anthropic")) as work:
        submit(world, work)
        assert statuses(work) == [BatchStatus.SUBMITTING]
        work.poll()
        work.poll()
        assert statuses(work) == [BatchStatus.FILED]

    assert len(models.batches.asked) == len(rows(world, "analyst_opinions")) == 6


def test_a_batch_that_was_refused_for_good_counts_as_failed(
    home: Path, models: FakeModels
) -> None:
    world = world_of(home, models)
    models.batches.turns_away_with = 400
    with batch_work(world, models.url("anthropic")) as work:
        submit(world, work)
        said = [work.poll().says for _ in range(4)]
        assert set(statuses(work)) == {BatchStatus.REFUSED}

    assert "6 are left to be asked alone" in " ".join(said)
    assert spent(world) == pytest.approx(0)


@pytest.mark.parametrize(
    ("model", "status"),
    [
        (HAIKU, 529),
        (LUNA, 429),
        pytest.param(HAIKU, 429, marks=pytest.mark.long),
    ],
)
def test_what_a_full_provider_turns_away_is_sent_again_later_and_longer_apart(
    home: Path, models: FakeModels, model: str, status: int
) -> None:
    world = world_of(home, models, READER.replace(HAIKU, model))
    models.batches.turns_away_with = status
    clock = Clock()
    with batch_work(world, models.url("anthropic"), now=clock) as work:
        assert submit(world, work) == []
        for _ in range(2):
            assert "again after" in work.poll().says
        assert statuses(work) == [BatchStatus.TURNED_AWAY]
        for tries in range(2, 4):
            clock.wait(LONGEST_REST)
            assert f"HTTP {status}" in work.poll().says
            assert len(statuses(work)) == tries
        assert spent(world) == pytest.approx(0)
        models.batches.turns_away_with = 0
        clock.wait(LONGEST_REST)
        work.poll()
        work.poll()

    assert len(models.batches.asked) == len(rows(world, "analyst_opinions")) == 6


@pytest.mark.parametrize(
    ("model", "status", "kind", "message"),
    [
        pytest.param(
            HAIKU,
            400,
            "invalid_request_error",
            "Your credit balance is too low to access the Anthropic API.",
            id="credit balance",
        ),
        pytest.param(LUNA, 400, "billing_hard_limit_reached", "No.", id="hard limit"),
        pytest.param(HAIKU, 402, "billing_error", "No.", id="402"),
        pytest.param(HAIKU, 403, "permission_error", "No.", id="403"),
    ],
)
def test_an_account_that_may_spend_no_more_says_nothing_of_the_questions(
    home: Path, models: FakeModels, model: str, status: int, kind: str, message: str
) -> None:
    world = world_of(home, models, READER.replace(HAIKU, model))
    models.batches.turns_away_with = status
    models.batches.says_of_it = (kind, message)
    clock = Clock()
    with batch_work(world, models.url("anthropic"), now=clock) as work:
        for _ in range(batching.MOST_FAILURES + 1):
            submit(world, work)
        assert set(statuses(work)) == {BatchStatus.TURNED_AWAY}
        models.batches.turns_away_with = 0
        clock.wait(LONGEST_REST)
        work.poll()
        work.poll()

    assert len(rows(world, "analyst_opinions")) == 6


def test_the_first_rest_is_short(home: Path, models: FakeModels) -> None:
    world = world_of(home, models)
    models.batches.turns_away_with = 429
    clock = Clock()
    with batch_work(world, models.url("anthropic"), now=clock) as work:
        submit(world, work)
        assert statuses(work) == [BatchStatus.TURNED_AWAY]
        models.batches.turns_away_with = 0
        clock.wait(FIRST_REST)
        assert "6 questions in reader-" in work.poll().says


def test_a_provider_that_is_down_says_at_its_own_address_that_it_took_nothing(
    home: Path, models: FakeModels
) -> None:
    world = world_of(home, models)
    models.batches.turns_away_with = 503
    own = models.url("anthropic")
    with patch.dict(BASE_URLS, {Provider.ANTHROPIC: own}), batch_work(world, own) as work:
        submit(world, work)

        assert statuses(work) == [BatchStatus.TURNED_AWAY]


@pytest.mark.parametrize(
    "says", [b"<html>upstream reset</html>", b'{"error": {"message": "disconnected"}}']
)
def test_a_proxy_that_is_down_does_not_say_that_nothing_arrived(
    home: Path, models: FakeModels, says: bytes
) -> None:
    world = world_of(home, models)
    with (
        batch_work(world, models.url("anthropic")) as work,
        patch(
            "trading_assets_tests.fake_models.batches._error",
            lambda status: Response(status, says, {}),
        ),
    ):
        models.batches.takes_and_answers_with = 503
        submit(world, work)

        assert statuses(work) == [BatchStatus.SUBMITTING]


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(Response(200, b"<html>sign in</html>", {}), id="not JSON"),
        pytest.param(Response(503, b'{"error": {"message": "x"}}', {}), id="503"),
        pytest.param(Response(408, b"", {}), id="408"),
    ],
)
def test_a_file_that_was_not_taken_asks_nobody(
    home: Path, models: FakeModels, answer: Response
) -> None:
    world = world_of(home, models, BY_LUNA)
    models.batches.files_with = answer
    with batch_work(world, models.url("anthropic")) as work:
        assert submit(world, work) == []
        assert statuses(work) == [BatchStatus.TURNED_AWAY]

    assert models.batches.kept == {}
    assert spent(world) == pytest.approx(0)


@pytest.mark.parametrize("code", ["token_limit_exceeded", "billing_hard_limit_reached"])
def test_a_batch_that_openai_has_no_room_for_is_sent_again(
    home: Path, models: FakeModels, code: str
) -> None:
    world = world_of(home, models, BY_LUNA)
    models.batches.is_full = True
    models.batches.is_full_for = code
    clock = Clock()
    with batch_work(world, models.url("anthropic"), now=clock) as work:
        submit(world, work)
        assert "the queue is full" in work.poll().says
        assert statuses(work) == [BatchStatus.TURNED_AWAY]
        assert spent(world) == pytest.approx(0)
        models.batches.is_full = False
        clock.wait(FIRST_REST)
        work.poll()
        work.poll()

    assert len(rows(world, "analyst_opinions")) == 6


def test_after_one_that_was_turned_away_the_next_is_not_tried_and_not_forgotten(
    home: Path, models: FakeModels
) -> None:
    world = world_of(home, models)
    models.batches.turns_away_with = 429
    clock = Clock()
    with (
        patch.dict(batching.MOST_QUESTIONS, {Provider.ANTHROPIC: 3}),
        batch_work(world, models.url("anthropic"), now=clock) as work,
    ):
        submit(world, work)
        tried = [it for it in models.batches.requests if it[0] == "POST"]
        models.batches.turns_away_with = 0
        clock.wait(FIRST_REST)
        work.poll()
        work.poll()

    assert len(tried) == 1
    assert len(rows(world, "analyst_opinions")) == 6


# What is gone


def test_a_batch_that_its_provider_has_no_more_holds_up_no_other(
    home: Path, models: FakeModels
) -> None:
    world = world_of(home, models)
    days = world.lane_sessions
    with batch_work(world, models.url("anthropic")) as work:
        work.submit(days[0], days[0], work.lane.symbols, "run-1")
        work.submit(days[1], days[1], work.lane.symbols, "run-2")
        gone, _ = work.desk.batches.batches("reader")
        kept = models.batches.kept.pop(gone.remote_id)
        says = work.poll().says
        assert statuses(work) == [BatchStatus.LOST, BatchStatus.FILED]
        assert f"batches forget {gone.batch_id}" in says
        assert work.submit(days[0], days[0], work.lane.symbols, "run-3").batches == []

        models.batches.kept[gone.remote_id] = kept  # another key had been in use
        work.poll()
        assert statuses(work) == [BatchStatus.FILED, BatchStatus.FILED]

    assert len(models.batches.asked) == len(rows(world, "analyst_opinions")) == 6


def test_results_that_are_kept_no_more_are_lost_until_a_person_forgets_them(
    home: Path, models: FakeModels
) -> None:
    world = world_of(home, models)
    models.batches.is_archived = True
    with batch_work(world, models.url("anthropic")) as work:
        (batch_id,) = submit(world, work)
        set_aside = spent(world)
        assert "keeps the results no more" in work.poll().says
        assert statuses(work) == [BatchStatus.LOST]
        assert submit(world, work) == []

        forget(work.desk, batch_id, "it is archived")
        models.batches.is_archived = False
        assert len(submit(world, work)) == 1
    assert spent(world) == pytest.approx(2 * set_aside)


def test_a_batch_of_which_nobody_says_anything_can_be_forgotten(
    home: Path, models: FakeModels
) -> None:
    world = world_of(home, models)
    models.batches.ends_after = 99
    with batch_work(world, models.url("anthropic")) as work:
        (batch_id,) = submit(world, work)
        forget(work.desk, batch_id, "the account is closed")

        assert statuses(work) == [BatchStatus.FORGOTTEN]
        assert work.desk.batches.out("reader") == set()


def test_a_batch_is_looked_for_where_it_was_sent_whoever_is_asked_now(
    home: Path, models: FakeModels
) -> None:
    world = world_of(home, models)
    with batch_work(world, models.url("anthropic")) as work:
        (batch_id,) = submit(world, work)
    with batch_work(changed(world, BY_LUNA), models.url("anthropic")) as work:
        assert "6 answers filed" in work.poll().says
        assert work.desk.batches.counts()[batch_id] == {ItemStatus.ANSWERED: 6}


def test_a_batch_of_a_provider_whose_key_is_gone_holds_up_no_other(
    home: Path, models: FakeModels
) -> None:
    world = world_of(home, models, BY_LUNA)
    with batch_work(world, models.url("anthropic")) as work:
        submit(world, work)
    moved, day = changed(world, READER), world.lane_sessions[2]
    with batch_work(moved, models.url("anthropic"), openai_key="") as work:
        work.submit(day, day, work.lane.symbols, "run-2")
        told = _tick(work, None)
        assert statuses(work) == [BatchStatus.SUBMITTED, BatchStatus.FILED]
        assert "OPENAI_API_KEY" in work.poll().says

    assert places_of(told) == [f"{day}|AAA"]


def test_a_batch_is_filed_though_whoever_is_asked_now_takes_none(
    home: Path, models: FakeModels
) -> None:
    world = world_of(home, models)
    with batch_work(world, models.url("anthropic")) as work:
        (batch_id,) = submit(world, work)
    moved = changed(world, READER.replace(HAIKU, "compatible/some"))
    with batch_work(moved, models.url("anthropic")) as work:
        says = work.poll(batch_id).says

        assert "6 answers filed" in says
        assert "compatible/… models take no batches" in says
        assert statuses(work) == [BatchStatus.FILED]


def test_half_a_line_is_read_again_and_is_not_bought_again(
    home: Path, models: FakeModels
) -> None:
    world = world_of(home, models)
    models.batches.cuts_results_of = "msgbatch_1"
    clock = Clock()
    with batch_work(world, models.url("anthropic"), now=clock) as work:
        submit(world, work)
        for _ in range(4):
            clock.wait(MISSED_FOR)
            assert "end within a line" in work.poll().says
        assert len(models.batches.kept) == 1
        models.batches.cuts_results_of = None
        work.poll()

    assert len(models.batches.asked) == len(rows(world, "analyst_opinions")) == 6
    assert not [it for it in rows(world, "analyst_attempts") if it.is_charge_estimated]


@PROVIDERS
def test_what_is_whole_is_filed_though_the_rest_was_cut_off(
    home: Path, models: FakeModels, model: str
) -> None:
    world = world_of(home, models, READER.replace(HAIKU, model))
    models.batches.fate = lambda _batch, item: Fate.ERRORED if item == 3 else Fate.SUCCEEDED
    with batch_work(world, models.url("anthropic")) as work:
        (batch_id,) = submit(world, work)
        (models.batches.cuts_results_of,) = models.batches.kept
        work.poll()
        counts = work.desk.batches.counts()[batch_id]

    assert counts == {ItemStatus.ANSWERED: 4, ItemStatus.FAILED: 1, ItemStatus.OUT: 1}
    assert len(rows(world, "analyst_opinions")) == 4


# What has its opinion


def test_opinions_become_signals_though_another_of_their_run_is_held_up(
    home: Path, models: FakeModels
) -> None:
    world = world_of(home, models)
    said = iter(["no JSON at all"])
    models.says = lambda _: next(said, json.dumps(BUY))
    with batch_work(world, models.url("anthropic")) as work:
        submit(world, work)
    limited = READER.replace(
        "max_tokens: 1000", "max_tokens: 1000, budget: {strategy_usd: 0.0001}"
    )
    with batch_work(changed(world, limited), models.url("anthropic")) as work:
        told = _tick(work, None)
        assert len(work.finished()["run-1"]) == 5
        assert isinstance(told, dg.SensorResult)
        assert places_of(_tick(work, told.cursor)) == []
    assert places_of(told)

    days = world.lane_sessions
    with batch_work(changed(world, READER), models.url("anthropic")) as work:
        work.poll()
        again = _tick(work, told.cursor)

    assert places_of(again) == [f"{days[0]}|AAA"]  # whose reply was no good


def test_what_a_later_batch_of_a_run_brings_is_asked_for_as_well(
    home: Path, models: FakeModels
) -> None:
    world = world_of(home, models)
    days, cursors = world.lane_sessions, list[str | None]()
    hand_in = Batching._hand_in
    with (
        patch.dict(batching.MOST_QUESTIONS, {Provider.ANTHROPIC: 3}),
        batch_work(world, models.url("anthropic")) as work,
        batch_work(world, models.url("anthropic")) as daemon,
    ):

        def hand_in_and_let_tick(own: Batching, *load: object) -> None:
            hand_in(own, *load)  # type: ignore[arg-type]
            if not cursors:
                told = _tick(daemon, None)
                assert places_of(told) == [f"{days[0]}|AAA"]
                assert isinstance(told, dg.SensorResult)
                cursors.append(told.cursor)

        with patch.object(Batching, "_hand_in", hand_in_and_let_tick):
            submit(world, work)
        told = _tick(daemon, cursors[0])

    assert places_of(told) == [f"{days[1]}|AAA"]


def test_a_run_that_was_cut_off_waits_for_the_next_tick(
    home: Path, models: FakeModels
) -> None:
    world = world_of(home, models)
    with batch_work(world, models.url("anthropic")) as work:
        submit(world, work)
        work.poll()
        nothing = Requests.of(None)

        assert len(list(nothing.due(work, set()))) == 1
        assert list(nothing.due(work, {"run-1"})) == []


def test_what_an_older_version_remembers_of_its_runs_is_passed_over() -> None:
    assert Requests.of('["run-1", "run-2"]') == Requests({})


# Time


@pytest.fixture
def clock() -> Iterator[Clock]:
    """It goes on by itself when a chart is drawn, of which a tick has time for three."""
    clock, draw = Clock(), ChartReader.briefing

    def slowly(reader: ChartReader, briefings: Briefings, row: int) -> Briefing:
        clock.wait(TICK / 3)
        return draw(reader, briefings, row)

    with patch.object(ChartReader, "briefing", slowly):
        yield clock


def test_a_panel_that_was_cancelled_holds_up_no_other_run(
    home: Path, models: FakeModels, clock: Clock
) -> None:
    world = world_of(home, models, PANEL)
    models.batches.is_too_late_to_cancel = True
    days = world.lane_sessions
    with batch_work(world, models.url("anthropic"), now=clock) as work:
        (batch_id,) = work.submit(days[0], days[1], work.lane.symbols, "run-1").batches
        cancel(work.desk, batch_id)
        work.submit(days[2], days[2], work.lane.symbols, "run-2")
        for _ in range(12):
            _tick(work, None)

        assert work.desk.batches.batch(batch_id).status is BatchStatus.CANCELLED
        assert set(work.finished()) == {"run-2"}


def test_a_run_that_is_out_of_budget_holds_up_no_other_and_draws_its_charts_once(
    home: Path, models: FakeModels, clock: Clock
) -> None:
    world = world_of(home, models, PANEL)
    days = world.lane_sessions
    with batch_work(world, models.url("anthropic"), now=clock) as work:
        work.submit(days[0], days[1], work.lane.symbols, "run-1")
        work.submit(days[2], days[2], ["AAA"], "run-2")
        for batch in work.desk.batches.batches("reader"):
            work._batching().poll(batch)
        spent = work.desk.calls.spent("reader", run_id="run-1")
    limit = f"max_tokens: 1000, budget: {{run_usd: {spent}}}"
    limited = changed(world, PANEL.replace("max_tokens: 1000", limit))
    with batch_work(limited, models.url("anthropic"), now=clock) as work:
        for _ in range(12):
            _tick(work, None)
        drawn = clock.ahead
        says = work.poll(until=clock() + TICK).says

        assert set(work.finished()) == {"run-2"}
        assert "budget.run_usd is" in says
        assert clock.ahead == drawn
        clock.wait(BUDGET_REST)
        drawn = clock.ahead
        work.poll(until=clock() + TICK)
        assert clock.ahead > drawn


def test_what_waits_for_a_provider_is_not_drawn_again_before(
    home: Path, models: FakeModels, clock: Clock
) -> None:
    world = world_of(home, models)
    models.batches.turns_away_with = 429
    with batch_work(world, models.url("anthropic"), now=clock) as work:
        submit(world, work)
        work.poll()
        drawn = clock.ahead
        assert "again after" in work.poll().says

        assert clock.ahead == drawn


# Cancelling


@PROVIDERS
def test_what_was_answered_before_a_cancel_becomes_opinions_and_asks_nobody(
    home: Path, models: FakeModels, model: str
) -> None:
    world = world_of(home, models, READER.replace(HAIKU, model))
    models.batches.is_too_late_to_cancel = True
    with batch_work(world, models.url("anthropic")) as work:
        (batch_id,) = submit(world, work)
        cancel(work.desk, batch_id)
        work.poll()
        work.poll()

        assert statuses(work) == [BatchStatus.CANCELLED]
        assert len(work.finished()["run-1"]) == 6
    assert len(models.batches.kept) == 1


def test_a_panel_that_was_cancelled_goes_no_further(home: Path, models: FakeModels) -> None:
    world = world_of(home, models, PANEL)
    models.batches.is_too_late_to_cancel = True
    with batch_work(world, models.url("anthropic")) as work:
        (batch_id,) = submit(world, work)
        cancel(work.desk, batch_id)
        for _ in range(3):
            work.poll()

        assert statuses(work) == [BatchStatus.CANCELLED]
        assert work.finished() == {}
    assert len(models.batches.kept) == 1


def test_a_cancel_that_failed_has_stopped_nothing(home: Path, models: FakeModels) -> None:
    world = world_of(home, models)
    models.batches.ends_after = 1
    models.batches.cancels_with = 500
    with batch_work(world, models.url("anthropic")) as work:
        (batch_id,) = submit(world, work)
        with pytest.raises(ModelUnavailable, match="HTTP 500"):
            cancel(work.desk, batch_id)
        work.poll()
        work.poll()

        assert not work.desk.batches.batch(batch_id).is_cancelled
        assert len(work.finished()["run-1"]) == 6


def test_a_cancel_whose_answer_was_lost_is_seen_by_what_came_of_it(
    home: Path, models: FakeModels
) -> None:
    world = world_of(home, models)
    models.batches.ends_after = 99
    with batch_work(world, models.url("anthropic")) as work:
        submit(world, work)
        (there,) = models.batches.kept.values()
        there.looks_left = 0
        there.fates = [Fate.SUCCEEDED, *[Fate.CANCELED] * 5]
        for _ in range(3):
            work.poll()

        assert statuses(work) == [BatchStatus.CANCELLED]
        assert len(work.finished()["run-1"]) == 1
    assert len(models.batches.kept) == 1


# What a person changes meanwhile


def test_an_analyst_that_was_changed_buys_nothing_again_unasked(
    home: Path, models: FakeModels
) -> None:
    world = world_of(home, models)
    with batch_work(world, models.url("anthropic")) as work:
        submit(world, work)
    other = READER.replace("effort: low", "effort: medium")
    with batch_work(changed(world, other), models.url("anthropic")) as work:
        says = work.poll().says
        assert "before the analyst was changed" in says
        assert len(models.batches.kept) == 1
    with batch_work(changed(world, READER), models.url("anthropic")) as work:
        work.poll()
    assert len(rows(world, "analyst_opinions")) == 6
    assert len(models.batches.kept) == 1


def test_an_analyst_that_was_changed_is_asked_if_a_person_says_so(
    home: Path, models: FakeModels
) -> None:
    world = world_of(home, models)
    with batch_work(world, models.url("anthropic")) as work:
        submit(world, work)
    other = READER.replace("effort: low", "effort: medium")
    with batch_work(changed(world, other), models.url("anthropic")) as work:
        work.poll()
        assert len(submit(world, work)) == 1
        assert "changed" not in work.poll().says
        assert len(work.finished()["run-1"]) == 6


def test_a_symbol_that_is_there_no_more_holds_up_no_other(
    home: Path, models: FakeModels
) -> None:
    world = world_of(home, models)
    with batch_work(world, models.url("anthropic")) as work:
        submit(world, work)
    two = READER.replace("[AAA, BBB, CCC]", "[AAA, BBB]")
    with batch_work(changed(world, two), models.url("anthropic")) as work:
        told = _tick(work, None)
        assert "2 are of symbols that are there no more" in work.poll().says

    assert places_of(told) == [f"{world.lane_sessions[0]}|AAA"]


def test_a_strategy_that_was_renamed_holds_up_no_other_at_the_prompt(
    home: Path, models: FakeModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = world_of(home, models)
    world.write_strategy(READER.replace("name: reader", "name: writer"), "s1.yaml")
    for name in ("reader", "writer"):
        with batch_work(world, models.url("anthropic"), strategy=name) as work:
            days = world.lane_sessions
            symbol = "AAA" if name == "reader" else "BBB"
            work.submit(days[0], days[0], [symbol], f"run-{name}")
    changed(world, READER.replace("name: reader", "name: other"))
    monkeypatch.setattr(prompt, "_prepared", lambda: (world.settings, world.market))
    keys = {"ANTHROPIC_API_KEY": "a", "ANTHROPIC_BASE_URL": models.url("anthropic")}
    monkeypatch.setattr(prompt, "_settings", lambda: world.settings)
    with patch.dict(os.environ, keys):
        told = CliRunner().invoke(prompt.batches, ["poll"])
        (own,) = work.desk.batches.batches("reader")
        alone = CliRunner().invoke(prompt.batches, ["poll", own.batch_id])
        stopped = CliRunner().invoke(prompt.batches, ["cancel", own.batch_id])

    assert told.exit_code == 0
    assert "reader: its batches were not looked at" in told.output
    assert "1 answers filed" in told.output
    assert alone.exit_code != 0
    assert "its provider says ended" in stopped.output


def test_a_batch_is_listed_with_what_it_may_cost_and_then_with_what_it_has(
    home: Path, models: FakeModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = world_of(home, models)
    monkeypatch.setattr(prompt, "_settings", lambda: world.settings)
    with batch_work(world, models.url("anthropic")) as work:
        submit(world, work)
        before = CliRunner().invoke(prompt.batches, ["list"]).output
        (batch,) = work.desk.batches.batches("reader")
        work.poll()
        after = CliRunner().invoke(prompt.batches, ["list"]).output

    assert f"6 out; at most ${batch.estimated_usd:,.4f}" in before
    assert f"6 answered; cost ${spent(world):,.4f}" in after
    assert 0 < spent(world) < batch.estimated_usd


# Two who ask the same


def test_two_strategies_that_ask_the_same_both_get_their_opinions(
    home: Path, models: FakeModels
) -> None:
    world = world_of(home, models)
    world.write_strategy(READER.replace("name: reader", "name: writer"), "s1.yaml")
    models.batches.ends_after = 1
    days = world.lane_sessions
    with (
        batch_work(world, models.url("anthropic")) as one,
        batch_work(world, models.url("anthropic"), strategy="writer") as two,
    ):
        submit(world, one)
        told = two.submit(days[0], days[1], two.lane.symbols, "run-2")
        again = two.submit(days[0], days[1], two.lane.symbols, "run-3")
        assert (told.batches, told.waiting, again.waiting) == ([], 6, 0)
        assert two.poll().next == []
        one.poll()
        one.poll()
        two.poll()

        assert len(one.finished()["run-1"]) == len(two.finished()["run-2"]) == 6
    assert len(models.batches.asked) == 6


def test_what_failed_in_the_batch_of_another_is_asked_after_it(
    home: Path, models: FakeModels
) -> None:
    world = world_of(home, models)
    world.write_strategy(READER.replace("name: reader", "name: writer"), "s1.yaml")
    models.batches.fate = lambda batch, _item: Fate.SUCCEEDED if batch else Fate.ERRORED
    days = world.lane_sessions
    with (
        batch_work(world, models.url("anthropic")) as one,
        batch_work(world, models.url("anthropic"), strategy="writer") as two,
    ):
        submit(world, one)
        two.submit(days[0], days[1], two.lane.symbols, "run-2")
        for work in (one, two, one, two, one, two):
            work.poll()

        assert len(one.finished()["run-1"]) == len(two.finished()["run-2"]) == 6
    assert len(models.batches.asked) == 12  # six failed and cost nothing


def test_a_batch_of_which_nothing_is_left_is_closed(home: Path, models: FakeModels) -> None:
    world = world_of(home, models)
    models.batches.hangs_up = False
    with batch_work(world, models.url("anthropic")) as work:
        (batch_id,) = submit(world, work)
        work.poll()
        work.desk.batches.note(batch_id, status=BatchStatus.SUBMITTING.value, remote_id="")
        late = Batching.of(
            work.reader,
            work.desk,
            "reader",
            now=lambda: Clock()() + SEARCH + timedelta(minutes=1),
        )

        assert late.poll(work.desk.batches.batch(batch_id)).status is BatchStatus.REFUSED
