"""What a broker says of an account, and what in it we have taken for granted."""

from datetime import date, datetime
from enum import StrEnum
from typing import Self

from pydantic import Field, model_validator

from trading_assets.models.base import Symbol, Value


class Account(Value):
    """An account after a session, by the broker's own word; its own currency.

    Attributes:
        account: The broker's name of it; paper accounts begin with DU.
        session: The last one that had closed when it was asked.
        currency: Of every amount, ISO 4217.
        net_liquidation: What all of it is worth.
        gross_position_value: Sum of the absolute values of its positions.
        initial_margin: Needed to hold what it holds.
        maintenance_margin: Needed to keep it.
        daily_pnl: Of the broker's day; None if it did not say.
        recorded_at: When it was asked.
    """

    account: str
    session: date
    currency: str
    net_liquidation: float
    cash: float
    gross_position_value: float | None
    buying_power: float | None
    initial_margin: float | None
    maintenance_margin: float | None
    realized_pnl: float | None
    unrealized_pnl: float | None
    daily_pnl: float | None
    recorded_at: datetime


class AccountPosition(Value):
    """What an account holds of one symbol, by the broker's own word.

    Attributes:
        shares: Signed.
        average_cost: Per share, commissions included, as the broker counts.
        market_price: The broker's mark; None if it did not say.
        expected_shares: What our fills, corporate actions and adoptions add up to.
    """

    account: str
    session: date
    symbol: Symbol
    con_id: int
    currency: str
    shares: float
    average_cost: float | None
    market_price: float | None
    market_value: float | None
    unrealized_pnl: float | None
    expected_shares: float


class AdoptionKind(StrEnum):
    """Why shares are in an account although no order of ours brought them."""

    BASELINE = "baseline"
    EXTERNAL_TRADE = "external_trade"


class Adoption(Value):
    """Shares that a person has taken for granted; from then on they are expected.

    Attributes:
        shares: Signed change of what is expected.
        price: That was paid or got for each, currency per share; None if it concerns no
            strategy.
        strategy: Whose book they come into, or leave; empty for nobody's.
        exec_key: Of the execution that brought them; empty if none is known.
        who: Has decided it.
        why: In their words.
    """

    account: str
    kind: AdoptionKind
    symbol: Symbol
    con_id: int = Field(ge=0)
    shares: float
    price: float | None = Field(default=None, gt=0)
    strategy: str = ""
    exec_key: str = ""
    who: str = Field(min_length=1)
    why: str = Field(min_length=1)
    at: datetime

    @model_validator(mode="after")
    def _has_a_price_in_a_book(self) -> Self:
        if self.strategy and self.price is None:
            raise ValueError(f"{self.symbol} comes into {self.strategy}'s book at a price")
        return self
