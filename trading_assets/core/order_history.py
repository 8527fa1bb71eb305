"""What has happened to an order at a real broker, one row after the other."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime

from trading_assets.core.guarding import EXPIRY
from trading_assets.core.order_states import SHARE_TOLERANCE, current_executions
from trading_assets.core.recorded import open_session, session_of
from trading_assets.core.venue import Row
from trading_assets.models.intent import Execution, Fact, FactKind, Intent
from trading_assets.models.order import OrderEventStatus, TimeInForce
from trading_assets.sessions import TradingCalendar

STATUSES: Mapping[FactKind, OrderEventStatus] = {
    FactKind.ACKNOWLEDGED: OrderEventStatus.WORKING,
    FactKind.WORKING: OrderEventStatus.WORKING,
    FactKind.MODIFIED: OrderEventStatus.WORKING,
    FactKind.INACTIVE: OrderEventStatus.UNKNOWN,
    FactKind.UNKNOWN: OrderEventStatus.UNKNOWN,
    FactKind.MISSING: OrderEventStatus.UNKNOWN,
    FactKind.CANCELLED: OrderEventStatus.CANCELLED,
    FactKind.SETTLED: OrderEventStatus.CANCELLED,
    FactKind.REJECTED: OrderEventStatus.REJECTED,
}
"""Of what was heard; fills are told by executions alone."""

SEQ_PER_SESSION = 1000
"""Each session counts from its own number on: what is told late changes no other's rows."""


def order_events(
    intent: Intent,
    facts: Sequence[Fact],
    executions: Sequence[Execution],
    calendar: TradingCalendar,
) -> list[Row]:
    """Rows of `order_events` without strategy and lane, oldest first.

    ``seq`` ascends and has gaps: see `SEQ_PER_SESSION`.

    Args:
        intent: The order.
        facts: All that was recorded of it, oldest first.
        executions: Of its reference.
        calendar: Of the exchange.
    """
    told = [*_from_facts(intent, facts, calendar)]
    told += _from_executions(intent, executions, calendar)
    told.sort(key=lambda row: row["at"])
    events: list[Row] = []
    counted: Counter[date] = Counter()
    for row in told:
        last = events[-1] if events else None
        says = ("status", "shares", "price", "reason")
        if last is None or any(row[name] != last[name] for name in says):
            session: date = row["session"]
            counted[session] += 1
            begun = calendar.position(session) - calendar.position(intent.ticket.session)
            seq = begun * SEQ_PER_SESSION + counted[session]
            events.append(row | {"order_id": intent.order_id, "seq": seq})
    return sorted(events, key=lambda row: row["seq"])


def refusal_event(
    order_id: str, shares: int, reason: str, at: datetime, calendar: TradingCalendar
) -> Row:
    """The one row of an order that was decided and then not sent."""
    row = _row(OrderEventStatus.CANCELLED, shares, None, reason, at)
    own = {"order_id": order_id, "seq": 1, "session": open_session(at, calendar)}
    return row | own


def _from_facts(
    intent: Intent, facts: Sequence[Fact], calendar: TradingCalendar
) -> Iterator[Row]:
    is_cancelled_by_us = any(fact.kind is FactKind.CANCEL_SENT for fact in facts)
    shares = intent.wire.terms.shares
    for fact in facts:
        status = STATUSES.get(fact.kind)
        if status is None:
            continue
        if fact.kind is FactKind.MODIFIED and fact.terms is not None:
            shares = fact.terms.shares
        session = open_session(fact.at, calendar)
        is_over = fact.at >= calendar.close_at(session)
        is_day_order = intent.ticket.tif is TimeInForce.DAY
        if fact.kind is FactKind.CANCELLED and is_day_order and is_over:
            is_expired = not is_cancelled_by_us and session > intent.ticket.session
            status = OrderEventStatus.EXPIRED if is_expired else status
        if fact.kind is FactKind.SETTLED and fact.source == EXPIRY:
            status = OrderEventStatus.EXPIRED
        is_ours = fact.kind in {FactKind.MISSING, FactKind.INACTIVE}
        reason = f"{fact.kind}: {fact.text}" if is_ours else fact.text
        reason = "" if status is OrderEventStatus.WORKING else reason
        yield _row(status, shares, None, reason, fact.at) | {"session": session}


def _from_executions(
    intent: Intent, executions: Sequence[Execution], calendar: TradingCalendar
) -> Iterator[Row]:
    filled = 0.0
    for execution in current_executions(executions):
        filled += execution.shares
        is_all = filled >= intent.wire.terms.shares - SHARE_TOLERANCE
        status = OrderEventStatus.FILLED if is_all else OrderEventStatus.PARTIALLY_FILLED
        row = _row(status, round(execution.shares), execution.price, "", execution.at)
        yield row | {"session": session_of(execution.at, calendar)}


def _row(
    status: OrderEventStatus, shares: int, price: float | None, reason: str, at: datetime
) -> Row:
    return {
        "status": status.value,
        "shares": shares,
        "price": price,
        "reason": reason,
        "at": at,
    }
