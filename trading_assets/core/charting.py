"""What is on a chart: the bars of a window in the scale of its session, and indicators.

A chart of session D knows nothing after D's close, and is a function of a fixed number
of the symbol's own bars up to D: the same bytes come out however many more were loaded.
(So what never forgets its start, as OBV, begins with those bars; its shape is the same.)
Where things go on it is `chart_scene`'s business, how they are painted `chart_canvas`'s.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np

from trading_assets.core.panel import Days, Floats, Panel
from trading_assets.models.chart import Timeframe

CHART_VERSION = "1"
"""Changes when the same inputs give another picture."""

WARM_UP_BARS = 500
"""Bars before the first one drawn on a daily chart: recursive indicators have settled."""

WARM_UP_WEEKS = 304
"""The same on a weekly chart: RSI 14 is within 1e-9 of its full history."""

SESSIONS_PER_WEEK = 5

VOLUME = "volume"
"""Asked for like an indicator, but a bar has it."""


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """Everything that a chart shows, oldest first.

    Attributes:
        session: The session whose close is the last thing known.
        source: Where the bars came from, as stored.
        sessions: The last session in each bar.
        open: Currency per share in the scale of *session*; so are high, low and close.
        volume: Shares in that scale.
        series: Per indicator in the order asked, its columns, aligned with the bars.
    """

    symbol: str
    timeframe: Timeframe
    session: date
    source: str
    sessions: Days
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    series: Mapping[str, Mapping[str, Floats]]

    @property
    def content_hash(self) -> str:
        """Of everything that is drawn, and of how: equal hashes are equal pictures."""
        head = (CHART_VERSION, self.symbol, self.timeframe, self.session, self.source)
        content = hashlib.blake2b("|".join(map(str, head)).encode(), digest_size=16)
        for bars in (self.open, self.high, self.low, self.close, self.volume):
            content.update(np.ascontiguousarray(bars).tobytes())
        content.update(self.sessions.astype("datetime64[D]").tobytes())
        for name, columns in self.series.items():
            for column, values in columns.items():
                content.update(f"|{name}|{column}|".encode())
                content.update(np.ascontiguousarray(values).tobytes())
        return content.hexdigest()


def bars_for_chart(timeframe: Timeframe, count: int, indicators: Sequence[str]) -> int:
    """How many of a symbol's own daily bars, up to its session, a chart is made from.

    Args:
        count: Bars drawn, at least 2.
        indicators: Names of what is drawn over and below them; ``volume`` is one.

    Raises:
        InvalidIndicator: One of them is not known.
        ValueError: *count* is below 2.
    """
    # Imported late: who only asks for `CHART_VERSION` needs no indicator engine.
    from trading_assets.core.indicators import parse_indicator  # noqa: PLC0415

    if count < 2:  # noqa: PLR2004  # one candle is no chart
        raise ValueError(f"a chart shows at least 2 bars, was asked for {count}")
    if timeframe is Timeframe.DAILY:
        windows = [parse_indicator(name).window or 0 for name in _computed(indicators)]
        return count + max([WARM_UP_BARS, *windows])
    # Recursive ones would ask for more weeks than most markets have: their lengths do.
    lengths = [int(length) for name in indicators for length in re.findall(r"\d+", name)]
    # The oldest week may be cut, and is then left out.
    return (count + max([WARM_UP_WEEKS, *lengths]) + 1) * SESSIONS_PER_WEEK


def picture_of(
    panel: Panel,
    at: int,
    last: int,
    timeframe: Timeframe,
    count: int,
    indicators: Sequence[str],
    source: str,
) -> Picture:
    """What the chart of one symbol shows at the close of one session.

    With less history than asked for, it shows what there is.

    Args:
        at: Number of the symbol in *panel*.
        last: Where the session's bar lies in *panel*; later bars are not looked at.
        count: Bars to show, at least 2.
        indicators: Names of what is drawn over and below them; ``volume`` is one.
        source: Where the bars came from, as stored.

    Raises:
        InvalidIndicator: One of them is not known.
        ValueError: The symbol has fewer than 2 bars up to *last*, *last* is not one of
            its bars, or *count* is below 2.
    """
    bars = bars_of_chart(panel, at, last, timeframe, count, indicators)
    return picture_from(bars, timeframe, count, indicators, source)


def bars_of_chart(
    panel: Panel,
    at: int,
    last: int,
    timeframe: Timeframe,
    count: int,
    indicators: Sequence[str],
) -> Panel:
    """The bars that a chart is made from, oldest first: those shown, and what warms up.

    Args:
        at: As in `picture_of`, as are the others.

    Returns:
        Days or weeks of the one symbol, in the scale of the bar *last*.

    Raises:
        InvalidIndicator: As in `picture_of`, and so with ``ValueError``.
    """
    needed = bars_for_chart(timeframe, count, indicators)
    rows = _rows_up_to(panel, at, last, needed)
    bars = as_known(panel, at, rows, last)
    if timeframe is Timeframe.WEEKLY:
        return weeks_of(bars, is_cut=rows.stop - rows.start == needed)
    return bars


def picture_from(
    bars: Panel, timeframe: Timeframe, count: int, indicators: Sequence[str], source: str
) -> Picture:
    """What a chart of the last *count* of *bars* shows; see `bars_of_chart`."""
    # Imported late, as above.
    from trading_assets.core.indicators import (  # noqa: PLC0415
        compute_indicators,
        parse_indicator,
    )

    values = compute_indicators(bars, _computed(indicators)) | {VOLUME: bars.volume}
    columns = {name: parse_indicator(name).columns for name in _computed(indicators)}
    columns[VOLUME] = (VOLUME,)
    return Picture(
        symbol=bars.symbols[0],
        timeframe=timeframe,
        session=bars.sessions[-1].item(),
        source=source,
        sessions=bars.sessions[-count:],
        open=bars.open[-count:],
        high=bars.high[-count:],
        low=bars.low[-count:],
        close=bars.close[-count:],
        volume=bars.volume[-count:],
        series={
            name: {column: values[column][-count:] for column in columns[name]}
            for name in dict.fromkeys(indicators)
        },
    )


def _computed(indicators: Sequence[str]) -> list[str]:
    """Those that are not part of a bar."""
    return [name for name in indicators if name != VOLUME]


def _rows_up_to(panel: Panel, at: int, last: int, needed: int) -> slice:
    own, symbol = panel.rows(at), panel.symbols[at]
    if not own.start <= last < own.stop:
        raise ValueError(
            f"chart of {symbol}: its bars are rows {own.start} to {own.stop - 1}, "
            f"row {last} is not one of them"
        )
    if last == own.start:
        raise ValueError(
            f"chart of {symbol} on {panel.sessions[last]}: at least 2 bars are needed, "
            "there is 1"
        )
    return slice(max(own.start, last + 1 - needed), last + 1)


def as_known(panel: Panel, at: int, rows: slice, last: int) -> Panel:
    """The bars in *rows* of the symbol number *at*, as somebody at *last* knows them.

    Args:
        last: Whose scale the prices and volumes are in.
    """
    return _one_symbol(panel.symbols[at], panel.sessions[rows], **panel.as_of(rows, last))


def weeks_of(bars: Panel, *, is_cut: bool = False) -> Panel:
    """ISO weeks of the *bars* of one symbol, all in one scale; the last may be partial.

    A week is known by its last session.

    Args:
        is_cut: Whether older bars exist: the oldest week may then lack some of its own,
            and is left out.
    """
    # Day 0 is a Thursday, so adding 3 makes weeks begin on Mondays.
    weeks = (bars.sessions.astype(np.int64) + 3) // 7
    starts = np.flatnonzero(np.r_[True, weeks[1:] != weeks[:-1]])
    if is_cut and len(starts) > 1:
        starts = starts[1:]
    ends = np.r_[starts[1:], len(weeks)] - 1
    return _one_symbol(
        bars.symbols[0],
        bars.sessions[ends],
        open=bars.open[starts],
        high=np.maximum.reduceat(bars.high, starts),
        low=np.minimum.reduceat(bars.low, starts),
        close=bars.close[ends],
        volume=np.add.reduceat(bars.volume, starts),
    )


def _one_symbol(symbol: str, sessions: Days, **fields: Floats) -> Panel:
    """A panel of bars that are in one scale already."""
    ones = np.ones(len(sessions))
    return Panel(
        symbols=(symbol,),
        offsets=np.array([0, len(sessions)]),
        sessions=sessions,
        price_ratio=ones,
        share_ratio=ones,
        **fields,
    )
