"""The fill rules of the simulated broker, as candle tables.

Each case runs twice: as written, and with prices mirrored at 100 and sides exchanged,
because every rule holds for shorts as it does for longs.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest

from trading_assets.core.book import Book
from trading_assets.core.exchange import SimulatedExchange
from trading_assets.core.filling import Ticket
from trading_assets.core.market_days import MarketDays
from trading_assets.models.order import Leg, TimeInForce
from trading_assets.strategies.spec import CommissionPlan, Costs, Dividends
from trading_assets_tests.make import (
    OHLC,
    Candles,
    Happened,
    flat,
    make_days,
    make_ticket,
)

FREE = Costs(commission=CommissionPlan.NONE, slippage_bps=0, dividends=Dividends.CASH)
TEN_BPS = FREE.model_copy(update={"slippage_bps": 10.0})
YESTERDAY = flat(100)


def enter(**prices: object) -> Ticket:
    """Buy 10 to open."""
    return make_ticket(Leg.ENTRY, +1, **prices)


def leave(**prices: object) -> Ticket:
    """Sell 10 at the next open."""
    return make_ticket(Leg.EXIT, -1, **prices)


def stop(price: float, **changes: object) -> Ticket:
    """Give up a long at *price*."""
    return make_ticket(Leg.STOP, -1, stop=price, **changes)


def target(price: float, **changes: object) -> Ticket:
    """Take the profit of a long at *price*."""
    return make_ticket(Leg.TARGET, -1, limit=price, **changes)


def bracket(
    stop_at: float | None, target_at: float | None, **prices: object
) -> tuple[Ticket, ...]:
    """An entry with its legs."""
    entry = enter(**prices)
    legs = []
    if stop_at is not None:
        legs.append(stop(stop_at, parent_id=entry.order_id))
    if target_at is not None:
        legs.append(target(target_at, parent_id=entry.order_id))
    return (entry, *legs)


@dataclass(frozen=True)
class Case:
    """Orders taken at yesterday's close, the days that follow, and what they fill at.

    Attributes:
        days: Candles of the following sessions, numbered from 1.
        fills: Day, leg and price, in the sequence in which they happened.
        ends: What last happened to orders that did not fill.
        held: Shares held since before.
    """

    id: str
    orders: Sequence[Ticket]
    days: Sequence[OHLC | None]
    fills: Sequence[tuple[int, str, float]]
    ends: dict[str, str]
    held: int = 0
    costs: Costs = FREE


CASES = [
    # 2. Market orders at the open
    Case(
        "a market entry fills at the next open",
        [enter()],
        [(101, 104, 99, 103)],
        [(1, "entry", 101)],
        {},
    ),
    Case(
        "a market exit fills at the next open",
        [leave()],
        [(101, 104, 99, 103)],
        [(1, "exit", 101)],
        {},
        held=10,
    ),
    # 3. Resting orders gapped at the open
    Case(
        "a limit gapped through fills at the better open",
        [enter(limit=98)],
        [(97, 99, 96, 98)],
        [(1, "entry", 97)],
        {},
    ),
    Case(
        "a limit exactly at the open fills there",
        [enter(limit=98)],
        [(98, 99, 96, 98)],
        [(1, "entry", 98)],
        {},
    ),
    Case(
        "a stop entry gapped through fills at the worse open",
        [enter(stop=102)],
        [(103, 104, 102.5, 103)],
        [(1, "entry", 103)],
        {},
    ),
    Case(
        "a protective stop gapped through fills at the worse open",
        [stop(95)],
        [(93, 94, 92, 93)],
        [(1, "stop", 93)],
        {},
        held=10,
    ),
    Case(
        "a target gapped through fills at the better open",
        [target(105)],
        [(107, 108, 106, 107)],
        [(1, "target", 107)],
        {},
        held=10,
    ),
    Case(
        "the open comes before the bar: a gapped target wins over a touched stop",
        [stop(95), target(105)],
        [(107, 108, 90, 92)],
        [(1, "target", 107)],
        {"stop": "cancelled"},
        held=10,
    ),
    Case(
        "a gapped stop wins over a touched target",
        [target(105), stop(95)],
        [(94, 108, 90, 92)],
        [(1, "stop", 94)],
        {"target": "cancelled"},
        held=10,
    ),
    # 3. Then the others
    Case(
        "a limit is filled at the limit when the low touches it",
        [enter(limit=98)],
        [(101, 102, 98, 99)],
        [(1, "entry", 98)],
        {},
    ),
    Case(
        "a limit that the low misses by a cent expires with its day",
        [enter(limit=98)],
        [(101, 102, 98.01, 99)],
        [],
        {"entry": "expired"},
    ),
    Case(
        "a stop entry is filled at the stop when the high touches it",
        [enter(stop=102)],
        [(101, 102, 99, 100)],
        [(1, "entry", 102)],
        {},
    ),
    Case(
        "a stop entry that the high misses by a cent expires with its day",
        [enter(stop=102)],
        [(101, 101.99, 99, 100)],
        [],
        {"entry": "expired"},
    ),
    Case(
        "a protective stop is filled at the stop when the low touches it",
        [stop(95)],
        [(99, 100, 95, 97)],
        [(1, "stop", 95)],
        {},
        held=10,
    ),
    Case(
        "a target is filled at the target when the high touches it",
        [target(105)],
        [(101, 105, 99, 104)],
        [(1, "target", 105)],
        {},
        held=10,
    ),
    Case(
        "legs live until they fill: good till cancelled",
        [stop(95), target(105)],
        [(100, 104, 96, 100), (100, 104, 96, 100), None, (100, 105, 96, 100)],
        [(4, "target", 105)],
        {"stop": "cancelled"},
        held=10,
    ),
    Case(
        "a bar that touches stop and target takes the stop",
        [target(105), stop(95)],
        [(100, 106, 94, 100)],
        [(1, "stop", 95)],
        {"target": "cancelled"},
        held=10,
    ),
    # 3. Stop-limit
    Case(
        "a stop-limit whose open is between trigger and limit fills at the open",
        [enter(stop=102, limit=104)],
        [(103, 105, 101, 102)],
        [(1, "entry", 103)],
        {},
    ),
    Case(
        "a stop-limit whose open is at its trigger fills there",
        [enter(stop=102, limit=104)],
        [(102, 105, 101, 102)],
        [(1, "entry", 102)],
        {},
    ),
    Case(
        "a stop-limit whose open is at its limit fills there",
        [enter(stop=102, limit=104)],
        [(104, 105, 101, 102)],
        [(1, "entry", 104)],
        {},
    ),
    Case(
        "a stop-limit triggered within the bar rests as a limit from the next",
        [enter(stop=102, limit=104, tif=TimeInForce.GTC)],
        [(100, 103, 99, 101), (105, 106, 104, 105)],
        [(2, "entry", 104)],
        {},
    ),
    Case(
        "a triggered stop-limit no longer asks for its trigger",
        [enter(stop=102, limit=104, tif=TimeInForce.GTC)],
        [(100, 103, 99, 101), (99, 100, 98, 99)],
        [(2, "entry", 99)],
        {},
    ),
    Case(
        "a stop-limit that opens beyond its limit is triggered and rests from the next bar",
        [enter(stop=102, limit=104, tif=TimeInForce.GTC)],
        [(105, 106, 101, 102), (106, 107, 103, 104)],
        [(2, "entry", 104)],
        {},
    ),
    Case(
        "a stop-limit that was not triggered does not fill within its limit",
        [enter(stop=102, limit=104, tif=TimeInForce.GTC)],
        [(100, 101.9, 99, 101), (100, 101.9, 99, 101)],
        [],
        {"entry": "working"},
    ),
    Case(
        "a stop-limit for the day expires although it was triggered",
        [enter(stop=102, limit=104)],
        [(100, 103, 99, 101), (100, 103, 99, 101)],
        [],
        {"entry": "expired"},
    ),
    # 4. Legs of entries filled in this session
    Case(
        "after an entry at the open the stop lives in the same bar",
        bracket(95, 105),
        [(100, 104, 95, 98)],
        [(1, "entry", 100), (1, "stop", 95)],
        {"target": "cancelled"},
    ),
    Case(
        "after an entry at the open the target lives in the same bar",
        bracket(95, 105),
        [(100, 105, 96, 98)],
        [(1, "entry", 100), (1, "target", 105)],
        {"stop": "cancelled"},
    ),
    Case(
        "after an entry at the open a bar that touches both takes the stop",
        bracket(95, 105),
        [(100, 106, 94, 98)],
        [(1, "entry", 100), (1, "stop", 95)],
        {"target": "cancelled"},
    ),
    Case(
        "levels are absolute: the legs do not follow the price of the entry",
        bracket(95, 105),
        [(103, 104, 96, 98), (98, 104.9, 95, 98)],
        [(1, "entry", 103), (2, "stop", 95)],
        {"target": "cancelled"},
    ),
    Case(
        "after an intrabar entry the stop lives in the same bar",
        bracket(95, 105, limit=98),
        [(101, 104, 94, 98)],
        [(1, "entry", 98), (1, "stop", 95)],
        {"target": "cancelled"},
    ),
    Case(
        "after an intrabar entry the target lives from the next bar",
        bracket(95, 105, limit=98),
        [(101, 106, 97, 104), (104, 105, 101, 103)],
        [(1, "entry", 98), (2, "target", 105)],
        {"stop": "cancelled"},
    ),
    Case(
        "after an intrabar stop entry the target lives from the next bar",
        bracket(95, 105, stop=102),
        [(101, 106, 97, 104), (106, 107, 101, 103)],
        [(1, "entry", 102), (2, "target", 106)],
        {"stop": "cancelled"},
    ),
    Case(
        "a gapped resting entry fills at the open, so both its legs live in that bar",
        bracket(95, 105, limit=98),
        [(97, 105, 96, 104)],
        [(1, "entry", 97), (1, "target", 105)],
        {"stop": "cancelled"},
    ),
    Case(
        "a gapped stop entry fills at the open, so both its legs live in that bar",
        bracket(95, 105, stop=102),
        [(103, 106, 99, 104)],
        [(1, "entry", 103), (1, "target", 105)],
        {"stop": "cancelled"},
    ),
    Case(
        "an entry whose open is beyond its stop is stopped at the same price",
        bracket(95, 105),
        [(93, 106, 92, 94)],
        [(1, "entry", 93), (1, "stop", 93)],
        {"target": "cancelled"},
    ),
    Case(
        "an entry whose open is at its stop is stopped at the same price",
        bracket(95, 105),
        [(95, 106, 94, 96)],
        [(1, "entry", 95), (1, "stop", 95)],
        {"target": "cancelled"},
    ),
    Case(
        "a gapped limit entry beyond its stop is stopped at the same price",
        bracket(95, 105, limit=98),
        [(94, 106, 93, 96)],
        [(1, "entry", 94), (1, "stop", 94)],
        {"target": "cancelled"},
    ),
    Case(
        "an entry whose open is beyond its target takes the profit at the same price",
        bracket(95, 105),
        [(107, 108, 106, 107)],
        [(1, "entry", 107), (1, "target", 107)],
        {"stop": "cancelled"},
    ),
    Case(
        "a bracket without a target has only its stop",
        bracket(95, None),
        [(100, 200, 96, 150), (150, 151, 90, 95)],
        [(1, "entry", 100), (2, "stop", 95)],
        {},
    ),
    Case(
        "legs of an entry that expires are cancelled with it",
        bracket(95, 105, limit=98),
        [(101, 106, 99, 104), (97, 106, 90, 104)],
        [],
        {"entry": "expired", "stop": "cancelled", "target": "cancelled"},
    ),
    Case(
        "legs that wait for their entry do not trade",
        bracket(95, 105, limit=90),
        [(101, 106, 94, 104)],
        [],
        {"entry": "expired", "stop": "cancelled", "target": "cancelled"},
    ),
    Case(
        "a leg for the day does not age while it waits for its entry",
        [
            enter(limit=98, tif=TimeInForce.GTC),
            stop(95, parent_id="reference-AAA-entry", tif=TimeInForce.DAY),
        ],
        [(101, 102, 99, 100), (97, 98, 94, 96)],
        [(2, "entry", 97), (2, "stop", 95)],
        {},
    ),
    # An exit and its legs
    Case(
        "an exit cancels the legs first",
        [stop(95), target(105), leave()],
        [(94, 106, 93, 96)],
        [(1, "exit", 94)],
        {"stop": "cancelled", "target": "cancelled"},
        held=10,
    ),
    Case(
        "no sell exceeds the position",
        [leave(shares=15)],
        [flat(101)],
        [(1, "exit", 101)],
        {},
        held=10,
    ),
    Case(
        "a sell that finds no position is cancelled",
        [stop(95)],
        [flat(94)],
        [],
        {"stop": "cancelled"},
    ),
    # How long orders live
    Case(
        "a session without a bar does not count for a day order",
        [enter(limit=98)],
        [None, None, (101, 102, 97, 99)],
        [(3, "entry", 98)],
        {},
    ),
    Case(
        "a day order lives through one bar only",
        [enter(limit=98)],
        [None, (101, 102, 99, 100), (101, 102, 97, 99)],
        [],
        {"entry": "expired"},
    ),
    Case(
        "a market order waits for the symbol's next bar",
        [leave()],
        [None, (97, 99, 96, 98)],
        [(2, "exit", 97)],
        {},
        held=10,
    ),
    Case(
        "an order that is good till cancelled outlives its bars",
        [enter(limit=98, tif=TimeInForce.GTC)],
        [(101, 102, 99, 100), (101, 102, 99, 100), (97, 99, 96, 98)],
        [(3, "entry", 97)],
        {},
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_candle_table_gives_its_fills(case: Case) -> None:
    exchange = run(case)

    assert_as_told(exchange, case.fills, case.ends)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_mirrored_candle_table_gives_mirrored_fills(case: Case) -> None:
    exchange = run(mirrored(case))

    fills = [(day, leg, 200 - price) for day, leg, price in case.fills]
    assert_as_told(exchange, fills, case.ends)


def run(case: Case, happened: Sequence[Happened] = ()) -> SimulatedExchange:
    """The exchange after *case*."""
    days = make_days({"AAA": [YESTERDAY, *case.days]}, happened=happened)
    exchange = opened(days, held={"AAA": case.held}, costs=case.costs)
    exchange.submit(0, [replace(order) for order in case.orders])
    for day in range(1, len(days.sessions)):
        exchange.trade(day)
    return exchange


def opened(
    days: MarketDays, *, held: dict[str, int], costs: Costs = FREE
) -> SimulatedExchange:
    """An exchange whose book holds shares bought at 100 without commission."""
    book = Book.opened_with(10_000.0)
    for symbol, shares in held.items():
        if shares:
            book.apply_fill(
                symbol, signed_shares=shares, price=100, commission=0, session="2024-01-01"
            )
    return SimulatedExchange(strategy="reference", days=days, costs=costs, book=book)


def assert_as_told(
    exchange: SimulatedExchange,
    fills: Sequence[tuple[int, str, float]],
    ends: dict[str, str],
) -> None:
    """Fills are those, and every order ended as it should."""
    sessions = exchange._days.sessions
    filled = [
        (sessions.index(row["session"]), _leg(row["order_id"]), row["price"])
        for row in exchange.log.fills
    ]
    assert [(day, leg) for day, leg, _ in filled] == [(day, leg) for day, leg, _ in fills]
    assert [p for *_, p in filled] == pytest.approx([p for *_, p in fills], abs=1e-9)
    last = {_leg(row["order_id"]): row["status"] for row in exchange.log.order_events}
    assert last == ends | {leg: "filled" for _, leg, _ in fills}


def mirrored(case: Case) -> Case:
    """*case* seen from the other side: p becomes 200 - p, and longs become shorts."""
    days = [
        day and (200 - day[0], 200 - day[2], 200 - day[1], 200 - day[3])
        for day in case.days
    ]
    orders = [
        replace(
            order,
            sign=-order.sign,
            limit_price=order.limit_price and 200 - order.limit_price,
            stop_price=order.stop_price and 200 - order.stop_price,
        )
        for order in case.orders
    ]
    return replace(case, days=days, orders=orders, held=-case.held)


def _leg(order_id: object) -> str:
    return str(order_id).rsplit("-", 1)[-1]


SLIPPED = [
    ("a market entry", +1, enter(), flat(101), 101.101),
    ("a market exit", -1, leave(), flat(101), 100.899),
    ("a short entry", -1, make_ticket(Leg.ENTRY, -1), flat(101), 100.899),
    ("a stop within the bar, beyond its low", -1, stop(95), (100, 100, 95, 95), 94.905),
    ("a gapped stop entry, beyond the high", +1, enter(stop=102), flat(103), 103.103),
    ("not a limit in the bar", -1, target(105), (101, 106, 101, 101), 105),
    ("not a limit at the open", +1, enter(limit=98), flat(97), 97),
    ("not a stop-limit", +1, enter(stop=102, limit=104), flat(103), 103),
]


@pytest.mark.parametrize(
    ("sign", "order", "candle", "price"),
    [pytest.param(*rest, id=name) for name, *rest in SLIPPED],
)
def test_slippage_moves_market_and_stop_fills_against_us(
    sign: int, order: Ticket, candle: OHLC, price: float
) -> None:
    held = 0 if order.leg is Leg.ENTRY else -10 * sign
    exchange = run(Case("", [order], [candle], [], {}, held=held, costs=TEN_BPS))

    assert [row["price"] for row in exchange.log.fills] == [pytest.approx(price, abs=1e-9)]


# 2. In which sequence symbols trade


def test_exits_trade_before_entries_and_both_by_symbol() -> None:
    candles: Candles = {
        name: [YESTERDAY, flat(100)] for name in ("DDD", "CCC", "BBB", "AAA")
    }
    exchange = opened(make_days(candles), held={"BBB": 10, "DDD": 10})
    exchange.submit(
        0,
        [
            enter(symbol="CCC"),
            leave(symbol="DDD"),
            enter(symbol="AAA"),
            leave(symbol="BBB"),
        ],
    )

    exchange.trade(1)

    traded = [(row["side"], row["symbol"]) for row in exchange.log.fills]
    assert traded == [("SELL", "BBB"), ("SELL", "DDD"), ("BUY", "AAA"), ("BUY", "CCC")]


def test_what_trades_at_the_open_comes_before_what_trades_later() -> None:
    candles: Candles = {
        "AAA": [YESTERDAY, (100, 101, 94, 95)],
        "BBB": [YESTERDAY, (94, 95, 93, 94)],
    }
    exchange = opened(make_days(candles), held={"AAA": 10, "BBB": 10})
    exchange.submit(0, [stop(95, symbol="AAA"), stop(95, symbol="BBB")])

    exchange.trade(1)

    assert [row["symbol"] for row in exchange.log.fills] == ["BBB", "AAA"]


# When things are said to have happened


def test_a_fill_at_the_open_happens_at_the_open_and_any_other_at_the_close() -> None:
    exchange = run(
        Case("", bracket(95, 105), [(100, 104, 96, 98), (100, 105, 96, 98)], [], {})
    )

    days = exchange._days
    filled_at = [row["filled_at"] for row in exchange.log.fills]
    assert filled_at == [days.opens_at[1], days.closes_at[2]]


def test_events_of_an_order_are_numbered_from_one_without_gaps() -> None:
    exchange = run(
        Case("", bracket(95, 105), [(100, 104, 96, 98), (100, 105, 96, 98)], [], {})
    )

    told = [
        (_leg(row["order_id"]), row["seq"], row["status"])
        for row in exchange.log.order_events
    ]
    assert told == [
        ("entry", 1, "working"),
        ("entry", 2, "filled"),
        ("stop", 1, "working"),
        ("target", 1, "working"),
        ("target", 2, "filled"),
        ("stop", 2, "cancelled"),
    ]


def test_a_fill_is_named_after_its_order() -> None:
    exchange = run(Case("", [enter()], [flat(100)], [], {}))

    assert exchange.log.fills[0]["fill_id"] == "reference-AAA-entry-1"


def test_a_position_keeps_its_mark_when_its_symbol_has_no_bar() -> None:
    exchange = run(Case("", [], [flat(104), None], [], {}, held=10))

    assert exchange.book.holdings["AAA"].mark == 104


def test_a_trade_tells_what_an_exit_closed() -> None:
    exchange = run(
        Case(
            "",
            bracket(95, 105),
            [(100, 104, 96, 98), (106, 107, 96, 98)],
            [],
            {},
            costs=FREE.model_copy(update={"commission": CommissionPlan.IBKR_FIXED}),
        )
    )

    sessions = exchange._days.sessions
    assert exchange.log.trades == [
        {
            "trade_id": "reference-AAA-target-1",
            "session": sessions[2],
            "symbol": "AAA",
            "opened_session": sessions[1],
            "closed_session": sessions[2],
            "side": "BUY",
            "shares": 10,
            "entry_price": 100,
            "exit_price": 106,
            "pnl": 60,
            "commission": 2.0,
            "exit_reason": "target",
        }
    ]


# Cancelling


def test_a_cancelled_entry_takes_its_legs_along() -> None:
    days = make_days({"AAA": [YESTERDAY, flat(90)]})
    exchange = opened(days, held={})
    exchange.submit(0, bracket(85, 95, limit=92))

    assert exchange.cancel(0, "reference-AAA-entry", "no longer wanted")
    exchange.trade(1)

    assert_as_told(
        exchange, [], {"entry": "cancelled", "stop": "cancelled", "target": "cancelled"}
    )
    assert not list(exchange.tickets)


def test_a_cancelled_leg_leaves_the_other_one_working() -> None:
    days = make_days({"AAA": [YESTERDAY, (100, 106, 94, 100)]})
    exchange = opened(days, held={"AAA": 10})
    exchange.submit(0, [stop(95), target(105)])

    assert exchange.cancel(0, "reference-AAA-stop", "no longer wanted")
    exchange.trade(1)

    assert_as_told(exchange, [(1, "target", 105)], {"stop": "cancelled"})


def test_cancelling_what_is_not_there_changes_nothing() -> None:
    exchange = opened(make_days({"AAA": [YESTERDAY]}), held={})

    assert not exchange.cancel(0, "reference-AAA-entry", "no longer wanted")
    assert exchange.log.order_events == []


# What it holds, or soon will


@pytest.mark.parametrize(
    ("held", "orders", "stance"),
    [
        pytest.param(0, [], 0, id="nothing is flat"),
        pytest.param(10, [], 1, id="a long"),
        pytest.param(-10, [], -1, id="a short"),
        pytest.param(0, [enter(limit=90)], 1, id="a working entry counts as filled"),
        pytest.param(10, [leave()], 0, id="a working exit counts as filled"),
        pytest.param(10, [stop(90), target(110)], 1, id="legs change nothing"),
    ],
)
def test_the_stance_is_the_position_with_its_working_orders(
    held: int, orders: list[Ticket], stance: int
) -> None:
    days = make_days({"AAA": [YESTERDAY], "BBB": [YESTERDAY]})
    exchange = opened(days, held={"AAA": held})
    exchange.submit(0, [replace(order) for order in orders])

    assert exchange.stance("AAA") == stance
    assert exchange.stances().tolist() == [stance, 0]


# 1. Corporate actions before the open


@dataclass(frozen=True)
class ActionCase:
    """Actions before the open of day 1, on shares bought at 100.

    Attributes:
        events: Kind, change of shares and cash, in the sequence they happened.
    """

    id: str
    held: int
    actions: Sequence[tuple[str, float]]
    candle: OHLC | None
    shares: int
    events: Sequence[tuple[str, int, float]]
    costs: Costs = FREE


IGNORING = FREE.model_copy(update={"dividends": Dividends.IGNORE})

ACTION_CASES = [
    ActionCase("seven for one", 10, [("split", 7)], flat(15), 70, [("split", 60, 0.0)]),
    ActionCase(
        "three for two pays the half share at the open",
        11,
        [("split", 1.5)],
        (66, 68, 64, 67),
        16,
        [("split", 5, 33.0)],
    ),
    ActionCase(
        "one for eight pays the fraction at the open",
        100,
        [("split", 0.125)],
        (804, 810, 790, 800),
        12,
        [("split", -88, 402.0)],
    ),
    ActionCase(
        "one for eight of seven shares leaves cash alone",
        7,
        [("split", 0.125)],
        (800, 810, 790, 800),
        0,
        [("split", -7, 700.0)],
    ),
    ActionCase(
        "a third of thirty is ten whole shares, whatever floats say",
        30,
        [("split", 1 / 3)],
        flat(300),
        10,
        [("split", -20, 0.0)],
    ),
    ActionCase(
        "0.29 of a hundred is 29 whole shares, although floats say 28.999999999999996",
        100,
        [("split", 0.29)],
        flat(345),
        29,
        [("split", -71, 0.0)],
    ),
    ActionCase(
        "a short's fraction is truncated toward zero and bought back",
        -11,
        [("split", 1.5)],
        (66, 68, 64, 67),
        -16,
        [("split", -5, -33.0)],
    ),
    ActionCase(
        "without a bar the fraction is paid at the last close, split",
        11,
        [("split", 1.5)],
        None,
        16,
        [("split", 5, 0.5 * 100 / 1.5)],
    ),
    ActionCase(
        "a dividend is paid on the shares held",
        10,
        [("dividend", 0.57)],
        flat(100),
        10,
        [("dividend", 0, 5.7)],
    ),
    ActionCase(
        "a short pays the dividend",
        -10,
        [("dividend", 0.57)],
        flat(100),
        -10,
        [("dividend", 0, -5.7)],
    ),
    ActionCase(
        "a dividend is paid in shares after the split, however they are listed",
        10,
        [("dividend", 0.5), ("split", 4)],
        flat(25),
        40,
        [("split", 30, 0.0), ("dividend", 0, 20.0)],
    ),
    ActionCase(
        "a dividend is paid on a day without a bar",
        10,
        [("dividend", 0.5)],
        None,
        10,
        [("dividend", 0, 5.0)],
    ),
    ActionCase(
        "ignored dividends are not paid",
        10,
        [("dividend", 0.5)],
        flat(100),
        10,
        [],
        costs=IGNORING,
    ),
    ActionCase(
        "ignoring dividends ignores neither splits nor spin-offs",
        10,
        [("split", 2), ("spinoff_factor", 1.25)],
        flat(40),
        20,
        [("split", 10, 0.0), ("spinoff", 0, 200.0)],
        costs=IGNORING,
    ),
    ActionCase(
        "a spin-off pays what the price lost, of the previous close",
        10,
        [("spinoff_factor", 1.25)],
        flat(79),
        10,
        [("spinoff", 0, 200.0)],
    ),
    ActionCase(
        "a short pays the spin-off",
        -10,
        [("spinoff_factor", 1.25)],
        flat(79),
        -10,
        [("spinoff", 0, -200.0)],
    ),
    ActionCase(
        "nothing happens to those who hold nothing",
        0,
        [("split", 2), ("dividend", 1), ("spinoff_factor", 1.25)],
        flat(40),
        0,
        [],
    ),
]


@pytest.mark.parametrize("case", ACTION_CASES, ids=lambda case: case.id)
def test_a_corporate_action_gives_its_book_events(case: ActionCase) -> None:
    happened = [Happened(1, "AAA", kind, value) for kind, value in case.actions]
    days = make_days({"AAA": [YESTERDAY, case.candle]}, happened=happened)
    exchange = opened(days, held={"AAA": case.held}, costs=case.costs)
    cash = exchange.book.cash

    exchange.trade(1)

    told = [
        (row["kind"], row["shares_delta"], pytest.approx(row["cash"]))
        for row in exchange.log.book_events
    ]
    assert list(case.events) == told
    assert exchange.book.shares("AAA") == case.shares
    assert exchange.book.cash == pytest.approx(cash + sum(e[2] for e in case.events))


def test_a_split_alone_changes_neither_equity_nor_the_average_cost_of_the_holding() -> None:
    happened = [Happened(1, "AAA", "split", 7)]
    exchange = run(Case("", [], [None], [], {}, held=10), happened)

    holding = exchange.book.holdings["AAA"]
    assert exchange.book.equity == pytest.approx(10_000)
    assert holding.average_cost * holding.shares == pytest.approx(1_000)


def test_a_spin_off_without_a_bar_changes_no_equity() -> None:
    happened = [Happened(1, "AAA", "spinoff_factor", 1.25)]
    exchange = run(Case("", [], [None], [], {}, held=10), happened)

    assert exchange.book.holdings["AAA"].mark == 80
    assert exchange.book.equity == pytest.approx(10_000)


def test_a_split_without_a_bar_splits_the_mark() -> None:
    happened = [Happened(1, "AAA", "split", 4)]
    exchange = run(Case("", [], [None], [], {}, held=10), happened)

    assert exchange.book.holdings["AAA"].mark == 25


def test_what_was_bought_on_the_ex_date_earns_no_dividend() -> None:
    happened = [Happened(1, "AAA", "dividend", 1)]
    exchange = run(Case("", [enter()], [flat(100)], [], {}), happened)

    assert exchange.log.book_events == []


def test_what_is_sold_on_the_ex_date_still_earns_its_dividend() -> None:
    happened = [Happened(1, "AAA", "dividend", 1)]
    exchange = run(Case("", [leave()], [flat(100)], [], {}, held=10), happened)

    assert [row["cash"] for row in exchange.log.book_events] == [10.0]


def test_events_of_the_book_are_named_after_session_symbol_and_kind() -> None:
    happened = [Happened(1, "AAA", "split", 2), Happened(1, "AAA", "dividend", 1)]
    exchange = run(Case("", [], [flat(50)], [], {}, held=10), happened)

    assert [row["event_id"] for row in exchange.log.book_events] == [
        "reference-2024-01-03-AAA-split",
        "reference-2024-01-03-AAA-dividend",
    ]


SPLIT_CASES = [
    (
        "legs follow a split",
        [("split", 4)],
        Case(
            "",
            [stop(95), target(108)],
            [(25, 26, 24, 25), (25, 27, 24, 26)],
            [(2, "target", 27)],
            {"stop": "cancelled"},
            held=10,
        ),
        [40],
    ),
    (
        "legs follow a reverse split, cut to the shares that are left",
        [("split", 0.125)],
        Case(
            "",
            [stop(95), target(108)],
            [(800, 801, 760, 780)],
            [(1, "stop", 760)],
            {"target": "cancelled"},
            held=100,
        ),
        [12],
    ),
    (
        "an entry that waits follows a split with its legs",
        [("split", 1.5)],
        Case(
            "",
            bracket(90, 120, limit=99, shares=11),
            [(70, 71, 60, 65)],
            [(1, "entry", 66), (1, "stop", 60)],
            {"target": "cancelled"},
        ),
        [16, 16],
    ),
    (
        "a market entry follows a split",
        [("split", 4)],
        Case("", [enter()], [flat(25)], [(1, "entry", 25)], {}),
        [40],
    ),
    (
        "a market exit follows a split",
        [("split", 1.5)],
        Case("", [leave(shares=11)], [flat(66)], [(1, "exit", 66)], {}, held=11),
        [16],
    ),
    (
        "orders follow a split on a day without a bar",
        [("split", 4)],
        Case(
            "",
            [stop(96)],
            [None, (25, 26, 24, 25)],
            [(2, "stop", 24)],
            {},
            held=10,
        ),
        [40],
    ),
    (
        "an entry split to nothing is cancelled with its legs",
        [("split", 0.05)],
        Case(
            "",
            bracket(90, 120),
            [flat(2000), flat(2000)],
            [],
            {"entry": "cancelled", "stop": "cancelled", "target": "cancelled"},
        ),
        [],
    ),
    (
        "a holding split to nothing takes its legs along",
        [("split", 0.05)],
        Case(
            "",
            [stop(90), target(120)],
            [flat(2000), flat(2000)],
            [],
            {"stop": "cancelled", "target": "cancelled"},
            held=10,
        ),
        [],
    ),
    (
        "a spin-off moves prices and no shares",
        [("spinoff_factor", 1.25)],
        Case(
            "",
            [stop(95), target(110)],
            [(80, 81, 76, 77)],
            [(1, "stop", 76)],
            {"target": "cancelled"},
            held=10,
        ),
        [10],
    ),
    (
        "a dividend moves no order",
        [("dividend", 10)],
        Case("", [stop(85)], [(90, 91, 86, 88)], [], {"stop": "working"}, held=10),
        [],
    ),
]


@pytest.mark.parametrize(
    ("actions", "case", "shares"),
    [pytest.param(*rest, id=name) for name, *rest in SPLIT_CASES],
)
def test_resting_orders_follow_corporate_actions(
    actions: list[tuple[str, float]], case: Case, shares: list[int]
) -> None:
    orders = [replace(o, shares=case.held or o.shares) for o in case.orders]
    happened = [Happened(1, "AAA", kind, value) for kind, value in actions]

    exchange = run(replace(case, orders=orders), happened)

    assert_as_told(exchange, case.fills, case.ends)
    assert [row["shares"] for row in exchange.log.fills] == shares
