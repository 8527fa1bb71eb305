"""What a rule may see: one row per symbol and session, as of that session's close."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from trading_assets.core.panel import FIELDS, Days, Floats, Panel
from trading_assets.errors import DataMissing, InvalidStrategy

type Bools = NDArray[np.bool_]
type Rows = NDArray[np.int64]

NO_KEY = np.iinfo(np.int64).min


@dataclass(frozen=True, eq=False)
class Views:
    """Rows of symbol and session; each knows its own symbol up to its own close.

    Everything here is one value per row, in the price scale of the row's session. There is
    no way from a row to a later bar of its symbol. Rows are given in the order of session
    and symbol, but what is next to a row depends on the range and the universe that were
    asked for: an opinion may rest on its own row alone.

    Attributes:
        bars: How many bars a window may have at most.
    """

    _panel: Panel = field(repr=False)
    _at: Rows
    """Per row, the index of its bar in the panel."""

    _begin: Rows = field(repr=False)
    """Per row, the index of its symbol's first bar in the panel."""

    _columns: Mapping[str, Floats] = field(repr=False)
    bars: int

    def __len__(self) -> int:
        return len(self._at)

    def __getitem__(self, indicator: str) -> Floats:
        """The column *indicator*, NaN where it is still warming up.

        Raises:
            InvalidStrategy: If the rule has not declared that it needs it.
        """
        if indicator not in self._columns:
            raise InvalidStrategy(
                f"indicator {indicator} is not declared: a rule names those it needs in "
                f"@rule(indicators=…), here {sorted(self._columns) or 'none'}"
            )
        return self._columns[indicator]

    @cached_property
    def symbol(self) -> NDArray[np.object_]:
        """Tickers."""
        owner = np.searchsorted(self._panel.offsets, self._at, side="right") - 1
        return _sealed(np.asarray(self._panel.symbols, dtype=object)[owner])

    @cached_property
    def session(self) -> Days:
        """Sessions, ``datetime64[D]``."""
        return _sealed(self._panel.sessions[self._at])

    @cached_property
    def open(self) -> Floats:
        """First price, currency per share, as traded."""
        return self._traded("open")

    @cached_property
    def high(self) -> Floats:
        """Highest price, currency per share, as traded."""
        return self._traded("high")

    @cached_property
    def low(self) -> Floats:
        """Lowest price, currency per share, as traded."""
        return self._traded("low")

    @cached_property
    def close(self) -> Floats:
        """Last price, currency per share, as traded."""
        return self._traded("close")

    @cached_property
    def volume(self) -> Floats:
        """Shares traded."""
        return self._traded("volume")

    @cached_property
    def incomplete(self) -> Bools:
        """Where any declared indicator, or bar of the declared window, is not there."""
        short = self._at - self._begin + 1 < self.bars
        missing = [np.isnan(column) for column in self._columns.values()]
        return _sealed(np.logical_or.reduce([short, *missing]))

    @property
    def indicators(self) -> tuple[str, ...]:
        """Names of the columns that there are."""
        return tuple(self._columns)

    def missing(self, row: int) -> list[str]:
        """What is declared and not there at *row*, for people."""
        names = [name for name, column in self._columns.items() if np.isnan(column[row])]
        short = self._at[row] - self._begin[row] + 1 < self.bars
        return [*names, f"a window of {self.bars}"] if short else names

    def window(self, name: str, bars: int) -> Floats:
        """The last *bars* values of *name* through each row's session, oldest first.

        Args:
            name: One of open, high, low, close and volume.
            bars: How many of the symbol's own bars, 1 to `bars`.

        Returns:
            Rows by *bars*, each row in its own session's scale: as traded where nothing was
            split since. NaN before the symbol's first bar.

        Raises:
            InvalidStrategy: If the rule has not declared that it looks so far back; an
                answer would then depend on how much history happens to be loaded.
        """
        if name not in FIELDS or not 1 <= bars <= self.bars:
            raise InvalidStrategy(
                f"window({name!r}, {bars}) is not to be had: a rule may look at "
                f"{', '.join(FIELDS)} over 1 to {self.bars} bars, or declare more in "
                f"@rule(bars=…)"
            )
        wanted = self._at[:, np.newaxis] + np.arange(1 - bars, 1)
        is_there = wanted >= self._begin[:, np.newaxis]
        found = np.where(is_there, wanted, self._at[:, np.newaxis])
        values = getattr(self._panel, name)[found]
        if name == "volume":
            scaled = values * self._since(self._panel.share_ratio, found)
        else:
            scaled = values / self._since(self._panel.price_ratio, found)
        return np.where(is_there, scaled, np.nan)

    def take(self, rows: NDArray[np.int64] | Bools) -> "Views":
        """The same views of *rows* alone, given by number or by truth."""
        columns = {name: _sealed(values[rows]) for name, values in self._columns.items()}
        return Views(self._panel, self._at[rows], self._begin[rows], columns, self.bars)

    def seeing(self, indicators: Iterable[str], bars: int) -> "Views":
        """The same rows, with nothing but *indicators* and windows of up to *bars*.

        Raises:
            DataMissing: If one of *indicators* was not computed.
        """
        wanted = tuple(indicators)
        missing = [name for name in wanted if name not in self._columns]
        if missing:
            raise DataMissing(
                f"indicators {missing} were not computed; there are "
                f"{sorted(self._columns) or 'none'}"
            )
        columns = {name: self._columns[name] for name in wanted}
        return Views(self._panel, self._at, self._begin, columns, bars)

    def row_name(self, row: int) -> str:
        """What a person calls the *row*: ``AAPL 2024-01-12``."""
        return f"{self.symbol[row]} {self.session[row]}"

    def _traded(self, name: str) -> Floats:
        return _sealed(getattr(self._panel, name)[self._at])

    def _since(self, ratio: Floats, bars: Rows) -> Floats:
        """What happened to the scale between each of *bars* and its row's session."""
        return ratio[self._at][:, np.newaxis] / ratio[bars]


