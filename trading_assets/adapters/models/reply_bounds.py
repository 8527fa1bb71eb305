"""No reply is read without end: a server that has gone mad must not take us with it."""

from collections.abc import AsyncIterator
from typing import override

import httpx2

from trading_assets.adapters.models.gate import current_gate
from trading_assets.adapters.models.replies import ReplyTooLong

HTTPError = httpx2.HTTPError

PLAIN = {"Accept-Encoding": "identity"}
"""What is asked for: of a packed reply nobody knows how long it will be."""

MOST_PACKED_FRAC = 1 / 32
"""What a reply that came packed all the same may have of its bound."""


class _Bounded(httpx2.AsyncByteStream):
    """Bytes of another stream, up to a bound."""

    def __init__(self, stream: httpx2.AsyncByteStream, most_bytes: float) -> None:
        self._stream = stream
        self._most_bytes = most_bytes

    @override
    async def __aiter__(self) -> AsyncIterator[bytes]:
        count = 0
        async for part in self._stream:
            count += len(part)
            if count > self._most_bytes:
                raise ReplyTooLong(f"a reply of more than {self._most_bytes:,.0f} bytes")
            yield part

    @override
    async def aclose(self) -> None:
        await self._stream.aclose()


async def bound_reply(response: httpx2.Response) -> None:
    """What a client of HTTP does with a reply before it reads it."""
    most_bytes, stream = current_gate().most_bytes, response.stream
    if most_bytes is None or not isinstance(stream, httpx2.AsyncByteStream):
        return
    is_packed = response.headers.get("content-encoding", "identity") != "identity"
    share = MOST_PACKED_FRAC if is_packed else 1
    response.stream = _Bounded(stream, most_bytes * share)
