"""An account to trade in: locked, connected, and with nothing left in doubt."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from trading_assets.adapters.ibkr.account import Held, positions
from trading_assets.adapters.ibkr.gateway import PAPER_PREFIX, Gateway, GatewaySettings
from trading_assets.adapters.ibkr.orders import (
    MaySend,
    OrderDesk,
    Patience,
    Reconciliation,
)
from trading_assets.adapters.ledger.accounts import AccountBook
from trading_assets.adapters.ledger.engine import ledger_url, open_engine
from trading_assets.adapters.ledger.intents import IntentBook
from trading_assets.adapters.ledger.store import Ledger
from trading_assets.core.agreement import (
    Difference,
    Split,
    differences,
    expected_shares,
    strangers,
)
from trading_assets.core.guarding import EXPIRY, expired
from trading_assets.models.intent import Execution
from trading_assets.sessions import trading_calendar

DESK = "desk"
"""Beside an account: the lock of the one connection that trades in it."""

type Splits = Callable[[], list[Split]]


@dataclass(frozen=True, slots=True)
class Books:
    """All that the ledger keeps of a real account, on one database."""

    ledger: Ledger
    intents: IntentBook
    accounts: AccountBook

    @classmethod
    def open(cls, place: str | Path) -> Self:
        """Open the ledger at *place*; see `Ledger.open`."""
        engine = open_engine(ledger_url(place))
        return cls(Ledger(engine), IntentBook(engine), AccountBook(engine))

    def differences(
        self, account: str, held: list[Held], splits: list[Split]
    ) -> list[Difference]:
        """Symbols of *account* of which the broker holds other than we can explain."""
        shares: dict[str, float] = {}
        for own in held:
            shares[own.symbol] = shares.get(own.symbol, 0.0) + own.shares
        return differences(self.expected(account, splits), shares, self.strangers(account))

    def expected(self, account: str, splits: list[Split]) -> dict[str, float]:
        """Shares that *account* should hold, signed, by symbol."""
        return expected_shares(
            self.intents.of_account(account),
            self.intents.executions(account),
            self.accounts.adoptions(account),
            splits,
        )

    def strangers(self, account: str) -> list[Execution]:
        """Executions in *account* of nobody's order of ours that were not adopted."""
        return strangers(
            self.intents.of_account(account),
            self.intents.executions(account),
            self.accounts.adoptions(account),
        )


class TradingSession:
    """A connection that may trade, its desk, and what the account holds.

    Attributes:
        reconciliation: What became of earlier orders, when it began.
    """

    def __init__(
        self, gateway: Gateway, desk: OrderDesk, reconciliation: Reconciliation
    ) -> None:
        self.gateway = gateway
        self.desk = desk
        self.reconciliation = reconciliation
        self._held: list[Held] | None = None

    @property
    def account(self) -> str:
        """Whose money it is."""
        return self.gateway.settings.account

    def positions(self) -> list[Held]:
        """What the broker holds of shares; asked once a session.

        Raises:
            NoAnswer: If the gateway does not answer.
            GatewayUnreachable: If there is no connection.
        """
        if self._held is None:
            self._held = positions(self.gateway)
        return self._held


@contextmanager
def trading_session(
    settings: GatewaySettings,
    books: Books,
    *,
    wait_seconds: float,
    patience: Patience | None = None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    splits: Splits,
    may_send: MaySend,
) -> Iterator[TradingSession]:
    """Have the account to oneself, connected and reconciled.

    Orders of a day that has passed while nobody listened are settled; see `settle_expired`.

    Args:
        settings: Of a gateway; not read-only.
        books: Where everything is written down.
        wait_seconds: Longest wait for another process that trades in the account.
        patience: How long the desk waits.
        now: The clock, in UTC.
        splits: Of whatever may be held; asked when positions are compared.
        may_send: Asked before an order in doubt, that is nowhere, is sent again.

    Raises:
        StoreBusy: If somebody else trades in the account for longer.
        WrongAccount: If the ledger is of the other kind of money, or the gateway does not
            report the account.
        GatewayUnreachable: If there is no session.
        NoAnswer: If the gateway does not say what became of earlier orders.
        OrdersPaused: If it has lost its server.
    """
    account = settings.account
    is_live = not account.startswith(PAPER_PREFIX)
    with books.ledger.lane(account, DESK, wait_seconds):
        books.accounts.claim(account, is_live=is_live)
        with (
            Gateway.connected(settings) as gateway,
            OrderDesk(gateway, books.intents, patience, now, may_send) as desk,
        ):
            session = TradingSession(gateway, desk, desk.reconcile())
            settle_expired(session, books, splits, now())
            yield session


def settle_expired(
    session: TradingSession, books: Books, splits: Splits, at: datetime
) -> list[str]:
    """Settle orders of a day that is over, and that have left no trace in the position.

    An order that is missing may have filled, or have expired while nobody was connected.
    If the broker holds what is explained without it, it has not filled. One whose fills
    another order in doubt could hide, such as the stop of an entry, is left to a person.

    Returns:
        Their order ids.

    Raises:
        NoAnswer: If the gateway does not say what the account holds.
        GatewayUnreachable: If there is no connection.
    """
    calendar = trading_calendar()
    over = expired(books.intents.unsettled(session.account), at, calendar)
    if not over:
        return []
    held = books.differences(session.account, session.positions(), splits())
    unexplained = {each.symbol for each in held}
    settled = [it for it in over if it.intent.ticket.symbol not in unexplained]
    for it in settled:
        why = "its day is over, and the broker holds what is explained without it"
        session.desk.settle(it.order_id, who=EXPIRY, why=why)
    return [it.order_id for it in settled]
