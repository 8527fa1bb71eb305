"""Indicators by name, and values that mean the same however they were computed."""

from collections.abc import Sequence
from datetime import date

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading_assets.core.indicator_runs import BLOCK_SESSIONS
from trading_assets.core.indicators import (
    bars_needed,
    compute_indicators,
    indicators_as_of,
    lookback,
    parse_indicator,
)
from trading_assets.core.panel import FIELDS, Panel
from trading_assets.errors import InvalidIndicator
from trading_assets.models.tables import INDICATORS
from trading_assets.sessions import trading_calendar
from trading_assets_tests.core.walks import IS_LONG, actions, as_traded, panel, sample, walk

CALENDAR = trading_calendar()
OURS = (
    "sma_20",
    "sma_200",
    "ema_12",
    "ema_26",
    "rsi_14",
    "macd_12_26_9",
    "bb_20_2",
    "atr_14",
    "supertrend_10_3",
    "adx_14",
    "stoch_14_3_3",
    "volume_sma_20",
    "volatility_20",
    "highest_20",
    "lowest_20",
)
SLOW = ("ema_50", "rsi_30", "supertrend_14_5", "macd_20_60_20")
THEIRS = ("hma_9", "kc_20_2", "kurtosis_30")
REAL = ("AAPL", "IBM", "XOM")


def session(bars: pd.DataFrame, at: int) -> date:
    return bars["session"].iloc[at].date()


def as_of(
    bars: pd.DataFrame,
    first: date,
    last: date,
    names: Sequence[str],
    happened: pd.DataFrame | None = None,
) -> pd.DataFrame:
    happened = actions() if happened is None else happened
    return indicators_as_of(bars, happened, first, last, names, CALENDAR)


def bars_until(bars: pd.DataFrame, day: date, names: Sequence[str]) -> pd.DataFrame:
    """What a run of *day* alone would load."""
    needed = bars_needed(names)
    known = bars[bars["session"] <= pd.Timestamp(day)]
    return known if needed is None else known.groupby("symbol").tail(needed + 1)


class TestNames:
    @pytest.mark.parametrize(
        ("name", "columns"),
        [
            ("sma_20", ["sma_20"]),
            ("macd_12_26_9", ["macd_12_26_9", "macd_signal_12_26_9", "macd_hist_12_26_9"]),
            ("bb_20_2", ["bb_lower_20_2", "bb_middle_20_2", "bb_upper_20_2"]),
            ("bb_20_2.5", ["bb_lower_20_2p5", "bb_middle_20_2p5", "bb_upper_20_2p5"]),
            ("supertrend_10_3", ["supertrend_10_3", "supertrend_direction_10_3"]),
            ("adx_14", ["adx_14", "plus_di_14", "minus_di_14"]),
            ("stoch_14_3_3", ["stoch_k_14_3_3", "stoch_d_14_3_3"]),
            ("obv", ["obv"]),
            ("volume_sma_20", ["volume_sma_20"]),
            ("kc_20_2", ["kcle_20_2", "kcbe_20_2", "kcue_20_2"]),
        ],
    )
    def test_a_name_says_its_columns(self, name: str, columns: list[str]) -> None:
        assert list(parse_indicator(name).columns) == columns

    @pytest.mark.parametrize("spelling", ["bb_20_2.5", "bb_20_2p5", "bb_020_2.50"])
    def test_every_spelling_is_the_same_indicator(self, spelling: str) -> None:
        assert parse_indicator(spelling) == parse_indicator("bb_20_2.5")
        assert parse_indicator(spelling).name == "bb_20_2.5"

    @pytest.mark.parametrize(
        ("name", "told"),
        [
            ("sma", r"sma: it takes length \(a whole number from 2 to 500\), received 0"),
            ("sma_1", "length must be a whole number from 2 to 500, was 1"),
            ("sma_20.5", "length must be a whole number from 2 to 500, was 20.5"),
            ("sma_20_5", "it takes length .* received 2 numbers"),
            ("obv_3", "it takes no number, received 1"),
            ("macd_26_12_9", "fast must be below slow, was 26 and 12"),
            ("bb_20_0", "width must be a number from 0.1 to 20, was 0"),
            ("supertrnd_10_3", "not known: did you mean .*supertrend"),
            ("nothing_like_it_3", "not known: Allowed are sma, .* functions of pandas-ta"),
            ("SMA_20", "must be a kind and its numbers, as in sma_20"),
            ("", "must be a kind and its numbers"),
            ("sma_-20", "must be a kind and its numbers"),
        ],
    )
    def test_a_bad_name_is_told_what_is_allowed(self, name: str, told: str) -> None:
        with pytest.raises(InvalidIndicator, match=told):
            parse_indicator(name)

    def test_two_names_may_not_share_a_column(self) -> None:
        with pytest.raises(InvalidIndicator, match="obv and aobv both give a column obv"):
            compute_indicators(panel(walk(1, 50)), ["obv", "aobv"])


