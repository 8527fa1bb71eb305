"""The promises in `Warehouse`, as tests that every warehouse runs."""

import contextlib
import os
from collections.abc import Sequence
from datetime import date

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trading_assets.adapters.storage.port import Between, Replacement, Warehouse
from trading_assets.errors import InvalidInput, ShapeMismatch
from trading_assets.models.base import Lane
from trading_assets.models.table import Table
from trading_assets.models.tables import (
    BARS,
    CORPORATE_ACTIONS,
    COVERAGE,
    FILLS,
    INDICATORS,
    PERFORMANCE,
    TABLES,
)

EXAMPLES = 80 if os.environ.get("TRADING_TEST_PROFILE") == "long" else 8
DAYS = [date(2024, 1, day) for day in (2, 3, 4, 5, 8, 9, 10, 11, 12)]
COPIED_LATE = ("mode.copy_on_write", True)
"""What pandas-ta switches on for the whole process that imports it."""

AAPL = "AAPL"
MSFT = "MSFT"

type Cell = tuple[str, date, float]


def closes(*cells: Cell) -> pd.DataFrame:
    """`bars` rows of symbol, session and close."""
    frame = pd.DataFrame(cells, columns=["symbol", "session", "close"])
    return BARS.conform(
        frame.assign(
            open=frame["close"],
            high=frame["close"],
            low=frame["close"],
            volume=1.0,
            source="test",
            recorded_at=pd.Timestamp("2024-01-12 21:00", tz="America/New_York"),
        )
    )


def cells_of(bars: pd.DataFrame) -> list[Cell]:
    """Symbol, session and close of `bars` rows, as they are ordered."""
    return [
        (symbol, session.date(), close)
        for symbol, session, close in zip(
            bars["symbol"], bars["session"], bars["close"], strict=True
        )
    ]


def partitions(*names: tuple[str, date]) -> pd.DataFrame:
    return pd.DataFrame(names, columns=["symbol", "session"])


def put(warehouse: Warehouse, *cells: Cell) -> None:
    """Replace the partitions of *cells* by these."""
    names = partitions(*((symbol, session) for symbol, session, _ in cells))
    warehouse.replace(Replacement(BARS, names, closes(*cells)))


def rows_of(table: Table) -> pd.DataFrame:
    """Two rows of *table*: everything filled in, and nothing that may be left out."""
    full = {
        "BOOLEAN": [True, False],
        "BIGINT": [7, -3],
        "DOUBLE": [1.25, -1e300],
        "TIMESTAMPTZ": [
            pd.Timestamp("2024-01-12T16:00:00.000001-05:00").tz_convert("UTC"),
            pd.Timestamp("2024-07-12T20:00:00Z"),
        ],
        "DATE": pd.to_datetime(["2024-01-12", "1999-12-31"]),
        "VARCHAR": ["é 'quoted' \"twice\"", ""],
    }
    frame = pd.DataFrame({name: full[it.sql_type] for name, it in table.columns.items()})
    for name, column in table.columns.items():
        if column.is_nullable:
            frame[name] = frame[name].astype(object).where([True, False], None)
    return table.conform(frame).sort_values(list(table.key), ignore_index=True)


