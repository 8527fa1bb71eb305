"""What ``trading-assets dev`` serves, and that nothing of it is left when it stops."""

import http.client
import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple
from urllib.request import Request, urlopen

import psutil
import pytest

from trading_assets.core import equity_picture, picture_look
from trading_assets.defs.web import ServerEnded, require_free, watch_over
from trading_assets.errors import InvalidInput
from trading_assets_tests.defs.world import CROSS, World

HOST = "127.0.0.1"
ENDS_WITHIN_SECONDS = 25
GONE_WITHIN_SECONDS = 5
POLL_SECONDS = 0.05
SECRET = "nobody may read this"  # noqa: S105 - it is not one
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM = next(filter(None, map(shutil.which, BROWSERS)), None)
NARROW_PX = 700

pytestmark = pytest.mark.together
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium")


class Served(NamedTuple):
    """A running ``trading-assets dev`` and the world that it shows."""

    world: World
    port: int
    process: subprocess.Popen[str]

    def ask(self, query: str) -> Any:
        """What GraphQL answers."""
        request = Request(
            f"http://{HOST}:{self.port}/graphql",
            json.dumps({"query": query}).encode(),
            {"Content-Type": "application/json"},
        )
        with urlopen(request, timeout=30) as answer:  # noqa: S310 - as above
            return json.load(answer)["data"]

    def get(self, target: str) -> tuple[int, bytes]:
        """Status and body of *target*, sent as it is written."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=30)
        connection.putrequest("GET", target, skip_host=False)
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, answer.read()

    @property
    def picture(self) -> str:
        """Path of a chart in the chart store."""
        return f"cross/daily/CCC/{self.world.lane_sessions[-1]}.png"


def left_of(family: list[psutil.Process]) -> list[psutil.Process]:
    """Those that still run; one that nobody has buried yet does not."""
    deadline = time.monotonic() + GONE_WITHIN_SECONDS
    left = family
    while left and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
        left = [own for own in left if own.is_running() and not is_dead(own)]
    return left


def is_dead(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


@contextmanager
def serving(world: World) -> Generator[Served]:
    """``trading-assets dev`` in a child process, until the block ends."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "trading_assets.cli", "dev", "--port", str(port)],
        env=world.process_environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    family: list[psutil.Process] = []
    try:
        assert process.stdout is not None
        said = [process.stdout.readline(), process.stdout.readline()]
        assert f"http://{HOST}:{port}" in said[1], said
        family = psutil.Process(process.pid).children(recursive=True)
        yield Served(world, port, process)
    finally:
        process.kill()
        process.wait()
        for own in family:
            with suppress(psutil.NoSuchProcess):
                own.kill()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A month of one strategy, with the charts of the last evening."""
    strategies = [CROSS.replace("draw: none", "draw: current")]
    made = World.made(tmp_path_factory.mktemp("web") / "home", strategies=strategies)
    days = made.lane_sessions
    assert made.make_market().success
    assert made.make_view("cross", days[0], days[-2]).success
    assert made.make_view("cross", days[-1], days[-1]).success
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(equity_picture, "png_of", picture_look.png_of)
        assert made.make_book("cross").success
    return made


@pytest.fixture(scope="module")
def served(world: World) -> Iterator[Served]:
    with serving(world) as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - needs its browser

    with sync_playwright() as player:
        started = player.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def page(browser: Any, served: Served) -> Iterator[Any]:
    """A browser's page on the running server, which remembers no other."""
    opened = browser.new_page(
        base_url=f"http://{HOST}:{served.port}", viewport={"width": 1600, "height": 1000}
    )
    yield opened
    opened.close()


def test_the_code_location_has_loaded_with_every_asset(served: Served) -> None:
    answer = served.ask("{ assetNodes { assetKey { path } repository { name } } }")
    found = {"/".join(node["assetKey"]["path"]) for node in answer["assetNodes"]}
    lane = ("daily_chart", "weekly_chart", "signals", "orders", "fills", "portfolio")
    assert found == {
        "bars",
        "indicators",
        "cross/performance",
        "cross/signal_outcomes",
        "cross/calibration",
        *(f"cross/{name}" for name in lane),
    }


def test_an_asset_shows_its_last_session_although_a_range_was_made(served: Served) -> None:
    answer = served.ask(
        '{ assetOrError(assetKey: {path: ["bars"]}) { ... on Asset {'
        " assetMaterializations(limit: 1) { partition } } } }"
    )
    (latest,) = answer["assetOrError"]["assetMaterializations"]
    assert latest["partition"] == f"{served.world.sessions[-1]}|CCC"


