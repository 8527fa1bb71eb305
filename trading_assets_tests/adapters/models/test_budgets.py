"""What may be spent, and what is spent when things go wrong."""

import asyncio
import signal
import subprocess
import sys
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from trading_assets.adapters.models.prices import most_usd
from trading_assets.errors import BudgetSpent, ModelUnavailable
from trading_assets.models.question import Answer
from trading_assets.strategies.spec import Budget
from trading_assets_tests.adapters.models.desks import (
    ANTHROPIC,
    COMPATIBLE,
    MODELS,
    OPENAI,
    UNLIMITED,
    Desk,
    make_errand,
    make_question,
    run,
)
from trading_assets_tests.fake_models import Fault, Play

MOST_USD = most_usd(make_question(), ANTHROPIC)


def only(**limits: float) -> Budget:
    return UNLIMITED.model_copy(update=limits)


def questions(count: int) -> list:
    return [make_question(sample=it) for it in range(1, count + 1)]


def asking(desk: Desk) -> subprocess.Popen[bytes]:
    """Another process that has just asked."""
    script = str(Path(__file__).with_name("dying_asker.py"))
    place = [str(desk.folder), desk.models.url("openai")]
    child = subprocess.Popen([sys.executable, script, *place])
    while not desk.models.requests:
        assert child.poll() is None
        time.sleep(0.05)
    return child


@pytest.mark.parametrize("limit", ["run_usd", "day_usd", "strategy_usd"])
def test_nothing_is_asked_that_could_cost_more_than_is_left(desk: Desk, limit: str) -> None:
    budget = only(**{limit: MOST_USD * 0.99})

    with pytest.raises(BudgetSpent, match=rf"charts: budget\.{limit} is 0\.00.*0\.0000"):
        desk.ask(make_question(), budget=budget)

    assert desk.models.requests == []
    assert desk.book.call_ids("charts", make_errand().session, "AAPL") == []


@pytest.mark.parametrize("limit", ["run_usd", "day_usd", "strategy_usd"])
def test_what_a_limit_just_allows_is_asked(desk: Desk, limit: str) -> None:
    assert desk.ask(make_question(), budget=only(**{limit: MOST_USD})).cost_usd < MOST_USD


def test_a_budget_stops_in_the_middle_and_keeps_what_is_answered(desk: Desk) -> None:
    budget = only(run_usd=MOST_USD + 0.0005)
    desk.models.always(Play(text='{"action": "HOLD"}'))
    answered: list[Answer] = []

    with pytest.raises(BudgetSpent, match=r"budget\.run_usd"):
        answered.extend(desk.ask(question, budget=budget) for question in questions(50))

    assert len(desk.models.requests) > 1
    assert desk.book.spent("charts", run_id="run-1") <= 0.0005 + MOST_USD
    before = len(desk.models.requests)
    again = desk.ask_all(questions(before), budget=budget)
    assert [it.is_recorded for it in again] == [True] * before
    assert len(desk.models.requests) == before


def test_another_run_another_day_and_another_strategy_have_budgets_of_their_own(
    desk: Desk,
) -> None:
    once = MOST_USD * 1.01
    desk.ask(make_question(), budget=only(run_usd=once, day_usd=once, strategy_usd=once))

    with pytest.raises(BudgetSpent, match="run_usd"):
        desk.ask(make_question(sample=2), budget=only(run_usd=once))
    desk.ask(
        make_question(sample=2), make_errand(run_id="run-2"), budget=only(run_usd=once)
    )
    with pytest.raises(BudgetSpent, match="day_usd"):
        desk.ask(make_question(sample=3), budget=only(day_usd=once))
    desk.time.began += timedelta(hours=12)
    desk.ask(make_question(sample=3), budget=only(day_usd=once))
    with pytest.raises(BudgetSpent, match="strategy_usd"):
        desk.ask(make_question(sample=4), budget=only(strategy_usd=once))
    other = make_errand(strategy="other")
    desk.ask(make_question(sample=4), other, budget=only(strategy_usd=once))


def test_many_at_once_wait_for_each_other_instead_of_failing(desk: Desk) -> None:
    """Each could cost half of the budget, and costs a fiftieth of that."""
    asked = [replace(it, max_tokens=20_000) for it in questions(6)]
    budget = only(run_usd=2.5 * most_usd(asked[0], ANTHROPIC))
    desk.models.always(Play(text="{}", seconds=0.02))

    answers = desk.ask_all(asked, budget=budget, concurrency=6)

    assert len(answers) == 6
    assert desk.models.most_at_once == 2


