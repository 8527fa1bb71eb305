"""What we found out about pandas-ta's indicators holds on bars it was not found out on."""

import numpy as np
import pandas as pd
import pandas_ta
import pytest

from trading_assets.core import pandas_ta_catalog
from trading_assets.core.indicator_formulas import FORMULAS
from trading_assets.core.indicators import compute_indicators, parse_indicator
from trading_assets.core.pandas_ta_catalog import REFUSED, kinds, traits
from trading_assets.errors import InvalidIndicator
from trading_assets_tests.core.walks import IS_LONG, panel, walk

SAMPLED = (
    "aobv",
    "cci",
    "cdl_engulfing",
    "chandelier_exit",
    "coppock",
    "crsi",
    "efi",
    "fisher",
    "ha",
    "kama",
    "kurtosis",
    "mcgd",
    "psar",
    "rma",
    "squeeze",
    "trix",
    "zlma",
)
FOREIGN = tuple(kind for kind in kinds() if kind not in FORMULAS)
TRIED = FOREIGN if IS_LONG else SAMPLED
LOOKING_AHEAD = sorted(kind for kind, why in REFUSED.items() if "looks ahead" in why)


def computed(bars: pd.DataFrame, name: str) -> np.ndarray:
    return np.array(list(compute_indicators(panel(bars), [name]).values()))


@pytest.mark.parametrize("kind", TRIED)
def test_later_bars_change_no_value(kind: str) -> None:
    bars = walk(41, 420)
    whole = computed(bars, kind)

    counts = [*range(1, 420, 7 if IS_LONG else 53), 419]
    for count in counts:
        part = computed(bars.iloc[:count], kind)
        unit = np.fmax(np.abs(whole[:, :count]), bars["close"].to_numpy()[:count])
        is_same = np.abs(part - whole[:, :count]) <= 1e-9 * unit
        is_empty = np.isnan(part) & np.isnan(whole[:, :count])
        assert (is_same | is_empty).all(), count
        if traits(kind, ()).is_steady:
            np.testing.assert_array_equal(part, whole[:, :count])


@pytest.mark.parametrize("kind", TRIED)
def test_the_window_gives_what_full_history_gives(kind: str) -> None:
    indicator = parse_indicator(kind)
    if indicator.window is None:
        pytest.skip(f"{kind} never forgets")
    bars = walk(42, 2600)
    full = computed(bars, kind)

    for end in (2599, 2207, 2099):
        part = computed(bars.iloc[end + 1 - indicator.window : end + 1], kind)[:, -1]
        unit = np.fmax(np.abs(full[:, end]), bars["close"].iloc[end])
        is_same = np.abs(part - full[:, end]) <= 1e-9 * unit
        assert (is_same | (np.isnan(part) & np.isnan(full[:, end]))).all(), end


@pytest.mark.parametrize("kind", TRIED)
def test_values_begin_at_the_first_value(kind: str) -> None:
    known = traits(kind, ())
    values = computed(walk(43, 400), kind)

    if not known.has_gaps:
        assert np.isfinite(values[:, known.first_value - 1 :]).all()
    if known.first_value > 1:
        assert np.isnan(values[:, known.first_value - 2]).any()


def call_as_it_comes(kind: str, bars: pd.DataFrame) -> np.ndarray:
    """What pandas-ta gives for *kind* when nobody watches."""
    prices = {"high": bars["high"], "low": bars["low"], "close": bars["close"]}
    if kind in {"dpo", "tos_stdevall"}:
        answer = getattr(pandas_ta, kind)(bars["close"])
    elif kind == "vhm":
        answer = pandas_ta.vhm(bars["volume"])
    elif kind == "ichimoku":
        answer = pandas_ta.ichimoku(**prices)[0]
    elif kind == "zigzag":
        answer = pandas_ta.zigzag(bars["high"], bars["low"])
    else:
        if kind == "pivots":
            bars = bars.set_index("session")
        columns = [bars[field] for field in ("open", "high", "low", "close")]
        if kind == "cdl_inside":
            answer = pandas_ta.cdl_pattern(*columns, name="inside")
        else:
            answer = getattr(pandas_ta, kind)(*columns)
    return pd.DataFrame(answer).to_numpy(dtype=np.float64)


