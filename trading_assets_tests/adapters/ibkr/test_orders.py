"""The desk over the real client and a loopback connection, one fault at a time."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from trading_assets.adapters.ibkr.gateway import Gateway
from trading_assets.adapters.ibkr.library import Contract, Order
from trading_assets.adapters.ibkr.library import OrderState as TheirState
from trading_assets.adapters.ibkr.order_reconciling import OpenStranger
from trading_assets.adapters.ibkr.order_recorder import notice_kinds
from trading_assets.adapters.ibkr.order_wire import split_execution_id, status_fact, to_tick
from trading_assets.adapters.ibkr.orders import OrderDesk, Reconciliation
from trading_assets.adapters.ledger.intents import IntentBook
from trading_assets.core.order_states import OrderStanding, OrderState
from trading_assets.errors import (
    GatewayUnreachable,
    InvalidInput,
    NoAnswer,
    OrderConflict,
    OrdersPaused,
    OrderUnresolved,
    ReadOnlyGateway,
    RequestRefused,
)
from trading_assets.models.base import Side
from trading_assets.models.intent import FactKind, OrderTicket
from trading_assets.models.order import Leg
from trading_assets_tests.adapters.ibkr.desks import (
    CANCEL_ORDER,
    HASTY,
    PATIENT,
    assert_as_the_broker_has_it,
    list_symbols,
    opened_desk,
    sent,
    settings_of,
)
from trading_assets_tests.fake_gateway import FakeGateway, Fault
from trading_assets_tests.make_intents import (
    ACCOUNT,
    CLIENT_ID,
    make_bracket,
    make_fact,
    make_intent,
    make_order_ticket,
)

ROOT = Path(__file__).parents[3]
MARKET = make_order_ticket()
RESTING = make_order_ticket(limit_price=90.0)
OTHER = make_order_ticket(symbol="MSFT", limit_price=90.0)
EXECUTIONS, OPEN_ORDERS, COMPLETED = 7, 5, 99


@pytest.fixture
def fake() -> Iterator[FakeGateway]:
    with FakeGateway(account=ACCOUNT) as gateway:
        list_symbols(gateway)
        yield gateway


@pytest.fixture
def place(tmp_path: Path) -> str:
    return str(tmp_path / "ledger.db")


@pytest.fixture
def book(place: str) -> Iterator[IntentBook]:
    opened = IntentBook.open(place)
    yield opened
    opened.close()


@pytest.fixture
def desk(fake: FakeGateway, book: IntentBook) -> Iterator[OrderDesk]:
    with opened_desk(fake, book) as opened:
        yield opened


@pytest.fixture
def hasty(fake: FakeGateway, book: IntentBook) -> Iterator[OrderDesk]:
    with opened_desk(fake, book, HASTY) as opened:
        yield opened


def only(standings: list[OrderStanding]) -> OrderStanding:
    [standing] = standings
    return standing


def reaches(
    desk: OrderDesk, ticket: OrderTicket, state: OrderState, seconds: float = 10
) -> OrderStanding:
    """The standing of *ticket* once it is in *state*, with its commission told."""

    def is_there() -> bool:
        found = desk.standings([ticket.order_id])[ticket.order_id]
        return found.state is state and found.commission is not None

    assert desk._recorder.wait_until(is_there, seconds)
    return desk.standings([ticket.order_id])[ticket.order_id]


def reconciled(
    fake: FakeGateway, book: IntentBook, ticket: OrderTicket = MARKET
) -> tuple[Reconciliation, OrderStanding]:
    """What a new desk finds out, and where *ticket* stands then."""
    with opened_desk(fake, book) as desk:
        found = desk.reconcile()
        return found, desk.standings([ticket.order_id])[ticket.order_id]


# The plain way


def test_a_market_order_is_acknowledged_and_filled(
    desk: OrderDesk, fake: FakeGateway, book: IntentBook
) -> None:
    standing = only(desk.submit([MARKET]))

    assert not standing.is_ambiguous
    assert standing.perm_ids == tuple(fake.orders)
    filled = reaches(desk, MARKET, OrderState.FILLED)
    assert filled.average_price == 100.0
    assert filled.commission == pytest.approx(1.0)
    assert_as_the_broker_has_it(fake, book, [MARKET])


@pytest.mark.parametrize(
    ("changes", "wire"),
    [
        ({}, ("MKT", "", "")),
        ({"limit_price": 90.0}, ("LMT", "90.0", "")),
        ({"stop_price": 110.0}, ("STP", "", "110.0")),
        ({"limit_price": 111.0, "stop_price": 110.0}, ("STP LMT", "111.0", "110.0")),
    ],
)
def test_every_type_is_written_with_its_prices_and_its_time_in_force(
    desk: OrderDesk,
    fake: FakeGateway,
    changes: dict[str, Any],
    wire: tuple[str, str, str],
) -> None:
    ticket = make_order_ticket(**changes)

    assert not only(desk.submit([ticket])).is_ambiguous

    [fields] = sent(fake)
    assert (fields[18], fields[19], fields[20]) == wire
    assert (fields[16], fields[17], fields[21]) == ("BUY", "10", "DAY")
    assert (fields[23], fields[26], fields[27]) == (ACCOUNT, ticket.order_id, "1")


def test_the_intent_is_in_the_ledger_before_the_order_is_on_the_wire(
    fake: FakeGateway, place: str
) -> None:
    seen: list[int] = []

    class Watching(IntentBook):
        def commit(self, intents: object) -> None:
            super().commit(intents)  # type: ignore[arg-type]
            seen.append(len(sent(fake)))

    book = Watching.open(place)
    with opened_desk(fake, book) as desk:
        desk.submit([RESTING])

    assert seen == [0]
    assert len(sent(fake)) == 1
    intent = book.known([RESTING.order_id])[RESTING.order_id]
    assert sent(fake)[0][1] == str(intent.broker_order_id)
    book.close()


def test_the_same_order_is_sent_once_however_often_it_is_asked_for(
    desk: OrderDesk, fake: FakeGateway, book: IntentBook
) -> None:
    first = desk.submit([RESTING, RESTING])
    again = desk.submit([RESTING])

    assert first == [*again, *again]
    assert len(sent(fake)) == 1
    with opened_desk(fake, book, client_id=CLIENT_ID + 1) as other:
        assert other.submit([RESTING]) == again
    assert len(sent(fake)) == 1


def test_another_content_under_the_same_id_is_refused_and_changes_nothing(
    desk: OrderDesk, fake: FakeGateway
) -> None:
    desk.submit([RESTING])

    with pytest.raises(OrderConflict, match=RESTING.order_id):
        desk.submit([make_order_ticket(limit_price=91.0), OTHER])

    assert len(sent(fake)) == 1
    assert [order.limit_price for order in fake.orders.values()] == [90.0]


def test_two_contents_of_one_id_in_one_call_are_refused(desk: OrderDesk) -> None:
    with pytest.raises(OrderConflict, match=RESTING.order_id):
        desk.submit([RESTING, make_order_ticket(limit_price=91.0)])


def test_order_ids_go_on_after_the_highest_in_the_ledger(
    desk: OrderDesk, fake: FakeGateway, book: IntentBook
) -> None:
    book.commit([make_intent(OTHER, broker_order_id=5000)])
    book.tell(OTHER.order_id, make_fact(FactKind.CANCELLED))

    desk.submit([RESTING])

    [order] = fake.orders.values()
    assert order.order_id > 5000


def test_an_order_told_without_its_id_is_known_by_its_reference(
    desk: OrderDesk,
) -> None:
    desk.submit([RESTING])
    told = Order(orderRef=RESTING.order_id, permId=4711, account=ACCOUNT)

    desk._recorder.on_open_order(Contract(), told, TheirState(status="Submitted"))

    assert 4711 in desk.standings([RESTING.order_id])[RESTING.order_id].perm_ids


def test_an_unknown_symbol_is_refused_before_anything_is_committed(
    desk: OrderDesk, fake: FakeGateway, book: IntentBook
) -> None:
    ticket = make_order_ticket(symbol="NONE")

    with pytest.raises(RequestRefused, match="200"):
        desk.submit([RESTING, ticket])

    assert sent(fake) == []
    assert book.known([RESTING.order_id, ticket.order_id]) == {}


# Killed, cut off, and left without a word


@pytest.mark.parametrize(
    ("moment", "resent"), [("before", (MARKET.order_id,)), ("after", ())]
)
def test_a_process_killed_around_the_sending_leaves_one_order(
    fake: FakeGateway, place: str, book: IntentBook, moment: str, resent: tuple[str, ...]
) -> None:
    child = subprocess.run(
        [
            sys.executable,
            "-m",
            "trading_assets_tests.adapters.ibkr.dying_desk",
            place,
            str(fake.port),
            moment,
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert child.returncode == -signal.SIGKILL, child.stderr
    assert book.known([MARKET.order_id])

    found, standing = reconciled(fake, book)

    assert found.resent == resent
    assert standing.state is OrderState.FILLED
    assert len(sent(fake)) == 1
    assert_as_the_broker_has_it(fake, book, [MARKET])


def test_an_order_that_was_cut_off_before_it_arrived_is_sent_again_as_itself(
    fake: FakeGateway, book: IntentBook
) -> None:
    fake.inject(Fault.DROP_BEFORE_PLACE)
    with opened_desk(fake, book) as desk:
        assert only(desk.submit([MARKET])).state is OrderState.UNKNOWN
        with pytest.raises(GatewayUnreachable):
            desk.submit([OTHER])

    found, standing = reconciled(fake, book)

    assert found.resent == (MARKET.order_id,)
    assert standing.state is OrderState.FILLED
    first, second = sent(fake)
    assert first == second
    assert_as_the_broker_has_it(fake, book, [MARKET])


@pytest.mark.parametrize("filled", [True, False])
def test_an_order_that_was_cut_off_after_it_arrived_is_adopted(
    fake: FakeGateway, book: IntentBook, *, filled: bool
) -> None:
    fake.inject(Fault.DROP_AFTER_PLACE, filled=filled)
    with opened_desk(fake, book) as desk:
        assert only(desk.submit([MARKET])).state is OrderState.UNKNOWN

    found, standing = reconciled(fake, book)

    assert found.adopted == (MARKET.order_id,)
    assert standing.state is (OrderState.FILLED if filled else OrderState.WORKING)
    assert len(sent(fake)) == 1
    assert_as_the_broker_has_it(fake, book, [MARKET])


def test_a_silent_order_is_unknown_and_then_found(
    hasty: OrderDesk, fake: FakeGateway
) -> None:
    fake.inject(Fault.SILENT_ORDER)

    assert only(hasty.submit([RESTING])).state is OrderState.UNKNOWN
    assert hasty.reconcile().adopted == (RESTING.order_id,)

    assert only(hasty.submit([RESTING])).state is OrderState.WORKING
    assert len(sent(fake)) == 1


def test_a_lost_order_is_unknown_and_then_sent_again_as_itself(
    hasty: OrderDesk, fake: FakeGateway, book: IntentBook
) -> None:
    fake.inject(Fault.LOST_ORDER)

    assert only(hasty.submit([MARKET])).state is OrderState.UNKNOWN
    assert len(sent(fake)) == 1
    assert hasty.reconcile().resent == (MARKET.order_id,)

    reaches(hasty, MARKET, OrderState.FILLED)
    first, second = sent(fake)
    assert first == second
    assert_as_the_broker_has_it(fake, book, [MARKET])


def test_nothing_new_is_sent_before_what_is_in_doubt_was_looked_for(
    hasty: OrderDesk, fake: FakeGateway
) -> None:
    fake.inject(Fault.SILENT_ORDER)
    hasty.submit([RESTING])
    before = len(fake.received)

    hasty.submit([OTHER])

    asked = [it.message_id for it in fake.received[before:]]
    assert {EXECUTIONS, OPEN_ORDERS, COMPLETED} <= set(asked[: asked.index(3)])
    assert hasty.standings([RESTING.order_id])[RESTING.order_id].state is OrderState.WORKING


def test_an_order_that_stays_in_doubt_blocks_every_other(
    hasty: OrderDesk, fake: FakeGateway
) -> None:
    fake.inject(Fault.LOST_ORDER, times=3, symbol="AAPL")
    hasty.submit([RESTING])

    with pytest.raises(OrderUnresolved, match=RESTING.order_id):
        hasty.submit([OTHER])

    assert {fields[26] for fields in sent(fake)} == {RESTING.order_id}


def test_no_absence_is_concluded_from_a_question_without_an_answer(
    fake: FakeGateway, book: IntentBook
) -> None:
    fake.inject(Fault.LOST_ORDER)
    with opened_desk(fake, book, HASTY) as desk:
        desk.submit([RESTING])
        fake.drop_connections()
        fake.wait_until(lambda it: not it.client_ids)

        with pytest.raises((GatewayUnreachable, NoAnswer)):
            desk.reconcile()

    assert len(sent(fake)) == 1
    assert reconciled(fake, book, RESTING)[0].resent == (RESTING.order_id,)


def test_a_restart_of_the_gateway_in_between_loses_nothing(
    fake: FakeGateway, book: IntentBook
) -> None:
    with opened_desk(fake, book) as desk:
        desk.submit([RESTING])
        fake.restart()
        fake.price("AAPL", 90.0)

    found, standing = reconciled(fake, book, RESTING)

    assert found == Reconciliation()
    assert standing.state is OrderState.FILLED
    assert_as_the_broker_has_it(fake, book, [RESTING])


def test_an_order_sent_into_a_restart_ends_up_there_once(
    fake: FakeGateway, book: IntentBook
) -> None:
    fake.inject(Fault.RESTART, message=3)
    with opened_desk(fake, book, HASTY) as desk:
        assert only(desk.submit([MARKET])).state is OrderState.UNKNOWN

    _, standing = reconciled(fake, book)

    assert standing.state is OrderState.FILLED
    assert_as_the_broker_has_it(fake, book, [MARKET])


# A person has to look


@pytest.mark.parametrize("days", [1, 3])
def test_an_order_in_doubt_from_another_day_is_not_sent_again(
    fake: FakeGateway, book: IntentBook, days: int
) -> None:
    fake.inject(Fault.LOST_ORDER)
    with opened_desk(fake, book, HASTY) as desk:
        desk.submit([RESTING])

    later = datetime.now(UTC) + timedelta(days=days)
    with opened_desk(fake, book, PATIENT, lambda: later) as desk:
        assert desk.reconcile().missing == (RESTING.order_id,)
        assert desk.reconcile() == Reconciliation()

        with pytest.raises(OrderUnresolved, match=RESTING.order_id):
            desk.submit([make_order_ticket(Leg.EXIT)])
        assert only(desk.submit([OTHER])).state is OrderState.WORKING

        desk.settle(RESTING.order_id, who="ada", why="never arrived, asked the broker")
        assert not only(desk.submit([make_order_ticket(Leg.EXIT)])).is_ambiguous

    assert [fields[26] for fields in sent(fake)].count(RESTING.order_id) == 1
    assert book.facts(RESTING.order_id)[-1].source == "ada"


def test_an_order_of_another_client_is_not_sent_again(
    fake: FakeGateway, book: IntentBook
) -> None:
    fake.inject(Fault.LOST_ORDER)
    with opened_desk(fake, book, HASTY, client_id=8) as desk:
        desk.submit([RESTING])

    found, standing = reconciled(fake, book, RESTING)

    assert found.missing == (RESTING.order_id,)
    assert "client 8" in standing.text
    assert len(sent(fake)) == 1


def test_a_working_order_that_is_gone_is_missing_and_not_sent_again(
    fake: FakeGateway, book: IntentBook
) -> None:
    with opened_desk(fake, book) as desk:
        desk.submit([RESTING])
    with FakeGateway(account=ACCOUNT) as another:  # as if the account had forgotten it
        list_symbols(another)

        found, standing = reconciled(another, book, RESTING)

        assert found.missing == (RESTING.order_id,)
        assert standing.state is OrderState.MISSING
        assert sent(another) == []


def test_a_missing_order_that_turns_up_again_works(
    fake: FakeGateway, book: IntentBook
) -> None:
    with opened_desk(fake, book) as desk:
        desk.submit([RESTING])
    with FakeGateway(account=ACCOUNT) as another:
        list_symbols(another)
        reconciled(another, book, RESTING)

    _, standing = reconciled(fake, book, RESTING)

    assert standing.state is OrderState.WORKING


def test_what_is_plain_cannot_be_settled_by_hand(desk: OrderDesk) -> None:
    desk.submit([RESTING])

    with pytest.raises(InvalidInput, match="working"):
        desk.settle(RESTING.order_id, who="ada", why="tidy")


# What the broker answers


def test_a_rejected_order_says_why(desk: OrderDesk, fake: FakeGateway) -> None:
    fake.inject(Fault.REJECT, text="too large")

    standing = only(desk.submit([MARKET]))

    assert standing.state is OrderState.REJECTED
    assert "201" in standing.text
    assert "too large" in standing.text
    assert only(desk.submit([MARKET])) == standing
    assert len(sent(fake)) == 1


@pytest.mark.parametrize(
    ("fault", "code"), [(Fault.NO_PERMISSION, "460"), (Fault.READ_ONLY, "321")]
)
def test_an_order_that_may_not_be_sent_is_rejected(
    desk: OrderDesk, fake: FakeGateway, fault: Fault, code: str
) -> None:
    desk.reconcile()
    fake.inject(fault)

    standing = only(desk.submit([MARKET]))

    assert standing.state is OrderState.REJECTED
    assert code in standing.text
    assert fake.orders == {}


def test_an_inactive_order_is_neither_working_nor_over(
    desk: OrderDesk, fake: FakeGateway
) -> None:
    fake.inject(Fault.INACTIVE, text="held")

    standing = only(desk.submit([RESTING]))

    assert standing.state is OrderState.INACTIVE
    assert not standing.is_final
    assert desk.reconcile() == Reconciliation()


def test_a_preset_time_in_force_cancels_nothing(
    desk: OrderDesk, fake: FakeGateway, book: IntentBook
) -> None:
    fake.inject(Fault.TIF_PRESET)

    standing = only(desk.submit([RESTING]))
    desk.reconcile()

    assert standing.state is OrderState.WORKING
    found = desk.standings([RESTING.order_id])[RESTING.order_id]
    assert found.state is OrderState.WORKING
    assert 10349 in {fact.code for fact in book.facts(RESTING.order_id)}
    fake.price("AAPL", 90.0)
    reaches(desk, RESTING, OrderState.FILLED)
    assert len(sent(fake)) == 1


@pytest.mark.parametrize(
    "fault",
    [
        Fault.EXECUTION_TWICE,
        Fault.COMMISSION_FIRST,
        Fault.FILL_BEFORE_STATUS,
        Fault.EXECUTION_CORRECTED,
    ],
)
def test_a_fill_counts_once_in_whatever_way_it_is_told(
    desk: OrderDesk, fake: FakeGateway, book: IntentBook, fault: Fault
) -> None:
    options: dict[str, Any] = {"price": 99.5} if fault is Fault.EXECUTION_CORRECTED else {}
    fake.inject(fault, **options)

    desk.submit([MARKET])
    standing = reaches(desk, MARKET, OrderState.FILLED)
    if fault is Fault.EXECUTION_CORRECTED:
        desk.reconcile()
        standing = desk.standings([MARKET.order_id])[MARKET.order_id]

    assert standing.filled_shares == 10
    assert standing.commission == pytest.approx(1.0)
    assert standing.average_price == (options or {"price": 100.0})["price"]
    assert_as_the_broker_has_it(fake, book, [MARKET])


def test_a_commission_counts_if_it_is_told_before_its_execution(
    desk: OrderDesk, fake: FakeGateway
) -> None:
    fake.inject(Fault.COMMISSION_FIRST)
    desk.submit([RESTING])

    fake.price("AAPL", 90.0)

    assert reaches(desk, RESTING, OrderState.FILLED).commission == pytest.approx(1.0)


def test_parts_at_different_prices_have_their_weighted_average(
    desk: OrderDesk, fake: FakeGateway, book: IntentBook
) -> None:
    ticket = make_order_ticket(stop_price=101.0)
    desk.submit([ticket])
    fake.fill_in_parts("AAPL", 3)
    fake.price("AAPL", 101.0)
    part = reaches(desk, ticket, OrderState.PARTIALLY_FILLED)
    assert (part.filled_shares, part.average_price) == (3, 101.0)

    fake.price("AAPL", 102.0)

    whole = reaches(desk, ticket, OrderState.FILLED)
    assert whole.average_price == pytest.approx((3 * 101 + 7 * 102) / 10)
    assert_as_the_broker_has_it(fake, book, [ticket])


def test_what_was_filled_while_nobody_listened_is_found(
    fake: FakeGateway, book: IntentBook
) -> None:
    with opened_desk(fake, book) as desk:
        desk.submit([RESTING])
    fake.fill_in_parts("AAPL", 4)
    fake.price("AAPL", 90.0)

    _, standing = reconciled(fake, book, RESTING)

    assert standing.state is OrderState.PARTIALLY_FILLED
    assert standing.filled_shares == 4
    assert_as_the_broker_has_it(fake, book, [RESTING])


def test_what_others_trade_in_the_account_is_recorded_and_not_ours(
    desk: OrderDesk, fake: FakeGateway, book: IntentBook, tmp_path: Path
) -> None:
    stranger = IntentBook.open(str(tmp_path / "other.db"))
    with opened_desk(fake, stranger, client_id=9) as other:
        other.submit([make_order_ticket(symbol="MSFT")])
    stranger.close()

    desk.reconcile()

    [execution] = book.executions(ACCOUNT)
    assert (execution.symbol, execution.side, execution.shares) == ("MSFT", Side.BUY, 10)
    assert book.known([execution.order_ref]) == {}


# The gateway loses its server


def test_nothing_is_sent_or_committed_while_the_server_is_away(
    desk: OrderDesk, fake: FakeGateway, book: IntentBook
) -> None:
    desk.submit([OTHER])
    fake.lose_link()
    # Its answer comes after everything that was said before.
    desk._gateway.ask(lambda ib: ib.reqCurrentTimeAsync(), "the time")
    assert desk._gateway.state.paused_since is not None

    for refused in (
        lambda: desk.submit([RESTING]),
        lambda: desk.modify(OTHER.order_id, limit_price=91.0),
        lambda: desk.cancel(OTHER.order_id),
        lambda: desk.preview(RESTING),
        desk.reconcile,
    ):
        with pytest.raises(OrdersPaused):
            refused()

    assert len(sent(fake)) == 1
    assert sent(fake, CANCEL_ORDER) == []
    assert book.known([RESTING.order_id]) == {}


@pytest.mark.parametrize("data_kept", [True, False])
def test_fills_that_happened_while_the_server_was_away_are_found(
    desk: OrderDesk, fake: FakeGateway, book: IntentBook, *, data_kept: bool
) -> None:
    ticket = make_order_ticket(limit_price=90.0)
    desk.submit([ticket])
    fake.inject(Fault.LINK_LOST_IN_FILL)
    fake.price("AAPL", 90.0)
    reaches(desk, ticket, OrderState.PARTIALLY_FILLED)

    fake.restore_link(data_kept=data_kept)

    reaches(desk, ticket, OrderState.FILLED)
    assert_as_the_broker_has_it(fake, book, [ticket])
    assert only(desk.submit([OTHER])).state is OrderState.WORKING


# Brackets


def test_a_bracket_goes_out_whole_with_its_stop_last(
    desk: OrderDesk, fake: FakeGateway
) -> None:
    bracket = make_bracket()

    standings = desk.submit(bracket)

    entry, target, stop = sent(fake)
    ids = [int(fields[1]) for fields in (entry, target, stop)]
    assert ids == list(range(ids[0], ids[0] + 3))
    assert [fields[18] for fields in (entry, target, stop)] == ["LMT", "LMT", "STP"]
    assert [fields[27] for fields in (entry, target, stop)] == ["0", "0", "1"]
    assert [fields[28] for fields in (entry, target, stop)] == ["0", entry[1], entry[1]]
    assert [fields[21] for fields in (entry, target, stop)] == ["DAY", "GTC", "GTC"]
    assert [fields[16] for fields in (entry, target, stop)] == ["BUY", "SELL", "SELL"]
    assert {fields[26] for fields in (entry, target, stop)} == {
        ticket.order_id for ticket in bracket
    }
    assert [it.order_id for it in standings] == [ticket.order_id for ticket in bracket]


def test_the_legs_of_a_bracket_live_after_their_entry_and_end_each_other(
    desk: OrderDesk, fake: FakeGateway, book: IntentBook
) -> None:
    entry, stop, target = make_bracket()
    desk.submit([entry, stop, target])
    reaches(desk, entry, OrderState.FILLED)

    fake.price("AAPL", 95.0)

    reaches(desk, stop, OrderState.FILLED)
    reaches(desk, target, OrderState.CANCELLED)
    assert fake.positions == {}
    assert_as_the_broker_has_it(fake, book, [entry, stop, target])


@pytest.mark.parametrize("leg", ["entry", "target", "stop"])
def test_a_bracket_cut_in_the_middle_ends_up_there_once_and_whole(
    fake: FakeGateway, book: IntentBook, leg: str
) -> None:
    bracket = make_bracket(shares=7)
    [cut] = [ticket for ticket in bracket if ticket.leg == leg]
    fake.inject(Fault.DROP_BEFORE_PLACE, order_ref=cut.order_id)
    with opened_desk(fake, book) as desk:
        desk.submit(bracket)

    with opened_desk(fake, book) as desk:
        desk.reconcile()
        reaches(desk, bracket[0], OrderState.FILLED)

    assert len(fake.orders) == 3
    assert_as_the_broker_has_it(fake, book, bracket)
    assert all(
        not it.is_ambiguous for it in book.standings(t.order_id for t in bracket).values()
    )


def test_two_brackets_do_not_mix(desk: OrderDesk, fake: FakeGateway) -> None:
    mixed = [
        ticket
        for pair in zip(make_bracket("MSFT"), make_bracket("AAPL"), strict=True)
        for ticket in pair
    ]

    desk.submit(mixed)

    rows = sent(fake)
    assert [fields[3] for fields in rows] == ["MSFT"] * 3 + ["AAPL"] * 3
    assert [fields[27] for fields in rows] == ["0", "0", "1"] * 2
    assert [fields[28] for fields in rows] == [
        "0",
        rows[0][1],
        rows[0][1],
        "0",
        rows[3][1],
        rows[3][1],
    ]


def test_legs_of_an_entry_that_has_filled_stand_for_themselves(
    desk: OrderDesk, fake: FakeGateway
) -> None:
    entry, stop, target = make_bracket()
    desk.submit([entry])
    reaches(desk, entry, OrderState.FILLED)

    desk.submit([stop, target])

    legs = sent(fake)[1:]
    assert [fields[28] for fields in legs] == ["0", "0"]
    assert [fields[27] for fields in legs] == ["1", "1"]
    assert {(fields[22], fields[47]) for fields in legs} == {(entry.order_id, "1")}
    fake.price("AAPL", 110.0)
    reaches(desk, target, OrderState.FILLED)
    reaches(desk, stop, OrderState.CANCELLED)


def test_a_leg_of_a_working_entry_is_attached_to_it(
    desk: OrderDesk, fake: FakeGateway
) -> None:
    stop = make_order_ticket(Leg.STOP, stop_price=85.0, parent_id=RESTING.order_id)
    desk.submit([RESTING])

    desk.submit([stop])

    entry, leg = sent(fake)
    assert (leg[27], leg[28]) == ("1", entry[1])


def test_a_leg_without_anything_to_protect_is_refused(
    desk: OrderDesk, fake: FakeGateway
) -> None:
    _, stop, _ = make_bracket()
    with pytest.raises(InvalidInput, match="never committed"):
        desk.submit([stop])

    fake.inject(Fault.REJECT)
    desk.submit([make_bracket()[0]])

    with pytest.raises(InvalidInput, match="rejected"):
        desk.submit([stop])
    assert len(sent(fake)) == 1


# Changing and cancelling


def test_a_change_is_the_same_order_with_other_prices(
    desk: OrderDesk, fake: FakeGateway, book: IntentBook
) -> None:
    desk.submit([RESTING])

    standing = desk.modify(RESTING.order_id, limit_price=91.007, shares=12)

    assert (standing.terms.limit_price, standing.terms.shares) == (91.0, 12)
    assert standing.pending_terms is None
    first, second = sent(fake)
    assert (first[1], first[26]) == (second[1], second[26])
    assert second[21] == "DAY"
    fake.price("AAPL", 91.0)
    assert reaches(desk, RESTING, OrderState.FILLED).filled_shares == 12
    assert_as_the_broker_has_it(fake, book, [RESTING])


def test_a_change_to_what_is_there_is_not_sent(desk: OrderDesk, fake: FakeGateway) -> None:
    desk.submit([RESTING])

    desk.modify(RESTING.order_id, limit_price=90.0)

    assert len(sent(fake)) == 1


def test_a_second_permanent_id_after_a_change_is_the_same_order(
    desk: OrderDesk, fake: FakeGateway, book: IntentBook
) -> None:
    desk.submit([RESTING])
    fake.inject(Fault.SECOND_PERM_ID)

    standing = desk.modify(RESTING.order_id, limit_price=91.0)

    assert len(standing.perm_ids) == 2
    assert standing.terms.limit_price == 91.0
    fake.price("AAPL", 91.0)
    assert reaches(desk, RESTING, OrderState.FILLED).filled_shares == 10
    assert_as_the_broker_has_it(fake, book, [RESTING])


def test_a_change_that_is_rejected_leaves_the_order_working(
    desk: OrderDesk, fake: FakeGateway
) -> None:
    desk.submit([RESTING])
    fake.inject(Fault.REJECT)

    standing = desk.modify(RESTING.order_id, limit_price=91.0)

    assert standing.state is OrderState.WORKING
    assert standing.terms.limit_price == 90.0
    assert standing.pending_terms is None


@pytest.mark.parametrize("is_made", [True, False])
def test_a_change_that_nothing_was_heard_of_is_found_out(
    fake: FakeGateway, book: IntentBook, *, is_made: bool
) -> None:
    fault = Fault.DROP_AFTER_PLACE if is_made else Fault.DROP_BEFORE_PLACE
    with opened_desk(fake, book) as desk:
        desk.submit([RESTING])
        fake.inject(fault)
        assert desk.modify(RESTING.order_id, limit_price=91.0).pending_terms is not None

    _, standing = reconciled(fake, book, RESTING)

    assert standing.pending_terms is None
    assert standing.terms.limit_price == (91.0 if is_made else 90.0)


def test_a_leg_is_changed_without_its_parent_once_that_has_filled(
    desk: OrderDesk, fake: FakeGateway
) -> None:
    entry, stop, target = make_bracket()
    desk.submit([entry, stop, target])
    reaches(desk, entry, OrderState.FILLED)

    standing = desk.modify(stop.order_id, stop_price=96.0)

    assert standing.terms.stop_price == 96.0
    changed = sent(fake)[-1]
    assert (changed[27], changed[28]) == ("1", "0")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"stop_price": 80.0}, "no such price"),
        ({"shares": 0}, "above"),
        ({"limit_price": 0.001}, "less than a tick"),
    ],
)
def test_a_change_that_makes_no_sense_is_refused(
    desk: OrderDesk, fake: FakeGateway, change: dict[str, int], reason: str
) -> None:
    desk.submit([RESTING])

    with pytest.raises(InvalidInput, match=reason):
        desk.modify(RESTING.order_id, **change)

    assert len(sent(fake)) == 1


def test_what_has_ended_or_was_never_ours_is_not_changed(desk: OrderDesk) -> None:
    with pytest.raises(InvalidInput, match="never committed"):
        desk.modify(MARKET.order_id, shares=5)
    desk.submit([MARKET])
    reaches(desk, MARKET, OrderState.FILLED)

    with pytest.raises(InvalidInput, match="filled"):
        desk.modify(MARKET.order_id, shares=50)


def test_a_cancelled_order_is_over(
    desk: OrderDesk, fake: FakeGateway, book: IntentBook
) -> None:
    desk.submit([RESTING])

    standing = desk.cancel(RESTING.order_id)

    assert standing.state is OrderState.CANCELLED
    assert desk.cancel(RESTING.order_id) == standing
    assert len(sent(fake, CANCEL_ORDER)) == 1
    assert_as_the_broker_has_it(fake, book, [RESTING])


@pytest.mark.parametrize("heard", [True, False])
def test_an_order_that_is_cancelled_and_filled_all_the_same_is_filled(
    desk: OrderDesk, fake: FakeGateway, book: IntentBook, *, heard: bool
) -> None:
    desk.submit([RESTING])
    fake.inject(Fault.CANCELLED_BUT_FILLED, heard=heard)

    standing = desk.cancel(RESTING.order_id)

    assert standing.state is OrderState.FILLED
    assert standing.filled_shares == 10
    assert_as_the_broker_has_it(fake, book, [RESTING])


def test_an_order_that_cannot_be_cancelled_any_more_is_looked_up(
    fake: FakeGateway, book: IntentBook
) -> None:
    with opened_desk(fake, book) as desk:
        desk.submit([RESTING])
        fake.inject(
            Fault.LINK_LOST_IN_FILL
        )  # the fill goes unheard, and then the link is back
        fake.price("AAPL", 90.0)
        reaches(desk, RESTING, OrderState.PARTIALLY_FILLED)
        fake.restore_link()

        reaches(desk, RESTING, OrderState.FILLED)
        assert desk.cancel(RESTING.order_id).state is OrderState.FILLED

    assert sent(fake, CANCEL_ORDER) == []


# Previews, and looking on


@pytest.mark.parametrize("is_told_twice", [True, False])
def test_a_preview_has_the_margins_and_trades_nothing(
    desk: OrderDesk, fake: FakeGateway, book: IntentBook, *, is_told_twice: bool
) -> None:
    if is_told_twice:
        fake.inject(Fault.WHAT_IF_TWICE)

    preview = desk.preview(RESTING)

    assert preview.initial_margin_change == pytest.approx(0.25 * 10 * 90)
    assert preview.equity_with_loan == pytest.approx(1_000_000 - 1)
    assert fake.orders == {}
    assert book.known([RESTING.order_id]) == {}
    assert only(desk.submit([RESTING])).state is OrderState.WORKING


def test_a_desk_that_looks_on_refuses_by_name(fake: FakeGateway, book: IntentBook) -> None:
    with (
        Gateway.connected(settings_of(fake, readonly=True)) as gateway,
        OrderDesk(gateway, book) as desk,
    ):
        for name, refused in {
            "submit": lambda: desk.submit([RESTING]),
            "modify": lambda: desk.modify(RESTING.order_id, shares=1),
            "cancel": lambda: desk.cancel(RESTING.order_id),
            "preview": lambda: desk.preview(RESTING),
            "reconcile": desk.reconcile,
        }.items():
            with pytest.raises(ReadOnlyGateway, match=name):
                refused()
        assert desk.standings([RESTING.order_id]) == {}

    assert sent(fake) == []
    assert book.known([RESTING.order_id]) == {}


def test_a_ledger_that_fails_is_reported_by_the_next_call(
    fake: FakeGateway, place: str
) -> None:
    class Failing(IntentBook):
        def add_executions(self, executions: object) -> int:
            if executions:
                raise OSError("the disk is full")
            return 0

    book = Failing.open(place)
    with opened_desk(fake, book) as desk:
        with suppress(OSError):  # whether it is heard in time is a matter of luck
            desk.submit([MARKET])
        with pytest.raises(OSError, match="full"):
            desk.reconcile()
    book.close()


# Pure translation


@pytest.mark.parametrize(
    ("price", "tick", "up", "expected"),
    [
        (190.107, 0.01, False, 190.10),
        (190.101, 0.01, True, 190.11),
        (190.10000000000002, 0.01, True, 190.10),
        (190.09999999999999, 0.01, False, 190.10),
        (100.0, 0.01, True, 100.0),
        (0.12344, 0.0001, False, 0.1234),
        (7.03, 0.05, True, 7.05),
    ],
)
def test_prices_meet_the_tick_on_the_side_asked_for(
    price: float, tick: float, *, up: bool, expected: float
) -> None:
    assert to_tick(price, tick, up=up) == expected


@pytest.mark.parametrize(
    ("side", "limit", "stop"),
    [(Side.BUY, "99.33", "101.66"), (Side.SELL, "99.34", "101.67")],
)
def test_a_limit_is_never_worse_and_a_stop_never_later(
    desk: OrderDesk, fake: FakeGateway, side: Side, limit: str, stop: str
) -> None:
    ticket = make_order_ticket(side=side, limit_price=99.337, stop_price=101.667)

    desk.submit([ticket])

    [fields] = sent(fake)
    assert (fields[19], fields[20]) == (limit, stop)


def test_the_correction_is_told_from_the_execution() -> None:
    assert split_execution_id("00025b46.00000001.01.02") == ("00025b46.00000001.01", 2)
    assert split_execution_id("odd") == ("odd", 0)
    assert split_execution_id("odd.one") == ("odd.one", 0)


def test_a_status_without_a_permanent_id_acknowledges_nothing() -> None:
    given = {"filled": 0.0, "at": datetime.now(UTC), "source": "status"}

    assert status_fact("PendingSubmit", perm_id=0, **given) is None
    assert status_fact("Submitted", perm_id=0, **given) is None
    assert status_fact("Nonsense", perm_id=7, **given) is None
    acknowledged = status_fact("PreSubmitted", perm_id=7, **given)
    assert acknowledged is not None
    assert acknowledged.kind is FactKind.ACKNOWLEDGED


@pytest.mark.parametrize(
    ("code", "is_acknowledged", "is_changing", "expected"),
    [
        (10349, False, False, (FactKind.NOTICE,)),
        (399, False, False, (FactKind.NOTICE,)),
        (1100, False, False, (FactKind.NOTICE,)),
        (201, False, False, (FactKind.REJECTED,)),
        (201, True, False, (FactKind.REJECTED,)),
        (201, True, True, (FactKind.MODIFY_REFUSED,)),
        (110, False, False, (FactKind.REJECTED,)),
        (110, True, False, (FactKind.NOTICE,)),
        (104, False, False, (FactKind.NOTICE, FactKind.UNKNOWN)),
        (104, True, False, (FactKind.NOTICE,)),
        (55555, False, False, (FactKind.NOTICE,)),
        (10147, True, False, (FactKind.NOTICE,)),
    ],
)
def test_a_code_ends_an_order_only_if_it_is_certain(
    code: int, *, is_acknowledged: bool, is_changing: bool, expected: tuple[FactKind, ...]
) -> None:
    assert (
        notice_kinds(code, "", is_acknowledged=is_acknowledged, is_changing=is_changing)
        == expected
    )


# Sent again, once


@contextmanager
def forgetful(book: IntentBook, *tickets: OrderTicket) -> Iterator[FakeGateway]:
    """A gateway that has forgotten all orders, after a desk has found them missing."""
    with FakeGateway(account=ACCOUNT) as another:
        list_symbols(another)
        with opened_desk(another, book) as desk:
            found = desk.reconcile()
        assert found.missing == tuple(ticket.order_id for ticket in tickets)
        yield another


@pytest.fixture
def bracket(fake: FakeGateway, book: IntentBook) -> list[OrderTicket]:
    """An entry that has filled, its target and its stop, in the order sent."""
    entry, stop, target = make_bracket()
    with opened_desk(fake, book) as desk:
        desk.submit([entry, stop, target])
        reaches(desk, entry, OrderState.FILLED)
    return [target, stop]


def test_a_missing_leg_is_sent_again_as_itself_and_only_once(
    book: IntentBook, bracket: list[OrderTicket]
) -> None:
    stop = bracket[1]
    with forgetful(book, *bracket) as another:
        with opened_desk(another, book) as desk:
            standing = desk.send_again(stop.order_id, who="guard")

        assert standing.state is OrderState.WORKING
        [order] = another.orders.values()
        assert (order.order_ref, order.order_id, order.stop_price) == (
            stop.order_id,
            standing.intent.broker_order_id,
            95.0,
        )
        assert (order.parent_id, order.oca_group) == (0, stop.parent_id)
        told = [it for it in book.facts(stop.order_id) if it.kind is FactKind.RESENT]
        assert [it.source for it in told] == ["guard"]

    with forgetful(book, stop) as third, opened_desk(third, book) as desk:
        with pytest.raises(InvalidInput, match="was sent again before"):
            desk.send_again(stop.order_id, who="guard")
        assert sent(third) == []


def test_both_legs_that_are_sent_again_cancel_each_other(
    book: IntentBook, bracket: list[OrderTicket]
) -> None:
    with forgetful(book, *bracket) as another:
        with opened_desk(another, book) as desk:
            for leg in bracket:
                desk.send_again(leg.order_id, who="guard")
            another.price("AAPL", 94.0)
        another.wait_until(lambda it: not any(own.is_open for own in it.orders.values()))

        assert [(own.order_ref, own.status) for own in another.orders.values()] == [
            (bracket[0].order_id, "Cancelled"),
            (bracket[1].order_id, "Filled"),
        ]


def test_a_leg_that_turns_up_again_is_not_sent(
    fake: FakeGateway, book: IntentBook, bracket: list[OrderTicket]
) -> None:
    with forgetful(book, *bracket):
        pass
    before = len(sent(fake))

    with opened_desk(fake, book) as desk:
        standing = desk.send_again(bracket[1].order_id, who="guard")

    assert standing.state is OrderState.WORKING
    assert len(sent(fake)) == before


def test_a_leg_that_is_sent_again_and_swallowed_stays_missing_and_is_found(
    book: IntentBook, bracket: list[OrderTicket]
) -> None:
    stop = bracket[1]
    with forgetful(book, *bracket) as another:
        another.inject(Fault.SILENT_ORDER)
        with opened_desk(another, book, HASTY) as desk:
            assert desk.send_again(stop.order_id, who="guard").state is OrderState.MISSING

        _, standing = reconciled(another, book, stop)

        assert standing.state is OrderState.WORKING
        assert len(another.orders) == 1


@pytest.mark.parametrize(
    ("ticket", "why"),
    [(RESTING, "is an entry, no stop"), (OTHER, "was never committed")],
)
def test_only_a_committed_leg_is_sent_again(
    desk: OrderDesk, ticket: OrderTicket, why: str
) -> None:
    desk.submit([RESTING])

    with pytest.raises(InvalidInput, match=why):
        desk.send_again(ticket.order_id, who="guard")


def test_a_leg_that_works_or_was_cancelled_is_not_sent_again(
    fake: FakeGateway, book: IntentBook, bracket: list[OrderTicket]
) -> None:
    before = len(sent(fake))
    with opened_desk(fake, book) as desk:
        desk.reconcile()
        with pytest.raises(InvalidInput, match="is working, not missing"):
            desk.send_again(bracket[1].order_id, who="guard")
        desk.cancel(bracket[1].order_id)
        with pytest.raises(InvalidInput, match="is cancelled, not missing"):
            desk.send_again(bracket[1].order_id, who="guard")

    assert len(sent(fake)) == before


def test_what_others_have_working_in_the_account_is_known(
    fake: FakeGateway, book: IntentBook, tmp_path: Path
) -> None:
    theirs = IntentBook.open(tmp_path / "theirs.db")
    fake.hold("AAPL", 10, 90.0)
    sell = make_order_ticket(Leg.EXIT, limit_price=120.0)
    with opened_desk(fake, theirs, client_id=8) as stranger:
        stranger.submit([sell])
        with opened_desk(fake, book) as desk:
            desk.submit([RESTING])
            desk.reconcile()

            assert desk.strangers == (OpenStranger("AAPL", Side.SELL, 10.0),)
    theirs.close()


def test_a_bracket_whose_last_leg_is_refused_is_over_and_blocks_nothing(
    fake: FakeGateway, book: IntentBook
) -> None:
    tickets = make_bracket()
    stop = next(it for it in tickets if it.leg is Leg.STOP)
    fake.inject(Fault.REJECT, order_ref=stop.order_id)

    with opened_desk(fake, book, HASTY) as desk:
        desk.submit(tickets)
        desk.reconcile()
        standings = desk.standings(it.order_id for it in tickets).values()
        (other,) = desk.submit([make_order_ticket(symbol="MSFT")])

    assert {it.state for it in standings} == {OrderState.REJECTED}
    assert not other.is_ambiguous
    assert [order.order_ref for order in fake.orders.values() if order.is_open] == []
