import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from trading_assets.adapters.ledger.calls import CallBook
from trading_assets.errors import BudgetSpent, DataMissing
from trading_assets.models.call import Attempt, Ending, Settlement
from trading_assets.models.question import Outcome, Question, Usage
from trading_assets.strategies.spec import Budget
from trading_assets_tests.adapters.models.desks import (
    UNLIMITED,
    make_errand,
    make_question,
)

AT = datetime(2026, 3, 3, 23, 59, 0, 123456, tzinfo=UTC)
USAGE = Usage(
    input_tokens=100, cache_read_tokens=10, cache_write_tokens=20, output_tokens=5
)


@pytest.fixture
def book(place: str) -> Iterator[CallBook]:
    opened = CallBook.open(place)
    yield opened
    opened.close()


def make_attempt(number: int = 1, usd: float = 1.0, at: datetime = AT) -> Attempt:
    return Attempt(
        number=number,
        model="anthropic/claude-haiku-5-5",
        key_id="0123456789ab",
        is_schema_sent=True,
        estimated_usd=usd,
        price_version="prices 1",
        asked_at=at,
    )


def make_settlement(charged_usd: float = 0.25) -> Settlement:
    return Settlement(
        outcome=Outcome.ANSWERED,
        status=200,
        request_id="req_1",
        rate_limits={"x-ratelimit-remaining-requests": "7"},
        usage=USAGE,
        charged_usd=charged_usd,
        is_charge_estimated=False,
        latency_seconds=1.5,
        reply=b'{"text": "\x00\xff"}',
        error="",
        settled_at=AT + timedelta(seconds=2),
    )


def make_ending(text: str = "said", outcome: Outcome = Outcome.ANSWERED) -> Ending:
    return Ending(
        outcome=outcome,
        text=text,
        reason="",
        model_asked="anthropic/claude-haiku-5-5",
        model_answered="claude-haiku-5-5",
        usage=USAGE,
        cost_usd=0.25,
        price_version="prices 1",
        latency_seconds=1.5,
        answered_at=AT + timedelta(seconds=2),
    )


def begin(
    book: CallBook,
    question: Question | None = None,
    attempt: Attempt | None = None,
    budget: Budget = UNLIMITED,
    **errand: str,
) -> str:
    return book.begin(
        question or make_question(),
        make_errand(**errand),
        attempt or make_attempt(),
        budget,
    ).result()


def test_a_call_is_read_as_it_was_written(book: CallBook) -> None:
    question, errand = make_question(), make_errand(parents=("x-1",), table_hash="t")
    call_id = book.begin(question, errand, make_attempt(), UNLIMITED).result()
    book.settle(call_id, make_errand(), make_attempt(), make_settlement())
    book.end(call_id, make_ending()).result()

    call = book.call(call_id)

    assert call.question_key == question.key
    assert (call.system, call.task, call.schema) == (
        question.system,
        question.task,
        question.schema,
    )
    assert call.shared == tuple(
        it if isinstance(it, str) else (it.label, it.sha256) for it in question.shared
    )
    assert (call.parents, call.table_hash, call.run_id) == (("x-1",), "t", "run-1")
    assert call.ending == make_ending()
    (attempt,) = call.attempts
    assert attempt.attempt == make_attempt()
    assert attempt.settlement == make_settlement()


def test_a_call_that_was_never_begun_is_missing(book: CallBook) -> None:
    with pytest.raises(DataMissing, match="call none-1"):
        book.call("none-1")


def test_an_attempt_that_was_never_settled_is_ambiguous_and_counts_in_full(
    book: CallBook, place: str
) -> None:
    call_id = begin(book)

    other = CallBook.open(place)
    (attempt,) = other.call(call_id).attempts
    assert attempt.settlement is None
    assert other.spent("charts") == 1.0
    with other._engine.connect() as connection:
        stored = connection.scalar(sa.text("SELECT outcome FROM analyst_attempts"))
    assert stored == "ambiguous_billed"
    other.close()


def test_a_settled_attempt_counts_as_what_it_cost(book: CallBook) -> None:
    call_id = begin(book)
    book.settle(call_id, make_errand(), make_attempt(), make_settlement(0.25)).result()

    assert book.spent("charts") == 0.25
    assert book.spent("charts", run_id="run-1") == 0.25
    assert book.spent("charts", run_id="run-2") == 0.0
    assert book.spent("charts", since=AT + timedelta(seconds=1)) == 0.0
    assert book.spent("other") == 0.0


def test_the_newest_that_was_heard_is_the_answer(book: CallBook) -> None:
    key = make_question().key
    assert book.recorded(key) is None
    for number, (text, outcome) in enumerate(
        [
            ("old", Outcome.ANSWERED),
            ("new", Outcome.REFUSED),
            ("", Outcome.OVERLOADED),
        ],
        start=1,
    ):
        attempt = make_attempt(at=AT + timedelta(hours=number))
        call_id = begin(book, attempt=attempt)
        assert call_id == f"{key[:24]}-{number}"
        book.end(call_id, make_ending(text, outcome)).result()

    answer = book.recorded(key)

    assert answer is not None
    assert (answer.text, answer.outcome) == ("new", Outcome.REFUSED)
    assert (answer.call_id, answer.is_recorded) == (f"{key[:24]}-2", True)
    assert (answer.cost_usd, answer.recorded_cost_usd) == (0.0, 0.25)
    assert book.recorded(key, since=AT + timedelta(hours=2)) == answer
    later = AT + timedelta(hours=2, seconds=1)
    assert book.recorded(key, since=later) is None
    assert book.recorded(key, since=later, run_id="run-1") == answer
    assert book.recorded(key, since=later, run_id="run-2") is None
    assert book.recorded(make_question(sample=2).key) is None