def test_pages_are_answered(served: Served) -> None:
    for target in ("/", "/assets", "/runs", "/asset-groups", "/server_info"):
        status, body = served.get(target)
        assert status == 200, target
        assert body


def test_a_chart_is_served_as_it_is_stored(served: Served) -> None:
    stored = served.world.settings.charts.joinpath(served.picture).read_bytes()
    assert served.get(f"/charts/{served.picture}?12345678") == (200, stored)


@pytest.mark.parametrize(
    "target",
    [
        "/charts/../secret.txt",
        "/charts/cross/../../secret.txt",
        "/charts/%2e%2e/secret.txt",
        "/charts/..%2fsecret.txt",
        "/charts/..%5csecret.txt",
        "/charts//{home}/secret.txt",
        "/charts/%2f{home}/secret.txt",
        "/charts/link.txt",
        "/charts/folder/secret.txt",
        "/charts/",
        "/charts/cross",
    ],
)
def test_nothing_outside_of_the_chart_store_is_served(served: Served, target: str) -> None:
    home, charts = served.world.home, served.world.settings.charts
    home.joinpath("secret.txt").write_text(SECRET)
    for link, to in (("link.txt", home / "secret.txt"), ("folder", home)):
        if not charts.joinpath(link).is_symlink():
            charts.joinpath(link).symlink_to(to)
    status, body = served.get(target.format(home=str(home).lstrip("/")))
    assert status != 200
    assert SECRET.encode() not in body


@needs_browser
@pytest.mark.parametrize("asset", ["daily_chart", "weekly_chart", "performance"])
def test_a_picture_is_seen_whole_on_the_page_of_its_asset(page: Any, asset: str) -> None:
    page.goto(f"/assets/cross/{asset}?view=overview")
    picture = page.locator("img[src^='/charts/cross/']")
    picture.wait_for(state="visible", timeout=30_000)
    picture.evaluate("image => image.decode()")
    assert picture.evaluate("image => image.naturalWidth") > NARROW_PX
    assert picture.bounding_box()["width"] < NARROW_PX


@needs_browser
def test_the_tear_sheet_opens_from_the_page_of_the_performance(page: Any) -> None:
    page.goto("/assets/cross/performance?view=overview")
    page.get_by_text("open the tear sheet").click(timeout=30_000)
    page.wait_for_url("**/tear_sheet.html", timeout=30_000)
    assert "cross" in page.title()


@needs_browser
def test_pages_ask_nobody_but_this_machine(page: Any, served: Served) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    for target in ("/asset-groups", "/assets/cross/daily_chart"):
        page.goto(target)
        page.wait_for_load_state("networkidle")
    own = (f"http://{HOST}:{served.port}/", "data:", "blob:")
    assert [url for url in asked if not url.startswith(own)] == []


def test_nothing_is_left_once_it_was_asked_to_stop(served: Served) -> None:
    """The last that asks for the server: it is the others' too."""
    family = psutil.Process(served.process.pid).children(recursive=True)
    assert {"web", "daemon"} <= {word for own in family for word in own.cmdline()}

    served.process.terminate()
    said, _ = served.process.communicate(timeout=ENDS_WITHIN_SECONDS)

    assert (served.process.returncode, said) == (0, "Stopped.\n")
    assert left_of(family) == []


def test_a_child_ends_when_the_process_that_started_it_was_killed() -> None:
    child = (
        "import os, time; from trading_assets.defs.web import end_with;"
        "end_with(os.getppid()); print(os.getpid(), flush=True); time.sleep(60)"
    )
    start = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    with subprocess.Popen([sys.executable, "-c", start], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        orphan = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
        assert left_of([orphan]) == []


def test_a_server_that_ends_is_named_with_its_status() -> None:
    with (
        subprocess.Popen([sys.executable, "-c", "raise SystemExit(7)"]) as child,
        pytest.raises(ServerEnded, match=r"SystemExit\(7\).* ended with status 7"),
    ):
        watch_over([child])


def test_a_port_in_use_is_refused_by_name() -> None:
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InvalidInput, match=f"port {port} of {HOST} is in use"):
            require_free(HOST, port)


def test_a_host_that_is_not_ours_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"cannot listen on port 3000 of 192\.0\.2\.1"):
        require_free("192.0.2.1", 3000)


def test_a_free_port_is_left_free() -> None:
    port = free_port()
    require_free(HOST, port)
    require_free(HOST, port)
