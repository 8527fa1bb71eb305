"""Orders that wait for people, in the graph: who is told, who is asked, what trades."""

import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import dagster as dg
import pandas as pd
import pytest

from trading_assets.adapters.chart_store.filesystem import FileChartStore
from trading_assets.adapters.ibkr.ping import Doorbell
from trading_assets.adapters.ledger.approvals import ApprovalBook
from trading_assets.defs.approvals import (
    APPROVED_SET,
    approval_sensors,
    approvals_sensor,
    approved_orders_sensor,
)
from trading_assets.defs.jobs import (
    APPROVAL,
    BACKFILL,
    BOOK,
    LAUNCHED_BY,
    RANGE,
    TRADE,
    book_job,
)
from trading_assets.defs.launch import QUIET
from trading_assets.defs.partitions import Requested
from trading_assets.defs.run_history import RUN_ENVIRONMENT
from trading_assets.defs.tracked import Stored
from trading_assets.models.approval import DESK, Approval, ApprovalState
from trading_assets.models.notice import Topic
from trading_assets.models.tables import FILLS, ORDER_EVENTS, ORDERS
from trading_assets.models.tracking import TrackedSession
from trading_assets.sessions import trading_calendar
from trading_assets_tests.defs.shelf import Made, Shelf
from trading_assets_tests.defs.test_halts import EVENING, before, book, on, orders
from trading_assets_tests.defs.test_ibkr_lane import (
    ACCOUNT_NAME,
    CON_IDS,
    PAPER,
    Clock,
    Street,
)
from trading_assets_tests.defs.test_notifying import Ears
from trading_assets_tests.defs.test_sensors import evaluated
from trading_assets_tests.defs.world import (
    CROSS,
    World,
    assert_same_tables,
    faults_of,
    made_by,
    verdicts,
)
from trading_assets_tests.fake_gateway import FakeGateway
from trading_assets_tests.make_approvals import UNTIL, make_proposal, propose
from trading_assets_tests.make_intents import after, make_order_ticket

CALENDAR = trading_calendar()
ASKING = "bracket: false, approval: required"
NEXT = date(2024, 2, 8)
BOUGHT = f"cross-{EVENING}-CCC-entry"


# Which sensors there are


def test_sensors_of_approvals_are_there_only_where_people_are_asked(
    tmp_path: Path,
) -> None:
    names = {}
    for number, text in enumerate(
        (CROSS, CROSS.replace("bracket: false", ASKING), asking_paper())
    ):
        world = World.made(tmp_path / str(number), strategies=[text])
        (lane,) = world.market.lanes
        jobs = {lane.name: book_job(lane)}
        sensors = approval_sensors(world.settings, world.market, jobs)
        names[number] = [own.name for own in sensors]
        dg.Definitions.validate_loadable(world.definitions)

    assert names == {0: [], 1: ["approvals"], 2: ["approvals", "approved_orders"]}


# What people are told


def tick(
    place: Path, ears: Ears, cursor: str | None, now: datetime
) -> tuple[str, str | None]:
    book = ApprovalBook.open(place)
    sensor = approvals_sensor(lambda: now)
    told, kept = evaluated(sensor, cursor, approvals=book, notifier=ears)
    book.close()
    return told.skip_message, kept


def test_what_waits_is_told_once_and_so_is_that_it_has_expired(tmp_path: Path) -> None:
    place, ears = tmp_path / "ledger.db", Ears()
    (asked,) = propose(place, make_proposal())
    cursor: str | None = None
    for now in (after(60), after(120), UNTIL, UNTIL + timedelta(minutes=1)):
        said, cursor = tick(place, ears, cursor, now)

    assert said == "0 wait for approval; told of 0"
    what = f"trend, 2026-11-19: {asked.proposal}"
    assert ears.heard == [
        (
            Topic.APPROVAL,
            (
                f"{what} waits for approval until 2026-11-20 14:15 UTC: trading-assets "
                f"approvals show {asked.proposal.order_id}"
            ),
        ),
        (
            Topic.APPROVAL,
            f"{what}: expired: nobody had approved it by 2026-11-20 14:15 UTC",
        ),
    ]


def test_what_was_approved_and_refused_is_told_and_what_was_answered_is_not(
    tmp_path: Path,
) -> None:
    place, ears = tmp_path / "ledger.db", Ears()
    symbols = ("AAA", "BBB", "CCC")
    drifted, rejected, sent = propose(
        place, *(make_proposal([make_order_ticket(symbol=own)]) for own in symbols)
    )
    _, cursor = tick(place, ears, None, after(30))
    with_answers(place, drifted, rejected, sent)

    said, _ = tick(place, ears, cursor, after(120))

    assert said == "0 wait for approval; told of 1"
    assert ears.heard[-1][1].endswith(": refused: drift: too far")
    assert "AAA" in ears.heard[-1][1]


