"""What we need from a market: the past of many symbols in one answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Protocol

import pandas as pd

from trading_assets.errors import MarketDataUnreadable


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MarketHistory:
    """What a source knows of some symbols between two sessions.

    Attributes:
        bars: `bars` rows without ``recorded_at``, ordered by symbol and session.
        actions: `corporate_actions` rows, ordered by symbol, ex_session and kind.
        coverage: `coverage` rows of the asset ``bars``, ordered by symbol and session.
            ``content_hash`` is of the bar and of the actions of that session.
        unreadable: Why a symbol could not be read; it is in none of the frames.
        remarks: What a person should know and no partition can tell, such as a row on a
            day without a session; each names its file and line.
        later_splits: `corporate_actions` rows of the splits after the range that the
            source knows of, if it `restates`: its prices are divided by them too.
    """

    bars: pd.DataFrame
    actions: pd.DataFrame
    coverage: pd.DataFrame
    unreadable: Mapping[str, str]
    remarks: tuple[str, ...]
    later_splits: pd.DataFrame

    def require_readable(self) -> None:
        """Do nothing if every symbol could be read; call it after storing those that were.

        Raises:
            MarketDataUnreadable: With the reason of each symbol that could not.
        """
        if self.unreadable:
            reasons = "; ".join(self.unreadable[name] for name in sorted(self.unreadable))
            raise MarketDataUnreadable(f"{', '.join(sorted(self.unreadable))}: {reasons}")


class MarketData(Protocol):
    """A place to get daily bars and corporate actions from.

    `MarketDataContract` in the tests asks every source for these promises:

    - Bars are as traded: neither splits nor dividends are adjusted. A source that
      `restates` says that it breaks this one: its prices are divided by the ratios of
      all splits up to the day of the request, and what is known of them is told.
    - There is one coverage row per readable symbol and session of the range. A session
      has a bar exactly when its status is ``ok``; otherwise a reason says why not.
      Nothing is filled in.
    - A row that can't be right is not stored: its session is ``rejected`` and the reason
      names the row. Two rows that contradict each other are both rejected.
    - Nothing there and could not find out are different answers. A symbol that can't be
      read is in ``unreadable`` and keeps no other symbol from being answered; a source
      that can't be reached at all raises.
    - Actions are those with ex_session in the range. An ex-date that is no session moves
      to the next one; of one kind there is one row per ex_session: dividends are summed,
      splits and spin-off factors multiplied.
    - The answer for a session is the same to the bit, whatever range and whatever other
      symbols are asked for with it; of a source that restates, on the same day.
    """

    @property
    def source(self) -> str:
        """What is written beside every bar and action, such as ``csv``."""
        ...

    @property
    def restates(self) -> bool:
        """Whether a split changes what it says of sessions before it.

        What it says is then compared with what is stored, and brought back to as it was
        traded, before it is stored. If not, a bar that differs is a correction.
        """
        ...

    def history(self, symbols: Sequence[str], first: date, last: date) -> MarketHistory:
        """Everything known of *symbols* from *first* to *last*, in one request.

        Args:
            symbols: In any order; repetitions count once.
            first: First day of the range; included if it is a session.
            last: Last day of the range; included if it is a session.

        Raises:
            InvalidInput: If a symbol is not written as one.
            MarketDataUnreadable: If nothing at all could be read.
        """
        ...