class TestWindows:
    @pytest.mark.parametrize(
        ("name", "window"),
        [
            ("sma_20", 20),
            ("bb_20_2", 20),
            ("stoch_14_3_3", 18),
            ("volatility_20", 21),
            ("highest_20", 21),
            ("rsi_14", 500),
            ("ema_26", 500),
            ("obv", None),
        ],
    )
    def test_a_window_is_known(self, name: str, window: int | None) -> None:
        assert parse_indicator(name).window == window
        assert parse_indicator(name).is_cumulative == (window is None)

    def test_a_long_average_has_a_longer_window(self) -> None:
        # facts: EMA 200 needs 2,131 rows for 1e-9
        assert (parse_indicator("ema_200").window or 0) > 2131

    def test_the_bars_needed_are_a_block_and_the_longest_lead(self) -> None:
        assert bars_needed(["sma_20"]) == bars_needed(["sma_20", "rsi_14"])
        assert (bars_needed(["rsi_14"]) or 0) >= BLOCK_SESSIONS + 500
        assert (bars_needed(["rsi_14", "ema_200"]) or 0) >= BLOCK_SESSIONS + 2131
        assert bars_needed(["rsi_14", "obv"]) is None

    def test_the_lookback_is_the_longest_window(self) -> None:
        assert lookback(["sma_20", "stoch_14_3_3"]) == 20
        assert lookback(["sma_20", "rsi_14"]) == 500
        assert lookback(["sma_20", "obv"]) == 20
        assert lookback([]) == 1

    @settings(max_examples=150 if IS_LONG else 12, deadline=None)
    @given(
        seed=st.integers(0, 10_000),
        drift=st.floats(-0.004, 0.004),
        end=st.integers(1100, 1600),
    )
    def test_a_window_gives_what_full_history_gives(
        self, seed: int, drift: float, end: int
    ) -> None:
        names = OURS + SLOW
        bars = walk(seed, 1600, drift=drift).iloc[:end]
        full = compute_indicators(panel(bars), names)

        for name in names:
            indicator = parse_indicator(name)
            part = panel(bars.tail(indicator.window or 0))
            for column, values in compute_indicators(part, [name]).items():
                tolerance = 1e-9 * max(abs(full[column][-1]), bars["close"].iloc[-1])
                assert abs(values[-1] - full[column][-1]) <= tolerance, column

    @pytest.mark.parametrize("symbol", REAL)
    def test_it_does_so_in_real_markets(self, symbol: str) -> None:
        bars, happened = sample(symbol)
        names = [*OURS, "ema_50", *THEIRS[:2]]
        step = 97 if IS_LONG else 911

        for last in range(1500, len(bars), step):
            rows = Panel.of(bars.iloc[: last + 1], happened).as_of(slice(0, last + 1), last)
            known = bars.iloc[: last + 1].assign(**rows)
            full = compute_indicators(panel(known), names)
            day = session(bars, last)
            row = as_of(bars_until(bars, day, names), day, day, names, happened).iloc[0]
            for column, values in full.items():
                tolerance = 1e-9 * max(abs(values[-1]), bars["close"].iloc[last])
                assert abs(row[column] - values[-1]) <= tolerance, (day, column)


class TestBeforehand:
    @pytest.mark.parametrize("name", [*OURS, *SLOW, "obv"])
    def test_later_bars_change_nothing(self, name: str) -> None:
        bars = walk(21, 700)
        whole = compute_indicators(panel(bars), [name])

        for count in (1, 2, 15, 34, 333, 512, 699):
            part = compute_indicators(panel(bars.iloc[:count]), [name])
            for column, values in part.items():
                np.testing.assert_array_equal(values, whole[column][:count])

    @pytest.mark.parametrize(
        "kind", ["dpo_20", "ichimoku", "zigzag", "tos_stdevall", "vhm"]
    )
    def test_what_looks_ahead_is_refused_by_name(self, kind: str) -> None:
        with pytest.raises(InvalidIndicator, match="is refused: it looks ahead: "):
            parse_indicator(kind)


