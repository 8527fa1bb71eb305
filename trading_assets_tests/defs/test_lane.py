"""The same tables, however a history was made: by range, by evening, in any order."""

import hashlib
import os
import random
import sqlite3
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from trading_assets.defs.jobs import BOOK, PERFORMANCE
from trading_assets.defs.launch import RunFailed
from trading_assets.errors import InvalidInput
from trading_assets_tests.defs.shelf import BOTH, Made, Shelf
from trading_assets_tests.defs.world import (
    CROSS,
    RANGES,
    START,
    World,
    assert_same_tables,
    faults_of,
    made_by,
)

IS_LONG = os.environ.get("TRADING_TEST_PROFILE") == "long"

FEW = BOTH if IS_LONG else (CROSS,)

type Tables = Mapping[str, pd.DataFrame]


@pytest.fixture(scope="module")
def ranged(shelf: Shelf, tmp_path_factory: pytest.TempPathFactory) -> World:
    """A world whose whole history was made in one range each."""
    return shelf.take(tmp_path_factory.mktemp("ranged") / "world", Made.BOOKS, BOTH)


@pytest.fixture(scope="module")
def expected(ranged: World) -> Tables:
    """Its tables."""
    return ranged.tables()


def test_the_history_has_something_of_everything(expected: Tables) -> None:
    """What follows would prove little about empty tables."""
    per_strategy = ("signals", "orders", "order_events", "fills", "trades", "portfolio")
    for name in per_strategy:
        assert set(expected[name]["strategy"]) == {"cross", "ranges"}, name
    assert {"submitted", "refused"} == set(expected["orders"]["status"])
    assert {"split"} <= set(expected["book_events"]["kind"])
    assert len(expected["performance"]) == 2
    assert expected["indicators"].notna().any().all()


@pytest.mark.long
def test_session_by_session_gives_the_tables_of_a_range(
    tmp_path: Path, expected: Tables
) -> None:
    """Of two sessions, `test_schedules` has it too, as evenings."""
    world = World.made(tmp_path / "world")
    before = world.sessions[world.sessions.index(START) - 1]
    assert world.make_market(last=before).success

    for session in world.lane_sessions:
        assert world.make_market(session, session).success
        for name in ("cross", "ranges"):
            assert world.make_view(name, session, session).success
            assert world.make_book(name, session, session).success

    assert_same_tables(world.tables(), expected)


@pytest.mark.long
def test_symbol_by_symbol_gives_the_tables_of_a_range(tmp_path: Path, shelf: Shelf) -> None:
    world = World.made(tmp_path / "world", strategies=FEW)
    for symbol in ("CCC", "AAA", "BBB"):
        assert world.make_market(symbols=[symbol]).success
    for lane in world.market.lanes:
        for symbol in reversed(lane.symbols):
            assert world.make_view(lane.name, symbols=[symbol]).success
        assert world.make_book(lane.name).success

    assert_same_tables(world.tables(), tables_of(shelf, tmp_path, FEW))


@pytest.mark.parametrize("seed", [1, 2, 3] if IS_LONG else [1])
def test_books_made_in_any_order_give_the_tables_of_a_range(
    tmp_path: Path, shelf: Shelf, expected: Tables, seed: int
) -> None:
    """As Dagster makes them when a backfill is started in the UI."""
    world = shelf.take(tmp_path / "world", Made.VIEWS, BOTH)
    assert world.make_book("cross").success
    sessions = list(world.lane_sessions)
    if not IS_LONG:
        begun, sessions = sessions[:-4], sessions[-4:]
        assert world.make_book("ranges", begun[0], begun[-1], only=BOOK[:-1]).success
    random.Random(seed).shuffle(sessions)  # noqa: S311 - an order, no secret

    for session in sessions:
        assert world.make_book("ranges", session, session, only=BOOK[:-1]).success
    assert world.make_book("ranges", only=[PERFORMANCE]).success

    assert_same_tables(world.tables(), expected)


