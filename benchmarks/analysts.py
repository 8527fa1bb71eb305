"""Asking a model through the gateway, against the least that it could cost.

``python -m benchmarks.analysts`` asks a server that answers at once, in a process of its
own: by the provider's package alone, which forgets, and through the gateway, which commits
each attempt before it is sent and records what came back. Both send the same two pictures
and the same words. Then it asks a hundred questions at the same time of a server that
takes so many a second, and reads the first ones again from the ledger. It needs the
package of the tests, which has the server.
"""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import anthropic
import numpy as np
import openai

from trading_assets.adapters.chart_store.filesystem import FileChartStore
from trading_assets.adapters.ledger.calls import CallBook
from trading_assets.adapters.models import anthropic_messages, openai_responses
from trading_assets.adapters.models.access import Access
from trading_assets.adapters.models.gateway import Gateway, GatewaySettings
from trading_assets.models.question import (
    Answer,
    Effort,
    Errand,
    Image,
    Provider,
    Question,
)
from trading_assets.strategies.spec import Budget
from trading_assets_tests.fake_models import FakeModels

CALLS = 300
WARM_UP = 20
TURNS = 5
"""Questions about one briefing, with the same pictures, as a panel asks them."""

TARGET_MS = 5.0
AT_ONCE = 100
LIMIT = 50
WINDOW_SECONDS = 1.0
PICTURE_BYTES = 60_000
KEY = "sk-benchmark"
MODELS = {
    Provider.ANTHROPIC: "anthropic/claude-haiku-5-5",
    Provider.OPENAI: "openai/gpt-6-luna",
}
ERRAND = Errand(
    strategy="benchmark", symbol="AAPL", session=date(2026, 3, 2), role="decision"
)

