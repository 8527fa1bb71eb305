"""What waits for a person's word before it is sent, and what was said of it."""

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from trading_assets.models.intent import OrderTicket


class ApprovalState(StrEnum):
    """How something that was proposed stands."""

    PROPOSED = "proposed"
    APPROVED = "approved"
    REJECTED = "rejected"
    EXPIRED = "expired"
    SUPERSEDED = "superseded"
    SUBMITTED = "submitted"
    REFUSED = "refused"


FOLLOWING = {
    ApprovalState.PROPOSED: frozenset(
        {
            ApprovalState.APPROVED,
            ApprovalState.REJECTED,
            ApprovalState.EXPIRED,
            ApprovalState.SUPERSEDED,
        }
    ),
    ApprovalState.APPROVED: frozenset(
        {ApprovalState.SUPERSEDED, ApprovalState.SUBMITTED, ApprovalState.REFUSED}
    ),
}
"""What may come after a state; after one that is not here, nothing does.

What was approved can still be kept in the house by a rule: then it is refused.
"""

EXPIRY = "expiry"
"""Who says that a proposal is over."""

DESK = "desk"
"""Who says that it was submitted, kept in the house, or decided anew."""

OURS = frozenset({EXPIRY, DESK})
"""Who is no person."""

OPEN = frozenset({ApprovalState.PROPOSED, ApprovalState.APPROVED})
"""Something is still to come."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A family of orders that waits for a person: an entry with its legs, or an exit.

    Attributes:
        lane: Which of the strategy's books it is of.
        account: At a broker; empty in a simulated book.
        session: At whose close it was decided.
        tickets: The entry or the exit, then its legs.
        close: The price of the symbol at that close, currency per share.
        reason: Why it was decided, and how its size came about.
        reasoning: What the analyst said, in its words.
        payload_hash: Of the account and of all that the tickets say.
        proposed_at: When it was decided.
        expires_at: From then on nobody can approve it any more.
    """

    strategy: str
    lane: str
    account: str
    session: date
    tickets: tuple[OrderTicket, ...]
    close: float
    reason: str
    reasoning: str
    payload_hash: str
    proposed_at: datetime
    expires_at: datetime

    @property
    def head(self) -> OrderTicket:
        """The entry, or the exit."""
        return self.tickets[0]

    @property
    def order_id(self) -> str:
        """Of the entry or the exit: how a person names it."""
        return self.head.order_id

    @property
    def worth(self) -> float:
        """Shares at the close, currency of the price."""
        return self.head.shares * self.close

    def __str__(self) -> str:
        """For people."""
        head = self.head
        prices = [_priced(ticket) for ticket in self.tickets]
        levels = ", ".join(priced for priced in prices if priced)
        return (
            f"{head.side} {head.shares} {head.symbol} ({head.leg}"
            f"{f', {levels}' if levels else ''}), worth {self.worth:,.2f} "
            f"at {self.close:g}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """One word on a proposal.

    Attributes:
        who: A person, or what of ours has noticed it.
        why: In their words.
    """

    state: ApprovalState
    who: str
    why: str
    at: datetime

    def __str__(self) -> str:
        """For people."""
        by = "" if self.who in OURS else f" by {self.who}"
        return f"{self.state}{by}{f': {self.why}' if self.why else ''}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """A proposal, and all that was said of it.

    Attributes:
        number: From 1; higher where the same order was proposed anew with another content.
        rulings: Oldest first.
    """

    number: int
    proposal: Proposal
    rulings: tuple[Ruling, ...] = ()

    @property
    def state(self) -> ApprovalState:
        """The last word; one that nobody has noticed to be over is still proposed."""
        return self.rulings[-1].state if self.rulings else ApprovalState.PROPOSED

    @property
    def answer(self) -> Ruling | None:
        """What a person has said: approved or rejected; None for nothing."""
        said = {ApprovalState.APPROVED, ApprovalState.REJECTED}
        return next((it for it in self.rulings if it.state in said), None)

    @property
    def may_be_sent(self) -> bool:
        """Whether it is approved, and nothing has come after that."""
        return self.state is ApprovalState.APPROVED

    def waits(self, at: datetime) -> bool:
        """Whether a person can still say something of it at the instant *at*."""
        return self.state is ApprovalState.PROPOSED and at < self.proposal.expires_at


def _priced(ticket: OrderTicket) -> str:
    """The prices that *ticket* names; empty for a market order."""
    named = {"limit": ticket.limit_price, "stop": ticket.stop_price}
    prices = " ".join(f"{name} {own:g}" for name, own in named.items() if own is not None)
    is_leg = bool(ticket.parent_id)
    if not prices:
        return ""
    return f"{ticket.leg} {ticket.limit_price or ticket.stop_price:g}" if is_leg else prices
