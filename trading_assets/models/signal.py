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
        cost_usd: Of all calls that led to it, when they were made.
        input_tokens: Of all those calls, those from the provider's cache included.
        output_tokens: Of all those calls.
        latency_seconds: Of all those calls, one after the other.
        is_out_of_sample: Whether it is later than what the model can have read; None when
            that is not known. Arithmetic has read nothing.
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
    input_tokens: int = Field(default=0, ge=0)
    output_tokens: int = Field(default=0, ge=0)
    latency_seconds: float = Field(default=0.0, ge=0)
    is_abstention: bool
    is_out_of_sample: bool | None = None
    inputs_hash: str
