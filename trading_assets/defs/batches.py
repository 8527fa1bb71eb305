"""Batches of a strategy's questions, from its stored bars to the run that files them."""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import partial
from itertools import groupby, islice, product
from uuid import uuid4

import dagster as dg

from trading_assets.adapters.analysts.batching import (
    Batching,
    Looking,
    Now,
    Pause,
    Pauses,
    Polled,
    Submission,
    right_now,
)
from trading_assets.adapters.analysts.chart_reader import ChartReader
from trading_assets.adapters.analysts.desk import ModelDesk
from trading_assets.adapters.analysts.port import Asking, Briefings, Estimate
from trading_assets.adapters.models.batch_server import require_batches
from trading_assets.adapters.storage.port import Warehouse
from trading_assets.defs.jobs import range_tags, view_job_name
from trading_assets.defs.lanes import Lane
from trading_assets.defs.partitions import Requested
from trading_assets.defs.signals import briefings_of
from trading_assets.errors import BudgetSpent, InvalidInput, ModelUnavailable
from trading_assets.models.batch import OPEN, Batch, BatchStatus, Unfinished
from trading_assets.models.question import Provider
from trading_assets.strategies.spec import AutogenAnalyst

BATCHES = "batches"
POLL_SECONDS = 60
TICK = timedelta(seconds=30)
"""How long a tick draws charts for the next batch; what is left is for the next tick.

Dagster gives up a tick after a minute.
"""

LEAST_SHARE = timedelta(seconds=5)
"""Of a tick, for a run whose turn it is: its bars are read, and some charts are drawn."""

MOST_RUNS = 20
"""Of one tick."""

type Place = tuple[date, str]
type Rectangle = tuple[date, date, tuple[str, ...]]
"""First and last session, and symbols that stand side by side in the universe."""


@dataclass(slots=True)
class Round:
    """What was seen and done in one look at a strategy's batches.

    Attributes:
        polled: Batches that were looked at.
        faults: Why something could not be done now.
        next: What came of asking on.
        is_cut_off: Runs of which more could have been done, had there been time.
    """

    polled: list[Polled] = field(default_factory=list[Polled])
    faults: list[str] = field(default_factory=list[str])
    next: list[Submission] = field(default_factory=list[Submission])
    is_cut_off: set[str] = field(default_factory=set[str])

    def add(self, run_id: str, submission: Submission) -> None:
        """Take down what came of asking on about a run."""
        self.next.append(submission)
        if submission.left:
            self.is_cut_off.add(run_id)

    @property
    def says(self) -> str:
        """All of it, for people."""
        told = [f"{it.batch_id} {it.status}: {it.says}" for it in self.polled]
        told += [summary(it) for it in self.next if summary(it)]
        return "; ".join([*told, *self.faults]) or "no batch is out"


def summary(submission: Submission) -> str:
    """What came of asking, for people; empty if nothing did."""
    told = {
        f"{submission.questions} questions in {', '.join(submission.batches)}": bool(
            submission.batches
        ),
        f"{submission.opinions} opinions are there": submission.opinions,
        f"{submission.waiting} questions are in another batch, and are waited for": (
            submission.waiting
        ),
        f"the provider takes no batch now: {submission.turned_away}": (
            submission.turned_away
        ),
        f"{len(submission.given_up)} are left to be asked alone: their questions failed "
        "too often": submission.given_up,
        f"{submission.left} are left for the next look": submission.left,
    }
    says = [text for text, is_so in told.items() if is_so]
    if submission.pause is not None:
        says.append(submission.pause.says)
    return ", ".join(says)


