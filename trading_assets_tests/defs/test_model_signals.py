"""Signals of models in the graph: asked once, kept, paid for within a budget."""

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from unittest.mock import patch

import dagster as dg
import pandas as pd
import pytest

from trading_assets.adapters.analysts.chart_reader import MOST_REJECTED
from trading_assets.adapters.ledger.approvals import ApprovalBook
from trading_assets.adapters.ledger.opinions import OpinionBook
from trading_assets.defs.jobs import view_job_name
from trading_assets.models.approval import ApprovalState
from trading_assets.models.kept_opinion import KeptOpinion
from trading_assets.models.tables import COVERAGE, SIGNALS
from trading_assets_tests.defs.shelf import Made, Shelf
from trading_assets_tests.defs.world import RUN_ENVIRONMENT, World, faults_of
from trading_assets_tests.fake_models import FakeModels, Fault, Play
from trading_assets_tests.make_approvals import make_proposal, propose
from trading_assets_tests.make_intents import make_order_ticket

READER = """\
name: reader
universe: [AAA, BBB, CCC]
start: 2024-02-01
capital: 50000
benchmark: AAA
analyst: {kind: llm, model: anthropic/claude-haiku-5-5, effort: low, max_tokens: 1000}
charts: {daily_sessions: 10, weekly_weeks: 10, indicators: [sma_5, volume], draw: none}
sizing: {kind: fixed_shares, shares: 100}
risk: {min_risk_reward: 0, min_profit_frac: 0, max_positions: 2, max_weight_frac: 0.5}
execution: {broker: simulated, order: market_next_open, bracket: false}
"""
BUY = {
    "symbol": "STOCK",
    "evidence": ["the close is above its average"],
    "reasoning": "It rises.",
    "action": "BUY",
    "confidence": 61,
    "entry": 100.0,
    "stop_loss": 94.0,
    "take_profit": 112.0,
    "invalidation": "a close below the stop",
}
HOLD = BUY | {"action": "HOLD", "entry": None, "stop_loss": None, "take_profit": None}
READS = READER.replace("max_tokens: 1000", "max_tokens: 1000, sees: [table]")
"""The same without looking at charts: to draw them takes longer than all else."""

ONE_BY_ONE = READS.replace("max_tokens: 1000", "max_tokens: 1000, concurrency: 1")
AWAY = Play(fault=Fault.OVERLOADED, headers={"x-should-retry": "false"})


@pytest.fixture
def models() -> Iterator[FakeModels]:
    with FakeModels() as fake:
        fake.says = lambda _: json.dumps(BUY)
        with patch.dict(os.environ, {"ANTHROPIC_API_KEY": "a-secret"}):
            yield fake


def made(home: Path, models: FakeModels, strategy: str) -> World:
    """A market of which everything is made but what models think of it."""
    world = World.made(home, strategies=[strategy])
    world.models_at = models.url("anthropic")
    assert world.make_market().success
    return world


@pytest.fixture
def world(tmp_path: Path, models: FakeModels, shelf: Shelf) -> World:
    """A market of which everything is made but what models think of it."""
    world = shelf.take(tmp_path / "world", Made.MARKET, [READS])
    world.models_at = models.url("anthropic")
    return world


def signals(world: World) -> pd.DataFrame:
    return world.warehouse.read(SIGNALS)


def opinions_of(
    world: World, first: date, last: date, *, refresh: bool = False
) -> dg.ExecuteInProcessResult:
    """Make signals of a range, and nothing else."""
    config = {"ops": {"reader__signals": {"config": {"refresh": refresh}}}}
    return world.run(
        view_job_name("reader"),
        first,
        last,
        world.lane("reader").symbols,
        assets=["reader/signals"],
        config=config,
    )


def test_every_partition_is_asked_about_once(world: World, models: FakeModels) -> None:
    days = world.lane_sessions[:2]

    assert opinions_of(world, days[0], days[1]).success

    rows = signals(world)
    assert len(models.requests) == len(rows) == 6
    assert set(rows["action"]) == {"BUY"}
    assert set(rows["model"]) == {"anthropic/claude-haiku-5-5"}
    assert (rows["cost_usd"] > 0).all()
    assert rows["is_out_of_sample"].tolist() == [False] * 6


def test_levels_are_prices_as_traded(world: World) -> None:
    day = world.lane_sessions[0]
    opinions_of(world, day, day)

    row = signals(world).set_index("symbol").loc["AAA"]

    close = world.bars("AAA").loc[str(day), "close"]
    levels = row[["entry", "stop_loss", "take_profit"]].tolist()
    assert levels == pytest.approx([close, 0.94 * close, 1.12 * close])


