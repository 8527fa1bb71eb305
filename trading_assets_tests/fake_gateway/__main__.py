"""A fake gateway to try a client against by hand.

    python -m trading_assets_tests.fake_gateway --port 4002

It knows a few shares with two years of made-up bars, and its market moves every few
seconds. Lines typed at it do what they say: `price AAPL 190.5`, `fault REJECT text=no`,
`lift READ_ONLY`, `lose`, `restore`, `restart`, `close`, `open`, `orders`, `positions`,
`faults`, `quit`.
"""

import argparse
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime

import numpy as np

from trading_assets_tests.fake_gateway.faults import Fault, Options
from trading_assets_tests.fake_gateway.made_up import (
    MINUTE_MOVE,
    made_up_bars,
    made_up_minutes,
)
from trading_assets_tests.fake_gateway.server import FakeGateway

SHARES = (
    ("AAPL", 265598, "NASDAQ", "APPLE INC", 190.0),
    ("MSFT", 272093, "NASDAQ", "MICROSOFT CORP", 420.0),
    ("KO", 8894, "NYSE", "COCA-COLA CO/THE", 62.0),
    ("SPY", 756733, "ARCA", "SPDR S&P 500 ETF TRUST", 560.0),
)


def main(arguments: list[str] | None = None) -> None:
    """Run until told to quit, or interrupted."""
    parser = argparse.ArgumentParser(
        prog="python -m trading_assets_tests.fake_gateway",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--port", type=int, default=4002, help="0 takes a free one")
    parser.add_argument("--account", default="DU1234567")
    parser.add_argument("--cash", type=float, default=1_000_000.0, help="US dollars")
    parser.add_argument("--every", type=float, default=5.0, help="seconds between moves")
    asked = parser.parse_args(arguments)
    is_done = threading.Event()
    with FakeGateway(asked.port, asked.account, asked.cash) as gateway:
        list_shares(gateway)
        _say([f"listening on 127.0.0.1:{gateway.port} for account {asked.account}"])
        mover = threading.Thread(target=_move, args=(gateway, asked.every, is_done))
        mover.start()
        try:
            _obey(gateway, sys.stdin)
        except KeyboardInterrupt:
            _say(["interrupted"])
        finally:
            is_done.set()
            mover.join()


def list_shares(gateway: FakeGateway) -> None:
    """Give the gateway something to trade."""
    for symbol, con_id, exchange, name, price in SHARES:
        bars = made_up_bars(con_id, price, datetime.now(UTC).date())
        gateway.add_symbol(
            symbol,
            con_id,
            primary_exchange=exchange,
            name=name,
            bars=bars,
            minutes=made_up_minutes(con_id, bars),
        )


def _move(gateway: FakeGateway, seconds: float, is_done: threading.Event) -> None:
    steps = np.random.default_rng()
    while not is_done.wait(seconds):
        for symbol, *_ in SHARES:
            last = gateway.last_price(symbol) or 0.0
            gateway.price(symbol, round(last * (1 + steps.normal(0.0, MINUTE_MOVE)), 2))


def _obey(gateway: FakeGateway, lines: Iterable[str]) -> None:
    for line in lines:
        command, *words = line.split() or [""]
        if command == "quit":
            return
        try:
            _say(COMMANDS[command](gateway, *words))
        except (KeyError, TypeError, ValueError) as error:
            _say([f"not understood: {error!r}; there are {', '.join(COMMANDS)}, quit"])
    threading.Event().wait()  # nobody is typing any more: run until interrupted


def _say(lines: Iterable[object]) -> None:
    for line in lines:
        print(line, flush=True)  # noqa: T201 - this is a program for a terminal


def _price(gateway: FakeGateway, symbol: str, price: str) -> Iterator[object]:
    gateway.price(symbol, float(price))
    yield f"{symbol} {gateway.last_price(symbol)}"


def _fault(gateway: FakeGateway, name: str, *words: str) -> Iterator[object]:
    pairs = (word.partition("=") for word in words)
    told: Options = {option: value for option, _, value in pairs}
    gateway.inject(Fault[name], options=told)
    yield f"{name}: {Fault[name].value}"


def _lift(gateway: FakeGateway, name: str) -> Iterator[object]:
    gateway.lift(Fault[name])
    yield f"{name} is lifted"


def _lose(gateway: FakeGateway) -> Iterator[object]:
    gateway.lose_link()
    yield "1100 is said; `restore` says 1102"


def _restore(gateway: FakeGateway) -> Iterator[object]:
    gateway.restore_link()
    yield "1102 is said"


def _restart(gateway: FakeGateway) -> Iterator[object]:
    gateway.restart()
    yield "every connection is dropped"


def _close(gateway: FakeGateway) -> Iterator[object]:
    gateway.close_market()
    yield "orders rest"


def _open(gateway: FakeGateway) -> Iterator[object]:
    gateway.open_market()
    yield "orders are matched"


def _orders(gateway: FakeGateway) -> Iterator[object]:
    yield from gateway.orders.values()


def _positions(gateway: FakeGateway) -> Iterator[object]:
    yield from gateway.positions.values()
    yield f"cash {gateway.cash:.2f}"


def _faults(_gateway: FakeGateway) -> Iterator[object]:
    for fault in Fault:
        yield f"{fault.name}: {fault.value}"


COMMANDS: dict[str, Callable[..., Iterator[object]]] = {
    "price": _price,
    "fault": _fault,
    "lift": _lift,
    "lose": _lose,
    "restore": _restore,
    "restart": _restart,
    "close": _close,
    "open": _open,
    "orders": _orders,
    "positions": _positions,
    "faults": _faults,
}


if __name__ == "__main__":
    main()
