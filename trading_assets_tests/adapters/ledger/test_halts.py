"""Whoever halts is heard by everybody, and only who resumes is heard to lift it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trading_assets.adapters.ledger.engine import ledger_url, open_engine, writing
from trading_assets.adapters.ledger.halts import HaltBook, _said
from trading_assets.adapters.ledger.schema import HALTS
from trading_assets.adapters.ledger.store import Ledger
from trading_assets.errors import OrderConflict
from trading_assets.models.halt import EVERYTHING, Halt
from trading_assets_tests.adapters.ledger.make_records import LANE, STRATEGY, make_records

DAY = date(2024, 1, 12)


@pytest.fixture
def book(place: str) -> Iterator[HaltBook]:
    opened = HaltBook.open(place)
    yield opened
    opened.close()


def told(halt: Halt | None) -> tuple[int, str, bool, str, str] | None:
    """The gist of *halt*."""
    if halt is None:
        return None
    return halt.seq, halt.strategy, halt.is_halt, halt.who, halt.why


def test_nothing_is_halted_at_first(book: HaltBook) -> None:
    assert book.standing("first") is None
    assert book.all_standing() == []
    assert book.history() == []
    assert book.sessions("first", LANE) == {}


def test_a_halt_stands_for_its_strategy_alone(book: HaltBook) -> None:
    halted = book.halt("first", DAY, "jan", "prices look wrong")

    assert told(halted) == (1, "first", True, "jan", "prices look wrong")
    assert halted.session == DAY
    assert datetime.now(UTC) - halted.at < timedelta(minutes=1)
    assert book.standing("first") == halted
    assert book.standing("second") is None


def test_a_halt_of_everything_stands_for_every_strategy(book: HaltBook) -> None:
    halted = book.halt(EVERYTHING, DAY, "jan", "the gateway is odd")

    assert book.standing("first") == halted
    assert book.standing("second") == halted


def test_a_halt_of_everything_is_told_before_the_strategys_own(book: HaltBook) -> None:
    general = book.halt(EVERYTHING, DAY, "jan", "the gateway is odd")
    own = book.halt("first", DAY, "ina", "prices look wrong")

    assert book.standing("first") == general
    assert book.all_standing() == [general, own]


def test_a_strategys_resume_lifts_its_own_halt_alone(book: HaltBook) -> None:
    book.halt("first", DAY, "jan", "prices look wrong")
    second = book.halt("second", DAY, "jan", "so do these")

    lifted = book.resume("first", DAY, "ina", "they were right")

    assert told(lifted) == (3, "first", False, "ina", "they were right")
    assert book.standing("first") is None
    assert book.standing("second") == second


def test_a_strategys_resume_leaves_a_halt_of_everything(book: HaltBook) -> None:
    book.halt("first", DAY, "jan", "prices look wrong")
    general = book.halt(EVERYTHING, DAY, "jan", "the gateway is odd")

    book.resume("first", DAY, "ina", "they were right")

    assert book.standing("first") == general


def test_a_resume_of_everything_leaves_a_strategys_own_halt(book: HaltBook) -> None:
    own = book.halt("first", DAY, "jan", "prices look wrong")
    book.halt(EVERYTHING, DAY, "jan", "the gateway is odd")

    book.resume(EVERYTHING, DAY, "ina", "it was restarted")

    assert book.standing("first") == own
    assert book.standing("second") is None


@pytest.mark.parametrize("strategy", ["first", EVERYTHING])
def test_a_resume_of_what_is_not_halted_says_nothing(book: HaltBook, strategy: str) -> None:
    book.halt("second", DAY, "jan", "prices look wrong")

    assert book.resume(strategy, DAY, "ina", "just in case") is None
    assert len(book.history()) == 1


def test_what_is_halted_twice_has_the_newer_reason_and_is_lifted_once(
    book: HaltBook,
) -> None:
    book.halt("first", DAY, "jan", "prices look wrong")
    again = book.halt("first", DAY, "ina", "and still do")
    assert book.standing("first") == again

    book.resume("first", DAY, "jan", "they were right")

    assert book.standing("first") is None


def test_all_that_was_ever_said_is_kept_in_its_order(book: HaltBook) -> None:
    said = [
        book.halt("first", DAY, "jan", "prices look wrong"),
        book.resume("first", DAY, "jan", "they were right"),
        book.halt(EVERYTHING, DAY, "ina", "the gateway is odd"),
    ]

    assert book.history() == said
    assert [halt.seq for halt in book.history()] == [1, 2, 3]


def test_a_refused_order_tells_who_halted_what_and_why(book: HaltBook) -> None:
    reasons = [
        book.halt(strategy, DAY, "jan", "prices look wrong").reason
        for strategy in ("first", EVERYTHING)
    ]

    assert reasons == [
        "prices look wrong (no. 1, of first, by jan)",
        "prices look wrong (no. 2, of everything, by jan)",
    ]


WORDS = st.lists(
    st.tuples(st.booleans(), st.sampled_from((EVERYTHING, "first", "second"))), max_size=12
)


@given(words=WORDS)
@settings(
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_what_stands_is_what_the_newest_words_leave(
    book: HaltBook, words: list[tuple[bool, str]]
) -> None:
    _empty(book)
    halted: set[str] = set()
    for is_halt, strategy in words:
        if is_halt:
            book.halt(strategy, DAY, "jan", "")
            halted.add(strategy)
        else:
            assert (book.resume(strategy, DAY, "jan", "") is None) == (
                strategy not in halted
            )
            halted.discard(strategy)

    assert [own.strategy for own in book.all_standing()] == sorted(halted)
    for strategy in ("first", "second", "third"):
        is_stopped = bool(halted & {EVERYTHING, strategy})
        assert (book.standing(strategy) is not None) == is_stopped


def _empty(book: HaltBook) -> None:
    """Begin an example anew, as only a test may."""
    with book._engine.begin() as connection:
        connection.execute(sa.delete(HALTS))


# Others at the same time

SAYS = """
import sys
from datetime import date
from trading_assets.adapters.ledger.halts import HaltBook
HaltBook.open(sys.argv[1]).halt("first", date(2024, 1, 12), "another process", "heard?")
"""


def test_another_process_is_heard_at_once(place: str, book: HaltBook) -> None:
    assert book.standing("first") is None

    subprocess.run([sys.executable, "-c", SAYS, place], check=True, env=dict(os.environ))

    assert told(book.standing("first")) == (1, "first", True, "another process", "heard?")


def test_those_who_speak_at_once_are_numbered_in_turn(place: str, book: HaltBook) -> None:
    def speak(number: int) -> None:
        own = HaltBook.open(place)
        for _ in range(5):
            own.halt(f"s{number}", DAY, "jan", "at once")
        own.close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(speak, range(4)))

    assert [halt.seq for halt in book.history()] == list(range(1, 21))
    assert len(book.all_standing()) == 4


def test_what_stands_can_be_asked_while_another_writes(place: str, book: HaltBook) -> None:
    halted = book.halt("first", DAY, "jan", "prices look wrong")
    writer = open_engine(ledger_url(place))

    with writing(writer) as connection:
        _said(connection, "first", is_halt=False, session=DAY, who="ina", why="right")
        assert book.standing("first") == halted
    assert book.standing("first") is None
    writer.dispose()


# Sessions of simulated books


def test_a_session_that_was_decided_under_a_halt_is_recorded_with_its_walk(
    ledger: Ledger,
) -> None:
    records = make_records(range(3))
    halted = {records[1].session: "prices look wrong"}

    ledger.append(STRATEGY, LANE, 0, records, {}, halted)

    assert ledger.halts.sessions(STRATEGY, LANE) == halted
    assert ledger.halts.sessions(STRATEGY, "replay") == {}
    assert ledger.halts.sessions("other", LANE) == {}


def test_a_session_is_recorded_as_halted_once(ledger: Ledger) -> None:
    records = make_records(range(1))
    ledger.append(STRATEGY, LANE, 0, records, {}, {records[0].session: "one reason"})

    with pytest.raises(OrderConflict, match=STRATEGY):
        ledger.append(STRATEGY, LANE, 1, records, {}, {records[0].session: "another"})

    assert [own.generation for own in ledger.chain(STRATEGY, LANE)] == [0]
