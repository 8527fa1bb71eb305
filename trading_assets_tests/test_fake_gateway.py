"""The fake gateway and a real client over TCP: the wire, the session, what is asked."""

import asyncio
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

import pytest

from trading_assets_tests.fake_gateway import FakeGateway, Fault
from trading_assets_tests.fake_gateway.real_client import (
    NOON,
    SECONDS,
    RealClient,
    bars_of,
    bracket,
    connected,
    listening,
    order,
    stock,
)
from trading_assets_tests.fake_gateway.wire import (
    BadFrame,
    FrameReader,
    Layout,
    agreed_version,
    fields_of,
    framed,
    written,
)


@pytest.fixture
def gateway() -> Iterator[FakeGateway]:
    with listening() as gateway:
        yield gateway


@pytest.fixture
def client(gateway: FakeGateway) -> Iterator[RealClient]:
    with connected(gateway) as client:
        yield client


# The wire


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (True, "1"),
        (False, "0"),
        (10.0, "10"),
        (190.1, "190.1"),
        (7, "7"),
        ("1.7976931348623157E308", "1.7976931348623157E308"),
    ],
)
def test_a_field_is_written_as_interactive_brokers_writes_it(value: Any, text: str) -> None:
    assert written(value) == text


def test_a_frame_is_its_length_and_fields_that_end_with_a_zero_byte() -> None:
    assert framed(9, 1, 42) == b"\x00\x00\x00\x079\x001\x0042\x00"
    assert fields_of(b"9\x001\x0042\x00") == ["9", "1", "42"]
    assert fields_of(b"\x00") == [""]


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
def test_messages_are_found_wherever_the_network_has_cut_the_stream(size: int) -> None:
    offer = b"v157..176"
    stream = (
        b"API\0" + len(offer).to_bytes(4) + offer + framed(71, 2, 7, "") + framed(61, 1)
    )
    reader = FrameReader()

    pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
    payloads = [payload for piece in pieces for payload in reader.read(piece)]

    assert payloads == [offer, b"71\x002\x007\x00\x00", b"61\x001\x00"]


@pytest.mark.parametrize("stream", [b"GET / HTTP/1.1\r\n", b"API\0\xff\xff\xff\xff"])
def test_a_stream_that_is_none_of_ours_is_refused(stream: bytes) -> None:
    with pytest.raises(BadFrame):
        FrameReader().read(stream)


@pytest.mark.parametrize("payload", [b"", b"9\x001", b"\xff\x00"])
def test_a_payload_that_is_no_message_is_refused(payload: bytes) -> None:
    with pytest.raises(BadFrame):
        fields_of(payload)


def test_only_176_is_spoken_and_a_client_must_offer_it() -> None:
    assert agreed_version(b"v100..178 +PACEAPI") == 176
    for offer in (b"v100..175", b"v177..178", b"176", b"vx..176"):
        with pytest.raises(BadFrame):
            agreed_version(offer)


def test_a_layout_writes_defaults_and_refuses_what_it_does_not_know() -> None:
    layout = Layout.of("_=5 shares=0 name")

    assert layout.write(name="x") == ["5", "0", "x"]
    assert layout.read(["5", "3", "y"]) == {"shares": "3", "name": "y"}
    with pytest.raises(BadFrame, match="price"):
        layout.write(price=1)
    with pytest.raises(BadFrame, match="2 fields, 3 are read"):
        layout.read(["5", "3"])


# The session


def test_the_handshake_is_two_fields_then_accounts_and_the_next_id(
    gateway: FakeGateway,
) -> None:
    with socket.create_connection(("127.0.0.1", gateway.port), SECONDS) as line:
        offer = b"v157..176"
        line.sendall(b"API\0" + len(offer).to_bytes(4) + offer)
        file = line.makefile("rb")

        def read() -> list[str]:
            return fields_of(file.read(int.from_bytes(file.read(4))))

        assert read() == ["176", "20260304 12:00:00 EST"]
        line.sendall(framed(71, 2, 7, ""))
        assert read() == ["15", "1", "DU1234567"]
        assert read() == ["9", "1", "1"]
        assert [read()[:4] for _ in range(3)] == [
            ["4", "2", "-1", code] for code in ("2104", "2106", "2158")
        ]
        gateway.wait_until(lambda g: g.client_ids == {7})
    assert gateway.received[0] == (-1, 71, ["71", "2", "7", ""])


