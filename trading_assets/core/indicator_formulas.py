"""The formulas of our own indicators, and which numbers each of them takes.

The arithmetic is TA-Lib's C code wherever it has the indicator; its averages of running
sums and its seeds are then part of the definition, and are named below.
"Seeded" says what an average that builds on its own last value starts from.
TA-Lib answers one missing bar with gaps to the end of history, so only complete, finite
bars enter.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from math import ceil, log, log1p, sqrt
from types import ModuleType

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from trading_assets.core.panel import Floats

SESSIONS_PER_YEAR = 252
RECURSIVE_WINDOW = 500
"""The least that we give to averages that build on their own last value."""

_FORGOTTEN = 1e-12
"""What is left of a seed after a window; a thousandth of what we promise."""


@cache
def _talib() -> ModuleType:
    # Whoever reads a strategy file needs the names in here, and not the arithmetic.
    import talib  # noqa: PLC0415 - as said

    return talib


@dataclass(frozen=True, slots=True)
class Lanes:
    """Stretches of bars, one after the other; each is computed as if it were alone.

    Attributes:
        offsets: Where each lane begins; one more than there are lanes.
        open: Currency per share, one per bar; so are high, low and close.
        volume: Shares.
    """

    offsets: NDArray[np.int64]
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats

    def slices(self) -> Iterator[slice]:
        """Where the bars of each lane lie."""
        edges = self.offsets.tolist()
        return (slice(*pair) for pair in pairwise(edges))


@dataclass(frozen=True, slots=True)
class Parameter:
    """A number that an indicator takes, both bounds included."""

    name: str
    lowest: float
    highest: float
    is_whole: bool = True

    @property
    def range(self) -> str:
        """What it may be, for a message."""
        kind = "a whole number" if self.is_whole else "a number"
        return f"{kind} from {self.lowest:g} to {self.highest:g}"

    def allows(self, number: float) -> bool:
        """Whether *number* may be given for it."""
        in_range = self.lowest <= number <= self.highest
        return in_range and (not self.is_whole or number == int(number))


@dataclass(frozen=True, slots=True)
class Formula:
    """An indicator of ours.

    Attributes:
        parameters: In the order of its name.
        stems: Names of its columns, before the parameters.
        first_value: Bars up to and including the first on which every column has a value.
        window: Bars after which the value is that of the full history; None if never.
        compute: One array per stem from lanes and parameters, NaN while warming up.
    """

    parameters: tuple[Parameter, ...]
    stems: tuple[str, ...]
    first_value: Callable[..., int]
    window: Callable[..., int | None]
    compute: Callable[..., tuple[Floats, ...]]

    def problem(self, numbers: tuple[float, ...]) -> str:
        """Why *numbers* may not be given; empty if they may."""
        if len(numbers) != len(self.parameters):
            allowed = ", ".join(f"{each.name} ({each.range})" for each in self.parameters)
            return f"it takes {allowed or 'no number'}, received {len(numbers)} numbers"
        for parameter, number in zip(self.parameters, numbers, strict=True):
            if not parameter.allows(number):
                return f"{parameter.name} must be {parameter.range}, was {number:g}"
        named = dict(zip((each.name for each in self.parameters), numbers, strict=True))
        if "slow" in named and named["fast"] >= named["slow"]:
            return f"fast must be below slow, was {named['fast']:g} and {named['slow']:g}"
        return ""


def format_number(number: float) -> str:
    """*number* as it stands in a column's name: 2, or 2p5 for 2.5."""
    return f"{number:.10f}".rstrip("0").rstrip(".").replace(".", "p")


def sma(lanes: Lanes, n: int) -> tuple[Floats, ...]:
    """Mean of the last *n* closes (TA-Lib SMA, a running sum)."""
    return _by_lane(lambda close: _talib().SMA(close, n), lanes, lanes.close)


def volume_sma(lanes: Lanes, n: int) -> tuple[Floats, ...]:
    """Mean of the last *n* volumes (TA-Lib SMA)."""
    return _by_lane(lambda volume: _talib().SMA(volume, n), lanes, lanes.volume)


