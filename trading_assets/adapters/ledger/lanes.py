"""One book run at a time for each strategy and lane."""

import socket
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy import exc

from trading_assets.adapters.storage.locks import FileLock, whoami
from trading_assets.errors import StoreBusy

LOCK_TIMED_OUT = "55P03"
KEY = "hashtextextended(current_schema() || '/' || :book, 0)"
HOLDER = sa.text(f"""
    SELECT 'process ' || activity.pid || ' of the database (' || application_name
        || ') since ' || date_trunc('second', state_change)
    FROM pg_locks JOIN pg_stat_activity AS activity USING (pid),
        (SELECT {KEY} AS key) AS wanted
    WHERE locktype = 'advisory' AND granted AND objsubid = 1
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND classid::bigint = (key >> 32) & 4294967295
        AND objid::bigint = key & 4294967295
""")  # noqa: S608 - our own text


def lane_lock(
    engine: sa.Engine, strategy: str, lane: str, wait_seconds: float
) -> AbstractContextManager[None]:
    """Hold the book of *strategy* in *lane*; whoever dies with it gives it back."""
    book = f"{strategy}/{lane}"
    if engine.dialect.name == "postgresql":
        return _advisory(engine, book, wait_seconds)
    path = Path(engine.url.database or "")
    lanes = path.with_name(f"{path.name}.lanes")
    return FileLock(lanes / f"{strategy}.{lane}", wait_seconds, f"book {book}").exclusive()


@contextmanager
def _advisory(engine: sa.Engine, book: str, wait_seconds: float) -> Iterator[None]:
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.detach()  # lock, bound and name are its own: they must not go to a pool
        _take(connection, book, wait_seconds)
        try:
            yield
        finally:
            connection.execute(
                sa.text(f"SELECT pg_advisory_unlock({KEY})"),
                {"book": book},
            )


def _take(connection: sa.Connection, book: str, wait_seconds: float) -> None:
    bound_ms = max(1, round(wait_seconds * 1000))  # 0 would wait for ever
    connection.execute(
        sa.text(
            "SELECT set_config('lock_timeout', :bound, false), "
            "set_config('application_name', :name, false)"
        ),
        {"bound": f"{bound_ms}ms", "name": f"{socket.gethostname()}: {whoami()}"[:63]},
    )
    try:
        connection.execute(
            sa.text(f"SELECT pg_advisory_lock({KEY})"),
            {"book": book},
        )
    except exc.OperationalError as error:
        if getattr(error.orig, "pgcode", None) != LOCK_TIMED_OUT:
            raise
        holder = connection.scalar(HOLDER, {"book": book}) or "somebody who has just left"
        raise StoreBusy(
            f"book {book} is in use by {holder}; gave up after {wait_seconds:g} s"
        ) from error
