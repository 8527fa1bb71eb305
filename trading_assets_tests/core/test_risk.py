"""Every rule of the gate at its limit, just beyond it, and switched off."""

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_assets.core.risk import (
    RULES,
    Proposal,
    Room,
    clamp_to_weight,
    objection,
)
from trading_assets.strategies.spec import Risk

OPEN = Risk(
    min_risk_reward=None,
    min_profit_frac=None,
    max_positions=None,
    max_weight_frac=None,
    cash_check=False,
)
LONG = Proposal(sign=1, shares=10, close=100, entry=100, stop=95, target=110, commission=1)
SHORT = replace(LONG, sign=-1, stop=105, target=90)
ROOM = Room(equity=10_000, cash=10_000, positions=0, equity_before=10_000)


def refusal(proposal: Proposal = LONG, room: Room = ROOM, **limits: Any) -> str | None:
    """What stands against *proposal* when only *limits* are on."""
    return objection(proposal, room, OPEN.model_copy(update=limits))


def test_rules_are_asked_in_a_fixed_order() -> None:
    assert list(RULES) == [
        "level_order",
        "min_risk_reward",
        "min_profit_frac",
        "max_positions",
        "cash_check",
        "max_order_notional",
        "max_daily_notional",
        "max_orders_per_day",
        "max_daily_loss_frac",
    ]


@pytest.mark.parametrize("proposal", [LONG, SHORT], ids=["long", "short"])
def test_with_every_rule_off_a_sound_proposal_passes(proposal: Proposal) -> None:
    room = Room(equity=0, cash=0, positions=99, equity_before=1e9, orders=99, notional=1e9)

    assert refusal(proposal, room) is None


def test_levels_that_are_not_there_stand_against_nothing_by_themselves() -> None:
    assert refusal(replace(LONG, stop=None, target=None)) is None


@pytest.mark.parametrize(
    ("proposal", "said"),
    [
        (
            replace(LONG, stop=100),
            "level_order: stop 100.0000 on the wrong side of entry 100.0000",
        ),
        (
            replace(LONG, target=99),
            "level_order: target 99.0000 on the wrong side of entry 100.0000",
        ),
        (
            replace(SHORT, stop=99),
            "level_order: stop 99.0000 on the wrong side of entry 100.0000",
        ),
        (
            replace(SHORT, target=101),
            "level_order: target 101.0000 on the wrong side of entry 100.0000",
        ),
    ],
)
def test_levels_lie_on_their_side_of_the_entry(proposal: Proposal, said: str) -> None:
    assert refusal(proposal) == said


def test_reward_over_risk_reaches_the_limit() -> None:
    assert refusal(min_risk_reward=2.0) is None
    assert refusal(SHORT, min_risk_reward=2.0) is None
    assert refusal(min_risk_reward=2.01) == (
        "min_risk_reward: risk/reward 2.0000 below 2.01"
    )


def test_exactly_one_to_one_passes_although_floats_disagree() -> None:
    proposal = replace(LONG, entry=0.2, close=0.2, stop=0.1, target=0.3)

    assert (0.3 - 0.2) / (0.2 - 0.1) < 1
    assert refusal(proposal, min_risk_reward=1.0) is None


@pytest.mark.parametrize("missing", ["stop", "target"])
def test_reward_over_risk_needs_both_levels(missing: str) -> None:
    proposal = replace(LONG, **{missing: None})

    assert refusal(proposal, min_risk_reward=1.0) == (
        "min_risk_reward: needs stop and target for 1, the signal lacks one"
    )
    assert refusal(proposal, min_risk_reward=0) is None
    assert refusal(proposal, min_risk_reward=None) is None


def test_profit_reaches_the_limit() -> None:
    assert refusal(min_profit_frac=0.10) is None
    assert refusal(SHORT, min_profit_frac=0.10) is None
    assert refusal(min_profit_frac=0.11) == (
        "min_profit_frac: profit fraction 0.1000 below 0.11"
    )


def test_profit_needs_a_target() -> None:
    proposal = replace(LONG, target=None)

    assert refusal(proposal, min_profit_frac=0.05) == (
        "min_profit_frac: needs a target for 0.05, the signal has none"
    )
    assert refusal(proposal, min_profit_frac=0) is None
    assert refusal(proposal, min_profit_frac=None) is None


def test_no_more_positions_than_allowed() -> None:
    assert refusal(room=replace(ROOM, positions=2), max_positions=3) is None
    assert refusal(room=replace(ROOM, positions=3), max_positions=3) == (
        "max_positions: 3 positions held or ordered of 3 allowed"
    )


def test_worth_at_the_close_and_commission_are_there_in_cash() -> None:
    assert refusal(room=replace(ROOM, cash=1_001), cash_check=True) is None
    assert refusal(room=replace(ROOM, cash=1_000.99), cash_check=True) == (
        "cash_check: needs 1,001.00, 1,000.99 are free"
    )


