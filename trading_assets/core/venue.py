"""A place where a strategy's orders become fills, and the book that comes of it.

What every such place has in common: which orders work there, what corporate actions do to
what is held, and how fills, events and trades are written down. How an order trades is
the business of `core.exchange`, which fills from bars, and of `core.recorded`, which is
told what a broker has filled.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trading_assets.core.book import Book, Closed
from trading_assets.core.filling import Ticket
from trading_assets.core.market_days import MarketDays
from trading_assets.models.bar import ActionKind
from trading_assets.models.base import Side
from trading_assets.models.fill import BookEventKind
from trading_assets.models.order import Leg
from trading_assets.strategies.spec import Costs, Dividends

type Row = dict[str, Any]

SIDES = {1: Side.BUY.value, -1: Side.SELL.value}


@dataclass(slots=True)
class Log:
    """What happened, as rows of the tables of the same names, without strategy and lane."""

    order_events: list[Row] = field(default_factory=list)
    fills: list[Row] = field(default_factory=list)
    book_events: list[Row] = field(default_factory=list)
    trades: list[Row] = field(default_factory=list)


class Venue:
    """One strategy's orders, its book, and a log of what happens to both."""

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

    def begin(self, day: int) -> None:
        """Begin day number *day*: corporate actions happen before its open."""
        self.book.begin_session()
        for symbol, kind, value in self._days.actions.get(day, ()):
            self._act(day, symbol, kind, value)

    def rescale(
        self, day: int, symbol: str, why: str, shares_ratio: float, price_ratio: float
    ) -> None:
        """Have the orders of *symbol* follow a split or a spin-off, if we have to."""

    def record(
        self,
        day: int,
        ticket: Ticket,
        fill_id: str,
        *,
        shares: int,
        price: float,
        commission: float,
        at: datetime,
    ) -> None:
        """Book a fill of *ticket* in day number *day*, and write it down.

        Args:
            day: In which it happened.
            ticket: What was asked for.
            fill_id: Of the execution.
            shares: Above 0.
            price: Currency per share.
            commission: Account currency.
            at: When, UTC.
        """
        session = self._days.sessions[day]
        closed = self.book.apply_fill(
            ticket.symbol,
            signed_shares=ticket.sign * shares,
            price=price,
            commission=commission,
            session=session.isoformat(),
        )
        self.log.fills.append(
            {
                "fill_id": fill_id,
                "session": session,
                "symbol": ticket.symbol,
                "order_id": ticket.order_id,
                "side": SIDES[ticket.sign],
                "shares": shares,
                "price": price,
                "commission": commission,
                "filled_at": at,
            }
        )
        if closed:
            self._trade(day, ticket, fill_id, closed)

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
        self.rescale(day, symbol, f"split {ratio:g}", ratio, ratio)

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
        self.rescale(day, symbol, f"spin-off {factor:g}", 1.0, factor)

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
                "exit_reason": ticket.leg.value,
            }
        )
