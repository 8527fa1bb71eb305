"""A real client, to try the gateway with: ib_insync on a thread and a loop of its own.

It reads every answer field by field and knows nothing of the fake. What it receives is
also kept as it came, so that the wire itself can be judged.
"""

import asyncio
import importlib
import logging
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Self

import pandas as pd

from trading_assets_tests.fake_gateway.server import FakeGateway

DECODER_LOG = logging.getLogger("ib_insync.Decoder")
SECONDS = 10.0
"""Upper bound of every wait; nothing here takes as long."""
NOON = datetime(2026, 3, 4, 17, 0, tzinfo=UTC)
BARS = pd.DataFrame(
    {
        "open": [188.0, 189.0, 190.0],
        "high": [189.5, 190.5, 191.5],
        "low": [187.5, 188.5, 189.5],
        "close": [189.0, 190.0, 190.1],
        "volume": [1_000_000.0, 1_100_000.0, 1_200_000.0],
    },
    index=pd.DatetimeIndex(["2026-02-27", "2026-03-02", "2026-03-03"]),
)
MINUTES = pd.DataFrame(
    {
        "open": [10.0, 11.0, 12.0, 13.0],
        "high": [11.5, 12.5, 13.5, 14.5],
        "low": [9.5, 10.5, 11.5, 12.5],
        "close": [11.0, 12.0, 13.0, 14.0],
        "volume": [100.0, 200.0, 300.0, 400.0],
    },
    index=pd.DatetimeIndex(
        ["2026-03-03 14:29", "2026-03-03 14:30", "2026-03-03 14:31", "2026-03-03 14:32"],
        tz="UTC",
    ),
)


def _load_ib_insync() -> Any:
    """The library wants a thread that has a loop when it is imported; ours may not."""
    found: list[Any] = []

    def load() -> None:
        asyncio.set_event_loop(asyncio.new_event_loop())
        found.append(importlib.import_module("ib_insync"))

    thread = threading.Thread(target=load)
    thread.start()
    thread.join()
    return found[0]


ib_insync = _load_ib_insync()


class RealClient:
    """The real ib_insync on a thread and a loop of its own.

    Attributes:
        heard: Every message as fields, in order.
        undecodable: What ib_insync could not read.
    """

    def __init__(self, gateway: FakeGateway, client_id: int = 7) -> None:
        self.heard: list[list[str]] = []
        self.undecodable: list[str] = []
        self._complaints = logging.Handler(logging.ERROR)
        self._complaints.emit = self._note_complaint
        DECODER_LOG.addHandler(self._complaints)
        self._gateway = gateway
        self._client_id = client_id
        self._changed = threading.Condition()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self.ib = asyncio.run_coroutine_threadsafe(self._make(), self._loop).result(SECONDS)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    async def _make(self) -> Any:
        ib = ib_insync.IB()
        ib.RaiseRequestErrors = True
        ib.client.MaxRequests = 0
        interpret = ib.client.decoder.interpret

        def listen(fields: list[str]) -> None:
            kept = [*fields]
            interpret(fields)
            with self._changed:
                self.heard.append(kept)
            wake()

        def wake() -> None:
            with self._changed:
                self._changed.notify_all()

        ib.client.decoder.interpret = listen
        ib.disconnectedEvent += wake
        return ib

    def _note_complaint(self, record: logging.LogRecord) -> None:
        self.undecodable.append(record.getMessage())

    def connect(self, seconds: float = SECONDS) -> Self:
        """Open the connection and let ib_insync ask what it always asks."""
        port, client_id = self._gateway.port, self._client_id
        self.ask(lambda ib: ib.connectAsync("127.0.0.1", port, client_id, seconds))
        return self

    def ask(self, question: Callable[[Any], Coroutine[Any, Any, Any]]) -> Any:
        """The answer to a question that takes a while; raises what ib_insync raises."""

        async def asked() -> Any:
            return await asyncio.wait_for(question(self.ib), SECONDS)

        return asyncio.run_coroutine_threadsafe(asked(), self._loop).result(SECONDS + 1)

    def tell(self, action: Callable[[Any], Any]) -> Any:
        """What a call gives that only sends something."""

        async def act() -> Any:
            return action(self.ib)

        return asyncio.run_coroutine_threadsafe(act(), self._loop).result(SECONDS)

    def place(self, order: Any) -> Any:
        """Place an order for AAPL; the trade that ib_insync makes of it."""
        return self.tell(lambda ib: ib.placeOrder(stock(), order))

    def of_kind(self, *kinds: int) -> list[list[str]]:
        """The messages of these kinds, as they came."""
        wanted = {str(kind) for kind in kinds}
        with self._changed:
            return [fields for fields in self.heard if fields[0] in wanted]

    def wait_for(self, is_true: Callable[[Self], object]) -> None:
        """Wait until *is_true*; it is asked after every message."""
        with self._changed:
            assert self._changed.wait_for(lambda: is_true(self), SECONDS), self.heard[-12:]

    def wait_for_codes(self, *codes: int) -> None:
        """Wait until each of these codes was said."""
        wanted = {str(code) for code in codes}
        self.wait_for(lambda c: wanted <= {fields[3] for fields in c.of_kind(4)})

    def wait_for_end(self) -> None:
        """Wait until both sides know that the connection has ended."""
        self._gateway.wait_until(lambda g: self._client_id not in g.client_ids, SECONDS)
        self.wait_for(lambda c: not c.ib.client.isConnected())

    def settle(self) -> None:
        """Until everything that was said before has been heard."""
        self.ask(lambda ib: ib.reqCurrentTimeAsync())

    def close(self) -> None:
        """Leave politely; call it once."""
        DECODER_LOG.removeHandler(self._complaints)
        self.tell(lambda ib: ib.disconnect())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(SECONDS)
        self._loop.close()


