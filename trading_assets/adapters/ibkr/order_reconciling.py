"""Finding out what became of every order that is not done with.

Nothing is called nowhere before it was missed twice among executions, open and completed
orders, on a session that answers. What is nowhere and was never heard of, of today, is sent
again under the same id and reference; the rest is left to a person.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from zoneinfo import ZoneInfo

from trading_assets.adapters.ibkr.contracts import our_symbol
from trading_assets.adapters.ibkr.library import ExecutionFilter, Order, Trade
from trading_assets.adapters.ibkr.order_recorder import ALREADY_KNOWN, is_final_notice
from trading_assets.adapters.ibkr.order_sending import OrderSender, family
from trading_assets.adapters.ibkr.order_wire import (
    UNSET_ABOVE,
    are_same,
    status_fact,
    terms_of,
)
from trading_assets.core.order_states import OrderStanding, OrderState
from trading_assets.errors import GatewayUnreachable, OrdersPaused
from trading_assets.models.base import Side
from trading_assets.models.intent import FactKind, Intent, Terms

EXECUTIONS_ZONE = ZoneInfo("America/New_York")
"""Whose midnight ends the day for which a gateway still tells executions."""

STOCK = "STK"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciliation:
    """What became of the orders that were not done with, by order id.

    Attributes:
        adopted: In doubt before, and found.
        resent: Nowhere, and sent again under the same id and reference.
        rejected: Nowhere, and the gateway had said why, or they may not be sent now.
        missing: Nowhere, and not to be sent again: a person has to look.
        unknown: Still in doubt, after having been sent again.
    """

    adopted: tuple[str, ...] = ()
    resent: tuple[str, ...] = ()
    rejected: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OpenStranger:
    """An order of the account that works and is none of ours: a person's, perhaps."""

    symbol: str
    side: Side
    shares: float


@dataclass(frozen=True, slots=True)
class _Seen:
    """What the broker has of our orders, by order id, and of others."""

    open: Mapping[str, Terms]
    completed: frozenset[str]
    strangers: tuple[OpenStranger, ...]


type MaySend = Callable[[Intent], str]
"""Why an order may not be sent now; empty if it may."""


