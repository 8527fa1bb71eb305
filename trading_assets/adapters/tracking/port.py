"""What we need from the place where experiments are compared."""

from collections.abc import Iterable, Iterator
from typing import Protocol

from trading_assets.models.tracking import Tracked, TrackedCurve, TrackedSession


class Tracker(Protocol):
    """Keeps what it is told, for people to look at; nothing of ours is read from it.

    Every tracker keeps these promises:

    - Telling takes a bounded time. What the place can't take, or takes too long over, is
      an answer with a reason, and raises nothing.
    - The same content told again sends nothing; other content under the same key takes
      the place of what was there. Told halfway, it is told again the next time.
    - Its address is a secret: no answer, log or ``repr`` has it.
    """

    def track(self, told: Iterable[TrackedSession | TrackedCurve]) -> Iterator[Tracked]:
        """Answer for each of *told*, in their order; ends early when it is no use.

        Raises:
            InvalidInput: If the tracker can't be used at all as it is set up.
        """
        ...
