import hashlib
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
import sqlalchemy as sa

from trading_assets.adapters.ledger.backup import back_up, restore
from trading_assets.adapters.ledger.engine import ledger_url, open_engine
from trading_assets.adapters.ledger.schema import METADATA, VERSION_TABLE
from trading_assets.adapters.ledger.store import Ledger
from trading_assets.errors import InvalidInput, SchemaTooNew
from trading_assets_tests.adapters.ledger.appender import SYMBOLS
from trading_assets_tests.adapters.ledger.every_table import (
    ROWS,
    fill_every_table,
    read_every_table,
)
from trading_assets_tests.adapters.ledger.make_records import (
    LANE,
    STRATEGY,
    make_order,
    make_portfolio,
    make_records,
)

ROOT = Path(__file__).parents[3]
APPENDER = "trading_assets_tests.adapters.ledger.appender"
BACK_UP = """
import sys
from pathlib import Path
from trading_assets.adapters.ledger.backup import back_up
print("begins", flush=True)
back_up(sys.argv[1], Path(sys.argv[2]))
"""


def set_revision(file: Path, revision: str) -> None:
    connection = sqlite3.connect(file)
    connection.execute(f"UPDATE {VERSION_TABLE} SET version_num = '{revision}'")  # noqa: S608 - ours
    connection.commit()
    connection.close()


def test_every_table_survives_the_way_to_a_file_and_back(
    place: str, tmp_path: Path
) -> None:
    """With PostgreSQL as the place, both directions between the two databases."""
    fill_every_table(place)
    file, again = tmp_path / "backup.db", tmp_path / "again.db"

    copied = back_up(place, file)
    restored = restore(file, again)

    assert read_every_table(again) == read_every_table(place)
    assert copied.rows == restored.rows == dict.fromkeys(sorted(METADATA.tables), ROWS)
    assert copied.sha256 == restored.sha256
    assert copied.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()


def test_a_ledger_moves_to_another_database(place: str, tmp_path: Path) -> None:
    fill_every_table(tmp_path / "old.db")
    back_up(tmp_path / "old.db", tmp_path / "backup.db")

    restore(tmp_path / "backup.db", place)

    assert read_every_table(place) == read_every_table(tmp_path / "old.db")


def test_a_restored_ledger_goes_on_where_the_old_one_was(
    place: str, tmp_path: Path
) -> None:
    old = Ledger.open(tmp_path / "old.db")
    old.append(STRATEGY, LANE, 0, make_records(range(3)), {})
    old.close()
    back_up(tmp_path / "old.db", tmp_path / "backup.db")
    restore(tmp_path / "backup.db", place)

    new = Ledger.open(place)
    new.append(STRATEGY, LANE, 0, make_records(range(3, 5)), {"orders": [make_order(4)]})

    assert len(new.chain(STRATEGY, LANE)) == 5
    new.close()


def test_a_backup_is_one_file_that_is_itself_a_ledger(place: str, tmp_path: Path) -> None:
    fill_every_table(place)
    file = tmp_path / "backups" / "backup.db"

    back_up(place, file)

    assert list(file.parent.iterdir()) == [file]
    assert read_every_table(file) == read_every_table(place)


