"""How far a strategy's analyst can be trusted: figures, and a picture of them."""

import hashlib
from collections.abc import Iterator
from typing import Any

import dagster as dg
import pandas as pd

from trading_assets.adapters.analysts.port import Briefings
from trading_assets.adapters.chart_store.port import ChartStore
from trading_assets.adapters.storage.port import Warehouse
from trading_assets.core.calibration import (
    CALIBRATION_VERSION,
    HORIZON,
    MAKER,
    Calibration,
    Sample,
    calibration_of,
)
from trading_assets.core.outcomes import outcomes_of
from trading_assets.core.panel import Panel
from trading_assets.core.views import Views, views_of
from trading_assets.defs.charts import MOUNT
from trading_assets.defs.lanes import OWNERS, Lane, Market
from trading_assets.defs.outcomes import outcomes_version
from trading_assets.defs.telling import rounded
from trading_assets.models.signal import Action
from trading_assets.models.tables import (
    BARS,
    CORPORATE_ACTIONS,
    SIGNAL_OUTCOMES,
)
from trading_assets.strategies.spec import fingerprint

ALWAYS_HOLD, SMA_CROSS = "always_hold", "sma_cross"
FAST, SLOW = 10, 50
CROSSED = (f"sma_{FAST}", f"sma_{SLOW}")

TOLD = {
    "signals out of sample": "signals",
    "of them without overlap": "apart",
    "hit %": "hit_frac",
    "Brier score": "brier",
    "calibration error": "ece",
    "rank correlation": "ic",
    "gained per signal %": "expectancy_frac",
    "always long %": ALWAYS_HOLD,
    "SMA cross %": SMA_CROSS,
    "R": "mean_r",
    "abstained %": "abstain_frac",
    "cost per signal, USD": "cost_usd",
    "status": "status",
}
"""Figures of the analyst that spoke last, by the name they are shown under."""

IN_WORDS = {
    "hit": "hit_frac",
    "Brier score": "brier",
    "gained per signal": "expectancy_frac",
    "always long": ALWAYS_HOLD,
    "SMA cross": SMA_CROSS,
}
"""Figures of each line of all."""

IN_PER_CENT = {"hit_frac", "expectancy_frac", "abstain_frac", ALWAYS_HOLD, SMA_CROSS}


def calibration_asset(market: Market, lane: Lane) -> dg.AssetsDefinition:
    """The asset ``<s>/calibration``."""

    @dg.asset(
        name="calibration",
        key_prefix=lane.name,
        group_name=lane.name,
        deps=[
            dg.AssetDep(
                lane.key("signal_outcomes"), partition_mapping=dg.AllPartitionMapping()
            )
        ],
        code_version=fingerprint(CALIBRATION_VERSION, outcomes_version(lane)),
        description=f"Of {lane.analyst.name}: what was declared against what came true, "
        "after 20 sessions, and against always long and an SMA cross.",
        pool=f"{lane.name}_view",
        kinds={"matplotlib", "duckdb"},
        owners=OWNERS,
    )
    def calibration(
        warehouse: dg.ResourceParam[Warehouse],
        chart_store: dg.ResourceParam[ChartStore],
    ) -> dg.MaterializeResult:
        # Slow to import, and needed here alone.
        from trading_assets.core.calibration_picture import calibration_picture  # noqa: PLC0415

        found = calibrated(market, lane, warehouse, HORIZON)
        picture = calibration_picture(found, title=lane.name)
        chart_store.put(calibration_path(lane), picture)
        version = hashlib.sha256(picture).hexdigest()[:8]
        address = f"{MOUNT}/{calibration_path(lane)}?{version}"
        link = dg.MetadataValue.md(f"[![calibration]({address})]({address})")
        return dg.MaterializeResult(metadata={"calibration": link, **_told(found)})

    return calibration


def calibration_path(lane: Lane) -> str:
    """Where the picture lies in the chart store."""
    return f"{lane.name}/calibration/calibration.png"


