"""The reference strategy, against two engines that share no line with ours.

`sma_cross` of 10 and 50 sessions, 100 shares, at the next open, without costs: as a
plain loop over numpy arrays, and in backtrader.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import backtrader as bt
import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from trading_assets.core.deciding import Plan
from trading_assets.core.market_days import market_days
from trading_assets.core.walk import Opening, walk
from trading_assets.sessions import trading_calendar
from trading_assets_tests.make import make_actions, make_sessions, make_spec

type Fill = tuple[date, str, int, float]
type Floats = NDArray[np.float64]

FAST, SLOW, SHARES, CAPITAL = 10, 50, 100, 1_000_000.0
CENT = 0.005
SAMPLE = Path(
    os.environ.get(
        "TRADING_SAMPLE_DATA", Path(__file__).parents[2].joinpath("../shared/data")
    )
)
needs_sample = pytest.mark.skipif(
    not SAMPLE.joinpath("daily").is_dir(), reason=f"no sample data in {SAMPLE}"
)


@dataclass(frozen=True)
class Result:
    """What an engine made of a market."""

    fills: list[Fill]
    equity: Floats


@dataclass(frozen=True)
class Market:
    """Bars as traded, by symbol, all of the same sessions.

    Attributes:
        splits: New shares per old share, by symbol and session.
    """

    bars: Mapping[str, pd.DataFrame]
    splits: Mapping[str, Mapping[date, float]]

    @property
    def sessions(self) -> list[date]:
        """Of every symbol."""
        return [day.date() for day in next(iter(self.bars.values())).index]

    def ratios(self, symbol: str) -> Floats:
        """Of a split before the open of each session; 1 for none."""
        own = self.splits.get(symbol, {})
        return np.array([own.get(session, 1.0) for session in self.sessions])

    def between(self, first: str, last: str) -> "Market":
        """The sessions from *first* to *last*, both included."""
        return Market({s: own.loc[first:last] for s, own in self.bars.items()}, self.splits)


# The three engines


def opinions(market: Market, symbol: str) -> list[str | None]:
    """What `sma_cross` says at each close, in plain numpy; None while it warms up."""
    scale = np.cumprod(market.ratios(symbol))
    closes = market.bars[symbol]["close"].to_numpy() * scale
    said: list[str | None] = []
    for at in range(len(closes)):
        if at + 1 < SLOW:
            said.append(None)
            continue
        fast = closes[at + 1 - FAST : at + 1].mean()
        slow = closes[at + 1 - SLOW : at + 1].mean()
        if abs(fast - slow) <= 1e-9 * slow:
            said.append("HOLD")
        else:
            said.append("BUY" if fast > slow else "SELL")
    return said


def ours(market: Market, first: int = 0) -> Result:
    """The walk from session number *first* on."""
    frames = [
        own.rename_axis("session").reset_index().assign(symbol=symbol)
        for symbol, own in market.bars.items()
    ]
    signals = pd.DataFrame(
        [
            (symbol, pd.Timestamp(session), action)
            for symbol in market.bars
            for session, action in zip(
                market.sessions, opinions(market, symbol), strict=True
            )
        ],
        columns=["symbol", "session", "action"],
    ).assign(
        confidence_score=50.0,
        entry=np.nan,
        stop_loss=np.nan,
        take_profit=np.nan,
        reasoning="",
    )
    actions = pd.DataFrame(
        [
            (symbol, pd.Timestamp(session), "split", ratio)
            for symbol, own in market.splits.items()
            for session, ratio in own.items()
        ],
        columns=["symbol", "ex_session", "kind", "value"],
    )
    days = market_days(
        sessions=market.sessions[first:],
        symbols=list(market.bars),
        bars=pd.concat(frames),
        actions=actions if len(actions) else make_actions([]),
        signals=signals,
        volatility=None,
        calendar=trading_calendar(),
    )
    spec = make_spec(universe=tuple(market.bars), capital=CAPITAL)
    walked = walk(Plan.of(spec), days, Opening.with_capital(CAPITAL))
    fills = [
        (
            row["session"],
            row["symbol"],
            row["shares"] if row["side"] == "BUY" else -row["shares"],
            row["price"],
        )
        for row in walked.log.fills
    ]
    return Result(fills, np.array([row["equity"] for row in walked.portfolio]))


def plain(market: Market, first: int = 0) -> Result:
    """The same in one loop per symbol; what each earns is added up."""
    fills: list[Fill] = []
    equity = np.full(len(market.sessions) - first, CAPITAL)
    for symbol, own in market.bars.items():
        opens, closes = own["open"].to_numpy(), own["close"].to_numpy()
        ratios, said = market.ratios(symbol), opinions(market, symbol)
        cash, held, ordered = 0.0, 0, 0
        for at in range(first, len(closes)):
            held, ordered = int(held * ratios[at]), int(ordered * ratios[at])
            if ordered:
                held += ordered
                cash -= ordered * opens[at]
                fills.append((market.sessions[at], symbol, ordered, opens[at]))
            equity[at - first] += cash + held * closes[at]
            ordered = 0
            if said[at] == "BUY" and held == 0:
                ordered = SHARES
            elif said[at] == "SELL" and held > 0:
                ordered = -held
    sells_first = sorted(fills, key=lambda fill: (fill[0], fill[2] > 0, fill[1]))
    return Result(sells_first, equity)


class SmaCross(bt.Strategy):
    """The reference strategy in backtrader's own words, its averages included."""

    def __init__(self) -> None:
        self.fast = {own: bt.indicators.SMA(own.close, period=FAST) for own in self.datas}
        self.slow = {own: bt.indicators.SMA(own.close, period=SLOW) for own in self.datas}
        self.filled: list[Fill] = []
        self.values: list[float] = []

    def prenext(self) -> None:
        self.values.append(self.broker.getvalue())

    def next(self) -> None:
        self.values.append(self.broker.getvalue())
        for own in self.datas:
            fast, slow = self.fast[own][0], self.slow[own][0]
            held = self.getposition(own).size
            if abs(fast - slow) <= 1e-9 * slow:
                continue
            if fast > slow and not held:
                self.buy(own, size=SHARES)
            elif fast < slow and held:
                self.sell(own, size=held)

    def notify_order(self, order: Any) -> None:
        if order.status == order.Completed:
            at = bt.num2date(order.executed.dt).date()
            size, price = order.executed.size, order.executed.price
            self.filled.append((at, order.data._name, int(size), price))


