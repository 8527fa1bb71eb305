"""Whether the gateway of Interactive Brokers is there, and whether it has the bars."""

import json
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta

import dagster as dg
from dagster._utils.schedules import cron_string_iterator

from trading_assets.adapters.ibkr.ping import Doorbell
from trading_assets.adapters.market_data.port import MarketData
from trading_assets.adapters.notifications.port import Notifier
from trading_assets.adapters.storage.port import Warehouse
from trading_assets.defs.lanes import MARKET, Market
from trading_assets.defs.order_monitor import order_monitor_sensor
from trading_assets.defs.partitions import partition_from
from trading_assets.defs.resources import IBKR, Settings
from trading_assets.defs.schedules import market_crons, market_request
from trading_assets.errors import GatewayUnreachable, MarketDataUnreadable
from trading_assets.models.notice import Topic

GATEWAY_SECONDS = 60
BARS_SECONDS = 120
MISSES = 2
"""In a row, before people are told: the gateway restarts every night within a minute."""

SCHEDULE_MARGIN = timedelta(minutes=2)
"""Around the market's schedule its range is left to it: both would ask at once."""

type Now = Callable[[], datetime]


def uses_ibkr(settings: Settings, market: Market) -> bool:
    """Whether anything here asks Interactive Brokers for something."""
    is_traded = any(lane.spec.is_traded_for_real for lane in market.lanes)
    return is_traded or settings.market_data == IBKR


def ibkr_sensors(settings: Settings, market: Market) -> list[dg.SensorDefinition]:
    """Those that *settings* and the strategies need; none without Interactive Brokers."""
    if not uses_ibkr(settings, market):
        return []
    real = [lane.spec for lane in market.lanes if lane.spec.is_traded_for_real]
    named = {spec.execution.account for spec in real} | {settings.ibkr.account}
    sensors = [gateway_authenticated_sensor({own for own in named if own})]
    if settings.market_data == IBKR:
        sensors.append(bars_available_sensor(market))
    if real:
        sensors.append(order_monitor_sensor(real))
    return sensors


# Whether the gateway is there


@dataclass(frozen=True, slots=True)
class Attendance:
    """What a sensor remembers of a gateway from tick to tick.

    Attributes:
        misses: Times in a row that it was not there, or not for us.
        since: When the first of them was, UTC; empty for none.
        is_told: Whether people know that it is down.
    """

    misses: int = 0
    since: str = ""
    is_told: bool = False

    def missed(self, at: datetime) -> "Attendance":
        """After one more miss."""
        since = self.since or f"{at:%Y-%m-%d %H:%M:%S} UTC"
        misses = self.misses + 1
        return Attendance(misses, since, is_told=self.is_told or misses >= MISSES)


def gateway_authenticated_sensor(
    accounts: Collection[str], now: Now = lambda: datetime.now(UTC)
) -> dg.SensorDefinition:
    """Ring at the gateway, and tell people when it goes down and when it is up again.

    Args:
        accounts: That it should be logged in for.
        now: Asked for the time.
    """

    @dg.sensor(
        name="gateway_authenticated",
        minimum_interval_seconds=GATEWAY_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=(
            "Begins a session at the gateway and ends it; tells TRADING_NOTIFY, once, "
            "when there is none twice in a row, and when there is one again."
        ),
    )
    def gateway_authenticated(
        context: dg.SensorEvaluationContext,
        doorbell: dg.ResourceParam[Doorbell],
        notifier: dg.ResourceParam[Notifier],
    ) -> dg.SkipReason:
        before = Attendance(**json.loads(context.cursor or "{}"))
        is_up, said = _rung(doorbell, accounts)
        after = Attendance() if is_up else before.missed(now())
        if after.is_told and not before.is_told:
            notifier.tell(Topic.GATEWAY_DOWN, f"Down since {after.since}: {said}")
        if is_up and before.is_told:
            notifier.tell(Topic.GATEWAY_UP, f"Up again; it was down since {before.since}.")
        context.update_cursor(json.dumps(asdict(after)))
        return dg.SkipReason(said if is_up else f"down since {after.since}: {said}")

    return gateway_authenticated


def _rung(doorbell: Doorbell, accounts: Collection[str]) -> tuple[bool, str]:
    """Whether somebody is there for all of *accounts*, and what was said."""
    try:
        pong = doorbell.ring()
    except GatewayUnreachable as error:
        return False, str(error)
    there = ", ".join(pong.accounts)
    absent = sorted(set(accounts).difference(pong.accounts))
    if absent:
        return False, f"it is logged in for {there}, and not for {', '.join(absent)}"
    return True, f"logged in for {there} ({pong.milliseconds:.0f} ms)"


# Whether it has the bars


def bars_available_sensor(
    market: Market, now: Now = lambda: datetime.now(UTC)
) -> dg.SensorDefinition:
    """Ask for the market's run as soon as the gateway has the last session's bars.

    Args:
        market: What there should be bars of.
        now: Asked for the time.
    """

    @dg.sensor(
        name="bars_available",
        job_name=MARKET,
        minimum_interval_seconds=BARS_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=(
            "Once the gateway has bars of a session that has closed and that are not "
            "stored: asks for the run that the schedule market would ask for."
        ),
    )
    def bars_available(
        context: dg.SensorEvaluationContext,
        warehouse: dg.ResourceParam[Warehouse],
        market_data: dg.ResourceParam[MarketData],
    ) -> dg.RunRequest | dg.SkipReason:
        at = now()
        session = market.calendar.last_closed(at)
        ready = partition_from(market.calendar, session)
        if at < ready:
            return dg.SkipReason(f"{session} is asked for from {ready:%H:%M %Z} on")
        if fires := _firing(market, at):
            return dg.SkipReason(f"{session} is left to the schedule of {fires:%H:%M %Z}")
        asked = market_request(context.instance, warehouse, market, session)
        if isinstance(asked, dg.SkipReason):
            return asked
        why = _why_not_there(market_data, market.symbols[0], session)
        return dg.SkipReason(why) if why else asked

    return bars_available


def _firing(market: Market, at: datetime) -> datetime | None:
    """When the market's schedule has just fired or is about to; None for neither."""
    begin = (at - SCHEDULE_MARGIN).timestamp()
    zone = market.calendar.timezone.key
    due = min(
        next(iter(cron_string_iterator(begin, cron, zone))) for cron in market_crons(market)
    )
    return due if due <= at + SCHEDULE_MARGIN else None


def _why_not_there(market_data: MarketData, symbol: str, session: date) -> str:
    """Why the bar of *symbol* can't be had; empty if it is there."""
    try:
        history = market_data.history([symbol], session, session)
        history.require_readable()
    except MarketDataUnreadable as error:
        return f"{session}: {error}"
    if history.bars.empty:
        return f"{session}: the gateway has no bar of {symbol} yet"
    return ""
