"""Signals of a strategy: its analyst's view of each symbol at each session's close."""

import dagster as dg
import pandas as pd

from trading_assets.adapters.analysts.port import Briefings
from trading_assets.adapters.storage.port import Between, Replacement, Warehouse
from trading_assets.core.panel import Panel
from trading_assets.core.views import Views, views_of
from trading_assets.defs.coverage import (
    bars_told,
    covered,
    replace_if_same,
    require,
    waiting,
)
from trading_assets.defs.lanes import OWNERS, Lane, Market
from trading_assets.defs.partitions import Requested, looking_back
from trading_assets.defs.telling import check, tell
from trading_assets.models.signal import Action
from trading_assets.models.tables import BARS, CORPORATE_ACTIONS, INDICATORS, SIGNALS
from trading_assets.strategies.spec import fingerprint

TOLD_OF_EACH = {"action": "action", "score": "confidence_score"}
"""Of every session of a range: more would make the event log larger than the tables."""

TOLD = {
    **TOLD_OF_EACH,
    "confidence": "confidence",
    "entry": "entry",
    "stop": "stop_loss",
    "target": "take_profit",
    "reward per risk": "risk_reward",
    "reasoning": "reasoning",
}
"""Of the last session of a range, which the asset's page shows."""


def signals_asset(market: Market, lane: Lane) -> dg.AssetsDefinition:
    """The asset ``<s>/signals``."""
    key, analyst = lane.key("signals"), lane.analyst

    @dg.asset(
        name="signals",
        key_prefix=lane.name,
        group_name=lane.name,
        partitions_def=lane.partitions,
        deps=[
            dg.AssetDep("indicators", partition_mapping=looking_back(1)),
            dg.AssetDep("bars", partition_mapping=looking_back(analyst.bars)),
            lane.key("daily_chart"),
            lane.key("weekly_chart"),
        ],
        backfill_policy=dg.BackfillPolicy.multi_run(100_000),
        check_specs=[
            dg.AssetCheckSpec(
                "levels",
                asset=key,
                blocking=True,
                description="Stop below entry below target for BUY, mirrored for SELL.",
            )
        ],
        code_version=fingerprint(analyst.version_hash),
        description=f"BUY, SELL or HOLD of each symbol, by {analyst.name}. "
        "An opinion, not an order.",
        pool=f"{lane.name}_view",
        kinds={"python", "duckdb"},
        owners=OWNERS,
    )
    def signals(
        context: dg.AssetExecutionContext, warehouse: dg.ResourceParam[Warehouse]
    ) -> dg.MaterializeResult:
        requested = Requested.of(context)
        with waiting(requested, market.current()):
            with warehouse.snapshot():
                window = market.window(requested.first, requested.last, analyst.bars - 1)
                require(warehouse, requested, asset="bars", window=window)
                as_read = bars_told(warehouse, requested.symbols, window)
                require(
                    warehouse,
                    requested,
                    asset="indicators",
                    version=market.indicators_version,
                )
                views = _views(lane, warehouse, requested)
            rows = requested.only(analyst.signals(Briefings(lane.name, views)))
            replace_if_same(
                warehouse,
                requested.symbols,
                window,
                as_read,
                Replacement(SIGNALS, requested.frame(strategy=lane.name), rows),
                covered(
                    requested,
                    rows,
                    asset="signals",
                    strategy=lane.name,
                    why="no bar",
                    version=analyst.version_hash,
                ),
            )
        tell(context, requested, rows, TOLD_OF_EACH)
        is_last = rows["session"] == pd.Timestamp(requested.last)
        tell(context, requested, rows[is_last], TOLD)
        actions = rows["action"].value_counts()
        counts = {each.value: int(actions.get(each.value, 0)) for each in Action}
        counts["abstained"] = int(rows["is_abstention"].sum())
        return dg.MaterializeResult(
            check_results=[check("levels", _out_of_order(rows), metadata=counts)]
        )

    return signals


def _views(lane: Lane, warehouse: Warehouse, requested: Requested) -> Views:
    symbols, first, last = requested.symbols, requested.first, requested.last
    bars = warehouse.window(BARS, symbols, first, last, before=lane.analyst.bars - 1)
    actions = warehouse.read(CORPORATE_ACTIONS, {"symbol": symbols})
    indicators = warehouse.read(
        INDICATORS, {"symbol": symbols, "session": Between(first, last)}
    )
    return views_of(Panel.of(bars, actions), indicators, first, last)


def _out_of_order(rows: pd.DataFrame) -> pd.DataFrame:
    """Signals whose stop or target lies on the wrong side of their entry."""
    sign = (
        rows["action"].map({Action.BUY.value: 1.0, Action.SELL.value: -1.0}).astype(float)
    )
    wrong_stop = sign * (rows["entry"] - rows["stop_loss"]) <= 0
    wrong_target = sign * (rows["take_profit"] - rows["entry"]) <= 0
    columns = ["symbol", "session", "action", "entry", "stop_loss", "take_profit"]
    return rows.loc[wrong_stop | wrong_target, columns]
