"""A market that needs no one: any symbol, from a fixed day on, the same for ever."""

from collections.abc import Sequence
from datetime import date
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from trading_assets.adapters.market_data.port import MarketHistory
from trading_assets.adapters.market_data.random_walk import (
    Character,
    Factor,
    Walk,
    character_of,
    draw_factor,
    draw_walk,
)
from trading_assets.adapters.market_data.series import (
    Actions,
    SymbolSeries,
    cut_history,
    distinct_symbols,
)
from trading_assets.models.bar import ActionKind, CoverageStatus
from trading_assets.sessions import TradingCalendar

EPOCH = date(2000, 1, 3)
"""First session; a price depends on every step from here on."""

DEFAULT_SEED = 1
KEPT_SYMBOLS = 128
SPLIT_AT = 100.0
"""Price that a split brings a share back to, currency."""

REVERSE_SPLIT_BELOW = 6.0
REVERSE_SPLIT_RATIO = 0.2
NOTICE_STEPS = 10
"""From the close that makes a company split to the split."""

LOT_SHARES = 100
CENTS = 2


class SimulatedMarketData:
    """Bars, dividends and splits that are pure functions of seed, symbol and session.

    The walk has a step for every weekday on which the exchange ever trades, holidays
    included, so a holiday that a newer calendar adds moves no other bar.

    Args:
        seed: Which of the possible markets.
        calendar: Says which days are sessions.
    """

    def __init__(self, seed: int, calendar: TradingCalendar) -> None:
        self._seed = seed
        self._calendar = calendar
        self._drawn = lru_cache(KEPT_SYMBOLS)(self._draw)

    @property
    def source(self) -> str:
        """``simulated:`` and the seed."""
        return f"simulated:{self._seed}"

    @property
    def restates(self) -> bool:
        """Never: what was traded stays as it was."""
        return False

    def history(self, symbols: Sequence[str], first: date, last: date) -> MarketHistory:
        """Cut from the walks of *symbols*, as `MarketData` promises."""
        series = [self._drawn(symbol) for symbol in distinct_symbols(symbols)]
        return cut_history(self.source, series, self._calendar.between(first, last), {})

    @cached_property
    def _days(self) -> NDArray[np.datetime64]:
        """The day of every step."""
        sessions = np.array(self._calendar.sessions, dtype="datetime64[D]")
        days = np.arange(np.datetime64(EPOCH, "D"), sessions[-1] + 1)
        return days[np.isin(_weekday(days), np.unique(_weekday(sessions)))]

    @cached_property
    def _session_steps(self) -> NDArray[np.intp]:
        """The step of every session."""
        sessions = self._calendar.between(EPOCH, self._calendar.sessions[-1])
        return np.searchsorted(self._days, np.array(sessions, dtype="datetime64[D]"))

    @cached_property
    def _factor(self) -> Factor:
        return draw_factor(self._seed, len(self._days))

    def _draw(self, symbol: str) -> SymbolSeries:
        own = character_of(self._seed, symbol)
        walk = draw_walk(self._seed, symbol, self._factor, self._days)
        steps = self._session_steps
        splits = _splits(np.exp(walk.close), own, steps)
        scale = np.ones(len(self._days))
        for step, ratio in splits:
            scale[step:] /= ratio
        sessions = self._days[steps]
        return SymbolSeries(
            symbol=symbol,
            sessions=sessions,
            values=_bars(walk, scale, steps),
            first=sessions[0],
            last=sessions[-1],
            absences={
                CoverageStatus.NOT_LISTED: f"the simulated market begins {sessions[0]}"
            },
            actions=_actions(splits, _dividends(walk, own, scale, steps), self._days),
        )


def _weekday(days: NDArray[np.datetime64]) -> NDArray[np.int64]:
    return days.astype(np.int64) % 7


def _bars(
    walk: Walk, scale: NDArray[np.float64], steps: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Open, high, low, close in cents and volume in lots, one row per session."""
    logs = np.column_stack([walk.open, walk.high, walk.low, walk.close])[steps]
    # rounding keeps the order of prices, so high and low still span open and close
    prices = np.maximum(np.round(np.exp(logs) * scale[steps, None], CENTS), 0.01)
    lots = np.round(walk.turnover[steps] / prices[:, 3] / LOT_SHARES)
    return np.column_stack([prices, np.maximum(lots, 1.0) * LOT_SHARES])


def _splits(
    closes: NDArray[np.float64], own: Character, steps: NDArray[np.intp]
) -> list[tuple[int, float]]:
    """Step and ratio of each split: the first session after the notice has run out."""
    splits: list[tuple[int, float]] = []
    scale, since = 1.0, 0
    while own.split_ratio:
        prices = closes[since:] * scale
        dear = prices > SPLIT_AT * own.split_ratio
        due = np.flatnonzero(dear | (prices < REVERSE_SPLIT_BELOW))
        if not len(due):
            break
        at = int(np.searchsorted(steps, since + due[0] + NOTICE_STEPS))
        if at == len(steps):
            break
        ratio = float(own.split_ratio) if dear[due[0]] else REVERSE_SPLIT_RATIO
        since = int(steps[at])
        scale /= ratio
        splits.append((since, ratio))
    return splits


def _dividends(
    walk: Walk, own: Character, scale: NDArray[np.float64], steps: NDArray[np.intp]
) -> list[tuple[int, float]]:
    """Step and cash per share of each dividend: what the price loses before the open."""
    at = np.searchsorted(steps, walk.ex_steps)
    ex_steps = walk.ex_steps[(at < len(steps)) & (walk.ex_steps > 0)]
    paid_at = steps[np.searchsorted(steps, ex_steps)]
    before = np.exp(walk.close[ex_steps - 1]) * scale[paid_at]
    cash = np.round(before * -np.expm1(-own.yield_frac / 4), CENTS)
    return list(zip(paid_at.tolist(), np.maximum(cash, 0.01).tolist(), strict=True))


def _actions(
    splits: Sequence[tuple[int, float]],
    dividends: Sequence[tuple[int, float]],
    days: NDArray[np.datetime64],
) -> Actions:
    rows = sorted(
        [(step, ActionKind.SPLIT.value, ratio) for step, ratio in splits]
        + [(step, ActionKind.DIVIDEND.value, cash) for step, cash in dividends]
    )
    return Actions(
        ex_sessions=days[np.array([step for step, _, _ in rows], dtype=np.intp)],
        kinds=tuple(kind for _, kind, _ in rows),
        amounts=np.array([amount for _, _, amount in rows], dtype=np.float64),
    )
