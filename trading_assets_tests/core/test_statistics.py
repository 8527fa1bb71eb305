import os
import subprocess
import sys
import warnings
from datetime import UTC, date, datetime
from pathlib import Path

import empyrical
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading_assets.core.statistics import (
    LABELS,
    STATISTICS,
    Unit,
    buy_and_hold,
    deepest_fall,
    history_of,
    monthly_returns,
    performance_of,
    signed_percent,
    total_return_index,
    written,
)
from trading_assets.errors import InvalidInput, ShapeMismatch
from trading_assets.models.portfolio import Performance
from trading_assets.models.tables import FILLS, PERFORMANCE, TRADES
from trading_assets.strategies.spec import Dividends

CAPITAL = 1_000.0
# Four years to the day, 2020-01-02 to 2024-01-02: 1461 days.
SESSIONS = pd.to_datetime(
    [
        "2020-01-02",
        "2020-06-01",
        "2020-12-31",
        "2021-06-01",
        "2021-12-31",
        "2022-06-01",
        "2022-12-30",
        "2023-06-01",
        "2023-12-29",
        "2024-01-02",
    ]
)
RETURNS = np.array([0.0, 0.10, -0.05, 0.0, -0.10, 0.20, 0.0, 0.10, -0.10, 0.05])
EQUITY = [
    1000.0,
    1100.0,
    1045.0,
    1045.0,
    940.5,
    1128.6,
    1128.6,
    1241.46,
    1117.314,
    1173.1797,
]
EXPOSURE = [0.0, 0.5, 0.5, 0.5, 0.5, 0.5, 0.0, 1.0, 1.0, 0.5]


def book(equity: object, exposure: object = 0.5, first: str = "2024-01-02") -> pd.DataFrame:
    values = np.asarray(equity, dtype=float)
    sessions = pd.bdate_range(first, periods=len(values))
    return pd.DataFrame(
        {"session": sessions, "equity": values, "gross_exposure_frac": exposure}
    )


def ten_rows() -> pd.DataFrame:
    return book(EQUITY, EXPOSURE).assign(session=SESSIONS)


def trades(*nets: float, commission: float = 2.0) -> pd.DataFrame:
    return pd.DataFrame({"pnl": [net + commission for net in nets]}).assign(
        commission=commission
    )


def fills(*values: float) -> pd.DataFrame:
    return pd.DataFrame({"shares": [10] * len(values), "price": np.array(values) / 10})


def figures(
    equity: object, capital: float = CAPITAL, benchmark: pd.DataFrame | None = None
) -> dict[str, object]:
    return dict(
        performance_of(
            book(equity),
            TRADES.empty(),
            FILLS.empty(),
            capital=capital,
            benchmark=benchmark,
        )
    )


@pytest.fixture(name="record")
def _record() -> dict[str, object]:
    closes = 50 * np.cumprod(np.concatenate(([1.0], 1 + (RETURNS[1:] - 0.001) / 2)))
    return dict(
        performance_of(
            ten_rows(),
            trades(50, -30, 20, 0),
            fills(3000, 3000, 1000, 1000),
            capital=CAPITAL,
            benchmark=pd.DataFrame({"session": SESSIONS, "close": closes}),
        )
    )


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("total_return_frac", 0.1731797),
        ("cagr_frac", 0.0407373),  # the fourth root of 1.1731797, less 1
        ("final_equity", 1173.1797),
        # Mean 0.02, sum of squares 0.085, variance (0.085 - 10 x 0.0004) / 9 = 0.009.
        ("volatility_frac", 1.5059880),  # root of 0.009 x 252
        ("sharpe", 3.3466401),  # 0.02 x root of 252 / 0.009
        ("sortino", 6.6932802),  # 0.02 x root of 252 / 0.00225
        ("calmar", 0.2809471),  # 0.0407373 / 0.145
        ("max_drawdown_frac", 0.145),  # 1100 to 940.5
        ("max_drawdown_sessions", 4),  # second row to sixth
        ("trades", 4),
        ("win_rate_frac", 0.5),
        ("profit_factor", 70 / 30),
        ("expectancy", 10.0),
        ("average_win", 35.0),
        ("average_loss", -30.0),
        ("exposure_frac", 0.5),
        ("turnover", 0.9157799),  # 4000 / 1091.96537 / 4 years
        ("beta", 2.0),  # by construction
        ("alpha_frac", 0.2864340),  # 1.001 ** 252 - 1
        ("sessions", 10),
        ("first_session", date(2020, 1, 2)),
        ("last_session", date(2024, 1, 2)),
    ],
)
def test_ten_rows_give_what_a_pencil_gives(
    record: dict[str, object], name: str, expected: object
) -> None:
    if isinstance(expected, date):
        assert record[name] == expected
    else:
        assert record[name] == pytest.approx(expected, abs=5e-7)


