"""The rules that come with the package."""

from functools import cache
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from trading_assets.core.opinions import Opinions
from trading_assets.core.panel import Floats
from trading_assets.core.rules import rule
from trading_assets.core.views import Bools, Views

type Sessions = Annotated[int, Field(ge=2, le=500)]
type AverageRanges = Annotated[float, Field(gt=0, le=50)]

EQUAL_FRAC = 1e-9
"""Averages that differ by less than this fraction of the slow one are equal."""

ATR = "atr_14"
SCORE_PER_GAP = 1_000.0
"""A gap of a tenth between the averages is as sure as it gets."""


def _fast_below_slow(fast: int, slow: int) -> None:
    if fast >= slow:
        raise ValueError(f"fast must be below slow, was {fast} with a slow of {slow}")


@rule(indicators=lambda fast, slow: (f"sma_{fast}", f"sma_{slow}"), check=_fast_below_slow)
def sma_cross(views: Views, *, fast: Sessions = 10, slow: Sessions = 50) -> Opinions:
    """Long while the fast average close is above the slow one, flat while below.

    It names no levels. Its score is the gap: 0 for none, 100 from a tenth of the slow
    average.

    Args:
        fast: Bars in the fast average.
        slow: Bars in the slow average, more than in the fast one.
    """
    quick, calm = views[f"sma_{fast}"], views[f"sma_{slow}"]
    gap = quick - calm
    differs = np.abs(gap) > EQUAL_FRAC * calm
    return Opinions.of(
        views,
        buy=differs & (gap > 0),
        sell=differs & (gap < 0),
        score=np.minimum(100.0, SCORE_PER_GAP * np.abs(gap) / calm),
        reason=lambda row: (
            f"SMA({fast}) {quick[row]:.2f} is {_side(gap[row], differs[row])} "
            f"SMA({slow}) {calm[row]:.2f}"
        ),
    )


def _side(gap: float, differs: bool) -> str:  # noqa: FBT001 - one of an array of truths
    if not differs:
        return "equal to"
    return "above" if gap > 0 else "below"


MACD_HIST = "macd_hist_12_26_9"
SUPERTREND = "supertrend_direction_10_3"
BALLOT = ("50/200 averages", "SMA 50", "SMA 20", "MACD", "RSI", "SuperTrend", "ADX")
"""The voters of `trend`, in the order of `_votes`."""

RSI_LOW, RSI_MIDDLE, RSI_HIGH = 30.0, 50.0, 70.0


@rule(
    indicators=(
        "sma_20",
        "sma_50",
        "sma_200",
        MACD_HIST,
        "rsi_14",
        SUPERTREND,
        "adx_14",
        ATR,
    )
)
def trend(
    views: Views,
    *,
    agreement: Annotated[float, Field(gt=0, le=1)] = 0.5,
    strong_adx: Annotated[float, Field(ge=0, le=100)] = 20.0,
    stop_atr: AverageRanges = 2.5,
    target_atr: AverageRanges = 5.0,
) -> Opinions:
    """Long when enough indicators agree on a rise, flat when they agree on a fall.

    Seven vote +1 or -1: SMA 50 over SMA 200, close over SMA 50, close over SMA 20, MACD
    histogram, RSI 14 (up in 50 to 70, down in 30 to 50, silent beyond), SuperTrend, and
    with a strong ADX the direction of the other six once more. The score is how far they
    agree: 100 if all say the same, 0 if they are even.

    Args:
        agreement: Part of the votes by which one side must lead, above 0 to 1.
        strong_adx: ADX from which a trend counts as strong, 0 to 100.
        stop_atr: How far the stop is from the close, in average true ranges.
        target_atr: How far the target is from the close, in average true ranges.
    """
    votes = _votes(views, strong_adx)
    balance = votes.sum(axis=0) / len(votes)
    buy, sell = balance >= agreement, balance <= -agreement
    way = buy.astype(np.float64) - sell
    return Opinions.of(
        views,
        buy=buy,
        sell=sell,
        score=100.0 * np.abs(balance),
        entry=views.close,
        stop=views.close - way * stop_atr * views[ATR],
        target=views.close + way * target_atr * views[ATR],
        reason=lambda row: _ballot(tuple(votes[:, row].tolist())),
    )


