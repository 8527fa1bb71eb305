"""What people are told when nobody is looking."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Topic(StrEnum):
    """What a notice is about; each is told so often and no oftener."""

    FAILED_EVENING = "failed_evening"
    MISSED_EVENING = "missed_evening"
    HALT = "halt"
    UNKNOWN_ORDER = "unknown_order"
    FILL = "fill"
    BREACHED_LIMIT = "breached_limit"
    GATEWAY_DOWN = "gateway_down"
    GATEWAY_UP = "gateway_up"
    MISSING_LEG = "missing_leg"
    POSITIONS_DISAGREE = "positions_disagree"
    APPROVAL = "approval"

    @property
    def heading(self) -> str:
        """What a message about it is headed by."""
        return self.replace("_", " ").capitalize()


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One thing that was to be told.

    Attributes:
        seq: Its number among all notices, from 1.
        is_sent: Whether it has reached somebody; False if it was held back, or could not
            be delivered.
    """

    seq: int
    topic: Topic
    text: str
    is_sent: bool
    at: datetime
