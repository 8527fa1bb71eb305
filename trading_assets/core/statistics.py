"""What a book's history says: an equity curve becomes one row of figures.

Conventions, so that a figure can be checked with a pencil:

- The first equity is that at the close of the first session; the capital is the worth
  before it, so n sessions give n returns.
- A year is 252 sessions where daily returns are scaled, 365.25 days where time is counted.
- There is no risk-free rate; standard deviations divide by n - 1.
- The benchmark is bought with the whole capital at the close of the first session, the
  first instant at which the strategy decides anything, and held. Dividends are
  reinvested in it (`total_return_index`) unless the strategy ignores its own.
- A figure that has no meaning is None, never 0, NaN or infinity.

Volatility, Sharpe, Sortino, alpha and beta are empyrical's. Its CAGR and Calmar count
years as sessions / 252 and are ours for that reason; its drawdown has no length.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from trading_assets.errors import InvalidInput, ShapeMismatch
from trading_assets.models.bar import ActionKind
from trading_assets.models.portfolio import Performance
from trading_assets.strategies.spec import Dividends

Floats = NDArray[np.float64]
Figure = float | int | date | None

DAYS_PER_YEAR = 365.25
SESSIONS_PER_YEAR = 252
FLAT = 1e-12
"""Returns that differ by less are equal: what is left is rounding."""
LOG_FROM = 5.0
"""Highest over lowest worth from which equal growth is drawn as equal height."""

LABELS = ("strategy", "lane", "computed_at")
"""Columns of `performance` that are no statistics."""

RATIOS = ("volatility_frac", "sharpe", "sortino")
OUTCOMES = ("win_rate_frac", "profit_factor", "expectancy", "average_win", "average_loss")
AGAINST = ("alpha_frac", "beta", "benchmark_return_frac", "benchmark_max_drawdown_frac")


class Unit(StrEnum):
    """How a statistic is written for a person."""

    FRACTION = "fraction"
    RATIO = "ratio"
    MONEY = "money"
    COUNT = "count"
    DAY = "day"


@dataclass(frozen=True, slots=True)
class Statistic:
    """A column of `performance` in words.

    Attributes:
        group: The heading that it stands under.
        definition: One sentence from which it can be computed again.
    """

    label: str
    group: str
    unit: Unit
    definition: str


STATISTICS: Mapping[str, Statistic] = {
    "total_return_frac": Statistic(
        "Total return",
        "Return",
        Unit.FRACTION,
        "Last equity over capital, less one.",
    ),
    "cagr_frac": Statistic(
        "Annual return (CAGR)",
        "Return",
        Unit.FRACTION,
        "The steady yearly growth that gives the total return; years of 365.25 days "
        "between first and last session.",
    ),
    "final_equity": Statistic(
        "Final equity",
        "Return",
        Unit.MONEY,
        "Cash and positions at the close of the last session.",
    ),
    "volatility_frac": Statistic(
        "Volatility",
        "Risk",
        Unit.FRACTION,
        "Standard deviation (n - 1) of daily returns, times the root of 252.",
    ),
    "sharpe": Statistic(
        "Sharpe ratio",
        "Risk",
        Unit.RATIO,
        "Mean daily return over its standard deviation (n - 1), times the root of 252; "
        "no risk-free rate.",
    ),
    "sortino": Statistic(
        "Sortino ratio",
        "Risk",
        Unit.RATIO,
        "Mean daily return over the downside deviation, times the root of 252; the "
        "downside deviation is the root of the mean, over all sessions, of squared "
        "returns below zero.",
    ),
    "calmar": Statistic(
        "Calmar ratio",
        "Risk",
        Unit.RATIO,
        "Annual return (CAGR) over the maximum drawdown.",
    ),
    "max_drawdown_frac": Statistic(
        "Maximum drawdown",
        "Risk",
        Unit.FRACTION,
        "Deepest fall of equity from its highest value so far, the capital included.",
    ),
    "max_drawdown_sessions": Statistic(
        "Its length, sessions",
        "Risk",
        Unit.COUNT,
        "Sessions from the peak before the deepest fall until equity was back at it, or "
        "until the last session.",
    ),
    "sessions": Statistic(
        "Sessions",
        "Period",
        Unit.COUNT,
        "Sessions in the record.",
    ),
    "first_session": Statistic(
        "First session",
        "Period",
        Unit.DAY,
        "At whose close the record begins.",
    ),
    "last_session": Statistic(
        "Last session",
        "Period",
        Unit.DAY,
        "At whose close the record ends.",
    ),
    "trades": Statistic(
        "Trades",
        "Trading",
        Unit.COUNT,
        "Closed trades; each is what one exit closed.",
    ),
    "win_rate_frac": Statistic(
        "Win rate",
        "Trading",
        Unit.FRACTION,
        "Share of the trades that gained after commission.",
    ),
    "profit_factor": Statistic(
        "Profit factor",
        "Trading",
        Unit.RATIO,
        "Sum of the gains over sum of the losses, after commission; undefined without "
        "a loss.",
    ),
    "expectancy": Statistic(
        "Expectancy per trade",
        "Trading",
        Unit.MONEY,
        "Mean result of a trade after commission, account currency.",
    ),
    "average_win": Statistic(
        "Average win",
        "Trading",
        Unit.MONEY,
        "Mean result of the trades that gained, after commission, account currency.",
    ),
    "average_loss": Statistic(
        "Average loss",
        "Trading",
        Unit.MONEY,
        "Mean result of the trades that lost, after commission, account currency; "
        "negative.",
    ),
    "exposure_frac": Statistic(
        "Exposure",
        "Trading",
        Unit.FRACTION,
        "Mean over all sessions of gross exposure at the close: absolute worth of the "
        "positions over equity.",
    ),
    "turnover": Statistic(
        "Turnover per year",
        "Trading",
        Unit.RATIO,
        "Half of all that was bought and sold, over mean equity, per year of 365.25 "
        "days: 1 replaces the whole book once a year.",
    ),
    "benchmark_return_frac": Statistic(
        "Benchmark return",
        "Against the benchmark",
        Unit.FRACTION,
        "Buy and hold from the close of the first session to that of the last.",
    ),
    "benchmark_max_drawdown_frac": Statistic(
        "Benchmark drawdown",
        "Against the benchmark",
        Unit.FRACTION,
        "Deepest fall of the benchmark from its highest close so far, same sessions.",
    ),
    "alpha_frac": Statistic(
        "Alpha",
        "Against the benchmark",
        Unit.FRACTION,
        "Intercept of the least-squares line of daily returns on the benchmark's, "
        "compounded over 252 sessions.",
    ),
    "beta": Statistic(
        "Beta",
        "Against the benchmark",
        Unit.RATIO,
        "Slope of the least-squares line of daily returns on the benchmark's.",
    ),
}


def performance_of(
    portfolio: pd.DataFrame,
    trades: pd.DataFrame,
    fills: pd.DataFrame,
    *,
    capital: float,
    benchmark: pd.DataFrame | None = None,
) -> dict[str, Figure]:
    """Every statistic of one book: a `performance` row but for its labels.

    Args:
        portfolio: `portfolio` rows of one strategy and lane, sessions ascending.
        trades: `trades` rows of the same book.
        fills: `fills` rows of the same book.
        capital: Worth before the first session, account currency, above 0.
        benchmark: Columns ``session`` and ``close``: one share followed through splits
            and, where the book is paid dividends, with them reinvested, such as
            `total_return_index` gives. A session without a row keeps the close before.

    Returns:
        The columns of `Performance` but strategy, lane and computed_at, in its order.
        Undefined figures are None; so are the annual ones once equity touches zero.

    Raises:
        InvalidInput: If *capital* is not above 0.
        ShapeMismatch: If the sessions of *portfolio* are not strictly ascending.
    """
    sessions, equity = _curve(portfolio, capital)
    figures: dict[str, Figure] = {
        **_trading(trades),
        **_activity(portfolio, fills, years=_years(sessions)),
        **_growth(equity, capital, years=_years(sessions)),
        **_ratios(daily_returns(equity, capital)),
        **_falls(equity, capital),
        **_against(benchmark, sessions, equity),
        **_period(sessions, equity),
    }
    figures["calmar"] = _over(figures["cagr_frac"], figures["max_drawdown_frac"])
    return {name: figures[name] for name in Performance.model_fields if name not in LABELS}


@dataclass(frozen=True, slots=True)
class History:
    """What is drawn: one book's curve beside what holding the benchmark would have given.

    Attributes:
        sessions: ``datetime64[D]``, ascending, one per value below.
        equity: Account currency, at each close.
        held: The capital in the benchmark, bought at the first close; None without one.
        fall: Of equity from its highest so far, fraction, 0 or below.
        fall_held: The same of the benchmark.
        deepest: Positions of peak, trough and recovery of the deepest fall of equity.
        fell_sessions: From that peak to that recovery, or to the end.
        has_recovered: Whether equity came back to that peak.
        capital: Worth before the first session, account currency.
    """

    sessions: NDArray[np.datetime64]
    equity: Floats
    held: Floats | None
    fall: Floats
    fall_held: Floats | None
    deepest: tuple[int, int, int]
    fell_sessions: int
    has_recovered: bool
    capital: float

    @property
    def depth(self) -> float:
        """The deepest fall, as a fraction above or at 0."""
        return -float(self.fall[self.deepest[1]])

    def gain(self, worth: Floats) -> float:
        """What a curve gained on the capital, signed fraction."""
        return float(worth[-1]) / self.capital - 1

    @property
    def is_logarithmic(self) -> bool:
        """Whether the curves span so much that equal growth should look equal."""
        curves = [self.equity] if self.held is None else [self.equity, self.held]
        low, high = min(c.min() for c in curves), max(c.max() for c in curves)
        return bool(low > 0 and high / low > LOG_FROM)


def history_of(
    portfolio: pd.DataFrame, *, capital: float, benchmark: pd.DataFrame | None = None
) -> History:
    """The curves of one book, ready to be drawn.

    Args:
        portfolio: `portfolio` rows of one strategy and lane, sessions ascending.
        capital: Worth before the first session, account currency, above 0.
        benchmark: Columns ``session`` and ``close``, as for `performance_of`.

    Raises:
        InvalidInput: If *portfolio* is empty or *capital* is not above 0.
        ShapeMismatch: If the sessions of *portfolio* are not strictly ascending.
    """
    sessions, equity = _curve(portfolio, capital)
    if not equity.size:
        raise InvalidInput("a history takes at least one session, portfolio has none")
    held = None if benchmark is None else buy_and_hold(benchmark, sessions, capital)
    worth = np.concatenate(([capital], equity))
    _, peak, trough, recovery = deepest_fall(worth)
    return History(
        sessions=sessions,
        equity=equity,
        held=held,
        fall=_fall(equity, capital),
        fall_held=None if held is None else _fall(held, capital),
        # The curve drawn lacks the capital, which is no session's.
        deepest=(max(peak - 1, 0), max(trough - 1, 0), max(recovery - 1, 0)),
        fell_sessions=recovery - peak,
        has_recovered=bool(worth[recovery] >= worth[peak]),
        capital=capital,
    )


def daily_returns(equity: Floats, capital: float) -> Floats:
    """Growth of each session over the one before, the first over *capital*.

    Args:
        equity: At each close, account currency.
        capital: Before the first session, account currency.

    Returns:
        As many returns as sessions, or none at all if equity ever touches zero: what
        follows a ruin has no base.
    """
    worth = np.concatenate(([capital], equity))
    if worth.min() <= 0:
        return np.empty(0)
    return worth[1:] / worth[:-1] - 1


def deepest_fall(worth: Floats) -> tuple[float, int, int, int]:
    """The deepest drawdown of a curve and where it lies.

    Args:
        worth: Above 0 at the start, at least one value.

    Returns:
        Its depth as a fraction of the peak, and the positions of the peak (the last
        value at the high), the trough and the recovery (the last position if there is
        none). A curve that never falls gives 0 and its own end three times.
    """
    high = np.maximum.accumulate(worth)
    fall = 1 - worth / high
    trough = int(fall.argmax())
    last = len(worth) - 1
    if fall[trough] <= 0:
        return 0.0, last, last, last
    peak = int(np.flatnonzero(worth[:trough] == high[trough])[-1])
    back = np.flatnonzero(worth[trough:] >= high[trough])
    recovery = trough + int(back[0]) if back.size else last
    return float(fall[trough]), peak, trough, recovery


def buy_and_hold(
    benchmark: pd.DataFrame,
    sessions: "NDArray[np.datetime64] | pd.Series[Any]",
    worth: float,
) -> Floats | None:
    """What *worth* becomes when it is put into the benchmark and left there.

    Args:
        benchmark: Columns ``session`` and ``close``, as for `performance_of`.
        sessions: Ascending; it is bought at the close of the first.
        worth: At that close, account currency.

    Returns:
        Worth at each close; a session without a row keeps the close before it. None if
        the benchmark has no close at or before the first session, or there is none.
    """
    known = benchmark.dropna(subset=["close"]).sort_values("session", kind="stable")
    at = np.searchsorted(_days(known["session"]), _days(sessions), side="right") - 1
    if not at.size or at[0] < 0:
        return None
    closes = known["close"].to_numpy(dtype=np.float64)[at]
    return worth * closes / closes[0]


def total_return_index(
    bars: pd.DataFrame, actions: pd.DataFrame, dividends: Dividends = Dividends.CASH
) -> pd.DataFrame:
    """One share of a symbol followed through its corporate actions.

    Splits multiply the shares, a spin-off is sold for what it took from the previous
    close, and dividends buy more at the close of their ex-session. An action on a day
    without a bar counts at the next one.

    Args:
        bars: `bars` rows of one symbol, as traded.
        actions: `corporate_actions` rows of the same symbol.
        dividends: IGNORE leaves them out: the price-only index.

    Returns:
        Columns ``session`` and ``close``; the first close is as traded.
    """
    ordered = bars.sort_values("session", kind="stable")
    close = ordered["close"].to_numpy(dtype=np.float64)
    shares, cash, kept = np.ones_like(close), np.zeros_like(close), np.ones_like(close)
    days = np.searchsorted(_days(ordered["session"]), _days(actions["ex_session"]))
    for day, kind, value in zip(days, actions["kind"], actions["value"], strict=True):
        if not 0 < day < len(close):
            continue
        match ActionKind(kind):
            case ActionKind.SPLIT:
                shares[day] *= value
            case ActionKind.DIVIDEND:
                cash[day] += value if dividends is Dividends.CASH else 0.0
            case ActionKind.SPINOFF:
                kept[day] /= value
    growth = np.ones_like(close)
    growth[1:] = (shares * (close + cash))[1:] / close[:-1] + 1 - kept[1:]
    index = close[:1] * growth.cumprod() if close.size else close
    return pd.DataFrame({"session": ordered["session"].to_numpy(), "close": index})


def monthly_returns(portfolio: pd.DataFrame, capital: float) -> pd.DataFrame:
    """Growth of each calendar month and of each year.

    Args:
        portfolio: `portfolio` rows of one book, sessions ascending.
        capital: Before the first session, account currency.

    Returns:
        One row per year, ascending; columns 1 to 12 and ``year``, signed fractions. NaN
        for a month without sessions, or that began with nothing left.
    """
    equity = portfolio.set_index("session")["equity"]
    by_month = _growth_by(equity, capital, "M")
    by_year = _growth_by(equity, capital, "Y")
    months, years = pd.PeriodIndex(by_month.index), pd.PeriodIndex(by_year.index)
    table = pd.DataFrame(np.nan, index=years.year, columns=[*range(1, 13), "year"])
    table["year"] = by_year.to_numpy()
    for month, frac in zip(months, by_month, strict=True):
        table.loc[month.year, month.month] = frac
    return table


def written(figure: Any, unit: Unit) -> str:  # noqa: ANN401 - or what a database made of it
    """A figure as a person reads it; a dash where there is none."""
    if pd.isna(figure):
        return "–"  # noqa: RUF001 - a dash, not a minus
    match unit:
        case Unit.FRACTION:
            return percent(float(figure))
        case Unit.MONEY:
            return money(float(figure))
        case Unit.RATIO:
            return _minus(f"{round(float(figure), 2) + 0:,.2f}")
        case Unit.COUNT:
            return f"{int(figure):,}"
        case Unit.DAY:
            return f"{pd.Timestamp(figure):%Y-%m-%d}"


def money(amount: float) -> str:
    """An amount without cents, with separators: ``1,234``."""
    return _minus(f"{round(amount) + 0:,}")


def short_money(amount: float) -> str:
    """An amount for an axis, four digits at most: ``1.25M``."""
    for unit, letter in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(amount) >= unit:
            return _minus(f"{amount / unit:,.4g}{letter}")
    return _minus(f"{amount + 0:,.4g}")


def short_percent(frac: float) -> str:
    """A fraction in percent for an axis: ``2.5 %``, ``10 %``."""
    return _minus(f"{100 * frac + 0:.3g} %")


def percent(frac: float) -> str:
    """A fraction in percent, one decimal; none beyond 1,000 %."""
    digits = 1 if abs(frac) < 10 else 0  # noqa: PLR2004 - 1,000 %
    return _minus(f"{round(100 * frac, digits) + 0:,.{digits}f} %")


def signed_percent(frac: float) -> str:
    """A fraction in percent as `percent` writes it, with a plus where it gained."""
    return f"+{percent(frac)}" if round(frac, 3) > 0 else percent(frac)


def _minus(number: str) -> str:
    return number.replace("-", "−")  # noqa: RUF001 - the real one


def _fall(worth: Floats, capital: float) -> Floats:
    return worth / np.maximum.accumulate(np.maximum(worth, capital)) - 1


def _growth_by(
    equity: "pd.Series[float]", capital: float, period: str
) -> "pd.Series[float]":
    at_end = equity.groupby(pd.DatetimeIndex(equity.index).to_period(period)).last()
    before = at_end.shift(1)
    before.iloc[:1] = capital
    return (at_end / before - 1).where(before > 0)


def _curve(
    portfolio: pd.DataFrame, capital: float
) -> tuple[NDArray[np.datetime64], Floats]:
    if not capital > 0:
        raise InvalidInput(f"capital must be above 0, was {capital}")
    sessions = _days(portfolio["session"])
    if not (sessions[1:] > sessions[:-1]).all():
        raise ShapeMismatch(
            "portfolio must hold one book, each session once and in ascending order; "
            f"got {len(sessions)} rows that do not"
        )
    return sessions, portfolio["equity"].to_numpy(dtype=np.float64)


def _days(sessions: "NDArray[np.datetime64] | pd.Series[Any]") -> NDArray[np.datetime64]:
    return np.asarray(sessions, dtype="datetime64[D]")


def _years(sessions: NDArray[np.datetime64]) -> float:
    if not sessions.size:
        return 0.0
    return float((sessions[-1] - sessions[0]).astype(np.int64)) / DAYS_PER_YEAR


def _period(sessions: NDArray[np.datetime64], equity: Floats) -> dict[str, Figure]:
    return {
        "final_equity": float(equity[-1]) if equity.size else None,
        "sessions": len(sessions),
        "first_session": sessions[0].item() if sessions.size else None,
        "last_session": sessions[-1].item() if sessions.size else None,
    }


def _growth(equity: Floats, capital: float, *, years: float) -> dict[str, Figure]:
    if not equity.size:
        return {"total_return_frac": None, "cagr_frac": None}
    gained = float(equity[-1] / capital)
    cagr = None
    if years > 0 and equity.min() > 0:
        with np.errstate(over="ignore"):
            cagr = _finite(np.expm1(np.log(gained) / years))
    return {"total_return_frac": gained - 1, "cagr_frac": cagr}


def _ratios(returns: Floats) -> dict[str, Figure]:
    # Half a second to load; the definitions above are read without it.
    import empyrical  # noqa: PLC0415

    if returns.size < 2:  # noqa: PLR2004 - a deviation takes two
        return dict.fromkeys(RATIOS)
    swings = np.ptp(returns) > FLAT
    falls = returns.min() < -FLAT
    return {
        "volatility_frac": float(empyrical.annual_volatility(returns)),
        "sharpe": _finite(empyrical.sharpe_ratio(returns)) if swings else None,
        "sortino": _finite(empyrical.sortino_ratio(returns)) if falls else None,
    }


def _falls(equity: Floats, capital: float) -> dict[str, Figure]:
    if not equity.size:
        return {"max_drawdown_frac": None, "max_drawdown_sessions": None}
    depth, peak, _, recovery = deepest_fall(np.concatenate(([capital], equity)))
    return {"max_drawdown_frac": depth, "max_drawdown_sessions": recovery - peak}


def _trading(trades: pd.DataFrame) -> dict[str, Figure]:
    if trades.empty:
        return {"trades": 0, **dict.fromkeys(OUTCOMES)}
    net = (trades["pnl"] - trades["commission"]).to_numpy(dtype=np.float64)
    wins, losses = net[net > 0], net[net < 0]
    return {
        "trades": len(net),
        "win_rate_frac": len(wins) / len(net),
        "profit_factor": _over(float(wins.sum()), -float(losses.sum())),
        "expectancy": float(net.mean()),
        "average_win": float(wins.mean()) if wins.size else None,
        "average_loss": float(losses.mean()) if losses.size else None,
    }


def _activity(
    portfolio: pd.DataFrame, fills: pd.DataFrame, *, years: float
) -> dict[str, Figure]:
    equity = portfolio["equity"].to_numpy(dtype=np.float64)
    if not equity.size or equity.min() <= 0:
        return {"exposure_frac": None, "turnover": None}
    traded = float((fills["shares"] * fills["price"]).abs().sum())
    return {
        "exposure_frac": float(portfolio["gross_exposure_frac"].mean()),
        "turnover": _over(traded / 2 / float(equity.mean()), years),
    }


def _against(
    benchmark: pd.DataFrame | None, sessions: NDArray[np.datetime64], equity: Floats
) -> dict[str, Figure]:
    held = None if benchmark is None else buy_and_hold(benchmark, sessions, 1.0)
    if held is None:
        return dict.fromkeys(AGAINST)
    alpha, beta = _alpha_and_beta(
        daily_returns(equity[1:], float(equity[0])), daily_returns(held[1:], 1.0)
    )
    return {
        "alpha_frac": alpha,
        "beta": beta,
        "benchmark_return_frac": float(held[-1]) - 1,
        "benchmark_max_drawdown_frac": deepest_fall(held)[0],
    }


def _alpha_and_beta(
    returns: Floats, of_benchmark: Floats
) -> tuple[float | None, float | None]:
    import empyrical  # noqa: PLC0415 - as above

    if returns.size < 2 or np.ptp(of_benchmark) <= FLAT:  # noqa: PLR2004 - a line takes two
        return None, None
    with np.errstate(over="ignore"):
        alpha, beta = empyrical.alpha_beta_aligned(returns, of_benchmark)
    # Nothing compounds below -100 % a day; an even power would make it a gain.
    is_lost = returns.mean() - beta * of_benchmark.mean() <= -1
    return None if is_lost else _finite(alpha), _finite(beta)


def _over(part: Figure, whole: Figure) -> float | None:
    if not isinstance(part, float) or not isinstance(whole, float) or whole <= FLAT:
        return None
    return part / whole


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
