"""Trading days of an exchange: which there are, and which one closed last.

A *session* is a `date` on which the exchange trades.
Instants are aware datetimes in UTC.
"""

import os
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING
from zipfile import BadZipFile
from zoneinfo import ZoneInfo

import numpy as np

from trading_assets.errors import InvalidInput

if TYPE_CHECKING:
    import pandas as pd

EXCHANGE = "XNYS"
FIRST_DAY = date(1990, 1, 1)
LAST_DAY = date(2035, 12, 31)
SATURDAY = 5


@dataclass(frozen=True, slots=True)
class TradingCalendar:
    """The sessions of one exchange between `FIRST_DAY` and `LAST_DAY`.

    Attributes:
        exchange: Its market identifier code, ISO 10383.
        timezone: Where its clock hangs.
        sessions: Every session, ascending.
        opens_at: Its open, seconds since the epoch, one per session.
        closes_at: Its close, the same; early closes are early here.
    """

    exchange: str
    timezone: ZoneInfo
    sessions: tuple[date, ...]
    opens_at: tuple[int, ...]
    closes_at: tuple[int, ...]

    def between(self, first: date, last: date) -> Sequence[date]:
        """Sessions from *first* to *last*, both included where they are sessions."""
        return self.sessions[
            bisect_left(self.sessions, first) : bisect_right(self.sessions, last)
        ]

    def is_session(self, day: date) -> bool:
        """Whether the exchange trades on *day*."""
        at = bisect_left(self.sessions, day)
        return at < len(self.sessions) and self.sessions[at] == day

    def position(self, session: date) -> int:
        """Which session it is, counted from the first; the inverse of `sessions`.

        Raises:
            InvalidInput: If *session* is none.
        """
        at = bisect_left(self.sessions, session)
        if at == len(self.sessions) or self.sessions[at] != session:
            raise InvalidInput(f"{session} is not a session of {self.exchange}")
        return at

    def offset(self, session: date, count: int) -> date:
        """The session *count* sessions after *session*; before it if negative."""
        at = self.position(session) + count
        if not 0 <= at < len(self.sessions):
            raise InvalidInput(
                f"{count} sessions from {session} is outside "
                f"{self.sessions[0]}..{self.sessions[-1]}"
            )
        return self.sessions[at]

    def on_or_after(self, day: date) -> date:
        """The first session that is not before *day*."""
        at = bisect_left(self.sessions, day)
        if at == len(self.sessions):
            raise InvalidInput(f"no session on or after {day}: calendar ends {LAST_DAY}")
        return self.sessions[at]

    def on_or_before(self, day: date) -> date:
        """The last session that is not after *day*."""
        at = bisect_right(self.sessions, day)
        if at == 0:
            raise InvalidInput(
                f"no session on or before {day}: calendar starts {FIRST_DAY}"
            )
        return self.sessions[at - 1]

    def open_at(self, session: date) -> datetime:
        """When *session* opens."""
        return datetime.fromtimestamp(self.opens_at[self.position(session)], UTC)

    def close_at(self, session: date) -> datetime:
        """When *session* closes; early on the days that do."""
        return datetime.fromtimestamp(self.closes_at[self.position(session)], UTC)

    def last_closed(self, at: datetime) -> date:
        """The last session whose close is not after the instant *at*."""
        count = bisect_right(self.closes_at, at.timestamp())
        if count == 0:
            raise InvalidInput(f"no session of {self.exchange} had closed at {at}")
        return self.sessions[count - 1]

    def weekday_closures(self, first: date, last: date) -> list[date]:
        """Mondays to Fridays from *first* to *last* on which there is no session."""
        weekdays = np.arange(first, last, dtype="datetime64[D]").astype(object).tolist()
        weekdays.append(last)
        trading = set(self.between(first, last))
        return [d for d in weekdays if d.weekday() < SATURDAY and d not in trading]


@cache
def trading_calendar(exchange: str = EXCHANGE) -> TradingCalendar:
    """The calendar of *exchange*, from exchange_calendars.

    Building it takes longer than importing Dagster, so it is built once per version
    of that library and kept in the user's cache folder.

    Raises:
        InvalidInput: If *exchange* is not a calendar that the library knows.
    """
    span = f"{FIRST_DAY:%Y}-{LAST_DAY:%Y}"
    kept = _cache_folder() / f"{exchange}-{span}-{version('exchange-calendars')}.npz"
    try:
        with np.load(kept) as stored:
            return _calendar(exchange, str(stored["timezone"]), stored)
    except (OSError, KeyError, ValueError, EOFError, BadZipFile):
        built = _build(exchange)
        _keep(kept, built)
        return _calendar(exchange, str(built["timezone"]), built)


def _calendar(
    exchange: str, timezone: str, columns: "dict[str, np.ndarray] | np.lib.npyio.NpzFile"
) -> TradingCalendar:
    return TradingCalendar(
        exchange=exchange,
        timezone=ZoneInfo(timezone),
        sessions=tuple(columns["sessions"].astype("datetime64[D]").tolist()),
        opens_at=tuple(columns["opens_at"].tolist()),
        closes_at=tuple(columns["closes_at"].tolist()),
    )


def _build(exchange: str) -> "dict[str, np.ndarray]":
    # Slow, and needed once per version.
    from exchange_calendars import get_calendar  # noqa: PLC0415
    from exchange_calendars.errors import InvalidCalendarName  # noqa: PLC0415

    try:
        known = get_calendar(
            exchange, start=FIRST_DAY.isoformat(), end=LAST_DAY.isoformat()
        )
    except InvalidCalendarName as error:
        raise InvalidInput(
            f"exchange must be a market identifier code, was {exchange}"
        ) from error
    return {
        "timezone": np.array(str(known.tz)),
        "sessions": known.sessions.to_numpy().astype("datetime64[D]"),
        "opens_at": _epoch_seconds(known.opens),
        "closes_at": _epoch_seconds(known.closes),
    }


def _epoch_seconds(instants: "pd.Series[pd.Timestamp]") -> np.ndarray:
    naive = instants.dt.tz_convert(None).to_numpy()
    return naive.astype("datetime64[s]").astype("int64")


def _cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "trading_assets"


def _keep(path: Path, columns: "dict[str, np.ndarray]") -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=path.parent, suffix=".npz", delete=False) as file:
            np.savez(file, allow_pickle=False, **columns)
        Path(file.name).replace(path)
    except OSError:
        return  # a read-only home costs time at each start, and nothing else
