"""What became of an order at a real broker, from all that we did and heard.

An order's state is *definitive* when the broker has told it, and *ambiguous* when the
order may or may not exist there. A status is a hint; shares are counted from executions
alone.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from trading_assets.models.intent import Execution, Fact, FactKind, Intent, Terms

SHARE_TOLERANCE = 1e-6


class OrderState(StrEnum):
    """Where an order stands."""

    INTENDED = "intended"
    SENT = "sent"
    UNKNOWN = "unknown"
    WORKING = "working"
    PARTIALLY_FILLED = "partially_filled"
    INACTIVE = "inactive"
    FILLED = "filled"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    MISSING = "missing"


AMBIGUOUS = frozenset({OrderState.INTENDED, OrderState.SENT, OrderState.UNKNOWN})
"""The order may exist at the broker, or not."""

FINAL = frozenset({OrderState.FILLED, OrderState.CANCELLED, OrderState.REJECTED})
"""Nothing more will happen to it, but for executions that are told late."""

ALIVE = frozenset({OrderState.WORKING, OrderState.PARTIALLY_FILLED, OrderState.INACTIVE})
"""The broker has it, and it may still trade."""

OURS = {
    FactKind.SENT: OrderState.SENT,
    FactKind.RESENT: OrderState.SENT,
    FactKind.UNKNOWN: OrderState.UNKNOWN,
}
"""What we know from ourselves: it never outweighs what was heard, whichever came first.