@pytest.mark.parametrize("kind", LOOKING_AHEAD)
def test_what_is_refused_for_looking_ahead_does_look_ahead(kind: str) -> None:
    bars = walk(44, 900)
    whole = call_as_it_comes(kind, bars)

    changed = 0
    for count in (*range(3, 90), 700, 850):
        try:
            part = call_as_it_comes(kind, bars.iloc[:count])
        except (AttributeError, TypeError, ValueError):  # too few bars for it
            continue
        if part.shape == whole[:count].shape:
            changed += not np.allclose(part, whole[:count], equal_nan=True)

    assert changed


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_refused_is_told_why(kind: str) -> None:
    with pytest.raises(InvalidIndicator, match=f"indicator {kind} is refused: it "):
        traits(kind, ())


def test_one_that_looks_ahead_is_found_out_without_being_listed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pandas_ta_catalog, "REFUSED", {})

    with pytest.raises(InvalidIndicator, match="dpo_20 is refused: it looks ahead"):
        traits.__wrapped__("dpo", (20,))


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("hma_0", "length must be a whole number above 0, was 0"),
        ("hma_2.5", "length must be a whole number above 0, was 2.5"),
        ("hma_9_9", r"takes at most 1 numbers \(length\), received 2"),
        ("hl2_3", r"takes at most 0 numbers \(none\), received 1"),
        ("hma_1500", "needs more than 1000 bars"),
        ("quantile_30_2", "does not accept 2 as q of quantile"),
        ("cmo_14_50", "50 as scalar of cmo, or makes no use of it"),
    ],
)
def test_numbers_that_pandas_ta_would_pass_over_are_refused(name: str, told: str) -> None:
    with pytest.raises(InvalidIndicator, match=told):
        parse_indicator(name)


@pytest.mark.parametrize("name", ["hma_10", "quantile_30_0.5", "kc_20_2"])
def test_a_default_may_be_written_out(name: str) -> None:
    kind = name.split("_", maxsplit=1)[0]
    bars = walk(45, 200)

    np.testing.assert_array_equal(computed(bars, name), computed(bars, kind))


def test_hull_is_what_hull_wrote() -> None:
    """WMA(sqrt(n)) of 2 WMA(n/2) - WMA(n), weights rising to the latest."""
    close = walk(46, 60)["close"].to_numpy()

    def wma(values: np.ndarray, n: int) -> np.ndarray:
        weights = np.arange(1, n + 1) / (n * (n + 1) / 2)
        ends = range(n, len(values) + 1)
        return np.array([values[end - n : end] @ weights for end in ends])

    expected = wma(2 * wma(close, 4)[5:] - wma(close, 9), 3)

    (values,) = computed(walk(46, 60), "hma_9")
    np.testing.assert_allclose(values[10:], expected, rtol=1e-12)


def test_deviations_are_those_of_the_population() -> None:
    bars = walk(47, 60)

    (deviation,) = computed(bars, "stdev_30")
    bands = compute_indicators(panel(bars), ["bbands_20_2_2"])

    assert deviation[-1] == pytest.approx(bars["close"].tail(30).std(ddof=0))
    recent = bars["close"].tail(20)
    upper = recent.mean() + 2 * recent.std(ddof=0)
    assert bands["bbu_20_2_2"][-1] == pytest.approx(upper)


def test_averages_are_seeded_as_ta_lib_does() -> None:
    """The first RSI of 14 is there after 15 bars; without TA-Lib it would be after two."""
    (values,) = computed(walk(48, 60), "stochrsi")[:1]

    assert np.isfinite(values).argmax() == 14 + 14 + 3 - 2


def test_what_was_found_out_is_the_same_in_every_process() -> None:
    traits.cache_clear()
    found = traits("kama", (10, 2, 30))
    traits.cache_clear()

    assert traits("kama", (10, 2, 30)) == found


def test_what_adds_rounding_is_computed_from_its_own_window() -> None:
    """The mean of all bars is taken off by pandas before it sums up fourth powers."""
    bars = walk(49, 300)
    bars.loc[:100, "close"] *= 1e5

    (values,) = computed(bars, "kurtosis_30")

    assert not parse_indicator("kurtosis_30").is_steady
    assert (
        values[-1]
        == bars["close"].tail(30).reset_index(drop=True).rolling(30).kurt().iloc[-1]
    )


def test_columns_empty_by_design_are_known() -> None:
    assert traits("psar", ()).has_gaps
    assert not traits("cci", (20,)).has_gaps


def test_what_never_forgets_is_known() -> None:
    for kind in ("ad", "nvi", "pvt"):
        assert parse_indicator(kind).is_cumulative
    assert not parse_indicator("cmf_20").is_cumulative
