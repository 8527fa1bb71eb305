import os
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading_assets.core.opinions import COLUMNS, Opinions
from trading_assets.core.rule_modules import rules_of
from trading_assets.core.views import Views, views_of
from trading_assets.errors import InvalidStrategy
from trading_assets_tests.core.viewing import day, make_indicators, make_panel, make_views

RULES = rules_of()
EXAMPLES = 300 if os.environ.get("TRADING_TEST_PROFILE") == "long" else 30


def ask(
    rule: str,
    closes: Sequence[float],
    columns: Mapping[str, Sequence[float | None]],
    **parameters: object,
) -> Opinions:
    return RULES[rule].bound(parameters).opinions(make_views(closes, columns))


class TestSmaCross:
    """Long above, flat below, as it was when equal."""

    def cross(self, fast: float | None, slow: float | None) -> Opinions:
        return ask("sma_cross", [10.0], {"sma_10": [fast], "sma_50": [slow]})

    @pytest.mark.parametrize(
        ("fast", "slow", "action"),
        [
            pytest.param(10.1, 10.0, 1, id="above"),
            pytest.param(9.9, 10.0, -1, id="below"),
            pytest.param(10.0, 10.0, 0, id="equal"),
            pytest.param(10.0 + 0.9e-8, 10.0, 0, id="equal within a billionth"),
            pytest.param(10.0 + 1.1e-8, 10.0, 1, id="above by more than a billionth"),
            pytest.param(10.0 - 0.9e-8, 10.0, 0, id="equal from below"),
            pytest.param(10.0 - 1.1e-8, 10.0, -1, id="below by more than a billionth"),
        ],
    )
    def test_the_side_of_the_fast_average_decides(
        self, fast: float, slow: float, action: int
    ) -> None:
        told = self.cross(fast, slow)

        assert told.action.tolist() == [action]
        assert not told.abstains[0]

    @pytest.mark.parametrize(("fast", "slow"), [(None, 10.0), (10.0, None), (None, None)])
    def test_without_an_average_it_abstains(
        self, fast: float | None, slow: float | None
    ) -> None:
        told = self.cross(fast, slow)

        assert told.abstains.tolist() == [True]
        assert np.isnan(told.score).all()

    def test_it_names_no_levels(self) -> None:
        told = self.cross(11.0, 10.0)

        assert np.isnan([told.entry, told.stop, told.target]).all()

    @pytest.mark.parametrize(
        ("fast", "score"),
        [(10.0, 0.0), (10.5, 50.0), (9.5, 50.0), (11.0, 100.0), (20, 100.0)],
    )
    def test_the_score_is_the_gap(self, fast: float, score: float) -> None:
        assert self.cross(fast, 10.0).score.tolist() == pytest.approx([score])

    def test_its_averages_follow_its_parameters(self) -> None:
        bound = RULES["sma_cross"].bound({"fast": 5, "slow": 20})

        assert bound.indicators == ("sma_5", "sma_20")
        assert bound.bars == 1

    def test_a_fast_average_that_is_not_faster_is_refused(self) -> None:
        with pytest.raises(
            InvalidStrategy, match="fast must be below slow, was 50 with a slow"
        ):
            RULES["sma_cross"].bound({"fast": 50})

    def test_it_says_what_it_compared(self) -> None:
        assert self.cross(10.5, 10.0).reason(0) == "SMA(10) 10.50 is above SMA(50) 10.00"
        assert self.cross(10.0, 10.0).reason(0) == "SMA(10) 10.00 is equal to SMA(50) 10.00"


RISING = {
    "sma_20": 95.0,
    "sma_50": 90.0,
    "sma_200": 80.0,
    "macd_hist_12_26_9": 1.0,
    "rsi_14": 60.0,
    "supertrend_direction_10_3": 1.0,
    "adx_14": 30.0,
    "atr_14": 2.0,
}
"""Seven votes for a rise, at a close of 100."""

FALLING = RISING | {
    "sma_20": 105.0,
    "sma_50": 110.0,
    "sma_200": 120.0,
    "macd_hist_12_26_9": -1.0,
    "rsi_14": 40.0,
    "supertrend_direction_10_3": -1.0,
}


