"""An `orders` row as a broker is asked for it."""

from trading_assets.core.venue import Row
from trading_assets.models.base import Lane, Side
from trading_assets.models.intent import OrderTicket
from trading_assets.models.order import Leg, OrderType

LEGS = frozenset({Leg.STOP, Leg.TARGET})


def order_ticket(strategy: str, row: Row, lane: Lane = Lane.IBKR) -> OrderTicket:
    """What an `orders` row of *strategy* asks the broker for."""
    leg = Leg(row["leg"])
    return OrderTicket(
        strategy=strategy,
        session=row["session"],
        symbol=row["symbol"],
        leg=leg,
        side=Side(row["side"]),
        shares=int(row["shares"]),
        order_type=OrderType(row["order_type"]),
        limit_price=row["limit_price"],
        stop_price=row["stop_price"],
        parent_id=entry_of(row["order_id"], leg) if leg in LEGS else "",
        lane=lane,
    )


def entry_of(order_id: str, leg: Leg) -> str:
    """The order id of the entry that the *leg* with the id *order_id* protects."""
    return order_id.removesuffix(leg.value) + Leg.ENTRY.value
