"""A book on one page: a single HTML file that needs nothing beside it.

No script, no font, no picture is fetched; it reads on a phone, in the dark and on paper.
"""

import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined

from trading_assets.core.statistics import (
    STATISTICS,
    Floats,
    History,
    Statistic,
    history_of,
    money,
    monthly_returns,
    percent,
    short_money,
    short_percent,
    signed_percent,
    written,
)
from trading_assets.models.base import Lane, Side
from trading_assets.models.order import OrderStatus
from trading_assets.strategies.spec import Dividends, EntryOrder, StrategySpec

EXTREMES = 5
"""How many of the best and of the worst trades stand at the top."""
HEADLINES = (
    "total_return_frac",
    "cagr_frac",
    "sharpe",
    "max_drawdown_frac",
    "win_rate_frac",
    "final_equity",
)
GAINS = frozenset({"total_return_frac", "cagr_frac", "benchmark_return_frac", "alpha_frac"})
"""Fractions that carry a sign and a colour."""
RULE = re.compile(r"[A-Za-z_]\w*")

ENTRIES: Mapping[EntryOrder, str] = {
    EntryOrder.MARKET_NEXT_OPEN: "entries fill at the open of the next session",
    EntryOrder.LIMIT_AT_ENTRY: "entries are limit orders at the signalled price, good for "
    "the next session",
    EntryOrder.STOP_AT_ENTRY: "entries are stop orders at the signalled price, good for "
    "the next session",
}

# The drawing, in its own units; the page scales it.
LEFT, RIGHT = 52.0, 1072.0
WORTH_TOP, WORTH_BOTTOM = 10.0, 318.0
FALL_TOP, FALL_BOTTOM = 346.0, 446.0
MOST_DATES = 9
MONTH_STEPS = (1, 2, 3, 6, 12, 24, 60, 120)


@dataclass(frozen=True, slots=True)
class Mark:
    """A place on an axis and what stands there."""

    at: float
    label: str


@dataclass(frozen=True, slots=True)
class Strip:
    """A stretch of the time axis and what hovering over it says."""

    left: float
    width: float
    says: str


@dataclass(frozen=True, slots=True)
class Drawing:
    """The equity and drawdown curves as lines of an SVG.

    Attributes:
        worth: Marks of the upper axis; `falls` of the lower, `dates` of the common one.
        capital: Height of the line that the book started on.
        equity: Path of the book's worth; `held` that of the benchmark, empty without one.
        fall: Path of the drawdown; `fall_held` that of the benchmark's.
        fall_area: The drawdown closed along its zero line.
        deepest: From the peak to the recovery of the deepest fall; None if it never fell.
        months: One strip per month.
    """

    worth: Sequence[Mark]
    falls: Sequence[Mark]
    dates: Sequence[Mark]
    capital: float
    equity: str
    held: str
    fall: str
    fall_held: str
    fall_area: str
    deepest: Strip | None
    months: Sequence[Strip]


@dataclass(frozen=True, slots=True)
class Figure:
    """A statistic with its value in words.

    Attributes:
        beside: What the benchmark did, or what the figure rests on; may be empty.
        tone: ``up``, ``down`` or empty.
    """

    statistic: Statistic
    value: str
    beside: str = ""
    tone: str = ""


@dataclass(frozen=True, slots=True)
class Refusals:
    """How often one rule said no, and what it said last."""

    rule: str
    count: int
    session: date
    symbol: str
    reason: str


