"""What is stored of a source that restates its past, session by session and as a whole."""

import os
from collections.abc import Mapping
from datetime import date
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading_assets.core.as_traded import AsTraded, as_traded
from trading_assets_tests.core.test_restatement import (
    SESSIONS,
    after_splits,
    bars_of,
    changed,
)

PRICES = ["open", "high", "low", "close"]
RATIOS = (2, 3, 4, 10, Fraction(3, 2), Fraction(1, 10))
EXAMPLES = 200 if os.environ.get("TRADING_TEST_PROFILE") == "long" else 12
COPIED_LATE = ("mode.copy_on_write", True)
"""What pandas-ta switches on for the whole process that imports it."""

Splits = Mapping[int, Fraction | int]


def on(at: int) -> date:
    return SESSIONS[at].date()


def known(splits: Splits) -> pd.DataFrame:
    rows = [("AAA", SESSIONS[at], float(ratio)) for at, ratio in splits.items()]
    frame = pd.DataFrame(rows, columns=["symbol", "ex_session", "value"])
    return frame.astype({"ex_session": "datetime64[ns]", "value": "float64"})


def in_one_block(bars: pd.DataFrame) -> pd.DataFrame:
    """*bars* whose numbers lie side by side in memory, as those of a source do."""
    numbers = bars[[*PRICES, "volume"]].astype("float64").to_numpy(copy=True)
    whole = pd.DataFrame(numbers, index=bars.index, columns=[*PRICES, "volume"])
    return pd.concat([bars[["symbol", "session"]], whole], axis=1)[list(bars.columns)]


class Home:
    """What is stored, of a source whose market is *traded* and splits at *splits*.

    Attributes:
        traded: Bars as they were traded.
        stored: Bars that are stored.
        booked: Ratio by number of the ex-session.
    """

    def __init__(self, traded: pd.DataFrame, splits: Splits, overlap: int = 10) -> None:
        self.traded = traded
        self.splits = splits
        self.overlap = overlap
        self.stored = traded.head(0)
        self.booked: dict[int, float] = {}

    def told(self, first: int, last: int, now: int) -> pd.DataFrame:
        """What the source says of a range, asked after session *now*."""
        so_far = {at: ratio for at, ratio in self.splits.items() if at <= now}
        return in_one_block(after_splits(self.traded, so_far).iloc[first : last + 1])

    def pull(self, first: int, last: int, now: int | None = None) -> AsTraded:
        """Ask for a range, and store what may be."""
        asked = (max(first - self.overlap, 0), last)
        told = self.told(*asked, last if now is None else now)
        days = (on(asked[0]), on(asked[1]))
        held = self.stored[self.stored["session"].between(*map(pd.Timestamp, days))]
        made = as_traded(held, told, known(self.booked), days, (on(first), on(last)))
        is_replaced = self.stored["session"].isin(made.bars["session"])
        parts = [self.stored[~is_replaced], made.bars]
        every = pd.concat([own for own in parts if len(own)] or [self.stored])
        self.stored = every.sort_values("session", ignore_index=True)
        for row in made.splits.itertuples():
            self.booked[int(SESSIONS.get_loc(row.ex_session))] = row.value
        return made


def findings(made: AsTraded, *columns: str) -> list[tuple[object, ...]]:
    return list(made.findings[list(columns)].itertuples(index=False, name=None))


