"""How a chart speaks that gives nothing away: no name, no source, no date.

What it draws has to be rebased already: these words leave the prices as they are.
"""

from trading_assets.core.chart_axes import (
    TimeTick,
    compact_text,
    offset_text,
    offset_ticks,
)
from trading_assets.core.chart_words import Words, plain_width
from trading_assets.core.charting import Picture
from trading_assets.core.panel import Floats
from trading_assets.models.chart import Timeframe

PREFIXES = {Timeframe.DAILY: "t", Timeframe.WEEKLY: "w"}
"""What bars are called by, counted back from the last: ``t-5`` a day, ``w-5`` a week."""

_LONGEST_MULTIPLE = 1000.0


def multiple_text(number: float) -> str:
    """A volume as a multiple of its mean: ``×1.25``."""  # noqa: RUF002 - the sign is meant
    plain = f"{number:.2f}" if number < _LONGEST_MULTIPLE else compact_text(number)
    return f"×{plain}"  # noqa: RUF001 - as above


def _span(picture: Picture) -> str:
    prefix = PREFIXES[picture.timeframe]
    return f"{offset_text(prefix, len(picture.close) - 1)} to {prefix}0"


def _offsets(
    picture: Picture, xs: Floats, room: tuple[int, int]
) -> tuple[list[TimeTick], list[TimeTick]]:
    return offset_ticks(PREFIXES[picture.timeframe], xs, plain_width, room), []


BLIND = Words(
    name=lambda picture: picture.timeframe.value.capitalize(),
    when=_span,
    source=lambda _: "100 = close of t0",
    ticks=_offsets,
    volume=multiple_text,
    volume_title="Volume / its mean",
)
"""By bars counted back from the last."""
