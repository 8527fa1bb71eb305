"""What ib_insync 0.9.86 gets wrong, put right on one `IB` at a time.

Each guard replaces a method of one instance; the library itself is left as it is. All of
them run on the thread that owns the instance.

- An error code never changes an order: the library marks live orders cancelled on any
  code that it does not know, 10349 among them. Codes are told, and nothing else.
- A preview of an order may be answered twice, first without margins: the library compares
  with a number that no gateway sends and takes the empty answer.
- A commission that comes before its execution is kept for it: the library drops it.
- Questions without a number (open orders, positions…) are asked one at a time. When one
  was given up, its late answer would be taken for that of the next; so there is no next
  one before it has come.
- A message that can't be read leaves every answer that is under way incomplete: they all
  fail, because a list without the unreadable row says "absent" of something that is there.
- Nothing is asked behind our back when the gateway has its server again.
"""

import asyncio
import copy
import logging
import sys
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from trading_assets.adapters.ibkr.codes import CodeClass, code_class
from trading_assets.adapters.ibkr.library import (
    IB,
    CommissionReport,
    Contract,
    Execution,
    Order,
    OrderState,
    RequestError,
)
from trading_assets.errors import NoAnswer

logger = logging.getLogger(__name__)

UNSET_ABOVE = 1e300
"""The gateway writes the largest double there is for a number that it does not have."""

LARGEST_FRAME_BYTES = 0xFFFFFF
"""What the vendor's own client takes; a longer one is no frame but noise."""

UNNUMBERED = {
    "reqOpenOrdersAsync": "openOrders",
    "reqAllOpenOrdersAsync": "openOrders",
    "reqCompletedOrdersAsync": "completedOrders",
    "reqPositionsAsync": "positions",
    "reqAccountUpdatesAsync": "accountValues",
    "reqCurrentTimeAsync": "currentTime",
    "reqMarketRuleAsync": "marketRule",
}
"""Questions whose answers carry no number, and under what the library waits for them."""


class Listener(Protocol):
    """One who is told what a gateway says, in order, as it says it.

    Subclass it and write the methods that matter; the others do nothing. They run on the
    thread of the gateway, must be quick, and must not ask it anything. Duplicates are
    passed on, and so are answers to questions.
    """

    def on_open_order(self, contract: Contract, order: Order, state: OrderState) -> None:
        """An order is at the broker: ``order.permId`` acknowledges it."""

    def on_status(
        self,
        order_id: int,
        status: str,
        filled: float,
        remaining: float,
        average_price: float,
        perm_id: int,
        client_id: int,
    ) -> None:
        """What the broker thinks of an order; also of orders that are not ours."""

    def on_execution(self, contract: Contract, execution: Execution) -> None:
        """Shares changed hands."""

    def on_commission(self, report: CommissionReport) -> None:
        """What an execution cost, before or after it; unset numbers are above 1e300."""

    def on_notice(self, code: int, text: str, order_id: int) -> None:
        """An error or a notice; *order_id* is that of an order or request, -1 for none."""

    def on_resume(self) -> None:
        """New orders may be sent again; executions and open orders were told anew."""

    def on_lost(self, reason: str) -> None:
        """The connection is gone for good: nothing more will be heard on it."""


