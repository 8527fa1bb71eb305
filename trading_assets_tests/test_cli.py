"""The prompt: what it prints, what it refuses, and with which exit status."""

import json
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner, Result

from trading_assets import cli
from trading_assets.cli import main
from trading_assets.sessions import trading_calendar
from trading_assets_tests.defs.world import CROSS, RANGES, World

pytestmark = pytest.mark.together

LAST = date(2024, 2, 16)
"""A Friday; the world's last session is the Tuesday after a holiday."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A world whose first strategy has been backfilled at the prompt."""
    world = World.made(tmp_path_factory.mktemp("world"))
    result = prompt(world, "backfill", "--strategy", "cross", "--to", LAST.isoformat())
    assert result.returncode == 0, result.stderr
    assert "cross: 2024-02-01 to 2024-02-16" in result.stdout
    return world


def prompt(world: World, *words: str) -> "subprocess.CompletedProcess[str]":
    """What a process of its own answers, in a wide terminal."""
    return subprocess.run(
        [sys.executable, "-m", "trading_assets.cli", *words],
        env={**world.process_environment, "COLUMNS": "200"},
        cwd=world.home,
        capture_output=True,
        text=True,
        check=False,
    )


def ask(world: World, *words: str) -> Result:
    """The same in this process, which is quicker."""
    return CliRunner().invoke(main, words, env=world.environment | {"COLUMNS": "200"})


# Strategies


def test_strategies_are_listed_with_what_they_do(world: World) -> None:
    result = ask(world, "strategies", "list")

    assert result.exit_code == 0
    assert "cross" in result.output
    assert "rules:sma_cross" in result.output
    assert "volatility_target" in result.output


def test_strategies_that_are_in_order_are_told_to_be(world: World) -> None:
    result = ask(world, "strategies", "validate")

    assert result.exit_code == 0
    assert "s0.yaml: cross is valid" in result.output
    assert "s1.yaml: ranges is valid" in result.output


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("capital: 50000", "capital: -1", "strange.yaml:4: capital"),
        ("fast: 3, slow: 8", "fast: 9, slow: 8", "strange.yaml:6: analyst"),
        ("rule: sma_cross", "rule: sma_crosss", "sma_cross"),
        ("[sma_5, volume]", "[sma_x, volume]", "strange.yaml:7: charts.indicators"),
    ],
)
def test_a_fault_is_told_with_file_line_and_key(
    world: World, tmp_path: Path, before: str, after: str, said: str
) -> None:
    file = tmp_path / "strange.yaml"
    file.write_text(CROSS.replace(before, after))

    result = ask(world, "strategies", "validate", str(file))

    assert result.exit_code == 2
    assert said in result.stderr
    assert result.stderr.startswith("trading-assets: ")


def test_the_schema_is_one_that_editors_take(world: World) -> None:
    result = ask(world, "strategies", "schema")

    schema = json.loads(result.output)
    assert result.exit_code == 0
    assert schema["properties"]["universe"]["type"] == "array"
    assert "sma_cross" in result.output


# Questions


def test_a_question_is_answered_as_a_table(world: World) -> None:
    result = ask(
        world, "query", "SELECT symbol, count(*) AS n FROM bars GROUP BY 1 ORDER BY 1"
    )

    assert result.exit_code == 0
    assert "AAA" in result.output
    assert "3 rows" in result.output


def test_a_question_is_answered_as_comma_separated_values(world: World) -> None:
    sql = "SELECT session, equity FROM portfolio ORDER BY session LIMIT 1"

    result = ask(world, "query", sql, "--csv")

    assert result.output.splitlines() == ["session,equity", "2024-02-01,50000.0"]


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM bars",
        "DROP TABLE bars",
        "UPDATE bars SET close = 1",
        "SELECT 1; DELETE FROM bars",
        "COPY bars TO 'bars.csv'",
        "ATTACH 'other.db'",
    ],
)
def test_a_question_changes_nothing(world: World, sql: str) -> None:
    before = world.tables()["bars"]

    result = ask(world, "query", sql)

    assert result.exit_code == 2
    assert "SELECT" in result.stderr
    pd.testing.assert_frame_equal(world.tables()["bars"], before)


def test_a_question_about_what_is_not_there_says_what_is(world: World) -> None:
    result = ask(world, "query", "SELECT closing FROM bars")

    assert result.exit_code == 2
    assert "close" in result.stderr


def test_before_anything_was_made_there_is_nothing_to_ask(tmp_path: Path) -> None:
    result = ask(World.made(tmp_path), "query", "SELECT 1")

    assert result.exit_code == 2
    assert "run a backfill first" in result.stderr


# How far things are


def test_the_status_tells_how_far_each_strategy_has_come(world: World) -> None:
    result = ask(world, "status")

    assert result.exit_code == 0
    assert str(world.home) in result.output
    assert "cross  2024-02-01 to 2024-02-16" in result.output
    assert "ranges  nothing decided yet" in result.output