@pytest.mark.parametrize(("usage", "is_heard"), [(USAGE, True), (Usage(), False)])
def test_nonsense_is_an_answer_only_if_it_was_paid_for(
    book: CallBook,
    usage: Usage,
    is_heard: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    call_id = begin(book)
    ending = replace(make_ending("", Outcome.MALFORMED), usage=usage)
    book.end(call_id, ending).result()

    assert (book.recorded(make_question().key) is not None) is is_heard


LIMITS = ["run_usd", "day_usd", "strategy_usd"]


@pytest.mark.parametrize("limit", LIMITS)
def test_a_limit_may_be_reached_and_not_passed(book: CallBook, limit: str) -> None:
    budget = UNLIMITED.model_copy(update={limit: 2.0})
    call_id = begin(book, budget=budget)
    errand = make_errand()
    book.reserve(call_id, errand, make_attempt(2), budget).result()

    with pytest.raises(BudgetSpent, match=rf"budget\.{limit} is 2, 2\.0000 of it"):
        book.reserve(call_id, errand, make_attempt(3, 0.001), budget).result()

    assert len(book.call(call_id).attempts) == 2
    book.settle(call_id, make_errand(), make_attempt(), make_settlement(0.5))
    book.reserve(call_id, errand, make_attempt(3, 0.5), budget).result()


def test_a_day_ends_at_midnight_in_utc(book: CallBook) -> None:
    budget = UNLIMITED.model_copy(update={"day_usd": 1.0})
    begin(book, budget=budget)
    tomorrow = make_attempt(at=AT + timedelta(minutes=1))

    assert begin(book, make_question(sample=2), tomorrow, budget)
    with pytest.raises(BudgetSpent, match="day_usd"):
        begin(book, make_question(sample=3), tomorrow, budget)


def test_what_a_budget_refuses_leaves_nothing(book: CallBook) -> None:
    with pytest.raises(BudgetSpent):
        begin(book, budget=UNLIMITED.model_copy(update={"run_usd": 0.5}))

    assert book.call_ids("charts", make_errand().session, "AAPL") == []


def test_two_books_never_spend_the_same_money(book: CallBook, place: str) -> None:
    budget = UNLIMITED.model_copy(update={"run_usd": 10.0})
    others = [book, CallBook.open(place)]
    refused: list[BudgetSpent] = []

    def spend(own: CallBook, first: int) -> None:
        for sample in range(first, first + 10):
            try:
                begin(own, make_question(sample=sample), budget=budget)
            except BudgetSpent as error:
                refused.append(error)

    threads = [
        threading.Thread(target=spend, args=(own, 1 + 10 * number))
        for number, own in enumerate(others)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert book.spent("charts") == 10.0
    assert len(refused) == 10
    others[1].close()


def test_a_question_is_taken_by_one_book_at_a_time(book: CallBook, place: str) -> None:
    other = CallBook.open(place)
    one, two = make_question().key, make_question(sample=2).key

    assert book.take(one)
    assert not book.take(one)
    assert not other.take(one)
    assert other.take(two)
    book.give_back(one)
    assert other.take(one)
    other.close()
    assert book.take(one)
    assert book.take(two)


def test_texts_are_kept_once(book: CallBook) -> None:
    for sample in range(1, 4):
        begin(book, make_question(sample=sample))

    with book._engine.connect() as connection:
        texts = connection.scalar(sa.text("SELECT count(*) FROM analyst_texts"))
    assert texts == 4


def test_a_write_that_fails_spoils_no_other_and_is_told_at_the_end(
    book: CallBook,
) -> None:
    call_id = begin(book)
    bad = make_settlement()
    book.settle(call_id, make_errand(), make_attempt(), replace(bad, status="many"))  # type: ignore[arg-type]
    book.end(call_id, make_ending())

    with pytest.raises(Exception, match="integer"):
        book.flush().result()

    assert book.flush().result() is None
    assert book.call(call_id).ending == make_ending()


def test_what_has_failed_is_told_to_whoever_flushes_along_with_others(
    book: CallBook,
) -> None:
    call_id = begin(book)
    bad = replace(make_settlement(), status="many")  # type: ignore[arg-type]
    with pytest.raises(Exception, match="integer"):
        book.settle(call_id, make_errand(), make_attempt(), bad).result()
    book.end(call_id, make_ending())  # waits a moment, and goes along

    with pytest.raises(Exception, match="integer"):
        book.flush().result()

    assert book.flush().result() is None


def test_a_closed_book_can_be_opened_by_using_it(book: CallBook) -> None:
    begin(book)
    book.close()

    assert begin(book).endswith("-2")
