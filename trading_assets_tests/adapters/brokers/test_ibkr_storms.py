"""Evenings, openings and accidents in any order: the book is the broker's all the same.

A storm is some days, each with an evening in which a strategy is traded, and a session in
which the market fills what works. Anything may go wrong in both. When it is calm again the
strategy's evening is run once more, as a retry policy would, and both sides are compared.
"""

import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import override

import pandas as pd
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from trading_assets.adapters.ibkr.orders import Patience
from trading_assets.adapters.ibkr.session import Books, trading_session
from trading_assets.adapters.ledger.accounts import AccountBook
from trading_assets.adapters.ledger.engine import ledger_url, open_engine
from trading_assets.adapters.ledger.store import Ledger
from trading_assets.core.audit import (
    cash_differences,
    equity_differences,
    share_differences,
)
from trading_assets.errors import (
    GatewayUnreachable,
    NoAnswer,
    OrdersPaused,
    OrderUnresolved,
    StoreBusy,
)
from trading_assets.models.tables import (
    BOOK_EVENTS,
    FILLS,
    ORDER_EVENTS,
    ORDERS,
    PORTFOLIO,
    POSITIONS,
    TRADES,
)
from trading_assets_tests.adapters.brokers.test_ibkr import (
    ACCOUNT,
    CALENDAR,
    CON_IDS,
    DAYS,
    PRICES,
    Clock,
    Street,
)
from trading_assets_tests.adapters.ibkr.test_order_storms import Died, MortalBook
from trading_assets_tests.fake_gateway import FakeGateway, Fault
from trading_assets_tests.make import Said

IS_LONG = os.environ.get("TRADING_TEST_PROFILE") == "long"
NAME = "reference"
SYMBOLS = sorted(PRICES)
NOT_NOW = (GatewayUnreachable, NoAnswer, OrdersPaused, OrderUnresolved, StoreBusy)
"""What a retry policy answers by asking again later."""

CLEARINGS = 6
ATTEMPTS_AT_ONCE = 2
CENT = 0.005
FRAC = 1e-4
"""0.01 %: how closely average prices have to agree."""

FILLED = ["order_id", "shares", "price", "commission"]
LATER_KNOWN = ["broker_order_id", "submitted_at"]
IN_A_STORM = Patience(acknowledge=0.2, settle=0.02)
MISHAPS: tuple[tuple[Fault, Mapping[str, object]], ...] = (
    (Fault.DROP_BEFORE_PLACE, {}),
    (Fault.DROP_AFTER_PLACE, {}),
    (Fault.SILENT_ORDER, {}),
    (Fault.LOST_ORDER, {}),
    (Fault.REJECT, {}),
    (Fault.INACTIVE, {}),
    (Fault.TIF_PRESET, {}),
    (Fault.SECOND_PERM_ID, {}),
    (Fault.RESTART, {"message": 3}),
    (Fault.RESTART, {"message": 61}),
    (Fault.GARBAGE_FRAME, {"message": 3}),
    (Fault.TRUNCATED_FRAME, {"message": 3}),
    (Fault.TRUNCATED_FRAME, {"message": 7}),
    (Fault.NO_ANSWER, {"message": 4}),
    (Fault.NO_ANSWER, {"message": 99}),
    (Fault.CLIENT_ID_IN_USE, {}),
    (Fault.CANCELLED_BUT_FILLED, {"heard": True}),
    (Fault.CANCELLED_BUT_FILLED, {"heard": False}),
)
"""What may go wrong with the next message."""

DISTORTED: tuple[tuple[Fault, Mapping[str, object]], ...] = (
    (Fault.EXECUTION_TWICE, {}),
    (Fault.EXECUTION_CORRECTED, {}),
    (Fault.COMMISSION_FIRST, {}),
    (Fault.FILL_BEFORE_STATUS, {}),
    (Fault.LINK_LOST_IN_FILL, {}),
)
"""What may go wrong with the next fill."""