def test_views_made_in_any_order_give_the_tables_of_a_range(
    tmp_path: Path, shelf: Shelf
) -> None:
    world = shelf.take(tmp_path / "world", Made.MARKET, FEW)
    sessions = world.lane_sessions
    for first, last in ((8, 12), (0, 4), (5, 7)):
        for lane in world.market.lanes:
            assert world.make_view(lane.name, sessions[first], sessions[last]).success
    for lane in world.market.lanes:
        assert world.make_book(lane.name).success

    assert_same_tables(world.tables(), tables_of(shelf, tmp_path, FEW))


def test_the_backfill_command_gives_the_tables_of_a_range(
    tmp_path: Path, expected: Tables
) -> None:
    world = World.made(tmp_path)

    for name in ("ranges", "cross"):
        done = world.backfilled(name, world.lane_sessions[0], world.lane_sessions[-1])
        assert done[-1] == f"{name}_book: orders, fills, portfolio, performance"

    assert_same_tables(from_start(world.tables()), from_start(expected))


@pytest.mark.long
def test_backfills_that_grow_backwards_and_forwards_give_the_tables_of_a_range(
    tmp_path: Path, expected: Tables
) -> None:
    world = World.made(tmp_path)
    sessions = world.lane_sessions

    world.backfilled("ranges", sessions[0], sessions[-1])
    work = world.backfill("cross")
    assert work.range_of(sessions[6], sessions[8]) == (sessions[0], sessions[8])
    world.backfilled("cross", sessions[0], sessions[8])
    assert work.range_of(sessions[2], sessions[-1]) == (sessions[2], sessions[-1])
    world.backfilled("cross", sessions[2], sessions[-1])

    assert_same_tables(from_start(world.tables()), from_start(expected))


def test_running_a_finished_history_again_changes_nothing(
    ranged: World, expected: Tables
) -> None:
    before = recorded_walks(ranged)

    ranged.make_all()
    middle = ranged.lane_sessions[4:7]
    for name in ("cross", "ranges"):
        assert ranged.make_book(name, middle[0], middle[-1]).success

    assert_same_tables(ranged.tables(), expected)
    assert recorded_walks(ranged) == before
    assert set(expected["portfolio"]["generation"]) == {0}


def test_a_backfill_of_one_symbol_in_the_middle_changes_nothing(
    ranged: World, expected: Tables
) -> None:
    first, last = ranged.lane_sessions[3], ranged.lane_sessions[5]

    titles = ranged.backfilled("cross", first, last, symbols=("BBB",))

    assert titles == [
        "cross_view: daily_chart, weekly_chart, signals",
        "cross_book: orders, fills, portfolio",
        "cross_book: performance",
    ]
    assert_same_tables(ranged.tables(), expected)


@pytest.mark.parametrize(
    ("first", "last"),
    [
        pytest.param(None, date(2024, 1, 31), id="before the strategy starts"),
        pytest.param(date(2024, 2, 10), date(2024, 2, 11), id="a weekend"),
        pytest.param(date(2024, 2, 13), date(2024, 2, 12), id="backwards"),
        pytest.param(date(2035, 1, 2), None, id="in the future"),
        pytest.param(None, date(1980, 1, 1), id="before the calendar"),
    ],
)
def test_a_range_without_a_session_is_refused(
    ranged: World, first: date | None, last: date | None
) -> None:
    with pytest.raises(InvalidInput, match=f"{first or last}"):
        ranged.backfill("cross").range_of(first, last)


def test_the_ends_of_a_range_are_moved_inward_to_sessions(ranged: World) -> None:
    work = ranged.backfill("cross")

    assert work.range_of(date(2024, 2, 10), date(2024, 2, 19)) == (
        date(2024, 2, 12),
        date(2024, 2, 16),
    )
    assert work.range_of(date(2000, 1, 1), date(2024, 2, 1)) == (START, START)
    assert work.range_of(None, date(2024, 2, 1)) == (START, START)


