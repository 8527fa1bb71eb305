"""The latest price that a gateway knows of a share."""

import math

from trading_assets.adapters.ibkr.codes import CodeClass, code_class
from trading_assets.adapters.ibkr.contracts import contract_of, share_details
from trading_assets.adapters.ibkr.gateway import Gateway
from trading_assets.adapters.ibkr.library import IB
from trading_assets.errors import NoAnswer, RequestRefused

QUOTE_SECONDS = 15.0
"""A snapshot of a quiet share takes the gateway up to eleven seconds."""

BEST_AT_HAND = 4
"""Live prices where they are subscribed, else delayed ones; the last ones of a closed
market."""


def latest_price(
    gateway: Gateway, symbol: str, seconds: float = QUOTE_SECONDS
) -> float | None:
    """The last trade of *symbol*, or the middle of bid and ask where it lies outside.

    Where neither is known it is the last close that the gateway has.

    Args:
        gateway: Connected; looking on is enough.
        symbol: Of a share in US dollars.
        seconds: Longest wait for the quote, and for what the symbol stands for.

    Returns:
        Currency per share; None if the gateway has answered and knows no price.

    Raises:
        RequestRefused: If the gateway tells no prices of it: its code and its words.
        NoAnswer: If it does not answer, or can't just now.
        GatewayUnreachable: If there is no connection.
    """

    async def asked(ib: IB) -> float | None:
        contract = contract_of(await share_details(ib, symbol, seconds))
        ib.reqMarketDataType(BEST_AT_HAND)
        (ticker,) = await ib.reqTickersAsync(contract)
        return next(filter(_is_price, (ticker.marketPrice(), ticker.close)), None)

    try:
        return gateway.ask(asked, f"price of {symbol}", seconds)
    except RequestRefused as refusal:
        if code_class(refusal.code, refusal.text) is CodeClass.RETRY:
            raise NoAnswer(str(refusal)) from refusal
        raise


def _is_price(value: float) -> bool:
    """Whether it is one: what is not known is told as -1 or as no number."""
    return math.isfinite(value) and value > 0
