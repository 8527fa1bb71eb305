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
from itertools import takewhile
from typing import Any
from uuid import uuid4

from trading_assets.adapters.analysts.chart_reader import ChartReader
from trading_assets.adapters.analysts.desk import ModelDesk
from trading_assets.adapters.analysts.port import Asking, Briefings
from trading_assets.adapters.ledger.batches import NOTHING_TO_SEND
from trading_assets.adapters.models import prices
from trading_assets.adapters.models.access import ApiKey
from trading_assets.adapters.models.batch_lines import Line, RemoteBatch
from trading_assets.adapters.models.batch_server import (
    MOST_BYTES,
    MOST_QUESTIONS,
    Arrival,
    BatchServer,
    Handed,
)
from trading_assets.adapters.models.conversation import storable
from trading_assets.adapters.models.gateway import picture_path
from trading_assets.core.briefing import Briefing
from trading_assets.core.consultation import Turn
from trading_assets.errors import BatchGone, BudgetSpent, InvalidInput
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
MISSED_FOR = timedelta(hours=6)
"""At results in which lines are missing, and from the first look to the last; then they
are taken to be lost, and paid for."""

FIRST_REST = timedelta(minutes=2)
LONGEST_REST = timedelta(hours=2)
"""Before a batch is sent again that was turned away; each time twice as long."""

BUDGET_REST = timedelta(hours=1)
"""Before what was too dear is looked at again by itself."""

NEVER = datetime.max.replace(tzinfo=UTC)

SEARCH = timedelta(minutes=30)
"""How long a batch is looked for that may have arrived, or be on its way still."""

CLOCKS_DIFFER = timedelta(minutes=5)
FILED_TOGETHER = 200

type Place = tuple[date, str]
type Now = Callable[[], datetime]
type Pauses = dict[tuple[str, Place], Pause]
"""By the run that goes on, or the batch that was cancelled, and session and symbol."""


