"""Opinions of models: kept by partition, so that making a signal again asks nobody.

Rows are only ever added; of each symbol and session the newest counts.
"""

import json
from collections.abc import Sequence
from datetime import UTC, date, datetime

import sqlalchemy as sa

from trading_assets.adapters.ledger.engine import LedgerPart, writing
from trading_assets.adapters.ledger.schema import ANALYST_OPINIONS as OPINIONS
from trading_assets.models.kept_opinion import KeptOpinion
from trading_assets.models.signal import Signal

ONE_AT_A_TIME = sa.text("LOCK TABLE analyst_opinions IN EXCLUSIVE MODE")
"""For PostgreSQL: two who keep at once number in turn, and readers don't wait."""

KEY = (OPINIONS.c.strategy, OPINIONS.c.symbol, OPINIONS.c.session)


class OpinionBook(LedgerPart):
    """What was thought of each symbol and session, in SQLite or PostgreSQL."""

    def keep(self, opinions: Sequence[KeptOpinion]) -> None:
        """Record *opinions*, all of them or none; each replaces the one before it."""
        if not opinions:
            return
        with writing(self._engine) as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(ONE_AT_A_TIME)
            connection.execute(
                sa.insert(OPINIONS), [_row(connection, each) for each in opinions]
            )

    def kept(
        self, strategy: str, symbols: Sequence[str], first: date, last: date
    ) -> dict[tuple[date, str], KeptOpinion]:
        """The newest opinion of each session and symbol of a range that has one."""
        newest = (
            sa.select(*KEY, sa.func.max(OPINIONS.c.seq).label("seq"))
            .where(
                OPINIONS.c.strategy == strategy,
                OPINIONS.c.symbol.in_(symbols),
                OPINIONS.c.session.between(first, last),
            )
            .group_by(*KEY)
            .subquery()
        )
        same = [OPINIONS.c[own.name] == newest.c[own.name] for own in KEY]
        query = sa.select(OPINIONS).join(
            newest, sa.and_(*same, OPINIONS.c.seq == newest.c.seq)
        )
        with self._engine.connect() as connection:
            rows = connection.execute(query).all()
        return {(row.session, row.symbol): _kept(row) for row in rows}


def _row(connection: sa.Connection, opinion: KeptOpinion) -> dict[str, object]:
    signal = opinion.signal
    own = {
        "strategy": signal.strategy,
        "symbol": signal.symbol,
        "session": signal.session,
    }
    same = [column == own[column.name] for column in KEY]
    last = connection.scalar(sa.select(sa.func.max(OPINIONS.c.seq)).where(*same))
    return own | {
        "seq": (last or 0) + 1,
        "signal": signal.model_dump_json(),
        "call_ids": json.dumps(opinion.call_ids),
        "version_hash": opinion.version_hash,
        "run_id": opinion.run_id,
        "recorded_at": datetime.now(UTC),
    }


def _kept(row: sa.Row[tuple[object, ...]]) -> KeptOpinion:
    return KeptOpinion(
        signal=Signal.model_validate_json(row.signal),
        call_ids=tuple(json.loads(row.call_ids)),
        version_hash=row.version_hash,
        run_id=row.run_id,
    )