class Storm(Street):
    """A street on which anything may happen, and what has to be true of it meanwhile."""

    def __init__(self, home: Path, fake: FakeGateway, clock: Clock) -> None:
        self._place = home / "ledger.db"
        super().__init__(home, fake, clock)
        self.patience, self.answer_seconds = IN_A_STORM, 0.5
        self.today = 0
        self.is_open = False
        self.moment = ""
        self.looked_up = ORDERS.empty()
        self.halts: Sequence[str] | None = None
        self.reopen()

    def reopen(self) -> None:
        """Be another process, on the same ledger."""
        engine = open_engine(ledger_url(self._place))
        self.intents = MortalBook(engine)
        self.books = Books(Ledger(engine), self.intents, AccountBook(engine))

    def close_books(self) -> None:
        """Let go of the ledger."""
        self.books.ledger.close()

    # What may happen

    def try_to(self, work: Callable[[], object], tries: int = ATTEMPTS_AT_ONCE) -> bool:
        """Do *work*, again if it is not possible now; whether it was done."""
        for _ in range(tries):
            try:
                self.intents.moment, self.moment = self.moment, ""
                work()
            except NOT_NOW:
                continue
            except Died:
                self.fake.drop_connections()
                self.reopen()
            else:
                return True
            finally:
                self.look()
                self.look_up()
        return False

    def trade(self, *, first: int | None = None, tries: int = ATTEMPTS_AT_ONCE) -> bool:
        """Run the evening of the last session that has closed."""
        day = self.last_closed
        begin = day if first is None else min(first, day)
        return self.try_to(lambda: self.evening(day, first=begin), tries)

    def trade_again(self, day: int) -> None:
        """Materialize a session that may be past."""
        day = min(day, self.last_closed)
        self.try_to(lambda: self.evening(day))

    @property
    def last_closed(self) -> int:
        """Which day it is, for orders."""
        return self.today - 1 if self.is_open else self.today

    def halt(self) -> None:
        """Have everything halted: what is not sent yet is not sent."""
        self.halted = lambda _: "by ann"
        self.halts = self.committed()

    def resume(self) -> None:
        """Lift the halt."""
        self.halted, self.halts = lambda _: "", None

    def have_calm(self) -> None:
        """Let nothing go wrong any more."""
        for fault in Fault:
            self.fake.lift(fault)
        self.fake.restore_link()
        self.moment = ""

    def night(self) -> None:
        """Somebody looks before midnight: a gateway tells executions of today alone."""
        self.have_calm()

        def look_in() -> None:
            with trading_session(
                self.settings,
                self.books,
                wait_seconds=5.0,
                patience=self.patience,
                now=self.clock,
                splits=list,
                may_send=lambda _: "",
            ):
                pass

        assert self.try_to(look_in, CLEARINGS)

    def begin_session(self) -> None:
        """The next session opens."""
        self.today += 1
        self.is_open = True
        self.open(self.today)

    def end_session(self, *, is_early: bool) -> None:
        """It closes, and what was for the day is over; whether an evening begins early."""
        self.close(self.today)
        if is_early:
            self.clock.now = CALENDAR.close_at(DAYS[self.today]) + timedelta(minutes=10)
        self.is_open = False
        for symbol, prices in PRICES.items():
            self.fake.price(symbol, prices[self.today])
        self.fake.end_day()

    def move(self, symbol: str, frac: float) -> None:
        """Trade *symbol* at *frac* of the session's price."""
        if self.is_open:
            self.fake.price(symbol, round(PRICES[symbol][self.today] * frac, 2))

    def correct(self, number: int, price: float) -> None:
        """Correct an execution of today, if there is one."""
        today = self.clock().date()
        own = [it for it in self.fake.executions if it.at.date() == today]
        if own:
            execution = own[number % len(own)]
            self.fake.correct(execution.exec_id, price=round(execution.price * price, 2))

    # What has to be true

    def committed(self) -> list[str]:
        """References of every order that was ever committed, in their order."""
        return sorted(self.intents.of_strategy(NAME))

    def look(self) -> None:
        """See to it that nothing has happened that may not happen at any time."""
        intents = self.intents.of_strategy(NAME)
        for order in self.fake.orders.values():
            # Another order of the same reference would have another id.
            assert order.order_id == intents[order.order_ref].broker_order_id
        assert all(own.shares >= 0 for own in self.fake.positions.values())
        if self.halts is not None:
            assert self.committed() == self.halts

    def look_up(self) -> None:
        """See to it that what was once decided reads the same for ever."""
        now = self.broker.rows(NAME, ORDERS, self.broker.decided(NAME))
        rows = now[now["session"].isin(self.looked_up["session"])].reset_index(drop=True)
        before, self.looked_up = self.looked_up, now
        pd.testing.assert_frame_equal(
            rows.drop(columns=LATER_KNOWN), before.drop(columns=LATER_KNOWN)
        )
        known = before["broker_order_id"] != ""
        pd.testing.assert_frame_equal(
            rows.loc[known, LATER_KNOWN], before.loc[known, LATER_KNOWN]
        )

    def assert_sent_in_time(self) -> None:
        """Every order was committed in the evening in which it was decided."""
        for intent in self.intents.of_strategy(NAME).values():
            session = intent.ticket.session
            assert session == CALENDAR.last_closed(intent.recorded_at)
            assert intent.recorded_at < CALENDAR.open_at(CALENDAR.offset(session, 1))

    def assert_nothing_is_open_ended(self) -> None:
        """Every order that was let out is known at the broker, or why it is not."""
        count = self.today + 1
        orders, events = self.rows(ORDERS, count), self.rows(ORDER_EVENTS, count)
        submitted = orders[orders["status"] == "submitted"]
        last = events.sort_values("seq").groupby("order_id")["status"].last()
        heard = set(last[last != "unknown"].index) | self.inactive()
        assert set(submitted["order_id"]) <= heard
        assert set(self.committed()) <= set(submitted["order_id"])

    def inactive(self) -> set[str]:
        """Orders that are neither working nor over, by the broker's word."""
        orders = self.fake.orders.values()
        return {order.order_ref for order in orders if order.status == "Inactive"}

    def assert_no_fill_is_lost(self) -> None:
        """Each execution at the broker is a fill, once, as last corrected."""
        fills = self.rows(FILLS, self.today + 1)
        booked = Counter(zip(*(fills[name] for name in FILLED), strict=True))
        traded = Counter(
            (it.order_ref, int(it.shares), it.price, it.commission)
            for it in self.fake.executions
        )
        assert booked == traded
        assert fills["fill_id"].is_unique

    def assert_books_agree(self) -> None:
        """The four invariants, but for the ids: shares, averages, cash, and P&L."""
        count = self.today + 1
        fills, events = self.rows(FILLS, count), self.rows(BOOK_EVENTS, count)
        portfolio, positions = self.rows(PORTFOLIO, count), self.rows(POSITIONS, count)
        last = positions[positions["session"] == pd.Timestamp(DAYS[self.today])]
        capital = self.plan.spec.capital
        assert cash_differences(portfolio, fills, events, capital).empty
        assert share_differences(last, fills, events).empty
        assert equity_differences(portfolio, positions).empty
        held = self.fake.positions
        ours = dict(zip(last["symbol"], last["shares"], strict=True))
        assert ours == {symbol: own.shares for symbol, own in held.items()}
        cut = {symbol for symbol in held if self.is_cut(symbol)}
        for symbol, average in zip(last["symbol"], last["average_cost"], strict=True):
            if symbol not in cut:
                theirs = held[symbol].average_price
                assert average == pytest.approx(theirs, rel=FRAC)
        end = portfolio.iloc[-1]
        account = self.fake.account
        earned = end["realized_pnl"] + end["unrealized_pnl"] - end["commission_paid"]
        assert end["equity"] - capital == pytest.approx(earned, abs=CENT)
        theirs = account.realized_pnl + account.unrealized_pnl
        assert earned == pytest.approx(theirs, abs=CENT)
        if not cut:
            closed = self.rows(TRADES, count)
            realized = closed["pnl"].sum() - closed["commission"].sum()
            assert realized == pytest.approx(account.realized_pnl, abs=CENT)

    def is_cut(self, symbol: str) -> bool:
        """Whether some of what is held was sold: then averages depend on which."""
        held, is_cut = 0.0, False
        for it in self.fake.executions:
            if it.symbol == symbol:
                is_cut = (is_cut or it.action == "SELL") and held + it.signed_shares != 0
                held += it.signed_shares
        return is_cut

    def ids(self) -> tuple[list[str], list[str]]:
        """Every order id and every fill id."""
        orders = self.rows(ORDERS, self.today + 1)
        fills = self.rows(FILLS, self.today + 1)
        return sorted(orders["order_id"]), sorted(fills["fill_id"])


