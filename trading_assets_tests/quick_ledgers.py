"""Ledgers of today's schema, by the statements that the migrations have led to once.

To look for migrations and to run them takes much longer than what they say to the
database, and hundreds of tests begin with a fresh ledger.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from trading_assets.adapters.ledger import engine

READING = ("SELECT", "PRAGMA", "SHOW")
MIGRATE = engine._migrate
"""What takes its time."""


@dataclass
class Repeating:
    """Migrates as `MIGRATE` does; from nothing, by repeating what that has said.

    Attributes:
        said: Statements with their parameters, by dialect.
    """

    said: dict[str, list[tuple[str, Any]]] = field(default_factory=dict)

    def __call__(self, connection: sa.Connection) -> None:
        dialect = connection.dialect.name
        if engine._revision(connection) is not None:
            MIGRATE(connection)
        elif dialect in self.said:
            for statement, parameters in self.said[dialect]:
                connection.exec_driver_sql(statement, parameters)
        else:
            with _heard(connection) as said:
                MIGRATE(connection)
            self.said[dialect] = said


@contextmanager
def _heard(connection: sa.Connection) -> Iterator[list[tuple[str, Any]]]:
    """What is said on *connection* to change the database."""
    said: list[tuple[str, Any]] = []

    def hear(_connection: Any, _cursor: Any, statement: str, *told: Any) -> None:
        if not statement.lstrip().upper().startswith(READING):
            said.append((statement, told[0] or None))

    event.listen(connection, "before_cursor_execute", hear)
    try:
        yield said
    finally:
        event.remove(connection, "before_cursor_execute", hear)


@pytest.fixture(scope="session", autouse=True)
def quick_ledgers() -> Iterator[Callable[[sa.Connection], None]]:
    """Migrate once in a process, and repeat it after that."""
    with pytest.MonkeyPatch.context() as patched:
        repeating = Repeating()
        patched.setattr(engine, "_migrate", repeating)
        yield repeating