@dataclass(frozen=True)
class BatchWork:
    """A strategy's batches, on the stores of a location.

    Attributes:
        pauses: What is not to be looked at for a while. It is kept from tick to tick, so
            that each goes on behind what the one before has drawn; at the prompt all is
            looked at.
    """

    lane: Lane
    warehouse: Warehouse
    desk: ModelDesk
    now: Now = right_now
    pauses: Pauses = field(default_factory=dict[tuple[str, Place], Pause])

    @property
    def reader(self) -> ChartReader:
        """Whoever asks for this strategy.

        Raises:
            InvalidInput: If nobody is asked, or nobody who takes batches.
        """
        return batch_reader(self.lane)

    def estimate(self, first: date, last: date, symbols: Sequence[str]) -> Estimate:
        """What a range would cost in batches; nobody is asked."""
        briefings = self._briefings(self._range(first, last, symbols))
        return self.reader.batch_estimate(briefings, Asking(self.desk))

    def submit(
        self, first: date, last: date, symbols: Sequence[str], run_id: str
    ) -> Submission:
        """Ask about a range whose bars are there.

        Raises:
            BudgetSpent: If it could cost too much; that batch was not sent.
            InvalidInput: If there is no key.
            ModelUnavailable: If nobody is there to be asked.
        """
        briefings = self._briefings(self._range(first, last, symbols))
        return self._batching().submit(briefings, run_id)

    def poll(self, batch_id: str | None = None, until: datetime | None = None) -> Round:
        """Look at batches, file what has ended, and ask what is due next.

        What can't be done now is told of, and the rest is done.

        Args:
            batch_id: Only this one; None for all that are out.
            until: When to leave the rest for another time.
        """
        told, looking = Round(), Looking(self.desk, now=self.now)
        for batch in self._looked_at(batch_id):
            try:
                told.polled.append(looking.poll(batch))
            except (InvalidInput, ModelUnavailable) as error:
                told.faults.append(f"{batch.batch_id}: {error}")
        try:
            self._go_on(self._batching(), until, told)
        except InvalidInput as error:  # no key, most likely
            told.faults.append(str(error))
        return told

    def _go_on(self, work: Batching, until: datetime | None, told: Round) -> None:
        """Conclude what was cancelled, and ask what is due next; each has its time."""
        unfinished = self.desk.batches.unfinished(self.lane.name)
        todo = [partial(self._conclude, work, it) for it in self._stopped()]
        todo += [partial(self._ask_on, work, it) for it in unfinished]
        for done, go_on in enumerate(self._by_turns(todo)):
            try:
                go_on(self._share(until, len(todo) - done), told)
            except (BudgetSpent, ModelUnavailable) as error:
                told.faults.append(str(error))

    def _by_turns[T](self, todo: Sequence[T]) -> Sequence[T]:
        """All of *todo*; who is first, and has time for certain, changes every minute."""
        minute = int(self.now().timestamp()) // POLL_SECONDS
        first = minute % len(todo) if todo else 0
        return [*todo[first:], *todo[:first]]

    def _share(self, until: datetime | None, count: int) -> datetime | None:
        """When the next of *count* has to leave the rest for another time."""
        if until is None:
            return None
        now = self.now()
        return min(until, now + max((until - now) / count, LEAST_SHARE))

    def finished(self) -> dict[str, list[Place]]:
        """Sessions and symbols that have their opinion, by the run that asked."""
        found = self.desk.batches.finished(self.lane.name)
        return {run_id: own for run_id, its in found.items() if (own := self._known(its))}

    def _looked_at(self, batch_id: str | None) -> Sequence[Batch]:
        if batch_id is not None:
            return [self.desk.batches.batch(batch_id)]
        own = self.desk.batches.batches(self.lane.name)
        return [batch for batch in own if batch.status in OPEN]

    def _known(self, places: Sequence[Place]) -> list[Place]:
        """Those of *places* that the strategy still has."""
        symbols, is_session = set(self.lane.symbols), self.lane.calendar.is_session
        return [(day, own) for day, own in places if own in symbols and is_session(day)]

    def _ask_on(
        self, work: Batching, unfinished: Unfinished, until: datetime | None, told: Round
    ) -> None:
        """Ask what is due after what was asked about, if it is the same analyst."""
        run_id, places = unfinished.run_id, self._known(unfinished.places)
        if gone := len(unfinished.places) - len(places):
            told.faults.append(f"{run_id}: {gone} are of symbols that are there no more")
        if unfinished.version_hash not in ("", self.reader.version_hash):
            told.faults.append(
                f"{run_id}: {len(places)} were asked about before the analyst was changed, "
                "and nothing is asked on: put its file back as it was, or trading-assets "
                f"batches submit --strategy {self.lane.name} asks anew"
            )
        elif awake := self._awake(run_id, places, told):
            briefings = self._briefings(Requested.by_place(awake))
            told.add(run_id, work.submit(briefings, run_id, wanted=awake, until=until))

    def _awake(self, whose: str, places: Sequence[Place], told: Round) -> list[Place]:
        """Those of *places* that something may come of now.

        Args:
            whose: The run that goes on, or the batch that was cancelled.
            places: Of it.
            told: Is told why not of the others.
        """
        now, found = self.now(), {own: self.pauses.get((whose, own)) for own in places}
        paused = {own: it for own, it in found.items() if it is not None and now < it.until}
        told.faults += sorted({it.says for it in paused.values() if it.why})
        return [own for own in places if own not in paused]

    def _stopped(self) -> Sequence[Batch]:
        """Batches that were cancelled, and all that came of them is filed."""
        own = self.desk.batches.batches(self.lane.name)
        filed = [it for it in own if it.is_cancelled and it.status is BatchStatus.FILED]
        return [it for it in filed if it.version_hash in ("", self.reader.version_hash)]

    def _conclude(
        self, work: Batching, batch: Batch, until: datetime | None, told: Round
    ) -> None:
        """Make of a cancelled batch what can be made of it without asking."""
        own, places = batch.batch_id, self._known(self.desk.batches.stopped(batch.batch_id))
        if awake := self._awake(own, places, told):
            briefings = self._briefings(Requested.by_place(awake))
            concluded = work.conclude(briefings, batch, awake, until)
            told.add(batch.run_id, concluded)
            if concluded.left:
                return
        self.desk.batches.note(own, status=BatchStatus.CANCELLED.value)

    def _range(self, first: date, last: date, symbols: Sequence[str]) -> Requested:
        sessions = self.lane.calendar.between(first, last)
        return Requested.by_place(product(sessions, symbols))

    def _briefings(self, requested: Requested) -> Briefings:
        with self.warehouse.snapshot():
            return briefings_of(self.lane, self.warehouse, requested)

    def _batching(self) -> Batching:
        name = self.lane.name
        return Batching.of(self.reader, self.desk, name, self.now, self.pauses)


