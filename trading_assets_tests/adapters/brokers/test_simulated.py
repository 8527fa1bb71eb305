"""The simulated broker keeps the promises of `Broker`, and books in generations."""

from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any, override

import pandas as pd
import pytest
import sqlalchemy as sa

from trading_assets.adapters.brokers.port import Broker, Traded
from trading_assets.adapters.brokers.simulated import SimulatedBroker
from trading_assets.adapters.ledger import store
from trading_assets.adapters.ledger.halts import HaltBook
from trading_assets.adapters.ledger.store import Ledger
from trading_assets.core.deciding import Plan
from trading_assets.models.approval import Approval, ApprovalState
from trading_assets.models.base import Lane
from trading_assets.models.tables import (
    FILLS,
    ORDER_EVENTS,
    ORDERS,
    PORTFOLIO,
    POSITIONS,
)
from trading_assets.sessions import trading_calendar
from trading_assets_tests.adapters.brokers.contract import (
    DAYS,
    PRICES,
    SAID,
    SAID_OF_HALT,
    BrokerContract,
    Shown,
    assert_same,
    plan,
    recorded,
    restated,
    through,
)
from trading_assets_tests.make import Said, make_spec


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger.open(tmp_path / "ledger.db")


@pytest.fixture
def broker(ledger: Ledger) -> SimulatedBroker:
    return SimulatedBroker(ledger)


class TestSimulatedBroker(BrokerContract):
    @pytest.fixture
    @override
    def broker(self, ledger: Ledger) -> Broker:
        return SimulatedBroker(ledger)

    @pytest.fixture
    @override
    def impatient(self, broker: Broker, tmp_path: Path) -> Broker:
        return SimulatedBroker(Ledger.open(tmp_path / "ledger.db"), wait_seconds=0)

    @pytest.fixture
    @override
    def apart(self, tmp_path: Path) -> Broker:
        return SimulatedBroker(Ledger.open(tmp_path / "apart.db"))

    @pytest.fixture
    @override
    def halts(self, broker: Broker, ledger: Ledger) -> HaltBook:
        return ledger.halts


def generations(broker: Broker, count: int = len(DAYS)) -> list[int]:
    return broker.rows("reference", PORTFOLIO, DAYS[:count])["generation"].tolist()


def walks(ledger: Ledger) -> list[tuple[date, int]]:
    """Every walk through every session that was ever recorded."""
    with ledger._engine.connect() as connection:
        query = sa.text("SELECT session, generation FROM book_sessions ORDER BY 2, 1")
        return [
            (date.fromisoformat(day), number) for day, number in connection.execute(query)
        ]


# Generations


def test_a_walk_that_goes_on_shares_the_generation_of_the_one_before(
    broker: SimulatedBroker,
) -> None:
    through(broker, 2)
    through(broker, 3, first=3)
    through(broker, 7, first=6)

    assert generations(broker) == [0] * 8


def test_redoing_begins_a_generation_and_keeps_the_older_one(
    broker: SimulatedBroker, ledger: Ledger
) -> None:
    through(broker, 7)
    changed = restated(4, "AAA", 12.5)
    through(broker, 5, market=changed)
    assert generations(broker, 6) == [0, 0, 0, 0, 1, 1]

    through(broker, 6, first=6, market=changed)
    through(broker, 7, first=7, market=changed)

    assert generations(broker) == [0, 0, 0, 0, 1, 1, 1, 1]
    assert walks(ledger) == [(day, 0) for day in DAYS] + [(day, 1) for day in DAYS[4:]]


