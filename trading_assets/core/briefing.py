"""What an analyst that asks a model is told: one symbol at one session's close.

Two charts and a table of numbers come from the same two pictures, so they can't disagree,
and nothing in them is later than that close.
A blind briefing has no name, no date and no price level: bars are counted back from the
last, prices are hundredths of its close, volumes multiples of their mean. Indicators are
computed from the rebased bars, warm-up included: RSI and its like come out as they were,
MACD and ATR in the new scale, and nothing has to know which is which.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property
from typing import NamedTuple

import numpy as np

from trading_assets.core.briefing_table import table_of
from trading_assets.core.charting import (
    Picture,
    bars_for_chart,
    bars_of_chart,
    picture_from,
)
from trading_assets.core.panel import Floats, Panel
from trading_assets.models.chart import Timeframe
from trading_assets.models.question import Image
from trading_assets.strategies.spec import Charts, ModelAnalyst, Sight

BRIEFING_VERSION = "1"
"""Changes when the same bars are told in another way."""

BLIND_SYMBOL = "STOCK"
"""What every symbol is called in a blind briefing."""

BASE = 100.0
"""What the session's close is in a blind briefing."""

ATR = "atr_14"
"""Always in the table: stops are judged by it."""


class Finding(NamedTuple):
    """What a tool of one of the analysts' roles says of the symbol at the session."""

    role: str
    tool: str
    text: str


@dataclass(frozen=True, eq=False)
class Briefing:
    """What is known of one symbol at one session's close, in the words for a model.

    Attributes:
        symbol: Whose bars they are; in a blind briefing it is not told.
        session: At whose close; as above.
        close: Of that session, currency per share.
        is_blind: Whether name, dates and price levels were taken out.
        sees: What is shown of it.
        table_bars: How many of the last daily bars are in the table.
        drawn: Names of the indicators on the charts; the pictures have `ATR` as well.
        findings: Of tools, each told to one role only; never in a blind briefing.
    """

    symbol: str
    session: date
    close: float
    is_blind: bool
    sees: tuple[Sight, ...]
    table_bars: int
    drawn: tuple[str, ...]
    daily: Picture
    weekly: Picture
    findings: tuple[Finding, ...] = ()

    @property
    def charts_shown(self) -> bool:
        """Whether the charts are part of what is told."""
        return Sight.CHARTS in self.sees

    @property
    def label(self) -> str:
        """What the symbol is called in it, and has to be called in a reply."""
        return BLIND_SYMBOL if self.is_blind else self.symbol

    @property
    def last_close(self) -> float:
        """The session's close in the scale of the briefing."""
        return float(self.daily.close[-1])

    @property
    def atr(self) -> float | None:
        """Average true range of 14 days in that scale; None while it warms up."""
        last = float(self.daily.series[ATR][ATR][-1])
        return last if np.isfinite(last) else None

    def traded(self, level: float) -> float:
        """A price of the briefing in currency per share, not rounded."""
        return level * self.close / BASE if self.is_blind else level

    @cached_property
    def charts(self) -> tuple[Image, ...]:
        """Both charts as they are sent, if they are; drawn once."""
        if not self.charts_shown:
            return ()
        return (
            self._chart("Daily chart", self.daily),
            self._chart("Weekly chart", self.weekly),
        )

    @cached_property
    def table(self) -> str:
        """The numbers, if they are shown; empty if not."""
        if Sight.TABLE not in self.sees:
            return ""
        return table_of(self.daily, self.weekly, self.table_bars, is_blind=self.is_blind)

    @property
    def table_hash(self) -> str:
        """Of `table`; empty without one."""
        return hashlib.sha256(self.table.encode()).hexdigest() if self.table else ""

    @cached_property
    def content_hash(self) -> str:
        """Of all that is told, and of the scale that levels are brought back to.

        Nothing is drawn for it: equal pictures are equal bytes.
        """
        told = (
            BRIEFING_VERSION,
            self.is_blind,
            self.close,
            *self.sees,
            self.table,
            self._drawn(self.daily).content_hash,
            self._drawn(self.weekly).content_hash,
            *self.findings,
        )
        return hashlib.sha256("|".join(map(str, told)).encode()).hexdigest()

    def _chart(self, label: str, picture: Picture) -> Image:
        # Imported late: who only reads the numbers needs no canvas.
        from trading_assets.core.chart_blind import BLIND  # noqa: PLC0415
        from trading_assets.core.chart_canvas import draw_to_send  # noqa: PLC0415
        from trading_assets.core.chart_words import NAMED  # noqa: PLC0415

        words = BLIND if self.is_blind else NAMED
        return Image(label, draw_to_send(self._drawn(picture), words))

    def _drawn(self, picture: Picture) -> Picture:
        """*picture* without what is in the table only."""
        return replace(picture, series={name: picture.series[name] for name in self.drawn})


