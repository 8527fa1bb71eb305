"""A book that is kept from what a real broker has filled.

What was decided is decided once and stands. What came of it may become known later: an
execution told late, or corrected. So a session can be accounted for again, with the same
decisions, and its book is a function of fills, prices and corporate actions alone.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from trading_assets.core.deciding import Decided, Plan, decide, order_rows
from trading_assets.core.filling import Ticket
from trading_assets.core.market_days import MarketDays
from trading_assets.core.order_states import OrderStanding, current_executions
from trading_assets.core.venue import Row, Venue
from trading_assets.core.walk import (
    Closing,
    Opening,
    Walked,
    portfolio_row,
    position_rows,
    require_covered,
)
from trading_assets.models.account import Adoption
from trading_assets.models.fill import BookEventKind
from trading_assets.models.intent import Execution, Intent, OrderTicket
from trading_assets.models.order import Leg
from trading_assets.sessions import TradingCalendar

LATE_PRINTS = timedelta(minutes=30)
"""How long after a close its executions may still be told with a later time."""

BEFORE_THE_OPEN = timedelta(minutes=5)
"""How long before the next open a decision is too late."""

type Gate = Callable[[int, list[Decided]], list[Decided]]
"""What of a day's decisions may go out; the rest comes back refused. By day number."""


@dataclass(frozen=True, slots=True)
class Filled:
    """One execution of one of our orders.

    Attributes:
        fill_id: Of the order, numbered by time.
        ticket: What was asked for.
        shares: Above 0.
        price: Currency per share.
        commission: Account currency; 0 until it is told.
        at: When, UTC.
    """

    fill_id: str
    ticket: Ticket
    shares: int
    price: float
    commission: float
    at: datetime


class RecordedVenue(Venue):
    """A real broker, as the book sees it: what it has filled, and what works there."""

    def trade(self, day: int, fills: Iterable[Filled], adopted: Iterable[Adoption]) -> None:
        """Let day number *day* have happened; its closes become the marks."""
        self.begin(day)
        for number, adoption in enumerate(adopted, 1):
            self._adopt(day, number, adoption)
        for own in fills:
            self.record(
                day,
                own.ticket,
                own.fill_id,
                shares=own.shares,
                price=own.price,
                commission=own.commission,
                at=own.at,
            )
        self.book.mark(self._days.closes(day))

    def _adopt(self, day: int, number: int, adoption: Adoption) -> None:
        """Take shares into the book, or out of it, that no order of ours has moved."""
        shares, price = round(adoption.shares), adoption.price or 0.0
        session = self._days.sessions[day]
        self.book.apply_fill(
            adoption.symbol,
            signed_shares=shares,
            price=price,
            commission=0.0,
            session=session.isoformat(),
        )
        kind = BookEventKind.ADOPTION
        self.log.book_events.append(
            {
                "event_id": f"{self._strategy}-{session}-{adoption.symbol}-{kind}-{number}",
                "session": session,
                "symbol": adoption.symbol,
                "kind": kind.value,
                "shares_delta": shares,
                "cash": -shares * price,
            }
        )


def account_for(
    plan: Plan,
    days: MarketDays,
    opening: Opening,
    *,
    fills: Mapping[date, Sequence[Filled]],
    decisions: Mapping[date, Sequence[Row]],
    unplanned: Mapping[date, Sequence[Row]],
    adopted: Mapping[date, Sequence[Adoption]],
    working: Sequence[Ticket],
    gate: Gate,
) -> Walked:
    """Account for all of *days* from *opening*, and decide those that were not yet.

    Args:
        plan: The strategy's arithmetic.
        days: Must have a column for every symbol of the universe, the book and *fills*.
        opening: Consumed: its book is the one that is kept.
        fills: By the session in which they happened, in order.
        decisions: `orders` rows, without strategy and lane, of sessions that are decided.
        unplanned: `orders` rows of what a person has ordered beside the decisions.
        adopted: What came into the book, or left it, by a person's word, by session.
        working: Orders that work at the broker now.
        gate: Asked about each session that is decided now.
    """
    capital = opening.book.cash
    venue = RecordedVenue(
        strategy=plan.spec.name,
        days=days,
        costs=plan.spec.costs,
        book=opening.book,
        tickets=working,
    )
    walked, last_hash = Walked(log=venue.log), opening.book_hash
    for day, session in enumerate(days.sessions):
        before = {*venue.book.holdings}
        own, strange = fills.get(session, ()), adopted.get(session, ())
        concerned = before | {each.ticket.symbol for each in own}
        concerned |= {each.symbol for each in strange}
        require_covered(plan, days, day, concerned)
        venue.trade(day, own, strange)
        drawdown_frac = venue.book.mark_peak()
        orders = decisions.get(session)
        if orders is None:
            decided = gate(day, decide(plan, days, day, venue))
            orders = list(order_rows(plan, days, day, decided))
        known = {row["order_id"] for row in orders}
        beside = unplanned.get(session, ())
        orders = [*orders, *(row for row in beside if row["order_id"] not in known)]
        walked.orders.extend(orders)
        told = (*map(_told, own), *((it.symbol, it.shares, it.price) for it in strange))
        begun = last_hash or repr(capital)
        book_hash = _link(plan, days, day, begun, sorted(concerned), told, orders)
        positions = position_rows(session, venue.book, days.closes(day))
        walked.positions.extend(positions)
        walked.portfolio.append(
            portfolio_row(session, venue.book, positions, drawdown_frac)
            | {"book_hash": book_hash}
        )
        state = json.dumps({"book": venue.book.to_plain(), "tickets": []})
        walked.closings.append(Closing(session, last_hash, book_hash, state))
        last_hash = book_hash
    return walked


