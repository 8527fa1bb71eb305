"""Charts of a strategy's symbols: a picture per symbol and session, daily and weekly."""

import hashlib

import dagster as dg
import numpy as np
import pandas as pd

from trading_assets.adapters.chart_store.port import ChartStore, chart_path
from trading_assets.adapters.storage.port import Replacement, Warehouse
from trading_assets.core.charting import CHART_VERSION, bars_for_chart
from trading_assets.core.panel import Panel
from trading_assets.defs.coverage import covered, require, waiting
from trading_assets.defs.fast_paths import add_partition_metadata
from trading_assets.defs.lanes import OWNERS, Lane, Market
from trading_assets.defs.partitions import Requested, looking_back
from trading_assets.defs.telling import check
from trading_assets.models.chart import Chart, Timeframe
from trading_assets.models.tables import BARS, CHARTS, CORPORATE_ACTIONS
from trading_assets.strategies.spec import Draw, fingerprint

MOUNT = "/charts"
"""Where the web server shows the chart store."""

WIDTH_PX, HEIGHT_PX = 1920, 1080
FEWEST_BARS = 2


def chart_asset(market: Market, lane: Lane, timeframe: Timeframe) -> dg.AssetsDefinition:
    """The asset ``<s>/daily_chart`` or ``<s>/weekly_chart``."""
    spec, asset = lane.spec.charts, f"{timeframe.value}_chart"
    is_daily = timeframe is Timeframe.DAILY
    count = spec.daily_sessions if is_daily else spec.weekly_weeks
    needed = bars_for_chart(timeframe, count, spec.indicators)
    span = f"{count} sessions" if is_daily else f"{count} weeks, the last one as it stands"
    key = lane.key(asset)

    @dg.asset(
        name=asset,
        key_prefix=lane.name,
        group_name=lane.name,
        partitions_def=lane.partitions,
        deps=[
            dg.AssetDep("bars", partition_mapping=looking_back(needed)),
            dg.AssetDep("indicators", partition_mapping=looking_back(1)),
        ],
        backfill_policy=dg.BackfillPolicy.multi_run(100_000),
        check_specs=[
            dg.AssetCheckSpec(
                "stored",
                asset=key,
                description="Each picture is in the chart store, byte for byte.",
            )
        ],
        code_version=fingerprint(CHART_VERSION, spec, timeframe.value),
        description=f"The picture an analyst looks at: {span}, with indicators.",
        pool=f"{lane.name}_view",
        kinds={"matplotlib", "duckdb"},
        owners=OWNERS,
    )
    def chart(
        context: dg.AssetExecutionContext,
        warehouse: dg.ResourceParam[Warehouse],
        chart_store: dg.ResourceParam[ChartStore],
    ) -> dg.MaterializeResult:
        requested = Requested.of(context)
        sessions = _to_draw(lane, requested, market)
        charts: list[Chart] = []
        with waiting(requested, market.current()):
            first = sessions[0] if sessions else requested.first
            window = market.window(first, requested.last, needed if sessions else 0)
            with warehouse.snapshot():
                require(warehouse, requested, asset="bars", window=window)
                bars = warehouse.window(
                    BARS, requested.symbols, first, requested.last, before=needed
                )
                actions = warehouse.read(CORPORATE_ACTIONS, {"symbol": requested.symbols})
            if sessions:
                panel = Panel.of(bars, actions)
                charts = _draw(lane, timeframe, count, panel, bars, sessions, chart_store)
            rows = requested.only(CHARTS.frame(charts))
            partitions = requested.frame(strategy=lane.name, timeframe=timeframe.value)
            why = _why_not(lane, requested, sessions)
            warehouse.replace(
                Replacement(CHARTS, partitions, rows),
                covered(requested, rows, asset=asset, strategy=lane.name, why=why),
            )
        _show(context, requested, charts, why)
        faults = _not_stored(rows, chart_store)
        return dg.MaterializeResult(
            check_results=[check("stored", faults, metadata={"drawn": len(charts)})]
        )

    return chart


