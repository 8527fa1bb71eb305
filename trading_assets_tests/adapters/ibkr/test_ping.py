import queue
import socket
import threading
from contextlib import closing

import pytest

from trading_assets.adapters.ibkr.ping import ping
from trading_assets.errors import GatewayUnreachable
from trading_assets_tests.adapters.ibkr.conftest import ACCOUNT
from trading_assets_tests.adapters.ibkr.wire_peer import (
    ACCOUNTS,
    LINK_LOST,
    ORDER_ID,
    VERSION,
    framed,
    peer,
    unused_port,
)
from trading_assets_tests.fake_gateway import FakeGateway, Fault

HOST = "127.0.0.1"


def test_a_gateway_that_is_alive_says_who_it_is(fake: FakeGateway) -> None:
    pong = ping(HOST, fake.port, client_id=99)

    assert pong.server_version == 176
    assert pong.accounts == (ACCOUNT,)
    assert 0 < pong.milliseconds < 10_000


def test_nothing_is_left_behind(fake: FakeGateway) -> None:
    for _ in range(5):
        ping(HOST, fake.port, client_id=99)

    fake.wait_until(lambda gateway: not gateway.client_ids)
    assert {(one.client_id, one.message_id) for one in fake.received} <= {
        (-1, 71),
        (99, 71),
    }


def test_it_ends_in_order_and_hears_the_last_word() -> None:
    ended: queue.Queue[str] = queue.Queue()
    with closing(socket.create_server((HOST, 0))) as server:

        def serve() -> None:
            connection, _ = server.accept()
            connection.sendall(VERSION + ACCOUNTS + ORDER_ID)
            while connection.recv(1000):
                pass
            try:
                connection.sendall(LINK_LOST)
                connection.sendall(LINK_LOST)  # fails if nobody takes the first
                ended.put("in order")
            except OSError as error:
                ended.put(repr(error))
            connection.close()

        threading.Thread(target=serve, daemon=True).start()
        ping(HOST, server.getsockname()[1], client_id=99)

        assert ended.get(timeout=20) == "in order"


def test_a_client_id_that_is_in_use_is_said(fake: FakeGateway) -> None:
    fake.inject(Fault.CLIENT_ID_IN_USE)

    with pytest.raises(GatewayUnreachable, match=r"326: .*already in use"):
        ping(HOST, fake.port, client_id=99, seconds=600)


def test_nobody_there_is_said() -> None:
    port = unused_port()

    with pytest.raises(GatewayUnreachable, match=f"{port}: Connection refused"):
        ping(HOST, port, client_id=99, seconds=600)


@pytest.mark.parametrize(
    ("sent", "what"),
    [
        ([], "the server's version"),
        ([VERSION[:9]], "the server's version"),
        ([VERSION], "order id and accounts"),
        ([VERSION, ACCOUNTS], "order id and accounts"),
        ([VERSION, ORDER_ID, LINK_LOST[:-3]], "order id and accounts"),
    ],
)
@pytest.mark.parametrize("hangs_up", [True, False])
def test_how_far_it_came_is_said(sent: list[bytes], what: str, *, hangs_up: bool) -> None:
    how = "it closed the connection instead of" if hangs_up else ""
    with (
        peer(*sent, hangs_up=hangs_up) as port,
        pytest.raises(GatewayUnreachable, match=f"{how}.*{what}"),
    ):
        ping(HOST, port, client_id=99, seconds=600 if hangs_up else 0.2)


@pytest.mark.parametrize(
    "sent",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\xff\xff\xff\xff",
        framed("nonsense", 1),
        framed(),
    ],
)
def test_what_is_no_gateway_is_said_at_once(sent: bytes) -> None:
    with (
        peer(sent) as port,
        pytest.raises(GatewayUnreachable, match="instead of the server's version"),
    ):
        ping(HOST, port, client_id=99, seconds=600)


def test_a_login_without_accounts_is_no_session() -> None:
    with (
        peer(VERSION, ORDER_ID, framed(15, 1, "")) as port,
        pytest.raises(GatewayUnreachable, match="no account is logged in"),
    ):
        ping(HOST, port, client_id=99, seconds=600)


def test_notices_and_the_order_of_messages_make_no_difference() -> None:
    notice = framed(4, 2, -1, 2104, "Market data farm connection is OK:usfarm", "")
    sent = VERSION + notice + framed(15, 1, "DU1,DU2,") + notice + ORDER_ID

    bytewise = (sent[at : at + 1] for at in range(len(sent)))

    with peer(*bytewise, hangs_up=True) as port:
        assert ping(HOST, port, client_id=99).accounts == ("DU1", "DU2")
