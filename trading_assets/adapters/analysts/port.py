"""What we need from an analyst."""

from dataclasses import dataclass
from typing import Protocol

import pandas as pd

from trading_assets.core.views import Views


@dataclass(frozen=True, slots=True, eq=False)
class Briefings:
    """What an analyst is shown: one briefing per row of *views*.

    Attributes:
        strategy: Whose signals they become.
        views: Prices and indicators, each row as of its own session's close.
    """

    strategy: str
    views: Views

    def __len__(self) -> int:
        return len(self.views)


class Analyst(Protocol):
    """Somebody with an opinion: briefings become signals.

    Every analyst keeps these promises:

    - There is one `signals` row per briefing, in their order, and nothing else.
    - A row follows from its own briefing alone: it is the same whichever other briefings
      are given with it. So nobody looks ahead, and any range gives the same rows.
    - Having no opinion is an abstention, with its reason, and not HOLD. An analyst that
      could not be asked raises; it never abstains for that.
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

    def signals(self, briefings: Briefings) -> pd.DataFrame:
        """`SIGNALS` rows, one per briefing.

        Raises:
            DataMissing: If an indicator that it needs was not computed.
        """
        ...
