"""From opinions to orders: arithmetic that no analyst can reach.

Decided at a session's close, on that close and on the book's equity at it: exits first,
then entries by confidence score, highest first, then by symbol.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date

import numpy as np

from trading_assets.core.book import Book
from trading_assets.core.calibration import CALIBRATION_VERSION
from trading_assets.core.commission import commission
from trading_assets.core.filling import FILL_VERSION, Ticket
from trading_assets.core.market_days import MarketDays
from trading_assets.core.outcomes import OUTCOME_VERSION
from trading_assets.core.risk import (
    Proposal,
    Room,
    clamp_to_weight,
    objection,
)
from trading_assets.core.sizing import LevelMissing, shares_wanted
from trading_assets.core.venue import SIDES, Row, Venue
from trading_assets.models.order import Leg, OrderStatus, OrderType, TimeInForce
from trading_assets.strategies.spec import (
    ApprovalRule,
    EntryOrder,
    StrategySpec,
    fingerprint,
)

DECISION_VERSION = "1"
"""Part of every book's hash: raised when the same signals would give other orders."""

ENTRY_TYPES = {
    EntryOrder.MARKET_NEXT_OPEN: OrderType.MARKET,
    EntryOrder.LIMIT_AT_ENTRY: OrderType.LIMIT,
    EntryOrder.STOP_AT_ENTRY: OrderType.STOP,
}


@dataclass(frozen=True, slots=True)
class Plan:
    """What of a strategy decides, ready for the walk.

    Attributes:
        universe: Symbols that may be entered, ascending.
        rules_hash: Of the specification and of the versions of the rules that apply it.
    """

    spec: StrategySpec
    universe: tuple[str, ...]
    rules_hash: str

    @classmethod
    def of(cls, spec: StrategySpec) -> "Plan":
        """The plan that *spec* makes under today's rules."""
        learns = (CALIBRATION_VERSION, OUTCOME_VERSION) if spec.sizing.confidence else ()
        rules_hash = fingerprint(spec.book_hash, FILL_VERSION, DECISION_VERSION, *learns)
        return cls(spec, tuple(sorted(spec.universe)), rules_hash)


@dataclass(frozen=True, slots=True)
class Decided:
    """One order: submitted, refused, or waiting for a person.

    Attributes:
        ticket: What to trade.
        is_refused: Whether the gate held it back.
        reason: Why it was decided; if refused, the rule and its numbers.
        is_awaiting: Whether it may be sent only once a person has approved it.
    """

    ticket: Ticket
    is_refused: bool
    reason: str
    is_awaiting: bool = False

    @property
    def is_let_out(self) -> bool:
        """Whether nothing and nobody holds it back."""
        return not (self.is_refused or self.is_awaiting)

    @property
    def status(self) -> OrderStatus:
        """As its row tells it."""
        if self.is_refused:
            return OrderStatus.REFUSED
        is_awaiting = self.is_awaiting
        return OrderStatus.AWAITING_APPROVAL if is_awaiting else OrderStatus.SUBMITTED


@dataclass(frozen=True, slots=True)
class _View:
    """One symbol's signal at the close, in plain numbers; None where it names none."""

    symbol: str
    sign: int
    score: float
    close: float
    entry: float
    stop: float | None
    target: float | None
    volatility: float | None
    trust: "_Trust | None"


@dataclass(frozen=True, slots=True)
class _Trust:
    """How much of its size an entry gets; without a probability all of it."""

    multiple: float
    probability: float | None
    payoff: float | None

    @property
    def said(self) -> str:
        """For people."""
        if self.probability is None:
            return f"x {self.multiple:.2f} (uncalibrated)"
        return f"x {self.multiple:.2f} (p {self.probability:.3f}, b {self.payoff:.2f})"


def decide(plan: Plan, days: MarketDays, day: int, exchange: Venue) -> list[Decided]:
    """What to order at the close of day number *day*.

    A signal that agrees with the position and the working orders asks for nothing; a
    symbol without a bar is not asked about. In a halted session all of it is held back;
    in one in which people are asked, what needs their approval waits for it.
    """
    decided = _decide(plan, days, day, exchange)
    session = days.sessions[day]
    if (halt := days.halted.get(session)) is not None:
        return list(_held_back(decided, halt))
    return awaiting_approval(decided, days.approvals.get(session, ApprovalRule.NONE))


def _decide(plan: Plan, days: MarketDays, day: int, exchange: Venue) -> list[Decided]:
    exits, entries = _disagreements(plan, days, day, exchange)
    decided = [_exit(plan, days, day, exchange.book, view) for view in exits]
    if not entries:
        return decided
    room = _room(plan, exchange)
    for view in sorted(entries, key=lambda view: (-view.score, view.symbol)):
        decided.extend(_enter(plan, days, day, view, room))
    return decided