def with_answers(
    place: Path, drifted: Approval, rejected: Approval, sent: Approval
) -> None:
    book = ApprovalBook.open(place)
    for asked in (drifted, sent):
        book.approve(asked, "ann", "fine", after(60))
    book.reject(rejected, "bob", "no", after(60))
    book.note(drifted, ApprovalState.REFUSED, DESK, "drift: too far", after(90))
    book.note(sent, ApprovalState.SUBMITTED, DESK, "", after(90))
    book.close()


def test_what_was_over_long_ago_is_no_news(tmp_path: Path) -> None:
    place, ears = tmp_path / "ledger.db", Ears()
    propose(place, make_proposal())

    tick(place, ears, None, UNTIL + timedelta(days=5))

    assert ears.heard == []


# A simulated book


@pytest.fixture(scope="module")
def afternoon(shelf: Shelf, tmp_path_factory: pytest.TempPathFactory) -> World:
    """The book is made up to the session before the evening."""
    home = tmp_path_factory.mktemp("afternoon") / "world"
    text = CROSS.replace("bracket: false", ASKING)
    world = on(shelf.take(home, Made.VIEWS, [text]), EVENING)
    assert world.make_book("cross", None, before(world), only=BOOK[:-1]).success
    return world


@pytest.fixture
def world(afternoon: World, tmp_path: Path) -> World:
    return on(afternoon.copied(tmp_path / "world"), EVENING)


@pytest.fixture
def approvals(world: World) -> Iterator[ApprovalBook]:
    book = ApprovalBook.open(world.settings.ledger)
    yield book
    book.close()


def waiting(approvals: ApprovalBook) -> Approval:
    (asked,) = approvals.called(BOUGHT)
    return asked


def an_hour_before_the_end(asked: Approval) -> datetime:
    return asked.proposal.expires_at - timedelta(hours=1)


def bought(world: World) -> list[str]:
    """Symbols bought at the open after the evening."""
    fills = world.tables()["fills"]
    return fills.loc[fills["session"] == pd.Timestamp(NEXT), "symbol"].tolist()


def test_an_evenings_orders_wait_and_are_shown_to_whoever_looks(
    world: World, approvals: ApprovalBook
) -> None:
    book(world, EVENING)

    assert orders(world, EVENING) == [("CCC", "entry", "awaiting_approval")]
    own = waiting(approvals).proposal
    assert (own.lane, own.account, own.session) == ("simulated", "", EVENING)
    assert own.expires_at == CALENDAR.open_at(NEXT) - timedelta(minutes=5)
    assert own.reasoning  # what the rule said of it
    event = world.instance.get_latest_materialization_event(
        dg.AssetKey(["cross", "orders"])
    )
    assert event is not None
    assert event.asset_materialization is not None
    metadata = event.asset_materialization.metadata
    assert metadata["awaiting_approval"].value == 1
    assert BOUGHT in str(metadata["awaiting approval"].value)


def test_what_is_approved_trades_at_the_next_open(
    world: World, approvals: ApprovalBook
) -> None:
    book(world, EVENING)
    asked = waiting(approvals)
    approvals.approve(asked, "ann", "fine", an_hour_before_the_end(asked))

    book(on(world, NEXT), NEXT)

    assert bought(world) == ["CCC"]
    events = world.tables()["order_events"]
    own = events[events["order_id"] == BOUGHT]
    assert own["status"].tolist() == ["approved", "working", "filled"]
    assert own["reason"].iloc[0] == "approved by ann: fine"


def test_an_order_is_tracked_as_placed_once_it_was_let_out(
    world: World, approvals: ApprovalBook
) -> None:
    book(world, EVENING)
    asked = waiting(approvals)
    before_it = placed(world, EVENING)
    approvals.approve(asked, "ann", "fine", an_hour_before_the_end(asked))
    book(on(world, NEXT), NEXT)

    assert (before_it, placed(world, EVENING)) == (0, 1)


def placed(world: World, session: date) -> float:
    """Orders of a session that a tracker is told were placed."""
    (own,) = world.lane("cross").books
    stored = Stored.read(own, world.warehouse, Requested.by_place([(session, "")]))
    told = list(stored.told(FileChartStore(world.settings.charts), {}))
    assert isinstance(told[-1], TrackedSession)
    return told[-1].book.metrics["orders_placed"]


