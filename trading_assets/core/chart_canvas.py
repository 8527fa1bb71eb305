"""A chart as a PNG: a scene painted with mplfinance's candles and matplotlib's Agg.

One canvas serves all charts of a process, because building axes for each costs more
than drawing them.
Nothing here reads matplotlib's settings, so pictures do not depend on a user's.
What is private in mplfinance and matplotlib is used in this module only; their versions
are pinned.
"""

from functools import cache, lru_cache
from threading import Lock

import imagecodecs
import mplfinance as mpf
import numpy as np
from matplotlib.backend_bases import GraphicsContextBase
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.colors import to_rgb
from matplotlib.path import Path
from matplotlib.transforms import Bbox, IdentityTransform
from mplfinance._utils import _construct_candlestick_collections
from numpy.typing import NDArray
from PIL import Image

from trading_assets.core.chart_marks import (
    HEIGHT_PX,
    PAGE,
    WIDTH_PX,
    Candles,
    Label,
    Line,
    Rect,
    Scene,
    Shapes,
)
from trading_assets.core.chart_scene import compose
from trading_assets.core.chart_studies import DOWN, UP
from trading_assets.core.chart_text import TEXT_MARGIN_PX, ascent, text_ink
from trading_assets.core.chart_words import NAMED, Words
from trading_assets.core.charting import Picture
from trading_assets.core.panel import Floats

Pixels = NDArray[np.uint8]
Colour = tuple[float, float, float]

# One dot per inch for each point of an inch: widths are then pixels.
_DPI = 72
_UPWARDS = np.array([1.0, -1.0])
_AS_IS = IdentityTransform()
_MARKET_COLOURS = mpf.make_marketcolors(
    up=UP, down=DOWN, edge="inherit", wick="inherit", alpha=1.0
)
_FASTEST_SMALL, _SMALLER = 2, 6
_SHADES, _SHADE_BITS = np.uint8(0b11111000), np.uint8(5)
SENT_PX = (1280, 720)
"""What a model is sent: its own providers would shrink more, or count twice the tokens."""

_LOCK = Lock()


def draw(picture: Picture) -> bytes:
    """A PNG of 1920 by 1080 pixels; the same picture always gives the same bytes."""
    # The canvas is one, and Dagster may run steps in threads.
    with _LOCK:
        return _canvas().png(compose(picture))


def draw_to_send(picture: Picture, words: Words = NAMED) -> bytes:
    """The same chart as a PNG of 1280 by 720 pixels, for a model.

    It is the picture that people see, at two thirds: text then is 13 pixels high, and
    lines of one pixel keep their weight with Lanczos, which a mean of pixels takes from
    every other one. Thirty-two shades of a colour are enough to read it by, and make half
    as many bytes to send.

    Args:
        words: How it speaks of what it shows.
    """
    with _LOCK:
        drawn = _canvas().colours(compose(picture, words))
        small = Image.fromarray(drawn).resize(SENT_PX, Image.Resampling.LANCZOS)
    level, plain = _SMALLER, imagecodecs.PNG.FILTER.NO
    return bytes(imagecodecs.png_encode(_shades(np.asarray(small)), level, filter=plain))


@cache
def _canvas() -> "_Canvas":
    return _Canvas()


