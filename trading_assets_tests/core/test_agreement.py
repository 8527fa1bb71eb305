"""What an account should hold by all that we know: counted by hand."""

from datetime import UTC, datetime, timedelta

import pytest

from trading_assets.core.agreement import (
    Difference,
    Split,
    adoptions_of,
    differences,
    expected_shares,
    strangers,
)
from trading_assets.models.account import Adoption, AdoptionKind
from trading_assets.models.base import Side
from trading_assets.models.intent import Execution

START = datetime(2026, 11, 16, 15, tzinfo=UTC)
OURS = ("paper-1",)


def at(day: float) -> datetime:
    return START + timedelta(days=day)


def traded(
    shares: float,
    day: float = 0,
    *,
    symbol: str = "AAA",
    ref: str = "paper-1",
    key: str = "e1",
    correction: int = 1,
) -> Execution:
    """So many shares bought or, below zero, sold."""
    return Execution(
        account="DU1",
        exec_key=key,
        correction=correction,
        order_ref=ref,
        perm_id=1,
        con_id=101,
        symbol=symbol,
        currency="USD",
        side=Side.BUY if shares > 0 else Side.SELL,
        shares=abs(shares),
        price=10.0,
        at=at(day),
    )


def adopted(shares: float, day: float = 0, *, key: str = "") -> Adoption:
    return Adoption(
        account="DU1",
        kind=AdoptionKind.EXTERNAL_TRADE if key else AdoptionKind.BASELINE,
        symbol="AAA",
        con_id=101,
        shares=shares,
        exec_key=key,
        who="ann",
        why="was there",
        at=at(day),
    )


def test_our_executions_are_expected_and_those_of_others_are_not() -> None:
    executions = [traded(10), traded(-4, 1, key="e2"), traded(7, ref="", key="e3")]

    assert expected_shares(OURS, executions, [], []) == {"AAA": 6.0}


def test_what_was_sold_out_is_not_expected_at_all() -> None:
    assert expected_shares(OURS, [traded(10), traded(-10, 1, key="e2")], [], []) == {}


def test_a_corrected_execution_counts_as_corrected() -> None:
    executions = [traded(10), traded(8, correction=2)]

    assert expected_shares(OURS, executions, [], []) == {"AAA": 8.0}


def test_what_was_adopted_is_expected() -> None:
    assert expected_shares(OURS, [traded(10)], [adopted(5)], []) == {"AAA": 15.0}


def test_a_split_multiplies_what_was_held_before_it_and_nothing_later() -> None:
    executions = [traded(11), traded(3, 4, key="e2")]
    split = Split(at(2), "AAA", 1.5)

    assert expected_shares(OURS, executions, [], [split]) == {"AAA": 16.0 + 3.0}


def test_a_split_after_everything_still_counts() -> None:
    split = Split(at(9), "AAA", 4.0)

    assert expected_shares(OURS, [traded(10)], [adopted(1, 3)], [split]) == {"AAA": 44.0}


def test_only_what_differs_is_named_with_who_has_traded_it() -> None:
    stranger = traded(7, ref="by hand", key="e3")

    found = differences({"AAA": 3.0, "BBB": 5.0}, {"AAA": 10.0, "BBB": 5.0}, [stranger])

    assert found == [Difference("AAA", 3.0, 10.0, (stranger,))]
    assert "traded by others: BUY 7 at 10 on 2026-11-16 15:00 UTC (e3)" in str(found[0])


def test_what_was_adopted_is_no_strangers_any_more() -> None:
    executions = [traded(7, ref="", key="e3"), traded(2, ref="x", key="e4"), traded(1)]

    left = strangers(OURS, executions, [adopted(7, key="e3")])

    assert [it.exec_key for it in left] == ["e4"]


@pytest.mark.parametrize(
    ("held", "parts"),
    [
        (7.0, [("external_trade", 7.0, "e3")]),
        (9.0, [("external_trade", 7.0, "e3"), ("baseline", 2.0, "")]),
        (0.0, [("external_trade", 7.0, "e3"), ("baseline", -7.0, "")]),
    ],
)
def test_adopting_makes_exactly_what_is_held_expected(
    held: float, parts: list[tuple[str, float, str]]
) -> None:
    stranger = traded(7, ref="", key="e3")
    found = differences({"AAA": 1.0}, {"AAA": 1.0 + held}, [stranger])
    found = found or [Difference("AAA", 1.0, 1.0, (stranger,))]

    made = adoptions_of("DU1", found, {"AAA": 101}, who="ann", why="mine", at=at(1))

    assert [(it.kind.value, it.shares, it.exec_key) for it in made] == parts
    again = expected_shares(OURS, [traded(1), stranger], made, [])
    assert again.get("AAA", 0.0) == 1.0 + held
