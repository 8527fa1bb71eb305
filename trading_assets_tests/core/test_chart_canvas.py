import hashlib
import os
import platform
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from io import BytesIO
from pathlib import Path

import matplotlib as mpl
import numpy as np
import psutil
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from trading_assets.core.chart_canvas import SENT_PX, draw, draw_to_send
from trading_assets.core.chart_marks import Candles, Rect, Shapes
from trading_assets.core.chart_scene import PAPER, compose
from trading_assets.core.chart_studies import DOWN, UP, UP_SOFT
from trading_assets.core.charting import CHART_VERSION, Picture, picture_of
from trading_assets.models.chart import Timeframe
from trading_assets_tests.core.markets import DEFAULT_CHART, panel_of, walk

IS_LONG = os.environ.get("TRADING_TEST_PROFILE") == "long"
SEVERAL = [
    (seed, indicators, timeframe)
    for seed in (1, 2)
    for indicators in (DEFAULT_CHART, ("supertrend_10_3", "obv", "stoch_14_3_3"))
    for timeframe in Timeframe
]


def picture(
    seed: int = 1,
    indicators: tuple[str, ...] = DEFAULT_CHART,
    timeframe: Timeframe = Timeframe.DAILY,
    count: int = 60,
) -> Picture:
    return picture_of(walk(700, seed=seed), 0, 699, timeframe, count, indicators, "csv")


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(png)))


def colour_at(png: bytes, x: float, y: float) -> tuple[int, ...]:
    return tuple(pixels(png)[round(y), round(x)].tolist())


def rgb(colour: str) -> tuple[int, ...]:
    return tuple(round(255 * part) for part in to_rgb(colour))


def digests() -> str:
    """Hashes of several charts, the same in every process (see the test of it)."""
    hashes = (hashlib.sha256(draw(picture(*each))).hexdigest() for each in SEVERAL)
    return " ".join(hashes)


def test_a_chart_is_a_png_of_its_size() -> None:
    image = Image.open(BytesIO(draw(picture())))

    assert image.format == "PNG"
    assert image.size == (1920, 1080)
    assert image.mode == "RGB"


def test_it_says_nothing_of_the_machine_that_drew_it() -> None:
    png, kinds, at = draw(picture()), [], 8
    while at < len(png):
        kinds.append(png[at + 4 : at + 8])
        at += 12 + int.from_bytes(png[at : at + 4])

    assert set(kinds) == {b"IHDR", b"IDAT", b"IEND"}


def test_the_same_picture_gives_the_same_bytes_after_any_other() -> None:
    first = digests()

    draw(picture(seed=9))

    assert " ".join(reversed(first.split())) == " ".join(
        hashlib.sha256(draw(picture(*each))).hexdigest() for each in reversed(SEVERAL)
    )


@pytest.mark.parametrize(
    ("hash_seed", "zone"), [("0", "Asia/Seoul"), ("3", "America/Lima")]
)
def test_every_process_gives_the_same_bytes(hash_seed: str, zone: str) -> None:
    code = f"from {__name__} import digests; print(digests())"
    environment = os.environ | {"PYTHONHASHSEED": hash_seed, "TZ": zone, "LC_ALL": "C"}
    root = Path(__file__).parents[2]

    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        check=True,
        env=environment,
        cwd=root,
    )

    assert done.stdout.decode().strip() == digests()


def test_settings_of_matplotlib_change_nothing() -> None:
    drawn = picture(count=250)
    expected = draw(drawn)
    others = {
        "lines.linewidth": 9,
        "lines.antialiased": False,
        "patch.antialiased": False,
        "text.hinting": "none",
        "text.antialiased": False,
        "font.family": "serif",
        "path.simplify_threshold": 1.0,
        "path.snap": False,
        "agg.path.chunksize": 101,
        "figure.dpi": 50,
        "savefig.dpi": 50,
        "axes.facecolor": "black",
    }

    with mpl.rc_context(others):
        assert draw(drawn) == expected


PIXELS_OF_VERSION = {
    "1": "975424da64a0b68d81ec20e667b8cc49796c5f75e075ff12d08e9b0f714a5c8e",
}


@pytest.mark.skipif(
    platform.machine() != "x86_64", reason="other processors round a few edges differently"
)
def test_a_chart_that_looks_different_has_another_version() -> None:
    steps = np.arange(40)
    close = 100.0 + steps % 7 - steps % 3 + steps / 4
    series = {
        "sma_20": {"sma_20": close - 1.5},
        "bb_20_2": {
            "bb_lower_20_2": close - 5.0,
            "bb_middle_20_2": close - 1.5,
            "bb_upper_20_2": close + 2.0,
        },
        "volume": {"volume": 1000.0 + steps * 25},
        "rsi_14": {"rsi_14": 30.0 + steps},
    }
    drawn = Picture(
        symbol="AAA",
        timeframe=Timeframe.DAILY,
        session=date(2024, 2, 9),
        source="csv",
        sessions=np.datetime64("2024-01-01") + steps,
        open=close - 1.0 + steps % 4 / 2,
        high=close + 2.0,
        low=close - 2.0,
        close=close,
        volume=1000.0 + steps * 25,
        series=series,
    )

    shown = hashlib.sha256(pixels(draw(drawn)).tobytes()).hexdigest()

    assert {CHART_VERSION: shown} == PIXELS_OF_VERSION


