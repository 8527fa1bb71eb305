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
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from typing import Any, override

import pandas as pd

from trading_assets.adapters.brokers.chain import Chain, days_of, records_of
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
from trading_assets.adapters.ledger.store import BookSession
from trading_assets.core.deciding import Plan
from trading_assets.core.filling import Ticket
from trading_assets.core.order_history import order_events, refusal_event
from trading_assets.core.order_states import OrderStanding, OrderState
from trading_assets.core.recorded import (
    Filled,
    account_for,
    exits_first,
    fills_by_session,
    working_tickets,
)
from trading_assets.core.venue import Row
from trading_assets.core.walk import Opening, Walked
from trading_assets.errors import (
    DataMissing,
    InvalidInput,
    OrderUnresolved,
    RequestRefused,
    WrongAccount,
)
from trading_assets.models.base import Lane, Side
from trading_assets.models.intent import Execution, Intent, OrderTicket
from trading_assets.models.order import Leg, OrderStatus, OrderType
from trading_assets.models.table import Table
from trading_assets.models.tables import FILLS, ORDER_EVENTS, ORDERS
from trading_assets.sessions import TradingCalendar

logger = logging.getLogger(__name__)

BEFORE_THE_OPEN = timedelta(minutes=5)
"""How long before the next open a decision is too late."""

