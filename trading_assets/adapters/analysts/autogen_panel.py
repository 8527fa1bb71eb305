"""Three agents of Microsoft AutoGen that talk about a briefing: an optional analyst.

AutoGen says who speaks when, and who has heard what; each agent's model is a client that
puts its turn to our own gateway. So every word of the conversation is a question of the
consultation like any other: in the ledger with its role and parents, within the budget,
asked once. The client offers no tool, and what the last agent says is an opinion.

AutoGen is no longer developed, so nothing else knows it.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, override

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
from autogen_core.tools import Tool, ToolSchema

from trading_assets.adapters.analysts.chart_reader import ChartReader, Put
from trading_assets.core.briefing import Briefing
from trading_assets.core.consultation import AGAIN, AGENTS, Consultation, Role, Turn
from trading_assets.errors import TradingAssetsError
from trading_assets.models.question import Answer

NAMES: Mapping[Role, str] = {
    Role.TECHNICAL: "TechnicalAnalyst",
    Role.RISK: "RiskManager",
    Role.DECISION: "Executor",
}
"""What the agents are called, by the roles under which the ledger knows them."""

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
    """A technical analyst, a risk manager and an executor, who speak once each."""

    @override
    async def consult(self, briefing: Briefing, put: Put) -> dict[str, Answer]:
        meeting = _Meeting(self.consultation, briefing, put)
        team = RoundRobinGroupChat(
            [
                AssistantAgent(
                    NAMES[role],
                    model_client=_Voice(meeting, role),
                    description=role.value,
                    system_message=None,
                )
                for role in AGENTS
            ],
            termination_condition=MaxMessageTermination(1 + len(AGENTS)),
        )
        await team.run(task=f"What do you think of {briefing.label}?")
        if meeting.stopped_by is not None:
            raise meeting.stopped_by
        return meeting.heard


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
        tools: Sequence[Tool | ToolSchema] = (),
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
