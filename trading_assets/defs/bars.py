"""Bars of every symbol that a strategy trades or is held against."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import dagster as dg
import pandas as pd

from trading_assets.adapters.market_data.port import MarketData, MarketHistory
from trading_assets.adapters.storage.port import Between, Replacement, Warehouse
from trading_assets.core.bar_checks import (
    explained_gaps,
    inconsistent_bars,
    suspicious_jumps,
    unexplained_gaps,
    vanished_bars,
)
from trading_assets.defs.asking import as_may_be_stored, ask, is_settled
from trading_assets.defs.coverage import outdated, reaching_out
from trading_assets.defs.lanes import MARKET, OWNERS, Market
from trading_assets.defs.partitions import Requested
from trading_assets.defs.telling import check, tell
from trading_assets.errors import InvalidInput
from trading_assets.models.tables import BARS, CORPORATE_ACTIONS, COVERAGE
from trading_assets.strategies.spec import fingerprint

BARS_VERSION = "1"
NEIGHBOURS = timedelta(days=10)
"""How far behind a range bars of another source are looked for."""

CHECKS = [
    dg.AssetCheckSpec(
        "complete",
        asset="bars",
        blocking=True,
        description="Every session of the range has its bar, or coverage says why not.",
    ),
    dg.AssetCheckSpec(
        "gaps",
        asset="bars",
        description="No session is without a bar; an explained gap warns.",
    ),
    dg.AssetCheckSpec(
        "consistent",
        asset="bars",
        blocking=True,
        description="Prices are above zero and lie between low and high.",
    ),
    dg.AssetCheckSpec(
        "jumps",
        asset="bars",
        description="No close is far from the one before without a split.",
    ),
    dg.AssetCheckSpec(
        "restatements",
        asset="bars",
        description="The source tells the past as it is stored; a booked split warns.",
    ),
]


def bars_asset(market: Market) -> dg.AssetsDefinition:
    """The asset `bars` of *market*."""

    @dg.asset(
        name="bars",
        group_name=MARKET,
        partitions_def=market.partitions,
        backfill_policy=dg.BackfillPolicy.single_run(),
        check_specs=CHECKS,
        code_version=fingerprint(BARS_VERSION, market.source),
        pool=MARKET,
        kinds={"duckdb"},
        owners=OWNERS,
    )
    def bars(
        context: dg.AssetExecutionContext,
        market_data: dg.ResourceParam[MarketData],
        warehouse: dg.ResourceParam[Warehouse],
    ) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
        """Open, high, low, close and volume as traded, with the corporate actions."""
        requested = Requested.of(context)
        with reaching_out(context):
            asked = ask(
                market, market_data, requested.symbols, requested.first, requested.last
            )
            with warehouse.transaction():
                _refuse_another_source(warehouse, requested, market_data.source)
                told = as_may_be_stored(market, warehouse, market_data, asked)
                history = told.history
                replacements = _replacements(requested, history)
                coverage = replacements[-1].rows
                warehouse.replace(outdated(warehouse, coverage), *replacements)
                verdicts = _verdicts(warehouse, requested)
        for remark in history.remarks:
            context.log.warning(remark)
        restated = check("restatements", told.findings, warns=is_settled(told.findings))
        if history.unreadable:  # the step fails, and what it has found is told all the same
            yield restated
            history.require_readable()
        tell(context, requested, history.bars, {"close": "close"})
        yield dg.MaterializeResult(
            check_results=[*verdicts, restated],
            metadata={"source": market_data.source},
        )

    return bars


def _refuse_another_source(warehouse: Warehouse, requested: Requested, source: str) -> None:
    """Refuse to lay bars of one source beside those of another.

    Raises:
        InvalidInput: If bars that stay are of another source.
    """
    symbols, first, last = requested.symbols, requested.first, requested.last
    after = Between(last + timedelta(days=1), last + NEIGHBOURS)
    before = warehouse.window(BARS, symbols, first, first, before=1)
    later = warehouse.read(BARS, {"symbol": symbols, "session": after})
    stored = pd.concat([before[before["session"] < pd.Timestamp(first)], later])
    staying = stored[stored["source"] != source]
    if len(staying):
        other = staying.iloc[-1]
        raise InvalidInput(
            f"the bar of {other['symbol']} of {other['session']:%Y-%m-%d} is from "
            f"{other['source']}, not from {source}: each source needs a TRADING_HOME of "
            "its own"
        )


def _replacements(requested: Requested, history: MarketHistory) -> list[Replacement]:
    """Bars, actions and coverage of the symbols that could be read."""
    partitions = requested.frame()
    readable = partitions[~partitions["symbol"].isin(list(history.unreadable))]
    on_ex_days = readable.rename(columns={"session": "ex_session"})
    actions = history.actions.rename(columns={"ex_session": "session"})
    actions = requested.only(actions).rename(columns={"session": "ex_session"})
    bars = requested.only(history.bars).assign(recorded_at=datetime.now(UTC))
    return [
        Replacement(BARS, readable, bars),
        Replacement(CORPORATE_ACTIONS, on_ex_days, actions),
        Replacement(
            COVERAGE,
            readable.assign(asset="bars", strategy=""),
            requested.only(history.coverage),
        ),
    ]


def _verdicts(warehouse: Warehouse, requested: Requested) -> list[dg.AssetCheckResult]:
    """What the checks say of what is stored now."""
    symbols, sessions = requested.symbols, requested.sessions
    stored = warehouse.window(BARS, symbols, requested.first, requested.last, before=1)
    actions = warehouse.read(CORPORATE_ACTIONS, {"symbol": symbols})
    coverage = warehouse.read(
        COVERAGE,
        {
            "asset": "bars",
            "symbol": symbols,
            "session": Between(requested.first, requested.last),
        },
    )
    asked = stored[stored["session"] >= pd.Timestamp(requested.first)]
    lost = unexplained_gaps(coverage, symbols, sessions)
    gaps = explained_gaps(coverage, symbols, sessions)
    return [
        check("complete", lost if len(lost) else vanished_bars(asked, coverage)),
        check("gaps", gaps, warns=True),
        check("consistent", inconsistent_bars(asked)),
        check("jumps", suspicious_jumps(stored, actions), warns=True),
    ]
