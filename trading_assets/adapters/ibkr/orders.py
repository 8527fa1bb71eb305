"""Bringing an order to Interactive Brokers exactly once.

An order is committed to the ledger, with its reference and its reserved order id, before
the first byte of it is sent. It is sent once. The broker's permanent id acknowledges it;
silence or a lost connection leaves it *unknown*, which is neither there nor rejected.
Nothing new is sent before every unknown order was looked for: among the executions, the
open and the completed orders. One that is found is adopted. One that is nowhere, on a
session that answers and on the day it was committed, is sent again under the same id and
reference, so that a gateway which has it after all takes it for a change to the same
order, and never has two. All the rest waits for a person.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from threading import Lock
from typing import Self

from trading_assets.adapters.ibkr.contracts import qualify
from trading_assets.adapters.ibkr.gateway import Gateway
from trading_assets.adapters.ibkr.library import (
    IB,
    Order,
    OrderState,
)
from trading_assets.adapters.ibkr.order_reconciling import (
    MaySend,
    OpenStranger,
    Reconciler,
    Reconciliation,
)
from trading_assets.adapters.ibkr.order_recorder import (
    Clock,
    OrderRecorder,
    is_final_notice,
)
from trading_assets.adapters.ibkr.order_sending import DESK, OrderSender, family
from trading_assets.adapters.ibkr.order_wire import (
    UNSET_ABOVE,
    MarginPreview,
    are_same,
    contract_of,
    order_of,
    preview_of,
    ticked,
)
from trading_assets.adapters.ledger.intents import IntentBook, payload_hash
from trading_assets.core.order_states import ALIVE, OrderStanding
from trading_assets.core.order_states import OrderState as OurState
from trading_assets.errors import (
    InvalidInput,
    NoAnswer,
    OrderConflict,
    OrdersPaused,
    OrderUnresolved,
    ReadOnlyGateway,
)
from trading_assets.models.intent import (
    FactKind,
    Intent,
    OrderTicket,
    Terms,
    Wire,
)
from trading_assets.models.order import Leg, OrderType
from trading_assets.models.symbol import Listing

LEG_ORDER: Mapping[Leg, int] = {Leg.ENTRY: 0, Leg.EXIT: 0, Leg.TARGET: 1, Leg.STOP: 2}
"""In a bracket the stop goes last and sets all of it off: no entry without its stop."""


PROTECTIVE = frozenset({Leg.STOP, Leg.TARGET})
"""Legs that close what an entry has opened."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long the desk waits, in seconds.

    Attributes:
        acknowledge: For the broker's word on something sent; then it is unknown.
        settle: Between the two looks that have to miss an order before it is nowhere: what
            an earlier connection sent may still be under way inside the gateway.
    """

    acknowledge: float = 10.0
    settle: float = 5.0


class OrderDesk:
    """Orders of one account, over one connection.

    It may be asked from any thread and does one thing at a time. When the connection is
    lost, open another gateway and another desk: the first thing it does is to reconcile.
    """

    def __init__(
        self,
        gateway: Gateway,
        intents: IntentBook,
        patience: Patience | None = None,
        now: Clock = lambda: datetime.now(UTC),
        may_send: MaySend = lambda _: "",
    ) -> None:
        """Listen to *gateway* from now on; nothing is asked yet. `close` ends it.

        Args:
            gateway: Connected; a read-only one lets the desk look on.
            intents: Where everything is written down.
            patience: How long to wait; the defaults suit a gateway nearby.
            now: The clock, in UTC.
            may_send: Why an order in doubt, that is nowhere, may not be sent again; empty
                if it may. Legs of an entry that is there are sent in any case.
        """
        self._gateway, self._intents = gateway, intents
        self._account = gateway.settings.account
        self._client_id = gateway.settings.client_id
        self._patience = Patience() if patience is None else patience
        self._now = now
        self._turn = Lock()
        self._reconciled_after: int | None = None
        self._recorder = OrderRecorder(intents, self._account, self._client_id, now)
        self._sender = OrderSender(
            gateway, intents, self._recorder, self._patience.acknowledge, now
        )
        self._reconciler = Reconciler(self._sender, self._patience.settle, may_send)
        gateway.listen(self._recorder)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Write down what was heard so far, and hear nothing more."""
        self._recorder.close()

    def submit(self, tickets: Sequence[OrderTicket]) -> list[OrderStanding]:
        """Bring *tickets* to the broker, each at most once however often it is asked for.

        A leg whose entry is among them goes with it as a bracket. One whose entry is
        working is attached to it; one whose entry has filled stands for itself, and legs
        of the same entry cancel each other.

        Returns:
            Where each order stands, in the order asked: acknowledged, rejected or, when
            nothing was heard in time, unknown.

        Raises:
            ReadOnlyGateway: If the connection may not send orders.
            OrderConflict: If an order id was committed with another content.
            OrdersPaused: If the gateway has lost its server.
            OrderUnresolved: If an earlier order is in doubt, or one of the same symbol is
                missing or lacks executions.
            RequestRefused: If a symbol is unknown, ambiguous or not to be traded.
            InvalidInput: If a price is below a tick, or a leg has no entry to protect.
            GatewayUnreachable: If the connection is gone.
            NoAnswer: If the gateway does not answer what has to be known before.

        All of these come before anything of *tickets* is committed, let alone sent. What
        the ledger itself raises may come later; asking again is always safe.
        """
        with self._one_at_a_time("submit"):
            wanted = _distinct(tickets)
            fresh = self._not_committed(wanted)
            if not self._is_reconciled or self._has_doubts():
                self._reconcile()
            if fresh:
                self._refuse_beside_unresolved({ticket.symbol for ticket in fresh})
                self._sender.require_not_paused("submit")
                if not self._sender.send_all(self._committed(fresh)):
                    self._reconciled_after = None
            standings = self._intents.standings(wanted)
            return [standings[ticket.order_id] for ticket in tickets]

    def require_clear(self, symbol: str) -> None:
        """Make sure that a new order of *symbol* would not be refused, and send nothing.

        Raises:
            OrdersPaused: If the gateway has lost its server.
            OrderUnresolved: If an earlier order is in doubt, or one of *symbol* is missing.
            RequestRefused: If the symbol is unknown, ambiguous or not to be traded.
            GatewayUnreachable: If the connection is gone.
            NoAnswer: If the gateway does not answer.
        """
        with self._one_at_a_time("check"):
            self._sender.require_not_paused("check")
            self._refuse_beside_unresolved({symbol})
            qualify(self._gateway, [symbol])

    def reconcile(self) -> Reconciliation:
        """Find out what became of every order that is not done with.

        Raises:
            ReadOnlyGateway: If the connection may not send orders: it may not look either.
            OrdersPaused: If the gateway has lost its server, or did while it was asked.
            GatewayUnreachable: If the connection is gone.
            NoAnswer: If the gateway does not answer: nothing was concluded.
        """
        with self._one_at_a_time("reconcile"):
            return self._reconcile()

    def modify(
        self,
        order_id: str,
        *,
        limit_price: float | None = None,
        stop_price: float | None = None,
        shares: int | None = None,
    ) -> OrderStanding:
        """Change prices or shares of an order that works; what is None stays.

        Returns:
            Where it stands: `terms` are the new ones once the broker has repeated them;
            `pending_terms` are those of a change that nothing was heard of.

        Raises:
            ReadOnlyGateway: If the connection may not send orders.
            InvalidInput: If the order is not ours, has no such price, or does not work.
            OrdersPaused: If the gateway has lost its server.
            OrderUnresolved: If an earlier change of it is in doubt.
            GatewayUnreachable: If the connection is gone.
            NoAnswer: If the gateway does not answer what has to be known before.
        """
        with self._one_at_a_time("modify"):
            standing = self._alive(order_id, "modify")
            if standing.pending_terms is not None:
                raise OrderUnresolved(f"order {order_id}: an earlier change is in doubt")
            terms = _changed(standing, limit_price, stop_price, shares)
            if are_same(terms, standing.terms):
                return standing
            self._change(standing, terms)
            return self._sender.standing(order_id)

    def cancel(self, order_id: str) -> OrderStanding:
        """Ask the broker to cancel an order, and look for fills that came before.

        Returns:
            Where it stands: cancelled, filled all the same, or working with
            `is_cancel_pending` when nothing was heard in time. Done with already, it is
            left as it is.

        Raises:
            ReadOnlyGateway: If the connection may not send orders.
            InvalidInput: If the order is not ours.
            OrdersPaused: If the gateway has lost its server.
            OrderUnresolved: If the order is missing.
            GatewayUnreachable: If the connection is gone.
            NoAnswer: If the gateway does not answer what has to be known before.
        """
        with self._one_at_a_time("cancel"):
            if self._own(order_id).is_final:
                return self._own(order_id)
            self._sender.require_not_paused("cancel")
            standing = self._alive_or_done(order_id, "cancel")
            if not standing.is_final:
                self._cancel(standing)
            return self._sender.standing(order_id)

    def preview(self, ticket: OrderTicket, seconds: float | None = None) -> MarginPreview:
        """What *ticket* would do to the account's margin; nothing is traded or recorded.

        Args:
            ticket: The order.
            seconds: Longest wait; None for the setting of the gateway.

        Raises:
            ReadOnlyGateway: If the connection may not send orders: previews are orders.
            OrdersPaused: If the gateway has lost its server.
            RequestRefused: If the broker would not take it: its code and its words.
            NoAnswer: If there is no preview in time, or one without numbers.
            GatewayUnreachable: If the connection is gone.
        """
        with self._one_at_a_time("preview"):
            self._sender.require_not_paused("preview")
            listing = qualify(self._gateway, [ticket.symbol])[ticket.symbol]
            wire = _wire(ticket, listing)
            order = preview_of(ticket, self._account, wire.terms)
            contract = contract_of(wire, ticket.symbol)
            state = self._gateway.ask(
                lambda ib: ib.whatIfOrderAsync(contract, order),
                f"preview of {ticket.order_id}",
                seconds,
            )
            return _preview(ticket, state)

    def standings(self, order_ids: Iterable[str]) -> dict[str, OrderStanding]:
        """Where orders stand by all that was heard so far; asks the gateway nothing."""
        self._recorder.flush()
        return self._intents.standings(order_ids)

    def settle(self, order_id: str, *, who: str, why: str) -> OrderStanding:
        """Close an order that a person has looked into: it will not trade any more.

        Executions that come up later count all the same.

        Raises:
            InvalidInput: If it is not missing or in doubt: then there is nothing to settle.
        """
        with self._turn:
            standing = self._own(order_id)
            is_open = standing.state is OurState.MISSING or standing.is_ambiguous
            if not (is_open or standing.is_short_of_executions):
                raise InvalidInput(
                    f"order {order_id} is {standing.state}: nothing to settle"
                )
            self._sender.note(
                [order_id],
                FactKind.SETTLED,
                why,
                source=who,
                filled_shares=standing.filled_shares,
            )
            return self._sender.standing(order_id)

    def send_again(self, order_id: str, *, who: str) -> OrderStanding:
        """Send a stop or target once more that is nowhere at the broker.

        It is the same order, with its id, its reference and its terms: a gateway that has
        it after all takes it for a change that changes nothing. Legs of one entry that are
        sent again cancel each other.

        Returns:
            Where it stands; still missing when nothing was heard in time. If it has
            turned up by itself, it is left as it is.

        Raises:
            ReadOnlyGateway: If the connection may not send orders.
            InvalidInput: If it is not ours, no stop or target, not missing, filled in part,
                or was sent again like this before.
            OrdersPaused: If the gateway has lost its server.
            GatewayUnreachable: If the connection is gone.
            NoAnswer: If the gateway does not answer what has to be known before.
        """
        with self._one_at_a_time("send_again"):
            self._require_revivable(order_id)
            self._reconcile()
            standing = self._own(order_id)
            if standing.state is not OurState.MISSING:
                return standing
            self._require_revivable(order_id)
            self._sender.require_not_paused("send_again")
            parent_id, oca_group = self._parent(standing.intent.ticket)
            intent = _once_more(standing, parent_id, oca_group)
            text = "nowhere at the broker: the same id and reference once more"
            self._sender.note([order_id], FactKind.RESENT, text, source=who)
            self._sender.send_all([intent])
            self._await_return(order_id)
            return self._own(order_id)

    @property
    def strangers(self) -> tuple[OpenStranger, ...]:
        """Orders of the account that worked when it was last asked, and were not ours."""
        return self._reconciler.strangers

    # Before anything is sent

    def _require_revivable(self, order_id: str) -> None:
        standing = self._own(order_id)
        ticket, client_id = standing.intent.ticket, standing.intent.client_id
        objections = (
            (ticket.leg not in PROTECTIVE, f"is an {ticket.leg}, no stop and no target"),
            (client_id != self._client_id, f"belongs to client {client_id}"),
            (standing.state is not OurState.MISSING, f"is {standing.state}, not missing"),
            (standing.filled_shares > 0, "has been filled in part"),
            (standing.is_short_of_executions, "lacks executions"),
            (self._was_sent_again(order_id), "was sent again before"),
        )
        for is_so, why in objections:
            if is_so:
                raise InvalidInput(f"send_again: order {order_id} {why}")

    def _await_return(self, order_id: str) -> None:
        """Wait for the broker's word on an order that was missing."""

        def is_heard() -> bool:
            is_missing = self._sender.standing(order_id).state is OurState.MISSING
            return self._recorder.is_lost or not is_missing

        if not self._recorder.wait_until(is_heard, self._patience.acknowledge):
            self._reconciled_after = None

    def _was_sent_again(self, order_id: str) -> bool:
        """Whether somebody but the desk, which reconciles, has had it sent again."""
        facts = self._intents.facts(order_id)
        return any(it.kind is FactKind.RESENT and it.source != DESK for it in facts)

    @contextmanager
    def _one_at_a_time(self, what: str) -> Iterator[None]:
        if self._gateway.settings.readonly:
            raise ReadOnlyGateway(
                f"{what}: the desk of {self._account} is read-only; nothing was sent"
            )
        with self._turn:
            self._recorder.flush()
            yield

    @property
    def _is_reconciled(self) -> bool:
        state = self._gateway.state
        return state.connected and self._reconciled_after == state.resumed

    def _has_doubts(self) -> bool:
        return any(it.is_ambiguous for it in self._intents.unsettled(self._account))

    def _not_committed(self, wanted: Mapping[str, OrderTicket]) -> list[OrderTicket]:
        known = self._intents.known(wanted)
        for order_id, intent in known.items():
            if intent.payload_hash != payload_hash(wanted[order_id], self._account):
                raise OrderConflict(
                    f"order {order_id} was committed for account {intent.account} as "
                    f"{intent.ticket}, and is now wanted for account {self._account} as "
                    f"{wanted[order_id]}"
                )
        return [ticket for order_id, ticket in wanted.items() if order_id not in known]

    def _refuse_beside_unresolved(self, symbols: set[str]) -> None:
        unsettled = self._intents.unsettled(self._account)
        blocking = [
            f"{it.order_id} ({it.state})"
            for it in unsettled
            if it.is_ambiguous
            or (
                it.intent.ticket.symbol in symbols
                and (it.state is OurState.MISSING or it.is_short_of_executions)
            )
        ]
        if blocking:
            raise OrderUnresolved(
                f"nothing new is sent before these are settled: {', '.join(blocking)}"
            )

    # Committing and sending

    def _committed(self, tickets: Sequence[OrderTicket]) -> list[Intent]:
        """Intents for *tickets*, brackets together, committed to the ledger."""
        listings = qualify(self._gateway, sorted({ticket.symbol for ticket in tickets}))
        in_order = _bracketed(tickets)
        own_parents = {ticket.order_id for ticket in in_order}
        wires = [_wire(ticket, listings[ticket.symbol]) for ticket in in_order]
        parents = {
            ticket.order_id: self._parent(ticket)
            for ticket in in_order
            if ticket.parent_id and ticket.parent_id not in own_parents
        }
        highest = self._intents.highest_broker_order_id(self._account, self._client_id)
        ids = self._gateway.order_ids(len(in_order), above=highest)
        id_of = dict(zip((ticket.order_id for ticket in in_order), ids, strict=True))
        recorded_at = self._now()
        intents: list[Intent] = []
        for at, (ticket, wire) in enumerate(zip(in_order, wires, strict=True)):
            name = family(ticket)
            is_last = at + 1 == len(in_order) or family(in_order[at + 1]) != name
            parent_id, oca_group = parents.get(
                ticket.order_id, (id_of.get(ticket.parent_id, 0), "")
            )
            intents.append(
                Intent(
                    ticket=ticket,
                    wire=replace(
                        wire,
                        parent_broker_order_id=parent_id,
                        transmit=is_last or name not in own_parents,
                        oca_group=oca_group,
                    ),
                    account=self._account,
                    client_id=self._client_id,
                    broker_order_id=id_of[ticket.order_id],
                    order_ref=ticket.order_id,
                    payload_hash=payload_hash(ticket, self._account),
                    recorded_at=recorded_at,
                )
            )
        self._intents.commit(intents)
        return intents

    def _parent(self, leg: OrderTicket) -> tuple[int, str]:
        """Order id of the entry that *leg* hangs on, or the group that it stands in."""
        entry = self._intents.standings([leg.parent_id]).get(leg.parent_id)
        if entry is not None and entry.filled_shares > 0:
            return 0, leg.parent_id
        is_ours = entry is not None and entry.intent.client_id == self._client_id
        if entry is not None and is_ours and entry.state in ALIVE:
            return entry.intent.broker_order_id, ""
        state = "was never committed" if entry is None else f"is {entry.state}"
        raise InvalidInput(
            f"order {leg.order_id}: its entry {leg.parent_id!r} {state}, so there is "
            "nothing to protect"
        )

    def _reconcile(self) -> Reconciliation:
        found = self._reconciler.reconcile()
        self._reconciled_after = self._gateway.state.resumed
        return found

    # Changing what works

    def _own(self, order_id: str) -> OrderStanding:
        known = self._intents.standings([order_id]).get(order_id)
        if known is None or known.intent.account != self._account:
            raise InvalidInput(f"order {order_id} was never committed for {self._account}")
        return known

    def _alive_or_done(self, order_id: str, what: str) -> OrderStanding:
        if self._own(order_id).is_ambiguous or not self._is_reconciled:
            self._reconcile()
        standing = self._own(order_id)
        if standing.intent.client_id != self._client_id:
            raise InvalidInput(
                f"{what}: order {order_id} belongs to client {standing.intent.client_id}"
            )
        if standing.is_ambiguous or standing.state is OurState.MISSING:
            raise OrderUnresolved(f"{what}: order {order_id} is {standing.state}")
        return standing

    def _alive(self, order_id: str, what: str) -> OrderStanding:
        self._sender.require_not_paused(what)
        standing = self._alive_or_done(order_id, what)
        if standing.state not in ALIVE:
            raise InvalidInput(f"{what}: order {order_id} is {standing.state}")
        return standing

    def _change(self, standing: OrderStanding, terms: Terms) -> None:
        intent, order_id = standing.intent, standing.order_id
        contract = contract_of(intent.wire, intent.ticket.symbol)
        order = order_of(
            intent, terms, parent_id=self._living_parent(intent), transmit=True
        )

        def is_heard() -> bool:
            standing = self._sender.standing(order_id)
            return self._recorder.is_lost or standing.pending_terms is None

        self._sender.note([order_id], FactKind.MODIFY_SENT, "", terms=terms)
        self._recorder.modifying[order_id] = terms
        try:
            self._gateway.tell(lambda ib: _place_if_alive(ib, contract, order))
            self._recorder.wait_until(is_heard, self._patience.acknowledge)
        except _IsDone:
            self._sender.note([order_id], FactKind.MODIFY_REFUSED, "the order had ended")
        except OrdersPaused as error:
            self._sender.note([order_id], FactKind.MODIFY_REFUSED, f"not sent: {error}")
            raise
        finally:
            self._recorder.modifying.pop(order_id, None)
            if self._sender.standing(order_id).pending_terms is not None:
                self._reconciled_after = None

    def _living_parent(self, intent: Intent) -> int:
        """An entry that has filled is no parent any more: to name it is an error."""
        parent_id = intent.wire.parent_broker_order_id
        parent = (
            self._intents.by_broker_order_id(self._account, self._client_id, parent_id)
            if parent_id
            else None
        )
        if (
            parent is None
            or self._sender.standing(parent.order_id).state is not OurState.WORKING
        ):
            return 0
        return parent_id

    def _cancel(self, standing: OrderStanding) -> None:
        intent, order_id = standing.intent, standing.order_id
        order = Order(orderId=intent.broker_order_id, clientId=intent.client_id)
        self._sender.note([order_id], FactKind.CANCEL_SENT, "")
        noticed = len(self._intents.facts(order_id))
        self._gateway.tell(lambda ib: ib.cancelOrder(order))

        def is_heard() -> bool:
            news = self._intents.facts(order_id)[noticed:]
            return (
                self._recorder.is_lost
                or self._sender.standing(order_id).state not in ALIVE
                or any(is_final_notice(fact) for fact in news)
            )

        self._recorder.wait_until(is_heard, self._patience.acknowledge)
        # It may have been filled before the cancel arrived, or be gone for another reason.
        if not self._recorder.is_lost:
            self._reconcile()


