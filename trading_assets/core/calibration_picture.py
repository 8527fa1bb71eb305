"""An analyst's record as a picture: declared against true, by band, and against others.

What is out of sample is blue; what an analyst may have remembered is grey, hollow and
labelled, and never drawn together with the other. The same inputs give the same bytes.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from trading_assets.core.calibration import BINS, MAKER, Calibration, Sample
from trading_assets.core.picture_look import DPI, INK, MUTED, PAPER, png_of, settings
from trading_assets.core.statistics import percent

CLEAN, TAINTED, OTHERS = "#1c5fa8", "#98a1ad", "#cfd6de"
WORDS = {"always_hold": "always long", "sma_cross": "SMA cross 10/50"}
GAP = 0.6
"""Of a row, between what is clean and what is not."""

type Group = Mapping[str, Any]


def calibration_picture(calibration: Calibration, *, title: str) -> bytes:
    """A 1600 x 900 PNG: reliability, hits by band, and expectancy against baselines.

    It shows the analyst that spoke last, out of sample, and what the same one said in
    sample beside it. Without any it says so.

    Args:
        calibration: From `calibration_of`.
        title: Drawn as it is, dollar signs included.
    """
    with mpl.rc_context(settings()):
        figure = Figure(figsize=(16, 9), dpi=DPI, facecolor=PAPER)
        figure.text(0.062, 0.945, title, size=19, weight="bold", va="center", **PLAIN)
        shown = _shown(calibration)
        if not shown:
            text = f"No signal's {calibration.horizon} sessions are over yet"
            figure.text(0.5, 0.5, text, size=15, color=MUTED, ha="center")
            return png_of(figure)
        figure.text(
            0.062, 0.901, _said(calibration, shown[0]), size=11.5, color=MUTED, **PLAIN
        )
        _draw_curve(figure, calibration, shown)
        _draw_bands(figure.add_axes((0.665, 0.53, 0.225, 0.285)), calibration, shown)
        _draw_gains(figure.add_axes((0.665, 0.1, 0.225, 0.285)), shown, calibration.others)
        return png_of(figure)


PLAIN: Mapping[str, Any] = {"parse_math": False}


def _shown(calibration: Calibration) -> list[Group]:
    """The analyst's lines that are drawn, the clean one first."""
    lines = [line for line in _records(calibration.groups) if line["signals"]]
    return [line for line in lines if all(line[name] == lines[0][name] for name in MAKER)]


def _records(frame: pd.DataFrame) -> list[Group]:
    names = list(map(str, frame.columns))
    return [dict(zip(names, row, strict=True)) for row in frame.itertuples(index=False)]


def _said(calibration: Calibration, line: Group) -> str:
    who = " · ".join(str(line[name]) for name in MAKER if line[name])
    return (
        f"{who} · after {calibration.horizon} sessions · {_counted(line)} "
        f"{line['sample']}, {line['apart']:,} without overlap · {line['status']}"
    )


def _counted(line: Group) -> str:
    return f"{line['signals']:,} signal" + ("" if line["signals"] == 1 else "s")


def _colour(line: Group) -> str:
    return CLEAN if line["sample"] == Sample.OUT else TAINTED


def _name(line: Group) -> str:
    is_clean = line["sample"] == Sample.OUT
    return str(line["sample"]) + ("" if is_clean else ": contaminated")


# Reliability


def _draw_curve(figure: Figure, calibration: Calibration, shown: Sequence[Group]) -> None:
    above = figure.add_axes((0.062, 0.3, 0.46, 0.515))
    below = figure.add_axes((0.062, 0.1, 0.46, 0.135), sharex=above)
    _head(above, "Came true, against declared", "lines: 95 % after Wilson")
    above.plot([0, 1], [0, 1], color=MUTED, lw=0.9, ls=(0, (2, 3)))
    above.text(0.81, 0.775, "as declared", color=MUTED, size=10, va="top")
    for number, line in enumerate(shown):
        own = calibration.of(calibration.curve, line)
        _draw_points(above, own, line)
        _count(below, own, line, number, len(shown))
    above.set_xlim(0, 1)
    above.set_ylim(0, 1)
    above.tick_params(labelbottom=False, labelsize=11)
    above.yaxis.set_major_formatter(FuncFormatter(_whole_percent))
    below.xaxis.set_major_formatter(FuncFormatter(_whole_percent))
    below.yaxis.set_major_locator(MaxNLocator(2, integer=True))
    below.tick_params(labelsize=11)
    below.grid(visible=False, axis="x")
    below.set_xlabel("declared", size=11)
    below.set_title("signals", size=10, color=MUTED, loc="left", pad=4)


