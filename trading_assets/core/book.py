"""A book: cash, lots held first in first out, and what they have earned.

Mutable and free of validation, because a backtest touches it a million times; what
leaves the walk is checked where it is written.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field

ROUNDING = 9
"""Decimals within which a split's product counts as whole: 30 x 0.1 is 3."""


@dataclass(slots=True)
class Lot:
    """Shares bought, or sold short, together.

    Attributes:
        shares: Above zero; a split may leave a fraction that the lots' sum does not have.
        price: Currency per share, slippage included, commission not.
        commission_per_share: What opening it cost.
        session: When it was opened, ISO date.
    """

    shares: float
    price: float
    commission_per_share: float
    session: str


@dataclass(slots=True)
class Holding:
    """What is held of one symbol.

    Attributes:
        shares: Signed, never zero.
        lots: Oldest first; they sum to the absolute of `shares`.
        mark: Last close, in today's scale.
    """

    shares: int
    lots: list[Lot]
    mark: float

    @property
    def sign(self) -> int:
        """+1 for a long holding, -1 for a short one."""
        return 1 if self.shares > 0 else -1

    @property
    def cost(self) -> float:
        """What the lots cost, signed as the shares are, commission not included."""
        return self.sign * math.fsum([lot.shares * lot.price for lot in self.lots])

    @property
    def average_cost(self) -> float:
        """Mean price of the lots, currency per share, commission not included."""
        return self.cost / self.shares

    @property
    def market_value(self) -> float:
        """Signed worth at the mark."""
        return self.shares * self.mark

    @property
    def unrealized_pnl(self) -> float:
        """What closing at the mark would realize, before commission."""
        return self.market_value - self.cost


@dataclass(frozen=True, slots=True)
class Closed:
    """What one fill closed, matched first in first out.

    Attributes:
        sign: +1 if what it closed was long.
        commission: The closed shares' part of what entry and exit cost.
    """

    opened_session: str
    sign: int
    shares: int
    entry_price: float
    exit_price: float
    pnl: float
    commission: float


