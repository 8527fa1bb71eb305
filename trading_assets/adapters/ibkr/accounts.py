"""Accounts at Interactive Brokers, session by session, as they are kept in the ledger.

A broker tells how an account stands now and nothing of how it stood. What it says after a
session is kept with what we expected at that moment, and is what anybody reads later.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime

from trading_assets.adapters.ibkr.account import Held, Statement, statement
from trading_assets.adapters.ibkr.gateway import Gateway, GatewaySettings
from trading_assets.adapters.ibkr.session import Books, Splits
from trading_assets.models.account import Account, AccountPosition


class Accounts:
    """What the broker says of accounts, and what we expect them to hold."""

    def __init__(
        self,
        settings: Callable[[str], GatewaySettings],
        books: Books,
        splits: Splits,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Ask nothing yet.

        Args:
            settings: Of a connection that looks on, by account.
            books: With our fills and what was adopted.
            splits: Of whatever may be held.
            now: The clock, in UTC.
        """
        self._settings, self._books, self._splits = settings, books, splits
        self._now = now

    def look(self, account: str, session: date) -> None:
        """Ask the broker about *account*, and keep what it says as of *session*.

        Raises:
            GatewayUnreachable: If there is no session with the gateway.
            NoAnswer: If it does not answer.
            WrongAccount: If it does not report the account.
        """
        with Gateway.connected(self._settings(account)) as gateway:
            told = statement(gateway)
        at = self._now()
        expected = self._books.expected(account, self._splits())
        row = Account(
            account=account,
            session=session,
            currency=told.currency,
            daily_pnl=told.daily_pnl,
            recorded_at=at,
            **told.amounts,  # pyright: ignore[reportArgumentType] - the required ones are there
        )
        positions = list(_positions(account, session, told, expected))
        content = {
            "account": row.model_dump(mode="json"),
            "positions": [own.model_dump(mode="json") for own in positions],
        }
        self._books.accounts.keep(account, session, content)

    def kept(
        self, accounts: Iterable[str], sessions: Sequence[date]
    ) -> tuple[list[Account], list[AccountPosition]]:
        """What was said of *accounts* after each of *sessions*, where anybody asked."""
        rows: list[Account] = []
        positions: list[AccountPosition] = []
        for account in accounts:
            for session in sessions:
                content = self._books.accounts.kept(account, session)
                if content is not None:
                    rows.append(Account.model_validate(content["account"]))
                    positions += map(AccountPosition.model_validate, content["positions"])
        return rows, positions


def _positions(
    account: str, session: date, told: Statement, expected: dict[str, float]
) -> Iterable[AccountPosition]:
    """What is held and, with 0 shares, what is only expected to be."""
    held: dict[str, float] = {}
    for own in told.positions:
        held[own.symbol] = held.get(own.symbol, 0.0) + own.shares
    nowhere = [
        Held(symbol, 0, told.currency, 0.0, None)
        for symbol in sorted(expected)
        if symbol not in held
    ]
    for own in (*told.positions, *nowhere):
        is_split_up = own.shares != held.get(own.symbol, 0.0)
        yield AccountPosition(
            account=account,
            session=session,
            symbol=own.symbol,
            con_id=own.con_id,
            currency=own.currency,
            shares=own.shares,
            average_cost=own.average_cost,
            market_price=own.market_price,
            market_value=own.market_value,
            unrealized_pnl=own.unrealized_pnl,
            expected_shares=0.0 if is_split_up else expected.get(own.symbol, 0.0),
        )
