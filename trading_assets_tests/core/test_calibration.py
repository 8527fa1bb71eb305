"""What an analyst's word is worth: figures by hand, and what may never be known early."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from trading_assets.core.calibration import (
    ENOUGH,
    Isotonic,
    Sample,
    calibration_of,
    multiples,
    spearman,
    walked_forward,
    wilson,
)
from trading_assets.models.tables import SIGNAL_OUTCOMES
from trading_assets_tests.make import make_sessions

SESSIONS = pd.to_datetime(pd.Series(make_sessions(900)))
HORIZON = 20


def make_outcomes(count: int, **columns: Any) -> pd.DataFrame:
    """*count* BUYs of AAA, one per session: score 70, gained 2 %, resolved in time."""
    net = np.broadcast_to(columns.pop("net_return_frac", 0.02), count).astype(float)
    plain = {
        "strategy": "reference",
        "symbol": "AAA",
        "session": SESSIONS[:count].to_numpy(),
        "horizon_sessions": HORIZON,
        "return_frac": net,
        "alpha_frac": None,
        "first_touch": "time",
        "r_multiple": net / 0.01,
        "mfe_frac": 0.1,
        "mae_frac": -0.1,
        "entry_price": 100.0,
        "exit_price": 100.0,
        "exit_session": SESSIONS[HORIZON : HORIZON + count].to_numpy(),
        "resolved_session": SESSIONS[HORIZON : HORIZON + count].to_numpy(),
        "trade_return_frac": net,
        "net_return_frac": net,
        "action": "BUY",
        "confidence_score": 70.0,
        "analyst": "llm",
        "model": "anthropic/some",
        "prompt_version": "abc",
        "is_out_of_sample": True,
        "is_abstention": False,
        "cost_usd": 0.0,
    }
    return SIGNAL_OUTCOMES.conform(pd.DataFrame(plain | columns, index=range(count)))


# Isotonic regression

scores = st.lists(
    st.tuples(st.integers(0, 100), st.booleans()), min_size=1, max_size=80
).map(sorted)


def fitted(pairs: Sequence[tuple[int, bool]]) -> tuple[Isotonic, np.ndarray, np.ndarray]:
    own, hits = np.array(pairs, dtype=float).T
    points, place = np.unique(own, return_inverse=True)
    counts, true = np.bincount(place), np.bincount(place, weights=hits)
    return Isotonic.fitted(points, true, counts), own, hits


@given(scores)
def test_a_calibrated_probability_never_falls_as_the_score_rises(
    pairs: list[tuple[int, bool]],
) -> None:
    isotonic, own, hits = fitted(pairs)

    everywhere = isotonic(np.linspace(0, 100, 301))

    assert (np.diff(everywhere) >= -1e-15).all()
    assert ((everywhere >= 0) & (everywhere <= 1)).all()
    assert isotonic(own).mean() == pytest.approx(hits.mean())


@given(scores)
def test_it_is_the_one_that_another_library_fits(pairs: list[tuple[int, bool]]) -> None:
    sklearn = pytest.importorskip("sklearn.isotonic")
    isotonic, own, hits = fitted(pairs)

    other = sklearn.IsotonicRegression(out_of_bounds="clip").fit(own, hits)

    assert isotonic(own) == pytest.approx(other.predict(own), abs=1e-9)


# Walking forward


def test_an_analyst_is_uncalibrated_until_enough_signals_are_resolved() -> None:
    outcomes = make_outcomes(ENOUGH + HORIZON + 2)

    found = walked_forward(outcomes, outcomes)

    known = found["probability"].notna().to_numpy()
    first = int(known.argmax())
    assert found["resolved"].iloc[first] == ENOUGH
    assert not known[:first].any()
    assert known[first:].all()
    assert outcomes["resolved_session"].iloc[ENOUGH - 1] < outcomes["session"].iloc[first]
    assert found["resolved"].iloc[first - 1] == ENOUGH - 1


@settings(max_examples=20)
@given(
    st.integers(0, 2**32),
    st.integers(ENOUGH + HORIZON, 279),
    st.sampled_from(["forgotten", "reversed", "contaminated"]),
)
def test_what_happens_later_changes_no_probability(seed: int, at: int, change: str) -> None:
    random = np.random.default_rng(seed)
    own, net = random.integers(0, 101, 280), random.normal(0, 0.03, 280)
    outcomes = make_outcomes(280, confidence_score=own, net_return_frac=net)
    session = outcomes["session"].iloc[at]
    is_later = outcomes["resolved_session"] >= session
    if change == "forgotten":
        altered = outcomes[~is_later]
    elif change == "reversed":
        altered = outcomes.assign(net_return_frac=np.where(is_later, -net, net))
    else:
        altered = outcomes.assign(is_out_of_sample=~is_later)

    before = walked_forward(outcomes, outcomes)[: at + 1]
    after = walked_forward(outcomes, altered)[: at + 1]

    pd.testing.assert_frame_equal(before, after, check_exact=True)
    assert before["probability"].notna().any() == (before["resolved"].max() >= ENOUGH)


def test_the_order_of_rows_and_the_range_asked_for_make_no_difference() -> None:
    random = np.random.default_rng(1)
    count = 400
    outcomes = make_outcomes(
        count,
        symbol=random.choice(["AAA", "BBB"], count),
        confidence_score=random.uniform(0, 100, count),
        net_return_frac=random.normal(0, 0.02, count),
    )
    some = outcomes.iloc[300:310]
    shuffled = outcomes.sample(frac=1, random_state=2)

    whole = walked_forward(outcomes, outcomes)
    part = walked_forward(some, shuffled)

    pd.testing.assert_frame_equal(part, whole.iloc[300:310], check_exact=True)


@pytest.mark.parametrize("known", [False, None])
def test_only_what_is_out_of_sample_is_learnt_from(*, known: bool | None) -> None:
    outcomes = make_outcomes(300, is_out_of_sample=known)

    found = walked_forward(outcomes, outcomes)

    assert found["resolved"].eq(0).all()
    assert found["probability"].isna().all()


@pytest.mark.parametrize("column", ["analyst", "model", "prompt_version"])
def test_another_analyst_model_or_prompt_begins_anew(column: str) -> None:
    made = np.where(np.arange(600) < 300, "one", "other")
    outcomes = make_outcomes(600, **{column: made})

    resolved = walked_forward(outcomes, outcomes)["resolved"]

    assert resolved[299] == 300 - HORIZON - 1
    assert resolved[300] == 0


def test_holding_and_abstaining_teach_nothing() -> None:
    said = np.array(["HOLD", None], dtype=object)[np.arange(300) % 2]
    outcomes = make_outcomes(300, action=said, is_abstention=np.arange(300) % 2 == 1)

    assert walked_forward(outcomes, outcomes)["resolved"].eq(0).all()


def test_scores_that_come_true_more_often_get_a_higher_probability() -> None:
    count = 800
    own = np.where(np.arange(count) % 2, 80.0, 20.0)
    hits = np.where(own == 80.0, np.arange(count) % 10 < 8, np.arange(count) % 10 < 2)
    net = np.where(hits, 0.03, -0.01)
    outcomes = make_outcomes(count, confidence_score=own, net_return_frac=net)

    last = walked_forward(outcomes, outcomes).tail(2)

    # 80 is said on odd sessions, of which 1, 3, 5 and 7 of ten come true; 20 on even ones.
    assert last["probability"].tolist() == pytest.approx([0.2, 0.8], abs=0.01)
    assert last["payoff"].tolist() == pytest.approx([3.0, 3.0])


# Sizes


@given(st.floats(0, 1), st.floats(0.01, 100))
def test_a_multiple_is_a_part_of_the_size_and_grows_with_the_odds(
    probability: float, payoff: float
) -> None:
    more = np.array([probability, min(probability + 0.1, 1.0)])

    low, high = multiples(more, np.array([payoff, payoff]))

    assert 0.0 <= low <= high <= 1.0


def test_a_multiple_is_one_where_nothing_is_known_and_without_a_gain_none() -> None:
    known = np.array([np.nan, 0.5, 0.5, 0.2])
    payoff = np.array([np.nan, 0.0, np.inf, np.inf])

    assert multiples(known, payoff).tolist() == [1.0, 0.0, 1.0, 0.4]


# Figures


def test_wilsons_interval_is_the_one_of_the_books() -> None:
    low, high = wilson(np.array([10.0, 0.0, 0.0]), np.array([20.0, 10.0, 0.0]))

    assert low == pytest.approx([0.2993, 0.0, 0.0], abs=1e-4)
    assert high == pytest.approx([0.7007, 0.2775, 1.0], abs=1e-4)


@given(st.lists(st.tuples(st.integers(-5, 5), st.integers(-5, 5)), min_size=3, max_size=40))
def test_rank_correlation_is_scipys(pairs: list[tuple[int, int]]) -> None:
    left, right = np.array(pairs, dtype=float).T
    if np.ptp(left) == 0 or np.ptp(right) == 0:
        assert spearman(left, right) is None
    else:
        expected = stats.spearmanr(left, right).statistic
        assert spearman(left, right) == pytest.approx(expected, abs=1e-12)


def test_figures_are_those_of_a_pencil() -> None:
    outcomes = make_outcomes(
        4,
        confidence_score=[90.0, 60.0, 60.0, 30.0],
        net_return_frac=[0.02, 0.04, -0.03, -0.01],
        cost_usd=[0.1, 0.3, 0.0, 0.0],
    )

    found = calibration_of(outcomes, {"other": outcomes.head(2)})

    (line,) = found.groups.to_dict("records")
    assert line["signals"] == 4
    assert line["hit_frac"] == 0.5
    assert line["expectancy_frac"] == pytest.approx(0.005)
    assert line["mean_r"] == pytest.approx(0.5)
    assert line["brier"] == pytest.approx((0.01 + 0.16 + 0.36 + 0.09) / 4)
    assert line["brier_known"] == pytest.approx(0.25)
    assert line["ece"] == pytest.approx((0.1 + 2 * 0.1 + 0.3) / 4)
    assert line["other"] == pytest.approx(0.03)
    assert line["cost_usd"] == pytest.approx(0.1)
    assert line["apart"] == 1
    assert line["status"] == f"uncalibrated: 4 of {ENOUGH}"
    assert found.curve["bin"].tolist() == [3, 6, 9]
    assert found.curve["signals"].tolist() == [1, 2, 1]
    assert found.bands.set_index("band")["signals"].to_dict() == {
        "HIGH": 1,
        "MEDIUM": 2,
        "LOW": 1,
    }


def test_what_claims_nothing_is_counted_and_not_judged() -> None:
    outcomes = make_outcomes(
        4,
        action=["BUY", "HOLD", None, None],
        is_abstention=[False, False, True, True],
        confidence_score=[70.0, 50.0, None, None],
        net_return_frac=[0.02, np.nan, np.nan, np.nan],
        return_frac=0.01,
    )

    (line,) = calibration_of(outcomes, {}).groups.to_dict("records")

    assert (line["signals"], line["hold_frac"], line["abstain_frac"]) == (1, 0.25, 0.5)
    assert line["hit_frac"] == 1.0


def test_the_ic_is_of_the_signed_score_and_what_the_share_did() -> None:
    """SELL's own return is mirrored, so the share fell where it gained."""
    outcomes = make_outcomes(
        4,
        action=["BUY", "SELL", "HOLD", "BUY"],
        confidence_score=[90.0, 80.0, 99.0, 40.0],
        net_return_frac=[0.05, 0.04, 0.0, 0.01],
    )

    (line,) = calibration_of(outcomes, {}).groups.to_dict("records")

    assert line["ic"] == pytest.approx(1.0)


