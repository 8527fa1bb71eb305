from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_assets.core.opinions import Opinions, confidence_of
from trading_assets.errors import InvalidStrategy
from trading_assets.models.signal import Confidence
from trading_assets_tests.core.viewing import make_views

NOWHERE = np.array([False, False])
FIRST_ROW = np.array([True, False])


def opinions(**told: Any) -> Opinions:
    views = make_views([10.0, 11.0], {"x": [1.0, 2.0]})
    return Opinions.of(
        views.seeing(["x"], 1),
        **{"buy": NOWHERE, "sell": NOWHERE, "reason": str} | told,
    )


@pytest.mark.parametrize(
    ("score", "expected"),
    [
        (0.0, Confidence.LOW),
        (39.999, Confidence.LOW),
        (40.0, Confidence.MEDIUM),
        (69.999, Confidence.MEDIUM),
        (70.0, Confidence.HIGH),
        (100.0, Confidence.HIGH),
    ],
)
def test_confidence_is_high_from_70_and_medium_from_40(
    score: float, expected: Confidence
) -> None:
    assert confidence_of(score) is expected


def test_what_is_neither_bought_nor_sold_stays() -> None:
    assert opinions(buy=FIRST_ROW).action.tolist() == [1, 0]
    assert opinions(sell=FIRST_ROW).action.tolist() == [-1, 0]


def test_levels_belong_to_what_is_to_be_done() -> None:
    told = opinions(buy=FIRST_ROW, entry=10.0, stop=9.0, target=np.array([12.0, 13.0]))

    np.testing.assert_array_equal(told.entry, [10.0, np.nan])
    np.testing.assert_array_equal(told.stop, [9.0, np.nan])
    np.testing.assert_array_equal(told.target, [12.0, np.nan])


def test_a_level_at_or_below_zero_is_none() -> None:
    assert np.isnan(opinions(sell=FIRST_ROW, target=-1.0).target).all()


def test_a_row_with_something_missing_abstains_and_says_nothing_else() -> None:
    views = make_views([10.0, 11.0], {"x": [None, 2.0]}).seeing(["x"], 1)
    everywhere = np.array([True, True])

    told = Opinions.of(views, buy=everywhere, sell=NOWHERE, reason=str, stop=9.0)

    assert told.abstains.tolist() == [True, False]
    assert told.action.tolist() == [0, 1]
    np.testing.assert_array_equal(told.score, [np.nan, 50.0])
    np.testing.assert_array_equal(told.stop, [np.nan, 9.0])


def test_a_rule_may_abstain_for_reasons_of_its_own() -> None:
    assert opinions(buy=FIRST_ROW, abstains=FIRST_ROW).action.tolist() == [0, 0]


@pytest.mark.parametrize(
    ("told", "message"),
    [
        (
            {"buy": FIRST_ROW, "sell": FIRST_ROW},
            "AAA 2024-01-02 is both to buy and to sell",
        ),
        ({"score": 101.0}, "AAA 2024-01-02: score must be 0 to 100, was 101.0"),
        ({"score": np.array([5.0, np.nan])}, "AAA 2024-01-03: score must be 0 to 100"),
        ({"buy": FIRST_ROW, "stop": np.inf}, "stop must be a price above 0, or NaN"),
    ],
)
def test_nonsense_is_refused_by_row(told: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidStrategy, match=message):
        opinions(**told)


def test_opinions_by_hand_are_held_to_one_per_row() -> None:
    short = np.zeros(1)
    told = Opinions(
        short.astype(np.int8), short.astype(bool), short, short, short, short, str
    )

    with pytest.raises(InvalidStrategy, match=r"one value per row, 2; has \(1,\)"):
        told.check(make_views([10.0, 11.0]))


@given(
    st.lists(st.tuples(st.sampled_from([-1, 0, 1]), st.booleans()), min_size=1, max_size=9)
)
def test_abstaining_is_never_an_action(rows: list[tuple[int, bool]]) -> None:
    action = np.array([a for a, _ in rows])
    abstains = np.array([b for _, b in rows])

    told = Opinions.of(
        make_views([1.0] * len(rows)),
        buy=action > 0,
        sell=action < 0,
        reason=str,
        abstains=abstains,
    )

    assert (told.action[abstains] == 0).all()
    assert (told.action[~abstains] == action[~abstains]).all()
