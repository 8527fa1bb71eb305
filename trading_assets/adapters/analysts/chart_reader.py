"""An analyst that asks models, which look at the charts and the numbers.

What it has come to once is kept, and stands: whatever becomes of bars, prompts or the
strategy's file, a signal that is made again is the same and costs nothing, until somebody
asks anew. An opinion from which an order went to a real broker is never asked for again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Self, override

import numpy as np
import pandas as pd

from trading_assets.adapters.analysts.desk import ModelDesk
from trading_assets.adapters.analysts.port import (
    NOBODY,
    Analyst,
    Asking,
    Briefings,
    Estimate,
    Opined,
)
from trading_assets.adapters.models.port import ModelGateway
from trading_assets.adapters.models.prices import expected_usd, most_usd
from trading_assets.core.briefing import (
    Briefing,
    bars_for_briefing,
    briefing_of,
    shortage,
)
from trading_assets.core.consultation import Conclusion, Consultation, Turn, analyst_hash
from trading_assets.core.model_cutoffs import is_out_of_sample
from trading_assets.core.opinions import confidence_of
from trading_assets.core.panel import Panel
from trading_assets.core.prompts import prompts_of
from trading_assets.errors import InvalidInput, QuestionIsOut, QuestionRejected
from trading_assets.models.kept_opinion import KeptOpinion
from trading_assets.models.question import Answer, Provider
from trading_assets.models.signal import Signal
from trading_assets.models.tables import SIGNALS
from trading_assets.strategies.loading import LoadedStrategy
from trading_assets.strategies.spec import AsksModels, Charts, fingerprint

MOST_REJECTED = 3
"""If nobody takes the first so many questions ever, the others are not put."""

type Place = tuple[date, str]
"""A session and a symbol."""

type Heard = Mapping[str, Answer]
"""Answers by the ids of their turns."""

type Put = Callable[[Sequence[Turn], Heard], Awaitable[dict[str, Answer]]]
"""Puts the questions of turns that are due after what was heard, all at once."""


@dataclass(frozen=True, slots=True)
class ChartReader(Analyst):
    """Asks one model, or a panel of its turns, about each briefing."""

    consultation: Consultation
    charts: Charts

    @classmethod
    def of(cls, strategy: LoadedStrategy, asked: AsksModels) -> Self:
        """The analyst that the file of *strategy* describes.

        Raises:
            InvalidPrompt: If one of its prompts can't be read, or is broken.
        """
        prompts = prompts_of(asked, strategy.path.parent)
        return cls(Consultation(asked, prompts), strategy.spec.charts)

    @property
    def spec(self) -> AsksModels:
        """What the strategy's file says of it."""
        return self.consultation.analyst

    @property
    @override
    def name(self) -> str:
        return f"{self.spec.kind}:{self.spec.model}"

    @property
    @override
    def version_hash(self) -> str:
        return analyst_hash(self.spec, self.charts, self.consultation.prompts)

    @property
    @override
    def indicators(self) -> tuple[str, ...]:
        return ()

    @property
    @override
    def bars(self) -> int:
        return bars_for_briefing(self.charts)

    @property
    @override
    def needs_charts(self) -> bool:
        return self.spec.sees_charts

    @property
    @override
    def asks_models(self) -> bool:
        return True

    @override
    def signals(self, briefings: Briefings, asking: Asking = NOBODY) -> Opined:
        known = self._known(briefings, asking)
        inquiry = _Inquiry(self, briefings, asking, known)
        if inquiry.rows:
            if asking.desk is None:
                raise InvalidInput(f"{briefings.strategy}: there is nobody to ask models")
            asyncio.run(inquiry.hold(asking.desk))
        older = [it for it in known.values() if it.version_hash != self.version_hash]
        return Opined(
            rows=_frame(inquiry.signals),
            kept=len(known),
            older=len(older),
            stopped_by=inquiry.stopped_by or inquiry.waits_for,
        )

    @override
    def estimate(self, briefings: Briefings, asking: Asking = NOBODY) -> Estimate:
        return self._estimate(briefings, asking, self.spec.models)

    def batch_estimate(self, briefings: Briefings, asking: Asking) -> Estimate:
        """What asking in batches would cost now, where there is no fallback."""
        return self._estimate(briefings, asking, [self.spec.model], is_batch=True)

    def _estimate(
        self,
        briefings: Briefings,
        asking: Asking,
        models: Sequence[str],
        *,
        is_batch: bool = False,
    ) -> Estimate:
        rows = self.unknown(briefings, asking)
        if not rows:
            return Estimate(partitions=0, questions=0, expected_usd=0.0, most_usd=0.0)
        first = self.briefing(briefings, rows[0])
        question = self.consultation.due(first, {})[0].question
        turns = self.consultation.most_turns // 2
        expected = expected_usd(question, self.spec.model, is_batch=is_batch)
        highest = max(most_usd(question, it, is_batch=is_batch) for it in models)
        return Estimate(
            partitions=len(rows),
            questions=len(rows) * turns,
            expected_usd=len(rows) * turns * expected,
            most_usd=len(rows) * self.consultation.most_turns * highest,
        )

    def unknown(self, briefings: Briefings, asking: Asking) -> list[int]:
        """Briefings that somebody would have to be asked about, by number."""
        known = self._known(briefings, asking)
        return _Inquiry(self, briefings, asking, known).rows

    def _known(self, briefings: Briefings, asking: Asking) -> dict[Place, KeptOpinion]:
        """Opinions that stand, by session and symbol."""
        places = list(_places(briefings))
        if not places or asking.desk is None:
            return {}
        sessions = [session for session, _ in places]
        symbols = sorted({symbol for _, symbol in places})
        kept = asking.desk.opinions.kept(
            briefings.strategy, symbols, min(sessions), max(sessions)
        )
        standing = {place: kept[place] for place in places if place in kept}
        if not asking.is_refreshing:
            return standing
        # A run that is tried again has paid for what it has asked anew so far.
        traded = asking.desk.traded(briefings.strategy)
        return {
            place: own
            for place, own in standing.items()
            if place in traded or (own.run_id and own.run_id == asking.run_id)
        }

    def briefing(self, briefings: Briefings, row: int) -> Briefing:
        """What is told of one row of *briefings*; its pictures are drawn for it."""
        panel, at, last = _bar(briefings, row)
        source = briefings.sources.get(panel.symbols[at], "")
        return briefing_of(panel, at, last, self.charts, self.spec, source)

    async def consult(self, briefing: Briefing, put: Put) -> dict[str, Answer]:
        """Ask about *briefing*, turn after turn, until nothing is due any more.

        Raises:
            TradingAssetsError: Whatever *put* raises.
        """
        heard: dict[str, Answer] = {}
        while turns := self.consultation.due(briefing, heard):
            heard |= await put(turns, heard)
        return heard

    def opinion(
        self,
        strategy: str,
        briefing: Briefing,
        heard: Mapping[str, Answer],
        cost_usd: float,
        run_id: str,
    ) -> KeptOpinion:
        """What is kept of a consultation of which nothing is due any more.

        Args:
            strategy: Whose opinion it is.
            briefing: What was asked about.
            heard: Answers by the ids of their turns.
            cost_usd: Of all of them, when they were asked.
            run_id: Of the run that asked.
        """
        conclusion = self.consultation.conclusion(briefing, heard)
        if conclusion is None:
            raise ValueError(
                f"{strategy} {briefing.symbol}: something is still to be asked"
            )
        answers = list(heard.values())
        return KeptOpinion(
            signal=self._signal(strategy, briefing, conclusion, answers, cost_usd),
            call_ids=conclusion.call_ids,
            version_hash=self.version_hash,
            run_id=run_id,
        )

    def _signal(
        self,
        strategy: str,
        briefing: Briefing,
        conclusion: Conclusion,
        answers: Sequence[Answer],
        cost_usd: float,
    ) -> Signal:
        score = conclusion.confidence_score
        version = self.version_hash
        return Signal(
            strategy=strategy,
            symbol=briefing.symbol,
            session=briefing.session,
            action=conclusion.action,
            confidence=None if score is None else confidence_of(score),
            confidence_score=score,
            entry=conclusion.entry,
            stop_loss=conclusion.stop_loss,
            take_profit=conclusion.take_profit,
            risk_reward=_risk_reward(conclusion),
            reasoning=conclusion.reasoning,
            analyst=self.name,
            model=" ".join(conclusion.models),
            prompt_version=self.consultation.prompts.version,
            call_id=conclusion.call_id,
            cost_usd=cost_usd,
            input_tokens=sum(it.usage.input_tokens for it in answers),
            output_tokens=sum(it.usage.output_tokens for it in answers),
            latency_seconds=sum(it.latency_seconds for it in answers),
            is_abstention=conclusion.is_abstention,
            is_out_of_sample=is_out_of_sample(
                {*conclusion.models, *_spoke(answers)}, briefing.session, self.spec.cutoff
            ),
            inputs_hash=fingerprint(briefing.content_hash, version),
        )


