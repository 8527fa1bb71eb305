"""A strategy at Interactive Brokers in the graph: its book, its replay, its account.

Bars are those of a small world; the gateway is our own, over a real socket, and the clock
stands in the evening of one of the world's sessions.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest

from trading_assets.adapters.brokers.choice import Brokers
from trading_assets.adapters.brokers.ibkr import Border, IbkrBroker
from trading_assets.adapters.brokers.simulated import SimulatedBroker
from trading_assets.adapters.ibkr.accounts import Accounts
from trading_assets.adapters.ibkr.gateway import GatewaySettings
from trading_assets.adapters.ibkr.orders import Patience
from trading_assets.adapters.ibkr.session import Books
from trading_assets.adapters.notifications.port import Notifier, Told
from trading_assets.defs.coverage import OUT_OF_REACH, waiting
from trading_assets.defs.partitions import Requested
from trading_assets.models.notice import Topic
from trading_assets.models.tables import (
    ACCOUNT,
    ACCOUNT_POSITIONS,
    COVERAGE,
    ORDERS,
    POSITIONS,
)
from trading_assets.sessions import trading_calendar
from trading_assets_tests.defs.shelf import Made, Shelf
from trading_assets_tests.defs.world import CROSS, World, faults_of, made_by, verdicts
from trading_assets_tests.fake_gateway import FakeGateway

ACCOUNT_NAME = "DU1234567"
CALENDAR = trading_calendar()
PAPER = CROSS.replace("name: cross", "name: paper").replace(
    "broker: simulated", f"broker: ibkr, account: {ACCOUNT_NAME}"
)
CON_IDS = {"AAA": 101, "BBB": 102, "CCC": 103}


class Heard(Notifier):
    """Remembers what people were told."""

    def __init__(self) -> None:
        self.told: list[tuple[Topic, str]] = []

    def tell(self, topic: Topic, text: str) -> Told:
        self.told.append((topic, text))
        return Told(is_sent=True)

    def tell_held_back(self) -> tuple[Topic, ...]:
        return ()


@dataclass
class Clock:
    now: datetime

    def __call__(self) -> datetime:
        return self.now


class Street:
    """A world whose strategy is traded at a gateway, and the hands of its clock.

    Its market is made beyond every evening, of which no evening may know.
    """

    def __init__(self, base: World, fake: FakeGateway, clock: Clock) -> None:
        self.fake, self.clock, self.heard = fake, clock, Heard()
        books = Books.open(base.settings.ledger)
        self.books = books

        def settings(client_id: int, *, readonly: bool) -> GatewaySettings:
            return GatewaySettings(
                port=fake.port,
                client_id=client_id,
                account=ACCOUNT_NAME,
                readonly=readonly,
                messages_per_second=0,
            )

        border = Border(
            lambda: settings(7, readonly=False),
            is_readonly=False,
            halted=lambda _: "",
            splits=list,
            patience=Patience(acknowledge=5.0, settle=0.05),
        )
        brokers = Brokers(
            lambda lane: SimulatedBroker(books.ledger, lane),
            lambda _: IbkrBroker(books, border, CALENDAR, clock),
        )
        accounts = Accounts(lambda _: settings(9, readonly=True), books, list, clock)
        own = {"brokers": brokers, "accounts": accounts, "notifier": self.heard}
        self.world = World(base.home, resources=own, now=clock)
        self.world.__dict__["brokers"] = brokers

    def close(self, session: date) -> None:
        self.clock.now = CALENDAR.close_at(session) + timedelta(minutes=75)
        self.fake.close_market()

    def open(self, session: date) -> None:
        self.clock.now = CALENDAR.open_at(session) + timedelta(minutes=1)
        for symbol in CON_IDS:
            bars = self.world.bars(symbol)
            self.fake.price(symbol, float(bars.loc[str(session), "open"]))
        self.fake.open_market()

    def evening(self, session: date, first: date | None = None) -> None:
        self.close(session)
        begin = first or session
        assert self.world.make_view("paper", begin, session).success
        result = self.world.run("paper_book", begin, session)
        assert result.success, faults_of(result)


@pytest.fixture
def street(shelf: Shelf, tmp_path: Path) -> Iterator[Street]:
    base = shelf.take(tmp_path / "world", Made.MARKET, [PAPER])
    clock = Clock(CALENDAR.close_at(date(2024, 2, 1)))
    with FakeGateway(account=ACCOUNT_NAME, now=clock) as fake:
        for symbol, con_id in CON_IDS.items():
            fake.add_symbol(symbol, con_id=con_id)
            fake.price(symbol, 40.0)
        yield Street(base, fake, clock)


def rows(street: Street, sql: str) -> pd.DataFrame:
    return street.world.warehouse.query(sql)


def test_everything_loads_and_finds_what_it_asks_for(street: Street) -> None:
    definitions = street.world.definitions

    dg.Definitions.validate_loadable(definitions)
    own = [*(definitions.sensors or ()), *(definitions.schedules or ())]
    asked = {key for each in own for key in each.required_resource_keys}
    assert asked <= set(definitions.resources or {})


def test_evenings_trade_for_real_and_are_replayed_beside(street: Street) -> None:
    days = street.world.lane_sessions
    street.evening(days[0])
    for day in days[1:4]:
        street.open(day)
        street.evening(day)

    books = rows(street, "SELECT DISTINCT lane FROM portfolio ORDER BY lane")
    assert list(books["lane"]) == ["ibkr", "replay"]
    fills = "SELECT symbol, side, shares, session, price FROM fills WHERE lane = '{}' "
    real = rows(street, fills.format("ibkr") + "ORDER BY session, symbol")
    replayed = rows(street, fills.format("replay") + "ORDER BY session, symbol")
    assert len(real) > 0
    pd.testing.assert_frame_equal(
        real.drop(columns="price"), replayed.drop(columns="price")
    )
    where = {"lane": "ibkr", "session": days[3]}
    held = street.world.warehouse.read(POSITIONS, where)
    assert dict(zip(held["symbol"], held["shares"], strict=True)) == {
        name: own.shares for name, own in street.fake.positions.items()
    }


def test_a_history_is_decided_and_none_of_it_sent(street: Street) -> None:
    days = street.world.lane_sessions

    street.evening(days[5], first=days[0])

    orders = street.world.warehouse.read(ORDERS, {"lane": "ibkr"})
    past = orders[orders["session"] < pd.Timestamp(days[5])]
    assert len(past) > 0
    assert set(past["status"]) == {"refused"}
    assert past["reason"].str.startswith("too_late").all()
    tonight = orders[orders["session"] == pd.Timestamp(days[5])]
    sent = {order.order_ref for order in street.fake.orders.values()}
    assert sent == set(tonight.loc[tonight["status"] == "submitted", "order_id"])


def test_every_order_that_went_out_is_acknowledged(street: Street) -> None:
    days = street.world.lane_sessions
    street.close(days[0])
    assert street.world.make_view("paper", days[0], days[0]).success

    result = street.world.run("paper_book", days[0], days[0])

    assert verdicts(result)["paper/orders:acknowledged"]
    assert {"paper/orders", "paper/replay/orders", "paper/performance"} <= made_by(result)


def test_people_are_told_of_a_limit_that_was_breached(street: Street) -> None:
    capped = PAPER.replace("max_positions: 2", "max_positions: 2, max_order_notional: 1")
    street.world.write_strategy(capped, "s0.yaml")
    days = street.world.lane_sessions

    street.evening(days[0])

    assert street.fake.orders == {}
    assert [topic for topic, _ in street.heard.told] == [Topic.BREACHED_LIMIT]
    assert f"paper, {days[0]}: " in street.heard.told[0][1]
    assert "max_order_notional" in street.heard.told[0][1]


def test_the_account_is_asked_after_the_close_and_agrees(street: Street) -> None:
    days = street.world.lane_sessions
    street.evening(days[0])
    street.open(days[1])
    street.evening(days[1])

    result = street.world.run("account_snapshot", days[1], days[1])

    assert result.success, faults_of(result)
    assert verdicts(result)["account:positions_agree"]
    (row,) = street.world.warehouse.read(ACCOUNT).to_dict("records")
    assert (row["account"], row["currency"]) == (ACCOUNT_NAME, "USD")
    positions = street.world.warehouse.read(ACCOUNT_POSITIONS)
    assert len(positions) > 0
    assert (positions["shares"] == positions["expected_shares"]).all()
    assert street.heard.told == []


def test_a_strange_position_fails_the_check_and_people_are_told(street: Street) -> None:
    days = street.world.lane_sessions
    street.evening(days[0])
    street.fake.hold("CCC", 5, 40.0)

    result = street.world.run("account_snapshot", days[0], days[0])

    assert result.success
    assert not verdicts(result)["account:positions_agree"]
    assert [topic for topic, _ in street.heard.told] == [Topic.POSITIONS_DISAGREE]
    assert "CCC in DU1234567: the broker holds 5, we expect 0" in street.heard.told[0][1]


def test_nobody_can_be_asked_how_an_account_stood(street: Street) -> None:
    days = street.world.lane_sessions
    street.evening(days[0])
    assert street.world.run("account_snapshot", days[0], days[0]).success
    kept = street.world.warehouse.read(ACCOUNT)
    street.close(days[2])

    result = street.world.run("account_snapshot", days[0], days[1])

    assert result.success, faults_of(result)
    pd.testing.assert_frame_equal(street.world.warehouse.read(ACCOUNT), kept)
    coverage = street.world.warehouse.read(COVERAGE, {"asset": "account"})
    assert list(coverage["status"]) == ["ok", "missing"]


@pytest.mark.parametrize("error", OUT_OF_REACH)
def test_what_is_out_of_reach_is_waited_for(error: type[Exception]) -> None:
    requested = Requested.by_session([date(2024, 2, 1)])

    with (
        pytest.raises(dg.RetryRequested),
        waiting(requested, current=date(2024, 3, 1)),
    ):
        raise error("not just now")
