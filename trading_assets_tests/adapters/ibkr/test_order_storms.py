"""Whatever happens in whatever order, the broker has each order once and we every fill.

A storm is a list of things that a desk, its process, its connection and the market do.
After it the sky clears: a new desk reconciles, and both sides are compared.
"""

import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import override

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from trading_assets.adapters.ibkr.gateway import Gateway
from trading_assets.adapters.ibkr.orders import OrderDesk, Patience
from trading_assets.adapters.ledger.intents import IntentBook
from trading_assets.core.order_states import ALIVE, OrderState
from trading_assets.errors import (
    GatewayUnreachable,
    InvalidInput,
    NoAnswer,
    OrdersPaused,
    OrderUnresolved,
)
from trading_assets.models.base import Side
from trading_assets.models.intent import Commission, Execution, Fact, FactKind, Intent
from trading_assets.models.order import Leg
from trading_assets_tests.adapters.ibkr.desks import (
    assert_as_the_broker_has_it,
    list_symbols,
    settings_of,
)
from trading_assets_tests.fake_gateway import FakeGateway, Fault
from trading_assets_tests.make_intents import (
    ACCOUNT,
    make_bracket,
    make_order_ticket,
)

IS_LONG = os.environ.get("TRADING_TEST_PROFILE") == "long"
IN_A_STORM = Patience(acknowledge=0.2, settle=0.02)
CLEARINGS = 5

BASKETS = (
    [make_order_ticket()],
    [make_order_ticket(attempt=2, limit_price=90.0)],
    [make_order_ticket(Leg.EXIT, symbol="MSFT", shares=7)],
    [make_order_ticket(Leg.EXIT, symbol="MSFT", attempt=2, limit_price=105.0)],
    make_bracket(attempt=3),
    make_bracket("MSFT", shares=5),
)
PARENTS = {ticket.parent_id for basket in BASKETS for ticket in basket} - {""}
TICKETS = [ticket for basket in BASKETS for ticket in basket]

MISHAPS: tuple[tuple[Fault, dict[str, object]], ...] = (
    (Fault.DROP_BEFORE_PLACE, {}),
    (Fault.DROP_AFTER_PLACE, {"filled": True}),
    (Fault.DROP_AFTER_PLACE, {"filled": False}),
    (Fault.SILENT_ORDER, {}),
    (Fault.LOST_ORDER, {}),
    (Fault.REJECT, {}),
    (Fault.TIF_PRESET, {}),
    (Fault.RESTART, {"message": 3}),
    (Fault.EXECUTION_TWICE, {}),
    (Fault.EXECUTION_CORRECTED, {"price": 97.25}),
    (Fault.COMMISSION_FIRST, {}),
    (Fault.FILL_BEFORE_STATUS, {}),
    (Fault.LINK_LOST_IN_FILL, {}),
    (Fault.SECOND_PERM_ID, {}),
    (Fault.CANCELLED_BUT_FILLED, {"heard": False}),
)


class Died(BaseException):
    """The end of a process, as far as one process can play it."""


class MortalBook(IntentBook):
    """Belongs to one process: when that has died, nothing is written any more.

    It dies at a *moment*: instead of committing an intent, after that and before sending,
    or after sending.
    """

    moment = ""
    is_dead = False

    @override
    def commit(self, intents: Sequence[Intent]) -> None:
        self._live()
        if self.moment == "instead":
            self._die()
        super().commit(intents)
        if self.moment == "before":
            self._die()

    @override
    def tell(self, order_id: str, *told: Fact) -> int:
        self._live()
        if self.moment == "after" and any(it.kind is FactKind.SENT for it in told):
            self._die()
        return super().tell(order_id, *told)

    @override
    def add_executions(self, executions: Sequence[Execution]) -> int:
        self._live()
        return super().add_executions(executions)

    @override
    def add_commissions(self, commissions: Sequence[Commission]) -> int:
        self._live()
        return super().add_commissions(commissions)

    def _live(self) -> None:
        if self.is_dead:
            raise OSError("its process has died")

    def _die(self) -> None:
        self.is_dead = True
        raise Died


