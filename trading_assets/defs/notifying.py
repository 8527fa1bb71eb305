"""When people are told: a run has failed, an evening was missed, a message has waited.

The sensors only tell. None of them asks for a run, and none fails because nobody could be
told.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import dagster as dg
from dagster._utils.schedules import cron_string_iterator

from trading_assets.adapters.brokers.choice import Brokers
from trading_assets.adapters.brokers.port import Broker
from trading_assets.adapters.notifications.port import Notifier
from trading_assets.defs.jobs import (
    LAUNCHED_BY,
    LOCATION,
    RANGE,
    RANGE_END,
    RANGE_START,
    book_job_name,
    view_job_name,
)
from trading_assets.defs.lanes import Lane, Market
from trading_assets.models.notice import Topic

GRACE_MINUTES = 30
"""From a strategy's scheduled time until its evening is late: market, view and book with
their retries have room in it."""

EVERY_SECONDS = 300


def notifying_sensors(market: Market) -> list[dg.SensorDefinition]:
    """All of them."""
    return [run_failed_sensor(), evening_missed_sensor(market), held_back_sensor()]


def run_failed_sensor() -> dg.SensorDefinition:
    """Tell of every run that fails, whoever has started it, once."""

    @dg.run_failure_sensor(
        name="run_failed",
        monitored_jobs=[dg.CodeLocationSelector(LOCATION)],
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Tells TRADING_NOTIFY of every run that fails.",
    )
    def run_failed(
        context: dg.RunFailureSensorContext, notifier: dg.ResourceParam[Notifier]
    ) -> None:
        notifier.tell(Topic.FAILED_EVENING, failure_text(context))

    return run_failed


def failure_text(context: dg.RunFailureSensorContext) -> str:
    """Which job failed, for which sessions, on what, and how to find the run."""
    run = context.dagster_run
    asked = run.tags.get(LAUNCHED_BY) or "hand"
    return "\n".join(
        [
            f"{run.job_name} of {_sessions(run)}, started by {asked}, has failed.",
            _first_fault(context),
            f"Run {run.run_id}",
        ]
    )


def evening_missed_sensor(
    market: Market, now: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> dg.SensorDefinition:
    """Tell when a strategy has not decided a session long after its scheduled time.

    Args:
        market: Its lanes are looked at.
        now: Asked for the time.
    """

    @dg.sensor(
        name="evening_missed",
        minimum_interval_seconds=EVERY_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=(
            "Tells TRADING_NOTIFY, once, of a session that a strategy has not decided "
            f"{GRACE_MINUTES} minutes after its scheduled time."
        ),
    )
    def evening_missed(
        context: dg.SensorEvaluationContext,
        brokers: dg.ResourceParam[Brokers],
        notifier: dg.ResourceParam[Notifier],
    ) -> dg.SkipReason:
        told: dict[str, str] = json.loads(context.cursor or "{}")
        evenings = [
            evening_of(lane, lane.book.broker(brokers), now()) for lane in market.lanes
        ]
        missed = [own for own in evenings if own.is_missed]
        news = [own for own in missed if told.get(own.strategy) != own.key]
        if news:
            notifier.tell(Topic.MISSED_EVENING, "\n\n".join(own.said for own in news))
            told |= {own.strategy: own.key for own in news}
            context.update_cursor(json.dumps(told))
        return dg.SkipReason("; ".join(_first_line(own.said) for own in evenings))

    return evening_missed


@dataclass(frozen=True, slots=True)
class Evening:
    """How a strategy stands with the session that closed last.

    Attributes:
        is_missed: Whether a person should be told.
        said: Why, or why not.
    """

    strategy: str
    session: date
    is_missed: bool
    said: str

    @property
    def key(self) -> str:
        """The session, as the sensor remembers it."""
        return self.session.isoformat()


def evening_of(lane: Lane, broker: Broker, at: datetime) -> Evening:
    """How *lane* stands at the instant *at*; one that nobody has begun misses nothing."""
    name, session = lane.name, lane.calendar.last_closed(at)
    decided = broker.decided(name)
    due = _due(lane, session)
    late_from = due + timedelta(minutes=GRACE_MINUTES)
    if not decided:
        return Evening(name, session, is_missed=False, said=f"{name} was never begun")
    if session in decided:
        return Evening(name, session, is_missed=False, said=f"{name} has decided {session}")
    if at < late_from:
        said = f"{name} has until {late_from:%Y-%m-%d %H:%M %Z} to decide {session}"
        return Evening(name, session, is_missed=False, said=said)
    said = _reproach(lane, broker, session, due)
    return Evening(name, session, is_missed=True, said=said)


def held_back_sensor() -> dg.SensorDefinition:
    """Tell what was held back, once its topic has been quiet for long enough."""

    @dg.sensor(
        name="held_back_notices",
        minimum_interval_seconds=EVERY_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Tells TRADING_NOTIFY what was held back, or could not be delivered.",
    )
    def held_back_notices(notifier: dg.ResourceParam[Notifier]) -> dg.SkipReason:
        told = notifier.tell_held_back()
        return dg.SkipReason(f"told of {', '.join(told)}" if told else "nothing to tell")

    return held_back_notices


def _due(lane: Lane, session: date) -> datetime:
    """When the schedule of *lane* first fires after the close of *session*."""
    close = lane.calendar.close_at(session).timestamp()
    zone = lane.calendar.timezone.key
    return next(iter(cron_string_iterator(close, lane.spec.schedule, zone)))


def _reproach(lane: Lane, broker: Broker, session: date, due: datetime) -> str:
    name = lane.name
    said = [f"{name} has not decided {session}, due since {due:%Y-%m-%d %H:%M %Z}."]
    if superseded := broker.superseded(name):
        said.append(
            f"Its book rests on inputs that have changed since {superseded[0]}: "
            f"trading-assets backfill --strategy {name} --from {superseded[0]}"
        )
    else:
        said.append(
            f"Is the schedule {name} on? Runs of market, {view_job_name(name)} and "
            f"{book_job_name(name)} say more."
        )
    return "\n".join(said)


def _sessions(run: dg.DagsterRun) -> str:
    """Those that *run* was asked for, by whichever of Dagster's ways."""
    ends = [run.tags.get(name, "").partition("|")[0] for name in (RANGE_START, RANGE_END)]
    asked = run.tags.get(RANGE) or ("..".join(ends) if all(ends) else "")
    return asked or run.tags.get("dagster/partition") or "no sessions"


def _first_fault(context: dg.RunFailureSensorContext) -> str:
    """What stopped the first step that failed; else what is said of the run."""
    for event in context.get_step_failure_events():
        if error := event.step_failure_data.error:
            step = (event.step_key or "").replace("__", "/")
            return f"{step}: {_first_line((error.cause or error).message)}"
    return _first_line(context.failure_event.message or "")


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0]
