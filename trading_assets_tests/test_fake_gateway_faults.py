"""Every fault of the fake gateway does on the wire what its name says."""

import asyncio
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from trading_assets_tests.fake_gateway import FakeGateway, Fault
from trading_assets_tests.fake_gateway.real_client import (
    SECONDS,
    RealClient,
    ask_for_bars,
    bars_of,
    connected,
    listening,
    only_order,
    order,
    statuses,
    stock,
)


@pytest.fixture
def gateway() -> Iterator[FakeGateway]:
    with listening() as gateway:
        yield gateway


@pytest.fixture
def client(gateway: FakeGateway) -> Iterator[RealClient]:
    with connected(gateway) as client:
        yield client


def place_and_lose_the_line(gateway: FakeGateway, client: RealClient, asked: Any) -> None:
    client.place(asked)
    client.wait_for_end()
    gateway.wait_until(lambda g: any(one.message_id == 3 for one in g.received))


def test_an_order_dropped_before_it_is_taken_never_was(
    gateway: FakeGateway, client: RealClient
) -> None:
    gateway.inject(Fault.DROP_BEFORE_PLACE)
    place_and_lose_the_line(gateway, client, order())
    assert gateway.orders == {}

    client.connect()
    client.place(order())
    gateway.wait_until(lambda g: g.executions)


@pytest.mark.parametrize(
    ("kind", "options", "status"),
    [
        ({"kind": "MKT"}, {}, "Filled"),
        ({"kind": "MKT"}, {"filled": False}, "PreSubmitted"),
        ({"kind": "LMT", "lmtPrice": 180.0}, {}, "Submitted"),
        ({"kind": "LMT", "lmtPrice": 180.0}, {"filled": True}, "Filled"),
    ],
)
def test_an_order_dropped_after_it_is_taken_lives_on_unheard(
    gateway: FakeGateway,
    client: RealClient,
    kind: dict[str, Any],
    options: dict[str, Any],
    status: str,
) -> None:
    gateway.inject(Fault.DROP_AFTER_PLACE, **options)
    place_and_lose_the_line(gateway, client, order(**kind, orderRef="r"))
    assert client.of_kind(3, 5, 11) == []
    assert only_order(gateway).status == status

    client.connect()
    fills = client.tell(lambda ib: ib.fills())
    trades = client.tell(lambda ib: ib.openTrades())
    assert [fill.execution.orderRef for fill in fills] == ["r"] * (status == "Filled")
    assert [trade.order.orderRef for trade in trades] == ["r"] * (status != "Filled")
    gateway.price("AAPL", 180.0)
    assert only_order(gateway).status == "Filled"


def test_a_silent_order_is_only_found_by_asking(
    gateway: FakeGateway, client: RealClient
) -> None:
    gateway.inject(Fault.SILENT_ORDER)
    client.place(order(orderRef="quiet"))
    gateway.wait_until(lambda g: g.executions)
    client.settle()
    assert client.of_kind(3, 5, 11, 59) == []

    (fill,) = client.ask(lambda ib: ib.reqExecutionsAsync())
    assert fill.execution.orderRef == "quiet"


def test_a_lost_order_is_nowhere_and_can_be_sent_again(
    gateway: FakeGateway, client: RealClient
) -> None:
    gateway.inject(Fault.LOST_ORDER)
    client.place(order(orderId=30, orderRef="r"))
    client.settle()
    assert gateway.orders == {}
    assert client.of_kind(3, 4, 5)[3:] == []

    client.tell(lambda ib: ib.client.placeOrder(30, stock(), order(orderRef="r")))
    gateway.wait_until(lambda g: g.executions)
    assert only_order(gateway).order_id == 30


def test_a_rejection_has_its_code_and_its_text(
    gateway: FakeGateway, client: RealClient
) -> None:
    gateway.inject(Fault.REJECT, text="too large", symbol="AAPL")
    client.place(order())
    client.wait_for_codes(201)

    (message,) = [fields for fields in client.of_kind(4) if fields[3] == "201"]
    assert message[4] == "Order rejected - reason:too large"
    assert gateway.orders == {}


def test_an_inactive_order_is_acknowledged_and_does_not_fill(
    gateway: FakeGateway, client: RealClient
) -> None:
    gateway.inject(Fault.INACTIVE, text="no margin")
    client.place(order())
    client.wait_for_codes(399)
    gateway.price("AAPL", 100.0)

    assert statuses(client) == ["Inactive"]
    assert only_order(gateway).status == "Inactive"


