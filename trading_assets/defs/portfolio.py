"""The portfolio of a strategy: cash, positions and their worth at a session's close."""

import dagster as dg
import pandas as pd

from trading_assets.adapters.brokers.choice import Brokers
from trading_assets.adapters.brokers.port import Broker
from trading_assets.adapters.storage.port import Replacement, Warehouse
from trading_assets.core.audit import (
    began_with,
    cash_differences,
    equity_differences,
    share_differences,
)
from trading_assets.defs.coverage import waiting
from trading_assets.defs.lanes import OWNERS, Book, Lane, Market
from trading_assets.defs.partitions import Requested, every_symbol
from trading_assets.defs.telling import check, tell, tell_rows
from trading_assets.models.base import Lane as BookLane
from trading_assets.models.tables import BOOK_EVENTS, FILLS, PORTFOLIO, POSITIONS

TOLD = {
    "equity": "equity",
    "cash": "cash",
    "realized P&L": "realized_pnl",
    "unrealized P&L": "unrealized_pnl",
    "drawdown %": "drawdown_frac",
    "gross exposure %": "gross_exposure_frac",
}
SHOWN = [
    "session",
    "symbol",
    "shares",
    "average_cost",
    "close",
    "market_value",
    "unrealized_pnl",
]
"""Columns of the positions that the asset's page shows."""


def portfolio_asset(market: Market, book: Book) -> dg.AssetsDefinition:
    """The asset ``<s>/portfolio``."""
    lane, key = book.lane, book.key("portfolio")

    @dg.asset(
        name="portfolio",
        key_prefix=book.prefix,
        group_name=lane.name,
        partitions_def=lane.sessions,
        deps=[
            book.key("fills"),
            dg.AssetDep("bars", partition_mapping=every_symbol()),
        ],
        backfill_policy=dg.BackfillPolicy.single_run(),
        check_specs=[
            dg.AssetCheckSpec(
                "balances",
                asset=key,
                blocking=True,
                description="Fills and book events explain cash and shares; cash and "
                "positions make the equity.",
            ),
            dg.AssetCheckSpec(
                "marks",
                asset=key,
                description="Every position is marked at the session's own close.",
            ),
        ],
        code_version=lane.plan.rules_hash,
        description="Cash, positions and their worth at the close.",
        pool=f"{lane.name}_book",
        kinds={"duckdb", "sqlite"},
        owners=OWNERS,
    )
    def portfolio(
        context: dg.AssetExecutionContext,
        warehouse: dg.ResourceParam[Warehouse],
        brokers: dg.ResourceParam[Brokers],
    ) -> dg.MaterializeResult:
        requested, broker = Requested.of(context), book.broker(brokers)
        partitions = book.partition(requested)
        with waiting(requested, market.current()), broker.alone(lane.name):
            rows = broker.rows(lane.name, PORTFOLIO, requested.sessions)
            positions = broker.rows(lane.name, POSITIONS, requested.sessions)
            warehouse.replace(
                Replacement(PORTFOLIO, partitions, rows),
                Replacement(POSITIONS, partitions, positions),
            )
            faults, why = _faults(lane, broker, requested, rows, positions)
        tell(context, requested, rows, TOLD)
        tell_rows(context, requested, "positions", positions[SHOWN])
        stale = positions.loc[positions["is_stale"], ["session", "symbol", "close"]]
        if why:
            context.log.error(why)
        return dg.MaterializeResult(
            check_results=[
                check("balances", faults, metadata={"why": why} if why else None),
                check("marks", stale, warns=True),
            ]
        )

    return portfolio


def _faults(
    lane: Lane,
    broker: Broker,
    requested: Requested,
    portfolio: pd.DataFrame,
    positions: pd.DataFrame,
) -> tuple[pd.DataFrame, str]:
    """What of the requested sessions fills and events do not explain; why, if we know."""
    since = lane.calendar.between(lane.start, requested.last)
    fills, events = (broker.rows(lane.name, table, since) for table in (FILLS, BOOK_EVENTS))
    last = positions[positions["session"] == pd.Timestamp(requested.last)]
    capital = lane.spec.capital
    cash = cash_differences(portfolio, fills, events, capital)
    found = [
        cash,
        share_differences(last, fills, events),
        equity_differences(portfolio, positions),
    ]
    faults = pd.concat([own for own in found if len(own)] or [cash])
    began = began_with(portfolio, cash, capital)
    if began is None:
        return faults, ""
    remedy = (
        f"materialize {lane.name}/orders from {lane.start} on to account for"
        if broker.lane is BookLane.IBKR
        else f"trading-assets backfill --strategy {lane.name} --from {lane.start} walks"
    )
    return faults, (
        f"the book began with {began:,.2f}, and the strategy's file says {capital:,.2f}: "
        f"{remedy} all of it with what the file says"
    )
