"""What is asked in which order, and what is concluded from the answers.

A consultation has no state: what can be asked now follows from the briefing and from what
was heard so far, whoever asks, in whatever order the answers come. So one evening, a
batch of ten thousand and a run that goes on after a crash are the same thing.

- A reply that breaks a rule, was cut off or can't be read is asked for once more, with the
  reasons. Then the turn has failed. What a model refuses is not asked for again.
- Who fails before the decision is told to later turns as not available: each of them sees
  all of the briefing itself, and can do without. That is told in the reasoning. A panel
  that has no reading at all abstains, and so does one of which a turn was refused: the
  rest would be paid for an opinion that nobody can compare with the others.
- A decision that fails abstains. Nobody says HOLD but a model.
- Of several samples, what most of them say counts; its share of all that were asked is the
  confidence, so a sample that failed counts against it. A tie abstains, as does a
  consultation of which more than half of the samples failed: no model has said HOLD then,
  and to draw lots would be no opinion. Levels are the medians of those who said it, which
  keep every rule that each of them keeps.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from statistics import median
from typing import Any, NamedTuple

from trading_assets.core.briefing import BRIEFING_VERSION, Briefing
from trading_assets.core.prompts import ALWAYS, Prompts
from trading_assets.core.reply import (
    DECISION_RULES,
    LEVELS,
    SCHEMA,
    SCHEMA_NAME,
    TURN_RULES,
    Reply,
    Terms,
    printable,
    reply_of,
)
from trading_assets.models.question import Answer, Errand, Image, Outcome, Question
from trading_assets.models.signal import Action
from trading_assets.strategies.spec import (
    AsksModels,
    AutogenAnalyst,
    Charts,
    LlmAnalyst,
    ModelAnalyst,
    fingerprint,
)

CONSULTATION_VERSION = "1"
"""Changes when the same answers lead to another conclusion."""

LONGEST_QUOTE = 6000
"""Characters of a reply that are shown to who has to mend it."""

AGAIN = "-repair"
"""Behind the id of a turn that is asked once more."""

BESIDE_THE_OPINION = frozenset(
    {"concurrency", "timeout_seconds", "budget", "cutoff", "prompts"}
)
"""Keys of an analyst that change no opinion; prompts count by their texts."""


class Role(StrEnum):
    """What a turn is for."""

    TECHNICAL = "technical"
    FUNDAMENTAL = "fundamental"
    SENTIMENT = "sentiment"
    DAILY = "daily"
    WEEKLY = "weekly"
    CONSOLIDATION = "consolidation"
    BULL = "bull"
    BEAR = "bear"
    RISK = "risk"
    DECISION = "decision"


READERS = (Role.DAILY, Role.WEEKLY)
DEBATE = (Role.BULL, Role.BEAR)

AGENTS: Mapping[Role, str] = {
    Role.TECHNICAL: "autogen_technical",
    Role.FUNDAMENTAL: "autogen_fundamental",
    Role.SENTIMENT: "autogen_sentiment",
    Role.RISK: "autogen_risk",
    Role.DECISION: "autogen_executor",
}
"""Roles of AutoGen's agents in the order in which they speak, and their prompts."""

