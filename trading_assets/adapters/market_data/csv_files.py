"""Bars from a folder of CSV files, one per symbol.

``daily/SYMBOL.csv`` has the columns ``date,open,high,low,close,volume``;
``actions/SYMBOL.csv``, which a symbol may lack, has ``ex_date,kind,value``.
Further columns are passed over, and rows may stand in any order.
A slash in a symbol is a dash in its file's name.

What becomes of a row that can't be right:

- A bar with a cell that is no number, a price that is not above zero, a negative volume,
  or prices outside low..high is rejected.
- The same bar twice counts once, with a remark; two different bars are both rejected.
- A row on a day without a session, or without a readable date, is left out with a remark.
- A row of ``actions`` is never left out, because a book without a split is wrong for
  ever: one that can't be read makes its symbol unreadable.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from trading_assets.adapters.market_data.csv_sheet import Sheet, read_sheet
from trading_assets.adapters.market_data.port import MarketHistory
from trading_assets.adapters.market_data.series import (
    FIELDS,
    NO_ACTIONS,
    Actions,
    Days,
    SymbolSeries,
    cut_history,
    distinct_symbols,
)
from trading_assets.core.bar_checks import are_inconsistent, inconsistencies
from trading_assets.errors import MarketDataUnreadable
from trading_assets.models.bar import ActionKind, CoverageStatus
from trading_assets.sessions import TradingCalendar

DAILY_COLUMNS = ("date", *FIELDS)
ACTION_COLUMNS = ("ex_date", "kind", "value")
KINDS = tuple(kind.value for kind in ActionKind)
KEPT_SYMBOLS = 256
"""How many parsed symbols stay in memory, about 300 kB each for 23 years."""

NO_SESSION = np.datetime64("NaT", "D")


class CsvMarketData:
    """The files of one folder; each is parsed once, and again when it has changed.

    Args:
        folder: Holds ``daily`` and perhaps ``actions``.
        calendar: Says which days are sessions.
    """

    def __init__(self, folder: Path, calendar: TradingCalendar) -> None:
        self._folder = folder
        self._calendar = calendar
        self._sessions = np.array(calendar.sessions, dtype="datetime64[D]")
        self._parsed = lru_cache(KEPT_SYMBOLS)(self._parse)

    @property
    def source(self) -> str:
        """Always ``csv``: where the folder lies differs from machine to machine."""
        return "csv"

    def history(self, symbols: Sequence[str], first: date, last: date) -> MarketHistory:
        """Cut from the files of *symbols*, as `MarketData` promises."""
        wanted = distinct_symbols(symbols)
        if not (self._folder / "daily").is_dir():
            raise MarketDataUnreadable(f"{self._folder} has no folder daily")
        series: list[SymbolSeries] = []
        unreadable: dict[str, str] = {}
        for symbol in wanted:
            try:
                series.append(self._series(symbol))
            except MarketDataUnreadable as error:
                unreadable[symbol] = str(error)
        sessions = self._calendar.between(first, last)
        return cut_history(self.source, series, sessions, unreadable)

    def _series(self, symbol: str) -> SymbolSeries:
        daily, actions = self._path("daily", symbol), self._path("actions", symbol)
        return self._parsed(symbol, _stamp(daily), _stamp(actions))

    def _path(self, kind: str, symbol: str) -> Path:
        return self._folder / kind / f"{symbol.replace('/', '-')}.csv"

    def _parse(
        self, symbol: str, daily_stamp: "_Stamp | None", actions_stamp: "_Stamp | None"
    ) -> SymbolSeries:
        daily, actions = self._path("daily", symbol), self._path("actions", symbol)
        if daily_stamp is None:
            raise MarketDataUnreadable(f"{_name(daily)}: no such file in {self._folder}")
        bars = read_sheet(daily, _name(daily), DAILY_COLUMNS)
        acts = actions_stamp and read_sheet(actions, _name(actions), ACTION_COLUMNS)
        return _series(
            symbol,
            _read_bars(bars, self._sessions),
            _read_actions(acts, self._sessions) if acts else NO_ACTIONS,
        )


class _Stamp(NamedTuple):
    """What changes when a file does."""

    modified_at_ns: int
    size_bytes: int
    inode: int


def _stamp(path: Path) -> _Stamp | None:
    try:
        stat = path.stat()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise MarketDataUnreadable(f"{_name(path)}: {error.strerror}") from error
    return _Stamp(stat.st_mtime_ns, stat.st_size, stat.st_ino)


def _name(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _ReadBars:
    """The bars of a file.

    Attributes:
        sessions: Of the bars that may be right, ascending; *values* go with them.
        first: First session of any row, right or not; NaT without rows.
        last: Last such session.
    """

    name: str
    sessions: Days
    values: NDArray[np.float64]
    first: np.datetime64
    last: np.datetime64
    rejected: Mapping[date, str]
    remarks: Mapping[date, tuple[str, ...]]


def _series(symbol: str, bars: _ReadBars, actions: Actions) -> SymbolSeries:
    is_empty = bool(np.isnat(bars.first))
    return SymbolSeries(
        symbol=symbol,
        sessions=bars.sessions,
        values=bars.values,
        first=bars.first,
        last=bars.last,
        absences={
            CoverageStatus.NOT_LISTED: f"{bars.name} begins {bars.first}",
            CoverageStatus.MISSING: f"{bars.name} has no row"
            + (" on any session" if is_empty else ""),
            CoverageStatus.ENDED: f"{bars.name} ends {bars.last}",
        },
        actions=actions,
        rejected=bars.rejected,
        remarks=bars.remarks,
    )


def _read_bars(sheet: Sheet, sessions: Days) -> _ReadBars:
    days = sheet.days("date")
    values = np.column_stack([sheet.numbers(field) for field in FIELDS])
    is_wrong = are_inconsistent(values)
    is_wrong[list(sheet.surplus)] = True
    rows = np.flatnonzero(np.isin(days, sessions))
    rows = rows[np.argsort(days[rows], kind="stable")]
    found, starts, counts = np.unique(days[rows], return_index=True, return_counts=True)
    repeats, conflicts = _repeats(rows, starts[counts > 1], counts[counts > 1], values)
    is_kept = ~is_wrong[rows[starts]] & ~np.isin(found, days[list(conflicts)])
    refused = zip(found[~is_kept].astype(object), rows[starts[~is_kept]], strict=True)
    rejected = {
        session: _rejection(sheet, conflicts.get(int(row), [int(row)]), values)
        for session, row in refused
    }
    return _ReadBars(
        name=sheet.name,
        sessions=found[is_kept],
        values=values[rows[starts[is_kept]]],
        first=found[0] if len(found) else NO_SESSION,
        last=found[-1] if len(found) else NO_SESSION,
        rejected=rejected,
        remarks=_remarks(sheet, days, repeats, sessions),
    )


def _repeats(
    rows: NDArray[np.intp],
    starts: NDArray[np.intp],
    counts: NDArray[np.intp],
    values: NDArray[np.float64],
) -> tuple[list[list[int]], dict[int, list[int]]]:
    """Rows that are the same bar, and by the first row those that contradict it."""
    repeats: list[list[int]] = []
    conflicts: dict[int, list[int]] = {}
    for start, count in zip(starts.tolist(), counts.tolist(), strict=True):
        same_day = rows[start : start + count].tolist()
        bars = values[same_day]
        if all(np.array_equal(bars[0], bar, equal_nan=True) for bar in bars):
            repeats.append(same_day)
        else:
            conflicts[same_day[0]] = same_day
    return repeats, conflicts


def _rejection(sheet: Sheet, rows: Sequence[int], values: NDArray[np.float64]) -> str:
    if len(rows) > 1:
        lines = ", ".join(str(sheet.lines[row]) for row in rows)
        return f"{sheet.name} lines {lines}: contradict each other"
    row = rows[0]
    problems = [f"has {sheet.surplus[row]} cells"] if row in sheet.surplus else []
    problems += list(_unreadable_cells(sheet, row, values)) or inconsistencies(*values[row])
    return f"{sheet.name} line {sheet.lines[row]}: {', '.join(problems)}"


def _unreadable_cells(sheet: Sheet, row: int, values: NDArray[np.float64]) -> Iterator[str]:
    for field, number in zip(FIELDS, values[row], strict=True):
        if np.isnan(number):
            cell = sheet.columns[field][row]
            yield f"{field} must be a number, is {cell!r}" if cell else f"{field} is empty"


def _remarks(
    sheet: Sheet, days: Days, repeats: Sequence[Sequence[int]], sessions: Days
) -> dict[date, tuple[str, ...]]:
    told: dict[date, list[str]] = {}
    for rows in repeats:
        lines = ", ".join(str(sheet.lines[row]) for row in rows)
        session = days[rows[0]].item()
        remark = f"{sheet.name} lines {lines}: the same bar of {session}, counted once"
        told.setdefault(session, []).append(remark)
    for session, row, why in _strays(sheet, days, sessions):
        remark = f"{sheet.name} line {sheet.lines[row]}: {why}, not stored"
        told.setdefault(session, []).append(remark)
    return {session: tuple(remarks) for session, remarks in told.items()}


def _strays(sheet: Sheet, days: Days, sessions: Days) -> Iterator[tuple[date, int, str]]:
    """Rows that belong to no session: the next session, the row, and what is wrong.

    A row without a date belongs where it stands: after the row before it. Days that the
    calendar does not reach are no strays: no range can ask for them.
    """
    is_reached = (sessions[0] <= days) & (days <= sessions[-1])
    is_stray = np.isnat(days) | (is_reached & ~np.isin(days, sessions))
    for row in np.flatnonzero(is_stray).tolist():
        if np.isnat(days[row]):
            cell = sheet.columns["date"][row]
            dated = days[:row][is_reached[:row]]
            after = dated[-1] + 1 if len(dated) else sessions[0]
            why = f"date must be YYYY-MM-DD, is {cell!r}"
        else:
            after, why = days[row], f"{days[row]} is no session"
        place = min(int(np.searchsorted(sessions, after)), len(sessions) - 1)
        yield sessions[place].item(), row, why


def _read_actions(sheet: Sheet, sessions: Days) -> Actions:
    combined: dict[tuple[np.datetime64, str], float] = {}
    for day, kind, amount in _each_action(sheet):
        if not sessions[0] <= day <= sessions[-1]:
            continue
        key = (sessions[np.searchsorted(sessions, day)], kind)
        if key not in combined:
            combined[key] = amount
        elif kind == ActionKind.DIVIDEND:
            combined[key] += amount
        else:
            combined[key] *= amount
    ordered = sorted(combined)
    return Actions(
        ex_sessions=np.array([session for session, _ in ordered], dtype="datetime64[D]"),
        kinds=tuple(kind for _, kind in ordered),
        amounts=np.array([combined[key] for key in ordered], dtype=np.float64),
    )


def _each_action(sheet: Sheet) -> Iterator[tuple[np.datetime64, str, float]]:
    line_of: dict[tuple[np.datetime64, str, float], int] = {}
    days, amounts = sheet.days("ex_date"), sheet.numbers("value").tolist()
    rows = zip(sheet.lines, days, sheet.columns["kind"], amounts, strict=True)
    for at, (line, day, kind, amount) in enumerate(rows):
        where = f"{sheet.name} line {line}"
        if np.isnat(day):
            cell = sheet.columns["ex_date"][at]
            raise MarketDataUnreadable(f"{where}: ex_date must be YYYY-MM-DD, is {cell!r}")
        if kind not in KINDS:
            raise MarketDataUnreadable(
                f"{where}: kind must be one of {', '.join(KINDS)}, is {kind!r}"
            )
        if not amount > 0:
            cell = sheet.columns["value"][at]
            raise MarketDataUnreadable(
                f"{where}: value must be a number above 0, is {cell!r}"
            )
        if at in sheet.surplus:
            raise MarketDataUnreadable(f"{where}: has {sheet.surplus[at]} cells")
        said_in = line_of.setdefault((day, kind, amount), line)
        if said_in != line:
            raise MarketDataUnreadable(
                f"{where}: repeats line {said_in}; two of a kind with the same value "
                f"must be one row with what they amount to"
            )
        yield day, kind, amount
