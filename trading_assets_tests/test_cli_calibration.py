"""The record of analysts at the prompt: shown, comma-separated, and not there yet."""

from io import StringIO
from pathlib import Path

import pandas as pd
import pytest

from trading_assets_tests.defs.world import World
from trading_assets_tests.test_cli import ask


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """One strategy's signals are resolved, the other's are not looked at."""
    world = World.made(tmp_path_factory.mktemp("world"), count=60)
    assert world.make_market().success
    assert world.make_view("cross").success
    assert world.make_outcomes("cross").success
    return world


def test_it_shows_each_analyst_with_how_many_signals_there_are(world: World) -> None:
    result = ask(world, "calibration")

    assert result.exit_code == 0, result.output
    assert "rules:sma_cross" in result.output
    assert "uncalibrated" in result.output


def test_every_figure_is_there_comma_separated(world: World) -> None:
    result = ask(world, "calibration", "--strategy", "cross", "--horizon", "5", "--csv")

    (line,) = pd.read_csv(StringIO(result.stdout)).to_dict("records")
    assert (line["strategy"], line["analyst"]) == ("cross", "rules:sma_cross")
    assert line["sample"] == "out of sample"
    assert line["signals"] == 3 * (len(world.lane_sessions) - 5)
    assert 0 <= line["hit_low_frac"] <= line["hit_frac"] <= line["hit_high_frac"] <= 1
    assert {"brier", "ece", "ic", "expectancy_frac", "always_hold", "sma_cross"} <= set(
        line
    )


def test_before_anything_is_over_it_says_so(world: World, tmp_path: Path) -> None:
    early = ask(world, "calibration", "--horizon", "60")
    empty = ask(World.made(tmp_path), "calibration")

    assert early.output.strip() == "no signal's 60 sessions are over yet"
    assert empty.output.strip() == "no signal's 20 sessions are over yet"


def test_an_unknown_strategy_is_refused_with_those_there_are(world: World) -> None:
    result = ask(world, "calibration", "--strategy", "nobody")

    assert result.exit_code == 2
    assert "--strategy must be one of cross, ranges, was nobody" in result.output