@dataclass
class Storm:
    """A gateway, a ledger, and the desk of the process that happens to live."""

    fake: FakeGateway
    place: Path
    log: list[str] = field(default_factory=list)
    may_reject: bool = False
    process: tuple[Gateway, OrderDesk, MortalBook] | None = None

    def living(self) -> tuple[Gateway, OrderDesk, MortalBook]:
        """The process that lives, a new one if need be."""
        if self.process is None:
            book = MortalBook.open(str(self.place))
            gateway = Gateway.open(settings_of(self.fake))
            desk = OrderDesk(gateway, book, IN_A_STORM)
            self.process = gateway, desk, book
        return self.process

    def die(self) -> None:
        """End the process without a word, in its ledger or to the gateway."""
        if self.process is None:
            return
        gateway, desk, book = self.process
        self.process = None
        book.is_dead = True
        self.fake.drop_connections()
        gateway.close()
        desk.close()
        book.close()

    def attempt(self, work: Callable[[OrderDesk], object], moment: str = "") -> None:
        """Have the desk do something, which may well go wrong."""
        try:
            _, desk, book = self.living()
            book.moment = moment
            with suppress(OrdersPaused, OrderUnresolved, InvalidInput):
                work(desk)
            book.moment = ""
        except (GatewayUnreachable, NoAnswer, Died) as error:
            self.log.append(repr(error))
            self.die()

    def clear_up(self) -> None:
        """Let nothing go wrong any more, and find out what happened."""
        for fault in Fault:
            self.fake.lift(fault)
        self.fake.restore_link()
        self.die()
        for _ in range(CLEARINGS):
            _, desk, _ = self.living()
            if not desk.reconcile().unknown:
                break
        _, desk, book = self.living()
        desk.standings([])
        assert_as_the_broker_has_it(self.fake, book, TICKETS)
        self.assert_states_agree(book)
        self.die()

    def assert_states_agree(self, book: IntentBook) -> None:
        """Every order that we know of is what the broker says it is."""
        theirs = {order.order_ref: order for order in self.fake.orders.values()}
        for order_id, standing in book.standings(it.order_id for it in TICKETS).items():
            order = theirs.get(order_id)
            if order is None:
                assert self.may_reject, (order_id, standing)
                assert standing.state is OrderState.REJECTED, (order_id, standing)
            elif order.status == "Filled":
                assert standing.state is OrderState.FILLED, (order_id, standing)
            elif order.is_open:
                assert standing.state in ALIVE, (order_id, standing)
            else:
                assert standing.state is OrderState.CANCELLED, (order_id, standing)

    def assert_nothing_is_over_too_early(self) -> None:
        """What we call over is over: the broker does not have it open any more."""
        if self.process is None:
            return
        gateway, desk, _ = self.process
        with suppress(GatewayUnreachable, NoAnswer):
            # Its answer comes after everything that was said before.
            gateway.ask(lambda ib: ib.reqCurrentTimeAsync(), "the time")
        over = {
            it.order_id
            for it in desk.standings(it.order_id for it in TICKETS).values()
            if it.is_final
        }
        working = {it.order_ref for it in self.fake.orders.values() if it.is_open}
        assert not over & working

    def assert_nothing_is_doubled(self) -> None:
        """At no moment has the broker two orders of one reference."""
        known: dict[str, tuple[int, int]] = {}
        for order in self.fake.orders.values():
            ids = (order.client_id, order.order_id)
            assert known.setdefault(order.order_ref, ids) == ids


Happening = Callable[[Storm], None]


def submitting(basket: int, mishap: int | None, moment: str) -> Happening:
    def happen(storm: Storm) -> None:
        if mishap is not None:
            fault, options = MISHAPS[mishap]
            if BASKETS[basket][0].order_id in PARENTS:
                # What is not transmitted is held, and cannot have been filled meanwhile.
                options = {**options, "filled": None}
            storm.may_reject |= fault is Fault.REJECT
            storm.fake.inject(fault, **options)  # type: ignore[arg-type]
        storm.attempt(lambda desk: desk.submit(BASKETS[basket]), moment)

    return happen


def reconciling() -> Happening:
    return lambda storm: storm.attempt(lambda desk: desk.reconcile())


def cancelling(ticket: int) -> Happening:
    order_id = TICKETS[ticket].order_id
    return lambda storm: storm.attempt(lambda desk: desk.cancel(order_id))


def changing(ticket: int, price: float) -> Happening:
    order_id = TICKETS[ticket].order_id
    return lambda storm: storm.attempt(
        lambda desk: desk.modify(order_id, limit_price=price)
    )


