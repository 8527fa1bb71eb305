"""Corporate actions from files, one per symbol, with the columns ``ex_date,kind,value``.

A row is never left out, because a book without a split is wrong for ever: one that can't
be read makes its symbol unreadable. An ex-date that is no session moves to the next one.
"""

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from trading_assets.adapters.market_data.csv_sheet import Sheet, read_sheet
from trading_assets.adapters.market_data.series import NO_ACTIONS, Actions, Days
from trading_assets.errors import MarketDataUnreadable
from trading_assets.models.bar import ActionKind

ACTION_COLUMNS = ("ex_date", "kind", "value")
KINDS = tuple(kind.value for kind in ActionKind)
KEPT_SYMBOLS = 256
"""How many parsed symbols stay in memory."""


class ActionFiles:
    """A folder of ``SYMBOL.csv``; each is parsed once, and again when it has changed.

    Args:
        folder: A symbol without a file in it has no actions; a slash in a symbol is a
            dash in its file's name.
        sessions: Every session of the exchange, ascending, ``datetime64[D]``.
    """

    def __init__(self, folder: Path, sessions: Days) -> None:
        self._folder = folder
        self._sessions = sessions
        self._parsed = lru_cache(KEPT_SYMBOLS)(self._parse)

    def of(self, symbol: str) -> Actions:
        """Everything that happened to *symbol*, or will.

        Raises:
            MarketDataUnreadable: If there is no folder, or its file can't be read.
        """
        if not self._folder.is_dir():
            raise MarketDataUnreadable(f"{self._folder} is no folder")
        path = self._folder / f"{symbol.replace('/', '-')}.csv"
        return self._parsed(path, stamp_of(path))

    def _parse(self, path: Path, stamp: "Stamp | None") -> Actions:
        if stamp is None:
            return NO_ACTIONS
        sheet = read_sheet(path, file_name(path), ACTION_COLUMNS)
        return read_actions(sheet, self._sessions)


class Stamp(NamedTuple):
    """What changes when a file does."""

    modified_at_ns: int
    size_bytes: int
    inode: int


def stamp_of(path: Path) -> Stamp | None:
    """The stamp of the file at *path*; None if there is none.

    Raises:
        MarketDataUnreadable: If it can't be looked at.
    """
    try:
        stat = path.stat()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise MarketDataUnreadable(f"{file_name(path)}: {error.strerror}") from error
    return Stamp(stat.st_mtime_ns, stat.st_size, stat.st_ino)


def file_name(path: Path) -> str:
    """What to call the file at *path* in a message: its folder and its name."""
    return f"{path.parent.name}/{path.name}"


def read_actions(sheet: Sheet, sessions: Days) -> Actions:
    """The actions of *sheet*: of one kind there is one per ex-session.

    Raises:
        MarketDataUnreadable: Naming the line that can't be read.
    """
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
