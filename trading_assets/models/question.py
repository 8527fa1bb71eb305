"""What a model is asked, and what came back: the words that analysts and ledger share.

None of it is an instruction. What a model says becomes a `Signal`, or an abstention.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from functools import lru_cache
from typing import Annotated

from pydantic import StringConstraints

ModelName = Annotated[
    str, StringConstraints(pattern=r"^(anthropic|openai|compatible)/[^\s,]{1,120}$")
]
"""Who serves a model, and its name there: ``anthropic/claude-haiku-5-5``."""


class Provider(StrEnum):
    """Which protocol a model is asked by."""

    ANTHROPIC = "anthropic"
    OPENAI = "openai"
    COMPATIBLE = "compatible"


class Effort(StrEnum):
    """How long a model may think; every protocol has these three."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class Outcome(StrEnum):
    """What became of a question, or of one attempt at it."""

    ANSWERED = "answered"
    REFUSED = "refused"
    TRUNCATED = "truncated"
    MALFORMED = "malformed"
    RATE_LIMITED = "rate_limited"
    OVERLOADED = "overloaded"
    TIMED_OUT = "timed_out"
    SPEND_LIMITED = "spend_limited"
    AMBIGUOUS = "ambiguous_billed"
    UNAUTHORIZED = "unauthorized"
    REJECTED = "rejected"
    UNREACHABLE = "unreachable"


@lru_cache(maxsize=64)
def _sha256(png: bytes) -> str:
    """Every turn about a briefing asks for the hashes of the same pictures."""
    return hashlib.sha256(png).hexdigest()


@dataclass(frozen=True, slots=True)
class Image:
    """A picture that is sent: PNG bytes, and the words that stand before it."""

    label: str
    png: bytes

    @property
    def sha256(self) -> str:
        """Of its bytes; they lie in the chart store under it."""
        return _sha256(self.png)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """All that a model is shown and asked; equal questions have equal keys.

    Attributes:
        model: Who is asked first.
        system: Who the model is to be.
        shared: Texts and pictures that are the same in every turn about one briefing; a
            provider's prompt cache begins with them.
        task: What this turn is for, last of all.
        schema_name: Of the answer's JSON.
        schema: JSON Schema of the answer, as canonical JSON.
        max_tokens: Of answer and thinking together.
        sample: 1, or higher for the same question once more.
    """

    model: str
    system: str
    shared: tuple[str | Image, ...]
    task: str
    schema_name: str
    schema: str
    effort: Effort
    max_tokens: int
    sample: int = 1

    @property
    def provider(self) -> Provider:
        """Which protocol it is asked by."""
        return Provider(self.model.partition("/")[0])

    @property
    def images(self) -> tuple[Image, ...]:
        """The pictures that are sent along."""
        return tuple(part for part in self.shared if isinstance(part, Image))

    @property
    def key(self) -> str:
        """Hash of everything that an answer depends on, pictures by their bytes."""
        return question_key(
            model=self.model,
            system=self.system,
            shared=[
                (part.label, part.sha256) if isinstance(part, Image) else part
                for part in self.shared
            ],
            task=self.task,
            schema_name=self.schema_name,
            schema=self.schema,
            effort=self.effort,
            max_tokens=self.max_tokens,
            sample=self.sample,
        )


def question_key(
    *,
    model: str,
    system: str,
    shared: Sequence[str | tuple[str, str]],
    task: str,
    schema_name: str,
    schema: str,
    effort: str,
    max_tokens: int,
    sample: int,
) -> str:
    """Hash of a question whose pictures are told by label and sha256."""
    parts = (
        model,
        system,
        shared,
        task,
        schema_name,
        schema,
        effort,
        max_tokens,
        sample,
    )
    canonical = json.dumps(parts, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """On whose behalf, and in which turn, a question is asked.

    Attributes:
        role: Of the turn, such as ``decision`` or ``daily``.
        parents: Call ids of the answers that the question quotes.
        prompt_version: Of the prompts that it is made of.
        table_hash: Of the numeric table that is in it; empty without one.
        is_blind: Whether names, dates and price levels were taken out.
        run_id: Of the run that asks; empty for none.
    """

    strategy: str
    symbol: str
    session: date
    role: str
    parents: tuple[str, ...] = ()
    prompt_version: str = ""
    table_hash: str = ""
    is_blind: bool = True
    run_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens, as the provider counted them; 0 where it says nothing.

    Attributes:
        input_tokens: All of them, cached ones and images included.
        cache_read_tokens: Of those, read from the provider's cache.
        cache_write_tokens: Of those, written to it.
        output_tokens: Thinking included.
    """

    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a model said, whoever was asked in the end, and what it cost.

    Attributes:
        call_id: Of its row in the ledger.
        outcome: ``answered`` with *text*; ``refused``, ``truncated`` or ``malformed`` with
            a *reason*. All else raises: nobody was heard.
        text: What was said, unparsed.
        model_answered: As the provider names it.
        cost_usd: Of all attempts; 0 when it was *is_recorded*.
        latency_seconds: From the first attempt to the last byte.
        is_recorded: Whether it was in the ledger already, and nobody was asked.
        recorded_cost_usd: What it cost when it was asked; the same however often it is
            read again.
    """

    call_id: str
    question_key: str
    outcome: Outcome
    text: str
    reason: str
    model_asked: str
    model_answered: str
    usage: Usage
    cost_usd: float
    latency_seconds: float
    is_recorded: bool
    recorded_cost_usd: float = 0.0
