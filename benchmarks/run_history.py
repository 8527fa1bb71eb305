"""What storing Dagster's events costs, by storage and settings, and by several at once.

``python -m benchmarks.run_history`` prints one line each for Dagster's own SQLite storage
and ours, with and without the environment that goes with ours, then four processes that
write to one home, and the disk that a materialization takes.
"""

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

from benchmarks.floor import (
    AS_IT_COMES,
    OUR_STORAGE,
    STOCK_STORAGE,
    SYMBOLS,
    line,
    run_ranges,
)
from trading_assets.defs.run_history import RUN_ENVIRONMENT

SESSIONS = 10
PROCESSES = 4
SESSIONS_PER_PROCESS = 126
WRITE = (
    "import sys; from pathlib import Path; from benchmarks.floor import run_floor;"
    f" run_floor(Path(sys.argv[1]), {SYMBOLS}, {SESSIONS_PER_PROCESS})"
)


def main() -> None:
    """Print a table of storages and settings, then what several writers do."""
    cases = {
        "Dagster's, as it comes": (STOCK_STORAGE, AS_IT_COMES),
        "Dagster's, batches and subsets": (STOCK_STORAGE, RUN_ENVIRONMENT),
        "ours, single events": (OUR_STORAGE, AS_IT_COMES),
        "ours, batches and subsets": (OUR_STORAGE, RUN_ENVIRONMENT),
    }
    for name, (storage, environment) in cases.items():
        with TemporaryDirectory() as home:
            timing = run_ranges(Path(home), storage, environment, SYMBOLS, SESSIONS)
            print(line(name, timing))
            print(f"  {_bytes(Path(home)) / timing.materializations:,.0f} bytes each")
    with TemporaryDirectory() as home:
        _write_at_once(Path(home))


def _write_at_once(home: Path) -> None:
    start = perf_counter()
    children = [
        subprocess.Popen(
            [sys.executable, "-c", WRITE, str(home)], stderr=subprocess.PIPE, text=True
        )
        for _ in range(PROCESSES)
    ]
    errors = [child.communicate()[1] for child in children]
    locked = sum("locked" in error for error in errors)
    failed = sum(child.returncode != 0 for child in children)
    print(
        f"{PROCESSES} processes at once: {perf_counter() - start:.1f} s,"
        f" {failed} failed, {locked} met a lock"
    )


def _bytes(home: Path) -> int:
    return sum(file.stat().st_size for file in (home / "history").rglob("*.db"))


if __name__ == "__main__":
    main()
