"""A made-up market that looks like one: pure functions of seed, name and day.

A common factor moves between regimes (rising, flat, falling, turbulent). Each symbol is a
multiple of it plus a part of its own with trends of its own. Shocks have fat tails, and
calm and wild times come in clusters. Both parts are drawn back to a slow trend, so that
decades neither explode nor vanish.

Nothing here depends on how many days are asked for: every random number is addressed by
seed, symbol, stream and step. Uniform numbers come straight from the bits of a counter
generator, and all else from them by arithmetic, because numpy keeps only the bits of its
generators the same from version to version.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

Days = NDArray[np.datetime64]
Floats = NDArray[np.float64]
Streams = Callable[[str], Floats]

STEPS_PER_YEAR = 261
TAIL_DAY = 6.0
TAIL_NIGHT = 4.0
"""Degrees of freedom of shocks while the exchange is open, and while it is closed."""

WIDEST_SHOCK = 6.0
"""Standard deviations at which a shock is cut off."""

NIGHT_VARIANCE_FRAC = 0.3
"""Part of a session's variance that happens before its open."""


@dataclass(frozen=True, slots=True)
class Regime:
    """How the common factor moves for a while.

    Attributes:
        drift: Log return per year.
        volatility: Standard deviation of log returns per year.
        length_steps: Mean length.
        successors: Odds of each regime to come next.
    """

    drift: float
    volatility: float
    length_steps: int
    successors: tuple[float, float, float, float]


REGIMES = (
    Regime(0.17, 0.10, 160, (0.0, 0.55, 0.15, 0.30)),
    Regime(0.00, 0.12, 80, (0.65, 0.0, 0.20, 0.15)),
    Regime(-0.28, 0.19, 70, (0.35, 0.30, 0.0, 0.35)),
    Regime(-0.15, 0.32, 25, (0.60, 0.15, 0.25, 0.0)),
)
"""Rising, flat, falling, turbulent."""

BLOCK_STEPS = 128

FACTOR_TREND = 0.045
FACTOR_PULL = 0.20
"""Log growth per year that the factor returns to, and how much of the way in a year."""

OWN_PULL = 0.35
"""The same for the part that is a symbol's own."""

INDEX_FUNDS: Mapping[str, tuple[float, float]] = {
    "SPY": (1.0, 140.0),
    "VOO": (1.0, 128.0),
    "IVV": (1.0, 141.0),
    "VTI": (1.0, 70.0),
    "DIA": (0.95, 110.0),
    "QQQ": (1.2, 60.0),
    "IWM": (1.15, 52.0),
    "^GSPC": (1.0, 1400.0),
}
"""Multiple of the factor and price on the first day, of what stands for the market."""


@dataclass(frozen=True, slots=True)
class Character:
    """What a symbol is like, for ever.

    Attributes:
        price: On the first day, currency per share.
        beta: Multiple of the factor that it moves by.
        volatility: Of its own part, per year.
        trend: Log growth per year of its own part.
        yield_frac: Dividends per year, of the price; 0 for none.
        split_ratio: New shares per old when it splits, which is at 100 times as much
            per share; 0 if it never does.
        turnover: Typical worth of a session's trades, currency.
    """

    price: float
    beta: float
    volatility: float
    trend: float
    yield_frac: float
    split_ratio: int
    turnover: float


@dataclass(frozen=True, slots=True, eq=False)
class Factor:
    """What all symbols have in common, one value per step.

    Attributes:
        night: Log return from the close before to the open.
        close: Log level at the close, 0 before the first step.
        agitation: Volatility relative to its long-run mean.
    """

    night: Floats
    close: Floats
    agitation: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Walk:
    """Log prices of one symbol at every step, in the scale of the first one.

    Attributes:
        ex_steps: Steps before whose open a dividend leaves the price.
        turnover: Worth of the session's trades, currency.
    """

    open: Floats
    high: Floats
    low: Floats
    close: Floats
    ex_steps: NDArray[np.intp]
    turnover: Floats


def streams(seed: int, name: str, count: int) -> Streams:
    """Uniform numbers in (0, 1) by the name of a stream; the first *count* of each."""

    def stream(purpose: str) -> Floats:
        written = f"{seed}\0{name}\0{purpose}".encode()
        key = np.frombuffer(blake2b(written, digest_size=16).digest(), dtype="<u8")
        bits = np.random.Philox(key=key).random_raw(count)
        return (bits >> np.uint64(12)).astype(np.float64) * 2.0**-52 + 2.0**-53

    return stream


