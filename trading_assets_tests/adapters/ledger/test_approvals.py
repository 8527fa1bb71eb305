"""Of two who speak of the same order one is heard, and what was said stays said."""

import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trading_assets.adapters.ledger.approvals import ApprovalBook, Asked
from trading_assets.adapters.ledger.schema import APPROVAL_PROPOSALS, APPROVAL_RULINGS
from trading_assets.adapters.ledger.store import Ledger
from trading_assets.errors import ApprovalClosed
from trading_assets.models.approval import (
    DESK,
    EXPIRY,
    FOLLOWING,
    Approval,
    ApprovalState,
    Proposal,
)
from trading_assets.strategies.spec import ApprovalRule
from trading_assets_tests.make_approvals import UNTIL, make_proposal, propose
from trading_assets_tests.make_intents import (
    AT,
    SESSION,
    after,
    make_bracket,
    make_order_ticket,
)

IS_LONG = os.environ.get("TRADING_TEST_PROFILE") == "long"
ONE_MINUTE = timedelta(minutes=1)


@pytest.fixture
def book(place: str) -> Iterator[ApprovalBook]:
    opened = ApprovalBook.open(place)
    yield opened
    opened.close()


@pytest.fixture
def asked(place: str) -> Approval:
    return propose(place, make_proposal())[0]


def standing(book: ApprovalBook, asked: Approval) -> Approval:
    return book.called(asked.proposal.order_id)[-1]


def test_what_is_asked_waits_until_it_is_over(book: ApprovalBook, asked: Approval) -> None:
    assert asked.proposal == make_proposal()
    assert asked.state is ApprovalState.PROPOSED
    assert asked.waits(UNTIL - ONE_MINUTE)
    assert not asked.waits(UNTIL)
    assert not asked.may_be_sent
    assert book.recent(AT) == [asked]
    assert book.recent(UNTIL) == []


def test_an_entry_is_asked_for_with_its_legs(book: ApprovalBook, place: str) -> None:
    own = make_proposal(make_bracket())

    (asked,) = propose(place, own)

    assert book.called(own.order_id) == [asked]
    assert [ticket.leg for ticket in asked.proposal.tickets] == ["entry", "stop", "target"]
    assert str(asked.proposal) == (
        "BUY 10 AAPL (entry, limit 100, stop 95, target 110), worth 1,000.00 at 100"
    )


def test_an_approval_says_who_when_and_why(book: ApprovalBook, asked: Approval) -> None:
    ruling = book.approve(asked, "ann", "fine", after(60))

    now = standing(book, asked)
    assert now.rulings == (ruling,)
    assert (ruling.who, ruling.why, ruling.at) == ("ann", "fine", after(60))
    assert now.may_be_sent


def test_the_same_word_again_says_who_said_it_first(
    book: ApprovalBook, asked: Approval
) -> None:
    first = book.approve(asked, "ann", "fine", after(60))

    assert book.approve(asked, "bob", "yes", after(120)) == first
    assert standing(book, asked).rulings == (first,)


def test_the_first_word_counts_and_who_contradicts_it_is_told(
    book: ApprovalBook, asked: Approval
) -> None:
    book.reject(asked, "ann", "too early", after(60))

    with pytest.raises(ApprovalClosed, match="was rejected by ann: too early"):
        book.approve(asked, "bob", "yes", after(120))

    assert standing(book, asked).state is ApprovalState.REJECTED


@pytest.mark.parametrize("late", [timedelta(0), ONE_MINUTE])
def test_nobody_can_approve_what_is_over(
    book: ApprovalBook, asked: Approval, late: timedelta
) -> None:
    with pytest.raises(ApprovalClosed, match=r"^expired: .* 2026-11-20 14:15 UTC"):
        book.approve(asked, "ann", "fine", UNTIL + late)

    assert standing(book, asked).rulings == ()


def test_what_nobody_has_answered_expires_once(book: ApprovalBook, place: str) -> None:
    one, other = propose(
        place, make_proposal(), make_proposal([make_order_ticket(symbol="MSFT")])
    )
    book.approve(other, "ann", "fine", after(60))

    assert book.expire(UNTIL - ONE_MINUTE) == []
    assert [it.proposal.order_id for it in book.expire(UNTIL)] == [one.proposal.order_id]
    assert book.expire(UNTIL) == []

    (ruling,) = standing(book, one).rulings
    assert (ruling.state, ruling.who) == (ApprovalState.EXPIRED, EXPIRY)
    assert str(ruling) == "expired: nobody had approved it by 2026-11-20 14:15 UTC"
    assert standing(book, other).may_be_sent