type Plan = Mapping[Role, tuple[Role, ...]]
"""Roles in the order of their turns, and whose turns each is told of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """Something that can be asked now.

    Attributes:
        id: Within its consultation; what is heard is filed under it.
        parents: Ids of the turns whose answers the question quotes.
    """

    id: str
    role: Role
    question: Question
    parents: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Conclusion:
    """What a consultation came to.

    Attributes:
        action: None for an abstention, whose reason is the *reasoning*.
        confidence_score: 0 to 100; None for an abstention, as are the levels.
        entry: Currency per share as traded, as are the two below; None for none.
        call_id: Of the call that decided; empty for an abstention.
        call_ids: Of every call that was heard, in the order of the turns.
        models: All that answered, each once, as ``provider/name``.
    """

    action: Action | None
    confidence_score: float | None
    entry: float | None
    stop_loss: float | None
    take_profit: float | None
    reasoning: str
    call_id: str
    call_ids: tuple[str, ...]
    models: tuple[str, ...]

    @property
    def is_abstention(self) -> bool:
        """Whether there is no opinion."""
        return self.action is None


class Said(NamedTuple):
    """A turn that was answered well."""

    turn_id: str
    call_id: str
    reply: Reply


class Failed(NamedTuple):
    """A turn that came to nothing, and why."""

    turn_id: str
    reason: str
    is_refused: bool


@dataclass(slots=True)
class _Course:
    """How far a consultation has come.

    Attributes:
        ended: Turns that were heard to their end, by id without `AGAIN`.
        due: What can be asked now.
        blocked: Why there will be no decision; empty if there may be one.
    """

    ended: dict[str, Said | Failed] = field(default_factory=dict)
    due: list[Turn] = field(default_factory=list)
    blocked: str = ""


@dataclass(frozen=True, eq=False)
class Consultation:
    """How one analyst asks about briefings.

    Attributes:
        prompts: As `prompts_of` gives them for *analyst*.
    """

    analyst: AsksModels
    prompts: Prompts

    @cached_property
    def plan(self) -> Plan:
        """Whose turns there are."""
        if isinstance(self.analyst, LlmAnalyst):
            return {Role.DECISION: ()}
        if isinstance(self.analyst, AutogenAnalyst):
            spoken = tuple(_agents(self.analyst))
            return {role: spoken[:at] for at, role in enumerate(spoken)}
        debate = DEBATE if self.analyst.debate else ()
        found = (*READERS, Role.CONSOLIDATION)
        return {
            Role.DAILY: (),
            Role.WEEKLY: (),
            Role.CONSOLIDATION: READERS,
            **dict.fromkeys(debate, found),
            Role.RISK: (*found, *debate),
            Role.DECISION: (*found, *debate, Role.RISK),
        }

    @property
    def most_turns(self) -> int:
        """How many questions there are at most about one briefing."""
        return 2 * (len(self.plan) - 1 + self.analyst.samples)

    def due(self, briefing: Briefing, heard: Mapping[str, Answer]) -> tuple[Turn, ...]:
        """What can be asked now, in parallel; nothing once there is a conclusion.

        Args:
            heard: Answers by the ids of their turns.

        Raises:
            InvalidPrompt: If a prompt asks for what this briefing has not.
        """
        return tuple(self._course(briefing, heard).due)

    def conclusion(
        self, briefing: Briefing, heard: Mapping[str, Answer]
    ) -> Conclusion | None:
        """What follows from all that was heard; None while something is due."""
        course = self._course(briefing, heard)
        if course.due:
            return None
        decision = self._decided(briefing, course)
        ids = [each for id_ in self._turn_ids() for each in (id_, id_ + AGAIN)]
        answers = [heard[each] for each in ids if each in heard]
        return Conclusion(
            **decision,
            call_ids=tuple(answer.call_id for answer in answers),
            models=tuple(sorted({answer.model_asked for answer in answers})),
        )

    def errand(
        self,
        briefing: Briefing,
        turn: Turn,
        heard: Mapping[str, Answer],
        *,
        strategy: str,
        run_id: str = "",
    ) -> Errand:
        """On whose behalf *turn* is asked."""
        return Errand(
            strategy=strategy,
            symbol=briefing.symbol,
            session=briefing.session,
            role=turn.role.value,
            parents=tuple(heard[each].call_id for each in turn.parents),
            prompt_version=self.prompts.version,
            table_hash=briefing.table_hash,
            is_blind=briefing.is_blind,
            run_id=run_id,
        )

    def _turn_ids(self) -> Iterator[str]:
        for role in self.plan:
            yield from self._ids(role)

    def _ids(self, role: Role) -> tuple[str, ...]:
        """Ids of the turns of *role*: the decision has one for each sample."""
        if role is not Role.DECISION:
            return (role.value,)
        return tuple(f"{role}-{n}" for n in range(1, self.analyst.samples + 1))

    def _course(self, briefing: Briefing, heard: Mapping[str, Answer]) -> _Course:
        course = _Course()
        for role, told_of in self.plan.items():
            if not all(parent.value in course.ended for parent in told_of):
                continue
            parents = [course.ended[parent.value] for parent in told_of]
            blocked = _blocked(told_of, parents)
            course.blocked = course.blocked or blocked
            for number, id_ in enumerate(self._ids(role), 1) if not blocked else ():
                asked = _Asked(self, briefing, role, id_, number, told_of, parents)
                step = asked.after(heard)
                if isinstance(step, Turn):
                    course.due.append(step)
                else:
                    course.ended[id_] = step
        return course

    def _decided(self, briefing: Briefing, course: _Course) -> dict[str, Any]:
        """Everything of the conclusion that follows from the replies."""
        if course.blocked:
            return _abstention(course.blocked)
        samples = [course.ended[id_] for id_ in self._ids(Role.DECISION)]
        said = [each for each in samples if isinstance(each, Said)]
        failed = [each for each in samples if isinstance(each, Failed)]
        if 2 * len(failed) > len(samples) or not said:
            return _abstention(_failures(failed, len(samples)))
        votes = Counter(each.reply.action for each in said)
        most = max(votes.values())
        if list(votes.values()).count(most) > 1:
            return _abstention(f"The samples disagree: {_tally(votes, len(failed))}")
        winner = next(action for action, count in votes.items() if count == most)
        chosen = [each for each in said if each.reply.action is winner]
        tally = _tally(votes, len(failed)) if len(samples) > 1 else ""
        return {
            "action": winner,
            "confidence_score": (
                100 * most / len(samples)
                if len(samples) > 1
                else chosen[0].reply.confidence
            ),
            **_levels(briefing, winner, [each.reply for each in chosen]),
            "reasoning": _reasoning(briefing, course, chosen, tally),
            "call_id": chosen[0].call_id,
        }


@dataclass(frozen=True, slots=True)
class _Asked:
    """One turn of a consultation, until it is heard to its end."""

    consultation: Consultation
    briefing: Briefing
    role: Role
    id: str
    sample: int
    told_of: Sequence[Role]
    parents: Sequence[Said | Failed]

    def after(self, heard: Mapping[str, Answer]) -> Turn | Said | Failed:
        """What it has come to, or what is to be asked for it now."""
        answer = heard.get(self.id)
        if answer is None:
            return self._turn(self.id, self._task(), self._parent_ids)
        step = self._heard(self.id, answer)
        if isinstance(step, Said | Failed):
            return step
        again = self.id + AGAIN
        if (second := heard.get(again)) is None:
            parents = (self.id, *self._parent_ids)
            return self._turn(again, self._repair(answer, step), parents)
        last = self._heard(again, second)
        if isinstance(last, Said | Failed):
            return last
        return Failed(again, f"asked twice, {'; '.join(last)}", is_refused=False)

    def _heard(self, id_: str, answer: Answer) -> Said | Failed | tuple[str, ...]:
        """What *answer* is, or what is wrong with it."""
        if answer.outcome is Outcome.REFUSED:
            reason = f"refused: {printable(answer.reason) or 'no reason given'}"
            return Failed(id_, reason, is_refused=True)
        if answer.outcome is Outcome.TRUNCATED:
            return ("the reply was cut off before its end: be shorter",)
        if answer.outcome is not Outcome.ANSWERED:
            return (f"the reply could not be read: {printable(answer.reason)}",)
        is_decision = self.role is Role.DECISION
        terms = Terms(self.briefing.label, self.briefing.last_close, self.briefing.atr)
        rules = DECISION_RULES if is_decision else TURN_RULES
        reply = reply_of(answer.text, terms, rules)
        return Said(id_, answer.call_id, reply) if isinstance(reply, Reply) else reply

    @property
    def _parent_ids(self) -> tuple[str, ...]:
        return tuple(parent.turn_id for parent in self.parents)

    def _turn(self, id_: str, task: str, parents: tuple[str, ...]) -> Turn:
        asks, analyst = self.consultation, self.consultation.analyst
        context = _context(self.briefing)
        question = Question(
            model=analyst.model,
            system=asks.prompts.render("system", context),
            shared=_shared(self.briefing, asks.prompts.render("briefing", context)),
            task=task,
            schema_name=SCHEMA_NAME,
            schema=SCHEMA,
            effort=analyst.effort,
            max_tokens=analyst.max_tokens,
            sample=self.sample,
        )
        return Turn(id=id_, role=self.role, question=question, parents=parents)

    def _task(self) -> str:
        earlier = [
            _told(role, parent)
            for role, parent in zip(self.told_of, self.parents, strict=True)
        ]
        tools = [
            {"name": each.tool, "text": each.text}
            for each in self.briefing.findings
            if each.role == self.role
        ]
        context = _context(self.briefing) | {"earlier": earlier, "tools": tools}
        return self.consultation.prompts.render(self._prompt, context)

    @property
    def _prompt(self) -> str:
        match self.consultation.analyst:
            case LlmAnalyst():
                return "llm"
            case AutogenAnalyst():
                return AGENTS[self.role]
            case _:
                return self.role.value

    def _repair(self, answer: Answer, faults: tuple[str, ...]) -> str:
        said = printable(answer.text).strip()
        if len(said) > LONGEST_QUOTE:
            said = f"{said[:LONGEST_QUOTE]} …"
        told = {"task": self._task(), "reply": said, "faults": list(faults)}
        return self.consultation.prompts.render("repair", _context(self.briefing) | told)


def _agents(analyst: AutogenAnalyst) -> Iterator[Role]:
    """Roles of its agents; without tools nobody has fundamentals or sentiment to tell."""
    tools = {Role.FUNDAMENTAL: analyst.fundamental, Role.SENTIMENT: analyst.sentiment}
    return (role for role in AGENTS if tools.get(role, True))


def analyst_hash(analyst: ModelAnalyst, charts: Charts, prompts: Prompts) -> str:
    """Of everything but the briefing that an opinion of *analyst* depends on."""
    asked = analyst.model_dump(mode="json", exclude=set(BESIDE_THE_OPINION))
    shown = charts.model_dump(mode="json", exclude={"draw"})
    versions = (CONSULTATION_VERSION, BRIEFING_VERSION, SCHEMA)
    return fingerprint(*versions, prompts.version, asked, shown)


def _context(briefing: Briefing) -> dict[str, Any]:
    """What templates may name."""
    atr = briefing.atr
    told: dict[str, Any] = {
        **ALWAYS,
        "blind": briefing.is_blind,
        "symbol": briefing.label,
        "close": _number(briefing.last_close),
        "atr": "not known yet" if atr is None else f"{atr:.4g}",
        "sees_charts": briefing.charts_shown,
        "sees_table": bool(briefing.table),
        "daily_bars": len(briefing.daily.close),
        "weekly_bars": len(briefing.weekly.close),
        "table_bars": briefing.table_bars,
        "earlier": [],
        "tools": [],
    }
    return told if briefing.is_blind else told | {"session": str(briefing.session)}


def _shared(briefing: Briefing, opening: str) -> tuple[str | Image, ...]:
    """What stands before the task, the same bytes in every turn."""
    table = [briefing.table] if briefing.table else []
    return (opening, *briefing.charts, *table)


def _told(role: Role, step: Said | Failed) -> dict[str, Any]:
    """An earlier turn, for a template."""
    if isinstance(step, Failed):
        return {"role": role.value, "is_available": False, "reason": step.reason}
    levels = {name: step.reply.levels.get(name) for name in LEVELS}
    return {
        "role": role.value,
        "is_available": True,
        "action": step.reply.action.value,
        "confidence": f"{step.reply.confidence:g}",
        "evidence": step.reply.evidence,
        "reasoning": step.reply.reasoning,
        "invalidation": step.reply.invalidation,
        **{name: None if v is None else _number(v) for name, v in levels.items()},
    }


def _blocked(told_of: Sequence[Role], parents: Sequence[Said | Failed]) -> str:
    """Why a turn can't be asked; empty if it can."""
    failed = [
        (role, parent)
        for role, parent in zip(told_of, parents, strict=True)
        if isinstance(parent, Failed)
    ]
    for role, parent in failed:
        if parent.is_refused:
            return f"The turn {role} was {parent.reason}"
    if parents and len(failed) == len(parents):
        return "; ".join(
            f"The turn {role} failed: {parent.reason}" for role, parent in failed
        )
    return ""


