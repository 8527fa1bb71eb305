import os
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_assets.core.bar_checks import (
    are_inconsistent,
    explained_gaps,
    inconsistencies,
    inconsistent_bars,
    suspicious_jumps,
    unexplained_gaps,
    vanished_bars,
)

SAMPLE = Path(
    os.environ.get("TRADING_SAMPLE_DATA")
    or Path(__file__).parents[2].parent / "shared" / "data"
)
DAYS = [date(2024, 1, day) for day in (2, 3, 4, 5, 8)]


def coverage(*rows: tuple[str, int, str, str], asset: str = "bars") -> pd.DataFrame:
    """Rows of symbol, place in `DAYS`, status and reason."""
    return pd.DataFrame(
        [
            (asset, "", symbol, pd.Timestamp(DAYS[at]), status == "ok", status, reason, "")
            for symbol, at, status, reason in rows
        ],
        columns=[
            *("asset", "strategy", "symbol", "session"),
            *("rows", "status", "reason", "content_hash"),
        ],
    ).astype({"session": "datetime64[ns]"})


def bars(symbol: str, *closes: float) -> pd.DataFrame:
    close = np.array(closes)
    return pd.DataFrame(
        {
            "symbol": symbol,
            "session": pd.to_datetime(DAYS[: len(closes)]),
            "open": close,
            "high": close + 0.5,
            "low": close - 0.5,
            "close": close,
            "volume": 100.0,
        }
    )


def actions(*rows: tuple[str, int, str, float]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            (symbol, pd.Timestamp(DAYS[at]), kind, value, "test")
            for symbol, at, kind, value in rows
        ],
        columns=["symbol", "ex_session", "kind", "value", "source"],
    ).astype({"ex_session": "datetime64[ns]"})


def keys(frame: pd.DataFrame) -> list[tuple[str, date]]:
    return [(row.symbol, row.session.date()) for row in frame.itertuples()]


def test_a_partition_without_coverage_is_unexplained() -> None:
    told = coverage(("A", 0, "ok", ""), ("A", 2, "missing", "no row"), ("B", 0, "ok", ""))

    gaps = unexplained_gaps(told, ["B", "A"], DAYS[:3])

    assert keys(gaps) == [("A", DAYS[1]), ("B", DAYS[1]), ("B", DAYS[2])]


def test_coverage_of_another_asset_explains_no_bar() -> None:
    told = coverage(("A", 0, "ok", ""), asset="indicators")

    assert keys(unexplained_gaps(told, ["A"], DAYS[:1])) == [("A", DAYS[0])]
    assert explained_gaps(told, ["A"], DAYS[:1]).empty


def test_no_coverage_at_all_leaves_everything_unexplained() -> None:
    assert len(unexplained_gaps(coverage(), ["A", "B"], DAYS)) == 10
    assert explained_gaps(coverage(), ["A", "B"], DAYS).empty


def test_explained_gaps_are_runs_of_one_status_and_reason() -> None:
    told = coverage(
        ("A", 0, "not_listed", "begins 2024-01-04"),
        ("A", 1, "not_listed", "begins 2024-01-04"),
        ("A", 2, "ok", ""),
        ("A", 3, "rejected", "line 4: open is empty"),
        ("A", 4, "rejected", "line 5: open is empty"),
        ("B", 0, "missing", "no row"),
        ("B", 1, "ok", ""),
        ("B", 2, "missing", "no row"),
    )

    gaps = explained_gaps(told, ["A", "B"], DAYS)

    assert [tuple(row) for row in gaps.drop(columns="reason").to_numpy()] == [
        ("A", "not_listed", pd.Timestamp(DAYS[0]), pd.Timestamp(DAYS[1]), 2),
        ("A", "rejected", pd.Timestamp(DAYS[3]), pd.Timestamp(DAYS[3]), 1),
        ("A", "rejected", pd.Timestamp(DAYS[4]), pd.Timestamp(DAYS[4]), 1),
        ("B", "missing", pd.Timestamp(DAYS[0]), pd.Timestamp(DAYS[0]), 1),
        ("B", "missing", pd.Timestamp(DAYS[2]), pd.Timestamp(DAYS[2]), 1),
    ]
    assert gaps["reason"][0] == "begins 2024-01-04"


def test_gaps_of_two_symbols_are_never_one_run() -> None:
    told = coverage(("A", 0, "missing", "no row"), ("B", 0, "missing", "no row"))

    assert explained_gaps(told, ["A", "B"], DAYS[:1])["symbol"].tolist() == ["A", "B"]


def test_a_promised_bar_that_is_gone_is_found() -> None:
    told = coverage(("A", 0, "ok", ""), ("A", 1, "ok", ""), ("A", 2, "missing", "no row"))

    assert keys(vanished_bars(bars("A", 10.0), told)) == [("A", DAYS[1])]