def views_of(panel: Panel, indicators: pd.DataFrame, first: date, last: date) -> Views:
    """One row per bar from *first* to *last*, by session and then symbol.

    Args:
        panel: Bars of the range, and as many before it as the rules want to look back.
        indicators: `indicators` rows; those of other symbols and sessions are passed over,
            and a bar without one has NaN everywhere.
        first: The first session, included.
        last: The last session, included.
    """
    owner = np.repeat(np.arange(len(panel.symbols)), np.diff(panel.offsets))
    is_wanted = (panel.sessions >= np.datetime64(first)) & (
        panel.sessions <= np.datetime64(last)
    )
    at = np.flatnonzero(is_wanted)
    at = at[np.lexsort((owner[at], panel.sessions[at]))]
    rows = _rows_of(panel, owner, at, indicators)
    names = [c for c in indicators.columns if c not in {"symbol", "session"}]
    columns = {
        str(name): _sealed(
            np.r_[indicators[name].to_numpy(dtype=np.float64, na_value=np.nan), np.nan][
                rows
            ]
        )
        for name in names
    }
    deepest = int(np.diff(panel.offsets).max(initial=1))
    return Views(panel, _sealed(at), _sealed(panel.offsets[owner[at]]), columns, deepest)


def _rows_of(panel: Panel, owner: Rows, at: Rows, indicators: pd.DataFrame) -> Rows:
    """For each bar *at*, where its row of *indicators* is; behind the last for none."""
    codes = pd.Categorical(indicators["symbol"], categories=list(panel.symbols)).codes
    key = _key(codes, indicators["session"].to_numpy())
    wanted = _key(owner[at], panel.sessions[at])
    order = np.argsort(key, kind="stable")
    place = np.searchsorted(key, wanted, sorter=order)
    row = np.append(order, len(key))[place]
    return np.where(np.append(key, NO_KEY)[row] == wanted, row, len(key))


def _key(symbols: NDArray[np.integer], sessions: NDArray[np.datetime64]) -> Rows:
    """One number per symbol and session."""
    return symbols.astype(np.int64) * 2**32 + sessions.astype("datetime64[D]").astype(int)


def _sealed[A: NDArray[np.generic]](array: A) -> A:
    """*array*, which nobody can write to any more."""
    array.setflags(write=False)
    return array
