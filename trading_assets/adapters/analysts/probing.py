"""Putting probes to a strategy's model, through the same gateway as its opinions.

So they are in the ledger, within the strategy's budget, and free when they are repeated.
An opinion is asked for with the strategy's own prompts and settings, as it would be asked
tonight; only what the probe is about differs.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import NamedTuple, Self

from trading_assets.adapters.analysts.desk import ModelDesk
from trading_assets.adapters.analysts.port import Estimate
from trading_assets.adapters.models.port import ModelGateway
from trading_assets.adapters.models.prices import expected_usd, most_usd
from trading_assets.core.briefing import Briefing, briefing_of, shortage
from trading_assets.core.consultation import Consultation
from trading_assets.core.leak_probes import (
    DOWN,
    MOST_SYMBOLS,
    UP,
    Finding,
    Pair,
    Probe,
    candidates,
    choice_in,
    commonest,
    counterfactual,
    direction,
    mirrored,
    named,
    probe_prompts,
    quarter_of,
    quarters_between,
    recall,
    recognition,
    remembered,
    repeated,
)
from trading_assets.core.panel import Panel
from trading_assets.core.prompts import prompts_of
from trading_assets.errors import InvalidInput, TradingAssetsError
from trading_assets.models.question import Answer, Errand, Question
from trading_assets.strategies.loading import LoadedStrategy
from trading_assets.strategies.spec import AsksModels, AutogenAnalyst

ROLE = "probe"
"""What the roles of all questions begin with."""

ONCE_MORE = 100
"""Added to the number of a sample, so that the same words are another question."""

ANSWER_TOKENS = 200
"""Of a likely answer to what is no opinion."""

SINGLE, OPINIONS = 2, 4
"""Questions about one place that are no opinion, and opinions."""


class Place(NamedTuple):
    """A symbol of a panel by its number, and where a session's bar lies in it."""

    at: int
    last: int


