"""Every question to a model, every request it took, and what that cost.

An attempt is on the disk with its estimated cost before it is sent, so whoever is killed
in between leaves one that is ambiguous, and that budgets count. What came of it follows in
the next transaction. Nothing is ever deleted.
"""

import gzip
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import fields, replace
from datetime import UTC, date, datetime
from typing import Any, override

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from trading_assets.adapters.ledger.direct import Direct, direct_reading
from trading_assets.adapters.ledger.engine import LedgerPart
from trading_assets.adapters.ledger.group_commits import GroupCommits
from trading_assets.adapters.ledger.question_locks import QuestionLocks
from trading_assets.adapters.ledger.schema import (
    ANALYST_ATTEMPTS,
    ANALYST_BATCH_ITEMS,
    ANALYST_CALLS,
    ANALYST_SPENDING,
    ANALYST_TEXTS,
)
from trading_assets.errors import BudgetSpent, DataMissing, QuestionIsOut
from trading_assets.models.batch import Asked, ItemStatus
from trading_assets.models.call import (
    HEARD,
    Attempt,
    Ending,
    RecordedAttempt,
    RecordedCall,
    Settlement,
)
from trading_assets.models.question import Answer, Errand, Image, Outcome, Question, Usage
from trading_assets.strategies.spec import Budget

TOKENS = tuple(field.name for field in fields(Usage))
NO_USAGE: Mapping[str, None] = dict.fromkeys(TOKENS)
ID_LENGTH = 24
MOST_KNOWN_TEXTS = 10_000
MOST_KEYS = 500
"""Of questions that are looked up at once."""

ONE_AT_A_TIME = sa.text(
    "SELECT pg_advisory_xact_lock(hashtextextended(current_schema() || '/calls', 0))"
)
"""For PostgreSQL: who adds up what is spent must see what others have just reserved."""


LAST_NUMBER = sa.select(sa.func.max(ANALYST_CALLS.c.number)).where(
    ANALYST_CALLS.c.question_key == sa.bindparam("key")
)
OUT_IN = sa.select(ANALYST_BATCH_ITEMS.c.batch_id).where(
    ANALYST_BATCH_ITEMS.c.question_key == sa.bindparam("key"),
    ANALYST_BATCH_ITEMS.c.status == sa.bindparam("out"),
)
RECORDED_COLUMNS = (
    "call_id",
    "question_key",
    "outcome",
    "text",
    "reason",
    "model_asked",
    "model_answered",
    "latency_seconds",
    "cost_usd",
    *TOKENS,
)
IS_HEARD = sa.or_(
    *(ANALYST_CALLS.c.outcome == it.value for it in HEARD),
    sa.and_(
        ANALYST_CALLS.c.outcome == Outcome.MALFORMED.value,
        ANALYST_CALLS.c.input_tokens > 0,
    ),
)
RECORDED = (
    sa.select(*(ANALYST_CALLS.c[name] for name in RECORDED_COLUMNS))
    .where(
        ANALYST_CALLS.c.question_key == sa.bindparam("key"),
        IS_HEARD,
        sa.or_(
            ANALYST_CALLS.c.asked_at >= sa.bindparam("since"),
            ANALYST_CALLS.c.run_id == sa.bindparam("run"),
        ),
    )
    .order_by(ANALYST_CALLS.c.number.desc())
    .limit(1)
)
_CHARGED = ANALYST_SPENDING.c.charged_usd
SPENT = sa.select(
    sa.func.sum(_CHARGED).filter(ANALYST_SPENDING.c.run_id == sa.bindparam("run")),
    sa.func.sum(_CHARGED).filter(ANALYST_SPENDING.c.day == sa.bindparam("on")),
    sa.func.sum(_CHARGED),
).where(ANALYST_SPENDING.c.strategy == sa.bindparam("whose"))
INSERT = {"postgresql": postgresql.insert, "sqlite": sqlite.insert}
ADD_SPENDING = {
    name: added.on_conflict_do_update(
        index_elements=list(ANALYST_SPENDING.primary_key),
        set_={"charged_usd": _CHARGED + added.excluded.charged_usd},
    )
    for name, added in ((name, insert(ANALYST_SPENDING)) for name, insert in INSERT.items())
}
ADD_CALL = sa.insert(ANALYST_CALLS)
ADD_ATTEMPT = sa.insert(ANALYST_ATTEMPTS)
ADD_TEXTS = {
    name: insert(ANALYST_TEXTS).on_conflict_do_nothing() for name, insert in INSERT.items()
}
END_CALL = sa.update(ANALYST_CALLS).where(
    ANALYST_CALLS.c.call_id == sa.bindparam("of_call")
)
SETTLE_ATTEMPT = sa.update(ANALYST_ATTEMPTS).where(
    ANALYST_ATTEMPTS.c.call_id == sa.bindparam("of_call"),
    ANALYST_ATTEMPTS.c.number == sa.bindparam("of_number"),
    ANALYST_ATTEMPTS.c.settled_at.is_(None),
)
"""Built once: building a statement takes longer than running it."""

