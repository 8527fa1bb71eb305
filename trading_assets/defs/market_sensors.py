"""Whether the exchange trades, and what is asked for when it has closed."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime

import dagster as dg

from trading_assets.defs.lanes import Market
from trading_assets.defs.partitions import partition_from
from trading_assets.sessions import TradingCalendar

EVERY_SECONDS = 60
USUAL_CLOSE_HOUR = 16


@dataclass(frozen=True, slots=True)
class Hours:
    """How the exchange stands at an instant.

    Attributes:
        is_open: Whether it trades.
        closed: The session that has closed last.
        said: Until when it trades, or when next; for people.
    """

    is_open: bool
    closed: date
    said: str


def market_hours_sensor(
    market: Market,
    account_job: str | None = None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> dg.SensorDefinition:
    """Say whether the exchange trades; ask for the account of each session that closes.

    Args:
        market: Whose calendar it is.
        account_job: Makes the account of a session; None where there is none.
        now: Asked for the time.
    """

    @dg.sensor(
        name="market_hours",
        job_name=account_job,
        minimum_interval_seconds=EVERY_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=(
            "Says whether the exchange trades, until when, or when next; once a session "
            "has closed, asks for the account of it if there is one."
        ),
    )
    def market_hours(
        context: dg.SensorEvaluationContext,
    ) -> dg.RunRequest | dg.SkipReason:
        at, calendar = now(), market.calendar
        hours = hours_of(calendar, at)
        session = hours.closed.isoformat()
        seen = json.loads(context.cursor or "{}").get("closed", session)
        is_due = account_job is not None and seen != session and not hours.is_open
        ready = partition_from(calendar, hours.closed)
        if is_due and at < ready:
            said = f"{hours.said}; the account is asked for at {ready:%H:%M %Z}"
            return dg.SkipReason(said)
        state = {"is_open": hours.is_open, "closed": session}
        context.update_cursor(json.dumps(state))
        if is_due:
            return dg.RunRequest(run_key=session, partition_key=session)
        return dg.SkipReason(hours.said)

    return market_hours


def hours_of(calendar: TradingCalendar, at: datetime) -> Hours:
    """How the exchange of *calendar* stands at the instant *at*."""
    closed = calendar.last_closed(at)
    coming = calendar.offset(closed, 1)
    opens, closes = calendar.open_at(coming), calendar.close_at(coming)
    if at < opens:
        said = f"{calendar.exchange} is closed until {_local(calendar, opens)}"
        return Hours(is_open=False, closed=closed, said=said)
    is_early = closes.astimezone(calendar.timezone).hour < USUAL_CLOSE_HOUR
    early = ", an early close" if is_early else ""
    said = f"{calendar.exchange} is open until {_local(calendar, closes)}{early}"
    return Hours(is_open=True, closed=closed, said=said)


def _local(calendar: TradingCalendar, at: datetime) -> str:
    return f"{at.astimezone(calendar.timezone):%Y-%m-%d %H:%M %Z}"
