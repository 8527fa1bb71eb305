"""What became of signals: the trade that each describes, followed through later bars.

A signal of D is entered at the open of its symbol's next bar, as an order of D would be,
and followed for some of the symbol's own bars. It is a market entry with both levels in
force from that open on, and ends by the rules of `core.filling`, without slippage: what
has gapped through a level ends it at the open, and a bar that touches both takes the stop.
Levels are as signalled, in D's scale, and so are the prices that they are held against: a
split after D changes what is read and not what it means. Dividends are no part of it, on
either side of the comparison with the benchmark.

Nothing here knows what was held: a signal that no order followed has its outcome too.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from trading_assets.core.commission import commissions
from trading_assets.core.filling import BASIS_POINTS
from trading_assets.core.panel import Days, Floats, Panel
from trading_assets.models.outcome import FirstTouch
from trading_assets.models.signal import Action
from trading_assets.models.tables import SIGNAL_OUTCOMES
from trading_assets.strategies.spec import Costs

type Bools = NDArray[np.bool_]
type Rows = NDArray[np.int64]

HORIZONS = (5, 20, 60)
"""Of the symbol's own bars after the signal's: a week, a month and a quarter."""

OUTCOME_VERSION = "1"
"""Changes when the same signals and bars give other outcomes."""

POSITION = 10_000.0
"""Worth at the entry of the position that costs are reckoned for, account currency."""

SAID = (
    "action",
    "confidence_score",
    "analyst",
    "model",
    "prompt_version",
    "is_out_of_sample",
    "is_abstention",
    "cost_usd",
)
"""Columns of a signal that stand beside its outcome."""

TOUCHES = np.array([touch.value for touch in FirstTouch], dtype=object)
TARGET, STOP, TIME = range(len(TOUCHES))
NONE = np.array(None, dtype=object)

AT_ONCE = 16_384
"""Signals that are followed together: their paths take some hundred megabytes."""


def outcomes_of(
    signals: pd.DataFrame,
    panel: Panel,
    costs: Costs,
    *,
    benchmark: Panel | None = None,
    horizons: Sequence[int] = HORIZONS,
) -> pd.DataFrame:
    """What became of each signal after each horizon that is over.

    Args:
        signals: `signals` rows in any order; one without its own bar in *panel* gets none.
        panel: Bars of their symbols; what comes after them is as far as anything is known.
        costs: Of the strategy, for `net_return_frac`; a position is worth `POSITION`.
        benchmark: Bars of one symbol that `alpha_frac` is held against; None for none.
        horizons: In bars after the signal's, ascending.

    Returns:
        `SIGNAL_OUTCOMES` rows by symbol, session and horizon.
    """
    ordered = signals.sort_values(["symbol", "session"], kind="stable")
    at, end = _bars_of(panel, ordered)
    known = np.flatnonzero((at >= 0) & (end - at > horizons[0]))
    parts = [
        part
        for begin in range(0, len(known), AT_ONCE)
        for rows in [known[begin : begin + AT_ONCE]]
        for part in _after_each(
            ordered.iloc[rows], panel, at[rows], end[rows], costs, benchmark, horizons
        )
    ]
    if not parts:
        return SIGNAL_OUTCOMES.empty()
    every = pd.concat(parts, ignore_index=True)
    return SIGNAL_OUTCOMES.conform(every.sort_values(list(SIGNAL_OUTCOMES.key)))


def bars_since(panel: Panel, signals: pd.DataFrame) -> Rows:
    """How many bars *panel* has after each signal's own; -1 where it has not even that."""
    at, end = _bars_of(panel, signals)
    return np.where(at >= 0, end - at - 1, -1)