def tear_sheet(
    *,
    spec: StrategySpec,
    lane: Lane,
    performance: Mapping[str, Any],
    portfolio: pd.DataFrame,
    positions: pd.DataFrame,
    trades: pd.DataFrame,
    orders: pd.DataFrame,
    benchmark: pd.DataFrame | None = None,
    is_simulated_market: bool = False,
) -> str:
    """One self-contained HTML page about one book.

    All frames hold rows of the strategy and lane alone.

    Args:
        performance: What `statistics.performance_of` gave, or the stored row.
        portfolio: `portfolio` rows, sessions ascending, at least one.
        positions: `positions` rows; those of the last session are shown.
        trades: `trades` rows.
        orders: `orders` rows; the refused ones are counted by rule.
        benchmark: Columns ``session`` and ``close``, as for `statistics.performance_of`.
        is_simulated_market: The bars are invented; the page says so at its top.

    Raises:
        InvalidInput: If *portfolio* is empty.
        ShapeMismatch: If the sessions of *portfolio* are not strictly ascending.
    """
    history = history_of(portfolio, capital=spec.capital, benchmark=benchmark)
    last = portfolio.iloc[-1]
    benchmark_name = spec.benchmark if history.held is not None else None
    return _template().render(
        spec=spec,
        lane=lane,
        is_simulated_market=is_simulated_market,
        benchmark_name=benchmark_name,
        history=history,
        first=history.sessions[0].item(),
        last=history.sessions[-1].item(),
        headlines=[_headline(name, performance, benchmark_name) for name in HEADLINES],
        drawing=draw(history),
        months=_heat(monthly_returns(portfolio, spec.capital)),
        groups=_groups(performance),
        trades=_results(trades),
        positions=positions[positions["session"] == last["session"]].to_dict("records"),
        cash=float(last["cash"]),
        equity=float(last["equity"]),
        refusals=refusals_by_rule(orders),
        fill_rule=fill_rule(spec, lane),
        specification=specification(spec),
        book_hash=last["book_hash"],
    )


def fill_rule(spec: StrategySpec, lane: Lane = Lane.SIMULATED) -> str:
    """How this strategy's orders become fills, in one sentence."""
    entries = ENTRIES[spec.execution.order]
    legs = ", and stop and target rest in the market" if spec.execution.bracket else ""
    if lane is Lane.IBKR:
        how = "prices and costs are those of the broker's executions"
    else:
        paid = "paid in cash" if spec.costs.dividends is Dividends.CASH else "ignored"
        how = (
            f"slippage is {spec.costs.slippage_bps:g} bp against us on market and stop "
            f"fills, commission {spec.costs.commission.value}, dividends are {paid}"
        )
    return f"Decided on the close; {entries}, exits at the next open{legs}; {how}."


def specification(spec: StrategySpec) -> str:
    """The strategy as YAML, every default written out."""
    said = {**spec.model_dump(mode="json"), "start": spec.start}
    return yaml.safe_dump(
        said, sort_keys=False, allow_unicode=True, default_flow_style=None, width=100
    )


def refusals_by_rule(orders: pd.DataFrame) -> list[Refusals]:
    """Refused orders counted by the rule that their reason begins with, most first."""
    refused = orders[orders["status"] == OrderStatus.REFUSED.value]
    named = refused.assign(rule=[_rule(reason) for reason in refused["reason"]])
    found = [
        Refusals(
            rule=str(rule),
            count=len(rows),
            session=rows["session"].iloc[-1].date(),
            symbol=rows["symbol"].iloc[-1],
            reason=rows["reason"].iloc[-1],
        )
        for rule, rows in named.sort_values("session", kind="stable").groupby("rule")
    ]
    return sorted(found, key=lambda refusals: (-refusals.count, refusals.rule))


def draw(history: History) -> Drawing:
    """The curves of *history* as paths and marks of an SVG, 1080 wide."""
    days = _day_numbers(history)
    x = _Scale(days[0] - (days.size == 1), max(days[-1], days[0] + 1), LEFT, RIGHT)
    worth = _worth_scale(history)
    falls = (
        [history.fall] if history.fall_held is None else [history.fall, history.fall_held]
    )
    lowest = min(*(float(fall.min()) for fall in falls), -0.01)
    fall = _Scale(lowest, 0.0, FALL_BOTTOM, FALL_TOP)
    at = x.place(days)
    of_fall = _path(at, fall.place(history.fall))
    return Drawing(
        worth=[Mark(worth.at(tick), short_money(tick)) for tick in worth.ticks()],
        falls=[Mark(fall.at(tick), short_percent(tick)) for tick in fall.ticks(3)],
        dates=_dates(history, x),
        capital=worth.at(history.capital),
        equity=_path(at, worth.place(history.equity)),
        held="" if history.held is None else _path(at, worth.place(history.held)),
        fall=of_fall,
        fall_held=(
            "" if history.fall_held is None else _path(at, fall.place(history.fall_held))
        ),
        fall_area=f"M{at[0]:.1f} {FALL_TOP:g}L{of_fall[1:]}L{at[-1]:.1f} {FALL_TOP:g}Z",
        deepest=_deepest(history, at),
        months=_months(history, at),
    )


