"""Bars from a gateway of Interactive Brokers."""

import asyncio
import math
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime

import numpy as np
import pandas as pd

from trading_assets.adapters.ibkr.contracts import AT_ONCE, contract_of, share_details
from trading_assets.adapters.ibkr.gateway import Gateway
from trading_assets.adapters.ibkr.history import History, require_bar_size
from trading_assets.adapters.ibkr.library import IB, BarData, Contract
from trading_assets.adapters.ibkr.pacing import Pace, Pacer
from trading_assets.adapters.market_data.port import MarketHistory
from trading_assets.adapters.market_data.series import (
    FIELDS,
    NO_ACTIONS,
    Actions,
    SymbolSeries,
    cut_history,
    distinct_symbols,
)
from trading_assets.core.bar_checks import are_inconsistent, inconsistencies
from trading_assets.errors import (
    GatewayUnreachable,
    InvalidInput,
    MarketDataUnreadable,
    NoAnswer,
    RequestRefused,
)
from trading_assets.models.bar import CoverageStatus
from trading_assets.sessions import TradingCalendar

SOURCE = "ibkr"
AGAIN_SECONDS = 2.0
DEFAULT_PACE = Pace()
NOT_CLOSED = "the session has not closed"
MISSING = "Interactive Brokers has no bar of it"


