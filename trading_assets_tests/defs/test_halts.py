"""Halts bind an evening's own run and nothing else, and are replayed from the ledger."""

from dataclasses import dataclass, fields
from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from trading_assets.adapters.ledger.halts import HaltBook
from trading_assets.defs.jobs import BACKFILL, SCHEDULE, book_job_name, range_tags
from trading_assets.defs.lanes import Market
from trading_assets.defs.launch import run_job
from trading_assets.models.halt import EVERYTHING
from trading_assets_tests.defs.world import CROSS, World, assert_same_tables

EVENING = date(2024, 2, 13)
"""With an exit of BBB and an entry of CCC decided, and an order of before that fills."""

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


@pytest.fixture(scope="module")
def viewed(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Market and views are made, and no book."""
    world = World.made(tmp_path_factory.mktemp("viewed"), strategies=[CROSS])
    assert world.make_market().success
    assert world.make_view("cross").success
    return world


@pytest.fixture(scope="module")
def free(viewed: World, tmp_path_factory: pytest.TempPathFactory) -> World:
    """The same with a book that was never halted."""
    world = viewed.copied(tmp_path_factory.mktemp("free") / "world")
    assert world.make_book("cross").success
    return world


@pytest.fixture
def world(viewed: World, tmp_path: Path) -> World:
    """The book is made up to the session before the evening."""
    world = on(viewed.copied(tmp_path / "world"), EVENING)
    assert world.make_book("cross", None, before(world)).success
    return world


@pytest.fixture
def halts(world: World) -> HaltBook:
    return HaltBook.open(world.settings.ledger)


def before(world: World) -> date:
    """The session before the evening."""
    return world.sessions[world.sessions.index(EVENING) - 1]


def after(world: World) -> date:
    """The session after it."""
    return world.sessions[world.sessions.index(EVENING) + 1]
