"""How far an analyst's word can be trusted: what it declared, held against what came of it.

A signal is a *hit* if the trade that it describes gained after costs (`core.outcomes`); a
declared score of 70 is taken for the claim that seven of ten are. HOLD claims nothing and
an abstention neither, so both are counted and neither is judged.

Only what is known to be out of sample makes the headline: a model may remember what came
after a day before its training ended. What it says of such days stands apart, labelled.

What is used at a session was learnt before it. A calibrated probability of D rests on
outcomes that were resolved before D, so nothing that happens later changes it, and until
there are `ENOUGH` of them the analyst is *uncalibrated* and there is no probability.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from trading_assets.core.opinions import HIGHEST, confidence_of
from trading_assets.core.panel import Floats
from trading_assets.models.signal import Action, Confidence

CALIBRATION_VERSION = "1"
"""Changes when the same outcomes give another probability or another size."""

HORIZON = 20
"""Sessions after which an analyst is judged, and from which its scores are calibrated."""

ENOUGH = 200
"""Resolved out-of-sample signals below which an analyst is uncalibrated."""

MAKER = ["analyst", "model", "prompt_version"]
"""Whose word it is: another prompt is another analyst."""

BINS = 10
POINTS = int(HIGHEST) + 1
"""Scores are learnt from by the whole point, so that learning costs the same for ever."""

NORMAL_95 = 1.959963984540054
FEWEST_RANKED = 3

FULL_KELLY = 0.5
"""Stake of Kelly's from which on an order has its whole size."""


class Sample(StrEnum):
    """Whether an analyst could know what came next."""

    OUT = "out of sample"
    IN = "in sample"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, eq=False)
class Isotonic:
    """A probability that never falls as the score rises, fitted by pooling neighbours.

    Attributes:
        scores: Ascending; where each pool begins and ends.
        probabilities: At each of them, never falling.
    """

    scores: Floats
    probabilities: Floats

    @classmethod
    def fitted(cls, scores: Floats, hits: Floats, counts: Floats) -> "Isotonic":
        """The closest such function, by squares weighted with *counts*.

        Args:
            scores: Distinct and ascending, at least one.
            hits: How many of the signals with each score came true.
            counts: How many signals there were with it, above 0.
        """
        pools: list[tuple[float, float, float, float]] = []
        for pool in zip(scores, scores, hits, counts, strict=True):
            low, high, true, many = pool
            while pools and pools[-1][2] * many >= true * pools[-1][3]:
                before = pools.pop()
                low, true, many = before[0], true + before[2], many + before[3]
            pools.append((low, high, true, many))
        edges = np.array([edge for pool in pools for edge in pool[:2]])
        means = np.array([true / many for _, _, true, many in pools])
        return cls(edges, np.repeat(means, 2))

    def __call__(self, scores: Floats) -> Floats:
        """The probability of each of *scores*: level in a pool, straight between two."""
        return np.interp(scores, self.scores, self.probabilities)


def is_hit(outcomes: pd.DataFrame) -> NDArray[np.bool_]:
    """Where the trade gained after costs; False where there is no trade."""
    return outcomes["net_return_frac"].to_numpy(dtype=np.float64, na_value=np.nan) > 0


def walked_forward(signals: pd.DataFrame, outcomes: pd.DataFrame) -> pd.DataFrame:
    """What each signal's score was worth, as was known when it was given.

    Args:
        signals: `signals` rows in any order.
        outcomes: `signal_outcomes` rows of one horizon, of the same strategy. Those that
            are not out of sample, or resolved on a signal's session or later, are no part
            of what is known at it.

    Returns:
        In the order of *signals*: ``resolved``, how many signals of the same maker were
        known; ``probability`` of a hit and ``payoff``, mean gain over mean loss of those
        known, both NaN while they are fewer than `ENOUGH`.
    """
    known = outcomes[_judged(outcomes) & (_sample(outcomes) == Sample.OUT)]
    known = known.sort_values(["resolved_session", "symbol", "session"], kind="stable")
    found = pd.DataFrame(
        {"resolved": 0, "probability": np.nan, "payoff": np.nan}, index=signals.index
    )
    learnt = dict(iter(known.groupby(MAKER, sort=False)))
    for maker, own in signals.groupby(MAKER, sort=False):
        if maker in learnt:
            found.loc[own.index] = _learnt(own, learnt[maker])
    return found.astype({"resolved": "int64"})


