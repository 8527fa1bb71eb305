"""What is not there is recorded, shown, and stops nothing that does not need it."""

from pathlib import Path

import pandas as pd
import pytest

from trading_assets_tests.defs.shelf import Made, Shelf
from trading_assets_tests.defs.world import (
    CROSS,
    SYMBOLS,
    World,
    faults_of,
    made_by,
    verdicts,
)


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A world in which nothing has been made yet."""
    return World.made(tmp_path, strategies=[CROSS])


@pytest.fixture
def whole(shelf: Shelf, tmp_path: Path) -> World:
    """One in which everything has been made."""
    return shelf.take(tmp_path / "whole", Made.BOOKS, [CROSS])


def coverage(world: World, asset: str, symbol: str) -> "pd.Series[str]":
    """Status of each session of *symbol*, the reason behind it."""
    rows = world.tables()["coverage"]
    own = rows[(rows["asset"] == asset) & (rows["symbol"] == symbol)]
    told = own["status"] + ": " + own["reason"]
    return told.set_axis(own["session"].dt.date)


def drop_rows(world: World, symbol: str, *which: int) -> None:
    """Take sessions number *which* out of a file."""
    bars = world.bars(symbol)
    kept = [at for at in range(len(bars)) if at not in {n % len(bars) for n in which}]
    world.write_bars(symbol, bars.iloc[kept])


def spoil(world: World, symbol: str, number: int, cell: str, value: object) -> None:
    """Write *value* into one cell of a file."""
    bars = world.bars(symbol).astype(object)
    bars.iloc[number, bars.columns.get_loc(cell)] = value
    world.write_bars(symbol, bars)


def test_every_kind_of_gap_is_recorded_with_its_reason(world: World) -> None:
    days = world.sessions
    drop_rows(world, "AAA", 25)
    spoil(world, "BBB", 26, "low", -1)
    drop_rows(world, "CCC", 0, 1, 2, -1)

    result = world.make_market()

    assert result.success
    aaa, bbb, ccc = (coverage(world, "bars", s) for s in ("AAA", "BBB", "CCC"))
    assert aaa[days[25]] == "missing: daily/AAA.csv has no row"
    assert bbb[days[26]] == "rejected: daily/BBB.csv line 28: low must be above 0, is -1"
    assert ccc[days[2]] == f"not_listed: daily/CCC.csv begins {days[3]}"
    assert ccc[days[-1]] == f"ended: daily/CCC.csv ends {days[-2]}"
    assert (aaa.drop(days[25]) == "ok: ").all()
    passed = verdicts(result)
    assert not passed.pop("bars:gaps")
    assert all(passed.values())


def test_gaps_block_neither_the_symbol_nor_the_others(world: World) -> None:
    gap = world.sessions[25]
    drop_rows(world, "AAA", 25)
    drop_rows(world, "CCC", -1, -2, -3)

    world.make_all()

    tables = world.tables()
    signals = tables["signals"]
    by_symbol = signals.groupby("symbol").size()
    assert by_symbol.to_dict() == {"AAA": 12, "BBB": 13, "CCC": 10}
    assert coverage(world, "indicators", "AAA")[gap] == "missing: no bar"
    assert coverage(world, "signals", "AAA")[gap] == "missing: no bar"
    assert len(tables["portfolio"]) == 13


def test_a_held_symbol_without_a_bar_is_marked_at_its_last_close_and_reported(
    whole: World,
) -> None:
    world = whole
    held = world.tables()["positions"].query("symbol == 'BBB' and not is_stale").iloc[-3]
    gap = held["session"].date()
    before = world.bars("BBB")["close"].shift()[str(gap)]
    drop_rows(world, "BBB", world.sessions.index(gap))
    assert world.make_market().success
    assert world.make_view("cross").success

    result = world.make_book("cross")

    positions = world.tables()["positions"].query("symbol == 'BBB'").set_index("session")
    row = positions.loc[pd.Timestamp(gap)]
    assert row["is_stale"]
    assert row["close"] == before
    assert verdicts(result) == {
        "cross/portfolio:balances": True,
        "cross/portfolio:marks": False,
    }


def test_a_missing_file_fails_its_run_and_leaves_the_others_stored(world: World) -> None:
    world.daily("BBB").unlink()

    result = world.make_market()

    assert not result.success
    assert "daily/BBB.csv: no such file" in faults_of(result)
    assert set(world.tables()["bars"]["symbol"]) == {"AAA", "CCC"}
    assert coverage(world, "bars", "BBB").empty
    # Nothing has been said about BBB; of the others everything can be made.
    assert world.make_market(symbols=["AAA"]).success
    assert world.make_view("cross", symbols=["AAA"]).success


def test_a_file_with_a_column_too_few_fails_by_name(world: World) -> None:
    world.write_bars("CCC", world.bars("CCC").drop(columns="volume"))

    result = world.make_market(symbols=["CCC"])

    assert not result.success
    assert "daily/CCC.csv" in faults_of(result)
    assert "volume" in faults_of(result)


def test_a_symbol_that_is_not_listed_yet_abstains_and_is_not_asked_about(
    world: World,
) -> None:
    listed = world.lane_sessions[3]
    bars = world.bars("CCC")
    world.write_bars("CCC", bars[bars.index >= str(listed)])

    world.make_all()

    own = world.tables()["signals"].query("symbol == 'CCC'")
    assert own["session"].min() == pd.Timestamp(listed)
    warming_up = own[own["is_abstention"]]
    assert len(warming_up) == 7  # the slow average needs eight bars
    assert warming_up["action"].isna().all()
    assert not own["is_abstention"].iloc[-1]


def test_a_backfill_asks_again_for_what_was_not_there(world: World) -> None:
    whole, days = {s: world.bars(s) for s in SYMBOLS}, world.lane_sessions
    drop_rows(world, "AAA", 25)
    spoil(world, "BBB", 26, "close", "n/a")
    drop_rows(world, "CCC", -1)
    world.backfilled("cross", days[0], days[-1])
    gaps = {"missing", "rejected", "ended"}
    assert gaps <= set(world.tables()["coverage"]["status"])

    for symbol, bars in whole.items():
        world.write_bars(symbol, bars)
    world.backfilled("cross", days[0], days[-1])

    fresh = World.made(world.home / "fresh", strategies=[CROSS])
    fresh.backfilled("cross", days[0], days[-1])
    found, expected = world.tables(), fresh.tables()
    for name in ("bars", "indicators", "signals", "fills", "coverage"):
        pd.testing.assert_frame_equal(found[name], expected[name], obj=name)


def test_what_a_backfill_has_made_it_does_not_make_again(world: World) -> None:
    days = world.lane_sessions
    world.backfilled("cross", days[0], days[-1])
    before = world.warehouse.query("SELECT max(recorded_at) FROM bars")

    titles = world.backfilled("cross", days[0], days[-1])

    assert titles[0] == "cross_view: daily_chart, weekly_chart, signals"
    after = world.warehouse.query("SELECT max(recorded_at) FROM bars")
    pd.testing.assert_frame_equal(after, before)


def test_another_set_of_indicators_is_made_before_signals_need_it(whole: World) -> None:
    world, days = whole, whole.lane_sessions
    world.write_strategy(CROSS.replace("slow: 8", "slow: 9"), "s0.yaml")
    world.forget_code()

    result = world.make_view("cross")
    assert "indicators was never materialized as the strategies need it now" in (
        faults_of(result)
    )
    assert "cross/signals" not in made_by(result)

    titles = world.backfilled("cross", days[0], days[-1])
    assert titles[0] == "market: indicators"
    own = world.tables()["indicators"]
    assert own.loc[own["session"] >= str(days[0]), "sma_9"].notna().all()
