"""Tables in one DuckDB file that many processes share.

DuckDB lets one process write a file and tells the others off at once; and the second
process to open it may rest on headers that the first has since rewritten. So every open
happens inside our own lock: late, for one transaction, closed early.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from threading import Timer, local
from typing import Any, override

import duckdb
import pandas as pd

from trading_assets.adapters.storage.locks import FileLock
from trading_assets.adapters.storage.port import Between, Replacement, Warehouse, Where
from trading_assets.errors import InvalidInput, ShapeMismatch, StoreBusy
from trading_assets.models.table import FRAME_TYPES, Column, Table

# All connections of a process must agree on these. Without external access SQL reaches
# no other file, no network and no extension; it cannot be switched on again.
SETTINGS = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "enable_external_access": False,
    # Guessing the type of a text column from a sample would stumble over rare values.
    "pandas_analyze_sample": 0,
}
OPEN_COLUMN = Column("DOUBLE", is_nullable=True)
READING = {duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN}
# A PIVOT creates a temporary type; the connection refuses to create what would last.
ALLOWED = {*READING, duckdb.StatementType.CREATE}


class _Block(local):
    """The connection that a thread uses while it is in a snapshot or a transaction."""

    connection: duckdb.DuckDBPyConnection | None = None
    is_transaction: bool = False
    has_failed: bool = False


class DuckDbWarehouse(Warehouse):
    """A warehouse in a DuckDB file; it comes into being with the first write.

    Tables carry no primary key. One would double the time of a write and the size of the
    file, and adds nothing: `Table.conform` refuses repeated keys within a write, and the
    write replaces whole partitions.
    """

    def __init__(
        self, path: Path, wait_seconds: float = 60.0, query_seconds: float = 30.0
    ) -> None:
        """Name the file; nothing is opened yet.

        Args:
            path: The file; its lock lies beside it.
            wait_seconds: Longest wait for the file, 0 or above.
            query_seconds: Longest time a person's query may take, for writers wait for it.
        """
        self._path = path
        self._lock = FileLock(path, wait_seconds)
        self._query_seconds = query_seconds
        self._block = _Block()

    @override
    def replace(self, *replacements: Replacement) -> None:
        ready = [_conformed(replacement) for replacement in replacements]
        with self._writing() as connection:
            for replacement in ready:
                _make_room(connection, replacement.table, replacement.rows)
                _replace(connection, replacement)

    @override
    @contextmanager
    def transaction(self) -> Iterator[None]:
        with self._writing() as connection, self._all_on(connection, is_transaction=True):
            yield

    @override
    def read(
        self,
        table: Table,
        where: Where | None = None,
        columns: Sequence[str] | None = None,
    ) -> pd.DataFrame:
        conditions, parameters = _conditions(table, where or {})
        with self._reading() as connection:
            return _select(connection, table, columns, conditions, parameters)

    @override
    def window(
        self,
        table: Table,
        symbols: Sequence[str],
        first: date,
        last: date,
        before: int | None,
    ) -> pd.DataFrame:
        session = _session_column(table)
        where: Where = {"symbol": symbols, session: Between(date.min, last)}
        conditions, parameters = _conditions(table, where)
        with self._reading() as connection:
            if before is not None and connection is not None:
                conditions += f" AND {_is_recent(table, session)}"
                parameters += [list(symbols), first, before, first]
            return _select(connection, table, None, conditions, parameters)

    @override
    def query(self, sql: str, limit: int | None = None) -> pd.DataFrame:
        _must_read(sql)
        with self._reading() as connection:
            if connection is None:
                raise InvalidInput(
                    f"nothing is stored at {self._path} yet; run a backfill first"
                )
            return _answer(connection, sql, limit, self._query_seconds)

    def _make_file(self) -> None:
        """Make the file whole or not at all: a half-made one could never be opened."""
        draft = self._path.with_name(f"{self._path.name}.new")
        draft.unlink(missing_ok=True)
        self._path.with_name(f"{self._path.name}.wal").unlink(missing_ok=True)
        duckdb.connect(draft, config=SETTINGS).close()
        draft.replace(self._path)

    @override
    @contextmanager
    def snapshot(self) -> Iterator[None]:
        within = self._block.is_transaction
        with self._reading() as connection, self._all_on(connection, is_transaction=within):
            yield

    @contextmanager
    def _all_on(
        self, connection: duckdb.DuckDBPyConnection | None, *, is_transaction: bool
    ) -> Iterator[None]:
        """Have all that this thread asks, or replaces, go to *connection*."""
        block = self._block
        before = block.connection, block.is_transaction
        block.connection, block.is_transaction = connection, is_transaction
        try:
            yield
        finally:
            block.connection, block.is_transaction = before

    @contextmanager
    def _writing(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection in a transaction, which is kept if the block ends well."""
        if self._block.connection is not None:
            if not self._block.is_transaction:
                raise ValueError(f"{self._path}: nothing can be replaced in a snapshot")
            try:
                yield self._block.connection
            except BaseException:
                self._block.has_failed = True
                raise
            return
        with self._lock.exclusive():
            if not self._path.exists():
                self._make_file()
            with self._connected(read_only=False) as connection:
                connection.begin()
                self._block.has_failed = False
                yield connection
                if self._block.has_failed:
                    raise ValueError(
                        f"{self._path}: a part of the transaction has failed, so nothing "
                        "of it is kept"
                    )
                connection.commit()

    @contextmanager
    def _reading(self) -> Iterator[duckdb.DuckDBPyConnection | None]:
        """A connection that cannot write; None as long as there is no file."""
        if self._block.connection is not None:
            yield self._block.connection
            return
        if not self._path.exists():
            yield None
            return
        with self._lock.shared(), self._connected(read_only=True) as connection:
            yield connection

    @contextmanager
    def _connected(self, *, read_only: bool) -> Iterator[duckdb.DuckDBPyConnection]:
        try:
            connection = duckdb.connect(self._path, read_only=read_only, config=SETTINGS)
        except duckdb.IOException as error:
            if "Could not set lock" not in str(error):
                raise
            raise StoreBusy(
                f"{self._path} is open in a program that does not take our lock: {error}"
            ) from error
        try:
            connection.execute("SET TimeZone = 'UTC'")
            yield connection
        finally:
            connection.close()  # what was not committed is gone


