import os
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trading_assets.core.chart_blind import BLIND
from trading_assets.core.chart_marks import PAGE, Candles, Scene, Shapes
from trading_assets.core.chart_scene import MOST_OVERLAYS, MOST_STUDIES, compose
from trading_assets.core.chart_studies import (
    BAND_FILL,
    DOWN,
    DOWN_SOFT,
    OVERLAY_COLOURS,
    UP,
    UP_SOFT,
    kind_of,
    overlays_of,
    studies_of,
    title_of,
)
from trading_assets.core.charting import Picture, picture_of
from trading_assets.core.panel import Panel
from trading_assets.models.chart import Timeframe
from trading_assets_tests.core.markets import DEFAULT_CHART, panel_of, walk

SMALLEST_TEXT_PX = 18
EXAMPLES = 600 if os.environ.get("TRADING_TEST_PROFILE") == "long" else 60
INDICATORS = (
    *DEFAULT_CHART,
    *("ema_12", "supertrend_10_3", "kc_20_2", "psar", "hma_9", "highest_20"),
    *("volume_sma_20", "stoch_14_3_3", "adx_14", "obv", "atr_14", "cci_20"),
)


def picture(
    panel: Panel,
    indicators: tuple[str, ...] = DEFAULT_CHART,
    timeframe: Timeframe = Timeframe.DAILY,
    count: int = 60,
    source: str = "csv",
) -> Picture:
    last = len(panel.sessions) - 1
    return picture_of(panel, 0, last, timeframe, count, indicators, source)


def words(scene: Scene) -> list[str]:
    return [label.text for label in scene.labels]


def assert_readable(scene: Scene) -> None:
    boxes = [(label.box, label.text) for label in scene.labels]
    for (one, text), (other, second) in combinations(boxes, 2):
        assert not one.meets(other), f"{text!r} lies on {second!r}"
    for box, text in boxes:
        assert PAGE.left <= box.left, text
        assert PAGE.top <= box.top, text
        assert box.right <= PAGE.right, text
        assert box.bottom <= PAGE.bottom, text
        for pane in scene.panes:
            assert not box.meets(pane), f"{text!r} lies on the data"
    assert min(label.px for label in scene.labels) >= SMALLEST_TEXT_PX
    for pane in scene.panes:
        ticks = [
            label
            for label in scene.labels
            if label.right < pane.left and pane.top - 1 <= label.middle <= pane.bottom + 1
        ]
        assert len(ticks) >= 2
        assert len({label.text for label in ticks}) == len(ticks)


@st.composite
def extreme_pictures(draw: st.DrawFn) -> Picture:
    panel = walk(
        draw(st.integers(2, 420)),
        price=10.0 ** draw(st.floats(-7, 9)),
        step_frac=draw(st.sampled_from([0.0, 1e-6, 0.002, 0.02, 0.2])),
        volume=draw(st.sampled_from([0.0, 1.0, 1e3, 1e6, 1e10, 1e13])),
        seed=draw(st.integers(0, 1000)),
        symbol=draw(st.sampled_from(["A", "BRK.A", "WWWWWWWWWWWWWWWW"])),
    )
    return picture(
        panel,
        tuple(draw(st.lists(st.sampled_from(INDICATORS), unique=True, max_size=18))),
        draw(st.sampled_from(list(Timeframe))),
        draw(st.integers(2, 250)),
        draw(st.sampled_from(["simulated", "csv", "W" * 60])),
    )


@given(extreme_pictures())
@settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
def test_no_text_lies_on_another_or_on_the_data(drawn: Picture) -> None:
    assert_readable(compose(drawn))
    assert_readable(compose(drawn, BLIND))


@pytest.mark.parametrize("factor", [0.01, 100.0])
def test_a_huge_gap_is_readable(factor: float) -> None:
    panel = walk(300)
    jump = np.where(np.arange(300) < 280, 1.0, factor)
    fields = [getattr(panel, name) * jump for name in ("open", "high", "low", "close")]

    scene = compose(picture(panel_of(panel.sessions, *fields, panel.volume)))

    assert_readable(scene)


def test_the_title_says_what_it_is() -> None:
    panel = panel_of(
        ["2014-06-19", "2014-06-20"],
        [1.0, 91.9186],
        [9.0, 92.55],
        [1.0, 90.9],
        [2.0, 90.91],
        [1.0, 78_567_000.0],
        symbol="AAPL",
    )

    daily = compose(picture(panel, source="simulated"))
    weekly = compose(picture(panel, timeframe=Timeframe.WEEKLY))

    title = [*("AAPL", "Daily  Fri 20 Jun 2014", "O", "91.92", "H", "92.55", "L", "90.90")]
    title += ["C", "90.91", "V", "78.57M", "+4,445.50 %", "simulated data"]
    assert words(daily)[: len(title)] == title
    assert "Weekly  to Fri 20 Jun 2014" in words(weekly)
    assert "data: csv" in words(weekly)