def test_a_client_id_is_taken_until_its_client_has_left(gateway: FakeGateway) -> None:
    with connected(gateway):
        other = RealClient(gateway)
        with pytest.raises((ConnectionError, TimeoutError, asyncio.TimeoutError)):
            other.connect(seconds=0.3)
        assert other.of_kind(4)[0][3] == "326"
        other.close()
    gateway.wait_until(lambda g: not g.client_ids)
    with connected(gateway):
        assert gateway.client_ids == {7}


def test_the_clock_and_the_next_id_are_told(
    gateway: FakeGateway, client: RealClient
) -> None:
    assert client.ask(lambda ib: ib.reqCurrentTimeAsync()) == NOON
    client.place(order(orderId=41))
    gateway.wait_until(lambda g: len(g.orders) == 1)
    client.tell(lambda ib: ib.client.reqIds(1))

    client.wait_for(lambda c: c.of_kind(9)[-1] == ["9", "1", "42"])


def test_ids_and_orders_outlive_a_restart(gateway: FakeGateway, client: RealClient) -> None:
    client.place(order("LMT", orderId=5, lmtPrice=180.0, tif="GTC"))
    gateway.wait_until(lambda g: len(g.orders) == 1)
    port = gateway.port
    gateway.restart()
    client.wait_for_end()

    client.connect()

    assert gateway.port == port
    assert client.of_kind(9)[-1] == ["9", "1", "6"]
    assert [trade.order.orderId for trade in client.tell(lambda ib: ib.openTrades())] == [5]


def test_what_was_never_transmitted_is_lost_in_a_restart(
    gateway: FakeGateway, client: RealClient
) -> None:
    client.place(order("LMT", lmtPrice=180.0, transmit=False))
    gateway.wait_until(lambda g: len(g.orders) == 1)
    gateway.restart()

    assert gateway.orders == {}
    client.wait_for_end()
    client.connect()
    assert client.of_kind(9)[0][2] < client.of_kind(9)[-1][2]


def test_nobody_is_let_in_while_it_does_not_listen(gateway: FakeGateway) -> None:
    gateway.stop_listening()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", gateway.port), SECONDS)
    gateway.start_listening()
    with connected(gateway) as client:
        assert client.ib.isConnected()


def test_a_message_that_cannot_be_read_is_said_to_be_so(client: RealClient) -> None:
    client.tell(lambda ib: ib.client.send(3, 12, "AAPL"))
    client.tell(lambda ib: ib.client.send(4711))

    client.wait_for_codes(320, 505)
    assert [fields[2] for fields in client.of_kind(4) if fields[3] == "320"] == ["12"]


# Instruments


def test_contract_details_name_the_listing_the_tick_and_the_hours(
    client: RealClient,
) -> None:
    (details,) = client.ask(lambda ib: ib.reqContractDetailsAsync(stock()))

    assert details.contract.conId == 265598
    assert details.contract.primaryExchange == "NASDAQ"
    assert details.contract.currency == "USD"
    assert details.minTick == 0.01
    assert details.longName == "APPLE INC"
    assert details.timeZoneId == "US/Eastern"
    assert details.tradingSessions()[0].start.hour == 9
    assert details.validExchanges == "SMART,NASDAQ"
    (message,) = client.of_kind(10)
    identifiers = 2 * len(details.secIdList)
    assert len(message) == 40 + identifiers


def test_an_unknown_contract_is_200(client: RealClient) -> None:
    with pytest.raises(Exception, match="200: No security definition"):
        client.ask(lambda ib: ib.reqContractDetailsAsync(stock("NOPE")))


def test_a_search_finds_by_symbol_and_by_name(client: RealClient) -> None:
    found = client.ask(lambda ib: ib.reqMatchingSymbolsAsync("cola"))
    assert [one.contract.symbol for one in found] == ["KO"]
    assert found[0].contract.primaryExchange == "NYSE"
    assert found[0].derivativeSecTypes == ["OPT", "WAR"]

    assert client.ask(lambda ib: ib.reqMatchingSymbolsAsync("ZZZ")) == []