@dataclass(frozen=True, slots=True, eq=False)
class _Paths:
    """Where prices went after some signals: signals by bars, in each signal's own scale.

    Attributes:
        side: +1 to be long, -1 to be short, per signal.
        entry: The first open, per signal.
        best: The price of each bar that is best for its side; so for worst.
        sessions: Of the bars.
    """

    side: Floats
    entry: Floats
    open: Floats
    best: Floats
    worst: Floats
    close: Floats
    sessions: Days

    @classmethod
    def of(cls, panel: Panel, at: Rows, end: Rows, side: Floats, bars: int) -> "_Paths":
        """The *bars* after each bar *at*; behind a symbol's *end*, its last one again."""
        wanted = at[:, np.newaxis] + np.arange(1, bars + 1)
        found = np.minimum(wanted, end[:, np.newaxis] - 1)
        scale = panel.price_ratio[found] / panel.price_ratio[at][:, np.newaxis]
        opened, high, low, close = (
            getattr(panel, name)[found] * scale for name in ("open", "high", "low", "close")
        )
        is_long = side[:, np.newaxis] > 0
        return cls(
            side=side,
            entry=opened[:, 0],
            open=opened,
            best=np.where(is_long, high, low),
            worst=np.where(is_long, low, high),
            close=close,
            sessions=panel.sessions[found],
        )

    def gain(self, price: Floats) -> Floats:
        """From entry to *price*, as a fraction of the entry, in favour of the side."""
        return self.side * (price - self.entry) / self.entry + 0.0  # no negative zero

    def reached(self, price: Floats, level: Floats, way: float) -> Bools:
        """Where *price* is at or beyond *level*, to the good (+1) or to the bad (-1)."""
        side = way * self.side[:, np.newaxis]
        return side * (price - level[:, np.newaxis]) >= 0


@dataclass(frozen=True, slots=True, eq=False)
class _Touched:
    """Which level was touched first, per signal.

    Attributes:
        bar: Number of the bar, from 0; behind the last one where none was.
        touch: Index into `TOUCHES`.
    """

    bar: Rows
    touch: Rows
    price: Floats

    @classmethod
    def of(cls, paths: _Paths, stop: Floats, target: Floats) -> "_Touched":
        gapped = (paths.reached(paths.open, stop, -1), paths.reached(paths.open, target, 1))
        within = (
            paths.reached(paths.worst, stop, -1),
            paths.reached(paths.best, target, 1),
        )
        is_open = gapped[0] | gapped[1]
        is_touched = is_open | within[0] | within[1]
        first = np.where(is_touched.any(axis=1), is_touched.argmax(axis=1), -1)
        own = (np.arange(len(first)), first)
        is_stop = np.where(is_open[own], gapped[0][own], within[0][own])
        level = np.where(is_stop, stop, target)
        return cls(
            bar=np.where(first < 0, is_touched.shape[1], first),
            touch=np.where(is_stop, STOP, TARGET),
            price=np.where(is_open[own], paths.open[own], level),
        )


def _after_each(
    signals: pd.DataFrame,
    panel: Panel,
    at: Rows,
    end: Rows,
    costs: Costs,
    benchmark: Panel | None,
    horizons: Sequence[int],
) -> Iterator[pd.DataFrame]:
    """Outcomes of *signals*, horizon by horizon."""
    actions = signals["action"].to_numpy(dtype=object)
    is_trade = np.isin(actions, (Action.BUY.value, Action.SELL.value))
    side = np.where(actions == Action.SELL.value, -1.0, 1.0)
    levels = signals[["stop_loss", "take_profit"]].to_numpy(np.float64, na_value=np.nan)
    stop, target = np.where(is_trade, levels.T, np.nan)
    paths = _Paths.of(panel, at, end, side, horizons[-1])
    touched = _Touched.of(paths, stop, target)
    most = np.maximum.accumulate(side[:, np.newaxis] * paths.best, axis=1)
    least = np.minimum.accumulate(side[:, np.newaxis] * paths.worst, axis=1)
    for bars in horizons:
        columns = _trade(paths, touched, stop, bars, costs, is_trade) | {
            "horizon_sessions": bars,
            "return_frac": paths.gain(paths.close[:, bars - 1]),
            "alpha_frac": _alpha(paths, bars, benchmark),
            "mfe_frac": paths.gain(side * most[:, bars - 1]),
            "mae_frac": paths.gain(side * least[:, bars - 1]),
            "entry_price": paths.entry,
            "resolved_session": paths.sessions[:, bars - 1].astype("datetime64[ns]"),
        }
        said = signals[["strategy", "symbol", "session", *SAID]].reset_index(drop=True)
        yield said.assign(**columns)[end - at > bars]


