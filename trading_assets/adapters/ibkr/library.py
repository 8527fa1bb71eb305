"""The only door to ib_insync.

Importing ib_insync asks for the event loop of the importing thread and fails where there
is none: in worker threads, and in a main thread after `asyncio.run`. So it is imported in
a short-lived thread that has one, and its names are then free to be used anywhere.
Its objects are not: an `IB` lives on the thread whose loop it was connected on.
"""

import asyncio
import importlib
import logging
from threading import Thread

# What it says of every refused request we raise; a program that wants to read it as well
# sets up logging, and without one nothing is printed.
logging.getLogger("ib_insync").addHandler(logging.NullHandler())
logging.getLogger("eventkit").addHandler(logging.NullHandler())


def _import_beside_a_loop() -> None:
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        importlib.import_module("ib_insync")
    finally:
        asyncio.set_event_loop(None)
        loop.close()


_importing = Thread(target=_import_beside_a_loop, name="import-ib_insync")
_importing.start()
_importing.join()

from ib_insync import (  # noqa: E402 - only now can it be imported on any thread
    IB,
    AccountValue,
    BarData,
    BarDataList,
    CommissionReport,
    Contract,
    ContractDescription,
    ContractDetails,
    Execution,
    ExecutionFilter,
    Fill,
    LimitOrder,
    MarketOrder,
    Order,
    OrderState,
    OrderStatus,
    Position,
    RequestError,
    Stock,
    StopLimitOrder,
    StopOrder,
    Trade,
)
from ib_insync.util import UNSET_DOUBLE, UNSET_INTEGER  # noqa: E402 - as above

__all__ = [
    "IB",
    "UNSET_DOUBLE",
    "UNSET_INTEGER",
    "AccountValue",
    "BarData",
    "BarDataList",
    "CommissionReport",
    "Contract",
    "ContractDescription",
    "ContractDetails",
    "Execution",
    "ExecutionFilter",
    "Fill",
    "LimitOrder",
    "MarketOrder",
    "Order",
    "OrderState",
    "OrderStatus",
    "OwnedIB",
    "Position",
    "RequestError",
    "Stock",
    "StopLimitOrder",
    "StopOrder",
    "Trade",
]


class OwnedIB(IB):
    """An `IB` that is disconnected by its owner and by nobody else.

    The library's own finalizer disconnects on whatever thread collects the garbage, and in
    a forked child shuts down the socket of the parent.
    """

    def __del__(self) -> None:
        """Leave the socket alone."""
