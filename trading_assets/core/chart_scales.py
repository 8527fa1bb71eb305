"""What each pane of a chart shows from bottom to top."""

from collections.abc import Iterable, Sequence

import numpy as np

from trading_assets.core.chart_axes import nice_ticks, tick_texts
from trading_assets.core.chart_marks import TEXT_PX, Scale
from trading_assets.core.chart_studies import Overlay, Study
from trading_assets.core.charting import Picture
from trading_assets.core.panel import Floats

# How far lines may stretch the scale beyond the candles, in heights of all candles.
_STRETCH_FRAC = 0.75
# What is shown at least, of a price or value; less would make noise of a flat line.
_SHOWN_FRAC = 0.01
_PAD_FRAC = 0.05
_PRICE_SPACING_PX, _STUDY_SPACING_PX = 46, 28
_LONGEST_PRICE = 1e7


def price_scale(picture: Picture, overlays: Sequence[Overlay], height_px: float) -> Scale:
    """All candles, and as much of the lines over them as leaves the candles readable."""
    low, high = float(picture.low.min()), float(picture.high.max())
    reach = _STRETCH_FRAC * max(high - low, _SHOWN_FRAC * high)
    values = _known(curve.values for overlay in overlays for curve in overlay.curves)
    lowest = max(float(values.min(initial=low)), low - reach)
    highest = min(float(values.max(initial=high)), high + reach)
    bottom, top = _padded(lowest, highest)
    ticks = nice_ticks(bottom, top, height_px, _PRICE_SPACING_PX)
    return Scale(bottom, top, ticks, tuple(tick_texts(ticks, _LONGEST_PRICE)))


def study_scale(study: Study, height_px: float) -> Scale:
    """All values of *study*, and what its scale always reaches to."""
    columns = [] if study.columns is None else [study.columns.values]
    known = _known([*columns, *(curve.values for curve in study.curves)])
    low, high = _reached(_known([known, np.asarray(study.shown)]))
    ticks = np.asarray(study.ticks)
    if not len(ticks):
        ticks = nice_ticks(low, high, height_px, _STUDY_SPACING_PX)
    elif np.diff(ticks).min() * height_px < (high - low) * (TEXT_PX + 4):
        ticks = ticks[[0, -1]]
    return Scale(low, high, ticks, tuple(tick_texts(ticks)))


def _known(values: Iterable[Floats]) -> Floats:
    joined = np.concatenate([np.empty(0), *values])
    return joined[np.isfinite(joined)]


def _reached(values: Floats) -> tuple[float, float]:
    if not values.any():
        return 0.0, 1.0
    lowest = float(values.min())
    low, high = _padded(lowest, float(values.max()))
    # What stands on zero, as volume does, stands on the edge.
    return (0.0 if lowest == 0 else low), high


def _padded(low: float, high: float) -> tuple[float, float]:
    """A little more than from *low* to *high*, and never next to nothing."""
    middle, half = (low + high) / 2, (high - low) / 2
    half = max(half * (1 + 2 * _PAD_FRAC), _SHOWN_FRAC * abs(middle) / 2)
    return middle - half, middle + half
