"""A strategy traded at Interactive Brokers, evening by evening, over a real socket."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from trading_assets.adapters.brokers.ibkr import Border, IbkrBroker
from trading_assets.adapters.brokers.port import Traded
from trading_assets.adapters.ibkr.gateway import GatewaySettings
from trading_assets.adapters.ibkr.orders import Patience
from trading_assets.adapters.ibkr.session import Books
from trading_assets.core.agreement import Split
from trading_assets.core.audit import cash_differences, share_differences
from trading_assets.core.deciding import Plan
from trading_assets.core.market_days import MarketDays
from trading_assets.errors import (
    GatewayUnreachable,
    InvalidInput,
    NoAnswer,
    OrderConflict,
    OrderUnresolved,
    ReadOnlyGateway,
    WrongAccount,
)
from trading_assets.models.account import Adoption, AdoptionKind
from trading_assets.models.intent import Commission, Execution
from trading_assets.models.table import Table
from trading_assets.models.tables import (
    BOOK_EVENTS,
    FILLS,
    ORDER_EVENTS,
    ORDERS,
    PORTFOLIO,
    POSITIONS,
    TRADES,
)
from trading_assets.sessions import trading_calendar
from trading_assets_tests.fake_gateway import FakeGateway
from trading_assets_tests.fake_gateway.faults import Fault
from trading_assets_tests.make import (
    Happened,
    Said,
    flat,
    make_days,
    make_sessions,
    make_spec,
)

ACCOUNT = "DU1234567"
DAYS = make_sessions(8)
CALENDAR = trading_calendar()
AFTER_CLOSE = timedelta(minutes=75)
AFTER_OPEN = timedelta(minutes=1)
PRICES: Mapping[str, Sequence[float]] = {
    "AAA": (10, 11, 12, 13, 12, 11, 10, 9),
    "BBB": (50, 50, 51, 52, 53, 54, 55, 56),
}
CON_IDS = {"AAA": 101, "BBB": 102}
BOUGHT = (Said(0, "AAA", "BUY"),)
PATIENCE = Patience(acknowledge=5.0, settle=0.05)
HASTY = Patience(acknowledge=0.3, settle=0.05)
CONTRACT_DETAILS = 9


@dataclass
class Clock:
    """What time it is, for all of them."""

    now: datetime = CALENDAR.close_at(DAYS[0]) + AFTER_CLOSE

    def __call__(self) -> datetime:
        return self.now


class Street:
    """A market, a gateway, and a broker of ours; the clock is moved by hand."""

    def __init__(self, home: Path, fake: FakeGateway, clock: Clock) -> None:
        self.clock = clock
        self.fake = fake
        self.books = Books.open(home / "ledger.db")
        self.said: Sequence[Said] = BOUGHT
        self.happened: Sequence[Happened] = ()
        self.bracket = False
        self.halted: Callable[[str], str] = lambda _: ""
        self.is_readonly = False
        self.patience = PATIENCE
        self.capital = 100_000.0
        self.answer_seconds = 30.0

    @property
    def settings(self) -> GatewaySettings:
        return GatewaySettings(
            port=self.fake.port,
            client_id=7,
            account=ACCOUNT,
            readonly=self.is_readonly,
            answer_seconds=self.answer_seconds,
            messages_per_second=0,
        )

    @property
    def broker(self) -> IbkrBroker:
        border = Border(
            lambda: self.settings,
            is_readonly=self.is_readonly,
            halted=self.halted,
            splits=self.splits,
            patience=self.patience,
            wait_seconds=5.0,
        )
        return IbkrBroker(self.books, border, CALENDAR, self.clock)

    def splits(self) -> list[Split]:
        """Those that have happened by now."""
        known = [
            Split(CALENDAR.open_at(DAYS[it.day]), it.symbol, it.value)
            for it in self.happened
        ]
        return [split for split in known if split.at <= self.clock()]

    @property
    def plan(self) -> Plan:
        return Plan.of(
            make_spec(
                universe=("AAA", "BBB"),
                capital=self.capital,
                sizing={"kind": "fixed_shares", "shares": 10},
                execution={"broker": "ibkr", "bracket": self.bracket},
            )
        )

    def market(
        self,
        first: date,
        last: date,
        held: Sequence[str],
        *,
        signals_from: date | None = None,
    ) -> MarketDays:
        del held, signals_from
        candles = {name: [flat(price) for price in own] for name, own in PRICES.items()}
        walked = slice(DAYS.index(first), DAYS.index(last) + 1)
        return make_days(candles, said=self.said, happened=self.happened, walked=walked)

    def open(self, day: int) -> None:
        """Trading begins in day number *day*, at its prices."""
        self.clock.now = CALENDAR.open_at(DAYS[day]) + AFTER_OPEN
        for symbol, prices in PRICES.items():
            self.fake.price(symbol, prices[day])
        self.fake.open_market()

    def close(self, day: int) -> None:
        """The evening of day number *day*."""
        self.clock.now = CALENDAR.close_at(DAYS[day]) + AFTER_CLOSE
        self.fake.close_market()

    def evening(self, day: int, *, first: int | None = None) -> Traded:
        """Have day number *day* traded, as the schedule does after its close."""
        begin = DAYS[day if first is None else first]
        return self.broker.trade_through(self.plan, DAYS[: day + 1], begin, self.market)

    def rows(self, table: Table, count: int = len(DAYS)) -> pd.DataFrame:
        """What is recorded of the first *count* days."""
        return self.broker.rows("reference", table, DAYS[:count])

    def sent(self) -> list[str]:
        """References of the orders that the gateway has taken, in the order taken."""
        return [order.order_ref for order in self.fake.orders.values()]


@pytest.fixture
def street(tmp_path: Path) -> Iterator[Street]:
    clock = Clock()
    with FakeGateway(account=ACCOUNT, now=clock) as fake:
        street = Street(tmp_path, fake, clock)
        for symbol, con_id in CON_IDS.items():
            fake.add_symbol(symbol, con_id=con_id)
            fake.price(symbol, PRICES[symbol][0])
        fake.close_market()
        yield street


def told(rows: pd.DataFrame, *columns: str) -> list[tuple[object, ...]]:
    return list(rows[list(columns)].itertuples(index=False, name=None))


def refused(street: Street, day: int) -> dict[str, str]:
    """Reasons of what was refused on day number *day*, by symbol and leg."""
    rows = street.broker.rows("reference", ORDERS, [DAYS[day]])
    own = rows[rows["status"] == "refused"]
    return dict(zip(own["symbol"] + "-" + own["leg"], own["reason"], strict=True))


def told_late(street: Street, session: date) -> Execution:
    """One more execution of the stop of day 0, at the open of *session*."""
    ours = street.books.intents.executions(ACCOUNT)
    sold = next(it for it in ours if it.order_ref == f"reference-{DAYS[0]}-AAA-stop")
    opened = CALENDAR.open_at(session)
    return replace(sold, exec_key="late", shares=1.0, at=opened, commission=None)


def assert_balanced(street: Street, count: int) -> None:
    """Fills and events explain cash and shares, and the broker holds the same."""
    fills, events = street.rows(FILLS, count), street.rows(BOOK_EVENTS, count)
    portfolio, positions = street.rows(PORTFOLIO, count), street.rows(POSITIONS, count)
    last = positions[positions["session"] == pd.Timestamp(DAYS[count - 1])]
    assert cash_differences(portfolio, fills, events, street.plan.spec.capital).empty
    assert share_differences(last, fills, events).empty
    held = {name: own.shares for name, own in street.fake.positions.items() if own.shares}
    assert dict(zip(last["symbol"], last["shares"], strict=True)) == held


def test_a_decision_of_the_evening_is_filled_at_the_open_and_booked(street: Street) -> None:
    street.evening(0)
    assert street.sent() == [f"reference-{DAYS[0]}-AAA-entry"]
    assert told(street.rows(ORDERS, 1), "symbol", "status", "shares") == [
        ("AAA", "submitted", 10)
    ]

    street.open(1)
    street.close(1)
    street.evening(1)

    fills = street.rows(FILLS, 2)
    assert told(fills, "fill_id", "side", "shares", "price") == [
        (f"reference-{DAYS[0]}-AAA-entry-1", "BUY", 10, 11.0)
    ]
    assert [on.date() for on in fills["session"]] == [DAYS[1]]
    assert told(street.rows(POSITIONS, 2), "symbol", "shares", "average_cost") == [
        ("AAA", 10, 11.0)
    ]
    assert_balanced(street, 2)


def test_materializing_again_decides_nothing_and_sends_nothing(street: Street) -> None:
    street.evening(0)
    street.said = (Said(0, "BBB", "BUY"),)

    again = street.evening(0)

    assert again == Traded((), ())
    assert street.sent() == [f"reference-{DAYS[0]}-AAA-entry"]


def test_a_session_that_is_not_current_never_reaches_the_broker(street: Street) -> None:
    street.said = (Said(0, "AAA", "BUY"), Said(1, "BBB", "BUY"))
    street.close(1)

    street.evening(1, first=0)

    assert street.sent() == [f"reference-{DAYS[1]}-BBB-entry"]
    assert refused(street, 0)["AAA-entry"].startswith("too_late: ")


def test_nothing_goes_out_in_the_last_five_minutes_before_an_open(street: Street) -> None:
    street.clock.now = CALENDAR.open_at(DAYS[1]) - timedelta(minutes=5)

    street.evening(0)

    assert street.sent() == []
    assert refused(street, 0)["AAA-entry"].startswith("too_late: the next session opens at")


def test_a_read_only_connection_decides_and_sends_nothing(street: Street) -> None:
    street.is_readonly = True

    street.evening(0)

    assert street.sent() == []
    assert refused(street, 0) == {"AAA-entry": "readonly: IBKR_READONLY is not no"}


def test_a_halt_refuses_whatever_is_new(street: Street) -> None:
    street.halted = lambda strategy: f"{strategy} by ann: looks odd"

    street.evening(0)

    assert street.sent() == []
    assert refused(street, 0) == {"AAA-entry": "halt: reference by ann: looks odd"}


def test_a_halt_in_the_middle_of_a_step_stops_what_is_not_out_yet(street: Street) -> None:
    street.said = (Said(0, "AAA", "BUY"), Said(0, "BBB", "BUY"))
    street.halted = lambda _: "by ann" if street.sent() else ""

    street.evening(0)
    street.halted = lambda _: ""
    street.evening(0)

    assert street.sent() == [f"reference-{DAYS[0]}-AAA-entry"]
    events = street.rows(ORDER_EVENTS, 1)
    mine = events[events["order_id"] == f"reference-{DAYS[0]}-BBB-entry"]
    assert told(mine, "status", "reason") == [("cancelled", "halt: by ann")]


@pytest.mark.parametrize("fault", [Fault.DROP_BEFORE_PLACE, Fault.LOST_ORDER])
def test_what_was_decided_and_did_not_arrive_is_sent_by_the_next_run(
    street: Street, fault: Fault
) -> None:
    street.fake.inject(fault)
    street.patience = HASTY

    street.evening(0)
    assert street.sent() in ([], [f"reference-{DAYS[0]}-AAA-entry"])
    street.evening(0)

    assert street.sent() == [f"reference-{DAYS[0]}-AAA-entry"]
    assert told(street.rows(ORDERS, 1), "symbol", "leg", "status") == [
        ("AAA", "entry", "submitted")
    ]


def test_an_execution_that_is_told_late_is_booked_where_it_happened(street: Street) -> None:
    street.evening(0)
    street.fake.fill_in_parts("AAA", 4, 6)
    street.open(1)
    street.close(1)
    street.evening(1)
    before = street.rows(ORDERS, 2)
    (first, *_) = street.fake.executions
    street.fake.correct(first.exec_id, price=10.5)
    street.said = (Said(1, "BBB", "BUY"),)

    assert street.evening(1).walked == (DAYS[1],)
    fills = street.rows(FILLS, 2)
    assert sorted(fills["price"]) == [10.5, 11.0]
    pd.testing.assert_frame_equal(street.rows(ORDERS, 2), before)
    assert_balanced(street, 2)


def test_a_bracket_protects_and_an_exit_cancels_it_before_it_sells(street: Street) -> None:
    street.bracket = True
    street.said = (
        Said(0, "AAA", "BUY", entry=10.0, stop=8.0, target=20.0),
        Said(2, "AAA", "SELL"),
    )
    street.evening(0)
    assert street.sent() == [
        f"reference-{DAYS[0]}-AAA-{leg}" for leg in ("entry", "target", "stop")
    ]
    street.open(1)
    street.close(1)
    street.evening(1)
    street.open(2)
    street.close(2)
    street.evening(2)
    working = [order for order in street.fake.orders.values() if order.is_open]
    assert [order.order_ref for order in working] == [f"reference-{DAYS[2]}-AAA-exit"]

    street.open(3)
    street.close(3)
    street.evening(3)

    assert told(street.rows(TRADES, 4), "symbol", "shares", "pnl", "exit_reason") == [
        ("AAA", 10, 20.0, "exit")
    ]
    assert street.rows(POSITIONS, 4).query("session == @pd.Timestamp(@DAYS[3])").empty
    assert_balanced(street, 4)


def test_a_stop_that_fills_in_the_session_is_booked_as_the_leg_it_is(
    street: Street,
) -> None:
    street.bracket = True
    street.said = (Said(0, "AAA", "BUY", entry=10.0, stop=8.0, target=20.0),)
    street.evening(0)
    street.open(1)
    street.fake.price("AAA", 7.5)
    street.close(1)
    street.evening(1)

    assert told(street.rows(TRADES, 2), "exit_price", "exit_reason") == [(7.5, "stop")]
    events = street.rows(ORDER_EVENTS, 2)
    target = events[events["order_id"] == f"reference-{DAYS[0]}-AAA-target"]
    assert list(target["status"]) == ["working", "cancelled"]
    assert_balanced(street, 2)


def test_an_unexplained_position_blocks_its_symbol_and_no_other(street: Street) -> None:
    street.fake.hold("AAA", 5, 9.0)
    street.said = (Said(0, "AAA", "BUY"), Said(0, "BBB", "BUY"))

    street.evening(0)

    assert street.sent() == [f"reference-{DAYS[0]}-BBB-entry"]
    assert refused(street, 0) == {
        "AAA-entry": "positions_agree: AAA: the broker holds 5, fills, corporate actions "
        "and adoptions make 0"
    }


def test_a_position_that_was_adopted_blocks_nothing(street: Street) -> None:
    street.fake.hold("AAA", 5, 9.0)
    adopted = Adoption(
        account=ACCOUNT,
        kind=AdoptionKind.BASELINE,
        symbol="AAA",
        con_id=101,
        shares=5,
        who="ann",
        why="was there before",
        at=street.clock.now,
    )
    street.books.accounts.adopt([adopted])

    street.evening(0)

    assert street.sent() == [f"reference-{DAYS[0]}-AAA-entry"]


def test_what_the_broker_rejects_is_known_by_its_words(street: Street) -> None:
    street.fake.inject(Fault.REJECT, text="no such luck")

    street.evening(0)

    events = street.rows(ORDER_EVENTS, 1)
    assert list(events["status"]) == ["rejected"]
    assert "no such luck" in events["reason"].iloc[0]


def test_a_symbol_that_the_broker_does_not_know_is_refused_by_name(street: Street) -> None:
    street.said = (Said(0, "AAA", "BUY"), Said(0, "CCC", "BUY"))
    plan = Plan.of(
        make_spec(
            universe=("AAA", "CCC"),
            sizing={"kind": "fixed_shares", "shares": 10},
            execution={"broker": "ibkr"},
        )
    )

    def market(
        first: date,
        last: date,
        held: Sequence[str],
        *,
        signals_from: date | None = None,
    ) -> MarketDays:
        del first, last, held, signals_from
        return make_days({"AAA": [flat(10)], "CCC": [flat(20)]}, said=street.said)

    street.broker.trade_through(plan, DAYS[:1], DAYS[0], market)

    assert street.sent() == [f"reference-{DAYS[0]}-AAA-entry"]
    assert refused(street, 0)["CCC-entry"].startswith("broker: ")


def test_another_account_needs_another_strategy(street: Street) -> None:
    street.evening(0)
    settings = GatewaySettings(
        port=street.fake.port, client_id=7, account="DU7654321", readonly=False
    )
    border = Border(lambda: settings, is_readonly=False, halted=lambda _: "", splits=list)
    other = IbkrBroker(street.books, border, CALENDAR, street.clock)

    with pytest.raises(WrongAccount, match="reference was traded in DU1234567"):
        other.trade_through(street.plan, DAYS[:1], DAYS[0], street.market)


def test_paper_and_real_money_share_no_ledger(street: Street) -> None:
    street.evening(0)

    with pytest.raises(WrongAccount, match="paper money"):
        street.books.accounts.claim("U1234567", is_live=True)


def test_an_order_that_is_out_is_not_refused_afterwards(street: Street) -> None:
    street.evening(0)

    with pytest.raises(OrderConflict, match="was committed"):
        street.books.intents.refuse(
            f"reference-{DAYS[0]}-AAA-entry", "reference", "halt", street.clock.now
        )


def test_an_exit_waits_until_the_legs_are_gone_for_certain(street: Street) -> None:
    street.bracket = True
    street.said = (
        Said(0, "AAA", "BUY", entry=10.0, stop=8.0, target=20.0),
        Said(1, "AAA", "SELL"),
    )
    street.evening(0)
    street.open(1)
    street.close(1)
    street.fake.inject(Fault.NO_ANSWER, message=4)
    street.patience = HASTY

    with pytest.raises(OrderUnresolved, match="waits for"):
        street.evening(1)
    assert f"reference-{DAYS[1]}-AAA-exit" not in street.sent()
    street.evening(1)

    assert f"reference-{DAYS[1]}-AAA-exit" in street.sent()


def test_an_exit_never_sells_what_a_leg_has_sold_in_the_meantime(street: Street) -> None:
    street.bracket = True
    street.said = (
        Said(0, "AAA", "BUY", entry=10.0, stop=8.0, target=20.0),
        Said(1, "AAA", "SELL"),
    )
    street.evening(0)
    street.open(1)
    street.close(1)
    street.clock.now = CALENDAR.close_at(DAYS[1]) + timedelta(minutes=10)
    street.fake.inject(Fault.CANCELLED_BUT_FILLED)

    street.evening(1)

    assert f"reference-{DAYS[1]}-AAA-exit" not in street.sent()
    assert street.fake.positions == {}


def test_an_exit_that_has_to_wait_keeps_no_other_symbol_waiting(street: Street) -> None:
    street.bracket = True
    street.said = (
        Said(0, "AAA", "BUY", entry=10.0, stop=8.0, target=20.0),
        Said(1, "AAA", "SELL"),
        Said(1, "BBB", "BUY", entry=50.0, stop=40.0, target=80.0),
    )
    street.evening(0)
    street.open(1)
    street.close(1)
    street.patience = HASTY
    street.fake.inject(Fault.NO_ANSWER, message=4)

    with pytest.raises(OrderUnresolved, match="waits for"):
        street.evening(1)

    assert f"reference-{DAYS[1]}-AAA-exit" not in street.sent()
    assert f"reference-{DAYS[1]}-BBB-entry" in street.sent()


def test_what_was_decided_and_never_sent_is_known_to_be_too_late(street: Street) -> None:
    street.answer_seconds = 0.2
    street.fake.inject(Fault.NO_ANSWER, message=CONTRACT_DETAILS, times=2)
    with pytest.raises(NoAnswer):
        street.evening(0)

    street.close(1)
    street.evening(1)

    assert street.sent() == []
    late = street.broker.rows("reference", ORDER_EVENTS, [DAYS[1]])
    assert list(late["order_id"]) == [f"reference-{DAYS[0]}-AAA-entry"]
    assert list(late["status"]) == ["cancelled"]
    assert late["reason"].iloc[0] == f"too_late: {DAYS[1]} has closed since"


def test_what_is_told_late_changes_no_row_of_another_session(street: Street) -> None:
    street.bracket = True
    street.said = (Said(0, "AAA", "BUY", entry=10.0, stop=8.0, target=20.0),)
    street.evening(0)
    street.open(1)
    street.close(1)
    street.evening(1)
    street.open(2)
    street.fake.fill_in_parts("AAA", 4)
    street.fake.price("AAA", 7.5)
    street.close(2)
    street.evening(2)
    street.open(3)
    street.fake.price("AAA", 7.0)
    street.close(3)
    street.evening(3)
    before = street.broker.rows("reference", ORDER_EVENTS, [DAYS[3]])

    street.books.intents.add_executions([told_late(street, DAYS[2])])

    after = street.broker.rows("reference", ORDER_EVENTS, [DAYS[3]])
    assert list(before["status"]) != []
    pd.testing.assert_frame_equal(after, before)
    both = street.rows(ORDER_EVENTS, 4)
    assert not both.duplicated(["order_id", "seq"]).any()


def test_what_is_left_of_an_entry_that_expires_in_part_is_held_and_sold(
    street: Street,
) -> None:
    street.said = (Said(0, "AAA", "BUY"), Said(1, "AAA", "SELL"))
    street.evening(0)
    street.fake.fill_in_parts("AAA", 4)
    street.open(1)
    street.close(1)
    street.fake.end_day()

    street.evening(1)

    events = street.broker.rows("reference", ORDER_EVENTS, [DAYS[1]])
    mine = events[events["order_id"] == f"reference-{DAYS[0]}-AAA-entry"]
    assert list(mine["status"]) == ["partially_filled", "expired"]
    exits = street.rows(ORDERS, 2).query("leg == 'exit'")
    assert list(exits["shares"]) == [4]
    assert_balanced(street, 2)


def test_legs_of_an_entry_that_is_rejected_are_over_as_well(street: Street) -> None:
    street.bracket = True
    street.said = (Said(0, "AAA", "BUY", entry=10.0, stop=8.0, target=20.0),)
    street.fake.inject(Fault.REJECT)
    street.evening(0)

    street.evening(0)

    last = street.rows(ORDER_EVENTS, 1).groupby("order_id")["status"].last()
    assert list(last) == ["rejected", "rejected", "rejected"]


def test_a_session_decided_while_the_gateway_was_down_is_too_late_when_it_heals(
    street: Street,
) -> None:
    street.said = (Said(0, "AAA", "BUY"), Said(1, "BBB", "BUY"))
    street.fake.stop_listening()
    with pytest.raises(GatewayUnreachable):
        street.evening(0)
    street.fake.start_listening()
    street.close(1)

    street.evening(1, first=0)

    assert street.sent() == [f"reference-{DAYS[1]}-BBB-entry"]
    assert refused(street, 0)["AAA-entry"].startswith("too_late: ")


def test_a_past_session_is_accounted_for_while_tonights_orders_work(
    street: Street,
) -> None:
    street.said = (Said(0, "AAA", "BUY"), Said(1, "BBB", "BUY"))
    street.evening(0)
    street.open(1)
    street.close(1)
    street.evening(1)
    before = street.rows(ORDERS, 2)

    assert street.evening(0) == Traded((), ())

    pd.testing.assert_frame_equal(street.rows(ORDERS, 2), before)
    assert [order.order_ref for order in street.fake.orders.values() if order.is_open] == [
        f"reference-{DAYS[1]}-BBB-entry"
    ]


def test_a_commission_that_is_told_a_day_later_is_paid_in_its_session(
    street: Street,
) -> None:
    street.evening(0)
    street.open(1)
    street.close(1)
    street.evening(1)
    street.close(2)
    paid = street.rows(PORTFOLIO, 2)["commission_paid"].iloc[-1]
    (execution,) = street.books.intents.executions(ACCOUNT)
    later = Commission(
        account=ACCOUNT,
        exec_key=execution.exec_key,
        correction=execution.correction + 1,
        commission=paid + 0.5,
        currency="USD",
        at=street.clock(),
    )
    street.books.intents.add_executions(
        [replace(execution, correction=execution.correction + 1)]
    )
    street.books.intents.add_commissions([later])

    assert street.evening(2).walked == (DAYS[1], DAYS[2])

    assert list(street.rows(PORTFOLIO, 3)["commission_paid"]) == [0.0, 1.5, 1.5]


def test_a_split_between_sessions_changes_no_decision_and_agrees_with_the_broker(
    street: Street,
) -> None:
    street.said = (Said(0, "AAA", "BUY"), Said(2, "AAA", "SELL"))
    street.happened = (Happened(2, "AAA", "split", 2.0),)
    street.evening(0)
    street.open(1)
    street.close(1)
    street.evening(1)
    before = street.rows(ORDERS, 2)
    street.clock.now = CALENDAR.open_at(DAYS[2])
    street.fake.hold("AAA", 10, 0.0)  # twice as many for the same money
    street.close(2)

    street.evening(2)

    positions = street.broker.rows("reference", POSITIONS, [DAYS[2]])
    assert told(positions, "symbol", "shares", "average_cost") == [("AAA", 20, 5.5)]
    assert street.fake.positions["AAA"].average_price == 5.5
    exits = street.rows(ORDERS, 3).query("leg == 'exit'")
    assert told(exits, "status", "shares") == [("submitted", 20)]
    pd.testing.assert_frame_equal(street.rows(ORDERS, 2), before)
    assert_balanced(street, 3)


def test_a_trade_that_is_busted_leaves_the_others_their_ids(street: Street) -> None:
    street.evening(0)
    street.fake.fill_in_parts("AAA", 4, 6)
    street.open(1)
    street.close(1)
    street.evening(1)
    street.fake.correct(street.fake.executions[0].exec_id, shares=0)

    street.evening(1)

    fills = street.rows(FILLS, 2)
    assert told(fills, "fill_id", "shares") == [(f"reference-{DAYS[0]}-AAA-entry-2", 6)]
    assert_balanced(street, 2)


def test_a_preset_time_in_force_is_nowhere_taken_for_a_cancel(street: Street) -> None:
    street.fake.inject(Fault.TIF_PRESET)

    street.evening(0)

    assert list(street.rows(ORDER_EVENTS, 1)["status"]) == ["working"]


def test_what_others_trade_in_the_account_is_no_fill_of_ours(street: Street) -> None:
    street.evening(0)
    street.open(1)
    street.fake.trade_by_hand("AAA", "BUY", 3)
    street.close(1)

    street.evening(1)

    assert told(street.rows(FILLS, 2), "fill_id", "shares") == [
        (f"reference-{DAYS[0]}-AAA-entry-1", 10)
    ]


def test_flatten_cancels_what_works_and_sells_what_is_held(street: Street) -> None:
    street.bracket = True
    street.said = (Said(0, "AAA", "BUY", entry=10.0, stop=8.0, target=20.0),)
    street.evening(0)
    street.open(1)

    done = street.broker.flatten("reference", "ann", "enough")

    legs = {f"reference-{DAYS[0]}-AAA-{leg}" for leg in ("target", "stop")}
    assert set(done.cancelled) == legs
    assert [it.order_id for it in done.sent] == [f"reference-{DAYS[0]}-AAA-exit"]
    assert done.unresolved == []
    assert "AAA" not in street.fake.positions


def test_what_a_person_has_sold_is_an_order_with_its_reason(street: Street) -> None:
    street.evening(0)
    street.open(1)
    street.broker.flatten("reference", "ann", "enough")
    street.close(1)

    street.evening(1)

    orders = street.rows(ORDERS, 1)
    assert told(orders, "leg", "side", "shares", "status", "reason")[1:] == [
        ("exit", "SELL", 10, "submitted", "flatten: enough (by ann)")
    ]
    assert told(street.rows(TRADES, 2), "symbol", "shares", "exit_reason") == [
        ("AAA", 10, "exit")
    ]
    assert_balanced(street, 2)


def test_flattening_twice_sells_once(street: Street) -> None:
    street.evening(0)
    street.open(1)
    street.close(1)
    street.broker.flatten("reference", "ann", "enough")

    again = street.broker.flatten("reference", "ann", "enough")

    assert again.sent == []
    assert street.sent()[1:] == [f"reference-{DAYS[1]}-AAA-exit"]


def test_nothing_is_flattened_over_a_read_only_connection(street: Street) -> None:
    street.evening(0)
    street.is_readonly = True

    with pytest.raises(ReadOnlyGateway):
        street.broker.flatten("reference", "ann", "enough")


def adopted_now(
    street: Street, shares: float, *, strategy: str = "", price: float | None = None
) -> None:
    """A person takes so many shares of AAA for granted."""
    adoption = Adoption(
        account=ACCOUNT,
        kind=AdoptionKind.BASELINE,
        symbol="AAA",
        con_id=101,
        shares=shares,
        price=price,
        strategy=strategy,
        who="ann",
        why="by hand",
        at=street.clock.now,
    )
    street.books.accounts.adopt([adoption])


def held_after_one_day(street: Street) -> None:
    """Ten shares of AAA, bought by the strategy, in the evening after."""
    street.evening(0)
    street.open(1)
    street.close(1)


def test_an_exit_never_closes_more_than_the_account_has_for_it(street: Street) -> None:
    street.said = (Said(0, "AAA", "BUY"), Said(1, "AAA", "SELL"))
    held_after_one_day(street)
    street.fake.trade_by_hand("AAA", "SELL", 10)
    street.open(1)
    street.close(1)
    adopted_now(street, -10)

    street.evening(1)

    assert refused(street, 1)["AAA-exit"].startswith("not_held: the account has 0 of 10")
    assert "AAA" not in street.fake.positions


def test_what_is_adopted_into_a_book_is_in_it_from_the_next_session_on(
    street: Street,
) -> None:
    street.said = (Said(0, "AAA", "BUY"), Said(1, "AAA", "SELL"), Said(2, "AAA", "SELL"))
    held_after_one_day(street)
    street.fake.trade_by_hand("AAA", "SELL", 10)
    street.open(1)
    street.close(1)
    adopted_now(street, -10, strategy="reference", price=12.0)
    street.evening(1)
    street.close(2)

    street.evening(2)

    events = street.rows(BOOK_EVENTS, 3)
    assert told(events, "kind", "symbol", "shares_delta", "cash") == [
        ("adoption", "AAA", -10, 120.0)
    ]
    assert refused(street, 2) == {}
    assert_balanced(street, 3)


def test_shares_that_are_nobodys_are_not_sold(street: Street) -> None:
    street.fake.hold("AAA", 5, 9.0)
    adopted_now(street, 5)
    street.said = (Said(0, "AAA", "BUY"), Said(1, "AAA", "SELL"))
    held_after_one_day(street)
    street.evening(1)
    street.open(2)

    assert street.fake.positions["AAA"].shares == 5


def test_what_was_decided_is_looked_at_again_before_it_is_sent(street: Street) -> None:
    street.said = (Said(0, "AAA", "BUY"), Said(1, "AAA", "SELL"))
    held_after_one_day(street)
    street.answer_seconds = 0.2
    street.fake.inject(Fault.NO_ANSWER, message=CONTRACT_DETAILS, times=2)
    with pytest.raises(NoAnswer):
        street.evening(1)
    street.answer_seconds = 5.0
    street.open(1)
    street.fake.trade_by_hand("AAA", "SELL", 10)
    street.close(1)

    street.evening(1)

    assert f"reference-{DAYS[1]}-AAA-exit" not in street.sent()
    assert "AAA" not in street.fake.positions


def test_an_order_in_doubt_is_not_sent_again_under_a_halt(street: Street) -> None:
    street.patience = HASTY
    street.fake.inject(Fault.LOST_ORDER)
    street.evening(0)
    street.halted = lambda _: "by ann"

    street.evening(0)

    assert street.sent() == []
    events = street.rows(ORDER_EVENTS, 1)
    assert list(events["status"])[-1] == "rejected"
    assert "not sent again: halt: by ann" in events["reason"].iloc[-1]


def test_an_order_in_doubt_is_not_sent_again_once_it_is_too_late(street: Street) -> None:
    street.clock.now = CALENDAR.open_at(DAYS[1]) - timedelta(minutes=30)
    street.patience = HASTY
    street.fake.inject(Fault.LOST_ORDER)
    street.evening(0)
    street.close(1)

    street.evening(1)

    assert street.sent() == []
    events = street.rows(ORDER_EVENTS, 2)
    assert "not sent again: too_late" in events["reason"].iloc[-1]


def test_a_start_that_was_moved_is_refused_and_forgets_nothing(street: Street) -> None:
    held_after_one_day(street)
    street.evening(1)

    with pytest.raises(InvalidInput, match=f"is traded outside since {DAYS[0]}"):
        street.broker.trade_through(street.plan, DAYS[1:3], DAYS[1], street.market)


def test_flatten_sells_no_more_than_the_account_has(street: Street) -> None:
    street.evening(0)
    street.open(1)
    street.fake.trade_by_hand("AAA", "SELL", 4)

    done = street.broker.flatten("reference", "ann", "enough")

    assert "AAA" not in street.fake.positions
    assert len(done.unresolved) == 1
    assert "AAA: the book has 10, and the account 6 for it" in done.unresolved[0]


def test_flatten_knows_what_was_adopted_since_the_book_was_kept(street: Street) -> None:
    held_after_one_day(street)
    street.evening(1)
    street.fake.trade_by_hand("AAA", "SELL", 4)
    street.open(2)
    adopted_now(street, -4, strategy="reference", price=12.0)

    done = street.broker.flatten("reference", "ann", "enough")

    assert [it.intent.ticket.shares for it in done.sent] == [6]
    assert done.unresolved == []


def test_flatten_tells_of_shares_that_it_leaves(street: Street) -> None:
    held_after_one_day(street)
    street.evening(1)
    street.fake.hold("AAA", 10, 5.0)  # split overnight, and nobody has told us yet

    done = street.broker.flatten("reference", "ann", "enough")

    assert [it.intent.ticket.shares for it in done.sent] == [10]
    assert "AAA: the book has 10, and the account 20 for it" in done.unresolved[0]


def test_flatten_does_not_wait_for_an_exit_that_does_not_work(street: Street) -> None:
    street.said = (Said(0, "AAA", "BUY"), Said(1, "AAA", "SELL"))
    held_after_one_day(street)
    street.fake.inject(Fault.INACTIVE, text="no margin")
    street.evening(1)

    done = street.broker.flatten("reference", "ann", "enough")

    assert done.cancelled == [f"reference-{DAYS[1]}-AAA-exit"]
    assert [it.order_id for it in done.sent] == [f"reference-{DAYS[1]}-AAA-exit-2"]


def test_a_changed_capital_is_accounted_for_from_the_beginning(street: Street) -> None:
    held_after_one_day(street)
    street.evening(1)
    street.capital = 50_000.0

    street.evening(1, first=0)

    assert list(street.rows(PORTFOLIO, 2)["cash"]) == [50_000.0, 50_000.0 - 110.0 - 1.0]
    assert street.sent() == [f"reference-{DAYS[0]}-AAA-entry"]
