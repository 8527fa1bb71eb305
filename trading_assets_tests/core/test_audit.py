"""Books held against fills and events: what is explained, and what is not."""

import os
from datetime import date

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading_assets.core.audit import (
    cash_differences,
    equity_differences,
    share_differences,
)
from trading_assets.core.deciding import Plan
from trading_assets.core.walk import Opening, walk
from trading_assets.models.base import Lane
from trading_assets.models.table import Table
from trading_assets.models.tables import BOOK_EVENTS, FILLS, PORTFOLIO, POSITIONS
from trading_assets_tests.make import (
    Happened,
    Said,
    flat,
    make_days,
    make_sessions,
    make_spec,
)

IS_LONG = os.environ.get("TRADING_TEST_PROFILE") == "long"
DAYS = make_sessions(4)
BOOK = {"strategy": "s", "lane": Lane.SIMULATED}


def fills(*rows: tuple[int, str, str, int, float, float]) -> pd.DataFrame:
    """`fills` rows of day, symbol, side, shares, price and commission."""
    columns = ["session", "symbol", "side", "shares", "price", "commission"]
    frame = pd.DataFrame(rows, columns=columns).assign(**BOOK)
    frame["session"] = [DAYS[day] for day in frame["session"]]
    frame["fill_id"] = frame["order_id"] = [str(at) for at in range(len(frame))]
    return FILLS.conform(frame.assign(filled_at=pd.Timestamp("2024-01-02", tz="UTC")))


def events(*rows: tuple[int, str, int, float]) -> pd.DataFrame:
    """`book_events` rows of day, symbol, change of shares and cash."""
    frame = pd.DataFrame(rows, columns=["session", "symbol", "shares_delta", "cash"])
    frame = frame.assign(**BOOK, kind="split")
    frame["session"] = [DAYS[day] for day in frame["session"]]
    frame["event_id"] = [str(at) for at in range(len(frame))]
    return BOOK_EVENTS.conform(frame)


def portfolio(*rows: tuple[int, float, float]) -> pd.DataFrame:
    """`portfolio` rows of day, cash and equity."""
    frame = pd.DataFrame(rows, columns=["session", "cash", "equity"]).assign(**BOOK)
    frame["session"] = [DAYS[day] for day in frame["session"]]
    rest = [name for name in PORTFOLIO.columns if name not in frame]
    return PORTFOLIO.conform(frame.assign(**dict.fromkeys(rest, 0)))


def positions(*rows: tuple[int, str, int, float]) -> pd.DataFrame:
    """`positions` rows of day, symbol, shares and close."""
    frame = pd.DataFrame(rows, columns=["session", "symbol", "shares", "close"])
    frame["session"] = [DAYS[day] for day in frame["session"]]
    rest = [name for name in POSITIONS.columns if name not in frame]
    return POSITIONS.conform(frame.assign(**{**dict.fromkeys(rest, 0), **BOOK}))


BOUGHT = fills((1, "AAA", "BUY", 10, 20.0, 1.0))


def test_cash_is_capital_less_what_was_paid() -> None:
    books = portfolio((0, 1000, 1000), (1, 799, 999), (2, 799, 999))

    assert cash_differences(books, BOUGHT, events(), 1000).empty


def test_a_sale_and_a_dividend_bring_cash() -> None:
    sold = pd.concat([BOUGHT, fills((3, "AAA", "SELL", 10, 21.0, 1.0))])
    paid = events((2, "AAA", 0, 5.0))
    books = portfolio((1, 799, 999), (2, 804, 1004), (3, 1013, 1013))

    assert cash_differences(books, sold, paid, 1000).empty


def test_cash_that_is_not_explained_is_told_for_every_session() -> None:
    books = portfolio((0, 1000, 1000), (1, 800, 1000), (2, 799, 999))

    found = cash_differences(books, BOUGHT, events(), 1000)

    assert found["session"].dt.date.tolist() == [DAYS[1]]
    assert found[["cash", "explained", "difference"]].iloc[0].tolist() == [800, 799, 1]


