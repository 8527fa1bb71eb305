"""Which legs are missing, and which orders have expired."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from trading_assets.core.guarding import (
    UNSENT,
    expired,
    legs_missing,
    opening_entries,
)
from trading_assets.core.order_states import OrderStanding, order_standing
from trading_assets.models.base import Side
from trading_assets.models.intent import FactKind, OrderTicket
from trading_assets.models.order import Leg
from trading_assets.sessions import trading_calendar
from trading_assets_tests.make_intents import (
    SESSION,
    make_bracket,
    make_execution,
    make_fact,
    make_intent,
    make_order_ticket,
)

ENTRY, STOP, TARGET = make_bracket()
EXIT = make_order_ticket(Leg.EXIT)
HELD = {"AAPL": 10.0}
NO_ONE: set[tuple[str, Side]] = set()
GONE = (FactKind.WORKING, FactKind.MISSING)
CALENDAR = trading_calendar()
OVER = datetime(2026, 11, 20, 21, 30, tzinfo=UTC)
"""Half an hour after the close of the session after `SESSION`."""


def standing(
    ticket: OrderTicket, *told: FactKind, filled: float = 0, **changes: Any
) -> OrderStanding:
    executions = [make_execution(filled, order_ref=ticket.order_id)] if filled else []
    facts = [make_fact(kind) for kind in told]
    return order_standing(make_intent(ticket, **changes), facts, executions)


def missing(
    *others: OrderStanding,
    held: dict[str, float] | None = None,
    decided: tuple[OrderTicket, ...] = (STOP,),
    refused: dict[str, str] | None = None,
    strangers: set[tuple[str, Side]] | None = None,
) -> list[tuple[str, str, bool]]:
    """What is missing of *decided* beside an entry that has filled."""
    standings = [standing(ENTRY, FactKind.WORKING, filled=10), *others]
    found = legs_missing(
        HELD if held is None else held,
        decided,
        {it.order_id: it for it in standings},
        refused=refused or {},
        others=strangers or NO_ONE,
    )
    return [(it.ticket.leg.value, it.state, it.may_be_sent) for it in found]


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        pytest.param((FactKind.WORKING,), [], id="works"),
        pytest.param((FactKind.SENT,), [], id="in doubt"),
        pytest.param(GONE, [("stop", "missing", True)], id="missing"),
        pytest.param((FactKind.REJECTED,), [("stop", "rejected", False)], id="rejected"),
        pytest.param((FactKind.INACTIVE,), [("stop", "inactive", False)], id="inactive"),
        pytest.param(
            (FactKind.WORKING, FactKind.CANCELLED),
            [("stop", "cancelled", False)],
            id="cancelled",
        ),
    ],
)
def test_a_leg_of_what_is_held_is_missing_unless_it_works(
    told: tuple[FactKind, ...], expected: list[tuple[str, str, bool]]
) -> None:
    assert missing(standing(STOP, *told)) == expected


def test_a_leg_that_was_decided_and_never_committed_is_missing() -> None:
    assert missing() == [("stop", UNSENT, True)]


def test_a_leg_that_was_refused_at_the_border_is_missing_and_not_to_be_sent() -> None:
    assert missing(refused={STOP.order_id: "halt"}) == [("stop", UNSENT, False)]


@pytest.mark.parametrize("held", [{}, {"AAPL": 0.0}, {"MSFT": 10.0}, {"AAPL": -10.0}])
def test_nothing_is_missing_where_nothing_is_to_be_protected(
    held: dict[str, float],
) -> None:
    assert missing(standing(STOP, *GONE), held=held) == []


def test_an_exit_that_works_takes_over_from_the_legs() -> None:
    assert missing(standing(STOP, *GONE), standing(EXIT, FactKind.WORKING)) == []


def test_a_leg_is_missing_beside_another_that_works_and_is_not_sent_beside_it() -> None:
    target = standing(TARGET, FactKind.WORKING)

    assert missing(standing(STOP, *GONE), target) == [("stop", "missing", False)]


def test_a_leg_that_was_cancelled_beside_another_that_works_is_not_missing() -> None:
    target = standing(TARGET, FactKind.WORKING)

    assert missing(standing(STOP, FactKind.CANCELLED), target) == []


def test_a_strangers_sell_keeps_a_leg_from_being_sent() -> None:
    found = missing(standing(STOP, *GONE), strangers={("AAPL", Side.SELL)})

    assert found == [("stop", "missing", False)]


def test_a_leg_of_more_than_is_held_is_not_sent() -> None:
    assert missing(standing(STOP, *GONE), held={"AAPL": 4.0}) == [
        ("stop", "missing", False)
    ]


def test_a_leg_that_has_filled_in_part_is_not_sent() -> None:
    stop = standing(STOP, *GONE, filled=4)

    assert missing(stop, held={"AAPL": 10.0}) == [("stop", "missing", False)]


def test_both_legs_may_be_missing() -> None:
    legs = (STOP, TARGET)
    found = missing(*(standing(leg, *GONE) for leg in legs), decided=legs)

    assert found == [("stop", "missing", True), ("target", "missing", True)]


def test_a_leg_of_an_earlier_position_is_not_missed() -> None:
    later = make_bracket(session=SESSION + timedelta(days=1))
    found = missing(
        standing(STOP, *GONE),
        standing(later[0], FactKind.WORKING, filled=10),
        standing(later[1], FactKind.WORKING),
        decided=(STOP, later[1]),
    )

    assert found == []


def test_the_newest_entry_that_has_filled_has_opened_what_is_held() -> None:
    later = make_order_ticket(session=SESSION + timedelta(days=1))
    unfilled = make_order_ticket(session=SESSION + timedelta(days=2))
    standings = [
        standing(later, FactKind.WORKING, filled=10),
        standing(ENTRY, FactKind.WORKING, filled=10),
        standing(unfilled, FactKind.WORKING),
    ]

    found = opening_entries(HELD, standings)

    assert {symbol: it.order_id for symbol, it in found.items()} == {"AAPL": later.order_id}


def test_what_is_missing_says_so_in_words() -> None:
    stop = standing(STOP, *GONE)
    entry = standing(ENTRY, FactKind.WORKING, filled=10)
    [leg] = legs_missing(
        HELD,
        [STOP],
        {it.order_id: it for it in (entry, stop)},
        refused={},
        others=NO_ONE,
    )

    assert str(leg) == (
        "trend-2026-11-19-AAPL-stop does not work at the broker and 10 AAPL are held; it "
        "is missing"
    )


# Days that are over


def over(*unsettled: OrderStanding, at: datetime = OVER) -> list[str]:
    return [it.order_id for it in expired(unsettled, at, CALENDAR)]


def test_a_missing_order_has_expired_half_an_hour_after_the_close_of_its_day() -> None:
    entry = standing(ENTRY, *GONE)

    assert over(entry) == [ENTRY.order_id]
    assert over(entry, at=OVER - timedelta(seconds=1)) == []


@pytest.mark.parametrize(
    "told", [(FactKind.WORKING,), (FactKind.SENT,), (FactKind.SENT, FactKind.UNKNOWN)]
)
def test_an_order_that_is_not_missing_has_not_expired(told: tuple[FactKind, ...]) -> None:
    assert over(standing(ENTRY, *told)) == []


def test_an_order_that_lives_until_it_is_cancelled_never_expires() -> None:
    assert over(standing(STOP, *GONE)) == []


def test_an_order_whose_fill_another_could_hide_is_left_to_a_person() -> None:
    assert over(standing(ENTRY, *GONE), standing(STOP, *GONE)) == []
    assert over(standing(ENTRY, *GONE), standing(STOP, FactKind.WORKING)) == [
        ENTRY.order_id
    ]