def new_run_id() -> str:
    """Of asking about a range, over all its stages."""
    return f"batches-{uuid4().hex[:12]}"


def batch_reader(lane: Lane) -> ChartReader:
    """Whoever asks for *lane*.

    Raises:
        InvalidInput: If nobody is asked, or nobody who takes batches.
    """
    analyst = lane.analyst
    if not isinstance(analyst, ChartReader):
        raise InvalidInput(
            f"{lane.name}: batches are for strategies that ask models, it asks "
            f"{analyst.name}"
        )
    if isinstance(analyst.spec, AutogenAnalyst):
        raise InvalidInput(
            f"{lane.name}: analyst.kind autogen takes no batches, as its agents talk to "
            "each other; kinds that do are llm and panel"
        )
    require_batches(Provider(analyst.spec.model.partition("/")[0]))
    return analyst


def takes_batches(lane: Lane) -> bool:
    """Whether *lane* can ask in batches."""
    try:
        batch_reader(lane)
    except InvalidInput:
        return False
    return True


def batches_sensor(lane: Lane, view: dg.JobDefinition) -> dg.SensorDefinition:
    """Look after the batches of *lane*, and ask for the view of what has its opinion."""
    pauses: Pauses = {}

    @dg.sensor(
        name=f"{lane.name}_{BATCHES}",
        job=view,
        minimum_interval_seconds=POLL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Fetches what batches of {lane.name} have come to, asks on, and makes "
        "the signals of what is complete.",
    )
    def batches(
        context: dg.SensorEvaluationContext,
        warehouse: dg.ResourceParam[Warehouse],
        analysts: dg.ResourceParam[ModelDesk],
    ) -> dg.SensorResult | dg.SkipReason:
        work = BatchWork(lane, warehouse, analysts, pauses=pauses)
        return _tick(work, context.cursor)

    return batches


