"""What can be traded at a broker, and under which number."""

from datetime import datetime

from pydantic import Field

from trading_assets.models.base import Symbol, Value


class Listing(Value):
    """One share as a broker lists it.

    Attributes:
        con_id: The broker's number of it; a symbol alone may stand for several.
        name: Of the company or fund.
        exchange: Where its orders are sent.
        primary_exchange: Where it is listed.
        currency: Of its prices, ISO 4217.
        min_tick: Smallest step of its price, currency per share.
        recorded_at: When the broker was asked.
    """

    symbol: Symbol
    con_id: int = Field(gt=0)
    name: str
    exchange: str
    primary_exchange: str
    currency: str
    min_tick: float = Field(gt=0)
    recorded_at: datetime
