"""Telling no tracker; what is used when none is configured."""

from collections.abc import Iterable, Iterator
from typing import override

from trading_assets.adapters.tracking.port import Tracker
from trading_assets.models.tracking import Tracked, TrackedCurve, TrackedSession


class SilentTracker(Tracker):
    """Takes nothing, and so answers for nothing."""

    @override
    def track(self, told: Iterable[TrackedSession | TrackedCurve]) -> Iterator[Tracked]:
        del told
        return iter(())
