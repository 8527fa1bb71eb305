"""Our orders in the words of Interactive Brokers, and theirs in ours.

Prices meet the contract's tick here and nowhere else, and never to our harm: a limit is
never worse than the one asked for (a buy is rounded down, a sell up), a stop is touched
sooner rather than later (a sell, which guards a holding from below, up; a buy down).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal

from trading_assets.adapters.ibkr.contracts import broker_symbol, our_symbol
from trading_assets.adapters.ibkr.library import (
    UNSET_DOUBLE,
    CommissionReport,
    Contract,
    Order,
)
from trading_assets.adapters.ibkr.library import Execution as TheirExecution
from trading_assets.errors import InvalidInput
from trading_assets.models.base import Side
from trading_assets.models.intent import (
    Commission,
    Execution,
    Fact,
    FactKind,
    Intent,
    OrderTicket,
    Terms,
    Wire,
)
from trading_assets.models.order import OrderType

TICK_TOLERANCE = Decimal("1e-6")
"""Of a tick; closer than that a price was meant to be on it and floats got in the way."""

UNSET_ABOVE = 1e300
CANCEL_WITH_BLOCK = 1
"""OCA type: when one of a group fills the others are cancelled, never both filled."""

ORDER_TYPES: Mapping[OrderType, str] = {
    OrderType.MARKET: "MKT",
    OrderType.LIMIT: "LMT",
    OrderType.STOP: "STP",
    OrderType.STOP_LIMIT: "STP LMT",
}
LIMITED = frozenset({OrderType.LIMIT, OrderType.STOP_LIMIT})
STOPPED = frozenset({OrderType.STOP, OrderType.STOP_LIMIT})

SIDES: Mapping[str, Side] = {"BOT": Side.BUY, "SLD": Side.SELL}

STATUSES: Mapping[str, FactKind] = {
    "ApiPending": FactKind.ACKNOWLEDGED,
    "PendingSubmit": FactKind.ACKNOWLEDGED,
    "PendingCancel": FactKind.ACKNOWLEDGED,
    "PreSubmitted": FactKind.ACKNOWLEDGED,
    "Submitted": FactKind.WORKING,
    "Filled": FactKind.FILLED,
    "Cancelled": FactKind.CANCELLED,
    "ApiCancelled": FactKind.CANCELLED,
    "Inactive": FactKind.INACTIVE,
}
"""A stop that rests at the broker is PreSubmitted for as long as it rests."""


@dataclass(frozen=True, slots=True)
class MarginPreview:
    """What an order would do to the account, by the broker's own arithmetic.

    Attributes:
        initial_margin: Needed to hold everything after it, account currency.
        initial_margin_change: By this order.
        maintenance_margin: Needed to keep everything after it.
        maintenance_margin_change: By this order.
        equity_with_loan: After it.
        warning: The broker's words; empty for none.
    """

    initial_margin: float
    initial_margin_change: float
    maintenance_margin: float
    maintenance_margin_change: float
    equity_with_loan: float
    warning: str


def to_tick(price: float, min_tick: float, *, up: bool) -> float:
    """*price* on a multiple of *min_tick*, not below it if *up*, else not above it."""
    tick = Decimal(repr(min_tick))
    ticks = Decimal(repr(price)) / tick
    nearest = ticks.to_integral_value(ROUND_HALF_EVEN)
    if abs(ticks - nearest) > TICK_TOLERANCE:
        nearest = ticks.to_integral_value(ROUND_CEILING if up else ROUND_FLOOR)
    return float(nearest * tick)


def ticked(
    ticket: OrderTicket,
    limit_price: float | None,
    stop_price: float | None,
    min_tick: float,
) -> tuple[float | None, float | None]:
    """Limit and stop of *ticket* on the contract's ticks.

    Raises:
        InvalidInput: If a price is so low that its tick is zero.
    """
    up = ticket.side is Side.SELL
    prices = tuple(
        None if price is None else to_tick(price, min_tick, up=up)
        for price in (limit_price, stop_price)
    )
    if any(price is not None and price <= 0 for price in prices):
        raise InvalidInput(
            f"order {ticket.order_id}: limit {limit_price} and stop {stop_price} are less "
            f"than a tick of {min_tick:g}"
        )
    return prices[0], prices[1]


def contract_of(wire: Wire, symbol: str) -> Contract:
    """The contract as it is named in every message about the order."""
    return Contract(
        secType="STK",
        conId=wire.con_id,
        symbol=broker_symbol(symbol),
        exchange=wire.exchange,
        primaryExchange=wire.primary_exchange,
        currency=wire.currency,
    )


def order_of(intent: Intent, terms: Terms, *, parent_id: int, transmit: bool) -> Order:
    """The order of *intent*, with *terms* that may have changed since."""
    order = preview_of(intent.ticket, intent.account, terms)
    order.orderId, order.clientId = intent.broker_order_id, intent.client_id
    order.orderRef = intent.order_ref
    order.parentId, order.transmit = parent_id, transmit
    if intent.wire.oca_group:
        order.ocaGroup, order.ocaType = intent.wire.oca_group, CANCEL_WITH_BLOCK
    return order


def preview_of(ticket: OrderTicket, account: str, terms: Terms) -> Order:
    """The order of *ticket* without id and reference, to ask about what it would do."""
    return Order(
        account=account,
        action=ticket.side.value,
        totalQuantity=terms.shares,
        orderType=ORDER_TYPES[ticket.order_type],
        lmtPrice=UNSET_DOUBLE if terms.limit_price is None else terms.limit_price,
        auxPrice=UNSET_DOUBLE if terms.stop_price is None else terms.stop_price,
        tif=ticket.tif.value,
        outsideRth=False,
    )


def terms_of(order: Order, order_type: OrderType) -> Terms:
    """What the broker says the terms of an order are."""
    return Terms(
        shares=round(order.totalQuantity),
        limit_price=order.lmtPrice if order_type in LIMITED else None,
        stop_price=order.auxPrice if order_type in STOPPED else None,
    )


def are_same(some: Terms, others: Terms) -> bool:
    """Whether two terms agree, but for the noise of floats."""
    return some.shares == others.shares and all(
        (one is None and other is None)
        or (
            one is not None
            and other is not None
            and math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-9)
        )
        for one, other in (
            (some.limit_price, others.limit_price),
            (some.stop_price, others.stop_price),
        )
    )


def status_fact(
    status: str, *, filled: float | None, perm_id: int, at: datetime, source: str
) -> Fact | None:
    """What a status says; None if it says nothing.

    Without a permanent id only an end counts: the library, and a gateway that has not
    passed the order on, speak of it as if it lived.
    """
    kind = STATUSES.get(status)
    if kind is None:
        return None
    if perm_id <= 0 and kind in {FactKind.ACKNOWLEDGED, FactKind.WORKING}:
        return None
    if kind is FactKind.WORKING and filled:
        kind = FactKind.PARTIALLY_FILLED
    return Fact(
        kind=kind,
        at=at,
        source=source,
        perm_id=max(perm_id, 0),
        text=status,
        filled_shares=filled,
    )


def split_execution_id(exec_id: str) -> tuple[str, int]:
    """The id of an execution without the number of its correction, and that number."""
    key, _, last = exec_id.rpartition(".")
    if key and last.isascii() and last.isdigit():
        return key, int(last)
    return exec_id, 0


def execution_of(contract: Contract, told: TheirExecution) -> Execution:
    """An execution in our words.

    Raises:
        InvalidInput: If its side is none that we know.
    """
    if told.side not in SIDES:
        raise InvalidInput(
            f"execution {told.execId}: side must be one of {list(SIDES)}, was {told.side!r}"
        )
    key, correction = split_execution_id(told.execId)
    return Execution(
        account=told.acctNumber,
        exec_key=key,
        correction=correction,
        order_ref=told.orderRef,
        perm_id=told.permId,
        con_id=contract.conId,
        symbol=our_symbol(contract.symbol),
        currency=contract.currency,
        side=SIDES[told.side],
        shares=told.shares,
        price=told.price,
        at=told.time.astimezone(UTC),
    )


def commission_of(
    report: CommissionReport, account: str, at: datetime
) -> Commission | None:
    """What an execution has cost; None if the report does not say."""
    if math.isnan(report.commission) or abs(report.commission) > UNSET_ABOVE:
        return None
    key, correction = split_execution_id(report.execId)
    return Commission(
        account=account,
        exec_key=key,
        correction=correction,
        commission=report.commission,
        currency=report.currency,
        at=at,
    )
