"""Requests for past bars: what a gateway takes, and which bars answer them."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pandas as pd

from trading_assets_tests.fake_gateway.market import (
    EXCHANGE_ZONE,
    PRICE_COLUMNS,
    Instrument,
)
from trading_assets_tests.fake_gateway.wire import INVALID

OPENS_AT, LAST_MINUTE = "09:30", "15:59"
LONGEST_IN_DAYS = 365
LONGEST_IN_SECONDS = 86_400
SPOKEN_TIME = re.compile(r"(\d{8})(?:([ -])(\d\d:\d\d:\d\d))?(?: (\S+))?")
SHORT_ZONES = frozenset({"EST", "EDT", "CST", "PST", "GMT", "MET", "JST"})
"""Names that a gateway refuses; `UTC` is the only short one it takes."""
BAR_SIZE = re.compile(r"(\d+) (min|mins|hour|hours|day|week|month)")
DURATION = re.compile(r"([1-9]\d*) ([SDWMY])")
BAD_END = (
    "End Date/Time: The date, time, or time-zone entered is invalid. The correct format is "
    "yyyymmdd hh:mm:ss xx/xxxx where yyyymmdd and xx/xxxx are optional."
)
LONGEST = {
    "D": (LONGEST_IN_DAYS, "365 days must be made in years."),
    "S": (LONGEST_IN_SECONDS, "86400 seconds must be made in days."),
}


class BadQuestion(Exception):
    """A request that the gateway refuses, with the code and the text it gives."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text

    @classmethod
    def because(cls, cause: str) -> Self:
        """321: the request was read and makes no sense."""
        return cls(321, f"{INVALID}{cause}")


@dataclass(frozen=True, slots=True)
class HistoryQuestion:
    """A request for bars, read and found answerable.

    Attributes:
        end: The last instant asked for, aware.
        duration: How far back, as its number and its unit (S, D, W, M or Y).
        bar_size: The width of a bar, as its number and its unit.
    """

    end: datetime
    duration: tuple[int, str]
    bar_size: tuple[int, str]
    regular_hours: bool
    epoch: bool

    @classmethod
    def read(cls, asked: dict[str, str], now: datetime) -> Self:
        """Read the fields of a request.

        Raises:
            BadQuestion: If a gateway would refuse them.
        """
        if asked["whatToShow"] == "ADJUSTED_LAST" and asked["endDateTime"]:
            raise BadQuestion.because("End Date not supported with adjusted last")
        if asked["keepUpToDate"] == "1":
            raise BadQuestion.because("No bars are kept up to date here")
        return cls(
            end=instant(asked["endDateTime"]) if asked["endDateTime"] else now,
            duration=_duration(asked["duration"]),
            bar_size=_bar_size(asked["barSize"]),
            regular_hours=asked["useRTH"] == "1",
            epoch=asked["formatDate"] == "2",
        )

    @property
    def is_daily(self) -> bool:
        """Whether its bars are made of sessions, not of minutes."""
        return self.bar_size[1] in {"day", "week", "month"}

    @property
    def start(self) -> datetime:
        """The first instant asked for, for a duration on the calendar."""
        number, unit = self.duration
        match unit:
            case "S":
                return self.end - timedelta(seconds=number)
            case "D":
                return self.end - timedelta(days=number)
            case "W":
                return self.end - timedelta(weeks=number)
            case _:
                back = pd.DateOffset(months=number if unit == "M" else 12 * number)
                return (pd.Timestamp(self.end) - back).to_pydatetime()


def instant(text: str) -> datetime:
    """The instant that a client's `20261030 16:00:00 US/Eastern` means.

    A zone may be missing; with a dash between day and time the zone is UTC.

    Raises:
        BadQuestion: If a gateway could not read it.
    """
    found = SPOKEN_TIME.fullmatch(text)
    if found is None or found[4] in SHORT_ZONES:
        raise BadQuestion(10314, BAD_END)
    zone = "UTC" if found[2] == "-" else found[4] or EXCHANGE_ZONE.key
    try:
        at = datetime.strptime(
            f"{found[1]} {found[3] or '23:59:59'} Z", "%Y%m%d %H:%M:%S %z"
        )
        return at.replace(tzinfo=ZoneInfo(zone))
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise BadQuestion(10314, BAD_END) from error


def _duration(text: str) -> tuple[int, str]:
    found = DURATION.fullmatch(text)
    if found is None:
        raise BadQuestion.because(f"Invalid duration {text!r}")
    number, unit = int(found[1]), found[2]
    most, remedy = LONGEST.get(unit, (number, ""))
    if number > most:
        raise BadQuestion.because(
            f"Historical data requests for durations longer than {remedy}"
        )
    return number, unit


def _bar_size(text: str) -> tuple[int, str]:
    found = BAR_SIZE.fullmatch(text)
    if found is None:
        raise BadQuestion.because(f"Historical data bar size setting is invalid: {text!r}")
    return int(found[1]), found[2].removesuffix("s")


def history(instrument: Instrument, question: HistoryQuestion) -> pd.DataFrame:
    """The bars that answer *question*, oldest first; the index is their start."""
    select = _sessions if question.is_daily else _minutes
    return select(instrument, question)


def _sessions(instrument: Instrument, question: HistoryQuestion) -> pd.DataFrame:
    last = pd.Timestamp(question.end.astimezone(EXCHANGE_ZONE).date())
    bars = instrument.bars[instrument.bars.index <= last]
    number, unit = question.duration
    if unit == "D":  # as many sessions, not days on the calendar
        bars = bars.tail(number)
    else:
        first = pd.Timestamp(question.start.astimezone(EXCHANGE_ZONE).date())
        bars = bars[bars.index > first]
    width = question.bar_size[1]
    if width == "day":
        return bars
    sessions = pd.DatetimeIndex(bars.index)
    return _joined(bars, sessions.to_period(width[0].upper()).start_time)


def _minutes(instrument: Instrument, question: HistoryQuestion) -> pd.DataFrame:
    if instrument.minutes is None:
        return pd.DataFrame(columns=PRICE_COLUMNS)
    minutes = instrument.minutes.tz_convert(EXCHANGE_ZONE)
    if question.regular_hours:
        minutes = minutes.between_time(OPENS_AT, LAST_MINUTE)
    minutes = minutes[minutes.index < question.end]
    number, unit = question.duration
    if unit == "D":  # as many days on which something was traded
        days = pd.DatetimeIndex(minutes.index).normalize()
        minutes = minutes[days.isin(days.unique()[-number:])]
    else:
        minutes = minutes[minutes.index >= question.start]
    width, unit = question.bar_size
    starts = pd.DatetimeIndex(minutes.index).floor(f"{width}{unit.removesuffix('our')}")
    return _joined(minutes, starts)


def _joined(bars: pd.DataFrame, starts: pd.Index) -> pd.DataFrame:
    how = {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"}
    return pd.DataFrame(bars.groupby(starts).agg(how))
