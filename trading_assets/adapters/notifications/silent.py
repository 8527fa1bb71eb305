"""Telling nobody; what is used when no place is configured."""

import logging
from typing import override

from trading_assets.adapters.notifications.port import Notifier, Told
from trading_assets.models.notice import Topic

logger = logging.getLogger(__name__)


class SilentNotifier(Notifier):
    """Writes what it is told into the log, and nowhere else."""

    @override
    def tell(self, topic: Topic, text: str) -> Told:
        logger.info("%s (nobody is told): %s", topic.heading, text)
        return Told(is_sent=False)

    @override
    def tell_held_back(self) -> tuple[Topic, ...]:
        return ()
