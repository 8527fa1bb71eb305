"""Orders at the fake gateway, placed by a real client over TCP."""

from collections.abc import Iterator
from typing import Any

import pytest

from trading_assets_tests.fake_gateway import FakeGateway
from trading_assets_tests.fake_gateway.real_client import (
    BARS,
    NOON,
    RealClient,
    bracket,
    connected,
    ib_insync,
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


def test_a_market_order_is_told_in_the_order_of_a_real_gateway(
    gateway: FakeGateway, client: RealClient
) -> None:
    trade = client.place(order(orderRef="r1"))
    client.wait_for(lambda c: c.of_kind(59))

    told = [fields[0] for fields in client.of_kind(3, 5, 11, 59)]
    assert told == ["5", "3", "11", "5", "3", "5", "59"]
    assert statuses(client) == ["PreSubmitted", "Filled"]
    assert trade.orderStatus.status == "Filled"
    (fill,) = trade.fills
    assert (fill.execution.shares, fill.execution.price) == (10, 190.1)
    assert fill.execution.side == "BOT"
    assert fill.execution.time == NOON
    assert fill.execution.orderRef == "r1"
    assert fill.commissionReport.commission == 1.0
    assert trade.order.permId == only_order(gateway).perm_id
    assert [fields[104] for fields in client.of_kind(5)] == ["", "", "1"]


def test_messages_about_orders_have_as_many_fields_as_real_ones(client: RealClient) -> None:
    client.place(order())
    client.wait_for(lambda c: c.of_kind(59))
    client.ask(lambda ib: ib.reqCompletedOrdersAsync(apiOnly=False))

    counts = {fields[0]: len(fields) for fields in client.of_kind(3, 4, 5, 11, 59, 101)}
    assert counts == {"3": 12, "4": 6, "5": 136, "11": 31, "59": 8, "101": 101}


def test_what_an_order_asks_is_told_to_others_as_it_was_asked(
    gateway: FakeGateway, client: RealClient
) -> None:
    asked = order(
        "STP LMT",
        "SELL",
        7,
        lmtPrice=150.25,
        auxPrice=151.5,
        tif="GTC",
        orderRef="a/b c",
        outsideRth=True,
        ocaGroup="g",
        ocaType=1,
    )
    client.place(asked)
    gateway.wait_until(lambda g: g.orders)
    with connected(gateway, client_id=8) as other:
        (told,) = other.ask(lambda ib: ib.reqAllOpenOrdersAsync())

    for name in ("action", "totalQuantity", "orderType", "lmtPrice", "auxPrice", "tif"):
        assert getattr(told.order, name) == getattr(asked, name)
    for name in ("orderRef", "outsideRth", "ocaGroup", "ocaType", "orderId", "clientId"):
        assert getattr(told.order, name) == getattr(asked, name)
    assert told.contract.conId == 265598


def test_a_limit_order_rests_until_it_is_touched(
    gateway: FakeGateway, client: RealClient
) -> None:
    trade = client.place(order("LMT", lmtPrice=180.0))
    client.wait_for(lambda c: statuses(c) == ["Submitted"])
    gateway.price("AAPL", 180.01)
    assert gateway.executions == []

    gateway.price("AAPL", 179.0)
    client.wait_for(lambda c: c.of_kind(59))

    assert trade.orderStatus.avgFillPrice == 180.0


def test_a_marketable_limit_order_takes_the_better_price(
    gateway: FakeGateway, client: RealClient
) -> None:
    client.place(order("LMT", "SELL", lmtPrice=180.0))
    gateway.wait_until(lambda g: g.executions)

    assert gateway.executions[0].price == 190.1


def test_a_stop_waits_for_its_price_and_takes_the_next(
    gateway: FakeGateway, client: RealClient
) -> None:
    client.place(order("STP", "SELL", auxPrice=185.0))
    client.wait_for(lambda c: statuses(c) == ["PreSubmitted"])
    assert client.of_kind(3)[0][10] == "trigger"

    gateway.price("AAPL", 184.0)

    assert [one.price for one in gateway.executions] == [184.0]


def test_a_stop_limit_becomes_a_limit_when_triggered(
    gateway: FakeGateway, client: RealClient
) -> None:
    client.place(order("STP LMT", "SELL", auxPrice=185.0, lmtPrice=184.5))
    client.wait_for(lambda c: statuses(c) == ["PreSubmitted"])
    gateway.price("AAPL", 184.0)
    client.wait_for(lambda c: statuses(c) == ["PreSubmitted", "Submitted"])
    assert gateway.executions == []

    gateway.price("AAPL", 184.6)

    assert [one.price for one in gateway.executions] == [184.5]


def test_an_order_without_a_price_in_the_market_waits_for_one(
    gateway: FakeGateway, client: RealClient
) -> None:
    client.tell(lambda ib: ib.placeOrder(stock("KO"), order()))
    client.wait_for(lambda c: statuses(c) == ["PreSubmitted"])

    gateway.price("KO", 62.0)

    assert gateway.positions["KO"].average_price == 62.0


def test_parts_are_filled_one_by_one_and_the_rest_stays_open(
    gateway: FakeGateway, client: RealClient
) -> None:
    gateway.fill_in_parts("AAPL", 3, 4)
    trade = client.place(order())
    client.wait_for(lambda c: len(c.of_kind(59)) == 2)

    (open_one,) = gateway.orders.values()
    assert (open_one.status, open_one.filled, open_one.remaining) == ("Submitted", 7, 3)
    assert [fields[24] for fields in client.of_kind(11)] == ["3", "7"]
    assert sum(one.commission for one in gateway.executions) == 1.0

    gateway.price("AAPL", 191.1)
    client.wait_for(lambda c: len(c.of_kind(59)) == 3)
    assert trade.orderStatus.avgFillPrice == pytest.approx((7 * 190.1 + 3 * 191.1) / 10)


def test_the_same_id_changes_an_order(gateway: FakeGateway, client: RealClient) -> None:
    asked = order("LMT", lmtPrice=180.0)
    trade = client.place(asked)
    client.wait_for(lambda c: statuses(c) == ["Submitted"])
    asked.lmtPrice, asked.totalQuantity = 185.0, 20
    client.place(asked)
    client.wait_for(lambda c: len(c.of_kind(5)) == 2)

    changed = only_order(gateway)
    assert (changed.limit_price, changed.shares) == (185.0, 20)
    assert changed.perm_id == trade.order.permId
    gateway.price("AAPL", 185.0)
    assert [one.shares for one in gateway.executions] == [20]


def test_a_change_that_is_not_transmitted_changes_nothing(
    gateway: FakeGateway, client: RealClient
) -> None:
    client.place(order("LMT", orderId=40, lmtPrice=180.0))
    client.wait_for(lambda c: statuses(c) == ["Submitted"])
    change = order("LMT", orderId=40, lmtPrice=185.0, transmit=False)
    client.tell(lambda ib: ib.client.placeOrder(40, stock(), change))
    (told,) = client.ask(lambda ib: ib.reqAllOpenOrdersAsync())

    assert (told.order.orderId, only_order(gateway).limit_price) == (40, 180.0)
    gateway.restart()
    assert only_order(gateway).is_open


def test_an_order_that_is_over_cannot_be_placed_again(
    gateway: FakeGateway, client: RealClient
) -> None:
    client.place(order(orderId=50))
    gateway.wait_until(lambda g: g.executions)
    client.tell(lambda ib: ib.client.placeOrder(50, stock(), order()))
    client.wait_for_codes(104)
    client.place(order("LMT", orderId=51, lmtPrice=1.0))
    client.tell(lambda ib: ib.client.cancelOrder(51))
    client.wait_for_codes(202)
    client.tell(lambda ib: ib.client.placeOrder(51, stock(), order()))
    client.wait_for_codes(103)

    assert len(gateway.executions) == 1


def test_a_cancelled_order_is_told_and_never_fills(
    gateway: FakeGateway, client: RealClient
) -> None:
    trade = client.place(order("LMT", lmtPrice=180.0))
    client.wait_for(lambda c: statuses(c) == ["Submitted"])
    client.tell(lambda ib: ib.cancelOrder(trade.order))
    client.wait_for_codes(202)

    gateway.price("AAPL", 170.0)

    assert statuses(client)[-1] == "Cancelled"
    assert gateway.executions == []


def test_only_its_own_client_can_cancel_an_order(
    gateway: FakeGateway, client: RealClient
) -> None:
    trade = client.place(order("LMT", lmtPrice=180.0))
    client.wait_for(lambda c: statuses(c) == ["Submitted"])
    with connected(gateway, client_id=8) as other:
        assert other.ask(lambda ib: ib.reqOpenOrdersAsync()) == []
        (seen,) = other.ask(lambda ib: ib.reqAllOpenOrdersAsync())
        assert seen.order.permId == trade.order.permId
        other.tell(lambda ib: ib.client.cancelOrder(trade.order.orderId))
        other.wait_for_codes(10147)
        assert only_order(gateway).is_open

        other.tell(lambda ib: ib.reqGlobalCancel())
        client.wait_for_codes(202)
    assert not only_order(gateway).is_open


def test_a_filled_order_cannot_be_cancelled(client: RealClient) -> None:
    trade = client.place(order())
    client.wait_for(lambda c: c.of_kind(59))
    client.tell(lambda ib: ib.client.cancelOrder(trade.order.orderId))

    client.wait_for_codes(10148)


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"shares": 0}, 434),
        ({"kind": "MIDPRICE"}, 387),
        ({"kind": "LMT", "lmtPrice": 180.005}, 110),
        ({"kind": "STP", "auxPrice": 180.005}, 110),
        ({"tif": "OPG"}, 201),
        ({"account": "U999"}, 321),
        ({"parentId": 12345}, 135),
        ({"action": "HODL"}, 321),
    ],
)
def test_orders_that_make_no_sense_are_refused(
    gateway: FakeGateway, client: RealClient, asked: dict[str, Any], code: int
) -> None:
    client.place(order(**asked))

    client.wait_for_codes(code)
    assert gateway.orders == {}


