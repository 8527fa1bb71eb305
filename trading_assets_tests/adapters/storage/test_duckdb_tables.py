import os
import random
import signal
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from trading_assets.adapters.storage.duckdb_tables import DuckDbWarehouse
from trading_assets.adapters.storage.locks import FileLock
from trading_assets.adapters.storage.port import Replacement, Warehouse
from trading_assets.errors import InvalidInput, ShapeMismatch, StoreBusy
from trading_assets.models.base import Symbol, Value
from trading_assets.models.table import Table
from trading_assets.models.tables import BARS, INDICATORS, PORTFOLIO
from trading_assets_tests.adapters.storage.contract import (
    AAPL,
    DAYS,
    WarehouseContract,
    cells_of,
    closes,
    partitions,
    put,
)
from trading_assets_tests.adapters.storage.writers import SESSIONS

ROOT = Path(__file__).parents[3]
KILLS = 20 if os.environ.get("TRADING_TEST_PROFILE") == "long" else 4
WRITES = 40 if os.environ.get("TRADING_TEST_PROFILE") == "long" else 6
NEVER_ENDING = (
    "SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE a.range < b.range"
)
# The kernel kills it at its first write beyond 6,000 bytes: halfway through the headers.
DIE_EARLY = """
import resource, signal, sys
from pathlib import Path
from trading_assets.adapters.storage.duckdb_tables import DuckDbWarehouse
from trading_assets_tests.adapters.storage.contract import AAPL, DAYS, put
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
resource.setrlimit(resource.RLIMIT_FSIZE, (6_000, 6_000))
put(DuckDbWarehouse(Path(sys.argv[1])), (AAPL, DAYS[0], 1.0))
"""


class Mood(Value):
    symbol: Symbol
    session: date


class MoodToday(Mood):
    level: float | None
    votes: int | None
    words: str


MOODS = Table("moods", Mood, ("symbol", "session"), ("symbol", "session"))
MOODS_TODAY = Table("moods", MoodToday, ("symbol", "session"), ("symbol", "session"))


