"""Batches of questions: committed before they are sent, filed question by question.

What is out is asked by nobody else, and what was filed once is not filed again, so it does
not matter who dies when, or whether two look after the same batch.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa

from trading_assets.adapters.ledger.calls import begin_batch, end_batched
from trading_assets.adapters.ledger.engine import LedgerPart, writing
from trading_assets.adapters.ledger.schema import (
    ANALYST_ATTEMPTS,
    ANALYST_BATCH_ITEMS,
    ANALYST_BATCHES,
    ANALYST_CALLS,
    ANALYST_OPINIONS,
)
from trading_assets.errors import InvalidInput
from trading_assets.models.batch import (
    Asked,
    Batch,
    BatchStatus,
    Filing,
    Item,
    ItemStatus,
    Unfinished,
)
from trading_assets.strategies.spec import Budget

BATCHES, ITEMS = ANALYST_BATCHES.c, ANALYST_BATCH_ITEMS.c
MOST_KEYS = 500
NOTHING_TO_SEND = "nothing was left to be sent: others ask it, or have"

ENDED_ITEMS = (ItemStatus.ABANDONED.value, ItemStatus.CANCELLED.value)
"""Nothing is asked about a session and symbol after one of these."""

type Place = tuple[date, str]


@dataclass(frozen=True, slots=True)
class _Last:
    """The batch that last asked about a session and symbol."""

    batch_id: str
    run_id: str
    version_hash: str
    goes_on: bool


class BatchBook(LedgerPart):
    """Batches and what is in them, in SQLite or PostgreSQL."""

    def begin(self, batch: Batch, asked: Sequence[Asked], budget: Budget) -> set[str]:
        """Commit a batch that is about to be sent; the keys of the questions in it.

        Questions that are out already, or were answered meanwhile, are not sent with it;
        their sessions and symbols are on record as waiting for them, unless another batch
        of the strategy has them. If nothing is left, there is no batch.

        Args:
            batch: As it begins; its questions and cost are counted here.
            asked: A question may be there for several symbols.
            budget: Of the strategy.

        Raises:
            BudgetSpent: If all of it together could cost too much; nothing is recorded.
        """
        with writing(self._engine) as connection:
            begun = begin_batch(connection, asked, budget)
            others = {it.question.key for it in asked}.difference(begun)
            waited_for = _last_calls(connection, sorted(others))
            followed = _followed(connection, batch.strategy, sorted(others))
            rows = [
                _item_row(batch, it, begun, waited_for)
                for it in asked
                if (it.question.key, it.errand.session, it.errand.symbol) not in followed
            ]
            if rows:
                costs = {
                    it.question.key: it.attempt.estimated_usd
                    for it in asked
                    if it.question.key in begun
                }
                own = _batch_row(batch) | {
                    "questions": len(begun),
                    "estimated_usd": sum(costs.values()),
                }
                if not begun:
                    own |= {"status": BatchStatus.REFUSED.value, "why": NOTHING_TO_SEND}
                connection.execute(sa.insert(ANALYST_BATCHES), own)
                connection.execute(sa.insert(ANALYST_BATCH_ITEMS), rows)
        return set(begun)

    def file(self, batch_id: str, filings: Sequence[Filing]) -> int:
        """Record what became of questions; how many of them were still out."""
        filed = 0
        with writing(self._engine) as connection:
            for told in filings:
                own = sa.and_(
                    ITEMS.batch_id == batch_id,
                    ITEMS.custom_id == told.custom_id,
                    ITEMS.status == ItemStatus.OUT.value,
                )
                call_id = connection.scalar(sa.select(ITEMS.call_id).where(own).limit(1))
                if call_id is None:
                    continue
                end_batched(connection, call_id, told.settlement, told.ending)
                values = {"status": told.status.value}
                connection.execute(sa.update(ANALYST_BATCH_ITEMS).where(own), values)
                filed += 1
        return filed

    def note(self, batch_id: str, **told: str | int | datetime) -> None:
        """Record what else is known of a batch: any of its columns."""
        with writing(self._engine) as connection:
            connection.execute(
                sa.update(ANALYST_BATCHES).where(BATCHES.batch_id == batch_id), told
            )

    def forget(self, batch_id: str, why: str) -> None:
        """Let its questions be asked again; what they could have cost stays set aside."""
        with writing(self._engine) as connection:
            connection.execute(
                sa.update(ANALYST_BATCHES).where(BATCHES.batch_id == batch_id),
                {"status": BatchStatus.FORGOTTEN.value, "why": why},
            )
            connection.execute(
                sa.update(ANALYST_BATCH_ITEMS).where(
                    ITEMS.batch_id == batch_id, ITEMS.status == ItemStatus.OUT.value
                ),
                {"status": ItemStatus.ABANDONED.value},
            )

    def batch(self, batch_id: str) -> Batch:
        """One batch.

        Raises:
            InvalidInput: If there is none of this id.
        """
        with self._engine.connect() as connection:
            row = connection.execute(
                sa.select(ANALYST_BATCHES).where(BATCHES.batch_id == batch_id)
            ).one_or_none()
        if row is None:
            raise InvalidInput(
                f"batch {batch_id}: there is none; trading-assets batches list shows all"
            )
        return _batch(row)

    def batches(self, strategy: str | None = None) -> list[Batch]:
        """Every batch of a strategy, or of all, oldest first."""
        query = sa.select(ANALYST_BATCHES).order_by(BATCHES.submitted_at, BATCHES.batch_id)
        if strategy is not None:
            query = query.where(BATCHES.strategy == strategy)
        with self._engine.connect() as connection:
            return [_batch(row) for row in connection.execute(query)]

    def items(self, batch_id: str, status: ItemStatus | None = None) -> list[Item]:
        """What is in a batch, or what of it is *status*."""
        query = sa.select(ANALYST_BATCH_ITEMS).where(ITEMS.batch_id == batch_id)
        if status is not None:
            query = query.where(ITEMS.status == status.value)
        with self._engine.connect() as connection:
            return [_item(row) for row in connection.execute(query)]

    def counts(self) -> dict[str, Counter[ItemStatus]]:
        """How many questions of each batch have become what."""
        count = sa.func.count(ITEMS.custom_id.distinct())
        query = sa.select(ITEMS.batch_id, ITEMS.status, count).group_by(
            ITEMS.batch_id, ITEMS.status
        )
        found: dict[str, Counter[ItemStatus]] = {}
        with self._engine.connect() as connection:
            for batch_id, status, number in connection.execute(query):
                found.setdefault(batch_id, Counter())[ItemStatus(status)] = number
        return found

    def charged_usd(self) -> dict[str, float]:
        """What the questions of each batch cost; by estimate while nobody knows."""
        own = (
            sa.select(ITEMS.batch_id, ITEMS.call_id)
            .where(ITEMS.status != ItemStatus.WAITING.value)
            .distinct()
            .subquery()
        )
        attempts = ANALYST_ATTEMPTS.c
        query = (
            sa.select(own.c.batch_id, sa.func.sum(attempts.charged_usd).label("usd"))
            .join(ANALYST_ATTEMPTS, attempts.call_id == own.c.call_id)
            .group_by(own.c.batch_id)
        )
        with self._engine.connect() as connection:
            return {row.batch_id: row.usd for row in connection.execute(query)}

    def failures(self, question_keys: Sequence[str]) -> Counter[str]:
        """How often each question has failed since somebody last gave it up."""
        found = Counter[str]()
        with self._engine.connect() as connection:
            for at in range(0, len(question_keys), MOST_KEYS):
                query = (
                    sa.select(ITEMS.question_key, sa.func.count(ITEMS.batch_id.distinct()))
                    .where(
                        ITEMS.question_key.in_(question_keys[at : at + MOST_KEYS]),
                        ITEMS.status == ItemStatus.FAILED.value,
                    )
                    .group_by(ITEMS.question_key)
                )
                found.update({row[0]: row[1] for row in connection.execute(query)})
        return found

    def abandon(self, question_keys: Sequence[str]) -> None:
        """Ask no more by itself what has failed too often."""
        with writing(self._engine) as connection:
            for key in question_keys:
                connection.execute(
                    sa.update(ANALYST_BATCH_ITEMS).where(
                        ITEMS.question_key == key,
                        ITEMS.status == ItemStatus.FAILED.value,
                    ),
                    {"status": ItemStatus.ABANDONED.value},
                )

    def out(self, strategy: str) -> set[Place]:
        """Sessions and symbols of which a question is out, in whosever batch."""
        others = ANALYST_BATCH_ITEMS.alias()
        is_asked = sa.exists().where(
            others.c.question_key == ITEMS.question_key,
            others.c.status == ItemStatus.OUT.value,
        )
        waits = sa.and_(ITEMS.status == ItemStatus.WAITING.value, is_asked)
        query = (
            sa.select(ITEMS.session, ITEMS.symbol)
            .join(ANALYST_BATCHES, BATCHES.batch_id == ITEMS.batch_id)
            .where(
                BATCHES.strategy == strategy,
                sa.or_(ITEMS.status == ItemStatus.OUT.value, waits),
            )
        )
        with self._engine.connect() as connection:
            return {(session, symbol) for session, symbol in connection.execute(query)}

    def unfinished(self, strategy: str) -> list[Unfinished]:
        """What was asked about and goes on: by the run that it belongs to.

        What is out is waited for. What a person has cancelled or forgotten, and what was
        given up, ends there.
        """
        places, kept = self._latest(strategy), self._kept(strategy)
        out, found = self.out(strategy), dict[tuple[str, str], list[Place]]()
        for place, last in places.items():
            if last.goes_on and place not in out and place not in kept:
                asked_as = (last.run_id, last.version_hash)
                found.setdefault(asked_as, []).append(place)
        return [Unfinished(*own, sorted(its)) for own, its in found.items()]

    def stopped(self, batch_id: str) -> list[Place]:
        """Sessions and symbols of a batch with all answers and without an opinion."""
        strategy = self.batch(batch_id).strategy
        items, kept = self.items(batch_id), self._kept(strategy)
        heard = (ItemStatus.ANSWERED, ItemStatus.WAITING, ItemStatus.UNSENT)
        open_still = {(it.session, it.symbol) for it in items if it.status not in heard}
        answered = {(it.session, it.symbol) for it in items}
        return sorted(answered - open_still - kept)

    def finished(self, strategy: str) -> dict[str, list[Place]]:
        """Sessions and symbols with an opinion, by the run that last asked about them."""
        kept, found = self._kept(strategy), dict[str, list[Place]]()
        for place, last in self._latest(strategy).items():
            if place in kept:
                found.setdefault(last.run_id, []).append(place)
        return {run_id: sorted(its) for run_id, its in found.items()}

    def _latest(self, strategy: str) -> dict[Place, _Last]:
        """Who last asked about each place, and whether they go on with it."""
        item_status = ITEMS.status.label("item_status")
        query = (
            sa.select(ITEMS.session, ITEMS.symbol, item_status, ANALYST_BATCHES)
            .join(ANALYST_BATCHES, BATCHES.batch_id == ITEMS.batch_id)
            .where(BATCHES.strategy == strategy)
            .order_by(BATCHES.submitted_at, BATCHES.batch_id)
        )
        found: dict[Place, _Last] = {}
        with self._engine.connect() as connection:
            for row in connection.execute(query):
                place = (row.session, row.symbol)
                is_ended = row.is_cancelled or row.item_status in ENDED_ITEMS
                is_ended = is_ended or row.status == BatchStatus.FORGOTTEN.value
                before = found.get(place)
                if before is not None and before.batch_id == row.batch_id:
                    is_ended = is_ended or not before.goes_on
                found[place] = _Last(
                    row.batch_id, row.run_id, row.version_hash, not is_ended
                )
        return found

    def _kept(self, strategy: str) -> set[Place]:
        own = ANALYST_OPINIONS.c
        query = sa.select(own.session, own.symbol).where(own.strategy == strategy)
        with self._engine.connect() as connection:
            return {(session, symbol) for session, symbol in connection.execute(query)}


def _batch_row(batch: Batch) -> dict[str, Any]:
    return asdict(batch) | {"status": batch.status.value}


def _last_calls(connection: sa.Connection, keys: Sequence[str]) -> dict[str, str]:
    """The call of each question that was put last."""
    own, found = ANALYST_CALLS.c, dict[str, str]()
    for at in range(0, len(keys), MOST_KEYS):
        query = (
            sa.select(own.question_key, own.call_id)
            .where(own.question_key.in_(keys[at : at + MOST_KEYS]))
            .order_by(own.number)
        )
        found.update({row.question_key: row.call_id for row in connection.execute(query)})
    return found


def _followed(
    connection: sa.Connection, strategy: str, keys: Sequence[str]
) -> set[tuple[str, date, str]]:
    """Questions, sessions and symbols that a batch of *strategy* has asked about."""
    found = set[tuple[str, date, str]]()
    for at in range(0, len(keys), MOST_KEYS):
        query = (
            sa.select(ITEMS.question_key, ITEMS.session, ITEMS.symbol)
            .join(ANALYST_BATCHES, BATCHES.batch_id == ITEMS.batch_id)
            .where(
                BATCHES.strategy == strategy,
                ITEMS.question_key.in_(keys[at : at + MOST_KEYS]),
                ITEMS.status.in_((ItemStatus.OUT.value, ItemStatus.ANSWERED.value)),
            )
        )
        found.update((row[0], row[1], row[2]) for row in connection.execute(query))
    return found


def _item_row(
    batch: Batch, asked: Asked, begun: Mapping[str, str], waited_for: Mapping[str, str]
) -> dict[str, Any]:
    key = asked.question.key
    status = ItemStatus.OUT if key in begun else ItemStatus.WAITING
    return {
        "batch_id": batch.batch_id,
        "custom_id": asked.custom_id,
        "symbol": asked.errand.symbol,
        "session": asked.errand.session,
        "question_key": key,
        "call_id": begun.get(key) or waited_for[key],
        "status": status.value,
        "estimated_usd": asked.attempt.estimated_usd,
        "price_version": asked.attempt.price_version,
    }


def _batch(row: sa.Row[Any]) -> Batch:
    own: dict[str, Any] = dict(row._mapping)  # noqa: SLF001 - its public name
    own["status"] = BatchStatus(own["status"])
    return Batch(**own)


def _item(row: sa.Row[Any]) -> Item:
    own: dict[str, Any] = dict(row._mapping)  # noqa: SLF001 - as above
    own["status"] = ItemStatus(own["status"])
    del own["batch_id"]
    return Item(**own)