def multiples(probability: Floats, payoff: Floats) -> Floats:
    """The part of its size that an order gets, 0 to 1; 1 where nothing is known.

    Kelly's stake k = p - (1 - p) / b for the probability p and the payoff b: the whole size
    from k of `FULL_KELLY` on, below it in proportion, nothing where k is not above 0.
    """
    with np.errstate(divide="ignore"):
        stake = probability - (1 - probability) / payoff
    return np.where(np.isnan(probability), 1.0, np.clip(stake / FULL_KELLY, 0.0, 1.0))


def wilson(hits: Floats, counts: Floats) -> tuple[Floats, Floats]:
    """Where the true rate lies with 95 % confidence, after Wilson; 0 to 1 for no count."""
    many = np.maximum(counts, 1.0)
    rate, square = hits / many, NORMAL_95**2
    middle = (rate + square / (2 * many)) / (1 + square / many)
    spread = np.sqrt(rate * (1 - rate) / many + square / (4 * many**2))
    reach = NORMAL_95 * spread / (1 + square / many)
    low, high = np.maximum(middle - reach, 0.0), np.minimum(middle + reach, 1.0)
    return np.where(counts > 0, low, 0.0), np.where(counts > 0, high, 1.0)


def spearman(left: Floats, right: Floats) -> float | None:
    """Rank correlation; None for fewer than three pairs, or where one never changes."""
    one, other = (pd.Series(own).rank().to_numpy() for own in (left, right))
    if len(left) < FEWEST_RANKED or np.ptp(one) == 0 or np.ptp(other) == 0:
        return None
    return float(np.corrcoef(one, other)[0, 1])


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """An analyst's record over one horizon; see `calibration_of` for the columns.

    Attributes:
        horizon: In sessions.
        others: Names of the baselines.
        groups: One row per analyst, model, prompt version and sample; `Sample.OUT` first,
            and of each the one that spoke last first.
        bands: One row per group and band of confidence.
        curve: One row per group and bin of declared scores that has signals.
    """

    horizon: int
    others: tuple[str, ...]
    groups: pd.DataFrame
    bands: pd.DataFrame
    curve: pd.DataFrame

    def of(self, frame: pd.DataFrame, group: Mapping[str, object]) -> pd.DataFrame:
        """The rows of *frame*, `bands` or `curve`, that belong to *group*."""
        own = [frame[name] == group[name] for name in (*MAKER, "sample")]
        return frame[np.logical_and.reduce(own)]


def calibration_of(
    outcomes: pd.DataFrame, baselines: Mapping[str, pd.DataFrame], *, horizon: int = HORIZON
) -> Calibration:
    """What became of what was said, by who said it.

    Args:
        outcomes: `signal_outcomes` rows of one strategy; those of *horizon* count.
        baselines: By name, the same of others on these symbols and sessions; each group is
            held against them where it wants to trade itself, and they do too.
        horizon: In sessions.

    Returns:
        ``groups``: ``signals`` that want a trade and are resolved, ``apart`` those of them
        whose horizons do not overlap, ``abstain_frac`` and ``hold_frac`` of all that was
        said, ``hit_frac`` with its Wilson interval ``hit_low_frac`` to ``hit_high_frac``,
        ``brier`` and ``ece`` of declared scores, ``brier_known`` of what would have been
        declared by the hit rate alone and ``brier_calibrated`` of walked-forward
        probabilities where there are any, ``ic`` the rank correlation of score and return,
        ``expectancy_frac`` and ``mean_r`` per trade, the expectancy of each baseline under
        its name, ``cost_usd`` per signal, and ``status``.
        ``bands`` and ``curve``: ``signals``, ``hit_frac`` with its interval,
        ``expectancy_frac`` and, of the curve, ``declared``, the mean score as a fraction.
    """
    own = outcomes[outcomes["horizon_sessions"] == horizon].reset_index(drop=True)
    others = {
        name: rows[rows["horizon_sessions"] == horizon] for name, rows in baselines.items()
    }
    said = own.assign(
        sample=_sample(own),
        is_judged=_judged(own),
        is_hit=is_hit(own),
        probability=walked_forward(own, own)["probability"],
    )
    by = [*MAKER, "sample"]
    parts = [
        (dict(zip(by, rows.iloc[0][by], strict=True)), rows)
        for _, rows in said.groupby(by, sort=True)
    ]
    order = [sample.value for sample in Sample]
    parts.sort(key=lambda part: part[1]["session"].max(), reverse=True)
    parts.sort(key=lambda part: order.index(part[0]["sample"]))
    groups = [group | _figures(rows, others) for group, rows in parts]
    bands = [group | band for group, rows in parts for band in _bands(rows)]
    curve = [group | bin_ for group, rows in parts for bin_ in _curve(rows)]
    frames = map(pd.DataFrame, (groups, bands, curve))
    return Calibration(horizon, tuple(baselines), *frames)


