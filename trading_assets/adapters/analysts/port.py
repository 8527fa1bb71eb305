"""What we need from an analyst."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import pandas as pd

from trading_assets.core.panel import Panel
from trading_assets.core.views import Views

if TYPE_CHECKING:
    from trading_assets.adapters.analysts.desk import ModelDesk


@dataclass(frozen=True, slots=True, eq=False)
class Briefings:
    """What an analyst is shown: one briefing per row of *views*.

    Attributes:
        strategy: Whose signals they become.
        views: Prices and indicators, each row as of its own session's close.
        panel: The bars behind them, for charts, which look at none after their session;
            None for who looks at no chart.
        sources: Where each symbol's bars came from.
    """

    strategy: str
    views: Views
    panel: Panel | None = None
    sources: Mapping[str, str] = field(default_factory=dict[str, str])

    def __len__(self) -> int:
        return len(self.views)


@dataclass(frozen=True, slots=True)
class Asking:
    """How models are asked; arithmetic asks nobody.

    Attributes:
        desk: Who asks them; None where nobody can be asked.
        run_id: Of the run on whose behalf; empty for none.
        is_refreshing: Whether to ask anew about what there is an opinion of.
    """

    desk: "ModelDesk | None" = None
    run_id: str = ""
    is_refreshing: bool = False


NOBODY = Asking()


@dataclass(frozen=True, slots=True, eq=False)
class Opined:
    """What an analyst came to.

    Attributes:
        rows: `SIGNALS` rows in the order of the briefings: one for each, unless it was
            *stopped_by* something.
        kept: How many of them were known already, so that nobody was asked.
        older: How many of those are of another model, prompt or setting than today's.
        stopped_by: Why some are missing: nobody could be asked, or it would have cost too
            much. What is there is whole, and paid for.
    """

    rows: pd.DataFrame
    kept: int = 0
    older: int = 0
    stopped_by: Exception | None = None


@dataclass(frozen=True, slots=True)
class Estimate:
    """What asking would cost.

    Attributes:
        partitions: Of symbol and session, that there is no opinion of.
        questions: That would be asked, if no answer has to be asked for twice.
        expected_usd: As far as can be told.
        most_usd: If every answer is as long as it may be, and is asked for twice.
    """

    partitions: int
    questions: int
    expected_usd: float
    most_usd: float


class Analyst(Protocol):
    """Somebody with an opinion: briefings become signals.

    Every analyst keeps these promises:

    - There is one `signals` row per briefing, in their order, and nothing else; if it is
      stopped in the middle, those that it came to are whole.
    - A row follows from its own briefing alone: it is the same whichever other briefings
      are given with it. So nobody looks ahead, and any range gives the same rows.
    - Having no opinion is an abstention, with its reason, and not HOLD. An analyst that
      could not be asked says so; it never abstains for that.
    - ``inputs_hash`` differs when the briefing or the analyst does.

    It may take long and cost money: give it all briefings of a step at once.
    """

    @property
    def name(self) -> str:
        """Kind and rule, such as ``rules:sma_cross``."""
        ...

    @property
    def version_hash(self) -> str:
        """Changes with everything but the briefing that an opinion depends on."""
        ...

    @property
    def indicators(self) -> tuple[str, ...]:
        """Columns of `indicators` that its briefings must have."""
        ...

    @property
    def bars(self) -> int:
        """How many of a symbol's last bars it looks at, the session's own included."""
        ...

    @property
    def needs_charts(self) -> bool:
        """Whether it looks at the charts of each session that it is asked about."""
        ...

    @property
    def asks_models(self) -> bool:
        """Whether somebody has to be asked, who takes time and money."""
        ...

    def signals(self, briefings: Briefings, asking: Asking = NOBODY) -> Opined:
        """Its opinion on each briefing.

        Raises:
            DataMissing: If an indicator that it needs was not computed.
            InvalidInput: If whom it asks has no key, no address or no known price.
        """
        ...

    def estimate(self, briefings: Briefings, asking: Asking = NOBODY) -> Estimate:
        """What `signals` would cost now; nobody is asked."""
        ...
