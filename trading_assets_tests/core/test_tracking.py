import json
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pandas as pd
import pytest

from trading_assets.core.tracking import SessionRows, Tale, plain_rows
from trading_assets.models.base import Lane
from trading_assets.models.chart import Timeframe
from trading_assets.models.signal import Signal
from trading_assets.models.tracking import TrackedRun, TrackedSession
from trading_assets_tests.make import make_spec

SESSION = date(2024, 1, 12)
AT = datetime(2024, 1, 12, 21, tzinfo=UTC)
PNG = b"a picture"

SIGNAL: dict[str, Any] = {
    **dict.fromkeys(Signal.model_fields),
    "strategy": "reference",
    "symbol": "AAA",
    "session": "2024-01-12",
    "action": "BUY",
    "confidence": "HIGH",
    "confidence_score": 80.0,
    "entry": 100.0,
    "stop_loss": 95.0,
    "take_profit": 110.0,
    "risk_reward": 2.0,
    "reasoning": "It rose.",
    "analyst": "llm",
    "model": "anthropic/claude-x",
    "prompt_version": "abc123",
    "cost_usd": 0.02,
    "is_abstention": False,
}
ORDER: dict[str, Any] = {
    "order_id": "entry",
    "symbol": "AAA",
    "leg": "entry",
    "side": "BUY",
    "shares": 50,
    "status": "submitted",
    "reason": "wants to be long",
}
PORTFOLIO: dict[str, Any] = {
    "session": "2024-01-12",
    "cash": 60_000.0,
    "market_value": 41_000.0,
    "equity": 101_000.0,
    "gross_exposure_frac": 0.4,
    "realized_pnl": 500.0,
    "unrealized_pnl": 500.0,
    "commission_paid": 3.0,
    "drawdown_frac": 0.01,
}
POSITION = {"symbol": "BBB", "shares": 10, "market_value": 410.0, "unrealized_pnl": 5.0}


def make_rows(**changes: Any) -> SessionRows:
    rows = SessionRows(
        session=SESSION,
        bars=[{"symbol": "AAA", "close": 101.5}, {"symbol": "BBB", "close": 41.0}],
        signals=[SIGNAL],
        orders=[ORDER],
        order_events=[],
        coverage=[{"asset": "bars", "symbol": "AAA", "status": "ok", "reason": ""}],
        positions=[POSITION],
        portfolio=PORTFOLIO,
        charts={("AAA", Timeframe.DAILY): PNG},
        fates={},
    )
    return replace(rows, **changes)


def told(**changes: Any) -> TrackedSession:
    tale = Tale(make_spec(universe=("AAA", "BBB")), Lane.SIMULATED, "f00")
    return tale.session(make_rows(**changes), step=9, at=AT, told_by={"who": "run-1"})


def run_of(session: TrackedSession, symbol: str) -> TrackedRun:
    (own,) = [run for run in session.symbols if run.tags["symbol"] == symbol]
    return own


def files(run: TrackedRun) -> dict[str, bytes]:
    return {own.path: own.content for own in run.artifacts}


def test_a_symbol_says_what_was_thought_of_it_and_what_was_ordered() -> None:
    run = run_of(told(), "AAA")

    assert run.name == "AAA BUY"
    assert run.note == "It rose."
    assert (
        run.parameters.items()
        >= {
            "symbol": "AAA",
            "position_size": "50",
            "order_side": "BUY",
            "provider": "anthropic",
            "model": "anthropic/claude-x",
            "prompt_version": "abc123",
            "action": "BUY",
            "confidence": "HIGH",
            "rules_hash": "f00",
        }.items()
    )
    assert run.metrics == {
        "latest_price": 101.5,
        "confidence_score": 80.0,
        "risk_reward": 2.0,
        "order_placed": 1.0,
        "shares_held": 0.0,
        "market_value": 0.0,
        "unrealized_pnl": 0.0,
        "portfolio_value": 101_000.0,
        "call_cost_usd": 0.02,
    }
    assert run.tags == {
        "strategy": "reference",
        "lane": "simulated",
        "session": "2024-01-12",
        "symbol": "AAA",
    }


def test_a_symbol_brings_its_signal_and_the_charts_that_were_drawn() -> None:
    kept = files(run_of(told(), "AAA"))

    assert kept.keys() == {"signal.json", "daily_chart.png"}
    assert kept["daily_chart.png"] == PNG
    assert json.loads(kept["signal.json"]) == SIGNAL


def test_what_is_held_without_a_signal_is_told_too() -> None:
    run = run_of(told(), "BBB")

    assert run.name == "BBB no signal"
    assert run.metrics["shares_held"] == 10
    assert run.metrics["unrealized_pnl"] == 5
    assert "action" not in run.parameters
    assert files(run) == {}


def test_an_abstention_is_not_a_hold_and_has_no_figures() -> None:
    signal = {**SIGNAL, "action": None, "confidence": None, "confidence_score": None}
    run = run_of(told(signals=[signal], orders=[]), "AAA")

    assert run.name == "AAA abstained"
    assert "action" not in run.parameters
    assert "confidence_score" not in run.metrics
    assert run.metrics["order_placed"] == 0
    assert run.parameters["position_size"] == "0"


@pytest.mark.parametrize(
    ("model", "analyst", "provider"),
    [
        ("", "rules:sma_cross", "rules"),
        ("openai/gpt-x", "llm", "openai"),
        ("", "panel", "panel"),
    ],
)
def test_a_provider_is_who_served_the_model_or_the_kind_of_analyst(
    model: str, analyst: str, provider: str
) -> None:
    signal = {**SIGNAL, "model": model, "analyst": analyst}

    assert run_of(told(signals=[signal]), "AAA").parameters["provider"] == provider


