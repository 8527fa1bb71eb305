"""Who is told of what, and how often."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import override
from zoneinfo import ZoneInfo

import dagster as dg
import pytest

from trading_assets.adapters.notifications.port import Notifier, Told
from trading_assets.adapters.notifications.recorded import RecordedNotifier
from trading_assets.adapters.notifications.silent import SilentNotifier
from trading_assets.defs.jobs import BACKFILL, RANGE_END, RANGE_START, SCHEDULE, range_tags
from trading_assets.defs.launch import RunFailed, run_job
from trading_assets.defs.notifying import evening_missed_sensor
from trading_assets.defs.resources import NotifierResource, resources
from trading_assets.models.notice import Topic
from trading_assets_tests.adapters.notifications.receiver import SECRET, receiving
from trading_assets_tests.defs.world import World

NEW_YORK = ZoneInfo("America/New_York")


@dataclass
class Ears(Notifier):
    """Keeps what it is told."""

    heard: list[tuple[Topic, str]] = field(default_factory=list)
    waiting: tuple[Topic, ...] = ()

    @override
    def tell(self, topic: Topic, text: str) -> Told:
        self.heard.append((topic, text))
        return Told(is_sent=True)

    @override
    def tell_held_back(self) -> tuple[Topic, ...]:
        return self.waiting


@pytest.fixture
def ears() -> Ears:
    return Ears()


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> World:
    """One strategy is made up to the second last session; the other was never begun."""
    world = World.made(tmp_path_factory.mktemp("history"))
    last = world.sessions[-2]
    assert world.make_market(last=last).success
    assert world.make_view("cross", last=last).success
    assert world.make_book("cross", last=last).success
    return world


@pytest.fixture
def world(history: World, tmp_path: Path) -> World:
    return history.copied(tmp_path / "world")


def tick(
    world: World, sensor: dg.SensorDefinition, ears: Ears, cursor: str | None
) -> tuple[str, str | None]:
    """What a sensor says to a tick, and its cursor after it."""
    known = {"brokers": world.brokers, "notifier": ears}
    with dg.build_sensor_context(
        instance=world.instance,
        cursor=cursor,
        repository_def=world.definitions.get_repository_def(),
        sensor_name=sensor.name,
        resources={name: known[name] for name in sensor.required_resource_keys},
    ) as context:
        told = sensor.evaluate_tick(context)
    return told.skip_message or "", told.cursor


def sensor_of(world: World, name: str) -> dg.SensorDefinition:
    return world.definitions.get_repository_def().get_sensor_def(name)


# Runs that fail


def fail(world: World, launched_by: str, first: int = -1, last: int = -1) -> None:
    """A view of sessions that the market was not made for."""
    days = world.sessions[first], world.sessions[last]
    tags = range_tags(*days, ["AAA", "CCC"], launched_by=launched_by)
    with pytest.raises(RunFailed):
        run_job(world.definitions, world.instance, "cross_view", tags)


@pytest.mark.parametrize("launched_by", [SCHEDULE, BACKFILL])
def test_a_failed_run_is_told_once_with_what_stopped_it(
    world: World, ears: Ears, launched_by: str
) -> None:
    sensor, day = sensor_of(world, "run_failed"), world.sessions[-1]
    _, cursor = tick(world, sensor, ears, None)
    fail(world, launched_by)
    _, cursor = tick(world, sensor, ears, cursor)
    tick(world, sensor, ears, cursor)

    ((topic, text),) = ears.heard
    job, fault, run = text.splitlines()
    assert topic is Topic.FAILED_EVENING
    assert job == f"cross_view of {day}..{day}, started by {launched_by}, has failed."
    assert fault.startswith("cross/daily_chart: ")
    assert f"bars was never materialized for {day}|AAA" in fault
    assert run == f"Run {world.instance.get_runs(limit=1)[0].run_id}"


def test_a_run_that_was_started_by_hand_says_its_sessions_too(
    world: World, ears: Ears
) -> None:
    sensor, day = sensor_of(world, "run_failed"), world.sessions[-1]
    _, cursor = tick(world, sensor, ears, None)
    tags = {RANGE_START: f"{day}|AAA", RANGE_END: f"{day}|CCC"}
    with pytest.raises(RunFailed):
        run_job(world.definitions, world.instance, "cross_view", tags)
    tick(world, sensor, ears, cursor)

    assert ears.heard[0][1].startswith(f"cross_view of {day}..{day}, started by hand, ")


def test_a_run_that_was_killed_is_told_too(world: World, ears: Ears) -> None:
    sensor = sensor_of(world, "run_failed")
    _, cursor = tick(world, sensor, ears, None)
    fail(world, SCHEDULE)
    (failed,) = world.instance.get_runs(limit=1)
    _, cursor = tick(world, sensor, ears, cursor)
    killed = world.instance.create_run_for_job(
        world.definitions.resolve_job_def("cross_view"),
        remote_job_origin=failed.remote_job_origin,
    )
    world.instance.report_run_failed(killed, "The process of this run has ended.")
    tick(world, sensor, ears, cursor)

    assert ears.heard[1][1].splitlines()[:2] == [
        "cross_view of no sessions, started by hand, has failed.",
        "The process of this run has ended.",
    ]


def test_a_run_that_succeeds_is_not_told(world: World, ears: Ears) -> None:
    sensor, day = sensor_of(world, "run_failed"), world.sessions[-1]
    _, cursor = tick(world, sensor, ears, None)
    tags = range_tags(day, day, world.market.symbols, launched_by=SCHEDULE)
    run_job(world.definitions, world.instance, "market", tags)
    tick(world, sensor, ears, cursor)

    assert ears.heard == []


# Evenings that were missed


def look(
    world: World, ears: Ears, hour: int, minute: int, cursor: str | None = None
) -> tuple[str, str | None]:
    """What the sensor says at a time of the last session's day."""
    day = world.sessions[-1]
    at = datetime(day.year, day.month, day.day, hour, minute, tzinfo=NEW_YORK)
    return tick(world, evening_missed_sensor(world.market, lambda: at), ears, cursor)


