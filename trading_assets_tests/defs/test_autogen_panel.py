"""AutoGen's agents in the graph: they talk, and are asked as any other analyst is."""

import json
import re
import sys
from contextlib import closing
from datetime import date
from pathlib import Path
from unittest.mock import patch

import pandas as pd
import pytest

from trading_assets.adapters.analysts.choice import analyst_of
from trading_assets.adapters.ledger.calls import CallBook
from trading_assets.defs.batches import batch_reader
from trading_assets.errors import InvalidInput
from trading_assets.models.call import RecordedCall
from trading_assets.strategies.loading import load_strategy
from trading_assets_tests.defs.test_model_signals import (
    BUY,
    READER,
    made,
    models,
    opinions_of,
    signals,
)
from trading_assets_tests.defs.world import World, faults_of
from trading_assets_tests.fake_models import FakeModels, Fault, Play
from trading_assets_tests.fake_models.protocols import Asked

__all__ = ["models"]  # a fixture

AGENTS = READER.replace("kind: llm", "kind: autogen").replace(
    "max_tokens: 1000", "max_tokens: 1000, sees: [table]"
)


@pytest.fixture
def world(tmp_path: Path, models: FakeModels) -> World:
    return made(tmp_path / "world", models, AGENTS)


NO_TRADE = {"action": "HOLD", "entry": None, "stop_loss": None, "take_profit": None}


def symbol_in(text: str) -> str:
    """What a question calls the instrument."""
    found = re.search(r'symbol \("(\w+)"\)', text)
    assert found
    return found[1]


def calls_of(world: World, day: date, symbol: str) -> list[RecordedCall]:
    with closing(CallBook.open(world.settings.ledger)) as book:
        return [book.call(it) for it in book.call_ids("reader", day, symbol)]


def conversation(world: World, day: date, symbol: str) -> list[tuple[str, list[str]]]:
    """Each call's role, and the roles of its parents."""
    calls = calls_of(world, day, symbol)
    roles = {call.call_id: call.role for call in calls}
    return [(call.role, [roles[it] for it in call.parents]) for call in calls]


def speaker(text: str) -> str:
    """Whose turn a question is."""
    found = re.search(r"you are ([A-Z]\w+)", text)
    assert found
    return found[1]


def test_each_agent_is_asked_once_and_the_last_word_counts(
    world: World,
    models: FakeModels,
) -> None:
    day = world.lane_sessions[0]

    def says(asked: Asked) -> str:
        is_last = "you are Executor" in asked.text
        return json.dumps(BUY | {"reasoning": "The last word."} if is_last else BUY)

    models.says = says

    assert opinions_of(world, day, day).success

    rows = signals(world)
    assert len(models.requests) == 3 * len(rows) == 9
    assert rows["reasoning"].str.startswith("The last word.").all()
    assert set(rows["analyst"]) == {"autogen:anthropic/claude-haiku-5-5"}
    assert conversation(world, day, "AAA") == [
        ("technical", []),
        ("risk", ["technical"]),
        ("decision", ["technical", "risk"]),
    ]


def test_each_agent_is_told_what_was_said_before(
    world: World,
    models: FakeModels,
) -> None:
    day = world.lane_sessions[0]
    heard: list[str] = []

    def says(asked: Asked) -> str:
        heard.append(asked.text)
        return json.dumps(BUY | {"reasoning": f"Words of {speaker(asked.text)}."})

    models.says = says
    opinions_of(world, day, day)

    told = {speaker(text): text for text in heard}
    assert "Words of" not in told["TechnicalAnalyst"]
    assert "Words of TechnicalAnalyst." in told["RiskManager"]
    assert "Words of TechnicalAnalyst." in told["Executor"]
    assert "Words of RiskManager." in told["Executor"]


def test_making_it_again_asks_nobody(world: World, models: FakeModels) -> None:
    day = world.lane_sessions[0]
    opinions_of(world, day, day)
    before, asked = signals(world), len(models.requests)

    assert opinions_of(world, day, day).success

    assert len(models.requests) == asked
    pd.testing.assert_frame_equal(signals(world), before, check_exact=True)


def test_an_executor_who_talks_nonsense_is_asked_once_more_and_then_it_abstains(
    world: World,
    models: FakeModels,
) -> None:
    day = world.lane_sessions[0]
    models.says = lambda asked: (
        "Sell!" if "you are Executor" in asked.text else json.dumps(BUY)
    )

    assert opinions_of(world, day, day).success

    rows = signals(world)
    assert len(models.requests) == 4 * len(rows)
    assert rows["is_abstention"].all()
    assert rows["reasoning"].str.contains("asked twice").all()


def test_a_refusal_ends_the_conversation(
    world: World,
    models: FakeModels,
) -> None:
    day = world.lane_sessions[0]
    models.always(Play(fault=Fault.REFUSAL))

    assert opinions_of(world, day, day).success

    rows = signals(world)
    assert len(models.requests) == len(rows)
    assert rows["is_abstention"].all()
    assert rows["reasoning"].str.contains("refused").all()