@settings(max_examples=EXAMPLES)
@given(
    seed=st.integers(0, 9),
    splits=st.dictionaries(st.sampled_from((5, 17, 31)), st.sampled_from(RATIOS)),
    ends=st.sets(st.integers(0, 39), max_size=6),
)
def test_session_by_session_ends_as_it_was_traded_and_a_whole_pull_changes_nothing(
    seed: int, splits: Splits, ends: set[int]
) -> None:
    """A range that ends before each split, and one that begins with it, may be any."""
    home = Home(bars_of(seed=seed), splits)
    cuts = sorted({*ends, *(at - 1 for at in splits), *splits, 39})
    first = 0
    for last in cuts:
        before = home.stored.copy()
        made = home.pull(first, last)
        assert made.refused == {}
        pd.testing.assert_frame_equal(home.stored.iloc[: len(before)], before)
        first = last + 1

    pd.testing.assert_frame_equal(home.stored, home.traded)
    assert home.booked == {at: float(ratio) for at, ratio in splits.items()}

    again = home.pull(0, 39)

    pd.testing.assert_frame_equal(home.stored, home.traded)
    assert again.findings.empty


@settings(max_examples=EXAMPLES)
@given(
    seed=st.integers(0, 9),
    splits=st.dictionaries(st.integers(1, 39), st.sampled_from(RATIOS), max_size=3),
)
def test_a_first_pull_with_splits_that_are_known_differs_by_rounding_alone(
    seed: int, splits: Splits
) -> None:
    home = Home(bars_of(seed=seed), splits)
    home.booked = {at: float(ratio) for at, ratio in splits.items()}

    made = home.pull(0, 39)
    stored = home.stored.copy()
    home.pull(0, 39)

    assert made.findings.empty
    factor = np.prod([max(1.0, float(ratio)) for ratio in splits.values()])
    off = (stored[PRICES] - home.traded[PRICES]).abs().to_numpy().max()
    assert off <= 0.005 * factor + 1e-6
    np.testing.assert_allclose(
        stored["volume"], home.traded["volume"], rtol=1e-9, atol=1e-3
    )
    pd.testing.assert_frame_equal(home.stored, stored)


def test_a_split_is_booked_in_the_one_session_that_it_can_be_of() -> None:
    home = Home(bars_of(), {20: 4})
    home.pull(0, 19)

    made = home.pull(20, 20)

    assert findings(made, "kind", "ratio", "ex_session", "outcome") == [
        ("split", 4.0, SESSIONS[20], "booked")
    ]
    assert home.booked == {20: 4.0}


def test_after_missed_sessions_nobody_knows_which_it_was_and_nothing_is_stored() -> None:
    home = Home(bars_of(), {22: 4})
    home.pull(0, 19)

    made = home.pull(20, 24)

    assert len(home.stored) == 20
    assert home.booked == {}
    assert "a split of 4 shows in sessions to" in made.refused["AAA"]
    assert "its first session is one of 5" in made.refused["AAA"]

    home.booked = {22: 4.0}  # as a person says
    assert home.pull(20, 24).findings.empty
    np.testing.assert_allclose(home.stored[PRICES], home.traded[PRICES][:25], atol=0.03)


def test_a_split_whose_first_session_is_not_told_yet_waits_for_it() -> None:
    home = Home(bars_of(), {20: 4})
    home.pull(0, 19)

    made = home.pull(15, 19, now=20)

    assert "its first session is not among those told" in made.refused["AAA"]
    assert home.pull(20, 20).refused == {}
    pd.testing.assert_frame_equal(home.stored, home.traded.iloc[:21])


def test_a_split_that_was_seen_a_day_late_names_its_session() -> None:
    home = Home(bars_of(), {20: 4})
    home.pull(0, 19)
    home.pull(20, 20, now=19)  # told as if nothing had been
    home.stored = home.traded.iloc[:21]

    late = home.pull(21, 21)
    assert f"its first session {on(20)} is stored: make bars from" in late.refused["AAA"]

    home.pull(20, 21)
    assert home.booked == {20: 4.0}
    pd.testing.assert_frame_equal(home.stored, home.traded.iloc[:22])


