"""Desks over a fake gateway, opened and lost at will."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

import pandas as pd

from trading_assets.adapters.ibkr.gateway import Gateway, GatewaySettings
from trading_assets.adapters.ibkr.order_wire import split_execution_id
from trading_assets.adapters.ibkr.orders import OrderDesk, Patience
from trading_assets.adapters.ledger.intents import IntentBook
from trading_assets.models.intent import OrderTicket
from trading_assets_tests.fake_gateway import FakeGateway
from trading_assets_tests.make_intents import ACCOUNT, CLIENT_ID

PLACE_ORDER = 3
CANCEL_ORDER = 4
SYMBOLS = {"AAPL": 265598, "MSFT": 272093}
LAST = 100.0
"""The first price of every symbol."""

PATIENT = Patience(acknowledge=10.0, settle=0.05)
HASTY = Patience(acknowledge=0.3, settle=0.05)
"""For orders that nothing will be heard of."""


def list_symbols(fake: FakeGateway, last: float = LAST) -> None:
    """Have `SYMBOLS` traded at *last*."""
    bars = pd.DataFrame(
        {"open": last, "high": last, "low": last, "close": last, "volume": 1000},
        index=pd.to_datetime(["2026-11-18"]),
    )
    for symbol, con_id in SYMBOLS.items():
        fake.add_symbol(symbol, con_id=con_id, bars=bars)


def settings_of(
    fake: FakeGateway, client_id: int = CLIENT_ID, **changes: bool
) -> GatewaySettings:
    """How to trade at *fake*."""
    return GatewaySettings(
        port=fake.port,
        client_id=client_id,
        account=ACCOUNT,
        readonly=changes.get("readonly", False),
        messages_per_second=0,
    )


@contextmanager
def opened_desk(
    fake: FakeGateway,
    book: IntentBook,
    patience: Patience = PATIENT,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    client_id: int = CLIENT_ID,
) -> Iterator[OrderDesk]:
    """A desk on a connection of its own."""
    with (
        Gateway.connected(settings_of(fake, client_id)) as gateway,
        OrderDesk(gateway, book, patience, now) as desk,
    ):
        yield desk


def sent(fake: FakeGateway, message: int = PLACE_ORDER) -> list[list[str]]:
    """The fields of every such message so far."""
    return [list(it.fields) for it in fake.received if it.message_id == message]


def assert_as_the_broker_has_it(
    fake: FakeGateway, book: IntentBook, tickets: Sequence[OrderTicket]
) -> None:
    """Nothing doubled, nothing lost, and the same numbers on both sides."""
    by_ref: defaultdict[str, set[tuple[int, int]]] = defaultdict(set)
    shares: defaultdict[str, float] = defaultdict(float)
    for order in fake.orders.values():
        by_ref[order.order_ref].add((order.client_id, order.order_id))
    assert set(by_ref) <= {ticket.order_id for ticket in tickets}
    doubled = {ref: ids for ref, ids in by_ref.items() if len(ids) > 1}
    assert doubled == {}
    theirs = {
        split_execution_id(it.exec_id)[0]: (it.order_ref, it.shares, it.price)
        for it in fake.executions
    }
    ours = {
        it.exec_key: (it.order_ref, it.shares, it.price) for it in book.executions(ACCOUNT)
    }
    assert ours == theirs
    for execution in book.executions(ACCOUNT):
        shares[execution.symbol] += execution.side.sign * execution.shares
    held = {symbol: position.shares for symbol, position in fake.positions.items()}
    assert {symbol: count for symbol, count in shares.items() if count} == held
    standings = book.standings(by_ref)
    for order in fake.orders.values():
        standing = standings[order.order_ref]
        assert standing.intent.broker_order_id == order.order_id
        assert standing.filled_shares == order.filled
        if order.filled:
            assert standing.average_price is not None
            assert abs(standing.average_price / order.average_price - 1) < 1e-4
