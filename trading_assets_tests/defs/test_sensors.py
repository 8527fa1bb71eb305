"""What the sensors of a real account say, ask for and tell."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg
import pytest

from trading_assets.adapters.brokers.watch import Look, SeenFill, UnguardedLeg
from trading_assets.adapters.ibkr.ping import Doorbell
from trading_assets.core.guarding import MissingLeg
from trading_assets.defs.ibkr_sensors import (
    bars_available_sensor,
    gateway_authenticated_sensor,
    ibkr_sensors,
)
from trading_assets.defs.jobs import RANGE, SCHEDULE, range_tags
from trading_assets.defs.market_sensors import hours_of, market_hours_sensor
from trading_assets.defs.order_monitor import order_monitor_sensor
from trading_assets.defs.resources import market_data_resource
from trading_assets.defs.schedules import SCHEDULED
from trading_assets.models.notice import Topic
from trading_assets.models.order import Leg
from trading_assets.sessions import trading_calendar
from trading_assets_tests.defs.street import ACCOUNT, Street
from trading_assets_tests.defs.test_notifying import Ears
from trading_assets_tests.defs.world import CROSS, World
from trading_assets_tests.fake_gateway import FakeGateway
from trading_assets_tests.make import make_spec
from trading_assets_tests.make_intents import make_execution, make_order_ticket

NEW_YORK = ZoneInfo("America/New_York")
FRIDAY = date(2026, 11, 27)
"""The day after Thanksgiving: an early close."""

REAL = CROSS.replace("broker: simulated", "broker: ibkr")


def at(day: date, hour: int, minute: int = 0) -> datetime:
    return datetime(day.year, day.month, day.day, hour, minute, tzinfo=NEW_YORK)


def evaluated(
    sensor: dg.SensorDefinition,
    cursor: str | None = None,
    instance: dg.DagsterInstance | None = None,
    **resources: Any,
) -> Any:
    """What a tick gives: requests, what it says, events and cursor."""
    with dg.build_sensor_context(
        instance=instance, cursor=cursor, sensor_name=sensor.name, resources=resources
    ) as context:
        told = sensor(context)
        is_result = isinstance(told, dg.SensorResult)
        return told if is_result else (told, context.cursor)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World.made(tmp_path_factory.mktemp("world"))


# Which there are


def test_sensors_of_interactive_brokers_are_there_only_where_it_is_used(
    world: World, tmp_path: Path
) -> None:
    traded = World.made(tmp_path, strategies=[REAL])
    with_bars = replace(world.settings, market_data="ibkr")

    assert ibkr_sensors(world.settings, world.market) == []
    assert [own.name for own in ibkr_sensors(traded.settings, traded.market)] == [
        "gateway_authenticated",
        "order_monitor",
    ]
    assert [own.name for own in ibkr_sensors(with_bars, world.market)] == [
        "gateway_authenticated",
        "bars_available",
    ]
    dg.Definitions.validate_loadable(traded.definitions)


# Hours


@pytest.mark.parametrize(
    ("now", "is_open", "said"),
    [
        (at(FRIDAY, 9, 29), False, "XNYS is closed until 2026-11-27 09:30 EST"),
        (
            at(FRIDAY, 9, 30),
            True,
            "XNYS is open until 2026-11-27 13:00 EST, an early close",
        ),
        (at(FRIDAY, 13), False, "XNYS is closed until 2026-11-30 09:30 EST"),
        (at(date(2026, 11, 30), 15), True, "XNYS is open until 2026-11-30 16:00 EST"),
    ],
)
def test_the_exchange_is_open_until_its_close_or_closed_until_it_opens(
    now: datetime, *, is_open: bool, said: str
) -> None:
    hours = hours_of(trading_calendar(), now)

    assert (hours.is_open, hours.said) == (is_open, said)


def test_a_close_asks_once_for_the_account_of_its_session(world: World) -> None:
    cursor, asked = None, []
    for now in (at(FRIDAY, 12), at(FRIDAY, 13), at(FRIDAY, 17), at(FRIDAY, 18)):
        sensor = market_hours_sensor(world.market, "account", lambda now=now: now)
        told, cursor = evaluated(sensor, cursor)
        asked.append(told)

    assert [isinstance(own, dg.RunRequest) for own in asked] == [False, False, True, False]
    assert (asked[2].run_key, asked[2].partition_key) == ("2026-11-27", "2026-11-27")
    assert asked[1].skip_message.endswith("the account is asked for at 17:00 EST")


def test_without_an_account_to_make_hours_are_only_told(world: World) -> None:
    cursor = None
    for hour in (12, 18):
        sensor = market_hours_sensor(world.market, now=lambda hour=hour: at(FRIDAY, hour))
        told, cursor = evaluated(sensor, cursor)
        assert isinstance(told, dg.SkipReason)


# The account after the book


@pytest.fixture(scope="module")
def traded(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A world of one strategy that is traded outside."""
    return World.made(tmp_path_factory.mktemp("traded"), strategies=[REAL])


