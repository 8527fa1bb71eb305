"""A peer that says what a test wants it to, byte for byte."""

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager

from trading_assets_tests.adapters.ibkr.conftest import ACCOUNT


def framed(*fields: object) -> bytes:
    """One message."""
    body = "".join(f"{one}\0" for one in fields).encode()
    return len(body).to_bytes(4) + body


VERSION = framed(176, "20261120 03:32:08 EST")
ACCOUNTS = framed(15, 1, ACCOUNT)
ORDER_ID = framed(9, 1, 1)
LINK_LOST = framed(4, 2, -1, 1100, "Connectivity has been lost", "")
LINK_RESTORED = framed(4, 2, -1, 1102, "Connectivity has been restored", "")


@contextmanager
def peer(*sent: bytes, hangs_up: bool = False) -> Iterator[int]:
    """A port on which every client is sent *sent*, part by part.

    Then it is kept waiting, or the connection ends.
    """
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        connections: list[socket.socket] = []

        def serve() -> None:
            while True:
                try:
                    connections.append(server.accept()[0])
                except OSError:
                    return
                connections[-1].setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                for part in sent:
                    connections[-1].sendall(part)
                if hangs_up:
                    connections[-1].shutdown(socket.SHUT_WR)

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        for connection in connections:
            connection.close()


def unused_port() -> int:
    """A port on which nobody listens."""
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]
