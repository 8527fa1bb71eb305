"""Stored sessions of a book: those that hold together, and those that do not."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from trading_assets.adapters.ledger.store import BookSession, SessionRecord
from trading_assets.core.deciding import Plan
from trading_assets.core.walk import GENESIS, Closing


@dataclass(frozen=True, slots=True)
class Chain:
    """The stored sessions of a lane: those that hold together, and those that do not.

    Attributes:
        standing: Linked from the very first session on, ascending.
        broken: Stored after a link that no longer holds, ascending.
    """

    standing: tuple[BookSession, ...]
    broken: tuple[BookSession, ...]

    @classmethod
    def of(cls, stored: Sequence[BookSession], start: date | None = None) -> "Chain":
        """Tell the standing from the broken among *stored*, ascending by session.

        Args:
            stored: The newest walk of each session.
            start: First session of the lane; None for where the book began last. What
                is stored before it is of a lane that began earlier.
        """
        own = [entry for entry in stored if entry.session >= (start or _begun(stored))]
        if start is not None and own and own[0].session != start:
            return cls((), tuple(own))
        previous = GENESIS
        for count, entry in enumerate(own):
            if entry.previous_hash != previous:
                return cls(tuple(own[:count]), tuple(own[count:]))
            previous = entry.book_hash
        return cls(tuple(own), ())

    def generation(self, at: int) -> int | None:
        """Of a walk from session number *at* on; None if it needs one of its own.

        A walk that goes on where the one before it ended shares its generation, so that
        evening after evening gives what a range gives.
        """
        later = [entry.generation for entry in (*self.standing, *self.broken)[at:]]
        before = self.standing[at - 1].generation if at else 0
        return before if before > max(later, default=-1) else None


def records_of(plan: Plan, closings: Sequence[Closing]) -> list[SessionRecord]:
    """*closings* as the ledger keeps them."""
    return [
        SessionRecord(
            session=closing.session,
            previous_hash=closing.previous_hash,
            book_hash=closing.book_hash,
            spec_hash=plan.rules_hash,
            state=closing.state,
        )
        for closing in closings
    ]


def days_of(stored: Sequence[BookSession]) -> tuple[date, ...]:
    """The sessions of *stored*, in its order."""
    return tuple(entry.session for entry in stored)


def _begun(stored: Sequence[BookSession]) -> date:
    """Where the newest walk from nothing but capital began."""
    begun = [entry for entry in stored if entry.previous_hash == GENESIS]
    newest = max(begun, key=lambda entry: (entry.generation, entry.session), default=None)
    return newest.session if newest else date.min
