"""Which sessions an evening still has to make."""

from datetime import date

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_assets.core.evenings import LATE_SESSIONS, market_to_make, to_make
from trading_assets.sessions import trading_calendar

CALENDAR = trading_calendar()
START, FRIDAY, TUESDAY = date(2024, 1, 2), date(2024, 1, 12), date(2024, 1, 16)
"""Monday the 15th is a holiday."""


def test_a_beginning_makes_everything_from_the_start() -> None:
    assert to_make(CALENDAR, START, [], FRIDAY) == (START, FRIDAY)


def test_an_evening_makes_the_session_after_the_last_one() -> None:
    assert to_make(CALENDAR, START, [START, FRIDAY], TUESDAY) == (TUESDAY, TUESDAY)


def test_missed_evenings_are_one_range() -> None:
    assert to_make(CALENDAR, START, [date(2024, 1, 9)], TUESDAY) == (
        date(2024, 1, 10),
        TUESDAY,
    )


def test_on_a_holiday_nothing_is_left() -> None:
    assert (
        to_make(CALENDAR, START, [FRIDAY], CALENDAR.on_or_before(date(2024, 1, 15))) is None
    )


def test_what_was_made_before_the_start_does_not_count() -> None:
    assert to_make(CALENDAR, FRIDAY, [START], TUESDAY) == (FRIDAY, TUESDAY)


def test_a_start_in_the_future_leaves_nothing() -> None:
    assert to_make(CALENDAR, TUESDAY, [], FRIDAY) is None


def coverage(**gaps: tuple[date | None, str]) -> pd.DataFrame:
    """`coverage` of bars through Friday: by symbol, since when there is a gap, and why."""
    sessions = CALENDAR.between(START, FRIDAY)
    rows = [
        (symbol, pd.Timestamp(day), status if since and day >= since else "ok")
        for symbol, (since, status) in gaps.items()
        for day in sessions
    ]
    return pd.DataFrame(rows, columns=["symbol", "session", "status"])


COMPLETE = (None, "ok")


def test_the_market_makes_the_session_after_the_last_one() -> None:
    told = coverage(AAA=COMPLETE, BBB=COMPLETE)

    assert market_to_make(CALENDAR, START, ["AAA", "BBB"], told, TUESDAY) == (
        TUESDAY,
        TUESDAY,
    )


@pytest.mark.parametrize("status", ["missing", "ended"])
def test_bars_that_came_late_are_asked_for_with_the_next_session(status: str) -> None:
    late = date(2024, 1, 10)
    told = coverage(AAA=COMPLETE, BBB=(late, status))

    assert market_to_make(CALENDAR, START, ["AAA", "BBB"], told, TUESDAY) == (late, TUESDAY)


@pytest.mark.parametrize("status", ["rejected", "not_listed"])
def test_what_a_source_will_say_again_is_not_asked_for_again(status: str) -> None:
    told = coverage(AAA=COMPLETE, BBB=(date(2024, 1, 10), status))

    assert market_to_make(CALENDAR, START, ["AAA", "BBB"], told, TUESDAY) == (
        TUESDAY,
        TUESDAY,
    )


def test_without_a_new_session_gaps_are_left_alone() -> None:
    told = coverage(AAA=COMPLETE, BBB=(date(2024, 1, 10), "missing"))

    assert market_to_make(CALENDAR, START, ["AAA", "BBB"], told, FRIDAY) is None


def test_what_ended_long_ago_is_asked_for_ten_sessions_back_and_no_further() -> None:
    start, last = date(2019, 1, 2), date(2024, 1, 12)
    days = CALENDAR.between(start, last)
    told = pd.DataFrame(
        {"symbol": "AAA", "session": pd.to_datetime(list(days)), "status": "ended"}
    )

    found = market_to_make(CALENDAR, start, ["AAA"], told, TUESDAY)

    assert found == (CALENDAR.offset(TUESDAY, -LATE_SESSIONS), TUESDAY)


def test_a_market_or_a_symbol_of_which_nothing_is_known_is_made_from_the_start() -> None:
    told = coverage(AAA=COMPLETE)

    assert market_to_make(CALENDAR, START, ["AAA", "NEW"], told, FRIDAY) == (START, FRIDAY)
    assert market_to_make(CALENDAR, START, ["AAA"], told.iloc[:0], FRIDAY) == (
        START,
        FRIDAY,
    )


DAYS = CALENDAR.between(date(2023, 1, 3), date(2024, 12, 31))


@given(st.integers(0, 300), st.integers(0, 400), st.integers(0, 400))
def test_evening_after_evening_leaves_no_session_out(
    start: int, made: int, now: int
) -> None:
    found = to_make(CALENDAR, DAYS[start], DAYS[start : start + made], DAYS[now])

    first = max(start, start + made) if made else start
    wanted = DAYS[first : now + 1]
    assert found == ((wanted[0], wanted[-1]) if wanted else None)
