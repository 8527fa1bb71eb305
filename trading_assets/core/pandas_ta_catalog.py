"""Every indicator of pandas-ta by its name, and what we found out about it.

pandas-ta says neither how many bars an indicator needs, nor when its start is forgotten,
nor whether it looks ahead; and a number it does not like it silently replaces. So each
indicator is tried out once per process, on bars that are always the same.

Its values depend on whether TA-Lib is installed. It is one of our requirements, and is
asked for by name: ``talib=True`` and ``ddof=0``, wherever a function takes them.
Functions with optional price series are called without them.
"""

import inspect
import re
from bisect import bisect_left
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from math import ceil
from typing import Any, get_args

import numpy as np
import pandas as pd
import pandas_ta
from numpy.typing import NDArray
from pandas_ta.candle.cdl_pattern import ALL_PATTERNS, cdl_pattern

from trading_assets.core.indicator_formulas import (
    RECURSIVE_WINDOW,
    Lanes,
    format_number,
)
from trading_assets.core.panel import Floats
from trading_assets.errors import InvalidIndicator

REFUSED: Mapping[str, str] = {
    "cdl_inside": "it looks ahead: its first bar is compared with the last one",
    "cdl_pattern": "it takes a pattern's name; ask for one, as in cdl_engulfing",
    "dpo": "it looks ahead: the line is centred, half its length back in time",
    "ichimoku": "it looks ahead: its lagging line is the close of 26 bars later",
    "long_run": "it compares two series of your choice",
    "pivots": "it looks ahead: it guesses from all bars how far apart they are",
    "short_run": "it compares two series of your choice",
    "tos_stdevall": "it looks ahead: its line is fitted to all bars there are",
    "vhm": "it looks ahead: its length depends on how many bars there are",
    "vwap": "it starts anew each day, so on daily bars it is just hlc3",
    "zigzag": "it looks ahead: a turn is drawn when later bars have confirmed it",
}
"""Functions of pandas-ta that may not be asked for, and why."""

_EXPLICIT: Mapping[str, object] = {"talib": True, "ddof": 0}
_NUMBER = re.compile(r"\d+(\.\d+)?%?")
_SERIES = ("open_", "high", "low", "close", "volume")
_NOT_GIVEN = frozenset({"offset", "ddof", "pi", "sqrt2", "sqrt3"})
_BARS = 3_000
_LONGEST_WARM_UP = 1_000
_TOLERANCE = 1e-10
"""Ten times finer than we promise: these bars are not yours."""

_ROUNDING = 1e-5
"""More than pandas loses in its rolling moments."""

_MARGIN = 1.25
"""By how much a measured window is widened, for the same reason."""


@dataclass(frozen=True, slots=True)
class Traits:
    """What trying an indicator out has shown.

    Attributes:
        columns: Ours: lower case, decimal points as ``p``.
        answers_from: Bars below which pandas-ta gives nothing at all.
        first_value: Bars up to and including the first on which every column has a value.
        window: Bars after which the value is that of the full history; None if never.
        is_steady: Whether a value is the same to the last bit however many bars follow.
            What is not is computed bar by bar, each from its own window.
        has_gaps: Whether columns are empty by design, as one of the two of ``psar``.
    """

    columns: tuple[str, ...]
    answers_from: int
    first_value: int
    window: int | None
    is_steady: bool
    has_gaps: bool


def kinds() -> list[str]:
    """Names that may be asked for, ascending."""
    listed = [name for names in pandas_ta.Category.values() for name in names]
    patterns = [f"cdl_{pattern}" for pattern in ALL_PATTERNS]
    return sorted({*listed, *patterns} - REFUSED.keys())


