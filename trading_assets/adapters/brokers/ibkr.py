"""Interactive Brokers as a broker of a strategy: decided once, sent once, accounted for.

A session's decision is recorded in the ledger before anything of it is sent. What was
decided and is not out yet is sent by whoever asks next, while the session is current.
The book is a function of executions, prices and corporate actions: an execution that is
told late is accounted for in the session in which it happened, and decides nothing.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from itertools import groupby
from typing import Any, override

import pandas as pd

from trading_assets.adapters.brokers.chain import Chain, days_of, records_of
from trading_assets.adapters.brokers.ibkr_approvals import (
    Consent,
    IbkrApprovals,
    approved_orders,
)
from trading_assets.adapters.brokers.ibkr_gate import Gate
from trading_assets.adapters.brokers.port import Broker, Market, Traded
from trading_assets.adapters.ibkr.gateway import GatewaySettings
from trading_assets.adapters.ibkr.orders import Patience
from trading_assets.adapters.ibkr.session import (
    Books,
    Splits,
    TradingSession,
    trading_session,
)
from trading_assets.adapters.ledger.approvals import Asked
from trading_assets.adapters.ledger.store import BookSession
from trading_assets.core.agreement import shares_for
from trading_assets.core.deciding import Plan, awaiting_approval
from trading_assets.core.filling import Ticket
from trading_assets.core.order_history import numbered, order_events, refusal_event
from trading_assets.core.order_states import OrderStanding, OrderState
from trading_assets.core.recorded import (
    Filled,
    account_for,
    exits_first,
    fills_by_session,
    session_of,
    too_late,
    working_tickets,
)
from trading_assets.core.tickets import order_ticket
from trading_assets.core.venue import Row
from trading_assets.core.walk import Opening, Walked
from trading_assets.errors import (
    DataMissing,
    InvalidInput,
    OrderUnresolved,
    ReadOnlyGateway,
    RequestRefused,
    TradingAssetsError,
    WrongAccount,
)
from trading_assets.models.account import Adoption
from trading_assets.models.base import Lane, Side
from trading_assets.models.fill import BookEventKind
from trading_assets.models.intent import (
    Execution,
    Fact,
    FactKind,
    Intent,
    OrderTicket,
)
from trading_assets.models.order import Leg, OrderStatus, OrderType
from trading_assets.models.table import Table
from trading_assets.models.tables import BOOK_EVENTS, FILLS, ORDER_EVENTS, ORDERS
from trading_assets.sessions import TradingCalendar
from trading_assets.strategies.spec import StrategySpec

logger = logging.getLogger(__name__)

LANE_WAIT_SECONDS = 300.0
TOLD_OF_A_FILL = ("fill_id", "shares", "price", "commission")
ON_ITS_WAY = frozenset({OrderState.WORKING, OrderState.PARTIALLY_FILLED})
"""States of an exit that gets out by itself; an inactive one may never."""

FLATTEN = "flatten"
"""How the reason of an order begins that a person has sent to get out."""


@dataclass(frozen=True, slots=True)
class Border:
    """How a strategy's orders reach the broker, and what may keep them from it.

    Attributes:
        settings: Of the gateway and the account; asked when there is something to trade,
            and raises if it is not certain which.
        is_readonly: Nothing is ever sent, and nobody is asked.
        halted: Why new orders of a strategy are halted; empty if they are not.
        splits: Of whatever may be held; asked when positions are compared.
        patience: How long the desk waits.
        wait_seconds: Longest wait for the account, and for a book.
    """

    settings: Callable[[], GatewaySettings]
    is_readonly: bool
    halted: Callable[[str], str]
    splits: Splits
    patience: Patience | None = None
    wait_seconds: float = LANE_WAIT_SECONDS


@dataclass(frozen=True, slots=True)
class Flattened:
    """What `IbkrBroker.flatten` did.

    Attributes:
        cancelled: Order ids that are gone for certain.
        sent: Where the orders stand that sell what is held, or buy back what is short.
        unresolved: What could not be done, and why, symbol by symbol.
    """

    cancelled: list[str]
    sent: list[OrderStanding]
    unresolved: list[str]


class NothingHeld(Exception):
    """An exit has nothing left to close."""


class IbkrBroker(Broker):
    """Trades a strategy's signals at Interactive Brokers; see `Broker` for its promises."""

    def __init__(
        self,
        books: Books,
        border: Border,
        calendar: TradingCalendar,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._books = books
        self._border = border
        self._calendar = calendar
        self._now = now
        self._approvals = IbkrApprovals(books, calendar, now)

    @property
    @override
    def lane(self) -> Lane:
        return Lane.IBKR

    @override
    def alone(self, strategy: str) -> AbstractContextManager[None]:
        return self._books.ledger.lane(strategy, self.lane, self._border.wait_seconds)

    @override
    def trade_through(
        self,
        plan: Plan,
        sessions: Sequence[date],
        first: date,
        market: Market,
        *,
        heeds_people: bool = False,
    ) -> Traded:
        del heeds_people  # they always bind here
        name = plan.spec.name
        is_tonight = sessions[-1] == self._calendar.last_closed(self._now())
        with self.alone(name), self._session(name, is_tonight=is_tonight) as session:
            traded = self._accounted(plan, sessions, first, market, session)
            self._give_up(name)
            if session is not None:
                self._send(plan.spec, sessions[-1], session)
            return traded

    @override
    def rows(self, strategy: str, table: Table, sessions: Sequence[date]) -> pd.DataFrame:
        chain = self._chain(strategy).standing
        standing = {entry.session for entry in chain}
        absent = [session for session in sessions if session not in standing]
        if absent:
            raise DataMissing(
                f"{strategy} {self.lane}: {len(absent)} sessions from {absent[0]} to "
                f"{absent[-1]} are not decided; materialize {strategy}/orders first"
            )
        if table is ORDER_EVENTS:
            return self._events(strategy, sessions)
        rows = self._books.ledger.rows(strategy, self.lane, table, sessions, chain)
        return self._with_broker_ids(rows) if table is ORDERS else rows

    @override
    def decided(self, strategy: str) -> tuple[date, ...]:
        return days_of(self._chain(strategy).standing)

    @override
    def superseded(self, strategy: str) -> tuple[date, ...]:
        return days_of(self._chain(strategy).broken)

    # Before anything else

    def _session(
        self, strategy: str, *, is_tonight: bool
    ) -> AbstractContextManager[TradingSession | None]:
        """A connection that trades; none for the past, nor where nothing may be sent."""
        border = self._border
        if not is_tonight or border.is_readonly:
            return nullcontext()
        settings = border.settings()
        self._require_own_account(strategy, settings.account)
        return trading_session(
            settings,
            self._books,
            wait_seconds=border.wait_seconds,
            patience=border.patience,
            now=self._now,
            splits=border.splits,
            may_send=self._why_not_again,
        )

    def _require_own_account(self, strategy: str, account: str) -> None:
        others = self._accounts(strategy).difference({account})
        if others:
            raise WrongAccount(
                f"{strategy} was traded in {', '.join(sorted(others))}, and is to be in "
                f"{account} now: another account needs another strategy name"
            )

    def _accounts(self, strategy: str) -> set[str]:
        """Where *strategy* was ever traded: one account, or none yet."""
        return {intent.account for intent in self._intents(strategy).values()}

    def _executions(self, strategy: str) -> list[Execution]:
        return [
            execution
            for account in self._accounts(strategy)
            for execution in self._books.intents.executions(account)
        ]

    def _unsettled(self, strategy: str) -> list[OrderStanding]:
        return [
            standing
            for account in self._accounts(strategy)
            for standing in self._books.intents.unsettled(account)
            if standing.intent.ticket.strategy == strategy
        ]

    def _chain(self, strategy: str) -> Chain:
        return Chain.of(self._books.ledger.chain(strategy, self.lane))

    def _intents(self, strategy: str) -> dict[str, Intent]:
        """Every order that was ever committed for *strategy*, by its reference."""
        return {
            ref: intent
            for ref, intent in self._books.intents.of_strategy(strategy).items()
            if intent.ticket.lane is self.lane
        }

    # Accounting and deciding

    def _accounted(
        self,
        plan: Plan,
        sessions: Sequence[date],
        first: date,
        market: Market,
        session: TradingSession | None,
    ) -> Traded:
        name = plan.spec.name
        chain = self._chain(name)
        stored = chain.standing
        _require_same_start(name, stored, sessions[0])
        fills, unplanned = self._fills(name), self._unplanned(name)
        adopted = self._adopted(name)
        whole = [*sessions, *(own for own in days_of(stored) if own > sessions[-1])]
        begin = min(
            sessions.index(first),
            len(stored),
            self._first_untold(name, stored, fills),
            self._first_unwritten(name, stored, unplanned),
        )
        opening = self._opening(plan, stored, begin)
        working = self._working(name)
        concerned = {*opening.symbols, *(ticket.symbol for ticket in working)}
        for own in whole[begin:]:
            concerned |= {filled.ticket.symbol for filled in fills.get(own, ())}
            concerned |= {adoption.symbol for adoption in adopted.get(own, ())}
        undecided = self._calendar.offset(whole[len(stored) - 1], 1) if stored else whole[0]
        days = market(
            whole[begin],
            whole[-1],
            sorted(concerned.difference(plan.universe)),
            signals_from=undecided,
        )
        gate = self._gate(name, session)
        walked = account_for(
            plan,
            days,
            opening,
            fills=fills,
            decisions=self._decisions(name, stored[begin:]),
            unplanned=unplanned,
            adopted=adopted,
            working=working,
            gate=lambda day, decided: awaiting_approval(
                gate.let_out(plan, decided, self._why_not_now(days.sessions[day])),
                plan.spec.execution.approval,
            ),
        )
        self._restamp(walked, decided_from=undecided)
        changed = _first_difference(walked, stored[begin:])
        if changed == len(walked.closings):
            return Traded((), days_of(chain.broken))
        before = stored[-1].spec_hash if stored else plan.rules_hash
        account = "" if session is None else session.account
        asked = self._approvals.asked(name, walked, days, undecided, account)
        generation = chain.generation(begin + changed)
        traded = self._recorded(plan, walked, changed, generation, asked)
        return replace(traded, is_new_plan=before != plan.rules_hash)

    def _gate(self, strategy: str, session: TradingSession | None) -> Gate:
        def closable(symbol: str, sign: int) -> int:
            return 0 if session is None else self._closable(strategy, symbol, sign, session)

        border = self._border
        return Gate(self._books, border.halted, border.splits, session, closable)

    def _closable(
        self, strategy: str, symbol: str, sign: int, session: TradingSession
    ) -> int:
        """How many shares the account has for *strategy* to close, at most."""
        held = sum(own.shares for own in session.positions() if own.symbol == symbol)
        known = self._books.intents.of_account(session.account).values()
        others = {intent.ticket.strategy for intent in known} - {strategy}
        theirs = sum(self._holdings(own).get(symbol, 0) for own in others)
        adoptions = self._books.accounts.adoptions(session.account)
        return shares_for(sign, held, theirs, adoptions, symbol)

    def _adopted(self, strategy: str) -> dict[date, list[Adoption]]:
        """What a person has put into the book, or taken out, by session."""
        found: dict[date, list[Adoption]] = {}
        for adoption in self._books.accounts.adopted_by(strategy):
            session = session_of(adoption.at, self._calendar)
            found.setdefault(session, []).append(adoption)
        return found

    def _fills(self, strategy: str) -> dict[date, list[Filled]]:
        executions = self._executions(strategy)
        return fills_by_session(self._intents(strategy), executions, self._calendar)

    def _first_untold(
        self,
        strategy: str,
        stored: Sequence[BookSession],
        fills: Mapping[date, Sequence[Filled]],
    ) -> int:
        """Which of the *stored* sessions is the first whose fills are not as recorded."""
        if not stored:
            return 0
        days = days_of(stored)
        rows = self._books.ledger.rows(strategy, self.lane, FILLS, days, stored)
        recorded: dict[date, set[tuple[Any, ...]]] = {}
        for session, *told in zip(
            rows["session"].dt.date, *(rows[name] for name in TOLD_OF_A_FILL), strict=True
        ):
            recorded.setdefault(session, set()).add(tuple(told))
        for at, day in enumerate(days):
            heard = {
                (it.fill_id, it.shares, it.price, it.commission)
                for it in fills.get(day, ())
            }
            if heard != recorded.get(day, set()):
                return at
        return len(stored)

    def _first_unwritten(
        self,
        strategy: str,
        stored: Sequence[BookSession],
        unplanned: Mapping[date, Sequence[Row]],
    ) -> int:
        """Which of the *stored* sessions is the first that lacks an order of a person's."""
        days = days_of(stored)
        asked = [day for day in days if day in unplanned]
        rows = self._books.ledger.rows(strategy, self.lane, ORDERS, asked, stored)
        written = set(rows["order_id"])
        for day in asked:
            if any(row["order_id"] not in written for row in unplanned[day]):
                return days.index(day)
        return len(stored)

    def _opening(self, plan: Plan, stored: Sequence[BookSession], at: int) -> Opening:
        if at == 0:
            return Opening.with_capital(plan.spec.capital)
        before = stored[at - 1]
        state = self._books.ledger.state(plan.spec.name, self.lane, before.session)
        if state is None:
            raise DataMissing(f"{plan.spec.name} {self.lane}: no book of {before.session}")
        return Opening.from_state(state, before.book_hash)

    def _working(self, strategy: str) -> list[Ticket]:
        return working_tickets(
            it for it in self._unsettled(strategy) if it.state is not OrderState.MISSING
        )

    def _decisions(
        self, strategy: str, stored: Sequence[BookSession]
    ) -> dict[date, list[Row]]:
        """What was decided in each of the *stored* sessions, as it was recorded."""
        found: dict[date, list[Row]] = {session: [] for session in days_of(stored)}
        rows = self._books.ledger.rows(strategy, self.lane, ORDERS, days_of(stored))
        for row in plain_rows(rows):
            found[row["session"]].append(row)
        return found

    def _unplanned(self, strategy: str) -> dict[date, list[Row]]:
        """Exits by session, those that a person has ordered among them.

        A decision's own are in its record already, and are told from these by their ids.
        """
        exits = [it for it in self._intents(strategy).values() if it.ticket.leg is Leg.EXIT]
        facts = self._books.intents.facts_of(it.order_id for it in exits)
        found: dict[date, list[Row]] = {}
        for intent in exits:
            told = (fact.text for fact in facts[intent.order_id])
            said = next((text for text in told if text.startswith(FLATTEN)), FLATTEN)
            found.setdefault(intent.ticket.session, []).append(_row(intent, said))
        return found

    def _why_not_now(self, session: date) -> str:
        """Why a decision of *session* is too late to be sent; empty if it is not."""
        return too_late(session, self._now(), self._calendar)

    def _why_not_again(self, intent: Intent) -> str:
        """Why an order that is nowhere may not be sent again; empty if it may."""
        ticket = intent.ticket
        return self._why_not_now(ticket.session) or self._halt(ticket.strategy)

    def _restamp(self, walked: Walked, decided_from: date) -> None:
        """Say when orders were decided; when they were sent is known by their intents."""
        now = self._now()
        for row in walked.orders:
            is_planned = row["spec_hash"] != ""
            if is_planned and row["session"] >= decided_from:
                row |= {"decided_at": now, "submitted_at": None, "broker_order_id": ""}

    def _recorded(
        self,
        plan: Plan,
        walked: Walked,
        changed: int,
        generation: int | None,
        asked: Asked,
    ) -> Traded:
        ledger, name = self._books.ledger, plan.spec.name
        closings = walked.closings[changed:]
        begin = closings[0].session
        if generation is None:
            generation = ledger.next_generation(name, self.lane)
        rows = {
            table: [row for row in own if row["session"] >= begin]
            for table, own in walked.rows.items()
        }
        records = records_of(plan, closings)
        ledger.append(name, self.lane, generation, records, rows, asked=asked)
        sessions = tuple(closing.session for closing in closings)
        return Traded(sessions, self.superseded(name))

    # Sending

    def _give_up(self, strategy: str) -> None:
        """Say of what was let out, was never sent and is too late by now that it is."""
        chain = self._chain(strategy).standing
        for row in self._unsent(strategy, chain):
            if why := self._why_not_now(row["session"]):
                self._books.intents.refuse(row["order_id"], strategy, why, self._now())
        self._approvals.settle(strategy)

    def _unsent(self, strategy: str, chain: Sequence[BookSession]) -> list[Row]:
        """What was let out in the sessions of *chain*, and neither sent nor refused.

        Nobody and nothing has held it back, or a person has approved it.
        """
        days = days_of(chain)
        decided = self._books.ledger.rows(strategy, self.lane, ORDERS, days, chain)
        is_let_out = decided["status"] == OrderStatus.SUBMITTED.value
        is_approved = decided["order_id"].isin(approved_orders(self._books, strategy))
        let_out = decided[is_let_out | is_approved]
        intents = self._books.intents
        done = {*intents.known(let_out["order_id"]), *intents.refusals(let_out["order_id"])}
        return plain_rows(let_out[~let_out["order_id"].isin(done)])

    def _send(self, spec: StrategySpec, session: date, trading: TradingSession) -> None:
        """Bring to the broker what was decided for *session* and is not there yet.

        Raises:
            OrderUnresolved: If an order has to wait for another one; the rest is sent.
        """
        strategy = spec.name
        chain = self._chain(strategy).standing
        tonight = [entry for entry in chain if entry.session == session]
        unsent = sorted(self._unsent(strategy, tonight), key=exits_first)
        tickets = [order_ticket(strategy, row) for row in unsent]
        waiting: list[str] = []
        gate = self._gate(strategy, trading)
        decided = self._decisions(strategy, tonight).get(session, [])
        consent = self._approvals.consent(spec, session, decided, trading)
        for _, family in groupby(tickets, key=lambda it: it.parent_id or it.order_id):
            try:
                self._send_family(strategy, session, list(family), trading, gate, consent)
            except OrderUnresolved as unresolved:
                waiting.append(str(unresolved))
        self._approvals.settle(strategy)
        if waiting:
            raise OrderUnresolved("; ".join(waiting))

    def _send_family(
        self,
        strategy: str,
        session: date,
        family: Sequence[OrderTicket],
        trading: TradingSession,
        gate: Gate,
        consent: Consent,
    ) -> None:
        """An entry with its legs, or an exit, unless something has come in between."""
        head = family[0]
        why = self._why_not_now(session) or self._halt(strategy) or consent.lacks(head)
        why = why or gate.stops(head.symbol, head.leg, -head.side.sign, head.shares)
        why = why or consent.drifted(head)
        if not why:
            try:
                if head.leg is Leg.EXIT:
                    family = self._made_way(strategy, head, trading)
                trading.desk.submit(family)
            except (InvalidInput, RequestRefused) as refusal:
                why = f"broker: {refusal}"
            except NothingHeld as nothing:
                why = str(nothing)
            else:
                return
        for ticket in family:
            self._books.intents.refuse(ticket.order_id, strategy, why, self._now())
        logger.warning("%s: %s not sent: %s", strategy, head.order_id, why)

    def _halt(self, strategy: str) -> str:
        why = self._border.halted(strategy)
        return f"halt: {why}" if why else ""

    def _made_way(
        self, strategy: str, exit_: OrderTicket, trading: TradingSession
    ) -> list[OrderTicket]:
        """The exit that is left to send when all else that works in its symbol is gone.

        All that could refuse the exit is asked before anything is cancelled, and the stop
        is cancelled last: a position is left without it for as short as can be.

        Raises:
            OrderUnresolved: If it is not certain that an order is gone: two sells could
                sell more than there is.
            RequestRefused: If the broker does not know the symbol any more.
            NothingHeld: If a leg has closed the position meanwhile.
        """
        trading.desk.require_clear(exit_.symbol)
        own = [
            it
            for it in self._unsettled(strategy)
            if it.intent.ticket.symbol == exit_.symbol
        ]
        for standing in sorted(own, key=lambda it: it.intent.ticket.leg is Leg.STOP):
            after = trading.desk.cancel(standing.order_id)
            if not after.is_final:
                raise OrderUnresolved(
                    f"{exit_.order_id} waits for {standing.order_id} to be cancelled, "
                    f"which is {after.state}"
                )
        held = -exit_.side.sign * self._holdings(strategy).get(exit_.symbol, 0)
        if held < 1:
            raise NothingHeld("nothing left to close")
        return [exit_.model_copy(update={"shares": min(held, exit_.shares)})]

    # Getting out

    def flatten(self, strategy: str, who: str, why: str) -> Flattened:
        """Cancel all that works for *strategy*, and sell at the market what it holds.

        Asking again is safe: what is on its way out already is left as it is.

        Raises:
            ReadOnlyGateway: If nothing may be sent.
            GatewayUnreachable: If there is no session with the gateway.
            NoAnswer: If it does not answer what has to be known before.
            StoreBusy: If somebody else trades for the strategy, or in the account.
        """
        border = self._border
        if border.is_readonly:
            raise ReadOnlyGateway("flatten: IBKR_READONLY is not no; nothing was sent")
        settings = border.settings()
        self._require_own_account(strategy, settings.account)
        with (
            self.alone(strategy),
            trading_session(
                settings,
                self._books,
                wait_seconds=border.wait_seconds,
                patience=border.patience,
                now=self._now,
                splits=border.splits,
                may_send=lambda _: FLATTEN,
            ) as session,
        ):
            done = Flattened([], [], [])
            self._approvals.withdraw(strategy, who, f"{FLATTEN}: {why}")
            holdings = self._holdings(strategy)
            working = {it.intent.ticket.symbol for it in self._unsettled(strategy)}
            for symbol in sorted({*holdings, *working}):
                try:
                    self._get_out(strategy, symbol, session, f"{why} (by {who})", done)
                except TradingAssetsError as error:  # the others still have to get out
                    done.unresolved.append(f"{symbol}: {error}")
            return done

    def _get_out(
        self,
        strategy: str,
        symbol: str,
        session: TradingSession,
        why: str,
        done: Flattened,
    ) -> None:
        """Cancel what works in *symbol*, and close what the strategy holds of it.

        Raises:
            TradingAssetsError: Whatever keeps an order from being cancelled or sent.
        """
        own = [it for it in self._unsettled(strategy) if it.intent.ticket.symbol == symbol]
        exits = [it for it in own if it.intent.ticket.leg is Leg.EXIT]
        if any(it.state in ON_ITS_WAY for it in exits):
            return
        session.desk.require_clear(symbol)
        for standing in sorted(own, key=lambda it: it.intent.ticket.leg is Leg.STOP):
            after = session.desk.cancel(standing.order_id)
            if not after.is_final:
                raise OrderUnresolved(f"{standing.order_id} is {after.state}")
            done.cancelled.append(standing.order_id)
        held = self._holdings(strategy).get(symbol, 0)
        if not held:
            return
        sign = 1 if held > 0 else -1
        there = self._closable(strategy, symbol, sign, session)
        if there != abs(held):
            done.unresolved.append(
                f"{symbol}: the book has {held}, and the account {there} for it: see "
                "trading-assets reconcile"
            )
        if there := min(there, abs(held)):
            ticket = self._way_out(strategy, symbol, sign * there)
            done.sent.extend(session.desk.submit([ticket]))
            fact = Fact(
                kind=FactKind.NOTICE,
                at=self._now(),
                source="desk",
                text=f"{FLATTEN}: {why}",
            )
            self._books.intents.tell(ticket.order_id, fact)

    def _way_out(self, strategy: str, symbol: str, shares: int) -> OrderTicket:
        """A market order for all of *shares*, by the first id that was never used."""
        session = self._calendar.last_closed(self._now())
        attempt = 1
        while True:
            ticket = OrderTicket(
                strategy=strategy,
                session=session,
                symbol=symbol,
                leg=Leg.EXIT,
                side=Side.SELL if shares > 0 else Side.BUY,
                shares=abs(shares),
                order_type=OrderType.MARKET,
                attempt=attempt,
            )
            if not self._is_taken(ticket.order_id):
                return ticket
            attempt += 1

    def _is_taken(self, order_id: str) -> bool:
        intents = self._books.intents
        is_asked = self._books.ledger.approvals.called(order_id)
        return bool(is_asked or intents.known([order_id]) or intents.refusals([order_id]))

    def _holdings(self, strategy: str) -> dict[str, int]:
        """Signed shares in the book and what became known since it was kept, by symbol.

        A fill of a session that is accounted for may be heard while its evening sells, and
        a person may have adopted something this minute. None of zero.
        """
        chain = self._chain(strategy).standing
        ledger, held = self._books.ledger, dict[str, int]()
        if chain:
            state = ledger.state(strategy, self.lane, chain[-1].session)
            book = Opening.from_state(state, "").book if state else None
            held = {own: it.shares for own, it in book.holdings.items()} if book else {}
            rows = ledger.rows(strategy, self.lane, FILLS, days_of(chain), chain)
            bought = rows["side"] == Side.BUY.value
            signed = rows["shares"].where(bought, -rows["shares"])
            written = pd.concat([_by_symbol(rows, signed), self._taken(strategy, chain)])
            for symbol, shares in written.items():
                held[str(symbol)] = held.get(str(symbol), 0) - int(shares)
        for it in self._books.accounts.adopted_by(strategy):
            held[it.symbol] = held.get(it.symbol, 0) + round(it.shares)
        for fills in self._fills(strategy).values():
            for it in fills:
                symbol, change = it.ticket.symbol, it.ticket.sign * it.shares
                held[symbol] = held.get(symbol, 0) + change
        return {symbol: shares for symbol, shares in held.items() if shares}

    def _taken(self, strategy: str, chain: Sequence[BookSession]) -> "pd.Series[Any]":
        """Shares that the book of *chain* has adopted, signed, by symbol."""
        days, ledger = days_of(chain), self._books.ledger
        events = ledger.rows(strategy, self.lane, BOOK_EVENTS, days, chain)
        adopted = events[events["kind"] == BookEventKind.ADOPTION.value]
        return _by_symbol(adopted, adopted["shares_delta"])

    # What is told

    def _with_broker_ids(self, rows: pd.DataFrame) -> pd.DataFrame:
        """`orders` rows with the broker's numbers, and when each was committed to."""
        known = self._books.intents.known(rows["order_id"])
        ids = {own: str(intent.broker_order_id) for own, intent in known.items()}
        sent = {own: intent.recorded_at for own, intent in known.items()}
        told = rows.assign(
            broker_order_id=rows["order_id"].map(ids).fillna(""),
            submitted_at=pd.to_datetime(rows["order_id"].map(sent), utc=True),
        )
        return ORDERS.conform(told)

    def _events(self, strategy: str, sessions: Sequence[date]) -> pd.DataFrame:
        intents = self._intents(strategy)
        facts = self._books.intents.facts_of(own.order_id for own in intents.values())
        traded: dict[str, list[Execution]] = {ref: [] for ref in intents}
        for execution in self._executions(strategy):
            if execution.order_ref in traded:
                traded[execution.order_ref].append(execution)
        said = self._approvals.told(strategy)
        rows = [
            row
            for ref, intent in intents.items()
            for row in order_events(
                intent,
                facts[intent.order_id],
                traded[ref],
                self._calendar,
                said.pop(intent.order_id, ()),
            )
        ]
        rows += self._unsent_events(strategy, said)
        wanted = set(sessions)
        told = [
            row | {"strategy": strategy, "lane": self.lane.value}
            for row in rows
            if row["session"] in wanted
        ]
        if not told:
            return ORDER_EVENTS.empty()
        frame = pd.DataFrame(told).assign(
            session=lambda own: pd.to_datetime(own["session"]),
            at=lambda own: pd.to_datetime(own["at"], utc=True),
        )
        return ORDER_EVENTS.conform(frame.sort_values(list(ORDER_EVENTS.key)))

    def _unsent_events(self, strategy: str, said: Mapping[str, Sequence[Row]]) -> list[Row]:
        """Of orders that were decided and not sent; what people have *said* of them."""
        chain = self._chain(strategy).standing
        decided = self._books.ledger.rows(
            strategy, self.lane, ORDERS, days_of(chain), chain
        )
        shares = dict(zip(decided["order_id"], decided["shares"], strict=True))
        refused = {
            order_id: refusal_event(
                order_id, int(shares[order_id]), why, at, self._calendar
            )
            for order_id, (why, at) in self._books.intents.refusals(shares).items()
        }
        alone = [row for order_id, row in refused.items() if order_id not in said]
        sessions = dict(zip(decided["order_id"], decided["session"].dt.date, strict=True))
        return alone + [
            row
            for order_id, own in said.items()
            if order_id in sessions
            for row in numbered(
                [*own, *([refused[order_id]] if order_id in refused else [])],
                order_id,
                sessions[order_id],
                self._calendar,
            )
        ]


def _require_same_start(strategy: str, stored: Sequence[BookSession], start: date) -> None:
    """What was traded can't be traded again from another day on."""
    if stored and stored[0].session != start:
        raise InvalidInput(
            f"{strategy} is traded outside since {stored[0].session}, and its file says "
            f"start {start}: put it back, or give the strategy another name"
        )


def _first_difference(walked: Walked, stored: Sequence[BookSession]) -> int:
    """Which walked session is the first that is not stored as it came out now."""
    for at, (closing, entry) in enumerate(zip(walked.closings, stored, strict=False)):
        if closing.book_hash != entry.book_hash:
            return at
    return min(len(walked.closings), len(stored))


def _by_symbol(rows: pd.DataFrame, shares: "pd.Series[Any]") -> "pd.Series[Any]":
    """The sum of *shares* of each symbol of *rows*."""
    return shares.groupby(rows["symbol"]).sum()


def plain_rows(rows: pd.DataFrame) -> list[Row]:
    """`orders` rows as the walk writes them, without strategy and lane."""
    own = rows.drop(columns=["strategy", "lane"]).assign(session=rows["session"].dt.date)
    return [
        {str(name): None if pd.isna(value) else value for name, value in row.items()}
        for row in own.to_dict("records")
    ]


def _row(intent: Intent, reason: str) -> Row:
    """The `orders` row of an order that a person has sent."""
    ticket = intent.ticket
    return {
        "order_id": intent.order_id,
        "session": ticket.session,
        "symbol": ticket.symbol,
        "leg": ticket.leg.value,
        "side": ticket.side.value,
        "shares": ticket.shares,
        "order_type": ticket.order_type.value,
        "limit_price": ticket.limit_price,
        "stop_price": ticket.stop_price,
        "tif": ticket.tif.value,
        "status": OrderStatus.SUBMITTED.value,
        "reason": reason,
        "decided_at": intent.recorded_at,
        "submitted_at": None,
        "broker_order_id": "",
        "spec_hash": "",
    }
