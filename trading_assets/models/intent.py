"""What we mean to ask a real broker, what we have heard of it, and what was traded."""

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Self

from pydantic import Field, model_validator

from trading_assets.models.base import Lane, Side, StrategyName, Symbol, Value
from trading_assets.models.order import Leg, OrderType, TimeInForce

PRICED = {
    OrderType.MARKET: (False, False),
    OrderType.LIMIT: (True, False),
    OrderType.STOP: (False, True),
    OrderType.STOP_LIMIT: (True, True),
}
"""Whether an order of this type names a limit, and a stop."""


class OrderTicket(Value):
    """An order that is wanted; its id follows from what it is.

    Attributes:
        session: At whose close it was decided.
        limit_price: Currency per share, as decided: rounded to a tick only at the border.
        stop_price: Likewise.
        attempt: 1, or higher for another order of the same meaning.
        parent_id: For a leg, the order id of its entry; else empty.
    """

    strategy: StrategyName
    session: date
    symbol: Symbol
    leg: Leg
    side: Side
    shares: int = Field(gt=0)
    order_type: OrderType
    limit_price: float | None = Field(default=None, gt=0)
    stop_price: float | None = Field(default=None, gt=0)
    attempt: int = Field(default=1, ge=1)
    parent_id: str = ""
    lane: Lane = Lane.IBKR

    @model_validator(mode="after")
    def _has_the_prices_of_its_type(self) -> Self:
        named = (self.limit_price is not None, self.stop_price is not None)
        if named != PRICED[self.order_type]:
            raise ValueError(
                f"order {self.order_id}: {self.order_type} takes limit and stop "
                f"{PRICED[self.order_type]}, was {named}"
            )
        return self

    @property
    def order_id(self) -> str:
        """Ours: the same decision has the same id, on any machine and in any retry."""
        again = "" if self.attempt == 1 else f"-{self.attempt}"
        return f"{self.strategy}-{self.session}-{self.symbol}-{self.leg}{again}"

    @property
    def tif(self) -> TimeInForce:
        """Entries and exits live for a day, protective legs until they are cancelled."""
        is_leg = self.leg in {Leg.STOP, Leg.TARGET}
        return TimeInForce.GTC if is_leg else TimeInForce.DAY


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What of an order may change while it works.

    Attributes:
        limit_price: Currency per share, on a tick.
        stop_price: Likewise.
    """

    shares: int
    limit_price: float | None
    stop_price: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wire:
    """How an order is written to Interactive Brokers, first and every later time.

    Attributes:
        min_tick: Currency per share.
        parent_broker_order_id: 0 without a parent.
        transmit: False for all but the last of a bracket.
        oca_group: Legs sent without their entry cancel each other by this name.
    """

    con_id: int
    exchange: str
    primary_exchange: str
    currency: str
    min_tick: float
    terms: Terms
    parent_broker_order_id: int = 0
    transmit: bool = True
    oca_group: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """An order that we have committed ourselves to, before anybody has heard of it.

    Attributes:
        order_ref: What Interactive Brokers keeps beside the order: the order id.
        broker_order_id: Reserved for it; never used for another.
        payload_hash: Of the ticket and the account.
    """

    ticket: OrderTicket
    wire: Wire
    account: str
    client_id: int
    broker_order_id: int
    order_ref: str
    payload_hash: str
    recorded_at: datetime

    @property
    def order_id(self) -> str:
        """The ticket's."""
        return self.ticket.order_id


class FactKind(StrEnum):
    """What we did about an order, or heard of it."""

    SENT = "sent"
    RESENT = "resent"
    ACKNOWLEDGED = "acknowledged"
    WORKING = "working"
    PARTIALLY_FILLED = "partially_filled"
    FILLED = "filled"
    INACTIVE = "inactive"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    UNKNOWN = "unknown"
    MISSING = "missing"
    SETTLED = "settled"
    CANCEL_SENT = "cancel_sent"
    MODIFY_SENT = "modify_sent"
    MODIFIED = "modified"
    MODIFY_REFUSED = "modify_refused"
    NOTICE = "notice"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One thing that we did about an order, or heard of it.

    Attributes:
        source: From whom: ``desk``, ``status``, ``open_order``, ``completed``, ``notice``,
            ``executions``, or a person.
        perm_id: The broker's own number of the order; 0 if it was not told.
        code: Of a notice; 0 for none.
        filled_shares: What the broker said had been filled, None if it said nothing: a
            hint, never a fill.
        terms: Of a change that was sent, made or refused.
    """

    kind: FactKind
    at: datetime
    source: str
    perm_id: int = 0
    code: int = 0
    text: str = ""
    filled_shares: float | None = None
    terms: Terms | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """Shares that changed hands, as last corrected.

    Attributes:
        exec_key: The broker's id of it, without the number of its correction.
        correction: The higher one replaces the lower.
        order_ref: Empty if somebody else's order was executed.
        shares: Zero or above; `side` carries the sign.
        price: Currency per share.
        commission: Paid by us, in `commission_currency`; None until it is told.
    """

    account: str
    exec_key: str
    correction: int
    order_ref: str
    perm_id: int
    con_id: int
    symbol: str
    currency: str
    side: Side
    shares: float
    price: float
    at: datetime
    commission: float | None = None
    commission_currency: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Commission:
    """What an execution has cost, in *currency*."""

    account: str
    exec_key: str
    correction: int
    commission: float
    currency: str
    at: datetime
