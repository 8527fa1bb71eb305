"""Bars that change after something was made from them: it is made again, or told.

However a change got in, by a backfill of this strategy or of another one, or by the
evening's market run, what a backfill ends with is what a fresh home would have.
"""

from pathlib import Path

import pandas as pd
import pytest

from trading_assets.adapters.storage.port import Replacement
from trading_assets.core.evenings import market_to_make
from trading_assets.defs.coverage import (
    OUTDATED,
    bars_told,
    outdated_signals,
    replace_if_same,
)
from trading_assets.defs.jobs import BOOK
from trading_assets.errors import StoreBusy
from trading_assets.models.tables import COVERAGE
from trading_assets_tests.defs.shelf import BOTH, Made, Restated, Shelf
from trading_assets_tests.defs.world import (
    CROSS,
    World,
    assert_same_tables,
    faults_of,
)

TARGETED = CROSS.replace(
    "sizing: {kind: fixed_shares, shares: 100}",
    "sizing: {kind: volatility_target, annual_volatility_frac: 0.1, window_sessions: 5}",
).replace("max_positions: 2, max_weight_frac: 0.5", "cash_check: false")


CCC = Restated("CCC", 4, 1.3)
"""What most tests change."""


def assert_as_fresh(world: World, fresh: World) -> None:
    """Both have the same tables, but for how often a session was walked."""
    tables = [
        {
            name: rows.drop(columns="generation", errors="ignore")
            for name, rows in each.tables().items()
        }
        for each in (world, fresh)
    ]
    assert_same_tables(tables[0], tables[1])


def test_indicators_beyond_a_backfill_are_made_again_by_the_next(
    tmp_path: Path, shelf: Shelf
) -> None:
    world = shelf.take(tmp_path / "world", Made.MARKET, [TARGETED])
    days = world.lane_sessions
    assert world.make_view("cross", days[0], days[3]).success
    assert world.make_book("cross", days[0], days[3], only=BOOK[:-1]).success

    restated = Restated("CCC", 2, 1.2)
    world.restate("CCC", days[2], 1.2)
    world.backfilled("cross", days[2], days[3])
    world.backfilled("cross", days[0], days[-1])

    fresh = shelf.take(tmp_path / "fresh", Made.BOOKS, [TARGETED], restated=[restated])
    assert_as_fresh(world, fresh)


@pytest.mark.parametrize(
    "order",
    [("cross", "ranges"), pytest.param(("ranges", "cross"), marks=pytest.mark.long)],
)
def test_every_strategy_reaches_back_to_a_change_whoever_stored_it(
    tmp_path: Path, shelf: Shelf, order: tuple[str, str]
) -> None:
    world = shelf.take(tmp_path / "world", Made.BOOKS, BOTH)
    days = world.lane_sessions
    world.restate("CCC", days[4], 1.3)
    for name in order:
        world.backfilled(name, days[8], days[-1])
        assert world.broker.superseded(name) == ()

    fresh = shelf.take(tmp_path / "fresh", Made.BOOKS, BOTH, restated=[CCC])
    assert_as_fresh(world, fresh)


def test_a_broken_tail_is_not_walked_on_signals_of_older_bars(
    tmp_path: Path, shelf: Shelf
) -> None:
    world = shelf.take(tmp_path / "world", Made.BOOKS, [CROSS])
    days = world.lane_sessions
    world.restate("CCC", days[4], 1.3)
    assert world.make_market(days[4]).success
    assert world.make_view("cross", days[4]).success
    assert world.make_book("cross", days[4], days[6], only=BOOK[:-1]).success
    assert world.broker.superseded("cross")

    world.restate("AAA", days[5], 1.3)
    world.backfilled("cross", days[5], days[6])

    assert world.broker.superseded("cross") == ()
    both = [CCC, Restated("AAA", 5, 1.3)]
    fresh = shelf.take(tmp_path / "fresh", Made.BOOKS, [CROSS], restated=both)
    assert_as_fresh(world, fresh)


def test_a_bar_that_came_late_is_told_and_a_backfill_reaches_back_to_it(
    tmp_path: Path, shelf: Shelf
) -> None:
    world = World.made(tmp_path / "world", strategies=[CROSS])
    days = world.lane_sessions
    late, tonight = days[4], days[5]
    bars = world.bars("CCC")
    world.write_bars("CCC", bars[bars.index < str(late)])
    world.make_all(last=late)
    world.write_bars("CCC", bars)

    coverage = world.warehouse.read(COVERAGE, {"asset": "bars"})
    market = world.market
    evening = market_to_make(
        market.calendar, market.start, market.symbols, coverage, tonight
    )
    assert evening is not None
    assert world.make_market(*evening).success
    assert world.make_view("cross", tonight, tonight).success
    result = world.make_book("cross", tonight, tonight)

    assert result.success
    (made,) = [
        event
        for event in result.get_asset_materialization_events()
        if event.asset_key and event.asset_key.path[-1] == "performance"
    ]
    told = made.step_materialization_data.materialization.metadata["remark"].value
    assert str(told).startswith(f"bars have changed since the signals from {late} on were")

    world.backfilled("cross", days[6], days[-1])

    assert_as_fresh(world, shelf.take(tmp_path / "fresh", Made.BOOKS, [CROSS]))


