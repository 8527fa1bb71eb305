"""Where everything on a chart goes.

Words and prices never share a place: scales are written left of the panes, last values
right of them, names and values above each. So nothing can overlap, whatever the prices.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from trading_assets.core.chart_axes import (
    TimeTick,
    price_text,
    spread,
)
from trading_assets.core.chart_marks import (
    HEIGHT_PX,
    TEXT_PX,
    WIDTH_PX,
    Candles,
    Label,
    Line,
    Pane,
    Rect,
    Scale,
    Scene,
    Shapes,
    rects_of,
)
from trading_assets.core.chart_scales import price_scale, study_scale
from trading_assets.core.chart_studies import (
    BAND_FILL,
    DOTTED,
    DOWN_SOFT,
    UP_SOFT,
    Columns,
    Curve,
    Overlay,
    Study,
    ValueText,
    overlays_of,
    studies_of,
)
from trading_assets.core.chart_text import text_width
from trading_assets.core.chart_words import (
    MARGIN_PX,
    NAMED,
    TITLE_PX,
    Entry,
    Words,
    colour_of,
    entry_of,
    rows_of,
    title_of,
    value_text,
    write_entries,
)
from trading_assets.core.charting import Picture
from trading_assets.core.panel import Floats

MOST_OVERLAYS, MOST_STUDIES = 10, 5
PAPER, STRIP, FRAME = "#ffffff", "#f3f5f8", "#aeb9c4"
GRID, YEAR, REFERENCE = "#e6ebf0", "#c3ccd5", "#93a1af"

_RIGHT = 1720
_LEGEND_PX, _STRIP_PX, _TIME_PX = 34, 32, 68
_STUDY_PX = (106, 142)
_PRICES_FRAC = 0.52
_TAG_PX, _LEADER_PX = 28, 18
_STUB_PX = 6
_LEAST_LEFT, _LEFT_STEP = 80, 16
_FEWEST_SLOTS = 16
_BAR_FRAC, _NARROW_BAR_PX = 0.66, 8


class Tag(NamedTuple):
    """A last value at the right edge."""

    value: float
    colour: str


class Slots(NamedTuple):
    """Where the bars stand, pixels, and how wide they are."""

    xs: Floats
    bar_px: float


def compose(picture: Picture, words: Words = NAMED) -> Scene:
    """Everything on the chart of *picture*, in its place.

    Args:
        words: How it speaks of what it shows.
    """
    overlays = overlays_of(picture)
    studies = studies_of(picture, words.volume_title, words.volume)
    omitted = len(overlays[MOST_OVERLAYS:]) + len(studies[MOST_STUDIES:])
    overlays, studies = overlays[:MOST_OVERLAYS], studies[:MOST_STUDIES]
    rows = _legend_rows(overlays, omitted)
    spans = _spans(TITLE_PX + len(rows) * _LEGEND_PX + 6, len(studies))
    panes = _panes(picture, overlays, studies, spans)
    scene = Scene(tuple(pane.rect for pane in panes), labels=title_of(picture, words))
    for number, row in enumerate(rows):
        middle = TITLE_PX + number * _LEGEND_PX + _LEGEND_PX // 2 - 4
        write_entries(scene, row, MARGIN_PX, middle)
    slots = _slots(len(picture.close), panes[0].rect)
    _bands(scene, overlays, panes[0], slots)
    _time_axis(scene, picture, words, slots)
    _prices(scene, picture, overlays, panes[0], slots)
    for study, pane in zip(studies, panes[1:], strict=True):
        _study(scene, study, pane, slots)
    _frames(scene)
    return scene


def _legend_rows(overlays: Sequence[Overlay], omitted: int) -> list[list[Entry]]:
    entries = [entry_of(c, price_text) for o in overlays for c in o.curves if c.name]
    if omitted:
        entries.append(Entry(f"{omitted} more not drawn", ""))
    return rows_of(entries, MARGIN_PX, WIDTH_PX - MARGIN_PX)


def _spans(top: int, studies: int) -> list[tuple[int, int]]:
    """From where to where prices and each of the *studies* are plotted, from *top* down."""
    bottom = HEIGHT_PX - _TIME_PX
    share = (1 - _PRICES_FRAC) * (bottom - top) / max(studies, 1)
    each = round(min(max(share, _STUDY_PX[0]), _STUDY_PX[1]))
    starts = [bottom - (studies - number) * each for number in range(studies + 1)]
    return [(top, starts[0]), *((at + _STRIP_PX, at + each) for at in starts[:-1])]


def _panes(
    picture: Picture,
    overlays: Sequence[Overlay],
    studies: Sequence[Study],
    spans: Sequence[tuple[int, int]],
) -> list[Pane]:
    """Panes as wide as the longest text of their scales allows."""
    heights = [bottom - top for top, bottom in spans]
    scales = [price_scale(picture, overlays, heights[0])]
    scales += [study_scale(s, px) for s, px in zip(studies, heights[1:], strict=True)]
    widest = max(text_width(text, TEXT_PX) for scale in scales for text in scale.texts)
    steps = -(-(widest + 2 * _STUB_PX + 6 - _LEAST_LEFT) // _LEFT_STEP)
    left = _LEAST_LEFT + max(steps, 0) * _LEFT_STEP
    rects = (Rect(left, top, _RIGHT, bottom) for top, bottom in spans)
    return [Pane(rect, scale) for rect, scale in zip(rects, scales, strict=True)]


def _slots(count: int, rect: Rect) -> Slots:
    """Bars end at the right edge; a short history leaves the left side empty."""
    step = (rect.right - rect.left) / max(count, _FEWEST_SLOTS)
    xs = rect.right - (np.arange(count, dtype=np.float64)[::-1] + 0.5) * step
    return Slots(xs, max(_BAR_FRAC * step, 1.0))


def _strip_above(rect: Rect) -> Rect:
    return Rect(rect.left, rect.top - _STRIP_PX, rect.right, rect.top)


def _frames(scene: Scene) -> None:
    """Outlines of all panes, and the ground on which studies are named."""
    strips = [_strip_above(rect) for rect in scene.panes[1:]]
    if strips:
        edges = np.array(strips, dtype=np.float64).T
        scene.marks.insert(0, Shapes(rects_of(*edges), STRIP))
    left, top, right, bottom = np.array([*scene.panes, *strips], dtype=np.float64).T
    edges = (
        rects_of(left - 1, top - 1, right + 1, top),
        rects_of(left - 1, bottom, right + 1, bottom + 1),
        rects_of(left - 1, top, left, bottom),
        rects_of(right, top, right + 1, bottom),
    )
    scene.marks.append(Shapes(np.concatenate(edges), FRAME))


def _time_axis(scene: Scene, picture: Picture, words: Words, slots: Slots) -> None:
    """Days or months and, below them, years; with lines through all panes."""
    bottom = HEIGHT_PX - _TIME_PX
    days, years = words.ticks(picture, slots.xs, (_STUB_PX, WIDTH_PX - _STUB_PX))
    for tick in days:
        scene.labels.append(Label(tick.text, tick.text_left, bottom + 22))
    for tick in years:
        scene.labels.append(Label(tick.text, tick.text_left, bottom + 48, is_bold=True))
    _verticals(scene, days, GRID)
    _verticals(scene, [tick for tick in years if tick.x > slots.xs[0]], YEAR)


def _verticals(scene: Scene, ticks: Sequence[TimeTick], colour: str) -> None:
    """Lines at *ticks* through every pane, and a stub below the last."""
    xs = np.array([round(tick.x) for tick in ticks], dtype=np.float64)
    spans = [(rect.top, rect.bottom) for rect in scene.panes]
    lines = [rects_of(xs, xs * 0 + top, xs + 1, xs * 0 + bottom) for top, bottom in spans]
    foot = xs * 0 + scene.panes[-1].bottom
    scene.marks.append(Shapes(np.concatenate(lines), colour))
    scene.marks.append(Shapes(rects_of(xs, foot, xs + 1, foot + _STUB_PX), REFERENCE))


def _prices(
    scene: Scene, picture: Picture, overlays: Sequence[Overlay], pane: Pane, slots: Slots
) -> None:
    """Candles, the lines over them, and the last prices."""
    close = float(picture.close[-1])
    colour = colour_of(rises=close > picture.open[-1])
    curves = [curve for overlay in overlays for curve in overlay.curves]
    _scale(scene, pane)
    _across(scene, pane, close, colour)
    scene.marks.append(_candles(picture, pane, slots))
    scene.marks.extend(_line(curve, pane, slots) for curve in curves)
    tags = [Tag(curve.last, curve.colour) for curve in curves if curve.is_tagged]
    _tags(scene, pane, [Tag(close, colour), *tags], price_text, pane.rect)


def _bands(scene: Scene, overlays: Sequence[Overlay], pane: Pane, slots: Slots) -> None:
    for band in (overlay.band for overlay in overlays):
        if band is None:
            continue
        known = np.isfinite(band.lower) & np.isfinite(band.upper)
        xs = slots.xs[known]
        ys = np.r_[pane.y(band.upper[known]), pane.y(band.lower[known])[::-1]]
        outline = np.column_stack([np.r_[xs, xs[::-1]], ys])
        scene.marks.append(Shapes(outline[np.newaxis], BAND_FILL, pane.rect))


def _scale(scene: Scene, pane: Pane) -> None:
    """Lines at the ticks, and their texts left of the pane."""
    rect = pane.rect
    ys = np.round(pane.y(pane.scale.ticks))
    lines = rects_of(ys * 0 + rect.left, ys, ys * 0 + rect.right, ys + 1)
    stubs = rects_of(ys * 0 + rect.left - _STUB_PX, ys, ys * 0 + rect.left, ys + 1)
    scene.marks.append(Shapes(lines, GRID, rect))
    scene.marks.append(Shapes(stubs, REFERENCE))
    for y, text in zip(ys, pane.scale.texts, strict=True):
        left = round(rect.left) - 2 * _STUB_PX - text_width(text, TEXT_PX)
        scene.labels.append(Label(text, left, int(y)))


def _across(scene: Scene, pane: Pane, value: float, colour: str) -> None:
    """A dotted line through the pane at *value*."""
    ys = np.full(2, np.round(pane.y_within(value)) + 0.5)
    xs = np.array([pane.rect.left, pane.rect.right], dtype=np.float64)
    scene.marks.append(Line(xs, ys, colour, 1.0, pane.rect, DOTTED))


def _candles(picture: Picture, pane: Pane, slots: Slots) -> Candles:
    return Candles(
        slots.xs,
        picture.open,
        picture.high,
        picture.low,
        picture.close,
        slots.bar_px,
        2.0 if slots.bar_px > _NARROW_BAR_PX else 1.0,
        pane.px_per_unit,
        pane.rect.bottom + pane.scale.low * pane.px_per_unit,
        pane.rect,
    )


def _line(curve: Curve, pane: Pane, slots: Slots) -> Line:
    ys = pane.y(curve.values)
    return Line(slots.xs, ys, curve.colour, curve.width_px, pane.rect, curve.dash)


def _study(scene: Scene, study: Study, pane: Pane, slots: Slots) -> None:
    """A pane below the prices: its name and last values, scale, bars and lines."""
    _scale(scene, pane)
    for reference in study.references:
        _across(scene, pane, reference, REFERENCE)
    if study.columns is not None:
        _columns(scene, study.columns, pane, slots)
    scene.marks.extend(_line(curve, pane, slots) for curve in study.curves)
    strip = _strip_above(pane.rect)
    _strip_words(scene, study, strip)
    room = Rect(strip.left, strip.top, strip.right, pane.rect.bottom)
    _tags(scene, pane, _study_tags(study), study.text, room)


def _columns(scene: Scene, columns: Columns, pane: Pane, slots: Slots) -> None:
    left = np.round(slots.xs - slots.bar_px / 2)
    right = np.maximum(np.round(slots.xs + slots.bar_px / 2), left + 1)
    ends, zero = np.round(pane.y(columns.values)), round(pane.y_within(0.0))
    outlines = rects_of(left, np.minimum(ends, zero), right, np.maximum(ends, zero))
    known = np.isfinite(columns.values)
    for chosen, colour in ((columns.is_up, UP_SOFT), (~columns.is_up, DOWN_SOFT)):
        scene.marks.append(Shapes(outlines[chosen & known], colour, pane.rect))


def _strip_words(scene: Scene, study: Study, strip: Rect) -> None:
    middle = round(strip.top + strip.height / 2)
    title = Label(study.title, round(strip.left) + 12, middle, is_bold=True)
    scene.labels.append(title)
    left = title.right + MARGIN_PX
    rows = rows_of(_study_entries(study), left, round(strip.right) - 12)
    # What does not fit into one row still has its tag.
    write_entries(scene, rows[0] if rows else [], left, middle)


def _study_entries(study: Study) -> list[Entry]:
    entries = [entry_of(curve, study.text) for curve in study.curves]
    if study.columns is None:
        return entries
    tag, name = _column_tag(study.columns), study.columns.name
    own = Entry(name, value_text(tag.value, study.text), tag.colour, is_line=False)
    # What bears the pane's own name comes first.
    return [*entries, own] if name else [own, *entries]


def _study_tags(study: Study) -> list[Tag]:
    tags = [Tag(curve.last, curve.colour) for curve in study.curves]
    return tags if study.columns is None else [*tags, _column_tag(study.columns)]


def _column_tag(columns: Columns) -> Tag:
    return Tag(float(columns.values[-1]), colour_of(rises=bool(columns.is_up[-1])))


def _tags(
    scene: Scene, pane: Pane, tags: Sequence[Tag], text: ValueText, room: Rect
) -> None:
    """Last values at the right edge, each as near to its height as they fit apart."""
    known = [tag for tag in tags if np.isfinite(tag.value)]
    known = known[: int(room.height // _TAG_PX)]
    wanted = [pane.y_within(tag.value) for tag in known]
    middles = spread(wanted, _TAG_PX, round(room.top), round(room.bottom))
    for tag, y, middle in zip(known, wanted, middles, strict=True):
        _tag(
            scene,
            tag.colour,
            y,
            Label(
                _tag_text(tag.value, pane.scale, text),
                _RIGHT + _LEADER_PX + 12,
                middle,
                colour=PAPER,
                is_bold=True,
            ),
        )


def _tag_text(value: float, scale: Scale, text: ValueText) -> str:
    if value > scale.high:
        return f"▲ {text(value)}"
    return f"▼ {text(value)}" if value < scale.low else text(value)


def _tag(scene: Scene, colour: str, y: float, label: Label) -> None:
    """*label* on a flag of *colour*, tied to the edge of the pane at *y*."""
    left, right = _RIGHT + _LEADER_PX, label.right + 8
    top, bottom = label.middle - _TAG_PX // 2 + 1, label.middle + _TAG_PX // 2 - 1
    corners = [(left, label.middle), (left + 9, top), (right, top)]
    corners += [(right, bottom), (left + 9, bottom)]
    scene.marks.append(Shapes(np.array([corners], dtype=np.float64), colour))
    xs = np.array([_RIGHT + 1, left + 2], dtype=np.float64)
    ys = np.array([y, label.middle], dtype=np.float64)
    scene.marks.append(Line(xs, ys, colour, 1.5))
    scene.labels.append(label)
