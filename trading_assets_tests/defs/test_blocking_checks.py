"""What is wrong stops what rests on it; what is only odd is told."""

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from trading_assets.adapters.analysts.port import Opined
from trading_assets.adapters.analysts.rules import RulesAnalyst
from trading_assets.adapters.market_data.csv_files import CsvMarketData
from trading_assets.adapters.market_data.port import MarketHistory
from trading_assets.adapters.storage.port import Replacement
from trading_assets.defs import indicators
from trading_assets.models.tables import COVERAGE
from trading_assets.sessions import trading_calendar
from trading_assets_tests.defs.shelf import Made, Shelf
from trading_assets_tests.defs.world import CROSS, World, faults_of, made_by, verdicts

type Spoiling = Callable[[pd.DataFrame], pd.DataFrame]


class SpoiltMarketData(CsvMarketData):
    """A source that believes what no source should say."""

    def __init__(self, folder: Path, bars: Spoiling, coverage: Spoiling) -> None:
        super().__init__(folder, trading_calendar())
        self._bars, self._coverage = bars, coverage

    def history(self, symbols: Sequence[str], first: date, last: date) -> MarketHistory:
        honest = super().history(symbols, first, last)
        return replace(
            honest,
            bars=self._bars(honest.bars),
            coverage=self._coverage(honest.coverage),
        )


def as_it_is(rows: pd.DataFrame) -> pd.DataFrame:
    return rows


def upside_down(bars: pd.DataFrame) -> pd.DataFrame:
    """One high below its low."""
    bars.loc[bars.index[7], "high"] = bars.loc[bars.index[7], "low"] / 2
    return bars


def without_one(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.drop(rows.index[7])


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World.made(tmp_path, strategies=[CROSS])


@pytest.mark.parametrize(
    ("bars", "coverage", "failed"),
    [
        pytest.param(upside_down, as_it_is, "bars:consistent", id="a high below a low"),
        pytest.param(without_one, as_it_is, "bars:complete", id="a bar that is lost"),
        pytest.param(without_one, without_one, "bars:complete", id="an unexplained gap"),
    ],
)
def test_bars_that_can_not_be_stop_the_indicators(
    tmp_path: Path, bars: Spoiling, coverage: Spoiling, failed: str
) -> None:
    source = SpoiltMarketData(tmp_path / "w" / "market", bars, coverage)
    world = World.made(
        tmp_path / "w", strategies=[CROSS], resources={"market_data": source}
    )

    result = world.make_market()

    assert not result.success
    assert not verdicts(result)[failed]
    assert made_by(result) == {"bars"}
    assert world.tables()["indicators"].empty


def test_a_jump_without_a_split_is_told_and_stops_nothing(world: World) -> None:
    bars = world.bars("AAA")
    bars.iloc[20:, :4] *= 2
    world.write_bars("AAA", bars)

    result = world.make_market()

    assert result.success
    assert [name for name, passed in verdicts(result).items() if not passed] == [
        "bars:jumps"
    ]


def test_an_indicator_without_a_value_stops_its_run(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = indicators.indicators_as_of

    def with_a_hole(*args: Any, **kwargs: Any) -> pd.DataFrame:
        rows = honest(*args, **kwargs)
        rows.loc[rows.index[-1], "sma_8"] = float("nan")
        return rows

    monkeypatch.setattr(indicators, "indicators_as_of", with_a_hole)
    result = world.make_market()

    assert not result.success
    assert not verdicts(result)["indicators:finite"]


def test_a_stop_on_the_wrong_side_fails_the_view(
    shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The book follows on a view that has succeeded, so there is none."""
    honest = RulesAnalyst.signals

    def careless(self: RulesAnalyst, briefings: Any, asking: Any) -> Opined:
        rows = honest(self, briefings, asking).rows
        buys = rows["action"] == "BUY"
        rows.loc[buys, "entry"] = 40.0
        rows.loc[buys, "stop_loss"] = 41.0
        return Opined(rows)

    monkeypatch.setattr(RulesAnalyst, "signals", careless)
    world = shelf.take(tmp_path / "made", Made.MARKET, [CROSS])
    result = world.make_view("cross")

    assert not result.success
    assert not verdicts(result)["cross/signals:levels"]


@pytest.mark.parametrize(
    "spoiling",
    [
        pytest.param("UPDATE fills SET price = price + 0.01", id="a price"),
        pytest.param("UPDATE fills SET shares = shares + 1", id="a share"),
        pytest.param("DELETE FROM fills WHERE side = 'SELL'", id="a fill"),
        pytest.param("UPDATE portfolio SET equity = equity + 0.01", id="the equity"),
        pytest.param("UPDATE portfolio SET cash = cash + 0.01", id="the cash"),
    ],
)
def test_a_book_that_does_not_balance_stops_the_performance(
    history: World, tmp_path: Path, spoiling: str
) -> None:
    world = history.copied(tmp_path / "world")
    with sqlite3.connect(world.home / "ledger.db") as ledger:
        assert ledger.execute(spoiling).rowcount > 0

    result = world.make_book("cross")

    assert not result.success
    assert not verdicts(result)["cross/portfolio:balances"]
    assert made_by(result) == {"cross/orders", "cross/fills", "cross/portfolio"}


def test_a_changed_capital_is_named_and_a_backfill_applies_it(
    history: World, tmp_path: Path
) -> None:
    world = history.copied(tmp_path / "world")
    world.write_strategy(CROSS.replace("capital: 50000", "capital: 80000"), "s0.yaml")
    last = world.lane_sessions[-1]

    result = world.make_book("cross", last, last)

    assert not result.success
    (verdict,) = [
        own for own in result.get_asset_check_evaluations() if own.check_name == "balances"
    ]
    assert str(verdict.metadata["why"].value).startswith(
        "the book began with 50,000.00, and the strategy's file says 80,000.00: "
        "trading-assets backfill --strategy cross --from 2024-02-01"
    )

    world.backfilled("cross", world.lane_sessions[0], last)
    portfolio = world.tables()["portfolio"]
    assert portfolio["equity"].iloc[0] == pytest.approx(80_000, rel=0.01)


def test_what_is_held_and_in_no_universe_any_more_is_named(
    history: World, tmp_path: Path
) -> None:
    world = history.copied(tmp_path / "world")
    positions = world.tables()["positions"]
    held = positions.loc[positions["symbol"] == "BBB", "session"].dt.date.iloc[0]
    after = world.lane_sessions[world.lane_sessions.index(held) + 1]
    fewer = CROSS.replace("universe: [AAA, BBB, CCC]", "universe: [AAA, CCC]")
    world.write_strategy(fewer, "s0.yaml")
    world.warehouse.replace(
        Replacement(
            COVERAGE,
            pd.DataFrame(
                {
                    "asset": ["bars"],
                    "strategy": [""],
                    "symbol": ["BBB"],
                    "session": [pd.Timestamp(after)],
                }
            ),
            COVERAGE.empty(),
        )
    )

    result = world.make_book("cross", after, after)

    assert not result.success
    assert (
        "cross holds, or has orders for, BBB, and bars was never materialized for "
        f"{after}|BBB: what no strategy's universe has any more must be put back"
    ) in faults_of(result)


@pytest.fixture(scope="module")
def history(shelf: Shelf, tmp_path_factory: pytest.TempPathFactory) -> World:
    """One strategy and its history."""
    home = tmp_path_factory.mktemp("history") / "world"
    return shelf.take(home, Made.BOOKS, [CROSS])