class Audience(Listener):
    """Several listeners as one: what one of them raises keeps nothing from the others.

    Attributes:
        failures: What listeners raised and nobody has been told yet.
    """

    def __init__(self) -> None:
        self._listeners: tuple[Listener, ...] = ()
        self.failures: list[Exception] = []

    def add(self, listener: Listener) -> None:
        """Tell *listener* everything from now on."""
        self._listeners = (*self._listeners, listener)

    def on_open_order(self, contract: Contract, order: Order, state: OrderState) -> None:
        """Pass it on."""
        self._tell(lambda one: one.on_open_order(contract, order, state))

    def on_status(
        self,
        order_id: int,
        status: str,
        filled: float,
        remaining: float,
        average_price: float,
        perm_id: int,
        client_id: int,
    ) -> None:
        """Pass it on."""
        self._tell(
            lambda one: one.on_status(
                order_id, status, filled, remaining, average_price, perm_id, client_id
            )
        )

    def on_execution(self, contract: Contract, execution: Execution) -> None:
        """Pass it on."""
        self._tell(lambda one: one.on_execution(contract, execution))

    def on_commission(self, report: CommissionReport) -> None:
        """Pass it on."""
        self._tell(lambda one: one.on_commission(report))

    def on_notice(self, code: int, text: str, order_id: int) -> None:
        """Pass it on."""
        self._tell(lambda one: one.on_notice(code, text, order_id))

    def on_resume(self) -> None:
        """Pass it on."""
        self._tell(lambda one: one.on_resume())

    def on_lost(self, reason: str) -> None:
        """Pass it on."""
        self._tell(lambda one: one.on_lost(reason))

    def _tell(self, say: Callable[[Listener], None]) -> None:
        for listener in self._listeners:
            try:
                say(listener)
            except Exception as error:
                logger.exception("a listener of the gateway failed")
                self.failures.append(error)


def guard(
    ib: IB,
    heard: Listener,
    *,
    may_place: Callable[[], None],
    may_cancel: Callable[[], None],
    on_unreadable: Callable[[str], None],
) -> None:
    """Put *ib* right, before it connects.

    Args:
        ib: Not connected yet.
        heard: Told everything, before the library hears it.
        may_place: Raises when no order may be sent; nothing is then.
        may_cancel: The same for cancelling.
        on_unreadable: Called after the pending questions failed for a message that could
            not be read, with the reason.
    """
    # It would subscribe to an account summary on every 1102.
    ib.errorEvent -= ib._onError  # noqa: SLF001 - there is no other name for it
    _replace(
        ib.wrapper,
        error=_error(ib, heard),
        openOrder=_open_order(ib, heard),
        orderStatus=_order_status(ib, heard),
        startReq=_start_request(ib),
        **_executions(ib, heard),
    )
    _replace(
        ib.client,
        placeOrder=_if_allowed(ib.client.placeOrder, may_place),
        cancelOrder=_if_allowed(ib.client.cancelOrder, may_cancel),
        reqGlobalCancel=_if_allowed(ib.client.reqGlobalCancel, may_cancel),
    )
    locks = {key: asyncio.Lock() for key in UNNUMBERED.values()}
    for name, key in UNNUMBERED.items():
        _replace(ib, **{name: _one_at_a_time(getattr(ib, name), locks[key])})
    _replace(ib.client.decoder, logger=_DecoderAlarm(ib, on_unreadable))


def give_up(ib: IB, reason: str) -> None:
    """Fail every question that is under way."""
    for future in list(ib.wrapper._futures.values()):  # noqa: SLF001 - they are nowhere else
        if not future.done():
            future.set_exception(NoAnswer(reason))
            # One whose asker has left is nobody's; asyncio need not complain of it.
            future.exception()


def is_noise(ib: IB) -> bool:
    """Whether what has come in can't be the beginning of a frame."""
    begun: bytes = ib.client._data  # noqa: SLF001 - what the library has not read yet
    length = int.from_bytes(begun[:4])
    return len(begun) >= 4 and length > LARGEST_FRAME_BYTES  # noqa: PLR2004 - its length


def is_unset(written: str) -> bool:
    """Whether a number in the state of an order is not there."""
    return not written or float(written) > UNSET_ABOVE


def _replace(owner: object, **methods: object) -> None:
    for name, method in methods.items():
        setattr(owner, name, method)


