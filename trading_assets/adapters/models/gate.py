"""No byte of a request leaves before its attempt is on the disk.

Putting the attempt there and putting the request together take their time side by side;
they meet where the request would go out.
"""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Self

MOST_REPLY_BYTES = 8_000_000
"""Of an answer to one question; an honest one has some ten thousand."""

_CURRENT: ContextVar["Gate"] = ContextVar("gate")


class Gate:
    """Where one request waits until it may go out; from then on its time is bounded."""

    def __init__(
        self,
        permission: Coroutine[Any, Any, None],
        timeout_seconds: float,
        most_bytes: int | None = MOST_REPLY_BYTES,
    ) -> None:
        """Begin to wait for *permission*; if it fails, nothing is sent.

        Args:
            permission: Done when the request may go out.
            timeout_seconds: From then on, for a whole reply.
            most_bytes: Of the reply, as it comes over the wire; None for any number.
        """
        self.timeout_seconds = timeout_seconds
        self.most_bytes = most_bytes
        self._permission = asyncio.ensure_future(permission)
        self._timeout = asyncio.timeout(None)

    async def __aenter__(self) -> Self:
        self._token = _CURRENT.set(self)
        await self._timeout.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        _CURRENT.reset(self._token)
        return await self._timeout.__aexit__(kind, error, trace)

    @property
    def is_open(self) -> bool:
        """Whether the request was let go out."""
        done = self._permission
        return done.done() and not done.cancelled() and done.exception() is None

    async def passed(self) -> None:
        """Wait until the request may go out; its time begins."""
        await self._permission
        until = asyncio.get_running_loop().time() + self.timeout_seconds
        self._timeout.reschedule(until)

    async def require_open(self) -> None:
        """Raise what has kept the gate shut, if it is."""
        await self._permission

    async def close(self) -> None:
        """Wait for nothing any more."""
        if not self._permission.done():
            self._permission.cancel()
            with suppress(asyncio.CancelledError):
                await self._permission


def open_gate(timeout_seconds: float) -> Gate:
    """A gate for what has nothing to wait for; its time is bounded all the same.

    Results of a batch may be as long as they like.
    """
    return Gate(_granted(), timeout_seconds, most_bytes=None)


async def _granted() -> None:
    """Permission from the beginning."""


def current_gate() -> Gate:
    """The one that the request of this task goes through."""
    return _CURRENT.get()


async def wait_at_gate(_request: object) -> None:
    """What a client of HTTP does before it sends a request."""
    await current_gate().passed()