@pytest.mark.parametrize("is_rejected", [True, False])
def test_what_is_not_approved_does_not_trade(
    world: World, approvals: ApprovalBook, *, is_rejected: bool
) -> None:
    book(world, EVENING)
    asked = waiting(approvals)
    if is_rejected:
        approvals.reject(asked, "bob", "no", an_hour_before_the_end(asked))

    book(on(world, NEXT), NEXT)

    assert bought(world) == []
    events = world.tables()["order_events"]
    last = events[events["order_id"] == BOUGHT]["status"].tolist()
    assert last == (["rejected"] if is_rejected else ["expired"])


def test_the_evening_of_the_command_asks_as_that_of_the_schedule(
    world: World, approvals: ApprovalBook
) -> None:
    work = replace(world.backfill("cross"), launched_by=TRADE)

    for part in work.book_parts(EVENING, EVENING):
        work.run(world.definitions, world.instance, part, lambda _: None)

    assert orders(world, EVENING) == [("CCC", "entry", "awaiting_approval")]
    assert waiting(approvals).state is ApprovalState.PROPOSED


def test_runs_by_hand_ask_nobody(world: World, approvals: ApprovalBook) -> None:
    book(world, EVENING, by=BACKFILL)

    assert orders(world, EVENING) == [("CCC", "entry", "submitted")]
    assert approvals.called(BOUGHT) == []


def test_a_backfill_after_approvals_gives_the_same_tables(
    world: World, approvals: ApprovalBook
) -> None:
    first, last = world.lane_sessions[0], world.lane_sessions[-1]
    book(world, EVENING)
    asked = waiting(approvals)
    approvals.approve(asked, "ann", "fine", an_hour_before_the_end(asked))
    on(world, NEXT)
    book(world, NEXT)
    on(world, last)
    book(world, date(2024, 2, 9), last)
    told = world.tables()

    world.backfilled("cross", first, last)
    assert_same_tables(world.tables(), told)

    world.settings.warehouse.unlink()
    world.make_all()
    assert_same_tables(world.tables(), told)
    assert len(approvals.of("cross", "simulated")) == len(
        {it.proposal.order_id for it in approvals.of("cross", "simulated")}
    )


# A real account


def asking_paper() -> str:
    return PAPER.replace("bracket: false", ASKING)


@pytest.fixture
def street(shelf: Shelf, tmp_path: Path) -> Iterator[Street]:
    base = shelf.take(tmp_path / "world", Made.MARKET, [asking_paper()])
    clock = Clock(CALENDAR.close_at(date(2024, 2, 1)))
    with FakeGateway(account=ACCOUNT_NAME, now=clock) as fake:
        for symbol, con_id in CON_IDS.items():
            fake.add_symbol(symbol, con_id=con_id)
        yield Street(base, fake, clock)


def test_a_real_evening_waits_is_approved_sent_once_and_filled(street: Street) -> None:
    day, following, *_ = street.world.lane_sessions
    result = evening(street, day)

    assert verdicts(result)["paper/orders:acknowledged"]
    assert street.fake.orders == {}
    statuses = street.world.warehouse.read(ORDERS).groupby("lane")["status"].unique()
    assert list(statuses["ibkr"]) == ["awaiting_approval"]
    assert list(statuses["replay"]) == ["submitted"]

    approvals = street.books.ledger.approvals
    asked = approvals.of("paper", "ibkr", [day])
    for own in asked:
        approvals.approve(own, "ann", "fine", street.clock())
    wanted = [own.proposal.order_id for own in asked]
    (request,) = sensed(street.world, street.fake, street.clock).run_requests
    result = launched(street.world, request)

    assert result.success, faults_of(result)
    assert made_by(result) == {"paper/orders"}  # nobody is asked for an opinion again
    assert verdicts(result)["paper/orders:acknowledged"]
    assert [order.order_ref for order in street.fake.orders.values()] == wanted
    assert not sensed(street.world, street.fake, street.clock).run_requests
    events = street.world.warehouse.read(ORDER_EVENTS, {"lane": "ibkr"})
    own = events[events["order_id"] == wanted[0]]
    assert own["status"].tolist() == ["approved", "working"]

    street.open(following)
    street.evening(following)
    fills = street.world.warehouse.read(FILLS, {"lane": "ibkr"})
    assert set(fills["order_id"]) == set(wanted)


def evening(street: Street, day: date) -> dg.ExecuteInProcessResult:
    """The evening of *day*, after which the price stays where it was."""
    for symbol in CON_IDS:
        closed = float(street.world.bars(symbol).loc[str(day), "close"])
        street.fake.price(symbol, closed)
    street.close(day)
    assert street.world.make_view("paper", day, day).success
    result = street.world.run("paper_book", day, day)
    assert result.success, faults_of(result)
    return result