def _conformed(replacement: Replacement) -> Replacement:
    table, partitions = replacement.table, replacement.partitions
    if set(partitions.columns) != set(table.partition):
        raise ShapeMismatch(
            f"table {table.name}: partitions are named by {list(table.partition)}, "
            f"received {list(partitions.columns)}"
        )
    if partitions.isna().to_numpy().any():
        raise ShapeMismatch(f"table {table.name}: a partition is named by an empty value")
    return Replacement(table, partitions, table.conform(replacement.rows))


def _make_room(
    connection: duckdb.DuckDBPyConnection, table: Table, rows: pd.DataFrame
) -> None:
    """Create *table*, or add the columns that an older file does not have yet."""
    declared = ", ".join(
        f"{_quoted(name)} {column.sql_type}{' NOT NULL' if name in table.key else ''}"
        for name, column in table.columns.items()
    )
    connection.execute(f"CREATE TABLE IF NOT EXISTS {_quoted(table.name)} ({declared})")
    stored = _stored_columns(connection, table)
    for name in rows.columns:
        if name not in stored:
            kind = _column(table, name).sql_type
            connection.execute(
                f"ALTER TABLE {_quoted(table.name)} ADD COLUMN {_quoted(name)} {kind}"
            )


def _replace(connection: duckdb.DuckDBPyConnection, replacement: Replacement) -> None:
    table, rows = replacement.table, replacement.rows
    # Copies, for DuckDB cannot take a view that runs backwards through another frame.
    connection.register("given", replacement.partitions.copy())
    connection.register("incoming", rows.copy())
    try:
        _refuse_strays(connection, table)
    except duckdb.ConversionException as error:
        raise ShapeMismatch(f"table {table.name}: a partition's name: {error}") from error
    _delete(connection, table)
    columns = _listed(rows.columns)
    connection.execute(
        f"INSERT INTO {_quoted(table.name)} ({columns}) "  # noqa: S608 - our own names
        f"SELECT {columns} FROM incoming ORDER BY {_listed(table.key)}"
    )
    connection.unregister("given")
    connection.unregister("incoming")


def _refuse_strays(connection: duckdb.DuckDBPyConnection, table: Table) -> None:
    keys = _listed(table.partition)
    stray = connection.execute(
        f"SELECT {keys} FROM incoming "  # noqa: S608 - our own names
        f"ANTI JOIN {_replaced(table)} USING ({keys}) LIMIT 1"
    ).fetchone()
    if stray is not None:
        named = dict(zip(table.partition, map(str, stray), strict=True))
        raise ShapeMismatch(
            f"table {table.name}: a row is in partition {named}, which is not among "
            "those replaced"
        )


def _delete(connection: duckdb.DuckDBPyConnection, table: Table) -> None:
    name = _quoted(table.name)
    matches = " AND ".join(
        f"{name}.{column} = replaced.{column}" for column in map(_quoted, table.partition)
    )
    connection.execute(
        f"DELETE FROM {name} "  # noqa: S608 - our own names
        f"USING {_replaced(table)} WHERE {matches}"
    )


def _replaced(table: Table) -> str:
    """SQL for the given partitions in the types of *table*."""
    cast = ", ".join(
        f"CAST({_quoted(name)} AS {_column(table, name).sql_type}) AS {_quoted(name)}"
        for name in table.partition
    )
    return f"(SELECT {cast} FROM given) AS replaced"  # noqa: S608 - our own names


