"""Batches on record, in SQLite and PostgreSQL: sent once, filed once, and gone on with."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date, timedelta

import pytest

from trading_assets.adapters.ledger.batches import BatchBook
from trading_assets.adapters.ledger.calls import CallBook
from trading_assets.adapters.ledger.opinions import OpinionBook
from trading_assets.errors import BudgetSpent, InvalidInput, QuestionIsOut
from trading_assets.models.batch import (
    Asked,
    Batch,
    BatchStatus,
    Filing,
    ItemStatus,
    Unfinished,
    custom_id_of,
)
from trading_assets.models.kept_opinion import KeptOpinion
from trading_assets.models.question import Outcome
from trading_assets.strategies.spec import Budget
from trading_assets_tests.adapters.ledger.test_calls import (
    AT,
    make_attempt,
    make_ending,
    make_settlement,
)
from trading_assets_tests.adapters.models.desks import (
    UNLIMITED,
    make_errand,
    make_question,
)
from trading_assets_tests.make import make_signal

MONDAY = date(2024, 1, 8)
SYMBOLS = ("AAA", "BBB", "CCC")
PLACES = [(MONDAY, own) for own in SYMBOLS]


@pytest.fixture
def book(place: str) -> Iterator[BatchBook]:
    opened = BatchBook.open(place)
    yield opened
    opened.close()


@pytest.fixture
def calls(place: str) -> Iterator[CallBook]:
    opened = CallBook.open(place)
    yield opened
    opened.close()


def make_batch(batch_id: str = "b-1", strategy: str = "charts", **changes: object) -> Batch:
    batch = Batch(
        batch_id=batch_id,
        strategy=strategy,
        run_id=f"run of {batch_id}",
        model="anthropic/claude-haiku-5-5",
        key_id="0123456789ab",
        remote_id="",
        status=BatchStatus.SUBMITTING,
        questions=0,
        estimated_usd=0.0,
        is_cancelled=False,
        looks=0,
        why="",
        submitted_at=AT,
        version_hash="v1",
    )
    return replace(batch, **changes)  # type: ignore[arg-type]


def make_asked(symbol: str, strategy: str = "charts", usd: float = 0.5) -> Asked:
    """A question about *symbol*: the same for whichever strategy."""
    question = make_question(task=f"Decide on {symbol}.")
    return Asked(
        custom_id=custom_id_of(question.key),
        question=question,
        errand=make_errand(strategy=strategy, symbol=symbol, session=MONDAY),
        attempt=make_attempt(usd=usd),
    )


def begin(
    book: BatchBook,
    batch: Batch,
    symbols: tuple[str, ...] = SYMBOLS,
    budget: Budget = UNLIMITED,
) -> int:
    """Commit a batch about *symbols*; how many questions are sent with it."""
    asked = [make_asked(own, batch.strategy) for own in symbols]
    return len(book.begin(batch, asked, budget))


def filing(symbol: str, status: ItemStatus = ItemStatus.ANSWERED) -> Filing:
    is_answered = status is ItemStatus.ANSWERED
    outcome = Outcome.ANSWERED if is_answered else Outcome.OVERLOADED
    return Filing(
        custom_id=make_asked(symbol).custom_id,
        status=status,
        settlement=make_settlement(0.25 if is_answered else 0.0),
        ending=make_ending(outcome=outcome),
    )


def keep(place: str, symbol: str, strategy: str = "charts") -> None:
    opinions = OpinionBook.open(place)
    signal = make_signal(strategy=strategy, symbol=symbol, session=MONDAY)
    opinions.keep(
        [KeptOpinion(signal=signal, call_ids=("a",), version_hash="v1", run_id="r")]
    )
    opinions.close()


def test_a_batch_is_read_as_it_was_written(book: BatchBook) -> None:
    begin(book, make_batch())
    book.note("b-1", looks=1, missed_at=AT + timedelta(hours=1))

    assert book.batch("b-1") == make_batch(
        questions=3, estimated_usd=1.5, looks=1, missed_at=AT + timedelta(hours=1)
    )
    assert book.batches("charts") == book.batches() == [book.batch("b-1")]
    assert {it.symbol for it in book.items("b-1", ItemStatus.OUT)} == set(SYMBOLS)
    with pytest.raises(InvalidInput, match="batch b-2: there is none"):
        book.batch("b-2")


def test_what_is_out_is_asked_alone_by_nobody(book: BatchBook, calls: CallBook) -> None:
    begin(book, make_batch())
    question = make_asked("AAA").question

    with pytest.raises(QuestionIsOut, match="batch b-1"):
        calls.begin(question, make_errand(), make_attempt(), UNLIMITED).result()


def test_a_result_is_filed_once_and_costs_what_it_cost(
    book: BatchBook, calls: CallBook
) -> None:
    begin(book, make_batch())
    assert calls.spent("charts") == 1.5

    filed = [book.file("b-1", [filing("AAA"), filing("BBB")]) for _ in range(2)]

    assert filed == [2, 0]
    assert calls.spent("charts") == 1.0
    assert calls.recorded(make_asked("AAA").question.key) is not None
    assert book.counts() == {"b-1": {ItemStatus.ANSWERED: 2, ItemStatus.OUT: 1}}


def test_two_who_begin_at_once_send_each_question_once(place: str) -> None:
    books = [BatchBook.open(place) for _ in range(4)]
    with ThreadPoolExecutor(len(books)) as pool:
        sent = pool.map(
            lambda own: begin(books[own], make_batch(f"b-{own}")), range(len(books))
        )
        assert sum(sent) == len(SYMBOLS)
    for own in books:
        own.close()


def test_a_batch_beyond_a_limit_leaves_nothing(book: BatchBook) -> None:
    limit = Budget(run_usd=None, day_usd=None, strategy_usd=1.0)
    with pytest.raises(BudgetSpent, match="strategy_usd is 1"):
        begin(book, make_batch(), budget=limit)

    assert book.batches() == []


def test_who_asks_the_same_waits_for_the_answer(book: BatchBook) -> None:
    begin(book, make_batch(), SYMBOLS[:2])

    assert begin(book, make_batch("b-2", "others")) == 1
    assert book.counts()["b-2"] == {ItemStatus.WAITING: 2, ItemStatus.OUT: 1}
    assert book.batch("b-2").estimated_usd == 0.5
    assert book.out("others") == set(PLACES)
    assert book.unfinished("others") == []

    book.file("b-1", [filing("AAA"), filing("BBB", ItemStatus.FAILED)])

    assert book.out("others") == {(MONDAY, "CCC")}
    assert book.unfinished("others") == [Unfinished("run of b-2", "v1", PLACES[:2])]


def test_a_batch_with_nothing_to_send_goes_on_with_what_others_have_heard(
    book: BatchBook,
) -> None:
    begin(book, make_batch())
    book.file("b-1", [filing(own) for own in SYMBOLS])

    assert begin(book, make_batch("b-2", "others")) == 0
    assert book.batch("b-2").status is BatchStatus.REFUSED
    assert book.unfinished("others") == [Unfinished("run of b-2", "v1", PLACES)]


@pytest.mark.parametrize("is_filed", [True, False])
def test_what_a_batch_of_the_strategy_has_belongs_to_no_second_one(
    book: BatchBook, *, is_filed: bool
) -> None:
    begin(book, make_batch(), SYMBOLS[:2])
    if is_filed:
        book.file("b-1", [filing("AAA"), filing("BBB")])

    assert begin(book, make_batch("b-2"), SYMBOLS[:2]) == 0
    assert begin(book, make_batch("b-3")) == 1
    book.note("b-1", is_cancelled=True)

    assert book.counts().keys() == {"b-1", "b-3"}
    assert book.unfinished("charts") == []


def test_what_has_its_opinion_is_finished_whatever_the_rest_does(
    book: BatchBook, place: str
) -> None:
    begin(book, make_batch())
    book.file("b-1", [filing("AAA"), filing("BBB", ItemStatus.FAILED)])
    keep(place, "AAA")

    assert book.finished("charts") == {"run of b-1": [(MONDAY, "AAA")]}
    assert book.unfinished("charts") == [Unfinished("run of b-1", "v1", [(MONDAY, "BBB")])]
    assert book.failures([make_asked("BBB").question.key]).total() == 1


@pytest.mark.parametrize("status", [ItemStatus.CANCELLED, ItemStatus.ABANDONED])
def test_what_has_ended_is_not_gone_on_with(book: BatchBook, status: ItemStatus) -> None:
    begin(book, make_batch())
    book.file("b-1", [filing("AAA"), filing("BBB", ItemStatus.FAILED)])
    book.file("b-1", [filing("CCC", status)])
    book.abandon([make_asked("BBB").question.key])

    assert book.unfinished("charts") == [Unfinished("run of b-1", "v1", [(MONDAY, "AAA")])]


def test_what_was_answered_before_a_cancel_is_still_to_be_made_something_of(
    book: BatchBook, place: str
) -> None:
    begin(book, make_batch())
    book.note("b-1", is_cancelled=True)
    book.file("b-1", [filing("AAA"), filing("BBB"), filing("CCC", ItemStatus.CANCELLED)])
    keep(place, "BBB")

    assert book.unfinished("charts") == []
    assert book.stopped("b-1") == [(MONDAY, "AAA")]


def test_what_was_forgotten_may_be_asked_again_and_counts_as_paid(
    book: BatchBook, calls: CallBook
) -> None:
    begin(book, make_batch())
    book.forget("b-1", "it is on nobody's page")

    assert book.batch("b-1").status is BatchStatus.FORGOTTEN
    assert book.unfinished("charts") == []
    assert begin(book, make_batch("b-2")) == 3
    assert calls.spent("charts") == 3.0