def test_the_figures_are_exactly_the_columns_of_performance(
    record: dict[str, object],
) -> None:
    labels = {
        "strategy": "trend",
        "lane": "simulated",
        "computed_at": datetime(2024, 1, 3, tzinfo=UTC),
    }

    row = Performance.model_validate({**labels, **record})

    assert list(record) == [n for n in Performance.model_fields if n not in LABELS]
    assert len(PERFORMANCE.frame([row])) == 1


def test_every_figure_is_explained() -> None:
    assert set(STATISTICS) == set(Performance.model_fields) - set(LABELS)


def random_curve(seed: int, count: int = 700) -> np.ndarray:
    walk = np.random.default_rng(seed).normal(0.0005, 0.01, count)
    return CAPITAL * np.cumprod(1 + walk)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_plain_formulas_give_the_same(seed: int) -> None:
    equity, held = random_curve(seed), random_curve(seed + 100)
    benchmark = pd.DataFrame({"session": book(held)["session"], "close": held})

    got = figures(equity, benchmark=benchmark)

    r = np.diff(np.r_[CAPITAL, equity]) / np.r_[CAPITAL, equity[:-1]]
    own, other = np.diff(equity) / equity[:-1], np.diff(held) / held[:-1]
    slope, intercept = np.polyfit(other, own, 1)
    below = np.sqrt(np.sum(np.minimum(r, 0) ** 2) / len(r))
    deviation = np.sqrt(np.sum((r - r.mean()) ** 2) / (len(r) - 1))
    assert got["volatility_frac"] == pytest.approx(deviation * np.sqrt(252))
    assert got["sharpe"] == pytest.approx(r.mean() / deviation * np.sqrt(252))
    assert got["sortino"] == pytest.approx(r.mean() / below * np.sqrt(252))
    assert got["beta"] == pytest.approx(slope)
    assert got["alpha_frac"] == pytest.approx((1 + intercept) ** 252 - 1)
    assert got["benchmark_return_frac"] == pytest.approx(held[-1] / held[0] - 1)


@pytest.mark.parametrize("seed", [4, 5, 6])
def test_empyrical_sees_the_same_drawdown_and_return(seed: int) -> None:
    equity = random_curve(seed)
    returns = np.diff(np.r_[CAPITAL, equity]) / np.r_[CAPITAL, equity[:-1]]

    got = figures(equity)

    assert got["max_drawdown_frac"] == pytest.approx(-empyrical.max_drawdown(returns))
    assert got["total_return_frac"] == pytest.approx(empyrical.cum_returns_final(returns))


def test_the_first_session_counts() -> None:
    got = figures([900.0, 900.0, 950.0])

    assert got["total_return_frac"] == pytest.approx(-0.05)
    assert got["max_drawdown_frac"] == pytest.approx(0.10)
    assert got["max_drawdown_sessions"] == 3
    assert got["volatility_frac"] == pytest.approx(
        np.std([-0.1, 0, 1 / 18], ddof=1) * np.sqrt(252)
    )


@pytest.mark.parametrize(
    ("worth", "expected"),
    [
        pytest.param([100, 90, 80, 100, 70, 100], (0.3, 3, 4, 5), id="the deeper one"),
        pytest.param([100, 90, 100, 90, 100], (0.1, 0, 1, 2), id="the first of equals"),
        pytest.param([100, 100, 50, 60], (0.5, 1, 2, 3), id="not over"),
        pytest.param([100, 110, 120], (0.0, 2, 2, 2), id="never falls"),
        pytest.param([100, 40, -10], (1.1, 0, 2, 2), id="beyond ruin"),
    ],
)
def test_the_deepest_fall_is_from_its_peak_to_its_recovery(
    worth: list[float], expected: tuple[float, int, int, int]
) -> None:
    depth, *where = deepest_fall(np.array(worth, dtype=float))

    assert depth == pytest.approx(expected[0])
    assert tuple(where) == expected[1:]