LANE_WAIT_SECONDS = 300.0
TOLD_OF_A_FILL = ("fill_id", "shares", "price", "commission")


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
        heeds_halts: bool = False,
    ) -> Traded:
        del heeds_halts  # they always bind here
        name = plan.spec.name
        is_tonight = sessions[-1] == self._calendar.last_closed(self._now())
        with self.alone(name), self._session(name, is_tonight=is_tonight) as session:
            traded = self._accounted(plan, sessions, first, market, session)
            if session is not None:
                self._send(name, sessions[-1], session)
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

    def _chain(self, strategy: str, start: date | None = None) -> Chain:
        return Chain.of(self._books.ledger.chain(strategy, self.lane), start)

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
        chain = self._chain(name, sessions[0])
        stored = chain.standing
        fills = self._fills(name)
        whole = [*sessions, *(own for own in days_of(stored) if own > sessions[-1])]
        begin = min(
            sessions.index(first), len(stored), self._first_untold(name, stored, fills)
        )
        opening = self._opening(plan, stored, begin)
        working = self._working(name)
        concerned = {*opening.symbols, *(ticket.symbol for ticket in working)}
        for own in whole[begin:]:
            concerned |= {filled.ticket.symbol for filled in fills.get(own, ())}
        undecided = self._calendar.offset(whole[len(stored) - 1], 1) if stored else whole[0]
        days = market(
            whole[begin],
            whole[-1],
            sorted(concerned.difference(plan.universe)),
            signals_from=undecided,
        )
        gate = Gate(self._books, self._border.halted, self._border.splits, session)
        walked = account_for(
            plan,
            days,
            opening,
            fills=fills,
            decisions=self._decisions(name, stored[begin:]),
            working=working,
            gate=lambda day, decided: gate.let_out(
                plan, decided, self._why_not_now(days.sessions[day])
            ),
        )
        self._restamp(walked, decided_from=undecided)
        changed = _first_difference(walked, stored[begin:])
        if changed == len(walked.closings):
            return Traded((), days_of(chain.broken))
        before = stored[-1].spec_hash if stored else plan.rules_hash
        traded = self._recorded(plan, walked, changed, chain.generation(begin + changed))
        return replace(traded, is_new_plan=before != plan.rules_hash)

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

    def _why_not_now(self, session: date) -> str:
        """Why a decision of *session* is too late to be sent; empty if it is not."""
        now = self._now()
        current = self._calendar.last_closed(now)
        if session != current:
            return f"too_late: {current} has closed since"
        deadline = self._calendar.open_at(self._calendar.offset(current, 1))
        if now >= deadline - BEFORE_THE_OPEN:
            return f"too_late: the next session opens at {deadline:%Y-%m-%d %H:%M} UTC"
        return ""

    def _restamp(self, walked: Walked, decided_from: date) -> None:
        """Say when orders were decided; when they were sent is known by their intents."""
        now = self._now()
        for row in walked.orders:
            if row["session"] >= decided_from:
                row |= {"decided_at": now, "submitted_at": None, "broker_order_id": ""}

    def _recorded(
        self, plan: Plan, walked: Walked, changed: int, generation: int | None
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
        ledger.append(name, self.lane, generation, records, rows)
        sessions = tuple(closing.session for closing in closings)
        return Traded(sessions, self.superseded(name))

    # Sending

    def _send(self, strategy: str, session: date, trading: TradingSession) -> None:
        """Bring to the broker what was decided for *session* and is not there yet."""
        chain = self._chain(strategy).standing
        if session not in days_of(chain):
            return
        decided = self._books.ledger.rows(strategy, self.lane, ORDERS, [session], chain)
        wanted = [
            row
            for row in plain_rows(decided)
            if row["status"] == OrderStatus.SUBMITTED.value
        ]
        intents = self._books.intents
        ids = [row["order_id"] for row in wanted]
        done = {*intents.known(ids), *intents.refusals(ids)}
        tickets = [
            order_ticket(strategy, row)
            for row in sorted(wanted, key=exits_first)
            if row["order_id"] not in done
        ]
        for _, family in groupby(tickets, key=lambda it: it.parent_id or it.order_id):
            self._send_family(strategy, session, list(family), trading)

    def _send_family(
        self,
        strategy: str,
        session: date,
        family: Sequence[OrderTicket],
        trading: TradingSession,
    ) -> None:
        """An entry with its legs, or an exit, unless something has come in between."""
        why = self._why_not_now(session) or self._halt(strategy)
        if not why and family[0].leg is Leg.EXIT:
            why = self._make_way(strategy, family[0], trading)
        if not why:
            try:
                trading.desk.submit(family)
            except (InvalidInput, RequestRefused) as refusal:
                why = f"broker: {refusal}"
            else:
                return
        for ticket in family:
            self._books.intents.refuse(ticket.order_id, strategy, why, self._now())
        logger.warning("%s: %s not sent: %s", strategy, family[0].order_id, why)

    def _halt(self, strategy: str) -> str:
        why = self._border.halted(strategy)
        return f"halt: {why}" if why else ""

    def _make_way(self, strategy: str, exit_: OrderTicket, trading: TradingSession) -> str:
        """Cancel what else works in the symbol; why there is nothing left to sell, if so.

        Raises:
            OrderUnresolved: If it is not certain that an order is gone: two sells could
                sell more than there is.
        """
        for standing in self._unsettled(strategy):
            if standing.intent.ticket.symbol != exit_.symbol:
                continue
            after = trading.desk.cancel(standing.order_id)
            if not after.is_final:
                raise OrderUnresolved(
                    f"{exit_.order_id} waits for {standing.order_id} to be cancelled, "
                    f"which is {after.state}"
                )
        held = self._held(strategy, exit_.symbol)
        if held * -exit_.side.sign < exit_.shares:
            return f"nothing left to close: {held} shares are held"
        return ""

    def _held(self, strategy: str, symbol: str) -> int:
        """Shares of *symbol* in the book, and what was filled since it was closed."""
        chain = self._chain(strategy).standing
        state = self._books.ledger.state(strategy, self.lane, chain[-1].session)
        book = Opening.from_state(state, "").book if state else None
        shares = book.shares(symbol) if book else 0
        for session, fills in self._fills(strategy).items():
            if session > chain[-1].session:
                own = [it for it in fills if it.ticket.symbol == symbol]
                shares += sum(it.ticket.sign * it.shares for it in own)
        return shares

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
        rows = [
            row
            for ref, intent in intents.items()
            for row in order_events(
                intent, facts[intent.order_id], traded[ref], self._calendar
            )
        ]
        rows += self._refusal_events(strategy, sessions)
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

    def _refusal_events(self, strategy: str, sessions: Sequence[date]) -> list[Row]:
        decided = self._books.ledger.rows(strategy, self.lane, ORDERS, sessions)
        shares = dict(zip(decided["order_id"], decided["shares"], strict=True))
        return [
            refusal_event(order_id, int(shares[order_id]), reason, at, self._calendar)
            for order_id, (reason, at) in self._books.intents.refusals(shares).items()
        ]


def _first_difference(walked: Walked, stored: Sequence[BookSession]) -> int:
    """Which walked session is the first that is not stored as it came out now."""
    for at, (closing, entry) in enumerate(zip(walked.closings, stored, strict=False)):
        if closing.book_hash != entry.book_hash:
            return at
    return min(len(walked.closings), len(stored))


def plain_rows(rows: pd.DataFrame) -> list[Row]:
    """`orders` rows as the walk writes them, without strategy and lane."""
    own = rows.drop(columns=["strategy", "lane"]).assign(session=rows["session"].dt.date)
    return [
        {str(name): None if pd.isna(value) else value for name, value in row.items()}
        for row in own.to_dict("records")
    ]


def order_ticket(strategy: str, row: Row) -> OrderTicket:
    """What an `orders` row of *strategy* asks the broker for."""
    is_leg = row["leg"] in {Leg.STOP.value, Leg.TARGET.value}
    entry = row["order_id"].removesuffix(row["leg"]) + Leg.ENTRY.value
    return OrderTicket(
        strategy=strategy,
        session=row["session"],
        symbol=row["symbol"],
        leg=Leg(row["leg"]),
        side=Side(row["side"]),
        shares=int(row["shares"]),
        order_type=OrderType(row["order_type"]),
        limit_price=row["limit_price"],
        stop_price=row["stop_price"],
        parent_id=entry if is_leg else "",
    )
