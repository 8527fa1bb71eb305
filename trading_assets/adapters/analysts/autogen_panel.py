"""Agents of Microsoft AutoGen that talk about a briefing: an optional analyst.

AutoGen says who speaks when, and who has heard what; each agent's model is a client that
puts its turn to our own gateway. So every word of the conversation is a question of the
consultation like any other: in the ledger with its role and parents, within the budget,
asked once. What the last agent says is an opinion.

Tools are no model's to call: they are run before anybody is asked, and what they say lies
in the ledger with the question of the agent that is told of it.

AutoGen is no longer developed, so nothing else knows it.
"""

import hashlib
import inspect
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from types import ModuleType
from typing import Any, Self, override

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.conditions import MaxMessageTermination
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_core import CancellationToken
from autogen_core.models import (
    ChatCompletionClient,
    CreateResult,
    LLMMessage,
    ModelFamily,
    ModelInfo,
    RequestUsage,
    UserMessage,
)
from autogen_core.tools import Tool as AutogenTool
from autogen_core.tools import ToolSchema

from trading_assets.adapters.analysts.chart_reader import ChartReader, Put
from trading_assets.adapters.analysts.port import Briefings
from trading_assets.core.briefing import Briefing, Finding
from trading_assets.core.consultation import (
    AGAIN,
    AGENTS,
    Consultation,
    Role,
    Turn,
    analyst_hash,
)
from trading_assets.core.prompts import prompts_of
from trading_assets.core.reply import printable
from trading_assets.core.rule_modules import module_of
from trading_assets.errors import (
    InvalidInput,
    InvalidStrategy,
    ToolUnavailable,
    TradingAssetsError,
)
from trading_assets.models.question import Answer
from trading_assets.strategies.loading import LoadedStrategy
from trading_assets.strategies.spec import AsksModels, AutogenAnalyst, fingerprint

NAMES: Mapping[Role, str] = {
    Role.TECHNICAL: "TechnicalAnalyst",
    Role.FUNDAMENTAL: "FundamentalAnalyst",
    Role.SENTIMENT: "SentimentAnalyst",
    Role.RISK: "RiskManager",
    Role.DECISION: "Executor",
}
"""What the agents are called, by the roles under which the ledger knows them."""

LONGEST_FINDING = 20_000
"""Characters of what one tool may say."""

type Tool = Callable[[str, date], object]
"""Says in words what was known of a symbol at a session's close."""

SILENCE = "Nothing is left to be said."
"""Of an agent after the conversation came to nothing."""

ABILITIES = ModelInfo(
    vision=True,
    function_calling=False,
    json_output=True,
    structured_output=True,
    family=ModelFamily.UNKNOWN,
)

_NO_USAGE = RequestUsage(prompt_tokens=0, completion_tokens=0)
"""Tokens are counted in the ledger."""


@dataclass(frozen=True, slots=True)
class AutogenPanel(ChartReader):
    """A technical analyst, a risk manager and an executor, who speak once each.

    Between them may be agents for fundamentals and sentiment, who are told what tools say.

    Attributes:
        tools: By their roles and names, in the order in which they are told.
        tools_hash: Of the file that they are in; empty without any.
    """

    tools: tuple[tuple[Role, str, Tool], ...] = ()
    tools_hash: str = ""

    @classmethod
    @override
    def of(cls, strategy: LoadedStrategy, asked: AsksModels) -> Self:
        """The panel that the file of *strategy* describes.

        Raises:
            InvalidPrompt: If one of its prompts can't be read, or is broken.
            InvalidStrategy: If one of its tools is not to be found.
        """
        folder = strategy.path.parent
        consultation = Consultation(asked, prompts_of(asked, folder))
        if not isinstance(asked, AutogenAnalyst) or not asked.tools:
            return cls(consultation, strategy.spec.charts)
        module = module_of(asked.module, folder)
        tools = tuple(_tools(asked, module))
        source = Path(inspect.getfile(module)).read_bytes()
        digest = hashlib.sha256(source).hexdigest()
        return cls(consultation, strategy.spec.charts, tools, digest)

    @property
    @override
    def version_hash(self) -> str:
        own = analyst_hash(self.spec, self.charts, self.consultation.prompts)
        return fingerprint(own, self.tools_hash) if self.tools else own

    @override
    def briefing(self, briefings: Briefings, row: int) -> Briefing:
        """What is told of one row of *briefings*, and what tools say of it.

        Raises:
            InvalidInput: If a tool fails, or says what is no text.
            ToolUnavailable: If it fails for what may be over in a minute.
        """
        told = ChartReader.briefing(self, briefings, row)
        found = [
            Finding(role.value, name, _finding(name, tool, told.symbol, told.session))
            for role, name, tool in self.tools
        ]
        return replace(told, findings=tuple(found))

    @override
    async def consult(self, briefing: Briefing, put: Put) -> dict[str, Answer]:
        meeting = _Meeting(self.consultation, briefing, put)
        plan = self.consultation.plan
        team = RoundRobinGroupChat(
            [
                AssistantAgent(
                    NAMES[role],
                    model_client=_Voice(meeting, role),
                    description=role.value,
                    system_message=None,
                )
                for role in plan
            ],
            termination_condition=MaxMessageTermination(1 + len(plan)),
        )
        await team.run(task=f"What do you think of {briefing.label}?")
        if meeting.stopped_by is not None:
            raise meeting.stopped_by
        return meeting.heard


