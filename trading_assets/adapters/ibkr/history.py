"""Asking for bars: in which pieces, in which words, and what an answer means.

The words are those of the vendor's TWS API, ``reqHistoricalData``: an end, a duration that
reaches back from it, and the size of a bar. Trades in regular hours are what we ask for.
A duration in days may count calendar days or sessions; it is long enough either way, and
what lies outside the range is left out afterwards.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from trading_assets.adapters.ibkr.codes import says_no_data
from trading_assets.adapters.ibkr.gateway import heard
from trading_assets.adapters.ibkr.library import IB, BarData, BarDataList, Contract
from trading_assets.adapters.ibkr.pacing import Pacer
from trading_assets.errors import InvalidInput, NoAnswer, RequestRefused

TRADES = "TRADES"
DAILY = "1 day"
LONGEST_IN_DAYS = 250
"""Calendar days from which a year is asked for: fewer bars than as many sessions."""

PIECE_DAYS = 360
"""A longer range is asked for year by year; the years overlap by some days."""

MARGIN_DAYS = 2
"""How much further back than needed: where exactly a duration begins is not written down,
and a session that fell off the edge would look like one without a bar."""

ZONE_WORDS = {"America/New_York": "US/Eastern"}
"""What the gateway is known to call a zone; others are put in UTC."""

MINUTE_PIECES: Mapping[str, tuple[int, str]] = {
    "1 min": (1, "1 D"),
    "2 mins": (1, "1 D"),
    "3 mins": (7, "1 W"),
    "5 mins": (7, "1 W"),
    "10 mins": (7, "1 W"),
    "15 mins": (7, "1 W"),
    "20 mins": (7, "1 W"),
    "30 mins": (28, "1 M"),
    "1 hour": (28, "1 M"),
}
"""Sizes of a bar below a day, and in which pieces they may be asked for: calendar days and
the duration that covers them (the vendor's table of step sizes)."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a range that is one request.

    Attributes:
        first: Its first day.
        last: Its last day.
        duration: How far the request reaches back from the end of the last day.
    """

    first: date
    last: date
    duration: str


def daily_pieces(first: date, last: date) -> Iterator[Piece]:
    """The requests for daily bars from *first* to *last*, the newest one first."""
    while first <= last:
        begins = max(first, last - timedelta(days=PIECE_DAYS - 1))
        days = (last - begins).days + 1
        duration = f"{days + MARGIN_DAYS} D" if days <= LONGEST_IN_DAYS else "1 Y"
        yield Piece(begins, last, duration)
        last = begins - timedelta(days=1)


def require_bar_size(bar_size: str) -> None:
    """Do nothing if *bar_size* is one of `MINUTE_PIECES`.

    Raises:
        InvalidInput: If it is not.
    """
    if bar_size not in MINUTE_PIECES:
        allowed = ", ".join(MINUTE_PIECES)
        raise InvalidInput(f"bar_size must be one of {allowed}, was {bar_size!r}")


def minute_pieces(first: date, last: date, bar_size: str) -> Iterator[Piece]:
    """The requests for bars below a day from *first* to *last*, the oldest one first."""
    days, duration = MINUTE_PIECES[bar_size]
    while first <= last:
        ends = min(last, first + timedelta(days=days - 1))
        yield Piece(first, ends, duration)
        first = ends + timedelta(days=1)


def end_words(day: date, zone: ZoneInfo) -> str:
    """The end of *day* in *zone*, as the gateway reads it."""
    end = time(23, 59, 59)
    if zone.key in ZONE_WORDS:
        return f"{day:%Y%m%d} {end} {ZONE_WORDS[zone.key]}"
    return f"{datetime.combine(day, end, zone).astimezone(UTC):%Y%m%d-%H:%M:%S}"


class History:
    """Bars of one contract from one connection, asked for at a pace.

    Args:
        ib: Connected; all of this runs on its thread.
        contract: As the gateway has defined it.
        symbol: What we call it, for messages.
        zone: Where the clock of the exchange hangs.
        pacer: Shared by everybody who asks for history on this connection.
        answer_seconds: Longest wait for each answer.
        again_seconds: How long to wait before an empty answer is asked for again.
    """

    def __init__(
        self,
        ib: IB,
        contract: Contract,
        symbol: str,
        *,
        zone: ZoneInfo,
        pacer: Pacer,
        answer_seconds: float,
        again_seconds: float,
    ) -> None:
        self._ib = ib
        self._contract = contract
        self._symbol = symbol
        self._zone = zone
        self._pacer = pacer
        self._answer_seconds = answer_seconds
        self._again_seconds = again_seconds
        self._begins: date | None = None

    async def daily(
        self, sessions: Sequence[date]
    ) -> tuple[list[tuple[date, BarData]], date | None]:
        """Daily bars of *sessions*, and when the history of the contract begins.

        Args:
            sessions: Consecutive, ascending; nothing is asked for none.

        Returns:
            The day and the bar of each, oldest first, as they were told; and the first
            day with history, None if there was no need to ask or it could not be told.

        Raises:
            NoAnswer: If there is no answer, or an empty one twice where there are bars.
            RequestRefused: If a request is refused.
        """
        found: list[tuple[date, BarData]] = []
        pieces = daily_pieces(sessions[0], sessions[-1]) if sessions else ()
        for piece in pieces:
            wanted = [on for on in sessions if piece.first <= on <= piece.last]
            if not wanted:
                continue
            told = await self._told(piece, DAILY, wanted[-1])
            days = [(self._day(bar), bar) for bar in told]
            found = [it for it in days if piece.first <= it[0] <= piece.last] + found
            if wanted[0] not in {day for day, _ in days}:
                begins = await self._beginning()
                if begins is not None and wanted[0] <= begins:
                    break
        return found, self._begins

    async def within_days(
        self, sessions: Sequence[date], bar_size: str
    ) -> list[tuple[datetime, BarData]]:
        """Bars below a day of *sessions*: the start in UTC and the bar, oldest first.

        Raises:
            NoAnswer: As `daily`.
            RequestRefused: As `daily`.
        """
        found: list[tuple[datetime, BarData]] = []
        for piece in minute_pieces(sessions[0], sessions[-1], bar_size):
            wanted = {on for on in sessions if piece.first <= on <= piece.last}
            if not wanted:
                continue
            for bar in await self._told(piece, bar_size, max(wanted)):
                start = self._instant(bar)
                if start.astimezone(self._zone).date() in wanted:
                    found.append((start, bar))
        return found

    async def _told(self, piece: Piece, bar_size: str, last: date) -> list[BarData]:
        """The bars of *piece*; none only if the gateway knows that there are none.

        An answer without bars and without a word may also be one that failed.
        """
        try:
            told = await self._ask(piece, bar_size)
            if not told and not await self._is_before_the_beginning(last):
                await asyncio.sleep(self._again_seconds)
                told = await self._ask(piece, bar_size)
                if not told:
                    raise NoAnswer(
                        f"{self._symbol}: {bar_size} bars {piece.first} to {piece.last}: "
                        "the answer was empty, twice, and does not say why"
                    )
        except RequestRefused as refusal:
            if says_no_data(refusal.code, refusal.text):
                return []
            raise
        return told

    async def _is_before_the_beginning(self, last: date) -> bool:
        begins = await self._beginning()
        return begins is not None and last < begins

    async def _ask(self, piece: Piece, bar_size: str) -> list[BarData]:
        end = end_words(piece.last, self._zone)
        what = f"{self._symbol}: {bar_size} bars {piece.first} to {piece.last}"
        return await self._pacer.ask(
            self._symbol,
            lambda: ask_for_bars(
                self._ib,
                self._contract,
                (end, piece.duration, bar_size),
                what,
                self._answer_seconds,
            ),
        )

    async def _beginning(self) -> date | None:
        """The first day with history; None if the gateway refuses to say."""
        if self._begins is None:
            what = f"{self._symbol}: first bar"
            asking = self._ib.reqHeadTimeStampAsync
            try:
                first = await self._pacer.ask(
                    self._symbol,
                    lambda: heard(
                        asking(self._contract, TRADES, useRTH=True, formatDate=2),
                        what,
                        self._answer_seconds,
                    ),
                )
            except RequestRefused:
                return None
            self._begins = self._local_day(first)
        return self._begins

    def _day(self, bar: BarData) -> date:
        return self._local_day(bar.date)

    def _local_day(self, told: date | datetime) -> date:
        if not isinstance(told, datetime):
            return told
        # an instant without a zone is in UTC here
        aware = told if told.tzinfo else told.replace(tzinfo=UTC)
        return aware.astimezone(self._zone).date()

    def _instant(self, bar: BarData) -> datetime:
        if not isinstance(bar.date, datetime) or bar.date.tzinfo is None:
            raise NoAnswer(f"{self._symbol}: a bar without an instant: {bar.date}")
        return bar.date.astimezone(UTC)


async def ask_for_bars(
    ib: IB,
    contract: Contract,
    words: tuple[str, str, str],
    what: str,
    seconds: float,
) -> list[BarData]:
    """The bars that one request is answered with.

    The library's own method answers "none" when its time is over, so this asks as it does
    and keeps the two apart. A request that is given up is cancelled, which frees its place
    at the gateway.

    Args:
        ib: Connected.
        contract: As the gateway has defined it.
        words: End, duration and size of a bar.
        what: Names it in errors.
        seconds: Longest wait.

    Raises:
        NoAnswer: If there is none in time.
        RequestRefused: If the gateway refuses.
    """
    end, duration, bar_size = words
    request_id = ib.client.getReqId()
    future: asyncio.Future[Any] = ib.wrapper.startReq(
        request_id, contract, container=BarDataList()
    )
    # 2: instants as seconds since the epoch; days are days all the same
    ib.client.reqHistoricalData(
        request_id,
        contract,
        end,
        duration,
        bar_size,
        TRADES,
        True,  # noqa: FBT003 - regular hours, in the library's order
        2,
        False,  # noqa: FBT003 - no updates
        [],
    )
    try:
        return list(await heard(future, what, seconds))
    finally:
        if future.cancelled() and ib.isConnected():
            ib.client.cancelHistoricalData(request_id)