def test_a_read_only_gateway_refuses_orders_and_tells_of_none(
    gateway: FakeGateway, client: RealClient
) -> None:
    gateway.inject(Fault.READ_ONLY)
    client.place(order(orderId=30))
    client.tell(lambda ib: ib.client.cancelOrder(30))
    client.tell(lambda ib: ib.client.reqAllOpenOrders())
    client.tell(lambda ib: ib.client.reqCompletedOrders(apiOnly=False))
    client.tell(lambda ib: ib.client.reqGlobalCancel())
    client.settle()

    refused = [fields[2] for fields in client.of_kind(4) if fields[3] == "321"]
    assert refused == ["30", "30", "-1", "-1", "-1"]
    assert bars_of(client)
    gateway.lift(Fault.READ_ONLY)
    assert client.ask(lambda ib: ib.reqAllOpenOrdersAsync()) == []
    assert gateway.orders == {}


@pytest.mark.parametrize(("message", "code"), [(20, 162), (1, 354), (3, 460)])
def test_without_permission_each_kind_of_request_has_its_code(
    gateway: FakeGateway, client: RealClient, message: int, code: int
) -> None:
    gateway.inject(Fault.NO_PERMISSION, message=message)
    contract = stock()
    client.tell(lambda ib: ib.placeOrder(contract, order("LMT", lmtPrice=1.0)))
    client.tell(lambda ib: ib.reqMktData(contract, snapshot=True))
    ask_for_bars(client)
    client.settle()

    codes = {int(fields[3]) for fields in client.of_kind(4)} - {2104, 2106, 2158}
    assert codes == {code}


def test_a_client_id_can_linger_for_a_while(gateway: FakeGateway) -> None:
    gateway.inject(Fault.CLIENT_ID_IN_USE, times=2)
    refused = 0
    with socket.create_connection(("127.0.0.1", gateway.port), SECONDS):
        pass
    client = RealClient(gateway)
    for _ in range(2):
        with pytest.raises((ConnectionError, TimeoutError, asyncio.TimeoutError)):
            client.connect(seconds=0.3)
        refused += 1
    client.connect()
    client.close()

    assert refused == 2
    assert [fields[3] for fields in client.of_kind(4)][:2] == ["326", "326"]


def test_a_fault_can_be_bounded_in_time(gateway: FakeGateway, client: RealClient) -> None:
    gateway.inject(Fault.PACING, for_seconds=3600.0)
    gateway.inject(Fault.EMPTY_HISTORY, for_seconds=1e-9)

    for _ in range(3):
        with pytest.raises(Exception, match=r"162.*pacing violation"):
            bars_of(client)
    gateway.lift(Fault.PACING)
    assert len(bars_of(client)) == 3


def test_a_preset_is_noted_on_an_order_that_goes_on_working(
    gateway: FakeGateway, client: RealClient
) -> None:
    gateway.inject(Fault.TIF_PRESET)
    client.place(order())
    client.wait_for(lambda c: c.of_kind(59))

    about_order = [
        fields
        for fields in client.of_kind(3, 4, 5)
        if fields[1] != "2" or fields[3] == "10349"
    ]
    assert [fields[0] for fields in about_order][:3] == ["5", "3", "4"]
    assert about_order[2][3] == "10349"
    assert only_order(gateway).status == "Filled"


def test_after_1100_in_mid_fill_the_rest_is_heard_by_asking(
    gateway: FakeGateway, client: RealClient
) -> None:
    gateway.inject(Fault.LINK_LOST_IN_FILL)
    client.place(order())
    client.wait_for_codes(1100)
    assert [one.shares for one in gateway.executions] == [5, 5]
    assert len(client.ask(lambda ib: ib.reqExecutionsAsync())) == 1
    (waiting,) = client.ask(lambda ib: ib.reqAllOpenOrdersAsync())
    assert waiting.orderStatus.filled == 5
    assert [fields[19] for fields in client.of_kind(11) if fields[1] == "-1"] == ["5"]

    gateway.restore_link()

    client.wait_for_codes(1102)
    assert len(client.ask(lambda ib: ib.reqExecutionsAsync())) == 2
    assert client.ask(lambda ib: ib.reqAllOpenOrdersAsync()) == []


