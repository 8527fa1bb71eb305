"""What ``trading-assets ibkr`` says, over loopback to a gateway of our own."""

import socket

from click.testing import CliRunner

from trading_assets.cli import main
from trading_assets_tests.fake_gateway import FakeGateway


def test_ping_tells_who_is_logged_in() -> None:
    with FakeGateway(account="DU1234567") as gateway:
        result = CliRunner().invoke(
            main, ["ibkr", "ping"], env={"IBKR_PORT": str(gateway.port)}
        )

    assert result.exit_code == 0, result.output
    assert result.output.startswith(
        f"127.0.0.1:{gateway.port} speaks version 176 and is logged in for DU1234567 ("
    )


def test_ping_of_nobody_says_so_and_fails() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

    result = CliRunner().invoke(main, ["ibkr", "ping", "--port", str(port)])

    assert result.exit_code == 1
    assert f"gateway 127.0.0.1:{port}: Connection refused" in result.output