def test_what_is_sent_is_the_same_chart_at_two_thirds() -> None:
    drawn = picture()
    whole = Image.open(BytesIO(draw(drawn))).resize(SENT_PX, Image.Resampling.LANCZOS)

    sent = pixels(draw_to_send(drawn))

    assert sent.shape == (720, 1280, 3)
    assert np.abs(sent.astype(int) - np.asarray(whole).astype(int)).max() < 8
    assert len(np.unique(sent)) <= 32
    assert (sent[0, 0] == 255).all()


def test_what_is_sent_is_the_same_after_any_other() -> None:
    first = draw_to_send(picture())

    draw(picture(seed=9))

    assert draw_to_send(picture()) == first


def test_threads_do_not_paint_over_each_other() -> None:
    pictures = [picture(seed=seed) for seed in (1, 2, 3, 4)]
    expected = [draw(each) for each in pictures]

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(draw, pictures)) == expected


def test_candles_have_their_colours() -> None:
    days = ["2024-05-13", "2024-05-14", "2024-05-15"]
    panel = panel_of(days, [10, 14, 20], [15, 15, 30], [9, 11, 10], [14, 12, 25], [5, 6, 7])
    drawn = picture_of(panel, 0, 2, Timeframe.DAILY, 60, ["volume"], "csv")
    scene = compose(drawn)
    candles = next(mark for mark in scene.marks if isinstance(mark, Candles))

    png = draw(drawn)

    def at(bar: int, price: float, aside_px: float = 0.0) -> tuple[int, ...]:
        y = candles.y_at_zero - price * candles.px_per_price
        return colour_at(png, candles.xs[bar] + aside_px, y)

    assert at(0, 12) == rgb(UP)
    assert at(1, 13) == rgb(DOWN)
    assert at(2, 22) == rgb(UP)
    aside = 0.45 * candles.width_px
    assert at(0, 12.5, aside) == at(0, 12.5, -aside) == rgb(UP)
    assert at(0, 9.3, aside) == rgb(PAPER)
    wick, paper = at(2, 28), rgb(PAPER)
    assert wick != paper
    assert wick[0] < 160


def test_bars_of_volume_stand_on_the_edge_of_their_pane() -> None:
    days = ["2024-05-14", "2024-05-15"]
    panel = panel_of(days, [10, 10], [12, 12], [9, 9], [11, 11], [500, 1000])
    drawn = picture_of(panel, 0, 1, Timeframe.DAILY, 60, ["volume"], "csv")
    scene = compose(drawn)
    (bars,) = [m for m in scene.marks if isinstance(m, Shapes) and m.colour == UP_SOFT]
    tops, bottoms = bars.outlines[..., 1].min(axis=1), bars.outlines[..., 1].max(axis=1)

    png = draw(drawn)

    pane = scene.panes[1]
    assert bottoms.tolist() == [pane.bottom, pane.bottom]
    assert pane.bottom - tops[1] == pytest.approx(2 * (pane.bottom - tops[0]), abs=1)
    middle = bars.outlines[1, :, 0].mean() + 8
    assert colour_at(png, middle, pane.bottom - 3) == rgb(UP_SOFT)
    assert colour_at(png, middle, tops[1] + 1) == rgb(UP_SOFT)
    assert colour_at(png, middle, tops[1] - 2) == rgb(PAPER)


def test_ink_stays_inside_the_boxes_that_texts_claim() -> None:
    drawn = picture()
    scene = compose(drawn)
    written = pixels(draw(drawn))
    outside = np.ones(written.shape[:2], bool)
    for left, top, right, bottom in [*scene.panes, *(label.box for label in scene.labels)]:
        outside[int(top) : int(bottom) + 1, int(left) : int(right) + 1] = False
    # Between panes, flags and boxes there is ground, frames, swatches, flags and stubs;
    # all of them are painted before any text.
    bare = _without_labels(drawn)

    assert (written[outside] == bare[outside]).all()
    assert (written != bare).any(axis=-1).sum() > 5_000


def _without_labels(drawn: Picture) -> np.ndarray:
    from trading_assets.core.chart_canvas import _canvas  # noqa: PLC0415

    scene = compose(drawn)
    scene.labels.clear()
    return pixels(_canvas().png(scene))


def test_every_kind_of_picture_can_be_drawn() -> None:
    for count in (2, 8, 30):
        for timeframe in Timeframe:
            panel = walk(count, step_frac=0.0, volume=0.0)
            drawn = picture_of(panel, 0, count - 1, timeframe, 60, DEFAULT_CHART, "csv")
            assert draw(drawn)[:4] == b"\x89PNG"


def test_memory_does_not_grow() -> None:
    process = psutil.Process()
    panel = walk(2000)

    def charts(first: int, count: int) -> None:
        for last in range(first, first + count):
            draw(picture_of(panel, 0, last, Timeframe.DAILY, 60, DEFAULT_CHART, "csv"))

    charts(600, 60)
    before = process.memory_info().rss
    charts(660, 1000 if IS_LONG else 120)

    assert process.memory_info().rss - before < 6_000_000


def test_a_session_is_written_in_english_whatever_the_locale() -> None:
    drawn = picture()

    labels = [label.text for label in compose(drawn).labels]

    assert drawn.session == date(2024, 5, 15)
    assert "Daily  Wed 15 May 2024" in labels


def test_rectangles_meet_only_when_they_share_a_pixel() -> None:
    one = Rect(0, 0, 10, 10)

    assert one.meets(Rect(9, 9, 20, 20))
    assert not one.meets(Rect(10, 0, 20, 10))
    assert not one.meets(Rect(0, 10, 10, 20))
