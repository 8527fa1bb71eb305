"""What a chart costs, beside mplfinance's own way to the same content.

``python -m benchmarks.charts`` prints processor time per chart of both, taken in turns
in one run, charts per second of one worker process and of two, and how the memory of
a worker grows.
"""

import logging
import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from multiprocessing.synchronize import Barrier
from statistics import median
from time import perf_counter, process_time

import matplotlib as mpl
import mplfinance as mpf
import numpy as np
import pandas as pd
import psutil

from trading_assets.core.chart_canvas import draw
from trading_assets.core.charting import Picture, picture_of
from trading_assets.core.panel import Panel
from trading_assets.models.chart import Timeframe
from trading_assets.strategies.spec import DEFAULT_CHART

COUNTS = {Timeframe.DAILY: 60, Timeframe.WEEKLY: 52}
BARS = 2_600
ROUNDS = 12
OURS_PER_ROUND = 4  # ours are so short that one alone is within a scheduler's tick
WORKER_CHARTS = 160
PAIRS = 3
GROWTH_CHARTS = 600
MB = 1e6


@dataclass(frozen=True, slots=True)
class Cost:
    """Processor time per chart, milliseconds, one entry per round."""

    ours: list[float]
    plain: list[float]

    @property
    def ratio(self) -> float:
        """How many of ours are drawn in the time of one plain one."""
        return median(self.plain) / median(self.ours)


def market(seed: int) -> Panel:
    """A symbol with a random history that is the same in every process."""
    random = np.random.default_rng(seed)
    days = np.arange(np.datetime64("2010-01-04"), np.datetime64("2024-01-01"))
    sessions = days[np.is_busday(days)][:BARS]
    close = 50 * np.exp(np.cumsum(random.standard_t(4, BARS) * 0.012))
    opened = np.r_[close[:1], close[:-1]]
    high = np.maximum(opened, close) * (1 + random.uniform(0, 0.01, BARS))
    low = np.minimum(opened, close) * (1 - random.uniform(0, 0.01, BARS))
    volume = np.floor(1e6 * random.lognormal(0, 0.5, BARS))
    offsets, ones = np.array([0, BARS]), np.ones(BARS)
    return Panel(
        (f"SYM{seed}",), offsets, sessions, opened, high, low, close, volume, ones, ones
    )


def picture(panel: Panel, last: int, timeframe: Timeframe) -> Picture:
    """What the chart of the bar at *last* shows."""
    count = COUNTS[timeframe]
    return picture_of(panel, 0, last, timeframe, count, DEFAULT_CHART, "simulated")


def plain_chart(drawn: Picture) -> bytes:
    """The content of *drawn* by ``mpf.plot`` and its ``savefig``, as its manual shows."""
    fields = {
        name: getattr(drawn, name) for name in ("open", "high", "low", "close", "volume")
    }
    frame = pd.DataFrame(fields, index=pd.DatetimeIndex(drawn.sessions))
    columns = {c: v for columns in drawn.series.values() for c, v in columns.items()}
    lines = [
        mpf.make_addplot(columns[name])
        for name in ("sma_20", "sma_50", "sma_200", "bb_lower_20_2", "bb_upper_20_2")
    ]
    lines.append(mpf.make_addplot(columns["rsi_14"], panel=2, ylabel="RSI 14"))
    lines.extend(
        mpf.make_addplot(np.full(len(frame), level), panel=2, secondary_y=False)
        for level in (30.0, 70.0)
    )
    hist = columns["macd_hist_12_26_9"]
    lines.append(mpf.make_addplot(hist, panel=3, type="bar", ylabel="MACD"))
    lines.extend(
        mpf.make_addplot(columns[name], panel=3, secondary_y=False)
        for name in ("macd_12_26_9", "macd_signal_12_26_9")
    )
    png = BytesIO()
    mpf.plot(
        frame,
        type="candle",
        volume=True,
        addplot=lines,
        fill_between={
            "y1": columns["bb_lower_20_2"],
            "y2": columns["bb_upper_20_2"],
            "alpha": 0.1,
        },
        title=f"{drawn.symbol} {drawn.timeframe} {drawn.session}",
        figsize=(19.2, 10.8),
        savefig={"fname": png, "dpi": 100, "format": "png"},
    )
    return png.getvalue()


