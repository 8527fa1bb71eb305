"""Sizes that follow what an analyst's word was worth, and books that know nothing of it."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from trading_assets.core.book import Book
from trading_assets.core.deciding import Plan, decide, order_rows
from trading_assets.core.exchange import SimulatedExchange
from trading_assets.core.market_days import MarketDays
from trading_assets.core.venue import Row
from trading_assets_tests.make import FIRST, Said, flat, make_days, make_sessions, make_spec

LEVELS = Said(0, "AAA", "BUY", stop=95.0, target=110.0)
RISKED = {"kind": "risk_fraction", "risk_frac": 0.01, "confidence": "calibrated"}


def make_trust(
    multiple: float, probability: float = np.nan, payoff: float = np.nan, day: int = 0
) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "symbol": ["AAA"],
            "session": [pd.Timestamp(make_sessions(day + 1)[day])],
            "multiple": [multiple],
            "probability": [probability],
            "payoff": [payoff],
        }
    )


def decided(trust: pd.DataFrame | None, **changes: Any) -> Row:
    """The one row of `orders` of a BUY at 100 with a stop at 95, by a book of 100,000."""
    plan = Plan.of(make_spec(**({"sizing": RISKED} | changes)))
    days = make_days({"AAA": [flat(100)]}, said=[LEVELS], trust=trust)
    book = Book.opened_with(100_000)
    book.mark(days.closes(0))
    exchange = SimulatedExchange(
        strategy=plan.spec.name, days=days, costs=plan.spec.costs, book=book
    )
    (row,) = order_rows(plan, days, 0, decide(plan, days, 0, exchange))
    return row


def test_an_order_gets_the_part_of_its_size_that_its_signal_is_worth() -> None:
    row = decided(make_trust(0.4, 0.6, 1.0))

    assert row["shares"] == 80
    assert row["reason"] == (
        "BUY with score 50; risk_fraction 200.00 x 0.40 (p 0.600, b 1.00) -> 80"
    )


def test_an_uncalibrated_analyst_gets_the_size_of_the_file_and_says_so() -> None:
    row = decided(make_trust(1.0))

    assert row["shares"] == 200
    assert row["reason"].endswith("risk_fraction 200.00 x 1.00 (uncalibrated) -> 200")


def test_a_signal_with_the_odds_against_it_is_refused_by_name() -> None:
    row = decided(make_trust(0.0, 0.35, 1.0))

    assert (row["shares"], row["status"]) == (0, "refused")
    assert row["reason"] == (
        "confidence: below one share: risk_fraction 200.00 x 0.00 (p 0.350, b 1.00) "
        "= 0.0000"
    )


def test_limits_come_after_it() -> None:
    row = decided(make_trust(0.5, 0.6, 2.0), risk={"max_weight_frac": 0.05})

    assert row["shares"] == 50
    assert "x 0.50 (p 0.600, b 2.00), max_weight_frac 0.05 -> 50" in row["reason"]


@pytest.mark.parametrize(
    "sizing",
    [
        {"kind": "fixed_shares", "shares": 200},
        {"kind": "fixed_notional", "notional": 20_000},
        {"kind": "risk_fraction", "risk_frac": 0.01},
    ],
)
def test_every_kind_of_sizing_is_scaled_alike(sizing: dict[str, Any]) -> None:
    whole = decided(None, sizing=sizing)
    half = decided(make_trust(0.5, 0.6, 2.0), sizing=sizing | {"confidence": "calibrated"})

    assert (whole["shares"], half["shares"]) == (200, 100)
    assert "(" not in whole["reason"]


# What books are made of


def digest(days: MarketDays, day: int = 0) -> bytes:
    return days.digest(day, days.symbols)


def test_a_strategy_that_does_not_ask_has_the_plan_it_always_had() -> None:
    plain, asking = (
        Plan.of(make_spec(sizing={"kind": "fixed_shares", "shares": 100, **more}))
        for more in ({}, {"confidence": "calibrated"})
    )
    spelled = make_spec(sizing={"kind": "fixed_shares", "shares": 100, "confidence": None})

    assert plain.rules_hash == Plan.of(make_spec()).rules_hash
    assert plain.rules_hash == Plan.of(spelled).rules_hash
    # As the code gave it that knew no confidence.
    assert plain.spec.book_hash == "4eec2b4f8202f449"
    assert asking.rules_hash != plain.rules_hash


def test_what_a_signal_is_worth_is_part_of_its_session_and_of_no_other() -> None:
    candles = {"AAA": [flat(100), flat(101)]}
    own = [
        make_days(candles, said=[LEVELS], trust=trust)
        for trust in (
            make_trust(0.4, 0.6, 1.0),
            make_trust(0.4, 0.6, 1.5),
            make_trust(0.4, 0.7, 1.0),
        )
    ]

    assert len({digest(days) for days in own}) == 3
    assert len({digest(days, 1) for days in own}) == 1
    assert digest(own[0].since(1)) == digest(own[0], 1)


def test_without_it_a_session_is_what_it_was() -> None:
    days = make_days({"AAA": [flat(100)]}, said=[LEVELS])

    assert days.trust is None
    assert digest(days) != digest(replace(days, trust=np.full((1, 1, 3), np.nan)))
    assert days.sessions[0] == FIRST