class IbkrMarketData:
    """Daily and minute bars of shares in US dollars.

    It keeps the promises of `MarketData`, of a source that restates: prices are divided by
    the ratios of all splits up to the day of the request. Volumes are as the gateway gives
    them, in shares or in lots of 100 by its settings. Interactive Brokers tells no
    corporate actions; those that are known come from *actions_of*.

    A symbol is asked for in one request a year. It is unreadable when its contract is not
    known, when a request is refused or not answered, and when an answer is empty twice
    without a word, because that may be a failure. Where the gateway says that it has no
    data, or leaves a session out, the session is ``missing``, and ``not_listed`` before
    the first bar of all. The bar of a session that has not closed is ``rejected``.

    Args:
        gateway: Connected; this neither opens nor closes it.
        calendar: Says which days are sessions.
        pace: How fast history is asked for.
        again_seconds: How long to wait before an empty answer is asked for again.
        actions_of: The corporate actions of a symbol, from elsewhere.
        now: The clock, for sessions that have not closed.
    """

    def __init__(
        self,
        gateway: Gateway,
        calendar: TradingCalendar,
        *,
        pace: Pace = DEFAULT_PACE,
        again_seconds: float = AGAIN_SECONDS,
        actions_of: Callable[[str], Actions] = lambda _: NO_ACTIONS,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._gateway = gateway
        self._calendar = calendar
        self._pacer = Pacer(pace)
        self._again_seconds = again_seconds
        self._actions_of = actions_of
        self._now = now
        self._defining = asyncio.Semaphore(AT_ONCE)
        self._contracts: dict[str, Contract] = {}

    @property
    def source(self) -> str:
        """Always ``ibkr``: which gateway it was makes no difference to a bar."""
        return SOURCE

    @property
    def restates(self) -> bool:
        """Always: after a split every price before it is told divided by its ratio."""
        return True

    def history(self, symbols: Sequence[str], first: date, last: date) -> MarketHistory:
        """Ask for *symbols* side by side, as `MarketData` promises but for the above."""
        wanted = distinct_symbols(symbols)
        sessions = self._calendar.between(first, last)
        closed = [on for on in sessions if self._calendar.close_at(on) <= self._now()]
        if not wanted or not sessions:
            return cut_history(self.source, [], sessions, {})

        async def read(ib: IB, symbol: str) -> SymbolSeries:
            actions = self._actions_of(symbol)
            contract = await self._contract(ib, symbol)
            told = await self._history(ib, contract, symbol).daily(closed)
            not_closed = sessions[len(closed) :]
            return replace(
                _series(symbol, self._calendar, told, not_closed), actions=actions
            )

        series, unreadable = self._each(wanted, read)
        return cut_history(
            self.source, list(series.values()), sessions, unreadable, restates=self.restates
        )

    def minute_bars(
        self, symbols: Sequence[str], first: date, last: date, bar_size: str = "1 min"
    ) -> pd.DataFrame:
        """Bars below a day, in regular hours.

        Args:
            symbols: In any order; repetitions count once.
            first: First day of the range; included if it is a session.
            last: Last day of the range; included if it is a session.
            bar_size: As Interactive Brokers writes it, from ``1 min`` to ``1 hour``.

        Returns:
            ``symbol``, ``session``, ``started_at`` (UTC), ``open``, ``high``, ``low``,
            ``close`` (split-adjusted up to today), ``volume``; ordered by symbol and
            start. A minute without a trade has no row.

        Raises:
            InvalidInput: If a symbol or *bar_size* is not written as one.
            MarketDataUnreadable: If a symbol could not be read; it names each.
        """
        require_bar_size(bar_size)
        wanted = distinct_symbols(symbols)
        sessions = self._calendar.between(first, last)

        async def read(ib: IB, symbol: str) -> list[tuple[datetime, BarData]]:
            contract = await self._contract(ib, symbol)
            history = self._history(ib, contract, symbol)
            return await history.within_days(sessions, bar_size)

        found, unreadable = self._each(wanted if sessions else [], read)
        if unreadable:
            raise MarketDataUnreadable("; ".join(unreadable.values()))
        return _minutes_frame(found, self._calendar)

    def _each[T](
        self, symbols: Sequence[str], read: Callable[[IB, str], Awaitable[T]]
    ) -> tuple[dict[str, T], dict[str, str]]:
        """What each symbol is read as, or why it can't be."""
        found: dict[str, T] = {}
        unreadable: dict[str, str] = {}

        async def one(ib: IB, symbol: str) -> None:
            try:
                found[symbol] = await read(ib, symbol)
            except (InvalidInput, MarketDataUnreadable, NoAnswer, RequestRefused) as error:
                unreadable[symbol] = str(error)
            except ConnectionError:  # the library says so when it is too late to send
                unreadable[symbol] = f"{symbol}: the connection was lost"

        async def all_of_them(ib: IB) -> None:
            await asyncio.gather(*(one(ib, symbol) for symbol in symbols))

        try:
            if symbols:
                self._gateway.ask(all_of_them, "bars", math.inf)
        except (GatewayUnreachable, NoAnswer) as error:
            raise MarketDataUnreadable(str(error)) from error
        if unreadable and not found and not self._gateway.state.connected:
            raise MarketDataUnreadable("; ".join(unreadable[name] for name in symbols))
        return {name: found[name] for name in symbols if name in found}, unreadable

    async def _contract(self, ib: IB, symbol: str) -> Contract:
        if symbol not in self._contracts:
            seconds = self._gateway.settings.answer_seconds
            async with self._defining:
                details = await share_details(ib, symbol, seconds)
            self._contracts[symbol] = contract_of(details)
        return self._contracts[symbol]

    def _history(self, ib: IB, contract: Contract, symbol: str) -> History:
        return History(
            ib,
            contract,
            symbol,
            zone=self._calendar.timezone,
            pacer=self._pacer,
            answer_seconds=self._gateway.settings.answer_seconds,
            again_seconds=self._again_seconds,
        )


def _series(
    symbol: str,
    calendar: TradingCalendar,
    told: tuple[Sequence[tuple[date, BarData]], date | None],
    not_closed: Sequence[date],
) -> SymbolSeries:
    bars, begins = told
    by_session: dict[date, list[tuple[float, ...]]] = defaultdict(list)
    strays: dict[date, tuple[str, ...]] = {}
    for day, bar in bars:
        if calendar.is_session(day):
            by_session[day].append(_values(bar))
        else:
            session = calendar.on_or_after(day)
            remark = f"{symbol}: a bar of {day}, which is no session, is not stored"
            strays[session] = (*strays.get(session, ()), remark)
    rejected = dict.fromkeys(not_closed, NOT_CLOSED)
    kept: dict[date, tuple[float, ...]] = {}
    for session, values in sorted(by_session.items()):
        problems = _problems(values)
        if problems:
            rejected[session] = problems
        else:
            kept[session] = values[0]
    begin = calendar.sessions[0] if begins is None else calendar.on_or_after(begins)
    return SymbolSeries(
        symbol=symbol,
        sessions=np.array(list(kept), dtype="datetime64[D]"),
        values=np.array(list(kept.values()), dtype=np.float64).reshape(-1, len(FIELDS)),
        first=np.datetime64(begin, "D"),
        last=np.datetime64(calendar.sessions[-1], "D"),
        absences={
            CoverageStatus.NOT_LISTED: f"Interactive Brokers has bars from {begin} on",
            CoverageStatus.MISSING: MISSING,
        },
        rejected=rejected,
        remarks=strays,
    )


def _values(bar: BarData) -> tuple[float, ...]:
    return (bar.open, bar.high, bar.low, bar.close, bar.volume)


def _problems(told: Sequence[tuple[float, ...]]) -> str:
    """Why a session's bar is not stored; empty if it is."""
    if len(set(told)) > 1:
        return f"told {len(told)} times, and each contradicts the others"
    if are_inconsistent(np.array(told[:1])).any():
        return ", ".join(inconsistencies(*told[0]))
    return ""


def _minutes_frame(
    found: Mapping[str, Sequence[tuple[datetime, BarData]]], calendar: TradingCalendar
) -> pd.DataFrame:
    rows = [
        (symbol, start, *_values(bar))
        for symbol, told in found.items()
        for start, bar in told
    ]
    frame = pd.DataFrame(rows, columns=["symbol", "started_at", *FIELDS])
    started_at = pd.to_datetime(frame["started_at"], utc=True).astype("datetime64[ns, UTC]")
    local = started_at.dt.tz_convert(calendar.timezone).dt.tz_localize(None)
    frame["started_at"] = started_at
    frame.insert(1, "session", local.dt.normalize().astype("datetime64[ns]"))
    return frame.astype(dict.fromkeys(FIELDS, "float64"))
