"""What the assets are made for: the shared market, and one lane per strategy."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cached_property
from importlib.metadata import version

import dagster as dg
import pandas as pd

from trading_assets.adapters.analysts.port import Analyst
from trading_assets.adapters.brokers.choice import Brokers
from trading_assets.adapters.brokers.port import Broker
from trading_assets.core.deciding import Plan
from trading_assets.core.indicators import (
    ENGINE_VERSION,
    indicator_of,
    parse_indicator,
)
from trading_assets.core.sizing import volatility_indicator
from trading_assets.defs.partitions import (
    Requested,
    session_partitions,
    symbol_partitions,
)
from trading_assets.errors import InvalidInput
from trading_assets.models.base import Lane as BookLane
from trading_assets.sessions import TradingCalendar
from trading_assets.strategies.loading import LoadedStrategy
from trading_assets.strategies.spec import StrategySpec, fingerprint

OWNERS = ["team:trading"]
MARKET = "market"
YEARS_BEFORE = 6
VOLUME = "volume"
"""A panel of every chart, and the one name in its list that is no indicator."""


def utc_now() -> datetime:
    """What the clock says, in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class Lane:
    """One strategy's assets."""

    strategy: LoadedStrategy
    analyst: Analyst
    calendar: TradingCalendar

    @property
    def spec(self) -> StrategySpec:
        """What the strategy's file says."""
        return self.strategy.spec

    @property
    def name(self) -> str:
        """The strategy's name: asset group and key prefix."""
        return self.spec.name

    @cached_property
    def plan(self) -> Plan:
        """The arithmetic after the signals."""
        return Plan.of(self.spec)

    @property
    def start(self) -> date:
        """Its first session."""
        return self.calendar.on_or_after(self.spec.start)

    @property
    def symbols(self) -> tuple[str, ...]:
        """Its universe, ascending."""
        return self.plan.universe

    @property
    def sessions(self) -> dg.DailyPartitionsDefinition:
        """Partitions of its book."""
        return session_partitions(self.calendar, self.start)

    @cached_property
    def partitions(self) -> dg.MultiPartitionsDefinition:
        """Partitions of its charts and signals."""
        return symbol_partitions(self.sessions, self.symbols)

    @property
    def indicators(self) -> tuple[str, ...]:
        """Names of the indicators that it asks the market for."""
        sizing = volatility_indicator(self.spec.sizing)
        return tuple(
            sorted(
                {
                    *(indicator_of(column).name for column in self.analyst.indicators),
                    *self.spec.indicators,
                    *self.spec.charts.indicators,
                    *([sizing] if sizing else ()),
                }
                - {VOLUME}
            )
        )

    def key(self, asset: str) -> dg.AssetKey:
        """The key of one of its assets."""
        return dg.AssetKey([self.name, asset])

    @property
    def book(self) -> "Book":
        """Its own book: of who trades its orders."""
        is_real = self.spec.is_traded_for_real
        return Book(self, BookLane.IBKR if is_real else BookLane.SIMULATED)

    @property
    def books(self) -> tuple["Book", ...]:
        """Its own book and, if it is traded outside, the replay of the same signals."""
        if not self.spec.is_traded_for_real:
            return (self.book,)
        return (self.book, Book(self, BookLane.REPLAY))

    @property
    def history(self) -> "Book":
        """The book in which its past is traded: nothing of it reaches anybody outside."""
        return self.books[-1]


