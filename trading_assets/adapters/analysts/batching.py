"""Asking in batches: another way for answers to get into the ledger, at half price.

A batch asks what is due now about many briefings. When it has ended its answers are filed
as those of questions that were asked alone, and what is due then is the next batch, until
every briefing has its opinion. Nothing is ever sent a second time that may have arrived:
such a batch is looked for at the provider, and if it is not found a person decides.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import uuid4

from trading_assets.adapters.analysts.chart_reader import ChartReader
from trading_assets.adapters.analysts.desk import ModelDesk
from trading_assets.adapters.analysts.port import Asking, Briefings
from trading_assets.adapters.models import prices
from trading_assets.adapters.models.access import ApiKey
from trading_assets.adapters.models.batch_lines import Line, RemoteBatch
from trading_assets.adapters.models.batch_server import (
    MOST_BYTES,
    MOST_QUESTIONS,
    BatchServer,
)
from trading_assets.adapters.models.conversation import storable
from trading_assets.adapters.models.gateway import picture_path
from trading_assets.core.briefing import Briefing
from trading_assets.core.consultation import Turn
from trading_assets.errors import InvalidInput
from trading_assets.models.batch import (
    OPEN,
    Asked,
    Batch,
    BatchStatus,
    Filing,
    Item,
    ItemStatus,
    custom_id_of,
)
from trading_assets.models.call import Attempt, Ending, Settlement
from trading_assets.models.question import Answer, Outcome, Question, Usage

MOST_FAILURES = 3
"""Of one question; then it is left to be asked alone."""

MOST_LOOKS = 3
"""At results in which lines are missing; then they are taken to be lost, and paid for."""

SEARCH = timedelta(minutes=30)
"""How long a batch is looked for that may have arrived, or be on its way still."""

CLOCKS_DIFFER = timedelta(minutes=5)
FILED_TOGETHER = 200

type Place = tuple[date, str]
type Now = Callable[[], datetime]


@dataclass(slots=True)
class Submission:
    """What came of asking.

    Attributes:
        batches: That were handed in.
        questions: In them.
        opinions: That needed no more questions.
        given_up: Sessions and symbols whose questions failed too often.
        left: That were not looked at for want of time.
    """

    batches: list[str] = field(default_factory=list[str])
    questions: int = 0
    opinions: int = 0
    given_up: list[Place] = field(default_factory=list[Place])
    left: int = 0


@dataclass(frozen=True, slots=True)
class Polled:
    """What was seen of a batch.

    Attributes:
        filed: Questions whose end is on record since.
        says: For people.
    """

    batch_id: str
    status: BatchStatus
    filed: int
    says: str


@dataclass(slots=True)
class _Load:
    """What the next batch will be made of."""

    asked: list[Asked] = field(default_factory=list[Asked])
    requests: dict[str, tuple[str, dict[str, Any]]] = field(default_factory=dict)
    size: int = 0

    def add(self, asked: Asked, request: dict[str, Any], size: int) -> None:
        self.asked.append(asked)
        self.requests[asked.question.key] = (asked.custom_id, request)
        self.size += size


@dataclass(frozen=True)
class Batching:
    """Asking on behalf of one strategy, in batches."""

    reader: ChartReader
    desk: ModelDesk
    server: BatchServer
    strategy: str
    now: Now = lambda: datetime.now(UTC)

    @classmethod
    def of(cls, reader: ChartReader, desk: ModelDesk, strategy: str) -> "Batching":
        """Whoever serves the model of *reader*.

        Raises:
            InvalidInput: If they take no batches, or there is no key for them.
        """
        server = BatchServer.of(reader.spec.model, desk.accesses)
        return cls(reader, desk, server, strategy)

    # Asking

    def submit(
        self,
        briefings: Briefings,
        run_id: str,
        *,
        wanted: Sequence[Place] | None = None,
        until: datetime | None = None,
    ) -> Submission:
        """Ask what is due of *briefings* in as few batches as can be.

        Args:
            briefings: What is shown.
            run_id: That all stages belong to, and whose budget they share.
            wanted: Only these sessions and symbols; None for all.
            until: When to leave the rest for another time.

        Raises:
            BudgetSpent: If a batch could cost too much; it was not sent.
            ModelUnavailable: If nobody is there to be asked.
        """
        told, load = Submission(), _Load()
        key = None
        for place, row in self._rows(briefings, wanted):
            if until is not None and self.now() >= until:
                told.left += 1
                continue
            briefing = self.reader.briefing(briefings, row)
            heard, turns = self._due(briefing)
            if not turns:
                self._conclude(briefing, heard, run_id)
                told.opinions += 1
            elif self._is_given_up(turns):
                told.given_up.append(place)
            else:
                key = key or self.server.ring()
                for turn in turns:
                    load = self._packed(load, briefing, turn, heard, run_id, key, told)
        if key is not None:
            self._hand_in(load, run_id, key, told)
        return told

    def _rows(
        self, briefings: Briefings, wanted: Sequence[Place] | None
    ) -> Iterator[tuple[Place, int]]:
        """What has no opinion, and nothing out."""
        out = self.desk.batches.out(self.strategy)
        only = None if wanted is None else set(wanted)
        sessions = briefings.views.session.astype(object)
        for row in self.reader.unknown(briefings, Asking(self.desk)):
            place = (sessions[row], str(briefings.views.symbol[row]))
            if place not in out and (only is None or place in only):
                yield place, row

    def _due(self, briefing: Briefing) -> tuple[dict[str, Answer], tuple[Turn, ...]]:
        """What the ledger has heard, and what is to be asked after that."""
        heard: dict[str, Answer] = {}
        while turns := self.reader.consultation.due(briefing, heard):
            known = {it.id: self.desk.calls.recorded(it.question.key) for it in turns}
            found = {own: answer for own, answer in known.items() if answer is not None}
            if not found:
                return heard, turns
            heard |= found
        return heard, ()

    def _conclude(
        self, briefing: Briefing, heard: Mapping[str, Answer], run_id: str
    ) -> None:
        cost = sum(answer.recorded_cost_usd for answer in heard.values())
        opinion = self.reader.opinion(self.strategy, briefing, heard, cost, run_id)
        self.desk.opinions.keep([opinion])

    def _is_given_up(self, turns: Sequence[Turn]) -> bool:
        failures = self.desk.batches.failures([turn.question.key for turn in turns])
        often = [own for own, count in failures.items() if count >= MOST_FAILURES]
        if often:
            self.desk.batches.abandon(often)
        return bool(often)

    def _packed(
        self,
        load: _Load,
        briefing: Briefing,
        turn: Turn,
        heard: Mapping[str, Answer],
        run_id: str,
        key: ApiKey,
        told: Submission,
    ) -> _Load:
        """*load* with one question more; a new one if it would become too large."""
        question = turn.question
        asked = Asked(
            custom_id=custom_id_of(question.key),
            question=question,
            errand=self.reader.consultation.errand(
                briefing, turn, heard, strategy=self.strategy, run_id=run_id
            ),
            attempt=self._attempt(question, key),
        )
        request = self.server.request(question)
        size = _size(question)
        is_full = load.size + size > MOST_BYTES
        is_full = is_full or len(load.requests) >= MOST_QUESTIONS[self.server.provider]
        if is_full:
            self._hand_in(load, run_id, key, told)
            load = _Load()
        load.add(asked, request, size)
        return load

    def _attempt(self, question: Question, key: ApiKey) -> Attempt:
        return Attempt(
            number=1,
            model=question.model,
            key_id=key.key_id,
            is_schema_sent=True,
            estimated_usd=prices.most_usd(question, question.model, is_batch=True),
            price_version=prices.price_version(question.model),
            asked_at=self.now(),
        )

    def _hand_in(self, load: _Load, run_id: str, key: ApiKey, told: Submission) -> None:
        """Commit a batch, and send it once."""
        batch = Batch(
            batch_id=f"{self.strategy}-{uuid4().hex[:12]}",
            strategy=self.strategy,
            run_id=run_id,
            model=self.reader.spec.model,
            key_id=key.key_id,
            remote_id="",
            status=BatchStatus.SUBMITTING,
            questions=0,
            estimated_usd=0.0,
            is_cancelled=False,
            looks=0,
            why="",
            submitted_at=self.now(),
        )
        for asked in load.asked:
            self._keep_pictures(asked.question)
        begun = self.desk.batches.begin(batch, load.asked, self.reader.spec.budget)
        begun -= self._withdrawn(batch, begun)
        if not begun:
            self._close_if_empty(batch.batch_id)
            return
        requests = [own for it, own in load.requests.items() if it in begun]
        handed = self.server.hand_in(key, batch.batch_id, requests)
        if handed.batch is not None:
            self._found(batch, handed.batch)
        elif handed.is_known:
            self._refused(batch, handed.reason)
            return
        else:
            self.desk.batches.note(batch.batch_id, why=storable(handed.reason))
        told.batches.append(batch.batch_id)
        told.questions += len(begun)

    def _withdrawn(self, batch: Batch, keys: set[str]) -> set[str]:
        """Questions that somebody is asking alone, or has, since we looked."""
        gone = {key for key in keys if self._is_asked_alone(key)}
        if gone:
            alone = Line(
                "",
                ItemStatus.UNSENT,
                Outcome.UNREACHABLE,
                "it was asked alone meanwhile",
                None,
                b"",
            )
            items = {it.question_key: it for it in self._out(batch)}
            self._file(batch, [(items[key], alone) for key in gone])
        return gone

    def _is_asked_alone(self, key: str) -> bool:
        calls = self.desk.calls
        if not calls.take(key):
            return True
        try:
            return calls.recorded(key) is not None
        finally:
            calls.give_back(key)

    def _close_if_empty(self, batch_id: str) -> None:
        if self.desk.batches.items(batch_id):
            self.desk.batches.note(batch_id, status=BatchStatus.REFUSED.value)

    def _keep_pictures(self, question: Question) -> None:
        for image in question.images:
            path = picture_path(image.sha256)
            if not self.desk.pictures.exists(path):
                self.desk.pictures.put(path, image.png)

    def _found(self, batch: Batch, remote: RemoteBatch) -> None:
        self.desk.batches.note(
            batch.batch_id,
            remote_id=remote.remote_id,
            status=BatchStatus.SUBMITTED.value,
            why="",
        )

    def _refused(self, batch: Batch, reason: str) -> None:
        """There is no such batch, for certain: nobody was asked, and nothing is paid."""
        refusal = Line("", ItemStatus.FAILED, Outcome.REJECTED, reason, None, b"")
        self._file(batch, [(it, refusal) for it in self._out(batch)])
        self.desk.batches.note(
            batch.batch_id, status=BatchStatus.REFUSED.value, why=storable(reason)
        )

    # Asking after it

    def poll(self, batch: Batch) -> Polled:
        """See how far *batch* has come, and file what there is.

        Raises:
            ModelUnavailable: If nobody says.
        """
        if batch.status not in OPEN:
            return Polled(batch.batch_id, batch.status, 0, batch.why or batch.status.value)
        if not batch.remote_id:
            return self._sought(batch)
        remote = self.server.state(batch.key_id, batch.remote_id)
        if not remote.has_ended:
            says = f"{remote.status}: {remote.done} of {batch.questions} are done"
            return Polled(batch.batch_id, batch.status, 0, says)
        if remote.is_invalid:
            self._refused(batch, remote.is_invalid)
            return Polled(batch.batch_id, BatchStatus.REFUSED, 0, remote.is_invalid)
        return self._ended(batch, self.server.results(batch.key_id, remote))

    def _ended(self, batch: Batch, lines: Iterator[Line]) -> Polled:
        """File what came of a batch that has ended, in whatever order it is told."""
        items = {it.custom_id: it for it in self._out(batch)}
        told: list[tuple[Item, Line]] = []
        filed, strange = 0, 0
        for line in lines:
            item = items.pop(line.custom_id, None)
            strange += item is None
            if item is not None:
                told.append((item, line))
            if len(told) >= FILED_TOGETHER:
                filed += self._file(batch, told)
                told = []
        filed += self._file(batch, told)
        if not items:
            self.desk.batches.note(batch.batch_id, status=BatchStatus.FILED.value, why="")
            return Polled(
                batch.batch_id, BatchStatus.FILED, filed, f"{filed} answers filed"
            )
        return self._missing(batch, list(items.values()), filed)

    def _missing(self, batch: Batch, items: Sequence[Item], filed: int) -> Polled:
        """Lines that should be there are looked for again, and then counted as paid."""
        looks = batch.looks + 1
        says = f"{len(items)} results are missing, looked {looks} times"
        if looks < MOST_LOOKS:
            self.desk.batches.note(batch.batch_id, looks=looks, why=says)
            return Polled(batch.batch_id, batch.status, filed, says)
        gone = Line("", ItemStatus.FAILED, Outcome.AMBIGUOUS, says, None, b"")
        filed += self._file(batch, [(it, gone) for it in items])
        self.desk.batches.note(batch.batch_id, status=BatchStatus.FILED.value, why=says)
        return Polled(batch.batch_id, BatchStatus.FILED, filed, says)

    def _sought(self, batch: Batch) -> Polled:
        """Find a batch that may have arrived, by what its provider has kept of it."""
        candidates = [
            it
            for it in self.server.newest(batch.key_id)
            if it.created_at >= batch.submitted_at - CLOCKS_DIFFER
        ]
        tagged = [it for it in candidates if it.tag == batch.batch_id]
        taken = {it.remote_id for it in self.desk.batches.batches()}
        count = len({it.custom_id for it in self._out(batch)})
        alike = [
            it
            for it in candidates
            if not it.tag and it.remote_id not in taken and it.questions in (count, None)
        ]
        for remote in tagged or alike:
            if tagged or self._is_ours(batch, remote):
                self._found(batch, remote)
                return self.poll(self.desk.batches.batch(batch.batch_id))
        waits = [it.remote_id for it in alike if not it.has_ended]
        if waits:
            says = f"perhaps {', '.join(waits)}: known when it has ended"
            return Polled(batch.batch_id, batch.status, 0, says)
        return self._not_found(batch)

    def _out(self, batch: Batch) -> list[Item]:
        return self.desk.batches.items(batch.batch_id, ItemStatus.OUT)

    def _is_ours(self, batch: Batch, remote: RemoteBatch) -> bool:
        """Whether *remote* asks what *batch* does, which is told when it has ended."""
        if not remote.has_ended:
            return False
        asked = {it.custom_id for it in self._out(batch)}
        told = {it.custom_id for it in self.server.results(batch.key_id, remote)}
        return bool(told) and told <= asked

    def _not_found(self, batch: Batch) -> Polled:
        if self.now() < batch.submitted_at + SEARCH:
            return Polled(
                batch.batch_id, batch.status, 0, "not found yet; it is looked for"
            )
        says = (
            "it can't be found at the provider, and may have arrived: look there, and then "
            f"trading-assets batches forget {batch.batch_id} --why …"
        )
        self.desk.batches.note(batch.batch_id, status=BatchStatus.LOST.value, why=says)
        return Polled(batch.batch_id, BatchStatus.LOST, 0, says)

    # By hand

    def cancel(self, batch: Batch) -> str:
        """Have *batch* stopped; what is answered already is filed when it has ended.

        Raises:
            InvalidInput: If it is not at the provider, as far as we know.
            ModelUnavailable: If nobody says.
        """
        if batch.status is not BatchStatus.SUBMITTED:
            raise InvalidInput(
                f"batch {batch.batch_id} is {batch.status}: only one that is submitted can "
                "be cancelled"
            )
        self.desk.batches.note(batch.batch_id, is_cancelled=True)
        return self.server.cancel(batch.key_id, batch.remote_id).status

    # Filing

    def _file(self, batch: Batch, told: Sequence[tuple[Item, Line]]) -> int:
        filings = [self._filing(batch, item, line) for item, line in told]
        return self.desk.batches.file(batch.batch_id, filings) if filings else 0

    def _filing(self, batch: Batch, item: Item, line: Line) -> Filing:
        """What is on record of a question, as if it had been asked alone."""
        reading = line.reading
        usage = None if reading is None else reading.usage
        charged = self._charge_usd(batch, line, usage)
        cost = item.estimated_usd if charged is None else charged
        at = self.now()
        latency = (at - batch.submitted_at).total_seconds()
        settlement = Settlement(
            outcome=line.outcome,
            status=None,
            request_id="",
            rate_limits={},
            usage=usage,
            charged_usd=cost,
            is_charge_estimated=charged is None,
            latency_seconds=latency,
            reply=line.line,
            error=storable(line.reason),
            settled_at=at,
        )
        ending = Ending(
            outcome=line.outcome,
            text="" if reading is None else storable(reading.text, None),
            reason=storable(line.reason),
            model_asked=batch.model,
            model_answered="" if reading is None else storable(reading.model),
            usage=usage or Usage(),
            cost_usd=cost,
            price_version=item.price_version,
            latency_seconds=latency,
            answered_at=at,
        )
        return Filing(
            custom_id=item.custom_id,
            status=line.status,
            settlement=settlement,
            ending=ending,
        )

    def _charge_usd(self, batch: Batch, line: Line, usage: Usage | None) -> float | None:
        """What a question costs, at the price of batches; None if nobody knows."""
        if line.reading is None:
            return None if line.outcome is Outcome.AMBIGUOUS else 0.0
        return None if usage is None else prices.cost_usd(batch.model, usage, is_batch=True)


def forget(desk: ModelDesk, batch_id: str, why: str) -> None:
    """Give up a batch that can't be found: a person says that nothing will come of it.

    What it could have cost counts on: nobody knows that it was not paid.

    Raises:
        InvalidInput: If it is known what has become of it.
    """
    batch = desk.batches.batch(batch_id)
    if batch.status not in (BatchStatus.SUBMITTING, BatchStatus.LOST):
        raise InvalidInput(
            f"batch {batch_id} is {batch.status}: only one that is submitting or lost can "
            "be forgotten"
        )
    desk.batches.forget(batch_id, storable(why))


def sums(counts: Counter[ItemStatus]) -> str:
    """How many questions have become what, for people."""
    return ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))


def _size(question: Question) -> int:
    """About how many bytes a question is on the wire; pictures grow by a third."""
    texts = [question.system, question.task, question.schema]
    texts += [it for it in question.shared if isinstance(it, str)]
    pictures = sum(len(it.png) * 4 // 3 for it in question.images)
    return sum(len(it.encode()) * 5 // 4 for it in texts) + pictures + 2000