def _sample(outcomes: pd.DataFrame) -> NDArray[np.object_]:
    known = outcomes["is_out_of_sample"].astype("boolean")
    is_out, is_in = (own.fillna(value=False).to_numpy(bool) for own in (known, ~known))
    samples = [Sample.OUT.value, Sample.IN.value]
    return np.select([is_out, is_in], samples, Sample.UNKNOWN.value).astype(object)


def _judged(outcomes: pd.DataFrame) -> NDArray[np.bool_]:
    """Where something was claimed: a trade, with a score."""
    wants = outcomes["action"].isin([Action.BUY.value, Action.SELL.value])
    return (wants & outcomes["confidence_score"].notna()).to_numpy()


def _learnt(signals: pd.DataFrame, known: pd.DataFrame) -> pd.DataFrame:
    """What is known of one maker at each of *signals*; *known* is as it was resolved."""
    resolved = known["resolved_session"].to_numpy()
    points = np.rint(known["confidence_score"].to_numpy(dtype=np.float64)).astype(int)
    hits = is_hit(known)
    payoffs = _payoffs(known["net_return_frac"].to_numpy(dtype=np.float64))
    sessions = signals["session"].to_numpy()
    scores = signals["confidence_score"].to_numpy(dtype=np.float64, na_value=np.nan)
    count, true, so_far = np.zeros(POINTS), np.zeros(POINTS), 0
    found = np.full((len(signals), 3), np.nan)
    for session in np.unique(sessions):
        now = int(np.searchsorted(resolved, session, side="left"))
        np.add.at(count, points[so_far:now], 1.0)
        np.add.at(true, points[so_far:now], hits[so_far:now])
        so_far, own = now, sessions == session
        found[own, 0] = now
        if now >= ENOUGH:
            there = np.flatnonzero(count)
            learnt = Isotonic.fitted(there.astype(float), true[there], count[there])
            found[own, 1] = learnt(scores[own])
            found[own, 2] = payoffs[now - 1]
    columns = pd.Index(["resolved", "probability", "payoff"])
    return pd.DataFrame(found, index=signals.index, columns=columns)


