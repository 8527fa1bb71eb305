"""A real MLflow server on this machine, and a gate before it at which things go wrong."""

import http.client
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, override
from urllib.error import URLError
from urllib.request import urlopen

HOST = "127.0.0.1"
UP_WITHIN_SECONDS = 180
SECRET = "P4SSW0RD0FN0B0DY"  # noqa: S105 - made up, so that tests can look for it
DRIP_SECONDS = 0.05


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server((HOST, 0)) as probe:
        return probe.getsockname()[1]


@dataclass
class MlflowServer:
    """``mlflow server`` with a database and a folder of its own."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes]

    @property
    def address(self) -> str:
        """For a client, once it is up."""
        return f"http://{HOST}:{self.port}"

    def wait(self) -> None:
        """Return when it answers."""
        until = time.monotonic() + UP_WITHIN_SECONDS
        while self.process.poll() is None and time.monotonic() < until:
            try:
                with urlopen(f"{self.address}/health", timeout=5):  # noqa: S310 - ours
                    return
            except (URLError, OSError):
                time.sleep(0.1)
        raise AssertionError((self.folder / "log").read_text())


@contextmanager
def starting(folder: Path) -> Iterator[MlflowServer]:
    """A server that begins to start, and is stopped when the block is left."""
    port = free_port()
    command = [
        *(sys.executable, "-m", "mlflow", "server", "--workers", "1"),
        *("--host", HOST, "--port", str(port)),
        *("--backend-store-uri", f"sqlite:///{folder / 'runs.db'}"),
        *("--artifacts-destination", str(folder / "artifacts")),
    ]
    quiet = {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command,
            env={**os.environ, **quiet},
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=folder,
        )
    try:
        yield MlflowServer(folder, port, process)
    finally:
        process.terminate()
        process.wait(30)


class Gate(ThreadingHTTPServer):
    """Lets requests through to a server, counts them, and may stop doing so.

    Attributes:
        passed: Requests that went through: method and path.
        left: How many more may pass before nothing is answered any more; None for all.
        is_silent: Whether a request is never answered.
        is_dripping: Whether an answer never ends, a byte at a time.
    """

    daemon_threads = True

    def __init__(self, target_port: int) -> None:
        super().__init__((HOST, 0), _Passing)
        self.target_port = target_port
        self.passed: list[str] = []
        self.left: int | None = None
        self.is_silent = False
        self.is_dripping = False
        self.stopping = threading.Event()

    @property
    def address(self) -> str:
        """With credentials, as an address may have some."""
        return f"http://me:{SECRET}@{HOST}:{self.server_address[1]}"

    @property
    def writes(self) -> list[str]:
        """Those of the requests that change something."""
        reads = ("GET ", "POST /api/2.0/mlflow/runs/search")
        return [own for own in self.passed if not own.startswith(reads)]

    @override
    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was ended says no farewell."""


class _Passing(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Gate

    def _pass(self) -> None:
        gate = self.server
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if gate.is_silent:
            gate.stopping.wait()
        if gate.is_silent or gate.left == 0:
            self.close_connection = True
            return
        if gate.left is not None:
            gate.left -= 1
        gate.passed.append(f"{self.command} {self.path.partition('?')[0]}")
        if gate.is_dripping:
            self._drip()
            return
        connection = http.client.HTTPConnection(HOST, gate.target_port, timeout=60)
        headers = {name: own for name, own in self.headers.items() if name != "Host"}
        connection.request(self.command, self.path, body, headers)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.getheader("Content-Type") or "text/plain")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _drip(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000000")
        self.end_headers()
        while not self.server.stopping.is_set():
            self.wfile.write(b" ")
            time.sleep(DRIP_SECONDS)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _pass  # noqa: N815 - http.server's

    @override
    def log_message(self, format: str, *args: Any) -> None:
        del format, args


@contextmanager
def gate_before(target_port: int) -> Iterator[Gate]:
    """A gate that is open until the block is left."""
    gate = Gate(target_port)
    thread = threading.Thread(target=gate.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield gate
    finally:
        gate.stopping.set()
        gate.shutdown()
        thread.join()
        gate.server_close()
