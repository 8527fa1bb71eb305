"""Opinions. None of them is an instruction."""

from datetime import date
from enum import StrEnum

from pydantic import Field

from trading_assets.models.bar import Price
from trading_assets.models.base import StrategyName, Symbol, Value


class Action(StrEnum):
    """What an analyst wants to be: long, flat, or as it is."""

    BUY = "BUY"
    SELL = "SELL"
    HOLD = "HOLD"


class Confidence(StrEnum):
    """How sure an analyst is, for people."""

    HIGH = "HIGH"
    MEDIUM = "MEDIUM"
    LOW = "LOW"


class Signal(Value):
    """A view of one symbol at one session's close.

    Attributes:
        action: None for an abstention, which acts as HOLD and is not one.
        confidence_score: 0 to 100, for arithmetic.
        entry: Price the view was formed at, currency per share.
        stop_loss: Where the view is wrong; None when it names no level.
        take_profit: Where it has come true; None when it names no level.
        risk_reward: (target - entry) / (entry - stop), signs kept; None without both.
        analyst: Kind and rule, such as ``rules:sma_cross``.
        call_id: The model call it came from; empty for arithmetic.
        is_out_of_sample: Whether what came next was unknown when the analyst was made;
            None where nobody can say.
        inputs_hash: Of what the analyst was shown, and of the analyst.
    """

    strategy: StrategyName
    symbol: Symbol
    session: date
    action: Action | None
    confidence: Confidence | None
    confidence_score: float | None = Field(ge=0, le=100)
    entry: Price | None
    stop_loss: Price | None
    take_profit: Price | None
    risk_reward: float | None
    reasoning: str
    analyst: str
    model: str
    prompt_version: str
    call_id: str
    cost_usd: float = Field(ge=0)
    is_abstention: bool
    is_out_of_sample: bool | None
    inputs_hash: str