@pytest.mark.parametrize(
    ("column", "wrong", "problem"),
    [
        ("high", 9.5, "high 9.5 is below open 10.0, high 9.5 is below close 10.0"),
        ("low", 10.25, "low 10.25 is above open 10.0, low 10.25 is above close 10.0"),
        ("close", 11.0, "high 10.5 is below close 11.0"),
        ("open", 9.0, "low 9.5 is above open 9.0"),
        ("low", -1.0, "low must be above 0, is -1"),
        ("volume", -1.0, "volume must not be below 0, is -1"),
        ("volume", np.nan, "volume must be a number"),
        ("high", np.inf, "high must be a number"),
    ],
)
def test_a_bar_that_can_not_be_is_named_with_its_problem(
    column: str, wrong: float, problem: str
) -> None:
    frame = pd.concat([bars("B", 10.0), bars("A", 10.0, 10.0)], ignore_index=True)
    frame.loc[2, column] = wrong

    found = inconsistent_bars(frame)

    assert keys(found) == [("A", DAYS[1])]
    assert found["problem"].tolist() == [problem]


cells = st.sampled_from([-1.0, 0.0, 1.0, 1.5, 2.0, 3.0, float("nan"), float("inf")])


@given(st.lists(st.tuples(cells, cells, cells, cells, cells), min_size=1, max_size=20))
def test_words_are_found_exactly_for_bars_that_can_not_be(
    rows: list[tuple[float, float, float, float, float]],
) -> None:
    marked = are_inconsistent(np.array(rows)).tolist()

    assert marked == [bool(inconsistencies(*row)) for row in rows]


def test_a_jump_beyond_the_threshold_is_suspicious_in_either_direction() -> None:
    frame = pd.concat([bars("A", 100, 140, 90, 91), bars("B", 100, 134, 90)])

    jumps = suspicious_jumps(frame, actions(), threshold_frac=0.35)

    assert keys(jumps) == [("A", DAYS[1]), ("A", DAYS[2])]
    assert jumps["change_frac"].tolist() == pytest.approx([0.40, -5 / 14])
    assert jumps["previous_close"].tolist() == [100, 140]
    assert jumps["previous_session"][0].date() == DAYS[0]


def test_the_last_bar_of_one_symbol_is_not_the_one_before_the_next() -> None:
    frame = pd.concat([bars("A", 10, 10), bars("B", 100, 100)])

    assert suspicious_jumps(frame, actions()).empty


@pytest.mark.parametrize("kind", ["split", "spinoff_factor"])
def test_a_split_or_spin_off_explains_a_jump(kind: str) -> None:
    frame = bars("A", 100, 25.5, 26)

    assert len(suspicious_jumps(frame, actions())) == 1
    assert suspicious_jumps(frame, actions(("A", 1, kind, 4.0))).empty


def test_a_dividend_or_the_split_of_another_explains_nothing() -> None:
    told = actions(("A", 1, "dividend", 75.0), ("B", 1, "split", 4.0))

    assert len(suspicious_jumps(bars("A", 100, 25.5, 26), told)) == 1


def test_a_split_on_a_session_without_a_bar_explains_the_next_bar() -> None:
    frame = bars("A", 100, 99, 25).drop(index=1)

    assert suspicious_jumps(frame, actions(("A", 1, "split", 4.0))).empty


def test_a_split_that_the_prices_never_made_is_suspicious() -> None:
    jumps = suspicious_jumps(bars("A", 25, 25, 25), actions(("A", 1, "split", 4.0)))

    assert jumps["change_frac"].tolist() == pytest.approx([3.0])


def test_no_bars_have_no_problems() -> None:
    nothing = bars("A")

    assert suspicious_jumps(nothing, actions()).empty
    assert inconsistent_bars(nothing).empty
    assert vanished_bars(nothing, coverage()).empty


@pytest.mark.skipif(
    not (SAMPLE / "manifest.csv").exists(),
    reason="the sample data are not beside the repository",
)
@pytest.mark.parametrize("symbol", ["AAPL", "FB", "GOOGL", "IBM", "NFLX", "USO", "YUM"])
def test_jumps_of_real_shares_are_those_that_the_manifest_lists(symbol: str) -> None:
    listed = pd.read_csv(SAMPLE / "manifest.csv").set_index("symbol")["jump_dates"][symbol]
    frame = pd.read_csv(SAMPLE / "daily" / f"{symbol}.csv", parse_dates=["date"])
    frame = frame.rename(columns={"date": "session"}).assign(symbol=symbol)
    path = SAMPLE / "actions" / f"{symbol}.csv"
    told = pd.read_csv(path, parse_dates=["ex_date"]) if path.exists() else actions()
    told = told.rename(columns={"ex_date": "ex_session"}).assign(symbol=symbol)

    jumps = suspicious_jumps(frame, told, threshold_frac=0.25)

    expected = [] if pd.isna(listed) else [part.split(":") for part in listed.split(";")]
    assert [str(on.date()) for on in jumps["session"]] == [on for on, _ in expected]
    assert jumps["change_frac"].abs().tolist() == pytest.approx(
        [float(size) for _, size in expected], abs=0.01
    )
