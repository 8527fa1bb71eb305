"""Worlds that many tests begin with, or compare theirs with: each is made once.

Whichever process of a run of the tests needs one first makes it, and the others wait.
A test takes a copy, with a run history of its own that is empty, and does what it likes
with it.
"""

import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import NamedTuple

from trading_assets.adapters.storage.locks import FileLock
from trading_assets_tests.defs.world import CROSS, RANGES, World

LONGEST_WAIT_SECONDS = 600.0
BOTH = (CROSS, RANGES)


class Made(IntEnum):
    """How far a world is made."""

    MARKET = 1
    VIEWS = 2
    BOOKS = 3


class Restated(NamedTuple):
    """A bar that its vendor multiplied, of the strategies' session of that number."""

    symbol: str
    number: int
    factor: float


@dataclass(frozen=True)
class Shelf:
    """Made worlds, in a folder that all processes of a run of the tests share."""

    folder: Path

    def take(
        self,
        home: Path,
        made: Made = Made.BOOKS,
        strategies: Sequence[str] = BOTH,
        *,
        upto: int = -1,
        restated: Sequence[Restated] = (),
    ) -> World:
        """A world at *home* like `World.made`, in which one range each was made already.

        Args:
            home: Where nothing is yet.
            made: The market, the views too, or everything.
            strategies: Their files.
            upto: Number of the strategies' session up to which all was made.
            restated: What was changed in the market before.
        """
        asked = (made, tuple(strategies), upto, tuple(restated))
        known = self.folder / hashlib.sha256(repr(asked).encode()).hexdigest()[:16]
        with FileLock(known, LONGEST_WAIT_SECONDS).exclusive():
            if not known.exists():
                self._make(known.with_suffix(".new"), *asked).home.rename(known)
        return World(known).copied(home)

    def _make(
        self,
        home: Path,
        made: Made,
        strategies: Sequence[str],
        upto: int,
        restated: Sequence[Restated],
    ) -> World:
        shutil.rmtree(home, ignore_errors=True)  # of a process that was stopped
        if made > Made.MARKET:
            before = Made(made - 1)
            world = self.take(home, before, strategies, upto=upto, restated=restated)
        else:
            world = World.made(home, strategies=strategies)
            for symbol, number, factor in restated:
                world.restate(symbol, world.lane_sessions[number], factor)
        last = world.lane_sessions[upto]
        if made is Made.MARKET:
            assert world.make_market(last=last).success
        make = {Made.VIEWS: world.make_view, Made.BOOKS: world.make_book}.get(made)
        for lane in world.market.lanes if make else ():
            assert make(lane.name, last=last).success
        world.instance.dispose()
        return world
