"""Orders, and what can be told about them."""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from trading_assets_tests.fake_gateway.account import Execution, Position
from trading_assets_tests.fake_gateway.market import Instrument

OPEN = frozenset({"PendingSubmit", "PreSubmitted", "Submitted", "Inactive"})
WORKING = frozenset({"PreSubmitted", "Submitted"})


@dataclass(kw_only=True)
class Terms:
    """What an order asks for; a modification says all of it again.

    Attributes:
        limit_price: None where the type has none.
        stop_price: None where the type has none.
        parent_id: Order id of the parent with the same client, 0 for none.
        transmit: Whether it may work; one that may not waits for the last of its family.
    """

    action: str
    shares: float
    type: str = "MKT"
    limit_price: float | None = None
    stop_price: float | None = None
    tif: str = "DAY"
    order_ref: str = ""
    parent_id: int = 0
    oca_group: str = ""
    oca_type: int = 0
    transmit: bool = True
    account: str = ""
    outside_rth: bool = False


@dataclass(kw_only=True)
class Order(Terms):
    """An order as the gateway knows it.

    Attributes:
        status: In the words of Interactive Brokers.
        is_silent: Nothing about it is told unasked.
        waits_for_price: It does not fill before the price has moved.
        charged: Commission so far.
    """

    perm_id: int
    client_id: int
    order_id: int
    instrument: Instrument
    status: str = "PendingSubmit"
    filled: float = 0.0
    average_price: float = 0.0
    last_price: float = 0.0
    why_held: str = ""
    is_triggered: bool = False
    is_silent: bool = False
    waits_for_price: bool = False
    charged: float = 0.0
    completed_at: datetime | None = None

    @property
    def symbol(self) -> str:
        """What is traded."""
        return self.instrument.symbol

    @property
    def remaining(self) -> float:
        """Shares that are not filled."""
        return self.shares - self.filled

    @property
    def is_open(self) -> bool:
        """Whether it can still change."""
        return self.status in OPEN

    @property
    def is_limit(self) -> bool:
        """Whether it works as a limit order now."""
        return self.type == "LMT" or (self.type == "STP LMT" and self.is_triggered)

    def accepts(self, price: float) -> bool:
        """Whether *price* is within its limit."""
        limit = self.limit_price or 0.0
        return price <= limit if self.action == "BUY" else price >= limit

    def is_reached(self, price: float) -> bool:
        """Whether *price* triggers its stop."""
        stop = self.stop_price or 0.0
        return price >= stop if self.action == "BUY" else price <= stop


class Records(NamedTuple):
    """Orders and executions at one moment."""

    orders: tuple[Order, ...]
    executions: tuple[Execution, ...]


@dataclass(frozen=True, slots=True)
class Opened:
    """The order is told in full: new, changed, or with what it has cost."""

    order: Order
    with_commission: bool = False


@dataclass(frozen=True, slots=True)
class Stated:
    """The status of the order is told."""

    order: Order


@dataclass(frozen=True, slots=True)
class Executed:
    """A trade is told."""

    execution: Execution


@dataclass(frozen=True, slots=True)
class Charged:
    """The commission of a trade is told."""

    execution: Execution


@dataclass(frozen=True, slots=True)
class Held:
    """A position has changed."""

    position: Position


@dataclass(frozen=True, slots=True)
class Noticed:
    """A code and a text about an order of a client."""

    client_id: int
    order_id: int
    code: int
    text: str


@dataclass(frozen=True, slots=True)
class LinkLost:
    """From here on nothing is heard; *records* are the last that were."""

    records: Records


Event = Opened | Stated | Executed | Charged | Held | Noticed | LinkLost
Events = list[Event]
