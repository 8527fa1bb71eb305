"""An evening that is killed at any moment and started again ends as if it never had been.

The child is a process of its own, on a ledger on disk and over a real socket.
``TRADING_TEST_PROFILE=long`` kills it at many more moments.
"""

import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

from trading_assets.models.tables import (
    FILLS,
    ORDERS,
    PORTFOLIO,
    POSITIONS,
    TRADES,
)
from trading_assets_tests.adapters.brokers.dying_evening import Moments, prepare
from trading_assets_tests.adapters.brokers.test_ibkr import (
    ACCOUNT,
    CON_IDS,
    PRICES,
    Clock,
    Street,
    assert_balanced,
)
from trading_assets_tests.fake_gateway import FakeGateway

IS_LONG = os.environ.get("TRADING_TEST_PROFILE") == "long"
WORLDS = 15 if IS_LONG else 1
KILLS = (2, 1) if IS_LONG else (1, 1)
"""How often the evening of each day is killed: the very first time when an order has just
not been committed, then at random."""

EVENINGS = len(KILLS)
SEED = 20240102
BOOKS = (ORDERS, FILLS, TRADES, POSITIONS, PORTFOLIO)
LATER_KNOWN = ["broker_order_id", "submitted_at"]


@dataclass(frozen=True)
class Ended:
    """How some evenings have ended.

    Attributes:
        moments: What each evening told its ledger.
        orders: At the gateway, in the order taken: reference, side, shares, status.
        tables: What is recorded, by table.
    """

    moments: Sequence[Sequence[str]]
    orders: Sequence[tuple[object, ...]]
    tables: Mapping[str, pd.DataFrame]

    @classmethod
    def of(cls, street: Street, moments: Sequence[Sequence[str]] = ()) -> "Ended":
        """What there is on *street* now."""
        orders = [
            (order.order_ref, order.action, order.shares, order.type, order.status)
            for order in street.fake.orders.values()
        ]
        tables = {
            table.name: street.rows(table, EVENINGS).drop(
                columns=LATER_KNOWN, errors="ignore"
            )
            for table in BOOKS
        }
        return cls(moments, orders, tables)


@contextmanager
def a_street(home: Path) -> Iterator[Street]:
    clock = Clock()
    with FakeGateway(account=ACCOUNT, now=clock) as fake:
        for symbol, con_id in CON_IDS.items():
            fake.add_symbol(symbol, con_id=con_id)
            fake.price(symbol, PRICES[symbol][0])
        fake.close_market()
        yield prepare(Street(home, fake, clock))


def begin_evening(street: Street, day: int) -> None:
    """Come to the evening of day number *day*, through the session before it."""
    if day:
        street.open(day)
        street.close(day)


def child(street: Street, home: Path, day: int, moment: int) -> int:
    """Trade an evening in a process of its own; what it ended with."""
    told = [str(home), str(street.fake.port), str(day), str(moment)]
    module = "trading_assets_tests.adapters.brokers.dying_evening"
    return subprocess.run(
        [sys.executable, "-m", module, *told], check=False, timeout=60
    ).returncode


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    """Evenings that were left in peace."""
    with a_street(tmp_path_factory.mktemp("undisturbed")) as street:
        moments = Moments(street)
        told: list[list[str]] = []
        for day in range(EVENINGS):
            begin_evening(street, day)
            before = len(moments.told)
            street.evening(day)
            told.append(moments.told[before:])
        return Ended.of(street, told)


@pytest.mark.parametrize("world", range(WORLDS))
def test_a_killed_evening_ends_as_if_it_never_had_been(
    world: int, undisturbed: Ended, tmp_path: Path
) -> None:
    chance = random.Random(SEED + world)  # noqa: S311 - moments, no secret
    with a_street(tmp_path) as street:
        for day, kills in enumerate(KILLS):
            begin_evening(street, day)
            told = undisturbed.moments[day]
            for kill in range(kills):
                is_first = world == day == kill == 0
                intended = 1 + told.index("order_intents") if is_first else 0
                moment = intended or chance.randint(1, len(told))
                assert child(street, tmp_path, day, moment) in {-signal.SIGKILL, 0}
            assert child(street, tmp_path, day, 0) == 0
        ended = Ended.of(street)
        assert_balanced(street, EVENINGS)

    assert sorted(ended.orders) == sorted(undisturbed.orders)
    for name, rows in undisturbed.tables.items():
        pd.testing.assert_frame_equal(ended.tables[name], rows, obj=name)