def test_budgets_hold_against_many_who_ask_at_once(desk: Desk) -> None:
    limit = 1.5 * MOST_USD
    desk.models.always(Play(fault=Fault.NO_USAGE, seconds=0.02))

    async def all_of_them() -> list[Answer | BaseException]:
        async with desk.gateway(budget=only(run_usd=limit), concurrency=10) as gateway:
            asked = (gateway.answer(it, make_errand()) for it in questions(10))
            return await asyncio.gather(*asked, return_exceptions=True)

    came = run(all_of_them())

    assert desk.book.spent("charts") <= limit
    assert len(desk.models.requests) == 1
    assert sum(isinstance(it, BudgetSpent) for it in came) == 9


@pytest.mark.parametrize("fault", [Fault.NO_USAGE, Fault.WRONG_USAGE])
@pytest.mark.parametrize("model", [it for it in MODELS if it != COMPATIBLE])
def test_what_nobody_can_tell_the_price_of_is_charged_in_full(
    desk: Desk, model: str, fault: Fault
) -> None:
    desk.models.always(Play(fault=fault))

    answer = desk.ask(make_question(model))

    assert answer.cost_usd == pytest.approx(most_usd(make_question(), model))
    assert desk.book.spent("charts") == answer.cost_usd


def test_what_was_refused_costs_nothing_and_what_was_dropped_all(desk: Desk) -> None:
    desk.models.play(
        Play(fault=Fault.OVERLOADED), Play(fault=Fault.DROP_AFTER), Play(text="{}")
    )

    answer = desk.ask(make_question())

    attempts = desk.book.call(answer.call_id).attempts
    charged = [it.settlement.charged_usd for it in attempts if it.settlement is not None]
    assert charged[:2] == [0.0, attempts[1].attempt.estimated_usd]
    assert 0 < charged[2] < charged[1]
    assert answer.cost_usd == pytest.approx(sum(charged))


def test_nobody_pays_for_a_server_of_ones_own(desk: Desk) -> None:
    answer = desk.ask(make_question(COMPATIBLE), budget=only(run_usd=0.0))

    assert answer.cost_usd == 0.0
    call = desk.book.call(answer.call_id)
    assert call.ending is not None
    assert call.ending.price_version == "free/unknown"


def test_a_retry_that_the_budget_does_not_allow_ends_the_call(desk: Desk) -> None:
    desk.models.always(Play(fault=Fault.DROP_AFTER))

    with pytest.raises(BudgetSpent):
        desk.ask(make_question(), budget=only(run_usd=1.5 * MOST_USD))

    (call_id,) = desk.book.call_ids("charts", make_errand().session, "AAPL")
    call = desk.book.call(call_id)
    assert call.ending is not None
    assert "budget.run_usd" in call.ending.reason
    assert len(call.attempts) == 1


def test_whoever_is_killed_while_asking_leaves_an_attempt_in_doubt_that_counts(
    desk: Desk,
) -> None:
    desk.models.always(Play(fault=Fault.SLOW))
    child = asking(desk)

    child.send_signal(signal.SIGKILL)
    child.wait()

    (call_id,) = desk.book.call_ids("charts", make_errand().session, "AAPL")
    call = desk.book.call(call_id)
    assert call.ending is None
    (attempt,) = call.attempts
    assert attempt.settlement is None
    most = most_usd(make_question(), OPENAI)
    assert desk.book.spent("charts") == attempt.attempt.estimated_usd == most
    desk.models.always(Play(text="{}"))
    with pytest.raises(BudgetSpent):
        desk.ask(make_question(OPENAI), budget=only(strategy_usd=1.5 * most))
    assert desk.ask(make_question(OPENAI)).call_id.endswith("-2")


def test_a_question_that_another_process_asks_is_waited_for(desk: Desk) -> None:
    desk.models.always(Play(text="from the other", seconds=1.0))
    child = asking(desk)

    answer = desk.ask(make_question(OPENAI))

    assert child.wait() == 0
    assert (answer.text, answer.is_recorded) == ("from the other", True)
    assert len(desk.models.requests) == 1


def test_nobody_heard_leaves_a_call_with_its_reason(desk: Desk) -> None:
    desk.models.always(Play(fault=Fault.SPEND_LIMIT))

    with pytest.raises(ModelUnavailable):
        desk.ask(make_question())

    (call_id,) = desk.book.call_ids("charts", make_errand().session, "AAPL")
    ending = desk.book.call(call_id).ending
    assert ending is not None
    assert ending.outcome == "spend_limited"
    assert "HTTP 429 enforced_spend_limit_reached" in ending.reason