def draw_factor(seed: int, count: int) -> Factor:
    """The first *count* steps of what all symbols of the market *seed* share."""
    draw = streams(seed, "", count)
    regimes = np.array([(regime.drift, regime.volatility) for regime in REGIMES])
    drift, volatility = regimes[_regimes(draw)].T
    agitation = _clusters(draw, spread=0.22)
    scale = volatility * agitation / np.sqrt(STEPS_PER_YEAR)
    night, day = _shocks(draw, scale)
    moves = night + day + drift / STEPS_PER_YEAR
    trend = FACTOR_TREND / STEPS_PER_YEAR * np.arange(1, count + 1)
    close = trend + _pulled_back(moves, FACTOR_PULL / STEPS_PER_YEAR)
    mean_volatility = float(np.mean([regime.volatility for regime in REGIMES]))
    return Factor(night, close, agitation * volatility / mean_volatility)


def character_of(seed: int, symbol: str) -> Character:
    """What *symbol* is like in the market *seed*."""
    draw = streams(seed, symbol, 1)

    def between(purpose: str, low: float, high: float) -> float:
        return low + (high - low) * float(draw(f"own {purpose}")[0])

    if symbol in INDEX_FUNDS:
        beta, price = INDEX_FUNDS[symbol]
        return Character(price, beta, 0.02, 0.0, 0.014, 0, 1.5e10)
    pays = between("pays", 0.0, 1.0) < 0.65  # noqa: PLR2004 - two of three do
    return Character(
        price=float(np.exp(between("price", np.log(14.0), np.log(180.0)))),
        beta=between("beta", 0.6, 1.45),
        volatility=between("volatility", 0.14, 0.28),
        trend=between("trend", -0.02, 0.05),
        yield_frac=between("yield", 0.006, 0.036) if pays else 0.0,
        split_ratio=2 + int(between("split", 0.0, 3.0)),
        turnover=float(np.exp(between("turnover", np.log(8e7), np.log(4e9)))),
    )


def draw_walk(seed: int, symbol: str, factor: Factor, days: Days) -> Walk:
    """The walk of *symbol* over *days*.

    Args:
        factor: Of the same seed and at least as many steps.
        days: One per step, ascending, from the first step on.
    """
    count, own = len(days), character_of(seed, symbol)
    draw = streams(seed, symbol, count)
    agitation = _clusters(draw, spread=0.42)
    scale = own.volatility * agitation / np.sqrt(STEPS_PER_YEAR)
    night, day = _shocks(draw, scale * _reports(draw, days))
    drift = own.volatility * _trends(draw) / STEPS_PER_YEAR
    ex_steps = (
        _quarterly(draw("ex")[0], days) if own.yield_frac else _quarterly(0, days)[:0]
    )
    payout = np.zeros(count)
    payout[ex_steps] = own.yield_frac / 4
    night -= payout
    growth = own.trend / STEPS_PER_YEAR * np.arange(1, count + 1)
    alone = growth + _pulled_back(night + day + drift, OWN_PULL / STEPS_PER_YEAR)
    close = np.log(own.price) + own.beta * factor.close[:count] + alone
    before = np.r_[np.log(own.price), close[:-1]]
    opens = before + own.beta * factor.night[:count] + night
    width = np.hypot(own.beta * factor.agitation[:count] * 0.16, own.volatility * agitation)
    high, low = _extremes(draw, opens, close, width / np.sqrt(STEPS_PER_YEAR))
    turnover = own.turnover * _busyness(draw, close - before, factor.agitation[:count])
    return Walk(opens, high, low, close, ex_steps, turnover)


def _regimes(draw: Streams) -> NDArray[np.intp]:
    """Which regime each step is in, from a rising one on."""
    odds = [np.cumsum(regime.successors) for regime in REGIMES]
    now, visited = 0, []
    for ends, turn in zip(draw("regime ends").tolist(), draw("next"), strict=True):
        if ends * REGIMES[now].length_steps < 1:
            now = int(np.searchsorted(odds[now], turn))
        visited.append(now)
    return np.array(visited, dtype=np.intp)


