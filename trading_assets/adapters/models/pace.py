"""How many questions are out at once, and when a provider has had enough of them.

Providers tell with each reply how much more they take, and until when. So whoever would
be refused waits in line here instead.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from trading_assets.adapters.models.surroundings import Surroundings

DURATION = re.compile(
    r"(?:(?P<hours>\d+)h)?(?:(?P<minutes>\d+)m(?!s))?"
    r"(?:(?P<seconds>\d+(?:\.\d+)?)s)?(?:(?P<milliseconds>\d+)ms)?"
)
PREFIXES = ("anthropic-ratelimit-", "x-ratelimit-")
SAME_WINDOW = timedelta(seconds=1)
"""Replies may overtake each other; of the same window, what is less is newer."""

TOKENS_IN = ("tokens", "input-tokens")
"""What is limited in tokens of questions; their number is known before they are sent."""


@dataclass(slots=True)
class _Window:
    """What a provider takes until it counts anew.

    Attributes:
        limit: Of a whole window.
        remaining: Of it, as far as we know.
        lasts: How long a window is, as far as we know.
    """

    limit: float
    remaining: float
    resets_at: datetime
    lasts: timedelta


class Pace:
    """One provider's: a bounded number at once, none that would be refused."""

    def __init__(
        self, at_once: int, longest_wait_seconds: float, surroundings: Surroundings
    ) -> None:
        """Begin knowing nothing of its limits.

        Args:
            at_once: How many questions may be out, 1 or above.
            longest_wait_seconds: For a window; if it takes longer, the provider is asked
                all the same, and says so itself.
            surroundings: Clock and sleep.
        """
        self._slots = asyncio.Semaphore(at_once)
        self._longest_wait_seconds = longest_wait_seconds
        self._surroundings = surroundings
        self._windows: dict[str, _Window] = {}
        self._paused_until = surroundings.now()

    @asynccontextmanager
    async def turn(self, tokens: int) -> AsyncIterator[None]:
        """Wait until a question of so many *tokens* may go out; it is out meanwhile."""
        async with self._slots:
            while (seconds := self._wait_seconds(tokens)) > 0:
                await self._surroundings.sleep(seconds)
            for name, window in self._windows.items():
                window.remaining -= _need(name, tokens)
            yield

    def hear(self, headers: Mapping[str, str]) -> None:
        """Learn from a reply what more may be asked."""
        now = self._surroundings.now()
        for dimension, told in rate_limits(headers).items():
            heard = _window(told, now)
            if heard is None:
                continue
            known = self._windows.get(dimension)
            if known is not None and abs(known.resets_at - heard.resets_at) < SAME_WINDOW:
                heard.remaining = min(heard.remaining, known.remaining)
            self._windows[dimension] = heard

    def pause(self, seconds: float) -> None:
        """Let nobody go out for so long; the longest such wish counts."""
        until = self._surroundings.now() + timedelta(seconds=seconds)
        self._paused_until = max(self._paused_until, until)

    def _wait_seconds(self, tokens: int) -> float:
        now = self._surroundings.now()
        waits = [(self._paused_until - now).total_seconds()]
        for name, window in self._windows.items():
            if window.resets_at <= now:
                window.remaining, window.resets_at = window.limit, now + window.lasts
            if window.remaining < min(_need(name, tokens), window.limit):
                waits.append((window.resets_at - now).total_seconds())
        return max((it for it in waits if it <= self._longest_wait_seconds), default=0.0)


def rate_limits(headers: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """What *headers* say of limits: by what is limited, `limit`, `remaining`, `reset`."""
    found: dict[str, dict[str, str]] = {}
    for name, value in headers.items():
        for prefix in PREFIXES:
            if name.startswith(prefix):
                dimension, figure = _named(name.removeprefix(prefix))
                found.setdefault(dimension, {})[figure] = value
    return found


def rate_limit_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Those of *headers* that tell how much more may be asked, and when."""
    return {
        name: value
        for name, value in headers.items()
        if name.startswith((*PREFIXES, "retry-after"))
    }


def _named(words: str) -> tuple[str, str]:
    """Dimension and figure: Anthropic's ``requests-limit``, OpenAI's ``limit-requests``."""
    first, _, rest = words.partition("-")
    if first in ("limit", "remaining", "reset"):
        return rest, first
    dimension, _, figure = words.rpartition("-")
    return dimension, figure


def _window(told: Mapping[str, str], now: datetime) -> _Window | None:
    """None if it can't be made out when it ends, or what is left of it."""
    resets_at = _instant(told.get("reset", ""), now)
    try:
        remaining, limit = float(told["remaining"]), float(told.get("limit", "inf"))
    except (KeyError, ValueError):
        return None
    if resets_at is None:
        return None
    return _Window(limit, remaining, resets_at, resets_at - now)


def _instant(told: str, now: datetime) -> datetime | None:
    """When a window ends: an instant, a duration such as ``6m0s``, or seconds."""
    try:
        if told and (found := DURATION.fullmatch(told)):
            return now + timedelta(
                **{name: float(it or 0) for name, it in found.groupdict().items()}
            )
        return now + timedelta(seconds=float(told))
    except (ValueError, OverflowError):
        pass
    try:
        at = datetime.fromisoformat(told)
    except ValueError:
        return None
    return at if at.tzinfo is not None else None


def _need(dimension: str, tokens: int) -> int:
    return tokens if dimension in TOKENS_IN else 1
