"""Bars as arrays, and what splits do to them."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_assets.core.panel import FIELDS, Panel
from trading_assets_tests.core.walks import actions, walk


def four_bars(symbol: str = "AAA") -> pd.DataFrame:
    bars = walk(1, 4, symbol=symbol)
    bars[["open", "high", "low", "close"]] = [[80.0, 88.0, 72.0, 84.0]] * 4
    return bars.assign(volume=[1000.0, 2000.0, 3000.0, 4000.0])


def day(bars: pd.DataFrame, at: int) -> str:
    return str(bars["session"].iloc[at].date())


def test_symbols_lie_one_after_the_other_in_session_order() -> None:
    bars = pd.concat([walk(2, 5, symbol="BBB"), walk(1, 3)])

    panel = Panel.of(bars.sample(frac=1, random_state=3), actions())

    assert panel.symbols == ("AAA", "BBB")
    assert panel.offsets.tolist() == [0, 3, 8]
    np.testing.assert_array_equal(panel.close[panel.rows(1)], walk(2, 5)["close"])
    assert (np.diff(panel.sessions[panel.rows(1)]) > np.timedelta64(0)).all()


def test_without_bars_there_is_nothing() -> None:
    panel = Panel.of(walk(1, 4).iloc[:0], actions())

    assert panel.symbols == ()
    assert panel.offsets.tolist() == [0]
    assert len(panel.close) == 0


def test_a_split_divides_earlier_prices_and_multiplies_earlier_volume() -> None:
    bars = four_bars()
    panel = Panel.of(bars, actions([("AAA", day(bars, 2), "split", 4.0)]))

    seen = panel.as_of(slice(0, 4), 3)

    assert seen["close"].tolist() == [21.0, 21.0, 84.0, 84.0]
    assert seen["open"].tolist() == [20.0, 20.0, 80.0, 80.0]
    assert seen["high"].tolist() == [22.0, 22.0, 88.0, 88.0]
    assert seen["low"].tolist() == [18.0, 18.0, 72.0, 72.0]
    assert seen["volume"].tolist() == [4000.0, 8000.0, 3000.0, 4000.0]


def test_a_later_split_changes_nothing() -> None:
    bars = four_bars()
    panel = Panel.of(bars, actions([("AAA", day(bars, 3), "split", 4.0)]))

    seen = panel.as_of(slice(0, 3), 2)

    assert seen["close"].tolist() == [84.0, 84.0, 84.0]
    assert seen["volume"].tolist() == [1000.0, 2000.0, 3000.0]


def test_a_split_holds_from_its_own_session_on() -> None:
    bars = four_bars()
    panel = Panel.of(bars, actions([("AAA", day(bars, 2), "split", 4.0)]))

    assert panel.as_of(slice(1, 2), 1)["close"].tolist() == [84.0]
    assert panel.as_of(slice(1, 3), 2)["close"].tolist() == [21.0, 84.0]


def test_splits_multiply() -> None:
    bars = four_bars()
    happened = [("AAA", day(bars, 1), "split", 7.0), ("AAA", day(bars, 3), "split", 4.0)]
    panel = Panel.of(bars, actions(happened))

    assert panel.as_of(slice(0, 4), 3)["close"].tolist() == [3.0, 21.0, 21.0, 84.0]


def test_a_spinoff_scales_prices_and_leaves_shares() -> None:
    bars = four_bars()
    panel = Panel.of(bars, actions([("AAA", day(bars, 2), "spinoff_factor", 1.5)]))

    seen = panel.as_of(slice(0, 4), 3)

    assert seen["close"].tolist() == [56.0, 56.0, 84.0, 84.0]
    assert seen["volume"].tolist() == [1000.0, 2000.0, 3000.0, 4000.0]


@pytest.mark.parametrize(
    ("symbol", "kind"),
    [
        pytest.param("AAA", "dividend", id="a dividend"),
        pytest.param("ZZZ", "split", id="somebody else's split"),
    ],
)
def test_nothing_is_adjusted_for(symbol: str, kind: str) -> None:
    bars = four_bars()
    panel = Panel.of(bars, actions([(symbol, day(bars, 2), kind, 4.0)]))

    for field in FIELDS:
        assert panel.as_of(slice(0, 4), 3)[field].tolist() == bars[field].tolist()


@given(
    ratios=st.lists(st.floats(0.05, 20), min_size=2, max_size=5),
    skipped=st.integers(0, 19),
)
def test_a_shorter_range_gives_the_same_to_the_last_bit(
    ratios: list[float], skipped: int
) -> None:
    bars = walk(4, 24)
    happened = [
        ("AAA", day(bars, 2 + 4 * at), "split", ratio) for at, ratio in enumerate(ratios)
    ]
    whole = Panel.of(bars, actions(happened))
    part = Panel.of(bars.iloc[skipped:], actions(happened))

    seen = part.as_of(slice(0, 24 - skipped), 23 - skipped)

    for field, values in whole.as_of(slice(skipped, 24), 23).items():
        np.testing.assert_array_equal(seen[field], values)