def right_now() -> datetime:
    """By the clock of this machine."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Pause:
    """Nothing can come of a session and symbol before then, so its charts are not drawn.

    Attributes:
        until: When it is looked at again.
        why: For people; empty if there is nothing to say.
    """

    until: datetime
    why: str = ""

    @property
    def says(self) -> str:
        """All of it, for people."""
        return f"{self.why}; again after {self.until:%H:%M} UTC"


@dataclass(slots=True)
class Submission:
    """What came of asking.

    Attributes:
        batches: That were handed in.
        questions: In them.
        waiting: Questions that another batch asks already.
        turned_away: Why a provider took nothing now; empty if it was not so.
        pause: Why nothing was sent by itself, and until when; None if it was not so.
        opinions: That needed no more questions.
        given_up: Sessions and symbols whose questions failed too often.
        left: That were not looked at for want of time.
    """

    batches: list[str] = field(default_factory=list[str])
    questions: int = 0
    waiting: int = 0
    turned_away: str = ""
    pause: Pause | None = None
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
class Looking:
    """Asking after batches, and filing what came of them, whoever asked."""

    desk: ModelDesk
    now: Now = field(default=right_now, kw_only=True)

    def poll(self, batch: Batch) -> Polled:
        """See how far *batch* has come, and file what there is.

        Raises:
            InvalidInput: If there is no key for whoever has it.
            ModelUnavailable: If nobody says.
        """
        if batch.status not in OPEN:
            return Polled(batch.batch_id, batch.status, 0, batch.why or batch.status.value)
        if not batch.remote_id:
            return self._sought(batch) if self._out(batch) else self._close_empty(batch)
        try:
            return self._looked_at(batch)
        except BatchGone as error:
            return self._gone(batch, str(error))

    def _looked_at(self, batch: Batch) -> Polled:
        server = self._server_of(batch)
        remote = server.state(batch.key_id, batch.remote_id)
        if not remote.has_ended:
            if batch.status is BatchStatus.LOST:
                self._found(batch, remote)
            says = f"{remote.status}: {remote.done} of {batch.questions} are done"
            return Polled(batch.batch_id, BatchStatus.SUBMITTED, 0, says)
        if not remote.is_invalid:
            return self._ended(batch, server.results(batch.key_id, remote))
        if remote.is_full:
            self._turned_away(batch, remote.is_invalid)
        else:
            self._refused(batch, remote.is_invalid)
        status = self.desk.batches.batch(batch.batch_id).status
        return Polled(batch.batch_id, status, 0, remote.is_invalid)

    def _gone(self, batch: Batch, reason: str) -> Polled:
        """What was answered is paid, and can't be had any more: a person decides."""
        says = (
            f"{storable(reason)}; look there, and then trading-assets batches forget "
            f"{batch.batch_id} --why …"
        )
        return self._lost(batch, says)

    def _lost(self, batch: Batch, says: str) -> Polled:
        if batch.status is not BatchStatus.LOST:
            status = BatchStatus.LOST.value
            self.desk.batches.note(batch.batch_id, status=status, why=says)
        return Polled(batch.batch_id, BatchStatus.LOST, 0, says)

    def _server_of(self, batch: Batch) -> BatchServer:
        """Who has *batch*, whichever model is asked today."""
        return BatchServer.of(batch.model, self.desk.accesses)

    def _ended(self, batch: Batch, lines: Iterator[Line]) -> Polled:
        """File what came of a batch that has ended, in whatever order it is told."""
        items = {it.custom_id: it for it in self._out(batch)}
        told: list[tuple[Item, Line]] = []
        filed = 0
        try:
            for line in lines:
                if (item := items.pop(line.custom_id, None)) is not None:
                    told.append((item, line))
                if len(told) >= FILED_TOGETHER:
                    filed += self._file(batch, told)
                    told = []
        finally:  # what is whole is paid for, whatever becomes of the rest
            filed += self._file(batch, told)
        if items:
            return self._missing(batch, list(items.values()), filed)
        return self._all_filed(batch, filed, f"{filed} answers filed")

    def _all_filed(self, batch: Batch, filed: int, says: str, why: str = "") -> Polled:
        """All is on record; what was cancelled there has been stopped, by whomever."""
        status, own = BatchStatus.FILED, batch.batch_id
        if self.desk.batches.items(own, ItemStatus.CANCELLED):
            self.desk.batches.note(own, is_cancelled=True)
        self.desk.batches.note(own, status=status.value, why=why)
        return Polled(own, status, filed, says)

    def _missing(self, batch: Batch, items: Sequence[Item], filed: int) -> Polled:
        """Lines that should be there are looked for again, and then counted as paid."""
        looks, now = batch.looks + 1, self.now()
        since = batch.missed_at or now
        says = (
            f"{len(items)} results are missing, looked {looks} times since "
            f"{since:%Y-%m-%d %H:%M} UTC"
        )
        if looks < MOST_LOOKS or now < since + MISSED_FOR:
            self.desk.batches.note(batch.batch_id, looks=looks, missed_at=since, why=says)
            return Polled(batch.batch_id, batch.status, filed, says)
        gone = Line("", ItemStatus.FAILED, Outcome.AMBIGUOUS, says, None, b"")
        filed += self._file(batch, [(it, gone) for it in items])
        return self._all_filed(batch, filed, says, why=says)

    def _sought(self, batch: Batch) -> Polled:
        """Find a batch that may have arrived, by what its provider has kept of it."""
        candidates = [
            it
            for it in self._server_of(batch).newest(batch.key_id)
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
        lines = self._server_of(batch).results(batch.key_id, remote)
        try:
            told = {it.custom_id for it in lines}
        except BatchGone:
            return False
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
        return self._lost(batch, says)

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

    def _close_empty(self, batch: Batch) -> Polled:
        """A batch of which nothing was left to be sent."""
        status, says = BatchStatus.REFUSED, NOTHING_TO_SEND
        self.desk.batches.note(batch.batch_id, status=status.value, why=says)
        return Polled(batch.batch_id, status, 0, says)

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
        self._not_there(batch, refusal, BatchStatus.REFUSED)

    def _turned_away(self, batch: Batch, reason: str) -> None:
        """As if refused, but for now: no question has failed, and all are due."""
        unsent = Line("", ItemStatus.UNSENT, Outcome.OVERLOADED, reason, None, b"")
        self._not_there(batch, unsent, BatchStatus.TURNED_AWAY)

    def _not_there(self, batch: Batch, line: Line, status: BatchStatus) -> None:
        self._file(batch, [(it, line) for it in self._out(batch)])
        self.desk.batches.note(
            batch.batch_id, status=status.value, why=storable(line.reason)
        )


@dataclass(frozen=True)
class Batching(Looking):
    """Asking on behalf of one strategy, in batches.

    Attributes:
        pauses: What is not to be looked at for a while is added here.
    """

    reader: ChartReader
    server: BatchServer
    strategy: str
    pauses: Pauses = field(default_factory=dict[tuple[str, Place], Pause])

    @classmethod
    def of(
        cls,
        reader: ChartReader,
        desk: ModelDesk,
        strategy: str,
        now: Now = right_now,
        pauses: Pauses | None = None,
    ) -> "Batching":
        """Whoever serves the model of *reader*.

        Raises:
            InvalidInput: If they take no batches, or there is no key for them.
        """
        server = BatchServer.of(reader.spec.model, desk.accesses)
        pauses = {} if pauses is None else pauses
        return cls(desk, reader, server, strategy, pauses, now=now)

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
            wanted: Only these sessions and symbols, which are gone on with by itself: what
                was turned away is left alone for a while. None for all, and at once.
            until: When to leave the rest for another time.

        Raises:
            BudgetSpent: If a batch could cost too much; it was not sent.
            ModelUnavailable: If nobody is there to be asked.
        """
        told, load = Submission(), _Load()
        key = None
        pause = None if wanted is None else self._rest()
        for place, briefing, heard, turns in self._open(
            briefings, run_id, wanted, until, told
        ):
            if self._is_given_up(turns):
                told.given_up.append(place)
            elif pause is not None:
                told.pause = self.pauses[run_id, place] = pause
            else:
                key = key or self.server.ring()
                for turn in turns:
                    load = self._packed(load, briefing, turn, heard, run_id, key, told)
        if key is not None:
            self._hand_in(load, run_id, key, told)
        return told

    def conclude(
        self,
        briefings: Briefings,
        batch: Batch,
        wanted: Sequence[Place],
        until: datetime | None,
    ) -> Submission:
        """Keep opinions that need no more questions; nobody is asked.

        Args:
            briefings: What was shown.
            batch: That they come of, and that was cancelled.
            wanted: Only these sessions and symbols.
            until: When to leave the rest for another time.
        """
        told = Submission()
        for place, *_ in self._open(briefings, batch.run_id, wanted, until, told):
            self.pauses[batch.batch_id, place] = Pause(NEVER)
        return told

    def _open(
        self,
        briefings: Briefings,
        run_id: str,
        wanted: Sequence[Place] | None,
        until: datetime | None,
        told: Submission,
    ) -> Iterator[tuple[Place, Briefing, dict[str, Answer], tuple[Turn, ...]]]:
        """What is to be asked; an opinion that needs no more questions is kept."""
        for place, row in self._rows(briefings, wanted):
            if until is not None and self.now() >= until:
                told.left += 1
                continue
            briefing = self.reader.briefing(briefings, row)
            heard, turns = self._due(briefing)
            if turns:
                yield place, briefing, heard, turns
            else:
                self._conclude(briefing, heard, run_id)
                told.opinions += 1

    def _rest(self) -> Pause | None:
        """Until when nothing is sent by itself; None if it may be sent."""
        latest = reversed(self.desk.batches.batches(self.strategy))
        turned = list(takewhile(lambda it: it.status is BatchStatus.TURNED_AWAY, latest))
        if not turned:
            return None
        # Those of one submission are turned away together, and count once.
        times = {it.submitted_at.replace(second=0, microsecond=0) for it in turned}
        rest = min(FIRST_REST * 2 ** min(len(times) - 1, 10), LONGEST_REST)
        until = turned[0].submitted_at + rest
        return Pause(until, "the provider took no batch") if self.now() < until else None

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
            version_hash=self.reader.version_hash,
        )
        for asked in load.asked:
            self._keep_pictures(asked.question)
        try:
            begun = self.desk.batches.begin(batch, load.asked, self.reader.spec.budget)
        except BudgetSpent as error:
            pause = Pause(self.now() + BUDGET_REST, str(error))
            places = {(it.errand.session, it.errand.symbol) for it in load.asked}
            self.pauses.update({(run_id, place): pause for place in places})
            raise
        told.waiting += len(load.requests) - len(begun)
        begun -= self._withdrawn(batch, begun)
        if not begun:
            self._close_empty(batch)
            return
        requests = [own for it, own in load.requests.items() if it in begun]
        if self._send(batch, requests, key, told):
            told.batches.append(batch.batch_id)
            told.questions += len(begun)

    def _send(
        self,
        batch: Batch,
        requests: Sequence[tuple[str, dict[str, Any]]],
        key: ApiKey,
        told: Submission,
    ) -> bool:
        """Send *batch* once; whether it is there, or may be.

        Where one was turned away just now, the next is not tried.
        """
        if told.turned_away:
            handed = Handed(Arrival.TURNED_AWAY, reason=told.turned_away)
        else:
            handed = self.server.hand_in(key, batch.batch_id, requests)
        if handed.batch is not None:
            self._found(batch, handed.batch)
        elif handed.arrival is Arrival.REFUSED:
            self._refused(batch, handed.reason)
        elif handed.arrival is Arrival.TURNED_AWAY:
            told.turned_away = handed.reason
            self._turned_away(batch, handed.reason)
        else:
            self.desk.batches.note(batch.batch_id, why=storable(handed.reason))
        return handed.arrival in (Arrival.TAKEN, Arrival.UNKNOWN)

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

    def _keep_pictures(self, question: Question) -> None:
        for image in question.images:
            path = picture_path(image.sha256)
            if not self.desk.pictures.exists(path):
                self.desk.pictures.put(path, image.png)


def cancel(desk: ModelDesk, batch_id: str) -> str:
    """Have a batch stopped; what its provider says it is then.

    What is answered already is filed when it has ended.

    Raises:
        InvalidInput: If it is not at the provider, as far as we know.
        ModelUnavailable: If nobody says.
    """
    batch = desk.batches.batch(batch_id)
    if batch.status is not BatchStatus.SUBMITTED:
        raise InvalidInput(
            f"batch {batch_id} is {batch.status}: only one that is submitted can be "
            "cancelled"
        )
    server = BatchServer.of(batch.model, desk.accesses)
    told = server.cancel(batch.key_id, batch.remote_id)
    desk.batches.note(batch_id, is_cancelled=True)
    return told.status


def forget(desk: ModelDesk, batch_id: str, why: str) -> None:
    """Give up a batch that is out: a person says that nothing will come of it.

    What it could have cost counts on: nobody knows that it was not paid.

    Raises:
        InvalidInput: If it is known what has become of it.
    """
    batch = desk.batches.batch(batch_id)
    if batch.status not in OPEN:
        raise InvalidInput(
            f"batch {batch_id} is {batch.status}: only one that is "
            f"{', '.join(OPEN[:-1])} or {OPEN[-1]} can be forgotten"
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
