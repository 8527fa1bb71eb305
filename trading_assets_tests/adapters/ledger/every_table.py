"""A ledger with rows in every table, awkward values among them."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from trading_assets.adapters.ledger.engine import ledger_url, open_engine
from trading_assets.adapters.ledger.schema import METADATA

AT = datetime(2024, 1, 2, 21, 0, 0, 123456, tzinfo=UTC)
ROWS = 3


def fill_every_table(place: str | Path) -> None:
    """Write `ROWS` rows into each table of the empty ledger at *place*."""
    engine = open_engine(ledger_url(place))
    with engine.begin() as connection:
        for table in METADATA.sorted_tables:
            rows = [_row(table, number) for number in range(1, ROWS + 1)]
            connection.execute(sa.insert(table), rows)
    engine.dispose()


def read_every_table(place: str | Path) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of the ledger at *place*, by table, in the order of their keys."""
    engine = open_engine(ledger_url(place))
    with engine.connect() as connection:
        found = {
            table.name: sorted(
                (tuple(row) for row in connection.execute(sa.select(table))), key=repr
            )
            for table in METADATA.sorted_tables
        }
    engine.dispose()
    return found


def _row(table: sa.Table, number: int) -> dict[str, Any]:
    return {column.name: _value(column, number) for column in table.columns}


def _value(column: sa.Column[Any], number: int) -> Any:
    """One that fits, and differs for each *number*; NULL in the first row."""
    if column.nullable and number == 1:
        return None
    values = {
        "Boolean": number % 2 == 0,
        "Date": date(2024, 1, 1) + timedelta(days=number),
        "Whole": number * 3_000_000_019,
        "Number": number / 3,
        "Instant": AT + timedelta(seconds=number),
        "LargeBinary": bytes([number, 0, 255]) * number,
    }
    return values.get(type(column.type).__name__, f"{number}: é, 'a' and\na second line")