def sensed(world: World, fake: FakeGateway, now: Any, *, is_readonly: bool = False) -> Any:
    """What a tick of the sensor that sends gives, as the daemon takes it."""
    lane = world.lane("paper")
    sensor = approved_orders_sensor([lane], [book_job(lane)], now, is_readonly=is_readonly)
    bell = Doorbell("127.0.0.1", fake.port, 998, 2.0)
    book = ApprovalBook.open(world.settings.ledger)
    with dg.build_sensor_context(
        instance=world.instance,
        repository_def=world.definitions.get_repository_def(),
        sensor_name=sensor.name,
        resources={"approvals": book, "doorbell": bell},
    ) as context:
        told = sensor.evaluate_tick(context)
    book.close()
    return told


def launched(world: World, request: dg.RunRequest) -> dg.ExecuteInProcessResult:
    """Run what was asked for, as the daemon does."""
    job = world.definitions.resolve_job_def(str(request.job_name))
    with patch.dict(os.environ, RUN_ENVIRONMENT):
        return job.execute_in_process(
            instance=world.instance,
            tags=dict(request.tags),
            run_config=QUIET,
            asset_selection=request.asset_selection,
            raise_on_error=False,
        )


# When that run is asked for


DAY = date(2024, 2, 1)


class Office:
    """A strategy of which one order is approved, a gateway, and the hands of its clock."""

    def __init__(self, home: Path, fake: FakeGateway) -> None:
        self.world, self.fake = World.made(home, strategies=[asking_paper()]), fake
        self.clock = Clock(CALENDAR.close_at(DAY) + timedelta(hours=2))
        ticket = make_order_ticket(strategy="paper", session=DAY, symbol="AAA")
        until = CALENDAR.open_at(CALENDAR.offset(DAY, 1)) - timedelta(minutes=5)
        own = make_proposal(
            [ticket], account=ACCOUNT_NAME, proposed_at=self.clock(), expires_at=until
        )
        self.place = self.world.settings.ledger
        (self.asked,) = propose(self.place, own, at=self.clock())

    def approve(self) -> None:
        book = ApprovalBook.open(self.place)
        book.approve(self.asked, "ann", "fine", self.clock())
        book.close()

    def tick(self, *, is_readonly: bool = False) -> Any:
        return sensed(self.world, self.fake, self.clock, is_readonly=is_readonly)

    def run(self, request: dg.RunRequest, status: dg.DagsterRunStatus) -> None:
        """A run of what was asked for, that stands so."""
        self.world.instance.create_run_for_job(
            self.world.definitions.resolve_job_def("paper_book"),
            tags=dict(request.tags),
            status=status,
        )


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    with FakeGateway(account=ACCOUNT_NAME) as fake:
        yield Office(tmp_path / "world", fake)


def test_what_is_approved_is_asked_for_as_the_orders_of_its_session(
    office: Office,
) -> None:
    assert "nothing that is approved has to be sent" in office.tick().skip_message
    office.approve()

    (request,) = office.tick().run_requests

    assert request.job_name == "paper_book"
    assert request.asset_selection == [dg.AssetKey(["paper", "orders"])]
    assert (request.tags[LAUNCHED_BY], request.tags[RANGE]) == (APPROVAL, f"{DAY}..{DAY}")


def test_a_run_that_is_under_way_is_not_asked_for_again(office: Office) -> None:
    office.approve()
    (request,) = office.tick().run_requests
    office.run(request, dg.DagsterRunStatus.STARTED)

    assert "is under way" in office.tick().skip_message


def test_a_run_that_fails_is_asked_for_again_a_few_times(office: Office) -> None:
    office.approve()
    keys = []
    for _ in range(3):
        (request,) = office.tick().run_requests
        keys.append(request.run_key)
        office.run(request, dg.DagsterRunStatus.FAILURE)

    assert len(set(keys)) == 3
    own = request.tags[APPROVED_SET]
    assert f"sending {own} has been tried 3 times" in office.tick().skip_message


def test_a_gateway_that_is_down_costs_no_attempt(office: Office) -> None:
    office.approve()
    office.fake.stop_listening()
    assert "what is approved waits for the gateway" in office.tick().skip_message
    office.fake.start_listening()

    (request,) = office.tick().run_requests

    assert request.run_key.endswith("-1")


def test_nothing_is_asked_for_that_may_not_be_sent(office: Office) -> None:
    office.approve()

    assert "IBKR_READONLY is not no" in office.tick(is_readonly=True).skip_message


def test_nothing_is_asked_for_once_it_is_too_late(office: Office) -> None:
    office.approve()
    office.clock.now = office.asked.proposal.expires_at

    assert "nothing that is approved has to be sent" in office.tick().skip_message
