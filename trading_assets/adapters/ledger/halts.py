"""Halts: said by anybody, at any time, and asked about before any order is sent.

Rows are only ever added. Of each strategy, and of everything, the newest word counts.
"""

from dataclasses import asdict, fields
from datetime import UTC, date, datetime

import sqlalchemy as sa

from trading_assets.adapters.ledger.engine import LedgerPart, writing
from trading_assets.adapters.ledger.schema import HALTS, SESSION_HALTS
from trading_assets.models.halt import EVERYTHING, Halt

COLUMNS = tuple(HALTS.c[field.name] for field in fields(Halt))
ONE_AT_A_TIME = sa.text("LOCK TABLE halts IN EXCLUSIVE MODE")
"""For PostgreSQL: two who speak at once are numbered in turn, and readers don't wait."""


class HaltBook(LedgerPart):
    """What is halted, in SQLite or PostgreSQL; every process sees it once it is said."""

    def halt(self, strategy: str, session: date, who: str, why: str) -> Halt:
        """Stop new orders of *strategy*; what it says holds for every process from now on.

        Args:
            strategy: Its name, or `EVERYTHING`.
            session: That has closed last.
            who: Says so.
            why: In their words; it becomes the reason of refused orders.
        """
        with writing(self._engine) as connection:
            return _said(
                connection, strategy, is_halt=True, session=session, who=who, why=why
            )

    def resume(self, strategy: str, session: date, who: str, why: str) -> Halt | None:
        """Lift the halt of *strategy*, or the one of `EVERYTHING`; neither lifts the other.

        Returns:
            What was recorded; None if there was nothing to lift.
        """
        with writing(self._engine) as connection:
            if not _standing(connection, HALTS.c.strategy == strategy):
                return None
            return _said(
                connection, strategy, is_halt=False, session=session, who=who, why=why
            )

    def standing(self, strategy: str) -> Halt | None:
        """What stops *strategy* now: a halt of everything, or else its own."""
        with self._engine.connect() as connection:
            found = _standing(connection, HALTS.c.strategy.in_((EVERYTHING, strategy)))
        return found[0] if found else None

    def all_standing(self) -> list[Halt]:
        """Every halt that stands, that of everything first, then by strategy."""
        with self._engine.connect() as connection:
            return _standing(connection, sa.true())

    def history(self) -> list[Halt]:
        """All that was ever said, oldest first."""
        query = sa.select(*COLUMNS).order_by(HALTS.c.seq)
        with self._engine.connect() as connection:
            return [Halt(**row._mapping) for row in connection.execute(query)]  # noqa: SLF001 - its public name

    def sessions(self, strategy: str, lane: str) -> dict[date, str]:
        """Sessions of a simulated book that were decided under a halt, and its reason."""
        query = sa.select(SESSION_HALTS.c.session, SESSION_HALTS.c.reason).where(
            SESSION_HALTS.c.strategy == strategy, SESSION_HALTS.c.lane == lane
        )
        with self._engine.connect() as connection:
            return {row.session: row.reason for row in connection.execute(query)}


def _standing(connection: sa.Connection, whose: sa.ColumnElement[bool]) -> list[Halt]:
    """Halts that nobody has lifted since, that of everything first."""
    newest = sa.select(sa.func.max(HALTS.c.seq)).where(whose).group_by(HALTS.c.strategy)
    query = (
        sa.select(*COLUMNS)
        .where(HALTS.c.seq.in_(newest), HALTS.c.is_halt)
        .order_by(HALTS.c.strategy)
    )
    return [Halt(**row._mapping) for row in connection.execute(query)]  # noqa: SLF001 - its public name


def _said(
    connection: sa.Connection,
    strategy: str,
    *,
    is_halt: bool,
    session: date,
    who: str,
    why: str,
) -> Halt:
    if connection.dialect.name == "postgresql":
        connection.execute(ONE_AT_A_TIME)
    last = connection.scalar(sa.select(sa.func.max(HALTS.c.seq))) or 0
    halt = Halt(
        seq=last + 1,
        strategy=strategy,
        is_halt=is_halt,
        session=session,
        who=who,
        why=why,
        at=datetime.now(UTC),
    )
    connection.execute(sa.insert(HALTS), asdict(halt))
    return halt
