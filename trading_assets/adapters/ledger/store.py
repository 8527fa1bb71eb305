"""The ledger: what must be transactional, and is never deleted."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime
from types import MappingProxyType

import pandas as pd
import sqlalchemy as sa
from sqlalchemy import exc

from trading_assets.adapters.ledger.approvals import ApprovalBook, Asked, ask
from trading_assets.adapters.ledger.engine import LedgerPart, writing
from trading_assets.adapters.ledger.halts import HaltBook
from trading_assets.adapters.ledger.lanes import lane_lock
from trading_assets.adapters.ledger.schema import (
    BOOK_SESSIONS,
    BOOK_TABLES,
    SESSION_HALTS,
)
from trading_assets.errors import OrderConflict, ShapeMismatch
from trading_assets.models.table import Table

NO_HALTS: Mapping[date, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class BookSession:
    """A session of a book: what it was walked from, and what it ended as.

    Attributes:
        generation: How often the session had been walked before.
        previous_hash: Of the book at the close before.
        book_hash: Of the book at this close, and of all that led to it.
        spec_hash: Of the strategy's sizing, risk, execution and costs.
    """

    session: date
    generation: int
    previous_hash: str
    book_hash: str
    spec_hash: str


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """What is recorded of a walk through a session.

    Attributes:
        state: The book at the close as JSON, from which the next session goes on.
    """

    session: date
    previous_hash: str
    book_hash: str
    spec_hash: str
    state: str


class Ledger(LedgerPart):
    """Books of simulated trading, in SQLite or PostgreSQL.

    A session that is walked anew gets another generation; the older ones stay and are
    not read. What is current is the highest generation of each session.
    """

    @property
    def halts(self) -> HaltBook:
        """What is halted, in the same database."""
        return HaltBook(self._engine)

    @property
    def approvals(self) -> ApprovalBook:
        """What waits for people, in the same database."""
        return ApprovalBook(self._engine)

    def lane(
        self, strategy: str, lane: str, wait_seconds: float
    ) -> AbstractContextManager[None]:
        """Have the book of *strategy* in *lane* to oneself.

        Args:
            strategy: Whose book.
            lane: Which of its books.
            wait_seconds: Longest wait for the one who has it, 0 or above.

        Raises:
            StoreBusy: If somebody else had it for longer; it names them.
        """
        return lane_lock(self._engine, strategy, lane, wait_seconds)

    def chain(self, strategy: str, lane: str) -> list[BookSession]:
        """Every session of a book as it is current, oldest first."""
        with self._engine.connect() as connection:
            return _chain(connection, strategy, lane)

    def state(self, strategy: str, lane: str, session: date) -> str | None:
        """The current book at the close of *session*; None if it was never walked."""
        query = (
            sa.select(BOOK_SESSIONS.c.state)
            .where(*_of(BOOK_SESSIONS, strategy, lane), BOOK_SESSIONS.c.session == session)
            .order_by(BOOK_SESSIONS.c.generation.desc())
            .limit(1)
        )
        with self._engine.connect() as connection:
            return connection.scalar(query)

    def next_generation(self, strategy: str, lane: str) -> int:
        """A generation that no session of the book has yet; 0 for a new book."""
        query = sa.select(sa.func.max(BOOK_SESSIONS.c.generation)).where(
            *_of(BOOK_SESSIONS, strategy, lane)
        )
        with self._engine.connect() as connection:
            highest = connection.scalar(query)
        return 0 if highest is None else highest + 1

    def append(
        self,
        strategy: str,
        lane: str,
        generation: int,
        records: Sequence[SessionRecord],
        rows: Mapping[str, Sequence[Mapping[str, object]]],
        halted: Mapping[date, str] = NO_HALTS,
        asked: Asked | None = None,
    ) -> None:
        """Record a walk, all of it or nothing.

        Args:
            strategy: Whose book.
            lane: Which of its books.
            generation: Of the walk, 0 or above.
            records: The sessions walked, each once.
            rows: By table, the rows of its model and, in `trades` too, the `session`
                in which they were made; strategy, lane and generation are filled in.
            halted: Sessions decided under a halt that was not recorded yet, and why.
            asked: What people are asked of it.

        Raises:
            ShapeMismatch: If rows are not of their table, or of a session not walked.
            OrderConflict: If a session has this generation already, or a key is used
                twice.
        """
        book = {"strategy": strategy, "lane": lane, "generation": generation}
        walked = {record.session for record in records}
        laid_out = {name: _laid_out(name, of, book, walked) for name, of in rows.items()}
        recorded_at = datetime.now(UTC)
        names = [field.name for field in fields(SessionRecord)]
        sessions = [
            {name: getattr(record, name) for name in names}
            | {**book, "recorded_at": recorded_at}
            for record in records
        ]
        halts = [
            {
                "strategy": strategy,
                "lane": lane,
                "session": session,
                "reason": reason,
                "recorded_at": recorded_at,
            }
            for session, reason in halted.items()
        ]
        try:
            with writing(self._engine) as connection:
                _insert(connection, SESSION_HALTS, halts)
                _insert(connection, BOOK_SESSIONS, sessions)
                for name, of in laid_out.items():
                    _insert(connection, BOOK_TABLES[name], of)
                if asked is not None:
                    ask(connection, strategy, lane, asked)
        except exc.IntegrityError as error:
            raise OrderConflict(
                f"book {strategy}/{lane}, generation {generation}: the ledger has such a "
                f"row already, or may not have it: {' '.join(str(error.orig).split())}"
            ) from error
        except exc.DBAPIError:
            raise
        except exc.StatementError as error:
            raise ShapeMismatch(
                f"book {strategy}/{lane}, generation {generation}: a value is not of its "
                f"column's type: {error.orig}"
            ) from error

    def rows(
        self,
        strategy: str,
        lane: str,
        table: Table,
        sessions: Sequence[date],
        chain: Sequence[BookSession] | None = None,
    ) -> pd.DataFrame:
        """The current rows of some sessions, of *table*'s shape and in its key's order.

        Args:
            strategy: Whose book.
            lane: Which of its books.
            table: One of those that the ledger keeps.
            sessions: In which they were made.
            chain: The book's sessions, from who has asked for them already.
        """
        if not sessions:
            return table.empty()
        stored, names = _stored(table.name), list(table.columns)
        walk = (stored.c.session.label("walked"), stored.c.generation.label("walk"))
        query = sa.select(*(stored.c[name] for name in names), *walk).where(
            *_of(stored, strategy, lane),
            stored.c.session.between(min(sessions), max(sessions)),
        )
        with self._engine.connect() as connection:
            known = _chain(connection, strategy, lane) if chain is None else chain
            current = {book.session: book.generation for book in known}
            found = connection.execute(
                query.where(stored.c.generation.in_(set(current.values())))
            ).all()
        frame = pd.DataFrame(found, columns=[*names, "walked", "walk"])
        is_current = frame["walk"] == frame["walked"].map(current)
        is_wanted = pd.to_datetime(frame["walked"]).isin(pd.to_datetime(list(sessions)))
        rows = frame.loc[is_current & is_wanted, names]
        return table.conform(rows.sort_values(list(table.key)))


def _chain(connection: sa.Connection, strategy: str, lane: str) -> list[BookSession]:
    """The highest generation of each session, oldest first."""
    columns = [BOOK_SESSIONS.c[field.name] for field in fields(BookSession)]
    newness = sa.func.row_number().over(
        partition_by=BOOK_SESSIONS.c.session, order_by=BOOK_SESSIONS.c.generation.desc()
    )
    walks = (
        sa.select(*columns, newness.label("newness"))
        .where(*_of(BOOK_SESSIONS, strategy, lane))
        .subquery()
    )
    query = (
        sa.select(*(walks.c[column.name] for column in columns))
        .where(walks.c.newness == 1)
        .order_by(walks.c.session)
    )
    return [BookSession(*row) for row in connection.execute(query)]


def _of(stored: sa.Table, strategy: str, lane: str) -> list[sa.ColumnElement[bool]]:
    return [stored.c.strategy == strategy, stored.c.lane == lane]


def _stored(name: str) -> sa.Table:
    if name not in BOOK_TABLES:
        raise ShapeMismatch(f"the ledger has no table {name}; it has {list(BOOK_TABLES)}")
    return BOOK_TABLES[name]


def _laid_out(
    name: str,
    rows: Sequence[Mapping[str, object]],
    book: Mapping[str, object],
    walked: set[date],
) -> list[dict[str, object]]:
    expected = set(_stored(name).columns.keys())
    laid_out = [{**row, **book} for row in rows]
    for row in laid_out:
        if row.keys() != expected:
            raise ShapeMismatch(
                f"table {name}: columns {sorted(row.keys() ^ expected)} are missing or "
                "unknown"
            )
        if row["session"] not in walked:
            raise ShapeMismatch(
                f"table {name}: a row is of {row['session']}, which was not walked"
            )
    return laid_out


def _insert(
    connection: sa.Connection, stored: sa.Table, rows: Sequence[Mapping[str, object]]
) -> None:
    if rows:
        connection.execute(sa.insert(stored), rows)
