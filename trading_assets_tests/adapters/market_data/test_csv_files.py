import csv
import os
from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from trading_assets.adapters.market_data.csv_files import CsvMarketData
from trading_assets.adapters.market_data.port import MarketData, MarketHistory
from trading_assets.errors import MarketDataUnreadable
from trading_assets_tests.adapters.market_data.contract import CALENDAR, MarketDataContract

HEADER = "date,open,high,low,close,volume"
GOOD = (
    "2024-01-02,10,11,9,10.5,1000",
    "2024-01-03,10.5,12,10,11,2000",
    "2024-01-04,11,11.5,10.5,11.25,1500",
    "2024-01-05,11.25,13,11,12,3000",
)
ACTIONS_HEADER = "ex_date,kind,value"
FIRST, LAST = date(2024, 1, 2), date(2024, 1, 5)
SAMPLE = Path(
    os.environ.get("TRADING_SAMPLE_DATA")
    or Path(__file__).parents[3].parent / "shared" / "data"
)
needs_sample = pytest.mark.skipif(
    not (SAMPLE / "daily").is_dir(), reason="the sample data are not beside the repository"
)


class Folder:
    """A folder of CSV files being written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        (path / "daily").mkdir()
        (path / "actions").mkdir()
        self.market_data = CsvMarketData(path, CALENDAR)

    def daily(self, *rows: str, symbol: str = "AAA", header: str = HEADER) -> None:
        self._write("daily", symbol, header, rows)

    def actions(
        self, *rows: str, symbol: str = "AAA", header: str = ACTIONS_HEADER
    ) -> None:
        self._write("actions", symbol, header, rows)

    def history(self, *symbols: str) -> MarketHistory:
        return self.market_data.history(symbols or ("AAA",), FIRST, LAST)

    def _write(self, kind: str, symbol: str, header: str, rows: tuple[str, ...]) -> None:
        text = "\n".join((header, *rows)) + "\n"
        (self.path / kind / f"{symbol}.csv").write_text(text)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def coverage(history: MarketHistory) -> dict[str, tuple[str, str]]:
    rows = history.coverage.itertuples()
    return {str(row.session.date()): (row.status, row.reason) for row in rows}


class TestCsvMarketData(MarketDataContract):
    SYMBOLS = ("BRK/B", "AAA")
    FIRST, LAST = date(2023, 12, 28), date(2024, 1, 9)

    @pytest.fixture
    def market_data(self, folder: Folder) -> MarketData:
        folder.daily(*GOOD)
        folder.daily(GOOD[0], "2024-01-03,,12,10,11,2000", GOOD[3], symbol="BRK-B")
        folder.actions("2024-01-04,split,2", "2024-01-04,dividend,0.5")
        return folder.market_data


def test_bars_are_those_of_the_file(folder: Folder) -> None:
    folder.daily(*GOOD)

    bars = folder.history().bars

    columns = ["open", "high", "low", "close", "volume"]
    assert bars[columns].iloc[0].tolist() == [10, 11, 9, 10.5, 1000]
    assert bars[columns].iloc[3].tolist() == [11.25, 13, 11, 12, 3000]


def test_further_columns_blank_lines_and_order_do_not_matter(folder: Folder) -> None:
    folder.daily(*GOOD)
    expected = folder.history().bars
    header = "note, volume ,close,low,high,open,date"
    turned = [",".join(["", *reversed(row.split(","))]) for row in reversed(GOOD)]
    folder.daily(turned[0], "", ",,,,,,", *turned[1:], header=header)

    assert folder.history().bars.equals(expected)


def test_a_file_saved_by_a_spreadsheet_reads_the_same(folder: Folder) -> None:
    folder.daily(*GOOD)
    expected = folder.history().bars
    text = "\r\n".join((HEADER, *(f"{row}," for row in GOOD)))
    (folder.path / "daily" / "AAA.csv").write_bytes(text.encode("utf-8-sig"))

    history = folder.history()

    assert history.bars.equals(expected)
    assert set(history.coverage["status"]) == {"ok"}


def test_sessions_around_and_between_rows_say_why_they_have_none(folder: Folder) -> None:
    folder.daily(GOOD[1], GOOD[3])

    told = coverage(folder.market_data.history(["AAA"], FIRST, date(2024, 1, 8)))

    assert told == {
        "2024-01-02": ("not_listed", "daily/AAA.csv begins 2024-01-03"),
        "2024-01-03": ("ok", ""),
        "2024-01-04": ("missing", "daily/AAA.csv has no row"),
        "2024-01-05": ("ok", ""),
        "2024-01-08": ("ended", "daily/AAA.csv ends 2024-01-05"),
    }


def test_a_file_without_rows_is_empty_and_not_unreadable(folder: Folder) -> None:
    folder.daily()

    history = folder.history()

    assert history.unreadable == {}
    assert set(coverage(history).values()) == {
        ("missing", "daily/AAA.csv has no row on any session")
    }


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("2024-01-03,,12,10,11,2000", "open is empty"),
        ("2024-01-03,,,,11,2000", "open is empty, high is empty, low is empty"),
        ("2024-01-03,10.5,12,10,11", "volume is empty"),
        ("2024-01-03,10.5,12,10,n/a,2000", "close must be a number, is 'n/a'"),
        ("2024-01-03,10.5,12,10,nan,2000", "close must be a number, is 'nan'"),
        ("2024-01-03,10.5,inf,10,11,2000", "high must be a number, is 'inf'"),
        ("2024-01-03,10.5,12,10,11,2_000", "volume must be a number, is '2_000'"),
        ('2024-01-03,10.5,12,10,11,"2,000"', "volume must be a number, is '2,000'"),
        ("2024-01-03,10.5,12,-10,11,2000", "low must be above 0, is -10"),
        ("2024-01-03,10.5,12,0,11,2000", "low must be above 0, is 0"),
        ("2024-01-03,10.5,12,10,11,-1", "volume must not be below 0, is -1"),
        ("2024-01-03,10.5,12,10.75,11,2000", "low 10.75 is above open 10.5"),
        ("2024-01-03,10.5,12,10,13,2000", "high 12.0 is below close 13.0"),
        ("2024-01-03,10.5,12,10,11,2000,7", "has 7 cells"),
    ],
)
def test_a_row_that_can_not_be_right_is_rejected_by_line_and_reason(
    folder: Folder, row: str, reason: str
) -> None:
    folder.daily(GOOD[0], row, *GOOD[2:])

    history = folder.history()

    assert coverage(history)["2024-01-03"] == (
        "rejected",
        f"daily/AAA.csv line 3: {reason}",
    )
    assert len(history.bars) == 3


def test_high_below_low_is_rejected_with_both_figures(folder: Folder) -> None:
    folder.daily(GOOD[0], "2024-01-03,10.5,9,12,11,2000", *GOOD[2:])

    status, reason = coverage(folder.history())["2024-01-03"]

    assert status == "rejected"
    assert "high 9.0 is below low 12.0" in reason


def test_a_bar_that_is_there_twice_counts_once_and_is_remarked(folder: Folder) -> None:
    folder.daily(*GOOD, "2024-01-03,10.50,12.0,10,11,2000")

    history = folder.history()

    assert len(history.bars) == 4
    assert history.remarks == (
        "daily/AAA.csv lines 3, 6: the same bar of 2024-01-03, counted once",
    )


def test_two_bars_that_contradict_each_other_are_both_rejected(folder: Folder) -> None:
    folder.daily(*GOOD, "2024-01-03,10.5,12,10,11.5,2000")

    history = folder.history()

    assert coverage(history)["2024-01-03"] == (
        "rejected",
        "daily/AAA.csv lines 3, 6: contradict each other",
    )
    assert len(history.bars) == 3


def test_a_row_on_a_day_without_session_is_left_out_with_a_remark(folder: Folder) -> None:
    folder.daily("2024-01-01,1,1,1,1,1", *GOOD, "2024-01-06,2,2,2,2,2")

    history = folder.history()

    assert len(history.bars) == 4
    assert history.remarks == (
        "daily/AAA.csv line 2: 2024-01-01 is no session, not stored",
    )
    monday = date(2024, 1, 8)
    assert folder.market_data.history(["AAA"], monday, monday).remarks == (
        "daily/AAA.csv line 7: 2024-01-06 is no session, not stored",
    )


@pytest.mark.parametrize(
    "cell",
    ["2024-13-03", "03/01/2024", "20240103", "2024W01-03", "2024-W01-3", "today", ""],
)
def test_a_row_without_a_date_is_left_out_with_a_remark(folder: Folder, cell: str) -> None:
    folder.daily(GOOD[0], f"{cell},10.5,12,10,11,2000", *GOOD[2:])

    history = folder.history()

    assert coverage(history)["2024-01-03"][0] == "missing"
    assert history.remarks == (
        f"daily/AAA.csv line 3: date must be YYYY-MM-DD, is {cell!r}, not stored",
    )


def test_rows_from_before_the_calendar_are_passed_over(folder: Folder) -> None:
    folder.daily("1962-01-02,1,1,1,1,1", *GOOD)
    folder.actions("1962-03-01,dividend,1")

    history = folder.market_data.history(["AAA"], date(1990, 1, 2), LAST)

    assert history.remarks == ()
    assert history.actions.empty
    assert coverage(history)["1990-01-02"][0] == "not_listed"


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        (b"", "line 1 must name the columns date,open,high,low,close,volume, lacks"),
        (b"Date,Open,High,Low,Close,Volume\n", "lacks ['date', 'open',"),
        (b"date,open,high,low,adj_close,volume\n", "lacks ['close']"),
        (b"date,open,high,low,close,volume,close\n", "repeats ['close']"),
        (b"date;open;high;low;close;volume\n", "it is 'date;open;high;low;close;volume'"),
        (b"date,open,high,low,close,volume\n\xff\xfe\n", "is not CSV in UTF-8"),
        (
            b"date,open,high,low,close,volume\n2024-01-02,10,11,9,x,1\n2024-01-03,1,1,1,,1\n",
            "column close must hold a number, holds 'x' in line 2 and none in any line",
        ),
        (
            b"date,open,high,low,close,volume\n2/1/2024,10,11,9,10,1\n",
            "column date must hold a date YYYY-MM-DD, holds '2/1/2024' in line 2",
        ),
    ],
)
def test_a_file_or_column_that_can_not_be_read_is_unreadable(
    folder: Folder, written: bytes, reason: str
) -> None:
    (folder.path / "daily" / "AAA.csv").write_bytes(written)

    history = folder.history()

    assert history.unreadable["AAA"].startswith("daily/AAA.csv: ")
    assert reason in history.unreadable["AAA"]
    assert history.coverage.empty


def test_an_unreadable_symbol_keeps_no_other_from_being_answered(folder: Folder) -> None:
    folder.daily(*GOOD)
    folder.daily("x,y", symbol="BBB", header="a,b")

    history = folder.history("AAA", "BBB", "CCC")

    assert set(history.coverage["symbol"]) == {"AAA"}
    assert len(history.bars) == 4
    with pytest.raises(MarketDataUnreadable, match=r"BBB, CCC: daily/BBB\.csv: line 1 .*"):
        history.require_readable()


def test_a_missing_file_is_unreadable_by_name(folder: Folder) -> None:
    assert "daily/AAA.csv: no such file" in folder.history().unreadable["AAA"]


def test_a_history_without_faults_requires_nothing(folder: Folder) -> None:
    folder.daily(*GOOD)

    folder.history().require_readable()


def test_a_missing_folder_is_an_error_that_names_it(tmp_path: Path) -> None:
    market_data = CsvMarketData(tmp_path / "nowhere", CALENDAR)

    with pytest.raises(MarketDataUnreadable, match="nowhere has no folder daily"):
        market_data.history(["AAA"], FIRST, LAST)


def test_a_folder_in_place_of_a_file_is_unreadable(folder: Folder) -> None:
    (folder.path / "daily" / "AAA.csv").mkdir()

    assert "daily/AAA.csv: Is a directory" in folder.history().unreadable["AAA"]


@pytest.mark.parametrize(
    ("symbol", "file"),
    [("BF.B", "BF.B"), ("BRK/B", "BRK-B"), ("A/../../X", "A-..-..-X"), ("^GSPC", "^GSPC")],
)
def test_a_symbol_names_a_file_inside_the_folder(
    folder: Folder, symbol: str, file: str
) -> None:
    folder.daily(*GOOD, symbol=file)

    assert set(folder.history(symbol).bars["symbol"]) == {symbol}


def test_a_file_that_has_changed_is_read_again(folder: Folder) -> None:
    folder.daily(*GOOD[:3])
    before = folder.history()
    folder.daily(*GOOD)

    after = folder.history()

    assert (len(before.bars), len(after.bars)) == (3, 4)


def test_actions_that_appear_later_are_read(folder: Folder) -> None:
    folder.daily(*GOOD)
    before = folder.history()
    folder.actions("2024-01-03,split,2")

    after = folder.history()

    assert (len(before.actions), len(after.actions)) == (0, 1)
    hashes = pd.DataFrame(
        {"a": before.coverage.content_hash, "b": after.coverage.content_hash}
    )
    assert (hashes["a"] != hashes["b"]).tolist() == [False, True, False, False]


def test_the_hash_of_a_bar_changes_with_the_bar_and_with_nothing_else(
    folder: Folder,
) -> None:
    folder.daily(*GOOD)
    before = folder.history().coverage["content_hash"]
    folder.daily(*GOOD[:3], "2024-01-05,11.25,13,11,12.01,3000", "2024-01-08,9,9,9,9,9")

    after = folder.history().coverage["content_hash"]

    assert (before != after).tolist() == [False, False, False, True]


def test_the_hash_covers_the_bar_and_every_action_of_its_session(folder: Folder) -> None:
    def hash_of(close: str, split: str, dividend: str) -> str:
        folder.daily(GOOD[0], f"2024-01-03,10.5,12,10,{close},2000", *GOOD[2:])
        folder.actions(f"2024-01-03,split,{split}", f"2024-01-03,dividend,{dividend}")
        return folder.history().coverage["content_hash"][1]

    told = [
        hash_of("11.0", "2.0", "0.50"),
        hash_of("11.25", "2.0", "0.50"),
        hash_of("11.0", "3.0", "0.50"),
        hash_of("11.0", "2.0", "0.75"),
    ]

    assert len(set(told)) == 4


def told_actions(history: MarketHistory) -> list[tuple[str, str, float]]:
    rows = history.actions.itertuples()
    return [(str(row.ex_session.date()), row.kind, row.value) for row in rows]


def test_two_actions_of_a_kind_on_one_ex_session_become_one(folder: Folder) -> None:
    folder.daily(*GOOD)
    folder.actions(
        "2024-01-04,split,2",
        "2024-01-04,dividend,0.25",
        "2024-01-04,split,1.5",
        "2024-01-04,dividend,1",
        "2024-01-04,spinoff_factor,1.25",
    )

    assert told_actions(folder.history()) == [
        ("2024-01-04", "dividend", 1.25),
        ("2024-01-04", "spinoff_factor", 1.25),
        ("2024-01-04", "split", 3.0),
    ]


def test_an_ex_date_that_is_no_session_moves_to_the_next(folder: Folder) -> None:
    folder.daily(*GOOD)
    folder.actions("2024-01-01,dividend,0.25", "2024-01-02,dividend,0.5")

    assert told_actions(folder.history()) == [("2024-01-02", "dividend", 0.75)]


def test_actions_outside_the_range_are_not_answered(folder: Folder) -> None:
    folder.daily(*GOOD)
    folder.actions("2023-12-29,split,2", "2024-01-06,split,2")

    assert told_actions(folder.history()) == []


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("2024-01-04,merger,2", "kind must be one of split, dividend, spinoff_factor"),
        ("2024-01-04,split,0", "value must be a number above 0, is '0'"),
        ("2024-01-04,split,", "value must be a number above 0, is ''"),
        ("04.01.2024,split,2", "ex_date must be YYYY-MM-DD, is '04.01.2024'"),
        ("2024-01-04,split,2,LEAN", "has 4 cells"),
        ("2024-01-03,split,2", "repeats line 2"),
    ],
)
def test_an_action_that_can_not_be_read_makes_its_symbol_unreadable(
    folder: Folder, row: str, reason: str
) -> None:
    folder.daily(*GOOD)
    folder.actions("2024-01-03,split,2", row)

    assert reason in folder.history().unreadable["AAA"]
    assert "actions/AAA.csv line 3" in folder.history().unreadable["AAA"]


@needs_sample
class TestOnRealFiles:
    """What the sample's own notes say of it; counted there by other means."""

    @pytest.fixture
    def sample(self) -> CsvMarketData:
        return CsvMarketData(SAMPLE, CALENDAR)

    def test_danaher_lacks_sixteen_sessions_and_has_two_rows_with_empty_cells(
        self, sample: CsvMarketData
    ) -> None:
        told = sample.history(["DHR"], date(2013, 2, 8), date(2018, 2, 7)).coverage
        missing = told[told["status"] == "missing"]
        rejected = told[told["status"] == "rejected"].set_index("session")["reason"]

        assert len(missing) == 16
        assert str(missing["session"].iloc[0].date()) == "2013-04-26"
        assert rejected["2015-07-17"] == "daily/DHR.csv line 600: open is empty"
        assert rejected["2016-01-12"] == (
            "daily/DHR.csv line 723: open is empty, high is empty, low is empty"
        )

    def test_every_symbol_has_the_rows_that_the_manifest_counts(
        self, sample: CsvMarketData
    ) -> None:
        with (SAMPLE / "manifest.csv").open(newline="") as file:
            told = {row["symbol"]: row for row in csv.DictReader(file)}
        present = [name for name in told if (SAMPLE / "daily" / f"{name}.csv").exists()]

        history = sample.history(present, date(1998, 1, 1), date(2023, 12, 29))

        assert history.unreadable == {}
        assert history.remarks == ()
        statuses = pd.crosstab(history.coverage["symbol"], history.coverage["status"])
        for name in present:
            found, counted = statuses.loc[name], told[name]
            assert found["ok"] + found["rejected"] == int(counted["rows"]), name
            assert found["missing"] == int(counted["missing"]), name
            wrong = int(counted["nan_rows"]) + int(counted["ohlc_bad"])
            assert found["rejected"] <= wrong, name
            assert (found["rejected"] > 0) == (wrong > 0), name

    def test_splits_and_spin_offs_are_those_of_the_company(
        self, sample: CsvMarketData
    ) -> None:
        apple = sample.history(["AAPL"], date(1998, 1, 2), date(2021, 3, 31)).actions
        conoco = sample.history(["COP"], date(2012, 4, 1), date(2012, 5, 31)).actions

        splits = apple[apple["kind"] == "split"]
        assert [
            (str(on.date()), ratio)
            for on, ratio in zip(splits["ex_session"], splits["value"], strict=True)
        ] == [
            ("2000-06-21", 2.0),
            ("2005-02-28", 2.0),
            ("2014-06-09", 7.0),
            ("2020-08-31", 4.0),
        ]
        assert "spinoff_factor" in set(conoco["kind"])
