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

import numpy as np
from numpy.typing import NDArray

from trading_assets.adapters.market_data.action_files import (
    ACTION_COLUMNS,
    Stamp,
    file_name,
    read_actions,
    stamp_of,
)
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
from trading_assets.models.bar import CoverageStatus
from trading_assets.sessions import TradingCalendar

DAILY_COLUMNS = ("date", *FIELDS)
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

    @property
    def restates(self) -> bool:
        """Never: what was traded stays as it was."""
        return False

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
        return self._parsed(symbol, stamp_of(daily), stamp_of(actions))

    def _path(self, kind: str, symbol: str) -> Path:
        return self._folder / kind / f"{symbol.replace('/', '-')}.csv"

    def _parse(
        self, symbol: str, daily_stamp: Stamp | None, actions_stamp: Stamp | None
    ) -> SymbolSeries:
        daily, actions = self._path("daily", symbol), self._path("actions", symbol)
        if daily_stamp is None:
            raise MarketDataUnreadable(
                f"{file_name(daily)}: no such file in {self._folder}"
            )
        bars = read_sheet(daily, file_name(daily), DAILY_COLUMNS)
        acts = actions_stamp and read_sheet(actions, file_name(actions), ACTION_COLUMNS)
        return _series(
            symbol,
            _read_bars(bars, self._sessions),
            read_actions(acts, self._sessions) if acts else NO_ACTIONS,
        )


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