def ema(lanes: Lanes, n: int) -> tuple[Floats, ...]:
    """Exponential mean of closes, weight 2/(n + 1), seeded with the first SMA (TA-Lib)."""
    return _by_lane(lambda close: _talib().EMA(close, n), lanes, lanes.close)


def rsi(lanes: Lanes, n: int) -> tuple[Floats, ...]:
    """Wilder's relative strength index, 0 to 100 (TA-Lib RSI).

    Gains and losses of the close are smoothed by 1/n, seeded with their means over the
    first *n* changes. A market that never moved has 0.
    """
    return _by_lane(lambda close: _talib().RSI(close, n), lanes, lanes.close)


def macd(lanes: Lanes, fast: int, slow: int, signal: int) -> tuple[Floats, ...]:
    """EMA(fast) less EMA(slow); its EMA(signal); the difference of the two (TA-Lib MACD).

    Each is seeded with the mean of its own first values. TA-Lib lets both averages of
    the close begin on the bar *slow*, so the fast one is seeded with the *fast* closes
    up to there. Nothing is given before the signal is there.
    """
    return _by_lane(
        lambda close: _talib().MACD(close, fast, slow, signal), lanes, lanes.close
    )


def bollinger(lanes: Lanes, n: int, width: float) -> tuple[Floats, ...]:
    """SMA(n) less and plus *width* deviations of the last *n* closes: lower, middle, upper.

    The deviation is that of the population (ddof 0), as Bollinger defined it (TA-Lib
    BBANDS).
    """
    upper, middle, lower = _by_lane(
        lambda close: _talib().BBANDS(close, n, width, width), lanes, lanes.close
    )
    return lower, middle, upper


def atr(lanes: Lanes, n: int) -> tuple[Floats, ...]:
    """Wilder's average true range, currency per share (TA-Lib ATR).

    Smoothed by 1/n and seeded with the mean of the first *n* true ranges; the first bar
    has none, for want of a close before it.
    """
    bars = (lanes.high, lanes.low, lanes.close)
    return _by_lane(
        lambda high, low, close: _talib().ATR(high, low, close, n), lanes, *bars
    )


def adx(lanes: Lanes, n: int) -> tuple[Floats, ...]:
    """Wilder's directional movement: ADX, +DI, -DI, each 0 to 100 (TA-Lib).

    TA-Lib seeds the sums of movement and of true range with *n* - 1 bars and smooths
    from the n-th; ADX is seeded with the mean of the first *n* values of DX.
    """

    def directions(high: Floats, low: Floats, close: Floats) -> tuple[Floats, ...]:
        bars = (high, low, close, n)
        return _talib().ADX(*bars), _talib().PLUS_DI(*bars), _talib().MINUS_DI(*bars)

    return _by_lane(directions, lanes, lanes.high, lanes.low, lanes.close)


def stochastic(lanes: Lanes, n: int, smooth: int, signal: int) -> tuple[Floats, ...]:
    """Lane's slow stochastic, 0 to 100: %K and %D (TA-Lib STOCH).

    Where the close lies in the range of the last *n* bars, SMA(smooth) of it, and
    SMA(signal) of that. A range of nothing counts as 0.
    """
    mean = _talib().MA_Type.SMA
    return _by_lane(
        lambda high, low, close: _talib().STOCH(
            high, low, close, n, smooth, mean, signal, mean
        ),
        lanes,
        lanes.high,
        lanes.low,
        lanes.close,
    )


def obv(lanes: Lanes) -> tuple[Floats, ...]:
    """Granville's on-balance volume, shares (TA-Lib OBV).

    It starts with the first bar's volume; each later one is added on a higher close,
    taken off on a lower one. Its level tells of the first bar, only its course of the
    market.
    """
    return _by_lane(_talib().OBV, lanes, lanes.close, lanes.volume)


