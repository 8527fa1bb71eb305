"""Reconciling and getting out at the prompt, against a gateway over a real socket."""

import shutil
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from trading_assets.adapters.ibkr import orders
from trading_assets.adapters.ibkr.gateway import GatewaySettings
from trading_assets.adapters.ibkr.session import Books, trading_session
from trading_assets.cli import main
from trading_assets.models.intent import OrderTicket
from trading_assets_tests.fake_gateway import FakeGateway
from trading_assets_tests.fake_gateway.faults import Fault
from trading_assets_tests.make_intents import make_order_ticket

ACCOUNT = "DU1234567"
HASTY = (1.0, 0.05)
"""Seconds that the desk waits, in the order of its `Patience`."""

PAPER = """\
name: trend
universe: [AAPL]
start: 2026-11-02
analyst: {kind: rules, rule: breakout}
execution: {broker: ibkr}
"""


class Prompt:
    """A home with a strategy at a gateway, and what is answered in it."""

    def __init__(self, home: Path, fake: FakeGateway) -> None:
        (home / "strategies").mkdir(parents=True)
        (home / "strategies" / "trend.yaml").write_text(PAPER)
        self.home, self.fake = home, fake
        self.books = Books.open(home / "ledger.db")
        self.environment = {
            "TRADING_HOME": str(home),
            "TRADING_STRATEGIES": str(home / "strategies"),
            "IBKR_PORT": str(fake.port),
            "IBKR_ACCOUNT": ACCOUNT,
            "IBKR_READONLY": "no",
            "LOGNAME": "ina",
            "COLUMNS": "200",
        }

    def __call__(self, *words: str, **environment: str) -> Result:
        given = {**self.environment, **environment}
        return CliRunner().invoke(main, words, env=given)

    def bought(self, *tickets: OrderTicket) -> None:
        """Have the orders sent, as a strategy does."""
        settings = GatewaySettings(
            port=self.fake.port, client_id=1, account=ACCOUNT, readonly=False
        )
        with trading_session(
            settings, self.books, wait_seconds=5, splits=list, may_send=lambda _: ""
        ) as session:
            session.desk.submit(tickets or [make_order_ticket()])


@pytest.fixture
def prompt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Prompt]:
    monkeypatch.setattr(orders.Patience.__init__, "__defaults__", HASTY)
    with FakeGateway(account=ACCOUNT) as fake:
        fake.add_symbol("AAPL", con_id=265598)
        fake.price("AAPL", 100.0)
        yield Prompt(tmp_path / "home", fake)


def test_an_account_that_is_as_we_know_it_agrees(prompt: Prompt) -> None:
    prompt.bought()

    result = prompt("reconcile")

    assert result.exit_code == 0, result.output
    assert "AAPL" in result.output
    assert "positions agree" in result.output


def test_what_can_not_be_explained_is_shown_and_is_a_failure(prompt: Prompt) -> None:
    prompt.fake.trade_by_hand("AAPL", "BUY", 5)

    result = prompt("reconcile")

    assert result.exit_code == 1
    assert "AAPL: the broker holds 5, fills, corporate actions" in result.output
    assert "traded by others: BUY 5 at 100" in result.output


def test_what_is_adopted_is_known_from_then_on_with_who_and_why(prompt: Prompt) -> None:
    prompt.fake.hold("AAPL", 3, 90.0)
    prompt.fake.trade_by_hand("AAPL", "BUY", 5)

    adopted = prompt("reconcile", "--adopt", "--why", "my own")
    again = prompt("reconcile")

    assert adopted.exit_code == 0, adopted.output
    assert "adopted as external_trade: +5 AAPL, by ina: my own" in adopted.output
    assert "adopted as baseline: +3 AAPL, by ina: my own" in adopted.output
    assert again.exit_code == 0, again.output
    kept = prompt.books.accounts.adoptions(ACCOUNT)
    assert [(it.who, it.why, it.shares) for it in kept] == [
        ("ina", "my own", 5.0),
        ("ina", "my own", 3.0),
    ]


def test_adopting_without_a_reason_is_bad_input(prompt: Prompt) -> None:
    result = prompt("reconcile", "--adopt")

    assert result.exit_code == 2
    assert "--why must say why" in result.output


def test_a_read_only_environment_compares_positions_and_asks_of_no_order(
    prompt: Prompt,
) -> None:
    prompt.fake.hold("AAPL", 3, 90.0)

    result = prompt("reconcile", IBKR_READONLY="yes")

    assert result.exit_code == 1
    assert "orders: not asked about" in result.output
    assert "the broker holds 3" in result.output


def test_an_order_that_is_missing_is_settled_by_a_person(prompt: Prompt) -> None:
    prompt.bought(make_order_ticket(limit_price=90.0))
    prompt.fake.book.orders.clear()  # as if the gateway had never had it
    order_id = make_order_ticket().order_id

    missing = prompt("reconcile")
    settled = prompt("reconcile", "--settle", order_id, "--why", "never there")

    assert missing.exit_code == 1
    assert f"missing: {order_id}" in missing.output
    assert settled.exit_code == 0, settled.output
    assert f"{order_id} is settled: cancelled" in settled.output


def test_without_a_strategy_that_is_traded_outside_there_is_nothing_to_do(
    prompt: Prompt,
) -> None:
    shutil.rmtree(prompt.home / "strategies")
    (prompt.home / "strategies").mkdir()
    simulated = PAPER.replace("broker: ibkr", "broker: simulated")
    (prompt.home / "strategies" / "trend.yaml").write_text(simulated)

    assert prompt("reconcile").exit_code == 2
    assert prompt("flatten", "trend", "--why", "enough").exit_code == 2
    assert prompt.books.ledger.halts.all_standing() == []


def test_a_gateway_that_is_down_fails_and_says_so(prompt: Prompt) -> None:
    prompt.fake.stop_listening()

    result = prompt("reconcile")

    assert result.exit_code == 1
    assert f"gateway 127.0.0.1:{prompt.fake.port}" in result.output


def test_real_money_is_not_traded_without_all_three(prompt: Prompt) -> None:
    result = prompt("reconcile", IBKR_ACCOUNT="U1234567", IBKR_PORT="4001")

    assert result.exit_code == 1
    assert "U1234567 has real money" in result.output
    assert "they say nothing and nothing" in result.output


def test_flatten_halts_and_sells_what_is_held(prompt: Prompt) -> None:
    prompt.bought()

    result = prompt("flatten", "trend", "--why", "enough")

    assert result.exit_code == 0, result.output
    assert "trend: SELL 10 AAPL at the market" in result.output
    assert "AAPL" not in prompt.fake.positions
    halt = prompt.books.ledger.halts.standing("trend")
    assert halt is not None
    assert (halt.who, halt.why) == ("ina", "flatten: enough")


def test_flatten_leaves_alone_what_is_not_certain(prompt: Prompt) -> None:
    prompt.bought()
    prompt.bought(make_order_ticket(session=date(2026, 11, 20), limit_price=90.0))
    prompt.fake.inject(Fault.NO_ANSWER, message=4)

    result = prompt("flatten", "trend", "--why", "enough")

    assert result.exit_code == 1
    assert "trend: left alone: AAPL: " in result.output
    assert prompt.fake.positions["AAPL"].shares == 10