@pytest.mark.parametrize(
    ("at", "outcome", "close"), [(19, "outside", None), (21, "stored", 55.0)]
)
def test_a_corrected_bar_is_stored_in_the_range_and_told_outside_of_it(
    at: int, outcome: str, close: float | None
) -> None:
    home = Home(bars_of(), {})
    home.pull(0, 25)
    before = home.stored.copy()
    low = min(55.0, float(home.traded["low"][at]))
    home.traded = changed(home.traded, at, close=55.0, low=low)

    made = home.pull(20, 25)

    assert findings(made, "kind", "first_session", "outcome") == [
        ("correction", SESSIONS[at], outcome)
    ]
    assert home.stored["close"][at] == (before["close"][at] if close is None else close)
    assert made.refused == {}


def test_a_bar_corrected_before_a_split_is_brought_back() -> None:
    home = Home(bars_of(), {30: 2})
    for first, last in ((0, 29), (30, 30), (31, 39)):
        home.pull(first, last)
    home.traded = changed(home.traded, 12, high=500.0)

    made = home.pull(0, 39)

    assert findings(made, "kind", "fields", "outcome") == [("correction", "high", "stored")]
    assert home.stored["high"][12] == 500.0
    pd.testing.assert_frame_equal(home.stored.drop(12), home.traded.drop(12))


def test_frames_that_are_copied_late_are_brought_back_as_well() -> None:
    home = Home(bars_of(), {30: 2})

    with pd.option_context(*COPIED_LATE):
        for first, last in ((0, 29), (30, 30), (0, 39)):
            home.pull(first, last)

    pd.testing.assert_frame_equal(home.stored, home.traded)


def test_a_withdrawn_bar_stops_its_symbol() -> None:
    home = Home(bars_of(), {})
    home.pull(0, 25)
    home.traded = home.traded.drop(index=[25])

    made = home.pull(25, 26)

    assert findings(made, "kind", "outcome") == [("withdrawn", "refused")]
    assert "is stored, and not told any more" in made.refused["AAA"]
    assert len(home.stored) == 26


def test_a_known_split_that_does_not_show_stops_its_symbol() -> None:
    home = Home(bars_of(), {})
    home.pull(0, 25)
    home.booked = {20: 2.0}

    made = home.pull(26, 27)

    assert "should be divided by 2" in made.refused["AAA"]
    assert len(home.stored) == 26


def test_another_ratio_than_the_known_one_stops_its_symbol() -> None:
    home = Home(bars_of(), {26: 4})
    home.pull(0, 25)
    home.booked = {26: 2.0}

    made = home.pull(26, 26)

    assert f"it is not the one that is known (2 on {on(26)})" in made.refused["AAA"]


def test_a_range_before_what_is_stored_is_held_against_it() -> None:
    """A split since the last pull shows only in the sessions behind the range."""
    home = Home(bars_of(), {30: 4})
    home.pull(10, 29)
    told = home.told(0, 19, now=35)
    held = home.stored[home.stored["session"] <= SESSIONS[19]]

    made = as_traded(held, told, known({}), (on(0), on(19)), (on(0), on(9)))

    assert "its first session is not among those told" in made.refused["AAA"]


def test_symbols_do_not_concern_each_other() -> None:
    first, second = bars_of("AAA"), bars_of("BBB", seed=2)
    stored = pd.concat([first.iloc[:20], second.iloc[:20]])
    told = pd.concat([after_splits(first, {20: 4}).iloc[10:21], second.iloc[10:20]])

    made = as_traded(
        stored[stored["session"] >= SESSIONS[10]],
        told,
        known({}),
        (on(10), on(20)),
        (on(20), on(20)),
    )

    assert made.splits["symbol"].tolist() == ["AAA"]
    pd.testing.assert_frame_equal(made.bars, first.iloc[[20]].reset_index(drop=True))


def test_nothing_told_is_nothing_to_store() -> None:
    nothing = bars_of().head(0)

    made = as_traded(nothing, nothing, known({}), (on(0), on(9)), (on(5), on(9)))

    assert made.bars.empty
    assert made.splits.empty
    assert made.findings.empty