@cache
def traits(kind: str, numbers: tuple[float, ...]) -> Traits:
    """What is known of *kind* with *numbers* as its first parameters.

    Raises:
        InvalidIndicator: If pandas-ta has no such function, if it looks ahead or needs
            more than bars, or if a number is not accepted.
    """
    if kind in REFUSED:
        raise InvalidIndicator(f"indicator {kind} is refused: {REFUSED[kind]}")
    _check_numbers(kind, numbers)
    bars = _trial_bars(1)
    full = _run(kind, numbers, bars)
    shortest = _answers_from(kind, numbers, bars)
    if full is None or shortest is None:
        raise _too_long(kind, numbers)
    first_value, has_gaps = _first_value(_values(full)[shortest - 1 :])
    first_value += shortest - 1
    if first_value > _LONGEST_WARM_UP:
        raise _too_long(kind, numbers)
    _check_is_listened_to(kind, numbers, full)
    is_steady = _is_steady(kind, numbers, shortest)
    window = _window if is_steady else _own_window
    return Traits(
        columns=_columns(full),
        answers_from=shortest,
        first_value=first_value,
        window=window(kind, numbers, first_value),
        is_steady=is_steady,
        has_gaps=has_gaps,
    )


def compute(kind: str, numbers: tuple[float, ...], lanes: Lanes) -> tuple[Floats, ...]:
    """One array per column, NaN while warming up and where nothing is defined."""
    known = traits(kind, numbers)
    answers = np.full((len(known.columns), len(lanes.close)), np.nan)
    columns = (lanes.open, lanes.high, lanes.low, lanes.close, lanes.volume)
    bars = pd.DataFrame(dict(zip(_SERIES, columns, strict=True)))
    for own in lanes.slices():
        if known.is_steady:
            answers[:, own] = _answer(kind, numbers, bars.iloc[own], known).T
            continue
        for last in range(own.start + known.first_value - 1, own.stop):
            window = bars.iloc[last + 1 - known.first_value : last + 1]
            answers[:, last] = _answer(kind, numbers, window, known)[-1]
    answers[~np.isfinite(answers)] = np.nan
    return tuple(answers)


def _answer(
    kind: str, numbers: tuple[float, ...], bars: pd.DataFrame, known: Traits
) -> Floats:
    """One row per bar, one column per column; empty where later bars were needed."""
    if len(bars) < known.answers_from:
        return np.full((len(bars), len(known.columns)), np.nan)
    answer = _run(kind, numbers, bars.reset_index(drop=True))
    if answer is None or _columns(answer) != known.columns:
        raise InvalidIndicator(
            f"indicator {_named(kind, numbers)} gave other columns than before"
        )
    values = _values(answer).copy()
    values[: known.answers_from - 1] = np.nan
    return values


def _function(kind: str) -> Callable[..., Any]:
    pattern = kind.removeprefix("cdl_")
    if kind != pattern and pattern in ALL_PATTERNS:
        return partial(cdl_pattern, name=pattern)
    return getattr(pandas_ta, kind)


def _numbers(kind: str) -> list[inspect.Parameter]:
    """Parameters of *kind* that are numbers and ours to choose."""
    return [
        parameter
        for parameter in inspect.signature(_function(kind)).parameters.values()
        if parameter.name not in _NOT_GIVEN and _takes(parameter, int)
    ]


def _takes(parameter: inspect.Parameter, number: type) -> bool:
    return parameter.annotation is number or number in get_args(parameter.annotation)


def _check_numbers(kind: str, numbers: tuple[float, ...]) -> None:
    """Refuse what pandas-ta would silently replace by its defaults."""
    known = _numbers(kind)
    if len(numbers) > len(known):
        allowed = ", ".join(parameter.name for parameter in known) or "none"
        raise InvalidIndicator(
            f"indicator {_named(kind, numbers)}: pandas-ta's {kind} takes at most "
            f"{len(known)} numbers ({allowed}), received {len(numbers)}"
        )
    for parameter, number in zip(known, numbers, strict=False):
        is_whole = not _takes(parameter, float)
        if number <= 0 or (is_whole and number != int(number)):
            raise InvalidIndicator(
                f"indicator {_named(kind, numbers)}: {parameter.name} must be "
                f"{'a whole number' if is_whole else 'a number'} above 0, was {number:g}"
            )