@dataclass(frozen=True, slots=True, eq=False)
class Prober:
    """What is put to the model of one strategy.

    Attributes:
        asked: The analyst that its file describes.
        panel: Bars of its symbols, those after each place included.
        places: What is asked about.
        sources: Where each symbol's bars came from.
    """

    strategy: LoadedStrategy
    asked: AsksModels
    panel: Panel
    places: tuple[Place, ...]
    sources: Mapping[str, str]

    @classmethod
    def of(
        cls,
        strategy: LoadedStrategy,
        panel: Panel,
        sources: Mapping[str, str],
        symbols: Sequence[str],
        sessions: int,
    ) -> Self:
        """Probes of *strategy* at *sessions* of each of *symbols*, evenly apart.

        Args:
            strategy: One that asks models.
            panel: All of its bars that there are.
            sources: Where each symbol's bars came from.
            symbols: Those that are asked about.
            sessions: How many of each, at most.

        Raises:
            InvalidInput: If it asks no model, or if no session of any symbol has bars
                enough before and after it.
        """
        asked = strategy.spec.analyst
        if not isinstance(asked, AsksModels):
            raise InvalidInput(
                f"--strategy must be one that asks a model, {strategy.spec.name} asks "
                f"{asked.kind}"
            )
        if isinstance(asked, AutogenAnalyst) and asked.tools:
            raise InvalidInput(
                f"--strategy must be one that can be asked blind: {strategy.spec.name} has "
                f"the tools {', '.join(asked.tools)}, which tell which symbol it is"
            )
        places = tuple(_places(strategy, panel, symbols, sessions))
        if not places:
            raise InvalidInput(
                f"{strategy.spec.name}: no session since {strategy.spec.start} of "
                f"{', '.join(symbols)} has bars enough before and after it to ask about: "
                "make more history with trading-assets backfill"
            )
        return cls(strategy, asked, panel, places, sources)

    @property
    def sessions(self) -> tuple[date, ...]:
        """Of the places, in their order."""
        return tuple(self.session_of(place) for place in self.places)

    def estimate(self) -> Estimate:
        """What it costs if nothing of it is in the ledger; nobody is asked."""
        place = self.places[0]
        single = [self.recognition_of(place), self.recall_of(place)]
        consultation = self.consultation(is_blind=True)
        briefing = self.briefing(place, is_blind=True)
        opinion = consultation.due(briefing, {})[0].question
        turns = OPINIONS * consultation.most_turns // 2
        usual, most = self.asked.model, self.asked.models
        expected = turns * expected_usd(opinion, usual) + sum(
            expected_usd(own, usual, output_tokens=ANSWER_TOKENS) for own in single
        )
        highest = max(
            2 * turns * most_usd(opinion, model)
            + sum(most_usd(own, model) for own in single)
            for model in most
        )
        return Estimate(
            partitions=len(self.places),
            questions=len(self.places) * (SINGLE + turns),
            expected_usd=len(self.places) * expected,
            most_usd=len(self.places) * highest,
        )

    def findings(self, desk: ModelDesk) -> tuple[Finding, ...]:
        """What came of every probe.

        Raises:
            BudgetSpent: If the next question could cost too much; what was heard so far is
                in the ledger.
            ModelUnavailable: If nobody could be heard.
            InvalidInput: If whom it asks has no key, no address or no known price.
        """
        examination = _Examination(self)
        asyncio.run(examination.hold(desk))
        return tuple(self._concluded(examination.heard))

    def _concluded(self, heard: "Mapping[Probe, Sequence[Pair]]") -> Iterator[Finding]:
        symbols = min(len(self.strategy.spec.universe), MOST_SYMBOLS)
        choices = (
            (Probe.SYMBOL, symbols),
            (Probe.QUARTER, len(self.quarters)),
            (Probe.RECALL, len((UP, DOWN))),
        )
        for probe, count in choices:
            chance = max(1 / count, commonest([so for _, so in heard[probe]]))
            if chance < 1:  # else whoever always says it is right
                yield remembered(probe, heard[probe], chance)
        noise = repeated(heard[Probe.REPEAT])
        yield noise
        yield named(heard[Probe.NAMED], noise)
        yield counterfactual(heard[Probe.COUNTERFACTUAL])

    @property
    def quarters(self) -> tuple[str, ...]:
        """Those that may be guessed: of every session that is asked about."""
        return quarters_between(min(self.sessions), max(self.sessions))

    def symbol_of(self, place: Place) -> str:
        """Which symbol it is."""
        return self.panel.symbols[place.at]

    def session_of(self, place: Place) -> date:
        """Which session it is."""
        return self.panel.sessions[place.last].item()

    def consultation(self, *, is_blind: bool) -> Consultation:
        """How the strategy's analyst asks, were it blind or not."""
        asked = self.asked.model_copy(update={"blind": is_blind})
        return Consultation(asked, prompts_of(asked, self.strategy.path.parent))

    def briefing(
        self, place: Place, *, is_blind: bool, is_mirrored: bool = False
    ) -> Briefing:
        """What the analyst would be shown there, were it blind, or the bars turned."""
        panel, (at, last) = self.panel, place
        if is_mirrored:
            panel = mirrored(panel, at, last)
            at, last = 0, len(panel.sessions) - 1
        asked = self.asked.model_copy(update={"blind": is_blind})
        source = self.sources.get(self.symbol_of(place), "")
        return briefing_of(panel, at, last, self.strategy.spec.charts, asked, source)

    def recognition_of(self, place: Place) -> Question:
        """Which symbol it is, and when."""
        names = candidates(self.symbol_of(place), self.strategy.spec.universe)
        briefing = self.briefing(place, is_blind=True)
        return recognition(self.asked, briefing, names, self.quarters)

    def recall_of(self, place: Place) -> Question:
        """Where it went from there."""
        return recall(self.asked, self.symbol_of(place), self.session_of(place))


