"""Until when models have read, and whether a session lies after that.

A model that was trained on what came after a session may remember it, however it is asked.
So results before its cutoff say nothing, and are never counted with those after it. The
later of what a vendor calls its knowledge and its training cutoff counts, and sixty days
more: text about a day goes on being written, and cutoffs are told by the month.
"""

import re
from collections.abc import Iterable
from datetime import date, timedelta
from typing import NamedTuple

MARGIN_DAYS = 60
"""After its cutoff, until a model is believed not to know."""

_DATED = re.compile(r"-(\d{8}|\d{4}-\d{2}-\d{2})$")


class Cutoff(NamedTuple):
    """Until when a model was trained.

    Attributes:
        last_day: The last day of the month, where only that is told.
        source: Where that is known from.
    """

    last_day: date
    source: str


_ANTHROPIC = "Anthropic's table of models, read in November 2026"
_OPENAI = "OpenAI's pages of models, read in November 2026"

CUTOFFS = {
    "claude-fable-5-1": Cutoff(date(2026, 6, 30), _ANTHROPIC),
    "claude-haiku-4-5": Cutoff(
        date(2025, 7, 31),
        f"{_ANTHROPIC}: knowledge until February 2025, training July",
    ),
    "claude-haiku-5-5": Cutoff(date(2026, 6, 30), _ANTHROPIC),
    "claude-opus-5": Cutoff(date(2026, 5, 31), _ANTHROPIC),
    "claude-opus-5-5": Cutoff(date(2026, 6, 30), _ANTHROPIC),
    "claude-sonnet-5": Cutoff(date(2026, 1, 31), _ANTHROPIC),
    "claude-sonnet-5-5": Cutoff(date(2026, 6, 30), _ANTHROPIC),
    "gpt-5.6-luna": Cutoff(date(2026, 2, 28), _OPENAI),
    "gpt-5.6-sol": Cutoff(date(2026, 2, 28), _OPENAI),
    "gpt-5.6-terra": Cutoff(date(2026, 2, 28), _OPENAI),
    "gpt-6-astra": Cutoff(date(2026, 4, 30), _OPENAI),
    "gpt-6-luna": Cutoff(date(2026, 5, 31), _OPENAI),
    "gpt-6.1-sol": Cutoff(date(2026, 4, 30), _OPENAI),
    "gpt-6.1-terra": Cutoff(date(2026, 6, 30), _OPENAI),
}
"""By the name that the provider gives them, without a date at its end."""


def cutoff_of(model: str, told: date | None = None) -> date | None:
    """The last day that *model* was trained on; None when nobody knows.

    Args:
        model: ``anthropic/claude-haiku-4-5``, or as its provider answers:
            ``claude-haiku-4-5-20251001``. A server of one's own may call anything
            anything, so a ``compatible/`` model is never one of the table's.
        told: What the strategy file says of it; the later day counts.
    """
    known = CUTOFFS.get(_DATED.sub("", _name(model)))
    days = [day for day in (known and known.last_day, told) if day is not None]
    return max(days, default=None)


def is_out_of_sample(
    models: Iterable[str], session: date, told: date | None = None
) -> bool | None:
    """Whether *session* came after all that any of *models* was trained on.

    Args:
        models: All that had a part in an opinion.
        told: As in `cutoff_of`.

    Returns:
        None when it is not known, of one of them or because there are none. Statistics
        take that for False.
    """
    cutoffs = [cutoff_of(model, told) for model in models]
    known = [cutoff for cutoff in cutoffs if cutoff is not None]
    if any(session <= cutoff + timedelta(days=MARGIN_DAYS) for cutoff in known):
        return False
    return True if cutoffs and len(known) == len(cutoffs) else None


def _name(model: str) -> str:
    """What its provider calls it; with its provider where that is a server of one's own."""
    provider, _, name = model.rpartition("/")
    return name if provider in {"", "anthropic", "openai"} else model
