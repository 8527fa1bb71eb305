"""What is not the same twice: the time, waiting for it, and chance."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Handed to whoever has to wait.

    Attributes:
        now: The instant, in UTC.
        clock: Seconds that never go back.
        sleep: Waits for so many seconds.
        chance: A number from 0 to 1.
    """

    now: Callable[[], datetime] = _now
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep
    chance: Callable[[], float] = random.random
