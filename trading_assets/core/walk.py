"""Session after session: trade, mark, decide, submit. Backtest and evening alike.

The sessions of a lane form a chain: each one's hash is of the hash before it, the rules,
and all that the session says about the symbols concerned. Equal hashes are equal books.
"""

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from typing import Any

from trading_assets.core.approving import Waiting, waiting_families
from trading_assets.core.book import Book
from trading_assets.core.deciding import Plan, decide, order_rows
from trading_assets.core.exchange import SimulatedExchange
from trading_assets.core.filling import Ticket
from trading_assets.core.market_days import MarketDays
from trading_assets.core.venue import Log, Row
from trading_assets.errors import DataMissing
from trading_assets.models.order import Leg, OrderType, TimeInForce

GENESIS = ""
"""What stands before the first session of a book."""


@dataclass(frozen=True, slots=True)
class Opening:
    """Where a walk begins: the book after a close, and what was then working.

    Attributes:
        waiting: What was decided at that close and waits for a person.
    """

    book: Book
    tickets: tuple[Ticket, ...]
    book_hash: str
    waiting: tuple[Waiting, ...] = ()

    @classmethod
    def with_capital(cls, capital: float) -> "Opening":
        """The very beginning: cash alone."""
        return cls(Book.opened_with(capital), (), GENESIS)

    @classmethod
    def from_state(cls, state: str, book_hash: str) -> "Opening":
        """What `state_of` wrote down."""
        plain = json.loads(state)
        tickets = tuple(_ticket(own) for own in plain["tickets"])
        waiting = tuple(_waiting(own) for own in plain.get("waiting", ()))
        return cls(Book.from_plain(plain["book"]), tickets, book_hash, waiting)

    @property
    def symbols(self) -> set[str]:
        """What is held or has an order waiting."""
        asked = (family.tickets[0] for family in self.waiting)
        orders = (*self.tickets, *asked)
        return {*self.book.holdings, *(ticket.symbol for ticket in orders)}


@dataclass(frozen=True, slots=True)
class Closing:
    """One walked session: its place in the chain, and the book as JSON."""

    session: date
    previous_hash: str
    book_hash: str
    state: str


@dataclass(slots=True)
class Walked:
    """What a walk gives: a closing per session, and rows by the name of their table.

    Rows carry neither strategy nor lane, and `portfolio` rows no generation.
    """

    closings: list[Closing] = field(default_factory=list)
    orders: list[Row] = field(default_factory=list)
    positions: list[Row] = field(default_factory=list)
    portfolio: list[Row] = field(default_factory=list)
    log: Log = field(default_factory=Log)

    @property
    def rows(self) -> dict[str, list[Row]]:
        """Every row, by table."""
        return {
            "orders": self.orders,
            "order_events": self.log.order_events,
            "fills": self.log.fills,
            "book_events": self.log.book_events,
            "trades": self.log.trades,
            "positions": self.positions,
            "portfolio": self.portfolio,
        }


def walk(plan: Plan, days: MarketDays, opening: Opening, *, states: bool = True) -> Walked:
    """Walk through all of *days* from *opening*.

    Args:
        plan: The strategy's arithmetic.
        days: Must have a column for every symbol of the universe and of *opening*.
        opening: Consumed: its book is the one that trades.
        states: Whether to keep each session's state; research over years does not.
    """
    spec = plan.spec
    exchange = SimulatedExchange(
        strategy=spec.name,
        days=days,
        costs=spec.costs,
        book=opening.book,
        tickets=opening.tickets,
        waiting=opening.waiting,
    )
    walked, last_hash = Walked(log=exchange.log), opening.book_hash
    for day, session in enumerate(days.sessions):
        concerned = symbols_concerned(plan, exchange.symbols)
        book_hash = link(plan, days, day, last_hash, concerned)
        exchange.hear(day)
        exchange.trade(day)
        drawdown_frac = exchange.book.mark_peak()
        decided = decide(plan, days, day, exchange)
        orders = list(order_rows(plan, days, day, decided))
        exchange.submit(day, [order.ticket for order in decided if order.is_let_out])
        if session in days.approvals:
            asked = (order.ticket for order in decided if order.is_awaiting)
            exchange.waiting = waiting_families(spec.name, orders, asked)
        walked.orders.extend(orders)
        positions = position_rows(session, exchange.book, days.closes(day))
        walked.positions.extend(positions)
        walked.portfolio.append(
            portfolio_row(session, exchange.book, positions, drawdown_frac)
            | {"book_hash": book_hash}
        )
        state = state_of(exchange) if states else ""
        walked.closings.append(Closing(session, last_hash, book_hash, state))
        last_hash = book_hash
    return walked