def test_an_evening_is_missed_half_an_hour_after_its_time(world: World, ears: Ears) -> None:
    said, cursor = look(world, ears, 17, 45)

    ((topic, text),) = ears.heard
    assert topic is Topic.MISSED_EVENING
    assert text.splitlines() == [
        "cross has not decided 2024-02-20, due since 2024-02-20 17:15 EST.",
        "Is the schedule cross on? Runs of market, cross_view and cross_book say more.",
    ]
    assert said == f"{text.splitlines()[0]}; ranges was never begun"
    assert json.loads(cursor or "") == {"cross": "2024-02-20"}


def test_it_is_told_once_for_each_session(world: World, ears: Ears) -> None:
    _, cursor = look(world, ears, 17, 45)
    look(world, ears, 23, 59, cursor)

    assert len(ears.heard) == 1


@pytest.mark.parametrize(
    ("hour", "minute", "said"),
    [
        pytest.param(15, 59, "cross has decided 2024-02-16", id="before the close"),
        pytest.param(
            *(17, 44, "cross has until 2024-02-20 17:45 EST to decide 2024-02-20"),
            id="not late yet",
        ),
    ],
)
def test_an_evening_that_is_not_late_is_not_told(
    world: World, ears: Ears, hour: int, minute: int, said: str
) -> None:
    assert look(world, ears, hour, minute)[0] == f"{said}; ranges was never begun"
    assert ears.heard == []


def test_an_evening_that_was_made_is_not_told(world: World, ears: Ears) -> None:
    day = world.sessions[-1]
    assert world.make_market(day, day).success
    assert world.make_view("cross", day, day).success
    assert world.make_book("cross", day, day).success

    assert look(world, ears, 20, 0)[0].startswith(f"cross has decided {day}")
    assert ears.heard == []


def test_the_next_session_is_told_again(world: World, ears: Ears) -> None:
    look(world, ears, 20, 0, json.dumps({"cross": "2024-02-16"}))

    assert len(ears.heard) == 1


# What was held back


def test_what_was_held_back_is_told_by_a_sensor(world: World, ears: Ears) -> None:
    sensor = sensor_of(world, "held_back_notices")
    assert tick(world, sensor, ears, None)[0] == "nothing to tell"
    ears.waiting = (Topic.FILL, Topic.HALT)

    assert tick(world, sensor, ears, None)[0] == "told of fill, halt"


# The resource


@pytest.fixture
def addresses(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An address with secrets in it, in the environment."""
    with receiving() as receiver:
        monkeypatch.setenv("TRADING_NOTIFY", receiver.address)
        yield receiver.address


def test_nobody_is_told_unless_the_environment_says_whom(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TRADING_NOTIFY", raising=False)
    notifier = NotifierResource(ledger=world.settings.ledger).create_resource(None)

    assert isinstance(notifier, SilentNotifier)
    assert notifier.tell(Topic.HALT, "x") == Told(is_sent=False)
    assert notifier.tell_held_back() == ()


def test_whom_the_environment_names_is_told(world: World, addresses: str) -> None:
    del addresses
    notifier = NotifierResource(ledger=world.settings.ledger).create_resource(None)

    assert isinstance(notifier, RecordedNotifier)
    assert notifier.tell(Topic.HALT, "x") == Told(is_sent=True)


def test_the_ui_is_shown_no_address(world: World, addresses: str) -> None:
    """What Dagster keeps of the code location, and what it answers in GraphQL."""
    from dagster._core.remote_representation.external_data import (  # noqa: PLC0415 - slow, and here only
        RepositorySnap,
    )

    assert SECRET in addresses
    snapshot = RepositorySnap.from_def(world.definitions.get_repository_def())
    shown = dg.serialize_value(snapshot)

    assert '"notifier"' in shown
    assert "quiet_minutes" in shown
    assert SECRET not in shown
    for own in (world.settings, resources(world.settings)["notifier"]):
        assert SECRET not in repr(own)


def test_a_dead_place_fails_no_sensor(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRADING_NOTIFY", f"nonsense://{SECRET}")
    notifier = NotifierResource(ledger=world.settings.ledger).create_resource(None)

    told = notifier.tell(Topic.HALT, "x")

    assert told == Told(is_sent=False, failed=("TRADING_NOTIFY",))
