"""Explanations at the prompt: from an order to the bytes, each held against its hash."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result

from trading_assets.adapters.ledger.approvals import ApprovalBook
from trading_assets.adapters.storage.port import Replacement
from trading_assets.cli import main
from trading_assets.models.base import Lane
from trading_assets.models.order import Leg
from trading_assets.models.tables import BARS, FILLS, ORDERS
from trading_assets_tests.defs.test_model_signals import BUY, READER
from trading_assets_tests.defs.world import CROSS, World
from trading_assets_tests.fake_models import FakeModels
from trading_assets_tests.make_approvals import make_proposal, propose
from trading_assets_tests.make_intents import AT, make_order_ticket

if TYPE_CHECKING:
    import pandas as pd

DAYS = 6
"""Sessions that are made."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A book of a model's and one of a rule's, a few sessions long."""
    with FakeModels() as models:
        models.says = lambda _: json.dumps(BUY)
        keys = {"ANTHROPIC_API_KEY": "a-secret"}
        home = tmp_path_factory.mktemp("made") / "world"
        world = World.made(home, strategies=[READER, CROSS])
        world.models_at = models.url("anthropic")
        last = world.lane_sessions[DAYS - 1]
        with patch.dict(os.environ, keys | {"ANTHROPIC_BASE_URL": world.models_at}):
            world.make_all(last=last)
        yield world


@pytest.fixture
def world(made: World, tmp_path: Path) -> World:
    """A copy that a test may damage."""
    return made.copied(tmp_path / "world")


def ask(world: World, *words: str, wide: int = 400) -> Result:
    environment = world.environment | {"COLUMNS": str(wide)}
    return CliRunner().invoke(main, ("explain", *words), env=environment)


def told(world: World, *words: str) -> dict[str, Any]:
    result = ask(world, *words, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.output)


def entry(world: World, strategy: str) -> "pd.Series[Any]":
    """The first order of *strategy* that was filled."""
    fills = world.warehouse.read(FILLS, {"strategy": strategy})
    orders = world.warehouse.read(ORDERS, {"strategy": strategy}).set_index("order_id")
    return orders.loc[fills["order_id"].iloc[0]].rename(fills["order_id"].iloc[0])


def picture(world: World, found: dict[str, Any]) -> Path:
    return world.settings.charts / found["calls"][0]["pictures"][0]["path"]


def test_an_order_is_explained_down_to_the_pictures_and_the_bars(made: World) -> None:
    order = entry(made, "reader")

    found = told(made, str(order.name), "--strategy", "reader")

    assert found["symbol"] == order["symbol"]
    assert found["session"] == str(order["session"].date())
    (explained,) = found["orders"]
    assert explained["order"]["reason"] == order["reason"]
    assert explained["fills"][0]["order_id"] == order.name
    assert explained["events"][-1]["status"] == "filled"
    assert found["signal"]["action"] == "BUY"
    (call,) = found["calls"]
    assert call["is_decisive"]
    assert call["is_intact"]
    assert call["call"]["call_id"] == found["signal"]["call_id"]
    assert call["call"]["ending"]["cost_usd"] > 0
    assert [own["label"] for own in call["pictures"]] == ["Daily chart", "Weekly chart"]
    assert {own["state"] for own in call["pictures"]} == {"intact"}
    assert found["bars"]["last_session"] == found["session"]
    assert found["bars"]["changed"] == []
    assert found["is_as_kept"]


def test_a_fill_leads_to_its_order(made: World) -> None:
    fill = made.warehouse.read(FILLS, {"strategy": "reader"}).iloc[0]

    by_fill = told(made, fill["fill_id"], "--strategy", "reader")

    assert by_fill == told(made, fill["order_id"], "--strategy", "reader")


def test_a_rule_is_explained_without_a_call(made: World) -> None:
    order = entry(made, "cross")
    words = order["symbol"].lower(), str(order["session"].date())

    found = told(made, *words, "--strategy", "cross")

    assert [own["order"]["order_id"] for own in found["orders"]] == [order.name]
    assert found["signal"]["analyst"] == "rules:sma_cross"
    assert found["analyst_version"] == made.lane("cross").analyst.version_hash
    assert found["calls"] == []
    assert found["is_as_kept"] is None
    assert found["bars"]["count"] >= 8


def test_a_signal_that_led_to_no_order_is_explained(made: World) -> None:
    ordered = set(made.warehouse.read(ORDERS, {"strategy": "cross"})["session"].dt.date)
    quiet = next(day for day in made.lane_sessions[:DAYS] if day not in ordered)

    result = ask(made, "AAA", str(quiet), "--strategy", "cross")

    assert result.exit_code == 0
    assert "no order came of it" in result.output