def undefined(got: dict[str, object]) -> set[str]:
    return {name for name, figure in got.items() if figure is None}


TRADING = {"win_rate_frac", "profit_factor", "expectancy", "average_win", "average_loss"}
AGAINST = {"alpha_frac", "beta", "benchmark_return_frac", "benchmark_max_drawdown_frac"}


def test_one_session_has_no_ratios() -> None:
    assert undefined(figures([1010.0])) == TRADING | AGAINST | {
        "cagr_frac",
        "volatility_frac",
        "sharpe",
        "sortino",
        "calmar",
        "turnover",
    }


def test_no_session_gives_counts_alone() -> None:
    got = figures([])

    assert undefined(got) == set(got) - {"trades", "sessions"}


def test_a_book_that_never_moves_has_no_ratio_but_no_volatility_either() -> None:
    got = figures([1000.0] * 5)

    assert undefined(got) == TRADING | AGAINST | {"sharpe", "sortino", "calmar"}
    assert got["volatility_frac"] == got["max_drawdown_frac"] == got["cagr_frac"] == 0.0


def test_equal_returns_have_no_ratio_in_spite_of_rounding() -> None:
    got = figures(1000 * 1.01 ** np.arange(1, 30))

    assert got["sharpe"] is None
    assert got["sortino"] is None


def test_after_ruin_only_what_needs_no_base_is_told() -> None:
    got = figures([1000.0, 500.0, -100.0, 50.0])

    assert got["total_return_frac"] == pytest.approx(-0.95)
    assert got["max_drawdown_frac"] == pytest.approx(1.1)
    assert {"cagr_frac", "sharpe", "sortino", "calmar", "exposure_frac"} <= undefined(got)


def test_a_short_spell_whose_yearly_growth_is_beyond_numbers_has_none() -> None:
    assert figures([1000.0, 1e6])["cagr_frac"] is None


@pytest.mark.parametrize(
    ("nets", "missing"),
    [
        ((), TRADING),
        ((10.0, 5.0), {"profit_factor", "average_loss"}),
        ((-10.0,), {"average_win"}),
        ((0.0,), {"profit_factor", "average_win", "average_loss"}),
    ],
)
def test_trade_figures_without_their_trades_are_undefined(
    nets: tuple[float, ...], missing: set[str]
) -> None:
    got = performance_of(
        book([1000.0, 1001.0]),
        trades(*nets) if nets else TRADES.empty(),
        FILLS.empty(),
        capital=CAPITAL,
    )

    assert undefined(dict(got)) & TRADING == missing
    assert got["trades"] == len(nets)


def test_a_gain_that_commission_eats_is_a_loss() -> None:
    got = performance_of(
        book([1000.0]), trades(-1.0, commission=3.0), FILLS.empty(), capital=CAPITAL
    )

    assert (got["win_rate_frac"], got["average_loss"]) == (0.0, -1.0)


def test_nothing_warns() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", ResourceWarning)  # of other tests' garbage
        for equity in ([], [1000.0], [1000.0, -5.0, 0.0], [1000.0] * 3, random_curve(7)):
            benchmark = pd.DataFrame(
                {"session": pd.bdate_range("2024-01-02", periods=700), "close": 5.0}
            )
            figures(equity, benchmark=benchmark)


def test_an_intercept_that_loses_more_than_all_does_not_compound_to_a_gain() -> None:
    closes = [1.0, 2.0, 4.2, 8.4, 17.64]  # + 100 %, + 110 %, and again
    benchmark = book(closes).rename(columns={"equity": "close"})

    got = figures([1.0, 2.0, 4.61, 9.22, 21.2521], benchmark=benchmark)

    assert got["beta"] == pytest.approx(3.05)  # and the intercept -2.05
    assert got["alpha_frac"] is None


