from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_assets.core.restatement import partitions_to_redo, restatements
from trading_assets_tests.make import make_sessions

SESSIONS = pd.DatetimeIndex(make_sessions(60))


def bars_of(
    symbol: str = "AAA", *, seed: int = 1, price: float = 100.0, count: int = 40
) -> pd.DataFrame:
    """A walk in cents."""
    random = np.random.default_rng(seed)
    close = price * np.exp(np.cumsum(random.normal(0, 0.02, count)))
    open_ = close * np.exp(random.normal(0, 0.005, count))
    frame = pd.DataFrame(
        {
            "symbol": symbol,
            "session": SESSIONS[:count],
            "open": open_,
            "high": np.maximum(open_, close) * 1.01,
            "low": np.minimum(open_, close) * 0.99,
            "close": close,
        }
    ).round(2)
    return frame.assign(volume=random.integers(1_000, 9_000, count) * 100.0)


def after_splits(bars: pd.DataFrame, splits: dict[int, Fraction | int]) -> pd.DataFrame:
    """*bars* as they are told after a split before each of the numbered sessions."""
    scale = np.ones(len(bars))
    for ex, ratio in splits.items():
        scale[(bars["session"] < SESSIONS[ex]).to_numpy()] *= float(ratio)
    prices = ["open", "high", "low", "close"]
    told = bars.assign(volume=bars["volume"] * scale)
    told[prices] = told[prices].div(scale, axis=0).round(2)
    return told


def after_split(bars: pd.DataFrame, ex: int, ratio: Fraction | int) -> pd.DataFrame:
    return after_splits(bars, {ex: ratio})


def changed(bars: pd.DataFrame, at: int, **fields: float) -> pd.DataFrame:
    told = bars.copy()
    for field, value in fields.items():
        told.loc[at, field] = value
    return told


def rows(found: pd.DataFrame, *columns: str) -> list[tuple[Any, ...]]:
    return list(found[list(columns)].itertuples(index=False, name=None))


def number(session: Any) -> int:
    return int(SESSIONS.get_loc(session))


def test_the_same_bars_are_no_restatement() -> None:
    bars = bars_of()

    found = restatements(bars, bars.sample(frac=1.0, random_state=1))

    assert found.empty
    assert partitions_to_redo(found, bars).empty


def test_bars_that_do_not_overlap_are_none_either() -> None:
    bars = bars_of()

    assert restatements(bars.iloc[:20], bars.iloc[20:]).empty
    assert restatements(bars, bars_of("BBB")).empty
    assert restatements(bars.head(0), bars).empty
    assert restatements(bars, bars.head(0)).empty


@pytest.mark.parametrize(
    "ratio",
    [2, 3, 4, 7, 10, Fraction(3, 2), Fraction(5, 4), Fraction(21, 20), Fraction(1, 10)],
    ids=str,
)
def test_a_split_is_found_with_its_ratio_and_its_first_session(ratio: Fraction) -> None:
    stored = bars_of()

    found = restatements(stored, after_split(stored, 25, ratio))

    assert found["kind"].tolist() == ["split"]
    assert found["ratio"][0] == float(ratio)
    assert number(found["ex_session"][0]) == 25
    assert (number(found["first_session"][0]), number(found["last_session"][0])) == (0, 24)
    assert found["sessions"][0] == 25


def test_a_split_after_all_that_is_stored_has_the_first_new_session() -> None:
    bars = bars_of()
    told = after_split(bars, 30, 4).iloc[20:33]

    found = restatements(bars.iloc[:30], told)

    assert rows(found, "kind", "ratio", "sessions") == [("split", 4.0, 30)]
    assert number(found["ex_session"][0]) == 30


def test_a_split_whose_first_session_is_not_told_has_none() -> None:
    bars = bars_of().iloc[:30]

    found = restatements(bars, after_split(bars, 30, 4).iloc[20:30])

    assert rows(found, "kind", "ratio") == [("split", 4.0)]
    assert pd.isna(found["ex_session"][0])


def test_a_split_concerns_what_is_stored_before_the_range_that_was_told() -> None:
    bars = bars_of()

    found = restatements(bars, after_split(bars, 35, 4).iloc[30:])

    assert number(found["first_session"][0]) == 0
    redo = partitions_to_redo(found, bars)
    assert redo["session"].tolist() == list(SESSIONS[:35])


def test_two_splits_are_two_findings_with_a_ratio_each() -> None:
    stored = bars_of()

    found = restatements(stored, after_splits(stored, {15: 3, 30: 2}))

    assert rows(found, "kind", "ratio", "sessions") == [
        ("split", 3.0, 15),
        ("split", 2.0, 15),
    ]
    assert [number(on) for on in found["ex_session"]] == [15, 30]
    assert [number(on) for on in found["first_session"]] == [0, 15]


def test_partitions_that_were_made_again_already_are_not_named() -> None:
    bars = bars_of()
    told = after_split(bars, 30, 4)
    half_done = pd.concat([told.iloc[:10], bars.iloc[10:]])

    found = restatements(half_done, told)

    assert rows(found, "kind", "ratio", "sessions") == [("split", 4.0, 20)]
    assert number(found["first_session"][0]) == 10


@pytest.mark.parametrize("field", ["open", "high", "low", "close", "volume"])
@pytest.mark.parametrize("at", [0, 17, 39])
def test_a_corrected_field_is_a_correction_of_one_partition(field: str, at: int) -> None:
    stored = bars_of()
    told = changed(stored, at, **{field: stored[field][at] + 0.01})

    found = restatements(stored, told)

    assert rows(found, "kind", "fields", "sessions") == [("correction", field, 1)]
    assert found["first_session"].tolist() == found["last_session"].tolist()
    assert number(found["first_session"][0]) == at
    assert found["ratio"].isna().all()


