from dataclasses import replace
from datetime import date
from hashlib import sha256

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading_assets.adapters.market_data.port import MarketData, MarketHistory
from trading_assets.adapters.market_data.simulated import EPOCH, SimulatedMarketData
from trading_assets.core.bar_checks import inconsistent_bars, suspicious_jumps
from trading_assets.core.panel import Panel
from trading_assets.sessions import TradingCalendar
from trading_assets_tests.adapters.market_data.contract import CALENDAR, MarketDataContract

SEED = 1
MARKET = SimulatedMarketData(SEED, CALENDAR)
TWENTY_FIVE_YEARS = (EPOCH, date(2024, 12, 31))
NAMES = tuple(f"S{number}" for number in range(30))


def log_returns(history: MarketHistory) -> pd.DataFrame:
    """Daily, of closes that splits were taken out of; one column per symbol."""
    panel = Panel.of(history.bars, history.actions)
    return pd.DataFrame(
        {
            symbol: np.diff(np.log(panel.as_of(rows, rows.stop - 1)["close"]))
            for symbol, rows in (
                (name, panel.rows(at)) for at, name in enumerate(panel.symbols)
            )
        }
    )


@pytest.fixture(scope="module")
def decades() -> MarketHistory:
    return MARKET.history([*NAMES, "SPY"], *TWENTY_FIVE_YEARS)


class TestSimulatedMarketData(MarketDataContract):
    SYMBOLS = ("SPY", "BRK.B", "KO")
    FIRST, LAST = date(1999, 12, 1), date(2003, 6, 30)

    @pytest.fixture
    def market_data(self) -> MarketData:
        return SimulatedMarketData(SEED, CALENDAR)


def test_the_same_seed_gives_the_same_bytes_in_every_process() -> None:
    history = SimulatedMarketData(1, CALENDAR).history(
        ["AMZN", "SPY"], date(2025, 10, 1), date(2025, 11, 28)
    )

    written = (
        history.bars.to_csv(index=False) + history.actions.to_csv(index=False)
    ).encode()
    assert sha256(written).hexdigest()[:16] == "9f0ade9e949b071d"


def test_another_seed_is_another_market() -> None:
    asked = ("KO", date(2020, 1, 2), date(2020, 1, 31))
    one = SimulatedMarketData(1, CALENDAR).history([asked[0]], *asked[1:]).bars["close"]
    two = SimulatedMarketData(2, CALENDAR).history([asked[0]], *asked[1:]).bars["close"]

    assert not np.isclose(one, two).any()


days = st.dates(date(1999, 12, 1), date(2026, 12, 31))


@settings(deadline=None, max_examples=30)
@given(ends=st.tuples(days, days), symbol=st.sampled_from(["KO", "SPY", "X^1", *NAMES]))
def test_a_bar_does_not_depend_on_the_range(ends: tuple[date, date], symbol: str) -> None:
    first, last = sorted(ends)
    fresh = SimulatedMarketData(SEED, CALENDAR)

    part = fresh.history([symbol], first, last)

    whole = MARKET.history([symbol], date(1999, 1, 1), date(2030, 12, 31)).bars
    asked = whole[whole["session"].between(pd.Timestamp(first), pd.Timestamp(last))]
    pd.testing.assert_frame_equal(part.bars, asked.reset_index(drop=True))


def test_a_calendar_that_ends_earlier_changes_no_bar() -> None:
    cut = len(CALENDAR.between(CALENDAR.sessions[0], date(2010, 6, 30)))
    shorter = SimulatedMarketData(SEED, shortened(CALENDAR, CALENDAR.sessions[:cut]))
    asked = (["KO", "SPY"], date(2009, 1, 1), date(2010, 6, 30))

    assert shorter.history(*asked).bars.equals(MARKET.history(*asked).bars)


def test_a_holiday_that_is_added_moves_no_other_bar() -> None:
    added = date(2009, 3, 4)
    sessions = tuple(on for on in CALENDAR.sessions if on != added)
    asked = (["KO"], date(2009, 1, 1), date(2010, 6, 30))

    closer = SimulatedMarketData(SEED, shortened(CALENDAR, sessions)).history(*asked).bars

    open_then = MARKET.history(*asked).bars
    kept = open_then[open_then["session"] != pd.Timestamp(added)].reset_index(drop=True)
    pd.testing.assert_frame_equal(closer, kept)


def shortened(calendar: TradingCalendar, sessions: tuple[date, ...]) -> TradingCalendar:
    return replace(calendar, sessions=sessions)


