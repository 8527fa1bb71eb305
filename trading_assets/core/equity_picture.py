"""A book's history as a picture: worth against the benchmark, and the falls below it.

The same inputs give the same bytes: see `core.picture_look`.
"""

from datetime import date
from io import BytesIO

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from PIL import Image

from trading_assets.core.picture_look import DPI, INK, MUTED, PAPER, png_of, settings
from trading_assets.core.statistics import (
    Floats,
    History,
    history_of,
    money,
    percent,
    short_money,
    short_percent,
    signed_percent,
)

BOOK, HELD, FALL = "#1c5fa8", "#98a1ad", "#c2413a"


def equity_picture(
    portfolio: pd.DataFrame,
    *,
    capital: float,
    title: str,
    benchmark: pd.DataFrame | None = None,
    benchmark_name: str = "benchmark",
) -> bytes:
    """A 1600 x 900 PNG: equity against buy and hold above, drawdown below.

    Args:
        portfolio: `portfolio` rows of one strategy and lane, sessions ascending.
        capital: Worth before the first session, account currency, above 0.
        title: Drawn as it is, dollar signs included.
        benchmark: Columns ``session`` and ``close``, as for `statistics.performance_of`.
        benchmark_name: How the benchmark is called in the picture.

    Raises:
        InvalidInput: If *portfolio* is empty or *capital* is not above 0.
    """
    history = history_of(portfolio, capital=capital, benchmark=benchmark)
    with mpl.rc_context(settings()):
        figure = Figure(figsize=(16, 9), dpi=DPI, facecolor=PAPER)
        above, below = figure.subplots(
            2,
            1,
            sharex=True,
            gridspec_kw={
                "height_ratios": (2.6, 1),
                "hspace": 0.09,
                "left": 0.062,
                "right": 0.868,
                "top": 0.868,
                "bottom": 0.062,
            },
        )
        _write_heading(figure, title, history)
        _draw_worth(above, history, benchmark_name)
        _draw_falls(below, history, benchmark_name)
        _date(below, history)
        return png_of(figure)


def equity_preview(
    portfolio: pd.DataFrame, *, capital: float, benchmark: pd.DataFrame | None = None
) -> bytes:
    """A 720 x 270 PNG of a few kilobytes, for a line of text or an event log.

    Args:
        portfolio: `portfolio` rows of one strategy and lane, sessions ascending.
        capital: Worth before the first session, account currency, above 0.
        benchmark: Columns ``session`` and ``close``, as for `statistics.performance_of`.

    Raises:
        InvalidInput: If *portfolio* is empty or *capital* is not above 0.
    """
    history = history_of(portfolio, capital=capital, benchmark=benchmark)
    with mpl.rc_context(settings()):
        figure = Figure(figsize=(7.2, 2.7), dpi=DPI, facecolor=PAPER)
        axes = figure.add_axes((0.085, 0.12, 0.8, 0.83))
        _draw_curves(axes, history, width=1.6)
        _scale_worth(axes, history, size=8)
        _date(axes, history, size=8)
        _label_ends(
            axes,
            [
                (curve, signed_percent(history.gain(curve)), colour)
                for curve, colour in _curves(history)
            ],
            size=9,
            apart=0.1,
        )
        return _in_few_colours(png_of(figure))


def _write_heading(figure: Figure, title: str, history: History) -> None:
    first, last = history.sessions[0].item(), history.sessions[-1].item()
    span = f"{_day(first)} to {_day(last)} · {_sessions(len(history.sessions))}"
    figure.text(0.062, 0.945, title, size=19, weight="bold", va="center", parse_math=False)
    figure.text(0.062, 0.901, span, size=11.5, color=MUTED, va="center")


def _draw_worth(axes: Axes, history: History, benchmark_name: str) -> None:
    _draw_curves(axes, history, width=2.2)
    _scale_worth(axes, history, size=11)
    axes.tick_params(axis="x", labelbottom=False)
    peak, _, recovery = history.deepest
    if history.depth > 0:
        axes.axvspan(*_span(history, peak, recovery), color=FALL, alpha=0.055, lw=0)
    names = ("Strategy", f"{benchmark_name}, held")
    _label_ends(
        axes,
        [
            (
                curve,
                f"{name}\n{money(curve[-1])}  {signed_percent(history.gain(curve))}",
                colour,
            )
            for name, (curve, colour) in zip(names, _curves(history), strict=False)
        ],
        size=11,
        apart=0.105,
    )


def _curves(history: History) -> list[tuple[Floats, str]]:
    held = [] if history.held is None else [(history.held, MUTED)]
    return [(history.equity, BOOK), *held]


def _draw_curves(axes: Axes, history: History, *, width: float) -> None:
    if history.held is not None:
        axes.plot(history.sessions, history.held, color=HELD, lw=width * 0.75)
    axes.axhline(history.capital, color=MUTED, lw=0.9, ls=(0, (2, 3)))
    axes.plot(
        history.sessions, history.equity, color=BOOK, lw=width, solid_joinstyle="round"
    )
    axes.plot(history.sessions[-1:], history.equity[-1:], "o", color=BOOK, ms=width * 2.4)


