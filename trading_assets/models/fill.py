"""What happened to our money: executions, and what came without an order."""

from datetime import date, datetime
from enum import StrEnum

from pydantic import Field

from trading_assets.models.base import Lane, Side, StrategyName, Symbol, Value


class Fill(Value):
    """An execution.

    Attributes:
        session: In which it happened.
        shares: Above zero; `side` carries the sign.
        price: Currency per share, slippage included.
        commission: Account currency, paid by us; below zero for a rebate.
    """

    strategy: StrategyName
    lane: Lane
    fill_id: str
    session: date
    symbol: Symbol
    order_id: str
    side: Side
    shares: int = Field(gt=0)
    price: float
    commission: float
    filled_at: datetime


class BookEventKind(StrEnum):
    """What moves cash or shares without an order."""

    SPLIT = "split"
    DIVIDEND = "dividend"
    SPINOFF = "spinoff"
    DEPOSIT = "deposit"
    ADOPTION = "adoption"


class BookEvent(Value):
    """A change of cash or shares that no fill explains; before the session's open."""

    strategy: StrategyName
    lane: Lane
    event_id: str
    session: date
    symbol: str
    kind: BookEventKind
    shares_delta: int
    cash: float
