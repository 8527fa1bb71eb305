"""The one way from us to a model.

A question is answered from the ledger if it was answered before, and by a model else; in
any number of processes it is asked, and paid for, once.
"""

import asyncio
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import TracebackType
from typing import Self, override
from uuid import uuid4

from trading_assets.adapters.chart_store.port import ChartStore
from trading_assets.adapters.ledger.calls import CallBook
from trading_assets.adapters.models import prices
from trading_assets.adapters.models.access import Access, Accesses
from trading_assets.adapters.models.conversation import Conversation, Patience
from trading_assets.adapters.models.funds import Funds
from trading_assets.adapters.models.pace import Pace
from trading_assets.adapters.models.port import ModelGateway
from trading_assets.adapters.models.servers import Server, connect
from trading_assets.adapters.models.surroundings import Surroundings
from trading_assets.errors import InvalidInput
from trading_assets.models.question import Answer, Errand, Provider, Question, Usage
from trading_assets.strategies.spec import Budget

POLL_SECONDS = 0.02
LONGEST_POLL_SECONDS = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewaySettings:
    """How questions are put.

    Attributes:
        fallback: Who is asked instead, in this order, when a model can't be heard.
        concurrency: How many questions one provider has at the same time.
        timeout_seconds: Longest wait for one whole reply.
        is_refreshing: Whether to ask anew what is on record; the new answer counts from
            then on.
        patience: How often one model is asked again.
    """

    fallback: tuple[str, ...] = ()
    budget: Budget = field(default_factory=Budget)
    concurrency: int = 8
    timeout_seconds: float = 180.0
    is_refreshing: bool = False
    patience: Patience = field(default_factory=Patience)


class Gateway(ModelGateway):
    """Anthropic, OpenAI and compatible servers, behind a ledger.

    Open it with ``async with``: connections belong to one event loop, and on the way out
    everything is on the disk.
    """

    def __init__(
        self,
        settings: GatewaySettings,
        accesses: Accesses,
        book: CallBook,
        pictures: ChartStore,
        surroundings: Surroundings | None = None,
    ) -> None:
        """Take what it needs; nothing is opened yet.

        Args:
            settings: How questions are put.
            accesses: Keys and addresses, by provider.
            book: Where calls are on record; closing it is up to whoever opened it.
            pictures: Where those that are sent are kept.
            surroundings: Clock, sleep and chance; None for the real ones.
        """
        self._settings = settings
        self._accesses = accesses
        self._book = book
        self._pictures = pictures
        self._surroundings = surroundings or Surroundings()
        self._funds = Funds(book, settings.budget)
        self._servers: dict[Provider, Server] = {}
        self._kept: set[str] = set()
        self._priced: set[str] = set()
        self._run_id = f"gateway-{uuid4().hex[:12]}"

    @override
    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._settings}, {dict(self._accesses)})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await asyncio.wrap_future(self._book.flush())
        for server in self._servers.values():
            await server.caller.close()
        self._servers.clear()

    @override
    async def answer(self, question: Question, errand: Errand) -> Answer:
        key = question.key
        errand = errand if errand.run_id else replace(errand, run_id=self._run_id)
        known = await self._known(key, errand)
        if known is not None:
            return known
        talk = Conversation(
            question,
            key,
            errand,
            self._book,
            self._funds,
            self._settings.patience,
            self._surroundings,
        )
        try:
            chain = self._chain(question)
            await self._keep_pictures(question)
            return await talk.ask(chain)
        finally:
            self._give_back(key, talk.ended)

    def _give_back(self, key: str, ended: Future[None] | None) -> None:
        """Let others ask, as soon as they would find what was heard."""
        if ended is None:
            self._book.give_back(key)
        else:
            ended.add_done_callback(lambda _: self._book.give_back(key))

    async def _known(self, key: str, errand: Errand) -> Answer | None:
        """What is on record; None if it is ours to ask, and nobody else's meanwhile.

        Whoever asks anew, and is tried again, has what the same run has asked so far.
        """
        since = self._surroundings.now() if self._settings.is_refreshing else None
        wait_seconds = POLL_SECONDS
        while (known := await self._looked_up(key, since, errand.run_id)) is None:
            await self._surroundings.sleep(wait_seconds)
            wait_seconds = min(2 * wait_seconds, LONGEST_POLL_SECONDS)
        return known if isinstance(known, Answer) else None

    async def _looked_up(
        self, key: str, since: datetime | None, run_id: str
    ) -> Answer | bool | None:
        if self._book.is_local:
            return self._taken(key, since, run_id)
        return await asyncio.to_thread(self._taken, key, since, run_id)

    def _taken(self, key: str, since: datetime | None, run_id: str) -> Answer | bool | None:
        """What is on record, or True if the question was taken; None if others have it."""
        if not self._book.take(key):
            return None
        try:
            known = self._book.recorded(key, since, run_id)
        except BaseException:
            self._book.give_back(key)
            raise
        if known is None:
            return True
        self._book.give_back(key)
        return known

    def _chain(self, question: Question) -> Sequence[tuple[str, Server]]:
        """Who can be asked, in order.

        Raises:
            InvalidInput: If nobody can, or a price is not known; it says why.
        """
        found: list[tuple[str, Server]] = []
        missing: InvalidInput | None = None
        for model in dict.fromkeys((question.model, *self._settings.fallback)):
            if model not in self._priced:
                prices.cost_usd(model, Usage())
                self._priced.add(model)
            try:
                found.append((model, self._server(model)))
            except InvalidInput as error:
                missing = missing or error
        if missing is not None and not found:
            raise missing
        return found

    def _server(self, model: str) -> Server:
        provider = Provider(model.partition("/")[0])
        if provider not in self._servers:
            pace = Pace(
                self._settings.concurrency,
                self._settings.patience.longest_wait_seconds,
                self._surroundings,
            )
            access = self._accesses.get(provider, Access())
            self._servers[provider] = connect(
                provider, access, self._settings.timeout_seconds, pace
            )
        return self._servers[provider]

    async def _keep_pictures(self, question: Question) -> None:
        """Have every picture that is about to be sent in the store, by its hash."""
        new = {it.sha256: it.png for it in question.images if it.sha256 not in self._kept}
        puts = (
            asyncio.to_thread(_put_once, self._pictures, picture_path(sha256), png)
            for sha256, png in new.items()
        )
        await asyncio.gather(*puts)
        self._kept.update(new)


def picture_path(sha256: str) -> str:
    """Where a picture that was sent lies in the chart store."""
    return f"sent/{sha256}.png"


def _put_once(pictures: ChartStore, path: str, png: bytes) -> None:
    if not pictures.exists(path):
        pictures.put(path, png)