class TestTrend:
    """Seven votes."""

    def vote(self, columns: Mapping[str, float | None], **parameters: float) -> Opinions:
        return ask("trend", [100.0], {n: [v] for n, v in columns.items()}, **parameters)

    def test_seven_votes_for_a_rise_buy_with_full_score(self) -> None:
        told = self.vote(RISING)

        assert (told.action[0], told.score[0]) == (1, 100.0)
        # 2.5 and 5 average true ranges of 2.
        assert (told.entry[0], told.stop[0], told.target[0]) == (100.0, 95.0, 110.0)

    def test_seven_votes_for_a_fall_sell_with_levels_mirrored(self) -> None:
        told = self.vote(FALLING)

        assert (told.action[0], told.score[0]) == (-1, 100.0)
        assert (told.entry[0], told.stop[0], told.target[0]) == (100.0, 105.0, 90.0)

    @pytest.mark.parametrize(
        ("changed", "action", "votes"),
        [
            pytest.param({"adx_14": 19.9}, 1, 6, id="a weak trend has no vote of its own"),
            pytest.param({"adx_14": 20.0}, 1, 7, id="a strong one votes with the others"),
            pytest.param({"rsi_14": 70.1}, 1, 6, id="overbought is silent"),
            pytest.param({"rsi_14": 50.0}, 1, 6, id="the middle is silent"),
            pytest.param({"rsi_14": 49.9}, 1, 5, id="below the middle is a fall"),
            pytest.param({"rsi_14": 29.9}, 1, 6, id="oversold is silent"),
            pytest.param({"macd_hist_12_26_9": 0.0}, 1, 6, id="no momentum is silent"),
            pytest.param({"macd_hist_12_26_9": -1.0, "sma_20": 101.0}, 0, 3, id="3 stay"),
            pytest.param({"macd_hist_12_26_9": -1.0, "rsi_14": 75.0}, 1, 4, id="4 buy"),
        ],
    )
    def test_each_voter_counts_once(
        self, changed: dict[str, float], action: int, votes: int
    ) -> None:
        told = self.vote(RISING | changed)

        assert told.action[0] == action
        assert told.score[0] == pytest.approx(100 * votes / 7)

    @pytest.mark.parametrize("missing", sorted(RISING))
    def test_without_any_one_of_its_indicators_it_abstains(self, missing: str) -> None:
        assert self.vote(RISING | {missing: None}).abstains.tolist() == [True]

    def test_it_asks_for_the_agreement_that_the_file_asks_for(self) -> None:
        changed = RISING | {"macd_hist_12_26_9": -1.0, "rsi_14": 75.0}

        assert self.vote(changed, agreement=0.6).action.tolist() == [0]

    def test_its_levels_follow_its_parameters(self) -> None:
        told = self.vote(RISING, stop_atr=1.0, target_atr=4)

        assert (told.stop[0], told.target[0]) == (98.0, 108.0)

    def test_it_says_who_voted_how(self) -> None:
        told = self.vote(RISING | {"macd_hist_12_26_9": -1.0, "rsi_14": 75.0})

        assert told.reason(0) == (
            "5 of 7 up (50/200 averages, SMA 50, SMA 20, SuperTrend, ADX), "
            "1 of 7 down (MACD)"
        )


class TestBreakout:
    """In above the highest, out below the lowest."""

    def at(self, close: float, atr: float | None = 2.0, **parameters: float) -> Opinions:
        columns = {"highest_20": [100.0], "lowest_10": [90.0], "atr_14": [atr]}
        return ask("breakout", [close], columns, **parameters)

    @pytest.mark.parametrize(
        ("close", "action", "score"),
        [
            pytest.param(101.0, 1, 75.0, id="half a range above"),
            pytest.param(100.0, 0, 0.0, id="at the highest is not above"),
            pytest.param(90.0, 0, 0.0, id="at the lowest is not below"),
            pytest.param(89.0, -1, 75.0, id="half a range below"),
            pytest.param(120.0, 1, 100.0, id="never surer than sure"),
        ],
    )
    def test_a_close_beyond_the_range_decides(
        self, close: float, action: int, score: float
    ) -> None:
        told = self.at(close)

        assert (told.action[0], told.score[0]) == (action, score)

    def test_levels_are_average_true_ranges_away(self) -> None:
        bought, sold = self.at(101.0), self.at(89.0)

        assert (bought.stop[0], bought.entry[0], bought.target[0]) == (96.0, 101.0, 111.0)
        assert (sold.stop[0], sold.entry[0], sold.target[0]) == (94.0, 89.0, 79.0)

    def test_a_target_below_zero_is_none(self) -> None:
        assert np.isnan(self.at(89.0, target_atr=45.0).target[0])

    def test_a_market_that_stood_still_has_an_opinion_all_the_same(self) -> None:
        assert self.at(101.0, atr=0.0).score.tolist() == [100.0]

    def test_without_a_range_it_abstains(self) -> None:
        assert self.at(101.0, atr=None).abstains.tolist() == [True]

    def test_its_range_follows_its_parameters(self) -> None:
        bound = RULES["breakout"].bound({"entry_bars": 55, "exit_bars": 20})

        assert bound.indicators == ("highest_55", "lowest_20", "atr_14")


