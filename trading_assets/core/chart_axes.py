"""Scales of a chart: where ticks stand, what is written at them, how labels make room."""

from collections.abc import Callable, Iterator, Sequence
from datetime import date
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from trading_assets.core.panel import Days, Floats

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun")
MONTHS += ("Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
UNITS = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "K"))
NICE_STEPS = (1.0, 2.0, 2.5, 5.0)
LABEL_GAP_PX = 16
"""Between two labels of the time axis."""

# Beyond these a plain number has more digits than a person reads at a glance.
_LONGEST_PRICE = 1e8
_LONGEST_COUNT = 1e4
_WITHOUT_CENTS = 1e6
_SMALLEST_PLAIN = 1e-5
_LARGEST_PLAIN = 1e5
_LARGEST_WITH_UNIT = 1e15
_DIGITS = 4
_LARGEST_PLAIN_PERCENT = 1e5


def price_text(price: float) -> str:
    """A price as it is quoted: fewer decimals the higher it is."""
    size = abs(price)
    if 0 < size < _SMALLEST_PLAIN:
        return f"{price:.3e}"
    if 0 < size < 1:
        return f"{price:.{3 - int(np.floor(np.log10(size)))}f}"
    if size >= _LONGEST_PRICE:
        return compact_text(price, decimals=4)
    return f"{price:,.{2 if size < _WITHOUT_CENTS else 0}f}"


def compact_text(number: float, decimals: int = 2) -> str:
    """A large number in thousands, millions, billions or trillions: ``62.33M``.

    Args:
        decimals: Of those; a number below 1,000 has what it needs.
    """
    size = abs(number)
    if size >= _LARGEST_WITH_UNIT:
        return f"{number:.3g}"
    for unit, letter in UNITS:
        if round(1000 * size / unit, decimals) >= 1000:  # noqa: PLR2004  # the next unit
            return f"{number / unit:.{decimals}f}{letter}"
    if number == round(number):
        return f"{number:.0f}"
    return f"{number:.2f}" if size >= 1 else f"{number:.3g}"


def number_text(largest: float) -> Callable[[float], str]:
    """What writes numbers up to *largest* in size with as many decimals as that needs."""
    if largest >= _LARGEST_PLAIN:
        return compact_text
    if 0 < largest < _SMALLEST_PLAIN:
        return "{:.2e}".format
    decimals = _DIGITS - 1 - int(np.floor(np.log10(largest))) if largest else 2
    return partial(_rounded, decimals=max(decimals, 0))


def _rounded(number: float, decimals: int) -> str:
    # Adding zero turns a negative zero into a plain one.
    return f"{round(number, decimals) + 0.0:,.{decimals}f}"


def change_text(change_frac: float) -> str:
    """A change with its sign, in per cent: ``+1.23 %``."""
    percent = 100 * change_frac
    if abs(percent) >= _LARGEST_PLAIN_PERCENT:
        return f"{percent:+.2e} %"
    return f"{percent:+,.2f} %"


def nice_ticks(low: float, high: float, height_px: float, spacing_px: float) -> Floats:
    """Round numbers from *low* to *high*, at least 2.

    Args:
        low: Smallest value shown, below *high*.
        height_px: How far apart the two are.
        spacing_px: How close two ticks may be, at most a third of *height_px*.
    """
    finest = (high - low) * spacing_px / height_px
    power = int(np.floor(np.log10(finest)))
    steps = [nice * 10.0**p for p in range(power - 2, power + 2) for nice in NICE_STEPS]
    roomy = next(at for at, step in enumerate(steps) if step >= finest)
    ticks = _multiples(steps[roomy], low, high)
    if len(ticks) > 1:
        return ticks
    # The round numbers lie badly: a finer step has two that are far enough apart.
    finer = (_multiples(step, low, high) for step in reversed(steps[:roomy]))
    return next(found for found in finer if len(found) > 1)[[0, -1]]


def _multiples(step: float, low: float, high: float) -> Floats:
    slack = 1e-9 * (high - low)
    first, last = np.ceil((low - slack) / step), np.floor((high + slack) / step)
    return np.arange(first, last + 1) * step


def tick_texts(ticks: Floats, longest: float = _LONGEST_COUNT) -> list[str]:
    """What is written at *ticks*, all with the decimals that any of them needs.

    Args:
        ticks: Ascending, at least 2.
        longest: From here on they are written in thousands, millions and so on.
    """
    largest = float(np.max(np.abs(ticks)))
    unit, letter = 1.0, ""
    if largest < _SMALLEST_PLAIN or largest >= _LARGEST_WITH_UNIT:
        power = int(np.floor(np.log10(largest)))
        unit, letter = 10.0**power, f"e{power:+03d}"
    elif largest >= longest:
        unit, letter = next((unit, letter) for unit, letter in UNITS if largest >= unit)
    decimals = _decimals(ticks / unit)
    texts = [_rounded(float(tick) / unit, decimals) for tick in ticks]
    return [
        text + (letter if tick else "") for text, tick in zip(texts, ticks, strict=True)
    ]


def _decimals(ticks: Floats) -> int:
    """How many decimals it takes to write *ticks* as they are, at most 12."""
    slack = 1e-6 * float(np.min(np.diff(ticks)))
    errors = (np.max(np.abs(np.round(ticks, places) - ticks)) for places in range(12))
    return next((places for places, error in enumerate(errors) if error < slack), 12)


