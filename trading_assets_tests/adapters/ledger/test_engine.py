import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from trading_assets.adapters.ledger import engine
from trading_assets.adapters.ledger.engine import MIGRATIONS, ledger_url
from trading_assets.adapters.ledger.schema import (
    BOOK_TABLES,
    METADATA,
    REVISIONS,
    VERSION_TABLE,
)
from trading_assets.adapters.ledger.store import Ledger
from trading_assets.errors import InvalidInput, SchemaTooNew
from trading_assets_tests.adapters.ledger.make_records import LANE, STRATEGY, make_records
from trading_assets_tests.quick_ledgers import MIGRATE

VERSIONS = sa.table(VERSION_TABLE, sa.column("version_num"))
ROOT = Path(__file__).parents[3]
OPEN = """
import sys
from trading_assets.adapters.ledger.store import Ledger
print("ready", flush=True)
sys.stdin.readline()
Ledger.open(sys.argv[1])
print("alembic" in sys.modules)
"""


def open_in_children(place: str, children: int) -> list[str]:
    """Let *children* open the ledger at once, and say whether each loaded Alembic."""
    started = [
        subprocess.Popen(
            [sys.executable, "-c", OPEN, place],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(children)
    ]
    for child in started:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
    for child in started:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    return [child.communicate()[0].strip() for child in started]


def set_revision(ledger: Ledger, revision: str) -> None:
    with ledger._engine.begin() as connection:
        connection.execute(sa.update(VERSIONS).values(version_num=revision))


@pytest.fixture(autouse=True)
def migrated(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the migrations themselves."""
    monkeypatch.setattr(engine, "_migrate", MIGRATE)


def test_the_migrations_lead_to_the_schema_that_we_write(ledger: Ledger) -> None:
    with ledger._engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "version_table": VERSION_TABLE}
        )

        assert compare_metadata(context, METADATA) == []


def test_keys_are_as_the_schema_says(ledger: Ledger) -> None:
    inspector = sa.inspect(ledger._engine)

    for table in METADATA.tables.values():
        key = inspector.get_pk_constraint(table.name)["constrained_columns"]
        assert key == [column.name for column in table.primary_key]


def test_every_migration_is_known_without_alembic() -> None:
    scripts = ScriptDirectory(str(MIGRATIONS)).walk_revisions()

    assert tuple(script.revision for script in scripts)[::-1] == REVISIONS


def test_only_the_first_start_loads_alembic(place: str) -> None:
    assert open_in_children(place, 1) == ["True"]
    assert open_in_children(place, 1) == ["False"]


def test_several_processes_may_be_the_first(place: str) -> None:
    answers = open_in_children(place, 3)

    assert set(answers) <= {"True", "False"}
    assert Ledger.open(place).chain(STRATEGY, LANE) == []


def test_a_newer_ledger_is_refused_and_left_alone(place: str) -> None:
    ledger = Ledger.open(place)
    ledger.append(STRATEGY, LANE, 0, make_records(range(1)), {})
    set_revision(ledger, "9999")

    with pytest.raises(SchemaTooNew, match=rf"9999.*{REVISIONS[-1]}"):
        Ledger.open(place)

    set_revision(ledger, REVISIONS[-1])
    assert len(Ledger.open(place).chain(STRATEGY, LANE)) == 1


def test_an_upgrade_that_was_killed_begins_again(place: str) -> None:
    ledger = Ledger.open(place)
    with ledger._engine.begin() as connection:
        METADATA.drop_all(connection)
        connection.execute(sa.delete(VERSIONS))

    again = Ledger.open(place)

    assert again.chain(STRATEGY, LANE) == []


def test_a_file_waits_for_others_and_survives_losing_power(tmp_path: Path) -> None:
    ledger = Ledger.open(tmp_path / "ledger.db")

    with ledger._engine.connect() as connection:
        pragmas = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }

    full = 2
    assert pragmas == {
        "journal_mode": "wal",
        "synchronous": full,
        "foreign_keys": 1,
        "busy_timeout": 60_000,
    }


def test_rows_without_their_session_cannot_be_written(ledger: Ledger) -> None:
    walk = {"strategy": "t", "lane": "l", "generation": 0, "session": date(2024, 1, 2)}
    event = {"event_id": "e", "symbol": "S", "kind": "split", "shares_delta": 1, "cash": 0}

    with pytest.raises(sa.exc.IntegrityError), ledger._engine.begin() as connection:
        connection.execute(sa.insert(BOOK_TABLES["book_events"]), walk | event)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg2"])
def test_postgresql_is_reached_by_the_driver_that_we_ship(scheme: str) -> None:
    url = ledger_url(f"{scheme}://me:secret@db:5433/books")

    assert url.drivername == "postgresql+psycopg2"
    assert (url.host, url.port, url.database) == ("db", 5433, "books")


def test_a_path_is_a_file_of_sqlites() -> None:
    assert (
        ledger_url("home/ledger.db").render_as_string()
        == "sqlite+pysqlite:///home/ledger.db"
    )
    assert ledger_url(Path("/a/ledger.db")).database == "/a/ledger.db"


def test_another_database_is_refused_without_telling_the_password() -> None:
    with pytest.raises(InvalidInput, match="mysql") as refused:
        ledger_url("mysql://me:secret@db/books")

    assert "secret" not in str(refused.value)
    with pytest.raises(InvalidInput, match="cannot be read"):
        ledger_url("://")
