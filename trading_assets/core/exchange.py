"""The simulated exchange: in which order a session's orders become fills.

1. Before the open: splits, then dividends, then spin-offs, on what was held.
2. At the open: market orders, exits before entries, by symbol.
3. Resting orders: those that the open gapped beyond, at the open; then the others.
4. Legs of the entries that filled in this session.
5. At the close: day orders that met a bar and did not fill expire.

Same bars, same orders, same fills, on any machine.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trading_assets.core.book import Book, Closed
from trading_assets.core.commission import commission
from trading_assets.core.filling import (
    Candle,
    Price,
    Ticket,
    is_reached,
    price_at_open,
    price_within,
    triggers,
)
from trading_assets.core.market_days import MarketDays
from trading_assets.models.bar import ActionKind
from trading_assets.models.base import Side
from trading_assets.models.fill import BookEventKind
from trading_assets.models.order import Leg, OrderEventStatus, OrderType, TimeInForce
from trading_assets.strategies.spec import Costs, Dividends

type Row = dict[str, Any]
type Pricing = Callable[[Ticket, Candle, float], Price | None]

SIDES = {1: Side.BUY.value, -1: Side.SELL.value}
EXIT_REASONS = {leg: leg.value for leg in Leg}


@dataclass(slots=True)
class Log:
    """What happened, as rows of the tables of the same names, without strategy and lane."""

    order_events: list[Row] = field(default_factory=list)
    fills: list[Row] = field(default_factory=list)
    book_events: list[Row] = field(default_factory=list)
    trades: list[Row] = field(default_factory=list)


class SimulatedExchange:
    """Fills one strategy's orders from recorded bars, and keeps its book."""

    def __init__(
        self,
        *,
        strategy: str,
        days: MarketDays,
        costs: Costs,
        book: Book,
        tickets: Iterable[Ticket] = (),
    ) -> None:
        self.book = book
        self.log = Log()
        self._strategy = strategy
        self._days = days
        self._costs = costs
        self._tickets: dict[str, list[Ticket]] = {}
        for ticket in tickets:
            self._tickets.setdefault(ticket.symbol, []).append(ticket)

    @property
    def tickets(self) -> Iterator[Ticket]:
        """Every order that is waiting or working, by symbol."""
        for symbol in sorted(self._tickets):
            yield from self._tickets[symbol]

    @property
    def symbols(self) -> set[str]:
        """What is held or has an order waiting."""
        return {*self.book.holdings, *self._tickets}

    def stance(self, symbol: str) -> int:
        """Sign of what is held, once the working entries and exits have filled."""
        working = self._tickets.get(symbol, ())
        if any(ticket.leg is Leg.EXIT for ticket in working):
            return 0
        if shares := self.book.shares(symbol):
            return 1 if shares > 0 else -1
        return next((t.sign for t in working if t.leg is Leg.ENTRY), 0)

    def stances(self) -> NDArray[np.int8]:
        """`stance` of every symbol of the days, in their order."""
        column = self._days.column
        stances = np.zeros(len(column), dtype=np.int8)
        for symbol, holding in self.book.holdings.items():
            stances[column[symbol]] = holding.sign
        for working in self._tickets.values():
            for ticket in working:
                if not ticket.is_leg:
                    stances[column[ticket.symbol]] = self.stance(ticket.symbol)
        return stances

    def trade(self, day: int) -> None:
        """Let day number *day* happen; its closes become the marks."""
        self.book.begin_session()
        for symbol, kind, value in self._days.actions.get(day, ()):
            self._act(day, symbol, kind, value)
        candles = {
            symbol: candle
            for symbol in sorted(self._tickets)
            if (candle := self._days.candle(day, symbol))
        }
        reached = self._reached(candles)
        entered: list[tuple[Ticket, bool]] = []
        for is_asked, pricing in PASSES if reached else ():
            asked = [ticket for ticket in reached if is_asked(ticket)]
            self._each(day, candles, asked, pricing, entered)
        for entry, is_at_open in entered:
            self._protect(day, entry, candles[entry.symbol], is_at_open=is_at_open)
        for symbol, candle in candles.items():
            self._close_day(day, symbol, candle)
        self.book.mark(self._days.closes(day))

    def submit(self, day: int, tickets: Iterable[Ticket]) -> None:
        """Take orders at the close of day number *day*; an exit cancels the legs first."""
        for ticket in tickets:
            if ticket.leg is Leg.EXIT:
                self._cancel_all(day, ticket.symbol, "gives way to an exit")
            self._tickets.setdefault(ticket.symbol, []).append(ticket)
            if not ticket.is_waiting:
                self._event(ticket, day, OrderEventStatus.WORKING, self._closed_at(day))

    def cancel(self, day: int, order_id: str, reason: str) -> bool:
        """Cancel an order and the legs that wait for it; False if there is none such."""
        dropped = [t for t in self.tickets if order_id in {t.order_id, t.parent_id}]
        for ticket in dropped:
            self._drop(ticket)
            status = OrderEventStatus.CANCELLED
            self._event(ticket, day, status, self._closed_at(day), reason)
        return bool(dropped)

    # 1. Before the open

    def _act(self, day: int, symbol: str, kind: ActionKind, value: float) -> None:
        if kind is ActionKind.SPLIT:
            self._split(day, symbol, value)
        elif kind is ActionKind.DIVIDEND:
            self._pay_dividend(day, symbol, value)
        else:
            self._spin_off(day, symbol, value)

    def _split(self, day: int, symbol: str, ratio: float) -> None:
        if symbol in self.book.holdings:
            candle = self._days.candle(day, symbol)
            price = candle.open if candle else self.book.holdings[symbol].mark / ratio
            delta, cash = self.book.apply_split(symbol, ratio=ratio, price=price)
            self._book_event(day, symbol, BookEventKind.SPLIT, delta, cash)
        self._rescale(day, symbol, f"split {ratio:g}", ratio, ratio)

    def _pay_dividend(self, day: int, symbol: str, per_share: float) -> None:
        shares = self.book.shares(symbol)
        if shares and self._costs.dividends is Dividends.CASH:
            cash = shares * per_share
            self.book.apply_cash(cash)
            self._book_event(day, symbol, BookEventKind.DIVIDEND, 0, cash)

    def _spin_off(self, day: int, symbol: str, factor: float) -> None:
        if holding := self.book.holdings.get(symbol):
            cash = holding.shares * holding.mark * (1 - 1 / factor)
            holding.mark /= factor
            self.book.apply_cash(cash)
            self._book_event(day, symbol, BookEventKind.SPINOFF, 0, cash)
        self._rescale(day, symbol, f"spin-off {factor:g}", 1.0, factor)

    def _rescale(
        self, day: int, symbol: str, why: str, shares_ratio: float, price_ratio: float
    ) -> None:
        opened_at = self._days.opens_at[day]
        for ticket in list(self._tickets.get(symbol, ())):
            ticket.rescale(shares_ratio=shares_ratio, price_ratio=price_ratio)
            if ticket.shares == 0 or (ticket.is_leg and self._is_orphan(ticket)):
                self._drop(ticket)
                self._event(ticket, day, OrderEventStatus.CANCELLED, opened_at, why)
            elif not ticket.is_waiting:
                self._event(ticket, day, OrderEventStatus.WORKING, opened_at, why)

    def _is_orphan(self, ticket: Ticket) -> bool:
        return not ticket.is_waiting and not self.book.shares(ticket.symbol)

    # 2. and 3. Market orders, then resting ones

    def _reached(self, candles: Mapping[str, Candle]) -> list[Ticket]:
        """What lives at the open and may trade: by symbol, stops before all others."""
        reached = [
            ticket
            for symbol, candle in candles.items()
            for ticket in self._tickets[symbol]
            if not ticket.is_waiting and is_reached(ticket, candle)
        ]
        return sorted(reached, key=lambda ticket: (ticket.symbol, _stop_first(ticket)))

    def _each(
        self,
        day: int,
        candles: Mapping[str, Candle],
        asked: Iterable[Ticket],
        pricing: Pricing,
        entered: list[tuple[Ticket, bool]],
    ) -> None:
        for ticket in asked:
            if not self._works(ticket):
                continue
            candle = candles[ticket.symbol]
            if price := pricing(ticket, candle, self._costs.slippage_bps):
                self._fill(day, ticket, price)
                if ticket.leg is Leg.ENTRY:
                    entered.append((ticket, price.is_at_open))

    def _works(self, ticket: Ticket) -> bool:
        """Whether it is still there: what filled before it may have cancelled it."""
        return any(ticket is other for other in self._tickets.get(ticket.symbol, ()))

    # 4. Legs of today's entries

    def _protect(
        self, day: int, entry: Ticket, candle: Candle, *, is_at_open: bool
    ) -> None:
        legs = [t for t in self._tickets.get(entry.symbol, ()) if t.is_leg]
        if not is_at_open:
            legs = [leg for leg in legs if leg.leg is Leg.STOP]
        for pricing in (price_at_open, price_within) if is_at_open else (price_within,):
            for leg in sorted(legs, key=_stop_first):
                if price := pricing(leg, candle, self._costs.slippage_bps):
                    self._fill(day, leg, price)
                    return

    # 5. At the close

    def _close_day(self, day: int, symbol: str, candle: Candle) -> None:
        for ticket in list(self._tickets.get(symbol, ())):
            if ticket.is_waiting:
                continue
            if triggers(ticket, candle):
                ticket.is_triggered = True
            if ticket.tif is TimeInForce.DAY:
                self._expire(day, ticket)

    def _expire(self, day: int, ticket: Ticket) -> None:
        closed_at = self._closed_at(day)
        self._drop(ticket)
        self._event(ticket, day, OrderEventStatus.EXPIRED, closed_at, "its day is over")
        for leg in [t for t in self._tickets.get(ticket.symbol, ()) if t.is_waiting]:
            if leg.parent_id == ticket.order_id:
                self._drop(leg)
                self._event(
                    leg, day, OrderEventStatus.CANCELLED, closed_at, "its entry expired"
                )

    # Filling, and what it brings along

    def _fill(self, day: int, ticket: Ticket, price: Price) -> None:
        at = self._days.opens_at[day] if price.is_at_open else self._closed_at(day)
        shares = self._shares_to_fill(ticket)
        self._drop(ticket)
        if shares == 0:
            reason = "nothing left to close"
            self._event(ticket, day, OrderEventStatus.CANCELLED, at, reason)
            return
        if ticket.leg is Leg.EXIT:
            self._cancel_all(day, ticket.symbol, "gives way to an exit", at)
        charged = commission(self._costs.commission, shares=shares, price=price.price)
        closed = self.book.apply_fill(
            ticket.symbol,
            signed_shares=ticket.sign * shares,
            price=price.price,
            commission=charged,
            session=self._days.sessions[day].isoformat(),
        )
        fill_id = f"{ticket.order_id}-1"
        self._event(
            ticket, day, OrderEventStatus.FILLED, at, "", price=price.price, shares=shares
        )
        self.log.fills.append(
            {
                "fill_id": fill_id,
                "session": self._days.sessions[day],
                "symbol": ticket.symbol,
                "order_id": ticket.order_id,
                "side": SIDES[ticket.sign],
                "shares": shares,
                "price": price.price,
                "commission": charged,
                "filled_at": at,
            }
        )
        if closed:
            self._trade(day, ticket, fill_id, closed)
        self._follow(day, ticket, shares, at)

    def _shares_to_fill(self, ticket: Ticket) -> int:
        """No exit and no leg exceeds what is held."""
        if ticket.leg is Leg.ENTRY:
            return ticket.shares
        return min(ticket.shares, max(-ticket.sign * self.book.shares(ticket.symbol), 0))

    def _follow(self, day: int, ticket: Ticket, shares: int, at: datetime) -> None:
        """Wake the legs of a filled entry; cancel the other leg of a filled one."""
        if ticket.leg is not Leg.ENTRY:
            if not self.book.shares(ticket.symbol):
                self._cancel_all(day, ticket.symbol, f"{ticket.leg.value} filled", at)
            return
        for leg in self._tickets.get(ticket.symbol, ()):
            if leg.parent_id == ticket.order_id:
                leg.parent_id, leg.shares = "", shares
                self._event(leg, day, OrderEventStatus.WORKING, at, "its entry filled")

    def _cancel_all(
        self, day: int, symbol: str, reason: str, at: datetime | None = None
    ) -> None:
        for ticket in list(self._tickets.get(symbol, ())):
            self._drop(ticket)
            status = OrderEventStatus.CANCELLED
            self._event(ticket, day, status, at or self._closed_at(day), reason)

    def _drop(self, ticket: Ticket) -> None:
        working = self._tickets[ticket.symbol]
        working.remove(ticket)
        if not working:
            del self._tickets[ticket.symbol]

    # Writing it down

    def _closed_at(self, day: int) -> datetime:
        return self._days.closes_at[day]

    def _event(
        self,
        ticket: Ticket,
        day: int,
        status: OrderEventStatus,
        at: datetime,
        reason: str = "",
        *,
        price: float | None = None,
        shares: int | None = None,
    ) -> None:
        ticket.events += 1
        self.log.order_events.append(
            {
                "order_id": ticket.order_id,
                "seq": ticket.events,
                "session": self._days.sessions[day],
                "status": status.value,
                "shares": ticket.shares if shares is None else shares,
                "price": price,
                "reason": reason,
                "at": at,
            }
        )

    def _book_event(
        self, day: int, symbol: str, kind: BookEventKind, delta: int, cash: float
    ) -> None:
        session = self._days.sessions[day]
        self.log.book_events.append(
            {
                "event_id": f"{self._strategy}-{session}-{symbol}-{kind.value}",
                "session": session,
                "symbol": symbol,
                "kind": kind.value,
                "shares_delta": delta,
                "cash": cash,
            }
        )

    def _trade(self, day: int, ticket: Ticket, fill_id: str, closed: Closed) -> None:
        self.log.trades.append(
            {
                "trade_id": fill_id,
                "session": self._days.sessions[day],
                "symbol": ticket.symbol,
                "opened_session": date.fromisoformat(closed.opened_session),
                "closed_session": self._days.sessions[day],
                "side": SIDES[closed.sign],
                "shares": closed.shares,
                "entry_price": closed.entry_price,
                "exit_price": closed.exit_price,
                "pnl": closed.pnl,
                "commission": closed.commission,
                "exit_reason": EXIT_REASONS[ticket.leg],
            }
        )


def _is_market_exit(ticket: Ticket) -> bool:
    return ticket.order_type is OrderType.MARKET and ticket.leg is not Leg.ENTRY


def _is_market_entry(ticket: Ticket) -> bool:
    return ticket.order_type is OrderType.MARKET and ticket.leg is Leg.ENTRY


def _is_resting_exit(ticket: Ticket) -> bool:
    return ticket.order_type is not OrderType.MARKET and ticket.leg is not Leg.ENTRY


def _is_resting_entry(ticket: Ticket) -> bool:
    return ticket.order_type is not OrderType.MARKET and ticket.leg is Leg.ENTRY


def _stop_first(ticket: Ticket) -> int:
    """Stops before all others: a bar that touches stop and target takes the stop."""
    return 0 if ticket.leg is Leg.STOP else 1


PASSES: tuple[tuple[Callable[[Ticket], bool], Pricing], ...] = (
    (_is_market_exit, price_at_open),
    (_is_market_entry, price_at_open),
    (_is_resting_exit, price_at_open),
    (_is_resting_entry, price_at_open),
    (_is_resting_exit, price_within),
    (_is_resting_entry, price_within),
)
"""Who is asked, and how, one after the other: the sequence of steps 2 and 3."""
