"""What a person has stopped, and let go on again."""

from dataclasses import dataclass
from datetime import date, datetime

EVERYTHING = ""
"""In the place of a strategy: all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Halt:
    """One word on whether a strategy may give new orders; the newest one counts.

    Attributes:
        seq: From 1, of all that was ever said.
        strategy: Its name, or `EVERYTHING`.
        is_halt: False where it was let go on.
        session: That had closed last when it was said.
        who: Said it.
        why: In their words.
        at: When it was said.
    """

    seq: int
    strategy: str
    is_halt: bool
    session: date
    who: str
    why: str
    at: datetime

    @property
    def of(self) -> str:
        """What it is of, for a person."""
        return self.strategy or "everything"

    @property
    def reason(self) -> str:
        """Why an order was held back, for the order's row."""
        return f"{self.why} (no. {self.seq}, of {self.of}, by {self.who})"
