"""Telling each topic once in so many minutes, and writing down what was told."""

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from textwrap import shorten
from typing import override

from sqlalchemy.exc import SQLAlchemyError

from trading_assets.adapters.ledger.notices import NoticeBook
from trading_assets.adapters.notifications.port import Channel, Notifier, Told
from trading_assets.errors import StoreBusy, TradingAssetsError
from trading_assets.models.notice import Notice, Topic

logger = logging.getLogger(__name__)

QUIET_MINUTES = 15.0
REST_SECONDS = 60.0
"""After a failed delivery nothing is tried: who tells much must not wait each time."""

TURN_SECONDS = 1.0
MOST_LINES = 5
LINE_LENGTH = 160
TEXT_LENGTH = 2000
HELD_BACK = "What has been held back:"
NO_LEDGER = (TradingAssetsError, SQLAlchemyError, OSError)


class RecordedNotifier(Notifier):
    """Tells people through a channel; the ledger knows what they were told when.

    So the limit holds for all processes together. Without a ledger a message is delivered
    all the same, once in the quiet time of each process.
    """

    def __init__(
        self,
        channel: Channel,
        ledger: str | Path,
        *,
        quiet_minutes: float = QUIET_MINUTES,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Take where to tell and where to write it down; neither is touched yet.

        Args:
            channel: Where people read.
            ledger: A file of SQLite's, or a URL of PostgreSQL's.
            quiet_minutes: Between two messages of a topic, 0 or above.
            now: Asked for the time.
        """
        self._channel = channel
        self._ledger = ledger
        self._quiet = timedelta(minutes=quiet_minutes)
        self._now = now
        self._rests_until: datetime | None = None
        self._told_without_ledger: dict[Topic, datetime] = {}

    @override
    def tell(self, topic: Topic, text: str) -> Told:
        text = text[:TEXT_LENGTH]
        try:
            return self._tell(topic, text)
        except NO_LEDGER as error:
            logger.warning("%s: not written down: %s", topic, _first_line(str(error)))
            return self._tell_without_ledger(topic, text)

    @override
    def tell_held_back(self) -> tuple[Topic, ...]:
        try:
            return tuple(topic for topic in Topic if self._tell_held_back(topic))
        except NO_LEDGER as error:
            logger.warning("the ledger was not asked: %s", _first_line(str(error)))
            return ()

    @cached_property
    def _notices(self) -> NoticeBook:
        return NoticeBook.open(self._ledger)

    def _tell(self, topic: Topic, text: str) -> Told:
        with suppress(StoreBusy), self._notices.turn(topic, TURN_SECONDS):
            if self._may_tell(topic):
                return self._deliver(topic, text, self._notices.untold(topic))
        self._notices.add(topic, text, self._now(), is_sent=False)
        return Told(is_sent=False, is_held_back=True)

    def _tell_held_back(self, topic: Topic) -> bool:
        if not self._notices.untold(topic):
            return False
        with suppress(StoreBusy), self._notices.turn(topic, TURN_SECONDS):
            waiting = self._notices.untold(topic)
            if waiting and self._may_tell(topic):
                return self._deliver(topic, HELD_BACK, waiting).is_sent
        return False

    def _may_tell(self, topic: Topic) -> bool:
        if self._rests_until is not None and self._now() < self._rests_until:
            return False
        last = self._notices.last_sent(topic)
        return last is None or self._now() - last.at >= self._quiet

    def _deliver(self, topic: Topic, text: str, waiting: Sequence[Notice]) -> Told:
        told = self._channel.send(topic.heading, with_waiting(text, waiting))
        at = self._now()
        self._rests_until = None if told.is_sent else at + timedelta(seconds=REST_SECONDS)
        try:
            self._notices.add(topic, text, at, is_sent=told.is_sent)
        except NO_LEDGER as error:  # told all the same; once more would be worse
            logger.warning("%s: not written down: %s", topic, _first_line(str(error)))
        return told

    def _tell_without_ledger(self, topic: Topic, text: str) -> Told:
        last = self._told_without_ledger.get(topic)
        if last is not None and self._now() - last < self._quiet:
            return Told(is_sent=False, is_held_back=True)
        self._told_without_ledger[topic] = self._now()
        return self._channel.send(topic.heading, text)


def with_waiting(text: str, waiting: Sequence[Notice]) -> str:
    """*text*, and below it how many were held back, with the first lines of the newest."""
    if not waiting:
        return text
    newest = waiting[-MOST_LINES:]
    heading = f"{len(waiting)} before it that nobody was told"
    if len(waiting) > len(newest):
        heading += f", the last {len(newest)} of them"
    lines = [f"- {own.at:%Y-%m-%d %H:%M} UTC: {_first_line(own.text)}" for own in newest]
    return "\n".join([text, "", f"{heading}:", *lines])


def _first_line(text: str) -> str:
    return shorten(text.partition("\n")[0], LINE_LENGTH, placeholder=" …")