def moving(symbol: str, price: float, part: int) -> Happening:
    def happen(storm: Storm) -> None:
        storm.fake.fill_in_parts(symbol, part)
        storm.fake.price(symbol, price)

    return happen


def dying() -> Happening:
    return Storm.die


def dropping() -> Happening:
    return lambda storm: storm.fake.drop_connections()


def restarting() -> Happening:
    return lambda storm: storm.fake.restart()


def losing_the_server() -> Happening:
    return lambda storm: storm.fake.lose_link()


def having_the_server_back(*, data_kept: bool) -> Happening:
    return lambda storm: storm.fake.restore_link(data_kept=data_kept)


@dataclass(frozen=True)
class Named:
    """A happening that says what it is when an example fails."""

    name: str
    happen: Happening


def named(
    make: Callable[..., Happening], **given: st.SearchStrategy[object]
) -> st.SearchStrategy[Named]:
    return st.fixed_dictionaries(given).map(
        lambda drawn: Named(f"{make.__name__}({drawn})", make(**drawn))
    )


baskets = st.integers(0, len(BASKETS) - 1)
tickets = st.integers(0, len(TICKETS) - 1)
prices = st.sampled_from([89.0, 90.0, 95.0, 99.0, 100.0, 105.0, 110.0])
plain_submits = named(submitting, basket=baskets, mishap=st.none(), moment=st.just(""))
submits = named(
    submitting,
    basket=baskets,
    mishap=st.none() | st.integers(0, len(MISHAPS) - 1),
    moment=st.sampled_from(["", "", "", "instead", "before", "after"]),
)
others = st.one_of(
    named(reconciling),
    named(cancelling, ticket=tickets),
    named(changing, ticket=tickets, price=prices),
    named(
        moving,
        symbol=st.sampled_from(["AAPL", "MSFT"]),
        price=prices,
        part=st.integers(1, 10),
    ),
    named(dying),
    named(dropping),
    named(restarting),
    named(losing_the_server),
    named(having_the_server_back, data_kept=st.booleans()),
)
storms = st.lists(submits | plain_submits | others, min_size=1, max_size=10)


def weather(*happenings: Happening) -> list[Named]:
    return [Named(f"number {at}", happen) for at, happen in enumerate(happenings)]


@pytest.fixture(scope="module")
def empty_ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger of today's schema, to be copied."""
    place = tmp_path_factory.mktemp("empty") / "ledger.db"
    IntentBook.open(str(place)).close()
    return place


@given(storm=storms)
@settings(
    max_examples=200 if IS_LONG else 12,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@example(storm=weather(submitting(0, None, "instead"), submitting(1, None, "")))
@example(storm=weather(submitting(0, None, "before"), submitting(1, None, "")))
@example(storm=weather(submitting(0, None, "after"), dropping(), submitting(0, None, "")))
@example(storm=weather(submitting(4, 0, ""), restarting(), submitting(4, None, "")))
@example(storm=weather(submitting(1, 4, ""), submitting(1, None, ""), submitting(2, 3, "")))
@example(storm=weather(submitting(1, 3, "")))
@example(storm=weather(submitting(0, 9, ""), submitting(1, 8, ""), dropping()))
@example(storm=weather(submitting(1, 6, ""), submitting(3, 6, ""), reconciling()))
@example(
    storm=weather(
        submitting(1, None, ""),
        changing(1, 95.0),
        losing_the_server(),
        moving("AAPL", 89.0, 4),
        having_the_server_back(data_kept=False),
        cancelling(1),
    )
)
def test_after_a_storm_both_sides_agree(empty_ledger: Path, storm: list[Named]) -> None:
    with TemporaryDirectory() as folder, FakeGateway(account=ACCOUNT) as fake:
        list_symbols(fake)
        place = Path(folder) / "ledger.db"
        shutil.copy(empty_ledger, place)
        under_way = Storm(fake, place)
        try:
            for one in storm:
                one.happen(under_way)
                under_way.assert_nothing_is_doubled()
                under_way.assert_nothing_is_over_too_early()
            under_way.clear_up()
        finally:
            under_way.die()


def test_the_baskets_hold_what_a_strategy_may_want() -> None:
    assert {ticket.side for ticket in TICKETS} == set(Side)
    assert {ticket.leg for ticket in TICKETS} == set(Leg)
    assert len({ticket.order_id for ticket in TICKETS}) == len(TICKETS)
