"""Everything that Dagster is told, assembled from the settings."""

from collections.abc import Iterable, Mapping

import dagster as dg

from trading_assets.adapters.analysts.choice import analyst_of
from trading_assets.core.indicators import parse_indicator
from trading_assets.defs.account import account_asset, real_lanes
from trading_assets.defs.bars import bars_asset
from trading_assets.defs.calibration import calibration_asset
from trading_assets.defs.charts import chart_asset
from trading_assets.defs.fills import fills_asset
from trading_assets.defs.ibkr_resources import ibkr_resources
from trading_assets.defs.ibkr_sensors import ibkr_sensors, uses_ibkr
from trading_assets.defs.indicators import indicators_asset
from trading_assets.defs.jobs import (
    ACCOUNT_JOB,
    account_job,
    book_job,
    market_job,
    outcomes_job,
    tracking_job,
    view_job,
)
from trading_assets.defs.lanes import VOLUME, Lane, Market
from trading_assets.defs.market_sensors import market_hours_sensor
from trading_assets.defs.notifying import notifying_sensors
from trading_assets.defs.orders import orders_asset
from trading_assets.defs.outcomes import outcomes_asset
from trading_assets.defs.performance import performance_asset
from trading_assets.defs.portfolio import portfolio_asset
from trading_assets.defs.resources import Settings, resources
from trading_assets.defs.schedules import market_schedule, strategy_schedule
from trading_assets.defs.sensors import (
    account_sensor,
    book_sensor,
    outcomes_sensor,
    tracking_sensor,
)
from trading_assets.defs.signals import signals_asset
from trading_assets.defs.tracked import tracked_asset
from trading_assets.errors import InvalidIndicator
from trading_assets.models.chart import Timeframe
from trading_assets.sessions import trading_calendar
from trading_assets.strategies.faults import Fault
from trading_assets.strategies.loading import LoadedStrategy, load_strategies
from trading_assets.strategies.spec import ApprovalRule


def market_of(settings: Settings) -> Market:
    """The market and the lanes that *settings* ask for.

    Raises:
        InvalidStrategy: Naming every fault of every strategy file.
    """
    strategies = load_strategies(settings.strategies)
    check_strategies(strategies)
    return Market.of(
        strategies,
        analyst_of=analyst_of,
        calendar=trading_calendar(),
        start=settings.market_start,
        source=settings.market_data,
    )


def check_strategies(strategies: Iterable[LoadedStrategy]) -> None:
    """Refuse strategies that ask for a rule, a parameter or an indicator there is none of.

    Raises:
        InvalidStrategy: Naming file, line and key.
    """
    for strategy in strategies:
        analyst_of(strategy)
        spec = strategy.spec
        asked = [(("indicators", at), name) for at, name in enumerate(spec.indicators)]
        asked += [
            (("charts", "indicators", at), name)
            for at, name in enumerate(spec.charts.indicators)
            if name != VOLUME
        ]
        faults = [fault for keys, name in asked if (fault := _fault(keys, name))]
        if faults:
            raise strategy.refusal(faults)


def _fault(keys: tuple[str | int, ...], name: str) -> Fault | None:
    try:
        parse_indicator(name)
    except InvalidIndicator as error:
        return Fault(keys, str(error))
    return None


def definitions_of(settings: Settings, market: Market | None = None) -> dg.Definitions:
    """The code location that *settings* ask for."""
    market = market or market_of(settings)
    books = {lane.name: book_job(lane) for lane in market.lanes}
    views = {lane.name: view_job(lane) for lane in market.lanes}
    told = [(own, tracking_job(own)) for own in market.lanes if settings.is_tracked]
    outcomes = {lane.name: outcomes_job(lane) for lane in market.lanes}
    real = real_lanes(market)
    accounts = [account_job()] if real else []
    return dg.Definitions(
        assets=[
            bars_asset(market),
            indicators_asset(market),
            *_account_assets(settings, market),
            *(
                asset
                for lane in market.lanes
                for asset in _lane_assets(settings, market, lane)
            ),
        ],
        jobs=[
            market_job(),
            *accounts,
            *(job for own in market.lanes for job in (views[own.name], books[own.name])),
            *(job for _, job in told),
            *outcomes.values(),
        ],
        schedules=[
            market_schedule(market),
            *(strategy_schedule(market, lane) for lane in market.lanes),
        ],
        sensors=[
            *(book_sensor(lane, books[lane.name]) for lane in market.lanes),
            *(tracking_sensor(lane, job) for lane, job in told),
            *(outcomes_sensor(lane, outcomes[lane.name]) for lane in market.lanes),
            *(account_sensor(market, real, job) for job in accounts),
            *_batches_sensors(market, views),
            *notifying_sensors(market),
            market_hours_sensor(market, ACCOUNT_JOB if real else None),
            *ibkr_sensors(settings, market),
            *_approval_sensors(settings, market, books),
        ],
        resources={
            **resources(settings),
            **(ibkr_resources(settings) if uses_ibkr(settings, market) else {}),
        },
        executor=dg.in_process_executor,
    )


def _batches_sensors(
    market: Market, views: Mapping[str, dg.JobDefinition]
) -> list[dg.SensorDefinition]:
    """Who looks after batches, where a strategy asks models that take them."""
    asking = [lane for lane in market.lanes if lane.analyst.asks_models]
    if not asking:
        return []
    from trading_assets.defs.batches import (  # noqa: PLC0415 - whoever asks nobody need not wait for it
        batches_sensor,
        takes_batches,
    )

    return [batches_sensor(own, views[own.name]) for own in asking if takes_batches(own)]


def _approval_sensors(
    settings: Settings, market: Market, books: Mapping[str, dg.JobDefinition]
) -> list[dg.SensorDefinition]:
    """Who asks people, where a strategy wants them asked."""
    rules = {lane.spec.execution.approval for lane in market.lanes}
    if rules == {ApprovalRule.NONE}:
        return []
    from trading_assets.defs.approvals import (  # noqa: PLC0415 - as above
        approval_sensors,
    )

    return approval_sensors(settings, market, books)


def _account_assets(settings: Settings, market: Market) -> list[dg.AssetsDefinition]:
    """What a broker outside says, if anything is traded there."""
    lanes = real_lanes(market)
    named = {
        lane.name: lane.spec.execution.account or settings.ibkr.account for lane in lanes
    }
    accounts_of = {name: account for name, account in named.items() if account}
    return [account_asset(market, accounts_of)] if lanes else []


def _lane_assets(
    settings: Settings, market: Market, lane: Lane
) -> list[dg.AssetsDefinition]:
    return [
        chart_asset(market, lane, Timeframe.DAILY),
        chart_asset(market, lane, Timeframe.WEEKLY),
        signals_asset(market, lane),
        *(
            asset
            for book in lane.books
            for asset in (
                orders_asset(market, book),
                fills_asset(market, book),
                portfolio_asset(market, book),
                performance_asset(book, is_simulated_market=settings.is_simulated_market),
            )
        ),
        *(tracked_asset(market, book) for book in lane.books if settings.is_tracked),
        outcomes_asset(market, lane),
        calibration_asset(market, lane),
    ]