def test_a_flat_benchmark_explains_nothing() -> None:
    benchmark = book([7.0] * 5).rename(columns={"equity": "close"})

    got = figures([1000.0, 1010.0, 990.0, 1000.0, 1020.0], benchmark=benchmark)

    assert undefined(got) & AGAINST == {"alpha_frac", "beta"}
    assert got["benchmark_return_frac"] == 0.0


def test_a_benchmark_that_begins_later_is_no_benchmark() -> None:
    benchmark = book([7.0] * 5, first="2024-01-03").rename(columns={"equity": "close"})

    assert undefined(figures([1000.0] * 5, benchmark=benchmark)) >= AGAINST


def test_a_held_benchmark_keeps_its_last_close_over_a_gap() -> None:
    benchmark = pd.DataFrame(
        {"session": pd.to_datetime(["2023-12-29", "2024-01-03"]), "close": [10.0, 12.0]}
    )
    sessions = pd.to_datetime(["2024-01-02", "2024-01-03", "2024-01-04"]).to_numpy()

    held = buy_and_hold(benchmark, sessions, 500.0)

    assert held is not None
    assert held.tolist() == [500.0, 600.0, 600.0]


@pytest.mark.parametrize(
    ("dividends", "expected"),
    [
        # 100 to 2 x (51 + 1) = 104, then 51 to 45 with 1/1.5 of 51 kept: 45 + 17 = 62.
        (Dividends.CASH, [100.0, 104.0, 104.0 * 62 / 51]),
        (Dividends.IGNORE, [100.0, 102.0, 102.0 * 62 / 51]),
    ],
)
def test_the_index_follows_a_share_through_its_actions(
    dividends: Dividends, expected: list[float]
) -> None:
    bars = pd.DataFrame(
        {
            "session": pd.to_datetime(["2024-01-05", "2024-01-08", "2024-01-09"]),
            "close": [100.0, 51.0, 45.0],
        }
    )
    actions = pd.DataFrame(
        [
            ("2024-01-06", "split", 2.0),  # a Saturday: counts on Monday
            ("2024-01-08", "dividend", 1.0),
            ("2024-01-09", "spinoff_factor", 1.5),
            ("2024-01-05", "dividend", 9.0),  # nobody held it yet
            ("2024-02-01", "split", 9.0),  # not yet known
        ],
        columns=["ex_session", "kind", "value"],
    ).astype({"ex_session": "datetime64[ns]"})

    index = total_return_index(bars, actions, dividends)

    assert index["close"].tolist() == pytest.approx(expected)


def test_months_are_measured_from_the_month_before_and_the_first_from_capital() -> None:
    table = monthly_returns(ten_rows(), CAPITAL)

    assert table.index.tolist() == [2020, 2021, 2022, 2023, 2024]
    assert table.loc[2020, [1, 6, 12, "year"]].tolist() == pytest.approx(
        [0.0, 0.1, -0.05, 0.045]
    )
    assert table.loc[2021, "year"] == pytest.approx(940.5 / 1045 - 1)
    assert np.isnan(table.loc[2020, 2])


def test_months_multiply_to_the_total_return() -> None:
    equity = random_curve(8)

    table = monthly_returns(book(equity), CAPITAL)

    for columns in (list(range(1, 13)), ["year"]):
        growth = np.nanprod(1 + table[columns].to_numpy())
        assert growth == pytest.approx(equity[-1] / CAPITAL)


def test_a_month_that_began_with_nothing_left_has_no_return() -> None:
    equity = [-5.0] * 30 + [10.0] * 30

    table = monthly_returns(book(equity), CAPITAL)

    assert table.loc[2024, 1] == pytest.approx(-1.005)
    assert np.isnan(table.loc[2024, 2])


EXAMPLES = 1_000 if os.environ.get("TRADING_TEST_PROFILE") == "long" else 50
curves = st.lists(st.floats(1.0, 1e6), min_size=2, max_size=40)


@settings(max_examples=EXAMPLES, deadline=None)
@given(equity=curves)
def test_a_drawdown_of_a_living_book_is_less_than_all(equity: list[float]) -> None:
    got = figures(equity)

    assert 0 <= float(str(got["max_drawdown_frac"])) < 1
    assert 0 <= int(str(got["max_drawdown_sessions"])) <= len(equity)


