"""The thread, the listening socket, and who is on the line."""

import asyncio
import threading
from collections.abc import Awaitable, Callable

from trading_assets_tests.fake_gateway.session import Session

HOST = "127.0.0.1"
THREAD_SECONDS = 10.0


class Line:
    """Takes connections on the loopback, on a thread and a loop of its own.

    Attributes:
        port: Where it listens; once it has listened it keeps to it.
        failures: What went wrong here and was not scripted.
    """

    def __init__(
        self,
        port: int,
        changed: threading.Condition,
        on_greeting: Callable[[Session], None],
        on_message: Callable[[Session, list[str]], None],
    ) -> None:
        """Prepare it; nothing listens yet.

        Args:
            port: 0 takes a free one.
            changed: Guards who is on the line, and is notified when that changes.
            on_greeting: Called when a client has offered its versions.
            on_message: Called with every message after that.
        """
        self.port = port
        self.failures: list[Exception] = []
        self._changed = changed
        self._on_greeting = on_greeting
        self._on_message = on_message
        self._sessions: list[Session] = []
        self._server: asyncio.Server | None = None
        self._loop = asyncio.new_event_loop()
        self._loop.set_exception_handler(self._remember_failure)
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="fake-gateway", daemon=True
        )

    def start(self) -> None:
        """Begin to work; call it once."""
        self._thread.start()
        self.listen()

    def end(self) -> None:
        """Drop everybody and stop for good."""
        self.stop_listening()
        self.drop_all()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(THREAD_SECONDS)
        self._loop.close()

    def listen(self) -> None:
        """Take connections."""
        if self._server is None:
            self._wait_for(self._listen())

    async def _listen(self) -> None:
        self._server = await self._loop.create_server(self._new_session, HOST, self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        with self._changed:
            self._changed.notify_all()

    def stop_listening(self) -> None:
        """Refuse new connections; those there are go on."""
        self._wait_for(self._stop_listening())

    async def _stop_listening(self) -> None:
        self._close_server()

    def _close_server(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.close()

    def drop_all(self) -> None:
        """End every connection at once."""
        self._wait_for(self._drop_all())

    async def _drop_all(self) -> None:
        with self._changed:
            for session in [*self._sessions]:
                session.drop()
        await asyncio.sleep(0)  # lets the connections end

    def go_away(self, seconds: float) -> None:
        """Drop everybody at once and listen again after *seconds*; from its own thread."""

        async def come_back() -> None:
            await asyncio.sleep(seconds)
            await self._listen()

        self._close_server()  # at once: who is dropped may call again at once
        for session in [*self._sessions]:
            session.drop()
        self._loop.create_task(come_back())

    def soon(self, action: Callable[[], object]) -> None:
        """Do something on its own thread."""
        self._loop.call_soon_threadsafe(action)

    @property
    def is_listening(self) -> bool:
        """Whether it takes connections."""
        return self._server is not None

    @property
    def started(self) -> list[Session]:
        """Who is on the line and has said who it is."""
        return [session for session in self._sessions if session.is_started]

    def _new_session(self) -> Session:
        session = Session(self._loop, self._on_message, self._on_greeting, self._forget)
        with self._changed:
            self._sessions.append(session)
        return session

    def _forget(self, session: Session) -> None:
        with self._changed:
            if session in self._sessions:
                self._sessions.remove(session)
            self._changed.notify_all()

    def _wait_for(self, work: Awaitable[None]) -> None:
        async def done() -> None:
            await work

        asyncio.run_coroutine_threadsafe(done(), self._loop).result(THREAD_SECONDS)

    def _remember_failure(
        self, _loop: asyncio.AbstractEventLoop, context: dict[str, object]
    ) -> None:
        error = context.get("exception")
        failure = error if isinstance(error, Exception) else RuntimeError(str(context))
        self.failures.append(failure)