@contextmanager
def listening() -> Iterator[FakeGateway]:
    """A gateway at noon that lists AAPL with a few bars, and KO without a price."""
    with FakeGateway(now=lambda: NOON) as gateway:
        gateway.add_symbol("AAPL", 265598, name="APPLE INC", bars=BARS, minutes=MINUTES)
        gateway.add_symbol("KO", 8894, primary_exchange="NYSE", name="COCA-COLA CO/THE")
        yield gateway


@contextmanager
def connected(gateway: FakeGateway, client_id: int = 7) -> Iterator[RealClient]:
    """A client that is connected and can read everything that it hears."""
    client = RealClient(gateway, client_id)
    try:
        yield client.connect()
        assert client.undecodable == []
    finally:
        client.close()


def order(kind: str = "MKT", action: str = "BUY", shares: float = 10, **more: Any) -> Any:
    """An order of ib_insync; 10 shares at the market if nothing else is said."""
    return ib_insync.Order(
        orderType=kind, action=action, totalQuantity=shares, **{"tif": "DAY", **more}
    )


def only_order(gateway: FakeGateway) -> Any:
    """The one order that there is."""
    (found,) = gateway.orders.values()
    return found


def stock(symbol: str = "AAPL") -> Any:
    """A contract of ib_insync."""
    return ib_insync.Stock(symbol, "SMART", "USD")


def statuses(client: RealClient) -> list[str]:
    """The statuses that were told, in order."""
    return [fields[2] for fields in client.of_kind(3)]


def bars_of(
    client: RealClient, duration: str = "1 Y", size: str = "1 day", **more: Any
) -> Any:
    """Bars of AAPL; what is asked can be replaced by name."""
    asked = {"endDateTime": "", "whatToShow": "TRADES", "useRTH": True, "formatDate": 1}
    asked |= {"durationStr": duration, "barSizeSetting": size, **more}
    return client.ask(lambda ib: ib.reqHistoricalDataAsync(stock(), **asked))


def ask_for_bars(client: RealClient) -> None:
    """Ask for bars of AAPL and don't wait for them."""
    client.tell(
        lambda ib: ib.client.reqHistoricalData(
            reqId=900,
            contract=stock(),
            endDateTime="",
            durationStr="1 D",
            barSizeSetting="1 day",
            whatToShow="TRADES",
            useRTH=1,
            formatDate=1,
            keepUpToDate=False,
            chartOptions=[],
        )
    )


def bracket(client: RealClient, *, entry: float = 180.0, ids: int = 20) -> None:
    """Place a parent to buy at *entry* and its legs at 200 and 170, under three *ids*."""
    parent = order("LMT", orderId=ids, lmtPrice=entry, transmit=False)
    target = order(
        "LMT",
        "SELL",
        orderId=ids + 1,
        parentId=ids,
        lmtPrice=200.0,
        tif="GTC",
        transmit=False,
    )
    stop = order("STP", "SELL", orderId=ids + 2, parentId=ids, auxPrice=170.0, tif="GTC")
    for one in (parent, target, stop):
        client.place(one)
