"""A process that dies at a chosen moment of sending an order.

``python -m … PLACE PORT MOMENT``: it submits one market order for 10 AAPL and kills itself
either right after the intent is committed (``before``) or right after the order was handed
to the socket, before anything heard of it is written down (``after``).
"""

import os
import signal
import sys
from collections.abc import Sequence
from typing import override

from trading_assets.adapters.ibkr.gateway import Gateway, GatewaySettings
from trading_assets.adapters.ibkr.orders import OrderDesk
from trading_assets.adapters.ledger.intents import IntentBook
from trading_assets.models.intent import Fact, FactKind, Intent
from trading_assets_tests.make_intents import ACCOUNT, CLIENT_ID, make_order_ticket


class DyingBook(IntentBook):
    """Kills its process at a moment; what was committed until then is on disk."""

    dies_before_sending = True

    @override
    def commit(self, intents: Sequence[Intent]) -> None:
        super().commit(intents)
        if self.dies_before_sending:
            _die()

    @override
    def tell(self, order_id: str, *told: Fact) -> int:
        if any(fact.kind is FactKind.SENT for fact in told):
            _die()
        return 0  # it dies in a moment: nothing that is heard before may be kept


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    """Submit and die."""
    place, port, moment = sys.argv[1:]
    book = DyingBook.open(place)
    book.dies_before_sending = moment == "before"
    settings = GatewaySettings(
        port=int(port), client_id=CLIENT_ID, account=ACCOUNT, readonly=False
    )
    with Gateway.connected(settings) as gateway, OrderDesk(gateway, book) as desk:
        desk.submit([make_order_ticket()])


if __name__ == "__main__":
    main()
