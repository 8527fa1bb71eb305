"""One client on the line."""

import asyncio
import time
from collections import deque
from collections.abc import Callable

from trading_assets_tests.fake_gateway.wire import (
    BadFrame,
    FrameReader,
    agreed_version,
    fields_of,
    framed,
)

STRANGER = -1
"""The client id of somebody who has not started the session yet."""


class Session(asyncio.Protocol):
    """A connection, from its first byte to its last.

    Attributes:
        client_id: What it called itself.
        subscriptions: What it follows: kind of message → request ids and what they follow.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        on_message: Callable[["Session", list[str]], None],
        on_greeting: Callable[["Session"], None],
        on_end: Callable[["Session"], None],
    ) -> None:
        self.client_id = STRANGER
        self.subscriptions: dict[str, dict[int, object]] = {}
        self.market_data_type = 1
        self._loop = loop
        self._on_message = on_message
        self._on_greeting = on_greeting
        self._on_end = on_end
        self._reader = FrameReader()
        self._is_greeted = False
        self._transport: asyncio.Transport | None = None
        self._outbox: deque[tuple[float, bytes | None]] = deque()

    @property
    def is_open(self) -> bool:
        """Whether anything said would be sent."""
        return self._transport is not None

    @property
    def is_started(self) -> bool:
        """Whether it said who it is."""
        return self.is_open and self.client_id != STRANGER

    def follow(self, kind: str, request_id: int, what: object) -> None:
        """Tell changes of *what* from now on, under that request."""
        self.subscriptions.setdefault(kind, {})[request_id] = what

    def following(self, kind: str) -> dict[int, object]:
        """What is followed of that kind, by request."""
        return self.subscriptions.get(kind, {})

    def leave(self, kind: str, request_id: int) -> None:
        """Tell no more of it."""
        self.subscriptions.get(kind, {}).pop(request_id, None)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Somebody has called."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Bytes have come; whole messages among them are answered."""
        try:
            for payload in self._reader.read(data):
                self._read(payload)
        except BadFrame:
            self.drop()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's name
        """The other side is gone."""
        self._transport = None
        self._on_end(self)

    def _read(self, payload: bytes) -> None:
        if not self.is_open:
            return
        if not self._is_greeted:
            agreed_version(payload)
            self._is_greeted = True
            self._on_greeting(self)
        else:
            self._on_message(self, fields_of(payload))

    def say(self, *fields: object, seconds_late: float = 0.0) -> None:
        """Send a message after those said before, from any thread."""
        self.send(framed(*fields), seconds_late)

    def send(self, data: bytes, seconds_late: float = 0.0) -> None:
        """Send bytes as they are, from any thread."""
        self._outbox.append((time.monotonic() + seconds_late, data))
        self._loop.call_soon_threadsafe(self._flush)

    def hang_up(self) -> None:
        """End the connection once everything is said, from any thread."""
        self._outbox.append((0.0, None))
        self._loop.call_soon_threadsafe(self._flush)

    def drop(self) -> None:
        """End the connection at once and forget what was not sent; on the loop only."""
        self._outbox.clear()
        if self._transport is not None:
            self._transport.abort()
            self._transport = None
            self._on_end(self)

    def _flush(self) -> None:
        while self._outbox and self._transport is not None:
            due, data = self._outbox[0]
            wait = due - time.monotonic()
            if wait > 0:
                self._loop.call_later(wait, self._flush)
                return
            self._outbox.popleft()
            if data is None:
                self._transport.close()
                self._transport = None
                self._on_end(self)
            else:
                self._transport.write(data)