@dataclass(slots=True)
class _Examination:
    """Asking everything about every place, until something stops it."""

    prober: Prober
    heard: dict[Probe, list[Pair]] = field(default_factory=lambda: defaultdict(list))
    stopped_by: TradingAssetsError | None = None

    async def hold(self, desk: ModelDesk) -> None:
        """Ask about each place, several at a time, and end what was begun."""
        asked, waiting = self.prober.asked, iter(self.prober.places)
        gateway = desk.gateway(asked, is_refreshing=False)
        async with gateway, asyncio.TaskGroup() as group:
            for _ in range(min(asked.concurrency, len(self.prober.places))):
                group.create_task(self._work(waiting, gateway))
        if self.stopped_by is not None:
            raise self.stopped_by

    async def _work(self, waiting: Iterator[Place], gateway: ModelGateway) -> None:
        steps: tuple[Callable[[Place, ModelGateway], Awaitable[None]], ...] = (
            self._remember,
            self._opine,
        )
        for place in waiting:
            for step in steps:
                if self.stopped_by is not None:
                    return
                try:
                    await step(place, gateway)
                except TradingAssetsError as error:
                    self.stopped_by = self.stopped_by or error

    async def _remember(self, place: Place, gateway: ModelGateway) -> None:
        """Ask what can only be remembered."""
        own = self.prober
        symbol, session = own.symbol_of(place), own.session_of(place)
        names, quarters = candidates(symbol, own.strategy.spec.universe), own.quarters
        question = own.recognition_of(place)
        answer = await gateway.answer(question, self._errand(place, "recognition"))
        self._note(Probe.SYMBOL, choice_in(answer.text, "symbol", names), symbol)
        said = choice_in(answer.text, "quarter", quarters)
        self._note(Probe.QUARTER, said, quarter_of(session))
        question = own.recall_of(place)
        answer = await gateway.answer(
            question, self._errand(place, "recall", is_blind=False)
        )
        said = choice_in(answer.text, "direction", (UP, DOWN))
        self._note(Probe.RECALL, said, direction(own.panel, place.at, place.last))

    async def _opine(self, place: Place, gateway: ModelGateway) -> None:
        """Ask for opinions that should be the same, and for one that should not."""
        blind = await self._opinion(place, gateway, "blind")
        again = await self._opinion(place, gateway, "repeat", once_more=ONCE_MORE)
        told = await self._opinion(place, gateway, "named", is_blind=False)
        turned = await self._opinion(place, gateway, "counterfactual", is_mirrored=True)
        self._note(Probe.REPEAT, blind, again)
        self._note(Probe.NAMED, blind, told)
        self._note(Probe.COUNTERFACTUAL, blind, turned)

    async def _opinion(
        self,
        place: Place,
        gateway: ModelGateway,
        name: str,
        *,
        is_blind: bool = True,
        is_mirrored: bool = False,
        once_more: int = 0,
    ) -> str | None:
        """The action that the strategy's analyst comes to; None if it abstains."""
        consultation = self.prober.consultation(is_blind=is_blind)
        briefing = self.prober.briefing(place, is_blind=is_blind, is_mirrored=is_mirrored)
        heard: dict[str, Answer] = {}
        while turns := consultation.due(briefing, heard):
            for turn in turns:
                errand = consultation.errand(
                    briefing, turn, heard, strategy=self.prober.strategy.spec.name
                )
                question = replace(turn.question, sample=turn.question.sample + once_more)
                role = f"{ROLE}:{name}:{turn.role}"
                heard[turn.id] = await gateway.answer(question, replace(errand, role=role))
        conclusion = consultation.conclusion(briefing, heard)
        assert conclusion is not None  # noqa: S101 - nothing is due any more
        return None if conclusion.action is None else conclusion.action.value

    def _errand(self, place: Place, name: str, *, is_blind: bool = True) -> Errand:
        own = self.prober
        return Errand(
            strategy=own.strategy.spec.name,
            symbol=own.symbol_of(place),
            session=own.session_of(place),
            role=f"{ROLE}:{name}",
            prompt_version=probe_prompts().version,
            is_blind=is_blind,
        )

    def _note(self, probe: Probe, one: str | None, other: str | None) -> None:
        self.heard[probe].append((one, other))


def _places(
    strategy: LoadedStrategy, panel: Panel, symbols: Sequence[str], sessions: int
) -> Iterator[Place]:
    for symbol in sorted(symbols):
        if symbol not in panel.symbols:
            continue
        at = panel.symbols.index(symbol)
        rows = panel.rows(at)
        good = [
            Place(at, last)
            for last in range(rows.start, rows.stop)
            if panel.sessions[last].item() >= strategy.spec.start
            and direction(panel, at, last) is not None
            and not shortage(panel, at, last, strategy.spec.charts)
        ]
        count = min(sessions, len(good))
        yield from (good[number * len(good) // count] for number in range(count))
