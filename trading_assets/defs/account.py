"""The broker's own account: what it says it holds, held against what we have done."""

from collections.abc import Mapping, Sequence

import dagster as dg
import pandas as pd

from trading_assets.adapters.brokers.accounts import BrokerAccounts
from trading_assets.adapters.notifications.port import Notifier
from trading_assets.adapters.storage.port import Between, Replacement, Warehouse
from trading_assets.core.account_checks import pnl_differences, unexplained_positions
from trading_assets.defs.coverage import waiting
from trading_assets.defs.jobs import ACCOUNT as ACCOUNT_ASSET
from trading_assets.defs.lanes import OWNERS, Lane, Market
from trading_assets.defs.partitions import Requested, session_partitions
from trading_assets.defs.telling import check, tell, tell_rows
from trading_assets.errors import InvalidInput
from trading_assets.models.bar import CoverageStatus
from trading_assets.models.base import Lane as BookLane
from trading_assets.models.notice import Topic
from trading_assets.models.tables import (
    ACCOUNT,
    ACCOUNT_POSITIONS,
    COVERAGE,
    PORTFOLIO,
)

TOLD = {
    "net liquidation": "net_liquidation",
    "cash": "cash",
    "positions": "gross_position_value",
    "buying power": "buying_power",
    "daily P&L": "daily_pnl",
    "unrealized P&L": "unrealized_pnl",
}
SHOWN = [
    "session",
    "account",
    "symbol",
    "shares",
    "expected_shares",
    "average_cost",
    "market_price",
    "market_value",
    "unrealized_pnl",
]
"""Columns of the positions that the asset's page shows."""

NOT_ASKED = (
    "a broker tells how an account stands, not how it stood: nobody asked that evening"
)


def account_asset(market: Market, accounts_of: Mapping[str, str]) -> dg.AssetsDefinition:
    """The asset `account`.

    Args:
        market: With lanes that are traded outside.
        accounts_of: Where each strategy that is traded outside is traded; those that
            nobody has said it of are left out.
    """
    lanes = real_lanes(market)
    start = min(lane.start for lane in lanes)
    names = sorted(set(accounts_of.values()))

    @dg.asset(
        name=ACCOUNT_ASSET,
        group_name=ACCOUNT_ASSET,
        partitions_def=session_partitions(market.calendar, start),
        deps=[lane.book.key("portfolio") for lane in lanes],
        backfill_policy=dg.BackfillPolicy.single_run(),
        check_specs=[
            dg.AssetCheckSpec(
                "positions_agree",
                asset=ACCOUNT_ASSET,
                description="The broker holds what fills, corporate actions and adoptions "
                "add up to. A symbol of which it does not gets no new orders.",
            ),
            dg.AssetCheckSpec(
                "pnl_agrees",
                asset=ACCOUNT_ASSET,
                description="The broker's profit of the day is that of our books.",
            ),
        ],
        description="The broker's own word on balances and positions, after a session.",
        pool=ACCOUNT_ASSET,
        kinds={"duckdb", "sqlite"},
        owners=OWNERS,
    )
    def account(
        context: dg.AssetExecutionContext,
        warehouse: dg.ResourceParam[Warehouse],
        accounts: dg.ResourceParam[BrokerAccounts],
        notifier: dg.ResourceParam[Notifier],
    ) -> dg.MaterializeResult:
        requested = Requested.of(context)
        current = market.current()
        if not names:
            raise InvalidInput(
                "IBKR_ACCOUNT, or execution.account of a strategy's file, must name an "
                "account"
            )
        with waiting(requested, current):
            if current in requested.sessions and market.is_evening(current):
                for name in names:
                    accounts.look(name, current)
            told, held = accounts.kept(names, requested.sessions)
            rows, positions = ACCOUNT.frame(told), ACCOUNT_POSITIONS.frame(held)
            partitions = _partitions(requested, names)
            warehouse.replace(
                Replacement(ACCOUNT, partitions, rows),
                Replacement(ACCOUNT_POSITIONS, partitions, positions),
                _coverage(requested, names, rows),
            )
            portfolio = _portfolio(warehouse, market, lanes, requested)
        sums = rows.groupby("session")[list(TOLD.values())].sum(min_count=1).reset_index()
        tell(context, requested, sums, TOLD)
        tell_rows(context, requested, "positions", positions[SHOWN])
        strange = unexplained_positions(positions)
        away = pnl_differences(rows, portfolio, pd.Series(dict(accounts_of), dtype=object))
        now = strange[strange["session"] == pd.Timestamp(current)]
        if len(now):
            notifier.tell(Topic.POSITIONS_DISAGREE, _words(now))
        return dg.MaterializeResult(
            check_results=[
                check("positions_agree", strange, metadata={"remedy": REMEDY}),
                check("pnl_agrees", away, warns=True),
            ]
        )

    return account


REMEDY = "trading-assets reconcile shows what is held and why; --adopt takes it for granted"


def real_lanes(market: Market) -> tuple[Lane, ...]:
    """Lanes whose orders go to a broker outside."""
    return tuple(lane for lane in market.lanes if lane.spec.is_traded_for_real)


def _partitions(requested: Requested, names: Sequence[str]) -> pd.DataFrame:
    own = requested.frame()
    return pd.concat([own.assign(account=name) for name in names], ignore_index=True)


def _coverage(
    requested: Requested, names: Sequence[str], rows: pd.DataFrame
) -> Replacement:
    """Sessions of which the broker was asked, and those of which it is too late."""
    partitions = requested.frame(asset=ACCOUNT_ASSET, strategy="", symbol="")
    counts = rows.groupby("session").size().reindex(partitions["session"], fill_value=0)
    is_there = (counts == len(names)).to_numpy()
    statuses = {True: CoverageStatus.OK.value, False: CoverageStatus.MISSING.value}
    return Replacement(
        COVERAGE,
        partitions,
        partitions.assign(
            rows=counts.to_numpy(dtype="int64"),
            status=[statuses[bool(own)] for own in is_there],
            reason=["" if own else NOT_ASKED for own in is_there],
            content_hash="",
        ),
    )


def _portfolio(
    warehouse: Warehouse, market: Market, lanes: Sequence[Lane], requested: Requested
) -> pd.DataFrame:
    """`portfolio` rows of the strategies traded outside, and those of a session before."""
    begin = market.calendar.offset(requested.first, -1)
    where = {
        "strategy": [lane.name for lane in lanes],
        "lane": BookLane.IBKR.value,
        "session": Between(begin, requested.last),
    }
    return warehouse.read(PORTFOLIO, where)


def _words(strange: pd.DataFrame) -> str:
    told = [
        f"{row['symbol']} in {row['account']}: the broker holds {row['shares']:g}, we "
        f"expect {row['expected_shares']:g}"
        for row in strange.to_dict("records")
    ]
    return "; ".join(told)