class WarehouseContract:
    """Subclass, and provide a ``warehouse`` that holds nothing yet."""

    @pytest.fixture
    def warehouse(self) -> Warehouse:
        raise NotImplementedError

    @pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
    def test_rows_of_every_table_come_back_as_they_went(
        self, warehouse: Warehouse, table: Table
    ) -> None:
        rows = rows_of(table)
        names = rows[list(table.partition)]

        warehouse.replace(Replacement(table, names, rows.iloc[::-1]))

        pd.testing.assert_frame_equal(warehouse.read(table), rows)

    @pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
    def test_rows_may_come_as_views_of_others(
        self, warehouse: Warehouse, table: Table
    ) -> None:
        rows = rows_of(table)
        with pd.option_context(*COPIED_LATE):
            backwards = rows.iloc[::-1]
            names = backwards[list(table.partition)]
            warehouse.replace(Replacement(table, names, backwards))

        pd.testing.assert_frame_equal(warehouse.read(table), rows)

    @pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
    def test_a_table_that_was_never_written_reads_as_empty(
        self, warehouse: Warehouse, table: Table
    ) -> None:
        pd.testing.assert_frame_equal(warehouse.read(table), table.empty())

        put(warehouse, (AAPL, DAYS[0], 1.0))
        if table is not BARS:
            pd.testing.assert_frame_equal(warehouse.read(table), table.empty())

    def test_only_the_partitions_named_are_replaced(self, warehouse: Warehouse) -> None:
        put(warehouse, *((s, d, 1.0) for s in (AAPL, MSFT) for d in DAYS[:3]))

        put(warehouse, (AAPL, DAYS[0], 2.0), (MSFT, DAYS[2], 3.0))

        assert cells_of(warehouse.read(BARS)) == [
            (AAPL, DAYS[0], 2.0),
            (AAPL, DAYS[1], 1.0),
            (AAPL, DAYS[2], 1.0),
            (MSFT, DAYS[0], 1.0),
            (MSFT, DAYS[1], 1.0),
            (MSFT, DAYS[2], 3.0),
        ]

    def test_a_partition_without_rows_is_emptied(self, warehouse: Warehouse) -> None:
        put(warehouse, (AAPL, DAYS[0], 1.0), (AAPL, DAYS[1], 1.0))

        names = partitions((AAPL, DAYS[0]))
        warehouse.replace(Replacement(BARS, names, BARS.empty()))

        assert cells_of(warehouse.read(BARS)) == [(AAPL, DAYS[1], 1.0)]

    def test_no_partitions_replace_nothing(self, warehouse: Warehouse) -> None:
        put(warehouse, (AAPL, DAYS[0], 1.0))

        warehouse.replace(Replacement(BARS, partitions(), BARS.empty()))
        warehouse.replace()

        assert cells_of(warehouse.read(BARS)) == [(AAPL, DAYS[0], 1.0)]

    def test_a_partition_named_twice_is_replaced_once(self, warehouse: Warehouse) -> None:
        put(warehouse, (AAPL, DAYS[0], 1.0))

        names = partitions((AAPL, DAYS[0]), (AAPL, DAYS[0]))
        warehouse.replace(Replacement(BARS, names, closes((AAPL, DAYS[0], 2.0))))

        assert cells_of(warehouse.read(BARS)) == [(AAPL, DAYS[0], 2.0)]

    def test_a_partition_may_hold_several_rows(self, warehouse: Warehouse) -> None:
        rows = pd.DataFrame(
            {"symbol": AAPL, "ex_session": DAYS[0], "kind": ["split", "dividend"],
             "value": [4.0, 0.2], "source": "test"}
        )  # fmt: skip
        names = pd.DataFrame({"symbol": [AAPL], "ex_session": [DAYS[0]]})
        for _ in range(2):
            warehouse.replace(Replacement(CORPORATE_ACTIONS, names, rows))

        read = warehouse.read(CORPORATE_ACTIONS)

        assert list(read["kind"]) == ["dividend", "split"]

    def test_rows_outside_the_partitions_are_refused(self, warehouse: Warehouse) -> None:
        put(warehouse, (AAPL, DAYS[0], 1.0))
        rows = closes((AAPL, DAYS[0], 2.0), (MSFT, DAYS[0], 2.0))

        with pytest.raises(ShapeMismatch, match=r"bars.*MSFT.*2024-01-02"):
            warehouse.replace(Replacement(BARS, partitions((AAPL, DAYS[0])), rows))

        assert cells_of(warehouse.read(BARS)) == [(AAPL, DAYS[0], 1.0)]

    def test_several_tables_are_replaced_together_or_not_at_all(
        self, warehouse: Warehouse
    ) -> None:
        put(warehouse, (AAPL, DAYS[0], 1.0))
        names = partitions((AAPL, DAYS[0]))
        good = Replacement(BARS, names, closes((AAPL, DAYS[0], 2.0)))
        stray = pd.DataFrame({"symbol": [MSFT], "session": [DAYS[0]], "rsi_14": [50.0]})

        with pytest.raises(ShapeMismatch):
            warehouse.replace(good, Replacement(INDICATORS, names, stray))

        assert cells_of(warehouse.read(BARS)) == [(AAPL, DAYS[0], 1.0)]
        assert warehouse.read(INDICATORS).empty

        warehouse.replace(good, Replacement(INDICATORS, names, stray.assign(symbol=AAPL)))

        assert cells_of(warehouse.read(BARS)) == [(AAPL, DAYS[0], 2.0)]
        assert list(warehouse.read(INDICATORS)["rsi_14"]) == [50.0]

    def test_a_transaction_is_kept_when_its_block_ends(self, warehouse: Warehouse) -> None:
        with warehouse.transaction():
            put(warehouse, (AAPL, DAYS[0], 1.0))
            put(warehouse, (AAPL, DAYS[0], 2.0), (MSFT, DAYS[0], 3.0))
            within = cells_of(warehouse.read(BARS))
            with warehouse.snapshot():
                again = cells_of(warehouse.window(BARS, [AAPL], DAYS[0], DAYS[0], before=0))

        kept = [(AAPL, DAYS[0], 2.0), (MSFT, DAYS[0], 3.0)]
        assert within == kept
        assert again == kept[:1]
        assert cells_of(warehouse.read(BARS)) == kept

    def test_a_transaction_that_fails_leaves_what_was(self, warehouse: Warehouse) -> None:
        def fails() -> None:
            with warehouse.transaction():
                put(warehouse, (AAPL, DAYS[0], 2.0), (MSFT, DAYS[0], 3.0))
                raise LookupError

        put(warehouse, (AAPL, DAYS[0], 1.0))

        with pytest.raises(LookupError):
            fails()

        assert cells_of(warehouse.read(BARS)) == [(AAPL, DAYS[0], 1.0)]
        put(warehouse, (MSFT, DAYS[1], 4.0))
        assert len(warehouse.read(BARS)) == 2

    def test_a_transaction_of_which_a_part_failed_keeps_nothing(
        self, warehouse: Warehouse
    ) -> None:
        names = partitions((AAPL, DAYS[0]))
        good = Replacement(BARS, names, closes((AAPL, DAYS[0], 2.0)))
        stray = Replacement(BARS, names, closes((MSFT, DAYS[0], 2.0)))

        def careless() -> None:
            with warehouse.transaction():
                put(warehouse, (AAPL, DAYS[1], 1.0))
                with contextlib.suppress(ShapeMismatch):
                    warehouse.replace(good, stray)

        with pytest.raises(ValueError, match="nothing of it is kept"):
            careless()

        assert warehouse.read(BARS).empty
        put(warehouse, (AAPL, DAYS[0], 1.0))
        assert len(warehouse.read(BARS)) == 1

    def test_nothing_is_replaced_in_a_snapshot(self, warehouse: Warehouse) -> None:
        put(warehouse, (AAPL, DAYS[0], 1.0))

        with warehouse.snapshot():
            with pytest.raises(ValueError, match="nothing can be replaced in a snapshot"):
                put(warehouse, (AAPL, DAYS[0], 2.0))
            with (
                pytest.raises(ValueError, match="nothing can be replaced in a snapshot"),
                warehouse.transaction(),
            ):
                raise AssertionError

        assert cells_of(warehouse.read(BARS)) == [(AAPL, DAYS[0], 1.0)]

    @pytest.mark.parametrize(
        "names",
        [
            pd.DataFrame({"symbol": [AAPL]}),
            pd.DataFrame({"symbol": [AAPL], "session": [DAYS[0]], "lane": ["ibkr"]}),
            pd.DataFrame({"symbol": [AAPL], "session": [None]}),
            pd.DataFrame({"symbol": [AAPL], "session": ["no day"]}),
        ],
        ids=["a column missing", "a column too many", "an empty name", "no date"],
    )
    def test_partitions_that_are_not_the_tables_are_refused(
        self, warehouse: Warehouse, names: pd.DataFrame
    ) -> None:
        with pytest.raises(ShapeMismatch, match="table bars"):
            warehouse.replace(Replacement(BARS, names, BARS.empty()))

    def test_rows_that_are_not_the_tables_are_refused(self, warehouse: Warehouse) -> None:
        row = closes((AAPL, DAYS[0], 1.0))
        for rows in (row.drop(columns="high"), row.assign(mood=1.0), pd.concat([row, row])):
            with pytest.raises(ShapeMismatch, match="table bars"):
                warehouse.replace(Replacement(BARS, partitions((AAPL, DAYS[0])), rows))

    def test_conditions_choose_rows(self, warehouse: Warehouse) -> None:
        put(warehouse, *((s, d, 1.0) for s in (AAPL, MSFT, "SPY") for d in DAYS[:4]))

        def chosen(
            **where: str | date | Between | Sequence[str] | Sequence[date],
        ) -> list[Cell]:
            return cells_of(warehouse.read(BARS, where))

        assert chosen(symbol=AAPL, session=DAYS[1]) == [(AAPL, DAYS[1], 1.0)]
        assert chosen(symbol=["SPY", AAPL], session=DAYS[0]) == [
            (AAPL, DAYS[0], 1.0),
            ("SPY", DAYS[0], 1.0),
        ]
        assert chosen(symbol=MSFT, session=Between(DAYS[1], DAYS[2])) == [
            (MSFT, DAYS[1], 1.0),
            (MSFT, DAYS[2], 1.0),
        ]
        assert chosen(symbol=MSFT, session=[DAYS[3], DAYS[0]]) == [
            (MSFT, DAYS[0], 1.0),
            (MSFT, DAYS[3], 1.0),
        ]
        assert chosen(symbol=[]) == []
        assert chosen(symbol="x' OR 'a'='a") == []

    def test_enums_are_conditions_too(self, warehouse: Warehouse) -> None:
        rows = rows_of(FILLS).assign(lane=["replay", "simulated"])
        names = rows[list(FILLS.partition)]
        warehouse.replace(Replacement(FILLS, names, rows))

        assert list(warehouse.read(FILLS, {"lane": Lane.REPLAY})["lane"]) == ["replay"]
        assert len(warehouse.read(FILLS, {"lane": [Lane.REPLAY, Lane.SIMULATED]})) == 2

    def test_columns_come_as_asked_and_of_their_types(self, warehouse: Warehouse) -> None:
        rows = rows_of(PERFORMANCE)
        names = rows[list(PERFORMANCE.partition)]
        wanted = [
            "computed_at",
            "max_drawdown_sessions",
            "lane",
            "first_session",
            "sessions",
        ]
        pd.testing.assert_frame_equal(
            warehouse.read(PERFORMANCE, columns=wanted), PERFORMANCE.empty()[wanted]
        )

        warehouse.replace(Replacement(PERFORMANCE, names, rows))

        pd.testing.assert_frame_equal(
            warehouse.read(PERFORMANCE, columns=wanted), rows[wanted]
        )

    @pytest.mark.parametrize("is_written", [False, True])
    def test_unknown_columns_are_refused(
        self, warehouse: Warehouse, *, is_written: bool
    ) -> None:
        if is_written:
            put(warehouse, (AAPL, DAYS[0], 1.0))

        with pytest.raises(ShapeMismatch, match="no column 'mood'"):
            warehouse.read(BARS, {"mood": "good"})
        with pytest.raises(ShapeMismatch, match="no column 'mood'"):
            warehouse.read(BARS, columns=["symbol", "mood"])

    def test_new_indicators_join_the_old_ones(self, warehouse: Warehouse) -> None:
        def put_indicators(session: date, **values: float) -> None:
            names = partitions((AAPL, session))
            warehouse.replace(Replacement(INDICATORS, names, names.assign(**values)))

        put_indicators(DAYS[0], sma_20=1.0)
        put_indicators(DAYS[1], rsi_14=50.0, atr_14=2.0)

        expected = INDICATORS.conform(
            partitions((AAPL, DAYS[0]), (AAPL, DAYS[1])).assign(
                sma_20=[1.0, np.nan], rsi_14=[np.nan, 50.0], atr_14=[np.nan, 2.0]
            )
        )
        pd.testing.assert_frame_equal(warehouse.read(INDICATORS), expected)

    def test_an_indicator_that_was_never_stored_is_null(self, warehouse: Warehouse) -> None:
        names = partitions((AAPL, DAYS[0]))
        warehouse.replace(Replacement(INDICATORS, names, names.assign(sma_20=1.0)))

        read = warehouse.read(INDICATORS, columns=["session", "obv"])

        assert list(read.columns) == ["session", "obv"]
        assert read["obv"].isna().all()
        assert read["obv"].dtype == "float64"

    def test_not_a_number_is_stored_as_null(self, warehouse: Warehouse) -> None:
        names = partitions((AAPL, DAYS[0]), (AAPL, DAYS[1]))
        rows = names.assign(sma_20=[np.nan, 1.0])
        warehouse.replace(Replacement(INDICATORS, names, rows))

        answer = warehouse.query("SELECT count(*) FILTER (sma_20 IS NULL) FROM indicators")

        assert answer.iloc[0, 0] == 1

    @pytest.mark.parametrize(
        ("before", "expected"),
        [
            pytest.param(0, [(AAPL, 5), (AAPL, 6), (MSFT, 6)], id="nothing"),
            pytest.param(
                2,
                [(AAPL, 2), (AAPL, 4), (AAPL, 5), (AAPL, 6),
                 (MSFT, 0), (MSFT, 1), (MSFT, 6), ("SPY", 0)],
                id="two of its own",
            ),
            pytest.param(
                None,
                [(AAPL, 0), (AAPL, 2), (AAPL, 4), (AAPL, 5), (AAPL, 6),
                 (MSFT, 0), (MSFT, 1), (MSFT, 6), ("SPY", 0)],
                id="all",
            ),
        ],
    )  # fmt: skip
    def test_a_window_counts_each_symbols_own_sessions(
        self,
        warehouse: Warehouse,
        before: int | None,
        expected: list[tuple[str, int]],
    ) -> None:
        stored = {AAPL: (0, 2, 4, 5, 6, 7), MSFT: (0, 1, 6, 8), "SPY": (0,), "X": range(9)}
        put(warehouse, *((s, DAYS[n], 1.0) for s, ns in stored.items() for n in ns))

        window = warehouse.window(BARS, ["SPY", MSFT, AAPL], DAYS[5], DAYS[6], before)

        assert cells_of(window) == [(symbol, DAYS[n], 1.0) for symbol, n in expected]

    def test_a_window_counts_sessions_not_rows(self, warehouse: Warehouse) -> None:
        rows = pd.DataFrame(
            [(AAPL, day, kind, 1.0, "test")
             for day in DAYS[:3] for kind in ("dividend", "split")],
            columns=list(CORPORATE_ACTIONS.columns),
        )  # fmt: skip
        names = rows[["symbol", "ex_session"]]
        warehouse.replace(Replacement(CORPORATE_ACTIONS, names, rows))

        window = warehouse.window(CORPORATE_ACTIONS, [AAPL], DAYS[3], DAYS[3], 2)

        assert list(window["ex_session"].dt.date) == [DAYS[1], DAYS[1], DAYS[2], DAYS[2]]

    def test_a_window_of_what_was_never_written_is_empty(
        self, warehouse: Warehouse
    ) -> None:
        window = warehouse.window(BARS, [AAPL], DAYS[0], DAYS[1], 20)

        pd.testing.assert_frame_equal(window, BARS.empty())

    def test_a_window_of_a_table_without_sessions_is_refused(
        self, warehouse: Warehouse
    ) -> None:
        with pytest.raises(ShapeMismatch, match="performance"):
            warehouse.window(PERFORMANCE, [AAPL], DAYS[0], DAYS[1], 20)

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
    @given(
        st.lists(
            st.dictionaries(
                st.tuples(st.sampled_from([AAPL, MSFT, "SPY"]), st.sampled_from(DAYS)),
                st.one_of(st.none(), st.floats(1, 9)),
            ),
            max_size=6,
        )
    )
    def test_any_row_of_writes_ends_as_in_a_dictionary(
        self, warehouse: Warehouse, writes: list[dict[tuple[str, date], float | None]]
    ) -> None:
        everything = [(symbol, day) for symbol in (AAPL, MSFT, "SPY") for day in DAYS]
        warehouse.replace(Replacement(BARS, partitions(*everything), BARS.empty()))
        expected: dict[tuple[str, date], float | None] = {}

        for write in writes:
            expected |= write
            rows = closes(*((*name, close) for name, close in write.items() if close))
            warehouse.replace(Replacement(BARS, partitions(*write), rows))

        assert cells_of(warehouse.read(BARS)) == [
            (*name, close) for name, close in sorted(expected.items()) if close
        ]

    def test_a_person_may_ask(self, warehouse: Warehouse) -> None:
        put(warehouse, (AAPL, DAYS[0], 1.0), (MSFT, DAYS[0], 2.0), (MSFT, DAYS[1], 4.0))

        answer = warehouse.query(
            "SELECT symbol, avg(close) AS mean FROM bars GROUP BY symbol ORDER BY symbol"
        )

        assert answer.to_dict("list") == {"symbol": [AAPL, MSFT], "mean": [1.0, 3.0]}

    def test_an_answer_may_be_cut_short(self, warehouse: Warehouse) -> None:
        put(warehouse, *((AAPL, day, 1.0) for day in DAYS))

        answer = warehouse.query("SELECT session FROM bars ORDER BY session DESC", limit=2)

        assert list(answer["session"].dt.date) == DAYS[:-3:-1]

    def test_instants_are_answered_in_utc(self, warehouse: Warehouse) -> None:
        put(warehouse, (AAPL, DAYS[0], 1.0))

        answer = warehouse.query("SELECT recorded_at, recorded_at::VARCHAR AS t FROM bars")

        assert answer["recorded_at"].iloc[0] == pd.Timestamp("2024-01-13 02:00", tz="UTC")
        assert answer["t"].iloc[0] == "2024-01-13 02:00:00+00"

    @pytest.mark.parametrize(
        "ask",
        [
            "SHOW TABLES",
            "DESCRIBE bars",
            "FROM bars",
            "SUMMARIZE bars",
            "EXPLAIN SELECT 1",
            "PIVOT bars ON symbol USING sum(close)",
        ],
    )
    def test_other_ways_to_read_are_welcome(self, warehouse: Warehouse, ask: str) -> None:
        put(warehouse, (AAPL, DAYS[0], 1.0))

        assert len(warehouse.query(ask, limit=50)) > 0

    @pytest.mark.parametrize(
        "sql",
        [
            "INSERT INTO bars SELECT * FROM bars",
            "DELETE FROM bars",
            "UPDATE bars SET close = 0",
            "DROP TABLE bars",
            "CREATE TABLE mine AS SELECT 1",
            "CREATE TABLE mine AS SELECT 1; SELECT 1",
            "SELECT 1; DELETE FROM bars",
            "DELETE FROM bars; SELECT 1",
            "EXPLAIN ANALYZE DELETE FROM bars",
            "COPY bars TO 'bars.csv'",
            "EXPORT DATABASE 'there'",
            "ATTACH 'other.duckdb'",
            "SET enable_external_access = true",
            "SELECT * FROM read_csv('/etc/passwd', header = false, sep = '~')",
            "INSTALL httpfs",
            "LOAD httpfs",
            "SELECT * FROM 'https://example.com/bars.parquet'",
            "SELECT nothing FROM bars",
            "SELEKT 1",
            "",
            "-- only a remark",
        ],
    )
    def test_a_question_that_is_none_is_refused_and_changes_nothing(
        self, warehouse: Warehouse, sql: str
    ) -> None:
        put(warehouse, (AAPL, DAYS[0], 1.0))

        with pytest.raises(InvalidInput, match="query"):
            warehouse.query(sql)

        assert list(warehouse.query("SHOW TABLES")["name"]) == ["bars"]
        assert cells_of(warehouse.read(BARS)) == [(AAPL, DAYS[0], 1.0)]

    def test_asking_before_anything_is_stored_says_so(self, warehouse: Warehouse) -> None:
        with pytest.raises(InvalidInput, match="nothing is stored"):
            warehouse.query("SELECT * FROM bars")

    def test_coverage_of_two_assets_can_be_written_at_once(
        self, warehouse: Warehouse
    ) -> None:
        def told(asset: str) -> Replacement:
            rows = COVERAGE.conform(
                pd.DataFrame(
                    {"asset": [asset], "strategy": "", "symbol": AAPL, "session": DAYS[0],
                     "rows": 1, "status": "ok", "reason": "", "content_hash": ""}
                )
            )  # fmt: skip
            return Replacement(COVERAGE, rows[list(COVERAGE.partition)], rows)

        warehouse.replace(told("bars"), told("indicators"))

        assert list(warehouse.read(COVERAGE)["asset"]) == ["bars", "indicators"]
