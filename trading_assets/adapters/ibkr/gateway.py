"""The connection to a gateway of Interactive Brokers.

A `Gateway` owns one thread with one event loop, and everything that touches ib_insync
happens on it. Any thread may ask. It connects once: when the socket is gone it stays gone,
and whoever needs more opens another, which finds out what happened in between.
"""

import asyncio
import concurrent.futures
import logging
import math
import os
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Self

from trading_assets.adapters.ibkr.codes import (
    CLIENT_ID_IN_USE,
    PAUSING,
    RESTORING,
    CodeClass,
    code_class,
)
from trading_assets.adapters.ibkr.guards import Audience, Listener, give_up, guard, is_noise
from trading_assets.adapters.ibkr.library import IB, OwnedIB, RequestError
from trading_assets.errors import (
    GatewayUnreachable,
    InvalidInput,
    NoAnswer,
    OrdersPaused,
    ReadOnlyGateway,
    RequestRefused,
    WrongAccount,
)

logger = logging.getLogger(__name__)

PAPER_PORTS = frozenset({4002, 4004, 7497})
LIVE_PORTS = frozenset({4001, 4003, 7496})
"""Of the gateway, of its container in docker-compose.yml, and of Trader Workstation."""

PAPER_PREFIX = "DU"
LIVE_PREFIX = "U"
HIGHEST_PORT = 65535
MESSAGES_PER_SECOND = 45
"""The gateway drops a client that sends more than 50."""

SHORTEST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 2.0
"""Between attempts to take a client id that a dead session still holds; each pause is
twice the one before."""

RESUME_ATTEMPTS = 3
CLOSING_SECONDS = 5.0
SLACK_SECONDS = 5.0
"""How much longer the asking thread waits than the owner thread, which should answer."""


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """Which gateway, and as whom.

    Attributes:
        port: 4002, 4004 or 7497 for paper trading, 4001, 4003 or 7496 for live. Any other
            is a gateway for tests and takes a paper account.
        client_id: From 1; one connection at a time may use it. Client 0 would take over
            orders that a person enters by hand.
        account: Paper accounts begin with DU, live ones with U.
        readonly: No order can be sent, changed or cancelled, and none are asked for.
        connect_seconds: Longest time for connecting, other attempts included.
        answer_seconds: Longest wait for an answer, where a question names no other.
        messages_per_second: Most that we send; the rest waits. 0 for no limit.

    Raises:
        InvalidInput: If a number is outside its range.
        WrongAccount: If the account does not fit the port.
    """

    port: int
    client_id: int
    account: str
    host: str = "127.0.0.1"
    readonly: bool = True
    connect_seconds: float = 15.0
    answer_seconds: float = 30.0
    messages_per_second: int = MESSAGES_PER_SECOND

    def __post_init__(self) -> None:
        if not 1 <= self.port <= HIGHEST_PORT:
            raise InvalidInput(f"port must be 1 to {HIGHEST_PORT}, was {self.port}")
        if self.client_id < 1:
            raise InvalidInput(f"client_id must be 1 or above, was {self.client_id}")
        for name in ("connect_seconds", "answer_seconds"):
            seconds = getattr(self, name)
            if not 0 < seconds < math.inf:
                raise InvalidInput(f"{name} must be above 0, was {seconds:g}")
        wanted = LIVE_PREFIX if self.port in LIVE_PORTS else PAPER_PREFIX
        if not _is_account(self.account, wanted):
            kind = "live" if self.port in LIVE_PORTS else "paper"
            raise WrongAccount(
                f"port {self.port} is for {kind} accounts, which begin with {wanted}; "
                f"the account was {self.account!r}"
            )


@dataclass(frozen=True, slots=True)
class GatewayState:
    """How a connection stands.

    Attributes:
        connected: Whether the socket is there and the session on it.
        paused_since: When the gateway lost its server; None while it has it.
        resumed: How often it got its server back, and everything was asked for again.
    """

    connected: bool = False
    paused_since: datetime | None = None
    resumed: int = 0


