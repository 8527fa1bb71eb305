"""What follows on what: a strategy's view, its book, and the account it is traded in."""

from collections.abc import Sequence

import dagster as dg
from dagster._core.definitions.repository_definition import SINGLETON_REPOSITORY_NAME

from trading_assets.defs.jobs import (
    ACCOUNT_JOB,
    LAUNCHED_BY,
    LOCATION,
    RANGE,
    RANGE_END,
    RANGE_START,
    SCHEDULE,
    book_job_name,
    view_job_name,
)
from trading_assets.defs.lanes import Lane, Market


def book_sensor(lane: Lane, book: dg.JobDefinition) -> dg.SensorDefinition:
    """Ask for a strategy's *book* when a view of its schedule has succeeded.

    A view that a person or the backfill command started brings its own book, or none.
    """

    @dg.run_status_sensor(
        name=f"{lane.name}_book_follows",
        run_status=dg.DagsterRunStatus.SUCCESS,
        monitored_jobs=[_job_named(view_job_name(lane.name))],
        request_job=book,
        minimum_interval_seconds=5,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"After a scheduled view of {lane.name}: its book of these sessions.",
    )
    def book_follows(
        context: dg.RunStatusSensorContext,
    ) -> dg.RunRequest | dg.SkipReason:
        return _book_of(lane, context.dagster_run)

    return book_follows


def account_sensor(
    market: Market, lanes: Sequence[Lane], account: dg.JobDefinition
) -> dg.SensorDefinition:
    """Ask for the account again when the evening's book of one of *lanes* is made.

    What the broker says of the day's profit can only then be held against the book.
    """

    @dg.run_status_sensor(
        name="account_follows",
        run_status=dg.DagsterRunStatus.SUCCESS,
        monitored_jobs=[_job_named(book_job_name(lane.name)) for lane in lanes],
        request_job=account,
        minimum_interval_seconds=5,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="After the evening's book of a strategy that is traded outside: what "
        "its broker says of the account.",
    )
    def account_follows(
        context: dg.RunStatusSensorContext,
    ) -> dg.RunRequest | dg.SkipReason:
        return _account_after(market, context.dagster_run)

    return account_follows


def _account_after(market: Market, book: dg.DagsterRun) -> dg.RunRequest | dg.SkipReason:
    """The account of the session that *book* ends with, if that is tonight's."""
    last, current = book.tags.get(RANGE_END, ""), market.current().isoformat()
    if book.tags.get(LAUNCHED_BY) != SCHEDULE:
        return dg.SkipReason(f"run {book.run_id} was not started by the schedule")
    if last != current:
        return dg.SkipReason(f"run {book.run_id} ends with {last}, and not with {current}")
    run_key = f"{ACCOUNT_JOB}-{book.run_id}"
    return dg.RunRequest(run_key=run_key, job_name=ACCOUNT_JOB, partition_key=current)


def _job_named(name: str) -> dg.JobSelector:
    return dg.JobSelector(
        location_name=LOCATION, repository_name=SINGLETON_REPOSITORY_NAME, job_name=name
    )


def _book_of(lane: Lane, view: dg.DagsterRun) -> dg.RunRequest | dg.SkipReason:
    """The book of the sessions that *view* has made."""
    if view.tags.get(LAUNCHED_BY) != SCHEDULE:
        return dg.SkipReason(f"run {view.run_id} was not started by the schedule")
    tags = {name: view.tags[name].partition("|")[0] for name in (RANGE_START, RANGE_END)}
    kept = {name: view.tags[name] for name in (RANGE, LAUNCHED_BY)}
    return dg.RunRequest(
        run_key=f"{book_job_name(lane.name)}-{view.run_id}",
        job_name=book_job_name(lane.name),
        tags=tags | kept,
    )