@dataclass(frozen=True, slots=True)
class _Scale:
    """Values from *low* to *high*, laid out from *start* to *end*."""

    low: float
    high: float
    start: float
    end: float
    is_logarithmic: bool = False

    def place(self, values: Floats) -> Floats:
        low, high, placed = self.low, self.high, values
        if self.is_logarithmic:
            low, high, placed = np.log(low), np.log(high), np.log(values)
        return self.start + (placed - low) / (high - low) * (self.end - self.start)

    def at(self, value: float) -> float:
        return round(float(self.place(np.array([value]))[0]), 1)

    def ticks(self, about: int = 6) -> list[float]:
        """Round values within the scale, about as many as asked for."""
        if self.is_logarithmic:
            tens = range(int(np.floor(np.log10(self.low))), int(np.log10(self.high)) + 1)
            steps = [digit * 10.0**power for power in tens for digit in (1, 2, 5)]
            return [tick for tick in steps if self.low <= tick <= self.high]
        rough = (self.high - self.low) / about
        power = 10.0 ** np.floor(np.log10(rough))
        step = float(next(s for s in (1, 2, 2.5, 5, 10) if s * power >= rough) * power)
        first, last = int(np.ceil(self.low / step)), int(np.floor(self.high / step))
        return [index * step for index in range(first, last + 1)]


def _worth_scale(history: History) -> _Scale:
    curves = [history.equity, np.array([history.capital])]
    if history.held is not None:
        curves.append(history.held)
    values = np.concatenate(curves)
    low, high = float(values.min()), float(values.max())
    if history.is_logarithmic:
        room = (high / low) ** 0.04
        return _Scale(low / room, high * room, WORTH_BOTTOM, WORTH_TOP, is_logarithmic=True)
    room = 0.04 * (high - low) or 0.01 * history.capital
    return _Scale(low - room, high + room, WORTH_BOTTOM, WORTH_TOP)


def _day_numbers(history: History) -> Floats:
    return history.sessions.astype(np.int64).astype(np.float64)


def _path(x: Floats, y: Floats) -> str:
    return "M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in zip(x, y, strict=True))


def _deepest(history: History, at: Floats) -> Strip | None:
    if history.depth <= 0:
        return None
    peak, trough, recovery = history.deepest
    over = "" if history.has_recovered else ", not over"
    return Strip(
        left=round(float(at[peak]), 1),
        width=round(float(at[recovery] - at[peak]), 1),
        says=f"Deepest fall: {percent(-history.depth)} on {history.sessions[trough]}, "
        f"{history.fell_sessions:,} sessions from peak to recovery{over}",
    )


def _months(history: History, at: Floats) -> list[Strip]:
    months = history.sessions.astype("datetime64[M]")
    starts = [0, *(np.flatnonzero(months[1:] != months[:-1]) + 1).tolist()]
    edges = [*at[starts].tolist(), RIGHT]
    ends = [*(start - 1 for start in starts[1:]), len(at) - 1]
    return [
        Strip(round(left, 1), round(right - left, 1), _month_end(history, end))
        for (left, right), end in zip(pairwise(edges), ends, strict=True)
    ]


def _month_end(history: History, at: int) -> str:
    says = f"{history.sessions[at]}: {money(history.equity[at])}"
    if history.held is not None:
        says += f", held {money(history.held[at])}"
    return f"{says}, drawdown {percent(history.fall[at])}"


