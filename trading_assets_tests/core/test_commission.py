"""Commissions, each worked out by hand from the published plans."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_assets.core.commission import commission
from trading_assets.strategies.spec import CommissionPlan

FIXED, TIERED, NONE = (
    CommissionPlan.IBKR_FIXED,
    CommissionPlan.IBKR_TIERED,
    CommissionPlan.NONE,
)


@pytest.mark.parametrize(
    ("plan", "shares", "price", "charged"),
    [
        pytest.param(FIXED, 1_000, 50.0, 5.00, id="fixed per share"),
        pytest.param(FIXED, 200, 50.0, 1.00, id="fixed exactly at its minimum"),
        pytest.param(FIXED, 10, 50.0, 1.00, id="fixed minimum"),
        pytest.param(FIXED, 10, 5.0, 0.50, id="fixed capped at one percent"),
        pytest.param(FIXED, 1_000, 0.25, 2.50, id="the cap also holds above the minimum"),
        pytest.param(FIXED, 201, 50.0, 1.01, id="fixed half a cent goes up: 1.005"),
        pytest.param(FIXED, 203, 50.0, 1.02, id="fixed half a cent goes up: 1.015"),
        pytest.param(FIXED, 205, 50.0, 1.03, id="fixed half a cent goes up: 1.025"),
        pytest.param(FIXED, 1, 2.5, 0.03, id="a capped half cent goes up: 0.025"),
        pytest.param(FIXED, 1, 0.4, 0.00, id="below half a cent is free: 0.004"),
        pytest.param(TIERED, 1_000, 50.0, 3.50, id="tiered per share"),
        pytest.param(TIERED, 100, 50.0, 0.35, id="tiered exactly at its minimum"),
        pytest.param(TIERED, 10, 50.0, 0.35, id="tiered minimum"),
        pytest.param(TIERED, 110, 50.0, 0.39, id="tiered half a cent goes up: 0.385"),
        pytest.param(TIERED, 130, 50.0, 0.46, id="tiered half a cent goes up: 0.455"),
        pytest.param(TIERED, 10, 3.0, 0.30, id="tiered capped at one percent"),
        pytest.param(NONE, 1_000, 50.0, 0.00, id="none"),
    ],
)
def test_an_order_is_charged_what_its_plan_says(
    plan: CommissionPlan, shares: int, price: float, charged: float
) -> None:
    assert commission(plan, shares=shares, price=price) == charged


@given(
    plan=st.sampled_from(CommissionPlan),
    shares=st.integers(1, 1_000_000),
    price=st.floats(0.0001, 100_000),
)
def test_no_order_costs_more_than_one_percent_and_half_a_cent(
    plan: CommissionPlan, shares: int, price: float
) -> None:
    charged = commission(plan, shares=shares, price=price)

    assert 0 <= charged <= shares * price * 0.01 + 0.005 + 1e-9
    assert charged == round(charged, 2)
