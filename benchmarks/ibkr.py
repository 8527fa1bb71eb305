"""Bars and orders over a gateway of our own, against the least that either could cost.

``python -m benchmarks.ibkr`` connects over the loopback, asks for 200 sessions of 50
symbols, and then for the last few of them one request each, as a step per partition
would. Then it sends orders, each acknowledged before the next: by the desk, which writes
down what it means to do and all that it hears, and by ib_insync alone, which forgets. It
needs the package of the tests, which has the gateway.
"""

import asyncio
from collections import Counter
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np

from trading_assets.adapters.ibkr.gateway import Gateway, GatewaySettings
from trading_assets.adapters.ibkr.library import IB, MarketOrder, Stock, Trade
from trading_assets.adapters.ibkr.orders import OrderDesk
from trading_assets.adapters.ibkr.visits import IbkrVisits
from trading_assets.adapters.ledger.intents import IntentBook
from trading_assets.models.base import Side
from trading_assets.models.intent import OrderTicket
from trading_assets.models.order import Leg, OrderType
from trading_assets.sessions import trading_calendar
from trading_assets_tests.fake_gateway import FakeGateway
from trading_assets_tests.fake_gateway.made_up import made_up_bars

SHARE = "S000"
SYMBOLS = 50
SESSIONS = 200
SAMPLE_SESSIONS = 4  # each is a connection and 50 requests of its own
LAST_DAY = date(2026, 6, 30)
ACCOUNT = "DU1234567"
HISTORY = 20
TARGET = 1.1
"""Requests for bars per symbol."""

ORDERS = 200
WARM_UP = 10
ORDER_TARGET = 50.0
"""At most so many times the median of ib_insync alone, for the median of the desk."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What some questions took.

    Attributes:
        seconds: Connections included.
        messages: Everything that was sent.
        requests: Those of them that ask for bars.
        bars: How many came.
    """

    seconds: float
    messages: int
    requests: int
    bars: int


def run(sessions: int, at_once: int, symbols: int = SYMBOLS) -> Asked:
    """What *sessions* of *symbols* take.

    Args:
        sessions: Up to `LAST_DAY`, 1 to 250.
        at_once: How many of them are one question.
        symbols: How many, 1 to 999.
    """
    days = trading_calendar().between(date(2025, 1, 2), LAST_DAY)[-sessions:]
    names = [f"S{number:03}" for number in range(symbols)]
    with FakeGateway(account=ACCOUNT) as gateway:
        for number, name in enumerate(names):
            bars = made_up_bars(number, 100.0, LAST_DAY)
            gateway.add_symbol(name, con_id=number + 1, bars=bars)
        settings = GatewaySettings(port=gateway.port, client_id=2, account=ACCOUNT)
        market_data = IbkrVisits(settings, trading_calendar(), None)
        started, found = perf_counter(), 0
        for at in range(0, sessions, at_once):
            part = days[at : at + at_once]
            history = market_data.history(names, part[0], part[-1])
            history.require_readable()
            found += len(history.bars)
        seconds = perf_counter() - started
        kinds = Counter(one.message_id for one in gateway.received)
    return Asked(seconds, kinds.total(), kinds[HISTORY], found)


def ours(count: int) -> list[float]:
    """Seconds from a ticket to its acknowledged order, *count* times, by the desk."""
    seconds: list[float] = []
    with _listed() as gateway, TemporaryDirectory() as folder:
        book = IntentBook.open(Path(folder) / "ledger.db")
        with (
            Gateway.connected(_trading(gateway)) as connection,
            OrderDesk(connection, book) as desk,
        ):
            desk.reconcile()
            for number in range(count):
                started = perf_counter()
                (standing,) = desk.submit([_ticket(number)])
                seconds.append(perf_counter() - started)
                if not standing.is_acknowledged:
                    raise SystemExit(f"{standing.order_id} is {standing.state}")
        book.close()
    return seconds