def values_of(indicator: str) -> st.SearchStrategy[float | None]:
    """What *indicator* may be at prices around 10, or nothing yet."""
    if indicator.startswith(("macd", "supertrend_direction")):
        return st.one_of(st.none(), st.sampled_from([-1.0, 0.0, 1.0]))
    if indicator.startswith(("rsi", "adx")):
        return st.one_of(st.none(), st.floats(0, 100))
    kind = indicator.partition("_")[0]
    lowest, highest = {"atr": (0, 3), "highest": (10, 15), "lowest": (5, 10)}.get(
        kind, (5, 15)
    )
    return st.one_of(
        st.none(), st.sampled_from([float(lowest), 10.0]), st.floats(lowest, highest)
    )


@st.composite
def views_for(draw: st.DrawFn, indicators: Sequence[str], bars: int) -> Views:
    """Two symbols with a split, and indicators of any size, some of them missing."""
    days = draw(st.integers(1, 8))
    price = st.floats(5, 15)
    symbols = ("AAA", "BBB")
    closes = {s: draw(st.lists(price, min_size=days, max_size=days)) for s in symbols}
    columns = {
        s: {
            n: draw(st.lists(values_of(n), min_size=days, max_size=days))
            for n in indicators
        }
        for s in symbols
    }
    panel = make_panel(closes, splits={("AAA", draw(st.integers(1, 8))): 2.0})
    frame = make_indicators(columns)
    return views_of(panel, frame, day(0), day(days)).seeing(indicators, bars)


@pytest.mark.parametrize("name", sorted(RULES))
@settings(max_examples=EXAMPLES, deadline=None)
@given(data=st.data())
def test_no_rule_looks_at_other_rows(name: str, data: st.DataObject) -> None:
    bound = RULES[name].bound({})
    views = data.draw(views_for(bound.indicators, bound.bars))
    order = data.draw(st.permutations(range(len(views))))
    some = np.array(order[: data.draw(st.integers(1, len(views)))])

    whole, part = bound.opinions(views), bound.opinions(views.take(some))

    for column in COLUMNS:
        assert getattr(whole, column)[some].tobytes() == getattr(part, column).tobytes()
    assert [whole.reason(row) for row in some] == [
        part.reason(row) for row in range(len(some))
    ]


@pytest.mark.parametrize("name", sorted(RULES))
@settings(max_examples=EXAMPLES, deadline=None)
@given(data=st.data())
def test_levels_lie_on_their_sides_of_the_entry(name: str, data: st.DataObject) -> None:
    bound = RULES[name].bound({})
    views = data.draw(views_for(bound.indicators, bound.bars))
    atr = views["atr_14"] if "atr_14" in bound.indicators else np.ones(len(views))

    told = bound.opinions(views)

    has_levels = ~np.isnan(told.stop) & ~np.isnan(told.target) & (atr > 1e-6)
    way = told.action[has_levels]
    assert (way * (told.entry - told.stop)[has_levels] > 0).all()
    assert (way * (told.target - told.entry)[has_levels] > 0).all()
    assert np.isnan(told.entry[told.action == 0]).all()


@pytest.mark.parametrize("name", sorted(RULES))
def test_every_parameter_has_a_default_and_a_meaning(name: str) -> None:
    for schema in RULES[name].json_schema()["properties"].values():
        assert "default" in schema
        assert schema["description"]
