"""Questions that are put to a provider together, at half price, to be answered in a day."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from trading_assets.models.call import Attempt, Ending, Settlement
from trading_assets.models.question import Errand, Question


class BatchStatus(StrEnum):
    """How far a batch has come.

    ``submitting`` was committed, and whether it has arrived is not known; one that nobody
    finds is ``lost``, until a person says that it is to be ``forgotten``. ``refused`` never
    was a batch. All that came of a ``filed`` one is on record.
    """

    SUBMITTING = "submitting"
    SUBMITTED = "submitted"
    FILED = "filed"
    REFUSED = "refused"
    LOST = "lost"
    FORGOTTEN = "forgotten"


OPEN = (BatchStatus.SUBMITTING, BatchStatus.SUBMITTED, BatchStatus.LOST)
"""Something may still come of these; nothing in them is asked a second time."""


class ItemStatus(StrEnum):
    """What became of one question of a batch.

    ``unsent`` is what somebody else asked meanwhile; ``failed`` is due again, and
    ``abandoned`` is what failed too often.
    """

    OUT = "out"
    ANSWERED = "answered"
    FAILED = "failed"
    CANCELLED = "cancelled"
    UNSENT = "unsent"
    ABANDONED = "abandoned"


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """A batch as it is on record.

    Attributes:
        batch_id: Ours; OpenAI is told it as well.
        run_id: Of the asking that it belongs to, over all stages.
        key_id: A hash of the key that it was sent with.
        remote_id: The provider's; empty until it is known.
        questions: How many were sent.
        estimated_usd: What they could cost at most.
        is_cancelled: Whether a person has stopped it; nothing is asked after it.
        looks: How often something was missing that should be there.
        why: What is to be said of it; empty for nothing.
    """

    batch_id: str
    strategy: str
    run_id: str
    model: str
    key_id: str
    remote_id: str
    status: BatchStatus
    questions: int
    estimated_usd: float
    is_cancelled: bool
    looks: int
    why: str
    submitted_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A question of a batch, for one symbol and session."""

    custom_id: str
    question: Question
    errand: Errand
    attempt: Attempt


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A question of a batch as it is on record."""

    custom_id: str
    question_key: str
    call_id: str
    symbol: str
    session: date
    status: ItemStatus
    estimated_usd: float
    price_version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Filing:
    """What became of a question, as it is put on record."""

    custom_id: str
    status: ItemStatus
    settlement: Settlement
    ending: Ending


@dataclass(frozen=True, slots=True)
class Unfinished:
    """Sessions and symbols that were asked about under *run_id* and have no opinion yet."""

    run_id: str
    places: Sequence[tuple[date, str]]


def custom_id_of(question_key: str) -> str:
    """What a provider calls a question: the same whenever it is asked."""
    return f"q-{question_key[:48]}"
