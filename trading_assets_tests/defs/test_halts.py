"""Halts bind an evening's own run and nothing else, and are replayed from the ledger."""

from dataclasses import dataclass, fields
from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from trading_assets.adapters.ledger.halts import HaltBook
from trading_assets.defs.jobs import BACKFILL, BOOK, SCHEDULE, book_job_name, range_tags
from trading_assets.defs.lanes import Market
from trading_assets.defs.launch import run_job
from trading_assets.models.halt import EVERYTHING
from trading_assets_tests.defs.shelf import Made, Shelf
from trading_assets_tests.defs.world import CROSS, World, assert_same_tables

EVENING = date(2024, 2, 7)
"""Its open buys the BBB that was decided the session before; at its close CCC is."""

WHY = "prices look wrong"


@dataclass(frozen=True, kw_only=True)
class MarketThen(Market):
    """A market on the evening of a day gone by."""

    evening: date

    def current(self) -> date:
        return self.evening


def on(world: World, evening: date) -> World:
    """The same world on *evening*."""
    world.forget_code()
    market = world.market
    known = {own.name: getattr(market, own.name) for own in fields(Market)}
    world.__dict__["market"] = MarketThen(**known, evening=evening)
    return world


def book(
    world: World, first: date, last: date | None = None, *, by: str = SCHEDULE
) -> None:
    """Make the book of a range, asked for *by* somebody."""
    tags = range_tags(first, last or first, launched_by=by)
    run_job(world.definitions, world.instance, book_job_name("cross"), tags)


def orders(world: World, *sessions: date) -> list[tuple[str, str, str]]:
    """Symbol, leg and status of what was decided in *sessions*."""
    rows = world.tables()["orders"]
    own = rows[rows["session"].isin(pd.to_datetime(list(sessions)))]
    return list(own[["symbol", "leg", "status"]].itertuples(index=False, name=None))


@pytest.fixture
def viewed(shelf: Shelf, tmp_path: Path) -> World:
    """Market and views are made, and no book."""
    return on(shelf.take(tmp_path / "viewed", Made.VIEWS, [CROSS]), EVENING)


@pytest.fixture
def free(shelf: Shelf, tmp_path: Path) -> World:
    """The same with a book that was never halted."""
    return shelf.take(tmp_path / "free", Made.BOOKS, [CROSS])


@pytest.fixture(scope="module")
def afternoon(shelf: Shelf, tmp_path_factory: pytest.TempPathFactory) -> World:
    """The book is made up to the session before the evening."""
    home = tmp_path_factory.mktemp("afternoon") / "world"
    world = on(shelf.take(home, Made.VIEWS, [CROSS]), EVENING)
    assert world.make_book("cross", None, before(world), only=BOOK[:-1]).success
    return world


@pytest.fixture
def world(afternoon: World, tmp_path: Path) -> World:
    return on(afternoon.copied(tmp_path / "world"), EVENING)


@pytest.fixture
def halts(world: World) -> HaltBook:
    return HaltBook.open(world.settings.ledger)


def before(world: World, count: int = 1) -> date:
    """The session *count* before the evening."""
    return world.sessions[world.sessions.index(EVENING) - count]


def test_an_evenings_run_under_a_halt_orders_nothing_new(
    world: World, halts: HaltBook
) -> None:
    halts.halt("cross", EVENING, "jan", WHY)

    book(world, EVENING)

    assert orders(world, EVENING) == [("CCC", "entry", "refused")]
    tables = world.tables()
    assert tables["orders"]["reason"].iloc[-1] == f"halt: {WHY} (no. 1, of cross, by jan)"
    bought = tables["fills"][tables["fills"]["session"] == pd.Timestamp(EVENING)]
    assert bought["symbol"].tolist() == ["BBB"]
    assert set(halts.sessions("cross", "simulated")) == {EVENING}


