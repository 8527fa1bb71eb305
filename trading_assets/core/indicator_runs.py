"""From which bar to which an indicator is run, so that its values are always the same.

The calendar is cut into blocks of `BLOCK_SESSIONS`. Every value of a block is run from
the same bar: a number of own bars before the block's first. A run of one session then
passes through the same numbers as a run of many. Prices are in the scale of the session
asked for, so a split within a block makes a second run from that bar.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trading_assets.core.indicator_formulas import Lanes
from trading_assets.core.panel import FIELDS, Panel
from trading_assets.sessions import TradingCalendar

BLOCK_SESSIONS = 512

_BATCH_BARS = 1 << 19
"""Bars run at once: bounds memory, and stays near the processor's caches."""

Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Stretches:
    """Wanted bars that one run answers: one symbol, one block, one price scale.

    Attributes:
        firsts: Row of the first bar of each.
        ends: Row after its last.
        blocks: Row of the first bar of its block.
        symbols: Row of the first bar of its symbol.
        scales: Number of the price scale of every bar, wanted or not.
    """

    firsts: Counts
    ends: Counts
    blocks: Counts
    symbols: Counts
    scales: Counts

    def one_by_one(self) -> "Stretches":
        """The same with a stretch and a block for every bar."""
        rows = _ranges(self.firsts, self.ends)
        symbols = np.repeat(self.symbols, self.ends - self.firsts)
        return Stretches(rows, rows + 1, rows, symbols, self.scales)


def stretches_of(
    panel: Panel, wanted: NDArray[np.bool_], calendar: TradingCalendar
) -> Stretches:
    """The *wanted* bars of *panel*, cut where symbol, block or price scale change."""
    rows = np.arange(len(wanted))
    days = np.array(calendar.sessions, dtype="datetime64[D]")
    is_first = np.isin(rows, panel.offsets[:-1])
    blocks = np.searchsorted(days, panel.sessions) // BLOCK_SESSIONS
    is_block = is_first | _changes(blocks)
    is_scale = is_first | _changes(panel.price_ratio) | _changes(panel.share_ratio)
    cuts = np.flatnonzero(is_block | is_scale | _changes(wanted))
    ends = np.append(cuts[1:], len(rows))
    is_wanted = wanted[cuts]
    firsts = cuts[is_wanted]
    return Stretches(
        firsts=firsts,
        ends=ends[is_wanted],
        blocks=np.maximum.accumulate(np.where(is_block, rows, 0))[firsts],
        symbols=np.maximum.accumulate(np.where(is_first, rows, 0))[firsts],
        scales=np.cumsum(is_scale, dtype=np.int64),
    )


def _changes(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Where a value differs from the one before it; not at the first."""
    return np.concatenate([np.zeros(min(len(values), 1), bool), values[1:] != values[:-1]])


def _ranges(firsts: Counts, ends: Counts) -> Counts:
    """Every number from each of *firsts* up to below its end, one range after another."""
    counts = ends - firsts
    passed = np.cumsum(counts) - counts
    return np.arange(int(counts.sum())) + np.repeat(firsts - passed, counts)


def batches(
    panel: Panel, stretches: Stretches, lead: int | None
) -> Iterator[tuple[Counts, Lanes, slice]]:
    """Lanes to run, which of their values are wanted, and where those belong.

    Args:
        lead: Own bars before a block's first bar that each lane begins with, as far as
            there are any; None for all.
    """
    starts = (
        stretches.symbols
        if lead is None
        else np.maximum(stretches.symbols, stretches.blocks - lead)
    )
    done = 0
    batch = np.cumsum(stretches.ends - starts) // _BATCH_BARS
    for number in np.unique(batch):
        part = batch == number
        first, start, end = stretches.firsts[part], starts[part], stretches.ends[part]
        offsets = np.concatenate([[0], np.cumsum(end - start)])
        kept = _ranges(offsets[:-1] + first - start, offsets[1:])
        yield (
            kept,
            _lanes(panel, stretches.scales, start, end),
            slice(done, done + len(kept)),
        )
        done += len(kept)


def _lanes(panel: Panel, scales: Counts, starts: Counts, ends: Counts) -> Lanes:
    """Bars from *starts* to below *ends*, each lane in the scale of its last bar."""
    spans = [slice(*pair) for pair in zip(starts.tolist(), ends.tolist(), strict=True)]
    offsets = np.concatenate([[0], np.cumsum(ends - starts)])
    fields = {
        field: np.concatenate([getattr(panel, field)[span] for span in spans])
        for field in FIELDS
    }
    for at in np.flatnonzero(scales[starts] != scales[ends - 1]):
        adjusted = panel.as_of(spans[at], spans[at].stop - 1)
        for field in FIELDS:
            fields[field][offsets[at] : offsets[at + 1]] = adjusted[field]
    return Lanes(offsets, **fields)