def _once_more(standing: OrderStanding, parent_id: int, oca_group: str) -> Intent:
    """The order of *standing* as it is sent by itself, on the terms last confirmed."""
    wire = replace(
        standing.intent.wire,
        terms=standing.terms,
        parent_broker_order_id=parent_id,
        transmit=True,
        oca_group=oca_group,
    )
    return replace(standing.intent, wire=wire)


class _IsDone(Exception):
    """The library knows that the order has ended."""


def _place_if_alive(ib: IB, contract: object, order: Order) -> None:
    """Send a change; the library would send it first and then stop at an ended order."""
    trade = ib.wrapper.trades.get((order.clientId, order.orderId))
    if trade is not None and trade.isDone():
        raise _IsDone
    ib.placeOrder(contract, order)  # pyright: ignore[reportArgumentType] - a Contract


def _distinct(tickets: Sequence[OrderTicket]) -> dict[str, OrderTicket]:
    wanted: dict[str, OrderTicket] = {}
    for ticket in tickets:
        if wanted.setdefault(ticket.order_id, ticket) != ticket:
            raise OrderConflict(
                f"order {ticket.order_id} is wanted as {wanted[ticket.order_id]} and as "
                f"{ticket}"
            )
    return wanted


def _bracketed(tickets: Sequence[OrderTicket]) -> list[OrderTicket]:
    """*tickets* with every leg right behind its entry, the stop last."""
    rank = {family(ticket): at for at, ticket in reversed(list(enumerate(tickets)))}
    return sorted(tickets, key=lambda it: (rank[family(it)], LEG_ORDER[it.leg]))


