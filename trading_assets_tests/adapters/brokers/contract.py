"""The promises in `Broker`, as tests that every broker runs."""

from collections.abc import Mapping, Sequence
from datetime import date

import pandas as pd
import pytest

from trading_assets.adapters.brokers.port import Broker, Traded
from trading_assets.adapters.ledger.halts import HaltBook
from trading_assets.core.deciding import Plan
from trading_assets.core.market_days import MarketDays
from trading_assets.errors import BookSuperseded, DataMissing, StoreBusy
from trading_assets.models.halt import EVERYTHING
from trading_assets.models.tables import FILLS, ORDERS, PORTFOLIO, POSITIONS, TRADES
from trading_assets_tests.make import OHLC, Said, flat, make_days, make_sessions, make_spec

DAYS = make_sessions(8)
TABLES = (ORDERS, FILLS, TRADES, POSITIONS, PORTFOLIO)
PRICES: Mapping[str, Sequence[float]] = {
    "AAA": (10, 11, 12, 13, 12, 11, 10, 9),
    "BBB": (50, 50, 51, 52, 53, 54, 55, 56),
}
SAID_OF_HALT = "prices look wrong (no. 1, of reference, by jan)"
SAID = (
    Said(0, "AAA", "BUY"),
    Said(1, "BBB", "BUY"),
    Said(3, "AAA", "SELL"),
    Said(5, "AAA", "BUY"),
)


class Shown:
    """A market as a broker is shown it; it remembers what it was asked for."""

    def __init__(
        self, prices: Mapping[str, Sequence[float]] = PRICES, said: Sequence[Said] = SAID
    ) -> None:
        self._candles: dict[str, list[OHLC | None]] = {
            symbol: [flat(price) for price in own] for symbol, own in prices.items()
        }
        self._said = said
        self.asked: list[tuple[date, date, tuple[str, ...]]] = []

    def __call__(
        self,
        first: date,
        last: date,
        held: Sequence[str],
        *,
        signals_from: date | None = None,
    ) -> MarketDays:
        del signals_from
        self.asked.append((first, last, tuple(held)))
        walked = slice(DAYS.index(first), DAYS.index(last) + 1)
        return make_days(self._candles, said=self._said, walked=walked)


def restated(day: int, symbol: str, price: float) -> Shown:
    """A market of which one price turned out to be another."""
    prices = {name: list(own) for name, own in PRICES.items()}
    prices[symbol][day] = price
    return Shown(prices)


def plan(*universe: str) -> Plan:
    """Ten shares of whatever is wanted."""
    sizing = {"kind": "fixed_shares", "shares": 10}
    return Plan.of(make_spec(universe=universe or ("AAA", "BBB"), sizing=sizing))


def through(
    broker: Broker,
    last: int,
    *,
    first: int = 0,
    market: Shown | None = None,
    heeds_people: bool = False,
) -> Traded:
    """Have days *first* to *last* traded."""
    return broker.trade_through(
        plan(),
        DAYS[: last + 1],
        DAYS[first],
        market or Shown(),
        heeds_people=heeds_people,
    )


def orders_of(
    broker: Broker, sessions: Sequence[date]
) -> list[tuple[str, str, int, str, str]]:
    """The gist of what was decided."""
    names = ["symbol", "leg", "shares", "status", "reason"]
    rows = broker.rows("reference", ORDERS, sessions)[names]
    return list(rows.itertuples(index=False, name=None))


def recorded(broker: Broker, count: int = len(DAYS)) -> dict[str, pd.DataFrame]:
    """What is recorded of the first *count* days, but for how often they were walked."""
    return {
        table.name: broker.rows("reference", table, DAYS[:count]).drop(
            columns="generation", errors="ignore"
        )
        for table in TABLES
    }


def assert_same(
    found: Mapping[str, pd.DataFrame], other: Mapping[str, pd.DataFrame]
) -> None:
    for name, rows in found.items():
        pd.testing.assert_frame_equal(rows, other[name], check_exact=True, obj=name)