def test_making_it_again_asks_nobody_and_gives_the_same_bytes(
    world: World, models: FakeModels
) -> None:
    days = world.lane_sessions[:2]
    opinions_of(world, days[0], days[1])
    before, asked = signals(world), len(models.requests)

    result = opinions_of(world, days[0], days[1])

    assert result.success
    assert len(models.requests) == asked
    pd.testing.assert_frame_equal(signals(world), before, check_exact=True)
    told = result.get_asset_materialization_events()[-1].materialization.metadata
    assert told["opinions already there"].value == 6
    assert told["cache hits %"].value == 100


def test_a_bar_that_is_restated_leaves_what_was_thought(
    world: World, models: FakeModels
) -> None:
    day = world.lane_sessions[0]
    opinions_of(world, day, day)
    before, asked = signals(world), len(models.requests)
    world.restate("AAA", world.sessions[15])
    world.make_market()

    assert opinions_of(world, day, day).success

    assert len(models.requests) == asked
    pd.testing.assert_frame_equal(signals(world), before, check_exact=True)


def test_who_asks_anew_is_answered_anew(world: World, models: FakeModels) -> None:
    day = world.lane_sessions[0]
    opinions_of(world, day, day)
    models.says = lambda _: json.dumps(HOLD)

    assert opinions_of(world, day, day, refresh=True).success

    assert len(models.requests) == 6
    assert set(signals(world)["action"]) == {"HOLD"}


