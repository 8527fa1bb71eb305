"""A process that trades an evening at a gateway, and dies at a chosen moment.

``python -m … HOME PORT DAY MOMENT``: it trades day number DAY of `SAID`, and kills itself
instead of its MOMENT-th insertion or commit in the ledger. Whatever was sent until then is
out; whatever was heard and not written down is forgotten.
"""

import os
import signal
import sys
from pathlib import Path

from sqlalchemy import event

from trading_assets.adapters.ibkr.orders import Patience
from trading_assets_tests.adapters.brokers.test_ibkr import (
    ACCOUNT,
    AFTER_CLOSE,
    CALENDAR,
    DAYS,
    Clock,
    Street,
)
from trading_assets_tests.fake_gateway import FakeGateway
from trading_assets_tests.make import Said

SAID = (
    Said(0, "AAA", "BUY", entry=10.0, stop=8.0, target=20.0),
    Said(0, "BBB", "BUY", entry=50.0, stop=40.0, target=80.0),
    Said(1, "AAA", "SELL"),
)
IN_A_HURRY = Patience(acknowledge=0.5, settle=0.1)


class Moments:
    """Every word of a street to its ledger, at one of which the process may end.

    Attributes:
        told: ``commit``, or the name of the table, for each of them.
    """

    def __init__(self, street: Street, last: int = 0) -> None:
        """Begin to listen.

        Args:
            street: Whose ledger.
            last: Instead of which word the process dies; 0 for none.
        """
        self.told: list[str] = []
        self._last = last
        engine = street.books.intents._engine  # all books share it
        event.listen(engine, "before_cursor_execute", self._on_statement)
        event.listen(engine, "commit", lambda _connection: self._pass_by("commit"))

    def _on_statement(
        self, _connection: object, _cursor: object, statement: str, *_: object
    ) -> None:
        if statement.startswith("INSERT INTO "):
            self._pass_by(statement.split()[2])

    def _pass_by(self, word: str) -> None:
        self.told.append(word)
        if len(self.told) == self._last:
            os.kill(os.getpid(), signal.SIGKILL)


def prepare(street: Street) -> Street:
    """Have *street* trade `SAID` in brackets."""
    street.said, street.bracket, street.patience = SAID, True, IN_A_HURRY
    return street


def main() -> None:
    """Trade, and maybe die."""
    home, port, day, moment = sys.argv[1:]
    clock = Clock(CALENDAR.close_at(DAYS[int(day)]) + AFTER_CLOSE)
    somewhere = FakeGateway(port=int(port), account=ACCOUNT)  # only where it is
    street = prepare(Street(Path(home), somewhere, clock))
    Moments(street, int(moment))
    street.evening(int(day))


if __name__ == "__main__":
    main()
