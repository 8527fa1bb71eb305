"""One provider: its protocol, its keys, its pace, and what it can't do."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Protocol

from trading_assets.adapters.models import (
    anthropic_messages,
    chat_completions,
    openai_responses,
)
from trading_assets.adapters.models.access import BASE_URLS, Access, ApiKey, KeyPool
from trading_assets.adapters.models.anthropic_sdk import AnthropicCaller
from trading_assets.adapters.models.gate import Gate
from trading_assets.adapters.models.openai_sdk import OpenAiCaller
from trading_assets.adapters.models.pace import Pace
from trading_assets.adapters.models.replies import Reading, Reply, Silence
from trading_assets.adapters.models.verdicts import Verdict, judged
from trading_assets.errors import InvalidInput
from trading_assets.models.question import Provider, Question

NO_KEY = ApiKey("")
VARIABLES = {
    Provider.ANTHROPIC: "ANTHROPIC_API_KEY",
    Provider.OPENAI: "OPENAI_API_KEY",
    Provider.COMPATIBLE: "COMPATIBLE_BASE_URL",
}


class Caller(Protocol):
    """Sends requests, each exactly once."""

    async def send(
        self, key: str, arguments: dict[str, Any], gate: Gate
    ) -> Reply | Silence:
        """Send one request through *gate*; what came back, or that nothing did."""
        ...

    async def close(self) -> None:
        """Let go of the connections."""
        ...


class Request(Protocol):
    """Our questions in the words of a protocol."""

    def __call__(
        self, question: Question, model: str, *, has_schema: bool
    ) -> dict[str, Any]:
        """The arguments of the one function of an SDK."""
        ...


@dataclass(frozen=True, slots=True)
class Language:
    """A protocol, both ways."""

    request: Request
    read: Callable[[bytes], Reading]
    error_code: Callable[[Mapping[str, Any]], str]


LANGUAGES = {
    Provider.ANTHROPIC: Language(
        anthropic_messages.request, anthropic_messages.read, anthropic_messages.error_code
    ),
    Provider.OPENAI: Language(
        openai_responses.request, openai_responses.read, openai_responses.error_code
    ),
    Provider.COMPATIBLE: Language(
        chat_completions.request, chat_completions.read, chat_completions.error_code
    ),
}


@dataclass(slots=True)
class Server:
    """A provider that is being asked.

    Attributes:
        without_schema: Names of models for which it takes no schema.
        spent: Why it takes nothing more that costs; None while it does.
        closed_until: Until when models of a name want to be left alone, where that is
            longer than anybody waits.
    """

    provider: Provider
    caller: Caller
    keys: KeyPool
    pace: Pace
    timeout_seconds: float
    without_schema: set[str] = field(default_factory=set)
    spent: Verdict | None = None
    closed_until: dict[str, datetime] = field(default_factory=dict)

    async def ask(
        self, question: Question, model: str, key: ApiKey, gate: Gate, *, has_schema: bool
    ) -> Reply | Silence:
        """Send *question* once, through *gate*; what came back has no key in it."""
        request = LANGUAGES[self.provider].request
        arguments = request(question, model, has_schema=has_schema)
        came = await self.caller.send(key.secret, arguments, gate)
        return without_keys(came, self.keys)

    def judged(self, came: Reply | Silence, now: datetime) -> Verdict:
        """What to make of what came back."""
        language = LANGUAGES[self.provider]
        return judged(came, language.read, language.error_code, now)


def without_keys(came: Reply | Silence, keys: KeyPool) -> Reply | Silence:
    """*came* without any of *keys* in it."""
    if isinstance(came, Silence):
        reason = keys.scrubbed(came.reason.encode(errors="replace")).decode()
        return replace(came, reason=reason)
    headers = {name.lower(): value for name, value in came.headers.items()}
    return Reply(came.status, headers, keys.scrubbed(came.body))


def require_access(provider: Provider, access: Access) -> None:
    """Raise unless *provider* can be asked at all.

    Raises:
        InvalidInput: If there is no key for it, or no address; it names the variable.
    """
    if provider is Provider.COMPATIBLE:
        if not access.base_url:
            raise InvalidInput(
                "compatible/… models need to know where their server is: set "
                f"{VARIABLES[provider]}, such as http://127.0.0.1:11434/v1"
            )
    elif not access.keys:
        raise InvalidInput(f"{provider}/… models need a key: set {VARIABLES[provider]}")


def connect(
    provider: Provider, access: Access, timeout_seconds: float, pace: Pace
) -> Server:
    """Get ready to ask *provider*; nothing is sent yet."""
    require_access(provider, access)
    base_url = access.base_url or BASE_URLS[provider]
    caller: Caller
    if provider is Provider.ANTHROPIC:
        caller = AnthropicCaller(base_url, timeout_seconds)
    else:
        is_chat = provider is Provider.COMPATIBLE
        caller = OpenAiCaller(base_url, timeout_seconds, is_chat=is_chat)
    keys = access.keys or ((NO_KEY,) if provider is Provider.COMPATIBLE else ())
    return Server(provider, caller, KeyPool(keys), pace, timeout_seconds)
