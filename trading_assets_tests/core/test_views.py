from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_assets.core.panel import FIELDS
from trading_assets.core.views import Views, views_of
from trading_assets.errors import DataMissing, InvalidStrategy
from trading_assets_tests.core.viewing import day, make_indicators, make_panel, make_views

NOTHING = make_indicators({})


def named(views: Views) -> list[str]:
    return [views.row_name(row) for row in range(len(views))]


def test_rows_come_by_session_and_then_symbol() -> None:
    panel = make_panel({"BBB": [1.0, 2.0], "AAA": [3.0, 4.0]})

    views = views_of(panel, NOTHING, day(0), day(1))

    assert named(views) == [
        "AAA 2024-01-02",
        "BBB 2024-01-02",
        "AAA 2024-01-03",
        "BBB 2024-01-03",
    ]
    assert views.close.tolist() == [3.0, 1.0, 4.0, 2.0]


def test_only_the_asked_range_has_rows() -> None:
    panel = make_panel({"AAA": [1.0, 2.0, 3.0, 4.0]})

    views = views_of(panel, NOTHING, day(1), day(2))

    assert views.close.tolist() == [2.0, 3.0]


def test_prices_are_as_traded() -> None:
    views = make_views([10.0])

    assert [getattr(views, name)[0] for name in FIELDS] == [10.0, 11.0, 9.0, 10.0, 100.0]


def test_an_indicator_stands_in_the_row_of_its_symbol_and_session() -> None:
    panel = make_panel({"AAA": [1.0, 2.0], "BBB": [3.0, 4.0]})
    indicators = make_indicators({"BBB": {"x": [30.0, 40.0]}, "AAA": {"x": [10.0, 20.0]}})

    views = views_of(panel, indicators.sample(frac=1, random_state=7), day(0), day(1))

    assert views["x"].tolist() == [10.0, 30.0, 20.0, 40.0]


def test_a_bar_without_an_indicator_row_has_nan() -> None:
    panel = make_panel({"AAA": [1.0, 2.0], "BBB": [3.0, 4.0]})
    own = {"AAA": {"x": [10.0]}, "BBB": {"x": [30.0]}, "ZZZ": {"x": [1.0, 2.0, 3.0]}}

    views = views_of(panel, make_indicators(own), day(0), day(1))

    np.testing.assert_array_equal(views["x"], [10.0, 30.0, np.nan, np.nan])


def test_a_window_ends_with_the_rows_own_bar_and_is_nan_before_the_first() -> None:
    views = make_views([10.0, 11.0, 12.0])

    np.testing.assert_array_equal(
        views.window("close", 2), [[np.nan, 10.0], [10.0, 11.0], [11.0, 12.0]]
    )


def test_a_window_never_reaches_into_the_symbol_before() -> None:
    views = make_views({"AAA": [1.0, 2.0], "BBB": [8.0, 9.0]})

    windows = views.window("close", 2)

    assert named(views)[1] == "BBB 2024-01-02"
    np.testing.assert_array_equal(windows[1], [np.nan, 8.0])


def test_a_window_is_in_the_scale_of_its_own_session() -> None:
    # Two shares for one before day 2: what cost 100 costs 50, what traded 100 trades 200.
    panel = make_panel({"AAA": [98.0, 100.0, 51.0]}, splits={("AAA", 2): 2.0})

    views = views_of(panel, NOTHING, day(1), day(2))

    assert views.window("close", 2).tolist() == [[98.0, 100.0], [50.0, 51.0]]
    assert views.window("volume", 2).tolist() == [[100.0, 100.0], [200.0, 100.0]]


def test_where_nothing_happened_values_are_kept_to_the_bit() -> None:
    # 3-for-1 long before: a third is not to be seen in what came after.
    panel = make_panel({"AAA": [30.0, 0.1, 0.2, 0.7]}, splits={("AAA", 1): 3.0})

    views = views_of(panel, NOTHING, day(3), day(3))

    assert views.window("close", 3).tolist() == [[0.1, 0.2, 0.7]]


