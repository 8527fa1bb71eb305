"""What a chart is made of once everything has its place: shapes and words, in pixels."""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from trading_assets.core.chart_text import text_width
from trading_assets.core.panel import Floats

WIDTH_PX, HEIGHT_PX = 1920, 1080
TEXT_PX = 20
INK = "#17212b"


class Rect(NamedTuple):
    """A rectangle of pixels, y downwards."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def height(self) -> float:
        """From top to bottom."""
        return self.bottom - self.top

    def meets(self, other: "Rect") -> bool:
        """Whether the two have a pixel in common."""
        return (
            self.left < other.right
            and other.left < self.right
            and self.top < other.bottom
            and other.top < self.bottom
        )


PAGE = Rect(0, 0, WIDTH_PX, HEIGHT_PX)


@dataclass(frozen=True, slots=True)
class Label:
    """A text on one line.

    Attributes:
        left: Where its first letter begins.
        middle: Half the height of its capitals.
        px: Size of its font.
    """

    text: str
    left: int
    middle: int
    px: int = TEXT_PX
    colour: str = INK
    is_bold: bool = False

    @property
    def right(self) -> int:
        """Where its last letter ends."""
        return self.left + text_width(self.text, self.px, is_bold=self.is_bold)

    @property
    def baseline(self) -> int:
        """Where its letters stand."""
        return self.middle + round(0.365 * self.px)

    @property
    def box(self) -> Rect:
        """What its letters, digits and brackets may cover."""
        top = self.baseline - round(0.78 * self.px)
        return Rect(self.left, top, self.right, top + self.px)


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """A line through points; a NaN breaks it."""

    xs: Floats
    ys: Floats
    colour: str
    width_px: float
    clip: Rect = PAGE
    dash: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Shapes:
    """Filled outlines, each with as many corners: an array of shape (n, corners, 2)."""

    outlines: Floats
    colour: str
    clip: Rect = PAGE


@dataclass(frozen=True, slots=True, eq=False)
class Candles:
    """Candles, in prices: a price lies at ``y_at_zero - price * px_per_price``."""

    xs: Floats
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    width_px: float
    line_px: float
    px_per_price: float
    y_at_zero: float
    clip: Rect


@dataclass(frozen=True, slots=True)
class Scene:
    """A chart ready to paint: marks in their order, then labels.

    Attributes:
        panes: Where data are drawn, prices first.
    """

    panes: tuple[Rect, ...]
    marks: list[Line | Shapes | Candles] = field(default_factory=list)
    labels: list[Label] = field(default_factory=list)


@dataclass(frozen=True, slots=True, eq=False)
class Scale:
    """What a pane shows from bottom to top, and where it is labelled.

    Attributes:
        low: Below *high*.
        ticks: Between the two, ascending, at least 2.
        texts: What is written at them.
    """

    low: float
    high: float
    ticks: Floats
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Pane:
    """A rectangle with a scale."""

    rect: Rect
    scale: Scale

    @property
    def px_per_unit(self) -> float:
        """How far apart two values are that differ by 1."""
        return self.rect.height / (self.scale.high - self.scale.low)

    def y(self, values: Floats) -> Floats:
        """Where *values* lie."""
        return self.rect.bottom - (values - self.scale.low) * self.px_per_unit

    def y_within(self, value: float) -> float:
        """Where *value* lies, or the edge that is nearest to it."""
        y = self.rect.bottom - (value - self.scale.low) * self.px_per_unit
        return min(max(y, self.rect.top), self.rect.bottom)


def rects_of(left: Floats, top: Floats, right: Floats, bottom: Floats) -> Floats:
    """Outlines of upright rectangles, one for each entry."""
    xs = np.stack([left, left, right, right], axis=-1)
    ys = np.stack([top, bottom, bottom, top], axis=-1)
    return np.stack([xs, ys], axis=-1)
