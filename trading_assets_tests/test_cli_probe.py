"""Probes at the prompt, put to models that remember, and to some that do not look."""

import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pandas as pd
import pytest
from click.testing import CliRunner, Result

from trading_assets.adapters.ledger.calls import CallBook
from trading_assets.cli import main
from trading_assets.models.tables import BARS
from trading_assets_tests.defs.test_model_signals import BUY, READS
from trading_assets_tests.defs.world import World
from trading_assets_tests.fake_models import FakeModels
from trading_assets_tests.fake_models.protocols import Asked

SELL = BUY | {"action": "SELL", "stop_loss": 106.0, "take_profit": 88.0}
SYMBOLS = ("--symbols", "AAA,CCC")
"""Neither is split."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Bars of enough sessions to ask where they went."""
    home = tmp_path_factory.mktemp("made") / "world"
    world = World.made(home, count=52, strategies=[READS])
    world.write_bars("CCC", turned(world.bars("CCC")))  # one falls, the other rises
    assert world.make_market().success
    return world


def turned(bars: pd.DataFrame) -> pd.DataFrame:
    """*bars* upside down."""
    high, low = 1600 / bars["low"], 1600 / bars["high"]
    prices = {"open": 1600 / bars["open"], "high": high, "low": low}
    return bars.assign(**prices, close=1600 / bars["close"]).round(2)


@pytest.fixture
def world(made: World, tmp_path: Path) -> World:
    return made.copied(tmp_path / "world")


@pytest.fixture
def models() -> Iterator[FakeModels]:
    with FakeModels() as fake:
        keys = {
            "ANTHROPIC_API_KEY": "a-secret",
            "ANTHROPIC_BASE_URL": fake.url("anthropic"),
        }
        with patch.dict(os.environ, keys):
            yield fake


def ask(world: World, *words: str) -> Result:
    environment = world.environment | {"COLUMNS": "200"}
    environment |= {name: os.environ[name] for name in os.environ if "ANTHROPIC" in name}
    words = ("probe", "--strategy", "reader", *words)
    return CliRunner().invoke(main, words, env=environment)


def verdicts(world: World, *words: str) -> dict[str, dict[str, Any]]:
    result = ask(world, "--json", *words)
    assert result.exit_code == 0, result.output
    return {own["probe"]: own for own in json.loads(result.stdout)}


def a_model(
    opinion: Callable[[Asked], dict[str, Any]] = lambda _: BUY,
    memory: Callable[[str, str], str] = lambda _symbol, _session: "up",
) -> Callable[[Asked], str]:
    """Somebody with an *opinion*, and a *memory* of where a symbol went."""

    def says(asked: Asked) -> str:
        if told := re.search(r"where (\S+) closed 20 .* close of ([\d-]+),", asked.text):
            return json.dumps({"direction": memory(*told.groups())})
        if "say which it is" in asked.text:
            return json.dumps({"symbol": "AAA", "quarter": "2024-Q1"})
        symbol = "STOCK" if "Instrument: STOCK" in asked.text else None
        symbol = symbol or re.search(r"Instrument: (\w+)", asked.text)[1]  # type: ignore[index]
        close = float(re.search(r"LATEST VALUES\nclose ([\d.]+)", asked.text)[1])  # type: ignore[index]
        said = opinion(asked)
        levels = {
            name: said[name] and said[name] * close / 100
            for name in ("entry", "stop_loss", "take_profit")
        }
        return json.dumps(said | levels | {"symbol": symbol})

    return says


def test_who_knows_what_came_next_is_found_out(world: World, models: FakeModels) -> None:
    closes = {
        symbol: own.set_index(own["session"].dt.strftime("%Y-%m-%d"))["close"]
        for symbol, own in world.warehouse.read(BARS).groupby("symbol")
    }

    def memory(symbol: str, session: str) -> str:
        own = closes[symbol]
        at = own.index.get_loc(session)
        return "up" if own.iloc[at + 20] > own.iloc[at] else "down"

    models.says = a_model(memory=memory)

    found = verdicts(world, *SYMBOLS)["recall of the direction"]

    assert found["share"] == 1.0
    assert found["count"] == 20
    assert found["verdict"] == "leak"


