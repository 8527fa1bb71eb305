"""Redoing sessions in the middle of a history whose inputs have changed."""

import os
import sqlite3
from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from trading_assets.adapters.storage.port import Between
from trading_assets.defs.jobs import BOOK, PERFORMANCE
from trading_assets.models.tables import FILLS, ORDERS, PORTFOLIO, POSITIONS
from trading_assets_tests.defs.shelf import Made, Restated, Shelf
from trading_assets_tests.defs.world import (
    CROSS,
    World,
    assert_same_tables,
    faults_of,
    made_by,
)

IS_LONG = os.environ.get("TRADING_TEST_PROFILE") == "long"
RESTATED = 4
"""Number of the session whose bar turns out to have been wrong."""

ONE_BY_ONE = None if IS_LONG else 4
"""How many sessions are redone each in a run of its own; the rest in one range."""


@pytest.fixture(scope="module")
def history(shelf: Shelf, tmp_path_factory: pytest.TempPathFactory) -> World:
    """One strategy and its whole history."""
    home = tmp_path_factory.mktemp("history") / "world"
    return shelf.take(home, Made.BOOKS, [CROSS])


@pytest.fixture
def world(history: World, tmp_path: Path) -> World:
    """A copy of that history, to be changed."""
    return history.copied(tmp_path / "world")


def restate(world: World, last: date | None = None) -> None:
    """Restate a bar, and make market and view anew from it to *last*."""
    first = world.lane_sessions[RESTATED]
    world.restate("CCC", first, 1.3)
    assert world.make_market(first, last).success
    assert world.make_view("cross", first, last).success


def portfolio(world: World) -> pd.DataFrame:
    return world.tables()["portfolio"].set_index("session")


@pytest.fixture(scope="module")
def redone(
    history: World, tmp_path_factory: pytest.TempPathFactory
) -> tuple[World, pd.DataFrame, str]:
    """A restated bar, three sessions redone: the world, the portfolio before, the error."""
    world = history.copied(tmp_path_factory.mktemp("redone") / "world")
    before = portfolio(world)
    sessions = world.lane_sessions
    restate(world)
    result = world.make_book("cross", sessions[RESTATED], sessions[RESTATED + 2])
    assert made_by(result) == {"cross/orders", "cross/fills", "cross/portfolio"}
    return world, before, faults_of(result)


def test_only_what_was_redone_is_a_generation_newer(
    redone: tuple[World, pd.DataFrame, str],
) -> None:
    world, before, _ = redone
    after = portfolio(world)

    generations = after["generation"].tolist()
    assert generations == [0] * 4 + [1] * 3 + [0] * 6
    changed = (after["book_hash"] != before["book_hash"]).tolist()
    assert changed == [False] * 4 + [True] * 3 + [False] * 6


def test_older_generations_stay_in_the_ledger(
    redone: tuple[World, pd.DataFrame, str],
) -> None:
    world, before, _ = redone

    with sqlite3.connect(world.home / "ledger.db") as connection:
        kept = connection.execute(
            "SELECT book_hash FROM book_sessions WHERE generation = 0 ORDER BY session"
        ).fetchall()

    assert [book_hash for (book_hash,) in kept] == before["book_hash"].tolist()


def test_performance_refuses_by_naming_what_to_run(
    redone: tuple[World, pd.DataFrame, str],
) -> None:
    world, _, said = redone
    sessions = world.lane_sessions

    begin, end = sessions[RESTATED + 3], sessions[-1]
    assert f"cross simulated: sessions from {begin} to {end} rest on inputs" in said
    assert f"trading-assets backfill --strategy cross --from {begin}" in said


def test_the_next_orders_refuse_by_naming_what_to_run(
    redone: tuple[World, pd.DataFrame, str],
) -> None:
    world, _, _ = redone
    begin, later = world.lane_sessions[RESTATED + 3], world.lane_sessions[-2]

    result = world.make_book("cross", later, later)

    assert made_by(result) == set()
    assert f"so {later} cannot follow them" in faults_of(result)
    assert f"backfill --strategy cross --from {begin}" in faults_of(result)


def test_a_backfill_of_the_last_session_begins_where_the_book_no_longer_stands(
    redone: tuple[World, pd.DataFrame, str],
) -> None:
    world, _, _ = redone
    begin, last = world.lane_sessions[RESTATED + 3], world.lane_sessions[-1]

    assert world.backfill("cross").range_of(last, last) == (begin, last)


