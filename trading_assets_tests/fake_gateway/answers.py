"""What the gateway says, as fields in the order of server version 176."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pandas as pd

from trading_assets_tests.fake_gateway.account import (
    MARGIN_FRAC,
    Account,
    Execution,
    Position,
)
from trading_assets_tests.fake_gateway.layouts import (
    COMMISSION,
    COMPLETED_ORDER,
    CONTRACT_DETAILS_HEAD,
    CONTRACT_DETAILS_TAIL,
    EXECUTION,
    OPEN_ORDER,
    ORDER_STATUS,
    PORTFOLIO,
    POSITION,
)
from trading_assets_tests.fake_gateway.market import (
    EXCHANGE_ZONE,
    PRICE_COLUMNS,
    Instrument,
)
from trading_assets_tests.fake_gateway.orders import Order
from trading_assets_tests.fake_gateway.wire import UNSET, UNSET_INTEGER

Message = list[object]

MARKET_RULE = 26
"""The rule of an instrument with one tick at every price."""
ORDER_TYPES = "ACTIVETIM,ADJUST,ALLOC,DAY,GTC,IOC,LMT,MKT,OCA,STP,STPLMT,WHATIF"
DELAYED_TYPES = frozenset({3, 4})
"""Delayed and delayed-frozen, as a client asks for them."""


def error(request_id: int, code: int, text: str) -> Message:
    """A code and its text about a request or an order; -1 for none of them."""
    return [4, 2, request_id, code, text, ""]


def contract_details(request_id: int, instrument: Instrument) -> Message:
    """Everything about an instrument."""
    rule = str(MARKET_RULE)
    hours = _hours(datetime.now(UTC).astimezone(EXCHANGE_ZONE))
    identifiers = ["ISIN", f"US{instrument.con_id:010d}"]
    return [
        *CONTRACT_DETAILS_HEAD.write(
            reqId=request_id,
            marketName=instrument.trading_class,
            minTick=instrument.min_tick,
            orderTypes=ORDER_TYPES,
            validExchanges=f"SMART,{instrument.primary_exchange}",
            longName=instrument.name,
            primaryExchange=instrument.primary_exchange,
            timeZoneId="US/Eastern",
            tradingHours=hours,
            liquidHours=hours,
            **instrument.words(),
        ),
        len(identifiers) // 2,
        *identifiers,
        *CONTRACT_DETAILS_TAIL.write(marketRuleIds=f"{rule},{rule}"),
    ]


def _hours(now: datetime) -> str:
    day = f"{now:%Y%m%d}"
    return f"{day}:0930-{day}:1600"


def symbol_samples(request_id: int, instruments: list[Instrument]) -> Message:
    """The instruments that a search has found."""
    found: Message = []
    for one in instruments:
        found += [one.con_id, one.symbol, "STK", one.primary_exchange, one.currency]
        found += [2, "OPT", "WAR", one.name, ""]
    return [79, request_id, len(instruments), *found]


def historical_data(
    request_id: int, bars: pd.DataFrame, first: datetime, last: datetime, *, epoch: bool
) -> Message:
    """Bars, oldest first."""
    rows: Message = []
    for start, bar in zip(bars.index, bars.to_dict("records"), strict=True):
        average = round((bar["high"] + bar["low"] + bar["close"]) / 3, 6)
        rows += [_bar_time(start, epoch=epoch)]
        rows += [bar[name] for name in PRICE_COLUMNS]
        rows += [average, max(int(bar["volume"]) // 100, 1)]
    return [17, request_id, spoken(first), spoken(last), len(bars), *rows]


def _bar_time(start: pd.Timestamp, *, epoch: bool) -> str:
    if start.tzinfo is None:
        return f"{start:%Y%m%d}"
    if epoch:
        return str(int(start.timestamp()))
    return spoken(start) + " US/Eastern"


def spoken(at: datetime) -> str:
    """An instant on the clock of the exchange, as the gateway writes it."""
    return f"{at.astimezone(EXCHANGE_ZONE):%Y%m%d %H:%M:%S}"


def head_timestamp(request_id: int, first: pd.Timestamp, *, epoch: bool) -> Message:
    """When the history of an instrument begins: the open of its first session."""
    opened = first.replace(hour=9, minute=30).tz_localize(EXCHANGE_ZONE).tz_convert(UTC)
    text = str(int(opened.timestamp())) if epoch else f"{opened:%Y%m%d-%H:%M:%S}"
    return [88, request_id, text]


def order_status(order: Order) -> Message:
    """Where an order stands."""
    return ORDER_STATUS.write(
        orderId=order.order_id,
        status=order.status,
        filled=order.filled,
        remaining=order.remaining,
        averagePrice=order.average_price,
        permId=order.perm_id,
        parentId=order.parent_id,
        lastPrice=order.last_price,
        clientId=order.client_id,
        whyHeld=order.why_held,
    )


def _asked(order: Order) -> dict[str, object]:
    return {
        **order.instrument.words(),
        "action": order.action,
        "orderType": order.type,
        "lmtPrice": 0.0 if order.limit_price is None else order.limit_price,
        "auxPrice": 0.0 if order.stop_price is None else order.stop_price,
        "tif": order.tif,
        "ocaGroup": order.oca_group,
        "ocaType": order.oca_type or 3,
        "orderRef": order.order_ref,
        "permId": order.perm_id,
        "outsideRth": order.outside_rth,
        "status": order.status,
    }


def open_order(order: Order, account: str, *, with_commission: bool = False) -> Message:
    """An order in full; its commission once that is known."""
    cost: dict[str, object] = {}
    if with_commission:
        cost = {
            "commission": order.charged,
            "commissionCurrency": order.instrument.currency,
        }
    return OPEN_ORDER.write(
        orderId=order.order_id,
        clientId=order.client_id,
        parentId=order.parent_id,
        account=account,
        totalQuantity=order.shares,
        deprecated=f"{order.perm_id}.0/{account}/100",
        **cost,
        **_asked(order),
    )


def preview(order: Order, account: Account, *, is_empty: bool) -> Message:
    """What an order would need, without placing it; *is_empty* has no numbers."""
    numbers: dict[str, object] = {"warningText": "The margin is being calculated."}
    if not is_empty:
        price = order.limit_price or order.instrument.last or 0.0
        margin, equity = account.margin, account.equity
        change = MARGIN_FRAC * order.shares * price
        numbers = {"commission": 1.0, "commissionCurrency": order.instrument.currency}
        for kind in ("init", "maint"):
            numbers[f"{kind}MarginBefore"] = margin
            numbers[f"{kind}MarginChange"] = change
            numbers[f"{kind}MarginAfter"] = margin + change
        numbers |= {
            "equityWithLoanBefore": equity,
            "equityWithLoanChange": -1.0,
            "equityWithLoanAfter": equity - 1.0,
        }
    return OPEN_ORDER.write(
        orderId=order.order_id,
        clientId=order.client_id,
        account=account.name,
        totalQuantity=order.shares,
        whatIf=True,
        **{**_asked(order), "permId": 0, "status": "PreSubmitted"},
        **numbers,
    )


def completed_order(order: Order, account: str) -> Message:
    """An order that is over: a filled one says 0 shares, and what it filled elsewhere."""
    at = f"{spoken(order.completed_at)} US/Eastern" if order.completed_at else ""
    is_filled = order.status == "Filled"
    return COMPLETED_ORDER.write(
        account=account,
        totalQuantity=0 if is_filled else order.shares,
        filledQuantity=order.filled,
        completedTime=at,
        completedStatus=f"Filled Size: {order.filled:g}"
        if is_filled
        else "Cancelled by Trader",
        **_asked(order),
    )


def execution(one: Execution, account: str, request_id: int = -1) -> Message:
    """A trade; the request is -1 when nobody asked."""
    exchange = one.instrument.primary_exchange
    where = "ISLAND" if exchange == "NASDAQ" else exchange
    return EXECUTION.write(
        reqId=request_id,
        orderId=one.order_id or UNSET_INTEGER,  # traded by hand
        exchange=where,
        execId=one.exec_id,
        time=f"{spoken(one.at)} US/Eastern",
        account=account,
        executedOn=where,
        side="BOT" if one.action == "BUY" else "SLD",
        shares=one.shares,
        price=one.price,
        permId=one.perm_id,
        clientId=one.client_id,
        cumulativeShares=one.cumulative,
        averagePrice=one.average,
        orderRef=one.order_ref,
        **one.instrument.words(),
    )


def commission(one: Execution) -> Message:
    """What a trade has cost, and earned if it closed something."""
    return COMMISSION.write(
        execId=one.exec_id,
        commission=one.commission,
        currency=one.instrument.currency,
        realizedPnl=UNSET if one.realized_pnl is None else one.realized_pnl,
    )


def position(one: Position, account: str) -> Message:
    """A position, for those who asked for positions."""
    return POSITION.write(
        account=account,
        exchange=one.instrument.primary_exchange,
        shares=one.shares,
        averageCost=one.average_cost,
        **one.instrument.words(),
    )


def portfolio(one: Position, account: str) -> Message:
    """A position with its worth, for those who follow the account."""
    return PORTFOLIO.write(
        primaryExchange=one.instrument.primary_exchange,
        shares=one.shares,
        marketPrice=one.market_price,
        marketValue=one.market_value,
        averageCost=one.average_cost,
        unrealizedPnl=one.unrealized_pnl,
        realizedPnl=one.realized_pnl,
        account=account,
        **one.instrument.words(),
    )


def account_figures(account: Account) -> Iterator[tuple[str, str, str]]:
    """Tag, value and currency of every figure."""
    yield "AccountCode", account.name, ""
    yield "AccountType", "INDIVIDUAL", ""
    for tag, value in account.values().items():
        yield tag, f"{value:.2f}", account.currency
    for tag, value in account.ledger().items():
        yield tag, f"{value:.2f}", account.currency


def profit(request_id: int, account: Account) -> Message:
    """Profit and loss of the account."""
    realized, unrealized = account.realized_pnl, account.unrealized_pnl
    return [94, request_id, realized + unrealized, unrealized, realized]


def profit_of_one(request_id: int, con_id: int, account: Account) -> Message:
    """Profit and loss of one position; unset where there never was one."""
    one = account.positions.get(con_id)
    if one is None:
        return [95, request_id, 0, UNSET, UNSET, UNSET, UNSET]
    realized, unrealized = one.realized_pnl, one.unrealized_pnl
    daily = realized + unrealized
    return [95, request_id, one.shares, daily, unrealized, realized, one.market_value]


def ticks(request_id: int, instrument: Instrument, market_data_type: int) -> list[Message]:
    """Bid, ask, last, close and volume, as far as they are known."""
    last, tick = instrument.last, instrument.min_tick
    if last is None:
        return []
    bid, ask, traded, close, volume = (
        (66, 67, 68, 75, 74) if market_data_type in DELAYED_TYPES else (1, 2, 4, 9, 8)
    )
    told: list[Message] = [
        [1, 6, request_id, bid, round(last - tick, 6), 100, 0],
        [1, 6, request_id, ask, round(last + tick, 6), 100, 0],
        [1, 6, request_id, traded, last, 100, 0],
    ]
    if instrument.previous_close is not None:
        told.append([1, 6, request_id, close, instrument.previous_close, 0, 0])
        told.append([2, 6, request_id, volume, float(instrument.bars["volume"].iloc[-1])])
    return told
