"""Bars of many symbols as plain arrays, and what splits do to them.

Prices are stored as traded.
What a session D knows of an earlier bar t is its price divided by the ratios of the
splits and spin-offs with t < ex_session <= D; volume is multiplied by those of the splits.
A later split changes nothing at D.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from trading_assets.models.bar import ActionKind

Floats = NDArray[np.float64]
Days = NDArray[np.datetime64]

FIELDS = ("open", "high", "low", "close", "volume")


@dataclass(frozen=True, slots=True)
class Panel:
    """Bars of several symbols, one symbol after the other, each in session order.

    Attributes:
        symbols: Ascending.
        offsets: Where each symbol's bars begin; one more than there are symbols.
        sessions: ``datetime64[D]``, one per bar, as are the arrays below.
        open: Currency per share, as traded; so are high, low and close.
        volume: Shares, as traded.
        price_ratio: Product of split and spin-off ratios with ex_session <= session.
        share_ratio: Product of split ratios alone with ex_session <= session.
    """

    symbols: tuple[str, ...]
    offsets: NDArray[np.int64]
    sessions: Days
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    price_ratio: Floats
    share_ratio: Floats

    @classmethod
    def of(cls, bars: pd.DataFrame, actions: pd.DataFrame) -> "Panel":
        """Arrange *bars* with the *actions* of their symbols.

        Args:
            bars: `bars` rows of any symbols, in any order.
            actions: `corporate_actions` rows; those of other symbols are passed over.
                Give all of a symbol's actions, whatever the range of its bars: ratios
                then come out the same to the last bit for every range.
        """
        ordered = bars.sort_values(["symbol", "session"], kind="stable")
        names = ordered["symbol"].to_numpy(dtype=object)
        starts = np.flatnonzero(np.r_[True, names[1:] != names[:-1]]) if len(names) else []
        offsets = np.asarray([*starts, len(names)], dtype=np.int64)
        sessions = ordered["session"].to_numpy().astype("datetime64[D]")
        symbols = tuple(str(names[at]) for at in starts)
        price_ratio, share_ratio = np.ones(len(names)), np.ones(len(names))
        for symbol, ex_sessions, price_steps, share_steps in _steps(actions):
            if symbol not in symbols:
                continue
            at = symbols.index(symbol)
            rows = slice(offsets[at], offsets[at + 1])
            passed = np.searchsorted(ex_sessions, sessions[rows], side="right")
            price_ratio[rows] = price_steps[passed]
            share_ratio[rows] = share_steps[passed]
        columns = {field: ordered[field].to_numpy(dtype=np.float64) for field in FIELDS}
        return cls(
            symbols=symbols,
            offsets=offsets,
            sessions=sessions,
            **columns,
            price_ratio=price_ratio,
            share_ratio=share_ratio,
        )

    def rows(self, at: int) -> slice:
        """Where the bars of the symbol number *at* lie."""
        return slice(int(self.offsets[at]), int(self.offsets[at + 1]))

    def as_of(self, rows: slice, last: int) -> dict[str, Floats]:
        """`FIELDS` of the bars in *rows*, in the scale of the bar at index *last*.

        Bars between which nothing happened keep their values to the bit.
        """
        divisor = self.price_ratio[last] / self.price_ratio[rows]
        factor = self.share_ratio[last] / self.share_ratio[rows]
        adjusted = {field: getattr(self, field)[rows] / divisor for field in FIELDS[:4]}
        return adjusted | {"volume": self.volume[rows] * factor}


def _steps(actions: pd.DataFrame) -> Iterator[tuple[str, Days, Floats, Floats]]:
    """Per symbol: its ex-sessions, and both ratios before the first and after each."""
    scaling = actions[actions["kind"] != ActionKind.DIVIDEND].sort_values("ex_session")
    for symbol, own in scaling.groupby("symbol", sort=True):
        is_split = own["kind"].to_numpy() == ActionKind.SPLIT
        values = own["value"].to_numpy(dtype=np.float64)
        yield (
            str(symbol),
            own["ex_session"].to_numpy().astype("datetime64[D]"),
            np.cumprod(np.r_[1.0, values]),
            np.cumprod(np.r_[1.0, np.where(is_split, values, 1.0)]),
        )
