"""Dagster's web server with the charts beside it, and its daemon: what ``make dev`` runs.

Both evaluate lookbacks the fast way; Dagster's own commands do too, only slower.
"""

import errno
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, NoReturn
from urllib.error import URLError
from urllib.request import urlopen

import dagster as dg

from trading_assets.defs import fast_paths
from trading_assets.defs.charts import MOUNT
from trading_assets.defs.instance import CONFIGURATION, bury_dead_runs
from trading_assets.errors import InvalidInput, TradingAssetsError

if TYPE_CHECKING:
    from dagster._core.workspace.context import WorkspaceProcessContext
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import HTMLResponse

WORKSPACE = CONFIGURATION.with_name("workspace.yaml")
BACKFILL_SECONDS = 5
POLL_RATE_MILLISECONDS = 2000
PICTURES = (
    f"<style>img[src^='{MOUNT}/']"
    "{max-width: 100%; min-width: min(84vw - 800px, 540px)}</style>"
).encode()
"""Added to Dagster's pages, which show pictures as large as they are."""

STARTED_WITHIN_SECONDS = 180
STOPPED_WITHIN_SECONDS = 20
GOODBYE_SECONDS = 2
"""How long open pages may take to hang up; a browser never does by itself."""

POLL_SECONDS = 0.25


class ServerEnded(TradingAssetsError):
    """The web server or the daemon is not there any more, or never came."""


def serve_web(charts: Path, host: str, port: int, workspace: Path = WORKSPACE) -> None:
    """Serve Dagster's pages and, under ``/charts``, the chart store; until stopped.

    Args:
        charts: The chart store's folder.
        host: To listen on; anything but loopback shows the pages to whoever can reach it.
        port: To listen on.
        workspace: Says where the code location is.
    """
    import uvicorn  # noqa: PLC0415 - as below
    from dagster._core.workspace.context import (  # noqa: PLC0415 - slow to import, needed here
        WorkspaceProcessContext,
    )
    from dagster._core.workspace.load_target import WorkspaceFileTarget  # noqa: PLC0415
    from starlette.applications import Starlette  # noqa: PLC0415
    from starlette.routing import Mount  # noqa: PLC0415
    from starlette.staticfiles import StaticFiles  # noqa: PLC0415

    fast_paths.install()
    charts.mkdir(parents=True, exist_ok=True)
    target = WorkspaceFileTarget(paths=[str(workspace)])
    with (
        dg.DagsterInstance.get() as instance,
        WorkspaceProcessContext(
            instance, workspace_load_target=target, code_server_log_level="ERROR"
        ) as loaded,
    ):
        app = Starlette(
            routes=[
                Mount(MOUNT, StaticFiles(directory=charts)),
                Mount("/", _pages(loaded)),
            ]
        )
        uvicorn.run(
            app,
            host=host,
            port=port,
            log_level="warning",
            timeout_graceful_shutdown=GOODBYE_SECONDS,
        )


def _pages(workspace: "WorkspaceProcessContext") -> "Starlette":
    """Dagster's pages, with pictures no wider than the place that they are shown in."""
    from dagster_webserver.webserver import DagsterWebserver  # noqa: PLC0415 - slow to import

    class Pages(DagsterWebserver):
        def index_html_endpoint(self, request: "Request") -> "HTMLResponse":
            page = super().index_html_endpoint(request)
            page.body = bytes(page.body).replace(b"</head>", PICTURES + b"</head>")
            page.headers["content-length"] = str(len(page.body))
            return page

    return Pages(workspace, live_data_poll_rate=POLL_RATE_MILLISECONDS).create_asgi_app()