type Ask = Callable[[Question], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Measured:
    """Seconds of single calls, one after the other."""

    seconds: Sequence[float]

    def milliseconds(self, percentile: float) -> float:
        """A percentile of them, the first ones left out."""
        return float(np.percentile(self.seconds[WARM_UP:], percentile) * 1000)


def questions(model: str, count: int) -> Iterator[Question]:
    """Of several briefings, each with its pictures and several turns."""
    noise = np.random.default_rng(7)
    charts = [noise.bytes(PICTURE_BYTES) for _ in range(2)]
    for number in range(count):
        briefing, turn = divmod(number, TURNS)
        if not turn:
            charts = [noise.bytes(PICTURE_BYTES) for _ in range(2)]
        yield Question(
            model=model,
            system="You read charts. " * 40,
            shared=(
                Image("Daily chart", charts[0]),
                Image("Weekly chart", charts[1]),
                f"briefing {briefing}\n" + "2026-03-02 101.25 102.50 100.75 1234567\n" * 40,
            ),
            task=f"Turn {turn}. " * 60,
            schema_name="turn",
            schema='{"type":"object","properties":{"action":{"type":"string"}}}',
            effort=Effort.MEDIUM,
            max_tokens=4000,
        )


@asynccontextmanager
async def alone(provider: Provider, url: str) -> AsyncIterator[Ask]:
    """By the provider's package, its reply read and forgotten."""
    name = MODELS[provider].partition("/")[2]
    if provider is Provider.ANTHROPIC:
        claude = anthropic.AsyncAnthropic(
            api_key=KEY, base_url=url, max_retries=0, open_telemetry=False
        )

        async def ask(question: Question) -> object:
            arguments = anthropic_messages.request(question, name)
            raw = await claude.messages.with_raw_response.create(**arguments)
            return anthropic_messages.read(raw.http_response.content)

        yield ask
        await claude.close()
    else:
        gpt = openai.AsyncOpenAI(api_key=KEY, base_url=f"{url}/v1", max_retries=0)

        async def ask_gpt(question: Question) -> object:
            arguments = openai_responses.request(question, name)
            raw = await gpt.responses.with_raw_response.create(**arguments)
            return openai_responses.read(raw.http_response.content)

        yield ask_gpt
        await gpt.close()


async def side_by_side(
    provider: Provider, url: str, gateway: Gateway, asked: Sequence[Question]
) -> Sequence[Measured]:
    """Each question alone and then through *gateway*; after all, from its ledger."""
    bare: list[float] = []
    ours: list[float] = []
    again: list[float] = []

    async def through(question: Question) -> object:
        return await gateway.answer(question, ERRAND)

    async with alone(provider, url) as ask_alone, gateway:
        for question in asked:
            bare.append(await seconds_of(ask_alone, question))
            ours.append(await seconds_of(through, question))
        again += [await seconds_of(through, question) for question in asked]
    return [Measured(it) for it in (bare, ours, again)]


async def seconds_of(ask: Ask, question: Question) -> float:
    """How long an answer takes."""
    started = perf_counter()
    await ask(question)
    return perf_counter() - started


@contextmanager
def instant_server() -> Iterator[str]:
    """The address of a server in another process, which does not look at what it gets."""
    command = [sys.executable, "-m", "trading_assets_tests.fake_models"]
    server = subprocess.Popen(
        [*command, "--port", "0", "--instant"], stdout=subprocess.PIPE, text=True
    )
    assert server.stdout is not None  # noqa: S101 - it was asked for
    try:
        yield f"http://{server.stdout.readline().split()[-1]}"
    finally:
        server.terminate()
        server.wait()


@contextmanager
def opened(url: str, concurrency: int = 8) -> Iterator[Gateway]:
    """A gateway with a new ledger, to a server at *url*."""
    with TemporaryDirectory() as folder:
        book = CallBook.open(Path(folder) / "ledger.db")
        accesses = {
            Provider.ANTHROPIC: Access.of(KEY, url),
            Provider.OPENAI: Access.of(KEY, f"{url}/v1"),
        }
        budget = Budget(run_usd=1000, day_usd=1000, strategy_usd=1000)
        settings = GatewaySettings(budget=budget, concurrency=concurrency)
        yield Gateway(settings, accesses, book, FileChartStore(Path(folder) / "charts"))
        book.close()


def overhead(provider: Provider, url: str) -> None:
    """Print what the gateway adds to a call, and how fast it reads one again."""
    asked = list(questions(MODELS[provider], CALLS))
    with opened(url) as gateway:
        bare, ours, again = asyncio.run(side_by_side(provider, url, gateway, asked))
    print(f"{CALLS} calls, one after the other, {provider}, two pictures each")
    for name, it in (
        ("package alone", bare),
        ("gateway", ours),
        ("from the ledger", again),
    ):
        p50, p99 = it.milliseconds(50), it.milliseconds(99)
        print(f"  {name:18} {p50:6.2f} ms   p99 {p99:6.2f} ms")
    added = ours.milliseconds(50) - bare.milliseconds(50)
    print(f"  overhead, median   {added:6.2f} ms   (target {TARGET_MS} ms)")
    print(f"  ratio              {ours.milliseconds(50) / bare.milliseconds(50):6.2f} x")


async def all_at_once(gateway: Gateway, asked: Sequence[Question]) -> list[Answer]:
    """All of them at the same time."""
    async with gateway:
        return await asyncio.gather(*(gateway.answer(it, ERRAND) for it in asked))


def throughput(url: str) -> None:
    """Print how many calls a minute go through at most."""
    asked = list(questions(MODELS[Provider.OPENAI], CALLS))
    with opened(url, AT_ONCE) as gateway:
        asyncio.run(all_at_once(gateway, asked[:1]))
        started = perf_counter()
        asyncio.run(all_at_once(gateway, asked[1:]))
        seconds = perf_counter() - started
    print(f"{CALLS - 1} calls, {AT_ONCE} at the same time")
    print(f"  calls a minute     {60 * (CALLS - 1) / seconds:6.0f}")


def within_limits() -> None:
    """Print how a hundred at once fare with a server that takes so many a second."""
    (one,) = questions(MODELS[Provider.OPENAI], 1)
    asked = [replace(one, sample=number + 1) for number in range(AT_ONCE)]
    with FakeModels() as models, opened(models.url("anthropic"), AT_ONCE) as gateway:
        asyncio.run(all_at_once(gateway, asked[:1]))
        models.limit(LIMIT, WINDOW_SECONDS)
        models.requests.clear()
        started = perf_counter()
        answers = asyncio.run(all_at_once(gateway, asked[1:]))
        seconds = perf_counter() - started
        sent, most = len(models.requests), models.most_at_once
    heard = sum(it.outcome == "answered" for it in answers)
    print(f"{len(answers)} calls at once, a server that takes {LIMIT} a second")
    print(
        f"  answered           {heard:6}      of {sent} requests, {most} at the same time"
    )
    print(f"  seconds            {seconds:6.2f}")


def main() -> None:
    """Print what the gateway adds, how much goes through it, and how it keeps limits."""
    with instant_server() as url:
        for provider in MODELS:
            overhead(provider, url)
        throughput(url)
    within_limits()


if __name__ == "__main__":
    main()