EVER = datetime(1970, 1, 1, tzinfo=UTC)


class CallBook(LedgerPart):
    """Calls and attempts, in SQLite or PostgreSQL.

    Writing returns at once. A `begin` or a `reserve` whose result is there is on the disk;
    a `settle` or an `end` gets there within moments, before any later write, and with
    `flush` at the latest.
    """

    def __init__(self, engine: sa.Engine) -> None:
        super().__init__(engine)
        self._commits = GroupCommits(engine, _take_turns)
        self._locks = QuestionLocks(engine)
        self._fault: BaseException | None = None
        self._known_texts: set[str] = set()

    @override
    def close(self) -> None:
        self._commits.close()
        self._locks.close()
        super().close()

    def flush(self) -> Future[None]:
        """Have everything on the disk that was written so far.

        It fails with what has kept a `settle` or an `end` from getting there.
        """
        flushed = self._commits.submit(self._raise_fault)
        flushed.add_done_callback(self._forget_fault)
        return flushed

    @property
    def is_local(self) -> bool:
        """Whether reading it takes no time worth waiting for elsewhere."""
        return self._engine.dialect.name == "sqlite"

    def take(self, question_key: str) -> bool:
        """Be the only one to ask; False if somebody is asking already, in any process."""
        return self._locks.take(question_key)

    def give_back(self, question_key: str) -> None:
        """Let others ask; what was not taken may be given back too."""
        self._locks.give_back(question_key)

    def recorded(
        self, question_key: str, since: datetime | None = None, run_id: str = ""
    ) -> Answer | None:
        """What was last heard in answer to a question; None if nothing was.

        Args:
            question_key: Of the question.
            since: Only what was asked at this instant or later, or by the run *run_id*;
                None for ever.
            run_id: Empty for none.
        """
        wanted = {"key": question_key, "since": since or EVER, "run": run_id or "-"}
        with direct_reading(self._engine) as direct:
            rows = direct.rows(RECORDED, wanted)
        return _answer(rows[0]) if rows else None

    def begin(
        self, question: Question, errand: Errand, attempt: Attempt, budget: Budget
    ) -> Future[str]:
        """Record that a question is put to models, with its first attempt; its call id.

        Raises:
            BudgetSpent: As `reserve` does.
            QuestionIsOut: If a batch that has not ended asks it.
        """
        texts = _texts(question)
        new = {it: text for it, text in texts.values() if it not in self._known_texts}
        hashes = {name: sha256 for name, (sha256, _) in texts.items()}
        begun = self._commits.submit(
            lambda it: _begin(it, question, (hashes, new), errand, attempt, budget)
        )
        begun.add_done_callback(lambda done: self._note_texts(done, new))
        return begun

    def _note_texts(self, done: Future[str], texts: Iterable[str]) -> None:
        """What is on the disk need not be written again."""
        if done.cancelled() or done.exception() is not None:
            return
        if len(self._known_texts) > MOST_KNOWN_TEXTS:
            self._known_texts.clear()
        self._known_texts.update(texts)

    def reserve(
        self, call_id: str, errand: Errand, attempt: Attempt, budget: Budget
    ) -> Future[str]:
        """Commit an attempt that is about to be sent, and set its cost aside; *call_id*.

        Raises:
            BudgetSpent: If it could cost more than a limit of *budget* has left; nothing
                is recorded then. It is raised where the result is waited for.
        """
        return self._commits.submit(
            lambda it: _reserve(it, call_id, errand, attempt, budget)
        )

    def settle(
        self, call_id: str, errand: Errand, attempt: Attempt, told: Settlement
    ) -> Future[None]:
        """Record what became of an attempt; the first word counts."""
        return self._later(lambda it: _settle(it, call_id, errand, attempt, told))

    def end(self, call_id: str, ending: Ending) -> Future[None]:
        """Record how a call ended."""
        return self._later(lambda it: _end(it, call_id, ending))

    def _later(self, write: Callable[[Direct], None]) -> Future[None]:
        """Have *write* done by somebody who does not wait for it."""
        done = self._commits.submit(write, is_urgent=False)
        done.add_done_callback(self._note_fault)
        return done

    def _note_fault(self, done: Future[None]) -> None:
        self._fault = self._fault or done.exception()

    def _raise_fault(self, _direct: Direct) -> None:
        if self._fault is not None:
            raise self._fault

    def _forget_fault(self, done: Future[None]) -> None:
        """Whoever has waited for it knows."""
        if not done.cancelled() and done.exception() is self._fault:
            self._fault = None

    def spent(
        self, strategy: str, since: datetime | None = None, run_id: str | None = None
    ) -> float:
        """What a strategy's attempts cost, US dollars; by estimate where nobody knows.

        Args:
            strategy: Its name.
            since: Only attempts of this instant or later; None for all.
            run_id: Only those of this run; None for all.
        """
        where = [ANALYST_ATTEMPTS.c.strategy == strategy]
        if since is not None:
            where.append(ANALYST_ATTEMPTS.c.asked_at >= since)
        if run_id is not None:
            where.append(ANALYST_ATTEMPTS.c.run_id == run_id)
        query = sa.select(sa.func.sum(ANALYST_ATTEMPTS.c.charged_usd)).where(*where)
        with self._engine.connect() as connection:
            return connection.scalar(query) or 0.0

    def call(self, call_id: str) -> RecordedCall:
        """A call with all its texts and attempts.

        Raises:
            DataMissing: If there is none of this id.
        """
        with self._engine.connect() as connection:
            row = connection.execute(
                sa.select(ANALYST_CALLS).where(ANALYST_CALLS.c.call_id == call_id)
            ).one_or_none()
            if row is None:
                raise DataMissing(f"call {call_id}: the ledger has none of this id")
            hashes = [row.system_hash, row.shared_hash, row.task_hash, row.schema_hash]
            texts = {
                text.sha256: text.text
                for text in connection.execute(
                    sa.select(ANALYST_TEXTS).where(ANALYST_TEXTS.c.sha256.in_(hashes))
                )
            }
            attempts = connection.execute(
                sa.select(ANALYST_ATTEMPTS)
                .where(ANALYST_ATTEMPTS.c.call_id == call_id)
                .order_by(ANALYST_ATTEMPTS.c.number)
            ).all()
        return _recorded_call(row, texts, tuple(_recorded_attempt(it) for it in attempts))

    def call_ids(self, strategy: str, session: date, symbol: str) -> list[str]:
        """Every call about a symbol in a session, in the order they were asked."""
        query = (
            sa.select(ANALYST_CALLS.c.call_id)
            .where(
                ANALYST_CALLS.c.strategy == strategy,
                ANALYST_CALLS.c.session == session,
                ANALYST_CALLS.c.symbol == symbol,
            )
            .order_by(ANALYST_CALLS.c.asked_at, ANALYST_CALLS.c.call_id)
        )
        with self._engine.connect() as connection:
            return list(connection.scalars(query))