def theirs(count: int) -> list[float]:
    """Seconds from placeOrder to openOrder, *count* times, by ib_insync alone."""
    with _listed() as gateway:
        return asyncio.run(_placed(gateway.port, count))


async def _placed(port: int, count: int) -> list[float]:
    ib, seconds = IB(), list[float]()
    ib.client.MaxRequests = 0  # or it waits after 45 messages a second
    await ib.connectAsync("127.0.0.1", port, clientId=1, account=ACCOUNT)
    (share,) = await ib.qualifyContractsAsync(Stock(SHARE, "SMART", "USD"))
    heard = asyncio.Event()

    def on_open_order(trade: Trade) -> None:
        if trade.order.permId:
            heard.set()

    ib.openOrderEvent += on_open_order
    for _ in range(count):
        heard.clear()
        started = perf_counter()
        ib.placeOrder(share, MarketOrder("BUY", 1))
        await heard.wait()
        seconds.append(perf_counter() - started)
    await ib.reqCurrentTimeAsync()  # what is on its way has come when this is answered
    ib.disconnect()
    return seconds


def _listed() -> FakeGateway:
    """A gateway with one share, of which every order is filled at once."""
    gateway = FakeGateway(account=ACCOUNT)
    gateway.add_symbol(SHARE, con_id=1)
    gateway.price(SHARE, 100.0)
    return gateway


def _trading(gateway: FakeGateway) -> GatewaySettings:
    return GatewaySettings(
        port=gateway.port,
        client_id=1,
        account=ACCOUNT,
        readonly=False,
        messages_per_second=0,
    )


def _ticket(number: int) -> OrderTicket:
    return OrderTicket(
        strategy="benchmark",
        session=LAST_DAY,
        symbol=SHARE,
        leg=Leg.ENTRY,
        side=Side.BUY,
        shares=1,
        order_type=OrderType.MARKET,
        attempt=number + 1,
    )


def _milliseconds(seconds: list[float]) -> tuple[float, float]:
    """Median and 99th percentile, the first ones left out."""
    p50, p99 = np.percentile(seconds[WARM_UP:], [50, 99]) * 1000
    return float(p50), float(p99)


def main() -> None:
    """Print bars, then orders, each beside the least that it could cost."""
    _print_bars()
    _print_orders()


def _print_orders() -> None:
    desk, bare = _milliseconds(ours(ORDERS)), _milliseconds(theirs(ORDERS))
    print(f"{ORDERS} orders, one after the other, until each is acknowledged")
    print(f"  by the desk          {desk[0]:6.1f} ms   p99 {desk[1]:6.1f} ms")
    print(f"  by ib_insync alone   {bare[0]:6.1f} ms   p99 {bare[1]:6.1f} ms")
    p50, p99 = desk[0] / bare[0], desk[1] / bare[1]
    print(f"  ratio                {p50:6.1f} x    p99 {p99:6.1f} x")
    print(f"  target               {ORDER_TARGET:6.1f} x")


def _print_bars() -> None:
    whole = run(SESSIONS, SESSIONS)
    daily = run(SAMPLE_SESSIONS, 1)
    per_session = daily.seconds / SAMPLE_SESSIONS
    print(f"Bars of {SYMBOLS} symbols and {SESSIONS} sessions from a gateway")
    print(f"  in one question      {whole.seconds:6.2f} s   ({whole.bars:,} bars)")
    print(f"  per symbol           {whole.seconds / SYMBOLS * 1000:6.0f} ms")
    print(
        f"  requests for bars    {whole.requests / SYMBOLS:6.2f} a symbol   "
        f"(target {TARGET}), {whole.messages} messages in all"
    )
    print(f"  session by session   {per_session * SESSIONS:6.0f} s   (from a sample)")
    print(f"  ratio                {per_session * SESSIONS / whole.seconds:6.0f} x")


if __name__ == "__main__":
    main()
