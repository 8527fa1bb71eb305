"""A book balances, whatever happens to it."""

import json
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_assets.core.book import Book


def bought(*fills: tuple[int, float], commission: float = 0.0) -> Book:
    """A book with 10,000 after signed *fills* of AAA."""
    book = Book.opened_with(10_000.0)
    for day, (shares, price) in enumerate(fills, start=1):
        book.apply_fill(
            "AAA",
            signed_shares=shares,
            price=price,
            commission=commission,
            session=f"2024-01-{day:02}",
        )
    return book


def test_a_fill_moves_cash_and_shares() -> None:
    book = bought((10, 50.0), commission=1.0)

    assert (book.cash, book.shares("AAA"), book.commission_paid) == (9_499.0, 10, 1.0)


def test_a_flat_symbol_is_absent() -> None:
    book = bought((10, 50.0), (-10, 60.0))

    assert book.holdings == {}
    assert book.shares("AAA") == 0


def test_profit_is_realized_first_in_first_out() -> None:
    book = bought((10, 50.0), (10, 60.0), (-15, 70.0))

    # 10 x (70 - 50) + 5 x (70 - 60)
    assert book.realized_pnl == 250.0
    assert book.holdings["AAA"].average_cost == 60.0


def test_a_short_earns_when_it_buys_back_lower() -> None:
    book = bought((-10, 50.0), (-10, 60.0), (15, 40.0))

    # 10 x (50 - 40) + 5 x (60 - 40)
    assert book.realized_pnl == 200.0
    assert book.shares("AAA") == -5


def test_a_fill_through_zero_closes_and_opens_the_other_way() -> None:
    book = bought((10, 50.0))

    closed = book.apply_fill(
        "AAA", signed_shares=-15, price=60.0, commission=3.0, session="2024-01-02"
    )

    assert closed is not None
    assert (closed.shares, closed.pnl, closed.commission) == (10, 100.0, 2.0)
    assert (book.shares("AAA"), book.holdings["AAA"].average_cost) == (-5, 60.0)


def test_what_is_closed_tells_when_its_oldest_share_was_opened() -> None:
    book = bought((10, 50.0), (10, 60.0), (-10, 70.0))

    closed = book.apply_fill(
        "AAA", signed_shares=-10, price=70.0, commission=0.0, session="2024-01-04"
    )

    assert closed is not None
    assert (closed.opened_session, closed.entry_price) == ("2024-01-02", 60.0)


def test_closing_carries_its_part_of_both_commissions() -> None:
    book = bought((10, 50.0), commission=2.0)

    closed = book.apply_fill(
        "AAA", signed_shares=-5, price=60.0, commission=1.0, session="2024-01-02"
    )

    assert closed is not None
    assert closed.commission == pytest.approx(5 * 0.2 + 1.0)


def test_unrealized_is_what_closing_at_the_mark_would_realize() -> None:
    book = bought((10, 50.0), (10, 60.0))
    book.mark({"AAA": 65.0})

    assert book.holdings["AAA"].unrealized_pnl == 200.0
    assert book.equity == 10_200.0


def test_a_symbol_without_a_close_keeps_its_mark() -> None:
    book = bought((10, 50.0))
    book.mark({"BBB": 65.0})

    assert book.holdings["AAA"].mark == 50.0


def test_the_fraction_of_a_split_is_sold_first_in_first_out() -> None:
    book = bought((5, 30.0), (6, 60.0))

    delta, cash = book.apply_split("AAA", ratio=1.5, price=50.0)

    # 11 become 16.5; the half share cost 20 and brings 25.
    assert (delta, cash) == (5, 25.0)
    assert book.realized_pnl == 25.0 - 10.0
    assert sum(lot.shares for lot in book.holdings["AAA"].lots) == 16


def test_lots_that_a_split_cut_into_fractions_are_used_up_whole() -> None:
    book = bought((1, 30.0), (1, 30.0), (1, 30.0), (3, 60.0))
    book.apply_split("AAA", ratio=2 / 3, price=60.0)

    book.apply_fill(
        "AAA", signed_shares=-2, price=60.0, commission=0.0, session="2024-01-05"
    )

    assert [(lot.shares, lot.session) for lot in book.holdings["AAA"].lots] == [
        (2, "2024-01-04")
    ]


