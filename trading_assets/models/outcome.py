"""What became of an opinion."""

from datetime import date
from enum import StrEnum

from pydantic import Field

from trading_assets.models.bar import Price
from trading_assets.models.base import StrategyName, Symbol, Value
from trading_assets.models.signal import Action


class FirstTouch(StrEnum):
    """What ended the trade that a signal describes: a level, or its time."""

    TARGET = "target"
    STOP = "stop"
    TIME = "time"


class SignalOutcome(Value):
    """One signal after one horizon; a horizon that is not over has no row.

    The trade is entered at the open of the bar after the signal's. Prices are in the scale
    of the signal's session, and dividends no part of them. All fractions are of the entry.
    A SELL is a short; what says nothing, HOLD or an abstention, tells of the share itself.

    Attributes:
        horizon_sessions: How many of the symbol's own bars after the signal's.
        return_frac: From entry to the horizon's close, whatever the levels say.
        alpha_frac: How much of it the benchmark does not explain, by plain difference over
            the same sessions; None without its bars.
        first_touch: None where there is no trade.
        r_multiple: What the trade gained, in units of the way from entry to stop; None
            without a stop on the losing side of the entry.
        mfe_frac: The best price on the way, 0 or above; to the horizon, touched or not.
        mae_frac: The worst price on the way, 0 or below; likewise.
        exit_price: Where the level, or the horizon's close, ended the trade.
        exit_session: When it did.
        resolved_session: At whose close the horizon was over: from then on it is known.
        trade_return_frac: From entry to exit; None where there is no trade.
        net_return_frac: The same after the strategy's costs.
        action: The signal's, as are the columns after it.
    """

    strategy: StrategyName
    symbol: Symbol
    session: date
    horizon_sessions: int = Field(gt=0)
    return_frac: float
    alpha_frac: float | None
    first_touch: FirstTouch | None
    r_multiple: float | None
    mfe_frac: float
    mae_frac: float
    entry_price: Price
    exit_price: Price | None
    exit_session: date | None
    resolved_session: date
    trade_return_frac: float | None
    net_return_frac: float | None
    action: Action | None
    confidence_score: float | None = Field(ge=0, le=100)
    analyst: str
    model: str
    prompt_version: str
    is_out_of_sample: bool | None
    is_abstention: bool
    cost_usd: float = Field(ge=0)