def _wire(ticket: OrderTicket, listing: Listing) -> Wire:
    limit_price, stop_price = ticked(
        ticket, ticket.limit_price, ticket.stop_price, listing.min_tick
    )
    return Wire(
        con_id=listing.con_id,
        exchange=listing.exchange,
        primary_exchange=listing.primary_exchange,
        currency=listing.currency,
        min_tick=listing.min_tick,
        terms=Terms(shares=ticket.shares, limit_price=limit_price, stop_price=stop_price),
    )


def _changed(
    standing: OrderStanding,
    limit_price: float | None,
    stop_price: float | None,
    shares: int | None,
) -> Terms:
    ticket, terms = standing.intent.ticket, standing.terms
    has_limit = ticket.order_type in {OrderType.LIMIT, OrderType.STOP_LIMIT}
    has_stop = ticket.order_type in {OrderType.STOP, OrderType.STOP_LIMIT}
    if (limit_price is not None and not has_limit) or (
        stop_price is not None and not has_stop
    ):
        raise InvalidInput(
            f"order {ticket.order_id}: a {ticket.order_type} order has no such price"
        )
    if shares is not None and shares <= standing.filled_shares:
        raise InvalidInput(
            f"order {ticket.order_id}: shares must be above the "
            f"{standing.filled_shares:g} that are filled, was {shares}"
        )
    limit, stop = ticked(ticket, limit_price, stop_price, standing.intent.wire.min_tick)
    return Terms(
        shares=terms.shares if shares is None else shares,
        limit_price=terms.limit_price if limit is None else limit,
        stop_price=terms.stop_price if stop is None else stop,
    )


def _preview(ticket: OrderTicket, state: OrderState) -> MarginPreview:
    words = (
        state.initMarginAfter,
        state.initMarginChange,
        state.maintMarginAfter,
        state.maintMarginChange,
        state.equityWithLoanAfter,
    )
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        numbers = []
    if len(numbers) < len(words) or any(abs(number) > UNSET_ABOVE for number in numbers):
        raise NoAnswer(f"preview of {ticket.order_id}: the answer has no numbers: {words}")
    return MarginPreview(*numbers, warning=state.warningText)
