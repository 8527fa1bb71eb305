import asyncio
import multiprocessing
import queue
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from trading_assets.adapters.ibkr.gateway import Gateway, GatewaySettings
from trading_assets.adapters.ibkr.guards import Listener
from trading_assets.adapters.ibkr.library import (
    IB,
    CommissionReport,
    Contract,
    Execution,
    LimitOrder,
    MarketOrder,
    Order,
    OrderState,
    Stock,
    Trade,
)
from trading_assets.errors import (
    GatewayUnreachable,
    InvalidInput,
    NoAnswer,
    OrdersPaused,
    ReadOnlyGateway,
    RequestRefused,
    WrongAccount,
)
from trading_assets_tests.adapters.ibkr.conftest import ACCOUNT, SettingsFor
from trading_assets_tests.adapters.ibkr.wire_peer import (
    ACCOUNTS,
    LINK_LOST,
    LINK_RESTORED,
    VERSION,
    framed,
    peer,
    unused_port,
)
from trading_assets_tests.fake_gateway import FakeGateway, Fault

START, TIME, DETAILS, PLACE, ACCOUNT_SUMMARY = 71, 49, 9, 3, 62
OPEN_ORDERS, ALL_OPEN_ORDERS, COMPLETED, EXECUTIONS = 5, 16, 99, 7
WITHIN_SECONDS = 20.0
AAPL = Stock("AAPL", "SMART", "USD")


@dataclass
class Ears(Listener):
    """Notes all it is told; a test waits for what it expects."""

    said: "queue.Queue[tuple[str, Any]]" = field(default_factory=queue.Queue)

    def on_open_order(self, contract: Contract, order: Order, state: OrderState) -> None:
        del contract
        self.said.put(("open", (order.orderId, order.permId, state.status)))

    def on_status(self, order_id: int, status: str, *_rest: Any) -> None:
        self.said.put(("status", (order_id, status)))

    def on_execution(self, contract: Contract, execution: Execution) -> None:
        del contract
        self.said.put(("execution", execution.execId))

    def on_commission(self, report: CommissionReport) -> None:
        self.said.put(("commission", report.execId))

    def on_notice(self, code: int, text: str, order_id: int) -> None:
        del text
        self.said.put(("notice", (code, order_id)))

    def on_resume(self) -> None:
        self.said.put(("resume", None))

    def on_lost(self, reason: str) -> None:
        self.said.put(("lost", reason))

    def until(self, kind: str, what: Any = ...) -> list[tuple[str, Any]]:
        """All that was said up to and with *kind*."""
        heard: list[tuple[str, Any]] = []
        while not heard or heard[-1][0] != kind or what not in {..., heard[-1][1]}:
            heard.append(self.said.get(timeout=WITHIN_SECONDS))
        return heard


def the_time(ib: IB) -> Awaitable[datetime]:
    return ib.reqCurrentTimeAsync()


def asked(fake: FakeGateway, message: int) -> int:
    return sum(one.message_id == message for one in fake.received)


def threads() -> set[str]:
    return {one.name for one in threading.enumerate() if one.name.startswith("gateway-")}


def buy(shares: int = 10, limit: float | None = None, **terms: Any) -> Order:
    given = {"account": ACCOUNT, "tif": "DAY", **terms}
    if limit is None:
        return MarketOrder("BUY", shares, **given)
    return LimitOrder("BUY", shares, limit, **given)


def placed(gateway: Gateway, order: Order) -> Trade:
    order.orderId = gateway.order_ids(1)[0]
    contract = Stock("AAPL", "SMART", "USD", conId=265598)
    return gateway.tell(lambda ib: ib.placeOrder(contract, order))


# Settings


@pytest.mark.parametrize(
    ("port", "account"),
    [
        (4002, "DU1234567"),
        (7497, "DUT123456"),
        (4001, "U1234567"),
        (7496, "U1234567"),
        (4004, "DU1234567"),
        (4003, "U1234567"),
        (4099, "DU1234567"),
    ],
)
def test_account_and_port_agree(port: int, account: str) -> None:
    assert GatewaySettings(port=port, client_id=1, account=account).readonly


