"""Pictures of a market, and what is on them."""

from datetime import date
from enum import StrEnum

from trading_assets.models.base import StrategyName, Symbol, Value


class Timeframe(StrEnum):
    """How much time one candle spans."""

    DAILY = "daily"
    WEEKLY = "weekly"


class Chart(Value):
    """A PNG in the chart store.

    Attributes:
        path: Where it is, relative to the store.
        sha256: Of the file's bytes.
        bars_drawn: How many candles it shows.
        first_session: The oldest of them.
        indicators: What is drawn over them, names separated by spaces.
        inputs_hash: Of everything it was drawn from.
    """

    strategy: StrategyName
    symbol: Symbol
    session: date
    timeframe: Timeframe
    path: str
    sha256: str
    width_px: int
    height_px: int
    bars_drawn: int
    first_session: date
    indicators: str
    inputs_hash: str
