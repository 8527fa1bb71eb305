"""Trading days, against what the exchange has published and against the library."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import exchange_calendars
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_assets.errors import InvalidInput
from trading_assets.sessions import FIRST_DAY, LAST_DAY, TradingCalendar, trading_calendar

NYSE = trading_calendar()
NEW_YORK = ZoneInfo("America/New_York")


def at(day: str, clock: str) -> datetime:
    """An instant, said in New York."""
    return datetime.fromisoformat(f"{day}T{clock}").replace(tzinfo=NEW_YORK)


def test_the_holidays_of_2024_are_those_the_exchange_has_published() -> None:
    closures = NYSE.weekday_closures(date(2024, 1, 1), date(2024, 12, 31))

    assert [f"{day:%m-%d}" for day in closures] == [
        *("01-01", "01-15", "02-19", "03-29", "05-27"),
        *("06-19", "07-04", "09-02", "11-28", "12-25"),
    ]


def test_days_of_mourning_and_storms_are_no_sessions() -> None:
    for closed in (
        date(2001, 9, 11),
        date(2012, 10, 29),
        date(2018, 12, 5),
        date(2025, 1, 9),
    ):
        assert not NYSE.is_session(closed)
    assert NYSE.is_session(date(2024, 1, 2))
    assert not NYSE.is_session(date(2024, 1, 6))


def test_a_session_closes_at_four_and_early_on_the_days_that_do() -> None:
    assert NYSE.close_at(date(2024, 1, 12)) == at("2024-01-12", "16:00")
    assert NYSE.close_at(date(2024, 7, 3)) == at("2024-07-03", "13:00")
    assert NYSE.close_at(date(2024, 11, 29)) == at("2024-11-29", "13:00")
    assert NYSE.open_at(date(2024, 7, 3)) == at("2024-07-03", "09:30")
    assert NYSE.close_at(date(2024, 7, 5)).tzinfo is UTC


@pytest.mark.parametrize(
    ("day", "clock", "session"),
    [
        ("2024-01-12", "15:59:59", "2024-01-11"),
        ("2024-01-12", "16:00:00", "2024-01-12"),
        ("2024-01-15", "20:00:00", "2024-01-12"),
        ("2024-07-03", "12:59:59", "2024-07-02"),
        ("2024-07-03", "13:00:00", "2024-07-03"),
        ("2024-07-04", "23:00:00", "2024-07-03"),
    ],
)
def test_the_last_closed_session_is_the_one_whose_close_has_passed(
    day: str, clock: str, session: str
) -> None:
    assert NYSE.last_closed(at(day, clock)).isoformat() == session
    assert NYSE.last_closed(at(day, clock).astimezone(UTC)).isoformat() == session


def test_before_the_calendar_nothing_had_closed() -> None:
    with pytest.raises(InvalidInput, match="no session of XNYS had closed"):
        NYSE.last_closed(datetime(1980, 1, 1, tzinfo=UTC))


def test_it_is_the_librarys_calendar() -> None:
    known = exchange_calendars.get_calendar(
        "XNYS", start=FIRST_DAY.isoformat(), end=LAST_DAY.isoformat()
    )

    assert list(NYSE.sessions) == [session.date() for session in known.sessions]
    for session in NYSE.sessions[::97]:
        assert NYSE.open_at(session) == known.session_open(session.isoformat())
        assert NYSE.close_at(session) == known.session_close(session.isoformat())


def test_neighbours_are_counted_in_sessions() -> None:
    friday, tuesday = date(2024, 1, 12), date(2024, 1, 16)

    assert NYSE.offset(friday, 1) == tuesday
    assert NYSE.offset(tuesday, -1) == friday
    assert NYSE.on_or_after(date(2024, 1, 13)) == tuesday
    assert NYSE.on_or_before(date(2024, 1, 15)) == friday
    assert NYSE.between(date(2024, 1, 13), date(2024, 1, 17)) == (
        tuesday,
        date(2024, 1, 17),
    )
    assert NYSE.between(tuesday, friday) == ()


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda: NYSE.position(date(2024, 1, 6)), "2024-01-06 is not a session of XNYS"),
        (lambda: NYSE.offset(NYSE.sessions[0], -1), "-1 sessions from .* is outside"),
        (lambda: NYSE.on_or_after(date(2040, 1, 1)), "calendar ends 2035-12-31"),
        (lambda: NYSE.on_or_before(date(1980, 1, 1)), "calendar starts 1990-01-01"),
        (lambda: trading_calendar("NOWHERE"), "exchange must be .*, was NOWHERE"),
    ],
)
def test_what_is_not_there_is_refused_by_name(ask: object, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        ask()  # pyright: ignore[reportCallIssue] - one of the lambdas above


@given(st.integers(0, len(NYSE.sessions) - 1))
def test_position_is_the_inverse_of_sessions(number: int) -> None:
    assert NYSE.position(NYSE.sessions[number]) == number


@given(st.dates(date(1990, 1, 5), date(2035, 12, 1)))
def test_a_day_lies_between_the_sessions_around_it(day: date) -> None:
    before, after = NYSE.on_or_before(day), NYSE.on_or_after(day)

    assert before <= day <= after
    assert (before == after == day) == NYSE.is_session(day)
    closed = NYSE.last_closed(NYSE.close_at(after) - timedelta(seconds=1))
    assert closed == NYSE.offset(after, -1)


def test_a_calendar_is_the_same_kept_built_and_where_nothing_can_be_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def loaded() -> TradingCalendar:
        trading_calendar.cache_clear()
        return trading_calendar("XNYS")

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    built = loaded()
    (kept,) = (tmp_path / "cache" / "trading_assets").iterdir()
    assert loaded() == built == NYSE

    kept.write_bytes(kept.read_bytes()[:1000])
    assert loaded() == built

    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(blocked))
    assert loaded() == built
    trading_calendar.cache_clear()
