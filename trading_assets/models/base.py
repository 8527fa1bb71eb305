"""What every value of ours has in common, and the words they are made of."""

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints

Symbol = Annotated[str, StringConstraints(pattern=r"^[A-Z0-9^][A-Z0-9.\-/^=]{0,15}$")]
"""A ticker as its exchange writes it: ``BRK.B``, ``^GSPC``, ``BTC/USD``."""

StrategyName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,31}$")]
"""What a strategy is called; its assets carry it as their prefix."""


class Value(BaseModel):
    """A value: immutable, and nothing in it that was not declared."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Side(StrEnum):
    """Which way an order moves the position."""

    BUY = "BUY"
    SELL = "SELL"

    @property
    def sign(self) -> int:
        """+1 for a buy, -1 for a sell."""
        return 1 if self is Side.BUY else -1


class Lane(StrEnum):
    """Where a strategy's orders are traded; its books are kept apart by it."""

    SIMULATED = "simulated"
    IBKR = "ibkr"
    REPLAY = "replay"
