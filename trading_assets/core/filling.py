"""At which price a resting order trades in a bar: the fill rules, one order at a time.

A bar says where the price went and not in which sequence, so whatever it leaves open is
answered against us; `core.exchange` says in which order the rules are asked.
"""

from dataclasses import dataclass
from typing import NamedTuple

from trading_assets.models.order import Leg, OrderType, TimeInForce

FILL_VERSION = "1"
"""Part of every book's hash: a changed rule here makes stored books of another kind."""

BASIS_POINTS = 10_000


class Candle(NamedTuple):
    """Where the price of one symbol went in one session, currency per share."""

    open: float
    high: float
    low: float
    close: float


@dataclass(slots=True, eq=False)
class Ticket:
    """An order that is waiting, or working, at the simulated exchange.

    Attributes:
        sign: +1 buys, -1 sells.
        parent_id: The entry that must fill before this leg lives; empty when it lives.
        is_triggered: A stop-limit that has become a limit order.
        reserved_price: At which an entry's cash was reserved, currency per share.
        events: How many things have happened to it.
    """

    order_id: str
    symbol: str
    leg: Leg
    sign: int
    shares: int
    order_type: OrderType
    limit_price: float | None
    stop_price: float | None
    tif: TimeInForce
    parent_id: str = ""
    is_triggered: bool = False
    reserved_price: float = 0.0
    events: int = 0

    @property
    def is_waiting(self) -> bool:
        """Whether its entry has yet to fill."""
        return bool(self.parent_id)

    @property
    def is_leg(self) -> bool:
        """Whether it protects a position and gives way to an exit."""
        return self.leg is Leg.STOP or self.leg is Leg.TARGET

    def rescale(self, *, shares_ratio: float, price_ratio: float) -> None:
        """Follow a split or a spin-off; the shares are cut to whole ones."""
        self.shares = int(round(self.shares * shares_ratio, 9))
        self.reserved_price /= price_ratio
        if self.limit_price is not None:
            self.limit_price /= price_ratio
        if self.stop_price is not None:
            self.stop_price /= price_ratio


@dataclass(frozen=True, slots=True)
class Price:
    """What an order trades at.

    Attributes:
        price: Currency per share, slippage included.
        is_at_open: Whether it trades with the session's first price.
    """

    price: float
    is_at_open: bool


def is_reached(ticket: Ticket, candle: Candle) -> bool:
    """Whether the bar came to where *ticket* may trade; if not, nothing need be asked."""
    if ticket.stop_price is not None and not ticket.is_triggered:
        return _is_beyond(-ticket.sign, ticket.stop_price, candle)
    return ticket.limit_price is None or _is_beyond(ticket.sign, ticket.limit_price, candle)


def price_at_open(ticket: Ticket, candle: Candle, slippage_bps: float) -> Price | None:
    """What *ticket* trades at with the first price of the session, if it does.

    A market order always does; a limit or a stop does when the market opens at or beyond
    its price, and then gets the open, better or worse; a stop-limit does when the open is
    at or beyond its trigger and within its limit.
    """
    if not _is_marketable(ticket, candle.open):
        return None
    return Price(_slipped(ticket, candle.open, slippage_bps), is_at_open=True)


def price_within(ticket: Ticket, candle: Candle, slippage_bps: float) -> Price | None:
    """What *ticket* trades at after the open of a bar that did not open beyond it.

    A limit trades at its limit once touched, a stop at its stop.
    A stop-limit that is touched is only triggered: see `triggers`.
    """
    if _acts_as_limit(ticket):
        touched = _is_beyond(ticket.sign, ticket.limit_price, candle)
        return Price(_given(ticket.limit_price), is_at_open=False) if touched else None
    if ticket.order_type is OrderType.STOP and _is_beyond(
        -ticket.sign, ticket.stop_price, candle
    ):
        stop = _given(ticket.stop_price)
        return Price(_slipped(ticket, stop, slippage_bps), is_at_open=False)
    return None


def triggers(ticket: Ticket, candle: Candle) -> bool:
    """Whether a stop-limit becomes a limit order in this bar, to rest from the next."""
    return (
        ticket.order_type is OrderType.STOP_LIMIT
        and not ticket.is_triggered
        and _is_beyond(-ticket.sign, ticket.stop_price, candle)
    )


def _is_marketable(ticket: Ticket, price: float) -> bool:
    """Whether *ticket* would trade at once at *price*."""
    within_limit = ticket.limit_price is None or (
        ticket.sign * (ticket.limit_price - price) >= 0
    )
    past_stop = (
        ticket.stop_price is None
        or ticket.is_triggered
        or ticket.sign * (price - ticket.stop_price) >= 0
    )
    return within_limit and past_stop


def _is_beyond(sign: int, price: float | None, candle: Candle) -> bool:
    """Whether the bar came down to *price* (+1) or rose to it (-1)."""
    level = _given(price)
    return candle.low <= level if sign > 0 else candle.high >= level


def _acts_as_limit(ticket: Ticket) -> bool:
    return ticket.order_type is OrderType.LIMIT or ticket.is_triggered


def _slipped(ticket: Ticket, price: float, slippage_bps: float) -> float:
    """*price* moved against us, for the orders that take what the market gives."""
    if ticket.order_type in {OrderType.MARKET, OrderType.STOP}:
        return price * (1 + ticket.sign * slippage_bps / BASIS_POINTS)
    return price


def _given(price: float | None) -> float:
    if price is None:
        raise ValueError("a limit or stop order needs its price")
    return price
