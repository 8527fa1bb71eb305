"""How assets are sliced: sessions of the exchange, and symbols.

A session's partition is a calendar day of a fixed-offset zone whose midnight falls after
the close: today's exists in the evening and never a day early, and since holidays are
left out, an offset counts sessions.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from functools import cache

import dagster as dg
import pandas as pd

from trading_assets.errors import InvalidInput
from trading_assets.sessions import LAST_DAY, TradingCalendar
from trading_assets.strategies.cron import READY_FROM

SESSION = "session"
SYMBOL = "symbol"

ZONES = {
    "XNYS": "Etc/GMT-3",
    "XNAS": "Etc/GMT-3",
    "XLON": "UTC",
    "XETR": "UTC",
    "XTKS": "UTC",
    "XHKG": "UTC",
}
"""Per exchange, a zone without daylight saving whose midnight is after the close and
before the next open, all year round."""


@cache
def session_partitions(
    calendar: TradingCalendar, start: date
) -> dg.DailyPartitionsDefinition:
    """The exchange's sessions from *start* on."""
    if calendar.exchange not in ZONES:
        raise InvalidInput(
            f"exchange must be one of {sorted(ZONES)}, was {calendar.exchange}"
        )
    closures = calendar.weekday_closures(start, LAST_DAY)
    return dg.DailyPartitionsDefinition(
        start_date=start.isoformat(),
        timezone=ZONES[calendar.exchange],
        exclusions=["0 0 * * 6,0", *(datetime.combine(day, time()) for day in closures)],
    )


def partition_from(calendar: TradingCalendar, session: date) -> datetime:
    """From when on the partition of *session* is there, in the exchange's time."""
    return datetime.combine(session, time(*READY_FROM), calendar.timezone)


def symbol_partitions(
    sessions: dg.DailyPartitionsDefinition, symbols: Sequence[str]
) -> dg.MultiPartitionsDefinition:
    """Sessions by *symbols*; keys like ``2024-01-12|AAPL``."""
    return dg.MultiPartitionsDefinition(
        {SESSION: sessions, SYMBOL: dg.StaticPartitionsDefinition(list(symbols))}
    )


def looking_back(sessions: int) -> dg.MultiPartitionMapping:
    """The same symbol's partition and the *sessions* - 1 before it, where they exist."""
    return _within(1 - sessions, 0)


def looking_ahead(sessions: int) -> dg.MultiPartitionMapping:
    """The same symbol's partition and the *sessions* after it, as far as they exist yet.

    Nothing waits for what does not exist: it is for those who look again later.
    """
    return _within(0, sessions)


def _within(first: int, last: int) -> dg.MultiPartitionMapping:
    """The same symbol's partitions from offset *first* to *last*, where they exist."""
    return dg.MultiPartitionMapping(
        {
            SESSION: dg.DimensionPartitionMapping(
                SESSION,
                dg.TimeWindowPartitionMapping(
                    start_offset=first,
                    end_offset=last,
                    allow_nonexistent_upstream_partitions=True,
                ),
            ),
            SYMBOL: dg.DimensionPartitionMapping(SYMBOL, dg.IdentityPartitionMapping()),
        }
    )


def every_symbol() -> dg.MultiToSingleDimensionPartitionMapping:
    """All symbols of the session."""
    return dg.MultiToSingleDimensionPartitionMapping(SESSION)


@dataclass(frozen=True, slots=True)
class Requested:
    """The partitions that a step is asked for.

    Attributes:
        keys: As Dagster names them, by session and symbol; the symbol is empty where
            only sessions are partitions.
        sessions: Ascending, each once.
        symbols: Ascending, each once; empty where only sessions are partitions.
    """

    keys: dict[tuple[date, str], str]
    sessions: tuple[date, ...]
    symbols: tuple[str, ...]

    @classmethod
    def of(cls, context: dg.AssetExecutionContext) -> "Requested":
        """What *context* asks for: one partition, a range, or a product of ranges."""
        keys: dict[tuple[date, str], str] = {}
        days: dict[str, date] = {}
        for key in context.partition_keys:
            day, _, symbol = str(key).partition("|")
            if (session := days.get(day)) is None:
                session = days.setdefault(day, date.fromisoformat(day))
            keys[session, symbol] = str(key)
        sessions = tuple(sorted(days.values()))
        symbols = tuple(sorted({symbol for _, symbol in keys if symbol}))
        return cls(keys, sessions, symbols)

    @classmethod
    def by_session(cls, sessions: Sequence[date]) -> "Requested":
        """Partitions of a book, at least one."""
        keys = {(session, ""): session.isoformat() for session in sessions}
        return cls(keys, tuple(sessions), ())

    def of_rows(self, rows: pd.DataFrame) -> "Requested":
        """Those partitions that have a row, none of whose sessions need be whole."""
        found = zip(rows["session"].dt.date, map(str, rows["symbol"]), strict=True)
        return Requested.by_place([place for place in found if place in self.keys])

    @classmethod
    def by_place(cls, places: Iterable[tuple[date, str]]) -> "Requested":
        """Partitions of sessions and symbols, in any order."""
        keys = {(session, own): f"{session}|{own}" for session, own in places}
        sessions = tuple(sorted({session for session, _ in keys}))
        return cls(keys, sessions, tuple(sorted({own for _, own in keys})))

    @property
    def first(self) -> date:
        """The earliest session."""
        return self.sessions[0]

    @property
    def last(self) -> date:
        """The latest session."""
        return self.sessions[-1]

    def frame(self, **constants: str) -> pd.DataFrame:
        """One row per partition: session, symbol where there is one, and *constants*."""
        frame = pd.DataFrame(list(self.keys), columns=["session", "symbol"])
        frame["session"] = pd.to_datetime(frame["session"])
        if self.keys and not self.symbols:
            frame = frame.drop(columns="symbol")
        return frame.assign(**constants)

    def only(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Those of *rows* that belong to a requested partition."""
        if len(self.keys) == len(self.sessions) * max(len(self.symbols), 1):
            return rows
        wanted = pd.MultiIndex.from_tuples(self.keys)
        own = pd.MultiIndex.from_arrays([rows["session"].dt.date, rows["symbol"]])
        return rows[own.isin(wanted)]
