"""What we need from a broker outside, beyond trading: its own word on an account."""

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Protocol

from trading_assets.models.account import Account, AccountPosition


class BrokerAccounts(Protocol):
    """Accounts at a broker, session by session.

    - A broker tells how an account stands, not how it stood: who asks after a session has
      what was said kept, and everybody later reads that.
    - An account without positions and one that could not be asked about are different
      answers: the second raises.
    """

    def look(self, account: str, session: date) -> None:
        """Ask about *account* now, and keep what is said as of *session*.

        Raises:
            GatewayUnreachable: If there is no session with the broker.
            NoAnswer: If it does not answer.
            WrongAccount: If it does not report the account.
        """
        ...

    def kept(
        self, accounts: Iterable[str], sessions: Sequence[date]
    ) -> tuple[list[Account], list[AccountPosition]]:
        """What was said of *accounts* after each of *sessions*, where anybody asked."""
        ...
