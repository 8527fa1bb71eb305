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
    finds, or that its provider has no more, is ``lost``, until a person says that it is to
    be ``forgotten``. ``refused`` never was a batch, and neither was what was
    ``turned_away``, which is sent again later. All that came of a ``filed`` one is on
    record; of a ``cancelled`` one as well, and nothing is asked after it.
    """

    SUBMITTING = "submitting"
    SUBMITTED = "submitted"
    FILED = "filed"
    REFUSED = "refused"
    TURNED_AWAY = "turned_away"
    LOST = "lost"
    FORGOTTEN = "forgotten"
    CANCELLED = "cancelled"


OPEN = (BatchStatus.SUBMITTING, BatchStatus.SUBMITTED, BatchStatus.LOST)
"""Something may still come of these; nothing in them is asked a second time."""


ALL_ON_RECORD = (BatchStatus.FILED, BatchStatus.CANCELLED)
"""It is known what these have cost."""


class ItemStatus(StrEnum):
    """What became of one question of a batch.

    ``unsent`` was not sent after all, and ``waiting`` is what another batch asks already;
    ``failed`` is due again, and ``abandoned`` is what failed too often.
    """

    OUT = "out"
    ANSWERED = "answered"
    FAILED = "failed"
    CANCELLED = "cancelled"
    UNSENT = "unsent"
    WAITING = "waiting"
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
        missed_at: When that was first seen; None if it never was.
        why: What is to be said of it; empty for nothing.
        version_hash: Of the analyst that asked; empty for one that is not known.
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
    version_hash: str = ""
    missed_at: datetime | None = None


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
    """Sessions and symbols that were asked about under *run_id* and have no opinion yet.

    Attributes:
        version_hash: Of the analyst that asked; empty for one that is not known.
    """

    run_id: str
    version_hash: str
    places: Sequence[tuple[date, str]]


def custom_id_of(question_key: str) -> str:
    """What a provider calls a question: the same whenever it is asked."""
    return f"q-{question_key[:48]}"