def test_a_market_rule_gives_the_smallest_tick(client: RealClient) -> None:
    (step,) = client.ask(lambda ib: ib.reqMarketRuleAsync(26))

    assert (step.lowEdge, step.increment) == (0.0, 0.01)


def test_daily_bars_carry_their_session_and_its_prices(client: RealClient) -> None:
    bars = bars_of(client)

    assert [bar.date for bar in bars] == [
        date(2026, 2, 27),
        date(2026, 3, 2),
        date(2026, 3, 3),
    ]
    last = bars[-1]
    assert (last.open, last.high, last.low, last.close) == (190.0, 191.5, 189.5, 190.1)
    assert last.volume == 1_200_000
    (message,) = client.of_kind(17)
    assert len(message) == 5 + 8 * 3


@pytest.mark.parametrize(
    ("duration", "end", "days"),
    [
        ("2 D", "", [2, 3]),
        ("1 W", "", [27, 2, 3]),
        ("1 W", "20260302 23:59:59 US/Eastern", [27, 2]),
        ("1 W", "20260306 23:59:59 US/Eastern", [2, 3]),
        ("1 D", "20260302-23:59:59", [2]),
        ("1 M", "20260301 00:00:00 UTC", [27]),
    ],
)
def test_a_duration_reaches_back_from_its_end(
    client: RealClient, duration: str, end: str, days: list[int]
) -> None:
    bars = bars_of(client, duration, endDateTime=end)

    assert [bar.date.day for bar in bars] == days


def test_minutes_are_joined_and_can_leave_out_what_is_not_the_session(
    client: RealClient,
) -> None:
    inside = bars_of(client, "1 D", "1 min", formatDate=2)
    around = bars_of(client, "1 D", "5 mins", useRTH=False, formatDate=2)

    assert [bar.date.minute for bar in inside] == [30, 31, 32]
    assert inside[0].date == datetime(2026, 3, 3, 14, 30, tzinfo=UTC)
    assert [(bar.open, bar.close, bar.volume) for bar in around] == [
        (10.0, 11.0, 100.0),
        (11.0, 14.0, 900.0),
    ]


def test_without_epochs_minutes_carry_the_clock_of_the_exchange(client: RealClient) -> None:
    first = bars_of(client, "1 D", "1 min")[0]

    assert client.of_kind(17)[0][5] == "20260303 09:30:00 US/Eastern"
    assert first.date.astimezone(UTC) == datetime(2026, 3, 3, 14, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("asked", "refusal"),
    [
        ({"duration": "400 D"}, "321.*must be made in years"),
        ({"duration": "90000 S"}, "321.*must be made in days"),
        ({"duration": "1 fortnight"}, "321.*[Ii]nvalid duration"),
        ({"size": "7 days"}, "321.*bar size"),
        ({"endDateTime": "20260302 12:00:00 EST"}, "10314"),
        ({"endDateTime": "20260302 12:00:00 Mars/Olympus"}, "10314"),
        ({"endDateTime": "20261399 12:00:00"}, "10314"),
        ({"endDateTime": "20260302-23:59:59", "whatToShow": "ADJUSTED_LAST"}, "321"),
        ({"duration": "1 D", "endDateTime": "20200101 00:00:00"}, "162.*no data"),
    ],
)
def test_questions_that_a_gateway_refuses_are_refused(
    client: RealClient, asked: dict[str, Any], refusal: str
) -> None:
    with pytest.raises(Exception, match=refusal):
        bars_of(client, **asked)


def test_history_begins_at_the_open_of_the_first_session(client: RealClient) -> None:
    asked = {"whatToShow": "TRADES", "useRTH": True}
    head = client.ask(lambda ib: ib.reqHeadTimeStampAsync(stock(), formatDate=1, **asked))
    epoch = client.ask(lambda ib: ib.reqHeadTimeStampAsync(stock(), formatDate=2, **asked))

    assert head == datetime(2026, 2, 27, 14, 30)  # noqa: DTZ001 - as it comes, in UTC
    assert epoch == datetime(2026, 2, 27, 14, 30, tzinfo=UTC)


