"""Opening the database of the ledger, and bringing it up to date."""

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import sqlalchemy as sa
from sqlalchemy import event, exc

from trading_assets.adapters.ledger.schema import (
    HEAD,
    METADATA,
    REVISIONS,
    VERSION_TABLE,
)
from trading_assets.adapters.storage.locks import FileLock
from trading_assets.errors import InvalidInput, SchemaTooNew, StoreBusy

MIGRATIONS = Path(__file__).with_name("migrations")
POSTGRES = {"postgres", "postgresql", "postgresql+psycopg2"}
WAIT_SECONDS = 60.0
UPGRADE_LOCK = int.from_bytes(hashlib.sha256(b"trading_assets.ledger").digest()[:4])


def ledger_url(place: str | Path) -> sa.URL:
    """Where the ledger is: a file of SQLite's, or a database of PostgreSQL's.

    Args:
        place: A path, or a URL such as ``postgresql://user:secret@host/database``.

    Raises:
        InvalidInput: If it is a URL of anything else.
    """
    if isinstance(place, Path) or "://" not in place:
        return sa.URL.create("sqlite+pysqlite", database=str(place))
    try:
        url = sa.make_url(place)
    except exc.ArgumentError as error:
        raise InvalidInput("ledger: the URL cannot be read") from error
    if url.drivername in POSTGRES:
        return url.set(drivername="postgresql+psycopg2")
    raise InvalidInput(
        f"ledger: a path or postgresql://… is allowed, was {url.render_as_string()}"
    )


def open_engine(url: sa.URL) -> sa.Engine:
    """A database that is ready, of today's schema.

    Raises:
        SchemaTooNew: If a newer version of this package has written it.
    """
    engine = _sqlite(url) if url.drivername.startswith("sqlite") else _postgres(url)
    _upgrade(engine)
    return engine


class LedgerPart:
    """A part of the ledger, in SQLite or PostgreSQL; whoever derives says which."""

    def __init__(self, engine: sa.Engine) -> None:
        """Take a database of today's schema; `open` finds one."""
        self._engine = engine

    @classmethod
    def open(cls, place: str | Path) -> Self:
        """Open the ledger at *place*, made or brought up to date if need be.

        Args:
            place: A file of SQLite's, or a URL of PostgreSQL's.

        Raises:
            InvalidInput: If *place* is a URL of anything else.
            SchemaTooNew: If a newer version of this package has written it.
        """
        return cls(open_engine(ledger_url(place)))

    def close(self) -> None:
        """Let go of the database; it can still be used, and is opened again then."""
        self._engine.dispose()


@contextmanager
def writing(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A transaction that will write; on SQLite it waits for its turn at the start.

    One that reads first and writes later would be told off instead of waiting.

    Raises:
        StoreBusy: If its turn does not come in time.
    """
    try:
        with engine.execution_options(is_writing=True).begin() as connection:
            yield connection
    except exc.OperationalError as error:
        if "database is locked" not in str(error.orig):
            raise
        raise StoreBusy(
            f"the ledger {engine.url.database} is being written by others; gave up after "
            f"{WAIT_SECONDS:g} s"
        ) from error


def lock_ledger(connection: sa.Connection) -> None:
    """Let nobody else write anything until this transaction ends; readers go on.

    On SQLite that is so of every transaction that writes.
    """
    if connection.dialect.name == "postgresql":
        names = ", ".join(METADATA.tables)
        connection.execute(sa.text(f"LOCK TABLE {names} IN SHARE ROW EXCLUSIVE MODE"))


def _postgres(url: sa.URL) -> sa.Engine:
    return sa.create_engine(url, pool_pre_ping=True)


def _sqlite(url: sa.URL) -> sa.Engine:
    path = Path(url.database or "")
    path.parent.mkdir(parents=True, exist_ok=True)
    engine = sa.create_engine(url, connect_args={"timeout": WAIT_SECONDS})

    @event.listens_for(engine, "connect")
    def _make_durable(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # transactions are begun below, by name
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        if connection.execute("PRAGMA journal_mode").fetchone() != ("wal",):
            with FileLock(path, WAIT_SECONDS).exclusive():
                connection.execute("PRAGMA journal_mode = WAL")

    @event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        is_writing = connection.get_execution_options().get("is_writing", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if is_writing else "BEGIN")

    return engine


def _upgrade(engine: sa.Engine) -> None:
    with engine.connect() as connection:
        if _revision(connection) == HEAD:
            return
    with writing(engine) as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(UPGRADE_LOCK)))
        revision = _revision(connection)
        if revision is not None and revision not in REVISIONS:
            raise SchemaTooNew(
                f"the ledger {engine.url.render_as_string()} has schema {revision}, this "
                f"version of trading_assets knows up to {HEAD}: install a newer one"
            )
        if revision != HEAD:
            _migrate(connection)


def _revision(connection: sa.Connection) -> str | None:
    if not sa.inspect(connection).has_table(VERSION_TABLE):
        return None
    return connection.scalar(sa.text(f"SELECT version_num FROM {VERSION_TABLE}"))  # noqa: S608 - our own name


def _migrate(connection: sa.Connection) -> None:
    # Needed once in a ledger's life; half a second that no other start should pay.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    attributes: dict[str, Any] = {"connection": connection}
    config = Config(attributes=attributes)
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    command.upgrade(config, "head")
