"""Outcomes as assets: whoever makes them, whenever, and what of them is still to come."""

import os
from datetime import date
from pathlib import Path
from unittest.mock import patch

import dagster as dg
import pandas as pd
import pytest

from trading_assets.adapters.storage.port import Replacement
from trading_assets.core.outcomes import HORIZONS, bars_since, outcomes_of
from trading_assets.core.panel import Panel
from trading_assets.defs.calibration import calibration_path
from trading_assets.defs.jobs import BACKFILL, CALIBRATION, LAUNCHED_BY, SCHEDULE
from trading_assets.defs.lanes import MARKET
from trading_assets.defs.launch import run_job
from trading_assets.defs.resources import ChartStoreResource
from trading_assets.defs.run_history import RUN_ENVIRONMENT
from trading_assets.models.tables import (
    BARS,
    CORPORATE_ACTIONS,
    COVERAGE,
    SIGNAL_OUTCOMES,
    SIGNALS,
)
from trading_assets.strategies.spec import Costs
from trading_assets_tests.defs.test_schedules import launch
from trading_assets_tests.defs.world import OUTCOMES, RANGES, World, faults_of, verdicts

COUNT = 90
"""Sessions of the market: enough for the longest horizon of the first signals."""


@pytest.fixture(scope="module")
def viewed(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A world whose view is made, and nothing of what became of them."""
    world = World.made(tmp_path_factory.mktemp("viewed"), count=COUNT, strategies=[RANGES])
    assert world.make_market().success
    assert world.make_view("ranges").success
    return world


@pytest.fixture(scope="module")
def ranged(viewed: World, tmp_path_factory: pytest.TempPathFactory) -> World:
    """The same with the outcomes of all of it, made in one range."""
    world = viewed.copied(tmp_path_factory.mktemp("ranged") / "world")
    assert world.make_outcomes("ranges", only=(OUTCOMES, CALIBRATION)).success
    return world


def outcomes(world: World) -> pd.DataFrame:
    return world.warehouse.read(SIGNAL_OUTCOMES)


def coverage(world: World) -> pd.DataFrame:
    return world.warehouse.read(COVERAGE, {"asset": OUTCOMES})


def assert_same(found: World, expected: World) -> None:
    for read in (outcomes, coverage):
        pd.testing.assert_frame_equal(read(found), read(expected), check_exact=True)


# What is stored


def test_outcomes_are_those_of_the_core(ranged: World) -> None:
    warehouse = ranged.warehouse
    bars, actions = warehouse.read(BARS), warehouse.read(CORPORATE_ACTIONS)
    panel = Panel.of(bars, actions)
    signals = warehouse.read(SIGNALS, {"strategy": "ranges"})

    expected = outcomes_of(
        signals,
        panel,
        Costs(),
        benchmark=Panel.of(bars[bars["symbol"] == "BBB"], actions),
    )

    found = outcomes(ranged)
    pd.testing.assert_frame_equal(found, expected, check_exact=True)
    assert set(found["horizon_sessions"]) == set(HORIZONS)
    assert {"target", "stop", "time"} == set(found["first_touch"].dropna())
    assert found["alpha_frac"].notna().all()


def test_coverage_says_how_far_a_signal_has_come(ranged: World) -> None:
    told = coverage(ranged)
    first, fresh = told.iloc[0], told[told["session"] == told["session"].max()].iloc[0]
    signals = ranged.warehouse.read(SIGNALS, {"strategy": "ranges"})
    bars = ranged.warehouse.read(BARS)
    panel = Panel.of(bars, ranged.warehouse.read(CORPORATE_ACTIONS))

    assert (first["rows"], first["status"], first["reason"]) == (3, "ok", "")
    assert (fresh["rows"], fresh["status"], fresh["reason"]) == (
        0,
        "missing",
        "0 of 60 bars",
    )
    since = signals.assign(since=bars_since(panel, signals))
    both = told.merge(since, on=["symbol", "session"])
    counted = sum((both["since"] >= own).astype(int) for own in HORIZONS)
    assert both["rows"].tolist() == counted.tolist()
    assert set(both["rows"]) == {0, 1, 2, 3}


def test_the_calibration_is_kept_as_a_picture_with_its_figures(ranged: World) -> None:
    folder = str(ranged.settings.charts)
    store = ChartStoreResource(folder=folder).create_resource(None)
    event = ranged.instance.get_latest_materialization_event(
        dg.AssetKey(["ranges", CALIBRATION])
    )

    assert store.get(calibration_path(ranged.lane("ranges"))).startswith(b"\x89PNG")
    assert event is not None
    assert event.asset_materialization is not None
    told = event.asset_materialization.metadata
    assert "/charts/ranges/calibration/calibration.png?" in str(told["calibration"].value)
    assert str(told["status"].value).startswith("uncalibrated: ")
    assert {"hit %", "Brier score", "always long %", "all of them"} <= set(told)


def test_nothing_in_sample_is_told_as_a_headline(ranged: World, tmp_path: Path) -> None:
    world = ranged.copied(tmp_path / "world")
    rows = world.warehouse.read(SIGNAL_OUTCOMES)
    named = rows[list(SIGNAL_OUTCOMES.partition)].drop_duplicates()
    tainted = rows.assign(is_out_of_sample=False)
    world.warehouse.replace(Replacement(SIGNAL_OUTCOMES, named, tainted))

    result = world.make_outcomes("ranges", only=[CALIBRATION])

    (event,) = result.get_asset_materialization_events()
    told = event.materialization.metadata
    assert told["signals out of sample"].value == 0
    assert "contaminated" in str(told["status"].value)
    assert set(told) == {"calibration", "signals out of sample", "status", "all of them"}


def test_each_partition_tells_of_the_horizon_that_analysts_are_judged_by(
    ranged: World,
) -> None:
    day = ranged.lane_sessions[0]
    records = ranged.instance.fetch_materializations(
        dg.AssetRecordsFilter(
            dg.AssetKey(["ranges", OUTCOMES]), asset_partitions=[f"{day}|AAA"]
        ),
        limit=1,
    ).records
    (row,) = (
        ranged.warehouse.read(SIGNAL_OUTCOMES, {"symbol": "AAA", "session": day})
        .query("horizon_sessions == 20")
        .to_dict("records")
    )

    materialized = records[0].asset_materialization
    assert materialized is not None
    told = materialized.metadata
    assert told["return %"].value == pytest.approx(100 * row["return_frac"], abs=0.005)


# However it is made


def test_session_by_session_gives_the_outcomes_of_a_range(
    viewed: World, ranged: World, tmp_path: Path
) -> None:
    world = viewed.copied(tmp_path / "world")
    sessions = list(world.lane_sessions)
    days = [*sessions[40:44], sessions[0]]
    for day in days:
        assert world.make_outcomes("ranges", day, day).success

    for first, last in ((44, len(sessions) - 1), (20, 39), (1, 19)):
        assert world.make_outcomes("ranges", sessions[first], sessions[last]).success

    assert_same(world, ranged)


def test_symbol_by_symbol_gives_the_outcomes_of_a_range(
    viewed: World, ranged: World, tmp_path: Path
) -> None:
    world = viewed.copied(tmp_path / "world")

    for symbol in ("CCC", "AAA"):
        assert world.make_outcomes("ranges", symbols=[symbol]).success

    assert_same(world, ranged)


def test_the_backfill_command_makes_them_last_and_once(
    viewed: World, ranged: World, tmp_path: Path
) -> None:
    world = viewed.copied(tmp_path / "world")
    first, last = world.lane_sessions[0], world.lane_sessions[-1]

    titles = world.backfilled("ranges", first, last, outcomes=True)

    assert titles[-1] == "ranges_outcomes: signal_outcomes, calibration"
    assert_same(world, ranged)
    assert list(world.backfill("ranges").outcome_parts(last)) == []


# What is still to come, and what has changed


def test_outcomes_grow_with_the_bars_to_those_of_a_range(
    ranged: World, tmp_path: Path
) -> None:
    """As evenings make them: of what may still change, and of nothing else."""
    world = World.made(tmp_path, count=COUNT, strategies=[RANGES])
    sessions = world.sessions
    for last in (sessions[70], sessions[-1]):
        before = world.sessions.index(last) - 85
        first = max(world.lane_sessions[0], sessions[max(before, 0)])
        assert world.make_market(last=last).success
        assert world.make_view("ranges", last=last).success
        assert world.make_outcomes("ranges", first, last).success

    assert_same(world, ranged)


def test_bars_that_nobody_has_asked_for_hide_those_behind_them(
    ranged: World, tmp_path: Path
) -> None:
    world = World.made(tmp_path, count=COUNT, strategies=[RANGES])
    at = world.sessions
    assert world.make_market(last=at[60]).success
    assert world.run(MARKET, at[62], at[-1], world.market.symbols, ["bars"]).success
    assert world.make_view("ranges", last=at[60]).success

    made = world.make_outcomes("ranges", last=at[60])

    assert made.success, faults_of(made)
    known = outcomes(ranged)
    expected = known[known["resolved_session"] <= pd.Timestamp(at[60])]
    pd.testing.assert_frame_equal(
        outcomes(world), expected.reset_index(drop=True), check_exact=True
    )
    assert verdicts(made)["ranges/signal_outcomes:resolved"]


def test_a_restated_bar_is_followed_by_the_outcomes_that_rest_on_it(
    ranged: World, tmp_path: Path
) -> None:
    world = ranged.copied(tmp_path / "world")
    sessions = world.lane_sessions
    day, last = sessions[30], sessions[-1]
    world.restate("AAA", day)
    assert world.make_market(day, last).success
    assert world.make_view("ranges", day, last).success

    (part,) = world.backfill("ranges").outcome_parts(last)

    assert part.first < day
    with patch.dict(os.environ, RUN_ENVIRONMENT):
        work = world.backfill("ranges")
        work.run(world.definitions, world.instance, part, lambda _: None)
    assert list(world.backfill("ranges").outcome_parts(last)) == []
    touched = outcomes(world).merge(
        outcomes(ranged), on=list(SIGNAL_OUTCOMES.key), suffixes=("", "_before")
    )
    differs = touched["return_frac"] != touched["return_frac_before"]
    assert differs.any()
    assert (touched.loc[differs, "resolved_session"] >= pd.Timestamp(day)).all()


def test_a_share_that_is_no_longer_traded_is_told_by_name(tmp_path: Path) -> None:
    world = World.made(tmp_path, count=COUNT, strategies=[RANGES])
    ended = world.sessions[50]
    bars = world.bars("CCC")
    world.write_bars("CCC", bars[bars.index <= str(ended)])
    assert world.make_market().success
    assert world.make_view("ranges").success

    made = world.make_outcomes("ranges")

    assert made.success, faults_of(made)
    assert not verdicts(made)["ranges/signal_outcomes:resolved"]
    gone = outcomes(world).query("symbol == 'CCC'")
    assert gone["resolved_session"].max() == pd.Timestamp(ended)


def test_outcomes_of_signals_that_were_never_made_are_refused_by_name(
    tmp_path: Path,
) -> None:
    world = World.made(tmp_path, strategies=[RANGES])
    assert world.make_market().success

    made = world.make_outcomes("ranges")

    assert "ranges/signals was never materialized" in faults_of(made)
    assert outcomes(world).empty


# When they are asked for


def follow(world: World, cursor: str | None) -> tuple[list[dg.RunRequest], str]:
    repository = world.definitions.get_repository_def()
    sensor = repository.get_sensor_def("ranges_outcomes_follow")
    with dg.build_sensor_context(
        instance=world.instance,
        cursor=cursor,
        repository_def=repository,
        sensor_name=sensor.name,
    ) as context:
        told = sensor.evaluate_tick(context)
    return list(told.run_requests or ()), told.cursor or ""


def test_outcomes_follow_a_scheduled_view_as_far_back_as_they_may_change(
    viewed: World, tmp_path: Path
) -> None:
    world = viewed.copied(tmp_path / "world")
    first, last = world.lane_sessions[-2], world.lane_sessions[-1]
    _, cursor = follow(world, None)
    tags = range_of(first, last)
    run_job(
        world.definitions, world.instance, "ranges_view", tags | {LAUNCHED_BY: BACKFILL}
    )
    asked, cursor = follow(world, cursor)
    assert asked == []

    view = run_job(
        world.definitions, world.instance, "ranges_view", tags | {LAUNCHED_BY: SCHEDULE}
    )
    (request,), _ = follow(world, cursor)

    reach = world.lane_sessions[world.lane_sessions.index(first) - 65]
    assert (request.job_name, request.run_key) == (
        "ranges_outcomes",
        f"ranges_outcomes-{view}",
    )
    assert request.tags.items() >= range_of(reach, last).items()
    launch(world, "ranges_outcomes", request)
    assert len(outcomes(world)) > 0


def test_the_first_evenings_reach_no_further_back_than_the_strategy(
    viewed: World, tmp_path: Path
) -> None:
    world = viewed.copied(tmp_path / "world")
    first, last = world.lane_sessions[10], world.lane_sessions[11]
    _, cursor = follow(world, None)
    tags = range_of(first, last) | {LAUNCHED_BY: SCHEDULE}
    run_job(world.definitions, world.instance, "ranges_view", tags)

    (request,), _ = follow(world, cursor)

    assert request.tags.items() >= range_of(world.lane_sessions[0], last).items()


def range_of(first: date, last: date) -> dict[str, str]:
    return {
        "dagster/asset_partition_range_start": f"{first}|AAA",
        "dagster/asset_partition_range_end": f"{last}|CCC",
    }
