"""Everything a gateway says about orders, into the ledger, in the order it was said.

The gateway's thread only translates and puts in a queue; a thread of our own writes, so
that a ledger which has to wait for others never keeps the gateway waiting.
"""

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from queue import Empty, SimpleQueue
from threading import Condition, Event, Thread

from trading_assets.adapters.ibkr.codes import CodeClass, code_class
from trading_assets.adapters.ibkr.guards import Listener
from trading_assets.adapters.ibkr.library import (
    CommissionReport,
    Contract,
    Order,
    OrderState,
)
from trading_assets.adapters.ibkr.library import Execution as TheirExecution
from trading_assets.adapters.ibkr.order_wire import (
    are_same,
    commission_of,
    execution_of,
    status_fact,
    terms_of,
)
from trading_assets.adapters.ledger.intents import IntentBook
from trading_assets.models.intent import (
    Commission,
    Execution,
    Fact,
    FactKind,
    Intent,
    Terms,
)

logger = logging.getLogger(__name__)

REJECTED = 201
REFUSING = frozenset({110, 200, 201, 203, 321, 460, 10268, 10269, 10289, 10293})
"""Codes that say for certain that an order which was never acknowledged was not taken."""

ALREADY_KNOWN = frozenset({103, 104})
"""The broker has, or had, an order with this id: to be looked up, not sent again."""

NO_SUCH_ORDER = 135
"""Of a leg: the broker does not know its entry, or not any more."""

DOUBTFUL = frozenset(
    {CodeClass.INFO, CodeClass.CONNECTIVITY, CodeClass.RETRY, CodeClass.SESSION}
)
"""Classes of codes that say nothing about what became of an order."""

LIVENESS_SECONDS = 1.0
"""How often one who waits for the writing makes sure that somebody writes."""

Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class _Told:
    """A status of an order, by whatever name the message gave it."""

    order_ref: str
    client_id: int
    broker_order_id: int
    fact: Fact | None
    order: Order | None = None


@dataclass(frozen=True, slots=True)
class _Notice:
    code: int
    text: str
    order_id: int
    at: datetime


@dataclass(frozen=True, slots=True)
class _Lost:
    reason: str
    at: datetime


type _Item = _Told | Execution | Commission | _Notice | _Lost | Event