@dataclass(slots=True)
class _Inquiry:
    """Asking about all that nobody has an opinion of yet, until something stops it.

    Attributes:
        reader: Who asks.
        known: Opinions that stand.
        rows: Briefings that have to be asked about, by number.
        found: What was made of them so far, abstentions without a question among them.
        stopped_by: Why no more is asked.
        waits_for: Why something is missing, though all else was asked.
        begun: How many were asked about so far, in their order.
        rejected: Numbers of those that nobody takes a question about.
    """

    reader: ChartReader
    briefings: Briefings
    asking: Asking
    known: Mapping[Place, KeptOpinion]
    rows: list[int] = field(default_factory=list[int])
    found: dict[int, Signal] = field(default_factory=dict[int, Signal])
    stopped_by: Exception | None = None
    waits_for: QuestionIsOut | QuestionRejected | None = None
    begun: int = 0
    rejected: set[int] = field(default_factory=set[int])

    def __post_init__(self) -> None:
        for row, place in enumerate(_places(self.briefings)):
            if place in self.known:
                self.found[row] = self.known[place].signal
            elif why := self._shortage(row):
                self.found[row] = self._abstention(place, why)
            else:
                self.rows.append(row)

    @property
    def signals(self) -> list[Signal]:
        """What there is, in the order of the briefings."""
        return [self.found[row] for row in sorted(self.found)]

    async def hold(self, desk: ModelDesk) -> None:
        """Ask about each of `rows`, several at a time, and end what was begun."""
        spec, waiting = self.reader.spec, iter(self.rows)
        gateway = desk.gateway(spec, is_refreshing=self.asking.is_refreshing)
        async with gateway, asyncio.TaskGroup() as group:
            for _ in range(min(spec.concurrency, len(self.rows))):
                group.create_task(self._work(waiting, desk, gateway))

    async def _work(
        self, waiting: Iterator[int], desk: ModelDesk, gateway: ModelGateway
    ) -> None:
        for row in waiting:
            if self.stopped_by is not None:
                return
            number, self.begun = self.begun, self.begun + 1
            try:
                opinion = await self._asked(row, gateway)
                self.found[row] = await asyncio.to_thread(self._kept, desk, opinion)
            except QuestionIsOut as error:
                self.waits_for = error
            except QuestionRejected as error:
                self.waits_for = error
                self.rejected.add(number)
                if not self.known and self.rejected.issuperset(range(MOST_REJECTED)):
                    self.stopped_by = self.stopped_by or error
            # Whatever it is, what others have asked for already is heard to its end.
            except Exception as error:  # noqa: BLE001
                self.stopped_by = self.stopped_by or error

    def _kept(self, desk: ModelDesk, opinion: KeptOpinion) -> Signal:
        """The signal that stands: not *opinion*, if its forerunner is being traded now."""
        own, strategy = opinion.signal, self.briefings.strategy
        place = (own.session, own.symbol)
        if self.asking.is_refreshing and place in desk.traded(strategy):
            before = desk.opinions.kept(strategy, [own.symbol], own.session, own.session)
            if place in before:
                return before[place].signal
        desk.opinions.keep([opinion])
        return own

    async def _asked(self, row: int, gateway: ModelGateway) -> KeptOpinion:
        """Ask about one briefing until there is a conclusion.

        Raises:
            BudgetSpent: If the next question could cost too much.
            ModelUnavailable: If nobody could be heard.
            QuestionRejected: If nobody takes a question about it.
            QuestionIsOut: If a batch asks it already.
        """
        briefing = self.reader.briefing(self.briefings, row)

        async def put(turns: Sequence[Turn], heard: Heard) -> dict[str, Answer]:
            return await self._answers(briefing, turns, heard, gateway)

        heard = await self.reader.consult(briefing, put)
        cost = sum(it.recorded_cost_usd for it in heard.values())
        return self.reader.opinion(
            self.briefings.strategy, briefing, heard, cost, self.asking.run_id
        )

    async def _answers(
        self,
        briefing: Briefing,
        turns: Sequence[Turn],
        heard: Mapping[str, Answer],
        gateway: ModelGateway,
    ) -> dict[str, Answer]:
        """Put the questions of *turns* at once; all are heard before one may fail."""
        errands = [
            self.reader.consultation.errand(
                briefing,
                turn,
                heard,
                strategy=self.briefings.strategy,
                run_id=self.asking.run_id,
            )
            for turn in turns
        ]
        said = await asyncio.gather(
            *(
                gateway.answer(turn.question, errand)
                for turn, errand in zip(turns, errands, strict=True)
            ),
            return_exceptions=True,
        )
        answers: dict[str, Answer] = {}
        for turn, answer in zip(turns, said, strict=True):
            if isinstance(answer, BaseException):
                raise answer
            answers[turn.id] = answer
        return answers

    def _shortage(self, row: int) -> str:
        panel, at, last = _bar(self.briefings, row)
        return shortage(panel, at, last, self.reader.charts)

    def _abstention(self, place: Place, why: str) -> Signal:
        """No opinion, and nobody was asked for one."""
        session, symbol = place
        spec, version = self.reader.spec, self.reader.version_hash
        return Signal(
            strategy=self.briefings.strategy,
            symbol=symbol,
            session=session,
            action=None,
            confidence=None,
            confidence_score=None,
            entry=None,
            stop_loss=None,
            take_profit=None,
            risk_reward=None,
            reasoning=why,
            analyst=self.reader.name,
            model=spec.model,
            prompt_version=self.reader.consultation.prompts.version,
            call_id="",
            cost_usd=0.0,
            is_abstention=True,
            is_out_of_sample=is_out_of_sample([spec.model], session, spec.cutoff),
            inputs_hash=fingerprint(why, version),
        )


