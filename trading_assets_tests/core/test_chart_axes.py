from datetime import date
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from trading_assets.core.chart_axes import (
    calendar_ticks,
    change_text,
    compact_text,
    nice_ticks,
    number_text,
    offset_ticks,
    price_text,
    spread,
    tick_texts,
    year_ticks,
)

LETTER_PX = 12


def width_of(text: str) -> int:
    return LETTER_PX * len(text)


@pytest.mark.parametrize(
    ("price", "expected"),
    [
        (93.4142857, "93.41"),
        (1.0, "1.00"),
        (0.0123, "0.01230"),
        (0.5, "0.5000"),
        (612_345.0, "612,345.00"),
        (1_234_567.8, "1,234,568"),
        (123_456_789.0, "123.4568M"),
        (0.00000123, "1.230e-06"),
        (-3.5, "-3.50"),
        (0.0, "0.00"),
    ],
)
def test_prices_are_written_as_they_are_quoted(price: float, expected: str) -> None:
    assert price_text(price) == expected


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (0.0, "0"),
        (999.0, "999"),
        (1450.0, "1.45K"),
        (999_994.0, "999.99K"),
        (999_999.0, "1.00M"),
        (62_333_000.0, "62.33M"),
        (-1.25e9, "-1.25B"),
        (1.2e13, "12.00T"),
        (0.5, "0.5"),
    ],
)
def test_large_numbers_are_written_with_a_unit(number: float, expected: str) -> None:
    assert compact_text(number) == expected


@pytest.mark.parametrize(
    ("change_frac", "expected"),
    [(0.0123, "+1.23 %"), (-0.5, "-50.00 %"), (0.0, "+0.00 %"), (1e5, "+1.00e+07 %")],
)
def test_changes_bear_their_sign(change_frac: float, expected: str) -> None:
    assert change_text(change_frac) == expected


@pytest.mark.parametrize(
    ("largest", "number", "expected"),
    [
        (2.9, -0.4951, "-0.495"),
        (13_000.0, 3261.39, "3,261"),
        (0.0002, 0.0000065, "0.0000065"),
        (3e6, 1_250_000.0, "1.25M"),
        (0.0, 0.0, "0.00"),
        (2.9, -0.0001, "0.000"),
    ],
)
def test_numbers_of_one_pane_have_the_same_decimals(
    largest: float, number: float, expected: str
) -> None:
    assert number_text(largest)(number) == expected


@pytest.mark.parametrize(
    ("ticks", "expected"),
    [
        ([90.0, 95.0, 100.0], ["90", "95", "100"]),
        ([97.5, 100.0, 102.5], ["97.5", "100.0", "102.5"]),
        ([0.01215, 0.0122], ["0.01215", "0.01220"]),
        ([0.0, 25e6, 50e6], ["0", "25M", "50M"]),
        ([-0.5, 0.0, 0.5], ["-0.5", "0.0", "0.5"]),
        ([0.0, 2500.0, 5000.0], ["0", "2,500", "5,000"]),
        ([1e-7, 2e-7], ["1e-07", "2e-07"]),
        ([9.95e-7, 9.955e-7], ["9.950e-07", "9.955e-07"]),
        ([0.0, 2e16], ["0", "2e+16"]),
        ([-0.6, 0.4], ["-0.6", "0.4"]),
    ],
)
def test_ticks_are_written_with_the_decimals_they_need(
    ticks: list[float], expected: list[str]
) -> None:
    assert tick_texts(np.array(ticks)) == expected


@given(
    st.floats(-1e9, 1e9),
    st.floats(1e-6, 1e9),
    st.integers(74, 900),
    st.sampled_from([28, 46]),
)
def test_every_scale_has_at_least_two_ticks_with_room_for_their_texts(
    low: float, span: float, height: int, spacing: int
) -> None:
    high = low + span
    assume(high - low > 1e-6 * abs(low))

    ticks = nice_ticks(low, high, height, spacing)

    slack = 1e-6 * (high - low)
    assert len(ticks) >= 2
    assert ticks[0] >= low - slack
    assert ticks[-1] <= high + slack
    assert (np.diff(ticks) * height / (high - low)).min() > 24
    assert len(set(tick_texts(ticks))) == len(ticks)