def _tick(work: BatchWork, cursor: str | None) -> dg.SensorResult | dg.SkipReason:
    """One look at the batches of a strategy.

    Args:
        work: On its stores.
        cursor: What was asked for already, as this wrote it.
    """
    if not work.desk.batches.batches(work.lane.name):
        return dg.SkipReason("nothing was ever asked in a batch")
    looked = work.poll(until=work.now() + TICK)
    asked = Requests.of(cursor)
    new = list(islice(asked.due(work, looked.is_cut_off), MOST_RUNS))
    return dg.SensorResult(
        run_requests=[_run(work.lane, run_id, it) for run_id, it in new],
        cursor=asked.cursor(new),
        skip_reason=None if new else dg.SkipReason(looked.says),
    )


@dataclass(frozen=True, slots=True)
class Requests:
    """Views that were asked for, by the run that had the opinions.

    They are told apart by session and symbol, as more may come of a run at any time.
    """

    by_run: Mapping[str, Sequence[Rectangle]]

    @classmethod
    def of(cls, cursor: str | None) -> "Requests":
        """What *cursor* says; one of an older version says nothing that counts."""
        told = json.loads(cursor or "{}")
        if not isinstance(told, dict):
            return cls({})
        day = date.fromisoformat
        return cls(
            {
                run_id: [(day(first), day(last), tuple(own)) for first, last, own in its]
                for run_id, its in told.items()
            }
        )

    def cursor(self, new: Sequence[tuple[str, Rectangle]]) -> str:
        """Everything that was asked for, and what is *new*."""
        told = {run_id: list(its) for run_id, its in self.by_run.items()}
        for run_id, own in new:
            told.setdefault(run_id, []).append(own)
        return json.dumps(told, default=date.isoformat, separators=(",", ":"))

    def due(
        self, work: BatchWork, is_cut_off: Collection[str]
    ) -> Iterator[tuple[str, Rectangle]]:
        """What is there and was not asked for.

        Args:
            work: On the strategy's stores.
            is_cut_off: Runs that go on in a minute, so that one view has more of them.
        """
        for run_id, places in work.finished().items():
            if run_id not in is_cut_off:
                new = set(places) - self._places(work.lane, run_id)
                for own in rectangles(work.lane, sorted(new)):
                    yield run_id, own

    def _places(self, lane: Lane, run_id: str) -> set[Place]:
        return {
            place
            for first, last, symbols in self.by_run.get(run_id, ())
            for place in product(lane.calendar.between(first, last), symbols)
        }


def _run(lane: Lane, run_id: str, rectangle: Rectangle) -> dg.RunRequest:
    """The view of *rectangle* and of nothing else."""
    first, last, symbols = rectangle
    key = f"{run_id}-{first}-{last}-{symbols[0]}-{symbols[-1]}"
    return dg.RunRequest(
        run_key=f"{view_job_name(lane.name)}-{key}",
        job_name=view_job_name(lane.name),
        tags=range_tags(first, last, symbols, launched_by=BATCHES),
    )


def rectangles(lane: Lane, places: Sequence[Place]) -> Iterator[Rectangle]:
    """Ranges of sessions, and adjacent symbols, that hold *places* and no others."""
    sessions: dict[date, list[int]] = {}
    for day, symbol in sorted(places):
        sessions.setdefault(day, []).append(lane.symbols.index(symbol))
    numbered = [(lane.calendar.position(day), own) for day, own in sessions.items()]
    shared = groupby(
        enumerate(numbered), key=lambda it: (it[1][0] - it[0], tuple(sorted(it[1][1])))
    )
    for (_, columns), days in shared:
        found = [lane.calendar.sessions[position] for _, (position, _) in days]
        runs = groupby(enumerate(columns), key=lambda it: it[1] - it[0])
        for _, run in runs:
            symbols = tuple(lane.symbols[column] for _, column in run)
            yield found[0], found[-1], symbols
