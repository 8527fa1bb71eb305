"""Where Dagster keeps its history on one machine: its own SQLite files, held open.

Dagster's SQLite storage opens a database for every event, writes it, closes the database
again, and does so in two files; a range of ten thousand partitions waits for that more
than for anything else. What is here writes the same rows into the same files, but holds
them open, and writes a batch of events in one transaction.

It overrides what Dagster does not promise to keep, so it serves `DAGSTER_VERSION` only.
"""

import logging
import os
import sqlite3
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import ExitStack, _GeneratorContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, Self, override

import portalocker
import sqlalchemy as sa
from dagster import DagsterEventType, EventLogEntry
from dagster import __version__ as installed_dagster
from dagster._core.definitions.asset_checks.asset_check_evaluation import (
    AssetCheckEvaluationPlanned,
)
from dagster._core.event_api import EventHandlerFn, EventLogCursor
from dagster._core.events import (
    ASSET_CHECK_EVENTS,
    ASSET_EVENTS,
    EVENT_TYPE_TO_PIPELINE_RUN_STATUS,
)
from dagster._core.storage.dagster_run import DagsterRunStatus
from dagster._core.storage.event_log.schema import (
    AssetEventTagsTable,
    AssetKeyTable,
    SqlEventLogStorageMetadata,
)
from dagster._core.storage.event_log.sqlite import sqlite_event_log
from dagster._core.storage.event_log.sqlite.sqlite_event_log import (
    SqliteEventLogStorage,
)
from dagster._core.storage.runs.sqlite.sqlite_run_storage import SqliteRunStorage
from dagster._core.storage.schedules.sqlite.sqlite_schedule_storage import (
    SqliteScheduleStorage,
)
from dagster._core.storage.sql import get_alembic_config, stamp_alembic_rev
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage, SqliteStorageConfig
from dagster._serdes import ConfigurableClassData
from sqlalchemy.dialects.sqlite import insert as insert_or_update
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.event import listen
from sqlalchemy.exc import DatabaseError
from sqlalchemy.pool import StaticPool

from trading_assets.defs.event_texts import EventTexts
from trading_assets.errors import InvalidInput, StoreBusy

DAGSTER_VERSION = "1.13.27"

RUN_ENVIRONMENT: Mapping[str, str] = MappingProxyType(
    {
        "DAGSTER_EVENT_BATCH_SIZE": "1000",
        "DAGSTER_EMIT_PARTITION_SUBSET_IN_PLANNED_EVENTS": "1",
    }
)
"""What the environment of every process that runs assets should say."""

IDLE_RUNS = 16  # histories of single runs that stay open when nobody reads them
SWITCH_PAUSE_SECONDS = 0.005
BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
WATCH_SECONDS = 0.25
WATCH_EVENTS = 1000  # read at once, so that a long history never fills the memory
JOURNAL_BYTES = 64 * 2**20  # what a write-ahead log may keep on disk once it is empty

_logger = logging.getLogger(__name__)


@dataclass(eq=False, slots=True)
class _Database:
    """One SQLite file and the connection to it.

    Attributes:
        path: The file.
        lock: Whoever uses the connection has it.
        users: How many threads use the connection or wait for it.
        engine: None until it is first used.
        identity: Which process opened which file under `path`.
        transaction: The connection while a transaction is open.
    """

    path: str
    lock: threading.RLock = field(default_factory=threading.RLock)
    users: int = 0
    engine: Engine | None = None
    identity: tuple[int, int, int] | None = None
    transaction: Connection | None = None

    def close(self) -> None:
        with self.lock:
            engine, self.engine, self.identity = self.engine, None, None
            if engine is not None:
                engine.dispose()