@given(
    st.lists(st.floats(-500, 1500), max_size=12), st.integers(0, 300), st.integers(350, 900)
)
def test_spread_boxes_are_apart_and_inside(
    wanted: list[float], low: int, high: int
) -> None:
    middles = spread(wanted, 28, low, low + high)

    ordered = sorted(middles)
    assert all(b - a >= 28 for a, b in pairwise(ordered))
    assert all(low + 14 <= middle <= low + high - 14 for middle in middles)


@given(st.lists(st.floats(0, 500), min_size=1, max_size=8))
def test_spread_boxes_keep_their_order(wanted: list[float]) -> None:
    middles = spread(wanted, 28, 0, 500)

    for one, first in zip(wanted, middles, strict=True):
        for other, second in zip(wanted, middles, strict=True):
            assert one >= other or first < second


def test_boxes_with_room_stay_where_they_want_to_be() -> None:
    assert spread([100, 20, 60], 20, 0, 200) == [100, 20, 60]


def test_boxes_that_meet_share_the_way() -> None:
    assert spread([50, 50], 20, 0, 200) == [40, 60]
    assert spread([199, 198], 20, 0, 200) == [190, 170]


def days_from(first: str, count: int) -> np.ndarray:
    days = np.arange(np.datetime64(first), np.datetime64(first) + 2 * count + 7)
    return days[np.is_busday(days)][:count]


def test_a_quarter_is_marked_by_weeks() -> None:
    sessions = days_from("2014-03-31", 60)
    xs = 100 + 27.0 * np.arange(60)

    ticks = calendar_ticks(sessions, xs, width_of, (0, 1920))

    assert [tick.text for tick in ticks[:3]] == ["31 Mar", "7 Apr", "14 Apr"]
    assert ticks[1].x == xs[5]


def test_a_year_is_marked_by_months() -> None:
    sessions = days_from("2013-06-24", 260)[4::5]
    xs = 100 + 31.0 * np.arange(52)

    ticks = calendar_ticks(sessions, xs, width_of, (0, 1920))
    years = year_ticks(sessions, xs, width_of, (0, 1920))

    assert [tick.text for tick in ticks[:3]] == ["Jul", "Aug", "Sep"]
    assert [tick.text for tick in years] == ["2013", "2014"]
    first_of_2014 = next(day for day in sessions.tolist() if day >= date(2014, 1, 1))
    assert years[1].x == xs[sessions.tolist().index(first_of_2014)]


@given(st.sets(st.integers(0, 9000), min_size=1, max_size=250), st.integers(4, 110))
def test_time_labels_are_apart_and_inside(offsets: set[int], step: int) -> None:
    sessions = np.datetime64("2000-01-03") + np.array(sorted(offsets))
    xs = 1744.0 - step * np.arange(len(offsets))[::-1] - step / 2
    room = (6, 1914)

    for ticks in (
        calendar_ticks(sessions, xs, width_of, room),
        year_ticks(sessions, xs, width_of, room),
    ):
        ends = [(tick.text_left, tick.text_left + width_of(tick.text)) for tick in ticks]
        assert ticks
        assert all(room[0] <= left and right <= room[1] for left, right in ends)
        assert all(a[1] < b[0] for a, b in pairwise(ends))


@pytest.mark.parametrize(
    ("count", "px", "expected"),
    [
        (3, 300, ["t-2", "t-1", "t0"]),
        (6, 200, ["t-4", "t-2", "t0"]),
        (60, 700, ["t-50", "t-40", "t-30", "t-20", "t-10", "t0"]),
        (1, 300, ["t0"]),
    ],
)
def test_bars_are_counted_back_as_finely_as_there_is_room(
    count: int, px: int, expected: list[str]
) -> None:
    xs = (np.arange(count) + 0.5) * px / count

    ticks = offset_ticks("t", xs, width_of, (0, px + 20))

    assert [tick.text for tick in ticks] == expected
    assert ticks[-1].x == xs[-1]
    for left, right in pairwise(ticks):
        assert left.text_left + width_of(left.text) < right.text_left