def test_a_backfill_of_one_symbol_makes_what_another_ones_change_has_touched(
    tmp_path: Path, shelf: Shelf
) -> None:
    world = shelf.take(tmp_path / "world", Made.BOOKS, [CROSS])
    days = world.lane_sessions
    world.restate("CCC", days[4], 1.3)
    assert world.make_market(days[4], days[4], ["CCC"]).success
    world.backfilled("cross", days[8], days[-1], ("AAA",))

    fresh = shelf.take(tmp_path / "fresh", Made.BOOKS, [CROSS], restated=[CCC])
    tables = world.tables()["signals"], fresh.tables()["signals"]
    pd.testing.assert_frame_equal(*tables, check_exact=True)


def test_only_what_rests_on_the_change_is_marked(tmp_path: Path, shelf: Shelf) -> None:
    world = shelf.take(tmp_path / "world", Made.BOOKS, [CROSS])
    days = world.lane_sessions
    assert world.make_market().success  # the same again changes nothing
    assert world.warehouse.read(COVERAGE, {"content_hash": OUTDATED}).empty

    world.restate("BBB", days[3])
    assert world.make_market(days[3], days[3], ["BBB"]).success

    marked = world.warehouse.read(COVERAGE, {"content_hash": OUTDATED})
    assert set(marked["symbol"]) == {"BBB"}
    assert set(marked["asset"]) == {"indicators", "signals"}
    assert set(marked.loc[marked["asset"] == "signals", "session"].dt.date) == set(days[3:])
    assert set(marked["reason"]) == {f"bars have changed since {days[3]}"}
    found = outdated_signals(world.warehouse, "cross", ["AAA", "BBB"], days[0], days[-1])
    assert found.to_dict() == {"BBB": days[3]}
    result = world.make_book("cross", days[3], days[3])
    assert not result.success
    assert "cross/signals was never materialized" in faults_of(result)


def test_what_was_held_is_marked_only_until_it_is_sold(
    tmp_path: Path, shelf: Shelf
) -> None:
    world = shelf.take(tmp_path / "world", Made.VIEWS, [CROSS], upto=10)
    days = world.lane_sessions
    assert world.make_book("cross", days[0], days[6], only=BOOK[:-1]).success
    positions = world.tables()["positions"]
    held = positions[positions["session"] == pd.Timestamp(days[6])]
    assert "CCC" in set(held["symbol"])
    world.write_strategy(CROSS.replace("[AAA, BBB, CCC]", "[AAA, BBB]"), "s0.yaml")
    world.forget_code()
    assert world.make_market().success  # no bars of CCC any more
    assert world.make_view("cross").success

    result = world.make_book("cross", days[7], days[-1], only=BOOK[:-1])

    assert result.success, faults_of(result)
    sold = world.warehouse.query("SELECT side FROM fills WHERE symbol = 'CCC'")
    assert list(sold["side"]) == ["BUY", "SELL"]


@pytest.mark.parametrize("asset", ["indicators", "signals"])
def test_what_was_made_of_bars_that_changed_meanwhile_is_not_stored_over_the_mark(
    tmp_path: Path, shelf: Shelf, asset: str
) -> None:
    world = shelf.take(tmp_path / "world", Made.VIEWS, [CROSS], upto=10)
    days = world.lane_sessions
    window = world.sessions[: world.sessions.index(days[6]) + 1]
    as_read = bars_told(world.warehouse, ["BBB"], window)
    strategy = "cross" if asset == "signals" else ""
    own = {"asset": asset, "strategy": strategy, "symbol": "BBB", "session": days[4]}
    made = world.warehouse.read(COVERAGE, own)
    again = Replacement(COVERAGE, made[list(COVERAGE.partition)], made)

    replace_if_same(world.warehouse, ["BBB"], window, as_read, again)
    world.restate("BBB", days[3])
    assert world.make_market(days[3], days[3], ["BBB"]).success

    with pytest.raises(StoreBusy, match="were changed while they were read"):
        replace_if_same(world.warehouse, ["BBB"], window, as_read, again)
    assert set(world.warehouse.read(COVERAGE, own)["content_hash"]) == {OUTDATED}