def test_an_unknown_symbol_cannot_be_traded(
    gateway: FakeGateway, client: RealClient
) -> None:
    client.tell(lambda ib: ib.placeOrder(stock("NOPE"), order()))

    client.wait_for_codes(200)
    assert gateway.orders == {}


def test_what_is_not_filled_at_once_is_cancelled_if_it_is_asked_so(
    gateway: FakeGateway, client: RealClient
) -> None:
    gateway.fill_in_parts("AAPL", 4)
    client.place(order(tif="IOC"))
    client.wait_for_codes(202)

    assert (only_order(gateway).status, only_order(gateway).filled) == ("Cancelled", 4)


def test_orders_of_the_day_expire_and_the_others_do_not(
    gateway: FakeGateway, client: RealClient
) -> None:
    client.place(order("LMT", lmtPrice=180.0))
    client.place(order("LMT", lmtPrice=180.0, tif="GTC"))
    gateway.wait_until(lambda g: len(g.orders) == 2)

    gateway.end_day()

    assert [one.status for one in gateway.orders.values()] == ["Cancelled", "Submitted"]
    client.wait_for_codes(202)


def test_a_closed_market_takes_orders_and_fills_them_when_it_opens(
    gateway: FakeGateway, client: RealClient
) -> None:
    gateway.close_market()
    client.place(order())
    client.place(order("LMT", lmtPrice=195.0))
    client.wait_for(lambda c: len(c.of_kind(4)) == 5)
    client.wait_for_codes(399)
    gateway.price("AAPL", 192.0)
    assert statuses(client) == ["PreSubmitted", "Submitted"]
    assert gateway.executions == []

    gateway.open_market()

    assert [one.price for one in gateway.executions] == [192.0, 192.0]