def shared_text(question: Question) -> str:
    """What a question shares with others about one briefing: pictures by their hash."""
    parts = [
        [part.label, part.sha256] if isinstance(part, Image) else part
        for part in question.shared
    ]
    return json.dumps(parts, ensure_ascii=False)


def _take_turns(direct: Direct) -> None:
    if direct.dialect.name == "postgresql":
        direct.run(ONE_AT_A_TIME, {})


def _begin(
    direct: Direct,
    question: Question,
    texts: tuple[Mapping[str, str], Mapping[str, str]],
    errand: Errand,
    attempt: Attempt,
    budget: Budget,
) -> str:
    """Begin a call; *texts* are hashes by column, and those by hash that may be new."""
    _require_not_out(direct, question.key)
    _require_funds(direct, errand, attempt, budget)
    hashes, new = texts
    _add_texts(direct, new)
    call_id = _add_call(direct, question, hashes, errand, attempt.asked_at)
    return _add_attempt(direct, call_id, errand, attempt)


def _add_texts(direct: Direct, texts: Mapping[str, str]) -> None:
    """Write down those of *texts*, by hash, that are not there yet."""
    for sha256, text in texts.items():
        direct.run(ADD_TEXTS[direct.dialect.name], {"sha256": sha256, "text": text})


def begin_batch(
    connection: sa.Connection, asked: Sequence[Asked], budget: Budget
) -> dict[str, str]:
    """Record that all of *asked* is put to a model at once; call ids by question key.

    Questions that are out, or were answered, are left out.

    Raises:
        BudgetSpent: If all of them together could cost too much; nothing is recorded.
    """
    direct = _direct(connection)
    _take_turns(direct)
    new = {it.question.key: it for it in asked}
    for known in _out_or_heard(connection, list(new)):
        new.pop(known, None)
    if not new:
        return {}
    first, total_usd = asked[0], sum(it.attempt.estimated_usd for it in new.values())
    whole = replace(first.attempt, estimated_usd=total_usd)
    _require_funds(direct, first.errand, whole, budget)
    begun: dict[str, str] = {}
    for key, it in new.items():
        texts = _texts(it.question)
        hashes = {name: sha256 for name, (sha256, _) in texts.items()}
        _add_texts(direct, dict(texts.values()))
        call_id = _add_call(direct, it.question, hashes, it.errand, it.attempt.asked_at)
        begun[key] = _add_attempt(direct, call_id, it.errand, it.attempt)
    return begun


