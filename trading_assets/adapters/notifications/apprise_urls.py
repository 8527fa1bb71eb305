"""Slack, Telegram, e-mail, webhooks and the rest, through apprise.

apprise writes addresses into its log, and urllib3 the paths that are Slack's and Telegram's
secrets, so neither is let speak. A receiver that never ends its answer would hold either of
them for ever, so each place gets a thread that is left behind.
"""

import logging
import re
import threading
import time
from functools import cached_property
from typing import TYPE_CHECKING, override

from trading_assets.adapters.notifications.port import Channel, Told
from trading_assets.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Sequence

    from apprise import NotifyBase

logger = logging.getLogger(__name__)

LONGEST_SECONDS = 10.0
BETWEEN = re.compile(r"[\s,]+(?=[A-Za-z][\w+.-]*://)")
"""Addresses may have commas of their own: only one before a scheme ends an address."""

UNREADABLE = "TRADING_NOTIFY"
"""Stands for the kind of service where none can be told."""


class AppriseUrls(Channel):
    """Places that apprise knows how to reach.

    Addresses are read when the first message is sent: a bad one spoils that message, and
    no run.
    """

    def __init__(self, addresses: str, longest_seconds: float = LONGEST_SECONDS) -> None:
        """Take *addresses*, separated by spaces or commas.

        Args:
            addresses: Such as ``json://host/path`` or ``slack://a/b/c``.
            longest_seconds: Of a delivery to all of them.
        """
        self._addresses = addresses
        self._longest_seconds = longest_seconds

    @override
    def __repr__(self) -> str:
        return f"{type(self).__name__}(…)"

    @cached_property
    def services(self) -> "Sequence[NotifyBase]":
        """One for each address.

        Raises:
            InvalidInput: If there is none, or apprise can't read one; it is not shown.
        """
        from apprise import Apprise  # noqa: PLC0415 - slow to import, and seldom needed

        _hush()
        addresses = [own for own in BETWEEN.split(self._addresses.strip()) if own]
        found = [Apprise.instantiate(own) for own in addresses]
        for number, service in enumerate(found, start=1):
            if service is None:
                raise InvalidInput(
                    f"TRADING_NOTIFY: address {number} of {len(found)} is none that "
                    "apprise can read: its kind is unknown, or something is missing in it"
                )
        return [service for service in found if service is not None]

    @property
    def kinds(self) -> tuple[str, ...]:
        """What each place is, such as ``Slack``.

        Raises:
            InvalidInput: As `services` does.
        """
        return tuple(str(service.service_name) for service in self.services)

    @override
    def send(self, title: str, text: str) -> Told:
        try:
            services = self.services
        except InvalidInput as error:
            logger.warning("%s", error)
            return Told(is_sent=False, failed=(UNREADABLE,))
        deliveries = [_Delivery(service, title, text) for service in services]
        for delivery in deliveries:
            delivery.start()
        deadline = time.monotonic() + self._longest_seconds
        for delivery in deliveries:
            delivery.join(max(0.0, deadline - time.monotonic()))
        failed = tuple(own.kind for own in deliveries if not own.is_delivered)
        if failed:
            logger.warning("%s: not delivered to %s", title, ", ".join(failed))
        return Told(is_sent=len(failed) < len(deliveries), failed=failed)


class _Delivery(threading.Thread):
    """One message on its way to one place."""

    def __init__(self, service: "NotifyBase", title: str, text: str) -> None:
        self.kind = str(service.service_name)
        super().__init__(name=f"notify-{self.kind}", daemon=True)
        self._service = service
        self._message = {"title": title, "body": text}
        self.is_delivered = False

    @override
    def run(self) -> None:
        try:
            self.is_delivered = bool(self._service.notify(**self._message))
        except Exception as error:  # noqa: BLE001 - of a hundred vendors; its text may have the address
            logger.warning("%s: %s", self.kind, type(error).__name__)


def _hush() -> None:
    for name, level in (("apprise", logging.CRITICAL + 1), ("urllib3", logging.ERROR)):
        logging.getLogger(name).setLevel(level)
