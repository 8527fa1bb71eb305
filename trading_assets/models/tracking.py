"""What an experiment tracker is told: nothing that we would not know without it.

These values go to another process as JSON, so bytes in them are base64 there.
"""

import hashlib
from collections.abc import Mapping
from datetime import date, datetime
from enum import StrEnum
from typing import Literal

from pydantic import ConfigDict

from trading_assets.models.base import Value


class Told(Value):
    """A part of what a tracker is told."""

    model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")


class Artifact(Told):
    """A file that is kept with a run; *path* is relative, such as ``charts/daily.png``."""

    path: str
    content: bytes


class TrackedRun(Told):
    """What is known of a book, or of one of its symbols, at a session's close.

    Attributes:
        name: For people.
        parameters: What it was decided by.
        metrics: What came of it: finite numbers.
        tags: What it is found by.
        note: Markdown, for people.
    """

    name: str
    parameters: Mapping[str, str]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    note: str = ""
    artifacts: tuple[Artifact, ...] = ()


class TrackedSession(Told):
    """One session of one book: a run of its own, and one for each symbol within it.

    Attributes:
        experiment: What its runs are gathered under.
        key: Names the session of the book, the same whenever it is told.
        at: Its close.
        step: Its number among the book's sessions, from 1.
        told_by: Tags that say who tells it; no part of the content.
    """

    kind: Literal["session"] = "session"
    experiment: str
    key: str
    session: date
    at: datetime
    step: int
    told_by: Mapping[str, str]
    book: TrackedRun
    symbols: tuple[TrackedRun, ...]

    @property
    def content_hash(self) -> str:
        """Of all that is told, whoever tells it."""
        plain = self.model_dump_json(exclude={"told_by"})
        return hashlib.sha256(plain.encode()).hexdigest()


class Point(Told):
    """A book's figures at one session's close; see `TrackedSession` for *at* and *step*."""

    step: int
    at: datetime
    metrics: Mapping[str, float]


class TrackedCurve(Told):
    """A book from its first session to the last one told, as one run that grows.

    Attributes:
        points: Ascending by step, at least one.
    """

    kind: Literal["curve"] = "curve"
    experiment: str
    key: str
    name: str
    tags: Mapping[str, str]
    note: str
    points: tuple[Point, ...]

    def hash_through(self, step: int) -> str:
        """Of name, tags and the points up to *step*."""
        points = tuple(own for own in self.points if own.step <= step)
        plain = self.model_copy(update={"points": points}).model_dump_json()
        return hashlib.sha256(plain.encode()).hexdigest()


class Outcome(StrEnum):
    """What became of what a tracker was told."""

    LOGGED = "logged"
    UNCHANGED = "unchanged"
    FAILED = "failed"


class Tracked(Value):
    """A tracker's answer.

    Attributes:
        key: Of what it was told.
        run_id: As the tracker names the run; empty if it failed.
        reason: Why it failed, without an address.
        is_over: Whether it is no use to go on.
    """

    key: str
    outcome: Outcome
    run_id: str = ""
    reason: str = ""
    is_over: bool = False
