"""Approving and rejecting at the prompt: what is shown, what is said, what is refused."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from trading_assets.adapters.ledger.approvals import ApprovalBook
from trading_assets.cli import main
from trading_assets.models.approval import Approval, ApprovalState
from trading_assets_tests.fake_gateway import FakeGateway, Fault
from trading_assets_tests.make_approvals import make_proposal, propose
from trading_assets_tests.make_intents import ACCOUNT, make_bracket, make_order_ticket

SOON = timedelta(hours=3, minutes=12, seconds=30)
ENTRY = make_order_ticket().order_id


class Prompt:
    """A home of its own with what waits in it, and what is answered there."""

    def __init__(self, home: Path) -> None:
        self.place = home / "ledger.db"
        self.environment = {"TRADING_HOME": str(home), "COLUMNS": "250"}
        self.book = ApprovalBook.open(self.place)

    def __call__(self, *words: str, **environment: str) -> Result:
        given = {**self.environment, "LOGNAME": "ina", **environment}
        return CliRunner().invoke(main, ["approvals", *words], env=given)

    def asks(
        self, symbol: str = "AAPL", left: timedelta = SOON, **changes: object
    ) -> Approval:
        """An entry that waits with its legs, for as long as is *left*."""
        now = datetime.now(UTC)
        tickets = make_bracket(symbol, **changes)
        own = make_proposal(tickets, proposed_at=now - SOON, expires_at=now + left)
        return propose(self.place, own, at=now - SOON)[0]

    def state(self, order_id: str = ENTRY) -> ApprovalState:
        return self.book.called(order_id)[-1].state


@pytest.fixture
def prompt(tmp_path: Path) -> Iterator[Prompt]:
    prompt = Prompt(tmp_path)
    yield prompt
    prompt.book.close()


def test_what_waits_is_listed_with_all_that_is_asked(prompt: Prompt) -> None:
    assert prompt("list").output.splitlines() == ["nothing waits for approval"]
    prompt.asks()

    result = prompt("list")

    assert result.exit_code == 0, result.output
    assert "Waiting for approval" in result.output
    for told in (
        ENTRY,
        "BUY 10 AAPL (entry, limit 100, stop 95, target 110), worth 1,000.00 at 100",
        "3 h 12 min",
        "it rises",
    ):
        assert told in result.output


def test_what_was_decided_lately_is_listed_with_who_has(prompt: Prompt) -> None:
    prompt.asks()
    prompt.asks("MSFT", left=timedelta(minutes=-5))
    prompt.asks("OLD", left=timedelta(days=-8))
    prompt("reject", ENTRY, "--why", "too early", "--who", "jan")

    lines = prompt("list").output.splitlines()

    assert lines[:2] == ["nothing waits for approval", "Decided lately"]
    told = "\n".join(lines)
    assert "rejected by jan: too early" in told
    assert "MSFT" in told
    assert "expired" in told
    assert "OLD" not in told


def test_one_strategys_own_is_listed_alone(prompt: Prompt) -> None:
    prompt.asks()
    prompt.asks("MSFT", strategy="other")

    told = prompt("list", "--strategy", "other").output

    assert "MSFT" in told
    assert "AAPL" not in told


def test_one_order_is_shown_with_its_reasons_and_what_was_said(prompt: Prompt) -> None:
    asked = prompt.asks()
    prompt("approve", ENTRY, "--why", "fine", "--who", "jan")

    told = prompt("show", ENTRY).output

    assert told.startswith(f"{ENTRY}  approved by jan: fine")
    for line in (
        "why        BUY with score 64; fixed_shares 10.00 -> 10",
        "analyst    it rises",
        f"hash       {asked.proposal.payload_hash}",
        "drift      not known: a simulated book has no price before the next open",
    ):
        assert line in told


def test_an_approval_is_recorded_with_who_and_why(prompt: Prompt) -> None:
    prompt.asks()

    result = prompt("approve", ENTRY, "--why", "looks  fine")

    assert result.exit_code == 0, result.output
    assert f"{ENTRY} approved by ina: looks fine" in result.output
    assert "A simulated book trades it at the next open" in result.output
    assert prompt.state() is ApprovalState.APPROVED


def test_approving_again_changes_nothing_and_says_who_did(prompt: Prompt) -> None:
    prompt.asks()
    prompt("approve", ENTRY, "--why", "fine", "--who", "jan")

    result = prompt("approve", ENTRY, "--why", "me too")

    assert result.exit_code == 0
    assert f"{ENTRY} already approved by jan: fine" in result.output
    assert len(prompt.book.called(ENTRY)[0].rulings) == 1


def test_contradicting_somebody_is_told_and_fails(prompt: Prompt) -> None:
    prompt.asks()
    prompt("reject", ENTRY, "--why", "too early", "--who", "jan")

    result = prompt("approve", ENTRY, "--why", "fine")

    assert result.exit_code == 1
    assert f"{ENTRY} was rejected by jan: too early (at " in result.stderr
    assert prompt.state() is ApprovalState.REJECTED


def test_what_is_over_can_not_be_approved(prompt: Prompt) -> None:
    prompt.asks(left=timedelta(seconds=-1))

    result = prompt("approve", ENTRY, "--why", "fine")

    assert result.exit_code == 1
    assert f"expired: {ENTRY} could be approved until" in result.stderr
    assert prompt.state() is ApprovalState.PROPOSED


def test_everything_that_waits_is_answered_at_once(prompt: Prompt) -> None:
    orders = [prompt.asks(symbol).proposal.order_id for symbol in ("AAPL", "MSFT")]
    over = prompt.asks("KO", left=timedelta(seconds=-1)).proposal.order_id

    result = prompt("approve", "--all", "--why", "fine")

    assert result.exit_code == 0, result.output
    assert [prompt.state(own) for own in orders] == [ApprovalState.APPROVED] * 2
    assert prompt.state(over) is ApprovalState.PROPOSED


def test_everything_of_one_strategy_is_answered_alone(prompt: Prompt) -> None:
    prompt.asks()
    other = prompt.asks("MSFT", strategy="other").proposal.order_id

    prompt("reject", "--all", "--strategy", "other", "--why", "no")

    assert prompt.state() is ApprovalState.PROPOSED
    assert prompt.state(other) is ApprovalState.REJECTED


def test_of_several_the_others_are_answered_when_one_is_closed(prompt: Prompt) -> None:
    prompt.asks()
    other = prompt.asks("MSFT").proposal.order_id
    prompt("reject", ENTRY, "--why", "no")

    result = prompt("approve", ENTRY, other, "--why", "fine")

    assert result.exit_code == 1
    assert prompt.state(other) is ApprovalState.APPROVED


@pytest.mark.parametrize("command", ["approve", "reject"])
@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "name an ORDER_ID, or say --all"),
        (("no-such-order",), "no order no-such-order was ever to be approved"),
        ((make_order_ticket().order_id, "--all"), "name an ORDER_ID, or say --all"),
        (("--strategy", "trend"), "name an ORDER_ID, or say --all"),
        (
            (make_order_ticket().order_id.replace("entry", "stop"),),
            f"goes with its entry: name {ENTRY}",
        ),
    ],
)
def test_what_is_not_clear_is_refused(
    prompt: Prompt, command: str, words: tuple[str, ...], said: str
) -> None:
    prompt.asks()

    result = prompt(command, *words, "--why", "because")

    assert result.exit_code == 2
    assert said in result.stderr
    assert prompt.state() is ApprovalState.PROPOSED


@pytest.mark.parametrize("why", [(), ("--why", " ")])
def test_a_reason_must_be_given(prompt: Prompt, why: tuple[str, ...]) -> None:
    prompt.asks()

    result = prompt("approve", ENTRY, *why)

    assert result.exit_code == 2
    assert "--why" in result.stderr
    assert prompt.state() is ApprovalState.PROPOSED


def test_an_order_that_nobody_knows_is_no_input(prompt: Prompt) -> None:
    result = prompt("show", "no-such-order")

    assert result.exit_code == 2
    assert "no order no-such-order was ever to be approved; waiting: none" in result.stderr


def test_sending_is_for_strategies_that_are_traded_outside(prompt: Prompt) -> None:
    result = prompt("send", "--strategy", "breakout")

    assert result.exit_code == 2
    assert "must be one that is traded outside (there is none), was breakout" in (
        result.stderr
    )


# At a real account


@pytest.fixture
def gateway() -> Iterator[FakeGateway]:
    with FakeGateway(account=ACCOUNT) as fake:
        fake.add_symbol("AAPL", con_id=1)
        yield fake


def shown(prompt: Prompt, gateway: FakeGateway) -> str:
    """The line about the drift of an entry that waits at an account."""
    now = datetime.now(UTC)
    own = make_proposal(account=ACCOUNT, proposed_at=now, expires_at=now + SOON)
    propose(prompt.place, own, at=now)
    told = prompt("show", ENTRY, IBKR_PORT=str(gateway.port), IBKR_ACCOUNT=ACCOUNT)
    assert told.exit_code == 0, told.output
    return next(line for line in told.output.splitlines() if line.startswith("drift"))


def test_how_far_the_price_has_run_is_asked_of_the_gateway(
    prompt: Prompt, gateway: FakeGateway
) -> None:
    gateway.price("AAPL", 103.0)

    assert shown(prompt, gateway) == "drift      +3.00%: 103, the close was 100"


def test_a_gateway_that_tells_no_price_says_why(
    prompt: Prompt, gateway: FakeGateway
) -> None:
    gateway.price("AAPL", 103.0)
    gateway.inject(Fault.NO_PERMISSION, message=1)

    assert "not known: price of AAPL: refused with 354" in shown(prompt, gateway)


def test_a_gateway_that_is_down_shows_the_rest_all_the_same(
    prompt: Prompt, gateway: FakeGateway
) -> None:
    gateway.stop_listening()

    assert shown(prompt, gateway).startswith("drift      not known: gateway 127.0.0.1")


def test_who_approves_at_a_real_account_is_told_who_sends(prompt: Prompt) -> None:
    now = datetime.now(UTC)
    own = make_proposal(account=ACCOUNT, proposed_at=now, expires_at=now + SOON)
    propose(prompt.place, own, at=now)

    result = prompt("approve", ENTRY, "--why", "fine")

    assert "trading-assets approvals send --strategy trend" in result.output
