"""How much to hold: a wish in shares, before any limit.

Each way answers in shares that need not be whole; the risk gate cuts them.
"""

from trading_assets.strategies.spec import (
    FixedNotional,
    FixedShares,
    RiskFraction,
    Sizing,
    VolatilityTarget,
)


class LevelMissing(ValueError):
    """A way of sizing needs a level that the signal or the market does not give."""


def shares_wanted(
    sizing: Sizing,
    *,
    equity: float,
    price: float,
    stop: float | None,
    volatility: float | None,
) -> float:
    """Shares to enter with, at least 0 and not rounded.

    Args:
        sizing: Which way, with its numbers.
        equity: Worth of the book at the close, account currency.
        price: Expected of the entry, currency per share.
        stop: Where the view is wrong; only `RiskFraction` needs it.
        volatility: Of daily returns, annual; only `VolatilityTarget` needs it.

    Raises:
        LevelMissing: If the way needs a number that is not there.
    """
    match sizing:
        case FixedShares(shares=shares):
            return float(shares)
        case FixedNotional(notional=notional):
            return notional / price
        case RiskFraction(risk_frac=risk_frac):
            return max(equity, 0.0) * risk_frac / _distance(price, stop)
        case VolatilityTarget(annual_volatility_frac=target):
            if not volatility:
                raise LevelMissing("volatility_target needs a volatility, none yet")
            return max(equity, 0.0) * target / (volatility * price)


def _distance(price: float, stop: float | None) -> float:
    if stop is None:
        raise LevelMissing("risk_fraction needs a stop_loss, the signal has none")
    if stop == price:
        raise LevelMissing(f"risk_fraction needs a stop_loss apart from {price:g}")
    return abs(price - stop)


def volatility_indicator(sizing: Sizing) -> str | None:
    """Name of the indicator that *sizing* needs, or None."""
    if isinstance(sizing, VolatilityTarget):
        return f"volatility_{sizing.window_sessions}"
    return None