def test_a_preview_tells_margins_and_places_nothing(
    gateway: FakeGateway, client: RealClient
) -> None:
    state = client.ask(lambda ib: ib.whatIfOrderAsync(stock(), order()))

    assert float(state.initMarginChange) == pytest.approx(0.25 * 10 * 190.1)
    assert float(state.initMarginAfter) == pytest.approx(0.25 * 10 * 190.1)
    assert state.commission == 1.0
    assert gateway.orders == {}


def test_todays_executions_and_orders_are_told_and_yesterdays_are_not() -> None:
    clock = [NOON]
    with FakeGateway(now=lambda: clock[0]) as gateway:
        gateway.add_symbol("AAPL", 265598, bars=BARS)
        with connected(gateway) as client:
            client.place(order(orderRef="old"))
            client.wait_for(lambda c: c.of_kind(59))
            clock[0] = clock[0].replace(day=5)
            client.place(order(orderRef="new"))
            gateway.wait_until(lambda g: len(g.executions) == 2)
        gateway.wait_until(lambda g: not g.client_ids)

        with connected(gateway) as client:
            fills = client.tell(lambda ib: ib.fills())
            completed = [fields[22] for fields in client.of_kind(101)]

    assert [fill.execution.orderRef for fill in fills] == ["new"]
    assert fills[0].commissionReport.commission == 1.0
    assert completed == ["new"]