@pytest.mark.parametrize("at", [1, 17, 38, 39])
def test_one_bar_in_another_scale_is_no_split(at: int) -> None:
    stored = bars_of()
    told = stored.copy()
    told.loc[at, ["open", "high", "low", "close"]] /= 2

    found = restatements(stored, told.round(2))

    assert rows(found, "kind", "fields") == [("correction", "open, high, low, close")]
    assert number(found["first_session"][0]) == at


def test_a_correction_on_the_day_before_a_split_does_not_move_the_split() -> None:
    stored = bars_of()
    told = changed(after_split(stored, 25, 4), 24, high=999.0)

    found = restatements(stored, told)

    assert rows(found, "kind", "ratio", "sessions") == [("split", 4.0, 25)]
    assert number(found["ex_session"][0]) == 25


@pytest.mark.parametrize("at", [25, 26, 30, 39])
def test_a_correction_after_a_split_is_told_beside_it(at: int) -> None:
    stored = bars_of()
    told = changed(after_split(stored, 25, 4), at, close=stored["close"][at] + 0.02)

    found = restatements(stored, told)

    assert rows(found, "kind", "sessions") == [("split", 25), ("correction", 1)]
    assert number(found["ex_session"][0]) == 25


def test_a_single_session_is_enough_for_a_split() -> None:
    bars = bars_of()

    found = restatements(bars.iloc[:30], after_split(bars, 30, 4).iloc[29:31])

    assert rows(found, "kind", "ratio") == [("split", 4.0)]
    assert number(found["ex_session"][0]) == 30


def test_a_cent_on_every_bar_is_no_split() -> None:
    stored = bars_of()
    told = stored.copy()
    told[["open", "high", "low", "close"]] += 0.01

    found = restatements(stored, told.round(2))

    assert set(found["kind"]) == {"correction"}
    assert len(found) == len(stored)


def test_what_is_not_told_any_more_or_told_for_the_first_time_is_named() -> None:
    bars = bars_of()
    stored, told = bars.drop(index=12), bars.drop(index=20)

    found = restatements(stored, told)

    assert [(kind, number(on)) for kind, on in rows(found, "kind", "first_session")] == [
        ("added", 12),
        ("withdrawn", 20),
    ]
    redo = partitions_to_redo(found, stored)
    assert [number(on) for on in redo["session"]] == [12, 20]


def test_each_symbol_is_compared_with_itself() -> None:
    one, two = bars_of("AAA"), bars_of("BBB", seed=2)
    told = pd.concat([after_split(two, 10, 2), changed(one, 5, close=one["close"][5] + 1)])

    found = restatements(pd.concat([one, two]), told)

    assert rows(found, "symbol", "kind") == [("AAA", "correction"), ("BBB", "split")]


def test_an_empty_finding_has_the_columns_of_any_other() -> None:
    bars = bars_of()

    none, some = restatements(bars, bars), restatements(bars, after_split(bars, 9, 2))

    assert none.dtypes.drop(["symbol", "kind", "fields"]).equals(
        some.dtypes.drop(["symbol", "kind", "fields"])
    )
    assert list(none.columns) == list(some.columns)


ratios = st.sampled_from(
    [Fraction(n, d) for n in range(1, 11) for d in range(1, 5) if n != d]
    + [Fraction(21, 20), Fraction(20), Fraction(1, 8)]
)


@given(
    seed=st.integers(0, 10_000),
    price=st.floats(60, 900),
    ratio=ratios,
    ex=st.integers(1, 39),
)
def test_any_split_of_any_walk_is_found(
    seed: int, price: float, ratio: Fraction, ex: int
) -> None:
    stored = bars_of(seed=seed, price=price)

    found = restatements(stored, after_split(stored, ex, ratio))

    assert found["kind"].tolist() == ["split"]
    assert number(found["ex_session"][0]) == ex
    assert found["ratio"][0] == pytest.approx(float(ratio), rel=2e-3)
    redo = partitions_to_redo(found, stored)
    assert redo["session"].tolist() == list(SESSIONS[:ex])


@given(
    seed=st.integers(0, 10_000),
    splits=st.dictionaries(st.integers(1, 39), ratios, max_size=3),
    touched=st.dictionaries(
        st.tuples(
            st.integers(0, 39), st.sampled_from(["open", "high", "low", "close", "volume"])
        ),
        st.floats(0.5, 2.0),
        max_size=4,
    ),
    gone=st.sets(st.integers(0, 39), max_size=3),
    new=st.sets(st.integers(0, 39), max_size=3),
)
def test_outside_the_partitions_to_redo_nothing_differs(
    seed: int,
    splits: dict[int, Fraction],
    touched: dict[tuple[int, str], float],
    gone: set[int],
    new: set[int],
) -> None:
    bars = bars_of(seed=seed)
    told = after_splits(bars, {**splits})
    for (at, field), factor in touched.items():
        told = changed(told, at, **{field: told[field][at] * factor})
    stored, told = bars.drop(index=sorted(new)), told.drop(index=sorted(gone))

    redo = partitions_to_redo(restatements(stored, told), stored)

    keys = ["symbol", "session"]
    made_again = told.merge(redo, on=keys)
    is_kept = stored.merge(redo, on=keys, how="left", indicator=True)["_merge"].to_numpy()
    healed = pd.concat([stored[is_kept == "left_only"], made_again]).sort_values("session")
    held = stored["session"]
    expected = told[told["session"].between(held.min(), held.max())]
    span = told["session"]
    healed = healed[healed["session"].between(span.min(), span.max())]
    pd.testing.assert_frame_equal(
        healed.reset_index(drop=True), expected.reset_index(drop=True), check_dtype=False
    )
