from datetime import date

from hypothesis import given
from hypothesis import strategies as st

from trading_assets.adapters.chart_store.port import chart_path, steps_of

SESSION = date(2024, 1, 12)
SYMBOLS = st.from_regex(r"[A-Z0-9^][A-Z0-9.\-/^=]{0,15}", fullmatch=True)


def test_a_path_says_what_the_chart_is() -> None:
    path = chart_path("trend", "daily", "BRK.B", SESSION)

    assert path == "trend/daily/BRK.B/2024-01-12.png"


def test_a_slash_in_a_symbol_opens_no_folder() -> None:
    path = chart_path("trend", "weekly", "BRK/B", SESSION)

    assert path == "trend/weekly/BRK_B/2024-01-12.png"


@given(SYMBOLS)
def test_every_symbol_has_a_path_of_four_safe_steps(symbol: str) -> None:
    assert len(steps_of(chart_path("trend", "daily", symbol, SESSION))) == 4


@given(st.lists(SYMBOLS, min_size=2, max_size=2, unique=True))
def test_no_two_symbols_share_a_path(symbols: list[str]) -> None:
    first, second = (chart_path("trend", "daily", s, SESSION) for s in symbols)

    assert first != second