@pytest.mark.parametrize(
    ("port", "account"),
    [
        (4002, "U1234567"),
        (7497, "U1234567"),
        (4001, "DU1234567"),
        (7496, "DU1234567"),
        (4004, "U1234567"),
        (4003, "DU1234567"),
        (4099, "U1234567"),
        (4002, ""),
        (4001, ""),
        (4001, "F1234567"),
        (4002, "DU1234567,U1"),
    ],
)
def test_an_account_that_does_not_fit_its_port_is_refused(port: int, account: str) -> None:
    with pytest.raises(WrongAccount, match=f"port {port} is for") as refusal:
        GatewaySettings(port=port, client_id=1, account=account)

    assert repr(account) in str(refusal.value)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"port": 0}, "port must be 1 to 65535, was 0"),
        ({"port": 65536}, "port must be 1 to 65535"),
        ({"client_id": 0}, "client_id must be 1 or above, was 0"),
        ({"connect_seconds": 0.0}, "connect_seconds must be above 0"),
        ({"answer_seconds": -1.0}, "answer_seconds must be above 0"),
    ],
)
def test_a_number_outside_its_range_is_refused(changed: dict[str, Any], said: str) -> None:
    given: dict[str, Any] = {"port": 4002, "client_id": 1, "account": ACCOUNT}

    with pytest.raises(InvalidInput, match=said):
        GatewaySettings(**{**given, **changed})


# Opening


def test_a_question_is_answered(looking: Gateway, fake: FakeGateway) -> None:
    answer = looking.ask(the_time, "the time")

    assert abs((datetime.now(UTC) - answer).total_seconds()) < 60
    assert looking.state.connected
    assert fake.client_ids == {7}


def test_looking_on_asks_for_no_orders(looking: Gateway, fake: FakeGateway) -> None:
    looking.ask(the_time, "the time")

    assert [one.message_id for one in fake.received] == [START, TIME]


def test_trading_begins_with_the_orders_and_then_the_executions(
    trading: Gateway, fake: FakeGateway
) -> None:
    trading.ask(the_time, "the time")

    begun = [START, OPEN_ORDERS, COMPLETED, EXECUTIONS, TIME]
    assert [one.message_id for one in fake.received] == begun


def test_an_account_that_is_not_reported_is_refused(settings_for: SettingsFor) -> None:
    with pytest.raises(WrongAccount, match="reports DU1234567, not DU7654321"):
        Gateway.open(settings_for(account="DU7654321"))

    assert not threads()


def test_nobody_there_is_said_at_once(settings_for: SettingsFor) -> None:
    settings = settings_for(port=unused_port(), connect_seconds=600)

    with pytest.raises(GatewayUnreachable, match=f":{settings.port}"):
        Gateway.open(settings)

    assert not threads()


@pytest.mark.parametrize(
    "sent", [[], [VERSION], [VERSION, ACCOUNTS], [VERSION, framed(9, 1, 1)]]
)
def test_a_handshake_that_does_not_end_is_given_up(
    settings_for: SettingsFor, sent: list[bytes]
) -> None:
    with (
        peer(*sent) as port,
        pytest.raises(GatewayUnreachable, match=r"no session within 0\.3 s"),
    ):
        Gateway.open(settings_for(port=port, connect_seconds=0.3))

    assert not threads()


def test_a_gateway_that_is_too_old_is_said_at_once(settings_for: SettingsFor) -> None:
    with (
        peer(framed(150, "20261120 03:32:08 EST")) as port,
        pytest.raises(GatewayUnreachable, match="version"),
    ):
        Gateway.open(settings_for(port=port, connect_seconds=600))


