"""Each way of sizing, worked out by hand."""

import pytest

from trading_assets.core.sizing import LevelMissing, shares_wanted, volatility_indicator
from trading_assets.strategies.spec import (
    FixedNotional,
    FixedShares,
    RiskFraction,
    Sizing,
    VolatilityTarget,
)

ONE_PERCENT = RiskFraction(kind="risk_fraction", risk_frac=0.01)
TENTH = VolatilityTarget(kind="volatility_target", annual_volatility_frac=0.10)


def wanted(sizing: Sizing, **changes: float | None) -> float:
    """Shares of a book worth 100,000 at a price of 50."""
    given = {"equity": 100_000.0, "price": 50.0, "stop": None, "volatility": None}
    return shares_wanted(sizing, **{**given, **changes})


def test_fixed_shares_are_fixed() -> None:
    assert wanted(FixedShares(kind="fixed_shares", shares=100)) == 100


def test_fixed_notional_is_divided_by_the_price() -> None:
    assert wanted(FixedNotional(kind="fixed_notional", notional=10_000)) == 200


@pytest.mark.parametrize(
    ("stop", "shares"),
    [
        pytest.param(48.0, 500.0, id="long"),
        pytest.param(52.0, 500.0, id="short"),
        pytest.param(48.5, 1000 / 1.5, id="not yet cut to whole shares"),
    ],
)
def test_the_loss_at_the_stop_is_the_fraction_risked(stop: float, shares: float) -> None:
    assert wanted(ONE_PERCENT, stop=stop) == pytest.approx(shares)


def test_a_position_swings_by_the_volatility_targeted() -> None:
    # 10 % of 100,000 is what 500 shares at 50 move by when they move 40 % a year.
    assert wanted(TENTH, volatility=0.40) == pytest.approx(500)


@pytest.mark.parametrize("sizing", [ONE_PERCENT, TENTH], ids=lambda own: own.kind)
def test_a_book_that_has_lost_everything_wants_nothing(sizing: Sizing) -> None:
    assert wanted(sizing, equity=-1.0, stop=48.0, volatility=0.4) == 0


@pytest.mark.parametrize(
    ("stop", "said"),
    [(None, "needs a stop_loss, the signal has none"), (50.0, "apart from 50")],
)
def test_risk_fraction_needs_a_stop_apart_from_the_price(
    stop: float | None, said: str
) -> None:
    with pytest.raises(LevelMissing, match=said):
        wanted(ONE_PERCENT, stop=stop)


@pytest.mark.parametrize("volatility", [None, 0.0])
def test_a_volatility_target_needs_a_volatility(volatility: float | None) -> None:
    with pytest.raises(LevelMissing, match="needs a volatility"):
        wanted(TENTH, volatility=volatility)


def test_only_a_volatility_target_needs_an_indicator() -> None:
    assert volatility_indicator(TENTH) == "volatility_20"
    assert volatility_indicator(ONE_PERCENT) is None