def writer(file: Path, symbol: str, writes: int) -> subprocess.Popen[str]:
    module = "trading_assets_tests.adapters.storage.writers"
    command = [sys.executable, "-m", module, str(file), symbol, str(writes)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def numbers_of(warehouse: Warehouse, symbol: str) -> set[float]:
    """Every number that both tables hold for *symbol*; one if nothing is torn."""
    values = warehouse.read(INDICATORS, {"symbol": symbol}).drop(
        columns=["symbol", "session"]
    )
    books = warehouse.read(PORTFOLIO, {"strategy": symbol.lower()})
    assert len(values) in (0, len(SESSIONS))
    assert len(books) in (0, len(SESSIONS))
    return set(values.to_numpy().ravel()) | set(books["generation"]) | set(books["equity"])


class TestDuckDbWarehouse(WarehouseContract):
    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        return tmp_path / "home" / "warehouse.duckdb"

    @pytest.fixture
    def warehouse(self, file: Path) -> Warehouse:
        return DuckDbWarehouse(file)

    def test_reading_makes_no_file(self, warehouse: Warehouse, file: Path) -> None:
        warehouse.read(BARS)

        assert not file.parent.exists()

    def test_a_writer_killed_while_it_makes_the_file_leaves_no_half_of_it(
        self, warehouse: Warehouse, file: Path
    ) -> None:
        child = subprocess.run(
            [sys.executable, "-c", DIE_EARLY, str(file)], cwd=ROOT, check=False
        )
        assert child.returncode == -signal.SIGXFSZ

        assert warehouse.read(BARS).empty
        put(warehouse, (AAPL, DAYS[0], 1.0))
        assert cells_of(warehouse.read(BARS)) == [(AAPL, DAYS[0], 1.0)]

    def test_columns_that_are_new_join_an_older_file(self, warehouse: Warehouse) -> None:
        old, new = (partitions((AAPL, day)) for day in DAYS[:2])
        warehouse.replace(Replacement(MOODS, old, old))
        before = warehouse.read(MOODS_TODAY)

        rows = new.assign(level=0.5, votes=3, words="calm")
        warehouse.replace(Replacement(MOODS_TODAY, new, rows))
        after = warehouse.read(MOODS_TODAY)

        assert before.dtypes.to_dict() == MOODS_TODAY.empty().dtypes.to_dict()
        assert before["level"].isna().all()
        assert list(after["words"]) == [None, "calm"]
        assert list(after["votes"].fillna(0)) == [0, 3]

    def test_columns_of_a_newer_file_are_passed_over(self, warehouse: Warehouse) -> None:
        names = partitions((AAPL, DAYS[0]))
        rows = names.assign(level=0.5, votes=3, words="calm")
        warehouse.replace(Replacement(MOODS_TODAY, names, rows))

        assert list(warehouse.read(MOODS).columns) == ["symbol", "session"]

        warehouse.replace(Replacement(MOODS, names, names))

        assert list(warehouse.read(MOODS_TODAY)["words"]) == [None]

    def test_a_busy_file_is_refused_after_the_wait(self, file: Path) -> None:
        warehouse = DuckDbWarehouse(file, wait_seconds=0.05)
        put(warehouse, (AAPL, DAYS[0], 1.0))

        with FileLock(file, 0).exclusive():
            for use in (
                lambda: warehouse.read(BARS),
                lambda: warehouse.window(BARS, [AAPL], DAYS[0], DAYS[0], None),
                lambda: warehouse.query("SELECT 1"),
                lambda: put(warehouse, (AAPL, DAYS[0], 2.0)),
            ):
                with pytest.raises(StoreBusy, match=f"process {os.getpid()}"):
                    use()

    def test_readers_let_readers_in(self, warehouse: Warehouse, file: Path) -> None:
        put(warehouse, (AAPL, DAYS[0], 1.0))

        with FileLock(file, 0).shared():
            assert len(warehouse.read(BARS)) == 1
            assert len(warehouse.query("FROM bars")) == 1

    def test_a_program_that_ignores_our_lock_is_told_apart(
        self, warehouse: Warehouse, file: Path
    ) -> None:
        put(warehouse, (AAPL, DAYS[0], 1.0))
        code = (
            f"import duckdb; c = duckdb.connect({str(file)!r}); print(flush=True); input()"
        )
        with subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as child:
            assert child.stdout is not None
            child.stdout.readline()
            with pytest.raises(StoreBusy, match="does not take our lock"):
                warehouse.read(BARS)
            child.communicate(b"\n")

        assert len(warehouse.read(BARS)) == 1

    def test_a_question_that_takes_too_long_is_stopped(self, file: Path) -> None:
        warehouse = DuckDbWarehouse(file, query_seconds=0.2)
        put(warehouse, (AAPL, DAYS[0], 1.0))

        with pytest.raises(InvalidInput, match=r"0\.2 s"):
            warehouse.query(NEVER_ENDING)

        assert len(warehouse.query("FROM bars")) == 1

    def test_a_failed_write_leaves_the_file_usable(self, warehouse: Warehouse) -> None:
        put(warehouse, (AAPL, DAYS[0], 1.0))
        with pytest.raises(ShapeMismatch):
            warehouse.replace(Replacement(BARS, partitions(), closes((AAPL, DAYS[0], 2.0))))

        put(warehouse, (AAPL, DAYS[1], 2.0))

        assert [close for *_, close in cells_of(warehouse.read(BARS))] == [1.0, 2.0]

    def test_many_small_writes_do_not_swell_the_file(
        self, warehouse: Warehouse, file: Path
    ) -> None:
        days = pd.bdate_range("2020-01-01", periods=500)
        rows = pd.DataFrame({"symbol": AAPL, "session": days})
        rows = rows.assign(**{f"sma_{n}": 1.5 * rows.index for n in range(20)})
        warehouse.replace(Replacement(INDICATORS, rows[["symbol", "session"]], rows))
        size = file.stat().st_size

        for _ in range(25):
            last = rows.tail(1)
            warehouse.replace(Replacement(INDICATORS, last[["symbol", "session"]], last))

        assert file.stat().st_size <= 3 * size

    def test_a_killed_writer_leaves_the_old_rows_or_the_new(
        self, warehouse: Warehouse, file: Path
    ) -> None:
        chance = random.Random(7)  # noqa: S311 - moments, no secrets
        for _ in range(KILLS):
            with writer(file, "AAPL", 0) as child:
                assert child.stdout is not None
                said = [child.stdout.readline()]
                time.sleep(chance.uniform(0, 0.4))
                child.kill()
                said += child.stdout.readlines()
            acknowledged = [int(number) for number in said if number.endswith("\n")][-1]

            numbers = numbers_of(warehouse, "AAPL")

            assert len(numbers) == 1
            assert numbers <= {acknowledged, acknowledged + 1}

    def test_writers_lose_nothing_and_readers_never_fail(
        self, warehouse: Warehouse, file: Path
    ) -> None:
        symbols = ["AAPL", "MSFT", "SPY", "QQQ"]
        children = [writer(file, symbol, WRITES) for symbol in symbols]
        seen = {symbol: [0.0] for symbol in symbols}

        while any(child.poll() is None for child in children):
            for symbol in symbols:
                values = warehouse.read(INDICATORS, {"symbol": symbol})
                numbers = values.filter(like="sma_").to_numpy()
                assert len(set(numbers.ravel())) <= 1
                seen[symbol] += list(set(numbers.ravel()))
        for child in children:
            child.communicate()

        assert [child.returncode for child in children] == [0] * 4
        assert all(numbers == sorted(numbers) for numbers in seen.values())
        assert {s: numbers_of(warehouse, s) for s in symbols} == {
            symbol: {float(WRITES)} for symbol in symbols
        }