class HeldDatabases:
    """Connections to SQLite files, opened once and used by one thread at a time.

    A thread that is inside a transaction of a file and asks for it again joins that
    transaction. A file that was deleted or replaced, or that was opened before a fork,
    is opened anew.

    Args:
        lay_out: Called with each file that is opened, to create the tables that it lacks.
        idle_limit: How many files stay open while nobody uses them.
    """

    def __init__(
        self, lay_out: Callable[[Engine], None] | None = None, idle_limit: int = 1
    ) -> None:
        self._lay_out = lay_out
        self._idle_limit = idle_limit
        self._lock = threading.Lock()
        self._databases: dict[str, _Database] = {}  # the least recently used comes first

    @contextmanager
    def transaction(self, path: str) -> Generator[Connection]:
        """A connection to *path*; what was done is committed unless an error leaves."""
        database = self._take(path)
        try:
            with database.lock:
                if database.transaction is not None:
                    yield database.transaction
                    return
                with self._opened(database).connect() as connection, connection.begin():
                    database.transaction = connection
                    try:
                        yield connection
                    finally:
                        database.transaction = None
        finally:
            self._give_back(database)

    def close(self) -> None:
        """Close every file, waiting for the transactions of other threads.

        What is asked for afterwards is opened anew.
        """
        with self._lock:
            databases = list(self._databases.values())
            self._databases.clear()
        for database in databases:
            database.close()

    def _take(self, path: str) -> _Database:
        with self._lock:
            database = self._databases.pop(path, None) or _Database(path)
            self._databases[path] = database
            database.users += 1
            return database

    def _give_back(self, database: _Database) -> None:
        with self._lock:
            database.users -= 1
            idle = [known for known in self._databases.values() if not known.users]
            evicted = idle[: max(0, len(idle) - self._idle_limit)]
            for known in evicted:
                del self._databases[known.path]
        for known in evicted:
            known.close()

    def _opened(self, database: _Database) -> Engine:
        identity = _identity(database.path)
        if database.engine is None or identity is None or identity != database.identity:
            database.close()
            engine = _held_engine(database.path)
            if self._lay_out:
                self._lay_out(engine)
            database.engine, database.identity = engine, _identity(database.path)
            return engine
        return database.engine


def _identity(path: str) -> tuple[int, int, int] | None:
    try:
        found = os.stat(path)  # noqa: PTH116  # twice per event, and Path costs as much
    except FileNotFoundError:
        return None
    return os.getpid(), found.st_dev, found.st_ino


def _held_engine(path: str) -> Engine:
    engine = sa.create_engine(
        sa.URL.create("sqlite", database=path),
        poolclass=StaticPool,
        connect_args={
            "timeout": SQLITE_BUSY_TIMEOUT_SECONDS,
            "check_same_thread": False,  # `_Database.lock` does that
        },
    )
    listen(engine, "connect", _tune)
    return engine


def _tune(connection: Any, _record: object) -> None:  # noqa: ANN401  # sqlite3 or a wrapper
    _write_ahead(connection)
    # NORMAL: a killed process loses nothing, and a power cut the last moments at most.
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute(f"PRAGMA journal_size_limit={JOURNAL_BYTES}")


def _write_ahead(connection: Any) -> None:  # noqa: ANN401  # as above
    """Switch a file to its journal for good, which SQLite does not wait for by itself."""
    deadline = time.monotonic() + SQLITE_BUSY_TIMEOUT_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            is_busy = error.sqlite_errorcode & 0xFF in BUSY
            if not is_busy or time.monotonic() >= deadline:
                raise
            time.sleep(SWITCH_PAUSE_SECONDS)
        else:
            return


@cache
def _event_log_schema() -> tuple[str, ...]:
    """The statements that make an empty file the event log of this version."""
    engine = sa.create_engine("sqlite://", poolclass=StaticPool)
    with engine.connect() as connection:
        SqlEventLogStorageMetadata.create_all(connection)
        stamp_alembic_rev(get_alembic_config(sqlite_event_log.__file__), connection)
        connection.commit()
        dump = connection.connection.driver_connection.iterdump()  # pyright: ignore[reportOptionalMemberAccess]
        statements = tuple(dump)[1:-1]  # without its BEGIN and COMMIT
    engine.dispose()
    return statements


class _EventRow(NamedTuple):
    """A row of the table `event_logs`, but for its id."""

    run_id: str
    event: str
    dagster_event_type: str | None
    timestamp: str
    step_key: str | None
    asset_key: str | None
    partition: str | None


class _Stored(NamedTuple):
    event_id: int
    event: EventLogEntry
    row: _EventRow


_INSERT_EVENT = (
    "INSERT INTO event_logs (run_id, event, dagster_event_type, timestamp, step_key,"
    " asset_key, partition) VALUES (?, ?, ?, ?, ?, ?, ?)"
)
_INSERT_TAG = (
    "INSERT INTO asset_event_tags (event_id, asset_key, key, value, event_timestamp)"
    " VALUES (?, ?, ?, ?, ?)"
)


