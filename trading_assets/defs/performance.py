"""The record of a strategy: statistics, equity curve and tear sheet."""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import dagster as dg
import pandas as pd

from trading_assets.adapters.brokers.choice import Brokers
from trading_assets.adapters.brokers.port import Broker
from trading_assets.adapters.chart_store.port import ChartStore
from trading_assets.adapters.storage.port import Between, Replacement, Warehouse
from trading_assets.defs.books import unwritten
from trading_assets.defs.charts import MOUNT
from trading_assets.defs.coverage import outdated_signals
from trading_assets.defs.lanes import OWNERS, Book, Lane
from trading_assets.defs.telling import rounded
from trading_assets.errors import BookSuperseded, DataMissing
from trading_assets.models.tables import (
    BARS,
    CORPORATE_ACTIONS,
    FILLS,
    ORDERS,
    PERFORMANCE,
    PORTFOLIO,
    POSITIONS,
    TRADES,
)
from trading_assets.sessions import LAST_DAY
from trading_assets.strategies.spec import fingerprint

PERFORMANCE_VERSION = "1"
TOLD = {
    "return %": "total_return_frac",
    "return of holding %": "benchmark_return_frac",
    "deepest drawdown %": "max_drawdown_frac",
    "Sharpe ratio": "sharpe",
    "trades": "trades",
    "trades won %": "win_rate_frac",
    "final equity": "final_equity",
}
"""Statistics that the asset's page shows, by the name they are shown under."""


def performance_asset(book: Book, *, is_simulated_market: bool) -> dg.AssetsDefinition:
    """The asset ``<s>/performance``."""
    lane = book.lane

    @dg.asset(
        name="performance",
        key_prefix=book.prefix,
        group_name=lane.name,
        deps=[
            dg.AssetDep(book.key(name), partition_mapping=dg.AllPartitionMapping())
            for name in ("portfolio", "fills")
        ],
        code_version=fingerprint(
            PERFORMANCE_VERSION,
            lane.spec.benchmark,
            lane.spec.capital,
            lane.spec.costs.dividends,
        ),
        description="Statistics, equity curve and tear sheet of the whole history.",
        pool=f"{lane.name}_book",
        kinds={"matplotlib", "duckdb"},
        owners=OWNERS,
    )
    def performance(
        context: dg.AssetExecutionContext,
        warehouse: dg.ResourceParam[Warehouse],
        brokers: dg.ResourceParam[Brokers],
        chart_store: dg.ResourceParam[ChartStore],
    ) -> dg.MaterializeResult:
        # Slow to import, and needed here alone.
        from trading_assets.core.equity_picture import equity_picture  # noqa: PLC0415
        from trading_assets.core.statistics import performance_of  # noqa: PLC0415
        from trading_assets.core.tear_sheet import tear_sheet  # noqa: PLC0415

        broker = book.broker(brokers)
        _must_stand(lane, broker)
        _must_be_whole(lane, broker, warehouse)
        own = {"strategy": lane.name, "lane": book.kind.value}
        since = Between(lane.start, LAST_DAY)  # once, it may have started earlier
        with warehouse.snapshot():
            portfolio, positions, trades, fills, orders = (
                warehouse.read(table, {**own, table.partition[-1]: since})
                for table in (PORTFOLIO, POSITIONS, TRADES, FILLS, ORDERS)
            )
            remark = _rests_on_older_bars(lane, warehouse, portfolio)
            benchmark = _benchmark(lane, warehouse, portfolio)
        if remark:
            context.log.warning(remark)
        figures = performance_of(
            portfolio, trades, fills, capital=lane.spec.capital, benchmark=benchmark
        )
        row = pd.DataFrame([{**own, **figures, "computed_at": datetime.now(UTC)}])
        warehouse.replace(Replacement(PERFORMANCE, pd.DataFrame([own]), row))
        picture = equity_picture(
            portfolio,
            capital=lane.spec.capital,
            title=book.title,
            benchmark=benchmark,
            benchmark_name=lane.spec.benchmark or "",
        )
        sheet = tear_sheet(
            spec=lane.spec,
            lane=book.kind,
            performance=figures,
            portfolio=portfolio,
            positions=positions,
            trades=trades,
            orders=orders,
            benchmark=benchmark,
            is_simulated_market=is_simulated_market,
        )
        chart_store.put(equity_path(book), picture)
        chart_store.put(tear_sheet_path(book), sheet.encode())
        version = hashlib.sha256(picture).hexdigest()[:8]
        equity = f"{MOUNT}/{equity_path(book)}?{version}"
        return dg.MaterializeResult(
            metadata={
                "equity": dg.MetadataValue.md(
                    f"[![equity and drawdown]({equity})]({equity})"
                ),
                "tear sheet": dg.MetadataValue.md(
                    f"[open the tear sheet]({MOUNT}/{tear_sheet_path(book)})"
                ),
                **_told(figures),
                **({"remark": remark} if remark else {}),
            }
        )

    return performance