def _abstention(reason: str) -> dict[str, Any]:
    nothing = dict.fromkeys(("action", "confidence_score", *LEVELS))
    return {**nothing, "reasoning": reason, "call_id": ""}


def _failures(failed: Sequence[Failed], samples: int) -> str:
    reasons = "; ".join(dict.fromkeys(each.reason for each in failed))
    if samples == 1:
        return f"The decision failed: {reasons}"
    return f"{len(failed)} of {samples} decisions failed: {reasons}"


def _tally(votes: Counter[Action], failed: int) -> str:
    counts = [f"{votes[action]} {action}" for action in Action if votes[action]]
    counts += [f"{failed} failed"] if failed else []
    return ", ".join(counts)


def _levels(
    briefing: Briefing, action: Action, replies: Sequence[Reply]
) -> dict[str, float | None]:
    """Medians as traded; a HOLD trades nothing, and has none."""
    if action is Action.HOLD:
        return dict.fromkeys(LEVELS)
    return {
        name: briefing.traded(median(reply.levels[name] for reply in replies))
        for name in LEVELS
    }


def _reasoning(
    briefing: Briefing, course: _Course, chosen: Sequence[Said], tally: str
) -> str:
    reply = chosen[0].reply
    parts = [f"Samples: {tally}."] if tally else []
    if len(chosen) > 1 and reply.action is not Action.HOLD:
        parts.append("Levels are medians; the words are those of the first of them.")
    parts.append(_sentence(reply.reasoning))
    if reply.invalidation:
        parts.append(f"Wrong if: {_sentence(reply.invalidation)}")
    missing = [
        f"{id_} ({step.reason})"
        for id_, step in course.ended.items()
        if isinstance(step, Failed) and not id_.startswith(Role.DECISION)
    ]
    if missing:
        parts.append(f"Not available: {', '.join(missing)}.")
    if briefing.is_blind:
        parts.append("(Seen blind: prices in these words are of 100 at the close.)")
    return " ".join(parts)


def _sentence(said: str) -> str:
    """*said* with a stop at its end."""
    return said if said.endswith((".", "!", "?", "…")) else f"{said}."


def _number(level: float) -> str:
    return f"{level:.8g}"