def test_a_rule_can_change_nothing_that_it_sees() -> None:
    views = make_views([10.0], {"x": [1.0]})

    for array in (
        views.close,
        views["x"],
        views.session,
        views.symbol,
        views.take([0])["x"],
    ):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = array[0]


def test_an_undeclared_indicator_is_refused_by_name() -> None:
    views = make_views([10.0], {"x": [1.0], "y": [2.0]}).seeing(["x"], 1)

    with pytest.raises(InvalidStrategy, match=r"indicator y is not declared.*\['x'\]"):
        _ = views["y"]


def test_an_indicator_that_was_never_computed_is_missing_data() -> None:
    with pytest.raises(DataMissing, match=r"\['sma_9'\] were not computed"):
        make_views([10.0], {"x": [1.0]}).seeing(["sma_9"], 1)


@pytest.mark.parametrize(("name", "bars"), [("close", 4), ("close", 0), ("price", 1)])
def test_a_window_beyond_what_was_declared_is_refused(name: str, bars: int) -> None:
    views = make_views([1.0, 2.0, 3.0, 4.0]).seeing([], 3)

    with pytest.raises(InvalidStrategy, match="over 1 to 3 bars"):
        views.window(name, bars)


def test_a_row_is_incomplete_while_anything_declared_is_missing() -> None:
    views = make_views([1.0, 2.0, 3.0, 4.0], {"x": [None, None, 5.0, None]}).seeing(
        ["x"], 2
    )

    assert views.incomplete.tolist() == [True, True, False, True]
    assert views.missing(0) == ["x", "a window of 2"]
    assert views.missing(1) == ["x"]


def test_no_bars_give_no_rows() -> None:
    views = views_of(make_panel({}), NOTHING, day(0), day(5))

    assert len(views) == 0
    assert views.window("close", 1).shape == (0, 1)


@given(
    prices=st.lists(
        st.lists(st.floats(1, 1000), min_size=1, max_size=12), min_size=1, max_size=3
    ),
    split=st.tuples(st.integers(1, 11), st.sampled_from([0.1, 1.5, 2.0, 3.0])),
    ends=st.tuples(st.integers(0, 12), st.integers(0, 12)),
)
def test_a_row_is_the_same_to_the_bit_in_every_range(
    prices: list[list[float]], split: tuple[int, float], ends: tuple[int, int]
) -> None:
    closes = {f"S{n}": each for n, each in enumerate(prices)}
    panel = make_panel(closes, splits={("S0", split[0]): split[1]})
    indicators = make_indicators({s: {"x": each} for s, each in closes.items()})
    whole = views_of(panel, indicators, day(0), day(20))

    part = views_of(panel, indicators, day(min(ends)), day(max(ends)))

    bars = min(whole.bars, 3)
    rows = [named(whole).index(name) for name in named(part)]
    assert part["x"].tobytes() == whole["x"][rows].tobytes()
    for field in FIELDS:
        expected = whole.window(field, bars)[rows]
        assert part.window(field, bars).tobytes() == expected.tobytes()
        assert whole.take(np.array(rows, dtype=int)).window(field, bars).tobytes() == (
            expected.tobytes()
        )


def test_a_window_agrees_with_what_the_panel_knows_as_of_that_session() -> None:
    panel = make_panel(
        {"AAA": [90.0, 60.0, 31.0, 8.0]}, splits={("AAA", 1): 1.5, ("AAA", 3): 4}
    )
    views = views_of(panel, NOTHING, day(3), day(3))

    known = panel.as_of(slice(0, 4), 3)

    for field in FIELDS:
        assert views.window(field, 4)[0].tolist() == known[field].tolist()


def test_sessions_are_days() -> None:
    views = make_views([1.0])

    assert views.session.dtype == "datetime64[D]"
    assert views.session[0].astype(date) == day(0)