def test_a_snapshot_tells_prices_and_ends(client: RealClient) -> None:
    (ticker,) = client.ask(lambda ib: ib.reqTickersAsync(stock()))

    assert (ticker.bid, ticker.last, ticker.ask) == (190.09, 190.1, 190.11)
    assert (ticker.close, ticker.volume) == (190.1, 1_200_000)
    assert len(client.of_kind(1)[0]) == 7


def test_delayed_ticks_have_kinds_of_their_own(client: RealClient) -> None:
    client.tell(lambda ib: ib.reqMarketDataType(3))
    client.ask(lambda ib: ib.reqTickersAsync(stock()))

    assert [fields[3] for fields in client.of_kind(1)] == ["66", "67", "68", "75"]
    assert client.of_kind(58)[0][3] == "3"


def test_a_follower_hears_of_prices_until_it_has_enough(
    gateway: FakeGateway, client: RealClient
) -> None:
    contract = stock()
    client.tell(lambda ib: ib.reqMktData(contract))
    client.wait_for(lambda c: c.of_kind(2))
    gateway.price("AAPL", 195.0)
    client.wait_for(lambda c: any(fields[4] == "195" for fields in c.of_kind(1)))
    client.tell(lambda ib: ib.cancelMktData(contract))
    client.settle()

    gateway.price("AAPL", 196.0)
    client.settle()

    assert not any(fields[4] == "196" for fields in client.of_kind(1))


# The account


def test_a_fill_moves_cash_position_and_profit(
    gateway: FakeGateway, client: RealClient
) -> None:
    client.place(order(shares=100))
    gateway.wait_until(lambda g: g.positions)
    gateway.price("AAPL", 200.0)
    client.place(order(action="SELL", shares=40))
    gateway.wait_until(lambda g: len(g.executions) == 2)

    held = gateway.positions["AAPL"]
    assert (held.shares, held.average_price) == (60, 190.1)
    assert held.average_cost == pytest.approx(190.11)
    assert held.realized_pnl == pytest.approx(40 * (200 - 190.11) - 1)
    assert held.unrealized_pnl == pytest.approx(60 * (200 - 190.11))
    assert gateway.cash == pytest.approx(1_000_000 - 100 * 190.1 + 40 * 200 - 2)


def test_selling_more_than_is_held_turns_the_position_around(
    gateway: FakeGateway, client: RealClient
) -> None:
    gateway.hold("AAPL", 10, 100.0)
    client.place(order(action="SELL", shares=30))
    gateway.wait_until(lambda g: g.executions)

    held = gateway.positions["AAPL"]
    assert (held.shares, held.average_price) == (-20, 190.1)
    assert held.realized_pnl == pytest.approx(10 * 90.1 - 1 / 3)
    assert held.average_cost == pytest.approx(190.1 - 1 / 30)


def test_the_account_is_told_in_its_four_ways(
    gateway: FakeGateway, client: RealClient
) -> None:
    gateway.hold("AAPL", 100, 150.0)
    client.settle()
    summary = client.ask(lambda ib: ib.accountSummaryAsync())
    positions = client.tell(lambda ib: ib.positions())
    portfolio = client.tell(lambda ib: ib.portfolio())
    values = client.tell(lambda ib: ib.accountValues())

    worth = {one.tag: one.value for one in summary if one.currency == "USD"}
    assert worth["NetLiquidation"] == f"{1_000_000 + 100 * 190.1:.2f}"
    assert worth["CashBalance"] == "1000000.00"
    assert [(one.contract.symbol, one.position, one.avgCost) for one in positions] == [
        ("AAPL", 100.0, 150.0)
    ]
    assert [(one.marketPrice, one.unrealizedPNL) for one in portfolio] == [
        (190.1, pytest.approx(100 * 40.1))
    ]
    assert {one.value for one in values if one.tag == "NetLiquidation"} == {"1019010.00"}
    assert {len(fields) for fields in client.of_kind(7)} == {20}
    assert {len(fields) for fields in client.of_kind(61)} == {16}
    assert {len(fields) for fields in client.of_kind(6)} == {6}
    assert {len(fields) for fields in client.of_kind(63)} == {7}
    assert {len(fields) for fields in client.of_kind(73)} == {8}