def after_the_book(world: World, first: date, last: date, launched_by: str) -> Any:
    """What follows when a book of these sessions has been made."""
    sensor = world.definitions.get_repository_def().get_sensor_def("account_follows")
    run = dg.DagsterRun(
        job_name="cross_book", tags=range_tags(first, last, launched_by=launched_by)
    )
    event = dg.DagsterEvent("PIPELINE_SUCCESS", job_name=run.job_name)
    with dg.build_run_status_sensor_context(
        sensor_name=sensor.name,
        dagster_instance=world.instance,
        dagster_run=run,
        dagster_event=event,
    ) as context:
        return sensor(context)


def test_the_account_is_asked_for_again_when_its_book_is_made(traded: World) -> None:
    current = traded.market.current()

    told = after_the_book(traded, traded.market.start, current, SCHEDULE)

    assert (told.job_name, told.partition_key) == ("account_snapshot", current.isoformat())


def test_the_account_follows_no_history_and_no_persons_run(traded: World) -> None:
    current, start = traded.market.current(), traded.market.start

    by_hand = after_the_book(traded, start, current, "backfill")
    earlier = after_the_book(traded, start, start, SCHEDULE)

    assert "was not started by the schedule" in by_hand.skip_message
    assert f"ends with {start}, and not with {current}" in earlier.skip_message


# The gateway


@pytest.fixture
def gateway() -> Iterator[FakeGateway]:
    with FakeGateway(account=ACCOUNT) as gateway:
        yield gateway


def ring(
    gateway: FakeGateway, ears: Ears, cursor: str | None = None, account: str = ACCOUNT
) -> tuple[str, str | None]:
    sensor = gateway_authenticated_sensor([account], lambda: at(FRIDAY, 12))
    bell = Doorbell("127.0.0.1", gateway.port, 998, 2.0)
    told, kept = evaluated(sensor, cursor, doorbell=bell, notifier=ears)
    return told.skip_message, kept


def test_a_gateway_that_is_there_says_for_whom(gateway: FakeGateway) -> None:
    ears = Ears()

    said, _ = ring(gateway, ears)

    assert said.startswith(f"logged in for {ACCOUNT} (")
    assert ears.heard == []


def test_a_gateway_that_goes_down_is_told_once_and_so_is_its_return(
    gateway: FakeGateway,
) -> None:
    ears, cursor = Ears(), None
    gateway.stop_listening()
    for _ in range(3):
        said, cursor = ring(gateway, ears, cursor)
    assert said.startswith("down since 2026-11-27 12:00:00 UTC: ")
    gateway.start_listening()
    for _ in range(2):
        _, cursor = ring(gateway, ears, cursor)

    assert [topic for topic, _ in ears.heard] == [Topic.GATEWAY_DOWN, Topic.GATEWAY_UP]


def test_one_miss_is_told_to_nobody(gateway: FakeGateway) -> None:
    ears = Ears()
    gateway.stop_listening()
    _, cursor = ring(gateway, ears)
    gateway.start_listening()
    ring(gateway, ears, cursor)

    assert ears.heard == []


def test_a_gateway_of_another_account_is_down(gateway: FakeGateway) -> None:
    ears, cursor = Ears(), None
    for _ in range(2):
        said, cursor = ring(gateway, ears, cursor, account="DU7654321")

    assert f"it is logged in for {ACCOUNT}, and not for DU7654321" in said
    assert [topic for topic, _ in ears.heard] == [Topic.GATEWAY_DOWN]


# Its bars