OFFSET_STEPS = (1, 2, 5, 10, 20, 50, 100)
"""Between two labels of an axis that counts bars."""


class TimeTick(NamedTuple):
    """A label of the time axis.

    Attributes:
        x: Where the tick stands, pixels.
        text_left: Where its text begins.
    """

    x: float
    text_left: int
    text: str


def calendar_ticks(
    sessions: Days, xs: Floats, width_of: Callable[[str], int], room: tuple[int, int]
) -> list[TimeTick]:
    """Days or months, as fine as there is room for without an overlap.

    Args:
        sessions: Of the bars, ascending.
        xs: Where the bars stand, pixels.
        width_of: What a text takes, pixels.
        room: Between which two pixels all labels have to be.
    """
    ticks: list[TimeTick] = []
    days: list[date] = sessions.tolist()
    for firsts, text_of in _calendar(sessions):
        texts = [text_of(days[at]) for at in firsts]
        widths = [width_of(text) for text in texts]
        ticks = _apart(xs[firsts], texts, widths, room)
        # One may yield at the beginning, where a month or a week is cut.
        if len(firsts) > 1 and len(ticks) >= len(firsts) - 1:
            return ticks
    return ticks


def _calendar(sessions: Days) -> Iterator[tuple[NDArray[np.intp], Callable[[date], str]]]:
    """Where days, weeks, months … begin, the finest first, and how they are written."""
    months = sessions.astype("datetime64[M]").astype(np.int64)
    yield np.arange(len(sessions)), day_text
    yield _starts((sessions.astype(np.int64) + 3) // 7), day_text
    for length in (1, 3, 6, 12):
        yield _starts(months // length)[1:], _month_text
    yield np.arange(len(sessions)), day_text


def _starts(periods: NDArray[np.int64]) -> NDArray[np.intp]:
    return np.flatnonzero(np.r_[True, periods[1:] != periods[:-1]])


def day_text(day: date) -> str:
    """A day without its year: ``20 Jun``."""
    return f"{day.day} {MONTHS[day.month - 1]}"


def _month_text(day: date) -> str:
    return MONTHS[day.month - 1]


def year_ticks(
    sessions: Days, xs: Floats, width_of: Callable[[str], int], room: tuple[int, int]
) -> list[TimeTick]:
    """Where years begin, and before them the year of the first bar; as above."""
    years = sessions.astype("datetime64[Y]")
    firsts = _starts(years.astype(np.int64))
    texts = [str(years[at]) for at in firsts]
    return _apart(xs[firsts], texts, [width_of(text) for text in texts], room)


def offset_ticks(
    prefix: str, xs: Floats, width_of: Callable[[str], int], room: tuple[int, int]
) -> list[TimeTick]:
    """Bars counted back from the last, as fine as there is room for: ``t-5``, ``t0``.

    Args:
        prefix: What an offset begins with; the others as above.
    """
    ticks: list[TimeTick] = []
    for step in OFFSET_STEPS:
        backs = range((len(xs) - 1) // step * step, -1, -step)
        texts = [offset_text(prefix, back) for back in backs]
        marked = xs[[len(xs) - 1 - back for back in backs]]
        ticks = _apart(marked, texts, [width_of(text) for text in texts], room)
        if len(ticks) == len(texts):
            return ticks
    return ticks


def offset_text(prefix: str, back: int) -> str:
    """How the bar is called that lies *back* bars before the last: ``t-5``, ``t0``."""
    return f"{prefix}-{back}" if back else f"{prefix}0"


def _apart(
    xs: Floats, texts: Sequence[str], widths: Sequence[int], room: tuple[int, int]
) -> list[TimeTick]:
    """Labels centred under *xs* within *room*; where two meet the earlier one yields."""
    kept: list[TimeTick] = []
    limit = room[1] + LABEL_GAP_PX
    for x, text, width in reversed(list(zip(xs, texts, widths, strict=True))):
        left = int(min(max(x - width / 2, room[0]), room[1] - width))
        if left + width + LABEL_GAP_PX <= limit:
            kept.append(TimeTick(float(x), left, text))
            limit = left
    return kept[::-1]


def spread(wanted: Sequence[float], height: int, low: int, high: int) -> list[int]:
    """Centres of boxes of one *height*, as near to the *wanted* ones as they fit apart.

    Args:
        wanted: Where the centres would like to be, pixels, in any order.
        low: Where the first box may begin; *high*: where the last may end.
    """
    order = sorted(range(len(wanted)), key=lambda at: (wanted[at], at))
    slack = [wanted[at] - rank * height for rank, at in enumerate(order)]
    first, last = low + height / 2, high - height / 2 - (len(wanted) - 1) * height
    placed = [0] * len(wanted)
    for rank, (at, offset) in enumerate(zip(order, _nondecreasing(slack), strict=True)):
        placed[at] = round(min(max(offset, first), last)) + rank * height
    return placed


def _nondecreasing(values: Sequence[float]) -> list[float]:
    """The nearest sequence that never falls, in least squares: pools of equal means."""
    pools: list[tuple[float, int]] = []
    for value in values:
        mean, size = value, 1
        while pools and pools[-1][0] >= mean:
            left, count = pools.pop()
            mean, size = (mean * size + left * count) / (size + count), size + count
        pools.append((mean, size))
    return [mean for mean, size in pools for _ in range(size)]
