"""What a broker takes per order.

Source: Interactive Brokers' published US stock plans; the tiered plan's exchange and
clearing fees are left out.
"""

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

import numpy as np
from numpy.typing import NDArray

from trading_assets.strategies.spec import CommissionPlan

CENT = Decimal("0.01")
HIGHEST_FRAC = Decimal("0.01")
"""No order costs more than this fraction of its worth."""


@dataclass(frozen=True, slots=True)
class Rate:
    """Account currency per share, and the least per order."""

    per_share: Decimal
    minimum: Decimal


RATES = {
    CommissionPlan.IBKR_FIXED: Rate(Decimal("0.005"), Decimal("1.00")),
    CommissionPlan.IBKR_TIERED: Rate(Decimal("0.0035"), Decimal("0.35")),
}


def commission(plan: CommissionPlan, *, shares: int, price: float) -> float:
    """What *plan* takes for one order, account currency.

    min(max(per share x shares, minimum), 1 % of value), rounded half up to a cent. In
    decimals, because half a cent is not a binary fraction.

    Args:
        plan: Whose prices.
        shares: Above zero.
        price: Of the fill, currency per share.
    """
    if (rate := RATES.get(plan)) is None:
        return 0.0
    value = abs(Decimal(repr(price))) * shares
    charged = min(max(rate.per_share * shares, rate.minimum), value * HIGHEST_FRAC)
    return float(charged.quantize(CENT, ROUND_HALF_UP))


def commissions(
    plan: CommissionPlan, *, shares: NDArray[np.float64], price: NDArray[np.float64]
) -> NDArray[np.float64]:
    """What *plan* takes for each of many orders, account currency, not rounded to cents.

    For what is never booked: a cent is far below what such figures are good for.
    """
    if (rate := RATES.get(plan)) is None:
        return np.zeros(len(price))
    charged = np.maximum(float(rate.per_share) * shares, float(rate.minimum))
    return np.minimum(charged, shares * np.abs(price) * float(HIGHEST_FRAC))
