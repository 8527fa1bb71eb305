"""What an evening asks for: the market, a view, and the book that follows it."""

from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import dagster as dg
import pytest

from trading_assets.defs.jobs import BACKFILL, LAUNCHED_BY, RANGE, RANGE_END, RANGE_START
from trading_assets.defs.launch import QUIET, RunFailed, run_job
from trading_assets.defs.schedules import ATTEMPTS
from trading_assets_tests.defs.shelf import BOTH, Made, Shelf
from trading_assets_tests.defs.world import CROSS, World, assert_same_tables

NEW_YORK = ZoneInfo("America/New_York")
HOLIDAY = date(2024, 2, 19)
"""A Monday; the sessions beside it are the last two of a world's."""


def evening_of(day: date) -> datetime:
    """When both strategies' schedules fire."""
    return datetime(day.year, day.month, day.day, 17, 15, tzinfo=NEW_YORK)


def ask(world: World, schedule: str, day: date) -> dg.RunRequest | str:
    """What a schedule asks for on an evening, or why it asks for nothing."""
    repository = world.definitions.get_repository_def()
    resources = {"brokers": world.brokers, "warehouse": world.warehouse}
    needed = {"warehouse"} if schedule == "market" else {"brokers", "warehouse"}
    with dg.build_schedule_context(
        instance=world.instance,
        scheduled_execution_time=evening_of(day),
        resources={name: resources[name] for name in needed},
        repository_def=repository,
    ) as context:
        told = repository.get_schedule_def(schedule).evaluate_tick(context)
    if told.run_requests:
        (request,) = told.run_requests
        return request
    return told.skip_message or ""


def ends(request: dg.RunRequest | str) -> tuple[str, str]:
    """First and last partition that are asked for."""
    assert isinstance(request, dg.RunRequest), request
    return request.tags[RANGE_START], request.tags[RANGE_END]


def launch(world: World, job: str, request: dg.RunRequest | str) -> str:
    """Run what was asked for, as the daemon does."""
    assert isinstance(request, dg.RunRequest), request
    return run_job(world.definitions, world.instance, job, request.tags)


def follow(
    world: World, strategy: str, cursor: str | None
) -> tuple[list[dg.RunRequest], str]:
    """What the sensor asks for after the runs since *cursor*."""
    repository = world.definitions.get_repository_def()
    sensor = repository.get_sensor_def(f"{strategy}_book_follows")
    with dg.build_sensor_context(
        instance=world.instance,
        cursor=cursor,
        repository_def=repository,
        sensor_name=sensor.name,
    ) as context:
        told = sensor.evaluate_tick(context)
    return list(told.run_requests or ()), told.cursor or ""


@pytest.fixture(scope="module")
def history(shelf: Shelf, tmp_path_factory: pytest.TempPathFactory) -> World:
    """Everything is made up to the third last session; two are still to come."""
    home = tmp_path_factory.mktemp("history") / "world"
    return shelf.take(home, Made.BOOKS, BOTH, upto=-3)


@pytest.fixture
def world(history: World, tmp_path: Path) -> World:
    return history.copied(tmp_path / "world")


# The market


def test_the_market_asks_for_the_session_that_has_closed(world: World) -> None:
    day = world.sessions[-2]

    assert ends(ask(world, "market", day)) == (f"{day}|AAA", f"{day}|CCC")


def test_the_first_evening_of_a_market_asks_for_all_of_it(tmp_path: Path) -> None:
    world = World.made(tmp_path)
    first, last = world.sessions[0], world.sessions[-1]

    assert ends(ask(world, "market", last)) == (f"{first}|AAA", f"{last}|CCC")


def test_the_market_asks_again_for_bars_that_came_late(world: World) -> None:
    bars = world.bars("BBB")
    late = world.sessions[-4]
    world.write_bars("BBB", bars[bars.index < str(late)])
    assert world.make_market(late, world.sessions[-2]).success
    world.write_bars("BBB", bars)

    tomorrow = ask(world, "market", world.sessions[-1])
    assert ends(tomorrow) == (f"{late}|AAA", f"{world.sessions[-1]}|CCC")
    launch(world, "market", tomorrow)

    stored = world.tables()["bars"]
    assert len(stored[stored["symbol"] == "BBB"]) == len(bars)


def test_a_symbol_that_has_ended_is_asked_about_for_ten_sessions_only(
    world: World,
) -> None:
    bars = world.bars("BBB")
    world.write_bars("BBB", bars.iloc[:5])
    assert world.make_market(last=world.sessions[-2]).success

    found = ask(world, "market", world.sessions[-1])

    assert ends(found)[0] == f"{world.sessions[-11]}|AAA"


# A view


def test_a_strategy_asks_for_the_session_that_has_closed(world: World) -> None:
    day = world.sessions[-2]
    request = ask(world, "cross", day)

    assert ends(request) == (f"{day}|AAA", f"{day}|CCC")
    assert isinstance(request, dg.RunRequest)
    assert request.run_key == f"cross-{day}..{day}-1"