def test_who_let_an_order_go_is_told_with_it(world: World) -> None:
    order = entry(world, "reader")
    day = order["session"].date()
    named = {"strategy": "reader", "symbol": order["symbol"], "lane": Lane.SIMULATED}
    ticket = make_order_ticket(session=day, **named)
    (asked,) = propose(world.settings.ledger, make_proposal([ticket]))
    book = ApprovalBook.open(world.settings.ledger)
    book.approve(asked, "ann", "looks [fine]", AT)
    book.close()

    (found,) = told(world, str(order.name), "--strategy", "reader")["approvals"]
    printed = ask(world, str(order.name), "--strategy", "reader").output

    assert found["proposal"]["payload_hash"] == asked.proposal.payload_hash
    assert [(it["state"], it["who"]) for it in found["rulings"]] == [("approved", "ann")]
    assert "approved by ann: looks [fine]" in printed


def test_an_order_that_nobody_has_let_go_is_explained_by_what_was_asked(
    world: World,
) -> None:
    order = entry(world, "reader")
    ticket = make_order_ticket(
        Leg.EXIT,
        strategy="reader",
        symbol=order["symbol"],
        session=order["session"].date(),
        lane=Lane.SIMULATED,
    )
    propose(world.settings.ledger, make_proposal([ticket]))

    found = told(world, ticket.order_id, "--strategy", "reader")

    assert found["orders"] == []
    assert found["symbol"] == order["symbol"]
    assert found["approvals"][0]["rulings"] == []


def test_the_tree_names_every_link(made: World) -> None:
    order = entry(made, "reader")

    printed = ask(made, str(order.name), "--strategy", "reader").output

    links = ["order ", "fill ", "signal BUY", "asked 1 question", "it decided", "bars "]
    assert [printed.index(link) for link in links] == sorted(map(printed.index, links))
    assert "llm:anthropic/claude-haiku-5-5" in printed
    assert printed.count("intact") == 2


def test_in_full_every_word_is_told_as_it_was_sent(made: World) -> None:
    order = str(entry(made, "reader").name)

    printed = ask(made, order, "--strategy", "reader", "--full").output
    call = told(made, order, "--strategy", "reader", "--full")["calls"][0]["call"]

    assert call["system"] in printed
    assert call["task"] in printed
    assert call["reply"] in printed
    assert json.loads(json.loads(call["reply"])["content"][-1]["text"]) == BUY
    brief = told(made, order, "--strategy", "reader")["calls"][0]["call"]
    assert "system" not in brief
    assert "reply" not in brief


def test_a_picture_that_is_gone_or_was_changed_is_told(world: World) -> None:
    order = str(entry(world, "reader").name)
    daily = picture(world, told(world, order, "--strategy", "reader"))
    daily.write_bytes(daily.read_bytes() + b"\0")

    assert "Daily chart" in ask(world, order, "--strategy", "reader").output
    assert "CHANGED" in ask(world, order, "--strategy", "reader").output

    daily.unlink()
    assert "MISSING" in ask(world, order, "--strategy", "reader").output


def test_words_that_were_changed_in_the_ledger_are_told(world: World) -> None:
    order = str(entry(world, "reader").name)
    engine = sa.create_engine(f"sqlite:///{world.settings.ledger}")
    with engine.begin() as connection:
        change = "UPDATE analyst_texts SET text = text || '.' WHERE text LIKE 'You are%'"
        assert connection.execute(sa.text(change)).rowcount == 1
    engine.dispose()

    found = told(world, order, "--strategy", "reader")

    assert not found["calls"][0]["is_intact"]
    shown = ask(world, order, "--strategy", "reader").output
    assert "TEXTS CHANGED" in " ".join(shown.replace("│", " ").split())


def test_a_bar_that_is_not_the_recorded_one_is_told(world: World) -> None:
    order = entry(world, "reader")
    where = {"symbol": order["symbol"], "session": order["session"].date()}
    bars = world.warehouse.read(BARS, where)
    bars["close"] = bars["low"]
    world.warehouse.replace(Replacement(BARS, bars[["symbol", "session"]], bars))

    found = told(world, str(order.name), "--strategy", "reader")

    assert found["bars"]["changed"] == [str(where["session"])]


def test_what_is_not_known_names_what_is(made: World) -> None:
    order, day = str(entry(made, "reader").name), made.lane_sessions[0]

    def refused(*words: str) -> str:
        result = ask(made, *words)
        assert result.exit_code == 2
        return result.output

    assert f"did you mean {order}?" in refused(order[:-1], "--strategy", "reader")
    assert "needs its SESSION" in refused("AAA", "--strategy", "reader")
    assert "AAA, BBB, CCC" in refused("ZZZ", str(day), "--strategy", "reader")
    past = refused("AAA", "2023-01-03", "--strategy", "reader")
    assert f"AAA has {DAYS}, {day} to {made.lane_sessions[DAYS - 1]}" in past
    assert "one of cross, reader" in refused(order, "--strategy", "nobody")
