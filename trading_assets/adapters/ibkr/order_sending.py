"""Handing committed orders to the socket, once, and writing down what was done."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import groupby

from trading_assets.adapters.ibkr.gateway import Gateway
from trading_assets.adapters.ibkr.library import IB
from trading_assets.adapters.ibkr.order_recorder import Clock, OrderRecorder
from trading_assets.adapters.ibkr.order_wire import contract_of, order_of
from trading_assets.adapters.ledger.intents import IntentBook
from trading_assets.core.order_states import OrderStanding, OrderState
from trading_assets.errors import OrdersPaused
from trading_assets.models.intent import Fact, FactKind, Intent, OrderTicket, Terms

DESK = "desk"
"""The source of facts that we know from ourselves."""


class OrderSender:
    """Sends what was committed, and notes it in the ledger.

    Attributes:
        gateway: The connection.
        intents: Where everything is written down.
        recorder: Listens to *gateway* and writes there too.
    """

    def __init__(
        self,
        gateway: Gateway,
        intents: IntentBook,
        recorder: OrderRecorder,
        acknowledge_seconds: float,
        now: Clock,
    ) -> None:
        """Send nothing yet.

        Args:
            gateway: The connection.
            intents: Where everything is written down.
            recorder: Listens to *gateway*.
            acknowledge_seconds: Longest wait for the broker's word on something sent.
            now: The clock, in UTC.
        """
        self.gateway, self.intents, self.recorder = gateway, intents, recorder
        self._seconds, self._now = acknowledge_seconds, now

    @property
    def account(self) -> str:
        """Whose orders they are."""
        return self.gateway.settings.account

    @property
    def client_id(self) -> int:
        """Of the connection."""
        return self.gateway.settings.client_id

    def now(self) -> datetime:
        """The time, in UTC."""
        return self._now()

    def send_all(self, intents: Sequence[Intent]) -> bool:
        """Send *intents*, brackets together; whether all of them were heard of in time."""
        for _, members in groupby(intents, key=lambda intent: family(intent.ticket)):
            self._send(list(members))
        return self._await_acknowledgement([intent.order_id for intent in intents])

    def _send(self, intents: Sequence[Intent]) -> None:
        """Hand *intents* to the socket, once."""
        messages = [
            (
                contract_of(intent.wire, intent.ticket.symbol),
                order_of(
                    intent,
                    intent.wire.terms,
                    parent_id=intent.wire.parent_broker_order_id,
                    transmit=intent.wire.transmit,
                ),
            )
            for intent in intents
        ]

        def place(ib: IB) -> None:
            for contract, order in messages:
                ib.placeOrder(contract, order)

        order_ids = [intent.order_id for intent in intents]
        try:
            self.gateway.tell(place)
        except Exception as error:  # noqa: BLE001 - whatever it was, bytes may be out
            self.note(order_ids, FactKind.UNKNOWN, f"not sent for certain: {error}")
        else:
            self.note(order_ids, FactKind.SENT, "")

    def _await_acknowledgement(self, order_ids: Sequence[str]) -> bool:
        def is_heard() -> bool:
            standings = self.intents.standings(order_ids).values()
            return self.recorder.is_lost or not any(
                it.state in {OrderState.INTENDED, OrderState.SENT} for it in standings
            )

        self.recorder.wait_until(is_heard, self._seconds)
        silent = [
            it for it in self.intents.standings(order_ids).values() if it.is_ambiguous
        ]
        self.note(
            [it.order_id for it in silent if it.state is not OrderState.UNKNOWN],
            FactKind.UNKNOWN,
            f"no acknowledgement within {self._seconds:g} s",
        )
        return not silent

    def note(
        self,
        order_ids: Iterable[str],
        kind: FactKind,
        text: str,
        *,
        source: str = DESK,
        terms: Terms | None = None,
        filled_shares: float | None = None,
    ) -> None:
        """Write down one thing about each of *order_ids*, as of now."""
        fact = Fact(
            kind=kind,
            at=self._now(),
            source=source,
            text=text,
            terms=terms,
            filled_shares=filled_shares,
        )
        for order_id in order_ids:
            self.intents.tell(order_id, fact)

    def standing(self, order_id: str) -> OrderStanding:
        """Where a committed order stands by all that was written down."""
        return self.intents.standings([order_id])[order_id]

    def take_back(self, intents: Sequence[Intent]) -> None:
        """Have the gateway forget orders that were never let go; it may know of none.

        Nothing is concluded from it: an order that comes to life all the same is heard.
        """
        ids = [intent.broker_order_id for intent in intents]

        def cancel(ib: IB) -> None:
            for broker_order_id in ids:
                ib.client.cancelOrder(broker_order_id, "")

        if ids:
            self.gateway.tell(cancel)

    def require_not_paused(self, what: str) -> None:
        """Refuse to go on while the gateway has lost its server.

        Raises:
            OrdersPaused: If it has.
        """
        since = self.gateway.state.paused_since
        if since is not None:
            raise OrdersPaused(
                f"{what}: the gateway lost its server at {since:%H:%M:%S} UTC; nothing was "
                "sent"
            )


def family(ticket: OrderTicket) -> str:
    """The entry that a bracket is named after; an order by itself is its own."""
    return ticket.parent_id or ticket.order_id
