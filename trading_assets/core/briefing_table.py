"""The numbers of a briefing, written out: what a model need not read from a picture.

Every number is one of the pictures' own. Decimals follow from how large the numbers of a
column are, so the same pictures always give the same text.
"""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from trading_assets.core.chart_axes import compact_text, offset_text
from trading_assets.core.chart_blind import PREFIXES
from trading_assets.core.chart_studies import OVERLAID, kind_of
from trading_assets.core.charting import VOLUME, Picture
from trading_assets.core.panel import Floats

WEEKLY_ROWS = 12
"""How many of the last weekly bars are in the table."""

MISSING = "n/a"
"""What is written for a value that is still warming up."""

_DIGITS = 4
_LARGEST_PLAIN = 1e6
_SMALLEST_PLAIN = 1e-4
_FEWEST_DECIMALS = 2

type NumberText = Callable[[float], str]


def table_of(daily: Picture, weekly: Picture, rows: int, *, is_blind: bool) -> str:
    """Latest values, the last *rows* daily bars and the last weekly ones, as text.

    Args:
        is_blind: Whether bars are counted back instead of dated; the pictures are then
            those of a blind briefing.
    """
    sheets = [_Sheet(daily, is_blind=is_blind), _Sheet(weekly, is_blind=is_blind)]
    parts = [
        "\n".join(["LATEST VALUES", *_latest(*sheets)]),
        "\n".join(["DAILY BARS, oldest first", *sheets[0].lines(rows)]),
        "\n".join(["WEEKLY BARS, oldest first", *sheets[1].lines(WEEKLY_ROWS)]),
    ]
    text = "\n\n".join(parts)
    if MISSING in text:
        text += f"\n\n{MISSING}: not known yet, as there are too few bars before it."
    return f"{text}\n"


class _Sheet:
    """A picture as rows of text."""

    def __init__(self, picture: Picture, *, is_blind: bool) -> None:
        self._picture = picture
        self._is_blind = is_blind
        self.price = _price_text(float(picture.close[-1]))

    def lines(self, rows: int) -> Iterator[str]:
        """Names of the columns, then one line for each of the last *rows* bars."""
        columns = {name: self._texts(name, values, rows) for name, values in self._columns}
        yield ",".join(["bar", *columns])
        bars = [self.bar(at) for at in range(len(self._picture.close))][-rows:]
        yield from map(",".join, zip(bars, *columns.values(), strict=True))

    @property
    def _columns(self) -> Iterator[tuple[str, Floats]]:
        for field in ("open", "high", "low", "close", VOLUME):
            yield field, getattr(self._picture, field)
        for name, series in self._picture.series.items():
            if name != VOLUME:
                yield from series.items()

    def bar(self, at: int) -> str:
        """What the bar number *at* is called."""
        if self._is_blind:
            back = len(self._picture.close) - 1 - at
            return offset_text(PREFIXES[self._picture.timeframe], back)
        return str(self._picture.sessions[at])

    def _texts(self, column: str, values: Floats, rows: int) -> list[str]:
        shown = values[-rows:]
        text = self._text_for(column, shown)
        return [text(float(value)) if np.isfinite(value) else MISSING for value in shown]

    def _text_for(self, column: str, shown: Floats) -> NumberText:
        if column in {"open", "high", "low", "close"} or self.is_price(column):
            return self.price
        if column == VOLUME and not self._is_blind:
            return compact_text
        known = np.abs(shown[np.isfinite(shown)])
        return _plain_text(float(known.max(initial=0.0)))

    def is_price(self, column: str) -> bool:
        """Whether the values of an indicator's *column* are prices."""
        owner = (n for n, series in self._picture.series.items() if column in series)
        kind = kind_of(next(owner, ""))
        return kind in OVERLAID and "direction" not in column

    def extremes(self, unit: str) -> str:
        """Highest high and lowest low, and where between them the last close lies."""
        high, low = self._picture.high, self._picture.low
        top, bottom = int(np.argmax(high)), int(np.argmin(low))
        span = float(high[top] - low[bottom])
        above = float(self._picture.close[-1] - low[bottom])
        place = f"{100 * above / span:.0f} %" if span else MISSING
        return (
            f"{len(high)} {unit}: highest high {self.price(float(high[top]))} at "
            f"{self.bar(top)}, lowest low {self.price(float(low[bottom]))} at "
            f"{self.bar(bottom)}, last close at {place} of the range"
        )


def _latest(daily: _Sheet, weekly: _Sheet) -> Iterator[str]:
    picture = daily._picture  # noqa: SLF001 - the same module's
    close = float(picture.close[-1])
    change = close / float(picture.close[-2]) - 1
    yield f"close {daily.price(close)}, {100 * change:+.2f} % on the day before"
    yield daily.extremes("days")
    yield weekly.extremes("weeks")
    for series in picture.series.values():
        for column, values in series.items():
            yield _against(daily, column, float(values[-1]), close)


def _against(sheet: _Sheet, column: str, value: float, close: float) -> str:
    """The last value of *column*; a price with its distance from the *close*."""
    (text,) = sheet._texts(column, np.array([value]), 1)  # noqa: SLF001 - as above
    if np.isfinite(value) and sheet.is_price(column):
        return f"{column} {text}, {100 * (value / close - 1):+.2f} % from the close"
    if np.isfinite(value) and column.startswith("atr_"):
        return f"{column} {text}, {100 * value / close:.2f} % of the close"
    return f"{column} {text}"


def _price_text(close: float) -> NumberText:
    """Prices with at least four digits, and two decimals, of the *close*."""
    decimals = _DIGITS - 1 - int(np.floor(np.log10(close)))
    return partial(_fixed, decimals=max(decimals, _FEWEST_DECIMALS))


def _plain_text(largest: float) -> NumberText:
    """Numbers up to *largest* in size, four digits of which are written."""
    if largest >= _LARGEST_PLAIN:
        return compact_text
    if 0 < largest < _SMALLEST_PLAIN:
        return "{:.3e}".format
    decimals = _DIGITS - 1 - int(np.floor(np.log10(largest))) if largest else 2
    return partial(_fixed, decimals=max(decimals, 0))


def _fixed(number: float, decimals: int) -> str:
    # Adding zero turns a negative zero into a plain one.
    return f"{round(number, decimals) + 0.0:.{decimals}f}"