class TestTable:
    def test_rows_are_those_of_the_table(self) -> None:
        bars = pd.concat([walk(2, 300, symbol="BBB"), walk(1, 300)])

        rows = as_of(bars, session(bars, 297), session(bars, 299), ["sma_20", "sma_200"])

        conformed = INDICATORS.conform(rows)
        pd.testing.assert_frame_equal(rows, conformed)
        assert list(rows.columns) == ["symbol", "session", "sma_20", "sma_200"]
        assert rows["symbol"].tolist() == ["AAA"] * 3 + ["BBB"] * 3

    def test_too_few_bars_give_nothing(self) -> None:
        bars = walk(1, 25)

        rows = as_of(bars, session(bars, 0), session(bars, 24), ["sma_20"])

        assert rows["sma_20"].isna().tolist() == [True] * 19 + [False] * 6

    def test_no_bars_give_no_rows(self) -> None:
        bars = walk(1, 25)

        nothing = as_of(bars.iloc[:0], session(bars, 0), session(bars, 24), ["sma_20"])
        elsewhere = as_of(bars, date(2001, 1, 2), date(2001, 1, 5), ["sma_20", "obv"])

        assert nothing.empty
        assert list(nothing.columns) == ["symbol", "session", "sma_20"]
        assert elsewhere.empty

    def test_windows_count_the_symbols_own_bars(self) -> None:
        bars = walk(3, 600)
        halted = bars.drop(index=range(560, 590))

        rows = as_of(halted, session(bars, 599), session(bars, 599), ["sma_20"])

        own = [*range(550, 560), *range(590, 600)]
        assert rows["sma_20"].iloc[0] == pytest.approx(bars["close"].iloc[own].mean())

    @pytest.mark.parametrize("field", FIELDS)
    @pytest.mark.parametrize("bad", [float("nan"), float("inf")])
    def test_a_bar_that_is_not_finite_is_refused_by_name(
        self, field: str, bad: float
    ) -> None:
        bars = pd.concat([walk(1, 50), walk(2, 50, symbol="BBB")], ignore_index=True)
        bars.loc[70, field] = bad
        day = session(bars, 70)

        with pytest.raises(ValueError, match=f"BBB {day}: {field} must be a finite"):
            as_of(bars, day, day, ["sma_20"])
        with pytest.raises(ValueError, match=f"BBB {day}: {field} must be a finite"):
            compute_indicators(Panel.of(bars, actions()), ["sma_20"])


class TestSplits:
    RATIO = 7.0
    AT = 650

    def test_each_row_is_in_the_scale_of_its_session(self) -> None:
        smooth = walk(5, 700)
        ex_session = str(session(smooth, self.AT))
        traded = as_traded(smooth, ex_session, self.RATIO)
        happened = actions([("AAA", ex_session, "split", self.RATIO)])
        days = session(smooth, 600), session(smooth, 699)
        names = [*OURS, "obv", *THEIRS]

        rows = as_of(traded, *days, names, happened).drop(columns=["symbol", "session"])

        plain = as_of(smooth, *days, names).drop(columns=["symbol", "session"])
        scale = pd.Series(1.0, index=plain.columns)
        for column in plain.columns:
            if column.startswith(("obv", "volume")):
                scale[column] = 1 / self.RATIO
            elif not column.startswith(
                ("rsi", "supertrend_dir", "adx", "plus", "minus", "stoch", "vola", "kurt")
            ):
                scale[column] = self.RATIO
        before = self.AT - 600
        close = {"rtol": 1e-9, "atol": 1e-9}
        np.testing.assert_allclose(rows.iloc[before:], plain.iloc[before:], **close)
        np.testing.assert_allclose(rows.iloc[:before], plain.iloc[:before] * scale, **close)

    def test_the_split_of_a_real_share(self) -> None:
        bars, happened = sample("AAPL")
        day = date(2014, 6, 11)  # the third session after seven for one
        recent = bars[bars["session"] <= pd.Timestamp(day)].tail(20)

        row = as_of(bars, day, day, ["sma_20", "highest_20"], happened).iloc[0]

        earlier, later = recent["close"].iloc[:17], recent["close"].iloc[17:]
        expected = (earlier.sum() / 7 + later.sum()) / 20
        assert row["sma_20"] == pytest.approx(expected, rel=1e-12)
        assert 90 < row["highest_20"] < 96  # it had traded above 640


