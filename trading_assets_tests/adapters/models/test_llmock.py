"""Against a server that somebody else wrote, which judges how its clients ask again."""

import asyncio
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
from llmock.pytest_plugin import LLMock

from trading_assets.adapters.chart_store.filesystem import FileChartStore
from trading_assets.adapters.ledger.calls import CallBook
from trading_assets.adapters.models.access import accesses
from trading_assets.adapters.models.conversation import Patience
from trading_assets.adapters.models.gateway import Gateway, GatewaySettings
from trading_assets.errors import ModelUnavailable
from trading_assets.models.question import Answer, Outcome, Question
from trading_assets_tests.adapters.models.desks import (
    MODELS,
    OPENAI,
    make_errand,
    make_question,
    run,
)

every_model = pytest.mark.parametrize("model", MODELS)


@pytest.fixture
def folder(empty_ledger: Path, tmp_path: Path) -> Path:
    shutil.copy(empty_ledger, tmp_path / "ledger.db")
    return tmp_path


def ask(
    llmock: LLMock, folder: Path, questions: Sequence[Question], concurrency: int = 8
) -> list[Answer]:
    """Through a gateway with the real clock."""
    book = CallBook.open(folder / "ledger.db")
    gateway = Gateway(
        GatewaySettings(concurrency=concurrency, patience=Patience(failures=4)),
        accesses(llmock.env()),
        book,
        FileChartStore(folder / "charts"),
    )

    async def all_of_them() -> list[Answer]:
        async with gateway:
            return await asyncio.gather(
                *(gateway.answer(it, make_errand()) for it in questions)
            )

    try:
        return run(all_of_them())
    finally:
        book.close()


@every_model
def test_what_is_said_is_heard(llmock: LLMock, folder: Path, model: str) -> None:
    llmock.reply('{"action": "BUY"}')

    (answer,) = ask(llmock, folder, [make_question(model)])

    assert (answer.outcome, answer.text) == (Outcome.ANSWERED, '{"action": "BUY"}')
    assert answer.usage.output_tokens > 0
    llmock.assert_resilient(strict=True)


@pytest.mark.parametrize("model", MODELS[1:])
def test_an_answer_fits_the_schema(llmock: LLMock, folder: Path, model: str) -> None:
    (answer,) = ask(llmock, folder, [make_question(model)])

    told = json.loads(answer.text)
    assert set(told) == {"action", "confidence", "reasoning", "stop"}
    assert told["action"] in ("BUY", "SELL", "HOLD")


@every_model
def test_its_judge_has_no_complaint_about_faults_that_pass(
    llmock: LLMock, folder: Path, model: str
) -> None:
    llmock.rate_limit(retry_after=0.4).fail(500).fail(503)

    (answer,) = ask(llmock, folder, [make_question(model)])

    assert answer.outcome is Outcome.ANSWERED
    verdict = llmock.verdict()
    assert (len(verdict.calls), verdict.faults) == (1, 3)
    llmock.assert_resilient(strict=True)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
@every_model
def test_its_judge_has_no_complaint_about_faults_that_do_not(
    llmock: LLMock, folder: Path, model: str, status: int
) -> None:
    llmock.fail(status, times=None)

    with pytest.raises(ModelUnavailable, match=f"HTTP {status}"):
        ask(llmock, folder, [make_question(model)])

    llmock.assert_resilient(strict=True)


def test_its_judge_has_no_complaint_about_an_outage(llmock: LLMock, folder: Path) -> None:
    llmock.outage()

    with pytest.raises(ModelUnavailable, match="overloaded"):
        ask(llmock, folder, [make_question(OPENAI)])

    assert len(llmock.requests) == 4
    llmock.assert_resilient(strict=True)


def test_its_quotas_are_kept_without_being_told_off(llmock: LLMock, folder: Path) -> None:
    llmock.limits(rpm=600)
    questions = [make_question(OPENAI, sample=it) for it in range(1, 61)]

    answers = ask(llmock, folder, questions, concurrency=20)

    assert {it.outcome for it in answers} == {Outcome.ANSWERED}
    llmock.assert_resilient()