def test_missed_evenings_are_made_up_for_in_one_range(world: World) -> None:
    first, last = world.sessions[-2], world.sessions[-1]

    assert ends(ask(world, "ranges", last)) == (f"{first}|AAA", f"{last}|CCC")


def test_a_holiday_asks_for_nothing_that_is_there(world: World) -> None:
    assert world.sessions[-2] < HOLIDAY < world.sessions[-1]
    world.make_all(world.sessions[-2], world.sessions[-2])

    for schedule in ("market", "cross", "ranges"):
        assert ask(world, schedule, HOLIDAY) == "every session that has closed is there"


def test_a_holiday_makes_up_for_the_evening_before_it(world: World) -> None:
    missed = world.sessions[-2]

    assert ends(ask(world, "cross", HOLIDAY)) == (f"{missed}|AAA", f"{missed}|CCC")


def test_a_new_strategy_asks_for_all_of_its_sessions(tmp_path: Path) -> None:
    world = World.made(tmp_path)
    first, last = world.lane_sessions[0], world.lane_sessions[-1]

    assert ends(ask(world, "ranges", last)) == (f"{first}|AAA", f"{last}|CCC")


def test_a_strategy_whose_start_was_moved_asks_for_all_of_its_sessions(
    world: World,
) -> None:
    world.write_strategy(CROSS.replace("2024-02-01", "2024-01-25"), "s0.yaml")
    world.forget_code()

    assert ends(ask(world, "cross", world.sessions[-1]))[0] == "2024-01-25|AAA"


def test_a_run_that_is_under_way_is_not_asked_for_again(world: World) -> None:
    day = world.sessions[-2]
    request = ask(world, "cross", day)
    assert isinstance(request, dg.RunRequest)
    job = world.definitions.resolve_job_def("cross_view")
    run = world.instance.create_run_for_job(job, tags=request.tags, run_config=QUIET)

    assert ask(world, "cross", day) == f"{day}..{day} is under way"
    world.instance.report_run_canceled(run)
    assert isinstance(ask(world, "cross", day), dg.RunRequest)


def test_an_evening_that_keeps_failing_is_left_to_a_person(world: World) -> None:
    """The market was not made, so neither can the view be."""
    day = world.sessions[-2]
    keys = []
    for _ in range(ATTEMPTS):
        request = ask(world, "cross", day)
        with pytest.raises(RunFailed, match="bars was never materialized"):
            launch(world, "cross_view", request)
        assert isinstance(request, dg.RunRequest)
        keys.append(request.run_key)

    assert keys == [f"cross-{day}..{day}-{attempt}" for attempt in (1, 2, 3)]
    assert ask(world, "cross", day) == (
        f"{day}..{day} has been tried {ATTEMPTS} times: see its runs"
    )
    # The next session is another range.
    assert isinstance(ask(world, "cross", world.sessions[-1]), dg.RunRequest)


# The book


def test_a_book_follows_a_view_of_its_schedule_and_no_other(world: World) -> None:
    day = world.sessions[-2]
    launch(world, "market", ask(world, "market", day))
    _, cursor = follow(world, "cross", None)

    by_hand = {RANGE_START: f"{day}|AAA", RANGE_END: f"{day}|CCC", LAUNCHED_BY: BACKFILL}
    run_job(world.definitions, world.instance, "cross_view", by_hand)
    requests, cursor = follow(world, "cross", cursor)
    assert requests == []

    view = launch(world, "cross_view", ask(world, "cross", day))
    (request,), cursor = follow(world, "cross", cursor)
    assert request.job_name == "cross_book"
    assert request.run_key == f"cross_book-{view}"
    assert ends(request) == (str(day), str(day))
    assert request.tags[RANGE] == f"{day}..{day}"
    assert follow(world, "ranges", None)[0] == []

    launch(world, "cross_book", request)
    assert world.broker.decided("cross")[-1] == day
    assert follow(world, "cross", cursor)[0] == []


def test_a_failed_view_is_followed_by_no_book(world: World) -> None:
    _, cursor = follow(world, "cross", None)
    with pytest.raises(RunFailed):
        launch(world, "cross_view", ask(world, "cross", world.sessions[-2]))

    assert follow(world, "cross", cursor)[0] == []


def test_evenings_give_the_tables_of_a_range(
    world: World, shelf: Shelf, tmp_path: Path
) -> None:
    """One strategy sleeps through the first of them, and makes up for it."""
    first, last = world.sessions[-2], world.sessions[-1]
    cursors = {name: follow(world, name, None)[1] for name in ("cross", "ranges")}

    for day, awake in ((first, ("cross",)), (last, ("cross", "ranges"))):
        launch(world, "market", ask(world, "market", day))
        for name in awake:
            launch(world, f"{name}_view", ask(world, name, day))
            (book,), cursors[name] = follow(world, name, cursors[name])
            launch(world, f"{name}_book", book)

    ranged = shelf.take(tmp_path / "ranged", Made.BOOKS, BOTH)
    assert_same_tables(world.tables(), ranged.tables())