def test_orders_wait_while_the_link_is_lost(
    gateway: FakeGateway, client: RealClient
) -> None:
    gateway.lose_link()
    client.wait_for_codes(1100)
    client.place(order())
    with pytest.raises(Exception, match=r"162.*disconnect"):
        bars_of(client)
    assert gateway.orders == {}
    assert client.ib.isConnected()

    gateway.restore_link()

    client.wait_for(lambda c: c.of_kind(59))


def test_1101_loses_subscriptions_and_1102_keeps_them(
    gateway: FakeGateway, client: RealClient
) -> None:
    client.tell(lambda ib: ib.reqMktData(stock()))
    client.settle()
    gateway.lose_link()
    gateway.restore_link(data_kept=True)
    gateway.price("AAPL", 195.0)
    client.wait_for(lambda c: any(fields[4] == "195" for fields in c.of_kind(1)))
    gateway.lose_link()
    gateway.restore_link(data_kept=False)
    client.wait_for_codes(1100, 1101, 1102)

    gateway.price("AAPL", 196.0)
    client.settle()

    assert not any(fields[4] == "196" for fields in client.of_kind(1))


def test_a_restart_swallows_the_request_under_way(
    gateway: FakeGateway, client: RealClient
) -> None:
    gateway.inject(Fault.RESTART, message=20, seconds=0.01)
    with pytest.raises(ConnectionError):
        bars_of(client)
    gateway.wait_until(lambda g: g.is_listening)

    client.connect()
    assert len(bars_of(client)) == 3


def test_a_changed_order_can_get_another_permanent_id(
    gateway: FakeGateway, client: RealClient
) -> None:
    asked = order("LMT", lmtPrice=180.0)
    client.place(asked)
    client.wait_for(lambda c: c.of_kind(3))
    gateway.inject(Fault.SECOND_PERM_ID)
    asked.lmtPrice = 181.0
    client.place(asked)
    client.wait_for(lambda c: len(c.of_kind(3)) == 2)

    first, second = (fields[25] for fields in client.of_kind(5))
    assert first != second
    assert list(gateway.orders) == [int(second)]


def kinds_about_fill(client: RealClient) -> list[str]:
    client.wait_for(lambda c: c.of_kind(59) and c.of_kind(11) and "Filled" in statuses(c))
    client.settle()
    return [fields[0] for fields in client.of_kind(3, 5, 11, 59)]


def test_an_execution_can_be_told_twice(gateway: FakeGateway, client: RealClient) -> None:
    gateway.inject(Fault.EXECUTION_TWICE)
    trade = client.place(order())

    assert kinds_about_fill(client) == ["5", "3", "11", "11", "5", "3", "5", "59"]
    first, second = client.of_kind(11)
    assert first == second
    assert len(trade.fills) == len(gateway.executions) == 1


def test_a_commission_can_come_before_its_execution(
    gateway: FakeGateway, client: RealClient
) -> None:
    gateway.inject(Fault.COMMISSION_FIRST)
    client.place(order())

    assert kinds_about_fill(client) == ["5", "3", "59", "11", "5", "3", "5"]


def test_a_fill_can_come_before_any_status(
    gateway: FakeGateway, client: RealClient
) -> None:
    gateway.inject(Fault.FILL_BEFORE_STATUS)
    client.place(order())

    assert kinds_about_fill(client) == ["11", "5", "3", "5", "3", "5", "59"]


def test_an_execution_is_corrected_under_the_next_number(
    gateway: FakeGateway, client: RealClient
) -> None:
    gateway.inject(Fault.EXECUTION_CORRECTED, price=189.9)
    client.place(order())
    client.wait_for(lambda c: len(c.of_kind(59)) == 2)

    first, second = client.of_kind(11)
    assert first[14].endswith(".01.01")
    assert second[14] == first[14].removesuffix("01") + "02"
    assert (first[20], second[20]) == ("190.1", "189.9")
    (stands,) = gateway.executions
    assert (stands.exec_id, stands.price) == (second[14], 189.9)
    assert gateway.positions["AAPL"].average_price == 189.9
    assert gateway.cash == pytest.approx(1_000_000 - 10 * 189.9 - 1)
    assert len(client.ask(lambda ib: ib.reqExecutionsAsync())) == 2


