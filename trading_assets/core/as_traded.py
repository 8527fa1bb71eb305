"""Bars of a source that restates its past, brought back to how they were traded.

Such a source divides every price before a split by its ratio. What it says is compared
with what is stored: a split that shows is booked, what agrees is kept to the bit, and what
nothing explains is not stored.

A bar that was divided was rounded too. Brought back it may be off by half a cent times the
ratio; one that is stored agrees with it if rounding can tell them apart no further.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from trading_assets.core.restatement import (
    ADDED,
    CORRECTION,
    FIELDS,
    PRICES,
    ROUNDING,
    SAME_FRAC,
    SPLIT,
    WITHDRAWN,
    restatements,
)

Floats = NDArray[np.float64]

PRICED = len(PRICES)
DIGITS = 4
"""After the point, of what is brought back: a hundredth of a cent."""

HALF = 0.5
SAYING = ("kind", "ratio", "ex_session", "first_session", "last_session", "sessions")
FOUND = ("symbol", *SAYING, "fields", "outcome", "why")


class Outcome(StrEnum):
    """What becomes of something that a source tells otherwise than it is stored."""

    BOOKED = "booked"
    STORED = "stored"
    OUTSIDE = "outside"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, eq=False)
class AsTraded:
    """What may be stored of what a source tells.

    Attributes:
        bars: `bars` rows of the range, as traded, of the symbols that are not *refused*.
        splits: Those found now: ``symbol``, ``ex_session``, ``value``.
        findings: One row per thing that is told otherwise than it is stored, ordered by
            symbol and first session: as in `restatements`, with an ``outcome`` (a split
            is *booked*, another bar *stored*, left as it is *outside* of the range, or
            all of the symbol *refused*) and, if it is refused, ``why``.
        refused: Why nothing of a symbol may be stored.
    """

    bars: pd.DataFrame
    splits: pd.DataFrame
    findings: pd.DataFrame
    refused: Mapping[str, str]


def as_traded(
    stored: pd.DataFrame,
    told: pd.DataFrame,
    splits: pd.DataFrame,
    asked: tuple[date, date],
    wanted: tuple[date, date],
) -> AsTraded:
    """*told* as it was traded, as far as *stored* and *splits* explain it.

    Args:
        stored: `bars` rows of the same source, of the sessions *asked* for.
        told: `bars` rows that the source gives, of the symbols that it could read.
        splits: ``symbol``, ``ex_session``, ``value`` of every known split that prices of
            today are divided by; one per symbol and session.
        asked: First and last session that *told* could have bars of.
        wanted: First and last session of what is to be stored, within *asked*.
    """
    found = restatements(stored, told)
    symbols = sorted({*stored["symbol"], *told["symbol"]})
    looks = [_Look.at(name, stored, told, splits, found, asked, wanted) for name in symbols]
    for look in looks:
        look.judge()
    rows = [row for look in looks for row in look.findings]
    findings = pd.DataFrame(rows, columns=list(FOUND)).sort_values(
        ["symbol", "first_session"], kind="stable", ignore_index=True
    )
    refused = findings[findings["outcome"] == Outcome.REFUSED]
    booked = [
        (look.symbol, ex_session, value)
        for look in looks
        for ex_session, value in look.booked.items()
    ]
    kept = [look.brought_back() for look in looks if not look.is_refused]
    return AsTraded(
        bars=pd.concat(kept, ignore_index=True) if kept else told.head(0),
        splits=pd.DataFrame(booked, columns=["symbol", "ex_session", "value"]),
        findings=findings,
        refused=dict(zip(refused["symbol"], refused["why"], strict=True)),
    )


@dataclass(eq=False)
class _Look:
    """What is made of one symbol.

    Attributes:
        stored: By session.
        told: By session.
        columns: Those of what is told, in order.
        known: Ratio by ex-session of every split that is known.
        found: From `restatements`, of this symbol.
        booked: As *known*, of those found now.
    """

    symbol: str
    stored: pd.DataFrame
    told: pd.DataFrame
    columns: list[str]
    known: dict[pd.Timestamp, float]
    found: pd.DataFrame
    asked: tuple[pd.Timestamp, pd.Timestamp]
    wanted: tuple[pd.Timestamp, pd.Timestamp]
    booked: dict[pd.Timestamp, float] = field(default_factory=dict)
    findings: list[tuple[object, ...]] = field(default_factory=list)

    @classmethod
    def at(
        cls,
        symbol: str,
        stored: pd.DataFrame,
        told: pd.DataFrame,
        splits: pd.DataFrame,
        found: pd.DataFrame,
        asked: tuple[date, date],
        wanted: tuple[date, date],
    ) -> "_Look":
        own = splits[splits["symbol"] == symbol]
        return cls(
            symbol=symbol,
            stored=_by_session(stored, symbol),
            told=_by_session(told, symbol),
            columns=list(told.columns),
            known=dict(zip(own["ex_session"], own["value"], strict=True)),
            found=found[found["symbol"] == symbol],
            asked=(pd.Timestamp(asked[0]), pd.Timestamp(asked[1])),
            wanted=(pd.Timestamp(wanted[0]), pd.Timestamp(wanted[1])),
        )

    @property
    def is_refused(self) -> bool:
        return any(row[-2] == Outcome.REFUSED for row in self.findings)

    @cached_property
    def both(self) -> pd.DatetimeIndex:
        """Sessions that are stored and told."""
        return pd.DatetimeIndex(self.stored.index.intersection(self.told.index))

    def judge(self) -> None:
        """Note what is told otherwise, and what becomes of it."""
        splits = self.found[self.found["kind"] == SPLIT]
        shown = zip(
            splits["first_session"], splits["last_session"], splits["ratio"], strict=True
        )
        for first, last, ratio in reversed([*shown]):  # an older one shows through newer
            self._judge_split(first, last, ratio)
        self._judge_scales()
        if not self.is_refused:
            self._note_corrections()
        for session in self._withdrawn():
            why = f"the bar of {session:%Y-%m-%d} is stored, and not told any more"
            self._note(WITHDRAWN, (session, session), Outcome.REFUSED, why=why)
        for session in self.found.loc[self.found["kind"] == ADDED, "first_session"]:
            self._note(ADDED, (session, session), self._place(session))

    def brought_back(self) -> pd.DataFrame:
        """The told bars of the range as traded; those that agree are the stored ones."""
        sessions = self._wanted_of(self.told)
        told, values = self.told.loc[sessions].copy(), self._values(self.told, sessions)
        factor, _ = self._factors(sessions)
        is_other = factor != 1.0
        by = factor[is_other, None]
        values[is_other, :PRICED] = (values[is_other, :PRICED] * by).round(DIGITS)
        values[is_other, PRICED:] = (values[is_other, PRICED:] / by).round(DIGITS)
        agreed = self.both[np.flatnonzero(~self._differing().any(axis=1))]
        is_kept = sessions.isin(agreed)
        values[is_kept] = self._values(self.stored, sessions[is_kept])
        told[list(FIELDS)] = values
        return told.reset_index()[self.columns]

    def _judge_split(self, first: pd.Timestamp, last: pd.Timestamp, ratio: float) -> None:
        """Book a split that nobody knows of, if it is certain in which session it was.

        Args:
            first: Of the sessions in which it shows.
            last: Of them.
            ratio: New shares per old share.
        """
        if self._is_explained((self.both >= first) & (self.both <= last)):
            return
        later = self.both[self.both > last]
        until = later[0] if len(later) else pd.Timestamp.max
        at = pd.DatetimeIndex(self.told.index)
        candidates = at[(at > last) & (at <= until)]
        known = [own for own in self.known if last < own <= until]
        doubt = self._doubt(candidates, known)
        if doubt:
            why = f"a split of {ratio:g} shows in sessions to {last:%Y-%m-%d}, and {doubt}"
            self._note(SPLIT, (first, last), Outcome.REFUSED, ratio=ratio, why=why)
        else:
            self.known[candidates[0]] = self.booked[candidates[0]] = ratio
            self._note(
                SPLIT,
                (first, last),
                Outcome.BOOKED,
                ratio=ratio,
                ex_session=candidates[0],
            )

    def _doubt(
        self,
        candidates: pd.DatetimeIndex,
        known: list[pd.Timestamp],
    ) -> str:
        """Why a split can't be booked; empty if it can."""
        if known:
            told = ", ".join(f"{self.known[own]:g} on {own:%Y-%m-%d}" for own in known)
            return f"it is not the one that is known ({told})"
        if not len(candidates):
            return "its first session is not among those told"
        if len(candidates) > 1:
            return (
                f"its first session is one of {len(candidates)}, {candidates[0]:%Y-%m-%d} "
                f"to {candidates[-1]:%Y-%m-%d}"
            )
        if not self._is_wanted(candidates[0]):
            return (
                f"its first session {candidates[0]:%Y-%m-%d} is stored: make bars from "
                "that day on"
            )
        return ""

    def _judge_scales(self) -> None:
        """Refuse prices that are not divided by what they should be divided by."""
        if self.is_refused:
            return
        factor, _ = self._factors(self.both)
        for scale in np.unique(factor[factor != 1.0]):
            if not self._is_explained(factor == scale):
                own = self.both[factor == scale]
                why = (
                    f"prices of sessions to {own[-1]:%Y-%m-%d} should be divided by "
                    f"{scale:g} for the splits that are known, and they are not"
                )
                self._note(
                    SPLIT, (own[0], own[-1]), Outcome.REFUSED, ratio=float(scale), why=why
                )

    def _note_corrections(self) -> None:
        differing = self._differing()
        at = np.flatnonzero(differing.any(axis=1))
        for session, is_other in zip(self.both[at], differing[at], strict=True):
            named = ", ".join(np.array(FIELDS)[is_other])
            outcome = self._place(session)
            self._note(CORRECTION, (session, session), outcome, fields=named)

    def _withdrawn(self) -> Iterator[pd.Timestamp]:
        first, last = self.asked
        held = self.stored.index[(self.stored.index >= first) & (self.stored.index <= last)]
        yield from pd.DatetimeIndex(held.difference(self.told.index))

    def _is_explained(self, which: NDArray[np.bool_]) -> bool:
        """Whether known splits bring most of *which* of both back to what is stored."""
        return bool(self._differing()[which].any(axis=1).mean() < HALF)

    def _differing(self) -> NDArray[np.bool_]:
        """By session of both and field: whether it differs by more than rounding.

        Where nothing was divided nothing was rounded anew, and the volume counts too.
        """
        factor, largest = (own[:, None] for own in self._factors(self.both))
        then, now = self._both_values
        is_same = np.isclose(then, now, rtol=SAME_FRAC, atol=0.0)
        rounding = ROUNDING * (factor + largest) * (1 + SAME_FRAC)
        nearest = np.abs(now * factor - then) <= rounding
        nearest[:, PRICED:] = True
        return np.where(factor == 1.0, ~is_same, ~nearest)

    def _factors(self, sessions: pd.DatetimeIndex) -> tuple[Floats, Floats]:
        """By session: what its prices are divided by, and the most that they ever were.

        When a bar was stored it may have been divided by the first of the splits since.
        """
        factor, largest = np.ones(len(sessions)), np.ones(len(sessions))
        for ex_session, ratio in sorted(self.known.items()):
            factor[sessions < ex_session] *= ratio
            largest = np.maximum(largest, factor)
        return factor, largest

    @cached_property
    def _both_values(self) -> tuple[Floats, Floats]:
        """Stored and told, of the sessions of both."""
        return self._values(self.stored, self.both), self._values(self.told, self.both)

    def _values(self, rows: pd.DataFrame, sessions: pd.DatetimeIndex) -> Floats:
        """The `FIELDS` of *sessions*, one row each, to be written to."""
        return rows.loc[sessions, list(FIELDS)].to_numpy(dtype=np.float64, copy=True)

    def _wanted_of(self, rows: pd.DataFrame) -> pd.DatetimeIndex:
        sessions = pd.DatetimeIndex(rows.index)
        return sessions[(sessions >= self.wanted[0]) & (sessions <= self.wanted[1])]

    def _is_wanted(self, session: pd.Timestamp) -> bool:
        return self.wanted[0] <= session <= self.wanted[1]

    def _place(self, session: pd.Timestamp) -> Outcome:
        return Outcome.STORED if self._is_wanted(session) else Outcome.OUTSIDE

    def _note(
        self,
        kind: str,
        span: tuple[pd.Timestamp, pd.Timestamp],
        outcome: Outcome,
        *,
        ratio: float = np.nan,
        ex_session: object = pd.NaT,
        fields: str = "",
        why: str = "",
    ) -> None:
        held = pd.DatetimeIndex(self.stored.index)
        count = int(((held >= span[0]) & (held <= span[1])).sum())
        row = (kind, ratio, ex_session, *span, count, fields, outcome, why)
        self.findings.append((self.symbol, *row))


def _by_session(bars: pd.DataFrame, symbol: str) -> pd.DataFrame:
    return bars[bars["symbol"] == symbol].set_index("session").sort_index()
