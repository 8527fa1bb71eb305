"""Signals of a strategy: its analyst's view of each symbol at each session's close."""

from typing import NoReturn

import dagster as dg
import pandas as pd

from trading_assets.adapters.analysts.port import (
    NOBODY,
    Analyst,
    Asking,
    Briefings,
    Opined,
)
from trading_assets.adapters.storage.port import Between, Replacement, Warehouse
from trading_assets.core.panel import Panel
from trading_assets.core.views import views_of
from trading_assets.defs.coverage import (
    OUT_OF_REACH,
    WAIT_SECONDS,
    WAIT_TRIES,
    bars_told,
    covered,
    replace_if_same,
    require,
    waiting,
)
from trading_assets.defs.lanes import OWNERS, Lane, Market
from trading_assets.defs.partitions import Requested, looking_back
from trading_assets.defs.telling import check, rounded, tell
from trading_assets.errors import ModelUnavailable, TradingAssetsError
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

COST_OF_EACH = {
    "cost USD": "cost_usd",
    "input tokens": "input_tokens",
    "output tokens": "output_tokens",
    "seconds of models": "latency_seconds",
}
"""Of every session of a range that models were asked about: the UI plots it."""


REFRESH = "refresh"
"""Of a step's configuration: whether to ask models anew."""

ASKING = {
    REFRESH: dg.Field(
        bool,
        default_value=False,
        description="Ask models anew, at full cost, about what there is an opinion of. "
        "Sessions from which an order went to a real broker keep theirs.",
    )
}


def signals_asset(market: Market, lane: Lane) -> dg.AssetsDefinition:
    """The asset ``<s>/signals``."""
    key, analyst = lane.key("signals"), lane.analyst
    asks = analyst.asks_models

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
        required_resource_keys={"warehouse", *(["analysts"] if asks else [])},
        config_schema=ASKING if asks else None,
        code_version=fingerprint(analyst.version_hash),
        description=f"BUY, SELL or HOLD of each symbol, by {analyst.name}. "
        "An opinion, not an order.",
        pool=f"{lane.name}_view",
        kinds={"python", "duckdb"},
        owners=OWNERS,
    )
    def signals(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        requested = Requested.of(context)
        warehouse: Warehouse = context.resources.warehouse
        asking = _asking(context) if asks else NOBODY
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
                briefings = briefings_of(lane, warehouse, requested)
            opined = analyst.signals(briefings, asking)
            rows = requested.only(opined.rows)
            done = requested if opined.stopped_by is None else requested.of_rows(rows)
            replace_if_same(
                warehouse,
                requested.symbols,
                window,
                as_read,
                Replacement(SIGNALS, done.frame(strategy=lane.name), rows),
                covered(
                    done,
                    rows,
                    asset="signals",
                    strategy=lane.name,
                    why="no bar",
                    version=analyst.version_hash,
                ),
            )
        _tell_of_older(context, lane, opined)
        if opined.stopped_by is not None:
            _materialize(context, lane, done, rows)
            _stop(opined.stopped_by, done, requested)
        tell(context, requested, rows, _told_of_each(analyst))
        is_last = rows["session"] == pd.Timestamp(requested.last)
        tell(context, requested, rows[is_last], TOLD)
        actions = rows["action"].value_counts()
        counts = {each.value: int(actions.get(each.value, 0)) for each in Action}
        counts["abstained"] = int(rows["is_abstention"].sum())
        return dg.MaterializeResult(
            metadata=_asked(analyst, opined, rows),
            check_results=[check("levels", _out_of_order(rows), metadata=counts)],
        )

    return signals


def briefings_of(lane: Lane, warehouse: Warehouse, requested: Requested) -> Briefings:
    """What the analyst of *lane* is shown of the sessions and symbols *requested*."""
    symbols, first, last = requested.symbols, requested.first, requested.last
    bars = warehouse.window(BARS, symbols, first, last, before=lane.analyst.bars - 1)
    actions = warehouse.read(CORPORATE_ACTIONS, {"symbol": symbols})
    indicators = warehouse.read(
        INDICATORS, {"symbol": symbols, "session": Between(first, last)}
    )
    panel = Panel.of(bars, actions)
    return Briefings(
        strategy=lane.name,
        views=views_of(panel, indicators, first, last),
        panel=panel,
        sources=dict(zip(bars["symbol"], bars["source"], strict=True)),
    )


def _asking(context: dg.AssetExecutionContext) -> Asking:
    """How the step of *context* asks models."""
    config = context.op_execution_context.op_config
    return Asking(context.resources.analysts, context.run.run_id, config[REFRESH])


def _told_of_each(analyst: Analyst) -> dict[str, str]:
    return TOLD_OF_EACH | (COST_OF_EACH if analyst.asks_models else {})


def _asked(analyst: Analyst, opined: Opined, rows: pd.DataFrame) -> dict[str, int | float]:
    """How many opinions were new, and what they cost; nothing where nobody is asked."""
    if not analyst.asks_models:
        return {}
    return {
        "opinions": len(rows),
        "opinions already there": opined.kept,
        "cache hits %": rounded(100 * opined.kept / max(len(rows), 1)),
        "cost of all USD": rounded(float(rows["cost_usd"].sum())),
    }


def _tell_of_older(context: dg.AssetExecutionContext, lane: Lane, opined: Opined) -> None:
    if opined.older:
        context.log.warning(
            "%d opinions are of another model, prompt or setting than today's, and stand: "
            "trading-assets backfill --strategy %s --refresh asks anew",
            opined.older,
            lane.name,
        )


def _materialize(
    context: dg.AssetExecutionContext, lane: Lane, done: Requested, rows: pd.DataFrame
) -> None:
    """Say of what is *done* that it is, though the step is about to fail."""
    days = rows["session"].dt.date
    for session, symbol, row in zip(
        days, rows["symbol"], rows.to_dict("records"), strict=True
    ):
        told = {name: float(row[column]) for name, column in COST_OF_EACH.items()}
        context.log_event(
            dg.AssetMaterialization(
                lane.key("signals"),
                partition=done.keys[session, symbol],
                metadata={"action": str(row["action"] or "abstains"), **told},
            )
        )


def _stop(why: Exception, done: Requested, requested: Requested) -> NoReturn:
    """End a step that could not ask on: it is tried again only if that may help."""
    may_pass = isinstance(why, ModelUnavailable) and why.may_pass
    if may_pass or isinstance(why, OUT_OF_REACH):
        raise dg.RetryRequested(WAIT_TRIES, WAIT_SECONDS) from why
    left = len(requested.keys) - len(done.keys)
    is_ours = isinstance(why, TradingAssetsError)
    told = why if is_ours else repr(why)
    said = f"{len(done.keys)} partitions are made, {left} are left: {told}"
    raise dg.Failure(said, allow_retries=False) from None if is_ours else why


def _out_of_order(rows: pd.DataFrame) -> pd.DataFrame:
    """Signals whose stop or target lies on the wrong side of their entry."""
    sign = (
        rows["action"].map({Action.BUY.value: 1.0, Action.SELL.value: -1.0}).astype(float)
    )
    wrong_stop = sign * (rows["entry"] - rows["stop_loss"]) <= 0
    wrong_target = sign * (rows["take_profit"] - rows["entry"]) <= 0
    columns = ["symbol", "session", "action", "entry", "stop_loss", "take_profit"]
    return rows.loc[wrong_stop | wrong_target, columns]
