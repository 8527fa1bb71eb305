"""Batches of a strategy's questions, from its stored bars to the run that files them."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import groupby, product
from uuid import uuid4

import dagster as dg

from trading_assets.adapters.analysts.batching import Batching, Polled, Submission
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
from trading_assets.models.batch import OPEN, Batch
from trading_assets.models.question import Provider
from trading_assets.strategies.spec import AutogenAnalyst

BATCHES = "batches"
POLL_SECONDS = 60
TICK = timedelta(seconds=90)
"""How long a tick draws charts for the next batch; what is left is for the next tick."""

MOST_RUNS = 20
"""Of one tick."""

type Place = tuple[date, str]


@dataclass(slots=True)
class Round:
    """What was seen and done in one look at a strategy's batches.

    Attributes:
        polled: Batches that were looked at.
        faults: Why something could not be done now.
        next: What came of asking on.
    """

    polled: list[Polled] = field(default_factory=list[Polled])
    faults: list[str] = field(default_factory=list[str])
    next: list[Submission] = field(default_factory=list[Submission])

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
        f"{len(submission.given_up)} are left to be asked alone: their questions failed "
        "too often": submission.given_up,
        f"{submission.left} are left for the next look": submission.left,
    }
    return ", ".join(text for text, is_so in told.items() if is_so)


@dataclass(frozen=True)
class BatchWork:
    """A strategy's batches, on the stores of a location."""

    lane: Lane
    warehouse: Warehouse
    desk: ModelDesk

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

        A server that does not answer is told of, and nothing else.

        Args:
            batch_id: Only this one; None for all that are out.
            until: When to leave the rest for another time.
        """
        told, work = Round(), self._batching()
        for batch in self._looked_at(batch_id):
            try:
                told.polled.append(work.poll(batch))
            except ModelUnavailable as error:
                told.faults.append(f"{batch.batch_id}: {error}")
                return told
        for unfinished in self.desk.batches.unfinished(self.lane.name):
            try:
                told.next.append(
                    self._asked_on(work, unfinished.run_id, unfinished.places, until)
                )
            except (BudgetSpent, ModelUnavailable) as error:
                told.faults.append(str(error))
        return told

    def cancel(self, batch_id: str) -> str:
        """Have a batch stopped; what its provider says it is then."""
        return self._batching().cancel(self.desk.batches.batch(batch_id))

    def finished(self) -> dict[str, list[Place]]:
        """Sessions and symbols of runs of which nothing is left to do, by run."""
        return self.desk.batches.finished(self.lane.name)

    def _looked_at(self, batch_id: str | None) -> Sequence[Batch]:
        if batch_id is not None:
            return [self.desk.batches.batch(batch_id)]
        own = self.desk.batches.batches(self.lane.name)
        return [batch for batch in own if batch.status in OPEN]

    def _asked_on(
        self,
        work: Batching,
        run_id: str,
        places: Sequence[Place],
        until: datetime | None,
    ) -> Submission:
        briefings = self._briefings(Requested.by_place(places))
        return work.submit(briefings, run_id, wanted=places, until=until)

    def _range(self, first: date, last: date, symbols: Sequence[str]) -> Requested:
        sessions = self.lane.calendar.between(first, last)
        return Requested.by_place(product(sessions, symbols))

    def _briefings(self, requested: Requested) -> Briefings:
        with self.warehouse.snapshot():
            return briefings_of(self.lane, self.warehouse, requested)

    def _batching(self) -> Batching:
        return Batching.of(self.reader, self.desk, self.lane.name)


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
        work = BatchWork(lane, warehouse, analysts)
        return _tick(work, json.loads(context.cursor or "[]"))

    return batches


def _tick(work: BatchWork, told: Sequence[str]) -> dg.SensorResult | dg.SkipReason:
    """One look at the batches of a strategy.

    Args:
        work: On its stores.
        told: Runs of which everything was asked for already.
    """
    if not work.desk.batches.batches(work.lane.name):
        return dg.SkipReason("nothing was ever asked in a batch")
    try:
        looked = work.poll(until=datetime.now(UTC) + TICK)
    except InvalidInput as error:  # no key, most likely
        return dg.SkipReason(str(error))
    asked = list(told)
    requests: list[dg.RunRequest] = []
    for run_id, places in work.finished().items():
        if run_id not in told and len(requests) < MOST_RUNS:
            requests += _runs(work.lane, run_id, places)
            asked.append(run_id)
    return dg.SensorResult(
        run_requests=requests,
        cursor=json.dumps(asked),
        skip_reason=None if requests else dg.SkipReason(looked.says),
    )


def _runs(lane: Lane, run_id: str, places: Sequence[Place]) -> Iterator[dg.RunRequest]:
    """The view of *places* and of nothing else, in as few runs as can be."""
    for first, last, symbols in rectangles(lane, places):
        key = f"{run_id}-{first}-{last}-{symbols[0]}-{symbols[-1]}"
        yield dg.RunRequest(
            run_key=f"{view_job_name(lane.name)}-{key}",
            job_name=view_job_name(lane.name),
            tags=range_tags(first, last, symbols, launched_by=BATCHES),
        )


def rectangles(
    lane: Lane, places: Sequence[Place]
) -> Iterator[tuple[date, date, tuple[str, ...]]]:
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