def measure_cost() -> Cost:
    """Both ways in turns, on the same pictures."""
    panel, cost = market(1), Cost([], [])
    pictures = [picture(panel, 2_000 + at, Timeframe.DAILY) for at in range(ROUNDS)]
    pictures[1::3] = [
        picture(panel, 2_000 + at, Timeframe.WEEKLY) for at in range(1, ROUNDS, 3)
    ]
    for warming in (draw, plain_chart):
        warming(pictures[0])
    for at, drawn in enumerate(pictures):
        first = 2_000 + at * OURS_PER_ROUND
        ours = partial(_drawn, panel, drawn.timeframe)
        cost.ours.append(_cpu_ms(ours, range(first, first + OURS_PER_ROUND)))
        cost.plain.append(_cpu_ms(plain_chart, [drawn]))
    return cost


def _drawn(panel: Panel, timeframe: Timeframe, last: int) -> bytes:
    """Ours counts its indicators and resampling too."""
    return draw(picture(panel, last, timeframe))


def _cpu_ms[T](act: Callable[[T], object], items: Sequence[T]) -> float:
    started = process_time()
    for item in items:
        act(item)
    return (process_time() - started) / len(items) * 1000


class Worker:
    """What the processes of a pool have in common."""

    start: Barrier

    @classmethod
    def join(cls, start: Barrier) -> None:
        """Told to each process as it begins."""
        cls.start = start


def draw_some(count: int) -> tuple[float, float]:
    """Draws charts when all workers are ready; returns when it began and ended."""
    panel = market(2)
    _drawn(panel, Timeframe.DAILY, 2_000)
    Worker.start.wait()
    started = perf_counter()
    for number in range(count):
        _drawn(panel, Timeframe.DAILY, 2_000 + number)
    return started, perf_counter()


def charts_per_second(workers: int) -> float:
    """How many charts *workers* processes draw together in a second, all at work."""
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(workers)
    with ProcessPoolExecutor(workers, context, Worker.join, (start,)) as pool:
        shares = [WORKER_CHARTS // workers] * workers
        spans = list(pool.map(draw_some, shares))
    began, ended = min(span[0] for span in spans), max(span[1] for span in spans)
    return sum(shares) / (ended - began)


def memory_growth_mb() -> float:
    """How much more memory this process holds after many charts than after some."""
    panel, process = market(3), psutil.Process()
    for last in range(2_000, 2_060):
        _drawn(panel, Timeframe.DAILY, last)
    before = process.memory_info().rss
    for number in range(GROWTH_CHARTS):
        _drawn(panel, Timeframe.DAILY, 2_000 + number % 600)
    return (process.memory_info().rss - before) / MB


def main() -> None:
    """Prints all of it."""
    mpl.use("Agg")
    # The plain way asks for font weights that nobody has, and says so each time.
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)
    growth = memory_growth_mb()
    cost = measure_cost()
    rates = [(charts_per_second(1), charts_per_second(2)) for _ in range(PAIRS)]
    one, two = median(rate[0] for rate in rates), median(rate[1] for rate in rates)
    print("Charts, 1920x1080 PNG with the default indicators")
    print(f"  ours, indicators included    {median(cost.ours):8.1f} ms CPU per chart")
    print(f"  mpf.plot and savefig         {median(cost.plain):8.1f} ms CPU per chart")
    print(f"  ratio                        {cost.ratio:8.1f} x   (target 10)")
    print(f"  one worker process           {one:8.1f} charts/s")
    print(f"  two worker processes         {two:8.1f} charts/s")
    print(f"  two against one              {two / one:8.2f} x   (target 1.6)")
    print(f"  memory over {GROWTH_CHARTS} charts       {growth:8.1f} MB more")


if __name__ == "__main__":
    main()
