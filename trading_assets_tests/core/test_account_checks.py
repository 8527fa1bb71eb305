"""The broker's word against our books: shares, and the profit of a day."""

from datetime import date
from typing import Any

import pandas as pd

from trading_assets.core.account_checks import pnl_differences, unexplained_positions

DAY, NEXT = date(2026, 11, 19), date(2026, 11, 20)
ACCOUNTS = pd.Series({"one": "DU1", "two": "DU1", "else": "DU2"})


def account(**changes: Any) -> pd.DataFrame:
    given = {
        "account": "DU1",
        "session": NEXT,
        "daily_pnl": 30.0,
        "gross_position_value": 5000.0,
    }
    row = pd.DataFrame([{**given, **changes}])
    return row.assign(session=pd.to_datetime(row["session"]))


def portfolio(*rows: tuple[str, date, float]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["strategy", "session", "equity"])
    return frame.assign(session=pd.to_datetime(frame["session"]))


BOOKS = portfolio(
    ("one", DAY, 1000.0),
    ("one", NEXT, 1020.0),
    ("two", DAY, 500.0),
    ("two", NEXT, 510.0),
    ("else", DAY, 100.0),
    ("else", NEXT, 900.0),
)


def test_a_position_is_explained_when_it_is_what_we_expect() -> None:
    rows = pd.DataFrame(
        {
            "account": "DU1",
            "session": pd.Timestamp(NEXT),
            "symbol": ["AAA", "BBB", "CCC"],
            "shares": [10.0, 0.0, 5.0],
            "expected_shares": [10.0, 3.0, 0.0],
        }
    )

    assert list(unexplained_positions(rows)["symbol"]) == ["BBB", "CCC"]


def test_the_profit_of_a_day_is_that_of_all_books_in_the_account() -> None:
    assert pnl_differences(account(), BOOKS, ACCOUNTS).empty


def test_marks_may_differ_a_little_and_no_more() -> None:
    assert pnl_differences(account(daily_pnl=35.0), BOOKS, ACCOUNTS).empty

    (found,) = pnl_differences(account(daily_pnl=36.0), BOOKS, ACCOUNTS).to_dict("records")

    assert (found["daily_pnl"], found["ours"], found["difference"]) == (36.0, 30.0, 6.0)


def test_what_the_broker_did_not_say_is_not_judged() -> None:
    assert pnl_differences(account(daily_pnl=None), BOOKS, ACCOUNTS).empty


def test_a_first_session_has_nothing_to_compare() -> None:
    first = account(session=DAY, daily_pnl=999.0)

    assert pnl_differences(first, BOOKS, ACCOUNTS).empty
