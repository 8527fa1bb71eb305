"""What a market says: bars, corporate actions, and where neither is to be had."""

from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from trading_assets.models.base import Symbol, Value

Price = Annotated[float, Field(gt=0)]


class Bar(Value):
    """One symbol in one session, as traded: neither splits nor dividends are adjusted.

    Attributes:
        open: First price, currency per share; so are high, low and close.
        volume: Shares traded.
        source: Where it came from.
        recorded_at: When we stored it.
    """

    symbol: Symbol
    session: date
    open: Price
    high: Price
    low: Price
    close: Price
    volume: float = Field(ge=0)
    source: str
    recorded_at: datetime

    @model_validator(mode="after")
    def _spans_its_prices(self) -> Self:
        if (
            not self.low
            <= min(self.open, self.close)
            <= max(self.open, self.close)
            <= self.high
        ):
            raise ValueError(
                f"bar {self.symbol} {self.session}: open {self.open} and close "
                f"{self.close} must lie between low {self.low} and high {self.high}"
            )
        return self


class ActionKind(StrEnum):
    """What a company did to its shares."""

    SPLIT = "split"
    DIVIDEND = "dividend"
    SPINOFF = "spinoff_factor"


class CorporateAction(Value):
    """Something that happens to every holder before the open of a session.

    Attributes:
        ex_session: First session whose price no longer carries it.
        value: New shares per old share for a split, cash per share for a dividend,
            price before over price after for a spin-off.
    """

    symbol: Symbol
    ex_session: date
    kind: ActionKind
    value: float = Field(gt=0)
    source: str


class CoverageStatus(StrEnum):
    """Why a partition has a row, or why it has none."""

    OK = "ok"
    NOT_LISTED = "not_listed"
    MISSING = "missing"
    REJECTED = "rejected"
    ENDED = "ended"


class Coverage(Value):
    """What a step found for one partition; no row at all means it never ran.

    Attributes:
        asset: Name of the table that it tells of.
        strategy: Empty for the shared market.
        rows: How many rows the partition has.
        reason: Empty when there is nothing to explain.
        content_hash: Of what was stored, or of what made it; empty when nothing was, and
            ``outdated`` when bars that it rests on have changed since.
    """

    asset: str
    strategy: str
    symbol: str
    session: date
    rows: int = Field(ge=0)
    status: CoverageStatus
    reason: str = ""
    content_hash: str = ""