def test_signals_apart_are_those_that_follow_one_another_symbol_by_symbol() -> None:
    count = 2 * HORIZON + 1
    outcomes = pd.concat(
        [make_outcomes(count), make_outcomes(3, symbol="BBB")], ignore_index=True
    )

    (line,) = calibration_of(outcomes, {}).groups.to_dict("records")

    assert line["apart"] == 3 + 1


def test_samples_stand_apart_and_the_clean_one_first() -> None:
    known = np.array([False, True, None], dtype=object)[np.arange(30) % 3]
    prompts = np.where(np.arange(30) < 15, "older", "newer")
    outcomes = make_outcomes(30, is_out_of_sample=known, prompt_version=prompts)

    groups = calibration_of(outcomes, {}).groups

    assert list(zip(groups["sample"], groups["prompt_version"], strict=True)) == [
        (Sample.OUT, "newer"),
        (Sample.OUT, "older"),
        (Sample.IN, "newer"),
        (Sample.IN, "older"),
        (Sample.UNKNOWN, "newer"),
        (Sample.UNKNOWN, "older"),
    ]
    assert (
        groups["status"].str.startswith("contaminated").tolist() == [False] * 2 + [True] * 4
    )


def test_only_the_horizon_that_is_asked_for_counts() -> None:
    outcomes = pd.concat(
        [make_outcomes(5), make_outcomes(7, horizon_sessions=60)], ignore_index=True
    )

    assert calibration_of(outcomes, {}, horizon=60).groups["signals"].tolist() == [7]
    assert calibration_of(outcomes, {}, horizon=5).groups.empty


def test_the_record_is_calibrated_by_what_was_known_at_the_time() -> None:
    """Half of all come true, and none of them for a reason: the rate alone is best."""
    count = 600
    net = np.where(np.arange(count) % 2, 0.02, -0.02)
    outcomes = make_outcomes(count, net_return_frac=net, confidence_score=90.0)

    (line,) = calibration_of(outcomes, {}).groups.to_dict("records")

    assert line["status"] == "calibrated"
    assert line["brier"] == pytest.approx((0.01 + 0.81) / 2)
    assert line["brier_calibrated"] == pytest.approx(0.25, abs=1e-3)