def _check_is_listened_to(
    kind: str, numbers: tuple[float, ...], full: pd.DataFrame
) -> None:
    """Refuse a number that pandas-ta passes over.

    It does so when neither leaving it away nor changing it a little changes anything;
    the default, written out, is one that may be left away.
    """
    bars = _trial_bars(1)
    for at, parameter in enumerate(_numbers(kind)[: len(numbers)]):
        step = numbers[at] / 100 if _takes(parameter, float) else 1
        nearby = (*numbers[:at], numbers[at] + step, *numbers[at + 1 :])
        left_away = _run(kind, numbers, bars, without=parameter.name)
        if _agree(full, left_away) and _agree(full, _run(kind, nearby, bars)):
            raise InvalidIndicator(
                f"indicator {_named(kind, numbers)}: pandas-ta does not accept "
                f"{numbers[at]:g} as {parameter.name} of {kind}, or makes no use of it"
            )


def _agree(some: pd.DataFrame | None, other: pd.DataFrame | None) -> bool:
    if some is None or other is None or some.shape != other.shape:
        return False
    return np.array_equal(_values(some), _values(other), equal_nan=True)


def _run(
    kind: str, numbers: tuple[float, ...], bars: pd.DataFrame, *, without: str = ""
) -> pd.DataFrame | None:
    """What pandas-ta answers for *bars*; None if they are too few for it."""
    function = _function(kind)
    known = inspect.signature(function).parameters
    series = {
        name: bars[name]
        for name in _SERIES
        if name in known and known[name].default is inspect.Parameter.empty
    }
    chosen = {
        parameter.name: int(number) if number == int(number) else number
        for parameter, number in zip(_numbers(kind), numbers, strict=False)
        if parameter.name != without
    }
    explicit = {name: value for name, value in _EXPLICIT.items() if name in known}
    with np.errstate(all="ignore"):
        answer = function(**series, **chosen, **explicit)
    return answer.to_frame() if isinstance(answer, pd.Series) else answer


def _values(answer: pd.DataFrame) -> Floats:
    return answer.to_numpy(dtype=np.float64, na_value=np.nan)


def _columns(answer: pd.DataFrame) -> tuple[str, ...]:
    """Names of *answer*'s columns as SQL likes them: ``QTL_30_0.50`` is ``qtl_30_0p5``."""
    return tuple(_column(str(name)) for name in answer.columns)


def _column(name: str) -> str:
    parts = [
        format_number(float(part.rstrip("%"))) if _NUMBER.fullmatch(part) else part
        for part in name.lower().split("_")
    ]
    return re.sub(r"[^a-z0-9_]", "", "_".join(parts))


def _too_long(kind: str, numbers: tuple[float, ...]) -> InvalidIndicator:
    return InvalidIndicator(
        f"indicator {_named(kind, numbers)} needs more than {_LONGEST_WARM_UP} bars"
    )


def _named(kind: str, numbers: tuple[float, ...]) -> str:
    return "_".join([kind, *(f"{number:g}" for number in numbers)])


@cache
def _trial_bars(seed: int) -> pd.DataFrame:
    """A walk with fat tails, gaps and uneven volume; the same on every machine."""
    draw = np.random.default_rng(seed)
    close = 50 * np.exp(np.cumsum(draw.standard_t(4, _BARS) * 0.012))
    opens = np.r_[50.0, close[:-1]] * np.exp(draw.normal(0, 0.004, _BARS))
    reach = np.abs(draw.normal(0, 0.006, (2, _BARS)))
    return pd.DataFrame(
        {
            "open_": opens,
            "high": np.maximum(opens, close) * np.exp(reach[0]),
            "low": np.minimum(opens, close) * np.exp(-reach[1]),
            "close": close,
            "volume": np.floor(draw.lognormal(14, 0.5, _BARS)),
        }
    )


def _answers_from(kind: str, numbers: tuple[float, ...], bars: pd.DataFrame) -> int | None:
    """The least number of bars for which pandas-ta gives all of its columns."""
    full = _run(kind, numbers, bars)

    def answers(count: int) -> bool:
        try:
            part = _run(kind, numbers, bars.iloc[:count])
        except ValueError:  # crsi says it this way
            return False
        return part is not None and full is not None and part.shape[1] == full.shape[1]

    if not answers(_LONGEST_WARM_UP):
        return None
    counts = range(_LONGEST_WARM_UP + 1)
    return bisect_left(counts, True, lo=1, key=answers)  # noqa: FBT003 - what to find