The answer to a message can be recorded before the note that it was sent.
"""

HEARD = {
    FactKind.ACKNOWLEDGED: OrderState.WORKING,
    FactKind.WORKING: OrderState.WORKING,
    FactKind.PARTIALLY_FILLED: OrderState.WORKING,
    FactKind.FILLED: OrderState.WORKING,
    FactKind.INACTIVE: OrderState.INACTIVE,
    FactKind.CANCELLED: OrderState.CANCELLED,
    FactKind.REJECTED: OrderState.REJECTED,
    FactKind.MISSING: OrderState.MISSING,
    FactKind.SETTLED: OrderState.CANCELLED,
}
"""What was heard or found: the last word counts."""


ECHOES_OF_REJECTION = frozenset({FactKind.INACTIVE, FactKind.CANCELLED})
"""Statuses that a rejected order is also given; only a sign of life revokes a rejection."""

UNEXPLAINED = ECHOES_OF_REJECTION
"""Statuses whose reason was told by a notice, if at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderStanding:
    """Where an order stands, and how we know.

    Attributes:
        perm_ids: The broker's own numbers of it, in the order heard; more than one after
            some changes.
        filled_shares: Sum of its executions.
        average_price: Of these, weighted by shares; None without any.
        commission: Sum of what was told; None while one of its executions lacks its own.
        terms: As last confirmed.
        pending_terms: A change that was sent and neither confirmed nor refused.
        is_cancel_pending: A cancel was sent, and the order lives on so far.
        is_short_of_executions: The broker spoke of more filled shares than we have
            executions for: they have to be asked for.
        text: The last words that explain the state.
    """

    intent: Intent
    state: OrderState
    perm_ids: tuple[int, ...]
    filled_shares: float
    average_price: float | None
    commission: float | None
    terms: Terms
    pending_terms: Terms | None
    is_cancel_pending: bool
    is_short_of_executions: bool
    text: str

    @property
    def order_id(self) -> str:
        """Of the intent."""
        return self.intent.order_id

    @property
    def is_ambiguous(self) -> bool:
        """Whether the order may exist at the broker, or not."""
        return self.state in AMBIGUOUS

    @property
    def is_final(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state in FINAL and not self.is_short_of_executions

    @property
    def is_acknowledged(self) -> bool:
        """Whether the broker has, or had, it."""
        return bool(self.perm_ids) or self.filled_shares > 0


def order_standing(
    intent: Intent, facts: Sequence[Fact], executions: Iterable[Execution]
) -> OrderStanding:
    """Where the order of *intent* stands.

    Args:
        intent: The order.
        facts: All that was recorded of it, oldest first.
        executions: Of its reference; corrections are sorted out here.
    """
    current = current_executions(executions)
    filled = sum(execution.shares for execution in current)
    terms, pending = _terms(intent, facts)
    claimed = _claimed(facts, terms)
    state, text = _heard_state(facts)
    if filled >= terms.shares - SHARE_TOLERANCE:
        state = OrderState.FILLED
    elif filled > 0 and state in AMBIGUOUS | {OrderState.WORKING}:
        state = OrderState.PARTIALLY_FILLED
    return OrderStanding(
        intent=intent,
        state=state,
        perm_ids=_perm_ids(facts, current),
        filled_shares=filled,
        average_price=average_price(current),
        commission=_commission(current),
        terms=terms,
        pending_terms=None if state in FINAL else pending,
        is_cancel_pending=state in ALIVE and _is_cancel_pending(facts),
        is_short_of_executions=claimed > filled + SHARE_TOLERANCE,
        text=text,
    )


def current_executions(executions: Iterable[Execution]) -> list[Execution]:
    """Each execution once, as its highest correction tells it, oldest first."""
    latest: dict[tuple[str, str], Execution] = {}
    for execution in executions:
        key = (execution.account, execution.exec_key)
        known = latest.get(key)
        if known is None or execution.correction > known.correction:
            latest[key] = execution
    return sorted(latest.values(), key=lambda it: (it.at, it.exec_key))


def average_price(executions: Sequence[Execution]) -> float | None:
    """Price per share over all of *executions*, weighted by shares; None for none."""
    shares = sum(execution.shares for execution in executions)
    if shares <= 0:
        return None
    return sum(execution.shares * execution.price for execution in executions) / shares


def _heard_state(facts: Sequence[Fact]) -> tuple[OrderState, str]:
    state, text, notice = OrderState.INTENDED, "", ""
    for fact in facts:
        if fact.kind is FactKind.NOTICE:
            notice = fact.text
        elif state is OrderState.REJECTED and fact.kind in ECHOES_OF_REJECTION:
            continue
        elif fact.kind in HEARD:
            state = HEARD[fact.kind]
            text = notice if fact.kind in UNEXPLAINED and notice else fact.text
        elif fact.kind in OURS and state in AMBIGUOUS:
            state, text = OURS[fact.kind], fact.text
    return state, text


def _terms(intent: Intent, facts: Sequence[Fact]) -> tuple[Terms, Terms | None]:
    terms, pending = intent.wire.terms, None
    for fact in facts:
        if fact.kind is FactKind.MODIFY_SENT:
            pending = fact.terms
        elif fact.kind is FactKind.MODIFY_REFUSED:
            pending = None
        elif fact.kind is FactKind.MODIFIED and fact.terms is not None:
            terms, pending = fact.terms, None
    return terms, pending


def _claimed(facts: Sequence[Fact], terms: Terms) -> float:
    """How many shares the broker says it has filled: its last word counts."""
    claimed = 0.0
    for fact in facts:
        if fact.filled_shares is not None:
            claimed = fact.filled_shares
        elif fact.kind is FactKind.FILLED:
            claimed = terms.shares
    return claimed


def _is_cancel_pending(facts: Sequence[Fact]) -> bool:
    return any(fact.kind is FactKind.CANCEL_SENT for fact in facts)


def _perm_ids(facts: Sequence[Fact], executions: Sequence[Execution]) -> tuple[int, ...]:
    told = [it.perm_id for it in (*facts, *executions)]
    return tuple(dict.fromkeys(perm_id for perm_id in told if perm_id > 0))


def _commission(executions: Sequence[Execution]) -> float | None:
    told = [it.commission for it in executions if it.commission is not None]
    return sum(told) if len(told) == len(executions) else None