def test_drawdown_is_measured_from_the_highest_equity() -> None:
    book = bought((10, 100.0))

    book.mark({"AAA": 200.0})
    assert book.mark_peak() == 0.0
    book.mark({"AAA": 90.0})
    assert book.mark_peak() == pytest.approx(1 - 9_900 / 11_000)
    book.mark({"AAA": 200.0})
    assert book.mark_peak() == 0.0


def test_drawdown_of_a_first_loss_is_measured_from_the_capital() -> None:
    book = bought((10, 100.0))
    book.mark({"AAA": 90.0})

    assert book.mark_peak() == pytest.approx(0.01)


EVENTS = st.lists(
    st.one_of(
        st.tuples(
            st.just("fill"),
            st.integers(-50, 50).filter(bool),
            st.integers(1_000, 20_000).map(lambda cents: cents / 100),
        ),
        st.tuples(
            st.just("split"),
            st.sampled_from((2.0, 7.0, 1.5, 1 / 3, 0.125, 0.1)),
            st.integers(1_000, 20_000).map(lambda cents: cents / 100),
        ),
    ),
    max_size=25,
)


def play(book: Book, events: Sequence[tuple[str, float, float]]) -> float:
    """Let *events* happen; what fills and splits say the cash should be."""
    cash = book.cash
    for kind, number, price in events:
        if kind == "fill":
            shares = int(number)
            book.apply_fill(
                "AAA",
                signed_shares=shares,
                price=price,
                commission=1.0,
                session="2024-01-02",
            )
            cash -= shares * price + 1.0
        elif book.shares("AAA"):
            cash += book.apply_split("AAA", ratio=number, price=price)[1]
    return cash


@given(events=EVENTS)
def test_cash_is_explained_by_fills_and_splits(
    events: list[tuple[str, float, float]],
) -> None:
    book = Book.opened_with(10_000.0)
    explained = play(book, events)

    assert book.cash == pytest.approx(explained, abs=1e-6)


@given(events=EVENTS)
def test_lots_sum_to_the_shares(events: list[tuple[str, float, float]]) -> None:
    book = Book.opened_with(10_000.0)
    play(book, events)

    for holding in book.holdings.values():
        lots = sum(lot.shares for lot in holding.lots)
        assert lots == pytest.approx(abs(holding.shares), abs=1e-6)
        assert all(lot.shares > 0 for lot in holding.lots)


@given(events=EVENTS)
def test_equity_is_capital_and_what_was_earned(
    events: list[tuple[str, float, float]],
) -> None:
    book = Book.opened_with(10_000.0)
    play(book, events)

    unrealized = sum(own.unrealized_pnl for own in book.holdings.values())
    earned = book.realized_pnl + unrealized - book.commission_paid
    # Reverse splits make a billionth of a share, the rounding of lots, worth something.
    assert book.equity == pytest.approx(10_000.0 + earned, abs=0.01)


@given(events=EVENTS)
def test_json_keeps_every_bit_of_a_book(events: list[tuple[str, float, float]]) -> None:
    book = Book.opened_with(10_000.0)
    play(book, events)

    assert Book.from_plain(json.loads(json.dumps(book.to_plain()))) == book


def test_a_book_remembers_what_it_was_worth_at_the_close_before() -> None:
    book = bought((10, 50.0))
    assert book.equity_before == 10_000.0

    book.mark({"AAA": 60.0})
    book.begin_session()
    book.mark({"AAA": 40.0})

    assert (book.equity_before, book.equity) == (10_100.0, 9_900.0)


def test_a_book_that_was_written_without_that_knows_it_from_its_next_session_on() -> None:
    book = Book.from_plain(
        {
            "cash": 89_900.0,
            "peak_equity": 100_000.0,
            "realized_pnl": 0.0,
            "commission_paid": 0.0,
            "holdings": {
                "AAA": {
                    "shares": 100,
                    "lots": [
                        {
                            "shares": 100.0,
                            "price": 101.0,
                            "commission_per_share": 0.0,
                            "session": "2024-01-03",
                        }
                    ],
                    "mark": 101.5,
                }
            },
        }
    )

    book.begin_session()

    assert book.equity_before == 100_050.0