def _first_value(values: Floats) -> tuple[int, bool]:
    """Bars until every column has its first value, and whether some have gaps after it.

    Of columns with gaps by design, one is enough: which one begins is the market's say.
    """
    count = len(values)
    is_finite = np.isfinite(values)
    firsts = np.where(is_finite.any(axis=0), is_finite.argmax(axis=0), count)
    has_gaps = is_finite.sum(axis=0) < count - firsts
    gapped = firsts[has_gaps].min() if has_gaps.any() else 0
    return int(max(firsts[~has_gaps].max(initial=0), gapped)) + 1, bool(has_gaps.any())


def _window(kind: str, numbers: tuple[float, ...], first_value: int) -> int | None:
    """Bars after which a start anywhere has been forgotten; None if it never is.

    At least `RECURSIVE_WINDOW`, for what turns on events that may not happen in a trial.
    """
    needed = first_value
    for seed in (1, 2):
        for start in (260, 900):
            differs = _differs_from_full(kind, numbers, seed, start)
            last = int(np.flatnonzero(differs).max(initial=-1))
            if last > len(differs) - 200:
                return None
            needed = max(needed, last + 2)
    return max(RECURSIVE_WINDOW, ceil(needed * _MARGIN))


def _own_window(kind: str, numbers: tuple[float, ...], first_value: int) -> int:
    """The bars of its first value, for what remembers no more but adds rounding.

    Raises:
        InvalidIndicator: If it does remember more.
    """
    differs = _differs_from_full(kind, numbers, seed=1, start=260, tolerance=_ROUNDING)
    if differs[first_value - 1 :].any():
        raise InvalidIndicator(
            f"indicator {_named(kind, numbers)} is refused: its values depend, by "
            "rounding, on how many bars there are"
        )
    return first_value


def _differs_from_full(
    kind: str,
    numbers: tuple[float, ...],
    seed: int,
    start: int,
    tolerance: float = _TOLERANCE,
) -> NDArray[np.bool_]:
    """On which bars from *start* on it matters that the ones before are not there."""
    bars = _trial_bars(seed)
    late = bars.iloc[start:].reset_index(drop=True)
    full, part = _run(kind, numbers, bars), _run(kind, numbers, late)
    if full is None or part is None:
        return np.ones(len(late), dtype=bool)
    return _differs(part, full.iloc[start:], late["close"], tolerance)


def _differs(
    some: pd.DataFrame,
    other: pd.DataFrame,
    close: "pd.Series[float]",
    tolerance: float = _TOLERANCE,
) -> NDArray[np.bool_]:
    """On which rows two answers differ by more than rounding, in any column."""
    left, right = _values(some), _values(other)
    unit = np.fmax(np.abs(right), close.to_numpy()[:, np.newaxis])
    is_close = np.abs(left - right) <= tolerance * unit
    both_empty = ~np.isfinite(left) & ~np.isfinite(right)
    return np.any(~(is_close | both_empty), axis=1)


def _is_steady(kind: str, numbers: tuple[float, ...], shortest: int) -> bool:
    """Whether values keep their last bit when bars are added.

    Raises:
        InvalidIndicator: If they change by more than rounding: they look ahead.
    """
    bars = _trial_bars(1).iloc[: max(700, 2 * shortest)]
    full = _run(kind, numbers, bars)
    is_steady = True
    for added in (*range(12), *range(100, len(bars) - shortest, 53)):
        count = shortest + added
        part = _run(kind, numbers, bars.iloc[:count])
        if part is None or full is None:
            continue
        if _differs(part, full.iloc[:count], bars["close"].iloc[:count]).any():
            raise InvalidIndicator(
                f"indicator {_named(kind, numbers)} is refused: it looks ahead, its "
                "value on a bar changes when later bars are added"
            )
        is_steady &= _agree(part, full.iloc[:count])
    return is_steady
