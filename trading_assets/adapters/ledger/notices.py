"""What people were told, and what was held back because they had just been told.

Rows are only ever added, numbered from 1 without gaps by whoever comes.
"""

from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from trading_assets.adapters.ledger.engine import LedgerPart, writing
from trading_assets.adapters.ledger.lanes import lane_lock
from trading_assets.adapters.ledger.schema import NOTICES
from trading_assets.models.notice import Notice, Topic

LOCKED_AS = "notices"
"""Instead of a strategy's name, where books are locked; the topic is the lane."""


class NoticeBook(LedgerPart):
    """Notices, in SQLite or PostgreSQL."""

    def turn(self, topic: Topic, wait_seconds: float) -> AbstractContextManager[None]:
        """Be the only one who tells of *topic*; whoever dies with it gives it back.

        Args:
            topic: What is told of.
            wait_seconds: Longest wait for the one who tells now, 0 or above.

        Raises:
            StoreBusy: If somebody else told for longer.
        """
        return lane_lock(self._engine, LOCKED_AS, topic, wait_seconds)

    def add(self, topic: Topic, text: str, at: datetime, *, is_sent: bool) -> None:
        """Record a notice."""
        with writing(self._engine) as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(
                    sa.text(f"LOCK TABLE {NOTICES.name} IN SHARE ROW EXCLUSIVE MODE")
                )
            highest = connection.scalar(sa.select(sa.func.max(NOTICES.c.seq))) or 0
            row = {"topic": topic, "text": text, "is_sent": is_sent, "at": at}
            connection.execute(sa.insert(NOTICES), {"seq": highest + 1, **row})

    def last_sent(self, topic: Topic) -> Notice | None:
        """The last notice of *topic* that has reached somebody."""
        query = (
            sa.select(NOTICES)
            .where(NOTICES.c.topic == topic, NOTICES.c.is_sent)
            .order_by(NOTICES.c.seq.desc())
            .limit(1)
        )
        with self._engine.connect() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else _notice(row)

    def untold(self, topic: Topic) -> list[Notice]:
        """Notices of *topic* since the last that has reached somebody, oldest first."""
        query = (
            sa.select(NOTICES)
            .where(NOTICES.c.topic == topic, NOTICES.c.seq > _last_sent_seq(topic))
            .order_by(NOTICES.c.seq)
        )
        with self._engine.connect() as connection:
            return [_notice(row) for row in connection.execute(query)]

    def all(self) -> list[Notice]:
        """Every notice, oldest first."""
        with self._engine.connect() as connection:
            rows = connection.execute(sa.select(NOTICES).order_by(NOTICES.c.seq))
            return [_notice(row) for row in rows]


def _last_sent_seq(topic: Topic) -> sa.ScalarSelect[int]:
    last = sa.func.coalesce(sa.func.max(NOTICES.c.seq), 0)
    return (
        sa.select(last).where(NOTICES.c.topic == topic, NOTICES.c.is_sent).scalar_subquery()
    )


def _notice(row: sa.Row[Any]) -> Notice:
    return Notice(
        seq=row.seq,
        topic=Topic(row.topic),
        text=row.text,
        is_sent=row.is_sent,
        at=row.at,
    )
