"""How fast history may be asked for.

Interactive Brokers takes 50 open requests for history, and calls six requests for one
contract within two seconds a violation. For bars of a minute and longer it slows the
answers down instead; we keep to both all the same, and step back when it complains.
"""

import asyncio
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from trading_assets.adapters.ibkr.codes import CodeClass, code_class
from trading_assets.errors import RequestRefused


@dataclass(frozen=True, slots=True)
class Pace:
    """Limits that we set ourselves.

    Attributes:
        open_requests: Most that wait for their answer at the same time.
        per_contract: Most that are begun for one contract within *within_seconds*.
        pauses_seconds: How long everybody waits after a request was refused for now; it
            is tried once more after each.
    """

    open_requests: int = 20
    per_contract: int = 5
    within_seconds: float = 2.0
    pauses_seconds: tuple[float, ...] = (2.0, 10.0, 30.0)


class Pacer:
    """Lets requests begin at a pace; one event loop, many tasks."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._open = asyncio.Semaphore(pace.open_requests)
        self._begun: dict[str, deque[float]] = defaultdict(
            lambda: deque(maxlen=pace.per_contract)
        )
        self._free_at = 0.0

    async def ask[T](self, contract: str, request: Callable[[], Awaitable[T]]) -> T:
        """What *request* comes back with, in its turn.

        Args:
            contract: What it is about.
            request: Begins it; called again after a pause if it is refused for now.

        Raises:
            RequestRefused: If it is refused for good, or for now after every pause.
        """
        for pause in self._pace.pauses_seconds:
            try:
                return await self._in_turn(contract, request)
            except RequestRefused as refusal:
                if code_class(refusal.code, refusal.text) is not CodeClass.RETRY:
                    raise
            self._free_at = max(self._free_at, _now() + pause)
        return await self._in_turn(contract, request)

    async def _in_turn[T](self, contract: str, request: Callable[[], Awaitable[T]]) -> T:
        async with self._open:
            begun = self._begun[contract]
            while (wait := self._wait_seconds(begun)) > 0:  # noqa: ASYNC110 - it is time
                await asyncio.sleep(wait)
            begun.append(_now())
            return await request()

    def _wait_seconds(self, begun: deque[float]) -> float:
        is_full = len(begun) == self._pace.per_contract
        earliest = begun[0] + self._pace.within_seconds if is_full else 0.0
        return max(earliest, self._free_at) - _now()


def _now() -> float:
    return asyncio.get_running_loop().time()
