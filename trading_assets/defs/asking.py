"""What a market says of a range, as it was traded and as it may be stored.

A source that restates its past is asked for some sessions around the range too, so that
what it says can be compared with what is stored.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date

import pandas as pd

from trading_assets.adapters.market_data.port import MarketData, MarketHistory
from trading_assets.adapters.market_data.series import with_hashes
from trading_assets.adapters.storage.port import Between, Warehouse
from trading_assets.core.as_traded import FOUND, AsTraded, Outcome, as_traded
from trading_assets.core.restatement import SPLIT
from trading_assets.defs.lanes import Market
from trading_assets.models.bar import ActionKind
from trading_assets.models.tables import BARS, CORPORATE_ACTIONS

OVERLAP_SESSIONS = 10
"""How many on either side of a range are compared with what is stored."""

COMMAND = "trading-assets backfill"
REMEDY = (
    "if it is true, say when in a file of TRADING_CORPORATE_ACTIONS "
    "(docs/interactive-brokers.md)"
)


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """What a source says, and of which sessions it was asked.

    Attributes:
        wanted: First and last session of what is to be stored.
        asked: First and last session of *history*.
    """

    history: MarketHistory
    wanted: tuple[date, date]
    asked: tuple[date, date]


@dataclass(frozen=True, slots=True, eq=False)
class Told:
    """What may be stored.

    Attributes:
        history: Of the range, as traded; symbols that nothing explains are unreadable.
        findings: What is told otherwise than it is stored; see `AsTraded`, and ``command``
            to make again what rests on it.
    """

    history: MarketHistory
    findings: pd.DataFrame


def ask(
    market: Market, market_data: MarketData, symbols: Sequence[str], first: date, last: date
) -> Asked:
    """What *market_data* says of a range, and of what lies around it if it restates.

    Raises:
        MarketDataUnreadable: If nothing at all could be read.
    """
    wanted = asked = (first, last)
    if market_data.restates:
        asked = _around(market, first, last)
    return Asked(market_data.history(symbols, *asked), wanted, asked)


def as_may_be_stored(
    market: Market, warehouse: Warehouse, market_data: MarketData, asked: Asked
) -> Told:
    """What was told; if the source restates, compared with what is stored of it."""
    history, source = asked.history, market_data.source
    if not market_data.restates:
        return Told(history, pd.DataFrame(columns=[*FOUND, "command"]))
    symbols = sorted(set(history.coverage["symbol"]))
    within = {"symbol": symbols, "session": Between(*asked.asked)}
    stored = warehouse.read(BARS, within)
    splits = _splits(warehouse, symbols, history, market.current())
    made = as_traded(
        stored[stored["source"] == source].drop(columns="recorded_at"),
        history.bars,
        splits,
        asked.asked,
        asked.wanted,
    )
    commands = [
        _command(market, *row)
        for row in made.findings[["symbol", "first_session"]].itertuples(index=False)
    ]
    findings = made.findings.assign(command=pd.Series(commands, dtype=object))
    return Told(_history(asked, made, splits, source), findings)


def _around(market: Market, first: date, last: date) -> tuple[date, date]:
    calendar = market.calendar
    at = max(calendar.position(market.start), calendar.position(first) - OVERLAP_SESSIONS)
    closed = max(calendar.position(market.current()), calendar.position(last))
    until = min(closed, calendar.position(last) + OVERLAP_SESSIONS)
    return min(calendar.sessions[at], first), calendar.sessions[until]


def _splits(
    warehouse: Warehouse, symbols: Sequence[str], history: MarketHistory, current: date
) -> pd.DataFrame:
    """Every split that prices of today are divided by; the source knows better than we."""
    stored = warehouse.read(
        CORPORATE_ACTIONS, {"symbol": symbols, "kind": ActionKind.SPLIT.value}
    )
    told = history.actions[history.actions["kind"] == ActionKind.SPLIT]
    parts = [own for own in (stored, told, history.later_splits) if len(own)]
    every = pd.concat(parts) if parts else stored
    known = every[every["ex_session"] <= pd.Timestamp(current)]
    return known.drop_duplicates(["symbol", "ex_session"], keep="last")


def _history(
    asked: Asked, made: AsTraded, splits: pd.DataFrame, source: str
) -> MarketHistory:
    """The range alone, with what is as traded in the place of what was told."""
    told = asked.history
    coverage = _within(told.coverage, "session", asked.wanted)
    coverage = coverage[~coverage["symbol"].isin(list(made.refused))]
    actions = _actions(told.actions, splits, made.splits, source)
    actions = _within(actions, "ex_session", asked.wanted)
    actions = actions[~actions["symbol"].isin(list(made.refused))]
    return replace(
        told,
        bars=made.bars,
        actions=actions.reset_index(drop=True),
        coverage=with_hashes(coverage.reset_index(drop=True), made.bars, actions),
        unreadable={**told.unreadable, **_refusals(made)},
    )


def _refusals(made: AsTraded) -> dict[str, str]:
    findings = made.findings
    is_split = (findings["outcome"] == Outcome.REFUSED) & (findings["kind"] == SPLIT)
    split = set(findings.loc[is_split, "symbol"])
    return {
        name: f"{name}: {why}" + (f"; {REMEDY}" if name in split else "")
        for name, why in made.refused.items()
    }


def _actions(
    told: pd.DataFrame, known: pd.DataFrame, booked: pd.DataFrame, source: str
) -> pd.DataFrame:
    """Those that are told, and the splits that are known from what is stored."""
    new = booked.assign(kind=ActionKind.SPLIT.value, source=source)
    parts = [own[list(told.columns)] for own in (told, known, new) if len(own)]
    if not parts:
        return told
    key = list(CORPORATE_ACTIONS.key)
    every = pd.concat(parts).drop_duplicates(key, keep="first")
    return CORPORATE_ACTIONS.conform(every.sort_values(key))


def _within(rows: pd.DataFrame, day: str, wanted: tuple[date, date]) -> pd.DataFrame:
    first, last = map(pd.Timestamp, wanted)
    return rows[rows[day].between(first, last)]


def _command(market: Market, symbol: str, first: pd.Timestamp) -> str:
    names = [lane.name for lane in market.lanes if symbol in lane.symbols]
    strategy = (names or [lane.name for lane in market.lanes])[0]
    return f"{COMMAND} --strategy {strategy} --from {first:%Y-%m-%d}"


def is_settled(findings: pd.DataFrame) -> bool:
    """Whether nothing of *findings* is left for a person to look into."""
    return bool(findings["outcome"].isin([Outcome.BOOKED, Outcome.STORED]).all())