def test_profit_is_told_and_told_again_when_prices_move(
    gateway: FakeGateway, client: RealClient
) -> None:
    gateway.hold("AAPL", 100, 150.0)
    whole = client.tell(lambda ib: ib.reqPnL("DU1234567"))
    one = client.tell(lambda ib: ib.reqPnLSingle("DU1234567", "", 265598))
    none = client.tell(lambda ib: ib.reqPnLSingle("DU1234567", "", 8894))
    client.settle()
    assert whole.unrealizedPnL == one.unrealizedPnL == pytest.approx(4010)
    assert none.dailyPnL == sys.float_info.max

    gateway.price("AAPL", 200.0)
    client.settle()

    assert whole.unrealizedPnL == one.unrealizedPnL == pytest.approx(5000)
    assert (one.position, one.value) == (100, 20_000)


# Other readers


def test_the_official_decoder_reads_everything(
    gateway: FakeGateway, client: RealClient
) -> None:
    why = "nautilus_ibapi==10.19.4 is not installed; its licence keeps it out of the lock"
    decoding = pytest.importorskip("ibapi.decoder", reason=why)
    listening_to = pytest.importorskip("ibapi.wrapper", reason=why)
    heard: list[str] = []

    class Listener(listening_to.EWrapper):
        def __getattribute__(self, name: str) -> Any:
            return lambda *_values, **_named: heard.append(name)

    gateway.hold("AAPL", 5, 100.0)
    client.ask(lambda ib: ib.reqContractDetailsAsync(stock()))
    client.ask(lambda ib: ib.reqMatchingSymbolsAsync("A"))
    bars_of(client)
    client.ask(lambda ib: ib.reqTickersAsync(stock()))
    client.ask(lambda ib: ib.reqMarketRuleAsync(26))
    client.ask(lambda ib: ib.accountSummaryAsync())
    asked = {"whatToShow": "TRADES", "useRTH": True, "formatDate": 1}
    client.ask(lambda ib: ib.reqHeadTimeStampAsync(stock(), **asked))
    client.tell(lambda ib: ib.reqPnL("DU1234567"))
    client.tell(lambda ib: ib.reqPnLSingle("DU1234567", "", 265598))
    bracket(client, entry=195.0)
    client.wait_for(lambda c: c.of_kind(59))
    client.ask(lambda ib: ib.whatIfOrderAsync(stock(), order()))
    client.ask(lambda ib: ib.reqCompletedOrdersAsync(apiOnly=False))
    client.ask(lambda ib: ib.reqExecutionsAsync())
    client.settle()

    decoder = decoding.Decoder(Listener(), 176)
    for fields in client.heard:
        before = len(heard)
        decoder.interpret([field.encode() for field in fields])
        assert len(heard) > before, fields

    assert {
        "openOrder",
        "orderStatus",
        "execDetails",
        "commissionReport",
        "completedOrder",
        "contractDetails",
        "symbolSamples",
        "historicalData",
        "historicalDataEnd",
        "headTimestamp",
        "marketRule",
        "tickPrice",
        "tickSize",
        "tickSnapshotEnd",
        "marketDataType",
        "tickReqParams",
        "accountSummary",
        "updateAccountValue",
        "updatePortfolio",
        "position",
        "pnl",
        "pnlSingle",
        "currentTime",
        "error",
    } <= set(heard)


def test_it_can_be_run_by_hand() -> None:
    lines = "price AAPL 191.5\nfault REJECT text=no\nhold\npositions\nfaults\nquit\n"
    done = subprocess.run(
        [sys.executable, "-m", "trading_assets_tests.fake_gateway", "--port", "0"],
        input=lines,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    first, price, fault, unknown, cash, *rest = done.stdout.splitlines()
    assert first.startswith("listening on 127.0.0.1:")
    assert price == "AAPL 191.5"
    assert fault.startswith("REJECT: 201")
    assert unknown.startswith("not understood")
    assert cash == "cash 1000000.00"
    assert len(rest) == len(Fault)
