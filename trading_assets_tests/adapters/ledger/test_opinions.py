"""Opinions are kept by partition, and the newest counts."""

from dataclasses import replace
from datetime import date

import pytest

from trading_assets.adapters.ledger.opinions import OpinionBook
from trading_assets.models.kept_opinion import KeptOpinion
from trading_assets_tests.make import make_signal

MONDAY, TUESDAY = date(2024, 1, 8), date(2024, 1, 9)


@pytest.fixture
def book(place: str) -> OpinionBook:
    return OpinionBook.open(place)


def opinion(symbol: str = "AAPL", session: date = MONDAY, **changes: object) -> KeptOpinion:
    signal = make_signal(symbol=symbol, session=session, **changes)
    return KeptOpinion(
        signal=signal, call_ids=("a", "b"), version_hash="v1", run_id="run-1"
    )


def test_what_was_kept_comes_back_to_the_bit(book: OpinionBook) -> None:
    kept = opinion(entry=0.1 + 0.2, confidence_score=61.7, reasoning="ü and \n more")

    book.keep([kept])

    assert book.kept("made", ["AAPL"], MONDAY, MONDAY) == {(MONDAY, "AAPL"): kept}


def test_the_newest_opinion_counts(book: OpinionBook) -> None:
    first = opinion()
    second = replace(first, version_hash="v2")
    book.keep([first, opinion("MSFT")])
    book.keep([second])

    kept = book.kept("made", ["AAPL", "MSFT"], MONDAY, MONDAY)

    assert kept[MONDAY, "AAPL"].version_hash == "v2"
    assert kept[MONDAY, "MSFT"].version_hash == "v1"


def test_only_what_was_asked_for_comes_back(book: OpinionBook) -> None:
    book.keep([opinion(), opinion(session=TUESDAY), opinion("MSFT")])

    assert set(book.kept("made", ["AAPL"], TUESDAY, TUESDAY)) == {(TUESDAY, "AAPL")}
    assert book.kept("other", ["AAPL"], MONDAY, TUESDAY) == {}


def test_opinions_are_kept_all_or_none(book: OpinionBook) -> None:
    with pytest.raises(AttributeError):
        book.keep([opinion(), None])  # type: ignore[list-item]

    assert book.kept("made", ["AAPL"], MONDAY, MONDAY) == {}
