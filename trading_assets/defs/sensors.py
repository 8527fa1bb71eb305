"""What follows on what: after a strategy's view, its book."""

import dagster as dg
from dagster._core.definitions.repository_definition import SINGLETON_REPOSITORY_NAME

from trading_assets.defs.jobs import (
    LAUNCHED_BY,
    LOCATION,
    RANGE,
    RANGE_END,
    RANGE_START,
    SCHEDULE,
    book_job_name,
    view_job_name,
)
from trading_assets.defs.lanes import Lane


def book_sensor(lane: Lane, book: dg.JobDefinition) -> dg.SensorDefinition:
    """Ask for a strategy's *book* when a view of its schedule has succeeded.

    A view that a person or the backfill command started brings its own book, or none.
    """

    @dg.run_status_sensor(
        name=f"{lane.name}_book_follows",
        run_status=dg.DagsterRunStatus.SUCCESS,
        monitored_jobs=[
            dg.JobSelector(
                location_name=LOCATION,
                repository_name=SINGLETON_REPOSITORY_NAME,
                job_name=view_job_name(lane.name),
            )
        ],
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
