import pytest

from trading_assets.strategies.cron import check_evening


@pytest.mark.parametrize(
    "cron",
    [
        "15 17 * * 1-5",
        "0 17 * * *",
        "59 23 * * mon-fri",
        "1 0 * * 2-6",
        "*/15 17-23 * * 1,2,3",
        "24 9 * jan-jun *",
        "0/30 18 1-15/2 * 0-7",
    ],
)
def test_evenings_nights_and_mornings_before_the_open_are_fine(cron: str) -> None:
    check_evening(cron)


@pytest.mark.parametrize(
    ("cron", "at"),
    [
        ("0 16 * * 1-5", "16:00"),
        ("59 16 * * 1-5", "16:59"),
        ("25 9 * * 1-5", "09:25"),
        ("0 * * * *", "10:00"),
        ("* * * * *", "09:25"),
        ("30 8,12,17 * * *", "12:30"),
        ("0 17-9/8 * * *", None),
        ("30 1/8 * * *", "09:30"),
    ],
)
def test_a_time_without_a_session_to_decide_is_refused(cron: str, at: str | None) -> None:
    with pytest.raises(ValueError, match=f"fires at {at}" if at else "must"):
        check_evening(cron)


@pytest.mark.parametrize(
    ("cron", "message"),
    [
        ("", "five fields"),
        ("@daily", "five fields"),
        ("15 17 * * 1-5 2024", "five fields"),
        ("60 17 * * *", "minute must be 0 to 59, not '60'"),
        ("0 24 * * *", "hour must be 0 to 23, not '24'"),
        ("0 17 0 * *", "day of month must be 1 to 31, not '0'"),
        ("0 17 * 13 *", "month must be 1 to 12, not '13'"),
        ("0 17 * * 8", "day of week must be 0 to 7, not '8'"),
        ("0 17 * * monday", "day of week must be 0 to 7, not 'monday'"),
        ("0 17 * jun-jan *", "month 'jun-jan' runs backwards"),
        ("0 17 * * 1-", "day of week '1-' can't be read"),
        ("0 17, * * *", "hour '17,' can't be read"),
        ("*/0 17 * * *", "minute must be 1 to 59, not '0'"),
        ("²5 17 * * *", "minute must be 0 to 59"),
    ],
)
def test_what_is_no_cron_is_refused_by_its_field(cron: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_evening(cron)