def symbols_concerned(plan: Plan, held: Iterable[str]) -> tuple[str, ...]:
    """Symbols whose market a session's book depends on, ascending.

    Args:
        plan: Whose universe counts in any case.
        held: What is held, or has an order waiting, before the session.
    """
    extra = set(held).difference(plan.universe)
    return tuple(sorted({*plan.universe, *extra})) if extra else plan.universe


def link(
    plan: Plan, days: MarketDays, day: int, previous: str, symbols: Sequence[str]
) -> str:
    """Hash of the book after day number *day*, given the hash before it.

    Raises:
        DataMissing: If it is not known whether one of *symbols* had a bar.
    """
    require_covered(plan, days, day, symbols)
    session = days.sessions[day]
    content = hashlib.blake2b(digest_size=16)
    head = (previous, plan.rules_hash, session.isoformat())
    content.update("|".join(head).encode())
    content.update(days.digest(day, symbols))
    if (halt := days.halted.get(session)) is not None:
        content.update(f"|halt|{halt}".encode())
    if (rule := days.approvals.get(session)) is not None:
        content.update(f"|approval|{rule}".encode())
    if answers := days.answers.get(session):
        told = sorted((*own, str(answer)) for own, answer in answers.items())
        content.update(f"|answers|{told!r}".encode())
    return content.hexdigest()


def require_covered(plan: Plan, days: MarketDays, day: int, symbols: Iterable[str]) -> None:
    """Refuse to go through a day of which a part is not known.

    Raises:
        DataMissing: If it is not known whether one of *symbols* had a bar.
    """
    session = days.sessions[day]
    if days.uncovered and (gone := [s for s in symbols if (session, s) in days.uncovered]):
        raise DataMissing(
            f"{plan.spec.name} holds, or has orders for, {', '.join(gone)}, and bars was "
            f"never materialized for {session}|{gone[0]}: what no strategy's universe has "
            "any more must be put back into one until it is sold"
        )


def state_of(exchange: SimulatedExchange) -> str:
    """All that the next session needs to know, as JSON; floats keep every bit."""
    tickets = [asdict(ticket) for ticket in exchange.tickets]
    state = {"book": exchange.book.to_plain(), "tickets": tickets}
    if exchange.waiting:
        state["waiting"] = [asdict(family) for family in exchange.waiting]
    return json.dumps(state)


def _waiting(plain: dict[str, Any]) -> Waiting:
    return Waiting(plain["payload_hash"], tuple(map(_ticket, plain["tickets"])))


def _ticket(plain: dict[str, object]) -> Ticket:
    words = {
        "leg": Leg(plain["leg"]),
        "order_type": OrderType(plain["order_type"]),
        "tif": TimeInForce(plain["tif"]),
    }
    return Ticket(**(plain | words))  # pyright: ignore[reportArgumentType] - written by state_of


def position_rows(session: date, book: Book, closes: Mapping[str, float]) -> list[Row]:
    """What is held at the close, one row per symbol, without strategy and lane."""
    return [
        {
            "session": session,
            "symbol": symbol,
            "shares": holding.shares,
            "average_cost": holding.average_cost,
            "close": holding.mark,
            "market_value": holding.market_value,
            "unrealized_pnl": holding.unrealized_pnl,
            "is_stale": symbol not in closes,
        }
        for symbol, holding in sorted(book.holdings.items())
    ]


def portfolio_row(
    session: date, book: Book, positions: list[Row], drawdown_frac: float
) -> Row:
    """The book in one row; its sums are those of *positions*, whatever their order."""
    market_value = book.market_value
    equity = book.cash + market_value
    gross = math.fsum([abs(row["market_value"]) for row in positions])
    return {
        "session": session,
        "cash": book.cash,
        "market_value": market_value,
        "equity": equity,
        "gross_exposure_frac": gross / equity if equity else 0.0,
        "realized_pnl": book.realized_pnl,
        "unrealized_pnl": math.fsum([row["unrealized_pnl"] for row in positions]),
        "commission_paid": book.commission_paid,
        "drawdown_frac": drawdown_frac,
    }
