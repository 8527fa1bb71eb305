"""What ``trading-assets notify``, ``backup`` and ``restore`` say."""

import hashlib
from pathlib import Path

import pytest
from click.testing import CliRunner

from trading_assets.cli import main
from trading_assets_tests.adapters.ledger.every_table import (
    ROWS,
    fill_every_table,
    read_every_table,
)
from trading_assets_tests.adapters.notifications.receiver import SECRET, receiving


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TRADING_LEDGER", raising=False)
    monkeypatch.setenv("TRADING_HOME", str(tmp_path / "home"))


def test_notify_says_whom_it_has_reached() -> None:
    with receiving() as receiver:
        env = {"TRADING_NOTIFY": receiver.address}
        result = CliRunner().invoke(main, ["notify", "are you there?"], env=env)

    assert (result.exit_code, result.output) == (0, "delivered to JSON\n")
    assert receiver.texts == ["are you there?"]


def test_notify_names_the_kind_of_service_that_failed() -> None:
    with receiving() as receiver:
        receiver.status = 403
        env = {"TRADING_NOTIFY": receiver.address}
        result = CliRunner().invoke(main, ["notify", "are you there?"], env=env)

    assert result.exit_code == 1
    assert "not delivered to JSON" in result.output
    assert SECRET not in result.output


@pytest.mark.parametrize("address", ["", f"nonsense://{SECRET}"])
def test_notify_refuses_what_is_no_place(address: str) -> None:
    result = CliRunner().invoke(main, ["notify", "x"], env={"TRADING_NOTIFY": address})

    assert result.exit_code == 2
    assert "TRADING_NOTIFY" in result.output
    assert SECRET not in result.output


def test_a_ledger_is_backed_up_and_restored(tmp_path: Path) -> None:
    fill_every_table(tmp_path / "home" / "ledger.db")

    saved = CliRunner().invoke(main, ["backup", "saved.db"])
    restored = CliRunner().invoke(
        main, ["restore", "saved.db"], env={"TRADING_LEDGER": "again.db"}
    )

    assert (saved.exit_code, restored.exit_code) == (0, 0), restored.output
    sha256 = hashlib.sha256((tmp_path / "saved.db").read_bytes()).hexdigest()
    assert saved.output.splitlines()[-1] == f"{sha256}  saved.db"
    assert f"{ROWS:>12} orders" in saved.output.splitlines()
    assert restored.output == saved.output
    home = tmp_path / "home"
    assert read_every_table(home / "again.db") == read_every_table(home / "ledger.db")


def test_a_ledger_with_rows_is_left_alone(tmp_path: Path) -> None:
    fill_every_table(tmp_path / "home" / "ledger.db")
    CliRunner().invoke(main, ["backup", "saved.db"])

    result = CliRunner().invoke(main, ["restore", "saved.db"])

    assert result.exit_code == 2
    assert "into an empty ledger only" in result.output