class Reconciler:
    """Holds what we know of orders against what the broker has of them.

    Attributes:
        strangers: What worked in the account and was not ours when it was last asked.
    """

    def __init__(
        self, sender: OrderSender, settle_seconds: float, may_send: MaySend
    ) -> None:
        """Ask nothing yet.

        Args:
            sender: Of the connection that is asked.
            settle_seconds: Between the two looks that have to miss an order.
            may_send: Why an order that is nowhere may not be sent again; empty if it may.
        """
        self._may_send = may_send
        self._sender, self._settle_seconds = sender, settle_seconds
        self._gateway, self._intents = sender.gateway, sender.intents
        self._recorder = sender.recorder
        self.strangers: tuple[OpenStranger, ...] = ()

    def reconcile(self) -> Reconciliation:
        """Look twice before calling anything nowhere, and send only then."""
        before = {it.order_id: it for it in self._intents.unsettled(self._sender.account)}
        seen = self._look()
        unsettled = self._intents.unsettled(self._sender.account)
        if self._nowhere(unsettled, seen):
            self._recorder.wait_until(lambda: self._recorder.is_lost, self._settle_seconds)
            seen = self._look()
            unsettled = self._intents.unsettled(self._sender.account)
        self.strangers = seen.strangers
        self._conclude_changes(unsettled, seen)
        nowhere = self._nowhere(unsettled, seen)
        rejected = [it for it in nowhere if self._was_refused(it)]
        for standing in rejected:
            reason = self._refusal(standing)
            self._sender.note([standing.order_id], FactKind.REJECTED, reason)
        held_up = [it for it in nowhere if it not in rejected and self._is_held_up(it)]
        for standing in held_up:
            reason = "the order that would have set its bracket off was refused"
            self._sender.note([standing.order_id], FactKind.REJECTED, reason)
        self._sender.take_back([it.intent for it in held_up])
        rejected += held_up
        rest = [it for it in nowhere if it not in rejected]
        again = self._may_be_resent(rest, unsettled)
        held_back = self._held_back([it for it in rest if it.order_id in again])
        for standing, why in held_back:
            reason = f"never arrived, and not sent again: {why}"
            self._sender.note([standing.order_id], FactKind.REJECTED, reason)
            again.remove(standing.order_id)
            rest.remove(standing)
            rejected.append(standing)
        lost = [it for it in rest if it.order_id not in again]
        for standing in lost:
            self._sender.note(
                [standing.order_id], FactKind.MISSING, self._why_missing(standing)
            )
        self._resend([it.intent for it in rest if it.order_id in again])
        return self._told(before, rejected=rejected, resent=again, missing=lost)

    def _told(
        self,
        before: Mapping[str, OrderStanding],
        *,
        rejected: Sequence[OrderStanding],
        resent: Sequence[str],
        missing: Sequence[OrderStanding],
    ) -> Reconciliation:
        gone = {*resent, *(it.order_id for it in (*rejected, *missing))}
        now = self._intents.standings(before)
        return Reconciliation(
            adopted=tuple(
                order_id
                for order_id, standing in before.items()
                if standing.is_ambiguous and order_id not in gone
            ),
            resent=tuple(resent),
            rejected=tuple(it.order_id for it in rejected),
            missing=tuple(it.order_id for it in missing),
            unknown=tuple(order_id for order_id, it in now.items() if it.is_ambiguous),
        )

    def _look(self) -> _Seen:
        """Ask for executions, open and completed orders, and have them written down.

        Executions and open orders are recorded as they are told; from what comes back
        only presence is read, because the live stream may know better by now.
        """
        self._sender.require_not_paused("reconcile")
        resumed = self._gateway.state.resumed
        mine = ExecutionFilter(acctCode=self._sender.account)
        ask = self._gateway.ask
        ask(lambda ib: ib.reqExecutionsAsync(mine), "executions")
        trades = ask(lambda ib: ib.reqOpenOrdersAsync(), "own open orders")
        trades = trades + ask(lambda ib: ib.reqAllOpenOrdersAsync(), "all open orders")
        completed = ask(
            lambda ib: ib.reqCompletedOrdersAsync(apiOnly=False), "completed orders"
        )
        self._recorder.flush()
        state = self._gateway.state
        if not state.connected:
            raise GatewayUnreachable("reconcile: the connection was lost meanwhile")
        if state.paused_since is not None or state.resumed != resumed:
            raise OrdersPaused("reconcile: the gateway lost its server meanwhile")
        opened = self._open(trades)
        return _Seen(
            open=opened,
            completed=self._note_completed(completed, opened),
            strangers=self._strangers(trades),
        )

    def _open(self, trades: Sequence[Trade]) -> dict[str, Terms]:
        found: dict[str, Terms] = {}
        for trade in trades:
            intent = self._intent_of(trade.order)
            if intent is not None and not trade.isDone():
                found[intent.order_id] = terms_of(trade.order, intent.ticket.order_type)
        return found

    def _strangers(self, trades: Sequence[Trade]) -> tuple[OpenStranger, ...]:
        account = self._sender.account
        found = {
            (trade.order.permId, trade.order.orderId): OpenStranger(
                our_symbol(trade.contract.symbol),
                Side.BUY if trade.order.action == Side.BUY else Side.SELL,
                trade.order.totalQuantity,
            )
            for trade in trades
            if not trade.isDone()
            and trade.contract.secType == STOCK
            and trade.order.account in {"", account}
            and self._intent_of(trade.order) is None
        }
        return tuple(found.values())

    def _note_completed(
        self, trades: Sequence[Trade], opened: Mapping[str, Terms]
    ) -> frozenset[str]:
        """Write down how orders have ended that we did not see end."""
        found: set[str] = set()
        for trade in trades:
            intent = self._intent_of(trade.order)
            if intent is None or intent.order_id in opened:
                continue
            found.add(intent.order_id)
            if self._sender.standing(intent.order_id).is_final:
                continue
            filled = trade.order.filledQuantity
            fact = status_fact(
                trade.orderStatus.status,
                filled=None if filled > UNSET_ABOVE else filled,
                perm_id=trade.order.permId,
                at=self._sender.now(),
                source="completed",
            )
            if fact is not None:
                self._intents.tell(intent.order_id, fact)
        return frozenset(found)

    def _intent_of(self, order: Order) -> Intent | None:
        if not order.orderRef or order.account not in {"", self._sender.account}:
            return None
        return self._intents.by_ref(self._sender.account, order.orderRef)

    def _nowhere(
        self, standings: Sequence[OrderStanding], seen: _Seen
    ) -> list[OrderStanding]:
        """Those that the broker does not have, and whose executions do not explain it."""
        return [
            it
            for it in standings
            if it.order_id not in seen.open
            and (it.order_id not in seen.completed or it.is_short_of_executions)
            and it.state is not OrderState.MISSING
        ]

    def _conclude_changes(self, standings: Sequence[OrderStanding], seen: _Seen) -> None:
        """A change that was sent is what the open order says now, or was not made."""
        for standing in standings:
            pending, now = standing.pending_terms, seen.open.get(standing.order_id)
            if pending is None or now is None:
                continue
            is_made = are_same(now, pending)
            kind = FactKind.MODIFIED if is_made else FactKind.MODIFY_REFUSED
            terms = now if is_made else None
            self._sender.note([standing.order_id], kind, "as found", terms=terms)
            self._recorder.modifying.pop(standing.order_id, None)

    def _was_refused(self, standing: OrderStanding) -> bool:
        return not standing.is_acknowledged and bool(self._refusal(standing))

    def _is_held_up(self, standing: OrderStanding) -> bool:
        """Whether an order waits at the gateway for one of its bracket that was refused."""
        if standing.is_acknowledged or standing.intent.wire.transmit:
            return False
        own = self._intents.of_account(self._sender.account).values()
        name = family(standing.intent.ticket)
        setting_off = [
            it.order_id for it in own if family(it.ticket) == name and it.wire.transmit
        ]
        states = [it.state for it in self._intents.standings(setting_off).values()]
        return bool(states) and all(it is OrderState.REJECTED for it in states)

    def _refusal(self, standing: OrderStanding) -> str:
        """What the gateway said of an order since it was last sent, if it refused it."""
        text = ""
        for fact in self._intents.facts(standing.order_id):
            if fact.kind is FactKind.RESENT:
                text = ""
            elif is_final_notice(fact):
                text = fact.text
        return text

    def _may_be_resent(
        self, nowhere: Sequence[OrderStanding], unsettled: Sequence[OrderStanding]
    ) -> list[str]:
        """Orders that no one has ever heard of, of today, and ours to send.

        Of a bracket only its end may be missing: what comes after an order that the
        broker has cannot have been sent before it.
        """
        allowed: list[str] = []
        for name, group in groupby(nowhere, key=lambda it: family(it.intent.ticket)):
            members = list(group)
            whole = [it for it in unsettled if family(it.intent.ticket) == name]
            if (
                all(self._is_resendable(it) for it in members)
                and whole[-len(members) :] == members
                and self._hangs_on_what_works(members[0].intent)
            ):
                allowed += [it.order_id for it in members]
        return allowed

    def _held_back(
        self, resendable: Sequence[OrderStanding]
    ) -> list[tuple[OrderStanding, str]]:
        """Orders that may not be sent again, and why; legs share the fate of their entry.

        Legs alone belong to an entry that the broker has: to hold them back would leave
        it without its stop.
        """
        held_back: list[tuple[OrderStanding, str]] = []
        for _, group in groupby(resendable, key=lambda it: family(it.intent.ticket)):
            members = list(group)
            head = members[0].intent
            why = "" if head.ticket.parent_id else self._may_send(head)
            held_back += [(it, why) for it in members if why]
        return held_back

    def _is_resendable(self, standing: OrderStanding) -> bool:
        intent = standing.intent
        return (
            not standing.is_acknowledged
            and standing.is_ambiguous
            and intent.client_id == self._sender.client_id
            and _day(intent.recorded_at) == _day(self._sender.now())
            and not self._was_known(standing)
        )

    def _was_known(self, standing: OrderStanding) -> bool:
        """Whether the gateway said that it knows the id of an order it does not show."""
        return any(
            fact.kind is FactKind.UNKNOWN and fact.code in ALREADY_KNOWN
            for fact in self._intents.facts(standing.order_id)
        )

    def _hangs_on_what_works(self, intent: Intent) -> bool:
        """Whether the order's parent, if it has one, is there and not filled yet."""
        parent_id = intent.wire.parent_broker_order_id
        if parent_id == 0:
            return True
        parent = self._intents.by_broker_order_id(
            self._sender.account, self._sender.client_id, parent_id
        )
        return (
            parent is not None
            and self._sender.standing(parent.order_id).state is OrderState.WORKING
        )

    def _why_missing(self, standing: OrderStanding) -> str:
        if standing.is_short_of_executions:
            return "the broker speaks of fills that it has no executions for"
        if standing.is_acknowledged:
            return "acknowledged, and now neither open nor completed"
        if standing.intent.client_id != self._sender.client_id:
            return f"never heard of; client {standing.intent.client_id} has to send it"
        if _day(standing.intent.recorded_at) != _day(self._sender.now()):
            return "never heard of, and of an earlier day: it may have been filled then"
        if not self._hangs_on_what_works(standing.intent):
            return "never arrived, and its entry does not wait for it: look at the position"
        return "never heard of, and not to be sent again by itself"

    def _resend(self, intents: Sequence[Intent]) -> None:
        if not intents:
            return
        self._sender.require_not_paused("reconcile")
        self._sender.note(
            [intent.order_id for intent in intents],
            FactKind.RESENT,
            "nowhere at the broker: the same id and reference once more",
        )
        self._sender.send_all(intents)


def _day(at: datetime) -> object:
    return at.astimezone(EXECUTIONS_ZONE).date()
