"""Accounts at a broker: whose money this ledger is of, what was adopted, and snapshots."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

import sqlalchemy as sa

from trading_assets.adapters.ledger.engine import LedgerPart, writing
from trading_assets.adapters.ledger.schema import (
    ACCOUNT_SNAPSHOTS,
    ADOPTIONS,
    LEDGER_ACCOUNTS,
)
from trading_assets.errors import WrongAccount
from trading_assets.models.account import Adoption


class AccountBook(LedgerPart):
    """What the ledger knows of accounts, in SQLite or PostgreSQL; rows are only added."""

    def claim(self, account: str, *, is_live: bool) -> None:
        """Let orders of *account* into this ledger.

        Raises:
            WrongAccount: If it holds orders of the other kind of money.
        """
        own = LEDGER_ACCOUNTS
        with writing(self._engine) as connection:
            known = {row.account: row for row in connection.execute(sa.select(own))}
            others = [name for name, row in known.items() if row.is_live != is_live]
            if others:
                kinds = ("paper", "real") if is_live else ("real", "paper")
                raise WrongAccount(
                    f"this ledger has orders of {', '.join(sorted(others))}, with "
                    f"{kinds[0]} money, and none of {account}, with {kinds[1]} money, can "
                    "be beside them: give it a TRADING_HOME of its own"
                )
            if account not in known:
                row = {
                    "account": account,
                    "is_live": is_live,
                    "recorded_at": datetime.now(UTC),
                }
                connection.execute(sa.insert(own), [row])

    def adopt(self, adoptions: Sequence[Adoption]) -> None:
        """Record what a person has taken for granted, all of it or nothing."""
        with writing(self._engine) as connection:
            for adoption in adoptions:
                last = connection.scalar(
                    sa.select(sa.func.max(ADOPTIONS.c.seq)).where(
                        ADOPTIONS.c.account == adoption.account
                    )
                )
                row = adoption.model_dump() | {
                    "seq": (last or 0) + 1,
                    "kind": adoption.kind.value,
                }
                connection.execute(sa.insert(ADOPTIONS), [row])

    def adoptions(self, account: str) -> list[Adoption]:
        """What was ever adopted in *account*, oldest first."""
        return self._adoptions(ADOPTIONS.c.account == account)

    def adopted_by(self, strategy: str) -> list[Adoption]:
        """What was ever adopted into the book of *strategy*, oldest first."""
        return self._adoptions(ADOPTIONS.c.strategy == strategy)

    def _adoptions(self, where: sa.ColumnElement[bool]) -> list[Adoption]:
        query = sa.select(ADOPTIONS).where(where).order_by(ADOPTIONS.c.seq)
        with self._engine.connect() as connection:
            rows = connection.execute(query).mappings().all()
        return [
            Adoption.model_validate({name: row[name] for name in Adoption.model_fields})
            for row in rows
        ]

    def keep(self, account: str, session: date, content: Mapping[str, Any]) -> None:
        """Keep what the broker said of *account* after *session*, as JSON can hold it."""
        row = {
            "account": account,
            "session": session,
            "recorded_at": datetime.now(UTC),
            "content": json.dumps(content, sort_keys=True),
        }
        with writing(self._engine) as connection:
            connection.execute(sa.insert(ACCOUNT_SNAPSHOTS), [row])

    def kept(self, account: str, session: date) -> dict[str, Any] | None:
        """The newest of what was said after *session*; None if nobody asked."""
        query = (
            sa.select(ACCOUNT_SNAPSHOTS.c.content)
            .where(
                ACCOUNT_SNAPSHOTS.c.account == account,
                ACCOUNT_SNAPSHOTS.c.session == session,
            )
            .order_by(ACCOUNT_SNAPSHOTS.c.recorded_at.desc())
            .limit(1)
        )
        with self._engine.connect() as connection:
            content = connection.scalar(query)
        return None if content is None else json.loads(content)
