"""Fills of a strategy: the executions that happened in a session, and what else did."""

import dagster as dg
import pandas as pd

from trading_assets.adapters.brokers.choice import Brokers
from trading_assets.adapters.storage.port import Replacement, Warehouse
from trading_assets.core.filling import FILL_VERSION
from trading_assets.defs.coverage import waiting
from trading_assets.defs.lanes import OWNERS, Book, Market
from trading_assets.defs.partitions import Requested, every_symbol
from trading_assets.defs.telling import tell, tell_rows
from trading_assets.models.tables import BOOK_EVENTS, FILLS, TRADES
from trading_assets.strategies.spec import fingerprint

SHOWN = ["session", "symbol", "side", "shares", "price", "commission", "order_id"]
"""Columns of the fills that the asset's page shows."""


def fills_asset(market: Market, book: Book) -> dg.AssetsDefinition:
    """The asset ``<s>/fills``."""
    lane = book.lane

    @dg.asset(
        name="fills",
        key_prefix=book.prefix,
        group_name=lane.name,
        partitions_def=lane.sessions,
        deps=[
            book.key("orders"),
            dg.AssetDep("bars", partition_mapping=every_symbol()),
        ],
        backfill_policy=dg.BackfillPolicy.single_run(),
        code_version=fingerprint(FILL_VERSION, lane.spec.costs),
        description="Executions that happened in the session, with splits and dividends.",
        pool=f"{lane.name}_book",
        kinds={"duckdb", "sqlite"},
        owners=OWNERS,
    )
    def fills(
        context: dg.AssetExecutionContext,
        warehouse: dg.ResourceParam[Warehouse],
        brokers: dg.ResourceParam[Brokers],
    ) -> None:
        requested, broker = Requested.of(context), book.broker(brokers)
        partitions = book.partition(requested)
        with waiting(requested, market.current()), broker.alone(lane.name):
            rows, events, trades = (
                broker.rows(lane.name, table, requested.sessions)
                for table in (FILLS, BOOK_EVENTS, TRADES)
            )
            warehouse.replace(
                Replacement(FILLS, partitions, rows),
                Replacement(BOOK_EVENTS, partitions, events),
                Replacement(
                    TRADES, partitions.rename(columns={"session": "closed_session"}), trades
                ),
            )
        notional = rows["shares"] * rows["price"]
        sums = (
            rows.assign(fills=1, notional=notional)
            .groupby("session")[["fills", "notional", "commission"]]
            .sum()
            .reindex(pd.DatetimeIndex(requested.sessions, name="session"), fill_value=0)
            .reset_index()
        )
        told = {name: name for name in ("fills", "notional", "commission")}
        tell(context, requested, sums, told)
        tell_rows(context, requested, "executions", rows[SHOWN])

    return fills