@pytest.mark.parametrize(("off", "is_fault"), [(0.004, False), (0.006, True)])
def test_less_than_half_a_cent_is_no_difference(off: float, *, is_fault: bool) -> None:
    books = portfolio((0, 1000 + off, 1000))

    assert bool(len(cash_differences(books, fills(), events(), 1000))) == is_fault


def test_a_book_that_never_traded_is_its_capital() -> None:
    books = portfolio((0, 1000, 1000))

    assert cash_differences(books, fills(), events(), 1000).empty
    assert share_differences(positions(), fills(), events()).empty
    assert equity_differences(books, positions()).empty


def test_shares_are_fills_and_splits_added_up() -> None:
    split = events((2, "AAA", 10, 0.0))

    assert share_differences(positions((2, "AAA", 20, 10.0)), BOUGHT, split).empty
    found = share_differences(positions((2, "AAA", 10, 10.0)), BOUGHT, split)
    assert found.iloc[0].tolist() == ["AAA", 10, 20]


def test_shares_held_without_a_fill_or_filled_and_not_held_are_told() -> None:
    found = share_differences(positions((2, "BBB", 5, 10.0)), BOUGHT, events())

    assert found.to_numpy().tolist() == [["AAA", 0, 10], ["BBB", 5, 0]]


def test_a_short_position_is_explained_by_a_sale() -> None:
    sold = fills((1, "AAA", "SELL", 10, 20.0, 0.0))

    assert share_differences(positions((1, "AAA", -10, 20.0)), sold, events()).empty


def test_equity_is_cash_and_what_positions_are_worth() -> None:
    held = positions((1, "AAA", 10, 20.0), (1, "BBB", -5, 10.0), (2, "AAA", 10, 22.0))

    assert equity_differences(portfolio((1, 100, 250), (2, 100, 320)), held).empty
    found = equity_differences(portfolio((1, 100, 250), (2, 100, 321)), held)
    assert found["session"].dt.date.tolist() == [DAYS[2]]
    assert found["explained"].tolist() == [320]


PRICES = st.lists(st.integers(5, 60), min_size=8, max_size=8)
ACTIONS = st.lists(st.sampled_from(["BUY", "SELL", None]), min_size=8, max_size=8)
HAPPENED = st.lists(
    st.tuples(
        st.integers(1, 7),
        st.sampled_from([("split", 3.0), ("split", 0.4), ("dividend", 0.5)]),
    ),
    max_size=3,
    unique_by=lambda it: (it[0], it[1][0]),
)


@settings(max_examples=60 if IS_LONG else 25, deadline=None)
@given(PRICES, ACTIONS, HAPPENED)
def test_whatever_the_walk_does_it_can_be_explained(
    prices: list[int],
    actions: list[str | None],
    happened: list[tuple[int, tuple[str, float]]],
) -> None:
    days = make_days(
        {"AAA": [flat(price) for price in prices]},
        said=[Said(day, "AAA", action) for day, action in enumerate(actions)],
        happened=[Happened(day, "AAA", kind, value) for day, (kind, value) in happened],
    )
    spec = make_spec(
        risk={"allow_short": True},
        costs={"commission": "ibkr_fixed", "slippage_bps": 5, "dividends": "cash"},
    )
    walked = walk(Plan.of(spec), days, Opening.with_capital(spec.capital))

    def rows(table: Table) -> pd.DataFrame:
        blank = {**BOOK, "generation": 0}
        known = [{**blank, **row} for row in walked.rows[table.name]]
        return table.conform(pd.DataFrame(known, columns=list(table.columns)))

    books, held, filled, moved = map(rows, (PORTFOLIO, POSITIONS, FILLS, BOOK_EVENTS))
    last = held[held["session"] == books["session"].iloc[-1]]
    assert cash_differences(books, filled, moved, spec.capital).empty
    assert share_differences(last, filled, moved).empty
    assert equity_differences(books, held).empty
    assert isinstance(days.sessions[0], date)
