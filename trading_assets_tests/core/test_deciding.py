"""From views to orders: who is asked first, what is refused, and with which words."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Any

import pandas as pd
import pytest

from trading_assets.core.book import Book
from trading_assets.core.deciding import Plan, decide, order_rows
from trading_assets.core.exchange import SimulatedExchange
from trading_assets.core.filling import Ticket
from trading_assets.core.market_days import MarketDays
from trading_assets.core.venue import Row
from trading_assets.models.order import Leg
from trading_assets_tests.make import (
    FIRST,
    Candles,
    Said,
    flat,
    make_days,
    make_spec,
    make_ticket,
)

ABC = ("AAA", "BBB", "CCC")
ALL_AT_100: Candles = {symbol: [flat(100)] for symbol in ABC}


def decided(
    said: Sequence[Said],
    *,
    candles: Candles = ALL_AT_100,
    held: dict[str, int] | None = None,
    working: Sequence[Ticket] = (),
    cash: float = 100_000.0,
    volatility: pd.DataFrame | None = None,
    halted: Mapping[date, str] | None = None,
    **changes: Any,
) -> list[Row]:
    """Rows of `orders` decided on day 0; what is held was bought at 100, beyond *cash*."""
    changes.setdefault("universe", tuple(candles))
    plan = Plan.of(make_spec(**changes))
    days = make_days(candles, said=said, volatility=volatility)
    days = replace(days, halted=halted or {})
    exchange = exchange_with(days, plan, held or {}, cash)
    exchange.submit(0, working)
    return list(order_rows(plan, days, 0, decide(plan, days, 0, exchange)))


def exchange_with(
    days: MarketDays, plan: Plan, held: dict[str, int], cash: float
) -> SimulatedExchange:
    """An exchange whose book has *cash* beside what is *held*."""
    book = Book.opened_with(cash + sum(100 * shares for shares in held.values()))
    for symbol, shares in held.items():
        book.apply_fill(
            symbol, signed_shares=shares, price=100, commission=0, session="2024-01-01"
        )
    book.mark(days.closes(0))
    return SimulatedExchange(
        strategy=plan.spec.name, days=days, costs=plan.spec.costs, book=book
    )


def told(rows: Sequence[Row]) -> list[tuple[str, str, str, int, str]]:
    """The gist of *rows*."""
    names = ("symbol", "leg", "side", "shares", "status")
    return [tuple(row[name] for name in names) for row in rows]


# Who is asked, and in which sequence


def test_a_buy_while_flat_enters_at_the_next_open() -> None:
    (row,) = decided([Said(0, "AAA", "BUY")])

    days = make_days(ALL_AT_100)
    assert row == {
        "order_id": "reference-2024-01-02-AAA-entry",
        "session": FIRST,
        "symbol": "AAA",
        "leg": "entry",
        "side": "BUY",
        "shares": 100,
        "order_type": "MKT",
        "limit_price": None,
        "stop_price": None,
        "tif": "DAY",
        "status": "submitted",
        "reason": "BUY with score 50; fixed_shares 100.00 -> 100",
        "decided_at": days.closes_at[0],
        "submitted_at": days.closes_at[0],
        "broker_order_id": "reference-2024-01-02-AAA-entry",
        "spec_hash": Plan.of(make_spec(universe=ABC)).rules_hash,
    }


def test_a_sell_while_long_exits_the_whole_position() -> None:
    rows = decided([Said(0, "AAA", "SELL")], held={"AAA": 37})

    assert told(rows) == [("AAA", "exit", "SELL", 37, "submitted")]


def test_exits_come_first_then_entries_by_score_then_by_symbol() -> None:
    candles: Candles = {name: [flat(100)] for name in ("AAA", "BBB", "CCC", "DDD", "EEE")}
    rows = decided(
        [
            Said(0, "AAA", "BUY", score=40),
            Said(0, "DDD", "BUY", score=90),
            Said(0, "BBB", "BUY", score=90),
            Said(0, "EEE", "SELL", score=10),
            Said(0, "CCC", "SELL", score=20),
        ],
        candles=candles,
        held={"CCC": 5, "EEE": 5},
    )

    assert [(row["symbol"], row["leg"]) for row in rows] == [
        ("CCC", "exit"),
        ("EEE", "exit"),
        ("BBB", "entry"),
        ("DDD", "entry"),
        ("AAA", "entry"),
    ]


def test_a_view_without_a_score_comes_last() -> None:
    rows = decided([Said(0, "AAA", "BUY", score=None), Said(0, "BBB", "BUY", score=1)])

    assert [row["symbol"] for row in rows] == ["BBB", "AAA"]


@pytest.mark.parametrize(
    ("action", "held", "working"),
    [
        pytest.param("HOLD", 0, [], id="HOLD while flat"),
        pytest.param("HOLD", 10, [], id="HOLD while long"),
        pytest.param(None, 0, [], id="an abstention while flat"),
        pytest.param(None, 10, [], id="an abstention while long"),
        pytest.param("BUY", 10, [], id="BUY while long does not resize"),
        pytest.param("SELL", 0, [], id="SELL while flat"),
        pytest.param("BUY", 0, [make_ticket()], id="BUY while an entry works"),
        pytest.param(
            "SELL", 10, [make_ticket(Leg.EXIT, -1)], id="SELL while an exit works"
        ),
        pytest.param(
            "BUY", 10, [make_ticket(Leg.EXIT, -1)], id="BUY before an exit has filled"
        ),
    ],
)
def test_what_asks_for_nothing_gives_no_row(
    action: str | None, held: int, working: list[Ticket]
) -> None:
    rows = decided(
        [Said(0, "AAA", action)], held={"AAA": held} if held else {}, working=working
    )

    assert rows == []


def test_no_signal_gives_no_row() -> None:
    assert decided([], held={"AAA": 10}) == []


def test_a_symbol_without_a_bar_is_not_asked_about() -> None:
    candles: Candles = {"AAA": [None], "BBB": [None], "CCC": [flat(100)]}

    rows = decided(
        [Said(0, "AAA", "BUY"), Said(0, "BBB", "SELL"), Said(0, "CCC", "BUY")],
        candles=candles,
        held={"BBB": 10},
    )

    assert [row["symbol"] for row in rows] == ["CCC"]


def test_a_symbol_that_left_the_universe_may_only_exit() -> None:
    rows = decided(
        [Said(0, "AAA", "BUY"), Said(0, "BBB", "SELL")],
        held={"BBB": 10},
        universe=("CCC",),
    )

    assert told(rows) == [("BBB", "exit", "SELL", 10, "submitted")]


# Shorts


def test_a_sell_while_flat_goes_short_only_if_allowed() -> None:
    rows = decided([Said(0, "AAA", "SELL")], risk={"allow_short": True})

    assert told(rows) == [("AAA", "entry", "SELL", 100, "submitted")]


def test_a_sell_while_long_only_exits_even_if_shorts_are_allowed() -> None:
    rows = decided([Said(0, "AAA", "SELL")], held={"AAA": 7}, risk={"allow_short": True})

    assert told(rows) == [("AAA", "exit", "SELL", 7, "submitted")]


def test_a_buy_while_short_only_exits() -> None:
    rows = decided([Said(0, "AAA", "BUY")], held={"AAA": -7}, risk={"allow_short": True})

    assert told(rows) == [("AAA", "exit", "BUY", 7, "submitted")]


def test_a_sell_while_short_agrees() -> None:
    rows = decided([Said(0, "AAA", "SELL")], held={"AAA": -7}, risk={"allow_short": True})

    assert rows == []


def test_a_short_left_over_is_closed_when_shorts_are_no_longer_allowed() -> None:
    rows = decided([Said(0, "AAA", "SELL")], held={"AAA": -7})

    assert told(rows) == [("AAA", "exit", "BUY", 7, "submitted")]


# Order types and brackets

LEVELS = Said(0, "AAA", "BUY", entry=98.0, stop=95.0, target=110.0)


@pytest.mark.parametrize(
    ("order", "order_type", "limit", "stop"),
    [
        ("market_next_open", "MKT", None, None),
        ("limit_at_entry", "LMT", 98.0, None),
        ("stop_at_entry", "STP", None, 98.0),
    ],
)
def test_an_entry_is_of_the_type_that_the_strategy_names(
    order: str, order_type: str, limit: float | None, stop: float | None
) -> None:
    (row,) = decided([LEVELS], execution={"order": order})

    assert (row["order_type"], row["limit_price"], row["stop_price"]) == (
        order_type,
        limit,
        stop,
    )
    assert row["tif"] == "DAY"


def test_without_an_entry_level_the_close_is_the_level() -> None:
    (row,) = decided([Said(0, "AAA", "BUY")], execution={"order": "limit_at_entry"})

    assert row["limit_price"] == 100


def test_a_bracket_brings_both_legs_as_signalled() -> None:
    rows = decided([LEVELS], execution={"bracket": True})

    legs = [
        (row["leg"], row["side"], row["order_type"], row["limit_price"], row["stop_price"])
        for row in rows
    ]
    assert legs == [
        ("entry", "BUY", "MKT", None, None),
        ("stop", "SELL", "STP", None, 95.0),
        ("target", "SELL", "LMT", 110.0, None),
    ]
    assert [row["tif"] for row in rows] == ["DAY", "GTC", "GTC"]
    assert {row["shares"] for row in rows} == {100}


def test_a_short_bracket_is_mirrored() -> None:
    said = Said(0, "AAA", "SELL", entry=100.0, stop=105.0, target=90.0)
    rows = decided([said], execution={"bracket": True}, risk={"allow_short": True})

    assert [(row["leg"], row["side"]) for row in rows] == [
        ("entry", "SELL"),
        ("stop", "BUY"),
        ("target", "BUY"),
    ]


@pytest.mark.parametrize(
    ("said", "legs"),
    [
        (Said(0, "AAA", "BUY", stop=95.0), ["entry", "stop"]),
        (Said(0, "AAA", "BUY", target=110.0), ["entry", "target"]),
        (Said(0, "AAA", "BUY"), ["entry"]),
    ],
)
def test_a_bracket_has_the_legs_that_the_signal_names(said: Said, legs: list[str]) -> None:
    rows = decided([said], execution={"bracket": True})

    assert [row["leg"] for row in rows] == legs


def test_a_refused_entry_has_no_legs() -> None:
    rows = decided([LEVELS], execution={"bracket": True}, risk={"min_profit_frac": 0.5})

    assert [(row["leg"], row["status"]) for row in rows] == [("entry", "refused")]


# Size


def test_risk_is_measured_from_the_close_for_a_market_entry() -> None:
    # 1 % of 100,000 over (100 - 95); the signal's entry at 98 is not what will be paid.
    (row,) = decided([LEVELS], sizing={"kind": "risk_fraction", "risk_frac": 0.01})

    assert row["shares"] == 200


def test_risk_is_measured_from_the_entry_for_a_limit_entry() -> None:
    # 1 % of 100,000 over (98 - 95) is 333.3.
    (row,) = decided(
        [LEVELS],
        sizing={"kind": "risk_fraction", "risk_frac": 0.01},
        execution={"order": "limit_at_entry"},
    )

    assert row["shares"] == 333


def test_equity_at_the_close_decides_the_size() -> None:
    # 50,000 in cash and 500 shares marked at 120 make 110,000; 1 % over 5 is 220.
    rows = decided(
        [Said(0, "AAA", "BUY", stop=95.0)],
        candles={"AAA": [flat(100)], "BBB": [flat(120)]},
        held={"BBB": 500},
        cash=50_000.0,
        sizing={"kind": "risk_fraction", "risk_frac": 0.01},
    )

    assert rows[0]["shares"] == 220


def test_a_volatility_target_reads_the_symbols_volatility() -> None:
    volatility = pd.DataFrame(
        {"symbol": ["AAA"], "session": [pd.Timestamp(FIRST)], "volatility": [0.40]}
    )
    (row,) = decided(
        [Said(0, "AAA", "BUY")],
        sizing={"kind": "volatility_target", "annual_volatility_frac": 0.10},
        volatility=volatility,
    )

    assert row["shares"] == 250


def test_the_weight_clamps_the_size_and_says_so() -> None:
    (row,) = decided(
        [Said(0, "AAA", "BUY")],
        sizing={"kind": "fixed_shares", "shares": 500},
        risk={"max_weight_frac": 0.2},
    )

    assert (row["shares"], row["status"]) == (200, "submitted")
    assert row["reason"] == (
        "BUY with score 50; fixed_shares 500.00, max_weight_frac 0.2 -> 200"
    )


# Refusals: the rule's name and its numbers


@pytest.mark.parametrize(
    ("said", "changes", "reason"),
    [
        pytest.param(
            Said(0, "AAA", "BUY"),
            {"sizing": {"kind": "fixed_notional", "notional": 50}},
            "sizing: below one share: 0.5000 wanted at 100.0000, equity 100,000.00",
            id="too small a wish",
        ),
        pytest.param(
            Said(0, "AAA", "BUY"),
            {"risk": {"max_weight_frac": 0.0005}},
            "max_weight_frac: below one share: 100.0000 wanted at 100.0000, "
            "equity 100,000.00",
            id="clamped below one share",
        ),
        pytest.param(
            Said(0, "AAA", "BUY"),
            {"sizing": {"kind": "risk_fraction", "risk_frac": 0.01}},
            "sizing: risk_fraction needs a stop_loss, the signal has none",
            id="no stop to measure risk from",
        ),
        pytest.param(
            Said(0, "AAA", "BUY"),
            {"sizing": {"kind": "volatility_target", "annual_volatility_frac": 0.1}},
            "sizing: volatility_target needs a volatility, none yet",
            id="no volatility yet",
        ),
        pytest.param(
            Said(0, "AAA", "BUY", stop=101.0),
            {},
            "level_order: stop 101.0000 on the wrong side of entry 100.0000",
            id="a stop on the wrong side",
        ),
        pytest.param(
            Said(0, "AAA", "BUY", stop=95.0, target=104.0),
            {"risk": {"min_risk_reward": 1.0}},
            "min_risk_reward: risk/reward 0.8000 below 1",
            id="too little reward",
        ),
        pytest.param(
            Said(0, "AAA", "BUY", target=104.0),
            {"risk": {"min_risk_reward": 1.0}},
            "min_risk_reward: needs stop and target for 1, the signal lacks one",
            id="no stop for a rule that needs it",
        ),
        pytest.param(
            Said(0, "AAA", "BUY", target=104.0),
            {"risk": {"min_profit_frac": 0.05}},
            "min_profit_frac: profit fraction 0.0400 below 0.05",
            id="too little profit",
        ),
        pytest.param(
            Said(0, "AAA", "BUY"),
            {"risk": {"min_profit_frac": 0.05}},
            "min_profit_frac: needs a target for 0.05, the signal has none",
            id="no target for a rule that needs it",
        ),
        pytest.param(
            Said(0, "AAA", "BUY"),
            {"cash": 9_999.0, "risk": {"cash_check": True}},
            "cash_check: needs 10,000.00, 9,999.00 are free",
            id="too little cash",
        ),
        pytest.param(
            Said(0, "AAA", "BUY"),
            {
                "cash": 10_000.0,
                "risk": {"cash_check": True},
                "costs": {"commission": "ibkr_fixed"},
            },
            "cash_check: needs 10,001.00, 10,000.00 are free",
            id="too little cash for the commission",
        ),
    ],
)
def test_a_refusal_is_a_row_that_names_the_rule_and_its_numbers(
    said: Said, changes: dict[str, Any], reason: str
) -> None:
    (row,) = decided([said], **changes)

    assert row["reason"] == reason
    assert (row["status"], row["submitted_at"], row["broker_order_id"]) == (
        "refused",
        None,
        "",
    )


def test_max_positions_counts_what_is_held_ordered_and_decided() -> None:
    candles: Candles = {name: [flat(100)] for name in ("AAA", "BBB", "CCC", "DDD")}
    rows = decided(
        [Said(0, "AAA", "BUY", score=90), Said(0, "BBB", "BUY", score=80)],
        candles=candles,
        held={"CCC": 10},
        working=[make_ticket(symbol="DDD")],
        risk={"max_positions": 3},
    )

    assert [row["status"] for row in rows] == ["submitted", "refused"]
    assert rows[1]["reason"] == "max_positions: 3 positions held or ordered of 3 allowed"


# Caps

EVENING = (
    Said(0, "AAA", "BUY", score=90, stop=95.0, target=110.0),
    Said(0, "BBB", "BUY", score=80, stop=95.0, target=110.0),
    Said(0, "CCC", "BUY", score=70, stop=95.0, target=110.0),
)


def test_a_bracket_counts_once_and_a_later_entry_is_one_too_many() -> None:
    rows = decided(EVENING, execution={"bracket": True}, risk={"max_orders_per_day": 2})

    assert [(row["symbol"], row["leg"], row["status"]) for row in rows] == [
        *(("AAA", leg, "submitted") for leg in ("entry", "stop", "target")),
        *(("BBB", leg, "submitted") for leg in ("entry", "stop", "target")),
        ("CCC", "entry", "refused"),
    ]
    assert rows[-1]["reason"] == "max_orders_per_day: 2 entries this evening of 2 allowed"


def test_what_is_refused_takes_up_no_room_of_the_evening() -> None:
    # 10,000, then 15,000 that would make 25,000, then 10,000.
    candles: Candles = {"AAA": [flat(100)], "BBB": [flat(150)], "CCC": [flat(100)]}
    said = [Said(0, own.symbol, "BUY", score=own.score) for own in EVENING]

    rows = decided(said, candles=candles, risk={"max_daily_notional": 20_000})

    assert [row["status"] for row in rows] == ["submitted", "refused", "submitted"]
    assert rows[1]["reason"] == (
        "max_daily_notional: worth of this evening's entries 25,000.00 above 20,000.00"
    )


def test_an_entry_is_refused_for_its_worth_and_not_cut() -> None:
    (row,) = decided(EVENING[:1], risk={"max_order_notional": 9_999})

    assert (row["shares"], row["reason"]) == (
        100,
        "max_order_notional: worth 10,000.00 above 9,999.00",
    )


def test_no_cap_refuses_an_exit() -> None:
    caps = {"max_order_notional": 1, "max_daily_notional": 1, "max_daily_loss_frac": 1e-9}

    rows = decided(
        [Said(0, "AAA", "SELL"), Said(0, "BBB", "BUY")], held={"AAA": 500}, risk=caps
    )

    assert [(row["leg"], row["status"]) for row in rows] == [
        ("exit", "submitted"),
        ("entry", "refused"),
    ]


# Halts


def test_in_a_halted_session_exits_and_entries_are_refused_and_legs_not_asked_for() -> None:
    rows = decided(
        [Said(0, "AAA", "SELL"), *EVENING[1:]],
        held={"AAA": 37},
        execution={"bracket": True},
        halted={FIRST: "prices look wrong"},
    )

    assert told(rows) == [
        ("AAA", "exit", "SELL", 37, "refused"),
        ("BBB", "entry", "BUY", 100, "refused"),
        ("CCC", "entry", "BUY", 100, "refused"),
    ]
    assert {row["reason"] for row in rows} == {"halt: prices look wrong"}
    assert {row["submitted_at"] for row in rows} == {None}


def test_a_halt_is_the_reason_whatever_else_stands_against_an_entry() -> None:
    (row,) = decided(
        [Said(0, "AAA", "BUY")],
        sizing={"kind": "risk_fraction", "risk_frac": 0.01},
        halted={FIRST: "prices look wrong"},
    )

    assert (row["shares"], row["reason"]) == (0, "halt: prices look wrong")


def test_a_halt_of_another_session_stops_nothing() -> None:
    (row,) = decided([Said(0, "AAA", "BUY")], halted={date(2024, 1, 3): "tomorrow"})

    assert row["status"] == "submitted"


def test_in_a_halted_session_nothing_asked_for_is_nothing_refused() -> None:
    assert decided([], held={"AAA": 10}, halted={FIRST: "prices look wrong"}) == []


# Cash


def test_cash_is_reserved_for_what_was_decided_before() -> None:
    rows = decided(
        [Said(0, "AAA", "BUY", score=90), Said(0, "BBB", "BUY", score=80)],
        cash=19_999.0,
        risk={"cash_check": True},
    )

    assert [row["status"] for row in rows] == ["submitted", "refused"]
    assert rows[1]["reason"] == "cash_check: needs 10,000.00, 9,999.00 are free"


def test_a_refused_entry_reserves_nothing() -> None:
    rows = decided(
        [
            Said(0, "AAA", "BUY", score=90, target=101.0),
            Said(0, "BBB", "BUY", score=80, target=120.0),
        ],
        cash=10_000.0,
        risk={"cash_check": True, "min_profit_frac": 0.05},
    )

    assert [row["status"] for row in rows] == ["refused", "submitted"]


def test_proceeds_of_exits_decided_tonight_do_not_count() -> None:
    rows = decided(
        [Said(0, "AAA", "SELL"), Said(0, "BBB", "BUY")],
        held={"AAA": 1_000},
        cash=9_999.0,
        risk={"cash_check": True},
    )

    assert [(row["leg"], row["status"]) for row in rows] == [
        ("exit", "submitted"),
        ("entry", "refused"),
    ]


def test_an_entry_that_still_works_keeps_its_cash_and_its_commission() -> None:
    # 10 shares at 100 and 1.00, of which BBB's order has met no bar yet.
    rows = decided(
        [Said(0, "AAA", "BUY")],
        working=[make_ticket(symbol="BBB", reserved_price=100.0)],
        cash=11_001.99,
        risk={"cash_check": True},
        costs={"commission": "ibkr_fixed"},
    )

    assert rows[0]["reason"] == "cash_check: needs 10,001.00, 10,000.99 are free"


def test_what_a_short_brought_in_is_not_free() -> None:
    # 15,000 in all, of which a short of 50 brought 5,000 and ties up another 5,000.
    rows = decided(
        [Said(0, "AAA", "BUY")],
        held={"BBB": -50},
        cash=15_000.0,
        risk={"cash_check": True, "allow_short": True},
    )

    assert rows[0]["reason"] == "cash_check: needs 10,000.00, 5,000.00 are free"


# The plan


def test_the_rules_hash_does_not_depend_on_how_the_universe_is_listed() -> None:
    assert (
        Plan.of(make_spec(universe=("BBB", "AAA"))).rules_hash
        == Plan.of(make_spec(universe=("AAA", "BBB"))).rules_hash
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"capital": 1.0},
        {"sizing": {"kind": "fixed_shares", "shares": 101}},
        {"risk": {"max_positions": 1}},
        {"execution": {"bracket": True}},
        {"costs": {"slippage_bps": 1.0}},
        {"universe": ("AAA", "BBB")},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_the_rules_hash_changes_with_what_decides(changes: dict[str, Any]) -> None:
    assert Plan.of(make_spec(**changes)).rules_hash != Plan.of(make_spec()).rules_hash


@pytest.mark.parametrize(
    "changes",
    [{"description": "the same"}, {"benchmark": None}, {"schedule": "30 18 * * 1-5"}],
    ids=lambda changes: next(iter(changes)),
)
def test_the_rules_hash_does_not_change_with_what_does_not(
    changes: dict[str, Any],
) -> None:
    assert Plan.of(make_spec(**changes)).rules_hash == Plan.of(make_spec()).rules_hash


def test_no_entry_is_sized_by_a_number_that_is_not_one() -> None:
    rows = decided([Said(0, "AAA", "BUY", stop=math.nan, target=math.nan)])

    assert told(rows) == [("AAA", "entry", "BUY", 100, "submitted")]
