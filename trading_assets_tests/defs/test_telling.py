"""What steps tell is fit to be read: no stray digits, fractions in per cent."""

import pandas as pd
import pytest

from trading_assets.defs.telling import rounded, table


@pytest.mark.parametrize(
    ("value", "shown"),
    [(98465.23877, 98465.24), (-6.0939, -6.09), (0.48123456, 0.4812), (-0.00004, -0.0)],
)
def test_a_number_has_no_more_digits_than_a_reader_wants(
    value: float, shown: float
) -> None:
    assert rounded(value) == shown


def test_a_table_separates_thousands_and_leaves_empty_what_is_not_there() -> None:
    rows = pd.DataFrame(
        {
            "symbol": ["AAA", "B|B"],
            "session": pd.to_datetime(["2024-01-12", "2024-01-16"]),
            "shares": [1500, 2],
            "price": [12345.678, 0.51239],
            "limit_price": [None, 7.5],
        }
    )
    assert table(rows).value == (
        "| symbol | session | shares | price | limit_price |\n"
        "| --- | --- | --- | --- | --- |\n"
        "| AAA | 2024-01-12 | 1500 | 12,345.68 |  |\n"
        "| B\\|B | 2024-01-16 | 2 | 0.5124 | 7.50 |"
    )


def test_a_long_table_is_cut() -> None:
    rows = pd.DataFrame({"number": range(500)})
    assert str(table(rows).value).count("\n") == 21
