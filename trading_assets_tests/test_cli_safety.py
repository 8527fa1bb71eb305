"""Halting and resuming at the prompt: what is said, what is done, what is refused."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from trading_assets.adapters.ledger.halts import HaltBook
from trading_assets.cli import main
from trading_assets.models.halt import EVERYTHING
from trading_assets_tests.make import FIRST


class Prompt:
    """A home of its own with the packaged strategies, and what is answered in it."""

    def __init__(self, home: Path) -> None:
        self.environment = {"TRADING_HOME": str(home), "COLUMNS": "200"}
        self.halts = HaltBook.open(home / "ledger.db")

    def __call__(self, *words: str, **environment: str) -> Result:
        given = {**self.environment, "LOGNAME": "ina", **environment}
        return CliRunner().invoke(main, words, env=given)


@pytest.fixture
def prompt(tmp_path: Path) -> Prompt:
    return Prompt(tmp_path)


def test_a_strategy_is_halted_and_it_is_said_what_that_means(prompt: Prompt) -> None:
    result = prompt("halt", "breakout", "--why", "prices look wrong")

    assert result.exit_code == 0, result.output
    assert "Halted breakout (no. 1): prices look wrong" in result.output
    assert "neither entry nor exit" in result.output
    assert "trading-assets resume breakout --why" in result.output
    halted = prompt.halts.standing("breakout")
    assert halted is not None
    assert (halted.strategy, halted.why) == ("breakout", "prices look wrong")
    assert prompt.halts.standing("trend_following") is None


def test_everything_is_halted(prompt: Prompt) -> None:
    result = prompt("halt", "--all", "--why", "the gateway is odd")

    assert result.exit_code == 0, result.output
    assert "Halted everything (no. 1): the gateway is odd" in result.output
    assert "trading-assets resume --all --why" in result.output
    assert prompt.halts.standing("trend_following") is not None


def test_who_halts_is_the_user_of_the_machine_or_who_is_named(prompt: Prompt) -> None:
    prompt("halt", "--all", "--why", "odd")
    prompt("halt", "--all", "--why", "odd", "--who", "jan")

    assert [halt.who for halt in prompt.halts.history()] == ["ina", "jan"]


def test_a_halt_of_what_is_halted_already_says_so(prompt: Prompt) -> None:
    prompt("halt", "breakout", "--why", "prices look wrong", "--who", "jan")

    result = prompt("halt", "breakout", "--why", "and still do")

    assert "halted already, by jan: prices look wrong" in result.output
    assert len(prompt.halts.history()) == 2


def test_a_strategy_is_resumed(prompt: Prompt) -> None:
    prompt("halt", "breakout", "--why", "prices look wrong")

    result = prompt("resume", "breakout", "--why", "they were right")

    assert result.exit_code == 0, result.output
    assert "Lifted the halt of breakout (no. 2): they were right" in result.output
    assert "New orders are given again" in result.output
    assert prompt.halts.all_standing() == []


def test_a_strategy_that_is_resumed_while_everything_is_halted_is_told_to_be(
    prompt: Prompt,
) -> None:
    prompt("halt", "breakout", "--why", "prices look wrong")
    prompt("halt", "--all", "--why", "the gateway is odd", "--who", "jan")

    result = prompt("resume", "breakout", "--why", "they were right")

    assert "Still halted: everything, by jan: the gateway is odd" in result.output
    assert "New orders are given again" not in result.output


def test_what_stays_halted_when_everything_is_resumed_is_told(prompt: Prompt) -> None:
    prompt("halt", "breakout", "--why", "prices look wrong", "--who", "jan")
    prompt("halt", "--all", "--why", "the gateway is odd")

    result = prompt("resume", "--all", "--why", "it was restarted")

    assert "Lifted the halt of everything" in result.output
    assert "Still halted: breakout, by jan: prices look wrong" in result.output


def test_a_resume_of_what_is_not_halted_changes_nothing(prompt: Prompt) -> None:
    result = prompt("resume", "breakout", "--why", "just in case")

    assert result.exit_code == 0
    assert "There was no halt of breakout to lift" in result.output
    assert prompt.halts.history() == []


def test_a_strategy_that_is_gone_can_still_be_resumed(prompt: Prompt) -> None:
    prompt.halts.halt("bygone", FIRST, "jan", "prices look wrong")

    assert prompt("resume", "bygone", "--why", "it is gone").exit_code == 0
    assert prompt.halts.standing("bygone") is None


@pytest.mark.parametrize("command", ["halt", "resume"])
@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "name one strategy, or say --all for every one; was neither"),
        (("breakout", "--all"), "was breakout and --all"),
        (
            ("brakeout",),
            "STRATEGY must be one of breakout, trend_following, was brakeout",
        ),
    ],
)
def test_what_is_not_clear_is_refused(
    prompt: Prompt, command: str, words: tuple[str, ...], said: str
) -> None:
    result = prompt(command, *words, "--why", "because")

    assert result.exit_code == 2
    assert said in result.stderr
    assert prompt.halts.history() == []


@pytest.mark.parametrize("command", ["halt", "resume"])
@pytest.mark.parametrize("why", [(), ("--why", " ")])
def test_a_reason_must_be_given(prompt: Prompt, command: str, why: tuple[str, ...]) -> None:
    result = prompt(command, "--all", *why)

    assert result.exit_code == 2
    assert "--why" in result.stderr
    assert prompt.halts.history() == []


def test_everything_can_be_halted_when_no_strategy_can_be_read(
    prompt: Prompt, tmp_path: Path
) -> None:
    (tmp_path / "broken.yaml").write_text("name: [")
    broken = {"TRADING_STRATEGIES": str(tmp_path)}

    assert prompt("halt", "breakout", "--why", "odd", **broken).exit_code == 2
    assert prompt("halt", "--all", "--why", "odd", **broken).exit_code == 0
    assert [halt.strategy for halt in prompt.halts.all_standing()] == [EVERYTHING]


def test_all_that_was_ever_halted_and_lifted_is_listed(prompt: Prompt) -> None:
    assert prompt("halts").output.splitlines() == ["nothing is halted"]
    prompt("halt", "breakout", "--why", "prices [look] wrong")
    prompt("resume", "breakout", "--why", "they were right")
    prompt("halt", "--all", "--why", "the gateway is odd")

    lines = prompt("halts").output.splitlines()

    assert lines[0].split(",")[0].split() == ["HALTED", "everything"]
    gist = [line.split() for line in lines[2:]]
    assert [(row[0], row[1], row[2]) for row in gist] == [
        ("1", "halt", "breakout"),
        ("2", "resume", "breakout"),
        ("3", "halt", "everything"),
    ]
    assert "prices [look] wrong" in lines[2]


def test_the_status_begins_with_what_is_halted(prompt: Prompt) -> None:
    assert "HALTED" not in prompt("status").output
    prompt("halt", "breakout", "--why", "prices [look] wrong", "--who", "jan")

    result = prompt("status")

    assert result.exit_code == 0, result.output
    first = result.output.splitlines()[0]
    assert first.split(",")[0].split() == ["HALTED", "breakout"]
    assert "by jan" in first
    assert first.endswith(": prices [look] wrong")