def backtrader(market: Market) -> Result:
    """The same in backtrader: market orders, filled at the next open."""
    cerebro = bt.Cerebro(stdstats=False)
    for symbol, own in market.bars.items():
        cerebro.adddata(bt.feeds.PandasData(dataname=own, openinterest=None), name=symbol)
    cerebro.broker.setcash(CAPITAL)
    cerebro.broker.setcommission(commission=0.0)
    cerebro.addstrategy(SmaCross)
    (ran,) = cerebro.run()
    fills = sorted(ran.filled, key=lambda fill: (fill[0], fill[2] > 0, fill[1]))
    return Result(fills, np.array(ran.values))


def assert_same(result: Result, other: Result) -> None:
    """Fills and equity agree to the cent, and there was something to agree on."""
    assert len(result.fills) >= 2
    assert [fill[:3] for fill in result.fills] == [fill[:3] for fill in other.fills]
    prices = np.array([fill[3] for fill in result.fills])
    np.testing.assert_allclose(prices, [fill[3] for fill in other.fills], rtol=0, atol=CENT)
    np.testing.assert_allclose(result.equity, other.equity, rtol=0, atol=CENT)


# Markets


def synthetic(seed: int, symbols: int = 1, sessions: int = 700) -> Market:
    """Random walks with gaps, in cents, with runs of an unchanged close among them."""
    rng = np.random.default_rng(seed)
    index = pd.DatetimeIndex(make_sessions(sessions, date(2018, 1, 2)))
    bars = {}
    for number in range(symbols):
        moves = rng.normal(0, 0.012, (sessions, 2))
        moves[200:280] = 0
        path = 80 * np.exp(np.cumsum(moves.ravel())).reshape(sessions, 2)
        opens, closes = path.round(2).T
        reach = np.abs(rng.normal(0, 0.5, sessions)).round(2)
        bars[f"S{number}"] = pd.DataFrame(
            {
                "open": opens,
                "high": np.maximum(opens, closes) + reach,
                "low": np.minimum(opens, closes) - reach,
                "close": closes,
                "volume": 1_000.0,
            },
            index=index,
        )
    return Market(bars, {})


def sampled(symbol: str) -> Market:
    """The sample data's bars and splits of *symbol*."""
    own = pd.read_csv(SAMPLE / "daily" / f"{symbol}.csv", index_col=0, parse_dates=True)
    actions = pd.read_csv(SAMPLE / "actions" / f"{symbol}.csv")
    splits = actions[actions["kind"] == "split"]
    return Market(
        {symbol: own.astype(float)},
        {
            symbol: {
                date.fromisoformat(ex_date): float(ratio)
                for ex_date, ratio in zip(splits["ex_date"], splits["value"], strict=True)
            }
        },
    )


# What is compared


@pytest.mark.parametrize("seed", range(4))
def test_a_plain_loop_gives_the_same_fills_and_equity(seed: int) -> None:
    market = synthetic(seed, symbols=3)

    assert_same(ours(market), plain(market))


@pytest.mark.parametrize("seed", range(2))
def test_backtrader_gives_the_same_fills_and_equity(seed: int) -> None:
    market = synthetic(seed)

    assert_same(ours(market), backtrader(market))


def test_backtrader_gives_the_same_for_several_symbols_at_once() -> None:
    market = synthetic(7, symbols=3)

    assert_same(ours(market), backtrader(market))


def test_a_strategy_that_starts_in_the_middle_enters_what_is_already_rising() -> None:
    market = synthetic(1)
    said = opinions(market, "S0")
    first = next(at for at in range(300, 700) if said[at - 5 : at + 1] == ["BUY"] * 6)

    result = ours(market, first)

    assert result.fills[0][0] == market.sessions[first + 1]
    assert_same(result, plain(market, first))


@needs_sample
def test_spy_gives_what_backtrader_gives() -> None:
    market = sampled("SPY")

    assert_same(ours(market), backtrader(market))
    assert_same(ours(market), plain(market))


@needs_sample
def test_apple_between_its_splits_gives_what_backtrader_gives() -> None:
    market = sampled("AAPL").between("2014-06-09", "2020-08-28")

    assert_same(ours(market), backtrader(market))


@needs_sample
def test_apple_held_through_its_split_gives_what_a_plain_loop_gives() -> None:
    market = sampled("AAPL").between("2020-03-01", "2021-03-31")
    result = ours(market)

    bought = [fill for fill in result.fills if fill[0] < date(2020, 8, 31)]
    sold = [fill for fill in result.fills if fill[0] > date(2020, 8, 31)]
    assert (bought[-1][2], sold[0][2]) == (100, -400)
    assert_same(result, plain(market))


@needs_sample
def test_all_of_apple_with_its_four_splits_gives_what_a_plain_loop_gives() -> None:
    market = sampled("AAPL")

    assert_same(ours(market), plain(market))


def test_an_average_that_equals_the_other_leaves_things_as_they_are() -> None:
    market = synthetic(3)

    assert "HOLD" in opinions(market, "S0")
    assert_same(ours(market), plain(market))