def test_a_refused_order_was_not_placed_and_says_why() -> None:
    refused = {**ORDER, "status": "refused", "reason": "max_positions: 2 of 2"}
    session = told(orders=[refused])

    assert run_of(session, "AAA").metrics["order_placed"] == 0
    assert session.book.metrics["orders_refused"] == 1
    assert "refused: max_positions: 2 of 2" in session.book.note
    debug = json.loads(files(session.book)["debug.json"])
    assert debug["refusals"] == [{"symbol": "AAA", "why": "max_positions: 2 of 2"}]
    assert debug["coverage"][0]["status"] == "ok"
    assert debug["strategy"]["name"] == "reference"


@pytest.mark.parametrize(
    ("status", "became", "is_placed"),
    [
        pytest.param("submitted", set(), True, id="nothing was heard yet"),
        pytest.param("submitted", {"working", "cancelled"}, True, id="cancelled later"),
        pytest.param("submitted", {"rejected"}, True, id="rejected by the broker"),
        pytest.param("submitted", {"cancelled"}, False, id="not sent after all"),
        pytest.param("awaiting_approval", set(), False, id="nobody has said anything"),
        pytest.param("awaiting_approval", {"approved"}, False, id="not sent yet"),
        pytest.param("awaiting_approval", {"approved", "working"}, True, id="let out"),
        pytest.param("awaiting_approval", {"approved", "filled"}, True, id="filled"),
        pytest.param("awaiting_approval", {"approved", "rejected"}, True, id="by broker"),
        pytest.param("awaiting_approval", {"approved", "cancelled"}, False, id="drifted"),
        pytest.param("awaiting_approval", {"rejected"}, False, id="a person said no"),
        pytest.param("awaiting_approval", {"expired"}, False, id="nobody said yes"),
        pytest.param("refused", set(), False, id="refused"),
    ],
)
def test_an_order_is_placed_if_it_has_reached_the_broker(
    status: str,
    became: set[str],
    is_placed: bool,  # noqa: FBT001 - a row of the table
) -> None:
    orders = [
        {**ORDER, "status": status},
        {**ORDER, "order_id": "stop", "leg": "stop", "status": status},
    ]
    session = told(orders=orders, fates={"entry": became, "stop": {"cancelled"}})

    assert run_of(session, "AAA").metrics["order_placed"] == is_placed
    assert session.book.metrics["order_placed"] == is_placed
    assert session.book.metrics["orders_placed"] == 2 * is_placed


def test_coverage_that_changes_with_every_evening_is_no_content() -> None:
    def on(evening: int) -> TrackedSession:
        reason = f"{evening} of 60 bars"
        own = {"asset": "signal_outcomes", "symbol": "AAA", "status": "short"}
        return told(coverage=[{**own, "reason": reason}])

    assert on(3).content_hash == on(4).content_hash


def test_a_book_says_how_it_stands() -> None:
    book = told().book

    assert book.name == "2024-01-12 simulated"
    assert (
        book.metrics.items()
        >= {
            "portfolio_value": 101_000.0,
            "cash": 60_000.0,
            "drawdown_frac": 0.01,
            "unrealized_pnl": 500.0,
            "order_placed": 1.0,
            "orders_placed": 1.0,
            "call_cost_usd": 0.02,
        }.items()
    )
    assert book.parameters["universe"] == "AAA BBB"
    kept = json.loads(files(book)["portfolio.json"])
    assert kept["equity"] == 101_000
    assert kept["positions"] == [POSITION]


def test_who_tells_is_not_part_of_the_content_and_anything_else_is() -> None:
    session = told()
    by_another = session.model_copy(update={"told_by": {"who": "run-2"}})

    assert by_another.content_hash == session.content_hash
    assert told(charts={}).content_hash != session.content_hash
    assert told(orders=[{**ORDER, "reason": "?"}]).content_hash != session.content_hash


def test_a_session_comes_out_of_json_as_it_went_in() -> None:
    session = told()

    assert TrackedSession.model_validate_json(session.model_dump_json()) == session


def test_a_curve_has_a_point_for_each_session() -> None:
    tale = Tale(make_spec(), Lane.REPLAY, "f00")
    rows = [PORTFOLIO, {**PORTFOLIO, "equity": 99_000.0}]
    curve = tale.curve(rows, [(1, AT), (2, AT)])

    assert curve.key == "reference/replay"
    assert curve.name == "replay book"
    assert [own.metrics["portfolio_value"] for own in curve.points] == [101_000, 99_000]
    assert curve.hash_through(1) == tale.curve(rows[:1], [(1, AT)]).hash_through(1)
    assert curve.hash_through(2) != curve.hash_through(1)


def test_rows_are_what_json_has_words_for() -> None:
    frame = pd.DataFrame(
        {
            "session": pd.to_datetime(["2024-01-12"]),
            "at": pd.to_datetime(["2024-01-12T21:00:00Z"]),
            "shares": [3],
            "price": [float("nan")],
            "why": [None],
            "gone": pd.to_datetime([None]),
            "is_known": pd.array([None], dtype="boolean"),
        }
    )

    assert plain_rows(frame) == [
        {
            "session": "2024-01-12",
            "at": "2024-01-12T21:00:00+00:00",
            "shares": 3,
            "price": None,
            "why": None,
            "gone": None,
            "is_known": None,
        }
    ]