def _held_back(decided: list[Decided], halt: str) -> Iterator[Decided]:
    """*decided* refused, whatever else stands against it; legs are not asked for at all."""
    for order in decided:
        if not order.ticket.is_leg:
            yield replace(order, is_refused=True, reason=f"halt: {halt}")


def awaiting_approval(decided: list[Decided], rule: ApprovalRule) -> list[Decided]:
    """*decided*, with what needs a person's approval by *rule* waiting for it.

    A leg waits with its entry. What is refused is refused, and nobody is asked.
    """
    if rule is ApprovalRule.NONE:
        return decided
    return [
        replace(
            own, is_awaiting=not own.is_refused and needs_approval(rule, own.ticket.leg)
        )
        for own in decided
    ]


def needs_approval(rule: ApprovalRule, leg: Leg) -> bool:
    """Whether an order for *leg* waits for a person by *rule*."""
    if rule is ApprovalRule.ENTRIES:
        return leg is not Leg.EXIT
    return rule is ApprovalRule.REQUIRED


def order_rows(
    plan: Plan, days: MarketDays, day: int, decided: list[Decided]
) -> Iterator[Row]:
    """*decided* as rows of `orders`, without strategy and lane."""
    closed_at = days.closes_at[day]
    for order in decided:
        ticket = order.ticket
        yield {
            "order_id": ticket.order_id,
            "session": days.sessions[day],
            "symbol": ticket.symbol,
            "leg": ticket.leg.value,
            "side": SIDES[ticket.sign],
            "shares": ticket.shares,
            "order_type": ticket.order_type.value,
            "limit_price": ticket.limit_price,
            "stop_price": ticket.stop_price,
            "tif": ticket.tif.value,
            "status": order.status.value,
            "reason": order.reason,
            "decided_at": closed_at,
            "submitted_at": closed_at if order.is_let_out else None,
            "broker_order_id": ticket.order_id if order.is_let_out else "",
            "spec_hash": plan.rules_hash,
        }


def _disagreements(
    plan: Plan, days: MarketDays, day: int, exchange: Venue
) -> tuple[list[_View], list[_View]]:
    """Signals that want out of what is held, and those that want in."""
    wanted, stances = days.wanted[day], exchange.stances()
    aim = wanted if plan.spec.risk.allow_short else np.maximum(wanted, 0)
    has_bar = ~np.isnan(days.prices[day, :, 0])
    exits: list[_View] = []
    entries: list[_View] = []
    for at in np.flatnonzero((wanted != 0) & (aim != stances) & has_bar).tolist():
        view = _view(days, day, at)
        if stances[at]:
            exits.append(view)
        elif view.symbol in plan.universe and not exchange.book.shares(view.symbol):
            entries.append(view)
    return exits, entries


def _view(days: MarketDays, day: int, at: int) -> _View:
    close = float(days.prices[day, at, 3])
    score, entry, stop, target = (_or_none(v) for v in days.levels[day, at].tolist())
    return _View(
        symbol=days.symbols[at],
        sign=int(days.wanted[day, at]),
        score=score or 0.0,
        close=close,
        entry=close if entry is None else entry,
        stop=stop,
        target=target,
        volatility=_or_none(float(days.volatility[day, at])),
        trust=None
        if days.trust is None
        else _Trust(
            float(days.trust[day, at, 0]), *map(_or_none, days.trust[day, at, 1:].tolist())
        ),
    )


def _exit(plan: Plan, days: MarketDays, day: int, book: Book, view: _View) -> Decided:
    """The whole position, at the next open."""
    shares = book.shares(view.symbol)
    ticket = Ticket(
        order_id=_order_id(plan, days.sessions[day], view.symbol, Leg.EXIT),
        symbol=view.symbol,
        leg=Leg.EXIT,
        sign=-1 if shares > 0 else 1,
        shares=abs(shares),
        order_type=OrderType.MARKET,
        limit_price=None,
        stop_price=None,
        tif=TimeInForce.DAY,
    )
    return Decided(ticket, is_refused=False, reason=f"{_said(view)} against the position")