@settings(deadline=None, max_examples=25)
@given(
    seed=st.integers(0, 2**63 - 1),
    symbol=st.from_regex(r"\A[A-Z0-9^][A-Z0-9.\-/^=]{0,15}\Z"),
)
def test_bars_of_any_symbol_in_any_market_can_be(seed: int, symbol: str) -> None:
    market = SimulatedMarketData(seed, CALENDAR)

    history = market.history([symbol], EPOCH, date(2035, 12, 31))

    assert inconsistent_bars(history.bars).empty
    prices = history.bars[["open", "high", "low", "close"]].to_numpy()
    assert (np.round(prices, 2) == prices).all()
    assert prices.min() > 1
    assert prices.max() < 20_000
    assert (history.bars["volume"] % 100 == 0).all()


def test_before_its_first_day_nothing_is_listed() -> None:
    before = MARKET.history(["KO"], date(1999, 12, 30), date(2000, 1, 4)).coverage

    assert before["status"].tolist() == ["not_listed", "not_listed", "ok", "ok"]
    assert before["reason"][0] == "the simulated market begins 2000-01-03"


def test_splits_take_a_share_back_and_leave_no_other_trace(
    decades: MarketHistory,
) -> None:
    splits = decades.actions[decades.actions["kind"] == "split"]
    bars = decades.bars.set_index(["symbol", "session"])["close"]

    assert len(splits) > 30
    assert set(splits["value"]) <= {2.0, 3.0, 4.0, 0.2}
    for split in splits.itertuples():
        closes = bars[split.symbol]
        before = closes[closes.index < split.ex_session].iloc[-1]
        assert closes[split.ex_session] * split.value == pytest.approx(before, rel=0.3)
    assert len(suspicious_jumps(decades.bars, decades.actions)) <= 3


def test_companies_pay_quarterly_if_they_pay(decades: MarketHistory) -> None:
    dividends = decades.actions[decades.actions["kind"] == "dividend"]
    counts = dividends["symbol"].value_counts()

    assert 0.3 * len(NAMES) < len(counts) < len(NAMES)
    assert counts.between(99, 100).all()
    close = decades.bars.set_index(["symbol", "session"])["close"]
    keys = pd.MultiIndex.from_frame(dividends[["symbol", "ex_session"]])
    yields = dividends["value"].to_numpy() / close.reindex(keys).to_numpy()
    assert yields.max() < 0.02


def test_returns_look_like_those_of_shares(decades: MarketHistory) -> None:
    returns = log_returns(decades)
    volatility = returns.std() * np.sqrt(252)
    kurtosis = returns.kurt() + 3
    levels = returns.cumsum()
    drawdown = 1 - np.exp(levels - levels.cummax())

    assert volatility.between(0.12, 0.42).all()
    assert kurtosis.between(4.5, 60).all()
    assert drawdown.max().between(0.25, 0.96).all()
    assert np.exp(levels.iloc[-1] / 25).between(0.97, 1.20).all()
    assert returns.abs().apply(pd.Series.autocorr).min() > 0.05
    assert returns.apply(pd.Series.autocorr).abs().max() < 0.06


def test_symbols_move_together_and_most_with_the_market(decades: MarketHistory) -> None:
    correlation = log_returns(decades).corr()
    among = correlation.loc[list(NAMES), list(NAMES)].to_numpy()[
        np.triu_indices(len(NAMES), 1)
    ]

    assert 0.2 < np.median(among) < 0.6
    assert 0.4 < correlation.loc[list(NAMES), "SPY"].median() < 0.8


def test_index_funds_are_nearly_the_same_thing() -> None:
    funds = MARKET.history(["SPY", "VOO", "QQQ"], date(2015, 1, 1), date(2020, 12, 31))

    assert log_returns(funds).corr().to_numpy().min() > 0.95


def test_volume_is_persistent_and_high_on_big_moves(decades: MarketHistory) -> None:
    returns = log_returns(decades)
    for symbol in NAMES[:10]:
        volume = decades.bars.loc[decades.bars["symbol"] == symbol, "volume"].map(np.log)

        assert volume.autocorr() > 0.5
        assert np.corrcoef(volume[1:], returns[symbol].abs())[0, 1] > 0.15


def test_there_are_gaps_overnight_and_ranges_by_day(decades: MarketHistory) -> None:
    bars = decades.bars[decades.bars["symbol"] == "SPY"].reset_index(drop=True)
    night = np.log(bars["open"] / bars["close"].shift()).std()
    whole = np.log(bars["close"]).diff().std()
    spread = np.log(bars["high"] / bars["low"]).mean()

    assert 0.35 < night / whole < 0.75
    assert 0.8 < spread / whole < 1.6
