from datetime import date, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from trading_assets.strategies.spec import (
    CAPS,
    Draw,
    LlmAnalyst,
    StrategySpec,
    fingerprint,
)

MINIMAL: dict[str, Any] = {
    "name": "mine",
    "universe": ["AAPL", "MSFT"],
    "start": "2020-01-02",
    "analyst": {"kind": "rules", "rule": "trend"},
}


def spec(**told: Any) -> StrategySpec:
    return StrategySpec.model_validate(MINIMAL | told)


def test_four_keys_are_enough() -> None:
    assert spec().capital == 100_000
    assert spec().risk.max_weight_frac == 0.20


@pytest.mark.parametrize(
    "told",
    [
        {"capital": "100000"},
        {"capital": True},
        {"capital": float("inf")},
        {"capital": 0},
        {"risk": {"max_positions": 5.0}},
        {"risk": {"max_positions": True}},
        {"risk": {"min_profit_frac": "0.05"}},
        {"risk": {"cash_check": 1}},
        {"risk": {"max_order_notional": 0}},
        {"risk": {"max_order_notional": "1000"}},
        {"risk": {"max_daily_notional": -1}},
        {"risk": {"max_orders_per_day": 0}},
        {"risk": {"max_orders_per_day": 1.5}},
        {"risk": {"max_daily_loss_frac": 0}},
        {"risk": {"max_daily_loss_frac": 1.5}},
        {"risk": {"cash_check": "yes"}},
        {"execution": {"bracket": 0}},
        {"execution": {"approval": "sometimes"}},
        {"execution": {"approval": None}},
        {"execution": {"max_drift_frac": 0}},
        {"execution": {"max_drift_frac": 1.5}},
        {"execution": {"max_drift_frac": "0.02"}},
        {"costs": {"slippage_bps": True}},
        {"charts": {"daily_sessions": "60"}},
        {"sizing": {"kind": "fixed_shares", "shares": "100"}},
        {"sizing": {"kind": "fixed_shares", "shares": 0}},
        {"sizing": {"kind": "risk_fraction", "risk_frac": True}},
        {"sizing": {"kind": "risk_fraction", "risk_frac": 1.5}},
        {"start": 20200102},
        {"start": 0},
        {"start": "2020-1-2"},
        {"start": "yesterday"},
        {"start": datetime(2020, 1, 2)},  # noqa: DTZ001 - refused either way
        {"start": "1850-01-01"},
        {"start": "2099-01-01"},
        {"schedule": "0 16 * * 1-5"},
        {"name": "market"},
        {"name": "account"},
        {"name": "a" * 33},
        {"universe": []},
        {"universe": ["AAPL", "AAPL"]},
        {"universe": "AAPL"},
        {"analyst": {"kind": "rules", "rule": ""}},
        {"analyst": {"kind": "rules", "rule": "mine", "module": ""}},
    ],
)
def test_nothing_is_taken_for_what_it_is_not(told: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        spec(**told)


def test_a_whole_number_is_a_number() -> None:
    assert spec(capital=5000).capital == 5000.0


def test_a_limit_is_switched_off_with_null() -> None:
    assert spec(risk={"max_weight_frac": None}).risk.max_weight_frac is None


@pytest.mark.parametrize("start", ["2020-01-02", date(2020, 1, 2)])
def test_a_start_is_a_date(start: object) -> None:
    assert spec(start=start).start == date(2020, 1, 2)


def test_what_is_left_over_of_the_analyst_are_its_parameters() -> None:
    analyst = {"kind": "rules", "rule": "sma_cross", "fast": 10, "slow": 50}

    assert spec(analyst=analyst).analyst.parameters == {"fast": 10, "slow": 50}


def test_the_book_hangs_on_what_becomes_of_a_signal_and_on_nothing_else() -> None:
    assert spec(costs={"slippage_bps": 2}).book_hash != spec().book_hash
    assert spec(description="other", benchmark="QQQ").book_hash == spec().book_hash
    assert spec(capital=100_000).book_hash == spec(capital=100_000.0).book_hash
    assert spec(universe=["MSFT", "AAPL"]).book_hash == spec().book_hash


def test_books_that_were_decided_before_there_were_caps_stand() -> None:
    # As the code gave them that knew none of the four.
    limits = {"max_positions": 3, "max_weight_frac": None, "min_profit_frac": 0}

    assert spec().book_hash == "d5591d30bfbd0218"
    assert spec(risk=limits).book_hash == "e680ff6cd9a49924"
    assert spec(risk=dict.fromkeys(CAPS)).book_hash == "d5591d30bfbd0218"


@pytest.mark.parametrize(
    "execution",
    [{"approval": "required"}, {"approval": "entries"}, {"max_drift_frac": 0.1}],
)
def test_a_book_does_not_hang_on_who_has_to_approve_it(execution: dict[str, Any]) -> None:
    # As the code gave it that knew of no approvals.
    assert spec(execution=execution).book_hash == "d5591d30bfbd0218"


@pytest.mark.parametrize("cap", sorted(CAPS))
def test_a_cap_that_is_set_makes_another_book(cap: str) -> None:
    assert spec(risk={cap: 1}).book_hash != spec().book_hash


def test_a_fingerprint_is_the_same_for_ever() -> None:
    # From `printf %s '["a",1,"2020-01-02"]' | sha256sum`.
    assert fingerprint("a", 1, date(2020, 1, 2)) == "2fdb7fa276904d18"


def asking(**told: Any) -> dict[str, Any]:
    return {"analyst": {"kind": "llm", "model": "openai/gpt-6-luna"} | told}


@pytest.mark.parametrize(
    "told",
    [
        {"model": "gpt-6-luna"},
        {"model": "google/gemini-3"},
        {"model": "openai/two words"},
        {"fallback": ["openai/gpt-6-luna"]},
        {"fallback": ["openai/a", "openai/a"]},
        {"effort": "max"},
        {"max_tokens": 255},
        {"samples": 0},
        {"samples": 16},
        {"samples": 2.0},
        {"blind": "yes"},
        {"sees": []},
        {"sees": ["charts", "charts"]},
        {"sees": ["news"]},
        {"table_bars": 4},
        {"prompts": ""},
        {"concurrency": 0},
        {"timeout_seconds": 0},
        {"budget": {"run_usd": -1}},
        {"budget": {"week_usd": 1}},
        {"cutoff": 2026},
        {"cutoff": "June 2026"},
        {"debate": True},
        {"kind": "panel", "debate": "no"},
    ],
)
def test_an_analyst_that_can_not_be_asked_is_refused(told: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        spec(**asking(**told))


def test_a_model_is_enough_and_is_asked_blind() -> None:
    analyst = spec(**asking()).analyst

    assert isinstance(analyst, LlmAnalyst)
    assert analyst.blind
    assert analyst.models == ("openai/gpt-6-luna",)


def test_charts_are_drawn_every_session_for_who_looks_at_them() -> None:
    assert spec(**asking()).draw is Draw.ALL
    assert spec(**asking(kind="panel")).draw is Draw.ALL
    assert spec(**asking(sees=["table"])).draw is Draw.CURRENT
    assert spec(**asking(), charts={"draw": "none"}).draw is Draw.NONE