@dataclass(frozen=True)
class Book:
    """One of a strategy's books, from its orders to its performance.

    Attributes:
        kind: Who trades: the `lane` of its rows.
    """

    lane: Lane
    kind: BookLane

    @property
    def prefix(self) -> list[str]:
        """Of its assets' keys, and of where its pictures lie."""
        is_replay = self.kind is BookLane.REPLAY
        return [self.lane.name, *([self.kind.value] if is_replay else [])]

    @property
    def title(self) -> str:
        """For people."""
        return " ".join(self.prefix)

    def key(self, asset: str) -> dg.AssetKey:
        """The key of one of its assets."""
        return dg.AssetKey([*self.prefix, asset])

    def broker(self, brokers: Brokers) -> Broker:
        """Who keeps it."""
        return brokers.of(self.lane.spec, self.kind)

    def partition(self, requested: Requested) -> pd.DataFrame:
        """One row per session asked for, as the book's tables are partitioned."""
        return requested.frame(strategy=self.lane.name, lane=self.kind.value)


@dataclass(frozen=True)
class Market:
    """The assets that all strategies share.

    Attributes:
        start: First session of their partitions.
        source: What the market-data port says it is, for code versions.
        now: The clock, in UTC: the one place where steps ask it.
    """

    lanes: tuple[Lane, ...]
    calendar: TradingCalendar
    start: date
    source: str
    now: Callable[[], datetime] = utc_now

    @cached_property
    def symbols(self) -> tuple[str, ...]:
        """Every universe and every benchmark, ascending."""
        traded = {symbol for lane in self.lanes for symbol in lane.symbols}
        held_against = {lane.spec.benchmark for lane in self.lanes if lane.spec.benchmark}
        return tuple(sorted(traded | held_against))

    @cached_property
    def indicators(self) -> tuple[str, ...]:
        """Names of all indicators that any strategy asks for, ascending."""
        return tuple(sorted({name for lane in self.lanes for name in lane.indicators}))

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Columns that they make in the table."""
        return tuple(
            column for name in self.indicators for column in parse_indicator(name).columns
        )

    @cached_property
    def partitions(self) -> dg.MultiPartitionsDefinition:
        """Partitions of bars and indicators."""
        return symbol_partitions(
            session_partitions(self.calendar, self.start), self.symbols
        )

    def current(self) -> date:
        """The last session that has closed."""
        return self.calendar.last_closed(self.now())

    def is_evening(self, session: date) -> bool:
        """Whether *session* has closed and the one after it has not opened yet."""
        calendar, now = self.calendar, self.now()
        return (
            calendar.close_at(session)
            <= now
            < calendar.open_at(calendar.offset(session, 1))
        )

    @property
    def indicators_version(self) -> str:
        """Code version of `indicators`."""
        engines = [version(name) for name in ("ta-lib", "pandas-ta")]
        return fingerprint(ENGINE_VERSION, engines, self.indicators)

    @property
    def lookback_sessions(self) -> int:
        """How far back the longest indicator looks."""
        windows = (parse_indicator(name).window or 1 for name in self.indicators)
        return max(windows, default=1)

    @classmethod
    def of(
        cls,
        strategies: Iterable[LoadedStrategy],
        *,
        analyst_of: Callable[[LoadedStrategy], Analyst],
        calendar: TradingCalendar,
        start: date | None,
        source: str,
    ) -> "Market":
        """The market of *strategies*; it starts years before the earliest of them."""
        lanes = tuple(Lane(own, analyst_of(own), calendar) for own in strategies)
        earliest = min(lane.start for lane in lanes)
        if start is None:
            start = earliest.replace(year=earliest.year - YEARS_BEFORE, day=1)
        if start > earliest:
            raise InvalidInput(
                f"TRADING_MARKET_START must not be after the first strategy's start "
                f"{earliest}, was {start}"
            )
        return cls(lanes, calendar, calendar.on_or_after(start), source)

    def window(self, first: date, last: date, bars: int | None) -> Sequence[date]:
        """Sessions *first* to *last* and the *bars* before them; None for all there are."""
        begin = self.calendar.position(self.start)
        at = begin if bars is None else self.calendar.position(first) - bars
        return self.calendar.between(self.calendar.sessions[max(at, begin)], last)

    def lane(self, name: str) -> Lane | None:
        """The lane of the strategy *name*, or None."""
        return next((lane for lane in self.lanes if lane.name == name), None)