def calibrated(
    market: Market, lane: Lane, warehouse: Warehouse, horizon: int
) -> Calibration:
    """The record of a strategy's analysts, from what is stored of their outcomes."""
    with warehouse.snapshot():
        outcomes = warehouse.read(SIGNAL_OUTCOMES, {"strategy": lane.name})
        outcomes = outcomes[outcomes["horizon_sessions"] == horizon]
        symbols = sorted(set(outcomes["symbol"]))
        bars = warehouse.read(BARS, {"symbol": symbols})
        actions = warehouse.read(CORPORATE_ACTIONS, {"symbol": symbols})
    baselines = {name: SIGNAL_OUTCOMES.empty() for name in (ALWAYS_HOLD, SMA_CROSS)}
    if len(outcomes):
        baselines = _baselines(market, lane, outcomes, bars, actions, horizon)
    return calibration_of(outcomes, baselines, horizon=horizon)


def _baselines(
    market: Market,
    lane: Lane,
    outcomes: pd.DataFrame,
    bars: pd.DataFrame,
    actions: pd.DataFrame,
    horizon: int,
) -> dict[str, pd.DataFrame]:
    """What two simple minds would have got on the same days, at the same costs."""
    panel = Panel.of(bars, actions)
    crossed = _crossed(market, lane, outcomes, bars, actions, panel)
    held = crossed.assign(action=Action.BUY.value, is_abstention=False)
    return {
        name: outcomes_of(signals, panel, lane.spec.costs, horizons=(horizon,))
        for name, signals in ((ALWAYS_HOLD, held), (SMA_CROSS, crossed))
    }


def _crossed(
    market: Market,
    lane: Lane,
    outcomes: pd.DataFrame,
    bars: pd.DataFrame,
    actions: pd.DataFrame,
    panel: Panel,
) -> pd.DataFrame:
    """`signals` of the averages' cross, on every bar of the range that *outcomes* span."""
    from trading_assets.adapters.analysts.rules import RulesAnalyst  # noqa: PLC0415 - slow
    from trading_assets.core.indicators import indicators_as_of  # noqa: PLC0415 - as above
    from trading_assets.core.rule_modules import registered  # noqa: PLC0415 - as above

    sessions = outcomes["session"].dt.date
    first, last = sessions.min(), sessions.max()
    indicators = indicators_as_of(bars, actions, first, last, CROSSED, market.calendar)
    views: Views = views_of(panel, indicators, first, last)
    rule = registered(SMA_CROSS).bound({"fast": FAST, "slow": SLOW})
    return RulesAnalyst(rule).signals(Briefings(lane.name, views)).rows


def _told(found: Calibration) -> dict[str, Any]:
    """Figures of the first line, if it is out of sample; and all lines in words."""
    if found.groups.empty:
        return {"status": "no signal is resolved yet"}
    line = found.groups.iloc[0]
    every = {"all of them": dg.MetadataValue.md("\n".join(_lines(found.groups)))}
    if line["sample"] != Sample.OUT:
        return {"signals out of sample": 0, "status": line["status"], **every}
    told: dict[str, Any] = {}
    for name, column in TOLD.items():
        figure = line[column]
        if isinstance(figure, str):
            told[name] = figure
        elif not pd.isna(figure):
            scale = 100 if column in IN_PER_CENT else 1
            told[name] = rounded(float(figure) * scale)
    return told | every


def _lines(groups: pd.DataFrame) -> Iterator[str]:
    """One line of Markdown for each of *groups*; a table would be wider than the page."""
    for line in groups.to_dict("records"):
        maker = ", ".join(str(line[name]) for name in MAKER if line[name])
        figures = [f"{line['signals']:,} signals"]
        for name, column in IN_WORDS.items():
            if not pd.isna(line[column]):
                scale, unit = (100, " %") if column in IN_PER_CENT else (1, "")
                figures.append(f"{name} {rounded(float(line[column]) * scale):g}{unit}")
        yield f"- **{line['sample']}**, {maker}: {', '.join(figures)}; {line['status']}"