def _draw_points(axes: Axes, curve: pd.DataFrame, line: Group) -> None:
    at, rate = curve["declared"].to_numpy(), curve["hit_frac"].to_numpy()
    low, high = curve["hit_low_frac"].to_numpy(), curve["hit_high_frac"].to_numpy()
    colour, is_clean = _colour(line), line["sample"] == Sample.OUT
    axes.vlines(
        at, low, high, color=colour, lw=2.2 if is_clean else 1.2, alpha=0.45, clip_on=False
    )
    axes.plot(
        at,
        rate,
        color=colour,
        lw=2.2 if is_clean else 1.1,
        ls="-" if is_clean else (0, (4, 3)),
        marker="o",
        ms=8 if is_clean else 6,
        mfc=colour if is_clean else PAPER,
        mec=colour,
        label=_name(line),
        clip_on=False,
    )
    axes.legend(loc="upper left", frameon=False, fontsize=11)


def _count(axes: Axes, curve: pd.DataFrame, line: Group, number: int, lines: int) -> None:
    width = 0.8 / BINS / lines
    at = (curve["bin"].to_numpy() + 0.5) / BINS + (number - (lines - 1) / 2) * width
    counts = curve["signals"].to_numpy()
    axes.bar(at, counts, width=width * 0.92, color=_colour(line))
    look: dict[str, Any] = {"size": 8.5, "color": MUTED, "ha": "center", "va": "bottom"}
    for place, count in zip(at, counts, strict=True):
        axes.text(place, count, f"{count:,}", **look)
    axes.margins(y=0.25)


# Bands and gains


def _draw_bands(axes: Axes, calibration: Calibration, shown: Sequence[Group]) -> None:
    _head(axes, "Came true, by confidence")
    rows = [
        (number, band, line)
        for number, line in enumerate(shown)
        for band in _records(calibration.of(calibration.bands, line))
    ]
    places = [-place - GAP * row[0] for place, row in enumerate(rows)]
    for place, (_, band, line) in zip(places, rows, strict=True):
        told = "no signals"
        if band["signals"]:
            axes.barh(place, band["hit_frac"], height=0.62, **_fill(line))
            low, high = band["hit_low_frac"], band["hit_high_frac"]
            axes.hlines(place, low, high, color=INK, lw=1.3)
            told = f"{percent(band['hit_frac'])} of {band['signals']:,}"
        axes.text(1.03, place, told, size=10, va="center", color=INK)
    axes.set_yticks(places, [str(band["band"]).lower() for _, band, _ in rows])
    axes.set_ylim(places[-1] - 0.6, 0.6)
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(FuncFormatter(_whole_percent))
    _bare(axes)


def _draw_gains(axes: Axes, shown: Sequence[Group], others: Sequence[str]) -> None:
    _head(axes, "Gained per signal, after costs")
    rows: list[tuple[int, str, Any, dict[str, Any]]] = [
        (number, name, line[column], look)
        for number, line in enumerate(shown)
        for name, column, look in (
            (str(line["sample"]), "expectancy_frac", _fill(line)),
            *((WORDS.get(own, own), own, {"color": OTHERS}) for own in others),
        )
    ]
    places = [-place - GAP * row[0] for place, row in enumerate(rows)]
    for place, (_, _, gain, look) in zip(places, rows, strict=True):
        frac = np.nan if gain is None else float(gain)
        axes.barh(place, np.nan_to_num(frac), height=0.62, **look)
        told = "none" if np.isnan(frac) else _gain(frac)
        beside = axes.get_yaxis_transform()
        axes.text(1.03, place, told, size=10, va="center", transform=beside)
    axes.axvline(0, color=MUTED, lw=0.9)
    axes.set_yticks(places, [row[1] for row in rows])
    axes.set_ylim(places[-1] - 0.6, 0.6)
    axes.margins(x=0.1)
    axes.xaxis.set_major_locator(MaxNLocator(3))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda frac, _: _gain(frac)))
    _bare(axes)


def _fill(line: Group) -> dict[str, Any]:
    if line["sample"] == Sample.OUT:
        return {"color": CLEAN}
    return {"facecolor": PAPER, "edgecolor": TAINTED, "hatch": "////", "lw": 1.0}


def _gain(frac: float) -> str:
    rounded = round(100 * frac, 2) + 0
    return (f"{rounded:+.2f} %" if rounded else "0 %").replace("-", "−")  # noqa: RUF001 - a real minus


def _head(axes: Axes, title: str, remark: str = "") -> None:
    """Words above *axes*, equally far from each, however high it is."""
    above = 1 + 0.026 / axes.get_position().height
    axes.text(0, above, title, size=13, weight="bold", transform=axes.transAxes)
    axes.text(1, above, remark, size=10, color=MUTED, ha="right", transform=axes.transAxes)


def _bare(axes: Axes) -> None:
    axes.grid(visible=False, axis="y")
    axes.tick_params(labelsize=10.5, length=0)


def _whole_percent(frac: float, _: int) -> str:
    return f"{100 * frac:.0f} %"
