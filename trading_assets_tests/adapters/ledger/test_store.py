import os
import random
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from trading_assets.adapters.ledger.store import BookSession, Ledger
from trading_assets.errors import OrderConflict, ShapeMismatch, StoreBusy
from trading_assets.models.tables import (
    BARS,
    BOOK_EVENTS,
    FILLS,
    ORDER_EVENTS,
    ORDERS,
    PORTFOLIO,
    POSITIONS,
    TRADES,
)
from trading_assets_tests.adapters.ledger.appender import SYMBOLS
from trading_assets_tests.adapters.ledger.make_records import (
    LANE,
    STRATEGY,
    Row,
    day,
    make_fill,
    make_order,
    make_portfolio,
    make_positions,
    make_records,
    make_trade,
)

ROOT = Path(__file__).parents[3]
KILLS = 20 if os.environ.get("TRADING_TEST_PROFILE") == "long" else 3


def append(ledger: Ledger, days: range, generation: int = 0, **rows: list[Row]) -> None:
    book = f"book{generation}"
    ledger.append(STRATEGY, LANE, generation, make_records(days, book), rows)


def books(ledger: Ledger) -> list[tuple[int, int]]:
    """Day and generation of every current session."""
    chain = ledger.chain(STRATEGY, LANE)
    return [((book.session - day(0)).days, book.generation) for book in chain]


def test_a_new_ledger_is_empty(ledger: Ledger) -> None:
    assert ledger.chain(STRATEGY, LANE) == []
    assert ledger.state(STRATEGY, LANE, day(0)) is None
    assert ledger.next_generation(STRATEGY, LANE) == 0
    assert ledger.rows(STRATEGY, LANE, ORDERS, [day(0)]).empty


def test_what_was_walked_is_there_in_order(ledger: Ledger) -> None:
    append(ledger, range(2, 4))
    append(ledger, range(2))

    assert ledger.chain(STRATEGY, LANE)[1] == BookSession(
        session=day(1),
        generation=0,
        previous_hash="book0 0",
        book_hash="book0 1",
        spec_hash="spec",
    )
    assert books(ledger) == [(0, 0), (1, 0), (2, 0), (3, 0)]
    assert ledger.state(STRATEGY, LANE, day(3)) == '{"book": "book0", "day": 3}'


def test_it_is_still_there_when_opened_again(place: str) -> None:
    first = Ledger.open(place)
    append(first, range(1), orders=[make_order(0)])
    first.close()

    again = Ledger.open(place)

    assert books(again) == [(0, 0)]
    assert len(again.rows(STRATEGY, LANE, ORDERS, [day(0)])) == 1
    again.close()


def test_the_highest_generation_of_each_session_is_current(ledger: Ledger) -> None:
    append(ledger, range(5))
    append(ledger, range(1, 4), generation=1)
    append(ledger, range(2, 3), generation=2)

    assert books(ledger) == [(0, 0), (1, 1), (2, 2), (3, 1), (4, 0)]
    assert ledger.state(STRATEGY, LANE, day(2)) == '{"book": "book2", "day": 2}'
    assert ledger.next_generation(STRATEGY, LANE) == 3


def test_only_rows_of_current_generations_are_read(ledger: Ledger) -> None:
    append(ledger, range(4), positions=[r for n in range(4) for r in make_positions(n)])
    append(ledger, range(1, 3), generation=1, positions=make_positions(1, ["MSFT", "SPY"]))

    rows = ledger.rows(STRATEGY, LANE, POSITIONS, [day(n) for n in range(4)])

    assert list(zip(rows["session"].dt.date, rows["symbol"], strict=True)) == [
        (day(0), "AAPL"),
        (day(1), "MSFT"),
        (day(1), "SPY"),
        (day(3), "AAPL"),
    ]


def test_only_the_sessions_asked_for_are_read(ledger: Ledger) -> None:
    append(ledger, range(5), orders=[make_order(number) for number in range(5)])

    rows = ledger.rows(STRATEGY, LANE, ORDERS, [day(4), day(1)])

    assert list(rows["session"].dt.date) == [day(1), day(4)]
    again = ledger.rows(STRATEGY, LANE, ORDERS, list(rows["session"]))
    pd.testing.assert_frame_equal(again, rows)
    assert ledger.rows(STRATEGY, LANE, ORDERS, []).empty