def _clusters(draw: Streams, spread: float) -> Floats:
    """A slow positive wave around 1: how wild the times are."""
    memory = 0.98
    innovations = _fat(draw("waves"), draw("waves'"), TAIL_DAY)
    wave = _pulled_back(innovations, 1 - memory) * spread * np.sqrt(1 - memory**2)
    return np.exp(wave - spread**2)


def _trends(draw: Streams) -> Floats:
    """A drift that keeps its value for a hundred steps or so, mean 0 and spread 1."""
    begins = np.flatnonzero(draw("trend begins") < 0.01)  # noqa: PLR2004 - 1 in 100
    steps = np.arange(len(draw("trend")))
    since = np.searchsorted(begins, steps, side="right")
    drawn = 2 * np.sqrt(3.0) * (draw("trend") - 0.5)
    return np.r_[drawn[0], drawn[begins]][since]


def _reports(draw: Streams, days: Days) -> Floats:
    """How much bolder the step is: results are published four times a year."""
    bolder = np.ones(len(days))
    bolder[_quarterly(draw("reports")[0], days)] = 2.5
    return bolder


def _quarterly(uniform: float, days: Days) -> NDArray[np.intp]:
    """One step in every third month, its place given by *uniform*."""
    months = days.astype("datetime64[M]").astype(np.intp)
    begins = np.flatnonzero(np.diff(months, prepend=months[:1] - 1))
    place = int(uniform * 45)
    steps = begins[months[begins] % 3 == place // 15] + place % 15
    return steps[steps < len(days)]


def _shocks(draw: Streams, scale: Floats) -> tuple[Floats, Floats]:
    """Log returns before and after the open whose standard deviation is *scale*."""
    night = _fat(draw("night"), draw("night'"), TAIL_NIGHT)
    day = _fat(draw("day"), draw("day'"), TAIL_DAY)
    return (
        night * scale * np.sqrt(NIGHT_VARIANCE_FRAC),
        day * scale * np.sqrt(1 - NIGHT_VARIANCE_FRAC),
    )


def _fat(first: Floats, second: Floats, tail: float) -> Floats:
    """Student's t from two uniform numbers by Bailey's polar method, at unit variance.

    R. W. Bailey, "Polar generation of random variates with the t-distribution",
    Mathematics of Computation 62 (1994).
    """
    drawn = np.sqrt(tail * (first ** (-2 / tail) - 1)) * np.cos(2 * np.pi * second)
    return np.clip(drawn / np.sqrt(tail / (tail - 2)), -WIDEST_SHOCK, WIDEST_SHOCK)


def _pulled_back(moves: Floats, pull: float) -> Floats:
    """Running sum of *moves* that loses the fraction *pull* of itself at each step.

    Computed in blocks: within one, the sum of the moves divided by what is left of them.
    """
    kept = (1 - pull) ** np.arange(1, BLOCK_STEPS + 1)
    blocks = np.pad(moves, (0, -len(moves) % BLOCK_STEPS)).reshape(-1, BLOCK_STEPS)
    sums = np.cumsum(blocks / kept, axis=1) * kept
    carried = list(
        accumulate(sums[:-1, -1].tolist(), lambda sum_, end: sum_ * kept[-1] + end)
    )
    sums[1:] += np.array(carried)[:, None] * kept
    return sums.ravel()[: len(moves)]


def _extremes(
    draw: Streams, opens: Floats, close: Floats, width: Floats
) -> tuple[Floats, Floats]:
    """Highest and lowest log price between *opens* and *close*.

    Each is the exact extreme of a Brownian bridge with standard deviation *width*.
    """
    middle, gap = (opens + close) / 2, close - opens
    day_variance = width**2 * (1 - NIGHT_VARIANCE_FRAC)
    up = np.sqrt(gap**2 - 2 * day_variance * np.log(draw("high"))) / 2
    down = np.sqrt(gap**2 - 2 * day_variance * np.log(draw("low"))) / 2
    return middle + up, middle - down


def _busyness(draw: Streams, moves: Floats, agitation: Floats) -> Floats:
    """Turnover relative to its typical worth: persistent, and high on big moves."""
    habit = _pulled_back(_fat(draw("crowd"), draw("crowd'"), TAIL_DAY), 0.12) * 0.12
    surprise = np.abs(moves) * np.sqrt(STEPS_PER_YEAR) / (0.25 * np.sqrt(agitation))
    return np.exp(habit + 0.35 * np.minimum(surprise, 6.0) + 0.5 * np.log(agitation) - 0.3)
