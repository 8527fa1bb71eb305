"""Statements that are compiled once and handed to the driver as they are.

SQLAlchemy takes longer over a statement than SQLite does. Where milliseconds count, its
words are kept, and the work of each time is left out. Rows come as the driver has them.
"""

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

from trading_assets.adapters.ledger.engine import WAIT_SECONDS
from trading_assets.errors import StoreBusy


@dataclass(frozen=True, slots=True)
class _Compiled:
    """A statement in a driver's words.

    Attributes:
        names: Of its parameters, in their order; empty where they go by name.
        fixed: Values that the statement brings along.
        processors: What makes of a value what the driver takes, by name.
    """

    sql: str
    names: Sequence[str]
    fixed: dict[str, Any]
    processors: Mapping[str, Callable[[Any], Any]]

    def parameters(self, values: Mapping[str, Any]) -> Sequence[Any] | Mapping[str, Any]:
        """*values* as the driver takes them."""
        taken = {
            name: self.processors[name](value) if name in self.processors else value
            for name, value in {**self.fixed, **values}.items()
        }
        return tuple(taken[name] for name in self.names) if self.names else taken


@lru_cache(maxsize=128)
def _compiled(
    statement: sa.ClauseElement, dialect: sa.Dialect, keys: tuple[str, ...]
) -> _Compiled:
    compiled: Any = statement.compile(dialect=dialect, column_keys=list(keys))
    fixed = {name: it.value for name, it in compiled.binds.items() if not it.required}
    return _Compiled(
        compiled.string,
        tuple(compiled.positiontup or ()),
        {name: value for name, value in fixed.items() if value is not None},
        dict(compiled._bind_processors),  # noqa: SLF001 - there is no other way to them
    )


class Direct:
    """A connection of a driver, for statements of SQLAlchemy's."""

    def __init__(self, cursor: Any, dialect: sa.Dialect) -> None:  # noqa: ANN401 - any driver's
        self._cursor = cursor
        self.dialect = dialect

    def run(self, statement: sa.ClauseElement, values: Mapping[str, Any]) -> int:
        """Run *statement*, whose parameters are named as *values*; how many rows it hit."""
        compiled = _compiled(statement, self.dialect, tuple(values))
        self._cursor.execute(compiled.sql, compiled.parameters(values))
        return self._cursor.rowcount

    def rows(
        self, statement: sa.ClauseElement, values: Mapping[str, Any]
    ) -> Sequence[tuple[Any, ...]]:
        """All rows that *statement* finds."""
        self.run(statement, values)
        return self._cursor.fetchall()


@contextmanager
def direct_reading(engine: sa.Engine) -> Iterator[Direct]:
    """A connection to read with; each statement sees what is there by then."""
    raw = engine.raw_connection()
    try:
        yield Direct(raw.cursor(), engine.dialect)
    finally:
        raw.close()


@contextmanager
def direct_writing(engine: sa.Engine) -> Iterator[Direct]:
    """A transaction that will write; on SQLite it waits for its turn at the start.

    Raises:
        StoreBusy: If its turn does not come in time.
    """
    raw = engine.raw_connection()
    try:
        cursor = raw.cursor()
        if engine.dialect.name == "sqlite":
            _begin(cursor, engine)
        yield Direct(cursor, engine.dialect)
        raw.commit()
    except BaseException:
        raw.rollback()
        raise
    finally:
        raw.close()


def _begin(cursor: Any, engine: sa.Engine) -> None:  # noqa: ANN401 - any driver's
    try:
        cursor.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError as error:
        if "database is locked" not in str(error):
            raise
        raise StoreBusy(
            f"the ledger {engine.url.database} is being written by others; gave up after "
            f"{WAIT_SECONDS:g} s"
        ) from error
