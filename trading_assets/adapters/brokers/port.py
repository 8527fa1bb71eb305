"""What we need from a broker."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date
from typing import Protocol

import pandas as pd

from trading_assets.core.deciding import Plan
from trading_assets.core.market_days import MarketDays
from trading_assets.models.base import Lane
from trading_assets.models.table import Table


class Market(Protocol):
    """How a broker is shown the market of a range."""

    def __call__(
        self,
        first: date,
        last: date,
        held: Sequence[str],
        *,
        signals_from: date | None = None,
    ) -> MarketDays:
        """The sessions *first* to *last*, for the universe and what is *held* beyond it.

        Args:
            first: A session of the lane.
            last: A session of the lane.
            held: Symbols that are held, or have an order waiting.
            signals_from: From which session on signals are needed; None for all of them.

        Raises:
            DataMissing: If an input was never made.
        """
        ...


@dataclass(frozen=True, slots=True)
class Traded:
    """What `Broker.trade_through` did.

    Attributes:
        walked: Sessions that were decided now, ascending; empty if all stood already.
        superseded: Stored sessions after them that rest on what was before.
        is_new_plan: Whether the sessions before them were decided by another plan.
    """

    walked: tuple[date, ...]
    superseded: tuple[date, ...]
    is_new_plan: bool = False


class Broker(Protocol):
    """A place where one strategy's orders become fills.

    Every broker keeps these promises, and `BrokerContract` in the tests asks for them:

    - An ``order_id`` is traded at most once, however often a session is asked for.
    - A session that was decided from the same inputs is left as it is. At a real broker it
      is decided once, whatever becomes of the inputs.
    - What a run had recorded when it was killed is there whole, or not at all; started
      again, it ends as if it had never been killed.
    - One run at a time decides for a strategy; a second one waits, then raises
      `StoreBusy`.
    - A halt that is heeded holds back every order that would be new, exits included; what
      works already goes on working. The session stays as it was decided: whoever walks
      through it again, when the halt is long lifted, decides the same.
    - What waits for approval trades only if it was approved in time, with the content that
      was approved. Whoever walks through its session again asks nobody anew, and comes to
      the same.
    - No fills and not having heard from the broker are different answers: the second
      raises.
    """

    @property
    def lane(self) -> Lane:
        """Which of a strategy's books it keeps."""
        ...

    def alone(self, strategy: str) -> AbstractContextManager[None]:
        """Have a strategy's book to oneself: nothing in it changes while it is copied out.

        Raises:
            StoreBusy: If another run has it for too long.
        """
        ...

    def trade_through(
        self,
        plan: Plan,
        sessions: Sequence[date],
        first: date,
        market: Market,
        *,
        heeds_people: bool = False,
    ) -> Traded:
        """Have every one of *sessions* traded and decided.

        Args:
            plan: The strategy's arithmetic.
            sessions: The lane's, from its very first through the last one wanted.
            first: From which on stored decisions are held against today's inputs, and
                redone from the first that differs.
            market: Asked for the range that has to be looked at; may raise `DataMissing`.
            heeds_people: Whether a halt that stands now binds the last of *sessions*, if
                it is decided now, and whether its orders wait for approval where the
                strategy's file says so. Simulated books are told so by an evening's own
                run alone; where orders leave the house, both always bind.

        Raises:
            BookSuperseded: If sessions before *first* have to be redone; it names them.
            DataMissing: If *market* lacks an input; nothing was recorded.
            StoreBusy: If another run is deciding for this strategy.
        """
        ...

    def rows(self, strategy: str, table: Table, sessions: Sequence[date]) -> pd.DataFrame:
        """Rows of *table* that were recorded for *sessions*.

        Raises:
            DataMissing: If one of *sessions* was never decided, or is superseded.
        """
        ...

    def decided(self, strategy: str) -> tuple[date, ...]:
        """Sessions whose record stands, ascending."""
        ...

    def superseded(self, strategy: str) -> tuple[date, ...]:
        """Stored sessions that rest on inputs that have changed since, ascending."""
        ...