type Happening = Callable[[Storm], object]


@dataclass(frozen=True)
class Named:
    """A happening that says what it is when an example fails."""

    name: str
    happen: Happening

    @override
    def __repr__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Day:
    """The evening after a close, the session that follows, and how early that is over."""

    evening: Sequence[Named]
    session: Sequence[Named]
    is_early: bool = False


@dataclass(frozen=True)
class Weather:
    """What is said, whether entries are brackets, and what happens."""

    said: Sequence[Said]
    bracket: bool
    days: Sequence[Day]


def trading(first: int | None = None) -> Named:
    return Named(f"trading({first})", lambda storm: storm.trade(first=first))


def trading_again(day: int) -> Named:
    return Named(f"trading_again({day})", lambda storm: storm.trade_again(day))


def dying(moment: str) -> Named:
    """The process that trades next dies at *moment*."""
    return Named(f"dying({moment!r})", lambda storm: setattr(storm, "moment", moment))


def going_wrong(fault: Fault, options: Mapping[str, object]) -> Named:
    return Named(
        f"going_wrong({fault}, {dict(options)})",
        lambda storm: storm.fake.inject(fault, **options),  # type: ignore[arg-type]
    )


def filling_in_parts(symbol: str, *parts: int) -> Named:
    return Named(
        f"filling_in_parts({symbol!r}, {parts})",
        lambda storm: storm.fake.fill_in_parts(symbol, *parts),
    )


