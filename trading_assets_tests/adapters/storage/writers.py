"""Processes that write until they are done or killed: ``python -m … file symbol count``.

Each write replaces all of a symbol's partitions in two tables by one number, and says so
once it is committed.
"""

import sys
from datetime import date, timedelta
from itertools import count
from pathlib import Path

import pandas as pd

from trading_assets.adapters.storage.duckdb_tables import DuckDbWarehouse
from trading_assets.adapters.storage.port import Replacement
from trading_assets.models.tables import INDICATORS, PORTFOLIO

SESSIONS = [date(2024, 1, 1) + timedelta(days=n) for n in range(30)]


def replacements(symbol: str, number: int) -> list[Replacement]:
    """Everything that *symbol* has in two tables, all of it *number*."""
    days = pd.DataFrame({"session": pd.to_datetime(SESSIONS)})
    names = days.assign(symbol=symbol)
    indicators = names.assign(**{f"sma_{n}": float(number) for n in range(10)})
    lane = days.assign(strategy=symbol.lower(), lane="simulated")
    portfolio = lane.assign(book_hash="", generation=number).assign(
        **{name: float(number) for name, it in PORTFOLIO.columns.items()
           if it.sql_type == "DOUBLE"}
    )  # fmt: skip
    return [
        Replacement(INDICATORS, names, indicators),
        Replacement(PORTFOLIO, lane, portfolio),
    ]


def main() -> None:
    """Write number after number, from 1 on."""
    file, symbol, writes = sys.argv[1:]
    warehouse = DuckDbWarehouse(Path(file), wait_seconds=120)
    numbers = range(1, int(writes) + 1) if int(writes) else count(1)
    for number in numbers:
        warehouse.replace(*replacements(symbol, number))
        sys.stdout.write(f"{number}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