class BrokerContract:
    """Subclass, and provide two brokers of the same, empty books."""

    @pytest.fixture
    def broker(self) -> Broker:
        raise NotImplementedError

    @pytest.fixture
    def impatient(self, broker: Broker) -> Broker:
        """One that does not wait for the other."""
        raise NotImplementedError

    @pytest.fixture
    def apart(self) -> Broker:
        """One with books of its own, as empty."""
        raise NotImplementedError

    @pytest.fixture
    def halts(self, broker: Broker) -> HaltBook:
        """What is halted, as *broker* sees it."""
        raise NotImplementedError

    def test_signals_become_fills_at_the_next_open(self, broker: Broker) -> None:
        through(broker, 7)

        fills = broker.rows("reference", FILLS, DAYS)
        assert [
            (row.session.date(), row.symbol, row.side, row.shares, row.price)
            for row in fills.sort_values(["session", "symbol"]).itertuples()
        ] == [
            (DAYS[1], "AAA", "BUY", 10, 11.0),
            (DAYS[2], "BBB", "BUY", 10, 51.0),
            (DAYS[4], "AAA", "SELL", 10, 12.0),
            (DAYS[6], "AAA", "BUY", 10, 10.0),
        ]

    def test_an_order_is_traded_at_most_once(self, broker: Broker) -> None:
        for last in (3, 3, 7, 7):
            through(broker, last)
        through(broker, 7, first=4)

        fills = broker.rows("reference", FILLS, DAYS)
        assert fills["order_id"].is_unique
        assert len(fills) == 4

    def test_what_was_decided_from_the_same_inputs_is_left_as_it_is(
        self, broker: Broker
    ) -> None:
        assert through(broker, 7).walked == DAYS
        before = broker.rows("reference", PORTFOLIO, DAYS)

        assert through(broker, 7) == Traded((), ())
        assert through(broker, 5, first=2) == Traded((), ())
        pd.testing.assert_frame_equal(broker.rows("reference", PORTFOLIO, DAYS), before)

    def test_session_by_session_gives_what_a_range_gives(
        self, broker: Broker, apart: Broker
    ) -> None:
        through(broker, 7)
        for day in range(8):
            assert through(apart, day, first=day).walked == (DAYS[day],)

        assert_same(recorded(apart), recorded(broker))
        assert broker.rows("reference", PORTFOLIO, DAYS)["generation"].tolist() == (
            apart.rows("reference", PORTFOLIO, DAYS)["generation"].tolist()
        )

    def test_a_later_session_brings_the_undecided_ones_before_it_along(
        self, broker: Broker, apart: Broker
    ) -> None:
        assert through(broker, 7, first=7).walked == DAYS
        through(apart, 7)

        assert_same(recorded(broker), recorded(apart))

    def test_a_changed_input_is_redone_from_where_it_changed(
        self, broker: Broker, apart: Broker
    ) -> None:
        through(broker, 7)
        traded = through(broker, 7, market=restated(4, "AAA", 12.5))

        assert traded == Traded(DAYS[4:], ())
        through(apart, 7, market=restated(4, "AAA", 12.5))
        assert_same(recorded(broker), recorded(apart))

    def test_what_rests_on_a_redone_session_is_superseded(self, broker: Broker) -> None:
        through(broker, 7)

        traded = through(broker, 5, first=3, market=restated(4, "AAA", 12.5))

        assert traded == Traded(DAYS[4:6], DAYS[6:])
        assert broker.superseded("reference") == DAYS[6:]
        assert broker.decided("reference") == DAYS[:6]
        with pytest.raises(DataMissing, match=f"2 sessions from {DAYS[6]} to {DAYS[7]}"):
            broker.rows("reference", FILLS, DAYS)

    def test_a_session_after_a_superseded_one_is_refused_by_name(
        self, broker: Broker
    ) -> None:
        through(broker, 7)
        changed = restated(4, "AAA", 12.5)
        through(broker, 4, market=changed)

        with pytest.raises(BookSuperseded, match=f"reference --from {DAYS[5]}"):
            through(broker, 7, first=7, market=changed)

        assert through(broker, 7, first=5, market=changed) == Traded(DAYS[5:], ())
        assert broker.superseded("reference") == ()

    def test_an_input_that_is_what_it_was_lets_the_rest_stand_again(
        self, broker: Broker
    ) -> None:
        through(broker, 7)
        before = recorded(broker)
        through(broker, 4, market=restated(4, "AAA", 12.5))

        assert through(broker, 4, first=4) == Traded((DAYS[4],), ())
        assert broker.decided("reference") == DAYS
        assert_same(recorded(broker), before)

    def test_before_the_first_walk_nothing_is_decided(self, broker: Broker) -> None:
        assert broker.decided("reference") == ()
        assert broker.superseded("reference") == ()
        with pytest.raises(DataMissing, match="reference/orders"):
            broker.rows("reference", FILLS, DAYS[:1])

    def test_no_fills_is_an_answer_of_the_shape_of_the_table(self, broker: Broker) -> None:
        through(broker, 0)

        pd.testing.assert_frame_equal(
            broker.rows("reference", FILLS, DAYS[:1]), FILLS.empty()
        )

    def test_a_missing_input_records_nothing(self, broker: Broker) -> None:
        through(broker, 2)

        def absent(first: date, last: date, held: Sequence[str]) -> MarketDays:
            raise DataMissing(f"signals of {first} to {last} {held}")

        with pytest.raises(DataMissing, match=f"signals of {DAYS[3]}"):
            broker.trade_through(plan(), DAYS, DAYS[7], absent)
        assert broker.decided("reference") == DAYS[:3]

    def test_one_run_at_a_time_decides_for_a_strategy(
        self, broker: Broker, impatient: Broker
    ) -> None:
        refusals: list[StoreBusy] = []

        def meanwhile(first: date, last: date, held: Sequence[str]) -> MarketDays:
            with pytest.raises(StoreBusy, match="reference") as busy:
                through(impatient, 7)
            refusals.append(busy.value)
            return Shown()(first, last, held)

        broker.trade_through(plan(), DAYS, DAYS[0], meanwhile)

        assert len(refusals) == 1
        assert through(impatient, 7) == Traded((), ())

    def test_a_heeded_halt_holds_back_what_would_be_new_in_the_last_session(
        self, broker: Broker, halts: HaltBook
    ) -> None:
        through(broker, 2)
        halts.halt("reference", DAYS[3], "jan", "prices look wrong")

        assert through(broker, 3, first=3, heeds_people=True).walked == (DAYS[3],)

        assert orders_of(broker, DAYS[3:4]) == [
            ("AAA", "exit", 10, "refused", f"halt: {SAID_OF_HALT}")
        ]

    def test_a_halt_of_everything_is_one_of_the_strategy(
        self, broker: Broker, halts: HaltBook
    ) -> None:
        halts.halt(EVERYTHING, DAYS[0], "jan", "the gateway is odd")

        through(broker, 0, heeds_people=True)

        assert [(row[1], row[3], row[4]) for row in orders_of(broker, DAYS[:1])] == [
            (
                "entry",
                "refused",
                "halt: the gateway is odd (no. 1, of everything, by jan)",
            )
        ]

    def test_a_halt_binds_neither_the_sessions_before_nor_those_after(
        self, broker: Broker, apart: Broker, halts: HaltBook
    ) -> None:
        through(apart, 2)
        halts.halt("reference", DAYS[3], "jan", "prices look wrong")
        through(broker, 3, heeds_people=True)
        halts.resume("reference", DAYS[3], "jan", "they were right")
        through(broker, 7, first=4, heeds_people=True)

        assert_same(recorded(broker, 3), recorded(apart, 3))
        statuses = broker.rows("reference", ORDERS, DAYS)["status"].value_counts()
        # AAA is held on, so the purchase of day 5 asks for nothing.
        assert statuses.to_dict() == {"submitted": 2, "refused": 1}

    def test_what_works_already_is_filled_under_a_halt(
        self, broker: Broker, halts: HaltBook
    ) -> None:
        through(broker, 0)
        halts.halt("reference", DAYS[1], "jan", "prices look wrong")

        through(broker, 1, first=1, heeds_people=True)

        assert broker.rows("reference", FILLS, DAYS[1:2])["symbol"].tolist() == ["AAA"]
        assert [row[3] for row in orders_of(broker, DAYS[1:2])] == ["refused"]

    def test_a_halt_that_is_not_heeded_changes_nothing(
        self, broker: Broker, apart: Broker, halts: HaltBook
    ) -> None:
        halts.halt("reference", DAYS[3], "jan", "prices look wrong")

        through(broker, 7)
        through(apart, 7)

        assert_same(recorded(broker), recorded(apart))

    def test_a_halt_of_another_strategy_changes_nothing(
        self, broker: Broker, apart: Broker, halts: HaltBook
    ) -> None:
        halts.halt("other", DAYS[3], "jan", "prices look wrong")

        through(broker, 7, heeds_people=True)
        through(apart, 7)

        assert_same(recorded(broker), recorded(apart))

    def test_a_session_that_was_decided_before_the_halt_is_left_as_it_is(
        self, broker: Broker, halts: HaltBook
    ) -> None:
        through(broker, 3)
        halts.halt("reference", DAYS[3], "jan", "prices look wrong")

        assert through(broker, 3, first=3, heeds_people=True) == Traded((), ())

    def test_a_session_that_was_decided_under_a_halt_stays_so_when_it_is_lifted(
        self, broker: Broker, halts: HaltBook
    ) -> None:
        halts.halt("reference", DAYS[3], "jan", "prices look wrong")
        through(broker, 3, heeds_people=True)
        halts.resume("reference", DAYS[3], "jan", "they were right")
        through(broker, 7, first=4)
        before = recorded(broker)

        assert through(broker, 7) == Traded((), ())
        through(broker, 7, market=restated(1, "BBB", 50.5))
        assert [row[3] for row in orders_of(broker, DAYS[3:4])] == ["refused"]
        through(broker, 7)

        assert_same(recorded(broker), before)

    def test_books_of_strategies_are_kept_apart(self, broker: Broker) -> None:
        through(broker, 7)
        other = Plan.of(make_spec(name="other", universe=("AAA",)))
        market = Shown({"AAA": PRICES["AAA"]}, SAID[:1])

        assert broker.trade_through(other, DAYS[:2], DAYS[0], market).walked == DAYS[:2]
        assert broker.decided("reference") == DAYS
        assert broker.rows("other", FILLS, DAYS[:2])["shares"].tolist() == [100]