def test_an_exit_is_held_back_too(world: World, halts: HaltBook) -> None:
    leaving = date(2024, 2, 13)
    assert world.make_book("cross", EVENING, date(2024, 2, 12)).success
    halts.halt(EVERYTHING, leaving, "jan", WHY)

    book(on(world, leaving), leaving)

    assert orders(world, leaving) == [
        ("AAA", "entry", "refused"),
        ("CCC", "exit", "refused"),
    ]


def test_a_run_by_hand_of_the_same_evening_is_not_halted(
    world: World, halts: HaltBook
) -> None:
    halts.halt(EVERYTHING, EVENING, "jan", WHY)

    book(world, EVENING, by=BACKFILL)

    assert orders(world, EVENING) == [("CCC", "entry", "submitted")]
    assert halts.sessions("cross", "simulated") == {}


def test_a_scheduled_run_of_the_past_is_not_halted(world: World, halts: HaltBook) -> None:
    halts.halt(EVERYTHING, EVENING, "jan", WHY)

    book(on(world, date(2024, 2, 8)), EVENING)

    assert orders(world, EVENING) == [("CCC", "entry", "submitted")]


def test_of_an_evening_that_heals_others_only_its_own_session_is_halted(
    viewed: World,
) -> None:
    HaltBook.open(viewed.settings.ledger).halt("cross", EVENING, "jan", WHY)

    book(viewed, viewed.lane_sessions[0], EVENING)

    assert orders(viewed, before(viewed, 2), before(viewed), EVENING) == [
        ("BBB", "exit", "submitted"),
        ("BBB", "entry", "submitted"),
        ("CCC", "entry", "refused"),
    ]


def test_an_evening_that_was_decided_before_the_halt_is_left_as_it_is(
    world: World, halts: HaltBook
) -> None:
    book(world, EVENING)
    halts.halt("cross", EVENING, "jan", WHY)

    book(world, EVENING)

    assert orders(world, EVENING) == [("CCC", "entry", "submitted")]


def test_halts_of_other_strategies_change_no_bit_of_a_book(
    world: World, halts: HaltBook, free: World
) -> None:
    halts.halt("ranges", EVENING, "jan", WHY)

    book(world, EVENING)
    assert world.make_book("cross").success

    assert_same_tables(world.tables(), free.tables())


def test_a_backfill_after_a_halt_gives_the_same_tables(
    world: World, halts: HaltBook, free: World
) -> None:
    first, last = world.lane_sessions[0], world.lane_sessions[-1]
    halts.halt("cross", EVENING, "jan", WHY)
    book(world, EVENING)
    halts.resume("cross", EVENING, "jan", "they were right")
    on(world, last)
    book(world, date(2024, 2, 8), last)
    told = world.tables()
    assert len(told["orders"]) != len(free.tables()["orders"])

    world.backfilled("cross", first, last)
    assert_same_tables(world.tables(), told)

    world.settings.warehouse.unlink()
    world.make_all()
    assert_same_tables(world.tables(), told)


def test_a_book_that_is_redone_through_a_halt_ends_as_it_was(
    world: World, halts: HaltBook
) -> None:
    halts.halt("cross", EVENING, "jan", WHY)
    book(world, EVENING)
    halts.resume("cross", EVENING, "jan", "they were right")
    last = world.lane_sessions[-1]
    on(world, last)
    book(world, date(2024, 2, 8), last)
    told, original = world.tables(), world.bars("AAA")

    world.restate("AAA", before(world, 3), 1.01)
    world.backfilled("cross", before(world, 3), last)
    assert world.tables()["portfolio"]["generation"].tolist()[-1] == 1
    assert orders(world, EVENING) == [("CCC", "entry", "refused")]
    world.write_bars("AAA", original)
    world.backfilled("cross", before(world, 3), last)

    again = world.tables()
    for tables in (again, told):
        tables["portfolio"].pop("generation")
    assert_same_tables(again, told)
