"""Indicators of every symbol: all columns that any strategy asks for."""

from collections.abc import Sequence

import dagster as dg
import numpy as np
import pandas as pd

from trading_assets.adapters.storage.port import Replacement, Warehouse
from trading_assets.core.indicators import bars_needed, indicators_as_of, parse_indicator
from trading_assets.defs.coverage import (
    bars_told,
    covered,
    replace_if_same,
    require,
    waiting,
)
from trading_assets.defs.lanes import MARKET, OWNERS, Market
from trading_assets.defs.partitions import Requested, looking_back
from trading_assets.defs.telling import check, tell
from trading_assets.models.tables import BARS, CORPORATE_ACTIONS, INDICATORS

CHECKS = [
    dg.AssetCheckSpec(
        "finite",
        asset="indicators",
        blocking=True,
        description="No column is empty on a bar by which it has warmed up.",
    )
]


def indicators_asset(market: Market) -> dg.AssetsDefinition:
    """The asset `indicators` of *market*."""

    @dg.asset(
        name="indicators",
        group_name=MARKET,
        partitions_def=market.partitions,
        deps=[
            dg.AssetDep("bars", partition_mapping=looking_back(market.lookback_sessions))
        ],
        # Not the policy of `bars`: a backfill from the UI then makes all bars first.
        backfill_policy=dg.BackfillPolicy.multi_run(100_000),
        check_specs=CHECKS,
        code_version=market.indicators_version,
        pool=MARKET,
        kinds={"duckdb", "pandas"},
        owners=OWNERS,
    )
    def indicators(
        context: dg.AssetExecutionContext, warehouse: dg.ResourceParam[Warehouse]
    ) -> dg.MaterializeResult:
        """What recent bars say of each symbol, in the price scale of its session."""
        requested = Requested.of(context)
        names = market.indicators
        with waiting(requested, market.current()):
            with warehouse.snapshot():
                needed = bars_needed(names)
                window = market.window(requested.first, requested.last, needed)
                require(warehouse, requested, asset="bars", window=window)
                as_read = bars_told(warehouse, requested.symbols, window)
                bars = warehouse.window(
                    BARS,
                    requested.symbols,
                    requested.first,
                    requested.last,
                    before=needed,
                )
                actions = warehouse.read(CORPORATE_ACTIONS, {"symbol": requested.symbols})
            rows = requested.only(
                indicators_as_of(
                    bars, actions, requested.first, requested.last, names, market.calendar
                )
            )
            replace_if_same(
                warehouse,
                requested.symbols,
                window,
                as_read,
                Replacement(INDICATORS, requested.frame(), rows),
                covered(
                    requested,
                    rows,
                    asset="indicators",
                    why="no bar",
                    version=market.indicators_version,
                ),
            )
        warming_up = rows.drop(columns=["symbol", "session"]).isna().sum(axis=1)
        told = rows[["symbol", "session"]].assign(warming_up=warming_up)
        told = told[told["warming_up"] > 0]
        tell(context, requested, told, {"columns warming up": "warming_up"})
        return dg.MaterializeResult(
            check_results=[check("finite", _not_finite(rows, bars, names))],
            metadata={"columns": len(market.columns)},
        )

    return indicators


def _not_finite(
    rows: pd.DataFrame, bars: pd.DataFrame, names: Sequence[str]
) -> pd.DataFrame:
    """Cells that should have a value and have none, or an infinite one."""
    own = bars.sort_values(["symbol", "session"])
    count = own.groupby("symbol").cumcount().add(1).rename("bars")
    counted = rows.merge(own[["symbol", "session"]].join(count), on=["symbol", "session"])
    faults = [
        counted.loc[
            (counted["bars"] >= indicator.first_value)
            & ~np.isfinite(counted[column].to_numpy(dtype=np.float64)),
            ["symbol", "session"],
        ].assign(column=column)
        for indicator in map(parse_indicator, names)
        if not indicator.has_gaps
        for column in indicator.columns
    ]
    return pd.concat(faults, ignore_index=True) if faults else pd.DataFrame()