def _dates(history: History, x: _Scale) -> list[Mark]:
    first, last = history.sessions[[0, -1]].astype("datetime64[M]").astype(np.int64)
    step = next(
        (step for step in MONTH_STEPS if (last - first) / step <= MOST_DATES),
        MONTH_STEPS[-1],
    )
    # Month 0 is January 1970, so that multiples of 12 are Januaries.
    months = np.arange(-(-first // step) * step, last + 1, step).astype("datetime64[M]")
    marks = [(x.at(m.astype("datetime64[D]").astype(np.int64)), m.item()) for m in months]
    return [Mark(at, _month(month, step)) for at, month in marks if LEFT <= at <= RIGHT]


def _month(month: date, step: int) -> str:
    return f"{month:%Y}" if month.month == 1 or step >= 12 else f"{month:%b}"  # noqa: PLR2004


def _headline(
    name: str, performance: Mapping[str, Any], benchmark_name: str | None
) -> Figure:
    beside = ""
    versus = {
        "total_return_frac": "benchmark_return_frac",
        "max_drawdown_frac": "benchmark_max_drawdown_frac",
    }.get(name)
    if name == "win_rate_frac":
        beside = f"of {written(performance['trades'], STATISTICS['trades'].unit)} trades"
    elif versus and benchmark_name:
        beside = f"{benchmark_name} {_value(versus, performance[versus])}"
    return Figure(
        STATISTICS[name],
        _value(name, performance[name]),
        beside,
        _tone(name, performance[name]),
    )


def _groups(performance: Mapping[str, Any]) -> dict[str, list[Figure]]:
    groups: dict[str, list[Figure]] = {}
    for name, statistic in STATISTICS.items():
        figure = Figure(
            statistic, _value(name, performance[name]), tone=_tone(name, performance[name])
        )
        groups.setdefault(statistic.group, []).append(figure)
    return groups


def _value(name: str, figure: Any) -> str:  # noqa: ANN401 - a figure or what a store made of it
    if name in GAINS and not pd.isna(figure):
        return signed_percent(float(figure))
    return written(figure, STATISTICS[name].unit)


def _tone(name: str, figure: Any) -> str:  # noqa: ANN401 - as above
    if name not in GAINS or pd.isna(figure) or figure == 0:
        return ""
    return "up" if figure > 0 else "down"


def _heat(months: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of the table of months; the strongest month has the fullest colour."""
    inner = months.drop(columns="year").abs().to_numpy()
    full = max(float(np.nanmax(inner)) if np.isfinite(inner).any() else 0.0, 0.01)
    return [
        {
            "year": year,
            "cells": [_cell(row[month], full) for month in range(1, 13)],
            "whole": _cell(row["year"], full),
        }
        for year, row in months.iterrows()
    ]


def _cell(frac: float, full: float) -> dict[str, Any] | None:
    if np.isnan(frac):
        return None
    rounded = round(100 * frac, 1) + 0
    return {
        "label": f"{rounded:+.1f}".replace("-", "−") if rounded else "0.0",  # noqa: RUF001 - a real minus
        "tone": "up" if frac > 0 else "down" if frac < 0 else "flat",
        "strength": round(min(abs(frac) / full, 1.0) * 70),
    }


def _results(trades: pd.DataFrame) -> dict[str, list[dict[Hashable, Any]]]:
    net = trades["pnl"] - trades["commission"]
    paid = (trades["entry_price"] * trades["shares"]).abs()
    rows = trades.assign(
        net=net,
        frac=net / paid,
        way=["long" if s == Side.BUY else "short" for s in trades["side"]],
    ).sort_values(["closed_session", "trade_id"], ascending=False, kind="stable")
    return {
        "all": rows.to_dict("records"),
        "best": rows[rows["net"] > 0].nlargest(EXTREMES, "net").to_dict("records"),
        "worst": rows[rows["net"] < 0].nsmallest(EXTREMES, "net").to_dict("records"),
    }


def _rule(reason: str) -> str:
    found = RULE.match(reason.strip())
    return found.group() if found else "unnamed"


@cache
def _template() -> Any:  # noqa: ANN401 - jinja2's own, private to this module
    environment = Environment(
        loader=PackageLoader("trading_assets.core"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "money": money,
        "percent": percent,
        "signed_percent": signed_percent,
        "price": lambda price: f"{price:,.2f}".replace("-", "−"),  # noqa: RUF001 - a real minus
        "signed_money": lambda amount: ("+" if round(amount) > 0 else "") + money(amount),
        "tone": lambda amount: "up" if amount > 0 else "down" if amount < 0 else "",
    }
    return environment.get_template("tear_sheet.html.j2")
