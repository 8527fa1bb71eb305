"""Which stop or target should work at a broker and does not, and which order has expired.

Nothing here asks anybody: it follows from what is held, what was decided, and where each
order stands after the broker was asked.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from trading_assets.core.order_states import (
    ALIVE,
    AMBIGUOUS,
    SHARE_TOLERANCE,
    OrderStanding,
    OrderState,
)
from trading_assets.core.recorded import LATE_PRINTS
from trading_assets.models.base import Side
from trading_assets.models.intent import OrderTicket
from trading_assets.models.order import Leg, TimeInForce
from trading_assets.sessions import TradingCalendar

EXPIRY = "expiry"
"""Who settles a day order that nobody has heard of, when its day is over."""

UNSENT = "unsent"
"""The state of an order that was decided and never committed."""

WORKING = frozenset({OrderState.WORKING, OrderState.PARTIALLY_FILLED})
MAY_TRADE = ALIVE | AMBIGUOUS
"""The order trades, or nobody can be certain that it does not."""

REVIVABLE = frozenset({UNSENT, OrderState.MISSING.value})
"""States in which the broker does not know the order: it may be sent as itself."""

type Closing = tuple[str, Side]
"""A symbol, and the side that closes what is held of it."""


@dataclass(frozen=True, slots=True)
class MissingLeg:
    """A stop or target of a held position that does not work.

    Attributes:
        ticket: As it was decided.
        held: Shares of its symbol that the strategy holds, signed.
        state: Of the order, or `UNSENT`.
        why: The last words about it.
        may_be_sent: Whether it can be sent as itself without selling anything twice.
    """

    ticket: OrderTicket
    held: float
    state: str
    why: str
    may_be_sent: bool

    def __str__(self) -> str:
        """For people."""
        words = f": {self.why}" if self.why else ""
        return (
            f"{self.ticket.order_id} does not work at the broker and {self.held:g} "
            f"{self.ticket.symbol} are held; it is {self.state}{words}"
        )


def opening_entries(
    held: Mapping[str, float], standings: Iterable[OrderStanding]
) -> dict[str, OrderStanding]:
    """By symbol that is held, the newest entry that has filled anything."""
    found: dict[str, OrderStanding] = {}
    for standing in standings:
        ticket = standing.intent.ticket
        is_opening = ticket.leg is Leg.ENTRY and standing.filled_shares > 0
        if not is_opening or not held.get(ticket.symbol):
            continue
        known = found.get(ticket.symbol)
        if known is None or _age(known) < _age(standing):
            found[ticket.symbol] = standing
    return found


def legs_missing(
    held: Mapping[str, float],
    decided: Iterable[OrderTicket],
    standings: Mapping[str, OrderStanding],
    *,
    refused: Mapping[str, str],
    others: Collection[Closing],
) -> list[MissingLeg]:
    """Stops and targets of what is held that should work and do not, in the order decided.

    An exit that works takes over from the legs. A leg that was cancelled is missed only if
    nothing else closes the position: somebody has taken it away on purpose.

    Args:
        held: Shares of one strategy, signed, by symbol.
        decided: Its orders as they were decided, refused ones left out.
        standings: Of its orders, by id, after the broker was asked.
        refused: Why orders that were decided were not sent after all, by id.
        others: What orders that are not the strategy's would close.
    """
    entries = opening_entries(held, standings.values())
    found: list[MissingLeg] = []
    for ticket in decided:
        entry, shares = entries.get(ticket.symbol), held.get(ticket.symbol, 0.0)
        if entry is None or ticket.parent_id != entry.order_id:
            continue
        if ticket.side.sign * shares >= 0:
            continue
        missing = _missing(ticket, shares, _closing(ticket, standings), refused, others)
        if missing is not None:
            found.append(missing)
    return found


def expired(
    unsettled: Sequence[OrderStanding], at: datetime, calendar: TradingCalendar
) -> list[OrderStanding]:
    """Missing orders of a day that is over, unless another one might hide their fills.

    Args:
        unsettled: Every order of an account that is not done with.
        at: Now.
        calendar: Of the exchange.
    """
    return [
        it
        for it in unsettled
        if it.state is OrderState.MISSING
        and not it.is_short_of_executions
        and is_day_over(it, at, calendar)
        and not any(_could_undo(other, it) for other in unsettled)
    ]


def is_day_over(standing: OrderStanding, at: datetime, calendar: TradingCalendar) -> bool:
    """Whether it is an order of a day, and nothing of that day is told any more."""
    if standing.intent.ticket.tif is not TimeInForce.DAY:
        return False
    day = calendar.offset(calendar.last_closed(standing.intent.recorded_at), 1)
    return at >= calendar.close_at(day) + LATE_PRINTS


def _age(standing: OrderStanding) -> tuple[object, ...]:
    ticket = standing.intent.ticket
    return ticket.session, ticket.attempt, standing.intent.recorded_at


@dataclass(frozen=True, slots=True)
class _Closing:
    """Where a leg stands, and the other orders that would close the same."""

    own: OrderStanding | None
    others: Sequence[OrderStanding]


def _closing(ticket: OrderTicket, standings: Mapping[str, OrderStanding]) -> _Closing:
    others = [
        it
        for it in standings.values()
        if it.order_id != ticket.order_id
        and it.intent.ticket.leg is not Leg.ENTRY
        and (it.intent.ticket.symbol, it.intent.ticket.side) == (ticket.symbol, ticket.side)
    ]
    return _Closing(standings.get(ticket.order_id), others)


def _missing(
    ticket: OrderTicket,
    held: float,
    closing: _Closing,
    refused: Mapping[str, str],
    others: Collection[Closing],
) -> MissingLeg | None:
    own = closing.own
    state = UNSENT if own is None else own.state.value
    if own is not None and own.state in WORKING | AMBIGUOUS | {OrderState.FILLED}:
        return None
    competing = [it for it in closing.others if it.state in MAY_TRADE]
    if any(it.intent.ticket.leg is Leg.EXIT for it in competing):
        return None
    is_covered = bool(competing) or (ticket.symbol, ticket.side) in others
    if state == OrderState.CANCELLED.value and is_covered:
        return None
    is_whole = own is None or not (own.filled_shares or own.is_short_of_executions)
    may_be_sent = (
        state in REVIVABLE
        and ticket.order_id not in refused
        and is_whole
        and not is_covered
        and ticket.shares <= abs(held) + SHARE_TOLERANCE
    )
    why = refused.get(ticket.order_id, "") if own is None else own.text
    return MissingLeg(ticket, held, state, why, may_be_sent)


def _could_undo(other: OrderStanding, it: OrderStanding) -> bool:
    """Whether *other* may have traded what *it* has, so that the position shows nothing."""
    mine, theirs = it.intent.ticket, other.intent.ticket
    is_doubtful = (
        other.is_ambiguous
        or other.is_short_of_executions
        or other.state is OrderState.MISSING
    )
    return is_doubtful and theirs.symbol == mine.symbol and theirs.side is not mine.side