def bars_for_briefing(charts: Charts) -> int:
    """How many of a symbol's own daily bars, up to its session, a briefing is made from.

    Raises:
        InvalidIndicator: One of those on the charts is not known.
    """
    names = _with_atr(charts.indicators)
    return max(
        bars_for_chart(Timeframe.DAILY, charts.daily_sessions, names),
        bars_for_chart(Timeframe.WEEKLY, charts.weekly_weeks, names),
    )


def shortage(panel: Panel, at: int, last: int, charts: Charts) -> str:
    """Why there is no briefing yet, in a sentence; empty when there is.

    A daily chart that is not full is too little to ask a model about: it would be paid
    for saying so.

    Args:
        at: Number of the symbol in *panel*.
        last: Where the session's bar lies in *panel*.
    """
    own = last + 1 - panel.rows(at).start
    if own >= charts.daily_sessions:
        return ""
    return f"Too few bars yet: {own} of the {charts.daily_sessions} on the daily chart"


def briefing_of(
    panel: Panel, at: int, last: int, charts: Charts, analyst: ModelAnalyst, source: str
) -> Briefing:
    """What *analyst* is told of one symbol at the close of one session.

    Args:
        panel: With `bars_for_briefing` bars up to *last*, as far as there are so many;
            more of them, and later ones, change nothing.
        at: Number of the symbol in *panel*.
        last: Where the session's bar lies in *panel*.
        source: Where the bars came from, as stored.

    Raises:
        InvalidIndicator: One of those on the charts is not known.
        ValueError: *last* is not one of the symbol's bars, or the first of them.
    """
    daily, weekly = (
        _picture(panel, at, last, timeframe, count, charts.indicators, analyst, source)
        for timeframe, count in (
            (Timeframe.DAILY, charts.daily_sessions),
            (Timeframe.WEEKLY, charts.weekly_weeks),
        )
    )
    return Briefing(
        symbol=panel.symbols[at],
        session=panel.sessions[last].item(),
        close=float(panel.close[last]),
        is_blind=analyst.blind,
        sees=analyst.sees,
        table_bars=min(analyst.table_bars, len(daily.close)),
        drawn=tuple(dict.fromkeys(charts.indicators)),
        daily=daily,
        weekly=weekly,
    )


def _picture(
    panel: Panel,
    at: int,
    last: int,
    timeframe: Timeframe,
    count: int,
    indicators: Sequence[str],
    analyst: ModelAnalyst,
    source: str,
) -> Picture:
    names = _with_atr(indicators)
    bars = bars_of_chart(panel, at, last, timeframe, count, names)
    if analyst.blind:
        return picture_from(anonymous(bars, count), timeframe, count, names, "")
    return picture_from(bars, timeframe, count, names, source)


def anonymous(bars: Panel, count: int) -> Panel:
    """*bars* of one symbol without what would tell which, and when.

    Prices are in hundredths of the last close, volumes in multiples of their mean over the
    last *count* bars, and sessions only count. Each value is rounded to 24 bits, so that
    bars which differ by a factor are the same to the last bit: indicators are computed
    from what is shown, and a division leaves no trace of the price that was divided by.
    """
    mean = float(bars.volume[-count:].mean())
    prices = dict(_rebased(bars, BASE / float(bars.close[-1])))
    days = np.arange(len(bars.sessions)).astype("datetime64[D]")
    return replace(
        bars,
        symbols=(BLIND_SYMBOL,),
        sessions=days,
        **prices,
        # A mean of nothing leaves nothing to be a multiple of.
        volume=_coarse(bars.volume / mean if mean else bars.volume),
    )


def _rebased(bars: Panel, factor: float) -> Iterator[tuple[str, Floats]]:
    for field in ("open", "high", "low", "close"):
        yield field, _coarse(getattr(bars, field) * factor)


def _coarse(values: Floats) -> Floats:
    return values.astype(np.float32).astype(np.float64)


def _with_atr(indicators: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys([*indicators, ATR]))