def test_what_was_approved_is_submitted_or_refused_once(
    book: ApprovalBook, asked: Approval
) -> None:
    submitted = ApprovalState.SUBMITTED
    assert not book.note(asked, submitted, DESK, "", after(30))
    book.approve(asked, "ann", "fine", after(60))

    assert book.note(asked, submitted, DESK, "", after(90))
    assert not book.note(asked, submitted, DESK, "", after(120))
    assert not book.note(asked, ApprovalState.REFUSED, DESK, "drift", after(120))

    assert standing(book, asked).state is submitted
    with pytest.raises(ApprovalClosed, match=r"by ann: fine .*; it is submitted since"):
        book.reject(asked, "bob", "no", after(150))


def test_what_waits_or_is_approved_can_be_superseded(
    book: ApprovalBook, place: str
) -> None:
    open_, approved, rejected = propose(
        place,
        *(
            make_proposal([make_order_ticket(symbol=symbol)])
            for symbol in ("AAA", "BBB", "CCC")
        ),
    )
    book.approve(approved, "ann", "fine", after(60))
    book.reject(rejected, "ann", "no", after(60))

    gone = book.supersede("trend", "bob", "flatten: enough", after(90))

    assert {it.proposal.head.symbol for it in gone} == {"AAA", "BBB"}
    assert not standing(book, approved).may_be_sent
    assert standing(book, rejected).state is ApprovalState.REJECTED
    with pytest.raises(ApprovalClosed, match="superseded by bob: flatten: enough"):
        book.approve(open_, "ann", "fine", after(120))


# Asking


@pytest.mark.parametrize("state", [ApprovalState.SUPERSEDED, ApprovalState.REFUSED])
def test_approving_what_is_over_since_it_was_approved_is_told(
    book: ApprovalBook, asked: Approval, state: ApprovalState
) -> None:
    book.approve(asked, "ann", "", after(60))
    book.note(asked, state, DESK, "it was decided anew", after(90))

    with pytest.raises(ApprovalClosed, match=f"it is {state} since"):
        book.approve(asked, "ann", "", after(120))


def test_asking_again_keeps_the_answer(book: ApprovalBook, place: str) -> None:
    (asked,) = propose(place, make_proposal())
    book.approve(asked, "ann", "fine", after(60))

    (again,) = propose(place, make_proposal(proposed_at=after(90)))

    assert (again.number, again.may_be_sent) == (1, True)


def walked_again(place: str, *proposals: Proposal, at: datetime = AT) -> None:
    """The session was decided anew, and only *proposals* are asked of it now."""
    ledger = Ledger.open(place)
    generation = ledger.next_generation("trend", "simulated")
    asked = Asked(at=at, sessions=[SESSION], proposals=proposals)
    ledger.append("trend", "simulated", generation, [], {}, asked=asked)
    ledger.close()


def test_another_content_supersedes_the_one_before_and_is_asked_about_anew(
    book: ApprovalBook, place: str
) -> None:
    (asked,) = propose(place, make_proposal())
    book.approve(asked, "ann", "fine", after(60))

    walked_again(place, make_proposal([make_order_ticket(shares=9)]), at=after(90))

    before, now = book.called(asked.proposal.order_id)
    assert before.state is ApprovalState.SUPERSEDED
    assert (now.number, now.state) == (2, ApprovalState.PROPOSED)
    assert book.answers("trend", "simulated") == {}


def test_a_content_that_comes_back_is_asked_about_anew(
    book: ApprovalBook, place: str
) -> None:
    (asked,) = propose(place, make_proposal())
    book.approve(asked, "ann", "fine", after(60))

    walked_again(place, at=after(90))
    walked_again(place, make_proposal(), at=after(120))

    assert [it.state for it in book.called(asked.proposal.order_id)] == [
        ApprovalState.SUPERSEDED,
        ApprovalState.PROPOSED,
    ]


