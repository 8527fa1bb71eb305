"""What we need from somebody who looks after orders while the market is open."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from trading_assets.core.guarding import MissingLeg
from trading_assets.models.intent import Execution
from trading_assets.strategies.spec import StrategySpec


@dataclass(frozen=True, slots=True)
class SeenFill:
    """An execution of one of our orders.

    Attributes:
        strategy: Whose order it was.
        order_id: Ours.
    """

    strategy: str
    order_id: str
    execution: Execution


@dataclass(frozen=True, slots=True)
class UnguardedLeg:
    """A stop or target that should work and does not, and what was done about it.

    Attributes:
        done: What was done, or why nothing was; for people.
    """

    missing: MissingLeg
    done: str

    def __str__(self) -> str:
        """For people."""
        return f"{self.missing}. {self.done}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What a look at the orders has found.

    Attributes:
        said: What was seen, or why nobody was asked; one line per account.
        has_asked: Whether every account with something to watch has answered: only then
            are the lists below complete, and an empty one means that all is well.
        fills: Executions of our orders since the instant asked for, oldest first.
        doubtful: Orders that are missing, unknown or short of executions; for people.
        disagreeing: Symbols of which the broker holds other than we can explain; likewise.
        legs: Stops and targets that should work and do not.
    """

    said: str
    has_asked: bool
    fills: tuple[SeenFill, ...] = ()
    doubtful: tuple[str, ...] = ()
    disagreeing: tuple[str, ...] = ()
    legs: tuple[UnguardedLeg, ...] = ()


class OrderWatch(Protocol):
    """Looks after orders between the evenings.

    - It never waits for a run that trades: then nobody is asked, and it says so.
    - A gateway that is down, or that does not answer, is told and not raised.
    - It sends nothing but a stop or target that was decided, for a strategy whose file
      says ``guard: exit``, and each of them once.
    """

    def look(self, specs: Sequence[StrategySpec], since: datetime) -> Look:
        """Find out how the orders of *specs*, all traded for real, stand.

        Args:
            specs: Strategies.
            since: From when on executions are wanted.
        """
        ...
