"""A place on this machine where messages arrive, and what may go wrong with it."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, override

SECRET = "T0KEN4NOBODY"  # noqa: S105 - made up, so that tests can look for it
DRIP_SECONDS = 0.05


class Receiver(ThreadingHTTPServer):
    """Keeps what it is sent.

    Attributes:
        status: What it answers with.
        is_dripping: Whether its answer never ends, a byte at a time.
        messages: What has arrived.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answering)
        self.status = 200
        self.is_dripping = False
        self.messages: list[dict[str, Any]] = []
        self.stopping = threading.Event()

    @property
    def address(self) -> str:
        """For ``TRADING_NOTIFY``, with secrets wherever an address may have some."""
        port = self.server_address[1]
        return f"json://me:{SECRET}@127.0.0.1:{port}/{SECRET}?+X-Key={SECRET}"

    @property
    def texts(self) -> list[str]:
        """What the messages said."""
        return [message["message"] for message in self.messages]


class _Answering(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        self.server.messages.append(json.loads(self.rfile.read(length)))
        self.send_response(self.server.status)
        while self.server.is_dripping and not self.server.stopping.is_set():
            self.send_header("X-More", "1")
            self.flush_headers()
            time.sleep(DRIP_SECONDS)
        self.end_headers()

    @override
    def log_message(self, format: str, *args: Any) -> None:
        del format, args


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver that listens until the block is left."""
    receiver = Receiver()
    thread = threading.Thread(target=receiver.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield receiver
    finally:
        receiver.stopping.set()
        receiver.shutdown()
        thread.join()
        receiver.server_close()
