"""Orders that wait for a person, as candle tables: approved, they trade as if submitted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import pytest
from hypothesis import given

from trading_assets.core.approving import families, payload_hash
from trading_assets.core.deciding import Plan
from trading_assets.core.market_days import Answers, MarketDays
from trading_assets.core.venue import Row
from trading_assets.core.walk import Opening, Walked, link, walk
from trading_assets.models.approval import ApprovalState, Ruling
from trading_assets.models.base import Lane
from trading_assets.strategies.spec import ApprovalRule
from trading_assets_tests.core.test_walk import WALKS, Scenario, scenarios
from trading_assets_tests.make import (
    FIRST,
    OHLC,
    Happened,
    Said,
    flat,
    make_days,
    make_sessions,
    make_spec,
)
from trading_assets_tests.make_intents import AT, make_bracket

YES = Ruling(state=ApprovalState.APPROVED, who="ann", why="fine", at=AT)
NO = Ruling(state=ApprovalState.REJECTED, who="bob", why="too early", at=AT)
DAYS = make_sessions(8)


@dataclass(frozen=True)
class Case:
    """What was said, who answered what, and what came of it.

    Attributes:
        answers: By day of the decision and leg; nobody says anything of the others.
        fills: Day, leg and price, as they happened.
        events: Of the orders that waited, once their day has begun: leg and statuses.
    """

    id: str
    rule: str
    days: Sequence[OHLC | None]
    said: Sequence[Said]
    answers: Mapping[tuple[int, str], Ruling]
    fills: Sequence[tuple[int, str, float]]
    events: Mapping[str, Sequence[str]]
    happened: Sequence[Happened] = ()


BUY = Said(0, "AAA", "BUY", entry=100, stop=90, target=120)
CASES = [
    Case(
        "approved entry trades at the next open",
        "required",
        [flat(100), (101, 102, 100, 101), flat(101)],
        [BUY],
        {(0, "entry"): YES},
        [(1, "entry", 101)],
        {
            "0-entry": ["approved", "working", "filled"],
            "0-stop": ["approved", "working"],
            "0-target": ["approved", "working"],
        },
    ),
    Case(
        "and its legs live in that bar",
        "required",
        [flat(100), (101, 102, 89, 95)],
        [BUY],
        {(0, "entry"): YES},
        [(1, "entry", 101), (1, "stop", 90)],
        {
            "0-entry": ["approved", "working", "filled"],
            "0-stop": ["approved", "working", "filled"],
            "0-target": ["approved", "working", "cancelled"],
        },
    ),
    Case(
        "rejected entry trades never",
        "required",
        [flat(100), (101, 102, 89, 95), flat(95)],
        [BUY],
        {(0, "entry"): NO},
        [],
        {"0-entry": ["rejected"], "0-stop": ["rejected"], "0-target": ["rejected"]},
    ),
    Case(
        "entry that nobody answers expires",
        "required",
        [flat(100), (101, 102, 89, 95), flat(95)],
        [BUY],
        {},
        [],
        {"0-entry": ["expired"], "0-stop": ["expired"], "0-target": ["expired"]},
    ),
    Case(
        "rejected entry is decided anew when it is still wanted",
        "required",
        [flat(100), flat(101), flat(102)],
        [BUY, Said(1, "AAA", "BUY", entry=101, stop=90, target=120)],
        {(0, "entry"): NO, (1, "entry"): YES},
        [(2, "entry", 102)],
        {
            "0-entry": ["rejected"],
            "0-stop": ["rejected"],
            "0-target": ["rejected"],
            "1-entry": ["approved", "working", "filled"],
            "1-stop": ["approved", "working"],
            "1-target": ["approved", "working"],
        },
    ),
    Case(
        "legs protect while their exit waits, and go when it is approved",
        "required",
        [flat(100), flat(101), flat(102), flat(103)],
        [BUY, Said(1, "AAA", "SELL")],
        {(0, "entry"): YES, (1, "exit"): YES},
        [(1, "entry", 101), (2, "exit", 102)],
        {
            "0-entry": ["approved", "working", "filled"],
            "0-stop": ["approved", "working", "cancelled"],
            "0-target": ["approved", "working", "cancelled"],
            "1-exit": ["approved", "working", "filled"],
        },
    ),
    Case(
        "a rejected exit leaves the stop at work",
        "required",
        [flat(100), flat(101), (95, 96, 89, 90), flat(90)],
        [BUY, Said(1, "AAA", "SELL")],
        {(0, "entry"): YES, (1, "exit"): NO},
        [(1, "entry", 101), (2, "stop", 90)],
        {
            "0-entry": ["approved", "working", "filled"],
            "0-stop": ["approved", "working", "filled"],
            "0-target": ["approved", "working", "cancelled"],
            "1-exit": ["rejected"],
        },
    ),
    Case(
        "exits do not wait where entries do",
        "entries",
        [flat(100), flat(101), flat(102), flat(103)],
        [BUY, Said(1, "AAA", "SELL")],
        {(0, "entry"): YES},
        [(1, "entry", 101), (2, "exit", 102)],
        {
            "0-entry": ["approved", "working", "filled"],
            "0-stop": ["approved", "working", "cancelled"],
            "0-target": ["approved", "working", "cancelled"],
            "1-exit": ["working", "filled"],
        },
    ),
    Case(
        "an approved entry waits for the symbol's next bar",
        "required",
        [flat(100), None, (103, 104, 102, 103)],
        [BUY],
        {(0, "entry"): YES},
        [(2, "entry", 103)],
        {
            "0-entry": ["approved", "working", "filled"],
            "0-stop": ["approved", "working"],
            "0-target": ["approved", "working"],
        },
    ),
    Case(
        "an approved entry follows a split before the open",
        "required",
        [flat(100), (51, 52, 44, 50), flat(50)],
        [BUY],
        {(0, "entry"): YES},
        [(1, "entry", 51), (1, "stop", 45)],
        {
            "0-entry": ["approved", "working", "working", "filled"],
            "0-stop": ["approved", "working", "filled"],
            "0-target": ["approved", "working", "cancelled"],
        },
        [Happened(1, "AAA", "split", 2.0)],
    ),
]


def plan_of(rule: str = "required", **changes: Any) -> Plan:
    execution = {"bracket": True, "approval": rule}
    return Plan.of(make_spec(execution=execution, **changes))


def evening_by_evening(
    plan: Plan, days: MarketDays, answers: Mapping[tuple[int, str], Ruling]
) -> list[Walked]:
    """Walk session after session from stored states, as evenings do."""
    rule = plan.spec.execution.approval
    walked: list[Walked] = []
    opening = Opening.with_capital(plan.spec.capital)
    told: dict[date, Answers] = {}
    for day, session in enumerate(days.sessions):
        shown = replace(_only(days, day), approvals={session: rule}, answers={**told})
        today = walk(plan, shown, opening)
        walked.append(today)
        told = _answered(plan, days, day, today.orders, answers)
        opening = Opening.from_state(today.closings[0].state, today.closings[0].book_hash)
    return walked


def _only(days: MarketDays, day: int) -> MarketDays:
    """Day number *day* alone."""
    rest = days.since(day)
    return replace(
        rest,
        sessions=rest.sessions[:1],
        opens_at=rest.opens_at[:1],
        closes_at=rest.closes_at[:1],
        prices=rest.prices[:1],
        wanted=rest.wanted[:1],
        levels=rest.levels[:1],
        volatility=rest.volatility[:1],
        actions={at: own for at, own in rest.actions.items() if at == 0},
    )


def _answered(
    plan: Plan,
    days: MarketDays,
    day: int,
    orders: Sequence[Row],
    answers: Mapping[tuple[int, str], Ruling],
) -> dict[date, Answers]:
    if day + 1 == len(days.sessions):
        return {}
    waiting = [row for row in orders if row["status"] == "awaiting_approval"]
    asked = families(plan.spec.name, waiting, Lane.SIMULATED)
    said = {
        (order_id, payload_hash(family, "")): answers[day, family[0].leg.value]
        for order_id, family in asked.items()
        if (day, family[0].leg.value) in answers
    }
    return {days.sessions[day + 1]: said}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_what_waits_trades_as_it_was_answered(case: Case) -> None:
    days = make_days({"AAA": case.days}, said=case.said, happened=case.happened)

    walked = evening_by_evening(plan_of(case.rule), days, case.answers)

    fills = [
        (days.sessions.index(row["session"]), _leg(row["order_id"]), row["price"])
        for today in walked
        for row in today.log.fills
    ]
    assert fills == list(case.fills)
    events: dict[str, list[str]] = {}
    for today in walked:
        for row in today.log.order_events:
            session = date.fromisoformat(row["order_id"][len("reference-") :][:10])
            name = f"{days.sessions.index(session)}-{_leg(row['order_id'])}"
            events.setdefault(name, []).append(row["status"])
    assert events == {name: list(own) for name, own in case.events.items()}
    seen = [(r["order_id"], r["seq"]) for own in walked for r in own.log.order_events]
    assert len(set(seen)) == len(seen)


def _leg(order_id: str) -> str:
    return order_id.rpartition("-")[2]


def test_an_order_that_waits_tells_so_and_when_it_was_decided() -> None:
    days = make_days({"AAA": [flat(100)]}, said=[BUY])
    days = replace(days, approvals={FIRST: ApprovalRule.REQUIRED})

    walked = walk(plan_of(), days, Opening.with_capital(10_000))

    for row in walked.orders:
        assert row["status"] == "awaiting_approval"
        assert (row["submitted_at"], row["broker_order_id"]) == (None, "")
        assert row["decided_at"] == days.closes_at[0]
    assert walked.log.order_events == []


def test_who_answered_is_told_with_the_order() -> None:
    days = make_days({"AAA": [flat(100), flat(101)]}, said=[BUY])

    _, today = evening_by_evening(plan_of(), days, {(0, "entry"): NO})

    assert {row["reason"] for row in today.log.order_events} == {
        "rejected by bob: too early"
    }
    assert {row["at"] for row in today.log.order_events} == {days.opens_at[1]}


# What holds whatever the market does


class Everything(dict[tuple[str, str], Ruling]):
    """Answers everything alike."""

    def __init__(self, ruling: Ruling) -> None:
        super().__init__()
        self._ruling = ruling

    def get(self, key: object, default: object = None) -> Any:
        del key, default
        return self._ruling


def asking(scenario: Scenario, rule: ApprovalRule, answer: Ruling | None) -> Walked:
    """*scenario* with everybody asked in every session, and always answering the same."""
    days = scenario.days()
    answers = {own: Everything(answer) for own in days.sessions} if answer else {}
    rules = dict.fromkeys(days.sessions, rule)
    shown = replace(days, approvals=rules, answers=answers)
    return walk(Plan.of(scenario.spec), shown, Opening.with_capital(100_000.0))


def booked(walked: Walked) -> dict[str, list[Row]]:
    """What was traded, and what is held; without the hashes of what led to it."""
    rows = {name: own for name, own in walked.rows.items() if "order" not in name}
    portfolio = [{**row, "book_hash": ""} for row in rows.pop("portfolio")]
    return rows | {"portfolio": portfolio}


@given(scenario=scenarios())
@WALKS
def test_a_book_in_which_all_is_approved_is_the_one_that_asks_nobody(
    scenario: Scenario,
) -> None:
    asked = asking(scenario, ApprovalRule.REQUIRED, YES)

    assert booked(asked) == booked(scenario.walk())


@given(scenario=scenarios())
@WALKS
def test_a_book_in_which_nothing_is_approved_trades_nothing(scenario: Scenario) -> None:
    assert asking(scenario, ApprovalRule.REQUIRED, None).log.fills == []
    assert asking(scenario, ApprovalRule.ENTRIES, NO).log.fills == []


@given(scenario=scenarios())
@WALKS
def test_evening_by_evening_gives_what_a_range_gives(scenario: Scenario) -> None:
    plan, days = Plan.of(scenario.spec), scenario.days()
    at_once = asking(scenario, ApprovalRule.REQUIRED, YES)
    opening, closings, fills = Opening.with_capital(100_000.0), [], []
    for day, session in enumerate(days.sessions):
        shown = replace(
            _only(days, day),
            approvals={session: ApprovalRule.REQUIRED},
            answers={session: Everything(YES)},
        )
        today = walk(plan, shown, opening)
        closings += today.closings
        fills += today.log.fills
        closed = today.closings[0]
        opening = Opening.from_state(closed.state, closed.book_hash)

    assert [own.book_hash for own in closings] == [it.book_hash for it in at_once.closings]
    assert fills == at_once.log.fills


# Hashes


def test_asking_and_answering_is_part_of_a_books_hash_where_it_happened() -> None:
    days = make_days({"AAA": [flat(100), flat(101)]}, said=[BUY])
    plan = plan_of()

    def hashed(day: int, **known: Any) -> str:
        return link(plan, replace(days, **known), day, "before", ("AAA",))

    asked = {"approvals": {DAYS[0]: ApprovalRule.REQUIRED}}
    said = {"answers": {DAYS[1]: {("order", "hash"): YES}}}
    other = {"answers": {DAYS[1]: {("order", "hash"): NO}}}
    assert hashed(0) != hashed(0, **asked)
    assert hashed(0, **asked) == hashed(0, **asked, **said)
    assert hashed(1) == hashed(1, **asked)
    assert len({hashed(1, **asked, **own) for own in ({}, said, other)}) == 3


def test_a_book_that_asks_nobody_keeps_the_hash_it_had() -> None:
    # As the code gave them that knew of no approvals.
    days = make_days({"AAA": [flat(100), flat(101)]}, said=[BUY])
    plan = Plan.of(make_spec(execution={"bracket": True}))

    walked = walk(plan, days, Opening.with_capital(10_000))

    assert [own.book_hash for own in walked.closings] == [
        "a732ed7aca5cde01ffa11a2ad12309b1",
        "2eb9bf9ee374bbcb2132736b5cfc663d",
    ]
    assert "waiting" not in walked.closings[0].state


@pytest.mark.parametrize("other", ["shares", "price", "account", "leg"])
def test_whatever_else_is_asked_has_another_hash(other: str) -> None:
    entry, stop, target = make_bracket()
    changed = {
        "shares": [entry.model_copy(update={"shares": 11}), stop, target],
        "price": [entry, stop.model_copy(update={"stop_price": 95.01}), target],
        "account": [entry, stop, target],
        "leg": [entry, stop],
    }[other]

    account = "DU7654321" if other == "account" else "DU1234567"
    assert payload_hash(changed, account) != payload_hash(
        [entry, stop, target], "DU1234567"
    )