def volatility(lanes: Lanes, n: int) -> tuple[Floats, ...]:
    """Deviation of the last *n* simple daily returns of the close, per year.

    That of a sample (ddof 1), times the root of 252. Summed anew for each bar, in one
    order, so that it is exactly 0 when the close never moved.
    """
    returns = np.full_like(lanes.close, np.nan)
    returns[1:] = lanes.close[1:] / lanes.close[:-1] - 1
    returns[lanes.offsets[:-1]] = np.nan
    answer = np.full_like(returns, np.nan)
    if len(returns) >= n:
        days = sliding_window_view(returns, n).T
        mean = sum(days) / n
        squares = sum((day - mean) ** 2 for day in days)
        answer[n - 1 :] = np.sqrt(squares / (n - 1)) * sqrt(SESSIONS_PER_YEAR)
    return (answer,)


def highest(lanes: Lanes, n: int) -> tuple[Floats, ...]:
    """Highest high of the *n* bars before this one: what a breakout must pass."""
    return _by_lane(lambda high: _of_bar_before(_talib().MAX(high, n)), lanes, lanes.high)


def lowest(lanes: Lanes, n: int) -> tuple[Floats, ...]:
    """Lowest low of the *n* bars before this one."""
    return _by_lane(lambda low: _of_bar_before(_talib().MIN(low, n)), lanes, lanes.low)


def supertrend(lanes: Lanes, n: int, multiplier: float) -> tuple[Floats, ...]:
    """The line under a rising or above a falling market, and +1 or -1 for which it is.

    As pandas-ta has it: bands lie *multiplier* x ATR(n) around the middle of the bar. A
    close above the last upper band turns or keeps the market up, one below the last
    lower band down, and such a bar takes its bands as they are. On other bars the band
    that the market follows never gives way. It starts as up.
    """
    (spread,) = atr(lanes, n)
    spread *= multiplier
    middle = 0.5 * (lanes.high + lanes.low)
    table = _Table(lanes)
    line, direction = _follow(
        table.laid_out(middle - spread),
        table.laid_out(middle + spread),
        table.laid_out(lanes.close),
    )
    line, direction = table.taken_in(line), table.taken_in(direction)
    direction[np.isnan(spread)] = np.nan
    return line, direction


def _follow(lower: Floats, upper: Floats, close: Floats) -> tuple[Floats, Floats]:
    """Line and direction from bands and closes, each (bars, lanes); eats the bands.

    A step per bar, over all lanes at once: numba would be faster still, but takes longer
    to import than an evening takes to compute.
    """
    is_up = np.ones(close.shape, dtype=bool)
    for now in range(1, len(close)):
        rises, falls = close[now] > upper[now - 1], close[now] < lower[now - 1]
        stays_up = is_up[now - 1] & ~falls
        np.logical_or(rises, stays_up, out=is_up[now])
        # fmax and fmin pass over the bands that are not there yet
        np.fmax(lower[now], lower[now - 1], out=lower[now], where=stays_up & ~rises)
        np.fmin(upper[now], upper[now - 1], out=upper[now], where=~(is_up[now] | falls))
    return np.where(is_up, lower, upper), np.where(is_up, 1.0, -1.0)


class _Table:
    """Lanes side by side: a row per bar, a column per lane, empty below short ones."""

    def __init__(self, lanes: Lanes) -> None:
        self._slices = list(lanes.slices())
        self._longest = max((own.stop - own.start for own in self._slices), default=0)

    def laid_out(self, values: Floats) -> Floats:
        table = np.full((len(self._slices), self._longest), np.nan)
        for row, own in zip(table, self._slices, strict=True):
            row[: own.stop - own.start] = values[own]
        return np.ascontiguousarray(table.T)

    def taken_in(self, table: Floats) -> Floats:
        rows = np.ascontiguousarray(table.T)
        parts = (
            row[: own.stop - own.start] for row, own in zip(rows, self._slices, strict=True)
        )
        return np.concatenate([np.empty(0), *parts])