def test_a_refresh_that_is_tried_again_pays_for_nothing_twice(
    world: World, models: FakeModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trading_assets.defs.signals.WAIT_SECONDS", 0)
    world.write_strategy(ONE_BY_ONE, "s0.yaml")
    day = world.lane_sessions[0]
    opinions_of(world, day, day)
    models.play(Play(), AWAY)

    assert opinions_of(world, day, day, refresh=True).success

    asked_anew = len(models.requests) - 3
    assert asked_anew == 4  # three symbols, and the one that nobody heard in between


def test_a_budget_stops_it_and_what_is_finished_stays(
    world: World, models: FakeModels
) -> None:
    # Three questions at once could cost a cent together; a few come out cheaper.
    limited = "max_tokens: 1000, concurrency: 1, budget: {run_usd: 0.01}"
    world.write_strategy(READER.replace("max_tokens: 1000", limited), "s0.yaml")
    days = world.lane_sessions

    result = opinions_of(world, days[0], days[-1])

    rows = signals(world)
    wanted = 3 * len(days)
    assert not result.success
    assert 0 < len(rows) < wanted
    assert len(models.requests) == len(rows)
    assert f"{len(rows)} partitions are made, {wanted - len(rows)} are left" in faults_of(
        result
    )
    covered = world.warehouse.read(COVERAGE, {"asset": "signals"})
    assert len(covered) == len(rows)
    key = dg.AssetKey(["reader", "signals"])
    made_ = world.instance.get_materialized_partitions(key)
    assert made_ == {
        f"{session:%Y-%m-%d}|{symbol}"
        for session, symbol in zip(rows["session"], rows["symbol"], strict=True)
    }


def test_who_can_not_be_heard_leaves_nothing_behind_and_is_asked_again(
    world: World, models: FakeModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trading_assets.defs.signals.WAIT_TRIES", 1)
    monkeypatch.setattr("trading_assets.defs.signals.WAIT_SECONDS", 0)
    day = world.lane_sessions[0]
    models.always(AWAY)

    result = opinions_of(world, day, day)

    assert not result.success
    assert "anthropic/claude-haiku-5-5" in faults_of(result)
    assert len(signals(world)) == 0
    assert any(event.is_step_up_for_retry for event in result.all_events)


@pytest.mark.parametrize(
    ("fault", "named"),
    [
        (Fault.SPEND_LIMIT, "spend_limited"),
        (Fault.UNAUTHORIZED, "unauthorized"),
        (Fault.NOT_FOUND, "rejected"),
    ],
)
def test_what_will_not_pass_is_not_asked_again_and_again(
    world: World, models: FakeModels, fault: Fault, named: str
) -> None:
    world.write_strategy(ONE_BY_ONE, "s0.yaml")
    days = world.lane_sessions
    models.always(Play(fault=fault))

    result = opinions_of(world, days[0], days[2])

    assert not result.success
    assert named in faults_of(result)
    assert not any(event.is_step_up_for_retry for event in result.all_events)
    assert len(models.requests) <= MOST_REJECTED


def test_a_question_that_nobody_takes_is_left_out_and_the_others_are_asked(
    world: World, models: FakeModels
) -> None:
    world.write_strategy(ONE_BY_ONE, "s0.yaml")
    days = world.lane_sessions
    models.play(Play(), Play(fault=Fault.BAD_REQUEST))

    result = opinions_of(world, days[0], days[1])

    assert not result.success
    assert "5 partitions are made, 1 are left" in faults_of(result)
    assert len(signals(world)) == 5


def test_who_is_quick_to_say_no_stops_nobody_who_is_being_answered(
    world: World, models: FakeModels
) -> None:
    days, no = world.lane_sessions, Play(fault=Fault.BAD_REQUEST)
    models.play(Play(seconds=0.4), no, no, no, no)

    result = opinions_of(world, days[0], days[4])

    assert "11 partitions are made, 4 are left" in faults_of(result)


def test_a_fault_of_ours_leaves_what_was_asked_for_and_ends_the_others(
    world: World, models: FakeModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.write_strategy(ONE_BY_ONE, "s0.yaml")
    days, keep = world.lane_sessions, OpinionBook.keep

    def broken(book: OpinionBook, opinions: Sequence[KeptOpinion]) -> None:
        if opinions[0].signal.symbol == "CCC":
            raise RuntimeError("no room")
        keep(book, opinions)

    monkeypatch.setattr(OpinionBook, "keep", broken)

    result = opinions_of(world, days[0], days[1])

    assert "2 partitions are made, 4 are left: RuntimeError('no room')" in str(
        [
            event.step_failure_data.error
            for event in result.all_events
            if event.is_step_failure
        ]
    )
    assert set(signals(world)["symbol"]) == {"AAA", "BBB"}
    assert len(models.requests) == 3


@pytest.mark.parametrize(
    ("state", "is_asked"),
    [
        (None, False),
        (ApprovalState.APPROVED, False),
        (ApprovalState.REJECTED, True),
    ],
)
def test_what_a_person_is_asked_about_is_not_asked_anew(
    world: World,
    models: FakeModels,
    state: ApprovalState | None,
    is_asked: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    day, ledger = world.lane_sessions[0], world.settings.ledger
    opinions_of(world, day, day)
    ticket = make_order_ticket(strategy="reader", symbol="AAA", session=day)
    until = datetime.now(UTC) + timedelta(hours=1)
    waits = make_proposal([ticket], account="DU1", expires_at=until)
    (asked,) = propose(ledger, waits)
    if state is not None:
        book = ApprovalBook.open(ledger)
        say = book.approve if state is ApprovalState.APPROVED else book.reject
        say(asked, "ann", "so", datetime.now(UTC))
        book.close()
    models.says = lambda _: json.dumps(HOLD)

    assert opinions_of(world, day, day, refresh=True).success

    actions = signals(world).set_index("symbol")["action"]
    assert actions["AAA"] == ("HOLD" if is_asked else "BUY")
    assert actions["BBB"] == "HOLD"
    assert len(models.requests) == 5 + is_asked


def test_nonsense_is_asked_about_once_more_and_then_abstains(
    world: World, models: FakeModels
) -> None:
    day = world.lane_sessions[0]
    models.says = lambda _: "I would rather not say."

    assert opinions_of(world, day, day).success

    rows = signals(world)
    assert len(models.requests) == 6
    assert rows["is_abstention"].all()
    assert rows["action"].isna().all()
    assert rows["reasoning"].str.contains("asked twice").all()


def test_the_key_is_nowhere(world: World) -> None:
    day = world.lane_sessions[0]
    opinions_of(world, day, day)

    with patch.dict(os.environ, RUN_ENVIRONMENT):
        files = [path for path in world.home.rglob("*") if path.is_file()]

    assert not [path for path in files if b"a-secret" in path.read_bytes()]


def test_an_estimate_asks_nobody_and_counts_what_there_is_no_opinion_of(
    world: World, models: FakeModels
) -> None:
    days = world.lane_sessions
    opinions_of(world, days[0], days[1])
    asked, work = len(models.requests), world.backfill("reader")
    parts = work.parts(days[0], days[3], with_charts=False)
    view = next(part for part in parts if part.asks is not None)

    estimate = work.estimate(view)
    anew = work.estimate(replace(view, is_refreshing=True))

    assert len(models.requests) == asked
    assert (estimate.partitions, estimate.questions, anew.partitions) == (6, 6, 12)
    assert 0 < estimate.expected_usd < estimate.most_usd