def test_a_trade_can_be_taken_back_altogether(
    gateway: FakeGateway, client: RealClient
) -> None:
    client.place(order())
    gateway.wait_until(lambda g: g.executions)

    gateway.correct(gateway.executions[0].exec_id, shares=0.0)

    assert gateway.positions == {}
    assert only_order(gateway).filled == 0


@pytest.mark.parametrize("heard", [True, False])
def test_a_cancelled_order_can_be_filled_all_the_same(
    gateway: FakeGateway, client: RealClient, *, heard: bool
) -> None:
    trade = client.place(order("LMT", lmtPrice=180.0))
    client.wait_for(lambda c: c.of_kind(3))
    gateway.inject(Fault.CANCELLED_BUT_FILLED, heard=heard)
    client.tell(lambda ib: ib.cancelOrder(trade.order))
    client.wait_for_codes(202)
    client.settle()

    told = ["Submitted", "Cancelled", "Filled"] if heard else ["Submitted", "Cancelled"]
    assert statuses(client) == told
    assert len(client.of_kind(11)) == heard
    assert gateway.positions["AAPL"].shares == 10
    assert only_order(gateway).status == "Filled"


def test_a_preview_can_come_twice(gateway: FakeGateway, client: RealClient) -> None:
    gateway.inject(Fault.WHAT_IF_TWICE)
    client.ask(lambda ib: ib.whatIfOrderAsync(stock(), order()))
    client.settle()

    empty, full = client.of_kind(5)
    assert (empty[98], empty[93], full[93]) == ("1.7976931348623157E308", "1", "1")
    assert float(full[98]) == pytest.approx(0.25 * 10 * 190.1)


def test_slow_answers_come_late_and_in_order(
    gateway: FakeGateway, client: RealClient
) -> None:
    gateway.inject(Fault.SLOW_ANSWERS, seconds=0.05)
    start = time.monotonic()
    bars = bars_of(client)

    assert time.monotonic() - start >= 0.05
    assert len(bars) == 3
    gateway.lift(Fault.SLOW_ANSWERS)
    client.place(order())
    assert kinds_about_fill(client) == ["5", "3", "11", "5", "3", "5", "59"]


def test_garbage_comes_before_the_answer(gateway: FakeGateway, client: RealClient) -> None:
    gateway.inject(Fault.GARBAGE_FRAME, message=20)

    assert len(bars_of(client)) == 3
    assert len(client.undecodable) == 1
    client.undecodable.clear()


def test_a_truncated_frame_is_followed_by_the_end(
    gateway: FakeGateway, client: RealClient
) -> None:
    gateway.inject(Fault.TRUNCATED_FRAME, message=20)
    with pytest.raises(ConnectionError):
        bars_of(client)

    client.wait_for_end()
    assert client.of_kind(17) == []


def test_history_can_be_empty_without_an_error(
    gateway: FakeGateway, client: RealClient
) -> None:
    gateway.inject(Fault.EMPTY_HISTORY)
    assert list(bars_of(client)) == []
    assert len(client.of_kind(17)[0]) == 5


def test_history_may_never_come_and_other_answers_do(
    gateway: FakeGateway, client: RealClient
) -> None:
    gateway.inject(Fault.NO_ANSWER, symbol="AAPL")
    ask_for_bars(client)
    client.settle()
    assert client.of_kind(17) == []

    assert len(bars_of(client)) == 3


def test_a_fault_waits_for_what_it_is_about(
    gateway: FakeGateway, client: RealClient
) -> None:
    gateway.inject(Fault.REJECT, order_ref="b")
    client.place(order(orderRef="a"))
    client.place(order(orderRef="b"))
    client.wait_for_codes(201)

    assert [one.order_ref for one in gateway.executions] == ["a"]
    assert gateway.script.waiting == []


def test_every_fault_is_tried_here() -> None:
    source = Path(__file__).read_text(encoding="utf-8")

    assert [fault.name for fault in Fault if f"Fault.{fault.name}" not in source] == []


def test_a_failure_of_the_fake_itself_is_not_taken_for_a_fault() -> None:
    def fail() -> None:
        raise LookupError("broken")

    with pytest.raises(ExceptionGroup, match="has failed"), FakeGateway() as gateway:
        gateway._line.soon(fail)