@dataclass(slots=True)
class Book:
    """Cash, holdings and running totals, account currency.

    Attributes:
        realized_pnl: First in first out, before commission.
        peak_equity: Highest equity at any close so far, or the capital.
        equity_before: At the close before this session, or the capital.
    """

    cash: float
    peak_equity: float
    equity_before: float
    realized_pnl: float = 0.0
    commission_paid: float = 0.0
    holdings: dict[str, Holding] = field(default_factory=dict)

    @classmethod
    def opened_with(cls, capital: float) -> "Book":
        """A book that holds nothing but cash."""
        cash = float(capital)
        return cls(cash=cash, peak_equity=cash, equity_before=cash)

    @property
    def market_value(self) -> float:
        """Signed worth of all holdings; the sum does not depend on their order."""
        return math.fsum([own.shares * own.mark for own in self.holdings.values()])

    @property
    def equity(self) -> float:
        """Cash and holdings at their marks."""
        return self.cash + self.market_value

    def begin_session(self) -> None:
        """Remember what the book was worth at the close before."""
        self.equity_before = self.equity

    def shares(self, symbol: str) -> int:
        """Signed shares held; 0 for none."""
        holding = self.holdings.get(symbol)
        return holding.shares if holding else 0

    def apply_fill(
        self,
        symbol: str,
        *,
        signed_shares: int,
        price: float,
        commission: float,
        session: str,
    ) -> Closed | None:
        """Book an execution.

        Returns:
            What it closed of a holding of the other sign, or None.
        """
        self.cash -= signed_shares * price + commission
        self.commission_paid += commission
        per_share = commission / abs(signed_shares)
        holding = self.holdings.get(symbol)
        if holding is None or holding.shares * signed_shares > 0:
            self._open(symbol, signed_shares, price, per_share, session)
            return None
        closing = min(abs(signed_shares), abs(holding.shares))
        closed = self._close(holding, closing, price, per_share)
        if holding.shares == 0:
            del self.holdings[symbol]
        rest = signed_shares + closed.sign * closing
        if rest:
            self._open(symbol, rest, price, per_share, session)
        return closed

    def apply_split(self, symbol: str, *, ratio: float, price: float) -> tuple[int, float]:
        """Turn each share into *ratio* shares; the fraction is sold first in first out.

        What that realizes is in `realized_pnl`; it is no trade of the strategy's, also when
        nothing whole is left.

        Args:
            symbol: One that is held.
            ratio: New shares per old share.
            price: What a new share is worth, for the fraction.

        Returns:
            Change of whole shares, and the cash for the fraction, both signed.
        """
        holding = self.holdings[symbol]
        before, sign = holding.shares, holding.sign
        exact = round(abs(before) * ratio, ROUNDING)
        whole = math.trunc(exact)
        _split_lots(holding.lots, ratio)
        holding.mark /= ratio
        fraction = exact - whole
        cash = sign * fraction * price
        self.cash += cash
        self.realized_pnl += sign * (fraction * price - _taken_cost(holding.lots, fraction))
        holding.shares = sign * whole
        if whole == 0:
            del self.holdings[symbol]
        return sign * whole - before, cash

    def apply_cash(self, cash: float) -> None:
        """Book cash that no fill explains."""
        self.cash += cash

    def mark(self, closes: Mapping[str, float]) -> None:
        """Mark what is held at *closes*; a symbol that has none keeps its mark."""
        for symbol, holding in self.holdings.items():
            if (close := closes.get(symbol)) is not None:
                holding.mark = close

    def mark_peak(self) -> float:
        """Fraction by which equity is below its peak, after raising the peak to it."""
        equity = self.equity
        self.peak_equity = max(self.peak_equity, equity)
        return 1 - equity / self.peak_equity

    def to_plain(self) -> dict[str, object]:
        """Everything, as what JSON can hold; floats keep every bit."""
        return asdict(self)

    @classmethod
    def from_plain(cls, plain: dict[str, object]) -> "Book":
        """The book that `to_plain` was asked of.

        One that was written before books knew `equity_before` gets it when its next
        session begins; until then it is not a number.
        """
        totals: dict[str, object] = {"equity_before": math.nan}
        totals |= {name: value for name, value in plain.items() if name != "holdings"}
        held: dict[str, dict[str, object]] = plain["holdings"]  # pyright: ignore[reportAssignmentType] - written by to_plain
        holdings = {
            symbol: Holding(**{**own, "lots": [Lot(**lot) for lot in own["lots"]]})  # pyright: ignore[reportArgumentType, reportGeneralTypeIssues] - as above
            for symbol, own in held.items()
        }
        return cls(**totals, holdings=holdings)  # pyright: ignore[reportArgumentType] - as above

    def _open(
        self, symbol: str, signed_shares: int, price: float, per_share: float, session: str
    ) -> None:
        lot = Lot(float(abs(signed_shares)), price, per_share, session)
        if holding := self.holdings.get(symbol):
            holding.shares += signed_shares
            holding.lots.append(lot)
        else:
            self.holdings[symbol] = Holding(signed_shares, [lot], price)

    def _close(
        self, holding: Holding, shares: int, price: float, per_share: float
    ) -> Closed:
        sign, opened = holding.sign, holding.lots[0].session
        cost = commission = 0.0
        for lot, taken in _taken(holding.lots, shares):
            cost += taken * lot.price
            commission += taken * (lot.commission_per_share + per_share)
        pnl = sign * (shares * price - cost)
        self.realized_pnl += pnl
        holding.shares -= sign * shares
        return Closed(opened, sign, shares, cost / shares, price, pnl, commission)


def _split_lots(lots: list[Lot], ratio: float) -> None:
    """Split each lot, rounding where two meet: what was whole together stays whole."""
    held = reached = 0.0
    for lot in lots:
        held += lot.shares
        begun, reached = reached, round(held * ratio, ROUNDING)
        lot.shares = round(reached - begun, ROUNDING)
        lot.price /= ratio
        lot.commission_per_share /= ratio


def _taken(lots: list[Lot], shares: float) -> Iterator[tuple[Lot, float]]:
    """Take *shares* off the oldest lots, dropping those that are used up."""
    left = shares
    while left > 0 and lots:
        lot = lots[0]
        taken = min(lot.shares, left)
        left = round(left - taken, ROUNDING)
        lot.shares = round(lot.shares - taken, ROUNDING)
        if lot.shares == 0:
            lots.pop(0)
        yield lot, taken


def _taken_cost(lots: list[Lot], shares: float) -> float:
    return math.fsum(taken * lot.price for lot, taken in _taken(lots, shares))
