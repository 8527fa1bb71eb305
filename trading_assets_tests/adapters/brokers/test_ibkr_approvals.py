"""Orders of a real account that wait for a person, over a real socket.

What is sent was approved, once, as it was shown, and while the price was where it was.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import override

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from trading_assets.adapters.ledger.approvals import ApprovalBook
from trading_assets.adapters.ledger.schema import APPROVAL_PROPOSALS, BOOK_TABLES
from trading_assets.core.deciding import Plan
from trading_assets.errors import (
    ApprovalClosed,
    GatewayUnreachable,
    NoAnswer,
    OrderUnresolved,
)
from trading_assets.models.approval import Approval, ApprovalState
from trading_assets.models.tables import ORDER_EVENTS, ORDERS
from trading_assets_tests.adapters.brokers.test_ibkr import (
    ACCOUNT,
    CALENDAR,
    CON_IDS,
    CONTRACT_DETAILS,
    DAYS,
    PRICES,
    Clock,
    Street,
    assert_balanced,
    told,
)
from trading_assets_tests.adapters.brokers.test_ibkr_storms import IN_A_STORM, IS_LONG
from trading_assets_tests.adapters.brokers.test_ibkr_watch import done, listed, look
from trading_assets_tests.fake_gateway import FakeGateway, Fault
from trading_assets_tests.make import Said, make_spec

MARKET_DATA = 1
NAME = "reference"
AN_HOUR = timedelta(hours=1)
ENTRY = f"{NAME}-{DAYS[0]}-AAA-entry"
EXIT = f"{NAME}-{DAYS[1]}-AAA-exit"
FAMILY = [f"{NAME}-{DAYS[0]}-AAA-{leg}" for leg in ("entry", "target", "stop")]
BRACKET = (Said(0, "AAA", "BUY", entry=10.0, stop=8.0, target=20.0),)


class Asking(Street):
    """A street whose strategy asks people before anything is sent."""

    rule = "required"
    max_drift_frac: float | None = 0.02

    @property
    @override
    def plan(self) -> Plan:
        execution = {
            "broker": "ibkr",
            "bracket": self.bracket,
            "approval": self.rule,
            "max_drift_frac": self.max_drift_frac,
        }
        return Plan.of(
            make_spec(
                universe=("AAA", "BBB"),
                capital=self.capital,
                sizing={"kind": "fixed_shares", "shares": 10},
                execution=execution,
            )
        )

    @property
    def approvals(self) -> ApprovalBook:
        return self.books.ledger.approvals

    def asked(self, order_id: str = ENTRY) -> Approval:
        """How *order_id* stands."""
        return self.approvals.called(order_id)[-1]

    def approve(self, order_id: str = ENTRY) -> None:
        self.approvals.approve(self.asked(order_id), "ann", "fine", self.clock())

    def events(self, order_id: str, count: int = 1) -> list[tuple[object, ...]]:
        """What happened to *order_id* in the first *count* days."""
        rows = self.rows(ORDER_EVENTS, count)
        return told(rows[rows["order_id"] == order_id], "status", "reason")


@pytest.fixture
def street(tmp_path: Path) -> Iterator[Asking]:
    clock = Clock()
    with FakeGateway(account=ACCOUNT, now=clock) as fake:
        yield furnished(Asking(tmp_path, fake, clock))


def furnished[S: Asking](street: S) -> S:
    for symbol, con_id in CON_IDS.items():
        street.fake.add_symbol(symbol, con_id=con_id)
        street.fake.price(symbol, PRICES[symbol][0])
    street.fake.close_market()
    return street


# Approved


def test_what_waits_is_decided_and_not_sent(street: Asking) -> None:
    street.said, street.bracket = BRACKET, True

    street.evening(0)
    street.evening(0)

    assert street.sent() == []
    rows = street.rows(ORDERS, 1)
    assert set(rows["status"]) == {"awaiting_approval"}
    assert (rows["broker_order_id"] == "").all()
    (asked,) = street.approvals.of(NAME, "ibkr")
    own = asked.proposal
    assert (own.account, own.close, own.order_id) == (ACCOUNT, 10.0, ENTRY)
    assert [ticket.order_id for ticket in own.tickets] == [FAMILY[0], FAMILY[2], FAMILY[1]]
    assert own.expires_at == CALENDAR.open_at(DAYS[1]) - timedelta(minutes=5)


def test_what_is_approved_is_sent_once_by_the_runs_that_follow(street: Asking) -> None:
    street.said, street.bracket = BRACKET, True
    street.evening(0)
    street.approve()

    street.evening(0)
    street.evening(0)

    assert street.sent() == FAMILY
    assert street.asked().state is ApprovalState.SUBMITTED
    rows = street.rows(ORDERS, 1)
    assert set(rows["status"]) == {"awaiting_approval"}
    assert (rows["broker_order_id"] != "").all()
    assert street.events(ENTRY) == [("approved", "approved by ann: fine"), ("working", "")]


def test_what_is_approved_fills_and_is_booked_as_ever(street: Asking) -> None:
    street.said = (Said(0, "AAA", "BUY"), Said(1, "AAA", "SELL"))
    street.evening(0)
    street.approve()
    street.evening(0)
    street.open(1)
    street.close(1)
    street.evening(1)
    street.approve(EXIT)
    street.evening(1)
    street.open(2)
    street.close(2)
    street.evening(2)

    assert street.sent() == [ENTRY, EXIT]
    assert [status for status, _ in street.events(EXIT, 3)] == [
        "approved",
        "working",
        "filled",
    ]
    assert_balanced(street, 3)


def test_only_what_is_approved_is_sent(street: Asking) -> None:
    street.said = (Said(0, "AAA", "BUY"), Said(0, "BBB", "BUY"))
    street.evening(0)
    street.approve()

    street.evening(0)

    assert street.sent() == [ENTRY]


def test_approving_twice_sends_once(street: Asking) -> None:
    street.evening(0)
    street.approve()
    street.evening(0)
    street.approve()

    street.evening(0)

    assert street.sent() == [ENTRY]


def test_entries_alone_wait_where_the_file_says_so(street: Asking) -> None:
    street.rule = "entries"
    street.said = (Said(0, "AAA", "BUY"), Said(1, "AAA", "SELL"))
    street.evening(0)
    street.approve()
    street.evening(0)
    street.open(1)
    street.close(1)

    street.evening(1)

    assert street.sent() == [ENTRY, EXIT]
    assert street.approvals.called(EXIT) == []


def test_an_exit_that_waits_leaves_the_legs_at_work(street: Asking) -> None:
    street.bracket = True
    street.said = (*BRACKET, Said(1, "AAA", "SELL"))
    street.evening(0)
    street.approve()
    street.evening(0)
    street.open(1)
    street.close(1)

    street.evening(1)
    at_work = {order.order_ref for order in street.fake.orders.values() if order.is_open}
    assert at_work == set(FAMILY[1:])
    street.approve(EXIT)
    street.evening(1)

    at_work = {order.order_ref for order in street.fake.orders.values() if order.is_open}
    assert at_work == {EXIT}


def test_legs_that_were_approved_are_missed_when_they_are_gone(street: Asking) -> None:
    street.said, street.bracket = BRACKET, True
    street.evening(0)
    street.approve()
    street.evening(0)
    street.open(1)
    look(street)
    with listed(street.clock) as another:
        another.hold("AAA", 10, 11.0)

        seen = look(street, "exit", fake=another)

        assert done(seen) == dict.fromkeys(
            (FAMILY[2], FAMILY[1]), "It was sent again and is working."
        )


# Killed in between


@pytest.mark.parametrize("fault", [Fault.DROP_BEFORE_PLACE, Fault.LOST_ORDER])
def test_what_was_approved_and_did_not_arrive_is_sent_as_itself(
    street: Asking, fault: Fault
) -> None:
    street.patience = IN_A_STORM
    street.evening(0)
    street.approve()
    street.fake.inject(fault)

    street.evening(0)
    street.evening(0)

    assert street.sent() == [ENTRY]
    assert street.asked().state is ApprovalState.SUBMITTED


class Killed(BaseException):
    """As a process is: nothing catches it."""


def test_a_run_that_is_killed_after_sending_leaves_one_order_and_one_word(
    street: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    street.evening(0)
    street.approve()

    def die(*_: object) -> bool:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(ApprovalBook, "note", die)
        with pytest.raises(Killed):
            street.evening(0)
    assert street.sent() == [ENTRY]
    assert street.asked().state is ApprovalState.APPROVED
    street.evening(0)

    assert street.sent() == [ENTRY]
    assert street.asked().state is ApprovalState.SUBMITTED


def test_a_gateway_that_is_down_keeps_an_approval_for_later(street: Asking) -> None:
    street.evening(0)
    street.approve()
    street.fake.stop_listening()
    with pytest.raises(GatewayUnreachable):
        street.evening(0)
    assert street.asked().may_be_sent
    street.fake.start_listening()

    street.evening(0)

    assert street.sent() == [ENTRY]


# Not approved


def test_what_is_rejected_is_never_sent(street: Asking) -> None:
    street.evening(0)
    street.approvals.reject(street.asked(), "bob", "too early", street.clock())

    street.evening(0)
    street.open(1)
    street.close(1)
    street.evening(1)

    assert street.sent() == []
    assert street.events(ENTRY, 2) == [("rejected", "rejected by bob: too early")]


def test_what_nobody_has_approved_expires_and_says_so(street: Asking) -> None:
    street.evening(0)
    street.open(1)
    street.close(1)

    street.evening(1)

    assert street.sent() == []
    assert street.asked().state is ApprovalState.EXPIRED
    assert street.events(ENTRY, 2) == [
        ("expired", "expired: nobody had approved it by 2024-01-03 14:25 UTC")
    ]


def test_nobody_can_approve_what_is_too_late(street: Asking) -> None:
    street.evening(0)
    street.clock.now = CALENDAR.open_at(DAYS[1]) - timedelta(minutes=5)

    with pytest.raises(ApprovalClosed, match=f"^expired: {ENTRY}"):
        street.approve()
    street.evening(0)

    assert street.sent() == []


def test_what_was_approved_in_time_and_not_sent_in_time_is_too_late(
    street: Asking,
) -> None:
    street.evening(0)
    street.approve()
    street.clock.now = CALENDAR.open_at(DAYS[1]) - timedelta(minutes=5)

    street.evening(0)

    assert street.sent() == []
    assert street.asked().state is ApprovalState.REFUSED
    assert street.events(ENTRY)[-1][0] == "cancelled"
    assert str(street.events(ENTRY)[-1][1]).startswith("too_late: ")


def test_what_expired_is_decided_anew_when_it_is_still_wanted(street: Asking) -> None:
    street.said = (Said(0, "AAA", "BUY"), Said(1, "AAA", "BUY"))
    street.evening(0)
    street.open(1)
    street.close(1)
    street.evening(1)
    street.approve(f"{NAME}-{DAYS[1]}-AAA-entry")

    street.evening(1)

    assert street.sent() == [f"{NAME}-{DAYS[1]}-AAA-entry"]


def test_what_was_refused_is_put_to_nobody(street: Asking) -> None:
    street.halted = lambda _: "by ann"

    street.evening(0)

    assert list(street.rows(ORDERS, 1)["status"]) == ["refused"]
    assert street.approvals.of(NAME, "ibkr") == []


# Something comes in between


def refused_after_approval(street: Asking, change: Callable[[], object]) -> str:
    """Why an approved entry was not sent once *change* had happened."""
    street.evening(0)
    street.approve()
    change()
    street.evening(0)
    street.evening(0)
    assert street.sent() == []
    asked = street.asked()
    assert asked.state is ApprovalState.REFUSED
    status, reason = street.events(ENTRY)[-1]
    assert (status, reason) == ("cancelled", asked.rulings[-1].why)
    return asked.rulings[-1].why


def test_a_halt_in_between_refuses_what_was_approved(street: Asking) -> None:
    def halt() -> None:
        street.halted = lambda _: "by ann"

    assert refused_after_approval(street, halt) == "halt: by ann"


def test_a_strange_position_in_between_refuses_what_was_approved(street: Asking) -> None:
    why = refused_after_approval(street, lambda: street.fake.hold("AAA", 5, 9.0))

    assert why.startswith("positions_agree: AAA")


@pytest.mark.parametrize("price", [9.7, 10.3])
def test_a_price_that_has_run_away_refuses_what_was_approved(
    street: Asking, price: float
) -> None:
    why = refused_after_approval(street, lambda: street.fake.price("AAA", price))

    frac = "-3.00%" if price < 10 else "+3.00%"
    assert why == (
        f"drift: {price:g} is {frac} from the close 10 that was approved, "
        "max_drift_frac 0.02"
    )


def test_a_price_within_the_limit_refuses_nothing(street: Asking) -> None:
    street.evening(0)
    street.approve()
    street.fake.price("AAA", 10.2)

    street.evening(0)

    assert street.sent() == [ENTRY]


def test_no_price_is_asked_for_where_there_is_no_limit(street: Asking) -> None:
    street.max_drift_frac = None
    street.evening(0)
    street.approve()
    street.fake.price("AAA", 20.0)

    street.evening(0)

    assert street.sent() == [ENTRY]
    assert not [it for it in street.fake.received if it.message_id == MARKET_DATA]


def test_an_exit_is_sent_however_far_the_price_has_run(street: Asking) -> None:
    street.said = (Said(0, "AAA", "BUY"), Said(1, "AAA", "SELL"))
    street.evening(0)
    street.approve()
    street.evening(0)
    street.open(1)
    street.close(1)
    street.evening(1)
    street.approve(EXIT)
    street.fake.price("AAA", 5.0)

    street.evening(1)

    assert street.sent() == [ENTRY, EXIT]


def test_a_price_that_may_not_be_told_refuses_what_was_approved(street: Asking) -> None:
    def forbid() -> None:
        street.fake.inject(Fault.NO_PERMISSION, message=MARKET_DATA)

    why = refused_after_approval(street, forbid)

    assert why.startswith("drift: the broker tells no price of AAA: ")


def test_a_price_that_nobody_answers_for_is_waited_for(
    street: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    street.said = (Said(0, "AAA", "BUY"), Said(0, "BBB", "BUY"))
    street.evening(0)
    street.approve()
    street.approve(f"{NAME}-{DAYS[0]}-BBB-entry")
    monkeypatch.setattr(
        "trading_assets.adapters.ibkr.quotes.latest_price.__defaults__", (0.5,)
    )
    street.fake.inject(Fault.NO_ANSWER, message=MARKET_DATA)

    with pytest.raises(OrderUnresolved, match=f"{ENTRY} waits for a price"):
        street.evening(0)
    assert street.sent() == [f"{NAME}-{DAYS[0]}-BBB-entry"]
    assert street.asked().may_be_sent
    street.evening(0)

    assert ENTRY in street.sent()


def test_another_content_than_the_approved_one_is_refused_by_name(street: Asking) -> None:
    def tamper() -> None:
        orders = BOOK_TABLES["orders"]
        with street.approvals._engine.begin() as connection:
            connection.execute(sa.update(orders).values(shares=11))

    why = refused_after_approval(street, tamper)

    assert why.startswith("not_as_approved: ")
    assert "was approved by ann: fine" in why


def test_an_approval_for_another_account_is_none_for_this_one(street: Asking) -> None:
    def move() -> None:
        wanted = sa.update(APPROVAL_PROPOSALS).values(payload_hash="of another account")
        with street.approvals._engine.begin() as connection:
            connection.execute(wanted)

    assert refused_after_approval(street, move).startswith("not_as_approved: ")


def test_what_was_decided_before_people_were_asked_is_not_sent_without_them(
    street: Asking,
) -> None:
    street.rule = "none"
    street.answer_seconds = 0.2
    street.fake.inject(Fault.NO_ANSWER, message=CONTRACT_DETAILS, times=2)
    with pytest.raises(NoAnswer):
        street.evening(0)
    street.answer_seconds = 30.0
    street.rule = "required"

    street.evening(0)

    assert street.sent() == []
    assert street.events(ENTRY) == [("cancelled", "not_approved: nobody was asked")]


def test_a_strategy_that_is_flattened_sends_nothing_that_was_approved(
    street: Asking,
) -> None:
    street.said = (Said(0, "AAA", "BUY"), Said(0, "BBB", "BUY"))
    street.evening(0)
    street.approve()

    street.broker.flatten(NAME, "bob", "enough")
    street.evening(0)

    assert street.sent() == []
    states = [it.state for it in street.approvals.of(NAME, "ibkr")]
    assert states == [ApprovalState.SUPERSEDED] * 2
    street.open(1)
    street.close(1)
    street.evening(1)
    assert street.events(ENTRY, 2) == [
        ("approved", "approved by ann: fine"),
        ("cancelled", "superseded by bob: flatten: enough"),
    ]


def test_flatten_takes_no_id_that_a_person_is_asked_about(street: Asking) -> None:
    street.said = (Said(0, "AAA", "BUY"), Said(1, "AAA", "SELL"))
    street.evening(0)
    street.approve()
    street.evening(0)
    street.open(1)
    street.close(1)
    street.evening(1)

    done = street.broker.flatten(NAME, "bob", "enough")

    assert [it.order_id for it in done.sent] == [f"{EXIT}-2"]
    assert street.asked(EXIT).state is ApprovalState.SUPERSEDED


# Whatever happens


NOT_NOW = (GatewayUnreachable, NoAnswer, OrderUnresolved, ApprovalClosed)
SAID = tuple(
    Said(day, symbol, action)
    for day in range(6)
    for symbol, action in (("AAA", "SELL" if day % 2 else "BUY"), ("BBB", "BUY"))
)


class Anything(Asking):
    """A street on which anything may be said and done, in any order."""

    def __init__(self, home: Path, fake: FakeGateway, clock: Clock) -> None:
        super().__init__(home, fake, clock)
        self.said, self.patience, self.today = SAID, IN_A_STORM, 0
        self.answer_seconds = 5.0

    def trade(self) -> None:
        self.evening(self.today)

    def approve_one(self) -> None:
        for asked in self.unanswered()[:1]:
            self.approvals.approve(asked, "ann", "because", self.clock())

    def reject_one(self) -> None:
        for asked in self.unanswered()[:1]:
            self.approvals.reject(asked, "bob", "because", self.clock())

    def unanswered(self) -> list[Approval]:
        return [it for it in self.approvals.of(NAME, "ibkr") if not it.rulings]

    def expire(self) -> None:
        self.approvals.expire(self.clock())

    def wait(self) -> None:
        self.clock.now += 4 * AN_HOUR

    def next_day(self) -> None:
        self.today = min(self.today + 1, 5)
        self.open(self.today)
        self.close(self.today)
        self.fake.end_day()

    def run_away(self) -> None:
        self.fake.price("AAA", PRICES["AAA"][self.today] * 1.5)

    def come_back(self) -> None:
        self.fake.price("AAA", PRICES["AAA"][self.today])

    def halt(self) -> None:
        self.halted = lambda _: "by ann"

    def resume(self) -> None:
        self.halted = lambda _: ""

    def cut_off(self) -> None:
        self.fake.inject(Fault.DROP_BEFORE_PLACE)

    def swallow(self) -> None:
        self.fake.inject(Fault.LOST_ORDER)

    def flatten(self) -> None:
        self.broker.flatten(NAME, "bob", "enough")


STEPS = st.lists(
    st.sampled_from(
        [
            *[Anything.trade, Anything.approve_one] * 3,
            Anything.reject_one,
            Anything.expire,
            Anything.wait,
            Anything.next_day,
            Anything.run_away,
            Anything.come_back,
            Anything.halt,
            Anything.resume,
            Anything.cut_off,
            Anything.swallow,
            Anything.flatten,
        ]
    ),
    min_size=4,
    max_size=14,
)


@given(steps=STEPS)
@settings(max_examples=60 if IS_LONG else 4, deadline=None)
def test_no_order_is_ever_sent_that_nobody_has_approved(
    steps: list[Callable[[Anything], None]],
) -> None:
    clock = Clock()
    begin, end = [Anything.trade, Anything.approve_one], [Anything.trade]
    with TemporaryDirectory() as home, FakeGateway(account=ACCOUNT, now=clock) as fake:
        street = furnished(Anything(Path(home), fake, clock))
        for step in [*begin, *steps, *end]:
            with suppress(*NOT_NOW):
                step(street)
        assert_all_approved(street, with_exits_by_hand=Anything.flatten in steps)


def assert_all_approved(street: Anything, *, with_exits_by_hand: bool) -> None:
    """Each order at the gateway is there once, as somebody had approved it before."""
    approved = {
        ticket.order_id: asked
        for asked in street.approvals.of(NAME, "ibkr")
        if asked.answer and asked.answer.state is ApprovalState.APPROVED
        for ticket in asked.proposal.tickets
    }
    sent = street.sent()
    assert len(sent) == len(set(sent))
    for ref in sent:
        if ref not in approved:
            assert with_exits_by_hand
            assert "-exit" in ref
            assert street.approvals.called(ref) == []
            continue
        own, intent = approved[ref], street.books.intents.known([ref])[ref]
        assert intent.ticket in own.proposal.tickets
        assert own.answer is not None
        assert own.answer.at <= intent.recorded_at