def test_a_generation_is_never_used_twice_for_a_session(
    broker: SimulatedBroker, ledger: Ledger
) -> None:
    """Redone in the middle, restored, redone again, and at the end."""
    through(broker, 7)
    for last, market in (
        (4, restated(4, "AAA", 12.5)),
        (4, Shown()),
        (5, restated(5, "AAA", 11.5)),
        (7, restated(2, "BBB", 49.0)),
        (2, restated(2, "BBB", 48.0)),
        (7, restated(2, "BBB", 48.0)),
    ):
        through(broker, last, market=market)

    assert len(walks(ledger)) == len(set(walks(ledger)))
    assert broker.decided("reference") == DAYS
    fresh = restated(2, "BBB", 48.0)
    assert through(broker, 7, market=fresh) == Traded((), ())


def test_a_broken_off_recording_leaves_nothing(
    broker: SimulatedBroker, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    through(broker, 2)
    before, honest, inserted = recorded(broker, 3), store._insert, []

    def breaks(connection: Any, stored: sa.Table, rows: Sequence[Any]) -> None:
        honest(connection, stored, rows)
        inserted.append(stored.name)
        if stored.name == "fills":
            raise KeyboardInterrupt

    monkeypatch.setattr(store, "_insert", breaks)
    with pytest.raises(KeyboardInterrupt):
        through(broker, 7)
    monkeypatch.undo()

    assert "book_sessions" in inserted
    assert broker.decided("reference") == DAYS[:3]
    assert set(walks(ledger)) == {(day, 0) for day in DAYS[:3]}
    assert through(broker, 7).walked == DAYS[3:]
    for name, rows in recorded(broker, 3).items():
        assert rows.equals(before[name]), name


# What it looks at


def test_only_the_asked_range_is_held_against_its_inputs(broker: SimulatedBroker) -> None:
    through(broker, 7)
    market = restated(1, "AAA", 11.5)

    assert through(broker, 7, first=3, market=market) == Traded((), ())
    assert market.asked == [(DAYS[3], DAYS[7], ())]


def test_a_lane_of_its_own_is_a_book_of_its_own(ledger: Ledger) -> None:
    simulated, replay = SimulatedBroker(ledger), SimulatedBroker(ledger, Lane.REPLAY)
    through(simulated, 7)

    assert replay.decided("reference") == ()
    assert through(replay, 7).walked == DAYS
    assert set(replay.rows("reference", ORDERS, DAYS)["lane"]) == {"replay"}


# Halts


def test_a_halt_is_kept_with_the_session_of_its_lane(ledger: Ledger) -> None:
    simulated, replay = SimulatedBroker(ledger), SimulatedBroker(ledger, Lane.REPLAY)
    ledger.halts.halt("reference", DAYS[3], "jan", "prices look wrong")

    through(simulated, 3, heeds_people=True)
    through(replay, 3)

    assert ledger.halts.sessions("reference", "simulated") == {DAYS[3]: SAID_OF_HALT}
    assert ledger.halts.sessions("reference", "replay") == {}
    hashes = [
        each.rows("reference", PORTFOLIO, DAYS[:4])["book_hash"].tolist()
        for each in (simulated, replay)
    ]
    assert hashes[0][:3] == hashes[1][:3]
    assert hashes[0][3] != hashes[1][3]


def test_a_walk_that_was_not_recorded_has_recorded_no_halt(
    broker: SimulatedBroker, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.halts.halt("reference", DAYS[3], "jan", "prices look wrong")
    honest = store._insert

    def breaks(connection: Any, stored: sa.Table, rows: Sequence[Any]) -> None:
        honest(connection, stored, rows)
        if stored.name == "portfolio":
            raise KeyboardInterrupt

    monkeypatch.setattr(store, "_insert", breaks)
    with pytest.raises(KeyboardInterrupt):
        through(broker, 3, heeds_people=True)
    monkeypatch.undo()

    assert ledger.halts.sessions("reference", "simulated") == {}
    assert through(broker, 3, heeds_people=True).walked == DAYS[:4]
    assert set(ledger.halts.sessions("reference", "simulated")) == {DAYS[3]}


def test_an_evening_that_is_redone_under_another_halt_keeps_its_first_reason(
    broker: SimulatedBroker, ledger: Ledger
) -> None:
    ledger.halts.halt("reference", DAYS[3], "jan", "prices look wrong")
    through(broker, 3, heeds_people=True)
    ledger.halts.halt("reference", DAYS[3], "ina", "and still do")

    changed = restated(3, "BBB", 52.5)
    assert through(broker, 3, market=changed, heeds_people=True).walked == (DAYS[3],)

    assert ledger.halts.sessions("reference", "simulated") == {DAYS[3]: SAID_OF_HALT}


# Symbols that left the universe


def narrowed(
    broker: SimulatedBroker, first: int, last: int, market: Shown | None = None
) -> tuple[Traded, Shown]:
    """Trade on without BBB in the universe."""
    shown = market or Shown()
    traded = broker.trade_through(plan("AAA"), DAYS[: last + 1], DAYS[first], shown)
    return traded, shown


def test_what_is_held_beyond_the_universe_is_asked_for_marked_and_kept(
    broker: SimulatedBroker,
) -> None:
    through(broker, 3)

    traded, market = narrowed(broker, 4, 7)

    assert traded.walked == DAYS[4:]
    assert market.asked == [(DAYS[4], DAYS[7], ("BBB",))]
    held = broker.rows("reference", POSITIONS, DAYS[4:]).query("symbol == 'BBB'")
    assert held["close"].tolist() == [53.0, 54.0, 55.0, 56.0]


def test_what_is_held_beyond_the_universe_may_exit_and_is_not_bought_again(
    broker: SimulatedBroker,
) -> None:
    through(broker, 3)
    said = (*SAID, Said(4, "BBB", "SELL"), Said(6, "BBB", "BUY"))

    narrowed(broker, 4, 7, Shown(PRICES, said))

    orders = broker.rows("reference", ORDERS, DAYS).query("symbol == 'BBB'")
    assert orders["order_id"].tolist() == [
        f"reference-{DAYS[1]}-BBB-entry",
        f"reference-{DAYS[4]}-BBB-exit",
    ]


@pytest.mark.parametrize("first", [4, 5, 7])
def test_sessions_with_a_symbol_beyond_the_universe_stand_when_nothing_changed(
    broker: SimulatedBroker, first: int
) -> None:
    through(broker, 3)
    narrowed(broker, 4, 7)

    assert narrowed(broker, first, 7)[0] == Traded((), ())


def test_an_order_that_waits_beyond_the_universe_counts_like_a_position(
    broker: SimulatedBroker,
) -> None:
    """It is bought at the first open without it in the universe, and sold again."""
    said = (*SAID[:2], Said(4, "BBB", "SELL"))
    through(broker, 1, market=Shown(PRICES, said))
    assert broker.rows("reference", POSITIONS, DAYS[:2]).query("symbol == 'BBB'").empty

    traded, market = narrowed(broker, 2, 7, Shown(PRICES, said))
    assert traded.walked == DAYS[2:]
    assert market.asked[0][2] == ("BBB",)
    events = broker.rows("reference", ORDER_EVENTS, DAYS).query("status == 'filled'")
    assert events["session"].dt.date.tolist() == [DAYS[1], DAYS[2], DAYS[5]]

    for first in range(2, 8):
        assert narrowed(broker, first, 7, Shown(PRICES, said))[0] == Traded((), ())


def test_a_restated_bar_of_what_is_held_beyond_the_universe_is_noticed(
    broker: SimulatedBroker,
) -> None:
    through(broker, 3)
    narrowed(broker, 4, 7)

    traded, _ = narrowed(broker, 4, 7, restated(6, "BBB", 57.0))

    assert traded.walked == DAYS[6:]


# A start that was moved


def test_a_book_that_begins_later_leaves_what_was_before_it(
    broker: SimulatedBroker,
) -> None:
    through(broker, 7)

    traded = broker.trade_through(plan(), DAYS[3:], DAYS[3], Shown())

    assert traded == Traded(DAYS[3:], ())
    assert broker.decided("reference") == DAYS[3:]
    assert broker.trade_through(plan(), DAYS[3:], DAYS[3], Shown()) == Traded((), ())


def test_a_book_that_begins_earlier_is_made_from_there(broker: SimulatedBroker) -> None:
    broker.trade_through(plan(), DAYS[3:], DAYS[3], Shown())

    assert through(broker, 7) == Traded(DAYS, ())
    assert broker.decided("reference") == DAYS


def test_a_book_that_begins_where_none_was_decided_yet_is_a_new_one(
    broker: SimulatedBroker,
) -> None:
    through(broker, 2)

    assert broker.trade_through(plan(), DAYS[5:], DAYS[5], Shown()).walked == DAYS[5:]
    assert broker.decided("reference") == DAYS[5:]


# Approvals


class Evenings:
    """A strategy whose evenings ask people, day after day."""

    def __init__(self, ledger: Ledger, lane: Lane = Lane.SIMULATED) -> None:
        self.ledger, self.now = ledger, CALENDAR.close_at(DAYS[0])
        self.broker = SimulatedBroker(ledger, lane, now=lambda: self.now)

    def trade(
        self,
        last: int,
        *,
        first: int | None = None,
        market: Shown | None = None,
        heeds_people: bool = True,
        rule: str = "required",
    ) -> Traded:
        """The evening of day number *last*."""
        self.now = max(self.now, CALENDAR.close_at(DAYS[last]) + timedelta(hours=1))
        begin = last if first is None else first
        return self.broker.trade_through(
            asking(rule),
            DAYS[: last + 1],
            DAYS[begin],
            market or Shown(),
            heeds_people=heeds_people,
        )

    def asked(self) -> list[Approval]:
        """What waits now."""
        return [it for it in self.ledger.approvals.recent(self.now) if it.waits(self.now)]

    def approve(self) -> None:
        for asked in self.asked():
            self.ledger.approvals.approve(asked, "ann", "fine", self.now)


CALENDAR = trading_calendar()


def asking(rule: str = "required") -> Plan:
    """Ten shares of whatever is wanted, once a person has approved it."""
    return Plan.of(
        make_spec(
            universe=("AAA", "BBB"),
            sizing={"kind": "fixed_shares", "shares": 10},
            execution={"approval": rule},
        )
    )


@pytest.fixture
def evenings(ledger: Ledger) -> Evenings:
    return Evenings(ledger)


def booked(broker: Broker, count: int = len(DAYS)) -> dict[str, pd.DataFrame]:
    """What was traded in the first *count* days; without what led to it."""
    found = recorded(broker, count)
    del found["orders"]
    found["portfolio"].pop("book_hash")
    return found


def test_evenings_in_which_all_is_approved_trade_like_those_that_ask_nobody(
    evenings: Evenings, tmp_path: Path
) -> None:
    for day in range(8):
        evenings.trade(day)
        evenings.approve()
    free = SimulatedBroker(Ledger.open(tmp_path / "free.db"))
    through(free, 7)

    assert_same(booked(evenings.broker), booked(free))
    statuses = evenings.broker.rows("reference", ORDERS, DAYS)["status"]
    assert set(statuses) == {"awaiting_approval"}


def test_evenings_that_nobody_answers_trade_nothing(evenings: Evenings) -> None:
    for day in range(8):
        evenings.trade(day)

    assert evenings.broker.rows("reference", FILLS, DAYS).empty
    events = evenings.broker.rows("reference", ORDER_EVENTS, DAYS)
    assert set(events["status"]) == {"expired"}


def test_only_the_last_session_of_an_evening_asks_people(evenings: Evenings) -> None:
    evenings.trade(1, first=0)

    assert [it.proposal.session for it in evenings.asked()] == [DAYS[1]]
    first = evenings.broker.rows("reference", ORDERS, DAYS[:1])
    assert list(first["status"]) == ["submitted"]


def test_runs_that_heed_nobody_ask_nobody(evenings: Evenings) -> None:
    evenings.trade(0, heeds_people=False)

    assert evenings.asked() == []
    assert evenings.ledger.approvals.sessions("reference", "simulated") == {}


def test_a_replay_asks_nobody(ledger: Ledger) -> None:
    replay = Evenings(ledger, Lane.REPLAY)

    replay.trade(0)

    assert replay.asked() == []
    rows = replay.broker.rows("reference", ORDERS, DAYS[:1])
    assert list(rows["status"]) == ["submitted"]


def test_asking_is_no_part_of_a_strategys_hash(evenings: Evenings) -> None:
    through(evenings.broker, 3)

    assert evenings.trade(3, first=0) == Traded((), ())
    assert evenings.trade(4).is_new_plan is False


def test_a_session_stays_as_it_was_answered_whatever_the_file_says_later(
    evenings: Evenings,
) -> None:
    for day in range(4):
        evenings.trade(day)
        evenings.approve()
    before = recorded(evenings.broker, 4)

    for rule in ("none", "entries"):
        again = evenings.trade(3, first=0, heeds_people=False, rule=rule)
        assert again == Traded((), ())

    assert_same(recorded(evenings.broker, 4), before)


def test_redoing_through_answers_gives_the_same_book(evenings: Evenings) -> None:
    for day in range(8):
        evenings.trade(day)
        if day != 3:
            evenings.approve()
    before = recorded(evenings.broker)
    changed = restated(2, "BBB", 51.5)

    evenings.trade(7, first=0, market=changed, heeds_people=False)
    assert generations(evenings.broker)[-1] == 1
    fills = evenings.broker.rows("reference", FILLS, DAYS)
    assert "SELL" not in set(fills["side"])  # nobody has approved the exit of day 3
    evenings.trade(7, first=0, heeds_people=False)

    assert_same(recorded(evenings.broker), before)
    ids = [it.proposal.order_id for it in evenings.ledger.approvals.of(*BOOK)]
    assert len(ids) == len(set(ids))


BOOK = ("reference", "simulated")


def test_a_session_that_is_decided_anew_the_same_evening_asks_anew(
    evenings: Evenings,
) -> None:
    evenings.trade(0)
    evenings.approve()
    said = [Said(0, "BBB", "BUY")]

    evenings.trade(0, market=Shown(said=said))

    states = {
        it.proposal.head.symbol: it.state for it in evenings.ledger.approvals.of(*BOOK)
    }
    assert states == {
        "AAA": ApprovalState.SUPERSEDED,
        "BBB": ApprovalState.PROPOSED,
    }
    evenings.trade(1, market=Shown(said=said))
    assert evenings.broker.rows("reference", FILLS, DAYS[:2]).empty


def test_an_approval_is_of_a_content_and_not_of_a_name(evenings: Evenings) -> None:
    """Decided anew long afterwards with other shares, it is not what was approved."""
    evenings.trade(0)
    evenings.approve()
    evenings.trade(1)
    assert len(evenings.broker.rows("reference", FILLS, DAYS[:2])) == 1
    nine = Plan.of(
        make_spec(
            universe=("AAA", "BBB"),
            sizing={"kind": "fixed_shares", "shares": 9},
            execution={"approval": "required"},
        )
    )

    evenings.broker.trade_through(nine, DAYS[:2], DAYS[0], Shown())

    assert evenings.broker.rows("reference", FILLS, DAYS[:2]).empty
    asked, *_ = evenings.ledger.approvals.of(*BOOK)
    assert asked.state is ApprovalState.APPROVED


def test_what_people_are_asked_is_recorded_with_the_session_or_not_at_all(
    evenings: Evenings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(store, "ask", die)
        with pytest.raises(KeyboardInterrupt):
            evenings.trade(0)
    assert evenings.broker.decided("reference") == ()

    evenings.trade(0)

    assert [it.proposal.session for it in evenings.asked()] == [DAYS[0]]