def _payoffs(net: Floats) -> Floats:
    """Mean gain over mean loss of all that came until then; infinite without a loss."""
    gains, losses = np.maximum(net, 0.0), np.maximum(-net, 0.0)
    (won, all_won), (lost, all_lost) = (
        (np.cumsum(own > 0), np.cumsum(own)) for own in (gains, losses)
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        gain, loss = all_won / np.maximum(won, 1), all_lost / np.maximum(lost, 1)
        return np.where(loss > 0, gain / loss, np.inf)


def _figures(
    rows: pd.DataFrame, others: Mapping[str, pd.DataFrame]
) -> dict[str, float | int | str | None]:
    """The line of one group."""
    own = rows[rows["is_judged"]]
    declared = own["confidence_score"].to_numpy(dtype=np.float64) / HIGHEST
    hits = own["is_hit"].to_numpy(dtype=np.float64)
    is_out = bool((rows["sample"] == Sample.OUT).all())
    return {
        **_rates(own),
        "apart": _apart(own),
        "abstain_frac": float(rows["is_abstention"].mean()),
        "hold_frac": float((rows["action"] == Action.HOLD.value).mean()),
        "brier": _mean((declared - hits) ** 2),
        "brier_known": _mean((hits - hits.mean()) ** 2) if len(hits) else None,
        "brier_calibrated": _mean(
            ((own["probability"] - hits) ** 2).dropna().to_numpy(dtype=np.float64)
        ),
        "ece": _ece(rows),
        "ic": _ic(rows),
        "mean_r": _mean(own["r_multiple"].dropna().to_numpy(dtype=np.float64)),
        **{name: _against(own, other) for name, other in others.items()},
        "cost_usd": float(rows["cost_usd"].mean()),
        "status": _status(len(own), is_out=is_out),
    }


def _status(signals: int, *, is_out: bool) -> str:
    if not is_out:
        return "contaminated: no part of the headline"
    return "calibrated" if signals >= ENOUGH else f"uncalibrated: {signals} of {ENOUGH}"


def _rates(own: pd.DataFrame) -> dict[str, float | int | None]:
    """How many signals, how many came true, and what each gained."""
    count, hits = len(own), float(own["is_hit"].sum())
    low, high = wilson(np.array([hits]), np.array([float(count)]))
    return {
        "signals": count,
        "hit_frac": hits / count if count else None,
        "hit_low_frac": float(low[0]) if count else None,
        "hit_high_frac": float(high[0]) if count else None,
        "expectancy_frac": _mean(own["net_return_frac"].to_numpy(dtype=np.float64)),
    }


def _bands(rows: pd.DataFrame) -> Iterator[dict[str, float | int | str | None]]:
    own = rows[rows["is_judged"]]
    band = own["confidence_score"].map(lambda score: confidence_of(score).value)
    for confidence in Confidence:
        yield {"band": confidence.value, **_rates(own[band == confidence.value])}


def _curve(rows: pd.DataFrame) -> Iterator[dict[str, float | int | None]]:
    own = rows[rows["is_judged"]]
    declared = own["confidence_score"].astype(float) / HIGHEST
    numbers = (declared * BINS).astype(int).clip(upper=BINS - 1)
    for number in sorted(set(numbers)):
        part = own[numbers == number]
        mean = float(declared[part.index].mean())
        yield {"bin": number, "declared": mean, **_rates(part)}


def _ece(rows: pd.DataFrame) -> float | None:
    """Mean distance of declared and true rate, each bin by its signals."""
    curve = pd.DataFrame(list(_curve(rows)))
    if curve.empty:
        return None
    distance = (curve["declared"] - curve["hit_frac"]).abs()
    return float((distance * curve["signals"]).sum() / curve["signals"].sum())


def _ic(rows: pd.DataFrame) -> float | None:
    """Rank correlation of what was said, HOLD in the middle, and what the share did."""
    said = rows[~rows["is_abstention"] & rows["confidence_score"].notna()]
    side = np.where(said["action"] == Action.SELL.value, -1.0, 1.0)
    score = np.where(said["action"] == Action.HOLD.value, 0.0, said["confidence_score"])
    return spearman(side * score, side * said["return_frac"].to_numpy(dtype=np.float64))


def _apart(own: pd.DataFrame) -> int:
    """How many signals could be taken one after the other, symbol by symbol."""
    taken = 0
    for _, rows in own.sort_values("session").groupby("symbol"):
        free = np.datetime64("1677-01-01")
        pairs = zip(rows["session"], rows["resolved_session"], strict=True)
        for session, resolved in pairs:
            if session >= free:
                taken, free = taken + 1, resolved
    return taken


def _against(own: pd.DataFrame, other: pd.DataFrame) -> float | None:
    """Expectancy of *other* where both want to trade."""
    both = own[["symbol", "session"]].merge(other, on=["symbol", "session"])
    return _mean(both["net_return_frac"].dropna().to_numpy(dtype=np.float64))


def _mean(values: Floats) -> float | None:
    return float(values.mean()) if len(values) else None
