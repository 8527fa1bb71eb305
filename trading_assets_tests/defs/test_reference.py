"""The reference strategy through Dagster, against a plain loop that shares no code."""

from datetime import date
from pathlib import Path

import numpy as np
import pytest

from trading_assets.models.tables import FILLS, PORTFOLIO
from trading_assets_tests.core.test_independent_engines import (
    CAPITAL,
    CENT,
    SAMPLE,
    Market,
    Result,
    assert_same,
    needs_sample,
    plain,
    sampled,
    synthetic,
)
from trading_assets_tests.defs.world import World

REFERENCE = """\
name: reference
universe: [{symbols}]
start: {start}
capital: 1000000
benchmark: null
analyst: {{kind: rules, rule: sma_cross, fast: 10, slow: 50}}
charts: {{indicators: [volume], draw: none}}
sizing: {{kind: fixed_shares, shares: 100}}
risk: {{min_risk_reward: 0, min_profit_frac: 0, max_positions: null, max_weight_frac: null,
  cash_check: false}}
execution: {{broker: simulated, order: market_next_open, bracket: false}}
costs: {{commission: none, slippage_bps: 0, dividends: ignore}}
"""


def through_dagster(world: World, first: date, last: date) -> Result:
    """Fills and equity of a backfill from *first* to *last*."""
    world.backfilled("reference", first, last)
    fills = world.warehouse.read(FILLS)
    fills["sells_first"] = fills["side"] == "BUY"
    ordered = fills.sort_values(["session", "sells_first", "symbol"])
    signed = ordered["shares"].where(ordered["side"] == "BUY", -ordered["shares"])
    days = ordered["session"].dt.date
    told = zip(days, ordered["symbol"], signed, ordered["price"], strict=True)
    return Result(list(told), world.warehouse.read(PORTFOLIO)["equity"].to_numpy())


def world_of(
    home: Path, symbols: tuple[str, ...], start: date, folder: Path, market_start: date
) -> World:
    """A world that reads its bars from *folder*."""
    home.joinpath("strategies").mkdir(parents=True)
    home.joinpath("market").symlink_to(folder.resolve(), target_is_directory=True)
    world = World(home, 0, market_start=market_start)
    text = REFERENCE.format(symbols=", ".join(symbols), start=start)
    world.write_strategy(text, "reference.yaml")
    return world


@needs_sample
@pytest.mark.parametrize(
    ("symbol", "begin", "start", "end"),
    [
        pytest.param("SPY", "2018-06-01", "2019-01-02", "2020-12-31", id="SPY"),
        pytest.param("AAPL", "2019-06-03", "2020-01-02", "2021-06-30", id="a split"),
    ],
)
def test_real_bars_give_what_a_plain_loop_gives(
    tmp_path: Path, symbol: str, begin: str, start: str, end: str
) -> None:
    market = sampled(symbol).between(begin, end)
    sessions = market.sessions
    first = sessions.index(date.fromisoformat(start))
    world = world_of(tmp_path, (symbol,), sessions[first], SAMPLE, sessions[0])

    result = through_dagster(world, sessions[first], sessions[-1])

    expected = plain(market, first)
    assert len(result.equity) == len(sessions) - first
    assert_same(result, expected)


def test_three_symbols_share_one_book_as_in_a_plain_loop(tmp_path: Path) -> None:
    market = synthetic(5, symbols=3, sessions=320)
    written(tmp_path / "bars", market)
    first = 60
    world = world_of(
        tmp_path / "world",
        tuple(market.bars),
        market.sessions[first],
        tmp_path / "bars",
        market.sessions[0],
    )

    result = through_dagster(world, market.sessions[first], market.sessions[-1])

    assert_same(result, plain(market, first))
    assert abs(float(np.asarray(result.equity)[0]) - CAPITAL) < CENT


def written(folder: Path, market: Market) -> None:
    """Write *market* as files."""
    folder.joinpath("daily").mkdir(parents=True)
    for symbol, bars in market.bars.items():
        bars.rename_axis("date").to_csv(folder / "daily" / f"{symbol}.csv")
