"""What we ask a broker to do, and what became of it."""

from datetime import date, datetime
from enum import StrEnum

from pydantic import Field

from trading_assets.models.base import Lane, Side, StrategyName, Symbol, Value


class Leg(StrEnum):
    """What an order is for."""

    ENTRY = "entry"
    STOP = "stop"
    TARGET = "target"
    EXIT = "exit"


class OrderType(StrEnum):
    """At which prices it may trade."""

    MARKET = "MKT"
    LIMIT = "LMT"
    STOP = "STP"
    STOP_LIMIT = "STP_LMT"


class TimeInForce(StrEnum):
    """How long it lives: through the symbol's next bar, or until it is cancelled."""

    DAY = "DAY"
    GTC = "GTC"


class OrderStatus(StrEnum):
    """The state at the decision; it is never rewritten."""

    SUBMITTED = "submitted"
    REFUSED = "refused"
    AWAITING_APPROVAL = "awaiting_approval"


class Order(Value):
    """An instruction to trade whole shares of one symbol, or why there is none.

    Attributes:
        order_id: Ours, made from its meaning: a retry is the same order.
        session: At whose close it was decided; it is live from the next open.
        shares: Whole shares; `side` carries the sign. 0 only when refused.
        reason: Why it was decided or, if refused, the rule and its numbers.
        spec_hash: Of the strategy's sizing, risk, execution and costs.
    """

    strategy: StrategyName
    lane: Lane
    order_id: str
    session: date
    symbol: Symbol
    leg: Leg
    side: Side
    shares: int = Field(ge=0)
    order_type: OrderType
    limit_price: float | None
    stop_price: float | None
    tif: TimeInForce
    status: OrderStatus
    reason: str
    decided_at: datetime
    submitted_at: datetime | None
    broker_order_id: str
    spec_hash: str


class OrderEventStatus(StrEnum):
    """What happened to an order."""

    WORKING = "working"
    PARTIALLY_FILLED = "partially_filled"
    FILLED = "filled"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    REJECTED = "rejected"
    UNKNOWN = "unknown"
    APPROVED = "approved"


class OrderEvent(Value):
    """One thing that happened to an order, in the session in which it did."""

    strategy: StrategyName
    lane: Lane
    order_id: str
    seq: int = Field(ge=1)
    session: date
    status: OrderEventStatus
    shares: int = Field(ge=0)
    price: float | None
    reason: str
    at: datetime