def test_a_short_ties_up_what_a_long_does() -> None:
    assert refusal(SHORT, replace(ROOM, cash=1_000.99), cash_check=True) is not None


# Caps


@pytest.mark.parametrize("proposal", [LONG, SHORT], ids=["long", "short"])
def test_one_entry_is_worth_no_more_than_its_cap(proposal: Proposal) -> None:
    assert refusal(proposal, max_order_notional=1_000) is None
    assert refusal(proposal, max_order_notional=999.99) == (
        "max_order_notional: worth 1,000.00 above 999.99"
    )


def test_entries_of_an_evening_are_together_worth_no_more_than_their_cap() -> None:
    room = replace(ROOM, notional=500)

    assert refusal(room=room, max_daily_notional=1_500) is None
    assert refusal(room=room, max_daily_notional=1_499) == (
        "max_daily_notional: worth of this evening's entries 1,500.00 above 1,499.00"
    )


def test_entries_of_an_evening_are_no_more_than_their_cap() -> None:
    assert refusal(room=replace(ROOM, orders=1), max_orders_per_day=2) is None
    assert refusal(room=replace(ROOM, orders=2), max_orders_per_day=2) == (
        "max_orders_per_day: 2 entries this evening of 2 allowed"
    )


def test_after_a_loss_beyond_its_cap_nothing_is_entered() -> None:
    assert refusal(room=replace(ROOM, equity=9_800), max_daily_loss_frac=0.02) is None
    assert refusal(room=replace(ROOM, equity=9_799), max_daily_loss_frac=0.02) == (
        "max_daily_loss_frac: loss since the close before 201.00 above 200.00"
    )


def test_a_gain_is_no_loss() -> None:
    assert refusal(room=replace(ROOM, equity=20_000), max_daily_loss_frac=1e-9) is None


@pytest.mark.parametrize(
    ("equity", "is_refused"), [(-101, True), (-100, False), (5, False)]
)
def test_a_book_below_zero_may_lose_nothing_more(equity: float, is_refused: bool) -> None:  # noqa: FBT001 - a table's column
    room = replace(ROOM, equity=equity, equity_before=-100)

    assert (refusal(room=room, max_daily_loss_frac=1) is not None) == is_refused


def test_a_loss_that_is_not_known_lets_nothing_through() -> None:
    room = replace(ROOM, equity_before=math.nan)

    assert refusal(room=room, max_daily_loss_frac=0.5) is not None


def test_what_is_let_through_leaves_less_room() -> None:
    room = replace(ROOM)
    room.take(LONG)
    room.take(SHORT)

    assert room == Room(
        equity=10_000,
        cash=7_998,
        positions=2,
        equity_before=10_000,
        orders=2,
        notional=2_000,
    )


def test_the_first_rule_that_objects_is_named() -> None:
    proposal = replace(LONG, stop=101, target=None)

    assert str(refusal(proposal, min_profit_frac=0.5)).startswith("level_order")


@pytest.mark.parametrize(
    ("wanted", "max_weight_frac", "shares"),
    [
        pytest.param(7.9, None, 7, id="cut to whole shares"),
        pytest.param(300.0, 0.20, 20, id="clamped to the weight"),
        pytest.param(20.0, 0.20, 20, id="exactly the weight"),
        pytest.param(300.0, 0.009, 0, id="below one share"),
        pytest.param(300.0, 1.5, 150, id="more than all there is, if allowed"),
    ],
)
def test_a_wish_is_cut_to_whole_shares_within_the_weight(
    wanted: float, max_weight_frac: float | None, shares: int
) -> None:
    risk = OPEN.model_copy(update={"max_weight_frac": max_weight_frac})

    assert clamp_to_weight(wanted, close=100, equity=10_000, risk=risk) == shares


def test_a_book_that_has_lost_everything_may_hold_nothing() -> None:
    risk = OPEN.model_copy(update={"max_weight_frac": 0.2})

    assert clamp_to_weight(300.0, close=100, equity=-1, risk=risk) == 0


@given(
    wanted=st.floats(0, 1e6),
    close=st.floats(0.01, 1e4),
    equity=st.floats(-1e6, 1e7),
    weight=st.none() | st.floats(0.001, 2),
)
def test_no_clamp_ever_enlarges_a_position(
    wanted: float, close: float, equity: float, weight: float | None
) -> None:
    risk = OPEN.model_copy(update={"max_weight_frac": weight})

    shares = clamp_to_weight(wanted, close=close, equity=equity, risk=risk)

    assert 0 <= shares <= wanted * (1 + 1e-8)
    if weight is not None:
        assert shares * close <= max(equity, 0) * weight * (1 + 1e-8)
