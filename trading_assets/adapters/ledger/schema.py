"""The tables of the ledger, as the newest migration leaves them."""

import operator
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, SupportsFloat, SupportsIndex, override

import sqlalchemy as sa

from trading_assets.models.table import Column, Table
from trading_assets.models.tables import (
    BOOK_EVENTS,
    FILLS,
    ORDER_EVENTS,
    ORDERS,
    PORTFOLIO,
    POSITIONS,
    TRADES,
)

REVISIONS = ("0001",)
"""Every migration there is, oldest first; spares most starts the import of Alembic."""

HEAD = REVISIONS[-1]
VERSION_TABLE = "ledger_version"
"""Ours alone: Dagster may keep its history, and its own version, in the same database."""

BOOK = ("strategy", "lane")
NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class Whole(sa.types.TypeDecorator[int]):
    """A whole number; SQLite would file a numpy integer away as bytes."""

    impl = sa.BigInteger
    cache_ok = True

    @override
    def process_bind_param(
        self, value: SupportsIndex | None, dialect: sa.Dialect
    ) -> int | None:
        return None if value is None else operator.index(value)


class Number(sa.types.TypeDecorator[float]):
    """A number; one that is not a number is stored as NULL."""

    impl = sa.Double
    cache_ok = True

    @override
    def process_bind_param(
        self, value: SupportsFloat | None, dialect: sa.Dialect
    ) -> float | None:
        # psycopg2 writes numbers down as they print, and those of numpy print their type.
        number = None if value is None else float(value)
        return None if number != number else number  # noqa: PLR0124 - only NaN does


class Instant(sa.types.TypeDecorator[datetime]):
    """A point in time, in UTC; SQLite would forget the zone."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    @override
    def process_bind_param(
        self, value: datetime | None, dialect: sa.Dialect
    ) -> datetime | None:
        return None if value is None else value.astimezone(UTC)

    @override
    def process_result_value(
        self, value: datetime | None, dialect: sa.Dialect
    ) -> datetime | None:
        if value is None or value.tzinfo is not None:
            return value
        return value.replace(tzinfo=UTC)


TYPES: Mapping[str, type[sa.types.TypeEngine[Any]]] = {
    "BOOLEAN": sa.Boolean,
    "BIGINT": Whole,
    "DOUBLE": Number,
    "TIMESTAMPTZ": Instant,
    "DATE": sa.Date,
    "VARCHAR": sa.String,
}

METADATA = sa.MetaData(naming_convention=NAMING)

BOOK_SESSIONS = sa.Table(
    "book_sessions",
    METADATA,
    sa.Column("strategy", sa.String, primary_key=True),
    sa.Column("lane", sa.String, primary_key=True),
    sa.Column("session", sa.Date, primary_key=True),
    sa.Column("generation", Whole, primary_key=True, autoincrement=False),
    sa.Column("previous_hash", sa.String, nullable=False),
    sa.Column("book_hash", sa.String, nullable=False),
    sa.Column("spec_hash", sa.String, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("recorded_at", Instant, nullable=False),
)
"""Every walk through every session of every book, and the book it ended with."""


def _of_a_book(table: Table) -> sa.Table:
    """*table* as the ledger keeps it: by generation, and tied to the walk that made it."""
    walk = {
        "generation": Column("BIGINT", is_nullable=False),
        "session": Column("DATE", is_nullable=False),
    }
    columns = {**{name: table.columns[name] for name in BOOK}, **walk, **table.columns}
    key = (*table.key, "generation")
    stored = sa.Table(
        table.name,
        METADATA,
        *(
            sa.Column(name, TYPES[column.sql_type], nullable=column.is_nullable)
            for name, column in columns.items()
        ),
        sa.PrimaryKeyConstraint(*key),
        sa.ForeignKeyConstraint(
            [*BOOK, "session", "generation"],
            [f"book_sessions.{name}" for name in (*BOOK, "session", "generation")],
        ),
    )
    if "session" not in key:
        sa.Index(None, *(stored.c[name] for name in (*BOOK, "session")))
    return stored


BOOK_TABLES: Mapping[str, sa.Table] = {
    table.name: _of_a_book(table)
    for table in (
        ORDERS,
        ORDER_EVENTS,
        FILLS,
        BOOK_EVENTS,
        TRADES,
        POSITIONS,
        PORTFOLIO,
    )
}
"""What the simulated broker records, by name of the table."""