class Gateway:
    """One session with a gateway; make it with `open` or `connected`.

    What it promises:

    - A question is answered, refused (`RequestRefused`), not heard (`NoAnswer`: it may have
      been done) or never asked (`GatewayUnreachable`). An empty answer is an answer.
    - While the gateway has no connection to its server, no order is sent (`OrdersPaused`).
      It resumes when executions and open orders were asked for again.
    - A connection opened to look on sends no order (`ReadOnlyGateway`).

    After a fork it belongs to the parent; in the child it is as good as closed.
    """

    def __init__(self, settings: GatewaySettings) -> None:
        self._settings = settings
        self._process = os.getpid()
        self._audience = Audience()
        self._state = GatewayState()
        self._ib: IB | None = None
        self._why_dropped = ""
        self._lost: asyncio.Future[None] | None = None
        self._resuming: asyncio.Task[None] | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._own,
            name=f"gateway-{settings.port}-{settings.client_id}",
            daemon=True,
        )

    @classmethod
    def open(cls, settings: GatewaySettings) -> Self:
        """Connect, make sure of the account, and learn of today's orders and executions.

        A connection that looks on asks for none. A client id that is in use is tried again
        until the time for connecting is over.

        Raises:
            GatewayUnreachable: If there is no session within that time.
            WrongAccount: If the gateway does not report the account.
        """
        gateway = cls(settings)
        gateway._thread.start()
        try:
            gateway._wait_for(gateway._connect(), settings.connect_seconds, "connecting")
        except NoAnswer as error:
            gateway.close()
            raise GatewayUnreachable(f"{gateway._name}: {error}") from error
        except BaseException:
            gateway.close()
            raise
        return gateway

    @classmethod
    @contextmanager
    def connected(cls, settings: GatewaySettings) -> Iterator[Self]:
        """A gateway that is closed at the end.

        Raises:
            GatewayUnreachable: As `open` does.
            WrongAccount: As `open` does.
        """
        gateway = cls.open(settings)
        try:
            yield gateway
        finally:
            gateway.close()

    @property
    def settings(self) -> GatewaySettings:
        """What it was opened with."""
        return self._settings

    @property
    def state(self) -> GatewayState:
        """How the connection stands now."""
        if os.getpid() != self._process:
            return replace(self._state, connected=False)
        return self._state

    def ask[T](
        self,
        question: Callable[[IB], Awaitable[T]],
        what: str,
        seconds: float | None = None,
    ) -> T:
        """What *question* comes back with, run on the owner thread.

        Args:
            question: Called with the library's object; awaits its ``…Async`` methods.
            what: Names the question in errors.
            seconds: Longest wait; infinite if the question bounds its own steps, None for
                the setting.

        Raises:
            GatewayUnreachable: If there is no connection; nothing was asked.
            NoAnswer: If the time is over or the connection is lost before the answer.
            RequestRefused: If the gateway says no.
        """
        self._require_elsewhere(what)
        bound = self._settings.answer_seconds if seconds is None else seconds
        return self._wait_for(self._answered(question, what, bound), bound, what)

    def tell[T](self, action: Callable[[IB], T]) -> T:
        """What *action* returns, run on the owner thread; it must not wait for anything.

        Raises:
            GatewayUnreachable: If there is no connection, or the owner thread is too busy
                to begin; nothing was done.
        """
        self._require_elsewhere("an action")
        done: concurrent.futures.Future[T] = concurrent.futures.Future()
        self._call_soon(lambda: self._act(action, done))
        try:
            return done.result(self._settings.answer_seconds)
        except TimeoutError:
            if not done.cancel():
                return done.result()  # it has begun, and is quick
            raise GatewayUnreachable(f"{self._name}: too busy to begin an action") from None

    def order_ids(self, count: int, above: int = 0) -> range:
        """*count* consecutive order ids that this connection never gave before.

        Args:
            count: 1 or above.
            above: Each is higher than this, as it is higher than every id seen here.

        Raises:
            GatewayUnreachable: If there is no connection.
        """

        def reserve(ib: IB) -> range:
            ib.client.updateReqId(above + 1)
            ids = [ib.client.getReqId() for _ in range(count)]
            return range(ids[0], ids[-1] + 1)

        return self.tell(reserve)

    def listen(self, listener: Listener) -> None:
        """Tell *listener* what the gateway says from now on, on the owner thread.

        What it raises is raised again, once, by the next `ask` or `tell`.
        """
        self._audience.add(listener)

    def close(self) -> None:
        """End the session; whoever still waits for an answer gets `NoAnswer`."""
        if not self._thread.is_alive():  # in a forked child it never is
            return
        self._require_elsewhere("closing")
        with suppress(concurrent.futures.CancelledError, TimeoutError):
            asyncio.run_coroutine_threadsafe(self._disconnect(), self._loop).result(
                CLOSING_SECONDS
            )
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(CLOSING_SECONDS)

    @property
    def _name(self) -> str:
        return f"gateway {self._settings.host}:{self._settings.port}"

    # On the threads of those who ask

    def _require_elsewhere(self, what: str) -> None:
        """Refuse to wait for the owner thread on it: it would wait for itself."""
        if threading.current_thread() is self._thread:
            raise RuntimeError(f"{what}: a listener must not wait for its own gateway")

    def _wait_for[T](self, work: Coroutine[Any, Any, T], seconds: float, what: str) -> T:
        try:
            self._require_alive()
        except BaseException:
            work.close()  # or it would complain of never having been begun
            raise
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result(None if math.isinf(seconds) else seconds + SLACK_SECONDS)
        except concurrent.futures.CancelledError:
            raise NoAnswer(f"{what}: the connection was closed before the answer") from None
        except TimeoutError:
            future.cancel()
            raise NoAnswer(f"{what}: {self._name} is too busy to answer") from None

    def _call_soon(self, action: Callable[[], None]) -> None:
        self._require_alive()
        self._loop.call_soon_threadsafe(action)

    def _require_alive(self) -> None:
        if os.getpid() != self._process:
            raise GatewayUnreachable(f"{self._name}: was opened by another process")
        if not self._thread.is_alive() or self._loop.is_closed():
            raise GatewayUnreachable(f"{self._name}: the connection was closed")
        if self._audience.failures:
            raise self._audience.failures.pop(0)

    # On the owner thread

    def _own(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
            leftover = asyncio.all_tasks(self._loop)
            for task in leftover:
                task.cancel()
            if leftover:
                self._loop.run_until_complete(
                    asyncio.gather(*leftover, return_exceptions=True)
                )
        finally:
            asyncio.set_event_loop(None)
            self._loop.close()

    async def _answered[T](
        self, question: Callable[[IB], Awaitable[T]], what: str, seconds: float
    ) -> T:
        return await heard(question(self._connected_ib(what)), what, seconds)

    def _act[T](
        self, action: Callable[[IB], T], done: "concurrent.futures.Future[T]"
    ) -> None:
        if not done.set_running_or_notify_cancel():
            return
        try:
            done.set_result(action(self._connected_ib("an action")))
        except ConnectionError as error:
            done.set_exception(GatewayUnreachable(f"{self._name}: {error}"))
        except BaseException as error:  # noqa: BLE001 - it is the caller's
            done.set_exception(error)

    def _connected_ib(self, what: str) -> IB:
        if self._ib is None or not self._state.connected:
            raise GatewayUnreachable(f"{what}: {self._name}: the connection was lost")
        return self._ib

    async def _connect(self) -> None:
        deadline = self._loop.time() + self._settings.connect_seconds
        pause = SHORTEST_PAUSE_SECONDS
        while not await self._attempt(deadline):
            if self._loop.time() + pause >= deadline:
                raise GatewayUnreachable(
                    f"{self._name}: client id {self._settings.client_id} is in use; gave "
                    f"up after {self._settings.connect_seconds:g} s"
                )
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    async def _attempt(self, deadline: float) -> bool:
        """Connect with a fresh object; False if the client id is in use."""
        self._state = GatewayState()
        entrance = _Entrance(self._loop.create_future())
        ib = self._new_ib(entrance)
        try:
            async with asyncio.timeout_at(deadline):
                if not await self._shake_hands(ib, entrance):
                    await self._hang_up(ib)
                    return False
                self._verify(ib, entrance)
                self._ib, self._state = ib, replace(self._state, connected=True)
            await self._learn(ib, deadline)
        except TimeoutError:
            await self._hang_up(ib)
            raise GatewayUnreachable(
                f"{self._name}: no session within {self._settings.connect_seconds:g} s"
            ) from None
        except (OSError, NoAnswer, RequestRefused) as error:
            await self._hang_up(ib)
            raise GatewayUnreachable(f"{self._name}: {error}") from error
        except BaseException:
            await self._hang_up(ib)
            raise
        return True

    def _new_ib(self, entrance: "_Entrance") -> IB:
        settings = self._settings
        ib = OwnedIB()
        ib.RaiseRequestErrors = True
        ib.client.MaxRequests = settings.messages_per_second
        ib.wrapper.clientId = settings.client_id
        told = Audience()
        told.add(entrance)
        told.add(_Pulse(self._on_code))
        told.add(self._audience)
        guard(
            ib,
            told,
            may_place=self._require_may_place,
            may_cancel=self._require_may_send,
            on_unreadable=self._on_unreadable,
        )
        setattr(ib.wrapper, "nextValidId", entrance.on_order_id)  # noqa: B010 - the library's own does nothing
        self._lost = self._loop.create_future()
        ib.client.conn.disconnected += self._on_disconnected
        ib.client.apiError += entrance.on_broken
        ib.client.conn.disconnected += entrance.on_broken
        ib.updateEvent += lambda: self._on_bytes(ib, entrance)
        return ib

    async def _shake_hands(self, ib: IB, entrance: "_Entrance") -> bool:
        settings = self._settings
        connecting = asyncio.create_task(
            ib.client.connectAsync(settings.host, settings.port, settings.client_id, 0)
        )
        try:
            await asyncio.wait(
                {connecting, entrance.refused}, return_when=asyncio.FIRST_COMPLETED
            )
            if entrance.refused.done():
                return not entrance.refused.result()
            await connecting
        finally:
            if not connecting.done():
                connecting.cancel()
                with suppress(asyncio.CancelledError, OSError):
                    await connecting
            elif not connecting.cancelled():
                connecting.exception()  # what refused it has said why
        return True

    def _verify(self, ib: IB, entrance: "_Entrance") -> None:
        reported = ib.client.getAccounts()
        if self._settings.account not in reported:
            raise WrongAccount(
                f"{self._name} reports {', '.join(reported)}, not {self._settings.account}"
            )
        if entrance.order_id < 1:
            raise GatewayUnreachable(
                f"{self._name}: its next order id must be 1 or above, was "
                f"{entrance.order_id}"
            )

    async def _learn(self, ib: IB, deadline: float) -> None:
        """Orders before executions: the library joins the ones to the others."""
        if self._settings.readonly:
            return
        for what, ask in (
            ("open orders", ib.reqOpenOrdersAsync),
            ("completed orders", lambda: ib.reqCompletedOrdersAsync(apiOnly=False)),
            ("executions", ib.reqExecutionsAsync),
        ):
            await heard(ask(), what, max(deadline - self._loop.time(), 0.0))

    def _require_may_place(self) -> None:
        self._require_may_send()
        if self._state.paused_since is not None:
            raise OrdersPaused(
                f"{self._name} lost its server at {self._state.paused_since:%H:%M:%S} UTC"
            )

    def _require_may_send(self) -> None:
        if self._settings.readonly:
            raise ReadOnlyGateway(f"{self._name}: the connection was opened read-only")

    def _on_code(self, code: int) -> None:
        if code in PAUSING:
            self._pause()
        elif code in RESTORING:
            self._pause()
            self._start_resuming()

    def _pause(self) -> None:
        if self._resuming is not None:
            self._resuming.cancel()
        if self._state.paused_since is None:
            self._state = replace(self._state, paused_since=datetime.now(UTC))

    def _start_resuming(self) -> None:
        if self._ib is not None and self._state.connected:
            self._resuming = self._loop.create_task(self._resume(self._ib))
        else:  # everything is about to be asked for anyhow
            self._state = replace(self._state, paused_since=None)

    async def _resume(self, ib: IB) -> None:
        pause = SHORTEST_PAUSE_SECONDS
        for _ in range(RESUME_ATTEMPTS):
            try:
                await self._learn_again(ib)
            except (NoAnswer, RequestRefused) as error:
                logger.warning("%s: not resumed: %s", self._name, error)
                await asyncio.sleep(pause)
                pause *= 2
            else:
                self._state = replace(
                    self._state, paused_since=None, resumed=self._state.resumed + 1
                )
                self._audience.on_resume()
                return
        self._drop(ib, "executions and open orders could not be asked for again")

    async def _learn_again(self, ib: IB) -> None:
        seconds = self._settings.answer_seconds
        if not self._settings.readonly:
            await heard(ib.reqAllOpenOrdersAsync(), "open orders", seconds)
        await heard(ib.reqExecutionsAsync(), "executions", seconds)

    def _on_unreadable(self, reason: str) -> None:
        """What it told may have been a fill: as after a lost connection to the server."""
        logger.warning("%s: %s", self._name, reason)
        is_resuming = self._resuming is not None and not self._resuming.done()
        if self._state.connected and not is_resuming:  # it notices, and tries again
            self._pause()
            self._start_resuming()

    def _on_bytes(self, ib: IB, entrance: "_Entrance") -> None:
        if is_noise(ib):
            entrance.on_broken("what it sends are no messages")
            self._drop(ib, "what it sends are no messages")

    def _drop(self, ib: IB, reason: str) -> None:
        logger.warning("%s: dropped: %s", self._name, reason)
        self._why_dropped = reason
        give_up(ib, reason)
        if ib.client.conn.transport is not None:
            ib.client.conn.transport.abort()

    def _on_disconnected(self, reason: str) -> None:
        was_connected = self._state.connected
        self._state = replace(self._state, connected=False)
        if self._lost is not None and not self._lost.done():
            self._lost.set_result(None)
        if self._resuming is not None:
            self._resuming.cancel()
        if was_connected:
            self._audience.on_lost(
                self._why_dropped or reason or "the gateway closed the connection"
            )

    async def _disconnect(self) -> None:
        if self._resuming is not None:
            self._resuming.cancel()
        if self._ib is not None:
            await self._hang_up(self._ib)

    async def _hang_up(self, ib: IB) -> None:
        """Close the socket, and wait until it is."""
        self._state = replace(self._state, connected=False)
        transport = ib.client.conn.transport
        with suppress(OSError):
            ib.client.disconnect()
        if transport is None or self._lost is None:
            return
        try:
            async with asyncio.timeout(CLOSING_SECONDS / 2):
                await asyncio.shield(self._lost)
        except TimeoutError:
            transport.abort()  # it does not read what we still have for it


class _Entrance(Listener):
    """Watches a session begin.

    Attributes:
        refused: True when the client id is in use; any other end is its exception.
        order_id: The next order id that the gateway named.
    """

    def __init__(self, refused: "asyncio.Future[bool]") -> None:
        self.refused = refused
        self.order_id = 0

    def on_order_id(self, order_id: int) -> None:
        """Note it."""
        self.order_id = order_id

    def on_notice(self, code: int, text: str, order_id: int) -> None:
        """End the attempt on a code that ends every session."""
        del order_id
        if self.refused.done():
            return
        if code == CLIENT_ID_IN_USE:
            self.refused.set_result(True)
        elif code_class(code, text) is CodeClass.SESSION:
            self._break(f"refused with {code}: {text}")

    def on_broken(self, reason: str) -> None:
        """End the attempt with the socket."""
        self._break(reason or "the connection was closed before the session began")

    def _break(self, reason: str) -> None:
        if not self.refused.done():
            self.refused.set_exception(ConnectionError(reason))
            self.refused.exception()  # nobody may be waiting any more


class _Pulse(Listener):
    """Tells which notices come."""

    def __init__(self, on_code: Callable[[int], None]) -> None:
        self._on_code = on_code

    def on_notice(self, code: int, text: str, order_id: int) -> None:
        """Pass the code on."""
        del text, order_id
        self._on_code(code)


async def heard[T](answer: Awaitable[T], what: str, seconds: float) -> T:
    """*answer* in our words.

    Args:
        answer: From one of the library's ``…Async`` methods.
        what: Names it in errors.
        seconds: Longest wait; may be infinite.

    Raises:
        NoAnswer: If the time is over or the connection is lost before it.
        RequestRefused: If the gateway says no.
    """
    try:
        async with asyncio.timeout(None if math.isinf(seconds) else seconds):
            return await answer
    except TimeoutError:
        raise NoAnswer(f"{what}: no answer within {seconds:g} s") from None
    except RequestError as error:
        raise RequestRefused(what, error.code, error.message) from error
    except NoAnswer as error:
        raise NoAnswer(f"{what}: {error}") from error
    except ConnectionError as error:
        raise NoAnswer(f"{what}: the connection was lost before the answer") from error


def _is_account(account: str, prefix: str) -> bool:
    # A live prefix is the beginning of no paper account: DU begins with D.
    return account.startswith(prefix) and account.isascii() and account.isalnum()
