"""What is on record of a question that was put to models, and of every request it took."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

from trading_assets.models.question import Outcome, Usage, question_key

HEARD = (Outcome.ANSWERED, Outcome.REFUSED, Outcome.TRUNCATED)
"""Whoever has said one of these has spoken; the question is not put to them again.

Nor is it where what was said is malformed but its tokens were counted: it was paid for.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One request to a model, as it is committed before it is sent.

    Attributes:
        number: Within its call, from 1.
        key_id: A hash of the key; the key itself is nowhere.
        is_schema_sent: Whether the server was told the schema, or the model in words.
        estimated_usd: What it could cost at most.
    """

    number: int
    model: str
    key_id: str
    is_schema_sent: bool
    estimated_usd: float
    price_version: str
    asked_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """What became of an attempt.

    Attributes:
        status: Of HTTP; None if nothing came back.
        rate_limits: Headers that tell how much more may be asked.
        usage: None if it was not told, or makes no sense.
        charged_usd: What counts against budgets.
        is_charge_estimated: Whether that is the estimate, because nobody knows.
        reply: All bytes that came back.
        error: Why it is no answer; empty if it is one.
    """

    outcome: Outcome
    status: int | None
    request_id: str
    rate_limits: Mapping[str, str]
    usage: Usage | None
    charged_usd: float
    is_charge_estimated: bool
    latency_seconds: float
    reply: bytes
    error: str
    settled_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a call ended, after its last attempt.

    Attributes:
        model_asked: Who was asked last.
        usage: Of all attempts, as far as it was told.
        cost_usd: Of all attempts.
    """

    outcome: Outcome
    text: str
    reason: str
    model_asked: str
    model_answered: str
    usage: Usage
    cost_usd: float
    price_version: str
    latency_seconds: float
    answered_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedAttempt:
    """An attempt as it is on record; never settled, it is ambiguous and counts in full."""

    attempt: Attempt
    settlement: Settlement | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedCall:
    """A call with every byte that it was made of, but for the pictures.

    Attributes:
        shared: Texts, and pictures as label and sha256, in their order.
        ending: None if it never ended.
    """

    call_id: str
    question_key: str
    strategy: str
    symbol: str
    session: date
    role: str
    parents: tuple[str, ...]
    prompt_version: str
    table_hash: str
    is_blind: bool
    run_id: str
    model: str
    system: str
    shared: tuple[str | tuple[str, str], ...]
    task: str
    schema_name: str
    schema: str
    effort: str
    max_tokens: int
    sample: int
    asked_at: datetime
    ending: Ending | None
    attempts: tuple[RecordedAttempt, ...]

    @property
    def pictures(self) -> tuple[tuple[str, str], ...]:
        """Label and sha256 of each picture that was sent."""
        return tuple(part for part in self.shared if not isinstance(part, str))

    @property
    def is_intact(self) -> bool:
        """Whether its texts are still those that were asked: they give its key again."""
        told = question_key(
            model=self.model,
            system=self.system,
            shared=self.shared,
            task=self.task,
            schema_name=self.schema_name,
            schema=self.schema,
            effort=self.effort,
            max_tokens=self.max_tokens,
            sample=self.sample,
        )
        return told == self.question_key

    @property
    def reply(self) -> bytes:
        """The bytes that its last attempt brought back; empty if there are none."""
        told = [it.settlement.reply for it in self.attempts if it.settlement is not None]
        return told[-1] if told else b""
