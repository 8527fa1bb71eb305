"""Handing questions to a provider together, and asking after them.

Each request has its time and is sent once. What nobody answered may have arrived: it is
told apart from what did not.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from typing import Any, Protocol

from trading_assets.adapters.models import batch_lines
from trading_assets.adapters.models.access import (
    BASE_URLS,
    Access,
    Accesses,
    ApiKey,
    KeyPool,
)
from trading_assets.adapters.models.anthropic_sdk import AnthropicBatchCaller
from trading_assets.adapters.models.batch_lines import Line, RemoteBatch
from trading_assets.adapters.models.openai_sdk import OpenAiBatchCaller
from trading_assets.adapters.models.replies import (
    Reply,
    Silence,
    excerpt,
    is_refusal,
    mapping,
    parsed,
    words,
)
from trading_assets.adapters.models.servers import (
    LANGUAGES,
    require_access,
    without_keys,
)
from trading_assets.adapters.models.verdicts import is_spend_limit
from trading_assets.errors import BatchGone, InvalidInput, ModelUnavailable
from trading_assets.models.question import Provider, Question

NEWEST = 100
"""Batches that are looked through for one of ours."""

MOST_QUESTIONS = {Provider.ANTHROPIC: 100_000, Provider.OPENAI: 50_000}
MOST_BYTES = 150_000_000
"""Of one batch: below what either takes, and no more than a machine holds thrice."""

SHUT = (HTTPStatus.UNAUTHORIZED, HTTPStatus.PAYMENT_REQUIRED, HTTPStatus.FORBIDDEN)
"""Whoever asks is not let in, whatever the questions are."""

GONE = (HTTPStatus.NOT_FOUND, HTTPStatus.GONE)
ASK_SECONDS = 20.0
SEND_SECONDS = 900.0

OVERLOADED = 529
"""Of Anthropic, who took nothing of what was sent."""


class BatchCaller(Protocol):
    """Sends requests about batches, each exactly once."""

    async def create(
        self, key: str, tag: str, requests: Sequence[tuple[str, dict[str, Any]]]
    ) -> Reply | Silence:
        """Hand in a batch."""
        ...

    async def newest(self, key: str, limit: int) -> Reply | Silence:
        """The last batches."""
        ...

    async def state(self, key: str, remote_id: str) -> Reply | Silence:
        """How far a batch has come."""
        ...

    async def results(self, key: str, place: str) -> Reply | Silence:
        """Lines of a batch that has ended."""
        ...

    async def cancel(self, key: str, remote_id: str) -> Reply | Silence:
        """Have a batch stopped."""
        ...

    async def close(self) -> None:
        """Let go of the connections."""
        ...


class Arrival(StrEnum):
    """Whether a batch that was sent is at its provider.

    ``refused`` and ``turned_away`` are certain: there is none, and nobody was asked. What
    was turned away may be sent again later, as it is; ``unknown`` may have arrived.
    """

    TAKEN = "taken"
    REFUSED = "refused"
    TURNED_AWAY = "turned_away"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Handed:
    """What became of handing in a batch.

    Attributes:
        batch: As the provider took it; None if it did not, or that is not known.
        reason: Why there is none.
    """

    arrival: Arrival
    batch: RemoteBatch | None = None
    reason: str = ""


class BatchServer:
    """A provider that takes batches; whoever uses it needs no event loop."""

    def __init__(self, provider: Provider, access: Access) -> None:
        """Get ready; nothing is sent yet.

        Raises:
            InvalidInput: If *provider* takes no batches, or there is no key for it.
        """
        require_batches(provider)
        require_access(provider, access)
        self.provider = provider
        self._keys = KeyPool(access.keys)
        self._own = access.keys
        self._base_url = access.base_url or BASE_URLS[provider]
        is_anthropic = provider is Provider.ANTHROPIC
        self._batch_of = (
            batch_lines.anthropic_batch if is_anthropic else batch_lines.openai_batch
        )
        self._line_of = (
            batch_lines.anthropic_line if is_anthropic else batch_lines.openai_line
        )

    @classmethod
    def of(cls, model: str, accesses: Accesses) -> "BatchServer":
        """Who serves *model*, ``provider/name``."""
        provider = Provider(model.partition("/")[0])
        return cls(provider, accesses.get(provider, Access()))

    def request(self, question: Question) -> dict[str, Any]:
        """*question* in the words of the provider."""
        name = question.model.partition("/")[2]
        return LANGUAGES[self.provider].request(question, name, has_schema=True)

    def ring(self) -> ApiKey:
        """A key that lets us in, tried without asking for anything that costs.

        Raises:
            ModelUnavailable: If nobody is there, or no key is taken.
        """
        while (key := self._keys.current) is not None:
            came = self._ask(lambda caller, key=key: caller.newest(key.secret, 1))
            if isinstance(came, Reply) and came.status in (
                HTTPStatus.UNAUTHORIZED,
                HTTPStatus.FORBIDDEN,
            ):
                self._keys.refuse(key)
                continue
            self._require(came)
            return key
        raise ModelUnavailable(f"{self.provider}: every key was refused")

    def hand_in(
        self, key: ApiKey, tag: str, requests: Sequence[tuple[str, dict[str, Any]]]
    ) -> Handed:
        """Send a batch, once.

        Args:
            key: As `ring` has found it.
            tag: Our own id of it.
            requests: By our own ids of them.
        """
        came = self._ask(
            lambda caller: caller.create(key.secret, tag, requests), SEND_SECONDS
        )
        if isinstance(came, Silence):
            arrival = Arrival.UNKNOWN if came.is_sent else Arrival.TURNED_AWAY
            return Handed(arrival, reason=came.reason)
        told = parsed(came.body) or {}
        if came.status == HTTPStatus.OK and words(told.get("id")):
            return Handed(Arrival.TAKEN, self._batch_of(told))
        is_direct = self._base_url == BASE_URLS[self.provider]
        arrival = _arrival_of(came, is_direct=is_direct)
        return Handed(arrival, reason=self._words(came))

    def newest(self, key_id: str) -> Sequence[RemoteBatch]:
        """The last batches, ours or not.

        Raises:
            ModelUnavailable: If nobody says.
        """
        key = self._key(key_id)
        came = self._ask(lambda caller: caller.newest(key.secret, NEWEST))
        return batch_lines.newest_of(self._require(came), self._batch_of)

    def state(self, key_id: str, remote_id: str) -> RemoteBatch:
        """How far a batch has come.

        Raises:
            BatchGone: If it is there no more.
            ModelUnavailable: If nobody says.
        """
        key = self._key(key_id)
        came = self._ask(lambda caller: caller.state(key.secret, remote_id))
        return self._batch(self._require_there(came))

    def cancel(self, key_id: str, remote_id: str) -> RemoteBatch:
        """Have a batch stopped; what was answered until then stays.

        Raises:
            ModelUnavailable: If nobody says.
        """
        key = self._key(key_id)
        came = self._ask(lambda caller: caller.cancel(key.secret, remote_id))
        return self._batch(self._require(came))

    def results(self, key_id: str, batch: RemoteBatch) -> Iterator[Line]:
        """What became of each question of a batch that has ended, in any order.

        All places are read, whatever is wrong with one of them.

        Raises:
            BatchGone: After all else, if some of it is kept no more.
            ModelUnavailable: After all else, if nobody says, or not to its end.
        """
        if batch.is_archived:
            raise BatchGone(f"{self.provider} keeps the results no more")
        key, read = self._key(key_id), LANGUAGES[self.provider].read
        faults: list[BatchGone | ModelUnavailable] = []
        for place in batch.results_at:
            came = self._ask(
                lambda caller, place=place: caller.results(key.secret, place), SEND_SECONDS
            )
            try:
                body = self._require_there(came)
                yield from batch_lines.lines_of(body, read, self._line_of)
            except (BatchGone, ModelUnavailable) as error:
                faults.append(error)
        if faults:
            raise faults[0]

    def _batch(self, body: bytes) -> RemoteBatch:
        told: Mapping[str, Any] = parsed(body) or {}
        batch = self._batch_of(told)
        if not batch.remote_id or not batch.status:
            raise ModelUnavailable(f"{self.provider}: not a batch: {excerpt(body)}")
        return batch

    def _key(self, key_id: str) -> ApiKey:
        """The key of this id: who has made a batch is who may see it."""
        same = (it for it in self._own if it.key_id == key_id)
        return next(same, self._own[0])

    def _require_there(self, came: Reply | Silence) -> bytes:
        if isinstance(came, Reply) and came.status in GONE:
            raise BatchGone(f"{self.provider} has it no more: {self._words(came)}")
        return self._require(came)

    def _require(self, came: Reply | Silence) -> bytes:
        if isinstance(came, Silence):
            raise ModelUnavailable(f"{self.provider} did not answer: {came.reason}")
        if came.status != HTTPStatus.OK:
            raise ModelUnavailable(f"{self.provider}: {self._words(came)}")
        return came.body

    def _words(self, came: Reply) -> str:
        return f"HTTP {came.status}: {excerpt(came.body)}"

    def _ask(
        self,
        ask: Callable[[BatchCaller], Awaitable[Reply | Silence]],
        seconds: float = ASK_SECONDS,
    ) -> Reply | Silence:
        """Have one thing said; no key is in what comes back."""
        return without_keys(asyncio.run(self._asked(ask, seconds)), self._keys)

    async def _asked(
        self, ask: Callable[[BatchCaller], Awaitable[Reply | Silence]], seconds: float
    ) -> Reply | Silence:
        caller = self._caller(seconds)
        try:
            return await ask(caller)
        finally:
            await caller.close()

    def _caller(self, seconds: float) -> BatchCaller:
        if self.provider is Provider.ANTHROPIC:
            return AnthropicBatchCaller(self._base_url, seconds)
        return OpenAiBatchCaller(self._base_url, seconds, is_chat=False)


def _arrival_of(reply: Reply, *, is_direct: bool) -> Arrival:
    """Where a batch is that was answered with something else than a batch.

    A 503 is the provider's own if it says so in its own words at its own address; one of
    a proxy between us, which may use the same words, tells nothing of what is behind it.
    An account or a key that is let in no more says nothing of the questions: they wait
    until a person has seen to it.
    """
    error = mapping((parsed(reply.body) or {}).get("error"))
    is_theirs = is_direct and bool(error)
    if reply.status in (*SHUT, HTTPStatus.TOO_MANY_REQUESTS, OVERLOADED):
        return Arrival.TURNED_AWAY
    if reply.status == HTTPStatus.SERVICE_UNAVAILABLE and is_theirs:
        return Arrival.TURNED_AWAY
    if not is_refusal(reply.status):
        return Arrival.UNKNOWN
    message = words(error.get("message")) or excerpt(reply.body)
    codes = (words(error.get("code")), words(error.get("type")))
    is_broke = any(is_spend_limit(reply.status, code, message) for code in codes)
    return Arrival.TURNED_AWAY if is_broke else Arrival.REFUSED


def require_batches(provider: Provider) -> None:
    """Raise unless *provider* takes batches.

    Raises:
        InvalidInput: If it does not.
    """
    if provider not in MOST_QUESTIONS:
        raise InvalidInput(
            f"{provider}/… models take no batches: allowed are "
            f"{', '.join(f'{it}/…' for it in MOST_QUESTIONS)}"
        )
