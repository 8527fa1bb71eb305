"""How each indicator is shown: over the prices, or in a pane of its own, and in what.

Colours tell up from down also for people who see no difference between red and green,
and carry white text.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from trading_assets.core.chart_axes import compact_text, number_text
from trading_assets.core.charting import Picture
from trading_assets.core.panel import Floats

UP, DOWN = "#0f9188", "#bf3420"
UP_SOFT, DOWN_SOFT = "#a3d9d3", "#e59382"
BLUE, ORANGE, PURPLE, SLATE = "#2060d0", "#b35900", "#7d3cb5", "#566573"
OVERLAY_COLOURS = (BLUE, ORANGE, PURPLE, "#b3246b", "#6b4a1c", "#2f7d32", "#444f9e")
BAND_FILL = "#eef2f6"

BANDS = frozenset({"bb", "kc", "donchian", "accbands"})
"""Kinds whose columns are a lower, a middle and an upper price."""

_AVERAGES = (
    *("sma", "ema", "wma", "hma", "dema", "tema", "trima", "kama", "alma", "zlma", "vwma"),
    *("rma", "swma", "t3", "jma", "mcgd", "sinwma", "pwma", "fwma", "linreg", "vidya"),
)
_LEVELS = (
    *("midpoint", "midprice", "hl2", "hlc3", "ohlc4", "wcp", "highest", "lowest"),
    *("supertrend", "psar", "hilo", "ssf", "ht_trendline"),
)
OVERLAID = BANDS.union(_AVERAGES, _LEVELS)
"""Kinds that are prices, and lie over the candles."""

LEADING_PRICES = {"psar": 2, "hilo": 1}
"""How many of a kind's columns are prices, where not all are."""

TITLES = {
    "bb": "Bollinger",
    "kc": "Keltner",
    "donchian": "Donchian",
    "supertrend": "SuperTrend",
    "accbands": "Acceleration",
    "volume": "Volume",
    "volume_sma": "SMA",
    "stoch": "Stochastic",
    "highest": "Highest",
    "lowest": "Lowest",
    "volatility": "Volatility",
}

ValueText = Callable[[float], str]
"""Writes a value for a person."""

DASHED, DOTTED = (8.0, 5.0), (2.0, 4.0)


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """A line through values, one per bar.

    Attributes:
        name: In the legend; empty for a line that has no entry of its own.
        is_tagged: Whether its last value is written at the right edge.
    """

    name: str
    values: Floats
    colour: str
    width_px: float = 2.4
    dash: tuple[float, ...] = ()
    is_tagged: bool = True

    @property
    def last(self) -> float:
        """Its value at the session; NaN while it warms up."""
        return float(self.values[-1])


@dataclass(frozen=True, slots=True, eq=False)
class Band:
    """The area between two curves."""

    lower: Floats
    upper: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """Bars that stand on zero.

    Attributes:
        is_up: Which of them have the colour of rising.
    """

    name: str
    values: Floats
    is_up: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Study:
    """A pane below the prices.

    Attributes:
        shown: What its scale always reaches to.
        references: Values with a dashed line across.
        ticks: Where its scale is labelled; empty for round numbers.
        text: How its values are written.
    """

    title: str
    curves: tuple[Curve, ...] = ()
    columns: Columns | None = None
    shown: tuple[float, ...] = ()
    references: tuple[float, ...] = ()
    ticks: tuple[float, ...] = ()
    text: ValueText = "{:.2f}".format


@dataclass(frozen=True, slots=True, eq=False)
class Overlay:
    """What one indicator puts over the prices."""

    title: str
    curves: tuple[Curve, ...]
    band: Band | None = None


def overlays_of(picture: Picture) -> list[Overlay]:
    """What lies over the prices, in the order asked."""
    colours = list(OVERLAY_COLOURS)
    found: list[Overlay] = []
    for name, series in picture.series.items():
        kind, title = kind_of(name), title_of(name)
        roles = _roles(name, series)
        if kind not in OVERLAID:
            continue
        if kind == "supertrend":
            found.append(_supertrend(title, roles))
        elif kind in BANDS:
            found.append(_banded(title, roles))
        else:
            colour = colours[sum(o.band is None for o in found) % len(colours)]
            found.append(_plain(title, roles, colour))
    return found


def _plain(title: str, roles: Mapping[str, Floats], colour: str) -> Overlay:
    names = (f"{title} {role}".strip() for role in roles)
    return Overlay(
        title,
        tuple(
            Curve(name, values, colour)
            for name, values in zip(names, roles.values(), strict=True)
        ),
    )


def _banded(title: str, roles: Mapping[str, Floats]) -> Overlay:
    edges = [
        Curve(f"{title} {role}", roles[role], SLATE, 1.8, DASHED)
        for role in ("upper", "lower")
    ]
    middle = Curve("", roles["middle"], SLATE, 1.8, DOTTED, is_tagged=False)
    return Overlay(title, (middle, *edges), Band(roles["lower"], roles["upper"]))


