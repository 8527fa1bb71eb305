"""Shares as Interactive Brokers lists them: by symbol, and by a text that may mean them.

A class of shares is written with a space there and with a dot by us: ``BRK B``, ``BRK.B``.
"""

import asyncio
import logging
import math
import re
from collections.abc import Sequence
from datetime import UTC, datetime

from pydantic import ValidationError

from trading_assets.adapters.ibkr.codes import NO_CONTRACT
from trading_assets.adapters.ibkr.gateway import Gateway, heard
from trading_assets.adapters.ibkr.library import IB, Contract, ContractDetails, Stock
from trading_assets.errors import InvalidInput, NoAnswer, RequestRefused
from trading_assets.models.symbol import Listing

logger = logging.getLogger(__name__)

ROUTE = "SMART"
CURRENCY = "USD"
SHARE = re.compile(r"[A-Z0-9]+(\.[A-Z0-9]+)?")
AT_ONCE = 20
"""Questions about contracts that wait for their answers at the same time."""

SEARCH_PAUSE_SECONDS = 1.0
"""The gateway answers one search a second."""

SEARCH_SECONDS = 4.0
"""It answers a search within this time, or never."""


def broker_symbol(symbol: str) -> str:
    """How Interactive Brokers writes *symbol*.

    Raises:
        InvalidInput: If it is not that of a share: an index, a currency pair, a future.
    """
    if SHARE.fullmatch(symbol) is None:
        raise InvalidInput(f"{symbol}: only shares are traded here, such as BRK.B")
    return symbol.replace(".", " ")


def our_symbol(written: str) -> str:
    """How we write what Interactive Brokers writes *written*."""
    return written.replace(" ", ".")


def qualify(gateway: Gateway, symbols: Sequence[str]) -> dict[str, Listing]:
    """The share in US dollars that each of *symbols* stands for.

    Args:
        gateway: Connected.
        symbols: In any order; repetitions count once.

    Returns:
        By symbol, in ascending order.

    Raises:
        InvalidInput: If one is not a share's.
        RequestRefused: With code 200 if one is unknown, or stands for several shares.
        NoAnswer: If the gateway does not answer for one of them.
        GatewayUnreachable: If there is no connection.
    """
    wanted = sorted(set(symbols))
    seconds = gateway.settings.answer_seconds

    async def all_of_them(ib: IB) -> list[ContractDetails]:
        limit = asyncio.Semaphore(AT_ONCE)

        async def one(symbol: str) -> ContractDetails:
            async with limit:
                return await share_details(ib, symbol, seconds)

        return await asyncio.gather(*(one(symbol) for symbol in wanted))

    found = gateway.ask(all_of_them, "contract details", math.inf)
    return {
        symbol: _listing(symbol, details)
        for symbol, details in zip(wanted, found, strict=True)
    }


async def share_details(ib: IB, symbol: str, seconds: float) -> ContractDetails:
    """Everything that the gateway knows of a share in US dollars.

    Raises:
        InvalidInput: If *symbol* is not a share's.
        RequestRefused: With code 200 if it is unknown, or stands for several shares.
        NoAnswer: If there is no answer within *seconds*.
    """
    what = f"contract {symbol}"
    asked = Stock(broker_symbol(symbol), ROUTE, CURRENCY)
    answer = await heard(ib.reqContractDetailsAsync(asked), what, seconds)
    found = {contract_of(details).conId: details for details in answer}
    if len(found) != 1:
        listed = ", ".join(
            f"{contract_of(details).primaryExchange} {con_id}"
            for con_id, details in sorted(found.items())
        )
        text = f"it stands for {listed}" if found else "there is none"
        raise RequestRefused(what, NO_CONTRACT, text)
    return next(iter(found.values()))


class SymbolSearch:
    """Shares that a text may mean; one search a second, however many ask.

    Args:
        gateway: Connected.
        pause_seconds: From one search to the next.
        answer_seconds: Longest wait for the answer to a search.
    """

    def __init__(
        self,
        gateway: Gateway,
        pause_seconds: float = SEARCH_PAUSE_SECONDS,
        answer_seconds: float = SEARCH_SECONDS,
    ) -> None:
        self._gateway = gateway
        self._pause_seconds = pause_seconds
        self._answer_seconds = answer_seconds
        self._turn = asyncio.Lock()
        self._free_at = 0.0

    def find(self, text: str) -> list[Listing]:
        """Shares whose symbol begins with *text* or whose name has it, as they are told.

        Listings in every currency are among them. What the gateway names and does not
        define, or what we can't write, is left out.

        Raises:
            InvalidInput: If *text* is empty.
            NoAnswer: If the gateway does not answer, which is not the same as none.
            RequestRefused: If it refuses to search.
            GatewayUnreachable: If there is no connection.
        """
        wanted = text.strip()
        if not wanted:
            raise InvalidInput("a search must name the beginning of a symbol, or a name")
        return self._gateway.ask(
            lambda ib: self._find(ib, wanted), f"search {wanted!r}", math.inf
        )

    async def _find(self, ib: IB, text: str) -> list[Listing]:
        shares = [one for one in await self._matching(ib, text) if one.secType == "STK"]
        limit = asyncio.Semaphore(AT_ONCE)

        async def listing(share: Contract) -> Listing | None:
            async with limit:
                return await self._define(ib, share)

        found = await asyncio.gather(*(listing(share) for share in shares))
        return [one for one in found if one is not None]

    async def _matching(self, ib: IB, text: str) -> list[Contract]:
        loop = asyncio.get_running_loop()
        what = f"search {text!r}"
        async with self._turn:
            await asyncio.sleep(max(self._free_at - loop.time(), 0.0))
            self._free_at = loop.time() + self._pause_seconds
            asking = ib.reqMatchingSymbolsAsync(text)
            found = await heard(asking, what, self._answer_seconds)
        if found is None:  # how the library says that it has waited long enough
            raise NoAnswer(f"{what}: no answer within {SEARCH_SECONDS:g} s")
        return [one.contract for one in found if one.contract is not None]

    async def _define(self, ib: IB, share: Contract) -> Listing | None:
        what = f"contract {share.symbol} {share.conId}"
        seconds = self._gateway.settings.answer_seconds
        asked = Contract(conId=share.conId)
        try:
            answer = await heard(ib.reqContractDetailsAsync(asked), what, seconds)
            return _listing(our_symbol(share.symbol), answer[0]) if answer else None
        except RequestRefused as refusal:
            if refusal.code != NO_CONTRACT:
                raise
        except ValidationError as error:
            logger.info("%s is left out: %s", what, error)
        return None


def contract_of(details: ContractDetails) -> Contract:
    """The contract that *details* are of; the library always sets it."""
    if details.contract is None:
        raise TypeError("contract details without a contract")
    return details.contract


def _listing(symbol: str, details: ContractDetails) -> Listing:
    contract = contract_of(details)
    return Listing(
        symbol=symbol,
        con_id=contract.conId,
        name=details.longName,
        exchange=ROUTE,
        primary_exchange=contract.primaryExchange,
        currency=contract.currency,
        min_tick=details.minTick,
        recorded_at=datetime.now(UTC),
    )