def _error(ib: IB, heard: Listener) -> Callable[..., None]:
    wrapper, original = ib.wrapper, ib.wrapper.error

    def error(req_id: int, code: int, text: str, reject_json: str = "") -> None:
        heard.on_notice(code, text, req_id)
        if code_class(code, text) is CodeClass.INFO:
            pass
        elif req_id in wrapper._futures:  # noqa: SLF001 - they are nowhere else
            wrapper._endReq(req_id, RequestError(req_id, code, text), success=False)  # noqa: SLF001 - as above
        elif (wrapper.clientId, req_id) not in wrapper.trades:
            original(req_id, code, text, reject_json)
            return
        ib.errorEvent.emit(req_id, code, text, None)

    return error


def _open_order(ib: IB, heard: Listener) -> Callable[..., None]:
    original = ib.wrapper.openOrder

    def open_order(
        order_id: int, contract: Contract, order: Order, state: OrderState
    ) -> None:
        if not order.whatIf:
            heard.on_open_order(contract, order, state)
        elif is_unset(state.initMarginChange):
            return
        original(order_id, contract, order, state)

    return open_order


def _order_status(ib: IB, heard: Listener) -> Callable[..., None]:
    original = ib.wrapper.orderStatus

    def order_status(*fields: Any) -> None:  # noqa: ANN401 - passed on as they are
        order_id, status, filled, remaining, average, perm_id, _, _, client_id, *_ = fields
        heard.on_status(order_id, status, filled, remaining, average, perm_id, client_id)
        original(*fields)

    return order_status


def _executions(ib: IB, heard: Listener) -> dict[str, Callable[..., None]]:
    """Both halves of a fill, whichever comes first."""
    wrapper = ib.wrapper
    original_details, original_commission = wrapper.execDetails, wrapper.commissionReport
    early: dict[str, CommissionReport] = {}

    def exec_details(req_id: int, contract: Contract, execution: Execution) -> None:
        heard.on_execution(contract, execution)
        original_details(req_id, contract, execution)
        if execution.execId in early:
            original_commission(early.pop(execution.execId))

    def commission_report(report: CommissionReport) -> None:
        heard.on_commission(copy.copy(report))  # the library rewrites its own
        if report.execId not in wrapper.fills:
            early[report.execId] = report
        original_commission(report)

    return {"execDetails": exec_details, "commissionReport": commission_report}


def _start_request(ib: IB) -> Callable[..., Any]:
    wrapper, original = ib.wrapper, ib.wrapper.startReq

    def start_request(
        key: int | str, contract: Contract | None = None, container: object = None
    ) -> asyncio.Future[Any]:
        if isinstance(key, str) and key in wrapper._futures:  # noqa: SLF001 - they are nowhere else
            raise NoAnswer(
                f"{key}: an earlier question was given up and its answer may still come; "
                "connect again to ask"
            )
        return original(key, contract, container)

    return start_request


def _if_allowed(
    send: Callable[..., None], allow: Callable[[], None]
) -> Callable[..., None]:
    def send_if_allowed(*given: Any, **named: Any) -> None:  # noqa: ANN401 - as it is
        allow()
        send(*given, **named)

    return send_if_allowed


def _one_at_a_time(
    ask: Callable[..., Awaitable[Any]], lock: asyncio.Lock
) -> Callable[..., Awaitable[Any]]:
    async def ask_in_turn(*given: Any, **named: Any) -> Any:  # noqa: ANN401 - as it is
        async with lock:
            return await ask(*given, **named)

    return ask_in_turn


class _DecoderAlarm:
    """Stands in for the decoder's logger: the only place that hears of a bad message."""

    def __init__(self, ib: IB, on_unreadable: Callable[[str], None]) -> None:
        self._ib = ib
        self._on_unreadable = on_unreadable

    def exception(self, text: str) -> None:
        """Take note of the exception that is being handled."""
        error = sys.exception()
        if type(error) is KeyError and isinstance(error.args[0], int):
            return  # a kind of message that the library does not know is not for us
        logger.warning("a message could not be read: %s", text)
        reason = f"a message could not be read ({error!r}): what it told is not known"
        give_up(self._ib, reason)
        self._on_unreadable(reason)
