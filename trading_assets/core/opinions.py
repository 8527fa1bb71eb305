"""Opinions of many rows at once."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trading_assets.core.panel import Floats
from trading_assets.core.views import Bools, Views
from trading_assets.errors import InvalidStrategy
from trading_assets.models.signal import Confidence

HIGH_FROM = 70.0
MEDIUM_FROM = 40.0
HIGHEST = 100.0

LEVELS = ("entry", "stop", "target")
COLUMNS = ("action", "abstains", "score", *LEVELS)


def confidence_of(score: float) -> Confidence:
    """What people call a confidence score of 0 to 100."""
    if score >= HIGH_FROM:
        return Confidence.HIGH
    return Confidence.MEDIUM if score >= MEDIUM_FROM else Confidence.LOW


@dataclass(frozen=True, slots=True, eq=False)
class Opinions:
    """One opinion per row of some views; `Opinions.of` builds them.

    Attributes:
        action: +1 to be long, -1 to be flat (or short, where that is allowed), 0 to stay.
        abstains: Where there is no opinion, which is not the opinion to stay.
        score: How sure, 0 to 100; NaN where it abstains.
        entry: Price the opinion rests on, currency per share; NaN for no level.
        stop: Where it is wrong; NaN for no level.
        target: Where it has come true; NaN for no level.
        reason: Why, in one sentence, of the row with this number.
    """

    action: NDArray[np.int8]
    abstains: Bools
    score: Floats
    entry: Floats
    stop: Floats
    target: Floats
    reason: Callable[[int], str]

    def __len__(self) -> int:
        return len(self.action)

    @classmethod
    def of(
        cls,
        views: Views,
        *,
        buy: Bools,
        sell: Bools,
        reason: Callable[[int], str],
        score: Floats | float = 50.0,
        entry: Floats | float = np.nan,
        stop: Floats | float = np.nan,
        target: Floats | float = np.nan,
        abstains: Bools | None = None,
    ) -> "Opinions":
        """Opinions on *views*, complete and consistent.

        Args:
            views: What they are about.
            buy: Where to be long.
            sell: Where to be flat; where neither is true, things stay as they are.
            reason: Why, of one row.
            score: 0 to 100, of each row or of all.
            entry: Currency per share, as are *stop* and *target*; kept where the action is
                to buy or to sell, and where it is above zero.
            stop: See *entry*.
            target: See *entry*.
            abstains: Where to say nothing; None means where something declared is missing.

        Raises:
            InvalidStrategy: If a row is to be bought and sold, or a score is out of range.
        """
        silent = views.incomplete if abstains is None else np.asarray(abstains, dtype=bool)
        action = np.asarray(buy, dtype=np.int8) - np.asarray(sell, dtype=np.int8)
        action = np.where(silent, np.int8(0), action)
        both = np.flatnonzero(np.asarray(buy) & np.asarray(sell) & ~silent)
        if both.size:
            raise InvalidStrategy(f"{views.row_name(both[0])} is both to buy and to sell")
        opinions = cls(
            action=action,
            abstains=silent,
            score=np.where(silent, np.nan, score),
            entry=_levels(entry, action),
            stop=_levels(stop, action),
            target=_levels(target, action),
            reason=reason,
        )
        opinions.check(views)
        return opinions

    def check(self, views: Views) -> None:
        """Refuse opinions that are not one per row of *views*, or out of range.

        Raises:
            InvalidStrategy: Naming what was received and what is allowed.
        """
        for name in COLUMNS:
            shape = np.shape(getattr(self, name))
            if shape != (len(views),):
                raise InvalidStrategy(
                    f"{name} must have one value per row, {len(views)}; has {shape}"
                )
        known = np.isin(self.action, (-1, 0, 1))
        _refuse(views, ~known, self.action, "action", "-1, 0 or 1")
        sure = (self.score >= 0) & (self.score <= HIGHEST)
        _refuse(views, ~self.abstains & ~sure, self.score, "score", "0 to 100")
        for name in LEVELS:
            level = getattr(self, name)
            is_wrong = (level <= 0) | np.isinf(level)
            _refuse(views, is_wrong, level, name, "a price above 0, or NaN for none")


def _levels(prices: Floats | float, action: NDArray[np.int8]) -> Floats:
    """*prices* where there is something to do and they are prices, else NaN."""
    given = np.broadcast_to(np.asarray(prices, dtype=np.float64), action.shape)
    return np.where((action != 0) & (given > 0), given, np.nan)


def _refuse(
    views: Views, is_wrong: Bools, received: NDArray[np.generic], name: str, allowed: str
) -> None:
    if is_wrong.any():
        row = int(np.argmax(is_wrong))
        raise InvalidStrategy(
            f"{views.row_name(row)}: {name} must be {allowed}, was {received[row]}"
        )
