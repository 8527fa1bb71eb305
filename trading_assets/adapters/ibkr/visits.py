"""Bars from a gateway that is connected to only while it is asked.

A connection that idles blocks its client id for the next run, and dies at night when the
gateway restarts.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd

from trading_assets.adapters.ibkr.gateway import Gateway, GatewaySettings
from trading_assets.adapters.ibkr.market_data import SOURCE, IbkrMarketData
from trading_assets.adapters.market_data.action_files import ActionFiles
from trading_assets.adapters.market_data.port import MarketHistory
from trading_assets.adapters.market_data.series import NO_ACTIONS, Actions
from trading_assets.errors import GatewayUnreachable, MarketDataUnreadable
from trading_assets.sessions import TradingCalendar


class IbkrVisits:
    """`IbkrMarketData` over a connection of its own for each question.

    Args:
        settings: Of the gateway; the connection must not be the one that trades.
        calendar: Says which days are sessions.
        actions: A folder of ``SYMBOL.csv`` with the corporate actions; None for none.
    """

    def __init__(
        self, settings: GatewaySettings, calendar: TradingCalendar, actions: Path | None
    ) -> None:
        self._settings = settings
        self._calendar = calendar
        self._actions_of = _actions_of(actions, calendar)

    @property
    def source(self) -> str:
        """As `IbkrMarketData` says it."""
        return SOURCE

    @property
    def restates(self) -> bool:
        """Always: after a split every price before it is told divided by its ratio."""
        return True

    def history(self, symbols: Sequence[str], first: date, last: date) -> MarketHistory:
        """Connect, ask, and close: as `MarketData` promises."""
        with self._visit() as market_data:
            return market_data.history(symbols, first, last)

    def minute_bars(
        self, symbols: Sequence[str], first: date, last: date, bar_size: str = "1 min"
    ) -> pd.DataFrame:
        """Connect, ask, and close: as `IbkrMarketData` does."""
        with self._visit() as market_data:
            return market_data.minute_bars(symbols, first, last, bar_size)

    @contextmanager
    def _visit(self) -> Iterator[IbkrMarketData]:
        try:
            gateway = Gateway.open(self._settings)
        except GatewayUnreachable as error:
            raise MarketDataUnreadable(str(error)) from error
        try:
            yield IbkrMarketData(gateway, self._calendar, actions_of=self._actions_of)
        finally:
            gateway.close()


def _actions_of(folder: Path | None, calendar: TradingCalendar) -> Callable[[str], Actions]:
    if folder is None:
        return lambda _: NO_ACTIONS
    return ActionFiles(folder, np.array(calendar.sessions, dtype="datetime64[D]")).of