def _frame(signals: Sequence[Signal]) -> pd.DataFrame:
    """*signals* as rows, their words plain text as a rule's are."""
    frame = SIGNALS.frame(signals)
    words = ["action", "confidence"]
    frame[words] = frame[words].map(lambda word: word and word.value)
    return frame


def _places(briefings: Briefings) -> Iterator[Place]:
    views = briefings.views
    return zip(views.session.astype(object).tolist(), views.symbol.tolist(), strict=True)


def _bar(briefings: Briefings, row: int) -> tuple[Panel, int, int]:
    """The panel, the number of the row's symbol in it, and where its session's bar lies."""
    views, panel = briefings.views, briefings.panel
    if panel is None:
        raise ValueError(f"{briefings.strategy}: there are no bars to draw charts from")
    at = panel.symbols.index(str(views.symbol[row]))
    rows = panel.rows(at)
    place = np.searchsorted(panel.sessions[rows], views.session[row])
    return panel, at, rows.start + int(place)


def _spoke(answers: Sequence[Answer]) -> set[str]:
    """Models that say that they have answered; a server of one's own may say anything."""
    own = f"{Provider.COMPATIBLE}/"
    theirs = (it.model_answered for it in answers if not it.model_asked.startswith(own))
    return {model for model in theirs if model}


def _risk_reward(conclusion: Conclusion) -> float | None:
    """(target - entry) / (entry - stop), signs kept; None without all three."""
    entry, stop, target = conclusion.entry, conclusion.stop_loss, conclusion.take_profit
    if entry is None or stop is None or target is None or entry == stop:
        return None
    return (target - entry) / (entry - stop)