def _by_lane(
    formula: Callable[..., Floats | tuple[Floats, ...]], lanes: Lanes, *fields: Floats
) -> tuple[Floats, ...]:
    """What *formula* answers for each lane's part of *fields*, end to end."""
    answers = [formula(*(field[own] for field in fields)) for own in lanes.slices()]
    if answers and isinstance(answers[0], tuple):
        return tuple(np.concatenate(column) for column in zip(*answers, strict=True))
    return (np.concatenate([np.empty(0), *answers]),)


def _of_bar_before(values: Floats) -> Floats:
    return np.concatenate([[np.nan], values[:-1]])


def _ema_memory(n: int) -> int:
    return _memory(2 / (n + 1))


def _wilder_memory(n: int) -> int:
    return _memory(1 / n)


def _memory(weight: float) -> int:
    """Bars after which a smoothing with *weight* has forgotten its seed."""
    return ceil(log(_FORGOTTEN) / log1p(-weight)) if weight < 1 else 1


def _at_least(bars: int) -> int:
    return max(RECURSIVE_WINDOW, bars)


LENGTH = Parameter("length", 2, 500)
SMOOTHING = Parameter("smoothing", 1, 100)
SIGNAL = Parameter("signal", 2, 500)
WIDTH = Parameter("width", 0.1, 20, is_whole=False)

FORMULAS: dict[str, Formula] = {
    "sma": Formula((LENGTH,), ("sma",), lambda n: n, lambda n: n, sma),
    "volume_sma": Formula((LENGTH,), ("volume_sma",), lambda n: n, lambda n: n, volume_sma),
    "ema": Formula(
        (LENGTH,), ("ema",), lambda n: n, lambda n: _at_least(n + _ema_memory(n)), ema
    ),
    "rsi": Formula(
        (LENGTH,),
        ("rsi",),
        lambda n: n + 1,
        lambda n: _at_least(n + 1 + _wilder_memory(n)),
        rsi,
    ),
    "macd": Formula(
        (
            Parameter("fast", 2, 499),
            Parameter("slow", 3, 500),
            SIGNAL,
        ),
        ("macd", "macd_signal", "macd_hist"),
        lambda _fast, slow, signal: slow + signal - 1,
        lambda _fast, slow, signal: _at_least(
            slow + signal + 2 * max(slow, signal) + _ema_memory(max(slow, signal))
        ),
        macd,
    ),
    "bb": Formula(
        (LENGTH, WIDTH),
        ("bb_lower", "bb_middle", "bb_upper"),
        lambda n, _width: n,
        lambda n, _width: n,
        bollinger,
    ),
    "atr": Formula(
        (LENGTH,),
        ("atr",),
        lambda n: n + 1,
        lambda n: _at_least(n + 1 + _wilder_memory(n)),
        atr,
    ),
    "supertrend": Formula(
        (LENGTH, WIDTH),
        ("supertrend", "supertrend_direction"),
        lambda n, _width: n + 1,
        lambda n, width: _at_least(n + 1 + _wilder_memory(n) + ceil(25 * width**2)),
        supertrend,
    ),
    "adx": Formula(
        (LENGTH,),
        ("adx", "plus_di", "minus_di"),
        lambda n: 2 * n,
        lambda n: _at_least(6 * n + _wilder_memory(n)),
        adx,
    ),
    "stoch": Formula(
        (LENGTH, SMOOTHING, SMOOTHING),
        ("stoch_k", "stoch_d"),
        lambda n, smooth, signal: n + smooth + signal - 2,
        lambda n, smooth, signal: n + smooth + signal - 2,
        stochastic,
    ),
    "obv": Formula((), ("obv",), lambda: 1, lambda: None, obv),
    "volatility": Formula(
        (LENGTH,), ("volatility",), lambda n: n + 1, lambda n: n + 1, volatility
    ),
    "highest": Formula((LENGTH,), ("highest",), lambda n: n + 1, lambda n: n + 1, highest),
    "lowest": Formula((LENGTH,), ("lowest",), lambda n: n + 1, lambda n: n + 1, lowest),
}
"""Every kind of indicator that is ours, by the first part of its name."""
