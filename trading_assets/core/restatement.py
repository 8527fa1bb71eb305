"""When a source tells the past otherwise than it did.

Some sources adjust prices for splits up to the day of the request. After a split they tell
every earlier bar divided by its ratio, and what is stored is in another scale than what
comes new. Other differences are corrections of single bars.

A split is recognised by its ratio being the same over all sessions before it. Prices are
rounded to cents, so each bar gives a range in which the ratio must lie; the bars of a
split have a range in common, and the ratio is the simplest fraction in it: 4, 3/2, 1/20.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Row = tuple[object, ...]

PRICES = ("open", "high", "low", "close")
FIELDS = (*PRICES, "volume")
ROUNDING = 0.005
"""Half a cent: how far a price that was rounded may be from what it was, currency."""

WITNESSES = 3
"""How many sessions before a split must agree on its ratio, if there are as many."""

NEAREST = 5
"""How many sessions are looked at to tell a split from a bar that is wrong by itself."""

SMALLEST_SPLIT_FRAC = 0.01
"""By how much a split moves a price at least."""

SAME_FRAC = 1e-9
SPLIT, CORRECTION, WITHDRAWN, ADDED = "split", "correction", "withdrawn", "added"
COLUMNS = (
    "symbol",
    "kind",
    "ratio",
    "ex_session",
    "first_session",
    "last_session",
    "sessions",
    "fields",
)


def restatements(stored: pd.DataFrame, told: pd.DataFrame) -> pd.DataFrame:
    """What *told* says otherwise than *stored*, and which partitions to make again.

    Args:
        stored: `bars` rows. Give all that is stored before the range of *told* too: a
            split concerns those as well.
        told: `bars` rows that the source gives now, of some sessions that are stored.
            Symbols that are in one frame only have nothing to compare.

    Returns:
        One row per finding, ordered by symbol and first session:

        - ``kind``: ``split`` (its ``ratio`` is new shares per old share, its
          ``ex_session`` the first told session after those in the old scale, empty if
          there is none), ``correction`` (a single bar; ``fields`` says of what),
          ``withdrawn`` (stored, and not told any more) or ``added`` (told between stored
          sessions, and not stored).
        - ``first_session``, ``last_session``, ``sessions``: the partitions of ``symbol``
          to make again, and how many bars they hold. In no other do stored and told
          differ.
    """
    symbols = sorted(set(stored["symbol"]) & set(told["symbol"]))
    rows = [row for name in symbols for row in _of_symbol(name, stored, told)]
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    types = {
        "ratio": "float64",
        "ex_session": "datetime64[ns]",
        "first_session": "datetime64[ns]",
        "last_session": "datetime64[ns]",
        "sessions": "int64",
    }
    ordered = frame.astype(types).sort_values(["symbol", "first_session"], kind="stable")
    return ordered.reset_index(drop=True)


def partitions_to_redo(found: pd.DataFrame, stored: pd.DataFrame) -> pd.DataFrame:
    """The partitions that *found* concerns, one row each.

    Args:
        found: From `restatements`.
        stored: What was given to it.

    Returns:
        ``symbol``, ``session``, in that order, each once.
    """
    held = stored[["symbol", "session"]]
    parts = [held.head(0)]
    for row in found.itertuples():
        if row.kind == ADDED:
            parts.append(
                pd.DataFrame({"symbol": [row.symbol], "session": [row.first_session]})
            )
            continue
        is_concerned = (held["symbol"] == row.symbol) & held["session"].between(
            row.first_session, row.last_session
        )
        parts.append(held[is_concerned])
    every = pd.concat(parts).drop_duplicates()
    return every.sort_values(["symbol", "session"], ignore_index=True)


def _of_symbol(symbol: str, stored: pd.DataFrame, told: pd.DataFrame) -> list[Row]:
    old, new = _own(stored, symbol), _own(told, symbol)
    held, given = pd.DatetimeIndex(old.index), pd.DatetimeIndex(new.index)
    both = held.intersection(given)
    asked = held[(held >= given[0]) & (held <= given[-1])]
    within = given[(given >= held[0]) & (given <= held[-1])]
    found = [
        *_single(symbol, WITHDRAWN, asked.difference(given)),
        *_single(symbol, ADDED, within.difference(held)),
    ]
    if len(both):
        scales = _scales(_Compared.of(old.loc[both], new.loc[both]))
        found += _splits(symbol, held, given, both, scales)
        found += _corrections(symbol, old.loc[both], new.loc[both], scales)
    return found


def _own(bars: pd.DataFrame, symbol: str) -> pd.DataFrame:
    own = bars.loc[bars["symbol"] == symbol, ["session", *FIELDS]]
    return own.set_index("session").sort_index().astype("float64")


def _single(symbol: str, kind: str, sessions: pd.DatetimeIndex) -> list[Row]:
    return [_row(symbol, kind, sessions[[at]]) for at in range(len(sessions))]


def _row(
    symbol: str,
    kind: str,
    concerned: pd.DatetimeIndex,
    *,
    ratio: float = np.nan,
    ex_session: object = pd.NaT,
    fields: str = "",
) -> Row:
    first, last = concerned[0], concerned[-1]
    return (symbol, kind, ratio, ex_session, first, last, len(concerned), fields)


@dataclass(frozen=True, slots=True, eq=False)
class _Compared:
    """Stored and told prices of the sessions that both have, in their order.

    Attributes:
        is_same: By session and price: whether it is the one that is stored.
        lowest: By session and price: the smallest ratio of stored to told that allows for
            both being rounded.
        highest: The largest such ratio.
    """

    is_same: NDArray[np.bool_]
    lowest: Floats
    highest: Floats

    @classmethod
    def of(cls, old: pd.DataFrame, new: pd.DataFrame) -> "_Compared":
        then, now = old[list(PRICES)].to_numpy(), new[list(PRICES)].to_numpy()
        return cls(
            is_same=np.isclose(then, now, rtol=SAME_FRAC, atol=0.0),
            lowest=(then - ROUNDING) / (now + ROUNDING),
            highest=(then + ROUNDING) / np.maximum(now - ROUNDING, ROUNDING),
        )

    def witnesses(self, at: int, scale: Fraction) -> int:
        """How many of the four prices of the bar *at* are explained by *scale*."""
        if scale == ONE:  # nothing was rounded anew: a cent is a correction
            return int(self.is_same[at].sum())
        is_held = (self.lowest[at] <= scale) & (scale <= self.highest[at])
        return int(is_held.sum())

    def fits(self, at: int, scale: Fraction) -> bool:
        """Whether *scale* explains all of the bar *at*."""
        return self.witnesses(at, scale) == len(PRICES)

    def ratio(self, at: int) -> tuple[float, float] | None:
        """Where the ratio lies if the bar *at* was restated as a whole."""
        low, high = float(self.lowest[at].max()), float(self.highest[at].min())
        return (low, high) if low <= high and not self.fits(at, ONE) else None


ONE = Fraction(1)


def _scales(compared: _Compared) -> list[Fraction]:
    """By session: how many shares of today a share of what is stored has become.

    Read from the newest session back, because a split leaves what comes after it alone.
    """
    scales: list[Fraction] = []
    current = ONE
    for at in reversed(range(len(compared.is_same))):
        if not compared.fits(at, current):
            current = _scale_from(compared, at, current)
        scales.append(current)
    return scales[::-1]


def _scale_from(compared: _Compared, at: int, current: Fraction) -> Fraction:
    """The scale of the bar *at*, which *current* does not explain, and of those before.

    It is another one if more of the nearest bars bear witness to it than to *current*, and
    the bar itself does not speak against it: one that alone disagrees changes nothing.
    """
    nearest = range(at, max(at - NEAREST, -1), -1)
    staying = sum(compared.fits(one, current) for one in nearest)
    for candidate in (ONE, _common_ratio(compared, nearest)):
        if candidate is None or candidate == current:
            continue
        leaving = sum(compared.fits(one, candidate) for one in nearest)
        is_borne_out = leaving > staying and leaving >= min(WITNESSES, len(nearest))
        leaning = compared.witnesses(at, candidate) - compared.witnesses(at, current)
        if is_borne_out and leaning > 0:
            return candidate
    return current


def _common_ratio(compared: _Compared, nearest: range) -> Fraction | None:
    """The ratio that the first restated bar of *nearest* shares with those before it."""
    seen = next((ratio for at in nearest if (ratio := compared.ratio(at))), None)
    if seen is None:
        return None
    (low, high), in_doubt = seen, 0
    for at in range(nearest[0], -1, -1):
        other = compared.ratio(at)
        if other and max(low, other[0]) <= min(high, other[1]):
            low, high, in_doubt = max(low, other[0]), min(high, other[1]), 0
        else:
            in_doubt += 1
        if in_doubt == NEAREST:
            break
    ratio = _simplest(Fraction(low), Fraction(high))
    return ratio if abs(ratio - 1) >= SMALLEST_SPLIT_FRAC else None


def _simplest(low: Fraction, high: Fraction) -> Fraction:
    """The fraction with the smallest denominator from *low* to *high*, both above 0.

    By the continued fraction of the ends, as in the tree of Stern and Brocot.
    """
    floor = low.numerator // low.denominator
    if floor == low or floor + 1 <= high:
        return Fraction(floor if floor == low else floor + 1)
    return floor + 1 / _simplest(1 / (high - floor), 1 / (low - floor))


def _splits(
    symbol: str,
    held: pd.DatetimeIndex,
    given: pd.DatetimeIndex,
    both: pd.DatetimeIndex,
    scales: Sequence[Fraction],
) -> Iterator[Row]:
    """One row per run of sessions in another scale, oldest first."""
    ends = [at for at in range(len(both)) if scales[at] != [*scales, ONE][at + 1]]
    begins = held[0]  # what is stored before the overlap is as old as its first session
    for end in ends:
        later = given[given > both[end]]
        if scales[end] != ONE:
            concerned = held[(held >= begins) & (held <= both[end])]
            yield _row(
                symbol,
                SPLIT,
                concerned,
                ratio=float(scales[end] / [*scales, ONE][end + 1]),
                ex_session=later[0] if len(later) else pd.NaT,
            )
        begins = both[end + 1] if end + 1 < len(both) else both[end]


def _corrections(
    symbol: str, old: pd.DataFrame, new: pd.DataFrame, scales: Sequence[Fraction]
) -> Iterator[Row]:
    """One row per bar that differs in the scale of today, with what differs in it."""
    differs = ~np.isclose(old.to_numpy(), new.to_numpy(), rtol=SAME_FRAC, atol=0.0)
    sessions = pd.DatetimeIndex(old.index)
    for at, (scale, is_other) in enumerate(zip(scales, differs, strict=True)):
        if scale == ONE and is_other.any():
            fields = ", ".join(np.array(FIELDS)[is_other])
            yield _row(symbol, CORRECTION, sessions[[at]], fields=fields)
