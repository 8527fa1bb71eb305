import subprocess
import sys
from collections.abc import Sequence
from dataclasses import fields
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading_assets.core.charting import (
    Picture,
    bars_for_chart,
    picture_of,
    weeks_of,
)
from trading_assets.core.indicators import parse_indicator
from trading_assets.core.panel import Panel
from trading_assets.errors import InvalidIndicator
from trading_assets.models.bar import ActionKind
from trading_assets.models.chart import Timeframe
from trading_assets_tests.core.markets import (
    DEFAULT_CHART,
    actions_of,
    bars_of,
    panel_of,
    walk,
)

DAILY, WEEKLY = Timeframe.DAILY, Timeframe.WEEKLY


def picture(
    panel: Panel,
    last: int = -1,
    timeframe: Timeframe = DAILY,
    count: int = 60,
    indicators: Sequence[str] = DEFAULT_CHART,
) -> Picture:
    row = range(len(panel.sessions))[last]
    return picture_of(panel, 0, row, timeframe, count, indicators, "csv")


def values(drawn: Picture) -> dict[str, Any]:
    plain = {field.name: getattr(drawn, field.name) for field in fields(Picture)}
    series = plain.pop("series")
    return plain | {
        f"{n}/{c}": v for n, columns in series.items() for c, v in columns.items()
    }


def assert_same(one: Picture, other: Picture) -> None:
    first, second = values(one), values(other)
    assert first.keys() == second.keys()
    for name, value in first.items():
        np.testing.assert_array_equal(value, second[name], err_msg=name)


def test_a_daily_chart_shows_the_last_sessions_up_to_its_own() -> None:
    panel = walk(300)

    drawn = picture(panel, last=250)

    assert drawn.session == panel.sessions[250].item()
    np.testing.assert_array_equal(drawn.sessions, panel.sessions[191:251])
    np.testing.assert_array_equal(drawn.close, panel.close[191:251])


def test_indicators_on_it_know_the_bars_before_the_first_one_drawn() -> None:
    panel = walk(300)

    drawn = picture(panel, last=250)

    expected = pd.Series(panel.close).rolling(200).mean().to_numpy()[191:251]
    np.testing.assert_allclose(drawn.series["sma_200"]["sma_200"], expected, rtol=1e-12)


def test_volume_may_be_asked_for_like_an_indicator() -> None:
    panel = walk(80)

    drawn = picture(panel, indicators=["volume"])

    np.testing.assert_array_equal(drawn.series["volume"]["volume"], panel.volume[-60:])


@pytest.mark.parametrize("timeframe", [DAILY, WEEKLY])
def test_bars_after_the_session_change_nothing(timeframe: Timeframe) -> None:
    panel = walk(2600)
    shorter = Panel.of(bars_of(panel).iloc[:2501], actions_of())

    assert_same(picture(panel, 2500, timeframe), picture(shorter, 2500, timeframe))


@pytest.mark.parametrize("timeframe", [DAILY, WEEKLY])
def test_bars_before_those_asked_for_change_nothing(timeframe: Timeframe) -> None:
    panel = walk(3000)
    needed = bars_for_chart(timeframe, 60, DEFAULT_CHART)
    loaded = Panel.of(bars_of(panel).iloc[-needed:], actions_of())

    assert_same(picture(panel, -1, timeframe), picture(loaded, -1, timeframe))


@pytest.mark.parametrize("timeframe", [DAILY, WEEKLY])
def test_averages_on_it_are_those_of_the_full_history(timeframe: Timeframe) -> None:
    panel = walk(4000)
    bars = panel if timeframe is DAILY else weeks_of(panel)

    drawn = picture(panel, -1, timeframe, indicators=["ema_26"])

    closes = pd.Series(bars.close)
    full = closes.ewm(span=26, adjust=False).mean().to_numpy()[-60:]
    np.testing.assert_allclose(drawn.series["ema_26"]["ema_26"], full, rtol=1e-9)


def test_prices_before_a_split_are_in_the_scale_of_the_session() -> None:
    panel = walk(100, end="2014-06-27")
    ex_session = panel.sessions[90].item()
    actions = actions_of(
        ("AAA", ex_session, ActionKind.SPLIT, 7.0),
        ("AAA", panel.sessions[95].item(), ActionKind.DIVIDEND, 1.0),
    )
    split = Panel.of(bars_of(panel), actions)

    after, before = picture(split, 94), picture(split, 89)

    np.testing.assert_allclose(after.close[:-5], panel.close[35:90] / 7, rtol=1e-15)
    np.testing.assert_allclose(after.volume[:-5], panel.volume[35:90] * 7, rtol=1e-15)
    np.testing.assert_array_equal(after.close[-5:], panel.close[90:95])
    np.testing.assert_array_equal(before.close, panel.close[30:90])


# 2024: Monday 25 March to Friday 5 April; 29 March is Good Friday.
HOLIDAY_WEEKS = [
    ("2024-03-25", 10.0, 12.0, 9.0, 11.0, 100),
    ("2024-03-26", 11.0, 13.0, 10.5, 12.0, 200),
    ("2024-03-27", 12.0, 12.5, 8.0, 9.0, 300),
    ("2024-03-28", 9.0, 9.5, 8.5, 9.25, 400),
    ("2024-04-01", 9.0, 10.0, 9.0, 10.0, 500),
    ("2024-04-02", 10.0, 11.0, 7.0, 8.0, 600),
    ("2024-04-03", 8.0, 9.0, 8.0, 8.5, 700),
    ("2024-04-04", 8.5, 20.0, 1.0, 15.0, 800),
]


