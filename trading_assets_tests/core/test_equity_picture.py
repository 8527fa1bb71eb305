import hashlib
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from trading_assets.core.equity_picture import equity_picture, equity_preview
from trading_assets.errors import InvalidInput

CAPITAL = 100_000.0
COUNT = 300


def book(equity: np.ndarray) -> pd.DataFrame:
    sessions = pd.bdate_range("2023-01-03", periods=len(equity))
    return pd.DataFrame({"session": sessions, "equity": equity})


def walk(seed: int) -> np.ndarray:
    steps = np.random.default_rng(seed).normal(0.0006, 0.01, COUNT)
    return CAPITAL * np.cumprod(1 + steps)


def pictures() -> tuple[bytes, bytes]:
    benchmark = book(walk(2)).rename(columns={"equity": "close"})
    large = equity_picture(
        book(walk(1)),
        capital=CAPITAL,
        title="trend · simulated",
        benchmark=benchmark,
        benchmark_name="SPY",
    )
    return large, equity_preview(book(walk(1)), capital=CAPITAL, benchmark=benchmark)


def digests() -> list[str]:
    return [hashlib.sha256(picture).hexdigest() for picture in pictures()]


def size(png: bytes) -> tuple[int, int]:
    with Image.open(BytesIO(png)) as picture:
        assert picture.format == "PNG"
        return picture.size


def test_the_picture_and_its_preview_have_their_sizes() -> None:
    large, small = pictures()

    assert (size(large), size(small)) == ((1600, 900), (720, 270))


def test_the_preview_is_light_enough_for_an_event_log() -> None:
    _, small = pictures()

    assert len(small) < 20_000


def test_nothing_but_pixels_is_in_the_file() -> None:
    for picture in pictures():
        with Image.open(BytesIO(picture)) as opened:
            assert set(opened.info) <= {"dpi"}


def test_another_process_with_other_settings_draws_the_same_bytes() -> None:
    code = (
        "import matplotlib, mplfinance; "
        "matplotlib.rcParams.update({'font.family': 'serif', 'axes.facecolor': 'red'}); "
        "from trading_assets_tests.core.test_equity_picture import digests; "
        "print(*digests())"
    )

    done = subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        env={"PATH": "", "HOME": "/", "TZ": "Asia/Seoul", "PYTHONHASHSEED": "3"},
    )

    assert done.stdout.split() == digests()


def test_the_global_settings_are_left_as_they_were() -> None:
    before = dict(mpl.rcParams)

    pictures()

    assert dict(mpl.rcParams) == before


def test_drawing_needs_no_window_system() -> None:
    code = (
        "import sys; from trading_assets_tests.core.test_equity_picture import digests; "
        "digests(); print('matplotlib.pyplot' in sys.modules)"
    )

    done = subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )

    assert done.stdout.strip() == "False"


@pytest.mark.filterwarnings("error", "ignore::ResourceWarning")
@pytest.mark.parametrize(
    "equity",
    [
        pytest.param([CAPITAL], id="one session"),
        pytest.param([CAPITAL] * 40, id="flat"),
        pytest.param(np.linspace(CAPITAL, -3e4, 40), id="ruin"),
        pytest.param(np.geomspace(CAPITAL, 9e7, 40), id="logarithmic"),
        pytest.param(np.linspace(CAPITAL, 5e4, 40), id="not over"),
    ],
)
def test_every_kind_of_history_is_drawn(equity: list[float]) -> None:
    portfolio = book(np.array(equity))
    later = book(walk(2)[:20]).rename(columns={"equity": "close"})

    for benchmark in (None, later, later.iloc[5:], later.iloc[:0]):
        picture = equity_picture(
            portfolio, capital=CAPITAL, title=r"$\frac$ 100 %", benchmark=benchmark
        )
        small = equity_preview(portfolio, capital=CAPITAL, benchmark=benchmark)
        assert (size(picture), size(small)) == ((1600, 900), (720, 270))


def test_another_curve_is_another_picture() -> None:
    one = equity_preview(book(walk(1)), capital=CAPITAL)
    other = equity_preview(book(walk(3)), capital=CAPITAL)

    assert one != other


def test_a_history_of_nothing_is_refused() -> None:
    with pytest.raises(InvalidInput, match="at least one session"):
        equity_preview(book(np.empty(0)), capital=CAPITAL)
