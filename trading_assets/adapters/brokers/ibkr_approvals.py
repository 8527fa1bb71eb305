"""What a real account's orders need of people: their consent, and that it is still good.

An order that waits for approval is decided and recorded like any other and sent by
nobody. A later run sends it once it is approved, if it is what was approved and the price
has not run away meanwhile.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from trading_assets.adapters.ibkr.quotes import latest_price
from trading_assets.adapters.ibkr.session import Books, TradingSession
from trading_assets.adapters.ledger.approvals import Asked
from trading_assets.core.approving import (
    drift_frac,
    families,
    is_awaiting,
    payload_hash,
    proposals_of,
)
from trading_assets.core.deciding import needs_approval
from trading_assets.core.market_days import MarketDays
from trading_assets.core.order_history import approval_events
from trading_assets.core.recorded import answer_by
from trading_assets.core.venue import Row
from trading_assets.core.walk import Walked
from trading_assets.errors import NoAnswer, OrderUnresolved, RequestRefused
from trading_assets.models.approval import DESK, Approval, ApprovalState
from trading_assets.models.base import Lane
from trading_assets.models.intent import OrderTicket
from trading_assets.models.order import Leg
from trading_assets.sessions import TradingCalendar
from trading_assets.strategies.spec import StrategySpec

MAY_BE_THERE = frozenset({ApprovalState.APPROVED, ApprovalState.SUBMITTED})
HASH_SHOWN = 12
"""Characters of a hash that tell it from another."""


@dataclass(frozen=True, slots=True)
class Consent:
    """What keeps an order of tonight from being sent, as far as people are concerned.

    Attributes:
        spec: Whose orders they are.
        asked: What people were asked tonight, by the id of the entry or exit.
        decided: The families of tonight as they were decided, likewise.
        trading: The connection.
    """

    spec: StrategySpec
    asked: Mapping[str, Approval]
    decided: Mapping[str, Sequence[OrderTicket]]
    trading: TradingSession

    def lacks(self, ticket: OrderTicket) -> str:
        """Why *ticket* may not be sent for want of an approval; empty if it may."""
        head = ticket.parent_id or ticket.order_id
        asked = self.asked.get(head)
        if asked is None:
            is_needed = needs_approval(self.spec.execution.approval, ticket.leg)
            return "not_approved: nobody was asked" if is_needed else ""
        if asked.state not in MAY_BE_THERE:
            return f"not_approved: it is {asked.state}"
        wanted = payload_hash(self.decided[head], self.trading.account)
        if wanted != asked.proposal.payload_hash:
            return (
                f"not_as_approved: {asked.proposal.payload_hash[:HASH_SHOWN]} was "
                f"{asked.answer}, and {wanted[:HASH_SHOWN]} would be sent"
            )
        return ""

    def drifted(self, ticket: OrderTicket) -> str:
        """Why the price keeps an approved entry from being sent; empty if it does not.

        An exit is not kept back: the further the price has run, the more it is wanted.

        Raises:
            OrderUnresolved: If the gateway does not say, now, what the price is.
        """
        asked, limit = self.asked.get(ticket.order_id), self.spec.execution.max_drift_frac
        if asked is None or limit is None or ticket.leg is not Leg.ENTRY:
            return ""
        try:
            price = latest_price(self.trading.gateway, ticket.symbol)
        except NoAnswer as silence:
            raise OrderUnresolved(
                f"{ticket.order_id} waits for a price: {silence}"
            ) from silence
        except RequestRefused as refusal:
            return f"drift: the broker tells no price of {ticket.symbol}: {refusal}"
        if price is None:
            return f"drift: the broker knows no price of {ticket.symbol}"
        close = asked.proposal.close
        frac = drift_frac(close, price)
        if abs(frac) <= limit:
            return ""
        return (
            f"drift: {price:g} is {frac:+.2%} from the close {close:g} that was approved, "
            f"max_drift_frac {limit:g}"
        )


class IbkrApprovals:
    """The approvals of strategies that are traded for real."""

    def __init__(
        self, books: Books, calendar: TradingCalendar, now: Callable[[], datetime]
    ) -> None:
        self._books, self._calendar, self._now = books, calendar, now

    def asked(
        self,
        strategy: str,
        walked: Walked,
        days: MarketDays,
        decided_from: date,
        account: str,
    ) -> Asked:
        """What people are asked of the sessions that are decided now, *decided_from* on."""
        at = self._now()
        sessions = [own.session for own in walked.closings if own.session >= decided_from]
        proposals = [
            proposal
            for session in sessions
            for proposal in proposals_of(
                strategy,
                [row for row in walked.orders if row["session"] == session],
                days.closes(days.sessions.index(session)),
                days.reasoning if session == days.sessions[-1] else {},
                lane=Lane.IBKR,
                account=account,
                at=at,
                expires_at=answer_by(session, self._calendar),
            )
        ]
        about = sorted({proposal.session for proposal in proposals})
        return Asked(at=at, sessions=about, proposals=proposals)

    def consent(
        self,
        spec: StrategySpec,
        session: date,
        decided: Sequence[Row],
        trading: TradingSession,
    ) -> Consent:
        """What people have said of what was *decided* in *session*, as it stands now."""
        asked = self._books.ledger.approvals.of(spec.name, Lane.IBKR, [session])
        return Consent(
            spec=spec,
            asked={it.proposal.order_id: it for it in asked},
            decided=families(spec.name, filter(is_awaiting, decided)),
            trading=trading,
        )

    def settle(self, strategy: str) -> None:
        """Write down what is over, what was sent, and what was refused after all."""
        approvals, at = self._books.ledger.approvals, self._now()
        approvals.expire(at)
        approved = [it for it in approvals.of(strategy, Lane.IBKR) if it.may_be_sent]
        ids = [it.proposal.order_id for it in approved]
        known, refused = (
            self._books.intents.known(ids),
            self._books.intents.refusals(ids),
        )
        for it in approved:
            order_id = it.proposal.order_id
            if order_id in known:
                approvals.note(it, ApprovalState.SUBMITTED, DESK, "", at)
            elif order_id in refused:
                why, _ = refused[order_id]
                approvals.note(it, ApprovalState.REFUSED, DESK, why, at)

    def withdraw(self, strategy: str, who: str, why: str) -> None:
        """Have nothing sent that waits for people, or that they have approved."""
        self._books.ledger.approvals.supersede(strategy, who, why, self._now())

    def told(self, strategy: str) -> dict[str, list[Row]]:
        """What people have said of orders, by order id, as `order_events` tells it."""
        found: dict[str, list[Row]] = {}
        for asked in self._books.ledger.approvals.of(strategy, Lane.IBKR):
            for order_id, rows in approval_events(asked, self._calendar).items():
                if rows:
                    found.setdefault(order_id, []).extend(rows)
        return found


def approved_orders(books: Books, strategy: str) -> set[str]:
    """Ids of all orders of *strategy* that a person has approved, legs included."""
    return {
        ticket.order_id
        for asked in books.ledger.approvals.of(strategy, Lane.IBKR)
        if asked.state in MAY_BE_THERE
        for ticket in asked.proposal.tickets
    }
