"""What we need to tell people who are not looking."""

from dataclasses import dataclass
from typing import Protocol

from trading_assets.models.notice import Topic


@dataclass(frozen=True, slots=True)
class Told:
    """What became of a message.

    Attributes:
        is_sent: Whether it has reached at least one place.
        failed: Kinds of service that it did not reach, such as ``Slack``.
        is_held_back: Whether it waits, because its topic has just been told.
    """

    is_sent: bool
    failed: tuple[str, ...] = ()
    is_held_back: bool = False


class Channel(Protocol):
    """Places where people read.

    - Sending takes at most a bounded time, and never raises.
    - Addresses are secrets: no message, log or ``repr`` has one, only kinds of service.
    """

    def send(self, title: str, text: str) -> Told:
        """Deliver *text* under *title* to every place."""
        ...


class Notifier(Protocol):
    """Tells people what they should know at once.

    Every notifier keeps these promises:

    - Telling never raises and takes at most a bounded time: no trade and no run fails or
      hangs because somebody could not be told.
    - A topic is told once in so many minutes. What comes sooner is held back, and is
      counted and told with the next message of its topic.
    - What could not be delivered is logged, recorded, and told with the next one too.
    - Addresses are secrets, as for `Channel`.
    """

    def tell(self, topic: Topic, text: str) -> Told:
        """Tell *text*, unless *topic* was told just now."""
        ...

    def tell_held_back(self) -> tuple[Topic, ...]:
        """Tell what has been held back for long enough; the topics that were told."""
        ...