class OrderRecorder(Listener):
    """Listens to one gateway for one account.

    Attributes:
        modifying: Changes that were sent and not confirmed, by order id.
        is_lost: Whether the connection is gone.
    """

    def __init__(
        self, intents: IntentBook, account: str, client_id: int, now: Clock
    ) -> None:
        """Begin to write; `close` ends it.

        Args:
            intents: Where to.
            account: Whose executions and orders are recorded.
            client_id: Whose order ids notices and statuses speak of.
            now: The clock, in UTC.
        """
        self.modifying: dict[str, Terms] = {}
        self.is_lost = False
        self._intents, self._account, self._client_id = intents, account, client_id
        self._now = now
        self._queue: SimpleQueue[_Item | None] = SimpleQueue()
        self._news = Condition()
        self._version = 0
        self._failure: Exception | None = None
        self._is_closed = False
        self._thread = Thread(target=self._write, name="order-recorder", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Write what was heard so far, and end."""
        self._is_closed = True
        self._queue.put(None)
        self._thread.join()

    def flush(self) -> None:
        """Return when all that was heard before is in the ledger.

        Raises:
            Exception: What kept something from being written; then this and every
                later call raises it, because the ledger lacks what was heard.
        """
        written = Event()
        self._queue.put(written)
        while self._thread.is_alive() and not written.wait(LIVENESS_SECONDS):
            pass
        if self._failure is not None:
            raise self._failure

    def wait_until(self, is_done: Callable[[], bool], seconds: float) -> bool:
        """Whether *is_done* came true within *seconds*; asked again after every news."""
        deadline = time.monotonic() + seconds
        while True:
            version = self._version
            if self._failure is not None:
                raise self._failure
            if is_done():
                return True
            with self._news:
                left = deadline - time.monotonic()
                if not self._news.wait_for(self._has_news_since(version), max(left, 0.0)):
                    return False

    def on_open_order(self, contract: Contract, order: Order, state: OrderState) -> None:
        """Note the order, its numbers and its terms."""
        del contract
        if order.account not in {"", self._account}:
            return
        fact = status_fact(
            state.status,
            filled=None,
            perm_id=order.permId,
            at=self._now(),
            source="open_order",
        )
        copied = Order(
            totalQuantity=order.totalQuantity,
            lmtPrice=order.lmtPrice,
            auxPrice=order.auxPrice,
        )
        self._put(_Told(order.orderRef, order.clientId, order.orderId, fact, copied))

    def on_status(
        self,
        order_id: int,
        status: str,
        filled: float,
        remaining: float,
        average_price: float,
        perm_id: int,
        client_id: int,
    ) -> None:
        """Note the status; shares and prices come from executions alone."""
        del remaining, average_price
        fact = status_fact(
            status, filled=filled, perm_id=perm_id, at=self._now(), source="status"
        )
        self._put(_Told("", client_id, order_id, fact))

    def on_execution(self, contract: Contract, execution: TheirExecution) -> None:
        """Note the shares, whoever has traded them."""
        if execution.acctNumber == self._account:
            self._put(execution_of(contract, execution))

    def on_commission(self, report: CommissionReport) -> None:
        """Note what an execution has cost; it does not say in which account."""
        commission = commission_of(report, self._account, self._now())
        if commission is not None:
            self._put(commission)

    def on_notice(self, code: int, text: str, order_id: int) -> None:
        """Note what is said of an order."""
        if order_id > 0:
            self._put(_Notice(code, text, order_id, self._now()))

    def on_lost(self, reason: str) -> None:
        """Whatever was on its way is in doubt now."""
        self._put(_Lost(reason, self._now()))

    def _put(self, item: _Item) -> None:
        """Leave *item* to be written; a gateway may well outlive its desk."""
        if not self._is_closed:
            self._queue.put(item)

    def _has_news_since(self, version: int) -> Callable[[], bool]:
        return lambda: self._version != version or self._failure is not None

    def _write(self) -> None:
        while True:
            items = self._drained()
            heard = [item for item in items if item is not None]
            try:
                if self._failure is None:
                    self._write_all([it for it in heard if not isinstance(it, Event)])
            except Exception as error:
                logger.exception("what the gateway said could not be written down")
                self._failure = error
            with self._news:
                self._version += 1
                self._news.notify_all()
            for item in heard:
                if isinstance(item, Event):
                    item.set()
            if len(heard) < len(items):
                return

    def _drained(self) -> list[_Item | None]:
        items = [self._queue.get()]
        while True:
            try:
                items.append(self._queue.get_nowait())
            except Empty:
                return items

    def _write_all(self, items: Iterable[_Item]) -> None:
        batch = _Batch()
        for item in items:
            match item:
                case Execution():
                    batch.executions.append(item)
                case Commission():
                    batch.commissions.append(item)
                case _Told():
                    self._add_told(batch, item)
                case _Notice():
                    self._write_batch(batch)
                    batch = _Batch()
                    self._write_notice(item)
                case _Lost():
                    self._write_batch(batch)
                    batch = _Batch()
                    self._write_lost(item)
                case Event():
                    pass
        self._write_batch(batch)

    def _write_batch(self, batch: "_Batch") -> None:
        # Executions first: no status may be seen that claims more than is there.
        self._intents.add_executions(batch.executions)
        self._intents.add_commissions(batch.commissions)
        for order_id, facts in batch.facts.items():
            self._intents.tell(order_id, *facts)
        refs = [it.order_ref for it in batch.executions if it.order_ref]
        self._intents.note_fills(self._account, refs)

    def _add_told(self, batch: "_Batch", told: _Told) -> None:
        intent = self._intent_of(told.order_ref, told.client_id, told.broker_order_id)
        if intent is None:
            return
        if told.fact is not None:
            batch.facts[intent.order_id].append(told.fact)
        wanted = self.modifying.get(intent.order_id)
        if told.order is None or wanted is None:
            return
        if are_same(terms_of(told.order, intent.ticket.order_type), wanted):
            batch.facts[intent.order_id].append(
                Fact(
                    kind=FactKind.MODIFIED,
                    at=self._now(),
                    source="open_order",
                    terms=wanted,
                )
            )

    def _intent_of(
        self, order_ref: str, client_id: int, broker_order_id: int
    ) -> Intent | None:
        if order_ref:
            return self._intents.by_ref(self._account, order_ref)
        if broker_order_id <= 0:
            return None
        return self._intents.by_broker_order_id(self._account, client_id, broker_order_id)

    def _write_notice(self, notice: _Notice) -> None:
        intent = self._intent_of("", self._client_id, notice.order_id)
        if intent is None:
            return
        order_id = intent.order_id
        standing = self._intents.standings([order_id])[order_id]
        kinds = notice_kinds(
            notice.code,
            notice.text,
            is_acknowledged=standing.is_acknowledged,
            is_changing=standing.pending_terms is not None,
        )
        self._intents.tell(
            order_id,
            *(
                Fact(
                    kind=kind,
                    at=notice.at,
                    source="notice",
                    code=notice.code,
                    text=f"{notice.code}: {notice.text}",
                )
                for kind in kinds
            ),
        )

    def _write_lost(self, lost: _Lost) -> None:
        for standing in self._intents.unsettled(self._account):
            if standing.is_ambiguous and standing.intent.client_id == self._client_id:
                self._intents.tell(
                    standing.order_id,
                    Fact(
                        kind=FactKind.UNKNOWN,
                        at=lost.at,
                        source="desk",
                        text=f"the connection was lost: {lost.reason}",
                    ),
                )
        self.is_lost = True


class _Batch:
    def __init__(self) -> None:
        self.executions: list[Execution] = []
        self.commissions: list[Commission] = []
        self.facts: defaultdict[str, list[Fact]] = defaultdict(list)


def notice_kinds(
    code: int, text: str, *, is_acknowledged: bool, is_changing: bool
) -> tuple[FactKind, ...]:
    """What a notice about an order means for it.

    A code alone ends no order that the broker has acknowledged, but for 201; and one that
    we do not know ends none at all. It is kept, and the broker is asked.

    Args:
        code: As the gateway gives it.
        text: Its words.
        is_acknowledged: Whether the broker has the order.
        is_changing: Whether a change of it was sent and not confirmed.
    """
    if code_class(code, text) in DOUBTFUL:
        return (FactKind.NOTICE,)
    if is_changing:
        return (FactKind.MODIFY_REFUSED,)
    if code == REJECTED or (code in REFUSING and not is_acknowledged):
        return (FactKind.REJECTED,)
    if code in {*ALREADY_KNOWN, NO_SUCH_ORDER} and not is_acknowledged:
        return (FactKind.NOTICE, FactKind.UNKNOWN)
    return (FactKind.NOTICE,)


def is_final_notice(fact: Fact) -> bool:
    """Whether a notice, of an order that is nowhere, explains why it was not taken."""
    return (
        fact.kind is FactKind.NOTICE
        and fact.code not in {0, *ALREADY_KNOWN}
        and code_class(fact.code, fact.text) not in DOUBTFUL
    )
