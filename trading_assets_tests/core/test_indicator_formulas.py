"""Our formulas against plain ones, written from where each was first described.

The plain ones loop over days and know one symbol; "W" is J. Welles Wilder, New Concepts
in Technical Trading Systems (1978).
"""

from collections.abc import Callable
from itertools import pairwise
from math import sqrt

import numpy as np
import pandas as pd
import pandas_ta
import pytest

from trading_assets.core.indicator_formulas import FORMULAS, _follow
from trading_assets.core.indicators import compute_indicators, parse_indicator
from trading_assets_tests.core.walks import panel, walk

type Series = list[float]
type Plain = Callable[[pd.DataFrame], dict[str, Series]]

NAN = float("nan")
COUNT = 400


def mean(values: Series) -> float:
    return sum(values) / len(values)


def late(values: Series, total: int) -> Series:
    """*values* as the last of *total*; nothing before them."""
    return [NAN] * (total - len(values)) + values


def moving(values: Series, n: int, what: Callable[[Series], float] = mean) -> Series:
    return [what(values[at - n + 1 : at + 1]) for at in range(n - 1, len(values))]


def smoothed(values: Series, n: int, weight: float) -> Series:
    """Exponential mean that starts with the mean of the first *n*."""
    result = [mean(values[:n])]
    for value in values[n:]:
        result.append(result[-1] + weight * (value - result[-1]))
    return result


def wilder(values: Series, n: int) -> Series:
    return smoothed(values, n, 1 / n)


def true_ranges(bars: pd.DataFrame) -> Series:
    """W p. 21: the greatest of three distances; from the second bar on."""
    high, low, close = (bars[field].tolist() for field in ("high", "low", "close"))
    return [
        max(high[at] - low[at], abs(high[at] - before), abs(low[at] - before))
        for at, before in enumerate(close[:-1], start=1)
    ]


def plain_sma(bars: pd.DataFrame) -> dict[str, Series]:
    return {"sma_20": moving(bars["close"].tolist(), 20)}


def plain_volume_sma(bars: pd.DataFrame) -> dict[str, Series]:
    return {"volume_sma_20": moving(bars["volume"].tolist(), 20)}


def plain_ema(bars: pd.DataFrame) -> dict[str, Series]:
    return {"ema_12": smoothed(bars["close"].tolist(), 12, 2 / 13)}


def plain_rsi(bars: pd.DataFrame) -> dict[str, Series]:
    """W p. 65: 100 - 100 / (1 + average up / average down)."""
    changes = np.diff(bars["close"]).tolist()
    ups = wilder([max(change, 0) for change in changes], 14)
    downs = wilder([max(-change, 0) for change in changes], 14)
    both = zip(ups, downs, strict=True)
    return {"rsi_14": [100 - 100 / (1 + up / down) for up, down in both]}


def plain_macd(bars: pd.DataFrame) -> dict[str, Series]:
    """Appel's, as TA-Lib lines it up: both averages start on the 26th close."""
    close = bars["close"].tolist()
    fast, slow = smoothed(close[14:], 12, 2 / 13), smoothed(close, 26, 2 / 27)
    line = [quick - calm for quick, calm in zip(fast, slow, strict=True)]
    signal = smoothed(line, 9, 2 / 10)
    return {
        "macd_12_26_9": line[8:],
        "macd_signal_12_26_9": signal,
        "macd_hist_12_26_9": [a - b for a, b in zip(line[8:], signal, strict=True)],
    }


def population_deviation(values: Series) -> float:
    return sqrt(mean([(value - mean(values)) ** 2 for value in values]))


def plain_bollinger(bars: pd.DataFrame) -> dict[str, Series]:
    """Bollinger on Bollinger Bands (2001), p. 53: the deviation of the population."""
    close = bars["close"].tolist()
    middle, width = moving(close, 20), moving(close, 20, population_deviation)
    return {
        "bb_lower_20_2p5": [a - 2.5 * b for a, b in zip(middle, width, strict=True)],
        "bb_middle_20_2p5": middle,
        "bb_upper_20_2p5": [a + 2.5 * b for a, b in zip(middle, width, strict=True)],
    }


