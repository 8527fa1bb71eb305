import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_assets.adapters.market_data.random_walk import (
    _fat,
    _pulled_back,
    _quarterly,
    draw_factor,
    streams,
)


@pytest.mark.parametrize("pull", [0.0, 0.001, 0.02, 0.12])
@pytest.mark.parametrize("count", [1, 127, 128, 129, 1000])
def test_a_pulled_back_sum_is_that_of_a_plain_loop(count: int, pull: float) -> None:
    moves = np.random.default_rng(0).normal(size=count)
    expected, level = [], 0.0
    for move in moves:
        level = level * (1 - pull) + move
        expected.append(level)

    assert _pulled_back(moves, pull) == pytest.approx(expected, rel=1e-9, abs=1e-10)


@given(seed=st.integers(0, 2**63 - 1), count=st.integers(1, 500))
def test_what_is_drawn_for_a_step_does_not_depend_on_how_many_follow(
    seed: int, count: int
) -> None:
    part, whole = draw_factor(seed, count), draw_factor(seed, 700)

    assert np.array_equal(part.close, whole.close[:count])
    assert np.array_equal(part.night, whole.night[:count])


def test_uniform_numbers_are_uniform_and_never_0_or_1() -> None:
    drawn = streams(3, "KO", 200_000)("anything")

    assert drawn.min() > 0
    assert drawn.max() < 1
    assert np.quantile(drawn, [0.1, 0.5, 0.9]) == pytest.approx([0.1, 0.5, 0.9], abs=0.005)


def test_seed_name_and_purpose_each_make_another_stream() -> None:
    asked = [(1, "A", "x"), (2, "A", "x"), (1, "B", "x"), (1, "A", "y")]

    drawn = [tuple(streams(seed, name, 4)(purpose)) for seed, name, purpose in asked]

    assert len(set(drawn)) == 4


def test_shocks_have_unit_variance_and_the_tails_of_student() -> None:
    draw = streams(5, "KO", 400_000)

    shocks = _fat(draw("a"), draw("b"), 6.0)

    assert shocks.mean() == pytest.approx(0, abs=0.01)
    assert shocks.var() == pytest.approx(1, abs=0.03)
    # P(|T| > 3.7074) = 0.01 for six degrees of freedom, whose variance is 1.5
    beyond = np.abs(shocks) > 3.7074 / np.sqrt(1.5)
    assert beyond.mean() == pytest.approx(0.01, rel=0.05)


@given(st.floats(0, 1, exclude_max=True))
def test_what_happens_quarterly_happens_in_every_third_month(uniform: float) -> None:
    days = np.arange(np.datetime64("2000-01-03"), np.datetime64("2010-01-01"))
    days = days[np.is_busday(days)]

    months = days[_quarterly(uniform, days)].astype("datetime64[M]").astype(int)

    assert set(np.diff(months)) == {3}
    assert len(months) in {39, 40}