def test_what_was_said_in_time_is_not_superseded_afterwards(
    book: ApprovalBook, place: str
) -> None:
    (asked,) = propose(place, make_proposal())
    book.approve(asked, "ann", "fine", after(60))
    told = book.answers("trend", "simulated")

    walked_again(place, at=UNTIL)

    assert book.answers("trend", "simulated") == told
    assert list(told[SESSION]) == [(asked.proposal.order_id, asked.proposal.payload_hash)]


def test_sessions_that_wait_are_recorded_with_their_rule(place: str) -> None:
    ledger = Ledger.open(place)
    rules = {SESSION: ApprovalRule.ENTRIES}
    ledger.append("trend", "simulated", 0, [], {}, asked=Asked(at=AT, rules=rules))

    assert ledger.approvals.sessions("trend", "simulated") == rules
    assert ledger.approvals.sessions("trend", "replay") == {}
    ledger.close()


# Everybody at once


def test_of_many_who_speak_at_once_one_is_heard(place: str, asked: Approval) -> None:
    books = [ApprovalBook.open(place) for _ in range(8)]

    def say(number: int) -> str:
        book = books[number]
        speak = book.approve if number % 2 else book.reject
        try:
            return speak(asked, f"person {number}", "because", after(60)).who
        except ApprovalClosed as closed:
            return str(closed)

    with ThreadPoolExecutor(len(books)) as pool:
        heard = list(pool.map(say, range(len(books))))

    (ruling,) = standing(books[0], asked).rulings
    for told in heard:
        assert ruling.who in told
    for book in books:
        book.close()


WORDS = st.lists(
    st.tuples(
        st.sampled_from(
            ["approve", "reject", "expire", "supersede", "submitted", "refused", "again"]
        ),
        st.integers(0, 20),
    ),
    max_size=12,
)


@given(words=WORDS)
@settings(
    max_examples=200 if IS_LONG else 12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_whatever_is_said_only_what_may_follow_is_written_down(
    words: list[tuple[str, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    place = tmp_path_factory.mktemp("said") / "ledger.db"
    (asked,) = propose(place, make_proposal())
    book = ApprovalBook.open(place)
    written: list[tuple[object, ...]] = []
    for word, hours in words:
        at = AT + timedelta(hours=hours)
        with suppress(ApprovalClosed):
            _say(book, asked, word, at, place)
        rows = _rows(book)
        assert rows[: len(written)] == written  # nothing is rewritten
        written = rows
    book.close()

    state = ApprovalState.PROPOSED
    for row in written:
        following = ApprovalState(row[0])
        assert following in FOLLOWING[state]
        if following in {ApprovalState.APPROVED, ApprovalState.REJECTED}:
            assert row[1] < UNTIL
        state = following


def _say(
    book: ApprovalBook, asked: Approval, word: str, at: datetime, place: object
) -> None:
    if word in {"submitted", "refused"}:
        book.note(asked, ApprovalState(word), DESK, "", at)
    elif word == "expire":
        book.expire(at)
    elif word == "supersede":
        book.supersede("trend", "bob", "flatten", at)
    elif word == "again":
        walked_again(str(place), make_proposal(), at=at)
    else:
        getattr(book, word)(asked, "ann", "because", at)


def _rows(book: ApprovalBook) -> list[tuple[object, ...]]:
    """Every ruling on the first proposal: state and instant, oldest first."""
    query = (
        sa.select(APPROVAL_RULINGS.c.state, APPROVAL_RULINGS.c.at)
        .where(APPROVAL_RULINGS.c.number == 1)
        .order_by(APPROVAL_RULINGS.c.seq)
    )
    with book._engine.connect() as connection:
        return [tuple(row) for row in connection.execute(query)]


def test_what_is_asked_is_kept_to_the_last_digit(place: str) -> None:
    entry, stop, target = make_bracket()
    own = make_proposal([entry, stop.model_copy(update={"stop_price": 0.1 + 0.2}), target])
    (asked,) = propose(place, own)

    book = ApprovalBook.open(place)
    with book._engine.connect() as connection:
        payload = connection.scalar(sa.select(APPROVAL_PROPOSALS.c.payload))
    book.close()

    assert asked.proposal.tickets == own.tickets
    assert json.loads(payload or "")[1]["stop_price"] == 0.1 + 0.2