def test_what_is_no_gateway_is_said_at_once(settings_for: SettingsFor) -> None:
    with (
        peer(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port,
        pytest.raises(GatewayUnreachable, match="are no messages"),
    ):
        Gateway.open(settings_for(port=port, connect_seconds=600))


def test_a_code_that_ends_sessions_is_said_at_once(settings_for: SettingsFor) -> None:
    disclaimer = framed(4, 2, -1, 10141, "Paper trading disclaimer must be accepted", "")
    with (
        peer(VERSION, disclaimer) as port,
        pytest.raises(GatewayUnreachable, match="10141: Paper trading disclaimer"),
    ):
        Gateway.open(settings_for(port=port, connect_seconds=600))


@pytest.mark.parametrize(
    ("notices", "is_paused"), [([LINK_LOST], True), ([LINK_LOST, LINK_RESTORED], False)]
)
def test_a_gateway_may_have_lost_its_server_before_we_came(
    settings_for: SettingsFor, notices: list[bytes], *, is_paused: bool
) -> None:
    with (
        peer(VERSION, ACCOUNTS, *notices, framed(9, 1, 1)) as port,
        Gateway.connected(settings_for(port=port)) as gateway,
    ):
        assert (gateway.state.paused_since is not None) is is_paused


def test_an_order_id_that_can_not_be_is_refused(settings_for: SettingsFor) -> None:
    with (
        peer(VERSION, ACCOUNTS, framed(9, 1, 0)) as port,
        pytest.raises(GatewayUnreachable, match="next order id must be 1 or above, was 0"),
    ):
        Gateway.open(settings_for(port=port))


def test_a_question_at_the_beginning_that_is_not_answered_is_named(
    settings_for: SettingsFor, fake: FakeGateway
) -> None:
    fake.inject(Fault.NO_ANSWER, message=COMPLETED)

    with pytest.raises(GatewayUnreachable, match="completed orders: no answer within"):
        Gateway.open(settings_for(readonly=False, connect_seconds=0.5))


def test_a_read_only_gateway_is_not_taken_for_one_without_orders(
    settings_for: SettingsFor, fake: FakeGateway
) -> None:
    fake.inject(Fault.READ_ONLY)

    with pytest.raises(GatewayUnreachable, match="open orders: no answer within"):
        Gateway.open(settings_for(readonly=False, connect_seconds=0.5))


def test_a_client_id_is_free_again_after_a_while(
    settings_for: SettingsFor, fake: FakeGateway
) -> None:
    fake.inject(Fault.CLIENT_ID_IN_USE, times=3)

    with Gateway.connected(settings_for()) as gateway:
        assert gateway.ask(the_time, "the time")

    assert asked(fake, START) == 4


def test_a_client_id_that_stays_in_use_is_seen_at_once_and_given_up(
    settings_for: SettingsFor, fake: FakeGateway
) -> None:
    with (
        Gateway.connected(settings_for()),
        pytest.raises(GatewayUnreachable, match="client id 7 is in use; gave up after 1 s"),
    ):
        Gateway.open(settings_for(connect_seconds=1.0))

    assert 1 + 3 <= asked(fake, START) <= 1 + 4
    assert not threads()


def test_a_gateway_can_be_opened_while_the_one_before_is_still_closing(
    settings_for: SettingsFor,
) -> None:
    for _ in range(5):
        with Gateway.connected(settings_for()) as gateway:
            gateway.ask(the_time, "the time")


# Asking


def test_a_refusal_has_its_code_and_words(looking: Gateway) -> None:
    nothing = Stock("NOPE", "SMART", "USD")

    with pytest.raises(RequestRefused, match="NOPE: refused with 200") as refusal:
        looking.ask(lambda ib: ib.reqContractDetailsAsync(nothing), "NOPE")

    assert refusal.value.code == 200
    assert "No security definition" in refusal.value.text


def test_silence_is_no_refusal(looking: Gateway, fake: FakeGateway) -> None:
    fake.inject(Fault.NO_ANSWER, message=TIME)

    with pytest.raises(NoAnswer, match=r"the time: no answer within 0\.1 s"):
        looking.ask(the_time, "the time", seconds=0.1)


def test_a_notice_about_a_request_does_not_end_it(
    looking: Gateway, fake: FakeGateway
) -> None:
    ears = Ears()
    looking.listen(ears)

    def details(ib: IB) -> Awaitable[Any]:
        answer = ib.reqContractDetailsAsync(AAPL)
        request_id = next(reversed(ib.wrapper._futures))
        ib.wrapper.error(request_id, 2174, "a time without its zone", "")
        return answer

    assert len(looking.ask(details, "details")) == 1
    assert asked(fake, DETAILS) == 1


def test_a_late_answer_is_not_taken_for_that_of_the_next_question(
    trading: Gateway, fake: FakeGateway
) -> None:
    fake.inject(Fault.NO_ANSWER, message=OPEN_ORDERS)
    with pytest.raises(NoAnswer):
        trading.ask(lambda ib: ib.reqOpenOrdersAsync(), "open orders", seconds=0.1)

    with pytest.raises(NoAnswer, match="an earlier question was given up"):
        trading.ask(lambda ib: ib.reqAllOpenOrdersAsync(), "all open orders")

    assert asked(fake, ALL_OPEN_ORDERS) == 0
    assert trading.ask(the_time, "the time")


def test_questions_without_a_number_are_asked_one_after_the_other(
    trading: Gateway, fake: FakeGateway
) -> None:
    placed(trading, buy(limit=100.0))
    fake.wait_until(lambda gateway: len(gateway.orders) == 1)
    # what is told of it unasked would be taken for a part of the answer
    trading.ask(the_time, "the time")

    def both(ib: IB) -> Awaitable[list[list[Trade]]]:
        return asyncio.gather(*(ib.reqAllOpenOrdersAsync() for _ in range(5)))

    answers = trading.ask(both, "open orders five times")

    assert [len(one) for one in answers] == [1] * 5


def test_many_threads_ask_one_gateway(looking: Gateway) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = pool.map(
            lambda _: looking.ask(lambda ib: ib.reqContractDetailsAsync(AAPL), "AAPL"),
            range(40),
        )

        assert [one[0].contract.conId for one in found] == [265598] * 40


def test_what_an_action_raises_is_raised_where_it_was_told(looking: Gateway) -> None:
    with pytest.raises(ZeroDivisionError):
        looking.tell(lambda _: 1 // 0)


def test_order_ids_are_consecutive_and_never_given_twice(
    looking: Gateway, fake: FakeGateway
) -> None:
    first = looking.order_ids(3)
    above = looking.order_ids(2, above=500)
    looking.ask(lambda ib: ib.reqContractDetailsAsync(AAPL), "AAPL")
    after = looking.order_ids(1)

    assert len(first) == 3
    assert above == range(501, 503)
    asked_with = int(fake.received[-1].fields[2])
    assert first[-1] < above[0] <= above[-1] < asked_with < after[0]


def test_a_listener_can_not_wait_for_its_own_gateway(looking: Gateway) -> None:
    with pytest.raises(RuntimeError, match="must not wait for its own gateway"):
        looking.tell(lambda _: looking.ask(the_time, "the time"))


# Losing it


@pytest.mark.parametrize("count", [1, 3])
def test_whoever_waits_is_told_when_the_connection_is_lost(
    looking: Gateway, fake: FakeGateway, count: int
) -> None:
    ears = Ears()
    looking.listen(ears)
    fake.inject(Fault.NO_ANSWER, message=DETAILS, times=count)
    with ThreadPoolExecutor(count) as pool:
        waiting = [
            pool.submit(
                looking.ask, lambda ib: ib.reqContractDetailsAsync(AAPL), "AAPL", 600.0
            )
            for _ in range(count)
        ]
        fake.wait_until(lambda gateway: asked(gateway, DETAILS) == count)

        fake.drop_connections()

        for one in waiting:
            with pytest.raises(NoAnswer, match="AAPL: the connection was lost"):
                one.result(WITHIN_SECONDS)
    assert ears.until("lost")
    assert not looking.state.connected


def test_after_the_loss_nothing_is_asked(looking: Gateway, fake: FakeGateway) -> None:
    ears = Ears()
    looking.listen(ears)
    fake.drop_connections()
    ears.until("lost")
    before = len(fake.received)

    with pytest.raises(GatewayUnreachable, match=r"the time: .* was lost"):
        looking.ask(the_time, "the time")
    with pytest.raises(GatewayUnreachable):
        looking.tell(lambda _: pytest.fail("it was done all the same"))
    with pytest.raises(GatewayUnreachable):
        looking.order_ids(1)

    assert len(fake.received) == before


def test_closing_ends_the_session_and_the_thread(
    settings_for: SettingsFor, fake: FakeGateway
) -> None:
    gateway = Gateway.open(settings_for())

    gateway.close()
    gateway.close()

    fake.wait_until(lambda one: not one.client_ids)
    assert not threads()
    with pytest.raises(GatewayUnreachable, match="was closed"):
        gateway.ask(the_time, "the time")


def test_closing_is_no_loss(settings_for: SettingsFor) -> None:
    ears = Ears()
    gateway = Gateway.open(settings_for())
    gateway.listen(ears)

    gateway.close()

    assert "lost" not in {kind for kind, _ in ears.said.queue}


def test_whoever_waits_is_told_when_it_is_closed(
    settings_for: SettingsFor, fake: FakeGateway
) -> None:
    fake.inject(Fault.NO_ANSWER, message=TIME)
    gateway = Gateway.open(settings_for())
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(gateway.ask, the_time, "the time", 600.0)
        fake.wait_until(lambda one: asked(one, TIME) == 1)

        gateway.close()

        with pytest.raises(NoAnswer, match=r"the time: .*closed"):
            waiting.result(WITHIN_SECONDS)


def test_a_frame_that_breaks_off_ends_the_session(
    looking: Gateway, fake: FakeGateway
) -> None:
    fake.inject(Fault.TRUNCATED_FRAME, message=TIME)

    with pytest.raises(NoAnswer, match="the connection was lost"):
        looking.ask(the_time, "the time")


def test_a_message_that_can_not_be_read_leaves_no_answer_incomplete(
    trading: Gateway, fake: FakeGateway
) -> None:
    ears = Ears()
    trading.listen(ears)
    fake.inject(Fault.GARBAGE_FRAME, message=ALL_OPEN_ORDERS)

    with pytest.raises(NoAnswer, match="a message could not be read"):
        trading.ask(lambda ib: ib.reqAllOpenOrdersAsync(), "open orders")

    ears.until("resume")
    assert trading.state.paused_since is None
    assert trading.ask(lambda ib: ib.reqAllOpenOrdersAsync(), "open orders") == []


# The server behind the gateway


def test_orders_are_not_sent_while_the_server_is_away(
    trading: Gateway, fake: FakeGateway
) -> None:
    ears = Ears()
    trading.listen(ears)
    before = datetime.now(UTC)
    fake.say(1100, "Connectivity between IBKR and Trader Workstation has been lost.")
    ears.until("notice", (1100, -1))

    with pytest.raises(OrdersPaused):
        placed(trading, buy())

    assert trading.state.connected
    assert trading.state.paused_since is not None
    assert trading.state.paused_since >= before
    assert asked(fake, PLACE) == 0


@pytest.mark.parametrize("code", [1100, 2110, 1300])
def test_every_code_of_a_lost_server_pauses(
    looking: Gateway, fake: FakeGateway, code: int
) -> None:
    ears = Ears()
    looking.listen(ears)

    fake.say(code, "lost")
    ears.until("notice", (code, -1))

    assert looking.state.paused_since is not None


@pytest.mark.parametrize("data_kept", [True, False])
def test_when_the_server_is_back_everything_is_asked_for_before_orders_are_sent(
    trading: Gateway, fake: FakeGateway, *, data_kept: bool
) -> None:
    ears = Ears()
    resting = placed(trading, buy(limit=100.0))
    fake.wait_until(lambda one: len(one.orders) == 1)
    trading.ask(the_time, "the time")
    trading.listen(ears)
    fake.lose_link()
    fake.price("AAPL", 99.0)
    ears.until("notice", (1100, -1))

    fake.restore_link(data_kept=data_kept)

    told = dict(ears.until("resume"))
    assert told["execution"] == fake.executions[0].exec_id
    assert trading.state.paused_since is None
    assert trading.state.resumed == 1
    # asked on opening, and once more now
    assert asked(fake, EXECUTIONS) == 2
    assert asked(fake, ALL_OPEN_ORDERS) == 1
    assert asked(fake, ACCOUNT_SUMMARY) == 0  # the library would ask for it on 1102
    assert resting.order.orderId == fake.orders[next(iter(fake.orders))].order_id
    placed(trading, buy(limit=50.0))
    fake.wait_until(lambda one: len(one.orders) == 2)


def test_looking_on_resumes_without_asking_for_orders(
    looking: Gateway, fake: FakeGateway
) -> None:
    ears = Ears()
    looking.listen(ears)

    fake.lose_link()
    fake.restore_link()
    ears.until("resume")

    assert looking.state.resumed == 1
    assert asked(fake, ALL_OPEN_ORDERS) == 0


def test_a_second_loss_while_resuming_keeps_orders_paused(
    settings_for: SettingsFor, fake: FakeGateway
) -> None:
    ears = Ears()
    settings = settings_for(readonly=False, answer_seconds=0.3)
    with Gateway.connected(settings) as trading:
        trading.listen(ears)
        fake.inject(Fault.NO_ANSWER, message=EXECUTIONS)
        fake.lose_link()
        fake.restore_link()
        fake.wait_until(lambda one: asked(one, EXECUTIONS) == 2)

        fake.lose_link()
        ears.until("notice", (1100, -1))
        ears.until("notice", (1100, -1))

        with pytest.raises(TimeoutError):  # what had begun is not gone on with
            fake.wait_until(lambda one: asked(one, EXECUTIONS) == 3, seconds=0.8)
        assert trading.state.paused_since is not None
        assert trading.state.resumed == 0
        fake.restore_link()
        ears.until("resume")
        assert trading.state.resumed == 1


def test_a_server_that_is_back_and_does_not_answer_is_given_up(
    settings_for: SettingsFor, fake: FakeGateway
) -> None:
    ears = Ears()
    settings = settings_for(readonly=False, answer_seconds=0.2)
    with Gateway.connected(settings) as trading:
        trading.listen(ears)
        fake.inject(Fault.NO_ANSWER, message=EXECUTIONS, times=None)
        fake.lose_link()
        fake.restore_link()

        assert "could not be asked for again" in ears.until("lost")[-1][1]

        assert not trading.state.connected
        assert "resume" not in {kind for kind, _ in ears.said.queue}


def test_messages_that_can_never_be_read_end_the_session(
    trading: Gateway, fake: FakeGateway
) -> None:
    ears = Ears()
    trading.listen(ears)
    fake.inject(Fault.GARBAGE_FRAME, message=EXECUTIONS, times=None)

    fake.lose_link()
    fake.restore_link()

    assert "could not be asked for again" in ears.until("lost")[-1][1]
    assert asked(fake, EXECUTIONS) == 1 + 3


# Looking on


@pytest.mark.parametrize(
    "send",
    [
        lambda ib: ib.placeOrder(AAPL, buy()),
        lambda ib: ib.whatIfOrderAsync(AAPL, buy()),
        lambda ib: ib.cancelOrder(buy(orderId=1)),
        lambda ib: ib.reqGlobalCancel(),
    ],
    ids=["place", "preview", "cancel", "cancel all"],
)
def test_looking_on_sends_no_order(
    looking: Gateway, fake: FakeGateway, send: Callable[[IB], object]
) -> None:
    with pytest.raises(ReadOnlyGateway):
        looking.tell(send)

    looking.ask(the_time, "the time")
    assert {one.message_id for one in fake.received} == {START, TIME}


# What the library gets wrong


@pytest.mark.parametrize("code", [10349, 104, 105, 161, 321, 10147, 10148, 135, 9999])
def test_no_code_cancels_a_live_order(
    trading: Gateway, fake: FakeGateway, code: int
) -> None:
    ears = Ears()
    trading.listen(ears)
    trade = placed(trading, buy(limit=100.0))
    order_id = trade.order.orderId
    ears.until("status", (order_id, "Submitted"))

    trading.tell(lambda ib: ib.wrapper.error(order_id, code, "some words", ""))

    assert ears.until("notice", (code, order_id))
    assert trade.orderStatus.status == "Submitted"
    assert next(iter(fake.orders.values())).is_open


def test_the_preset_for_the_time_in_force_cancels_nothing(
    trading: Gateway, fake: FakeGateway
) -> None:
    ears = Ears()
    trading.listen(ears)
    fake.inject(Fault.TIF_PRESET)

    trade = placed(trading, buy(limit=100.0))

    ears.until("notice", (10349, trade.order.orderId))
    trading.ask(the_time, "the time")
    assert trade.orderStatus.status == "Submitted"


def test_a_preview_waits_for_its_numbers(trading: Gateway, fake: FakeGateway) -> None:
    fake.inject(Fault.WHAT_IF_TWICE)
    contract = Stock("AAPL", "SMART", "USD", conId=265598)

    state = trading.ask(lambda ib: ib.whatIfOrderAsync(contract, buy()), "preview")

    assert float(state.initMarginChange) == pytest.approx(0.25 * 10 * 190.10)


def test_a_commission_may_come_before_its_execution(
    trading: Gateway, fake: FakeGateway
) -> None:
    ears = Ears()
    trading.listen(ears)
    fake.inject(Fault.COMMISSION_FIRST)

    trade = placed(trading, buy())

    told = [kind for kind, _ in ears.until("execution")]
    assert "commission" in told
    trading.ask(the_time, "the time")
    assert trade.fills[0].commissionReport.execId == fake.executions[0].exec_id


def test_a_listener_that_fails_keeps_nothing_from_the_others(
    trading: Gateway, fake: FakeGateway
) -> None:
    class Deaf(Listener):
        def on_notice(self, code: int, text: str, order_id: int) -> None:
            raise OSError(f"the disk is full at {code} {text} {order_id}")

    ears = Ears()
    trading.listen(Deaf())
    trading.listen(ears)

    fake.say(2104, "fine")
    ears.until("notice", (2104, -1))

    with pytest.raises(OSError, match="the disk is full at 2104"):
        trading.ask(the_time, "the time")
    assert trading.ask(the_time, "the time")


# Where it runs


def test_two_gateways_in_one_process_do_not_disturb_each_other(
    settings_for: SettingsFor, fake: FakeGateway
) -> None:
    ears = Ears()
    with (
        FakeGateway(account=ACCOUNT) as other,
        Gateway.connected(settings_for()) as one,
        Gateway.connected(settings_for(port=other.port)) as two,
        ThreadPoolExecutor(1) as pool,
    ):
        two.listen(ears)
        fake.inject(Fault.SLOW_ANSWERS, seconds=0.3)
        waiting = pool.submit(one.ask, the_time, "the time")
        fake.wait_until(lambda gateway: asked(gateway, TIME) == 1)

        other.drop_connections()
        ears.until("lost")

        assert waiting.result(WITHIN_SECONDS)
        assert one.state.connected


def test_it_works_after_and_within_an_event_loop(settings_for: SettingsFor) -> None:
    asyncio.run(asyncio.sleep(0))
    with Gateway.connected(settings_for()) as gateway:
        assert gateway.ask(the_time, "the time")

    async def within() -> datetime:
        with Gateway.connected(settings_for()) as gateway:
            return gateway.ask(the_time, "the time")

    assert asyncio.run(within())


SCRIPT = """
import asyncio, sys, threading
asyncio.run(asyncio.sleep(0))

def work():
    from trading_assets.adapters.ibkr.gateway import Gateway, GatewaySettings
    settings = GatewaySettings(port=int(sys.argv[1]), client_id=8, account=sys.argv[2])
    with Gateway.connected(settings) as gateway:
        print(gateway.ask(lambda ib: ib.reqCurrentTimeAsync(), "the time"))

thread = threading.Thread(target=work)
thread.start()
thread.join()
"""


def test_a_worker_thread_may_be_the_first_to_import_it(fake: FakeGateway) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT, str(fake.port), ACCOUNT],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert done.stdout.startswith("20")
    assert done.stderr == ""


def child_asks(settings: GatewaySettings, inherited: Gateway | None) -> str:
    """What happens in a child; it is printed by the parent if it is not as it should be."""
    if inherited is not None:
        assert not inherited.state.connected
        with pytest.raises(GatewayUnreachable, match="opened by another process"):
            inherited.ask(the_time, "the time")
        inherited.close()
        assert inherited._ib is not None
        inherited._ib.__del__()  # the library would shut the parent's socket down
    with Gateway.connected(settings) as gateway:
        gateway.ask(the_time, "the time")
    return "well"


def child(settings: GatewaySettings, outcome: Any, inherited: Gateway | None) -> None:
    outcome.put(child_asks(settings, inherited))


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_child_opens_its_own_and_leaves_that_of_its_parent_alone(
    looking: Gateway, settings_for: SettingsFor, method: str
) -> None:
    context: Any = multiprocessing.get_context(method)
    outcome = context.Queue()
    inherited = looking if method == "fork" else None
    process = context.Process(
        target=child, args=(settings_for(client_id=8), outcome, inherited)
    )

    process.start()

    assert outcome.get(timeout=60) == "well"
    process.join(60)
    assert process.exitcode == 0
    assert looking.ask(the_time, "the time")
