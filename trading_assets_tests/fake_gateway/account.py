"""What the account holds and what trading has cost it."""

from dataclasses import dataclass
from datetime import datetime

from trading_assets_tests.fake_gateway.market import Instrument

COMMISSION_PER_SHARE = 0.005
SMALLEST_COMMISSION = 1.0
MARGIN_FRAC = 0.25
LEVERAGE = 4


@dataclass(frozen=True, slots=True)
class Execution:
    """One trade of one order, as it is told.

    Attributes:
        exec_id: Ends in a number that grows when the execution is corrected.
        shares: Above zero; `action` carries the sign.
        price: Currency per share.
        cumulative: Shares of the order that are filled with this one.
        average: Average price of those.
        commission: Above zero, in the currency of the instrument.
        realized_pnl: What it earned by closing; None if it only opened.
        counts: Whether it stands; a corrected one does not.
    """

    exec_id: str
    perm_id: int
    client_id: int
    order_id: int
    order_ref: str
    instrument: Instrument
    action: str
    shares: float
    price: float
    at: datetime
    cumulative: float
    average: float
    commission: float
    realized_pnl: float | None = None
    counts: bool = True

    @property
    def symbol(self) -> str:
        """What was traded."""
        return self.instrument.symbol

    @property
    def signed_shares(self) -> float:
        """Above zero if they came, below if they went."""
        return self.shares if self.action == "BUY" else -self.shares


@dataclass
class Position:
    """Shares held of one instrument.

    Attributes:
        shares: Signed.
        average_price: Of the shares held, without commissions.
        average_cost: The same with commissions, as Interactive Brokers gives it.
        realized_pnl: Earned by closing since the gateway began, after commissions.
    """

    instrument: Instrument
    shares: float = 0.0
    average_price: float = 0.0
    average_cost: float = 0.0
    realized_pnl: float = 0.0

    @property
    def symbol(self) -> str:
        """What is held."""
        return self.instrument.symbol

    @property
    def market_price(self) -> float:
        """The last price; what was paid if there was none."""
        last = self.instrument.last
        return self.average_price if last is None else last

    @property
    def market_value(self) -> float:
        """Shares at the last price; below zero if short."""
        return self.shares * self.market_price

    @property
    def unrealized_pnl(self) -> float:
        """What closing at the last price would earn, before its commission."""
        return self.shares * (self.market_price - self.average_cost)

    def take(self, shares: float, price: float, commission: float) -> float | None:
        """Add signed *shares*; the profit if that closed any, None if it did not."""
        closing = min(abs(shares), abs(self.shares)) if shares * self.shares < 0 else 0.0
        opening = abs(shares) - closing
        realized = None
        if closing:
            realized = self._close(closing, price, commission * closing / abs(shares))
        if opening:
            sign = 1 if shares > 0 else -1
            self._open(sign * opening, price, commission * opening / abs(shares))
        return realized

    def _close(self, shares: float, price: float, commission: float) -> float:
        sign = 1 if self.shares > 0 else -1
        realized = sign * shares * (price - self.average_cost) - commission
        self.realized_pnl += realized
        self.shares -= sign * shares
        if self.shares == 0:
            self.average_price = self.average_cost = 0.0
        return realized

    def _open(self, shares: float, price: float, commission: float) -> None:
        held, total = abs(self.shares), abs(self.shares) + abs(shares)
        per_share = (commission if shares > 0 else -commission) / abs(shares)
        self.average_price = (held * self.average_price + abs(shares) * price) / total
        cost = abs(shares) * (price + per_share)
        self.average_cost = (held * self.average_cost + cost) / total
        self.shares += shares


class Account:
    """Cash and positions, kept from what was there and what was executed."""

    currency = "USD"

    def __init__(self, name: str, cash: float) -> None:
        self.name = name
        self._first_cash = cash
        self._brought: list[tuple[Instrument, float, float]] = []
        self.cash = cash
        self.positions: dict[int, Position] = {}

    def bring(self, instrument: Instrument, shares: float, price: float) -> Position:
        """Hold *shares* that were bought at *price* on another day."""
        self._brought.append((instrument, shares, price))
        position = self.position(instrument)
        position.take(shares, price, 0.0)
        return position

    def take(self, execution: Execution) -> float | None:
        """Book *execution*; what it earned by closing, None if it closed nothing."""
        shares = execution.signed_shares
        self.cash -= shares * execution.price + execution.commission
        position = self.position(execution.instrument)
        return position.take(shares, execution.price, execution.commission)

    def rebuild(self, executions: list[Execution]) -> None:
        """Book everything anew, after one of *executions* was corrected."""
        brought, self._brought = self._brought, []
        self.cash = self._first_cash
        self.positions = {}
        for instrument, shares, price in brought:
            self.bring(instrument, shares, price)
        for execution in executions:
            if execution.counts and execution.shares:
                self.take(execution)

    def position(self, instrument: Instrument) -> Position:
        """What is held of *instrument*, maybe nothing."""
        return self.positions.setdefault(instrument.con_id, Position(instrument))

    @property
    def market_value(self) -> float:
        """All shares at the last prices."""
        return sum(position.market_value for position in self.positions.values())

    @property
    def equity(self) -> float:
        """Cash and shares."""
        return self.cash + self.market_value

    @property
    def realized_pnl(self) -> float:
        """Earned by closing."""
        return sum(position.realized_pnl for position in self.positions.values())

    @property
    def unrealized_pnl(self) -> float:
        """What closing everything would earn."""
        return sum(position.unrealized_pnl for position in self.positions.values())

    @property
    def gross_value(self) -> float:
        """All shares at the last prices, short ones counted like long ones."""
        return sum(abs(position.market_value) for position in self.positions.values())

    @property
    def margin(self) -> float:
        """What the shares bind."""
        return MARGIN_FRAC * self.gross_value

    def values(self) -> dict[str, float]:
        """The figures of an account summary, in the currency of the account."""
        available = self.equity - self.margin
        return {
            "NetLiquidation": self.equity,
            "TotalCashValue": self.cash,
            "SettledCash": self.cash,
            "AccruedCash": 0.0,
            "EquityWithLoanValue": self.equity,
            "GrossPositionValue": self.gross_value,
            "InitMarginReq": self.margin,
            "MaintMarginReq": self.margin,
            "AvailableFunds": available,
            "ExcessLiquidity": available,
            "BuyingPower": max(LEVERAGE * available, 0.0),
        }

    def ledger(self) -> dict[str, float]:
        """The figures of one currency."""
        return {
            "CashBalance": self.cash,
            "TotalCashBalance": self.cash,
            "StockMarketValue": self.market_value,
            "NetLiquidationByCurrency": self.equity,
            "UnrealizedPnL": self.unrealized_pnl,
            "RealizedPnL": self.realized_pnl,
            "ExchangeRate": 1.0,
        }


def commission_due(filled: float, charged: float) -> float:
    """What an execution adds when *filled* shares of its order have cost *charged*."""
    return max(COMMISSION_PER_SHARE * filled, SMALLEST_COMMISSION) - charged