def _event_rows(events: Iterable[EventLogEntry]) -> list[_EventRow]:
    """What Dagster's `_event_to_row` makes of *events*, as the driver takes it."""
    texts = EventTexts()
    rows: list[_EventRow] = []
    for event in events:
        of_dagster = event.dagster_event
        asset_key = of_dagster.asset_key if of_dagster else None
        rows.append(
            _EventRow(
                run_id=event.run_id,
                event=texts.text(event),
                dagster_event_type=of_dagster.event_type_value if of_dagster else None,
                timestamp=_text_of_instant(event.timestamp),
                step_key=of_dagster.step_key if of_dagster else event.step_key,
                asset_key=asset_key.to_string() if asset_key else None,
                partition=(of_dagster.partition or None) if of_dagster else None,
            )
        )
    return rows


def _text_of_instant(timestamp: float) -> str:
    """How SQLAlchemy writes an instant into SQLite: in UTC, without saying so."""
    instant = datetime.fromtimestamp(timestamp, UTC).replace(tzinfo=None)
    return instant.isoformat(sep=" ", timespec="microseconds")


def _is_mirrored(event: EventLogEntry) -> bool:
    """Whether Dagster looks for *event* across runs."""
    kind = event.dagster_event_type
    return kind is not None and (
        kind in ASSET_EVENTS
        or kind in ASSET_CHECK_EVENTS
        or kind in EVENT_TYPE_TO_PIPELINE_RUN_STATUS
    )


@dataclass(eq=False, slots=True)
class _Watch:
    run_id: str
    cursor: str | None
    callback: EventHandlerFn


class _Watcher:
    """Tells callbacks about new events of runs, from a thread of its own.

    It asks the database instead of watching the file: a held connection changes the file
    only at checkpoints, and its write-ahead log before the change can be read.
    """

    def __init__(self, storage: SqliteEventLogStorage) -> None:
        self._storage = storage
        self._lock = threading.Lock()
        self._watches: list[_Watch] = []
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()

    def watch(self, watch: _Watch) -> None:
        with self._lock:
            self._watches.append(watch)
            if self._thread is None:
                self._stopping = threading.Event()
                self._thread = threading.Thread(
                    target=self._run,
                    args=(self._stopping,),
                    name="run-history",
                    daemon=True,
                )
                self._thread.start()

    def end(self, run_id: str, callback: EventHandlerFn) -> None:
        with self._lock:
            self._watches = [
                watch
                for watch in self._watches
                if (watch.run_id, watch.callback) != (run_id, callback)
            ]

    def close(self) -> None:
        with self._lock:
            self._watches = []
            self._stopping.set()
            thread, self._thread = self._thread, None
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def _run(self, stopping: threading.Event) -> None:
        while not stopping.wait(WATCH_SECONDS):
            with self._lock:
                watches = list(self._watches)
                if not watches:
                    self._thread = None
                    return
            for watch in watches:
                self._tell(watch)

    def _tell(self, watch: _Watch) -> None:
        """Hand *watch* what is new, and forget it when it says that its run has ended."""
        try:
            news = self._storage.get_records_for_run(
                watch.run_id, watch.cursor, limit=WATCH_EVENTS
            )
        except DatabaseError:
            _logger.exception("Run %s could not be read; it is tried again", watch.run_id)
            return
        watch.cursor = news.cursor
        for record in news.records:
            if not self._is_watching(watch):
                return
            cursor = str(EventLogCursor.from_storage_id(record.storage_id))
            if self._call(watch, record.event_log_entry, cursor) in _ENDED:
                self.end(watch.run_id, watch.callback)

    def _is_watching(self, watch: _Watch) -> bool:
        with self._lock:
            return watch in self._watches

    def _call(self, watch: _Watch, event: EventLogEntry, cursor: str) -> object:
        try:
            return watch.callback(event, cursor)
        except Exception:  # a callback of anybody's must not end the watches of others
            _logger.exception("A watcher of run %s failed", watch.run_id)
            return None


_ENDED = (DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED)