def test_an_evening_draws_its_charts_and_an_older_range_draws_none(
    tmp_path: Path,
) -> None:
    current = RANGES.replace("draw: none", "draw: current")
    world = World.made(tmp_path, strategies=[current])
    days = world.lane_sessions
    assert world.make_market().success

    assert world.make_view("ranges", days[0], days[4]).success
    assert world.tables(without=())["charts"].empty
    assert world.make_view("ranges", days[5], days[5]).success

    charts = world.tables(without=())["charts"]
    assert list(zip(charts["symbol"], charts["timeframe"], strict=True)) == [
        ("AAA", "daily"),
        ("AAA", "weekly"),
        ("CCC", "daily"),
        ("CCC", "weekly"),
    ]
    assert set(charts["session"].dt.date) == {days[5]}
    assert charts["bars_drawn"].tolist() == [20, 6, 20, 6]
    for path, sha256 in zip(charts["path"], charts["sha256"], strict=True):
        picture = world.settings.charts.joinpath(path).read_bytes()
        assert hashlib.sha256(picture).hexdigest() == sha256


def test_orders_refuse_by_name_while_signals_are_missing(
    tmp_path: Path, shelf: Shelf
) -> None:
    world = shelf.take(tmp_path / "world", Made.MARKET, [CROSS])
    sessions = world.lane_sessions
    assert world.make_view("cross", sessions[0], sessions[3]).success
    assert world.make_view("cross", sessions[4], sessions[5], ["AAA", "BBB"]).success

    result = world.make_book("cross", sessions[0], sessions[5])

    assert not result.success
    assert made_by(result) == set()
    assert "cross/signals was never materialized" in faults_of(result)
    assert f"for {sessions[4]}|CCC, {sessions[5]}|CCC" in faults_of(result)
    assert world.broker.decided("cross") == ()


def test_a_view_refuses_by_name_while_bars_are_missing(tmp_path: Path) -> None:
    world = World.made(tmp_path, strategies=[RANGES])
    sessions = world.lane_sessions
    assert world.make_market(last=sessions[2]).success

    result = world.make_view("ranges", sessions[2], sessions[3])

    assert f"bars was never materialized for {sessions[3]}|AAA, {sessions[3]}|CCC" in (
        faults_of(result)
    )
    assert made_by(result) == set()


def test_a_failing_run_of_the_command_says_which_step_and_why(tmp_path: Path) -> None:
    world = World.made(tmp_path, strategies=[CROSS])
    world.daily("BBB").unlink()

    with pytest.raises(RunFailed, match=r"bars: .*daily/BBB\.csv: no such file"):
        world.backfilled("cross", world.lane_sessions[0], world.lane_sessions[2])


def tables_of(shelf: Shelf, folder: Path, strategies: Sequence[str]) -> Tables:
    """What one range each makes of *strategies*."""
    return shelf.take(folder / "ranged", Made.BOOKS, strategies).tables()


def from_start(tables: Tables) -> Tables:
    """*tables* without indicators before the start: no strategy's history needs them."""
    kept = dict(tables)
    indicators, coverage = kept["indicators"], kept["coverage"]
    start = pd.Timestamp(START)
    is_early = (coverage["asset"] == "indicators") & (coverage["session"] < start)
    kept["indicators"] = indicators[indicators["session"] >= start].reset_index(drop=True)
    kept["coverage"] = coverage[~is_early].reset_index(drop=True)
    return kept


def recorded_walks(world: World) -> list[tuple[object, ...]]:
    """Every walk through every session that the ledger knows, newest or not."""
    with sqlite3.connect(world.home / "ledger.db") as connection:
        return connection.execute(
            "SELECT strategy, session, generation, book_hash, recorded_at "
            "FROM book_sessions ORDER BY 1, 2, 3"
        ).fetchall()
