"""What Interactive Brokers says of an account: balances, positions, the day's P&L."""

import asyncio
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from trading_assets.adapters.ibkr.contracts import our_symbol
from trading_assets.adapters.ibkr.gateway import Gateway
from trading_assets.adapters.ibkr.library import IB, AccountValue, Position
from trading_assets.adapters.ibkr.order_wire import UNSET_ABOVE
from trading_assets.errors import NoAnswer

PNL_SECONDS = 2.0
"""How long the day's P&L may take; a gateway that tells none is taken at its silence."""

PNL_POLL_SECONDS = 0.05
BASE = "BASE"
STOCK = "STK"

TAGS: Mapping[str, str] = {
    "net_liquidation": "NetLiquidation",
    "cash": "TotalCashValue",
    "gross_position_value": "GrossPositionValue",
    "buying_power": "BuyingPower",
    "initial_margin": "InitMarginReq",
    "maintenance_margin": "MaintMarginReq",
    "realized_pnl": "RealizedPnL",
    "unrealized_pnl": "UnrealizedPnL",
}
REQUIRED = ("net_liquidation", "cash")


@dataclass(frozen=True, slots=True)
class Held:
    """Shares in an account.

    Attributes:
        shares: Signed.
        average_cost: Per share, commissions included; None if it was not told.
    """

    symbol: str
    con_id: int
    currency: str
    shares: float
    average_cost: float | None
    market_price: float | None = None
    market_value: float | None = None
    unrealized_pnl: float | None = None


@dataclass(frozen=True, slots=True)
class Statement:
    """An account at the moment it was asked.

    Attributes:
        currency: Of the account.
        amounts: By the names of `TAGS`; None where nothing was told.
        positions: Of shares, ascending by symbol.
        daily_pnl: Of the broker's day; None if it did not say.
    """

    currency: str
    amounts: Mapping[str, float | None]
    positions: Sequence[Held]
    daily_pnl: float | None


def positions(gateway: Gateway) -> list[Held]:
    """What the account holds of shares, ascending by symbol; an empty one is an answer.

    Raises:
        NoAnswer: If the gateway does not answer.
        GatewayUnreachable: If there is no connection.
    """
    told = gateway.ask(lambda ib: ib.reqPositionsAsync(), "positions")
    return _held(told, gateway.settings.account)


def statement(gateway: Gateway) -> Statement:
    """Balances, positions and the day's P&L of the account.

    Raises:
        NoAnswer: If the gateway does not answer, or tells no balances.
        GatewayUnreachable: If there is no connection.
    """
    account = gateway.settings.account
    values, marks = gateway.ask(lambda ib: _updates(ib, account), "account updates")
    amounts, currency = _amounts(values)
    absent = [name for name in REQUIRED if amounts[name] is None]
    if absent:
        raise NoAnswer(f"account {account}: the gateway told no {' and no '.join(absent)}")
    own = [_marked(it, marks.get(it.con_id)) for it in positions(gateway)]
    seconds = PNL_SECONDS + 1
    pnl = gateway.ask(lambda ib: _daily_pnl(ib, account), "daily P&L", seconds)
    return Statement(currency, amounts, own, pnl)


async def _updates(ib: IB, account: str) -> tuple[list[AccountValue], dict[int, Any]]:
    await ib.reqAccountUpdatesAsync(account)
    ib.client.reqAccountUpdates(subscribe=False, acctCode=account)
    marks = {item.contract.conId: item for item in ib.portfolio(account)}
    return ib.accountValues(account), marks


async def _daily_pnl(ib: IB, account: str) -> float | None:
    told = ib.reqPnL(account)
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(PNL_SECONDS):
                while _number(told.dailyPnL) is None:  # noqa: ASYNC110 - it is no event
                    await asyncio.sleep(PNL_POLL_SECONDS)
        return _number(told.dailyPnL)
    finally:
        ib.cancelPnL(account)


def _amounts(
    values: Sequence[AccountValue],
) -> tuple[dict[str, float | None], str]:
    """Amounts in the account's own currency, and which that is."""
    by_tag: dict[str, AccountValue] = {}
    for value in values:
        if value.currency != BASE:
            by_tag.setdefault(value.tag, value)
    amounts = {
        name: _number(by_tag[tag].value) if tag in by_tag else None
        for name, tag in TAGS.items()
    }
    worth = by_tag.get(TAGS["net_liquidation"])
    return amounts, worth.currency if worth else ""


def _held(told: Sequence[Position], account: str) -> list[Held]:
    own = [
        Held(
            symbol=our_symbol(it.contract.symbol),
            con_id=it.contract.conId,
            currency=it.contract.currency,
            shares=it.position,
            average_cost=_number(it.avgCost),
        )
        for it in told
        if it.account == account and it.contract.secType == STOCK and it.position
    ]
    return sorted(own, key=lambda held: (held.symbol, held.con_id))


def _marked(held: Held, mark: Any) -> Held:  # noqa: ANN401 - the library's PortfolioItem
    if mark is None:
        return held
    return Held(
        held.symbol,
        held.con_id,
        held.currency,
        held.shares,
        held.average_cost,
        _number(mark.marketPrice),
        _number(mark.marketValue),
        _number(mark.unrealizedPNL),
    )


def _number(told: object) -> float | None:
    """A number that was told; None for one that is unset, or none."""
    try:
        number = float(told)  # pyright: ignore[reportArgumentType] - text or number
    except (TypeError, ValueError):
        return None
    return None if math.isnan(number) or abs(number) > UNSET_ABOVE else number