def end_batched(
    connection: sa.Connection, call_id: str, told: Settlement, ending: Ending
) -> None:
    """Record what became of a question of a batch, as of one that was asked alone."""
    direct = _direct(connection)
    own, call = ANALYST_ATTEMPTS.c, ANALYST_CALLS.c
    row = connection.execute(
        sa.select(ANALYST_ATTEMPTS, call.symbol, call.session, call.role)
        .join(ANALYST_CALLS, call.call_id == own.call_id)
        .where(own.call_id == call_id, own.number == 1)
    ).one()
    errand = Errand(
        strategy=row.strategy,
        symbol=row.symbol,
        session=row.session,
        role=row.role,
        run_id=row.run_id,
    )
    _settle(direct, call_id, errand, _attempt(row), told)
    _end(direct, call_id, ending)


def _direct(connection: sa.Connection) -> Direct:
    """The driver's side of *connection*, in the same transaction."""
    return Direct(connection.connection.cursor(), connection.dialect)


def _attempt(row: sa.Row[Any]) -> Attempt:
    return Attempt(**{field.name: row._mapping[field.name] for field in fields(Attempt)})  # noqa: SLF001 - its public name


def _out_or_heard(connection: sa.Connection, keys: Sequence[str]) -> set[str]:
    items, found = ANALYST_BATCH_ITEMS.c, set[str]()
    for at in range(0, len(keys), MOST_KEYS):
        some = keys[at : at + MOST_KEYS]
        out = sa.select(items.question_key).where(
            items.question_key.in_(some), items.status == ItemStatus.OUT.value
        )
        heard = sa.select(ANALYST_CALLS.c.question_key).where(
            ANALYST_CALLS.c.question_key.in_(some), IS_HEARD
        )
        found |= {*connection.scalars(out), *connection.scalars(heard)}
    return found


