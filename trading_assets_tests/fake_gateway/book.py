"""The orders of the account and how they are matched.

Fills are at the last price. A market order takes it at once; a limit order that is
marketable on arrival takes it too, and one that rests takes its limit when touched; a
stop takes the price that triggers it; a stop limit becomes a limit when triggered.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields, replace
from datetime import datetime
from itertools import count

from trading_assets_tests.fake_gateway.account import Account, Execution, commission_due
from trading_assets_tests.fake_gateway.market import Instrument
from trading_assets_tests.fake_gateway.orders import (
    WORKING,
    Charged,
    Events,
    Executed,
    Held,
    LinkLost,
    Noticed,
    Opened,
    Order,
    Records,
    Stated,
    Terms,
)
from trading_assets_tests.fake_gateway.wire import INVALID

TYPES = frozenset({"MKT", "LMT", "STP", "STP LMT"})
TIMES_IN_FORCE = frozenset({"DAY", "GTC", "IOC"})
FIRST_PERM_ID = 1376327564
CANCEL_ALL_AT_ONCE = 1
"""The OCA type that cancels the others at the first share; 2 and 3 make them smaller."""
TICK_TOLERANCE = 1e-6
SIGNS = {"BUY": 1, "SELL": -1}
REJECTED = "Order rejected - reason:"
MARKET_CLOSED = (
    399,
    "Order Message:\nYour order will not be placed at the exchange before its open.",
)
OFF_TICK = "The price does not conform to the minimum price variation for this contract."


class Book:
    """All orders by permanent id, and what became of them.

    Every change gives back what a gateway would tell about it, in that order.
    """

    def __init__(
        self,
        account: Account,
        now: Callable[[], datetime],
        is_cut: Callable[[Order], bool] = lambda _order: False,
    ) -> None:
        """Begin without orders.

        Args:
            account: Where executions are booked.
            now: The clock, aware.
            is_cut: Whether the link is lost in the middle of a fill of the order.
        """
        self.account = account
        self.orders: dict[int, Order] = {}
        self.executions: list[Execution] = []
        self.is_market_open = True
        self._now = now
        self._parts: dict[int, list[float]] = {}
        self._is_cut = is_cut
        self._by_client: dict[tuple[int, int], Order] = {}
        self._highest_ids: dict[int, int] = {}
        self._perm_ids = count(FIRST_PERM_ID)

    def order(self, client_id: int, order_id: int) -> Order | None:
        """The order that a client knows by *order_id*."""
        return self._by_client.get((client_id, order_id))

    def records(self) -> Records:
        """The orders and executions as they are now."""
        orders = tuple(replace(order) for order in self.orders.values())
        return Records(orders, tuple(self.executions))

    def next_order_id(self, client_id: int) -> int:
        """The smallest id above all that the client has used."""
        return self._highest_ids.get(client_id, 0) + 1

    # Taking orders

    def place(
        self,
        client_id: int,
        order_id: int,
        instrument: Instrument,
        terms: Terms,
        *,
        is_silent: bool = False,
        waits_for_price: bool = False,
    ) -> Events:
        """Take a new order, or change the one that has this id."""
        if refusal := self._refusal(client_id, order_id, instrument, terms):
            return [Noticed(client_id, order_id, *refusal)]
        known = self.order(client_id, order_id)
        if known is not None:
            return self._modify(known, terms)
        order = Order(
            **{one.name: getattr(terms, one.name) for one in fields(Terms)},
            perm_id=next(self._perm_ids),
            client_id=client_id,
            order_id=order_id,
            instrument=instrument,
            is_silent=is_silent,
            waits_for_price=waits_for_price,
        )
        self.orders[order.perm_id] = order
        self._by_client[client_id, order_id] = order
        self._highest_ids[client_id] = max(order_id, self._highest_ids.get(client_id, 0))
        if not order.transmit:
            return []
        events = self._transmit(order)
        if not self.is_market_open:
            events.append(Noticed(client_id, order_id, *MARKET_CLOSED))
        return events

    def trade_by_hand(self, instrument: Instrument, action: str, shares: float) -> Events:
        """What a person does at the screen: a market order that no client knows."""
        order = Order(
            action=action,
            shares=shares,
            perm_id=next(self._perm_ids),
            client_id=0,
            order_id=0,
            instrument=instrument,
        )
        self.orders[order.perm_id] = order
        return self._transmit(order)

    def forget_untransmitted(self) -> None:
        """What was never transmitted does not outlive the program."""
        for order in [*self.orders.values()]:
            if not order.transmit:
                del self.orders[order.perm_id]
                del self._by_client[order.client_id, order.order_id]

    def park(
        self, client_id: int, order_id: int, instrument: Instrument, terms: Terms
    ) -> Events:
        """Take an order that does not work: Inactive."""
        unsent = replace(terms, transmit=False)
        refused = self.place(client_id, order_id, instrument, unsent)
        order = self.order(client_id, order_id)
        if refused or order is None:
            return refused
        order.transmit, order.status = True, "Inactive"
        return self._told(order)

    def _refusal(
        self, client_id: int, order_id: int, instrument: Instrument, terms: Terms
    ) -> tuple[int, str] | None:
        known = self.order(client_id, order_id)
        parent = self.order(client_id, terms.parent_id)
        is_orphan = terms.parent_id != 0 and (parent is None or not parent.is_open)
        ended = known.status if known is not None and not known.is_open else ""
        objections = (
            (ended == "Filled", 104, "Cannot modify a filled order."),
            (bool(ended), 103, "Duplicate order id"),
            (terms.shares <= 0, 434, "The order size cannot be zero."),
            (terms.type not in TYPES, 387, f"Unsupported order type: {terms.type}"),
            (terms.tif not in TIMES_IN_FORCE, 201, f"{REJECTED}Time in force {terms.tif}"),
            (terms.action not in SIGNS, 321, f"{INVALID}Invalid action {terms.action}"),
            (
                terms.account not in {"", self.account.name},
                321,
                f"{INVALID}Invalid account {terms.account}",
            ),
            (not _is_on_tick(terms, instrument), 110, OFF_TICK),
            (is_orphan, 135, f"Can't find order with id = {terms.parent_id}"),
        )
        return next(((code, text) for is_so, code, text in objections if is_so), None)

    def _modify(self, order: Order, terms: Terms) -> Events:
        if order.transmit and not terms.transmit:
            return []  # the change waits at the screen, the order goes on as it was
        for one in fields(Terms):
            if one.name not in {"oca_group", "oca_type", "parent_id"}:
                setattr(order, one.name, getattr(terms, one.name))
        if not order.transmit:
            return []
        if order.remaining <= 0:
            order.shares = order.filled
            return self._finish(order, "Filled")
        if order.status in WORKING and not self._waits_for_parent(order):
            return [*self._told(order), *self._match(order, is_new=True)]
        return self._transmit(order)

    def _transmit(self, order: Order) -> Events:
        family = self._family(order)
        for one in family:
            one.transmit = True
        events: Events = []
        for one in family:
            if one.is_open:
                events += self._route(one)
        return events

    def _family(self, order: Order) -> list[Order]:
        parent_id = order.parent_id or order.order_id
        family = [
            one
            for one in self.orders.values()
            if one.client_id == order.client_id
            and (one is order or not one.transmit)
            and parent_id in {one.order_id, one.parent_id}
        ]
        # A parent that is transmitted does not take along children that are not.
        return family if order.parent_id else [order]

    def _route(self, order: Order) -> Events:
        if order.parent_id and not order.oca_group:
            parent = self.order(order.client_id, order.parent_id)
            order.oca_group = str(parent.perm_id) if parent else ""
            order.oca_type = 3
        order.status = "PreSubmitted"
        if self._waits_for_parent(order):
            order.why_held = "child"
            return self._told(order)
        return self._activate(order)

    def _waits_for_parent(self, order: Order) -> bool:
        parent = self.order(order.client_id, order.parent_id)
        return parent is not None and parent.status != "Filled"

    def _activate(self, order: Order) -> Events:
        order.status = "Submitted" if order.is_limit else "PreSubmitted"
        order.why_held = "trigger" if order.type.startswith("STP") else ""
        return [*self._told(order), *self._match(order, is_new=True)]

    # Matching

    def fill_in_parts(self, instrument: Instrument, parts: Sequence[float]) -> None:
        """Let the next fill be in *parts*; what they leave over stays open."""
        self._parts[instrument.con_id] = list(parts)

    def touch(self, instrument: Instrument, *, at_open: bool = False) -> Events:
        """Fill what the new price of *instrument* fills; *at_open* limits may do better."""
        events: Events = []
        for order in [*self.orders.values()]:
            if order.instrument is instrument:
                order.waits_for_price = False
                events += self._match(order, is_new=at_open)
        return events

    def _match(self, order: Order, *, is_new: bool) -> Events:
        last = order.instrument.last
        is_working = order.status in WORKING and not self._waits_for_parent(order)
        if last is None or not is_working or not self.is_market_open:
            return []
        if order.waits_for_price:
            return []
        events: Events = []
        if order.type == "STP LMT" and not order.is_triggered and order.is_reached(last):
            order.is_triggered, order.status, order.why_held = True, "Submitted", ""
            is_new = True
            events += self._told(order)
        price = _fill_price(order, last, is_new=is_new)
        if price is not None:
            events += self.fill(order, price)
        if order.tif == "IOC" and order.is_open:
            events += self._finish(order, "Cancelled")
        return events

    def fill(self, order: Order, price: float) -> Events:
        """Fill *order* at *price*, in parts if that was asked for."""
        parts = self._parts.pop(order.instrument.con_id, None) or [order.remaining]
        is_cut = self._is_cut(order)
        if is_cut:
            heard = order.remaining // 2
            parts = [heard, order.remaining - heard]
        events: Events = []
        for number, part in enumerate(parts, start=1):
            if is_cut and number == len(parts):
                events.append(LinkLost(self.records()))
            if order.is_open and min(part, order.remaining) > 0:
                events += self._execute(order, min(part, order.remaining), price)
        return events

    def _execute(self, order: Order, shares: float, price: float) -> Events:
        paid = order.filled * order.average_price + shares * price
        order.filled += shares
        order.average_price = paid / order.filled
        order.last_price = price
        commission = commission_due(order.filled, order.charged)
        order.charged += commission
        execution = Execution(
            exec_id=f"00025b46.{len(self.executions) + 1:08x}.01.01",
            perm_id=order.perm_id,
            client_id=order.client_id,
            order_id=order.order_id,
            order_ref=order.order_ref,
            instrument=order.instrument,
            action=order.action,
            shares=shares,
            price=price,
            at=self._now(),
            cumulative=order.filled,
            average=order.average_price,
            commission=commission,
        )
        execution = replace(execution, realized_pnl=self.account.take(execution))
        self.executions.append(execution)
        is_complete = order.remaining <= 0
        if is_complete:
            order.status, order.why_held = "Filled", ""
            order.completed_at = self._now()
        elif order.status == "PreSubmitted":
            order.status = "Submitted"
        return [
            Executed(execution),
            *self._told(order),
            Opened(replace(order), with_commission=True),
            Charged(execution),
            Held(replace(self.account.position(order.instrument))),
            *self._affect_others(order, shares),
            *(self._release_children(order) if is_complete else []),
        ]

    def _affect_others(self, order: Order, shares: float) -> Events:
        events: Events = []
        for one in self._others_of_group(order):
            if order.remaining <= 0 or order.oca_type == CANCEL_ALL_AT_ONCE:
                events += self._finish(one, "Cancelled")
            else:
                one.shares = max(one.shares - shares, one.filled)
                events += self._told(one)
        return events

    def _others_of_group(self, order: Order) -> Iterator[Order]:
        for one in [*self.orders.values()]:
            is_other = one is not order and one.is_open and one.client_id == order.client_id
            if is_other and order.oca_group and one.oca_group == order.oca_group:
                yield one

    def _release_children(self, order: Order) -> Events:
        events: Events = []
        for child in self._children(order):
            if child.status == "PreSubmitted":
                events += self._activate(child)
        return events

    def _children(self, order: Order) -> list[Order]:
        if order.order_id <= 0:
            return []
        return [
            one
            for one in self.orders.values()
            if one.client_id == order.client_id
            and one.parent_id == order.order_id
            and one.is_open
        ]

    # Ending orders

    def cancel(self, client_id: int, order_id: int) -> Events:
        """Cancel one order, and its children with it."""
        order = self.order(client_id, order_id)
        if order is None:
            text = f"OrderId {order_id} that needs to be cancelled is not found."
            return [Noticed(client_id, order_id, 10147, text)]
        if not order.is_open:
            text = (
                f"OrderId {order_id} that needs to be cancelled cannot be cancelled, "
                f"state: {order.status}."
            )
            return [Noticed(client_id, order_id, 10148, text)]
        return self._finish(order, "Cancelled")

    def cancel_all(self) -> Events:
        """Cancel everything, whoever placed it."""
        return self._cancel_each(lambda _order: True)

    def end_day(self) -> Events:
        """Let the orders of the day expire."""
        return self._cancel_each(lambda order: order.tif == "DAY")

    def _cancel_each(self, is_meant: Callable[[Order], bool]) -> Events:
        events: Events = []
        for order in [*self.orders.values()]:
            if order.is_open and is_meant(order):
                events += self._finish(order, "Cancelled")
        return events

    def _finish(self, order: Order, status: str) -> Events:
        order.status, order.why_held = status, ""
        order.completed_at = self._now()
        events: Events = [Stated(replace(order))]
        if status == "Cancelled":
            text = "Order Canceled - reason:"
            events.append(Noticed(order.client_id, order.order_id, 202, text))
            for child in self._children(order):
                events += self._finish(child, "Cancelled")
        return events

    # Afterwards

    def correct(
        self, exec_id: str, *, price: float | None = None, shares: float | None = None
    ) -> Events:
        """Replace an execution by one whose id ends in the next number.

        Raises:
            StopIteration: If no execution has this id.
        """
        wrong = next(one for one in self.executions if one.exec_id == exec_id)
        at = self.executions.index(wrong)
        stem, _, number = exec_id.rpartition(".")
        right = replace(
            wrong,
            exec_id=f"{stem}.{int(number) + 1:02d}",
            price=wrong.price if price is None else price,
            shares=wrong.shares if shares is None else shares,
        )
        self.executions[at] = replace(wrong, counts=False)
        self.executions.insert(at + 1, right)
        self._recount(self.orders[right.perm_id])
        self.account.rebuild(self.executions)
        position = replace(self.account.position(right.instrument))
        return [Executed(right), Charged(right), Held(position)]

    def _recount(self, order: Order) -> None:
        own = [
            one for one in self.executions if one.counts and one.perm_id == order.perm_id
        ]
        order.filled = sum(one.shares for one in own)
        paid = sum(one.shares * one.price for one in own)
        order.average_price = paid / order.filled if order.filled else 0.0

    def rename(self, order: Order) -> None:
        """Give *order* another permanent id."""
        del self.orders[order.perm_id]
        order.perm_id = next(self._perm_ids)
        self.orders[order.perm_id] = order

    def _told(self, order: Order) -> Events:
        now = replace(order)
        return [Opened(now), Stated(now)]


def _fill_price(order: Order, last: float, *, is_new: bool) -> float | None:
    if order.is_limit:
        if not order.accepts(last):
            return None
        return last if is_new else order.limit_price
    if order.type in {"STP", "STP LMT"}:
        return last if order.type == "STP" and order.is_reached(last) else None
    return last


def _is_on_tick(terms: Terms, instrument: Instrument) -> bool:
    ticks = [
        price / instrument.min_tick
        for price in (terms.limit_price, terms.stop_price)
        if price is not None
    ]
    return all(abs(one - round(one)) < TICK_TOLERANCE * max(abs(one), 1.0) for one in ticks)
