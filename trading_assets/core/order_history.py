"""What has happened to an order at a real broker, one row after the other."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime

from trading_assets.core.guarding import EXPIRY
from trading_assets.core.order_states import SHARE_TOLERANCE, current_executions
from trading_assets.core.recorded import open_session, session_of
from trading_assets.core.venue import Row
from trading_assets.models.approval import Approval, ApprovalState
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

SAID: Mapping[ApprovalState, OrderEventStatus] = {
    ApprovalState.APPROVED: OrderEventStatus.APPROVED,
    ApprovalState.REJECTED: OrderEventStatus.REJECTED,
    ApprovalState.EXPIRED: OrderEventStatus.EXPIRED,
    ApprovalState.SUPERSEDED: OrderEventStatus.CANCELLED,
}
"""Of what people have said; what became of an approved order is told by what was heard."""

SEQ_PER_SESSION = 1000
"""Each session counts from its own number on: what is told late changes no other's rows."""


def order_events(
    intent: Intent,
    facts: Sequence[Fact],
    executions: Sequence[Execution],
    calendar: TradingCalendar,
    said: Sequence[Row] = (),
) -> list[Row]:
    """Rows of `order_events` without strategy and lane, oldest first.

    ``seq`` ascends and has gaps: see `SEQ_PER_SESSION`.

    Args:
        intent: The order.
        facts: All that was recorded of it, oldest first.
        executions: Of its reference.
        calendar: Of the exchange.
        said: What people have said of it; see `approval_events`.
    """
    told = [*said, *_from_facts(intent, facts, calendar)]
    told += _from_executions(intent, executions, calendar)
    return numbered(told, intent.order_id, intent.ticket.session, calendar)


def numbered(
    told: Iterable[Row], order_id: str, decided_in: date, calendar: TradingCalendar
) -> list[Row]:
    """What was *told* of an order as rows with numbers, what only repeats left out."""
    events: list[Row] = []
    counted: Counter[date] = Counter()
    for row in sorted(told, key=lambda row: row["at"]):
        last = events[-1] if events else None
        says = ("status", "shares", "price", "reason")
        if last is None or any(row[name] != last[name] for name in says):
            session: date = row["session"]
            counted[session] += 1
            begun = calendar.position(session) - calendar.position(decided_in)
            seq = begun * SEQ_PER_SESSION + counted[session]
            events.append(row | {"order_id": order_id, "seq": seq})
    return sorted(events, key=lambda row: row["seq"])


def approval_events(asked: Approval, calendar: TradingCalendar) -> dict[str, list[Row]]:
    """What was said of a proposal, by order id: rows that `numbered` completes.

    An approval happened in the evening's own session, as all that follows on it does. What
    ends an order before it was sent happened to the session in which it would have lived,
    and is told with it.
    """
    own = asked.proposal
    lost_in = calendar.offset(own.session, 1)
    told = [
        (
            SAID[ruling.state],
            str(ruling),
            ruling.at,
            open_session(ruling.at, calendar)
            if ruling.state is ApprovalState.APPROVED
            else lost_in,
        )
        for ruling in asked.rulings
        if ruling.state in SAID
    ]
    return {
        ticket.order_id: [
            _row(status, ticket.shares, None, why, at) | {"session": session}
            for status, why, at, session in told
        ]
        for ticket in own.tickets
    }


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