def run_daemon(workspace: Path = WORKSPACE, log_level: str = "info") -> None:
    """Run schedules, sensors, backfills and the run queue; until stopped.

    Args:
        workspace: Says where the code location is.
        log_level: Of what it says; at ``info`` every look of a sensor is a line.
    """
    from dagster._core.workspace.load_target import (  # noqa: PLC0415 - as below
        WorkspaceFileTarget,
    )
    from dagster._daemon import controller  # noqa: PLC0415 - slow to import, needed here
    from dagster._utils.interrupts import capture_interrupts  # noqa: PLC0415

    fast_paths.install()
    # What a backfill asks for next, it asks for when it is looked at again. Dagster looks
    # every thirty seconds and has no setting for it; a lane is five steps.
    controller.DEFAULT_DAEMON_INTERVAL_SECONDS = BACKFILL_SECONDS
    # A new home warns twice that there is nothing to continue from.
    events = logging.getLogger("dagster.daemon.EventLogConsumerDaemon")
    events.addFilter(lambda record: "No cursor for event type" not in record.msg)
    target = WorkspaceFileTarget(paths=[str(workspace)])
    with (
        suppress(KeyboardInterrupt),
        capture_interrupts(),
        dg.DagsterInstance.get() as instance,
        controller.daemon_controller_from_instance(
            instance,
            target,
            code_server_log_level="error",  # else each says that it is replaced
            log_level=log_level,
        ) as daemons,
    ):
        bury_dead_runs(instance)
        daemons.check_daemon_loop()


@contextmanager
def running(
    commands: Sequence[Sequence[str]],
) -> Iterator[list["subprocess.Popen[bytes]"]]:
    """Children that live as long as the block does, and all that they start."""
    prompt = (sys.executable, "-m", "trading_assets.cli")
    parent = ("--parent", str(os.getpid()))
    children: list[subprocess.Popen[bytes]] = []
    try:
        for command in commands:
            call = [*prompt, *command, *parent]
            children.append(subprocess.Popen(call, start_new_session=True))  # noqa: S603 - our own
        yield children
    finally:
        _stop(children)
        with dg.DagsterInstance.get() as instance:
            bury_dead_runs(instance)


def end_on_signals() -> None:
    """Let what asks this process to stop do as Ctrl-C does, even in the background."""
    asking = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as nohup sets it
        asking.append(signal.SIGHUP)
    for number in asking:
        signal.signal(number, signal.default_int_handler)


def end_with(parent: int) -> None:
    """Have this process end, as by Ctrl-C, once the one that started it is gone.

    Args:
        parent: Its process id; one that was killed can't tell its children.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(POLL_SECONDS)
        os.kill(os.getpid(), signal.SIGINT)

    Thread(target=watch, name="parent", daemon=True).start()


def wait_until_up(address: str, children: Sequence["subprocess.Popen[bytes]"]) -> None:
    """Return once *address* answers.

    Raises:
        ServerEnded: If a child ends before that, or it takes too long.
    """
    deadline = time.monotonic() + STARTED_WITHIN_SECONDS
    while time.monotonic() < deadline:
        _must_live(children)
        try:
            with urlopen(f"{address}/server_info", timeout=2):  # noqa: S310 - our own address
                return
        except (URLError, OSError):
            time.sleep(POLL_SECONDS)
    raise ServerEnded(f"the server at {address} did not answer in time")


def watch_over(children: Sequence["subprocess.Popen[bytes]"]) -> NoReturn:
    """Wait until one of *children* ends, which none of them should.

    Raises:
        ServerEnded: Then.
    """
    while True:
        _must_live(children)
        time.sleep(POLL_SECONDS)


def require_free(host: str, port: int) -> None:
    """Refuse an address that nothing can listen on.

    Raises:
        InvalidInput: Saying why.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            problem = f"port {port} of {host} is in use; choose another with --port"
        else:
            problem = f"cannot listen on port {port} of {host}: {error.strerror}"
        raise InvalidInput(problem) from error


def _must_live(children: Sequence["subprocess.Popen[bytes]"]) -> None:
    """Refuse to go on without one of *children*."""
    for child in children:
        if child.poll() is not None:
            raise ServerEnded(
                f"the process {subprocess.list2cmdline(child.args)} ended with "  # pyright: ignore[reportArgumentType] - we gave it a list
                f"status {child.returncode}"
            )


def _stop(children: Sequence["subprocess.Popen[bytes]"]) -> None:
    """End *children*; at once if they take too long, or Ctrl-C comes a second time."""
    for child in children:
        child.send_signal(signal.SIGINT)  # not to its group: it stops its own itself
    deadline = time.monotonic() + STOPPED_WITHIN_SECONDS
    with suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
        for child in children:
            child.wait(max(deadline - time.monotonic(), 0.1))
    for child in children:
        with suppress(ProcessLookupError):  # its group: runs outlive what started them
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