def test_a_backup_is_of_one_moment_while_others_write(place: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", APPENDER, place]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as appender:
        assert appender.stdout is not None
        acknowledged = int(appender.stdout.readline())
        backups = [back_up(place, tmp_path / f"{number}.db") for number in range(3)]
        appender.kill()

    for copied in backups:
        sessions = copied.rows["book_sessions"]
        assert sessions >= acknowledged
        assert sessions % 5 == 0  # the appender's transactions are of five
        assert copied.rows["portfolio"] == copied.rows["orders"] == sessions
        assert copied.rows["positions"] == sessions * len(SYMBOLS)
    assert backups[0].rows["orders"] <= backups[2].rows["orders"]


def test_a_backup_that_is_killed_leaves_nothing_under_its_name(
    place: str, tmp_path: Path
) -> None:
    ledger = Ledger.open(place)
    days = range(2000)
    rows = {"portfolio": [make_portfolio(number) for number in days]}
    ledger.append(STRATEGY, LANE, 0, make_records(days), rows)
    ledger.close()
    file = tmp_path / "backups" / "backup.db"
    command = [sys.executable, "-c", BACK_UP, place, str(file)]

    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "begins\n"
        while not list(tmp_path.glob("backups/.backup.db.*/draft*")):
            time.sleep(0.001)
        child.kill()

    assert child.returncode == -signal.SIGKILL
    assert not file.exists()
    assert back_up(place, file).rows["portfolio"] == len(days)


def test_a_ledger_with_rows_is_not_restored_into(place: str, tmp_path: Path) -> None:
    fill_every_table(tmp_path / "old.db")
    back_up(tmp_path / "old.db", tmp_path / "backup.db")
    ledger = Ledger.open(place)
    ledger.append(STRATEGY, LANE, 0, make_records(range(2)), {})
    ledger.close()
    before = read_every_table(place)

    with pytest.raises(InvalidInput, match=r"empty ledger only.*book_sessions 2"):
        restore(tmp_path / "backup.db", place)

    assert read_every_table(place) == before


def test_a_restore_is_all_or_nothing(place: str, tmp_path: Path) -> None:
    """The backup has a fill of a session that was never walked."""
    fill_every_table(tmp_path / "old.db")
    back_up(tmp_path / "old.db", tmp_path / "backup.db")
    damaged = sqlite3.connect(tmp_path / "backup.db")
    damaged.execute("UPDATE fills SET generation = 7")
    damaged.commit()
    damaged.close()

    with pytest.raises(sa.exc.IntegrityError):
        restore(tmp_path / "backup.db", place)

    assert set(map(len, read_every_table(place).values())) == {0}


def test_an_older_backup_is_brought_up_to_date(place: str, tmp_path: Path) -> None:
    fill_every_table(tmp_path / "old.db")
    engine = open_engine(ledger_url(tmp_path / "old.db"))
    newer = (
        "analyst_batch_items",
        "analyst_batches",
        "analyst_opinions",
        "analyst_attempts",
        "analyst_spending",
        "analyst_calls",
        "analyst_texts",
        "notices",
        "adoptions",
        "account_snapshots",
        "halts",
        "session_halts",
        "ledger_accounts",
        "order_refusals",
        "approval_rulings",
        "approval_proposals",
        "session_approvals",
    )
    with engine.begin() as connection:
        for name in newer:
            METADATA.tables[name].drop(connection)
    engine.dispose()
    file = tmp_path / "old.db"
    set_revision(file, "0002")
    content = file.read_bytes()

    rows = restore(file, place).rows

    assert {name for name, count in rows.items() if not count} == set(newer)
    assert file.read_bytes() == content


def test_a_backup_of_a_newer_version_is_refused(place: str, tmp_path: Path) -> None:
    fill_every_table(tmp_path / "old.db")
    back_up(tmp_path / "old.db", tmp_path / "backup.db")
    set_revision(tmp_path / "backup.db", "9999")

    with pytest.raises(SchemaTooNew, match=r"backup\.db was written by a newer version"):
        restore(tmp_path / "backup.db", place)


@pytest.mark.parametrize(
    "content", [b"", b"no database at all, but text", b"SQLite format"]
)
def test_what_is_no_backup_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "backup.db").write_bytes(content)

    with pytest.raises(InvalidInput, match=r"backup\.db is no backup of a ledger"):
        restore(tmp_path / "backup.db", tmp_path / "new.db")

    assert not (tmp_path / "new.db").exists()


def test_a_backup_that_was_cut_off_is_refused(tmp_path: Path) -> None:
    fill_every_table(tmp_path / "old.db")
    back_up(tmp_path / "old.db", tmp_path / "backup.db")
    content = (tmp_path / "backup.db").read_bytes()
    (tmp_path / "backup.db").write_bytes(content[: len(content) // 2])

    with pytest.raises(InvalidInput, match="no backup of a ledger"):
        restore(tmp_path / "backup.db", tmp_path / "new.db")


def test_no_file_is_overwritten(tmp_path: Path) -> None:
    fill_every_table(tmp_path / "ledger.db")

    with pytest.raises(InvalidInput, match="is there already"):
        back_up(tmp_path / "ledger.db", tmp_path / "ledger.db")


def test_a_ledger_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="there is no ledger at"):
        back_up(tmp_path / "ledger.db", tmp_path / "backup.db")

    assert list(tmp_path.iterdir()) == []


def test_a_backup_that_is_not_there_makes_no_ledger(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="there is no file"):
        restore(tmp_path / "backup.db", tmp_path / "ledger.db")

    assert list(tmp_path.iterdir()) == []