class PooledSqliteEventLogStorage(SqliteEventLogStorage):
    """Dagster's SQLite event log, with files held open and batches in one transaction.

    Files, tables and answers are those of `SqliteEventLogStorage`; either class reads
    what the other has written.

    Raises:
        InvalidInput: If another version of Dagster is installed than it was written for.
    """

    def __init__(
        self, base_dir: str, inst_data: ConfigurableClassData | None = None
    ) -> None:
        _require_dagster()
        self._held = HeldDatabases(self._initdb, idle_limit=IDLE_RUNS)
        self._watcher = _Watcher(self)
        self._seen: set[tuple[str, str]] = set()
        super().__init__(base_dir, inst_data)

    @classmethod
    @override
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: SqliteStorageConfig
    ) -> Self:
        return cls(inst_data=inst_data, **config_value)

    @override
    def _connect(self, shard: str) -> _GeneratorContextManager[Connection]:
        return self._held.transaction(self.path_for_shard(shard))

    @override
    def _initdb(self, engine: Engine, for_index_shard: bool = False) -> None:
        """Create the tables of a new file; what is older is Dagster's to recognise."""
        with engine.connect() as connection:
            connection.exec_driver_sql("BEGIN IMMEDIATE")  # another process may do the same
            tables = sa.inspect(connection).get_table_names()
            if not tables:
                for statement in _event_log_schema():
                    connection.exec_driver_sql(statement)
                connection.commit()
                return
            revision = "alembic_version" in tables and connection.scalar(
                sa.text("SELECT version_num FROM alembic_version")
            )
        if not revision:
            super()._initdb(engine, for_index_shard)

    @override
    def has_table(self, table_name: str) -> bool:
        return self._once_true("table", table_name, self._looks_up_table)

    def _looks_up_table(self, table_name: str) -> bool:
        with self.index_connection() as connection:
            return sa.inspect(connection).has_table(table_name)

    @override
    def has_secondary_index(self, name: str) -> bool:
        return self._once_true("index", name, super().has_secondary_index)

    @override
    def _has_asset_key_col_on_connection(self, conn: Connection, column_name: str) -> bool:
        looks_up = super()._has_asset_key_col_on_connection
        return self._once_true("column", column_name, lambda name: looks_up(conn, name))

    def _once_true(self, kind: str, name: str, looks_up: Callable[[str], bool]) -> bool:
        # Tables, columns and migrations come and never go, but for `upgrade`.
        if (kind, name) not in self._seen and looks_up(name):
            self._seen.add((kind, name))
        return (kind, name) in self._seen

    @override
    def store_event(self, event: EventLogEntry) -> None:
        self.store_event_batch([event])

    @override
    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Store *events* so that either all of them or none can be read.

        Args:
            events: Of any kinds and runs, in the order in which they happened.
        """
        rows = _event_rows(events)
        mirrored = [
            pair for pair in zip(events, rows, strict=True) if _is_mirrored(pair[0])
        ]
        with (
            ExitStack() as commits
        ):  # of the runs first, of the index last, as Dagster does
            index = commits.enter_context(self.index_connection()) if mirrored else None
            for run_id, group in groupby(rows, key=attrgetter("run_id")):
                run = commits.enter_context(self.run_connection(run_id))
                run.exec_driver_sql(_INSERT_EVENT, list(group))
            if index is not None:
                self._mirror(index, mirrored)

    def _mirror(
        self, index: Connection, mirrored: Sequence[tuple[EventLogEntry, "_EventRow"]]
    ) -> None:
        index.exec_driver_sql(_INSERT_EVENT, [row for _, row in mirrored])
        # In one transaction, and nobody else writes in it: SQLite numbers without a gap.
        last = index.scalar(sa.text("SELECT last_insert_rowid()"))
        stored = [
            _Stored(last - len(mirrored) + at, event, row)
            for at, (event, row) in enumerate(mirrored, 1)
        ]
        of_assets = [one for one in stored if one.event.dagster_event_type in ASSET_EVENTS]
        self._store_tags(index, of_assets)
        self._store_assets(index, of_assets)
        for event_id, event, _ in stored:
            if event.dagster_event_type in ASSET_CHECK_EVENTS:
                self.store_asset_check_event(event, event_id)

    def _store_tags(self, index: Connection, stored: Iterable["_Stored"]) -> None:
        tags = [
            (event_id, row.asset_key, tag, text, row.timestamp)
            for event_id, event, row in stored
            for tag, text in self._tags_for_asset_event(event).items()
        ]
        if tags and self.has_table(AssetEventTagsTable.name):
            index.exec_driver_sql(_INSERT_TAG, tags)

    def _store_assets(self, index: Connection, stored: Iterable["_Stored"]) -> None:
        """Bring the row of each asset to what storing the events one by one leaves."""
        last: dict[str, dict[DagsterEventType | None, _Stored]] = defaultdict(dict)
        for one in stored:
            if one.row.asset_key:
                of_kind = last[one.row.asset_key]
                of_kind.pop(one.event.dagster_event_type, None)
                of_kind[one.event.dagster_event_type] = one
        for asset_key, of_kind in last.items():
            values: dict[str, Any] = {}
            for event_id, event, _ in of_kind.values():
                values |= self._get_asset_entry_values(
                    event, event_id, self._has_asset_key_index_cols_on_connection(index)
                )
            if values:
                row = insert_or_update(AssetKeyTable).values(asset_key=asset_key, **values)
                index.execute(
                    row.on_conflict_do_update([AssetKeyTable.c.asset_key], set_=values)
                )

    @override
    def _store_asset_check_evaluation_planned(
        self, event: EventLogEntry, event_id: int | None
    ) -> None:
        """Plan a range's check once, as it is evaluated once.

        Dagster plans it once per session, each time with a list of all sessions: a year's
        check takes three megabytes and its plans stay open for ever.
        """
        happened = event.dagster_event
        planned = happened.event_specific_data if happened else None
        if (
            happened is not None
            and isinstance(planned, AssetCheckEvaluationPlanned)
            and planned.partitions_subset is not None
            and len(planned.partitions_subset) > 1
        ):
            whole = AssetCheckEvaluationPlanned(
                asset_key=planned.asset_key, check_name=planned.check_name
            )
            event = event._replace(
                dagster_event=happened._replace(event_specific_data=whole)
            )
        super()._store_asset_check_evaluation_planned(event, event_id)

    @override
    def upgrade(self) -> None:
        super().upgrade()
        self._seen.clear()

    @override
    def wipe(self) -> None:
        self._held.close()
        super().wipe()

    @override
    def watch(self, run_id: str, cursor: str | None, callback: EventHandlerFn) -> None:
        self._watcher.watch(_Watch(run_id, cursor, callback))

    @override
    def end_watch(self, run_id: str, handler: EventHandlerFn) -> None:
        self._watcher.end(run_id, handler)

    @override
    def dispose(self) -> None:
        self._watcher.close()
        self._held.close()


class PooledSqliteRunStorage(SqliteRunStorage):
    """Dagster's SQLite run storage, with its file held open."""

    def __init__(
        self, conn_string: str, inst_data: ConfigurableClassData | None = None
    ) -> None:
        _require_dagster()
        self._path = str(sa.make_url(conn_string).database)
        self._held = HeldDatabases()
        super().__init__(conn_string, inst_data)

    @classmethod
    @override
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: SqliteStorageConfig
    ) -> Self:
        return cls.from_local(inst_data=inst_data, **config_value)

    @override
    def connect(self) -> _GeneratorContextManager[Connection]:
        return self._held.transaction(self._path)

    @override
    def dispose(self) -> None:
        self._held.close()


