from itertools import combinations

import pytest

from trading_assets.adapters.ibkr.codes import (
    CODES,
    PAUSING,
    RESTORING,
    CodeClass,
    code_class,
    says_no_data,
)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (2104, CodeClass.INFO),
        (10349, CodeClass.INFO),
        (202, CodeClass.INFO),
        (1100, CodeClass.CONNECTIVITY),
        (1102, CodeClass.CONNECTIVITY),
        (2110, CodeClass.CONNECTIVITY),
        (100, CodeClass.RETRY),
        (366, CodeClass.RETRY),
        (200, CodeClass.REQUEST),
        (321, CodeClass.REQUEST),
        (201, CodeClass.ORDER),
        (10147, CodeClass.ORDER),
        (326, CodeClass.SESSION),
    ],
)
def test_a_code_says_what_to_do(code: int, expected: CodeClass) -> None:
    assert code_class(code) is expected


def test_no_code_has_two_meanings() -> None:
    for one, other in combinations(CODES.values(), 2):
        assert not one & other


def test_every_class_has_its_codes() -> None:
    assert set(CODES) == set(CodeClass)
    assert all(CODES.values())


@pytest.mark.parametrize("code", sorted(PAUSING | RESTORING))
def test_what_pauses_and_restores_is_connectivity(code: int) -> None:
    assert code_class(code) is CodeClass.CONNECTIVITY


def test_an_unknown_notice_is_only_a_notice() -> None:
    assert code_class(2199) is CodeClass.INFO


@pytest.mark.parametrize("code", [1, 999, 2200, 20_000])
def test_an_unknown_code_ends_a_request(code: int) -> None:
    assert code_class(code) is CodeClass.REQUEST


SERVICE = "Historical Market Data Service error message:"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            f"{SERVICE}HMDS query returned no data: AAPL@SMART Trades",
            CodeClass.REQUEST,
        ),
        (f"{SERVICE}No market data permissions for NASDAQ STK", CodeClass.REQUEST),
        (f"{SERVICE}Invalid step: 1 sec", CodeClass.REQUEST),
        ("Historical data request pacing violation", CodeClass.RETRY),
        (f"{SERVICE}API historical data query cancelled: 5", CodeClass.RETRY),
        ("", CodeClass.RETRY),
    ],
)
def test_162_is_told_apart_by_its_text(text: str, expected: CodeClass) -> None:
    assert code_class(162, text) is expected


def test_only_162_knows_that_there_is_no_data() -> None:
    assert says_no_data(162, f"{SERVICE}HMDS query returned no data: AAPL@SMART Trades")
    assert not says_no_data(162, "Historical data request pacing violation")
    assert not says_no_data(200, "no data")
