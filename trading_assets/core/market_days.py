"""What the walk looks at: a range of sessions as arrays, sessions by symbols."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from math import isnan

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from trading_assets.core.filling import Candle
from trading_assets.errors import InvalidInput
from trading_assets.models.approval import Ruling
from trading_assets.models.bar import ActionKind
from trading_assets.models.signal import Action
from trading_assets.sessions import TradingCalendar
from trading_assets.strategies.spec import ApprovalRule

Floats = NDArray[np.float64]

PRICES = ("open", "high", "low", "close")
CLOSE = PRICES.index("close")
LEVELS = ("confidence_score", "entry", "stop_loss", "take_profit")
TRUST = ("multiple", "probability", "payoff")
ACTION_ORDER = {ActionKind.SPLIT: 0, ActionKind.DIVIDEND: 1, ActionKind.SPINOFF: 2}
WANTED = {Action.BUY: 1, Action.SELL: -1}

type Answers = Mapping[tuple[str, str], Ruling]
"""By the id of an entry or exit, and the hash of what was asked."""


@dataclass(frozen=True, slots=True)
class MarketDays:
    """Bars, signals and corporate actions of a range; NaN where there is nothing.

    Attributes:
        sessions: Of the range, ascending.
        opens_at: When each opens, UTC; so for closes_at.
        symbols: Ascending.
        column: Where each symbol stands.
        prices: Sessions by symbols by `PRICES`, as traded.
        wanted: Sessions by symbols: +1 BUY, -1 SELL, 0 HOLD, abstention or no signal.
        levels: Sessions by symbols by `LEVELS`.
        volatility: Sessions by symbols, annual; NaN where it was not asked for.
        actions: Per session, what happens before its open, in the order it happens.
        uncovered: Sessions of symbols of which it is not known whether there was a bar;
            the walk refuses to go through one with such a symbol in the book.
        halted: Sessions in which nothing new may be ordered, and why.
        trust: Sessions by symbols by `TRUST`: how much of its size a signal gets, and why;
            None where sizing does not ask. It is then no part of any digest.
        approvals: Sessions in which orders wait for a person, and which of them.
        answers: What people had said by the open of a session of what was decided at the
            close before, by order id and hash of what they were asked.
        reasoning: What the analyst said of each symbol at the last close, in its words.
    """

    sessions: tuple[date, ...]
    opens_at: tuple[datetime, ...]
    closes_at: tuple[datetime, ...]
    symbols: tuple[str, ...]
    column: Mapping[str, int]
    prices: Floats
    wanted: NDArray[np.int8]
    levels: Floats
    volatility: Floats
    actions: Mapping[int, Sequence[tuple[str, ActionKind, float]]]
    uncovered: frozenset[tuple[date, str]] = frozenset()
    halted: Mapping[date, str] = field(default_factory=dict)
    trust: Floats | None = None
    approvals: Mapping[date, ApprovalRule] = field(default_factory=dict)
    answers: Mapping[date, Answers] = field(default_factory=dict)
    reasoning: Mapping[str, str] = field(default_factory=dict)

    def candle(self, day: int, symbol: str) -> Candle | None:
        """The bar of *symbol* on day number *day*, or None."""
        if (at := self.column.get(symbol)) is None:
            return None
        candle = Candle._make(self.prices[day, at].tolist())
        return None if isnan(candle.open) else candle

    def closes(self, day: int) -> dict[str, float]:
        """The close of every symbol that has a bar on day number *day*."""
        closes = self.prices[day, :, CLOSE].tolist()
        return {
            symbol: close
            for symbol, close in zip(self.symbols, closes, strict=True)
            if not isnan(close)
        }

    def since(self, day: int) -> "MarketDays":
        """The same market from day number *day* on."""
        return replace(
            self,
            sessions=self.sessions[day:],
            opens_at=self.opens_at[day:],
            closes_at=self.closes_at[day:],
            prices=self.prices[day:],
            wanted=self.wanted[day:],
            levels=self.levels[day:],
            volatility=self.volatility[day:],
            trust=None if self.trust is None else self.trust[day:],
            actions={at - day: own for at, own in self.actions.items() if at >= day},
        )

    def price_digest(self, day: int, symbols: Sequence[str]) -> bytes:
        """Of what day number *day* says *symbols* were worth, signals left aside."""
        content = hashlib.blake2b(repr(symbols).encode(), digest_size=16)
        columns = [self.column[symbol] for symbol in symbols]
        content.update(self.prices[day, columns].tobytes())
        content.update(self._actions_of(day, symbols))
        return content.digest()

    def digest(self, day: int, symbols: Sequence[str]) -> bytes:
        """Of all that day number *day* says about *symbols*."""
        is_all = symbols == self.symbols
        columns = slice(None) if is_all else [self.column[symbol] for symbol in symbols]
        content = hashlib.blake2b(repr(symbols).encode(), digest_size=16)
        content.update(self.prices[day, columns].tobytes())
        content.update(self.wanted[day, columns].tobytes())
        content.update(self.levels[day, columns].tobytes())
        content.update(self.volatility[day, columns].tobytes())
        if self.trust is not None:
            content.update(self.trust[day, columns].tobytes())
        content.update(self._actions_of(day, symbols))
        return content.digest()

    def _actions_of(self, day: int, symbols: Sequence[str]) -> bytes:
        own = [entry for entry in self.actions.get(day, ()) if entry[0] in symbols]
        return repr([(s, kind.value, value) for s, kind, value in own]).encode()


def market_days(
    *,
    sessions: Sequence[date],
    symbols: Sequence[str],
    bars: pd.DataFrame,
    actions: pd.DataFrame,
    signals: pd.DataFrame,
    volatility: pd.DataFrame | None,
    calendar: TradingCalendar,
    uncovered: frozenset[tuple[date, str]] = frozenset(),
    trust: pd.DataFrame | None = None,
) -> MarketDays:
    """Arrange frames of a range for the walk.

    Args:
        sessions: The range, ascending.
        symbols: The universe, and what is held beyond it.
        bars: `bars` rows; so are the others of their tables. Rows of other symbols and
            sessions are passed over.
        volatility: Columns symbol, session and volatility; None when sizing needs none.
        calendar: Of the exchange, for the instants of open and close.
        uncovered: See `MarketDays`.
        trust: Columns symbol, session and `TRUST`; None when sizing needs none.
    """
    ordered = tuple(sorted(symbols))
    grid = _Grid(
        tuple(sessions), ordered, {symbol: at for at, symbol in enumerate(ordered)}
    )
    wanted = grid.fill(
        signals.assign(wanted=signals["action"].map(WANTED).astype(float)), ("wanted",)
    )
    return MarketDays(
        sessions=grid.sessions,
        opens_at=tuple(calendar.open_at(session) for session in sessions),
        closes_at=tuple(calendar.close_at(session) for session in sessions),
        symbols=ordered,
        column=grid.column,
        prices=grid.fill(bars, PRICES),
        wanted=np.nan_to_num(wanted[:, :, 0]).astype(np.int8),
        levels=grid.fill(signals, LEVELS),
        volatility=_volatility(grid, volatility),
        actions=_by_day(grid, actions),
        uncovered=uncovered,
        trust=None if trust is None else grid.fill(trust, TRUST),
        reasoning=_reasoning(signals, sessions[-1]) if sessions else {},
    )


@dataclass(frozen=True, slots=True)
class _Grid:
    sessions: tuple[date, ...]
    symbols: tuple[str, ...]
    column: Mapping[str, int]

    def fill(self, frame: pd.DataFrame, fields: Sequence[str]) -> Floats:
        """*fields* of *frame*, sessions by symbols by fields, NaN where it has no row."""
        cells = np.full((len(self.sessions), len(self.symbols), len(fields)), np.nan)
        if frame.empty or not self.sessions:
            return cells
        days = np.array(self.sessions, dtype="datetime64[D]")
        own = frame["session"].to_numpy().astype("datetime64[D]")
        rows = np.searchsorted(days, own)
        columns = frame["symbol"].map(self.column).fillna(-1).to_numpy(dtype=np.int64)
        known = (columns >= 0) & (rows < len(days))
        known[known] = days[rows[known]] == own[known]
        values = frame[list(fields)].to_numpy(dtype=np.float64)
        # A digest sees bits, and machines differ in those of what is not a number.
        values = np.where(np.isnan(values), np.nan, values)
        cells[rows[known], columns[known]] = values[known]
        return cells


def _volatility(grid: _Grid, volatility: pd.DataFrame | None) -> Floats:
    if volatility is None:
        return np.full((len(grid.sessions), len(grid.symbols)), np.nan)
    return grid.fill(volatility, ("volatility",))[:, :, 0]


def _reasoning(signals: pd.DataFrame, session: date) -> dict[str, str]:
    own = signals[signals["session"] == pd.Timestamp(session)]
    return dict(zip(own["symbol"], own["reasoning"], strict=True))


def _by_day(
    grid: _Grid, actions: pd.DataFrame
) -> dict[int, list[tuple[str, ActionKind, float]]]:
    day_of = {session: day for day, session in enumerate(grid.sessions)}
    found: dict[int, list[tuple[str, ActionKind, float]]] = {}
    for symbol, session, kind, value in zip(
        actions["symbol"],
        actions["ex_session"].dt.date,
        actions["kind"],
        actions["value"],
        strict=True,
    ):
        if (day := day_of.get(session)) is not None and symbol in grid.column:
            known = _kind(kind, symbol, session)
            found.setdefault(day, []).append((symbol, known, float(value)))
    for entries in found.values():
        entries.sort(key=lambda entry: (ACTION_ORDER[entry[1]], entry[0]))
    return found


def _kind(kind: str, symbol: str, session: date) -> ActionKind:
    try:
        return ActionKind(kind)
    except ValueError as error:
        allowed = [known.value for known in ActionKind]
        raise InvalidInput(
            f"corporate action of {symbol} on {session}: kind must be one of {allowed}, "
            f"was {kind!r}"
        ) from error