def fills_by_session(
    intents: Mapping[str, Intent],
    executions: Iterable[Execution],
    calendar: TradingCalendar,
) -> dict[date, list[Filled]]:
    """Executions of our orders by the session in which they happened, in order.

    Args:
        intents: By the reference that the broker keeps beside each order.
        executions: Of one account; those of other orders are passed over.
        calendar: Of the exchange.
    """
    numbers: dict[str, int] = {}
    found: dict[date, list[Filled]] = {}
    for execution in current_executions(executions):
        intent = intents.get(execution.order_ref)
        shares = round(execution.shares)
        if intent is None:
            continue
        number = numbers[execution.order_ref] = numbers.get(execution.order_ref, 0) + 1
        if shares == 0:  # a busted trade is corrected to none, and keeps its number
            continue
        filled = Filled(
            fill_id=f"{intent.order_id}-{number}",
            ticket=ticket_of(intent.ticket),
            shares=shares,
            price=execution.price,
            commission=execution.commission or 0.0,
            at=execution.at,
        )
        found.setdefault(session_of(execution.at, calendar), []).append(filled)
    return found


def session_of(at: datetime, calendar: TradingCalendar) -> date:
    """The session that an execution at the instant *at* belongs to."""
    closed = calendar.last_closed(at - LATE_PRINTS)
    return calendar.offset(closed, 1)


def open_session(at: datetime, calendar: TradingCalendar) -> date:
    """The last session that has opened by the instant *at*: an evening is still its own."""
    day = calendar.on_or_before(at.astimezone(calendar.timezone).date())
    return day if calendar.open_at(day) <= at else calendar.offset(day, -1)


def answer_by(session: date, calendar: TradingCalendar) -> datetime:
    """Until when what was decided at the close of *session* may be approved, or sent."""
    return calendar.open_at(calendar.offset(session, 1)) - BEFORE_THE_OPEN


def too_late(session: date, at: datetime, calendar: TradingCalendar) -> str:
    """Why a decision of *session* may not be sent at the instant *at*; empty if it may."""
    current = calendar.last_closed(at)
    if session != current:
        return f"too_late: {current} has closed since"
    if at >= answer_by(current, calendar):
        opens_at = calendar.open_at(calendar.offset(current, 1))
        return f"too_late: the next session opens at {opens_at:%Y-%m-%d %H:%M} UTC"
    return ""


def working_tickets(standings: Iterable[OrderStanding]) -> list[Ticket]:
    """Orders that work at the broker, or may do so, with the shares that are left."""
    return [
        ticket_of(it.intent.ticket, max(it.terms.shares - round(it.filled_shares), 0))
        for it in standings
    ]


def ticket_of(ticket: OrderTicket, shares: int | None = None) -> Ticket:
    """An order for a broker as the arithmetic sees it."""
    return Ticket(
        order_id=ticket.order_id,
        symbol=ticket.symbol,
        leg=ticket.leg,
        sign=ticket.side.sign,
        shares=ticket.shares if shares is None else shares,
        order_type=ticket.order_type,
        limit_price=ticket.limit_price,
        stop_price=ticket.stop_price,
        tif=ticket.tif,
        reserved_price=ticket.limit_price or ticket.stop_price or 0.0,
    )


def held_back(
    decided: Iterable[Decided], objection: Callable[[Decided], str | None]
) -> list[Decided]:
    """*decided* as a gate lets it out: legs share the fate of their entry.

    Args:
        decided: Exits, then entries each with its legs after it.
        objection: The rule that refuses an exit or an entry, with its numbers, or None.
    """
    let_out: list[Decided] = []
    is_stopped = False
    for each in decided:
        if not each.ticket.is_leg:
            why = None if each.is_refused else objection(each)
            is_stopped = why is not None
            if why is not None:
                let_out.append(Decided(each.ticket, is_refused=True, reason=why))
                continue
        if not (each.ticket.is_leg and is_stopped):
            let_out.append(each)
    return let_out


def exits_first(row: Row) -> tuple[bool, str, bool, str]:
    """Where an `orders` row stands when its session is sent: families stay together."""
    is_entry = row["leg"] != Leg.EXIT.value
    is_leg = row["leg"] in {Leg.STOP.value, Leg.TARGET.value}
    return (is_entry, row["symbol"], is_leg, row["order_id"])


def _told(filled: Filled) -> tuple[object, ...]:
    at = filled.at.isoformat()
    return (filled.fill_id, filled.shares, filled.price, filled.commission, at)


def _link(
    plan: Plan,
    days: MarketDays,
    day: int,
    previous: str,
    symbols: Sequence[str],
    told: Iterable[tuple[object, ...]],
    orders: Iterable[Row],
) -> str:
    """Hash of the book after day number *day*, given the hash or the capital before it."""
    content = hashlib.blake2b(digest_size=16)
    head = (previous, plan.spec.costs.dividends.value, days.sessions[day].isoformat())
    content.update("|".join(head).encode())
    content.update(days.price_digest(day, symbols))
    content.update(repr(tuple(told)).encode())
    decided = [(row["order_id"], row["status"], row["reason"]) for row in orders]
    content.update(repr(sorted(decided)).encode())
    return content.hexdigest()