def _require_not_out(direct: Direct, key: str) -> None:
    for (batch_id,) in direct.rows(OUT_IN, {"key": key, "out": ItemStatus.OUT.value}):
        raise QuestionIsOut(
            f"batch {batch_id} asks this already: trading-assets batches poll {batch_id} "
            "fetches what there is"
        )


def _texts(question: Question) -> dict[str, tuple[str, str]]:
    """Hash and text of each of a question's parts, by column."""
    texts = {
        "system_hash": question.system,
        "shared_hash": shared_text(question),
        "task_hash": question.task,
        "schema_hash": question.schema,
    }
    return {name: (_sha256(text), text) for name, text in texts.items()}


def _add_call(
    direct: Direct,
    question: Question,
    hashes: Mapping[str, str],
    errand: Errand,
    at: datetime,
) -> str:
    key = question.key
    ((last,),) = direct.rows(LAST_NUMBER, {"key": key})
    number = (last or 0) + 1
    values = {
        **_values(errand),
        **hashes,
        "call_id": f"{key[:ID_LENGTH]}-{number}",
        "question_key": key,
        "number": number,
        "parents": json.dumps(errand.parents),
        "model": question.model,
        "schema_name": question.schema_name,
        "image_hashes": json.dumps([image.sha256 for image in question.images]),
        "effort": question.effort.value,
        "max_tokens": question.max_tokens,
        "sample": question.sample,
        "asked_at": at,
    }
    direct.run(ADD_CALL, values)
    return values["call_id"]


def _reserve(
    direct: Direct,
    call_id: str,
    errand: Errand,
    attempt: Attempt,
    budget: Budget,
) -> str:
    _require_funds(direct, errand, attempt, budget)
    return _add_attempt(direct, call_id, errand, attempt)


def _add_attempt(direct: Direct, call_id: str, errand: Errand, attempt: Attempt) -> str:
    values = _values(attempt) | {
        "call_id": call_id,
        "strategy": errand.strategy,
        "run_id": errand.run_id,
        "charged_usd": attempt.estimated_usd,
        "is_charge_estimated": True,
        "outcome": Outcome.AMBIGUOUS.value,
    }
    direct.run(ADD_ATTEMPT, values)
    _add_spending(direct, errand, attempt, attempt.estimated_usd)
    return call_id


def _add_spending(direct: Direct, errand: Errand, attempt: Attempt, usd: float) -> None:
    if not usd:
        return
    values = {
        "strategy": errand.strategy,
        "day": attempt.asked_at.astimezone(UTC).date(),
        "run_id": errand.run_id,
        "charged_usd": usd,
    }
    direct.run(ADD_SPENDING[direct.dialect.name], values)


def _require_funds(
    direct: Direct, errand: Errand, attempt: Attempt, budget: Budget
) -> None:
    limits = (budget.run_usd, budget.day_usd, budget.strategy_usd)
    if attempt.estimated_usd == 0 or all(limit is None for limit in limits):
        return
    today = attempt.asked_at.astimezone(UTC).date()
    wanted = {"run": errand.run_id, "on": today, "whose": errand.strategy}
    (spent,) = direct.rows(SPENT, wanted)
    names = ("run", "day", "strategy")
    for name, limit, sum_usd in zip(names, limits, spent, strict=True):
        if limit is not None and (sum_usd or 0.0) + attempt.estimated_usd > limit:
            raise BudgetSpent(
                f"strategy {errand.strategy}: budget.{name}_usd is {limit:g}, "
                f"{sum_usd or 0.0:.4f} of it is spent or set aside, and what is asked next "
                f"to {attempt.model} could cost {attempt.estimated_usd:.4f}; it was not "
                "asked"
            )


