"""The fill rules of single orders, held against their definitions.

The candle tables are in `test_exchange`; here is what holds for every bar and order.
"""

from hypothesis import given
from hypothesis import strategies as st

from trading_assets.core.filling import (
    Candle,
    Price,
    Ticket,
    is_reached,
    price_at_open,
    price_within,
    triggers,
)
from trading_assets.models.order import Leg, OrderType
from trading_assets_tests.make import make_ticket

CENTS = st.integers(9_000, 11_000).map(lambda cents: cents / 100)


@st.composite
def candles(draw: st.DrawFn) -> Candle:
    """A bar around 100 that spans its own prices."""
    low, opened, close, high = sorted(draw(st.tuples(CENTS, CENTS, CENTS, CENTS)))
    if draw(st.booleans()):
        opened, close = close, opened
    return Candle(opened, high, low, close)


@st.composite
def tickets(draw: st.DrawFn) -> Ticket:
    """An order of any type, either way, around 100."""
    return make_ticket(
        draw(st.sampled_from(Leg)),
        draw(st.sampled_from((1, -1))),
        limit=draw(st.none() | CENTS),
        stop=draw(st.none() | CENTS),
    )


def fill(ticket: Ticket, candle: Candle, slippage_bps: float = 0) -> Price | None:
    """At the open or within the bar."""
    at_open = price_at_open(ticket, candle, slippage_bps)
    return at_open or price_within(ticket, candle, slippage_bps)


@given(ticket=tickets(), candle=candles())
def test_without_slippage_every_fill_is_a_price_of_the_bar(
    ticket: Ticket, candle: Candle
) -> None:
    if price := fill(ticket, candle):
        assert candle.low <= price.price <= candle.high
        assert price.price == candle.open or not price.is_at_open


@given(ticket=tickets(), candle=candles())
def test_no_fill_is_worse_than_its_limit(ticket: Ticket, candle: Candle) -> None:
    price = fill(ticket, candle, slippage_bps=50)

    if price and ticket.limit_price is not None:
        assert ticket.sign * (ticket.limit_price - price.price) >= 0


@given(ticket=tickets(), candle=candles())
def test_a_stop_never_fills_better_than_its_trigger(ticket: Ticket, candle: Candle) -> None:
    price = fill(ticket, candle)

    if price and ticket.stop_price is not None:
        assert ticket.sign * (price.price - ticket.stop_price) >= 0


@given(ticket=tickets(), candle=candles(), bps=st.floats(0, 500))
def test_slippage_is_against_us_and_changes_nothing_else(
    ticket: Ticket, candle: Candle, bps: float
) -> None:
    plain, slipped = fill(ticket, candle), fill(ticket, candle, bps)

    assert (plain is None) == (slipped is None)
    if plain and slipped:
        takes = ticket.order_type in {OrderType.MARKET, OrderType.STOP}
        expected = plain.price * bps / 10_000 if takes else 0.0
        assert abs(ticket.sign * (slipped.price - plain.price) - expected) < 1e-9


@given(ticket=tickets(), candle=candles())
def test_what_a_bar_did_not_reach_neither_fills_nor_triggers(
    ticket: Ticket, candle: Candle
) -> None:
    if not is_reached(ticket, candle):
        assert fill(ticket, candle) is None
        assert not triggers(ticket, candle)


@given(ticket=tickets(), candle=candles())
def test_what_a_bar_reached_fills_or_triggers(ticket: Ticket, candle: Candle) -> None:
    if is_reached(ticket, candle):
        assert fill(ticket, candle) or triggers(ticket, candle)


@given(ticket=tickets(), candle=candles())
def test_mirrored_prices_give_the_mirrored_fill(ticket: Ticket, candle: Candle) -> None:
    limit, stop = ticket.limit_price, ticket.stop_price
    other = make_ticket(
        ticket.leg,
        -ticket.sign,
        limit=None if limit is None else -limit,
        stop=None if stop is None else -stop,
    )
    upside_down = Candle(-candle.open, -candle.low, -candle.high, -candle.close)

    price, mirrored = fill(ticket, candle), fill(other, upside_down)

    assert (price and -price.price) == (mirrored and mirrored.price)


def test_a_split_moves_every_price_of_an_order_and_cuts_its_shares() -> None:
    ticket = make_ticket(stop=90.0, limit=99.0, shares=11, reserved_price=96.0)

    ticket.rescale(shares_ratio=1.5, price_ratio=1.5)

    assert (ticket.shares, ticket.stop_price, ticket.limit_price) == (16, 60.0, 66.0)
    assert ticket.reserved_price == 64.0
