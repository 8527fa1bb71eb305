"""What follows on what: a view, its book and outcomes, the account, who is told of it."""

from collections.abc import Callable, Sequence
from datetime import date

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
    outcomes_job_name,
    range_tags,
    tracking_job_name,
    view_job_name,
)
from trading_assets.defs.lanes import Lane, Market
from trading_assets.defs.outcomes import LONGEST

SPARE_SESSIONS = 5
"""How far an evening looks back beyond the longest horizon, for shares that missed bars."""


def book_sensor(lane: Lane, book: dg.JobDefinition) -> dg.SensorDefinition:
    """Ask for a strategy's *book* when a view of its schedule has succeeded.

    A view that a person or the backfill command started brings its own book, or none.
    """
    return _after_the_view(
        lane,
        book,
        f"{lane.name}_book_follows",
        f"After a scheduled view of {lane.name}: its book of these sessions.",
        _book_of,
    )


def outcomes_sensor(lane: Lane, outcomes: dg.JobDefinition) -> dg.SensorDefinition:
    """Ask what became of a strategy's signals when a view of its schedule has succeeded.

    The book does not wait for it, nor it for the book.
    """
    return _after_the_view(
        lane,
        outcomes,
        f"{lane.name}_outcomes_follow",
        f"After a scheduled view of {lane.name}: what became of its signals of the last "
        f"{LONGEST} sessions.",
        _outcomes_of,
    )


def _after_the_view(
    lane: Lane,
    job: dg.JobDefinition,
    name: str,
    description: str,
    request: Callable[[Lane, dg.DagsterRun], dg.RunRequest],
) -> dg.SensorDefinition:
    """A sensor that makes one *request* per view that the schedule has asked for."""

    @dg.run_status_sensor(
        name=name,
        run_status=dg.DagsterRunStatus.SUCCESS,
        monitored_jobs=[_job_named(view_job_name(lane.name))],
        request_job=job,
        minimum_interval_seconds=5,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=description,
    )
    def follows(context: dg.RunStatusSensorContext) -> dg.RunRequest | dg.SkipReason:
        view = context.dagster_run
        if view.tags.get(LAUNCHED_BY) != SCHEDULE:
            return dg.SkipReason(f"run {view.run_id} was not started by the schedule")
        return request(lane, view)

    return follows


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


def _book_of(lane: Lane, view: dg.DagsterRun) -> dg.RunRequest:
    """The book of the sessions that *view* has made."""
    tags = {name: view.tags[name].partition("|")[0] for name in (RANGE_START, RANGE_END)}
    kept = {name: view.tags[name] for name in (RANGE, LAUNCHED_BY)}
    return dg.RunRequest(
        run_key=f"{book_job_name(lane.name)}-{view.run_id}",
        job_name=book_job_name(lane.name),
        tags=tags | kept,
    )


LAST_TRACKED_SESSIONS = 20
"""Told again each evening: what a tracker could not take, or has changed, is among them."""


def tracking_sensor(lane: Lane, tracking: dg.JobDefinition) -> dg.SensorDefinition:
    """Ask for *tracking* of a strategy's last sessions when a scheduled book has ended.

    A person who starts a book says whether it is to be told; the commands tell by
    themselves.
    """

    @dg.run_status_sensor(
        name=f"{lane.name}_tracking_follows",
        run_status=dg.DagsterRunStatus.SUCCESS,
        monitored_jobs=[_job_named(book_job_name(lane.name))],
        request_job=tracking,
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"After a scheduled book of {lane.name}: its last sessions are told.",
    )
    def tracking_follows(
        context: dg.RunStatusSensorContext,
    ) -> dg.RunRequest | dg.SkipReason:
        return _tracking_of(lane, context.dagster_run)

    return tracking_follows


def _tracking_of(lane: Lane, book: dg.DagsterRun) -> dg.RunRequest | dg.SkipReason:
    """The telling of the sessions that *book* has made, and of those before them."""
    if book.tags.get(LAUNCHED_BY) != SCHEDULE:
        return dg.SkipReason(f"run {book.run_id} was not started by the schedule")
    last = date.fromisoformat(book.tags[RANGE_END])
    return dg.RunRequest(
        run_key=f"{tracking_job_name(lane.name)}-{book.run_id}",
        job_name=tracking_job_name(lane.name),
        tags=range_tags(first_tracked(lane, last), last, launched_by=SCHEDULE),
    )


def first_tracked(lane: Lane, last: date) -> date:
    """Where the range that is told by itself begins, if it ends with *last*."""
    return lane.calendar.between(lane.start, last)[-LAST_TRACKED_SESSIONS:][0]


def _outcomes_of(lane: Lane, view: dg.DagsterRun) -> dg.RunRequest:
    """Outcomes of the sessions that *view* has made, and of all that may yet change."""
    first, last = (
        date.fromisoformat(view.tags[name].partition("|")[0])
        for name in (RANGE_START, RANGE_END)
    )
    calendar = lane.calendar
    reach = LONGEST + SPARE_SESSIONS
    at = max(calendar.position(first) - reach, calendar.position(lane.start))
    return dg.RunRequest(
        run_key=f"{outcomes_job_name(lane.name)}-{view.run_id}",
        job_name=outcomes_job_name(lane.name),
        tags=range_tags(calendar.sessions[at], last, lane.symbols, launched_by=SCHEDULE),
    )
