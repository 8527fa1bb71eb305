"""Indicators by their names: what they need, and what they are on each bar.

A name is a kind and its numbers: ``sma_20``, ``macd_12_26_9``, ``bb_20_2.5``.
Kinds of our own are in `FORMULAS`; every other name is looked up in pandas-ta, and its
numbers are the first that the function takes (``hma_9``, ``kc_20_2``).
In names of columns a decimal point is a ``p``: ``bb_lower_20_2p5``.

A value in the table has one meaning, to the last bit, however it came about.
Averages that build on their own last value depend on where they start, so the start is
a rule: the calendar is cut into blocks of `BLOCK_SESSIONS`, and the value of session D
is the formula run over the symbol's own bars from `Indicator.lead` bars before the first
bar of D's block up to D, all in the price scale of D.
Every lead is long enough for the start to be forgotten (1e-9 of the price or value,
whichever is larger). What never forgets runs from the first bar that is given; the few
of pandas-ta whose rounding depends on other bars run over their own window, bar by bar.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from difflib import get_close_matches
from functools import cache
from types import ModuleType

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from trading_assets.core.indicator_formulas import FORMULAS, Formula, Lanes, format_number
from trading_assets.core.indicator_runs import BLOCK_SESSIONS, batches, stretches_of
from trading_assets.core.panel import FIELDS, Floats, Panel
from trading_assets.errors import InvalidIndicator
from trading_assets.sessions import TradingCalendar

ENGINE_VERSION = "1"
"""Raised whenever the same bars give other values."""

SPARE_SESSIONS = 64
"""Sessions without a bar that a symbol may have before its windows get too short."""

_NAME = re.compile(r"([a-z][a-z0-9_]*?)((?:_\d+(?:[.p]\d+)?)*)")


@dataclass(frozen=True, slots=True)
class Indicator:
    """An indicator with its numbers.

    Attributes:
        name: The one spelling of it.
        kind: First part of the name.
        params: The numbers after it.
        columns: What it adds to the table.
        first_value: Bars up to and including the first on which every column has a value.
        window: Bars after which the value is that of the full history, within 1e-9 of the
            price or the value, whichever is larger; None for what never forgets.
        is_steady: Whether adding bars never touches the last bit of earlier values; what
            isn't is run for each bar over its own window alone.
        has_gaps: Whether columns are empty by design: one of the two of ``psar``.
    """

    name: str
    kind: str
    params: tuple[float, ...]
    columns: tuple[str, ...]
    first_value: int
    window: int | None
    is_steady: bool = True
    has_gaps: bool = False

    @property
    def is_cumulative(self) -> bool:
        """Whether a value depends on every bar there ever was."""
        return self.window is None

    @property
    def lead(self) -> int | None:
        """Own bars before a block from which its values are run; None for all.

        In whole blocks, so that indicators can be run together. For what is run bar by
        bar, own bars before that bar.
        """
        if self.window is None:
            return None
        if not self.is_steady:
            return self.window - 1
        return -(-self.window // BLOCK_SESSIONS) * BLOCK_SESSIONS


@cache
def parse_indicator(name: str) -> Indicator:
    """The indicator called *name*.

    Trying out one of pandas-ta costs up to a second, once per process.

    Raises:
        InvalidIndicator: If there is none of that name, if it looks ahead, or if its
            numbers are too many, too few or out of range.
    """
    matched = _NAME.fullmatch(name)
    if matched is None:
        raise InvalidIndicator(
            f"indicator {name!r} must be a kind and its numbers, as in sma_20, "
            "macd_12_26_9 or bb_20_2.5"
        )
    kind = matched[1]
    numbers = [part.replace("p", ".") for part in matched[2].split("_")[1:]]
    params = tuple(float(part) if "." in part else int(part) for part in numbers)
    params = tuple(int(each) if each == int(each) else each for each in params)
    formula = FORMULAS.get(kind)
    return _foreign(kind, params) if formula is None else _own(kind, params, formula)


def indicator_of(column: str) -> Indicator:
    """The indicator that makes *column*: ``macd_12_26_9`` for ``macd_hist_12_26_9``.

    Raises:
        InvalidIndicator: If none does.
    """
    numbers = re.search(r"(?:_\d+(?:p\d+)?)*$", column)
    suffix = numbers[0] if numbers else ""
    stem = column.removesuffix(suffix)
    for kind, formula in FORMULAS.items():
        if stem in formula.stems:
            return parse_indicator(kind + suffix)
    indicator = parse_indicator(column)
    if column in indicator.columns:
        return indicator
    raise InvalidIndicator(
        f"no indicator makes the column {column}; {indicator.name} makes "
        f"{', '.join(indicator.columns)}"
    )


def bars_needed(names: Sequence[str]) -> int | None:
    """How many bars before the first one asked for `indicators_as_of` must be given.

    Of each symbol's own; if they are chosen by session, a symbol may lack up to
    `SPARE_SESSIONS` of them. None asks for all there are.

    Raises:
        InvalidIndicator: As `parse_indicator` does.
    """
    indicators = _distinct(names)
    leads = [each.lead for each in indicators if each.lead is not None]
    if len(leads) < len(indicators):
        return None
    return BLOCK_SESSIONS + max(leads, default=0) + SPARE_SESSIONS


def lookback(names: Sequence[str]) -> int:
    """How many bars the longest window of *names* spans, the bar itself included.

    What never forgets has no window; it counts with the bars of its first value.

    Raises:
        InvalidIndicator: As `parse_indicator` does.
    """
    indicators = _distinct(names)
    return max((each.window or each.first_value for each in indicators), default=1)


def compute_indicators(panel: Panel, names: Sequence[str]) -> dict[str, Floats]:
    """Every column of *names* on every bar of *panel*, NaN while warming up.

    Each symbol is run over all of its rows as they stand; adjusting them for splits is
    the caller's. Arrays are in the order of the panel.

    Raises:
        InvalidIndicator: As `parse_indicator` does.
        ValueError: If a price or a volume is not a finite number.
    """
    indicators = _distinct(names)
    _check_finite(panel)
    fields = (getattr(panel, field) for field in FIELDS)
    lanes = Lanes(panel.offsets, *fields)
    return {
        column: values
        for indicator in indicators
        for column, values in zip(
            indicator.columns, _computed(indicator, lanes), strict=True
        )
    }


def indicators_as_of(
    bars: pd.DataFrame,
    actions: pd.DataFrame,
    first: date,
    last: date,
    names: Sequence[str],
    calendar: TradingCalendar,
) -> pd.DataFrame:
    """`INDICATORS` rows of every bar from *first* to *last*, by symbol and session.

    Each row is in the price scale of its own session, so rows on two sides of a split
    don't compare. A session computed for itself and as part of any range is the same to
    the last bit, provided that `bars_needed` are there.

    Args:
        bars: `bars` rows of any symbols in any order, those before *first* included.
        actions: All `corporate_actions` of these symbols.
        first: First session wanted.
        last: Last session wanted.
        names: Indicators, in any order; naming one twice is the same as once.
        calendar: Of the exchange that the bars are from.

    Raises:
        InvalidIndicator: As `parse_indicator` does.
        ValueError: If a price or a volume is not a finite number.
    """
    indicators = _distinct(names)
    panel = Panel.of(bars, actions)
    _check_finite(panel)
    wanted = (panel.sessions >= np.datetime64(first)) & (
        panel.sessions <= np.datetime64(last)
    )
    columns = [column for indicator in indicators for column in indicator.columns]
    values = np.empty((len(columns), int(wanted.sum())))
    together = stretches_of(panel, wanted, calendar)
    for lead, is_steady in {(each.lead, each.is_steady) for each in indicators}:
        stretches = together if is_steady else together.one_by_one()
        group = [
            each for each in indicators if (each.lead, each.is_steady) == (lead, is_steady)
        ]
        for kept, lanes, out in batches(panel, stretches, lead):
            for indicator in group:
                at = columns.index(indicator.columns[0])
                for row, series in enumerate(_computed(indicator, lanes), start=at):
                    np.take(series, kept, out=values[row, out], mode="clip")
    return _frame(panel, wanted, columns, values)


def _frame(
    panel: Panel, wanted: NDArray[np.bool_], columns: list[str], values: Floats
) -> pd.DataFrame:
    names = np.repeat(np.array(panel.symbols, dtype=object), np.diff(panel.offsets))
    frame = pd.DataFrame(values.T, columns=pd.Index(columns, dtype=object), copy=False)
    frame.insert(0, "symbol", pd.Series(names[wanted], dtype=object))
    frame.insert(1, "session", pd.Series(panel.sessions[wanted].astype("datetime64[ns]")))
    return frame


def _computed(indicator: Indicator, lanes: Lanes) -> tuple[Floats, ...]:
    if len(lanes.close) == 0:
        return tuple(np.empty(0) for _ in indicator.columns)
    formula = FORMULAS.get(indicator.kind)
    if formula is None:
        return _catalog().compute(indicator.kind, indicator.params, lanes)
    return formula.compute(lanes, *indicator.params)


def _distinct(names: Sequence[str]) -> list[Indicator]:
    """Each indicator of *names* once.

    Raises:
        InvalidIndicator: If two of them give a column of the same name.
    """
    indicators = list(dict.fromkeys(parse_indicator(name) for name in names))
    makers: dict[str, str] = {}
    for indicator in indicators:
        for column in indicator.columns:
            other = makers.setdefault(column, indicator.name)
            if other != indicator.name:
                raise InvalidIndicator(
                    f"indicators {other} and {indicator.name} both give a column "
                    f"{column}; ask for one of them"
                )
    return indicators


def _check_finite(panel: Panel) -> None:
    for field in FIELDS:
        is_finite = np.isfinite(getattr(panel, field))
        if not is_finite.all():
            row = int(np.argmin(is_finite))
            at = int(np.searchsorted(panel.offsets, row, side="right")) - 1
            raise ValueError(
                f"{panel.symbols[at]} {panel.sessions[row]}: {field} must be a finite "
                f"number, was {getattr(panel, field)[row]}"
            )


def _own(kind: str, params: tuple[float, ...], formula: Formula) -> Indicator:
    problem = formula.problem(params)
    if problem:
        raise InvalidIndicator(f"indicator {_spelled(kind, params)}: {problem}")
    suffix = "".join(f"_{format_number(number)}" for number in params)
    return Indicator(
        name=_spelled(kind, params),
        kind=kind,
        params=params,
        columns=tuple(f"{stem}{suffix}" for stem in formula.stems),
        first_value=formula.first_value(*params),
        window=formula.window(*params),
    )


def _foreign(kind: str, params: tuple[float, ...]) -> Indicator:
    catalog = _catalog()
    known = catalog.kinds()
    if kind not in known and kind not in catalog.REFUSED:
        close = get_close_matches(kind, {*FORMULAS, *known}, n=3)
        hint = f"did you mean {', '.join(close)}? " if close else ""
        raise InvalidIndicator(
            f"indicator {_spelled(kind, params)} is not known: {hint}Allowed are "
            f"{', '.join(FORMULAS)} and the functions of pandas-ta"
        )
    found = catalog.traits(kind, params)
    return Indicator(
        name=_spelled(kind, params),
        kind=kind,
        params=params,
        columns=found.columns,
        first_value=found.first_value,
        window=found.window,
        is_steady=found.is_steady,
        has_gaps=found.has_gaps,
    )


def _spelled(kind: str, params: tuple[float, ...]) -> str:
    return "_".join([kind, *(format_number(each).replace("p", ".") for each in params)])


def _catalog() -> ModuleType:
    from trading_assets.core import pandas_ta_catalog  # noqa: PLC0415 - takes a second

    return pandas_ta_catalog