def plain_atr(bars: pd.DataFrame) -> dict[str, Series]:
    return {"atr_14": wilder(true_ranges(bars), 14)}


def wilder_sums(values: Series, n: int) -> Series:
    """W p. 37: the sum of n - 1 days, then less an n-th of itself, plus today."""
    total, result = sum(values[: n - 1]), []
    for value in values[n - 1 :]:
        total += value - total / n
        result.append(total)
    return result


def plain_adx(bars: pd.DataFrame) -> dict[str, Series]:
    """W pp. 35-47: the larger move outside yesterday's range, and only that one."""
    ups = np.diff(bars["high"]).tolist()
    downs = (-np.diff(bars["low"])).tolist()
    moves = list(zip(ups, downs, strict=True))
    plus = wilder_sums([up if up > max(down, 0) else 0 for up, down in moves], 14)
    minus = wilder_sums([down if down > max(up, 0) else 0 for up, down in moves], 14)
    reach = wilder_sums(true_ranges(bars), 14)
    plus_di = [100 * a / b for a, b in zip(plus, reach, strict=True)]
    minus_di = [100 * a / b for a, b in zip(minus, reach, strict=True)]
    dx = [100 * abs(a - b) / (a + b) for a, b in zip(plus_di, minus_di, strict=True)]
    return {"adx_14": wilder(dx, 14), "plus_di_14": plus_di, "minus_di_14": minus_di}


def plain_stochastic(bars: pd.DataFrame) -> dict[str, Series]:
    """Lane's %K, slowed by a mean of 3; %D is the mean of 3 of that."""
    tops, bottoms = (
        moving(bars["high"].tolist(), 14, max),
        moving(bars["low"].tolist(), 14, min),
    )
    close = bars["close"].tolist()[13:]
    raw = [100 * (c - b) / (a - b) for c, a, b in zip(close, tops, bottoms, strict=True)]
    slow = moving(raw, 3)
    return {"stoch_k_14_3_3": slow[2:], "stoch_d_14_3_3": moving(slow, 3)}


def plain_obv(bars: pd.DataFrame) -> dict[str, Series]:
    """Granville's: volume is added on a day that closes up, taken off on one down."""
    close, volume = bars["close"].tolist(), bars["volume"].tolist()
    total = [volume[0]]
    for before, now, shares in zip(close[:-1], close[1:], volume[1:], strict=True):
        total.append(total[-1] + shares * ((now > before) - (now < before)))
    return {"obv": total}


def sample_deviation(values: Series) -> float:
    return sqrt(sum((value - mean(values)) ** 2 for value in values) / (len(values) - 1))


def plain_volatility(bars: pd.DataFrame) -> dict[str, Series]:
    close = bars["close"].tolist()
    returns = [now / before - 1 for before, now in pairwise(close)]
    daily = moving(returns, 20, sample_deviation)
    return {"volatility_20": [deviation * sqrt(252) for deviation in daily]}


def plain_highest(bars: pd.DataFrame) -> dict[str, Series]:
    return {"highest_20": moving(bars["high"].tolist(), 20, max)[:-1]}


def plain_lowest(bars: pd.DataFrame) -> dict[str, Series]:
    return {"lowest_20": moving(bars["low"].tolist(), 20, min)[:-1]}


def plain_supertrend(bars: pd.DataFrame) -> dict[str, Series]:
    """Seban's, in the variant of pandas-ta: only the band in force is held."""
    wide = [3 * value for value in wilder(true_ranges(bars), 10)]
    recent = bars.iloc[10:]
    middle = ((recent["high"] + recent["low"]) / 2).tolist()
    floor, ceiling, way = middle[0] - wide[0], middle[0] + wide[0], 1
    lines, ways = [floor], [1.0]
    rows = zip(middle[1:], wide[1:], recent["close"].tolist()[1:], strict=True)
    for centre, width, close in rows:
        last_floor, last_ceiling = floor, ceiling
        floor, ceiling = centre - width, centre + width
        if close > last_ceiling:
            way = 1
        elif close < last_floor:
            way = -1
        elif way == 1:
            floor = max(floor, last_floor)
        else:
            ceiling = min(ceiling, last_ceiling)
        lines.append(floor if way == 1 else ceiling)
        ways.append(float(way))
    return {"supertrend_10_3": lines, "supertrend_direction_10_3": ways}