class _Canvas:
    """Pixels that are painted over for each chart."""

    def __init__(self) -> None:
        self._renderer = RendererAgg(WIDTH_PX, HEIGHT_PX, _DPI)
        # One pen for all, as a new one asks matplotlib's settings for what we never use.
        self._context = self._renderer.new_gc()
        self._context.set_joinstyle("round")
        self._context.set_antialiased(True)
        self._pixels: Pixels = np.asarray(self._renderer.buffer_rgba())
        self._colours: Pixels = np.empty((HEIGHT_PX, WIDTH_PX, 3), np.uint8)

    def png(self, scene: Scene) -> bytes:
        """What *scene* looks like."""
        level, sub = _FASTEST_SMALL, imagecodecs.PNG.FILTER.SUB
        return bytes(imagecodecs.png_encode(self.colours(scene), level, filter=sub))

    def colours(self, scene: Scene) -> Pixels:
        """Red, green and blue of every pixel, until the next scene is painted."""
        self._pixels[...] = 255
        for mark in scene.marks:
            self._paint(mark)
        for label in scene.labels:
            self._write(label)
        # One channel at a time is four times as fast as a slice of all three.
        for channel in range(3):
            self._colours[..., channel] = self._pixels[..., channel]
        return self._colours

    def _paint(self, mark: Line | Shapes | Candles) -> None:
        if isinstance(mark, Line):
            self._stroke(mark)
        elif isinstance(mark, Shapes):
            self._fill(mark)
        else:
            self._candles(mark)

    def _stroke(self, line: Line) -> None:
        pen = self._pen(to_rgb(line.colour), line.width_px, line.clip)
        if line.dash:
            pen.set_dashes(0.0, line.dash)
        path = _path(np.column_stack([line.xs, HEIGHT_PX - line.ys]))
        self._renderer.draw_path(pen, path, _AS_IS)

    def _fill(self, shapes: Shapes) -> None:
        if not shapes.outlines.size:
            return
        colour = to_rgb(shapes.colour)
        outlines = shapes.outlines * _UPWARDS + (0.0, HEIGHT_PX)
        pen = self._pen(colour, 0.0, shapes.clip)
        self._renderer.draw_path(pen, _joined(outlines, is_closed=True), _AS_IS, colour)

    def _candles(self, candles: Candles) -> None:
        """Wicks and bodies as mplfinance builds them, moved to where they belong."""
        wicks, bodies = _built(candles)
        scale = np.array([1.0, candles.px_per_price])
        origin = np.array([0.0, HEIGHT_PX - candles.y_at_zero])
        for collection, is_body in ((wicks, False), (bodies, True)):
            outlines = np.array([path.vertices for path in collection.get_paths()])
            outlines = outlines[:, : 4 if is_body else 2] * scale + origin
            # A collection repeats its colours when it has more outlines than those.
            colours = np.resize(collection.get_edgecolor(), (len(outlines), 4))
            # By colour, so that there are two paths instead of a hundred.
            for colour in np.unique(colours, axis=0):
                own = outlines[(colours == colour).all(axis=1)]
                pen = self._pen(tuple(colour[:3]), candles.line_px, candles.clip)
                pen.set_snap(True)
                path = _joined(own, is_closed=is_body)
                face = tuple(colour[:3]) if is_body else None
                self._renderer.draw_path(pen, path, _AS_IS, face)

    def _pen(self, colour: Colour, width_px: float, clip: Rect) -> GraphicsContextBase:
        """The pen, with all that the last stroke may have changed set anew."""
        self._context.set_foreground(colour, isRGBA=True)
        self._context.set_linewidth(width_px)
        self._context.set_clip_rectangle(_box(clip))
        self._context.set_dashes(0.0, None)
        self._context.set_snap(None)
        return self._context

    def _write(self, label: Label) -> None:
        ink = text_ink(label.text, label.px, is_bold=label.is_bold)
        bottom = label.baseline - ascent(label.px) + ink.shape[0]
        pen = self._pen(to_rgb(label.colour), 0.0, PAGE)
        # Private, as matplotlib has no public way to paint ink that is there already.
        paint = self._renderer._renderer.draw_text_image  # noqa: SLF001  # as said
        paint(ink, label.left - TEXT_MARGIN_PX, bottom, 0.0, pen)


def _shades(colours: Pixels) -> Pixels:
    """*colours* in 32 shades from black to white, both of which stay as they are."""
    coarse = colours & _SHADES
    return coarse | coarse >> _SHADE_BITS


def _built(candles: Candles) -> tuple[LineCollection, PolyCollection]:
    """Wicks and bodies in prices, with their colours."""
    prices = (candles.open, candles.high, candles.low, candles.close)
    widths = {"candle_width": candles.width_px, "candle_linewidth": candles.line_px}
    wicks, bodies = _construct_candlestick_collections(
        candles.xs.tolist(),
        *(each.tolist() for each in prices),
        marketcolors=_MARKET_COLOURS,
        config={
            "_width_config": widths,
            "marketcolor_overrides": None,
            "mco_faceonly": False,
        },
    )
    return wicks, bodies


def _joined(outlines: Floats, *, is_closed: bool) -> Path:
    """One path through many lines or, closed, around many shapes."""
    count, corners = outlines.shape[:2]
    if is_closed:
        outlines = np.concatenate([outlines, outlines[:, :1]], axis=1)
        corners += 1
    codes = np.full((count, corners), Path.LINETO, np.uint8)
    codes[:, 0] = Path.MOVETO
    if is_closed:
        codes[:, -1] = Path.CLOSEPOLY
    return _path(outlines.reshape(-1, 2), codes.reshape(-1))


def _path(vertices: Floats, codes: NDArray[np.uint8] | None = None) -> Path:
    path = Path(vertices, codes)
    # Long lines would be thinned out as far as the user's settings allow.
    path.should_simplify = False
    return path


@lru_cache(maxsize=64)
def _box(rect: Rect) -> Bbox:
    """*rect* with y upwards."""
    return Bbox.from_extents(
        rect.left, HEIGHT_PX - rect.bottom, rect.right, HEIGHT_PX - rect.top
    )
