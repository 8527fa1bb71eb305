"""A CSV file as columns of text that remember their lines."""

import csv
import math
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trading_assets.errors import MarketDataUnreadable

ISO_DAY_LENGTH = len("2020-01-02")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """The rows of a CSV file below its header; blank lines are left out.

    Attributes:
        name: What to call it in a message.
        lines: Where each row stands in the file, from 1.
        columns: Cells of each wanted column without surrounding space, one per row; a
            row that ends early has empty cells.
        surplus: By row: how many cells a row has, if that is more than the header has
            and the rest is not empty.
    """

    name: str
    lines: tuple[int, ...]
    columns: dict[str, tuple[str, ...]]
    surplus: dict[int, int]

    def days(self, column: str) -> NDArray[np.datetime64]:
        """The cells of *column* as days; NaT where one is not written YYYY-MM-DD.

        Raises:
            MarketDataUnreadable: If there are rows and none holds a date.
        """
        days = np.array([_day(cell) for cell in self.columns[column]], "datetime64[D]")
        self._require_any(~np.isnat(days), column, "a date YYYY-MM-DD")
        return days

    def numbers(self, column: str) -> NDArray[np.float64]:
        """The cells of *column* as numbers; NaN where one is empty or not a finite one.

        Raises:
            MarketDataUnreadable: If there are rows and none holds a number.
        """
        parsed = _numbers(self.columns[column])
        parsed[np.isinf(parsed)] = np.nan
        self._require_any(np.isfinite(parsed), column, "a number")
        return parsed

    def _require_any(
        self, is_readable: NDArray[np.bool_], column: str, wanted: str
    ) -> None:
        if len(is_readable) and not is_readable.any():
            raise MarketDataUnreadable(
                f"{self.name}: column {column} must hold {wanted}, holds "
                f"{self.columns[column][0]!r} in line {self.lines[0]} and none in any line"
            )


def read_sheet(path: Path, name: str, wanted: tuple[str, ...]) -> Sheet:
    """The columns *wanted* of the file at *path*; others are passed over.

    Args:
        path: UTF-8, comma-separated, with a header.
        name: What to call the file in messages.
        wanted: Names of columns that must be there.

    Raises:
        MarketDataUnreadable: If it can't be opened or decoded, or lacks a column.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            header = [cell.strip() for cell in next(reader, [])]
            numbered = [(reader.line_num, row) for row in reader]
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise MarketDataUnreadable(f"{name}: {reason}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise MarketDataUnreadable(f"{name}: is not CSV in UTF-8: {error}") from error
    _require_columns(name, header, wanted)
    filled = [(line, row) for line, row in numbered if any(map(str.strip, row))]
    rows = [row for _, row in filled]
    return Sheet(
        name=name,
        lines=tuple(line for line, _ in filled),
        columns=_columns(rows, header, wanted),
        surplus=_surplus(rows, len(header)),
    )


def _require_columns(name: str, header: list[str], wanted: tuple[str, ...]) -> None:
    missing = [column for column in wanted if column not in header]
    repeated = [column for column in wanted if header.count(column) > 1]
    if missing or repeated:
        wrong = f"lacks {missing}" if missing else f"repeats {repeated}"
        raise MarketDataUnreadable(
            f"{name}: line 1 must name the columns {','.join(wanted)}, {wrong}: "
            f"it is {','.join(header)!r}"
        )


def _columns(
    rows: list[list[str]], header: list[str], wanted: tuple[str, ...]
) -> dict[str, tuple[str, ...]]:
    if any(len(row) < len(header) for row in rows):
        rows = [row + [""] * (len(header) - len(row)) for row in rows]
    return {
        column: tuple([row[place].strip() for row in rows])
        for column, place in ((column, header.index(column)) for column in wanted)
    }


def _surplus(rows: list[list[str]], width: int) -> dict[int, int]:
    return {
        at: len(row)
        for at, row in enumerate(rows)
        if len(row) > width and any(map(str.strip, row[width:]))
    }


def _numbers(cells: tuple[str, ...]) -> NDArray[np.float64]:
    try:
        if _is_plain("".join(cells)):
            return np.fromiter(map(float, cells), np.float64, len(cells))
    except ValueError:
        pass  # a cell is no number: read one by one to keep the others
    return np.array([_number(cell) for cell in cells], dtype=np.float64)


def _number(cell: str) -> float:
    try:
        return float(cell) if _is_plain(cell) else math.nan
    except ValueError:
        return math.nan


def _is_plain(written: str) -> bool:
    """Whether float takes nothing for a number that we don't: 1_000, other scripts."""
    return "_" not in written and written.isascii()


def _day(cell: str) -> date | None:
    # fromisoformat alone would also take 20200102 and 2020-W01-4
    if len(cell) != ISO_DAY_LENGTH or cell[4] != "-" or cell[7] != "-":
        return None
    try:
        return date.fromisoformat(cell)
    except ValueError:
        return None
