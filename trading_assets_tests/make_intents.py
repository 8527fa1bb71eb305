"""Valid intents, facts and executions for tests: name only what a test is about."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

from trading_assets.adapters.ledger.intents import payload_hash
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
from trading_assets.models.order import Leg, OrderType

ACCOUNT = "DU1234567"
CLIENT_ID = 7
SESSION = date(2026, 11, 19)
AT = datetime(2026, 11, 19, 22, 15, tzinfo=UTC)

TYPES = {
    (False, False): OrderType.MARKET,
    (True, False): OrderType.LIMIT,
    (False, True): OrderType.STOP,
    (True, True): OrderType.STOP_LIMIT,
}


def after(seconds: float) -> datetime:
    """An instant so long after `AT`."""
    return AT + timedelta(seconds=seconds)


def make_order_ticket(leg: Leg = Leg.ENTRY, **changes: Any) -> OrderTicket:
    """10 shares of AAPL, bought by an entry and sold by anything else."""
    limit, stop = changes.get("limit_price"), changes.get("stop_price")
    given: dict[str, Any] = {
        "strategy": "trend",
        "session": SESSION,
        "symbol": "AAPL",
        "side": Side.BUY if leg is Leg.ENTRY else Side.SELL,
        "shares": 10,
        "order_type": TYPES[limit is not None, stop is not None],
    }
    return OrderTicket(leg=leg, **{**given, **changes})


def make_bracket(symbol: str = "AAPL", **changes: Any) -> list[OrderTicket]:
    """An entry at 100, its target at 110 and its stop at 95, each of 10 shares."""
    entry = make_order_ticket(symbol=symbol, limit_price=100.0, **changes)
    legs = {"symbol": symbol, "parent_id": entry.order_id, **changes}
    return [
        entry,
        make_order_ticket(Leg.STOP, stop_price=95.0, **legs),
        make_order_ticket(Leg.TARGET, limit_price=110.0, **legs),
    ]


def make_intent(
    ticket: OrderTicket | None = None, broker_order_id: int = 1, **changes: Any
) -> Intent:
    """The intent of *ticket*, its prices as they are."""
    ticket = make_order_ticket() if ticket is None else ticket
    account = changes.pop("account", ACCOUNT)
    terms = Terms(
        shares=ticket.shares, limit_price=ticket.limit_price, stop_price=ticket.stop_price
    )
    wire = Wire(
        con_id=265598,
        exchange="SMART",
        primary_exchange="NASDAQ",
        currency="USD",
        min_tick=0.01,
        terms=terms,
    )
    given: dict[str, Any] = {
        "wire": wire,
        "client_id": CLIENT_ID,
        "order_ref": ticket.order_id,
        "payload_hash": payload_hash(ticket, account),
        "recorded_at": AT,
    }
    return Intent(
        ticket=ticket,
        account=account,
        broker_order_id=broker_order_id,
        **{**given, **changes},
    )


def make_fact(kind: FactKind, **changes: Any) -> Fact:
    """A fact of *kind*, from the desk."""
    return Fact(**{"kind": kind, "at": AT, "source": "desk", **changes})


def make_execution(
    shares: float = 10, price: float = 100.0, key: str = "0001.01", **changes: Any
) -> Execution:
    """Shares of the order of `make_order_ticket`, bought."""
    given: dict[str, Any] = {
        "account": ACCOUNT,
        "exec_key": key,
        "correction": 1,
        "order_ref": make_order_ticket().order_id,
        "perm_id": 77,
        "con_id": 265598,
        "symbol": "AAPL",
        "currency": "USD",
        "side": Side.BUY,
        "at": AT,
    }
    return Execution(shares=shares, price=price, **{**given, **changes})


def make_commission(commission: float = 1.0, **changes: Any) -> Commission:
    """What the execution of `make_execution` has cost."""
    given: dict[str, Any] = {
        "account": ACCOUNT,
        "exec_key": "0001.01",
        "correction": 1,
        "currency": "USD",
        "at": AT,
    }
    return Commission(commission=commission, **{**given, **changes})