def _tools(asked: AutogenAnalyst, module: ModuleType) -> Iterator[tuple[Role, str, Tool]]:
    named = {Role.FUNDAMENTAL: asked.fundamental, Role.SENTIMENT: asked.sentiment}
    for role, names in named.items():
        for name in names:
            tool = getattr(module, name, None)
            if not callable(tool):
                raise InvalidStrategy(f"{asked.module} has no function {name} for {role}")
            yield role, name, tool


def _finding(name: str, tool: Tool, symbol: str, session: date) -> str:
    where = f"the tool {name} of {symbol} at {session}"
    try:
        text = tool(symbol, session)
    except OSError as error:  # connections and time-outs are among these
        raise ToolUnavailable(f"{where}: {type(error).__name__}: {error}") from error
    except Exception as error:
        raise InvalidInput(f"{where} failed: {type(error).__name__}: {error}") from error
    if not isinstance(text, str) or len(text) > LONGEST_FINDING:
        got = f"{len(text)}" if isinstance(text, str) else type(text).__name__
        raise InvalidInput(
            f"{where} must return a text of at most {LONGEST_FINDING} characters, was {got}"
        )
    return printable(text).strip()


@dataclass(slots=True)
class _Meeting:
    """One conversation about one briefing.

    Attributes:
        heard: Answers by the ids of their turns.
        stopped_by: Why nobody is asked any more. AutoGen would make another error of it
            on its way out, so it is kept here.
    """

    consultation: Consultation
    briefing: Briefing
    put: Put
    heard: dict[str, Answer] = field(default_factory=dict)
    stopped_by: TradingAssetsError | None = None

    async def speak(self, role: Role, present: set[str]) -> str:
        """Ask what is due of *role*, replies that are no good once more.

        Args:
            present: Names of the agents whose words it has heard.
        """
        said = ""
        try:
            while turns := self._due(role, present):
                answers = await self.put(turns, self.heard)
                self.heard |= answers
                said = next(iter(answers.values())).text
        except TradingAssetsError as error:
            self.stopped_by = error
        return said or SILENCE

    def _due(self, role: Role, present: set[str]) -> list[Turn]:
        if self.stopped_by is not None:
            return []
        due = self.consultation.due(self.briefing, self._known(role, present))
        return [turn for turn in due if turn.role is role]

    def _known(self, role: Role, present: set[str]) -> dict[str, Answer]:
        """Answers of the agents that *role* has heard, and its own."""
        spoken = [each for each in AGENTS if each is role or NAMES[each] in present]
        return {
            id_: answer
            for id_, answer in self.heard.items()
            if any(_is_of(id_, each) for each in spoken)
        }


def _is_of(turn_id: str, role: Role) -> bool:
    """Whether a turn is one of *role*: the decision's are numbered by sample."""
    return turn_id.removesuffix(AGAIN).partition("-")[0] == role.value


class _Voice(ChatCompletionClient):
    """The model of one agent: whatever it is to say is asked of our gateway."""

    def __init__(self, meeting: _Meeting, role: Role) -> None:
        self.meeting = meeting
        self.role = role

    @override
    async def create(
        self,
        messages: Sequence[LLMMessage],
        *,
        tools: Sequence[AutogenTool | ToolSchema] = (),
        tool_choice: Any = "auto",
        json_output: Any = None,
        extra_create_args: Mapping[str, Any] | None = None,
        cancellation_token: CancellationToken | None = None,
    ) -> CreateResult:
        present = {each.source for each in messages if isinstance(each, UserMessage)}
        said = await self.meeting.speak(self.role, present)
        return CreateResult(
            finish_reason="stop", content=said, usage=_NO_USAGE, cached=False
        )

    @override
    async def create_stream(
        self, messages: Sequence[LLMMessage], **told: Any
    ) -> AsyncGenerator[str | CreateResult, None]:
        yield await self.create(messages, **told)

    @override
    async def close(self) -> None:
        """Nothing is open: the gateway belongs to who asks."""

    @override
    def actual_usage(self) -> RequestUsage:
        return _NO_USAGE

    @override
    def total_usage(self) -> RequestUsage:
        return _NO_USAGE

    @override
    def count_tokens(self, messages: Sequence[LLMMessage], **told: Any) -> int:
        return 0

    @override
    def remaining_tokens(self, messages: Sequence[LLMMessage], **told: Any) -> int:
        return self.meeting.consultation.analyst.max_tokens

    @property
    @override
    def capabilities(self) -> ModelInfo:
        return ABILITIES

    @property
    @override
    def model_info(self) -> ModelInfo:
        return ABILITIES