class PooledSqliteStorage(DagsterSqliteStorage):
    """What ``storage: custom`` of `dagster.yaml` names: runs, events and schedules.

    Schedules stay with Dagster's own class; they are written a few times a minute.
    """

    def __init__(
        self, base_dir: str, inst_data: ConfigurableClassData | None = None
    ) -> None:
        _require_dagster()
        # Not the parent's own, which would open stock storages on the same files.
        super(DagsterSqliteStorage, self).__init__()
        self.base_dir = base_dir
        self._inst_data = inst_data
        history, schedules = Path(base_dir) / "history", Path(base_dir) / "schedules"
        with _laying_out(Path(base_dir)):
            self._run_storage = PooledSqliteRunStorage.from_local(str(history))
            self._event_log_storage = PooledSqliteEventLogStorage(str(history / "runs"))
            self._schedule_storage = SqliteScheduleStorage.from_local(str(schedules))

    @classmethod
    @override
    def from_config_value(
        cls, inst_data: ConfigurableClassData, config_value: SqliteStorageConfig
    ) -> Self:
        return cls.from_local(inst_data=inst_data, **config_value)


@contextmanager
def _laying_out(home: Path) -> Generator[None]:
    """Let one process at a time create the files of *home*; Dagster's own code races."""
    try:
        with portalocker.Lock(home / "history.lock", timeout=SQLITE_BUSY_TIMEOUT_SECONDS):
            yield
    except portalocker.AlreadyLocked as error:
        raise StoreBusy(
            f"the run history in {home} was being created by another process for longer"
            f" than {SQLITE_BUSY_TIMEOUT_SECONDS} seconds"
        ) from error


def _require_dagster() -> None:
    if installed_dagster != DAGSTER_VERSION:
        raise InvalidInput(
            f"the run history in dagster.yaml serves dagster {DAGSTER_VERSION}, and"
            f" {installed_dagster} is installed: install that one, or replace"
            " `storage: custom` by `storage: sqlite`, which reads the same files"
        )