def _votes(views: Views, strong_adx: float) -> NDArray[np.float64]:
    """Voters by rows: +1 for a rise, -1 for a fall, 0 for no vote."""
    rsi = views["rsi_14"]
    rises = (rsi > RSI_MIDDLE) & (rsi <= RSI_HIGH)
    falls = (rsi < RSI_MIDDLE) & (rsi >= RSI_LOW)
    votes = np.stack(
        [
            np.sign(views["sma_50"] - views["sma_200"]),
            np.sign(views.close - views["sma_50"]),
            np.sign(views.close - views["sma_20"]),
            np.sign(views[MACD_HIST]),
            rises.astype(np.float64) - falls,
            np.sign(views[SUPERTREND]),
        ]
    )
    strong = np.where(views["adx_14"] >= strong_adx, np.sign(votes.sum(axis=0)), 0.0)
    return np.concatenate([votes, strong[np.newaxis]])


@cache
def _ballot(votes: tuple[float, ...]) -> str:
    """Who voted how: ``5 of 7 up (…), 1 down (…)``."""
    up = [name for name, vote in zip(BALLOT, votes, strict=True) if vote > 0]
    down = [name for name, vote in zip(BALLOT, votes, strict=True) if vote < 0]
    return f"{_side_of_ballot('up', up)}, {_side_of_ballot('down', down)}"


def _side_of_ballot(word: str, names: list[str]) -> str:
    told = f" ({', '.join(names)})" if names else ""
    return f"{len(names)} of {len(BALLOT)} {word}{told}"


@rule(
    indicators=lambda entry_bars, exit_bars: (
        f"highest_{entry_bars}",
        f"lowest_{exit_bars}",
        ATR,
    )
)
def breakout(
    views: Views,
    *,
    entry_bars: Sessions = 20,
    exit_bars: Sessions = 10,
    stop_atr: AverageRanges = 2.5,
    target_atr: AverageRanges = 5.0,
) -> Opinions:
    """Long on a close above the highest high of the bars before, flat on one below the low.

    In between things stay as they are. The score is 50 at the level and grows by 50 with
    every average true range beyond it.

    Args:
        entry_bars: Bars before this one whose highest high must be passed.
        exit_bars: Bars before this one whose lowest low must hold.
        stop_atr: How far the stop is from the close, in average true ranges.
        target_atr: How far the target is from the close, in average true ranges.
    """
    close, top, floor = (
        views.close,
        views[f"highest_{entry_bars}"],
        views[f"lowest_{exit_bars}"],
    )
    buy, sell = close > top, close < floor
    way = buy.astype(np.float64) - sell
    beyond = np.select([buy, sell], [close - top, floor - close], 0.0)
    return Opinions.of(
        views,
        buy=buy,
        sell=sell,
        score=_strength(buy | sell, beyond, views[ATR]),
        entry=close,
        stop=close - way * stop_atr * views[ATR],
        target=close + way * target_atr * views[ATR],
        reason=lambda row: (
            f"close {close[row]:.2f}; highest of the {entry_bars} bars before "
            f"{top[row]:.2f}, lowest of {exit_bars} {floor[row]:.2f}"
        ),
    )


def _strength(is_out: Bools, beyond: Floats, atr: Floats) -> Floats:
    """0 inside the channel, 50 at its edge, 100 from one average true range beyond."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ranges = np.where(atr > 0, beyond / atr, 1.0)
    return np.where(is_out, 50.0 + 50.0 * np.minimum(ranges, 1.0), 0.0)
