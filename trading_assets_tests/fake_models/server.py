"""The server: a thread with its own event loop, and what it remembers."""

import asyncio
import hashlib
import json
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from trading_assets_tests.fake_models.batches import FakeBatches
from trading_assets_tests.fake_models.faults import response_of
from trading_assets_tests.fake_models.made_up import made_up
from trading_assets_tests.fake_models.plays import Fault, Play
from trading_assets_tests.fake_models.protocols import (
    Asked,
    answer,
    complaint,
    error,
    protocol_of,
    understood,
    usage_of,
)
from trading_assets_tests.fake_models.wire import Head, Response, read_body, read_head

SLOW_SECONDS = 30.0
TRICKLE_SECONDS = 0.05
ANY = ""
BASE_PATHS = {"anthropic": "", "openai": "/v1", "compatible": "/v1"}
MOST_BYTES = 1 << 26


@dataclass(frozen=True, slots=True)
class Received:
    """A request as it came.

    Attributes:
        at: Seconds of a clock that never goes back.
    """

    path: str
    headers: Mapping[str, str]
    body: Mapping[str, Any]
    at: float

    @property
    def key(self) -> str:
        """The secret that it came with."""
        return self.headers.get("authorization", "").removeprefix("Bearer ")


class FakeModels:
    """Models at 127.0.0.1 until the end of the ``with``."""

    def __init__(self, port: int = 0, *, is_instant: bool = False) -> None:
        """Get ready.

        Args:
            port: Where to listen; 0 for a free one.
            is_instant: Whether to answer as fast as can be, without a look at what is
                asked.
        """
        self.port = port
        self.requests: list[Received] = []
        self.at_once = 0
        self.most_at_once = 0
        self.says: Callable[[Asked], str | None] = lambda _: None
        self.batches = FakeBatches(lambda asked, body: self._said(Play(), asked, body))
        self._is_instant = is_instant
        self._canned: dict[str, bytes] = {}
        self._next: dict[str, deque[Play]] = defaultdict(deque)
        self._always: dict[str, Play] = {}
        self._by_key: dict[str, Play] = {}
        self._limit: _Limit | None = None
        self._lock = threading.Lock()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="fake-models", daemon=True)
        self._is_listening = threading.Event()
        self._is_over = asyncio.Event()

    def __enter__(self) -> Self:
        self._thread.start()
        self._is_listening.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._is_over.set)
        self._thread.join()

    def url(self, protocol: str) -> str:
        """The base URL for ``anthropic``, ``openai`` or ``compatible``."""
        return f"http://127.0.0.1:{self.port}{BASE_PATHS[protocol]}"

    def play(self, *plays: Play, model: str = ANY) -> None:
        """What becomes of the next requests, one after the other.

        Args:
            plays: In their order.
            model: Only of requests to this one.
        """
        with self._lock:
            self._next[model].extend(plays)

    def always(self, play: Play, model: str = ANY) -> None:
        """What becomes of every request for which nothing else is scripted."""
        with self._lock:
            self._always[model] = play

    def refuse_key(self, key: str, fault: Fault = Fault.UNAUTHORIZED) -> None:
        """Let nobody in with *key*."""
        with self._lock:
            self._by_key[key] = Play(fault=fault)

    def limit(self, requests: int, seconds: float) -> None:
        """Take so many requests in each window of so many *seconds*, and say so."""
        self._limit = _Limit(requests, seconds)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        server = await asyncio.start_server(
            self._talk, "127.0.0.1", self.port, limit=MOST_BYTES
        )
        self.port = server.sockets[0].getsockname()[1]
        self._is_listening.set()
        await self._is_over.wait()
        server.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    async def _talk(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """One connection, request after request."""
        try:
            while (head := await read_head(reader)) is not None:
                await self._answer(head, reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        except asyncio.CancelledError:
            pass  # the end of the server, and no fault
        finally:
            writer.close()

    async def _answer(
        self, head: Head, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if self._is_instant:
            await read_body(reader, head)
            writer.write(self._instantly(head.path))
            return
        with self._lock:
            is_dropped = self._peeked().fault is Fault.DROP_BEFORE
        if is_dropped:
            with self._lock:
                self._next[ANY].popleft()
            writer.transport.abort()
            raise ConnectionAbortedError
        body = await read_body(reader, head)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await self._respond(head, body, writer)
        finally:
            self.at_once -= 1

    def _peeked(self) -> Play:
        """The next play for whoever comes, before it is known who does."""
        waiting = self._next[ANY]
        return waiting[0] if waiting else Play()

    async def _respond(self, head: Head, body: bytes, writer: asyncio.StreamWriter) -> None:
        try:
            batched = self.batches.handle(head, body)
        except ConnectionAbortedError:
            writer.transport.abort()
            raise
        if batched is not None:
            writer.write(batched.encoded())
            await writer.drain()
            return
        protocol = protocol_of(head.path)
        if head.method != "POST" or protocol is None:
            writer.write(self._by_hand(head, body).encoded())
            return
        told = json.loads(body)
        self.requests.append(Received(head.path, head.headers, told, time.monotonic()))
        asked = understood(protocol, told)
        play, limits = self._play_for(asked.model, head.key), self._counted(protocol)
        fault = complaint(protocol, head.headers, told)
        if fault and play.fault is Fault.NONE:
            body = json.dumps(error(protocol, "invalid_request_error", "", fault)).encode()
            writer.write(Response(400, body, {}).encoded())
            return
        if limits.get("retry-after") and play.fault is Fault.NONE:
            play = Play(fault=Fault.RATE_LIMITED)
        response = response_of(play, asked, self._said(play, asked, body), head.key)
        headers = {"request-id": "req_1", "x-request-id": "req_1"}
        headers |= dict(response.headers) | limits
        await _send(play, Response(response.status, response.body, headers), writer)

    def _play_for(self, model: str, key: str) -> Play:
        named = model.rpartition("@")[2] if "@" in model else ""
        with self._lock:
            if key in self._by_key:
                return self._by_key[key]
            for waiting in (self._next[model], self._next[ANY]):
                if waiting:
                    return waiting.popleft()
            if named:
                return Play(fault=Fault(named))
            return self._always.get(model) or self._always.get(ANY) or Play()

    def _said(self, play: Play, asked: Asked, body: bytes) -> str:
        if play.text is not None:
            return play.text
        said = self.says(asked)
        if said is not None:
            return said
        seed = int.from_bytes(hashlib.sha256(body).digest()[:8])
        return json.dumps(made_up(asked.schema or {"type": "object"}, seed))

    def _counted(self, protocol: str) -> dict[str, str]:
        return {} if self._limit is None else self._limit.count(protocol)

    def _instantly(self, path: str) -> bytes:
        if path not in self._canned:
            asked = Asked(protocol_of(path) or "compatible", "instant", None, "", 0)
            body = answer(asked, '{"action": "HOLD"}', usage=usage_of(asked, "x" * 40))
            self._canned[path] = Response(200, json.dumps(body).encode(), {}).encoded()
        return self._canned[path]

    def _by_hand(self, head: Head, body: bytes) -> Response:
        """For people: ``/_play`` takes plays as JSON, ``/_requests`` lists what came."""
        if head.path == "/_play":
            told = json.loads(body)
            model = told.pop("model", ANY)
            self.play(
                Play(**(told | {"fault": Fault(told.get("fault", "none"))})), model=model
            )
            return Response(200, b"{}", {})
        if head.path == "/_requests":
            listed = [
                {"path": it.path, "model": it.body.get("model")} for it in self.requests
            ]
            return Response(200, json.dumps(listed).encode(), {})
        return Response(404, b'{"error": {"message": "no such path"}}', {})


class _Limit:
    """So many requests in each window."""

    def __init__(self, requests: int, seconds: float) -> None:
        self._requests = requests
        self._seconds = seconds
        self._began = 0.0
        self._count = 0

    def count(self, protocol: str) -> dict[str, str]:
        """Headers for one more request; with ``retry-after`` if it is one too many."""
        now = time.time()
        if now >= self._began + self._seconds:
            self._began, self._count = now, 0
        self._count += 1
        ends, left = self._began + self._seconds, max(0, self._requests - self._count)
        told = {"limit": str(self._requests), "remaining": str(left)}
        if protocol == "anthropic":
            at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(ends))
            told["reset"] = f"{at}.{int(ends % 1 * 1e6):06}Z"
            headers = {f"anthropic-ratelimit-requests-{k}": v for k, v in told.items()}
        else:
            told["reset"] = f"{ends - now:.3f}s"
            headers = {f"x-ratelimit-{k}-requests": v for k, v in told.items()}
        if self._count > self._requests:
            headers["retry-after"] = f"{ends - now:.3f}"
        return headers


async def _send(play: Play, response: Response, writer: asyncio.StreamWriter) -> None:
    """Put *response* on the wire, or what is left of it."""
    encoded = response.encoded()
    is_slow = play.fault is Fault.SLOW
    await asyncio.sleep(play.seconds or (SLOW_SECONDS if is_slow else 0.0))
    if play.fault in (Fault.DROP_AFTER, Fault.DROP_BEFORE):
        writer.transport.abort()
        raise ConnectionAbortedError
    if play.fault is Fault.DROP_AMID:
        writer.write(encoded[: -len(response.body) // 2])
        await writer.drain()
        writer.transport.abort()
        raise ConnectionAbortedError
    if play.fault is Fault.TRICKLE:
        for byte in encoded:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(TRICKLE_SECONDS)
        return
    writer.write(encoded)
    await writer.drain()
