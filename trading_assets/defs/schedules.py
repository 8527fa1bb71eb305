"""When things run: the market after the close, then each strategy.

A schedule asks the calendar, not its cron, which session closed last. On a holiday there
is nothing to make; after missed evenings there is more than one session, in one run.
"""

from collections.abc import Sequence
from datetime import date

import dagster as dg

from trading_assets.adapters.brokers.choice import Brokers
from trading_assets.adapters.storage.port import Warehouse
from trading_assets.core.evenings import market_to_make, to_make
from trading_assets.defs.books import unwritten
from trading_assets.defs.jobs import (
    RANGE,
    SCHEDULE,
    range_tags,
    view_job_name,
)
from trading_assets.defs.lanes import MARKET, Lane, Market
from trading_assets.models.tables import COVERAGE
from trading_assets.sessions import TradingCalendar
from trading_assets.strategies.cron import READY_FROM

ATTEMPTS = 3
"""Runs that an evening's range gets before it is left to a person."""

MARKET_LEAD_MINUTES = 10
READY_MINUTE = READY_FROM[0] * 60 + READY_FROM[1]
SCHEDULED = "trading/schedule"
"""Tag of a run: the schedule that asked for it."""

UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]


def market_schedule(market: Market) -> dg.ScheduleDefinition:
    """Bars and indicators, ten minutes before the first strategy that wants them."""

    @dg.schedule(
        name=MARKET,
        job_name=MARKET,
        cron_schedule=market_crons(market),
        execution_timezone=market.calendar.timezone.key,
        description="Bars and indicators of the sessions that have closed.",
    )
    def evening(
        context: dg.ScheduleEvaluationContext, warehouse: dg.ResourceParam[Warehouse]
    ) -> dg.RunRequest | dg.SkipReason:
        last_closed = _last_closed(market.calendar, context)
        return market_request(context.instance, warehouse, market, last_closed)

    return evening


def market_crons(market: Market) -> list[str]:
    """When the market is asked for, in the exchange's time, ascending."""
    return sorted({_earlier(lane.spec.schedule) for lane in market.lanes})


def market_request(
    instance: dg.DagsterInstance, warehouse: Warehouse, market: Market, last_closed: date
) -> dg.RunRequest | dg.SkipReason:
    """The market's run over what is missing, or why there is none to ask for.

    Whoever asks, the schedule or a sensor, asks for the same run: one that is under way,
    or was tried too often, is not asked for again.
    """
    columns = ["symbol", "session", "status"]
    where = {"asset": "bars", "symbol": market.symbols}
    missing = market_to_make(
        market.calendar,
        market.start,
        market.symbols,
        warehouse.read(COVERAGE, where, columns),
        last_closed,
    )
    return _request(instance, MARKET, missing, market.symbols)


def strategy_schedule(market: Market, lane: Lane) -> dg.ScheduleDefinition:
    """A strategy's view of the sessions that have closed; its book follows."""

    @dg.schedule(
        name=lane.name,
        job_name=view_job_name(lane.name),
        cron_schedule=lane.spec.schedule,
        execution_timezone=lane.calendar.timezone.key,
        description=f"What {lane.name} makes of the sessions that have closed.",
    )
    def evening(
        context: dg.ScheduleEvaluationContext,
        brokers: dg.ResourceParam[Brokers],
        warehouse: dg.ResourceParam[Warehouse],
    ) -> dg.RunRequest | dg.SkipReason:
        broker = lane.book.broker(brokers)
        decided = broker.decided(lane.name)
        half_made = unwritten(warehouse, broker, lane.name)
        made = [own for own in decided if not half_made or own < half_made[0]]
        missing = to_make(
            lane.calendar,
            lane.start,
            made if decided[:1] == (lane.start,) else (),
            _last_closed(market.calendar, context),
        )
        return _request(context.instance, lane.name, missing, lane.symbols)

    return evening


def _request(
    instance: dg.DagsterInstance,
    name: str,
    missing: tuple[date, date] | None,
    symbols: Sequence[str],
) -> dg.RunRequest | dg.SkipReason:
    """One run over what is missing, unless it is under way or has failed too often.

    Dagster forgets a run key from one tick to the next, so the runs themselves are asked.
    """
    if missing is None:
        return dg.SkipReason("every session that has closed is there")
    first, last = missing
    tags = range_tags(first, last, symbols, launched_by=SCHEDULE)
    mine = {SCHEDULED: name, RANGE: tags[RANGE]}
    runs = instance.get_runs(dg.RunsFilter(tags=mine))
    if any(run.status in UNFINISHED for run in runs):
        return dg.SkipReason(f"{tags[RANGE]} is under way")
    if len(runs) >= ATTEMPTS:
        return dg.SkipReason(
            f"{tags[RANGE]} has been tried {len(runs)} times: see its runs"
        )
    attempt = len(runs) + 1
    return dg.RunRequest(run_key=f"{name}-{tags[RANGE]}-{attempt}", tags=tags | mine)


def _last_closed(calendar: TradingCalendar, context: dg.ScheduleEvaluationContext) -> date:
    return calendar.last_closed(context.scheduled_execution_time)


def _earlier(cron: str) -> str:
    """*cron* by `MARKET_LEAD_MINUTES`, where its time is one plain time of day."""
    minute, hour, *days = cron.split()
    if not (minute.isdecimal() and hour.isdecimal()):
        return cron
    at = max(int(hour) * 60 + int(minute) - MARKET_LEAD_MINUTES, READY_MINUTE)
    if int(hour) * 60 + int(minute) < READY_MINUTE:  # the morning after
        at = max(int(hour) * 60 + int(minute) - MARKET_LEAD_MINUTES, 0)
    return " ".join((str(at % 60), str(at // 60), *days))
