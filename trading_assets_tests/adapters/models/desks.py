"""Questions to ask, and gateways to ask them through, with a clock that does not wait."""

import asyncio
import json
import struct
import zlib
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from trading_assets.adapters.chart_store.filesystem import FileChartStore
from trading_assets.adapters.ledger.calls import CallBook
from trading_assets.adapters.models.access import Access, Accesses
from trading_assets.adapters.models.conversation import Patience
from trading_assets.adapters.models.gateway import Gateway, GatewaySettings
from trading_assets.adapters.models.surroundings import Surroundings
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

ANTHROPIC = "anthropic/claude-haiku-5-5"
OPENAI = "openai/gpt-6-luna"
COMPATIBLE = "compatible/vision"
MODELS = (ANTHROPIC, OPENAI, COMPATIBLE)
KEY = "sk-test-0123456789"
SCHEMA = {
    "type": "object",
    "properties": {
        "action": {"enum": ["BUY", "SELL", "HOLD"]},
        "confidence": {"type": "integer", "minimum": 0, "maximum": 100},
        "reasoning": {"type": "string"},
        "stop": {"anyOf": [{"type": "number"}, {"type": "null"}]},
    },
}
UNLIMITED = Budget(run_usd=None, day_usd=None, strategy_usd=None)


def make_png(width: int = 4, height: int = 3, shade: int = 0) -> bytes:
    """A real PNG, grey."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        body = kind + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress((b"\0" + bytes([shade]) * width) * height)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", rows)
        + chunk(b"IEND", b"")
    )


def make_question(model: str = ANTHROPIC, **changes: Any) -> Question:
    """A question with two pictures."""
    question = Question(
        model=model,
        system="You read charts.",
        shared=(
            Image("Daily chart", make_png(shade=1)),
            Image("Weekly chart", make_png(shade=2)),
            "close 101.5, sma_20 100.2",
        ),
        task="Decide.",
        schema_name="turn",
        schema=json.dumps(SCHEMA, sort_keys=True),
        effort=Effort.MEDIUM,
        max_tokens=1000,
    )
    return replace(question, **changes)


def make_errand(**changes: Any) -> Errand:
    """On behalf of a strategy named ``charts``."""
    errand = Errand(
        strategy="charts",
        symbol="AAPL",
        session=date(2026, 3, 2),
        role="decision",
        prompt_version="p1",
        run_id="run-1",
    )
    return replace(errand, **changes)


@dataclass
class StillTime:
    """A clock that only goes on when somebody sleeps.

    Attributes:
        slept: How long, each time.
    """

    seconds: float = 0.0
    slept: list[float] = field(default_factory=list)
    began: datetime = datetime(2026, 3, 3, 12, 0, tzinfo=UTC)

    def now(self) -> datetime:
        return self.began + timedelta(seconds=self.seconds)

    async def sleep(self, seconds: float) -> None:
        self.seconds += seconds
        self.slept.append(seconds)
        await asyncio.sleep(0)

    @property
    def surroundings(self) -> Surroundings:
        return Surroundings(self.now, lambda: self.seconds, self.sleep, lambda: 0.5)


@dataclass
class Desk:
    """Fake models, a ledger, a folder of pictures, and gateways between them."""

    models: FakeModels
    book: CallBook
    folder: Path
    time: StillTime = field(default_factory=StillTime)
    keys: str = KEY
    surroundings: Surroundings | None = None

    @property
    def pictures(self) -> FileChartStore:
        return FileChartStore(self.folder / "charts")

    @property
    def accesses(self) -> Accesses:
        return {it: Access.of(self.keys, self.models.url(it)) for it in Provider}

    def gateway(self, **settings: Any) -> Gateway:
        told = {"timeout_seconds": 20.0, **settings}
        return Gateway(
            GatewaySettings(**told),
            self.accesses,
            self.book,
            self.pictures,
            self.surroundings or self.time.surroundings,
        )

    def ask(
        self, question: Question, errand: Errand | None = None, **settings: Any
    ) -> Answer:
        """One question through a gateway of its own."""
        (answer,) = self.ask_all([question], errand, **settings)
        return answer

    def ask_all(
        self, questions: Sequence[Question], errand: Errand | None = None, **settings: Any
    ) -> list[Answer]:
        """Questions at the same time, through one gateway."""

        async def all_of_them() -> list[Answer]:
            async with self.gateway(**settings) as gateway:
                return await asyncio.gather(
                    *(gateway.answer(it, errand or make_errand()) for it in questions)
                )

        return run(all_of_them())

    def outcomes(self, answer: Answer) -> list[str]:
        """What became of each attempt."""
        attempts = self.book.call(answer.call_id).attempts
        return [it.settlement.outcome for it in attempts if it.settlement is not None]


def run[T](work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


QUICK = Patience(failures=3, doubtful=2, longest_wait_seconds=60.0)