def moving(symbol: str, frac: float) -> Named:
    return Named(f"moving({symbol!r}, {frac})", lambda storm: storm.move(symbol, frac))


def correcting(number: int, frac: float) -> Named:
    return Named(f"correcting({number})", lambda storm: storm.correct(number, frac))


def losing_the_server() -> Named:
    return Named("losing_the_server()", lambda storm: storm.fake.lose_link())


def having_the_server_back(*, data_kept: bool) -> Named:
    return Named(
        f"having_the_server_back(data_kept={data_kept})",
        lambda storm: storm.fake.restore_link(data_kept=data_kept),
    )


def restarting() -> Named:
    return Named("restarting()", lambda storm: storm.fake.restart())


def halting() -> Named:
    return Named("halting()", Storm.halt)


def resuming() -> Named:
    return Named("resuming()", Storm.resume)


def reopening() -> Named:
    return Named("reopening()", Storm.reopen)


symbols = st.sampled_from(SYMBOLS)
mishaps = st.builds(lambda it: going_wrong(*it), st.sampled_from(MISHAPS))
distortions = st.builds(lambda it: going_wrong(*it), st.sampled_from(DISTORTED))
evenings = st.builds(trading, st.none() | st.integers(0, 3))
troubles = st.one_of(
    st.builds(trading_again, st.integers(0, 3)),
    st.builds(dying, st.sampled_from(["instead", "before", "after"])),
    st.builds(losing_the_server),
    st.builds(having_the_server_back, data_kept=st.booleans()),
    st.builds(restarting),
    st.builds(halting),
    st.builds(resuming),
    st.builds(reopening),
    st.builds(correcting, st.integers(0, 3), st.sampled_from([0.95, 1.05])),
)
parts = st.builds(
    lambda symbol, first, rest: filling_in_parts(symbol, first, *rest),
    symbols,
    st.integers(1, 9),
    st.sampled_from([(), (1,), (10,)]),
)
moves = st.builds(moving, symbols, st.sampled_from([0.7, 0.9, 1.1, 1.4]))
evening_events = st.lists(
    evenings | mishaps | evenings | mishaps | troubles, min_size=1, max_size=5
)
session_events = st.lists(moves | distortions | parts | evenings | troubles, max_size=4)