def _told(figures: Mapping[str, Any]) -> dict[str, float]:
    """*figures* fit to be read; those that are not defined are left out."""
    scales = {name: 100 if TOLD[name].endswith("_frac") else 1 for name in TOLD}
    there = [name for name, column in TOLD.items() if figures[column] is not None]
    return {name: rounded(figures[TOLD[name]] * scales[name]) for name in there}


def equity_path(book: Book) -> str:
    """Where the equity picture lies in the chart store."""
    return "/".join((*book.prefix, "performance", "equity.png"))


def tear_sheet_path(book: Book) -> str:
    """Where the tear sheet lies in the chart store."""
    return "/".join((*book.prefix, "performance", "tear_sheet.html"))


def _must_stand(lane: Lane, broker: Broker) -> None:
    """Refuse to judge a book of which a part rests on inputs that have changed."""
    if superseded := broker.superseded(lane.name):
        raise BookSuperseded(
            f"{lane.name} {broker.lane}: sessions from {superseded[0]} to {superseded[-1]} "
            f"rest on inputs that have changed since; run trading-assets backfill "
            f"--strategy {lane.name} --from {superseded[0]}"
        )


def _must_be_whole(lane: Lane, broker: Broker, warehouse: Warehouse) -> None:
    """Refuse to judge a history that is decided and not all written out."""
    absent = unwritten(warehouse, broker, lane.name)
    if absent or not broker.decided(lane.name):
        where = f"{absent[0]} to {absent[-1]}" if absent else "any session"
        raise DataMissing(
            f"{lane.name}/portfolio was not materialized for {where}; run trading-assets "
            f"backfill --strategy {lane.name} --from {absent[0] if absent else lane.start}"
        )


def _rests_on_older_bars(lane: Lane, warehouse: Warehouse, portfolio: pd.DataFrame) -> str:
    """What to say of a book that was decided on bars as they were; empty if it was not.

    An evening decides on what is known then. That a bar came late, or was restated, is
    no reason to refuse its record, and every reason to tell.
    """
    first, last = (portfolio["session"].iloc[at].date() for at in (0, -1))
    marked = outdated_signals(warehouse, lane.name, lane.symbols, first, last)
    if marked.empty:
        return ""
    since = marked.min()
    return (
        f"bars have changed since the signals from {since} on were made: trading-assets "
        f"backfill --strategy {lane.name} --from {since} makes them from today's"
    )


def _benchmark(
    lane: Lane, warehouse: Warehouse, portfolio: pd.DataFrame
) -> pd.DataFrame | None:
    """One share of the benchmark over the sessions of the book, if it has bars."""
    from trading_assets.core.statistics import total_return_index  # noqa: PLC0415 - as above

    if lane.spec.benchmark is None:
        return None
    first, last = (portfolio["session"].iloc[at].date() for at in (0, -1))
    bars = warehouse.window(BARS, [lane.spec.benchmark], first, last, before=1)
    actions = warehouse.read(CORPORATE_ACTIONS, {"symbol": lane.spec.benchmark})
    if bars.empty:
        return None
    return total_return_index(bars, actions, lane.spec.costs.dividends)