def _scale_worth(axes: Axes, history: History, *, size: float) -> None:
    axes.margins(x=0.005, y=0.08)
    if history.is_logarithmic:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_minor_formatter(NullFormatter())
    else:
        axes.yaxis.set_major_locator(MaxNLocator(6))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda worth, _: short_money(worth)))
    axes.tick_params(labelsize=size)
    axes.grid(visible=False, axis="x")


def _draw_falls(axes: Axes, history: History, benchmark_name: str) -> None:
    if history.fall_held is not None:
        axes.plot(history.sessions, history.fall_held, color=HELD, lw=1.1)
    axes.fill_between(history.sessions, history.fall, 0, color=FALL, alpha=0.2, lw=0)
    axes.plot(history.sessions, history.fall, color=FALL, lw=1.5)
    axes.margins(x=0.005)
    axes.set_ylim(_floor(history), 0)
    axes.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda frac, _: short_percent(frac)))
    axes.tick_params(labelsize=11)
    axes.grid(visible=False, axis="x")
    _name_falls(axes, history, benchmark_name)
    if history.depth > 0:
        _mark_deepest(axes, history)


def _name_falls(axes: Axes, history: History, benchmark_name: str) -> None:
    axes.text(
        1.012,
        1,
        f"Drawdown\ndeepest {percent(-history.depth)}",
        color=FALL,
        size=11,
        weight="bold",
        va="top",
        linespacing=1.4,
        transform=axes.transAxes,
    )
    if history.fall_held is not None:
        axes.text(
            1.012,
            0.7,
            f"{benchmark_name} {percent(float(history.fall_held.min()))}",
            color=MUTED,
            size=11,
            va="top",
            transform=axes.transAxes,
            parse_math=False,
        )


def _mark_deepest(axes: Axes, history: History) -> None:
    peak, trough, recovery = history.deepest
    at = history.sessions[trough]
    lasted = _sessions(history.fell_sessions)
    lasted += "" if history.has_recovered else ", not over"
    axes.axvspan(*_span(history, peak, recovery), color=FALL, alpha=0.055, lw=0)
    axes.plot([at], [-history.depth], "o", color=FALL, ms=6, mec=PAPER, mew=1.2)
    # Below every curve, where nothing is drawn over.
    axes.annotate(
        f"{percent(-history.depth)} on {_day(at.item())} · {lasted}",
        (float(date2num(at)), -history.depth),
        xytext=(float(date2num(at)), axes.get_ylim()[0] * 0.91),
        ha=_towards_middle(trough / len(history.sessions)),
        va="center",
        size=11,
        color=INK,
        arrowprops={"arrowstyle": "-", "color": MUTED, "lw": 0.8, "shrinkB": 4},
    )


def _towards_middle(across: float) -> str:
    if across < 0.15:  # noqa: PLR2004 - as wide as half the text
        return "left"
    return "right" if across > 0.85 else "center"  # noqa: PLR2004 - as above


def _floor(history: History) -> float:
    falls = [history.fall.min()]
    if history.fall_held is not None:
        falls.append(history.fall_held.min())
    return min(float(min(falls)) * 1.28, -0.01)


def _span(history: History, first: int, last: int) -> tuple[float, float]:
    return (
        float(date2num(history.sessions[first])),
        float(date2num(history.sessions[last])),
    )


def _date(axes: Axes, history: History, *, size: float = 11) -> None:
    locator = AutoDateLocator(minticks=4, maxticks=9)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, show_offset=False))
    axes.tick_params(axis="x", labelsize=size, length=0, pad=7)
    if len(history.sessions) == 1:
        axes.set_xlim(*(_span(history, 0, 0) + np.array([-2.0, 2.0])))


def _label_ends(
    axes: Axes, ends: list[tuple[Floats, str, str]], *, size: float, apart: float
) -> None:
    axes.autoscale_view()  # matplotlib puts it off, and heights depend on it
    to_axes = axes.transData + axes.transAxes.inverted()
    at = [float(to_axes.transform((0.0, curve[-1]))[1]) for curve, _, _ in ends]
    for height, (_, text, colour) in zip(_spread(at, apart), ends, strict=True):
        axes.text(
            1.012,
            height,
            text,
            color=colour,
            size=size,
            weight="bold" if colour == BOOK else "normal",
            va="center",
            linespacing=1.4,
            transform=axes.transAxes,
            parse_math=False,
        )


def _spread(heights: list[float], apart: float) -> list[float]:
    if len(heights) < 2 or abs(heights[0] - heights[1]) >= apart:  # noqa: PLR2004 - a pair
        return heights
    middle, sign = sum(heights) / 2, 1 if heights[0] >= heights[1] else -1
    return [middle + sign * apart / 2, middle - sign * apart / 2]


def _in_few_colours(png: bytes) -> bytes:
    file = BytesIO()
    with Image.open(BytesIO(png)) as picture:
        picture.convert("RGB").quantize(48).save(file, format="png", optimize=True)
    return file.getvalue()


def _day(session: date) -> str:
    return f"{session.day} {session:%b %Y}"


def _sessions(number: int) -> str:
    return f"{number:,} session" + ("" if number == 1 else "s")