def _settle(
    direct: Direct, call_id: str, errand: Errand, attempt: Attempt, told: Settlement
) -> None:
    values = {
        "outcome": told.outcome.value,
        "status": told.status,
        "request_id": told.request_id,
        "rate_limits": json.dumps(dict(told.rate_limits)),
        "charged_usd": told.charged_usd,
        "is_charge_estimated": told.is_charge_estimated,
        "latency_seconds": told.latency_seconds,
        "reply": gzip.compress(told.reply, compresslevel=1, mtime=0)
        if told.reply
        else None,
        "error": told.error,
        "settled_at": told.settled_at,
        **(NO_USAGE if told.usage is None else _values(told.usage)),
        "of_call": call_id,
        "of_number": attempt.number,
    }
    if direct.run(SETTLE_ATTEMPT, values):
        _add_spending(direct, errand, attempt, told.charged_usd - attempt.estimated_usd)


def _end(direct: Direct, call_id: str, ending: Ending) -> None:
    values = _values(ending) | _values(ending.usage)
    values |= {"outcome": ending.outcome.value, "of_call": call_id}
    del values["usage"]
    direct.run(END_CALL, values)


def _answer(row: tuple[Any, ...]) -> Answer:
    told = dict(zip(RECORDED_COLUMNS, row, strict=True))
    cost_usd = told.pop("cost_usd")
    usage = Usage(**{name: told.pop(name) for name in TOKENS})
    outcome = Outcome(told.pop("outcome"))
    return Answer(
        **told,
        outcome=outcome,
        usage=usage,
        cost_usd=0.0,
        is_recorded=True,
        recorded_cost_usd=cost_usd,
    )


def _recorded_call(
    row: sa.Row[Any], texts: dict[str, str], attempts: tuple[RecordedAttempt, ...]
) -> RecordedCall:
    own = row._mapping  # noqa: SLF001 - its public name
    same = [field.name for field in fields(RecordedCall) if field.name in own]
    shared = json.loads(texts[row.shared_hash])
    return RecordedCall(
        **{name: own[name] for name in same if name != "parents"},
        parents=tuple(json.loads(row.parents)),
        system=texts[row.system_hash],
        shared=tuple(it if isinstance(it, str) else (it[0], it[1]) for it in shared),
        task=texts[row.task_hash],
        schema=texts[row.schema_hash],
        ending=None if row.outcome is None else _ending(row),
        attempts=attempts,
    )


def _ending(row: sa.Row[Any]) -> Ending:
    return Ending(
        outcome=Outcome(row.outcome),
        text=row.text,
        reason=row.reason,
        model_asked=row.model_asked,
        model_answered=row.model_answered,
        usage=_usage(row),
        cost_usd=row.cost_usd,
        price_version=row.price_version,
        latency_seconds=row.latency_seconds,
        answered_at=row.answered_at,
    )


def _recorded_attempt(row: sa.Row[Any]) -> RecordedAttempt:
    return RecordedAttempt(
        attempt=_attempt(row),
        settlement=None if row.settled_at is None else _settlement(row),
    )


def _settlement(row: sa.Row[Any]) -> Settlement:
    return Settlement(
        outcome=Outcome(row.outcome),
        status=row.status,
        request_id=row.request_id,
        rate_limits=json.loads(row.rate_limits),
        usage=None if row.input_tokens is None else _usage(row),
        charged_usd=row.charged_usd,
        is_charge_estimated=row.is_charge_estimated,
        latency_seconds=row.latency_seconds,
        reply=b"" if row.reply is None else gzip.decompress(row.reply),
        error=row.error,
        settled_at=row.settled_at,
    )


def _usage(row: sa.Row[Any]) -> Usage:
    return Usage(**{name: row._mapping[name] for name in TOKENS})  # noqa: SLF001 - its public name


def _values(of: Errand | Attempt | Ending | Usage) -> dict[str, Any]:
    return {field.name: getattr(of, field.name) for field in fields(of)}


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
