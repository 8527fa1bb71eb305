"""What is written above the panes of a chart: its title, and names with last values."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from trading_assets.core.chart_axes import (
    WEEKDAYS,
    TimeTick,
    calendar_ticks,
    change_text,
    compact_text,
    day_text,
    price_text,
    year_ticks,
)
from trading_assets.core.chart_marks import (
    INK,
    TEXT_PX,
    WIDTH_PX,
    Label,
    Scene,
    Shapes,
    rects_of,
)
from trading_assets.core.chart_studies import DOWN, UP, Curve, ValueText
from trading_assets.core.chart_text import text_width
from trading_assets.core.charting import Picture
from trading_assets.core.panel import Floats
from trading_assets.models.chart import Timeframe

MARGIN_PX, TITLE_PX = 20, 58
MUTED = "#566573"

_TITLE_SIZES = ((32, 24), (28, 22), (24, 20), (20, 18))
_LONGEST_SOURCE = 20
_SWATCH_PX, _SQUARE_PX, _WORD_PX, _ENTRY_PX = 30, 16, 9, 32
_LINE_PX = 4


@dataclass(frozen=True, slots=True)
class Words:
    """How a chart speaks of what it shows: by name and calendar, or of bars alone.

    Attributes:
        name: What the title begins with.
        when: What it says next.
        source: What stands at its right.
        ticks: Labels of the time axis: the upper row, and the lower one.
        volume: How volumes are written.
        volume_title: What their pane is called.
    """

    name: Callable[[Picture], str]
    when: Callable[[Picture], str]
    source: Callable[[Picture], str]
    ticks: Callable[[Picture, Floats, tuple[int, int]], tuple[list[TimeTick], ...]]
    volume: ValueText
    volume_title: str


class Entry(NamedTuple):
    """A name and its last value in a legend; without a colour it has no swatch."""

    name: str
    value: str
    colour: str = ""
    is_line: bool = True

    @property
    def swatch_px(self) -> int:
        """How wide its colour is shown."""
        return _SWATCH_PX if self.is_line else _SQUARE_PX

    @property
    def width(self) -> int:
        """What it takes from left to right."""
        name = text_width(self.name, TEXT_PX) + _WORD_PX if self.name else 0
        swatch = self.swatch_px + _WORD_PX if self.colour else 0
        return swatch + name + text_width(self.value, TEXT_PX, is_bold=True)


def entry_of(curve: Curve, text: ValueText) -> Entry:
    """How a curve is listed."""
    return Entry(curve.name, value_text(curve.last, text), curve.colour)


def value_text(value: float, text: ValueText) -> str:
    """A value for a person; a dash while it warms up."""
    return "–" if np.isnan(value) else text(value)  # noqa: RUF001  # a dash is meant


def colour_of(*, rises: bool) -> str:
    """The colour of rising or falling."""
    return UP if rises else DOWN


def title_of(picture: Picture, words: Words) -> list[Label]:
    """Symbol, session and its bar on one line, in the largest size that fits."""
    source = words.source(picture)
    left = WIDTH_PX - MARGIN_PX - text_width(source, TEXT_PX)
    labels: list[Label] = []
    for sizes in _TITLE_SIZES:
        labels = list(_title_labels(picture, words, *sizes))
        if labels[-1].right + MARGIN_PX <= left:
            break
    return [*labels, Label(source, left, TITLE_PX // 2, colour=MUTED)]


def _source_text(picture: Picture) -> str:
    source = picture.source
    if source.partition(":")[0] == "simulated":
        return "simulated data"
    if len(source) > _LONGEST_SOURCE:
        return f"{source[:_LONGEST_SOURCE]}…"
    return f"data: {source}"


def _title_labels(
    picture: Picture, words: Words, symbol_px: int, px: int
) -> Iterator[Label]:
    left = MARGIN_PX
    for text, size, colour, is_bold, space in _title_words(picture, words, symbol_px, px):
        label = Label(text, left, TITLE_PX // 2, size, colour, is_bold)
        yield label
        left = label.right + round(space * px)


def _title_words(
    picture: Picture, words: Words, symbol_px: int, px: int
) -> Iterator[tuple[str, int, str, bool, float]]:
    """Text, size, colour, whether it is bold, and the space after it in letters."""
    yield words.name(picture), symbol_px, INK, True, 0.8
    yield words.when(picture), px, MUTED, False, 1.2
    fields = (picture.open, picture.high, picture.low, picture.close)
    for letter, prices in zip("OHLC", fields, strict=True):
        yield letter, px, MUTED, False, 0.3
        yield price_text(float(prices[-1])), px, INK, True, 0.7
    yield "V", px, MUTED, False, 0.3
    yield words.volume(float(picture.volume[-1])), px, INK, True, 0.7
    if len(picture.close) > 1:
        change = float(picture.close[-1] / picture.close[-2] - 1)
        colour = colour_of(rises=change > 0) if change else MUTED
        yield change_text(change), px, colour, True, 0.0


def _when(picture: Picture) -> str:
    day = picture.session
    text = f"{WEEKDAYS[day.weekday()]} {day_text(day)} {day.year}"
    return (
        f"Daily  {text}" if picture.timeframe is Timeframe.DAILY else f"Weekly  to {text}"
    )


def _calendar(
    picture: Picture, xs: Floats, room: tuple[int, int]
) -> tuple[list[TimeTick], list[TimeTick]]:
    """Days or months and, below them, years."""
    days = calendar_ticks(picture.sessions, xs, plain_width, room)
    return days, year_ticks(picture.sessions, xs, bold_width, room)


def plain_width(text: str) -> int:
    """What *text* takes on an axis, pixels."""
    return text_width(text, TEXT_PX)


def bold_width(text: str) -> int:
    """The same in bold."""
    return text_width(text, TEXT_PX, is_bold=True)


NAMED = Words(
    name=lambda picture: picture.symbol,
    when=_when,
    source=_source_text,
    ticks=_calendar,
    volume=compact_text,
    volume_title="Volume",
)
"""By symbol and calendar."""


def rows_of(entries: Iterable[Entry], left: int, right: int) -> list[list[Entry]]:
    """*entries* broken into rows that fit between *left* and *right*."""
    rows: list[list[Entry]] = []
    x = right
    for entry in entries:
        if x + entry.width > right:
            rows.append([])
            x = left
        rows[-1].append(entry)
        x += entry.width + _ENTRY_PX
    return rows


def write_entries(scene: Scene, row: Iterable[Entry], left: int, middle: int) -> None:
    """Put *row* on the *scene*, with half the height of its capitals at *middle*."""
    for entry in row:
        x = left
        if entry.colour:
            half = (_LINE_PX if entry.is_line else _SQUARE_PX) // 2
            swatch = _rect(x, middle - half, x + entry.swatch_px, middle + half)
            scene.marks.append(Shapes(swatch, entry.colour))
            x += entry.swatch_px + _WORD_PX
        if entry.name:
            scene.labels.append(Label(entry.name, x, middle))
            x = scene.labels[-1].right + _WORD_PX
        if entry.value:
            scene.labels.append(Label(entry.value, x, middle, is_bold=True))
        left += entry.width + _ENTRY_PX


def _rect(*edges: float) -> Floats:
    return rects_of(*(np.array([edge], dtype=np.float64) for edge in edges))