PLAIN: dict[str, Plain] = {
    "sma_20": plain_sma,
    "volume_sma_20": plain_volume_sma,
    "ema_12": plain_ema,
    "rsi_14": plain_rsi,
    "macd_12_26_9": plain_macd,
    "bb_20_2.5": plain_bollinger,
    "atr_14": plain_atr,
    "supertrend_10_3": plain_supertrend,
    "adx_14": plain_adx,
    "stoch_14_3_3": plain_stochastic,
    "obv": plain_obv,
    "volatility_20": plain_volatility,
    "highest_20": plain_highest,
    "lowest_20": plain_lowest,
}


def test_every_formula_has_a_plain_one() -> None:
    assert {parse_indicator(name).kind for name in PLAIN} == set(FORMULAS)


@pytest.mark.parametrize("name", PLAIN)
def test_it_is_what_its_inventor_wrote(name: str) -> None:
    bars = walk(11, COUNT)

    computed = compute_indicators(panel(bars), [name])

    plain = PLAIN[name](bars)
    assert list(computed) == list(plain)
    for column, values in plain.items():
        np.testing.assert_allclose(
            computed[column], late(values, COUNT), rtol=1e-11, atol=1e-10, err_msg=column
        )


@pytest.mark.parametrize("name", PLAIN)
def test_every_column_has_a_value_from_the_first_value_on(name: str) -> None:
    first_value = parse_indicator(name).first_value
    columns = compute_indicators(panel(walk(12, COUNT)), [name]).values()

    has_all = np.isfinite(np.array(list(columns))).all(axis=0)

    assert has_all.tolist() == [at + 1 >= first_value for at in range(COUNT)]


@pytest.mark.parametrize("name", PLAIN)
def test_symbols_do_not_touch_each_other(name: str) -> None:
    short, none, long = (
        walk(13, 90, symbol="AAA"),
        walk(14, 1, symbol="BBB"),
        walk(15, 200, symbol="CCC"),
    )

    together = compute_indicators(panel(short, none, long), [name])

    for column, values in together.items():
        alone = [
            compute_indicators(panel(own), [name])[column] for own in (short, none, long)
        ]
        np.testing.assert_array_equal(values, np.concatenate(alone))


@pytest.mark.parametrize(("length", "width"), [(10, 3.0), (7, 1.5), (14, 5.0)])
def test_supertrend_is_that_of_pandas_ta(length: int, width: float) -> None:
    bars = walk(16, 3000)
    name = f"supertrend_{length}_{width:g}"

    line, direction = compute_indicators(panel(bars), [name]).values()

    theirs = pandas_ta.supertrend(
        bars["high"], bars["low"], bars["close"], length=length, multiplier=width
    )
    expected = theirs.to_numpy()
    np.testing.assert_array_equal(line[length:], expected[length:, 0])
    np.testing.assert_array_equal(direction, expected[:, 1])


def test_a_market_that_never_moves_has_no_volatility() -> None:
    bars = walk(17, 60)
    bars.loc[20:, ["open", "high", "low", "close"]] = 0.1

    assert compute_indicators(panel(bars), ["volatility_20"])["volatility_20"][-1] == 0.0


def test_the_high_of_the_day_is_not_among_those_to_pass() -> None:
    bars = walk(18, 30)
    bars.loc[29, "high"] = 1e6

    assert compute_indicators(panel(bars), ["highest_5"])["highest_5"][29] < 1e6


def test_a_close_beyond_both_bands_turns_the_market_up() -> None:
    """After a bar so wide that the lower band stands above the upper one."""
    lower, upper, close = (
        np.array(rows)[:, np.newaxis] for rows in ([10.0, 8], [9.0, 12], [10.0, 9.5])
    )

    line, direction = _follow(lower, upper, close)

    assert direction[:, 0].tolist() == [1, 1]
    assert line[:, 0].tolist() == [10, 8]