def test_weeks_are_those_of_the_calendar_and_the_last_ends_with_the_session() -> None:
    panel = panel_of(*zip(*HOLIDAY_WEEKS, strict=True))

    drawn = picture(panel, 6, WEEKLY, count=10, indicators=[])

    assert drawn.sessions.tolist() == [date(2024, 3, 28), date(2024, 4, 3)]
    assert drawn.open.tolist() == [10.0, 9.0]
    assert drawn.high.tolist() == [13.0, 11.0]
    assert drawn.low.tolist() == [8.0, 7.0]
    assert drawn.close.tolist() == [9.25, 8.5]
    assert drawn.volume.tolist() == [1000.0, 1800.0]


def test_a_week_is_cut_neither_by_a_new_year_nor_by_a_new_month() -> None:
    days = ["2018-12-28", "2018-12-31", "2019-01-02", "2019-01-04", "2019-01-07"]
    panel = panel_of(days, *[np.arange(1.0, 6.0)] * 5)

    weeks = weeks_of(panel)

    assert [str(day) for day in weeks.sessions] == [
        "2018-12-28",
        "2019-01-04",
        "2019-01-07",
    ]
    assert weeks.volume.tolist() == [1.0, 9.0, 5.0]


def test_a_week_without_a_bar_is_left_out() -> None:
    panel = panel_of(["2001-09-07", "2001-09-17"], *[np.ones(2)] * 5)

    assert len(weeks_of(panel).sessions) == 2


def test_a_week_whose_beginning_was_not_loaded_is_left_out() -> None:
    panel = panel_of(["2024-05-01", "2024-05-02", "2024-05-06"], *[np.ones(3)] * 5)

    weeks = weeks_of(panel, is_cut=True)

    assert [str(day) for day in weeks.sessions] == ["2024-05-06"]


@given(
    st.lists(st.integers(0, 4000), min_size=2, max_size=60, unique=True),
    st.integers(0, 2**32),
)
@settings(deadline=None)
def test_weeks_hold_what_their_days_hold(days: list[int], seed: int) -> None:
    days = sorted(days)
    random = np.random.default_rng(seed)
    fields = random.uniform(1, 9, (5, len(days)))
    panel = panel_of(np.array(days).astype("datetime64[D]"), *fields)

    weeks = weeks_of(panel)

    reference = pd.DataFrame(
        {"high": panel.high, "volume": panel.volume, "close": panel.close},
        index=pd.DatetimeIndex(panel.sessions),
    )
    iso = reference.groupby(
        [reference.index.isocalendar()[part] for part in ("year", "week")]
    )
    np.testing.assert_array_equal(weeks.high, iso["high"].max())
    np.testing.assert_array_equal(weeks.close, iso["close"].last())
    np.testing.assert_allclose(weeks.volume, iso["volume"].sum(), rtol=1e-12)


def test_with_less_history_it_shows_what_there_is() -> None:
    drawn = picture(walk(12))

    assert len(drawn.close) == 12
    assert np.isnan(drawn.series["sma_20"]["sma_20"]).all()


def test_two_bars_are_enough() -> None:
    assert len(picture(walk(2)).close) == 2
    assert 1 <= len(picture(walk(2), timeframe=WEEKLY).close) <= 2


def test_one_bar_is_not_enough() -> None:
    with pytest.raises(
        ValueError, match=r"chart of AAA on 2024-05-.*at least 2 bars.*is 1"
    ):
        picture(walk(5), last=0)


def test_refuses_the_bar_of_another_symbol() -> None:
    bars = pd.concat([bars_of(walk(5)), bars_of(walk(5, symbol="BBB"))])

    with pytest.raises(ValueError, match="chart of AAA: its bars are rows 0 to 4, row 5"):
        picture_of(Panel.of(bars, actions_of()), 0, 5, DAILY, 60, [], "csv")


def test_refuses_to_show_a_single_bar() -> None:
    with pytest.raises(ValueError, match="at least 2 bars, was asked for 1"):
        bars_for_chart(DAILY, 1, [])


def test_refuses_an_indicator_that_is_not_known() -> None:
    with pytest.raises(InvalidIndicator, match="nonsense_20"):
        picture(walk(60), indicators=["nonsense_20"])


@pytest.mark.parametrize(
    ("timeframe", "count", "indicators", "expected"),
    [
        pytest.param(DAILY, 60, DEFAULT_CHART, 560, id="a settled RSI and the bars drawn"),
        pytest.param(DAILY, 60, ["obv"], 560, id="what never forgets"),
        pytest.param(WEEKLY, 52, DEFAULT_CHART, 1785, id="357 weeks of 5 sessions"),
        pytest.param(WEEKLY, 52, ["sma_400"], 2265, id="453 weeks of 5 sessions"),
    ],
)
def test_bars_needed(
    timeframe: Timeframe, count: int, indicators: Sequence[str], expected: int
) -> None:
    assert bars_for_chart(timeframe, count, indicators) == expected


def test_a_slow_average_needs_more_bars_to_settle() -> None:
    window = parse_indicator("ema_200").window

    assert window is not None
    assert window > 2000
    assert bars_for_chart(DAILY, 60, ["ema_200", "sma_20"]) == 60 + window


def test_asking_for_its_version_loads_no_engine() -> None:
    code = (
        "import sys; from trading_assets.core.charting import CHART_VERSION;"
        "print(sorted({'matplotlib', 'mplfinance', 'talib', 'numba'} & set(sys.modules)))"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)

    assert done.stdout.decode().strip() == "[]"
