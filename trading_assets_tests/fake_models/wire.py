"""As much of HTTP/1.1 as the clients of models need."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

MOST_HEADERS = 100
OVERLOADED = 529


@dataclass(frozen=True, slots=True)
class Head:
    """A request before its body.

    Attributes:
        headers: By their name in small letters.
    """

    method: str
    path: str
    headers: Mapping[str, str]

    @property
    def key(self) -> str:
        """The secret of who asks."""
        return self.headers.get("authorization", "").removeprefix("Bearer ")


@dataclass(frozen=True, slots=True)
class Response:
    """An answer."""

    status: int
    body: bytes
    headers: Mapping[str, str]

    def encoded(self) -> bytes:
        """Its bytes."""
        known = {it.value: it.phrase for it in HTTPStatus}
        phrase = known.get(self.status, "Overloaded")
        headers = {
            "content-type": "application/json",
            "content-length": str(len(self.body)),
            **self.headers,
        }
        lines = [f"HTTP/1.1 {self.status} {phrase}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return "\r\n".join([*lines, "", ""]).encode() + self.body


async def read_head(reader: asyncio.StreamReader) -> Head | None:
    """The next request of a connection; None if there is none."""
    try:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    method, path, _ = lines[0].split(" ", 2)
    pairs = (line.partition(":") for line in lines[1:MOST_HEADERS] if line)
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    return Head(method, path.partition("?")[0], headers)


async def read_body(reader: asyncio.StreamReader, head: Head) -> bytes:
    """The body that belongs to *head*."""
    if head.headers.get("transfer-encoding", "").lower() == "chunked":
        return await _read_chunks(reader)
    return await reader.readexactly(int(head.headers.get("content-length", "0")))


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while size := int((await reader.readline()).split(b";")[0], 16):
        body += await reader.readexactly(size)
        await reader.readline()
    await reader.readline()
    return body