def test_executions_are_found_by_what_is_asked(
    gateway: FakeGateway, client: RealClient
) -> None:
    client.place(order())
    client.place(order(action="SELL", shares=4))
    gateway.wait_until(lambda g: len(g.executions) == 2)

    def found(**asked: Any) -> list[float]:
        wanted = ib_insync.ExecutionFilter(**asked)
        fills = client.ask(lambda ib: ib.reqExecutionsAsync(wanted))
        return [fill.execution.shares for fill in fills]

    assert found() == [10, 4]
    assert found(side="SELL") == [4]
    assert found(symbol="KO") == []
    assert found(clientId=8) == []
    assert found(clientId=7) == [10, 4]
    assert found(time="20260304-16:59:59") == [10, 4]
    assert found(time="20260304 12:00:01 US/Eastern") == []


def test_a_completed_order_says_zero_shares_and_has_no_order_id(
    gateway: FakeGateway, client: RealClient
) -> None:
    client.place(order(orderRef="done"))
    client.place(order("LMT", lmtPrice=180.0, orderRef="gone"))
    gateway.wait_until(lambda g: len(g.orders) == 2)
    client.tell(lambda ib: ib.reqGlobalCancel())
    gateway.wait_until(lambda g: not any(one.is_open for one in g.orders.values()))

    done, gone = client.ask(lambda ib: ib.reqCompletedOrdersAsync(apiOnly=False))

    assert (done.order.totalQuantity, done.order.filledQuantity) == (0, 10)
    assert (gone.order.totalQuantity, gone.order.filledQuantity) == (10, 0)
    assert (done.orderStatus.status, gone.orderStatus.status) == ("Filled", "Cancelled")
    assert (done.order.orderId, done.order.clientId) == (0, 0)
    assert done.order.permId in gateway.orders


def test_a_trade_by_hand_is_an_execution_of_nobody(
    gateway: FakeGateway, client: RealClient
) -> None:
    gateway.trade_by_hand("AAPL", "BUY", 5)
    (fill,) = client.ask(lambda ib: ib.reqExecutionsAsync())

    assert client.tell(lambda ib: ib.positions())[0].position == 5
    assert (fill.execution.clientId, fill.execution.orderRef) == (0, "")
    assert client.of_kind(11)[0][2] == "2147483647"


# Families of orders


def by_id(gateway: FakeGateway) -> dict[int, Any]:
    return {one.order_id: one for one in gateway.orders.values()}


def test_nothing_is_said_of_a_family_before_its_last_is_transmitted(
    gateway: FakeGateway, client: RealClient
) -> None:
    client.place(order("LMT", orderId=20, lmtPrice=180.0, transmit=False))
    client.place(
        order("LMT", "SELL", orderId=21, parentId=20, lmtPrice=9.0, transmit=False)
    )
    client.settle()
    assert client.of_kind(3, 5) == []
    assert client.ask(lambda ib: ib.reqAllOpenOrdersAsync()) == []

    client.place(order("STP", "SELL", orderId=22, parentId=20, auxPrice=170.0))
    client.wait_for(lambda c: len(c.of_kind(3)) == 3)

    assert {fields[1]: (fields[2], fields[10]) for fields in client.of_kind(3)} == {
        "20": ("Submitted", ""),
        "21": ("PreSubmitted", "child"),
        "22": ("PreSubmitted", "child"),
    }
    assert gateway.executions == []