def view(day: int, symbol: str, action: str) -> Said:
    """What is said of *symbol* after the close of day number *day*, with its levels."""
    close = PRICES[symbol][day]
    return Said(day, symbol, action, 50.0, close, close * 0.75, round(close * 1.3, 2))


views = st.lists(
    st.builds(
        view, st.integers(0, 3), symbols, st.sampled_from(["BUY", "BUY", "BUY", "SELL"])
    ),
    min_size=2,
    max_size=6,
    unique_by=lambda said: (said.day, said.symbol),
)
storms = st.builds(
    Weather,
    views,
    st.booleans(),
    st.lists(
        st.builds(Day, evening_events, session_events, st.booleans()),
        min_size=1,
        max_size=4,
    ),
)
BOUGHT_AND_SOLD = tuple(
    view(day, symbol, action)
    for symbol in SYMBOLS
    for day, action in ((0, "BUY"), (1, "SELL"), (2, "BUY"))
)


@contextmanager
def a_street(empty_ledger: Path) -> Iterator[Storm]:
    clock = Clock()
    with TemporaryDirectory() as folder, FakeGateway(account=ACCOUNT, now=clock) as fake:
        shutil.copy(empty_ledger, Path(folder) / "ledger.db")
        for symbol, con_id in CON_IDS.items():
            fake.add_symbol(symbol, con_id=con_id)
            fake.price(symbol, PRICES[symbol][0])
        fake.close_market()
        storm = Storm(Path(folder), fake, clock)
        try:
            yield storm
        finally:
            storm.close_books()


def weathered(storm: Storm, weather: Weather) -> tuple[list[str], list[str]]:
    """Let *weather* pass over, hold both sides against each other, and give all ids."""
    storm.said, storm.bracket = weather.said, weather.bracket
    for day in weather.days:
        for one in day.evening:
            one.happen(storm)
            storm.look()
        storm.night()
        storm.begin_session()
        for one in day.session:
            one.happen(storm)
            storm.look()
        storm.end_session(is_early=day.is_early)
    storm.have_calm()
    storm.resume()
    storm.reopen()
    assert storm.trade(tries=CLEARINGS)
    storm.assert_sent_in_time()
    storm.assert_nothing_is_open_ended()
    storm.assert_no_fill_is_lost()
    storm.assert_books_agree()
    before = storm.ids()
    assert storm.trade(first=0)
    assert storm.ids() == before
    return before


@pytest.fixture(scope="module")
def empty_ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger of today's schema, to be copied."""
    place = tmp_path_factory.mktemp("empty") / "ledger.db"
    Books.open(place).ledger.close()
    return place


SOLD_EARLY = Weather(
    BOUGHT_AND_SOLD,
    bracket=True,
    days=[
        Day([trading()], [], is_early=True),
        Day([going_wrong(Fault.CANCELLED_BUT_FILLED, {"heard": False}), trading()], []),
    ],
)
CUT_IN_PARTS = Weather(
    BOUGHT_AND_SOLD,
    bracket=False,
    days=[
        Day(
            [going_wrong(Fault.LOST_ORDER, {}), trading(), trading()],
            [filling_in_parts("AAA", 4), going_wrong(Fault.EXECUTION_CORRECTED, {})],
        ),
        Day([dying("before"), trading()], [filling_in_parts("AAA", 3, 1)]),
        Day([dying("after"), losing_the_server(), trading(), trading(0)], []),
    ],
)
HALTED = Weather(
    BOUGHT_AND_SOLD,
    bracket=True,
    days=[
        Day([trading()], [moving("AAA", 0.7)]),
        Day([halting(), trading(), resuming(), trading()], [restarting(), trading(0)]),
    ],
)


@given(weather=storms)
@example(weather=SOLD_EARLY)
@example(weather=CUT_IN_PARTS)
@example(weather=HALTED)
@settings(
    max_examples=150 if IS_LONG else 3,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_after_any_storm_the_book_is_the_brokers(
    empty_ledger: Path, weather: Weather
) -> None:
    with a_street(empty_ledger) as storm:
        ids = weathered(storm, weather)
    if IS_LONG:
        with a_street(empty_ledger) as storm:
            assert weathered(storm, weather) == ids