def test_books_are_kept_apart(ledger: Ledger) -> None:
    append(ledger, range(2), orders=[make_order(0)])
    ledger.append("breakout", LANE, 0, make_records(range(1)), {"orders": [make_order(0)]})
    ledger.append(STRATEGY, "replay", 7, make_records(range(1)), {})

    assert books(ledger) == [(0, 0), (1, 0)]
    assert ledger.next_generation("breakout", LANE) == 1
    assert ledger.next_generation(STRATEGY, "replay") == 8
    assert list(ledger.rows("breakout", LANE, ORDERS, [day(0)])["strategy"]) == ["breakout"]
    assert ledger.rows(STRATEGY, "replay", ORDERS, [day(0)]).empty


def test_rows_of_every_table_come_back_as_they_went(ledger: Ledger) -> None:
    at = datetime(2024, 1, 2, 14, 30, 0, 123456, tzinfo=UTC)
    event = {"session": day(0), "order_id": "o", "seq": 1, "status": "filled",
             "shares": 10, "price": None, "reason": "é", "at": at}  # fmt: skip
    split = {"session": day(0), "event_id": "e", "symbol": "AAPL", "kind": "split",
             "shares_delta": -30, "cash": 12.5}  # fmt: skip
    rows = {
        ORDERS: make_order(0, limit_price=99.5, submitted_at=None),
        ORDER_EVENTS: event,
        FILLS: make_fill(0, filled_at=at),
        BOOK_EVENTS: split,
        TRADES: make_trade(0),
        POSITIONS: make_positions(0, is_stale=True)[0],
        PORTFOLIO: make_portfolio(0),
    }
    given = {table.name: [row] for table, row in rows.items()}
    ledger.append(STRATEGY, LANE, 4, make_records(range(1)), given)

    for table, row in rows.items():
        filled_in = {**row, "strategy": STRATEGY, "lane": LANE, "generation": 4}
        expected = pd.DataFrame([{name: filled_in[name] for name in table.columns}])
        pd.testing.assert_frame_equal(
            ledger.rows(STRATEGY, LANE, table, [day(0)]), table.conform(expected)
        )


def test_numbers_of_numpy_are_numbers(ledger: Ledger) -> None:
    (row,) = make_positions(
        0,
        shares=np.int64(3),
        close=np.float64(1.5),
        is_stale=np.bool_(True),  # noqa: FBT003 - numpy's
    )
    append(ledger, range(1), positions=[row])

    (read,) = ledger.rows(STRATEGY, LANE, POSITIONS, [day(0)]).to_dict("records")

    assert (read["shares"], read["close"], read["is_stale"]) == (3, 1.5, True)


def test_instants_are_the_same_wherever_they_were_written(ledger: Ledger) -> None:
    new_york = pd.Timestamp("2024-01-02 16:00", tz="America/New_York")
    append(ledger, range(1), orders=[make_order(0, decided_at=new_york.to_pydatetime())])

    (decided_at,) = ledger.rows(STRATEGY, LANE, ORDERS, [day(0)])["decided_at"]

    assert decided_at == new_york
    assert str(decided_at.tz) == "UTC"


@pytest.mark.parametrize(
    ("days", "rows"),
    [
        pytest.param(range(1, 3), {}, id="the session"),
        pytest.param(
            range(3, 4), {"orders": [make_order(3), make_order(3)]}, id="an order"
        ),
        pytest.param(range(3, 4), {"fills": [make_fill(3, fill_id="taken")]}, id="a fill"),
    ],
)
def test_what_was_recorded_before_is_a_conflict_and_nothing_is_written(
    ledger: Ledger, days: range, rows: dict[str, list[Row]]
) -> None:
    append(ledger, range(2), fills=[make_fill(1, fill_id="taken")])

    with pytest.raises(OrderConflict, match="trend/simulated, generation 0"):
        append(ledger, days, **rows)

    assert books(ledger) == [(0, 0), (1, 0)]
    assert ledger.rows(STRATEGY, LANE, ORDERS, [day(3)]).empty
    assert len(ledger.rows(STRATEGY, LANE, FILLS, [day(n) for n in range(4)])) == 1