class TestSameBits:
    NAMES = (*OURS, "ema_50", "obv", *THEIRS)
    HAPPENED = actions(
        [
            ("AAA", "2022-03-15", "split", 3.0),
            ("AAA", "2022-03-17", "spinoff_factor", 1.37),
            ("BBB", "2022-08-31", "split", 0.1),
        ]
    )
    LAST = date(2022, 12, 30)
    FIRST = date(2021, 12, 1)

    @pytest.fixture(scope="class")
    @classmethod
    def bars(cls) -> pd.DataFrame:
        return pd.concat(
            [
                walk(31, 1900, last=cls.LAST),
                walk(32, 1900, symbol="BBB", last=cls.LAST).drop(index=range(1780, 1800)),
                walk(33, 230, symbol="NEW", last=cls.LAST),
            ],
            ignore_index=True,
        )

    @pytest.fixture(scope="class")
    @classmethod
    def ranged(cls, bars: pd.DataFrame) -> pd.DataFrame:
        return as_of(bars, cls.FIRST, cls.LAST, cls.NAMES, cls.HAPPENED)

    @staticmethod
    def rows(frame: pd.DataFrame, day: date) -> pd.DataFrame:
        return frame[frame["session"] == pd.Timestamp(day)].reset_index(drop=True)

    def days(self) -> list[date]:
        """Those around a change of scale or block, and some others."""
        days = CALENDAR.between(self.FIRST, self.LAST)
        ends = [
            at
            for at, day in enumerate(days)
            if CALENDAR.position(day) % BLOCK_SESSIONS == 0
            or day in {date(2022, 3, 15), date(2022, 3, 17), date(2022, 8, 31)}
        ]
        assert len(ends) == 4
        near = {at + by for at in ends for by in (-1, 0, 1)}
        return [
            days[at] for at in sorted(near | {*range(0, len(days), 9 if IS_LONG else 61)})
        ]

    def test_a_session_alone_is_its_part_of_a_range(
        self, bars: pd.DataFrame, ranged: pd.DataFrame
    ) -> None:
        for day in self.days():
            loaded = bars_until(bars, day, self.NAMES).sample(frac=1, random_state=1)
            alone = as_of(loaded, day, day, self.NAMES, self.HAPPENED)

            pd.testing.assert_frame_equal(alone, self.rows(ranged, day), check_exact=True)

    def test_so_it_is_of_only_the_bars_needed(
        self, bars: pd.DataFrame, ranged: pd.DataFrame
    ) -> None:
        names = [name for name in self.NAMES if not parse_indicator(name).is_cumulative]
        for day in self.days()[::3]:
            alone = as_of(bars_until(bars, day, names), day, day, names, self.HAPPENED)

            whole = self.rows(ranged, day)[list(alone.columns)]
            pd.testing.assert_frame_equal(alone, whole, check_exact=True)

    def test_the_other_names_asked_for_do_not_matter(
        self, ranged: pd.DataFrame, bars: pd.DataFrame
    ) -> None:
        for name in ("sma_20", "rsi_14", "kc_20_2"):
            alone = as_of(bars, self.FIRST, self.LAST, [name, name], self.HAPPENED)

            whole = ranged[list(alone.columns)]
            pd.testing.assert_frame_equal(alone, whole, check_exact=True)

    @settings(max_examples=60 if IS_LONG else 6, deadline=None)
    @given(first=st.integers(0, 250), count=st.integers(1, 250), extra=st.integers(0, 300))
    def test_any_part_of_a_range_is_the_same(
        self, bars: pd.DataFrame, ranged: pd.DataFrame, first: int, count: int, extra: int
    ) -> None:
        names = ("sma_20", "ema_12", "rsi_14", "supertrend_10_3", "bb_20_2")
        days = CALENDAR.between(self.FIRST, self.LAST)[first : first + count]
        earliest = CALENDAR.offset(days[0], -(bars_needed(names) or 0) - extra)
        loaded = bars[bars["session"] >= pd.Timestamp(earliest)]

        part = as_of(loaded, days[0], days[-1], names, self.HAPPENED)

        within = ranged["session"].between(pd.Timestamp(days[0]), pd.Timestamp(days[-1]))
        whole = ranged.loc[within, list(part.columns)].reset_index(drop=True)
        pd.testing.assert_frame_equal(part, whole, check_exact=True)