def _enter(
    plan: Plan, days: MarketDays, day: int, view: _View, room: Room
) -> Iterator[Decided]:
    """The entry and, if it is let through, the legs of its bracket."""
    spec, session = plan.spec, days.sessions[day]
    order_type = ENTRY_TYPES[spec.execution.order]
    price = view.close if order_type is OrderType.MARKET else view.entry
    shares, why = _size(plan, view, room, price)
    proposal = _proposal(plan, view, shares)
    refused = why if shares < 1 else objection(proposal, room, spec.risk)
    entry = Ticket(
        order_id=_order_id(plan, session, view.symbol, Leg.ENTRY),
        symbol=view.symbol,
        leg=Leg.ENTRY,
        sign=view.sign,
        shares=shares,
        order_type=order_type,
        limit_price=view.entry if order_type is OrderType.LIMIT else None,
        stop_price=view.entry if order_type is OrderType.STOP else None,
        tif=TimeInForce.DAY,
        reserved_price=view.close,
    )
    if refused is not None:
        yield Decided(entry, is_refused=True, reason=refused)
        return
    room.take(proposal)
    yield Decided(entry, is_refused=False, reason=f"{_said(view)}; {why}")
    if spec.execution.bracket:
        yield from _legs(plan, session, view, entry)


def _legs(plan: Plan, session: date, view: _View, entry: Ticket) -> Iterator[Decided]:
    levels = (
        (Leg.STOP, OrderType.STOP, view.stop),
        (Leg.TARGET, OrderType.LIMIT, view.target),
    )
    for leg, order_type, level in levels:
        if level is not None:
            ticket = Ticket(
                order_id=_order_id(plan, session, view.symbol, leg),
                symbol=view.symbol,
                leg=leg,
                sign=-entry.sign,
                shares=entry.shares,
                order_type=order_type,
                limit_price=level if leg is Leg.TARGET else None,
                stop_price=level if leg is Leg.STOP else None,
                tif=TimeInForce.GTC,
                parent_id=entry.order_id,
            )
            yield Decided(ticket, is_refused=False, reason=f"{leg.value} of the bracket")


def _size(plan: Plan, view: _View, room: Room, price: float) -> tuple[int, str]:
    """Whole shares and how they came about; below one share, the refusal."""
    sizing, risk = plan.spec.sizing, plan.spec.risk
    try:
        wished = shares_wanted(
            sizing,
            equity=room.equity,
            price=price,
            stop=view.stop,
            volatility=view.volatility,
        )
    except LevelMissing as missing:
        return 0, f"sizing: {missing}"
    asked, words = wished, f"{sizing.kind} {wished:.2f}"
    if view.trust is not None:
        wished, words = wished * view.trust.multiple, f"{words} {view.trust.said}"
    shares = clamp_to_weight(wished, close=view.close, equity=room.equity, risk=risk)
    if shares >= 1:
        clamped = (
            f", max_weight_frac {risk.max_weight_frac:g}" if shares < int(wished) else ""
        )
        return shares, f"{words}{clamped} -> {shares}"
    if view.trust is not None and wished < 1 <= asked:
        return 0, f"confidence: below one share: {words} = {wished:.4f}"
    rule = "sizing" if wished < 1 else "max_weight_frac"
    return 0, (
        f"{rule}: below one share: {wished:.4f} wanted at {price:.4f}, "
        f"equity {room.equity:,.2f}"
    )


def _proposal(plan: Plan, view: _View, shares: int) -> Proposal:
    return Proposal(
        sign=view.sign,
        shares=shares,
        close=view.close,
        entry=view.entry,
        stop=view.stop,
        target=view.target,
        commission=_estimated(plan, shares, view.close) if shares else 0.0,
    )


def _room(plan: Plan, exchange: Venue) -> Room:
    """Cash and places that working entries and open shorts have not spoken for."""
    book = exchange.book
    waiting = [ticket for ticket in exchange.tickets if ticket.leg is Leg.ENTRY]
    spoken_for = math.fsum(_reserved(plan, ticket) for ticket in waiting)
    shorts = [own.market_value for own in book.holdings.values() if own.shares < 0]
    owed = 2 * abs(math.fsum(shorts))
    return Room(
        equity=book.equity,
        cash=book.cash - spoken_for - owed,
        positions=len(book.holdings) + len(waiting),
        equity_before=book.equity_before,
    )


def _reserved(plan: Plan, ticket: Ticket) -> float:
    """What a working entry ties up until it fills or expires."""
    price = ticket.reserved_price
    return ticket.shares * price + _estimated(plan, ticket.shares, price)


def _estimated(plan: Plan, shares: int, price: float) -> float:
    return commission(plan.spec.costs.commission, shares=shares, price=price)


def _said(view: _View) -> str:
    return f"{SIDES[view.sign]} with score {view.score:g}"


def _order_id(plan: Plan, session: date, symbol: str, leg: Leg) -> str:
    return f"{plan.spec.name}-{session}-{symbol}-{leg.value}"


def _or_none(value: float) -> float | None:
    return None if value != value else value  # noqa: PLR0124 - NaN
