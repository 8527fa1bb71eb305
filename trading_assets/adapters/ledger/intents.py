"""Orders at a real broker: what we meant, what we heard, what was traded.

Rows are only ever added. A commission is a row of its own, because it may be told before
the execution that it belongs to.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import sqlalchemy as sa
from sqlalchemy import exc
from sqlalchemy.dialects import postgresql, sqlite

from trading_assets.adapters.ledger.engine import LedgerPart, writing
from trading_assets.adapters.ledger.schema import (
    COMMISSIONS,
    EXECUTIONS,
    ORDER_FACTS,
    ORDER_INTENTS,
    ORDER_REFUSALS,
)
from trading_assets.core.order_states import (
    OrderStanding,
    OrderState,
    current_executions,
    order_standing,
)
from trading_assets.errors import DataMissing, OrderConflict
from trading_assets.models.base import Side
from trading_assets.models.intent import (
    Commission,
    Execution,
    Fact,
    FactKind,
    Intent,
    OrderTicket,
    Terms,
    Wire,
)

CLOSING = (FactKind.CANCELLED, FactKind.REJECTED, FactKind.SETTLED)
"""After one of these as the last word, an order needs no looking after."""

BATCH = 500
"""Order ids in one question; databases bound the number of parameters."""


def payload_hash(ticket: OrderTicket, account: str) -> str:
    """Of all that makes two orders the same: the ticket, and the account it is for.

    Prices are taken as decided, so that a tick that changes makes no other order of it.
    """
    content = {"account": account, "ticket": ticket.model_dump(mode="json")}
    written = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(written.encode()).hexdigest()


class IntentBook(LedgerPart):
    """Intents, facts and executions, in SQLite or PostgreSQL."""

    @cached_property
    def _intents(self) -> dict[str, Intent]:
        """Those read so far: an intent never changes, and reading it takes its time."""
        return {}

    def commit(self, intents: Sequence[Intent]) -> None:
        """Record *intents*, all of them or none; afterwards they survive anything.

        Raises:
            OrderConflict: If an order id, its reference or its broker order id was used
                before.
        """
        try:
            with writing(self._engine) as connection:
                connection.execute(sa.insert(ORDER_INTENTS), [_row(it) for it in intents])
        except exc.IntegrityError as error:
            raise OrderConflict(
                f"orders {[it.order_id for it in intents]}: one of their ids was used "
                f"before: {' '.join(str(error.orig).split())}"
            ) from error

    def known(self, order_ids: Iterable[str]) -> dict[str, Intent]:
        """Those of *order_ids* that were committed, by their id."""
        wanted = list(dict.fromkeys(order_ids))
        with self._engine.connect() as connection:
            found = [
                self._parsed(row)
                for some in _batches(wanted)
                for row in connection.execute(
                    sa.select(ORDER_INTENTS).where(ORDER_INTENTS.c.order_id.in_(some))
                )
            ]
        return {intent.order_id: intent for intent in found}

    def of_account(self, account: str) -> dict[str, Intent]:
        """Every order that was ever committed for *account*, by its reference."""
        return self._by_ref(ORDER_INTENTS.c.account == account)

    def of_strategy(self, strategy: str) -> dict[str, Intent]:
        """Every order that was ever committed for *strategy*, by its reference."""
        return self._by_ref(ORDER_INTENTS.c.strategy == strategy)

    def refuse(self, order_id: str, strategy: str, reason: str, at: datetime) -> None:
        """Record that an order which was decided is not sent after all; the first counts.

        Raises:
            OrderConflict: If it was committed: then it is out, or may be.
        """
        if self.known([order_id]):
            raise OrderConflict(f"order {order_id} was committed and can't be refused")
        values = {
            "order_id": order_id,
            "strategy": strategy,
            "reason": reason,
            "at": at,
        }
        self._add(ORDER_REFUSALS, [values])

    def refusals(self, order_ids: Iterable[str]) -> dict[str, tuple[str, datetime]]:
        """Why and when those of *order_ids* were refused that were, by their id."""
        found: dict[str, tuple[str, datetime]] = {}
        with self._engine.connect() as connection:
            for some in _batches(list(dict.fromkeys(order_ids))):
                query = sa.select(ORDER_REFUSALS).where(ORDER_REFUSALS.c.order_id.in_(some))
                for row in connection.execute(query):
                    found[row.order_id] = (row.reason, row.at)
        return found

    def facts_of(self, order_ids: Iterable[str]) -> dict[str, list[Fact]]:
        """All that was told of some orders, oldest first, by their id."""
        with self._engine.connect() as connection:
            return _facts(connection, list(dict.fromkeys(order_ids)))

    def by_ref(self, account: str, order_ref: str) -> Intent | None:
        """The order of *account* that carries *order_ref*, if it is one of ours."""
        return self._one(
            ORDER_INTENTS.c.account == account, ORDER_INTENTS.c.order_ref == order_ref
        )

    def by_broker_order_id(
        self, account: str, client_id: int, broker_order_id: int
    ) -> Intent | None:
        """The order for which *client_id* has reserved *broker_order_id*, if it has."""
        return self._one(
            ORDER_INTENTS.c.account == account,
            ORDER_INTENTS.c.client_id == client_id,
            ORDER_INTENTS.c.broker_order_id == broker_order_id,
        )

    def highest_broker_order_id(self, account: str, client_id: int) -> int:
        """The highest id that was ever reserved; 0 for none."""
        query = sa.select(sa.func.max(ORDER_INTENTS.c.broker_order_id)).where(
            ORDER_INTENTS.c.account == account, ORDER_INTENTS.c.client_id == client_id
        )
        with self._engine.connect() as connection:
            return connection.scalar(query) or 0

    def tell(self, order_id: str, *told: Fact) -> int:
        """Add what was *told* of an order; how many facts were news.

        A fact that only repeats the one before it is not added.

        Raises:
            DataMissing: If the order was never committed.
        """
        with writing(self._engine) as connection:
            # Facts are numbered without gaps: two tellers take turns at the intent.
            intent = sa.select(ORDER_INTENTS.c.order_id).where(
                ORDER_INTENTS.c.order_id == order_id
            )
            if connection.scalar(intent.with_for_update()) is None:
                raise DataMissing(f"order {order_id} was never committed")
            last, seq = _last_fact(connection, order_id)
            rows: list[dict[str, Any]] = []
            for fact in told:
                if last is None or _content(fact) != _content(last):
                    seq, last = seq + 1, fact
                    rows.append(_fact_row(order_id, seq, fact))
            if rows:
                connection.execute(sa.insert(ORDER_FACTS), rows)
        return len(rows)

    def add_executions(self, executions: Sequence[Execution]) -> int:
        """Record *executions*; how many were news. One that is there already stays."""
        names = [column.name for column in EXECUTIONS.columns]
        rows = [{name: getattr(it, name) for name in names} for it in executions]
        return self._add(EXECUTIONS, rows)

    def add_commissions(self, commissions: Sequence[Commission]) -> int:
        """Record *commissions*; how many were news. One that is there already stays."""
        return self._add(COMMISSIONS, [asdict(commission) for commission in commissions])

    def facts(self, order_id: str) -> list[Fact]:
        """All that was told of an order, oldest first."""
        with self._engine.connect() as connection:
            return _facts(connection, [order_id])[order_id]

    def executions(self, account: str) -> list[Execution]:
        """Everything traded in *account*, as last corrected, oldest first."""
        with self._engine.connect() as connection:
            return current_executions(_executions(connection, account, None))

    def standings(self, order_ids: Iterable[str]) -> dict[str, OrderStanding]:
        """Where orders stand, by their id; those never committed are left out."""
        return self._standings(self.known(order_ids).values())

    def unsettled(self, account: str) -> list[OrderStanding]:
        """Every order of *account* that is not done with, in the order committed."""
        newest = (
            sa.select(
                ORDER_FACTS.c.order_id,
                ORDER_FACTS.c.kind,
                ORDER_FACTS.c.source,
                ORDER_FACTS.c.filled_shares,
                sa.func.row_number()
                .over(
                    partition_by=ORDER_FACTS.c.order_id, order_by=ORDER_FACTS.c.seq.desc()
                )
                .label("newness"),
            )
            .join(ORDER_INTENTS, ORDER_INTENTS.c.order_id == ORDER_FACTS.c.order_id)
            .where(ORDER_INTENTS.c.account == account)
            .subquery()
        )
        is_filled = sa.and_(
            newest.c.kind == FactKind.FILLED, newest.c.source == "executions"
        )
        claims_none = sa.func.coalesce(newest.c.filled_shares, 0) == 0
        is_closed = sa.and_(newest.c.kind.in_(CLOSING), claims_none)
        closed = sa.select(newest.c.order_id).where(
            newest.c.newness == 1, sa.or_(is_closed, is_filled)
        )
        query = (
            sa.select(ORDER_INTENTS)
            .where(
                ORDER_INTENTS.c.account == account,
                ORDER_INTENTS.c.order_id.not_in(closed),
            )
            .order_by(ORDER_INTENTS.c.client_id, ORDER_INTENTS.c.broker_order_id)
        )
        with self._engine.connect() as connection:
            intents = [self._parsed(row) for row in connection.execute(query)]
        standings = self._standings(intents).values()
        return [standing for standing in standings if not standing.is_final]

    def note_fills(self, account: str, order_refs: Iterable[str]) -> None:
        """Mark orders whose executions make up all of their shares as done.

        One that a correction has made smaller again is no longer done.
        """
        refs = list(dict.fromkeys(order_refs))
        intents = [it for ref in refs if (it := self.by_ref(account, ref)) is not None]
        for order_id, standing in self._standings(intents).items():
            is_filled = standing.state is OrderState.FILLED
            if is_filled != self._is_marked(order_id):
                fact = Fact(
                    kind=FactKind.FILLED if is_filled else FactKind.NOTICE,
                    at=datetime.now(UTC),
                    source="executions",
                    text="" if is_filled else "an execution was corrected",
                    filled_shares=standing.filled_shares,
                )
                self.tell(order_id, fact)

    def _is_marked(self, order_id: str) -> bool:
        """Whether its executions were the last to say that it is filled."""
        told = [fact for fact in self.facts(order_id) if fact.source == "executions"]
        return bool(told) and told[-1].kind is FactKind.FILLED

    def _parsed(self, row: sa.Row[Any]) -> Intent:
        known = self._intents.get(row.order_id)
        if known is None:
            known = self._intents[row.order_id] = _intent(row)
        return known

    def _by_ref(self, where: sa.ColumnElement[bool]) -> dict[str, Intent]:
        with self._engine.connect() as connection:
            rows = connection.execute(sa.select(ORDER_INTENTS).where(where))
            return {row.order_ref: self._parsed(row) for row in rows}

    def _one(self, *where: sa.ColumnElement[bool]) -> Intent | None:
        with self._engine.connect() as connection:
            row = connection.execute(sa.select(ORDER_INTENTS).where(*where)).one_or_none()
        return None if row is None else self._parsed(row)

    def _add(self, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> int:
        key = [column.name for column in table.primary_key]
        distinct = {tuple(row[name] for name in key): row for row in reversed(rows)}
        if not distinct:
            return 0
        with writing(self._engine) as connection:
            statement = _insert_new(connection, table, list(distinct.values()))
            return connection.execute(statement).rowcount

    def _standings(self, intents: Iterable[Intent]) -> dict[str, OrderStanding]:
        known = list(intents)
        with self._engine.connect() as connection:
            facts = _facts(connection, [intent.order_id for intent in known])
            traded: dict[tuple[str, str], list[Execution]] = defaultdict(list)
            for account in {intent.account for intent in known}:
                refs = [it.order_ref for it in known if it.account == account]
                for execution in _executions(connection, account, refs):
                    traded[account, execution.order_ref].append(execution)
        return {
            intent.order_id: order_standing(
                intent, facts[intent.order_id], traded[intent.account, intent.order_ref]
            )
            for intent in known
        }


def _insert_new(
    connection: sa.Connection, table: sa.Table, rows: list[Mapping[str, Any]]
) -> sa.Insert:
    """An insert that leaves rows alone whose key is there already."""
    if connection.dialect.name == "postgresql":
        return postgresql.insert(table).values(rows).on_conflict_do_nothing()
    return sqlite.insert(table).values(rows).on_conflict_do_nothing()


def _batches(order_ids: Sequence[str]) -> Iterable[Sequence[str]]:
    return (order_ids[at : at + BATCH] for at in range(0, len(order_ids), BATCH))


def _row(intent: Intent) -> dict[str, Any]:
    payload = {
        "ticket": intent.ticket.model_dump(mode="json"),
        "wire": asdict(intent.wire),
    }
    return {
        "order_id": intent.order_id,
        "strategy": intent.ticket.strategy,
        "lane": intent.ticket.lane,
        "account": intent.account,
        "client_id": intent.client_id,
        "broker_order_id": intent.broker_order_id,
        "order_ref": intent.order_ref,
        "payload": json.dumps(payload, sort_keys=True),
        "payload_hash": intent.payload_hash,
        "recorded_at": intent.recorded_at,
    }


def _intent(row: sa.Row[Any]) -> Intent:
    payload = json.loads(row.payload)
    wire = payload["wire"]
    return Intent(
        ticket=OrderTicket.model_validate(payload["ticket"]),
        wire=Wire(**{**wire, "terms": Terms(**wire["terms"])}),
        account=row.account,
        client_id=row.client_id,
        broker_order_id=row.broker_order_id,
        order_ref=row.order_ref,
        payload_hash=row.payload_hash,
        recorded_at=row.recorded_at,
    )


def _content(fact: Fact) -> tuple[object, ...]:
    return tuple(getattr(fact, field.name) for field in fields(Fact) if field.name != "at")


def _fact_row(order_id: str, seq: int, fact: Fact) -> dict[str, Any]:
    values = {field.name: getattr(fact, field.name) for field in fields(Fact)}
    terms = None if fact.terms is None else json.dumps(asdict(fact.terms), sort_keys=True)
    return {**values, "order_id": order_id, "seq": seq, "terms": terms}


def _fact(row: sa.Row[Any]) -> Fact:
    return Fact(
        kind=FactKind(row.kind),
        at=row.at,
        source=row.source,
        perm_id=row.perm_id,
        code=row.code,
        text=row.text,
        filled_shares=row.filled_shares,
        terms=None if row.terms is None else Terms(**json.loads(row.terms)),
    )


def _last_fact(connection: sa.Connection, order_id: str) -> tuple[Fact | None, int]:
    query = (
        sa.select(ORDER_FACTS)
        .where(ORDER_FACTS.c.order_id == order_id)
        .order_by(ORDER_FACTS.c.seq.desc())
        .limit(1)
    )
    row = connection.execute(query).one_or_none()
    return (None, 0) if row is None else (_fact(row), row.seq)


def _facts(
    connection: sa.Connection, order_ids: Sequence[str]
) -> defaultdict[str, list[Fact]]:
    found: defaultdict[str, list[Fact]] = defaultdict(list)
    for some in _batches(order_ids):
        query = (
            sa.select(ORDER_FACTS)
            .where(ORDER_FACTS.c.order_id.in_(some))
            .order_by(ORDER_FACTS.c.order_id, ORDER_FACTS.c.seq)
        )
        for row in connection.execute(query):
            found[row.order_id].append(_fact(row))
    return found


def _executions(
    connection: sa.Connection, account: str, order_refs: Sequence[str] | None
) -> list[Execution]:
    """Every correction of the executions asked for, each with the commission told of it.

    What a correction costs is told of the correction; until it is, that of the one
    before it stands.
    """
    mine = [EXECUTIONS.c.account == account]
    some = [[]] if order_refs is None else _batches(list(order_refs))
    rows = [
        row
        for refs in some
        for row in connection.execute(
            sa.select(EXECUTIONS).where(
                *mine, *([] if order_refs is None else [EXECUTIONS.c.order_ref.in_(refs)])
            )
        )
    ]
    costs = _costs(connection, account, [row.exec_key for row in rows])
    executions: list[Execution] = []
    for row in rows:
        told = [it for it in costs[row.exec_key] if it.correction <= row.correction]
        cost = max(told, key=lambda it: it.correction, default=None)
        values = {**row._mapping, "side": Side(row.side)}  # noqa: SLF001 - its public name
        if cost is not None:
            values |= {
                "commission": cost.commission,
                "commission_currency": cost.currency,
            }
        executions.append(Execution(**values))
    return executions


def _costs(
    connection: sa.Connection, account: str, exec_keys: Sequence[str]
) -> defaultdict[str, list[Any]]:
    found: defaultdict[str, list[Any]] = defaultdict(list)
    for some in _batches(list(dict.fromkeys(exec_keys))):
        query = sa.select(COMMISSIONS).where(
            COMMISSIONS.c.account == account, COMMISSIONS.c.exec_key.in_(some)
        )
        for row in connection.execute(query):
            found[row.exec_key].append(row)
    return found