def test_last_values_stand_in_the_legend_and_at_the_edge() -> None:
    panel = walk(300)
    drawn = picture(panel)

    written = words(compose(drawn))

    sma = np.mean(panel.close[-20:])
    assert written[written.index("SMA 20") + 1] == f"{sma:.2f}"
    assert written.count(f"{sma:.2f}") == 2
    assert written.count(f"{panel.close[-1]:.2f}") == 2
    assert (
        written[written.index("RSI 14") + 1]
        == f"{drawn.series['rsi_14']['rsi_14'][-1]:.1f}"
    )
    assert {"MACD", "signal", "histogram", "30", "50", "70"} <= set(written)


def test_what_warms_up_has_a_dash_and_no_flag() -> None:
    written = words(compose(picture(walk(30), ("sma_200",))))

    assert written[written.index("SMA 200") + 1] == "–"  # noqa: RUF001  # a dash is meant
    assert written.count("–") == 1  # noqa: RUF001  # a dash is meant


def test_a_line_far_from_the_candles_leaves_them_readable() -> None:
    drawn = picture(walk(60), ("sma_20",))
    far = {"sma_20": {"sma_20": drawn.close * 100}}

    scene = compose(replace(drawn, series=far))

    candles = next(mark for mark in scene.marks if isinstance(mark, Candles))
    height = (candles.high.max() - candles.low.min()) * candles.px_per_price
    assert height > 0.4 * scene.panes[0].height
    assert f"▲ {drawn.close[-1] * 100:,.2f}" in words(scene)


def test_too_much_is_left_out_and_counted() -> None:
    averages = tuple(f"sma_{length}" for length in range(2, 2 + MOST_OVERLAYS + 3))
    oscillators = tuple(f"rsi_{length}" for length in range(2, 2 + MOST_STUDIES + 2))

    scene = compose(picture(walk(80), averages + oscillators))

    assert len(scene.panes) == 1 + MOST_STUDIES
    assert "5 more not drawn" in words(scene)
    assert_readable(scene)


def test_without_indicators_it_shows_prices_alone() -> None:
    scene = compose(picture(walk(80), ()))

    assert len(scene.panes) == 1
    assert not any(m.colour == BAND_FILL for m in scene.marks if isinstance(m, Shapes))


def test_volume_and_its_mean_share_a_pane() -> None:
    studies = studies_of(picture(walk(80), ("volume_sma_20", "volume", "rsi_14")))

    assert [study.title for study in studies] == ["Volume", "RSI 14"]
    assert [curve.name for curve in studies[0].curves] == ["SMA 20"]


def test_supertrend_has_the_colour_of_its_direction() -> None:
    drawn = picture(walk(300), ("supertrend_10_3",), count=200)
    series = drawn.series["supertrend_10_3"]

    (overlay,) = overlays_of(drawn)

    rises = series["supertrend_direction_10_3"] > 0
    assert rises.any()
    assert not rises.all()
    by_colour = {curve.colour: np.isfinite(curve.values) for curve in overlay.curves}
    np.testing.assert_array_equal(by_colour[UP], rises)
    np.testing.assert_array_equal(by_colour[DOWN], ~rises)
    assert overlay.curves[-1].colour == (UP if rises[-1] else DOWN)


@pytest.mark.parametrize(
    ("name", "kind", "title"),
    [
        ("sma_20", "sma", "SMA 20"),
        ("bb_20_2.5", "bb", "Bollinger 20, 2.5"),
        ("macd_12_26_9", "macd", "MACD 12, 26, 9"),
        ("obv", "obv", "OBV"),
        ("t3_10", "t3", "T3 10"),
    ],
)
def test_names_are_written_for_people(name: str, kind: str, title: str) -> None:
    assert kind_of(name) == kind
    assert title_of(name) == title


# Machado, Oliveira, Fernandes 2009: full loss of the green and of the red cones.
DEUTERANOPIA = [
    (0.367322, 0.860646, -0.227968),
    (0.280085, 0.672501, 0.047413),
    (-0.011820, 0.042940, 0.968881),
]
PROTANOPIA = [
    (0.152286, 1.052583, -0.204868),
    (0.114503, 0.786281, 0.099216),
    (-0.003882, -0.048116, 1.051998),
]


def linear(colour: str) -> np.ndarray:
    parts = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    return np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)


def lab(light: np.ndarray) -> np.ndarray:
    to_xyz = [(0.4124, 0.3576, 0.1805), (0.2126, 0.7152, 0.0722), (0.0193, 0.1192, 0.9505)]
    xyz = np.array(to_xyz) @ np.clip(light, 0, 1) / (0.9505, 1.0, 1.089)
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("sight", [DEUTERANOPIA, PROTANOPIA])
@pytest.mark.parametrize(
    ("up", "down", "least"), [(UP, DOWN, 35), (UP_SOFT, DOWN_SOFT, 25)]
)
def test_up_and_down_differ_also_without_red_and_green(
    sight: list[tuple[float, ...]], up: str, down: str, least: float
) -> None:
    seen = [lab(np.array(sight) @ linear(colour)) for colour in (up, down)]

    assert np.linalg.norm(seen[0] - seen[1]) > least


@pytest.mark.parametrize("colour", [UP, DOWN, *OVERLAY_COLOURS])
def test_white_is_readable_on_every_flag(colour: str) -> None:
    luminance = linear(colour) @ (0.2126, 0.7152, 0.0722)

    # WCAG asks 3:1 of large bold text.
    assert 1.05 / (luminance + 0.05) > 3.5
