"""A book that is sized by calibrated confidence: the same, however it is made."""

from pathlib import Path

import pytest

from trading_assets.defs.jobs import BOOK
from trading_assets.models.tables import ORDERS, SIGNAL_OUTCOMES
from trading_assets_tests.defs.world import CROSS, World, assert_same_tables

CAREFUL = CROSS.replace("shares: 100}", "shares: 100, confidence: calibrated}")
COUNT = 118
"""Sessions of the market: the last dozen know of more than 200 resolved signals."""

EVENINGS = 3
WITHOUT_RECORD = BOOK[:-1]


@pytest.mark.long
def test_evenings_give_the_calibrated_book_of_a_range(tmp_path: Path) -> None:
    ranged = World.made(tmp_path / "ranged", count=COUNT, strategies=[CAREFUL])
    assert ranged.make_market().success
    assert ranged.make_view("cross").success
    assert ranged.make_book("cross", only=WITHOUT_RECORD).success
    world = World.made(tmp_path / "world", count=COUNT, strategies=[CAREFUL])
    before = world.sessions[-EVENINGS - 1]
    assert world.make_market(last=before).success
    assert world.make_view("cross", last=before).success
    assert world.make_book("cross", last=before, only=WITHOUT_RECORD).success

    for day in world.sessions[-EVENINGS:]:
        assert world.make_market(day, day).success
        assert world.make_view("cross", day, day).success
        assert world.make_book("cross", day, day, only=WITHOUT_RECORD).success

    assert_same_tables(world.tables(), ranged.tables())
    reasons = ranged.warehouse.read(ORDERS)["reason"]
    assert reasons.str.contains("(uncalibrated)", regex=False).any()
    assert reasons.str.contains(r"x 0\.\d\d \(p 0\.\d{3}, b").any()
    assert ranged.warehouse.read(SIGNAL_OUTCOMES).empty

    expected = ranged.tables()
    assert ranged.make_book("cross", only=WITHOUT_RECORD).success
    assert_same_tables(ranged.tables(), expected)
    assert set(expected["portfolio"]["generation"]) == {0}
