"""Whether a gateway is alive: a real handshake, with the standard library alone.

A port that accepts proves nothing, because a forwarder in front of the gateway accepts
while the gateway is down. So this begins a session as a client does: ``API``, the versions
that it speaks, the answer with the server's version, message 71 (start), and then the next
order id (9) and the accounts (15). It ends by closing in order, since gateways have been
seen to stop accepting after many half-finished beginnings.

Frames are a length in 4 bytes, big-endian, and fields that each end with a zero byte
(the vendor's TWS API, ``EReader`` and ``Client``).
"""

import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from trading_assets.errors import GatewayUnreachable

VERSIONS = b"v157..176"
START = "71\0002\000{client_id}\000\000"
NEXT_ORDER_ID, ACCOUNTS, ERROR = "9", "15", "4"
NO_REQUEST = "-1"
NOTICES = range(2100, 2200)
LARGEST_FRAME_BYTES = 0xFFFFFF
CHUNK_BYTES = 65536
CLOSING_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Pong:
    """What a gateway said.

    Attributes:
        accounts: Those it is logged in for.
        milliseconds: From opening the socket to the end of the handshake.
    """

    server_version: int
    accounts: tuple[str, ...]
    milliseconds: float


@dataclass(frozen=True, slots=True)
class Doorbell:
    """A gateway that can be asked whether it is there.

    Attributes:
        client_id: One that nobody else uses.
        seconds: Longest time for all of it.
    """

    host: str
    port: int
    client_id: int
    seconds: float = 10.0

    def ring(self) -> Pong:
        """Begin a session and end it; see `ping`."""
        return ping(self.host, self.port, self.client_id, self.seconds)


def ping(host: str, port: int, client_id: int, seconds: float = 10.0) -> Pong:
    """Begin a session at a gateway, and end it.

    Args:
        host: Name or address.
        port: Of its interface.
        client_id: One that nobody else uses.
        seconds: Longest time for all of it.

    Raises:
        GatewayUnreachable: If there is no session; the message says how far it came.
    """
    began = time.monotonic()
    line = _Line(f"gateway {host}:{port}", began + seconds)
    try:
        with socket.create_connection((host, port), timeout=seconds) as peer:
            version, accounts = _shake_hands(line, peer, client_id)
            elapsed = time.monotonic() - began
            _hang_up(peer)
    except TimeoutError:
        raise GatewayUnreachable(
            f"{line.name}: {line.waits_for} did not come within {seconds:g} s"
        ) from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise GatewayUnreachable(
            f"{line.name}: {reason} while waiting for {line.waits_for}"
        ) from error
    return Pong(version, accounts, elapsed * 1000)


@dataclass(slots=True)
class _Line:
    """How far a handshake has come, for messages."""

    name: str
    deadline: float
    waits_for: str = "a connection"

    def fault(self, reason: str) -> GatewayUnreachable:
        return GatewayUnreachable(f"{self.name}: {reason} instead of {self.waits_for}")


def _shake_hands(
    line: _Line, peer: socket.socket, client_id: int
) -> tuple[int, tuple[str, ...]]:
    line.waits_for = "the server's version"
    peer.sendall(b"API\0" + len(VERSIONS).to_bytes(4) + VERSIONS)
    messages = _messages(line, peer)
    greeting = next(messages)
    if not greeting[0].isdigit():
        raise line.fault(f"{greeting[0]!r} came")
    start = START.format(client_id=client_id).encode()
    peer.sendall(len(start).to_bytes(4) + start)
    line.waits_for = "order id and accounts"
    told: dict[str, list[str]] = {}
    while not {NEXT_ORDER_ID, ACCOUNTS} <= told.keys():
        kind, *fields = next(messages)
        if kind == ERROR and fields[1] == NO_REQUEST and int(fields[2]) not in NOTICES:
            raise line.fault(f"{fields[2]}: {fields[3]}")
        told[kind] = fields
    accounts = tuple(name for name in told[ACCOUNTS][1].split(",") if name)
    if not accounts:
        raise line.fault("no account is logged in")
    return int(greeting[0]), accounts


def _messages(line: _Line, peer: socket.socket) -> Iterator[list[str]]:
    """The fields of each message as it comes.

    Raises:
        GatewayUnreachable: If the peer closes, or sends what is no message.
    """
    begun = b""
    while True:
        while len(begun) >= 4 and len(begun) >= 4 + int.from_bytes(begun[:4]):  # noqa: PLR2004 - the length's length
            end = 4 + int.from_bytes(begun[:4])
            fields = begun[4:end].decode(errors="replace").split("\0")
            yield fields[:-1] or fields
            begun = begun[end:]
        if int.from_bytes(begun[:4]) > LARGEST_FRAME_BYTES:
            raise line.fault("it sent what is no message")
        remaining = line.deadline - time.monotonic()
        if remaining <= 0:
            raise TimeoutError
        peer.settimeout(remaining)
        received = peer.recv(CHUNK_BYTES)
        if not received:
            raise line.fault("it closed the connection")
        begun += received


def _hang_up(peer: socket.socket) -> None:
    """Say that we are done, and give the gateway the time to notice."""
    until = time.monotonic() + CLOSING_SECONDS
    with suppress(OSError):
        peer.shutdown(socket.SHUT_WR)
        while (remaining := until - time.monotonic()) > 0:
            peer.settimeout(remaining)
            if not peer.recv(CHUNK_BYTES):
                return