def test_the_same_order_may_be_walked_again_in_another_generation(ledger: Ledger) -> None:
    append(ledger, range(1), orders=[make_order(0, reason="first")])
    append(ledger, range(1), generation=1, orders=[make_order(0, reason="second")])

    assert list(ledger.rows(STRATEGY, LANE, ORDERS, [day(0)])["reason"]) == ["second"]


@pytest.mark.parametrize(
    ("table", "row", "message"),
    [
        pytest.param("moods", {}, "no table moods", id="unknown table"),
        pytest.param("orders", make_order(0, mood="good"), "mood", id="unknown column"),
        pytest.param("portfolio", {"session": day(0)}, "equity", id="missing columns"),
        pytest.param("orders", make_order(1), "2024-01-03", id="session not walked"),
        pytest.param("orders", make_order(0, shares=1.5), "type", id="half a share"),
        pytest.param("fills", make_fill(0, price="a lot"), "type", id="not a number"),
    ],
)
def test_rows_that_do_not_fit_are_refused_and_nothing_is_written(
    ledger: Ledger, table: str, row: Row, message: str
) -> None:
    with pytest.raises(ShapeMismatch, match=message):
        append(ledger, range(1), **{table: [row]})

    assert books(ledger) == []


def test_an_empty_value_where_there_must_be_one_is_refused(ledger: Ledger) -> None:
    for price in (None, float("nan")):
        with pytest.raises(OrderConflict, match="price"):
            append(ledger, range(1), fills=[make_fill(0, price=price)])

    assert books(ledger) == []


def test_tables_of_others_are_not_here(ledger: Ledger) -> None:
    with pytest.raises(ShapeMismatch, match="no table bars"):
        ledger.rows(STRATEGY, LANE, BARS, [day(0)])


def test_one_at_a_time_has_a_book(ledger: Ledger, place: str) -> None:
    other = Ledger.open(place)
    with ledger.lane(STRATEGY, LANE, 0):
        with (
            pytest.raises(
                StoreBusy, match=rf"book trend/simulated .*process {os.getpid()}"
            ),
            other.lane(STRATEGY, LANE, 0.1),
        ):
            pass
        with other.lane(STRATEGY, "replay", 0), other.lane("breakout", LANE, 0):
            pass
    with other.lane(STRATEGY, LANE, 0):
        pass
    other.close()


def test_a_book_is_given_back_after_an_error(ledger: Ledger) -> None:
    with pytest.raises(KeyError), ledger.lane(STRATEGY, LANE, 0):
        raise KeyError

    with ledger.lane(STRATEGY, LANE, 0):
        pass


def test_who_has_a_book_can_write_while_others_wait(ledger: Ledger) -> None:
    with ledger.lane(STRATEGY, LANE, 0):
        append(ledger, range(1))

    assert books(ledger) == [(0, 0)]


def test_a_killed_walk_loses_nothing_that_was_acknowledged(
    ledger: Ledger, place: str
) -> None:
    chance = random.Random(7)  # noqa: S311 - moments, no secrets
    command = [sys.executable, "-m", "trading_assets_tests.adapters.ledger.appender", place]
    for _ in range(KILLS):
        with subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, text=True
        ) as child:
            assert child.stdout is not None
            said = [child.stdout.readline()]
            time.sleep(chance.uniform(0, 0.2))
            child.kill()
            said += child.stdout.readlines()
        acknowledged = [int(number) for number in said if number.endswith("\n")][-1]
        with ledger.lane(STRATEGY, LANE, 10):  # the dead have let go of it
            walked = len(books(ledger))

        assert walked in {acknowledged, acknowledged + 5}
        days = [day(number) for number in range(walked + 10)]
        assert len(ledger.rows(STRATEGY, LANE, ORDERS, days)) == walked
        assert len(ledger.rows(STRATEGY, LANE, PORTFOLIO, days)) == walked
        assert len(ledger.rows(STRATEGY, LANE, POSITIONS, days)) == walked * len(SYMBOLS)
