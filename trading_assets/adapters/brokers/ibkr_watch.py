"""Orders at Interactive Brokers while the market is open: fills, doubts, missing legs."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from itertools import groupby
from typing import override

from trading_assets.adapters.brokers.ibkr import plain_rows
from trading_assets.adapters.brokers.ibkr_approvals import approved_orders
from trading_assets.adapters.brokers.watch import (
    Look,
    OrderWatch,
    SeenFill,
    UnguardedLeg,
)
from trading_assets.adapters.ibkr.gateway import GatewaySettings
from trading_assets.adapters.ibkr.orders import Patience
from trading_assets.adapters.ibkr.session import (
    Books,
    Splits,
    TradingSession,
    trading_session,
)
from trading_assets.core.agreement import Split, expected_shares
from trading_assets.core.guarding import (
    Closing,
    MissingLeg,
    is_day_over,
    legs_missing,
    opening_entries,
)
from trading_assets.core.order_states import OrderStanding, OrderState
from trading_assets.core.recorded import LATE_PRINTS, open_session, too_late
from trading_assets.core.tickets import LEGS, order_ticket
from trading_assets.errors import (
    GatewayUnreachable,
    InvalidInput,
    NoAnswer,
    OrdersPaused,
    OrderUnresolved,
    RequestRefused,
    StoreBusy,
    WrongAccount,
)
from trading_assets.models.base import Lane
from trading_assets.models.intent import Intent, OrderTicket
from trading_assets.models.order import OrderStatus
from trading_assets.models.tables import ORDERS
from trading_assets.sessions import TradingCalendar
from trading_assets.strategies.spec import Guard, StrategySpec

GUARD = "guard"
"""Who has a leg sent again."""

NOT_NOW = (
    GatewayUnreachable,
    NoAnswer,
    OrdersPaused,
    RequestRefused,
    StoreBusy,
    WrongAccount,
)
"""Why nobody could be asked; the next look may have more luck."""


@dataclass(frozen=True, slots=True)
class WatchBorder:
    """How the watch reaches the broker, and what keeps it from sending.

    Attributes:
        settings: Of the gateway at which a strategy is traded; raises if it is not
            certain which.
        is_readonly: Nothing is ever sent, and nobody is asked.
        halted: Why new orders of a strategy are halted; empty if they are not.
        splits: Of whatever may be held; asked when positions are compared.
        patience: How long the desk waits.
    """

    settings: Callable[[StrategySpec], GatewaySettings]
    is_readonly: bool
    halted: Callable[[str], str]
    splits: Splits
    patience: Patience | None = None


class IbkrWatch(OrderWatch):
    """Looks after orders at Interactive Brokers; see `OrderWatch` for its promises."""

    def __init__(
        self,
        books: Books,
        border: WatchBorder,
        calendar: TradingCalendar,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._books, self._border = books, border
        self._calendar, self._now = calendar, now

    @override
    def look(self, specs: Sequence[StrategySpec], since: datetime) -> Look:
        if self._border.is_readonly:
            return Look(said="IBKR_READONLY is not no: nothing is traded", has_asked=False)
        try:
            gateways = {spec.name: self._border.settings(spec) for spec in specs}
        except (InvalidInput, WrongAccount) as error:
            return Look(said=str(error), has_asked=False)
        by_account = sorted(specs, key=lambda it: (gateways[it.name].account, it.name))
        looks = [
            self._of_account(gateways[own[0].name], own, since)
            for _, group in groupby(by_account, lambda it: gateways[it.name].account)
            if (own := list(group))
        ]
        return Look(
            said="; ".join(it.said for it in looks),
            has_asked=all(it.has_asked for it in looks),
            fills=tuple(fill for it in looks for fill in it.fills),
            doubtful=tuple(text for it in looks for text in it.doubtful),
            disagreeing=tuple(text for it in looks for text in it.disagreeing),
            legs=tuple(leg for it in looks for leg in it.legs),
        )

    def _of_account(
        self, settings: GatewaySettings, specs: Sequence[StrategySpec], since: datetime
    ) -> Look:
        account = settings.account
        unsettled = self._books.intents.unsettled(account)
        look = Look(said="the market is closed and no order is in doubt", has_asked=False)
        if not unsettled and not self._books.expected(account, []):
            look = Look(said="nothing is held and no order works", has_asked=True)
        elif self._is_time(unsettled):
            look = self._asked(settings, specs)
        fills = self._fills(account, since)  # what has just been told is among them
        return replace(look, said=f"{account}: {look.said}", fills=fills)

    def _is_time(self, unsettled: Iterable[OrderStanding]) -> bool:
        at = self._now()
        in_doubt = (self._is_in_doubt(it, at) for it in unsettled)
        return is_open(self._calendar, at) or any(in_doubt)

    def _is_in_doubt(self, standing: OrderStanding, at: datetime) -> bool:
        """Whether something has to be found out of an order while the market is closed."""
        if standing.is_ambiguous:
            return True
        is_missing = standing.state is OrderState.MISSING
        return not is_missing and is_day_over(standing, at, self._calendar)

    def _asked(self, settings: GatewaySettings, specs: Sequence[StrategySpec]) -> Look:
        border = self._border
        try:
            with trading_session(
                settings,
                self._books,
                wait_seconds=0.0,
                patience=border.patience,
                now=self._now,
                splits=border.splits,
                may_send=self._why_not_again,
            ) as session:
                return _Round(self._books, border, session).look(specs)
        except NOT_NOW as error:
            return Look(said=str(error), has_asked=False)

    def _why_not_again(self, intent: Intent) -> str:
        """Why an order that is nowhere may not be sent again; empty if it may."""
        ticket = intent.ticket
        if late := too_late(ticket.session, self._now(), self._calendar):
            return late
        halt = self._border.halted(ticket.strategy)
        return f"halt: {halt}" if halt else ""

    def _fills(self, account: str, since: datetime) -> tuple[SeenFill, ...]:
        intents = self._books.intents.of_account(account)
        return tuple(
            SeenFill(intent.ticket.strategy, intent.order_id, execution)
            for execution in self._books.intents.executions(account)
            if execution.at >= since
            and execution.shares > 0
            and (intent := intents.get(execution.order_ref)) is not None
        )


def is_open(calendar: TradingCalendar, at: datetime) -> bool:
    """Whether the exchange trades at the instant *at*, or tells what it has just traded."""
    session = open_session(at, calendar)
    return at < calendar.close_at(session) + LATE_PRINTS


class _Round:
    """One look over one connection that has just reconciled."""

    def __init__(self, books: Books, border: WatchBorder, session: TradingSession) -> None:
        self._books, self._border, self._session = books, border, session
        self._account = session.account

    def look(self, specs: Iterable[StrategySpec]) -> Look:
        """What is to be seen, once the missing legs that may be sent have been."""
        splits = self._border.splits()
        held = self._session.positions()
        disagreeing = self._books.differences(self._account, held, splits)
        unexplained = {each.symbol for each in disagreeing}
        legs = tuple(
            UnguardedLeg(leg, self._seen_to(spec, leg, unexplained))
            for spec in specs
            for leg in self._missing(spec.name, splits)
        )
        unsettled = self._books.intents.unsettled(self._account)
        doubtful = tuple(_told(it) for it in unsettled if _is_doubtful(it))
        counted = {
            "orders work": len(unsettled) - len(doubtful),
            "in doubt": len(doubtful),
            "positions disagree": len(disagreeing),
            "legs are missing": len(legs),
        }
        return Look(
            said=", ".join(f"{count} {what}" for what, count in counted.items()),
            has_asked=True,
            doubtful=doubtful,
            disagreeing=tuple(str(each) for each in disagreeing),
            legs=legs,
        )

    def _missing(self, strategy: str, splits: Sequence[Split]) -> list[MissingLeg]:
        intents = self._books.intents
        own = {
            ref: it
            for ref, it in intents.of_strategy(strategy).items()
            if it.account == self._account
        }
        executions = intents.executions(self._account)
        adopted = self._books.accounts.adopted_by(strategy)
        held = expected_shares(own, executions, adopted, splits)
        if not held:
            return []
        standings = intents.standings(
            it.order_id for it in own.values() if it.ticket.symbol in held
        )
        entries = opening_entries(held, standings.values())
        days = {it.intent.ticket.session for it in entries.values()}
        decided = self._decided(strategy, sorted(days))
        return legs_missing(
            held,
            decided,
            standings,
            refused=self._refused(decided),
            others=self._others(strategy),
        )

    def _decided(self, strategy: str, sessions: Sequence[date]) -> list[OrderTicket]:
        rows = self._books.ledger.rows(strategy, Lane.IBKR, ORDERS, sessions)
        approved = approved_orders(self._books, strategy)
        return [
            order_ticket(strategy, row)
            for row in plain_rows(rows)
            if row["leg"] in LEGS
            and (row["status"] == OrderStatus.SUBMITTED or row["order_id"] in approved)
        ]

    def _refused(self, decided: Iterable[OrderTicket]) -> Mapping[str, str]:
        told = self._books.intents.refusals(it.order_id for it in decided)
        return {order_id: why for order_id, (why, _) in told.items()}

    def _others(self, strategy: str) -> set[Closing]:
        """What works in the account, or may, and is not of *strategy*."""
        unsettled = self._books.intents.unsettled(self._account)
        tickets = [it.intent.ticket for it in unsettled]
        ours = {(it.symbol, it.side) for it in tickets if it.strategy != strategy}
        strangers = self._session.desk.strangers
        return ours | {(it.symbol, it.side) for it in strangers}

    def _seen_to(self, spec: StrategySpec, leg: MissingLeg, unexplained: set[str]) -> str:
        """Send *leg* if its strategy wants that and nothing speaks against it; in words."""
        if why := self._why_not(spec, leg, unexplained):
            return why
        try:
            standing = self._sent(leg)
        except (InvalidInput, OrderUnresolved, RequestRefused) as refusal:
            return f"It was not sent again: {refusal}."
        return f"It was sent again and is {standing.state}."

    def _why_not(self, spec: StrategySpec, leg: MissingLeg, unexplained: set[str]) -> str:
        if spec.execution.guard is not Guard.EXIT:
            return "Nothing was sent: execution.guard is alarm."
        if not leg.may_be_sent:
            return "Nothing was sent: it can't be sent as the same order."
        if leg.ticket.symbol in unexplained:
            return "Nothing was sent: the position is not explained."
        if halt := self._border.halted(spec.name):
            return f"Nothing was sent: halt: {halt}."
        return ""

    def _sent(self, leg: MissingLeg) -> OrderStanding:
        desk, order_id = self._session.desk, leg.ticket.order_id
        if self._books.intents.known([order_id]):
            return desk.send_again(order_id, who=GUARD)
        return desk.submit([leg.ticket])[0]


def _is_doubtful(standing: OrderStanding) -> bool:
    is_missing = standing.state is OrderState.MISSING
    return is_missing or standing.is_ambiguous or standing.is_short_of_executions


def _told(standing: OrderStanding) -> str:
    words = f": {standing.text}" if standing.text else ""
    return f"{standing.order_id} is {standing.state}{words}"