def _supertrend(title: str, roles: Mapping[str, Floats]) -> Overlay:
    values, direction = roles[""], roles["direction"]
    rises = direction > 0
    below = Curve("", np.where(rises, values, np.nan), UP, 2.8, is_tagged=False)
    above = Curve("", np.where(rises, np.nan, values), DOWN, 2.8, is_tagged=False)
    ahead, behind = (below, above) if rises[-1] else (above, below)
    return Overlay(title, (behind, replace(ahead, name=title, is_tagged=True)))


def studies_of(
    picture: Picture, volume_title: str = "Volume", volume_text: ValueText = compact_text
) -> list[Study]:
    """The panes below the prices, in the order asked; volume and its mean share one.

    Args:
        volume_title: What that one is called.
        volume_text: How its values are written.
    """
    panes: dict[str, Study] = {}
    for name, series in picture.series.items():
        kind = kind_of(name)
        if kind.startswith("volume"):
            panes.setdefault("volume", _volume(picture, volume_title, volume_text))
        elif kind not in OVERLAID:
            make = _STUDIES.get(kind, _lines)
            panes[name] = make(title_of(name), _roles(name, series))
    return list(panes.values())


def _volume(picture: Picture, title: str, text: ValueText) -> Study:
    means = [
        Curve(title_of(name), values, colour)
        for (name, series), colour in zip(
            ((n, s) for n, s in picture.series.items() if kind_of(n).startswith("volume_")),
            OVERLAY_COLOURS * len(picture.series),
            strict=False,
        )
        for values in series.values()
    ]
    columns = Columns("", picture.volume, picture.close > picture.open)
    return Study(title, tuple(means), columns, shown=(0.0,), text=text)


def _one_decimal(number: float) -> str:
    return f"{number:.1f}"


def _rsi(title: str, roles: Mapping[str, Floats]) -> Study:
    curves = tuple(Curve("", values, PURPLE) for values in roles.values())
    return Study(
        title,
        curves,
        shown=(18.0, 82.0),
        references=(30.0, 70.0),
        ticks=(30.0, 50.0, 70.0),
        text=_one_decimal,
    )


def _stochastic(title: str, roles: Mapping[str, Floats]) -> Study:
    return Study(
        title,
        _in_colours(roles),
        shown=(0.0, 100.0),
        references=(20.0, 80.0),
        ticks=(20.0, 50.0, 80.0),
        text=_one_decimal,
    )


def _macd(title: str, roles: Mapping[str, Floats]) -> Study:
    lines = (Curve("MACD", roles[""], BLUE), Curve("signal", roles["signal"], ORANGE))
    columns = Columns("histogram", roles["hist"], roles["hist"] > 0)
    return Study(
        title, lines, columns, shown=(0.0,), references=(0.0,), text=_text_for(roles)
    )


def _adx(title: str, roles: Mapping[str, Floats]) -> Study:
    return Study(
        title, _in_colours(roles), shown=(0.0, 30.0), references=(25.0,), text=_one_decimal
    )


def _lines(title: str, roles: Mapping[str, Floats]) -> Study:
    return Study(title, _in_colours(roles), text=_text_for(roles))


def _text_for(roles: Mapping[str, Floats]) -> ValueText:
    values = np.abs(np.concatenate(list(roles.values())))
    return number_text(float(values[np.isfinite(values)].max(initial=0.0)))


def _in_colours(roles: Mapping[str, Floats]) -> tuple[Curve, ...]:
    colours = OVERLAY_COLOURS * len(roles)
    return tuple(
        Curve(role if len(roles) > 1 else "", values, colour)
        for (role, values), colour in zip(roles.items(), colours, strict=False)
    )


_STUDIES: Mapping[str, Callable[[str, Mapping[str, Floats]], Study]] = {
    "rsi": _rsi,
    "stoch": _stochastic,
    "macd": _macd,
    "adx": _adx,
}


def kind_of(name: str) -> str:
    """An indicator's name without its numbers: ``volume_sma`` of ``volume_sma_20``."""
    return re.sub(r"(_\d+(\.\d+)?)+$", "", name)


def title_of(name: str) -> str:
    """An indicator's name as people write it: ``MACD 12, 26, 9``."""
    kind = kind_of(name)
    words = TITLES.get(kind) or kind.replace("_", " ").upper()
    return f"{words} {name.removeprefix(kind)[1:].replace('_', ', ')}".strip()


def _roles(name: str, series: Mapping[str, Floats]) -> dict[str, Floats]:
    """The columns of an indicator by what sets them apart: "" for the one of its name."""
    kind = kind_of(name)
    if kind in BANDS:
        return dict(zip(("lower", "middle", "upper"), series.values(), strict=True))
    roles = {
        re.sub(r"(_\d+(p\d+)?)+$", "", column).removeprefix(kind): values
        for column, values in series.items()
    }
    # Where only the numbers differ, the columns' own names tell them apart.
    told = roles if len(roles) == len(series) else series
    named = {role.replace("_", " ").strip(): values for role, values in told.items()}
    return dict(islice(named.items(), LEADING_PRICES.get(kind)))