def test_children_wait_for_their_parent_and_share_a_group(
    gateway: FakeGateway, client: RealClient
) -> None:
    bracket(client)
    gateway.wait_until(lambda g: len(g.orders) == 3)
    gateway.price("AAPL", 205.0)
    assert gateway.executions == []

    gateway.price("AAPL", 180.0)

    parent, target, stop = (by_id(gateway)[number] for number in (20, 21, 22))
    assert parent.status == "Filled"
    assert (target.status, stop.status) == ("Submitted", "PreSubmitted")
    assert target.oca_group == stop.oca_group == str(parent.perm_id)
    assert gateway.positions["AAPL"].shares == 10


def test_a_leg_that_fills_cancels_the_other(
    gateway: FakeGateway, client: RealClient
) -> None:
    bracket(client)
    gateway.wait_until(lambda g: len(g.orders) == 3)
    gateway.price("AAPL", 180.0)
    gateway.price("AAPL", 200.0)

    assert by_id(gateway)[21].status == "Filled"
    assert by_id(gateway)[22].status == "Cancelled"
    assert gateway.positions == {}
    gateway.price("AAPL", 160.0)
    assert gateway.positions == {}


def test_a_leg_that_fills_in_part_makes_the_other_smaller(
    gateway: FakeGateway, client: RealClient
) -> None:
    bracket(client)
    gateway.wait_until(lambda g: len(g.orders) == 3)
    gateway.price("AAPL", 180.0)
    gateway.fill_in_parts("AAPL", 4)
    gateway.price("AAPL", 200.0)
    assert by_id(gateway)[22].shares == 6

    gateway.price("AAPL", 170.0)

    assert gateway.positions == {}
    assert by_id(gateway)[21].status == "Cancelled"


def test_a_bracket_with_a_market_entry_is_live_at_once(
    gateway: FakeGateway, client: RealClient
) -> None:
    bracket(client, entry=195.0)
    gateway.wait_until(lambda g: len(g.orders) == 3)

    assert [one.status for one in by_id(gateway).values()] == [
        "Filled",
        "Submitted",
        "PreSubmitted",
    ]


def test_cancelling_a_parent_cancels_its_children(
    gateway: FakeGateway, client: RealClient
) -> None:
    bracket(client)
    gateway.wait_until(lambda g: len(g.orders) == 3)
    client.tell(lambda ib: ib.client.cancelOrder(20))
    client.wait_for(lambda c: statuses(c).count("Cancelled") == 3)

    assert not any(one.is_open for one in gateway.orders.values())


def test_a_child_is_changed_without_naming_a_parent_that_is_filled(
    gateway: FakeGateway, client: RealClient
) -> None:
    bracket(client, entry=195.0)
    gateway.wait_until(lambda g: len(g.orders) == 3)
    change = order("STP", "SELL", orderId=22, parentId=20, auxPrice=175.0, tif="GTC")
    client.tell(lambda ib: ib.client.placeOrder(22, stock(), change))
    client.wait_for_codes(135)
    assert by_id(gateway)[22].stop_price == 170.0

    change.parentId = 0
    client.tell(lambda ib: ib.client.placeOrder(22, stock(), change))
    gateway.wait_until(lambda g: by_id(g)[22].stop_price == 175.0)

    gateway.price("AAPL", 175.0)
    assert by_id(gateway)[21].status == "Cancelled"
    assert gateway.positions == {}


def test_a_group_of_kind_one_is_cancelled_at_the_first_share(
    gateway: FakeGateway, client: RealClient
) -> None:
    client.place(order("LMT", lmtPrice=180.0, ocaGroup="g", ocaType=1))
    client.place(order("LMT", lmtPrice=170.0, ocaGroup="g", ocaType=1))
    gateway.wait_until(lambda g: len(g.orders) == 2)
    gateway.fill_in_parts("AAPL", 1)

    gateway.price("AAPL", 180.0)

    assert [one.status for one in gateway.orders.values()] == ["Submitted", "Cancelled"]