def test_the_status_of_an_empty_home_is_no_error(tmp_path: Path) -> None:
    result = ask(World.made(tmp_path), "status")

    assert result.exit_code == 0
    assert "nothing decided yet" in result.output


# Backfills


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--strategy", "crss"), "--strategy must be one of cross, ranges, was crss"),
        (("--strategy", "cross", "--symbols", "AAA,ZZZ"), "--symbols must be of cross's"),
        (
            ("--strategy", "cross", "--from", "2024-02-10", "--to", "2024-02-11"),
            "holds no session",
        ),
    ],
)
def test_a_backfill_that_can_not_be_meant_is_refused(
    world: World, words: tuple[str, ...], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    location = world.settings, world.definitions, world.market
    monkeypatch.setattr(cli, "_location", lambda: location)

    result = ask(world, "backfill", *words)

    assert result.exit_code == 2
    assert said in result.stderr
    assert isinstance(result.exception, SystemExit)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--strategy", "cross", "--from", "soon"), "'soon' does not match"),
        ((), "Missing option '--strategy'"),
        (("--strategy", "cross", "--force"), "No such option"),
    ],
)
def test_what_is_no_option_is_refused(words: tuple[str, ...], said: str) -> None:
    result = CliRunner().invoke(main, ["backfill", *words])

    assert result.exit_code == 2
    assert said in result.stderr


def test_a_backfill_of_one_symbol_in_the_middle_keeps_the_book(world: World) -> None:
    before = world.tables()
    words = ("--from", "2024-02-10", "--to", "2024-02-13", "--symbols", "bbb")

    result = prompt(world, "backfill", "--strategy", "cross", *words, "--no-charts")

    assert result.returncode == 0, result.stderr
    assert "cross: 2024-02-12 to 2024-02-13" in result.stdout
    assert "market" not in result.stdout
    after = world.tables()
    for name in ("signals", "orders", "fills", "portfolio", "performance"):
        pd.testing.assert_frame_equal(after[name], before[name])


def test_a_backfill_that_fails_says_which_step_and_why(tmp_path: Path) -> None:
    world = World.made(tmp_path, strategies=[RANGES])
    bars = world.bars("CCC")
    world.write_bars("CCC", bars.drop(columns="close"))

    result = prompt(world, "backfill", "--strategy", "ranges", "--to", LAST.isoformat())

    assert result.returncode == 1
    assert "trading-assets: run " in result.stderr
    assert "bars: " in result.stderr
    assert "daily/CCC.csv" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("TRADING_MARKET_DATA", "yahoo", "TRADING_MARKET_DATA must be simulated, csv:"),
        ("TRADING_MARKET_START", "soon", "TRADING_MARKET_START must be a day"),
        ("TRADING_STRATEGIES", "/nowhere", "/nowhere: must be a folder of strategy files"),
    ],
)
def test_an_environment_that_can_not_be_meant_is_refused(
    world: World, name: str, value: str, said: str
) -> None:
    result = CliRunner().invoke(main, ["status"], env={**world.environment, name: value})

    assert result.exit_code == 2
    assert said in result.stderr


# The demo


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> tuple[World, str]:
    """A demo of one small strategy on a simulated market."""
    strategy = CROSS.replace("2024-02-01", recent_session().isoformat())
    for name in ("AAA", "BBB", "CCC"):
        strategy = strategy.replace(name, {"AAA": "SPY", "BBB": "KO", "CCC": "XOM"}[name])
    world = World.made(tmp_path_factory.mktemp("demo"), strategies=[strategy])
    before = trading_calendar().offset(recent_session(), -80).isoformat()
    start = {"TRADING_MARKET_DATA": "simulated", "TRADING_MARKET_START": before}
    result = subprocess.run(
        [sys.executable, "-m", "trading_assets.cli", "demo"],
        env={**world.process_environment, **start, "COLUMNS": "200"},
        cwd=world.home,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return world, result.stdout


def recent_session() -> date:
    """A session some weeks ago, by today's clock."""
    return trading_calendar().on_or_before(date.today() - timedelta(days=30))  # noqa: DTZ011 - any day will do


def test_a_demo_ends_with_results_signals_and_where_to_look(
    shown: tuple[World, str],
) -> None:
    _, said = shown

    assert "these results mean nothing" in said
    for word in ("return", "Sharpe", "signals of", "open: ", "make dev"):
        assert word in said
    assert "Traceback" not in said


def test_the_paths_that_a_demo_names_are_there(shown: tuple[World, str]) -> None:
    _, said = shown
    lines = [line.split(maxsplit=2) for line in said.splitlines()]
    paths = [
        Path(words[-1].strip()) for words in lines if words and words[-1].startswith("/")
    ]

    assert {path.suffix for path in paths} == {".html", ".png"}
    assert all(path.is_file() for path in paths)