def _to_draw(lane: Lane, requested: Requested, market: Market) -> tuple:
    """Sessions of *requested* that get their pictures.

    A single session is an evening of its own, so it is drawn unless drawing is off.
    """
    match lane.spec.draw:
        case Draw.NONE:
            return ()
        case Draw.ALL:
            return requested.sessions
        case Draw.CURRENT:
            is_evening = len(requested.sessions) == 1 or requested.last == market.current()
            return (requested.last,) if is_evening else ()


def _why_not(lane: Lane, requested: Requested, drawn: tuple) -> str:
    """Why a requested partition may have no picture."""
    if drawn == requested.sessions:
        return "no bar"
    undrawn = f"charts.draw is {lane.spec.draw.value}"
    return f"{undrawn}, or no bar" if drawn else undrawn


def _draw(
    lane: Lane,
    timeframe: Timeframe,
    count: int,
    panel: Panel,
    bars: pd.DataFrame,
    sessions: tuple,
    chart_store: ChartStore,
) -> list[Chart]:
    """Draw every symbol that has a bar, session by session, and keep the pictures."""
    # Slow to import, and not needed by a range that draws nothing.
    from trading_assets.core.chart_canvas import draw  # noqa: PLC0415
    from trading_assets.core.charting import picture_of  # noqa: PLC0415

    wanted = np.array(sessions, dtype="datetime64[D]")
    sources = bars.groupby("symbol")["source"].last()
    charts: list[Chart] = []
    for at, symbol in enumerate(panel.symbols):
        rows = panel.rows(at)
        for last in np.flatnonzero(np.isin(panel.sessions[rows], wanted)) + rows.start:
            if last - rows.start + 1 < FEWEST_BARS:
                continue
            indicators = lane.spec.charts.indicators
            picture = picture_of(
                panel, at, int(last), timeframe, count, indicators, sources[symbol]
            )
            png = draw(picture)
            path = chart_path(lane.name, timeframe.value, symbol, picture.session)
            chart_store.put(path, png)
            sha256 = hashlib.sha256(png).hexdigest()
            charts.append(
                Chart(
                    strategy=lane.name,
                    symbol=symbol,
                    session=picture.session,
                    timeframe=timeframe,
                    path=path,
                    sha256=sha256,
                    width_px=WIDTH_PX,
                    height_px=HEIGHT_PX,
                    bars_drawn=len(picture.close),
                    first_session=picture.sessions[0].item(),
                    indicators=" ".join(indicators),
                    inputs_hash=picture.content_hash,
                )
            )
    return charts


def _show(
    context: dg.AssetExecutionContext,
    requested: Requested,
    charts: list[Chart],
    why_not: str,
) -> None:
    """The picture inline: a link of a hundred bytes, not the picture itself."""
    told: dict[str, dict[str, object]] = {
        key: {"not drawn": why_not} for key in requested.keys.values()
    }
    for chart in charts:
        alt = f"{chart.symbol} {chart.timeframe.value} {chart.session}"
        address = f"{MOUNT}/{chart.path}?{chart.sha256[:8]}"
        told[requested.keys[chart.session, chart.symbol]] = {
            "chart": dg.MetadataValue.md(f"[![{alt}]({address})]({address})"),
            "bars drawn": chart.bars_drawn,
            "sha256": chart.sha256,
        }
    add_partition_metadata(context, told)


def _not_stored(rows: pd.DataFrame, chart_store: ChartStore) -> pd.DataFrame:
    """Pictures that are not in the store as their row says."""
    is_wrong = [
        not chart_store.exists(path)
        or hashlib.sha256(chart_store.get(path)).hexdigest() != sha256
        for path, sha256 in zip(rows["path"], rows["sha256"], strict=True)
    ]
    return rows.loc[np.array(is_wrong, dtype=bool), ["symbol", "session", "path"]]