def test_a_backfill_of_the_restated_range_goes_on_to_the_last_stored_session(
    world: World, shelf: Shelf, tmp_path: Path
) -> None:
    sessions = world.lane_sessions
    restate(world)

    titles = world.backfilled("cross", sessions[RESTATED], sessions[RESTATED + 2])

    assert titles[-2:] == [
        "cross_book: orders, fills, portfolio",
        "cross_book: orders, fills, portfolio, performance",
    ]
    restated = [Restated("CCC", RESTATED, 1.3)]
    fresh = shelf.take(tmp_path / "fresh", Made.BOOKS, [CROSS], restated=restated)
    found, expected = world.tables(), fresh.tables()
    assert found["portfolio"].pop("generation").tolist() == [0] * 4 + [1] * 9
    expected["portfolio"].pop("generation")
    assert_same_tables(found, expected)


def test_session_by_session_redoes_what_a_range_redoes(
    world: World, tmp_path: Path
) -> None:
    days = world.lane_sessions[RESTATED:]
    restate(world)
    single = world.copied(tmp_path / "single")

    assert world.make_book("cross", days[0], days[-1]).success
    for session in days[:ONE_BY_ONE]:
        assert single.make_book("cross", session, session, only=BOOK[:-1]).success
    if ONE_BY_ONE:
        assert single.make_book("cross", days[ONE_BY_ONE], days[-1]).success
    else:
        assert single.make_book("cross", only=[PERFORMANCE]).success

    assert_same_tables(single.tables(), world.tables())


def test_a_bar_that_is_put_right_again_restores_the_book(world: World) -> None:
    before, sessions = portfolio(world), world.lane_sessions
    original = world.bars("CCC")
    restate(world)
    first = sessions[RESTATED]
    world.make_book("cross", first, first, only=BOOK[:-1])
    assert world.broker.superseded("cross")

    world.write_bars("CCC", original)
    assert world.make_market(first).success
    assert world.make_view("cross", first).success
    assert world.make_book("cross", first, first).success

    assert world.broker.superseded("cross") == ()
    after = portfolio(world)
    assert after["book_hash"].tolist() == before["book_hash"].tolist()
    assert after["equity"].tolist() == before["equity"].tolist()


def test_a_changed_rule_of_risk_redoes_the_book_and_leaves_the_signals(
    world: World,
) -> None:
    before = world.tables()
    world.write_strategy(CROSS.replace("max_positions: 2", "max_positions: 1"), "s0.yaml")
    world.forget_code()

    assert world.make_book("cross", only=BOOK[:-1]).success

    after = world.tables()
    pd.testing.assert_frame_equal(after["signals"], before["signals"])
    assert set(after["portfolio"]["generation"]) == {1}
    held = after["positions"].groupby("session").size()
    assert before["positions"].groupby("session").size().max() == 2
    assert held.max() == 1


@pytest.mark.parametrize(
    "start", ["2024-02-08", pytest.param("2024-01-25", marks=pytest.mark.long)]
)
def test_a_strategy_whose_start_is_moved_gets_the_book_of_a_new_one(
    world: World, tmp_path: Path, start: str
) -> None:
    moved = CROSS.replace("start: 2024-02-01", f"start: {start}")
    world.write_strategy(moved, "s0.yaml")
    world.forget_code()
    days = [day for day in world.sessions if day >= date.fromisoformat(start)]
    assert world.backfill("cross").range_of(days[-2], days[-1]) == (days[0], days[-1])

    world.backfilled("cross", days[0], days[-1])

    fresh = World.made(tmp_path / "fresh", strategies=[moved])
    fresh.backfilled("cross", days[0], days[-1])
    assert world.broker.decided("cross") == tuple(days)
    assert world.broker.superseded("cross") == ()
    own = {"strategy": "cross", "session": Between(days[0], days[-1])}
    for table in (PORTFOLIO, FILLS, ORDERS, POSITIONS):
        rows, expected = (
            each.warehouse.read(table, own).drop(columns="generation", errors="ignore")
            for each in (world, fresh)
        )
        pd.testing.assert_frame_equal(rows, expected)
    pd.testing.assert_frame_equal(
        world.tables()["performance"], fresh.tables()["performance"]
    )


def test_orders_refuse_to_follow_a_book_that_began_elsewhere(world: World) -> None:
    world.write_strategy(CROSS.replace("2024-02-01", "2024-01-25"), "s0.yaml")
    world.forget_code()
    last = world.lane_sessions[-1]

    assert world.make_view("cross", last, last).success
    result = world.make_book("cross", last, last)

    assert made_by(result) == set()
    assert "backfill --strategy cross --from 2024-01-25" in faults_of(result)