@settings(max_examples=EXAMPLES, deadline=None)
@given(equity=curves, power=st.integers(-8, 8))
def test_the_currency_does_not_matter(equity: list[float], power: int) -> None:
    scale = 2.0**power

    one, other = figures(equity), figures(np.array(equity) * scale, CAPITAL * scale)

    for name in one.keys() - {"final_equity"}:
        assert other[name] == one[name]


@pytest.mark.filterwarnings("error", "ignore::ResourceWarning")
@settings(max_examples=EXAMPLES, deadline=None)
@given(equity=curves)
def test_every_figure_is_finite_or_none(equity: list[float]) -> None:
    benchmark = book(equity[::-1]).rename(columns={"equity": "close"})

    got = figures(equity, benchmark=benchmark)

    assert all(np.isfinite(f) for f in got.values() if isinstance(f, float))


@settings(max_examples=EXAMPLES, deadline=None)
@given(equity=curves)
def test_a_book_that_holds_the_benchmark_has_beta_one_and_no_alpha(
    equity: list[float],
) -> None:
    benchmark = book(equity).rename(columns={"equity": "close"})

    got = figures(equity, capital=equity[0], benchmark=benchmark)

    assert got["benchmark_return_frac"] == pytest.approx(got["total_return_frac"])
    assert got["benchmark_max_drawdown_frac"] == pytest.approx(got["max_drawdown_frac"])
    if got["beta"] is not None:
        assert got["beta"] == pytest.approx(1.0)


def test_a_history_tells_where_the_deepest_fall_lies() -> None:
    history = history_of(ten_rows(), capital=CAPITAL)

    assert history.deepest == (1, 4, 5)
    assert (history.fell_sessions, history.has_recovered) == (4, True)
    assert history.depth == pytest.approx(0.145)
    assert history.gain(history.equity) == pytest.approx(0.1731797)


def test_sessions_out_of_order_are_refused() -> None:
    shuffled = book([1.0, 2.0, 3.0]).iloc[::-1]

    with pytest.raises(ShapeMismatch, match="ascending"):
        performance_of(shuffled, TRADES.empty(), FILLS.empty(), capital=CAPITAL)


@pytest.mark.parametrize("capital", [0.0, -1.0, float("nan")])
def test_a_book_without_capital_is_refused(capital: float) -> None:
    with pytest.raises(InvalidInput, match="capital must be above 0"):
        figures([1.0], capital=capital)


def test_a_history_of_nothing_is_refused() -> None:
    with pytest.raises(InvalidInput, match="at least one session"):
        history_of(book([]), capital=CAPITAL)


@pytest.mark.parametrize(
    ("figure", "unit", "expected"),
    [
        (0.12345, Unit.FRACTION, "12.3 %"),
        (-0.0001, Unit.FRACTION, "0.0 %"),
        (21.854, Unit.FRACTION, "2,185 %"),
        (-1234.5, Unit.MONEY, "−1,234"),  # noqa: RUF001 - a real minus
        (-0.5, Unit.RATIO, "−0.50"),  # noqa: RUF001 - as above
        (1234, Unit.COUNT, "1,234"),
        (date(2024, 1, 2), Unit.DAY, "2024-01-02"),
        (None, Unit.RATIO, "–"),  # noqa: RUF001 - a dash
        (float("nan"), Unit.MONEY, "–"),  # noqa: RUF001 - a dash
        (pd.NA, Unit.COUNT, "–"),  # noqa: RUF001 - a dash
    ],
)
def test_figures_are_written_for_people(figure: object, unit: Unit, expected: str) -> None:
    assert written(figure, unit) == expected


def test_a_gain_carries_its_sign() -> None:
    assert [signed_percent(f) for f in (0.1, 0.0, -0.1)] == [
        "+10.0 %",
        "0.0 %",
        "−10.0 %",  # noqa: RUF001 - a real minus
    ]


def test_definitions_are_read_without_loading_empyrical() -> None:
    code = (
        "import sys, trading_assets.core.statistics; print('empyrical' in sys.modules, "
        "'matplotlib' in sys.modules)"
    )

    done = subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )

    assert done.stdout.split() == ["False", "False"]
