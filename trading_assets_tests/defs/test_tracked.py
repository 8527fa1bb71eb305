"""Sessions as they are told to a tracker, and that no evening minds what it says."""

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import override
from unittest.mock import patch

import dagster as dg
import pytest

from trading_assets.adapters.tracking.mlflow_process import MlflowTracker
from trading_assets.adapters.tracking.port import Tracker
from trading_assets.adapters.tracking.silent import SilentTracker
from trading_assets.defs.jobs import (
    BACKFILL,
    BOOK,
    RANGE,
    RANGE_END,
    RANGE_START,
    SCHEDULE,
    range_tags,
)
from trading_assets.defs.launch import run_job
from trading_assets.defs.location import definitions_of
from trading_assets.defs.resources import Settings, TrackerResource, resources
from trading_assets.models.tracking import (
    Outcome,
    Tracked,
    TrackedCurve,
    TrackedSession,
)
from trading_assets_tests.adapters.tracking.servers import SECRET, free_port
from trading_assets_tests.defs.world import CROSS, World, faults_of, verdicts

ADDRESS = f"http://me:{SECRET}@127.0.0.1:{free_port()}"
DRAWN = CROSS.replace("draw: none", "draw: current")


@dataclass
class Notebook(Tracker):
    """Keeps what it is told; may refuse some of it, or close after some."""

    told: list[TrackedSession | TrackedCurve] = field(default_factory=list)
    refuses: tuple[str, ...] = ()
    closes_after: int | None = None

    @override
    def track(self, told: Iterable[TrackedSession | TrackedCurve]) -> Iterator[Tracked]:
        for number, own in enumerate(told):
            is_over = number == self.closes_after
            if is_over or own.key in self.refuses:
                why = "closed" if is_over else "too long"
                yield Tracked(
                    key=own.key, outcome=Outcome.FAILED, reason=why, is_over=is_over
                )
                if is_over:
                    return
                continue
            self.told.append(own)
            yield Tracked(key=own.key, outcome=Outcome.LOGGED, run_id=f"r-{own.key}")

    @property
    def sessions(self) -> list[TrackedSession]:
        return [own for own in self.told if isinstance(own, TrackedSession)]


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A strategy that is made up to the last session, told to nobody."""
    world = World.made(tmp_path_factory.mktemp("history"), strategies=[DRAWN])
    world.make_all()
    last = world.lane_sessions[-1]
    assert world.make_view("cross", last, last).success  # an evening is drawn
    return world


def tracked(world: World, tracker: Tracker | None = None) -> World:
    """The same world where there is a tracker."""
    world.__dict__["settings"] = Settings.from_environment(
        world.environment | {"MLFLOW_TRACKING_URI": ADDRESS}
    )
    if tracker is not None:
        world.resources = {"tracker": dg.ResourceDefinition.hardcoded_resource(tracker)}
    return world


@pytest.fixture
def notebook() -> Notebook:
    return Notebook()


@pytest.fixture
def world(history: World, notebook: Notebook, tmp_path: Path) -> World:
    return tracked(history.copied(tmp_path / "world"), notebook)


def told(world: World, first: date, last: date) -> dg.ExecuteInProcessResult:
    return world.run("cross_tracking", first, last)


# Where there is none


def test_without_an_address_there_is_no_asset_no_job_and_no_sensor(history: World) -> None:
    repository = history.definitions.get_repository_def()
    names = {own.name for own in (*repository.get_all_jobs(), *repository.sensor_defs)}

    assert not [name for name in names if "track" in name]
    assert not [
        key for key in repository.asset_graph.get_all_asset_keys() if "tracked" in key.path
    ]
    assert "tracker" not in resources(history.settings)


def test_with_one_there_are_all_of_them(world: World) -> None:
    repository = world.definitions.get_repository_def()
    made = repository.get_job("cross_tracking").asset_layer.selected_asset_keys

    assert made == {dg.AssetKey(["cross", "tracked"])}
    assert repository.has_sensor_def("cross_tracking_follows")
    dg.Definitions.validate_loadable(world.definitions)


def test_the_book_is_made_without_it(world: World) -> None:
    made = world.definitions.resolve_job_def("cross_book").asset_layer.selected_asset_keys

    assert {key.path[-1] for key in made} == set(BOOK)


def test_a_real_strategy_and_its_replay_are_told_apart(tmp_path: Path) -> None:
    real = CROSS.replace("broker: simulated", "broker: ibkr")
    world = tracked(World.made(tmp_path, strategies=[real]))
    made = world.definitions.resolve_job_def("cross_tracking").asset_layer

    assert {key.to_user_string() for key in made.selected_asset_keys} == {
        "cross/tracked",
        "cross/replay/tracked",
    }


# What is told


def test_a_range_is_told_session_by_session_after_the_curve_of_the_book(
    world: World, notebook: Notebook
) -> None:
    first, last = world.lane_sessions[3], world.lane_sessions[5]
    result = told(world, first, last)

    assert result.success, faults_of(result)
    assert verdicts(result) == {"cross/tracked:told": True}
    curve, *sessions = notebook.told
    assert isinstance(curve, TrackedCurve)
    assert [own.step for own in curve.points] == [*range(1, len(world.lane_sessions) + 1)]
    assert [own.key for own in sessions] == [
        f"cross/simulated/{session}" for session in world.lane_sessions[3:6]
    ]
    assert [own.step for own in notebook.sessions] == [4, 5, 6]
    assert {own.experiment for own in notebook.told} == {"trading_assets/cross"}
    assert len(materialized(result)) == 3


def test_a_session_is_told_as_the_tables_have_it(world: World, notebook: Notebook) -> None:
    last = world.lane_sessions[-1]
    result = told(world, last, last)

    (session,) = notebook.sessions
    tables = world.tables()
    (equity,) = tables["portfolio"].query("session == @last")["equity"]
    closes = tables["bars"].query("session == @last").set_index("symbol")["close"]
    assert session.at == world.market.calendar.close_at(last)
    assert session.told_by["dagster_run_id"] == result.run_id
    assert session.book.metrics["portfolio_value"] == equity
    prices = {own.tags["symbol"]: own.metrics["latest_price"] for own in session.symbols}
    assert prices == closes.to_dict()
    for run in session.symbols:
        assert {own.path for own in run.artifacts} == {
            "signal.json",
            "daily_chart.png",
            "weekly_chart.png",
        }


def test_the_page_of_a_partition_names_its_run(world: World) -> None:
    last = world.lane_sessions[-1]

    (event,) = materialized(told(world, last, last))

    assert event.metadata["MLflow run"].value == f"r-cross/simulated/{last}"
    assert event.metadata["experiment"].value == "trading_assets/cross"


def test_told_again_it_is_the_same(world: World, notebook: Notebook) -> None:
    last = world.lane_sessions[-1]
    told(world, last, last)
    told(world, last, last)

    first, second = notebook.sessions
    assert first.content_hash == second.content_hash
    assert first.told_by != second.told_by


def test_a_session_that_was_never_made_is_named(world: World) -> None:
    day = world.market.calendar.offset(world.lane_sessions[-1], 1)
    result = told(world, day, day)

    assert not result.success
    assert f"cross/portfolio was never materialized for {day}" in faults_of(result)


def materialized(result: dg.ExecuteInProcessResult) -> list[dg.AssetMaterialization]:
    events = result.get_asset_materialization_events()
    return [own.step_materialization_data.materialization for own in events]


# What it can't take


def test_what_is_refused_warns_and_the_others_are_told(
    world: World, notebook: Notebook
) -> None:
    first, second, third = world.lane_sessions[:3]
    notebook.refuses = (f"cross/simulated/{second}",)
    result = told(world, first, third)

    assert result.success, faults_of(result)
    (check,) = result.get_asset_check_evaluations()
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert check.metadata["faults"].value == 1
    assert f"cross/simulated/{second} | too long" in str(
        check.metadata["first of them"].value
    )
    assert [own.session for own in notebook.sessions] == [first, third]
    assert materialized(result) == []


def test_what_was_not_tried_is_told_the_next_time(world: World, notebook: Notebook) -> None:
    first, last = world.lane_sessions[0], world.lane_sessions[3]
    notebook.closes_after = 2
    cut = told(world, first, last)
    notebook.closes_after = None
    again = told(world, first, last)

    assert cut.success
    assert verdicts(cut) == {"cross/tracked:told": False}
    assert cut.get_asset_check_evaluations()[0].metadata["faults"].value == 3
    assert verdicts(again) == {"cross/tracked:told": True}
    assert len(materialized(again)) == 4


def test_a_server_that_is_down_fails_nothing_and_shows_no_address(
    history: World, tmp_path: Path
) -> None:
    world = tracked(history.copied(tmp_path / "world"))
    last = world.lane_sessions[-1]
    with patch.dict(os.environ, {"MLFLOW_TRACKING_URI": ADDRESS}):
        result = told(world, last, last)

    assert result.success, faults_of(result)
    assert verdicts(result) == {"cross/tracked:told": False}
    stored = [str(own) for own in world.instance.all_logs(result.run_id)]
    assert any("Connection refused" in own for own in stored)
    assert not [own for own in stored if SECRET in own]
    assert not [own for own in stored if ADDRESS.rpartition("@")[2] in own]


def test_a_process_without_the_address_says_so(history: World, tmp_path: Path) -> None:
    world = tracked(history.copied(tmp_path / "world"), SilentTracker())
    last = world.lane_sessions[-1]
    result = told(world, last, last)

    assert result.success, faults_of(result)
    (check,) = result.get_asset_check_evaluations()
    assert "MLFLOW_TRACKING_URI is not set here" in str(
        check.metadata["first of them"].value
    )


# When


def tick(world: World, launched_by: str) -> dg.RunRequest | dg.SkipReason | None:
    """What the sensor asks for after a book of the last two sessions."""
    sensor = world.definitions.get_repository_def().get_sensor_def("cross_tracking_follows")
    tags = range_tags(*world.lane_sessions[-2:], launched_by=launched_by)
    with dg.build_sensor_context(
        instance=world.instance,
        repository_def=world.definitions.get_repository_def(),
        sensor_name=sensor.name,
    ) as context:
        cursor = sensor.evaluate_tick(context).cursor
    run_job(world.definitions, world.instance, "cross_book", tags)
    with dg.build_sensor_context(
        instance=world.instance,
        cursor=cursor,
        repository_def=world.definitions.get_repository_def(),
        sensor_name=sensor.name,
    ) as context:
        told = sensor.evaluate_tick(context)
    if told.run_requests:
        return told.run_requests[0]
    return dg.SkipReason(told.skip_message) if told.skip_message else None


def test_after_a_scheduled_book_the_last_sessions_are_told(world: World) -> None:
    asked = tick(world, SCHEDULE)

    assert isinstance(asked, dg.RunRequest)
    first, last = world.lane_sessions[0], world.lane_sessions[-1]
    assert asked.job_name == "cross_tracking"
    assert (asked.tags[RANGE_START], asked.tags[RANGE_END]) == (str(first), str(last))
    assert asked.tags[RANGE] == f"{first}..{last}"


def test_after_a_book_by_hand_nothing_is_told_by_itself(world: World) -> None:
    asked = tick(world, BACKFILL)

    assert not isinstance(asked, dg.RunRequest)


def test_a_backfill_tells_the_last_twenty_sessions(world: World) -> None:
    (part,) = world.backfill("cross").tracking_parts()

    assert part.job == "cross_tracking"
    assert part.sessions == min(20, len(world.lane_sessions))
    assert part.last == world.lane_sessions[-1]


# The resource


def test_the_address_is_in_the_environment_and_nowhere_else(
    history: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dagster._core.remote_representation.external_data import (  # noqa: PLC0415 - slow, and here only
        RepositorySnap,
    )

    monkeypatch.setenv("MLFLOW_TRACKING_URI", ADDRESS)
    settings = Settings.from_environment(
        history.environment | {"MLFLOW_TRACKING_URI": ADDRESS}
    )
    shown = dg.serialize_value(
        RepositorySnap.from_def(
            definitions_of(settings, history.market).get_repository_def()
        )
    )

    assert '"tracker"' in shown
    assert "longest_seconds" in shown
    tracker = TrackerResource().create_resource(None)
    assert isinstance(tracker, MlflowTracker)
    for own in (shown, repr(settings), repr(tracker), json.dumps(str(resources(settings)))):
        assert SECRET not in own


def test_no_address_is_no_tracker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", " ")

    assert isinstance(TrackerResource().create_resource(None), SilentTracker)
