"""Accounts in the ledger: whose money, what was adopted, what was said."""

from collections.abc import Iterator
from datetime import UTC, date, datetime

import pytest

from trading_assets.adapters.ledger.accounts import AccountBook
from trading_assets.errors import WrongAccount
from trading_assets.models.account import Adoption, AdoptionKind

SESSION = date(2026, 11, 20)


@pytest.fixture
def book(place: str) -> Iterator[AccountBook]:
    made = AccountBook.open(place)
    yield made
    made.close()


def adoption(shares: float, account: str = "DU1") -> Adoption:
    return Adoption(
        account=account,
        kind=AdoptionKind.BASELINE,
        symbol="AAA",
        con_id=101,
        shares=shares,
        who="ann",
        why="was there",
        at=datetime(2026, 11, 20, 22, tzinfo=UTC),
    )


def test_accounts_of_one_kind_of_money_share_a_ledger(book: AccountBook) -> None:
    for name in ("DU1", "DU2", "DU1"):
        book.claim(name, is_live=False)


@pytest.mark.parametrize("first_is_live", [True, False])
def test_accounts_of_two_kinds_of_money_never_do(
    book: AccountBook,
    first_is_live: bool,  # noqa: FBT001 - a case of the table
) -> None:
    book.claim("first", is_live=first_is_live)

    with pytest.raises(WrongAccount, match="TRADING_HOME of its own"):
        book.claim("second", is_live=not first_is_live)


def test_what_was_adopted_comes_back_in_its_order(book: AccountBook) -> None:
    book.adopt([adoption(5), adoption(-2)])
    book.adopt([adoption(1), adoption(9, account="DU2")])

    assert book.adoptions("DU1") == [adoption(5), adoption(-2), adoption(1)]
    assert book.adoptions("DU2") == [adoption(9, account="DU2")]


def test_the_newest_word_on_a_session_counts(book: AccountBook) -> None:
    assert book.kept("DU1", SESSION) is None

    book.keep("DU1", SESSION, {"cash": 1.0})
    book.keep("DU1", SESSION, {"cash": 2.0})

    assert book.kept("DU1", SESSION) == {"cash": 2.0}
    assert book.kept("DU2", SESSION) is None