def _select(
    connection: duckdb.DuckDBPyConnection | None,
    table: Table,
    columns: Sequence[str] | None,
    conditions: str,
    parameters: Sequence[object],
) -> pd.DataFrame:
    stored = _stored_columns(connection, table) if connection else ()
    extra = stored if table.is_open_ended else ()
    wanted = columns if columns is not None else dict.fromkeys([*table.columns, *extra])
    if connection is None or not stored:
        return _typed(table, pd.DataFrame(columns=list(wanted), dtype=object))
    listed = ", ".join(
        _quoted(name) if name in stored else _absent(table, name) for name in wanted
    )
    sql = (
        f"SELECT {listed} FROM {_quoted(table.name)} "  # noqa: S608 - our own names
        f"WHERE {conditions} ORDER BY {_listed(table.key)}"
    )
    return _typed(table, connection.execute(sql, parameters).df())


def _absent(table: Table, name: str) -> str:
    return f"CAST(NULL AS {_column(table, name).sql_type}) AS {_quoted(name)}"


def _stored_columns(connection: duckdb.DuckDBPyConnection, table: Table) -> Sequence[str]:
    """The columns that the file has; none when it does not have the table."""
    try:
        # The catalog's own views would tell it too, in thirty times the time.
        connection.execute(f"SELECT * FROM {_quoted(table.name)} LIMIT 0")  # noqa: S608 - our own names
    except duckdb.CatalogException:
        return ()
    return [name for name, *_ in connection.description or ()]


def _typed(table: Table, frame: pd.DataFrame) -> pd.DataFrame:
    """*frame* with the dtypes that `Table.conform` gives."""
    types = {
        name: _frame_type(_column(table, str(name)), values)
        for name, values in frame.items()
    }
    changed = {name: to for name, to in types.items() if str(frame[name].dtype) != to}
    return frame.astype(changed)


def _frame_type(column: Column, values: "pd.Series[Any]") -> str:
    if column.sql_type == "BIGINT" and (column.is_nullable or values.isna().any()):
        return "Int64"
    if column.sql_type == "BOOLEAN" and values.isna().any():
        return "boolean"
    return FRAME_TYPES[column.sql_type]


def _conditions(table: Table, where: Where) -> tuple[str, list[object]]:
    """*where* as SQL, and the values that are bound to it."""
    parts = ["TRUE"]
    parameters: list[object] = []
    for name, wanted in where.items():
        quoted, kind = _quoted(name), _column(table, name).sql_type
        match wanted:
            case Between(first, last):
                parts.append(f"{quoted} BETWEEN ? AND ?")
                parameters += [first, last]
            case str() | date():
                parts.append(f"{quoted} = ?")
                parameters.append(wanted)
            case _:
                parts.append(f"{quoted} IN (SELECT unnest(CAST(? AS {kind}[])))")
                parameters.append(list(wanted))
    return " AND ".join(parts), parameters


def _is_recent(table: Table, session: str) -> str:
    """SQL that is true from each symbol's n-th last session before a first one on.

    Bound to it are the symbols, the first session, n, and the first session again.
    """
    name, day = _quoted(table.name), _quoted(session)
    return f"""{day} >= coalesce((
        SELECT starts.start FROM (
            SELECT symbol, min({day}) AS start FROM (
                SELECT symbol, {day} FROM {name}
                WHERE symbol IN (SELECT unnest(CAST(? AS VARCHAR[]))) AND {day} < ?
                QUALIFY dense_rank() OVER (PARTITION BY symbol ORDER BY {day} DESC) <= ?
            ) GROUP BY symbol
        ) AS starts WHERE starts.symbol = {name}.symbol
    ), ?)"""  # noqa: S608 - our own names


def _session_column(table: Table) -> str:
    for name in table.partition:
        if name.endswith("session"):
            return name
    raise ShapeMismatch(f"table {table.name} has no sessions: read it instead")


def _column(table: Table, name: str) -> Column:
    if name in table.columns:
        return table.columns[name]
    if table.is_open_ended:
        return OPEN_COLUMN
    raise ShapeMismatch(
        f"table {table.name} has no column {name!r}; it has {list(table.columns)}"
    )


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(_quoted, names))


def _must_read(sql: str) -> None:
    try:
        kinds = [statement.type for statement in duckdb.extract_statements(sql)]
    except duckdb.Error as error:
        raise InvalidInput(f"query: {error}") from error
    if not kinds or kinds[-1] not in READING or not ALLOWED.issuperset(kinds):
        raise InvalidInput(f"query: SELECT … or EXPLAIN … is allowed, was {sql.strip()!r}")


def _answer(
    connection: duckdb.DuckDBPyConnection, sql: str, limit: int | None, seconds: float
) -> pd.DataFrame:
    try:
        with _interrupted_after(seconds, connection):
            relation = connection.sql(sql)
            return (relation if limit is None else relation.limit(limit)).df()
    except duckdb.InterruptException as error:
        raise InvalidInput(
            f"query: stopped after {seconds:g} s, because writers wait for it"
        ) from error
    except duckdb.Error as error:
        raise InvalidInput(f"query: {error}") from error


@contextmanager
def _interrupted_after(
    seconds: float, connection: duckdb.DuckDBPyConnection
) -> Iterator[None]:
    timer = Timer(seconds, connection.interrupt)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