def test_a_budget_stops_the_conversation_and_what_is_finished_stays(
    tmp_path: Path,
    models: FakeModels,
) -> None:
    limited = "concurrency: 1, budget: {run_usd: 0.01}, max_tokens: 1000"
    world = made(tmp_path / "small", models, AGENTS.replace("max_tokens: 1000", limited))
    days = world.lane_sessions

    result = opinions_of(world, days[0], days[-1])

    rows = signals(world)
    assert not result.success
    assert 0 < len(rows) < 3 * len(days)
    assert 3 * len(rows) <= len(models.requests) < 3 * len(rows) + 3
    assert f"{len(rows)} partitions are made" in faults_of(result)


TOOLS = """
from pathlib import Path

def earnings(symbol, session):
    return f"{symbol} earned 7 cents up to {session}"

def news(symbol, session):
    return f"nothing new of {symbol}"

def nothing(symbol, session):
    return None if symbol == "CCC" else "nothing"

def away(symbol, session):
    here = Path(__file__).with_name("here")
    if symbol == "CCC" and not here.exists():
        here.touch()
        raise ConnectionError("no news")
    return "here"
"""
WITH_TOOLS = AGENTS.replace(
    "sees: [table]",
    "sees: [table], blind: false, module: tools.py, fundamental: [earnings], "
    "sentiment: [news]",
)


def with_tools(home: Path, models: FakeModels, strategy: str = WITH_TOOLS) -> World:
    world = World.made(home / "world", strategies=[strategy])
    (world.home / "strategies" / "tools.py").write_text(TOOLS)
    world.models_at = models.url("anthropic")
    assert world.make_market().success
    return world


def test_what_tools_say_is_told_to_their_agent_and_lies_in_the_ledger(
    tmp_path: Path, models: FakeModels
) -> None:
    world = with_tools(tmp_path, models)
    day = world.lane_sessions[0]
    models.says = lambda asked: json.dumps(
        BUY | {"symbol": symbol_in(asked.text)} | NO_TRADE
    )

    assert opinions_of(world, day, day).success

    calls = calls_of(world, day, "AAA")
    told = {call.role: call.task for call in calls}
    assert list(told) == ["technical", "fundamental", "sentiment", "risk", "decision"]
    assert f"AAA earned 7 cents up to {day}" in told["fundamental"]
    assert "nothing new of AAA" in told["sentiment"]
    assert [role for role, text in told.items() if "cents" in text] == ["fundamental"]


def test_a_tool_that_gives_no_text_stops_the_run_by_its_name(
    tmp_path: Path, models: FakeModels
) -> None:
    broken = WITH_TOOLS.replace("[earnings]", "[nothing]")
    world = with_tools(tmp_path, models, broken)
    day = world.lane_sessions[0]

    result = opinions_of(world, day, day)

    assert not result.success
    assert "the tool nothing of CCC" in faults_of(result)
    assert set(signals(world)["symbol"]) == {"AAA", "BBB"}


def test_a_tool_whose_source_is_away_is_tried_again(
    tmp_path: Path, models: FakeModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trading_assets.defs.signals.WAIT_SECONDS", 0)
    world = with_tools(tmp_path, models, WITH_TOOLS.replace("[news]", "[away]"))
    day = world.lane_sessions[0]
    models.says = lambda asked: json.dumps(
        BUY | {"symbol": symbol_in(asked.text)} | NO_TRADE
    )

    result = opinions_of(world, day, day)

    assert result.success
    assert sum(event.is_step_up_for_retry for event in result.all_events) == 1
    assert set(signals(world)["symbol"]) == {"AAA", "BBB", "CCC"}
    assert len(models.requests) == 3 * 5


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (("blind: false, ", ""), "set blind to false"),
        (("module: tools.py, ", ""), "need module"),
        (("[earnings]", "[earning]"), "has no function earning for fundamental"),
        (("[earnings]", "[news]"), "name each function once"),
    ],
)
def test_tools_that_can_not_be_used_are_refused(
    change: tuple[str, str], expected: str, tmp_path: Path
) -> None:
    path = tmp_path / "reader.yaml"
    path.write_text(WITH_TOOLS.replace(*change))
    (tmp_path / "tools.py").write_text(TOOLS)

    with pytest.raises(InvalidInput, match=expected):
        analyst_of(load_strategy(path))


def test_other_tools_are_another_analyst(tmp_path: Path) -> None:
    path = tmp_path / "reader.yaml"
    path.write_text(WITH_TOOLS)
    versions: set[str] = set()

    for text in (TOOLS, TOOLS.replace("7", "8")):
        (tmp_path / "tools.py").write_text(text)
        versions.add(analyst_of(load_strategy(path)).version_hash)

    assert len(versions) == 2


def test_batches_are_refused_by_name(world: World) -> None:
    with pytest.raises(InvalidInput, match=r"analyst\.kind autogen takes no batches"):
        batch_reader(world.lane("reader"))


def test_without_the_package_the_extra_is_named(tmp_path: Path) -> None:
    path = tmp_path / "reader.yaml"
    path.write_text(AGENTS)
    seam = "trading_assets.adapters.analysts.autogen_panel"
    hidden = {name: None for name in sys.modules if name.startswith("autogen_agentchat")}

    with patch.dict(sys.modules, hidden | {"autogen_agentchat.agents": None}):
        sys.modules.pop(seam, None)
        with pytest.raises(InvalidInput, match=r"analyst\.kind.*extra agents"):
            analyst_of(load_strategy(path))
