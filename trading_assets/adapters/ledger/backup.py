"""A ledger as one file, and a ledger from such a file.

A backup is a SQLite file of the ledger's own schema, whatever database the ledger is in. It
is written beside its final name and takes that name when it is whole and on the disk.
"""

import hashlib
import os
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from trading_assets.adapters.ledger.engine import (
    ledger_url,
    lock_ledger,
    open_engine,
    writing,
)
from trading_assets.adapters.ledger.schema import METADATA, VERSION_TABLE
from trading_assets.errors import InvalidInput, SchemaTooNew, ShapeMismatch

BATCH = 5000
"""Rows that are in memory at a time."""


@dataclass(frozen=True, slots=True)
class Copied:
    """What a backup holds.

    Attributes:
        rows: How many, by table.
        sha256: Of the file.
    """

    rows: Mapping[str, int]
    sha256: str


def back_up(place: str | Path, file: Path) -> Copied:
    """Copy the whole ledger at *place* into *file*, as it is at one moment.

    Others may write meanwhile; what they add after that moment is not in it.

    Args:
        place: A file of SQLite's, or a URL of PostgreSQL's.
        file: Must not be there yet.

    Raises:
        InvalidInput: If there is no ledger, or *file* is there.
    """
    url = ledger_url(place)
    if url.drivername.startswith("sqlite") and not Path(url.database or "").is_file():
        raise InvalidInput(f"there is no ledger at {url.database}")
    if file.exists():
        raise InvalidInput(f"{file} is there already: a backup takes a name of its own")
    file.parent.mkdir(parents=True, exist_ok=True)
    with (
        _opened(url) as source,
        tempfile.TemporaryDirectory(dir=file.parent, prefix=f".{file.name}.") as folder,
    ):
        draft = Path(folder) / "draft"
        with _opened(ledger_url(draft)) as target:
            rows = _copy(source, target)
        _make_whole(draft)
        sha256 = _sha256(draft)
        _name(draft, file)
    return Copied(rows, sha256)


def restore(file: Path, place: str | Path) -> Copied:
    """Fill the empty ledger at *place* from the backup *file*, all of it or nothing.

    An older backup is brought up to date on the way; *file* itself is left alone.

    Raises:
        InvalidInput: If *file* is no backup, or the ledger is not empty.
        SchemaTooNew: If a newer version of this package has written *file*.
        ShapeMismatch: If not every row has arrived; nothing was written.
    """
    with tempfile.TemporaryDirectory() as folder:
        own = Path(folder) / "backup.db"
        _read_into(file, own)
        _bring_up_to_date(own, file)
        with _opened(ledger_url(own)) as source, _opened(ledger_url(place)) as target:
            return Copied(_copy(source, target), _sha256(file))


@contextmanager
def _opened(url: sa.URL) -> Iterator[sa.Engine]:
    engine = open_engine(url)
    try:
        yield engine
    finally:
        engine.dispose()


def _bring_up_to_date(own: Path, file: Path) -> None:
    """Give *own*, the copy of *file*, today's schema."""
    try:
        open_engine(ledger_url(own)).dispose()
    except SchemaTooNew as error:
        raise SchemaTooNew(
            f"the backup {file} was written by a newer version of trading_assets: install "
            "that one"
        ) from error


def _copy(source: sa.Engine, target: sa.Engine) -> dict[str, int]:
    """Every row of *source*, as of now, into the empty *target*; how many by table."""
    with _snapshot(source) as reading, writing(target) as written:
        lock_ledger(written)
        _require_empty(written, target.url)
        rows = {
            table.name: _copy_table(reading, written, table)
            for table in METADATA.sorted_tables
        }
        arrived = _counted(written)
        if arrived != rows:
            raise ShapeMismatch(f"rows that were read {rows}, and arrived {arrived}")
    return dict(sorted(rows.items()))


@contextmanager
def _snapshot(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A connection for which time stands still."""
    options = {"stream_results": True}
    if engine.dialect.name == "postgresql":
        options |= {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    with engine.connect().execution_options(**options) as connection:
        yield connection


def _copy_table(reading: sa.Connection, written: sa.Connection, table: sa.Table) -> int:
    count = 0
    for batch in reading.execute(sa.select(table)).mappings().partitions(BATCH):
        written.execute(sa.insert(table), [dict(row) for row in batch])
        count += len(batch)
    return count


def _counted(connection: sa.Connection) -> dict[str, int]:
    return {
        table.name: connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0
        for table in METADATA.sorted_tables
    }


def _require_empty(connection: sa.Connection, url: sa.URL) -> None:
    there = {name: count for name, count in _counted(connection).items() if count}
    if there:
        raise InvalidInput(
            f"a backup is restored into an empty ledger only, and {url.render_as_string()} "
            f"has rows: {', '.join(f'{name} {count}' for name, count in there.items())}; "
            "name another place in TRADING_LEDGER"
        )


def _make_whole(draft: Path) -> None:
    """Put all of the database into its one file, and onto the disk."""
    with closing(sqlite3.connect(draft)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
    _sync(draft)


def _name(draft: Path, file: Path) -> None:
    """Give *draft* its name, which no other file may have."""
    try:
        os.link(draft, file)
    except FileExistsError as error:
        raise InvalidInput(f"{file} is there already, since just now") from error
    except OSError:  # a disk without links
        draft.replace(file)
    _sync(file.parent)


def _read_into(file: Path, own: Path) -> None:
    """A copy of *file* that may be brought up to date."""
    if not file.is_file():
        raise InvalidInput(f"there is no file {file}")
    read_only = f"{file.resolve().as_uri()}?mode=ro"
    try:
        with (
            closing(sqlite3.connect(read_only, uri=True)) as read,
            closing(sqlite3.connect(own)) as copy,
        ):
            read.backup(copy)
            faults = copy.execute("PRAGMA integrity_check").fetchone()[0]
            names = copy.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            is_ledger = (VERSION_TABLE,) in names.fetchall()
    except sqlite3.DatabaseError as error:
        raise InvalidInput(f"{file} is no backup of a ledger: {error}") from error
    if not is_ledger or faults != "ok":
        raise InvalidInput(f"{file} is no backup of a ledger, or is damaged: {faults}")


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
