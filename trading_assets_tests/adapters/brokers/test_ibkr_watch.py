"""Orders at Interactive Brokers between the evenings, over a real socket."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from trading_assets.adapters.brokers.ibkr_watch import IbkrWatch, WatchBorder
from trading_assets.adapters.brokers.watch import Look
from trading_assets.adapters.ibkr.gateway import GatewaySettings
from trading_assets.adapters.ibkr.session import DESK
from trading_assets.core.order_states import OrderState
from trading_assets_tests.adapters.brokers.test_ibkr import (
    ACCOUNT,
    CALENDAR,
    CON_IDS,
    DAYS,
    PATIENCE,
    PRICES,
    Clock,
    Street,
)
from trading_assets_tests.fake_gateway import FakeGateway
from trading_assets_tests.make import Said, make_spec

BRACKET = (Said(0, "AAA", "BUY", entry=10.0, stop=8.0, target=20.0),)
ENTRY, TARGET, STOP = (
    f"reference-{DAYS[0]}-AAA-{leg}" for leg in ("entry", "target", "stop")
)


@pytest.fixture
def street(tmp_path: Path) -> Iterator[Street]:
    clock = Clock()
    with listed(clock) as fake:
        fake.close_market()
        yield Street(tmp_path, fake, clock)


@contextmanager
def listed(clock: Clock) -> Iterator[FakeGateway]:
    """A gateway that lists the symbols of the street, and has heard of no order."""
    with FakeGateway(account=ACCOUNT, now=clock) as fake:
        for symbol, con_id in CON_IDS.items():
            fake.add_symbol(symbol, con_id=con_id)
            fake.price(symbol, PRICES[symbol][1])
        yield fake


def look(
    street: Street, guard: str = "alarm", halted: str = "", fake: FakeGateway | None = None
) -> Look:
    """What the watch sees now."""
    settings = GatewaySettings(
        port=(fake or street.fake).port,
        client_id=7,
        account=ACCOUNT,
        readonly=False,
        connect_seconds=2.0,
        messages_per_second=0,
    )
    border = WatchBorder(
        settings=lambda _: settings,
        is_readonly=street.is_readonly,
        halted=lambda _: halted,
        splits=list,
        patience=PATIENCE,
    )
    spec = make_spec(universe=("AAA", "BBB"), execution={"broker": "ibkr", "guard": guard})
    watch = IbkrWatch(street.books, border, CALENDAR, street.clock)
    return watch.look([spec], street.clock() - timedelta(days=4))


def bought(street: Street) -> Street:
    """Ten shares of AAA, with a stop and a target at the broker."""
    street.bracket, street.said = True, BRACKET
    street.evening(0)
    street.open(1)
    return street


@contextmanager
def forgotten(street: Street) -> Iterator[FakeGateway]:
    """Another gateway that holds the shares and has none of the orders."""
    look(bought(street))
    with listed(street.clock) as another:
        another.hold("AAA", 10, 11.0)
        yield another


def done(seen: Look) -> dict[str, str]:
    """What was done about the missing legs, by order."""
    return {leg.missing.ticket.order_id: leg.done for leg in seen.legs}


def connected(fake: FakeGateway) -> bool:
    return bool(fake.received)


# When nobody is asked


def test_a_read_only_account_is_not_asked(street: Street) -> None:
    street.is_readonly = True

    assert look(street).said == "IBKR_READONLY is not no: nothing is traded"
    assert not connected(street.fake)


def test_nobody_is_asked_where_nothing_is_held_and_no_order_works(street: Street) -> None:
    seen = look(street)

    assert seen.said == f"{ACCOUNT}: nothing is held and no order works"
    assert seen.has_asked
    assert not connected(street.fake)


def test_orders_that_work_are_not_watched_at_night(street: Street) -> None:
    street.evening(0)
    before = len(street.fake.received)

    seen = look(street)

    assert seen.said == f"{ACCOUNT}: the market is closed and no order is in doubt"
    assert len(street.fake.received) == before


def test_a_run_that_trades_is_not_waited_for(street: Street) -> None:
    bought(street)

    with street.books.ledger.lane(ACCOUNT, DESK, 0.0):
        seen = look(street)

    assert f"{ACCOUNT}/{DESK}" in seen.said
    assert not seen.has_asked


def test_a_gateway_that_is_down_is_told_and_not_raised(street: Street) -> None:
    bought(street)
    street.fake.stop_listening()

    seen = look(street)

    assert not seen.has_asked
    assert seen.said.startswith(f"{ACCOUNT}: ")


# What is seen


def test_a_fill_is_seen_by_the_look_that_hears_of_it(street: Street) -> None:
    seen = look(bought(street))

    [fill] = seen.fills
    assert (fill.strategy, fill.order_id) == ("reference", ENTRY)
    assert (fill.execution.shares, fill.execution.price) == (10, 11.0)
    assert seen.has_asked
    assert (seen.doubtful, seen.disagreeing, seen.legs) == ((), (), ())


def test_a_position_that_is_not_ours_disagrees(street: Street) -> None:
    bought(street)
    street.fake.trade_by_hand("BBB", "BUY", 3)

    [text] = look(street).disagreeing

    assert text.startswith("BBB: the broker holds 3, ")


def test_orders_that_are_gone_are_in_doubt(street: Street) -> None:
    with forgotten(street) as another:
        seen = look(street, fake=another)

    assert [text.partition(" is ")[0] for text in seen.doubtful] == [TARGET, STOP]


# The guard


def test_missing_legs_are_told_and_nothing_is_sent(street: Street) -> None:
    with forgotten(street) as another:
        seen = look(street, fake=another)

        assert done(seen) == dict.fromkeys(
            (STOP, TARGET), "Nothing was sent: execution.guard is alarm."
        )
        assert another.orders == {}


def test_the_guard_sends_each_leg_again_once(street: Street) -> None:
    with forgotten(street) as another:
        looks = [look(street, "exit", fake=another) for _ in range(3)]

        assert done(looks[0]) == dict.fromkeys(
            (STOP, TARGET), "It was sent again and is working."
        )
        assert [it.legs for it in looks[1:]] == [(), ()]
        assert sorted(it.order_ref for it in another.orders.values()) == [STOP, TARGET]
    with listed(street.clock) as third:
        third.hold("AAA", 10, 11.0)
        seen = look(street, "exit", fake=third)

        assert all("was sent again before" in text for text in done(seen).values())
        assert third.orders == {}


def test_the_guard_sends_nothing_beside_a_sell_that_works(street: Street) -> None:
    bought(street)
    look(street)
    stop = next(it for it in street.fake.orders.values() if it.order_ref == STOP)
    street.fake.announce(street.fake.book.cancel(stop.client_id, stop.order_id))

    seen = look(street, "exit")

    assert seen.legs == ()
    assert len(street.fake.orders) == 3


def test_the_guard_cannot_revive_a_leg_that_was_cancelled(street: Street) -> None:
    bought(street)
    street.fake.announce(street.fake.book.cancel_all())

    seen = look(street, "exit")

    assert done(seen) == dict.fromkeys(
        (STOP, TARGET), "Nothing was sent: it can't be sent as the same order."
    )
    assert {leg.missing.state for leg in seen.legs} == {"cancelled"}
    assert len(street.fake.orders) == 3


def test_the_guard_sends_nothing_where_the_shares_are_gone(street: Street) -> None:
    look(bought(street))
    with listed(street.clock) as another:
        seen = look(street, "exit", fake=another)

        assert done(seen) == dict.fromkeys(
            (STOP, TARGET), "Nothing was sent: the position is not explained."
        )
        assert another.orders == {}


def test_a_halt_binds_the_guard_too(street: Street) -> None:
    with forgotten(street) as another:
        seen = look(street, "exit", halted="by ann", fake=another)

        assert set(done(seen).values()) == {"Nothing was sent: halt: by ann."}
        assert another.orders == {}


# Orders of a day that is over


def test_an_order_whose_day_passed_unheard_is_settled_as_expired(street: Street) -> None:
    street.evening(0)
    street.clock.now = CALENDAR.open_at(DAYS[2]) + timedelta(minutes=1)
    with listed(street.clock) as another:
        look(street, fake=another)

    standing = street.books.intents.standings([ENTRY])[ENTRY]
    assert standing.state is OrderState.CANCELLED
    assert street.books.intents.facts(ENTRY)[-1].source == "expiry"


def test_an_order_that_the_position_shows_has_not_expired(street: Street) -> None:
    street.evening(0)
    street.clock.now = CALENDAR.open_at(DAYS[2]) + timedelta(minutes=1)
    with listed(street.clock) as another:
        another.hold("AAA", 10, 11.0)
        look(street, fake=another)

    standing = street.books.intents.standings([ENTRY])[ENTRY]
    assert standing.state is OrderState.MISSING
