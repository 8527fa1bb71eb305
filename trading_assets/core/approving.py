"""Orders that wait for a person: what is asked, and how it is told from another order.

A person approves a content, not a name: an answer counts for an order whose family, prices
and shares are those that were shown.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from trading_assets.core.filling import Ticket
from trading_assets.core.tickets import order_ticket
from trading_assets.core.venue import Row
from trading_assets.models.approval import Proposal
from trading_assets.models.base import Lane
from trading_assets.models.intent import OrderTicket
from trading_assets.models.order import OrderStatus

DRIFT_DIGITS = 9


@dataclass(frozen=True, slots=True)
class Waiting:
    """A family of orders of a simulated book that waits for the next open.

    Attributes:
        payload_hash: Of what a person was asked.
        tickets: The entry or the exit, then its legs.
    """

    payload_hash: str
    tickets: tuple[Ticket, ...]

    @property
    def order_id(self) -> str:
        """Of the entry or the exit."""
        return self.tickets[0].order_id


def payload_hash(tickets: Iterable[OrderTicket], account: str) -> str:
    """Of all that an approval is of: the account, and every order as it was decided."""
    told = [ticket.model_dump(mode="json") for ticket in tickets]
    content = {"account": account, "tickets": told}
    written = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(written.encode()).hexdigest()


def families(
    strategy: str, rows: Iterable[Row], lane: Lane = Lane.IBKR
) -> dict[str, tuple[OrderTicket, ...]]:
    """`orders` rows as families by the id of their entry or exit, legs by their ids."""
    tickets = (order_ticket(strategy, row, lane) for row in rows)
    ordered = sorted(tickets, key=lambda it: (_head_id(it), it.parent_id, it.order_id))
    return {head: tuple(own) for head, own in groupby(ordered, key=_head_id)}


def is_awaiting(row: Row) -> bool:
    """Whether an `orders` row waited for a person when it was decided."""
    return row["status"] == OrderStatus.AWAITING_APPROVAL.value


def waiting_families(
    strategy: str, rows: Iterable[Row], tickets: Iterable[Ticket]
) -> list[Waiting]:
    """What of a session's decision in a simulated book waits for a person.

    Args:
        strategy: Whose decision it is.
        rows: Of `orders`, of that session.
        tickets: The same orders, as the exchange would take them.
    """
    asked = families(strategy, filter(is_awaiting, rows), Lane.SIMULATED)
    by_id = {ticket.order_id: ticket for ticket in tickets}
    return [
        Waiting(payload_hash(family, ""), tuple(by_id[it.order_id] for it in family))
        for _, family in sorted(asked.items())
    ]


def proposals_of(
    strategy: str,
    rows: Sequence[Row],
    closes: Mapping[str, float],
    reasoning: Mapping[str, str],
    *,
    lane: Lane,
    account: str,
    at: datetime,
    expires_at: datetime,
) -> list[Proposal]:
    """What people are asked of one session's decision.

    Args:
        strategy: Whose decision it is.
        rows: Of `orders`, of one session; those that wait for nobody are passed over.
        closes: Of the session, by symbol.
        reasoning: What the analyst said of a symbol, where it is known.
        lane: Of the book.
        account: At a broker; empty in a simulated book.
        at: Now.
        expires_at: Until when it may be approved.
    """
    waiting = [row for row in rows if is_awaiting(row)]
    reasons = {row["order_id"]: row["reason"] for row in waiting}
    return [
        Proposal(
            strategy=strategy,
            lane=lane.value,
            account=account,
            session=family[0].session,
            tickets=family,
            close=closes[family[0].symbol],
            reason=reasons[order_id],
            reasoning=reasoning.get(family[0].symbol, ""),
            payload_hash=payload_hash(family, account),
            proposed_at=at,
            expires_at=expires_at,
        )
        for order_id, family in families(strategy, waiting, lane).items()
    ]


def drift_frac(close: float, price: float) -> float:
    """How far *price* is from the *close* that was decided on, as a signed fraction.

    Rounded, so that 10.2 is not further from 10 than 2 %.
    """
    return round(price / close - 1.0, DRIFT_DIGITS)


def _head_id(ticket: OrderTicket) -> str:
    return ticket.parent_id or ticket.order_id
