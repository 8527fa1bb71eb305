"""The simulated exchange: in which order a session's orders become fills.

0. What waited for a person works if it was approved, and is gone if not.
1. Before the open: splits, then dividends, then spin-offs, on what was held.
2. At the open: market orders, exits before entries, by symbol.
3. Resting orders: those that the open gapped beyond, at the open; then the others.
4. Legs of the entries that filled in this session.
5. At the close: day orders that met a bar and did not fill expire.

Same bars, same orders, same fills, on any machine.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import override

from trading_assets.core.approving import Waiting
from trading_assets.core.book import Book
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
from trading_assets.core.venue import Venue
from trading_assets.models.approval import ApprovalState, Ruling
from trading_assets.models.order import Leg, OrderEventStatus, OrderType, TimeInForce
from trading_assets.strategies.spec import Costs

type Pricing = Callable[[Ticket, Candle, float], Price | None]


class SimulatedExchange(Venue):
    """Fills one strategy's orders from recorded bars, and keeps its book.

    Attributes:
        waiting: What was decided at the last close and waits for a person.
    """

    def __init__(
        self,
        *,
        strategy: str,
        days: MarketDays,
        costs: Costs,
        book: Book,
        tickets: Iterable[Ticket] = (),
        waiting: Iterable[Waiting] = (),
    ) -> None:
        super().__init__(
            strategy=strategy, days=days, costs=costs, book=book, tickets=tickets
        )
        self.waiting: Sequence[Waiting] = tuple(waiting)

    @property
    @override
    def symbols(self) -> set[str]:
        return super().symbols.union(own.tickets[0].symbol for own in self.waiting)

    def hear(self, day: int) -> None:
        """Heed what people have said before the open of day number *day*.

        What they have approved works from this open on, as if it had been submitted at the
        close; of the rest it is written down why it does not.
        """
        answers = self._days.answers.get(self._days.sessions[day], {})
        opened_at = self._days.opens_at[day]
        for family in self.waiting:
            answer = answers.get((family.order_id, family.payload_hash))
            status, why = _heard(answer)
            for ticket in family.tickets:
                self._event(ticket, day, status, opened_at, why)
            if status is OrderEventStatus.APPROVED:
                self.submit(day, family.tickets, opened_at)
        self.waiting = ()

    def trade(self, day: int) -> None:
        """Let day number *day* happen; its closes become the marks."""
        self.begin(day)
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

    def submit(
        self, day: int, tickets: Iterable[Ticket], at: datetime | None = None
    ) -> None:
        """Take orders on day number *day*; an exit cancels the legs first.

        Args:
            day: Of the instant.
            tickets: Legs after their entry.
            at: When; None for the close.
        """
        at = at or self._closed_at(day)
        for ticket in tickets:
            if ticket.leg is Leg.EXIT:
                self._cancel_all(day, ticket.symbol, "gives way to an exit", at)
            self._tickets.setdefault(ticket.symbol, []).append(ticket)
            if not ticket.is_waiting:
                self._event(ticket, day, OrderEventStatus.WORKING, at)

    def cancel(self, day: int, order_id: str, reason: str) -> bool:
        """Cancel an order and the legs that wait for it; False if there is none such."""
        dropped = [t for t in self.tickets if order_id in {t.order_id, t.parent_id}]
        for ticket in dropped:
            self._drop(ticket)
            status = OrderEventStatus.CANCELLED
            self._event(ticket, day, status, self._closed_at(day), reason)
        return bool(dropped)

    # 1. Before the open

    @override
    def rescale(
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
        self._event(
            ticket, day, OrderEventStatus.FILLED, at, "", price=price.price, shares=shares
        )
        self.record(
            day,
            ticket,
            f"{ticket.order_id}-1",
            shares=shares,
            price=price.price,
            commission=charged,
            at=at,
        )
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


def _heard(answer: Ruling | None) -> tuple[OrderEventStatus, str]:
    """What becomes of an order that waited for *answer*, and why."""
    if answer is None:
        return OrderEventStatus.EXPIRED, "expired: nobody had approved it by the open"
    if answer.state is ApprovalState.APPROVED:
        return OrderEventStatus.APPROVED, str(answer)
    return OrderEventStatus.REJECTED, str(answer)


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
