"""A backfill that is killed at any moment and started again ends as if it never had been.

The child is a process of its own that works on files: the warehouse, the ledger, the
pictures and the run history. ``TRADING_TEST_PROFILE=long`` kills it 25 times, and has it
draw every chart.
"""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest

from trading_assets.defs.run_history import PooledSqliteStorage
from trading_assets.models.tables import (
    BOOK_EVENTS,
    FILLS,
    ORDER_EVENTS,
    ORDERS,
    PORTFOLIO,
    POSITIONS,
    TRADES,
)
from trading_assets_tests.defs.world import CROSS, World, assert_same_tables

pytestmark = pytest.mark.together

IS_LONG = os.environ.get("TRADING_TEST_PROFILE") == "long"
KILLS = 25 if IS_LONG else 2
MOMENTS = 10 if IS_LONG else 1
"""Of which the kills must have hit so many: two may well hit the same one."""

KILLS_IN_A_ROW = 5 if IS_LONG else 3
"""Of one world, before it is left in peace to get through."""

LAST = date(2024, 2, 9) if IS_LONG else date(2024, 2, 20)
STRATEGY = CROSS.replace("draw: none", "draw: all") if IS_LONG else CROSS
BOOKS = (ORDERS, ORDER_EVENTS, FILLS, BOOK_EVENTS, TRADES, POSITIONS, PORTFOLIO)
SEED = 20240102
POLL_SECONDS = 0.01


@dataclass
class Story:
    """What killed backfills went through.

    Attributes:
        worlds: Each was killed some times, and then got through.
        found: Which job each kill has stopped, after how many of its events.
    """

    worlds: list[World] = field(default_factory=list)
    found: list[tuple[str, int]] = field(default_factory=list)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[World, float]:
    """A world that was left in peace, and how long its runs took."""
    world = World.made(tmp_path_factory.mktemp("undisturbed"), strategies=[STRATEGY])
    began = time.monotonic()
    world.backfilled("cross", world.lane_sessions[0], LAST, outcomes=True)
    return world, time.monotonic() - began


@pytest.fixture(scope="module")
def killed(
    undisturbed: tuple[World, float], tmp_path_factory: pytest.TempPathFactory
) -> Story:
    """Worlds whose backfills were killed at random moments; a done one begins anew."""
    _, whole_seconds = undisturbed
    chance = random.Random(SEED)  # noqa: S311 - moments, no secret
    story, is_done, in_a_row = Story(), True, 0
    while not is_done or len(story.found) < KILLS:
        if is_done:
            home = tmp_path_factory.mktemp("killed")
            story.worlds.append(World.made(home, strategies=[STRATEGY]))
            in_a_row = 0
        is_left = in_a_row == KILLS_IN_A_ROW or len(story.found) == KILLS
        moment = None if is_left else chance.uniform(0.0, 0.9) * whole_seconds
        is_done = lived(story.worlds[-1], moment)
        if not is_done:
            in_a_row += 1
            story.found.append(last_heard(story.worlds[-1]))
    return story


def last_heard(world: World) -> tuple[str, int]:
    """The job that was stopped, and how many events it had stored."""
    history = PooledSqliteStorage(str(world.home / "dagster"))
    (run,) = history.run_storage.get_runs(limit=1)
    events = history.event_log_storage.get_logs_for_run(run.run_id)
    history.dispose()
    return run.job_name, len(events)


def lived(world: World, seconds: float | None) -> bool:
    """Run a backfill, kill it so long after its first run began; whether it was done."""
    before = runs_of(world)
    with child(world) as process:
        wait_for_a_run(world, process, before)
        try:
            _, said = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return False
    assert process.returncode == 0, said
    return True


def wait_for_a_run(world: World, process: "subprocess.Popen[str]", before: int) -> None:
    """Return once the backfill has begun a run, or has ended without one."""
    while runs_of(world) == before and process.poll() is None:
        time.sleep(POLL_SECONDS)


def runs_of(world: World) -> int:
    """How many runs the history of *world* knows."""
    return len(list((world.home / "dagster" / "history" / "runs").glob("*-*.db")))


def child(world: World) -> "subprocess.Popen[str]":
    """A process that backfills the strategy, in a group of its own."""
    words = ["backfill", "--strategy", "cross", "--to", LAST.isoformat()]
    return subprocess.Popen(
        [sys.executable, "-m", "trading_assets.cli", *words],
        env=world.process_environment,
        cwd=world.home,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def test_the_tables_are_those_of_an_undisturbed_backfill(
    undisturbed: tuple[World, float], killed: Story
) -> None:
    expected = undisturbed[0].tables(without=())
    assert len(expected["fills"])
    assert (len(expected["charts"]) > 0) == IS_LONG

    for world in killed.worlds:
        assert_same_tables(world.tables(without=()), expected)


def test_the_ledger_has_the_same_book(
    undisturbed: tuple[World, float], killed: Story
) -> None:
    broker = undisturbed[0].broker
    days = broker.decided("cross")

    for world in killed.worlds:
        assert world.broker.decided("cross") == days
        assert world.broker.superseded("cross") == ()
        for table in BOOKS:
            pd.testing.assert_frame_equal(
                world.broker.rows("cross", table, days),
                broker.rows("cross", table, days),
                check_exact=True,
                obj=table.name,
            )


def test_every_picture_is_whole(undisturbed: tuple[World, float], killed: Story) -> None:
    expected = pictures(undisturbed[0])
    assert expected

    for world in killed.worlds:
        assert pictures(world) == expected


def test_no_run_is_left_as_if_it_were_still_going_on(killed: Story) -> None:
    for world in killed.worlds:
        history = PooledSqliteStorage(str(world.home / "dagster")).run_storage
        statuses = [run.status for run in history.get_runs()]
        assert statuses[0] is dg.DagsterRunStatus.SUCCESS
        assert dg.DagsterRunStatus.STARTED not in statuses


def test_the_kills_came_at_different_moments(
    killed: Story, record_testsuite_property: Callable[[str, object], None]
) -> None:
    """Told for the record: where each kill came."""
    record_testsuite_property("kills", len(killed.found))
    record_testsuite_property("worlds", len(killed.worlds))
    record_testsuite_property("stopped after so many events", str(killed.found))

    assert len(killed.found) == KILLS
    assert len(set(killed.found)) >= MOMENTS


def pictures(world: World) -> dict[Path, bytes]:
    """Every picture of *world* by where it lies."""
    folder = world.settings.charts
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.png")}
