"""What ``trading-assets symbols`` says, and ``ibkr bars``, over loopback."""

import io
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner, Result

from trading_assets.cli import main
from trading_assets.defs.resources import Settings, WarehouseResource
from trading_assets.models.tables import SYMBOLS
from trading_assets_tests.fake_gateway import FakeGateway, Fault
from trading_assets_tests.fake_gateway.made_up import made_up_bars, made_up_minutes

LAST = date(2026, 11, 20)
ACCOUNT = "DU1234567"


@pytest.fixture
def gateway() -> Iterator[FakeGateway]:
    """A gateway that lists Apple and Coca-Cola."""
    with FakeGateway(account=ACCOUNT) as gateway:
        bars = made_up_bars(1, 190.0, LAST)
        minutes = made_up_minutes(1, bars)
        gateway.add_symbol("AAPL", 265598, name="APPLE INC", bars=bars, minutes=minutes)
        gateway.add_symbol("KO", 8894, primary_exchange="NYSE", name="COCA-COLA CO")
        yield gateway


@pytest.fixture
def environment(gateway: FakeGateway, tmp_path: Path) -> dict[str, str]:
    return {
        "TRADING_HOME": str(tmp_path),
        "IBKR_PORT": str(gateway.port),
        "IBKR_ACCOUNT": ACCOUNT,
        "COLUMNS": "200",
    }


def ask(environment: dict[str, str], *words: str) -> Result:
    return CliRunner().invoke(main, words, env=environment)


def test_what_a_search_finds_is_shown_and_kept(environment: dict[str, str]) -> None:
    result = ask(environment, "symbols", "search", "apple")

    assert result.exit_code == 0, result.output
    assert "APPLE INC" in result.output
    assert "265598" in result.output
    assert "1 rows" in result.output
    settings = Settings.from_environment(environment)
    warehouse = WarehouseResource(path=str(settings.warehouse)).create_resource(None)
    (row,) = warehouse.read(SYMBOLS).drop(columns="recorded_at").to_dict("records")
    assert row == {
        "symbol": "AAPL",
        "con_id": 265598,
        "name": "APPLE INC",
        "exchange": "SMART",
        "primary_exchange": "NASDAQ",
        "currency": "USD",
        "min_tick": 0.01,
    }


def test_a_search_that_finds_nothing_says_so(environment: dict[str, str]) -> None:
    result = ask(environment, "symbols", "search", "nobody")

    assert result.exit_code == 0
    assert "0 rows" in result.output


def test_what_was_found_is_listed_while_the_gateway_is_down(
    environment: dict[str, str], gateway: FakeGateway
) -> None:
    for text in ("KO", "AAPL", "KO"):
        assert ask(environment, "symbols", "search", text).exit_code == 0
    gateway.stop_listening()

    refused = ask(environment, "symbols", "search", "AAPL")
    listed = ask(environment, "symbols", "list")

    assert refused.exit_code == 1
    assert f"gateway 127.0.0.1:{gateway.port}" in refused.output
    assert listed.exit_code == 0
    assert "2 rows" in listed.output
    assert listed.output.index("AAPL") < listed.output.index("KO")


def test_a_list_of_nothing_is_empty(tmp_path: Path) -> None:
    result = ask({"TRADING_HOME": str(tmp_path)}, "symbols", "list")

    assert result.exit_code == 0
    assert "0 rows" in result.output


def test_a_search_without_an_account_is_refused(environment: dict[str, str]) -> None:
    result = ask({**environment, "IBKR_ACCOUNT": ""}, "symbols", "search", "AAPL")

    assert result.exit_code == 2
    assert "IBKR_ACCOUNT must name it" in result.output


@pytest.mark.parametrize(
    ("size", "rows", "first"),
    [
        ("1 min", 390, "2026-11-20 14:30:00+00:00"),
        ("5 mins", 78, "2026-11-20 14:30:00+00:00"),
        ("1 day", 1, "2026-11-20"),
    ],
)
def test_bars_are_printed_as_they_are_told(
    environment: dict[str, str], size: str, rows: int, first: str
) -> None:
    days = ("--from", str(LAST), "--to", str(LAST))

    result = ask(environment, "ibkr", "bars", "aapl", *days, "--bar-size", size)

    assert result.exit_code == 0, result.output
    printed = pd.read_csv(io.StringIO(result.output))
    assert len(printed) == rows
    assert printed["symbol"].unique().tolist() == ["AAPL"]
    assert printed["started_at" if "min" in size else "session"][0] == first
    assert printed["close"].iloc[-1] == pytest.approx(190.0, abs=0.01)


@pytest.mark.parametrize(
    ("symbol", "size", "status", "said"),
    [
        ("NOPE", "1 min", 1, "NOPE: refused with 200"),
        ("NOPE", "1 day", 1, "NOPE"),
        ("AAPL", "7 mins", 2, "bar_size must be one of 1 min"),
    ],
)
def test_bars_that_can_not_be_had_are_told_by_name(
    environment: dict[str, str], symbol: str, size: str, status: int, said: str
) -> None:
    days = ("--from", str(LAST), "--to", str(LAST))

    result = ask(environment, "ibkr", "bars", symbol, *days, "--bar-size", size)

    assert result.exit_code == status
    assert said in result.output


def test_an_answer_that_is_none_is_an_error(
    environment: dict[str, str], gateway: FakeGateway
) -> None:
    gateway.inject(Fault.NO_PERMISSION, times=None)
    days = ("--from", str(LAST), "--to", str(LAST))

    result = ask(environment, "ibkr", "bars", "AAPL", *days, "--bar-size", "1 day")

    assert result.exit_code == 1
    assert "No market data permissions" in result.output