def test_who_always_says_the_same_neither_remembers_nor_looks(
    world: World, models: FakeModels
) -> None:
    models.says = a_model()

    found = verdicts(world, *SYMBOLS)

    assert found["recognition of the symbol"]["share"] == 0.5
    assert found["recognition of the symbol"]["chance"] == 0.5
    assert "leak" not in {own["verdict"] for own in found.values()}
    assert found["asked twice"]["hits"] == 0
    assert found["upside down"]["verdict"] == "does not look"


def test_who_reads_the_numbers_says_another_thing_upside_down(
    world: World, models: FakeModels
) -> None:
    rises = re.compile(r"close 100\.00, \+")
    models.says = a_model(lambda asked: BUY if rises.search(asked.text) else SELL)

    found = verdicts(world, *SYMBOLS, "--sessions", "4")["upside down"]

    assert found["verdict"] == "looks"
    assert found["hits"] == found["count"] == 8


def test_who_knows_the_name_says_another_thing(world: World, models: FakeModels) -> None:
    hold = BUY | dict.fromkeys(("entry", "stop_loss", "take_profit")) | {"action": "HOLD"}
    models.says = a_model(lambda asked: BUY if "STOCK" in asked.text else hold)

    found = verdicts(world, *SYMBOLS, "--sessions", "4")["named against blind"]

    assert found["hits"] == 8
    assert found["verdict"] == "leak"


def test_what_was_asked_is_on_record_and_costs_nothing_again(
    world: World, models: FakeModels
) -> None:
    models.says = a_model()
    first = ask(world, "--symbols", "AAA", "--sessions", "2")
    asked = len(models.requests)

    again = ask(world, "--symbols", "AAA", "--sessions", "2")

    assert first.output == again.output
    assert "would always be right: recognition of the symbol" in first.output
    assert "2 places, 12 questions to anthropic/claude-haiku-5-5: about $" in first.output
    assert len(models.requests) == asked == 12
    with closing(CallBook.open(world.settings.ledger)) as book:
        ids = [
            call_id
            for day in world.lane_sessions
            for call_id in book.call_ids("reader", day, "AAA")
        ]
        roles = {book.call(call_id).role for call_id in ids}
    assert len(ids) == 12
    assert roles == {
        "probe:recognition",
        "probe:recall",
        "probe:blind:decision",
        "probe:repeat:decision",
        "probe:named:decision",
        "probe:counterfactual:decision",
    }


def test_an_estimate_asks_nobody(world: World, models: FakeModels) -> None:
    assert "120 questions" in ask(world, *SYMBOLS, "--estimate").output
    assert not models.requests


def test_the_budget_of_the_strategy_holds(world: World, models: FakeModels) -> None:
    models.says = a_model()
    limited = "max_tokens: 1000, concurrency: 1, budget: {strategy_usd: 0.002}"
    world.write_strategy(READS.replace("max_tokens: 1000", limited), "s0.yaml")

    result = ask(world, *SYMBOLS)

    assert result.exit_code == 1
    assert "budget.strategy_usd is 0.002" in result.output
    assert 0 < len(models.requests) < 120


def test_what_can_not_be_tried_is_refused(world: World, models: FakeModels) -> None:
    unknown = ask(world, "--symbols", "ZZZ")

    assert unknown.exit_code == 2
    assert "universe AAA, BBB, CCC, was ZZZ" in unknown.output
    world.write_strategy(READS.replace("2024-02-01", "2024-03-10"), "s0.yaml")
    late = ask(world)
    assert late.exit_code == 2
    assert "has bars enough before and after it" in late.output
    assert not models.requests