def _trade(
    paths: _Paths,
    touched: _Touched,
    stop: Floats,
    bars: int,
    costs: Costs,
    is_trade: Bools,
) -> dict[str, NDArray]:
    """How the trade ended, with its levels in force; nothing where there is none."""
    is_over = touched.bar < bars
    price = np.where(is_over, touched.price, paths.close[:, bars - 1])
    touch = np.where(is_over, touched.touch, TIME)
    last = np.where(is_over, touched.bar, bars - 1)
    sessions = paths.sessions[np.arange(len(last)), last].astype("datetime64[ns]")
    risk = paths.side * (paths.entry - stop)
    gained = paths.side * (price - paths.entry) + 0.0
    net = _net(paths, price, touch, costs)
    return {
        "first_touch": np.where(is_trade, TOUCHES[touch], NONE),
        "r_multiple": gained / np.where(risk > 0, risk, np.nan),
        "exit_price": np.where(is_trade, price, np.nan),
        "exit_session": np.where(is_trade, sessions, np.datetime64("NaT", "ns")),
        "trade_return_frac": np.where(is_trade, paths.gain(price), np.nan),
        "net_return_frac": np.where(is_trade, net, np.nan),
    }


def _net(paths: _Paths, price: Floats, touch: Rows, costs: Costs) -> Floats:
    """What is left of the trade after slippage and commission, fraction of the entry.

    As an order would have it: a target is a limit and slips nothing, all else does.
    """
    slip_frac = paths.side * costs.slippage_bps / BASIS_POINTS
    bought = paths.entry * (1 + slip_frac)
    sold = price * (1 - np.where(touch == TARGET, 0.0, slip_frac))
    shares = np.maximum(np.floor(POSITION / paths.entry), 1.0)
    charged = sum(
        commissions(costs.commission, shares=shares, price=own) for own in (bought, sold)
    )
    return (paths.side * (sold - bought) - charged / shares) / paths.entry


def _alpha(paths: _Paths, bars: int, benchmark: Panel | None) -> Floats:
    """How much better the side did than the same side of the benchmark."""
    if benchmark is None or not len(benchmark.sessions):
        return np.full(len(paths.entry), np.nan)
    opened = _benchmark(benchmark, benchmark.open, paths.sessions[:, 0])
    closed = _benchmark(benchmark, benchmark.close, paths.sessions[:, bars - 1])
    gained = closed / opened - 1.0
    return paths.gain(paths.close[:, bars - 1]) - paths.side * gained + 0.0


def _benchmark(benchmark: Panel, prices: Floats, sessions: Days) -> Floats:
    """*prices* of *sessions* in the benchmark's first scale; NaN where it has no bar."""
    place = np.searchsorted(benchmark.sessions, sessions)
    at = np.minimum(place, len(benchmark.sessions) - 1)
    scaled = prices[at] * benchmark.price_ratio[at]
    return np.where(benchmark.sessions[at] == sessions, scaled, np.nan)


def _bars_of(panel: Panel, signals: pd.DataFrame) -> tuple[Rows, Rows]:
    """Per signal: the index of its own bar, -1 for none, and where its symbol's end."""
    codes = pd.Categorical(signals["symbol"], categories=list(panel.symbols)).codes
    owner = np.repeat(np.arange(len(panel.symbols)), np.diff(panel.offsets))
    bars, wanted = (
        _key(codes_, days)
        for codes_, days in (
            (owner, panel.sessions),
            (codes.astype(np.int64), signals["session"].to_numpy()),
        )
    )
    place = np.searchsorted(bars, wanted)
    found = np.append(bars, np.iinfo(np.int64).min)[place] == wanted
    at = np.where(found & (codes >= 0), place, -1)
    return at, panel.offsets[codes.astype(np.int64) + 1]


def _key(symbols: Rows, sessions: NDArray[np.datetime64]) -> Rows:
    """One number per symbol and session, ascending as the bars of a panel are."""
    return symbols * 2**32 + sessions.astype("datetime64[D]").astype(np.int64)
