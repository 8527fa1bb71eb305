"""What can be traded at the fake gateway, and what it costs."""

from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

import pandas as pd

EXCHANGE_ZONE = ZoneInfo("US/Eastern")
PRICE_COLUMNS = ["open", "high", "low", "close", "volume"]


@dataclass
class Instrument:
    """One listed share.

    Attributes:
        bars: One row per session: open, high, low, close, volume; a naive index.
        minutes: One row per minute that was traded, the index its start in UTC.
        last: Price of the last trade, None before there was one.
    """

    symbol: str
    con_id: int
    primary_exchange: str = "NASDAQ"
    min_tick: float = 0.01
    name: str = ""
    currency: str = "USD"
    bars: pd.DataFrame = field(
        default_factory=lambda: pd.DataFrame(columns=PRICE_COLUMNS), repr=False
    )
    minutes: pd.DataFrame | None = field(default=None, repr=False)
    last: float | None = None

    @property
    def trading_class(self) -> str:
        """What Interactive Brokers calls the market segment of a share."""
        return {"NASDAQ": "NMS"}.get(self.primary_exchange, self.symbol)

    @property
    def previous_close(self) -> float | None:
        """The close of the last bar there is."""
        return None if self.bars.empty else float(self.bars["close"].iloc[-1])

    def words(self) -> dict[str, object]:
        """What every answer about it calls it."""
        return {
            "conId": self.con_id,
            "symbol": self.symbol,
            "currency": self.currency,
            "localSymbol": self.symbol,
            "tradingClass": self.trading_class,
        }


class Market:
    """All instruments, by contract id."""

    def __init__(self) -> None:
        self.instruments: dict[int, Instrument] = {}

    def add(self, instrument: Instrument) -> None:
        """List *instrument*; its last price is that of its last bar."""
        if instrument.last is None:
            instrument.last = instrument.previous_close
        self.instruments[instrument.con_id] = instrument

    def called(self, symbol: str) -> Instrument:
        """The first instrument with that symbol.

        Raises:
            KeyError: If none has it.
        """
        for instrument in self.instruments.values():
            if instrument.symbol == symbol:
                return instrument
        raise KeyError(f"{symbol!r} is not listed here; add_symbol lists it")

    def meant(self, contract: dict[str, str]) -> list[Instrument]:
        """Those that a client's *contract* describes; empty fields say nothing."""
        return [one for one in self.instruments.values() if _fits(one, contract)]

    def matching(self, text: str) -> list[Instrument]:
        """Those whose symbol begins with *text* or whose name holds it."""
        wanted = text.strip().upper()
        if not wanted:
            return []
        return [
            one
            for one in self.instruments.values()
            if one.symbol.upper().startswith(wanted) or wanted in one.name.upper()
        ]


def _fits(instrument: Instrument, contract: dict[str, str]) -> bool:
    con_id = int(contract["conId"] or 0)
    if con_id:
        return con_id == instrument.con_id
    exchanges = {"", "SMART", instrument.primary_exchange}
    return (
        contract["secType"] in {"STK", ""}
        and contract["symbol"] in {instrument.symbol, ""}
        and contract["localSymbol"] in {instrument.symbol, ""}
        and bool(contract["symbol"] or contract["localSymbol"])
        and contract["currency"] in {instrument.currency, ""}
        and contract["exchange"] in exchanges
        and contract["primaryExchange"] in exchanges
    )
