"""Questions that people ask of the tables; assets ask none of them."""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from trading_assets.adapters.storage.port import Warehouse
from trading_assets.models.tables import (
    BARS,
    COVERAGE,
    PERFORMANCE,
    PORTFOLIO,
    POSITIONS,
    SIGNALS,
)


@dataclass(frozen=True, slots=True, eq=False)
class Standing:
    """Where one book stands.

    Attributes:
        performance: Its `performance` row; empty if there is none.
        portfolio: Its last `portfolio` row; empty if there is none.
        positions: `positions` of the same session.
        signals: Its last session's `signals`: those that want something first, then
            by confidence.
    """

    performance: "pd.Series[Any]"
    portfolio: "pd.Series[Any]"
    positions: pd.DataFrame
    signals: pd.DataFrame


def standing(warehouse: Warehouse, strategy: str, lane: str) -> Standing:
    """Where the book of *strategy* in *lane* stands."""
    book = {"strategy": strategy, "lane": lane}
    portfolio = _last(warehouse.read(PORTFOLIO, book))
    positions = warehouse.read(POSITIONS, book)
    signals = warehouse.read(SIGNALS, {"strategy": strategy})
    if len(portfolio):
        positions = positions[positions["session"] == portfolio["session"]]
    if len(signals):
        signals = signals[signals["session"] == signals["session"].max()]
    ranked = signals.assign(wants=signals["action"].isin(["BUY", "SELL"])).sort_values(
        ["wants", "confidence_score", "symbol"],
        ascending=[False, False, True],
        na_position="last",
    )
    return Standing(_last(warehouse.read(PERFORMANCE, book)), portfolio, positions, ranked)


def last_bars(warehouse: Warehouse) -> pd.DataFrame:
    """Per symbol: its first and its last session with a bar, and how many there are."""
    bars = warehouse.read(BARS, columns=["symbol", "session"])
    return bars.groupby("symbol")["session"].agg(["min", "max", "size"]).reset_index()


def gaps(warehouse: Warehouse) -> pd.DataFrame:
    """Per symbol and status: how many sessions have no bar, and why."""
    coverage = warehouse.read(COVERAGE, {"asset": "bars"})
    without = coverage[coverage["status"] != "ok"]
    counted = without.groupby(["symbol", "status"])["session"]
    return counted.agg(["size", "min", "max"]).reset_index()


def _last(rows: pd.DataFrame) -> "pd.Series[Any]":
    return rows.iloc[-1] if len(rows) else pd.Series(dtype=object)