def test_bars_that_the_gateway_has_are_asked_for_as_the_schedule_does(
    gateway: FakeGateway, tmp_path: Path
) -> None:
    street = Street.on(gateway, tmp_path / "street")
    last, market = street.sessions[-1], street.market

    def tick(hour: int, minute: int = 0) -> Any:
        sensor = bars_available_sensor(market, lambda: at(last, hour, minute))
        data = market_data_resource(street.settings).create_resource(None)
        kept = {"warehouse": street.warehouse, "market_data": data}
        return evaluated(sensor, None, street.instance, **kept)[0]

    assert "is asked for from 17:00 EST on" in tick(16, 30).skip_message
    assert "is left to the schedule of 17:05 EST" in tick(17, 4).skip_message
    street.at_close_of(street.sessions[-2])
    assert "no bar of AAA yet" in tick(18).skip_message
    street.at_close_of(last)
    asked = tick(18)
    span = f"{street.sessions[0]}..{last}"
    assert asked.run_key == f"market-{span}-1"
    assert (asked.tags[SCHEDULED], asked.tags[RANGE]) == ("market", span)

    tags = range_tags(street.sessions[0], last, market.symbols, launched_by=SCHEDULE)
    street.instance.create_run_for_job(
        street.definitions.resolve_job_def("market"),
        tags=tags | {SCHEDULED: "market"},
        status=dg.DagsterRunStatus.STARTED,
    )
    assert tick(18).skip_message == f"{span} is under way"


# Orders


@dataclass
class Window:
    """Sees what it is told to see."""

    look_: Look
    since: list[datetime] = field(default_factory=list)

    def look(self, specs: object, since: datetime) -> Look:
        del specs
        self.since.append(since)
        return self.look_


NOON = at(FRIDAY, 12)
FILL = SeenFill("cross", "cross-2026-11-25-AAA-entry", make_execution(commission=1.0))
LEG = UnguardedLeg(
    MissingLeg(
        make_order_ticket(Leg.STOP, stop_price=95.0),
        held=10.0,
        state="missing",
        why="",
        may_be_sent=True,
    ),
    "Nothing was sent: execution.guard is alarm.",
)


def watch(
    look: Look, ears: Ears, cursor: str | None = None, minutes: int = 0
) -> dg.SensorResult:
    now = NOON + timedelta(minutes=minutes)
    sensor = order_monitor_sensor([make_spec()], lambda: now)
    return evaluated(sensor, cursor, order_watch=Window(look), notifier=ears)


def test_a_fill_is_observed_and_told_once_over_two_ticks() -> None:
    ears, look = Ears(), Look(said="1 orders work", has_asked=True, fills=(FILL,))

    first = watch(look, ears)
    again = watch(look, ears, first.cursor, 1)

    [event] = first.asset_events
    assert isinstance(event, dg.AssetObservation)
    assert event.asset_key == dg.AssetKey(["cross", "fills"])
    assert event.metadata["shares"].value == 10
    assert event.metadata["price"].value == 100.0
    assert event.metadata["commission"].value == 1.0
    assert again.asset_events == []
    assert [topic for topic, _ in ears.heard] == [Topic.FILL]


def test_doubts_and_disagreements_are_told_when_they_are_new() -> None:
    ears, cursor = Ears(), None
    look = Look(said="", has_asked=True, doubtful=("a is missing",), disagreeing=("b",))
    blind = Look(said="down", has_asked=False)
    for own in (look, look, blind, look):
        cursor = watch(own, ears, cursor).cursor

    assert ears.heard == [
        (Topic.UNKNOWN_ORDER, "a is missing"),
        (Topic.POSITIONS_DISAGREE, "b"),
    ]


def test_a_missing_leg_is_told_at_once_and_again_after_a_quarter_of_an_hour() -> None:
    ears, cursor, told = Ears(), None, []
    for minutes in (0, 1, 14, 15, 16):
        result = watch(Look(said="", has_asked=True, legs=(LEG,)), ears, cursor, minutes)
        cursor = result.cursor
        told.append(len(result.asset_events))

    assert told == [1, 0, 0, 1, 0]
    assert [topic for topic, _ in ears.heard] == [Topic.MISSING_LEG] * 2


def test_why_nobody_was_asked_is_what_the_tick_says() -> None:
    look = Look(said="IBKR_READONLY is not no: nothing is traded", has_asked=False)

    result = watch(look, Ears())

    assert result.skip_reason is not None
    assert result.skip_reason.skip_message == look.said


def test_a_tick_of_the_daemon_keeps_events_words_and_cursor(tmp_path: Path) -> None:
    traded = World.made(tmp_path, strategies=[REAL])
    repository = traded.definitions.get_repository_def()
    look = Look(said="1 orders work", has_asked=True, fills=(FILL,))
    sensor = order_monitor_sensor([make_spec()], lambda: NOON)

    with dg.build_sensor_context(
        instance=traded.instance,
        repository_def=repository,
        sensor_name="order_monitor",
        resources={"order_watch": Window(look), "notifier": Ears()},
    ) as context:
        told = sensor.evaluate_tick(context)

    assert told.skip_message == "1 orders work"
    assert len(told.asset_events) == 1
    assert "0001.01" in (told.cursor or "")
